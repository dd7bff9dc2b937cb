/* Oort (Lai et al., 2021): clients of high utility, which is loss times samples, more so the longer they were away and
 * less so if they are slow; a falling share of the places is for clients that never took part. Costs a sort of the
 * clients a round. */
#include "method/sampler/sampler.h"

typedef struct oort_config {
  double exploration, decay, least, clip, cutoff, window, penalty, threshold, pace;
  int64_t pacer;
} oort_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_RANGE(oort_config, exploration, "0.9", 0, false, 1, false,
                      "share of the places for clients that never took part, at the start"),
    COHORT_REAL_RANGE(oort_config, decay, "0.98", 0, true, 1, false, "of that share, each round"),
    COHORT_REAL_RANGE(oort_config, least, "0.2", 0, false, 1, false, "that share at least"),
    COHORT_REAL_RANGE(oort_config, clip, "0.9", 0, true, 1, false, "quantile that utilities are cut to"),
    COHORT_REAL_RANGE(oort_config, cutoff, "0.95", 0, false, 1, false,
                      "of the utility of the last place: who has this much may be drawn"),
    COHORT_REAL_RANGE(oort_config, window, "5", 1, false, 1e6, false,
                      "new clients that are considered, for each that is drawn"),
    COHORT_REAL_ATLEAST(oort_config, penalty, "2", 0, "power of (preferred time / own time) for slow clients"),
    COHORT_REAL_RANGE(oort_config, threshold, "30", 0, true, 100, false,
                      "percentage of the clients that finish in the preferred time, at the start", .unit = "percent"),
    COHORT_REAL_RANGE(oort_config, pace, "5", 0, false, 100, false, "change of that percentage", .unit = "percent"),
    COHORT_INTEGER_RANGE(oort_config, pacer, "20", 1, 1e9, "after how many rounds that percentage may change",
                         .unit = "rounds"),
    {.name = NULL},
};

enum { UTILITY, LAST, NUMBERS };
enum { CHANGE, SUM, BEFORE, TOTALS }; /* of the percentage; utilities of this window, of the one before */
static const char *const number[] = {"utility", "last", NULL};
static const char *const total[] = {"change", "sum", "before", NULL};

static double utility_of(const cohort_sampler_round *round, int64_t client) {
  return round->numbers[client * NUMBERS + UTILITY];
}

static bool is_new(const cohort_sampler_round *round, int64_t client) { return isnan(utility_of(round, client)); }

static int64_t most(const void *config, int64_t clients, int64_t wanted) {
  (void)config;
  return wanted < clients ? wanted : clients;
}

/* The value at a place of the ascending order of those that are numbers; `count` of them. */
static double at_place(const cohort_sampler_round *round, const double *value, int64_t count, int64_t place) {
  int64_t *client = round->memory(round, (size_t)(count + 1) * sizeof *client);
  return value[client[cohort_sampler_largest(round, value, count - place, client) - 1]];
}

/* The time in which the percentage of all clients finishes. */
static double preferred_time(const oort_config *own, const cohort_sampler_round *round) {
  const double percent = own->threshold + round->totals[CHANGE];
  if (!round->seconds || percent >= 100) return INFINITY;
  double *seconds = round->memory(round, (size_t)round->clients * sizeof *seconds);
  for (int64_t c = 0; c < round->clients; c++) seconds[c] = round->seconds(round, c);
  const int64_t place = (int64_t)((double)round->clients * percent / 100);
  return at_place(round, seconds, round->clients, place < round->clients ? place : round->clients - 1);
}

static double slowed(const oort_config *own, const cohort_sampler_round *round, double preferred, int64_t client) {
  const double seconds = round->seconds ? round->seconds(round, client) : 0;
  return seconds > preferred ? pow(preferred / (seconds > 1e-4 ? seconds : 1e-4), own->penalty) : 1;
}

/* Scores of clients that took part; NAN of the others. Returns how many there are. */
static int64_t score(const oort_config *own, const cohort_sampler_round *round, double preferred, double *scores) {
  const double now = (double)round->number + 1;
  double lowest = INFINITY, highest = -INFINITY;
  int64_t count = 0;
  for (int64_t c = 0; c < round->clients; c++) {
    scores[c] = utility_of(round, c);
    if (is_new(round, c)) continue;
    lowest = fmin(lowest, scores[c]);
    highest = fmax(highest, scores[c]);
    count++;
  }
  if (!count) return 0;
  const int64_t place = (int64_t)((double)count * own->clip);
  const double bound = at_place(round, scores, count, place < count ? place : count - 1);
  const double base = lowest * 0.999, range = fmax(highest - base, 1e-4);
  for (int64_t c = 0; c < round->clients; c++) {
    if (is_new(round, c)) continue;
    const double away = sqrt(0.1 * log(now) / round->numbers[c * NUMBERS + LAST]);
    scores[c] = ((fmin(scores[c], bound) - base) / range + away) * slowed(own, round, preferred, c);
  }
  return count;
}

/* Places for those who took part: drawn by score from all that are near the last one's. */
static int64_t exploit(const oort_config *own, const cohort_sampler_round *round, double *scores, int64_t known,
                       int64_t places, int64_t *client) {
  if (places < 1) return 0;
  const double last = at_place(round, scores, known, places < known ? known - 1 - places : 0);
  for (int64_t c = 0; c < round->clients; c++)
    if (!(scores[c] >= last * own->cutoff)) scores[c] = 0;
  for (int64_t c = 0; c < round->clients; c++)
    if (scores[c] > 0) scores[c] = fmax(scores[c], 1e-12);
  return cohort_sampler_race(round, cohort_random_key_derive_name(round->key, "exploit"), round->clients, NULL, scores,
                             places, client);
}

/* Places for new clients: the ones with most samples, less the slower they are. */
static int64_t explore(const oort_config *own, const cohort_sampler_round *round, double preferred, int64_t places,
                       int64_t *client) {
  double *value = round->memory(round, (size_t)round->clients * sizeof *value);
  int64_t fresh = 0;
  for (int64_t c = 0; c < round->clients; c++) {
    value[c] = NAN;
    if (!is_new(round, c)) continue;
    value[c] = cohort_sampler_samples(round, c) * slowed(own, round, preferred, c);
    fresh++;
  }
  if (places > fresh) places = fresh;
  const double window = own->window * (double)places;
  const int64_t considered = window < (double)fresh ? (int64_t)window : fresh;
  int64_t *among = round->memory(round, (size_t)(considered + 1) * sizeof *among);
  double *weight = round->memory(round, (size_t)(considered + 1) * sizeof *weight);
  const int64_t found = cohort_sampler_largest(round, value, considered, among);
  for (int64_t i = 0; i < found; i++) weight[i] = fmax(value[among[i]], 1e-12);
  return cohort_sampler_race(round, cohort_random_key_derive_name(round->key, "explore"), found, among, weight, places,
                             client);
}

/* What is left goes to any. */
static int64_t fill(const cohort_sampler_round *round, int64_t count, int64_t wanted, int64_t *client) {
  bool *taken = round->memory(round, (size_t)round->clients * sizeof *taken);
  for (int64_t i = 0; i < count; i++) taken[client[i]] = true;
  for (int64_t i = 0; count < wanted; i++) {
    const int64_t c = (int64_t)cohort_random_permute(round->key, (uint64_t)round->clients, (uint64_t)i);
    if (!taken[c]) client[count++] = c;
  }
  return count;
}

static int64_t choose(const void *config, const cohort_sampler_round *round, int64_t *client, double *weight) {
  (void)weight;
  const oort_config *own = config;
  const int64_t wanted = most(config, round->clients, round->wanted);
  double *scores = round->memory(round, (size_t)round->clients * sizeof *scores);
  const double preferred = preferred_time(own, round);
  const int64_t known = score(own, round, preferred, scores);
  const double share =
      known == round->clients ? 0 : fmax(own->least, own->exploration * pow(own->decay, (double)round->number + 1));
  const int64_t places = (int64_t)((double)wanted * (1 - share));
  int64_t count = exploit(own, round, scores, known, places < known ? places : known, client);
  count += explore(own, round, preferred, wanted - count, client + count);
  return fill(round, count, wanted, client);
}

/* The percentage rises where utilities stay the same from window to window, and falls where they change sharply. */
static void pace(const oort_config *own, const cohort_sampler_round *round, double gained) {
  const int64_t now = round->number + 2;
  double *totals = round->totals;
  totals[SUM] += gained;
  if (now % own->pacer) return;
  const double change = fabs(totals[SUM] - totals[BEFORE]), percent = own->threshold + totals[CHANGE];
  if (now >= 2 * own->pacer) {
    if (change <= 0.1 * totals[BEFORE])
      totals[CHANGE] = fmin(100, percent + own->pace) - own->threshold;
    else if (change >= 5 * totals[BEFORE])
      totals[CHANGE] = fmax(own->pace, percent - own->pace) - own->threshold;
  }
  totals[BEFORE] = totals[SUM];
  totals[SUM] = 0;
}

static void learn(const void *config, const cohort_sampler_round *round, const cohort_sampler_outcome *outcome) {
  double sum = 0, count = 1e-4;
  for (int64_t i = 0; i < outcome->present; i++) {
    const int64_t client = outcome->client[i];
    const double utility = cohort_sampler_samples(round, client) * fabs(outcome->loss[i]);
    if (!is_new(round, client)) {
      sum += utility;
      count += 1;
    }
    round->numbers[client * NUMBERS + UTILITY] = utility;
    round->numbers[client * NUMBERS + LAST] = (double)round->number + 1;
  }
  pace(config, round, sum / count);
}

static const cohort_sampler functions = {.most = most,
                                         .choose = choose,
                                         .numbers = NUMBERS,
                                         .totals = TOTALS,
                                         .number = number,
                                         .total = total,
                                         .learn = learn};

static const cohort_method oort = {
    .family = "sampler",
    .key = "oort",
    .summary = "clients whose samples have high losses and who are fast, with places for clients that are new",
    .title = "Oort: Efficient Federated Learning via Guided Participant Selection",
    .source =
        "Lai, Zhu, Madhyastha and Chowdhury, OSDI 2021, Algorithm 1, as in SymbioticLab/Oort oort/oort.py; the mean "
        "loss "
        "of a client's steps stands for the root mean square of its samples' losses, and no client is blacklisted",
    .formula =
        "U_c = n_c loss_c; score = (min(U_c, quantile(U, clip)) - 0.999 min U) / (max U - 0.999 min U) + "
        "sqrt(0.1 ln t / last_c), times (T / t_c)^penalty where t_c > T; a share 1 - e of the places is drawn by score "
        "from those above cutoff times the last place's score, the rest among new clients by n_c; "
        "e = max(least, exploration decay^t)",
    .config_size = sizeof(oort_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_sampler_oort[] = {&oort, NULL};
