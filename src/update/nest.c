/* How an optimizer's document becomes a nest: drivers from the outside in, their declared vectors and states, and the
 * document of the base. */
#include "update/nest.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static const cohort_document *base_of(const cohort_choice *choice) {
  for (const cohort_parameter *p = choice->method->parameters; p && p->name; p++)
    if (p->type == COHORT_PARAMETER_METHOD && strcmp(p->name, "base") == 0)
      return *(const cohort_document *const *)(const void *)((const char *)choice->config + p->offset);
  return NULL;
}

static void declare_vectors(cohort_updater *updater, int index, const cohort_document *where, cohort_faults *faults) {
  cohort_update_node *node = &updater->node[index];
  node->first = updater->vectors + 1;
  for (const cohort_driver_vector *v = node->functions->vectors; v && v->name; v++) {
    const int64_t count = v->count ? v->count(node->choice.config) : 1;
    if (updater->vectors + count > COHORT_MAX_DRIVER_VECTORS - 2) {
      cohort_faults_add(faults, where, "optimizer: %s wants more than %d vectors", node->choice.method->key,
                        COHORT_MAX_DRIVER_VECTORS - 2);
      return;
    }
    for (int64_t i = 0; i < count; i++) {
      cohort_update_vector *vector = &updater->vector[updater->vectors++];
      vector->kept = v->kept;
      vector->from_weights = v->from_weights;
      vector->asked = v->asked;
      vector->owner = index;
      vector->name = count > 1 ? cohort_format_text("%s.%s.%lld", node->choice.method->key, v->name, (long long)i)
                               : cohort_format_text("%s.%s", node->choice.method->key, v->name);
    }
  }
  node->vectors = updater->vectors + 1 - node->first;
}

/* Whether the key appears twice in the nest: kept vectors and states go by it. */
static bool repeats(const cohort_updater *updater, const cohort_method *method) {
  for (int n = 0; n < updater->nodes; n++)
    if (updater->node[n].choice.method == method) return true;
  return false;
}

void cohort_update_read_nest(cohort_updater *updater, const cohort_document **base, cohort_faults *faults) {
  const cohort_updater_options *options = &updater->options;
  const cohort_document *document = options->optimizer;
  while (document) {
    cohort_choice choice = {0};
    if (updater->nodes == 0)
      cohort_choice_expand(options->variant, "optimizer", document, options->optimizer_path, &choice, options->expanded,
                           faults);
    else
      cohort_choice_read(options->variant, "optimizer", document, options->optimizer_path, &choice, NULL, faults);
    *base = document;
    if (!choice.method) return;
    const cohort_optimizer *functions = choice.method->functions;
    if (!cohort_optimizer_drives(functions)) {
      cohort_choice_release(&choice);
      return;
    }
    if (updater->nodes == COHORT_MAX_NODES || repeats(updater, choice.method)) {
      cohort_faults_add(faults, document, "optimizer: %s is nested inside itself, or drivers are nested too deeply",
                        choice.method->key);
      cohort_choice_release(&choice);
      return;
    }
    cohort_update_node *node = &updater->node[updater->nodes++];
    node->choice = choice;
    node->functions = functions;
    declare_vectors(updater, updater->nodes - 1, document, faults);
    document = base_of(&choice);
    if (!document && functions->gradient)
      cohort_faults_add(faults, *base, "optimizer: %s needs a base", choice.method->key);
    if (cohort_document_is_null(document)) document = NULL;
  }
  *base = NULL;
}
