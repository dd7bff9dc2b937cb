/* Rewards become advantages: shaping, centring, scaling, discounting, whitening. Invariant: sums run in the order of
 * the completions, then of their tokens, whatever the rank, so every rank has the same bits. Costs a pass over the
 * completions, or over their tokens, each. */
#include "method/policy/experience/experience.h"

#include <math.h>
#include <string.h>

const char *const cohort_kl_estimators[] = {"k1", "k2", "k3", NULL};

double cohort_experience_kl(cohort_kl_estimator estimator, double d) {
  if (estimator == COHORT_KL_K1) return d;
  return estimator == COHORT_KL_K2 ? d * d / 2 : expm1(-d) + d;
}

unsigned cohort_shaping_needs(const cohort_shaping *shaping) {
  if (shaping->kl == 0) return 0;
  return COHORT_POLICY_REFERENCE | COHORT_POLICY_SCORED | (shaping->target > 0 ? COHORT_POLICY_KEEPS : 0);
}

void cohort_shaping_begin(const cohort_shaping *shaping, double *state) { state[0] = shaping->kl; }

static int64_t length_of(const cohort_policy_rollouts *own, int64_t c) {
  int64_t count = 0;
  for (int64_t t = 0; t < own->width; t++) count += own->mask[c * own->width + t] > 0;
  return count;
}

static double penalty_of(const cohort_shaping *shaping, const cohort_policy_rollouts *own, int64_t c) {
  double penalty = own->ended && !own->ended[c] ? shaping->missing_end : 0;
  const int64_t over = shaping->buffer > 0 ? length_of(own, c) - (own->width - shaping->buffer) : 0;
  if (over > 0) penalty += shaping->overlong * (double)over / (double)shaping->buffer;
  return penalty;
}

void cohort_experience_rewards(const cohort_shaping *shaping, const cohort_policy_rollouts *own, double *reward) {
  memset(reward, 0, (size_t)own->completions * sizeof *reward);
  for (int64_t g = 0; g < own->groups; g++)
    for (int64_t c = own->first[g]; c < own->last[g]; c++) {
      for (int k = 0; k < own->rewards; k++) reward[c] += own->weight[k] * own->reward[k * own->completions + c];
      if (shaping->clip > 0) reward[c] = fmax(-shaping->clip, fmin(shaping->clip, reward[c]));
      reward[c] -= penalty_of(shaping, own, c);
    }
}

static double log_ratio(const cohort_shaping *shaping, const cohort_policy_rollouts *own, int64_t at) {
  const double d = own->old[at] - own->reference[at];
  return shaping->clamp > 0 ? fmax(-shaping->clamp, fmin(shaping->clamp, d)) : d;
}

static double completion_kl(const cohort_shaping *shaping, const cohort_policy_rollouts *own, int64_t c) {
  double sum = 0;
  for (int64_t at = c * own->width; at < (c + 1) * own->width; at++)
    if (own->mask[at] > 0)
      sum += cohort_experience_kl((cohort_kl_estimator)shaping->estimator, log_ratio(shaping, own, at));
  return sum;
}

static int64_t written(const cohort_policy_rollouts *own) {
  int64_t count = 0;
  for (int64_t g = 0; g < own->groups; g++) count += own->last[g] - own->first[g];
  return count;
}

double cohort_experience_mean_kl(const cohort_shaping *shaping, const cohort_policy_rollouts *own) {
  double sum = 0;
  for (int64_t g = 0; g < own->groups; g++)
    for (int64_t c = own->first[g]; c < own->last[g]; c++) sum += completion_kl(shaping, own, c);
  return sum / (double)written(own);
}

static int64_t last_token(const cohort_policy_rollouts *own, int64_t c) {
  int64_t t = own->width - 1;
  while (t >= 0 && own->mask[c * own->width + t] == 0) t--;
  return t;
}

void cohort_experience_token_rewards(const cohort_shaping *shaping, const cohort_policy_rollouts *own,
                                     const double *reward, double *tokens, double *next) {
  const double weight = own->state[0];
  for (int64_t c = 0; c < own->completions; c++) {
    const int64_t last = last_token(own, c);
    for (int64_t t = 0; t < own->width; t++) {
      const int64_t at = c * own->width + t;
      tokens[at] = 0;
      if (own->mask[at] == 0) continue;
      tokens[at] = own->token_reward ? own->token_reward[at] : t == last ? reward[c] : 0;
      if (shaping->kl > 0)
        tokens[at] -=
            weight * cohort_experience_kl((cohort_kl_estimator)shaping->estimator, log_ratio(shaping, own, at));
    }
  }
  if (shaping->kl == 0 || shaping->target == 0) return;
  const double error = cohort_experience_mean_kl(shaping, own) / shaping->target - 1;
  next[0] = weight * (1 + fmax(-0.2, fmin(0.2, error)) * (double)written(own) / shaping->horizon);
}

void cohort_experience_totals(const cohort_policy_rollouts *own, const double *tokens, double *sums) {
  for (int64_t c = 0; c < own->completions; c++) {
    sums[c] = 0;
    for (int64_t at = c * own->width; at < (c + 1) * own->width; at++)
      if (own->mask[at] > 0) sums[c] += tokens[at];
  }
}

void cohort_experience_shape(const cohort_shaping *shaping, const cohort_policy_rollouts *own,
                             cohort_policy_experience *out) {
  cohort_experience_rewards(shaping, own, out->score);
  cohort_experience_token_rewards(shaping, own, out->score, out->room, out->next);
  cohort_experience_totals(own, out->room, out->score);
}

double cohort_experience_mean(int64_t count, const double *x) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += x[i];
  return count > 0 ? sum / (double)count : 0;
}

double cohort_experience_deviation(int64_t count, const double *x) {
  const double mean = cohort_experience_mean(count, x);
  double squares = 0;
  for (int64_t i = 0; i < count; i++) squares += (x[i] - mean) * (x[i] - mean);
  return count > 1 ? sqrt(squares / (double)(count - 1)) : 0;
}

/* Of all that were written. */
static double batch_mean(const cohort_policy_rollouts *own, const double *x) {
  double sum = 0;
  for (int64_t g = 0; g < own->groups; g++)
    for (int64_t c = own->first[g]; c < own->last[g]; c++) sum += x[c];
  return sum / (double)written(own);
}

static double batch_deviation(const cohort_policy_rollouts *own, const double *x) {
  const int64_t count = written(own);
  const double mean = batch_mean(own, x);
  double squares = 0;
  for (int64_t g = 0; g < own->groups; g++)
    for (int64_t c = own->first[g]; c < own->last[g]; c++) squares += (x[c] - mean) * (x[c] - mean);
  return count > 1 ? sqrt(squares / (double)(count - 1)) : 0;
}

void cohort_experience_centre(cohort_baseline baseline, const cohort_policy_rollouts *own, double *x) {
  const double all = baseline == COHORT_BASELINE_BATCH ? batch_mean(own, x) : 0;
  for (int64_t g = 0; g < own->groups; g++) {
    double *of = x + own->first[g];
    const int64_t count = own->last[g] - own->first[g];
    const double mean = cohort_experience_mean(count, of);
    for (int64_t i = 0; i < count; i++) {
      if (baseline == COHORT_BASELINE_GROUP) of[i] -= mean;
      if (baseline == COHORT_BASELINE_BATCH) of[i] -= all;
      if (baseline == COHORT_BASELINE_OTHERS && count > 1)
        of[i] = (of[i] - mean) * (double)count / (double)(count - 1); /* x - (count mean - x) / (count - 1) */
    }
  }
}

void cohort_experience_scale(cohort_reward_scale scale, const cohort_policy_rollouts *own, double epsilon,
                             const double *of, double *x) {
  if (scale == COHORT_SCALE_NONE) return;
  const double all = scale == COHORT_SCALE_BATCH ? batch_deviation(own, of) : 0;
  for (int64_t g = 0; g < own->groups; g++) {
    const int64_t first = own->first[g], last = own->last[g];
    const double deviation = scale == COHORT_SCALE_BATCH ? all : cohort_experience_deviation(last - first, of + first);
    for (int64_t c = first; c < last; c++) x[c] /= deviation + epsilon;
  }
}

void cohort_experience_normalise_then_sum(const cohort_policy_rollouts *own, double epsilon, double *room,
                                          double *advantage) {
  memset(advantage, 0, (size_t)own->completions * sizeof *advantage);
  for (int k = 0; k < own->rewards; k++) {
    const double *reward = own->reward + k * own->completions;
    memcpy(room, reward, (size_t)own->completions * sizeof *room);
    cohort_experience_centre(COHORT_BASELINE_GROUP, own, room);
    cohort_experience_scale(COHORT_SCALE_GROUP, own, epsilon, reward, room);
    for (int64_t c = 0; c < own->completions; c++) advantage[c] += own->weight[k] * room[c];
  }
  memcpy(room, advantage, (size_t)own->completions * sizeof *room);
  cohort_experience_centre(COHORT_BASELINE_BATCH, own, advantage);
  cohort_experience_scale(COHORT_SCALE_BATCH, own, epsilon, room, advantage);
}

void cohort_experience_spread(const cohort_policy_rollouts *own, const double *completions, double *tokens) {
  for (int64_t c = 0; c < own->completions; c++)
    for (int64_t at = c * own->width; at < (c + 1) * own->width; at++)
      tokens[at] = own->mask[at] > 0 ? completions[c] : 0;
}

void cohort_experience_gae(const cohort_policy_rollouts *own, double gamma, const double *lambda, const double *rewards,
                           double *advantage) {
  for (int64_t c = 0; c < own->completions; c++) {
    double next_value = 0, next = 0;
    for (int64_t t = own->width - 1; t >= 0; t--) {
      const int64_t at = c * own->width + t;
      if (own->mask[at] == 0) continue;
      next = rewards[at] + gamma * next_value - own->value[at] + gamma * lambda[c] * next;
      next_value = own->value[at];
      advantage[at] = next;
    }
  }
}

void cohort_experience_returns(const cohort_policy_rollouts *own, double gamma, double *tokens) {
  for (int64_t c = 0; c < own->completions; c++) {
    double next = 0;
    for (int64_t t = own->width - 1; t >= 0; t--) {
      const int64_t at = c * own->width + t;
      if (own->mask[at] > 0) next = tokens[at] += gamma * next;
    }
  }
}

void cohort_experience_whiten(const cohort_policy_rollouts *own, bool keep_mean, double *tokens) {
  const int64_t all = own->completions * own->width;
  double sum = 0, squares = 0;
  int64_t count = 0;
  for (int64_t at = 0; at < all; at++)
    if (own->mask[at] > 0) sum += tokens[at], count++;
  if (count < 2) return;
  const double mean = sum / (double)count;
  for (int64_t at = 0; at < all; at++)
    if (own->mask[at] > 0) squares += (tokens[at] - mean) * (tokens[at] - mean);
  const double scale = 1 / sqrt(squares / (double)(count - 1) + 1e-8);
  for (int64_t at = 0; at < all; at++)
    if (own->mask[at] > 0) tokens[at] = (tokens[at] - mean) * scale + (keep_mean ? mean : 0);
}
