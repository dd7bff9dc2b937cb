/* Decoding against transformers' own processors (golden/decoding.json, golden_decoding.py): the probabilities that are
 * left, to 1e-6; and what its definition says of equal logits and of draws. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "check.h"
#include "train/rollout/decoding.h"

enum { MOST = 64 };

static double number_of(const json_t *settings, const char *name, double otherwise) {
  const json_t *value = json_object_get(settings, name);
  return value ? json_number_value(value) : otherwise;
}

static double largest_difference(const json_t *own) {
  const json_t *settings = json_object_get(own, "settings"), *logits = json_object_get(own, "logits");
  const json_t *text = json_object_get(own, "text"), *expected = json_object_get(own, "probability");
  const int64_t vocabulary = (int64_t)json_array_size(logits), count = (int64_t)json_array_size(text);
  float value[MOST], room[MOST];
  int32_t token[MOST];
  double weight[MOST], most = 0;
  for (int64_t v = 0; v < vocabulary; v++) value[v] = (float)json_number_value(json_array_get(logits, (size_t)v));
  for (int64_t t = 0; t < count; t++) token[t] = (int32_t)json_integer_value(json_array_get(text, (size_t)t));
  const cohort_decoding how = {.temperature = number_of(settings, "temperature", 1),
                               .top_k = (int64_t)number_of(settings, "top_k", 0),
                               .top_p = number_of(settings, "top_p", 1),
                               .min_p = number_of(settings, "min_p", 0),
                               .repetition_penalty = number_of(settings, "repetition_penalty", 1)};
  const cohort_decoding_row from = {value, vocabulary, token, count, room, weight};
  const double total = cohort_decoding_weigh(&how, &from);
  for (int64_t v = 0; v < vocabulary; v++)
    most = fmax(most, fabs(weight[v] / total - json_number_value(json_array_get(expected, (size_t)v))));
  return most;
}

static void test_goldens(void) {
  json_error_t said;
  json_t *all = json_load_file(COHORT_GOLDEN "/decoding.json", 0, &said), *own;
  size_t i;
  CU_ASSERT_PTR_NOT_NULL_FATAL(all);
  CU_ASSERT(json_array_size(json_object_get(all, "cases")) >= 10);
  json_array_foreach(json_object_get(all, "cases"), i, own) {
    const double far = largest_difference(own);
    if (!(far <= 1e-6)) fprintf(stderr, "\n  case %zu: %g\n", i, far);
    CU_ASSERT(far <= 1e-6);
  }
  json_decref(all);
}

/* Tokens of one logit stay or go together; the sums are exact here. */
static void test_ties(void) {
  const float logits[6] = {0, 1, 1, -0.0f, 1, -5};
  double weight[6];
  cohort_decoding how = cohort_decoding_plain();
  const cohort_decoding_row from = {.logits = logits, .vocabulary = 6, .weight = weight};
  how.top_k = 2;
  (void)cohort_decoding_weigh(&how, &from);
  CU_ASSERT(weight[1] == 1 && weight[2] == 1 && weight[4] == 1 && weight[0] == 0 && weight[3] == 0 && weight[5] == 0);
  how.top_k = 4;
  (void)cohort_decoding_weigh(&how, &from);
  CU_ASSERT(weight[0] > 0 && weight[0] == weight[3] && weight[5] == 0); /* both zeros are one logit */
  how.top_k = 0;
  how.top_p = 1e-9;
  (void)cohort_decoding_weigh(&how, &from);
  CU_ASSERT(weight[1] == 1 && weight[2] == 1 && weight[4] == 1 && weight[0] == 0);
  how.temperature = 0;
  CU_ASSERT_EQUAL(cohort_decoding_draw(&how, &from, 0x80000000U), 1); /* the first of the likeliest */
}

/* Draws have the probabilities that are left: chi-square of 20,000 draws over 8 tokens. */
static void test_draws(void) {
  enum { DRAWS = 20000, TOKENS = 8 };
  const float logits[TOKENS] = {0.5f, -1, 2, 0, 1.5f, -3, 1, 0.25f};
  double weight[TOKENS], expected[TOKENS], square = 0;
  int drawn[TOKENS] = {0}, cut = 0;
  cohort_decoding how = cohort_decoding_plain();
  how.temperature = 1.3;
  how.top_p = 0.9;
  const cohort_decoding_row from = {.logits = logits, .vocabulary = TOKENS, .weight = weight};
  const double total = cohort_decoding_weigh(&how, &from);
  memcpy(expected, weight, sizeof expected);
  const cohort_random_key key = cohort_random_key_from_seed(11);
  for (uint64_t i = 0; i < DRAWS; i++) drawn[cohort_decoding_draw(&how, &from, cohort_random_word(key, 3, i))]++;
  for (int v = 0; v < TOKENS; v++) {
    const double mean = DRAWS * expected[v] / total;
    if (expected[v] == 0) {
      CU_ASSERT_EQUAL(drawn[v], 0);
      cut++;
      continue;
    }
    square += (drawn[v] - mean) * (drawn[v] - mean) / mean;
  }
  CU_ASSERT(cut >= 1 && cut <= 4);
  CU_ASSERT(square < 25); /* 0.999 of chi-square with 7 degrees of freedom: 24.3 */
}

static void test_log_probability(void) {
  const float logits[3] = {1, 2, 4};
  const double total = exp(1) + exp(2) + exp(4);
  for (int v = 0; v < 3; v++)
    CU_ASSERT_DOUBLE_EQUAL(cohort_decoding_log_probability(logits, 3, v), log(exp((double)logits[v]) / total), 1e-6);
}

int main(void) {
  static const check checks[] = {{"transformers' processors", test_goldens},
                                 {"equal logits", test_ties},
                                 {"draws", test_draws},
                                 {"log-probabilities", test_log_probability}};
  return check_run("decoding", checks, sizeof checks / sizeof *checks);
}
