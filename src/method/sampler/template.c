/* A complete sampler to start from: copy this file to src/method/sampler/NAME.c, build, and NAME is a method like any
 * other: in `cohort methods sampler`, in `cohort probe sampler`, in configs (federated.sampler) and under the contract
 * tests. As it stands clients take turns, a block of them each round. */
#include "method/sampler/sampler.h"

static int64_t most(const void *config, int64_t clients, int64_t wanted) {
  (void)config;
  return wanted < clients ? wanted : clients;
}

/* A function of the round and of what `learn` has kept (round->numbers, round->totals; oort.c does). */
static int64_t choose(const void *config, const cohort_sampler_round *round, int64_t *client, double *weight) {
  (void)weight;
  const int64_t count = most(config, round->clients, round->wanted);
  for (int64_t i = 0; i < count; i++) client[i] = (round->number * count + i) % round->clients;
  return count;
}

static const cohort_sampler functions = {.most = most, .choose = choose};

static const cohort_method method = {
    .family = "sampler",
    .key = COHORT_FILE_KEY,
    .summary = "clients in turns (a template)",
    .source = "the template of the family sampler",
    .formula = "clients (t k + i) mod clients, i from 0 to before k = clients_per_round",
    .functions = &functions,
};

COHORT_METHOD_FILE(sampler, COHORT_FILE) = {&method, NULL};
