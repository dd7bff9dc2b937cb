/* How an update engine is made from its plan, and how it ends. All memory of a step is taken here. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "update/nest.h"

static void read_choice(const cohort_updater_options *options, const char *family, const char *standard,
                        const cohort_document *document, cohort_choice *out, cohort_faults *faults) {
  const cohort_document otherwise = {.kind = COHORT_SCALAR, .text = (char *)(uintptr_t)standard};
  if (document)
    cohort_choice_expand(options->variant, family, document, family, out, options->expanded, faults);
  else
    cohort_choice_read(options->variant, family, &otherwise, family, out, NULL, faults);
}

/* Vectors that the engine itself needs: where a base reads what transforms have made; the signs of a hvp diagonal. */
static int add_vector(cohort_updater *updater) {
  updater->vector[updater->vectors++] = (cohort_update_vector){.owner = -1};
  return updater->vectors;
}

static void find_needs(cohort_updater *updater, cohort_faults *faults) {
  updater->hvp_diagonal_every = 1;
  for (int g = 0; g < updater->groups.count; g++) {
    const cohort_update_group *group = &updater->groups.group[g];
    const cohort_method *method = group->choice.method;
    if (!(method->needs & COHORT_NEEDS_HVP_DIAGONAL)) continue;
    const int64_t every =
        group->functions->hvp_diagonal_every ? group->functions->hvp_diagonal_every(group->choice.config) : 1;
    const bool sampled =
        group->functions->hvp_diagonal_sampled && group->functions->hvp_diagonal_sampled(group->choice.config);
    if (updater->hvp_diagonal && every != updater->hvp_diagonal_every)
      cohort_faults_add(faults, updater->options.optimizer,
                        "groups: %s asks for curvature every %lld steps, another group every %lld; let them agree",
                        method->key, (long long)every, (long long)updater->hvp_diagonal_every);
    if (updater->hvp_diagonal && sampled != updater->hvp_diagonal_sampled)
      cohort_faults_add(faults, updater->options.optimizer,
                        "groups: %s and another group ask for different estimates of curvature; let them agree",
                        method->key);
    updater->hvp_diagonal_sampled = sampled;
    updater->hvp_diagonal = true;
    updater->hvp_diagonal_every = every;
    if (updater->nodes)
      cohort_faults_add(faults, updater->options.optimizer,
                        "optimizer: %s gives its base no curvature, which %s needs; take another",
                        updater->node[0].choice.method->key, method->key);
  }
  if (!updater->groups.count && updater->options.clip > 0)
    cohort_faults_add(faults, updater->options.optimizer,
                      "clip: %s moves the weights by a step of its own, which is not clipped; take clip out",
                      updater->node[0].choice.method->key);
  for (int n = 0; n < updater->nodes && !updater->answer; n++)
    if (updater->node[n].functions->gradient) updater->answer = add_vector(updater);
  if (!updater->hvp_diagonal) return;
  updater->direction = add_vector(updater);
  updater->vector[updater->direction - 1].asked = true;
}

/* Weights that are known are used before backward, unless somebody asks for an objective alone. */
static void weigh_objectives(cohort_updater *updater, cohort_faults *faults) {
  const cohort_aggregator *aggregator = updater->aggregator.method->functions;
  const int objectives = updater->options.objectives;
  const int wanted = aggregator->objectives ? aggregator->objectives(updater->aggregator.config) : 0;
  if (wanted && wanted != objectives)
    cohort_faults_add(faults, updater->options.aggregator,
                      "aggregator: %s is given for %d losses, but there are %d; give as many",
                      updater->aggregator.method->key, wanted, objectives);
  updater->summed = aggregator->fixed && !(cohort_updater_needs_of(updater).wants & COHORT_WANTS_EACH);
  updater->gradients = updater->summed ? 1 : objectives;
  for (int i = 0; i < objectives; i++) updater->weight[i] = 1;
  const cohort_aggregation own = {.config = updater->aggregator.config, .objectives = objectives};
  if (updater->summed && !(wanted && wanted != objectives)) aggregator->weigh(&own, updater->weight);
}

static cohort_status read_all(cohort_updater *updater, cohort_faults *faults, cohort_error *error) {
  const cohort_updater_options *options = &updater->options;
  const cohort_document *base = NULL;
  cohort_update_read_nest(updater, &base, faults);
  read_choice(options, "schedule", "constant", options->schedule, &updater->schedule, faults);
  read_choice(options, "aggregator", "sum", options->aggregator, &updater->aggregator, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  COHORT_TRY(cohort_parameter_groups_create(options, base, &updater->groups, faults, error));
  find_needs(updater, faults);
  weigh_objectives(updater, faults);
  return cohort_faults_status(faults, error);
}

static cohort_slot *create_numbers(const char *name, int64_t count) {
  cohort_slot *slot = cohort_allocate(sizeof *slot);
  slot->name = cohort_copy_text(name);
  slot->type = COHORT_STATE_FLOAT64;
  slot->tensors = 1;
  slot->elements = count;
  slot->tensor = cohort_allocate(sizeof *slot->tensor);
  slot->tensor[0] = (cohort_stored_tensor){.name = "all", .axes = 1, .size = {count}};
  slot->values = cohort_allocate((size_t)count * sizeof(double));
  return slot;
}

static void destroy_numbers(cohort_slot *slot) {
  if (!slot) return;
  free((char *)(uintptr_t)slot->name);
  free(slot->tensor);
  free(slot->values);
  free(slot);
}

/* States that drivers and the aggregator keep: numbers that are the same on all ranks. */
static cohort_status create_own_states(cohort_updater *updater, cohort_error *error) {
  const cohort_shape all = COHORT_SHAPE(updater->options.space->parameters);
  for (int n = 0; n < updater->nodes; n++) {
    cohort_update_node *node = &updater->node[n];
    for (const cohort_state *s = node->choice.method->states; s && s->name; s++, node->states++) {
      char *name = cohort_format_text("%s.%s", node->choice.method->key, s->name);
      cohort_slot *slot = create_numbers(name, cohort_state_elements(s, node->choice.config, all));
      free(name);
      node->state_slot[node->states] = slot;
      node->state[node->states] = slot->values;
    }
  }
  const cohort_choice *aggregator = &updater->aggregator;
  for (const cohort_state *s = aggregator->method->states; s && s->name; s++) {
    const int64_t count =
        cohort_state_elements(s, aggregator->config, COHORT_SHAPE((int64_t)updater->options.objectives));
    if (count > COHORT_MAX_OBJECTIVES * COHORT_MAX_OBJECTIVES)
      return cohort_fail(error, COHORT_BUG, "aggregator %s: state %s is too large; report this",
                         aggregator->method->key, s->name);
    char *name = cohort_format_text("aggregator.%s", s->name);
    updater->aggregator_slot[updater->aggregator_states] = create_numbers(name, count);
    updater->aggregator_next[updater->aggregator_states++] = cohort_allocate((size_t)count * sizeof(double));
    free(name);
  }
  return COHORT_DONE;
}

static void fill_numbers(cohort_slot *slot, const cohort_choice *choice, const cohort_state *state) {
  const double value = state->initial_parameter ? cohort_choice_real(choice, state->initial_parameter, 0) : 0;
  for (int64_t i = 0; i < slot->elements; i++) ((double *)slot->values)[i] = value;
}

static void reset_own_states(cohort_updater *updater) {
  for (int n = 0; n < updater->nodes; n++)
    for (int s = 0; s < updater->node[n].states; s++)
      fill_numbers(updater->node[n].state_slot[s], &updater->node[n].choice,
                   &updater->node[n].choice.method->states[s]);
  for (int s = 0; s < updater->aggregator_states; s++)
    fill_numbers(updater->aggregator_slot[s], &updater->aggregator, &updater->aggregator.method->states[s]);
}

/* A kept vector as a slot, which is laid out like the space. */
static void describe_vector(cohort_updater *updater, cohort_update_vector *vector) {
  const cohort_space *space = updater->options.space;
  vector->table = cohort_allocate((size_t)(space->tensors + 1) * sizeof *vector->table);
  for (int t = 0; t < space->tensors; t++) {
    const cohort_shape shape = space->tensor[t].declared.shape;
    vector->table[t] = (cohort_stored_tensor){
        .name = space->tensor[t].declared.name, .axes = shape.axes, .offset = space->tensor[t].offset};
    for (int a = 0; a < shape.axes; a++) vector->table[t].size[a] = shape.size[a];
  }
  vector->slot = (cohort_slot){.name = vector->name,
                               .type = COHORT_STATE_REAL,
                               .vector = true,
                               .tensors = space->tensors,
                               .tensor = vector->table,
                               .elements = space->elements,
                               .shards = updater->options.sharding == COHORT_SHARDING_NONE ? NULL : updater->shards};
}

static void list_slots(cohort_updater *updater) {
  const size_t most = (size_t)(updater->state.slots + updater->vectors + COHORT_MAX_STATES * (COHORT_MAX_NODES + 1));
  updater->slot = cohort_allocate((most + 1) * sizeof *updater->slot);
  for (int s = 0; s < updater->state.slots; s++) updater->slot[updater->slots++] = &updater->state.slot[s];
  for (int v = 0; v < updater->vectors; v++) {
    if (!updater->vector[v].kept) continue;
    describe_vector(updater, &updater->vector[v]);
    updater->slot[updater->slots++] = &updater->vector[v].slot;
  }
  for (int n = 0; n < updater->nodes; n++)
    for (int s = 0; s < updater->node[n].states; s++) updater->slot[updater->slots++] = updater->node[n].state_slot[s];
  for (int s = 0; s < updater->aggregator_states; s++) updater->slot[updater->slots++] = updater->aggregator_slot[s];
}

static void make_keys(cohort_updater *updater) {
  const cohort_space *space = updater->options.space;
  updater->key = cohort_random_key_derive_name(cohort_random_key_from_seed(updater->options.seed), "player");
  updater->tensor_key = cohort_allocate((size_t)(space->tensors + 1) * sizeof *updater->tensor_key);
  for (int t = 0; t < space->tensors; t++)
    updater->tensor_key[t] = cohort_random_key_derive_name(updater->key, space->tensor[t].declared.name);
}

static void list_bounded(cohort_updater *updater) {
  const cohort_space *space = updater->options.space;
  updater->bounded = cohort_allocate((size_t)(space->tensors + 1) * sizeof *updater->bounded);
  for (int t = 0; t < space->tensors; t++)
    if (space->tensor[t].declared.bounded) updater->bounded[updater->bounded_count++] = t;
}

static cohort_status make_room(cohort_updater *updater, cohort_error *error) {
  const cohort_updater_options *options = &updater->options;
  const int pairs = options->objectives * (options->objectives + 1) / 2;
  updater->workspace_bytes = cohort_round_up((size_t)updater->groups.workspace * updater->real, 4096);
  updater->dots = updater->nodes ? COHORT_DOT_ROOM : 1;
  if (options->objectives > 1 && pairs > updater->dots) updater->dots = pairs;
  const size_t numbers = (size_t)(options->space->pieces + 1) * (size_t)updater->dots;
  updater->piece_sums = cohort_allocate(numbers * sizeof(double));
  updater->packed = cohort_allocate(numbers * sizeof(double));
  updater->report = cohort_allocate((size_t)(updater->groups.count + 1) * sizeof *updater->report);
  cohort_update_sums_create(updater, &updater->groups, &updater->sums);
  for (int n = 0; n < updater->nodes; n++) cohort_update_programs_create(updater, &updater->node[n]);
  if (options->plan_only) return COHORT_DONE;
  void *memory = NULL;
  COHORT_TRY(
      cohort_memory_create(updater->workspace_bytes * (size_t)options->threads, "optimizer workspace", &memory, error));
  updater->workspace = memory;
  return COHORT_DONE;
}

static cohort_status build(cohort_updater *updater, cohort_faults *faults, cohort_error *error) {
  const cohort_updater_options *options = &updater->options;
  COHORT_TRY(read_all(updater, faults, error));
  cohort_space_cut(options->space, updater->groups.cut);
  updater->shards =
      cohort_shards_create(options->space, options->members, updater->groups.cut, updater->groups.cost, options->sizes);
  updater->updates = cohort_allocate((size_t)options->space->pieces + 1);
  updater->arrival = cohort_allocate((size_t)(updater->shards->buckets + 1) * sizeof *updater->arrival);
  for (int p = 0; p < options->space->pieces; p++)
    updater->updates[p] = options->sharding == COHORT_SHARDING_NONE || cohort_shards_own(updater->shards, p);
  make_keys(updater);
  list_bounded(updater);
  COHORT_TRY(cohort_update_state_create(options, &updater->groups, updater->shards, &updater->state, error));
  if (!options->plan_only)
    cohort_update_state_reset(options, &updater->groups, updater->updates, true, &updater->state);
  COHORT_TRY(create_own_states(updater, error));
  reset_own_states(updater);
  cohort_update_list_work(updater);
  list_slots(updater);
  return make_room(updater, error);
}

cohort_status cohort_updater_create(const cohort_updater_options *options, cohort_faults *faults, cohort_updater **out,
                                    cohort_error *error) {
  cohort_updater *updater = cohort_allocate(sizeof *updater);
  updater->options = *options;
  updater->real = options->kernels->real_size;
  updater->algebra = cohort_algebra_of(options->variant);
  updater->team = (cohort_team){options->threads};
  const cohort_status status = build(updater, faults, error);
  if (status != COHORT_DONE) {
    cohort_updater_destroy(updater);
    return status;
  }
  *out = updater;
  return COHORT_DONE;
}

/* In float64 a vector is memory of its own; there is one rank then. */
static cohort_status create_vector(cohort_updater *updater, cohort_vector *out, cohort_error *error) {
  const int64_t floats = updater->options.space->elements * (int64_t)(updater->real / sizeof(float));
  COHORT_TRY(cohort_vector_create(updater->options.comm, floats, "vector of an optimizer", out, error));
  out->origin = updater->weights->origin;
  return COHORT_DONE;
}

cohort_status cohort_updater_connect(cohort_updater *updater, const cohort_updater_connection *connection,
                                     cohort_error *error) {
  updater->weights = connection->weights;
  updater->collective = connection->collective;
  updater->first_bucket = connection->first_bucket;
  updater->stride = (size_t)(connection->row ? connection->row : updater->options.space->elements) * updater->real;
  for (int v = 0; v < updater->vectors; v++) {
    COHORT_TRY(create_vector(updater, &updater->vector[v].vector, error));
    updater->vector[v].slot.values = updater->vector[v].vector.values;
  }
  return COHORT_DONE;
}

static void clear_piece(void *argument, const cohort_updater *updater, int p) {
  char *values = argument;
  const cohort_piece *piece = &updater->options.space->piece[p];
  memset(values + (size_t)piece->offset * updater->real, 0, (size_t)piece->elements * updater->real);
}

void cohort_updater_reset(cohort_updater *updater) {
  cohort_update_state_reset(&updater->options, &updater->groups, updater->updates, false, &updater->state);
  reset_own_states(updater);
  for (int v = 0; v < updater->vectors; v++)
    if (updater->vector[v].kept) cohort_update_each(updater, clear_piece, updater->vector[v].vector.values);
}

void cohort_updater_destroy(cohort_updater *updater) {
  if (!updater) return;
  cohort_choice_release(&updater->schedule);
  cohort_choice_release(&updater->aggregator);
  for (int n = 0; n < updater->nodes; n++) {
    cohort_update_programs_release(&updater->node[n]);
    for (int s = 0; s < updater->node[n].states; s++) destroy_numbers(updater->node[n].state_slot[s]);
    cohort_choice_release(&updater->node[n].choice);
  }
  for (int v = 0; v < updater->vectors; v++) {
    cohort_vector_release(&updater->vector[v].vector);
    free(updater->vector[v].name);
    free(updater->vector[v].table);
  }
  for (int s = 0; s < updater->aggregator_states; s++) {
    destroy_numbers(updater->aggregator_slot[s]);
    free(updater->aggregator_next[s]);
  }
  cohort_update_sums_release(&updater->sums);
  cohort_update_release_work(updater);
  cohort_update_state_release(&updater->state);
  cohort_parameter_groups_release(&updater->groups);
  cohort_shards_destroy(updater->shards);
  cohort_memory_release(updater->workspace);
  free(updater->slot);
  free(updater->report);
  free(updater->tensor_key);
  free(updater->updates);
  free(updater->arrival);
  free(updater->bounded);
  free(updater->piece_sums);
  free(updater->packed);
  free(updater);
}
