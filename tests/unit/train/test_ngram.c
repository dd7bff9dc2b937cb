/* The Kneser-Ney model against a brute-force reading of the definition, and that its probabilities sum to 1. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/random.h"
#include "check.h"
#include "train/session/baseline_ngram.h"

enum { TRAIN = 400, ALL = 460, VOCABULARY = 7 };

static int32_t tokens[ALL];

static void make_text(void) {
  const cohort_random_key key = cohort_random_key_from_seed(7);
  for (int i = 0; i < ALL; i++) {
    const uint32_t word = cohort_random_word(key, 0, (uint64_t)i);
    /* A token leans on the one before it, so that orders matter. */
    tokens[i] =
        i && word % 3 ? (tokens[i - 1] * 2 + (int32_t)(word >> 8) % 2) % VOCABULARY : (int32_t)(word >> 8) % VOCABULARY;
  }
}

static bool same(const int32_t *a, const int32_t *b, int n) { return memcmp(a, b, (size_t)n * sizeof *a) == 0; }

/* Occurrences at the top, distinct tokens before in lower orders; only n-grams that end inside the training text count.
 */
static int count_of(const int32_t *gram, int n, int order) {
  int occurrences = 0, before = 0;
  bool seen[VOCABULARY] = {false};
  for (int p = 0; p + n <= TRAIN; p++) {
    if (!same(tokens + p, gram, n)) continue;
    occurrences++;
    if (p > 0 && !seen[tokens[p - 1]]) {
      seen[tokens[p - 1]] = true;
      before++;
    }
  }
  return n == order ? occurrences : before;
}

static double discount_of(int n, int order) {
  int once = 0, twice = 0;
  for (int p = 0; p + n <= TRAIN; p++) {
    bool first = true;
    for (int q = 0; q < p && first; q++) first = !same(tokens + q, tokens + p, n);
    if (!first) continue;
    const int count = count_of(tokens + p, n, order);
    once += count == 1;
    twice += count == 2;
  }
  return once ? (double)once / (double)(once + 2 * twice) : 0;
}

static double brute(const int32_t *context, int32_t token, int order, const double *discount) {
  double p = 1.0 / VOCABULARY;
  for (int n = 1; n <= order; n++) {
    int32_t gram[8];
    memcpy(gram, context - (n - 1), (size_t)(n - 1) * sizeof *gram);
    int total = 0, follows = 0, own = 0;
    for (int32_t v = 0; v < VOCABULARY; v++) {
      gram[n - 1] = v;
      const int count = count_of(gram, n, order);
      total += count;
      follows += count > 0;
      if (v == token) own = count;
    }
    if (!total) break;
    p = ((own ? own - discount[n] : 0) + discount[n] * follows * p) / total;
  }
  return p;
}

static void agrees_with_the_definition(void) {
  make_text();
  for (int order = 1; order <= 4; order++) {
    double discount[8] = {0}, sum = 0, nats = 0;
    for (int n = 1; n <= order; n++) discount[n] = discount_of(n, order);
    for (int p = TRAIN; p < ALL; p++) {
      double whole = 0;
      for (int32_t v = 0; v < VOCABULARY; v++) whole += brute(tokens + p, v, order, discount);
      CU_ASSERT_DOUBLE_EQUAL(whole, 1, 1e-12);
      sum -= log(brute(tokens + p, tokens[p], order, discount));
    }
    CU_ASSERT_EQUAL(cohort_ngram_score(tokens, TRAIN, ALL, VOCABULARY, order, &nats, NULL), COHORT_DONE);
    CU_ASSERT_DOUBLE_EQUAL(nats, sum / (ALL - TRAIN), 1e-12);
  }
}

static void refuses_what_it_cannot_do(void) {
  double nats = 0;
  cohort_error error;
  CU_ASSERT_EQUAL(cohort_ngram_score(tokens, TRAIN, TRAIN, VOCABULARY, 3, &nats, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_EQUAL(cohort_ngram_score(tokens, TRAIN, ALL, VOCABULARY, 9, &nats, &error), COHORT_BAD_CONFIG);
}

static const check checks[] = {{"agrees with the definition", agrees_with_the_definition},
                               {"refuses what it cannot do", refuses_what_it_cannot_do}};
int main(void) { return check_run("ngram", checks, sizeof checks / sizeof *checks); }
