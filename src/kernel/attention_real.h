/* What the two directions of attention share: runs of rows of one segment, tiles of queries and keys, and how tasks are
 * dealt to a fixed number of slots, each with its own workspace. */
#ifndef COHORT_KERNEL_ATTENTION_REAL_H
#define COHORT_KERNEL_ATTENTION_REAL_H

#include "base/real.h"
#include "kernel/kernel.h"
#include "kernel/row_real.h"

enum { COHORT_QUERY_TILE = 64, COHORT_KEY_TILE = 128, COHORT_ATTENTION_SLOTS = 16 };

void COHORT_VARIED(cohort_product)(const cohort_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k,
                                   double alpha, const void *a, int64_t stride_a, const void *b, int64_t stride_b,
                                   double beta, void *c, int64_t stride_c);

typedef struct attention_shape {
  const cohort_call *call;
  int64_t rows, heads, key_heads, width; /* R, H, G, D */
  int64_t row, key_row;                  /* steps between rows: H * D and G * D */
  real scale;
} attention_shape;

static inline attention_shape describe_attention(const cohort_call *call) {
  const cohort_shape q = call->input[0].shape, k = call->input[1].shape;
  return (attention_shape){.call = call,
                           .rows = q.size[0],
                           .heads = q.size[1],
                           .key_heads = k.size[1],
                           .width = q.size[2],
                           .row = q.size[1] * q.size[2],
                           .key_row = k.size[1] * k.size[2],
                           .scale = (real)call->attributes.reals[0]};
}

/* A product of one tile: single-threaded, since threads take whole tasks. */
static inline void tile_product(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, real alpha, const real *a,
                                int64_t stride_a, const real *b, int64_t stride_b, real beta, real *c, int64_t stride_c) {
  static const cohort_team alone = {1};
  COHORT_VARIED(cohort_product)
  (&alone, transpose_a, transpose_b, m, n, k, (double)alpha, a, stride_a, b, stride_b, (double)beta, c, stride_c);
}

/* The run of equal segment ids that begins at row `first`: one past its last row. */
static inline int64_t run_end(const int32_t *segments, int64_t first, int64_t rows) {
  int64_t end = first + 1;
  while (end < rows && segments[end] == segments[first]) end++;
  return end;
}

#endif
