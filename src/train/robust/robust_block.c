/* Loops over the coordinates of a block. Invariant: what a coordinate becomes depends on the clients' values there
 * alone, never on the block or who has it. A tile of all clients' values, in float64, is read from the cache: inner
 * products cost clients^2 a coordinate, ordered values clients log(clients)^2 / 4 exchanges, of which many coordinates
 * go at once. */
#include <math.h>
#include <string.h>

#include "kernel/symmetric.h"
#include "train/robust/robust_state.h"

enum { WIDEST = 512, NARROWEST = 64, MOST_LEVELS = 32 };

/* About a megabyte of values. */
int64_t cohort_robust_tile(int clients) {
  int64_t tile = WIDEST;
  while (tile > NARROWEST && tile * clients > 1 << 17) tile /= 2;
  return tile;
}

/* Values of all rows, pointers to them, and for sums a vector a level. */
int64_t cohort_robust_room(int clients) {
  return (clients + 2 + MOST_LEVELS) * cohort_robust_tile(clients) + clients + 1;
}

static inline double value_at(const cohort_robust_rows *rows, const char *values, int64_t e) {
  return rows->real == sizeof(float) ? (double)((const float *)(const void *)values)[e]
                                     : ((const double *)(const void *)values)[e];
}

static void widen(const cohort_robust_rows *rows, const char *values, int64_t at, int64_t n, double *restrict out) {
  if (rows->real == sizeof(float)) {
    const float *from = (const float *)(const void *)values + at;
    for (int64_t e = 0; e < n; e++) out[e] = (double)from[e];
  } else {
    memcpy(out, (const double *)(const void *)values + at, (size_t)n * sizeof *out);
  }
}

static void narrow(const cohort_robust_rows *rows, const double *restrict values, int64_t n, char *out) {
  if (rows->real == sizeof(float)) {
    float *to = (float *)(void *)out;
    for (int64_t e = 0; e < n; e++) to[e] = (float)values[e];
  } else {
    memcpy(out, values, (size_t)n * sizeof *values);
  }
}

/* A history with this round's change, in the rows' type, as it will be kept. */
static void widen_sum(const cohort_robust_rows *rows, int i, int64_t at, int64_t n, double *restrict out) {
  for (int64_t e = 0; e < n; e++) {
    const double sum = value_at(rows, rows->history[i], at + e) + value_at(rows, rows->row[i], at + e);
    out[e] = rows->real == sizeof(float) ? (double)(float)sum : sum;
  }
}

void cohort_robust_multiply(const cohort_robust_rows *rows, int64_t at, int64_t n, bool first, double *room,
                            double *products) {
  static const cohort_team alone = {1};
  const int all = rows->clients + (rows->last != NULL);
  for (int i = 0; i < rows->clients; i++) {
    if (rows->history)
      widen_sum(rows, i, at, n, room + i * n);
    else
      widen(rows, rows->row[i], at, n, room + i * n);
  }
  if (rows->last) widen(rows, rows->last, at, n, room + rows->clients * n);
  cohort_product_symmetric(cohort_kernels_float64(), &alone, false, all, n, 1, room, n, first ? 0 : 1, products);
}

void cohort_robust_square(const cohort_robust_rows *rows, int64_t at, int64_t n, bool first, double *squares) {
  for (int i = 0; i < rows->clients; i++) {
    double sum = 0;
    for (int64_t e = 0; e < n; e++) {
      const double value = value_at(rows, rows->row[i], at + e);
      sum += value * value;
    }
    squares[i] = first ? sum : squares[i] + sum;
  }
}

/* Two passes: the mean, then the squares about it. */
void cohort_robust_forge(const cohort_robust_rows *rows, const cohort_robust_forgery *forgery, int64_t at, int64_t n,
                         double *room, char *out) {
  double *mean = room, *square = room + n;
  int others = 0;
  for (int64_t e = 0; e < n; e++) mean[e] = square[e] = 0;
  for (int i = 0; i < rows->clients; i++) {
    if (forgery->forger[i]) continue;
    others++;
    for (int64_t e = 0; e < n; e++) mean[e] += value_at(rows, rows->row[i], at + e);
  }
  for (int64_t e = 0; e < n && others; e++) mean[e] /= others;
  for (int i = 0; i < rows->clients; i++) {
    if (forgery->forger[i]) continue;
    for (int64_t e = 0; e < n; e++) {
      const double off = value_at(rows, rows->row[i], at + e) - mean[e];
      square[e] += off * off;
    }
  }
  for (int64_t e = 0; e < n; e++) {
    const double deviation = others > 1 ? sqrt(square[e] / (others - 1)) : 0;
    mean[e] = forgery->mean * mean[e] + forgery->deviation * deviation;
  }
  narrow(rows, mean, n, out);
}

/* The leaves [first, last) into `out`; false: none of them has a share. `room` has a vector for each level below. */
static bool sum_leaves(const cohort_robust_rows *rows, int first, int last, int64_t at, int64_t n, char *room,
                       char *out) {
  if (last - first == 1) {
    const int i = rows->leaf[first];
    if (!(rows->share[i] < 0) && !(rows->share[i] > 0)) return false;
    const char *row = rows->row[i] + (size_t)at * rows->real;
    rows->algebra->combine(n, out, rows->share[i], row, 0, row);
    return true;
  }
  int left = 1;
  while (2 * left < last - first) left *= 2;
  char *below = room + (size_t)n * rows->real;
  const bool has_left = sum_leaves(rows, first, first + left, at, n, below, out);
  const bool has_right = sum_leaves(rows, first + left, last, at, n, below, has_left ? room : out);
  if (has_left && has_right) rows->algebra->combine(n, out, 1, out, 1, room);
  return has_left || has_right;
}

void cohort_robust_sum(const cohort_robust_rows *rows, int64_t at, int64_t n, double *room, char *out) {
  if (!sum_leaves(rows, 0, rows->clients, at, n, (char *)room, out)) memset(out, 0, (size_t)n * rows->real);
  const double share = rows->last ? rows->share[rows->clients] : 0;
  if (share > 0 || share < 0) rows->algebra->combine(n, out, 1, out, share, rows->last + (size_t)at * rows->real);
}

static void exchange(int64_t n, double *restrict low, double *restrict high) {
  for (int64_t e = 0; e < n; e++) {
    const double a = low[e], b = high[e];
    low[e] = a < b ? a : b;
    high[e] = a < b ? b : a;
  }
}

/* Orders the rows of each of n coordinates by a network of exchanges (Batcher 1968; Knuth, volume 3, algorithm 5.2.2M).
 */
static void order_rows(int count, int64_t n, double *rows) {
  int top = 1;
  while (2 * top < count) top *= 2;
  for (int p = top; p > 0 && count > 1; p /= 2)
    for (int q = top, r = 0, d = p; q >= p; d = q - p, q /= 2, r = p) {
      for (int i = 0; i + d < count; i++)
        if ((i & p) == r) exchange(n, rows + i * n, rows + (i + d) * n);
      if (q == p) break;
    }
}

void cohort_robust_combine(const cohort_robust_rows *rows, const cohort_robust *functions,
                           const cohort_robust_round *round, int64_t at, int64_t n, double *room, char *out) {
  const double **value = (const double **)(void *)room;
  double *values = room + rows->clients, *joined = NULL;
  int chosen = 0;
  for (int i = 0; i < rows->clients; i++) {
    if (rows->share[i] <= 0) continue;
    value[chosen] = values + chosen * n;
    widen(rows, rows->row[i], at, n, values + chosen++ * n);
  }
  joined = values + chosen * n;
  order_rows(chosen, n, values);
  functions->combine(round, chosen, n, value, joined);
  narrow(rows, joined, n, out);
}

void cohort_robust_measure(const cohort_robust_rows *rows, int64_t at, int64_t n, const char *out, double *room,
                           double sums[2]) {
  double *mean = room;
  int finite = 0;
  for (int64_t e = 0; e < n; e++) mean[e] = 0;
  for (int i = 0; i < rows->clients; i++) {
    if (!rows->finite[i]) continue;
    finite++;
    for (int64_t e = 0; e < n; e++) mean[e] += value_at(rows, rows->row[i], at + e);
  }
  for (int64_t e = 0; e < n && finite; e++) {
    mean[e] /= finite;
    const double off = value_at(rows, out, e) - mean[e];
    sums[0] += off * off;
    sums[1] += mean[e] * mean[e];
  }
}
