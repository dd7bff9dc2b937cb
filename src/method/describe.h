/* What `cohort methods` prints: the catalogue, a family or one method, for people (text), tables (TSV) and programs
 * (JSON). The JSON of a method holds all that a stranger needs to call `cohort probe` on it. */
#ifndef COHORT_METHOD_DESCRIBE_H
#define COHORT_METHOD_DESCRIBE_H

#include "base/status.h"

typedef enum { COHORT_DESCRIBE_TEXT, COHORT_DESCRIBE_TSV, COHORT_DESCRIBE_JSON } cohort_describe_format;

/* family NULL: everything; key NULL: the family. `out` is the text, owned by the caller (free). COHORT_BAD_CONFIG with
 * the nearest name when there is no such family or method. */
cohort_status cohort_describe(const char *family, const char *key, cohort_describe_format format, char **out,
                              cohort_error *error);

#endif
