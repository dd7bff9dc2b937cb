/* Draws tokens. Thresholds are found by histograms over the bits of the logits, three passes each, never by sorting.
 * Invariant: what is drawn is a function of the row, the text and the word. Linear in the vocabulary. */
#include "train/rollout/decoding.h"

#include <math.h>
#include <string.h>

#include "base/random.h"

const cohort_parameter cohort_decoding_keys[] = {
    COHORT_REAL_ATLEAST(cohort_decoding, temperature, "1", 0, "logits are divided by it; 0 takes the likeliest token"),
    COHORT_INTEGER_RANGE(cohort_decoding, top_k, "0", 0, 1e9, "tokens to draw from, the likeliest; 0: all"),
    COHORT_REAL_RANGE(cohort_decoding, top_p, "1", 0, true, 1, false,
                      "probability of the tokens to draw from, the fewest that have it"),
    COHORT_REAL_UNIT(cohort_decoding, min_p, "0",
                     "probability that a token must have, as a share of the likeliest one's"),
    COHORT_REAL_ABOVE(cohort_decoding, repetition_penalty, "1", 0,
                      "by which logits of tokens that stand in the text are made smaller; 1: not"),
    {.name = NULL},
};

cohort_decoding cohort_decoding_plain(void) {
  return (cohort_decoding){.temperature = 1, .top_p = 1, .repetition_penalty = 1};
}

/* A number that is ordered as x is; both zeros are one. */
static uint32_t key_of(float x) {
  uint32_t bits;
  x += 0.0f;
  memcpy(&bits, &x, sizeof bits);
  return bits & 0x80000000U ? ~bits : bits | 0x80000000U;
}

enum { DIGIT = 11, BUCKETS = 1 << DIGIT, PASSES = 3 };
static const int shift[PASSES] = {21, 10, 0};
static const uint32_t width[PASSES] = {BUCKETS, BUCKETS, 1 << 10};

/* The largest key with as many logits at or above it as `wanted`, or weights of that sum; of keys at or above `least`
 * alone. */
static uint32_t find_threshold(const float *logits, int64_t vocabulary, const double *weight, double wanted,
                               uint32_t least) {
  uint32_t found = 0, known = 0;
  double above = 0;
  for (int pass = 0; pass < PASSES; pass++) {
    double mass[BUCKETS] = {0};
    for (int64_t v = 0; v < vocabulary; v++) {
      const uint32_t key = key_of(logits[v]);
      if ((key & known) == found && key >= least)
        mass[key >> shift[pass] & (width[pass] - 1)] += weight ? weight[v] : 1;
    }
    uint32_t bucket = width[pass] - 1, lowest = bucket;
    for (;; bucket--) {
      if (mass[bucket] > 0) lowest = bucket;
      if (above + mass[bucket] >= wanted || bucket == 0) break;
      above += mass[bucket];
    }
    if (above + mass[bucket] < wanted) { /* rounding: all of them together do not reach it */
      above -= mass[lowest] - mass[bucket];
      bucket = lowest;
    }
    found |= bucket << shift[pass];
    known |= (width[pass] - 1) << shift[pass];
  }
  return found;
}

/* The logits with the penalty, in `row` where there is one. */
static const float *penalise(const cohort_decoding *how, const cohort_decoding_row *from) {
  const float penalty = (float)how->repetition_penalty;
  if (penalty == 1) return from->logits;
  memcpy(from->row, from->logits, (size_t)from->vocabulary * sizeof *from->row);
  for (int64_t t = 0; t < from->count; t++) {
    const int32_t v = from->text[t];
    if (v < 0 || v >= from->vocabulary) continue;
    from->row[v] = from->logits[v] < 0 ? from->logits[v] * penalty : from->logits[v] / penalty;
  }
  return from->row;
}

static int32_t likeliest(const float *logits, int64_t vocabulary) {
  int32_t best = 0;
  for (int32_t v = 1; v < vocabulary; v++)
    if (logits[v] > logits[best]) best = v;
  return best;
}

static double weigh(const cohort_decoding *how, const cohort_decoding_row *from, const float *logits) {
  const int64_t vocabulary = from->vocabulary;
  const double largest = (double)logits[likeliest(logits, vocabulary)];
  double *weight = from->weight, total = 0;
  uint32_t least = 0;
  for (int64_t v = 0; v < vocabulary; v++) weight[v] = exp(((double)logits[v] - largest) / how->temperature);
  if (how->top_k > 0 && how->top_k < vocabulary)
    least = find_threshold(logits, vocabulary, NULL, (double)how->top_k, 0);
  if (how->top_p < 1) {
    for (int64_t v = 0; v < vocabulary; v++) total += key_of(logits[v]) >= least ? weight[v] : 0;
    least = find_threshold(logits, vocabulary, weight, how->top_p * total, least);
    total = 0;
  }
  for (int64_t v = 0; v < vocabulary; v++) {
    if (weight[v] < how->min_p || (least > 0 && key_of(logits[v]) < least)) weight[v] = 0;
    total += weight[v];
  }
  return total;
}

double cohort_decoding_weigh(const cohort_decoding *how, const cohort_decoding_row *from) {
  return weigh(how, from, penalise(how, from));
}

int32_t cohort_decoding_draw(const cohort_decoding *how, const cohort_decoding_row *from, uint32_t word) {
  const float *logits = penalise(how, from);
  if (how->temperature <= 0) return likeliest(logits, from->vocabulary);
  double left = cohort_random_uniform(word) * weigh(how, from, logits);
  int32_t last = 0;
  for (int32_t v = 0; v < from->vocabulary; v++) {
    if (from->weight[v] <= 0) continue;
    left -= from->weight[v];
    if (left < 0) return v;
    last = v;
  }
  return last;
}

double cohort_decoding_log_probability(const float *logits, int64_t vocabulary, int32_t token) {
  const int32_t best = likeliest(logits, vocabulary);
  double total = 1; /* its own */
  for (int32_t v = 0; v < vocabulary; v++) total += v == best ? 0 : (double)expf(logits[v] - logits[best]);
  return (double)logits[token] - (double)logits[best] - log(total);
}
