/* Causal attention inside segments, by tiles of queries and keys with an online softmax (Milakov & Gimelshein 2018; Dao et
 * al. 2022): no matrix of all scores. One task is one head of one segment. */
#include <math.h>
#include <string.h>

#include "kernel/attention_real.h"
#include "kernel/exponential_real.h"

void COHORT_VARIED(cohort_run_attention)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_attention)(const cohort_call *call);

/* Workspace of a slot: scores, sums of values, and per query the largest score and the sum of exponentials. */
typedef struct forward_tile {
  real *scores, *sum, *largest, *total;
} forward_tile;

static int64_t slot_reals(const attention_shape *s) {
  return COHORT_QUERY_TILE * (COHORT_KEY_TILE + s->width + 2) + 64;
}

/* Exponentials of the scores of one key tile; rescales what was summed before. */
static void soften(const attention_shape *s, const forward_tile *tile, int64_t queries, int64_t keys, int64_t query_first,
                   int64_t key_first) {
  for (int64_t i = 0; i < queries; i++) {
    real *restrict row = tile->scores + i * COHORT_KEY_TILE;
    const int64_t seen = cohort_least(keys, query_first + i - key_first + 1);
    if (seen <= 0) {
      memset(row, 0, (size_t)keys * sizeof *row);
      continue;
    }
    const real largest = cohort_larger(tile->largest[i], cohort_row_max(row, seen));
    const real rescale = cohort_exponential(tile->largest[i] - largest);
    for (int64_t j = 0; j < seen; j++) row[j] = cohort_exponential(row[j] - largest);
    for (int64_t j = seen; j < keys; j++) row[j] = 0;
    tile->total[i] = tile->total[i] * rescale + cohort_row_sum(row, seen);
    tile->largest[i] = largest;
    real *restrict sum = tile->sum + i * s->width;
    for (int64_t d = 0; d < s->width; d++) sum[d] *= rescale;
  }
}

static void attend_tile(const attention_shape *s, const forward_tile *tile, int64_t head, int64_t run_first,
                        int64_t query_first, int64_t queries) {
  const cohort_call *call = s->call;
  const int64_t key_head = head * s->key_heads / s->heads;
  const real *q = (const real *)call->input[0].data + (run_first + query_first) * s->row + head * s->width;
  for (int64_t i = 0; i < queries; i++) {
    tile->largest[i] = -(real)1e30;
    tile->total[i] = 0;
  }
  memset(tile->sum, 0, (size_t)(queries * s->width) * sizeof *tile->sum);
  for (int64_t key = 0; key < query_first + queries; key += COHORT_KEY_TILE) {
    const int64_t keys = cohort_least(COHORT_KEY_TILE, query_first + queries - key);
    const int64_t offset = (run_first + key) * s->key_row + key_head * s->width;
    tile_product(0, 1, queries, keys, s->width, s->scale, q, s->row, (const real *)call->input[1].data + offset, s->key_row, 0,
                 tile->scores, COHORT_KEY_TILE);
    soften(s, tile, queries, keys, query_first, key);
    tile_product(0, 0, queries, s->width, keys, 1, tile->scores, COHORT_KEY_TILE, (const real *)call->input[2].data + offset,
                 s->key_row, 1, tile->sum, s->width);
  }
  for (int64_t i = 0; i < queries; i++) {
    const int64_t row = run_first + query_first + i;
    real *restrict y = (real *)call->output[0].data + row * s->row + head * s->width;
    const real inverse = 1 / tile->total[i];
    for (int64_t d = 0; d < s->width; d++) y[d] = tile->sum[i * s->width + d] * inverse;
    ((real *)call->output[1].data)[row * s->heads + head] = tile->largest[i] + (real)log((double)tile->total[i]);
  }
}

static void leave_out(const attention_shape *s, int64_t head, int64_t first, int64_t end) {
  for (int64_t row = first; row < end; row++) {
    memset((real *)s->call->output[0].data + row * s->row + head * s->width, 0, (size_t)s->width * sizeof(real));
    ((real *)s->call->output[1].data)[row * s->heads + head] = 0;
  }
}

static void run_slot(void *argument, int64_t slot) {
  const attention_shape *s = argument;
  const int32_t *segments = s->call->input[3].data;
  real *memory = (real *)s->call->workspace + slot * slot_reals(s);
  const forward_tile tile = {memory, memory + COHORT_QUERY_TILE * COHORT_KEY_TILE,
                             memory + COHORT_QUERY_TILE * (COHORT_KEY_TILE + s->width),
                             memory + COHORT_QUERY_TILE * (COHORT_KEY_TILE + s->width + 1)};
  int64_t task = 0;
  for (int64_t first = 0; first < s->rows;) {
    const int64_t end = run_end(segments, first, s->rows);
    for (int64_t head = 0; head < s->heads; head++, task++) {
      if (task % COHORT_ATTENTION_SLOTS != slot) continue;
      if (segments[first] < 0)
        leave_out(s, head, first, end);
      else
        for (int64_t query = 0; query < end - first; query += COHORT_QUERY_TILE)
          attend_tile(s, &tile, head, first, query, cohort_least(COHORT_QUERY_TILE, end - first - query));
    }
    first = end;
  }
}

void COHORT_VARIED(cohort_run_attention)(const cohort_call *call) {
  attention_shape s = describe_attention(call);
  cohort_team_run(call->team, COHORT_ATTENTION_SLOTS, run_slot, &s);
}

size_t COHORT_VARIED(cohort_workspace_attention)(const cohort_call *call) {
  const attention_shape s = describe_attention(call);
  return cohort_workspace_reals(COHORT_ATTENTION_SLOTS * slot_reals(&s));
}
