/* AdaHessian (Yao et al., 2021): Adam whose second moment is that of an estimate of the Hessian's diagonal, averaged
 * over blocks of a tensor. Needs a Hessian-vector product a step, and whole tensors. */
#include "method/optimizer/optimizer_real.h"

typedef struct adahessian_config {
  double learning_rate, beta1, beta2, epsilon, weight_decay, hessian_power;
  bool average_kernel;
} adahessian_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(adahessian_config, "0.1", 1e-3, 1, "step size"),
    COHORT_REAL_UNIT(adahessian_config, beta1, "0.9", "decay of the gradient's average"),
    COHORT_REAL_UNIT(adahessian_config, beta2, "0.999", "decay of the squared curvature's average"),
    COHORT_REAL_ABOVE(adahessian_config, epsilon, "1e-8", 0, "added to the power in the denominator"),
    COHORT_DECOUPLED_DECAY(adahessian_config, "0"),
    COHORT_REAL_RANGE(adahessian_config, hessian_power, "1", 0, false, 1, false,
                      "k: 1 divides by the curvature's size, 0 not at all"),
    COHORT_BOOLEAN(adahessian_config, average_kernel, "true",
                   "average |curvature| over the spatial axes of a convolution kernel [O, KH, KW, I]"),
    {.name = NULL},
};

static const cohort_state states[] = {
    {.name = "first", .meaning = "average of the gradient"},
    {.name = "curvature", .meaning = "average of the squared diagonal of the Hessian"},
    {.name = NULL},
};

typedef struct constants {
  real keep, rate, beta1, rest1, beta2, rest2, correction2, epsilon, half_power, scale;
} constants;

static void average_moments(int64_t n, constants c, const real *restrict gradient, const real *restrict diagonal,
                            real *restrict first, real *restrict second) {
  for (int64_t i = 0; i < n; i++) {
    first[i] = c.beta1 * first[i] + c.rest1 * (c.scale * gradient[i]);
    second[i] = c.beta2 * second[i] + c.rest2 * (diagonal[i] * diagonal[i]);
  }
}

static void step_root(int64_t n, constants c, real *restrict w, const real *restrict first,
                      const real *restrict second) {
  for (int64_t i = 0; i < n; i++)
    w[i] = c.keep * w[i] - c.rate * first[i] / (COHORT_SQRT(second[i] * c.correction2) + c.epsilon);
}

static void step_power(int64_t n, constants c, real *restrict w, const real *restrict first,
                       const real *restrict second) {
  for (int64_t i = 0; i < n; i++) {
    const double power = pow((double)(second[i] * c.correction2), (double)c.half_power);
    w[i] = c.keep * w[i] - c.rate * first[i] / ((real)power + c.epsilon);
  }
}

/* |diagonal| averaged over KH and KW of a kernel [O, KH, KW, I], for whole kernels; every position gets the average. */
static void average_kernels(const real *restrict diagonal, int64_t kernels, int64_t positions, int64_t inputs,
                            real *restrict out) {
  const real share = (real)(1.0 / (double)positions);
  for (int64_t o = 0; o < kernels; o++, diagonal += positions * inputs, out += positions * inputs) {
    for (int64_t i = 0; i < inputs; i++) out[i] = 0;
    for (int64_t p = 0; p < positions; p++)
      for (int64_t i = 0; i < inputs; i++) {
        const real d = diagonal[p * inputs + i];
        out[i] += d < 0 ? -d : d;
      }
    for (int64_t i = 0; i < inputs; i++) out[i] *= share;
    for (int64_t p = 1; p < positions; p++)
      for (int64_t i = 0; i < inputs; i++) out[p * inputs + i] = out[i];
  }
}

static void update(const cohort_update *u) {
  const adahessian_config *config = u->config;
  const constants c = {
      .keep = (real)(1 - u->learning_rate * u->weight_decay),
      .rate = (real)(u->learning_rate / (1 - pow(config->beta1, (double)u->step))),
      .beta1 = (real)config->beta1,
      .rest1 = (real)(1 - config->beta1),
      .beta2 = (real)config->beta2,
      .rest2 = (real)(1 - config->beta2),
      .correction2 = (real)(1 / (1 - pow(config->beta2, (double)u->step))),
      .epsilon = (real)config->epsilon,
      .half_power = (real)(config->hessian_power / 2),
      .scale = (real)u->gradient_scale,
  };
  const real *diagonal = u->hvp_diagonal;
  if (config->average_kernel && u->shape.axes == 4) {
    const int64_t positions = u->shape.size[1] * u->shape.size[2], inputs = u->shape.size[3];
    average_kernels(diagonal, u->elements / (positions * inputs), positions, inputs, u->workspace);
    diagonal = u->workspace;
  }
  average_moments(u->elements, c, u->gradient, diagonal, u->state[0], u->state[1]);
  if (config->hessian_power >= 1)
    step_root(u->elements, c, u->parameters, u->state[0], u->state[1]);
  else
    step_power(u->elements, c, u->parameters, u->state[0], u->state[1]);
}

static int64_t workspace(const void *config, cohort_shape shape) {
  (void)config;
  if (shape.axes != 4) return 0;
  return shape.size[0] * shape.size[1] * shape.size[2] * shape.size[3];
}

static const cohort_optimizer functions = {.update = update, .workspace = workspace};

static const cohort_method adahessian = {
    .family = "optimizer",
    .key = "adahessian",
    .summary = "Adam whose second moment is the Hessian's diagonal, by exact Hessian-vector products",
    .title = "ADAHESSIAN: An Adaptive Second Order Optimizer for Machine Learning",
    .source = "Yao, Gholami, Shen, Mustafa, Keutzer and Mahoney, AAAI 2021, Algorithm 1, and the authors' code",
    .formula =
        "D = z (H z), z of +1 and -1; a kernel [O, KH, KW, I]: D = mean of |D| over KH, KW; "
        "w *= 1 - learning_rate weight_decay; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) D^2; "
        "w -= learning_rate (m / (1 - beta1^t)) / ((v / (1 - beta2^t))^(hessian_power / 2) + epsilon)",
    .config_size = sizeof(adahessian_config),
    .parameters = parameters,
    .states = states,
    .needs = COHORT_NEEDS_HVP_DIAGONAL,
    .cut = COHORT_CUT_TENSOR,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(adahessian) = {&adahessian, NULL};
