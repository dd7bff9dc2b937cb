/* Clipped gradients of samples. Invariant: a sample's gradient depends on the weights, the sample and the batch's
 * random key alone, so it is the same in any lane. A sample costs a pass of a plan for one sample and two passes over a
 * vector.
 */
#include "train/run/per_sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct cohort_per_sample {
  const cohort_task *task;
  const cohort_spaces *spaces;
  const cohort_space *space; /* the trained one */
  const cohort_kernel_set *kernels;
  int64_t batch;
  double inverse_count; /* 1 / what a sample's sums are divided by */
  int executors;
  cohort_lane_graph *graph;
  float **gradient; /* [executors] */
};

static cohort_status build(cohort_per_sample *own, cohort_error *error) {
  const cohort_lane_graph_options options = {.gradients = true, .training = true, .lanes = 1, .capacity = 1};
  if (own->spaces->trained > 1 || own->task->objectives > 1)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "optimizer: gradients of single samples serve one loss and one model; take another optimizer");
  COHORT_TRY(
      cohort_lane_graph_create(&own->task->source, &options, own->spaces->space, own->kernels, &own->graph, error));
  if (cohort_plan_phases(own->graph->plan) > 1)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "loss: it looks across the batch, where the optimizer wants every sample alone; take another");
  return COHORT_DONE;
}

cohort_status cohort_per_sample_hold(cohort_per_sample *own, cohort_error *error) {
  own->gradient = cohort_allocate((size_t)own->executors * sizeof *own->gradient);
  for (int e = 0; e < own->executors; e++) {
    void *memory = NULL;
    COHORT_TRY(
        cohort_memory_create((size_t)own->space->elements * sizeof(float), "gradient of a sample", &memory, error));
    own->gradient[e] = memory;
  }
  return COHORT_DONE;
}

cohort_status cohort_per_sample_create(const cohort_task *task, const cohort_spaces *spaces,
                                       const cohort_kernel_set *kernels, int64_t batch, int executors,
                                       cohort_per_sample **out, cohort_error *error) {
  cohort_per_sample *own = cohort_allocate(sizeof *own);
  own->task = task;
  own->spaces = spaces;
  own->space = spaces->space[0];
  own->kernels = kernels;
  own->batch = batch;
  own->executors = executors;
  own->inverse_count = 1.0 / (double)task->functions->count(task, COHORT_SPLIT_TRAIN, 1);
  const cohort_status status = build(own, error);
  if (status != COHORT_DONE) {
    cohort_per_sample_destroy(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

void cohort_per_sample_destroy(cohort_per_sample *own) {
  if (!own) return;
  for (int e = 0; own->gradient && e < own->executors; e++) cohort_memory_release(own->gradient[e]);
  free(own->gradient);
  cohort_lane_graph_destroy(own->graph);
  free(own);
}

cohort_lane_graph *cohort_per_sample_graph(const cohort_per_sample *own) { return own->graph; }

static double norm_of(const cohort_per_sample *own, const float *gradient) {
  double square = 0;
  for (int t = 0; t < own->space->tensors; t++) {
    const cohort_space_tensor *tensor = &own->space->tensor[t];
    square += own->kernels->dot(gradient + tensor->offset, gradient + tensor->offset, tensor->elements);
  }
  return sqrt(square);
}

bool cohort_per_sample_run(const cohort_per_sample *own, int executor, cohort_lane_context *context, int64_t first,
                           int64_t last, const float *const *point, double clip, cohort_random_key key, float *row,
                           double *scalars) {
  float *gradient = own->gradient[executor];
  const int64_t place[1] = {0};
  const cohort_lane_row into = {gradient, place, own->space->elements};
  memset(row, 0, (size_t)own->space->elements * sizeof *row);
  for (int s = 0; s < own->graph->scalars; s++) scalars[s] = 0;
  for (int64_t i = first; i < last; i++) {
    double local[COHORT_MAX_SCALARS] = {0};
    context->position[0] = i;
    const cohort_lane_pass run = {.split = COHORT_SPLIT_TRAIN,
                                  .count = 1,
                                  .inverse_count = own->inverse_count,
                                  .point = point,
                                  .random_key = key,
                                  .row = &into,
                                  .scalars = local};
    if (!cohort_lane_graph_run(&own->task->source, own->graph, context, 0, 0, &run)) return false;
    const double norm = norm_of(own, gradient), factor = norm > clip ? clip / norm : 1;
    const float scale = (float)(factor / (double)own->batch);
    for (int64_t e = 0; e < own->space->elements; e++) row[e] += scale * gradient[e];
    for (int s = 0; s < own->graph->scalars; s++) scalars[s] += local[s];
  }
  return true;
}
