/* The family aggregator, and its probe: Gram matrix, weights, direction, in float64 as in training. Costs a pass over
 * the gradients for each pair of objectives. */
#include "method/aggregator/aggregator.h"

#include "method/family.h"
#include "method/registry.h"

static const cohort_probe_array inputs[] = {
    {"gradients",
     COHORT_ARRAY_OF_REAL,
     {"objectives", "n"},
     .constraint = "objectives <= 16",
     .meaning = "one gradient per objective"},
    {"losses",
     COHORT_ARRAY_OF_REAL,
     {"objectives"},
     .optional = true,
     .meaning = "one loss per objective; zeros when not given"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"direction", COHORT_ARRAY_OF_REAL, {"n"}, .meaning = "sum of weights times gradients"},
    {"weights", COHORT_ARRAY_OF_REAL, {"objectives"}, .meaning = "coefficient of each gradient"},
    {.name = NULL},
};

static const cohort_probe_setting settings[] = {
    {"seed", "0", "0", NULL, .meaning = "of what the method draws"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"objectives", 1, 3, NULL, .meaning = "at most 16"},
    {"n", 1, 8, NULL, .meaning = "elements of a gradient"},
    {.name = NULL},
};

static double inner_product(const double *gradients, int64_t n, int64_t a, int64_t b) {
  double sum = 0;
  for (int64_t e = 0; e < n; e++) sum += gradients[a * n + e] * gradients[b * n + e];
  return sum;
}

/* States as they are before the first step. */
static void make_states(const cohort_probe_call *call, int objectives, const double **state, double **next) {
  const cohort_choice own = {call->method, (void *)(uintptr_t)call->config};
  int i = 0;
  for (const cohort_state *s = call->method->states; s && s->name; s++, i++) {
    const int64_t count = s->size ? s->size(call->config, COHORT_SHAPE((int64_t)objectives)) : 1;
    double *values = call->memory(call, 2 * count);
    for (int64_t e = 0; e < 2 * count; e++)
      values[e] = s->initial_parameter ? cohort_choice_real(&own, s->initial_parameter, 0) : 0;
    state[i] = values;
    next[i] = values + count;
  }
}

static cohort_status probe(const cohort_probe_call *call, cohort_error *error) {
  const cohort_aggregator *functions = call->method->functions;
  const double *gradients = call->input(call, "gradients"), *losses = call->input(call, "losses");
  const int objectives = (int)call->size(call, "objectives");
  const int64_t n = call->size(call, "n");
  const int wanted = functions->objectives ? functions->objectives(call->config) : 0;
  if (wanted && wanted != objectives)
    return cohort_fail(error, COHORT_BAD_CONFIG, "%s is given for %d objectives, but /gradients holds %d; give as many",
                       call->method->key, wanted, objectives);
  double *products = call->memory(call, (int64_t)objectives * objectives);
  for (int i = 0; i < objectives; i++)
    for (int j = 0; j < objectives; j++) products[i * objectives + j] = inner_product(gradients, n, i, j);
  const double *state[COHORT_MAX_STATES] = {NULL};
  double *next[COHORT_MAX_STATES] = {NULL};
  make_states(call, objectives, state, next);
  const cohort_random_key seed = cohort_random_key_from_seed((uint64_t)call->setting(call, "seed"));
  const cohort_aggregation own = {.config = call->config,
                                  .objectives = objectives,
                                  .step = 1,
                                  .products = products,
                                  .losses = losses ? losses : call->memory(call, objectives),
                                  .key = cohort_random_key_derive_name(seed, "aggregator"),
                                  .state = state,
                                  .next = next};
  double *weights = call->output(call, "weights"), *direction = call->output(call, "direction");
  functions->weigh(&own, weights);
  for (int64_t e = 0; e < n; e++)
    for (int i = 0; i < objectives; i++) direction[e] += weights[i] * gradients[i * n + e];
  return COHORT_DONE;
}

const cohort_family cohort_family_aggregator = {
    .name = "aggregator",
    .summary = "one direction from the gradients of several objectives",
    .catalogue = "multiobjective",
    .inputs = inputs,
    .outputs = outputs,
    .settings = settings,
    .symbols = symbols,
    .probe = probe,
};
