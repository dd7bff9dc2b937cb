/* A team of threads that shares the tiles of one kernel. Tiles are cut by shape alone, so a result never depends on
 * the number of threads: threads only take tiles. */
#ifndef COHORT_BASE_TEAM_H
#define COHORT_BASE_TEAM_H

#include <stdint.h>

typedef struct cohort_team {
  int threads; /* 1: everything runs in the calling thread */
} cohort_team;

typedef void (*cohort_tile_function)(void *argument, int64_t tile);

/* Calls function(argument, tile) once for every tile in [0, tiles), on the team's threads, and waits for all. */
void cohort_team_run(const cohort_team *team, int64_t tiles, cohort_tile_function function, void *argument);

#endif
