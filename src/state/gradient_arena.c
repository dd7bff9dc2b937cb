/* Lays gradients out by the times at which a plan's events say that they are in use, and by how long they take to
 * leave. Two buckets share bytes only if one has left before the other opens. Once a run. */
#include "state/gradient_arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/allocation.h"

typedef struct life {
  int open, complete; /* phases */
  int order;          /* of completion */
} life;

static void find_lives(const cohort_plan *plan, life *lives, int *completed) {
  const cohort_plan_event *event;
  int order = 0;
  for (int phase = 0; phase < cohort_plan_phases(plan); phase++) {
    const int events = cohort_plan_events(plan, phase, &event);
    for (int i = 0; i < events; i++) {
      if (event[i].kind == COHORT_PLAN_OPEN) lives[event[i].group].open = phase;
      if (event[i].kind != COHORT_PLAN_COMPLETE) continue;
      lives[event[i].group].complete = phase;
      lives[event[i].group].order = order;
      completed[order++] = event[i].group;
    }
  }
}

void cohort_gradient_arena_plan(const cohort_plan *plan, const cohort_space_layout *layout, int lag,
                                cohort_gradient_arena *out) {
  const cohort_shards *shards = layout->shards;
  const int buckets = cohort_space_layout_row_buckets(layout);
  life *lives = cohort_allocate((size_t)(buckets + 1) * sizeof *lives);
  int *completed = cohort_allocate((size_t)(buckets + 1) * sizeof *completed);
  cohort_interval *interval = cohort_allocate((size_t)(buckets + 1) * sizeof *interval);
  memset(out, 0, sizeof *out);
  out->place = cohort_allocate((size_t)(buckets + 1) * sizeof *out->place);
  out->before = cohort_allocate((size_t)(buckets + 1) * sizeof *out->before);
  find_lives(plan, lives, completed);
  for (int b = 0; b < buckets; b++) {
    const int until = lives[b].order + lag < buckets ? lives[b].order + lag : buckets - 1;
    interval[b] = (cohort_interval){.bytes = (size_t)shards->bucket[b].elements * sizeof(float),
                                    .first = lives[b].open,
                                    .last = lives[completed[until]].complete};
  }
  out->elements = (int64_t)(cohort_allocate_intervals(buckets, interval) / sizeof(float));
  for (int b = 0; b < buckets; b++) {
    out->place[b] = (int64_t)(interval[b].offset / sizeof(float));
    out->before[b] = -1;
    for (int i = 0; i < buckets; i++) { /* in order of completion: the last one counts */
      const int other = completed[i];
      const bool overlaps = interval[other].offset < interval[b].offset + interval[b].bytes &&
                            interval[b].offset < interval[other].offset + interval[other].bytes;
      if (other != b && overlaps && lives[other].complete < lives[b].open) out->before[b] = other;
    }
  }
  free(interval);
  free(completed);
  free(lives);
}

void cohort_gradient_arena_release(cohort_gradient_arena *arena) {
  free(arena->place);
  free(arena->before);
  memset(arena, 0, sizeof *arena);
}
