/* A preference loss on given log-probabilities: the arrays become token columns, and from there on the family's own
 * builders make the loss, as in training. Costs a pass over the tokens. */
#include "method/preference/preference.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/gradient.h"
#include "probe/probe.h"

enum { LEAVES = 12, RESULTS = 8 };
static const char *const pair_sides[] = {"/chosen", "/rejected"}, *const no_side[] = {""};

typedef struct bench {
  cohort_probe_state *probe;
  cohort_graph *graph;
  unsigned needs;
  int sides;
  const char *const *side;
  int64_t samples, tokens; /* pairs or completions; T */
  cohort_value segments;
  int leaves;
  cohort_probe_leaf leaf[LEAVES];
  int varied; /* what the loss is differentiated by */
  cohort_value wrt[4];
  char *name[4]; /* of the gradients */
} bench;

static cohort_value add_leaf(bench *own, const char *name, cohort_shape shape) {
  const cohort_value value = cohort_graph_input(own->graph, name, COHORT_TYPE_REAL, shape);
  own->leaf[own->leaves++] =
      (cohort_probe_leaf){value, cohort_probe_reals(own->probe, cohort_probe_input(own->probe, name))};
  return value;
}

/* The array, or those of both sides, as one column of tokens in the order of completions, [N]. With `gradient` the loss
 * is differentiated by it. */
static cohort_value add_tokens(bench *own, const char *group, const char *gradient) {
  cohort_value part[2] = {0};
  for (int side = 0; side < own->sides; side++) {
    char *name = cohort_format_text("%s%s", group, own->side[side]);
    const cohort_value value = add_leaf(own, name, COHORT_SHAPE(own->samples, own->tokens));
    free(name);
    if (gradient) {
      own->wrt[own->varied] = value;
      own->name[own->varied++] = cohort_format_text("%s%s", gradient, own->side[side]);
    }
    part[side] = cohort_graph_reshape(own->graph, value, COHORT_SHAPE(own->samples, 1, own->tokens));
  }
  const cohort_value both = own->sides == 2 ? cohort_graph_concat(own->graph, 1, 2, part) : part[0];
  return cohort_graph_reshape(own->graph, both, COHORT_SHAPE(own->samples * own->sides * own->tokens));
}

static cohort_value add_segments(bench *own, int64_t completions) {
  const int64_t rows = completions * own->tokens;
  int32_t *segment = cohort_probe_memory(own->probe, (size_t)rows * sizeof *segment);
  for (int64_t r = 0; r < rows; r++) segment[r] = (int32_t)(r / own->tokens);
  const cohort_value value = cohort_graph_input(own->graph, "segments", COHORT_TYPE_INTEGER, COHORT_SHAPE(rows));
  own->leaf[own->leaves++] = (cohort_probe_leaf){value, segment};
  return value;
}

/* Sums over the completions' tokens, [C]. */
static cohort_value add_sums(bench *own, const cohort_preference_fields *fields, const char *group, cohort_value mask,
                             const char *gradient) {
  const cohort_value tokens = add_tokens(own, group, gradient);
  return cohort_preference_total(own->graph, fields, cohort_graph_multiply(own->graph, tokens, mask));
}

/* Samples over the tokens of the chosen, or desirable. */
static cohort_value token_share(const bench *own, cohort_value lengths, cohort_value label) {
  const cohort_value chosen = own->sides == 2 ? cohort_preference_side(own->graph, lengths, 0)
                                              : cohort_graph_multiply(own->graph, lengths, label);
  return cohort_graph_divide(own->graph, cohort_graph_constant(own->graph, (double)own->samples),
                             cohort_graph_sum_all(own->graph, chosen));
}

/* Scores of both sides as one column, [C]; the loss is differentiated by each. */
static cohort_value add_scores(bench *own) {
  cohort_value part[2];
  for (int side = 0; side < 2; side++) {
    char *name = cohort_format_text("reward%s", own->side[side]);
    own->wrt[own->varied] = add_leaf(own, name, COHORT_SHAPE(own->samples));
    part[side] = cohort_graph_reshape(own->graph, own->wrt[own->varied], COHORT_SHAPE(own->samples, 1));
    free(name);
    own->name[own->varied++] = cohort_format_text("gradient%s", own->side[side]);
  }
  return cohort_graph_reshape(own->graph, cohort_graph_concat(own->graph, 1, 2, part), COHORT_SHAPE(2 * own->samples));
}

static cohort_preference_fields score_fields(bench *own) {
  cohort_preference_fields fields;
  memset(&fields, 0xff, sizeof fields); /* COHORT_NO_VALUE */
  fields.completions = 2 * own->samples;
  fields.score = add_scores(own);
  if (cohort_probe_input(own->probe, "margin")) fields.margin = add_leaf(own, "margin", COHORT_SHAPE(own->samples));
  fields.weight = cohort_graph_broadcast(own->graph, cohort_graph_constant(own->graph, 1), COHORT_SHAPE(own->samples));
  return fields;
}

static cohort_preference_fields add_fields(bench *own) {
  cohort_graph *graph = own->graph;
  cohort_preference_fields fields = {.completions = own->samples * own->sides,
                                     .score = COHORT_NO_VALUE,
                                     .margin = COHORT_NO_VALUE,
                                     .reference = COHORT_NO_VALUE,
                                     .label = COHORT_NO_VALUE,
                                     .divergence = COHORT_NO_VALUE,
                                     .policy_mismatched = COHORT_NO_VALUE,
                                     .reference_mismatched = COHORT_NO_VALUE};
  fields.segments = add_segments(own, fields.completions);
  fields.mask = add_tokens(own, "mask", NULL);
  fields.policy = add_sums(own, &fields, "policy", fields.mask, "gradient");
  if (own->needs & COHORT_NEEDS_REFERENCE) fields.reference = add_sums(own, &fields, "reference", fields.mask, NULL);
  if (own->needs & COHORT_NEEDS_DIVERGENCE) fields.divergence = add_tokens(own, "kl", "gradient_kl");
  if (own->needs & COHORT_NEEDS_UNPAIRED) fields.label = add_leaf(own, "label", COHORT_SHAPE(own->samples));
  if (own->needs & COHORT_NEEDS_MISMATCHED) {
    const cohort_value mask = add_tokens(own, "mask_mismatched", NULL);
    fields.policy_mismatched = add_sums(own, &fields, "policy_mismatched", mask, NULL);
    fields.reference_mismatched = add_sums(own, &fields, "reference_mismatched", mask, NULL);
  }
  const cohort_value scored = cohort_preference_total(graph, &fields, fields.mask);
  const cohort_value one = cohort_graph_constant(graph, 1);
  fields.length = cohort_graph_binary(graph, COHORT_OP_MAXIMUM, scored, one);
  fields.weight = cohort_graph_broadcast(graph, one, COHORT_SHAPE(own->samples));
  fields.token_share = token_share(own, scored, fields.label);
  fields.first_lane = one;
  return fields;
}

static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  const cohort_method *method = probe->choice.method;
  const bool pairs = !(method->needs & COHORT_NEEDS_UNPAIRED);
  bench own = {.probe = probe,
               .graph = cohort_graph_create(),
               .needs = method->needs,
               .sides = pairs ? 2 : 1,
               .side = pairs ? pair_sides : no_side,
               .samples = cohort_probe_size_of(probe, pairs ? "pairs" : "completions")};
  const bool scores = method->needs & COHORT_NEEDS_SCORES;
  if (!scores) own.tokens = cohort_probe_size_of(probe, "T");
  const cohort_preference_fields fields = scores ? score_fields(&own) : add_fields(&own);
  const cohort_preference_outputs outputs = cohort_preference_build(method, probe->choice.config, own.graph, &fields);
  const cohort_value sum = cohort_preference_objective(own.graph, method, &fields, &outputs);
  const cohort_value loss = cohort_graph_scale(own.graph, sum, 1 / (double)own.samples);
  cohort_probe_wanted wanted[RESULTS] = {{loss, "loss", COHORT_SCALAR_SHAPE}};
  int results = 1;
  if (!(method->needs & COHORT_NEEDS_BATCH))
    wanted[results++] = (cohort_probe_wanted){cohort_preference_rows(own.graph, &fields, &outputs),
                                              pairs ? "per_pair" : "per_completion", COHORT_SHAPE(own.samples)};
  cohort_value gradient[4];
  cohort_graph_gradient(own.graph, loss, COHORT_NO_VALUE, own.varied, own.wrt, gradient);
  for (int i = 0; i < own.varied; i++)
    wanted[results++] = (cohort_probe_wanted){
        gradient[i], own.name[i], scores ? COHORT_SHAPE(own.samples) : COHORT_SHAPE(own.samples, own.tokens)};
  const cohort_status status = cohort_probe_evaluate(probe, own.graph, own.leaves, own.leaf, results, wanted, error);
  cohort_graph_destroy(own.graph);
  for (int i = 0; i < own.varied; i++) free(own.name[i]);
  return status;
}

const cohort_probe_program cohort_probe_preference = {.family = "preference", .run = run};
