/* Proportions over clients that are drawn from a Dirichlet distribution: of each class (Hsu, Qi and Brown, 2019, after
 * Yurochkin et al., 2019), or of all samples, so that clients differ in size alone. Linear in clients times classes,
 * and in samples; times the draws that a minimum takes. */
#include "method/partition/partition.h"

/* clang-format off */
#define ALPHA(text) COHORT_REAL_ATLEAST(cohort_partition_draw, alpha, "0.5", 0, text, .sweep_low = 1e-2, .sweep_high = 100, .sweep_log = true)
/* clang-format on */
#define CLIENTS \
  COHORT_INTEGER_RANGE(cohort_partition_draw, clients, "100", 1, 1e7, "clients in the population", .unit = "clients")
#define MINIMUM                                                                                                      \
  COHORT_INTEGER_RANGE(cohort_partition_draw, minimum, "1", 1, 1e9,                                                  \
                       "samples that every client has at least: 1: who is left without takes one from the largest; " \
                       "more: all is drawn anew until they have",                                                    \
                       .unit = "samples"),                                                                           \
      COHORT_INTEGER_RANGE(cohort_partition_draw, tries, "1000", 1, 1e9,                                             \
                           "draws after which a minimum is given up with an error", .unit = "draws")

static const cohort_parameter class_parameters[] = {
    CLIENTS,
    ALPHA("concentration of the distribution; 0: equal shares of all labels"),
    MINIMUM,
    {.name = NULL},
};

static const cohort_parameter size_parameters[] = {
    CLIENTS,
    ALPHA("concentration of the distribution; 0: equal shares"),
    MINIMUM,
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"clients=7 alpha=0", "iid", "clients=7"},
    {.settings = NULL, .method = NULL},
};

static int64_t clients(const void *config, const cohort_partition_data *data) {
  (void)data;
  return ((const cohort_partition_draw *)config)->clients;
}

static cohort_status deal_classes(const void *config, const cohort_partition_data *data, int32_t *owner,
                                  cohort_error *error) {
  return cohort_partition_by_proportions(config, true, data, owner, error);
}

static cohort_status deal_sizes(const void *config, const cohort_partition_data *data, int32_t *owner,
                                cohort_error *error) {
  return cohort_partition_by_proportions(config, false, data, owner, error);
}

static bool is_blind(const void *config) { return ((const cohort_partition_draw *)config)->alpha <= 0; }

static const cohort_partition class_functions = {
    .by = COHORT_PARTITION_BY_CLASS, .clients = clients, .deal = deal_classes, .blind = is_blind, .helps = true};
static const cohort_partition size_functions = {.clients = clients, .deal = deal_sizes, .helps = true};

static const cohort_method dirichlet = {
    .family = "partition",
    .key = "dirichlet",
    .summary = "each class in proportions over clients that are drawn from a Dirichlet distribution",
    .title = "Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification",
    .source =
        "Hsu, Qi and Brown, 2019, section 3; by class as Yurochkin et al., Bayesian Nonparametric Federated Learning, "
        "ICML 2019, section 4",
    .formula = "of every class: q ~ Dirichlet(alpha 1); client c gets the share q_c of its samples, in a drawn order",
    .config_size = sizeof(cohort_partition_draw),
    .parameters = class_parameters,
    .identities = identities,
    .functions = &class_functions,
};

static const cohort_method sizes = {
    .family = "partition",
    .key = "sizes",
    .summary = "shares of drawn sizes of all samples: clients differ in how many they hold alone",
    .title = "Federated Learning on Non-IID Data Silos: An Experimental Study",
    .source = "Li, Diao, Chen and He, ICDE 2022, section 4.3, quantity skew",
    .formula = "q ~ Dirichlet(alpha 1); client c gets the share q_c of all samples, in a drawn order",
    .config_size = sizeof(cohort_partition_draw),
    .parameters = size_parameters,
    .identities = identities,
    .functions = &size_functions,
};

const cohort_method *const cohort_partition_dirichlet[] = {&dirichlet, &sizes, NULL};
