/* What the modules of a federation's rounds keep, report, refuse and take, all of them together. Invariant: everything
 * is listed in the order in which modules act. Costs a loop over a few modules. */
#include <math.h>

#include "train/engine/federated.h"

cohort_row_table *cohort_federation_table(const cohort_federation *federation, int index) {
  cohort_row_table *own = cohort_clients_table(cohort_federation_clients(federation));
  if (own && index-- == 0) return own;
  const cohort_round_module *module;
  for (int m = 0; (module = cohort_federation_module(federation, m)) != NULL; m++) {
    if (index < module->tables) return module->table[index];
    index -= module->tables;
  }
  return NULL;
}

int cohort_federation_columns(const cohort_federation *federation, const char **name) {
  int count = 0;
  const cohort_round_module *module;
  for (int m = 0; (module = cohort_federation_module(federation, m)) != NULL; m++)
    for (int c = 0; c < module->columns && count < COHORT_MAX_ROUND_COLUMNS; c++) name[count++] = module->column[c];
  return count;
}

void cohort_federation_values(const cohort_federation *federation, double *value) {
  int count = 0;
  const cohort_round_module *module;
  for (int m = 0; (module = cohort_federation_module(federation, m)) != NULL; m++)
    for (int c = 0; c < module->columns && count < COHORT_MAX_ROUND_COLUMNS; c++) value[count++] = module->value[c];
  while (count < COHORT_MAX_ROUND_COLUMNS) value[count++] = NAN;
}

const char *cohort_federation_refusal(const cohort_federation *federation) {
  const cohort_round_module *module;
  for (int m = 0; (module = cohort_federation_module(federation, m)) != NULL; m++)
    if (module->refusal && *module->refusal) return module->refusal;
  return NULL;
}

double cohort_federation_module_bytes(const cohort_federation *federation, double present, int ranks) {
  double bytes = 0;
  const cohort_round_module *module;
  for (int m = 0; (module = cohort_federation_module(federation, m)) != NULL; m++)
    if (module->bytes) bytes += module->bytes(module->argument, present, ranks);
  return bytes;
}

double cohort_federation_module_kept_bytes(const cohort_federation *federation, double rounds, double present,
                                           int ranks) {
  double bytes = 0;
  const cohort_round_module *module;
  for (int m = 0; (module = cohort_federation_module(federation, m)) != NULL; m++)
    if (module->kept_bytes) bytes += module->kept_bytes(module->argument, rounds, present, ranks);
  return bytes;
}
