/* What `cohort convert` reads and writes: a model as a list of float32 tensors, one in memory at a time. */
#ifndef COHORT_CLI_CONVERT_H
#define COHORT_CLI_CONVERT_H

#include "io/checkpoint.h"
#include "io/model/files.h"
#include "state/space.h"

typedef struct cohort_convert_source {
  const char *path;        /* the caller's */
  cohort_document *model;  /* {gpt: {...}}, expanded */
  cohort_model_card card;
  int tensors;
  cohort_model_tensor *tensor;
  cohort_model_files *files; /* of a released model, or NULL */
  cohort_space *space;       /* released: the table of tensors */
  cohort_flat_contents weights, adapter; /* of a run */
  bool has_adapter, merge;
  int64_t lora_rank;
  double lora_alpha;
  char *tokenizer; /* of a run: its file; NULL: none */
} cohort_convert_source;

cohort_status cohort_convert_open(const char *path, cohort_convert_source *out, cohort_error *error);
/* Tensor `t` into `out`; with `merge` the adapter's product is added. */
cohort_status cohort_convert_read(void *source, int t, float *out, cohort_error *error);
void cohort_convert_close(cohort_convert_source *source);

typedef struct cohort_convert_options {
  const char *to;
  bool bf16;
  int64_t shard; /* bytes */
} cohort_convert_options;

/* FOLDER/config.yaml, final.h5 and tokenizer.json, which train, eval, generate and `model:` take. */
cohort_status cohort_convert_to_cohort(cohort_convert_source *source, const cohort_convert_options *options,
                                       cohort_error *error);
cohort_status cohort_convert_to_huggingface(cohort_convert_source *source, const cohort_convert_options *options,
                                            cohort_error *error);
/* /parameters/<tensor>: what `cohort probe model gpt` reads. */
cohort_status cohort_convert_to_hdf5(cohort_convert_source *source, const cohort_convert_options *options,
                                     cohort_error *error);

#endif
