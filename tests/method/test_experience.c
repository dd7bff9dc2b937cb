/* The experience of policies, function by function: against closed forms, and against direct double loops. */
#include <string.h>

#include "check.h"
#include "method/policy/experience/experience.h"

enum { COMPLETIONS = 4, WIDTH = 5, TOKENS = COMPLETIONS * WIDTH };

static const int64_t first[2] = {0, 2}, last[2] = {2, 4};
/* The second has a hole, as where somebody else speaks. */
static const double mask[TOKENS] = {1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0};
static const double values[TOKENS] = {0.3, -0.2, 0.5, 0.1, 0.4, 0.7, 9,   -0.1, 0.2, 9,
                                      0.6, 9,    9,   9,   9,   0.1, 0.3, 0.2,  9,   9};
static const double one[1] = {1};

static cohort_policy_rollouts rollouts_of(const double *reward) {
  static const double state[COHORT_POLICY_STATES] = {0.1};
  return (cohort_policy_rollouts){.completions = COMPLETIONS,
                                  .groups = 2,
                                  .width = WIDTH,
                                  .first = first,
                                  .last = last,
                                  .mask = mask,
                                  .rewards = 1,
                                  .reward = reward,
                                  .weight = one,
                                  .value = values,
                                  .state = state};
}

static void group_of_five(const double *reward, int64_t count, cohort_baseline baseline, cohort_reward_scale scale,
                          double *out) {
  const int64_t from[1] = {0}, to[1] = {count};
  const cohort_policy_rollouts all = {.completions = count, .groups = 1, .first = from, .last = to};
  memcpy(out, reward, (size_t)count * sizeof *out);
  cohort_experience_centre(baseline, &all, out);
  cohort_experience_scale(scale, &all, 1e-4, reward, out);
}

static void advantages_of_groups(void) {
  const double reward[5] = {1, 0, 0, 1, 1};
  double out[5];
  group_of_five(reward, 5, COHORT_BASELINE_GROUP, COHORT_SCALE_GROUP, out);
  CU_ASSERT_DOUBLE_EQUAL(out[0], 0.73016343, 1e-8);
  CU_ASSERT_DOUBLE_EQUAL(out[1], -1.09524515, 1e-8);
  group_of_five(reward, 5, COHORT_BASELINE_GROUP, COHORT_SCALE_NONE, out);
  CU_ASSERT_DOUBLE_EQUAL(out[0], 0.4, 1e-15);
  group_of_five(reward, 5, COHORT_BASELINE_OTHERS, COHORT_SCALE_NONE, out);
  CU_ASSERT_DOUBLE_EQUAL(out[0], 0.5, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(out[1], -0.75, 1e-15);
  group_of_five(reward, 1, COHORT_BASELINE_OTHERS, COHORT_SCALE_NONE, out); /* no others, nothing to take off */
  CU_ASSERT_EQUAL(out[0], 1);
}

/* Of two groups the batch's deviation is one for both. */
static void advantages_of_batches(void) {
  const double reward[COMPLETIONS] = {1, 3, 0, 0};
  const cohort_policy_rollouts rollouts = rollouts_of(reward);
  double out[COMPLETIONS];
  memcpy(out, reward, sizeof out);
  cohort_experience_centre(COHORT_BASELINE_GROUP, &rollouts, out);
  cohort_experience_scale(COHORT_SCALE_BATCH, &rollouts, 0, reward, out);
  CU_ASSERT_DOUBLE_EQUAL(out[1], 1 / sqrt(2), 1e-15); /* deviation of 1, 3, 0, 0: sqrt(2) */
  CU_ASSERT_EQUAL(out[2], 0);
  memcpy(out, reward, sizeof out);
  cohort_experience_centre(COHORT_BASELINE_BATCH, &rollouts, out);
  CU_ASSERT_DOUBLE_EQUAL(out[0] + out[1] + out[2] + out[3], 0, 1e-15);
}

/* Each reward by itself, so that the scale of one does not drown the other. */
static void several_rewards(void) {
  const double reward[2 * COMPLETIONS] = {1, 0, 1, 0, 0, 1000, 1000, 0}, weight[2] = {1, 1};
  cohort_policy_rollouts rollouts = rollouts_of(reward);
  double out[COMPLETIONS], room[COMPLETIONS];
  rollouts.rewards = 2;
  rollouts.weight = weight;
  cohort_experience_normalise_then_sum(&rollouts, 1e-4, room, out);
  CU_ASSERT(fabs(out[0]) < 1e-3 && fabs(out[1]) < 1e-3); /* one up, one down */
  CU_ASSERT(out[2] > 1 && out[3] < -1);                  /* both up, both down */
}

/* A_t = sum over later tokens that count of (gamma lambda)^k delta. */
static double direct_gae(int64_t c, int64_t t, const double *rewards, double gamma, double lambda) {
  double sum = 0, factor = 1;
  for (int64_t u = t; u < WIDTH; u++) {
    const int64_t at = c * WIDTH + u;
    if (mask[at] == 0) continue;
    int64_t next = u + 1;
    while (next < WIDTH && mask[c * WIDTH + next] == 0) next++;
    const double after = next < WIDTH ? values[c * WIDTH + next] : 0;
    sum += factor * (rewards[at] + gamma * after - values[at]);
    factor *= gamma * lambda;
  }
  return sum;
}

static void advantages_over_time(void) {
  static const double lambdas[] = {0, 0.6, 1};
  double rewards[TOKENS], made[TOKENS];
  const cohort_policy_rollouts rollouts = rollouts_of(one);
  for (int t = 0; t < TOKENS; t++) rewards[t] = 0.1 * (t % 7) - 0.2;
  for (int l = 0; l < 3; l++) {
    const double lambda[COMPLETIONS] = {lambdas[l], lambdas[l], lambdas[l], lambdas[l]};
    cohort_experience_gae(&rollouts, 0.9, lambda, rewards, made);
    for (int t = 0; t < TOKENS; t++)
      if (mask[t] > 0)
        CU_ASSERT_DOUBLE_EQUAL(made[t], direct_gae(t / WIDTH, t % WIDTH, rewards, 0.9, lambdas[l]), 1e-14);
  }
  double returns[TOKENS]; /* at lambda 1: the return minus the value */
  memcpy(returns, rewards, sizeof returns);
  cohort_experience_returns(&rollouts, 0.9, returns);
  for (int t = 0; t < TOKENS; t++)
    if (mask[t] > 0) CU_ASSERT_DOUBLE_EQUAL(made[t], returns[t] - values[t], 1e-14);
}

/* Far from a reward at the end lambda 0.95 has let the signal fade as (gamma lambda)^k, lambda 1 has not. */
static void long_completions(void) {
  enum { LONG = 100 };
  double ones[LONG], zeros[LONG] = {0}, rewards[LONG] = {0}, faded[LONG], kept[LONG];
  const int64_t from[1] = {0}, to[1] = {1};
  for (int t = 0; t < LONG; t++) ones[t] = 1;
  rewards[LONG - 1] = 1;
  const cohort_policy_rollouts all = {
      .completions = 1, .groups = 1, .width = LONG, .first = from, .last = to, .mask = ones, .value = zeros};
  cohort_experience_gae(&all, 1, (double[]){0.95}, rewards, faded);
  cohort_experience_gae(&all, 1, (double[]){1}, rewards, kept);
  CU_ASSERT_DOUBLE_EQUAL(faded[0], pow(0.95, LONG - 1), 1e-12);
  CU_ASSERT_EQUAL(kept[0], 1);
}

static void whitened(void) {
  double x[TOKENS], sum = 0, squares = 0, mean = 0;
  int count = 0;
  const cohort_policy_rollouts rollouts = rollouts_of(one);
  for (int t = 0; t < TOKENS; t++) {
    x[t] = mask[t] > 0 ? 3 + 0.5 * (t % 5) : 1e6;
    if (mask[t] > 0) mean += x[t], count++;
  }
  double shifted[TOKENS];
  memcpy(shifted, x, sizeof shifted);
  cohort_experience_whiten(&rollouts, false, x);
  cohort_experience_whiten(&rollouts, true, shifted);
  for (int t = 0; t < TOKENS; t++) {
    if (mask[t] == 0) {
      CU_ASSERT_EQUAL(x[t], 1e6);
      continue;
    }
    sum += x[t];
    squares += x[t] * x[t];
    CU_ASSERT_DOUBLE_EQUAL(shifted[t] - x[t], mean / count, 1e-12);
  }
  CU_ASSERT_DOUBLE_EQUAL(sum, 0, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(squares / (count - 1), 1, 1e-6);
}

static void divergences(void) {
  CU_ASSERT_DOUBLE_EQUAL(cohort_experience_kl(COHORT_KL_K1, 0.3), 0.3, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(cohort_experience_kl(COHORT_KL_K2, 0.3), 0.045, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(cohort_experience_kl(COHORT_KL_K3, 0.3), 0.040818221, 1e-9);
  CU_ASSERT_DOUBLE_EQUAL(cohort_experience_kl(COHORT_KL_K3, -0.3), 0.049858808, 1e-9);
}

/* The KL is taken off every token, the reward stands at the last that counts; the weight moves towards its target. */
static void shaped(void) {
  double old[TOKENS], reference[TOKENS], score[COMPLETIONS], room[2 * TOKENS], next[COHORT_POLICY_STATES] = {0.1};
  const double reward[COMPLETIONS] = {1, 2, 3, 4};
  const cohort_shaping shaping = {.kl = 0.1, .target = 0.1, .horizon = 100};
  cohort_policy_rollouts rollouts = rollouts_of(reward);
  cohort_policy_experience out = {.score = score, .room = room, .next = next};
  for (int t = 0; t < TOKENS; t++) {
    old[t] = -1;
    reference[t] = -1.5;
  }
  rollouts.old = old;
  rollouts.reference = reference;
  cohort_experience_shape(&shaping, &rollouts, &out);
  CU_ASSERT_DOUBLE_EQUAL(score[0], 1 - 0.1 * 5 * 0.5, 1e-14);
  CU_ASSERT_DOUBLE_EQUAL(room[2 * WIDTH], 3 - 0.05, 1e-14); /* one token alone */
  CU_ASSERT_DOUBLE_EQUAL(room[WIDTH + 3], 2 - 0.05, 1e-14);
  CU_ASSERT_EQUAL(room[WIDTH + 4], 0);
  CU_ASSERT_DOUBLE_EQUAL(next[0], 0.1 * (1 + 0.2 * COMPLETIONS / 100), 1e-15); /* far above: the step is held at 0.2 */
}

static void penalties(void) {
  const double reward[COMPLETIONS] = {12, -12, 1, 1};
  const bool ended[COMPLETIONS] = {false, true, true, true};
  const cohort_shaping shaping = {.clip = 10, .missing_end = 0.5, .overlong = 2, .buffer = 4};
  cohort_policy_rollouts rollouts = rollouts_of(reward);
  double out[COMPLETIONS];
  rollouts.ended = ended;
  cohort_experience_rewards(&shaping, &rollouts, out);
  CU_ASSERT_DOUBLE_EQUAL(out[0], 10 - 0.5 - 2, 1e-15); /* five of five tokens */
  CU_ASSERT_DOUBLE_EQUAL(out[1], -10 - 1, 1e-15);      /* three: two of the four at the end */
  CU_ASSERT_DOUBLE_EQUAL(out[2], 1, 1e-15);
}

static const check checks[] = {{"advantages of groups", advantages_of_groups},
                               {"advantages over the batch", advantages_of_batches},
                               {"several rewards", several_rewards},
                               {"advantages over time", advantages_over_time},
                               {"long completions", long_completions},
                               {"whitening", whitened},
                               {"divergences", divergences},
                               {"shaping", shaped},
                               {"penalties", penalties}};

int main(void) { return check_run("experience", checks, sizeof checks / sizeof *checks); }
