/* The map of ranks on hosts and processors, threads for each rank, and binding. Read once at start, gathered, printed;
 * nothing later asks the system again. */
#include "mpi/topology.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lanes.h"
#include "base/memory.h"
#include "base/team.h"
#include "mpi/place.h"
#include "mpi/world.h"

enum { ROWS = 40, LINE_BYTES = 1024, SET_BYTES = 20 };

struct cohort_topology {
  int rank, ranks;
  bool chosen, bind;
  cohort_place *place; /* [ranks] */
};

/* mpirun inside a Slurm job carries Slurm's variables too; srun with PMIx sets none of Open MPI's before MPI_Init. */
static cohort_launcher launcher(void) {
  if (getenv("OMPI_COMM_WORLD_LOCAL_SIZE") && getenv("OMPI_MCA_orte_hnp_uri")) return COHORT_BY_MPIRUN;
  return getenv("SLURM_PROCID") ? COHORT_BY_SRUN : getenv("OMPI_COMM_WORLD_SIZE") ? COHORT_BY_MPIRUN : COHORT_BY_HAND;
}

/* Whether whoever started this process may run on more than it: a set that both share was meant for others too. Slurm's
 * parent lives in the same allocation, which is the job's alone. */
static bool is_narrowed(const cohort_place *own, const cpu_set_t *set) {
  if (own->started_by == COHORT_BY_SRUN) return own->processors < own->machine_processors;
  if (own->processors >= own->host_processors) return false;
  cpu_set_t parent;
  return sched_getaffinity(getppid(), sizeof parent, &parent) == 0 && !CPU_EQUAL(&parent, set);
}

static int describe_own(const cohort_comm *comm, cohort_place *own, int order[COHORT_PROCESSORS]) {
  (void)snprintf(own->host, sizeof own->host, "%.63s", cohort_world_host(comm, comm->rank));
  if (!own->host[0] && gethostname(own->host, sizeof own->host - 1) != 0) (void)snprintf(own->host, 8, "unknown");
  own->started_by = (int)launcher();
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 0; /* more processors than the set has room for */
  for (unsigned p = 0; p < COHORT_PROCESSORS && p < CPU_SETSIZE; p++)
    if (CPU_ISSET(p, &set)) own->allowed[p / 64] |= UINT64_C(1) << (p % 64);
  const int found = cohort_place_read(NULL, own, order);
  own->narrowed = found > 0 && is_narrowed(own, &set);
  return found;
}

static void gather(cohort_comm *comm, cohort_place *places) {
  const size_t ranks = (size_t)comm->size;
  size_t *const offsets = cohort_allocate(2 * ranks * sizeof *offsets), *const bytes = offsets + ranks;
  for (size_t r = 0; r < ranks; r++) {
    offsets[r] = r * sizeof *places;
    bytes[r] = sizeof *places;
  }
  cohort_comm_gather_all(comm, places, offsets, bytes);
  free(offsets);
}

cohort_topology *cohort_topology_create(cohort_comm *comm, int64_t threads, bool bind) {
  cohort_topology *const own = cohort_allocate(sizeof *own);
  *own = (cohort_topology){.rank = comm->rank, .ranks = comm->size, .chosen = threads > 0, .bind = bind};
  own->place = cohort_allocate((size_t)own->ranks * sizeof *own->place);
  int order[COHORT_PROCESSORS];
  const int found = describe_own(comm, &own->place[own->rank], order);
  gather(comm, own->place);
  for (int r = 0; r < own->ranks; r++)
    own->place[r].threads = threads > 0 ? (int)threads : cohort_place_share(own->place, own->ranks, r);
  for (int r = 0; r < own->ranks; r++)
    own->place[r].bound = bind && cohort_place_is_own(own->place, own->ranks, r) &&
                          (own->place[r].threads > 1 || own->place[r].processors == 1);
  const cohort_place *const mine = &own->place[own->rank];
  if (mine->bound && mine->threads > 1 && mine->threads <= found) {
    cohort_binding binding = {.count = mine->threads};
    memcpy(binding.processor, order, (size_t)mine->threads * sizeof *order);
    cohort_team_bind(&binding);
  }
  return own;
}

void cohort_topology_destroy(cohort_topology *topology) {
  if (!topology) return;
  free(topology->place);
  free(topology);
}

int cohort_topology_threads(const cohort_topology *topology) { return topology->place[topology->rank].threads; }

static void print_row(const cohort_place *place, int rank, int lanes, int ranks, int width, const cohort_log *log) {
  char set[SET_BYTES], given[24], of_lanes[24], parts[32];
  int first, last;
  cohort_lanes_of(lanes, ranks, rank, &first, &last);
  cohort_place_numbers(place, set, sizeof set);
  (void)snprintf(given, sizeof given, "%d of %d", place->cores, place->host_cores);
  if (last > first)
    (void)snprintf(of_lanes, sizeof of_lanes, last - first > 1 ? "%d-%d" : "%d", first, last - 1);
  else
    (void)snprintf(of_lanes, sizeof of_lanes, "-");
  (void)snprintf(parts, sizeof parts, "%d%s/%d%s", place->package, place->packages > 1 ? "+" : "", place->node,
                 place->nodes > 1 ? "+" : "");
  cohort_log_line(log, "%5d  %-*s  %-10s  %-*s  %-12s  %7d  %-5s  %s", rank, width, place->host, given, SET_BYTES - 1,
                  set, parts, place->threads, place->bound ? "yes" : "no", of_lanes);
}

static void print_binding(const cohort_topology *topology, const cohort_log *log) {
  int bound = 0, free_to_run = 0;
  for (int r = 0; r < topology->ranks; r++) {
    bound += topology->place[r].bound;
    free_to_run += !topology->place[r].narrowed;
  }
  if (!topology->bind)
    cohort_log_line(log, "threads are not bound (bind: none)");
  else if (bound == topology->ranks)
    cohort_log_line(log, "threads are bound to one processor each");
  else if (free_to_run == topology->ranks)
    cohort_log_line(log, "threads are not bound: the ranks may run everywhere, where other jobs may run too");
  else
    cohort_log_line(log,
                    "threads of %d of %d ranks are bound: the others have one thread, or processors that are shared or "
                    "too few",
                    bound, topology->ranks);
}

void cohort_topology_print(const cohort_topology *topology, int lanes, const cohort_log *log) {
  int width = 4;
  for (int r = 0; r < topology->ranks; r++) {
    const int length = (int)strlen(topology->place[r].host);
    if (length > width) width = length;
  }
  cohort_log_line(log, "%5s  %-*s  %-10s  %-*s  %-12s  %7s  %-5s  %s", "rank", width, "host", "cores", SET_BYTES - 1,
                  "processors", "package/numa", "threads", "bound", "lanes");
  for (int r = 0; r < topology->ranks && r < ROWS; r++)
    print_row(&topology->place[r], r, lanes, topology->ranks, width, log);
  if (topology->ranks > ROWS) cohort_log_line(log, "  ... and %d more ranks", topology->ranks - ROWS);
  print_binding(topology, log);
  for (int fault = 0; fault < COHORT_FAULTS; fault++) {
    char line[LINE_BYTES];
    if (cohort_place_complain((cohort_place_fault)fault, topology->place, topology->ranks, topology->chosen, line,
                              sizeof line))
      cohort_log_warning(log, "%s", line);
  }
}
