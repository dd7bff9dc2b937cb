/* Run by mpirun: prints the map of ranks and what is wrong with it for who looks at it, and checks that this rank's
 * threads stay where the launcher put the rank. Argument: threads of a rank (0: its share). Exit status 0 when all
 * holds. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/team.h"
#include "mpi/topology.h"
#include "mpi/world.h"

typedef struct looked {
  cpu_set_t given;
  _Atomic int outside;
} looked;

static void look(void *argument, int64_t tile) {
  (void)tile;
  looked *const own = argument;
  cpu_set_t here, both;
  if (sched_getaffinity(0, sizeof here, &here) != 0) own->outside++;
  CPU_AND(&both, &here, &own->given);
  own->outside += !CPU_EQUAL(&both, &here);
}

int main(int count, char **arguments) {
  cohort_comm comm;
  cohort_error error = {0};
  if (count != 2 || cohort_world_open(&comm, &error) != COHORT_DONE) {
    fprintf(stderr, "usage: test_topology THREADS\n%s\n", error.text);
    return 1;
  }
  looked own = {.outside = 0};
  CPU_ZERO(&own.given);
  if (sched_getaffinity(0, sizeof own.given, &own.given) != 0) own.outside++;
  cohort_topology *const topology = cohort_topology_create(&comm, atoi(arguments[1]), true);
  const cohort_log log = {.speaks = comm.rank == 0};
  if (comm.rank == 0) cohort_topology_print(topology, 4, &log);
  const cohort_team team = {cohort_topology_threads(topology)};
  for (int round = 0; round < 3; round++) cohort_team_run(&team, 100, look, &own);
  const int64_t outside = cohort_comm_agree(&comm, own.outside);
  cohort_topology_destroy(topology);
  cohort_world_close(&comm);
  return outside != 0;
}
