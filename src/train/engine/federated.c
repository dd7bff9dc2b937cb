/* Rounds on a task's samples: who holds which, who takes part, and a client's local step on a lane graph of its own. A
 * function of (seed, round, client). Choosing a round costs its clients, a step one lane's work. */
#include "train/engine/federated.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "method/schedule/schedule.h"

struct cohort_federation {
  cohort_federation_options options;
  cohort_choice schedule; /* of clients, over rounds */
  cohort_population population;
  cohort_lane_graph *graph;
  cohort_lane_context *context; /* [threads] */
  cohort_clients *clients;
  cohort_random_key key;
  /* Of the round. */
  cohort_round round;
  int64_t *client, *steps; /* [clients_per_round] */
  double *weight, *cost;   /* [clients_per_round] */
};

cohort_status cohort_federation_server(cohort_variant variant, const cohort_choice *strategy, cohort_choice *server,
                                       cohort_error *error) {
  const cohort_federated *functions = strategy->method->functions;
  cohort_choice_number number[COHORT_MAX_SERVER_SETTINGS];
  const int count = functions->settings(strategy->config, number);
  return cohort_choice_make(variant, "optimizer", functions->server, count, number, server, error);
}

static const cohort_federated_settings *settings_of(const cohort_federation *federation) {
  return &federation->options.settings->federated_settings;
}

static cohort_status check_clients(const cohort_federation *federation, cohort_faults *faults, cohort_error *error) {
  const cohort_federated_settings *settings = settings_of(federation);
  const cohort_task *task = federation->options.task;
  const cohort_document *where = federation->options.settings->federated;
  if (task->functions != &cohort_task_supervised || task->objectives != 1)
    cohort_faults_add(faults, where, "federated: clients train the supervised task with one loss");
  const int64_t clients = settings->population_settings.dirichlet_settings.clients;
  if (settings->clients_per_round > clients)
    cohort_faults_add(faults, where,
                      "federated.clients_per_round: %lld is more than the %lld clients of the population",
                      (long long)settings->clients_per_round, (long long)clients);
  if (clients > task->samples[COHORT_SPLIT_TRAIN])
    cohort_faults_add(faults, where, "federated.population: %lld clients, but only %lld training samples",
                      (long long)clients, (long long)task->samples[COHORT_SPLIT_TRAIN]);
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
 * left; or all of them. */
static int64_t choose_samples(const cohort_federation *federation, int64_t client, int64_t step, cohort_random_key key,
                              int64_t *position) {
  const int64_t batch = settings_of(federation)->local_batch, size = size_of(federation, client);
  const int32_t *samples = federation->population.sample + federation->population.first[client];
  int64_t steps;
  const int64_t left = work_of(federation, client, &steps) - step * batch;
  const int64_t count = !batch ? size : batch < left ? batch : left;
  for (int64_t i = 0; i < count; i++) {
    const int64_t at = batch ? step * batch + i : i;
    const cohort_random_key epoch = cohort_random_key_derive(key, (uint64_t)(at / size));
    position[i] = samples[batch ? (int64_t)cohort_random_permute(epoch, (uint64_t)size, (uint64_t)(at % size)) : i];
  }
  return count;
}

/* A client's local step: the gradient of its next samples. */
static bool ask(void *argument, int executor, int64_t round, int64_t client, int64_t step, const void *point,
                void *gradient, double *loss) {
  const cohort_federation *federation = argument;
  cohort_lane_context *context = &federation->context[executor];
  const cohort_random_key of_round =
      cohort_random_key_derive(cohort_random_key_derive_name(federation->key, "client"), (uint64_t)round);
  const cohort_random_key key = cohort_random_key_derive(of_round, (uint64_t)client);
  const int64_t count = choose_samples(federation, client, step, key, context->position);
  const cohort_spaces *spaces = federation->options.spaces;
  const float *weights[COHORT_MAX_SPACES] = {point};
  for (int s = 1; s < spaces->count; s++) weights[s] = spaces->vector[s].values;
  const int64_t place[1] = {0};
  const cohort_lane_row row = {gradient, place, spaces->space[0]->elements};
  double local[COHORT_MAX_SCALARS] = {0};
  const cohort_lane_pass run = {.split = COHORT_SPLIT_TRAIN,
                                .direct = true,
                                .count = count,
                                .inverse_count = 1.0 / (double)count,
                                .point = weights,
                                .random_key = cohort_random_key_derive(key, (uint64_t)step),
                                .row = &row,
                                .scalars = local};
  if (!cohort_lane_graph_run(&federation->options.task->source, federation->graph, context, 0, 0, &run)) return false;
  *loss = local[0] / (double)count;
  return true;
}

static cohort_status make_graph(cohort_federation *federation, cohort_error *error) {
  const cohort_federation_options *options = &federation->options;
  const int64_t batch = settings_of(federation)->local_batch;
  const cohort_lane_graph_options plan = {
      .gradients = true, .training = true, .lanes = 1, .capacity = batch ? batch : federation->population.largest};
  COHORT_TRY(cohort_lane_graph_create(&options->task->source, &plan, options->spaces->space, options->kernels,
                                      &federation->graph, error));
  if (cohort_plan_phases(federation->graph->plan) > 1)
    return cohort_settings_fail(options->settings, "loss", error,
                                "federated: the loss looks across the batch; clients train alone, take another loss");
  federation->context = cohort_allocate((size_t)options->threads * sizeof *federation->context);
  for (int e = 0; e < options->threads && !options->plan_only; e++)
    COHORT_TRY(cohort_lane_context_create(1, &federation->graph, 1, 1, &federation->context[e], error));
  return COHORT_DONE;
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
                                      .source = {federation, ask}};
  return cohort_clients_create(&own, faults, &federation->clients, error);
}

static cohort_status build(cohort_federation *federation, cohort_faults *faults, cohort_error *error) {
  const cohort_federation_options *options = &federation->options;
  const cohort_federated_settings *settings = settings_of(federation);
  COHORT_TRY(check_clients(federation, faults, error));
  federation->key =
      cohort_random_key_derive_name(cohort_random_key_from_seed((uint64_t)options->settings->seed), "federated");
  const cohort_dirichlet_settings *dirichlet = &settings->population_settings.dirichlet_settings;
  cohort_population_create(dirichlet->clients, options->task->samples[COHORT_SPLIT_TRAIN],
                           cohort_supervised_labels(options->task), dirichlet->alpha,
                           cohort_random_key_derive_name(federation->key, "partition"), &federation->population);
  const size_t present = (size_t)settings->clients_per_round;
  federation->client = cohort_allocate(present * sizeof *federation->client);
  federation->steps = cohort_allocate(present * sizeof *federation->steps);
  federation->weight = cohort_allocate(present * sizeof *federation->weight);
  federation->cost = cohort_allocate(present * sizeof *federation->cost);
  COHORT_TRY(make_graph(federation, error));
  cohort_choice_expand(options->variant, "schedule", settings->client_schedule, "client_schedule",
                       &federation->schedule, options->expanded, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
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
  free(federation->context);
  free(federation->client);
  free(federation->steps);
  free(federation->weight);
  free(federation->cost);
  cohort_lane_graph_destroy(federation->graph);
  cohort_population_release(&federation->population);
  cohort_choice_release(&federation->schedule);
  free(federation);
}

cohort_clients *cohort_federation_clients(const cohort_federation *federation) { return federation->clients; }
cohort_lane_graph *cohort_federation_graph(const cohort_federation *federation) { return federation->graph; }

double cohort_federation_thread_bytes(const cohort_federation *federation) {
  return cohort_clients_bytes(federation->clients) + (double)cohort_plan_arena_bytes(federation->graph->plan);
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
  const cohort_federated_settings *settings = settings_of(federation);
  const cohort_schedule *schedule = federation->schedule.method->functions;
  const cohort_random_key key =
      cohort_random_key_derive(cohort_random_key_derive_name(federation->key, "cohort"), (uint64_t)round);
  for (int64_t i = 0; i < settings->clients_per_round; i++) {
    const int64_t client = (int64_t)cohort_random_permute(key, (uint64_t)federation->population.clients, (uint64_t)i);
    federation->client[i] = client;
    federation->weight[i] = (double)size_of(federation, client);
    federation->cost[i] = (double)work_of(federation, client, &federation->steps[i]);
  }
  federation->round = (cohort_round){
      .number = round,
      .present = (int)settings->clients_per_round,
      .client = federation->client,
      .steps = federation->steps,
      .samples = federation->weight,
      .cost = federation->cost,
      .factor = schedule->factor(federation->schedule.config, round, federation->options.settings->steps)};
}

cohort_status cohort_federation_run(cohort_federation *federation, int64_t round, const float *weights, void **gradient,
                                    double *loss, cohort_error *error) {
  choose_clients(federation, round);
  return cohort_clients_run(federation->clients, &federation->round, weights, gradient, loss, error);
}

int64_t cohort_federation_samples(const cohort_federation *federation, bool own) {
  int count = federation->round.present;
  const int *client = own ? cohort_clients_own(federation->clients, &count) : NULL;
  double samples = 0;
  for (int i = 0; i < count; i++) samples += federation->cost[own ? client[i] : i];
  return (int64_t)samples;
}

int64_t cohort_federation_steps(const cohort_federation *federation, bool own) {
  int count = federation->round.present;
  const int *client = own ? cohort_clients_own(federation->clients, &count) : NULL;
  int64_t steps = 0;
  for (int i = 0; i < count; i++) steps += federation->steps[own ? client[i] : i];
  return steps;
}

int64_t cohort_federation_usual_steps(const cohort_federation *federation) {
  const cohort_federated_settings *settings = settings_of(federation);
  if (!settings->local_epochs) return settings->local_steps;
  const int64_t samples = federation->options.task->samples[COHORT_SPLIT_TRAIN];
  const int64_t batch = settings->local_batch ? settings->local_batch : federation->population.largest;
  return settings->local_epochs * (samples / federation->population.clients / batch + 1);
}
