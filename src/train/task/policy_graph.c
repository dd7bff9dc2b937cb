/* The graph of a policy lane, and how it is fed: the model over all sequences of the lane, log-probabilities of their
 * tokens as the fields of the family, the method's loss. Invariant: an empty place gives exactly 0. Costs a pass of the
 * model, and one of the reference where the loss asks for it. */
#include <string.h>

#include "train/task/policy.h"

/* Columns stand in the alphabet's order. */
static void add_metric(cohort_task *task, cohort_policy_data *own, const char *name, int source) {
  int at = task->metrics++;
  for (; at > 0 && strcmp(task->metric[at - 1], name) > 0; at--) {
    task->metric[at] = task->metric[at - 1];
    own->source[at] = own->source[at - 1];
  }
  task->metric[at] = name;
  own->source[at] = source;
}

/* What the model says of a lane's sequences. */
typedef struct policy_lane {
  cohort_model_inputs inputs;
  cohort_value targets, length, reward;
} policy_lane;

static cohort_value score(const cohort_task *task, cohort_graph *graph, const policy_lane *lane,
                          const cohort_model_inputs *inputs) {
  const cohort_model *model = task->model.method->functions;
  const cohort_model_outputs outputs = model->build(task->model.config, graph, &task->model_data, inputs);
  return cohort_graph_vocabulary_head(graph, outputs.hidden, outputs.head, lane->targets).log_probability;
}

/* Declares the inputs, in the order of cohort_policy_input. */
static cohort_policy_fields declare(const cohort_task *task, cohort_graph *graph, int64_t capacity, policy_lane *lane) {
  static const char *const names[] = {"tokens", "targets", "positions", "segments", "ids", "mask", "advantage", "old"};
  const cohort_policy_data *own = task->own;
  const int64_t completions = capacity * own->settings->group;
  const cohort_shape rows = COHORT_SHAPE(completions * own->rows), each = COHORT_SHAPE(completions);
  cohort_value value[COHORT_POLICY_LENGTH];
  for (int i = 0; i < COHORT_POLICY_LENGTH; i++)
    value[i] =
        cohort_graph_input(graph, names[i], i < COHORT_POLICY_MASK ? COHORT_TYPE_INTEGER : COHORT_TYPE_REAL, rows);
  *lane = (policy_lane){.targets = value[COHORT_POLICY_TARGETS]};
  lane->inputs.tokens = value[COHORT_POLICY_TOKENS];
  lane->inputs.positions = value[COHORT_POLICY_POSITIONS];
  lane->inputs.segments = value[COHORT_POLICY_SEGMENTS];
  lane->inputs.ids = value[COHORT_POLICY_IDS];
  lane->inputs.reads = (double)(own->rows + 1) / 2;
  lane->length = cohort_graph_input(graph, "length", COHORT_TYPE_REAL, each);
  lane->reward = cohort_graph_input(graph, "reward", COHORT_TYPE_REAL, each);
  return (cohort_policy_fields){
      .completions = completions,
      .limit = own->settings->completion,
      .old = value[COHORT_POLICY_OLD],
      .reference = COHORT_NO_VALUE,
      .mask = value[COHORT_POLICY_MASK],
      .advantage = value[COHORT_POLICY_ADVANTAGE],
      .segments = value[COHORT_POLICY_SEGMENTS],
      .length = lane->length,
      .token_share = cohort_graph_input(graph, "token_share", COHORT_TYPE_REAL, COHORT_SCALAR_SHAPE)};
}

static cohort_value score_policy(const cohort_task *task, cohort_graph *graph, const policy_lane *lane, bool training) {
  cohort_model_inputs inputs = lane->inputs;
  cohort_task_place_model(task, &inputs);
  inputs.training = training;
  return score(task, graph, lane, &inputs);
}

/* Frozen, without dropout and adapters. */
static cohort_value score_reference(const cohort_task *task, cohort_graph *graph, const policy_lane *lane) {
  cohort_model_inputs inputs = lane->inputs;
  inputs.space = task->reference;
  cohort_graph_enter_space(graph, "reference");
  const cohort_value out = cohort_graph_stop_gradient(graph, score(task, graph, lane, &inputs));
  cohort_graph_leave(graph);
  return out;
}

/* What the coming updates call the old policy. */
static cohort_lane_outputs scoring_graph(const cohort_task *task, cohort_graph *graph, const policy_lane *lane) {
  const cohort_value policy = score_policy(task, graph, lane, false);
  cohort_lane_outputs out = {.objectives = 1, .row = policy};
  out.objective[0] = cohort_graph_sum_all(graph, policy);
  return out;
}

cohort_lane_outputs cohort_policy_graph(const cohort_task *task, cohort_graph *graph, int64_t capacity, bool training) {
  const cohort_policy_data *own = task->own;
  const cohort_policy *functions = own->loss.method->functions;
  policy_lane lane;
  cohort_policy_fields fields = declare(task, graph, capacity, &lane);
  if (!training) return scoring_graph(task, graph, &lane);
  fields.policy = score_policy(task, graph, &lane, true);
  /* In the first of its updates the policy is the one that wrote. */
  if (!cohort_policy_reuses(own)) fields.old = cohort_graph_stop_gradient(graph, fields.policy);
  if (task->reference >= 0) fields.reference = score_reference(task, graph, &lane);
  const cohort_policy_outputs outputs = functions->build(own->loss.config, graph, &fields);
  cohort_lane_outputs out = {.objectives = 1, .row = COHORT_NO_VALUE};
  out.objective[0] = cohort_graph_sum_all(graph, outputs.loss);
  for (int m = 0; m < task->metrics; m++) {
    cohort_value column = lane.reward;
    if (own->source[m] < COHORT_POLICY_COLUMNS) column = outputs.column[own->source[m]];
    if (own->source[m] == COHORT_POLICY_MEAN_LENGTH)
      column = cohort_graph_segment_sum(graph, fields.mask, fields.segments, fields.completions);
    out.metric[out.metrics++] = cohort_graph_sum_all(graph, column);
  }
  return out;
}

/* Which columns the method has at these settings a small graph tells. */
void cohort_policy_list_metrics(cohort_task *task, cohort_policy_data *own) {
  const cohort_policy *functions = own->loss.method->functions;
  cohort_graph *graph = cohort_graph_create();
  policy_lane lane;
  cohort_policy_fields fields = declare(task, graph, 1, &lane);
  fields.policy = fields.old;
  if (task->reference >= 0) fields.reference = fields.old;
  const cohort_policy_outputs outputs = functions->build(own->loss.config, graph, &fields);
  cohort_graph_destroy(graph);
  for (int i = 0; i < COHORT_POLICY_COLUMNS && functions->column[i]; i++)
    if (outputs.column[i] != COHORT_NO_VALUE) add_metric(task, own, functions->column[i], i);
  add_metric(task, own, "policy/length", COHORT_POLICY_MEAN_LENGTH);
  add_metric(task, own, "policy/reward", COHORT_POLICY_MEAN_REWARD);
}

/* A lane's inputs, by what they hold. */
typedef struct policy_inputs {
  int32_t *tokens, *targets, *positions, *segments, *ids;
  float *mask, *advantage, *old, *length, *reward;
} policy_inputs;

static policy_inputs inputs_of(const cohort_feed *feed) {
  void *const *input = feed->input;
  return (policy_inputs){input[COHORT_POLICY_TOKENS],    input[COHORT_POLICY_TARGETS], input[COHORT_POLICY_POSITIONS],
                         input[COHORT_POLICY_SEGMENTS],  input[COHORT_POLICY_IDS],     input[COHORT_POLICY_MASK],
                         input[COHORT_POLICY_ADVANTAGE], input[COHORT_POLICY_OLD],     input[COHORT_POLICY_LENGTH],
                         input[COHORT_POLICY_REWARD]};
}

/* Completion `c` of the batch as segment `segment`; returns the row behind it. Row t reads token t and is scored on the
 * next, if that belongs to the completion. */
static int64_t put_sequence(const cohort_policy_data *own, const int32_t *prompt, int64_t c, int64_t segment,
                            int64_t row, const policy_inputs *to) {
  const cohort_policy_settings *settings = own->settings;
  const int64_t *written = own->completion + c * settings->completion;
  const int64_t rows = settings->prompt + own->length[c] - 1;
  for (int64_t t = 0; t < rows; t++, row++) {
    const int64_t next = t + 1 - settings->prompt;
    const bool scored = next >= 0;
    to->tokens[row] = t < settings->prompt ? prompt[t] : (int32_t)written[t - settings->prompt];
    to->targets[row] = scored ? (int32_t)written[next] : -1;
    to->positions[row] = (int32_t)t;
    to->segments[row] = (int32_t)segment;
    to->ids[row] = (int32_t)c;
    to->mask[row] = scored;
    to->advantage[row] = scored ? (float)own->advantage[c] : 0;
    to->old[row] = scored ? own->old[c * settings->completion + next] : 0;
  }
  return row;
}

static void put_rest(int64_t row, int64_t rows, const policy_inputs *to) {
  for (; row < rows; row++) {
    to->tokens[row] = to->positions[row] = to->ids[row] = 0;
    to->targets[row] = to->segments[row] = -1;
    to->mask[row] = to->advantage[row] = to->old[row] = 0;
  }
}

void cohort_policy_feed(const cohort_task *task, cohort_feed *feed) {
  const cohort_policy_data *own = task->own;
  const int64_t group = own->settings->group;
  const policy_inputs to = inputs_of(feed);
  int64_t row = 0;
  for (int64_t i = 0; i < feed->capacity * group; i++) {
    const bool real = i / group < feed->count;
    const int64_t position = real ? feed->position[i / group] : own->first;
    const int64_t c = (position - own->first) * group + i % group;
    to.length[i] = real && own->length[c] > 0 ? (float)own->length[c] : 1;
    to.reward[i] = real ? (float)own->reward[c] : 0;
    if (!real) continue;
    const int32_t *prompt = own->tokens + cohort_policy_prompt(task, position) * own->settings->prompt;
    row = put_sequence(own, prompt, c, i, row, &to);
  }
  put_rest(row, feed->capacity * group * own->rows, &to);
  *(float *)feed->input[COHORT_POLICY_TOKEN_SHARE] = (float)own->share;
}
