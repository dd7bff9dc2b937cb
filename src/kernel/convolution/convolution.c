/* Convolutions: small ones by Winograd's algorithm (convolution_winograd.c) or directly (convolution_direct.c), large
 * ones as products over patches: the rows of a patch matrix are output positions, its columns the KH x KW x I inputs
 * that the position sees. A band of images is patched and multiplied at a time; bands are cut by shape. */
#include <stdbool.h>
#include <string.h>

#include "base/real.h"
#include "kernel/convolution/convolution_real.h"
#include "kernel/kernel.h"
#include "kernel/product/product_real.h"

void COHORT_VARIED(cohort_kernel_convolution)(const cohort_call *call);
void COHORT_VARIED(cohort_kernel_convolution_input)(const cohort_call *call);
void COHORT_VARIED(cohort_kernel_convolution_weight)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_convolution)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_convolution_input)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_convolution_weight)(const cohort_call *call);

static size_t patches_bytes(const convolution *c) {
  const size_t bytes = (size_t)(c->chunk * c->positions * c->patch) * sizeof(real);
  return (bytes + 63) / 64 * 64;
}

/* One row of patches: output row `oy` of an image. */
static void patch_row(const convolution *c, const real *image, int64_t oy, real *out) {
  const int64_t row = c->kernel_width * c->channels;
  for (int64_t ox = 0; ox < c->out_width; ox++, out += c->patch)
    for (int64_t ky = 0; ky < c->kernel_height; ky++) {
      const int64_t iy = oy * c->stride + ky - c->padding, ix = ox * c->stride - c->padding;
      real *restrict to = out + ky * row;
      if (iy < 0 || iy >= c->height) {
        memset(to, 0, (size_t)row * sizeof *to);
      } else if (ix >= 0 && ix + c->kernel_width <= c->width) {
        /* Rows are short: a loop costs less than a call. */
        const real *restrict from = image + (iy * c->width + ix) * c->channels;
        for (int64_t i = 0; i < row; i++) to[i] = from[i];
      } else {
        for (int64_t kx = 0; kx < c->kernel_width; kx++) {
          const bool inside = ix + kx >= 0 && ix + kx < c->width;
          for (int64_t i = 0; i < c->channels; i++)
            to[kx * c->channels + i] = inside ? image[(iy * c->width + ix + kx) * c->channels + i] : 0;
        }
      }
    }
}

static void make_patches(const convolution *c, const real *x, int64_t first, int64_t count, real *out) {
  for (int64_t n = first; n < first + count; n++)
    for (int64_t oy = 0; oy < c->out_height; oy++, out += c->out_width * c->patch)
      patch_row(c, x + n * c->height * c->width * c->channels, oy, out);
}

/* The transpose: adds the patches of `count` images back into x, which is zero before. */
static void add_patches(const convolution *c, const real *patches, int64_t first, int64_t count, real *x) {
  const int64_t row = c->kernel_width * c->channels;
  for (int64_t n = first; n < first + count; n++) {
    real *image = x + n * c->height * c->width * c->channels;
    for (int64_t oy = 0; oy < c->out_height; oy++)
      for (int64_t ox = 0; ox < c->out_width; ox++, patches += c->patch)
        for (int64_t ky = 0; ky < c->kernel_height; ky++) {
          const int64_t iy = oy * c->stride + ky - c->padding, ix = ox * c->stride - c->padding;
          if (iy < 0 || iy >= c->height) continue;
          const int64_t from = ix < 0 ? -ix : 0;
          const int64_t to = ix + c->kernel_width > c->width ? c->width - ix : c->kernel_width;
          const real *restrict source = patches + ky * row;
          real *restrict target = image + (iy * c->width + ix) * c->channels;
          for (int64_t i = from * c->channels; i < to * c->channels; i++) target[i] += source[i];
        }
  }
}

static const cohort_team alone = {1};

/* Bands that one thread does one after another share their memory, which then stays in the caches. */
static real *patches_of(const convolution *c, int64_t band) {
  const size_t before = c->call->team->threads == 1 ? 0 : (size_t)band * patches_bytes(c);
  return (real *)(void *)((char *)c->call->workspace + before);
}

static void forward_band(void *argument, int64_t band) {
  const convolution *c = argument;
  const cohort_call *call = c->call;
  real *patches = patches_of(c, band);
  int64_t first, last;
  band_images(c, band, &first, &last);
  for (int64_t n = first; n < last; n += c->chunk) {
    const int64_t count = last - n < c->chunk ? last - n : c->chunk;
    make_patches(c, call->input[0].data, n, count, patches);
    COHORT_VARIED(cohort_product)
    (&alone, 0, 1, count * c->positions, c->outputs, c->patch, 1, patches, c->patch, call->input[1].data, c->patch, 0,
     (real *)call->output[0].data + n * c->positions * c->outputs, c->outputs);
  }
}

static void input_band(void *argument, int64_t band) {
  const convolution *c = argument;
  const cohort_call *call = c->call;
  real *patches = patches_of(c, band);
  real *dx = call->output[0].data;
  const int64_t image = c->height * c->width * c->channels;
  int64_t first, last;
  band_images(c, band, &first, &last);
  memset(dx + first * image, 0, (size_t)((last - first) * image) * sizeof *dx);
  for (int64_t n = first; n < last; n += c->chunk) {
    const int64_t count = last - n < c->chunk ? last - n : c->chunk;
    COHORT_VARIED(cohort_product)
    (&alone, 0, 0, count * c->positions, c->patch, c->outputs, 1,
     (const real *)call->input[0].data + n * c->positions * c->outputs, c->outputs, call->input[1].data, c->patch, 0,
     patches, c->patch);
    add_patches(c, patches, n, count, dx);
  }
}

/* The weight's gradient of a band's images, in the band's own memory after all patches. */
static real *partial_weight(const convolution *c, int64_t band) {
  const size_t bytes = ((size_t)(c->outputs * c->patch) * sizeof(real) + 63) / 64 * 64;
  return (real *)(void *)((char *)c->call->workspace + (size_t)c->bands * patches_bytes(c) + (size_t)band * bytes);
}

static void weight_band(void *argument, int64_t band) {
  const convolution *c = argument;
  const cohort_call *call = c->call;
  real *patches = patches_of(c, band);
  real *sum = partial_weight(c, band);
  int64_t first, last;
  band_images(c, band, &first, &last);
  for (int64_t n = first; n < last; n += c->chunk) {
    const int64_t count = last - n < c->chunk ? last - n : c->chunk;
    make_patches(c, call->input[0].data, n, count, patches);
    COHORT_VARIED(cohort_product)
    (&alone, 1, 0, c->outputs, c->patch, count * c->positions, 1,
     (const real *)call->input[1].data + n * c->positions * c->outputs, c->outputs, patches, c->patch,
     n == first && cohort_call_begins(call) ? 0 : 1, sum, c->patch);
  }
}

void COHORT_VARIED(cohort_kernel_convolution)(const cohort_call *call) {
  convolution c = describe_convolution(call, call->input[0].shape, call->input[1].shape, call->output[0].shape);
  if (has_winograd(&c))
    COHORT_BASED(cohort_winograd)(&c, call->input[0].data, call->input[1].data, call->output[0].data);
  else if (is_direct(&c))
    COHORT_BASED(cohort_convolve)(&c, call->input[0].data, call->input[1].data, call->output[0].data);
  else
    cohort_team_run(call->team, c.bands, forward_band, &c);
}

void COHORT_VARIED(cohort_kernel_convolution_input)(const cohort_call *call) {
  convolution c = describe_convolution(call, call->output[0].shape, call->input[1].shape, call->input[0].shape);
  if (has_winograd_input(&c))
    COHORT_BASED(cohort_winograd_input)(&c, call->input[0].data, call->input[1].data, call->output[0].data);
  else if (has_direct_input(&c))
    COHORT_BASED(cohort_convolve_input)(&c, call->input[0].data, call->input[1].data, call->output[0].data);
  else
    cohort_team_run(call->team, c.bands, input_band, &c);
}

void COHORT_VARIED(cohort_kernel_convolution_weight)(const cohort_call *call) {
  convolution c = describe_convolution(call, call->input[0].shape, call->output[0].shape, call->input[1].shape);
  if (has_winograd(&c)) {
    COHORT_BASED(cohort_winograd_weight)(&c, call->input[0].data, call->input[1].data, call->output[0].data);
    return;
  }
  if (has_direct_weight(&c)) {
    COHORT_BASED(cohort_convolve_weight)(&c, call->input[0].data, call->input[1].data, call->output[0].data);
    return;
  }
  cohort_team_run(call->team, c.bands, weight_band, &c);
  if (!cohort_call_ends(call)) return;
  /* Bands are joined in order. */
  real *restrict out = call->output[0].data;
  const int64_t elements = c.outputs * c.patch;
  memcpy(out, partial_weight(&c, 0), (size_t)elements * sizeof *out);
  for (int64_t band = 1; band < c.bands; band++) {
    const real *restrict part = partial_weight(&c, band);
    for (int64_t e = 0; e < elements; e++) out[e] += part[e];
  }
}

size_t COHORT_VARIED(cohort_workspace_convolution)(const cohort_call *call) {
  const convolution c = describe_convolution(call, call->input[0].shape, call->input[1].shape, call->output[0].shape);
  if (has_winograd(&c)) return COHORT_BASED(cohort_winograd_workspace)(&c, false);
  return is_direct(&c) ? COHORT_BASED(cohort_convolve_workspace)(&c) : (size_t)c.bands * patches_bytes(&c);
}

size_t COHORT_VARIED(cohort_workspace_convolution_input)(const cohort_call *call) {
  const convolution c = describe_convolution(call, call->output[0].shape, call->input[1].shape, call->input[0].shape);
  if (has_direct_input(&c)) {
    const convolution rotated = rotate_convolution(&c);
    return has_winograd(&rotated) ? COHORT_BASED(cohort_winograd_workspace)(&rotated, false)
                                  : COHORT_BASED(cohort_convolve_workspace)(&rotated);
  }
  return (size_t)c.bands * patches_bytes(&c);
}

size_t COHORT_VARIED(cohort_workspace_convolution_weight)(const cohort_call *call) {
  const convolution c = describe_convolution(call, call->input[0].shape, call->output[0].shape, call->input[1].shape);
  if (has_winograd(&c)) return COHORT_BASED(cohort_winograd_workspace)(&c, true);
  if (has_direct_weight(&c)) return COHORT_BASED(cohort_convolve_workspace)(&c);
  const size_t sums = ((size_t)(c.outputs * c.patch) * sizeof(real) + 63) / 64 * 64;
  return (size_t)c.bands * (patches_bytes(&c) + sums);
}
