/* Clients in turn, so that nobody comes again before all others have: what noise that rounds share (dpftrl, banded) can
 * count on. Costs the clients that are wanted. */
#include "method/sampler/sampler.h"

static int64_t most(const void *config, int64_t clients, int64_t wanted) {
  (void)config;
  return wanted < clients ? wanted : clients;
}

static int64_t choose(const void *config, const cohort_sampler_round *round, int64_t *client, double *weight) {
  (void)weight;
  const int64_t count = most(config, round->clients, round->wanted);
  for (int64_t i = 0; i < count; i++) client[i] = (round->number % round->clients * count + i) % round->clients;
  return count;
}

static const cohort_sampler functions = {.most = most, .choose = choose};

static const cohort_method method = {
    .family = "sampler",
    .key = COHORT_FILE_KEY,
    .summary = "clients in turn, by number: each comes again after clients / clients_per_round rounds",
    .source = "Kairouz, McMahan, Song, Thakkar, Thakurta and Xu, ICML 2021, section 4 (a fixed order of the clients)",
    .formula = "round t has the clients t k, ..., t k + k - 1 modulo all, k = clients_per_round",
    .functions = &functions,
};

COHORT_METHOD_FILE(sampler, COHORT_FILE) = {&method, NULL};
