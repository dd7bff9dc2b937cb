/* Largest element of windows, and the two moves that its derivatives are made of. Tiles are images. */
#include <string.h>

#include "base/real.h"
#include "kernel/kernel.h"

void COHORT_VARIED(cohort_kernel_window_max)(const cohort_call *call);
void COHORT_VARIED(cohort_kernel_window_take)(const cohort_call *call);
void COHORT_VARIED(cohort_kernel_window_put)(const cohort_call *call);

static void take_first(const real *image, int64_t place, int64_t channels, real *restrict out,
                       int32_t *restrict where) {
  const real *restrict from = image + place * channels;
  for (int64_t c = 0; c < channels; c++) out[c] = from[c];
  for (int64_t c = 0; c < channels; c++) where[c] = (int32_t)place;
}

/* The first of equals; NaN wins, so that it is seen. */
static void take_larger(const real *image, int64_t place, int64_t channels, real *restrict out,
                        int32_t *restrict where) {
  const real *restrict from = image + place * channels;
  for (int64_t c = 0; c < channels; c++)
    where[c] = ((from[c] > out[c]) | (from[c] != from[c])) ? (int32_t)place : where[c];
  for (int64_t c = 0; c < channels; c++) out[c] = ((from[c] > out[c]) | (from[c] != from[c])) ? from[c] : out[c];
}

static void max_image(void *argument, int64_t n) {
  const cohort_call *call = argument;
  const cohort_shape x = call->input[0].shape, y = call->output[0].shape;
  const int64_t window = call->attributes.integers[0], stride = call->attributes.integers[1];
  const int64_t width = x.size[2], channels = x.size[3];
  const real *image = (const real *)call->input[0].data + n * x.size[1] * width * channels;
  real *out = (real *)call->output[0].data + n * y.size[1] * y.size[2] * channels;
  int32_t *where = (int32_t *)call->output[1].data + n * y.size[1] * y.size[2] * channels;
  for (int64_t oy = 0; oy < y.size[1]; oy++)
    for (int64_t ox = 0; ox < y.size[2]; ox++, out += channels, where += channels) {
      take_first(image, (oy * stride * width + ox * stride), channels, out, where);
      for (int64_t at = 1; at < window * window; at++)
        take_larger(image, (oy * stride + at / window) * width + ox * stride + at % window, channels, out, where);
    }
}

void COHORT_VARIED(cohort_kernel_window_max)(const cohort_call *call) {
  cohort_team_run(call->team, call->input[0].shape.size[0], max_image, (void *)(uintptr_t)call);
}

static void take_image(void *argument, int64_t n) {
  const cohort_call *call = argument;
  const cohort_shape x = call->input[0].shape, y = call->output[0].shape;
  const int64_t channels = x.size[3], positions = y.size[1] * y.size[2];
  const real *image = (const real *)call->input[0].data + n * x.size[1] * x.size[2] * channels;
  const int32_t *where = (const int32_t *)call->input[1].data + n * positions * channels;
  real *out = (real *)call->output[0].data + n * positions * channels;
  for (int64_t p = 0; p < positions * channels; p++) out[p] = image[where[p] * channels + p % channels];
}

void COHORT_VARIED(cohort_kernel_window_take)(const cohort_call *call) {
  cohort_team_run(call->team, call->input[0].shape.size[0], take_image, (void *)(uintptr_t)call);
}

static void put_image(void *argument, int64_t n) {
  const cohort_call *call = argument;
  const cohort_shape y = call->input[0].shape, x = call->output[0].shape;
  const int64_t channels = x.size[3], positions = y.size[1] * y.size[2], elements = x.size[1] * x.size[2] * channels;
  const real *from = (const real *)call->input[0].data + n * positions * channels;
  const int32_t *where = (const int32_t *)call->input[1].data + n * positions * channels;
  real *image = (real *)call->output[0].data + n * elements;
  memset(image, 0, (size_t)elements * sizeof *image);
  for (int64_t p = 0; p < positions; p++, from += channels, where += channels)
    for (int64_t c = 0; c < channels; c++) image[where[c] * channels + c] += from[c];
}

void COHORT_VARIED(cohort_kernel_window_put)(const cohort_call *call) {
  cohort_team_run(call->team, call->input[0].shape.size[0], put_image, (void *)(uintptr_t)call);
}
