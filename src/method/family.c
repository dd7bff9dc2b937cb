/* The inputs of a method's probe as one table. Costs the table. */
#include "method/family.h"

#include "base/memory.h"

cohort_probe_array *cohort_family_inputs(const cohort_family *family, const cohort_method *method) {
  int count = 0, made = 0;
  while (family->inputs[count].name) count++;
  cohort_probe_array further;
  while (family->further && family->further(method, made, &further)) made++;
  cohort_probe_array *table = cohort_allocate((size_t)(count + made + 1) * sizeof *table);
  int kept = 0;
  for (int i = 0; i < count; i++)
    if (cohort_array_applies(family->inputs[i].when, method)) table[kept++] = family->inputs[i];
  for (int i = 0; i < made; i++) (void)family->further(method, i, &table[kept++]);
  return table;
}
