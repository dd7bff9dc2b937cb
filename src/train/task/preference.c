/* Task preference: pairs (prompt, chosen, rejected). The sequences of a lane stand one after another, chosen and
 * rejected in turn, as segments; only completion tokens are scored. Inputs: tokens, targets, positions, segments, ids,
 * lengths, weight. */
#include "method/preference/preference.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"
#include "train/run/source_text.h"
#include "train/task/language.h"
#include "train/task/task.h"
#include "train/task/token_pairs.h"

typedef struct preference {
  cohort_token_pairs split[COHORT_SPLITS];
  int64_t rows; /* of a sequence, at most */
} preference;

static void close_task(cohort_task *task) {
  preference *own = task->own;
  for (int s = 0; s < COHORT_SPLITS; s++) cohort_token_pairs_release(&own->split[s]);
  free(own);
}

static cohort_status read_train(const cohort_task *task, int64_t context, cohort_pairs *out, cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  if (!data->lines) return cohort_pairs_read(data->train, out, error);
  char *text = NULL;
  size_t length = 0;
  COHORT_TRY(cohort_source_text_take(task->settings, data->lines, context, &text, &length, error));
  const cohort_random_key key = cohort_random_key_derive_name(task->key, "lines");
  const bool few = cohort_source_text_stands_in(task->settings) && data->pairs > COHORT_STAND_IN_LINES;
  const int64_t wanted = few ? COHORT_STAND_IN_LINES : data->pairs;
  const cohort_status status = cohort_pairs_from_lines(text, length, wanted, key, out, error);
  free(text);
  return status;
}

/* The last `share` of the pairs, as a view: nothing is copied. */
static cohort_pairs split_off(cohort_pairs *pairs, double share) {
  const int64_t cut = pairs->count - (int64_t)((double)pairs->count * share);
  const cohort_pairs tail = {pairs->count - cut, pairs->prompt + cut, pairs->chosen + cut, pairs->rejected + cut, 0};
  pairs->count = cut;
  return tail;
}

static cohort_status load(cohort_task *task, const cohort_tokenizer *tokenizer, int64_t context, preference *own,
                          cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  cohort_pairs train = {0}, validation = {0};
  COHORT_TRY(read_train(task, context, &train, error));
  task->digest = cohort_digest(&train.digest, sizeof train.digest, cohort_tokenizer_digest(tokenizer));
  cohort_status status = COHORT_DONE;
  if (data->validation) {
    status = cohort_pairs_read(data->validation, &validation, error);
    if (status == COHORT_DONE) {
      cohort_token_pairs_create(&validation, tokenizer, context, &own->split[COHORT_SPLIT_VALIDATION]);
      cohort_pairs_release(&validation);
      cohort_token_pairs_create(&train, tokenizer, context, &own->split[COHORT_SPLIT_TRAIN]);
    }
  } else {
    const int64_t all = train.count;
    validation = split_off(&train, data->validation_share);
    cohort_token_pairs_create(&validation, tokenizer, context, &own->split[COHORT_SPLIT_VALIDATION]);
    cohort_token_pairs_create(&train, tokenizer, context, &own->split[COHORT_SPLIT_TRAIN]);
    train.count = all;
  }
  cohort_pairs_release(&train);
  return status;
}

static cohort_status open_task(cohort_task *task, const cohort_log *log, cohort_faults *faults, cohort_error *error) {
  const cohort_settings *settings = task->settings;
  const cohort_model *model = task->model.method->functions;
  if (model->kind != COHORT_MODEL_TOKENS)
    cohort_faults_add(faults, cohort_settings_place(settings, "model"),
                      "model: %s reads samples; the preference task has tokens", task->model.method->key);
  if (!settings->data_settings.lines == !settings->data_settings.train)
    cohort_faults_add(faults, cohort_settings_place(settings, "data"),
                      "data: give either train (JSONL of pairs) or lines (a text)");
  COHORT_TRY(cohort_faults_status(faults, error));
  task->spaces = task->preference.method->needs & COHORT_NEEDS_REFERENCE ? 2 : 1;
  task->objectives = 1;
  cohort_tokenizer *tokenizer = NULL;
  COHORT_TRY(cohort_language_tokenizer(settings->data_settings.tokenizer, &tokenizer, error));
  preference *own = cohort_allocate(sizeof *own);
  task->own = own;
  const int64_t context = model->context(task->model.config);
  const cohort_status status = load(task, tokenizer, context, own, error);
  task->model_data.outputs = cohort_tokenizer_vocabulary(tokenizer);
  cohort_tokenizer_destroy(tokenizer);
  COHORT_TRY(status);
  int64_t dropped = 0, alike = 0;
  for (int s = 0; s < COHORT_SPLITS; s++) {
    task->samples[s] = own->split[s].count;
    dropped += own->split[s].dropped;
    alike += own->split[s].alike;
    if (own->split[s].longest > own->rows) own->rows = own->split[s].longest;
  }
  task->tokens_per_sample = 2 * own->rows;
  task->metric[task->metrics++] = "preference/accuracy";
  task->metric[task->metrics++] = "preference/margin";
  task->metric[task->metrics++] = "preference/reward_chosen";
  task->metric[task->metrics++] = "preference/reward_rejected";
  cohort_log_line(log, "pairs: %lld for training, %lld for validation; the longest sequence has %lld tokens",
                  (long long)task->samples[COHORT_SPLIT_TRAIN], (long long)task->samples[COHORT_SPLIT_VALIDATION],
                  (long long)own->rows + 1);
  if (dropped)
    cohort_log_warning(log, "pairs: %lld dropped, their prompts leave no room in the model's context of %lld tokens",
                       (long long)dropped, (long long)context);
  if (alike)
    cohort_log_warning(log,
                       "pairs: %lld teach nothing, their completions differ only beyond the model's context of %lld "
                       "tokens; shorten them or take a longer context",
                       (long long)alike, (long long)context);
  if (!task->samples[COHORT_SPLIT_TRAIN] && !settings->evaluates)
    return cohort_fail(error, COHORT_BAD_DATA, "data: no pair is left to train on");
  return COHORT_DONE;
}

/* Rows that attention reads for a row of the training split, in the mean: sequences are ragged, and padded to the
 * longest. Of the validation split where there is nothing to train on. */
static double mean_reads(const preference *own) {
  const bool trains = own->split[COHORT_SPLIT_TRAIN].count > 0;
  const cohort_token_pairs *pairs = &own->split[trains ? COHORT_SPLIT_TRAIN : COHORT_SPLIT_VALIDATION];
  double reads = 0;
  for (int64_t i = 0; i < 2 * pairs->count; i++) reads += 0.5 * (double)pairs->length[i] * (pairs->length[i] - 1);
  return reads / (double)(2 * pairs->count * own->rows);
}

/* Sums of log p over the completions, [2 * capacity], chosen and rejected in turn. */
static cohort_value score(const cohort_task *task, cohort_graph *graph, const cohort_model_inputs *inputs,
                          cohort_value targets, int64_t capacity) {
  const cohort_model *model = task->model.method->functions;
  const cohort_model_outputs outputs = model->build(task->model.config, graph, &task->model_data, inputs);
  const cohort_head_outputs head = cohort_graph_vocabulary_head(graph, outputs.hidden, outputs.head, targets);
  return cohort_graph_segment_sum(graph, head.log_probability, inputs->segments, 2 * capacity);
}

static cohort_value side_of(cohort_graph *graph, cohort_value both, int64_t capacity, int side) {
  const cohort_value pairs = cohort_graph_reshape(graph, both, COHORT_SHAPE(capacity, 2));
  return cohort_graph_reshape(graph, cohort_graph_slice(graph, pairs, 1, side, 1), COHORT_SHAPE(capacity));
}

/* A side of what the model says of each pair. An empty place has no token and a sum of 0, a certain completion, where
 * methods may have no finite value (log odds): it gets log-probabilities of its own, unequal as those of a pair are. A
 * pair's own are left as they are to the bit. */
static cohort_value scored_side(cohort_graph *graph, cohort_value both, cohort_value weight, int64_t capacity,
                                int side) {
  const cohort_value empty = cohort_graph_scale(graph, cohort_graph_shift(graph, weight, -1), side + 1);
  return cohort_graph_add(graph, side_of(graph, both, capacity, side), empty);
}

static cohort_lane_outputs build(const cohort_task *task, cohort_graph *graph, int64_t capacity, bool training) {
  const preference *own = task->own;
  const cohort_shape rows = COHORT_SHAPE(capacity * 2 * own->rows);
  cohort_model_inputs inputs = {.training = training, .reads = mean_reads(own)};
  inputs.tokens = cohort_graph_input(graph, "tokens", COHORT_TYPE_INTEGER, rows);
  const cohort_value targets = cohort_graph_input(graph, "targets", COHORT_TYPE_INTEGER, rows);
  inputs.positions = cohort_graph_input(graph, "positions", COHORT_TYPE_INTEGER, rows);
  inputs.segments = cohort_graph_input(graph, "segments", COHORT_TYPE_INTEGER, rows);
  inputs.ids = cohort_graph_input(graph, "ids", COHORT_TYPE_INTEGER, rows);
  const cohort_value lengths = cohort_graph_input(graph, "lengths", COHORT_TYPE_REAL, COHORT_SHAPE(2 * capacity));
  const cohort_value weight = cohort_graph_input(graph, "weight", COHORT_TYPE_REAL, COHORT_SHAPE(capacity));
  const cohort_value policy = score(task, graph, &inputs, targets, capacity);
  cohort_preference_inputs pairs = {.reference_chosen = COHORT_NO_VALUE, .reference_rejected = COHORT_NO_VALUE};
  pairs.policy_chosen = scored_side(graph, policy, weight, capacity, 0);
  pairs.policy_rejected = scored_side(graph, policy, weight, capacity, 1);
  pairs.length_chosen = side_of(graph, lengths, capacity, 0);
  pairs.length_rejected = side_of(graph, lengths, capacity, 1);
  if (task->spaces == 2) {
    cohort_model_inputs frozen = inputs;
    frozen.space = 1;
    frozen.training = false;
    cohort_graph_enter_space(graph, "reference");
    const cohort_value reference = cohort_graph_stop_gradient(graph, score(task, graph, &frozen, targets, capacity));
    cohort_graph_leave(graph);
    pairs.reference_chosen = scored_side(graph, reference, weight, capacity, 0);
    pairs.reference_rejected = scored_side(graph, reference, weight, capacity, 1);
  }
  const cohort_preference *method = task->preference.method->functions;
  const cohort_preference_outputs outputs = method->build(task->preference.config, graph, &pairs);
  cohort_lane_outputs out = {.objectives = 1, .metrics = 4};
  out.objective[0] = cohort_graph_sum_all(graph, cohort_graph_multiply(graph, outputs.loss, weight));
  const cohort_value right = cohort_graph_less(graph, outputs.reward_rejected, outputs.reward_chosen);
  const cohort_value margin = cohort_graph_subtract(graph, outputs.reward_chosen, outputs.reward_rejected);
  const cohort_value columns[4] = {right, margin, outputs.reward_chosen, outputs.reward_rejected};
  for (int i = 0; i < 4; i++)
    out.metric[i] = cohort_graph_sum_all(graph, cohort_graph_multiply(graph, columns[i], weight));
  return out;
}

static int64_t fill_sequence(const cohort_token_pairs *pairs, int64_t pair, int side, int64_t segment, int64_t row,
                             cohort_feed *feed) {
  const int32_t *sequence = pairs->sequence[2 * pair + side];
  const int32_t length = pairs->length[2 * pair + side];
  for (int32_t t = 0; t + 1 < length; t++, row++) {
    ((int32_t *)feed->input[0])[row] = sequence[t];
    ((int32_t *)feed->input[1])[row] = t + 1 >= pairs->prompt[pair] ? sequence[t + 1] : -1;
    ((int32_t *)feed->input[2])[row] = t;
    ((int32_t *)feed->input[3])[row] = (int32_t)segment;
    ((int32_t *)feed->input[4])[row] = (int32_t)(2 * pair + side);
  }
  const int32_t scored = length - pairs->prompt[pair];
  ((float *)feed->input[5])[segment] = scored > 0 ? (float)scored : 1.0f;
  return row;
}

static void feed(const cohort_task *task, cohort_feed *feed) {
  const preference *own = task->own;
  const cohort_token_pairs *pairs = &own->split[feed->split];
  int64_t row = 0;
  for (int64_t i = 0; i < feed->capacity; i++) {
    ((float *)feed->input[6])[i] = i < feed->count ? 1 : 0;
    if (i >= feed->count) {
      ((float *)feed->input[5])[2 * i] = ((float *)feed->input[5])[2 * i + 1] = 1;
      continue;
    }
    const int64_t pair =
        feed->split == COHORT_SPLIT_TRAIN ? cohort_task_sample(task, feed->position[i]) : feed->position[i];
    for (int side = 0; side < 2; side++) row = fill_sequence(pairs, pair, side, 2 * i + side, row, feed);
  }
  for (; row < feed->capacity * 2 * own->rows; row++) {
    for (int input = 0; input < 5; input++) ((int32_t *)feed->input[input])[row] = 0;
    ((int32_t *)feed->input[1])[row] = ((int32_t *)feed->input[3])[row] = -1;
  }
}

static int64_t count(const cohort_task *task, cohort_split split, int64_t samples) {
  (void)task, (void)split;
  return samples;
}

const cohort_task_functions cohort_task_preference = {
    .name = "preference", .open = open_task, .close = close_task, .build = build, .feed = feed, .count = count};
