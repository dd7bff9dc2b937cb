/* FoolsGold (Fung et al., 2020): clients whose sums of changes look alike are taken for one attacker's. Costs the inner
 * products of all pairs of those sums, and a row of the size of a change for each client that ever took part. */
#include "method/robust/robust.h"

typedef struct foolsgold_config {
  double confidence;
  bool mean;
} foolsgold_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ABOVE(foolsgold_config, confidence, "1", 0, "kappa: how sharply similar clients are told from others",
                      .sweep_low = 0.1, .sweep_high = 10, .sweep_log = true),
    COHORT_BOOLEAN(
        foolsgold_config, mean, "true",
        "divided by the sum of shares, so that the server's step keeps its size; false: the plain sum of the "
        "paper, in which a client counts as much as if it were alone"),
    {.name = NULL},
};

static double cosine(const cohort_robust_round *round, int i, int j) {
  const double *g = round->products;
  const int64_t rows = round->rows;
  const double lengths = sqrt(g[i * rows + i]) * sqrt(g[j * rows + j]);
  return lengths > 0 ? g[i * rows + j] / lengths : 0;
}

/* Each client's largest similarity to another, at least 0; `most` (or NULL) pardons those that are less similar than
 * their counterpart. */
static void find_similarity(const cohort_robust_round *round, const double *most, double *out) {
  for (int i = 0; i < round->clients; i++) {
    out[i] = 0;
    for (int j = 0; j < round->clients; j++) {
      if (i == j) continue;
      double similarity = cosine(round, i, j);
      if (most && most[i] < most[j]) similarity *= most[i] / most[j];
      out[i] = fmax(out[i], similarity);
    }
  }
}

/* From a share of (0, 1] of the largest to one by the logit, between 0 and 1. */
static double sharpen(double confidence, double value) {
  if (value <= 0) return 0;
  if (value >= 1) value = 0.99;
  return fmin(1, fmax(0, confidence * (log(value / (1 - value)) + 0.5)));
}

static void weigh(const cohort_robust_round *round, double *share) {
  const foolsgold_config *own = round->config;
  const int clients = round->clients;
  double *most = round->work, *pardoned = most + clients;
  double largest = 0, weights = 0, sum = 0;
  bool all = true;
  find_similarity(round, NULL, most);
  find_similarity(round, most, pardoned);
  for (int i = 0; i < clients; i++) {
    share[i] = fmin(1, fmax(0, 1 - pardoned[i]));
    largest = fmax(largest, share[i]);
    weights += round->weight[i];
  }
  for (int i = 0; i < clients; i++) {
    share[i] = largest > 0 ? sharpen(own->confidence, share[i] / largest) : 0;
    all = all && share[i] >= 1;
    share[i] *= round->weight[i];
    sum += share[i];
  }
  if (own->mean && (all || sum <= 0)) return; /* the mean, or nothing of clients that are all alike */
  const double scale = own->mean ? 1 / sum : clients / weights;
  for (int i = 0; i < clients; i++) share[i] *= scale;
}

static const cohort_robust functions = {.share = weigh, .products = true, .history = true};

static const cohort_method foolsgold = {
    .family = "robust",
    .key = "foolsgold",
    .summary = "clients whose changes look alike over the rounds count less",
    .title = "The Limitations of Federated Learning in Sybil Settings",
    .source =
        "Fung, Yoon and Beschastnikh, RAID 2020, algorithm 1 (arXiv 2018: Mitigating Sybils in Federated Learning "
        "Poisoning)",
    .formula =
        "h_i = sum of all x_i so far; m_i = max_j cos(h_i, h_j); cos_ij *= m_i / m_j where m_i < m_j; "
        "a_i = 1 - max_j cos_ij, divided by the largest; a_i = confidence (ln(a_i / (1 - a_i)) + 1/2) in [0, 1]; "
        "joined = sum a_i w_i x_i / sum a_i w_i",
    .config_size = sizeof(foolsgold_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_robust_foolsgold[] = {&foolsgold, NULL};
