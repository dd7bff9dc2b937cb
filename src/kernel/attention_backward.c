/* The gradients of attention: probabilities are made again from the scores and the saved logsumexp. One task is one key
 * head of one segment; it handles the query heads that read it in order, so that sums have one order. */
#include "kernel/attention_real.h"
#include "kernel/function_real.h"
#include "kernel/product_real.h"

void COHORT_VARIED(cohort_run_attention_backward)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_attention_backward)(const cohort_call *call);

/* Workspace of a slot. Cells of the transposed tiles of q (scaled) and dy; [width][64] dq transposed; cells along
 * queries of q (scaled) and dy, their width in whole blocks; cells of keys and values, and of keys along keys; for a
 * block of queries probabilities and gradients of scores, [key][query], and their cells along queries and along keys;
 * and per query the logsumexp and the inner product of y and dy. */
typedef struct backward_tile {
  real *q_transposed, *dy_transposed, *dq_transposed, *q, *dy, *k, *v, *k_paired, *p, *ds, *p_cells, *ds_cells,
      *ds_paired;
  real *logsumexp, *inner;
  int64_t padded; /* the width in whole blocks */
} backward_tile;

/* GROUP: keys whose scores are made into cells before the next ones are computed, so that they stay in the first cache;
 * without cells all of a block's stay. */
enum {
  ALONG = ATTENTION_TILE / ATTENTION_CELL,
  ACROSS = ATTENTION_BLOCK / ATTENTION_CELL,
  GROUP = ATTENTION_CELL > 1 ? 16 : ATTENTION_TILE
};

static real *take(real **memory, int64_t reals) {
  real *taken = *memory;
  *memory += reals;
  return taken;
}

static int64_t slot_reals(const attention_shape *s) {
  const int64_t across = ATTENTION_TILE * attention_cells(s->width), scores = GROUP * ATTENTION_BLOCK;
  const int64_t plain =
      4 * across + ATTENTION_TILE * s->width + 2 * ALONG * round_to_blocks(s->width) + 2 * scores + 2 * ATTENTION_TILE;
  return ATTENTION_CELL > 1 ? plain + ALONG * s->width + 3 * ALONG * ATTENTION_BLOCK : plain;
}

static backward_tile divide_slot(const attention_shape *s, int64_t slot) {
  real *next = (real *)s->call->workspace + slot * slot_reals(s);
  const int64_t across = ATTENTION_TILE * attention_cells(s->width), scores = GROUP * ATTENTION_BLOCK;
  backward_tile tile = {.padded = round_to_blocks(s->width)};
  tile.q_transposed = take(&next, across);
  tile.dy_transposed = take(&next, across);
  tile.k = take(&next, across);
  tile.v = take(&next, across);
  tile.dq_transposed = take(&next, ATTENTION_TILE * s->width);
  tile.q = take(&next, ALONG * tile.padded);
  tile.dy = take(&next, ALONG * tile.padded);
  tile.p = take(&next, scores);
  tile.ds = take(&next, scores);
  tile.logsumexp = take(&next, ATTENTION_TILE);
  tile.inner = take(&next, ATTENTION_TILE);
  if (ATTENTION_CELL > 1) {
    tile.k_paired = take(&next, ALONG * s->width);
    tile.p_cells = take(&next, ALONG * ATTENTION_BLOCK);
    tile.ds_cells = take(&next, ALONG * ATTENTION_BLOCK);
    tile.ds_paired = take(&next, ALONG * ATTENTION_BLOCK);
  } else {
    tile.k_paired = tile.k;
    tile.p_cells = tile.p;
    tile.ds_cells = tile.ds_paired = tile.ds;
  }
  return tile;
}

/* p = exp(score - logsumexp), 0 where a query does not see the key; ds = p (dp - inner). Query i of the block sees the
 * keys up to first_seen + i. */
static void differentiate(const backward_tile *tile, int64_t column, int64_t keys, int64_t first_seen) {
  const real *restrict logsumexp = tile->logsumexp + column, *restrict inner = tile->inner + column;
  for (int64_t j = 0; j < keys; j++) {
    real *restrict p = tile->p + j * ATTENTION_BLOCK, *restrict ds = tile->ds + j * ATTENTION_BLOCK;
    const int hidden = (int)(j - first_seen);
    for (int i = 0; i < ATTENTION_BLOCK; i++) {
      const real value = cohort_exponential(p[i] - logsumexp[i]);
      p[i] = i >= hidden ? value : 0;
      ds[i] = i >= hidden ? value * (ds[i] - inner[i]) : 0;
    }
  }
}

/* out [key][query] = the inner products of rows of cells, of keys or values, and the queries. */
static void score_block(const attention_shape *s, const real *x, int64_t keys, const real *queries, real *out) {
  const attention_strip strip = {.rows = keys,
                                 .depth = attention_cells(s->width),
                                 .a = x,
                                 .a_row = attention_cells(s->width),
                                 .a_depth = 1,
                                 .b = queries,
                                 .b_row = ATTENTION_TILE,
                                 .c = out,
                                 .c_row = ATTENTION_BLOCK};
  multiply_strip(&strip);
}

static void add_queries_gradient(const attention_shape *s, const backward_tile *tile, int64_t column, int64_t keys,
                                 bool add) {
  const attention_strip strip = {.rows = s->width,
                                 .depth = attention_cells(keys),
                                 .a = tile->k_paired,
                                 .a_row = 1,
                                 .a_depth = s->width,
                                 .b = tile->ds_paired,
                                 .b_row = ATTENTION_BLOCK,
                                 .c = tile->dq_transposed + column,
                                 .c_row = ATTENTION_TILE,
                                 .add = add};
  multiply_strip(&strip);
}

/* Copies a part of a block's width between an output and a buffer of whole blocks. */
static void copy_columns(const real *from, int64_t from_row, real *to, int64_t to_row, int64_t rows, int64_t columns) {
  for (int64_t m = 0; m < rows; m++) memcpy(to + m * to_row, from + m * from_row, (size_t)columns * sizeof *to);
}

/* out (keys x width) = or += the cells of weights [key][query] times those of the rows of `x`, `queries` of them. */
static void add_keys_gradient(const attention_shape *s, const backward_tile *tile, const real *weights, const real *x,
                              int64_t queries, int64_t keys, bool add, real *out) {
  real edge[ATTENTION_TILE * ATTENTION_BLOCK];
  attention_strip strip = {.rows = keys,
                           .depth = attention_cells(queries),
                           .a = weights,
                           .a_row = ACROSS,
                           .a_depth = 1,
                           .b_row = tile->padded,
                           .add = add};
  for (int64_t d = 0; d < s->width; d += ATTENTION_BLOCK) {
    const int64_t columns = cohort_least(ATTENTION_BLOCK, s->width - d);
    const bool whole = columns == ATTENTION_BLOCK;
    strip.b = x + d;
    strip.c = whole ? out + d : edge;
    strip.c_row = whole ? s->key_row : ATTENTION_BLOCK;
    if (!whole && add) {
      memset(edge, 0, sizeof edge);
      copy_columns(out + d, s->key_row, edge, ATTENTION_BLOCK, keys, columns);
    }
    multiply_strip(&strip);
    if (!whole) copy_columns(edge, ATTENTION_BLOCK, out + d, s->key_row, keys, columns);
  }
}

/* Probabilities and gradients of scores of keys [first, first + keys) as cells along queries, and the latter along
 * keys. */
static void make_cells(const backward_tile *tile, int64_t first, int64_t keys) {
  if (ATTENTION_CELL == 1) return;
  copy_cells(tile->p, ATTENTION_BLOCK, keys, ATTENTION_BLOCK, 1, tile->p_cells + first * ACROSS);
  copy_cells(tile->ds, ATTENTION_BLOCK, keys, ATTENTION_BLOCK, 1, tile->ds_cells + first * ACROSS);
  pair_rows(tile->ds, ATTENTION_BLOCK, keys, ATTENTION_BLOCK, 1,
            tile->ds_paired + first / ATTENTION_CELL * ATTENTION_BLOCK, ATTENTION_BLOCK);
}

/* The keys that a block is the first to see, [fresh, keys) of its tile, have no gradient yet to add to. */
static void add_keys_gradients(const attention_shape *s, const backward_tile *tile, const attention_queries *q,
                               int64_t column, int64_t key, int64_t keys, int64_t fresh) {
  const cohort_call *call = s->call;
  const int64_t cell = column / ATTENTION_CELL, queries = cohort_least(ATTENTION_BLOCK, q->count - column);
  const real *x[2] = {tile->q + cell * tile->padded, tile->dy + cell * tile->padded};
  const real *weights[2] = {tile->ds_cells, tile->p_cells};
  for (int i = 0; i < 2; i++) {
    real *out = (real *)call->output[1 + i].data + (q->run + key) * s->key_row + q->key_head * s->width;
    add_keys_gradient(s, tile, weights[i], x[i], queries, fresh, true, out);
    add_keys_gradient(s, tile, weights[i] + fresh * ACROSS, x[i], queries, keys - fresh, false,
                      out + fresh * s->key_row);
  }
}

static void differentiate_block(const attention_shape *s, const backward_tile *tile, const attention_queries *q,
                                int64_t column, int64_t key, int64_t keys) {
  const int64_t cells = attention_cells(s->width);
  for (int64_t j = 0; j < keys; j += GROUP) {
    const int64_t count = cohort_least(GROUP, keys - j);
    score_block(s, tile->k + j * cells, count, tile->q_transposed + column, tile->p);
    score_block(s, tile->v + j * cells, count, tile->dy_transposed + column, tile->ds);
    differentiate(tile, column, count, q->first + column - key - j);
    make_cells(tile, j, count);
  }
  const bool first_head = q->head == 0 || (q->head - 1) * s->key_heads / s->heads != q->key_head;
  add_keys_gradients(s, tile, q, column, key, keys, first_head && key == q->first ? cohort_least(column, keys) : keys);
  add_queries_gradient(s, tile, column, keys, key > 0);
}

static real row_product(const real *a, const real *b, int64_t n) {
  cohort_vector sum = {0};
  int64_t i = 0;
  for (; i + COHORT_LANES <= n; i += COHORT_LANES)
    sum = cohort_plus_product(sum, cohort_load(a + i), cohort_load(b + i));
  real tail = 0;
  for (; i < n; i++) tail += a[i] * b[i];
  return cohort_join_lanes(sum) + tail;
}

/* out [cells of count][padded] = factor times the tile's rows of x, zeros past the width. */
static void pair_queries(const attention_shape *s, const attention_queries *q, const real *x, real factor, real *out,
                         int64_t padded) {
  const real *rows = x + (q->run + q->first) * s->row + q->head * s->width;
  pair_rows(rows, s->row, q->count, s->width, factor, out, padded);
  for (int64_t i = 0; i < attention_cells(q->count); i++)
    for (int64_t d = s->width; d < padded; d++) out[i * padded + d] = 0;
}

static void load_queries(const attention_shape *s, const backward_tile *tile, const attention_queries *q) {
  const cohort_call *call = s->call;
  const int64_t first = q->run + q->first, offset = first * s->row + q->head * s->width;
  const real *y = (const real *)call->input[4].data + offset, *dy = (const real *)call->input[6].data + offset;
  const real *logsumexp = (const real *)call->input[5].data + first * s->heads + q->head;
  for (int64_t i = 0; i < round_to_blocks(q->count); i++) {
    tile->inner[i] = i < q->count ? row_product(y + i * s->row, dy + i * s->row, s->width) : 0;
    tile->logsumexp[i] = i < q->count ? logsumexp[i * s->heads] : 0;
  }
  /* Rows lie where dq will. */
  transpose_queries(s, q, call->input[6].data, 1, tile->dq_transposed, tile->dy_transposed);
  transpose_queries(s, q, call->input[0].data, s->scale, tile->dq_transposed, tile->q_transposed);
  pair_queries(s, q, call->input[0].data, s->scale, tile->q, tile->padded);
  pair_queries(s, q, call->input[6].data, 1, tile->dy, tile->padded);
}

static void load_keys(const attention_shape *s, const backward_tile *tile, const attention_queries *q, int64_t key,
                      int64_t keys) {
  const int64_t offset = (q->run + key) * s->key_row + q->key_head * s->width;
  const real *k = (const real *)s->call->input[1].data + offset, *v = (const real *)s->call->input[2].data + offset;
  copy_cells(k, s->key_row, keys, s->width, 1, tile->k);
  copy_cells(v, s->key_row, keys, s->width, 1, tile->v);
  if (ATTENTION_CELL > 1) pair_rows(k, s->key_row, keys, s->width, 1, tile->k_paired, s->width);
}

static void differentiate_tile(const attention_shape *s, const backward_tile *tile, const attention_queries *q) {
  const int64_t end = q->first + q->count;
  load_queries(s, tile, q);
  for (int64_t key = 0; key < end; key += ATTENTION_TILE) {
    const int64_t keys = cohort_least(ATTENTION_TILE, end - key);
    load_keys(s, tile, q, key, keys);
    for (int64_t column = 0; column < q->count; column += ATTENTION_BLOCK) {
      differentiate_block(s, tile, q, column, key, keys_of_block(q, column, key, keys));
    }
  }
  real *dq = (real *)s->call->output[0].data + (q->run + q->first) * s->row + q->head * s->width;
  for (int64_t i = 0; i < s->width * ATTENTION_TILE; i++) tile->dq_transposed[i] *= s->scale;
  transpose_tile(tile->dq_transposed, ATTENTION_TILE, s->width, q->count, dq, s->row);
}

static void zero_rows(real *x, int64_t first, int64_t end, int64_t step, int64_t head, int64_t width) {
  for (int64_t row = first; row < end; row++) memset(x + row * step + head * width, 0, (size_t)width * sizeof *x);
}

static void run_task(const attention_shape *s, const backward_tile *tile, int64_t key_head, int64_t first, int64_t end,
                     bool inside) {
  for (int i = 1; i <= 2 && !inside; i++)
    zero_rows(s->call->output[i].data, first, end, s->key_row, key_head, s->width);
  for (int64_t head = 0; head < s->heads; head++) {
    if (head * s->key_heads / s->heads != key_head) continue;
    if (!inside) {
      zero_rows(s->call->output[0].data, first, end, s->row, head, s->width);
      continue;
    }
    attention_queries q = {.run = first, .head = head, .key_head = key_head};
    for (; q.first < end - first; q.first += ATTENTION_TILE) {
      q.count = cohort_least(ATTENTION_TILE, end - first - q.first);
      differentiate_tile(s, tile, &q);
    }
  }
}

static void run_slot(void *argument, int64_t slot) {
  const attention_shape *s = argument;
  const int32_t *segments = s->call->input[3].data;
  const backward_tile tile = divide_slot(s, slot);
  int64_t task = 0;
  for (int64_t first = 0; first < s->rows;) {
    const int64_t end = run_end(segments, first, s->rows);
    for (int64_t key_head = 0; key_head < s->key_heads; key_head++, task++) {
      if (task % ATTENTION_SLOTS == slot) run_task(s, &tile, key_head, first, end, segments[first] >= 0);
    }
    first = end;
  }
}

void COHORT_VARIED(cohort_run_attention_backward)(const cohort_call *call) {
  attention_shape s = describe_attention(call);
  cohort_team_run(call->team, ATTENTION_SLOTS, run_slot, &s);
}

size_t COHORT_VARIED(cohort_workspace_attention_backward)(const cohort_call *call) {
  const attention_shape s = describe_attention(call);
  return cohort_workspace_reals(ATTENTION_SLOTS * slot_reals(&s));
}
