/* Where lanes get their graph and their samples: what a task shows of itself to those who run it. Positions are numbers
 * of the stream of training samples or of an evaluation split; each lane has room for `capacity` of them, of which the
 * first `count` are real. */
#ifndef COHORT_LANE_SOURCE_H
#define COHORT_LANE_SOURCE_H

#include "base/team.h"
#include "graph/gradient.h"
#include "graph/graph.h"

typedef enum { COHORT_SPLIT_TRAIN, COHORT_SPLIT_VALIDATION, COHORT_SPLIT_TEST, COHORT_SPLITS } cohort_split;

enum { COHORT_MAX_METRICS = 20, COHORT_MAX_TASK_INPUTS = 20 };

/* The scalars of a graph over one lane; each a sum over the lane's samples. */
typedef struct cohort_lane_outputs {
  int objectives;
  cohort_value objective[COHORT_MAX_OBJECTIVES];
  int metrics;
  cohort_value metric[COHORT_MAX_METRICS]; /* sums behind the method columns */
  bool has_logits; /* of classes, [rows, C], and the rows' weights, [rows]: for terms between spaces */
  cohort_value logits, weight;
  bool has_embedding; /* what the model's heads read, [rows, width]; the same rows, and `weight` is there too */
  cohort_value embedding;
  cohort_value row; /* the samples' rows of the task's table, which leave the lane; COHORT_NO_VALUE: none do */
} cohort_lane_outputs;

/* What a graph is about. */
typedef enum cohort_lane_subject {
  COHORT_LANE_OBJECTIVES, /* the source's own (build) */
  COHORT_LANE_LABELS,     /* the objectives at targets drawn from the model's own distribution */
  COHORT_LANE_FISHER,     /* the divergence of the outputs from themselves: its Hessian is Fisher's matrix */
  COHORT_LANE_DIVERGENCE, /* that of the outputs from those of the space `before` */
  COHORT_LANE_SUBJECTS,
} cohort_lane_subject;

/* What a class of a training sample becomes before a lane sees it: of a client that lies about its data. */
typedef struct cohort_relabel {
  const void *argument;
  int32_t (*label)(const void *argument, int32_t label);
} cohort_relabel;

/* What feed fills: one buffer per task input, in the task's order of inputs. */
typedef struct cohort_feed {
  cohort_split split;
  int64_t capacity;
  int64_t count;
  const int64_t *position; /* [count] */
  int64_t first, samples;  /* positions of the whole batch: [first, first + samples) */
  int lane;
  bool direct; /* positions are numbers of training samples, not of the stream; the lane is the whole batch */
  bool plain;  /* to evaluate on: samples as they are, not moved by draws */
  const cohort_relabel *relabel; /* or NULL; of the classes y */
  void *input[COHORT_MAX_TASK_INPUTS];
  int64_t extent[COHORT_MAX_EXTENTS]; /* rows in use of ragged inputs (cohort_graph_add_extent); what lies behind them
                                         must still be padding. 0, as given: all */
  const cohort_team *team;            /* that may share the copying */
} cohort_feed;

/* A source's functions; `argument` is its own and stays its owner's. */
typedef struct cohort_lane_source {
  const void *argument;
  /* Builds the graph for one lane of `capacity` samples. The inputs it declares stand in the order in which feed fills.
   */
  cohort_lane_outputs (*build)(const void *argument, cohort_graph *graph, int64_t capacity, bool training);
  void (*feed)(const void *argument, cohort_feed *feed);
  /* The graph of another subject: the same inputs, as many objectives, no metrics. NULL: there is none. */
  cohort_lane_outputs (*build_subject)(const void *argument, cohort_graph *graph, int64_t capacity,
                                       cohort_lane_subject subject, int before);
} cohort_lane_source;

#endif
