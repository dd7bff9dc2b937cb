/* Family preference: losses on completions of prompts, as graphs over named fields.
 *
 * A lane holds P samples of `sides` completions each, C = P * sides, which stand sample by sample:
 *
 *   pairs      sides = 2, chosen and rejected in turn
 *   lists      COHORT_NEEDS_LISTS: sides = K, the best first; places that a shorter list leaves are absent
 *   unpaired   COHORT_NEEDS_UNPAIRED: sides = 1, each with a label
 *
 * Columns are per sample, [P], per completion, [C], per step of a completion, [C, S], or per token, [N]: a token's
 * segment is its completion. A column of completions is a table [P, sides] by cohort_preference_table. A method reads
 * the fields that every method has, those that its descriptor's `needs` name, and those of its own table `fields`,
 * numbers that the data have beside the completions (cohort_preference_field); the others are COHORT_NO_VALUE. Where
 * the numbers come from it does not know: a model, a stored table, the lines of a file, a file of `probe`.
 *
 * An empty place holds finite log-probabilities, unequal within a pair, and weighs nothing. The reference's columns are
 * constants for the gradient. A column's side is had by cohort_preference_side. States change once a step, from the
 * first answer on the step's own batch, and only if the step is applied (bco.c, groupdpo.c).
 *
 * To add a method: copy gpo.c, fill the descriptor, write `build`. */
#ifndef COHORT_METHOD_PREFERENCE_PREFERENCE_H
#define COHORT_METHOD_PREFERENCE_PREFERENCE_H

#include "base/field.h"
#include "graph/graph.h"
#include "method/method.h"

/* What a loss of this family may need. */
enum {
  COHORT_NEEDS_REFERENCE = 1 << 0,  /* a frozen reference model */
  COHORT_NEEDS_UNPAIRED = 1 << 1,   /* completions alone, with labels */
  COHORT_NEEDS_MISMATCHED = 1 << 2, /* beside each prompt's completion that of another prompt of the batch */
  COHORT_NEEDS_DIVERGENCE = 1 << 3, /* of every token: KL from the reference's distribution to the policy's */
  COHORT_NEEDS_TOKENS = 1 << 4,     /* how many tokens the batch's chosen have: for token_loss */
  COHORT_NEEDS_SCORES = 1 << 5,     /* the model's scalar head at the last token; no log p of the policy */
  COHORT_NEEDS_LISTS = 1 << 6,      /* lists of completions, the best first; pairs are lists of two */
  COHORT_NEEDS_EACH_TOKEN = 1 << 7, /* log p of every token, not their sums alone */
  COHORT_NEEDS_STEPS = 1 << 8,      /* which step or turn each token is of; with SCORES: the head at each step's end */
};

typedef struct cohort_preference_fields {
  int64_t samples, completions;      /* P, C */
  int64_t steps;                     /* S, STEPS: of the completion that has most */
  bool training;                     /* false: evaluation, in which what is kept stays as it is */
  cohort_value policy, reference;    /* [C]: log p of the completion, a sum over its tokens; policy: not SCORES */
  cohort_value score;                /* [C], SCORES without STEPS */
  cohort_value length;               /* [C]: its tokens, at least 1 */
  cohort_value label;                /* [C], UNPAIRED, unless the method has a field of this name: 1 desirable, 0 not */
  cohort_value weight;               /* [P]: 1, or 0 for an empty place */
  cohort_value present;              /* [C], LISTS: 1, or 0 where a list is shorter, or the place empty */
  cohort_value segments;             /* [N] integer, -1: of no completion */
  cohort_value mask;                 /* [N], DIVERGENCE, EACH_TOKEN: 1 in completions, else 0 */
  cohort_value divergence;           /* [N], DIVERGENCE; finite outside of completions too */
  cohort_value policy_token;         /* [N], EACH_TOKEN: log p of the token; 0 outside of completions */
  cohort_value reference_token;      /* the same, with REFERENCE */
  cohort_value step_segments;        /* [N] integer, STEPS: c * S + s, or -1: of no step; not SCORES */
  cohort_value step_present;         /* [C, S], STEPS: 1, or 0 where a completion has fewer */
  cohort_value step_score;           /* [C, S], STEPS and SCORES: the head at the last token of each */
  cohort_value policy_mismatched;    /* [C], MISMATCHED: log p of another prompt's completion */
  cohort_value reference_mismatched; /* the same */
  cohort_value token_share;          /* scalar, TOKENS: samples of the batch over the tokens of all that are chosen
                                        (the best, desirable); SCORES and STEPS: over all steps */
  cohort_value state[COHORT_MAX_STATES]; /* what the descriptor's `states` (owner space) hold as the step finds them;
                                            each of its numbers, at least [1] */
  const cohort_field *own;               /* the method's table, or NULL */
  cohort_value own_value[COHORT_MAX_FIELDS]; /* of each: real [P], [C], [C, S] or [N], or integer [P]; 0 in empty
                                                places; COHORT_NO_VALUE: optional, and the data have none */
} cohort_preference_fields;

enum { COHORT_PREFERENCE_COLUMNS = 4 };

typedef struct cohort_preference_outputs {
  cohort_value loss;       /* of each sample [P]; divided by their number in the batch. A loss of the batch is shared
                              out: its mean for every sample (cohort_pair_transport) */
  cohort_value token_loss; /* as many, or COHORT_NO_VALUE: sums over the tokens of the chosen; divided by
                              the number of such tokens in the batch, not by pair */
  cohort_value reward;     /* [C], as logged by TRL */
  cohort_value column[COHORT_PREFERENCE_COLUMNS]; /* as many as the loss, or scalars: their means are logged */
  cohort_value next[COHORT_MAX_STATES];           /* what the states become: the same in every lane */
} cohort_preference_outputs;

typedef struct cohort_preference {
  cohort_preference_outputs (*build)(const void *config, cohort_graph *graph, const cohort_preference_fields *fields);
  const char *column[COHORT_PREFERENCE_COLUMNS]; /* names of its columns, "preference/likelihood"; NULL ends them */
  const cohort_field *fields; /* what it reads of the data, at most COHORT_MAX_FIELDS; NULL: nothing more */
} cohort_preference;

/* For methods. */
/* What a method's table `fields` names; COHORT_NO_VALUE: optional, and not there. */
cohort_value cohort_preference_field(const cohort_preference_fields *fields, const char *name);
/* A column of completions by sample: [C] -> [P, sides]. */
cohort_value cohort_preference_table(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value column);
/* Of a table [R, n] with its marks of what is there, 1 or 0: the logarithm of the softmax over a row's present numbers;
 * finite where there are none, and to be left out by the marks. */
cohort_value cohort_preference_log_softmax(cohort_graph *graph, cohort_value table, cohort_value present);
/* A side of a column of pairs: [C] -> [P]; 0 is chosen, 1 rejected. */
cohort_value cohort_preference_side(cohort_graph *graph, cohort_value column, int side);
/* policy - reference, [C]. */
cohort_value cohort_preference_log_ratio(cohort_graph *graph, const cohort_preference_fields *fields);
/* Tokens' sums by completion: [N] -> [C]. */
cohort_value cohort_preference_total(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value tokens);
/* Tokens' sums by step: [N] -> [C, S]. */
cohort_value cohort_preference_step_total(cohort_graph *graph, const cohort_preference_fields *fields,
                                          cohort_value tokens);
/* Steps' sums by completion: [C, S] -> [C]. */
cohort_value cohort_preference_steps(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value steps);
/* -(1 - flipped) log sigmoid(margin) - flipped log sigmoid(-margin). */
cohort_value cohort_preference_smoothed(cohort_graph *graph, cohort_value margin, double flipped);

/* For those who fill the fields and want the loss: training and `probe`. */
/* None: all COHORT_NO_VALUE, with the method's table. */
cohort_preference_fields cohort_preference_no_fields(const cohort_method *method, int64_t samples, int sides);
/* Whether the completions of its data have labels. */
bool cohort_preference_has_label(const cohort_method *method);
/* The method's field of this name, or -1. */
int cohort_preference_field_index(const cohort_method *method, const char *name);
cohort_preference_outputs cohort_preference_build(const cohort_method *method, const void *config, cohort_graph *graph,
                                                  const cohort_preference_fields *fields);
/* The lane's part of the objective, a scalar: to be divided by the batch's samples. */
cohort_value cohort_preference_objective(cohort_graph *graph, const cohort_preference_fields *fields,
                                         const cohort_preference_outputs *outputs);
/* What each sample gives to it, its weight apart. */
cohort_value cohort_preference_rows(cohort_graph *graph, const cohort_preference_fields *fields,
                                    const cohort_preference_outputs *outputs);

#endif
