/* FedAsync (Xie et al., 2019): each model that arrives is mixed into the server's, the less the older its start. */
#include "method/asynchronous/asynchronous.h"

typedef struct fedasync_config {
  double alpha, slope, grace;
  int64_t concurrency;
  int staleness;
} fedasync_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_RANGE(fedasync_config, alpha, "0.6", 0, true, 1, false, "share of a fresh model", .sweep_low = 0.1,
                      .sweep_high = 1),
    COHORT_CHOICE(fedasync_config, staleness, "polynomial", cohort_staleness_names,
                  "how that share falls with the delay: constant; polynomial (delay + 1)^-slope; hinge "
                  "1 / (slope (delay - grace) + 1) behind `grace`"),
    COHORT_REAL_ATLEAST(fedasync_config, slope, "0.5", 0, "of polynomial and hinge"),
    COHORT_REAL_ATLEAST(fedasync_config, grace, "4", 0, "delay up to which a hinge is 1", .unit = "steps"),
    COHORT_INTEGER_RANGE(fedasync_config, concurrency, "0", 0, 1e6, "clients that train at once; 0: clients_per_round",
                         .unit = "clients"),
    {.name = NULL},
};

static int64_t concurrency(const void *config, int64_t wanted) {
  const int64_t own = ((const fedasync_config *)config)->concurrency;
  return own ? own : wanted;
}

static int64_t buffer(const void *config, int64_t wanted) {
  (void)config, (void)wanted;
  return 1;
}

static double weight(const void *config, int64_t delay) {
  const fedasync_config *own = config;
  return own->alpha * cohort_staleness(own->staleness, own->slope, own->grace, delay);
}

static const cohort_asynchronous functions = {
    .concurrency = concurrency, .buffer = buffer, .weight = weight, .mixes = true};

static const cohort_method fedasync = {
    .family = "asynchronous",
    .key = "fedasync",
    .summary = "each model that arrives is mixed into the server's, the less the older its start",
    .title = "Asynchronous Federated Optimization",
    .source = "Xie, Koyejo and Gupta, 2019, Algorithm 1 and section 5.2; delay 0 is a client that nobody overtook",
    .formula = "a = alpha s(delay); w = (1 - a) w + a w_client, by the server's optimizer with w_client - w as change",
    .config_size = sizeof(fedasync_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_asynchronous_fedasync[] = {&fedasync, NULL};
