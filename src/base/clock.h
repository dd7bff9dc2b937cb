/* Seconds of the monotonic clock; differences only. */
#ifndef COHORT_BASE_CLOCK_H
#define COHORT_BASE_CLOCK_H

double cohort_clock_seconds(void);

/* Local wall-clock time as "2026-11-21T04:29:00+0000" into out[32]; for provenance only. */
void cohort_clock_stamp(char out[32]);

#endif
