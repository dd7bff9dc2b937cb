/* Clients of a round as items. What a client draws depends on (round, client) alone, what it leaves on nothing else
 * that runs beside it.
 *
 *   table "clients" --rows of own clients--> trainers (one a thread) --changes, uploads--> tree, or joiner --> change
 *         ^                                                                                   serve: the server's step
 *         +------- commit: rows go home; the server receives changes and uploads <-------------+ step applied
 *
 * Time is that of the busiest rank's clients; memory is a few vectors a thread, and the rows of a rank's clients. */
#include <math.h>
#include <string.h>

#include "train/engine/clients_state.h"

/* By samples, or equally: what losses are joined by, and changes too unless strategy or round say otherwise. */
static void weigh(cohort_clients *clients) {
  const cohort_round *round = &clients->round;
  const bool uniform = clients->strategy && clients->strategy->uniform;
  double samples = 0;
  for (int i = 0; i < round->present; i++) samples += round->samples[i];
  const size_t bytes = (size_t)round->present * sizeof(double);
  clients->weight = cohort_scratch_take(&clients->weight_room, bytes);
  clients->share = cohort_scratch_take(&clients->share_room, bytes);
  for (int i = 0; i < round->present; i++)
    clients->share[i] = clients->weight[i] = uniform ? 1.0 / round->present : round->samples[i] / samples;
  if (round->present) cohort_clients_weigh(clients, clients->share);
  for (int i = 0; i < round->present && round->share; i++) clients->share[i] = round->share[i];
}

/* Which clients this rank has. */
static void list_own(cohort_clients *clients) {
  const cohort_item_order *order = &clients->order;
  const int rank = clients->options.comm->rank, present = order->items;
  const int first = order->first[rank], own = order->first[rank + 1] - first;
  clients->own = own;
  clients->own_of = cohort_scratch_take(&clients->own_of_room, (size_t)present * sizeof *clients->own_of);
  clients->own_client = cohort_scratch_take(&clients->client_room, (size_t)present * sizeof *clients->own_client);
  clients->own_position = cohort_scratch_take(&clients->position_room, (size_t)present * sizeof *clients->own_position);
  for (int i = 0; i < own; i++) {
    const int item = order->item[first + i];
    clients->own_of[item] = i;
    clients->own_position[i] = item;
    clients->own_client[i] = clients->round.client[item];
  }
}

/* What the server keeps begins as the weights. */
static void open_server(cohort_clients *clients) {
  for (int v = 0; v < clients->vectors && clients->round.number == 0; v++)
    if (clients->server[v] && clients->vector[v].from_weights)
      memcpy(clients->server[v], clients->weights, (size_t)clients->elements * clients->real);
}

/* Columns of the items' numbers. */
static void list_numbers(cohort_clients *clients) {
  const size_t present = (size_t)clients->round.present;
  clients->losses = cohort_scratch_take(&clients->losses_room, present * sizeof(double));
  for (size_t i = 0; i < present; i++) clients->losses[i] = clients->number[i * (size_t)clients->numbers + ITEM_LOSS];
}

static cohort_status run_items(cohort_clients *clients, double *loss, cohort_error *error) {
  const size_t numbers = (size_t)clients->numbers, present = (size_t)clients->round.present;
  const cohort_item_work work = {.argument = clients, .run = cohort_clients_train, .numbers = clients->numbers};
  clients->number = cohort_scratch_take(&clients->number_room, present * numbers * sizeof(double));
  clients->sums = cohort_scratch_take(&clients->sums_room, numbers * sizeof(double));
  cohort_item_results results = {.numbers = clients->number, .sums = clients->sums};
  cohort_items_run(clients->items, &clients->order, &work, &results);
  if (results.failed) {
    if (error) *error = results.error;
    return results.error.status;
  }
  *loss = clients->sums[ITEM_LOSS_JOINED];
  clients->sum = results.sum;
  clients->change = (void *)(uintptr_t)results.sum;
  return COHORT_DONE;
}

/* The joined change, if there was anybody. */
static cohort_status join(cohort_clients *clients, double *loss, cohort_error *error) {
  const cohort_joiner *joiner = clients->joiner;
  const size_t bytes = (size_t)clients->elements * clients->real;
  *loss = NAN;
  if (!clients->round.present) {
    const size_t all = (size_t)(1 + clients->uploads) * bytes;
    clients->sum = clients->change = memset(cohort_scratch_take(&clients->joined_room, all), 0, all);
    return COHORT_DONE;
  }
  if (joiner && joiner->begin)
    COHORT_TRY(joiner->begin(joiner->argument, &clients->round, &clients->order, clients->share, error));
  COHORT_TRY(run_items(clients, loss, error));
  if (!joiner) return COHORT_DONE;
  clients->change = cohort_scratch_take(&clients->joined_room, bytes);
  return joiner->finish(joiner->argument, &clients->round, clients->change, error);
}

/* What modules do with the joined change, each with the numbers of its own `apply`. */
static cohort_status change_joined(cohort_clients *clients, cohort_error *error) {
  const size_t present = (size_t)clients->round.present;
  double *applied = cohort_scratch_take(&clients->applied_room, present * sizeof(double));
  for (int m = 0, f = 0; m < clients->modules; m++) {
    const cohort_round_module *module = &clients->module[m];
    for (size_t i = 0; module->apply && i < present; i++)
      applied[i] = clients->number[i * (size_t)clients->numbers + ITEM_NUMBERS + (size_t)f];
    f += module->apply != NULL;
    if (module->joined)
      COHORT_TRY(
          module->joined(module->argument, &clients->round, module->apply ? applied : NULL, clients->change, error));
  }
  if (clients->ranges) cohort_clients_blank(clients, clients->change, true);
  return COHORT_DONE;
}

cohort_status cohort_clients_run(cohort_clients *clients, const cohort_round *round, const void *weights,
                                 void **gradient, double *loss, cohort_error *error) {
  clients->round = *round;
  clients->weights = weights;
  open_server(clients);
  for (int m = 0; m < clients->modules; m++)
    if (clients->module[m].begin) clients->module[m].begin(clients->module[m].argument, round);
  cohort_item_order_create(round->present, round->cost, clients->options.comm->size, &clients->order);
  weigh(clients);
  list_own(clients);
  if (clients->table) cohort_clients_bring_rows(clients, NULL);
  COHORT_TRY(join(clients, loss, error));
  list_numbers(clients);
  COHORT_TRY(change_joined(clients, error));
  clients->algebra->combine(clients->elements, clients->step, -1, clients->change, 0, clients->change);
  if (round->present) cohort_clients_serve(clients);
  *gradient = clients->step;
  return COHORT_DONE;
}

const int *cohort_clients_own(const cohort_clients *clients, int *count) {
  *count = clients->own;
  return clients->order.item + clients->order.first[clients->options.comm->rank];
}

const double *cohort_clients_losses(const cohort_clients *clients) { return clients->losses; }

void cohort_clients_commit(cohort_clients *clients, const void *weights) {
  clients->weights = weights;
  if (clients->table) {
    const void *column[MOST_VECTORS] = {NULL};
    for (int v = 0; v < clients->vectors; v++)
      if (clients->row[v]) column[clients->place[v]] = clients->row[v];
    cohort_row_table_write(clients->table, clients->own, clients->own_client, clients->own_position, column,
                           COHORT_ROW_LAST);
  }
  if (clients->round.present) cohort_clients_receive(clients);
  for (int m = 0; m < clients->modules; m++)
    if (clients->module[m].commit)
      clients->module[m].commit(clients->module[m].argument, &clients->round, clients->losses);
}

void cohort_clients_recall(cohort_clients *clients, int64_t count, const int64_t *client, const void *weights) {
  clients->own = (int)count;
  clients->own_client = cohort_scratch_take(&clients->client_room, (size_t)count * sizeof *clients->own_client);
  if (count) memcpy(clients->own_client, client, (size_t)count * sizeof *client);
  if (clients->table) cohort_clients_bring_rows(clients, weights);
}
