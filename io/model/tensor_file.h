/* Files of named tensors: safetensors and GGUF. A table of what lies where, which has been checked against the file's
 * length; values are read with pread, a range at a time, as float32. */
#ifndef COHORT_IO_MODEL_TENSOR_FILE_H
#define COHORT_IO_MODEL_TENSOR_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { COHORT_TENSOR_AXES = 4, COHORT_MOST_TENSORS = 1 << 20 };

typedef enum cohort_file_tensor_type {
  COHORT_TENSOR_F32,
  COHORT_TENSOR_F16,
  COHORT_TENSOR_BF16,
  COHORT_TENSOR_Q8_0, /* blocks of 32: scale float16, 32 int8 */
  COHORT_TENSOR_Q4_0, /* blocks of 32: scale float16, 16 bytes of two nibbles, minus 8 */
  COHORT_TENSOR_Q4_1, /* blocks of 32: scale and minimum float16, 16 bytes of two nibbles */
  COHORT_TENSOR_Q5_0, /* as Q4_0 and Q4_1, with four bytes of fifth bits */
  COHORT_TENSOR_Q5_1,
  COHORT_TENSOR_Q4_K, /* blocks of 256: two float16, 8 scales and minimums of 6 bits, nibbles */
  COHORT_TENSOR_Q5_K, /* the same with 32 bytes of fifth bits */
  COHORT_TENSOR_Q6_K, /* blocks of 256: nibbles, two further bits each, 16 scales int8, a float16 */
  COHORT_TENSOR_TYPES /* what is known by name alone comes from here on */
} cohort_file_tensor_type;

typedef struct cohort_file_tensor {
  char *name;
  cohort_file_tensor_type type;
  char type_name[24]; /* as the file has it */
  int axes;
  int64_t size[COHORT_TENSOR_AXES]; /* the last axis is contiguous */
  int file;                         /* index into the set's files */
  uint64_t offset, bytes;           /* in the file */
  bool taken;                       /* the user's: it was asked for */
} cohort_file_tensor;

/* Tensors of several files (shards), found by name. */
typedef struct cohort_tensor_set {
  int files;
  char **path;
  int *descriptor;
  int tensors;
  cohort_file_tensor *tensor; /* sorted by name once read */
} cohort_tensor_set;

int64_t cohort_file_tensor_elements(const cohort_file_tensor *tensor);
/* Bytes of `elements` of a type; they are whole blocks. */
uint64_t cohort_file_tensor_bytes(cohort_file_tensor_type type, int64_t elements);
/* Elements of a block; 1 for plain numbers. */
int64_t cohort_file_tensor_block(cohort_file_tensor_type type);

/* Opens a file and makes room for its tensors; *length is its size in bytes. */
cohort_status cohort_tensor_set_open(cohort_tensor_set *set, const char *path, uint64_t *length, cohort_error *error);
/* Adds a tensor, whose name is copied. What it says of itself is checked: known type or else only named, sizes above
 * 0, bytes that fit the shape and lie inside [first, length) of the file. */
cohort_status cohort_tensor_set_add(cohort_tensor_set *set, const cohort_file_tensor *tensor, uint64_t first,
                                    uint64_t length, cohort_error *error);
/* Sorts; a name that stands twice, in one file or two, is COHORT_BAD_DATA. */
cohort_status cohort_tensor_set_finish(cohort_tensor_set *set, cohort_error *error);
cohort_file_tensor *cohort_tensor_set_find(const cohort_tensor_set *set, const char *name); /* NULL: none */
/* Elements [first, first + count) as float32; both are whole blocks. */
cohort_status cohort_file_tensor_read(const cohort_tensor_set *set, const cohort_file_tensor *tensor, int64_t first,
                                      int64_t count, float *out, cohort_error *error);
void cohort_tensor_set_release(cohort_tensor_set *set);

/* All of [offset, offset + bytes), or COHORT_BAD_DATA. */
cohort_status cohort_file_pread(int descriptor, const char *path, void *out, uint64_t bytes, uint64_t offset,
                                cohort_error *error);

#endif
