#include "train/lane_engine.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

/* Elements of a tile of additions. */
enum { JOIN_TILE = 1 << 14 };

/* Rows joined so far, left to right: a binary counter. */
typedef struct row_stack {
  int count;
  cohort_subtree node[COHORT_MAX_SUBTREES];
  float *row[COHORT_MAX_SUBTREES];
} row_stack;

typedef struct worker {
  int first, last; /* lanes */
  int early;       /* of which these run in earlier waves */
  row_stack stack;
  int rows, free_rows;
  float *free_row[COHORT_MAX_SUBTREES];
  cohort_lane_row *late; /* [last - first - early]: rows of the last wave's lanes */
  double seconds;
} worker;

/* What this rank gives to the sum of a bucket: one row a value, from left to right. */
typedef struct leaf {
  cohort_subtree node;
  cohort_lane_row row;
} leaf;

struct cohort_lane_engine {
  cohort_comm *comm;
  int lanes, first, last, threads;
  int executors, executor_threads, slots;
  cohort_team team, executor_team;
  worker *worker;
  double *lane_scalars;             /* [lanes][COHORT_MAX_SCALARS] */
  size_t *part;                     /* [2 * ranks] */
  cohort_recorder *const *recorder; /* [executors], or NULL */
  /* Rows. */
  cohort_lane_rows held;
  int64_t elements;     /* of a whole vector */
  int64_t *whole_place; /* [buckets] */
  cohort_segment *rows;
  cohort_vector sum; /* in `rows`, or apart */
  int leaves;
  leaf *leaf;
  int nodes; /* values that leave: this rank's subtrees, or with one rank its leaves */
  cohort_subtree *node;
  int *node_leaf;                    /* the leaf whose row holds each */
  int64_t *node_place, *node_vector; /* of the bucket that leaves */
  uint64_t *number;                  /* [buckets]: of its last sum */
  uint64_t last_number;
  cohort_transfer *transfer;
};

static void add_rows(float *restrict into, const float *restrict from, int64_t elements) {
  for (int64_t e = 0; e < elements; e++) into[e] += from[e];
}

typedef struct join_job {
  float *into;
  const float *from;
  int64_t elements;
} join_job;

static void join_tile(void *argument, int64_t tile) {
  const join_job *job = argument;
  const int64_t first = tile * JOIN_TILE, left = job->elements - first;
  add_rows(job->into + first, job->from + first, left < JOIN_TILE ? left : JOIN_TILE);
}

/* Pushes a row and joins siblings; rows that fall free go back to the worker's list. Returns how many did. */
static int push_row(worker *w, int lane, float *row, int lanes, const cohort_team *team, int64_t elements) {
  row_stack *stack = &w->stack;
  cohort_subtree nodes[COHORT_MAX_SUBTREES + 1];
  memcpy(nodes, stack->node, (size_t)stack->count * sizeof *nodes);
  nodes[stack->count] = (cohort_subtree){0, lane};
  const int before = stack->count, after = cohort_lanes_merge(lanes, before + 1, nodes, stack->node);
  stack->row[before] = row;
  for (int last = before; last >= after; last--) {
    join_job job = {stack->row[last - 1], stack->row[last], elements};
    cohort_team_run(team, (elements + JOIN_TILE - 1) / JOIN_TILE, join_tile, &job);
    w->free_row[w->free_rows++] = stack->row[last];
  }
  stack->count = after;
  return before + 1 - after;
}

/* The most rows a worker holds at once in its earlier waves: the open sums of the lanes before one, and its own. */
static int rows_needed(int lanes, int first, int last) {
  cohort_subtree open[COHORT_MAX_SUBTREES];
  int most = 0;
  for (int lane = first; lane < last; lane++) {
    const int rows = cohort_lanes_subtrees(lanes, first, lane, open) + 1;
    if (rows > most) most = rows;
  }
  return most;
}

/* Who runs when in a rank with lanes [first, last), and the rows it needs. */
static cohort_lane_needs count_rows(int lanes, int first, int last, int executors, bool together, bool apart,
                                    worker *workers) {
  cohort_lane_needs needs = {.executors = executors};
  for (int e = 0; e < executors; e++) {
    worker *w = &workers[e];
    cohort_lanes_of(last - first, executors, e, &w->first, &w->last);
    w->first += first;
    w->last += first;
    const int own = w->last - w->first;
    w->early = together ? 0 : own - 1;
    w->rows = rows_needed(lanes, w->first, w->first + w->early);
    needs.whole += w->rows;
    needs.scratch += own - w->early;
    if (own > needs.slots) needs.slots = own;
  }
  /* The leftmost row is where the sum goes. */
  if (apart || workers[0].early) return needs;
  needs.whole++;
  needs.scratch--;
  return needs;
}

cohort_lane_needs cohort_lane_engine_needs(int lanes, int ranks, int rank, int threads, bool together, bool apart) {
  int first, last;
  cohort_lanes_of(lanes, ranks, rank, &first, &last);
  const int executors = last - first < threads ? last - first : threads;
  worker *workers = cohort_allocate((size_t)executors * sizeof *workers);
  const cohort_lane_needs needs = count_rows(lanes, first, last, executors, together, apart, workers);
  free(workers);
  return needs;
}

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
  engine->worker = cohort_allocate((size_t)engine->executors * sizeof *engine->worker);
  engine->slots = count_rows(lanes, engine->first, engine->last, engine->executors, false, false, engine->worker).slots;
  engine->lane_scalars = cohort_allocate((size_t)lanes * COHORT_MAX_SCALARS * sizeof *engine->lane_scalars);
  engine->part = cohort_allocate(2 * (size_t)comm->size * sizeof *engine->part);
  *out = engine;
  return COHORT_DONE;
}

void cohort_lane_engine_destroy(cohort_lane_engine *engine) {
  if (!engine) return;
  cohort_transfer_destroy(engine->transfer);
  if (engine->held.apart) cohort_memory_release(engine->sum.values);
  cohort_segment_destroy(engine->rows);
  for (int e = 0; e < engine->executors; e++) free(engine->worker[e].late);
  free(engine->worker);
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

/* Gives every row its place in the shared memory: whole rows first, the leftmost at its beginning. */
static void place_rows(cohort_lane_engine *engine) {
  const cohort_lane_rows *held = &engine->held;
  const int64_t whole = held->vectors * engine->elements, scratch = held->vectors * held->elements;
  float *next = (float *)(void *)engine->rows->part[engine->comm->rank];
  const bool leftmost_is_late = !held->apart && !engine->worker[0].early;
  if (leftmost_is_late) next += whole;
  for (int e = 0; e < engine->executors; e++) {
    worker *w = &engine->worker[e];
    for (int i = w->rows - 1; i >= 0; i--, next += whole) w->free_row[i] = next;
    w->free_rows = w->rows;
  }
  for (int e = 0; e < engine->executors; e++) {
    worker *w = &engine->worker[e];
    const int late = w->last - w->first - w->early;
    w->late = cohort_allocate((size_t)late * sizeof *w->late);
    for (int i = 0; i < late; i++) {
      if (e == 0 && i == 0 && leftmost_is_late) {
        w->late[i] = (cohort_lane_row){(float *)(void *)engine->rows->part[engine->comm->rank], engine->whole_place,
                                       engine->elements};
        continue;
      }
      w->late[i] = (cohort_lane_row){next, held->place, held->elements};
      next += scratch;
    }
  }
}

/* What is there when the last wave has run: open sums of earlier waves, and the last wave's own rows. */
static void list_leaves(cohort_lane_engine *engine) {
  engine->leaf = cohort_allocate(((size_t)(engine->last - engine->first) + 1) * sizeof *engine->leaf);
  for (int e = 0; e < engine->executors; e++) {
    const worker *w = &engine->worker[e];
    cohort_subtree open[COHORT_MAX_SUBTREES];
    const int before = cohort_lanes_subtrees(engine->lanes, w->first, w->first + w->early, open);
    for (int i = 0; i < before; i++) /* whose row is only known when it is there */
      engine->leaf[engine->leaves++] = (leaf){open[i], {NULL, engine->whole_place, engine->elements}};
    for (int i = 0; i < w->last - w->first - w->early; i++)
      engine->leaf[engine->leaves++] = (leaf){{0, w->first + w->early + i}, w->late[i]};
  }
}

static void list_nodes(cohort_lane_engine *engine) {
  const size_t most = (size_t)engine->leaves + 1;
  engine->node = cohort_allocate(most * sizeof *engine->node);
  engine->node_leaf = cohort_allocate(most * sizeof *engine->node_leaf);
  engine->node_place = cohort_allocate(2 * most * sizeof *engine->node_place);
  engine->node_vector = engine->node_place + most;
  cohort_subtree *nodes = cohort_allocate(most * sizeof *nodes);
  for (int l = 0; l < engine->leaves; l++) engine->node[l] = nodes[l] = engine->leaf[l].node;
  engine->nodes = engine->leaves;
  if (engine->comm->size > 1) engine->nodes = cohort_lanes_merge(engine->lanes, engine->leaves, nodes, engine->node);
  for (int n = 0, l = 0; n < engine->nodes; n++) {
    engine->node_leaf[n] = l;
    while (l < engine->leaves &&
           (engine->nodes == engine->leaves ? l == n : cohort_lanes_inside(engine->leaf[l].node, engine->node[n])))
      l++;
  }
  free(nodes);
}

static cohort_status hold_rows(cohort_lane_engine *engine, cohort_error *error) {
  cohort_lane_rows *held = &engine->held;
  const cohort_lane_needs needs = count_rows(engine->lanes, engine->first, engine->last, engine->executors,
                                             held->together, held->apart, engine->worker);
  const int64_t elements = held->vectors * (needs.whole * engine->elements + needs.scratch * held->elements);
  COHORT_TRY(cohort_segment_create(engine->comm, (size_t)elements * sizeof(float), "gradients", &engine->rows, error));
  engine->sum = (cohort_vector){(float *)(void *)engine->rows->part[engine->comm->rank], engine->rows, 0};
  if (!held->apart) return COHORT_DONE;
  void *memory = NULL;
  COHORT_TRY(cohort_memory_reserve((size_t)(held->vectors * engine->elements) * sizeof(float), false,
                                   "gradient's shard", &memory, error));
  engine->sum = (cohort_vector){memory, NULL, 0};
  return COHORT_DONE;
}

cohort_status cohort_lane_engine_prepare(cohort_lane_engine *engine, const cohort_lane_rows *rows,
                                         cohort_error *error) {
  const cohort_shards *shards = rows->shards;
  engine->held = *rows;
  engine->elements = shards->space->elements;
  engine->whole_place = cohort_allocate((size_t)(shards->buckets + 1) * sizeof *engine->whole_place);
  for (int b = 0; b < shards->buckets; b++) engine->whole_place[b] = shards->bucket[b].offset;
  if (!rows->place) {
    engine->held.place = engine->whole_place;
    engine->held.elements = engine->elements;
  }
  engine->number = cohort_allocate((size_t)(shards->buckets + 1) * sizeof *engine->number);
  COHORT_TRY(cohort_comm_agree_error(engine->comm, hold_rows(engine, error), error));
  place_rows(engine);
  list_leaves(engine);
  list_nodes(engine);
  const cohort_transfer_plan plan = {.comm = engine->comm,
                                     .shards = shards,
                                     .lanes = engine->lanes,
                                     .nodes = engine->nodes,
                                     .node = engine->node,
                                     .rows = engine->rows,
                                     .vectors = rows->vectors,
                                     .squares = true,
                                     .everywhere = rows->everywhere,
                                     .team = engine->team};
  return cohort_transfer_create(&plan, &engine->transfer, error);
}

cohort_transfer *cohort_lane_engine_transfer(const cohort_lane_engine *engine) { return engine->transfer; }
const cohort_vector *cohort_lane_engine_sum(const cohort_lane_engine *engine) { return &engine->sum; }

int cohort_lane_engine_lend(const cohort_lane_engine *engine, size_t bytes, int most, void **piece) {
  if (!engine->rows || engine->comm->size > 1) return 0;
  const size_t own = engine->rows->bytes[engine->comm->rank];
  int pieces = 0;
  for (size_t offset = 0; offset + bytes <= own; offset += bytes, pieces++)
    if (pieces < most) piece[pieces] = (char *)engine->rows->part[engine->comm->rank] + offset;
  return pieces;
}

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
  while (lane >= engine->worker[e].last) e++;
  *executor = e;
  *slot = lane - engine->worker[e].first;
}

double cohort_lane_engine_busy_seconds(cohort_lane_engine *engine) {
  double seconds = 0;
  for (int e = 0; e < engine->executors; e++) {
    seconds += engine->worker[e].seconds;
    engine->worker[e].seconds = 0;
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
  double *scalars = engine->lane_scalars + (size_t)lane * COHORT_MAX_SCALARS;
  for (int phase = now->first_phase; phase < now->last_phase; phase++)
    work->run(work->argument, executor, slot, lane, phase, row, scalars);
}

/* An earlier lane gives a whole row, which is joined with those before it. */
static void run_early(cohort_lane_engine *engine, const wave *now, int executor, int lane) {
  worker *w = &engine->worker[executor];
  const int64_t elements = now->work->vectors * engine->elements;
  /* Taken in the first phase, pushed in the last: between, nobody else takes it. */
  cohort_lane_row row = {NULL, engine->whole_place, engine->elements};
  if (now->work->vectors) row.base = w->free_row[w->free_rows - 1];
  run_lane(engine, now, executor, lane, 0, &row);
  if (!row.base || now->last_phase < now->work->phases) return;
  w->free_rows--;
  cohort_recorder *recorder = recorder_of(engine, executor);
  const double start = cohort_recorder_start(recorder);
  const int joins = push_row(w, lane, row.base, engine->lanes, &engine->executor_team, elements);
  cohort_recorder_stop(recorder, COHORT_ACTIVITY_JOIN, start, joined_bytes(elements, joins));
}

static void run_worker(cohort_lane_engine *engine, const wave *now, int executor) {
  worker *w = &engine->worker[executor];
  const double start = cohort_clock_seconds();
  const int lanes = w->last - w->first;
  static const cohort_lane_row none = {NULL, NULL, 0};
  if (now->work->together) {
    for (int i = 0; i < lanes; i++)
      run_lane(engine, now, executor, w->first + i, i, now->work->vectors ? &w->late[i] : &none);
  } else {
    /* Executors with fewer lanes begin later, so that all end together. */
    const int index = now->number - (now->waves - lanes);
    if (index >= 0 && index < lanes - 1) run_early(engine, now, executor, w->first + index);
    if (index == lanes - 1) run_lane(engine, now, executor, w->last - 1, 0, now->work->vectors ? &w->late[0] : &none);
  }
  w->seconds += cohort_clock_seconds() - start;
  cohort_recorder_stop(recorder_of(engine, executor), COHORT_ACTIVITY_BUSY, start, 0);
}

static void run_workers(cohort_lane_engine *engine, const wave *now) {
  const double start = cohort_recorder_start(recorder_of(engine, 0));
  if (engine->executors == 1) {
    run_worker(engine, now, 0);
  } else {
#pragma omp parallel num_threads(engine->executors)
    {
      const int executor = omp_get_thread_num(), threads = engine->executor_threads;
      if (executor) cohort_team_settle(executor * threads, threads);
      run_worker(engine, now, executor);
    }
  }
  cohort_recorder_stop(recorder_of(engine, 0), COHORT_ACTIVITY_LANES, start, 0);
}

/* The rows of earlier waves are where the counters have left them. */
static void find_leaves(cohort_lane_engine *engine) {
  int l = 0;
  for (int e = 0; e < engine->executors; e++) {
    const worker *w = &engine->worker[e];
    for (int i = 0; i < w->stack.count; i++) engine->leaf[l++].row.base = w->stack.row[i];
    l += w->last - w->first - w->early;
  }
}

typedef struct node_job {
  const cohort_lane_engine *engine;
  int bucket, node, vector;
} node_job;

static float *leaf_bucket(const leaf *own, int bucket, int vector) {
  return own->row.base + vector * own->row.vector + own->row.place[bucket];
}

static void join_node_tile(void *argument, int64_t tile) {
  const node_job *job = argument;
  const cohort_lane_engine *engine = job->engine;
  const int64_t first = tile * JOIN_TILE, left = engine->held.shards->bucket[job->bucket].elements - first;
  const int from = engine->node_leaf[job->node];
  const int to = job->node + 1 < engine->nodes ? engine->node_leaf[job->node + 1] : engine->leaves;
  const float *rows[COHORT_MAX_LANES];
  cohort_subtree nodes[COHORT_MAX_LANES];
  for (int l = from; l < to; l++) {
    rows[l - from] = leaf_bucket(&engine->leaf[l], job->bucket, job->vector) + first;
    nodes[l - from] = engine->leaf[l].node;
  }
  cohort_lanes_sum_float(engine->lanes, engine->node[job->node], to - from, nodes, rows,
                         left < JOIN_TILE ? left : JOIN_TILE,
                         leaf_bucket(&engine->leaf[from], job->bucket, job->vector) + first);
}

/* Joins this rank's rows of a bucket into its subtrees, each in its leftmost row; with one rank the owner's sum does
 * it. */
static int join_bucket(cohort_lane_engine *engine, int bucket, int vectors) {
  if (engine->nodes == engine->leaves) return 0;
  const int64_t elements = engine->held.shards->bucket[bucket].elements;
  for (int n = 0; n < engine->nodes; n++)
    for (int v = 0; v < vectors; v++) {
      node_job job = {engine, bucket, n, v};
      cohort_team_run(&engine->team, (elements + JOIN_TILE - 1) / JOIN_TILE, join_node_tile, &job);
    }
  return (engine->leaves - engine->nodes) * vectors;
}

/* A bucket's gradients are complete: it leaves. */
static void send_bucket(cohort_lane_engine *engine, int bucket, int vectors) {
  cohort_recorder *recorder = recorder_of(engine, 0);
  const double start = cohort_recorder_start(recorder);
  const int joins = join_bucket(engine, bucket, vectors);
  const float *memory = (const float *)(const void *)engine->rows->part[engine->comm->rank];
  for (int n = 0; n < engine->nodes; n++) {
    const leaf *own = &engine->leaf[engine->node_leaf[n]];
    engine->node_place[n] = leaf_bucket(own, bucket, 0) - memory;
    engine->node_vector[n] = own->row.vector;
  }
  const cohort_bucket_rows rows = {engine->node_place, engine->node_vector};
  engine->number[bucket] = engine->last_number =
      cohort_transfer_reduce(engine->transfer, bucket, &rows, vectors, engine->sum.values, engine->elements);
  if (!engine->held.overlap) cohort_transfer_sum_wait(engine->transfer, engine->last_number);
  cohort_recorder_stop(recorder, COHORT_ACTIVITY_REDUCE, start,
                       joined_bytes(engine->held.shards->bucket[bucket].elements, joins));
}

/* Before gradients of a bucket are written: what was in its place must be gone. */
static void open_bucket(cohort_lane_engine *engine, int bucket) {
  const int before = engine->held.before ? engine->held.before[bucket] : -1;
  if (before >= 0) cohort_transfer_reduce_wait(engine->transfer, engine->number[before]);
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
  const size_t lane_bytes = COHORT_MAX_SCALARS * sizeof(double);
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
  double column[COHORT_MAX_LANES];
  for (int s = 0; s < work->scalars; s++) {
    for (int lane = 0; lane < engine->lanes; lane++)
      column[lane] = engine->lane_scalars[(size_t)lane * COHORT_MAX_SCALARS + (size_t)s];
    if (lane_scalars)
      for (int lane = 0; lane < engine->lanes; lane++) lane_scalars[lane * work->scalars + s] = column[lane];
    scalars[s] = cohort_lanes_sum(engine->lanes, column);
  }
}

const double *cohort_lane_engine_squares(const cohort_lane_engine *engine) {
  return cohort_transfer_squares(engine->transfer);
}

/* All phases of a wave; at once when nothing happens between them. */
static void run_wave(cohort_lane_engine *engine, wave *now) {
  const int phases = now->work->phases;
  const bool at_once = now->number > 0 && now->number + 1 < now->waves;
  for (int phase = 0; phase < phases; phase = now->last_phase) {
    now->first_phase = phase;
    now->last_phase = at_once ? phases : phase + 1;
    before_phase(engine, now, phase);
    run_workers(engine, now);
    after_phase(engine, now, phase);
  }
}

static void free_rows(cohort_lane_engine *engine) {
  for (int e = 0; e < engine->executors; e++) {
    worker *w = &engine->worker[e];
    while (w->stack.count) w->free_row[w->free_rows++] = w->stack.row[--w->stack.count];
  }
}

void cohort_lane_engine_run(cohort_lane_engine *engine, const cohort_lane_work *work, double *scalars,
                            double *lane_scalars, float **sum) {
  cohort_recorder *recorder = recorder_of(engine, 0);
  wave now = {.work = work, .waves = work->together ? 1 : engine->slots};
  for (; now.number < now.waves; now.number++) {
    if (work->vectors && now.number + 1 == now.waves) find_leaves(engine);
    run_wave(engine, &now);
  }
  const double start = cohort_recorder_start(recorder);
  if (work->vectors) {
    for (int b = 0; !work->plan && b < engine->held.shards->buckets; b++) send_bucket(engine, b, work->vectors);
    /* Before anything blocks: others may need what this rank passes on. */
    cohort_transfer_sum_wait(engine->transfer, engine->last_number);
    *sum = engine->sum.values;
    free_rows(engine);
  }
  if (work->scalars) sum_scalars(engine, work, scalars, lane_scalars);
  cohort_recorder_stop(recorder, COHORT_ACTIVITY_REDUCE, start, 0);
}
