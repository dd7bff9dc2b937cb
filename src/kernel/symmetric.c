/* C = X X' by strips of columns, each down to its end of the diagonal, and the mirror image of what lies above it.
 * Invariant: C is symmetric to the bit. Cost: (1 + 1 / strips) / 2 of the whole product, and C read and written once.
 */
#include "kernel/symmetric.h"

/* Wide enough for the products to run at their speed. */
enum { NARROWEST = 128, MOST_STRIPS = 4, SQUARE = 32 };

/* Below the diagonal from above it, square by square, so that both stay in the cache. */
static void mirror_float(int64_t n, float *c) {
  for (int64_t i0 = 0; i0 < n; i0 += SQUARE)
    for (int64_t j0 = 0; j0 <= i0; j0 += SQUARE)
      for (int64_t i = i0; i < n && i < i0 + SQUARE; i++)
        for (int64_t j = j0; j < i && j < j0 + SQUARE; j++) c[i * n + j] = c[j * n + i];
}

static void mirror_double(int64_t n, double *c) {
  for (int64_t i0 = 0; i0 < n; i0 += SQUARE)
    for (int64_t j0 = 0; j0 <= i0; j0 += SQUARE)
      for (int64_t i = i0; i < n && i < i0 + SQUARE; i++)
        for (int64_t j = j0; j < i && j < j0 + SQUARE; j++) c[i * n + j] = c[j * n + i];
}

void cohort_product_symmetric(const cohort_kernel_set *kernels, const cohort_team *team, bool transpose, int64_t n,
                              int64_t k, double alpha, const void *x, int64_t stride, double beta, void *c) {
  int64_t strips = n / NARROWEST < MOST_STRIPS ? n / NARROWEST : MOST_STRIPS;
  if (strips < 1) strips = 1;
  const size_t size = kernels->real_size;
  for (int64_t s = 0; s < strips; s++) {
    const int64_t first = n * s / strips, last = n * (s + 1) / strips;
    const char *columns = (const char *)x + (size_t)(transpose ? first : first * stride) * size;
    kernels->product(team, transpose, !transpose, last, last - first, k, alpha, x, stride, columns, stride, beta,
                     (char *)c + (size_t)first * size, n);
  }
  if (size == sizeof(float))
    mirror_float(n, c);
  else
    mirror_double(n, c);
}
