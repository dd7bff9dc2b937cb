/* MARS: a transform that adds the change of the gradient since the last step, scaled and clipped by tensor, before the
 * base takes it. It keeps one vector (the last gradient, or the last weights with `exact`, which asks twice a step). */
#include "method/optimizer/normalise_real.h"

typedef struct mars_config {
  double gamma;
  bool exact;
  const cohort_document *base;
} mars_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(mars_config, gamma, COHORT_PARAMETER_REAL), .standard = "0.025", .minimum = 0, .maximum = INFINITY,
     .maximum_open = true,
     .meaning = "strength of the variance reduction; 0: the base with gradients clipped by tensor", .sweep_low = 5e-3,
     .sweep_high = 0.1, .sweep_log = true},
    COHORT_BOOLEAN(mars_config, exact, "false",
                   "take the previous gradient on this step's batch at the last weights; false: the stored one"),
    COHORT_METHOD_OF(mars_config, base, "adamw", "optimizer", "the update that takes the corrected gradient"),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"gamma=0 exact=true", "marsadamw", "gamma=0 exact=false"},
    {.settings = NULL, .method = NULL},
};

static int64_t two(const void *config) { return ((const mars_config *)config)->exact ? 1 : 0; }

static const cohort_driver_vector vectors[] = {
    {.name = "previous", .kept = true, .asked = true, .meaning = "the last step's gradient, or its weights"},
    {.name = "current", .meaning = "what will be the previous"},
    {.name = "again", .count = two, .meaning = "this batch's gradient at the previous weights"},
    {.name = NULL},
};

/* c / max(1, |c|) by tensor. */
static void clip_range(const cohort_update *u) { cohort_normalise_range(u, 1); }
static const cohort_optimizer clip = {.update = clip_range, .passes = 2, .sums = cohort_normalise_sums};
static const cohort_optimizer *const programs[] = {&clip, NULL};

static cohort_status gradient(cohort_driver *driver, const cohort_question *question, cohort_answer *answer,
                              cohort_error *error) {
  const mars_config *config = driver->config;
  const int previous = driver->first, current = previous + 1, again = previous + 2, g = question->gradient;
  const double beta1 = driver->call->base_real(driver, "beta1", 0.9), factor = config->gamma * beta1 / (1 - beta1);
  COHORT_TRY(driver->call->ask(driver, question, answer, error));
  if (config->exact && driver->step > 1) {
    cohort_question before = *question;
    cohort_answer ignored;
    before.point = previous;
    before.gradient = again;
    COHORT_TRY(driver->call->ask(driver, &before, &ignored, error));
  }
  const int kept = config->exact ? question->point : g;
  driver->call->copy(driver, current, kept);
  if (driver->step > 1) driver->call->combine(driver, g, 1 + factor, g, -factor, config->exact ? again : previous);
  driver->call->run(driver, 0, 1, &g, NULL);
  return COHORT_DONE;
}

static void commit(cohort_driver *driver) { driver->call->copy(driver, driver->first, driver->first + 1); }

static int64_t asks(const void *config) { return ((const mars_config *)config)->exact ? 2 : 1; }

static const cohort_optimizer functions = {.gradient = gradient,
                                           .commit = commit,
                                           .vectors = vectors,
                                           .programs = programs,
                                           .wants = COHORT_WANTS_GRADIENT,
                                           .asks = asks};

static const cohort_method mars = {
    .family = "optimizer",
    .key = "marsadamw",
    .summary = "gradients with reduced variance for any base: AdamW, Lion",
    .title = "MARS: Unleashing the Power of Variance Reduction for Training Large Models",
    .source = "Yuan, Liu, Wu, Zhou and Gu, 2024, Algorithm 1, and the authors' code",
    .formula =
        "c = g + gamma beta1 / (1 - beta1) (g - g_previous), beta1 the base's; c /= max(1, |c|) by tensor; the base "
        "takes "
        "c. g_previous: the last step's gradient, or (exact) this batch's at the last weights; in the first step g",
    .config_size = sizeof(mars_config),
    .parameters = parameters,
    .cut = COHORT_CUT_ELEMENT,
    .identities = identities,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(marsadamw) = {&mars, NULL};
