/* Schedule-free learning: the base moves z by gradients taken between z and the average x, which is what evaluation
 * takes. Two vectors are kept; a step costs one gradient and four passes over the weights. */
#include <math.h>

#include "method/optimizer/optimizer.h"

typedef struct schedulefree_config {
  double beta, power;
  const cohort_document *base;
} schedulefree_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(schedulefree_config, beta, COHORT_PARAMETER_REAL), .standard = "0.9", .minimum = 0, .maximum = 1,
     .maximum_open = true, .meaning = "share of the average in the point where gradients are taken", .sweep_low = 0.8,
     .sweep_high = 0.98},
    COHORT_REAL_ATLEAST(schedulefree_config, power, "0", 0, "weight of step t in the average: t to this power"),
    COHORT_METHOD_OF(schedulefree_config, base, "sgd", "optimizer",
                     "the update of z; of Adam's kin without momentum (beta1 = 0), for which beta stands"),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"beta=0 base=sgd", "sgd", ""}, /* it steps as its base does; what is evaluated is the average all the same */
    {.settings = NULL, .method = NULL},
};

static const cohort_driver_vector vectors[] = {
    {.name = "z", .kept = true, .from_weights = true, .meaning = "the base's own weights"},
    {.name = "x", .kept = true, .from_weights = true, .meaning = "their average, which is evaluated"},
    {.name = "gradient", .meaning = "of the step"},
    {.name = "y", .meaning = "the next weights"},
    {.name = NULL},
};

static const cohort_state states[] = {
    {.name = "weight",
     .owner = COHORT_OWNER_SPACE,
     .type = COHORT_STATE_FLOAT64,
     .meaning = "sum of the steps' weights"},
    {.name = "largest_rate",
     .owner = COHORT_OWNER_SPACE,
     .type = COHORT_STATE_FLOAT64,
     .meaning = "the largest learning rate so far"},
    {.name = NULL},
};

static cohort_status drive(cohort_driver *driver, bool *applied, cohort_error *error) {
  const schedulefree_config *config = driver->config;
  const int z = driver->first, x = z + 1, gradient = z + 2, y = z + 3;
  const cohort_question question = cohort_ask_gradient(COHORT_VECTOR_WEIGHTS, gradient);
  cohort_answer answer;
  COHORT_TRY(driver->call->ask(driver, &question, &answer, error));
  COHORT_TRY(driver->call->update(driver, z, gradient, false, applied, error));
  if (!*applied) return COHORT_DONE;
  driver->call->decay(driver, z, COHORT_VECTOR_WEIGHTS);
  const double largest = fmax(*driver->state[1], driver->learning_rate);
  const double weight = pow((double)driver->step, config->power) * largest * largest;
  const double sum = *driver->state[0] + weight, share = sum > 0 ? weight / sum : 0;
  driver->call->combine(driver, x, 1 - share, x, share, z);
  driver->call->combine(driver, y, 1 - config->beta, z, config->beta, x);
  driver->call->move(driver, y, applied);
  if (!*applied) return COHORT_DONE;
  *driver->state[0] = sum;
  *driver->state[1] = largest;
  return COHORT_DONE;
}

static const cohort_optimizer functions = {
    .drive = drive, .vectors = vectors, .evaluated = 2, .wants = COHORT_WANTS_GRADIENT};

static const cohort_method schedulefree = {
    .family = "optimizer",
    .key = "schedulefree",
    .summary = "gradients between the base's weights and their average, which is evaluated; no schedule is needed",
    .title = "The Road Less Scheduled",
    .source = "Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky, NeurIPS 2024, Algorithm 1, and the authors' code",
    .formula =
        "y = (1 - beta) z + beta x; z takes the base's step with the gradient at y, decay at y; c = t^power A^2, A the "
        "largest learning rate so far; x += c / (sum of c) (z - x); the weights are y, evaluation takes x",
    .config_size = sizeof(schedulefree_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ELEMENT,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_optimizer_schedulefree[] = {&schedulefree, NULL};
