/* What carries a derivative back through the gradients of attention: for products with the Hessian. Probabilities P are
 * made again, and the matrices of all scores never stand: a tile of queries goes over its keys twice, first for what a
 * row of P sums up, then for the results.
 *
 * With S = scale q k', P = softmax(S), dP = dy v', dS = P (dP - delta), delta = rowsum(P dP), attention_backward gives
 * dq = scale dS k, dk = scale dS' q, dv = P' dy. Given aq, ak, av, the derivatives by these,
 *   A = scale (aq k' + q ak')   by dS          mean  = rowsum(P A)
 *   E = P (A - mean)            by dP          B     = dy av'
 *   C = A (dP - delta) - mean dP + B, by P     total = rowsum(P C) = rowsum(P (A dP + B)) - 2 delta mean
 *   D = P (C - total)           by S
 * and the results are  q: scale (D k + dS ak),  k: scale (D' q + dS' aq),  v: E' dy,  dy: E v + P av.
 *
 * One task is one key head of one segment, as in attention_backward: sums have one order. Time: 17 products of the
 * scores' size, where attention takes 2. */
#include "kernel/attention/attention_real.h"
#include "kernel/function_real.h"

void COHORT_BASED(cohort_kernel_attention_second)(const cohort_call *call);
size_t COHORT_BASED(cohort_workspace_attention_second)(const cohort_call *call);

enum { Q, K, V, SEGMENTS, LOGSUMEXP, DY, AQ, AK, AV };

/* Workspace of a slot. Transposed tiles [width][64] of q, aq (scaled) and dy, and of the results for q and dy; rows
 * [64][padded] of q, aq (scaled) and dy; rows [64][width] of keys, and of those that lie in two places; matrices
 * [key][query]; sums of a query. In the first pass the matrices are S, dP, A and B, in the second P, dS, E and D. */
typedef struct second_tile {
  real *q_transposed, *aq_transposed, *dy_transposed, *gq_transposed, *gdy_transposed;
  real *q, *aq, *dy;
  real *k, *v, *ak, *av, *room;
  real *p, *ds, *e, *d;
  real *logsumexp, *delta, *mean, *total;
  int64_t padded; /* the width in whole blocks */
} second_tile;

static int64_t slot_reals(const attention_shape *s) {
  return ATTENTION_TILE * (5 * s->width + 3 * round_to_blocks(s->width) + 5 * s->width + 4 * ATTENTION_TILE + 4);
}

static second_tile divide_slot(const attention_shape *s, int64_t slot) {
  real *next = (real *)s->call->workspace + slot * slot_reals(s);
  second_tile tile = {.padded = round_to_blocks(s->width)};
  real **const across[] = {&tile.q_transposed,
                           &tile.aq_transposed,
                           &tile.dy_transposed,
                           &tile.gq_transposed,
                           &tile.gdy_transposed,
                           &tile.k,
                           &tile.v,
                           &tile.ak,
                           &tile.av,
                           &tile.room};
  real **const along[] = {&tile.q, &tile.aq, &tile.dy}, **const square[] = {&tile.p, &tile.ds, &tile.e, &tile.d};
  real **const row[] = {&tile.logsumexp, &tile.delta, &tile.mean, &tile.total};
  for (int i = 0; i < 10; i++) *across[i] = take_reals(&next, ATTENTION_TILE * s->width);
  for (int i = 0; i < 3; i++) *along[i] = take_reals(&next, ATTENTION_TILE * tile.padded);
  for (int i = 0; i < 4; i++) *square[i] = take_reals(&next, ATTENTION_TILE * ATTENTION_TILE);
  for (int i = 0; i < 4; i++) *row[i] = take_reals(&next, ATTENTION_TILE);
  return tile;
}

/* Of one key and a block of queries, of which the first `hidden` do not see it. */
typedef struct key_row {
  real *p, *ds, *e, *d;
  int hidden;
} key_row;

static inline void sum_key(const key_row *key, const real *logsumexp, real *delta, real *mean, real *total) {
  for (int i = 0; i < ATTENTION_BLOCK; i++) {
    const real value = cohort_exponential_flushed(key->p[i] - logsumexp[i]), p = i >= key->hidden ? value : 0;
    delta[i] += p * key->ds[i];
    mean[i] += p * key->e[i];
    total[i] += p * (key->e[i] * key->ds[i] + key->d[i]);
  }
}

static inline void differentiate_key(const key_row *key, const real *logsumexp, const real *delta, const real *mean,
                                     const real *total) {
  for (int i = 0; i < ATTENTION_BLOCK; i++) {
    const real value = cohort_exponential_flushed(key->p[i] - logsumexp[i]), p = i >= key->hidden ? value : 0;
    const real a = key->e[i], dp = key->ds[i], difference = dp - delta[i];
    const real c = a * difference - mean[i] * dp + key->d[i];
    key->p[i] = p;
    key->ds[i] = p * difference;
    key->e[i] = p * (a - mean[i]);
    key->d[i] = p * (c - total[i]);
  }
}

/* S, dP, A and B of a block of queries and the first `keys` of a tile. */
static void score(const attention_shape *s, const second_tile *tile, int64_t column, int64_t keys) {
  const real *q = tile->q_transposed + column, *aq = tile->aq_transposed + column, *dy = tile->dy_transposed + column;
  score_keys(s, tile->k, keys, q, tile->p + column, ATTENTION_TILE, false);
  score_keys(s, tile->v, keys, dy, tile->ds + column, ATTENTION_TILE, false);
  score_keys(s, tile->k, keys, aq, tile->e + column, ATTENTION_TILE, false);
  score_keys(s, tile->ak, keys, q, tile->e + column, ATTENTION_TILE, true);
  score_keys(s, tile->av, keys, dy, tile->d + column, ATTENTION_TILE, false);
}

static void load_keys(const attention_shape *s, const second_tile *tile, const attention_queries *q, int64_t key,
                      int64_t keys) {
  const int from[] = {K, V, AK, AV};
  real *const to[] = {tile->k, tile->v, tile->ak, tile->av};
  for (int i = 0; i < 4; i++) {
    const attention_rows rows = rows_of_keys(s, q, s->call->input[from[i]].data, key, keys, tile->room);
    copy_cells(rows.x, rows.row, keys, s->width, 1, to[i]);
  }
}

static void load_queries(const attention_shape *s, const second_tile *tile, const attention_queries *q) {
  const int from[] = {Q, AQ, DY};
  real *const transposed[] = {tile->q_transposed, tile->aq_transposed, tile->dy_transposed};
  real *const rows[] = {tile->q, tile->aq, tile->dy};
  for (int i = 0; i < 3; i++) {
    const real *x = s->call->input[from[i]].data, factor = from[i] == DY ? 1 : s->scale;
    transpose_queries(s, q, x, factor, tile->gq_transposed, transposed[i]); /* rows lie where results will */
    pair_queries(s, q, x, factor, rows[i], tile->padded);
  }
  const real *logsumexp = (const real *)s->call->input[LOGSUMEXP].data + (q->run + q->first) * s->heads + q->head;
  for (int64_t i = 0; i < ATTENTION_TILE; i++) {
    tile->logsumexp[i] = i < q->count ? logsumexp[i * s->heads] : 0;
    tile->delta[i] = tile->mean[i] = tile->total[i] = 0;
  }
}

static key_row row_of(const second_tile *tile, const attention_queries *q, int64_t column, int64_t key, int64_t j) {
  const int64_t at = j * ATTENTION_TILE + column;
  return (key_row){tile->p + at, tile->ds + at, tile->e + at, tile->d + at, (int)(key + j - q->first - column)};
}

static void sum_rows(const attention_shape *s, const second_tile *tile, const attention_queries *q, int64_t key,
                     int64_t keys) {
  load_keys(s, tile, q, key, keys);
  for (int64_t column = 0; column < q->count; column += ATTENTION_BLOCK) {
    const int64_t seen = keys_of_block(q, column, key, keys);
    score(s, tile, column, seen);
    for (int64_t j = 0; j < seen; j++) {
      const key_row row = row_of(tile, q, column, key, j);
      sum_key(&row, tile->logsumexp + column, tile->delta + column, tile->mean + column, tile->total + column);
    }
  }
}

/* out [width][64] += x' weights, x being rows of keys. */
static void add_queries_result(const attention_shape *s, const real *x, const real *weights, int64_t keys, bool add,
                               real *out) {
  const attention_strip strip = {.rows = s->width,
                                 .depth = keys,
                                 .a = x,
                                 .a_row = 1,
                                 .a_depth = s->width,
                                 .b = weights,
                                 .b_row = ATTENTION_TILE,
                                 .c = out,
                                 .c_row = ATTENTION_TILE,
                                 .add = add};
  multiply_strip(&strip);
}

/* Results of keys and values [from, to) of a tile, which lie together. Where a block of keys is seen from the tile's
 * query `first` on, those before it are left out. */
static void add_keys_results(const attention_shape *s, const second_tile *tile, const attention_queries *q, int64_t key,
                             int64_t from, int64_t to, bool add) {
  const int64_t step = aligned(q, key) ? ATTENTION_BLOCK : to - from;
  const int64_t row = (key + from < q->shared ? q->prefix : q->run) + key;
  const real *const x[] = {tile->q, tile->aq, tile->dy}, *const weights[] = {tile->d, tile->ds, tile->e};
  for (int i = 0; i < 3; i++) {
    real *out = (real *)s->call->output[i < 2 ? 1 : 2].data + row * s->key_row + q->key_head * s->width;
    for (int64_t j = from; j < to; j += step) {
      const int64_t first = aligned(q, key) ? j : 0;
      add_keys_gradient(s, weights[i] + j * ATTENTION_TILE + first, x[i] + first * tile->padded, tile->padded,
                        q->count - first, cohort_least(step, to - j), add || i == 1, out + j * s->key_row);
    }
  }
}

/* Of keys [seen, keys), which the block's queries do not see, where they are read: of queries that begin inside of a
 * tile of keys. */
static void blank_unseen(const second_tile *tile, int64_t column, int64_t seen, int64_t keys) {
  real *const square[] = {tile->ds, tile->e, tile->d};
  for (int i = 0; i < 3; i++)
    for (int64_t j = seen; j < keys; j++)
      memset(square[i] + j * ATTENTION_TILE + column, 0, ATTENTION_BLOCK * sizeof(real));
}

static void differentiate_rows(const attention_shape *s, const second_tile *tile, const attention_queries *q,
                               int64_t key, int64_t keys, bool first_head) {
  load_keys(s, tile, q, key, keys);
  for (int64_t column = 0; column < q->count; column += ATTENTION_BLOCK) {
    const int64_t seen = keys_of_block(q, column, key, keys);
    score(s, tile, column, seen);
    for (int64_t j = 0; j < seen; j++) {
      const key_row row = row_of(tile, q, column, key, j);
      differentiate_key(&row, tile->logsumexp + column, tile->delta + column, tile->mean + column,
                        tile->total + column);
    }
    add_queries_result(s, tile->k, tile->d + column, seen, key > 0, tile->gq_transposed + column);
    add_queries_result(s, tile->ak, tile->ds + column, seen, true, tile->gq_transposed + column);
    add_queries_result(s, tile->v, tile->e + column, seen, key > 0, tile->gdy_transposed + column);
    add_queries_result(s, tile->av, tile->p + column, seen, true, tile->gdy_transposed + column);
    if (!aligned(q, key)) blank_unseen(tile, column, seen, keys);
  }
  /* The keys that no query has seen before have no result yet to add to; those of a prefix always have. */
  const int64_t shared = cohort_least(keys, cohort_most(0, q->shared - key));
  if (shared) add_keys_results(s, tile, q, key, 0, shared, true);
  if (shared < keys) add_keys_results(s, tile, q, key, shared, keys, !(first_head && on_diagonal(q, key)));
}

static void run_tile(const attention_shape *s, const second_tile *tile, const attention_queries *q) {
  const int64_t end = q->first + q->count, offset = (q->run + q->first) * s->row + q->head * s->width;
  const bool first_head = q->head == 0 || (q->head - 1) * s->key_heads / s->heads != q->key_head;
  load_queries(s, tile, q);
  for (int64_t key = 0; key < end; key += ATTENTION_TILE)
    sum_rows(s, tile, q, key, cohort_least(ATTENTION_TILE, end - key));
  for (int64_t i = 0; i < ATTENTION_TILE; i++) tile->total[i] -= 2 * tile->delta[i] * tile->mean[i];
  for (int64_t key = 0; key < end; key += ATTENTION_TILE)
    differentiate_rows(s, tile, q, key, cohort_least(ATTENTION_TILE, end - key), first_head);
  for (int64_t i = 0; i < s->width * ATTENTION_TILE; i++) tile->gq_transposed[i] *= s->scale;
  real *gq = (real *)s->call->output[0].data + offset, *gdy = (real *)s->call->output[3].data + offset;
  transpose_tile(tile->gq_transposed, ATTENTION_TILE, s->width, q->count, gq, s->row);
  transpose_tile(tile->gdy_transposed, ATTENTION_TILE, s->width, q->count, gdy, s->row);
}

static void run_task(const attention_shape *s, const void *workspace, int64_t key_head, int64_t first, int64_t end,
                     bool inside) {
  const second_tile *tile = workspace;
  for (int i = 1; i <= 2 && !inside; i++)
    zero_rows(s->call->output[i].data, first, end, s->key_row, key_head, s->width);
  for (int64_t head = 0; head < s->heads; head++) {
    if (head * s->key_heads / s->heads != key_head) continue;
    for (int i = 0; i <= 3 && !inside; i += 3) zero_rows(s->call->output[i].data, first, end, s->row, head, s->width);
    attention_queries q = queries_of(s, head, first);
    while (inside && next_queries(&q, end - q.run)) run_tile(s, tile, &q);
  }
}

static void run_slot(void *argument, int64_t slot) {
  const attention_shape *s = argument;
  const second_tile tile = divide_slot(s, place_of_slot(s, slot));
  run_tasks(s, slot, run_task, &tile);
}

void COHORT_BASED(cohort_kernel_attention_second)(const cohort_call *call) {
  attention_shape s = describe_attention(call);
  cohort_team_run(call->team, ATTENTION_SLOTS, run_slot, &s);
}

size_t COHORT_BASED(cohort_workspace_attention_second)(const cohort_call *call) {
  const attention_shape s = describe_attention(call);
  return cohort_workspace_reals(ATTENTION_SLOTS * slot_reals(&s));
}
