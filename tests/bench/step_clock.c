/* Loaded before cohort (LD_PRELOAD): writes the monotonic clock at the end of the first step into STEP_CLOCK_FILE.
 * tests/bench/compare builds it with cc. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void cohort_step_ended(int64_t step);
void cohort_step_ended(int64_t step) {
  const char *path = getenv("STEP_CLOCK_FILE"), *rank = getenv("OMPI_COMM_WORLD_RANK");
  if (step != 1 || !path || (rank && atoi(rank) != 0)) return;
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  FILE *file = fopen(path, "w");
  if (!file) return;
  (void)fprintf(file, "%.9f\n", (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
  (void)fclose(file);
}
