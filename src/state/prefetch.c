/* Gathers sharded parameters one interval of need ahead, into an arena laid out by the intervals' lifetimes. Between
 * NEED and FREE of a bucket its memory holds its parameters and nothing else. Every rank gathers in the plan's order. A
 * step gathers each bucket once for every interval in which the plan needs it. */
#include "state/prefetch.h"

#include <stdlib.h>

#include "base/memory.h"
#include "graph/allocation.h"

/* From a NEED to its FREE. */
typedef struct interval {
  int bucket, need, free;
  int64_t place; /* in the arena */
} interval;

struct cohort_prefetch {
  const cohort_plan *plan;
  const cohort_space_layout *layout;
  const cohort_shards *shards; /* of all spaces */
  bool sharded;
  int intervals;
  interval *interval;
  int64_t elements;
  const float **bucket;
  /* Of the run in progress. */
  cohort_collective *collective;
  const cohort_vector **vector; /* [buckets] */
  uint64_t *arrival;            /* [buckets] */
  float *arena;
  int posted, present; /* intervals whose gather has begun, is complete */
  uint64_t *number;    /* [intervals] */
};

static const cohort_bucket *bucket_at(const cohort_prefetch *prefetch, int bucket) {
  return &prefetch->shards->bucket[bucket];
}

/* A bucket that is needed again after one other stays: two that take turns would be gathered again and again. */
static void begin_interval(cohort_prefetch *prefetch, int bucket, int phase) {
  if (prefetch->intervals > 1 && prefetch->interval[prefetch->intervals - 2].bucket == bucket) return;
  prefetch->interval[prefetch->intervals++] = (interval){bucket, phase, phase, 0};
}

static void list_intervals(cohort_prefetch *prefetch) {
  const cohort_plan_event *event;
  for (int phase = 0; phase < cohort_plan_phases(prefetch->plan); phase++) {
    const int events = cohort_plan_events(prefetch->plan, phase, &event);
    for (int i = 0; i < events; i++) {
      if (event[i].kind == COHORT_PLAN_NEED) begin_interval(prefetch, event[i].group, phase);
      if (event[i].kind != COHORT_PLAN_FREE) continue;
      int at = prefetch->intervals - 1;
      while (prefetch->interval[at].bucket != event[i].group) at--;
      prefetch->interval[at].free = phase;
    }
  }
}

static int count_needs(const cohort_plan *plan) {
  const cohort_plan_event *event;
  int needs = 0;
  for (int phase = 0; phase < cohort_plan_phases(plan); phase++) {
    const int events = cohort_plan_events(plan, phase, &event);
    for (int i = 0; i < events; i++) needs += event[i].kind == COHORT_PLAN_NEED;
  }
  return needs;
}

/* A bucket is on its way from when the one before it is needed. */
static void plan_arena(cohort_prefetch *prefetch) {
  cohort_interval *lives = cohort_allocate((size_t)(prefetch->intervals + 1) * sizeof *lives);
  for (int i = 0; i < prefetch->intervals; i++) {
    const interval *own = &prefetch->interval[i];
    lives[i] = (cohort_interval){.bytes = (size_t)bucket_at(prefetch, own->bucket)->elements * sizeof(float),
                                 .first = i ? prefetch->interval[i - 1].need : 0,
                                 .last = own->free};
  }
  prefetch->elements = (int64_t)(cohort_allocate_intervals(prefetch->intervals, lives) / sizeof(float));
  for (int i = 0; i < prefetch->intervals; i++)
    prefetch->interval[i].place = (int64_t)(lives[i].offset / sizeof(float));
  free(lives);
}

cohort_prefetch *cohort_prefetch_create(const cohort_plan *plan, const cohort_space_layout *layout, bool sharded) {
  cohort_prefetch *prefetch = cohort_allocate(sizeof *prefetch);
  const size_t needs = (size_t)count_needs(plan) + 1, buckets = (size_t)layout->shards->buckets + 1;
  prefetch->plan = plan;
  prefetch->layout = layout;
  prefetch->shards = layout->shards;
  prefetch->sharded = sharded;
  prefetch->interval = cohort_allocate(needs * sizeof *prefetch->interval);
  prefetch->number = cohort_allocate(needs * sizeof *prefetch->number);
  prefetch->bucket = cohort_allocate(buckets * sizeof *prefetch->bucket);
  prefetch->vector = cohort_allocate(buckets * sizeof *prefetch->vector);
  prefetch->arrival = cohort_allocate(buckets * sizeof *prefetch->arrival);
  list_intervals(prefetch);
  if (sharded) plan_arena(prefetch);
  return prefetch;
}

void cohort_prefetch_destroy(cohort_prefetch *prefetch) {
  if (!prefetch) return;
  free(prefetch->interval);
  free(prefetch->number);
  free(prefetch->bucket);
  free(prefetch->vector);
  free(prefetch->arrival);
  free(prefetch);
}

int64_t cohort_prefetch_elements(const cohort_prefetch *prefetch) { return prefetch->elements; }

int64_t cohort_prefetch_gathered(const cohort_prefetch *prefetch) {
  int64_t elements = 0;
  for (int i = 0; i < prefetch->intervals; i++) elements += bucket_at(prefetch, prefetch->interval[i].bucket)->elements;
  return elements;
}

const float *const *cohort_prefetch_buckets(const cohort_prefetch *prefetch) { return prefetch->bucket; }

static void post(cohort_prefetch *prefetch) {
  const interval *own = &prefetch->interval[prefetch->posted];
  prefetch->number[prefetch->posted++] = cohort_collective_all_gather(
      prefetch->collective, prefetch->vector[own->bucket], own->bucket, prefetch->arena + own->place);
}

void cohort_prefetch_begin(cohort_prefetch *prefetch, cohort_collective *collective, const cohort_point *point,
                           float *arena) {
  const cohort_space_layout *layout = prefetch->layout;
  prefetch->collective = collective;
  prefetch->arena = arena;
  prefetch->posted = prefetch->present = 0;
  for (int s = 0; s < layout->spaces; s++)
    for (int b = layout->first_bucket[s]; b < layout->first_bucket[s + 1]; b++) {
      prefetch->vector[b] = point[s].vector;
      prefetch->arrival[b] = point[s].arrival ? point[s].arrival[b - layout->first_bucket[s]] : 0;
      const int64_t offset = bucket_at(prefetch, b)->offset - layout->first[s];
      prefetch->bucket[b] = prefetch->sharded ? NULL : point[s].vector->values + offset;
    }
  if (prefetch->sharded && prefetch->intervals) post(prefetch);
}

void cohort_prefetch_before(cohort_prefetch *prefetch, int phase) {
  for (; prefetch->present < prefetch->intervals && prefetch->interval[prefetch->present].need == phase;
       prefetch->present++) {
    const interval *own = &prefetch->interval[prefetch->present];
    if (!prefetch->sharded) {
      cohort_collective_all_gather_wait(prefetch->collective, prefetch->arrival[own->bucket]);
      continue;
    }
    if (prefetch->posted == prefetch->present) post(prefetch);
    cohort_collective_all_gather_wait(prefetch->collective, prefetch->number[prefetch->present]);
    prefetch->bucket[own->bucket] = prefetch->arena + own->place;
    if (prefetch->posted < prefetch->intervals) post(prefetch);
  }
}

void cohort_prefetch_after(cohort_prefetch *prefetch, int phase) {
  for (int i = prefetch->sharded ? prefetch->present - 1 : -1; i >= 0 && i >= prefetch->present - 4; i--)
    if (prefetch->interval[i].free == phase) prefetch->bucket[prefetch->interval[i].bucket] = NULL;
}
