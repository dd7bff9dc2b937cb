/* The methods that a config names. Who builds them reads them, one after the other; here the faults of all are found
 * together. Costs reading each once. */
#include "train/run/settings.h"
#include "train/task/registry.h"

static void check_method(const char *family, const cohort_document *document, const char *path, cohort_faults *faults) {
  if (cohort_document_is_null(document)) return;
  cohort_choice choice = {0};
  cohort_choice_read(COHORT_VARIANT_F64, family, document, path, &choice, NULL, faults);
  cohort_choice_release(&choice);
}

const char *cohort_settings_strategy_family(const cohort_document *strategy) {
  const char *key = strategy->kind == COHORT_MAP ? strategy->names[0] : strategy->text;
  const bool optimizer = !cohort_registry_find(COHORT_VARIANT_F64, "federated", key) &&
                         cohort_registry_find(COHORT_VARIANT_F64, "optimizer", key);
  return optimizer ? "optimizer" : "federated";
}

void cohort_settings_check_methods(const cohort_settings *own, cohort_faults *faults) {
  cohort_task_methods(own, check_method, faults);
  check_method("model", own->model, "model", faults);
  check_method("loss", own->loss, "loss", faults);
  for (size_t i = 0; own->losses && own->losses->kind == COHORT_LIST && i < own->losses->count; i++)
    check_method("loss", cohort_settings_loss(own->losses->children[i]), "losses", faults);
  check_method("aggregator", own->aggregator, "aggregator", faults);
  check_method("preference", own->preference, "preference", faults);
  check_method("optimizer", own->optimizer, "optimizer", faults);
  for (size_t i = 0; own->groups && own->groups->kind == COHORT_LIST && i < own->groups->count; i++)
    check_method("optimizer", cohort_document_get(own->groups->children[i], "optimizer"), "groups.optimizer", faults);
  check_method("schedule", own->schedule, "schedule", faults);
  check_method("sampler", own->sampler, "sampler", faults);
  if (!own->is_federated) return;
  const cohort_document *strategy = own->federated_settings.strategy;
  if (strategy) check_method(cohort_settings_strategy_family(strategy), strategy, "federated.strategy", faults);
  check_method("partition", own->federated_settings.population, "federated.population", faults);
  check_method("sampler", own->federated_settings.sampler, "federated.sampler", faults);
  check_method("asynchronous", own->federated_settings.asynchronous, "federated.asynchronous", faults);
  check_method("optimizer", own->federated_settings.client, "federated.client", faults);
  check_method("schedule", own->federated_settings.client_schedule, "federated.client_schedule", faults);
}
