/* Radix-2 transforms: forward by decimation in frequency, backward by decimation in time, so that neither sorts. Costs
 * n log2 n butterflies; errors grow as its square root. */
#include "method/privacy/account/fourier.h"

#include <math.h>

void cohort_fourier_angles(int64_t n, double *cosine, double *sine) {
  const double step = 6.283185307179586476925 / (double)n;
  for (int64_t k = 0; k < n / 2; k++) {
    cosine[k] = cos(step * (double)k);
    sine[k] = sin(step * (double)k);
  }
}

void cohort_fourier_forward(int64_t n, const double *cosine, const double *sine, double *re, double *im) {
  for (int64_t half = n / 2, stride = 1; half >= 1; half /= 2, stride *= 2)
    for (int64_t first = 0; first < n; first += 2 * half)
      for (int64_t k = 0; k < half; k++) {
        const int64_t a = first + k, b = a + half;
        const double x = re[a] - re[b], y = im[a] - im[b], c = cosine[k * stride], s = -sine[k * stride];
        re[a] += re[b];
        im[a] += im[b];
        re[b] = x * c - y * s;
        im[b] = x * s + y * c;
      }
}

void cohort_fourier_backward(int64_t n, const double *cosine, const double *sine, double *re, double *im) {
  for (int64_t half = 1, stride = n / 2; half < n; half *= 2, stride /= 2)
    for (int64_t first = 0; first < n; first += 2 * half)
      for (int64_t k = 0; k < half; k++) {
        const int64_t a = first + k, b = a + half;
        const double c = cosine[k * stride], s = sine[k * stride];
        const double x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
        re[b] = re[a] - x;
        im[b] = im[a] - y;
        re[a] += x;
        im[a] += y;
      }
  const double scale = 1 / (double)n;
  for (int64_t i = 0; i < n; i++) {
    re[i] *= scale;
    im[i] *= scale;
  }
}
