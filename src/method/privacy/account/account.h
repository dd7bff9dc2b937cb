/* Accountants of differential privacy, in float64: what (epsilon, delta) a run of noisy sums costs whoever adds or
 * takes away one client's (or sample's) contribution. A release is a sum of contributions, each of norm at most 1 and
 * each taking part with probability `rate` independently of all others (Poisson sampling), plus noise of the scale
 * `noise`. Functions of their arguments alone; memory comes through `room`.
 *
 * Intended usage:
 *   cohort_privacy_room room = {.known = false};
 *   const cohort_privacy_use use = {.noise = 1.5, .rate = 0.04, .steps = 2250, .delta = 1e-5};
 *   cohort_rdp_epsilon(&cohort_law_gaussian, &use, &room);  7.329
 *   cohort_pld_epsilon(&cohort_law_gaussian, &use, &room);  6.769
 *   cohort_privacy_room_release(&room); */
#ifndef COHORT_METHOD_PRIVACY_ACCOUNT_ACCOUNT_H
#define COHORT_METHOD_PRIVACY_ACCOUNT_ACCOUNT_H

#include <stdint.h>

#include "base/memory.h"

typedef struct cohort_privacy_use {
  double
      noise; /* scale of the noise (normal: deviation; Laplace: scale) in units of the largest contribution; 0: none */
  double rate;   /* with which one takes part in a release, in (0, 1] */
  int64_t steps; /* releases */
  double delta;  /* in (0, 1) */
} cohort_privacy_use;

enum { COHORT_LAW_NODES = 1 << 15, COHORT_RDP_ORDERS = 151 };

/* Memory of accounts, used again and again. One release's divergences are kept from one account to the next. */
typedef struct cohort_privacy_room {
  cohort_scratch scratch;
  bool known;
  const void *law; /* whose they are; of which noise and rate */
  double noise, rate, rdp[COHORT_RDP_ORDERS];
} cohort_privacy_room;
static inline void cohort_privacy_room_release(cohort_privacy_room *room) { cohort_scratch_release(&room->scratch); }

/* How noise hides one contribution: u = log of the density of the noise around 1 by that around 0, as it is
 * distributed where the noise is around 0 ("base", [0]) and around 1 ("shifted", [1]). */
typedef struct cohort_noise_law {
  /* The probability of u' <= u, and of u' > u. */
  void (*masses)(double noise, double u, double below[2], double above[2]);
  /* Outside of [low, high] lies at most `tail` of either. */
  void (*range)(double noise, double tail, double *low, double *high);
  /* A rule of quadrature for expectations under the base within that range: values of u and logarithms of masses;
   * returns how many, at most COHORT_LAW_NODES. */
  int (*nodes)(double noise, double tail, double *u, double *log_mass);
} cohort_noise_law;

extern const cohort_noise_law cohort_law_gaussian;
extern const cohort_noise_law cohort_law_laplace; /* contributions are bounded in the sum of absolute values */

/* Renyi divergence of order `order` > 1 of one release of the Gaussian mechanism under Poisson sampling (Mironov,
 * Talwar and Zhang, 2019, section 3.3): of whole orders the binomial sum, of others the integral. */
double cohort_rdp_gaussian(double noise, double rate, double order);
/* The orders that accountants look at: 1.1 to 10.9 by 0.1, then 12 to 63. */
double cohort_rdp_order(int index);
/* Epsilon at delta of a Renyi divergence `rdp` of that order (Balle, Barthe, Gaboardi, Hsu and Sato, 2020, Theorem 21;
 * Canonne, Kamath and Steinke, 2020, Proposition 12). */
double cohort_rdp_convert(double order, double rdp, double delta);

/* Epsilon by Renyi divergences: INFINITY without noise, never below 0. */
double cohort_rdp_epsilon(const cohort_noise_law *law, const cohort_privacy_use *use, cohort_privacy_room *room);
/* The same of any mechanism whose divergence of order a is at most a / (2 noise^2), under Poisson sampling by Zhu and
 * Wang (2019, Theorem 5). */
double cohort_rdp_epsilon_bound(const cohort_privacy_use *use, cohort_privacy_room *room);
/* By the whole distribution of the privacy loss, composed by Fourier transform. Rounded so that it is never too small
 * ("connect the dots": Doroshenko, Ghazi, Kamath, Kumar and Manurangsi, 2022), and about 1e-5 of itself too large. */
double cohort_pld_epsilon(const cohort_noise_law *law, const cohort_privacy_use *use, cohort_privacy_room *room);
/* By zero-concentrated privacy, rho = steps / (2 noise^2), which sampling does not lessen. simple: rho + 2 sqrt(rho
 * log(1/delta)) (Bun and Steinke, 2016, Proposition 1.3); else the least over all orders. */
double cohort_zcdp_epsilon(const cohort_privacy_use *use, bool simple);

/* The least noise whose epsilon is at most `wanted`, within 1e-7 of itself; INFINITY when there is none below 1e9. Of
 * `use` all but the noise counts; epsilon(argument, use) falls with the noise. */
double cohort_privacy_solve(double (*epsilon)(void *argument, const cohort_privacy_use *use), void *argument,
                            double wanted, const cohort_privacy_use *use);

#endif
