/* What computing code may ask of the other ranks. A table of functions with two implementations: MPI (mpi/world.h) and
 * threads of one process (base/comm_threads.h). Everything else is built on `exchange`, so it is the same arithmetic
 * and the same order on both. All functions are collective unless said otherwise. */
#ifndef COHORT_BASE_COMM_H
#define COHORT_BASE_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct cohort_message {
  int rank;     /* the other side */
  void *data;   /* not written when sent */
  size_t bytes; /* both sides know it; 0 is allowed and sends nothing */
} cohort_message;

typedef struct cohort_comm {
  int rank, size;
  /* Sends and receives all the messages; returns when every one is complete. Between two ranks, messages match in the
   * order of the lists. */
  void (*exchange)(struct cohort_comm *comm, int sends, const cohort_message *send, int receives,
                   const cohort_message *receive);
  /* Not collective: ends all ranks with this exit status, within seconds. Does not return. */
  void (*abort)(struct cohort_comm *comm, int status);
  void *implementation;
  /* Counters of this rank, for the summary; reset by who reads them. */
  uint64_t bytes_received, bytes_sent, messages;
  double seconds; /* inside exchange: exposed communication time */
} cohort_comm;

/* A world of one rank; never fails, needs no release. */
cohort_comm cohort_comm_alone(void);

void cohort_comm_barrier(cohort_comm *comm);
void cohort_comm_broadcast(cohort_comm *comm, int root, void *data, size_t bytes);
/* Rank r contributes bytes[r] bytes at data + offsets[r]; afterwards all ranks hold all parts in place. */
void cohort_comm_gather_all(cohort_comm *comm, void *data, const size_t *offsets, const size_t *bytes);
/* The largest value over ranks. Used to agree on a status or a flag before anyone branches on it. */
int64_t cohort_comm_agree(cohort_comm *comm, int64_t value);
/* All ranks return the largest status; the error's text is that of the lowest rank with that status. */
cohort_status cohort_comm_agree_error(cohort_comm *comm, cohort_status status, cohort_error *error);

/* Runs function(comm, argument) on `size` ranks that are threads of this process; returns when all have ended. The
 * result is the largest status. abort() makes every rank's next exchange end its thread. */
typedef cohort_status (*cohort_rank_function)(cohort_comm *comm, void *argument);
cohort_status cohort_comm_run_threads(int size, cohort_rank_function function, void *argument);

#endif
