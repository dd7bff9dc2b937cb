/* Power of choice (Cho et al., 2022): of candidates that are drawn by their samples, those with the highest loss.
 * Losses are asked for, at the round's weights, or are those of the clients' last rounds, which costs nothing; who
 * never took part counts as highest then. Changes weigh alike. Costs a draw a client, and a pass over the candidates'
 * samples. */
#include "method/sampler/sampler.h"

enum { CURRENT, LAST };
static const char *const estimates[] = {"current", "last", NULL};

typedef struct power_config {
  int64_t candidates;
  int estimate;
} power_config;

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(power_config, candidates, "20", 1, 1e7,
                         "clients whose losses are compared, at least as many as are wanted", .unit = "clients"),
    COHORT_CHOICE(
        power_config, estimate, "current", estimates,
        "current: losses of all their samples at the round's weights; last: as they were when they took part"),
    {.name = NULL},
};

static const char *const number[] = {"loss", NULL};

static int64_t most(const void *config, int64_t clients, int64_t wanted) {
  (void)config;
  return wanted < clients ? wanted : clients;
}

static bool asks(const void *config) { return ((const power_config *)config)->estimate == CURRENT; }

static int64_t choose(const void *config, const cohort_sampler_round *round, int64_t *client, double *weight) {
  const power_config *own = config;
  const int64_t wanted = most(config, round->clients, round->wanted);
  const int64_t compared = own->candidates < wanted           ? wanted
                           : own->candidates > round->clients ? round->clients
                                                              : own->candidates;
  double *samples = round->memory(round, (size_t)round->clients * sizeof *samples);
  int64_t *candidate = round->memory(round, (size_t)compared * sizeof *candidate);
  double *loss = round->memory(round, (size_t)compared * sizeof *loss), *value = samples;
  for (int64_t c = 0; c < round->clients; c++) samples[c] = cohort_sampler_samples(round, c);
  const int64_t found = cohort_sampler_race(round, round->key, round->clients, NULL, samples, compared, candidate);
  if (asks(config)) round->ask(round, found, candidate, loss);
  for (int64_t c = 0; c < round->clients; c++) value[c] = NAN;
  for (int64_t i = 0; i < found; i++) {
    const double known = asks(config) ? loss[i] : round->numbers[candidate[i]];
    value[candidate[i]] = isnan(known) ? INFINITY : known;
  }
  const int64_t count = cohort_sampler_largest(round, value, wanted, client);
  for (int64_t i = 0; i < count; i++) weight[i] = 1.0 / (double)count;
  return count;
}

static void learn(const void *config, const cohort_sampler_round *round, const cohort_sampler_outcome *outcome) {
  (void)config;
  for (int64_t i = 0; i < outcome->present; i++) round->numbers[outcome->client[i]] = outcome->loss[i];
}

static const cohort_sampler functions = {
    .most = most, .choose = choose, .shares = true, .numbers = 1, .number = number, .learn = learn, .asks = asks};

static const cohort_method powerofchoice = {
    .family = "sampler",
    .key = "powerofchoice",
    .summary = "of candidates drawn by their samples, those with the highest loss",
    .title = "Towards Understanding Biased Client Selection in Federated Learning",
    .source = "Cho, Wang and Joshi, AISTATS 2022, section 4: pi_pow-d; estimate last: pi_rpow-d",
    .formula =
        "d candidates are drawn without replacement in proportion to n_c; of these the clients_per_round with the "
        "largest F_c(w) take part, and weigh alike",
    .config_size = sizeof(power_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_sampler_powerofchoice[] = {&powerofchoice, NULL};
