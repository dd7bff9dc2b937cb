/* Values that cross lanes: sums, maxima and gathers over the lanes of all ranks, between two phases. */
#ifndef COHORT_LANE_EXCHANGE_H
#define COHORT_LANE_EXCHANGE_H

#include "lane/graph.h"

/* Carries out the lane operations that end `phase` for the lanes of all ranks. Collective. `buffer` has room for
 * cohort_lane_graph_exchange_bytes. */
size_t cohort_lane_graph_exchange_bytes(const cohort_lane_graph *graph);
void cohort_lane_graph_exchange(const cohort_lane_graph *graph, const cohort_lane_engine *engine, cohort_comm *comm,
                                cohort_lane_context *contexts, int phase, void *buffer);

#endif
