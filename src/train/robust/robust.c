/* Robust joining: what is held for it and what the method keeps (robust.h). Invariant: what is kept changes in `keep`
 * alone. A rank holds the changes of its own clients, its slice of all others', and rows of clients^2 numbers. */
#include "train/robust/robust.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/robust/robust_state.h"

enum { MOST_BLOCKS = 256, LEAST_BLOCK = 512 };

/* ---- making ---- */

static int64_t block_of(int64_t elements) {
  const int64_t least = (elements + MOST_BLOCKS - 1) / MOST_BLOCKS;
  return (least + LEAST_BLOCK - 1) / LEAST_BLOCK * LEAST_BLOCK;
}

/* Blocks cost all alike, so that they stay in their order. */
static void make_blocks(cohort_robust_join *robust) {
  const int64_t elements = robust->options.elements;
  robust->block = block_of(elements);
  const int blocks = (int)((elements + robust->block - 1) / robust->block);
  double *cost = cohort_allocate((size_t)blocks * sizeof *cost);
  for (int b = 0; b < blocks; b++) cost[b] = 1;
  cohort_item_order_create(blocks, cost, robust->options.comm->size, &robust->blocks);
  free(cost);
}

static cohort_status build(cohort_robust_join *robust, cohort_error *error) {
  const cohort_robust_options *options = &robust->options;
  make_blocks(robust);
  robust->loops = cohort_items_create(options->comm, options->threads, sizeof(double), 0);
  robust->room = cohort_allocate((size_t)options->threads * sizeof *robust->room);
  if (!robust->functions) return COHORT_DONE;
  const size_t bytes = (size_t)options->elements * robust->real;
  const cohort_row_column column = {
      "history", robust->real == sizeof(float) ? COHORT_STORED_FLOAT32 : COHORT_STORED_FLOAT64, options->elements};
  if (robust->functions->history) robust->table = cohort_row_table_create(options->comm, "robust", 1, &column);
  if (!robust->functions->recalls || options->plan_only) return COHORT_DONE;
  COHORT_TRY(cohort_memory_create(bytes, "the last joined change", (void **)&robust->last, error));
  return cohort_memory_create(bytes, "the last joined change", (void **)&robust->next, error);
}

cohort_status cohort_robust_create(const cohort_robust_options *options, cohort_robust_join **out,
                                   cohort_error *error) {
  cohort_robust_join *robust = cohort_allocate(sizeof *robust);
  robust->options = *options;
  robust->functions = options->method ? options->method->method->functions : NULL;
  robust->real = options->variant == COHORT_VARIANT_F64 ? sizeof(double) : sizeof(float);
  const cohort_status status = build(robust, error);
  if (status != COHORT_DONE) {
    cohort_robust_destroy(robust);
    return status;
  }
  *out = robust;
  return COHORT_DONE;
}

void cohort_robust_destroy(cohort_robust_join *robust) {
  if (!robust) return;
  cohort_item_order_release(&robust->blocks);
  cohort_items_destroy(robust->loops);
  cohort_items_destroy(robust->sums);
  cohort_row_table_destroy(robust->table);
  cohort_memory_release(robust->last);
  cohort_memory_release(robust->next);
  for (int t = 0; t < robust->options.threads && robust->room; t++) free(robust->room[t]);
  free(robust->room);
  cohort_scratch *const scratch[] = {&robust->own_of_room,  &robust->own_row_room, &robust->own_history_room,
                                     &robust->id_room,      &robust->row_room,     &robust->coming_room,
                                     &robust->message_room, &robust->forged_room,  &robust->client_room,
                                     &robust->number_room,  &robust->view_room,    &robust->places_room};
  for (size_t i = 0; i < sizeof scratch / sizeof *scratch; i++) cohort_scratch_release(scratch[i]);
  free(robust);
}

void *cohort_robust_last(const cohort_robust_join *robust) { return robust->last; }
cohort_row_table *cohort_robust_table(const cohort_robust_join *robust) { return robust->table; }

static double vector_bytes(const cohort_robust_options *options) {
  return (double)options->elements * (options->variant == COHORT_VARIANT_F64 ? sizeof(double) : sizeof(float));
}

double cohort_robust_bytes(const cohort_robust_options *options, double clients, int ranks) {
  const cohort_robust *functions = options->method ? options->method->method->functions : NULL;
  const double own = ceil(clients / ranks), rows = clients + 1;
  /* Changes; histories, as they lie and as they come and go. */
  const double held = (functions && functions->history ? 3 : 1) * (own + (clients - own) / ranks);
  /* Inner products: of each thread, those that wait in the tree, their sum, the method's view and workspace. */
  const double products = functions && functions->products ? rows * rows * (2 * options->threads + 9) : rows * 10;
  const double room = (double)options->threads * (double)cohort_robust_room((int)clients);
  return vector_bytes(options) * held + (products + room) * sizeof(double);
}

double cohort_robust_kept_bytes(const cohort_robust_options *options, double population, double rounds, double clients,
                                int ranks) {
  const cohort_robust *functions = options->method ? options->method->method->functions : NULL;
  if (!functions) return 0;
  const double vectors =
      (functions->recalls ? 2 : 0) + (functions->history ? fmin(population, rounds * clients) / ranks : 0);
  return vectors * vector_bytes(options);
}

/* ---- a round begins and ends ---- */

static void make_room(cohort_robust_join *robust, int clients) {
  const int64_t numbers = cohort_robust_room(clients);
  if (numbers <= robust->room_numbers) return;
  for (int t = 0; t < robust->options.threads; t++)
    robust->room[t] = cohort_reallocate(robust->room[t], (size_t)numbers * sizeof **robust->room);
  robust->room_numbers = numbers;
}

/* The client that is number `own` of this rank's. */
static int own_item(const cohort_robust_join *robust, int own) {
  const cohort_item_order *order = robust->crowd.order;
  return order->item[order->first[robust->options.comm->rank] + own];
}

static void read_histories(cohort_robust_join *robust) {
  const size_t bytes = (size_t)robust->options.elements * robust->real;
  int64_t *id = cohort_scratch_take(&robust->id_room, 2 * (size_t)robust->own * sizeof *id);
  for (int i = 0; i < robust->own; i++) id[i] = robust->crowd.client[own_item(robust, i)];
  robust->own_history = cohort_scratch_take(&robust->own_history_room, (size_t)robust->own * bytes);
  cohort_row_table_read(robust->table, robust->own, id, (void *[]){robust->own_history}, NULL);
}

void cohort_robust_begin(cohort_robust_join *robust, const cohort_robust_crowd *crowd) {
  const size_t clients = (size_t)crowd->clients, bytes = (size_t)robust->options.elements * robust->real;
  const int rank = robust->options.comm->rank;
  robust->crowd = *crowd;
  robust->own = crowd->order->first[rank + 1] - crowd->order->first[rank];
  robust->own_of = cohort_scratch_take(&robust->own_of_room, clients * sizeof *robust->own_of);
  for (int i = 0; i < crowd->clients; i++) robust->own_of[i] = -1;
  for (int i = 0; i < robust->own; i++) robust->own_of[own_item(robust, i)] = i;
  robust->own_row = cohort_scratch_take(&robust->own_row_room, (size_t)robust->own * bytes);
  make_room(robust, crowd->clients);
  if (robust->table) read_histories(robust);
}

void *cohort_robust_row(const cohort_robust_join *robust, int item) {
  return robust->own_row + (size_t)robust->own_of[item] * (size_t)robust->options.elements * robust->real;
}

/* Histories of the clients whose change is finite grow by it; they move up over the others'. */
static void write_histories(cohort_robust_join *robust) {
  const cohort_algebra *algebra = cohort_algebra_of(robust->options.variant);
  const size_t bytes = (size_t)robust->options.elements * robust->real;
  int64_t *id = robust->id_room.memory, *position = id + robust->own;
  int count = 0;
  for (int i = 0; i < robust->own; i++) {
    const int item = own_item(robust, i);
    if (!robust->rows.finite[item]) continue;
    char *to = robust->own_history + (size_t)count * bytes;
    algebra->combine(robust->options.elements, to, 1, robust->own_history + (size_t)i * bytes, 1,
                     robust->own_row + (size_t)i * bytes);
    id[count] = robust->crowd.client[item];
    position[count++] = item;
  }
  cohort_row_table_write(robust->table, count, id, position, (const void *[]){robust->own_history}, COHORT_ROW_LAST);
}

void cohort_robust_keep(cohort_robust_join *robust) {
  if (robust->last) memcpy(robust->last, robust->next, (size_t)robust->options.elements * robust->real);
  if (robust->table) write_histories(robust);
}
