/* SOAP: Adam in the eigenbases of the gradient's second moments by the tensor's sides. Each side has a factor, the
 * average of the products of the gradient with itself over all other sides, and the factor's eigenbasis, which a power
 * step with a QR factor follows; sides that are too large, and vectors, keep their own coordinates. A tensor belongs to
 * one rank. Cost a step: eight products of the tensor with each of its sides; every `interval` steps n^3 a side. */
#include <string.h>

#include "kernel/lapack.h"
#include "method/optimizer/optimizer_real.h"

typedef struct soap_config {
  double learning_rate, beta1, beta2, factor_beta, epsilon, weight_decay;
  int64_t interval, largest_side;
} soap_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(soap_config, "3e-3", 1e-4, 1e-2, "step size"),
    COHORT_REAL_UNIT(soap_config, beta1, "0.95", "decay of the gradient's average"),
    COHORT_REAL_UNIT(soap_config, beta2, "0.95", "decay of the squared gradient's average, in the eigenbases"),
    COHORT_REAL_UNIT(soap_config, factor_beta, "0", "decay of the factors' averages; 0: beta2"),
    COHORT_REAL_ABOVE(soap_config, epsilon, "1e-8", 0, "added to the root in the denominator"),
    COHORT_DECOUPLED_DECAY(soap_config, "1e-2", .sweep_low = 1e-4, .sweep_high = 0.3, .sweep_log = true),
    COHORT_INTEGER_RANGE(soap_config, interval, "10", 1, 1e9, "steps between two steps of the eigenbases"),
    COHORT_INTEGER_RANGE(soap_config, largest_side, "10000", 0, 20000,
                         "sides of more elements keep their own coordinates"),
    {.name = NULL},
};

/* Whether side `a` has a factor. */
static bool turns(const soap_config *config, cohort_shape shape, int a) {
  return shape.axes > 1 && shape.size[a] <= config->largest_side;
}

static int64_t factors_size(const void *config, cohort_shape shape) {
  int64_t size = 0;
  for (int a = 0; a < shape.axes; a++)
    if (turns(config, shape, a)) size += shape.size[a] * shape.size[a];
  return size;
}

static cohort_cut cut(const void *config, cohort_shape shape) {
  return factors_size(config, shape) ? COHORT_CUT_TENSOR : COHORT_CUT_ELEMENT;
}

enum { FIRST, SECOND, FACTORS, BASES };
static const cohort_state states[] = {
    [FIRST] = {.name = "first", .meaning = "average of the gradient"},
    [SECOND] = {.name = "second", .meaning = "average of the squared gradient, in the eigenbases"},
    [FACTORS] = {.name = "factors",
                 .owner = COHORT_OWNER_TENSOR,
                 .size = factors_size,
                 .meaning = "second moments of each side, one matrix after another"},
    [BASES] = {.name = "bases",
               .owner = COHORT_OWNER_TENSOR,
               .size = factors_size,
               .meaning = "the factors' eigenbases, in columns"},
    {.name = NULL},
};

/* A side of the tensor: `outer` times its n by `inner` elements. */
typedef struct side {
  int64_t outer, n, inner;
} side;

static side side_of(cohort_shape shape, int a) {
  side s = {1, shape.size[a], 1};
  for (int b = 0; b < a; b++) s.outer *= shape.size[b];
  for (int b = a + 1; b < shape.axes; b++) s.inner *= shape.size[b];
  return s;
}

/* out = q' x along the side, or q x when `back`; q is [n x n]. */
static void turn(const cohort_update *u, side s, bool back, const real *q, const real *x, real *out) {
  if (s.inner == 1) {
    u->kernels->product(u->team, 0, back, s.outer, s.n, s.n, 1, x, s.n, q, s.n, 0, out, s.n);
    return;
  }
  const int64_t block = s.n * s.inner;
  for (int64_t o = 0; o < s.outer; o++)
    u->kernels->product(u->team, !back, 0, s.n, s.inner, s.n, 1, q, s.n, x + o * block, s.inner, 0, out + o * block,
                        s.inner);
}

/* Along all sides; returns where the result is, x or other. */
static real *turn_all(const cohort_update *u, bool back, real *x, real *other) {
  const real *q = u->state[BASES];
  for (int a = 0; a < u->shape.axes; a++) {
    if (!turns(u->config, u->shape, a)) continue;
    const side s = side_of(u->shape, a);
    turn(u, s, back, q, x, other);
    q += s.n * s.n;
    real *swap = x;
    x = other;
    other = swap;
  }
  return x;
}

/* factor = beta factor + (1 - beta) (sum over the other sides of g g'). */
static void add_products(const cohort_update *u, side s, double beta, const real *g, real *factor) {
  if (s.inner == 1) {
    u->kernels->product(u->team, 1, 0, s.n, s.n, s.outer, 1 - beta, g, s.n, g, s.n, beta, factor, s.n);
    return;
  }
  for (int64_t o = 0; o < s.outer; o++, g += s.n * s.inner)
    u->kernels->product(u->team, 0, 1, s.n, s.n, s.inner, 1 - beta, g, s.inner, g, s.inner, o ? 1 : beta, factor, s.n);
}

/* Scratch: doubles first, then two tensors and a matrix. */
typedef struct scratch {
  double *matrix, *values, *lapack; /* [n x n], [n], of LAPACK */
  real *x, *other, *product;        /* tensors; [n x n] */
} scratch;

static int64_t largest_turned(const void *config, cohort_shape shape) {
  int64_t largest = 0;
  for (int a = 0; a < shape.axes; a++)
    if (turns(config, shape, a) && shape.size[a] > largest) largest = shape.size[a];
  return largest;
}

static int64_t lapack_room(int64_t n) {
  const int64_t eigh = cohort_eigh_workspace(n), qr = cohort_qr_workspace(n);
  return eigh > qr ? eigh : qr;
}

static int64_t doubles_of(int64_t n) { return n * n + n + lapack_room(n); }

static scratch scratch_of(const cohort_update *u) {
  const int64_t n = largest_turned(u->config, u->shape), elements = cohort_shape_elements(u->shape);
  scratch out = {.matrix = u->workspace};
  out.values = out.matrix + n * n;
  out.lapack = out.values + n;
  out.x = (real *)(void *)(out.matrix + doubles_of(n));
  out.other = out.x + elements;
  out.product = out.other + elements;
  return out;
}

/* The basis of a new factor: its eigenvectors, largest value first. What LAPACK cannot do leaves the coordinates. */
static void begin_basis(int64_t n, const real *factor, real *basis, const scratch *s) {
  for (int64_t i = 0; i < n * n; i++) s->matrix[i] = (double)factor[i];
  const bool done = cohort_eigh(n, s->matrix, s->values, s->lapack);
  for (int64_t j = 0; j < n; j++)
    for (int64_t i = 0; i < n; i++) basis[i * n + j] = done ? (real)s->matrix[(n - 1 - j) * n + i] : (real)(i == j);
}

/* The order of the columns by what the factor is along them, largest first; equal ones stay as they are. */
static void sort(int64_t n, const double *values, double *order) {
  for (int64_t j = 0; j < n; j++) {
    int64_t at = j;
    for (; at > 0 && values[(int64_t)order[at - 1]] < values[j]; at--) order[at] = order[at - 1];
    order[at] = (double)j;
  }
}

/* Moves the side's elements of the second moments into the order of the columns. */
static void reorder(side s, const double *order, const real *from, real *to) {
  for (int64_t o = 0; o < s.outer; o++, from += s.n * s.inner)
    for (int64_t j = 0; j < s.n; j++, to += s.inner)
      memcpy(to, from + (int64_t)order[j] * s.inner, (size_t)s.inner * sizeof *to);
}

/* One power step: the basis becomes Q of the QR factors of factor times basis, columns sorted. */
static void follow_basis(const cohort_update *u, side own, const real *factor, real *basis, const scratch *s) {
  const int64_t n = own.n, elements = cohort_shape_elements(u->shape);
  double *order = s->lapack;
  u->kernels->product(u->team, 0, 0, n, n, n, 1, factor, n, basis, n, 0, s->product, n);
  for (int64_t j = 0; j < n; j++) s->values[j] = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) s->values[j] += (double)basis[i * n + j] * (double)s->product[i * n + j];
  sort(n, s->values, order);
  reorder(own, order, u->state[SECOND], s->other);
  memcpy(u->state[SECOND], s->other, (size_t)elements * sizeof(real));
  for (int64_t j = 0; j < n; j++)
    for (int64_t i = 0; i < n; i++) s->matrix[j * n + i] = (double)s->product[i * n + (int64_t)order[j]];
  if (!cohort_qr(n, n, s->matrix, s->lapack)) return;
  for (int64_t j = 0; j < n; j++)
    for (int64_t i = 0; i < n; i++) basis[i * n + j] = (real)s->matrix[j * n + i];
}

static void refresh(const cohort_update *u, const real *g, const scratch *s) {
  const soap_config *config = u->config;
  const double beta = config->factor_beta > 0 ? config->factor_beta : config->beta2;
  real *factor = u->state[FACTORS], *basis = u->state[BASES];
  for (int a = 0; a < u->shape.axes; a++) {
    if (!turns(config, u->shape, a)) continue;
    const side own = side_of(u->shape, a);
    add_products(u, own, beta, g, factor);
    if (u->step == 1)
      begin_basis(own.n, factor, basis, s);
    else if ((u->step - 1) % config->interval == 0)
      follow_basis(u, own, factor, basis, s);
    factor += own.n * own.n;
    basis += own.n * own.n;
  }
}

typedef struct constants {
  real beta1, rest1, beta2, rest2, epsilon, scale, keep, rate;
} constants;

static void scale_range(int64_t n, real scale, const real *restrict gradient, real *restrict out) {
  for (int64_t i = 0; i < n; i++) out[i] = scale * gradient[i];
}

static void average_squares(int64_t n, constants c, const real *restrict turned, real *restrict second) {
  for (int64_t i = 0; i < n; i++) second[i] = c.beta2 * second[i] + c.rest2 * (turned[i] * turned[i]);
}

static void average(int64_t n, constants c, const real *restrict gradient, real *restrict first, real *restrict out) {
  for (int64_t i = 0; i < n; i++) {
    first[i] = c.beta1 * first[i] + c.rest1 * (c.scale * gradient[i]);
    out[i] = first[i];
  }
}

static void divide(int64_t n, constants c, real *restrict turned, const real *restrict second) {
  for (int64_t i = 0; i < n; i++) turned[i] /= COHORT_SQRT(second[i]) + c.epsilon;
}

static void step_range(int64_t n, constants c, real *restrict w, const real *restrict direction) {
  for (int64_t i = 0; i < n; i++) w[i] = c.keep * w[i] - c.rate * direction[i];
}

static void step_alone(int64_t n, constants c, real *restrict w, const real *restrict gradient, real *restrict first,
                       real *restrict second) {
  for (int64_t i = 0; i < n; i++) {
    const real g = c.scale * gradient[i];
    first[i] = c.beta1 * first[i] + c.rest1 * g;
    second[i] = c.beta2 * second[i] + c.rest2 * (g * g);
    w[i] = c.keep * w[i] - c.rate * first[i] / (COHORT_SQRT(second[i]) + c.epsilon);
  }
}

static constants constants_of(const cohort_update *u) {
  const soap_config *config = u->config;
  const double taken = (double)(u->step - 1);
  return (constants){
      .beta1 = (real)config->beta1,
      .rest1 = (real)(1 - config->beta1),
      .beta2 = (real)config->beta2,
      .rest2 = (real)(1 - config->beta2),
      .epsilon = (real)config->epsilon,
      .scale = (real)u->gradient_scale,
      .keep = (real)(1 - u->learning_rate * u->weight_decay),
      .rate = u->step > 1
                  ? (real)(u->learning_rate * sqrt(1 - pow(config->beta2, taken)) / (1 - pow(config->beta1, taken)))
                  : 0,
  };
}

/* The first step makes bases and moves nothing. */
static void update(const cohort_update *u) {
  const int64_t n = u->elements;
  const constants c = constants_of(u);
  if (!n) return;
  if (!factors_size(u->config, u->shape)) {
    if (u->step > 1) step_alone(n, c, u->parameters, u->gradient, u->state[FIRST], u->state[SECOND]);
    return;
  }
  const scratch s = scratch_of(u);
  if (u->step > 1) {
    scale_range(n, c.scale, u->gradient, s.x);
    average_squares(n, c, turn_all(u, false, s.x, s.other), u->state[SECOND]);
    average(n, c, u->gradient, u->state[FIRST], s.x);
    real *turned = turn_all(u, false, s.x, s.other);
    divide(n, c, turned, u->state[SECOND]);
    step_range(n, c, u->parameters, turn_all(u, true, turned, turned == s.x ? s.other : s.x));
  }
  scale_range(n, c.scale, u->gradient, s.x);
  refresh(u, s.x, &s);
}

static int64_t workspace(const void *config, cohort_shape shape) {
  const int64_t n = largest_turned(config, shape), ratio = (int64_t)(sizeof(double) / sizeof(real));
  return n ? ratio * doubles_of(n) + 2 * cohort_shape_elements(shape) + n * n : 0;
}

static double cost(const void *config, cohort_shape shape) {
  const double elements = (double)cohort_shape_elements(shape);
  double flops = 10 * elements;
  for (int a = 0; a < shape.axes; a++) {
    const double n = (double)shape.size[a];
    if (turns(config, shape, a))
      flops += 8 * elements * n + 6 * n * n * n / (double)((const soap_config *)config)->interval;
  }
  return flops;
}

static const cohort_optimizer functions = {.update = update, .cut = cut, .workspace = workspace, .cost = cost};

static const cohort_method soap = {
    .family = "optimizer",
    .key = "soap",
    .summary = "Adam in the slowly changing eigenbases of Shampoo's factors",
    .title = "SOAP: Improving and Stabilizing Shampoo using Adam",
    .source = "Vyas et al., ICLR 2025, Algorithm 3, with the authors' order of steps; eigenvectors in float64",
    .formula =
        "step 1: each side's factor G = (1 - factor_beta) g g', basis Q: eigenvectors of G; w stays; then, s = t - 1: "
        "m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) (g in the bases)^2; w *= 1 - learning_rate "
        "weight_decay; w -= learning_rate sqrt(1 - beta2^s) / (1 - beta1^s) times (m in the bases / (sqrt(v) + "
        "epsilon)) turned back; G = factor_beta G + (1 - factor_beta) g g'; every `interval` steps: columns of Q "
        "sorted by diag(Q' G Q), v with them, Q = qr(G Q)",
    .config_size = sizeof(soap_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_TENSOR,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(soap) = {&soap, NULL};
