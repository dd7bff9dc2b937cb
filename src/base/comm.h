/* What computing code may ask of the other ranks. A table of functions with two implementations: MPI (mpi/world.h) and
 * threads of one process (base/comm_threads.h). Everything else is built on `exchange`, so it is the same arithmetic
 * and the same order on both. All functions are collective unless said otherwise. */
#ifndef COHORT_BASE_COMM_H
#define COHORT_BASE_COMM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct cohort_message {
  int rank;     /* the other side */
  void *data;   /* not written when sent */
  size_t bytes; /* both sides know it; 0 is allowed and sends nothing */
} cohort_message;

/* Where a rank stands, for another thread to read at any moment (mpi/watchdog.h). Texts are literals. Whatever blocks
 * until another rank does something sets `since` before and clears it afterwards; `exchange` does. */
typedef struct cohort_wait {
  _Atomic(const char *) phase;      /* step, evaluation, save ... */
  _Atomic(const char *) collective; /* reduce, gather, agree ... */
  _Atomic int64_t step;             /* -1: before the first */
  _Atomic double since;             /* of cohort_clock_seconds; 0: it does not wait */
} cohort_wait;

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
  double seconds;    /* inside exchange: exposed communication time */
  cohort_wait *wait; /* or NULL when nobody watches */
} cohort_comm;

/* A world of one rank; never fails, needs no release. */
cohort_comm cohort_comm_alone(void);

/* Not collective: what this rank does, and what its next exchanges are for; a store or two. */
static inline void cohort_comm_phase(const cohort_comm *comm, const char *phase, int64_t step) {
  if (!comm->wait) return;
  atomic_store_explicit(&comm->wait->phase, phase, memory_order_relaxed);
  atomic_store_explicit(&comm->wait->step, step, memory_order_relaxed);
}
static inline void cohort_comm_name(const cohort_comm *comm, const char *collective) {
  if (comm->wait) atomic_store_explicit(&comm->wait->collective, collective, memory_order_relaxed);
}
static inline void cohort_comm_wait_begins(const cohort_comm *comm, double now) {
  if (comm->wait) atomic_store_explicit(&comm->wait->since, now, memory_order_release);
}
static inline void cohort_comm_wait_ends(const cohort_comm *comm) {
  if (comm->wait) atomic_store_explicit(&comm->wait->since, 0, memory_order_relaxed);
}

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
