/* Task preference: completions of prompts, in pairs (prompt, chosen, rejected) or alone with a label. Loads the data
 * and says what the columns are; preference_graph.c builds, preference_feed.c fills. Memory grows with the tokens of
 * the data, which every rank holds. */
#include "train/task/preference.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"
#include "train/run/source_text.h"
#include "train/task/language.h"

static void close_task(cohort_task *task) {
  cohort_preference_data *own = task->own;
  for (int s = 0; s < COHORT_SPLITS; s++) cohort_token_pairs_release(&own->split[s]);
  cohort_preference_release_rows(own);
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
  cohort_pairs tail = {.count = pairs->count - cut, .prompt = pairs->prompt + cut, .chosen = pairs->chosen + cut};
  if (pairs->rejected) tail.rejected = pairs->rejected + cut;
  if (pairs->desirable) tail.desirable = pairs->desirable + cut;
  if (pairs->margin) tail.margin = pairs->margin + cut;
  pairs->count = cut;
  return tail;
}

/* Pairs can be taken apart, but completions not be paired. */
static cohort_status check_shape(const cohort_task *task, const cohort_pairs *data, cohort_error *error) {
  if (!data->desirable || task->preference.method->needs & COHORT_NEEDS_UNPAIRED) return COHORT_DONE;
  return cohort_fail(
      error, COHORT_BAD_DATA,
      "data: preference %s compares chosen with rejected, but the data are completions with a label; give "
      "lines of {\"prompt\", \"chosen\", \"rejected\"}, or take kto",
      task->preference.method->key);
}

static cohort_status load(cohort_task *task, const cohort_tokenizer *tokenizer, int64_t context,
                          cohort_preference_data *own, cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  cohort_pairs train = {0}, validation = {0};
  COHORT_TRY(read_train(task, context, &train, error));
  task->digest = cohort_digest(&train.digest, sizeof train.digest, cohort_tokenizer_digest(tokenizer));
  const bool apart = own->sides == 1;
  cohort_token_pairs *split = own->split;
  cohort_status status = check_shape(task, &train, error);
  if (status == COHORT_DONE && data->validation) {
    status = cohort_pairs_read(data->validation, &validation, error);
    if (status == COHORT_DONE) status = check_shape(task, &validation, error);
    if (status == COHORT_DONE) {
      cohort_token_pairs_create(&validation, tokenizer, context, apart, &split[COHORT_SPLIT_VALIDATION]);
      cohort_token_pairs_create(&train, tokenizer, context, apart, &split[COHORT_SPLIT_TRAIN]);
    }
    cohort_pairs_release(&validation);
  } else if (status == COHORT_DONE) {
    const int64_t all = train.count;
    validation = split_off(&train, data->validation_share);
    cohort_token_pairs_create(&validation, tokenizer, context, apart, &split[COHORT_SPLIT_VALIDATION]);
    cohort_token_pairs_create(&train, tokenizer, context, apart, &split[COHORT_SPLIT_TRAIN]);
    train.count = all;
  }
  cohort_pairs_release(&train);
  return status;
}

/* A sample. */
static const char *noun(const cohort_preference_data *own) { return own->sides == 2 ? "pair" : "completion"; }

/* Sizes of the lanes' inputs, and what the columns are. */
static void measure(cohort_task *task, cohort_preference_data *own, int64_t context) {
  int64_t prompt = 0, completion = 0;
  for (int s = 0; s < COHORT_SPLITS; s++) {
    const cohort_token_pairs *split = &own->split[s];
    task->samples[s] = split->count;
    if (split->longest > own->rows) own->rows = split->longest;
    if (split->prompts > prompt) prompt = split->prompts;
    if (split->completions > completion) completion = split->completions;
    for (int64_t i = 0; i < split->count; i++) own->chosen_tokens[s] += cohort_preference_chosen_tokens(split, i);
  }
  own->other_rows = prompt + completion - 1 < context ? prompt + completion - 1 : context;
  task->tokens_per_sample = own->sides * own->rows;
  cohort_preference_list_metrics(task, own);
}

static void report(const cohort_task *task, const cohort_log *log, const cohort_preference_data *own, int64_t context) {
  int64_t dropped = 0, alike = 0;
  for (int s = 0; s < COHORT_SPLITS; s++) {
    dropped += own->split[s].dropped;
    alike += own->split[s].alike;
  }
  cohort_log_line(log, "%ss: %lld for training, %lld for validation; the longest sequence has %lld tokens", noun(own),
                  (long long)task->samples[COHORT_SPLIT_TRAIN], (long long)task->samples[COHORT_SPLIT_VALIDATION],
                  (long long)own->rows + (own->place[COHORT_PREFERENCE_LAST] < 0));
  if (dropped)
    cohort_log_warning(log, "%ss: %lld dropped, their prompts leave no room in the model's context of %lld tokens",
                       noun(own), (long long)dropped, (long long)context);
  if (alike)
    cohort_log_warning(log,
                       "pairs: %lld teach nothing, their completions differ only beyond the model's context of %lld "
                       "tokens; shorten them or take a longer context",
                       (long long)alike, (long long)context);
}

/* What is stored belongs to a sample alone. */
static void check_stored(const cohort_method *method, const cohort_settings *settings, cohort_faults *faults) {
  if (settings->reference != COHORT_REFERENCE_STORED) return;
  if (!(method->needs & COHORT_NEEDS_REFERENCE))
    cohort_faults_add(faults, cohort_settings_place(settings, "reference"),
                      "reference: %s has none to store; remove the key", method->key);
  if (settings->lora)
    cohort_faults_add(faults, cohort_settings_place(settings, "reference"),
                      "reference: with lora it is the model without adapters and takes no memory; set computed");
  if (method->needs & COHORT_NEEDS_DIVERGENCE)
    cohort_faults_add(faults, cohort_settings_place(settings, "reference"),
                      "reference: %s asks the reference for more than a number a completion; set computed",
                      method->key);
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
  const cohort_method *method = task->preference.method;
  if (method->needs & COHORT_NEEDS_MISMATCHED && settings->batch < 2)
    cohort_faults_add(faults, cohort_settings_place(settings, "preference"),
                      "preference: %s compares completions of a batch with each other; set batch to 2 or more",
                      method->key);
  if (method->needs & COHORT_NEEDS_SCORES && !model->scalar_head)
    cohort_faults_add(faults, cohort_settings_place(settings, "preference"),
                      "preference: %s wants a scalar head, which %s cannot have; take another model", method->key,
                      task->model.method->key);
  check_stored(method, settings, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  const bool stored = method->needs & COHORT_NEEDS_REFERENCE && settings->reference == COHORT_REFERENCE_STORED;
  if (method->needs & COHORT_NEEDS_REFERENCE && !stored) cohort_task_add_reference(task);
  task->objectives = 1;
  cohort_tokenizer *tokenizer = NULL;
  COHORT_TRY(cohort_language_tokenizer(settings->data_settings.tokenizer, &tokenizer, error));
  cohort_preference_data *own = cohort_allocate(sizeof *own);
  task->own = own;
  own->sides = method->needs & COHORT_NEEDS_UNPAIRED ? 1 : 2;
  /* A token that is only scored is read too. */
  const bool scores = method->needs & COHORT_NEEDS_SCORES;
  const int64_t context = model->context(task->model.config) - scores;
  const cohort_status status = load(task, tokenizer, context, own, error);
  task->model_data.outputs = cohort_tokenizer_vocabulary(tokenizer);
  cohort_tokenizer_destroy(tokenizer);
  COHORT_TRY(status);
  cohort_preference_place_inputs(method, stored, scores && own->split[COHORT_SPLIT_TRAIN].margin, own->place);
  measure(task, own, context);
  own->rows += scores;
  task->tokens_per_sample += scores * own->sides;
  cohort_preference_count_rows(task, own);
  /* One of each side; or of the completion, and of the prompt with another's. */
  if (stored) cohort_task_add_scores(task, own->sides + ((method->needs & COHORT_NEEDS_MISMATCHED) != 0));
  report(task, log, own, context);
  if (!task->samples[COHORT_SPLIT_TRAIN] && !settings->evaluates)
    return cohort_fail(error, COHORT_BAD_DATA, "data: no %s is left to train on", noun(own));
  return COHORT_DONE;
}

static int64_t count(const cohort_task *task, cohort_split split, int64_t samples) {
  (void)task, (void)split;
  return samples;
}

const cohort_task_functions cohort_task_preference = {
    .name = "preference",
    .noun = "pairs",
    .uses = COHORT_TASK_MODEL | COHORT_TASK_SPLITS | COHORT_TASK_SAMPLES | COHORT_TASK_TOKENS,
    .open = open_task,
    .close = close_task,
    .build = cohort_preference_graph,
    .feed = cohort_preference_feed,
    .row = cohort_preference_row,
    .count = count,
    .derive = cohort_preference_derive};
