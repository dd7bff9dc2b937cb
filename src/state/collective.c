/* What travels between ranks: how it is laid out, and waiting for it. reduce_scatter.c and all_gather.c move it.
 *
 *   rows of lanes ---- reduce-scatter ----> sums, at the owners of pieces ---- update ----> new weights
 *   (every rank)       by tree of lanes     (one a shard group's replica)                     |
 *        ^                                                                                    |
 *        +------------------ parameters, before they are read <------- all-gather ------------+
 *
 *   one host:   owners read all rows in place                  others copy owners' pieces in place
 *   several:    relays sum their host's rows -> message ->     owners -> message -> relays -> copied in place
 *               the owner sums the hosts'
 *
 * Operations of a queue are numbered; each rank shows how far it is by counters that only grow. Every rank begins the
 * same operations in the same order. A sum is taken along the tree of lanes, so its bits do not depend on who holds
 * what. A rank receives (ranks - 1) / ranks of the vector each way; an operation allocates nothing. */
#include "state/collective.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/processor.h"
#include "kernel/kernel.h"
#include "state/collective_state.h"

static void list_hosts(cohort_collective *collective) {
  const cohort_comm *comm = collective->options.comm;
  const int ranks = comm->size, hosts = comm->hosts;
  int *number = cohort_allocate((size_t)ranks * sizeof *number),
      *local = cohort_allocate((size_t)hosts * sizeof *local);
  collective->host = comm->host ? comm->host[comm->rank] : 0;
  collective->host_peer = cohort_allocate((size_t)ranks * sizeof *collective->host_peer);
  collective->relay = cohort_allocate((size_t)hosts * (size_t)ranks * sizeof *collective->relay);
  for (int r = 0; r < ranks; r++) {
    const int host = comm->host ? comm->host[r] : 0;
    number[r] = local[host]++;
    if (host == collective->host && r != comm->rank) collective->host_peer[collective->host_peers++] = r;
  }
  for (int r = 0; r < ranks; r++) {
    const int host = comm->host ? comm->host[r] : 0;
    for (int owner = 0; owner < ranks; owner++)
      if (owner == r || ((comm->host ? comm->host[owner] : 0) != host && number[owner] % local[host] == number[r]))
        collective->relay[host * ranks + owner] = r;
  }
  free(local);
  free(number);
}

/* A message of an owner's ranges is the memory from the first to the last where it may be, padding between tensors
 * included; else they follow one another. */
static void place_ranges(cohort_collective *collective, int part) {
  const cohort_shard_group *members = collective->options.shards->members;
  enum { UNSEEN = SCATTERED - 1 };
  int64_t *begin = collective->begin + (size_t)part * (size_t)members->count;
  int64_t *span = collective->span + (size_t)part * (size_t)members->count;
  const owner_range *const first = &collective->owner_range[collective->first_range[part]];
  owner_range *const end = &collective->owner_range[collective->first_range[part + 1]];
  for (int h = 0; h < members->count; h++) begin[h] = UNSEEN;
  for (const owner_range *own = first; own < end; own++) {
    const int number = members->number_of[own->owner];
    if (own == first || own[-1].owner != own->owner) begin[number] = begin[number] == UNSEEN ? own->offset : SCATTERED;
  }
  for (owner_range *own = &collective->owner_range[collective->first_range[part]]; own < end; own++) {
    const int number = members->number_of[own->owner];
    own->place = begin[number] == SCATTERED ? span[number] : own->offset - begin[number];
    span[number] = own->place + own->elements;
  }
  for (int h = 0; h < members->count; h++)
    if (begin[h] == UNSEEN) begin[h] = SCATTERED;
}

static void list_ranges(cohort_collective *collective) {
  const cohort_shards *shards = collective->options.shards;
  const cohort_space *space = shards->space;
  const size_t spans = (size_t)(shards->parts + 1) * (size_t)shards->members->count;
  collective->owner_range = cohort_allocate((size_t)(space->pieces + 1) * sizeof *collective->owner_range);
  collective->first_range = cohort_allocate((size_t)(shards->parts + 1) * sizeof *collective->first_range);
  collective->span = cohort_allocate(spans * sizeof *collective->span);
  collective->begin = cohort_allocate(spans * sizeof *collective->begin);
  int ranges = 0;
  for (int i = 0; i < shards->parts; i++) {
    collective->first_range[i] = ranges;
    for (int p = shards->part[i].first_piece; p < shards->part[i].last_piece; p++) {
      const cohort_piece *piece = &space->piece[p];
      owner_range *last = ranges > collective->first_range[i] ? &collective->owner_range[ranges - 1] : NULL;
      const int64_t end = piece->offset + piece->elements;
      const int owner = owner_at(collective, shards->owner[p]);
      if (last && last->owner == owner && end - last->offset <= RANGE_ELEMENTS) {
        last->elements = end - last->offset;
        last->last_piece = p + 1;
      } else {
        collective->owner_range[ranges++] = (owner_range){p, p + 1, owner, piece->offset, piece->elements, 0};
      }
    }
    collective->first_range[i + 1] = ranges;
    place_ranges(collective, i);
  }
}

static bool is_before(cohort_subtree a, cohort_subtree b) {
  return (int64_t)a.index << a.level < (int64_t)b.index << b.level;
}

/* Puts a value into a list from left to right, with what belongs to it. */
static void insert(int *count, cohort_subtree *nodes, int *first, int *second, cohort_subtree node, int a, int b) {
  int at = (*count)++;
  for (; at > 0 && is_before(node, nodes[at - 1]); at--) {
    nodes[at] = nodes[at - 1];
    first[at] = first[at - 1];
    second[at] = second[at - 1];
  }
  nodes[at] = node;
  first[at] = a;
  second[at] = b;
}

static int rows_of(const cohort_collective *collective, int rank, cohort_subtree *nodes) {
  const cohort_collective_options *options = &collective->options;
  if (rank == options->comm->rank) {
    memcpy(nodes, options->node, (size_t)options->nodes * sizeof *nodes);
    return options->nodes;
  }
  int first, last;
  cohort_lanes_of(options->lanes, options->comm->size, rank, &first, &last);
  return cohort_lanes_subtrees(options->lanes, first, last, nodes);
}

static void list_values(cohort_collective *collective) {
  const cohort_comm *comm = collective->options.comm;
  const size_t most = (size_t)collective->options.lanes + COHORT_MAX_SUBTREES;
  cohort_subtree *nodes = cohort_allocate(3 * most * sizeof *nodes), *of_host = nodes + most, *joined = of_host + most;
  int *rank_of = cohort_allocate(2 * most * sizeof *rank_of), *index_of = rank_of + most;
  collective->leaf = cohort_allocate(most * sizeof *collective->leaf);
  collective->joined_node = cohort_allocate(most * sizeof *collective->joined_node);
  collective->all_node = cohort_allocate(most * sizeof *collective->all_node);
  collective->leaf_rank = cohort_allocate(most * sizeof *collective->leaf_rank);
  collective->leaf_index = cohort_allocate(most * sizeof *collective->leaf_index);
  collective->all_host = cohort_allocate(most * sizeof *collective->all_host);
  collective->all_index = cohort_allocate(most * sizeof *collective->all_index);
  collective->host_values = cohort_allocate((size_t)comm->hosts * sizeof *collective->host_values);
  collective->nodes_of = cohort_allocate((size_t)comm->size * sizeof *collective->nodes_of);
  for (int host = 0; host < comm->hosts; host++) {
    int leaves = 0;
    for (int r = 0; r < comm->size; r++) {
      if ((comm->host ? comm->host[r] : 0) != host) continue;
      collective->nodes_of[r] = rows_of(collective, r, nodes);
      for (int i = 0; i < collective->nodes_of[r]; i++) insert(&leaves, of_host, rank_of, index_of, nodes[i], r, i);
    }
    const int values = cohort_lanes_merge(collective->options.lanes, leaves, of_host, joined);
    for (int i = 0; i < values; i++)
      insert(&collective->all, collective->all_node, collective->all_host, collective->all_index, joined[i], host, i);
    collective->host_values[host] = values;
    if (host != collective->host) continue;
    collective->leaves = leaves;
    collective->joined = values;
    memcpy(collective->leaf, of_host, (size_t)leaves * sizeof *of_host);
    memcpy(collective->leaf_rank, rank_of, (size_t)leaves * sizeof *rank_of);
    memcpy(collective->leaf_index, index_of, (size_t)leaves * sizeof *index_of);
    memcpy(collective->joined_node, joined, (size_t)values * sizeof *joined);
  }
  collective->plain =
      collective->host_peers == 0 && collective->leaves == 1 && collective->options.shards->members->replicas == 1;
  free(rank_of);
  free(nodes);
}

int64_t cohort_collective_relay_places(const cohort_collective *collective, int part, int relay, int64_t *base) {
  const cohort_comm *comm = collective->options.comm;
  int64_t elements = 0;
  for (int i = 0; i < owners(collective); i++) {
    const int owner = owner_at(collective, i);
    if (!comm->host || comm->host[owner] == collective->host || relay_of(collective, collective->host, owner) != relay)
      continue;
    base[owner] = elements;
    if (!in_place(collective, part, owner)) elements += span_of(collective, part, owner);
  }
  return elements;
}

/* The most elements of any part: own, own that are packed, of the owners that `relay` stands for. */
typedef struct room {
  int64_t own, packed, relayed;
} room;

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static room room_for(const cohort_collective *collective, int relay) {
  room most = {0};
  for (int i = 0; i < collective->options.shards->parts; i++) {
    const int64_t own = span_of(collective, i, relay);
    most.own = larger(most.own, own);
    if (shares(collective) > 1 || begin_of(collective, i, relay) == SCATTERED) most.packed = larger(most.packed, own);
    most.relayed = larger(most.relayed, cohort_collective_relay_places(collective, i, relay, collective->base));
  }
  return most;
}

static size_t slot_bytes(const room *most) { return cohort_round_up((size_t)most->relayed * sizeof(float), 64); }

static size_t places_bytes(const cohort_collective *collective, int rank) {
  return cohort_round_up((size_t)collective->ring * (size_t)collective->nodes_of[rank] * sizeof(int64_t), 64);
}

static cohort_status share(cohort_collective *collective, cohort_error *error) {
  cohort_comm *comm = collective->options.comm;
  const size_t ranks = (size_t)comm->size;
  const room own = room_for(collective, comm->rank);
  const size_t bytes = sizeof(control) + places_bytes(collective, comm->rank) + SLOTS * slot_bytes(&own);
  COHORT_TRY(cohort_shared_memory_create(comm, bytes, "parts on their way", &collective->shared, error));
  collective->show = cohort_allocate(ranks * sizeof *collective->show);
  collective->place = cohort_allocate(ranks * sizeof *collective->place);
  collective->slot = cohort_allocate(ranks * sizeof *collective->slot);
  collective->slot_bytes = cohort_allocate(ranks * sizeof *collective->slot_bytes);
  for (int r = 0; r < comm->size; r++) {
    char *part = collective->shared->part[r];
    if (!part) continue;
    collective->show[r] = (control *)(void *)part;
    collective->place[r] = (int64_t *)(void *)(part + sizeof(control));
    collective->slot[r] = part + sizeof(control) + places_bytes(collective, r);
    const room other = room_for(collective, r);
    collective->slot_bytes[r] = slot_bytes(&other);
  }
  if (comm->hosts == 1) return COHORT_DONE;
  int others = 0;
  for (int h = 0; h < comm->hosts; h++) others += h == collective->host ? 0 : collective->host_values[h];
  for (int s = 0; s < SLOTS; s++) {
    void *memory[4] = {NULL, NULL, NULL, NULL};
    const int64_t elements[4] = {collective->plain ? 0 : own.own * collective->joined, own.relayed * collective->joined,
                                 own.own * others, own.packed};
    for (int i = 0; i < 4; i++)
      COHORT_TRY(cohort_memory_create((size_t)elements[i] * sizeof(float), "parts between hosts", &memory[i], error));
    collective->partial[s] = memory[0];
    collective->outgoing[s] = memory[1];
    collective->incoming[s] = memory[2];
    collective->packed[s] = memory[3];
  }
  return COHORT_DONE;
}

cohort_status cohort_collective_create(const cohort_collective_options *options, cohort_collective **out,
                                       cohort_error *error) {
  cohort_collective *collective = cohort_allocate(sizeof *collective);
  const size_t ranks = (size_t)options->comm->size;
  collective->options = *options;
  /* A step begins at most every part of every vector; the next begins after all are through. */
  collective->ring = 2 * (options->shards->parts + 1) * (options->vectors + 2);
  collective->reduction = cohort_allocate((size_t)collective->ring * sizeof *collective->reduction);
  collective->gathering = cohort_allocate((size_t)collective->ring * sizeof *collective->gathering);
  collective->squares = cohort_allocate((size_t)(options->shards->space->pieces + 1) * sizeof *collective->squares);
  collective->base = cohort_allocate(ranks * sizeof *collective->base);
  collective->message = cohort_allocate(2 * (ranks + (size_t)options->comm->hosts) * sizeof *collective->message);
  collective->dot = cohort_kernels_float32(cohort_processor_isa())->dot;
  list_hosts(collective);
  list_ranges(collective);
  list_values(collective);
  collective->options.node = NULL; /* the caller's, and only read above */
  const cohort_status status = cohort_comm_agree_error(options->comm, share(collective, error), error);
  if (status != COHORT_DONE) {
    cohort_collective_destroy(collective);
    return status;
  }
  *out = collective;
  return COHORT_DONE;
}

void cohort_collective_destroy(cohort_collective *collective) {
  if (!collective) return;
  cohort_shared_memory_destroy(collective->shared);
  for (int s = 0; s < SLOTS; s++) {
    cohort_memory_release(collective->partial[s]);
    cohort_memory_release(collective->outgoing[s]);
    cohort_memory_release(collective->incoming[s]);
    cohort_memory_release(collective->packed[s]);
  }
  free(collective->host_peer);
  free(collective->relay);
  free(collective->owner_range);
  free(collective->first_range);
  free(collective->span);
  free(collective->begin);
  free(collective->show);
  free(collective->place);
  free(collective->slot);
  free(collective->slot_bytes);
  free(collective->leaf);
  free(collective->joined_node);
  free(collective->all_node);
  free(collective->leaf_rank);
  free(collective->leaf_index);
  free(collective->all_host);
  free(collective->all_index);
  free(collective->host_values);
  free(collective->nodes_of);
  free(collective->base);
  free(collective->message);
  free(collective->reduction);
  free(collective->gathering);
  free(collective->squares);
  free(collective);
}

const double *cohort_collective_squares(const cohort_collective *collective) { return collective->squares; }

bool cohort_collective_progress(cohort_collective *collective, bool alone) {
  const cohort_team one = {1}, *team = alone ? &one : &collective->options.team;
  const bool reduced = cohort_collective_progress_reduce_scatter(collective, team);
  return cohort_collective_progress_all_gather(collective, team) || reduced;
}

static bool reduced(const cohort_collective *collective, uint64_t number) {
  return collective->reduce_done >= number && all_host_peers_past(collective, offsetof(control, rows_read), number);
}

static bool gathered(const cohort_collective *collective, uint64_t number) { return collective->gather_done >= number; }

/* Between hosts every reduction is followed by a gather. */
static bool summed(const cohort_collective *collective, uint64_t number) {
  if (!reduced(collective, number)) return false;
  if (!collective->options.allreduce || collective->options.comm->hosts == 1) return true;
  return gathered(collective, number) && all_host_peers_past(collective, offsetof(control, gathered), number);
}

/* Looks at host-peers' counters before a wait gives the core away: some microseconds. On a crowded core a peer that is
 * waited for hardly runs meanwhile. */
enum { SPINS = 500, CROWDED_SPINS = 1 };

/* Both queues move while one is waited for: another rank may need what this one has to pass on. */
static void wait_until(cohort_collective *collective, bool (*done)(const cohort_collective *, uint64_t),
                       uint64_t number, const char *waited_for) {
  cohort_comm *comm = collective->options.comm;
  const int looks = comm->hosts == 1 && !comm->crowded ? SPINS : CROWDED_SPINS;
  for (int idle = 0; !done(collective, number) && idle < looks;)
    if (!cohort_collective_progress(collective, false)) idle++;
  if (done(collective, number)) return;
  cohort_comm_name(comm, waited_for);
  const double start = cohort_clock_seconds();
  cohort_comm_wait_begins(comm, start);
  while (!done(collective, number))
    if (!cohort_collective_progress(collective, false)) comm->idle(comm);
  cohort_comm_wait_ends(comm);
  comm->seconds += cohort_clock_seconds() - start;
  cohort_comm_name(comm, "exchange");
}

void cohort_collective_rows_wait(cohort_collective *collective, uint64_t number) {
  wait_until(collective, reduced, number, "reduce");
}

void cohort_collective_sum_wait(cohort_collective *collective, uint64_t number) {
  wait_until(collective, summed, number, "reduce");
}

void cohort_collective_all_gather_wait(cohort_collective *collective, uint64_t number) {
  wait_until(collective, gathered, number, "gather");
}
