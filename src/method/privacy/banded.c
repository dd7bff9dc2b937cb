/* Noise of a banded matrix: each round's has parts of the rounds before with the opposite sign, so that less of it is
 * left in their sum. The inverse of the square root of the matrix of ones below the diagonal is cut to some bands; a
 * round draws those of its bands again from their keys, and nothing is kept. A round costs `bands` normal numbers an
 * element. */
#include "method/privacy/mechanism.h"

typedef struct banded_config {
  cohort_privacy_settings common;
  int64_t bands, separation;
} banded_config;

enum { RDP, PLD, MOST_BANDS = 4096 };
static const char *const accountants[] = {"rdp", "pld", NULL};

static const cohort_parameter parameters[] = {
    COHORT_PRIVACY_PARAMETERS(banded_config, "rdp", accountants),
    COHORT_INTEGER_RANGE(banded_config, bands, "16", 1, MOST_BANDS,
                         "rounds whose draws a round's noise is made of; 1: independent noise", .unit = "rounds"),
    COHORT_INTEGER_RANGE(banded_config, separation, "1", 1, 1e12,
                         "a client takes part at most once in so many rounds; 1: always true", .unit = "rounds"),
    {.name = NULL},
};

/* Coefficient j of (1 - x)^(1/2), after that of j - 1. */
static double next_coefficient(double last, int64_t j) { return last * ((double)j - 1.5) / (double)j; }

/* The square of what a client that takes part in rounds 0, s, 2 s ... adds to C x: the largest, as C's entries are
 * positive and fall along a column (Kalinin and Lampert, 2024, Theorem 2). C is the inverse of the banded matrix D. */
static double square_of(const banded_config *config, int64_t steps, cohort_privacy_room *room) {
  double *column = cohort_scratch_take(&room->scratch, 2 * (size_t)steps * sizeof *column), *sum = column + steps;
  double band[MOST_BANDS];
  band[0] = 1;
  for (int64_t j = 1; j < config->bands; j++) band[j] = next_coefficient(band[j - 1], j);
  for (int64_t t = 0; t < steps; t++) {
    column[t] = t == 0;
    for (int64_t j = 1; j < config->bands && j <= t; j++) column[t] -= band[j] * column[t - j];
  }
  double square = 0;
  for (int64_t t = 0; t < steps; t++) {
    sum[t] = column[t] + (t >= config->separation ? sum[t - config->separation] : 0);
    square += sum[t] * sum[t];
  }
  return square;
}

static double epsilon(const void *config, const cohort_privacy_use *use, cohort_privacy_room *room) {
  const banded_config *own = config;
  const cohort_privacy_use whole = {use->noise / sqrt(square_of(own, use->steps, room)), 1, 1, use->delta};
  return own->common.accountant == PLD ? cohort_pld_epsilon(&cohort_law_gaussian, &whole, room)
                                       : cohort_rdp_epsilon(&cohort_law_gaussian, &whole, room);
}

static bool samples(const void *config) {
  (void)config;
  return false;
}

static void fill(const void *config, double scale, cohort_random_key key, int64_t round, int64_t first, int64_t n,
                 double *out) {
  const banded_config *own = config;
  for (int64_t i = 0; i < n; i++) out[i] = 0;
  double band = scale;
  for (int64_t j = 0; j < own->bands && j <= round; j++) {
    if (j) band = next_coefficient(band, j);
    const cohort_random_key of_round = cohort_random_key_derive(key, (uint64_t)(round - j));
    for (int64_t i = 0; i < n; i++) out[i] += band * cohort_random_normal_at(of_round, 0, (uint64_t)(first + i));
  }
}

static const cohort_privacy functions = {
    .epsilon = epsilon, .samples = samples, .norm = 2, .fill = fill, .correlated = true};

static const cohort_method method = {
    .family = "privacy",
    .key = COHORT_FILE_KEY,
    .summary = "noise that later rounds partly take back, by a banded matrix: no sampling needed",
    .title =
        "Back to Square Roots: An Optimal Bound on the Matrix Factorization Error for Multi-Epoch Differentially "
        "Private SGD",
    .source =
        "Kalinin, McKenna, Upadhyay and Lampert, 2025 (banded inverse square root); banded factorisation: "
        "Choquette-Choo et al., NeurIPS 2023",
    .formula =
        "noise of round t = noise clip sum_j<bands d_j z_(t-j), d_j of (1 - x)^(1/2): 1, -1/2, -1/8, ...; epsilon of "
        "one "
        "Gaussian release whose contribution is |sum over rounds taken part of C's column|, C = D^-1",
    .config_size = sizeof(banded_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(privacy, COHORT_FILE) = {&method, NULL};
