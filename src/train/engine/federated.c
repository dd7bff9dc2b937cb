/* Rounds on a task's samples: who holds which, who takes part, and a client's local step on a lane graph of its own. A
 * function of (seed, round, client). Choosing a round costs its clients, a step one lane's work. */
#include "train/engine/federated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "method/schedule/schedule.h"
#include "train/engine/federated_state.h"
#include "train/engine/held_out.h"

cohort_status cohort_federation_server(cohort_variant variant, const cohort_choice *strategy, cohort_choice *server,
                                       cohort_error *error) {
  const cohort_federated *functions = strategy->method->functions;
  cohort_choice_number number[COHORT_MAX_SERVER_SETTINGS];
  number[0] = (cohort_choice_number){"learning_rate", cohort_choice_real(strategy, "learning_rate", 1)};
  const int count = functions->settings ? functions->settings(strategy->config, number) : 1;
  return cohort_choice_make(variant, "optimizer", functions->server ? functions->server : "sgd", count, number, server,
                            error);
}

static const cohort_federated_settings *settings_of(const cohort_federation *federation) {
  return &federation->options.settings->federated_settings;
}

static cohort_status check_clients(const cohort_federation *federation, cohort_faults *faults, cohort_error *error) {
  const cohort_task *task = federation->options.task;
  const cohort_document *where = federation->options.settings->federated;
  if (!task->functions->feed || task->functions->prepare)
    cohort_faults_add(faults, where, "federated: clients cannot train task %s; take supervised, language or preference",
                      task->functions->name);
  if (task->objectives != 1)
    cohort_faults_add(faults, where, "federated: clients train by one loss; write one under losses, or loss");
  if (task->scores)
    cohort_faults_add(faults, where, "federated: clients read no stored reference; remove reference: stored");
  return cohort_faults_status(faults, error);
}

static cohort_status make_population(cohort_federation *federation, cohort_faults *faults, cohort_error *error) {
  const cohort_federation_options *options = &federation->options;
  const cohort_federated_settings *settings = settings_of(federation);
  cohort_choice_expand(options->variant, "partition", settings->population, "population", &federation->partition,
                       options->expanded, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  COHORT_TRY(cohort_population_open(options->task, &federation->partition, &federation->population, error));
  if (settings->clients_per_round > federation->population.clients)
    cohort_faults_add(faults, options->settings->federated,
                      "federated.clients_per_round: %lld is more than the %lld clients of the population",
                      (long long)settings->clients_per_round, (long long)federation->population.clients);
  return cohort_faults_status(faults, error);
}

static int64_t size_of(const cohort_federation *federation, int64_t client) {
  return federation->population.first[client + 1] - federation->population.first[client];
}

/* Samples that a client works on in a round, and in how many steps. */
static int64_t work_of(const cohort_federation *federation, int64_t client, int64_t *steps) {
  const cohort_federated_settings *settings = settings_of(federation);
  const int64_t size = size_of(federation, client), batch = settings->local_batch ? settings->local_batch : size;
  const int64_t samples = settings->local_epochs ? settings->local_epochs * size : settings->local_steps * batch;
  *steps = (samples + batch - 1) / batch;
  return samples;
}

/* Positions of local step `step`: a stream of permutations of the client's samples, of which the last step has what is
 * left; or all of them. Every round has a stream of its own, but that of a client who has all samples is one, and that
 * of a run without clients: then rounds of one step are such a run's steps, bit for bit. */
static int64_t choose_samples(const cohort_federation *federation, const cohort_client_question *question,
                              cohort_random_key key, int64_t *position) {
  const int64_t client = question->client, step = question->batch;
  const int64_t batch = settings_of(federation)->local_batch, size = size_of(federation, client);
  int64_t steps;
  const int64_t work = work_of(federation, client, &steps), left = work - step * batch;
  const bool sole = federation->population.clients == 1;
  const int64_t count = !batch ? size : batch < left || step >= steps ? batch : left;
  for (int64_t i = 0; i < count; i++) {
    const int64_t at = (sole ? question->round * work : 0) + step * batch + i;
    const cohort_random_key epoch =
        cohort_random_key_derive(sole ? federation->options.task->key : key, (uint64_t)(at / size));
    const int64_t chosen = batch ? (int64_t)cohort_random_permute(epoch, (uint64_t)size, (uint64_t)(at % size)) : i;
    position[i] = cohort_population_sample(&federation->population, client, chosen);
  }
  return count;
}

/* Points of the strategy's term. */
static int feature_points(const cohort_federation *federation) {
  const cohort_method *strategy = federation->options.strategy->method;
  return strategy ? ((const cohort_federated *)strategy->functions)->feature_points : 0;
}

/* A lane's pass over the positions in its context, as a part of a batch of so many samples: the sum of their losses,
 * and their share of the mean's gradient. */
static bool run_lane(const cohort_federation *federation, const cohort_client_question *question, int64_t count,
                     double inverse, cohort_random_key key, float *gradient, double *sum) {
  const cohort_spaces *spaces = federation->options.spaces;
  const float *weights[COHORT_CLIENT_SPACES] = {question->point};
  for (int s = 1; s < spaces->count; s++) weights[s] = spaces->vector[s].values;
  for (int k = 0; k < feature_points(federation); k++) weights[spaces->count + k] = question->other[k];
  const int64_t place[1] = {0};
  const cohort_lane_row row = {gradient, place, spaces->space[0]->elements};
  double local[COHORT_MAX_SCALARS] = {0};
  const cohort_lane_pass run = {.split = COHORT_SPLIT_TRAIN,
                                .direct = true,
                                .count = count,
                                .relabel = cohort_robust_rounds_relabel(federation->robust, question->client),
                                .inverse_count = inverse,
                                .point = weights,
                                .random_key = key,
                                .row = &row,
                                .scalars = local};
  const int executor = question->executor;
  if (!cohort_client_graph_pass(&federation->source, federation->graph, &federation->context[executor],
                                federation->crossing[executor], &run))
    return false;
  *sum = local[0];
  return true;
}

/* What sums over so many samples are divided by: samples, tokens, pairs. */
static double divisor(const cohort_federation *federation, int64_t samples) {
  const cohort_task *task = federation->options.task;
  return (double)task->functions->count(task, COHORT_SPLIT_TRAIN, samples);
}

/* All samples of a client, in their order, as many at a time as a lane holds. */
static bool ask_all(const cohort_federation *federation, const cohort_client_question *question, cohort_random_key key,
                    double *loss) {
  const cohort_population *population = &federation->population;
  const int64_t size = size_of(federation, question->client);
  const int64_t capacity = federation->graph->options.capacity,
                elements = federation->options.spaces->space[0]->elements;
  const double whole = divisor(federation, size);
  const int executor = question->executor;
  int64_t *position = federation->context[executor].position;
  double total = 0;
  for (int64_t begin = 0; begin < size; begin += capacity) {
    const int64_t count = size - begin < capacity ? size - begin : capacity;
    for (int64_t i = 0; i < count; i++) position[i] = cohort_population_sample(population, question->client, begin + i);
    double sum;
    float *part = question->gradient && begin == 0 ? question->gradient : federation->room[executor];
    if (!run_lane(federation, question, count, 1.0 / whole, cohort_random_key_derive(key, (uint64_t)begin), part, &sum))
      return false;
    if (question->gradient && begin)
      federation->algebra->combine(elements, question->gradient, 1, question->gradient, 1, part);
    total += sum;
  }
  *loss = total / whole;
  return true;
}

/* The gradient of a client's batch. */
static bool ask(void *argument, const cohort_client_question *question, double *loss) {
  const cohort_federation *federation = argument;
  const int executor = question->executor;
  const cohort_random_key of_round =
      cohort_random_key_derive(cohort_random_key_derive_name(federation->key, "client"), (uint64_t)question->round);
  const cohort_random_key key = cohort_random_key_derive(of_round, (uint64_t)question->client);
  if (question->batch == COHORT_BATCH_ALL)
    return ask_all(federation, question, cohort_random_key_derive_name(key, "all"), loss);
  const int64_t count = choose_samples(federation, question, key, federation->context[executor].position);
  const double whole = divisor(federation, count);
  if (!run_lane(federation, question, count, 1.0 / whole, cohort_random_key_derive(key, (uint64_t)question->batch),
                question->gradient ? question->gradient : federation->room[executor], loss))
    return false;
  *loss /= whole;
  return true;
}

static bool asks_all(const cohort_federation *federation) {
  const cohort_method *strategy = federation->options.strategy->method;
  return cohort_federation_asks(federation) || (strategy && ((const cohort_federated *)strategy->functions)->asks_all);
}

static cohort_status make_graph(cohort_federation *federation, cohort_error *error) {
  const cohort_federation_options *options = &federation->options;
  const int64_t batch = settings_of(federation)->local_batch;
  const cohort_lane_graph_options plan = {
      .gradients = true, .training = true, .lanes = 1, .capacity = batch ? batch : federation->population.largest};
  cohort_space *spaces[COHORT_CLIENT_SPACES];
  federation->term = (cohort_client_graph){options->task, options->strategy, options->spaces->count};
  federation->source = cohort_client_graph_source(&federation->term);
  cohort_client_graph_spaces(&federation->term, options->spaces->space, spaces);
  if (!cohort_client_graph_can_move(&federation->term))
    return cohort_settings_fail(options->settings, "federated", error,
                                "federated.strategy: %s moves inputs, which takes the supervised task and a loss of "
                                "each sample by itself; take another",
                                options->strategy->method->key);
  if (feature_points(federation) && !cohort_client_graph_has_features(options->task))
    return cohort_settings_fail(options->settings, "federated", error,
                                "federated.strategy: %s reads the model's features, which this task's model does not "
                                "tell; take another",
                                options->strategy->method->key);
  COHORT_TRY(cohort_lane_graph_create(&federation->source, &plan, spaces, options->kernels, &federation->graph, error));
  return COHORT_DONE;
}

static cohort_status make_evaluation(cohort_federation *federation, cohort_error *error) {
  const cohort_federation_options *options = &federation->options;
  const cohort_federated_settings *settings = settings_of(federation);
  const cohort_federated *strategy = options->strategy->method ? options->strategy->method->functions : NULL;
  if (!settings->evaluate_clients_settings.clients) return COHORT_DONE;
  const cohort_client_evaluation_options own = {.comm = options->comm,
                                                .task = options->task,
                                                .spaces = options->spaces,
                                                .kernels = options->kernels,
                                                .population = cohort_federation_population(federation, true),
                                                .most = settings->evaluate_clients_settings.clients,
                                                .batch = settings->local_batch,
                                                .present = settings->clients_per_round,
                                                .personal = cohort_federated_has_models(strategy),
                                                .key = cohort_random_key_derive_name(federation->key, "evaluated"),
                                                .threads = options->threads};
  COHORT_TRY(cohort_client_evaluation_create(&own, &federation->evaluation, error));
  federation->module[federation->modules++] = cohort_client_evaluation_module(federation->evaluation);
  return COHORT_DONE;
}

/* Training and evaluation take turns in the same memory. */
static cohort_status make_contexts(cohort_federation *federation, cohort_error *error) {
  const cohort_federation_options *options = &federation->options;
  cohort_lane_graph *graph[2] = {federation->graph};
  if (federation->evaluation) graph[1] = cohort_client_evaluation_graph(federation->evaluation);
  size_t crossing = cohort_lane_graph_exchange_bytes(graph[0]);
  if (graph[1] && cohort_lane_graph_exchange_bytes(graph[1]) > crossing)
    crossing = cohort_lane_graph_exchange_bytes(graph[1]);
  federation->crossing = cohort_allocate((size_t)options->threads * sizeof *federation->crossing);
  federation->context = cohort_allocate((size_t)options->threads * sizeof *federation->context);
  federation->room = cohort_allocate((size_t)options->threads * sizeof *federation->room);
  for (int e = 0; e < options->threads && !options->plan_only; e++) {
    COHORT_TRY(cohort_lane_context_create(graph[1] ? 2 : 1, graph, 1, 1, &federation->context[e], error));
    COHORT_TRY(cohort_memory_create(crossing, "values across lanes", &federation->crossing[e], error));
    if (!asks_all(federation)) continue;
    void *room;
    COHORT_TRY(cohort_memory_create((size_t)options->spaces->space[0]->elements * sizeof(float), "a client's gradient",
                                    &room, error));
    federation->room[e] = room;
  }
  return COHORT_DONE;
}

/* ---- who takes part ---- */

static double work_for(void *argument, int64_t client) {
  int64_t steps;
  return (double)work_of(argument, client, &steps);
}

/* The mean loss of a client at the weights of the round that begins, over all its samples. */
static bool ask_loss(void *argument, int executor, int64_t round, int64_t client, double *loss) {
  const cohort_federation *federation = argument;
  const cohort_client_question question = {.executor = executor,
                                           .round = round,
                                           .client = client,
                                           .batch = COHORT_BATCH_ALL,
                                           .point = federation->options.spaces->vector[0].values};
  return ask(argument, &question, loss);
}

static cohort_status make_participation(cohort_federation *federation, cohort_faults *faults, cohort_error *error) {
  const cohort_federation_options *options = &federation->options;
  const int64_t elements = options->spaces->space[0]->elements;
  const cohort_participation_options own = {.settings = options->settings,
                                            .population = &federation->population,
                                            .expanded = options->expanded,
                                            .variant = options->variant,
                                            .bytes = (double)elements * sizeof(float),
                                            .argument = federation,
                                            .work = work_for,
                                            .ask = ask_loss,
                                            .comm = options->comm,
                                            .threads = options->threads};
  COHORT_TRY(cohort_participation_create(&own, faults, &federation->participation, error));
  if (cohort_document_is_null(settings_of(federation)->asynchronous)) return COHORT_DONE;
  const cohort_arrivals_options queue = {own, cohort_participation_clock(federation->participation), elements,
                                         options->plan_only};
  return cohort_arrivals_create(&queue, faults, &federation->arrivals, error);
}

/* Attacks, privacy, robust and secure joins, clocks: a line each, in the order in which they act on a change. */
static cohort_status make_modules(cohort_federation *federation, cohort_faults *faults, cohort_error *error) {
  const cohort_federation_options *options = &federation->options;
  const cohort_federated_settings *settings = settings_of(federation);
  const cohort_robust_rounds_options robust = {.comm = options->comm,
                                               .threads = options->threads,
                                               .variant = options->variant,
                                               .elements = options->spaces->space[0]->elements,
                                               .attack = settings->attack,
                                               .robust = settings->robust,
                                               .place = options->settings->federated,
                                               .expanded = options->expanded,
                                               .strategy = options->strategy,
                                               .key = federation->key,
                                               .population = federation->population.clients,
                                               .present = settings->clients_per_round,
                                               .classes = cohort_supervised_classes(options->task),
                                               .plan_only = options->plan_only,
                                               .hidden = !cohort_document_is_null(settings->privacy)};
  federation->modules +=
      cohort_participation_modules(federation->participation, federation->module + federation->modules);
  if (federation->arrivals) federation->module[federation->modules++] = *cohort_arrivals_module(federation->arrivals);
  COHORT_TRY(cohort_robust_rounds_create(&robust, faults, &federation->robust, error));
  federation->modules += cohort_robust_rounds_modules(federation->robust, &federation->module[federation->modules]);
  if (!cohort_document_is_null(settings_of(federation)->privacy))
    COHORT_TRY(cohort_private_rounds_open(&federation->options, federation->population.clients, faults,
                                          &federation->module[federation->modules++], error));
  COHORT_TRY(cohort_secure_module_open(&federation->options, cohort_participation_most(federation->participation),
                                       &federation->modules, federation->module, faults, error));
  return cohort_faults_status(faults, error);
}

static cohort_status make_clients(cohort_federation *federation, cohort_faults *faults, cohort_error *error) {
  const cohort_federation_options *options = &federation->options;
  const cohort_federated_settings *settings = settings_of(federation);
  const cohort_clients_options own = {.comm = options->comm,
                                      .threads = options->threads,
                                      .strategy = options->strategy->method ? options->strategy : NULL,
                                      .client = settings->client,
                                      .client_groups = settings->client_groups,
                                      .client_clip = settings->client_clip,
                                      .place = options->settings->federated,
                                      .expanded = options->expanded,
                                      .population = federation->population.clients,
                                      .seed = (uint64_t)options->settings->seed,
                                      .space = options->spaces->space[0],
                                      .variant = options->variant,
                                      .plan_only = options->plan_only,
                                      .source = {federation, ask},
                                      .modules = federation->modules,
                                      .module = federation->module};
  return cohort_clients_create(&own, faults, &federation->clients, error);
}

static void hold_out(cohort_federation *federation) {
  const double share = settings_of(federation)->holdout;
  if (share <= 0) return;
  cohort_population all = federation->population;
  cohort_population_hold_out(&all, share, cohort_random_key_derive_name(federation->key, "holdout"),
                             &federation->population, &federation->held);
  cohort_population_release(&all);
}

static cohort_status build(cohort_federation *federation, cohort_faults *faults, cohort_error *error) {
  const cohort_federation_options *options = &federation->options;
  const cohort_federated_settings *settings = settings_of(federation);
  COHORT_TRY(check_clients(federation, faults, error));
  federation->algebra = cohort_algebra_of(options->variant);
  federation->key =
      cohort_random_key_derive_name(cohort_random_key_from_seed((uint64_t)options->settings->seed), "federated");
  COHORT_TRY(make_population(federation, faults, error));
  COHORT_TRY(make_participation(federation, faults, error));
  hold_out(federation);
  COHORT_TRY(make_graph(federation, error));
  COHORT_TRY(make_evaluation(federation, error));
  COHORT_TRY(make_contexts(federation, error));
  cohort_choice_expand(options->variant, "schedule", settings->client_schedule, "client_schedule",
                       &federation->schedule, options->expanded, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  COHORT_TRY(make_modules(federation, faults, error));
  return make_clients(federation, faults, error);
}

cohort_status cohort_federation_create(const cohort_federation_options *options, cohort_faults *faults,
                                       cohort_federation **out, cohort_error *error) {
  cohort_federation *federation = cohort_allocate(sizeof *federation);
  federation->options = *options;
  const cohort_status status = build(federation, faults, error);
  if (status != COHORT_DONE) {
    cohort_federation_destroy(federation);
    return status;
  }
  *out = federation;
  return COHORT_DONE;
}

void cohort_federation_destroy(cohort_federation *federation) {
  if (!federation) return;
  cohort_clients_destroy(federation->clients);
  for (int e = 0; federation->context && e < federation->options.threads; e++)
    cohort_lane_context_release(&federation->context[e]);
  for (int e = 0; federation->room && e < federation->options.threads; e++) cohort_memory_release(federation->room[e]);
  for (int m = 0; m < federation->modules; m++)
    if (federation->module[m].release) federation->module[m].release(federation->module[m].argument);
  cohort_client_evaluation_destroy(federation->evaluation);
  free(federation->context);
  for (int e = 0; federation->crossing && e < federation->options.threads; e++)
    cohort_memory_release(federation->crossing[e]);
  free(federation->crossing);
  free(federation->room);
  cohort_scratch_release(&federation->client_room);
  cohort_scratch_release(&federation->steps_room);
  cohort_scratch_release(&federation->weight_room);
  cohort_scratch_release(&federation->cost_room);
  cohort_lane_graph_destroy(federation->graph);
  cohort_population_release(&federation->population);
  cohort_population_release(&federation->held);
  cohort_choice_release(&federation->schedule);
  cohort_choice_release(&federation->partition);
  cohort_participation_destroy(federation->participation);
  cohort_arrivals_destroy(federation->arrivals);
  free(federation);
}

cohort_clients *cohort_federation_clients(const cohort_federation *federation) { return federation->clients; }
cohort_lane_graph *cohort_federation_graph(const cohort_federation *federation) { return federation->graph; }

double cohort_federation_thread_bytes(const cohort_federation *federation) {
  const double room = asks_all(federation) ? (double)federation->options.spaces->space[0]->elements : 0;
  size_t arena = cohort_plan_arena_bytes(federation->graph->plan);
  if (federation->evaluation) {
    const size_t other = cohort_plan_arena_bytes(cohort_client_evaluation_graph(federation->evaluation)->plan);
    if (other > arena) arena = other;
  }
  return cohort_clients_bytes(federation->clients) + room * sizeof(float) + (double)arena;
}

double cohort_federation_kept_bytes(const cohort_federation *federation) {
  return cohort_participation_bytes(federation->participation) +
         (federation->arrivals ? cohort_arrivals_bytes(federation->arrivals) : 0);
}

void cohort_federation_stop_on(cohort_federation *federation, const _Atomic int *flag) {
  for (int e = 0; e < federation->options.threads; e++) cohort_executor_stop_on(federation->context[e].executor, flag);
}

void cohort_federation_record(cohort_federation *federation, cohort_recorder *const *recorder) {
  for (int e = 0; e < federation->options.threads; e++)
    cohort_lane_context_record(&federation->context[e], recorder ? recorder[e] : NULL);
  cohort_clients_record(federation->clients, recorder);
}

/* Who takes part in a round, and what each has to do. */
static void choose_clients(cohort_federation *federation, int64_t round) {
  const cohort_schedule *schedule = federation->schedule.method->functions;
  cohort_participants who;
  const int64_t *version = NULL;
  if (federation->arrivals)
    cohort_arrivals_begin(federation->arrivals, &who, &version);
  else
    cohort_participation_draw(federation->participation, round, &who);
  const size_t present = (size_t)who.count;
  federation->client = cohort_scratch_take(&federation->client_room, (present + 1) * sizeof *federation->client);
  federation->steps = cohort_scratch_take(&federation->steps_room, (present + 1) * sizeof *federation->steps);
  federation->weight = cohort_scratch_take(&federation->weight_room, (present + 1) * sizeof *federation->weight);
  federation->cost = cohort_scratch_take(&federation->cost_room, (present + 1) * sizeof *federation->cost);
  for (size_t i = 0; i < present; i++) {
    federation->client[i] = who.client[i];
    federation->weight[i] = (double)size_of(federation, who.client[i]);
    federation->cost[i] = (double)work_of(federation, who.client[i], &federation->steps[i]);
  }
  federation->round = (cohort_round){
      .number = round,
      .present = who.count,
      .client = federation->client,
      .steps = federation->steps,
      .samples = federation->weight,
      .cost = federation->cost,
      .factor = schedule->factor(federation->schedule.config, round, federation->options.settings->steps),
      .share = who.share,
      .version = version};
}

bool cohort_federation_asks(const cohort_federation *federation) {
  return cohort_participation_asks(federation->participation);
}

bool cohort_federation_begin(cohort_federation *federation, int64_t round) {
  choose_clients(federation, round);
  const cohort_round_module *private = cohort_private_rounds_find(federation);
  if (private) federation->round.share = cohort_private_rounds_shares(private, federation->round.present);
  bool joined = false;
  for (int m = 0; m < federation->modules; m++) joined = joined || federation->module[m].joined;
  return federation->round.present > 0 || joined;
}

cohort_status cohort_federation_run(cohort_federation *federation, const float *weights, void **gradient, double *loss,
                                    cohort_error *error) {
  if (federation->arrivals) federation->round.start = cohort_arrivals_starts(federation->arrivals, weights);
  COHORT_TRY(cohort_clients_run(federation->clients, &federation->round, weights, gradient, loss, error));
  if (!federation->round.present) *loss = 0;
  return COHORT_DONE;
}

void cohort_federation_commit(cohort_federation *federation, const void *weights) {
  cohort_clients_commit(federation->clients, weights);
}

bool cohort_federation_acted(const cohort_federation *federation) { return federation->round.present > 0; }
