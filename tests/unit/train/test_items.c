/* Items: the same sums and lists on any number of ranks and threads, an order that costs alone set, ranks of about
 * equal cost, and failures that stay with their item. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/lanes.h"
#include "base/random.h"
#include "check.h"
#include "train/engine/items.h"

enum { MOST = 200, WIDTH = 1000, NUMBERS = 3 };

/* One run: what is asked, and what every rank must see. */
typedef struct outcome {
  int items, threads, broken; /* item `broken` fails; -1: none */
  size_t real;
  const double *cost;
  _Atomic int differ, runs;
  char sum[WIDTH * sizeof(double)];
  double numbers[MOST * NUMBERS], sums[NUMBERS];
  cohort_status status[MOST];
} outcome;

static double value_of(int item, int64_t e) {
  return cohort_random_normal_at(cohort_random_key_from_seed(7), (uint64_t)item, (uint64_t)e) * (item % 3 ? 1e-3 : 1e3);
}

static cohort_status run_item(void *argument, int executor, int item, void *row, double *numbers, cohort_error *error) {
  outcome *all = argument;
  if (executor < 0 || executor >= all->threads) all->differ++;
  all->runs++;
  for (int64_t e = 0; e < WIDTH && row; e++)
    if (all->real == sizeof(double))
      ((double *)row)[e] = value_of(item, e);
    else
      ((float *)row)[e] = (float)value_of(item, e);
  for (int n = 0; n < NUMBERS; n++) numbers[n] = value_of(item, WIDTH + n);
  if (item != all->broken) return COHORT_DONE;
  return cohort_fail(error, COHORT_DIVERGED, "item %d is broken", item);
}

static cohort_status run_ranks(cohort_comm *comm, void *argument) {
  outcome *all = argument;
  cohort_item_order order = {0};
  cohort_item_order_create(all->items, all->cost, comm->size, &order);
  cohort_items *engine = cohort_items_create(comm, all->threads, all->real, all->real ? WIDTH : 0);
  const cohort_item_work work = {.argument = all, .run = run_item, .numbers = NUMBERS};
  for (int again = 0; again < 2; again++) { /* rows are used again */
    double numbers[MOST * NUMBERS], sums[NUMBERS];
    cohort_status status[MOST];
    cohort_item_results results = {.numbers = numbers, .status = status, .sums = sums};
    cohort_items_run(engine, &order, &work, &results);
    if (results.failed != (all->broken >= 0)) all->differ++;
    if (all->broken >= 0) {
      char text[32];
      snprintf(text, sizeof text, "item %d is broken", all->broken);
      if (strcmp(results.error.text, text) != 0 || results.error.status != COHORT_DIVERGED) all->differ++;
    }
    if (comm->rank == 0 && again == 0) {
      if (results.sum) memcpy(all->sum, results.sum, WIDTH * all->real);
      memcpy(all->numbers, numbers, sizeof numbers);
      memcpy(all->status, status, sizeof status);
      memcpy(all->sums, sums, sizeof sums);
    }
    cohort_comm_barrier(comm);
    const size_t listed = (size_t)all->items * NUMBERS * sizeof *numbers;
    if (results.sum && memcmp(all->sum, results.sum, WIDTH * all->real) != 0) all->differ++;
    if (memcmp(all->numbers, numbers, listed) != 0 || memcmp(all->sums, sums, sizeof sums) != 0) all->differ++;
    if (memcmp(all->status, status, (size_t)all->items * sizeof *status) != 0) all->differ++;
  }
  cohort_items_destroy(engine);
  cohort_item_order_release(&order);
  return COHORT_DONE;
}

/* The sum as one loop along the tree takes it. */
static void sum_plainly(const outcome *all, const int *item, int first, int last, double *out) {
  if (last - first == 1) {
    for (int64_t e = 0; e < WIDTH; e++) out[e] = item[first] == all->broken ? 0 : value_of(item[first], e);
    if (all->real == sizeof(float))
      for (int64_t e = 0; e < WIDTH; e++) out[e] = (double)(float)out[e];
    return;
  }
  int left = 1;
  while (2 * left < last - first) left *= 2;
  double *right = malloc(WIDTH * sizeof *right);
  sum_plainly(all, item, first, first + left, out);
  sum_plainly(all, item, first + left, last, right);
  for (int64_t e = 0; e < WIDTH; e++)
    out[e] = all->real == sizeof(float) ? (double)((float)out[e] + (float)right[e]) : out[e] + right[e];
  free(right);
}

static void price(double *cost, int items, uint64_t seed) {
  const cohort_random_key key = cohort_random_key_from_seed(seed);
  for (int i = 0; i < items; i++) cost[i] = ceil(20 * exp(1.2 * cohort_random_normal_at(key, 0, (uint64_t)i)));
}

static void check_case(int items, int broken, size_t real, const double *cost) {
  static outcome first, other;
  double sum[WIDTH];
  cohort_item_order order = {0};
  cohort_item_order_create(items, cost, 1, &order);
  for (int ranks = 1; ranks <= 5; ranks += ranks == 3 ? 2 : 1)
    for (int threads = 1; threads <= 3; threads++) {
      outcome *all = ranks == 1 && threads == 1 ? &first : &other;
      memset(all, 0, sizeof *all);
      all->items = items;
      all->threads = threads;
      all->broken = broken;
      all->real = real;
      all->cost = cost;
      CU_ASSERT_EQUAL(cohort_comm_run_threads(ranks, run_ranks, all), COHORT_DONE);
      CU_ASSERT_EQUAL(all->differ, 0);
      CU_ASSERT_EQUAL(all->runs, 2 * items);
      CU_ASSERT_EQUAL(memcmp(all->sum, first.sum, sizeof first.sum), 0);
      CU_ASSERT_EQUAL(memcmp(all->numbers, first.numbers, (size_t)items * NUMBERS * sizeof(double)), 0);
      CU_ASSERT_EQUAL(memcmp(all->sums, first.sums, sizeof first.sums), 0);
    }
  sum_plainly(&first, order.item, 0, items, sum);
  for (int64_t e = 0; e < WIDTH && real; e++)
    CU_ASSERT(sum[e] == (real == sizeof(float) ? (double)((const float *)(const void *)first.sum)[e]
                                               : ((const double *)(const void *)first.sum)[e]));
  for (int i = 0; i < items; i++) {
    CU_ASSERT_EQUAL(first.status[i], i == broken ? COHORT_DIVERGED : COHORT_DONE);
    for (int n = 0; n < NUMBERS; n++)
      CU_ASSERT(i == broken ? isnan(first.numbers[i * NUMBERS + n])
                            : first.numbers[i * NUMBERS + n] == value_of(i, WIDTH + n));
  }
  cohort_item_order_release(&order);
}

static void who_computes_changes_no_bit(void) {
  static const int sizes[] = {1, 2, 3, 7, 16, 37};
  double cost[MOST];
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    price(cost, sizes[s], s);
    check_case(sizes[s], -1, sizeof(float), cost);
  }
  price(cost, 11, 3);
  check_case(11, -1, sizeof(double), cost);
  check_case(11, -1, 0, cost);
}

static void an_item_fails_alone(void) {
  double cost[MOST];
  price(cost, 13, 5);
  check_case(13, 6, sizeof(float), cost);
  check_case(13, 0, sizeof(double), cost);
}

static void equal_items_stay_in_order(void) {
  double cost[MOST];
  for (int i = 0; i < MOST; i++) cost[i] = 3;
  cohort_item_order order = {0};
  cohort_item_order_create(MOST, cost, 3, &order);
  for (int i = 0; i < MOST; i++) CU_ASSERT_EQUAL(order.item[i], i);
  for (int r = 0; r <= 3; r++) CU_ASSERT(abs(order.first[r] - MOST * r / 3) <= 1);
  cohort_item_order_release(&order);
}

/* The order is one of all items and does not depend on the ranks, whose costs are about equal. */
static void ranks_cost_about_the_same(void) {
  double cost[MOST], worst = 0;
  for (uint64_t seed = 0; seed < 8; seed++) {
    price(cost, 100, seed);
    cohort_item_order one = {0};
    cohort_item_order_create(100, cost, 1, &one);
    for (int ranks = 2; ranks <= 8; ranks *= 2) {
      cohort_item_order order = {0};
      cohort_item_order_create(100, cost, ranks, &order);
      CU_ASSERT_EQUAL(memcmp(one.item, order.item, 100 * sizeof *one.item), 0);
      double total = 0, most = 0, largest = 0;
      int seen = 0;
      for (int r = 0; r < ranks; r++) {
        double own = 0;
        for (int leaf = order.first[r]; leaf < order.first[r + 1]; leaf++, seen++) own += cost[order.item[leaf]];
        total += own;
        if (own > most) most = own;
      }
      for (int i = 0; i < 100; i++) largest = cost[i] > largest ? cost[i] : largest;
      CU_ASSERT_EQUAL(seen, 100);
      const double bound = total / ranks > largest ? total / ranks : largest; /* nobody can do better */
      if (most / bound > worst) worst = most / bound;
      cohort_item_order_release(&order);
    }
    cohort_item_order_release(&one);
  }
  CU_ASSERT(worst < 1.25);
  printf("(slowest rank at most %.3f of the bound) ", worst);
}

static const check checks[] = {{"who computes changes no bit", who_computes_changes_no_bit},
                               {"an item fails alone", an_item_fails_alone},
                               {"equal items stay in order", equal_items_stay_in_order},
                               {"ranks cost about the same", ranks_cost_about_the_same}};
int main(void) { return check_run("items", checks, sizeof checks / sizeof *checks); }
