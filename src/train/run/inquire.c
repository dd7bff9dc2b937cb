/* What others may ask of a run: where it stands, what it is made of, what it has counted. Nothing here computes. */
#include <string.h>

#include "train/engine/privacy.h"
#include "train/run/state.h"

bool cohort_run_borrow(const cohort_run *run, size_t bytes, int count, void **piece) {
  int found = cohort_lane_engine_borrow(run->engine, bytes, count, piece);
  for (int e = 0; run->context && e < cohort_lane_engine_executors(run->engine) && found < count; e++)
    found += cohort_executor_borrow(run->context[e].executor, bytes, count - found, piece + found);
  return found >= count;
}

const cohort_document *cohort_run_expanded(const cohort_run *run) { return run->settings->expanded; }
cohort_comm *cohort_run_comm(const cohort_run *run) { return run->comm; }
const cohort_task *cohort_run_task(const cohort_run *run) { return &run->task; }
const cohort_space *cohort_run_state(const cohort_run *run) { return run->spaces.state; }
const cohort_space *cohort_run_space(const cohort_run *run, int number) {
  return number < run->spaces.count ? run->spaces.space[number] : NULL;
}
const cohort_updater *cohort_run_updater(const cohort_run *run) { return run->updater; }
int cohort_run_reports(const cohort_run *run) {
  const char *name[COHORT_MAX_COLUMNS];
  return run->updater ? cohort_updater_columns(run->updater, name) : 0;
}
int cohort_run_round_columns(const cohort_run *run, const char **name) {
  if (run->federation) return cohort_federation_columns(run->federation, name);
  if (!cohort_sampled_is_private(run->sampled)) return 0;
  name[0] = "privacy/epsilon";
  return 1;
}
char *cohort_run_private_text(const cohort_run *run, int64_t rounds) {
  const cohort_round_module *module = run->federation ? cohort_private_rounds_find(run->federation) : NULL;
  return module ? cohort_private_rounds_text(module, rounds) : cohort_sampled_text(run->sampled, rounds);
}
int64_t cohort_run_limit(const cohort_run *run) {
  const cohort_round_module *module = run->federation ? cohort_private_rounds_find(run->federation) : NULL;
  return module ? cohort_private_rounds_limit(module) : cohort_sampled_limit(run->sampled);
}
int cohort_run_lanes(const cohort_run *run) { return run->lanes; }
const char *cohort_run_kernels(const cohort_run *run) { return run->kernels->name; }
cohort_isa cohort_run_isa(const cohort_run *run) { return run->isa; }

cohort_run_position cohort_run_where(const cohort_run *run) {
  const cohort_run_position where = {.step = run->step,
                                     .samples = run->samples,
                                     .tokens = run->samples * run->task.tokens_per_sample,
                                     .epoch = (double)run->samples / (double)run->task.samples[COHORT_SPLIT_TRAIN]};
  return where;
}

cohort_run_counters cohort_run_take_counters(cohort_run *run) {
  cohort_run_counters counters = run->counters;
  counters.busy_seconds = cohort_lane_engine_busy_seconds(run->engine);
  if (run->federation) counters.busy_seconds += cohort_clients_busy_seconds(cohort_federation_clients(run->federation));
  memset(&run->counters, 0, sizeof run->counters);
  return counters;
}

double cohort_run_flops(const cohort_run *run) {
  int first, last;
  cohort_lane_engine_own(run->engine, &first, &last);
  if (!run->federation) return run->counters.flops * run->lanes / (last - first);
  const int64_t own = cohort_federation_steps(run->federation, true);
  return own ? run->counters.flops * (double)cohort_federation_steps(run->federation, false) / (double)own : 0;
}

int cohort_run_idle_threads(const cohort_run *run) {
  const cohort_lane_engine *engine = run->engine;
  return run->threads - cohort_lane_engine_executors(engine) * cohort_lane_engine_executor_threads(engine);
}

cohort_profile *cohort_run_profile(const cohort_run *run) { return run->profile; }

void cohort_run_wait(cohort_run *run) { cohort_run_wait_for_weights(run); }

cohort_updater_counters cohort_run_take_updater_counters(cohort_run *run) {
  if (!run->updater) return (cohort_updater_counters){0};
  return cohort_updater_take_counters(run->updater);
}

cohort_updater *cohort_run_player(const cohort_run *run, int space) {
  return space ? run->player[space].updater : run->updater;
}

void cohort_run_wait_for_weights(const cohort_run *run) {
  for (int s = 0; s < run->spaces.trained; s++) cohort_updater_wait(cohort_run_player(run, s));
}
