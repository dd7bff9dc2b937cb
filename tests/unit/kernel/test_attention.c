/* Attention and its gradients against sums over all pairs of rows, in double. Rows of segment -1 hold NaN everywhere,
 * so that one read of them shows. */
#include "attention_fixture.h"

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
  const attention_case c = {11, 4, 2, 3, 0.6, 1, lengths, NULL};
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
  const attention_case c = {rows, heads, key_heads, width, 1 / sqrt((double)width), 1, lengths, NULL};
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
      {202, 3, 1, 20, 0.2, 1, several, NULL}, {124, 2, 2, 32, 0.2, 1, ends, NULL},
      {176, 4, 2, 33, 0.2, 1, between, NULL}, {5, 2, 1, 32, 0.2, 1, single, NULL},
      {70, 2, 1, 9, 0.2, 1, none, NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_both(&cases[i]);
}

/* More tasks than slots of workspace: 17 runs of 3 heads. */
static void test_many_runs(void) {
  const int lengths[] = {5, 6, 7, -2, 8, 9, 1, 2, 3, 65, 4, 5, 6, 7, 8, 9, 10};
  const attention_case c = {157, 3, 3, 10, 0.3, 1, lengths, NULL};
  check_both(&c);
}

/* Runs that go on from the beginning of another: whole tiles of it, parts of tiles, a single row. */
static void test_prefixes(void) {
  const int lengths[] = {70, 30, 100, 1, -3, 200, 64, 65, 3, 20}, prefixes[] = {0, 64, 69, 1, 0, 0, 130, 37, 199, 0};
  const int one[] = {2, 1, 1}, begins[] = {0, 1, 1};
  const attention_case cases[] = {{556, 3, 1, 20, 0.2, 1, lengths, prefixes},
                                  {556, 4, 2, 33, 0.2, 1, lengths, prefixes},
                                  {556, 2, 2, 32, 0.2, 1, lengths, prefixes},
                                  {4, 2, 1, 8, 0.2, 1, one, begins}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_both(&cases[i]);
}

/* Scores far beyond what exp can take: largest scores change from tile to tile, most probabilities vanish. */
static void test_large_scores(void) {
  const int lengths[] = {150, 50};
  const attention_case c = {200, 2, 1, 32, 1, 6, lengths, NULL};
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

static void check_teams(cohort_op op, int order, const int *prefixes) {
  const int lengths[] = {600 / TEAM_SCALE, 300 / TEAM_SCALE, -20 / TEAM_SCALE, 400 / TEAM_SCALE};
  const attention_case c = {1320 / TEAM_SCALE, 6, 6, 32, 0.2, 1, lengths, prefixes};
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
  const int prefixes[] = {0, 500 / TEAM_SCALE, 0, 0};
  check_teams(COHORT_OP_ATTENTION, 0, prefixes);
  check_teams(COHORT_OP_ATTENTION_BACKWARD, 1, prefixes);
  check_teams(COHORT_OP_ATTENTION_SECOND, 2, prefixes);
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
  const attention_case c = {BEFORE + BODY + 70, HEADS, 1, WIDTH, 0.2, 1, lengths, NULL};
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

enum { PREFIX = 77, FIRST = 150, SECOND = 90 };

/* The rows of `from` that a prefix stands before are as many more: [FIRST + SECOND] becomes [FIRST + PREFIX + SECOND].
 */
static fixture_tensor repeat_prefix(const fixture_tensor *from) {
  cohort_shape shape = from->shape;
  const int64_t columns = cohort_shape_elements(shape) / shape.size[0];
  shape.size[0] = FIRST + PREFIX + SECOND;
  double *value = fixture_allocate(shape);
  memcpy(value, from->value, (size_t)(FIRST * columns) * sizeof *value);
  memcpy(value + FIRST * columns, from->value, (size_t)(PREFIX * columns) * sizeof *value);
  memcpy(value + (FIRST + PREFIX) * columns, from->value + FIRST * columns, (size_t)(SECOND * columns) * sizeof *value);
  return (fixture_tensor){shape, from->type, value};
}

static void compare_prefix(const fixture *once, const fixture *twice, const cohort_kernel_set *set) {
  void *shared[COHORT_MAX_OUTPUTS], *apart[COHORT_MAX_OUTPUTS];
  fixture_run(once, set, 1, shared);
  fixture_run(twice, set, 1, apart);
  for (int i = 0; i < once->outputs; i++) {
    const size_t row = fixture_bytes(&once->output[i], set->real_size) / (FIRST + SECOND);
    CU_ASSERT_EQUAL(memcmp(shared[i], apart[i], FIRST * row), 0);
    CU_ASSERT_EQUAL(memcmp((char *)shared[i] + FIRST * row, (char *)apart[i] + (FIRST + PREFIX) * row, SECOND * row),
                    0);
    free(shared[i]);
    free(apart[i]);
  }
}

/* A row has the bits that it has where the prefix stands before it once more. */
static void test_prefix_bits(void) {
  const int lengths[] = {FIRST, SECOND}, whole[] = {FIRST, PREFIX + SECOND}, prefixes[] = {0, PREFIX};
  const attention_case c = {FIRST + SECOND, HEADS, 1, WIDTH, 0.2, 1, lengths, prefixes};
  const attention_case d = {FIRST + PREFIX + SECOND, HEADS, 1, WIDTH, 0.2, 1, whole, NULL};
  naive n;
  fixture once = begin(COHORT_OP_ATTENTION, &c, &n), twice = begin(COHORT_OP_ATTENTION, &d, &n);
  for (int i = 0; i < 3; i++) {
    free(twice.input[i].value);
    twice.input[i] = repeat_prefix(&once.input[i]);
  }
  add_outputs(&once, 0);
  add_outputs(&twice, 0);
  for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++) {
    compare_prefix(&once, &twice, cohort_kernels_float32((cohort_isa)isa));
    compare_prefix(&once, &twice, cohort_kernels_bf16((cohort_isa)isa, cohort_processor_bf16()));
  }
  compare_prefix(&once, &twice, cohort_kernels_float64());
  release(&once);
  release(&twice);
}

static const check checks[] = {
    {"lengths", test_lengths},
    {"widths", test_widths},
    {"grouped queries", test_grouped_queries},
    {"segments", test_segments},
    {"many runs", test_many_runs},
    {"prefixes", test_prefixes},
    {"large scores", test_large_scores},
    {"the second derivative is a slope", test_second_is_a_slope},
    {"bits do not depend on the team", test_teams},
    {"a segment's bits do not depend on its place", test_place},
    {"a prefix's reader has the bits of a whole one", test_prefix_bits},
};

int main(void) { return check_run("attention", checks, sizeof checks / sizeof checks[0]); }
