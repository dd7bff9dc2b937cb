/* A rollout as the method's experience reads it, in float64, and what is reported of it. Invariant: every rank has the
 * whole rollout, and so the same bits. Costs a pass over the batch's tokens, and their memory as float64 a few times.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/task/policy.h"

/* In the order of the numbers of cohort_policy_data.report. */
typedef enum {
  REWARD,
  REWARD_STD,
  ZERO_STD,
  MEAN_LENGTH,
  MIN_LENGTH,
  MAX_LENGTH,
  CLIPPED,
  KL,
  DROPPED,
  REPORTS
} report;
static const char *const report_names[] = {
    "policy/reward",          "policy/reward_std",      "policy/frac_reward_zero_std", "completions/mean_length",
    "completions/min_length", "completions/max_length", "completions/clipped_ratio",   "objective/kl",
    "policy/dropped_groups"};
_Static_assert((int)REPORTS <= (int)COHORT_POLICY_REPORTS, "room for the reports");

enum {
  TOKEN_ARRAYS = 9,
  COMPLETION_ARRAYS = 5
}; /* mask, 4 scored, advantage, target, room twice; score, 4 of scratch */

void cohort_policy_make_experience(cohort_policy_data *own, int64_t batch) {
  const int64_t all = own->sequences, tokens = all * own->settings->completion;
  const int64_t count = TOKEN_ARRAYS * tokens + (COMPLETION_ARRAYS + own->rewards) * all + batch + COHORT_POLICY_STATES;
  double *next = own->numbers = cohort_allocate((size_t)count * sizeof *next);
  int64_t *first = cohort_allocate(2 * (size_t)batch * sizeof *first);
  bool *ended = cohort_allocate((size_t)all * sizeof *ended);
  cohort_policy_rollouts *in = &own->rollouts;
  *in = (cohort_policy_rollouts){.completions = all,
                                 .groups = batch,
                                 .width = own->settings->completion,
                                 .first = first,
                                 .last = first + batch,
                                 .ended = ended,
                                 .rewards = own->rewards,
                                 .weight = own->weight,
                                 .state = own->state};
  for (int64_t g = 0; g < batch; g++) {
    first[g] = g * own->kept;
    first[batch + g] = first[g] + own->settings->group;
  }
  in->mask = next, next += tokens;
  if (own->scores) in->old = next;
  next += tokens;
  if (cohort_policy_scores(own, COHORT_SCORED_REFERENCE)) in->reference = next;
  next += tokens;
  if (cohort_policy_scores(own, COHORT_SCORED_VALUE)) in->value = next;
  next += tokens;
  if (cohort_policy_scores(own, COHORT_SCORED_GUIDE)) in->guide = next;
  next += tokens;
  own->experience.advantage = next, next += tokens;
  own->experience.target = next, next += tokens;
  own->experience.room = next, next += 2 * tokens;
  own->experience.score = next, next += all;
  own->experience.completion = next, next += 4 * all;
  in->reward = next, next += own->rewards * all;
  if (cohort_policy_has(own, COHORT_POLICY_GREEDY)) in->greedy = next;
  next += batch;
  own->experience.next = next;
}

void cohort_policy_release_experience(cohort_policy_data *own) {
  free(own->numbers);
  free((void *)(uintptr_t)own->rollouts.first);
  free((void *)(uintptr_t)own->rollouts.ended);
}

static double *writable(const double *array) { return (double *)(uintptr_t)array; }

static void widen(const cohort_policy_data *own, const float *from, const double *to) {
  for (int64_t t = 0; to && t < own->sequences * own->settings->completion; t++) writable(to)[t] = from[t];
}

static void fill(cohort_policy_data *own) {
  const cohort_policy_batch *batch = &own->batch;
  const cohort_policy_rollouts *in = &own->rollouts;
  const int64_t most = own->settings->completion;
  for (int64_t c = 0; c < own->sequences; c++) {
    for (int64_t t = 0; t < most; t++) writable(in->mask)[c * most + t] = t >= batch->skip[c] && t < batch->length[c];
    for (int k = 0; k < own->rewards; k++)
      writable(in->reward)[k * own->sequences + c] = batch->reward[c * own->rewards + k];
    ((bool *)(uintptr_t)in->ended)[c] = batch->ended[c] != 0;
  }
  for (int64_t g = 0; in->greedy && g < in->groups; g++) writable(in->greedy)[g] = batch->greedy[g * own->kept];
  widen(own, batch->scored[COHORT_SCORED_OLD], in->old);
  widen(own, batch->scored[COHORT_SCORED_REFERENCE], in->reference);
  widen(own, batch->scored[COHORT_SCORED_VALUE], in->value);
  widen(own, batch->scored[COHORT_SCORED_GUIDE], in->guide);
}

static double weighted_reward(const cohort_policy_data *own, int64_t c) {
  double sum = 0;
  for (int k = 0; k < own->rewards; k++) sum += own->weight[k] * own->batch.reward[c * own->rewards + k];
  return sum;
}

/* Of one group: its mean, and the deviation. */
static void measure_group(const cohort_policy_data *own, int64_t g, double *mean, double *deviation) {
  const int64_t count = own->settings->group;
  double squares = 0;
  *mean = 0;
  for (int64_t i = 0; i < count; i++) *mean += weighted_reward(own, g * own->kept + i) / (double)count;
  for (int64_t i = 0; i < count; i++) squares += pow(weighted_reward(own, g * own->kept + i) - *mean, 2);
  *deviation = count > 1 ? sqrt(squares / (double)(count - 1)) : 0;
}

static double sequence_kl(const cohort_policy_data *own, int64_t c) {
  const cohort_policy_rollouts *in = &own->rollouts;
  double sum = 0;
  for (int64_t t = c * in->width; t < (c + 1) * in->width; t++)
    if (in->mask[t] > 0) sum += in->old[t] - in->reference[t];
  return sum;
}

/* Of completions that were written. */
static void measure(cohort_policy_data *own) {
  const cohort_policy_rollouts *in = &own->rollouts;
  double *out = own->report, mean, deviation;
  const double groups = (double)in->groups, written = groups * (double)own->settings->group;
  memset(out, 0, REPORTS * sizeof *out);
  out[MIN_LENGTH] = INFINITY;
  for (int64_t g = 0; g < in->groups; g++) {
    measure_group(own, g, &mean, &deviation);
    out[REWARD] += mean / groups;
    out[REWARD_STD] += deviation / groups;
    out[ZERO_STD] += (deviation < 1e-8) / groups;
    for (int64_t c = in->first[g]; c < in->last[g]; c++) {
      const double length = (double)own->batch.length[c];
      out[MEAN_LENGTH] += length / written;
      out[MIN_LENGTH] = fmin(out[MIN_LENGTH], length);
      out[MAX_LENGTH] = fmax(out[MAX_LENGTH], length);
      out[CLIPPED] += (own->batch.ended[c] == 0) / written;
      if (in->reference) out[KL] += sequence_kl(own, c) / written;
    }
  }
  out[DROPPED] = (double)(own->next_drawn - own->drawn) - groups;
  memcpy(out + COHORT_POLICY_REPORTS, own->state, sizeof own->state);
}

void cohort_policy_run_experience(cohort_policy_data *own, int64_t number) {
  const cohort_policy *functions = own->loss.method->functions;
  const cohort_policy_rollouts *in = &own->rollouts;
  const size_t tokens = (size_t)(in->completions * in->width);
  int64_t count = 0;
  own->rollouts.number = number;
  fill(own);
  memset(own->experience.advantage, 0, tokens * sizeof(double));
  memset(own->experience.target, 0, tokens * sizeof(double));
  memset(own->experience.score, 0, (size_t)in->completions * sizeof(double));
  memcpy(own->experience.next, own->state, sizeof own->state);
  functions->experience(own->loss.config, in, &own->experience);
  for (int64_t c = 0; c < own->sequences; c++) count += own->batch.length[c] - own->batch.skip[c];
  own->share = (double)own->sequences / (double)(count > 0 ? count : 1);
  measure(own);
}

void cohort_policy_list_metrics(cohort_task *task, cohort_policy_data *own) {
  const cohort_policy *functions = own->loss.method->functions;
  bool has[COHORT_POLICY_COLUMNS];
  cohort_policy_columns(task, has);
  for (int i = 0; i < COHORT_POLICY_COLUMNS; i++)
    if (has[i]) cohort_task_add_metric(task, own->source, functions->column[i], i);
  cohort_task_add_metric(task, own->source, "policy/entropy", COHORT_POLICY_ENTROPY_MEAN);
  for (int r = 0; r < REPORTS; r++) {
    if (r == KL && !own->rollouts.reference) continue;
    if (r == DROPPED && own->settings->resample == 0) continue;
    cohort_task_add_metric(task, own->source, report_names[r], COHORT_POLICY_OF_ROLLOUT + r);
  }
  for (int i = 0; cohort_policy_has(own, COHORT_POLICY_KEEPS) && i < cohort_policy_states(own->loss.method); i++)
    cohort_task_add_metric(task, own->source, functions->state[i],
                           COHORT_POLICY_OF_ROLLOUT + COHORT_POLICY_REPORTS + i);
}

void cohort_policy_derive(const cohort_task *task, cohort_split split, int64_t count, const double *sums, double loss,
                          double *columns) {
  const cohort_policy_data *own = task->own;
  (void)split, (void)loss;
  for (int m = 0; m < task->metrics; m++)
    columns[m] = own->source[m] < COHORT_POLICY_OF_ROLLOUT ? sums[m] / (double)count
                                                           : own->report[own->source[m] - COHORT_POLICY_OF_ROLLOUT];
}
