/* Smoothing and thinning of curves. Invariant: places of a result are places of its input, in their order, so a minimum
 * that is drawn was measured. Thinning costs a walk over the points; smoothing `points` windows of a share of them. */
#include "io/plot_curve.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static cohort_curve create(int64_t room) {
  return (cohort_curve){.x = cohort_allocate((size_t)room * sizeof(double)),
                        .y = cohort_allocate((size_t)room * sizeof(double))};
}

int64_t cohort_curve_half_window(int64_t count, double share, int64_t i) {
  const int64_t most = (int64_t)ceil(0.5 * share * (double)count), steep = 1 + i / 3;
  return steep < most ? steep : most;
}

/* The value at x[i] of the line fitted to the rows around it. Sums are over distances from x[i], so the value there is
 * the line's constant. */
static double fit_at(const cohort_curve *own, int64_t i, int64_t half) {
  int64_t first = i - half, last = i + half;
  if (last > own->count - 1) first -= last - (own->count - 1), last = own->count - 1;
  if (first < 0) first = 0;
  const double before = own->x[i] - own->x[first], behind = own->x[last] - own->x[i];
  const double reach = (before > behind ? before : behind) * (1 + 1.0 / (double)(half + 1));
  double sum = 0, sum_x = 0, sum_xx = 0, sum_y = 0, sum_xy = 0;
  for (int64_t k = first; k <= last; k++) {
    const double x = (own->x[k] - own->x[i]) / reach, near = 1 - fabs(x * x * x), weight = near * near * near;
    sum += weight;
    sum_x += weight * x;
    sum_xx += weight * x * x;
    sum_y += weight * own->y[k];
    sum_xy += weight * x * own->y[k];
  }
  const double determinant = sum * sum_xx - sum_x * sum_x;
  return determinant > 1e-12 * sum * sum_xx ? (sum_xx * sum_y - sum_x * sum_xy) / determinant : own->y[i];
}

/* How far along the axis a place lies, 0 to 1. */
static double along(const cohort_curve *own, double x, bool log_x) {
  const double first = own->x[0], last = own->x[own->count - 1];
  if (!(last > first)) return 0;
  return log_x ? log(x / first) / log(last / first) : (x - first) / (last - first);
}

cohort_curve cohort_curve_smooth(const cohort_curve *own, double share, int64_t points, bool log_x) {
  cohort_curve out = create(points + 2);
  int64_t next = 0; /* of the even places the one that is due */
  for (int64_t i = 0; i < own->count; i++) {
    const double where = along(own, own->x[i], log_x) * (double)(points - 1);
    const bool due = where >= (double)next || i == own->count - 1;
    if (!due) continue;
    out.x[out.count] = own->x[i];
    out.y[out.count++] = fit_at(own, i, cohort_curve_half_window(own->count, share, i));
    next = (int64_t)where + 1;
  }
  return out;
}

static void keep(const cohort_curve *own, int64_t i, cohort_curve *out) {
  out->x[out->count] = own->x[i];
  out->y[out->count++] = own->y[i];
}

/* The points first, last and the extremes between them, each once, in their order. */
static void keep_column(const cohort_curve *own, int64_t first, int64_t last, cohort_curve *out) {
  int64_t low = first, high = first;
  for (int64_t i = first; i <= last; i++) {
    if (own->y[i] < own->y[low]) low = i;
    if (own->y[i] > own->y[high]) high = i;
  }
  const int64_t early = low < high ? low : high, late = low < high ? high : low;
  keep(own, first, out);
  if (early > first) keep(own, early, out);
  if (late > early && late > first) keep(own, late, out);
  if (last > late) keep(own, last, out);
}

cohort_curve cohort_curve_thin(const cohort_curve *own, int64_t columns, bool log_x) {
  const bool few = own->count <= 4 * columns;
  cohort_curve out = create(few ? own->count : 4 * columns + 4);
  int64_t first = 0, column = 0;
  for (int64_t i = 0; i < own->count; i++) {
    if (few) {
      keep(own, i, &out);
      continue;
    }
    const int64_t of = (int64_t)(along(own, own->x[i], log_x) * (double)columns);
    if (of > column && i > first) {
      keep_column(own, first, i - 1, &out);
      first = i;
    }
    if (of > column) column = of;
    if (i == own->count - 1) keep_column(own, first, i, &out);
  }
  return out;
}

double cohort_curve_at(const cohort_curve *own, double x) {
  if (own->count == 0 || x < own->x[0] || x > own->x[own->count - 1]) return NAN;
  int64_t low = 0, high = own->count - 1;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (own->x[middle] <= x)
      low = middle;
    else
      high = middle;
  }
  if (own->x[high] == own->x[low]) return own->y[low];
  const double share = (x - own->x[low]) / (own->x[high] - own->x[low]);
  return own->y[low] + share * (own->y[high] - own->y[low]);
}

void cohort_curve_keep_positive(cohort_curve *own, bool log_x, bool log_y) {
  int64_t kept = 0;
  for (int64_t i = 0; i < own->count; i++) {
    if ((log_x && own->x[i] <= 0) || (log_y && own->y[i] <= 0)) continue;
    own->x[kept] = own->x[i];
    own->y[kept++] = own->y[i];
  }
  own->count = kept;
}
