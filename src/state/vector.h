/* A flat vector of a space in memory that the ranks of a host share. */
#ifndef COHORT_STATE_VECTOR_H
#define COHORT_STATE_VECTOR_H

#include "base/comm.h"

/* A flat vector of a space whose elements the ranks of a host can read. Laid out whole; what is not touched takes no
 * memory. */
typedef struct cohort_vector {
  float *values;
  cohort_shared_memory *shared;
  int64_t first;  /* element of each rank's part where the vector begins */
  int64_t origin; /* element of the layout (state/space_layout.h) where it begins: that of its space */
} cohort_vector;

/* Zero. Collective. */
cohort_status cohort_vector_create(cohort_comm *comm, int64_t elements, const char *purpose, cohort_vector *out,
                                   cohort_error *error);
void cohort_vector_release(cohort_vector *vector); /* collective; nothing is fine */

#endif
