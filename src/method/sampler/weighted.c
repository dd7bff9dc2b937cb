/* Clients in proportion to what they hold. With replacement (Li et al., 2020, scheme I) a client may be drawn several
 * times: it takes part once, and its change weighs by how often; without, in turn among those that are left. Changes
 * weigh alike otherwise, as samples have had their say in the draw. Costs clients_per_round times the logarithm of the
 * clients with replacement; without, a draw a client. */
#include "method/sampler/sampler.h"

typedef struct weighted_config {
  bool replacement;
} weighted_config;

static const cohort_parameter parameters[] = {
    COHORT_BOOLEAN(weighted_config, replacement, "false",
                   "a client may be drawn several times, which its change then weighs"),
    {.name = NULL},
};

static int64_t most(const void *config, int64_t clients, int64_t wanted) {
  (void)config;
  return wanted < clients ? wanted : clients;
}

/* The client that holds a sample. */
static int64_t holder(const cohort_sampler_round *round, int64_t sample) {
  int64_t low = 0, high = round->clients;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (round->first[middle] <= sample)
      low = middle;
    else
      high = middle;
  }
  return low;
}

static int64_t choose_again(const cohort_sampler_round *round, int64_t *client, double *weight) {
  const double samples = (double)round->first[round->clients];
  int64_t count = 0;
  for (int64_t i = 0; i < round->wanted; i++) {
    const int64_t found = holder(round, (int64_t)(cohort_sampler_fraction(round->key, (uint64_t)i) * samples));
    int64_t at = 0;
    while (at < count && client[at] != found) at++;
    if (at == count) {
      client[count] = found;
      weight[count++] = 0;
    }
    weight[at] += 1.0 / (double)round->wanted;
  }
  return count;
}

static int64_t choose(const void *config, const cohort_sampler_round *round, int64_t *client, double *weight) {
  if (((const weighted_config *)config)->replacement) return choose_again(round, client, weight);
  double *samples = round->memory(round, (size_t)round->clients * sizeof *samples);
  for (int64_t c = 0; c < round->clients; c++) samples[c] = cohort_sampler_samples(round, c);
  const int64_t count = cohort_sampler_race(round, round->key, round->clients, NULL, samples,
                                            most(config, round->clients, round->wanted), client);
  for (int64_t i = 0; i < count; i++) weight[i] = 1.0 / (double)count;
  return count;
}

static const cohort_sampler functions = {.most = most, .choose = choose, .shares = true};

static const cohort_method weighted = {
    .family = "sampler",
    .key = "weighted",
    .summary = "clients drawn in proportion to their samples, with or without replacement; changes then weigh alike",
    .title = "On the Convergence of FedAvg on Non-IID Data",
    .source = "Li, Huang, Yang, Wang and Zhang, ICLR 2020, section 3.1, scheme I; without replacement as Cho et al.",
    .formula =
        "replacement: each of clients_per_round draws is client c with probability n_c / sum n, and weighs "
        "1 / clients_per_round; else the draws are in turn among those left, and weigh 1 / their number",
    .config_size = sizeof(weighted_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_sampler_weighted[] = {&weighted, NULL};
