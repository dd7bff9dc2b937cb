/* DP-FTRL's noise: sums of changes are released by a binary tree over rounds, so that their noise grows with the
 * logarithm of the rounds. A round's noise is that of the sum so far minus that of the sum before: the nodes that the
 * round completes, minus those that they replace, each drawn again from its key; nothing is kept. A round costs two
 * normal numbers an element on average. */
#include "method/privacy/mechanism.h"

typedef struct dpftrl_config {
  cohort_privacy_settings common;
  int64_t restart, separation;
} dpftrl_config;

enum { RDP, PLD };
static const char *const accountants[] = {"rdp", "pld", NULL};

static const cohort_parameter parameters[] = {
    COHORT_PRIVACY_PARAMETERS(dpftrl_config, "rdp", accountants),
    COHORT_INTEGER_RANGE(dpftrl_config, restart, "0", 0, 1e12, "rounds after which a new tree begins; 0: one tree",
                         .unit = "rounds"),
    COHORT_INTEGER_RANGE(dpftrl_config, separation, "1", 1, 1e12,
                         "a client takes part at most once in so many rounds; 1: always true", .unit = "rounds"),
    {.name = NULL},
};

/* The square of how much a client that takes part in rounds 0, s, 2 s ... of each tree adds to its nodes, in units of
 * the bound. A node of 2^l rounds has at most ceil(2^l / s) of them. */
static double square_of_tree(int64_t rounds, int64_t separation) {
  double sum = 0;
  for (int64_t size = 1; size <= rounds; size *= 2) {
    const int64_t nodes = rounds / size, times = (rounds + separation - 1) / separation;
    const int64_t most = (size + separation - 1) / separation;
    /* As many nodes as there are, or as hold all times that it takes part. */
    const int64_t full = nodes < (times + most - 1) / most ? nodes : (times + most - 1) / most;
    sum += (double)full * (double)most * (double)most;
  }
  return sum;
}

static double epsilon(const void *config, const cohort_privacy_use *use, cohort_privacy_room *room) {
  const dpftrl_config *own = config;
  const int64_t size = own->restart ? own->restart : use->steps, trees = use->steps / size, rest = use->steps % size;
  const int64_t times = (use->steps + own->separation - 1) / own->separation; /* that it takes part: in no more trees */
  double square = (double)(times < trees ? times : trees) * square_of_tree(size, own->separation);
  if (times > trees) square += square_of_tree(rest, own->separation);
  const cohort_privacy_use whole = {use->noise / sqrt(square), 1, 1, use->delta};
  return own->common.accountant == PLD ? cohort_pld_epsilon(&cohort_law_gaussian, &whole, room)
                                       : cohort_rdp_epsilon(&cohort_law_gaussian, &whole, room);
}

static bool samples(const void *config) {
  (void)config;
  return false;
}

static void add_node(double scale, cohort_random_key tree, int level, int64_t node, int64_t first, int64_t n,
                     double *out) {
  const cohort_random_key key =
      cohort_random_key_derive(cohort_random_key_derive(tree, (uint64_t)level), (uint64_t)node);
  for (int64_t i = 0; i < n; i++) out[i] += scale * cohort_random_normal_at(key, 0, (uint64_t)(first + i));
}

/* The sum of t rounds is made of one node for every bit of t. With round t - 1 the trailing ones of t - 1 go, and the
 * node above them comes. */
static void fill(const void *config, double scale, cohort_random_key key, int64_t round, int64_t first, int64_t n,
                 double *out) {
  const dpftrl_config *own = config;
  const int64_t number = own->restart ? round / own->restart : 0, at = own->restart ? round % own->restart : round;
  const cohort_random_key tree = cohort_random_key_derive(key, (uint64_t)number);
  for (int64_t i = 0; i < n; i++) out[i] = 0;
  int level = 0;
  for (; (at >> level) & 1; level++) add_node(-scale, tree, level, (at >> level) - 1, first, n, out);
  add_node(scale, tree, level, at >> level, first, n, out);
}

static const cohort_privacy functions = {
    .epsilon = epsilon, .samples = samples, .norm = 2, .fill = fill, .correlated = true};

static const cohort_method method = {
    .family = "privacy",
    .key = COHORT_FILE_KEY,
    .summary = "noise of a binary tree over rounds (DP-FTRL): no sampling needed, and less of it on the weights",
    .title = "Practical and Private (Deep) Learning without Sampling or Shuffling",
    .source =
        "Kairouz, McMahan, Song, Thakkar, Thakurta and Xu, ICML 2021, Algorithm 1 and section 4; tree: Dwork, "
        "Naor, Pitassi and Rothblum, STOC 2010",
    .formula =
        "noise of round t = N(t + 1) - N(t), N(t) = noise clip times the sum of one z a node of the binary digits of "
        "t; "
        "epsilon of one Gaussian release whose contribution is sqrt(sum over nodes of (times in the node)^2)",
    .config_size = sizeof(dpftrl_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(privacy, COHORT_FILE) = {&method, NULL};
