/* The inside of a profile: what all ranks' recorders come to, and how it is written. For profile.c, profile_write.c and
 * their tests. */
#ifndef COHORT_TRAIN_PROFILE_REPORT_H
#define COHORT_TRAIN_PROFILE_REPORT_H

#include "train/profile/profile.h"

/* One row of a table. */
typedef struct cohort_profile_row {
  const char *phase, *operation, *node; /* operation NULL: a phase; node NULL: all nodes of the operation */
  double calls, seconds, flops, bytes;  /* of all ranks; seconds as profile.h says */
} cohort_profile_row;

typedef struct cohort_profile_rows {
  int count;
  cohort_profile_row *row; /* slowest first, but for phases, which keep the order of a step */
} cohort_profile_rows;

/* One rank's events. */
typedef struct cohort_profile_events {
  int executors;
  int *count;           /* [executors] */
  cohort_event **event; /* [executors][count] */
} cohort_profile_events;

typedef struct cohort_profile_totals {
  double seconds; /* of the session */
  int64_t steps;
  cohort_profile_rows phases, operations, nodes;
  int plans;
  const cohort_plan *plan[COHORT_MAX_RECORDED_PLANS]; /* training, then evaluation */
  int ranks;
  cohort_profile_events *events; /* [ranks]; starts are seconds since the profile was made */
  bool cut;                      /* some rank had no room for all its events */
} cohort_profile_totals;

/* Collective. Complete on rank 0 alone. */
void cohort_profile_gather(cohort_profile *profile, const cohort_profile_session *session, cohort_profile_totals *out);
void cohort_profile_totals_release(cohort_profile_totals *totals);

/* Text, owned by the caller. */
char *cohort_profile_csv(const cohort_profile_rows *rows, double seconds);
char *cohort_profile_trace(const cohort_profile_totals *totals);
void cohort_profile_print(const cohort_profile_totals *totals, const cohort_log *log);

/* Where a part of the step belongs: "input", "reduce" ... */
const char *cohort_activity_name(cohort_activity activity);

#endif
