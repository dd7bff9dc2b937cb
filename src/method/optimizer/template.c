/* A complete optimizer to start from: copy this file to src/method/optimizer/NAME.c, build, and NAME is a method like
 * any other: in `cohort methods optimizer`, in `cohort probe optimizer NAME`, in configs, and under the contract tests.
 * Then change, from top to bottom, what it does. As it stands it is gradient descent with a velocity: v = momentum v +
 * g;  w = (1 - learning_rate weight_decay) w - learning_rate v
 *
 * The file is compiled once per type and instruction set: write loops over `real`, plain enough to vectorise, and leave
 * threads, shards, clipping, schedules, checkpoints and memory to the core. */
#include "method/optimizer/optimizer_real.h"

/* The parameters, with the names that a config uses. learning_rate is required of every optimizer; weight_decay too
 * when it decays. */
typedef struct own_config {
  double learning_rate, momentum, weight_decay;
} own_config;

/* Name, default, bounds (open or closed) and one line of meaning; the long form adds a range for sweeps. What is out of
 * bounds, misspelled or of a wrong type never reaches the code below. Rules between parameters go into .check. */
static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(own_config, "1e-2", 1e-4, 1, "step size"),
    COHORT_REAL_UNIT(own_config, momentum, "0.9", "share of the last velocity that is kept"),
    COHORT_DECOUPLED_DECAY(own_config, "0"),
    {.name = NULL},
};

/* What must survive the step: the core allocates it, shards it and puts it into checkpoints. At start it is zero, or
 * the parameter named in the third column. */
static const cohort_state states[] = {
    {.name = "velocity", .meaning = "decayed sum of the gradients"},
    {.name = NULL},
};

/* The loop. Every pointer is restrict and every constant already a `real`, or it will not vectorise. */
static void step_range(int64_t n, real keep, real rate, real momentum, real scale, real *restrict w,
                       const real *restrict gradient, real *restrict velocity) {
  for (int64_t i = 0; i < n; i++) {
    const real v = momentum * velocity[i] + scale * gradient[i];
    velocity[i] = v;
    w[i] = keep * w[i] - rate * v;
  }
}

/* Called range by range, in any order, so an element may depend on itself alone. An update that must see whole rows or
 * tensors declares .cut = COHORT_CUT_ROW or COHORT_CUT_TENSOR. learning_rate and weight_decay are taken from `u`, where
 * schedule, groups and exemptions are already applied; the true gradient is gradient_scale times what is given. */
static void update(const cohort_update *u) {
  const own_config *config = u->config;
  step_range(u->elements, (real)(1 - u->learning_rate * u->weight_decay), (real)u->learning_rate,
             (real)config->momentum, (real)u->gradient_scale, u->parameters, u->gradient, u->state[0]);
}

static const cohort_optimizer functions = {.update = update};

/* The card in the catalogue. COHORT_FILE_KEY is the file's name; a literal key does as well. */
static const cohort_method method = {
    .family = "optimizer",
    .key = COHORT_FILE_KEY,
    .summary = "gradient descent with a velocity and decoupled decay (a template)",
    .title = NULL, /* the paper's, when there is one */
    .source = "the template of the family optimizer",
    .formula = "v = momentum v + g; w = (1 - learning_rate weight_decay) w - learning_rate v",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(COHORT_FILE) = {&method, NULL};
