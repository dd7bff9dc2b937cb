/* Every bandit: the same again, finite scores, nothing but scratch changes in a score, no write past its state; and one
 * that learns beats one that does not. */
#include <math.h>

#include "check.h"
#include "contract/method_fixture.h"
#include "contract/variants.h"
#include "method/bandit/bandit.h"

enum { ARMS = 5, FEATURES = 3, ROUNDS = 400, GUARD = 8 };

static const variant_setting settings[] = {{NULL, "alpha", "0.6"}, {NULL, NULL, NULL}};

static double number(uint64_t stream, int64_t element) {
  return cohort_random_normal_at(cohort_random_key_from_seed(7), stream, (uint64_t)element);
}

/* Plays against fixed arms of which the third is best; `learns` false: no reward is told. Returns the mean reward. */
static double play(const cohort_choice *choice, bool learns, double *state, int64_t numbers) {
  const cohort_bandit *functions = choice->method->functions;
  const cohort_bandit_size size = {ARMS, FEATURES};
  double score[ARMS], total = 0;
  functions->begin(choice->config, size, state);
  for (int64_t round = 0; round < ROUNDS; round++) {
    const double context[FEATURES] = {1, 0.2 * number(1, round), 0.2 * number(2, round)};
    functions->score(choice->config, size, context, state, score);
    for (int a = 0; a < ARMS; a++) CU_ASSERT(isfinite(score[a]));
    const int64_t arm = cohort_bandit_choose(ARMS, score);
    const double reward = (arm == 2 ? 1 : 0.1 * (double)arm) + 0.1 * number(3, round);
    total += reward;
    functions->learn(choice->config, size, context, arm, learns ? reward : 0, state);
  }
  for (int64_t i = numbers; i < numbers + GUARD; i++) CU_ASSERT_EQUAL(state[i], -77);
  return total / ROUNDS;
}

static double *room_for(int64_t numbers) {
  double *state = cohort_allocate((size_t)(numbers + GUARD) * sizeof *state);
  for (int64_t i = 0; i < numbers + GUARD; i++) state[i] = -77;
  return state;
}

static void check_bandit(const cohort_choice *choice, const char *label) {
  const cohort_bandit *functions = choice->method->functions;
  const int64_t numbers = functions->state((cohort_bandit_size){ARMS, FEATURES});
  double *first = room_for(numbers), *second = room_for(numbers);
  const double learned = play(choice, true, first, numbers), again = play(choice, true, second, numbers);
  CU_ASSERT_EQUAL(learned, again);
  CU_ASSERT(memcmp(first, second, (size_t)numbers * sizeof *first) == 0);
  const double blind = play(choice, false, second, numbers);
  if (!(learned > 0.8 && learned > blind + 0.2)) fprintf(stderr, "%s: %g, blind %g\n", label, learned, blind);
  CU_ASSERT(learned > 0.8 && learned > blind + 0.2);
  free(first);
  free(second);
}

static void test_all(void) { CU_ASSERT(variants_run("bandit", settings, check_bandit) >= 2); }

static void test_choice(void) {
  const double score[4] = {1, 3, 3, 2};
  CU_ASSERT_EQUAL(cohort_bandit_choose(4, score), 1);
}

int main(void) {
  const check checks[] = {{"every bandit learns, deterministically", test_all}, {"first of equals", test_choice}};
  return check_run("bandit", checks, sizeof checks / sizeof *checks);
}
