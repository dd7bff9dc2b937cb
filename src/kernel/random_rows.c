/* Random rows: uniform, normal, dropout. The words are those of cohort_random_words, made in a loop over counters that
 * is vectorised. */
#include "kernel/elementwise_real.h"
#include "kernel/function_real.h"
#include "kernel/row_real.h"

enum { COUNTERS = 256, WORDS = 4 * COUNTERS };

/* Words [4 * first, 4 * (first + count)) of the stream (key, high); Philox4x32-10. */
static void make_words(cohort_random_key key, uint64_t high, uint64_t first, int64_t count, uint32_t *restrict out) {
  const uint32_t high0 = (uint32_t)high, high1 = (uint32_t)(high >> 32);
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    const uint64_t low = first + (uint64_t)i;
    uint32_t a = (uint32_t)low, b = (uint32_t)(low >> 32), c = high0, d = high1;
    uint32_t key0 = key.word[0], key1 = key.word[1];
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
      const uint64_t left = (uint64_t)a * 0xD2511F53U, right = (uint64_t)c * 0xCD9E8D57U;
      a = (uint32_t)(right >> 32) ^ b ^ key0;
      b = (uint32_t)right;
      c = (uint32_t)(left >> 32) ^ d ^ key1;
      d = (uint32_t)left;
      key0 += 0x9E3779B9U;
      key1 += 0xBB67AE85U;
    }
    out[4 * i] = a;
    out[4 * i + 1] = b;
    out[4 * i + 2] = c;
    out[4 * i + 3] = d;
  }
}

/* Fills y[0 ... count) from the words of its elements; x is the row of the input, if there is one. */
typedef void (*draw)(const void *work, const uint32_t *words, const real *x, real *y, int64_t count);

typedef struct random_work {
  cohort_random_key key;
  const int32_t *ids, *positions;
  const real *x;
  real *y;
  int64_t rows, columns, tile_rows;
  int words; /* of an element */
  draw fill;
  int32_t threshold; /* dropout: kept from here on, of 2^24 */
  real scale;
} random_work;

/* Elements [first, last) of a row into y; x are those of the input. */
static void random_span(const random_work *work, int64_t row, int64_t first, int64_t last, const real *x, real *y) {
  const uint64_t high = (uint64_t)(int64_t)work->ids[row];
  const uint64_t origin = (uint64_t)((int64_t)work->positions[row] * work->columns) * (uint64_t)work->words;
  uint32_t words[WORDS];
  for (int64_t at = first; at < last;) {
    const uint64_t word = origin + (uint64_t)(at * work->words);
    const int64_t skip = (int64_t)(word & 3);
    const int64_t count = cohort_least((WORDS - skip) / work->words, last - at);
    make_words(work->key, high, word >> 2, cohort_ceil_divide(skip + count * work->words, 4), words);
    work->fill(work, words + skip, x ? x + at - first : NULL, y + at - first, count);
    at += count;
  }
}

static void random_tile(void *argument, int64_t tile) {
  const random_work *work = argument;
  const int64_t last = cohort_least((tile + 1) * work->tile_rows, work->rows);
  for (int64_t row = tile * work->tile_rows; row < last; row++) {
    const int64_t first = row * work->columns;
    random_span(work, row, 0, work->columns, work->x ? work->x + first : NULL, work->y + first);
  }
}

/* ids and positions are the last two inputs. */
static void run_random(const cohort_call *call, random_work *work) {
  const cohort_shape shape = call->output[0].shape;
  work->key = cohort_random_key_derive(call->random_key, (uint64_t)call->attributes.integers[0]);
  work->ids = call->input[call->inputs - 2].data;
  work->positions = call->input[call->inputs - 1].data;
  work->y = call->output[0].data;
  work->rows = shape.axes > 0 ? shape.size[0] : 1;
  work->columns = cohort_shape_elements(shape) / cohort_most(1, work->rows);
  work->tile_rows = cohort_tile_rows(work->columns * 2);
  cohort_tiles_run(call, cohort_ceil_divide(work->rows, work->tile_rows), random_tile, work);
}

static void fill_uniform(const void *argument, const uint32_t *words, const real *x, real *restrict y, int64_t count) {
  (void)argument;
  (void)x;
#pragma omp simd
  for (int64_t i = 0; i < count; i++) y[i] = (real)(int32_t)(words[i] >> 8) * (real)0x1p-24;
}

static void fill_normal(const void *argument, const uint32_t *words, const real *x, real *restrict y, int64_t count) {
  (void)argument;
  (void)x;
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    const int32_t first = (int32_t)(words[2 * i] >> 8), second = (int32_t)(words[2 * i + 1] >> 8);
    const real uniform = (real)(first + 1) * (real)0x1p-24;
    const real square = -2 * cohort_logarithm(uniform);
    const real radius = COHORT_REAL_IS_DOUBLE ? (real)sqrt((double)square) : (real)sqrtf((float)square);
    double sine, cosine;
    cohort_sine_cosine(6.283185307179586 * ((double)second * 0x1p-24), &sine, &cosine);
    y[i] = radius * (real)cosine;
  }
}

static void fill_dropout(const void *argument, const uint32_t *words, const real *x, real *y, int64_t count) {
  const random_work *work = argument;
  const int32_t threshold = work->threshold;
  const real scale = work->scale;
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    const real kept = x[i] * scale;
    y[i] = (int32_t)(words[i] >> 8) >= threshold ? kept : 0;
  }
}

void COHORT_VARIED(cohort_kernel_random_uniform)(const cohort_call *call) {
  random_work work = {.words = 1, .fill = fill_uniform};
  run_random(call, &work);
}

void COHORT_VARIED(cohort_kernel_random_normal)(const cohort_call *call) {
  random_work work = {.words = 2, .fill = fill_normal};
  run_random(call, &work);
}

/* Kept where uniform >= p. */
static random_work dropout_of(const cohort_attributes *attributes) {
  const double p = attributes->reals[0];
  return (random_work){
      .words = 1, .fill = fill_dropout, .threshold = (int32_t)ceil(p * 0x1p24), .scale = (real)(1.0 / (1.0 - p))};
}

void COHORT_VARIED(cohort_kernel_dropout)(const cohort_call *call) {
  random_work work = dropout_of(&call->attributes);
  work.x = call->input[0].data;
  run_random(call, &work);
}

void COHORT_VARIED(cohort_dropout_row)(const cohort_row *row) {
  random_work work = dropout_of(row->attributes);
  work.key = cohort_random_key_derive(row->key, (uint64_t)row->attributes->integers[0]);
  work.ids = row->in[1];
  work.positions = row->in[2];
  work.columns = row->columns;
  for (int64_t done = 0; done < row->count;) {
    const int64_t at = (row->first + done) % row->columns;
    const int64_t last = cohort_least(row->columns, at + row->count - done);
    random_span(&work, (row->first + done) / row->columns, at, last, (const real *)row->in[0] + done,
                (real *)row->out[0] + done);
    done += last - at;
  }
}
