#include "train/lane_engine.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

enum { JOIN_TILE = 1 << 14 };

/* Rows joined so far, left to right: a binary counter. */
typedef struct row_stack {
  int count;
  cohort_subtree node[COHORT_MAX_SUBTREES];
  float *row[COHORT_MAX_SUBTREES];
} row_stack;

typedef struct worker {
  int first, last; /* lanes */
  row_stack stack;
  int rows, free_rows;
  float *free_row[COHORT_MAX_SUBTREES];
  double seconds;
} worker;

struct cohort_lane_engine {
  cohort_comm *comm;
  int lanes, first, last, threads;
  int executors, executor_threads, slots;
  int64_t elements;
  int vectors;
  cohort_team team, executor_team;
  worker *worker;
  int rows;
  void **row_memory;
  float *outgoing, *incoming; /* staging between ranks */
  double *lane_scalars;       /* [lanes][COHORT_MAX_SCALARS] */
  size_t *part;               /* [2 * ranks] */
  cohort_message *message;    /* [2 * ranks * subtrees] */
  cohort_subtree *all_nodes;  /* of all ranks, left to right */
  int *subtrees;              /* [ranks] */
  int nodes;
  float **node_row; /* [nodes] */
  cohort_recorder *const *recorder; /* [executors], or NULL */
};

typedef struct join_job {
  float *into;
  const float *from;
  int64_t elements;
} join_job;

static void join_tile(void *argument, int64_t tile) {
  const join_job *job = argument;
  const int64_t first = tile * JOIN_TILE;
  const int64_t last = first + JOIN_TILE < job->elements ? first + JOIN_TILE : job->elements;
  float *restrict into = job->into;
  const float *restrict from = job->from;
  for (int64_t e = first; e < last; e++) into[e] += from[e];
}

static void add_row(const cohort_team *team, float *into, const float *from, int64_t elements) {
  join_job job = {into, from, elements};
  cohort_team_run(team, (elements + JOIN_TILE - 1) / JOIN_TILE, join_tile, &job);
}

/* A node whose right sibling holds no lane equals its parent. */
static cohort_subtree promote(cohort_subtree node, int lanes) {
  while (node.level < 30 && node.index > 0 && node.index % 2 == 0 && ((int64_t)(node.index + 1) << node.level) >= lanes) {
    node.level++;
    node.index /= 2;
  }
  return node;
}

/* Pushes a row and joins siblings; rows that fall free go to `freed`. */
static void push_row(row_stack *stack, cohort_subtree node, float *row, int lanes, const cohort_team *team,
                     int64_t elements, float **freed, int *freed_count) {
  node = promote(node, lanes);
  while (stack->count) {
    const cohort_subtree left = stack->node[stack->count - 1];
    if (left.level != node.level || left.index % 2 != 0 || left.index + 1 != node.index) break;
    stack->count--;
    add_row(team, stack->row[stack->count], row, elements);
    freed[(*freed_count)++] = row;
    row = stack->row[stack->count];
    node = promote((cohort_subtree){left.level + 1, left.index / 2}, lanes);
  }
  stack->node[stack->count] = node;
  stack->row[stack->count++] = row;
}

/* The most rows a worker holds at once: the open sums of the lanes before one, and that lane's own. */
static int rows_needed(int lanes, int first, int last) {
  cohort_subtree open[COHORT_MAX_SUBTREES];
  int most = 0;
  for (int lane = first; lane < last; lane++) {
    const int rows = cohort_lanes_subtrees(lanes, first, lane, open) + 1;
    if (rows > most) most = rows;
  }
  return most;
}

static void describe_ranks(cohort_lane_engine *engine) {
  const int ranks = engine->comm->size;
  engine->subtrees = cohort_allocate((size_t)ranks * sizeof *engine->subtrees);
  engine->all_nodes = cohort_allocate((size_t)ranks * COHORT_MAX_SUBTREES * sizeof *engine->all_nodes);
  for (int r = 0; r < ranks; r++) {
    int first, last;
    cohort_lanes_of(engine->lanes, ranks, r, &first, &last);
    engine->subtrees[r] = cohort_lanes_subtrees(engine->lanes, first, last, engine->all_nodes + engine->nodes);
    engine->nodes += engine->subtrees[r];
  }
  engine->node_row = cohort_allocate((size_t)engine->nodes * sizeof *engine->node_row);
}

static cohort_status make_rows(cohort_lane_engine *engine, cohort_error *error) {
  const size_t bytes = (size_t)engine->vectors * (size_t)engine->elements * sizeof(float);
  int next = 0;
  for (int e = 0; e < engine->executors; e++) {
    worker *w = &engine->worker[e];
    w->rows = rows_needed(engine->lanes, w->first, w->last);
    next += w->rows;
  }
  engine->row_memory = cohort_allocate((size_t)next * sizeof *engine->row_memory);
  for (int e = 0; e < engine->executors; e++) {
    worker *w = &engine->worker[e];
    w->free_rows = w->rows;
    for (int i = 0; i < w->free_rows; i++) {
      void *memory = NULL;
      COHORT_TRY(cohort_memory_create(bytes, "gradients", &memory, error));
      engine->row_memory[engine->rows++] = memory;
      w->free_row[i] = memory;
    }
  }
  if (engine->comm->size == 1) return COHORT_DONE;
  const size_t mine = (size_t)engine->subtrees[engine->comm->rank];
  void *memory = NULL;
  COHORT_TRY(cohort_memory_create(bytes * mine, "gradients on their way", &memory, error));
  engine->outgoing = memory;
  return COHORT_DONE;
}

cohort_status cohort_lane_engine_prepare(cohort_lane_engine *engine, const cohort_shards *shards, cohort_error *error) {
  if (engine->comm->size == 1 || !engine->vectors) return COHORT_DONE;
  const size_t shard = (size_t)shards->elements[engine->comm->rank] * (size_t)engine->vectors * sizeof(float);
  void *memory = NULL;
  cohort_memory_release(engine->incoming);
  engine->incoming = NULL;
  COHORT_TRY(cohort_memory_create(shard * (size_t)engine->nodes, "gradients that arrive", &memory, error));
  engine->incoming = memory;
  return COHORT_DONE;
}

cohort_status cohort_lane_engine_create(cohort_comm *comm, int lanes, int threads, int64_t elements, int vectors,
                                        cohort_lane_engine **out, cohort_error *error) {
  if (comm->size > lanes)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "lanes: %d lanes cannot be spread over %d ranks; start at most %d ranks or set lanes higher", lanes,
                       comm->size, lanes);
  cohort_lane_engine *engine = cohort_allocate(sizeof *engine);
  engine->comm = comm;
  engine->lanes = lanes;
  engine->threads = threads;
  engine->elements = elements;
  engine->vectors = vectors;
  cohort_lanes_of(lanes, comm->size, comm->rank, &engine->first, &engine->last);
  const int own = engine->last - engine->first;
  engine->executors = own < threads ? own : threads;
  engine->executor_threads = threads / engine->executors;
  engine->team = (cohort_team){threads};
  engine->executor_team = (cohort_team){engine->executor_threads};
  engine->worker = cohort_allocate((size_t)engine->executors * sizeof *engine->worker);
  for (int e = 0; e < engine->executors; e++) {
    worker *w = &engine->worker[e];
    cohort_lanes_of(own, engine->executors, e, &w->first, &w->last);
    w->first += engine->first;
    w->last += engine->first;
    if (w->last - w->first > engine->slots) engine->slots = w->last - w->first;
  }
  describe_ranks(engine);
  engine->lane_scalars = cohort_allocate((size_t)lanes * COHORT_MAX_SCALARS * sizeof *engine->lane_scalars);
  engine->part = cohort_allocate(2 * (size_t)comm->size * sizeof *engine->part);
  engine->message = cohort_allocate(2 * (size_t)comm->size * COHORT_MAX_SUBTREES * sizeof *engine->message);
  const cohort_status status = vectors ? make_rows(engine, error) : COHORT_DONE;
  if (status != COHORT_DONE) {
    cohort_lane_engine_destroy(engine);
    return status;
  }
  *out = engine;
  return COHORT_DONE;
}

void cohort_lane_engine_destroy(cohort_lane_engine *engine) {
  if (!engine) return;
  for (int i = 0; i < engine->rows; i++) cohort_memory_release(engine->row_memory[i]);
  free(engine->row_memory);
  cohort_memory_release(engine->outgoing);
  cohort_memory_release(engine->incoming);
  free(engine->message);
  free(engine->part);
  free(engine->lane_scalars);
  free(engine->node_row);
  free(engine->all_nodes);
  free(engine->subtrees);
  free(engine->worker);
  free(engine);
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

static void run_worker(cohort_lane_engine *engine, const cohort_lane_work *work, int executor, int phase) {
  worker *w = &engine->worker[executor];
  const bool last_phase = phase == work->phases - 1;
  const int64_t elements = work->vectors * engine->elements;
  cohort_recorder *recorder = recorder_of(engine, executor);
  const double start = cohort_clock_seconds();
  for (int lane = w->first; lane < w->last; lane++) {
    const int slot = work->phases == 1 ? 0 : lane - w->first;
    double *scalars = engine->lane_scalars + (size_t)lane * COHORT_MAX_SCALARS;
    float *row = NULL;
    if (last_phase && work->vectors) row = w->free_row[--w->free_rows];
    work->run(work->argument, executor, slot, lane, phase, row, scalars);
    if (!row) continue;
    const double joining = cohort_recorder_start(recorder);
    const int rows = w->free_rows;
    push_row(&w->stack, (cohort_subtree){0, lane}, row, engine->lanes, &engine->executor_team, elements, w->free_row,
             &w->free_rows);
    cohort_recorder_stop(recorder, COHORT_ACTIVITY_JOIN, joining, joined_bytes(elements, w->free_rows - rows));
  }
  w->seconds += cohort_clock_seconds() - start;
  cohort_recorder_stop(recorder, COHORT_ACTIVITY_BUSY, start, 0);
}

static void run_phase(cohort_lane_engine *engine, const cohort_lane_work *work, int phase) {
  const double start = cohort_recorder_start(recorder_of(engine, 0));
  if (engine->executors == 1) {
    run_worker(engine, work, 0, phase);
  } else {
#pragma omp parallel num_threads(engine->executors)
    run_worker(engine, work, omp_get_thread_num(), phase);
  }
  cohort_recorder_stop(recorder_of(engine, 0), COHORT_ACTIVITY_LANES, start, 0);
}

/* Joins the executors' rows into this rank's maximal subtrees. The rows go back to their executors when freed. */
static void join_executors(cohort_lane_engine *engine, row_stack *own, int64_t elements) {
  own->count = 0;
  for (int e = 0; e < engine->executors; e++) {
    worker *w = &engine->worker[e];
    for (int i = 0; i < w->stack.count; i++) {
      float *freed[COHORT_MAX_SUBTREES];
      int freed_count = 0;
      push_row(own, w->stack.node[i], w->stack.row[i], engine->lanes, &engine->team, elements, freed, &freed_count);
    }
  }
}

/* All rows are free again before the next run; only their order in the lists matters to nobody. */
static void reset_rows(cohort_lane_engine *engine) {
  int next = 0;
  for (int e = 0; e < engine->executors; e++) {
    worker *w = &engine->worker[e];
    w->stack.count = 0;
    w->free_rows = w->rows;
    for (int i = 0; i < w->free_rows; i++) w->free_row[i] = engine->row_memory[next++];
  }
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

static size_t pack_shard(const cohort_shards *shards, int rank, const float *vector, float *out) {
  float *next = out;
  for (int i = 0; i < shards->ranges[rank]; i++) {
    const cohort_range range = shards->range[rank][i];
    memcpy(next, vector + range.offset, (size_t)range.elements * sizeof *next);
    next += range.elements;
  }
  return (size_t)(next - out);
}

typedef struct finish_job {
  cohort_lane_engine *engine;
  float **row; /* one per node of the tree's cover */
  int64_t elements;
} finish_job;

static void finish_tile(void *argument, int64_t tile) {
  const finish_job *job = argument;
  float *rows[COHORT_MAX_LANES];
  const int64_t first = tile * JOIN_TILE;
  const int64_t left = job->elements - first;
  for (int i = 0; i < job->engine->nodes; i++) rows[i] = job->row[i] + first;
  cohort_lanes_join_float(job->engine->lanes, job->engine->nodes, job->engine->all_nodes, rows,
                          left < JOIN_TILE ? left : JOIN_TILE);
}

/* Sends every owner its part of my subtrees, receives the parts of my shard, finishes the tree and spreads the result into
 * the first of my rows. */
static void reduce_scatter(cohort_lane_engine *engine, const row_stack *own, const cohort_shards *shards, int vectors) {
  cohort_comm *comm = engine->comm;
  const int64_t shard = shards->elements[comm->rank] * vectors;
  cohort_message *send = engine->message, *receive = send + (size_t)comm->size * COHORT_MAX_SUBTREES;
  float **rows = engine->node_row;
  int sends = 0, receives = 0, node = 0;
  float *out = engine->outgoing, *in = engine->incoming;
  for (int r = 0; r < comm->size; r++) {
    for (int s = 0; s < engine->subtrees[r]; s++) { /* what I receive from r, or have */
      rows[node++] = in;
      if (r != comm->rank) receive[receives++] = (cohort_message){r, in, (size_t)shard * sizeof(float)};
      in += shard;
    }
    for (int s = 0; s < own->count; s++) { /* what I send to r, or keep */
      float *to = r == comm->rank ? rows[node - engine->subtrees[r] + s] : out;
      size_t packed = 0;
      for (int v = 0; v < vectors; v++) packed += pack_shard(shards, r, own->row[s] + v * engine->elements, to + packed);
      if (r == comm->rank) continue;
      send[sends++] = (cohort_message){r, out, packed * sizeof(float)};
      out += packed;
    }
  }
  comm->exchange(comm, sends, send, receives, receive);
  finish_job job = {engine, rows, shard};
  cohort_team_run(&engine->team, (shard + JOIN_TILE - 1) / JOIN_TILE, finish_tile, &job);
  const float *from = rows[0];
  for (int v = 0; v < vectors; v++)
    for (int i = 0; i < shards->ranges[comm->rank]; i++) {
      const cohort_range range = shards->range[comm->rank][i];
      memcpy(own->row[0] + v * engine->elements + range.offset, from, (size_t)range.elements * sizeof *from);
      from += range.elements;
    }
}

static void sum_scalars(cohort_lane_engine *engine, const cohort_lane_work *work, double *scalars, double *lane_scalars) {
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

/* Returns how many rows this rank has added. */
static int sum_rows(cohort_lane_engine *engine, const cohort_lane_work *work, const cohort_shards *shards, float **sum) {
  row_stack own;
  int open = 0;
  for (int e = 0; e < engine->executors; e++) open += engine->worker[e].stack.count;
  join_executors(engine, &own, work->vectors * engine->elements);
  const int joins = open - own.count;
  if (engine->comm->size > 1) reduce_scatter(engine, &own, shards, work->vectors);
  *sum = own.row[0];
  reset_rows(engine);
  return joins;
}

void cohort_lane_engine_run(cohort_lane_engine *engine, const cohort_lane_work *work, const cohort_shards *shards,
                            double *scalars, double *lane_scalars, float **sum) {
  cohort_recorder *recorder = recorder_of(engine, 0);
  for (int phase = 0; phase < work->phases; phase++) {
    run_phase(engine, work, phase);
    if (phase + 1 == work->phases) break;
    const double between = cohort_recorder_start(recorder);
    work->between(work->argument, phase);
    cohort_recorder_stop(recorder, COHORT_ACTIVITY_REDUCE, between, 0);
  }
  const double start = cohort_recorder_start(recorder);
  if (work->scalars) sum_scalars(engine, work, scalars, lane_scalars);
  const int joins = work->vectors ? sum_rows(engine, work, shards, sum) : 0;
  cohort_recorder_stop(recorder, COHORT_ACTIVITY_REDUCE, start, joined_bytes(work->vectors * engine->elements, joins));
}
