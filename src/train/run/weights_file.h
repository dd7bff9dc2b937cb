/* Files that weights come from: a checkpoint, or a released model (io/model/files.h), which has the space "model"
 * alone. One rank reads. */
#ifndef COHORT_TRAIN_RUN_WEIGHTS_FILE_H
#define COHORT_TRAIN_RUN_WEIGHTS_FILE_H

#include "state/space.h"

typedef struct cohort_weights_reading {
  const char *path;
  const cohort_space *space;
  const char *name; /* of the space in the file */
  bool whole;       /* the file must hold all of it */
  bool no_losses;   /* what losses keep is left as it is */
  bool *found;      /* [tensors]: set where the file has it */
} cohort_weights_reading;

/* Into values[space->elements], laid out as the space; what is not found is left as it was. COHORT_BAD_DATA: a tensor
 * has another shape, or nothing fits. */
cohort_status cohort_weights_read(const cohort_weights_reading *reading, float *values, cohort_error *error);
/* Whether the file has weights of a space. */
cohort_status cohort_weights_has(const char *path, const char *space, bool *has, cohort_error *error);
/* Of the weights of the space "model". */
cohort_status cohort_weights_digest(const char *path, uint64_t *digest, cohort_error *error);

#endif
