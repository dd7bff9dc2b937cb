/* Clients of a round as lanes: each is trained by one thread from the round's weights, with its own optimizer state,
 * and gives its change times its weight. Which samples and numbers a client draws depends on (round, client) alone.
 * Time is that of the slowest thread's clients; memory is a few vectors a thread. */
#include "train/engine/federated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "method/federated/federated.h"
#include "method/schedule/schedule.h"
#include "update/updater.h"

/* What one executor trains clients with, one after another: an update engine of its own, alone in the world. */
typedef struct client_trainer {
  cohort_space *space;
  cohort_vector weights;
  float *gradient;
  cohort_comm alone;
  cohort_shard_group *members;
  cohort_updater *updater;
} client_trainer;

struct cohort_federation {
  cohort_federation_options plan;
  cohort_choice schedule; /* of clients, over rounds */
  cohort_population population;
  cohort_lane_graph *graph;
  client_trainer *trainer; /* [executors] */
  cohort_random_key key;
  int64_t round;
  int64_t *chosen; /* [clients_per_round] */
  double *weight;  /* [clients_per_round] */
};

cohort_document *cohort_federation_server(const cohort_choice *strategy) {
  const cohort_federated *functions = strategy->method->functions;
  char text[1024] = "";
  functions->settings(strategy->config, text, sizeof text);
  cohort_document *settings = cohort_document_create(COHORT_MAP, "strategy", 0, 0);
  char *rest = NULL;
  for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
    char *equals = strchr(word, '=');
    if (!equals) continue;
    *equals = '\0';
    cohort_document *value = cohort_document_create(COHORT_SCALAR, "strategy", 0, 0);
    cohort_document_set_text(value, equals + 1);
    cohort_document_set(settings, word, value);
  }
  cohort_document *server = cohort_document_create(COHORT_MAP, "strategy", 0, 0);
  cohort_document_set(server, functions->server, settings);
  return server;
}

static cohort_status check_client(cohort_federation *federation, cohort_faults *faults, cohort_error *error) {
  const cohort_federated_settings *settings = &federation->plan.settings->federated_settings;
  const cohort_task *task = federation->plan.task;
  if (task->functions != &cohort_task_supervised || task->objectives != 1)
    cohort_faults_add(faults, federation->plan.settings->federated,
                      "federated: clients train the supervised task with one loss");
  const int64_t clients = settings->population_settings.dirichlet_settings.clients;
  if (settings->clients_per_round > clients)
    cohort_faults_add(faults, federation->plan.settings->federated,
                      "federated.clients_per_round: %lld is more than the %lld clients of the population",
                      (long long)settings->clients_per_round, (long long)clients);
  if (clients > task->samples[COHORT_SPLIT_TRAIN])
    cohort_faults_add(faults, federation->plan.settings->federated,
                      "federated.population: %lld clients, but only %lld training samples", (long long)clients,
                      (long long)task->samples[COHORT_SPLIT_TRAIN]);
  return cohort_faults_status(faults, error);
}

/* The model's tensors once more: weights and pieces of a client are its own. */
static cohort_space *copy_space(const cohort_space *space) {
  cohort_parameter_tensor *declared = cohort_allocate((size_t)(space->tensors + 1) * sizeof *declared);
  for (int t = 0; t < space->tensors; t++) declared[t] = space->tensor[t].declared;
  cohort_space *copy = cohort_space_of(space->name, space->tensors, declared);
  free(declared);
  return copy;
}

static cohort_status create_trainer(const cohort_federation *federation, cohort_document *expanded,
                                    client_trainer *trainer, cohort_faults *faults, cohort_error *error) {
  const cohort_federation_options *plan = &federation->plan;
  const cohort_federated_settings *settings = &plan->settings->federated_settings;
  trainer->space = copy_space(plan->space);
  trainer->alone = cohort_comm_alone();
  COHORT_TRY(cohort_shard_group_create(&trainer->alone, false, &trainer->members, error));
  void *memory = NULL;
  const size_t bytes = (size_t)trainer->space->elements * sizeof(float);
  if (!plan->plan_only) {
    COHORT_TRY(cohort_space_hold(trainer->space, error));
    COHORT_TRY(cohort_memory_create(bytes, "client gradient", &memory, error));
    trainer->gradient = memory;
  }
  const cohort_updater_options own = {.optimizer = settings->client,
                                      .groups = settings->client_groups,
                                      .expanded = expanded,
                                      .optimizer_path = "client",
                                      .groups_path = "client_groups",
                                      .clip = settings->client_clip,
                                      .activity = COHORT_ACTIVITY_LOCAL,
                                      .unjudged = settings->client_clip <= 0,
                                      .seed = (uint64_t)plan->settings->seed,
                                      .space = trainer->space,
                                      .comm = &trainer->alone,
                                      .kernels = cohort_updater_kernels(plan->variant),
                                      .variant = plan->variant,
                                      .threads = 1,
                                      .plan_only = plan->plan_only,
                                      .objectives = 1,
                                      .sharding = COHORT_SHARDING_OPTIMIZER,
                                      .members = trainer->members,
                                      .sizes = {trainer->space->elements + 1, trainer->space->elements + 1}};
  COHORT_TRY(cohort_updater_create(&own, faults, &trainer->updater, error));
  const cohort_updater_needs needs = cohort_updater_needs_of(trainer->updater);
  if (needs.wants & ~(unsigned)COHORT_WANTS_GRADIENT)
    cohort_faults_add(faults, settings->client,
                      "federated.client: it asks for more than gradients, which clients do not give; take another");
  COHORT_TRY(cohort_faults_status(faults, error));
  if (plan->plan_only) return COHORT_DONE;
  trainer->weights.values = trainer->space->values;
  return cohort_updater_connect(trainer->updater, &(cohort_updater_connection){.weights = &trainer->weights}, error);
}

double cohort_federation_client_bytes(const cohort_federation *federation) {
  const client_trainer *const own = &federation->trainer[0];
  const double vectors = 2 + cohort_updater_needs_of(own->updater).vectors;
  return vectors * (double)own->space->elements * sizeof(float) + cohort_updater_state_bytes(own->updater);
}

static void destroy_trainer(client_trainer *trainer) {
  cohort_updater_destroy(trainer->updater);
  cohort_shard_group_destroy(trainer->members);
  cohort_memory_release(trainer->gradient);
  cohort_space_destroy(trainer->space);
}

static cohort_status build(cohort_federation *federation, cohort_document *expanded, cohort_faults *faults,
                           cohort_error *error) {
  const cohort_federation_options *plan = &federation->plan;
  const cohort_federated_settings *settings = &plan->settings->federated_settings;
  COHORT_TRY(check_client(federation, faults, error));
  federation->key =
      cohort_random_key_derive_name(cohort_random_key_from_seed((uint64_t)plan->settings->seed), "federated");
  const cohort_dirichlet_settings *dirichlet = &settings->population_settings.dirichlet_settings;
  cohort_population_create(dirichlet->clients, plan->task->samples[COHORT_SPLIT_TRAIN],
                           cohort_supervised_labels(plan->task), dirichlet->alpha,
                           cohort_random_key_derive_name(federation->key, "partition"), &federation->population);
  federation->chosen = cohort_allocate((size_t)settings->clients_per_round * sizeof *federation->chosen);
  federation->weight = cohort_allocate((size_t)settings->clients_per_round * sizeof *federation->weight);
  const int64_t room = settings->local_batch ? settings->local_batch : federation->population.largest;
  const cohort_lane_graph_options options = {.gradients = true, .training = true, .lanes = 1, .capacity = room};
  cohort_space *const spaces[1] = {plan->space};
  COHORT_TRY(cohort_lane_graph_create(&plan->task->source, &options, spaces, plan->kernels, &federation->graph, error));
  if (cohort_plan_phases(federation->graph->plan) > 1)
    return cohort_settings_fail(plan->settings, "loss", error,
                                "federated: the loss looks across the batch; clients train alone, take another loss");
  cohort_choice_expand(plan->variant, "schedule", settings->client_schedule, "client_schedule", &federation->schedule,
                       expanded, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  federation->trainer = cohort_allocate((size_t)plan->executors * sizeof *federation->trainer);
  for (int e = 0; e < plan->executors; e++)
    COHORT_TRY(create_trainer(federation, e ? NULL : expanded, &federation->trainer[e], faults, error));
  return COHORT_DONE;
}

cohort_status cohort_federation_create(const cohort_federation_options *plan, cohort_document *expanded,
                                       cohort_faults *faults, cohort_federation **out, cohort_error *error) {
  cohort_federation *federation = cohort_allocate(sizeof *federation);
  federation->plan = *plan;
  const cohort_status status = build(federation, cohort_document_get(expanded, "federated"), faults, error);
  if (status != COHORT_DONE) {
    cohort_federation_destroy(federation);
    return status;
  }
  *out = federation;
  return COHORT_DONE;
}

void cohort_federation_destroy(cohort_federation *federation) {
  if (!federation) return;
  for (int e = 0; federation->trainer && e < federation->plan.executors; e++) destroy_trainer(&federation->trainer[e]);
  free(federation->trainer);
  free(federation->chosen);
  free(federation->weight);
  cohort_lane_graph_destroy(federation->graph);
  cohort_population_release(&federation->population);
  cohort_choice_release(&federation->schedule);
  free(federation);
}

cohort_lane_graph *cohort_federation_graph(const cohort_federation *federation) { return federation->graph; }

static int64_t size_of(const cohort_federation *federation, int64_t client) {
  return federation->population.first[client + 1] - federation->population.first[client];
}

void cohort_federation_begin(cohort_federation *federation, int64_t round) {
  const cohort_federated_settings *settings = &federation->plan.settings->federated_settings;
  const cohort_random_key key =
      cohort_random_key_derive(cohort_random_key_derive_name(federation->key, "cohort"), (uint64_t)round);
  int64_t samples = 0;
  federation->round = round;
  for (int64_t i = 0; i < settings->clients_per_round; i++) {
    federation->chosen[i] = (int64_t)cohort_random_permute(key, (uint64_t)federation->population.clients, (uint64_t)i);
    samples += size_of(federation, federation->chosen[i]);
  }
  for (int64_t i = 0; i < settings->clients_per_round; i++)
    federation->weight[i] = (double)size_of(federation, federation->chosen[i]) / (double)samples;
}

/* Positions of local step `step`: a stream of permutations of the client's samples; or all of them. */
static int64_t choose_samples(const cohort_federation *federation, int64_t client, int64_t step, cohort_random_key key,
                              int64_t *position) {
  const int64_t batch = federation->plan.settings->federated_settings.local_batch;
  const int64_t size = size_of(federation, client);
  const int32_t *samples = federation->population.sample + federation->population.first[client];
  const int64_t count = batch ? batch : size;
  for (int64_t i = 0; i < count; i++) {
    const int64_t at = batch ? step * batch + i : i;
    const cohort_random_key epoch = cohort_random_key_derive(key, (uint64_t)(at / size));
    position[i] = samples[batch ? (int64_t)cohort_random_permute(epoch, (uint64_t)size, (uint64_t)(at % size)) : i];
  }
  return count;
}

/* A client's local step as an oracle: the gradient of its next samples. */
typedef struct local_oracle {
  const cohort_federation *federation;
  client_trainer *trainer;
  cohort_lane_context *context;
  int64_t client, step;
  cohort_random_key key;
  double loss; /* of the step */
} local_oracle;

static cohort_status ask_client(void *argument, const cohort_ask *ask, void **rows, double *losses,
                                cohort_error *error) {
  local_oracle *own = argument;
  const cohort_federation *federation = own->federation;
  const int64_t count = choose_samples(federation, own->client, own->step, own->key, own->context->position);
  const float *const weights[1] = {ask->point->vector->values};
  const int64_t place[1] = {0};
  const cohort_lane_row gradient = {own->trainer->gradient, place, own->trainer->space->elements};
  double local[COHORT_MAX_SCALARS] = {0};
  const cohort_lane_pass run = {.split = COHORT_SPLIT_TRAIN,
                                .direct = true,
                                .count = count,
                                .inverse_count = 1.0 / (double)count,
                                .point = weights,
                                .random_key = cohort_random_key_derive(own->key, (uint64_t)own->step),
                                .row = &gradient,
                                .scalars = local};
  if (!cohort_lane_graph_run(&federation->plan.task->source, federation->graph, own->context, 0, 0, &run))
    return cohort_fail(error, COHORT_STOPPED, "stopped");
  losses[0] = local[0] / (double)count;
  *rows = own->trainer->gradient;
  return COHORT_DONE;
}

bool cohort_federation_client(cohort_federation *federation, int executor, int lane, cohort_lane_context *context,
                              const float *point, float *row, double *scalars) {
  const cohort_federated_settings *settings = &federation->plan.settings->federated_settings;
  const cohort_schedule *schedule = federation->schedule.method->functions;
  client_trainer *trainer = &federation->trainer[executor];
  const int64_t elements = trainer->space->elements;
  const int64_t client = federation->chosen[lane];
  const cohort_random_key round =
      cohort_random_key_derive(cohort_random_key_derive_name(federation->key, "client"), (uint64_t)federation->round);
  local_oracle own = {.federation = federation,
                      .trainer = trainer,
                      .context = context,
                      .client = client,
                      .key = cohort_random_key_derive(round, (uint64_t)client)};
  const cohort_oracle oracle = {.argument = &own, .objectives = 1, .ask = ask_client};
  const double factor =
      schedule->factor(federation->schedule.config, federation->round, federation->plan.settings->steps);
  double loss = 0;
  memcpy(trainer->space->values, point, (size_t)elements * sizeof *point);
  cohort_updater_reset(trainer->updater);
  cohort_updater_record(trainer->updater, context->recorder);
  for (own.step = 0; own.step < settings->local_steps; own.step++) {
    cohort_step_report report;
    cohort_error error;
    const cohort_status status =
        cohort_updater_step_by(trainer->updater, &oracle, own.step, settings->local_steps, factor, &report, &error);
    if (status == COHORT_STOPPED) return false;
    loss += status == COHORT_DONE ? report.losses[0] : NAN;
  }
  const float weight = (float)federation->weight[lane];
  for (int64_t e = 0; e < elements; e++) row[e] = weight * (point[e] - trainer->space->values[e]);
  scalars[0] = federation->weight[lane] * loss / (double)settings->local_steps;
  return true;
}

int64_t cohort_federation_client_samples(const cohort_federation *federation, int lane) {
  const cohort_federated_settings *settings = &federation->plan.settings->federated_settings;
  return settings->local_steps *
         (settings->local_batch ? settings->local_batch : size_of(federation, federation->chosen[lane]));
}

int64_t cohort_federation_samples(const cohort_federation *federation) {
  int64_t samples = 0;
  for (int lane = 0; lane < federation->plan.settings->federated_settings.clients_per_round; lane++)
    samples += cohort_federation_client_samples(federation, lane);
  return samples;
}
