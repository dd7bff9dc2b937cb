/* Advantages of completion groups for GRPO's clipped loss: by a Beta distribution of prompts' success (BNPO), for the
 * best of k completions (max@k), by tails of the scores of bundles of prompts (RiskPO). Invariant: every advantage is a
 * function of the rollout's rewards alone, and of the quantiles that are kept. Costs a sort within groups, and numbers
 * by completion. */
#include <math.h>
#include <string.h>

#include "method/policy/clip/clip.h"
#include "method/policy/experience/experience.h"

typedef struct group_config {
  cohort_clip clip;
  cohort_shaping shaping;
  int64_t k, bundle;
  int baseline, credit;
  double low, high, rate, mix;
  bool normalise;
} group_config;

enum { BASELINE_NONE, BASELINE_OTHERS };
enum { CREDIT_UNIFORM, CREDIT_DEVIATION };
static const char *const baselines[] = {"none", "others", NULL};
static const char *const credits[] = {"uniform", "deviation", NULL};

static const cohort_parameter bnpo_parameters[] = {
    COHORT_CLIP_BETA(group_config, clip, "0"),
    COHORT_CLIP_BOUNDS(group_config, clip, "0.2", "0.2"),
    COHORT_SHAPING(group_config, shaping, "0"),
    {.name = NULL},
};
static const cohort_parameter maxatk_parameters[] = {
    COHORT_INTEGER_RANGE(group_config, k, "4", 1, 1000, "completions of which the best one counts; at most the group's",
                         .unit = "completions"),
    COHORT_CHOICE(group_config, baseline, "others", baselines,
                  "taken off a subset's best reward: nothing, or its best without the completion"),
    COHORT_CLIP_BOUNDS(group_config, clip, "0.2", "0.2"),
    COHORT_SHAPING(group_config, shaping, "0"),
    {.name = NULL},
};
static const cohort_parameter riskpo_parameters[] = {
    COHORT_INTEGER_RANGE(group_config, bundle, "2", 1, 1000, "prompts whose completions' rewards are added",
                         .unit = "prompts"),
    COHORT_REAL_RANGE(group_config, low, "0.2", 0, true, 1, true, "level of the lower quantile"),
    COHORT_REAL_RANGE(group_config, high, "0.9", 0, true, 1, true, "level of the upper quantile"),
    COHORT_REAL_ATLEAST(group_config, mix, "1.5", 0, "weight of the lower tail beside the middle's 1"),
    COHORT_REAL_ATLEAST(group_config, rate, "0.1", 0, "how fast the quantiles follow the rollouts"),
    COHORT_BOOLEAN(group_config, normalise, "true", "advantages are divided by the deviation of the bundle's scores"),
    COHORT_CHOICE(
        group_config, credit, "deviation", credits,
        "how a bundle's advantage goes to its completions: as it is, or divided by the deviation of the prompt's "
        "rewards"),
    COHORT_CLIP_BOUNDS(group_config, clip, "0.2", "0.2"),
    COHORT_SHAPING(group_config, shaping, "0"),
    {.name = NULL},
};

static unsigned asks(const void *config) {
  const group_config *own = config;
  return cohort_clip_needs(&own->clip) | cohort_shaping_needs(&own->shaping);
}

static unsigned asks_and_keeps(const void *config) { return asks(config) | COHORT_POLICY_KEEPS; }

static void begin(const void *config, double *state) {
  cohort_shaping_begin(&((const group_config *)config)->shaping, state);
}

/* ---- BNPO ---- */

static double beta_density(double p, double alpha, double beta) {
  const double normaliser = lgamma(alpha) + lgamma(beta) - lgamma(alpha + beta);
  const double left = alpha == 1 ? 0 : (alpha - 1) * log(p), right = beta == 1 ? 0 : (beta - 1) * log1p(-p);
  return exp(left + right - normaliser);
}

/* alpha and beta of the density that a group's mean is divided by, from all groups' means. */
static void fit_beta(int64_t groups, const double *p, double *alpha, double *beta) {
  const double mean = groups > 1 ? cohort_experience_mean(groups, p) : 0;
  const double deviation = groups > 1 ? cohort_experience_deviation(groups, p) : 1;
  *alpha = *beta = 1;
  if (deviation == 0) return; /* all prompts alike: no distribution to speak of */
  const double common = mean * (1 - mean) / (deviation * deviation) - 1;
  *alpha = fmax(1, 1 + common * mean / 3);
  *beta = fmax(1, 1 + common * (1 - mean) / 3);
}

static void bnpo_experience(const void *config, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out) {
  const group_config *own = config;
  double *p = out->completion, *advantage = p + rollouts->completions, alpha, beta;
  cohort_experience_shape(&own->shaping, rollouts, out);
  memset(advantage, 0, (size_t)rollouts->completions * sizeof *advantage);
  for (int64_t g = 0; g < rollouts->groups; g++) {
    const int64_t count = rollouts->last[g] - rollouts->first[g];
    p[g] = count > 1 ? cohort_experience_mean(count, out->score + rollouts->first[g]) : 0;
    p[g] = fmin(1, fmax(0, p[g]));
  }
  fit_beta(rollouts->groups, p, &alpha, &beta);
  for (int64_t g = 0; g < rollouts->groups; g++) {
    const double weight = fmin(1e6, 1 / beta_density(p[g], alpha, beta));
    for (int64_t c = rollouts->first[g]; c < rollouts->last[g]; c++)
      advantage[c] = weight * (fmin(1, fmax(0, out->score[c])) - p[g]);
  }
  cohort_experience_spread(rollouts, advantage, out->advantage);
}

/* ---- max@k ---- */

/* C(n, k); 0 where there is no such subset. */
static double subsets(int64_t n, int64_t k) {
  if (k < 0 || k > n) return 0;
  return exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1));
}

/* The numbers of a group's completions by rising reward, equal ones in their order. */
static void sort_group(int64_t count, const double *reward, double *order) {
  for (int64_t i = 0; i < count; i++) {
    int64_t at = i;
    for (; at > 0 && reward[(int64_t)order[at - 1]] > reward[i]; at--) order[at] = order[at - 1];
    order[at] = (double)i;
  }
}

/* Times the group's size: sum over subsets of k with the completion of (best - best without it), over C(n, k). */
static void best_of(const group_config *own, int64_t count, const double *reward, double *order, double *weight) {
  const int64_t k = own->k < count ? own->k : count;
  const bool others = own->baseline == BASELINE_OTHERS;
  const double all = subsets(count, k);
  sort_group(count, reward, order);
  double later = 0; /* of those above: what subsets give in which they are the best */
  for (int64_t i = count; i > 0 && !others; i--) {
    const int64_t c = (int64_t)order[i - 1];
    weight[c] = (double)count * (subsets(i - 1, k - 1) * reward[c] + later) / all;
    later += subsets(i - 2, k - 2) * reward[c];
  }
  double below = 0;
  for (int64_t i = 1; i <= count && others && k > 1; i++) {
    const int64_t c = (int64_t)order[i - 1];
    weight[c] = (double)count * (subsets(i - 1, k - 1) * reward[c] - below) / all;
    below += subsets(i - 1, k - 2) * reward[c];
  }
  const double mean = cohort_experience_mean(count, reward);
  for (int64_t c = 0; c < count && others && k == 1; c++)
    weight[c] = count > 1 ? (reward[c] - mean) * (double)count / (double)(count - 1) : reward[c];
}

static void maxatk_experience(const void *config, const cohort_policy_rollouts *rollouts,
                              cohort_policy_experience *out) {
  const group_config *own = config;
  double *order = out->completion, *advantage = order + rollouts->completions;
  cohort_experience_shape(&own->shaping, rollouts, out);
  memset(advantage, 0, (size_t)rollouts->completions * sizeof *advantage);
  for (int64_t g = 0; g < rollouts->groups; g++) {
    const int64_t first = rollouts->first[g], count = rollouts->last[g] - first;
    best_of(own, count, out->score + first, order + first, advantage + first);
  }
  cohort_experience_spread(rollouts, advantage, out->advantage);
}

/* ---- RiskPO ---- */

enum { KL_WEIGHT, QUANTILE_LOW, QUANTILE_HIGH, BEGUN };

/* Linear between the two nearest of the sorted numbers. */
static double quantile(int64_t count, const double *sorted, double level) {
  const double at = level * (double)(count - 1);
  const int64_t below = (int64_t)at, above = below + 1 < count ? below + 1 : below;
  return sorted[below] + (at - (double)below) * (sorted[above] - sorted[below]);
}

static void insert(int64_t count, double *sorted, double x) {
  int64_t at = count;
  for (; at > 0 && sorted[at - 1] > x; at--) sorted[at] = sorted[at - 1];
  sorted[at] = x;
}

/* A bundle's scores: of completion i of every prompt, their sum. Returns how many there are: as many as the smallest
 * group has. */
static int64_t bundle_scores(const cohort_policy_rollouts *rollouts, int64_t g, int64_t end, const double *reward,
                             double *score) {
  int64_t count = rollouts->last[g] - rollouts->first[g];
  for (int64_t h = g; h < end; h++)
    if (rollouts->last[h] - rollouts->first[h] < count) count = rollouts->last[h] - rollouts->first[h];
  for (int64_t i = 0; i < count; i++) {
    score[i] = 0;
    for (int64_t h = g; h < end; h++) score[i] += reward[rollouts->first[h] + i];
  }
  return count;
}

static double tails(const group_config *own, double score, double low, double high) {
  static const double epsilon = 1e-6;
  const double middle = (fmax(score - low, 0) - fmax(score - high, 0) + low - high) / (own->high - own->low + epsilon);
  return (own->mix * -fmax(low - score, 0) / (own->low + epsilon) + middle) / (own->mix + 1);
}

static void give_bundle(const group_config *own, const cohort_policy_rollouts *rollouts, int64_t g, int64_t end,
                        int64_t count, const double *score, const double quantiles[2], const double *reward,
                        double *advantage) {
  static const double epsilon = 1e-6;
  const double deviation = count > 1 ? cohort_experience_deviation(count, score) : 1;
  for (int64_t h = g; h < end; h++) {
    const int64_t first = rollouts->first[h];
    double own_deviation = cohort_experience_deviation(rollouts->last[h] - first, reward + first);
    if (own_deviation <= 1e-3) own_deviation = 1;
    for (int64_t i = 0; i < count; i++) {
      double a = tails(own, score[i], quantiles[0], quantiles[1]);
      if (own->normalise) a /= deviation + epsilon;
      advantage[first + i] = own->credit == CREDIT_DEVIATION ? a / (own_deviation + epsilon) : a;
    }
  }
}

/* Quantiles as they were kept serve this rollout, and then follow it; at first those of each bundle do, and those of
 * all are kept. */
static void riskpo_experience(const void *config, const cohort_policy_rollouts *rollouts,
                              cohort_policy_experience *out) {
  const group_config *own = config;
  const int64_t all = rollouts->completions;
  double *advantage = out->completion, *score = advantage + all, *sorted = score + all, *bundle = sorted + all;
  const double level[2] = {own->low, own->high};
  double kept[2] = {rollouts->state[QUANTILE_LOW], rollouts->state[QUANTILE_HIGH]};
  const bool begun = rollouts->state[BEGUN] > 0;
  int64_t scores = 0;
  double below[2] = {0, 0};
  cohort_experience_shape(&own->shaping, rollouts, out);
  memset(advantage, 0, (size_t)all * sizeof *advantage);
  for (int64_t g = 0; g < rollouts->groups; g += own->bundle) {
    const int64_t end = g + own->bundle < rollouts->groups ? g + own->bundle : rollouts->groups;
    const int64_t count = bundle_scores(rollouts, g, end, out->score, score);
    double used[2] = {kept[0], kept[1]};
    for (int64_t i = 0; i < count; i++) {
      insert(i, bundle, score[i]);
      insert(scores++, sorted, score[i]);
      for (int q = 0; q < 2; q++) below[q] += score[i] < kept[q];
    }
    for (int q = 0; q < 2 && !begun && count > 0; q++) used[q] = quantile(count, bundle, level[q]);
    give_bundle(own, rollouts, g, end, count, score, used, out->score, advantage);
  }
  for (int q = 0; q < 2 && scores > 0; q++)
    out->next[QUANTILE_LOW + q] =
        begun ? kept[q] + own->rate * (level[q] - below[q] / (double)scores) : quantile(scores, sorted, level[q]);
  out->next[BEGUN] = 1;
  cohort_experience_spread(rollouts, advantage, out->advantage);
}

/* ---- */

static cohort_policy_outputs build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  cohort_clip clip = ((const group_config *)config)->clip;
  clip.loss = COHORT_CLIP_DAPO;
  return cohort_clip_build(&clip, graph, fields);
}

/* Sums of tokens: a completion's gradient is its weight times that of its log-probability. */
static cohort_policy_outputs maxatk_build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  cohort_clip clip = ((const group_config *)config)->clip;
  clip.loss = COHORT_CLIP_LUSPO;
  return cohort_clip_build(&clip, graph, fields);
}

static const cohort_policy bnpo_functions = {.asks = asks,
                                             .state = {"policy/kl_coefficient"},
                                             .begin = begin,
                                             .experience = bnpo_experience,
                                             .build = build,
                                             .column = {"policy/clip_ratio", "policy/kl"}};
static const cohort_policy maxatk_functions = {.asks = asks,
                                               .state = {"policy/kl_coefficient"},
                                               .begin = begin,
                                               .experience = maxatk_experience,
                                               .build = maxatk_build,
                                               .column = {"policy/clip_ratio"}};
static const cohort_policy riskpo_functions = {
    .asks = asks_and_keeps,
    .state = {"policy/kl_coefficient", "policy/quantile_low", "policy/quantile_high", "policy/quantiles_begun"},
    .begin = begin,
    .experience = riskpo_experience,
    .build = build,
    .column = {"policy/clip_ratio"}};

static cohort_status check_levels(const void *config, cohort_error *error) {
  const group_config *own = config;
  if (own->low < own->high) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG, "low is %g and high %g; low must be below high", own->low, own->high);
}

static const cohort_method bnpo = {
    .family = "policy",
    .key = "bnpo",
    .summary = "advantages over the density of the prompt's success rate in a Beta distribution of all prompts'",
    .title = "BNPO: Beta Normalization Policy Optimization",
    .source = "Xiao et al., 2025, section 4, and the authors' code; TRL's loss_type bnpo is a mean over tokens alone",
    .formula =
        "p = mean reward of the group; a, b by moments of all p; A = (r - p) / Beta(p; max(1, 1 + a / 3), max(1, 1 + b "
        "/ 3)), at most 1e6 times r - p; rewards within 0 and 1; the clipped loss, mean over all tokens",
    .config_size = sizeof(group_config),
    .parameters = bnpo_parameters,
    .functions = &bnpo_functions,
};

static const cohort_method maxatk = {
    .family = "policy",
    .key = "maxatk",
    .summary = "the gradient of the expected best of k completions",
    .title = "The Best of N Worlds: Aligning Reinforcement Learning with Best-of-N Sampling via max@k Optimisation",
    .source = "Bagirov et al., 2025; baseline: Walder and Karkhanis, Pass@K policy optimization, 2025, section 4",
    .formula =
        "A = n / C(n, k) times the sum over subsets of k of the group with the completion of (best reward - best "
        "without it); -min(w A, clamp(w) A) summed over tokens, mean over completions",
    .config_size = sizeof(group_config),
    .parameters = maxatk_parameters,
    .functions = &maxatk_functions,
};

static const cohort_method riskpo = {
    .family = "policy",
    .key = "riskpo",
    .summary = "advantages of the lower tail and the middle of the scores of bundles of prompts",
    .title = "RiskPO: Risk-based Policy Optimization via Verifiable Reward for LLM Post-Training",
    .source = "Ren et al., 2025, and the authors' code (quantiles tracked)",
    .formula =
        "s = sum over a bundle's prompts; middle = (max(s - q_low, 0) - max(s - q_high, 0) + q_low - q_high) / (high - "
        "low), tail = -max(q_low - s, 0) / low; A = (mix tail + middle) / (mix + 1), over the deviation of the "
        "bundle's scores; q += rate (level - share of scores below q); the clipped loss, mean over all tokens",
    .config_size = sizeof(group_config),
    .parameters = riskpo_parameters,
    .check = check_levels,
    .functions = &riskpo_functions,
};

const cohort_method *const cohort_policy_group[] = {&bnpo, &maxatk, &riskpo, NULL};
