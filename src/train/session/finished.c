/* Runs that are at their end. Invariant: nothing is written. Costs two small files and the head of
 * final.h5. */
#include "train/session/finished.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/checkpoint.h"
#include "io/run_directory.h"

static bool stands_at(const char *run_path, int64_t steps) {
  char *last = cohort_format_text("%s/final.h5", run_path);
  cohort_error ignored; /* a file that cannot be read is no end: who resumes says what is wrong with it */
  const bool there = cohort_file_exists(last) && cohort_checkpoint_step(last, &ignored) == steps;
  free(last);
  return there;
}

/* Whatever speaks against it is for those to refuse who build the run and open its directory. */
static bool is_finished(const cohort_settings *settings, const char *run_path) {
  cohort_error ignored;
  cohort_document *expanded = cohort_settings_expand(settings);
  if (!expanded) return false;
  const bool same = cohort_run_directory_compare(run_path, expanded, &cohort_settings_rules, &ignored) == COHORT_DONE;
  cohort_document_destroy(expanded);
  char *outcome = same ? cohort_run_outcome(run_path) : NULL;
  const bool finished = outcome && strcmp(outcome, "done") == 0 && stands_at(run_path, settings->steps);
  free(outcome);
  return finished;
}

bool cohort_finished(const cohort_settings *settings, const char *run_path, cohort_comm *comm) {
  const bool own = comm->rank == 0 && !settings->overwrite && is_finished(settings, run_path);
  return cohort_comm_agree(comm, own) != 0;
}
