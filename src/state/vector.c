/* Vectors that other ranks of the host read in place. Each is laid out whole on every rank; pages that nobody touches
 * take no memory, so a shard costs what the shard holds. */
#include "state/vector.h"

cohort_status cohort_vector_create(cohort_comm *comm, int64_t elements, const char *purpose, cohort_vector *out,
                                   cohort_error *error) {
  COHORT_TRY(cohort_shared_memory_create(comm, (size_t)elements * sizeof(float), purpose, &out->shared, error));
  out->values = (float *)(void *)out->shared->part[comm->rank];
  return COHORT_DONE;
}

void cohort_vector_release(cohort_vector *vector) {
  cohort_shared_memory_destroy(vector->shared);
  *vector = (cohort_vector){0};
}
