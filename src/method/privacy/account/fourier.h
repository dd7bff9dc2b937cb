/* The discrete Fourier transform of complex numbers, by radix 2, for convolutions: the spectrum stands in bit-reversed
 * order, which products of spectra do not mind. Functions of their arguments alone. */
#ifndef COHORT_METHOD_PRIVACY_ACCOUNT_FOURIER_H
#define COHORT_METHOD_PRIVACY_ACCOUNT_FOURIER_H

#include <stdint.h>

/* cosine[n / 2], sine[n / 2] of the angles 2 pi k / n; n is a power of two, at least 2. */
void cohort_fourier_angles(int64_t n, double *cosine, double *sine);
/* In place: X_k = sum_j x_j exp(-2 pi i j k / n), bit-reversed. */
void cohort_fourier_forward(int64_t n, const double *cosine, const double *sine, double *re, double *im);
/* In place, from a bit-reversed spectrum: x_j = 1/n sum_k X_k exp(2 pi i j k / n). */
void cohort_fourier_backward(int64_t n, const double *cosine, const double *sine, double *re, double *im);

#endif
