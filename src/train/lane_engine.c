#include "train/lane_engine.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "kernel/kernel.h"

/* Elements of a tile of additions; and of a shard that travel at a time (or one piece): enough to cost no latency, few
 * enough that parts are added while they are in the caches. */
enum { JOIN_TILE = 1 << 14, WINDOW = 1 << 19 };

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
  float *outgoing, *incoming; /* windows between ranks: [ranks - 1][own subtrees][window], [others' subtrees][window] */
  int64_t window;             /* room of one */
  int *next_piece;            /* [ranks]: where each shard's next window begins */
  int64_t *in_window;         /* [pieces]: where an own piece lies in its window */
  double *squares;            /* [pieces] */
  double (*dot)(const void *a, const void *b, int64_t n);
  double *lane_scalars;      /* [lanes][COHORT_MAX_SCALARS] */
  size_t *part;              /* [2 * ranks] */
  cohort_message *message;   /* [2 * ranks * subtrees] */
  cohort_subtree *all_nodes; /* of all ranks (with one rank: of all executors), left to right */
  int *subtrees;             /* [ranks] */
  int nodes;
  float **node_row;                 /* [nodes] */
  bool *arrived;                    /* [nodes]: lies in a window, not in a row */
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
  while (node.level < 30 && node.index > 0 && node.index % 2 == 0 &&
         ((int64_t)(node.index + 1) << node.level) >= lanes) {
    node.level++;
    node.index /= 2;
  }
  return node;
}

static bool is_root(cohort_subtree node, int lanes) { return node.index == 0 && (int64_t)1 << node.level >= lanes; }

/* Pushes a row and joins siblings, but for the last addition of the tree, which finish_piece makes; rows that fall free
 * go to `freed`. */
static void push_row(row_stack *stack, cohort_subtree node, float *row, int lanes, const cohort_team *team,
                     int64_t elements, float **freed, int *freed_count) {
  node = promote(node, lanes);
  while (stack->count) {
    const cohort_subtree left = stack->node[stack->count - 1];
    if (left.level != node.level || left.index % 2 != 0 || left.index + 1 != node.index) break;
    if (is_root((cohort_subtree){left.level + 1, left.index / 2}, lanes)) break;
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
  const int holders = ranks > 1 ? ranks : engine->executors;
  engine->all_nodes = cohort_allocate((size_t)holders * COHORT_MAX_SUBTREES * sizeof *engine->all_nodes);
  for (int r = 0; r < ranks; r++) {
    int first, last;
    cohort_lanes_of(engine->lanes, ranks, r, &first, &last);
    engine->subtrees[r] = cohort_lanes_subtrees(engine->lanes, first, last, engine->all_nodes + engine->nodes);
    engine->nodes += engine->subtrees[r];
  }
  const int most = ranks > 1 ? engine->nodes : engine->executors * COHORT_MAX_SUBTREES;
  engine->node_row = cohort_allocate((size_t)most * sizeof *engine->node_row);
  engine->arrived = cohort_allocate((size_t)most * sizeof *engine->arrived);
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
  return COHORT_DONE;
}

/* Some of a rank's pieces, in order: whole ones, so that whoever finishes the tree can sum over each. */
typedef struct piece_window {
  int rank, first, last; /* those of [first, last) that are the rank's */
  int64_t elements;
} piece_window;

/* The next window of a rank's shard; empty after the last. */
static piece_window next_window(cohort_lane_engine *engine, const cohort_shards *shards, int rank) {
  const cohort_space *space = shards->space;
  piece_window window = {.rank = rank, .first = engine->next_piece[rank]};
  int p = window.first;
  for (; p < space->pieces; p++) {
    if (shards->owner[p] != rank) continue;
    if (window.elements && window.elements + space->piece[p].elements > WINDOW) break;
    if (rank == engine->comm->rank) engine->in_window[p] = window.elements;
    window.elements += space->piece[p].elements;
  }
  window.last = engine->next_piece[rank] = p;
  return window;
}

cohort_status cohort_lane_engine_prepare(cohort_lane_engine *engine, const cohort_shards *shards, cohort_error *error) {
  const cohort_space *space = shards->space;
  const int ranks = engine->comm->size;
  engine->squares = cohort_allocate((size_t)(space->pieces + 1) * sizeof *engine->squares);
  engine->in_window = cohort_allocate((size_t)(space->pieces + 1) * sizeof *engine->in_window);
  if (ranks == 1 || !engine->vectors) return COHORT_DONE;
  for (int r = 0; r < ranks; r++)
    for (engine->next_piece[r] = 0; engine->next_piece[r] < space->pieces;) {
      const piece_window window = next_window(engine, shards, r);
      if (window.elements > engine->window) engine->window = window.elements;
    }
  const size_t bytes = (size_t)engine->window * sizeof(float);
  const size_t mine = (size_t)engine->subtrees[engine->comm->rank], others = (size_t)engine->nodes - mine;
  void *memory = NULL;
  COHORT_TRY(cohort_memory_create(bytes * mine * (size_t)(ranks - 1), "gradients on their way", &memory, error));
  engine->outgoing = memory;
  COHORT_TRY(cohort_memory_create(bytes * others, "gradients that arrive", &memory, error));
  engine->incoming = memory;
  return COHORT_DONE;
}

cohort_status cohort_lane_engine_create(cohort_comm *comm, int lanes, int threads, int64_t elements, int vectors,
                                        cohort_lane_engine **out, cohort_error *error) {
  if (comm->size > lanes)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "lanes: %d lanes cannot be spread over %d ranks; start at most %d ranks or set lanes higher",
                       lanes, comm->size, lanes);
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
  engine->next_piece = cohort_allocate((size_t)comm->size * sizeof *engine->next_piece);
  engine->dot = cohort_kernels_float32(cohort_processor_isa())->dot;
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
  free(engine->arrived);
  free(engine->next_piece);
  free(engine->in_window);
  free(engine->squares);
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

/* Joins the executors' rows into this rank's maximal subtrees, which are less to send. */
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

/* Finishing the tree over some pieces of this rank: node i's part lies in node_row[i], which is a row or a window. */
typedef struct finish_job {
  cohort_lane_engine *engine;
  const cohort_shards *shards;
  float *sum;     /* the row that receives the result */
  int64_t offset; /* of the vector in a row */
  int first_piece, last_piece;
  int group; /* pieces that a thread takes at a time: pieces of small spaces are tiny */
} finish_job;

static void finish_piece(const finish_job *job, int p) {
  cohort_lane_engine *engine = job->engine;
  if (job->shards->owner[p] != engine->comm->rank) return;
  const cohort_piece *piece = &job->shards->space->piece[p];
  float *rows[COHORT_MAX_LANES], *sum = job->sum + job->offset + piece->offset;
  for (int i = 0; i < engine->nodes; i++)
    rows[i] = engine->node_row[i] + (engine->arrived[i] ? engine->in_window[p] : job->offset + piece->offset);
  cohort_lanes_join_float(engine->lanes, engine->nodes, engine->all_nodes, rows, piece->elements);
  if (engine->arrived[0]) memcpy(sum, rows[0], (size_t)piece->elements * sizeof *sum);
  if (job->offset == 0) engine->squares[p] = engine->dot(sum, sum, piece->elements);
}

static void finish_group(void *argument, int64_t tile) {
  const finish_job *job = argument;
  const int first = job->first_piece + (int)tile * job->group;
  for (int p = first; p < first + job->group && p < job->last_piece; p++) finish_piece(job, p);
}

static void finish_pieces(finish_job *job, int first, int last) {
  job->first_piece = first;
  job->last_piece = last;
  job->group = 1 + (int)(JOIN_TILE * (int64_t)job->shards->space->pieces / (job->engine->elements + 1));
  cohort_team_run(&job->engine->team, (last - first + job->group - 1) / job->group, finish_group, job);
}

/* All rows are here: what the executors have left is finished in one pass. Returns the row with the sum. */
static float *finish_alone(cohort_lane_engine *engine, const cohort_shards *shards, int vectors) {
  engine->nodes = 0;
  for (int e = 0; e < engine->executors; e++) {
    const row_stack *stack = &engine->worker[e].stack;
    for (int i = 0; i < stack->count; i++) {
      engine->all_nodes[engine->nodes] = stack->node[i];
      engine->node_row[engine->nodes++] = stack->row[i];
    }
  }
  finish_job job = {.engine = engine, .shards = shards, .sum = engine->node_row[0]};
  for (int v = 0; v < vectors; v++, job.offset += engine->elements) finish_pieces(&job, 0, shards->space->pieces);
  return engine->node_row[0];
}

static void pack_window(const cohort_shards *shards, piece_window window, const float *vector, float *out) {
  for (int p = window.first; p < window.last; p++) {
    if (shards->owner[p] != window.rank) continue;
    const cohort_piece *piece = &shards->space->piece[p];
    memcpy(out, vector + piece->offset, (size_t)piece->elements * sizeof *out);
    out += piece->elements;
  }
}

/* Where the parts of my window come from: my rows, and what the others will send. */
static int expect_window(cohort_lane_engine *engine, const row_stack *own, piece_window mine, cohort_message *receive) {
  int receives = 0, node = 0;
  float *in = engine->incoming;
  for (int r = 0; r < engine->comm->size; r++)
    for (int s = 0; s < engine->subtrees[r]; s++, node++) {
      engine->arrived[node] = r != engine->comm->rank;
      engine->node_row[node] = engine->arrived[node] ? in : own->row[s];
      if (!engine->arrived[node]) continue;
      receive[receives++] = (cohort_message){r, in, (size_t)mine.elements * sizeof(float)};
      in += engine->window;
    }
  return receives;
}

/* Sends every owner a window of its part of my subtrees, receives the parts of a window of my shard and finishes the
 * tree there, until all shards are through; false when they are. */
static bool reduce_window(cohort_lane_engine *engine, const row_stack *own, const cohort_shards *shards,
                          finish_job *job) {
  cohort_comm *comm = engine->comm;
  cohort_message *send = engine->message, *receive = send + (size_t)comm->size * COHORT_MAX_SUBTREES;
  piece_window mine = {0};
  int64_t elements = 0;
  int sends = 0;
  float *out = engine->outgoing;
  for (int r = 0; r < comm->size; r++) {
    const piece_window window = next_window(engine, shards, r);
    elements += window.elements;
    if (r == comm->rank) mine = window;
    for (int s = 0; r != comm->rank && s < own->count; s++, out += engine->window) {
      pack_window(shards, window, own->row[s] + job->offset, out);
      send[sends++] = (cohort_message){r, out, (size_t)window.elements * sizeof(float)};
    }
  }
  if (!elements) return false;
  const int receives = expect_window(engine, own, mine, receive);
  cohort_comm_name(comm, "reduce");
  comm->exchange(comm, sends, send, receives, receive);
  finish_pieces(job, mine.first, mine.last);
  return true;
}

static void reduce_scatter(cohort_lane_engine *engine, const row_stack *own, const cohort_shards *shards, int vectors) {
  finish_job job = {.engine = engine, .shards = shards, .sum = own->row[0]};
  for (int v = 0; v < vectors; v++, job.offset += engine->elements) {
    for (int r = 0; r < engine->comm->size; r++) engine->next_piece[r] = 0;
    while (reduce_window(engine, own, shards, &job)) continue;
  }
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

/* Returns how many rows this rank has added. */
static int sum_rows(cohort_lane_engine *engine, const cohort_lane_work *work, const cohort_shards *shards,
                    float **sum) {
  row_stack own;
  int open = 0, left = 1;
  for (int e = 0; e < engine->executors; e++) open += engine->worker[e].stack.count;
  if (engine->comm->size == 1) {
    *sum = finish_alone(engine, shards, work->vectors);
  } else {
    join_executors(engine, &own, work->vectors * engine->elements);
    reduce_scatter(engine, &own, shards, work->vectors);
    *sum = own.row[0];
    left = own.count;
  }
  reset_rows(engine);
  return open - left;
}

const double *cohort_lane_engine_squares(const cohort_lane_engine *engine) { return engine->squares; }

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
