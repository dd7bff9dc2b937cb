#include <stdlib.h>
#include <string.h>

#include "base/lanes.h"
#include "base/random.h"
#include "check.h"

enum { WIDTH = 4099, MOST_LANES = 17, MOST_HOLDERS = 8 };

/* Lanes of magnitudes so different that every other order of the additions gives other bits. */
static float lane_value(int lane, int element) {
  const cohort_random_key key = cohort_random_key_from_seed(3);
  const uint64_t place = (uint64_t)element;
  const double scale = exp2((double)(cohort_random_word(key, 100 + (uint64_t)lane, place) % 20) - 10);
  return (float)(cohort_random_normal_at(key, (uint64_t)lane, place) * scale);
}

/* The definition: halves of the next power of two; an empty right half adds nothing. */
static float defined_sum(int lanes, int start, int width, int element) {
  if (width == 1) return lane_value(start, element);
  const float left = defined_sum(lanes, start, width / 2, element);
  if (start + width / 2 >= lanes) return left;
  return left + defined_sum(lanes, start + width / 2, width / 2, element);
}

static int power_above(int lanes) {
  int width = 1;
  while (width < lanes) width *= 2;
  return width;
}

/* What a holder does: its lanes of one subtree, joined as a tree of their own. */
static void holder_row(int lanes, cohort_subtree node, float *row) {
  for (int i = 0; i < WIDTH; i++) row[i] = defined_sum(lanes, node.index << node.level, 1 << node.level, i);
}

static void check_split(int lanes, int holders, const float *expected) {
  static float memory[MOST_LANES][WIDTH];
  cohort_subtree nodes[MOST_LANES + COHORT_MAX_SUBTREES];
  float *rows[MOST_LANES];
  int count = 0, covered = 0;
  for (int holder = 0; holder < holders; holder++) {
    int first, last;
    cohort_lanes_of(lanes, holders, holder, &first, &last);
    CU_ASSERT_EQUAL(first, covered);
    CU_ASSERT(last - first == lanes / holders || last - first == (lanes + holders - 1) / holders);
    covered = last;
    count += cohort_lanes_subtrees(lanes, first, last, nodes + count);
  }
  CU_ASSERT_EQUAL(covered, lanes);
  CU_ASSERT_FATAL(count <= lanes);
  for (int i = 0; i < count; i++) {
    rows[i] = memory[i];
    holder_row(lanes, nodes[i], rows[i]);
  }
  cohort_subtree joined[MOST_LANES + COHORT_MAX_SUBTREES];
  CU_ASSERT_EQUAL(cohort_lanes_merge(lanes, count, nodes, joined), 1);
  const cohort_subtree root = cohort_lanes_root(lanes);
  CU_ASSERT(joined[0].level == root.level && joined[0].index == 0);
  const float *const *from = (const float *const *)rows;
  static float sum[WIDTH];
  cohort_lanes_sum_float(lanes, root, count, nodes, from, WIDTH, sum);
  CU_ASSERT_EQUAL(memcmp(sum, expected, sizeof sum), 0);
  /* In place, into any of the rows. */
  const int into = count / 2;
  cohort_lanes_sum_float(lanes, root, count, nodes, from, WIDTH, rows[into]);
  CU_ASSERT_EQUAL(memcmp(rows[into], expected, sizeof sum), 0);
}

/* Neighbouring holders' subtrees join to those of both together, and so do their values. */
static void test_merge(void) {
  static float memory[MOST_LANES][WIDTH], both[WIDTH], expected[WIDTH];
  for (int lanes = 1; lanes <= MOST_LANES; lanes++)
    for (int first = 0; first < lanes; first++)
      for (int last = first + 1; last <= lanes; last++) {
        cohort_subtree nodes[MOST_LANES], joined[MOST_LANES], whole[COHORT_MAX_SUBTREES];
        const float *rows[MOST_LANES];
        for (int lane = first; lane < last; lane++) {
          nodes[lane - first] = (cohort_subtree){0, lane};
          rows[lane - first] = memory[lane];
          for (int i = 0; i < 64; i++) memory[lane][i] = lane_value(lane, i);
        }
        const int count = cohort_lanes_merge(lanes, last - first, nodes, joined);
        CU_ASSERT_EQUAL_FATAL(count, cohort_lanes_subtrees(lanes, first, last, whole));
        for (int i = 0; i < count; i++) {
          CU_ASSERT(joined[i].level == whole[i].level && joined[i].index == whole[i].index);
          cohort_lanes_sum_float(lanes, joined[i], last - first, nodes, rows, 64, both);
          holder_row(lanes, joined[i], expected);
          CU_ASSERT_EQUAL(memcmp(both, expected, 64 * sizeof *both), 0);
        }
      }
}

static void test_same_bits_on_any_split(void) {
  static float expected[WIDTH];
  for (int lanes = 1; lanes <= MOST_LANES; lanes++) {
    for (int i = 0; i < WIDTH; i++) expected[i] = defined_sum(lanes, 0, power_above(lanes), i);
    for (int holders = 1; holders <= MOST_HOLDERS; holders++) check_split(lanes, holders, expected);
  }
}

/* The test above would be empty if any order of additions gave the same bits. */
static void test_order_matters(void) {
  int different = 0;
  for (int i = 0; i < WIDTH; i++) {
    float sum = 0;
    for (int lane = 0; lane < 16; lane++) sum += lane_value(lane, i);
    different += sum != defined_sum(16, 0, 16, i);
  }
  CU_ASSERT(different > WIDTH / 4);
}

static void test_doubles(void) {
  for (int lanes = 1; lanes <= MOST_LANES; lanes++) {
    double values[MOST_LANES];
    float floats[MOST_LANES], sum = 0;
    const float *rows[MOST_LANES];
    cohort_subtree nodes[MOST_LANES];
    for (int lane = 0; lane < lanes; lane++) {
      values[lane] = floats[lane] = (float)(lane % 5 - 2); /* sums are exact */
      rows[lane] = &floats[lane];
      CU_ASSERT_EQUAL(cohort_lanes_subtrees(lanes, lane, lane + 1, &nodes[lane]), 1);
    }
    cohort_lanes_sum_float(lanes, cohort_lanes_root(lanes), lanes, nodes, rows, 1, &sum);
    CU_ASSERT_EQUAL(cohort_lanes_sum(lanes, values), sum);
  }
  const double five[] = {1e16, 1, 1, -1e16, 3};
  CU_ASSERT_EQUAL(cohort_lanes_sum(5, five), ((1e16 + 1) + (1 + -1e16)) + 3);
}

static void test_subtrees(void) {
  cohort_subtree nodes[COHORT_MAX_SUBTREES];
  CU_ASSERT_EQUAL(cohort_lanes_subtrees(8, 1, 7, nodes), 4);
  const cohort_subtree expected[] = {{0, 1}, {1, 1}, {1, 2}, {0, 6}};
  for (int i = 0; i < 4; i++) {
    CU_ASSERT(nodes[i].level == expected[i].level && nodes[i].index == expected[i].index);
  }
  CU_ASSERT_EQUAL(cohort_lanes_subtrees(5, 4, 5, nodes), 1);
  CU_ASSERT(nodes[0].level == 2 && nodes[0].index == 1);
  CU_ASSERT_EQUAL(cohort_lanes_subtrees(8, 3, 3, nodes), 0);
  for (int first = 0; first < 64; first++) {
    for (int last = first; last <= COHORT_MAX_LANES; last += 61) {
      const int count = cohort_lanes_subtrees(COHORT_MAX_LANES, first, last, nodes);
      CU_ASSERT(count <= COHORT_MAX_SUBTREES);
      int covered = first;
      for (int i = 0; i < count; i++) {
        CU_ASSERT_EQUAL(nodes[i].index << nodes[i].level, covered);
        covered += 1 << nodes[i].level;
      }
      CU_ASSERT_EQUAL(covered, last);
    }
  }
}

static void test_samples(void) {
  const int64_t sizes[] = {1, 7, 64, 100003, INT64_C(1) << 61};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    for (int lanes = 1; lanes <= 4096; lanes = 3 * lanes + 1) {
      int64_t covered = 0;
      for (int lane = 0; lane < lanes; lane++) {
        int64_t first, last;
        cohort_lane_samples(sizes[s], lanes, lane, &first, &last);
        CU_ASSERT_EQUAL(first, covered);
        CU_ASSERT(last - first >= sizes[s] / lanes && last - first <= sizes[s] / lanes + 1);
        covered = last;
      }
      CU_ASSERT_EQUAL(covered, sizes[s]);
    }
  }
}

static const check checks[] = {
    {"the same bits on any split", test_same_bits_on_any_split},
    {"subtrees merge", test_merge},
    {"the order matters", test_order_matters},
    {"doubles", test_doubles},
    {"subtrees", test_subtrees},
    {"samples of a lane", test_samples},
};

int main(void) { return check_run("lanes", checks, sizeof checks / sizeof *checks); }
