/* Every reward: the same again, finite, and a completion's own whatever stands in other groups. Then what the rules say
 * in closed form, trees of them, and what is refused. And best of n: its exact divergence on an enumerated policy. */
#include <math.h>

#include "check.h"
#include "contract/method_fixture.h"
#include "io/config.h"
#include "method/reward/reward.h"
#include "train/rollout/rewards.h"

enum { GROUP = 3, MOST_TEXTS = 16, MOST_TOKENS = 64 };

/* A reward as a config writes it, opened. */
typedef struct opened {
  cohort_document *document;
  cohort_choice choice;
  cohort_reward_tree *tree;
} opened;

static bool open_reward(const char *text, opened *out, cohort_error *error) {
  cohort_faults faults = {0};
  *out = (opened){.document = NULL};
  error->text[0] = '\0';
  if (cohort_config_parse(text, strlen(text), "r", &out->document, error) != COHORT_DONE) return false;
  cohort_choice_read(COHORT_VARIANT_F64, "reward", out->document, "reward", &out->choice, NULL, &faults);
  const bool good = cohort_faults_status(&faults, error) == COHORT_DONE;
  cohort_faults_release(&faults);
  return good && cohort_reward_open(&out->choice, &out->tree, error) == COHORT_DONE;
}

static void close_reward(opened *own) {
  cohort_reward_close(own->tree);
  cohort_choice_release(&own->choice);
  cohort_document_destroy(own->document);
}

/* Texts whose bytes are their tokens, with a column "answer". */
typedef struct texts {
  cohort_reward_completion completion[MOST_TEXTS];
  int32_t token[MOST_TEXTS][MOST_TOKENS];
  const char *value[MOST_TEXTS], *name;
  cohort_reward_batch batch;
} texts;

static void put_texts(texts *own, int count, int group, const char *const *text, const char *const *answer) {
  own->name = "answer";
  for (int i = 0; i < count; i++) {
    const size_t bytes = strlen(text[i]);
    for (size_t t = 0; t < bytes; t++) own->token[i][t] = (unsigned char)text[i][t];
    own->value[i] = answer ? answer[i] : NULL;
    own->completion[i] = (cohort_reward_completion){.prompt = "",
                                                    .text = text[i],
                                                    .bytes = bytes,
                                                    .token = own->token[i],
                                                    .tokens = (int64_t)bytes,
                                                    .ended = true,
                                                    .column = &own->value[i]};
  }
  own->batch = (cohort_reward_batch){.completions = count,
                                     .group = group,
                                     .limit = 8,
                                     .completion = own->completion,
                                     .columns = 1,
                                     .column = &own->name};
}

static void expect(const char *reward, int count, int group, const char *const *text, const char *const *answer,
                   const double *expected) {
  opened own;
  cohort_error error;
  texts batch;
  double found[MOST_TEXTS];
  if (!open_reward(reward, &own, &error)) fprintf(stderr, "\n  %s: %s\n", reward, error.text);
  CU_ASSERT_PTR_NOT_NULL_FATAL(own.tree);
  put_texts(&batch, count, group, text, answer);
  cohort_reward_score(own.tree, &batch.batch, NULL, found);
  for (int i = 0; i < count; i++) {
    if (fabs(found[i] - expected[i]) > 1e-12)
      fprintf(stderr, "\n  %s: \"%s\" gives %g, not %g\n", reward, text[i], found[i], expected[i]);
    CU_ASSERT(fabs(found[i] - expected[i]) <= 1e-12);
  }
  close_reward(&own);
}

static void test_rules(void) {
  static const char *const text[] = {"a cat", "CAT", "", "concatenate 12"};
  expect("{contains: cat}", 4, 1, text, NULL, (double[]){1, 0, 0, 1});
  expect("{regex: '(?i)^.?.?cat'}", 4, 1, text, NULL, (double[]){1, 1, 0, 0});
  expect("{regex: {pattern: '[A-Z]*', whole: true}}", 4, 1, text, NULL, (double[]){0, 1, 1, 0});
  expect("{length: {target: 4, alpha: 0.5}}", 4, 1, text, NULL, (double[]){-0.5, -0.5, -2, -5});
  expect("{overlong: {cache: 4}}", 4, 1, text, NULL, (double[]){-0.25, 0, 0, -1}); /* at most 8 */
  expect("{sum: [{contains: cat}, {contains: 12}]}", 4, 1, text, NULL, (double[]){1, 0, 0, 2});
  expect("{sum: {of: [{contains: cat}, {length: 3}], weights: [2, 1000]}}", 4, 1, text, NULL,
         (double[]){2 - 0.6, 0, -0.9, 2 - 3.3});
  expect("{wco: [{contains: cat}, {contains: 12}]}", 4, 1, text, NULL, (double[]){0, 0, 0, 1});
  expect("{uwo: {of: [{contains: cat}, {contains: 12}], lambda: 2}}", 4, 1, text, NULL, (double[]){0, 0, 0, 1});
}

/* An ensemble of one is that one, whichever it is; without weight of the variance it is the mean. */
static void test_ensembles(void) {
  static const char *const text[] = {"a cat", "12", "", "concatenate 12"};
  const double one[] = {1, 0, 0, 1}, mean[] = {0.5, 0.5, 0, 1};
  expect("{mean: [{contains: cat}]}", 4, 1, text, NULL, one);
  expect("{wco: [{contains: cat}]}", 4, 1, text, NULL, one);
  expect("{uwo: [{contains: cat}]}", 4, 1, text, NULL, one);
  expect("{uwo: {of: [{contains: cat}], unbiased: true}}", 4, 1, text, NULL, one);
  expect("{mean: [{contains: cat}, {contains: 12}]}", 4, 1, text, NULL, mean);
  expect("{uwo: {of: [{contains: cat}, {contains: 12}], lambda: 0}}", 4, 1, text, NULL, mean);
}

static void test_numbers(void) {
  static const char *const text[] = {"so 3 - 4 = -1.",
                                     "it is 1,234.50",
                                     "\\boxed{\\frac{1}{2} or 7} so 8",
                                     "none",
                                     "x=5-3",
                                     ".5",
                                     "\\boxed{3",
                                     "12,34",
                                     "I paid $-2.0 ok",
                                     "1e3"};
  static const char *const answer[] = {"-1", "1234.5", "#### 7", "1", "3", "0.5", "3", "34", "-2", "3"};
  expect("{equalnumber: {}}", 10, 1, text, answer, (double[]){1, 1, 1, 0, 1, 1, 1, 1, 1, 1});
  static const char *const near[] = {"10.05", "10.2"}, *const ten[] = {"10", "10"}, *const no[] = {NULL, "ten"};
  expect("{equalnumber: {tolerance: 0.1}}", 2, 1, near, ten, (double[]){1, 0});
  expect("{equalnumber: {}}", 2, 1, near, no, (double[]){0, 0});
}

/* Of every group the win rates have the mean 1/2, and preferences go round. */
static void test_matrix(void) {
  static const char *const text[] = {"rock", "a paper", "scissors", "rock", "rock", "stone"};
  expect("{matrix: {}}", 6, 3, text, NULL, (double[]){0.5, 0.5, 0.5, 0.75, 0.75, 0});
  expect("{matrix: {answers: [rock, stone], wins: [[0.5, 0.9], [0.1, 0.5]]}}", 2, 2, text + 4, NULL,
         (double[]){0.9, 0.1});
}

/* A pattern that would take for ever gives no match. */
static void test_match_limit(void) {
  static const char *const text[] = {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "aab"};
  expect("{regex: {pattern: '^(a+)+$|b', match_limit: 100000}}", 2, 1, text, NULL, (double[]){0, 1});
}

/* Questions are answered in the order in which they stand. */
static void test_questions(void) {
  static const char *const text[] = {"cat", "dog"};
  const double first[] = {1, 2}, second[] = {10, 20}, third[] = {100, 200};
  const double *const answer[] = {first, second, third};
  double found[2];
  opened own;
  cohort_error error;
  cohort_reward_question question;
  texts batch;
  CU_ASSERT_FATAL(
      open_reward("{sum: {of: [{rm: a}, {contains: cat}, {mean: [{command: b}, {rm: {from: c, shift: 50, "
                  "scale: 2}}]}], weights: [1, 1000, 1]}}",
                  &own, &error));
  CU_ASSERT(cohort_reward_question_at(own.tree, 0, &question) && question.asks == COHORT_REWARD_ASKS_MODEL);
  CU_ASSERT_STRING_EQUAL(question.what, "a");
  CU_ASSERT(cohort_reward_question_at(own.tree, 1, &question) && question.asks == COHORT_REWARD_ASKS_COMMAND);
  CU_ASSERT_STRING_EQUAL(question.what, "b");
  CU_ASSERT(cohort_reward_question_at(own.tree, 2, &question) && strcmp(question.what, "c") == 0);
  CU_ASSERT_FALSE(cohort_reward_question_at(own.tree, 3, &question));
  put_texts(&batch, 2, 1, text, NULL);
  cohort_reward_score(own.tree, &batch.batch, answer, found);
  CU_ASSERT_DOUBLE_EQUAL(found[0], 1 + 1000 + (10 + 2 * (100 - 50)) / 2.0, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(found[1], 2 + (20 + 2 * (200 - 50)) / 2.0, 1e-12);
  CU_ASSERT_PTR_NULL(cohort_reward_column_at(own.tree, 0));
  close_reward(&own);
  CU_ASSERT_FATAL(
      open_reward("{sum: [{contains: a}, {equalnumber: {column: b}}, {mean: [{equalnumber: {}}]}]}", &own, &error));
  CU_ASSERT_STRING_EQUAL(cohort_reward_column_at(own.tree, 0), "b");
  CU_ASSERT_STRING_EQUAL(cohort_reward_column_at(own.tree, 1), "answer");
  CU_ASSERT_PTR_NULL(cohort_reward_column_at(own.tree, 2));
  close_reward(&own);
}

/* All that ask nobody: the same again, and of two groups each the same alone. */
static void test_every_method(void) {
  static const char *const text[] = {"rock 3", "paper", "eee rock", "scissors 4", "", "paper 3, 4"};
  static const char *const answer[] = {"3", "3", "3", "4", "4", "4"};
  const cohort_method *method;
  int seen = 0;
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++) {
    const cohort_reward *functions = method->functions;
    const cohort_parameter *p = method->parameters;
    if (strcmp(method->family, "reward") != 0 || functions->question) continue;
    const bool number = p->type == COHORT_PARAMETER_INTEGER || p->type == COHORT_PARAMETER_REAL;
    char *written = p->standard        ? cohort_format_text("{%s: {}}", method->key)
                    : functions->parts ? cohort_format_text("{%s: [{contains: e}, {contains: r}]}", method->key)
                                       : cohort_format_text("{%s: %s}", method->key, number ? "3" : "e");
    opened own;
    cohort_error error;
    texts all, half;
    double found[6], again[6], alone[3];
    if (!open_reward(written, &own, &error)) fprintf(stderr, "\n  %s: %s\n", written, error.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(own.tree);
    put_texts(&all, 6, GROUP, text, answer);
    put_texts(&half, GROUP, GROUP, text + GROUP, answer + GROUP);
    cohort_reward_score(own.tree, &all.batch, NULL, found);
    cohort_reward_score(own.tree, &all.batch, NULL, again);
    cohort_reward_score(own.tree, &half.batch, NULL, alone);
    for (int c = 0; c < 6; c++) CU_ASSERT(isfinite(found[c]));
    CU_ASSERT(memcmp(found, again, sizeof found) == 0);
    CU_ASSERT(memcmp(found + GROUP, alone, sizeof alone) == 0);
    close_reward(&own);
    free(written);
    seen++;
  }
  CU_ASSERT(seen >= 12);
}

static void refuse(const char *reward, const char *wants) {
  opened own;
  cohort_error error;
  const bool good = open_reward(reward, &own, &error);
  if (good || !strstr(error.text, wants)) fprintf(stderr, "\n  %s: %s\n", reward, good ? "is taken" : error.text);
  CU_ASSERT(!good && strstr(error.text, wants));
  close_reward(&own);
}

static void test_refusals(void) {
  refuse("{contains: ''}", "text is empty");
  refuse("{regex: 'a('}", "at character");
  refuse("{sum: []}", "is no list of rewards");
  refuse("{sum: {of: [{contains: a}], weights: [1, 2]}}", "1 rewards and 2 weights");
  refuse("{sum: [{contans: a}]}", "did you mean 'contains'");
  refuse("{uwo: {of: a}}", "expected a list of methods");
  refuse("{jsonschema: {schema: {typo: object}}}", "\"typo\" is not known here");
  refuse("{jsonschema: {schema: {type: objekt}}}", "\"type\"");
  refuse("{jsonschema: {schema: {properties: {a: {minimum: low}}}}}", "\"minimum\"");
  refuse("{matrix: {answers: [a]}}", "has 1 answers");
  refuse("{matrix: {answers: [a, b], wins: [[0.5, 0.7], [0.7, 0.5]]}}", "do not sum to 1");
  refuse("{ngram: {n: 0}}", "reward.ngram.n");
}

/* KL(best of n || policy) of a uniform policy over `count` completions, by all n-tuples. */
static double divergence(int count, int n, const double *reward) {
  int64_t tuples = 1, *wins = cohort_allocate((size_t)count * sizeof *wins);
  double drawn[4], sum = 0;
  for (int i = 0; i < n; i++) tuples *= count;
  for (int64_t tuple = 0; tuple < tuples; tuple++) {
    int member[4];
    int64_t rest = tuple;
    for (int i = 0; i < n; i++, rest /= count) {
      member[i] = (int)(rest % count);
      drawn[i] = reward[member[i]];
    }
    wins[member[cohort_rewards_best(n, drawn)]]++;
  }
  for (int c = 0; c < count; c++) {
    const double p = (double)wins[c] / (double)tuples;
    if (p > 0) sum += p * log(p * count);
  }
  free(wins);
  return sum;
}

/* It comes near log n - (n - 1) / n from below as completions become many, and stays below it with ties (Beirami et
 * al., Theoretical guarantees on the best-of-n alignment policy, 2024, theorem 1). */
static void test_best_of(void) {
  double distinct[160], tied[160];
  for (int c = 0; c < 160; c++) {
    distinct[c] = (double)(c * 7919 % 160);
    tied[c] = (double)(c % 160 / 40);
  }
  for (int n = 2; n <= 3; n++) {
    const double bound = log((double)n) - (double)(n - 1) / n;
    double before = -1;
    for (int count = 10; count <= 160; count *= 4) {
      double ranked[160];
      for (int c = 0; c < count; c++) ranked[c] = c;
      const double found = divergence(count, n, ranked);
      CU_ASSERT(found < bound && found > before);
      before = found;
    }
    CU_ASSERT(bound - divergence(160, n, distinct) < 0.002);
    CU_ASSERT(divergence(160, n, tied) < 0.95 * bound);
    CU_ASSERT_DOUBLE_EQUAL(divergence(160, 1, distinct), 0, 1e-12);
  }
}

int main(void) {
  static const check checks[] = {{"rules", test_rules},
                                 {"ensembles", test_ensembles},
                                 {"numbers", test_numbers},
                                 {"a matrix of preferences", test_matrix},
                                 {"patterns that take long", test_match_limit},
                                 {"questions and columns", test_questions},
                                 {"every method", test_every_method},
                                 {"refusals", test_refusals},
                                 {"best of n", test_best_of}};
  return check_run("reward", checks, sizeof checks / sizeof *checks);
}
