/* Every policy loss, at every combination of its choices: gradients and Hessian-vector products; a first step that
 * raises what is better than its group and lowers what is worse; masked tokens without a gradient; advantages that add
 * up to 0 and do not see a shift of the rewards. */
#include "graph_check.h"
#include "method/policy/policy.h"
#include "variants.h"

enum { COMPLETIONS = 6, WIDTH = 4, TOKENS = COMPLETIONS * WIDTH };

static const variant_setting settings[] = {{NULL, "beta", "0.3"}, {NULL, "delta", "1.5"}, {NULL, NULL, NULL}};

/* Tokens of a completion: 4, 3, 2, 4 ... */
static bool scored(int64_t token) { return token % WIDTH < WIDTH - token / WIDTH % 3; }

static cohort_value column(cohort_graph *graph, const char *name) {
  return cohort_graph_input(graph, name, COHORT_TYPE_REAL, COHORT_SHAPE(TOKENS));
}

/* Constants, which a method may not differentiate by: first, first + step ... and what is made of them. */
static cohort_value slope(cohort_graph *graph, double first, double step) {
  return cohort_graph_shift(
      graph, cohort_graph_scale(graph, cohort_graph_cast(graph, cohort_graph_iota(graph, TOKENS)), step), first);
}

static cohort_value wave(cohort_graph *graph, double factor, double speed) {
  return cohort_graph_scale(graph, cohort_graph_unary(graph, COHORT_OP_SINE, slope(graph, 0.3, speed)), factor);
}

/* 1 where the number is one of those that `chosen` names below `count`, else 0. */
static cohort_value marks(cohort_graph *graph, cohort_value number, int64_t count, bool (*chosen)(int64_t)) {
  cohort_value sum = cohort_graph_scale(graph, number, 0);
  for (int64_t i = 0; i < count; i++)
    if (chosen(i))
      sum = cohort_graph_add(graph, sum, cohort_graph_equal(graph, number, cohort_graph_constant(graph, (double)i)));
  return sum;
}

static bool odd(int64_t number) { return number % 2; }

/* Of even completions above 0, of odd ones below. */
static cohort_value advantage(cohort_graph *graph, cohort_value segments) {
  const cohort_value number = cohort_graph_cast(graph, segments);
  const cohort_value sign =
      cohort_graph_shift(graph, cohort_graph_scale(graph, marks(graph, number, COMPLETIONS, odd), -2), 1);
  return cohort_graph_multiply(graph, sign, cohort_graph_shift(graph, cohort_graph_scale(graph, number, 0.1), 0.5));
}

/* `moved`: the policy is no longer the one that wrote. */
static cohort_policy_fields make_fields(const cohort_choice *choice, cohort_graph *graph, bool moved) {
  const unsigned needs = cohort_policy_needs(choice->method, choice->config);
  cohort_policy_fields fields = {.completions = COMPLETIONS,
                                 .limit = WIDTH,
                                 .policy = column(graph, "policy"),
                                 .reference = COHORT_NO_VALUE,
                                 .guide = COHORT_NO_VALUE,
                                 .entropy = COHORT_NO_VALUE,
                                 .value = COHORT_NO_VALUE,
                                 .old_value = COHORT_NO_VALUE,
                                 .target = COHORT_NO_VALUE};
  const cohort_value fixed = cohort_graph_stop_gradient(graph, fields.policy);
  fields.old = moved ? cohort_graph_shift(graph, wave(graph, 0.4, 1.7), -1.5) : fixed;
  if (needs & COHORT_POLICY_REFERENCE)
    fields.reference = moved ? cohort_graph_shift(graph, wave(graph, 0.4, 2.3), -1.5) : fixed;
  if (needs & COHORT_POLICY_GUIDE) fields.guide = cohort_graph_shift(graph, wave(graph, 0.4, 2.9), -1.5);
  if (needs & COHORT_POLICY_VALUE) {
    fields.value = column(graph, "value");
    fields.old_value = cohort_graph_shift(graph, wave(graph, 0.4, 0.7), 0.3);
    fields.target = cohort_graph_shift(graph, wave(graph, 0.4, 1.1), 0.2);
  }
  fields.mask = marks(graph, slope(graph, 0, 1), TOKENS, scored);
  fields.segments = cohort_graph_input(graph, "segments", COHORT_TYPE_INTEGER, COHORT_SHAPE(TOKENS));
  fields.groups = cohort_graph_input(graph, "groups", COHORT_TYPE_INTEGER, COHORT_SHAPE(COMPLETIONS));
  fields.advantage = advantage(graph, fields.segments);
  fields.length = cohort_graph_segment_sum(graph, fields.mask, fields.segments, COMPLETIONS);
  fields.score = cohort_graph_divide(graph, cohort_policy_total(graph, &fields, fields.advantage), fields.length);
  fields.from_data = cohort_graph_scale(graph, fields.score, 0);
  fields.token_share = cohort_graph_constant(graph, 0.35);
  return fields;
}

static void fill(const graph_subject *subject) {
  int32_t segments[TOKENS];
  double *policy = graph_subject_input(subject, "policy"), *value = graph_subject_input(subject, "value");
  for (int64_t t = 0; t < TOKENS; t++) {
    segments[t] = (int32_t)(t / WIDTH);
    policy[t] = -1.5 + 0.3 * graph_random(301, t);
    if (value) value[t] = 0.2 + 0.3 * graph_random(302, t);
  }
  graph_set_integers(subject, "segments", segments);
  graph_set_integers(subject, "groups", (int32_t[COMPLETIONS]){0, 0, 1, 1, 2, 2});
}

static graph_subject make(const cohort_choice *choice, bool moved, cohort_value *policy) {
  cohort_graph *graph = cohort_graph_create();
  const cohort_policy *functions = choice->method->functions;
  const cohort_policy_fields fields = make_fields(choice, graph, moved);
  const cohort_policy_outputs outputs = functions->build(choice->config, graph, &fields);
  CU_ASSERT_EQUAL(cohort_shape_elements(cohort_graph_shape(graph, outputs.loss)), COMPLETIONS);
  for (int i = 0; i < COHORT_POLICY_COLUMNS; i++) CU_ASSERT(functions->column[i] || outputs.column[i] <= 0);
  *policy = fields.policy;
  return graph_subject_create(graph, cohort_graph_sum_all(graph, outputs.loss));
}

static void check_gradients(const cohort_choice *choice, const char *label) {
  static const char *const factors[] = {"cispo", "vespo", "form=reinforce", "p3o", "f_dpg", "disco"};
  for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
    if (strstr(label, factors[i])) return; /* a factor that depends on the policy takes no gradient */
  cohort_value policy;
  graph_subject subject = make(choice, true, &policy);
  fill(&subject);
  graph_check_subject(label, &subject);
  graph_subject_release(&subject);
}

static void all_gradients(void) { CU_ASSERT(variants_run("policy", settings, check_gradients) > 0); }

static void check_direction(const cohort_choice *choice, const char *label) {
  cohort_value policy, slope;
  if (strcmp(choice->method->key, "disco") == 0) return; /* its rewards are 0 or 1 */
  graph_subject subject = make(choice, false, &policy);
  fill(&subject);
  cohort_graph_gradient(subject.graph, subject.loss, COHORT_NO_VALUE, 1, &policy, &slope);
  graph_runner runner;
  if (graph_runner_create(&runner, subject.graph, &subject, NULL, 1, &slope)) {
    graph_run(&runner);
    const double *slopes = graph_output(&runner, 0);
    for (int64_t t = 0; t < TOKENS; t++) {
      const bool better = t / WIDTH % 2 == 0;
      const bool right = !scored(t) ? slopes[t] == 0 : better ? slopes[t] < 0 : slopes[t] > 0;
      if (!right) fprintf(stderr, "\n  %s: token %d, slope %g\n", label, (int)t, slopes[t]);
      CU_ASSERT(right);
    }
  }
  graph_runner_release(&runner);
  graph_subject_release(&subject);
}

static void directions(void) { CU_ASSERT(variants_run("policy", settings, check_direction) > 0); }

/* What the experience of a method makes of rewards of completions with one token each. */
static void make_advantages(const cohort_choice *choice, int64_t groups, const int64_t *first, const double *reward,
                            double *advantage) {
  const cohort_policy *functions = choice->method->functions;
  const int64_t count = first[groups];
  double ones[8] = {1, 1, 1, 1, 1, 1, 1, 1}, zeros[8] = {0}, state[COHORT_POLICY_STATES] = {0};
  double room[16], completion[32], score[8], target[8], next[COHORT_POLICY_STATES];
  const cohort_policy_rollouts rollouts = {.completions = count,
                                           .groups = groups,
                                           .width = 1,
                                           .first = first,
                                           .last = first + 1,
                                           .mask = ones,
                                           .rewards = 1,
                                           .reward = reward,
                                           .weight = ones,
                                           .greedy = zeros,
                                           .old = zeros,
                                           .reference = zeros,
                                           .guide = zeros,
                                           .value = zeros,
                                           .state = state};
  cohort_policy_experience out = {advantage, target, score, next, room, completion};
  if (functions->begin) functions->begin(choice->config, state);
  functions->experience(choice->config, &rollouts, &out);
}

/* Those of group advantages see no shift of the rewards, add up to 0, and are 0 where all are equal or one is alone. */
static void check_advantages(const cohort_choice *choice, const char *label) {
  static const char *const by_group[] = {"grpo",  "dapo",   "drgrpo", "gspo",
                                         "cispo", "mogrpo", "rloo",   "template_policy"};
  bool applies = false;
  for (size_t i = 0; i < sizeof by_group / sizeof *by_group; i++)
    applies = applies || strcmp(choice->method->key, by_group[i]) == 0;
  if (!applies) return;
  const double reward[5] = {1, 0, 0, 1, 1}, shifted[5] = {4, 3, 3, 4, 4}, equal[3] = {2, 2, 2};
  const int64_t five[2] = {0, 5}, three[2] = {0, 3}, one[2] = {0, 1};
  double of[5], again[5], none[3], sum = 0;
  make_advantages(choice, 1, five, reward, of);
  make_advantages(choice, 1, five, shifted, again);
  make_advantages(choice, 1, three, equal, none);
  for (int i = 0; i < 5; i++) {
    sum += of[i];
    CU_ASSERT_DOUBLE_EQUAL(of[i], again[i], 1e-12);
    CU_ASSERT((of[i] > 0) == (reward[i] > 0.5));
  }
  for (int i = 0; i < 3; i++) CU_ASSERT_EQUAL(none[i], 0);
  CU_ASSERT_DOUBLE_EQUAL(sum, 0, 1e-12);
  if (strstr(label, "scale=group combine=sum")) CU_ASSERT_DOUBLE_EQUAL(of[0], 0.73016343, 1e-8);
  if (strstr(label, "scale=none combine=sum") || strncmp(label, "drgrpo", 6) == 0)
    CU_ASSERT_DOUBLE_EQUAL(of[0], 0.4, 1e-12);
  if (strncmp(label, "rloo whiten=false", 17) == 0) {
    CU_ASSERT_DOUBLE_EQUAL(of[0], 0.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(of[1], -0.75, 1e-12);
    return; /* alone it has no others */
  }
  make_advantages(choice, 1, one, reward, of);
  if (!strstr(label, "rloo")) CU_ASSERT_EQUAL(of[0], 0);
}

static void all_advantages(void) { CU_ASSERT(variants_run("policy", settings, check_advantages) > 0); }

/* "a=1 b=2" as the choice of a method. */
static void read_choice(const char *key, const char *words_given, cohort_choice *choice) {
  cohort_document *map = cohort_document_create(COHORT_MAP, "test", 0, 0);
  cohort_document *root = cohort_document_create(COHORT_MAP, "test", 0, 0);
  char *words = cohort_copy_text(words_given), *rest = words;
  for (char *word; (word = strtok_r(rest, " ", &rest));) {
    char *value = strchr(word, '=');
    *value++ = '\0';
    variant_set(map, word, value);
  }
  cohort_document_set(root, key, map);
  cohort_faults faults = {0};
  cohort_choice_read(COHORT_VARIANT_F64, "policy", root, "policy", choice, NULL, &faults);
  CU_ASSERT_EQUAL(faults.count, 0);
  cohort_faults_release(&faults);
  cohort_document_destroy(root);
  free(words);
}

/* Slopes of the loss at a policy that has moved. */
static void slopes_of(const cohort_choice *choice, double *out) {
  cohort_value policy, slope;
  graph_subject subject = make(choice, true, &policy);
  fill(&subject);
  cohort_graph_gradient(subject.graph, subject.loss, COHORT_NO_VALUE, 1, &policy, &slope);
  graph_runner runner;
  if (graph_runner_create(&runner, subject.graph, &subject, NULL, 1, &slope)) {
    graph_run(&runner);
    memcpy(out, graph_output(&runner, 0), TOKENS * sizeof *out);
  }
  graph_runner_release(&runner);
  graph_subject_release(&subject);
}

/* What a method says that it equals, to the bit: advantages and slopes. */
static void check_identity(const cohort_method *method, const cohort_identity *identity) {
  const double reward[6] = {1, 0, 0.5, 0.25, 1, 0};
  const int64_t groups[3] = {0, 2, 6};
  cohort_choice choice[2];
  double advantage[2][6], slopes[2][TOKENS];
  read_choice(method->key, identity->settings, &choice[0]);
  read_choice(identity->method, identity->method_settings, &choice[1]);
  for (int i = 0; i < 2; i++) {
    make_advantages(&choice[i], 2, groups, reward, advantage[i]);
    slopes_of(&choice[i], slopes[i]);
    cohort_choice_release(&choice[i]);
  }
  CU_ASSERT(memcmp(advantage[0], advantage[1], sizeof advantage[0]) == 0);
  CU_ASSERT(memcmp(slopes[0], slopes[1], sizeof slopes[0]) == 0);
}

static void all_identities(void) {
  const cohort_method *method;
  int count = 0;
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++)
    for (const cohort_identity *is = method->identities; strcmp(method->family, "policy") == 0 && is && is->method;
         is++, count++)
      check_identity(method, is);
  CU_ASSERT(count >= 6);
}

static const check checks[] = {{"gradients and Hessian-vector products", all_gradients},
                               {"slopes of a first step", directions},
                               {"advantages of a group", all_advantages},
                               {"identities", all_identities}};

int main(void) { return check_run("policy", checks, sizeof checks / sizeof *checks); }
