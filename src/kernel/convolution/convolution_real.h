/* The shape of a convolution, and the convolutions that read images where they lie (convolution_direct.c). */
#ifndef COHORT_KERNEL_CONVOLUTION_CONVOLUTION_REAL_H
#define COHORT_KERNEL_CONVOLUTION_CONVOLUTION_REAL_H

#include <stdbool.h>
#include <string.h>

#include "base/real.h"
#include "kernel/kernel.h"

/* At most so many elements of patches in a band, and so many bands (each has its own workspace). */
enum { BAND_ELEMENTS = 1 << 17, MOST_BANDS = 8 };

typedef struct convolution {
  const cohort_call *call;
  int64_t images, height, width, channels, kernel_height, kernel_width, out_height, out_width, outputs, stride, padding;
  int64_t patch;     /* columns */
  int64_t positions; /* of one image */
  int64_t chunk;     /* images patched at a time */
  int64_t bands;     /* tiles that threads take; each owns images [band * images / bands, ...) */
} convolution;

static inline convolution describe_convolution(const cohort_call *call, cohort_shape x, cohort_shape weight,
                                               cohort_shape y) {
  convolution c = {.call = call,
                   .images = x.size[0],
                   .height = x.size[1],
                   .width = x.size[2],
                   .channels = x.size[3],
                   .kernel_height = weight.size[1],
                   .kernel_width = weight.size[2],
                   .out_height = y.size[1],
                   .out_width = y.size[2],
                   .outputs = weight.size[0],
                   .stride = call->attributes.integers[0],
                   .padding = call->attributes.integers[1]};
  c.patch = c.kernel_height * c.kernel_width * c.channels;
  c.positions = c.out_height * c.out_width;
  c.chunk = BAND_ELEMENTS / (c.positions * c.patch);
  if (c.chunk < 1) c.chunk = 1;
  if (c.chunk > c.images) c.chunk = c.images;
  c.bands = (c.images + c.chunk - 1) / c.chunk;
  if (c.bands > MOST_BANDS) c.bands = MOST_BANDS;
  return c;
}

static inline void band_images(const convolution *c, int64_t band, int64_t *first, int64_t *last) {
  *first = band * c->images / c->bands;
  *last = (band + 1) * c->images / c->bands;
}

/* Whether a convolution is done directly: its weights stay in the second cache. */
static inline bool is_direct(const convolution *c) { return c->patch * ((c->outputs + 15) / 16 * 16) <= 1 << 16; }

/* The weight's gradient reads outputs by whole vectors. */
static inline bool has_direct_weight(const convolution *c) { return is_direct(c) && c->outputs % 16 == 0; }

/* With stride 1 the gradient of the input is the convolution of dy with the weights rotated around. */
static inline bool has_direct_input(const convolution *c) {
  return is_direct(c) && c->stride == 1 && c->padding < c->kernel_height && c->padding < c->kernel_width &&
         c->kernel_height == c->kernel_width;
}

static inline convolution rotate_convolution(const convolution *c) {
  convolution rotated = *c;
  rotated.height = c->out_height;
  rotated.width = c->out_width;
  rotated.channels = c->outputs;
  rotated.out_height = c->height;
  rotated.out_width = c->width;
  rotated.outputs = c->channels;
  rotated.padding = c->kernel_height - 1 - c->padding;
  rotated.patch = c->kernel_height * c->kernel_width * c->outputs;
  rotated.positions = c->height * c->width;
  return rotated;
}

/* Whether by Winograd's algorithm (convolution_winograd.c), in float32 alone: where its points stay in the second
 * cache, whole vectors lie along both kinds of channels and no more than half of the tiles is waste. */
static inline bool has_winograd(const convolution *c) {
  if (sizeof(real) != 4 || !is_direct(c)) return false;
  const int64_t tiles = (c->out_height + 3) / 4 * ((c->out_width + 3) / 4);
  return c->kernel_height == 3 && c->kernel_width == 3 && c->stride == 1 && c->padding <= 2 && c->channels % 16 == 0 &&
         c->outputs % 16 == 0 && c->positions >= 8 * tiles;
}

static inline bool has_winograd_input(const convolution *c) {
  if (!has_direct_input(c)) return false;
  const convolution rotated = rotate_convolution(c);
  return has_winograd(&rotated);
}

/* y = x * weight, dx and dweight; the call's workspace is as large as cohort_winograd_workspace says (of the rotated
 * convolution for dx; `weights`: for dweight). */
void COHORT_BASED(cohort_winograd)(const convolution *c, const real *x, const real *weight, real *y);
void COHORT_BASED(cohort_winograd_input)(const convolution *c, const real *dy, const real *weight, real *dx);
void COHORT_BASED(cohort_winograd_weight)(const convolution *c, const real *x, const real *dy, real *dweight);
size_t COHORT_BASED(cohort_winograd_workspace)(const convolution *c, bool weights);

/* y = x * weight and dweight, images cut into bands; the call's workspace is as large as cohort_convolve_workspace
 * says. */
void COHORT_BASED(cohort_convolve)(const convolution *c, const real *x, const real *weight, real *y);
void COHORT_BASED(cohort_convolve_weight)(const convolution *c, const real *x, const real *dy, real *dweight);
void COHORT_BASED(cohort_convolve_input)(const convolution *c, const real *dy, const real *weight, real *dx);
size_t COHORT_BASED(cohort_convolve_workspace)(const convolution *c);

#endif
