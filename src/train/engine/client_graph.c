/* What clients train on: the task's graph, with the strategy's term of the features, at inputs that the strategy moves
 * (method/federated/federated.h). Invariant: without either it is the task's graph, bit for bit; a client is a batch by
 * itself, of one lane. A term costs a forward pass more a point. */
#include "train/engine/client_graph.h"

#include <string.h>

#include "method/loss/loss.h"

static cohort_lane_outputs build(const void *argument, cohort_graph *graph, int64_t capacity, bool training) {
  const cohort_client_graph *own = argument;
  const cohort_task *task = own->task;
  const cohort_federated *functions = own->strategy->method->functions;
  if (functions->move) {
    cohort_task other = *task;
    other.mover = own->strategy;
    return cohort_task_build(&other, graph, capacity, training);
  }
  cohort_lane_outputs out = task->source.build(task->source.argument, graph, capacity, training);
  cohort_value features[COHORT_MAX_FEATURE_POINTS];
  for (int k = 0; k < functions->feature_points; k++) {
    const cohort_task other = cohort_task_moved(task, own->spaces + k);
    cohort_graph_enter_space(graph, k ? "before" : "round");
    features[k] = task->functions->build(&other, graph, capacity, training).embedding;
    cohort_graph_leave(graph);
    features[k] = cohort_graph_stop_gradient(graph, features[k]);
  }
  const cohort_value rows = functions->term(own->strategy->config, graph, out.embedding, features);
  const cohort_value sum = cohort_graph_sum_all(graph, cohort_graph_multiply(graph, rows, out.weight));
  out.objective[0] = cohort_graph_add(graph, out.objective[0], sum);
  return out;
}

static void feed(const void *argument, cohort_feed *feed) {
  const cohort_client_graph *own = argument;
  own->task->source.feed(own->task->source.argument, feed);
}

bool cohort_client_graph_pass(const cohort_lane_source *source, const cohort_lane_graph *graph,
                              cohort_lane_context *context, void *crossing, const cohort_lane_pass *pass) {
  for (int phase = 0; phase < cohort_plan_phases(graph->plan); phase++) {
    if (!cohort_lane_graph_run(source, graph, context, phase, 0, pass)) return false;
    if (!cohort_lane_graph_crosses(graph, phase)) continue;
    cohort_comm alone = cohort_comm_alone();
    cohort_lane_graph_put(graph, context, 0, 0, phase, crossing);
    cohort_lane_graph_join(graph, &alone, phase, crossing);
    cohort_lane_graph_take(graph, context, 0, 0, phase, crossing);
  }
  return true;
}

bool cohort_client_graph_can_move(const cohort_client_graph *graph) {
  const cohort_federated *functions = graph->strategy->method ? graph->strategy->method->functions : NULL;
  if (!functions || !functions->move) return true;
  return graph->task->functions == &cohort_task_supervised &&
         !(graph->task->loss[0].method->needs & COHORT_LOSS_COUPLED);
}

bool cohort_client_graph_has_features(const cohort_task *task) {
  cohort_graph *graph = cohort_graph_create();
  const bool has = task->functions->build(task, graph, 1, false).has_embedding;
  cohort_graph_destroy(graph);
  return has;
}

cohort_lane_source cohort_client_graph_source(cohort_client_graph *graph) {
  const cohort_federated *functions = graph->strategy->method ? graph->strategy->method->functions : NULL;
  if (!functions || (!functions->term && !functions->move)) return graph->task->source;
  return (cohort_lane_source){.argument = graph, .build = build, .feed = feed};
}

void cohort_client_graph_spaces(const cohort_client_graph *graph, cohort_space *const *spaces, cohort_space **out) {
  memcpy(out, spaces, (size_t)graph->spaces * sizeof(cohort_space *));
  for (int k = 0; k < COHORT_MAX_FEATURE_POINTS; k++) out[graph->spaces + k] = spaces[0];
}
