/* The generated tables of all families and methods. */
#ifndef COHORT_METHOD_REGISTRY_H
#define COHORT_METHOD_REGISTRY_H

#include "base/processor.h"
#include "method/family.h"

typedef enum {
  COHORT_VARIANT_F32_SSE2,
  COHORT_VARIANT_F32_AVX2,
  COHORT_VARIANT_F32_AVX512,
  COHORT_VARIANT_F64,
  COHORT_VARIANTS
} cohort_variant;
cohort_variant cohort_variant_of(cohort_isa isa);

/* A file of src/method and its descriptors per variant. */
typedef struct cohort_registry_file {
  const char *file;
  const cohort_method *const *methods[COHORT_VARIANTS];
} cohort_registry_file;

/* All methods in the order family, key; index from 0; NULL past the end. */
const cohort_method *cohort_registry_at(cohort_variant variant, int index);
const char *cohort_registry_source(int index); /* its file, "optimizer/adamw.c" */
/* By family (its name or the catalogue's) and key. */
const cohort_method *cohort_registry_find(cohort_variant variant, const char *family, const char *key);

/* All families in the order of their names; index from 0; NULL past the end. */
const cohort_family *cohort_registry_family_at(int index);
/* Whether `name` is the family's name or the catalogue's word for it, which several families may share. */
bool cohort_family_answers(const cohort_family *family, const char *name);
/* The family of this name, else the first that the catalogue calls so; NULL: there is none. */
const cohort_family *cohort_registry_family(const char *name);
/* What one of a family is in a sentence: "optimizer", "federated strategy". */
const char *cohort_registry_noun(const char *family);

/* A method chosen and set up by a config. */
typedef struct cohort_choice {
  const cohort_method *method;
  void *config; /* config_size bytes, owned */
} cohort_choice;

/* Reads {key: {parameters}} or a bare key, or {key: value} of a method whose first parameter must be given; faults
 * (unknown method with the nearest known key, parameters) are collected. `expanded` (may be NULL) receives the map
 * {key: {all parameters}}. On a fault choice->method is NULL. Nested METHOD parameters, and TREE ones that list
 * methods, are expanded and validated in place. */
void cohort_choice_read(cohort_variant variant, const char *family, const cohort_document *document, const char *path,
                        cohort_choice *choice, cohort_document *expanded, cohort_faults *faults);
/* Reads the method `document` of `family` and writes it, with all its parameters, into `expanded` (may be NULL) in the
 * place of the key `name`; there is none when the run does not use it. */
void cohort_choice_expand(cohort_variant variant, const char *family, const cohort_document *document, const char *name,
                          cohort_choice *choice, cohort_document *expanded, cohort_faults *faults);

/* A parameter by name, of a type that is a number: real, integer, or boolean (0 is false). */
typedef struct cohort_choice_number {
  const char *parameter;
  double value;
} cohort_choice_number;
/* A method with these parameters, and its own defaults for the rest. COHORT_BUG when there is no such method, or
 * parameter. */
cohort_status cohort_choice_make(cohort_variant variant, const char *family, const char *key, int count,
                                 const cohort_choice_number *number, cohort_choice *out, cohort_error *error);
/* The same method with a copy of its parameters, which may point into the same documents. */
cohort_choice cohort_choice_copy(const cohort_choice *choice);

void cohort_choice_release(cohort_choice *choice);
/* Of an owner-space state of a method: how many numbers it has, and what each is at first. */
int64_t cohort_choice_state(const cohort_choice *choice, const cohort_state *state, double *initial);
/* A real parameter of the choice by name, e.g. "learning_rate"; `otherwise` when it has none. */
double cohort_choice_real(const cohort_choice *choice, const char *name, double otherwise);
int64_t cohort_choice_integer(const cohort_choice *choice, const char *name, int64_t otherwise);

#endif
