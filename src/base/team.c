#include "base/team.h"

#include <omp.h>

void cohort_team_run(const cohort_team *team, int64_t tiles, cohort_tile_function function, void *argument) {
  const int64_t wanted = team->threads < tiles ? team->threads : tiles;
  if (wanted <= 1) {
    for (int64_t tile = 0; tile < tiles; tile++) function(argument, tile);
    return;
  }
  /* By default OpenMP serialises a parallel region inside another one. */
  const int level = omp_get_active_level();
  if (omp_get_max_active_levels() <= level) omp_set_max_active_levels(level + 1);
#pragma omp parallel for schedule(dynamic, 1) num_threads((int)wanted)
  for (int64_t tile = 0; tile < tiles; tile++) function(argument, tile);
}
