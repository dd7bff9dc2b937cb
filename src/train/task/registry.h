/* All tasks, by name, and how a config chooses one: `task: NAME`, or `task: {NAME: {its keys}}`.
 *
 * A task brings the table of its own keys and the struct that they fill; nothing else knows either. To add one: a file
 * that exports `cohort_task_NAME` and `cohort_task_NAME_keys`, and a line in registry.c. */
#ifndef COHORT_TRAIN_TASK_REGISTRY_H
#define COHORT_TRAIN_TASK_REGISTRY_H

#include "train/run/settings.h"
#include "train/task/task.h"

/* An entry a task, whose section is the table of its keys; for the key `task` of a config. */
extern const cohort_parameter cohort_task_table[];

/* NULL when there is none of that name. */
const cohort_task_functions *cohort_task_find(const char *name);

/* Reads settings->task_document: sets `task` and `task_settings` (owned by the settings), and the key `task` of
 * settings->expanded. On a fault `task` stays NULL and the key is gone. */
void cohort_task_choose(cohort_settings *settings, cohort_faults *faults);

/* Calls `check` for every key of the chosen task that holds a method. */
void cohort_task_methods(const cohort_settings *settings,
                         void (*check)(const char *family, const cohort_document *document, const char *path,
                                       cohort_faults *faults),
                         cohort_faults *faults);

#endif
