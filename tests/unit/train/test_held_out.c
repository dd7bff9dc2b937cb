/* Samples held out: each in one of the two parts, in its order; about the share of every client, never all. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "train/engine/held_out.h"

/* Client c has c + 1 samples. */
static cohort_population make(int64_t clients) {
  cohort_population out = {.clients = clients, .largest = clients};
  out.first = calloc((size_t)(clients + 1), sizeof *out.first);
  for (int64_t c = 0; c < clients; c++) out.first[c + 1] = out.first[c] + c + 1;
  out.sample = malloc((size_t)out.first[clients] * sizeof *out.sample);
  for (int64_t i = 0; i < out.first[clients]; i++) out.sample[i] = (int32_t)(3 * i);
  return out;
}

static bool has(const cohort_population *own, int64_t client, int32_t sample) {
  bool found = false;
  for (int64_t i = own->first[client]; i < own->first[client + 1]; i++) found = found || own->sample[i] == sample;
  return found;
}

static int64_t size_of(const cohort_population *own, int64_t client) {
  return own->first[client + 1] - own->first[client];
}

static void every_sample_is_in_one_part(void) {
  cohort_population all = make(40), trained, held;
  cohort_population_hold_out(&all, 0.2, cohort_random_key_from_seed(5), &trained, &held);
  CU_ASSERT_EQUAL(trained.clients, 40);
  CU_ASSERT_EQUAL(held.clients, 40);
  for (int64_t c = 0; c < 40; c++) {
    CU_ASSERT_EQUAL(size_of(&trained, c) + size_of(&held, c), c + 1);
    for (int64_t i = all.first[c]; i < all.first[c + 1]; i++)
      CU_ASSERT(has(&trained, c, all.sample[i]) != has(&held, c, all.sample[i]));
    for (int64_t i = trained.first[c] + 1; i < trained.first[c + 1]; i++)
      CU_ASSERT(trained.sample[i] > trained.sample[i - 1]);
  }
  CU_ASSERT_EQUAL(size_of(&held, 0), 0); /* its only sample is trained on */
  CU_ASSERT_EQUAL(size_of(&held, 1), 1);
  CU_ASSERT_EQUAL(size_of(&held, 9), 2);
  CU_ASSERT_EQUAL(size_of(&held, 39), 8);
  CU_ASSERT_EQUAL(trained.largest, 32);
  CU_ASSERT_EQUAL(held.largest, 8);
  cohort_population_release(&all);
  cohort_population_release(&trained);
  cohort_population_release(&held);
}

static void some_are_always_trained_on(void) {
  cohort_population all = make(6), trained, held;
  cohort_population_hold_out(&all, 0.99, cohort_random_key_from_seed(5), &trained, &held);
  for (int64_t c = 0; c < 6; c++) CU_ASSERT_EQUAL(size_of(&trained, c), 1);
  cohort_population_release(&all);
  cohort_population_release(&trained);
  cohort_population_release(&held);
}

int main(void) {
  static const check checks[] = {
      {"every sample is in one part", every_sample_is_in_one_part},
      {"some are always trained on", some_are_always_trained_on},
  };
  return check_run("held out", checks, sizeof checks / sizeof *checks);
}
