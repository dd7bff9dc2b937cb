/* The program's verbs and its entry: what main calls. */
#ifndef COHORT_CLI_VERBS_H
#define COHORT_CLI_VERBS_H

#include "cli/verb.h"

/* Runs `cohort VERB ...`; returns the exit status. An error is printed once, as "cohort: error: ...". */
int cohort_command(int count, char **argument);

const char *cohort_command_version(void); /* "0.1.0" */
/* Of the source it was built from: "64708ca"; "64708ca-dirty" when files differed from it; "unknown" without git. */
const char *cohort_command_commit(void);
const char *cohort_command_provenance(void); /* "cohort 0.1.0 (64708ca)": --version, and what checkpoints say */

#endif
