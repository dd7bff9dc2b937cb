/* A Little Is Enough (Baruch et al., 2019): malicious clients stay as near to the honest mean as many honest clients
 * do, all on the same side of it, so that defences take them for honest. Acts at the join. */
#include "method/attack/attack.h"

typedef struct alie_config {
  double share, z;
} alie_config;

static const cohort_parameter parameters[] = {
    COHORT_ATTACK_SHARE(alie_config),
    COHORT_REAL_ATLEAST(
        alie_config, z, "0", 0,
        "distance from the honest mean, in standard deviations; 0: the largest that hides among so many "
        "clients",
        .sweep_low = 0.1, .sweep_high = 10, .sweep_log = true),
    {.name = NULL},
};

/* The z below which a standard normal number is with probability p, 0 < p < 1. */
static double normal_quantile(double p) {
  double low = -40, high = 40;
  for (int i = 0; i < 80; i++) {
    const double middle = 0.5 * (low + high);
    if (0.5 * erfc(-middle / sqrt(2)) < p)
      low = middle;
    else
      high = middle;
  }
  return 0.5 * (low + high);
}

/* The paper's z_max: with s = floor(n / 2 + 1) - m honest clients farther out than they, the malicious are a majority.
 * Nearer than the mean is not farther: at least 0. Where they need nobody, they stay nearer than one of all honest. */
static double largest_hidden(int clients, int malicious) {
  const int honest = clients - malicious, supporters = clients / 2 + 1 - malicious;
  if (honest < 1) return 0;
  const double p = fmin((double)(honest - supporters) / honest, 1 - 0.5 / honest);
  return p > 0.5 ? normal_quantile(p) : 0;
}

static cohort_attack_join join(const void *config, int clients, int malicious) {
  const alie_config *own = config;
  return (cohort_attack_join){.mean = 1, .deviation = -(own->z > 0 ? own->z : largest_hidden(clients, malicious))};
}

static const cohort_attack functions = {.join = join};

static const cohort_method alie = {
    .family = "attack",
    .key = "alie",
    .summary = "malicious clients stay a little off the honest clients' mean, all on one side",
    .title = "A Little Is Enough: Circumventing Defenses For Distributed Learning",
    .source = "Baruch, Baruch and Goldberg, NeurIPS 2019, algorithm 3",
    .formula =
        "sent = m - z s, with mean m and standard deviation s of the honest clients' changes; by default "
        "z = quantile of the normal distribution at (n - f - s') / (n - f), s' = floor(n / 2 + 1) - f, for f "
        "malicious of n clients",
    .config_size = sizeof(alie_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_attack_alie[] = {&alie, NULL};
