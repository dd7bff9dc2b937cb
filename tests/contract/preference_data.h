/* Lines of completions in every shape, with all fields that any method of the family preference reads of that shape. */
#ifndef COHORT_TESTS_CONTRACT_PREFERENCE_DATA_H
#define COHORT_TESTS_CONTRACT_PREFERENCE_DATA_H

#include <stdio.h>
#include <string.h>

#include "base/field.h"
#include "method/preference/preference.h"
#include "method/registry.h"

enum { PREFERENCE_LINES = 24 };
typedef enum { PREFERENCE_PAIRS, PREFERENCE_LISTS, PREFERENCE_UNPAIRED, PREFERENCE_STEPWISE } preference_shape;

static inline preference_shape preference_shape_of(const cohort_method *method) {
  if (method->needs & COHORT_NEEDS_LISTS) return PREFERENCE_LISTS;
  if (!(method->needs & COHORT_NEEDS_UNPAIRED)) return PREFERENCE_PAIRS;
  return cohort_preference_has_label(method) ? PREFERENCE_UNPAIRED : PREFERENCE_STEPWISE;
}

/* The completions of line i: lists have 2 to 4; steps that a completion has, of 3 bytes each. */
static inline int preference_completions(preference_shape shape, int i) {
  return shape == PREFERENCE_LISTS ? 2 + i % 3 : shape == PREFERENCE_PAIRS ? 2 : 1;
}
static inline int preference_steps(preference_shape shape, int i, int k) {
  return shape == PREFERENCE_PAIRS || shape == PREFERENCE_STEPWISE ? 1 + (i + 2 * k) % 3 : 1;
}

static inline double preference_number(const cohort_field *field, int i, int k, int s) {
  const double drawn = (double)((i * 37 + k * 11 + s * 5) % 17);
  return field->integer ? (double)(i % 2) : strcmp(field->name, "label") == 0 ? (double)(i + s) / 2 > i / 2 : drawn / 8;
}

static inline void preference_put_value(FILE *file, const cohort_field *field, preference_shape shape, int i, int k) {
  if (field->owner == COHORT_FIELD_SAMPLE || field->owner == COHORT_FIELD_COMPLETION) {
    (void)fprintf(file, "%g", preference_number(field, i, k, 0));
    return;
  }
  const int steps = preference_steps(shape, i, k), each = field->owner == COHORT_FIELD_TOKEN ? 3 * steps : steps;
  for (int s = 0; s < each; s++) (void)fprintf(file, "%s%g", s ? ", " : "[", preference_number(field, i, k, s));
  (void)fprintf(file, "]");
}

static inline void preference_put_field(FILE *file, const cohort_field *field, preference_shape shape, int i) {
  const bool sample = field->owner == COHORT_FIELD_SAMPLE, list = shape == PREFERENCE_LISTS && !sample;
  const bool many = field->owner == COHORT_FIELD_STEP || field->owner == COHORT_FIELD_TOKEN;
  const int completions = sample ? 1 : preference_completions(shape, i);
  static const char *const ends[] = {"_chosen", "_rejected"};
  for (int k = 0; k < completions; k++) {
    const char *end = shape == PREFERENCE_PAIRS && !sample ? ends[k] : "";
    if (list)
      (void)fprintf(file, k ? ", " : ", \"%ss\": [", field->name);
    else
      (void)fprintf(file, ", \"%s%s%s\": ", field->name, many ? "s" : "", end);
    preference_put_value(file, field, shape, i, k);
  }
  if (list) (void)fprintf(file, "]");
}

/* The fields of all methods of the shape, each name and owner once. */
static inline void preference_put_fields(FILE *file, preference_shape shape, int i) {
  const cohort_field *seen[64];
  int count = 0;
  const cohort_method *method;
  for (int m = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, m)); m++) {
    if (strcmp(method->family, "preference") != 0 || preference_shape_of(method) != shape) continue;
    const cohort_field *field = ((const cohort_preference *)method->functions)->fields;
    for (; field && field->name && count < 64; field++) {
      bool known = false;
      for (int k = 0; k < count; k++) known |= !strcmp(seen[k]->name, field->name) && seen[k]->owner == field->owner;
      if (known) continue;
      seen[count++] = field;
      preference_put_field(file, field, shape, i);
    }
  }
}

static inline void preference_put_steps(FILE *file, preference_shape shape, int i, int k) {
  const int steps = preference_steps(shape, i, k);
  for (int s = 0; s < steps; s++) (void)fprintf(file, "%s\"%c%c%c\"", s ? ", " : "[", 'a' + i % 20, 'a' + k, 'a' + s);
  (void)fprintf(file, "]");
}

static inline void preference_write(FILE *file, preference_shape shape) {
  for (int i = 0; i < PREFERENCE_LINES; i++) {
    (void)fprintf(file, "{\"prompt\": \"line %d\"", i * i % 31);
    if (shape == PREFERENCE_PAIRS) {
      (void)fprintf(file, ", \"chosen\": ");
      preference_put_steps(file, shape, i, 0);
      (void)fprintf(file, ", \"rejected\": ");
      preference_put_steps(file, shape, i, 1);
    } else if (shape == PREFERENCE_LISTS) {
      for (int k = 0; k < preference_completions(shape, i); k++)
        (void)fprintf(file, k ? ", \"%c%c%c\"" : ", \"completions\": [\"%c%c%c\"", 'a' + i % 20, 'a' + k, 'x');
      (void)fprintf(file, "]");
    } else if (shape == PREFERENCE_STEPWISE) {
      (void)fprintf(file, ", \"completions\": ");
      preference_put_steps(file, shape, i, 0);
    } else {
      (void)fprintf(file, ", \"completion\": \"%c%cx\", \"label\": %s", 'a' + i % 20, 'a' + i % 3,
                    i % 3 ? "true" : "false");
    }
    preference_put_fields(file, shape, i);
    (void)fprintf(file, "}\n");
  }
}

#endif
