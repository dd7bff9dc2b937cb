/* A process reward model: the scalar head at each step's end says whether the step is right. */
#include "method/preference/preference.h"

static const cohort_field labels[] = {
    {COHORT_NAMED_FIELD("label"), .owner = COHORT_FIELD_STEP, .meaning = "1: the step is right, 0: it is not"},
    {.name = NULL},
};

static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  (void)config;
  const cohort_value label = cohort_preference_field(fields, "label"), score = fields->step_score;
  const cohort_value sign = cohort_graph_shift(graph, cohort_graph_scale(graph, label, 2), -1);
  const cohort_value each =
      cohort_graph_scale(graph, cohort_graph_log_sigmoid(graph, cohort_graph_multiply(graph, sign, score)), -1);
  const cohort_value there = fields->step_present;
  const cohort_value right =
      cohort_graph_equal(graph, cohort_graph_less(graph, cohort_graph_constant(graph, 0), score), label);
  const cohort_value steps = cohort_preference_steps(graph, fields, there);
  const cohort_value count = cohort_graph_binary(graph, COHORT_OP_MAXIMUM, steps, cohort_graph_constant(graph, 1));
  const cohort_value sum = cohort_preference_steps(graph, fields, cohort_graph_multiply(graph, score, there));
  const cohort_value hits = cohort_preference_steps(graph, fields, cohort_graph_multiply(graph, right, there));
  return (cohort_preference_outputs){
      .loss = cohort_graph_broadcast(graph, cohort_graph_constant(graph, 0), COHORT_SHAPE(fields->samples)),
      .token_loss = cohort_preference_steps(graph, fields, cohort_graph_multiply(graph, each, there)),
      .reward = cohort_graph_divide(graph, sum, count),
      .column = {cohort_graph_divide(graph, hits, count)}};
}

static const cohort_preference functions = {.build = build, .column = {"preference/accuracy"}, .fields = labels};

static const cohort_method prm = {
    .family = "preference",
    .key = "prm",
    .summary = "process reward model: a scalar head on the language model, trained on steps that are right or not",
    .title = "Solving math word problems with process- and outcome-based feedback",
    .source =
        "Uesato et al., Solving math word problems with process- and outcome-based feedback, 2022; Lightman et al., "
        "Let's Verify Step by Step, 2023; as TRL's PRMTrainer (to 1.10), whose two logits' difference is the score",
    .formula =
        "z = score at a step's last token; -log sigmoid(z) of right steps, -log sigmoid(-z) of others, a mean over all "
        "steps of the batch; reward = mean of z over a completion's steps",
    .needs = COHORT_NEEDS_SCORES | COHORT_NEEDS_STEPS | COHORT_NEEDS_UNPAIRED | COHORT_NEEDS_TOKENS,
    .functions = &functions,
};

const cohort_method *const cohort_preference_prm[] = {&prm, NULL};
