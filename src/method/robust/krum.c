/* Krum (Blanchard et al., 2017): the one change that lies nearest to most others. Costs the inner products of all pairs
 * of changes. */
#include "method/robust/robust.h"

typedef struct krum_config {
  double byzantine;
  int64_t neighbours;
} krum_config;

static const cohort_parameter parameters[] = {
    COHORT_ROBUST_BYZANTINE(krum_config, "0.2"),
    COHORT_INTEGER_RANGE(krum_config, neighbours, "0", 0, 1e6,
                         "nearest others that a client is judged by; 0: clients - byzantine - 2"),
    {.name = NULL},
};

static int byzantine(const void *config, int clients) {
  return cohort_robust_byzantine(((const krum_config *)config)->byzantine, clients);
}

static cohort_status check(const void *config, cohort_error *error) {
  return cohort_robust_check_byzantine(((const krum_config *)config)->byzantine, error);
}

static void choose(const cohort_robust_round *round, double *share) {
  const krum_config *own = round->config;
  const int clients = round->clients;
  double *score = round->work + clients;
  cohort_robust_scores(round, cohort_robust_nearest(own->neighbours, clients, byzantine(own, clients)), score);
  int best = 0;
  for (int i = 1; i < clients; i++)
    if (score[i] < score[best]) best = i;
  for (int i = 0; i < clients; i++) share[i] = i == best;
}

static const cohort_robust functions = {
    .share = choose, .byzantine = byzantine, .most_byzantine = cohort_robust_minority, .products = true};

static const cohort_method krum = {
    .family = "robust",
    .key = "krum",
    .summary = "the one change that is nearest to its nearest others",
    .title = "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent",
    .source = "Blanchard, El Mhamdi, Guerraoui and Stainer, NeurIPS 2017, section 4; it proves n >= 2 f + 3",
    .formula = "s(i) = sum of |x_i - x_j|^2 over the n - f - 2 nearest j; joined = x_i of the least s(i)",
    .config_size = sizeof(krum_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

const cohort_method *const cohort_robust_krum[] = {&krum, NULL};
