/* PPO and its kin with a critic: generalised advantages from rewards of tokens and values, a clipped ratio, a clipped
 * value. They differ in lambdas, in what rewards tokens, and in what is added. Invariant: at equal lambdas and with
 * nothing added each is PPO. Costs elementwise passes. */
#include <math.h>
#include <string.h>

#include "method/policy/clip/clip.h"
#include "method/policy/experience/experience.h"

typedef struct ppo_config {
  cohort_clip clip;
  cohort_shaping shaping;
  double value_weight, value_clip, entropy, gamma, lambda, critic_lambda, alpha, guide, likelihood, strength, reset;
  bool whiten, whiten_rewards;
  int64_t pretraining;
  int origin;
} ppo_config;

#define CRITIC(value_weight_default, value_clip_default)                                                     \
  COHORT_REAL_ATLEAST(ppo_config, value_weight, value_weight_default, 0, "weight of the critic's loss"),     \
      COHORT_REAL_ATLEAST(ppo_config, value_clip, value_clip_default, 0,                                     \
                          "how far a value may move from where it was before its loss is held; 0: any way"), \
      COHORT_REAL_ATLEAST(ppo_config, entropy, "0", 0, "weight of the entropy, which is raised")
#define GAMMA COHORT_REAL_RANGE(ppo_config, gamma, "1", 0, false, 1, false, "discount of later tokens' rewards")
#define LAMBDA                                                      \
  COHORT_REAL_RANGE(ppo_config, lambda, "0.95", 0, false, 1, false, \
                    "of advantages: 0 trusts the critic's next value, 1 the rewards that came")
#define CRITIC_LAMBDA COHORT_REAL_RANGE(ppo_config, critic_lambda, "1", 0, false, 1, false, "of the critic's targets")
#define WHITEN \
  COHORT_BOOLEAN(ppo_config, whiten, "true", "advantages get mean 0 and variance 1 over the batch's tokens")

static const cohort_parameter ppo_parameters[] = {
    COHORT_CLIP_BOUNDS(ppo_config, clip, "0.2", "0.2"),
    CRITIC("0.1", "0.2"),
    GAMMA,
    LAMBDA,
    WHITEN,
    COHORT_BOOLEAN(ppo_config, whiten_rewards, "false", "rewards of tokens are divided by their deviation"),
    COHORT_SHAPING(ppo_config, shaping, "0.05"),
    {.name = NULL},
};
static const cohort_parameter a2c_parameters[] = {
    CRITIC("0.5", "0"),
    GAMMA,
    COHORT_REAL_RANGE(ppo_config, lambda, "1", 0, false, 1, false,
                      "of advantages: 0 trusts the critic's next value, 1 the rewards that came"),
    COHORT_BOOLEAN(ppo_config, whiten, "false", "advantages get mean 0 and variance 1 over the batch's tokens"),
    COHORT_SHAPING(ppo_config, shaping, "0.05"),
    {.name = NULL},
};
static const cohort_parameter vcppo_parameters[] = {
    COHORT_CLIP_BOUNDS(ppo_config, clip, "0.2", "0.2"),
    CRITIC("0.1", "0.2"),
    GAMMA,
    LAMBDA,
    CRITIC_LAMBDA,
    COHORT_INTEGER_RANGE(ppo_config, pretraining, "0", 0, 1e9,
                         "rollouts at the start of which the critic alone learns, from the rewards that came",
                         .unit = "rollouts"),
    WHITEN,
    COHORT_SHAPING(ppo_config, shaping, "0.05"),
    {.name = NULL},
};
static const cohort_parameter vapo_parameters[] = {
    COHORT_CLIP_BOUNDS(ppo_config, clip, "0.2", "0.28"),
    CRITIC("0.1", "0.2"),
    GAMMA,
    COHORT_REAL_ABOVE(ppo_config, alpha, "0.05", 0, "lambda of a completion is 1 - 1 / (alpha tokens), at least 0"),
    CRITIC_LAMBDA,
    COHORT_INTEGER_RANGE(ppo_config, pretraining, "0", 0, 1e9,
                         "rollouts at the start of which the critic alone learns, from the rewards that came",
                         .unit = "rollouts"),
    COHORT_REAL_ATLEAST(ppo_config, likelihood, "0.1", 0,
                        "weight of the negative log-likelihood of completions with a reward above 0"),
    WHITEN,
    COHORT_SHAPING(ppo_config, shaping, "0"),
    {.name = NULL},
};
static const cohort_parameter rto_parameters[] = {
    COHORT_REAL_ATLEAST(ppo_config, guide, "0.05", 0,
                        "weight of log guide - log reference in the reward of every token"),
    COHORT_CLIP_BOUNDS(ppo_config, clip, "0.2", "0.2"),
    CRITIC("0.1", "0.2"),
    GAMMA,
    LAMBDA,
    WHITEN,
    COHORT_SHAPING(ppo_config, shaping, "0.05"),
    {.name = NULL},
};

static const cohort_parameter dr_po_parameters[] = {
    COHORT_REAL_RANGE(ppo_config, reset, "0.5", 0, false, 1, false,
                      "share of completions that begin with a piece of the data's own, of random length"),
    COHORT_CLIP_BOUNDS(ppo_config, clip, "0.2", "0.2"),
    CRITIC("0.1", "0.2"),
    GAMMA,
    LAMBDA,
    WHITEN,
    COHORT_SHAPING(ppo_config, shaping, "0.05"),
    {.name = NULL},
};

enum { TO_REFERENCE, TO_OLD };
static const char *const origins[] = {"reference", "old", NULL};
static const cohort_parameter apa_parameters[] = {
    COHORT_REAL_ABOVE(ppo_config, strength, "10", 0,
                      "lambda: what an advantage is divided by before the policy moves by it"),
    COHORT_CHOICE(ppo_config, origin, "reference", origins,
                  "what the policy moves from: the reference, or the policy that wrote, as in the authors' code"),
    CRITIC("0.1", "0"),
    GAMMA,
    LAMBDA,
    WHITEN,
    COHORT_SHAPING(ppo_config, shaping, "0"),
    {.name = NULL},
};

static unsigned asks(const void *config) {
  const ppo_config *own = config;
  return COHORT_POLICY_SCORED | cohort_shaping_needs(&own->shaping) | (own->entropy > 0 ? COHORT_POLICY_ENTROPY : 0);
}

static void begin(const void *config, double *state) {
  cohort_shaping_begin(&((const ppo_config *)config)->shaping, state);
}

static double resets(const void *config) { return ((const ppo_config *)config)->reset; }

static void fill(int64_t count, double *x, double number) {
  for (int64_t i = 0; i < count; i++) x[i] = number;
}

/* Advantages at lambda[completions] and targets at `critic_lambda` from the rewards of tokens in out->room. */
static void estimate(const ppo_config *own, const cohort_policy_rollouts *rollouts, const double *lambda,
                     double critic_lambda, cohort_policy_experience *out) {
  const int64_t tokens = rollouts->completions * rollouts->width;
  double *of_critic = out->completion + rollouts->completions;
  fill(rollouts->completions, of_critic, critic_lambda);
  cohort_experience_gae(rollouts, own->gamma, of_critic, out->room, out->target);
  for (int64_t t = 0; t < tokens; t++) out->target[t] += rollouts->mask[t] > 0 ? rollouts->value[t] : 0;
  cohort_experience_gae(rollouts, own->gamma, lambda, out->room, out->advantage);
  if (own->whiten) cohort_experience_whiten(rollouts, false, out->advantage);
}

/* While the critic is trained alone. */
static bool pretrains(const ppo_config *own, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out) {
  if (rollouts->number >= own->pretraining) return false;
  memset(out->advantage, 0, (size_t)(rollouts->completions * rollouts->width) * sizeof *out->advantage);
  return true;
}

static void experience(const void *config, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out) {
  const ppo_config *own = config;
  cohort_experience_shape(&own->shaping, rollouts, out);
  if (own->whiten_rewards) cohort_experience_whiten(rollouts, true, out->room);
  fill(rollouts->completions, out->completion, own->lambda);
  estimate(own, rollouts, out->completion, own->lambda, out);
}

static void vcppo_experience(const void *config, const cohort_policy_rollouts *rollouts,
                             cohort_policy_experience *out) {
  const ppo_config *own = config;
  cohort_experience_shape(&own->shaping, rollouts, out);
  fill(rollouts->completions, out->completion, own->lambda);
  estimate(own, rollouts, out->completion, rollouts->number < own->pretraining ? 1 : own->critic_lambda, out);
  (void)pretrains(own, rollouts, out);
}

static void rto_experience(const void *config, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out) {
  const ppo_config *own = config;
  const int64_t tokens = rollouts->completions * rollouts->width;
  cohort_experience_shape(&own->shaping, rollouts, out);
  for (int64_t t = 0; t < tokens; t++)
    if (rollouts->mask[t] > 0) out->room[t] += own->guide * (rollouts->guide[t] - rollouts->reference[t]);
  fill(rollouts->completions, out->completion, own->lambda);
  estimate(own, rollouts, out->completion, own->lambda, out);
}

/* A score is the weight of a completion's likelihood, so that its mean over the batch is over the tokens of those with
 * a reward above 0 alone. */
static void vapo_experience(const void *config, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out) {
  const ppo_config *own = config;
  const int64_t count = rollouts->completions;
  double *lambda = out->completion, *reward = lambda + 2 * count, *length = lambda + 3 * count, right = 0;
  cohort_experience_shape(&own->shaping, rollouts, out);
  cohort_experience_rewards(&own->shaping, rollouts, reward);
  cohort_experience_totals(rollouts, rollouts->mask, length);
  for (int64_t c = 0; c < count; c++) {
    lambda[c] = fmax(0, 1 - 1 / (own->alpha * length[c]));
    right += reward[c] > 0 ? length[c] : 0;
  }
  const bool alone = rollouts->number < own->pretraining;
  estimate(own, rollouts, lambda, alone ? 1 : own->critic_lambda, out);
  (void)pretrains(own, rollouts, out);
  for (int64_t c = 0; c < count; c++) out->score[c] = reward[c] > 0 && !alone ? (double)count / right : 0;
}

/* 1/2 max((v - target)^2, (v held near where it was - target)^2). */
static cohort_value critic_loss(const ppo_config *own, cohort_graph *graph, const cohort_policy_fields *fields) {
  const cohort_value away = cohort_graph_subtract(graph, fields->value, fields->target);
  cohort_value loss = cohort_graph_multiply(graph, away, away);
  if (own->value_clip > 0) {
    const cohort_value moved = cohort_graph_subtract(graph, fields->value, fields->old_value);
    const cohort_value held =
        cohort_graph_subtract(graph,
                              cohort_graph_add(graph, fields->old_value,
                                               cohort_clip_between(graph, moved, -own->value_clip, own->value_clip)),
                              fields->target);
    loss = cohort_graph_binary(graph, COHORT_OP_MAXIMUM, loss, cohort_graph_multiply(graph, held, held));
  }
  return cohort_graph_scale(graph, loss, 0.5);
}

/* The policy's loss of tokens, [N], with the critic's and the entropy. */
static cohort_policy_outputs join(const ppo_config *own, cohort_graph *graph, const cohort_policy_fields *fields,
                                  cohort_value loss) {
  cohort_policy_outputs out = {.column = {COHORT_NO_VALUE}};
  const cohort_value critic = critic_loss(own, graph, fields);
  out.column[1] = cohort_policy_token_mean(graph, fields, critic);
  out.column[2] = cohort_policy_token_mean(graph, fields, fields->value);
  loss = cohort_graph_add(graph, loss, cohort_graph_scale(graph, critic, own->value_weight));
  if (own->entropy > 0)
    loss = cohort_graph_subtract(graph, loss, cohort_graph_scale(graph, fields->entropy, own->entropy));
  out.loss = cohort_policy_token_mean(graph, fields, loss);
  return out;
}

static cohort_policy_outputs build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  const ppo_config *own = config;
  const cohort_clip clip = own->clip;
  const cohort_value ratio = cohort_clip_ratio_of(&clip, graph, fields);
  cohort_policy_outputs out =
      join(own, graph, fields, cohort_graph_scale(graph, cohort_clip_gain(&clip, graph, ratio, fields->advantage), -1));
  out.column[0] = cohort_policy_token_mean(graph, fields, cohort_clip_held(&clip, graph, ratio, fields->advantage));
  return out;
}

static cohort_policy_outputs a2c_build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  const cohort_value loss =
      cohort_graph_scale(graph, cohort_graph_multiply(graph, fields->advantage, fields->policy), -1);
  return join(config, graph, fields, loss);
}

/* (policy - base - A / strength)^2. */
static cohort_policy_outputs apa_build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  const ppo_config *own = config;
  const cohort_value base = own->origin == TO_OLD ? fields->old : fields->reference;
  const cohort_value gap = cohort_graph_subtract(graph, cohort_graph_subtract(graph, fields->policy, base),
                                                 cohort_graph_scale(graph, fields->advantage, 1 / own->strength));
  return join(own, graph, fields, cohort_graph_multiply(graph, gap, gap));
}

static cohort_policy_outputs vapo_build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  const ppo_config *own = config;
  cohort_policy_outputs out = build(config, graph, fields);
  const cohort_value likely =
      cohort_graph_multiply(graph, cohort_policy_total(graph, fields, fields->policy), fields->score);
  out.loss = cohort_graph_subtract(graph, out.loss, cohort_graph_scale(graph, likely, own->likelihood));
  return out;
}

#define FUNCTIONS(key, of_asks, of_experience, of_build)                            \
  static const cohort_policy key##_functions = {.asks = (of_asks),                  \
                                                .state = {"policy/kl_coefficient"}, \
                                                .begin = begin,                     \
                                                .experience = (of_experience),      \
                                                .build = (of_build),                \
                                                .column = {"policy/clip_ratio", "policy/value_loss", "policy/value"}};
FUNCTIONS(ppo, asks, experience, build)
FUNCTIONS(a2c, asks, experience, a2c_build)
FUNCTIONS(vcppo, asks, vcppo_experience, build)
FUNCTIONS(vapo, asks, vapo_experience, vapo_build)
FUNCTIONS(apa, asks, experience, apa_build)
FUNCTIONS(rto, asks, rto_experience, build)

static const cohort_policy dr_po_functions = {.asks = asks,
                                              .state = {"policy/kl_coefficient"},
                                              .begin = begin,
                                              .resets = resets,
                                              .experience = experience,
                                              .build = build,
                                              .column = {"policy/clip_ratio", "policy/value_loss", "policy/value"}};

static const cohort_method ppo = {
    .family = "policy",
    .key = "ppo",
    .summary = "proximal policy optimization with a critic, the KL to the reference in the rewards of tokens",
    .title = "Proximal Policy Optimization Algorithms",
    .source =
        "Schulman et al., 2017, equation 7; of language models: Ziegler et al., 2019; defaults of TRL's PPOTrainer",
    .formula =
        "A from rewards of tokens and values by GAE(gamma, lambda), whitened; target = A + old value; -min(w A, "
        "clamp(w, 1 - epsilon_low, 1 + epsilon_high) A) + value_weight / 2 max((v - target)^2, (clamp(v, old value - "
        "value_clip, + value_clip) - target)^2) - entropy H, mean over all tokens",
    .config_size = sizeof(ppo_config),
    .parameters = ppo_parameters,
    .needs = COHORT_POLICY_VALUE,
    .functions = &ppo_functions,
};

static const cohort_method a2c = {
    .family = "policy",
    .key = "a2c",
    .summary = "advantage actor-critic: what PPO is in the first update on a rollout",
    .title = "A2C is a special case of PPO",
    .source = "Huang et al., 2022; Mnih et al., 2016",
    .formula = "A by GAE(gamma, lambda); -A policy + value_weight / 2 (v - target)^2 - entropy H, mean over all tokens",
    .config_size = sizeof(ppo_config),
    .parameters = a2c_parameters,
    .needs = COHORT_POLICY_VALUE,
    .functions = &a2c_functions,
};

static const cohort_method vcppo = {
    .family = "policy",
    .key = "vcppo",
    .summary = "PPO whose critic is trained first, and on other lambdas than the policy",
    .title = "What's Behind PPO's Collapse in Long-CoT? Value Optimization Holds the Secret",
    .source = "Yuan et al., 2025, section 4",
    .formula = "PPO with A at lambda and targets at critic_lambda; in the first rollouts A = 0 and targets at 1",
    .config_size = sizeof(ppo_config),
    .parameters = vcppo_parameters,
    .needs = COHORT_POLICY_VALUE,
    .identities = (const cohort_identity[]){{"critic_lambda=0.95", "ppo", ""}, {.settings = NULL}},
    .functions = &vcppo_functions,
};

static const cohort_method vapo = {
    .family = "policy",
    .key = "vapo",
    .summary = "PPO for long completions: lambda by length, more room above 1, likelihood of what was right",
    .title = "VAPO: Efficient and Reliable Reinforcement Learning for Advanced Reasoning Tasks",
    .source = "Yuan et al., 2025, section 4",
    .formula =
        "PPO with lambda = 1 - 1 / (alpha tokens) of each completion, targets at critic_lambda; plus likelihood times "
        "the mean of -policy over the tokens of completions with a reward above 0",
    .config_size = sizeof(ppo_config),
    .parameters = vapo_parameters,
    .needs = COHORT_POLICY_VALUE,
    .functions = &vapo_functions,
};

static const cohort_method rto = {
    .family = "policy",
    .key = "rto",
    .summary = "PPO with rewards of tokens from a policy that preferences have trained (spaces.guide)",
    .title = "DPO Meets PPO: Reinforced Token Optimization for RLHF",
    .source = "Zhong et al., 2024, equation 4.3",
    .formula =
        "r_t = guide (log guide - log reference) - kl (old - reference), and the reward at the last token; then PPO",
    .config_size = sizeof(ppo_config),
    .parameters = rto_parameters,
    .needs = COHORT_POLICY_VALUE | COHORT_POLICY_GUIDE | COHORT_POLICY_REFERENCE,
    .functions = &rto_functions,
};

static const cohort_method dr_po = {
    .family = "policy",
    .key = "dr_po",
    .summary = "PPO whose completions begin, now and then, inside the data's own",
    .title = "Dataset Reset Policy Optimization for RLHF",
    .source = "Chang et al., 2024, algorithm 1",
    .formula =
        "PPO; with probability reset a completion's first tokens are the data's, as many as a draw says, and count for "
        "nothing",
    .config_size = sizeof(ppo_config),
    .parameters = dr_po_parameters,
    .needs = COHORT_POLICY_VALUE,
    .identities = (const cohort_identity[]){{"reset=0", "ppo", ""}, {.settings = NULL}},
    .functions = &dr_po_functions,
};

static const cohort_method apa = {
    .family = "policy",
    .key = "apa",
    .summary = "the log-ratio to the reference regresses the advantage",
    .title = "Fine-Tuning Language Models with Advantage-Induced Policy Alignment",
    .source = "Zhu et al., 2023, equation 6; the authors' code regresses on the policy that wrote: origin=old",
    .formula =
        "(policy - reference - A / strength)^2 + value_weight / 2 (v - target)^2, mean over all tokens; A by GAE",
    .config_size = sizeof(ppo_config),
    .parameters = apa_parameters,
    .needs = COHORT_POLICY_VALUE | COHORT_POLICY_REFERENCE,
    .functions = &apa_functions,
};

const cohort_method *const cohort_policy_ppo[] = {&ppo, &a2c, &vcppo, &vapo, &rto, &apa, &dr_po, NULL};
