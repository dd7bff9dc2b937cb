/* A released model on disk, by the names of Cohort's tensors: a Hugging Face folder (config.json, model.safetensors or
 * an index with several) or a GGUF file. One tensor at a time is in memory. */
#ifndef COHORT_IO_MODEL_FILES_H
#define COHORT_IO_MODEL_FILES_H

#include "io/model/card.h"
#include "io/model/tensor_file.h"

typedef struct cohort_model_files cohort_model_files;

/* Whether `path` is a folder with a config.json of its own and safetensors, or a file that ends in .gguf. */
bool cohort_model_files_are(const char *path);
bool cohort_model_is_gguf(const char *path);

/* Reads what the model is, and where its tensors lie. COHORT_BAD_DATA, one line: what is wrong, in which file. */
cohort_status cohort_model_files_open(const char *path, cohort_model_files **out, cohort_error *error);
void cohort_model_files_close(cohort_model_files *files);
const cohort_model_card *cohort_model_files_card(const cohort_model_files *files);

/* A tensor of model gpt (method/model/gpt.c), float32, [out, in]. *found (may be NULL) is false for one that a model
 * may lack, a reward's head. COHORT_BAD_DATA: it is missing, or has another shape. Of learned positions the first rows
 * do. */
cohort_status cohort_model_files_read(cohort_model_files *files, const char *tensor, int axes, const int64_t *size,
                                      float *out, bool *found, cohort_error *error);
/* After all have been read: COHORT_BAD_DATA when a tensor is left that this architecture does not have. */
cohort_status cohort_model_files_check_rest(const cohort_model_files *files, cohort_error *error);
/* XXH3 of all bytes of all files of weights. */
cohort_status cohort_model_files_digest(const cohort_model_files *files, uint64_t *digest, cohort_error *error);

/* Writing: FOLDER/config.json and the weights. A tensor is asked for by its number, float32, [out, in]: room for the
 * largest is the writer's. */
typedef struct cohort_model_tensor {
  const char *name;
  int axes;
  int64_t size[COHORT_TENSOR_AXES];
} cohort_model_tensor;
typedef struct cohort_model_export {
  const cohort_model_card *card;
  bool bf16;          /* values are rounded to BF16 */
  int64_t shard;      /* bytes of a file, at most */
  const json_t *more; /* ids of tokens, for config.json; may be NULL */
  int tensors;
  const cohort_model_tensor *tensor;
  cohort_status (*read)(void *argument, int tensor, float *out, cohort_error *error);
  void *argument;
} cohort_model_export;
cohort_status cohort_model_files_write(const char *folder, const cohort_model_export *source, cohort_error *error);

#endif
