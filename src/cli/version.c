/* What the program is called: its version and the commit that it was built from. The header commit.h is made anew by
 * every build (cmake/commit.cmake); no other file includes it, so a commit costs one compilation and one link. */
#include "cli/verbs.h"
#include "commit.h"

const char *cohort_command_version(void) { return COHORT_VERSION; }
const char *cohort_command_commit(void) { return COHORT_COMMIT; }
const char *cohort_command_provenance(void) { return "cohort " COHORT_VERSION " (" COHORT_COMMIT ")"; }
