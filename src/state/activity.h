/* What a step spends time on besides the nodes of its graph, for recorders (graph/recorder.h). */
#ifndef COHORT_STATE_ACTIVITY_H
#define COHORT_STATE_ACTIVITY_H

#include "graph/recorder.h"

typedef enum cohort_activity {
  /* of every executor, while lanes run */
  COHORT_ACTIVITY_INPUT, /* samples into a lane's inputs */
  COHORT_ACTIVITY_JOIN,  /* rows of neighbouring lanes added */
  COHORT_ACTIVITY_LOCAL, /* a client's own updates */
  COHORT_ACTIVITY_BUSY,  /* all of the executor's lane work, the nodes included */
  /* of the rank's main thread, on the first executor's recorder */
  COHORT_ACTIVITY_LANES,  /* until the slowest executor is done */
  COHORT_ACTIVITY_REDUCE, /* rows of executors and ranks summed, lanes' scalars shared */
  COHORT_ACTIVITY_NORM,   /* inner products over a space */
  COHORT_ACTIVITY_UPDATE, /* the optimizer on this rank's shard */
  COHORT_ACTIVITY_GATHER, /* the new weights from all ranks */
  COHORT_ACTIVITY_STEP,   /* all of the step */
  COHORT_ACTIVITY_COUNT
} cohort_activity;

#endif
