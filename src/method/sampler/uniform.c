/* A fixed number of clients, each as likely; and the same with more than are waited for. Costs the clients that are
 * wanted. */
#include "method/sampler/sampler.h"

typedef struct over_config {
  double factor;
} over_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_RANGE(over_config, factor, "1.3", 1, false, 100, false,
                      "clients that begin, for each that is waited for", .sweep_low = 1, .sweep_high = 2),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"factor=1", "uniform", ""},
    {.settings = NULL, .method = NULL},
};

static int64_t most(const void *config, int64_t clients, int64_t wanted) {
  (void)config;
  return wanted < clients ? wanted : clients;
}

static int64_t most_over(const void *config, int64_t clients, int64_t wanted) {
  const double begun = ceil(((const over_config *)config)->factor * (double)wanted);
  return begun < (double)clients ? (int64_t)begun : clients;
}

static int64_t draw(const cohort_sampler_round *round, int64_t count, int64_t *client) {
  for (int64_t i = 0; i < count; i++)
    client[i] = (int64_t)cohort_random_permute(round->key, (uint64_t)round->clients, (uint64_t)i);
  return count;
}

static int64_t choose(const void *config, const cohort_sampler_round *round, int64_t *client, double *weight) {
  (void)weight;
  return draw(round, most(config, round->clients, round->wanted), client);
}

static int64_t choose_over(const void *config, const cohort_sampler_round *round, int64_t *client, double *weight) {
  (void)weight;
  return draw(round, most_over(config, round->clients, round->wanted), client);
}

static const cohort_sampler functions = {.most = most, .choose = choose};
static const cohort_sampler over_functions = {.most = most_over, .choose = choose_over, .timed = true, .waits = true};

static const cohort_method uniform = {
    .family = "sampler",
    .key = "uniform",
    .summary = "a fixed number of clients, each as likely",
    .source = "McMahan, Moore, Ramage, Hampson and Aguera y Arcas, AISTATS 2017, Algorithm 1",
    .formula = "the first clients_per_round of a permutation of all clients, drawn anew in each round",
    .functions = &functions,
};

static const cohort_method overselection = {
    .family = "sampler",
    .key = "overselection",
    .summary = "more clients begin than are waited for: those who finish last are dropped",
    .title = "Towards Federated Learning at Scale: System Design",
    .source = "Bonawitz et al., MLSys 2019, section 4, 130 % of the devices that are wanted",
    .formula = "ceil(factor clients_per_round) of a permutation begin; the first clients_per_round to finish count",
    .config_size = sizeof(over_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &over_functions,
};

const cohort_method *const cohort_sampler_uniform[] = {&uniform, &overselection, NULL};
