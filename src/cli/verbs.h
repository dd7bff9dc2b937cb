/* The program's verbs and its entry: what main calls. */
#ifndef COHORT_CLI_VERBS_H
#define COHORT_CLI_VERBS_H

#include <stdio.h>

#include "cli/verb.h"

#define COHORT_SUMMARY "trains, aligns and federates neural networks over MPI"
#define COHORT_EXIT_STATUS                                                                                     \
  "0 done; 1 a bug in Cohort; 2 command line or config;\n3 data or checkpoint; 4 disk or memory; 5 diverged; " \
  "6 a rank was lost; 75 stopped after a save."

/* Runs `cohort VERB ...`; returns the exit status. An error is printed once, as "cohort: error: ...". */
int cohort_command(int count, char **argument);

/* The verbs in the order of the help; NULL past the last. */
const cohort_verb *cohort_command_verb(int number);
/* COHORT_BAD_CONFIG with the nearest name when there is no such verb. */
cohort_status cohort_command_find(const char *name, const cohort_verb **verb, cohort_error *error);
void cohort_command_print_help(FILE *out);
void cohort_command_print_verb(const cohort_verb *verb);

const char *cohort_command_version(void); /* "0.1.0" */
/* Of the source it was built from: "64708ca"; "64708ca-dirty" when files differed from it; "unknown" without git. */
const char *cohort_command_commit(void);
const char *cohort_command_provenance(void); /* "cohort 0.1.0 (64708ca)": --version, and what checkpoints say */

#endif
