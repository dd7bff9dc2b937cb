/* How a rank waits where other processes want the cores too.
 *
 * On a core of one's own, looking all the time is the fastest wait, and a yield between two looks costs a microsecond.
 * On a crowded core it is the slowest: looking uses up the rank's share of the core, and a yield gives the core to
 * everybody else for a slice each. So a rank that sees a yield take long goes to sleep instead, on a word of memory
 * that it shares with its host-mates (its bell), and they wake it when they have done something that it may wait for. A
 * sleeper keeps its share, so it runs at once.
 *
 *   waits:  sleeps = 1; looks once more; futex wait while rung is the same, at most NAP_NANOSECONDS
 *   rings:  does what is waited for; if sleeps: rung += 1; futex wake
 *
 * Invariant: nothing depends on a ring but time. One that gets lost (no fence orders a ringer's load of `sleeps` after
 * its store, as that would cost those who never sleep), or that nobody sends as the message comes from another host,
 * costs a nap. A ring to a rank that is awake is a load of a line that nobody writes. */
#include <linux/futex.h>
#include <math.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/comm.h"

typedef struct bell {
  _Atomic uint32_t rung, sleeps;
} bell;

/* A yield that took SLOW has waited for another process; it makes the core count as crowded for PAY_BACK times as long,
 * so finding out that it still is costs 1 / PAY_BACK of the time, and a mistake on a free core lasts as briefly. */
static const double SLOW = 0.3e-3, PAY_BACK = 20, LONGEST = 1;
enum { NAP_NANOSECONDS = 200000 };

static bell *bell_of(const cohort_comm *comm, int rank) {
  return comm->bells ? (bell *)(void *)comm->bells->part[rank] : NULL;
}

void cohort_comm_bells_open(cohort_comm *comm) {
  cohort_shared_memory *bells = NULL;
  if (cohort_shared_memory_create(comm, sizeof(bell), "bells", &bells, NULL) == COHORT_DONE) comm->bells = bells;
}

void cohort_comm_bells_close(cohort_comm *comm) {
  cohort_shared_memory_destroy(comm->bells);
  comm->bells = NULL;
}

void cohort_comm_ring(cohort_comm *comm, int rank) {
  bell *const other = bell_of(comm, rank);
  if (!other || !atomic_load_explicit(&other->sleeps, memory_order_relaxed)) return;
  atomic_fetch_add(&other->rung, 1);
  (void)syscall(SYS_futex, &other->rung, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void nap(cohort_comm *comm) {
  bell *const own = bell_of(comm, comm->rank);
  const struct timespec longest = {.tv_nsec = NAP_NANOSECONDS};
  if (!own) {
    (void)nanosleep(&longest, NULL);
  } else if (!comm->sleeps) { /* the caller looks once more before it sleeps */
    comm->sleeps = true;
    comm->rung = atomic_load(&own->rung);
    atomic_store(&own->sleeps, 1);
  } else {
    (void)syscall(SYS_futex, &own->rung, FUTEX_WAIT, comm->rung, &longest, NULL, 0);
    comm->rung = atomic_load(&own->rung);
  }
}

void cohort_comm_wakes(cohort_comm *comm) {
  if (!comm->sleeps) return;
  comm->sleeps = false;
  atomic_store_explicit(&bell_of(comm, comm->rank)->sleeps, 0, memory_order_relaxed);
}

void cohort_comm_give_way(cohort_comm *comm) {
  const double now = cohort_clock_seconds();
  if (now < comm->crowded_until) {
    nap(comm);
    return;
  }
  (void)sched_yield();
  const double lost = cohort_clock_seconds() - now;
  comm->crowded = lost > SLOW;
  if (comm->crowded) comm->crowded_until = now + lost + fmin(PAY_BACK * lost, LONGEST);
}
