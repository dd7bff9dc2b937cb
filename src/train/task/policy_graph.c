/* The graph of a policy lane: the model over all sequences of the lane, log-probabilities of their tokens, values of a
 * critic, as the fields of the family, and the method's loss. Invariant: an empty place gives exactly 0; what a scoring
 * pass has said is not computed again. Costs a pass of the model, one of a critic that is a player, and, where nothing
 * is scored, one of a reference that the loss asks for. */
#include <string.h>

#include "train/task/policy.h"

/* What a lane reads. */
typedef struct policy_lane {
  cohort_model_inputs inputs;
  cohort_value targets;
  cohort_value scored[COHORT_SCORED_COLUMNS];
} policy_lane;

/* What a model says of the lane's tokens, [rows] each. */
typedef struct policy_answer {
  cohort_value log_probability, entropy, value;
} policy_answer;

static policy_answer ask(const cohort_task *task, cohort_graph *graph, const policy_lane *lane,
                         const cohort_model_inputs *inputs) {
  const cohort_model *model = task->model.method->functions;
  const cohort_model_outputs outputs = model->build(task->model.config, graph, &task->model_data, inputs);
  if (inputs->scores_only) return (policy_answer){COHORT_NO_VALUE, COHORT_NO_VALUE, outputs.scalar};
  const cohort_head_outputs head = cohort_graph_vocabulary_head(graph, outputs.hidden, outputs.head, lane->targets);
  return (policy_answer){head.log_probability, head.entropy, inputs->scalar_head ? outputs.scalar : COHORT_NO_VALUE};
}

/* Rows that attention reads for a row, in the mean, where completions are as long as they may be. */
static double mean_reads(const cohort_policy_data *own) {
  const double whole = (double)own->rows, shared = (double)cohort_policy_shared(own), kept = (double)own->kept;
  return 0.5 * (kept * whole * (whole + 1) - (kept - 1) * shared * (shared + 1)) /
         (double)cohort_policy_most_rows(own, 1);
}

/* Declares the inputs, in the order of cohort_policy_input. */
static cohort_policy_fields declare(const cohort_task *task, cohort_graph *graph, int64_t capacity, policy_lane *lane) {
  static const char *const names[] = {"tokens",    "targets", "positions", "segments",  "ids",       "mask",
                                      "advantage", "target",  "old",       "reference", "old_value", "guide"};
  const cohort_policy_data *own = task->own;
  const int64_t sequences = capacity * own->kept;
  const int64_t most = cohort_policy_most_rows(own, capacity);
  const cohort_shape rows = COHORT_SHAPE(most), each = COHORT_SHAPE(sequences);
  const int extent = cohort_graph_add_extent(graph, most, (double)most);
  cohort_value value[COHORT_POLICY_IN_LENGTH];
  for (int i = 0; i < COHORT_POLICY_IN_LENGTH; i++) {
    value[i] =
        cohort_graph_input(graph, names[i], i < COHORT_POLICY_IN_MASK ? COHORT_TYPE_INTEGER : COHORT_TYPE_REAL, rows);
    cohort_graph_ragged(graph, value[i], extent);
  }
  *lane = (policy_lane){.targets = value[COHORT_POLICY_IN_TARGETS]};
  lane->inputs.tokens = value[COHORT_POLICY_IN_TOKENS];
  lane->inputs.positions = value[COHORT_POLICY_IN_POSITIONS];
  lane->inputs.segments = value[COHORT_POLICY_IN_SEGMENTS];
  lane->inputs.ids = value[COHORT_POLICY_IN_IDS];
  lane->inputs.reads = mean_reads(own);
  for (int s = 0; s < COHORT_SCORED_COLUMNS; s++)
    lane->scored[s] = own->place[s] >= 0 ? value[COHORT_POLICY_IN_SCORED + s] : COHORT_NO_VALUE;
  cohort_policy_fields fields = {.completions = sequences,
                                 .limit = own->settings->completion,
                                 .old = lane->scored[COHORT_SCORED_OLD],
                                 .reference = lane->scored[COHORT_SCORED_REFERENCE],
                                 .guide = lane->scored[COHORT_SCORED_GUIDE],
                                 .entropy = COHORT_NO_VALUE,
                                 .value = COHORT_NO_VALUE,
                                 .old_value = lane->scored[COHORT_SCORED_VALUE],
                                 .target = value[COHORT_POLICY_IN_TARGET],
                                 .mask = value[COHORT_POLICY_IN_MASK],
                                 .advantage = value[COHORT_POLICY_IN_ADVANTAGE],
                                 .segments = value[COHORT_POLICY_IN_SEGMENTS]};
  fields.length = cohort_graph_input(graph, "length", COHORT_TYPE_REAL, each);
  fields.score = cohort_graph_input(graph, "score", COHORT_TYPE_REAL, each);
  fields.from_data = cohort_graph_input(graph, "from_data", COHORT_TYPE_REAL, each);
  fields.groups = cohort_graph_input(graph, "groups", COHORT_TYPE_INTEGER, each);
  fields.token_share = cohort_graph_input(graph, "token_share", COHORT_TYPE_REAL, COHORT_SCALAR_SHAPE);
  if (own->shares) {
    lane->inputs.segments = cohort_graph_input(graph, "runs", COHORT_TYPE_INTEGER, COHORT_SHAPE(most, 3));
    cohort_graph_ragged(graph, lane->inputs.segments, extent);
  }
  return fields;
}

static bool has_head(const cohort_policy_data *own) {
  return cohort_policy_has(own, COHORT_POLICY_VALUE) && own->critic < 0;
}

/* The policy, and its critic: a head of it, or a model of its own. */
static policy_answer ask_policy(const cohort_task *task, cohort_graph *graph, const policy_lane *lane, bool training) {
  const cohort_policy_data *own = task->own;
  cohort_model_inputs inputs = lane->inputs;
  cohort_task_place_model(task, &inputs);
  inputs.training = training;
  if (has_head(own)) inputs.scalar_head = "value";
  policy_answer out = ask(task, graph, lane, &inputs);
  if (own->critic < 0) return out;
  inputs.space = own->critic;
  inputs.adapter = NULL;
  inputs.scalar_head = "value";
  inputs.scores_only = true;
  cohort_graph_enter_space(graph, "critic");
  out.value = ask(task, graph, lane, &inputs).value;
  cohort_graph_leave(graph);
  return out;
}

/* Frozen, without dropout and adapters. A space of its own is laid out like the model, with its head. */
static cohort_value ask_frozen(const cohort_task *task, cohort_graph *graph, const policy_lane *lane, int space,
                               const char *name) {
  cohort_model_inputs inputs = lane->inputs;
  inputs.space = space;
  if (has_head(task->own) && !task->settings->lora) inputs.scalar_head = "value";
  cohort_graph_enter_space(graph, name);
  const cohort_value out = cohort_graph_stop_gradient(graph, ask(task, graph, lane, &inputs).log_probability);
  cohort_graph_leave(graph);
  return out;
}

/* What is scored of every row, a column each. */
static cohort_lane_outputs scoring_graph(const cohort_task *task, cohort_graph *graph, const policy_lane *lane) {
  const cohort_policy_data *own = task->own;
  const policy_answer policy = ask_policy(task, graph, lane, false);
  cohort_value column[COHORT_SCORED_COLUMNS] = {policy.log_probability};
  int columns = 1;
  if (own->place[COHORT_SCORED_REFERENCE] >= 0)
    column[columns++] = ask_frozen(task, graph, lane, task->reference, "reference");
  if (own->place[COHORT_SCORED_VALUE] >= 0) column[columns++] = policy.value;
  if (own->place[COHORT_SCORED_GUIDE] >= 0) column[columns++] = ask_frozen(task, graph, lane, own->guide, "guide");
  cohort_lane_outputs out = {.objectives = 1};
  const int64_t rows = cohort_shape_elements(cohort_graph_shape(graph, column[0]));
  for (int i = 0; i < columns; i++) column[i] = cohort_graph_reshape(graph, column[i], COHORT_SHAPE(rows, 1));
  out.row = columns > 1 ? cohort_graph_concat(graph, 1, columns, column) : column[0];
  out.objective[0] = cohort_graph_sum_all(graph, out.row);
  return out;
}

static void ask_all(const cohort_task *task, cohort_graph *graph, const policy_lane *lane,
                    cohort_policy_fields *fields) {
  const cohort_policy_data *own = task->own;
  const policy_answer policy = ask_policy(task, graph, lane, true);
  fields->policy = policy.log_probability;
  fields->entropy = policy.entropy;
  fields->value = policy.value;
  /* In the one update on a rollout the policy is the one that wrote. */
  if (own->settings->updates == 1) fields->old = cohort_graph_stop_gradient(graph, fields->policy);
  /* The graph for training declares all spaces; of what was scored nobody reads the answer, and nothing is computed. */
  const cohort_value reference =
      task->reference >= 0 ? ask_frozen(task, graph, lane, task->reference, "reference") : COHORT_NO_VALUE;
  const cohort_value guide = own->guide >= 0 ? ask_frozen(task, graph, lane, own->guide, "guide") : COHORT_NO_VALUE;
  if (fields->reference == COHORT_NO_VALUE) fields->reference = reference;
  if (fields->guide == COHORT_NO_VALUE) fields->guide = guide;
}

cohort_lane_outputs cohort_policy_graph(const cohort_task *task, cohort_graph *graph, int64_t capacity, bool training) {
  const cohort_policy_data *own = task->own;
  const cohort_policy *functions = own->loss.method->functions;
  policy_lane lane;
  cohort_policy_fields fields = declare(task, graph, capacity, &lane);
  if (!training) return scoring_graph(task, graph, &lane);
  ask_all(task, graph, &lane, &fields);
  const cohort_policy_outputs outputs = functions->build(own->loss.config, graph, &fields);
  cohort_lane_outputs out = {.objectives = 1, .row = COHORT_NO_VALUE};
  out.objective[0] = cohort_graph_sum_all(graph, outputs.loss);
  for (int m = 0; m < task->metrics; m++) {
    cohort_value column = cohort_graph_constant(graph, 0); /* of the rollout, not of the lanes */
    if (own->source[m] < COHORT_POLICY_COLUMNS) column = outputs.column[own->source[m]];
    if (own->source[m] == COHORT_POLICY_ENTROPY_MEAN) column = cohort_policy_token_mean(graph, &fields, fields.entropy);
    out.metric[out.metrics++] = cohort_graph_sum_all(graph, column);
  }
  return out;
}

/* A small graph tells. */
void cohort_policy_columns(const cohort_task *task, bool has[COHORT_POLICY_COLUMNS]) {
  const cohort_policy_data *own = task->own;
  const cohort_policy *functions = own->loss.method->functions;
  cohort_graph *graph = cohort_graph_create();
  policy_lane lane;
  cohort_policy_fields fields = declare(task, graph, 1, &lane);
  const cohort_value any = fields.advantage;
  fields.policy = fields.old = fields.entropy = fields.value = fields.old_value = any;
  if (task->reference >= 0) fields.reference = any;
  if (own->guide >= 0) fields.guide = any;
  const cohort_policy_outputs outputs = functions->build(own->loss.config, graph, &fields);
  cohort_graph_destroy(graph);
  for (int i = 0; i < COHORT_POLICY_COLUMNS; i++) has[i] = functions->column[i] && outputs.column[i] > 0;
}
