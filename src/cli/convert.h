/* What `cohort convert` reads and writes: a model as a list of float32 tensors, one in memory at a time. */
#ifndef COHORT_CLI_CONVERT_H
#define COHORT_CLI_CONVERT_H

#include "io/arrays.h"
#include "io/checkpoint.h"
#include "io/model/files.h"
#include "io/model/peft.h"
#include "state/space.h"

typedef struct cohort_convert_source {
  const char *path;       /* the caller's */
  cohort_document *model; /* {gpt: {...}}, expanded */
  cohort_model_card card;
  int tensors;
  cohort_model_tensor *tensor;
  cohort_model_files *files;             /* of a released model, or NULL */
  cohort_space *space;                   /* released: the table of tensors */
  cohort_flat_contents weights, adapter; /* of a run */
  bool has_adapter, merge;
  cohort_peft lora;     /* what the adapter is */
  char *tokenizer;      /* of a run: its file; NULL: none */
  bool lacks_tokenizer; /* the file that the run names is not there */
  cohort_arrays arrays; /* of plain HDF5: the weights, instead of those of `base` */
  char *base;           /* the model beside which PEFT's adapters stand, or that plain HDF5 is one of; else NULL */
} cohort_convert_source;

/* `base`: the model that PEFT's adapters stand beside (NULL: the one that their config names), or that plain HDF5 is
 * one of. */
cohort_status cohort_convert_open(const char *path, const char *base, cohort_convert_source *out, cohort_error *error);
/* Tensor `t` into `out`; with `merge` the adapter's product is added. */
cohort_status cohort_convert_read(void *source, int t, float *out, cohort_error *error);
void cohort_convert_close(cohort_convert_source *source);
const cohort_stored_tensor *cohort_convert_find(const cohort_flat_contents *contents, const char *name); /* or NULL */

/* Adapters (convert_adapter.c): those of a PEFT folder, beside the base that is open; W += s B A, with DoRA's
 * magnitude; and PEFT's form of them. */
cohort_status cohort_convert_read_peft(cohort_convert_source *source, cohort_tensor_set *set, cohort_error *error);
void cohort_convert_add_adapter(const cohort_convert_source *source, const cohort_model_tensor *tensor, float *out);

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
cohort_status cohort_convert_to_peft(cohort_convert_source *source, const cohort_convert_options *options,
                                     cohort_error *error);
/* /parameters/<tensor>: what `cohort probe model gpt` reads. */
cohort_status cohort_convert_to_hdf5(cohort_convert_source *source, const cohort_convert_options *options,
                                     cohort_error *error);

#endif
