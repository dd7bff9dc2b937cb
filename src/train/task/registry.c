/* The list of tasks, and the reading of the one that a config chooses. Invariant: a task without keys of its own stands
 * in the expanded config as its bare name. Costs the number of tasks, and of the chosen one's keys. */
#include "train/task/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* clang-format off */
#define TASKS(each)                                                                          \
  each(supervised, cohort_task_no_keys, "samples with a class or a real target")                         \
  each(language, cohort_task_no_keys, "the next token of a text")                                        \
  each(sft, cohort_task_no_keys, "completions of prompts and conversations, learned as they stand")        \
  each(preference, cohort_task_no_keys, "completions of prompts, compared or labelled")                  \
  each(policy, cohort_task_policy_keys, "completions that the model writes itself, by their rewards")       \
  each(bandit, cohort_task_bandit_keys, "repeats of a synthetic linear bandit; there is no model")
/* clang-format on */

#define DECLARATION(task, table, text)                   \
  extern const cohort_task_functions cohort_task_##task; \
  extern const cohort_parameter table[];
TASKS(DECLARATION)

const cohort_parameter cohort_task_no_keys[] = {{.name = NULL}};

#define ROW(task, table, text) \
  {.name = #task, .type = COHORT_PARAMETER_SECTION, .section = table, .standard = "null", .meaning = text},
const cohort_parameter cohort_task_table[] = {TASKS(ROW){.name = NULL}};

#define FUNCTIONS(task, table, text) &cohort_task_##task,
static const cohort_task_functions *const task_functions[] = {TASKS(FUNCTIONS) NULL};

static int number_of(const char *name) {
  int number = 0;
  while (task_functions[number] && strcmp(task_functions[number]->name, name) != 0) number++;
  return task_functions[number] ? number : -1;
}

const cohort_task_functions *cohort_task_find(const char *name) {
  const int number = number_of(name);
  return number < 0 ? NULL : task_functions[number];
}

static void report_unknown(const cohort_document *where, const char *name, cohort_faults *faults) {
  const char *names[sizeof task_functions / sizeof *task_functions];
  char *list = cohort_copy_text("");
  size_t count = 0;
  for (; task_functions[count]; count++) {
    names[count] = task_functions[count]->name;
    char *longer = cohort_format_text("%s%s%s", list, count ? ", " : "", names[count]);
    free(list);
    list = longer;
  }
  const char *nearest = cohort_nearest_name(name, names, count);
  cohort_faults_add(faults, where, "task: no choice \"%s\"; %s%s%swrite one of: %s", name,
                    nearest ? "did you mean \"" : "", nearest ? nearest : "", nearest ? "\"? " : "", list);
  free(list);
}

/* The name and the keys of a bare name or of {name: {keys}}; NULL after a fault. */
static const char *split(const cohort_document *document, const cohort_document **keys, cohort_faults *faults) {
  *keys = NULL;
  if (document->kind == COHORT_SCALAR && document->text) return document->text;
  if (document->kind == COHORT_MAP && document->count == 1) {
    *keys = document->children[0];
    return document->names[0];
  }
  cohort_faults_add(faults, document, "task: expected one; write its name, or {NAME: {its keys}}");
  return NULL;
}

static void read_keys(cohort_settings *settings, int number, const cohort_document *keys, cohort_faults *faults) {
  const cohort_task_functions *functions = task_functions[number];
  const cohort_parameter *table = cohort_task_table[number].section;
  cohort_document *expanded = cohort_document_create(COHORT_MAP, NULL, 0, 0);
  char *path = cohort_format_text("task.%s", functions->name);
  settings->task_settings = cohort_allocate(functions->settings_size + 1);
  cohort_parameters_read(table, keys, path, settings->task_settings, expanded, faults);
  free(path);
  cohort_document *chosen = cohort_document_create(table->name ? COHORT_MAP : COHORT_SCALAR, NULL, 0, 0);
  if (table->name) {
    cohort_document_set(chosen, functions->name, expanded);
  } else {
    cohort_document_set_text(chosen, functions->name);
    cohort_document_destroy(expanded);
  }
  cohort_document_set(settings->expanded, "task", chosen);
}

void cohort_task_choose(cohort_settings *settings, cohort_faults *faults) {
  const cohort_document *keys = NULL;
  const char *name = settings->task_document ? split(settings->task_document, &keys, faults) : NULL;
  const int number = name ? number_of(name) : -1;
  if (name && number < 0) report_unknown(settings->task_document, name, faults);
  if (number < 0) {
    cohort_document_remove(settings->expanded, "task");
    return;
  }
  settings->task = task_functions[number];
  read_keys(settings, number, keys, faults);
}

void cohort_task_methods(const cohort_settings *settings,
                         void (*check)(const char *family, const cohort_document *document, const char *path,
                                       cohort_faults *faults),
                         cohort_faults *faults) {
  if (!settings->task) return;
  const int number = number_of(settings->task->name);
  for (const cohort_parameter *key = cohort_task_table[number].section; key->name; key++) {
    if (key->type != COHORT_PARAMETER_METHOD) continue;
    const cohort_document *document;
    memcpy(&document, (const char *)settings->task_settings + key->offset, sizeof document);
    char *path = cohort_format_text("task.%s.%s", settings->task->name, key->name);
    check(key->family, document, path, faults);
    free(path);
  }
}
