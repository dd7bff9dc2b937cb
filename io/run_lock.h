/* Who owns a run directory: one job at a time, and only it writes.
 *
 * RUN/lock is held by flock, which ends with the process. Where a file system has no flock, jobs take turns by number:
 * RUN/lock.N is made once (O_EXCL), holds who made it, and the highest N is the owner; one that has ended is known by
 * its process on the same boot of the same host, or by a later start of the same Slurm job. Of any other nobody can
 * tell, and a start is refused until the file is removed.
 * Either way RUN/lock says who owns the run. A process that was taken for dead may still live: what writes asks
 * `cohort_run_lock_check` first, and an owner that is one no more writes nothing. */
#ifndef COHORT_IO_RUN_LOCK_H
#define COHORT_IO_RUN_LOCK_H

#include "base/comm.h"
#include "base/status.h"

enum { COHORT_LOCK_BYTES = 512 };

typedef struct cohort_run_lock {
  int descriptor;                /* of RUN/lock, held by rank 0; -1 elsewhere */
  char *directory;               /* NULL: nothing is owned */
  char owner[COHORT_LOCK_BYTES]; /* the line in RUN/lock, the same on all ranks */
  char *turn;                    /* RUN/lock.N where there is no flock; or NULL */
} cohort_run_lock;

/* One rank. COHORT_BAD_CONFIG, naming host, process and start, while another job owns the directory. */
cohort_status cohort_run_lock_take(const char *directory, cohort_run_lock *out, cohort_error *error);

/* Any rank: COHORT_RANK_LOST, naming the new owner, once another job has taken the directory over. NULL, or a lock of
 * nothing, is always fine. */
cohort_status cohort_run_lock_check(const cohort_run_lock *lock, cohort_error *error);

/* Gives the directory up; safe on a lock of nothing. */
void cohort_run_lock_release(cohort_run_lock *lock);

#endif
