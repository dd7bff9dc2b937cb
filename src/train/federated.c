#include "train/federated.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "method/federated/federated.h"
#include "method/optimizer/optimizer.h"

typedef struct client_vectors {
  float *weights, *gradient;
  float *state[COHORT_MAX_STATES];
} client_vectors;

struct cohort_federation {
  cohort_federation_plan plan;
  cohort_choice client;
  int states;
  double learning_rate, weight_decay;
  cohort_population population;
  cohort_lane_graph *graph;
  client_vectors *vectors; /* [executors] */
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
  cohort_settings_choice(federation->plan.variant, "optimizer", settings->client, "client", &federation->client, NULL,
                         faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  const cohort_method *method = federation->client.method;
  const cohort_optimizer *functions = method->functions;
  if (!functions->update || method->cut != COHORT_CUT_ELEMENT || method->needs & COHORT_NEEDS_CURVATURE)
    cohort_faults_add(faults, settings->client,
                      "federated.client: %s cannot serve a client; take an elementwise update", method->key);
  for (const cohort_state *state = method->states; state && state->name; state++, federation->states++)
    if (state->axis != COHORT_AXIS_ELEMENT)
      cohort_faults_add(faults, settings->client, "federated.client: %s has state that is not elementwise",
                        method->key);
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
  federation->learning_rate = cohort_choice_real(&federation->client, "learning_rate", 0);
  federation->weight_decay = cohort_choice_real(&federation->client, "weight_decay", 0);
  return cohort_faults_status(faults, error);
}

static cohort_status allocate(cohort_federation *federation, cohort_error *error) {
  const size_t bytes = (size_t)federation->plan.space->elements * sizeof(float);
  federation->vectors = cohort_allocate((size_t)federation->plan.executors * sizeof *federation->vectors);
  for (int e = 0; e < federation->plan.executors; e++) {
    client_vectors *own = &federation->vectors[e];
    void *memory = NULL;
    COHORT_TRY(cohort_memory_create(bytes, "client weights", &memory, error));
    own->weights = memory;
    COHORT_TRY(cohort_memory_create(bytes, "client gradient", &memory, error));
    own->gradient = memory;
    for (int s = 0; s < federation->states; s++) {
      COHORT_TRY(cohort_memory_create(bytes, "client state", &memory, error));
      own->state[s] = memory;
    }
  }
  return COHORT_DONE;
}

static cohort_status build(cohort_federation *federation, cohort_faults *faults, cohort_error *error) {
  const cohort_federation_plan *plan = &federation->plan;
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
  COHORT_TRY(cohort_lane_graph_create(plan->task, &options, spaces, plan->kernels, &federation->graph, error));
  if (cohort_plan_phases(federation->graph->plan) > 1)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "federated: the loss looks across the batch; clients train alone, take another loss");
  return allocate(federation, error);
}

cohort_status cohort_federation_create(const cohort_federation_plan *plan, cohort_document *expanded,
                                       cohort_faults *faults, cohort_federation **out, cohort_error *error) {
  cohort_federation *federation = cohort_allocate(sizeof *federation);
  federation->plan = *plan;
  const cohort_status status = build(federation, faults, error);
  if (status != COHORT_DONE) {
    cohort_federation_destroy(federation);
    return status;
  }
  if (expanded) {
    cohort_choice again = {0};
    cohort_settings_choice(plan->variant, "optimizer", plan->settings->federated_settings.client, "client", &again,
                           cohort_document_get(expanded, "federated"), faults);
    cohort_choice_release(&again);
  }
  *out = federation;
  return COHORT_DONE;
}

void cohort_federation_destroy(cohort_federation *federation) {
  if (!federation) return;
  for (int e = 0; federation->vectors && e < federation->plan.executors; e++) {
    cohort_memory_release(federation->vectors[e].weights);
    cohort_memory_release(federation->vectors[e].gradient);
    for (int s = 0; s < COHORT_MAX_STATES; s++) cohort_memory_release(federation->vectors[e].state[s]);
  }
  free(federation->vectors);
  free(federation->chosen);
  free(federation->weight);
  cohort_lane_graph_destroy(federation->graph);
  cohort_population_release(&federation->population);
  cohort_choice_release(&federation->client);
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

static void local_update(const cohort_federation *federation, client_vectors *own, int64_t step) {
  const cohort_space *space = federation->plan.space;
  const cohort_optimizer *functions = federation->client.method->functions;
  const cohort_team alone = {1};
  for (int t = 0; t < space->tensors; t++) {
    const cohort_space_tensor *tensor = &space->tensor[t];
    cohort_update update = {.config = federation->client.config,
                            .step = step + 1,
                            .learning_rate = federation->learning_rate,
                            .weight_decay = federation->weight_decay,
                            .gradient_scale = 1,
                            .shape = tensor->declared.shape,
                            .elements = tensor->elements,
                            .parameters = own->weights + tensor->offset,
                            .gradient = own->gradient + tensor->offset,
                            .kernels = federation->plan.kernels,
                            .team = &alone};
    for (int s = 0; s < federation->states; s++) update.state[s] = own->state[s] + tensor->offset;
    functions->update(&update);
  }
}

static void reset_state(const cohort_federation *federation, client_vectors *own) {
  const cohort_method *method = federation->client.method;
  const int64_t elements = federation->plan.space->elements;
  for (int s = 0; s < federation->states; s++) {
    const char *initial = method->states[s].initial_parameter;
    const float value = initial ? (float)cohort_choice_real(&federation->client, initial, 0) : 0;
    for (int64_t e = 0; e < elements; e++) own->state[s][e] = value;
  }
}

void cohort_federation_client(cohort_federation *federation, int executor, int lane, cohort_lane_context *context,
                              const float *point, float *row, double *scalars) {
  const cohort_federated_settings *settings = &federation->plan.settings->federated_settings;
  const int64_t elements = federation->plan.space->elements;
  client_vectors *own = &federation->vectors[executor];
  const int64_t client = federation->chosen[lane];
  const cohort_random_key round =
      cohort_random_key_derive(cohort_random_key_derive_name(federation->key, "client"), (uint64_t)federation->round);
  const cohort_random_key key = cohort_random_key_derive(round, (uint64_t)client);
  double local[COHORT_MAX_SCALARS] = {0}, loss = 0;
  memcpy(own->weights, point, (size_t)elements * sizeof *own->weights);
  reset_state(federation, own);
  for (int64_t step = 0; step < settings->local_steps; step++) {
    const int64_t count = choose_samples(federation, client, step, key, context->position);
    const float *const weights[1] = {own->weights};
    const int64_t place[1] = {0};
    const cohort_lane_row gradient = {own->gradient, place, elements};
    const cohort_lane_run run = {.split = COHORT_SPLIT_TRAIN,
                                 .direct = true,
                                 .count = count,
                                 .inverse_count = 1.0 / (double)count,
                                 .point = weights,
                                 .random_key = cohort_random_key_derive(key, (uint64_t)step),
                                 .row = &gradient,
                                 .scalars = local};
    cohort_lane_graph_run(federation->plan.task, federation->graph, context, 0, 0, &run);
    loss += local[0] / (double)count;
    const double start = cohort_recorder_start(context->recorder);
    local_update(federation, own, step);
    cohort_recorder_stop(context->recorder, COHORT_ACTIVITY_LOCAL, start,
                         (double)(3 + 2 * federation->states) * sizeof(float) * (double)elements);
  }
  const float weight = (float)federation->weight[lane];
  for (int64_t e = 0; e < elements; e++) row[e] = weight * (point[e] - own->weights[e]);
  scalars[0] = federation->weight[lane] * loss / (double)settings->local_steps;
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
