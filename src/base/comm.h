/* What computing code may ask of the other ranks. A table of functions with two implementations: MPI (mpi/world.h) and
 * threads of one process (base/comm_threads.c). Everything else is built on `exchange`, on transfers that are posted
 * and on memory that the ranks of a host share, so it is the same arithmetic and the same order on both. All functions
 * are called by the rank's main thread, and are collective unless said otherwise. */
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

/* Kinds of traffic: messages match in order within (pair of ranks, channel). exchange has its own. */
typedef enum cohort_channel { COHORT_CHANNEL_REDUCE, COHORT_CHANNEL_GATHER, COHORT_CHANNELS } cohort_channel;

/* Where a rank stands, for another thread to read at any moment (mpi/watchdog.h). Texts are literals. Whatever blocks
 * until another rank does something sets `since` before and clears it afterwards; exchange, wait and await do. */
typedef struct cohort_wait {
  _Atomic(const char *) phase;      /* step, evaluation, save ... */
  _Atomic(const char *) collective; /* reduce, gather, agree ... */
  _Atomic int64_t step;             /* -1: before the first */
  _Atomic double since;             /* of cohort_clock_seconds; 0: it does not wait */
} cohort_wait;

typedef struct cohort_comm {
  int rank, size;
  /* Ranks of one host share memory (cohort_shared_memory). */
  int hosts;
  const int
      *host; /* [size]: number of each rank's host, ascending from 0 in order of first rank; NULL when size is 1 */
  bool one_process; /* the ranks are threads of one process */
  /* Sends and receives all the messages; returns when every one is complete. Between two ranks, messages match in the
   * order of the lists. */
  void (*exchange)(struct cohort_comm *comm, int sends, const cohort_message *send, int receives,
                   const cohort_message *receive);
  /* Begins to send and receive; the buffers (not the lists) belong to the transfer until test or wait says done.
   * Returns a ticket (>= 0; small numbers, reused). Not collective; allocates nothing in a steady state. A message to
   * oneself stands in the lists of one post. */
  int (*post)(struct cohort_comm *comm, cohort_channel channel, int sends, const cohort_message *send, int receives,
              const cohort_message *receive);
  /* Not collective. True: done, the ticket is gone. Drives progress of all transfers; never blocks. */
  bool (*test)(struct cohort_comm *comm, int ticket);
  /* Not collective. Blocks until done, then the ticket is gone; counted in `seconds`, seen by the watchdog. */
  void (*wait)(struct cohort_comm *comm, int ticket);
  /* Not collective. Waits until *flag >= value (a counter in shared memory that another rank raises): spins a little,
   * then gives way, as ranks may share a core. Keeps transfers moving; counted in `seconds`, seen by the watchdog; ends
   * the rank on an abort. What the other rank wrote before it raised the flag (release) is visible afterwards. */
  void (*await)(struct cohort_comm *comm, const _Atomic uint64_t *flag, uint64_t value);
  /* Not collective. One round of a wait of the caller's own, between cohort_comm_wait_begins and _ends: moves
   * transfers, gives the core away for a moment, ends the rank on an abort. */
  void (*idle)(struct cohort_comm *comm);
  /* Not collective: ends all ranks with this exit status, within seconds. Does not return. */
  void (*abort)(struct cohort_comm *comm, int status);
  void *implementation;
  /* Counters of this rank, for the summary; reset by who reads them. */
  uint64_t bytes_received, bytes_sent, messages;
  uint64_t bytes_shared; /* read from other ranks' memory; added by who reads */
  double seconds;        /* inside exchange, wait and await: exposed communication time */
  /* With a ticket outstanding and outside of all waits: communication time that is hidden. cohort_comm_count brings it
   * up to now. */
  double hidden;
  int flights; /* tickets outstanding */
  bool waits;
  double counted; /* when `hidden` was true last */
  double waits_since;
  cohort_wait *watched; /* or NULL when nobody watches */
  /* How to wait where other processes want the cores too (cohort_comm_give_way); `many`: the host's ranks are more than
   * their cores. */
  struct cohort_shared_memory *bells; /* or NULL */
  bool many, crowded, sleeps, short_slices;
  double crowded_until;
  uint32_t rung;
} cohort_comm;

/* A world of one rank; never fails, needs no release. */
cohort_comm cohort_comm_alone(void);

/* Some ranks of a world as a world of their own: its rank i is rank[i] of `whole`, ascending, this one among them; with
 * `apart` each counts as a host by itself. Worlds that share no rank work side by side; those that share some are used
 * in turn, by all their ranks in one order. What it waits and sends counts for both. `whole` stays the caller's,
 * outlives it, and is not changed but for its counters. Not collective; close does nothing to others. */
void cohort_comm_part_open(cohort_comm *whole, int ranks, const int *rank, bool apart, cohort_comm *out);
void cohort_comm_part_close(cohort_comm *part);
/* This rank's part of equally large runs of ranks, as far as that goes: part `number` of `parts` is the ranks
 * [size * number / parts, size * (number + 1) / parts). Returns the number. */
int cohort_comm_split(cohort_comm *whole, int parts, cohort_comm *out);

/* Not collective: what this rank does, and what its next exchanges are for; a store or two. */
static inline void cohort_comm_phase(const cohort_comm *comm, const char *phase, int64_t step) {
  if (!comm->watched) return;
  atomic_store_explicit(&comm->watched->phase, phase, memory_order_relaxed);
  atomic_store_explicit(&comm->watched->step, step, memory_order_relaxed);
}
static inline void cohort_comm_name(const cohort_comm *comm, const char *collective) {
  if (comm->watched) atomic_store_explicit(&comm->watched->collective, collective, memory_order_relaxed);
}

/* Not collective: around whatever blocks until another rank does something, at `now`. For the watchdog and `hidden`;
 * `seconds` is the caller's to add. They do not nest. */
void cohort_comm_wait_begins(cohort_comm *comm, double now);
void cohort_comm_wait_ends(cohort_comm *comm);
/* Not collective: brings `hidden` up to now. */
void cohort_comm_count(cohort_comm *comm, double now);

void cohort_comm_barrier(cohort_comm *comm);
void cohort_comm_broadcast(cohort_comm *comm, int root, void *data, size_t bytes);
/* Rank r contributes bytes[r] bytes at data + offsets[r]; afterwards all ranks hold all parts in place. */
void cohort_comm_gather_all(cohort_comm *comm, void *data, const size_t *offsets, const size_t *bytes);
/* The largest value over ranks. Used to agree on a status or a flag before anyone branches on it. */
int64_t cohort_comm_agree(cohort_comm *comm, int64_t value);
/* All ranks return the largest status; the error's text is that of the lowest rank with that status. */
cohort_status cohort_comm_agree_error(cohort_comm *comm, cohort_status status, cohort_error *error);

/* Memory that the ranks of a host see. */
typedef struct cohort_shared_memory {
  char **part;         /* [size]: rank r's; NULL for ranks of other hosts */
  const size_t *bytes; /* [size] */
  cohort_comm *comm;
  size_t *mapped;
} cohort_shared_memory;

/* A part of `bytes` for this rank; sizes may differ by rank, 0 gives a valid pointer. Zero; aligned like
 * cohort_memory_create; pages take memory when they are touched, by whoever. No file is left behind however the ranks
 * end. COHORT_NO_RESOURCE on all ranks when one cannot have it. Collective. */
cohort_status cohort_shared_memory_create(cohort_comm *comm, size_t bytes, const char *purpose,
                                          cohort_shared_memory **out, cohort_error *error);
/* Nobody reads any more. NULL is fine. Collective. */
void cohort_shared_memory_destroy(cohort_shared_memory *shared);

/* Not collective: between two looks of a wait (between cohort_comm_wait_begins and _ends), gives the core away for a
 * moment. On a core of its own a rank is back at once. On one that other processes crowd it sleeps until another rank
 * rings; where the host's ranks are more than its cores they yield to one another. */
void cohort_comm_give_way(cohort_comm *comm);
/* Not collective: the wait is over (cohort_comm_wait_ends calls it). */
void cohort_comm_wakes(cohort_comm *comm);
/* Not collective: this rank has done what `rank` may be waiting for. A load, unless that one sleeps. */
void cohort_comm_ring(cohort_comm *comm, int rank);
/* Collective. The bells of a host's ranks; without them, a rank that sleeps looks around every now and then. */
void cohort_comm_bells_open(cohort_comm *comm);
void cohort_comm_bells_close(cohort_comm *comm);

/* Runs function(comm, argument) on `size` ranks that are threads of this process; returns when all have ended. The
 * result is the largest status. abort() makes every rank's next call that communicates end its thread; so does a rank
 * that has ended while another waits for it. */
typedef cohort_status (*cohort_rank_function)(cohort_comm *comm, void *argument);
cohort_status cohort_comm_run_threads(int size, cohort_rank_function function, void *argument);
/* The same on simulated hosts: ranks [0, per_host) on host 0 and so on; they share memory only within a host. */
cohort_status cohort_comm_run_threads_on_hosts(int size, int per_host, cohort_rank_function function, void *argument);

#endif
