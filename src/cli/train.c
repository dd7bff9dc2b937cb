/* `cohort train CONFIG`: a session (train/session/loop.h) around a run. */
#include "cli/command.h"

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  if (line->count < 1) return cohort_fail(error, COHORT_BAD_CONFIG, "train: give a config; see cohort train --help");
  cohort_command_context command;
  cohort_status status =
      cohort_command_open(line->word[0], COHORT_CONFIG_NAMED, line->count - 1, line->word + 1, &command, error);
  cohort_loop_program program = cohort_command_program();
  program.topology = command.topology;
  if (status == COHORT_DONE)
    status = cohort_loop_train(&command.settings, command.run_path, &command.comm, &command.log, command.threads,
                               &program, error);
  if (status == COHORT_STOPPED) error->text[0] = '\0'; /* said already; not an error */
  return cohort_command_close(&command, status, error);
}

const cohort_verb cohort_verb_train = {
    .name = "train",
    .synopsis = "CONFIG [key=value ...]",
    .summary = "train what a config describes; a stopped run resumes by itself",
    .help =
        "Start it under mpirun or srun for several ranks; the bits do not depend on how many.\n"
        "Overrides are dotted keys: optimizer.adamw.learning_rate=1e-3\n"
        "Exit status 75: stopped by a signal or max_seconds after a save; start the same command again.\n"
        "A second signal ends it at once, with status 128 + its number.",
    .run = run,
};
