/* The accountant of privacy loss distributions. A release's loss is put on a grid in such a way that the masses of both
 * outputs that it tells apart are kept in every bin, which can only lose privacy; the sum of many is a power of its
 * spectrum. Before that the masses are tilted towards the losses that matter at this delta, so that those have their
 * digits and a window of some deviations suffices. Then
 *
 *   delta(e) = E[max(0, 1 - exp(e - loss))]
 *
 * is solved for e, from above. Costs a transform of the window's grid, 2^10 to 2^20 points, in each direction. */
#include <math.h>
#include <string.h>

#include "method/privacy/account/account.h"
#include "method/privacy/account/fourier.h"

enum { LEAST_POINTS = 1 << 10, MOST_POINTS = 1 << 20, MOST_BINS = 1 << 20 };

/* The loss of one release: of who is there against who is not (removed), or the other way (added). */
typedef struct loss {
  const cohort_noise_law *law;
  double noise, rate;
  bool added;
  double low, high; /* what lies above is counted as if it told everything: at most `tail` */
  double tail;
  int nodes;
  const double *u, *log_mass; /* a rule of quadrature under the base */
} loss;

/* log(1 - q + q exp(u)) */
static double mixture(double rate, double u) {
  if (rate >= 1) return u;
  if (u > 30) return u + log(rate) + log1p((1 - rate) / rate * exp(-u));
  return u < -1 ? log((1 - rate) + rate * exp(u)) : log1p(rate * expm1(u));
}

/* Its inverse; -INFINITY below its range. */
static double unmixed(double rate, double whole) {
  if (rate >= 1) return whole;
  if (whole > 30) return whole - log(rate) + log1p(-(1 - rate) * exp(-whole));
  const double y = expm1(whole) / rate;
  return y <= -1 ? -INFINITY : log1p(y);
}

/* Log moments of the loss tilted by exp(tilt loss), with its mean and variance there. */
typedef struct moments {
  double log_sum, mean, variance;
} moments;

static moments tilt_by(const loss *of, double tilt) {
  double top = -INFINITY, sum = 0, first = 0, second = 0;
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < of->nodes; i++) {
      const double whole = mixture(of->rate, of->u[i]), value = of->added ? -whole : whole;
      /* Under the base where one was added, under the mixture where one was removed. */
      const double mass = of->log_mass[i] + (of->added ? 0 : whole) + tilt * value;
      if (pass == 0) {
        top = fmax(top, mass);
        continue;
      }
      const double weight = exp(mass - top);
      sum += weight;
      first += weight * value;
      second += weight * value * value;
    }
  const double mean = first / sum;
  /* The largest mass has weight 1. */
  return (moments){top + log(fmax(sum, 1)), mean, fmax(0, second / sum - mean * mean)};
}

/* Chernoff's bound on epsilon. */
static double bound_by(const loss *of, const cohort_privacy_use *use, double tilt) {
  return ((double)use->steps * tilt_by(of, tilt).log_sum - log(use->delta)) / tilt;
}

/* The tilt at which that bound is least, or the smallest that is nearly as good, and that bound. */
static double best_tilt(const loss *of, const cohort_privacy_use *use, double *bound) {
  const double share = 0.61803398874989484820;
  double low = log(1e-6), high = log(1e7);
  for (int i = 0; i < 40; i++) {
    const double a = high - share * (high - low), b = low + share * (high - low);
    if (bound_by(of, use, exp(a)) < bound_by(of, use, exp(b)))
      high = b;
    else
      low = a;
  }
  double tilt = exp(0.5 * (low + high));
  *bound = bound_by(of, use, tilt);
  while (bound_by(of, use, 0.7 * tilt) < 1.002 * *bound && tilt > 1e-6) tilt *= 0.7;
  return tilt;
}

/* Sums of tilted losses lie in [low, high] but for exp(-32) of them on each side. */
static void find_window(const loss *of, const cohort_privacy_use *use, double tilt, double *low, double *high) {
  const double steps = (double)use->steps;
  const moments at = tilt_by(of, tilt);
  const double deviation = sqrt(steps * at.variance) + 1e-12;
  *low = steps * of->low;
  *high = steps * of->high;
  for (int i = -12; i <= 16; i++) {
    const double more = 8 / deviation * pow(2, 0.5 * i);
    const double up = (steps * (tilt_by(of, tilt + more).log_sum - at.log_sum) + 32) / more;
    const double down = -(steps * (tilt_by(of, tilt - more).log_sum - at.log_sum) + 32) / more;
    *high = fmin(*high, up);
    *low = fmax(*low, down);
  }
}

/* What is composed, and on which grid. */
typedef struct grid {
  int64_t points, first; /* the window is [first, first + points) steps of the grid */
  double step, tilt, log_sum;
} grid;

static grid choose_grid(const loss *of, const cohort_privacy_use *use, double tilt, double bound) {
  double low, high;
  find_window(of, use, tilt, &low, &high);
  const moments at = tilt_by(of, tilt);
  const double steps = (double)use->steps, deviation = sqrt(at.variance);
  /* A bin adds at most about step^2 / 6 to a loss's variance, which moves its mean by half of that. */
  const double error = 1e-5 * fmax(bound, 1e-3), far = sqrt(-2 * log(use->delta));
  double step = sqrt(12 * error / (steps + far * sqrt(steps) / (deviation + 1e-12)));
  step = fmin(step, 0.5 * deviation + 1e-12);
  step = fmax(step, (of->high - of->low) / MOST_BINS);
  const double width = high - low + 8 * step;
  int64_t points = LEAST_POINTS;
  while (points < MOST_POINTS && (double)points * step < width) points *= 2;
  step = fmax(width / (double)points, (of->high - of->low) / MOST_BINS);
  return (grid){points, (int64_t)floor(low / step) - 2, step, tilt, at.log_sum};
}

static int64_t place_of(const grid *on, int64_t point) { return ((point % on->points) + on->points) % on->points; }

/* The tilted masses of one release on the grid, wrapped around. */
static void fill_masses(const loss *of, const grid *on, double *re) {
  const int64_t first = (int64_t)floor(of->low / on->step), last = (int64_t)ceil(of->high / on->step);
  const double share = -1 / expm1(-on->step);
  double below[2][2], above[2][2]; /* at the bin's lower and upper edge */
  for (int64_t i = first - 1; i < last; i++) {
    const double edge = on->step * (double)(i + 1), u = unmixed(of->rate, of->added ? -edge : edge);
    memcpy(below[0], below[1], sizeof below[0]);
    memcpy(above[0], above[1], sizeof above[0]);
    if (u == -INFINITY) {
      below[1][0] = below[1][1] = 0;
      above[1][0] = above[1][1] = 1;
    } else {
      of->law->masses(of->noise, u, below[1], above[1]);
    }
    if (i < first) continue;
    double mass[2]; /* of the bin, under base and shifted */
    for (int k = 0; k < 2; k++) {
      const int upper = !of->added; /* where u is larger */
      const bool left = below[upper][k] <= above[!upper][k];
      mass[k] = left ? below[upper][k] - below[!upper][k] : above[!upper][k] - above[upper][k];
    }
    const double mixed = (1 - of->rate) * mass[0] + of->rate * mass[1];
    const double own = of->added ? mass[0] : mixed, other = of->added ? mixed : mass[0];
    const double low = on->step * (double)i;
    /* own = a + b, other = a exp(-low) + b exp(-low - step) */
    const double kept = other > 0 ? exp(low + log(other)) : 0;
    const double upward = fmin(own, fmax(0, (own - kept) * share));
    const double tilted = on->tilt * low - on->log_sum;
    if (own > upward) re[place_of(on, i)] += (own - upward) * exp(tilted);
    if (upward > 0) re[place_of(on, i + 1)] += upward * exp(tilted + on->tilt * on->step);
  }
}

static void raise_spectrum(int64_t points, double *re, double *im, double power) {
  for (int64_t i = 0; i < points; i++) {
    const double squared = re[i] * re[i] + im[i] * im[i], size = squared > 0 ? 0.5 * power * log(squared) : -INFINITY;
    if (size < -90) {
      re[i] = im[i] = 0;
      continue;
    }
    const double angle = power * atan2(im[i], re[i]), scale = exp(size);
    re[i] = scale * cos(angle);
    im[i] = scale * sin(angle);
  }
}

/* The largest e whose delta(e) is above `delta`, from the composed masses; NAN: not inside the window. */
static double solve(const grid *on, const double *re, double power, double delta) {
  double mass = 0, other = 0; /* above e: sums of p, of p exp(-loss), relative to exp(-e0) */
  for (int64_t point = on->first + on->points - 1; point >= on->first; point--) {
    const double at = on->step * (double)point;
    /* delta(e) = mass - exp(e) other for e in [at, at + step) */
    const double here = mass - other;
    if (here >= delta) return at + (mass > delta ? log((mass - delta) / other) : 0);
    const double p = fmax(0, re[place_of(on, point)]) * exp(power * on->log_sum - on->tilt * at);
    if (at <= 0) return 0;
    mass += p;
    other = (other + p) * exp(-on->step);
  }
  return NAN;
}

static double compose(const loss *of, const cohort_privacy_use *use, double tilt, double bound, double *memory) {
  const grid on = choose_grid(of, use, tilt, bound);
  const double power = (double)use->steps;
  double *re = memory, *im = re + on.points, *cosine = im + on.points, *sine = cosine + on.points / 2;
  memset(re, 0, 2 * (size_t)on.points * sizeof *re);
  fill_masses(of, &on, re);
  cohort_fourier_angles(on.points, cosine, sine);
  cohort_fourier_forward(on.points, cosine, sine, re, im);
  raise_spectrum(on.points, re, im, power);
  cohort_fourier_backward(on.points, cosine, sine, re, im);
  /* What the window, the tail and the transform's rounding may have lost. */
  return solve(&on, re, power, use->delta * (1 - 1e-9) - power * of->tail);
}

/* One release: delta(e) = P(loss > e) - exp(e) Q(loss > e) needs no grid. */
static double solve_once(const loss *of, double delta) {
  double low = 0, high = of->high;
  for (int i = 0; i < 100; i++) {
    const double e = i == 0 ? 0 : 0.5 * (low + high), u = unmixed(of->rate, of->added ? -e : e);
    double below[2] = {0, 0}, above[2] = {1, 1};
    if (u > -INFINITY) of->law->masses(of->noise, u, below, above);
    const double *side = of->added ? below : above;
    const double mixed = (1 - of->rate) * side[0] + of->rate * side[1];
    const double own = of->added ? side[0] : mixed, other = of->added ? mixed : side[0];
    const double found = own - (other > 0 ? exp(e + log(other)) : 0);
    if (i == 0 && found <= delta) return 0;
    if (found > delta)
      low = e;
    else
      high = e;
  }
  return high;
}

static double epsilon_of(loss *of, const cohort_privacy_use *use, double *memory) {
  if (use->steps == 1) return solve_once(of, use->delta);
  double bound;
  const double tilt = best_tilt(of, use, &bound);
  double found = compose(of, use, tilt, bound, memory);
  /* Far below the bound the losses that matter are not those that it looks at, and want a finer grid. */
  if (isnan(found) || found < 0.7 * bound) {
    const double finer = isnan(found) ? bound : found;
    found = compose(of, use, use->delta > 1e-9 ? 0 : 0.5 * tilt, finer, memory);
    if (isnan(found)) found = compose(of, use, 0, finer, memory);
  }
  /* No sum is larger than so many of the largest. */
  return fmin(isnan(found) ? fmax(0, bound) : found, (double)use->steps * of->high);
}

double cohort_pld_epsilon(const cohort_noise_law *law, const cohort_privacy_use *use, cohort_privacy_room *room) {
  if (use->noise <= 0) return INFINITY;
  cohort_privacy_use own = *use;
  /* All take part: sums of normals are normal, and one release of less noise is the same. */
  if (law == &cohort_law_gaussian && own.rate >= 1) {
    own.noise /= sqrt((double)own.steps);
    own.steps = 1;
  }
  double *u = cohort_scratch_take(&room->scratch, (2 * COHORT_LAW_NODES + 3 * (size_t)MOST_POINTS) * sizeof *u);
  loss of = {.law = law, .noise = own.noise, .rate = own.rate, .u = u, .log_mass = u + COHORT_LAW_NODES};
  of.tail = 1e-6 * own.delta / (double)own.steps;
  of.nodes = law->nodes(own.noise, of.tail, u, u + COHORT_LAW_NODES);
  double low, high, worst = 0;
  law->range(own.noise, of.tail, &low, &high);
  for (int added = 0; added < 2; added++) {
    of.added = added;
    of.low = added ? -mixture(own.rate, high) : mixture(own.rate, low);
    of.high = added ? -mixture(own.rate, low) : mixture(own.rate, high);
    worst = fmax(worst, epsilon_of(&of, &own, u + 2 * COHORT_LAW_NODES));
  }
  return worst;
}
