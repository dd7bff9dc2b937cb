/* Losses on the ratio of the policy to the one that wrote: the clip and the gates that came after it, whose ratio, what
 * sums are divided by, and the KL in the loss. Shared by methods that differ in their advantages. */
#ifndef COHORT_METHOD_POLICY_CLIP_CLIP_H
#define COHORT_METHOD_POLICY_CLIP_CLIP_H

#include "method/policy/policy.h"

typedef enum {
  COHORT_CLIP_GRPO,
  COHORT_CLIP_BNPO,
  COHORT_CLIP_DRGRPO,
  COHORT_CLIP_DAPO,
  COHORT_CLIP_LUSPO,
  COHORT_CLIP_CISPO,
  COHORT_CLIP_SAPO,
  COHORT_CLIP_VESPO
} cohort_clip_loss;
typedef enum { COHORT_RATIO_TOKEN, COHORT_RATIO_SEQUENCE, COHORT_RATIO_SUM } cohort_clip_ratio;
extern const char *const cohort_clip_losses[], *const cohort_clip_ratios[];

typedef struct cohort_clip {
  int loss, ratio;
  double beta, low, high, delta;
} cohort_clip;

/* Entries of a method's table. */
/* clang-format off */
#define COHORT_CLIP_BOUNDS(config, field, low_default, high_default) \
  {.name = "epsilon_low", .type = COHORT_PARAMETER_REAL, .offset = offsetof(config, field.low), \
   .standard = low_default, .minimum = 0, .maximum = 1, .meaning = "how far below 1 a ratio still counts"}, \
  {.name = "epsilon_high", .type = COHORT_PARAMETER_REAL, .offset = offsetof(config, field.high), \
   .standard = high_default, .minimum = 0, .maximum = INFINITY, .maximum_open = true, \
   .meaning = "how far above 1 a ratio still counts; of cispo the largest ratio itself"}
#define COHORT_CLIP_BETA(config, field, default_text) \
  {.name = "beta", .type = COHORT_PARAMETER_REAL, .offset = offsetof(config, field.beta), .standard = default_text, \
   .minimum = 0, .maximum = INFINITY, .maximum_open = true, .sweep_low = 0.001, .sweep_high = 0.1, .sweep_log = true, \
   .meaning = "weight of the KL to the reference in the loss; 0: there is no reference for it"}
#define COHORT_CLIP_DELTA(config, field) \
  {.name = "delta", .type = COHORT_PARAMETER_REAL, .offset = offsetof(config, field.delta), .standard = "0", \
   .minimum = 0, .maximum = INFINITY, .maximum_open = true, \
   .meaning = "largest ratio of any sign of the advantage; 0: none"}
#define COHORT_CLIP_RATIO(config, field, default_text) \
  {.name = "ratio", .type = COHORT_PARAMETER_CHOICE, .offset = offsetof(config, field.ratio), .standard = default_text, \
   .choices = cohort_clip_ratios, \
   .meaning = "whose ratio to the old policy: a token's own, the mean log-ratio of its completion (GSPO), or their sum"}
#define COHORT_CLIP_LOSS(config, field, default_text) \
  {.name = "loss", .type = COHORT_PARAMETER_CHOICE, .offset = offsetof(config, field.loss), .standard = default_text, \
   .choices = cohort_clip_losses, .meaning = "the token's loss and what sums are divided by"}
/* clang-format on */

/* Its two columns, "policy/clip_ratio" and "policy/kl", come first. */
cohort_policy_outputs cohort_clip_build(const cohort_clip *clip, cohort_graph *graph,
                                        const cohort_policy_fields *fields);
unsigned cohort_clip_needs(const cohort_clip *clip);

/* Its parts. */
/* [N]: the ratio, of the level. */
cohort_value cohort_clip_ratio_of(const cohort_clip *clip, cohort_graph *graph, const cohort_policy_fields *fields);
/* [N]: min(min(w, delta) A, clamp(w) A). */
cohort_value cohort_clip_gain(const cohort_clip *clip, cohort_graph *graph, cohort_value ratio, cohort_value advantage);
/* [N]: 1 where the clip holds a ratio back. */
cohort_value cohort_clip_held(const cohort_clip *clip, cohort_graph *graph, cohort_value ratio, cohort_value advantage);
/* [N]: e^d - d - 1 with d = reference - policy. */
cohort_value cohort_clip_divergence(cohort_graph *graph, cohort_value policy, cohort_value reference);
cohort_value cohort_clip_between(cohort_graph *graph, cohort_value x, double low, double high);

#endif
