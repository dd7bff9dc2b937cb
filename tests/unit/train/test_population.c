/* Populations: every sample has one client and every client a sample; who is left without is helped by the largest, in
 * no time for many clients. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "check.h"
#include "train/engine/population.h"

static int32_t *make_labels(int64_t samples) {
  int32_t *labels = malloc((size_t)samples * sizeof *labels);
  for (int64_t i = 0; i < samples; i++) labels[i] = (int32_t)(i * 7 % 10);
  return labels;
}

static void check_partition(int64_t clients, int64_t samples, double alpha) {
  int32_t *labels = make_labels(samples);
  bool *seen = calloc((size_t)samples, sizeof *seen);
  cohort_population population;
  cohort_population_create(clients, samples, labels, alpha, cohort_random_key_from_seed(3), &population);
  int64_t largest = 0;
  CU_ASSERT_EQUAL(population.first[clients], samples);
  for (int64_t c = 0; c < clients; c++) {
    const int64_t size = population.first[c + 1] - population.first[c];
    CU_ASSERT(size >= 1);
    if (size > largest) largest = size;
    for (int64_t i = population.first[c]; i < population.first[c + 1]; i++) {
      CU_ASSERT_FALSE(seen[population.sample[i]]);
      seen[population.sample[i]] = true;
      CU_ASSERT(i == population.first[c] || population.sample[i] > population.sample[i - 1]);
    }
  }
  CU_ASSERT_EQUAL(population.largest, largest);
  cohort_population_release(&population);
  free(seen);
  free(labels);
}

static void every_sample_has_a_client(void) {
  check_partition(1, 30, 0.5);
  check_partition(20, 300, 0.1);
  check_partition(200, 300, 0.05);
  check_partition(300, 300, 0.05); /* one each */
  check_partition(40, 300, 0);
}

/* 10^5 clients, of which most are left without: the largest would be looked for so many times. */
static void many_clients(void) {
  enum { CLIENTS = 100000, SAMPLES = 150000 };
  int32_t *labels = make_labels(SAMPLES);
  cohort_population population;
  const double start = cohort_clock_seconds();
  cohort_population_create(CLIENTS, SAMPLES, labels, 0.01, cohort_random_key_from_seed(3), &population);
  const double seconds = cohort_clock_seconds() - start;
  printf("(%.2f s) ", seconds);
  CU_ASSERT(seconds < 5);
  int64_t alone = 0;
  for (int64_t c = 0; c < CLIENTS; c++) alone += population.first[c + 1] - population.first[c] == 1;
  CU_ASSERT(alone > CLIENTS / 2);
  cohort_population_release(&population);
  free(labels);
}

static const check checks[] = {{"every sample has a client", every_sample_has_a_client},
                               {"many clients", many_clients}};
int main(void) { return check_run("population", checks, sizeof checks / sizeof *checks); }
