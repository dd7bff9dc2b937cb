/* How a rank waits where other processes want the cores too.
 *
 * On a core of one's own, looking all the time is the fastest wait, and a yield between two looks costs a microsecond.
 * On a crowded core it is the slowest: looking uses up the rank's share of the core, and a yield gives the core to
 * everybody else for a slice each. So a rank that sees a yield take long goes to sleep instead, on a word of memory
 * that it shares with its host-mates (its bell), and they wake it when they have done something that it may wait for. A
 * sleeper keeps its share, so it runs at once.
 *
 *   waits:  sleeps = 1; looks once more; futex wait while rung is the same, at most a nap
 *   rings:  does what is waited for; if sleeps: rung += 1; futex wake
 *
 * Being woken is not enough: since Linux 6.6 who wakes up waits until the one that runs has used up its slice, which is
 * a tick of 1 to 10 ms. Where two ranks exchange every 50 microseconds, one of them would always be waiting for that.
 * Since 6.12 a thread may ask for shorter slices than others, and is then let in at once as long as it has not had more
 * than its share; older kernels let a sleeper in anyhow, and ignore the wish.
 *
 * Where a host's ranks are more than its cores nobody sleeps: their yields let one another in, and each ring would wake
 * ranks that wait for somebody else.
 *
 * Invariant: nothing depends on a ring but time. One that gets lost (no fence orders a ringer's load of `sleeps` after
 * its store, as that would cost those who never sleep), or that nobody sends as the message comes from another host,
 * costs a nap, and a nap is short beside what has been waited already. A ring to a rank that is awake is a load of a
 * line that nobody writes. */
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
  cpu_set_t allowed; /* where its rank may run */
} bell;

/* A yield that took SLOW has waited for another process; it makes the core count as crowded for PAY_BACK times as long,
 * so finding out that it still is costs 1 / PAY_BACK of the time, and a mistake on a free core lasts as briefly. */
static const double SLOW = 0.3e-3, PAY_BACK = 20, LONGEST = 1;
/* A nap lasts NAP_SHARE of the wait so far: who comes and looks for nothing uses up its share of the core. */
static const double SHORTEST_NAP = 0.2e-3, LONGEST_NAP = 5e-3, NAP_SHARE = 0.25;
enum { SLICE_NANOSECONDS = 100000 }; /* the shortest that Linux grants */

static bell *bell_of(const cohort_comm *comm, int rank) {
  return comm->bells ? (bell *)(void *)comm->bells->part[rank] : NULL;
}

/* Whether a host's ranks are more than the processors that they may run on together. */
static bool are_many(const cohort_comm *comm) {
  cpu_set_t all;
  CPU_ZERO(&all);
  int mates = 0;
  for (int r = 0; r < comm->size; r++) {
    const bell *const mate = bell_of(comm, r);
    if (!mate) continue;
    CPU_OR(&all, &all, &mate->allowed);
    mates++;
  }
  return mates > CPU_COUNT(&all) && CPU_COUNT(&all) > 0;
}

void cohort_comm_bells_open(cohort_comm *comm) {
  cohort_shared_memory *bells = NULL;
  if (cohort_shared_memory_create(comm, sizeof(bell), "bells", &bells, NULL) != COHORT_DONE) return;
  comm->bells = bells;
  bell *const own = bell_of(comm, comm->rank);
  if (sched_getaffinity(0, sizeof own->allowed, &own->allowed) != 0) CPU_ZERO(&own->allowed);
  cohort_comm_barrier(comm);
  comm->many = are_many(comm);
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

/* Asks for short slices: for this thread, and threads that it starts. The structure is the kernel's first version of
 * sched_attr, of which the C library knows nothing. */
static void ask_for_short_slices(void) {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t slice, deadline, period;
  } own = {.size = 0};
  if (syscall(SYS_sched_getattr, 0, &own, sizeof own, 0) != 0 || own.policy != SCHED_OTHER) return;
  own.slice = SLICE_NANOSECONDS;
  (void)syscall(SYS_sched_setattr, 0, &own, 0); /* refused: it waits longer */
}

static void nap(cohort_comm *comm, double now) {
  bell *const own = bell_of(comm, comm->rank);
  const double seconds = fmin(fmax(NAP_SHARE * (now - comm->waits_since), SHORTEST_NAP), LONGEST_NAP);
  const struct timespec longest = {.tv_nsec = (long)(1e9 * seconds)};
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
  if (now < comm->crowded_until && !comm->many) {
    nap(comm, now);
    return;
  }
  (void)sched_yield();
  const double lost = cohort_clock_seconds() - now;
  if (lost > SLOW && !comm->many && !comm->short_slices) {
    comm->short_slices = true;
    ask_for_short_slices();
  }
  comm->crowded = lost > SLOW;
  if (comm->crowded) comm->crowded_until = now + lost + fmin(PAY_BACK * lost, LONGEST);
}
