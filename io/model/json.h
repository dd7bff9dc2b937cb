/* JSON files of other programs, through jansson: one that is too large, no JSON, or has a key twice is refused with the
 * line. */
#ifndef COHORT_IO_MODEL_JSON_H
#define COHORT_IO_MODEL_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* A file that is a JSON object; the caller's (json_decref). COHORT_BAD_DATA otherwise. */
cohort_status cohort_json_read(const char *path, json_t **out, cohort_error *error);
/* The same of a text; `where` is what an error begins with. */
cohort_status cohort_json_parse(const char *text, size_t length, const char *where, json_t **out, cohort_error *error);
/* Writes it, with an indent of 2, through a new file. Takes over `object`. */
cohort_status cohort_json_write(json_t *object, const char *path, cohort_error *error);

/* Reads settings of one object one after another; the first fault stays. A key that is absent or null gives what the
 * caller says; one of another type is a fault. */
typedef struct cohort_json_reader {
  const char *path; /* of the file, for errors */
  const json_t *object;
  cohort_status status;
  cohort_error *error;
} cohort_json_reader;
int64_t cohort_json_integer(cohort_json_reader *reader, const char *key, int64_t otherwise); /* 0 to 2^40 */
double cohort_json_real(cohort_json_reader *reader, const char *key, double otherwise);
bool cohort_json_boolean(cohort_json_reader *reader, const char *key, bool otherwise);
const char *cohort_json_text(cohort_json_reader *reader, const char *key, const char *otherwise);
/* COHORT_BAD_DATA "PATH: ...", unless there is a fault already. */
void cohort_json_fault(cohort_json_reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
