/* Attention and its gradients against sums over all pairs of rows, in double. Rows of segment -1 hold NaN everywhere,
 * so that one read of them shows. */
#include "fixture.h"

typedef struct attention_case {
  int64_t rows, heads, key_heads, width;
  double scale, range; /* inputs are uniform in [-range, range] */
  const int *lengths;  /* runs of rows until their sum is `rows`; a negative length is a run of segment -1 */
} attention_case;

typedef struct naive {
  int64_t rows, heads, key_heads, width;
  double scale;
  const double *q, *k, *v, *segments, *dy;
  const double *aq, *ak, *av; /* of attention_second */
  double *y, *logsumexp, *dq, *dk, *dv, *p;
  double *gq, *gk, *gv, *gdy;
} naive;

static double inner(const double *a, const double *b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

static int64_t query_at(const naive *n, int64_t row, int64_t head) { return (row * n->heads + head) * n->width; }
static int64_t key_at(const naive *n, int64_t row, int64_t head) {
  return (row * n->key_heads + head * n->key_heads / n->heads) * n->width;
}

/* Fills p with the probabilities of the rows that `row` sees; returns the first such row. */
static int64_t naive_probabilities(const naive *n, int64_t row, int64_t head, double *logsumexp) {
  int64_t first = row;
  while (first > 0 && n->segments[first - 1] == n->segments[row]) first--;
  double largest = -INFINITY, total = 0;
  for (int64_t j = first; j <= row; j++) {
    n->p[j] = n->scale * inner(n->q + query_at(n, row, head), n->k + key_at(n, j, head), n->width);
    largest = fmax(largest, n->p[j]);
  }
  for (int64_t j = first; j <= row; j++) total += n->p[j] = exp(n->p[j] - largest);
  for (int64_t j = first; j <= row; j++) n->p[j] /= total;
  *logsumexp = largest + log(total);
  return first;
}

static void naive_forward(const naive *n, int64_t row, int64_t head) {
  const int64_t first = naive_probabilities(n, row, head, &n->logsumexp[row * n->heads + head]);
  for (int64_t j = first; j <= row; j++) {
    for (int64_t d = 0; d < n->width; d++) n->y[query_at(n, row, head) + d] += n->p[j] * n->v[key_at(n, j, head) + d];
  }
}

/* The derivative of the softmax from its definition: ds_j = p_j (dp_j - sum p dp), without y and logsumexp. */
static void naive_backward(const naive *n, int64_t row, int64_t head) {
  double logsumexp, mean = 0;
  const int64_t first = naive_probabilities(n, row, head, &logsumexp), at = query_at(n, row, head);
  for (int64_t j = first; j <= row; j++) mean += n->p[j] * inner(n->dy + at, n->v + key_at(n, j, head), n->width);
  for (int64_t j = first; j <= row; j++) {
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

static naive_pair pair_of(const naive *n, int64_t at, int64_t key) {
  const double a = inner(n->aq + at, n->k + key, n->width) + inner(n->q + at, n->ak + key, n->width);
  return (naive_pair){inner(n->dy + at, n->v + key, n->width), n->scale * a, inner(n->dy + at, n->av + key, n->width)};
}

/* The derivative of <aq, dq> + <ak, dk> + <av, dv> of a row, by q, k, v and dy. */
static void naive_second(const naive *n, int64_t row, int64_t head) {
  double logsumexp, delta = 0, mean = 0, total = 0;
  const int64_t first = naive_probabilities(n, row, head, &logsumexp), at = query_at(n, row, head);
  for (int64_t j = first; j <= row; j++) {
    const naive_pair one = pair_of(n, at, key_at(n, j, head));
    delta += n->p[j] * one.dp;
    mean += n->p[j] * one.a;
  }
  for (int64_t j = first; j <= row; j++) {
    const naive_pair one = pair_of(n, at, key_at(n, j, head));
    total += n->p[j] * (one.a * (one.dp - delta) - mean * one.dp + one.b);
  }
  for (int64_t j = first; j <= row; j++) {
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

static void naive_run(naive *n, void (*one)(const naive *, int64_t, int64_t)) {
  n->p = fixture_allocate(SHAPE(n->rows));
  for (int64_t row = 0; row < n->rows; row++) {
    for (int64_t head = 0; head < n->heads && n->segments[row] >= 0; head++) one(n, row, head);
  }
  free(n->p);
}

static void fill_segments(const attention_case *c, double *segments) {
  int id = 0;
  for (int64_t row = 0, run = 0; row < c->rows; run++) {
    const int length = c->lengths[run];
    for (int i = 0; i < abs(length); i++) segments[row++] = length < 0 ? -1 : id;
    id += length > 0;
  }
}

static void spoil_outside(const naive *n, double *x, int64_t columns) {
  for (int64_t row = 0; row < n->rows; row++) {
    for (int64_t i = 0; i < columns && n->segments[row] < 0; i++) x[row * columns + i] = NAN;
  }
}

/* A trial of `op` with the inputs q, k, v, segments, and what the naive form needs of it. */
static fixture begin(cohort_op op, const attention_case *c, naive *n) {
  const cohort_shape query = SHAPE(c->rows, c->heads, c->width), key = SHAPE(c->rows, c->key_heads, c->width);
  fixture t = fixture_of(op);
  t.attributes.reals[0] = c->scale;
  t.terms = (double)c->width;
  double *q = fixture_real(&t, query, -c->range, c->range), *k = fixture_real(&t, key, -c->range, c->range);
  double *v = fixture_real(&t, key, -1, 1), *segments = fixture_integer(&t, SHAPE(c->rows), 0, 0);
  fill_segments(c, segments);
  *n = (naive){c->rows, c->heads, c->key_heads, c->width, c->scale, .q = q, .k = k, .v = v, .segments = segments};
  spoil_outside(n, q, c->heads * c->width);
  spoil_outside(n, k, c->key_heads * c->width);
  spoil_outside(n, v, c->key_heads * c->width);
  return t;
}

static void check_forward(const attention_case *c) {
  naive n;
  fixture t = begin(COHORT_OP_ATTENTION, c, &n);
  n.y = fixture_output(&t, SHAPE(c->rows, c->heads, c->width), COHORT_TYPE_REAL);
  n.logsumexp = fixture_output(&t, SHAPE(c->rows, c->heads), COHORT_TYPE_REAL);
  naive_run(&n, naive_forward);
  fixture_check_bf16(&t, 0.02);
  fixture_check(&t);
}

static void check_backward(const attention_case *c) {
  const cohort_shape query = SHAPE(c->rows, c->heads, c->width), key = SHAPE(c->rows, c->key_heads, c->width);
  naive n;
  fixture t = begin(COHORT_OP_ATTENTION_BACKWARD, c, &n);
  n.y = fixture_real(&t, query, 0, 0);
  n.logsumexp = fixture_real(&t, SHAPE(c->rows, c->heads), 0, 0);
  double *dy = fixture_real(&t, query, -1, 1);
  naive_run(&n, naive_forward);
  spoil_outside(&n, n.y, c->heads * c->width);
  spoil_outside(&n, n.logsumexp, c->heads);
  spoil_outside(&n, dy, c->heads * c->width);
  n.dy = dy;
  n.dq = fixture_output(&t, query, COHORT_TYPE_REAL);
  n.dk = fixture_output(&t, key, COHORT_TYPE_REAL);
  n.dv = fixture_output(&t, key, COHORT_TYPE_REAL);
  naive_run(&n, naive_backward);
  fixture_check_bf16(&t, 0.02);
  fixture_check(&t);
}

static void release(fixture *t) {
  for (int i = 0; i < t->inputs; i++) free(t->input[i].value);
  for (int i = 0; i < t->outputs; i++) free(t->output[i].value);
}

static double *input_like(fixture *t, const naive *n, cohort_shape shape) {
  double *const x = fixture_real(t, shape, -1, 1);
  spoil_outside(n, x, shape.size[1] * shape.size[2]);
  return x;
}

static fixture begin_second(const attention_case *c, naive *n) {
  const cohort_shape query = SHAPE(c->rows, c->heads, c->width), key = SHAPE(c->rows, c->key_heads, c->width);
  fixture t = begin(COHORT_OP_ATTENTION_SECOND, c, n);
  n->y = fixture_allocate(query);
  n->logsumexp = fixture_real(&t, SHAPE(c->rows, c->heads), 0, 0);
  naive_run(n, naive_forward);
  free(n->y);
  spoil_outside(n, n->logsumexp, c->heads);
  n->dy = input_like(&t, n, query);
  n->aq = input_like(&t, n, query);
  n->ak = input_like(&t, n, key);
  n->av = input_like(&t, n, key);
  n->gq = fixture_output(&t, query, COHORT_TYPE_REAL);
  n->gk = fixture_output(&t, key, COHORT_TYPE_REAL);
  n->gv = fixture_output(&t, key, COHORT_TYPE_REAL);
  n->gdy = fixture_output(&t, query, COHORT_TYPE_REAL);
  return t;
}

static void check_second(const attention_case *c) {
  naive n;
  fixture t = begin_second(c, &n);
  naive_run(&n, naive_second);
  fixture_check(&t);
}

static void check_both(const attention_case *c) {
  check_forward(c);
  check_backward(c);
  check_second(c);
}

/* <aq, dq> + <ak, dk> + <av, dv> where the four tensors have gone `step` along their directions. */
static double weighed_gradients(const naive *n, double *const x[4], const double *const along[4], const int64_t size[4],
                                double step) {
  naive moved = *n;
  for (int i = 0; i < 4; i++)
    for (int64_t e = 0; e < size[i]; e++) x[i][e] += step * along[i][e];
  moved.dq = fixture_allocate(SHAPE(size[0])), moved.dk = fixture_allocate(SHAPE(size[1]));
  moved.dv = fixture_allocate(SHAPE(size[2]));
  naive_run(&moved, naive_backward);
  const double sum =
      inner(n->aq, moved.dq, size[0]) + inner(n->ak, moved.dk, size[1]) + inner(n->av, moved.dv, size[2]);
  free(moved.dq), free(moved.dk), free(moved.dv);
  for (int i = 0; i < 4; i++)
    for (int64_t e = 0; e < size[i]; e++) x[i][e] -= step * along[i][e];
  return sum;
}

/* What the second derivative is checked against is itself the slope of what the first was checked against. */
static void test_second_is_a_slope(void) {
  const int lengths[] = {6, 5};
  const attention_case c = {11, 4, 2, 3, 0.6, 1, lengths};
  naive n;
  fixture t = begin_second(&c, &n), draws = fixture_of(COHORT_OP_ADD);
  naive_run(&n, naive_second);
  enum { TENSORS = 4, DY = 5 };
  double *const x[TENSORS] = {t.input[0].value, t.input[1].value, t.input[2].value, t.input[DY].value};
  const double *const result[TENSORS] = {n.gq, n.gk, n.gv, n.gdy};
  const double *along[TENSORS];
  int64_t size[TENSORS];
  double slope = 0;
  for (int i = 0; i < TENSORS; i++) {
    const cohort_shape shape = t.output[i].shape;
    size[i] = cohort_shape_elements(shape);
    along[i] = fixture_real(&draws, shape, -1, 1);
    slope += inner(result[i], along[i], size[i]);
  }
  const double step = 1e-5;
  const double measured =
      (weighed_gradients(&n, x, along, size, step) - weighed_gradients(&n, x, along, size, -step)) / (2 * step);
  CU_ASSERT(fabs(slope) > 0.1);
  CU_ASSERT_DOUBLE_EQUAL(measured, slope, 1e-7 * fabs(slope));
  release(&t);
  release(&draws);
}

static void one_segment(int64_t rows, int64_t heads, int64_t key_heads, int64_t width) {
  const int lengths[] = {(int)rows};
  const attention_case c = {rows, heads, key_heads, width, 1 / sqrt((double)width), 1, lengths};
  check_both(&c);
}

static void test_lengths(void) {
  const int64_t lengths[] = {1, 2, 31, 33, 63, 64, 65, 128, 193};
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) one_segment(lengths[i], 2, 2, 32);
}

static void test_widths(void) {
  const int64_t widths[] = {1, 2, 7, 16, 33, 64, 80, 128, 131};
  for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) one_segment(70, 1, 1, widths[i]);
}

static void test_grouped_queries(void) {
  one_segment(67, 4, 1, 8);
  one_segment(67, 6, 2, 12);
  one_segment(130, 4, 2, 32);
}

static void test_segments(void) {
  const int several[] = {70, 1, 64, 2, 65}, ends[] = {40, 75, -9}, between[] = {-3, 66, -1, 1, -70, 33, -2};
  const int single[] = {1, 1, 1, -1, 1}, none[] = {-70};
  const attention_case cases[] = {
      {202, 3, 1, 20, 0.2, 1, several}, {124, 2, 2, 32, 0.2, 1, ends}, {176, 4, 2, 33, 0.2, 1, between},
      {5, 2, 1, 32, 0.2, 1, single},    {70, 2, 1, 9, 0.2, 1, none},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_both(&cases[i]);
}

/* More tasks than slots of workspace: 17 runs of 3 heads. */
static void test_many_runs(void) {
  const int lengths[] = {5, 6, 7, -2, 8, 9, 1, 2, 3, 65, 4, 5, 6, 7, 8, 9, 10};
  const attention_case c = {157, 3, 3, 10, 0.3, 1, lengths};
  check_both(&c);
}

/* Scores far beyond what exp can take: largest scores change from tile to tile, most probabilities vanish. */
static void test_large_scores(void) {
  const int lengths[] = {150, 50};
  const attention_case c = {200, 2, 1, 32, 1, 6, lengths};
  naive n;
  fixture t = begin(COHORT_OP_ATTENTION, &c, &n);
  n.y = fixture_output(&t, SHAPE(c.rows, c.heads, c.width), COHORT_TYPE_REAL);
  n.logsumexp = fixture_output(&t, SHAPE(c.rows, c.heads), COHORT_TYPE_REAL);
  naive_run(&n, naive_forward);
  double largest = 0;
  for (int64_t i = 0; i < c.rows * c.heads; i++) largest = fmax(largest, n.logsumexp[i]);
  CU_ASSERT(largest > 120);
  fixture_check(&t);
}

/* For checks of bits alone: y and logsumexp need not belong to the inputs. `order`: of the derivative, 0 to 2. */
static void add_inputs(fixture *t, const attention_case *c, int order) {
  const cohort_shape query = SHAPE(c->rows, c->heads, c->width), key = SHAPE(c->rows, c->key_heads, c->width);
  if (order == 1) fixture_real(t, query, -1, 1);
  if (order > 0) fixture_real(t, SHAPE(c->rows, c->heads), 4, 5);
  if (order > 0) fixture_real(t, query, -1, 1);
  if (order < 2) return;
  fixture_real(t, query, -1, 1);
  fixture_real(t, key, -1, 1);
  fixture_real(t, key, -1, 1);
}

static void add_outputs(fixture *t, int order) {
  const cohort_shape query = t->input[0].shape, key = t->input[1].shape;
  fixture_output(t, query, COHORT_TYPE_REAL);
  fixture_output(t, order ? key : SHAPE(query.size[0], query.size[1]), COHORT_TYPE_REAL);
  if (order) fixture_output(t, key, COHORT_TYPE_REAL);
  if (order == 2) fixture_output(t, query, COHORT_TYPE_REAL);
}

/* The sanitizers, under which a task takes forty times as long, see the processor's own kernels and fewer, shorter
 * runs: every instruction set is under them in the checks above. */
#ifdef COHORT_SANITIZED
enum { TEAM_SCALE = 4, MOST_TEAM = 3 };
static int first_isa(void) { return (int)cohort_processor_isa(); }
#else
enum { TEAM_SCALE = 1, MOST_TEAM = 5 };
static int first_isa(void) { return 0; }
#endif

/* Tasks of a millisecond or so, that do run at the same time, several times over. */
static void compare_teams(const fixture *t, const cohort_kernel_set *set) {
  void *alone[COHORT_MAX_OUTPUTS], *shared[COHORT_MAX_OUTPUTS];
  fixture_run(t, set, 1, alone);
  for (int threads = 2; threads <= MOST_TEAM; threads++) {
    fixture_run(t, set, threads, shared);
    for (int i = 0; i < t->outputs; i++) {
      CU_ASSERT_EQUAL(memcmp(alone[i], shared[i], fixture_bytes(&t->output[i], set->real_size)), 0);
      free(shared[i]);
    }
  }
  for (int i = 0; i < t->outputs; i++) free(alone[i]);
}

static void check_teams(cohort_op op, int order) {
  const int lengths[] = {600 / TEAM_SCALE, 300 / TEAM_SCALE, -20 / TEAM_SCALE, 400 / TEAM_SCALE};
  const attention_case c = {1320 / TEAM_SCALE, 6, 6, 32, 0.2, 1, lengths};
  naive n;
  fixture t = begin(op, &c, &n);
  add_inputs(&t, &c, order);
  add_outputs(&t, order);
  for (int isa = first_isa(); isa <= (int)cohort_processor_isa(); isa++) {
    compare_teams(&t, cohort_kernels_float32((cohort_isa)isa));
    compare_teams(&t, cohort_kernels_bf16((cohort_isa)isa, cohort_processor_bf16()));
  }
  compare_teams(&t, cohort_kernels_float64());
  release(&t);
}

static void test_teams(void) {
  check_teams(COHORT_OP_ATTENTION, 0);
  check_teams(COHORT_OP_ATTENTION_BACKWARD, 1);
  check_teams(COHORT_OP_ATTENTION_SECOND, 2);
}

enum { BODY = 100, BEFORE = 37, HEADS = 2, WIDTH = 24 };

/* The rows [first, first + BODY) of a tensor of `columns`, as a tensor of their own. */
static void cut_rows(fixture *to, const fixture_tensor *from, int64_t first, int64_t columns) {
  cohort_shape shape = from->shape;
  shape.size[0] = BODY;
  double *value = fixture_allocate(shape);
  memcpy(value, from->value + first * columns, (size_t)(BODY * columns) * sizeof *value);
  to->input[to->inputs++] = (fixture_tensor){shape, from->type, value};
}

static void compare_alone(const fixture *all, const fixture *alone, const cohort_kernel_set *set) {
  void *whole[COHORT_MAX_OUTPUTS], *part[COHORT_MAX_OUTPUTS];
  fixture_run(all, set, 1, whole);
  fixture_run(alone, set, 1, part);
  for (int i = 0; i < all->outputs; i++) {
    const size_t bytes = fixture_bytes(&alone->output[i], set->real_size);
    CU_ASSERT_EQUAL(memcmp((char *)whole[i] + bytes / BODY * BEFORE, part[i], bytes), 0);
    free(whole[i]);
    free(part[i]);
  }
}

/* A segment's bits are its own: the same alone and among others. */
static void check_place(cohort_op op, int order) {
  const int lengths[] = {BEFORE - 2, -2, BODY, 70};
  const attention_case c = {BEFORE + BODY + 70, HEADS, 1, WIDTH, 0.2, 1, lengths};
  naive n;
  fixture all = begin(op, &c, &n), alone = fixture_of(op);
  alone.attributes = all.attributes;
  add_inputs(&all, &c, order);
  for (int i = 0; i < all.inputs; i++) {
    cut_rows(&alone, &all.input[i], BEFORE, cohort_shape_elements(all.input[i].shape) / c.rows);
  }
  fixture *fixtures[] = {&all, &alone};
  for (int i = 0; i < 2; i++) add_outputs(fixtures[i], order);
  for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++) {
    compare_alone(&all, &alone, cohort_kernels_float32((cohort_isa)isa));
    compare_alone(&all, &alone, cohort_kernels_bf16((cohort_isa)isa, cohort_processor_bf16()));
  }
  compare_alone(&all, &alone, cohort_kernels_float64());
  release(&all);
  release(&alone);
}

static void test_place(void) {
  check_place(COHORT_OP_ATTENTION, 0);
  check_place(COHORT_OP_ATTENTION_BACKWARD, 1);
  check_place(COHORT_OP_ATTENTION_SECOND, 2);
}

static const check checks[] = {
    {"lengths", test_lengths},
    {"widths", test_widths},
    {"grouped queries", test_grouped_queries},
    {"segments", test_segments},
    {"many runs", test_many_runs},
    {"large scores", test_large_scores},
    {"the second derivative is a slope", test_second_is_a_slope},
    {"bits do not depend on the team", test_teams},
    {"a segment's bits do not depend on its place", test_place},
};

int main(void) { return check_run("attention", checks, sizeof checks / sizeof checks[0]); }
