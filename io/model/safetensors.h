/* Safetensors (https://github.com/huggingface/safetensors): 8 bytes with the length of a header, a header in JSON,
 * {NAME: {dtype, shape, data_offsets}}, and the tensors' bytes without gaps. */
#ifndef COHORT_IO_MODEL_SAFETENSORS_H
#define COHORT_IO_MODEL_SAFETENSORS_H

#include "io/model/tensor_file.h"

/* Adds the tensors of one file. F32, F16 and BF16 can be read; a tensor of another type stands in the set by its name.
 * COHORT_BAD_DATA for whatever does not hold: a header that is longer than the file or than 100 MB, no JSON, names
 * twice, offsets outside the file, or that overlap or leave gaps. */
cohort_status cohort_safetensors_add(cohort_tensor_set *set, const char *path, cohort_error *error);
/* FOLDER/model.safetensors, or the files that FOLDER/model.safetensors.index.json names; NAME instead of "model". */
cohort_status cohort_safetensors_add_folder(cohort_tensor_set *set, const char *folder, const char *name,
                                            cohort_error *error);
/* Whether the folder has one of the two. */
bool cohort_safetensors_in(const char *folder, const char *name);

/* Writing: the tensors are declared in their order, then given in the same order, whole or in parts. The file stands
 * under its name once it is closed without a fault. */
typedef struct cohort_safetensors_writer cohort_safetensors_writer;
typedef struct cohort_safetensors_declared {
  char name[128];
  int axes;
  int64_t size[COHORT_TENSOR_AXES];
} cohort_safetensors_declared;
/* Files of at most `shard` bytes of tensors: one file PATH/NAME.safetensors if all fit, else NAME-00001-of-0000N and an
 * index. `bf16`: values are rounded to BF16, else F32. */
cohort_status cohort_safetensors_create(const char *folder, const char *name, bool bf16, int64_t shard, int tensors,
                                        const cohort_safetensors_declared *declared, cohort_safetensors_writer **out,
                                        cohort_error *error);
cohort_status cohort_safetensors_put(cohort_safetensors_writer *writer, const float *values, int64_t count,
                                     cohort_error *error);
/* Destroys the writer; `status` not COHORT_DONE: removes what it has written. */
cohort_status cohort_safetensors_close(cohort_safetensors_writer *writer, cohort_status status, cohort_error *error);

#endif
