/* Laws of noise: how a contribution of size 1 shows in the ratio of two densities. Each is a formula or a short table.
 */
#include <math.h>

#include "method/privacy/account/account.h"

/* ---- normal: u = (2 x - 1) / (2 s^2), x around 0 or 1 ---- */

static double upper(double x) { return 0.5 * erfc(x * 0.70710678118654752440); }

static void masses_gaussian(double noise, double u, double below[2], double above[2]) {
  const double x = noise * u + 0.5 / noise; /* in deviations */
  below[0] = upper(-x);
  above[0] = upper(x);
  below[1] = upper(1 / noise - x);
  above[1] = upper(x - 1 / noise);
}

/* The tail above z deviations is at most exp(-z^2 / 2). */
static void range_gaussian(double noise, double tail, double *low, double *high) {
  const double z = sqrt(-2 * log(tail));
  *low = (-z - 0.5 / noise) / noise;
  *high = (z + 0.5 / noise) / noise;
}

/* The trapezoid rule, whose error falls as exp(-2 pi d / step), d the distance of singularities from the real line: pi
 * s^2 where the logarithm of a mixture has one. */
static int nodes_gaussian(double noise, double tail, double *u, double *log_mass) {
  double low, high;
  range_gaussian(noise, tail, &low, &high);
  const double from = low * noise + 0.5 / noise, way = (high - low) * noise; /* in deviations */
  const double step = fmin(0.125, 0.5 * noise);
  const int count = (int)fmin(COHORT_LAW_NODES - 1, ceil(way / step));
  for (int i = 0; i <= count; i++) {
    const double x = from + way * i / count;
    u[i] = (x - 0.5 / noise) / noise;
    log_mass[i] = -0.5 * x * x - 0.91893853320467274178 + log(way / count);
  }
  return count + 1;
}

const cohort_noise_law cohort_law_gaussian = {masses_gaussian, range_gaussian, nodes_gaussian};

/* ---- Laplace: u = (|x| - |x - 1|) / b, between -1/b and 1/b, both of which have a mass of their own ---- */

static void masses_laplace(double noise, double u, double below[2], double above[2]) {
  const double x = 0.5 * (noise * u + 1); /* from 0 to 1 */
  below[0] = u < -1 / noise ? 0 : u >= 1 / noise ? 1 : 1 - 0.5 * exp(-x / noise);
  above[0] = u < -1 / noise ? 1 : u >= 1 / noise ? 0 : 0.5 * exp(-x / noise);
  below[1] = u < -1 / noise ? 0 : u >= 1 / noise ? 1 : 0.5 * exp((x - 1) / noise);
  above[1] = u < -1 / noise ? 1 : u >= 1 / noise ? 0 : 1 - 0.5 * exp((x - 1) / noise);
}

static void range_laplace(double noise, double tail, double *low, double *high) {
  (void)tail;
  *low = -1 / noise * (1 + 1e-15);
  *high = 1 / noise * (1 + 1e-15);
}

/* Simpson's rule between the two points of mass. */
static int nodes_laplace(double noise, double tail, double *u, double *log_mass) {
  (void)tail;
  const int pieces = 2048;
  for (int i = 0; i <= pieces; i++) {
    const double x = (double)i / pieces, weight = i == 0 || i == pieces ? 1 : i % 2 ? 4 : 2;
    u[i] = (2 * x - 1) / noise;
    log_mass[i] = -x / noise + log(0.5 / noise * weight / (3.0 * pieces));
  }
  u[pieces + 1] = -1 / noise;
  log_mass[pieces + 1] = log(0.5);
  u[pieces + 2] = 1 / noise;
  log_mass[pieces + 2] = log(0.5) - 1 / noise;
  return pieces + 3;
}

const cohort_noise_law cohort_law_laplace = {masses_laplace, range_laplace, nodes_laplace};
