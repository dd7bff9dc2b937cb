/* The discrete Gaussian mechanism: changes are multiples of a grain, and so is the noise, whose distribution is exact:
 * nothing leaks through the rounding of floating-point numbers. A number drawn costs some ten words. */
#include "method/privacy/mechanism.h"

typedef struct discrete_config {
  cohort_privacy_settings common;
  double grain;
} discrete_config;

enum { RDP, ZCDP };
static const char *const accountants[] = {"rdp", "zcdp", NULL};

static const cohort_parameter parameters[] = {
    COHORT_PRIVACY_PARAMETERS(discrete_config, "rdp", accountants),
    {COHORT_FIELD(discrete_config, grain, COHORT_PARAMETER_REAL), .standard = "1e-4", .minimum = 0,
     .minimum_open = true, .maximum = INFINITY, .maximum_open = true,
     .meaning = "of which changes are multiples, rounded to the nearest; in units of clip"},
    {.name = NULL},
};

static double epsilon(const void *config, const cohort_privacy_use *use, cohort_privacy_room *room) {
  const discrete_config *own = config;
  return own->common.accountant == ZCDP ? cohort_zcdp_epsilon(use, false) : cohort_rdp_epsilon_bound(use, room);
}

static bool samples(const void *config) {
  const discrete_config *own = config;
  return own->common.accountant != ZCDP;
}

static double grain(const void *config) {
  const discrete_config *own = config;
  return own->grain;
}

/* Words of an element, one after another. */
typedef struct words {
  cohort_random_key key;
  uint64_t next;
} words;

static double uniform(words *from) {
  const uint64_t high = cohort_random_word(from->key, 1, from->next++),
                 low = cohort_random_word(from->key, 1, from->next++);
  return (double)((high << 21) | (low >> 11)) * 0x1p-53;
}

/* True with probability exp(-x), x >= 0, without an exponential (Canonne, Kamath and Steinke, 2020, Algorithm 1). */
static bool survives(words *from, double x) {
  for (; x > 1; x -= 1)
    if (!survives(from, 1)) return false;
  int k = 1;
  while (uniform(from) < x / k) k++;
  return k % 2 == 1;
}

/* Discrete Laplace of scale t (Algorithm 2), kept by how far it is from the normal's (Algorithm 3). */
static double draw(words *from, double deviation) {
  const double t = floor(deviation) + 1;
  for (;;) {
    const double u = floor(uniform(from) * t);
    if (!survives(from, u / t)) continue;
    double v = 0;
    while (survives(from, 1)) v++;
    const double size = u + t * v;
    const bool negative = uniform(from) < 0.5;
    if (negative && size == 0) continue;
    const double far = size - deviation * deviation / t;
    if (survives(from, far * far / (2 * deviation * deviation))) return negative ? -size : size;
  }
}

/* Every element has a stream of words of its own. */
static void fill(const void *config, double scale, cohort_random_key key, int64_t round, int64_t first, int64_t n,
                 double *out) {
  (void)config;
  const cohort_random_key of_round = cohort_random_key_derive(key, (uint64_t)round);
  for (int64_t i = 0; i < n; i++) {
    words own = {cohort_random_key_derive(of_round, (uint64_t)(first + i)), 0};
    out[i] = draw(&own, scale);
  }
}

static const cohort_privacy functions = {
    .epsilon = epsilon, .samples = samples, .norm = 2, .grain = grain, .fill = fill};

static const cohort_method method = {
    .family = "privacy",
    .key = COHORT_FILE_KEY,
    .summary = "noise of whole numbers on the sum of clients' changes in grains: exact where floating point is not",
    .title = "The Discrete Gaussian for Differential Privacy",
    .source =
        "Canonne, Kamath and Steinke, NeurIPS 2020, Algorithms 1-3 and Theorem 14; under Poisson sampling: Zhu and "
        "Wang, ICML 2019, Theorem 5",
    .formula =
        "k_i = d_i in whole grains, |k_i| <= clip / grain; change = grain (sum_i k_i + z) / (expected clients), "
        "P(z) proportional to exp(-z^2 / (2 s^2)), s = noise clip / grain; divergence of order a: a / (2 noise^2)",
    .config_size = sizeof(discrete_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(privacy, COHORT_FILE) = {&method, NULL};
