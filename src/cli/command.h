/* What the verbs that build a run share: the ranks, the log, the settings. */
#ifndef COHORT_CLI_COMMAND_H
#define COHORT_CLI_COMMAND_H

#include "base/comm.h"
#include "base/log.h"
#include "cli/verb.h"
#include "mpi/topology.h"
#include "train/run/settings.h"
#include "train/session/loop.h"

typedef struct cohort_command_context {
  cohort_comm comm;
  cohort_log log;
  cohort_document *document; /* owned */
  cohort_settings settings;
  cohort_topology *topology; /* owned */
  int threads;
  char *run_path; /* owned */
} cohort_command_context;

/* Where a config comes from: the user has named it on the command line, or it lies in a run directory that was named.
 * Only the first kind may run commands (data.text: "|command"): a run may be somebody else's. */
typedef enum { COHORT_CONFIG_NAMED, COHORT_CONFIG_OF_RUN } cohort_config_origin;

/* Collective over the ranks of this job: opens the world, reads the config with its overrides, checks the settings. On
 * an error the world is still open; call close. The config's name gives the default run directory. */
cohort_status cohort_command_open(const char *config, cohort_config_origin origin, int overrides, char *const *override,
                                  cohort_command_context *command, cohort_error *error);
/* Says the error that all ranks share, to the terminal and log.txt, and clears its text; closes the log and the world.
 * Where the world did not open, the error stays unsaid. `status` is the outcome. */
cohort_status cohort_command_close(cohort_command_context *command, cohort_status status, cohort_error *error);

cohort_loop_program cohort_command_program(void);

#endif
