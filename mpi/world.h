/* The ranks of this job, over MPI. The only folder that includes mpi.h. */
#ifndef COHORT_MPI_WORLD_H
#define COHORT_MPI_WORLD_H

#include "base/comm.h"

/* Starts MPI when the process was launched by mpirun or srun (else a world of one without MPI_Init, which costs
 * 0.3 s), with MPI_THREAD_FUNNELED, and fills `comm` with point-to-point functions (slices of at most 1 GiB). */
cohort_status cohort_world_open(cohort_comm *comm, cohort_error *error);
void cohort_world_close(cohort_comm *comm);

/* Not collective: how long this rank may wait for one that gives no sign of life (mpi/watchdog.h; 60 s until this is
 * called), and the file that then gets a line besides standard error (or NULL). */
void cohort_world_watch(const cohort_comm *comm, double seconds, const char *log);

/* Ranks on this host, and this rank's number among them. */
void cohort_world_local(const cohort_comm *comm, int *local_rank, int *local_size);
/* Name of a rank's host; "" when it is not known. */
const char *cohort_world_host(const cohort_comm *comm, int rank);
/* Host names, one per rank, joined by ','; rank 0 only, owned by the caller; NULL elsewhere. Collective. */
char *cohort_world_hosts(cohort_comm *comm);
/* "Open MPI v4.1.4": what the library says of itself up to the first comma. */
void cohort_world_library(char out[64]);

#endif
