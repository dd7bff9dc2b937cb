/* The profile of a training session: time, GFLOP/s and GB/s of every operation and of every part of the step, over all
 * ranks. Measuring changes no bit of the run and allocates nothing inside steps.
 *
 * Seconds are those of the wall: work of executors is summed and divided by their number, then averaged over ranks, so
 * the parts of the steps sum to their time. Rates are of all ranks and threads together. */
#ifndef COHORT_TRAIN_PROFILE_PROFILE_H
#define COHORT_TRAIN_PROFILE_PROFILE_H

#include "base/comm.h"
#include "base/log.h"
#include "state/activity.h"

typedef struct cohort_profile cohort_profile;

/* Steps of the session (from 1) whose events the trace holds. */
enum { COHORT_TRACE_FIRST = 3, COHORT_TRACE_LAST = 5, COHORT_TRACE_EVENTS = 120000 /* at most, over all ranks */ };

/* What is profiled: `train` is run `runs` times by the busiest executor of a rank in a step; `evaluate` between steps.
 * Both are the same on all ranks and must outlive the profile. Collective: the ranks' clocks are set to one moment. */
typedef struct cohort_profile_options {
  cohort_comm *comm;
  int executors; /* of this rank */
  int64_t runs;
  const cohort_plan *train, *evaluate;
} cohort_profile_options;
cohort_profile *cohort_profile_create(const cohort_profile_options *plan);
void cohort_profile_destroy(cohort_profile *profile);

/* One recorder an executor, the profile's. */
cohort_recorder *const *cohort_profile_recorders(const cohort_profile *profile);

/* Around every step: what is recorded outside of steps counts for evaluation alone. */
void cohort_profile_step_begins(cohort_profile *profile);
void cohort_profile_step_ends(cohort_profile *profile);

/* What the loop knows: seconds of the whole session on this rank, and of what it does between steps; bytes that this
 * rank has written into checkpoints. */
typedef struct cohort_profile_session {
  double seconds, evaluation_seconds, checkpoint_seconds, checkpoint_bytes;
} cohort_profile_session;

/* Collective. Prints the tables on rank 0 and writes operations.csv, nodes.csv, phases.csv and trace.json (for
 * chrome://tracing and Perfetto: a process for each rank, a thread for each executor) into `directory`, which is made.
 * Says so when the trace is empty or cut. */
cohort_status cohort_profile_report(cohort_profile *profile, const cohort_profile_session *session,
                                    const char *directory, const cohort_log *log, cohort_error *error);

#endif
