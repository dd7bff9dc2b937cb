/* Runs lanes in waves on the executors of a rank and sends buckets off as they complete.
 *
 * All ranks run the same phases of the last wave in the same order and begin the same collectives between them; which
 * lanes run before does not matter to anybody. Executors with fewer lanes begin later, so that all end together.
 *
 *   wave      0         1         2 (last)                 earlier waves: all phases at once
 *   executor0 lane 0    lane 1    lane 2: phase 0 | 1 | 2  last wave: phase by phase
 *   executor1 -         lane 3    lane 4: phase 0 | 1 | 2     open: the bucket's memory is free; complete: it leaves
 *   buckets                                  b2 -> b1 -> b0   reduce-scatter, while lanes compute
 *
 * Time: the busiest executor's lanes, one after another. In lockstep there is one wave, and memory for all lanes at
 * once. */
#include "lane/engine.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "lane/engine_state.h"

cohort_status cohort_lane_engine_create(cohort_comm *comm, int lanes, int threads, cohort_lane_engine **out,
                                        cohort_error *error) {
  if (comm->size > lanes)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "lanes: %d lanes cannot be spread over %d ranks; start at most %d ranks or set lanes higher",
                       lanes, comm->size, lanes);
  cohort_lane_engine *engine = cohort_allocate(sizeof *engine);
  engine->comm = comm;
  engine->lanes = lanes;
  engine->threads = threads;
  cohort_lanes_of(lanes, comm->size, comm->rank, &engine->first, &engine->last);
  const int own = engine->last - engine->first;
  engine->executors = own < threads ? own : threads;
  engine->executor_threads = threads / engine->executors;
  engine->team = (cohort_team){threads};
  engine->executor_team = (cohort_team){engine->executor_threads};
  engine->executor_lanes = cohort_allocate((size_t)engine->executors * sizeof *engine->executor_lanes);
  engine->slots =
      cohort_rows_count(lanes, engine->first, engine->last, engine->executors, false, false, engine->executor_lanes)
          .slots;
  engine->lane_scalars = cohort_allocate((size_t)lanes * COHORT_LANE_SCALARS * sizeof *engine->lane_scalars);
  engine->part = cohort_allocate(2 * (size_t)comm->size * sizeof *engine->part);
  *out = engine;
  return COHORT_DONE;
}

void cohort_lane_engine_destroy(cohort_lane_engine *engine) {
  if (!engine) return;
  cohort_collective_destroy(engine->collective);
  if (engine->held.separate) cohort_memory_release(engine->sum.values);
  cohort_shared_memory_destroy(engine->rows);
  for (int e = 0; e < engine->executors; e++) free(engine->executor_lanes[e].last_wave);
  free(engine->executor_lanes);
  free(engine->lane_scalars);
  free(engine->part);
  free(engine->whole_place);
  free(engine->leaf);
  free(engine->node);
  free(engine->node_leaf);
  free(engine->node_place);
  free(engine->number);
  free(engine);
}

cohort_collective *cohort_lane_engine_collective(const cohort_lane_engine *engine) { return engine->collective; }
const cohort_vector *cohort_lane_engine_sum(const cohort_lane_engine *engine) { return &engine->sum; }

int cohort_lane_engine_executors(const cohort_lane_engine *engine) { return engine->executors; }
int cohort_lane_engine_executor_threads(const cohort_lane_engine *engine) { return engine->executor_threads; }
int cohort_lane_engine_slots(const cohort_lane_engine *engine) { return engine->slots; }
const cohort_team *cohort_lane_engine_team(const cohort_lane_engine *engine) { return &engine->team; }

void cohort_lane_engine_own(const cohort_lane_engine *engine, int *first, int *last) {
  *first = engine->first;
  *last = engine->last;
}

void cohort_lane_engine_place(const cohort_lane_engine *engine, int lane, int *executor, int *slot) {
  int e = 0;
  while (lane >= engine->executor_lanes[e].last) e++;
  *executor = e;
  *slot = lane - engine->executor_lanes[e].first;
}

double cohort_lane_engine_busy_seconds(cohort_lane_engine *engine) {
  double seconds = 0;
  for (int e = 0; e < engine->executors; e++) {
    seconds += engine->executor_lanes[e].seconds;
    engine->executor_lanes[e].seconds = 0;
  }
  return seconds;
}

void cohort_lane_engine_record(cohort_lane_engine *engine, cohort_recorder *const *recorder) {
  engine->recorder = recorder;
}

static cohort_recorder *recorder_of(const cohort_lane_engine *engine, int executor) {
  return engine->recorder ? engine->recorder[executor] : NULL;
}

/* Bytes of the additions that made one row of each joined pair. */
static double joined_bytes(int64_t elements, int joins) { return 3.0 * sizeof(float) * (double)elements * joins; }

/* A run of phases of one wave. */
typedef struct wave {
  const cohort_lane_work *work;
  int number, waves;
  int first_phase, last_phase; /* [first, last) */
} wave;

static void run_lane(cohort_lane_engine *engine, const wave *now, int executor, int lane, int slot,
                     const cohort_lane_row *row) {
  const cohort_lane_work *work = now->work;
  double *scalars = engine->lane_scalars + (size_t)lane * COHORT_LANE_SCALARS;
  if (now->first_phase == 0) scalars[COHORT_LANE_LEFT] = 0;
  for (int phase = now->first_phase; phase < now->last_phase; phase++)
    work->run(work->argument, executor, slot, lane, phase, row, scalars);
}

/* An earlier lane gives a whole row, which is joined with those before it. */
static void run_earlier(cohort_lane_engine *engine, const wave *now, int executor, int lane) {
  executor_lanes *w = &engine->executor_lanes[executor];
  const int64_t elements = now->work->vectors * engine->elements;
  /* Taken in the first phase, pushed in the last: between, nobody else takes it. */
  cohort_lane_row row = {NULL, engine->whole_place, engine->elements};
  if (now->work->vectors) row.base = w->free_row[w->free_rows - 1];
  run_lane(engine, now, executor, lane, 0, &row);
  if (!row.base || now->last_phase < now->work->phases) return;
  w->free_rows--;
  cohort_recorder *recorder = recorder_of(engine, executor);
  const double start = cohort_recorder_start(recorder);
  const int joins = cohort_rows_push(w, lane, row.base, engine->lanes, &engine->executor_team, elements);
  cohort_recorder_stop(recorder, COHORT_ACTIVITY_JOIN, start, joined_bytes(elements, joins));
}

static void run_executor(cohort_lane_engine *engine, const wave *now, int executor) {
  executor_lanes *w = &engine->executor_lanes[executor];
  const double start = cohort_clock_seconds();
  const int lanes = w->last - w->first;
  static const cohort_lane_row none = {NULL, NULL, 0};
  if (now->work->lockstep) {
    for (int i = 0; i < lanes; i++)
      run_lane(engine, now, executor, w->first + i, i, now->work->vectors ? &w->last_wave[i] : &none);
  } else {
    /* Executors with fewer lanes begin later, so that all end together. */
    const int index = now->number - (now->waves - lanes);
    if (index >= 0 && index < lanes - 1) run_earlier(engine, now, executor, w->first + index);
    if (index == lanes - 1)
      run_lane(engine, now, executor, w->last - 1, 0, now->work->vectors ? &w->last_wave[0] : &none);
  }
  w->seconds += cohort_clock_seconds() - start;
  cohort_recorder_stop(recorder_of(engine, executor), COHORT_ACTIVITY_BUSY, start, 0);
}

static void run_executors(cohort_lane_engine *engine, const wave *now) {
  const double start = cohort_recorder_start(recorder_of(engine, 0));
  if (engine->executors == 1) {
    run_executor(engine, now, 0);
  } else {
#pragma omp parallel num_threads(engine->executors)
    {
      const int executor = omp_get_thread_num(), threads = engine->executor_threads;
      if (executor) cohort_team_bind_thread(executor * threads, threads);
      run_executor(engine, now, executor);
    }
  }
  cohort_recorder_stop(recorder_of(engine, 0), COHORT_ACTIVITY_LANES, start, 0);
}

/* A bucket's gradients are complete: it leaves. */
static void send_bucket(cohort_lane_engine *engine, int bucket, int vectors) {
  cohort_recorder *recorder = recorder_of(engine, 0);
  const double start = cohort_recorder_start(recorder);
  const int joins = cohort_rows_join(engine, bucket, vectors);
  const float *memory = (const float *)(const void *)engine->rows->part[engine->comm->rank];
  for (int n = 0; n < engine->nodes; n++) {
    const leaf *own = &engine->leaf[engine->node_leaf[n]];
    engine->node_place[n] = cohort_rows_bucket(own, bucket, 0) - memory;
    engine->node_vector[n] = own->row.vector;
  }
  const cohort_bucket_rows rows = {engine->node_place, engine->node_vector};
  engine->number[bucket] = engine->last_number = cohort_collective_reduce_scatter(
      engine->collective, bucket, &rows, vectors, engine->sum.values, engine->elements);
  if (!engine->held.overlap) cohort_collective_sum_wait(engine->collective, engine->last_number);
  cohort_recorder_stop(recorder, COHORT_ACTIVITY_REDUCE, start,
                       joined_bytes(engine->held.shards->bucket[bucket].elements, joins));
}

/* Before gradients of a bucket are written: what was in its place must be gone. */
static void open_bucket(cohort_lane_engine *engine, int bucket) {
  const int before = engine->held.before ? engine->held.before[bucket] : -1;
  if (before >= 0) cohort_collective_rows_wait(engine->collective, engine->number[before]);
}

static void before_phase(cohort_lane_engine *engine, const wave *now, int phase) {
  const cohort_lane_work *work = now->work;
  if (now->number == 0 && work->before) work->before(work->argument, phase);
  if (now->number + 1 < now->waves || !work->vectors || !work->plan) return;
  const cohort_plan_event *event;
  const int events = cohort_plan_events(work->plan, phase, &event);
  for (int i = 0; i < events; i++)
    if (event[i].kind == COHORT_PLAN_OPEN) open_bucket(engine, event[i].group);
}

static void after_phase(cohort_lane_engine *engine, const wave *now, int phase) {
  const cohort_lane_work *work = now->work;
  if (now->number + 1 < now->waves) return;
  if (work->after) {
    const double start = cohort_recorder_start(recorder_of(engine, 0));
    work->after(work->argument, phase);
    cohort_recorder_stop(recorder_of(engine, 0), COHORT_ACTIVITY_REDUCE, start, 0);
  }
  if (!work->vectors) return;
  const cohort_plan_event *event;
  const int events = work->plan ? cohort_plan_events(work->plan, phase, &event) : 0;
  for (int i = 0; i < events; i++)
    if (event[i].kind == COHORT_PLAN_COMPLETE) send_bucket(engine, event[i].group, work->vectors);
}

static void share_scalars(cohort_lane_engine *engine) {
  size_t *offsets = engine->part, *bytes = engine->part + engine->comm->size;
  const size_t lane_bytes = COHORT_LANE_SCALARS * sizeof(double);
  for (int r = 0; r < engine->comm->size; r++) {
    int first, last;
    cohort_lanes_of(engine->lanes, engine->comm->size, r, &first, &last);
    offsets[r] = (size_t)first * lane_bytes;
    bytes[r] = (size_t)(last - first) * lane_bytes;
  }
  cohort_comm_gather_all(engine->comm, engine->lane_scalars, offsets, bytes);
}

static void sum_scalars(cohort_lane_engine *engine, const cohort_lane_work *work, double *scalars,
                        double *lane_scalars) {
  share_scalars(engine);
  engine->left = false;
  for (int lane = 0; lane < engine->lanes && !engine->left; lane++)
    engine->left = engine->lane_scalars[lane * COHORT_LANE_SCALARS + COHORT_LANE_LEFT] > 0;
  double column[COHORT_MAX_LANES];
  for (int s = 0; s < work->scalars; s++) {
    for (int lane = 0; lane < engine->lanes; lane++)
      column[lane] = engine->lane_scalars[(size_t)lane * COHORT_LANE_SCALARS + (size_t)s];
    if (lane_scalars)
      for (int lane = 0; lane < engine->lanes; lane++) lane_scalars[lane * work->scalars + s] = column[lane];
    scalars[s] = cohort_lanes_sum(engine->lanes, column);
  }
}

bool cohort_lane_engine_left(const cohort_lane_engine *engine) { return engine->left; }

const double *cohort_lane_engine_squares(const cohort_lane_engine *engine) {
  return cohort_collective_squares(engine->collective);
}

/* All phases of a wave; at once when nothing happens between them. */
static void run_wave(cohort_lane_engine *engine, wave *now) {
  const int phases = now->work->phases;
  const bool at_once = now->number > 0 && now->number + 1 < now->waves;
  for (int phase = 0; phase < phases; phase = now->last_phase) {
    now->first_phase = phase;
    now->last_phase = at_once ? phases : phase + 1;
    before_phase(engine, now, phase);
    run_executors(engine, now);
    after_phase(engine, now, phase);
  }
}

void cohort_lane_engine_run(cohort_lane_engine *engine, const cohort_lane_work *work, double *scalars,
                            double *lane_scalars, float **sum) {
  cohort_recorder *recorder = recorder_of(engine, 0);
  wave now = {.work = work, .waves = work->lockstep ? 1 : engine->slots};
  for (; now.number < now.waves; now.number++) {
    if (work->vectors && now.number + 1 == now.waves) cohort_rows_find_leaves(engine);
    run_wave(engine, &now);
  }
  const double start = cohort_recorder_start(recorder);
  if (work->vectors) {
    for (int b = 0; !work->plan && b < engine->held.buckets; b++) send_bucket(engine, b, work->vectors);
    /* Before anything blocks: others may need what this rank passes on. */
    cohort_collective_sum_wait(engine->collective, engine->last_number);
    *sum = engine->sum.values;
    cohort_rows_release(engine);
  }
  if (work->scalars) sum_scalars(engine, work, scalars, lane_scalars);
  cohort_recorder_stop(recorder, COHORT_ACTIVITY_REDUCE, start, 0);
}
