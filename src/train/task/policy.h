/* Task policy: its settings, its data and the inputs of its graph, shared by the files that load, roll out, build and
 * feed.
 *
 * A batch is of completion groups: `written` completions that the model has made of a prompt and, where the loss wants
 * it, one from the data after them; together `kept`. Sequences are numbered group by group. */
#ifndef COHORT_TRAIN_TASK_POLICY_H
#define COHORT_TRAIN_TASK_POLICY_H

#include "io/tokenizer/tokenizer.h"
#include "method/policy/policy.h"
#include "train/rollout/rewards.h"
#include "train/rollout/rollout.h"
#include "train/task/task.h"

typedef struct cohort_policy_settings {
  const cohort_document *loss, *reward, *rewards, *sampling, *stop;
  cohort_decoding how; /* of sampling */
  cohort_numbers reward_weights;
  int64_t group, prompt, completion, updates, resample;
} cohort_policy_settings;

/* Inputs in the order of declaration. A lane has `capacity` samples, each a completion group; sequences stand one after
 * another, their rows are segments, and rows that are left belong to none. */
typedef enum cohort_policy_input {
  COHORT_POLICY_IN_TOKENS, /* [rows] each, as the next eleven */
  COHORT_POLICY_IN_TARGETS,
  COHORT_POLICY_IN_POSITIONS,
  COHORT_POLICY_IN_SEGMENTS,
  COHORT_POLICY_IN_IDS,
  COHORT_POLICY_IN_MASK,
  COHORT_POLICY_IN_ADVANTAGE,
  COHORT_POLICY_IN_TARGET,                               /* of the critic */
  COHORT_POLICY_IN_SCORED,                               /* in the order of cohort_policy_scored */
  COHORT_POLICY_IN_LENGTH = COHORT_POLICY_IN_SCORED + 4, /* [sequences]: at least 1 */
  COHORT_POLICY_IN_SCORE,                                /* [sequences], as the next two */
  COHORT_POLICY_IN_FROM_DATA,
  COHORT_POLICY_IN_GROUPS,
  COHORT_POLICY_IN_TOKEN_SHARE, /* scalar */
  COHORT_POLICY_IN_RUNS,        /* [rows, 3]: segments with their prefixes, where prompts are shared */
  COHORT_POLICY_INPUTS,
} cohort_policy_input;

/* What a scoring pass may say of every token. */
typedef enum cohort_policy_scored {
  COHORT_SCORED_OLD,
  COHORT_SCORED_REFERENCE,
  COHORT_SCORED_VALUE,
  COHORT_SCORED_GUIDE,
  COHORT_SCORED_COLUMNS
} cohort_policy_scored;

/* Columns of the row table "rollouts", keyed by the sequence; those that are scored follow. */
enum {
  COHORT_ROLLOUT_TOKENS,
  COHORT_ROLLOUT_PROMPT,
  COHORT_ROLLOUT_LENGTH,
  COHORT_ROLLOUT_ENDED,
  COHORT_ROLLOUT_SKIP,
  COHORT_ROLLOUT_REWARD,
  COHORT_ROLLOUT_GREEDY,
  COHORT_ROLLOUT_SCORED,
  COHORT_ROLLOUT_COLUMNS = COHORT_ROLLOUT_SCORED + COHORT_SCORED_COLUMNS
};
/* Columns of the row table "policy", of the one row 0: what goes from rollout to rollout. */
enum { COHORT_KEPT_STATE, COHORT_KEPT_DRAWN, COHORT_KEPT_NEXT_DRAWN, COHORT_KEPT_COLUMNS };

enum { COHORT_POLICY_REWARDS = 8 };

/* A rollout: of all sequences, on every rank. */
typedef struct cohort_policy_batch {
  int64_t *token;                          /* [..][completion]: -1 behind the end */
  int64_t *prompt, *length, *ended, *skip; /* [..]; skip: tokens at the start that are the data's */
  double *reward, *greedy;                 /* [..][rewards], [..] */
  float *scored[COHORT_SCORED_COLUMNS];    /* [..][completion]; NULL: is not scored */
} cohort_policy_batch;

/* Columns of metrics.csv that are no method's own: of the lanes, then of the rollout. */
typedef enum cohort_policy_metric {
  COHORT_POLICY_ENTROPY_MEAN = COHORT_POLICY_COLUMNS,
  COHORT_POLICY_OF_ROLLOUT, /* from here on: cohort_policy_data.report */
} cohort_policy_metric;

enum { COHORT_POLICY_REPORTS = 10 };

typedef struct cohort_policy_data {
  const cohort_policy_settings *settings;
  cohort_stops stops;
  cohort_choice loss, rule[COHORT_POLICY_REWARDS];
  unsigned needs;
  bool scores;       /* a scoring pass follows every rollout, and nothing that it says is computed again */
  int critic, guide; /* spaces; -1: the critic is a head of the model, there is no guide */
  int64_t kept;      /* sequences of a prompt in a batch */
  bool shares;       /* the prompt's rows stand once for them, but for the last */
  int64_t sequences; /* of a batch */
  double resets;     /* share of completions that begin with the data's tokens */
  int rewards;
  double weight[COHORT_POLICY_REWARDS];
  cohort_tokenizer *tokenizer;
  int32_t *tokens;                  /* of the text that is trained on: prompts one after another */
  int64_t rows;                     /* of a sequence */
  cohort_row_table *table, *memory; /* memory: NULL when nothing goes from rollout to rollout */
  int table_columns;
  int place[COHORT_SCORED_COLUMNS];    /* of each among the table's columns, -1: it has none */
  cohort_rollout *rollout, *likeliest; /* made before the first step */
  cohort_rewards *reward[COHORT_POLICY_REWARDS], *greedy[COHORT_POLICY_REWARDS];
  int64_t first;                        /* the batch's first position */
  int64_t drawn, next_drawn;            /* prompts that rollouts before this one, and with it, have taken */
  cohort_policy_batch batch, candidate; /* candidate: of prompts that may be dropped again */
  double share;                         /* completions over their tokens, of the batch */
  /* Experience: what it reads as float64, and what it makes. */
  double *numbers;
  cohort_policy_rollouts rollouts;
  cohort_policy_experience experience;
  double state[COHORT_POLICY_STATES];
  /* Names and order of the columns. */
  int source[COHORT_MAX_METRICS]; /* of the method's columns; or a cohort_policy_metric */
  double report[COHORT_POLICY_REPORTS + COHORT_POLICY_STATES];
} cohort_policy_data;

static inline bool cohort_policy_has(const cohort_policy_data *own, unsigned bit) { return (own->needs & bit) != 0; }
/* Of a column that is scored: whether this loss has any use for it. */
bool cohort_policy_scores(const cohort_policy_data *own, cohort_policy_scored column);

/* policy_experience.c */
void cohort_policy_make_experience(cohort_policy_data *own, int64_t batch);
void cohort_policy_release_experience(cohort_policy_data *own);
/* From own->batch. `number`: rollouts before this one. */
void cohort_policy_run_experience(cohort_policy_data *own, int64_t number);
void cohort_policy_derive(const cohort_task *task, cohort_split split, int64_t count, const double *sums, double loss,
                          double *columns);
void cohort_policy_list_metrics(cohort_task *task, cohort_policy_data *own);

/* policy_rollout.c */
void cohort_policy_make_batch(const cohort_policy_data *own, cohort_policy_batch *batch);
void cohort_policy_release_batch(cohort_policy_batch *batch);
cohort_status cohort_policy_prepare(cohort_task *task, const cohort_task_stage *stage, cohort_error *error);
void cohort_policy_commit(cohort_task *task, bool applied);

/* policy_write.c: completions of the prompts of `batch`, by this rank's lanes, and their rewards. */
cohort_status cohort_policy_write(cohort_task *task, const cohort_task_stage *stage, cohort_policy_batch *batch,
                                  cohort_error *error);
double cohort_policy_bytes(const cohort_task *task, int lanes, cohort_isa isa, int executors, int threads);
/* This rank's sequences: [first, last). */
void cohort_policy_own_range(const cohort_policy_data *own, const cohort_task_stage *stage, int64_t *first,
                             int64_t *last);

/* Rows of a prompt that stand once for its sequences. */
static inline int64_t cohort_policy_shared(const cohort_policy_data *own) {
  return own->shares ? own->settings->prompt - 1 : 0;
}
/* Rows that the sequences of `prompts` prompts take at most. */
static inline int64_t cohort_policy_most_rows(const cohort_policy_data *own, int64_t prompts) {
  return prompts * (own->kept * own->rows - (own->kept - 1) * cohort_policy_shared(own));
}

/* policy_graph.c */
cohort_lane_outputs cohort_policy_graph(const cohort_task *task, cohort_graph *graph, int64_t capacity, bool training);
/* The columns that the method has at these settings. */
void cohort_policy_columns(const cohort_task *task, bool has[COHORT_POLICY_COLUMNS]);
/* policy_feed.c */
void cohort_policy_feed(const cohort_task *task, cohort_feed *feed);

#endif
