/* Every preference loss: gradients and Hessian-vector products; its rewards order a pair as its loss does. */
#include "graph_check.h"
#include "method/preference/preference.h"
#include "variants.h"

/* Of three tokens in two steps. */
enum { COMPLETIONS = 12, TOKENS = 3 * COMPLETIONS, STEPS = 2 };

static const variant_setting settings[] = {
    {NULL, "label_smoothing", "0.15"}, {NULL, "beta", "0.7"}, {NULL, "gamma", "0.4"}, {NULL, NULL, NULL}};

/* Not of the slopes' signs: it pulls both sides. */
static const variant_setting centred[] = {
    {"rm", "center", "0.01"}, {"dpo", "label_smoothing", "0.15"}, {NULL, NULL, NULL}};

static cohort_value column(cohort_graph *graph, bool there, const char *name) {
  return there ? cohort_graph_input(graph, name, COHORT_TYPE_REAL, COHORT_SHAPE(COMPLETIONS)) : COHORT_NO_VALUE;
}

/* Numbers that a method may not differentiate by are constants. */
static cohort_value slope(cohort_graph *graph, int64_t count, double first, double step) {
  return cohort_graph_shift(
      graph, cohort_graph_scale(graph, cohort_graph_cast(graph, cohort_graph_iota(graph, count)), step), first);
}

static cohort_value table(cohort_graph *graph, cohort_value column) {
  return cohort_graph_reshape(graph, column, COHORT_SHAPE(COMPLETIONS, STEPS));
}

static cohort_value ones(cohort_graph *graph, cohort_shape shape) {
  return cohort_graph_broadcast(graph, cohort_graph_constant(graph, 1), shape);
}

/* The method's own: groups 0 and 1 in turn, or numbers. */
static cohort_value own_field(cohort_graph *graph, const cohort_field *field, int64_t samples) {
  if (field->integer) {
    const cohort_value known = cohort_graph_find_input(graph, "integers");
    return known != COHORT_NO_VALUE ? known
                                    : cohort_graph_input(graph, "integers", COHORT_TYPE_INTEGER, COHORT_SHAPE(samples));
  }
  if (field->owner == COHORT_FIELD_SAMPLE) return slope(graph, samples, 0.1, 0.05);
  if (field->owner == COHORT_FIELD_COMPLETION) return slope(graph, COMPLETIONS, 1, -0.05);
  if (field->owner == COHORT_FIELD_TOKEN) return slope(graph, TOKENS, 0.2, 0.01);
  return table(graph, slope(graph, COMPLETIONS * STEPS, 0.3, 0.02));
}

static int sides_of(const cohort_method *method) {
  return method->needs & COHORT_NEEDS_UNPAIRED ? 1 : method->needs & COHORT_NEEDS_LISTS ? 3 : 2;
}

/* Log-probabilities of tokens, whose sums are the completions'. */
static cohort_value spread(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value column) {
  return cohort_graph_scale(graph, cohort_graph_gather(graph, column, fields->segments), (double)COMPLETIONS / TOKENS);
}

static cohort_preference_fields make_fields(const cohort_choice *choice, cohort_graph *graph) {
  const cohort_method *method = choice->method;
  const int sides = sides_of(method);
  const cohort_value policy = column(graph, true, "policy");
  cohort_preference_fields fields = cohort_preference_no_fields(method, COMPLETIONS / sides, sides);
  fields.policy = fields.score = policy;
  fields.reference = column(graph, method->needs & COHORT_NEEDS_REFERENCE, "reference");
  fields.length = column(graph, true, "length");
  fields.label = column(graph, cohort_preference_has_label(method), "label");
  fields.weight = ones(graph, COHORT_SHAPE(COMPLETIONS / sides));
  fields.present = ones(graph, COHORT_SHAPE(COMPLETIONS));
  fields.segments = cohort_graph_input(graph, "segments", COHORT_TYPE_INTEGER, COHORT_SHAPE(TOKENS));
  fields.mask = ones(graph, COHORT_SHAPE(TOKENS));
  fields.divergence = slope(graph, TOKENS, 0.1, 0.02);
  fields.policy_mismatched = slope(graph, COMPLETIONS, -7, 0.2);
  fields.reference_mismatched = slope(graph, COMPLETIONS, -8, 0.25);
  fields.token_share = cohort_graph_constant(graph, 0.3);
  fields.training = false; /* what moves with the step is a constant of the gradient, which differences do not see */
  for (int s = 0; method->states && method->states[s].name; s++) {
    double initial;
    const int64_t numbers = cohort_choice_state(choice, &method->states[s], &initial);
    fields.state[s] = cohort_graph_broadcast(graph, cohort_graph_constant(graph, initial), COHORT_SHAPE(numbers));
  }
  if (method->needs & COHORT_NEEDS_EACH_TOKEN) {
    fields.policy_token = spread(graph, &fields, policy);
    if (method->needs & COHORT_NEEDS_REFERENCE) fields.reference_token = spread(graph, &fields, fields.reference);
  }
  if (method->needs & COHORT_NEEDS_STEPS) {
    fields.steps = STEPS;
    fields.step_segments = cohort_graph_input(graph, "steps", COHORT_TYPE_INTEGER, COHORT_SHAPE(TOKENS));
    fields.step_present = ones(graph, COHORT_SHAPE(COMPLETIONS, STEPS));
    const cohort_value both[2] = {cohort_graph_reshape(graph, policy, COHORT_SHAPE(COMPLETIONS, 1)),
                                  cohort_graph_reshape(graph, policy, COHORT_SHAPE(COMPLETIONS, 1))};
    fields.step_score = cohort_graph_concat(graph, 1, 2, both);
  }
  for (int f = 0; fields.own && fields.own[f].name; f++)
    fields.own_value[f] = own_field(graph, &fields.own[f], fields.samples);
  return fields;
}

/* Log-probabilities of completions of 1 to 7 tokens. */
static void fill(const graph_subject *subject) {
  static const char *const names[4] = {"policy", "reference", "length", "label"};
  int32_t segments[TOKENS], steps[TOKENS];
  for (int t = 0; t < TOKENS; t++) segments[t] = t / (TOKENS / COMPLETIONS);
  for (int t = 0; t < TOKENS; t++) steps[t] = segments[t] * STEPS + (t % (TOKENS / COMPLETIONS) > 1);
  int32_t integers[COMPLETIONS];
  for (int c = 0; c < COMPLETIONS; c++) integers[c] = c % 2;
  if (cohort_graph_find_input(subject->graph, "integers") != COHORT_NO_VALUE)
    graph_set_integers(subject, "integers", integers);
  if (cohort_graph_find_input(subject->graph, "steps") != COHORT_NO_VALUE) graph_set_integers(subject, "steps", steps);
  if (cohort_graph_find_input(subject->graph, "segments") != COHORT_NO_VALUE)
    graph_set_integers(subject, "segments", segments);
  for (int i = 0; i < 4; i++) {
    double *data = graph_subject_input(subject, names[i]);
    for (int64_t c = 0; data && c < COMPLETIONS; c++) {
      const double length = (double)(1 + (3 * (c / 2) + (c & 1)) % 7);
      data[c] = i == 3   ? (double)(c % 3 == 0)
                : i == 2 ? length
                         : -length * (1.5 + 0.3 * graph_random(300 + (uint64_t)i, c));
    }
  }
}

static void check_gradients(const cohort_choice *choice, const char *label) {
  const cohort_method *method = choice->method;
  cohort_graph *graph = cohort_graph_create();
  const cohort_preference_fields fields = make_fields(choice, graph);
  const cohort_preference_outputs outputs = cohort_preference_build(method, choice->config, graph, &fields);
  cohort_value total = cohort_preference_objective(graph, &fields, &outputs);
  CU_ASSERT_EQUAL(cohort_shape_elements(cohort_graph_shape(graph, outputs.reward)), COMPLETIONS);
  /* the rewards are outputs too: their slopes are checked along with the loss's */
  total = cohort_graph_add(graph, total, cohort_graph_scale(graph, cohort_graph_sum_all(graph, outputs.reward), 0.1));
  graph_subject subject = graph_subject_create(graph, total);
  fill(&subject);
  graph_check_subject(label, &subject);
  graph_subject_release(&subject);
}

static void all_gradients(void) {
  CU_ASSERT(variants_run("preference", settings, check_gradients) > 0);
  CU_ASSERT(variants_run("preference", centred, check_gradients) > 0);
}

/* Losses that do not pull every pair apart: apodown lowers both sides, sft raises one, the others turn back from a side
 * that is far from the reference; and those that turn back from a margin. */
static bool pulls_pairs_apart(const char *label) {
  static const char *const others[] = {"loss=apodown",
                                       "loss=sft",
                                       "loss=ncapair",
                                       "loss=sppohard",
                                       "loss=exopair",
                                       "loss=discopop",
                                       "loss=mix",
                                       "discopop",
                                       "link=savage",
                                       "sft",
                                       "tgdpo",
                                       "divergence=",
                                       NULL};
  for (int i = 0; others[i]; i++)
    if (strstr(label, others[i]) && !strstr(label, "loss=sigmoid divergence=reversekl")) return false;
  return true;
}

/* A more probable chosen completion never raises the loss while the pair is not yet ordered, and raises its reward; so
 * does a desirable one, and one that is not is the other way about. */
static void check_direction(const cohort_choice *choice, const char *label) {
  const cohort_method *method = choice->method;
  if (!pulls_pairs_apart(label)) return;
  const bool unpaired = method->needs & COHORT_NEEDS_UNPAIRED;
  if (sides_of(method) > 2 || (unpaired && !cohort_preference_has_label(method)))
    return; /* of pairs and labels alone */
  cohort_graph *graph = cohort_graph_create();
  const cohort_preference_fields fields = make_fields(choice, graph);
  const cohort_preference_outputs outputs = cohort_preference_build(method, choice->config, graph, &fields);
  graph_subject subject = graph_subject_create(graph, cohort_preference_objective(graph, &fields, &outputs));
  fill(&subject);
  for (int c = 0; c < COMPLETIONS; c += 2) ((double *)graph_subject_input(&subject, "policy"))[c] -= unpaired ? 0 : 30;
  cohort_value wanted[2] = {outputs.reward};
  cohort_graph_gradient(graph, subject.loss, COHORT_NO_VALUE, 1, &fields.policy, &wanted[1]);
  graph_runner runner;
  if (graph_runner_create(&runner, graph, &subject, NULL, 2, wanted)) {
    graph_run(&runner);
    const double *reward = graph_output(&runner, 0), *slopes = graph_output(&runner, 1);
    for (int c = 0; c < COMPLETIONS; c++) {
      const bool good = unpaired ? ((double *)graph_subject_input(&subject, "label"))[c] != 0 : c % 2 == 0;
      const bool ordered = unpaired || c % 2 || reward[c] < reward[c + 1];
      const bool right = ordered && (good ? slopes[c] < 0 : slopes[c] > 0);
      if (!right) fprintf(stderr, "\n  %s: completion %d, slope %g\n", label, c, slopes[c]);
      CU_ASSERT(right);
    }
  }
  graph_runner_release(&runner);
  graph_subject_release(&subject);
}

static void directions(void) { CU_ASSERT(variants_run("preference", settings, check_direction) > 0); }

static const check checks[] = {{"gradients and Hessian-vector products", all_gradients},
                               {"slopes of pairs in the wrong order", directions}};

int main(void) { return check_run("preference", checks, sizeof checks / sizeof *checks); }
