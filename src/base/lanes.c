#include "base/lanes.h"

#include <stdbool.h>

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

/* The additions of a join, in order: row `to` += row `from`. */
typedef struct join_plan {
  int count;
  int16_t to[COHORT_MAX_LANES], from[COHORT_MAX_LANES];
} join_plan;

/* Plans the value of node (level, index) from the nodes at *next on; returns the row that will hold it. */
static int plan_node(int lanes, const cohort_subtree *nodes, int *next, int level, int index, join_plan *plan) {
  const cohort_subtree node = nodes[*next];
  if (level == 0 || (node.level == level && node.index == index)) return (*next)++;
  const int left = plan_node(lanes, nodes, next, level - 1, 2 * index, plan);
  if (node_exists(lanes, level - 1, 2 * index + 1)) {
    const int right = plan_node(lanes, nodes, next, level - 1, 2 * index + 1, plan);
    plan->to[plan->count] = (int16_t)left;
    plan->from[plan->count++] = (int16_t)right;
  }
  return left;
}

static void plan_join(int lanes, int count, const cohort_subtree *nodes, join_plan *plan) {
  int next = 0;
  plan->count = 0;
  if (count > 1) plan_node(lanes, nodes, &next, root_level(lanes), 0, plan);
}

/* Long vectors are joined block by block, so that partial sums stay in the cache. */
enum { JOIN_BLOCK = 2048 };

static void add_floats(float *restrict to, const float *restrict from, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

static void add_doubles(double *restrict to, const double *restrict from, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

void cohort_lanes_join_float(int lanes, int count, const cohort_subtree *nodes, float *const *rows, int64_t n) {
  join_plan plan;
  plan_join(lanes, count, nodes, &plan);
  for (int64_t start = 0; start < n; start += JOIN_BLOCK) {
    const int64_t length = n - start < JOIN_BLOCK ? n - start : JOIN_BLOCK;
    for (int i = 0; i < plan.count; i++) add_floats(rows[plan.to[i]] + start, rows[plan.from[i]] + start, length);
  }
}

void cohort_lanes_join_double(int lanes, int count, const cohort_subtree *nodes, double *const *rows, int64_t n) {
  join_plan plan;
  plan_join(lanes, count, nodes, &plan);
  for (int64_t start = 0; start < n; start += JOIN_BLOCK) {
    const int64_t length = n - start < JOIN_BLOCK ? n - start : JOIN_BLOCK;
    for (int i = 0; i < plan.count; i++) add_doubles(rows[plan.to[i]] + start, rows[plan.from[i]] + start, length);
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
