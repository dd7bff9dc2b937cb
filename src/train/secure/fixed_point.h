/* Numbers of secure aggregation: a real becomes a whole multiple of a step, and whole numbers are added modulo 2^32 or
 * 2^64, where order is of no consequence.
 *
 * A value x of a client with relative weight w (weights of a round are about 1 on average) becomes
 *   q = round(w clip(x, -range, range) / step),   step = range / (2^(bits - 1) - 1),
 * and a sum S of them stands for S step / (sum of w). Rounding to the nearest moves a client's part by at most step /
 * 2, the other ways by less than step; hence the joined value by
 * at most that times clients / (sum of w), whatever the number of clients is.
 *
 * A sum cannot wrap while  sum of w (2^(bits - 1) - 1) + clients (1 + noise) < 2^(modulus - 1). */
#ifndef COHORT_TRAIN_SECURE_FIXED_POINT_H
#define COHORT_TRAIN_SECURE_FIXED_POINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"

typedef enum {
  COHORT_ROUND_NEAREST,    /* half to even */
  COHORT_ROUND_STOCHASTIC, /* to either neighbour, so that the mean is exact */
  COHORT_ROUND_ZERO, /* towards zero, so that no change grows; what is whole but for float32's rounding stays whole */
} cohort_fixed_rounding;

typedef struct cohort_fixed_point {
  double range;
  int bits;    /* 2..48, of a value of weight 1, with its sign */
  int modulus; /* 32 or 64 */
  cohort_fixed_rounding rounding;
} cohort_fixed_point;

double cohort_fixed_point_step(const cohort_fixed_point *how);
/* Whether a sum of weights `weights`, over `clients`, to each of which up to `noise` steps are added, stays inside. */
bool cohort_fixed_point_fits(const cohort_fixed_point *how, double weights, double clients, double noise);
static inline size_t cohort_fixed_point_bytes(const cohort_fixed_point *how) { return (size_t)how->modulus / 8; }

/* What was seen on the way. */
typedef struct cohort_fixed_point_count {
  int64_t clipped;  /* values beyond the range */
  int64_t infinite; /* that are no numbers; they become 0 */
} cohort_fixed_point_count;

/* `count` values (float or double: `real` bytes each) as whole numbers. `key` and `first`, the number of the first
 * value, determine how stochastic rounding falls. */
void cohort_fixed_point_write(const cohort_fixed_point *how, double weight, size_t real, int64_t count,
                              const void *value, cohort_random_key key, int64_t first, int64_t *whole,
                              cohort_fixed_point_count *seen);
/* Whole numbers as words of the modulus. */
void cohort_fixed_point_reduce(const cohort_fixed_point *how, int64_t count, const int64_t *whole, void *words);
/* Words, taken as signed, times `factor`. */
void cohort_fixed_point_read(const cohort_fixed_point *how, double factor, size_t real, int64_t count,
                             const void *words, void *value);

/* Sums and differences modulo 2^modulus: a += b, a -= b. */
void cohort_words_add(int modulus, int64_t count, void *a, const void *b);
void cohort_words_subtract(int modulus, int64_t count, void *a, const void *b);

#endif
