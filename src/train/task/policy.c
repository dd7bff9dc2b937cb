/* Task policy: the model writes completions of prompts from a text, a rule rewards them, and a loss of the family
 * policy trains on them. Opens the data; policy_rollout.c writes the completions before a step, policy_graph.c builds
 * and feeds. Memory grows with the text's tokens, and with the tokens of a batch. */
#include "train/task/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"
#include "train/run/source_text.h"
#include "train/task/language.h"

const cohort_parameter cohort_task_policy_keys[] = {
    COHORT_METHOD_OF(cohort_policy_settings, loss, "grpo", "policy", "advantages and loss"),
    COHORT_METHOD_OF(cohort_policy_settings, reward, "null", "reward", "what a completion is worth; must be given"),
    COHORT_INTEGER_RANGE(cohort_policy_settings, group, "8", 1, 1024, "completions of every prompt",
                         .unit = "completions"),
    COHORT_INTEGER_RANGE(cohort_policy_settings, prompt, "16", 1, 1e6, "length of the prompts", .unit = "tokens"),
    COHORT_INTEGER_RANGE(cohort_policy_settings, completion, "32", 1, 1e6, "length of a completion, at most",
                         .unit = "tokens"),
    COHORT_INTEGER_RANGE(cohort_policy_settings, updates, "1", 1, 1000,
                         "steps on the same completions before new ones are written", .unit = "steps"),
    {.name = NULL},
};

static void close_task(cohort_task *task) {
  cohort_policy_data *own = task->own;
  cohort_rollout_destroy(own->rollout);
  cohort_row_table_destroy(own->table);
  cohort_tokenizer_destroy(own->tokenizer);
  cohort_rewards_destroy(own->rewards);
  cohort_choice_release(&own->rule);
  cohort_choice_release(&own->loss);
  free(own->tokens);
  free(own->length);
  free(own->completion);
  free(own->reward);
  free(own->old);
  free(own);
}

static cohort_status read_prompts(cohort_task *task, cohort_policy_data *own, cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  char *text = NULL;
  size_t length = 0;
  int64_t count = 0;
  COHORT_TRY(cohort_language_tokenizer(data->tokenizer, &own->tokenizer, error));
  COHORT_TRY(cohort_source_text_take(task->settings, data->text, own->rows + 1, &text, &length, error));
  own->tokens = cohort_tokenizer_encode(own->tokenizer, text, length, &count);
  task->digest = cohort_digest(text, length, cohort_tokenizer_digest(own->tokenizer));
  free(text);
  task->model_data.outputs = cohort_tokenizer_vocabulary(own->tokenizer);
  COHORT_TRY(cohort_model_vocabulary(task->model.method, task->model.config, task->model_data.outputs,
                                     &task->model_data.outputs, error));
  task->samples[COHORT_SPLIT_TRAIN] = count / own->settings->prompt;
  if (task->samples[COHORT_SPLIT_TRAIN] > 0 || task->settings->evaluates) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_DATA, "%s: %lld tokens make no prompt of %lld", data->text, (long long)count,
                     (long long)own->settings->prompt);
}

static void check_settings(const cohort_task *task, const cohort_policy_settings *own, cohort_faults *faults) {
  const cohort_settings *settings = task->settings;
  const cohort_model *model = task->model.method->functions;
  if (model->kind != COHORT_MODEL_TOKENS) {
    cohort_faults_add(faults, cohort_settings_place(settings, "model"),
                      "model: %s reads samples; the policy task has tokens", task->model.method->key);
    return;
  }
  const int64_t context = model->context(task->model.config);
  if (own->prompt + own->completion > context)
    cohort_faults_add(faults, cohort_settings_place(settings, "task"),
                      "task.policy: prompt and completion take %lld tokens, but the model's context is %lld",
                      (long long)(own->prompt + own->completion), (long long)context);
  if (!settings->data_settings.text)
    cohort_faults_add(faults, cohort_settings_place(settings, "data"), "data: give text, a file or |command");
  if (!own->reward)
    cohort_faults_add(
        faults, cohort_settings_place(settings, "task"),
        "task.policy.reward: is missing; give one, as {contains: TEXT}; `cohort methods reward` lists them");
}

static void make_table(cohort_task *task, cohort_policy_data *own) {
  const cohort_row_column columns[COHORT_ROLLOUT_COLUMNS] = {{"tokens", COHORT_STORED_INT64, own->settings->completion},
                                                             {"length", COHORT_STORED_INT64, 1},
                                                             {"reward", COHORT_STORED_FLOAT64, 1},
                                                             {"old", COHORT_STORED_FLOAT32, own->settings->completion}};
  own->table = task->rows[task->tables++] =
      cohort_row_table_create(task->comm, "rollouts", COHORT_ROLLOUT_COLUMNS, columns);
}

static void make_batch(cohort_policy_data *own, int64_t batch) {
  const size_t completions = (size_t)(batch * own->settings->group);
  const size_t tokens = completions * (size_t)own->settings->completion;
  own->length = cohort_allocate(completions * sizeof *own->length);
  own->completion = cohort_allocate(tokens * sizeof *own->completion);
  own->reward = cohort_allocate(2 * completions * sizeof *own->reward);
  own->advantage = own->reward + completions;
  own->old = cohort_allocate(tokens * sizeof *own->old);
}

static cohort_status make_rewards(const cohort_task *task, cohort_policy_data *own, cohort_error *error) {
  const cohort_rewards_options options = {.comm = task->comm,
                                          .tokenizer = own->tokenizer,
                                          .group = own->settings->group,
                                          .limit = own->settings->completion,
                                          .prompt = own->settings->prompt,
                                          .threads = 1};
  return cohort_rewards_create(&own->rule, &options, &own->rewards, error);
}

static cohort_status open_task(cohort_task *task, const cohort_log *log, cohort_faults *faults, cohort_error *error) {
  const cohort_policy_settings *settings = task->settings->task_settings;
  cohort_policy_data *own = cohort_allocate(sizeof *own);
  task->own = own;
  own->settings = settings;
  own->rows = settings->prompt + settings->completion - 1;
  cohort_document *keys = cohort_document_get(cohort_document_get(task->settings->expanded, "task"), "policy");
  cohort_choice_expand(COHORT_VARIANT_F64, "policy", settings->loss, "loss", &own->loss, keys, faults);
  if (settings->reward)
    cohort_choice_expand(COHORT_VARIANT_F64, "reward", settings->reward, "reward", &own->rule, keys, faults);
  check_settings(task, settings, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  if (cohort_policy_needs_reference(own->loss.method, own->loss.config)) cohort_task_add_reference(task);
  COHORT_TRY(read_prompts(task, own, error));
  task->tokens_per_sample = settings->group * own->rows;
  COHORT_TRY(make_rewards(task, own, error));
  make_batch(own, task->settings->batch);
  make_table(task, own);
  cohort_policy_list_metrics(task, own);
  cohort_log_line(log, "prompts: %lld of %lld tokens, %lld completions each of at most %lld tokens",
                  (long long)task->samples[COHORT_SPLIT_TRAIN], (long long)settings->prompt, (long long)settings->group,
                  (long long)settings->completion);
  return COHORT_DONE;
}

static int64_t count(const cohort_task *task, cohort_split split, int64_t samples) {
  (void)split;
  return samples * ((const cohort_policy_data *)task->own)->settings->group;
}

const cohort_task_functions cohort_task_policy = {.name = "policy",
                                                  .noun = "completion groups",
                                                  .uses = COHORT_TASK_MODEL | COHORT_TASK_TEXT | COHORT_TASK_TOKENS,
                                                  .settings_size = sizeof(cohort_policy_settings),
                                                  .open = open_task,
                                                  .close = close_task,
                                                  .build = cohort_policy_graph,
                                                  .feed = cohort_policy_feed,
                                                  .prepare = cohort_policy_prepare,
                                                  .bytes = cohort_policy_bytes,
                                                  .commit = cohort_policy_commit,
                                                  .count = count};
