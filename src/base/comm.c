/* Collectives made of `exchange`, and the world of one rank. Every collective is a ring or a doubling over
 * point-to-point messages in a fixed order, so the bits do not depend on the implementation below.
 *
 * A barrier, an agreement and a broadcast take log2(ranks) rounds. A gather sends each rank's part to all others, 32 at
 * a time. */
#include "base/comm.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static void exchange_alone(cohort_comm *comm, int sends, const cohort_message *send, int receives,
                           const cohort_message *receive) {
  (void)comm;
  int sent = 0;
  for (int i = 0; i < receives; i++) {
    if (!receive[i].bytes) continue;
    while (sent < sends && !send[sent].bytes) sent++;
    if (sent == sends) return;
    memmove(receive[i].data, send[sent++].data, receive[i].bytes);
  }
}

static int post_alone(cohort_comm *comm, cohort_channel channel, int sends, const cohort_message *send, int receives,
                      const cohort_message *receive) {
  (void)channel;
  exchange_alone(comm, sends, send, receives, receive);
  return 0;
}

static bool test_alone(cohort_comm *comm, int ticket) {
  (void)comm, (void)ticket;
  return true;
}

static void wait_alone(cohort_comm *comm, int ticket) { (void)comm, (void)ticket; }

static void idle_alone(cohort_comm *comm) {
  (void)comm;
  (void)sched_yield();
}

static void await_alone(cohort_comm *comm, const _Atomic uint64_t *flag, uint64_t value) {
  while (atomic_load_explicit(flag, memory_order_acquire) < value) idle_alone(comm);
}

static void abort_alone(cohort_comm *comm, int status) {
  (void)comm;
  exit(status);
}

cohort_comm cohort_comm_alone(void) {
  return (cohort_comm){.rank = 0,
                       .size = 1,
                       .hosts = 1,
                       .exchange = exchange_alone,
                       .post = post_alone,
                       .test = test_alone,
                       .wait = wait_alone,
                       .await = await_alone,
                       .idle = idle_alone,
                       .abort = abort_alone};
}

void cohort_comm_count(cohort_comm *comm, double now) {
  if (comm->flights && !comm->waits) comm->hidden += now - comm->counted;
  comm->counted = now;
}

void cohort_comm_wait_begins(cohort_comm *comm, double now) {
  cohort_comm_count(comm, now);
  comm->waits = true;
  comm->waits_since = now;
  if (comm->watched) atomic_store_explicit(&comm->watched->since, now, memory_order_release);
}

void cohort_comm_wait_ends(cohort_comm *comm) {
  if (comm->watched) atomic_store_explicit(&comm->watched->since, 0, memory_order_relaxed);
  cohort_comm_wakes(comm);
  comm->waits = false;
  comm->counted = cohort_clock_seconds();
}

/* Rank `distance` after this one, on the ring. */
static int after(const cohort_comm *comm, int distance) { return (comm->rank + distance) % comm->size; }
static int before(const cohort_comm *comm, int distance) { return (comm->rank + comm->size - distance) % comm->size; }

int64_t cohort_comm_agree(cohort_comm *comm, int64_t value) {
  cohort_comm_name(comm, "agree");
  /* Dissemination: after step k every rank knows the largest value of its 2^k predecessors; that some are counted twice
   * does not change a maximum. */
  for (int distance = 1; distance < comm->size; distance *= 2) {
    int64_t other = 0;
    const cohort_message send = {after(comm, distance), &value, sizeof value};
    const cohort_message receive = {before(comm, distance), &other, sizeof other};
    comm->exchange(comm, 1, &send, 1, &receive);
    if (other > value) value = other;
  }
  cohort_comm_name(comm, "exchange");
  return value;
}

void cohort_comm_barrier(cohort_comm *comm) {
  cohort_comm_name(comm, "barrier");
  for (int distance = 1; distance < comm->size; distance *= 2) {
    char here = 1, there = 0;
    const cohort_message send = {after(comm, distance), &here, 1};
    const cohort_message receive = {before(comm, distance), &there, 1};
    comm->exchange(comm, 1, &send, 1, &receive);
  }
  cohort_comm_name(comm, "exchange");
}

void cohort_comm_broadcast(cohort_comm *comm, int root, void *data, size_t bytes) {
  if (!bytes) return;
  cohort_comm_name(comm, "broadcast");
  /* Binomial tree on places counted from the root: place p hears from p without its lowest bit. */
  const int place = before(comm, root);
  int bit = 1;
  while (bit < comm->size && !(place & bit)) bit *= 2;
  if (place) {
    const cohort_message receive = {before(comm, bit), data, bytes};
    comm->exchange(comm, 0, NULL, 1, &receive);
  }
  for (bit /= 2; bit > 0; bit /= 2) {
    if (place + bit >= comm->size) continue;
    const cohort_message send = {after(comm, bit), data, bytes};
    comm->exchange(comm, 1, &send, 0, NULL);
  }
  cohort_comm_name(comm, "exchange");
}

enum { GATHER_BATCH = 32 };

void cohort_comm_gather_all(cohort_comm *comm, void *data, const size_t *offsets, const size_t *bytes) {
  cohort_comm_name(comm, "gather");
  char *base = data;
  const int rank = comm->rank;
  for (int start = 1; start < comm->size; start += GATHER_BATCH) {
    cohort_message send[GATHER_BATCH], receive[GATHER_BATCH];
    int count = 0;
    for (int distance = start; distance < comm->size && count < GATHER_BATCH; distance++, count++) {
      const int from = before(comm, distance);
      send[count] = (cohort_message){after(comm, distance), base + offsets[rank], bytes[rank]};
      receive[count] = (cohort_message){from, base + offsets[from], bytes[from]};
    }
    comm->exchange(comm, count, send, count, receive);
  }
  cohort_comm_name(comm, "exchange");
}

cohort_status cohort_comm_agree_error(cohort_comm *comm, cohort_status status, cohort_error *error) {
  /* One number orders by status first and, within it, lower ranks higher. */
  const int64_t width = INT64_C(1) << 32;
  const int64_t agreed = cohort_comm_agree(comm, status * width + (comm->size - 1 - comm->rank));
  const cohort_status worst = (cohort_status)(agreed / width);
  if (worst == COHORT_DONE) return COHORT_DONE;
  const int root = comm->size - 1 - (int)(agreed % width);
  cohort_error shared = {.status = worst, .text = ""};
  if (comm->rank == root && error) memcpy(shared.text, error->text, sizeof shared.text);
  cohort_comm_broadcast(comm, root, shared.text, sizeof shared.text);
  if (error) *error = shared;
  return worst;
}
