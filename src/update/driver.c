/* The nest: whose turn it is, and what drivers may do. A node is a driver, outermost first; past the last stands the
 * base. A question for a gradient goes outwards: the nearest transform outside of the asker answers, asking the next
 * one out, and past them all the oracle. Vectors that a driver writes are owned by pieces like state, and gathered when
 * they are asked about. */
#include <math.h>
#include <string.h>

#include "update/updater_state.h"

/* What a driver's functions find behind `implementation`. */
typedef struct turn {
  cohort_update_step *step;
  int index;
  cohort_driver driver;
} turn;

static const cohort_vector *vector_of(const cohort_updater *updater, int vector) {
  return vector == COHORT_VECTOR_WEIGHTS ? updater->weights : &updater->vector[vector - 1].vector;
}

void *cohort_update_vector_values(const cohort_updater *updater, int vector) {
  return vector == COHORT_VECTOR_WEIGHTS ? (void *)updater->options.space->values
                                         : (void *)updater->vector[vector - 1].vector.values;
}

static void written(const turn *own, int vector) {
  if (vector > 0)
    own->step->updater->vector[vector - 1].stale = true;
  else
    own->step->updater->weights_stale = true;
}

const cohort_vector *cohort_updater_evaluated(cohort_updater *updater) {
  for (int n = 0; n < updater->nodes; n++) {
    const int number = updater->node[n].functions->evaluated;
    if (!number) continue;
    const int vector = updater->node[n].first + number - 1;
    cohort_update_bring(updater, vector);
    return &updater->vector[vector - 1].vector;
  }
  return NULL;
}

static turn begin_turn(cohort_update_step *step, int index) {
  cohort_updater *updater = step->updater;
  cohort_update_node *node = &updater->node[index];
  const double base = updater->groups.count ? updater->groups.group[updater->groups.count - 1].learning_rate : 0;
  turn own = {.step = step, .index = index};
  own.driver = (cohort_driver){.config = node->choice.config,
                               .step = step->step + 1,
                               .learning_rate = cohort_choice_real(&node->choice, "learning_rate", base) * step->factor,
                               .first = node->first,
                               .report = node->report,
                               .call = &cohort_update_driver_functions};
  for (int s = 0; s < node->states; s++) own.driver.state[s] = node->state[s];
  return own;
}

/* A vector's own pieces go to who computes with it. */
void cohort_update_bring(cohort_updater *updater, int vector) {
  cohort_update_vector *own = &updater->vector[vector - 1];
  if (!own->stale) return;
  for (int b = 0; b < updater->shards->buckets; b++) cohort_update_gather(updater, &own->vector, b);
  own->stale = false;
}

void cohort_update_bring_weights(cohort_updater *updater) {
  if (!updater->weights_stale) return;
  for (int b = 0; b < updater->shards->buckets; b++) cohort_update_gather(updater, updater->weights, b);
  updater->weights_stale = false;
}

/* A direction is read everywhere at once: whole, on every rank. */
static void bring_whole(cohort_updater *updater, int vector) {
  const cohort_vector *own = vector_of(updater, vector);
  if (updater->options.members->count == 1 || updater->options.sharding == COHORT_SHARDING_NONE) return;
  cohort_updater_wait(updater);
  uint64_t last = 0;
  for (int b = 0; b < updater->shards->buckets; b++)
    last = cohort_collective_all_gather(updater->collective, own, updater->first_bucket + b,
                                        own->values + updater->shards->bucket[b].offset);
  cohort_collective_all_gather_wait(updater->collective, last);
}

typedef struct copy_job {
  char *to;
  const char *from;
} copy_job;

static void copy_piece(void *argument, const cohort_updater *updater, int p) {
  const copy_job *job = argument;
  const cohort_piece *piece = &updater->options.space->piece[p];
  const size_t at = (size_t)piece->offset * updater->real;
  memcpy(job->to + at, job->from + at, (size_t)piece->elements * updater->real);
}

static void copy(const cohort_updater *updater, void *to, const void *from) {
  copy_job job = {to, from};
  if (to != from) cohort_update_each(updater, copy_piece, &job);
}

/* The oracle's answer, copied into the vectors that were named. */
static cohort_status ask_directly(cohort_update_step *step, const cohort_question *question, cohort_answer *answer,
                                  cohort_error *error) {
  cohort_updater *updater = step->updater;
  void *gradient = NULL, *product = NULL;
  COHORT_TRY(
      cohort_update_ask_oracle(step, question, answer, question->gradient > 0 ? &gradient : NULL, &product, error));
  if (question->gradient > 0) {
    copy(updater, cohort_update_vector_values(updater, question->gradient), gradient);
    updater->vector[question->gradient - 1].stale = true;
  }
  if (question->product > 0) {
    copy(updater, cohort_update_vector_values(updater, question->product), product);
    updater->vector[question->product - 1].stale = true;
  }
  return COHORT_DONE;
}

cohort_status cohort_update_ask(cohort_update_step *step, int index, const cohort_question *question,
                                cohort_answer *answer, cohort_error *error) {
  const bool plain = question->gradient > 0 && question->product <= 0 && question->objective == 0 &&
                     !question->labels && !question->divergence;
  for (int n = index - 1; plain && n >= 0; n--) {
    cohort_update_node *node = &step->updater->node[n];
    if (!node->functions->gradient) continue;
    turn own = begin_turn(step, n);
    own.driver.implementation = &own;
    node->answered = true;
    COHORT_TRY(node->functions->gradient(&own.driver, question, answer, error));
    step->updater->vector[question->gradient - 1].stale = true;
    return COHORT_DONE;
  }
  return ask_directly(step, question, answer, error);
}

/* Memory is counted by what is declared. */
static bool may_be_asked(const cohort_updater *updater, int vector) {
  return vector <= 0 || updater->vector[vector - 1].asked;
}

static cohort_status driver_ask(cohort_driver *driver, const cohort_question *question, cohort_answer *answer,
                                cohort_error *error) {
  const turn *own = driver->implementation;
  cohort_updater *updater = own->step->updater;
  if (!may_be_asked(updater, question->point) || !may_be_asked(updater, question->direction))
    return cohort_fail(error, COHORT_BUG,
                       "optimizer %s: asks about a vector that it does not declare asked; report this",
                       updater->node[own->index].choice.method->key);
  if (question->point > 0) cohort_update_bring(updater, question->point);
  if (question->direction > 0) bring_whole(updater, question->direction);
  return cohort_update_ask(own->step, own->index, question, answer, error);
}

static cohort_status driver_step(cohort_driver *driver, bool *applied, cohort_error *error) {
  const turn *own = driver->implementation;
  return cohort_update_take(own->step, own->index + 1, applied, error);
}

static cohort_status driver_update(cohort_driver *driver, int target, int gradient, bool decay, bool *applied,
                                   cohort_error *error) {
  (void)error;
  const turn *own = driver->implementation;
  const void *values = cohort_update_vector_values(own->step->updater, gradient);
  cohort_update_apply(own->step, target, values, NULL, decay, false, applied);
  if (*applied) written(own, target);
  return COHORT_DONE;
}

typedef struct decay_job {
  char *target;
  const char *source;
  double factor;
} decay_job;

static void decay_piece(void *argument, const cohort_updater *updater, int p) {
  const decay_job *job = argument;
  const cohort_piece *piece = &updater->options.space->piece[p];
  const cohort_update_group *group = &updater->groups.group[updater->groups.of_tensor[piece->tensor]];
  if (!group->decay || !cohort_role_decays(updater->options.space->tensor[piece->tensor].declared.role)) return;
  char *target = job->target + (size_t)piece->offset * updater->real;
  updater->algebra->combine(piece->elements, target, 1, target,
                            -job->factor * group->learning_rate * group->weight_decay,
                            job->source + (size_t)piece->offset * updater->real);
}

static void driver_decay(cohort_driver *driver, int target, int source) {
  const turn *own = driver->implementation;
  const cohort_updater *updater = own->step->updater;
  decay_job job = {cohort_update_vector_values(updater, target), cohort_update_vector_values(updater, source),
                   own->step->factor};
  if (updater->groups.count) cohort_update_each(updater, decay_piece, &job);
  written(own, target);
}

static void driver_move(cohort_driver *driver, int vector, bool *applied) {
  const turn *own = driver->implementation;
  cohort_updater *updater = own->step->updater;
  const void *values = cohort_update_vector_values(updater, vector);
  double square;
  cohort_update_dots(updater, 1, &values, &values, &square);
  *applied = isfinite(square) && own->step->finite;
  if (!*applied) return;
  copy(updater, cohort_update_vector_values(updater, COHORT_VECTOR_WEIGHTS), values);
  written(own, COHORT_VECTOR_WEIGHTS);
}

enum { MOST_DOTS = 64 };

static void driver_dots(cohort_driver *driver, int count, const int *a, const int *b, double *out) {
  const turn *own = driver->implementation;
  cohort_updater *updater = own->step->updater;
  const void *x[MOST_DOTS], *y[MOST_DOTS];
  for (int first = 0; first < count; first += MOST_DOTS) {
    const int here = count - first < MOST_DOTS ? count - first : MOST_DOTS;
    for (int i = 0; i < here; i++) {
      x[i] = cohort_update_vector_values(updater, a[first + i]);
      y[i] = cohort_update_vector_values(updater, b[first + i]);
    }
    cohort_update_dots(updater, here, x, y, out + first);
  }
}

static void driver_copy(cohort_driver *driver, int out, int from) {
  const turn *own = driver->implementation;
  const cohort_updater *updater = own->step->updater;
  copy(updater, cohort_update_vector_values(updater, out), cohort_update_vector_values(updater, from));
  written(own, out);
}

static void driver_combine(cohort_driver *driver, int out, double alpha, int a, double beta, int b) {
  const turn *own = driver->implementation;
  const cohort_updater *updater = own->step->updater;
  cohort_update_combine(updater, cohort_update_vector_values(updater, out), alpha,
                        cohort_update_vector_values(updater, a), beta, cohort_update_vector_values(updater, b));
  written(own, out);
}

typedef struct map_job {
  cohort_map map;
  char *out;
  const char *a, *b;
  double number;
} map_job;

static void map_piece(void *argument, const cohort_updater *updater, int p) {
  const map_job *job = argument;
  const cohort_piece *piece = &updater->options.space->piece[p];
  const size_t at = (size_t)piece->offset * updater->real;
  updater->algebra->map(job->map, piece->elements, job->out + at, job->a + at, job->b + at, job->number);
}

static void driver_map(cohort_driver *driver, cohort_map map, int out, int a, int b, double number) {
  const turn *own = driver->implementation;
  const cohort_updater *updater = own->step->updater;
  map_job job = {map, cohort_update_vector_values(updater, out), cohort_update_vector_values(updater, a),
                 cohort_update_vector_values(updater, b), number};
  cohort_update_each(updater, map_piece, &job);
  written(own, out);
}

typedef struct fill_job {
  cohort_fill fill;
  char *out;
  cohort_random_key key;
  double number;
} fill_job;

static void fill_piece(void *argument, const cohort_updater *updater, int p) {
  const fill_job *job = argument;
  const cohort_piece *piece = &updater->options.space->piece[p];
  updater->algebra->fill(job->fill, piece->offset, piece->elements, job->out + (size_t)piece->offset * updater->real,
                         job->key, job->number);
}

/* Where parameter number `number` lies in the flat vector; -1 past the last. */
static int64_t place_of(const cohort_space *space, int64_t number) {
  for (int t = 0; t < space->tensors; t++) {
    if (number < space->tensor[t].elements) return space->tensor[t].offset + number;
    number -= space->tensor[t].elements;
  }
  return -1;
}

static void driver_fill(cohort_driver *driver, cohort_fill fill, int out, const char *name, double number) {
  const turn *own = driver->implementation;
  const cohort_updater *updater = own->step->updater;
  const cohort_oracle *oracle = own->step->oracle;
  const cohort_random_key method =
      cohort_random_key_derive_name(updater->key, updater->node[own->index].choice.method->key);
  const cohort_random_key named = name ? cohort_random_key_derive_name(method, name) : method;
  const cohort_random_key step = cohort_random_key_derive(named, (uint64_t)own->step->step);
  const void *given =
      name && oracle->draws ? oracle->draws(oracle->argument, name, own->step->step, (int64_t)number) : NULL;
  void *values = cohort_update_vector_values(updater, out);
  fill_job job = {fill, values, cohort_random_key_derive(step, (uint64_t)(int64_t)number), number};
  if (fill == COHORT_FILL_UNIT) job.number = (double)place_of(updater->options.space, (int64_t)number);
  if (given)
    copy(updater, values, given);
  else
    cohort_update_each(updater, fill_piece, &job);
  written(own, out);
}

static double driver_base_real(const cohort_driver *driver, const char *name, double otherwise) {
  const turn *own = driver->implementation;
  const cohort_parameter_groups *groups = &own->step->updater->groups;
  return groups->count ? cohort_choice_real(&groups->group[groups->count - 1].choice, name, otherwise) : otherwise;
}

static int64_t driver_parameters(const cohort_driver *driver) {
  const turn *own = driver->implementation;
  return own->step->updater->options.space->parameters;
}

static void driver_run(cohort_driver *driver, int program, int count, const int *vector, double *report) {
  const turn *own = driver->implementation;
  cohort_update_run_program(own->step, &own->step->updater->node[own->index], program, count, vector, report);
  for (int i = 0; i < count; i++) written(own, vector[i]);
}

const cohort_driver_functions cohort_update_driver_functions = {.ask = driver_ask,
                                                                .step = driver_step,
                                                                .update = driver_update,
                                                                .decay = driver_decay,
                                                                .move = driver_move,
                                                                .dots = driver_dots,
                                                                .copy = driver_copy,
                                                                .combine = driver_combine,
                                                                .map = driver_map,
                                                                .fill = driver_fill,
                                                                .base_real = driver_base_real,
                                                                .parameters = driver_parameters,
                                                                .run = driver_run};

static bool has_transform(const cohort_updater *updater, int until) {
  for (int n = 0; n < until; n++)
    if (updater->node[n].functions->gradient) return true;
  return false;
}

static bool has_stepper(const cohort_updater *updater) {
  for (int n = 0; n < updater->nodes; n++)
    if (updater->node[n].functions->drive) return true;
  return false;
}

/* Signs for the hvp diagonal of this step: drawn by piece, then whole everywhere. */
static void draw_signs(cohort_update_step *step) {
  cohort_updater *updater = step->updater;
  const cohort_random_key key =
      cohort_random_key_derive(cohort_random_key_derive_name(updater->key, "rademacher"), (uint64_t)step->step);
  const void *given = step->oracle->draws ? step->oracle->draws(step->oracle->argument, "z", step->step, 0) : NULL;
  void *values = cohort_update_vector_values(updater, updater->direction);
  fill_job job = {COHORT_FILL_RADEMACHER, values, key, 0};
  if (given)
    copy(updater, values, given);
  else
    cohort_update_each(updater, fill_piece, &job);
  bring_whole(updater, updater->direction);
}

typedef struct multiply_job {
  char *out;
  const char *a;
} multiply_job;

static void multiply_piece(void *argument, const cohort_updater *updater, int p) {
  const multiply_job *job = argument;
  const cohort_piece *piece = &updater->options.space->piece[p];
  const size_t at = (size_t)piece->offset * updater->real;
  updater->algebra->multiply(piece->elements, job->out + at, job->a + at);
}

/* The other hvp diagonal: labels g g, g the gradient of the mean loss at labels drawn from the model. */
static cohort_status square_sampled(cohort_update_step *step, void *values, cohort_error *error) {
  cohort_updater *updater = step->updater;
  cohort_question question = cohort_ask_gradient(COHORT_VECTOR_WEIGHTS, COHORT_VECTOR_NONE);
  cohort_answer answer;
  void *gradient = NULL, *product = NULL;
  question.labels = true;
  COHORT_TRY(cohort_update_ask_oracle(step, &question, &answer, &gradient, &product, error));
  map_job job = {COHORT_MAP_PRODUCT, values, gradient, gradient, 0};
  cohort_update_each(updater, map_piece, &job);
  cohort_update_combine(updater, values, (double)step->oracle->labels, values, 0, values);
  return COHORT_DONE;
}

/* The base's own step: its gradient at the weights, with or without hvp diagonal. */
static cohort_status take_base(cohort_update_step *step, bool *applied, cohort_error *error) {
  cohort_updater *updater = step->updater;
  const bool travels = !has_stepper(updater);
  cohort_answer answer;
  if (has_transform(updater, updater->nodes)) {
    const cohort_question question = cohort_ask_gradient(COHORT_VECTOR_WEIGHTS, updater->answer);
    COHORT_TRY(cohort_update_ask(step, updater->nodes, &question, &answer, error));
    cohort_update_apply(step, COHORT_VECTOR_WEIGHTS, cohort_update_vector_values(updater, updater->answer), NULL, true,
                        travels, applied);
    updater->weights_stale = updater->weights_stale || (*applied && !travels);
    return COHORT_DONE;
  }
  cohort_question question = cohort_ask_gradient(COHORT_VECTOR_WEIGHTS, COHORT_VECTOR_NONE);
  const bool hvp_diagonal = updater->hvp_diagonal && step->step % updater->hvp_diagonal_every == 0;
  void *gradient = NULL, *product = NULL, *curvature = NULL;
  if (hvp_diagonal) curvature = cohort_update_vector_values(updater, updater->direction);
  if (hvp_diagonal && updater->hvp_diagonal_sampled) {
    COHORT_TRY(square_sampled(step, curvature, error));
  } else if (hvp_diagonal) {
    draw_signs(step);
    question.direction = updater->direction;
  }
  COHORT_TRY(cohort_update_ask_oracle(step, &question, &answer, &gradient, &product, error));
  if (product) {
    multiply_job job = {product, curvature};
    cohort_update_each(updater, multiply_piece, &job);
    curvature = product;
  }
  cohort_update_apply(step, COHORT_VECTOR_WEIGHTS, gradient, curvature, true, travels, applied);
  updater->weights_stale = updater->weights_stale || (*applied && !travels);
  return COHORT_DONE;
}

cohort_status cohort_update_take(cohort_update_step *step, int index, bool *applied, cohort_error *error) {
  cohort_updater *updater = step->updater;
  *applied = false;
  if (index >= updater->nodes) return take_base(step, applied, error);
  cohort_update_node *node = &updater->node[index];
  if (!node->functions->drive) return cohort_update_take(step, index + 1, applied, error);
  turn own = begin_turn(step, index);
  own.driver.implementation = &own;
  return node->functions->drive(&own.driver, applied, error);
}

void cohort_update_commit(cohort_update_step *step) {
  cohort_updater *updater = step->updater;
  for (int n = 0; n < updater->nodes; n++) {
    if (!updater->node[n].answered || !updater->node[n].functions->commit) continue;
    turn own = begin_turn(step, n);
    own.driver.implementation = &own;
    updater->node[n].functions->commit(&own.driver);
  }
}
