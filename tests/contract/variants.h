/* Every method of a family, at every combination of its choices and switches, with small sizes. */
#ifndef COHORT_TESTS_VARIANTS_H
#define COHORT_TESTS_VARIANTS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "check.h"
#include "method/registry.h"

/* A setting that is used wherever a method has a parameter of this name; key NULL: in any method. */
typedef struct variant_setting {
  const char *key, *name, *text;
} variant_setting;

static inline void variant_set(cohort_document *map, const char *name, const char *text) {
  cohort_document *scalar = cohort_document_create(COHORT_SCALAR, "test", 0, 0);
  cohort_document_set_text(scalar, text);
  cohort_document_set(map, name, scalar);
}

/* Number of values of a choice or switch, 0 for another parameter; `text` receives value number `index`. */
static inline int variant_values(const cohort_parameter *parameter, int index, const char **text) {
  if (parameter->type == COHORT_PARAMETER_BOOLEAN) {
    *text = index ? "true" : "false";
    return 2;
  }
  if (parameter->type != COHORT_PARAMETER_CHOICE) return 0;
  int count = 0;
  while (parameter->choices[count]) count++;
  *text = parameter->choices[index % count];
  return count;
}

static inline cohort_document *variant_document(const cohort_method *method, int combination,
                                                const variant_setting *settings, char *label, size_t room) {
  cohort_document *map = cohort_document_create(COHORT_MAP, "test", 0, 0);
  snprintf(label, room, "%s", method->key);
  for (const cohort_parameter *p = method->parameters; p && p->name; p++) {
    const char *text = NULL;
    const int values = variant_values(p, 0, &text);
    if (values) {
      variant_values(p, combination % values, &text);
      combination /= values;
    }
    for (const variant_setting *s = settings; !values && s && s->name; s++)
      if ((!s->key || strcmp(s->key, method->key) == 0) && strcmp(s->name, p->name) == 0) text = s->text;
    if (!text) continue;
    variant_set(map, p->name, text);
    const size_t used = strlen(label);
    if (values) snprintf(label + used, room - used, " %s=%s", p->name, text);
  }
  cohort_document *root = cohort_document_create(COHORT_MAP, "test", 0, 0);
  cohort_document_set(root, method->key, map);
  return root;
}

static inline bool variant_read(const cohort_method *method, int combination, const variant_setting *settings,
                                cohort_choice *choice, char *label, size_t room, bool report) {
  cohort_document *document = variant_document(method, combination, settings, label, room);
  cohort_faults faults = {0};
  cohort_choice_read(COHORT_VARIANT_F64, method->family, document, method->family, choice, NULL, &faults);
  if (faults.count && report) fprintf(stderr, "\n  %s: %s\n", label, faults.text);
  const bool good = faults.count == 0;
  cohort_faults_release(&faults);
  cohort_document_destroy(document);
  return good;
}

/* Calls function(choice, label) for all. A combination that its method refuses with the settings is tried at its
 * defaults (a method may tie a parameter to a choice) and must then be accepted. Returns the number of calls. */
static inline int variants_run(const char *family, const variant_setting *settings,
                               void (*function)(const cohort_choice *choice, const char *label)) {
  int calls = 0;
  const cohort_method *method;
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++) {
    if (strcmp(method->family, family) != 0) continue;
    int combinations = 1;
    const char *text;
    for (const cohort_parameter *p = method->parameters; p && p->name; p++)
      combinations *= variant_values(p, 0, &text) ? variant_values(p, 0, &text) : 1;
    for (int c = 0; c < combinations; c++) {
      char label[256];
      cohort_choice choice;
      if (!variant_read(method, c, settings, &choice, label, sizeof label, false) &&
          !variant_read(method, c, NULL, &choice, label, sizeof label, true)) {
        CU_FAIL("a combination is refused");
        continue;
      }
      function(&choice, label);
      cohort_choice_release(&choice);
      calls++;
    }
  }
  return calls;
}

#endif
