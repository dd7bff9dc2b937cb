/* The expanded config before a run is built: what its methods' parameters are, without any data. It goes by the tables
 * of the keys, so a key of a method is expanded wherever it stands. Invariant: the result is what the builders of the
 * methods leave in settings->expanded. Costs the number of keys. */
#include <string.h>

#include "train/run/settings.h"
#include "update/groups.h"

static cohort_document *expand_method(const char *family, const cohort_document *document, const char *name,
                                      cohort_faults *faults) {
  cohort_choice choice = {0};
  cohort_document *own = cohort_document_create(COHORT_MAP, NULL, 0, 0);
  const bool strategy = strcmp(family, "federated") == 0;
  cohort_choice_read(COHORT_VARIANT_F64, strategy ? cohort_settings_strategy_family(document) : family, document, name,
                     &choice, own, faults);
  cohort_choice_release(&choice);
  return own;
}

static cohort_document *expand_list(const cohort_parameter *key, const cohort_document *list, cohort_faults *faults) {
  if (!key->family) return cohort_groups_expand(list, faults);
  cohort_document *own = cohort_document_create(COHORT_LIST, NULL, 0, 0);
  for (size_t i = 0; i < list->count; i++)
    cohort_document_append(own, expand_method(key->family, list->children[i], key->name, faults));
  return own;
}

static void expand(const cohort_parameter *table, cohort_document *out, cohort_faults *faults) {
  for (const cohort_parameter *key = table; key->name; key++) {
    cohort_document *given = cohort_document_get(out, key->name), *own = NULL;
    if (!given || cohort_document_is_null(given)) continue;
    const bool list = given->kind == COHORT_LIST && (key->family || key->section == cohort_group_table);
    if (key->section && given->kind == COHORT_MAP) expand(key->section, given, faults);
    if (key->type == COHORT_PARAMETER_METHOD) own = expand_method(key->family, given, key->name, faults);
    if (key->type == COHORT_PARAMETER_TREE && list) own = expand_list(key, given, faults);
    if (own) cohort_document_set(out, key->name, own);
  }
}

cohort_document *cohort_settings_expand(const cohort_settings *settings) {
  cohort_faults faults = {0};
  cohort_document *out = cohort_document_copy(settings->expanded);
  expand(cohort_settings_table, out, &faults);
  const bool good = faults.count == 0;
  cohort_faults_release(&faults);
  if (good) return out;
  cohort_document_destroy(out);
  return NULL;
}

static bool may_change(const char *key) {
  const cohort_parameter *found = cohort_parameters_find(cohort_settings_table, key);
  return found && found->may_change;
}

static cohort_document *complete(const cohort_document *before) {
  cohort_settings settings = {0};
  cohort_faults faults = {0};
  cohort_settings_read(before, &settings, &faults);
  cohort_document *out = faults.count ? NULL : cohort_settings_expand(&settings);
  cohort_settings_release(&settings);
  cohort_faults_release(&faults);
  return out;
}

const cohort_config_rules cohort_settings_rules = {.may_change = may_change, .complete = complete};
