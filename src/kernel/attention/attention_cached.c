/* Attention of new rows over the keys and values of their texts so far. The rows are put into the cache first; then
 * each attends to its text up to its own position, by blocks of 64 keys with an online softmax. Keys lie transposed in
 * their block, so that scores need no sums across a vector. */
#include <string.h>

#include "kernel/attention/attention_real.h"
#include "kernel/function_real.h"

void COHORT_VARIED(cohort_kernel_attention_cached)(const cohort_call *call);

/* QUERIES rows of one text and key head are taken together; STRIP vectors are summed in registers for each. */
enum { BLOCK = COHORT_CACHE_BLOCK, QUERIES = 4, STRIP = 4, ROWS = 4, SERIAL_ROWS = 16 };

typedef struct cached_work {
  const real *q, *k, *v;
  const int32_t *slots, *positions;
  real *keys, *values, *y;
  int64_t rows, heads, key_heads, width, blocks; /* R, H, G, D, positions of a slot / 64 */
  real scale;
} cached_work;

/* Up to QUERIES queries of one slot and key head. */
typedef struct cached_queries {
  const real *q[QUERIES];
  real *y[QUERIES];
  int64_t seen[QUERIES]; /* keys that it sees */
  int64_t most;
  real largest[QUERIES], total[QUERIES], rescale[QUERIES];
  real score[QUERIES][BLOCK];
} cached_queries;

static void append_row(const cached_work *w, int64_t row, int64_t head) {
  const int64_t slot = w->slots[row], position = w->positions[row], width = w->width;
  if (slot < 0) return;
  const int64_t from = (row * w->key_heads + head) * width;
  const int64_t first = (slot * w->key_heads + head) * w->blocks * BLOCK * width;
  real *keys = w->keys + first + position / BLOCK * BLOCK * width + position % BLOCK;
  for (int64_t d = 0; d < width; d++) keys[d * BLOCK] = w->k[from + d];
  memcpy(w->values + first + position * width, w->v + from, (size_t)width * sizeof(real));
}

static void append_head(void *argument, int64_t head) {
  const cached_work *w = argument;
  for (int64_t row = 0; row < w->rows; row++) append_row(w, row, head);
}

/* Scores of one block of keys, [width][BLOCK]. `count` is a constant where this is inlined, here and below. */
static inline __attribute__((always_inline)) void score_block(const cached_work *w, cached_queries *own,
                                                              const real *keys, int count) {
  for (int64_t j = 0; j < BLOCK; j += STRIP * ATTENTION_LANES) {
    attention_vector sum[QUERIES][STRIP];
    for (int i = 0; i < count; i++) {
      for (int s = 0; s < STRIP; s++) sum[i][s] = (attention_vector){0};
    }
    for (int64_t d = 0; d < w->width; d++) {
      for (int s = 0; s < STRIP; s++) {
        const attention_vector key = *(const attention_memory *)(keys + d * BLOCK + j + s * ATTENTION_LANES);
        for (int i = 0; i < count; i++) sum[i][s] += own->q[i][d] * key;
      }
    }
    for (int i = 0; i < count; i++) {
      for (int s = 0; s < STRIP; s++) {
        *(attention_memory *)(own->score[i] + j + s * ATTENTION_LANES) = w->scale * sum[i][s];
      }
    }
  }
}

/* Scores become exponentials; 0 beyond the `seen` keys of the block. */
static void soften(real *restrict score, int64_t seen, real *largest, real *total, real *rescale) {
  const real before = *largest;
  real top = before, lanes[ATTENTION_LANES];
  for (int64_t j = 0; j < seen; j++) top = score[j] > top ? score[j] : top;
  *rescale = cohort_exponential(before - top);
  for (int i = 0; i < ATTENTION_LANES; i++) lanes[i] = 0;
  for (int j = 0; j < BLOCK; j += ATTENTION_LANES) {
    for (int i = 0; i < ATTENTION_LANES; i++) {
      const real value = cohort_exponential(score[j + i] - top);
      score[j + i] = j + i < seen ? value : 0;
      lanes[i] += score[j + i];
    }
  }
  real sum = 0;
  for (int i = 0; i < ATTENTION_LANES; i++) sum += lanes[i];
  *total = *total * *rescale + sum;
  *largest = top;
}

static inline __attribute__((always_inline)) void add_values(const cached_work *w, cached_queries *own,
                                                             const real *values, int64_t keys, int count, int64_t first,
                                                             int strip) {
  attention_vector sum[QUERIES][STRIP];
  for (int i = 0; i < count; i++) {
    for (int s = 0; s < strip; s++)
      sum[i][s] = own->rescale[i] * *(const attention_memory *)(own->y[i] + first + s * ATTENTION_LANES);
  }
  for (int64_t j = 0; j < keys; j++) {
    for (int s = 0; s < strip; s++) {
      const attention_vector value = *(const attention_memory *)(values + j * w->width + first + s * ATTENTION_LANES);
      for (int i = 0; i < count; i++) sum[i][s] += own->score[i][j] * value;
    }
  }
  for (int i = 0; i < count; i++) {
    for (int s = 0; s < strip; s++) *(attention_memory *)(own->y[i] + first + s * ATTENTION_LANES) = sum[i][s];
  }
}

static inline __attribute__((always_inline)) void attend_block(const cached_work *w, cached_queries *own,
                                                               const real *keys, const real *values, int64_t first,
                                                               int count) {
  const int64_t seen = cohort_least(BLOCK, own->most - first);
  score_block(w, own, keys, count);
  for (int i = 0; i < count; i++)
    soften(own->score[i], cohort_least(BLOCK, own->seen[i] - first), &own->largest[i], &own->total[i],
           &own->rescale[i]);
  int64_t d = 0;
  for (; d + STRIP * ATTENTION_LANES <= w->width; d += STRIP * ATTENTION_LANES)
    add_values(w, own, values, seen, count, d, STRIP);
  for (; d + ATTENTION_LANES <= w->width; d += ATTENTION_LANES) add_values(w, own, values, seen, count, d, 1);
  for (; d < w->width; d++) {
    for (int i = 0; i < count; i++) {
      real sum = own->rescale[i] * own->y[i][d];
      for (int64_t j = 0; j < seen; j++) sum += own->score[i][j] * values[j * w->width + d];
      own->y[i][d] = sum;
    }
  }
}

static void attend(const cached_work *w, cached_queries *own, int count, int64_t slot, int64_t head) {
  const int64_t offset = (slot * w->key_heads + head) * w->blocks * BLOCK * w->width;
  own->most = 0;
  for (int i = 0; i < count; i++) {
    own->most = cohort_most(own->most, own->seen[i]);
    own->largest[i] = -(real)3e38;
    own->total[i] = 0;
    memset(own->y[i], 0, (size_t)w->width * sizeof(real));
  }
  for (int64_t first = 0; first < own->most; first += BLOCK) {
    const real *keys = w->keys + offset + first * w->width, *values = w->values + offset + first * w->width;
    if (count == QUERIES) {
      attend_block(w, own, keys, values, first, QUERIES);
    } else {
      attend_block(w, own, keys, values, first, 1);
    }
  }
  for (int i = 0; i < count; i++) {
    const real factor = 1 / own->total[i];
    for (int64_t d = 0; d < w->width; d++) own->y[i][d] *= factor;
  }
}

/* The queries number [first, first + count) of the rows [row, ...) of one slot: all heads of a key head, row by row. */
static void attend_some(const cached_work *w, int64_t row, int64_t head, int64_t first, int count) {
  const int64_t shared = w->heads / w->key_heads;
  cached_queries own;
  for (int i = 0; i < count; i++) {
    const int64_t at = row + (first + i) / shared;
    const int64_t offset = (at * w->heads + head * shared + (first + i) % shared) * w->width;
    own.q[i] = w->q + offset;
    own.y[i] = w->y + offset;
    own.seen[i] = (int64_t)w->positions[at] + 1;
  }
  attend(w, &own, count, w->slots[row], head);
}

static void leave_out(const cached_work *w, int64_t row, int64_t head) {
  const int64_t size = w->heads / w->key_heads * w->width;
  memset(w->y + row * w->heads * w->width + head * size, 0, (size_t)size * sizeof(real));
}

/* A task: ROWS rows and one key head. */
static void run_task(void *argument, int64_t task) {
  const cached_work *w = argument;
  const int64_t head = task % w->key_heads, first = task / w->key_heads * ROWS;
  const int64_t last = cohort_least(first + ROWS, w->rows);
  for (int64_t row = first, end; row < last; row = end) {
    for (end = row + 1; end < last && w->slots[end] == w->slots[row]; end++) continue;
    if (w->slots[row] < 0) {
      for (int64_t i = row; i < end; i++) leave_out(w, i, head);
      continue;
    }
    const int64_t queries = (end - row) * (w->heads / w->key_heads);
    int64_t done = 0;
    for (; done + QUERIES <= queries; done += QUERIES) attend_some(w, row, head, done, QUERIES);
    for (; done < queries; done++) attend_some(w, row, head, done, 1);
  }
}

void COHORT_VARIED(cohort_kernel_attention_cached)(const cohort_call *call) {
  const cohort_shape q = call->input[0].shape, keys = call->input[5].shape;
  cached_work work = {.q = call->input[0].data,
                      .k = call->input[1].data,
                      .v = call->input[2].data,
                      .slots = call->input[3].data,
                      .positions = call->input[4].data,
                      .keys = call->input[5].data,
                      .values = call->input[6].data,
                      .y = call->output[0].data,
                      .rows = q.size[0],
                      .heads = q.size[1],
                      .key_heads = keys.size[1],
                      .width = q.size[2],
                      .blocks = keys.size[2],
                      .scale = (real)call->attributes.reals[0]};
  if (work.rows <= SERIAL_ROWS) {
    for (int64_t head = 0; head < work.key_heads; head++) append_head(&work, head);
  } else {
    cohort_team_run(call->team, work.key_heads, append_head, &work);
  }
  cohort_team_run(call->team, cohort_ceil_divide(work.rows, ROWS) * work.key_heads, run_task, &work);
}
