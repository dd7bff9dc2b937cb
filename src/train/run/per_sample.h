/* Gradients sample by sample: each is made by itself, scaled to a norm of at most `clip`, and added to its lane's row.
 * A lane's row holds the mean's share; nothing of a sample is kept. */
#ifndef COHORT_TRAIN_RUN_PER_SAMPLE_H
#define COHORT_TRAIN_RUN_PER_SAMPLE_H

#include "lane/graph.h"
#include "train/task/task.h"

typedef struct cohort_per_sample cohort_per_sample;

/* For the samples of a batch of `batch`, on `executors` of this rank. BAD_CONFIG for a loss that looks across samples
 * or for several objectives. */
cohort_status cohort_per_sample_create(const cohort_task *task, const cohort_spaces *spaces,
                                       const cohort_kernel_set *kernels, int64_t batch, int executors,
                                       cohort_per_sample **out, cohort_error *error);
/* A gradient for each executor, before the first step. */
cohort_status cohort_per_sample_hold(cohort_per_sample *own, cohort_error *error);
void cohort_per_sample_destroy(cohort_per_sample *own);
cohort_lane_graph *cohort_per_sample_graph(const cohort_per_sample *own);

/* Samples [first, last) of the stream at point[spaces], whole weights; row = sum of min(1, clip / |g_i|) g_i / batch.
 * False: left before its end (cohort_executor_stop_on). */
bool cohort_per_sample_run(const cohort_per_sample *own, int executor, cohort_lane_context *context, int64_t first,
                           int64_t last, const float *const *point, double clip, cohort_random_key key, float *row,
                           double *scalars);

#endif
