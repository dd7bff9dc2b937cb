/* Measures the network between two hosts: messages there and back, the fastest of a few rounds. Some milliseconds, once
 * a run; all ranks get the same figures, so all choose alike. */
#include "base/link.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"

enum { LONG = 1 << 20, SMALL_ROUNDS = 16, LONG_ROUNDS = 4 };

/* Seconds one way of the fastest of some rounds there and back. */
static double fastest(cohort_comm *comm, int other, bool first, char *data, size_t bytes, int rounds) {
  double least = 1e9;
  for (int i = 0; i < rounds; i++) {
    const cohort_message message = {other, data, bytes};
    const double start = cohort_clock_seconds();
    for (int turn = 0; turn < 2; turn++) {
      const bool sends = first == (turn == 0);
      comm->exchange(comm, sends, &message, !sends, &message);
    }
    const double seconds = (cohort_clock_seconds() - start) / 2;
    if (seconds < least) least = seconds;
  }
  return least;
}

cohort_link cohort_link_measure(cohort_comm *comm) {
  cohort_link link = {0};
  if (comm->hosts < 2) return link;
  int partner = 0;
  while (comm->host[partner] == comm->host[0]) partner++;
  if (comm->rank == 0 || comm->rank == partner) {
    char *data = cohort_allocate(LONG);
    const int other = comm->rank == 0 ? partner : 0;
    link.latency = fastest(comm, other, comm->rank == 0, data, 8, SMALL_ROUNDS);
    const double seconds = fastest(comm, other, comm->rank == 0, data, LONG, LONG_ROUNDS);
    link.bandwidth = LONG / seconds;
    free(data);
  }
  cohort_comm_broadcast(comm, 0, &link, sizeof link);
  return link;
}
