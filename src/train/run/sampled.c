/* A run whose batches a sampler draws. Invariant: the batch of a step is the same on every rank. Costs what the sampler
 * does. */
#include <math.h>

#include "train/run/state.h"

cohort_status cohort_run_make_sampled(cohort_run *run, cohort_faults *faults, cohort_error *error) {
  const cohort_task *task = &run->task;
  const cohort_sampled_options own = {.settings = run->settings,
                                      .expanded = run->settings->expanded,
                                      .variant = run->variant,
                                      .samples = task->samples[COHORT_SPLIT_TRAIN]};
  if (run->settings->is_federated) return COHORT_DONE;
  if (!cohort_document_is_null(run->settings->sampler) &&
      (task->functions->prepare || task->scores || run->spaces.state))
    cohort_faults_add(faults, run->settings->sampler,
                      "sampler: it serves tasks that read samples alone, without stored references, and losses and "
                      "models that keep nothing; remove it");
  return cohort_sampled_create(&own, faults, &run->sampled, error);
}

int64_t cohort_run_draw(cohort_run *run) {
  run->task.drawn_first = run->samples;
  return cohort_sampled_draw(run->sampled, run->step, &run->task.drawn);
}

void cohort_run_fill_account(const cohort_run *run, cohort_run_row *row) {
  const int64_t done = run->step + 1, every = run->settings->log_every;
  if (!cohort_sampled_is_private(run->sampled)) return;
  const bool told = every <= 1 || done % every == 0 || done == run->settings->steps;
  row->round[0] = told ? cohort_sampled_epsilon(run->sampled, done) : NAN;
}
