/* One error type for the whole program.
 *
 * A function that can fail returns a cohort_status and takes a cohort_error last. The function that first
 * decides that something is wrong fills the error; every caller only passes it on (COHORT_TRY). Outputs are
 * set on success alone. The status doubles as the program's exit status, so its values are part of the
 * interface that job scripts rely on. */
#ifndef COHORT_BASE_STATUS_H
#define COHORT_BASE_STATUS_H

typedef enum cohort_status {
  COHORT_DONE = 0,
  COHORT_BUG = 1,         /* a fault of ours */
  COHORT_BAD_CONFIG = 2,  /* command line or config */
  COHORT_BAD_DATA = 3,    /* data or checkpoint unreadable or not fitting */
  COHORT_NO_RESOURCE = 4, /* disk or memory */
  COHORT_DIVERGED = 5,    /* NaN or Inf: the step is not applied */
  COHORT_RANK_LOST = 6,   /* a rank died, hung or was cut off */
  COHORT_STOPPED = 75,    /* by a signal or time limit after a save: start again */
} cohort_status;

typedef struct cohort_error {
  cohort_status status;
  char text[2048]; /* "WHERE: what; what to do", without a trailing newline; may hold several lines */
} cohort_error;

/* Formats the text of `error` (which may be NULL) and returns `status`. */
cohort_status cohort_fail(cohort_error *error, cohort_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define COHORT_TRY(call)                        \
  do {                                          \
    const cohort_status status_ = (call);       \
    if (status_ != COHORT_DONE) return status_; \
  } while (0)

#endif
