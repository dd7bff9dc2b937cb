/* Task preference: completions of prompts, in pairs, in lists, in steps, or alone with a label. Loads the data
 * and says what the columns are; preference_graph.c builds, preference_feed.c fills. Memory grows with the tokens of
 * the data, which every rank holds. */
#include "train/task/preference.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"
#include "train/task/completion_data.h"
#include "train/task/language.h"

static void close_task(cohort_task *task) {
  cohort_preference_data *own = task->own;
  for (int s = 0; s < COHORT_SPLITS; s++) cohort_token_pairs_release(&own->split[s]);
  cohort_preference_release_rows(own);
  free(own);
}

static const cohort_field *fields_of(const cohort_task *task) {
  return ((const cohort_preference *)task->preference.method->functions)->fields;
}

/* Pairs of a text's lines have no further numbers. */
static cohort_status check_lines(const cohort_task *task, cohort_error *error) {
  for (const cohort_field *field = fields_of(task); field && field->name; field++)
    if (!field->optional)
      return cohort_fail(error, COHORT_BAD_DATA,
                         "data.lines: pairs of lines have no %s, which preference %s reads; give data.train",
                         field->name, task->preference.method->key);
  return COHORT_DONE;
}

/* Groups are as many as the method says. */
static cohort_status check_groups(const cohort_task *task, const cohort_completions *data, cohort_error *error) {
  const int64_t groups = cohort_choice_integer(&task->preference, "groups", INT32_MAX);
  for (int f = 0; data->fields && data->fields[f].name; f++) {
    const float *value = data->field[f].value;
    for (int64_t i = 0; data->fields[f].integer && value && i < data->count; i++)
      if ((int64_t)value[i] >= groups)
        return cohort_fail(error, COHORT_BAD_DATA,
                           "%s:%lld:1: %s is %lld, but preference %s has groups 0 to %lld; set its parameter groups",
                           data->path ? data->path : "data.lines", (long long)(data->first + i + 1),
                           data->fields[f].name, (long long)value[i], task->preference.method->key,
                           (long long)groups - 1);
  }
  return COHORT_DONE;
}

/* Pairs can be taken apart, and are lists of two, but completions not be paired. */
static cohort_status check_shape(const cohort_task *task, const cohort_completions *data, cohort_error *error) {
  const cohort_method *method = task->preference.method;
  const bool unpaired = method->needs & COHORT_NEEDS_UNPAIRED, lists = method->needs & COHORT_NEEDS_LISTS;
  const cohort_data_shape shape = data->shape;
  const char *wanted = lists                                 ? "\"completions\" or \"chosen\" and \"rejected\""
                       : !unpaired                           ? "\"chosen\" and \"rejected\""
                       : cohort_preference_has_label(method) ? "\"completion\" and \"label\""
                                                             : "\"completions\" and \"labels\"";
  const bool good = lists       ? shape == COHORT_DATA_LIST || shape == COHORT_DATA_PREFERENCE
                    : !unpaired ? shape == COHORT_DATA_PREFERENCE
                    : cohort_preference_has_label(method)
                        ? shape == COHORT_DATA_UNPAIRED || shape == COHORT_DATA_PREFERENCE
                        : shape == COHORT_DATA_STEPWISE;
  if (good) return check_groups(task, data, error);
  if (shape == COHORT_DATA_UNPAIRED)
    return cohort_fail(
        error, COHORT_BAD_DATA,
        "data: preference %s compares chosen with rejected, but the data are completions with a label; give "
        "lines of {\"prompt\", \"chosen\", \"rejected\"}, or take kto",
        method->key);
  return cohort_fail(error, COHORT_BAD_DATA, "data: preference %s reads lines with %s; those of %s are of the shape %s",
                     method->key, wanted, data->path ? data->path : "data.lines", cohort_data_shape_name(shape));
}

static cohort_status load(cohort_task *task, const cohort_tokenizer *tokenizer, int64_t context,
                          cohort_preference_data *own, cohort_error *error) {
  const unsigned needs = task->preference.method->needs;
  const cohort_completion_request request = {.fields = fields_of(task),
                                             .apart = needs & COHORT_NEEDS_UNPAIRED,
                                             .steps = needs & COHORT_NEEDS_STEPS,
                                             .turns = needs & COHORT_NEEDS_STEPS,
                                             .tokenizer = tokenizer,
                                             .context = context,
                                             .check = check_shape};
  cohort_completion_data files;
  cohort_status status = cohort_completion_data_read(task, &request, &files, error);
  if (status == COHORT_DONE && task->settings->data_settings.lines) {
    status = check_lines(task, error);
    if (status == COHORT_DONE) status = cohort_completion_data_lines(task, context, &files, error);
    if (status == COHORT_DONE) status = check_shape(task, &files.file[0], error);
  }
  if (status == COHORT_DONE) status = cohort_completion_data_encode(task, &request, &files, own->split, error);
  task->digest = cohort_digest(&files.digest, sizeof files.digest, cohort_tokenizer_digest(tokenizer));
  cohort_completion_data_release(&files);
  return status;
}

/* Both splits have the same fields, and a sample's place has room for the longest list. */
static cohort_status join_splits(const cohort_task *task, cohort_preference_data *own, cohort_error *error) {
  const cohort_token_pairs *train = &own->split[COHORT_SPLIT_TRAIN], *other = &own->split[COHORT_SPLIT_VALIDATION];
  own->sides = train->sides > other->sides ? train->sides : other->sides;
  own->steps = train->steps > other->steps ? train->steps : other->steps;
  for (int f = 0; fields_of(task) && fields_of(task)[f].name; f++)
    if (!train->field[f].value != !other->field[f].value || !train->field[f].token != !other->field[f].token)
      return cohort_fail(
          error, COHORT_BAD_DATA, "data: %s stands in the lines of %s, but not in those of the other; give it in both",
          fields_of(task)[f].name, train->field[f].value || train->field[f].token ? "data.train" : "data.validation");
  return COHORT_DONE;
}

/* A sample. */
static const char *noun(const cohort_preference_data *own) {
  return own->sides == 2 ? "pair" : own->sides > 2 ? "list" : "completion";
}

/* Sizes of the lanes' inputs, and what the columns are. */
static void measure(cohort_task *task, cohort_preference_data *own, int64_t context) {
  int64_t prompt = 0, completion = 0;
  for (int s = 0; s < COHORT_SPLITS; s++) {
    const cohort_token_pairs *split = &own->split[s];
    task->samples[s] = split->count;
    if (split->longest > own->rows) own->rows = split->longest;
    if (split->prompts > prompt) prompt = split->prompts;
    if (split->completions > completion) completion = split->completions;
    for (int64_t i = 0; i < split->count; i++)
      own->chosen_tokens[s] += cohort_preference_chosen_tokens(task->preference.method, split, i);
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
  if (method->needs & (COHORT_NEEDS_DIVERGENCE | COHORT_NEEDS_EACH_TOKEN | COHORT_NEEDS_STEPS))
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
  const cohort_data_settings *data = &settings->data_settings;
  if ((data->lines != NULL) + (data->train != NULL) + (data->mix != NULL) != 1)
    cohort_faults_add(faults, cohort_settings_place(settings, "data"),
                      "data: give either train (JSONL of completions), mix (several files) or lines (a text)");
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
  /* A token that is only scored is read too. */
  const bool scores = method->needs & COHORT_NEEDS_SCORES;
  const int64_t context = model->context(task->model.config) - scores;
  cohort_status status = cohort_language_outputs(task, tokenizer, error);
  if (status == COHORT_DONE) status = load(task, tokenizer, context, own, error);
  cohort_tokenizer_destroy(tokenizer);
  COHORT_TRY(status);
  COHORT_TRY(join_splits(task, own, error));
  own->shares = own->sides > 1 && cohort_task_shares_prompts(task);
  cohort_preference_place_inputs(method, stored, own->shares, &own->split[COHORT_SPLIT_TRAIN], own->place);
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
