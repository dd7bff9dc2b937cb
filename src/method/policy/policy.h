/* Family policy: losses on completions that a policy has written itself, as graphs over named fields.
 *
 * A lane holds `completions` of them, C, in completion groups: several of one prompt. Columns are per token, [N], whose
 * segment is the completion (-1: of none), or per completion, [C]. A method has two parts: advantages, plain float64
 * over the rewards of one completion group, and the loss, a graph. Where the numbers come from it does not know:
 * rollouts of a run, a file of `probe`.
 *
 * An empty place holds finite numbers and weighs nothing. `old`, `reference` and `advantage` are constants of the
 * gradient.
 *
 * To add a method: copy template.c, fill the descriptor, write `advantages` and `build`. */
#ifndef COHORT_METHOD_POLICY_POLICY_H
#define COHORT_METHOD_POLICY_POLICY_H

#include "graph/graph.h"
#include "method/method.h"

enum { COHORT_POLICY_COLUMNS = 4 };

typedef struct cohort_policy_fields {
  int64_t completions;
  int64_t limit;            /* tokens of the longest completion that is allowed */
  cohort_value policy;      /* [N]: log-probability of a token under the policy, which is trained */
  cohort_value old;         /* [N]: under the policy as it was when it wrote */
  cohort_value reference;   /* [N]: under a frozen reference; COHORT_NO_VALUE unless the method asks for it */
  cohort_value mask;        /* [N]: 1 for tokens of completions, else 0 */
  cohort_value advantage;   /* [N] */
  cohort_value segments;    /* [N] */
  cohort_value length;      /* [C]: tokens with mask 1, at least 1 */
  cohort_value token_share; /* scalar: completions of the whole batch over their tokens */
} cohort_policy_fields;

typedef struct cohort_policy_outputs {
  cohort_value loss; /* [C]: what each completion gives; their mean over the batch is minimised */
  cohort_value column[COHORT_POLICY_COLUMNS]; /* [C]: their means are logged */
} cohort_policy_outputs;

typedef struct cohort_policy {
  /* Whether it needs a reference at these settings; NULL: never. */
  bool (*needs_reference)(const void *config);
  /* Of the `count` completions of one group, from their rewards. */
  void (*advantages)(const void *config, int64_t count, const double *reward, double *advantage);
  cohort_policy_outputs (*build)(const void *config, cohort_graph *graph, const cohort_policy_fields *fields);
  const char *column[COHORT_POLICY_COLUMNS]; /* names of its columns, "policy/clipped"; NULL ends them. Where one is
                                                COHORT_NO_VALUE at these settings it is not logged. */
} cohort_policy;

/* For methods. */
/* Tokens' sums by completion: [N] -> [C]. */
cohort_value cohort_policy_total(cohort_graph *graph, const cohort_policy_fields *fields, cohort_value tokens);
/* A completion's number for each of its tokens: [C] -> [N]. */
cohort_value cohort_policy_spread(cohort_graph *graph, const cohort_policy_fields *fields, cohort_value completions);
/* The mean over a completion's tokens: [N] -> [C]. */
cohort_value cohort_policy_mean(cohort_graph *graph, const cohort_policy_fields *fields, cohort_value tokens);

/* For those who fill the fields. */
bool cohort_policy_needs_reference(const cohort_method *method, const void *config);

#endif
