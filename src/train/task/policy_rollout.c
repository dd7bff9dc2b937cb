/* Before a step of the policy task: completions are written, or those of the step before are fetched; their rewards and
 * advantages follow.
 *
 *   weights whole on every rank -> lanes write their samples' completions -> every rank's rewards -> row table
 *   "rollouts"
 *   later updates: a scoring pass keeps the old policy's log-probabilities in the table, before the first of them
 *   every step: a rank reads its own lanes' rows back, and the lengths of all -> advantages
 *
 * Invariant: what a step reads is what the table holds, so a run that was stopped between two updates goes on with the
 * same completions; they are a function of (seed, prompt, number in the group, weights). A rollout costs a forward pass
 * of a row for each token of the longest completion, with all completions of a lane side by side. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/task/policy.h"

int64_t cohort_policy_prompt(const cohort_task *task, int64_t position) {
  const cohort_policy_data *own = task->own;
  const int64_t batch = task->settings->batch, rollout = position / batch / own->settings->updates;
  return cohort_task_sample(task, rollout * batch + position % batch);
}

/* Of the draws of a completion: a function of its prompt and its number in the group. */
static uint64_t stream_of(int64_t prompt, int64_t number) { return ((uint64_t)prompt << 16) + (uint64_t)number; }

/* What lanes write with. */
typedef struct writing {
  cohort_task *task;
  const cohort_task_stage *stage;
} writing;

static void write_lane(void *argument, int executor, int slot, int lane, int phase, const cohort_lane_row *row,
                       double *scalars) {
  const writing *work = argument;
  const cohort_policy_data *own = work->task->own;
  const cohort_policy_settings *settings = own->settings;
  (void)slot, (void)phase, (void)row;
  int64_t first, last;
  cohort_lane_samples(work->stage->samples, work->stage->lanes, lane, &first, &last);
  const int64_t group = settings->group, texts = (last - first) * group, most = settings->completion;
  cohort_rollout_text *text = cohort_allocate((size_t)texts * sizeof *text);
  int32_t *tokens = cohort_allocate((size_t)(texts * most) * sizeof *tokens);
  for (int64_t i = 0; i < texts; i++) {
    const int64_t prompt = cohort_policy_prompt(work->task, own->first + first + i / group);
    text[i] = (cohort_rollout_text){.prompt = own->tokens + prompt * settings->prompt,
                                    .prompt_tokens = settings->prompt,
                                    .stream = stream_of(prompt, i % group),
                                    .completion = tokens + i * most};
  }
  if (!cohort_rollout_write(own->rollout, executor, texts, text, work->stage->stop)) scalars[COHORT_LANE_LEFT] = 1;
  for (int64_t i = 0; i < texts; i++) {
    const int64_t at = first * group + i;
    own->length[at] = text[i].length;
    for (int64_t t = 0; t < most; t++) own->completion[at * most + t] = t < text[i].length ? tokens[i * most + t] : -1;
  }
  free(tokens);
  free(text);
  scalars[0] = 0;
}

/* Completions of the whole batch, or of this rank's lanes: [first, last). */
static void own_range(const cohort_policy_data *own, const cohort_task_stage *stage, int64_t *first, int64_t *last) {
  int first_lane, last_lane;
  int64_t begin, end;
  cohort_lane_engine_own(stage->engine, &first_lane, &last_lane);
  cohort_lane_samples(stage->samples, stage->lanes, first_lane, first, &end);
  cohort_lane_samples(stage->samples, stage->lanes, last_lane - 1, &begin, last);
  *first *= own->settings->group;
  *last *= own->settings->group;
}

/* Of this rank's completions. */
static cohort_status reward_completions(const cohort_task *task, const cohort_task_stage *stage, cohort_error *error) {
  const cohort_policy_data *own = task->own;
  const cohort_policy_settings *settings = own->settings;
  const int64_t most = settings->completion;
  int64_t first, last;
  own_range(own, stage, &first, &last);
  const int64_t count = last - first;
  cohort_rewards_text *text = cohort_allocate((size_t)(count + 1) * sizeof *text);
  int32_t *tokens = cohort_allocate((size_t)(count * most + 1) * sizeof *tokens);
  for (int64_t t = 0; t < count * most; t++) tokens[t] = (int32_t)own->completion[first * most + t];
  for (int64_t i = 0; i < count; i++) {
    const int64_t c = first + i, prompt = cohort_policy_prompt(task, own->first + c / settings->group);
    const int end = cohort_tokenizer_end(own->tokenizer);
    text[i] = (cohort_rewards_text){.prompt = own->tokens + prompt * settings->prompt,
                                    .prompt_tokens = settings->prompt,
                                    .completion = tokens + i * most,
                                    .tokens = own->length[c]};
    text[i].ended = end >= 0 && text[i].tokens > 0 && text[i].completion[text[i].tokens - 1] == end;
  }
  const cohort_status status = cohort_rewards_score(own->rewards, count, text, stage->stop, own->reward + first, error);
  free(tokens);
  free(text);
  return status;
}

static int64_t *list_ids(const cohort_task *task, int64_t first, int64_t last) {
  const cohort_policy_data *own = task->own;
  const int64_t group = own->settings->group;
  int64_t *id = cohort_allocate((size_t)(last - first + 1) * sizeof *id);
  for (int64_t c = first; c < last; c++)
    id[c - first] = cohort_policy_prompt(task, own->first + c / group) * group + c % group;
  return id;
}

/* Own completions go into the table: all columns but the old policy's, or these alone. */
static void put_rows(const cohort_task *task, const cohort_task_stage *stage, bool old) {
  const cohort_policy_data *own = task->own;
  const int64_t most = own->settings->completion;
  int64_t first, last;
  own_range(own, stage, &first, &last);
  int64_t *id = list_ids(task, first, last), *position = cohort_allocate((size_t)(last - first + 1) * sizeof *position);
  for (int64_t c = first; c < last; c++) position[c - first] = c;
  const void *const written[] = {own->completion + first * most, own->length + first, own->reward + first, NULL};
  const void *const scored[] = {NULL, NULL, NULL, own->old + first * most};
  cohort_row_table_write(own->table, last - first, id, position, old ? scored : written, COHORT_ROW_LAST);
  free(position);
  free(id);
}

/* The rows of own lanes, and how many tokens the batch has. */
static void fetch_rows(const cohort_task *task, const cohort_task_stage *stage) {
  cohort_policy_data *own = task->own;
  const int64_t most = own->settings->completion, all = stage->samples * own->settings->group;
  int64_t first, last, tokens = 0;
  own_range(own, stage, &first, &last);
  int64_t *id = list_ids(task, 0, all);
  void *const lengths[] = {NULL, own->length, NULL, NULL};
  void *const rest[] = {own->completion + first * most, NULL, own->reward + first, own->old + first * most};
  cohort_row_table_read(own->table, all, id, lengths, NULL);
  cohort_row_table_read(own->table, last - first, id + first, rest, NULL);
  free(id);
  for (int64_t c = 0; c < all; c++) tokens += own->length[c];
  own->share = (double)all / (double)(tokens > 0 ? tokens : 1);
  const cohort_policy *functions = own->loss.method->functions;
  for (int64_t c = first; c < last; c += own->settings->group)
    functions->advantages(own->loss.config, own->settings->group, own->reward + c, own->advantage + c);
}

/* A lane's row holds its rows of tokens as feed has laid them out: of every sequence its prompt, then its completion.
 */
static void take_scores(const cohort_task *task, const cohort_task_stage *stage, const float *rows, int64_t elements) {
  cohort_policy_data *own = task->own;
  const cohort_policy_settings *settings = own->settings;
  int first_lane, last_lane;
  cohort_lane_engine_own(stage->engine, &first_lane, &last_lane);
  for (int lane = first_lane; lane < last_lane; lane++) {
    const float *row = rows + lane * elements;
    int64_t first, last;
    cohort_lane_samples(stage->samples, stage->lanes, lane, &first, &last);
    for (int64_t c = first * settings->group; c < last * settings->group; c++) {
      row += settings->prompt - 1;
      for (int64_t t = 0; t < settings->completion; t++)
        own->old[c * settings->completion + t] = t < own->length[c] ? row[t] : 0;
      row += own->length[c];
    }
  }
}

static cohort_rollout_options options_of(const cohort_task *task, int lanes, cohort_isa isa, int executors,
                                         int threads) {
  const cohort_policy_data *own = task->own;
  const int64_t capacity = (task->settings->batch + lanes - 1) / lanes;
  const int end = cohort_tokenizer_end(own->tokenizer);
  return (cohort_rollout_options){
      .model = &task->model,
      .data = &task->model_data,
      .adapter = task->settings->lora ? &task->adapter : NULL,
      .kernels =
          task->settings->precision ? cohort_kernels_bf16(isa, cohort_processor_bf16()) : cohort_kernels_float32(isa),
      .writers = executors,
      .threads = threads,
      .texts = capacity * own->settings->group,
      .prompt = own->settings->prompt,
      .completion = own->settings->completion,
      .stops = {.ends = end >= 0, .end = {end}},
      .how = cohort_decoding_plain(),
      .key = cohort_random_key_derive_name(cohort_random_key_from_seed((uint64_t)task->settings->seed), "rollout")};
}

double cohort_policy_bytes(const cohort_task *task, int lanes, cohort_isa isa, int executors, int threads) {
  const cohort_rollout_options options = options_of(task, lanes, isa, executors, threads);
  return cohort_rollout_bytes(&options);
}

static cohort_status make_rollout(cohort_task *task, const cohort_task_stage *stage, const cohort_space *space,
                                  const cohort_space *adapter, cohort_error *error) {
  cohort_policy_data *own = task->own;
  cohort_rollout_options options =
      options_of(task, stage->lanes, stage->isa, cohort_lane_engine_executors(stage->engine),
                 cohort_lane_engine_executor_threads(stage->engine));
  options.space = (cohort_space *)(uintptr_t)space;
  options.adapter_space = adapter;
  return cohort_rollout_create(&options, &own->rollout, error);
}

static cohort_status roll_out(cohort_task *task, const cohort_task_stage *stage, cohort_error *error) {
  cohort_policy_data *own = task->own;
  const cohort_space *space = NULL, *adapter = NULL;
  COHORT_TRY(stage->weights(stage->run, task->model_space, &space, error));
  if (task->settings->lora) COHORT_TRY(stage->weights(stage->run, task->adapter.space, &adapter, error));
  const cohort_status made = own->rollout ? COHORT_DONE : make_rollout(task, stage, space, adapter, error);
  COHORT_TRY(cohort_comm_agree_error(stage->comm, made, error));
  writing work = {task, stage};
  double sums[1];
  const cohort_lane_work lanes = {.argument = &work, .phases = 1, .scalars = 1, .run = write_lane};
  cohort_lane_engine_run(stage->engine, &lanes, sums, NULL, NULL);
  if (cohort_lane_engine_left(stage->engine)) return cohort_fail(error, COHORT_STOPPED, "stopped");
  COHORT_TRY(reward_completions(task, stage, error));
  cohort_row_table_clear(own->table);
  put_rows(task, stage, false);
  if (!cohort_policy_reuses(own)) return COHORT_DONE;
  fetch_rows(task, stage);
  float *rows = NULL;
  int64_t elements = 0;
  COHORT_TRY(stage->score(stage->run, &rows, &elements, error));
  take_scores(task, stage, rows, elements);
  free(rows);
  put_rows(task, stage, true);
  return COHORT_DONE;
}

static bool is_first_update(const cohort_task *task, int64_t position) {
  const cohort_policy_data *own = task->own;
  return position / task->settings->batch % own->settings->updates == 0;
}

cohort_status cohort_policy_prepare(cohort_task *task, const cohort_task_stage *stage, cohort_error *error) {
  cohort_policy_data *own = task->own;
  own->first = stage->first;
  if (is_first_update(task, stage->first)) COHORT_TRY(roll_out(task, stage, error));
  fetch_rows(task, stage);
  return COHORT_DONE;
}

/* After the last update on them nobody needs the completions: no checkpoint holds them. */
void cohort_policy_commit(cohort_task *task) {
  cohort_policy_data *own = task->own;
  if (is_first_update(task, own->first + task->settings->batch)) cohort_row_table_clear(own->table);
}
