/* Task supervised: its data and the inputs of its graph, shared by the files that load, build and feed. */
#ifndef COHORT_TRAIN_TASK_SUPERVISED_H
#define COHORT_TRAIN_TASK_SUPERVISED_H

#include "io/dataset/dataset.h"
#include "method/loss/loss.h"
#include "train/task/task.h"

/* Inputs in the order of declaration. A lane has `capacity` samples of `views` rows, one sample's after another's. */
typedef enum cohort_supervised_input {
  COHORT_SUPERVISED_FEATURES,  /* [rows, size...] */
  COHORT_SUPERVISED_TARGET,    /* y: integer [rows], or real [rows, width] */
  COHORT_SUPERVISED_WEIGHT,    /* [rows]: 1 / views; 0: no sample */
  COHORT_SUPERVISED_POSITIONS, /* integer [rows]: which view of its sample */
  COHORT_SUPERVISED_IDS,       /* integer [rows]: the sample */
  COHORT_SUPERVISED_SAMPLE,    /* integer [rows]: the sample, -1: none; losses over views */
  COHORT_SUPERVISED_GROUP,     /* integer [rows]; losses over groups */
  COHORT_SUPERVISED_COUNTS,    /* [groups]: training samples of each; the same losses */
  COHORT_SUPERVISED_LANE,      /* scalar: the lane's number; losses that couple rows */
  COHORT_SUPERVISED_FURTHER,   /* [rows, width] of each column that the model reads beside x */
  COHORT_SUPERVISED_TARGETS = COHORT_SUPERVISED_FURTHER + COHORT_MAX_FURTHER, /* of each target beside y */
  COHORT_SUPERVISED_INPUTS = COHORT_SUPERVISED_TARGETS + COHORT_MAX_FURTHER,
} cohort_supervised_input;

/* What a loss is about. */
typedef struct cohort_supervised_target {
  const char *name;
  const int32_t *labels; /* of the training samples; NULL: real */
  int64_t width;         /* classes, or numbers a row */
} cohort_supervised_target;

typedef struct cohort_supervised {
  cohort_samples split[COHORT_SPLITS];
  int64_t features;  /* of one sample */
  float number[256]; /* of a byte */
  int64_t views;
  int inputs, targets; /* further ones: columns of the samples */
  const char *input[COHORT_MAX_FURTHER];
  cohort_supervised_target first, target[COHORT_MAX_FURTHER];
  int target_of[COHORT_MAX_OBJECTIVES], head_of[COHORT_MAX_OBJECTIVES]; /* of each loss; -1: the first */
  const char *group;                                                    /* the column; NULL: none is needed */
  int64_t groups;
  float *counts; /* [groups] */
  char *metric[COHORT_MAX_METRICS];
  int accuracy_of[COHORT_MAX_METRICS]; /* the loss whose head each is about */
  int place[COHORT_SUPERVISED_INPUTS]; /* of each input among those that the graph has; -1: it has none */
} cohort_supervised;

static inline const cohort_supervised_target *cohort_supervised_target_of(const cohort_supervised *own, int loss) {
  return own->target_of[loss] < 0 ? &own->first : &own->target[own->target_of[loss]];
}

/* The groups of a split's samples. */
const int32_t *cohort_supervised_groups(const cohort_supervised *own, cohort_split split);

/* The task's functions. */
cohort_lane_outputs cohort_supervised_graph(const cohort_task *task, cohort_graph *graph, int64_t capacity,
                                            bool training);
cohort_lane_outputs cohort_supervised_subject(const cohort_task *task, cohort_graph *graph, int64_t capacity,
                                              cohort_lane_subject subject, const cohort_task *before);
void cohort_supervised_feed(const cohort_task *task, cohort_feed *feed);

#endif
