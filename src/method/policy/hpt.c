/* Hybrid post-training: prompts that the policy solves often enough are trained on by their rewards, the others on the
 * data's own completion. Invariant: every prompt weighs the same, whichever it is. Costs elementwise passes. */
#include <string.h>

#include "method/policy/clip/clip.h"
#include "method/policy/experience/experience.h"

typedef struct hpt_config {
  cohort_clip clip;
  cohort_shaping shaping;
  double gate, likelihood;
} hpt_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_RANGE(hpt_config, gate, "0", -1, false, 1, false,
                      "share of completions with a reward above 0 beyond which a prompt is trained on by its rewards"),
    COHORT_REAL_ATLEAST(hpt_config, likelihood, "1", 0, "weight of the likelihood of the data's completion"),
    COHORT_CLIP_BOUNDS(hpt_config, clip, "0.2", "0.2"),
    COHORT_SHAPING(hpt_config, shaping, "0"),
    {.name = NULL},
};

static unsigned asks(const void *config) { return cohort_shaping_needs(&((const hpt_config *)config)->shaping); }

static void begin(const void *config, double *state) {
  cohort_shaping_begin(&((const hpt_config *)config)->shaping, state);
}

/* Completions of group g, one from the data included. */
static int64_t group_end(const cohort_policy_rollouts *rollouts, int64_t g) {
  return g + 1 < rollouts->groups ? rollouts->first[g + 1] : rollouts->completions;
}

/* A score is the weight of a data's completion. Weights make the mean over all sequences one over prompts, of each the
 * mean over what it is trained on. */
static void experience(const void *config, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out) {
  const hpt_config *own = config;
  double *advantage = out->completion, *reward = advantage + rollouts->completions;
  cohort_experience_shape(&own->shaping, rollouts, out);
  memcpy(advantage, out->score, (size_t)rollouts->completions * sizeof *advantage);
  cohort_experience_rewards(&own->shaping, rollouts, reward);
  cohort_experience_centre(COHORT_BASELINE_GROUP, rollouts, advantage);
  memset(out->score, 0, (size_t)rollouts->completions * sizeof *out->score);
  for (int64_t g = 0; g < rollouts->groups; g++) {
    const int64_t first = rollouts->first[g], last = rollouts->last[g], end = group_end(rollouts, g);
    double solved = 0;
    for (int64_t c = first; c < last; c++) solved += (reward[c] > 0) / (double)(last - first);
    const bool by_reward = solved > own->gate;
    for (int64_t c = first; c < end; c++) {
      if (c >= last) out->score[c] = by_reward ? 0 : (double)(end - first) / (double)(end - last);
      advantage[c] = by_reward && c < last ? advantage[c] * (double)(end - first) / (double)(last - first) : 0;
    }
  }
  cohort_experience_spread(rollouts, advantage, out->advantage);
}

static cohort_policy_outputs build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  const hpt_config *own = config;
  const cohort_value ratio = cohort_clip_ratio_of(&own->clip, graph, fields);
  const cohort_value gained =
      cohort_policy_total(graph, fields, cohort_clip_gain(&own->clip, graph, ratio, fields->advantage));
  const cohort_value likely = cohort_graph_multiply(graph, cohort_policy_mean(graph, fields, fields->policy),
                                                    cohort_graph_multiply(graph, fields->score, fields->from_data));
  const cohort_value rewarded = cohort_graph_scale(graph, gained, 1 / (double)fields->limit);
  cohort_policy_outputs out = {
      .loss = cohort_graph_scale(
          graph, cohort_graph_add(graph, rewarded, cohort_graph_scale(graph, likely, own->likelihood)), -1)};
  out.column[0] =
      cohort_policy_token_mean(graph, fields, cohort_clip_held(&own->clip, graph, ratio, fields->advantage));
  return out;
}

static const cohort_policy functions = {.asks = asks,
                                        .state = {"policy/kl_coefficient"},
                                        .begin = begin,
                                        .experience = experience,
                                        .build = build,
                                        .column = {"policy/clip_ratio"}};

static const cohort_method hpt = {
    .family = "policy",
    .key = "hpt",
    .summary = "rewards where a prompt is solved often enough, else the data's own completion",
    .title = "Towards a Unified View of Large Language Model Post-Training",
    .source = "Lv et al., 2025, section 4 and algorithm 1, with Dr. GRPO as its loss on rewards",
    .formula =
        "P = share of a prompt's completions with a reward above 0. P > gate: -min(w A, clamp(w) A), A = r - mean of "
        "the "
        "group, summed over tokens / the longest allowed, mean over the group; else -likelihood times the mean over "
        "the tokens of the data's completion of policy; mean over prompts",
    .config_size = sizeof(hpt_config),
    .parameters = parameters,
    .needs = COHORT_POLICY_DATA,
    .functions = &functions,
};

const cohort_method *const cohort_policy_hpt[] = {&hpt, NULL};
