#include <stdio.h>
#include <stdlib.h>

#include "base/lanes.h"
#include "cli/session.h"
#include "io/config.h"
#include "train/run.h"

/* Bytes that one rank receives in a step: its shard of every other rank's subtrees, then the other shards of the
 * weights. */
static double received_bytes(const cohort_run *run, int ranks, int vectors) {
  const cohort_space *space = cohort_run_space(run, 0);
  const int lanes = cohort_run_lanes(run);
  cohort_subtree nodes[COHORT_MAX_SUBTREES];
  int all = 0, own = 0;
  for (int r = 0; r < ranks; r++) {
    int first, last;
    cohort_lanes_of(lanes, ranks, r, &first, &last);
    const int subtrees = cohort_lanes_subtrees(lanes, first, last, nodes);
    all += subtrees;
    if (r == 0) own = subtrees;
  }
  const double shard = (double)space->parameters / ranks * sizeof(float);
  return shard * vectors * (all - own) + shard * (ranks - 1);
}

static void print_estimates(const cohort_run *run) {
  const double parameters = (double)cohort_run_space(run, 0)->parameters;
  double state = 0;
  for (int i = 0; i < cohort_player_slots(cohort_run_player(run)); i++)
    state += (double)cohort_player_slot(cohort_run_player(run), i)->elements;
  printf("# parameters %.0f, optimizer state %.0f numbers; a checkpoint takes about %.1f MB\n", parameters, state,
         (parameters + state) * 4 / 1e6);
  printf("# ranks  MB received by rank 0 a step\n");
  for (int ranks = 1; ranks <= cohort_run_lanes(run) && ranks <= 8; ranks *= 2)
    printf("# %5d  %.2f\n", ranks,
           ranks == 1 ? 0.0 : received_bytes(run, ranks, cohort_run_task(run)->objectives) / 1e6);
}

static cohort_status run_check(const cohort_command_line *line, cohort_error *error) {
  if (line->count < 1) return cohort_fail(error, COHORT_BAD_CONFIG, "check: give a config; see cohort check --help");
  cohort_command_session session;
  cohort_run *run = NULL;
  cohort_status status = cohort_command_open(line->word[0], line->count - 1, line->word + 1, &session, error);
  if (status == COHORT_DONE)
    status = cohort_run_create(&session.settings, &session.comm, &session.log, session.threads, &run, error);
  if (status == COHORT_DONE && session.comm.rank == 0) {
    char *config = cohort_config_write(session.settings.expanded), *text = cohort_run_describe(run);
    printf("%s", config);
    for (const char *at = text; *at; at++) {
      if (at == text || at[-1] == '\n') printf("# ");
      putchar(*at);
    }
    printf("\n");
    print_estimates(run);
    free(text);
    free(config);
  }
  cohort_run_destroy(run);
  return cohort_command_close(&session, status, error);
}

const cohort_verb cohort_verb_check = {
    .name = "check",
    .synopsis = "CONFIG [key=value ...]",
    .summary = "validate a config, print it with every default, and estimate memory and traffic; touches nothing",
    .run = run_check,
};
