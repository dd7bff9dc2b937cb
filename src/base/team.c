/* Teams of threads over the tiles of one kernel, by OpenMP. Threads take tiles; which tiles there are is fixed by
 * shapes, so no result depends on the number of threads. A team of one runs in the calling thread and costs nothing; a
 * larger one costs a barrier. */
#include "base/team.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Processors that threads are held to, like the affinity it leads to a property of the whole process; written once,
 * before there are threads. */
static cohort_binding binding;

/* Which of them the calling thread is held to: [first, first + count). The program's first thread has all. */
static _Thread_local struct { int first, count; } place;

void cohort_team_bind(const cohort_binding *processors) {
  binding = *processors;
  place.first = 0;
  place.count = binding.count;
}

void cohort_team_bind_thread(int first, int count) {
  if (!binding.count || first + count > binding.count) return;
  if (place.first == first && place.count == count) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i = first; i < first + count; i++) CPU_SET((size_t)binding.processor[i], &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) return;
  place.first = first;
  place.count = count;
}

static void *wait_for_all(void *argument) {
  pthread_mutex_t *all = argument;
  (void)pthread_mutex_lock(all);
  (void)pthread_mutex_unlock(all);
  return NULL;
}

cohort_status cohort_team_check(int threads, cohort_error *error) {
  pthread_mutex_t all = PTHREAD_MUTEX_INITIALIZER; /* held until the last one is there */
  pthread_t *other = cohort_allocate((size_t)threads * sizeof *other);
  int started = 0, fault = 0;
  (void)pthread_mutex_lock(&all);
  for (; started < threads - 1 && !fault; started += !fault)
    fault = pthread_create(&other[started], NULL, wait_for_all, &all);
  (void)pthread_mutex_unlock(&all);
  for (int i = 0; i < started; i++) (void)pthread_join(other[i], NULL);
  free(other);
  if (!fault) return COHORT_DONE;
  return cohort_fail(error, COHORT_NO_RESOURCE,
                     "threads: %d are wanted, but the system refuses the one after %d: %s; set threads lower, or raise "
                     "the limit of tasks (ulimit -u) or of memory (ulimit -v)",
                     threads, started + 1, strerror(fault));
}

static void run_all(int64_t tiles, cohort_tile_function function, void *argument) {
  for (int64_t tile = 0; tile < tiles; tile++) function(argument, tile);
}

/* By default OpenMP serialises a parallel region inside another one. */
static void allow_level(void) {
  const int level = omp_get_active_level();
  if (omp_get_max_active_levels() <= level) omp_set_max_active_levels(level + 1);
}

static void bind_own_thread(int thread, int first, int count) {
  if (thread > 0 && thread < count) cohort_team_bind_thread(first + thread, 1);
}

void cohort_team_share(const cohort_team *team, int64_t tiles, cohort_tile_function function, void *argument) {
  const int64_t wanted = team->threads < tiles ? team->threads : tiles;
  if (wanted <= 1) {
    run_all(tiles, function, argument);
    return;
  }
  allow_level();
  const int first = place.first, count = place.count;
#pragma omp parallel num_threads((int)wanted)
  {
    const int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
    bind_own_thread((int)thread, first, count);
    for (int64_t tile = tiles * thread / threads; tile < tiles * (thread + 1) / threads; tile++)
      function(argument, tile);
  }
}

void cohort_team_run(const cohort_team *team, int64_t tiles, cohort_tile_function function, void *argument) {
  if (team->threads >= tiles) {
    cohort_team_share(team, tiles, function, argument);
    return;
  }
  if (team->threads <= 1) {
    run_all(tiles, function, argument);
    return;
  }
  allow_level();
  const int first = place.first, count = place.count;
#pragma omp parallel num_threads(team->threads)
  {
    bind_own_thread(omp_get_thread_num(), first, count);
#pragma omp for schedule(dynamic, 1)
    for (int64_t tile = 0; tile < tiles; tile++) function(argument, tile);
  }
}
