#include "train/transfer.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/processor.h"
#include "kernel/kernel.h"
#include "train/transfer_state.h"

cohort_status cohort_vector_create(cohort_comm *comm, int64_t elements, const char *purpose, cohort_vector *out,
                                   cohort_error *error) {
  COHORT_TRY(cohort_segment_create(comm, (size_t)elements * sizeof(float), purpose, &out->segment, error));
  out->values = (float *)(void *)out->segment->part[comm->rank];
  return COHORT_DONE;
}

void cohort_vector_release(cohort_vector *vector) {
  cohort_segment_destroy(vector->segment);
  *vector = (cohort_vector){0};
}

static void list_hosts(cohort_transfer *transfer) {
  const cohort_comm *comm = transfer->plan.comm;
  const int ranks = comm->size, hosts = comm->hosts;
  int *number = cohort_allocate((size_t)ranks * sizeof *number),
      *local = cohort_allocate((size_t)hosts * sizeof *local);
  transfer->host = comm->host ? comm->host[comm->rank] : 0;
  transfer->mate = cohort_allocate((size_t)ranks * sizeof *transfer->mate);
  transfer->agent = cohort_allocate((size_t)hosts * (size_t)ranks * sizeof *transfer->agent);
  for (int r = 0; r < ranks; r++) {
    const int host = comm->host ? comm->host[r] : 0;
    number[r] = local[host]++;
    if (host == transfer->host && r != comm->rank) transfer->mate[transfer->mates++] = r;
  }
  for (int r = 0; r < ranks; r++) {
    const int host = comm->host ? comm->host[r] : 0;
    for (int owner = 0; owner < ranks; owner++)
      if (owner == r || ((comm->host ? comm->host[owner] : 0) != host && number[owner] % local[host] == number[r]))
        transfer->agent[host * ranks + owner] = r;
  }
  free(local);
  free(number);
}

/* A message of an owner's runs is the memory from the first to the last where it may be, padding between tensors
 * included; else they follow one another. */
static void place_runs(cohort_transfer *transfer, int part) {
  const cohort_holders *holders = transfer->plan.shards->holders;
  enum { UNSEEN = APART - 1 };
  int64_t *begin = transfer->begin + (size_t)part * (size_t)holders->count;
  int64_t *span = transfer->span + (size_t)part * (size_t)holders->count;
  const run *const first = &transfer->run[transfer->first_run[part]];
  run *const end = &transfer->run[transfer->first_run[part + 1]];
  for (int h = 0; h < holders->count; h++) begin[h] = UNSEEN;
  for (const run *own = first; own < end; own++) {
    const int number = holders->number_of[own->owner];
    if (own == first || own[-1].owner != own->owner) begin[number] = begin[number] == UNSEEN ? own->offset : APART;
  }
  for (run *own = &transfer->run[transfer->first_run[part]]; own < end; own++) {
    const int number = holders->number_of[own->owner];
    own->place = begin[number] == APART ? span[number] : own->offset - begin[number];
    span[number] = own->place + own->elements;
  }
  for (int h = 0; h < holders->count; h++)
    if (begin[h] == UNSEEN) begin[h] = APART;
}

static void list_runs(cohort_transfer *transfer) {
  const cohort_shards *shards = transfer->plan.shards;
  const cohort_space *space = shards->space;
  const size_t spans = (size_t)(shards->parts + 1) * (size_t)shards->holders->count;
  transfer->run = cohort_allocate((size_t)(space->pieces + 1) * sizeof *transfer->run);
  transfer->first_run = cohort_allocate((size_t)(shards->parts + 1) * sizeof *transfer->first_run);
  transfer->span = cohort_allocate(spans * sizeof *transfer->span);
  transfer->begin = cohort_allocate(spans * sizeof *transfer->begin);
  int runs = 0;
  for (int i = 0; i < shards->parts; i++) {
    transfer->first_run[i] = runs;
    for (int p = shards->part[i].first_piece; p < shards->part[i].last_piece; p++) {
      const cohort_piece *piece = &space->piece[p];
      run *last = runs > transfer->first_run[i] ? &transfer->run[runs - 1] : NULL;
      const int64_t end = piece->offset + piece->elements;
      const int owner = owner_at(transfer, shards->owner[p]);
      if (last && last->owner == owner && end - last->offset <= RUN_ELEMENTS) {
        last->elements = end - last->offset;
        last->last_piece = p + 1;
      } else {
        transfer->run[runs++] = (run){p, p + 1, owner, piece->offset, piece->elements, 0};
      }
    }
    transfer->first_run[i + 1] = runs;
    place_runs(transfer, i);
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

static int rows_of(const cohort_transfer *transfer, int rank, cohort_subtree *nodes) {
  const cohort_transfer_plan *plan = &transfer->plan;
  if (rank == plan->comm->rank) {
    memcpy(nodes, plan->node, (size_t)plan->nodes * sizeof *nodes);
    return plan->nodes;
  }
  int first, last;
  cohort_lanes_of(plan->lanes, plan->comm->size, rank, &first, &last);
  return cohort_lanes_subtrees(plan->lanes, first, last, nodes);
}

static void list_values(cohort_transfer *transfer) {
  const cohort_comm *comm = transfer->plan.comm;
  const size_t most = (size_t)transfer->plan.lanes + COHORT_MAX_SUBTREES;
  cohort_subtree *nodes = cohort_allocate(3 * most * sizeof *nodes), *of_host = nodes + most, *joined = of_host + most;
  int *rank_of = cohort_allocate(2 * most * sizeof *rank_of), *index_of = rank_of + most;
  transfer->leaf = cohort_allocate(most * sizeof *transfer->leaf);
  transfer->joined_node = cohort_allocate(most * sizeof *transfer->joined_node);
  transfer->all_node = cohort_allocate(most * sizeof *transfer->all_node);
  transfer->leaf_rank = cohort_allocate(most * sizeof *transfer->leaf_rank);
  transfer->leaf_index = cohort_allocate(most * sizeof *transfer->leaf_index);
  transfer->all_host = cohort_allocate(most * sizeof *transfer->all_host);
  transfer->all_index = cohort_allocate(most * sizeof *transfer->all_index);
  transfer->host_values = cohort_allocate((size_t)comm->hosts * sizeof *transfer->host_values);
  transfer->nodes_of = cohort_allocate((size_t)comm->size * sizeof *transfer->nodes_of);
  for (int host = 0; host < comm->hosts; host++) {
    int leaves = 0;
    for (int r = 0; r < comm->size; r++) {
      if ((comm->host ? comm->host[r] : 0) != host) continue;
      transfer->nodes_of[r] = rows_of(transfer, r, nodes);
      for (int i = 0; i < transfer->nodes_of[r]; i++) insert(&leaves, of_host, rank_of, index_of, nodes[i], r, i);
    }
    const int values = cohort_lanes_merge(transfer->plan.lanes, leaves, of_host, joined);
    for (int i = 0; i < values; i++)
      insert(&transfer->all, transfer->all_node, transfer->all_host, transfer->all_index, joined[i], host, i);
    transfer->host_values[host] = values;
    if (host != transfer->host) continue;
    transfer->leaves = leaves;
    transfer->joined = values;
    memcpy(transfer->leaf, of_host, (size_t)leaves * sizeof *of_host);
    memcpy(transfer->leaf_rank, rank_of, (size_t)leaves * sizeof *rank_of);
    memcpy(transfer->leaf_index, index_of, (size_t)leaves * sizeof *index_of);
    memcpy(transfer->joined_node, joined, (size_t)values * sizeof *joined);
  }
  transfer->plain = transfer->mates == 0 && transfer->leaves == 1 && transfer->plan.shards->holders->copies == 1;
  free(rank_of);
  free(nodes);
}

int64_t cohort_transfer_relay_places(const cohort_transfer *transfer, int part, int agent, int64_t *base) {
  const cohort_comm *comm = transfer->plan.comm;
  int64_t elements = 0;
  for (int i = 0; i < owners(transfer); i++) {
    const int owner = owner_at(transfer, i);
    if (!comm->host || comm->host[owner] == transfer->host || agent_of(transfer, transfer->host, owner) != agent)
      continue;
    base[owner] = elements;
    if (!in_place(transfer, part, owner)) elements += span_of(transfer, part, owner);
  }
  return elements;
}

/* The most elements of any part: own, own that are packed, of the owners that `agent` stands for. */
typedef struct room {
  int64_t own, packed, relayed;
} room;

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static room room_for(const cohort_transfer *transfer, int agent) {
  room most = {0};
  for (int i = 0; i < transfer->plan.shards->parts; i++) {
    const int64_t own = span_of(transfer, i, agent);
    most.own = larger(most.own, own);
    if (shares(transfer) > 1 || begin_of(transfer, i, agent) == APART) most.packed = larger(most.packed, own);
    most.relayed = larger(most.relayed, cohort_transfer_relay_places(transfer, i, agent, transfer->base));
  }
  return most;
}

static size_t slot_bytes(const room *most) { return cohort_round_up((size_t)most->relayed * sizeof(float), 64); }

static size_t places_bytes(const cohort_transfer *transfer, int rank) {
  return cohort_round_up((size_t)transfer->ring * (size_t)transfer->nodes_of[rank] * sizeof(int64_t), 64);
}

static cohort_status share(cohort_transfer *transfer, cohort_error *error) {
  cohort_comm *comm = transfer->plan.comm;
  const size_t ranks = (size_t)comm->size;
  const room own = room_for(transfer, comm->rank);
  const size_t bytes = sizeof(control) + places_bytes(transfer, comm->rank) + SLOTS * slot_bytes(&own);
  COHORT_TRY(cohort_segment_create(comm, bytes, "parts on their way", &transfer->shared, error));
  transfer->show = cohort_allocate(ranks * sizeof *transfer->show);
  transfer->place = cohort_allocate(ranks * sizeof *transfer->place);
  transfer->slot = cohort_allocate(ranks * sizeof *transfer->slot);
  transfer->slot_bytes = cohort_allocate(ranks * sizeof *transfer->slot_bytes);
  for (int r = 0; r < comm->size; r++) {
    char *part = transfer->shared->part[r];
    if (!part) continue;
    transfer->show[r] = (control *)(void *)part;
    transfer->place[r] = (int64_t *)(void *)(part + sizeof(control));
    transfer->slot[r] = part + sizeof(control) + places_bytes(transfer, r);
    const room other = room_for(transfer, r);
    transfer->slot_bytes[r] = slot_bytes(&other);
  }
  if (comm->hosts == 1) return COHORT_DONE;
  int others = 0;
  for (int h = 0; h < comm->hosts; h++) others += h == transfer->host ? 0 : transfer->host_values[h];
  for (int s = 0; s < SLOTS; s++) {
    void *memory[4] = {NULL, NULL, NULL, NULL};
    const int64_t elements[4] = {transfer->plain ? 0 : own.own * transfer->joined, own.relayed * transfer->joined,
                                 own.own * others, own.packed};
    for (int i = 0; i < 4; i++)
      COHORT_TRY(cohort_memory_create((size_t)elements[i] * sizeof(float), "parts between hosts", &memory[i], error));
    transfer->partial[s] = memory[0];
    transfer->outgoing[s] = memory[1];
    transfer->incoming[s] = memory[2];
    transfer->packed[s] = memory[3];
  }
  return COHORT_DONE;
}

cohort_status cohort_transfer_create(const cohort_transfer_plan *plan, cohort_transfer **out, cohort_error *error) {
  cohort_transfer *transfer = cohort_allocate(sizeof *transfer);
  const size_t ranks = (size_t)plan->comm->size;
  transfer->plan = *plan;
  /* A step begins at most every part of every vector; the next begins after all are through. */
  transfer->ring = 2 * (plan->shards->parts + 1) * (plan->vectors + 2);
  transfer->reduction = cohort_allocate((size_t)transfer->ring * sizeof *transfer->reduction);
  transfer->gathering = cohort_allocate((size_t)transfer->ring * sizeof *transfer->gathering);
  transfer->squares = cohort_allocate((size_t)(plan->shards->space->pieces + 1) * sizeof *transfer->squares);
  transfer->base = cohort_allocate(ranks * sizeof *transfer->base);
  transfer->message = cohort_allocate(2 * (ranks + (size_t)plan->comm->hosts) * sizeof *transfer->message);
  transfer->dot = cohort_kernels_float32(cohort_processor_isa())->dot;
  list_hosts(transfer);
  list_runs(transfer);
  list_values(transfer);
  transfer->plan.node = NULL; /* the caller's, and only read above */
  const cohort_status status = cohort_comm_agree_error(plan->comm, share(transfer, error), error);
  if (status != COHORT_DONE) {
    cohort_transfer_destroy(transfer);
    return status;
  }
  *out = transfer;
  return COHORT_DONE;
}

void cohort_transfer_destroy(cohort_transfer *transfer) {
  if (!transfer) return;
  cohort_segment_destroy(transfer->shared);
  for (int s = 0; s < SLOTS; s++) {
    cohort_memory_release(transfer->partial[s]);
    cohort_memory_release(transfer->outgoing[s]);
    cohort_memory_release(transfer->incoming[s]);
    cohort_memory_release(transfer->packed[s]);
  }
  free(transfer->mate);
  free(transfer->agent);
  free(transfer->run);
  free(transfer->first_run);
  free(transfer->span);
  free(transfer->begin);
  free(transfer->show);
  free(transfer->place);
  free(transfer->slot);
  free(transfer->slot_bytes);
  free(transfer->leaf);
  free(transfer->joined_node);
  free(transfer->all_node);
  free(transfer->leaf_rank);
  free(transfer->leaf_index);
  free(transfer->all_host);
  free(transfer->all_index);
  free(transfer->host_values);
  free(transfer->nodes_of);
  free(transfer->base);
  free(transfer->message);
  free(transfer->reduction);
  free(transfer->gathering);
  free(transfer->squares);
  free(transfer);
}

const double *cohort_transfer_squares(const cohort_transfer *transfer) { return transfer->squares; }

bool cohort_transfer_progress(cohort_transfer *transfer, bool alone) {
  const cohort_team one = {1}, *team = alone ? &one : &transfer->plan.team;
  const bool reduced = cohort_transfer_progress_reduce(transfer, team);
  return cohort_transfer_progress_gather(transfer, team) || reduced;
}

static bool reduced(const cohort_transfer *transfer, uint64_t number) {
  return transfer->reduce_done >= number && all_mates_past(transfer, offsetof(control, rows_read), number);
}

static bool gathered(const cohort_transfer *transfer, uint64_t number) { return transfer->gather_done >= number; }

/* Between hosts every reduction is followed by a gather. */
static bool summed(const cohort_transfer *transfer, uint64_t number) {
  if (!reduced(transfer, number)) return false;
  if (!transfer->plan.everywhere || transfer->plan.comm->hosts == 1) return true;
  return gathered(transfer, number) && all_mates_past(transfer, offsetof(control, gathered), number);
}

/* Looks at host-mates' counters before a wait gives the core away: some microseconds. */
enum { SPINS = 500 };

/* Both queues move while one is waited for: another rank may need what this one has to pass on. */
static void wait_until(cohort_transfer *transfer, bool (*done)(const cohort_transfer *, uint64_t), uint64_t number,
                       const char *collective) {
  cohort_comm *comm = transfer->plan.comm;
  const int looks = comm->hosts == 1 ? SPINS : 1;
  for (int idle = 0; !done(transfer, number) && idle < looks;)
    if (!cohort_transfer_progress(transfer, false)) idle++;
  if (done(transfer, number)) return;
  cohort_comm_name(comm, collective);
  const double start = cohort_clock_seconds();
  cohort_comm_wait_begins(comm, start);
  while (!done(transfer, number))
    if (!cohort_transfer_progress(transfer, false)) comm->idle(comm);
  cohort_comm_wait_ends(comm);
  comm->seconds += cohort_clock_seconds() - start;
  cohort_comm_name(comm, "exchange");
}

void cohort_transfer_reduce_wait(cohort_transfer *transfer, uint64_t number) {
  wait_until(transfer, reduced, number, "reduce");
}

void cohort_transfer_sum_wait(cohort_transfer *transfer, uint64_t number) {
  wait_until(transfer, summed, number, "reduce");
}

void cohort_transfer_gather_wait(cohort_transfer *transfer, uint64_t number) {
  wait_until(transfer, gathered, number, "gather");
}
