/* Task policy: the model writes completions of prompts from a text, a rule rewards them, and a loss of the family
 * policy trains on them. Opens the data; policy_rollout.c has completions written before a step, policy_experience.c
 * makes advantages of them, policy_graph.c builds and policy_feed.c feeds. Memory grows with the text's tokens, and
 * with the tokens of a batch. */
#include "train/task/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"
#include "train/run/source_text.h"
#include "train/task/language.h"

const cohort_parameter cohort_task_policy_keys[] = {
    COHORT_METHOD_OF(cohort_policy_settings, loss, "grpo", "policy", "advantages and loss"),
    COHORT_METHOD_OF(cohort_policy_settings, reward, "null", "reward",
                     "what a completion is worth; this or `rewards` must be given"),
    COHORT_TREE(cohort_policy_settings, rewards, "several of them, a list, for losses that look at each",
                .family = "reward"),
    COHORT_NUMBERS(cohort_policy_settings, reward_weights, "of `rewards` in their sum; null: 1 each"),
    COHORT_INTEGER_RANGE(cohort_policy_settings, group, "8", 1, 1024, "completions of every prompt",
                         .unit = "completions"),
    COHORT_INTEGER_RANGE(cohort_policy_settings, prompt, "16", 1, 1e6, "length of the prompts", .unit = "tokens"),
    COHORT_INTEGER_RANGE(cohort_policy_settings, completion, "32", 1, 1e6, "length of a completion, at most",
                         .unit = "tokens"),
    COHORT_SECTION(cohort_policy_settings, sampling, how, cohort_decoding_keys, "{}",
                   "how completions are drawn; the policy that is trained stays that of temperature 1"),
    COHORT_TREE(cohort_policy_settings, stop, "a text that ends a completion, or a list of such texts"),
    COHORT_INTEGER_RANGE(cohort_policy_settings, updates, "1", 1, 1000,
                         "steps on the same completions before new ones are written", .unit = "steps"),
    COHORT_INTEGER_RANGE(cohort_policy_settings, resample, "0", 0, 1000,
                         "rounds of further prompts in the place of those whose completions have all the same reward "
                         "(dynamic sampling); 0: all prompts are kept",
                         .unit = "rounds"),
    {.name = NULL},
};

static void close_task(cohort_task *task) {
  cohort_policy_data *own = task->own;
  cohort_rollout_destroy(own->rollout);
  cohort_rollout_destroy(own->likeliest);
  cohort_row_table_destroy(own->table);
  cohort_row_table_destroy(own->memory);
  cohort_tokenizer_destroy(own->tokenizer);
  for (int k = 0; k < COHORT_POLICY_REWARDS; k++) {
    cohort_rewards_destroy(own->reward[k]);
    cohort_rewards_destroy(own->greedy[k]);
    cohort_choice_release(&own->rule[k]);
  }
  cohort_choice_release(&own->loss);
  cohort_policy_release_batch(&own->batch);
  cohort_policy_release_batch(&own->candidate);
  cohort_policy_release_experience(own);
  free(own->tokens);
  free(own);
}

static cohort_status read_prompts(cohort_task *task, cohort_policy_data *own, cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  char *text = NULL;
  size_t length = 0;
  int64_t count = 0;
  COHORT_TRY(cohort_language_tokenizer(data->tokenizer, &own->tokenizer, error));
  cohort_stops_add_ends(&own->stops, own->tokenizer);
  own->stops.tokenizer = own->tokenizer;
  COHORT_TRY(cohort_source_text_take(task->settings, data->text, own->rows + 1, &text, &length, error));
  own->tokens = cohort_tokenizer_encode(own->tokenizer, text, length, &count);
  task->digest = cohort_digest(text, length, cohort_tokenizer_digest(own->tokenizer));
  free(text);
  COHORT_TRY(cohort_language_outputs(task, own->tokenizer, error));
  if (cohort_policy_has(own, COHORT_POLICY_DATA) || own->resets > 0)
    count -= own->settings->completion; /* what follows a prompt */
  task->samples[COHORT_SPLIT_TRAIN] = count > 0 ? count / own->settings->prompt : 0;
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
  if (!own->reward == !own->rewards)
    cohort_faults_add(faults, cohort_settings_place(settings, "task"),
                      own->reward
                          ? "task.policy: reward and rewards are given; remove one"
                          : "task.policy.reward: is missing; give one, as {contains: TEXT}; `cohort methods reward` "
                            "lists them");
}

/* What the loss asks for, against what there is. */
static void check_needs(const cohort_task *task, const cohort_policy_data *own, cohort_faults *faults) {
  const cohort_document *where = cohort_settings_place(task->settings, "task");
  const cohort_model *model = task->model.method->functions;
  const char *loss = own->loss.method->key;
  if (cohort_policy_has(own, COHORT_POLICY_VALUE) && !model->scalar_head)
    cohort_faults_add(faults, where,
                      "task.policy.loss: %s has a critic, but %s has no head for one; take another model", loss,
                      task->model.method->key);
  if (cohort_policy_has(own, COHORT_POLICY_PAIRS) && own->settings->group % 2)
    cohort_faults_add(faults, where, "task.policy.group: %s compares completions by twos; give an even number", loss);
  if (own->critic >= 0 && !cohort_policy_has(own, COHORT_POLICY_VALUE))
    cohort_faults_add(faults, cohort_settings_place(task->settings, "players"),
                      "players.critic: %s has no critic; remove it", loss);
}

/* One reward, or a list of them with weights. */
static void read_rewards(cohort_policy_data *own, cohort_document *keys, const cohort_document *where,
                         cohort_faults *faults) {
  const cohort_policy_settings *settings = own->settings;
  const cohort_document *list = settings->rewards;
  own->weight[0] = own->rewards = 1;
  if (settings->reward)
    cohort_choice_expand(COHORT_VARIANT_F64, "reward", settings->reward, "reward", &own->rule[0], keys, faults);
  if (!list) return;
  own->rewards = list->kind == COHORT_LIST ? (int)list->count : 0;
  if (own->rewards < 1 || own->rewards > COHORT_POLICY_REWARDS) {
    cohort_faults_add(faults, where, "task.policy.rewards: wants a list of 1 to %d rewards", COHORT_POLICY_REWARDS);
    own->rewards = 0;
  }
  if (settings->reward_weights.count && settings->reward_weights.count != own->rewards)
    cohort_faults_add(faults, where, "task.policy.reward_weights: %d numbers for %d rewards; give as many",
                      settings->reward_weights.count, own->rewards);
  for (int k = 0; k < own->rewards; k++) {
    own->weight[k] = settings->reward_weights.count ? settings->reward_weights.value[k] : 1;
    cohort_choice_read(COHORT_VARIANT_F64, "reward", list->children[k], "rewards", &own->rule[k], NULL, faults);
  }
}

static void make_tables(cohort_task *task, cohort_policy_data *own) {
  static const char *const names[] = {"old", "reference", "value", "guide"};
  const int64_t most = own->settings->completion;
  cohort_row_column columns[COHORT_ROLLOUT_COLUMNS] = {
      {"tokens", COHORT_STORED_INT64, most}, {"prompt", COHORT_STORED_INT64, 1},
      {"length", COHORT_STORED_INT64, 1},    {"ended", COHORT_STORED_INT64, 1},
      {"skip", COHORT_STORED_INT64, 1},      {"reward", COHORT_STORED_FLOAT64, own->rewards},
      {"greedy", COHORT_STORED_FLOAT64, 1}};
  own->table_columns = COHORT_ROLLOUT_SCORED;
  for (int s = 0; s < COHORT_SCORED_COLUMNS; s++) {
    own->place[s] = cohort_policy_scores(own, (cohort_policy_scored)s) ? own->table_columns++ : -1;
    if (own->place[s] >= 0) columns[own->place[s]] = (cohort_row_column){names[s], COHORT_STORED_FLOAT32, most};
  }
  own->table = task->rows[task->tables++] =
      cohort_row_table_create(task->comm, "rollouts", own->table_columns, columns);
  if (!cohort_policy_has(own, COHORT_POLICY_KEEPS) && own->settings->resample == 0) return;
  const cohort_row_column kept[COHORT_KEPT_COLUMNS] = {{"state", COHORT_STORED_FLOAT64, COHORT_POLICY_STATES},
                                                       {"drawn", COHORT_STORED_INT64, 1},
                                                       {"next_drawn", COHORT_STORED_INT64, 1}};
  own->memory = task->rows[task->tables++] = cohort_row_table_create(task->comm, "policy", COHORT_KEPT_COLUMNS, kept);
}

static cohort_status make_rewards(const cohort_task *task, cohort_policy_data *own, cohort_error *error) {
  cohort_rewards_options options = {.comm = task->comm,
                                    .tokenizer = own->tokenizer,
                                    .group = own->settings->group,
                                    .limit = own->settings->completion,
                                    .prompt = own->settings->prompt,
                                    .threads = 1};
  for (int k = 0; k < own->rewards; k++)
    COHORT_TRY(cohort_rewards_create(&own->rule[k], &options, &own->reward[k], error));
  options.group = 1;
  for (int k = 0; k < own->rewards && cohort_policy_has(own, COHORT_POLICY_GREEDY); k++)
    COHORT_TRY(cohort_rewards_create(&own->rule[k], &options, &own->greedy[k], error));
  return COHORT_DONE;
}

/* Spaces beside the model's: a reference, a guide, which both stay as they begin. */
static void add_spaces(cohort_task *task, cohort_policy_data *own) {
  own->critic = cohort_task_player(task, "critic");
  own->guide = -1;
  if (own->critic >= 0) task->space[own->critic].stored = "model";
  if (cohort_policy_has(own, COHORT_POLICY_REFERENCE)) cohort_task_add_reference(task);
  if (cohort_policy_has(own, COHORT_POLICY_GUIDE))
    own->guide = cohort_task_add_space(task, "guide", COHORT_SPACE_FROZEN, task->model_space);
}

static cohort_status open_task(cohort_task *task, const cohort_log *log, cohort_faults *faults, cohort_error *error) {
  const cohort_policy_settings *settings = task->settings->task_settings;
  cohort_policy_data *own = cohort_allocate(sizeof *own);
  task->own = own;
  own->settings = settings;
  own->rows = settings->prompt + settings->completion - 1;
  cohort_document *keys = cohort_document_get(cohort_document_get(task->settings->expanded, "task"), "policy");
  cohort_choice_expand(COHORT_VARIANT_F64, "policy", settings->loss, "loss", &own->loss, keys, faults);
  cohort_stops_read(&own->stops, settings->stop, "task.policy.stop", faults);
  read_rewards(own, keys, cohort_settings_place(task->settings, "task"), faults);
  check_settings(task, settings, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  own->needs = cohort_policy_needs(own->loss.method, own->loss.config);
  own->scores = settings->updates > 1 || cohort_policy_has(own, COHORT_POLICY_SCORED);
  const cohort_policy *functions = own->loss.method->functions;
  own->resets = functions->resets ? functions->resets(own->loss.config) : 0;
  own->kept = settings->group + cohort_policy_has(own, COHORT_POLICY_DATA);
  own->sequences = task->settings->batch * own->kept;
  add_spaces(task, own);
  check_needs(task, own, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  COHORT_TRY(read_prompts(task, own, error));
  own->shares = own->kept > 1 && settings->prompt > 1 && cohort_task_shares_prompts(task);
  task->tokens_per_sample = own->kept * own->rows;
  COHORT_TRY(make_rewards(task, own, error));
  cohort_policy_make_batch(own, &own->batch);
  if (settings->resample > 0) cohort_policy_make_batch(own, &own->candidate);
  make_tables(task, own);
  cohort_policy_make_experience(own, task->settings->batch);
  cohort_policy_list_metrics(task, own);
  cohort_log_line(log, "prompts: %lld of %lld tokens, %lld completions each of at most %lld tokens",
                  (long long)task->samples[COHORT_SPLIT_TRAIN], (long long)settings->prompt, (long long)settings->group,
                  (long long)settings->completion);
  return COHORT_DONE;
}

static int64_t count(const cohort_task *task, cohort_split split, int64_t samples) {
  (void)split;
  return samples * ((const cohort_policy_data *)task->own)->kept;
}

const cohort_task_functions cohort_task_policy = {.name = "policy",
                                                  .noun = "completion groups",
                                                  .uses = COHORT_TASK_MODEL | COHORT_TASK_TEXT | COHORT_TASK_TOKENS,
                                                  .players = (const char *const[]){"critic", NULL},
                                                  .settings_size = sizeof(cohort_policy_settings),
                                                  .open = open_task,
                                                  .close = close_task,
                                                  .build = cohort_policy_graph,
                                                  .feed = cohort_policy_feed,
                                                  .prepare = cohort_policy_prepare,
                                                  .bytes = cohort_policy_bytes,
                                                  .commit = cohort_policy_commit,
                                                  .derive = cohort_policy_derive,
                                                  .count = count};
