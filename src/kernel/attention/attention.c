/* Causal attention inside segments, by tiles of queries and keys with an online softmax (Milakov & Gimelshein 2018; Dao
 * et al. 2022): no matrix of all scores. One task is one head of one segment. */
#include "kernel/attention/attention_real.h"
#include "kernel/function_real.h"
#include "kernel/product/product_real.h"

void COHORT_VARIED(cohort_kernel_attention)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_attention)(const cohort_call *call);

/* Workspace of a slot: the cells of transposed queries, of keys and of values; [width][64] sums of values; for
 * a block of queries scores [key][query] and their cells along keys; and per query the largest score, the sum of
 * exponentials and the factor for what was summed before. Last [64][width] rows that lie in two places. */
typedef struct forward_tile {
  real *queries, *keys, *values, *sum, *scores, *weights, *largest, *total, *rescale, *room;
  attention_ahead *ahead;
} forward_tile;

enum { READ = 1 << 0 | 1 << 1 | 1 << 2 }; /* what is fetched ahead: q, k, v */

static int64_t slot_reals(const attention_shape *s) {
  const int64_t across = attention_cells(s->width), along = ATTENTION_TILE / ATTENTION_CELL;
  return ATTENTION_TILE * (2 * across + 2 * s->width + ATTENTION_BLOCK + 3) + along * (s->width + ATTENTION_BLOCK);
}

static forward_tile divide_slot(const attention_shape *s, int64_t slot) {
  const int64_t across = ATTENTION_TILE * attention_cells(s->width), along = ATTENTION_TILE / ATTENTION_CELL;
  forward_tile tile = {.queries = (real *)s->call->workspace + slot * slot_reals(s)};
  tile.keys = tile.queries + across;
  tile.values = tile.keys + across;
  tile.sum = tile.values + along * s->width;
  tile.scores = tile.sum + s->width * ATTENTION_TILE;
  tile.weights = tile.scores + ATTENTION_TILE * ATTENTION_BLOCK;
  tile.largest = tile.weights + along * ATTENTION_BLOCK;
  tile.total = tile.largest + ATTENTION_TILE;
  tile.rescale = tile.total + ATTENTION_TILE;
  tile.room = tile.rescale + ATTENTION_TILE;
  if (ATTENTION_CELL == 1) tile.weights = tile.scores;
  return tile;
}

/* a > b ? a : b */
static inline attention_vector larger(attention_vector a, attention_vector b) {
#if defined(__AVX512F__)
  return (attention_vector)_mm512_max_ps((__m512)a, (__m512)b);
#else
  const __typeof__(a > b) above = a > b;
  return (attention_vector)((above & (__typeof__(above))a) | (~above & (__typeof__(above))b));
#endif
}

/* The first `hidden` scores of a row can be the largest of none. */
static inline void hide(real *row, int hidden) {
  real shown[ATTENTION_BLOCK];
  for (int i = 0; i < ATTENTION_BLOCK; i++) shown[i] = i >= hidden ? row[i] : -(real)INFINITY;
  memcpy(row, shown, sizeof shown);
}

/* to[i] = exp(row[i] - largest[i]), 0 for the first `hidden`. */
static inline void exponentials(const real *row, const real *largest, int hidden, real *to) {
  for (int i = 0; i < ATTENTION_BLOCK; i++) {
    const real value = cohort_exponential_flushed(row[i] - largest[i]);
    to[i] = i >= hidden ? value : 0;
  }
}

/* Scores of a block of queries become cells of exponentials. Query i of the block sees the keys up to first_seen + i;
 * what it does not see becomes 0. Every tile has a key that every query sees. */
static void soften(const attention_shape *s, const forward_tile *tile, int64_t column, int64_t keys,
                   int64_t first_seen) {
  real *restrict rescale = tile->rescale + column;
  attention_memory *largest = (attention_memory *)(tile->largest + column);
  attention_memory *total = (attention_memory *)(tile->total + column);
  attention_vector most[2] = {largest[0], largest[1]};
  real before[ATTENTION_BLOCK], after[ATTENTION_BLOCK];
  memcpy(before, most, sizeof before);
  for (int64_t j = 0; j < keys; j++) {
    real *row = tile->scores + j * ATTENTION_BLOCK;
    if (j > first_seen) hide(row, (int)(j - first_seen));
    for (int v = 0; v < 2; v++) {
      const attention_vector score = *(const attention_memory *)(row + v * ATTENTION_LANES);
      most[v] = larger(score, most[v]);
    }
  }
  memcpy(after, most, sizeof after);
  for (int v = 0; v < 2; v++) largest[v] = most[v];
  for (int i = 0; i < ATTENTION_BLOCK; i++) rescale[i] = cohort_exponential_flushed(before[i] - after[i]);
  attention_vector sum[2];
  for (int v = 0; v < 2; v++) sum[v] = total[v] * ((attention_memory *)rescale)[v];
  for (int64_t j = 0; j < keys; j += ATTENTION_CELL) {
    real value[ATTENTION_CELL][ATTENTION_BLOCK];
    fetch_row(s, tile->ahead, READ);
    for (int c = 0; c < ATTENTION_CELL; c++) {
      const int hidden = j + c < keys ? (int)(j + c - first_seen) : ATTENTION_BLOCK;
      exponentials(tile->scores + (j + c) * ATTENTION_BLOCK, after, hidden, value[c]);
      for (int v = 0; v < 2; v++) sum[v] += *(attention_memory *)(value[c] + v * ATTENTION_LANES);
    }
    cells_across(value, tile->weights + j / ATTENTION_CELL * ATTENTION_BLOCK);
  }
  for (int v = 0; v < 2; v++) total[v] = sum[v];
}

/* Adds the values of the tile's keys, seen by one block of queries. */
static void attend_block(const attention_shape *s, const forward_tile *tile, const attention_queries *q, int64_t column,
                         int64_t key, int64_t keys) {
  const int64_t cells = attention_cells(s->width);
  const attention_strip scores = {.rows = keys,
                                  .depth = cells,
                                  .a = tile->keys,
                                  .a_row = cells,
                                  .a_depth = 1,
                                  .b = tile->queries + column,
                                  .b_row = ATTENTION_TILE,
                                  .c = tile->scores,
                                  .c_row = ATTENTION_BLOCK};
  multiply_strip(&scores);
  soften(s, tile, column, keys, q->first + column - key);
  for (int64_t d = 0; key > 0 && d < s->width; d++) {
    real *restrict sum = tile->sum + d * ATTENTION_TILE + column;
    for (int i = 0; i < ATTENTION_BLOCK; i++) sum[i] *= tile->rescale[column + i];
  }
  const attention_strip values = {.rows = s->width,
                                  .depth = attention_cells(keys),
                                  .a = tile->values,
                                  .a_row = 1,
                                  .a_depth = s->width,
                                  .b = tile->weights,
                                  .b_row = ATTENTION_BLOCK,
                                  .c = tile->sum + column,
                                  .c_row = ATTENTION_TILE,
                                  .add = key > 0};
  multiply_strip(&values);
}

static void store_tile(const attention_shape *s, const forward_tile *tile, const attention_queries *q) {
  const int64_t first = q->run + q->first, lanes = round_to_blocks(q->count);
  for (int64_t i = 0; i < lanes; i++) {
    tile->rescale[i] = 1 / tile->total[i];
    tile->largest[i] += cohort_logarithm(tile->total[i]);
  }
  for (int64_t d = 0; d < s->width; d++) {
    real *restrict sum = tile->sum + d * ATTENTION_TILE;
    for (int64_t i = 0; i < lanes; i++) sum[i] *= tile->rescale[i];
  }
  real *y = (real *)s->call->output[0].data + first * s->row + q->head * s->width;
  transpose_tile(tile->sum, ATTENTION_TILE, s->width, q->count, y, s->row);
  real *logsumexp = (real *)s->call->output[1].data + first * s->heads + q->head;
  for (int64_t i = 0; i < q->count; i++) logsumexp[i * s->heads] = tile->largest[i];
}

static void attend_tile(const attention_shape *s, const forward_tile *tile, const attention_queries *q) {
  const int64_t end = q->first + q->count;
  transpose_queries(s, q, s->call->input[0].data, s->scale, tile->sum, tile->queries);
  for (int64_t i = 0; i < ATTENTION_TILE; i++) {
    tile->largest[i] = -(real)INFINITY;
    tile->total[i] = 0;
  }
  for (int64_t key = 0; key < end; key += ATTENTION_TILE) {
    const int64_t keys = cohort_least(ATTENTION_TILE, end - key);
    const attention_rows k = rows_of_keys(s, q, s->call->input[1].data, key, keys, tile->room);
    copy_cells(k.x, k.row, keys, s->width, 1, tile->keys);
    const attention_rows v = rows_of_keys(s, q, s->call->input[2].data, key, keys, tile->room);
    pair_rows(v.x, v.row, keys, s->width, 1, tile->values, s->width);
    for (int64_t column = 0; column < q->count; column += ATTENTION_BLOCK) {
      attend_block(s, tile, q, column, key, keys_of_block(q, column, key, keys));
    }
  }
  store_tile(s, tile, q);
}

static void leave_out(const attention_shape *s, int64_t head, int64_t first, int64_t end) {
  for (int64_t row = first; row < end; row++) {
    memset((real *)s->call->output[0].data + row * s->row + head * s->width, 0, (size_t)s->width * sizeof(real));
    ((real *)s->call->output[1].data)[row * s->heads + head] = 0;
  }
}

static void run_task(const attention_shape *s, const forward_tile *tile, int64_t head, int64_t first, int64_t end) {
  *tile->ahead = next_head(s, head, first, end);
  attention_queries q = queries_of(s, head, first);
  while (next_queries(&q, end - q.run)) attend_tile(s, tile, &q);
}

static void run_slot(void *argument, int64_t slot) {
  const attention_shape *s = argument;
  attention_ahead ahead = {0};
  forward_tile tile = divide_slot(s, place_of_slot(s, slot));
  tile.ahead = &ahead;
  int64_t task = 0;
  for (int64_t first = 0; first < s->rows;) {
    const int64_t end = run_end(s, first);
    for (int64_t head = 0; head < s->heads; head++, task++) {
      if (task % ATTENTION_SLOTS != slot) continue;
      if (segment_of(s, first) < 0) {
        leave_out(s, head, first, end);
      } else {
        run_task(s, &tile, head, first, end);
      }
    }
    first = end;
  }
}

void COHORT_VARIED(cohort_kernel_attention)(const cohort_call *call) {
  attention_shape s = describe_attention(call);
  cohort_team_run(call->team, ATTENTION_SLOTS, run_slot, &s);
}

size_t COHORT_VARIED(cohort_workspace_attention)(const cohort_call *call) {
  const attention_shape s = describe_attention(call);
  return cohort_workspace_reals(ATTENTION_SLOTS * slot_reals(&s));
}
