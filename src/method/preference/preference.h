/* Family preference: losses on completions of prompts, as graphs over named fields.
 *
 * A lane holds `completions` of them, C. They come in pairs, chosen and rejected in turn, P = C / 2, or alone, each
 * with a label (COHORT_NEEDS_UNPAIRED). Columns are per completion, [C], or per token, [N]: a token's segment is its
 * completion. A method reads the fields that every method has and those that its descriptor's `needs` name; the others
 * are COHORT_NO_VALUE. Where the numbers come from it does not know: a model, a stored table, a file of `probe`.
 *
 * An empty place holds finite log-probabilities, unequal within a pair, and weighs nothing. The reference's columns are
 * constants for the gradient. A column's side is had by cohort_preference_side.
 *
 * To add a method: copy ipo.c, fill the descriptor, write `build`. */
#ifndef COHORT_METHOD_PREFERENCE_PREFERENCE_H
#define COHORT_METHOD_PREFERENCE_PREFERENCE_H

#include "graph/graph.h"
#include "method/method.h"

/* What a loss of this family may need. */
enum {
  COHORT_NEEDS_REFERENCE = 1 << 0,  /* a frozen reference model */
  COHORT_NEEDS_UNPAIRED = 1 << 1,   /* completions alone, with labels */
  COHORT_NEEDS_MISMATCHED = 1 << 2, /* beside each prompt's completion that of another prompt of the batch */
  COHORT_NEEDS_DIVERGENCE = 1 << 3, /* of every token: KL from the reference's distribution to the policy's */
  COHORT_NEEDS_BATCH = 1 << 4,      /* one loss for the batch, of all its pairs together */
  COHORT_NEEDS_TOKENS = 1 << 5,     /* how many tokens the batch's chosen have: for token_loss */
  COHORT_NEEDS_SCORES = 1 << 6,     /* the model's scalar head at the last token; no log p of the policy */
};

typedef struct cohort_preference_fields {
  int64_t completions;               /* C */
  cohort_value policy, reference;    /* [C]: log p of the completion, a sum over its tokens; policy: not SCORES */
  cohort_value score;                /* [C], SCORES */
  cohort_value margin;               /* [P], SCORES: how much better chosen is, where the data say so */
  cohort_value length;               /* [C]: its tokens, at least 1 */
  cohort_value label;                /* [C], UNPAIRED: 1 desirable, 0 not */
  cohort_value weight;               /* of each pair [P], or completion [C]: 1, or 0 for an empty place */
  cohort_value segments;             /* [N] integer, -1: of no completion */
  cohort_value mask, divergence;     /* [N], DIVERGENCE: 1 in completions, else 0; finite outside of them too */
  cohort_value policy_mismatched;    /* [C], MISMATCHED: log p of another prompt's completion */
  cohort_value reference_mismatched; /* the same */
  cohort_value token_share;          /* scalar, TOKENS: pairs (completions) of the batch over the tokens of all that
                                        are chosen (desirable) */
  cohort_value first_lane;           /* scalar: 1 in the first lane, 0 in the others; BATCH alone */
} cohort_preference_fields;

enum { COHORT_PREFERENCE_COLUMNS = 4 };

typedef struct cohort_preference_outputs {
  cohort_value loss;       /* of each pair [P], or completion [C]; divided by their number in the batch.
                              BATCH: a scalar, the sum over the batch, the same in every lane */
  cohort_value token_loss; /* as many, or COHORT_NO_VALUE: sums over the tokens of the chosen; divided by
                              the number of such tokens in the batch, not by pair */
  cohort_value reward;     /* [C], as logged by TRL */
  cohort_value column[COHORT_PREFERENCE_COLUMNS]; /* as many as the loss, or scalars: their means are logged */
} cohort_preference_outputs;

typedef struct cohort_preference {
  cohort_preference_outputs (*build)(const void *config, cohort_graph *graph, const cohort_preference_fields *fields);
  const char *column[COHORT_PREFERENCE_COLUMNS]; /* names of its columns, "preference/likelihood"; NULL ends them */
} cohort_preference;

/* For methods. */
/* A side of a column of pairs: [C] -> [P]; 0 is chosen, 1 rejected. */
cohort_value cohort_preference_side(cohort_graph *graph, cohort_value column, int side);
/* policy - reference, [C]. */
cohort_value cohort_preference_log_ratio(cohort_graph *graph, const cohort_preference_fields *fields);
/* Tokens' sums by completion: [N] -> [C]. */
cohort_value cohort_preference_total(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value tokens);
/* -(1 - flipped) log sigmoid(margin) - flipped log sigmoid(-margin). */
cohort_value cohort_preference_smoothed(cohort_graph *graph, cohort_value margin, double flipped);

/* For those who fill the fields and want the loss: training and `probe`. */
cohort_preference_outputs cohort_preference_build(const cohort_method *method, const void *config, cohort_graph *graph,
                                                  const cohort_preference_fields *fields);
/* The lane's part of the objective, a scalar: to be divided by the batch's pairs or completions. */
cohort_value cohort_preference_objective(cohort_graph *graph, const cohort_method *method,
                                         const cohort_preference_fields *fields,
                                         const cohort_preference_outputs *outputs);
/* What each pair or completion gives to it, its weight apart; not for BATCH. */
cohort_value cohort_preference_rows(cohort_graph *graph, const cohort_preference_fields *fields,
                                    const cohort_preference_outputs *outputs);

#endif
