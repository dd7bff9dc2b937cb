/* The tree over lanes: who holds which subtrees, and sums along it. Which two values are added is fixed by the tree
 * alone, so a sum has the same bits whoever holds the lanes; wider registers do the same additions, element by element.
 * Finding subtrees costs log2(lanes); a sum costs one addition an element for each lane but one. */
#include "base/lanes.h"

#include <string.h>

void cohort_lanes_of(int lanes, int holders, int holder, int *first, int *last) {
  *first = (int)((int64_t)lanes * holder / holders);
  *last = (int)((int64_t)lanes * (holder + 1) / holders);
}

/* floor(samples * lane / lanes) without overflow. */
static int64_t sample_bound(int64_t samples, int lanes, int lane) {
  return samples / lanes * lane + samples % lanes * lane / lanes;
}

void cohort_lane_samples(int64_t samples, int lanes, int lane, int64_t *first, int64_t *last) {
  *first = sample_bound(samples, lanes, lane);
  *last = sample_bound(samples, lanes, lane + 1);
}

static int root_level(int lanes) {
  int level = 0;
  while (1 << level < lanes) level++;
  return level;
}

static bool node_exists(int lanes, int level, int index) { return index << level < lanes; }

static int subtrees_below(int lanes, int first, int last, int level, int index, cohort_subtree *out) {
  const int start = index << level;
  const int wide_end = start + (1 << level), end = wide_end < lanes ? wide_end : lanes;
  if (start >= end || end <= first || start >= last) return 0;
  if (start >= first && end <= last) {
    out[0] = (cohort_subtree){level, index};
    return 1;
  }
  const int left = subtrees_below(lanes, first, last, level - 1, 2 * index, out);
  return left + subtrees_below(lanes, first, last, level - 1, 2 * index + 1, out + left);
}

int cohort_lanes_subtrees(int lanes, int first, int last, cohort_subtree *out) {
  return first < last ? subtrees_below(lanes, first, last, root_level(lanes), 0, out) : 0;
}

cohort_subtree cohort_lanes_root(int lanes) { return (cohort_subtree){root_level(lanes), 0}; }

bool cohort_lanes_inside(cohort_subtree node, cohort_subtree whole) {
  return node.level <= whole.level && node.index >> (whole.level - node.level) == whole.index;
}

/* A node whose right sibling holds no lane equals its parent. */
static cohort_subtree promote(int lanes, cohort_subtree node) {
  const int top = root_level(lanes);
  while (node.level < top && node.index % 2 == 0 && !node_exists(lanes, node.level, node.index + 1))
    node = (cohort_subtree){node.level + 1, node.index / 2};
  return node;
}

int cohort_lanes_merge(int lanes, int count, const cohort_subtree *nodes, cohort_subtree *out) {
  int left = 0;
  for (int i = 0; i < count; i++) {
    cohort_subtree node = promote(lanes, nodes[i]);
    for (; left > 0; left--) {
      const cohort_subtree before = out[left - 1];
      if (before.level != node.level || before.index % 2 != 0 || before.index + 1 != node.index) break;
      node = promote(lanes, (cohort_subtree){node.level + 1, node.index / 2});
    }
    out[left++] = node;
  }
  return left;
}

/* Sums are taken block by block, so that partial sums stay in the first cache. */
enum { SUM_BLOCK = 512, MAX_LEVELS = 13 };

typedef struct float_sum {
  int lanes, next; /* the next row to take */
  const cohort_subtree *nodes;
  const float *const *rows;
  int64_t first, length; /* the block */
  float partial[MAX_LEVELS][2][SUM_BLOCK];
} float_sum;

/* `out` may be a or b. */
static inline __attribute__((always_inline)) void add_each(float *out, const float *a, const float *b, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) out[i] = a[i] + b[i];
}

/* The same additions in wider registers. */
static __attribute__((target("avx512f"))) void add_avx512(float *out, const float *a, const float *b, int64_t n) {
  add_each(out, a, b, n);
}

static __attribute__((target("avx2"))) void add_avx2(float *out, const float *a, const float *b, int64_t n) {
  add_each(out, a, b, n);
}

static void add(float *out, const float *a, const float *b, int64_t n) {
  if (__builtin_cpu_supports("avx512f"))
    add_avx512(out, a, b, n);
  else if (__builtin_cpu_supports("avx2"))
    add_avx2(out, a, b, n);
  else
    add_each(out, a, b, n);
}

/* The block of node (level, index): a row's own, or a sum left in `out`, which may be the block of a row. */
static const float *sum_block(float_sum *sum, int level, int index, float *out) {
  const cohort_subtree node = sum->nodes[sum->next];
  if (level == 0 || (node.level == level && node.index == index)) return sum->rows[sum->next++] + sum->first;
  if (!node_exists(sum->lanes, level - 1, 2 * index + 1)) return sum_block(sum, level - 1, 2 * index, out);
  const float *left = sum_block(sum, level - 1, 2 * index, sum->partial[level - 1][0]);
  const float *right = sum_block(sum, level - 1, 2 * index + 1, sum->partial[level - 1][1]);
  add(out, left, right, sum->length);
  return out;
}

void cohort_lanes_sum_float(int lanes, cohort_subtree whole, int count, const cohort_subtree *nodes,
                            const float *const *rows, int64_t n, float *out) {
  float_sum sum;
  sum.lanes = lanes;
  sum.nodes = nodes;
  sum.rows = rows;
  int begin = 0, end;
  while (begin < count && !cohort_lanes_inside(nodes[begin], whole)) begin++;
  for (end = begin; end < count && cohort_lanes_inside(nodes[end], whole);) end++;
  /* Two rows leave no partial sum. */
  const int64_t block = end - begin > 2 ? SUM_BLOCK : n;
  for (sum.first = 0; sum.first < n; sum.first += block) {
    sum.length = n - sum.first < block ? n - sum.first : block;
    sum.next = begin;
    const float *result = sum_block(&sum, whole.level, whole.index, out + sum.first);
    if (result != out + sum.first) memcpy(out + sum.first, result, (size_t)sum.length * sizeof *out);
  }
}

static double sum_node(int lanes, const double *values, int level, int index) {
  if (level == 0) return values[index];
  const double left = sum_node(lanes, values, level - 1, 2 * index);
  if (!node_exists(lanes, level - 1, 2 * index + 1)) return left;
  return left + sum_node(lanes, values, level - 1, 2 * index + 1);
}

double cohort_lanes_sum(int lanes, const double *values) {
  return lanes > 0 ? sum_node(lanes, values, root_level(lanes), 0) : 0;
}
