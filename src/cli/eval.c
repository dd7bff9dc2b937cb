#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/session.h"
#include "train/run.h"

static void print_split(const cohort_task *task, cohort_split split, const cohort_run_row *row) {
  printf("%-12s %10lld samples  loss %.9g", cohort_split_name(split), (long long)task->samples[split], row->loss);
  for (int m = 0; m < task->metrics; m++) printf("  %s %.9g", task->metric[m], row->columns[m]);
  printf("\n");
}

static cohort_status evaluate(cohort_command_session *session, const char *weights, cohort_error *error) {
  cohort_run *run = NULL;
  COHORT_TRY(cohort_run_create(&session->settings, &session->comm, &session->log, session->threads, &run, error));
  cohort_status status = cohort_run_take_weights(run, weights, true, error);
  const cohort_task *task = cohort_run_task(run);
  for (int s = COHORT_SPLIT_VALIDATION; s < COHORT_SPLITS && status == COHORT_DONE; s++) {
    if (!task->samples[s]) continue;
    cohort_run_row row;
    status = cohort_run_evaluate(run, (cohort_split)s, &row, error);
    if (status == COHORT_DONE && session->comm.rank == 0) print_split(task, (cohort_split)s, &row);
  }
  cohort_run_destroy(run);
  return status;
}

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  if (line->count < 1)
    return cohort_fail(error, COHORT_BAD_CONFIG, "eval: give a run directory; see cohort eval --help");
  int word = 1;
  const char *given = NULL;
  if (line->count > 2 && strcmp(line->word[1], "--checkpoint") == 0) {
    given = line->word[2];
    word = 3;
  }
  char *config = NULL, *weights = NULL;
  COHORT_TRY(cohort_command_run_files(line->word[0], &config, &weights, error));
  cohort_command_session session;
  cohort_status status = cohort_command_open(config, line->count - word, line->word + word, &session, error);
  if (status == COHORT_DONE) status = evaluate(&session, given ? given : weights, error);
  free(config);
  free(weights);
  return cohort_command_close(&session, status, error);
}

const cohort_verb cohort_verb_eval = {
    .name = "eval",
    .synopsis = "RUN [--checkpoint FILE] [key=value ...]",
    .summary = "evaluate a run's weights on every split but train",
    .help = "Takes RUN/final.h5, else the latest checkpoint, unless FILE is given.",
    .run = run,
};
