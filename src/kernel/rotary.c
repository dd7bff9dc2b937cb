/* Rotary position embedding (Su et al., 2021): pairs (j, j + D/2) turned by position * theta^(-2j/D), or by a frequency
 * that was scaled for longer texts. Invariant: without scaling no bit depends on its being there. One sine and cosine
 * for each row and pair. */
#include "kernel/function_real.h"
#include "kernel/row_real.h"

enum { PAIRS = 64 };

typedef struct rotary_work {
  const real *x;
  const int32_t *positions;
  real *y;
  int64_t rows, heads, half, tile_rows;
  double theta, direction;
  double factor, low, high, context; /* factor 0: frequencies stay as they are */
} rotary_work;

/* Llama 3's scaling: wavelengths above context / low are `factor` times as long, those below context / high stay, and
 * between the two the frequencies are mixed. Without a context all are stretched. */
static double scaled(const rotary_work *work, double frequency) {
  const double turns = work->context * frequency / 6.283185307179586476925;
  const double kept = work->context > 0 ? (turns - work->low) / (work->high - work->low) : 0;
  const double share = kept < 0 ? 0 : kept > 1 ? 1 : kept;
  return (1 - share) * frequency / work->factor + share * frequency;
}

static void turn_head(const real *x, real *restrict y, int64_t half, int64_t pairs, const real *cosine,
                      const real *sine) {
#pragma omp simd
  for (int64_t j = 0; j < pairs; j++) {
    const real a = x[j], b = x[j + half];
    y[j] = a * cosine[j] - b * sine[j];
    y[j + half] = b * cosine[j] + a * sine[j];
  }
}

static void turn_row(const rotary_work *work, int64_t row, int64_t first, int64_t pairs, const double *frequency) {
  real cosine[PAIRS], sine[PAIRS];
  const double position = (double)work->positions[row], direction = work->direction;
#pragma omp simd
  for (int64_t j = 0; j < pairs; j++) {
    double s, c;
    cohort_sine_cosine(position * frequency[j], &s, &c);
    sine[j] = (real)(s * direction);
    cosine[j] = (real)c;
  }
  for (int64_t head = 0; head < work->heads; head++) {
    const int64_t offset = (row * work->heads + head) * 2 * work->half + first;
    turn_head(work->x + offset, work->y + offset, work->half, pairs, cosine, sine);
  }
}

static void rotary_tile(void *argument, int64_t tile) {
  const rotary_work *work = argument;
  const int64_t last = cohort_least((tile + 1) * work->tile_rows, work->rows);
  for (int64_t first = 0; first < work->half; first += PAIRS) {
    const int64_t pairs = cohort_least(PAIRS, work->half - first);
    double frequency[PAIRS];
    for (int64_t j = 0; j < pairs; j++) {
      frequency[j] = pow(work->theta, -(double)(first + j) / (double)work->half);
      if (work->factor > 0) frequency[j] = scaled(work, frequency[j]);
    }
    for (int64_t row = tile * work->tile_rows; row < last; row++) turn_row(work, row, first, pairs, frequency);
  }
}

void COHORT_VARIED(cohort_kernel_rotary)(const cohort_call *call) {
  const cohort_shape shape = call->input[0].shape;
  const int64_t width = cohort_shape_columns(shape);
  rotary_work work = {.x = call->input[0].data,
                      .positions = call->input[1].data,
                      .y = call->output[0].data,
                      .rows = shape.size[0],
                      .half = width / 2,
                      .theta = call->attributes.reals[0],
                      .factor = call->attributes.reals[1],
                      .low = call->attributes.reals[2],
                      .high = call->attributes.reals[3],
                      .context = (double)call->attributes.integers[1],
                      .direction = call->attributes.integers[0] == 1 ? -1.0 : 1.0};
  if (cohort_shape_elements(shape) == 0) return;
  work.heads = cohort_shape_elements(shape) / width / work.rows;
  work.tile_rows = cohort_tile_rows(work.heads * width);
  cohort_tiles_run(call, cohort_ceil_divide(work.rows, work.tile_rows), rotary_tile, &work);
}
