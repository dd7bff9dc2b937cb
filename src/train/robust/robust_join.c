/* Robust joining: a round over ranks (robust.h). Invariant: blocks, the tree over them and the tree over clients follow
 * from the numbers of coordinates and clients and from the clients' costs alone; what a method sees is alike on all
 * ranks, which all run it. A round of c clients and n coordinates on r ranks costs each c n / r to send, to receive and
 * to join, c^2 n / r where inner products are asked for, and c^2 to c^3 for the method itself. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/robust/robust_state.h"

/* ---- slices ---- */

static int64_t first_of(const cohort_robust_join *robust, int block) {
  const int64_t first = robust->block * block;
  return first < robust->options.elements ? first : robust->options.elements;
}

/* Where a rank's slice begins. */
static int64_t slice_of(const cohort_robust_join *robust, int rank) {
  return first_of(robust, robust->blocks.first[rank]);
}

static int64_t own_slice(const cohort_robust_join *robust) { return slice_of(robust, robust->options.comm->rank); }

/* Pointers to all clients' rows at this rank's slice: of its own rows [own][elements] where they are, of others' in
 * `coming`; returns the end of what has come. */
static char *share_out(cohort_robust_join *robust, char *own, const char **row, char *coming, cohort_message *message) {
  cohort_comm *comm = robust->options.comm;
  const cohort_item_order *order = robust->crowd.order;
  const size_t real = robust->real, whole = (size_t)robust->options.elements * real;
  const int64_t begin = own_slice(robust);
  const size_t slice = (size_t)(slice_of(robust, comm->rank + 1) - begin) * real;
  cohort_message *receive = message + (size_t)robust->own * (size_t)comm->size;
  int sends = 0, receives = 0;
  for (int r = 0; r < comm->size; r++) {
    const int64_t from = slice_of(robust, r), to = slice_of(robust, r + 1);
    for (int i = 0; i < robust->own && r != comm->rank; i++)
      message[sends++] = (cohort_message){r, own + (size_t)i * whole + (size_t)from * real, (size_t)(to - from) * real};
    for (int leaf = order->first[r]; leaf < order->first[r + 1]; leaf++) {
      const int item = order->item[leaf];
      row[item] = own + (size_t)(leaf - order->first[r]) * whole + (size_t)begin * real;
      if (r == comm->rank) continue;
      row[item] = coming;
      receive[receives++] = (cohort_message){r, coming, slice};
      coming += slice;
    }
  }
  cohort_comm_name(comm, "exchange");
  comm->exchange(comm, sends, message, receives, receive);
  return coming;
}

static void share_out_all(cohort_robust_join *robust) {
  const cohort_comm *comm = robust->options.comm;
  const size_t clients = (size_t)robust->crowd.clients, matrices = robust->table ? 2 : 1;
  const int64_t slice = slice_of(robust, comm->rank + 1) - own_slice(robust);
  const size_t foreign = (clients - (size_t)robust->own) * (size_t)slice * robust->real;
  const size_t messages = (size_t)robust->own * (size_t)comm->size + clients;
  char *coming = cohort_scratch_take(&robust->coming_room, matrices * foreign);
  cohort_message *message = cohort_scratch_take(&robust->message_room, messages * sizeof *message);
  const char **row = cohort_scratch_take(&robust->row_room, 2 * clients * sizeof *row);
  coming = share_out(robust, robust->own_row, row, coming, message);
  if (robust->table) share_out(robust, robust->own_history, row + clients, coming, message);
  robust->seen = cohort_scratch_take(&robust->client_room, clients * (sizeof(int) + sizeof(bool)));
  robust->rows =
      (cohort_robust_rows){.algebra = cohort_algebra_of(robust->options.variant),
                           .real = robust->real,
                           .clients = (int)clients,
                           .row = row,
                           .history = robust->table ? row + clients : NULL,
                           .last = robust->last ? robust->last + (size_t)own_slice(robust) * robust->real : NULL,
                           .finite = (bool *)(robust->seen + clients),
                           .share = cohort_scratch_take(&robust->number_room, (clients + 1) * sizeof(double)),
                           .leaf = robust->crowd.order->item};
}

/* Slices of a vector, each in its place, to all ranks. */
static void gather(cohort_robust_join *robust, void *vector) {
  cohort_comm *comm = robust->options.comm;
  size_t *offsets = cohort_scratch_take(&robust->places_room, 2 * (size_t)comm->size * sizeof *offsets);
  size_t *bytes = offsets + comm->size;
  for (int r = 0; r < comm->size; r++) {
    offsets[r] = (size_t)slice_of(robust, r) * robust->real;
    bytes[r] = (size_t)(slice_of(robust, r + 1) - slice_of(robust, r)) * robust->real;
  }
  cohort_comm_gather_all(comm, vector, offsets, bytes);
}

/* ---- loops over blocks ---- */

/* For n coordinates from `at` of the slice on; `first`: of a block, whose sums are `row` and numbers[2]. */
typedef void (*tile_function)(cohort_robust_join *robust, double *room, int64_t at, int64_t n, bool first, void *row,
                              double *numbers);

typedef struct looping {
  cohort_robust_join *robust;
  tile_function function;
} looping;

static cohort_status run_block(void *argument, int executor, int block, void *row, double *numbers,
                               cohort_error *error) {
  (void)error;
  const looping *own = argument;
  cohort_robust_join *robust = own->robust;
  const int64_t tile = cohort_robust_tile(robust->crowd.clients), slice = own_slice(robust);
  const int64_t begin = first_of(robust, block), end = first_of(robust, block + 1);
  numbers[0] = numbers[1] = 0;
  for (int64_t at = begin; at < end; at += tile)
    own->function(robust, robust->room[executor], at - slice, end - at < tile ? end - at : tile, at == begin, row,
                  numbers);
  return COHORT_DONE;
}

/* The sum of the blocks' rows, where `items` has any. */
static const void *run_blocks(cohort_robust_join *robust, cohort_items *items, tile_function function, double *sums) {
  looping own = {robust, function};
  const cohort_item_work work = {.argument = &own, .run = run_block, .numbers = 2};
  cohort_item_results results = {.sums = sums};
  cohort_items_run(items, &robust->blocks, &work, &results);
  return results.sum;
}

static void forge_tile(cohort_robust_join *robust, double *room, int64_t at, int64_t n, bool first, void *row,
                       double *numbers) {
  (void)first, (void)row, (void)numbers;
  cohort_robust_forge(&robust->rows, &robust->crowd.forgery, at, n, room,
                      robust->forged + (size_t)(own_slice(robust) + at) * robust->real);
}

static void multiply_tile(cohort_robust_join *robust, double *room, int64_t at, int64_t n, bool first, void *row,
                          double *numbers) {
  (void)numbers;
  if (robust->functions->products)
    cohort_robust_multiply(&robust->rows, at, n, first, room, row);
  else
    cohort_robust_square(&robust->rows, at, n, first, row);
}

static void join_tile(cohort_robust_join *robust, double *room, int64_t at, int64_t n, bool first, void *row,
                      double *numbers) {
  (void)first, (void)row;
  char *out = robust->joined + (size_t)(own_slice(robust) + at) * robust->real;
  if (robust->combining)
    cohort_robust_combine(&robust->rows, robust->functions, &robust->view, at, n, room, out);
  else
    cohort_robust_sum(&robust->rows, at, n, room, out);
  cohort_robust_measure(&robust->rows, at, n, out, room, numbers);
}

/* ---- a round ---- */

/* The forgers' changes are all one vector; whole, where histories are kept. */
static void forge(cohort_robust_join *robust) {
  const bool *forger = robust->crowd.forgery.forger;
  const size_t bytes = (size_t)robust->options.elements * robust->real;
  robust->forged = cohort_scratch_take(&robust->forged_room, bytes);
  run_blocks(robust, robust->loops, forge_tile, NULL);
  if (robust->table) gather(robust, robust->forged);
  for (int i = 0; i < robust->crowd.clients; i++) {
    if (!forger[i]) continue;
    robust->rows.row[i] = robust->forged + (size_t)own_slice(robust) * robust->real;
    if (robust->table && robust->own_of[i] >= 0) memcpy(cohort_robust_row(robust, i), robust->forged, bytes);
  }
}

/* The inner products of all rows, or their squares alone. */
static const double *multiply(cohort_robust_join *robust, int rows) {
  const int64_t numbers = robust->functions->products ? (int64_t)rows * rows : robust->crowd.clients;
  if (numbers > robust->summed) {
    cohort_items_destroy(robust->sums);
    robust->sums = cohort_items_create(robust->options.comm, robust->options.threads, sizeof(double), numbers);
    robust->summed = numbers;
  }
  return run_blocks(robust, robust->sums, multiply_tile, NULL);
}

/* What the method sees: the clients whose change is finite, and the last joined change. */
static void make_view(cohort_robust_join *robust) {
  cohort_robust_rows *rows = &robust->rows;
  const bool products = robust->functions->products;
  const int all = rows->clients + (rows->last != NULL);
  const double *given = multiply(robust, all);
  int clients = 0;
  for (int i = 0; i < rows->clients; i++) {
    rows->finite[i] = isfinite(given[products ? (int64_t)i * all + i : i]);
    if (rows->finite[i]) robust->seen[clients++] = i;
  }
  const int seen = clients + (rows->last != NULL);
  const int64_t work = cohort_robust_work(clients), square = products ? (int64_t)seen * seen : 0;
  double *weight = cohort_scratch_take(&robust->view_room, (size_t)(2 * clients + 1 + work + square) * sizeof *weight);
  double *copy = weight + 2 * clients + 1 + work, sum = 0;
  for (int i = 0; i < clients; i++) sum += weight[i] = robust->crowd.weight[robust->seen[i]];
  for (int i = 0; i < clients && !(sum > 0); i++) weight[i] = 1.0 / clients;
  for (int i = 0; i < seen && products; i++)
    for (int j = 0; j < seen; j++)
      copy[(int64_t)i * seen + j] = given[(int64_t)(i < clients ? robust->seen[i] : rows->clients) * all +
                                          (j < clients ? robust->seen[j] : rows->clients)];
  robust->view = (cohort_robust_round){.config = robust->options.method->config,
                                       .clients = clients,
                                       .rows = seen,
                                       .weight = weight,
                                       .products = products ? copy : NULL,
                                       .work = weight + 2 * clients + 1};
}

/* Shares of all clients by the method; false: they are too few for it. */
static bool weigh(cohort_robust_join *robust) {
  const cohort_robust *functions = robust->functions;
  cohort_robust_round *view = &robust->view;
  double *own = view->work - view->clients - 1, *share = robust->rows.share;
  if (view->clients == 0 ||
      cohort_robust_admits(robust->options.method->method, view->config, view->clients, NULL) != COHORT_DONE)
    return false;
  for (int i = 0; i < view->rows; i++) own[i] = i < view->clients ? 1.0 / view->clients : 0;
  if (functions->share) functions->share(view, own);
  for (int i = 0; i < view->clients; i++) share[robust->seen[i]] = own[i];
  share[robust->rows.clients] = view->rows > view->clients ? own[view->clients] : 0;
  robust->combining = functions->combine && (!functions->combines || functions->combines(view->config, view->clients));
  view->products = NULL;
  return true;
}

void cohort_robust_finish(cohort_robust_join *robust, void *joined, cohort_robust_outcome *outcome) {
  const int clients = robust->crowd.clients;
  double sums[2] = {0, 0};
  bool enough = true;
  robust->joined = joined;
  robust->combining = false;
  share_out_all(robust);
  if (robust->crowd.forgery.forger) forge(robust);
  for (int i = 0; i <= clients; i++)
    robust->rows.share[i] = !robust->functions && i < clients ? robust->crowd.weight[i] : 0;
  for (int i = 0; i < clients; i++) robust->rows.finite[i] = true;
  if (robust->functions) {
    make_view(robust);
    enough = weigh(robust);
  }
  run_blocks(robust, robust->loops, join_tile, sums);
  gather(robust, joined);
  if (robust->next)
    memcpy(robust->next, enough ? joined : robust->last, (size_t)robust->options.elements * robust->real);
  *outcome = (cohort_robust_outcome){.share = robust->rows.share};
  for (int i = 0; i < clients; i++) {
    outcome->finite += robust->rows.finite[i];
    outcome->chosen += robust->rows.share[i] > 0 || robust->rows.share[i] < 0;
  }
  if (sums[1] > 0 && isfinite(sums[0] / sums[1])) outcome->distance = sqrt(sums[0] / sums[1]);
}
