/* Probe of an asynchronous server: rounds whose clients began as many steps ago as they are told, with plain averaging
 * as the strategy. Costs what the rounds do. */
#include "method/asynchronous/asynchronous.h"

#include "probe/rounds.h"

static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  const cohort_choice_number rate = {"learning_rate", cohort_probe_real_setting(probe, "learning_rate")};
  cohort_choice strategy = {NULL, NULL};
  COHORT_TRY(cohort_choice_make(probe->variant, "federated", "fedavg", 1, &rate, &strategy, error));
  const cohort_status status = cohort_probe_rounds(probe, &strategy, &probe->choice, error);
  cohort_choice_release(&strategy);
  return status;
}

const cohort_probe_program cohort_probe_asynchronous = {
    .family = "asynchronous", .bind = cohort_probe_repeat_samples, .run = run};
