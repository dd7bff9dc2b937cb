/* Numbers that stand beside completions under a name: a score, a margin, visits, a group. A method says which it reads
 * (method/preference/preference.h), the reader of a file finds them (io/dataset/completions.h), `cohort probe` takes
 * them as arrays. */
#ifndef COHORT_BASE_FIELD_H
#define COHORT_BASE_FIELD_H

#include <stdbool.h>

/* Whose the numbers are. */
typedef enum {
  COHORT_FIELD_SAMPLE,     /* one of a pair or list: a margin, a group */
  COHORT_FIELD_COMPLETION, /* one of each completion: a score, visits */
  COHORT_FIELD_STEP,       /* one of each step (or turn) of each completion */
  COHORT_FIELD_TOKEN,      /* one of each token of each completion */
} cohort_field_owner;

enum { COHORT_MAX_FIELDS = 8 };

/* A table of them ends with a name of NULL. */
typedef struct cohort_field {
  const char *name;              /* in the singular: "score" */
  const char *chosen, *rejected; /* "score/chosen", "score/rejected": of the arrays of `probe` */
  cohort_field_owner owner;
  bool optional; /* the data may lack it, in all lines */
  bool integer;  /* whole numbers from 0; of samples alone */
  const char *meaning;
} cohort_field;

/* {COHORT_NAMED_FIELD("score"), .owner = COHORT_FIELD_COMPLETION, .meaning = "how good it is"} */
#define COHORT_NAMED_FIELD(word) .name = word, .chosen = word "/chosen", .rejected = word "/rejected"

#endif
