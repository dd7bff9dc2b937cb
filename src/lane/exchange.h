/* Values that cross lanes: sums, maxima and gathers over the lanes of all ranks, between two phases. */
#ifndef COHORT_LANE_EXCHANGE_H
#define COHORT_LANE_EXCHANGE_H

#include "lane/graph.h"

/* What crosses lanes lies in a buffer of all operations' rows of all lanes, with room for so much. A phase's end is
 * three steps: every own lane puts its values, the rows are joined, every own lane takes what came of them. */
size_t cohort_lane_graph_exchange_bytes(const cohort_lane_graph *graph);
/* Whether values cross lanes at the end of a phase. */
bool cohort_lane_graph_crosses(const cohort_lane_graph *graph, int phase);
/* Of one lane, after the phase has run in slot `slot` of its context. */
void cohort_lane_graph_put(const cohort_lane_graph *graph, const cohort_lane_context *context, int slot, int lane,
                           int phase, void *buffer);
/* Collective. */
void cohort_lane_graph_join(const cohort_lane_graph *graph, cohort_comm *comm, int phase, void *buffer);
void cohort_lane_graph_take(const cohort_lane_graph *graph, const cohort_lane_context *context, int slot, int lane,
                            int phase, const void *buffer);
/* All three, where the lanes are alive together. Collective. */
void cohort_lane_graph_exchange(const cohort_lane_graph *graph, const cohort_lane_engine *engine, cohort_comm *comm,
                                cohort_lane_context *contexts, int phase, void *buffer);

#endif
