/* Where one rank runs, and what all ranks' places together mean. */
#ifndef COHORT_MPI_PLACE_H
#define COHORT_MPI_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { COHORT_PROCESSORS = 1024, COHORT_NAME_BYTES = 64 };

/* Plain bytes that ranks exchange. Processors are what the system numbers: hardware threads of cores. */
typedef struct cohort_place {
  char host[COHORT_NAME_BYTES];
  int processors, cores;           /* this rank may run on */
  int host_processors, host_cores; /* a rank of its host could be given */
  int machine_processors;          /* some belong to other jobs */
  int package, packages;           /* the first of them, and how many its processors lie in */
  int node, nodes;                 /* of memory, likewise */
  int threads;
  int started_by; /* cohort_launcher */
  bool narrowed;  /* whoever started it may run on more */
  bool bound;     /* its threads are held to one processor each */
  uint64_t allowed[COHORT_PROCESSORS / 64];
} cohort_place;

typedef enum { COHORT_BY_HAND, COHORT_BY_MPIRUN, COHORT_BY_SRUN } cohort_launcher;

/* Reads the hardware of this machine, or of `model` (hwloc's synthetic description) instead, for a process that may run
 * on place->allowed; fills the fields from processors to nodes. `order` gets the allowed processors, first one of every
 * core, then the second of every core and so on: as many as it returns. */
int cohort_place_read(const char *model, cohort_place *place, int order[COHORT_PROCESSORS]);

/* Processors that both may run on; of one host. */
int cohort_place_common(const cohort_place *a, const cohort_place *b);
/* How many threads suit rank `rank` of `ranks`: its processors shared with the ranks that may run there too. */
int cohort_place_share(const cohort_place *places, int ranks, int rank);
/* Whether its threads can be bound without getting into another's way. */
bool cohort_place_is_own(const cohort_place *places, int ranks, int rank);

/* What can be wrong: a rank has more threads than it was given processors; a host's ranks have more threads than they
 * may use; ranks that were given the same processors have; mpirun has bound ranks and left processors idle. */
typedef enum {
  COHORT_FAULT_NARROW,
  COHORT_FAULT_CROWDED,
  COHORT_FAULT_SHARED,
  COHORT_FAULT_IDLE,
  COHORT_FAULTS
} cohort_place_fault;

/* A sentence about the first rank with the fault, of how many, and what to do; false when there is none. `chosen`: the
 * config sets threads. */
bool cohort_place_complain(cohort_place_fault fault, const cohort_place *places, int ranks, bool chosen, char *out,
                           size_t room);

/* "0-3,8": numbers of the set, with ".." at the end when there is no room for all. */
void cohort_place_numbers(const cohort_place *place, char *out, size_t room);

#endif
