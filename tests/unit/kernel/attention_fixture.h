/* A trial of attention: runs of rows with and without prefixes, and attention with its gradients as sums over all pairs
 * of rows, in double. */
#ifndef COHORT_TESTS_KERNEL_ATTENTION_FIXTURE_H
#define COHORT_TESTS_KERNEL_ATTENTION_FIXTURE_H

#include "fixture.h"

typedef struct attention_case {
  int64_t rows, heads, key_heads, width;
  double scale, range; /* inputs are uniform in [-range, range] */
  const int *lengths;  /* runs of rows until their sum is `rows`; a negative length is a run of segment -1 */
  const int *prefixes; /* of each run: rows of the last run without a prefix that it goes on from; NULL: none has any */
} attention_case;

typedef struct naive {
  int64_t rows, heads, key_heads, width, step; /* step: numbers of a row in `segments` */
  double scale;
  const double *q, *k, *v, *segments, *dy;
  const double *aq, *ak, *av; /* of attention_second */
  double *y, *logsumexp, *dq, *dk, *dv, *p;
  double *gq, *gk, *gv, *gdy;
} naive;

static inline double inner(const double *a, const double *b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

static inline int64_t query_at(const naive *n, int64_t row, int64_t head) { return (row * n->heads + head) * n->width; }
static inline int64_t key_at(const naive *n, int64_t row, int64_t head) {
  return (row * n->key_heads + head * n->key_heads / n->heads) * n->width;
}

static inline double segment_of(const naive *n, int64_t row) { return n->segments[row * n->step]; }

/* The next row from j on that `row` sees, itself at last. */
static inline int64_t seen_from(const naive *n, int64_t row, int64_t j) {
  const double *own = n->segments + row * n->step;
  for (; j < row; j++)
    if (segment_of(n, j) == own[0] || (n->step == 3 && j >= own[1] && j < own[1] + own[2])) return j;
  return j;
}

/* Fills p with the probabilities of the rows that `row` sees. */
static inline void naive_probabilities(const naive *n, int64_t row, int64_t head, double *logsumexp) {
  double largest = -INFINITY, total = 0;
  for (int64_t j = seen_from(n, row, 0); j <= row; j = seen_from(n, row, j + 1)) {
    n->p[j] = n->scale * inner(n->q + query_at(n, row, head), n->k + key_at(n, j, head), n->width);
    largest = fmax(largest, n->p[j]);
  }
  for (int64_t j = seen_from(n, row, 0); j <= row; j = seen_from(n, row, j + 1))
    total += n->p[j] = exp(n->p[j] - largest);
  for (int64_t j = seen_from(n, row, 0); j <= row; j = seen_from(n, row, j + 1)) n->p[j] /= total;
  *logsumexp = largest + log(total);
}

static inline void naive_forward(const naive *n, int64_t row, int64_t head) {
  naive_probabilities(n, row, head, &n->logsumexp[row * n->heads + head]);
  for (int64_t j = seen_from(n, row, 0); j <= row; j = seen_from(n, row, j + 1)) {
    for (int64_t d = 0; d < n->width; d++) n->y[query_at(n, row, head) + d] += n->p[j] * n->v[key_at(n, j, head) + d];
  }
}

/* The derivative of the softmax from its definition: ds_j = p_j (dp_j - sum p dp), without y and logsumexp. */
static inline void naive_backward(const naive *n, int64_t row, int64_t head) {
  double logsumexp, mean = 0;
  const int64_t at = query_at(n, row, head);
  naive_probabilities(n, row, head, &logsumexp);
  for (int64_t j = seen_from(n, row, 0); j <= row; j = seen_from(n, row, j + 1))
    mean += n->p[j] * inner(n->dy + at, n->v + key_at(n, j, head), n->width);
  for (int64_t j = seen_from(n, row, 0); j <= row; j = seen_from(n, row, j + 1)) {
    const int64_t key = key_at(n, j, head);
    const double ds = n->scale * n->p[j] * (inner(n->dy + at, n->v + key, n->width) - mean);
    for (int64_t d = 0; d < n->width; d++) {
      n->dq[at + d] += ds * n->k[key + d];
      n->dk[key + d] += ds * n->q[at + d];
      n->dv[key + d] += n->p[j] * n->dy[at + d];
    }
  }
}

typedef struct naive_pair {
  double dp, a, b;
} naive_pair;

static inline naive_pair pair_of(const naive *n, int64_t at, int64_t key) {
  const double a = inner(n->aq + at, n->k + key, n->width) + inner(n->q + at, n->ak + key, n->width);
  return (naive_pair){inner(n->dy + at, n->v + key, n->width), n->scale * a, inner(n->dy + at, n->av + key, n->width)};
}

/* The derivative of <aq, dq> + <ak, dk> + <av, dv> of a row, by q, k, v and dy. */
static inline void naive_second(const naive *n, int64_t row, int64_t head) {
  double logsumexp, delta = 0, mean = 0, total = 0;
  const int64_t at = query_at(n, row, head);
  naive_probabilities(n, row, head, &logsumexp);
  for (int64_t j = seen_from(n, row, 0); j <= row; j = seen_from(n, row, j + 1)) {
    const naive_pair one = pair_of(n, at, key_at(n, j, head));
    delta += n->p[j] * one.dp;
    mean += n->p[j] * one.a;
  }
  for (int64_t j = seen_from(n, row, 0); j <= row; j = seen_from(n, row, j + 1)) {
    const naive_pair one = pair_of(n, at, key_at(n, j, head));
    total += n->p[j] * (one.a * (one.dp - delta) - mean * one.dp + one.b);
  }
  for (int64_t j = seen_from(n, row, 0); j <= row; j = seen_from(n, row, j + 1)) {
    const int64_t key = key_at(n, j, head);
    const naive_pair one = pair_of(n, at, key);
    const double by_p = one.a * (one.dp - delta) - mean * one.dp + one.b;
    const double by_s = n->scale * n->p[j] * (by_p - total), by_dp = n->p[j] * (one.a - mean);
    const double ds = n->scale * n->p[j] * (one.dp - delta);
    for (int64_t d = 0; d < n->width; d++) {
      n->gq[at + d] += by_s * n->k[key + d] + ds * n->ak[key + d];
      n->gk[key + d] += by_s * n->q[at + d] + ds * n->aq[at + d];
      n->gv[key + d] += by_dp * n->dy[at + d];
      n->gdy[at + d] += by_dp * n->v[key + d] + n->p[j] * n->av[key + d];
    }
  }
}

static inline void naive_run(naive *n, void (*one)(const naive *, int64_t, int64_t)) {
  n->p = fixture_allocate(SHAPE(n->rows));
  for (int64_t row = 0; row < n->rows; row++) {
    for (int64_t head = 0; head < n->heads && segment_of(n, row) >= 0; head++) one(n, row, head);
  }
  free(n->p);
}

static inline void fill_segments(const attention_case *c, double *segments) {
  int id = 0;
  int64_t parent = 0;
  for (int64_t row = 0, run = 0; row < c->rows; run++) {
    const int length = c->lengths[run], prefix = c->prefixes ? c->prefixes[run] : 0;
    if (!prefix) parent = row;
    for (int i = 0; i < abs(length); i++, row++) {
      *segments++ = length < 0 ? -1 : id;
      if (c->prefixes) *segments++ = (double)parent, *segments++ = prefix;
    }
    id += length > 0;
  }
}

static inline void spoil_outside(const naive *n, double *x, int64_t columns) {
  for (int64_t row = 0; row < n->rows; row++) {
    for (int64_t i = 0; i < columns && segment_of(n, row) < 0; i++) x[row * columns + i] = NAN;
  }
}

/* A trial of `op` with the inputs q, k, v, segments, and what the naive form needs of it. */
static inline fixture begin(cohort_op op, const attention_case *c, naive *n) {
  const cohort_shape query = SHAPE(c->rows, c->heads, c->width), key = SHAPE(c->rows, c->key_heads, c->width);
  fixture t = fixture_of(op);
  t.attributes.reals[0] = c->scale;
  t.terms = (double)c->width;
  double *q = fixture_real(&t, query, -c->range, c->range), *k = fixture_real(&t, key, -c->range, c->range);
  double *v = fixture_real(&t, key, -1, 1), *segments;
  segments = fixture_integer(&t, c->prefixes ? SHAPE(c->rows, 3) : SHAPE(c->rows), 0, 0);
  fill_segments(c, segments);
  *n = (naive){c->rows,  c->heads, c->key_heads, c->width, c->prefixes ? 3 : 1,
               c->scale, .q = q,   .k = k,       .v = v,   .segments = segments};
  spoil_outside(n, q, c->heads * c->width);
  spoil_outside(n, k, c->key_heads * c->width);
  spoil_outside(n, v, c->key_heads * c->width);
  return t;
}

static inline void release(fixture *t) {
  for (int i = 0; i < t->inputs; i++) free(t->input[i].value);
  for (int i = 0; i < t->outputs; i++) free(t->output[i].value);
}

#endif
