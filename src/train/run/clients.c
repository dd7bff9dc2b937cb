/* A federated run beside its server's steps: how a round ends, its clients' evaluation, and who holds what. Costs what
 * the engine's answers cost (train/engine/client_evaluation.h, label_map.h). */
#include <math.h>

#include "train/run/state.h"

bool cohort_run_evaluates_clients(const cohort_run *run, bool measured[COHORT_CLIENT_FIGURES]) {
  const cohort_client_evaluation *evaluation = run->federation ? cohort_federation_evaluation(run->federation) : NULL;
  if (evaluation) cohort_client_evaluation_measures(evaluation, measured);
  return evaluation != NULL;
}

/* The weights that evaluations take: the optimizer's, or the strategy's, where one keeps others for that. */
static const float *evaluated_weights(const cohort_run *run) {
  const char *name;
  const cohort_vector *evaluated = run->begun ? cohort_updater_evaluated(run->updater) : NULL;
  const float *of_strategy =
      run->begun ? cohort_clients_evaluated(cohort_federation_clients(run->federation), &name) : NULL;
  return of_strategy ? of_strategy : evaluated ? evaluated->values : run->spaces.vector[0].values;
}

cohort_status cohort_run_evaluate_clients(cohort_run *run, cohort_client_results *out, cohort_error *error) {
  cohort_updater_wait(run->updater);
  return cohort_federation_evaluate(run->federation, run->step, evaluated_weights(run), out, error);
}

bool cohort_run_label_map(const cohort_run *run, cohort_label_map *out) {
  const int32_t *labels = NULL;
  if (run->federation && run->task.functions == &cohort_task_supervised) labels = cohort_supervised_labels(&run->task);
  if (labels) cohort_label_map_create(cohort_federation_population(run->federation, false), labels, out);
  return labels != NULL;
}

int64_t cohort_run_client_samples(const cohort_run *run, int64_t client) {
  const cohort_population *population = cohort_federation_population(run->federation, false);
  return population->first[client + 1] - population->first[client];
}

void cohort_run_end_round(cohort_run *run, cohort_run_row *row) {
  row->loss = cohort_federation_acted(run->federation) ? row->report.losses[0] : NAN;
  for (int m = 0; m < COHORT_MAX_METRICS; m++) row->columns[m] = NAN;
  run->samples += cohort_federation_samples(run->federation, false);
  run->counters.samples += cohort_federation_samples(run->federation, true);
  if (row->report.applied) cohort_updater_wait(run->updater);
  if (row->report.applied) cohort_federation_commit(run->federation, run->spaces.vector[0].values);
  cohort_federation_values(run->federation, row->round);
  row->refusal = row->report.applied ? NULL : cohort_federation_refusal(run->federation);
}

cohort_status cohort_run_pass_round(cohort_run *run, cohort_run_row *row, cohort_error *error) {
  void *gradient;
  double loss;
  cohort_updater_wait(run->updater);
  COHORT_TRY(cohort_federation_run(run->federation, run->spaces.vector[0].values, &gradient, &loss, error));
  row->report.applied = true;
  row->report.learning_rate = row->report.gradient_norm = NAN;
  for (int c = 0; c < COHORT_MAX_COLUMNS; c++) row->report.columns[c] = NAN;
  cohort_run_end_round(run, row);
  return COHORT_DONE;
}
