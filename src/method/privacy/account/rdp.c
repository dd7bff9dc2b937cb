/* Renyi accountants. A divergence costs its order's terms, or a few hundred nodes of a quadrature; sums are of terms of
 * one sign, so that also divergences of 1e-14 have their digits. */
#include <math.h>

#include "method/privacy/account/account.h"

double cohort_rdp_order(int index) { return index < 99 ? (11 + index) / 10.0 : 12 + (index - 99); }

double cohort_rdp_convert(double order, double rdp, double delta) {
  return rdp + log1p(-1 / order) - (log(delta) + log(order)) / (order - 1);
}

/* log(sum of exp(term)), term by term. */
static double add_logs(double a, double b) {
  const double high = fmax(a, b), low = fmin(a, b);
  return low == -INFINITY ? high : high + log1p(exp(low - high));
}

/* The binomial sum of a whole order, without its part 1: log(1 + sum_k C(a, k) q^k (1 - q)^(a - k) (exp((k^2 - k) /
 * (2 s^2)) - 1)). */
static double log_moment_whole(double noise, double rate, int order) {
  double log_choose = 0, sum = -INFINITY;
  for (int k = 1; k <= order; k++) {
    log_choose += log((order - k + 1.0) / k);
    if (k == 1) continue;
    const double grown = (double)k * (k - 1) / (2 * noise * noise);
    const double rest = grown > 30 ? grown + log1p(-exp(-grown)) : log(expm1(grown));
    sum = add_logs(sum, log_choose + k * log(rate) + (order - k) * log1p(-rate) + rest);
  }
  return sum > 30 ? add_logs(0, sum) : log1p(exp(sum));
}

/* (1 + y)^a - 1 - a y, which is never negative. */
static double curvature(double a, double y) {
  if (fabs(y) * a > 0.01) return expm1(a * log1p(y)) - a * y;
  double term = 1, sum = 0;
  for (int k = 1; k <= 12; k++) {
    term *= (a - k + 1) / k * y;
    if (k > 1) sum += term;
  }
  return sum;
}

/* log E[(1 - q + q exp(u))^a] over x normal around 0, u = (2 x - 1) / (2 s^2), by the trapezoid rule. What is summed is
 * the curvature, as E[exp(u)] = 1. */
static double log_moment_broken(double noise, double rate, double order) {
  const double from = -12 * noise, to = order + 12 * noise;
  const double step = fmax(fmin(noise / 8, 0.5 * noise * noise), (to - from) / 50000);
  const int64_t count = (int64_t)ceil((to - from) / step);
  double sum = -INFINITY;
  for (int64_t i = 0; i <= count; i++) {
    const double x = from + step * (double)i, u = (2 * x - 1) / (2 * noise * noise);
    const double mass = -x * x / (2 * noise * noise) - 0.91893853320467274178 + log(step / noise);
    /* log(1 - q + q exp(u)), where exp(u) itself might overflow */
    const double whole = u > 30 ? u + log(rate) + log1p((1 - rate) / rate * exp(-u)) : log1p(rate * expm1(u));
    const double power = order * whole;
    if (power > 200)
      sum = add_logs(sum, mass + power);
    else {
      const double part = curvature(order, u > 30 ? expm1(whole) : rate * expm1(u));
      if (part > 0) sum = add_logs(sum, mass + log(part));
    }
  }
  return sum > 30 ? add_logs(0, sum) : log1p(exp(sum));
}

double cohort_rdp_gaussian(double noise, double rate, double order) {
  if (rate >= 1) return order / (2 * noise * noise);
  const bool whole = order == floor(order) && order < 1e6;
  return (whole ? log_moment_whole(noise, rate, (int)order) : log_moment_broken(noise, rate, order)) / (order - 1);
}

/* The larger divergence of the two directions, of a law's nodes. */
static double divergence(int nodes, const double *u, const double *log_mass, double rate, double order) {
  double added = -INFINITY, removed = -INFINITY;
  for (int i = 0; i < nodes; i++) {
    const double whole =
        u[i] > 30 ? u[i] + log(rate) + log1p((1 - rate) / rate * exp(-u[i])) : log1p(rate * expm1(u[i]));
    removed = add_logs(removed, log_mass[i] + order * whole);
    added = add_logs(added, log_mass[i] + (1 - order) * whole);
  }
  return fmax(0, fmax(added, removed)) / (order - 1);
}

/* One release's divergences, as `room` may have them already. */
static bool known(cohort_privacy_room *room, const void *law, const cohort_privacy_use *use) {
  const bool same = room->known && room->law == law && room->noise == use->noise && room->rate == use->rate;
  room->known = true;
  room->law = law;
  room->noise = use->noise;
  room->rate = use->rate;
  return same;
}

static double least(const cohort_privacy_room *room, const cohort_privacy_use *use) {
  double found = INFINITY;
  for (int i = 0; i < COHORT_RDP_ORDERS; i++)
    found = fmin(found, cohort_rdp_convert(cohort_rdp_order(i), (double)use->steps * room->rdp[i], use->delta));
  return fmax(0, found);
}

double cohort_rdp_epsilon(const cohort_noise_law *law, const cohort_privacy_use *use, cohort_privacy_room *room) {
  if (use->noise <= 0) return INFINITY;
  if (known(room, law, use)) return least(room, use);
  const bool gaussian = law == &cohort_law_gaussian;
  double *u = gaussian ? NULL : cohort_scratch_take(&room->scratch, 2 * COHORT_LAW_NODES * sizeof *u);
  double *log_mass = gaussian ? NULL : u + COHORT_LAW_NODES;
  const int nodes = gaussian ? 0 : law->nodes(use->noise, 1e-30, u, log_mass);
  for (int i = 0; i < COHORT_RDP_ORDERS; i++)
    room->rdp[i] = gaussian ? cohort_rdp_gaussian(use->noise, use->rate, cohort_rdp_order(i))
                            : divergence(nodes, u, log_mass, use->rate, cohort_rdp_order(i));
  return least(room, use);
}

/* Of a whole order under sampling: the three kinds of terms of the theorem. */
static double sampled_bound(double rho, double rate, int order) {
  double log_choose = 0, sum = (order - 1) * log1p(-rate) + log1p((order - 1) * rate);
  for (int k = 1; k <= order; k++) {
    log_choose += log((order - k + 1.0) / k);
    if (k == 1) continue;
    const double term = log_choose + k * log(rate) + (order - k) * log1p(-rate) + (k - 1) * rho * k;
    sum = add_logs(sum, term + (k > 2 ? log(3) : 0));
  }
  return sum / (order - 1);
}

double cohort_rdp_epsilon_bound(const cohort_privacy_use *use, cohort_privacy_room *room) {
  if (use->noise <= 0) return INFINITY;
  if (known(room, NULL, use)) return least(room, use);
  const double rho = 1 / (2 * use->noise * use->noise);
  for (int i = 0; i < COHORT_RDP_ORDERS; i++) {
    const double order = cohort_rdp_order(i);
    room->rdp[i] = rho * order; /* sampling never adds to it */
    if (use->rate < 1 && order == floor(order))
      room->rdp[i] = fmin(room->rdp[i], sampled_bound(rho, use->rate, (int)order));
  }
  return least(room, use);
}

double cohort_zcdp_epsilon(const cohort_privacy_use *use, bool simple) {
  if (use->noise <= 0) return INFINITY;
  const double rho = (double)use->steps / (2 * use->noise * use->noise), log_delta = log(use->delta);
  if (simple) return rho + 2 * sqrt(-rho * log_delta);
  /* Unimodal in log(order - 1): golden section. */
  const double share = 0.61803398874989484820;
  double low = log(1e-9), high = log(1e12);
  for (int i = 0; i < 120; i++) {
    const double a = high - share * (high - low), b = low + share * (high - low);
    if (cohort_rdp_convert(1 + exp(a), rho * (1 + exp(a)), use->delta) <
        cohort_rdp_convert(1 + exp(b), rho * (1 + exp(b)), use->delta))
      high = b;
    else
      low = a;
  }
  const double order = 1 + exp(0.5 * (low + high));
  return fmax(0, cohort_rdp_convert(order, rho * order, use->delta));
}
