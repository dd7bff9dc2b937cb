/* What a federation tells of itself: its clients evaluated, its modules' tables and columns, what the last round came
 * to. Invariant: the same on all ranks, but for what is said to be this rank's. Costs the evaluation, else a walk over
 * the modules or the clients present. */
#include <math.h>

#include "train/engine/federated_state.h"

/* ---- clients evaluated ---- */

cohort_client_evaluation *cohort_federation_evaluation(const cohort_federation *federation) {
  return federation->evaluation;
}

const cohort_population *cohort_federation_population(const cohort_federation *federation, bool evaluated) {
  return evaluated && federation->held.clients ? &federation->held : &federation->population;
}

cohort_status cohort_federation_evaluate(cohort_federation *federation, int64_t round, const float *weights,
                                         cohort_client_results *out, cohort_error *error) {
  return cohort_client_evaluation_run(federation->evaluation, federation->clients, federation->context,
                                      federation->crossing, round, weights, out, error);
}

const cohort_round_module *cohort_federation_module(const cohort_federation *federation, int index) {
  return index < federation->modules ? &federation->module[index] : NULL;
}

/* ---- counts ---- */

int64_t cohort_federation_samples(const cohort_federation *federation, bool own) {
  int count = federation->round.present;
  const int *client = own ? cohort_clients_own(federation->clients, &count) : NULL;
  double samples = 0;
  for (int i = 0; i < count; i++) samples += federation->cost[own ? client[i] : i];
  return (int64_t)samples;
}

int64_t cohort_federation_steps(const cohort_federation *federation, bool own) {
  int count = federation->round.present;
  const int *client = own ? cohort_clients_own(federation->clients, &count) : NULL;
  int64_t steps = 0;
  for (int i = 0; i < count; i++) steps += federation->steps[own ? client[i] : i];
  return steps;
}

int64_t cohort_federation_usual_steps(const cohort_federation *federation) {
  const cohort_federated_settings *settings = &federation->options.settings->federated_settings;
  if (!settings->local_epochs) return settings->local_steps;
  const int64_t samples = federation->options.task->samples[COHORT_SPLIT_TRAIN];
  const int64_t batch = settings->local_batch ? settings->local_batch : federation->population.largest;
  return settings->local_epochs * (samples / federation->population.clients / batch + 1);
}
