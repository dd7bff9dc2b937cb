/* A language model as a run has left it: its model, tokenizer and weights, from a run directory or a checkpoint. */
#ifndef COHORT_TRAIN_ROLLOUT_LOADED_MODEL_H
#define COHORT_TRAIN_ROLLOUT_LOADED_MODEL_H

#include "io/tokenizer/tokenizer.h"
#include "state/space.h"
#include "train/run/settings.h"
#include "train/task/task.h"

typedef struct cohort_loaded_model {
  cohort_document *document; /* the run's config, which the settings point into */
  cohort_settings settings;
  cohort_choice model;
  cohort_model_data data;
  cohort_tokenizer *tokenizer;
  bool adapted;
  cohort_adapter adapter;
  cohort_space *space, *adapter_space; /* held whole; adapter_space NULL: there are no adapters */
} cohort_loaded_model;

/* One rank. `path` is a run directory, whose final weights or latest checkpoint are taken, or a file. `scalar_head`
 * names the head that the model has beside its vocabulary's, or is NULL. On an error nothing is left to release. */
cohort_status cohort_loaded_model_open(const char *path, const char *scalar_head, cohort_loaded_model *out,
                                       cohort_error *error);
void cohort_loaded_model_close(cohort_loaded_model *own);

/* Memory of a tensor by name, in the model's space or its adapters'; NULL: it has none. For cohort_decoder_options. */
void *cohort_loaded_model_tensor(void *own, const char *name);

#endif
