/* GRPO and what became of it, as methods that differ in what is fixed and in their defaults: advantages within a
 * completion group, ratios to the policy that wrote, a clip or a soft gate, and a normaliser. Invariant: rewards that
 * are equal within a group give no advantage. Costs elementwise passes. */
#include <string.h>

#include "method/policy/clip/clip.h"
#include "method/policy/experience/experience.h"

typedef struct grpo_config {
  cohort_clip clip;
  cohort_shaping shaping;
  int scale, combine;
} grpo_config;

enum { SUM_THEN_NORMALISE, NORMALISE_THEN_SUM };
static const char *const scales[] = {"none", "group", "batch", NULL}; /* cohort_reward_scale */
static const char *const combinations[] = {"sum_then_normalise", "normalise_then_sum", NULL};
static const double epsilon = 1e-4; /* beside the deviation */

#define SCALE(standard)                     \
  COHORT_CHOICE(                            \
      grpo_config, scale, standard, scales, \
      "what centred rewards are divided by: the deviation within their group, that of the batch, or nothing")
#define COMBINE                                                           \
  COHORT_CHOICE(grpo_config, combine, "sum_then_normalise", combinations, \
                "of several rewards the weighted sum is centred and scaled; or each by itself, and their sum again")

static const cohort_parameter grpo_parameters[] = {
    COHORT_CLIP_LOSS(grpo_config, clip, "dapo"),
    COHORT_CLIP_RATIO(grpo_config, clip, "token"),
    COHORT_CLIP_BETA(grpo_config, clip, "0"),
    COHORT_CLIP_BOUNDS(grpo_config, clip, "0.2", "0.2"),
    COHORT_CLIP_DELTA(grpo_config, clip),
    SCALE("group"),
    COMBINE,
    COHORT_SHAPING(grpo_config, shaping, "0"),
    {.name = NULL},
};
static const cohort_parameter dapo_parameters[] = {
    COHORT_CLIP_BOUNDS(grpo_config, clip, "0.2", "0.28"),
    SCALE("group"),
    COHORT_SHAPING(grpo_config, shaping, "0"),
    {.name = NULL},
};
static const cohort_parameter drgrpo_parameters[] = {
    COHORT_CLIP_BETA(grpo_config, clip, "0"),
    COHORT_CLIP_BOUNDS(grpo_config, clip, "0.2", "0.2"),
    COHORT_SHAPING(grpo_config, shaping, "0"),
    {.name = NULL},
};
static const cohort_parameter gspo_parameters[] = {
    COHORT_CLIP_BETA(grpo_config, clip, "0"),
    COHORT_CLIP_BOUNDS(grpo_config, clip, "3e-4", "4e-4"),
    SCALE("group"),
    COHORT_SHAPING(grpo_config, shaping, "0"),
    {.name = NULL},
};
static const cohort_parameter cispo_parameters[] = {
    {.name = "epsilon_high",
     .type = COHORT_PARAMETER_REAL,
     .offset = offsetof(grpo_config, clip.high),
     .standard = "5",
     .minimum = 0,
     .minimum_open = true,
     .maximum = INFINITY,
     .maximum_open = true,
     .meaning = "the largest ratio that weighs a token"},
    COHORT_CLIP_BETA(grpo_config, clip, "0"),
    SCALE("group"),
    COHORT_SHAPING(grpo_config, shaping, "0"),
    {.name = NULL},
};
static const cohort_parameter mogrpo_parameters[] = {
    COHORT_CLIP_BETA(grpo_config, clip, "0.04"),
    COHORT_CLIP_BOUNDS(grpo_config, clip, "0.2", "0.2"),
    COHORT_SHAPING(grpo_config, shaping, "0"),
    {.name = NULL},
};

static unsigned asks(const void *config) {
  const grpo_config *own = config;
  return cohort_clip_needs(&own->clip) | cohort_shaping_needs(&own->shaping);
}

static void begin(const void *config, double *state) {
  cohort_shaping_begin(&((const grpo_config *)config)->shaping, state);
}

static void advantages(const grpo_config *own, cohort_reward_scale scale, const cohort_policy_rollouts *rollouts,
                       cohort_policy_experience *out) {
  double *advantage = out->completion, *room = advantage + rollouts->completions;
  cohort_experience_shape(&own->shaping, rollouts, out);
  if (own->combine == NORMALISE_THEN_SUM) {
    cohort_experience_normalise_then_sum(rollouts, epsilon, room, advantage);
  } else {
    memcpy(advantage, out->score, (size_t)rollouts->completions * sizeof *advantage);
    cohort_experience_centre(COHORT_BASELINE_GROUP, rollouts, advantage);
    cohort_experience_scale(scale, rollouts, epsilon, out->score, advantage);
  }
  cohort_experience_spread(rollouts, advantage, out->advantage);
}

static void experience(const void *config, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out) {
  const grpo_config *own = config;
  advantages(own, (cohort_reward_scale)own->scale, rollouts, out);
}

static void experience_by_group(const void *config, const cohort_policy_rollouts *rollouts,
                                cohort_policy_experience *out) {
  advantages(config, COHORT_SCALE_GROUP, rollouts, out);
}

static cohort_policy_outputs build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  return cohort_clip_build(&((const grpo_config *)config)->clip, graph, fields);
}

#define BUILD(key, fixed_loss, fixed_ratio)                                         \
  static cohort_policy_outputs build_##key(const void *config, cohort_graph *graph, \
                                           const cohort_policy_fields *fields) {    \
    cohort_clip clip = ((const grpo_config *)config)->clip;                         \
    clip.loss = (fixed_loss);                                                       \
    clip.ratio = (fixed_ratio);                                                     \
    return cohort_clip_build(&clip, graph, fields);                                 \
  }
BUILD(dapo, COHORT_CLIP_DAPO, COHORT_RATIO_TOKEN)
BUILD(drgrpo, COHORT_CLIP_DRGRPO, COHORT_RATIO_TOKEN)
BUILD(gspo, COHORT_CLIP_GRPO, COHORT_RATIO_SEQUENCE)
BUILD(cispo, COHORT_CLIP_CISPO, COHORT_RATIO_TOKEN)
BUILD(mogrpo, COHORT_CLIP_GRPO, COHORT_RATIO_TOKEN)

#define FUNCTIONS(key, of_experience, of_build)                                     \
  static const cohort_policy key##_functions = {.asks = asks,                       \
                                                .state = {"policy/kl_coefficient"}, \
                                                .begin = begin,                     \
                                                .experience = (of_experience),      \
                                                .build = (of_build),                \
                                                .column = {"policy/clip_ratio", "policy/kl"}};
FUNCTIONS(grpo, experience, build)
FUNCTIONS(dapo, experience, build_dapo)
FUNCTIONS(drgrpo, experience, build_drgrpo) /* its scale is 0: nothing */
FUNCTIONS(gspo, experience, build_gspo)
FUNCTIONS(cispo, experience, build_cispo)
FUNCTIONS(mogrpo, experience_by_group, build_mogrpo)

static const cohort_method grpo = {
    .family = "policy",
    .key = "grpo",
    .summary = "group relative policy optimization, with all losses, scales and ratios that came after it",
    .title = "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models",
    .source =
        "Shao et al., DeepSeekMath, 2024, section 4.1; the other losses, scales and defaults as TRL's GRPOTrainer",
    .formula =
        "A = (r - mean) / (deviation + 1e-4) in the group (scale=batch: deviation of all; none: r - mean); w = "
        "exp(policy "
        "- old), of a token, of a completion's mean (ratio=sequence) or sum; a token's loss -min(min(w, delta) A, "
        "clamp(w, "
        "1 - epsilon_low, 1 + epsilon_high) A); cispo -stop(min(w, epsilon_high)) A policy; sapo -4 / t sigmoid(t (w - "
        "1)) A, t = 1 or 1.05 by the sign of A; vespo -stop(e^(b + k s - b e^s)) A policy, s the sum of log w, k, b = "
        "2, 3 "
        "or 3, 2; plus beta (e^(reference - policy) - (reference - policy) - 1). Means: grpo, sapo over a completion's "
        "tokens, then completions; bnpo, dapo, cispo, vespo over all tokens; drgrpo over completions times the longest "
        "allowed; luspo sums of tokens over completions",
    .config_size = sizeof(grpo_config),
    .parameters = grpo_parameters,
    .functions = &grpo_functions,
};

static const cohort_method dapo = {
    .family = "policy",
    .key = "dapo",
    .summary = "decoupled clip and dynamic sampling: more room above 1 than below, a mean over all tokens",
    .title = "DAPO: An Open-Source LLM Reinforcement Learning System at Scale",
    .source = "Yu et al., DAPO, 2025, equations 8 to 13; its dynamic sampling is task.policy.resample",
    .formula =
        "A = (r - mean) / (deviation + 1e-4) in the group; -min(w A, clamp(w, 1 - epsilon_low, 1 + epsilon_high) "
        "A), mean over all tokens; overlong_buffer and overlong_penalty are its soft punishment",
    .config_size = sizeof(grpo_config),
    .parameters = dapo_parameters,
    .identities = (const cohort_identity[]){{"", "grpo", "epsilon_high=0.28"}, {.settings = NULL}},
    .functions = &dapo_functions,
};

static const cohort_method drgrpo = {
    .family = "policy",
    .key = "drgrpo",
    .summary = "GRPO done right: no division by the deviation, none by a completion's length",
    .title = "Understanding R1-Zero-Like Training: A Critical Perspective",
    .source =
        "Liu et al., 2025, section 3.2. TRL's loss_type dr_grpo is the divisor alone, OpenRLHF's dr_grpo the "
        "advantage alone; here it is both",
    .formula =
        "A = r - mean of the group; the clipped loss, summed over tokens, over completions times the longest allowed",
    .config_size = sizeof(grpo_config),
    .parameters = drgrpo_parameters,
    .identities = (const cohort_identity[]){{"", "grpo", "loss=drgrpo scale=none"}, {.settings = NULL}},
    .functions = &drgrpo_functions,
};

static const cohort_method gspo = {
    .family = "policy",
    .key = "gspo",
    .summary = "group sequence policy optimization: one ratio for a completion",
    .title = "Group Sequence Policy Optimization",
    .source = "Zheng et al., 2025, equations 5 to 7",
    .formula =
        "w = exp(mean over the completion's tokens of policy - old); -min(w A, clamp(w) A), mean over completions",
    .config_size = sizeof(grpo_config),
    .parameters = gspo_parameters,
    .identities = (const cohort_identity[]){{"", "grpo", "loss=grpo ratio=sequence epsilon_low=3e-4 epsilon_high=4e-4"},
                                            {.settings = NULL}},
    .functions = &gspo_functions,
};

static const cohort_method cispo = {
    .family = "policy",
    .key = "cispo",
    .summary = "clipped importance weights: a large ratio is cut, its token keeps its gradient",
    .title = "MiniMax-M1: Scaling Test-Time Compute Efficiently with Lightning Attention",
    .source = "MiniMax, 2025, equations 4 and 5, without a lower bound as in its experiments; TRL's loss_type cispo",
    .formula = "-stop(min(w, epsilon_high)) A policy, mean over all tokens",
    .config_size = sizeof(grpo_config),
    .parameters = cispo_parameters,
    .identities = (const cohort_identity[]){{"", "grpo", "loss=cispo epsilon_high=5"}, {.settings = NULL}},
    .functions = &cispo_functions,
};

static const cohort_method mogrpo = {
    .family = "policy",
    .key = "mogrpo",
    .summary = "several rewards in one weighted sum, whose advantage within the group is GRPO's",
    .title = "Optimizing Safe and Aligned Language Generation: A Multi-Objective GRPO Approach",
    .source = "Li et al., 2025; rewards and their weights are the task's",
    .formula = "R = sum of weight_k r_k; A = (R - mean) / (deviation + 1e-4) in the group; GRPO's loss with its KL",
    .config_size = sizeof(grpo_config),
    .parameters = mogrpo_parameters,
    .identities = (const cohort_identity[]){{"", "grpo", "loss=grpo beta=0.04"}, {.settings = NULL}},
    .functions = &mogrpo_functions,
};

const cohort_method *const cohort_policy_grpo[] = {&grpo, &dapo, &drgrpo, &gspo, &cispo, &mogrpo, NULL};
