/* The gradients of attention: probabilities are made again from the scores and the saved logsumexp. One task is one key
 * head of one segment; it handles the query heads that read it in order, so that sums have one order. */
#include "kernel/attention_real.h"
#include "kernel/function_real.h"

void COHORT_VARIED(cohort_run_attention_backward)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_attention_backward)(const cohort_call *call);

/* Workspace of a slot: [width][64] the transposed tiles of q (scaled), dy and dq; [64][width, whole blocks] q (scaled)
 * and dy as they are; [64][64] probabilities and gradients of scores, [key][query]; and per query the logsumexp and the
 * inner product of y and dy. */
typedef struct backward_tile {
  real *q_transposed, *dy_transposed, *dq_transposed, *q, *dy, *p, *ds, *logsumexp, *inner;
  int64_t padded; /* the width in whole blocks */
} backward_tile;

static int64_t slot_reals(const attention_shape *s) {
  return ATTENTION_TILE * (3 * s->width + 2 * round_to_blocks(s->width) + 2 * ATTENTION_TILE + 2);
}

static backward_tile divide_slot(const attention_shape *s, int64_t slot) {
  const int64_t square = ATTENTION_TILE * ATTENTION_TILE;
  backward_tile tile = {.padded = round_to_blocks(s->width)};
  tile.q_transposed = (real *)s->call->workspace + slot * slot_reals(s);
  tile.dy_transposed = tile.q_transposed + s->width * ATTENTION_TILE;
  tile.dq_transposed = tile.dy_transposed + s->width * ATTENTION_TILE;
  tile.q = tile.dq_transposed + s->width * ATTENTION_TILE;
  tile.dy = tile.q + tile.padded * ATTENTION_TILE;
  tile.p = tile.dy + tile.padded * ATTENTION_TILE;
  tile.ds = tile.p + square;
  tile.logsumexp = tile.ds + square;
  tile.inner = tile.logsumexp + ATTENTION_TILE;
  return tile;
}

/* p = exp(score - logsumexp), 0 where a query does not see the key; ds = p (dp - inner). Query i of the block sees the
 * keys up to first_seen + i. */
static void differentiate(const backward_tile *tile, int64_t column, int64_t keys, int64_t first_seen) {
  const real *restrict logsumexp = tile->logsumexp + column, *restrict inner = tile->inner + column;
  for (int64_t j = 0; j < keys; j++) {
    real *restrict p = tile->p + j * ATTENTION_TILE + column, *restrict ds = tile->ds + j * ATTENTION_TILE + column;
    const int hidden = (int)(j - first_seen);
    for (int i = 0; i < ATTENTION_BLOCK; i++) {
      const real value = cohort_exponential(p[i] - logsumexp[i]);
      p[i] = i >= hidden ? value : 0;
      ds[i] = i >= hidden ? value * (ds[i] - inner[i]) : 0;
    }
  }
}

/* out [key][query] = the inner products of the keys' rows in `x` and the queries. */
static void score_block(const attention_shape *s, const real *x, int64_t keys, const real *queries, real *out) {
  const attention_strip strip = {.rows = keys,
                                 .depth = s->width,
                                 .a = x,
                                 .a_row = s->key_row,
                                 .a_depth = 1,
                                 .b = queries,
                                 .b_row = ATTENTION_TILE,
                                 .c = out,
                                 .c_row = ATTENTION_TILE};
  multiply_strip(&strip);
}

static void add_queries_gradient(const attention_shape *s, const backward_tile *tile, const real *k, int64_t column,
                                 int64_t keys, bool add) {
  const attention_strip strip = {.rows = s->width,
                                 .depth = keys,
                                 .a = k,
                                 .a_row = 1,
                                 .a_depth = s->key_row,
                                 .b = tile->ds + column,
                                 .b_row = ATTENTION_TILE,
                                 .c = tile->dq_transposed + column,
                                 .c_row = ATTENTION_TILE,
                                 .add = add};
  multiply_strip(&strip);
}

/* Copies a part of a block's width between an output and a buffer of whole blocks. */
static void copy_columns(const real *from, int64_t from_row, real *to, int64_t to_row, int64_t rows, int64_t columns) {
  for (int64_t m = 0; m < rows; m++) memcpy(to + m * to_row, from + m * from_row, (size_t)columns * sizeof *to);
}

/* out (keys x width) += weights [key][query] times the rows of `x`, `queries` of them. */
static void add_keys_gradient(const attention_shape *s, const backward_tile *tile, const real *weights, const real *x,
                              int64_t queries, int64_t keys, real *out) {
  real edge[ATTENTION_TILE * ATTENTION_BLOCK];
  attention_strip strip = {.rows = keys,
                           .depth = queries,
                           .a = weights,
                           .a_row = ATTENTION_TILE,
                           .a_depth = 1,
                           .b_row = tile->padded,
                           .add = true};
  for (int64_t d = 0; d < s->width; d += ATTENTION_BLOCK) {
    const int64_t columns = cohort_least(ATTENTION_BLOCK, s->width - d);
    const bool whole = columns == ATTENTION_BLOCK;
    strip.b = x + d;
    strip.c = whole ? out + d : edge;
    strip.c_row = whole ? s->key_row : ATTENTION_BLOCK;
    if (!whole) {
      memset(edge, 0, sizeof edge);
      copy_columns(out + d, s->key_row, edge, ATTENTION_BLOCK, keys, columns);
    }
    multiply_strip(&strip);
    if (!whole) copy_columns(edge, ATTENTION_BLOCK, out + d, s->key_row, keys, columns);
  }
}

static void differentiate_block(const attention_shape *s, const backward_tile *tile, const attention_queries *q,
                                int64_t column, int64_t key, int64_t keys) {
  const cohort_call *call = s->call;
  const int64_t offset = (q->run + key) * s->key_row + q->key_head * s->width;
  const int64_t queries = cohort_least(ATTENTION_BLOCK, q->count - column);
  const real *k = (const real *)call->input[1].data + offset, *v = (const real *)call->input[2].data + offset;
  real *dk = (real *)call->output[1].data + offset, *dv = (real *)call->output[2].data + offset;
  score_block(s, k, keys, tile->q_transposed + column, tile->p + column);
  score_block(s, v, keys, tile->dy_transposed + column, tile->ds + column);
  differentiate(tile, column, keys, q->first + column - key);
  add_keys_gradient(s, tile, tile->p + column, tile->dy + column * tile->padded, queries, keys, dv);
  add_keys_gradient(s, tile, tile->ds + column, tile->q + column * tile->padded, queries, keys, dk);
  add_queries_gradient(s, tile, k, column, keys, key > 0);
}

/* out [count][padded] = factor times the tile's rows of x, zeros past the width. */
static void copy_queries(const attention_shape *s, const attention_queries *q, const real *x, real factor, real *out,
                         int64_t padded) {
  for (int64_t i = 0; i < q->count; i++) {
    const real *restrict in = x + (q->run + q->first + i) * s->row + q->head * s->width;
    real *restrict row = out + i * padded;
    for (int64_t d = 0; d < s->width; d++) row[d] = factor * in[d];
    for (int64_t d = s->width; d < padded; d++) row[d] = 0;
  }
}

static void load_tile(const attention_shape *s, const backward_tile *tile, const attention_queries *q) {
  const cohort_call *call = s->call;
  const int64_t lanes = round_to_blocks(q->count);
  for (int64_t i = 0; i < lanes; i++) tile->inner[i] = tile->logsumexp[i] = 0;
  /* y lies where dq will: its products with dy come first. */
  transpose_queries(s, q, call->input[4].data, 1, tile->dq_transposed);
  transpose_queries(s, q, call->input[6].data, 1, tile->dy_transposed);
  for (int64_t d = 0; d < s->width; d++) {
    const real *restrict y = tile->dq_transposed + d * ATTENTION_TILE, *restrict dy =
                                                                           tile->dy_transposed + d * ATTENTION_TILE;
    for (int64_t i = 0; i < lanes; i++) tile->inner[i] += y[i] * dy[i];
  }
  transpose_queries(s, q, call->input[0].data, s->scale, tile->q_transposed);
  copy_queries(s, q, call->input[0].data, s->scale, tile->q, tile->padded);
  copy_queries(s, q, call->input[6].data, 1, tile->dy, tile->padded);
  const real *logsumexp = (const real *)call->input[5].data + (q->run + q->first) * s->heads + q->head;
  for (int64_t i = 0; i < q->count; i++) tile->logsumexp[i] = logsumexp[i * s->heads];
}

static void differentiate_tile(const attention_shape *s, const backward_tile *tile, const attention_queries *q) {
  const int64_t end = q->first + q->count;
  load_tile(s, tile, q);
  for (int64_t key = 0; key < end; key += ATTENTION_TILE) {
    const int64_t keys = cohort_least(ATTENTION_TILE, end - key);
    for (int64_t column = 0; column < q->count; column += ATTENTION_BLOCK) {
      differentiate_block(s, tile, q, column, key, keys_of_block(q, column, key, keys));
    }
  }
  real *dq = (real *)s->call->output[0].data + (q->run + q->first) * s->row + q->head * s->width;
  transpose_tile(tile->dq_transposed, ATTENTION_TILE, s->width, q->count, s->scale, dq, s->row);
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
