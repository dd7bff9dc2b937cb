/* Every client by itself, with the same probability: what accountants of privacy assume. How many come is binomial, and
 * may be nobody. Costs a draw a client. */
#include "method/sampler/sampler.h"

static int64_t most(const void *config, int64_t clients, int64_t wanted) {
  (void)config, (void)wanted;
  return clients;
}

static int64_t choose(const void *config, const cohort_sampler_round *round, int64_t *client, double *weight) {
  (void)config, (void)weight;
  const double rate = (double)round->wanted / (double)round->clients;
  int64_t count = 0;
  for (int64_t c = 0; c < round->clients; c++)
    if (cohort_sampler_fraction(round->key, (uint64_t)c) < rate) client[count++] = c;
  return count;
}

static const cohort_sampler functions = {.most = most, .choose = choose};

static const cohort_method poisson = {
    .family = "sampler",
    .key = "poisson",
    .summary = "each client by itself with probability clients_per_round / clients; a round may have nobody",
    .title = "Learning Differentially Private Recurrent Language Models",
    .source = "McMahan, Ramage, Talwar and Zhang, ICLR 2018, Algorithm 1",
    .formula = "client c takes part when u_c < clients_per_round / clients, u_c uniform and drawn anew in each round",
    .functions = &functions,
};

const cohort_method *const cohort_sampler_poisson[] = {&poisson, NULL};
