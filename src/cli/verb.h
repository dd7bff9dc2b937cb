/* The command line: one file per verb. `cohort VERB ...` calls the verb's function with the words after the verb; it
 * returns the exit status (base/status.h). */
#ifndef COHORT_CLI_VERB_H
#define COHORT_CLI_VERB_H

#include "base/comm.h"
#include "base/log.h"

typedef struct cohort_command_line {
  int count; /* words after the verb */
  char **word;
  char **all; /* argv of the program, for starting again */
} cohort_command_line;

typedef struct cohort_verb {
  const char *name, *synopsis, *summary; /* for --help: "CONFIG [key=value ...]", one line */
  const char *help;                      /* more lines, or NULL */
  cohort_status (*run)(const cohort_command_line *line, cohort_error *error);
} cohort_verb;

extern const cohort_verb cohort_verb_train, cohort_verb_eval, cohort_verb_generate, cohort_verb_tokenize,
    cohort_verb_methods, cohort_verb_keys, cohort_verb_probe, cohort_verb_check, cohort_verb_inspect, cohort_verb_plot,
    cohort_verb_partition, cohort_verb_convert, cohort_verb_help;

#endif
