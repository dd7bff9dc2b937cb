/* The text that a run trains on: a file's, or what a |command prints.
 *
 * A command in a config is a program that its author runs here. So it runs only where the user has named that config,
 * or given the command, on the command line (cli/command.h sees to it); it runs once, on rank 0, and the other ranks
 * get what it printed; and `check`, which touches nothing, plans with a stand-in instead. */
#ifndef COHORT_TRAIN_RUN_SOURCE_TEXT_H
#define COHORT_TRAIN_RUN_SOURCE_TEXT_H

#include "base/comm.h"
#include "base/log.h"
#include "train/run/settings.h"

/* Collective; before the task is opened. Runs the command of data.text or data.lines, if there is one, on rank 0 and
 * gives its output to all; with `plan_only` it only notes that it was not run. */
cohort_status cohort_source_text_share(cohort_comm *comm, const cohort_log *log, bool plan_only,
                                       cohort_settings *settings, cohort_error *error);

/* Whether a stand-in takes a command's place; it has COHORT_STAND_IN_LINES lines. */
enum { COHORT_STAND_IN_LINES = 64 };
bool cohort_source_text_stands_in(const cohort_settings *settings);

/* One rank, once: the text of a file; or of the command that was shared; or the stand-in, whose every byte is a token
 * and whose lines are longer than `context`. Owned by the caller. */
cohort_status cohort_source_text_take(const cohort_settings *settings, const char *path, int64_t context, char **text,
                                      size_t *length, cohort_error *error);

#endif
