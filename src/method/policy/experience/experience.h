/* What becomes of rewards before a policy trains on them: pure functions of segments, in float64. Columns of tokens are
 * [completions][width]; `mask` is 1 where a token counts, else 0, and what stands elsewhere is neither read nor
 * written. Groups are runs of completions; those from the data are in none. Costs a pass over what is given each. */
#ifndef COHORT_METHOD_POLICY_EXPERIENCE_EXPERIENCE_H
#define COHORT_METHOD_POLICY_EXPERIENCE_EXPERIENCE_H

#include "method/policy/policy.h"

/* Estimators of the KL from d = log pi - log reference (Schulman, Approximating KL divergence, 2020). */
typedef enum { COHORT_KL_K1, COHORT_KL_K2, COHORT_KL_K3 } cohort_kl_estimator; /* d; d^2 / 2; e^-d - 1 + d */
double cohort_experience_kl(cohort_kl_estimator estimator, double d);

/* How rewards are shaped, the same for every method: the entries of COHORT_SHAPING in a method's table. */
typedef struct cohort_shaping {
  double kl; /* weight of the KL to the reference in the reward */
  int estimator;
  double clamp;           /* of a token's log-ratio, both ways; 0: none */
  double target, horizon; /* of an adaptive weight; target 0: it is fixed */
  double clip;            /* largest magnitude of a completion's reward; 0: none */
  double missing_end;     /* taken off completions that did not end by themselves */
  double overlong;        /* taken off the longest completion there is room for; less of shorter ones */
  int64_t buffer;         /* tokens before the limit over which that rises from 0; 0: none */
} cohort_shaping;
extern const char *const cohort_kl_estimators[];

/* clang-format off */
#define COHORT_SHAPING_REAL_(config, field, part, key, default_text, text) \
  {.name = key, .type = COHORT_PARAMETER_REAL, .offset = offsetof(config, field.part), .standard = default_text, \
   .minimum = 0, .maximum = INFINITY, .maximum_open = true, .meaning = text}
#define COHORT_SHAPING(config, field, default_kl) \
  COHORT_SHAPING_REAL_(config, field, kl, "kl", default_kl, \
                       "weight of the KL to the reference that is taken off the reward of every token; 0: no reference"), \
  {.name = "kl_estimator", .type = COHORT_PARAMETER_CHOICE, .offset = offsetof(config, field.estimator), \
   .standard = "k1", .choices = cohort_kl_estimators, \
   .meaning = "of that KL: with d = policy - reference, k1 is d, k2 d^2 / 2, k3 e^-d - 1 + d"}, \
  COHORT_SHAPING_REAL_(config, field, clamp, "kl_clamp", "0", "largest magnitude of d; 0: none"), \
  COHORT_SHAPING_REAL_(config, field, target, "kl_target", "0", \
                       "KL of a completion that the weight is moved towards, rollout by rollout; 0: it stays"), \
  {.name = "kl_horizon", .type = COHORT_PARAMETER_REAL, .offset = offsetof(config, field.horizon), \
   .standard = "10000", .minimum = 0, .minimum_open = true, .maximum = INFINITY, .maximum_open = true, \
   .unit = "completions", .meaning = "how slowly it moves"}, \
  COHORT_SHAPING_REAL_(config, field, clip, "reward_clip", "0", "largest magnitude of a completion's reward; 0: none"), \
  COHORT_SHAPING_REAL_(config, field, missing_end, "missing_end_penalty", "0", \
                       "taken off the reward of a completion that the limit cut short"), \
  COHORT_SHAPING_REAL_(config, field, overlong, "overlong_penalty", "1", \
                       "taken off the reward of a completion of full length, see overlong_buffer"), \
  {.name = "overlong_buffer", .type = COHORT_PARAMETER_INTEGER, .offset = offsetof(config, field.buffer), \
   .standard = "0", .minimum = 0, .maximum = 1e9, .unit = "tokens", \
   .meaning = "tokens before the limit over which that penalty rises from 0; 0: there is none"}
/* clang-format on */

/* SCORED, REFERENCE and KEEPS where the shaping has a use for them. */
unsigned cohort_shaping_needs(const cohort_shaping *shaping);
/* The first state of a method that keeps the weight: "policy/kl_coefficient". */
void cohort_shaping_begin(const cohort_shaping *shaping, double *state);

/* A completion's reward: the weighted sum of its rewards, clipped, minus penalties: reward[completions]. */
void cohort_experience_rewards(const cohort_shaping *shaping, const cohort_policy_rollouts *rollouts, double *reward);
/* Every token's reward: minus the weight times the KL, and the completion's at its last token (or what every token
 * has). The weight is state[0], and next[0] what becomes of it (Ziegler et al., Fine-tuning language models from human
 * preferences, 2019, section 2.2): w (1 + clip(KL / target - 1, -0.2, 0.2) completions / horizon). */
void cohort_experience_token_rewards(const cohort_shaping *shaping, const cohort_policy_rollouts *rollouts,
                                     const double *reward, double *tokens, double *next);
/* Both: rewards of tokens in out->room, their sums by completion in out->score, the weight in out->next. */
void cohort_experience_shape(const cohort_shaping *shaping, const cohort_policy_rollouts *rollouts,
                             cohort_policy_experience *out);
/* The KL of a completion, a sum over its tokens, as a mean over those that were written. */
double cohort_experience_mean_kl(const cohort_shaping *shaping, const cohort_policy_rollouts *rollouts);
/* A completion's sum over tokens that count: sums[completions]. */
void cohort_experience_totals(const cohort_policy_rollouts *rollouts, const double *tokens, double *sums);

/* Mean, and sample deviation (n - 1; 0 of one), of count numbers. */
double cohort_experience_mean(int64_t count, const double *x);
double cohort_experience_deviation(int64_t count, const double *x);

typedef enum {
  COHORT_BASELINE_NONE,
  COHORT_BASELINE_GROUP,
  COHORT_BASELINE_OTHERS,
  COHORT_BASELINE_BATCH
} cohort_baseline;
typedef enum { COHORT_SCALE_NONE, COHORT_SCALE_GROUP, COHORT_SCALE_BATCH } cohort_reward_scale;
/* x minus nothing, the mean of its group, that of the others of its group (alone: of none), that of all; in place. */
void cohort_experience_centre(cohort_baseline baseline, const cohort_policy_rollouts *rollouts, double *x);
/* x divided by (deviation + epsilon) of `of` within its group, or of all; in place. */
void cohort_experience_scale(cohort_reward_scale scale, const cohort_policy_rollouts *rollouts, double epsilon,
                             const double *of, double *x);
/* Several rewards, each centred and scaled on its own, then summed by weight, and scaled over the batch: GDPO (Liu et
 * al., 2026). room[completions]. */
void cohort_experience_normalise_then_sum(const cohort_policy_rollouts *rollouts, double epsilon, double *room,
                                          double *advantage);
/* A number for every token of a completion that counts. */
void cohort_experience_spread(const cohort_policy_rollouts *rollouts, const double *completions, double *tokens);

/* Generalised advantage estimates from rewards of tokens and values: delta_t = r_t + gamma V_{t+1} - V_t, A_t = delta_t
 * + gamma lambda A_{t+1}; tokens that do not count are passed over, behind the last stands 0. lambda[completions];
 * `rewards` and `advantage` may be the same array. (Schulman et al., 2016.) */
void cohort_experience_gae(const cohort_policy_rollouts *rollouts, double gamma, const double *lambda,
                           const double *rewards, double *advantage);
/* The sum of rewards from a token on: R_t = r_t + gamma R_{t+1}; in place. */
void cohort_experience_returns(const cohort_policy_rollouts *rollouts, double gamma, double *tokens);
/* (x - mean) / sqrt(variance + 1e-8) over all tokens that count, unbiased; keep_mean: the mean is added again. */
void cohort_experience_whiten(const cohort_policy_rollouts *rollouts, bool keep_mean, double *tokens);

#endif
