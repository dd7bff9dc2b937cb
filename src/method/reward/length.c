/* Rewards of a completion's length in tokens: its distance from a target; and the soft punishment of overlong ones. */
#include <stdlib.h>

#include "method/reward/reward.h"

typedef struct length_config {
  int64_t target;
  double alpha;
} length_config;

static const cohort_parameter length_parameters[] = {
    COHORT_INTEGER_RANGE(length_config, target, NULL, 0, 1e9, "length that is wanted", .unit = "tokens"),
    COHORT_REAL_ATLEAST(length_config, alpha, "0.0003", 0, "price of a token too many or too few", .sweep_low = 1e-4,
                        .sweep_high = 0.1, .sweep_log = true),
    {.name = NULL},
};

static void score_length(const void *config, const void *opened, const cohort_reward_batch *batch,
                         const double *const *given, double *reward) {
  const length_config *own = config;
  (void)opened, (void)given;
  for (int64_t i = 0; i < batch->completions; i++)
    reward[i] = -own->alpha * (double)llabs((long long)(own->target - batch->completion[i].tokens));
}

typedef struct overlong_config {
  int64_t most, cache;
} overlong_config;

static const cohort_parameter overlong_parameters[] = {
    COHORT_INTEGER_RANGE(overlong_config, most, "0", 0, 1e9,
                         "length beyond which the punishment is whole; 0: the longest that is allowed",
                         .unit = "tokens"),
    COHORT_INTEGER_RANGE(overlong_config, cache, "4", 0, 1e9, "tokens before that over which it grows; 0: at once",
                         .unit = "tokens"),
    {.name = NULL},
};

static void score_overlong(const void *config, const void *opened, const cohort_reward_batch *batch,
                           const double *const *given, double *reward) {
  const overlong_config *own = config;
  const int64_t most = own->most ? own->most : batch->limit;
  (void)opened, (void)given;
  for (int64_t i = 0; i < batch->completions; i++) {
    const int64_t over = batch->completion[i].tokens - (most - own->cache);
    reward[i] = over <= 0 ? 0 : over > own->cache ? -1 : -(double)over / (double)own->cache;
  }
}

static const cohort_reward length_functions = {.score = score_length};
static const cohort_reward overlong_functions = {.score = score_overlong};

static const cohort_method length = {
    .family = "reward",
    .key = "length",
    .summary = "a price for every token that a completion is away from a length",
    .title = "L1: Controlling How Long A Reasoning Model Thinks With Reinforcement Learning",
    .source =
        "Aggarwal and Welleck, L1, 2025, equation 1 (LCPO-Exact), the term of the length; add the answer's by sum",
    .formula = "r = -alpha |target - tokens|",
    .config_size = sizeof(length_config),
    .parameters = length_parameters,
    .functions = &length_functions,
};

static const cohort_method overlong = {
    .family = "reward",
    .key = "overlong",
    .summary = "soft punishment of overlong completions",
    .title = "DAPO: An Open-Source LLM Reinforcement Learning System at Scale",
    .source = "Yu et al., DAPO, 2025, equation 13",
    .formula = "r = 0 up to most - cache tokens, then falls in a line to -1 at most, and is -1 beyond",
    .config_size = sizeof(overlong_config),
    .parameters = overlong_parameters,
    .functions = &overlong_functions,
};

COHORT_METHOD_FILE(reward, COHORT_FILE) = {&length, &overlong, NULL};
