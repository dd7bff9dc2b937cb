/* DP-SGD's gradient: a transform that asks for the mean of clipped gradients of samples and adds normal noise. Nothing
 * is kept; a step costs a gradient of every sample by itself. */
#include "method/optimizer/optimizer.h"

typedef struct dpsgd_config {
  double clip, noise;
  const cohort_document *base;
} dpsgd_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(dpsgd_config, clip, COHORT_PARAMETER_REAL), .standard = "1", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "largest norm of a sample's gradient, over all tensors",
     .sweep_low = 0.1, .sweep_high = 10, .sweep_log = true},
    COHORT_REAL_ATLEAST(
        dpsgd_config, noise, "1", 0,
        "standard deviation of the noise on the sum, in units of clip; 0: none, or what privacy.budget asks "
        "for"),
    COHORT_METHOD_OF(dpsgd_config, base, "sgd", "optimizer", "the update that takes the noisy gradient"),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"noise=0 clip=1e6 base=sgd", "sgd", ""},
    {.settings = NULL, .method = NULL},
};

static const cohort_driver_vector vectors[] = {
    {.name = "noise", .meaning = "of the step"},
    {.name = NULL},
};

static cohort_status gradient(cohort_driver *driver, const cohort_question *question, cohort_answer *answer,
                              cohort_error *error) {
  const dpsgd_config *config = driver->config;
  const int noise = driver->first, g = question->gradient;
  cohort_question clipped = *question;
  clipped.clip = config->clip;
  COHORT_TRY(driver->call->ask(driver, &clipped, answer, error));
  const double multiplier = config->noise > 0 ? config->noise : answer->noise;
  if (multiplier == 0) return COHORT_DONE;
  driver->call->fill(driver, COHORT_FILL_NORMAL, noise, "noise", 0);
  driver->call->combine(driver, g, 1, g, multiplier * config->clip / (double)answer->samples, noise);
  return COHORT_DONE;
}

static const cohort_optimizer functions = {
    .gradient = gradient, .vectors = vectors, .wants = COHORT_WANTS_GRADIENT | COHORT_WANTS_CLIPPED};

static const cohort_method dpsgd = {
    .family = "optimizer",
    .key = "dpsgd",
    .summary = "differentially private gradients: clipped by sample, with noise, for any base",
    .source = "Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar and Zhang, CCS 2016, Algorithm 1",
    .formula = "g = (sum of g_i min(1, clip / |g_i|) + noise clip z) / samples, z standard normal; the base takes g",
    .config_size = sizeof(dpsgd_config),
    .parameters = parameters,
    .cut = COHORT_CUT_ELEMENT,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_optimizer_dpsgd[] = {&dpsgd, NULL};
