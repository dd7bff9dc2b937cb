/* Bulyan (El Mhamdi et al., 2018): Krum chooses clients one after another, then each coordinate is the mean of the
 * values nearest to the median of those chosen. Costs the inner products of all pairs of changes, clients^3 at most for
 * the choice, and a sort of the values of every coordinate. */
#include "method/robust/robust.h"

typedef struct bulyan_config {
  double byzantine;
} bulyan_config;

static const cohort_parameter parameters[] = {
    COHORT_ROBUST_BYZANTINE(bulyan_config, "0.1"),
    {.name = NULL},
};

static int byzantine(const void *config, int clients) {
  return cohort_robust_byzantine(((const bulyan_config *)config)->byzantine, clients);
}

/* n >= 4 f + 3; nothing is asked where there is nobody to fear. */
static int most(int clients) { return clients < 7 ? 0 : (clients - 3) / 4; }

static cohort_status check(const void *config, cohort_error *error) {
  return cohort_robust_check_byzantine(((const bulyan_config *)config)->byzantine, error);
}

static bool combines(const void *config, int clients) { return byzantine(config, clients) > 0; }

/* Krum's score of client i among those that are left. */
static double score(const cohort_robust_round *round, int i, int nearest, const double *other, const double *chosen) {
  double sum = 0;
  for (int k = 0, seen = 0; k < round->clients - 1 && seen < nearest; k++) {
    const int j = (int)other[k];
    if (chosen[j] > 0) continue;
    sum += cohort_robust_distance(round, i, j);
    seen++;
  }
  return sum;
}

/* n - 2 f clients, each the one that Krum chooses of those that are left. */
static void choose(const cohort_robust_round *round, double *share) {
  const int clients = round->clients, malicious = byzantine(round->config, clients), wanted = clients - 2 * malicious;
  for (int i = 0; i < clients; i++) {
    cohort_robust_neighbours(round, i, round->work + (int64_t)i * clients);
    share[i] = 0;
  }
  for (int k = 0; k < wanted; k++) {
    const int nearest = cohort_robust_nearest(0, clients - k, malicious);
    double least = INFINITY;
    int best = -1;
    for (int i = 0; i < clients; i++) {
      if (share[i] > 0) continue;
      const double own = score(round, i, nearest, round->work + (int64_t)i * clients, share);
      if (best >= 0 && own >= least) continue;
      best = i;
      least = own;
    }
    share[best] = 1;
  }
  for (int i = 0; i < clients; i++) share[i] /= wanted;
}

/* The mean of the n - 4 f values nearest to the median, which stand side by side; of two that are as near, the lower.
 */
static void combine(const cohort_robust_round *round, int chosen, int64_t n, const double *const *value, double *out) {
  const int kept = chosen - 2 * byzantine(round->config, round->clients);
  for (int64_t e = 0; e < n; e++) {
    const double median = 0.5 * (value[(chosen - 1) / 2][e] + value[chosen / 2][e]);
    int first = 0;
    while (first + kept < chosen && median - value[first][e] > value[first + kept][e] - median) first++;
    double sum = 0;
    for (int k = first; k < first + kept; k++) sum += value[k][e];
    out[e] = sum / kept;
  }
}

static const cohort_robust functions = {.share = choose,
                                        .combine = combine,
                                        .combines = combines,
                                        .byzantine = byzantine,
                                        .most_byzantine = most,
                                        .products = true};

static const cohort_method bulyan = {
    .family = "robust",
    .key = "bulyan",
    .summary = "clients chosen by Krum, then of each coordinate the mean of the values nearest to the median",
    .title = "The Hidden Vulnerability of Distributed Learning in Byzantium",
    .source = "El Mhamdi, Guerraoui and Rouault, ICML 2018, section 4; it proves n >= 4 f + 3",
    .formula =
        "n - 2 f clients, each chosen by Krum among those left; joined_k = mean of the n - 4 f of their x_ik that "
        "are nearest to their median; with f = 0 the mean",
    .config_size = sizeof(bulyan_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

const cohort_method *const cohort_robust_bulyan[] = {&bulyan, NULL};
