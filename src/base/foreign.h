/* Names that other programs, papers or an earlier edition of this one have for a key or a method. They are not taken: a
 * config that uses one is refused, and the message says what to write. */
#ifndef COHORT_BASE_FOREIGN_H
#define COHORT_BASE_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cohort_foreign {
  const char *name;    /* NULL ends the table; case, '-' and '_' do not count */
  const char *section; /* dotted path of the table it is foreign in; NULL: any */
  const char *keys;    /* what it is called here, in the same table: "beta1, beta2" */
  const char *where;   /* the dotted key, where the table has no such key; METHOD stands for any; NULL: no hint then */
  const char *note;    /* how the meaning differs, or NULL */
} cohort_foreign;
extern const cohort_foreign cohort_foreign_names[];

/* What to write instead of `name` in the table at `section` ("" for the whole config) that has `names`: "beta1, beta2",
 * or "optimizer.METHOD.beta1 ..." when another table has it. False: nobody knows the name. `out` is always a text. */
bool cohort_foreign_hint(const char *section, const char *name, const char *const *names, size_t count, char *out,
                         size_t size);

#endif
