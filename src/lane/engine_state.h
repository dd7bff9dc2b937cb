/* The inside of a lane engine, for engine.c and rows.c. */
#ifndef COHORT_LANE_ENGINE_STATE_H
#define COHORT_LANE_ENGINE_STATE_H

#include "lane/engine.h"

/* Rows joined so far, left to right: a binary counter. */
typedef struct row_stack {
  int count;
  cohort_subtree node[COHORT_MAX_SUBTREES];
  float *row[COHORT_MAX_SUBTREES];
} row_stack;

typedef struct executor_lanes {
  int first, last; /* lanes */
  int earlier;     /* of which these run in earlier waves */
  row_stack stack;
  int rows, free_rows;
  float *free_row[COHORT_MAX_SUBTREES];
  cohort_lane_row *last_wave; /* [last - first - early]: rows of the last wave's lanes */
  double seconds;
} executor_lanes;

/* What this rank gives to the sum of a bucket: one row a value, from left to right. */
typedef struct leaf {
  cohort_subtree node;
  cohort_lane_row row;
} leaf;

struct cohort_lane_engine {
  cohort_comm *comm;
  int lanes, first, last, threads;
  int executors, executor_threads, slots;
  cohort_team team, executor_team;
  executor_lanes *executor_lanes;
  double *lane_scalars;             /* [lanes][COHORT_LANE_SCALARS] */
  bool left;                        /* of the last run */
  size_t *part;                     /* [2 * ranks] */
  cohort_recorder *const *recorder; /* [executors], or NULL */
  /* Rows. */
  cohort_lane_rows held;
  int64_t elements;     /* of a whole vector */
  int64_t *whole_place; /* [buckets] */
  cohort_shared_memory *rows;
  cohort_vector sum; /* in `rows`, or apart */
  int leaves;
  leaf *leaf;
  int nodes; /* values that leave: this rank's subtrees, or with one rank its leaves */
  cohort_subtree *node;
  int *node_leaf;                    /* the leaf whose row holds each */
  int64_t *node_place, *node_vector; /* of the bucket that leaves */
  uint64_t *number;                  /* [buckets]: of its last sum */
  uint64_t last_number;
  cohort_collective *collective;
};

/* Who runs when in a rank with lanes [first, last), and the rows it needs. */
cohort_lane_needs cohort_rows_count(int lanes, int first, int last, int executors, bool lockstep, bool separate,
                                    executor_lanes *all);
/* Pushes a row and joins siblings; rows that fall free go back to the executor's list. Returns how many did. */
int cohort_rows_push(executor_lanes *w, int lane, float *row, int lanes, const cohort_team *team, int64_t elements);
/* Before the last wave: where the counters have left the rows of earlier waves. */
void cohort_rows_find_leaves(cohort_lane_engine *engine);
/* Where a leaf's row of a bucket begins. */
float *cohort_rows_bucket(const leaf *own, int bucket, int vector);
/* Joins this rank's rows of a bucket into its subtrees, each in its leftmost row; returns how many additions. */
int cohort_rows_join(cohort_lane_engine *engine, int bucket, int vectors);
/* After a run: all rows are free again. */
void cohort_rows_release(cohort_lane_engine *engine);

#endif
