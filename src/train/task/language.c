/* Task language: next-token prediction on one long text. A sample is a sequence of `context` tokens; every epoch shifts
 * the cuts by a drawn offset. Inputs: tokens, targets, positions, segments, ids. */
#include "train/task/language.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"
#include "io/dataset/owners.h"
#include "io/tokenizer/tokenizer.h"
#include "method/loss/loss.h"
#include "train/run/source_text.h"
#include "train/task/task.h"

typedef struct language {
  int32_t *tokens; /* of the whole text */
  int64_t count;
  int64_t validation; /* first token that validates */
  int64_t validation_bytes;
  int64_t context, stride;
  int32_t *part; /* [training samples]: of the text, where a population is cut by lines; else NULL */
  int64_t parts;
} language;

static void close_task(cohort_task *task) {
  language *own = task->own;
  free(own->tokens);
  free(own->part);
  free(own);
}

cohort_status cohort_language_tokenizer(const char *path, cohort_tokenizer **out, cohort_error *error) {
  if (strcmp(path, "bytes") == 0) {
    *out = cohort_tokenizer_bytes();
    return COHORT_DONE;
  }
  return cohort_tokenizer_read(path, out, error);
}

cohort_status cohort_language_outputs(cohort_task *task, const cohort_tokenizer *tokenizer, cohort_error *error) {
  return cohort_model_vocabulary(task->model.method, task->model.config, cohort_tokenizer_vocabulary(tokenizer),
                                 &task->model_data.outputs, error);
}

size_t cohort_language_split(const char *text, size_t length, double validation_share) {
  size_t cut = (size_t)((double)length * (1 - validation_share));
  while (cut < length && ((unsigned char)text[cut] & 0xC0) == 0x80) cut++; /* never inside a character */
  return cut;
}

/* Both parts are tokenized on their own, so that no token crosses the cut. */
static void tokenize(language *own, const cohort_tokenizer *tokenizer, const char *text, size_t length, double share) {
  const size_t cut = cohort_language_split(text, length, share);
  int64_t train = 0, validation = 0;
  int32_t *head = cohort_tokenizer_encode(tokenizer, text, cut, &train);
  int32_t *tail = cohort_tokenizer_encode(tokenizer, text + cut, length - cut, &validation);
  own->tokens = cohort_reallocate(head, (size_t)(train + validation + 1) * sizeof *head);
  if (validation) memcpy(own->tokens + train, tail, (size_t)validation * sizeof *tail);
  free(tail);
  own->count = train + validation;
  own->validation = train;
  own->validation_bytes = (int64_t)(length - cut);
}

static cohort_status check_settings(const cohort_task *task, cohort_faults *faults, cohort_error *error) {
  const cohort_settings *settings = task->settings;
  const cohort_model *model = task->model.method->functions;
  if (model->kind != COHORT_MODEL_TOKENS)
    cohort_faults_add(faults, cohort_settings_place(settings, "model"),
                      "model: %s reads samples; the language task has tokens", task->model.method->key);
  if (!settings->data_settings.text)
    cohort_faults_add(faults, cohort_settings_place(settings, "data"), "data: give text, a file or |command");
  for (int i = 0; i < task->objectives; i++)
    if (((const cohort_loss *)task->loss[i].method->functions)->target != COHORT_TARGET_CLASS)
      cohort_faults_add(faults, cohort_settings_place(settings, "loss"),
                        "loss: %s has real targets; the language task has classes", task->loss[i].method->key);
  return cohort_faults_status(faults, error);
}

/* A text's first token has nothing before it to be told from. */
static int64_t scored_tokens(const language *own) { return own->count - (own->validation > 0 ? own->validation : 1); }

/* What is trained on: whole contexts, one kept back for the shift of an epoch, one token for the last target. */
static cohort_status count_training(cohort_task *task, const language *own, cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  const int64_t samples = (own->validation - 1) / own->context - 1;
  task->samples[COHORT_SPLIT_TRAIN] = samples > 0 ? samples : 0;
  if (samples > 0 || task->settings->evaluates) return COHORT_DONE;
  if (data->validation_share == 1)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "data.validation_share: 1 leaves nothing to train on; write less (1 is for cohort eval)");
  return cohort_fail(error, COHORT_BAD_DATA, "%s: %lld tokens to train on are too few for a context of %lld",
                     data->text, (long long)own->validation, (long long)own->context);
}

/* Where in the text the training sequences begin, and in which part that is. */
static void place_samples(language *own, const cohort_tokenizer *tokenizer, int64_t samples,
                          const cohort_text_parts *parts) {
  size_t at = 0, length = 0;
  int64_t run = 0;
  for (int64_t i = 0; i < samples; i++, at += length) {
    while (run + 1 < parts->runs && parts->first[run + 1] <= at) run++;
    own->part[i] = parts->part[run];
    free(cohort_tokenizer_decode(tokenizer, own->tokens + i * own->context, own->context, &length));
  }
}

/* The parts of the text that are clients of a federated run. */
static cohort_status find_parts(cohort_task *task, language *own, const cohort_tokenizer *tokenizer, const char *text,
                                size_t length, cohort_error *error) {
  const char *pattern = cohort_task_partition_origin(task->settings, COHORT_PARTITION_BY_LINES);
  const int64_t samples = task->samples[COHORT_SPLIT_TRAIN];
  cohort_text_parts parts = {0};
  cohort_error why;
  if (!pattern) return COHORT_DONE;
  own->part = cohort_allocate((size_t)samples * sizeof *own->part + 1);
  if (cohort_source_text_stands_in(task->settings)) { /* whose lines are not the text's: some clients */
    own->parts = samples < COHORT_STAND_IN_LINES ? samples : COHORT_STAND_IN_LINES;
    for (int64_t i = 0; i < samples; i++) own->part[i] = (int32_t)(i % own->parts);
    return COHORT_DONE;
  }
  const cohort_status status = cohort_text_parts_find(
      text, cohort_language_split(text, length, task->settings->data_settings.validation_share), pattern, &parts, &why);
  if (status != COHORT_DONE)
    return cohort_settings_fail(task->settings, "federated.population", error, "federated.population: %s", why.text);
  own->parts = parts.parts;
  place_samples(own, tokenizer, samples, &parts);
  cohort_text_parts_release(&parts);
  return COHORT_DONE;
}

int32_t *cohort_language_parts(const cohort_task *task, int64_t *parts) {
  const language *own = task->own;
  const size_t bytes = (size_t)task->samples[COHORT_SPLIT_TRAIN] * sizeof *own->part;
  int32_t *copy = cohort_allocate(bytes + 1);
  memcpy(copy, own->part, bytes);
  *parts = own->parts;
  return copy;
}

static cohort_status open_task(cohort_task *task, const cohort_log *log, cohort_faults *faults, cohort_error *error) {
  const cohort_settings *settings = task->settings;
  COHORT_TRY(check_settings(task, faults, error));
  cohort_tokenizer *tokenizer = NULL;
  COHORT_TRY(cohort_language_tokenizer(settings->data_settings.tokenizer, &tokenizer, error));
  char *text = NULL;
  size_t length = 0;
  const int64_t context = ((const cohort_model *)task->model.method->functions)->context(task->model.config);
  const cohort_status status =
      cohort_source_text_take(settings, settings->data_settings.text, context, &text, &length, error);
  if (status != COHORT_DONE) {
    cohort_tokenizer_destroy(tokenizer);
    return status;
  }
  language *own = cohort_allocate(sizeof *own);
  task->own = own;
  tokenize(own, tokenizer, text, length, settings->data_settings.validation_share);
  task->digest = cohort_digest(text, length, cohort_tokenizer_digest(tokenizer));
  own->context = context;
  task->tokens_per_sample = own->context;
  cohort_status counted = cohort_language_outputs(task, tokenizer, error);
  if (counted == COHORT_DONE) counted = count_training(task, own, error);
  if (counted == COHORT_DONE) counted = find_parts(task, own, tokenizer, text, length, error);
  cohort_tokenizer_destroy(tokenizer);
  free(text);
  COHORT_TRY(counted);
  own->stride = settings->evaluate_settings.stride ? settings->evaluate_settings.stride : own->context;
  if (own->stride > own->context)
    return cohort_settings_fail(settings, "evaluate.stride", error,
                                "evaluate.stride: %lld is more than the model's context %lld", (long long)own->stride,
                                (long long)own->context);
  const int64_t tail = own->count - own->validation, scored = tail ? scored_tokens(own) : 0;
  if (tail && !scored)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: a text of one token has none to score; take a longer one",
                       settings->data_settings.text);
  task->samples[COHORT_SPLIT_VALIDATION] = (tail + own->stride - 1) / own->stride;
  if (scored) task->metric[task->metrics++] = "language/bits_per_byte";
  cohort_log_line(log, "text: %lld tokens of a vocabulary of %lld; %lld of them for validation (%lld bytes)",
                  (long long)own->count, (long long)task->model_data.outputs, (long long)scored,
                  (long long)own->validation_bytes);
  return COHORT_DONE;
}

/* Declares the inputs in the order of feed; returns the targets. */
static cohort_value add_inputs(const cohort_task *task, cohort_graph *graph, int64_t capacity, bool training,
                               cohort_model_inputs *inputs) {
  const language *own = task->own;
  const cohort_shape rows = COHORT_SHAPE(capacity * own->context);
  *inputs = (cohort_model_inputs){.training = training, .reads = (double)(own->context + 1) / 2};
  cohort_task_place_model(task, inputs);
  inputs->tokens = cohort_graph_input(graph, "tokens", COHORT_TYPE_INTEGER, rows);
  const cohort_value targets = cohort_graph_input(graph, "targets", COHORT_TYPE_INTEGER, rows);
  inputs->positions = cohort_graph_input(graph, "positions", COHORT_TYPE_INTEGER, rows);
  inputs->segments = cohort_graph_input(graph, "segments", COHORT_TYPE_INTEGER, rows);
  inputs->ids = cohort_graph_input(graph, "ids", COHORT_TYPE_INTEGER, rows);
  return targets;
}

void cohort_language_losses(const cohort_task *task, cohort_graph *graph, const cohort_model_outputs *outputs,
                            cohort_value targets, cohort_value *objective) {
  cohort_head_outputs head = {COHORT_NO_VALUE, COHORT_NO_VALUE, COHORT_NO_VALUE, COHORT_NO_VALUE};
  cohort_value logits = COHORT_NO_VALUE;
  for (int i = 0; i < task->objectives; i++) {
    const cohort_loss *loss = task->loss[i].method->functions;
    cohort_value per_token;
    if (loss->build_head) {
      if (head.log_probability == COHORT_NO_VALUE)
        head = cohort_graph_vocabulary_head(graph, outputs->hidden, outputs->head, targets);
      per_token = loss->build_head(task->loss[i].config, graph, &head, targets);
    } else {
      if (logits == COHORT_NO_VALUE) logits = cohort_graph_matmul(graph, outputs->hidden, outputs->head, false, true);
      per_token = cohort_loss_rows(task->loss[i].method, task->loss[i].config, graph, logits, targets);
    }
    objective[i] = cohort_graph_sum_all(graph, per_token);
  }
}

static cohort_lane_outputs build(const cohort_task *task, cohort_graph *graph, int64_t capacity, bool training) {
  cohort_model_inputs inputs;
  const cohort_value targets = add_inputs(task, graph, capacity, training, &inputs);
  const cohort_model *model = task->model.method->functions;
  const cohort_model_outputs outputs = model->build(task->model.config, graph, &task->model_data, &inputs);
  cohort_lane_outputs out = {.objectives = task->objectives, .row = COHORT_NO_VALUE};
  cohort_language_losses(task, graph, &outputs, targets, out.objective);
  return out;
}

static cohort_value random_tokens(void *argument, cohort_graph *graph, cohort_op op, const char *name,
                                  cohort_shape shape) {
  const cohort_model_inputs *inputs = argument;
  cohort_graph_enter(graph, "loss_%s", name);
  const cohort_value rows = cohort_graph_random_rows(graph, op, inputs->ids, inputs->positions, shape);
  cohort_graph_leave(graph);
  return rows;
}

static cohort_value logits_of(const cohort_task *task, cohort_graph *graph, const cohort_model_inputs *inputs) {
  const cohort_model *model = task->model.method->functions;
  const cohort_model_outputs outputs = model->build(task->model.config, graph, &task->model_data, inputs);
  return cohort_graph_matmul(graph, outputs.hidden, outputs.head, false, true);
}

/* Labels are drawn from the logits, and divergences taken of them: they are made whole here. */
static cohort_lane_outputs build_subject(const cohort_task *task, cohort_graph *graph, int64_t capacity,
                                         cohort_lane_subject subject, const cohort_task *before) {
  cohort_model_inputs inputs;
  cohort_loss_model random = {.random = random_tokens};
  const bool labels = subject == COHORT_LANE_LABELS;
  const cohort_value targets = add_inputs(task, graph, capacity, labels, &inputs);
  cohort_loss_fields fields = cohort_loss_no_fields(cohort_graph_shape(graph, targets).size[0]);
  cohort_value other = COHORT_NO_VALUE;
  random.argument = &inputs;
  fields.model = &random;
  fields.target = targets;
  fields.weight = cohort_graph_broadcast(graph, cohort_graph_constant(graph, 1), cohort_graph_shape(graph, targets));
  fields.output = logits_of(task, graph, &inputs);
  if (subject == COHORT_LANE_DIVERGENCE) {
    cohort_model_inputs from = inputs;
    cohort_task_place_model(before, &from);
    cohort_graph_enter_space(graph, "before");
    other = logits_of(task, graph, &from);
    cohort_graph_leave(graph);
  }
  cohort_lane_outputs out = {.objectives = task->objectives, .row = COHORT_NO_VALUE};
  for (int i = 0; i < task->objectives; i++)
    out.objective[i] = cohort_task_subject(&task->loss[i], graph, subject, &fields, other);
  return out;
}

/* Row r of a sequence that starts at token `first`; tokens before `scored` are context only. */
static void fill_sequence(const language *own, int64_t first, int64_t length, int64_t scored, int64_t segment,
                          int64_t id, int64_t row, cohort_feed *feed) {
  int32_t *tokens = feed->input[0], *targets = feed->input[1], *positions = feed->input[2];
  int32_t *segments = feed->input[3], *ids = feed->input[4];
  for (int64_t t = 0; t < own->context; t++, row++) {
    const bool real = t < length;
    tokens[row] = real ? own->tokens[first + t] : 0;
    targets[row] = real && first + t + 1 >= scored ? own->tokens[first + t + 1] : -1;
    positions[row] = (int32_t)t;
    segments[row] = real ? (int32_t)segment : -1;
    ids[row] = (int32_t)id;
  }
}

static void feed(const cohort_task *task, cohort_feed *feed) {
  const language *own = task->own;
  const cohort_random_key shift = cohort_random_key_derive_name(task->key, "shift");
  const bool train = feed->split == COHORT_SPLIT_TRAIN;
  for (int64_t i = 0; i < feed->capacity; i++) {
    const int64_t row = i * own->context;
    if (i >= feed->count) {
      fill_sequence(own, 0, 0, 0, -1, 0, row, feed);
    } else if (train && feed->direct) { /* a sample is its place in the text: nothing is shifted into another's */
      fill_sequence(own, feed->position[i] * own->context, own->context, 0, i, feed->position[i], row, feed);
    } else if (train) {
      const int64_t epoch = feed->position[i] / task->samples[COHORT_SPLIT_TRAIN];
      const int64_t sample = cohort_task_sample(task, feed->position[i]);
      const uint32_t word = cohort_random_word(shift, 0, (uint64_t)epoch);
      const int64_t first = (int64_t)cohort_random_below(word, (uint32_t)own->context) + sample * own->context;
      fill_sequence(own, first, own->context, 0, i, sample, row, feed);
    } else {
      /* The window ends with the `stride` tokens it scores and begins with as much context as fits. */
      const int64_t scored = own->validation + feed->position[i] * own->stride;
      const int64_t end = scored + own->stride < own->count ? scored + own->stride : own->count;
      int64_t first = end - 1 - own->context;
      if (first < 0) first = 0;
      fill_sequence(own, first, end - 1 - first, scored, i, feed->position[i], row, feed);
    }
  }
}

static int64_t count(const cohort_task *task, cohort_split split, int64_t samples) {
  const language *own = task->own;
  if (split == COHORT_SPLIT_TRAIN) return samples * own->context;
  return scored_tokens(own); /* evaluation covers the whole split */
}

static void derive(const cohort_task *task, cohort_split split, int64_t tokens, const double *sums, double loss,
                   double *columns) {
  const language *own = task->own;
  (void)tokens, (void)sums;
  const double tokens_per_byte = (double)scored_tokens(own) / (double)own->validation_bytes;
  columns[0] = split == COHORT_SPLIT_VALIDATION ? loss * tokens_per_byte / log(2) : NAN;
}

void cohort_language_tokens(const cohort_task *task, const int32_t **tokens, int64_t *train, int64_t *all,
                            int64_t *validation_bytes) {
  const language *own = task->own;
  *tokens = own->tokens;
  *train = own->validation;
  *all = own->count;
  *validation_bytes = own->validation_bytes;
}

const cohort_task_functions cohort_task_language = {
    .name = "language",
    .noun = "sequences",
    .uses = COHORT_TASK_MODEL | COHORT_TASK_SPLITS | COHORT_TASK_LOSS | COHORT_TASK_TEXT | COHORT_TASK_TOKENS,
    .open = open_task,
    .close = close_task,
    .build = build,
    .feed = feed,
    .build_subject = build_subject,
    .count = count,
    .derive = derive};
