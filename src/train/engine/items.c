/* The engine of items. Rows are joined inside a rank as soon as two neighbours of the tree are there, whichever threads
 * made them; what is left, the rank's subtrees, goes to whoever sums a slice, and the slices' sums go to all:
 *
 *   leaves      0   1   2   3 | 4   5   6        rank 0 | rank 1, at about equal cost
 *   threads     a   b   b   a   c   d   c        each takes its rank's next leaf
 *   join        ((0 1)(2 3))    ((4 5) 6)        under a lock, additions outside of it
 *   slices      rank 0 sums the first half of the vector, rank 1 the second; then an all-gather
 *
 * Every addition is one of the tree's, so the bits of a sum depend on the order alone. A rank holds at most log2(items)
 * rows an executor; time is that of the busiest rank's items, then two passes over a row. */
#include "train/engine/items.h"

#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lanes.h"
#include "base/memory.h"
#include "base/team.h"
#include "state/activity.h"

enum { MOST_SUBTREES = 64 };

/* ---- the order ---- */

typedef struct priced_item {
  double cost;
  int item;
} priced_item;

static int by_cost(const void *a, const void *b) {
  const priced_item *x = a, *y = b;
  if (x->cost > y->cost || x->cost < y->cost) return x->cost > y->cost ? -1 : 1;
  return (x->item > y->item) - (x->item < y->item);
}

static int by_number(const void *a, const void *b) {
  const priced_item *x = a, *y = b;
  return (x->item > y->item) - (x->item < y->item);
}

/* Leaves under the left child of a tree's root. */
static int left_leaves(int leaves) {
  int left = 1;
  while (2 * left < leaves) left *= 2;
  return left;
}

/* Items by falling cost go to the half that has cost less so far, while it has leaves left. `room` is as long. */
static void halve(int items, priced_item *list, priced_item *room) {
  if (items < 2) return;
  if (list[0].cost <= list[items - 1].cost) { /* all alike */
    qsort(list, (size_t)items, sizeof *list, by_number);
    return;
  }
  const int left = left_leaves(items), right = items - left;
  int lefts = 0, rights = 0;
  double left_cost = 0, right_cost = 0;
  for (int i = 0; i < items; i++) {
    const bool goes_left = rights == right || (lefts < left && left_cost <= right_cost);
    if (goes_left) {
      room[lefts++] = list[i];
      left_cost += list[i].cost;
    } else {
      room[left + rights++] = list[i];
      right_cost += list[i].cost;
    }
  }
  memcpy(list, room, (size_t)items * sizeof *list);
  halve(left, list, room);
  halve(right, list + left, room + left);
}

/* A rank begins where the cost so far is nearest to its share. */
static void deal(const priced_item *list, int ranks, cohort_item_order *out) {
  double total = 0, before = 0;
  for (int i = 0; i < out->items; i++) total += list[i].cost;
  int leaf = 0;
  for (int r = 0; r < ranks; r++) {
    const double share = total * r / ranks;
    while (leaf < out->items && share - before > before + list[leaf].cost - share) before += list[leaf++].cost;
    out->first[r] = leaf;
  }
  out->first[ranks] = out->items;
}

void cohort_item_order_create(int items, const double *cost, int ranks, cohort_item_order *out) {
  out->items = items;
  out->item = cohort_scratch_take(&out->item_room, (size_t)items * sizeof *out->item);
  out->first = cohort_scratch_take(&out->first_room, (size_t)(ranks + 1) * sizeof *out->first);
  priced_item *list = cohort_scratch_take(&out->list_room, 2 * (size_t)items * sizeof *list);
  for (int i = 0; i < items; i++) list[i] = (priced_item){cost[i], i};
  qsort(list, (size_t)items, sizeof *list, by_cost);
  halve(items, list, list + items);
  for (int i = 0; i < items; i++) out->item[i] = list[i].item;
  deal(list, ranks, out);
}

void cohort_item_order_release(cohort_item_order *order) {
  cohort_scratch_release(&order->item_room);
  cohort_scratch_release(&order->first_room);
  cohort_scratch_release(&order->list_room);
  memset(order, 0, sizeof *order);
}

/* ---- the engine ---- */

/* A row that waits for its neighbour in the tree. */
typedef struct waiting_row {
  cohort_subtree node;
  char *row;
} waiting_row;

struct cohort_items {
  cohort_comm *comm;
  int executors;
  size_t real;
  int64_t elements;
  pthread_mutex_t mutex; /* of the rows' lists */
  int free_rows, waiting, rows, room;
  char **free_row, **row; /* room for `rows`; all that there are */
  waiting_row *wait;
  char *sum;
  /* Of a run. */
  cohort_scratch records, column, places, nodes, owners, coming, slices, messages;
  double *seconds;                  /* [executors] */
  cohort_recorder *const *recorder; /* or NULL */
};

cohort_items *cohort_items_create(cohort_comm *comm, int threads, size_t real, int64_t elements) {
  cohort_items *engine = cohort_allocate(sizeof *engine);
  engine->comm = comm;
  engine->executors = threads;
  engine->real = real;
  engine->elements = elements;
  engine->seconds = cohort_allocate((size_t)threads * sizeof *engine->seconds);
  pthread_mutex_init(&engine->mutex, NULL);
  return engine;
}

void cohort_items_destroy(cohort_items *engine) {
  if (!engine) return;
  for (int i = 0; i < engine->rows; i++) free(engine->row[i]);
  free(engine->row);
  free(engine->free_row);
  free(engine->wait);
  free(engine->sum);
  cohort_scratch *const scratch[] = {&engine->records, &engine->column, &engine->places, &engine->nodes,
                                     &engine->owners,  &engine->coming, &engine->slices, &engine->messages};
  for (size_t i = 0; i < sizeof scratch / sizeof *scratch; i++) cohort_scratch_release(scratch[i]);
  free(engine->seconds);
  pthread_mutex_destroy(&engine->mutex);
  free(engine);
}

int cohort_items_executors(const cohort_items *engine) { return engine->executors; }

void cohort_items_record(cohort_items *engine, cohort_recorder *const *recorder) { engine->recorder = recorder; }

double cohort_items_busy_seconds(cohort_items *engine) {
  double seconds = 0;
  for (int e = 0; e < engine->executors; e++) {
    seconds += engine->seconds[e];
    engine->seconds[e] = 0;
  }
  return seconds;
}

static char *make_row(cohort_items *engine) {
  if (engine->rows == engine->room) {
    engine->room = engine->room ? 2 * engine->room : 8;
    engine->row = cohort_reallocate(engine->row, (size_t)engine->room * sizeof *engine->row);
    engine->free_row = cohort_reallocate(engine->free_row, (size_t)engine->room * sizeof *engine->free_row);
    engine->wait = cohort_reallocate(engine->wait, (size_t)engine->room * sizeof *engine->wait);
  }
  char *row = cohort_allocate((size_t)engine->elements * engine->real);
  engine->row[engine->rows++] = row;
  return row;
}

/* A row to write to; the mutex is held. */
static char *take_row(cohort_items *engine) {
  return engine->free_rows ? engine->free_row[--engine->free_rows] : make_row(engine);
}

/* As many rows as threads can have in use at once, whoever is first: each its own, and those that wait for a neighbour
 * at every level below. One that is never written to takes no memory. */
static void make_rows(cohort_items *engine, int items) {
  int levels = 2;
  while ((items - 1) >> (levels - 2)) levels++;
  const int most = engine->executors * levels < items ? engine->executors * levels : items;
  while (engine->rows < most) {
    char *row = make_row(engine);
    engine->free_row[engine->free_rows++] = row;
  }
}

static void add_rows(size_t real, int64_t elements, void *restrict into, const void *restrict from) {
  if (real == sizeof(double)) {
    double *to = into;
    const double *row = from;
    for (int64_t e = 0; e < elements; e++) to[e] += row[e];
  } else {
    float *to = into;
    const float *row = from;
    for (int64_t e = 0; e < elements; e++) to[e] += row[e];
  }
}

/* A waiting row that makes a node of the tree together with this one; -1: there is none. */
static int find_neighbour(const cohort_items *engine, int leaves, cohort_subtree node, cohort_subtree *joined) {
  for (int i = 0; i < engine->waiting; i++) {
    const cohort_subtree other = engine->wait[i].node;
    const bool before = (int64_t)other.index << other.level < (int64_t)node.index << node.level;
    const cohort_subtree both[2] = {before ? other : node, before ? node : other};
    cohort_subtree out[2];
    if (cohort_lanes_merge(leaves, 2, both, out) != 1) continue;
    *joined = out[0];
    return i;
  }
  return -1;
}

/* A leaf's row is there: joins it with what waits for it. */
static void join(cohort_items *engine, int leaves, int leaf, char *row) {
  cohort_subtree node = {0, leaf}, joined;
  pthread_mutex_lock(&engine->mutex);
  for (int i; (i = find_neighbour(engine, leaves, node, &joined)) >= 0; node = joined) {
    char *other = engine->wait[i].row;
    engine->wait[i] = engine->wait[--engine->waiting];
    pthread_mutex_unlock(&engine->mutex);
    add_rows(engine->real, engine->elements, row, other);
    pthread_mutex_lock(&engine->mutex);
    engine->free_row[engine->free_rows++] = other;
  }
  engine->wait[engine->waiting++] = (waiting_row){node, row};
  pthread_mutex_unlock(&engine->mutex);
}

/* One run, as its threads see it. */
typedef struct running {
  cohort_items *engine;
  const cohort_item_order *order;
  const cohort_item_work *work;
  double *record; /* [items][doubles], by leaf: an item's numbers, then its status */
  int doubles;
  _Atomic int next;
  int last;
  int failed_item; /* of this rank's failed items, the lowest number; items: none */
  cohort_error error;
} running;

static double *record_of(const running *own, int leaf) { return own->record + (size_t)leaf * (size_t)own->doubles; }

static void run_item(running *own, int executor, int leaf) {
  cohort_items *engine = own->engine;
  const int item = own->order->item[leaf];
  double *record = record_of(own, leaf);
  char *row = NULL;
  if (engine->elements) {
    pthread_mutex_lock(&engine->mutex);
    row = take_row(engine);
    pthread_mutex_unlock(&engine->mutex);
  }
  cohort_error error = {.text = ""};
  const cohort_status status = own->work->run(own->work->argument, executor, item, row, record, &error);
  record[own->work->numbers] = (double)status;
  if (status != COHORT_DONE) {
    for (int n = 0; n < own->work->numbers; n++) record[n] = NAN;
    if (row) memset(row, 0, (size_t)engine->elements * engine->real);
    pthread_mutex_lock(&engine->mutex);
    if (item < own->failed_item) {
      own->failed_item = item;
      own->error = error;
      own->error.status = status;
    }
    pthread_mutex_unlock(&engine->mutex);
  }
  if (row) join(engine, own->order->items, leaf, row);
}

static void run_executor(running *own, int executor) {
  cohort_items *engine = own->engine;
  cohort_recorder *recorder = engine->recorder ? engine->recorder[executor] : NULL;
  const double start = cohort_clock_seconds();
  for (int leaf; (leaf = atomic_fetch_add(&own->next, 1)) < own->last;) run_item(own, executor, leaf);
  engine->seconds[executor] += cohort_clock_seconds() - start;
  cohort_recorder_stop(recorder, COHORT_ACTIVITY_BUSY, start, 0);
}

static void run_executors(running *own) {
  const int items = own->last - own->next;
  const int executors = own->engine->executors < items ? own->engine->executors : items;
  if (executors < 2) {
    run_executor(own, 0);
    return;
  }
#pragma omp parallel num_threads(executors)
  {
    const int executor = omp_get_thread_num();
    if (executor) cohort_team_bind_thread(executor, 1);
    run_executor(own, executor);
  }
}

/* ---- what ranks give one another ---- */

/* Elements that a rank sums: whole cache lines. */
static int64_t slice_begin(const cohort_items *engine, int rank) {
  const int64_t lines = (engine->elements + 15) / 16, begin = lines * rank / engine->comm->size * 16;
  return begin < engine->elements ? begin : engine->elements;
}

static int compare_waiting(const void *a, const void *b) {
  const waiting_row *x = a, *y = b;
  const int64_t first = (int64_t)x->node.index << x->node.level, second = (int64_t)y->node.index << y->node.level;
  return (first > second) - (first < second);
}

/* Joins values from left to right as siblings meet, into the first; `row` is used up. */
static void join_slices(const cohort_items *engine, int leaves, int count, const cohort_subtree *node, char **row,
                        int64_t elements) {
  cohort_subtree open[MOST_SUBTREES + 1], merged[MOST_SUBTREES + 1];
  char *sum[MOST_SUBTREES + 1];
  int left = 0;
  for (int i = 0; i < count; i++) {
    open[left] = node[i];
    sum[left] = row[i];
    const int before = left + 1;
    left = cohort_lanes_merge(leaves, before, open, merged);
    for (int last = before - 1; last >= left; last--) add_rows(engine->real, elements, sum[last - 1], sum[last]);
    memcpy(open, merged, (size_t)left * sizeof *open);
  }
}

/* The subtrees of all ranks from left to right: node, and the rank that has it; returns how many. */
static int list_subtrees(cohort_items *engine, const cohort_item_order *order, cohort_subtree **nodes, int **owner) {
  const int ranks = engine->comm->size;
  const size_t most = (size_t)ranks * MOST_SUBTREES;
  *nodes = cohort_scratch_take(&engine->nodes, most * sizeof **nodes);
  *owner = cohort_scratch_take(&engine->owners, most * sizeof **owner);
  int count = 0;
  for (int r = 0; r < ranks; r++) {
    const int own = cohort_lanes_subtrees(order->items, order->first[r], order->first[r + 1], *nodes + count);
    for (int i = 0; i < own; i++) (*owner)[count++] = r;
  }
  return count;
}

/* Each rank gets its slice of all subtrees, sums it along the tree, and gives the sum to all. */
static void sum_between(cohort_items *engine, const cohort_item_order *order) {
  cohort_comm *comm = engine->comm;
  cohort_subtree *node = NULL;
  int *owner = NULL;
  const int count = list_subtrees(engine, order, &node, &owner), me = comm->rank;
  const int64_t begin = slice_begin(engine, me), elements = slice_begin(engine, me + 1) - begin;
  const size_t bytes = (size_t)elements * engine->real;
  char *coming = cohort_scratch_take(&engine->coming, (size_t)count * bytes);
  char **row = cohort_scratch_take(&engine->slices, (size_t)count * sizeof *row);
  cohort_message *send =
      cohort_scratch_take(&engine->messages, (size_t)(engine->waiting * comm->size + count) * sizeof *send);
  cohort_message *receive = send + engine->waiting * comm->size;
  int sends = 0, receives = 0;
  if (engine->waiting) qsort(engine->wait, (size_t)engine->waiting, sizeof *engine->wait, compare_waiting);
  for (int r = 0; r < comm->size; r++)
    for (int i = 0; i < engine->waiting && r != me; i++)
      send[sends++] = (cohort_message){r, engine->wait[i].row + (size_t)slice_begin(engine, r) * engine->real,
                                       (size_t)(slice_begin(engine, r + 1) - slice_begin(engine, r)) * engine->real};
  for (int i = 0, own = 0; i < count; i++) {
    row[i] = coming + (size_t)i * bytes;
    if (owner[i] == me)
      row[i] = engine->wait[own++].row + (size_t)begin * engine->real;
    else
      receive[receives++] = (cohort_message){owner[i], row[i], bytes};
  }
  cohort_comm_name(comm, "reduce");
  comm->exchange(comm, sends, send, receives, receive);
  join_slices(engine, order->items, count, node, row, elements);
  memcpy(engine->sum + (size_t)begin * engine->real, row[0], bytes);
}

static void gather_sum(cohort_items *engine) {
  const int ranks = engine->comm->size;
  size_t *offsets = cohort_scratch_take(&engine->places, 2 * (size_t)ranks * sizeof *offsets);
  size_t *bytes = offsets + ranks;
  for (int r = 0; r < ranks; r++) {
    offsets[r] = (size_t)slice_begin(engine, r) * engine->real;
    bytes[r] = (size_t)slice_begin(engine, r + 1) * engine->real - offsets[r];
  }
  cohort_comm_gather_all(engine->comm, engine->sum, offsets, bytes);
}

static void gather_records(const running *own) {
  cohort_comm *comm = own->engine->comm;
  size_t *offsets = cohort_scratch_take(&own->engine->places, 2 * (size_t)comm->size * sizeof *offsets);
  size_t *bytes = offsets + comm->size;
  const size_t record = (size_t)own->doubles * sizeof(double);
  for (int r = 0; r < comm->size; r++) {
    offsets[r] = (size_t)own->order->first[r] * record;
    bytes[r] = (size_t)(own->order->first[r + 1] - own->order->first[r]) * record;
  }
  cohort_comm_gather_all(comm, own->record, offsets, bytes);
}

/* The text of the failed item of the lowest number, from the rank that has run it. */
static void share_error(const running *own, cohort_item_results *results) {
  cohort_comm *comm = own->engine->comm;
  int leaf = -1, item = own->order->items;
  for (int l = 0; l < own->order->items; l++) {
    if (record_of(own, l)[own->work->numbers] <= 0) continue;
    results->failed++;
    if (own->order->item[l] > item) continue;
    item = own->order->item[l];
    leaf = l;
  }
  if (leaf < 0) return;
  int rank = 0;
  while (own->order->first[rank + 1] <= leaf) rank++;
  if (comm->rank == rank) results->error = own->error;
  cohort_comm_broadcast(comm, rank, &results->error, sizeof results->error);
}

/* Numbers by the item's number; sums along the tree, without those of failed items. */
static void list_results(const running *own, cohort_item_results *results) {
  const int items = own->order->items, numbers = own->work->numbers;
  double *column = cohort_scratch_take(&own->engine->column, (size_t)items * sizeof *column);
  for (int leaf = 0; leaf < items; leaf++) {
    const double *record = record_of(own, leaf);
    const size_t item = (size_t)own->order->item[leaf];
    if (results->status) results->status[item] = (cohort_status)record[numbers];
    if (results->numbers) memcpy(results->numbers + item * (size_t)numbers, record, (size_t)numbers * sizeof *record);
  }
  for (int n = 0; n < numbers && results->sums; n++) {
    for (int leaf = 0; leaf < items; leaf++) {
      const double *record = record_of(own, leaf);
      column[leaf] = record[numbers] > 0 ? 0 : record[n];
    }
    results->sums[n] = cohort_lanes_sum(items, column);
  }
}

void cohort_items_run(cohort_items *engine, const cohort_item_order *order, const cohort_item_work *work,
                      cohort_item_results *results) {
  cohort_comm *comm = engine->comm;
  cohort_recorder *recorder = engine->recorder ? engine->recorder[0] : NULL;
  const double start = cohort_recorder_start(recorder);
  running own = {.engine = engine,
                 .order = order,
                 .work = work,
                 .doubles = work->numbers + 1,
                 .next = order->first[comm->rank],
                 .last = order->first[comm->rank + 1],
                 .failed_item = order->items};
  own.record = cohort_scratch_take(&engine->records, (size_t)order->items * (size_t)own.doubles * sizeof(double));
  if (engine->elements && !engine->sum) engine->sum = cohort_allocate((size_t)engine->elements * engine->real);
  if (engine->elements) make_rows(engine, order->items);
  run_executors(&own);
  cohort_recorder_stop(recorder, COHORT_ACTIVITY_LANES, start, 0);
  const double exchange = cohort_recorder_start(recorder);
  results->failed = 0;
  results->error = (cohort_error){.text = ""};
  results->sum = NULL;
  gather_records(&own);
  share_error(&own, results);
  list_results(&own, results);
  if (engine->elements) {
    if (order->items > 0) {
      sum_between(engine, order);
      gather_sum(engine);
    }
    results->sum = engine->sum;
    while (engine->waiting) engine->free_row[engine->free_rows++] = engine->wait[--engine->waiting].row;
  }
  cohort_recorder_stop(recorder, COHORT_ACTIVITY_REDUCE, exchange, 0);
}
