/* The first part of a GGUF: keys with values, and the table of tensors. Everything points into the file, which is
 * mapped; nothing is read beyond its end, whatever its counts say. */
#ifndef COHORT_IO_MODEL_GGUF_METADATA_H
#define COHORT_IO_MODEL_GGUF_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum {
  COHORT_GGUF_U8,
  COHORT_GGUF_I8,
  COHORT_GGUF_U16,
  COHORT_GGUF_I16,
  COHORT_GGUF_U32,
  COHORT_GGUF_I32,
  COHORT_GGUF_F32,
  COHORT_GGUF_BOOL,
  COHORT_GGUF_TEXT,
  COHORT_GGUF_ARRAY,
  COHORT_GGUF_U64,
  COHORT_GGUF_I64,
  COHORT_GGUF_F64,
  COHORT_GGUF_TYPES
} cohort_gguf_type;

/* Not ended by a NUL. */
typedef struct cohort_gguf_text {
  const char *text;
  size_t length;
} cohort_gguf_text;

typedef struct cohort_gguf_value {
  cohort_gguf_text key;
  cohort_gguf_type type, element; /* element: of an array */
  uint64_t count;                 /* of an array */
  const unsigned char *data;      /* the value, or an array's first element */
} cohort_gguf_value;

typedef struct cohort_gguf_tensor {
  cohort_gguf_text name;
  int axes;
  uint64_t size[4]; /* the first is contiguous */
  uint32_t type;
  uint64_t offset; /* from the file's beginning */
} cohort_gguf_tensor;

typedef struct cohort_gguf {
  const char *path; /* the caller's */
  const unsigned char *file;
  uint64_t length, begin; /* where the tensors' bytes begin */
  uint64_t values, tensors;
  cohort_gguf_value *value;
  cohort_gguf_tensor *tensor;
} cohort_gguf;

cohort_status cohort_gguf_open(const char *path, cohort_gguf *out, cohort_error *error);
void cohort_gguf_close(cohort_gguf *gguf);

/* By key; NULL: none. */
const cohort_gguf_value *cohort_gguf_find(const cohort_gguf *gguf, const char *key);
/* What a key says; `otherwise` when it is absent, or of another kind. */
double cohort_gguf_number(const cohort_gguf *gguf, const char *key, double otherwise);
cohort_gguf_text cohort_gguf_text_of(const cohort_gguf *gguf, const char *key); /* NULL: none */
bool cohort_gguf_text_is(cohort_gguf_text text, const char *other);
/* All texts of an array of texts, the caller's; NULL: there is no such array. */
cohort_gguf_text *cohort_gguf_texts(const cohort_gguf *gguf, const char *key, uint64_t *count);
/* Element `index` of an array of numbers. */
double cohort_gguf_element(const cohort_gguf_value *array, uint64_t index);

#endif
