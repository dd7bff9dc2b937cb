/* Probe of an aggregator: Gram matrix, weights, direction, in float64. */
#include "method/aggregator/aggregator.h"

#include "probe/probe.h"

static double inner_product(const cohort_array *gradients, int64_t a, int64_t b) {
  const int64_t n = gradients->size[1];
  double sum = 0;
  for (int64_t e = 0; e < n; e++)
    sum += cohort_array_get(gradients, a * n + e) * cohort_array_get(gradients, b * n + e);
  return sum;
}

/* States as they are before the first step. */
static void make_states(cohort_probe_state *probe, int objectives, const double **state, double **next) {
  int i = 0;
  for (const cohort_state *s = probe->choice.method->states; s && s->name; s++, i++) {
    const cohort_shape shape = COHORT_SHAPE((int64_t)objectives);
    const int64_t count = s->size ? s->size(probe->choice.config, shape) : 1;
    double *values = cohort_probe_memory(probe, 2 * (size_t)count * sizeof *values);
    for (int64_t e = 0; e < 2 * count; e++)
      values[e] = s->initial_parameter ? cohort_choice_real(&probe->choice, s->initial_parameter, 0) : 0;
    state[i] = values;
    next[i] = values + count;
  }
}

/* Inner products and the weighted sum are made in float64, as the training loop does. */
static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  const cohort_aggregator *functions = probe->choice.method->functions;
  const cohort_array *gradients = cohort_probe_input(probe, "gradients"), *given = cohort_probe_input(probe, "losses");
  const int objectives = (int)gradients->size[0];
  const int64_t n = gradients->size[1];
  const int wanted = functions->objectives ? functions->objectives(probe->choice.config) : 0;
  if (wanted && wanted != objectives)
    return cohort_fail(error, COHORT_BAD_CONFIG, "%s is given for %d objectives, but /gradients holds %d; give as many",
                       probe->choice.method->key, wanted, objectives);
  double products[COHORT_MAX_OBJECTIVES * COHORT_MAX_OBJECTIVES], losses[COHORT_MAX_OBJECTIVES] = {0},
                                                                  weights[COHORT_MAX_OBJECTIVES] = {0};
  for (int i = 0; i < objectives; i++) {
    if (given) losses[i] = cohort_array_get(given, i);
    for (int j = 0; j < objectives; j++) products[i * objectives + j] = inner_product(gradients, i, j);
  }
  const double *state[COHORT_MAX_STATES] = {NULL};
  double *next[COHORT_MAX_STATES] = {NULL};
  make_states(probe, objectives, state, next);
  const cohort_random_key seed = cohort_random_key_from_seed((uint64_t)cohort_probe_setting_value(probe, "seed"));
  const cohort_aggregation own = {.config = probe->choice.config,
                                  .objectives = objectives,
                                  .step = 1,
                                  .products = products,
                                  .losses = losses,
                                  .key = cohort_random_key_derive_name(seed, "aggregator"),
                                  .state = state,
                                  .next = next};
  functions->weigh(&own, weights);
  void *direction = cohort_probe_output(probe, "direction", COHORT_SHAPE(n));
  for (int64_t e = 0; e < n; e++) {
    double sum = 0;
    for (int i = 0; i < objectives; i++) sum += weights[i] * cohort_array_get(gradients, i * n + e);
    cohort_probe_set(probe, direction, e, sum);
  }
  void *out = cohort_probe_output(probe, "weights", COHORT_SHAPE(objectives));
  for (int i = 0; i < objectives; i++) cohort_probe_set(probe, out, i, weights[i]);
  return COHORT_DONE;
}

const cohort_probe_family cohort_probe_aggregator = {.name = "aggregator", .run = run};
