/* Task policy: its settings, its data and the inputs of its graph, shared by the files that load, roll out, build and
 * feed. */
#ifndef COHORT_TRAIN_TASK_POLICY_H
#define COHORT_TRAIN_TASK_POLICY_H

#include "io/tokenizer/tokenizer.h"
#include "method/policy/policy.h"
#include "train/rollout/rewards.h"
#include "train/rollout/rollout.h"
#include "train/task/task.h"

typedef struct cohort_policy_settings {
  const cohort_document *loss, *reward;
  int64_t group, prompt, completion, updates;
} cohort_policy_settings;

/* Inputs in the order of declaration. A lane has `capacity` samples, each a completion group; sequences stand one after
 * another, their rows are segments, and rows that are left belong to none. */
typedef enum cohort_policy_input {
  COHORT_POLICY_TOKENS, /* [rows] each, as the next seven */
  COHORT_POLICY_TARGETS,
  COHORT_POLICY_POSITIONS,
  COHORT_POLICY_SEGMENTS,
  COHORT_POLICY_IDS,
  COHORT_POLICY_MASK,
  COHORT_POLICY_ADVANTAGE,
  COHORT_POLICY_OLD,
  COHORT_POLICY_LENGTH,      /* [completions]: at least 1 */
  COHORT_POLICY_REWARD,      /* [completions] */
  COHORT_POLICY_TOKEN_SHARE, /* scalar */
  COHORT_POLICY_INPUTS,
} cohort_policy_input;

/* Columns of the row table "rollouts", keyed by the completion: prompt x group + number in the group. */
enum {
  COHORT_ROLLOUT_TOKENS,
  COHORT_ROLLOUT_LENGTH,
  COHORT_ROLLOUT_REWARD,
  COHORT_ROLLOUT_OLD,
  COHORT_ROLLOUT_COLUMNS
};

typedef struct cohort_policy_data {
  const cohort_policy_settings *settings;
  cohort_choice loss, rule;
  cohort_tokenizer *tokenizer;
  int32_t *tokens; /* of the text that is trained on: prompts one after another */
  int64_t rows;    /* of a sequence */
  cohort_row_table *table;
  cohort_rollout *rollout; /* made before the first step */
  cohort_rewards *rewards;
  /* The batch of the step, [batch x group] each; of a rank's own lanes, but lengths of all. */
  int64_t first; /* the batch's first position */
  int64_t *length;
  int64_t *completion; /* [..][completion] */
  double *reward, *advantage;
  float *old;   /* [..][completion] */
  double share; /* completions over their tokens, of the batch */
  /* Names and order of the columns. */
  int source[COHORT_MAX_METRICS]; /* of the method's columns; or one of these */
} cohort_policy_data;

enum { COHORT_POLICY_MEAN_LENGTH = COHORT_POLICY_COLUMNS, COHORT_POLICY_MEAN_REWARD };

/* The prompt that stands at a position of the stream of steps. */
int64_t cohort_policy_prompt(const cohort_task *task, int64_t position);
/* Whether several updates share the rollouts: the old policy is then one that no longer is. */
static inline bool cohort_policy_reuses(const cohort_policy_data *own) { return own->settings->updates > 1; }

/* The task's functions. */
cohort_status cohort_policy_prepare(cohort_task *task, const cohort_task_stage *stage, cohort_error *error);
double cohort_policy_bytes(const cohort_task *task, int lanes, cohort_isa isa, int executors, int threads);
void cohort_policy_commit(cohort_task *task);
cohort_lane_outputs cohort_policy_graph(const cohort_task *task, cohort_graph *graph, int64_t capacity, bool training);
void cohort_policy_feed(const cohort_task *task, cohort_feed *feed);
void cohort_policy_list_metrics(cohort_task *task, cohort_policy_data *own);

#endif
