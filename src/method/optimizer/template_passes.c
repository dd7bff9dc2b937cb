/* A complete update of two passes to start from (template.c has the simplest one): the first adds up what a tensor's
 * step depends on, the second takes the step. As it stands each tensor goes `learning_rate` along its gradient's
 * direction: w = (1 - learning_rate weight_decay) w - learning_rate g / |g|, with the norm of the tensor. The engine
 * joins the sums of all ranges in a fixed order, those of all tensors in one exchange. */
#include "method/optimizer/optimizer_real.h"

typedef struct own_config {
  double learning_rate, weight_decay;
} own_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(own_config, "1e-2", 1e-4, 1, "length of a tensor's step"),
    COHORT_DECOUPLED_DECAY(own_config, "0"),
    {.name = NULL},
};

/* What the first pass leaves: a float64 for each tensor. `over` may be a column, a tensor or the space; `largest` makes
 * it a maximum. */
enum { SQUARES };
static const cohort_pass_sum sums[] = {
    [SQUARES] = {.name = "squares", .pass = 0, .over = COHORT_OWNER_TENSOR},
    {.name = NULL},
};

static void step_range(int64_t n, real keep, real rate, real *restrict w, const real *restrict gradient) {
  for (int64_t i = 0; i < n; i++) w[i] = keep * w[i] - rate * gradient[i];
}

/* In pass 0 a range adds to u->sum; in pass 1 the sum of the whole tensor stands there, on every rank. The scale of
 * clipping cancels in g / |g|. A tensor without a gradient decays alone. */
static void update(const cohort_update *u) {
  if (u->pass == 0) {
    *u->sum[SQUARES] += u->kernels->dot(u->gradient, u->gradient, u->elements);
    return;
  }
  const double norm = sqrt(*u->sum[SQUARES]);
  step_range(u->elements, (real)(1 - u->learning_rate * u->weight_decay),
             norm > 0 ? (real)(u->learning_rate / norm) : 0, u->parameters, u->gradient);
}

static const cohort_optimizer functions = {.update = update, .passes = 2, .sums = sums};

static const cohort_method method = {
    .family = "optimizer",
    .key = COHORT_FILE_KEY,
    .summary = "each tensor steps along its normalised gradient (a template)",
    .source = "the template of updates with several passes",
    .formula = "w = (1 - learning_rate weight_decay) w - learning_rate g / |g|, |g| of the tensor",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(COHORT_FILE) = {&method, NULL};
