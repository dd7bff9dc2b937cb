/* What an elementwise operation does to a run of elements, for its own kernel and for chains. Outputs may lie over
 * inputs of the same elements: an element is read before it is written. */
#ifndef COHORT_KERNEL_ELEMENTWISE_REAL_H
#define COHORT_KERNEL_ELEMENTWISE_REAL_H

#include "base/real.h"
#include "kernel/fusion.h"

typedef struct cohort_row {
  const void *in[COHORT_FUSED_INPUTS];
  int64_t step[COHORT_FUSED_INPUTS]; /* in elements: 1, or 0 for one element that serves all */
  void *out[COHORT_FUSED_OUTPUTS];
  int64_t count;
  /* DROPOUT: its elements are [first, first + count) of rows of `columns`; ids and positions are in[1] and in[2]. */
  int64_t first, columns;
  cohort_random_key key; /* of the run */
  const cohort_attributes *attributes;
} cohort_row;

typedef void (*cohort_row_function)(const cohort_row *row);

/* The function of an operation on inputs of these types, or NULL where it is not of that file. */
cohort_row_function COHORT_VARIED(cohort_unary_row)(cohort_op op);
cohort_row_function COHORT_VARIED(cohort_binary_row)(cohort_op op, int64_t relation, cohort_type input,
                                                     cohort_type output);
cohort_row_function COHORT_VARIED(cohort_activation_row)(cohort_op op, int64_t form);
void COHORT_VARIED(cohort_dropout_row)(const cohort_row *row);

/* SUM over rows of `columns` elements, in chunks of rows: partial[chunk][columns], and their join in order. */
enum { COHORT_SUM_COLUMNS = 512 };
/* Rows of a chunk: few, for threads and the cache, but not so few that the join of many chunks loses digits. */
static inline int64_t cohort_sum_rows(int64_t rows) { return rows > 4096 ? 256 : 64; }
/* Adds elements [first, first + count), x of them, to the partial sums of their chunk, which begins with `start`. */
void COHORT_VARIED(cohort_sum_elements)(const real *x, int64_t start, int64_t first, int64_t count, int64_t columns,
                                        real *partial);
/* y[j] = the sum of x[i * stride + j] over rows i, in order, for j < columns. */
void COHORT_VARIED(cohort_sum_join)(const real *x, int64_t rows, int64_t stride, int64_t columns, real *y);

#endif
