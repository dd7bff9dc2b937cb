/* Finds methods in the table that CMake makes from the folders. A lookup compares keys one by one; listing sorts by
 * counting, which is rare. */
#include "method/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "registry_table.h"

typedef struct entry {
  const cohort_method *method;
  const char *file;
} entry;

enum { FILES = sizeof registry_files / sizeof *registry_files };

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

const char *cohort_registry_family(const char *name) {
  static const char *const catalogue[][2] = {{"rl", "policy"}, {"multiobjective", "aggregator"}, {"scaling", "law"}};
  if (!name) return NULL;
  for (size_t i = 0; i < sizeof catalogue / sizeof *catalogue; i++)
    if (strcmp(name, catalogue[i][0]) == 0) name = catalogue[i][1];
  for (int f = 0; f < FILES; f++) {
    const cohort_method *first = registry_files[f].methods[COHORT_VARIANT_F64][0];
    if (first && strcmp(first->family, name) == 0) return first->family;
  }
  return NULL;
}

const char *cohort_registry_noun(const char *family) {
  if (strcmp(family, "federated") == 0) return "federated strategy";
  return strcmp(family, "preference") == 0 ? "preference loss" : family;
}

const cohort_method *cohort_registry_find(cohort_variant variant, const char *family, const char *key) {
  const char *canonical = cohort_registry_family(family);
  if (!canonical || !key) return NULL;
  for (int f = 0; f < FILES; f++)
    for (const cohort_method *const *method = registry_files[f].methods[variant]; *method; method++)
      if (strcmp((*method)->family, canonical) == 0 && strcmp((*method)->key, key) == 0) return *method;
  return NULL;
}
