/* Finds families and methods in the tables that CMake makes from the folders. A lookup compares keys one by one;
 * listing sorts by counting, which is rare. */
#include "method/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "registry_table.h"

typedef struct entry {
  const cohort_method *method;
  const char *file;
} entry;

enum {
  FILES = sizeof registry_files / sizeof *registry_files,
  FAMILIES = sizeof registry_families / sizeof *registry_families
};

cohort_variant cohort_variant_of(cohort_isa isa) {
  switch (isa) {
    case COHORT_ISA_AVX512:
      return COHORT_VARIANT_F32_AVX512;
    case COHORT_ISA_AVX2:
      return COHORT_VARIANT_F32_AVX2;
    case COHORT_ISA_SSE2:
    case COHORT_ISA_COUNT:
      break;
  }
  return COHORT_VARIANT_F32_SSE2;
}

static int compare_entries(const void *a, const void *b) {
  const cohort_method *first = ((const entry *)a)->method, *second = ((const entry *)b)->method;
  const int families = strcmp(first->family, second->family);
  return families ? families : strcmp(first->key, second->key);
}

/* The entry number `index` in the order family, key; a NULL method past the end. Listing is rare, so the order is made
 * anew each time and nothing is kept. */
static entry entry_at(cohort_variant variant, int index) {
  size_t count = 0;
  for (int f = 0; f < FILES; f++)
    for (const cohort_method *const *method = registry_files[f].methods[variant]; *method; method++) count++;
  entry *entries = cohort_allocate((count + 1) * sizeof *entries);
  size_t filled = 0;
  for (int f = 0; f < FILES; f++)
    for (const cohort_method *const *method = registry_files[f].methods[variant]; *method; method++)
      entries[filled++] = (entry){*method, registry_files[f].file};
  qsort(entries, count, sizeof *entries, compare_entries);
  const entry found = index >= 0 && (size_t)index < count ? entries[index] : (entry){NULL, NULL};
  free(entries);
  return found;
}

const cohort_method *cohort_registry_at(cohort_variant variant, int index) { return entry_at(variant, index).method; }

const char *cohort_registry_source(int index) { return entry_at(COHORT_VARIANT_F64, index).file; }

const cohort_family *cohort_registry_family_at(int index) {
  return index >= 0 && index < FAMILIES ? registry_families[index] : NULL;
}

bool cohort_family_answers(const cohort_family *family, const char *name) {
  return strcmp(family->name, name) == 0 || (family->catalogue && strcmp(family->catalogue, name) == 0);
}

const cohort_family *cohort_registry_family(const char *name) {
  const cohort_family *found = NULL;
  for (int f = 0; name && f < FAMILIES; f++) {
    if (strcmp(registry_families[f]->name, name) == 0) return registry_families[f];
    if (!found && cohort_family_answers(registry_families[f], name)) found = registry_families[f];
  }
  return found;
}

const char *cohort_registry_noun(const char *family) {
  const cohort_family *found = cohort_registry_family(family);
  return found && found->noun ? found->noun : family;
}

const cohort_method *cohort_registry_find(cohort_variant variant, const char *family, const char *key) {
  for (int i = 0; family && key && i < FAMILIES; i++) {
    if (!cohort_family_answers(registry_families[i], family)) continue;
    for (int f = 0; f < FILES; f++)
      for (const cohort_method *const *method = registry_files[f].methods[variant]; *method; method++)
        if (strcmp((*method)->family, registry_families[i]->name) == 0 && strcmp((*method)->key, key) == 0)
          return *method;
  }
  return NULL;
}
