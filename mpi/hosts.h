/* Which ranks share memory. */
#ifndef COHORT_MPI_HOSTS_H
#define COHORT_MPI_HOSTS_H

#include "base/comm.h"

/* Numbers the hosts of all ranks into host[size], ascending from 0 in order of first rank; returns how many. Ranks are
 * of one host when their names (rank r's at names + r * stride) are equal and when every one of them has read memory of
 * every other; ranks of a name that cannot are hosts of their own, and rank 0 warns on standard error. Collective. */
int cohort_hosts_number(cohort_comm *comm, const char *names, size_t stride, int *host);

#endif
