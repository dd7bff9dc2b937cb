/* What is told of all clients: statistics as numpy has them (computed with numpy 1.24, numpy.quantile), and the map of
 * their labels. */
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "train/engine/client_evaluation.h"
#include "train/engine/label_map.h"

static void statistics(void) {
  static const double value[] = {0.5, 0.9, NAN, 0.1, 0.7, 0.3, 0.2, 0.8, 0.6, 0.4, 1.0, 0.95};
  double room[12];
  const struct {
    cohort_client_figure figure;
    cohort_client_statistic statistic;
    double expected;
  } cases[] = {
      {COHORT_CLIENT_ACCURACY, COHORT_CLIENT_MEAN, 6.45 / 11},
      {COHORT_CLIENT_ACCURACY, COHORT_CLIENT_WORST_TENTH, 0.15}, /* of 11: two */
      {COHORT_CLIENT_LOSS, COHORT_CLIENT_WORST_TENTH, 0.975},
      {COHORT_CLIENT_ACCURACY, COHORT_CLIENT_P10, 0.2},
      {COHORT_CLIENT_PERSONAL_ACCURACY, COHORT_CLIENT_P50, 0.6},
      {COHORT_CLIENT_PERSONAL_LOSS, COHORT_CLIENT_P90, 0.95},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    CU_ASSERT_DOUBLE_EQUAL(cohort_client_statistic_of(cases[i].figure, cases[i].statistic, 12, value, room),
                           cases[i].expected, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(cohort_client_statistic_of(COHORT_CLIENT_LOSS, COHORT_CLIENT_P10, 4, value, room), 0.18,
                         1e-12);
  CU_ASSERT(isnan(cohort_client_statistic_of(COHORT_CLIENT_LOSS, COHORT_CLIENT_MEAN, 1, value + 2, room)));
}

/* Client c holds `each` samples: all but one of label c % labels, one of label 0. */
static void map_of(int64_t clients, int32_t labels, int64_t each, cohort_label_map *out) {
  const int64_t samples = clients * each;
  cohort_population population = {.clients = clients, .largest = each};
  population.first = calloc((size_t)(clients + 1), sizeof *population.first);
  population.sample = malloc((size_t)samples * sizeof *population.sample);
  int32_t *label = malloc((size_t)samples * sizeof *label);
  for (int64_t i = 0; i < samples; i++) {
    population.first[i / each + 1] = (i / each + 1) * each;
    population.sample[i] = (int32_t)(samples - 1 - i);
    label[samples - 1 - i] = i % each ? (int32_t)(i / each % labels) : 0;
  }
  cohort_label_map_create(&population, label, out);
  free(label);
  cohort_population_release(&population);
}

static void few_clients_stand_by_number(void) {
  cohort_label_map map;
  map_of(10, 5, 4, &map);
  CU_ASSERT_FALSE(map.ordered);
  CU_ASSERT_EQUAL(map.rows, 5);
  CU_ASSERT_EQUAL(map.columns, 10);
  CU_ASSERT_EQUAL(map.share[3 * 10 + 8], 0.75);
  CU_ASSERT_EQUAL(map.share[0 * 10 + 8], 0.25);
  CU_ASSERT_EQUAL(map.share[0 * 10 + 5], 1);
  CU_ASSERT_EQUAL(map.samples[7], 4);
  cohort_label_map_release(&map);
}

static void many_clients_stand_by_label(void) {
  cohort_label_map map;
  map_of(3000, 10, 8, &map);
  CU_ASSERT(map.ordered);
  CU_ASSERT_EQUAL(map.clients_a_column, 9);
  CU_ASSERT_EQUAL(map.columns, 334);
  for (int c = 0; c < map.columns; c++) {
    double sum = 0;
    for (int r = 0; r < map.rows; r++) sum += map.share[r * map.columns + c];
    CU_ASSERT_DOUBLE_EQUAL(sum, 1, 1e-12);
    CU_ASSERT_EQUAL(map.samples[c], 8);
  }
  CU_ASSERT_EQUAL(map.share[9 * map.columns + map.columns - 1], 7.0 / 8);
  CU_ASSERT_EQUAL(map.share[0], 1);
  cohort_label_map_release(&map);
  map_of(700, 350, 3, &map);
  CU_ASSERT_EQUAL(map.labels_a_row, 4);
  CU_ASSERT_EQUAL(map.rows, 88);
  CU_ASSERT(map.rows * map.columns <= 12000);
  cohort_label_map_release(&map);
}

int main(void) {
  static const check checks[] = {
      {"statistics", statistics},
      {"few clients stand by number", few_clients_stand_by_number},
      {"many clients stand by label", many_clients_stand_by_label},
  };
  return check_run("client evaluation", checks, sizeof checks / sizeof *checks);
}
