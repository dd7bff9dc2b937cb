/* Family policy: losses on completions that a policy has written itself.
 *
 * Segments run token -> completion -> completion group (those of one prompt). A method has two parts:
 *   experience   plain float64 over all completions of a rollout, the same on every rank: rewards become advantages,
 *                targets of a critic, scores; numbers that are kept from rollout to rollout become the next ones
 *   build        the loss, a graph over the completions of a lane
 * Where the numbers come from it does not know: rollouts of a run, a file of `probe`.
 *
 * An empty place holds finite numbers and weighs nothing. What experience makes, `old`, `reference`, `guide` and
 * `old_value` are constants of the gradient.
 *
 * To add a method: copy template.c, fill the descriptor, write `experience` (from experience/experience.h) and `build`.
 */
#ifndef COHORT_METHOD_POLICY_POLICY_H
#define COHORT_METHOD_POLICY_POLICY_H

#include "graph/graph.h"
#include "method/method.h"

enum { COHORT_POLICY_COLUMNS = 8, COHORT_POLICY_STATES = 8 };

/* What a method needs: bits of its descriptor (`needs`), or at its settings (`asks`). */
enum {
  COHORT_POLICY_VALUE = 1 << 0,     /* a critic */
  COHORT_POLICY_GREEDY = 1 << 1,    /* beside each prompt's completions the likeliest one, of which it has the reward */
  COHORT_POLICY_PAIRS = 1 << 2,     /* completions of a prompt go by twos: their number is even */
  COHORT_POLICY_GUIDE = 1 << 3,     /* a second frozen policy */
  COHORT_POLICY_DATA = 1 << 4,      /* after each prompt's completions stands one from the data, of no reward */
  COHORT_POLICY_REFERENCE = 1 << 5, /* a frozen reference; at settings */
  COHORT_POLICY_SCORED =
      1 << 6, /* its experience reads columns of tokens: old, and what of those it has; at settings */
  COHORT_POLICY_ENTROPY = 1 << 7, /* of the policy's distribution at every token; at settings */
  COHORT_POLICY_KEEPS = 1 << 8,   /* its numbers that go from rollout to rollout do change; at settings */
};

/* A rollout as experience sees it. Columns of tokens are [completions][width]; what stands outside of `mask` is 0. */
typedef struct cohort_policy_rollouts {
  int64_t completions, groups, width;
  const int64_t *first, *last; /* [groups]: written completions of group g are first[g], ... last[g] - 1; others are
                                  from the data */
  const double *mask;          /* tokens: 1 for those that count, else 0 */
  const bool *ended;           /* [completions]: it closed by itself, not by the limit */
  int rewards;                 /* of a completion */
  const double *reward;        /* [rewards][completions] */
  const double *weight;        /* [rewards] */
  const double *token_reward;  /* tokens, instead of rewards (`rewards` 1: their sums); NULL: at the last token */
  const double *greedy;        /* [groups], weighted; NULL unless GREEDY */
  const double *old;           /* tokens: log-probability under the policy that wrote; NULL unless SCORED */
  const double *reference, *guide, *value; /* tokens; NULL unless SCORED and asked for */
  const double *state;                     /* [COHORT_POLICY_STATES]: as the last rollout has left it */
  int64_t number;                          /* rollouts before this one */
} cohort_policy_rollouts;

/* What becomes of it; zeros at first. */
typedef struct cohort_policy_experience {
  double *advantage;  /* tokens */
  double *target;     /* tokens: what a critic's value is to become */
  double *score;      /* [completions]: for losses that look at whole completions */
  double *next;       /* [COHORT_POLICY_STATES]: starts as `state` */
  double *room;       /* tokens, twice: scratch */
  double *completion; /* [4][completions]: scratch */
} cohort_policy_experience;

/* A lane's completions, C of them, in groups. Columns are per token, [N], whose segment is the completion
 * (-1: of none), or per completion, [C]. What a method has not asked for is COHORT_NO_VALUE. */
typedef struct cohort_policy_fields {
  int64_t completions;
  int64_t limit;            /* tokens of the longest completion that is allowed */
  cohort_value policy;      /* [N]: log-probability of a token under the policy, which is trained */
  cohort_value old;         /* [N]: under the policy as it was when it wrote */
  cohort_value reference;   /* [N]; REFERENCE */
  cohort_value guide;       /* [N]; GUIDE */
  cohort_value entropy;     /* [N]; ENTROPY */
  cohort_value value;       /* [N]: of the state in which a token was chosen, which is trained; VALUE */
  cohort_value old_value;   /* [N]: as it was when the completions were written; VALUE */
  cohort_value target;      /* [N], as experience made it; VALUE */
  cohort_value mask;        /* [N]: 1 for tokens that count, else 0 */
  cohort_value advantage;   /* [N], as experience made it */
  cohort_value segments;    /* [N] */
  cohort_value groups;      /* [C] integer: number of the completion's group, below C */
  cohort_value score;       /* [C], as experience made it */
  cohort_value from_data;   /* [C]: 1 for those from the data, else 0; DATA */
  cohort_value length;      /* [C]: tokens with mask 1, at least 1 */
  cohort_value token_share; /* scalar: completions of the whole batch over their tokens */
} cohort_policy_fields;

typedef struct cohort_policy_outputs {
  cohort_value loss; /* [C]: what each completion gives; their mean over the batch is minimised */
  cohort_value column[COHORT_POLICY_COLUMNS]; /* [C]: their means are logged; 0 and below: is not there */
} cohort_policy_outputs;

typedef struct cohort_policy {
  unsigned (*asks)(const void *config); /* further COHORT_POLICY_... bits; NULL: none */
  /* Numbers kept from rollout to rollout: "policy/kl_coefficient"; NULL ends them. They are logged, too. */
  const char *state[COHORT_POLICY_STATES];
  void (*begin)(const void *config, double *state); /* as they are at first; NULL: zero */
  /* Share of completions that begin with some of the data's own tokens, which do not count; NULL: none. */
  double (*resets)(const void *config);
  void (*experience)(const void *config, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out);
  cohort_policy_outputs (*build)(const void *config, cohort_graph *graph, const cohort_policy_fields *fields);
  const char *column[COHORT_POLICY_COLUMNS]; /* names of its columns, "policy/clip_ratio"; NULL ends them. Where one is
                                                0 or below at these settings it is not logged. */
} cohort_policy;

/* For methods. */
/* Tokens' sums by completion: [N] -> [C]. */
cohort_value cohort_policy_total(cohort_graph *graph, const cohort_policy_fields *fields, cohort_value tokens);
/* A completion's number for each of its tokens: [C] -> [N]. */
cohort_value cohort_policy_spread(cohort_graph *graph, const cohort_policy_fields *fields, cohort_value completions);
/* The mean over a completion's tokens: [N] -> [C]. */
cohort_value cohort_policy_mean(cohort_graph *graph, const cohort_policy_fields *fields, cohort_value tokens);
/* So that the mean over completions is that over all tokens of the batch: [N] -> [C]. */
cohort_value cohort_policy_token_mean(cohort_graph *graph, const cohort_policy_fields *fields, cohort_value tokens);
/* The sum over a completion's group, for each of its completions: [C] -> [C]. */
cohort_value cohort_policy_group_total(cohort_graph *graph, const cohort_policy_fields *fields,
                                       cohort_value completions);
/* Of pairs the first (0) or the second (1) one: [C] -> [C / 2]. */
cohort_value cohort_policy_side(cohort_graph *graph, cohort_value completions, int side);
/* Half of what a pair gives for each of its two: [C / 2] -> [C]. The mean over completions is then half of that over
 * pairs, so pass twice a pair's loss. */
cohort_value cohort_policy_both(cohort_graph *graph, cohort_value pairs);

/* For those who fill the fields. */
/* COHORT_POLICY_... of both kinds. */
unsigned cohort_policy_needs(const cohort_method *method, const void *config);
/* How many numbers it keeps. */
int cohort_policy_states(const cohort_method *method);

#endif
