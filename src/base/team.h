/* A team of threads that shares the tiles of one kernel. Tiles are cut by shape alone, so a result never depends on
 * the number of threads: threads only take tiles. */
#ifndef COHORT_BASE_TEAM_H
#define COHORT_BASE_TEAM_H

#include <stdint.h>

#include "base/status.h"

typedef struct cohort_team {
  int threads; /* 1: everything runs in the calling thread */
} cohort_team;

typedef void (*cohort_tile_function)(void *argument, int64_t tile);

/* Whether this process can have `threads` at once, itself among them: COHORT_NO_RESOURCE when the system refuses.
 * OpenMP, which starts them later, would end the program without a word of ours. */
cohort_status cohort_team_check(int threads, cohort_error *error);

/* Calls function(argument, tile) once for every tile in [0, tiles), on the team's threads, and waits for all. */
void cohort_team_run(const cohort_team *team, int64_t tiles, cohort_tile_function function, void *argument);

/* The same for tiles of one size: thread t always takes the t-th of equal runs of them, so that what it wrote in one
 * pass over some memory is in its own cache in the next. cohort_team_run does so when there is a tile a thread. */
void cohort_team_share(const cohort_team *team, int64_t tiles, cohort_tile_function function, void *argument);

/* Processors that the threads of this process are held to, one a thread. */
enum { COHORT_MAX_BOUND = 1024 };
typedef struct cohort_binding {
  int count;                       /* 0: threads run where the system puts them */
  int processor[COHORT_MAX_BOUND]; /* the system's numbers */
} cohort_binding;

/* From now on thread t of a team runs on processor t. Not the calling thread, from which others inherit where they may
 * run: it stays free in its set, where one processor is left to it. Call it once, before there are teams. */
void cohort_team_bind(const cohort_binding *processors);

/* Holds the calling thread, and the teams it starts, to `count` of the processors from number `first` on. For threads
 * that are not started by a team; nothing when threads are not bound. A few instructions when it is so already. */
void cohort_team_bind_thread(int first, int count);

#endif
