/* Weights on clients' own samples. Invariant: a client's numbers depend on the weights and its samples alone, sums over
 * clients follow the tree that their sizes set. Costs a forward pass over the samples of those evaluated; with weights
 * of clients' own two, and the rows of a few clients a thread at a time. */
#include "train/engine/client_evaluation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/engine/client_graph.h"

const char *const cohort_client_figure_name[COHORT_CLIENT_FIGURES] = {"loss", "accuracy", "personal_loss",
                                                                      "personal_accuracy"};
const char *const cohort_client_statistic_name[COHORT_CLIENT_STATISTICS] = {"mean", "worst_tenth", "p10", "p50", "p90"};

/* ---- statistics ---- */

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static bool is_loss(cohort_client_figure figure) {
  return figure == COHORT_CLIENT_LOSS || figure == COHORT_CLIENT_PERSONAL_LOSS;
}

static double mean_of(int count, const double *value) {
  double sum = 0;
  for (int i = 0; i < count; i++) sum += value[i];
  return sum / count;
}

static double quantile_of(int count, const double *sorted, double share) {
  const double place = share * (count - 1);
  const int below = (int)place, above = below + 1 < count ? below + 1 : below;
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

double cohort_client_statistic_of(cohort_client_figure figure, cohort_client_statistic statistic, int count,
                                  const double *value, double *room) {
  int known = 0;
  for (int i = 0; i < count; i++)
    if (!isnan(value[i])) room[known++] = value[i];
  if (!known) return NAN;
  qsort(room, (size_t)known, sizeof *room, ascending);
  const int tenth = (known + 9) / 10;
  switch (statistic) {
    case COHORT_CLIENT_MEAN:
      return mean_of(known, room);
    case COHORT_CLIENT_WORST_TENTH:
      return mean_of(tenth, is_loss(figure) ? room + known - tenth : room);
    case COHORT_CLIENT_P10:
      return quantile_of(known, room, 0.1);
    case COHORT_CLIENT_P50:
      return quantile_of(known, room, 0.5);
    default:
      return quantile_of(known, room, 0.9);
  }
}

/* ---- making ---- */

/* Numbers of an item: the figures, then the sums over the client's samples of loss and accuracy. */
enum { LOSS_SUM = COHORT_CLIENT_FIGURES, ACCURACY_SUM, NUMBERS };

struct cohort_client_evaluation {
  cohort_client_evaluation_options options;
  cohort_lane_graph *graph;
  cohort_items *items;
  int accuracy; /* number of the task's metric; -1: it has none */
  int clients;
  int64_t *client, *samples, *rounds;    /* [clients] */
  double *cost, *room;                   /* [clients] */
  double *figure[COHORT_CLIENT_FIGURES]; /* [clients] */
  double *numbers;                       /* [clients][NUMBERS] */
  int *own_of;                           /* [clients of a block]: which of those that this rank brought */
  cohort_item_order order;
  cohort_row_table *table; /* of all clients: rounds that each has taken part in */
  cohort_scratch own, noted;
};

static int by_number(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static int64_t size_of(const cohort_population *population, int64_t client) {
  return population->first[client + 1] - population->first[client];
}

/* All of them, or so many that are drawn. */
static void choose(cohort_client_evaluation *own) {
  const cohort_population *population = own->options.population;
  for (int i = 0; i < own->clients; i++)
    own->client[i] = own->clients == population->clients
                         ? i
                         : (int64_t)cohort_random_permute(own->options.key, (uint64_t)population->clients, (uint64_t)i);
  qsort(own->client, (size_t)own->clients, sizeof *own->client, by_number);
  for (int i = 0; i < own->clients; i++) own->samples[i] = size_of(population, own->client[i]);
}

static int64_t largest_of(const cohort_client_evaluation *own) {
  int64_t largest = 1;
  for (int i = 0; i < own->clients; i++)
    if (own->samples[i] > largest) largest = own->samples[i];
  return largest;
}

/* The task's metric that is called accuracy. */
static int find_accuracy(const cohort_task *task) {
  for (int m = 0; m < task->metrics; m++) {
    const char *slash = strrchr(task->metric[m], '/');
    if (strcmp(slash ? slash + 1 : task->metric[m], "accuracy") == 0) return m;
  }
  return -1;
}

/* Samples that are evaluated at a time. */
static int64_t capacity_of(const cohort_client_evaluation *own) {
  enum { LEAST = 32, MOST = 256 };
  int64_t batch = own->options.batch;
  const int64_t largest = largest_of(own), least = own->options.task->tokens_per_sample ? 1 : LEAST;
  if (batch < least) batch = batch ? least : MOST;
  if (batch > MOST) batch = MOST;
  return batch < largest ? batch : largest;
}

static cohort_status build(cohort_client_evaluation *own, cohort_error *error) {
  const cohort_client_evaluation_options *options = &own->options;
  const size_t clients = (size_t)own->clients;
  own->client = cohort_allocate(clients * sizeof *own->client);
  own->samples = cohort_allocate(clients * sizeof *own->samples);
  own->rounds = cohort_allocate(clients * sizeof *own->rounds);
  own->cost = cohort_allocate(clients * sizeof *own->cost);
  own->room = cohort_allocate(clients * sizeof *own->room);
  own->numbers = cohort_allocate(clients * NUMBERS * sizeof *own->numbers);
  own->own_of = cohort_allocate(clients * sizeof *own->own_of);
  for (int f = 0; f < COHORT_CLIENT_FIGURES; f++) own->figure[f] = cohort_allocate(clients * sizeof *own->figure[f]);
  choose(own);
  const cohort_lane_graph_options plan = {.lanes = 1, .capacity = capacity_of(own)};
  COHORT_TRY(cohort_lane_graph_create(&options->task->source, &plan, options->spaces->space, options->kernels,
                                      &own->graph, error));
  const cohort_row_column column = {"rounds", COHORT_STORED_INT64, 1};
  own->table = cohort_row_table_create(options->comm, "participation", 1, &column);
  own->items = cohort_items_create(options->comm, options->threads, sizeof(float), 0);
  return COHORT_DONE;
}

cohort_status cohort_client_evaluation_create(const cohort_client_evaluation_options *options,
                                              cohort_client_evaluation **out, cohort_error *error) {
  cohort_client_evaluation *own = cohort_allocate(sizeof *own);
  own->options = *options;
  own->accuracy = find_accuracy(options->task);
  own->clients = (int)(options->most < options->population->clients ? options->most : options->population->clients);
  const cohort_status status = build(own, error);
  if (status != COHORT_DONE) {
    cohort_client_evaluation_destroy(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

void cohort_client_evaluation_destroy(cohort_client_evaluation *evaluation) {
  if (!evaluation) return;
  cohort_items_destroy(evaluation->items);
  cohort_row_table_destroy(evaluation->table);
  cohort_lane_graph_destroy(evaluation->graph);
  cohort_item_order_release(&evaluation->order);
  cohort_scratch_release(&evaluation->own);
  cohort_scratch_release(&evaluation->noted);
  for (int f = 0; f < COHORT_CLIENT_FIGURES; f++) free(evaluation->figure[f]);
  free(evaluation->client);
  free(evaluation->samples);
  free(evaluation->rounds);
  free(evaluation->cost);
  free(evaluation->room);
  free(evaluation->numbers);
  free(evaluation->own_of);
  free(evaluation);
}

cohort_lane_graph *cohort_client_evaluation_graph(const cohort_client_evaluation *evaluation) {
  return evaluation->graph;
}

int cohort_client_evaluation_clients(const cohort_client_evaluation *evaluation) { return evaluation->clients; }

void cohort_client_evaluation_measures(const cohort_client_evaluation *evaluation, bool out[COHORT_CLIENT_FIGURES]) {
  const bool accuracy = evaluation->accuracy >= 0, personal = evaluation->options.personal;
  out[COHORT_CLIENT_LOSS] = true;
  out[COHORT_CLIENT_ACCURACY] = accuracy;
  out[COHORT_CLIENT_PERSONAL_LOSS] = personal;
  out[COHORT_CLIENT_PERSONAL_ACCURACY] = accuracy && personal;
}

double cohort_client_evaluation_bytes(const cohort_client_evaluation *evaluation) {
  const double numbers = 3 + 2 + COHORT_CLIENT_FIGURES + NUMBERS, records = NUMBERS + 2;
  return evaluation->clients * (numbers + records + 1) * sizeof(double);
}

/* ---- rounds taken part in ---- */

/* Each rank writes the rows that it holds: nothing travels. */
static void note(void *argument, const cohort_round *round, const double *losses) {
  cohort_client_evaluation *own = argument;
  const cohort_comm *comm = own->options.comm;
  int64_t *id = cohort_scratch_take(&own->noted, 3 * (size_t)(round->present + 1) * sizeof *id);
  int64_t *position = id + round->present, *one = position + round->present, count = 0;
  (void)losses;
  for (int i = 0; i < round->present; i++) {
    if (round->client[i] % comm->size != comm->rank) continue;
    id[count] = round->client[i];
    position[count] = i;
    one[count++] = 1;
  }
  cohort_row_table_write(own->table, count, id, position, (const void *[]){one}, COHORT_ROW_ADD);
}

cohort_round_module cohort_client_evaluation_module(cohort_client_evaluation *evaluation) {
  return (cohort_round_module){
      .name = "participation", .argument = evaluation, .commit = note, .tables = 1, .table = &evaluation->table};
}

/* Every rank wants all of them. */
static void read_rounds(cohort_client_evaluation *own) {
  cohort_row_table_read(own->table, own->clients, own->client, (void *[]){own->rounds}, NULL);
}

/* ---- a run ---- */

typedef struct running {
  const cohort_client_evaluation *evaluation;
  cohort_lane_context *context;
  void *const *crossing;
  const float *global;
  cohort_clients *clients; /* for models of their own; or NULL */
  int64_t round;
  int first; /* of the block */
} running;

/* Sums over a client's samples at a point, into `sums`; false: it was left. */
static bool evaluate(const running *own, int executor, int at, const float *weights, double *sums) {
  const cohort_client_evaluation *evaluation = own->evaluation;
  const cohort_client_evaluation_options *options = &evaluation->options;
  cohort_lane_context *context = &own->context[executor];
  const float *point[COHORT_MAX_SPACES] = {weights};
  for (int s = 1; s < options->spaces->count; s++) point[s] = options->spaces->vector[s].values;
  const int64_t capacity = evaluation->graph->options.capacity;
  memset(sums, 0, COHORT_MAX_SCALARS * sizeof *sums);
  for (int64_t first = 0; first < evaluation->samples[at]; first += capacity) {
    const int64_t left = evaluation->samples[at] - first;
    double part[COHORT_MAX_SCALARS] = {0};
    const cohort_lane_pass pass = {.split = COHORT_SPLIT_TRAIN,
                                   .direct = true,
                                   .plain = true,
                                   .count = left < capacity ? left : capacity,
                                   .inverse_count = 1,
                                   .point = point,
                                   .scalars = part};
    for (int64_t i = 0; i < pass.count; i++)
      context->position[i] = cohort_population_sample(options->population, evaluation->client[at], first + i);
    if (!cohort_client_graph_pass(&options->task->source, evaluation->graph, context, own->crossing[executor], &pass))
      return false;
    for (int i = 0; i < evaluation->graph->scalars; i++) sums[i] += part[i];
  }
  return true;
}

/* Loss and accuracy of a client, as the task has them. */
static void derive(const cohort_client_evaluation *evaluation, int64_t samples, const double *sums, double *loss,
                   double *accuracy) {
  const cohort_task *task = evaluation->options.task;
  const int64_t count = task->functions->count(task, COHORT_SPLIT_TRAIN, samples);
  double columns[COHORT_MAX_METRICS];
  *loss = sums[0] / (double)count;
  cohort_task_derive(task, COHORT_SPLIT_TRAIN, count, sums + task->objectives, *loss, columns);
  *accuracy = evaluation->accuracy >= 0 ? columns[evaluation->accuracy] : NAN;
}

static cohort_status run_item(void *argument, int executor, int item, void *row, double *numbers, cohort_error *error) {
  const running *own = argument;
  const cohort_client_evaluation *evaluation = own->evaluation;
  const int at = own->first + item;
  const int64_t samples = evaluation->samples[at];
  double sums[COHORT_MAX_SCALARS];
  (void)row;
  for (int n = 0; n < NUMBERS; n++) numbers[n] = n < COHORT_CLIENT_FIGURES ? NAN : 0;
  if (!samples) return COHORT_DONE;
  if (!evaluate(own, executor, at, own->global, sums)) return cohort_fail(error, COHORT_STOPPED, "stopped");
  derive(evaluation, samples, sums, &numbers[COHORT_CLIENT_LOSS], &numbers[COHORT_CLIENT_ACCURACY]);
  numbers[LOSS_SUM] = sums[0];
  numbers[ACCURACY_SUM] =
      evaluation->accuracy >= 0 ? sums[evaluation->options.task->objectives + evaluation->accuracy] : 0;
  if (!own->clients) return COHORT_DONE;
  const void *weights = NULL;
  COHORT_TRY(
      cohort_clients_model(own->clients, executor, evaluation->own_of[item], own->round, own->global, &weights, error));
  if (!evaluate(own, executor, at, weights, sums)) return cohort_fail(error, COHORT_STOPPED, "stopped");
  derive(evaluation, samples, sums, &numbers[COHORT_CLIENT_PERSONAL_LOSS], &numbers[COHORT_CLIENT_PERSONAL_ACCURACY]);
  return COHORT_DONE;
}

/* Items [first, first + count) of those evaluated; the rows of this rank's are brought first. */
static cohort_status run_block(running *own, int first, int count, cohort_error *error) {
  cohort_client_evaluation *evaluation = (cohort_client_evaluation *)(uintptr_t)own->evaluation;
  const cohort_client_evaluation_options *options = &evaluation->options;
  for (int i = 0; i < count; i++) evaluation->cost[i] = 1 + (double)evaluation->samples[first + i];
  own->first = first;
  cohort_item_order_create(count, evaluation->cost, options->comm->size, &evaluation->order);
  const cohort_item_order *order = &evaluation->order;
  if (own->clients) {
    const int begin = order->first[options->comm->rank], mine = order->first[options->comm->rank + 1] - begin;
    int64_t *client = cohort_scratch_take(&evaluation->own, (size_t)(mine + 1) * sizeof *client);
    for (int i = 0; i < mine; i++) {
      client[i] = evaluation->client[first + order->item[begin + i]];
      evaluation->own_of[order->item[begin + i]] = i;
    }
    cohort_clients_recall(own->clients, mine, client, own->global);
  }
  const cohort_item_work work = {.argument = own, .run = run_item, .numbers = NUMBERS};
  cohort_item_results results = {.numbers = evaluation->numbers + (size_t)first * NUMBERS};
  cohort_items_run(evaluation->items, order, &work, &results);
  if (!results.failed) return COHORT_DONE;
  if (error) *error = results.error;
  return results.error.status;
}

/* Clients whose rows are here at once: those of a round, unless that leaves threads without work. */
static int block_of(const cohort_client_evaluation *own) {
  const int64_t busy = 2 * (int64_t)own->options.threads * own->options.comm->size;
  const int64_t block = own->options.present > busy ? own->options.present : busy;
  return block < own->clients ? (int)block : own->clients;
}

/* Sums go by the clients' numbers. */
static void tell(cohort_client_evaluation *own, cohort_client_results *out) {
  double loss = 0, accuracy = 0;
  int64_t samples = 0;
  for (int i = 0; i < own->clients; i++) {
    const double *numbers = own->numbers + (size_t)i * NUMBERS;
    for (int f = 0; f < COHORT_CLIENT_FIGURES; f++) own->figure[f][i] = numbers[f];
    loss += numbers[LOSS_SUM];
    accuracy += numbers[ACCURACY_SUM];
    samples += own->samples[i];
  }
  const cohort_task *task = own->options.task;
  const double count = (double)task->functions->count(task, COHORT_SPLIT_TRAIN, samples);
  *out = (cohort_client_results){.clients = own->clients,
                                 .client = own->client,
                                 .samples = own->samples,
                                 .rounds = own->rounds,
                                 .loss = loss / count,
                                 .accuracy = own->accuracy >= 0 ? accuracy / count : NAN,
                                 .accuracy_column = own->accuracy};
  cohort_client_evaluation_measures(own, out->measured);
  for (int f = 0; f < COHORT_CLIENT_FIGURES; f++) {
    out->figure[f] = own->figure[f];
    for (int s = 0; s < COHORT_CLIENT_STATISTICS; s++)
      out->statistic[f][s] = cohort_client_statistic_of((cohort_client_figure)f, (cohort_client_statistic)s,
                                                        own->clients, own->figure[f], own->room);
  }
}

cohort_status cohort_client_evaluation_run(cohort_client_evaluation *evaluation, cohort_clients *clients,
                                           cohort_lane_context *context, void *const *crossing, int64_t round,
                                           const float *weights, cohort_client_results *out, cohort_error *error) {
  const bool personal = evaluation->options.personal;
  running own = {.evaluation = evaluation,
                 .context = context,
                 .crossing = crossing,
                 .global = weights,
                 .clients = personal ? clients : NULL,
                 .round = round};
  const int block = personal ? block_of(evaluation) : evaluation->clients;
  for (int first = 0; first < evaluation->clients; first += block) {
    const int left = evaluation->clients - first;
    COHORT_TRY(run_block(&own, first, left < block ? left : block, error));
  }
  read_rounds(evaluation);
  tell(evaluation, out);
  return COHORT_DONE;
}
