/* Probe of a policy loss on given log-probabilities: the arrays become a rollout, the method's experience makes
 * advantages of its rewards, and from there on the family's own builders make the loss, as in training. Invariant: the
 * order in which groups stand in the file changes nothing. Costs a pass over the tokens each. */
#include "method/policy/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/gradient.h"
#include "probe/probe.h"

enum { LEAVES = 20, RESULTS = 8 };

/* Columns in the order of experience: group by group, in each the data's last. */
typedef struct policy_bench {
  cohort_probe_state *probe;
  cohort_graph *graph;
  int64_t completions, tokens; /* T */
  int64_t *order;              /* [completions]: the file's number of each */
  cohort_policy_rollouts rollouts;
  cohort_policy_experience made;
  int leaves;
  cohort_probe_leaf leaf[LEAVES];
} policy_bench;

static double *doubles(const policy_bench *own, int64_t count) {
  return cohort_probe_memory(own->probe, (size_t)(count + 1) * sizeof(double));
}

/* A column of tokens (`width` T), or of completions (1), in order; NULL: not given. */
static const double *take(const policy_bench *own, const char *name, int64_t width) {
  const cohort_array *array = cohort_probe_input(own->probe, name);
  if (!array) return NULL;
  double *out = doubles(own, own->completions * width);
  for (int64_t c = 0; c < own->completions; c++)
    for (int64_t t = 0; t < width; t++) out[c * width + t] = cohort_array_get(array, own->order[c] * width + t);
  return out;
}

/* Of the probe's type, in the file's order. */
static void *give(const policy_bench *own, const double *values, int64_t width) {
  void *out = cohort_probe_memory(own->probe, (size_t)(own->completions * width) * cohort_probe_real_size(own->probe));
  for (int64_t c = 0; c < own->completions; c++)
    for (int64_t t = 0; t < width; t++)
      cohort_probe_set(own->probe, out, own->order[c] * width + t, values[c * width + t]);
  return out;
}

/* Groups by the first completion that has their number; without groups all are of one. */
static void list_groups(policy_bench *own) {
  const int32_t *group = NULL, *data = NULL;
  if (cohort_probe_input(own->probe, "group"))
    group = cohort_probe_integers(own->probe, cohort_probe_input(own->probe, "group"));
  if (cohort_probe_input(own->probe, "from_data"))
    data = cohort_probe_integers(own->probe, cohort_probe_input(own->probe, "from_data"));
  const size_t bytes = (size_t)own->completions * sizeof(int64_t);
  int64_t *first = cohort_probe_memory(own->probe, bytes), *last = cohort_probe_memory(own->probe, bytes), count = 0;
  own->order = cohort_probe_memory(own->probe, bytes);
  for (int64_t c = 0; c < own->completions; c++) {
    int64_t leader = 0;
    while (group && group[leader] != group[c]) leader++;
    if (group ? leader < c : c > 0) continue;
    const int64_t g = own->rollouts.groups++;
    first[g] = last[g] = count;
    for (int from = 0; from < 2; from++) {
      for (int64_t i = c; i < own->completions; i++)
        if ((!group || group[i] == group[c]) && (data ? data[i] : 0) == from) own->order[count++] = i;
      if (from == 0) last[g] = count;
    }
  }
  own->rollouts.first = first;
  own->rollouts.last = last;
}

static void take_rewards(policy_bench *own) {
  cohort_policy_rollouts *rollouts = &own->rollouts;
  const cohort_array *weights = cohort_probe_input(own->probe, "weights");
  if (weights) {
    rollouts->rewards = (int)cohort_probe_size_of(own->probe, "rewards");
    double *weight = doubles(own, rollouts->rewards), *reward = doubles(own, rollouts->rewards * own->completions);
    for (int k = 0; k < rollouts->rewards; k++) {
      weight[k] = cohort_array_get(weights, k);
      for (int64_t c = 0; c < own->completions; c++)
        reward[k * own->completions + c] =
            cohort_array_get(cohort_probe_input(own->probe, "rewards"), k * own->completions + own->order[c]);
    }
    rollouts->weight = weight;
    rollouts->reward = reward;
    return;
  }
  double *sum = doubles(own, own->completions), *one = doubles(own, 1);
  rollouts->token_reward = take(own, "reward", own->tokens);
  for (int64_t t = 0; t < own->completions * own->tokens; t++)
    sum[t / own->tokens] += rollouts->mask[t] > 0 ? rollouts->token_reward[t] : 0;
  one[0] = 1;
  rollouts->rewards = 1;
  rollouts->weight = one;
  rollouts->reward = sum;
}

static void take_ends(policy_bench *own) {
  const cohort_array *array = cohort_probe_input(own->probe, "ended");
  if (!array) return;
  bool *ended = cohort_probe_memory(own->probe, (size_t)own->completions);
  for (int64_t c = 0; c < own->completions; c++) ended[c] = cohort_array_get(array, own->order[c]) != 0;
  own->rollouts.ended = ended;
}

static void take_greedy(policy_bench *own) {
  const double *each = take(own, "greedy", 1);
  if (!each) return;
  double *greedy = doubles(own, own->rollouts.groups);
  for (int64_t g = 0; g < own->rollouts.groups; g++) greedy[g] = each[own->rollouts.first[g]];
  own->rollouts.greedy = greedy;
}

static void take_state(policy_bench *own) {
  const cohort_policy *functions = own->probe->choice.method->functions;
  const cohort_array *array = cohort_probe_input(own->probe, "state");
  double *state = doubles(own, COHORT_POLICY_STATES);
  if (functions->begin) functions->begin(own->probe->choice.config, state);
  for (int i = 0; array && i < COHORT_POLICY_STATES; i++) state[i] = cohort_array_get(array, i);
  memcpy(own->made.next, state, COHORT_POLICY_STATES * sizeof *state);
  own->rollouts.state = state;
}

/* From advantages alone. */
static void take_advantages(policy_bench *own) {
  const double *advantage = take(own, "advantage", own->tokens), *mask = own->rollouts.mask;
  for (int64_t i = own->completions * own->tokens - 1; i >= 0; i--) {
    if (mask[i] == 0) continue;
    own->made.advantage[i] = own->made.score[i / own->tokens] = advantage[i];
    if (own->rollouts.value) own->made.target[i] = advantage[i] + own->rollouts.value[i];
  }
}

static void make_experience(policy_bench *own) {
  const cohort_policy *functions = own->probe->choice.method->functions;
  const int64_t tokens = own->completions * own->tokens;
  cohort_policy_rollouts *rollouts = &own->rollouts;
  rollouts->completions = own->completions;
  rollouts->width = own->tokens;
  list_groups(own);
  rollouts->mask = take(own, "mask", own->tokens);
  rollouts->old = take(own, "old", own->tokens);
  rollouts->reference = take(own, "reference", own->tokens);
  rollouts->guide = take(own, "guide", own->tokens);
  rollouts->value = take(own, "old_value", own->tokens);
  take_ends(own);
  take_greedy(own);
  own->made = (cohort_policy_experience){.advantage = doubles(own, tokens),
                                         .target = doubles(own, tokens),
                                         .score = doubles(own, own->completions),
                                         .next = doubles(own, COHORT_POLICY_STATES),
                                         .room = doubles(own, 2 * tokens),
                                         .completion = doubles(own, 4 * own->completions)};
  take_state(own);
  if (cohort_probe_input(own->probe, "advantage")) {
    take_advantages(own);
    return;
  }
  take_rewards(own);
  functions->experience(own->probe->choice.config, rollouts, &own->made);
}

static cohort_value add_leaf(policy_bench *own, const char *name, cohort_shape shape, void *data) {
  const cohort_value value = cohort_graph_input(own->graph, name, COHORT_TYPE_REAL, shape);
  own->leaf[own->leaves++] = (cohort_probe_leaf){value, data};
  return value;
}

/* An array as one column of tokens, [N]; `leaf` (or NULL) receives it as it was given. */
static cohort_value add_tokens(policy_bench *own, const char *name, void *data, cohort_value *leaf) {
  const cohort_value value = add_leaf(own, name, COHORT_SHAPE(own->completions, own->tokens), data);
  if (leaf) *leaf = value;
  return cohort_graph_reshape(own->graph, value, COHORT_SHAPE(own->completions * own->tokens));
}

static cohort_value add_given(policy_bench *own, bool wanted, const char *name, cohort_value *leaf) {
  if (!wanted) return COHORT_NO_VALUE;
  return add_tokens(own, name, cohort_probe_reals(own->probe, cohort_probe_input(own->probe, name)), leaf);
}

static cohort_value add_segments(policy_bench *own) {
  const int64_t rows = own->completions * own->tokens;
  int32_t *segment = cohort_probe_memory(own->probe, (size_t)rows * sizeof *segment);
  for (int64_t r = 0; r < rows; r++) segment[r] = (int32_t)(r / own->tokens);
  const cohort_value value = cohort_graph_input(own->graph, "segments", COHORT_TYPE_INTEGER, COHORT_SHAPE(rows));
  own->leaf[own->leaves++] = (cohort_probe_leaf){value, segment};
  return value;
}

/* The number of its group. */
static cohort_value add_groups(policy_bench *own) {
  int32_t *number = cohort_probe_memory(own->probe, (size_t)own->completions * sizeof *number);
  const cohort_policy_rollouts *rollouts = &own->rollouts;
  for (int64_t g = 0; g < rollouts->groups; g++) {
    const int64_t end = g + 1 < rollouts->groups ? rollouts->first[g + 1] : own->completions;
    for (int64_t c = rollouts->first[g]; c < end; c++) number[own->order[c]] = (int32_t)g;
  }
  const cohort_value value =
      cohort_graph_input(own->graph, "groups", COHORT_TYPE_INTEGER, COHORT_SHAPE(own->completions));
  own->leaf[own->leaves++] = (cohort_probe_leaf){value, number};
  return value;
}

static void add_counts(const policy_bench *own, cohort_policy_fields *fields) {
  cohort_graph *graph = own->graph;
  const cohort_value one = cohort_graph_constant(graph, 1);
  const cohort_value scored = cohort_graph_segment_sum(graph, fields->mask, fields->segments, own->completions);
  fields->length = cohort_graph_binary(graph, COHORT_OP_MAXIMUM, scored, one);
  const cohort_value all = cohort_graph_binary(graph, COHORT_OP_MAXIMUM, cohort_graph_sum_all(graph, scored), one);
  fields->token_share = cohort_graph_divide(graph, cohort_graph_constant(graph, (double)own->completions), all);
}

/* leaf[2]: policy and value, as they are differentiated by. */
static cohort_policy_fields add_fields(policy_bench *own, unsigned needs, cohort_value *leaf) {
  const cohort_shape each = COHORT_SHAPE(own->completions);
  const bool value = needs & COHORT_POLICY_VALUE;
  cohort_policy_fields fields = {
      .completions = own->completions, .limit = own->tokens, .from_data = COHORT_NO_VALUE, .target = COHORT_NO_VALUE};
  fields.policy = add_given(own, true, "policy", &leaf[0]);
  fields.old = add_given(own, true, "old", NULL);
  fields.reference = add_given(own, needs & COHORT_POLICY_REFERENCE, "reference", NULL);
  fields.guide = add_given(own, needs & COHORT_POLICY_GUIDE, "guide", NULL);
  fields.entropy = add_given(own, needs & COHORT_POLICY_ENTROPY, "entropy", NULL);
  fields.value = add_given(own, value, "value", &leaf[1]);
  fields.old_value = add_given(own, value, "old_value", NULL);
  fields.mask = add_given(own, true, "mask", NULL);
  fields.advantage = add_tokens(own, "advantage", give(own, own->made.advantage, own->tokens), NULL);
  if (value) fields.target = add_tokens(own, "target", give(own, own->made.target, own->tokens), NULL);
  fields.segments = add_segments(own);
  fields.groups = add_groups(own);
  fields.score = add_leaf(own, "score", each, give(own, own->made.score, 1));
  if (needs & COHORT_POLICY_DATA)
    fields.from_data = add_leaf(own, "from_data", each, give(own, take(own, "from_data", 1), 1));
  add_counts(own, &fields);
  return fields;
}

static cohort_status check_given(const cohort_probe_state *probe, unsigned needs, cohort_error *error) {
  static const struct {
    unsigned bit;
    const char *name;
  } optional[] = {{COHORT_POLICY_REFERENCE, "reference"}, {COHORT_POLICY_ENTROPY, "entropy"}};
  for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
    if (needs & optional[i].bit && !cohort_probe_input(probe, optional[i].name))
      return cohort_fail(error, COHORT_BAD_DATA, "%s: at these settings %s needs the array %s", probe->request->input,
                         probe->choice.method->key, optional[i].name);
  if (needs & COHORT_POLICY_PAIRS && cohort_probe_size_of(probe, "completions") % 2)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: policy: %s compares completions by twos; give an even number",
                       probe->request->input, probe->choice.method->key);
  return COHORT_DONE;
}

static void output(const policy_bench *own, const char *name, const double *values, int64_t width) {
  void *out = cohort_probe_output(own->probe, name, COHORT_SHAPE(own->completions, width));
  memcpy(out, give(own, values, width), (size_t)(own->completions * width) * cohort_probe_real_size(own->probe));
}

static void output_experience(const policy_bench *own, unsigned needs) {
  output(own, "advantages", own->made.advantage, own->tokens);
  if (needs & COHORT_POLICY_VALUE) output(own, "target", own->made.target, own->tokens);
  if (cohort_policy_states(own->probe->choice.method) == 0) return;
  void *next = cohort_probe_output(own->probe, "next", COHORT_SHAPE(COHORT_POLICY_STATES));
  for (int i = 0; i < COHORT_POLICY_STATES; i++) cohort_probe_set(own->probe, next, i, own->made.next[i]);
}

static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  const cohort_method *method = probe->choice.method;
  const cohort_policy *functions = method->functions;
  const unsigned needs = cohort_policy_needs(method, probe->choice.config);
  COHORT_TRY(check_given(probe, needs, error));
  policy_bench own = {.probe = probe,
                      .graph = cohort_graph_create(),
                      .completions = cohort_probe_size_of(probe, "completions"),
                      .tokens = cohort_probe_size_of(probe, "T")};
  make_experience(&own);
  const int leaves = needs & COHORT_POLICY_VALUE ? 2 : 1;
  cohort_value leaf[2], gradient[2];
  const cohort_policy_fields fields = add_fields(&own, needs, leaf);
  const cohort_policy_outputs outputs = functions->build(probe->choice.config, own.graph, &fields);
  const cohort_value loss =
      cohort_graph_scale(own.graph, cohort_graph_sum_all(own.graph, outputs.loss), 1 / (double)own.completions);
  cohort_graph_gradient(own.graph, loss, COHORT_NO_VALUE, leaves, leaf, gradient);
  const cohort_shape tokens = COHORT_SHAPE(own.completions, own.tokens);
  const cohort_probe_wanted wanted[RESULTS] = {{loss, "loss", COHORT_SCALAR_SHAPE},
                                               {outputs.loss, "per_completion", COHORT_SHAPE(own.completions)},
                                               {gradient[0], "gradient", tokens},
                                               {gradient[leaves - 1], "gradient_value", tokens}};
  const cohort_status status = cohort_probe_evaluate(probe, own.graph, own.leaves, own.leaf, 2 + leaves, wanted, error);
  if (status == COHORT_DONE) output_experience(&own, needs);
  cohort_graph_destroy(own.graph);
  return status;
}

/* One number a completion stands for all its tokens (`spread`), or for their sum: it is that of the last one that
 * counts. */
static void widen(cohort_probe_state *probe, const char *name, bool spread) {
  const cohort_array *policy = cohort_probe_input(probe, "policy"), *mask = cohort_probe_input(probe, "mask");
  cohort_array *array = cohort_arrays_find(&probe->in, name);
  if (!policy || policy->axes != 2 || !array || array->axes != 1 || array->size[0] != policy->size[0]) return;
  if (!mask || mask->axes != 2 || mask->size[0] != policy->size[0] || mask->size[1] != policy->size[1]) return;
  const int64_t rows = policy->size[0], tokens = policy->size[1];
  const size_t size = array->type == COHORT_ARRAY_FLOAT32 ? sizeof(float) : sizeof(double);
  char *wide = cohort_allocate((size_t)(rows * tokens) * size + 1);
  for (int64_t c = 0; c < rows; c++) {
    int64_t last = tokens - 1;
    while (last > 0 && cohort_array_get(mask, c * tokens + last) == 0) last--;
    for (int64_t t = spread ? 0 : last; t < (spread ? tokens : last + 1); t++)
      memcpy(wide + (size_t)(c * tokens + t) * size, (const char *)array->data + (size_t)c * size, size);
  }
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
