/* The Gaussian mechanism: normal noise on a sum of changes that are bounded in Euclidean norm. A number drawn costs a
 * logarithm, a root and a cosine. */
#include "method/privacy/mechanism.h"

typedef struct gaussian_config {
  cohort_privacy_settings common;
} gaussian_config;

enum { RDP, PLD, ZCDP };
static const char *const accountants[] = {"rdp", "pld", "zcdp", NULL};

static const cohort_parameter parameters[] = {
    COHORT_PRIVACY_PARAMETERS(gaussian_config, "rdp", accountants),
    {.name = "adaptive",
     .type = COHORT_PARAMETER_SECTION,
     .offset = offsetof(gaussian_config, common.adaptive),
     .standard = "null",
     .section = cohort_privacy_adaptive_table,
     .section_offset = offsetof(gaussian_config, common.adaptive_settings),
     .meaning = "the bound follows a quantile of the changes' norms, from clip on"},
    {.name = NULL},
};

static double epsilon(const void *config, const cohort_privacy_use *use, cohort_privacy_room *room) {
  const gaussian_config *own = config;
  if (own->common.accountant == PLD) return cohort_pld_epsilon(&cohort_law_gaussian, use, room);
  if (own->common.accountant == ZCDP) return cohort_zcdp_epsilon(use, false);
  return cohort_rdp_epsilon(&cohort_law_gaussian, use, room);
}

static bool samples(const void *config) {
  const gaussian_config *own = config;
  return own->common.accountant != ZCDP;
}

static void fill(const void *config, double scale, cohort_random_key key, int64_t round, int64_t first, int64_t n,
                 double *out) {
  (void)config;
  const cohort_random_key own = cohort_random_key_derive(key, (uint64_t)round);
  for (int64_t i = 0; i < n; i++) out[i] = scale * cohort_random_normal_at(own, 0, (uint64_t)(first + i));
}

static const cohort_privacy functions = {.epsilon = epsilon, .samples = samples, .norm = 2, .fill = fill};

static const cohort_method method = {
    .family = "privacy",
    .key = COHORT_FILE_KEY,
    .summary = "normal noise on the sum of clients' changes, each clipped in Euclidean norm",
    .title = "Learning Differentially Private Recurrent Language Models",
    .source =
        "McMahan, Ramage, Talwar and Zhang, ICLR 2018, Algorithm 1 with equal weights; adaptive: Andrew, Thakkar, "
        "McMahan and Ramaswamy, NeurIPS 2021, Algorithm 1",
    .formula =
        "change = (sum_i d_i min(1, clip / |d_i|) + noise clip z) / (expected clients), z standard normal; adaptive: "
        "z has noise' = (noise^-2 - (2 count_noise)^-2)^(-1/2), and clip *= exp(-learning_rate (b - quantile)), "
        "b = (count of |d_i| <= clip + count_noise z') / (expected clients)",
    .config_size = sizeof(gaussian_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(privacy, COHORT_FILE) = {&method, NULL};
