/* Probe of a policy loss on given log-probabilities: the arrays become token columns, rewards become advantages group
 * by group, and from there on the family's own builders make the loss, as in training. Costs a pass over the tokens,
 * and of rewards one over all completions for each. */
#include "method/policy/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/gradient.h"
#include "probe/probe.h"

enum { LEAVES = 8, RESULTS = 3 };

typedef struct policy_bench {
  cohort_probe_state *probe;
  cohort_graph *graph;
  int64_t completions, tokens; /* T */
  int leaves;
  cohort_probe_leaf leaf[LEAVES];
} policy_bench;

/* An array as one column of tokens, [N]. */
static cohort_value add_tokens(policy_bench *own, const char *name, void *data) {
  const cohort_value value =
      cohort_graph_input(own->graph, name, COHORT_TYPE_REAL, COHORT_SHAPE(own->completions, own->tokens));
  own->leaf[own->leaves++] = (cohort_probe_leaf){value, data};
  return value;
}

static cohort_value flat(const policy_bench *own, cohort_value value) {
  return cohort_graph_reshape(own->graph, value, COHORT_SHAPE(own->completions * own->tokens));
}

static void *reals_of(const policy_bench *own, const char *name) {
  return cohort_probe_reals(own->probe, cohort_probe_input(own->probe, name));
}

static cohort_value add_segments(policy_bench *own) {
  const int64_t rows = own->completions * own->tokens;
  int32_t *segment = cohort_probe_memory(own->probe, (size_t)rows * sizeof *segment);
  for (int64_t r = 0; r < rows; r++) segment[r] = (int32_t)(r / own->tokens);
  const cohort_value value = cohort_graph_input(own->graph, "segments", COHORT_TYPE_INTEGER, COHORT_SHAPE(rows));
  own->leaf[own->leaves++] = (cohort_probe_leaf){value, segment};
  return value;
}

/* The group of each completion, by the first that has its number. */
static void fill_group(const policy_bench *own, const int32_t *group, int64_t first, const double *reward,
                       void *advantage) {
  const cohort_probe_state *probe = own->probe;
  const cohort_policy *functions = probe->choice.method->functions;
  double *of = cohort_allocate(2 * (size_t)own->completions * sizeof *of), *made = of + own->completions;
  int64_t count = 0;
  for (int64_t c = first; c < own->completions; c++)
    if (group[c] == group[first]) of[count++] = reward[c];
  functions->advantages(probe->choice.config, count, of, made);
  count = 0;
  for (int64_t c = first; c < own->completions; c++) {
    if (group[c] != group[first]) continue;
    for (int64_t t = 0; t < own->tokens; t++) cohort_probe_set(probe, advantage, c * own->tokens + t, made[count]);
    count++;
  }
  free(of);
}

static void *make_advantages(const policy_bench *own) {
  const cohort_array *rewards = cohort_probe_input(own->probe, "reward");
  if (!rewards) return reals_of(own, "advantage");
  const int32_t *group = cohort_probe_integers(own->probe, cohort_probe_input(own->probe, "group"));
  const size_t rows = (size_t)(own->completions * own->tokens);
  void *advantage = cohort_probe_memory(own->probe, rows * cohort_probe_real_size(own->probe));
  double *reward = cohort_allocate((size_t)own->completions * sizeof *reward);
  for (size_t i = 0; i < rows; i++) reward[i / (size_t)own->tokens] += cohort_array_get(rewards, (int64_t)i);
  for (int64_t c = 0; c < own->completions; c++) {
    int64_t first = 0;
    while (group[first] != group[c]) first++;
    if (first == c) fill_group(own, group, c, reward, advantage);
  }
  free(reward);
  return advantage;
}

static cohort_policy_fields add_fields(policy_bench *own, bool reference, cohort_value *policy) {
  cohort_graph *graph = own->graph;
  cohort_policy_fields fields = {.completions = own->completions, .limit = own->tokens, .reference = COHORT_NO_VALUE};
  *policy = add_tokens(own, "policy", reals_of(own, "policy"));
  fields.policy = flat(own, *policy);
  fields.old = flat(own, add_tokens(own, "old", reals_of(own, "old")));
  if (reference) fields.reference = flat(own, add_tokens(own, "reference", reals_of(own, "reference")));
  fields.mask = flat(own, add_tokens(own, "mask", reals_of(own, "mask")));
  fields.advantage = flat(own, add_tokens(own, "advantage", make_advantages(own)));
  fields.segments = add_segments(own);
  const cohort_value one = cohort_graph_constant(graph, 1);
  const cohort_value scored = cohort_graph_segment_sum(graph, fields.mask, fields.segments, own->completions);
  fields.length = cohort_graph_binary(graph, COHORT_OP_MAXIMUM, scored, one);
  const cohort_value all = cohort_graph_binary(graph, COHORT_OP_MAXIMUM, cohort_graph_sum_all(graph, scored), one);
  fields.token_share = cohort_graph_divide(graph, cohort_graph_constant(graph, (double)own->completions), all);
  return fields;
}

static cohort_status check_reference(const cohort_probe_state *probe, bool reference, cohort_error *error) {
  if (!reference || cohort_probe_input(probe, "reference")) return COHORT_DONE; /* of weight 0 it changes nothing */
  return cohort_fail(error, COHORT_BAD_DATA, "%s: at these settings %s needs the array reference",
                     probe->request->input, probe->choice.method->key);
}

static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  const cohort_method *method = probe->choice.method;
  const cohort_policy *functions = method->functions;
  const bool reference = cohort_policy_needs_reference(method, probe->choice.config);
  COHORT_TRY(check_reference(probe, reference, error));
  policy_bench own = {.probe = probe,
                      .graph = cohort_graph_create(),
                      .completions = cohort_probe_size_of(probe, "completions"),
                      .tokens = cohort_probe_size_of(probe, "T")};
  cohort_value policy, gradient;
  const cohort_policy_fields fields = add_fields(&own, reference, &policy);
  const cohort_policy_outputs outputs = functions->build(probe->choice.config, own.graph, &fields);
  const cohort_value loss =
      cohort_graph_scale(own.graph, cohort_graph_sum_all(own.graph, outputs.loss), 1 / (double)own.completions);
  cohort_graph_gradient(own.graph, loss, COHORT_NO_VALUE, 1, &policy, &gradient);
  const cohort_probe_wanted wanted[RESULTS] = {{loss, "loss", COHORT_SCALAR_SHAPE},
                                               {outputs.loss, "per_completion", COHORT_SHAPE(own.completions)},
                                               {gradient, "gradient", COHORT_SHAPE(own.completions, own.tokens)}};
  const cohort_status status = cohort_probe_evaluate(probe, own.graph, own.leaves, own.leaf, RESULTS, wanted, error);
  cohort_graph_destroy(own.graph);
  return status;
}

/* One number a completion stands for all its tokens (`spread`), or for their sum. */
static void widen(cohort_probe_state *probe, const char *name, bool spread) {
  const cohort_array *policy = cohort_probe_input(probe, "policy");
  cohort_array *array = cohort_arrays_find(&probe->in, name);
  if (!policy || policy->axes != 2 || !array || array->axes != 1 || array->size[0] != policy->size[0]) return;
  const int64_t rows = policy->size[0], tokens = policy->size[1];
  const size_t size = array->type == COHORT_ARRAY_FLOAT32 ? sizeof(float) : sizeof(double);
  char *wide = cohort_allocate((size_t)(rows * tokens) * size + 1);
  for (int64_t c = 0; c < rows; c++)
    for (int64_t t = 0; t < (spread ? tokens : 1); t++)
      memcpy(wide + (size_t)(c * tokens + t) * size, (const char *)array->data + (size_t)c * size, size);
  free(array->data);
  array->data = wide;
  array->axes = 2;
  array->size[1] = tokens;
}

static void bind_columns(cohort_probe_state *probe) {
  widen(probe, "advantage", true);
  widen(probe, "reward", false);
}

const cohort_probe_program cohort_probe_policy = {.family = "policy", .bind = bind_columns, .run = run};
