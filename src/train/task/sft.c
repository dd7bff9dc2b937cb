/* Task sft: completions of prompts, texts and conversations, learned token by token. A sample is one of them; samples
 * of a lane stand one after another, their rows are segments, so no row is padding and none sees another's. The loss is
 * the mean over the batch's learned tokens. Invariant: what a sample gives does not depend on its neighbours. Costs the
 * model's pass over the real tokens. */
#include "train/task/sft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"
#include "method/loss/loss.h"
#include "train/task/completion_data.h"
#include "train/task/language.h"

typedef struct sft {
  cohort_token_pairs split[COHORT_SPLITS];
  int64_t *learned[COHORT_SPLITS]; /* [samples]: tokens that are learned */
  int64_t all[COHORT_SPLITS];      /* of the split */
  int32_t *rows[COHORT_SPLITS];    /* [samples], the most first */
  double mean_rows, mean_reads;
  bool turns; /* what the assistant says is learned alone */
  bool whole; /* prompts are learned too */
} sft;

static void close_task(cohort_task *task) {
  sft *own = task->own;
  for (int s = 0; s < COHORT_SPLITS; s++) {
    cohort_token_pairs_release(&own->split[s]);
    free(own->learned[s]);
    free(own->rows[s]);
  }
  free(own);
}

/* Whether token t of a sample is learned; it is row t - 1's target. */
static bool is_learned(const sft *own, const cohort_token_pairs *pairs, int64_t sample, int32_t t) {
  const int32_t prompt = pairs->prompt[sample];
  if (own->whole) return t > 0;
  if (t < prompt || t == 0) return false;
  return !own->turns || pairs->step[sample][t - prompt] >= 0;
}

static int most_first(const void *left, const void *right) {
  const int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;
  return (a < b) - (a > b);
}

static void measure(cohort_task *task, sft *own) {
  double rows = 0, reads = 0, samples = 0;
  for (int s = COHORT_SPLITS - 1; s >= 0; s--) {
    const cohort_token_pairs *pairs = &own->split[s];
    task->samples[s] = pairs->count;
    own->learned[s] = cohort_allocate((size_t)(pairs->count + 1) * sizeof *own->learned[s]);
    own->rows[s] = cohort_allocate((size_t)(pairs->count + 1) * sizeof *own->rows[s]);
    if (pairs->count) rows = reads = samples = 0;
    for (int64_t i = 0; i < pairs->count; i++) {
      const int32_t length = pairs->length[i];
      for (int32_t t = 1; t < length; t++) own->learned[s][i] += is_learned(own, pairs, i, t);
      own->all[s] += own->learned[s][i];
      own->rows[s][i] = length > 1 ? length - 1 : 0;
      rows += length - 1;
      reads += 0.5 * (double)length * (length - 1);
      samples++;
    }
    qsort(own->rows[s], (size_t)pairs->count, sizeof *own->rows[s], most_first);
  }
  own->mean_rows = samples > 0 ? rows / samples : 0;
  own->mean_reads = rows > 0 ? reads / rows : 0;
  task->tokens_per_sample = (int64_t)(own->mean_rows + 0.5);
}

static cohort_status check_shape(const cohort_task *task, const cohort_completions *data, cohort_error *error) {
  const int scored = task->settings->data_settings.scored;
  if (data->shape != COHORT_DATA_TEXT && data->shape != COHORT_DATA_COMPLETION)
    return cohort_fail(
        error, COHORT_BAD_DATA,
        "data: task sft reads lines with \"text\", \"messages\" or \"prompt\" and \"completion\"; those of "
        "%s are of the shape %s",
        data->path, cohort_data_shape_name(data->shape));
  if (scored == COHORT_SFT_COMPLETIONS && data->shape == COHORT_DATA_TEXT)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "data.scored: the lines of %s have no completions; take all or assistant", data->path);
  if (scored != COHORT_SFT_ASSISTANT || data->conversational) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_DATA,
                     "data.scored: the lines of %s are no conversations; take all or completions", data->path);
}

static cohort_status check_settings(const cohort_task *task, cohort_faults *faults, cohort_error *error) {
  const cohort_settings *settings = task->settings;
  const cohort_model *model = task->model.method->functions;
  if (model->kind != COHORT_MODEL_TOKENS)
    cohort_faults_add(faults, cohort_settings_place(settings, "model"), "model: %s reads samples; task sft has tokens",
                      task->model.method->key);
  const cohort_data_settings *data = &settings->data_settings;
  if ((data->lines != NULL) + (data->train != NULL) + (data->mix != NULL) != 1)
    cohort_faults_add(faults, cohort_settings_place(settings, "data"),
                      "data: give either train (JSONL), mix (several files) or lines (a text)");
  for (int i = 0; i < task->objectives; i++)
    if (((const cohort_loss *)task->loss[i].method->functions)->target != COHORT_TARGET_CLASS)
      cohort_faults_add(faults, cohort_settings_place(settings, "loss"),
                        "loss: %s has real targets; task sft has classes", task->loss[i].method->key);
  return cohort_faults_status(faults, error);
}

/* Of pairs the completions that are chosen. */
static void keep_chosen(cohort_completions *pairs) {
  for (int64_t i = 0; i < pairs->count; i++) {
    pairs->completion[i] = pairs->completion[2 * i];
    free(pairs->completion[2 * i + 1].text);
  }
  pairs->shape = COHORT_DATA_COMPLETION;
  pairs->sides = 1;
}

static cohort_status load(cohort_task *task, const cohort_tokenizer *tokenizer, cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  const cohort_model *model = task->model.method->functions;
  sft *own = task->own;
  own->turns = data->scored == COHORT_SFT_ASSISTANT;
  own->whole = data->scored == COHORT_SFT_ALL;
  const cohort_completion_request request = {.steps = own->turns,
                                             .turns = own->turns,
                                             .tokenizer = tokenizer,
                                             .context = model->context(task->model.config),
                                             .check = check_shape};
  cohort_completion_data files;
  cohort_status status = cohort_completion_data_read(task, &request, &files, error);
  if (status == COHORT_DONE && data->lines) {
    status = cohort_completion_data_lines(task, request.context, &files, error);
    if (status == COHORT_DONE) keep_chosen(&files.file[0]);
  }
  if (status == COHORT_DONE) status = cohort_completion_data_encode(task, &request, &files, own->split, error);
  task->digest = cohort_digest(&files.digest, sizeof files.digest, cohort_tokenizer_digest(tokenizer));
  cohort_completion_data_release(&files);
  return status;
}

static cohort_status open_task(cohort_task *task, const cohort_log *log, cohort_faults *faults, cohort_error *error) {
  COHORT_TRY(check_settings(task, faults, error));
  cohort_tokenizer *tokenizer = NULL;
  COHORT_TRY(cohort_language_tokenizer(task->settings->data_settings.tokenizer, &tokenizer, error));
  sft *own = cohort_allocate(sizeof *own);
  task->own = own;
  cohort_status status = cohort_language_outputs(task, tokenizer, error);
  if (status == COHORT_DONE) status = load(task, tokenizer, error);
  cohort_tokenizer_destroy(tokenizer);
  COHORT_TRY(status);
  measure(task, own);
  const int64_t dropped = own->split[COHORT_SPLIT_TRAIN].dropped + own->split[COHORT_SPLIT_VALIDATION].dropped;
  cohort_log_line(log,
                  "completions: %lld for training (%lld tokens are learned), %lld for validation; the longest has "
                  "%lld tokens",
                  (long long)task->samples[COHORT_SPLIT_TRAIN], (long long)own->all[COHORT_SPLIT_TRAIN],
                  (long long)task->samples[COHORT_SPLIT_VALIDATION],
                  (long long)own->split[COHORT_SPLIT_TRAIN].longest + 1);
  if (dropped)
    cohort_log_warning(log,
                       "completions: %lld dropped, their prompts leave no room in the model's context or "
                       "data.max_length",
                       (long long)dropped);
  if (!own->all[COHORT_SPLIT_TRAIN] && !task->settings->evaluates)
    return cohort_fail(error, COHORT_BAD_DATA, "data: no token is left to learn");
  return COHORT_DONE;
}

/* Rows that `capacity` samples take at most, whatever the batch: where epochs meet it may hold a sample twice. */
static int64_t most_rows(const cohort_task *task, int64_t capacity) {
  const sft *own = task->own;
  int64_t most = 1;
  for (int s = 0; s < COHORT_SPLITS; s++) {
    const int64_t samples = task->samples[s];
    if (!samples) continue;
    const int64_t times = task->settings->is_federated ? capacity : 1 + (capacity + samples - 1) / samples;
    int64_t sum = 0;
    for (int64_t i = 0; i < capacity; i++) sum += own->rows[s][i / times];
    most = sum > most ? sum : most;
  }
  return most;
}

/* Declares the inputs in the order of feed; returns the targets. */
static cohort_value add_inputs(const cohort_task *task, cohort_graph *graph, int64_t capacity, bool training,
                               cohort_model_inputs *inputs) {
  static const char *const names[5] = {"tokens", "targets", "positions", "segments", "ids"};
  const sft *own = task->own;
  const int64_t rows = most_rows(task, capacity);
  const int extent = cohort_graph_add_extent(graph, rows, own->mean_rows * (double)capacity);
  cohort_value value[5];
  for (int i = 0; i < 5; i++) {
    value[i] = cohort_graph_input(graph, names[i], COHORT_TYPE_INTEGER, COHORT_SHAPE(rows));
    cohort_graph_ragged(graph, value[i], extent);
  }
  *inputs = (cohort_model_inputs){.training = training, .reads = own->mean_reads};
  cohort_task_place_model(task, inputs);
  inputs->tokens = value[0];
  inputs->positions = value[2];
  inputs->segments = value[3];
  inputs->ids = value[4];
  return value[1];
}

static cohort_lane_outputs build(const cohort_task *task, cohort_graph *graph, int64_t capacity, bool training) {
  cohort_model_inputs inputs;
  const cohort_value targets = add_inputs(task, graph, capacity, training, &inputs);
  const cohort_value share = cohort_graph_input(graph, "share", COHORT_TYPE_REAL, COHORT_SCALAR_SHAPE);
  const cohort_model *model = task->model.method->functions;
  const cohort_model_outputs outputs = model->build(task->model.config, graph, &task->model_data, &inputs);
  cohort_lane_outputs out = {.objectives = task->objectives, .row = COHORT_NO_VALUE};
  cohort_language_losses(task, graph, &outputs, targets, out.objective);
  for (int i = 0; i < task->objectives; i++) out.objective[i] = cohort_graph_multiply(graph, out.objective[i], share);
  return out;
}

static int64_t sample_of(const cohort_task *task, const cohort_feed *feed, int64_t position) {
  return feed->direct || feed->split != COHORT_SPLIT_TRAIN ? position : cohort_task_sample(task, position);
}

/* Samples over their learned tokens: of the batch, or of the split that is evaluated. */
static float share_of(const cohort_task *task, const cohort_feed *feed) {
  const sft *own = task->own;
  int64_t samples = task->samples[feed->split], tokens = own->all[feed->split];
  if (feed->split == COHORT_SPLIT_TRAIN) {
    samples = feed->direct ? feed->count : feed->samples;
    tokens = 0;
    for (int64_t i = 0; i < samples; i++)
      tokens += own->learned[feed->split][sample_of(task, feed, feed->direct ? feed->position[i] : feed->first + i)];
  }
  return tokens ? (float)((double)samples / (double)tokens) : 0;
}

static void put_row(cohort_feed *feed, int64_t row, int32_t token, int32_t target, int32_t position, int64_t segment,
                    int64_t id) {
  ((int32_t *)feed->input[0])[row] = token;
  ((int32_t *)feed->input[1])[row] = target;
  ((int32_t *)feed->input[2])[row] = position;
  ((int32_t *)feed->input[3])[row] = (int32_t)segment;
  ((int32_t *)feed->input[4])[row] = (int32_t)id;
}

static void feed_lane(const cohort_task *task, cohort_feed *feed) {
  const sft *own = task->own;
  const cohort_token_pairs *pairs = &own->split[feed->split];
  int64_t row = 0;
  for (int64_t i = 0; i < feed->count; i++) {
    const int64_t sample = sample_of(task, feed, feed->position[i]);
    const int32_t *token = pairs->sequence[sample];
    for (int32_t t = 0; t + 1 < pairs->length[sample]; t++, row++)
      put_row(feed, row, token[t], is_learned(own, pairs, sample, t + 1) ? token[t + 1] : -1, t, i, sample);
  }
  feed->extent[0] = row ? row : 1;
  for (const int64_t rows = most_rows(task, feed->capacity); row < rows; row++) put_row(feed, row, 0, -1, 0, -1, 0);
  *(float *)feed->input[5] = share_of(task, feed);
}

static int64_t count(const cohort_task *task, cohort_split split, int64_t samples) {
  (void)task, (void)split;
  return samples;
}

const cohort_task_functions cohort_task_sft = {
    .name = "sft",
    .noun = "completions",
    .uses = COHORT_TASK_MODEL | COHORT_TASK_SPLITS | COHORT_TASK_LOSS | COHORT_TASK_SAMPLES | COHORT_TASK_TOKENS,
    .open = open_task,
    .close = close_task,
    .build = build,
    .feed = feed_lane,
    .count = count};
