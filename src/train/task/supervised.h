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

/* Samples that are drawn by client when a lane is fed (supervised_drawn.c). */
typedef struct cohort_drawn_samples {
  const cohort_partition_drawn *functions;
  cohort_choice partition;
  cohort_random_key key;
  int64_t clients, *first; /* [clients + 1]: the number of each client's first sample */
  int32_t none[1];         /* stands for classes, which are not stored */
} cohort_drawn_samples;

/* The client that was drawn from last. Zero to begin with. */
enum { COHORT_DRAWN_NUMBERS = 1024 };
typedef struct cohort_drawn_client {
  bool begun;
  int64_t client;
  double model[COHORT_DRAWN_NUMBERS];
} cohort_drawn_client;

typedef struct cohort_supervised {
  cohort_samples split[COHORT_SPLITS];
  cohort_drawn_samples *drawn; /* NULL: samples are stored */
  int64_t features;            /* of one sample */
  float number[256];           /* of a byte */
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

/* Integers of the training samples by the name of their array (y: the classes), and the largest + 1; NULL: it holds
 * none. */
const int32_t *cohort_supervised_column(const cohort_task *task, const char *name, int64_t *classes);

/* Sets up the splits of a run whose population draws its samples; released by close. */
cohort_status cohort_drawn_samples_open(cohort_task *task, cohort_supervised *own, cohort_error *error);
void cohort_drawn_samples_close(cohort_supervised *own);
/* The sample of a split: fills x, returns the class. */
int32_t cohort_drawn_samples_draw(const cohort_drawn_samples *own, cohort_drawn_client *last, cohort_split split,
                                  int64_t sample, float *x);
/* Where each client's samples begin, [clients + 1]; NULL: they are stored. */
const int64_t *cohort_supervised_drawn(const cohort_task *task, int64_t *clients);

/* The task's functions. */
cohort_lane_outputs cohort_supervised_graph(const cohort_task *task, cohort_graph *graph, int64_t capacity,
                                            bool training);
cohort_lane_outputs cohort_supervised_subject(const cohort_task *task, cohort_graph *graph, int64_t capacity,
                                              cohort_lane_subject subject, const cohort_task *before);
void cohort_supervised_feed(const cohort_task *task, cohort_feed *feed);

#endif
