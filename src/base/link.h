/* How fast messages travel between hosts. */
#ifndef COHORT_BASE_LINK_H
#define COHORT_BASE_LINK_H

#include "base/comm.h"

typedef struct cohort_link {
  double latency;   /* seconds of a small message, one way */
  double bandwidth; /* bytes a second of a long one */
} cohort_link;

/* Between the first two hosts; the same figures on all ranks, zero with one host. Takes some milliseconds, on a link of
 * 1 Gbit/s about 0.1 s. Collective. */
cohort_link cohort_link_measure(cohort_comm *comm);

#endif
