/* Multi-Krum (Blanchard et al., 2017): the weighted mean of the changes of the best scores of Krum. Costs the inner
 * products of all pairs of changes. */
#include "method/robust/robust.h"

typedef struct multikrum_config {
  double byzantine;
  int64_t neighbours, keep;
} multikrum_config;

static const cohort_parameter parameters[] = {
    COHORT_ROBUST_BYZANTINE(multikrum_config, "0.2"),
    COHORT_INTEGER_RANGE(multikrum_config, neighbours, "0", 0, 1e6,
                         "nearest others that a client is judged by; 0: clients - byzantine - 2"),
    COHORT_INTEGER_RANGE(multikrum_config, keep, "0", 0, 1e6, "clients to choose; 0: clients - byzantine",
                         .unit = "clients"),
    {.name = NULL},
};

static int byzantine(const void *config, int clients) {
  return cohort_robust_byzantine(((const multikrum_config *)config)->byzantine, clients);
}

static cohort_status check(const void *config, cohort_error *error) {
  return cohort_robust_check_byzantine(((const multikrum_config *)config)->byzantine, error);
}

/* Chooses one after another, of equal scores the lower number. */
static void choose(const cohort_robust_round *round, double *share) {
  const multikrum_config *own = round->config;
  const int clients = round->clients, malicious = byzantine(own, clients);
  const int64_t keep = own->keep ? own->keep : clients - malicious;
  double *score = round->work + clients;
  cohort_robust_scores(round, cohort_robust_nearest(own->neighbours, clients, malicious), score);
  for (int i = 0; i < clients; i++) share[i] = 0;
  for (int64_t k = 0; k < keep && k < clients; k++) {
    int best = -1;
    for (int i = 0; i < clients; i++)
      if (share[i] <= 0 && (best < 0 || score[i] < score[best])) best = i;
    share[best] = 1;
  }
  cohort_robust_share_weights(round, share);
}

static const cohort_robust functions = {
    .share = choose, .byzantine = byzantine, .most_byzantine = cohort_robust_minority, .products = true};

static const cohort_method multikrum = {
    .family = "robust",
    .key = "multikrum",
    .summary = "the weighted mean of the changes that are nearest to their nearest others",
    .title = "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent",
    .source = "Blanchard, El Mhamdi, Guerraoui and Stainer, NeurIPS 2017, section 5 (m-Krum)",
    .formula =
        "s(i) = sum of |x_i - x_j|^2 over the n - f - 2 nearest j; "
        "joined = sum w_i x_i / sum w_i over the `keep` clients of the least s(i)",
    .config_size = sizeof(multikrum_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

const cohort_method *const cohort_robust_multikrum[] = {&multikrum, NULL};
