/* Task preference: its data and the inputs of its graph, shared by the files that load, build and feed. */
#ifndef COHORT_TRAIN_TASK_PREFERENCE_H
#define COHORT_TRAIN_TASK_PREFERENCE_H

#include "method/preference/preference.h"
#include "train/task/task.h"
#include "train/task/token_pairs.h"

/* Inputs in the order of declaration; those that a method's graph lacks have no place. A lane has `capacity` samples of
 * `sides` sequences; sequences stand one after another, their rows are segments, and rows that are left belong to none.
 */
typedef enum cohort_preference_input {
  COHORT_PREFERENCE_ROWS,                              /* tokens, targets, positions, segments, ids: each [rows] */
  COHORT_PREFERENCE_RUNS = COHORT_PREFERENCE_ROWS + 5, /* [rows, 3]: segments with their prefixes, where prompts are
                                                          shared: those that attention goes by */
  COHORT_PREFERENCE_OTHER_ROWS,                        /* the first five of mismatched sequences; MISMATCHED */
  COHORT_PREFERENCE_LENGTHS = COHORT_PREFERENCE_OTHER_ROWS + 5, /* [sequences]: scored tokens, at least 1 */
  COHORT_PREFERENCE_WEIGHT,                                     /* [samples] */
  COHORT_PREFERENCE_FILLER,                                     /* [sequences]: 0, or log p of an empty place */
  COHORT_PREFERENCE_LABEL,                                      /* [sequences]; cohort_preference_has_label */
  COHORT_PREFERENCE_PRESENT,                                    /* [sequences]; LISTS */
  COHORT_PREFERENCE_STEPS,                                      /* [rows] integer; STEPS, not SCORES */
  COHORT_PREFERENCE_TOKEN_SHARE,                                /* scalar; TOKENS */
  COHORT_PREFERENCE_REFERENCE,                                  /* [sequences]: the reference's log p; stored */
  COHORT_PREFERENCE_REFERENCE_MISMATCHED,                       /* [sequences]: of mismatched ones; stored */
  COHORT_PREFERENCE_LAST,  /* [sequences], or with STEPS [sequences, S] integer: the row of its last token; SCORES */
  COHORT_PREFERENCE_FIELD, /* each of the method's own */
  COHORT_PREFERENCE_INPUTS = COHORT_PREFERENCE_FIELD + COHORT_MAX_FIELDS,
} cohort_preference_input;

/* How many rows samples take: of their own sequences, and of mismatched ones. */
enum { COHORT_PREFERENCE_OWN_ROWS, COHORT_PREFERENCE_OTHERS, COHORT_PREFERENCE_KINDS };
typedef struct cohort_preference_ragged {
  int32_t *of[COHORT_PREFERENCE_KINDS][COHORT_SPLITS]; /* [samples], the most first */
  double mean[COHORT_PREFERENCE_KINDS]; /* of the training split, or of another where there is nothing to train on */
} cohort_preference_ragged;

typedef struct cohort_preference_data {
  cohort_token_pairs split[COHORT_SPLITS];
  int sides;
  int64_t steps;                        /* S, of all splits */
  bool shares;                          /* the rows of a prompt stand once, but for the last */
  int64_t rows, other_rows;             /* of a sequence and of a mismatched one, at most */
  cohort_preference_ragged ragged;      /* of a sample's sequences, and of its mismatched ones */
  int64_t chosen_tokens[COHORT_SPLITS]; /* of all chosen or desirable completions */
  int source[COHORT_MAX_METRICS];       /* of each metric: a standard one, or COHORT_PREFERENCE_OWN + method's column */
  int place[COHORT_PREFERENCE_INPUTS];  /* of each input among those that the graph has, -1: it has none */
} cohort_preference_data;

enum { COHORT_PREFERENCE_OWN = 8 };

/* Which of the inputs a method's graph has; `data`: whose fields are there. */
void cohort_preference_place_inputs(const cohort_method *method, bool stored, bool shares,
                                    const cohort_token_pairs *data, int place[COHORT_PREFERENCE_INPUTS]);
/* preference_rows.c. Counts the rows of all samples; the data are loaded. */
void cohort_preference_count_rows(const cohort_task *task, cohort_preference_data *own);
void cohort_preference_release_rows(cohort_preference_data *own);
/* Rows that `capacity` samples take at most, whatever the batch. */
int64_t cohort_preference_most_rows(const cohort_task *task, int kind, int64_t capacity);
/* Rows of a sample's first sequence that one of the others goes on from: none that is scored. */
int64_t cohort_preference_shared(const cohort_preference_data *own, const cohort_token_pairs *pairs, int64_t sample,
                                 int side);
/* Whose completion stands beside a sample's prompt: that of half a split further on, of another prompt wherever there
 * are two, whatever the batch. */
int64_t cohort_preference_other(const cohort_task *task, cohort_split split, int64_t sample);

/* Names and order of the columns. */
void cohort_preference_list_metrics(cohort_task *task, cohort_preference_data *own);

/* The task's functions. */
cohort_lane_outputs cohort_preference_graph(const cohort_task *task, cohort_graph *graph, int64_t capacity,
                                            bool training);
void cohort_preference_feed(const cohort_task *task, cohort_feed *feed);
int64_t cohort_preference_row(const cohort_task *task, cohort_split split, int64_t position);
void cohort_preference_derive(const cohort_task *task, cohort_split split, int64_t count, const double *sums,
                              double loss, double *columns);
/* Scored tokens of a sample's chosen (best, desirable) completion; of steps that have scores, their number. */
int64_t cohort_preference_chosen_tokens(const cohort_method *method, const cohort_token_pairs *pairs, int64_t sample);

#endif
