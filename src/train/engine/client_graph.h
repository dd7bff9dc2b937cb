/* The graph of a client's step: the task's, and what the strategy adds to the loss by the model's features at other
 * points. These are spaces of the graph behind the task's own, laid out as the first. */
#ifndef COHORT_TRAIN_ENGINE_CLIENT_GRAPH_H
#define COHORT_TRAIN_ENGINE_CLIENT_GRAPH_H

#include "lane/exchange.h"
#include "method/federated/federated.h"
#include "train/task/task.h"

enum { COHORT_CLIENT_SPACES = COHORT_MAX_SPACES + COHORT_MAX_FEATURE_POINTS };

typedef struct cohort_client_graph {
  const cohort_task *task;
  const cohort_choice *strategy; /* its method may be NULL */
  int spaces;                    /* of the task */
} cohort_client_graph;

/* Valid as long as `graph` is. */
cohort_lane_source cohort_client_graph_source(cohort_client_graph *graph);
/* out[COHORT_CLIENT_SPACES]: where the tensors of each of its spaces lie. */
void cohort_client_graph_spaces(const cohort_client_graph *graph, cohort_space *const *spaces, cohort_space **out);
/* A client's pass, alone: all phases. What crosses lanes comes back to it by way of `crossing`, which has room for
 * cohort_lane_graph_exchange_bytes. False: it was left before its end. */
bool cohort_client_graph_pass(const cohort_lane_source *source, const cohort_lane_graph *graph,
                              cohort_lane_context *context, void *crossing, const cohort_lane_pass *pass);
/* False: the strategy moves inputs, and the task has none that can be. */
bool cohort_client_graph_can_move(const cohort_client_graph *graph);
/* Whether the task's model tells its features. */
bool cohort_client_graph_has_features(const cohort_task *task);

#endif
