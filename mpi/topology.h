/* Where the ranks of this job run: hosts, processors, threads; what is wrong with that; and binding of threads. Nothing
 * here changes a bit. */
#ifndef COHORT_MPI_TOPOLOGY_H
#define COHORT_MPI_TOPOLOGY_H

#include "base/comm.h"
#include "base/log.h"

typedef struct cohort_topology cohort_topology;

/* `threads` of every rank; 0: a rank's share of the processors that it may run on. With `bind`, when whoever started
 * this rank has given it processors that no other rank of the host may use, and not fewer than threads, its threads are
 * bound to one each (base/team.h). Call it before there are threads. Collective. */
cohort_topology *cohort_topology_create(cohort_comm *comm, int64_t threads, bool bind);
void cohort_topology_destroy(cohort_topology *topology); /* NULL is fine */

/* Of this rank. */
int cohort_topology_threads(const cohort_topology *topology);

/* A table of ranks with their hosts, processors, threads and lanes (of `lanes` in all), and warnings about more threads
 * than processors. Not collective: for rank 0. */
void cohort_topology_print(const cohort_topology *topology, int lanes, const cohort_log *log);

#endif
