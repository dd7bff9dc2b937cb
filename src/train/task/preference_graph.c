/* The graph of a preference lane: the model over all sequences of the lane, their log-probabilities as the fields of
 * the family, the method's loss, and the sums behind its columns. Invariant: an empty place gives exactly 0. Costs the
 * model's passes: one for the policy, one for a reference that is computed, two more where completions are mismatched.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/task/preference.h"

void cohort_preference_place_inputs(const cohort_method *method, bool stored, bool shares,
                                    const cohort_token_pairs *data, int place[COHORT_PREFERENCE_INPUTS]) {
  const unsigned needs = method->needs;
  int next = 0;
  for (int i = 0; i < COHORT_PREFERENCE_INPUTS; i++) {
    bool there = true;
    if (i >= COHORT_PREFERENCE_OTHER_ROWS && i < COHORT_PREFERENCE_LENGTHS) there = needs & COHORT_NEEDS_MISMATCHED;
    if (i == COHORT_PREFERENCE_RUNS) there = shares;
    if (i == COHORT_PREFERENCE_LABEL) there = cohort_preference_has_label(method);
    if (i == COHORT_PREFERENCE_PRESENT) there = needs & COHORT_NEEDS_LISTS;
    if (i == COHORT_PREFERENCE_STEPS) there = needs & COHORT_NEEDS_STEPS && !(needs & COHORT_NEEDS_SCORES);
    if (i == COHORT_PREFERENCE_TOKEN_SHARE) there = needs & COHORT_NEEDS_TOKENS;
    if (i == COHORT_PREFERENCE_REFERENCE) there = stored;
    if (i == COHORT_PREFERENCE_REFERENCE_MISMATCHED) there = stored && needs & COHORT_NEEDS_MISMATCHED;
    if (i == COHORT_PREFERENCE_LAST) there = needs & COHORT_NEEDS_SCORES;
    if (i >= COHORT_PREFERENCE_FIELD) {
      const cohort_token_field *field = &data->field[i - COHORT_PREFERENCE_FIELD];
      there = field->value || field->token;
    }
    place[i] = there ? next++ : -1;
  }
}

static const char *const pair_metrics[] = {"preference/accuracy", "preference/margin", "preference/reward_chosen",
                                           "preference/reward_rejected", NULL};
static const char *const unpaired_metrics[] = {"preference/reward_desirable", "preference/reward_undesirable", NULL};
static const char *const list_metrics[] = {"preference/accuracy", "preference/reward_best", NULL};
static const char *const step_metrics[] = {"preference/reward", NULL};

typedef enum comparison { PAIRS, LISTS, UNPAIRED, STEPWISE } comparison;
static comparison comparison_of(const cohort_method *method) {
  if (method->needs & COHORT_NEEDS_LISTS) return LISTS;
  if (!(method->needs & COHORT_NEEDS_UNPAIRED)) return PAIRS;
  return cohort_preference_has_label(method) ? UNPAIRED : STEPWISE;
}

void cohort_preference_list_metrics(cohort_task *task, cohort_preference_data *own) {
  const cohort_preference *functions = task->preference.method->functions;
  const char *const *const tables[] = {pair_metrics, list_metrics, unpaired_metrics, step_metrics};
  const char *const *standard = tables[comparison_of(task->preference.method)];
  for (int i = 0; standard[i]; i++) cohort_task_add_metric(task, own->source, standard[i], i);
  for (int i = 0; i < COHORT_PREFERENCE_COLUMNS && functions->column[i]; i++)
    cohort_task_add_metric(task, own->source, functions->column[i], COHORT_PREFERENCE_OWN + i);
}

/* Rows that attention reads for a row of the training split, in the mean. Of the validation split where there is
 * nothing to train on. */
static double mean_reads(const cohort_preference_data *own) {
  const bool trains = own->split[COHORT_SPLIT_TRAIN].count > 0;
  const cohort_token_pairs *pairs = &own->split[trains ? COHORT_SPLIT_TRAIN : COHORT_SPLIT_VALIDATION];
  double reads = 0, rows = 0;
  for (int64_t i = 0; i < pairs->sides * pairs->count; i++) {
    if (!pairs->length[i]) continue;
    const double whole = pairs->length[i] - 1;
    const double shared = (double)cohort_preference_shared(own, pairs, i / pairs->sides, (int)(i % pairs->sides));
    reads += 0.5 * (whole * (whole + 1) - shared * (shared + 1));
    rows += whole - shared;
  }
  return rows > 0 ? reads / rows : 0;
}

/* The sequences that a model reads, and whose log-probabilities are wanted. */
typedef struct sequences {
  cohort_model_inputs inputs;
  cohort_value targets, segments;
  int64_t count, rows; /* of rows: room for so many */
  int extent;
} sequences;

/* Of `capacity` samples: as many rows as they need at most, of which a lane uses what its own do. */
static sequences add_sequences(const cohort_task *task, cohort_graph *graph, int kind, int64_t count,
                               int64_t capacity) {
  static const char *const prefix[COHORT_PREFERENCE_KINDS] = {"", "other_"};
  const cohort_preference_data *own = task->own;
  const int64_t rows = cohort_preference_most_rows(task, kind, capacity);
  const int extent = cohort_graph_add_extent(graph, rows, own->ragged.mean[kind] * (double)capacity);
  static const char *const names[5] = {"tokens", "targets", "positions", "segments", "ids"};
  cohort_value value[5];
  for (int i = 0; i < 5; i++) {
    char name[32];
    (void)snprintf(name, sizeof name, "%s%s", prefix[kind], names[i]);
    value[i] = cohort_graph_input(graph, name, COHORT_TYPE_INTEGER, COHORT_SHAPE(rows));
    cohort_graph_ragged(graph, value[i], extent);
  }
  sequences out = {.targets = value[1], .segments = value[3], .count = count, .rows = rows, .extent = extent};
  out.inputs.tokens = value[0];
  out.inputs.positions = value[2];
  out.inputs.segments = value[3];
  out.inputs.ids = value[4];
  if (kind == COHORT_PREFERENCE_OWN_ROWS && own->shares) {
    out.inputs.segments = cohort_graph_input(graph, "runs", COHORT_TYPE_INTEGER, COHORT_SHAPE(rows, 3));
    cohort_graph_ragged(graph, out.inputs.segments, extent);
  }
  return out;
}

/* A number of each of their rows. */
static cohort_value row_input(cohort_graph *graph, const char *name, cohort_type type, const sequences *of) {
  const cohort_value value = cohort_graph_input(graph, name, type, COHORT_SHAPE(of->rows));
  cohort_graph_ragged(graph, value, of->extent);
  return value;
}

/* What a model says of sequences. */
typedef struct scored {
  cohort_value sums;         /* [sequences]: of log p over the completions */
  cohort_value token;        /* [rows]: log p of each */
  cohort_value hidden, head; /* what the head read */
} scored;

static scored score(const cohort_task *task, cohort_graph *graph, const sequences *from, cohort_value filler) {
  const cohort_model *model = task->model.method->functions;
  const cohort_model_outputs outputs = model->build(task->model.config, graph, &task->model_data, &from->inputs);
  const cohort_head_outputs head = cohort_graph_vocabulary_head(graph, outputs.hidden, outputs.head, from->targets);
  const cohort_value sums = cohort_graph_segment_sum(graph, head.log_probability, from->segments, from->count);
  return (scored){cohort_graph_add(graph, sums, filler), head.log_probability, outputs.hidden, outputs.head};
}

/* What the scalar head says of each sequence at its last token, or of each of its steps. */
static void score_last(const cohort_task *task, cohort_graph *graph, sequences from, cohort_value filler,
                       cohort_preference_fields *fields) {
  const cohort_model *model = task->model.method->functions;
  const int64_t steps = fields->steps;
  const cohort_value last = cohort_graph_input(graph, "last", COHORT_TYPE_INTEGER,
                                               steps ? COHORT_SHAPE(from.count, steps) : COHORT_SHAPE(from.count));
  from.inputs.scalar_head = "score";
  from.inputs.scores_only = true;
  const cohort_model_outputs outputs = model->build(task->model.config, graph, &task->model_data, &from.inputs);
  const cohort_value score = cohort_graph_gather(graph, outputs.scalar, last);
  if (steps) {
    fields->step_score = score;
    fields->step_present =
        cohort_graph_less_equal(graph, cohort_graph_constant(graph, 0), cohort_graph_cast(graph, last));
  } else {
    fields->score = cohort_graph_add(graph, score, filler);
  }
}

/* The frozen reference: never trained, no dropout. */
static scored score_reference(const cohort_task *task, cohort_graph *graph, sequences from, cohort_value filler) {
  from.inputs.space = task->reference;
  from.inputs.adapter = NULL;
  from.inputs.training = false;
  cohort_graph_enter_space(graph, "reference");
  scored out = score(task, graph, &from, filler);
  out.sums = cohort_graph_stop_gradient(graph, out.sums);
  out.token = cohort_graph_stop_gradient(graph, out.token);
  out.hidden = cohort_graph_stop_gradient(graph, out.hidden);
  cohort_graph_leave(graph);
  return out;
}

static cohort_value real_input(cohort_graph *graph, const char *name, cohort_shape shape) {
  return cohort_graph_input(graph, name, COHORT_TYPE_REAL, shape);
}

/* Completions of other prompts: what both models say of them has no gradient. */
static void add_mismatched(const cohort_task *task, cohort_graph *graph, const sequences *others, cohort_value filler,
                           cohort_preference_fields *fields) {
  fields->policy_mismatched = cohort_graph_stop_gradient(graph, score(task, graph, others, filler).sums);
  if (task->reference >= 0) fields->reference_mismatched = score_reference(task, graph, *others, filler).sums;
}

/* Of every token that is scored, and of the others, which the mask leaves out. */
static void add_divergence(cohort_graph *graph, const scored *policy, const scored *reference,
                           cohort_preference_fields *fields) {
  fields->divergence = cohort_graph_vocabulary_divergence(graph, policy->hidden, policy->head, reference->hidden,
                                                          cohort_graph_stop_gradient(graph, reference->head));
}

/* Which step each token is of, and which steps have tokens. */
static void add_steps(cohort_graph *graph, cohort_value segments, cohort_preference_fields *fields) {
  fields->step_segments = segments;
  const cohort_value count = cohort_preference_step_total(graph, fields, fields->mask);
  fields->step_present = cohort_graph_less(graph, cohort_graph_constant(graph, 0), count);
}

/* The method's own, of the data. */
static void add_own(const cohort_preference_data *own, cohort_graph *graph, const sequences *all,
                    cohort_preference_fields *fields) {
  for (int f = 0; fields->own && fields->own[f].name; f++) {
    if (own->place[COHORT_PREFERENCE_FIELD + f] < 0) continue;
    const cohort_field *field = &fields->own[f];
    const cohort_shape shape[] = {
        [COHORT_FIELD_SAMPLE] = COHORT_SHAPE(fields->samples),
        [COHORT_FIELD_COMPLETION] = COHORT_SHAPE(fields->completions),
        [COHORT_FIELD_STEP] = COHORT_SHAPE(fields->completions, fields->steps ? fields->steps : 1),
    };
    const cohort_type type = field->integer ? COHORT_TYPE_INTEGER : COHORT_TYPE_REAL;
    char *name = cohort_format_text("field_%s", field->name);
    fields->own_value[f] = field->owner == COHORT_FIELD_TOKEN
                               ? row_input(graph, name, type, all)
                               : cohort_graph_input(graph, name, type, shape[field->owner]);
    free(name);
  }
}

/* What the policy and its reference say of the sequences. */
static void add_scores(const cohort_task *task, cohort_graph *graph, const sequences *all, cohort_value filler,
                       cohort_preference_fields *fields) {
  const unsigned needs = task->preference.method->needs;
  const scored policy = score(task, graph, all, filler);
  fields->policy = policy.sums;
  if (needs & (COHORT_NEEDS_DIVERGENCE | COHORT_NEEDS_EACH_TOKEN | COHORT_NEEDS_STEPS))
    fields->mask =
        cohort_graph_less_equal(graph, cohort_graph_constant(graph, 0), cohort_graph_cast(graph, all->targets));
  if (needs & COHORT_NEEDS_EACH_TOKEN) fields->policy_token = policy.token;
  if (task->reference < 0) return;
  const scored reference = score_reference(task, graph, *all, filler);
  fields->reference = reference.sums;
  if (needs & COHORT_NEEDS_EACH_TOKEN) fields->reference_token = reference.token;
  if (needs & COHORT_NEEDS_DIVERGENCE) add_divergence(graph, &policy, &reference, fields);
}

/* The inputs in the order of cohort_preference_input, and what the models make of them. */
static cohort_preference_fields make_fields(const cohort_task *task, cohort_graph *graph, int64_t capacity,
                                            bool training) {
  const cohort_preference_data *own = task->own;
  const cohort_method *method = task->preference.method;
  const unsigned needs = method->needs;
  const int64_t count = own->sides * capacity;
  const cohort_shape each = COHORT_SHAPE(count);
  cohort_preference_fields fields = cohort_preference_no_fields(method, capacity, own->sides);
  fields.steps = own->steps;
  fields.training = training;
  sequences all = add_sequences(task, graph, COHORT_PREFERENCE_OWN_ROWS, count, capacity), others = {.count = count};
  all.inputs.training = training;
  cohort_task_place_model(task, &all.inputs);
  all.inputs.reads = others.inputs.reads = mean_reads(own);
  if (needs & COHORT_NEEDS_MISMATCHED) {
    others = add_sequences(task, graph, COHORT_PREFERENCE_OTHERS, count, capacity);
    others.inputs.reads = all.inputs.reads;
    cohort_task_place_model(task, &others.inputs);
  }
  fields.length = real_input(graph, "lengths", each);
  fields.weight = real_input(graph, "weight", COHORT_SHAPE(capacity));
  fields.segments = all.segments;
  const cohort_value filler = real_input(graph, "filler", each);
  const int *place = own->place;
  if (place[COHORT_PREFERENCE_LABEL] >= 0) fields.label = real_input(graph, "label", each);
  if (place[COHORT_PREFERENCE_PRESENT] >= 0) fields.present = real_input(graph, "present", each);
  cohort_value steps = COHORT_NO_VALUE;
  if (place[COHORT_PREFERENCE_STEPS] >= 0) steps = row_input(graph, "steps", COHORT_TYPE_INTEGER, &all);
  if (needs & COHORT_NEEDS_TOKENS) fields.token_share = real_input(graph, "token_share", COHORT_SCALAR_SHAPE);
  if (place[COHORT_PREFERENCE_REFERENCE] >= 0) fields.reference = real_input(graph, "reference", each);
  if (place[COHORT_PREFERENCE_REFERENCE_MISMATCHED] >= 0)
    fields.reference_mismatched = real_input(graph, "reference_mismatched", each);
  if (needs & COHORT_NEEDS_SCORES) score_last(task, graph, all, filler, &fields);
  add_own(own, graph, &all, &fields);
  if (!(needs & COHORT_NEEDS_SCORES)) add_scores(task, graph, &all, filler, &fields);
  if (steps != COHORT_NO_VALUE) add_steps(graph, steps, &fields);
  if (needs & COHORT_NEEDS_MISMATCHED) add_mismatched(task, graph, &others, filler, &fields);
  return fields;
}

/* The sum of a column over the lane's samples. */
static cohort_value weighed(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value column) {
  return cohort_graph_sum_all(graph, cohort_graph_multiply(graph, column, fields->weight));
}

static cohort_value pair_metric(cohort_graph *graph, cohort_value reward, int which) {
  const cohort_value chosen = cohort_preference_side(graph, reward, 0),
                     rejected = cohort_preference_side(graph, reward, 1);
  if (which == 0) return cohort_graph_less(graph, rejected, chosen);
  if (which == 1) return cohort_graph_subtract(graph, chosen, rejected);
  return which == 2 ? chosen : rejected;
}

/* Whether the best of a list has the largest reward; its reward. */
static cohort_value list_metric(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value reward,
                                int which) {
  const int64_t sides = fields->completions / fields->samples;
  const cohort_value table = cohort_preference_table(graph, fields, reward);
  const cohort_value best = cohort_graph_slice(graph, table, 1, 0, 1);
  const cohort_shape samples = COHORT_SHAPE(fields->samples);
  if (which == 1) return cohort_graph_reshape(graph, best, samples);
  const cohort_value present = cohort_preference_table(graph, fields, fields->present);
  const cohort_value held = cohort_graph_select(graph, present, table, cohort_graph_constant(graph, -1e30));
  const cohort_value others = cohort_graph_max(graph, cohort_graph_slice(graph, held, 1, 1, sides - 1), 2);
  return cohort_graph_reshape(graph, cohort_graph_less(graph, others, best), samples);
}

static cohort_value undesirable(cohort_graph *graph, const cohort_preference_fields *fields) {
  return cohort_graph_shift(graph, cohort_graph_scale(graph, fields->label, -1), 1);
}

static cohort_value unpaired_metric(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value reward,
                                    int which) {
  return cohort_graph_multiply(graph, reward, which == 0 ? fields->label : undesirable(graph, fields));
}

static cohort_value standard_metric(cohort_graph *graph, const cohort_method *method,
                                    const cohort_preference_fields *fields, const cohort_preference_outputs *outputs,
                                    int which) {
  switch (comparison_of(method)) {
    case PAIRS:
      return pair_metric(graph, outputs->reward, which);
    case LISTS:
      return list_metric(graph, fields, outputs->reward, which);
    case UNPAIRED:
      return unpaired_metric(graph, fields, outputs->reward, which);
    case STEPWISE:
      break;
  }
  return outputs->reward;
}

/* Before the first step the policy is the reference: what it then says of each sample is what is stored. */
static cohort_value scores_of(cohort_graph *graph, const cohort_preference_fields *fields) {
  if (fields->policy_mismatched == COHORT_NO_VALUE) return fields->policy;
  const cohort_shape column = COHORT_SHAPE(fields->completions, 1);
  const cohort_value both[2] = {cohort_graph_reshape(graph, fields->policy, column),
                                cohort_graph_reshape(graph, fields->policy_mismatched, column)};
  return cohort_graph_concat(graph, 1, 2, both);
}

/* What the method keeps from step to step. */
static void declare_states(const cohort_task *task, cohort_graph *graph, cohort_preference_fields *fields) {
  const cohort_state *states = task->preference.method->states;
  cohort_graph_enter(graph, "preference");
  for (int s = 0; states && states[s].name; s++) {
    double initial;
    const int64_t numbers = cohort_choice_state(&task->preference, &states[s], &initial);
    fields->state[s] = cohort_graph_state(graph, states[s].name, COHORT_SHAPE(numbers), initial);
  }
  cohort_graph_leave(graph);
}

cohort_lane_outputs cohort_preference_graph(const cohort_task *task, cohort_graph *graph, int64_t capacity,
                                            bool training) {
  const cohort_preference_data *own = task->own;
  const cohort_method *method = task->preference.method;
  cohort_preference_fields fields = make_fields(task, graph, capacity, training);
  declare_states(task, graph, &fields);
  const cohort_preference_outputs outputs = cohort_preference_build(method, task->preference.config, graph, &fields);
  for (int s = 0; training && method->states && method->states[s].name; s++)
    cohort_graph_set_next(graph, fields.state[s], outputs.next[s]);
  cohort_lane_outputs out = {.objectives = 1, .row = COHORT_NO_VALUE};
  if (task->scores && !training) out.row = scores_of(graph, &fields);
  out.objective[0] = cohort_preference_objective(graph, &fields, &outputs);
  for (int i = 0; i < task->metrics; i++) {
    const int source = own->source[i];
    const cohort_value column = source >= COHORT_PREFERENCE_OWN
                                    ? outputs.column[source - COHORT_PREFERENCE_OWN]
                                    : standard_metric(graph, method, &fields, &outputs, source);
    out.metric[out.metrics++] = weighed(graph, &fields, column);
  }
  /* Behind the columns: of how many samples the desirable's mean is. */
  if (comparison_of(method) == UNPAIRED) out.metric[out.metrics++] = weighed(graph, &fields, fields.label);
  return out;
}

void cohort_preference_derive(const cohort_task *task, cohort_split split, int64_t count, const double *sums,
                              double loss, double *columns) {
  (void)split, (void)loss;
  const cohort_preference_data *own = task->own;
  for (int i = 0; i < task->metrics; i++) {
    double samples = (double)count;
    if (comparison_of(task->preference.method) == UNPAIRED && own->source[i] < COHORT_PREFERENCE_OWN)
      samples = own->source[i] == 0 ? sums[task->metrics] : samples - sums[task->metrics];
    columns[i] = sums[i] / samples;
  }
}
