/* The gradients of attention: probabilities are made again from the scores and the saved logsumexp. One task is one key
 * head of one segment; it handles the query heads that read it in order, so that sums have one order. */
#include <stdbool.h>
#include <string.h>

#include "kernel/attention_real.h"
#include "kernel/exponential_real.h"

void COHORT_VARIED(cohort_run_attention_backward)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_attention_backward)(const cohort_call *call);

/* Workspace of a slot: probabilities, gradients of scores, and per query the inner product of y and dy. */
typedef struct backward_tile {
  real *p, *ds, *inner;
} backward_tile;

static int64_t slot_reals(const attention_shape *s) {
  (void)s;
  return COHORT_QUERY_TILE * (2 * COHORT_KEY_TILE + 1) + 64;
}

/* p = exp(score - logsumexp), 0 above the diagonal; ds = p (dp - inner). */
static void differentiate(const backward_tile *tile, const real *logsumexp, int64_t heads, int64_t queries, int64_t keys,
                          int64_t query_first, int64_t key_first) {
  for (int64_t i = 0; i < queries; i++) {
    real *restrict p = tile->p + i * COHORT_KEY_TILE, *restrict ds = tile->ds + i * COHORT_KEY_TILE;
    int64_t seen = cohort_least(keys, query_first + i - key_first + 1);
    if (seen < 0) seen = 0;
    const real shift = logsumexp[i * heads], inner = tile->inner[i];
    for (int64_t j = 0; j < seen; j++) {
      p[j] = cohort_exponential(p[j] - shift);
      ds[j] = p[j] * (ds[j] - inner);
    }
    for (int64_t j = seen; j < keys; j++) p[j] = ds[j] = 0;
  }
}

static void differentiate_tile(const attention_shape *s, const backward_tile *tile, int64_t head, int64_t run_first,
                               int64_t query_first, int64_t queries) {
  const cohort_call *call = s->call;
  const int64_t key_head = head * s->key_heads / s->heads;
  const int64_t at = (run_first + query_first) * s->row + head * s->width;
  const real *q = (const real *)call->input[0].data + at, *y = (const real *)call->input[4].data + at;
  const real *dy = (const real *)call->input[6].data + at;
  const real *logsumexp = (const real *)call->input[5].data + (run_first + query_first) * s->heads + head;
  real *dq = (real *)call->output[0].data + at;
  for (int64_t i = 0; i < queries; i++) {
    real inner = 0;
    for (int64_t d = 0; d < s->width; d++) inner += y[i * s->row + d] * dy[i * s->row + d];
    tile->inner[i] = inner;
  }
  for (int64_t key = 0; key < query_first + queries; key += COHORT_KEY_TILE) {
    const int64_t keys = cohort_least(COHORT_KEY_TILE, query_first + queries - key);
    const int64_t offset = (run_first + key) * s->key_row + key_head * s->width;
    const real *k = (const real *)call->input[1].data + offset, *v = (const real *)call->input[2].data + offset;
    real *dk = (real *)call->output[1].data + offset, *dv = (real *)call->output[2].data + offset;
    tile_product(0, 1, queries, keys, s->width, s->scale, q, s->row, k, s->key_row, 0, tile->p, COHORT_KEY_TILE);
    tile_product(0, 1, queries, keys, s->width, 1, dy, s->row, v, s->key_row, 0, tile->ds, COHORT_KEY_TILE);
    differentiate(tile, logsumexp, s->heads, queries, keys, query_first, key);
    tile_product(1, 0, keys, s->width, queries, 1, tile->p, COHORT_KEY_TILE, dy, s->row, 1, dv, s->key_row);
    tile_product(1, 0, keys, s->width, queries, s->scale, tile->ds, COHORT_KEY_TILE, q, s->row, 1, dk, s->key_row);
    tile_product(0, 0, queries, s->width, keys, s->scale, tile->ds, COHORT_KEY_TILE, k, s->key_row, key == 0 ? 0 : 1, dq, s->row);
  }
}

static void zero_rows(real *x, int64_t first, int64_t end, int64_t step, int64_t head, int64_t width) {
  for (int64_t row = first; row < end; row++) memset(x + row * step + head * width, 0, (size_t)width * sizeof *x);
}

static void run_task(const attention_shape *s, const backward_tile *tile, int64_t key_head, int64_t first, int64_t end,
                     bool inside) {
  zero_rows(s->call->output[1].data, first, end, s->key_row, key_head, s->width);
  zero_rows(s->call->output[2].data, first, end, s->key_row, key_head, s->width);
  for (int64_t head = 0; head < s->heads; head++) {
    if (head * s->key_heads / s->heads != key_head) continue;
    if (!inside) {
      zero_rows(s->call->output[0].data, first, end, s->row, head, s->width);
      continue;
    }
    for (int64_t query = 0; query < end - first; query += COHORT_QUERY_TILE)
      differentiate_tile(s, tile, head, first, query, cohort_least(COHORT_QUERY_TILE, end - first - query));
  }
}

static void run_slot(void *argument, int64_t slot) {
  const attention_shape *s = argument;
  const int32_t *segments = s->call->input[3].data;
  real *memory = (real *)s->call->workspace + slot * slot_reals(s);
  const backward_tile tile = {memory, memory + COHORT_QUERY_TILE * COHORT_KEY_TILE,
                              memory + 2 * COHORT_QUERY_TILE * COHORT_KEY_TILE};
  int64_t task = 0;
  for (int64_t first = 0; first < s->rows;) {
    const int64_t end = run_end(segments, first, s->rows);
    for (int64_t key_head = 0; key_head < s->key_heads; key_head++, task++)
      if (task % COHORT_ATTENTION_SLOTS == slot) run_task(s, &tile, key_head, first, end, segments[first] >= 0);
    first = end;
  }
}

void COHORT_VARIED(cohort_run_attention_backward)(const cohort_call *call) {
  attention_shape s = describe_attention(call);
  cohort_team_run(call->team, COHORT_ATTENTION_SLOTS, run_slot, &s);
}

size_t COHORT_VARIED(cohort_workspace_attention_backward)(const cohort_call *call) {
  const attention_shape s = describe_attention(call);
  return cohort_workspace_reals(COHORT_ATTENTION_SLOTS * slot_reals(&s));
}
