/* The Laplace mechanism: noise of two exponential tails on a sum of changes that are bounded in the sum of absolute
 * values. A number drawn costs a logarithm. */
#include "method/privacy/mechanism.h"

typedef struct laplace_config {
  cohort_privacy_settings common;
} laplace_config;

enum { PLD, RDP };
static const char *const accountants[] = {"pld", "rdp", NULL};

static const cohort_parameter parameters[] = {
    COHORT_PRIVACY_PARAMETERS(laplace_config, "pld", accountants),
    {.name = NULL},
};

static double epsilon(const void *config, const cohort_privacy_use *use, cohort_privacy_room *room) {
  const laplace_config *own = config;
  if (own->common.accountant == RDP) return cohort_rdp_epsilon(&cohort_law_laplace, use, room);
  return cohort_pld_epsilon(&cohort_law_laplace, use, room);
}

/* A word for the size, one for the sign. */
static void fill(const void *config, double scale, cohort_random_key key, int64_t round, int64_t first, int64_t n,
                 double *out) {
  (void)config;
  const cohort_random_key own = cohort_random_key_derive(key, (uint64_t)round);
  for (int64_t i = 0; i < n; i++) {
    const uint64_t element = 2 * (uint64_t)(first + i);
    const double size = -log((cohort_random_word(own, 0, element) + 1.0) * 0x1p-32);
    out[i] = (cohort_random_word(own, 0, element + 1) & 1 ? scale : -scale) * size;
  }
}

static const cohort_privacy functions = {.epsilon = epsilon, .norm = 1, .fill = fill};

static const cohort_method method = {
    .family = "privacy",
    .key = COHORT_FILE_KEY,
    .summary = "Laplace noise on the sum of clients' changes, each clipped in the sum of absolute values",
    .title = "Calibrating Noise to Sensitivity in Private Data Analysis",
    .source = "Dwork, McSherry, Nissim and Smith, TCC 2006",
    .formula =
        "change = (sum_i d_i min(1, clip / |d_i|_1) + noise clip z) / (expected clients), z of density exp(-|z|) / 2; "
        "epsilon of one round in which all take part is at most 1 / noise",
    .config_size = sizeof(laplace_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(privacy, COHORT_FILE) = {&method, NULL};
