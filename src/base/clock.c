/* Time: a monotonic clock for durations, the calendar for names and logs. Both cost a call into the vDSO. */
#include "base/clock.h"

#include <time.h>

double cohort_clock_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void cohort_clock_stamp(char out[32]) {
  const time_t now = time(NULL);
  struct tm local;
  localtime_r(&now, &local);
  if (!strftime(out, 32, "%Y-%m-%dT%H:%M:%S%z", &local)) out[0] = '\0';
}
