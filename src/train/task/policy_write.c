/* Completions of a batch's prompts, by the lanes, and their rewards.
 *
 *   weights whole on every rank -> lanes write their own prompts' completions, side by side -> every rank's rewards
 *
 * Invariant: a completion is a function of (seed, prompt, number in the group, weights). Costs a forward pass of a row
 * for each token of the longest completion, with all completions of a lane side by side. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/task/policy.h"

/* Of the draws of a completion: a function of its prompt and its number in the group. */
static uint64_t stream_of(int64_t prompt, int64_t number) { return ((uint64_t)prompt << 16) + (uint64_t)number; }

/* What lanes write with: `count` completions of each of their prompts, the likeliest ones instead of drawn ones where
 * that is 1 and so said. */
typedef struct writing {
  const cohort_policy_data *own;
  const cohort_task_stage *stage;
  cohort_policy_batch *batch;
  cohort_rollout *rollout;
  int64_t count;
  double resets; /* share of them that begin with the data's tokens */
  cohort_random_key key;
  int64_t room; /* of a completion: behind the longest prefix stands the longest completion, of which the rest is cut */
  int32_t *token;         /* [batch][count][room] */
  int64_t *length, *skip; /* [batch][count] */
} writing;

/* How many of the data's tokens completion `number` of a prompt begins with: a function of (seed, prompt, number). */
static int64_t prefix_of(const writing *work, int64_t prompt, int64_t number) {
  const int64_t most = work->own->settings->completion;
  const uint64_t stream = stream_of(prompt, number);
  if (most < 2 || cohort_random_uniform(cohort_random_word(work->key, stream, 0)) >= work->resets) return 0;
  return 1 + cohort_random_below(cohort_random_word(work->key, stream, 1), (uint32_t)(most - 1));
}

static void write_lane(void *argument, int executor, int slot, int lane, int phase, const cohort_lane_row *row,
                       double *scalars) {
  const writing *work = argument;
  const cohort_policy_data *own = work->own;
  const int64_t most = own->settings->completion, length = own->settings->prompt;
  (void)slot, (void)phase, (void)row;
  int64_t first, last;
  cohort_lane_samples(work->stage->samples, work->stage->lanes, lane, &first, &last);
  const int64_t texts = (last - first) * work->count;
  cohort_rollout_text *text = cohort_allocate((size_t)(texts + 1) * sizeof *text);
  for (int64_t i = 0; i < texts; i++) {
    const int64_t at = first * work->count + i, prompt = work->batch->prompt[at / work->count * own->kept];
    const int64_t skip = work->skip[at] = prefix_of(work, prompt, i % work->count);
    memcpy(work->token + at * work->room, own->tokens + (prompt + 1) * length, (size_t)skip * sizeof *work->token);
    text[i] = (cohort_rollout_text){.prompt = own->tokens + prompt * length,
                                    .prompt_tokens = length + skip,
                                    .stream = stream_of(prompt, i % work->count),
                                    .completion = work->token + at * work->room + skip};
  }
  scalars[0] = 0;
  if (!cohort_rollout_write(work->rollout, executor, texts, text, work->stage->stop)) scalars[COHORT_LANE_LEFT] = 1;
  for (int64_t i = 0; i < texts; i++) {
    const int64_t at = first * work->count + i, whole = work->skip[at] + text[i].length;
    work->length[at] = whole < most ? whole : most;
  }
  free(text);
}

static cohort_status write_all(writing *work, cohort_error *error) {
  const cohort_lane_work lanes = {.argument = work, .phases = 1, .scalars = 1, .run = write_lane};
  double sums[1];
  cohort_lane_engine_run(work->stage->engine, &lanes, sums, NULL, NULL);
  return cohort_lane_engine_left(work->stage->engine) ? cohort_fail(error, COHORT_STOPPED, "stopped") : COHORT_DONE;
}

void cohort_policy_own_range(const cohort_policy_data *own, const cohort_task_stage *stage, int64_t *first,
                             int64_t *last) {
  int first_lane, last_lane;
  int64_t begin, end;
  cohort_lane_engine_own(stage->engine, &first_lane, &last_lane);
  cohort_lane_samples(stage->samples, stage->lanes, first_lane, first, &end);
  cohort_lane_samples(stage->samples, stage->lanes, last_lane - 1, &begin, last);
  *first *= own->kept;
  *last *= own->kept;
}

static bool has_ended(const cohort_policy_data *own, const int32_t *token, int64_t length) {
  return length > 0 && cohort_stops_reached(&own->stops, token, length) != COHORT_FINISH_NOT;
}

/* Of this rank's completions: reward[rewards][its completions], each in the place of `at`. */
static cohort_status reward_all(const writing *work, cohort_rewards *const *rewards, double **out, int64_t *begin,
                                int64_t *end, cohort_error *error) {
  const cohort_policy_data *own = work->own;
  cohort_policy_own_range(own, work->stage, begin, end);
  *begin = *begin / own->kept * work->count;
  *end = *end / own->kept * work->count;
  const int64_t count = *end - *begin;
  cohort_rewards_text *text = cohort_allocate((size_t)(count + 1) * sizeof *text);
  for (int64_t i = 0; i < count; i++) {
    const int64_t at = *begin + i, prompt = work->batch->prompt[at / work->count * own->kept];
    text[i] = (cohort_rewards_text){.prompt = own->tokens + prompt * own->settings->prompt,
                                    .prompt_tokens = own->settings->prompt,
                                    .completion = work->token + at * work->room,
                                    .tokens = work->length[at]};
    text[i].ended = has_ended(own, text[i].completion, text[i].tokens);
  }
  *out = cohort_allocate((size_t)(count * own->rewards + 1) * sizeof **out);
  cohort_status status = COHORT_DONE;
  for (int k = 0; k < own->rewards && status == COHORT_DONE; k++)
    status = cohort_rewards_score(rewards[k], count, text, work->stage->stop, *out + k * count, error);
  free(text);
  return status;
}

static void put_completion(const writing *work, int64_t at, int64_t sequence) {
  const cohort_policy_data *own = work->own;
  const int64_t most = own->settings->completion, length = work->length[at];
  const int32_t *token = work->token + at * work->room;
  work->batch->skip[sequence] = work->skip[at];
  for (int64_t t = 0; t < most; t++) work->batch->token[sequence * most + t] = t < length ? token[t] : -1;
  work->batch->length[sequence] = length;
  work->batch->ended[sequence] = has_ended(own, token, length);
}

/* The data's own continuation of a prompt. */
static void put_data(const cohort_policy_data *own, cohort_policy_batch *batch, int64_t sequence) {
  const int64_t most = own->settings->completion;
  const int32_t *token = own->tokens + (batch->prompt[sequence] + 1) * own->settings->prompt;
  for (int64_t t = 0; t < most; t++) batch->token[sequence * most + t] = token[t];
  batch->length[sequence] = most;
  batch->ended[sequence] = batch->skip[sequence] = 0;
  for (int k = 0; k < own->rewards; k++) batch->reward[sequence * own->rewards + k] = 0;
}

static void put_written(const writing *work, const double *reward, int64_t begin, int64_t end) {
  const cohort_policy_data *own = work->own;
  const int64_t count = end - begin;
  for (int64_t at = begin; at < end; at++) {
    const int64_t sequence = at / work->count * own->kept + at % work->count;
    put_completion(work, at, sequence);
    for (int k = 0; k < own->rewards; k++)
      work->batch->reward[sequence * own->rewards + k] = reward[k * count + at - begin];
  }
  if (!cohort_policy_has(own, COHORT_POLICY_DATA)) return;
  for (int64_t g = begin / work->count; g < end / work->count; g++)
    put_data(own, work->batch, g * own->kept + work->count);
}

static void put_greedy(const writing *work, const double *reward, int64_t begin, int64_t end) {
  const cohort_policy_data *own = work->own;
  const int64_t count = end - begin;
  for (int64_t at = begin; at < end; at++) {
    double sum = 0;
    for (int k = 0; k < own->rewards; k++) sum += own->weight[k] * reward[k * count + at - begin];
    for (int64_t i = 0; i < own->kept; i++) work->batch->greedy[at * own->kept + i] = sum;
  }
}

static cohort_status write_and_reward(writing *work, cohort_rewards *const *rewards, bool greedy, cohort_error *error) {
  const cohort_policy_data *own = work->own;
  const int64_t texts = work->stage->samples * work->count;
  work->room = (work->resets > 0 ? 2 : 1) * own->settings->completion;
  work->token = cohort_allocate((size_t)(texts * work->room) * sizeof *work->token);
  work->length = cohort_allocate(2 * (size_t)texts * sizeof *work->length);
  work->skip = work->length + texts;
  double *reward = NULL;
  int64_t begin, end;
  cohort_status status = write_all(work, error);
  if (status == COHORT_DONE) status = reward_all(work, rewards, &reward, &begin, &end, error);
  if (status == COHORT_DONE) (greedy ? put_greedy : put_written)(work, reward, begin, end);
  free(reward);
  free(work->token);
  free(work->length);
  return status;
}

static cohort_rollout_options options_of(const cohort_task *task, int lanes, cohort_isa isa, int executors,
                                         int threads) {
  const cohort_policy_data *own = task->own;
  const int64_t capacity = (task->settings->batch + lanes - 1) / lanes;
  return (cohort_rollout_options){
      .model = &task->model,
      .data = &task->model_data,
      .adapter = task->settings->lora ? &task->adapter : NULL,
      .kernels =
          task->settings->precision ? cohort_kernels_bf16(isa, cohort_processor_bf16()) : cohort_kernels_float32(isa),
      .writers = executors,
      .threads = threads,
      .texts = capacity * own->settings->group,
      .prompt = own->settings->prompt + (own->resets > 0 ? own->settings->completion : 0),
      .completion = own->settings->completion,
      .stops = own->stops,
      .how = own->settings->how,
      .key = cohort_random_key_derive_name(cohort_random_key_from_seed((uint64_t)task->settings->seed), "rollout")};
}

double cohort_policy_bytes(const cohort_task *task, int lanes, cohort_isa isa, int executors, int threads) {
  const cohort_policy_data *own = task->own;
  cohort_rollout_options options = options_of(task, lanes, isa, executors, threads);
  const double tokens = (double)own->sequences * (double)own->settings->completion;
  /* The batch, and what experience reads and makes of it. */
  const double numbers = tokens * (sizeof(int64_t) + COHORT_SCORED_COLUMNS * sizeof(float) + 9 * sizeof(double));
  double bytes = cohort_rollout_bytes(&options) + numbers;
  options.texts /= own->settings->group;
  return bytes + (cohort_policy_has(own, COHORT_POLICY_GREEDY) ? cohort_rollout_bytes(&options) : 0);
}

static cohort_status make_rollouts(cohort_task *task, const cohort_task_stage *stage, const cohort_space *space,
                                   const cohort_space *adapter, cohort_error *error) {
  cohort_policy_data *own = task->own;
  cohort_rollout_options options =
      options_of(task, stage->lanes, stage->isa, cohort_lane_engine_executors(stage->engine),
                 cohort_lane_engine_executor_threads(stage->engine));
  options.space = (cohort_space *)(uintptr_t)space;
  options.adapter_space = adapter;
  options.kernels = stage->kernels;
  COHORT_TRY(cohort_rollout_create(&options, &own->rollout, error));
  if (!cohort_policy_has(own, COHORT_POLICY_GREEDY)) return COHORT_DONE;
  options.texts /= own->settings->group;
  options.how.temperature = 0;
  return cohort_rollout_create(&options, &own->likeliest, error);
}

cohort_status cohort_policy_write(cohort_task *task, const cohort_task_stage *stage, cohort_policy_batch *batch,
                                  cohort_error *error) {
  cohort_policy_data *own = task->own;
  const cohort_space *space = NULL, *adapter = NULL;
  COHORT_TRY(stage->weights(stage->run, task->model_space, &space, error));
  if (task->settings->lora) COHORT_TRY(stage->weights(stage->run, task->adapter.space, &adapter, error));
  const cohort_status made = own->rollout ? COHORT_DONE : make_rollouts(task, stage, space, adapter, error);
  COHORT_TRY(cohort_comm_agree_error(stage->comm, made, error));
  writing work = {
      .own = own,
      .stage = stage,
      .batch = batch,
      .rollout = own->rollout,
      .count = own->settings->group,
      .resets = own->resets,
      .key = cohort_random_key_derive_name(cohort_random_key_from_seed((uint64_t)task->settings->seed), "reset")};
  COHORT_TRY(write_and_reward(&work, own->reward, false, error));
  if (!cohort_policy_has(own, COHORT_POLICY_GREEDY)) return COHORT_DONE;
  work.rollout = own->likeliest;
  work.count = 1;
  work.resets = 0;
  return write_and_reward(&work, own->greedy, true, error);
}
