#include "train/fetch.h"

#include <stdlib.h>

#include "base/memory.h"
#include "graph/allocation.h"

/* From a NEED to its FREE. */
typedef struct interval {
  int bucket, need, free; /* the bucket counts from the first space's on */
  int64_t place;          /* in the arena */
} interval;

struct cohort_fetch {
  const cohort_plan *plan;
  const cohort_shards *shards;
  int spaces;
  bool sharded;
  int intervals;
  interval *interval;
  int64_t elements;
  const float **bucket;
  /* Of the run in progress. */
  cohort_transfer *transfer;
  cohort_point point;
  const cohort_vector *frozen;
  float *arena;
  int posted, present; /* intervals whose gather has begun, is complete */
  uint64_t *number;    /* [intervals] */
};

static const cohort_bucket *bucket_at(const cohort_fetch *fetch, int bucket) {
  return &fetch->shards->bucket[bucket % fetch->shards->buckets];
}

static const cohort_vector *vector_at(const cohort_fetch *fetch, int bucket) {
  return bucket < fetch->shards->buckets ? fetch->point.vector : fetch->frozen;
}

/* A bucket that is needed again after one other stays: two that take turns would be gathered again and again. */
static void begin_interval(cohort_fetch *fetch, int bucket, int phase) {
  if (fetch->intervals > 1 && fetch->interval[fetch->intervals - 2].bucket == bucket) return;
  fetch->interval[fetch->intervals++] = (interval){bucket, phase, phase, 0};
}

static void list_intervals(cohort_fetch *fetch) {
  const cohort_plan_event *event;
  for (int phase = 0; phase < cohort_plan_phases(fetch->plan); phase++) {
    const int events = cohort_plan_events(fetch->plan, phase, &event);
    for (int i = 0; i < events; i++) {
      if (event[i].kind == COHORT_PLAN_NEED) begin_interval(fetch, event[i].group, phase);
      if (event[i].kind != COHORT_PLAN_FREE) continue;
      int at = fetch->intervals - 1;
      while (fetch->interval[at].bucket != event[i].group) at--;
      fetch->interval[at].free = phase;
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
static void plan_arena(cohort_fetch *fetch) {
  cohort_interval *lives = cohort_allocate((size_t)(fetch->intervals + 1) * sizeof *lives);
  for (int i = 0; i < fetch->intervals; i++) {
    const interval *own = &fetch->interval[i];
    lives[i] = (cohort_interval){.bytes = (size_t)bucket_at(fetch, own->bucket)->elements * sizeof(float),
                                 .first = i ? fetch->interval[i - 1].need : 0,
                                 .last = own->free};
  }
  fetch->elements = (int64_t)(cohort_allocate_intervals(fetch->intervals, lives) / sizeof(float));
  for (int i = 0; i < fetch->intervals; i++) fetch->interval[i].place = (int64_t)(lives[i].offset / sizeof(float));
  free(lives);
}

cohort_fetch *cohort_fetch_create(const cohort_plan *plan, const cohort_shards *shards, int spaces, bool sharded) {
  cohort_fetch *fetch = cohort_allocate(sizeof *fetch);
  const size_t needs = (size_t)count_needs(plan) + 1;
  fetch->plan = plan;
  fetch->shards = shards;
  fetch->spaces = spaces;
  fetch->sharded = sharded;
  fetch->interval = cohort_allocate(needs * sizeof *fetch->interval);
  fetch->number = cohort_allocate(needs * sizeof *fetch->number);
  fetch->bucket = cohort_allocate((size_t)(spaces * shards->buckets + 1) * sizeof *fetch->bucket);
  list_intervals(fetch);
  if (sharded) plan_arena(fetch);
  return fetch;
}

void cohort_fetch_destroy(cohort_fetch *fetch) {
  if (!fetch) return;
  free(fetch->interval);
  free(fetch->number);
  free(fetch->bucket);
  free(fetch);
}

int64_t cohort_fetch_elements(const cohort_fetch *fetch) { return fetch->elements; }

int64_t cohort_fetch_gathered(const cohort_fetch *fetch) {
  int64_t elements = 0;
  for (int i = 0; i < fetch->intervals; i++) elements += bucket_at(fetch, fetch->interval[i].bucket)->elements;
  return elements;
}

const float *const *cohort_fetch_buckets(const cohort_fetch *fetch) { return fetch->bucket; }

static void post(cohort_fetch *fetch) {
  const interval *own = &fetch->interval[fetch->posted];
  fetch->number[fetch->posted++] = cohort_transfer_gather(
      fetch->transfer, vector_at(fetch, own->bucket), own->bucket % fetch->shards->buckets, fetch->arena + own->place);
}

void cohort_fetch_begin(cohort_fetch *fetch, cohort_transfer *transfer, const cohort_point *point,
                        const cohort_vector *frozen, float *arena) {
  fetch->transfer = transfer;
  fetch->point = *point;
  fetch->frozen = frozen;
  fetch->arena = arena;
  fetch->posted = fetch->present = 0;
  for (int b = 0; b < fetch->spaces * fetch->shards->buckets; b++)
    fetch->bucket[b] = fetch->sharded ? NULL : vector_at(fetch, b)->values + bucket_at(fetch, b)->offset;
  if (fetch->sharded && fetch->intervals) post(fetch);
}

void cohort_fetch_before(cohort_fetch *fetch, int phase) {
  for (; fetch->present < fetch->intervals && fetch->interval[fetch->present].need == phase; fetch->present++) {
    const interval *own = &fetch->interval[fetch->present];
    if (!fetch->sharded) {
      if (own->bucket < fetch->shards->buckets)
        cohort_transfer_gather_wait(fetch->transfer, fetch->point.arrival[own->bucket]);
      continue;
    }
    if (fetch->posted == fetch->present) post(fetch);
    cohort_transfer_gather_wait(fetch->transfer, fetch->number[fetch->present]);
    fetch->bucket[own->bucket] = fetch->arena + own->place;
    if (fetch->posted < fetch->intervals) post(fetch);
  }
}

void cohort_fetch_after(cohort_fetch *fetch, int phase) {
  for (int i = fetch->sharded ? fetch->present - 1 : -1; i >= 0 && i >= fetch->present - 4; i--)
    if (fetch->interval[i].free == phase) fetch->bucket[fetch->interval[i].bucket] = NULL;
}
