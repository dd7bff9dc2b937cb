/* The registry of tasks, and completions: what a config chooses is read by the task's own table and nothing else, and a
 * completion depends neither on who else is written beside it nor on who writes it. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "check.h"
#include "io/config.h"
#include "train/rollout/rollout.h"
#include "train/task/registry.h"

typedef struct choice {
  cohort_document *document;
  cohort_settings settings;
  cohort_faults faults;
} choice;

static choice choose(const char *text) {
  choice own = {0};
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, strlen(text), "c.yaml", &own.document, &error), COHORT_DONE);
  cohort_settings_read(own.document, &own.settings, &own.faults);
  return own;
}

static void release(choice *own) {
  cohort_faults_release(&own->faults);
  cohort_settings_release(&own->settings);
  cohort_document_destroy(own->document);
}

static bool says(const choice *own, const char *part) {
  const bool found = own->faults.text && strstr(own->faults.text, part);
  if (!found) fprintf(stderr, "\n  \"%s\" lacks \"%s\"\n", own->faults.text ? own->faults.text : "", part);
  return found;
}

static void test_registry(void) {
  CU_ASSERT_PTR_EQUAL(cohort_task_find("language"), &cohort_task_language);
  CU_ASSERT_PTR_NULL(cohort_task_find("nothing"));
  int tasks = 0;
  for (const cohort_parameter *task = cohort_task_table; task->name; task++, tasks++) {
    const cohort_task_functions *functions = cohort_task_find(task->name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(functions);
    CU_ASSERT(functions->noun && functions->open && functions->close && functions->count);
    CU_ASSERT_EQUAL(functions->build != NULL, (functions->uses & COHORT_TASK_MODEL) != 0);
    CU_ASSERT_EQUAL(functions->item != NULL, functions->build == NULL);
    for (const cohort_parameter *key = task->section; key->name; key++)
      CU_ASSERT(key->meaning && key->offset < functions->settings_size);
  }
  CU_ASSERT(tasks >= 5);
}

/* A bare name stays one; keys are filled in. */
static void test_expanded(void) {
  choice bare = choose("task: supervised\nsteps: 1\nmodel: mlp\n");
  CU_ASSERT_EQUAL(bare.faults.count, 0);
  const cohort_document *task = cohort_document_get(bare.settings.expanded, "task");
  CU_ASSERT(task && task->kind == COHORT_SCALAR && strcmp(task->text, "supervised") == 0);
  release(&bare);
  choice keys = choose("task: {bandit: {arms: 7}}\nsteps: 1\n");
  CU_ASSERT_EQUAL(keys.faults.count, 0);
  const cohort_document *own = cohort_document_get(cohort_document_get(keys.settings.expanded, "task"), "bandit");
  CU_ASSERT_STRING_EQUAL(cohort_document_get(own, "arms")->text, "7");
  CU_ASSERT_STRING_EQUAL(cohort_document_get(own, "rounds")->text, "1000");
  CU_ASSERT_PTR_NULL(cohort_document_get(keys.settings.expanded, "optimizer"));
  release(&keys);
}

static void test_refused(void) {
  static const char *const wrong[][2] = {
      {"task: bandits\nsteps: 1\n", "did you mean \"bandit\""},
      {"task: {bandit: {arms: 1}}\nsteps: 1\n", "task.bandit.arms: is 1, out of range"},
      {"task: {supervised: {arms: 2}}\nsteps: 1\nmodel: mlp\n", "task.supervised.arms: unknown key"},
      {"task: bandit\nsteps: 1\nclip: 1\n", "clip: this task trains no model"},
      {"task: [bandit]\nsteps: 1\n", "task: expected one"},
      {"steps: 1\n", "model: is missing"},
      {"task: {policy: {loss: gpro, reward: {contains: x}}}\nsteps: 1\nmodel: gpt\n", "did you mean 'grpo'"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    choice own = choose(wrong[i][0]);
    CU_ASSERT(own.faults.count > 0 && says(&own, wrong[i][1]));
    release(&own);
  }
}

/* A repeat is a function of its number: sums of a block are those of its parts. */
static void test_items(void) {
  choice own = choose("task: {bandit: {rounds: 60, arms: 4, features: 3}}\nsteps: 1\nbatch: 4\n");
  cohort_comm comm = cohort_comm_alone();
  const cohort_log log = {0};
  cohort_task task;
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(cohort_task_open(&own.settings, &comm, &log, &own.faults, &task, &error), COHORT_DONE);
  double first[8] = {0}, again[8] = {0}, other[8] = {0};
  task.functions->item(&task, 3, first);
  task.functions->item(&task, 4, other);
  task.functions->item(&task, 3, again);
  CU_ASSERT(memcmp(first, again, sizeof first) == 0);
  CU_ASSERT(memcmp(first, other, sizeof first) != 0);
  CU_ASSERT(first[0] > 0 && first[1] >= first[3] && first[3] > 0);
  cohort_task_close(&task);
  release(&own);
}

enum { VOCABULARY = 11, PROMPT = 4, MOST = 9, TEXTS = 6 };

typedef struct model {
  cohort_document *document;
  cohort_choice choice;
  cohort_model_data data;
  cohort_space *space;
} model;

static model make_model(void) {
  static const char text[] = "{gpt: {layers: 1, width: 16, heads: 2, context: 16}}";
  model own = {.data = {.outputs = VOCABULARY}};
  cohort_error error;
  cohort_faults faults = {0};
  cohort_graph *graph = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, strlen(text), "m", &own.document, &error), COHORT_DONE);
  cohort_choice_read(COHORT_VARIANT_F64, "model", own.document, "model", &own.choice, NULL, &faults);
  CU_ASSERT_EQUAL_FATAL(faults.count, 0);
  CU_ASSERT_EQUAL_FATAL(cohort_generator_graph(&own.choice, &own.data, NULL, NULL, &graph, &error), COHORT_DONE);
  own.space = cohort_space_create(graph, 0, "model");
  cohort_graph_destroy(graph);
  CU_ASSERT_EQUAL_FATAL(cohort_space_hold(own.space, &error), COHORT_DONE);
  cohort_space_initialise(own.space, cohort_random_key_from_seed(5), NULL);
  return own;
}

static cohort_rollout *make_rollout(const model *own, int64_t texts, int end) {
  const cohort_rollout_options options = {.model = &own->choice,
                                          .data = &own->data,
                                          .space = own->space,
                                          .kernels = cohort_kernels_float32(cohort_processor_isa()),
                                          .writers = 2,
                                          .threads = 1,
                                          .texts = texts,
                                          .prompt = PROMPT,
                                          .completion = MOST,
                                          .stops = {.ends = end >= 0, .end = {end}},
                                          .how = cohort_decoding_plain(),
                                          .key = cohort_random_key_from_seed(9)};
  cohort_rollout *rollout = NULL;
  cohort_error error;
  CU_ASSERT(cohort_rollout_bytes(&options) > 0);
  CU_ASSERT_EQUAL_FATAL(cohort_rollout_create(&options, &rollout, &error), COHORT_DONE);
  return rollout;
}

static const int32_t prompts[2][PROMPT] = {{1, 2, 3, 4}, {7, 0, 2, 5}};

static cohort_rollout_text text_of(int64_t number, int32_t *completion) {
  return (cohort_rollout_text){
      .prompt = prompts[number % 2], .prompt_tokens = PROMPT, .stream = (uint64_t)number, .completion = completion};
}

/* Four completions of a prompt side by side, which is read once for them, are what each is alone; and what the model
 * says of their tokens is the same. */
static void test_shared_prompts(void) {
  model own = make_model();
  cohort_rollout *many = make_rollout(&own, TEXTS, -1), *few = make_rollout(&own, 1, -1);
  int32_t all[TEXTS][MOST], alone[MOST];
  float said[TEXTS][MOST], said_alone[MOST];
  cohort_rollout_text text[TEXTS];
  for (int i = 0; i < TEXTS; i++) {
    text[i] = text_of(i / 3, all[i]);
    text[i].stream = (uint64_t)i;
    text[i].log_probability = said[i];
  }
  CU_ASSERT(cohort_rollout_write(many, 0, TEXTS, text, NULL));
  for (int i = 0; i < TEXTS; i++) {
    cohort_rollout_text single = text[i];
    single.completion = alone;
    single.log_probability = said_alone;
    CU_ASSERT(cohort_rollout_write(few, 0, 1, &single, NULL));
    CU_ASSERT(memcmp(alone, all[i], sizeof alone) == 0);
    CU_ASSERT(memcmp(said_alone, said[i], sizeof said_alone) == 0);
    CU_ASSERT_EQUAL(text[i].finish, COHORT_FINISH_LENGTH);
  }
  cohort_rollout_destroy(many);
  cohort_rollout_destroy(few);
  cohort_space_destroy(own.space);
  cohort_choice_release(&own.choice);
  cohort_document_destroy(own.document);
}

static void test_rollout(void) {
  model own = make_model();
  cohort_rollout *many = make_rollout(&own, TEXTS, -1), *few = make_rollout(&own, 2, -1);
  int32_t all[TEXTS][MOST], alone[MOST];
  cohort_rollout_text text[TEXTS];
  for (int i = 0; i < TEXTS; i++) text[i] = text_of(i, all[i]);
  CU_ASSERT(cohort_rollout_write(many, 0, TEXTS, text, NULL));
  for (int i = 0; i < TEXTS; i++) {
    CU_ASSERT_EQUAL(text[i].length, MOST);
    cohort_rollout_text single = text_of(i, alone);
    CU_ASSERT(cohort_rollout_write(few, i % 2, 1, &single, NULL));
    CU_ASSERT(memcmp(alone, all[i], sizeof alone) == 0);
    if (i >= 2) CU_ASSERT(memcmp(all[i], all[i - 2], sizeof alone) != 0); /* same prompt, another stream */
  }
  const _Atomic int stop = 1;
  CU_ASSERT_FALSE(cohort_rollout_write(many, 1, TEXTS, text, &stop));
  cohort_rollout_destroy(many);
  cohort_rollout_destroy(few);
  /* The first token of a completion as its end: it stops there, and the others go on as before. */
  cohort_rollout *ending = make_rollout(&own, TEXTS, all[0][0]);
  int32_t ended[TEXTS][MOST];
  for (int i = 0; i < TEXTS; i++) text[i] = text_of(i, ended[i]);
  CU_ASSERT(cohort_rollout_write(ending, 0, TEXTS, text, NULL));
  CU_ASSERT_EQUAL(text[0].length, 1);
  for (int i = 0; i < TEXTS; i++) {
    CU_ASSERT(text[i].length == MOST || ended[i][text[i].length - 1] == all[0][0]);
    CU_ASSERT(memcmp(ended[i], all[i], (size_t)text[i].length * sizeof **all) == 0);
  }
  cohort_rollout_destroy(ending);
  cohort_space_destroy(own.space);
  cohort_choice_release(&own.choice);
  cohort_document_destroy(own.document);
}

int main(void) {
  const check checks[] = {{"every task is whole", test_registry},
                          {"a chosen task in the expanded config", test_expanded},
                          {"what a task does not take", test_refused},
                          {"items of a bandit", test_items},
                          {"completions of one prompt share its reading", test_shared_prompts},
                          {"completions", test_rollout}};
  return check_run("tasks", checks, sizeof checks / sizeof *checks);
}
