/* Where ranks may run, by hwloc, and what is wrong with it: pure functions of the ranks' places, so that every rank
 * gives the same warning and one prints it. Ranks squared comparisons of masks, at start. */
#include "mpi/place.h"

#include <hwloc.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = COHORT_PROCESSORS / 64 };

static bool has(const cohort_place *place, unsigned processor) {
  return processor < COHORT_PROCESSORS && (place->allowed[processor / 64] >> (processor % 64) & 1);
}

/* Appends the allowed hardware thread number `sibling` of every core; returns how many. */
static int take_siblings(hwloc_topology_t machine, const cohort_place *place, hwloc_obj_type_t kind, int sibling,
                         int *order) {
  int count = 0;
  for (hwloc_obj_t core = NULL; (core = hwloc_get_next_obj_by_type(machine, kind, core));) {
    int passed = 0;
    for (int p = hwloc_bitmap_first(core->cpuset); p >= 0; p = hwloc_bitmap_next(core->cpuset, p)) {
      if (has(place, (unsigned)p) && passed++ == sibling) order[count++] = p;
    }
  }
  return count;
}

/* How many objects of a kind hold allowed processors; `first` gets the number of the first. */
static int spanned(hwloc_topology_t machine, const cohort_place *place, hwloc_obj_type_t kind, int *first) {
  int count = 0;
  for (hwloc_obj_t object = NULL; (object = hwloc_get_next_obj_by_type(machine, kind, object));) {
    bool inside = false;
    for (int p = hwloc_bitmap_first(object->cpuset); p >= 0; p = hwloc_bitmap_next(object->cpuset, p))
      inside = inside || has(place, (unsigned)p);
    if (inside && count++ == 0) *first = (int)object->logical_index;
  }
  return count;
}

int cohort_place_read(const char *model, cohort_place *place, int order[COHORT_PROCESSORS]) {
  hwloc_topology_t machine;
  if (hwloc_topology_init(&machine) != 0) return 0;
  if ((model && hwloc_topology_set_synthetic(machine, model) != 0) || hwloc_topology_load(machine) != 0) {
    hwloc_topology_destroy(machine);
    return 0;
  }
  const hwloc_obj_type_t core = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
  place->host_processors = hwloc_bitmap_weight(hwloc_topology_get_allowed_cpuset(machine));
  place->machine_processors = hwloc_bitmap_weight(hwloc_topology_get_complete_cpuset(machine));
  place->host_cores = hwloc_get_nbobjs_by_type(machine, core);
  place->packages = spanned(machine, place, HWLOC_OBJ_PACKAGE, &place->package);
  place->nodes = spanned(machine, place, HWLOC_OBJ_NUMANODE, &place->node);
  place->cores = take_siblings(machine, place, core, 0, order);
  place->processors = place->cores;
  for (int sibling = 1, more = 1; more > 0; sibling++) {
    more = take_siblings(machine, place, core, sibling, order + place->processors);
    place->processors += more;
  }
  hwloc_topology_destroy(machine);
  return place->processors;
}

static bool same_host(const cohort_place *a, const cohort_place *b) { return strcmp(a->host, b->host) == 0; }

int cohort_place_common(const cohort_place *a, const cohort_place *b) {
  int count = 0;
  for (int w = 0; w < WORDS; w++) count += __builtin_popcountll(a->allowed[w] & b->allowed[w]);
  return count;
}

static bool meets(const cohort_place *a, const cohort_place *b) {
  return same_host(a, b) && cohort_place_common(a, b) > 0;
}

int cohort_place_share(const cohort_place *places, int ranks, int rank) {
  int sharers = 1;
  for (int r = 0; r < ranks; r++) sharers += r != rank && meets(&places[r], &places[rank]);
  const int share = places[rank].processors / sharers;
  return share > 1 ? share : 1;
}

bool cohort_place_is_own(const cohort_place *places, int ranks, int rank) {
  const cohort_place *const own = &places[rank];
  if (!own->narrowed || own->processors < own->threads) return false;
  for (int r = 0; r < ranks; r++)
    if (r != rank && meets(&places[r], own)) return false;
  return true;
}

typedef struct crowd {
  int ranks, threads, processors;
} crowd;

/* The ranks of this rank's host, or (`meeting`) those that may run where it may. */
static crowd gather(const cohort_place *places, int ranks, int rank, bool meeting) {
  crowd out = {0};
  cohort_place all = {0};
  for (int r = 0; r < ranks; r++) {
    const cohort_place *const other = &places[r];
    if (meeting ? r != rank && !meets(other, &places[rank]) : !same_host(other, &places[rank])) continue;
    out.ranks++;
    out.threads += other->threads;
    for (int w = 0; w < WORDS; w++) all.allowed[w] |= other->allowed[w];
  }
  out.processors = cohort_place_common(&all, &all);
  return out;
}

static bool is_first_of_host(const cohort_place *places, int rank) {
  for (int r = 0; r < rank; r++)
    if (same_host(&places[r], &places[rank])) return false;
  return true;
}

static bool is_narrow(const cohort_place *place) { return place->narrowed && place->threads > place->processors; }

static bool has_fault(cohort_place_fault fault, const cohort_place *places, int ranks, int rank, bool chosen) {
  const cohort_place *const own = &places[rank];
  if (own->processors == 0) return false; /* nothing is known of it */
  if (fault == COHORT_FAULT_NARROW) return is_narrow(own);
  if (fault == COHORT_FAULT_SHARED) {
    if (!own->narrowed || is_narrow(own)) return false;
    const crowd near = gather(places, ranks, rank, true), host = gather(places, ranks, rank, false);
    return near.ranks > 1 && near.threads > near.processors && host.threads <= host.processors;
  }
  if (!is_first_of_host(places, rank) || is_narrow(own)) return false;
  const crowd host = gather(places, ranks, rank, false);
  if (fault == COHORT_FAULT_CROWDED) return host.threads > host.processors;
  return own->started_by == COHORT_BY_MPIRUN && own->narrowed && !chosen && host.processors < own->host_processors;
}

static const char *advice(const cohort_place *place) {
  if (place->started_by == COHORT_BY_SRUN) return "give srun --cpus-per-task";
  if (place->started_by == COHORT_BY_MPIRUN)
    return "mpirun binds a rank to few cores by default: give it --bind-to none, or --map-by slot:PE=THREADS";
  return "set threads, or let it run on more";
}

bool cohort_place_complain(cohort_place_fault fault, const cohort_place *places, int ranks, bool chosen, char *out,
                           size_t room) {
  int first = -1, found = 0;
  for (int r = 0; r < ranks; r++) {
    if (!has_fault(fault, places, ranks, r, chosen)) continue;
    if (found++ == 0) first = r;
  }
  if (!found) return false;
  const cohort_place *const place = &places[first];
  const crowd host = gather(places, ranks, first, false), near = gather(places, ranks, first, true);
  char more[48] = "";
  const char *const what = fault == COHORT_FAULT_NARROW || fault == COHORT_FAULT_SHARED ? "rank" : "host";
  if (found > 1) (void)snprintf(more, sizeof more, " (and so for %d more %ss)", found - 1, what);
  switch (fault) {
    case COHORT_FAULT_NARROW:
      (void)snprintf(out, room, "rank %d on %s has %d threads but was given %d of %d processors%s; %s", first,
                     place->host, place->threads, place->processors, place->host_processors, more, advice(place));
      return true;
    case COHORT_FAULT_CROWDED:
      (void)snprintf(out, room,
                     "host %s: %d ranks with %d threads together may use %d of its %d processors%s; start fewer ranks "
                     "there, set threads=%d%s%s",
                     place->host, host.ranks, host.threads, host.processors, place->host_processors, more,
                     host.processors > host.ranks ? host.processors / host.ranks : 1,
                     place->narrowed ? " or let them run on more: " : "", place->narrowed ? advice(place) : "");
      return true;
    case COHORT_FAULT_SHARED:
      (void)snprintf(out, room,
                     "rank %d on %s was given %d processors that other ranks were given too: %d threads on %d%s; %s",
                     first, place->host, place->processors, near.threads, near.processors, more, advice(place));
      return true;
    default:
      (void)snprintf(out, room,
                     "host %s: mpirun lets its %d ranks run on %d of %d processors, %d threads in all%s; give mpirun "
                     "--bind-to none, or --map-by slot:PE=%d",
                     place->host, host.ranks, host.processors, place->host_processors, host.threads, more,
                     place->host_processors / host.ranks > 1 ? place->host_processors / host.ranks : 1);
      return true;
  }
}

void cohort_place_numbers(const cohort_place *place, char *out, size_t room) {
  size_t used = 0;
  out[0] = '\0';
  for (unsigned p = 0; p < COHORT_PROCESSORS; p++) {
    if (!has(place, p)) continue;
    unsigned last = p;
    while (has(place, last + 1)) last++;
    char piece[32];
    const int length = last > p ? snprintf(piece, sizeof piece, "%s%u-%u", used ? "," : "", p, last)
                                : snprintf(piece, sizeof piece, "%s%u", used ? "," : "", p);
    if (used + (size_t)length + 3 > room) {
      (void)snprintf(out + used, room - used, "..");
      return;
    }
    memcpy(out + used, piece, (size_t)length + 1);
    used += (size_t)length;
    p = last;
  }
}
