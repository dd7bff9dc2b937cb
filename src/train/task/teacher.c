/* The teacher: the task's graph once more at weights that follow the model's, on the same inputs, with dropout of its
 * own. Invariant: it gets no gradient, and a run without one has the graph of before. Costs a forward pass, in
 * evaluation, and in training where there is a term between the two. */
#include <math.h>

#include "train/task/task.h"

cohort_value cohort_task_consistency(cohort_graph *graph, cohort_value logits, cohort_value other) {
  const int64_t classes = cohort_shape_columns(cohort_graph_shape(graph, logits));
  const cohort_value of[2] = {logits, cohort_graph_stop_gradient(graph, other)};
  cohort_value probability[2];
  for (int i = 0; i < 2; i++)
    probability[i] = cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL,
                                        cohort_graph_subtract(graph, of[i], cohort_graph_logsumexp(graph, of[i])));
  const cohort_value gap = cohort_graph_subtract(graph, probability[0], probability[1]);
  const cohort_value square = cohort_graph_sum(graph, cohort_graph_multiply(graph, gap, gap), 1u << 1);
  return cohort_graph_scale(
      graph, cohort_graph_reshape(graph, square, COHORT_SHAPE(cohort_graph_shape(graph, square).size[0])),
      1.0 / (double)classes);
}

void cohort_task_list_teacher(cohort_task *task) {
  if (task->teacher < 0) return;
  const int before = task->metrics;
  if (task->settings->consistency > 0) task->metric[task->metrics++] = "teacher/consistency";
  task->metric[task->metrics++] = "teacher/loss";
  task->teacher_metrics = task->metrics - before;
}

static cohort_lane_outputs build_teacher(const cohort_task *task, cohort_graph *graph, int64_t capacity,
                                         bool training) {
  cohort_task teacher = *task;
  if (task->settings->lora)
    teacher.adapter.space = task->teacher;
  else
    teacher.model_space = task->teacher;
  cohort_graph_enter_space(graph, "teacher");
  const cohort_lane_outputs out = task->functions->build(&teacher, graph, capacity, training);
  cohort_graph_leave(graph);
  /* cppcheck-suppress returnDanglingLifetime ; it keeps nothing of `teacher` */
  return out;
}

cohort_lane_outputs cohort_task_build(const cohort_task *task, cohort_graph *graph, int64_t capacity, bool training) {
  cohort_lane_outputs out = task->functions->build(task, graph, capacity, training);
  if (task->teacher < 0) return out;
  const double weight = task->settings->consistency;
  /* Built in training without a term too: its tensors are declared, and the planner leaves out what nobody reads. */
  const cohort_lane_outputs other = build_teacher(task, graph, capacity, training);
  const bool read = weight > 0 || !training;
  cohort_value metric[2];
  metric[task->teacher_metrics - 1] =
      read ? cohort_graph_stop_gradient(graph, other.objective[0]) : cohort_graph_scale(graph, out.objective[0], 0);
  if (weight > 0) {
    const cohort_value rows = cohort_task_consistency(graph, out.logits, other.logits);
    metric[0] = cohort_graph_sum_all(graph, cohort_graph_multiply(graph, rows, out.weight));
    if (training)
      out.objective[0] = cohort_graph_add(graph, out.objective[0], cohort_graph_scale(graph, metric[0], weight));
  }
  for (int m = out.metrics - 1; m >= 0; m--) out.metric[m + task->teacher_metrics] = out.metric[m];
  for (int m = 0; m < task->teacher_metrics; m++) out.metric[m] = metric[m];
  out.metrics += task->teacher_metrics;
  return out;
}

void cohort_task_derive(const cohort_task *task, cohort_split split, int64_t count, const double *sums, double loss,
                        double *columns) {
  cohort_task own = *task;
  own.metrics -= task->teacher_metrics;
  const double *rest = sums + task->teacher_metrics;
  if (task->functions->derive)
    task->functions->derive(&own, split, count, rest, loss, columns);
  else
    for (int m = 0; m < own.metrics; m++) columns[m] = rest[m] / (double)count;
  const bool measured = split != COHORT_SPLIT_TRAIN || task->settings->consistency > 0;
  for (int m = 0; m < task->teacher_metrics; m++) columns[own.metrics + m] = measured ? sums[m] / (double)count : NAN;
}
