/* The rows of a lane engine: where each lane's gradients lie, and how a rank joins its rows before they leave.
 *
 * Earlier waves push whole rows, which join as in a binary counter; the last wave's rows lie in the gradient arena. A
 * bucket's rows are joined into the rank's subtrees once it is complete. Every addition is one of the tree's, whoever
 * makes it: the sum's bits do not depend on the number of executors or ranks.
 *
 *   lanes     0   1   2   3 | 4   5   6          executor 0 | executor 1
 *   waves    [0] [1] [2] [3]   [4] [5] [6]        one lane of each executor at a time, all end together
 *   rows      (0 1)  (2) last   (4 5)  last       open sums of earlier waves, and the last wave's own row
 *   leave     ((0 1)(2 3))      ((4 5) 6)         subtrees: what this rank gives to the owners of a bucket
 *
 * Memory: at most log2(lanes) + 1 whole rows an executor, and a gradient arena for each lane of the last wave. Time: an
 * addition an element for all lanes but one. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "lane/engine_state.h"

/* Elements of a tile of additions. */
enum { JOIN_TILE = 1 << 14 };

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

/* Pushes a row and joins siblings; rows that fall free go back to the executor's list. Returns how many did. */
int cohort_rows_push(executor_lanes *w, int lane, float *row, int lanes, const cohort_team *team, int64_t elements) {
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

/* The most rows a executor holds at once in its earlier waves: the open sums of the lanes before one, and its own. */
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
cohort_lane_needs cohort_rows_count(int lanes, int first, int last, int executors, bool lockstep, bool separate,
                                    executor_lanes *all) {
  cohort_lane_needs needs = {.executors = executors};
  for (int e = 0; e < executors; e++) {
    executor_lanes *w = &all[e];
    cohort_lanes_of(last - first, executors, e, &w->first, &w->last);
    w->first += first;
    w->last += first;
    const int own = w->last - w->first;
    w->earlier = lockstep ? 0 : own - 1;
    w->rows = rows_needed(lanes, w->first, w->first + w->earlier);
    needs.whole += w->rows;
    needs.arena += own - w->earlier;
    if (own > needs.slots) needs.slots = own;
  }
  /* The leftmost row is where the sum goes. */
  if (separate || all[0].earlier) return needs;
  needs.whole++;
  needs.arena--;
  return needs;
}

cohort_lane_needs cohort_lane_engine_needs(int lanes, int ranks, int rank, int threads, bool lockstep, bool separate) {
  int first, last;
  cohort_lanes_of(lanes, ranks, rank, &first, &last);
  const int executors = last - first < threads ? last - first : threads;
  executor_lanes *all = cohort_allocate((size_t)executors * sizeof *all);
  const cohort_lane_needs needs = cohort_rows_count(lanes, first, last, executors, lockstep, separate, all);
  free(all);
  return needs;
}

/* Gives every row its place in the shared memory: whole rows first, the leftmost at its beginning. */
static void place_rows(cohort_lane_engine *engine) {
  const cohort_lane_rows *held = &engine->held;
  const int64_t whole = held->vectors * engine->elements, arena = held->vectors * held->elements;
  float *next = (float *)(void *)engine->rows->part[engine->comm->rank];
  const bool leftmost_in_last_wave = !held->separate && !engine->executor_lanes[0].earlier;
  if (leftmost_in_last_wave) next += whole;
  for (int e = 0; e < engine->executors; e++) {
    executor_lanes *w = &engine->executor_lanes[e];
    for (int i = w->rows - 1; i >= 0; i--, next += whole) w->free_row[i] = next;
    w->free_rows = w->rows;
  }
  for (int e = 0; e < engine->executors; e++) {
    executor_lanes *w = &engine->executor_lanes[e];
    const int last_wave = w->last - w->first - w->earlier;
    w->last_wave = cohort_allocate((size_t)last_wave * sizeof *w->last_wave);
    for (int i = 0; i < last_wave; i++) {
      if (e == 0 && i == 0 && leftmost_in_last_wave) {
        w->last_wave[i] = (cohort_lane_row){(float *)(void *)engine->rows->part[engine->comm->rank],
                                            engine->whole_place, engine->elements};
        continue;
      }
      w->last_wave[i] = (cohort_lane_row){next, held->place, held->elements};
      next += arena;
    }
  }
}

/* What is there when the last wave has run: open sums of earlier waves, and the last wave's own rows. */
static void list_leaves(cohort_lane_engine *engine) {
  engine->leaf = cohort_allocate(((size_t)(engine->last - engine->first) + 1) * sizeof *engine->leaf);
  for (int e = 0; e < engine->executors; e++) {
    const executor_lanes *w = &engine->executor_lanes[e];
    cohort_subtree open[COHORT_MAX_SUBTREES];
    const int before = cohort_lanes_subtrees(engine->lanes, w->first, w->first + w->earlier, open);
    for (int i = 0; i < before; i++) /* whose row is only known when it is there */
      engine->leaf[engine->leaves++] = (leaf){open[i], {NULL, engine->whole_place, engine->elements}};
    for (int i = 0; i < w->last - w->first - w->earlier; i++)
      engine->leaf[engine->leaves++] = (leaf){{0, w->first + w->earlier + i}, w->last_wave[i]};
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
  const cohort_lane_needs needs = cohort_rows_count(engine->lanes, engine->first, engine->last, engine->executors,
                                                    held->lockstep, held->separate, engine->executor_lanes);
  const int64_t elements = held->vectors * (needs.whole * engine->elements + needs.arena * held->elements);
  COHORT_TRY(
      cohort_shared_memory_create(engine->comm, (size_t)elements * sizeof(float), "gradients", &engine->rows, error));
  engine->sum = (cohort_vector){(float *)(void *)engine->rows->part[engine->comm->rank], engine->rows, 0, 0};
  if (!held->separate) return COHORT_DONE;
  void *memory = NULL;
  COHORT_TRY(cohort_memory_reserve((size_t)(held->vectors * engine->elements) * sizeof(float), false,
                                   "gradient's shard", &memory, error));
  engine->sum = (cohort_vector){memory, NULL, 0, 0};
  return COHORT_DONE;
}

cohort_status cohort_lane_engine_prepare(cohort_lane_engine *engine, const cohort_lane_rows *rows,
                                         cohort_error *error) {
  const cohort_shards *shards = rows->shards;
  engine->held = *rows;
  if (!rows->buckets) engine->held.buckets = shards->buckets;
  const int buckets = engine->held.buckets;
  engine->elements = buckets < shards->buckets ? shards->bucket[buckets].offset : shards->space->elements;
  engine->whole_place = cohort_allocate((size_t)(buckets + 1) * sizeof *engine->whole_place);
  for (int b = 0; b < buckets; b++) engine->whole_place[b] = shards->bucket[b].offset;
  if (!rows->place) {
    engine->held.place = engine->whole_place;
    engine->held.elements = engine->elements;
  }
  engine->number = cohort_allocate((size_t)(buckets + 1) * sizeof *engine->number);
  COHORT_TRY(cohort_comm_agree_error(engine->comm, hold_rows(engine, error), error));
  place_rows(engine);
  list_leaves(engine);
  list_nodes(engine);
  const cohort_collective_options plan = {.comm = engine->comm,
                                          .shards = shards,
                                          .lanes = engine->lanes,
                                          .nodes = engine->nodes,
                                          .node = engine->node,
                                          .rows = engine->rows,
                                          .vectors = rows->vectors,
                                          .squares = true,
                                          .allreduce = rows->allreduce,
                                          .team = engine->team};
  return cohort_collective_create(&plan, &engine->collective, error);
}

int cohort_lane_engine_borrow(const cohort_lane_engine *engine, size_t bytes, int most, void **piece) {
  if (!engine->rows || engine->comm->size > 1) return 0;
  const size_t own = engine->rows->bytes[engine->comm->rank];
  int pieces = 0;
  for (size_t offset = 0; offset + bytes <= own; offset += bytes, pieces++)
    if (pieces < most) piece[pieces] = (char *)engine->rows->part[engine->comm->rank] + offset;
  return pieces;
}

/* The rows of earlier waves are where the counters have left them. */
void cohort_rows_find_leaves(cohort_lane_engine *engine) {
  int l = 0;
  for (int e = 0; e < engine->executors; e++) {
    const executor_lanes *w = &engine->executor_lanes[e];
    for (int i = 0; i < w->stack.count; i++) engine->leaf[l++].row.base = w->stack.row[i];
    l += w->last - w->first - w->earlier;
  }
}

typedef struct node_job {
  const cohort_lane_engine *engine;
  int bucket, node, vector;
} node_job;

float *cohort_rows_bucket(const leaf *own, int bucket, int vector) {
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
    rows[l - from] = cohort_rows_bucket(&engine->leaf[l], job->bucket, job->vector) + first;
    nodes[l - from] = engine->leaf[l].node;
  }
  cohort_lanes_sum_float(engine->lanes, engine->node[job->node], to - from, nodes, rows,
                         left < JOIN_TILE ? left : JOIN_TILE,
                         cohort_rows_bucket(&engine->leaf[from], job->bucket, job->vector) + first);
}

/* Joins this rank's rows of a bucket into its subtrees, each in its leftmost row; with one rank the owner's sum does
 * it. */
int cohort_rows_join(cohort_lane_engine *engine, int bucket, int vectors) {
  if (engine->nodes == engine->leaves) return 0;
  const int64_t elements = engine->held.shards->bucket[bucket].elements;
  for (int n = 0; n < engine->nodes; n++)
    for (int v = 0; v < vectors; v++) {
      node_job job = {engine, bucket, n, v};
      cohort_team_run(&engine->team, (elements + JOIN_TILE - 1) / JOIN_TILE, join_node_tile, &job);
    }
  return (engine->leaves - engine->nodes) * vectors;
}

void cohort_rows_release(cohort_lane_engine *engine) {
  for (int e = 0; e < engine->executors; e++) {
    executor_lanes *w = &engine->executor_lanes[e];
    while (w->stack.count) w->free_row[w->free_rows++] = w->stack.row[--w->stack.count];
  }
}
