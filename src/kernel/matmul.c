/* Batched products. Each batch member is one product; a right side of two axes makes all rows of the left one product.
 */
#include "base/real.h"
#include "kernel/kernel.h"
#include "kernel/product/product_real.h"
#include "kernel/product/thin_real.h"

void COHORT_VARIED(cohort_kernel_matmul)(const cohort_call *call);

typedef struct batch_job {
  const cohort_call *call;
  int transpose_a, transpose_b;
  int64_t m, n, k, step_a, step_b; /* steps between members */
} batch_job;

static void multiply(const batch_job *job, const cohort_team *team, int64_t member) {
  const cohort_call *call = job->call;
  const real *a = (const real *)call->input[0].data + member * job->step_a;
  const real *b = (const real *)call->input[1].data + member * job->step_b;
  const cohort_thin_element *elements = cohort_thin_elements(call);
  real *c = (real *)call->output[0].data + member * job->m * job->n;
  if (!job->transpose_a && elements && cohort_is_thin(job->m, job->n, job->k)) {
    const cohort_thin_product thin = {job->transpose_b != 0,           job->m, job->n, job->k, a,
                                      elements + member * job->step_b, c};
    COHORT_VARIED(cohort_product_thin)(team, &thin);
    return;
  }
  COHORT_VARIED(cohort_product)
  (team, job->transpose_a, job->transpose_b, job->m, job->n, job->k, 1, a, job->transpose_a ? job->m : job->k, b,
   job->transpose_b ? job->k : job->n, 0, c, job->n);
}

static void run_member(void *argument, int64_t member) {
  static const cohort_team alone = {1};
  multiply(argument, &alone, member);
}

void COHORT_VARIED(cohort_kernel_matmul)(const cohort_call *call) {
  const cohort_shape a = call->input[0].shape, b = call->input[1].shape, c = call->output[0].shape;
  batch_job job = {
      .call = call, .transpose_a = (int)call->attributes.integers[0], .transpose_b = (int)call->attributes.integers[1]};
  job.k = job.transpose_a ? a.size[a.axes - 2] : a.size[a.axes - 1];
  job.n = cohort_shape_columns(c);
  int64_t members = 1;
  if (b.axes == 2) {
    job.m = cohort_shape_rows(c);
  } else {
    job.m = c.size[c.axes - 2];
    members = cohort_shape_elements(c) / (job.m * job.n);
    job.step_a = job.m * job.k;
    job.step_b = job.k * job.n;
  }
  if (members == 1)
    multiply(&job, call->team, 0);
  else
    cohort_team_run(call->team, members, run_member, &job);
}
