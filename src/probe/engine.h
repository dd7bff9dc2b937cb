/* The update engine at work on arrays of a probe. */
#ifndef COHORT_PROBE_ENGINE_H
#define COHORT_PROBE_ENGINE_H

#include "probe/probe.h"
#include "update/updater.h"

typedef struct cohort_probe_tensor {
  const char *name;
  cohort_shape shape;
  cohort_role role; /* that of a matrix, which decays, unless it is said */
} cohort_probe_tensor;

typedef struct cohort_probe_engine {
  cohort_probe_state *probe;
  cohort_comm alone;
  cohort_shard_group *members;
  cohort_space *space; /* tensors in the order given, each from a multiple of 16 elements; the padding is 0 */
  cohort_vector weights;
  cohort_updater *updater;
  void *rows;  /* room for a gradient and a product, laid out like the weights: what an oracle answers with */
  void *signs; /* and for draws that were given */
} cohort_probe_engine;

/* `optimizer` is {key: {parameters}} and stays the caller's, or NULL: `made` is set up already; weights are zero.
 * Destroy it also after a failure. */
cohort_status cohort_probe_engine_create(cohort_probe_state *probe, const cohort_document *optimizer,
                                         const cohort_choice *made, const char *path, int objectives, int tensors,
                                         const cohort_probe_tensor *tensor, cohort_probe_engine *out,
                                         cohort_error *error);
void cohort_probe_engine_destroy(cohort_probe_engine *engine);
/* Adds "state/SLOT/TENSOR" for all that is kept. */
void cohort_probe_engine_output_state(const cohort_probe_engine *engine);

#endif
