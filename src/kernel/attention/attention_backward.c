/* The gradients of attention: probabilities are made again from the scores and the saved logsumexp. One task is one key
 * head of one segment; it handles the query heads that read it in order, so that sums have one order. */
#include "kernel/attention/attention_real.h"
#include "kernel/function_real.h"
#include "kernel/product/product_real.h"

void COHORT_VARIED(cohort_kernel_attention_backward)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_attention_backward)(const cohort_call *call);

/* Workspace of a slot. Cells of the transposed tiles of q (scaled) and dy; [width][64] dq transposed; cells along
 * queries of q (scaled) and dy, their width in whole blocks; cells of keys and values, and of keys along keys;
 * probabilities and gradients of scores as cells along queries, [key][query], and the latter of a block of queries as
 * cells along keys; before they are cells, those of a block and a group of keys; and per query the logsumexp and the
 * inner product of y and dy; [64][width] rows that lie in two places. Where a cell is one element, they are made in
 * their place, and serve along keys too. */
typedef struct backward_tile {
  real *q_transposed, *dy_transposed, *dq_transposed, *q, *dy, *k, *v, *k_paired, *p, *ds, *p_cells, *ds_cells,
      *ds_paired;
  real *logsumexp, *inner, *room;
  int64_t padded; /* the width in whole blocks */
  attention_ahead *ahead;
} backward_tile;

/* GROUP: keys whose scores are made into cells before the next ones are computed, so that they stay in the first cache.
 */
enum { ALONG = ATTENTION_ALONG, GROUP = ATTENTION_CELL > 1 ? 16 : ATTENTION_TILE };

enum { READ = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4 | 1 << 6 }; /* what is fetched ahead: q, k, v, y, dy */

static int64_t slot_reals(const attention_shape *s) {
  const int64_t across = ATTENTION_TILE * attention_cells(s->width);
  const int64_t plain = 4 * across + 2 * ATTENTION_TILE * s->width + 2 * ALONG * round_to_blocks(s->width) +
                        2 * ALONG * ATTENTION_TILE + 2 * ATTENTION_TILE;
  return ATTENTION_CELL > 1 ? plain + ALONG * (s->width + ATTENTION_BLOCK) + 2 * GROUP * ATTENTION_BLOCK : plain;
}

static backward_tile divide_slot(const attention_shape *s, int64_t slot) {
  real *next = (real *)s->call->workspace + slot * slot_reals(s);
  const int64_t across = ATTENTION_TILE * attention_cells(s->width);
  backward_tile tile = {.padded = round_to_blocks(s->width)};
  tile.q_transposed = take_reals(&next, across);
  tile.dy_transposed = take_reals(&next, across);
  tile.k = take_reals(&next, across);
  tile.v = take_reals(&next, across);
  tile.dq_transposed = take_reals(&next, ATTENTION_TILE * s->width);
  tile.q = take_reals(&next, ALONG * tile.padded);
  tile.dy = take_reals(&next, ALONG * tile.padded);
  tile.p_cells = take_reals(&next, ALONG * ATTENTION_TILE);
  tile.ds_cells = take_reals(&next, ALONG * ATTENTION_TILE);
  tile.logsumexp = take_reals(&next, ATTENTION_TILE);
  tile.inner = take_reals(&next, ATTENTION_TILE);
  tile.room = take_reals(&next, ATTENTION_TILE * s->width);
  if (ATTENTION_CELL > 1) {
    tile.k_paired = take_reals(&next, ALONG * s->width);
    tile.ds_paired = take_reals(&next, ALONG * ATTENTION_BLOCK);
    tile.p = take_reals(&next, GROUP * ATTENTION_BLOCK);
    tile.ds = take_reals(&next, GROUP * ATTENTION_BLOCK);
  } else {
    tile.k_paired = tile.k;
  }
  return tile;
}

/* A block of queries and the keys of its tile from `first` on: their scores and the inner products of dy and values
 * [key][query], `row` apart, and where their cells go. */
typedef struct backward_group {
  int64_t column, first, keys, first_seen; /* query i of the block sees the keys up to first_seen + i */
  real *p, *ds;
  int64_t row;
} backward_group;

static backward_group find_group(const backward_tile *tile, int64_t column, int64_t first, int64_t keys,
                                 int64_t first_seen) {
  backward_group group = {column, first, keys, first_seen, tile->p, tile->ds, ATTENTION_BLOCK};
  if (ATTENTION_CELL > 1) return group;
  group.p = tile->p_cells + first * ATTENTION_TILE + column;
  group.ds = tile->ds_cells + first * ATTENTION_TILE + column;
  group.row = ATTENTION_TILE;
  return group;
}

/* p = exp(score - logsumexp), 0 for the first `hidden` queries, which do not see the key; ds = p (dp - inner). */
static inline void differentiate_key(const real *score, const real *dp, const real *logsumexp, const real *inner,
                                     int hidden, real *p, real *ds) {
  for (int i = 0; i < ATTENTION_BLOCK; i++) {
    const real value = cohort_exponential_flushed(score[i] - logsumexp[i]), difference = dp[i] - inner[i];
    p[i] = i >= hidden ? value : 0;
    ds[i] = i >= hidden ? value * difference : 0;
  }
}

/* Makes the cells of a group. */
static void differentiate(const attention_shape *s, const backward_tile *tile, const backward_group *group) {
  const real *logsumexp = tile->logsumexp + group->column, *inner = tile->inner + group->column;
  for (int64_t j = 0; j < group->keys; j += ATTENTION_CELL) {
    fetch_row(s, tile->ahead, READ);
    real p[ATTENTION_CELL][ATTENTION_BLOCK], ds[ATTENTION_CELL][ATTENTION_BLOCK];
    for (int c = 0; c < ATTENTION_CELL; c++) {
      const int64_t key = j + c;
      const int hidden = key < group->keys ? (int)(key - group->first_seen) : ATTENTION_BLOCK;
      const int64_t cell = (group->first + key) * ALONG + group->column / ATTENTION_CELL;
      differentiate_key(group->p + key * group->row, group->ds + key * group->row, logsumexp, inner, hidden, p[c],
                        ds[c]);
      cells_along(p[c], tile->p_cells + cell);
      cells_along(ds[c], tile->ds_cells + cell);
    }
    if (ATTENTION_CELL > 1) cells_across(ds, tile->ds_paired + (group->first + j) / ATTENTION_CELL * ATTENTION_BLOCK);
  }
}

static void add_queries_gradient(const attention_shape *s, const backward_tile *tile, int64_t column, int64_t keys,
                                 bool add) {
  const bool paired = ATTENTION_CELL > 1;
  const attention_strip strip = {.rows = s->width,
                                 .depth = attention_cells(keys),
                                 .a = tile->k_paired,
                                 .a_row = 1,
                                 .a_depth = s->width,
                                 .b = paired ? tile->ds_paired : tile->ds_cells + column,
                                 .b_row = paired ? ATTENTION_BLOCK : ATTENTION_TILE,
                                 .c = tile->dq_transposed + column,
                                 .c_row = ATTENTION_TILE,
                                 .add = add};
  multiply_strip(&strip);
}

/* Of a tile of queries and the keys [from, to) of one, which lie together. Where a block of keys is seen from the
 * tile's query `first` on, those before it are left out. */
static void add_keys_gradients(const attention_shape *s, const backward_tile *tile, const attention_queries *q,
                               int64_t key, int64_t from, int64_t to, bool add) {
  const int64_t step = aligned(q, key) ? ATTENTION_BLOCK : to - from;
  const int64_t row = (key + from < q->shared ? q->prefix : q->run) + key;
  const real *x[2] = {tile->q, tile->dy}, *weights[2] = {tile->ds_cells, tile->p_cells};
  for (int i = 0; i < 2; i++) {
    real *out = (real *)s->call->output[1 + i].data + row * s->key_row + q->key_head * s->width;
    for (int64_t j = from; j < to; j += step) {
      const int64_t first = aligned(q, key) ? j : 0, cell = first / ATTENTION_CELL;
      add_keys_gradient(s, weights[i] + j * ALONG + cell, x[i] + cell * tile->padded, tile->padded, q->count - first,
                        cohort_least(step, to - j), add, out + j * s->key_row);
    }
  }
}

/* The cells of keys [seen, keys), which the block's queries do not see, where they are read: of queries that begin
 * inside of a tile of keys. */
static void blank_unseen(const backward_tile *tile, int64_t column, int64_t seen, int64_t keys) {
  for (int64_t j = seen; j < keys; j++) {
    const int64_t cell = j * ALONG + column / ATTENTION_CELL;
    memset(tile->p_cells + cell, 0, ATTENTION_BLOCK / ATTENTION_CELL * sizeof(real));
    memset(tile->ds_cells + cell, 0, ATTENTION_BLOCK / ATTENTION_CELL * sizeof(real));
  }
}

static void differentiate_block(const attention_shape *s, const backward_tile *tile, const attention_queries *q,
                                int64_t column, int64_t key, int64_t keys) {
  const int64_t cells = attention_cells(s->width);
  for (int64_t j = 0; j < keys; j += GROUP) {
    const backward_group group =
        find_group(tile, column, j, cohort_least(GROUP, keys - j), q->first + column - key - j);
    score_keys(s, tile->k + j * cells, group.keys, tile->q_transposed + column, group.p, group.row, false);
    score_keys(s, tile->v + j * cells, group.keys, tile->dy_transposed + column, group.ds, group.row, false);
    differentiate(s, tile, &group);
  }
  add_queries_gradient(s, tile, column, keys, key > 0);
}

static real row_product(const real *a, const real *b, int64_t n) {
  cohort_simd sum = {0};
  int64_t i = 0;
  for (; i + COHORT_LANES <= n; i += COHORT_LANES)
    sum = cohort_plus_product(sum, cohort_load(a + i), cohort_load(b + i));
  real tail = 0;
  for (; i < n; i++) tail += a[i] * b[i];
  return cohort_join_lanes(sum) + tail;
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
  const attention_rows v = rows_of_keys(s, q, s->call->input[2].data, key, keys, tile->room);
  copy_cells(v.x, v.row, keys, s->width, 1, tile->v);
  const attention_rows k = rows_of_keys(s, q, s->call->input[1].data, key, keys, tile->room);
  copy_cells(k.x, k.row, keys, s->width, 1, tile->k);
  if (ATTENTION_CELL > 1) pair_rows(k.x, k.row, keys, s->width, 1, tile->k_paired, s->width);
}

static void differentiate_tile(const attention_shape *s, const backward_tile *tile, const attention_queries *q) {
  const int64_t end = q->first + q->count;
  const bool first_head = q->head == 0 || (q->head - 1) * s->key_heads / s->heads != q->key_head;
  load_queries(s, tile, q);
  for (int64_t key = 0; key < end; key += ATTENTION_TILE) {
    const int64_t keys = cohort_least(ATTENTION_TILE, end - key);
    load_keys(s, tile, q, key, keys);
    for (int64_t column = 0; column < q->count; column += ATTENTION_BLOCK) {
      const int64_t seen = keys_of_block(q, column, key, keys);
      differentiate_block(s, tile, q, column, key, seen);
      if (!aligned(q, key)) blank_unseen(tile, column, seen, keys);
    }
    /* The keys that no query has seen before have no gradient yet to add to; those of a prefix always have. */
    const int64_t shared = cohort_least(keys, cohort_most(0, q->shared - key));
    if (shared) add_keys_gradients(s, tile, q, key, 0, shared, true);
    if (shared < keys) add_keys_gradients(s, tile, q, key, shared, keys, !(first_head && on_diagonal(q, key)));
  }
  real *dq = (real *)s->call->output[0].data + (q->run + q->first) * s->row + q->head * s->width;
  for (int64_t i = 0; i < s->width * ATTENTION_TILE; i++) tile->dq_transposed[i] *= s->scale;
  transpose_tile(tile->dq_transposed, ATTENTION_TILE, s->width, q->count, dq, s->row);
}

static void run_task(const attention_shape *s, const void *workspace, int64_t key_head, int64_t first, int64_t end,
                     bool inside) {
  const backward_tile *tile = workspace;
  for (int i = 1; i <= 2 && !inside; i++)
    zero_rows(s->call->output[i].data, first, end, s->key_row, key_head, s->width);
  for (int64_t head = 0; head < s->heads; head++) {
    if (head * s->key_heads / s->heads != key_head) continue;
    if (!inside) {
      zero_rows(s->call->output[0].data, first, end, s->row, head, s->width);
      continue;
    }
    *tile->ahead = next_head(s, head, first, end);
    attention_queries q = queries_of(s, head, first);
    while (next_queries(&q, end - q.run)) differentiate_tile(s, tile, &q);
  }
}

static void run_slot(void *argument, int64_t slot) {
  const attention_shape *s = argument;
  attention_ahead ahead = {0};
  backward_tile tile = divide_slot(s, place_of_slot(s, slot));
  tile.ahead = &ahead;
  run_tasks(s, slot, run_task, &tile);
}

void COHORT_VARIED(cohort_kernel_attention_backward)(const cohort_call *call) {
  attention_shape s = describe_attention(call);
  cohort_team_run(call->team, ATTENTION_SLOTS, run_slot, &s);
}

size_t COHORT_VARIED(cohort_workspace_attention_backward)(const cohort_call *call) {
  const attention_shape s = describe_attention(call);
  return cohort_workspace_reals(ATTENTION_SLOTS * slot_reals(&s));
}
