/* The program's verbs and its entry: what main calls. */
#ifndef COHORT_CLI_VERBS_H
#define COHORT_CLI_VERBS_H

#include "cli/verb.h"

/* Runs `cohort VERB ...`; returns the exit status. An error is printed once, as "cohort: error: ...". */
int cohort_command(int count, char **argument);

const char *cohort_command_version(void); /* "0.1.0" */
const char *cohort_command_commit(void);  /* of the source it was built from */

#endif
