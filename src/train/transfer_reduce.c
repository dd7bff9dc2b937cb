/* Sums of gradients along the tree of lanes, to the owners of their pieces. */
#include <stddef.h>
#include <string.h>

#include "train/transfer_state.h"

/* What is summed before it is given on: it and the rows stay in the first cache. */
enum { PUSH_ELEMENTS = 1 << 11 };

uint64_t cohort_transfer_reduce(cohort_transfer *transfer, int bucket, const cohort_bucket_rows *rows, int vectors,
                                float *sum, int64_t stride) {
  const cohort_bucket *own = &transfer->plan.shards->bucket[bucket];
  const int me = transfer->plan.comm->rank, nodes = transfer->nodes_of[me];
  for (int v = 0; v < vectors; v++)
    for (int part = own->first_part; part < own->last_part; part++) {
      const size_t at = transfer->reduce_posted++ % (uint64_t)transfer->ring;
      transfer->reduction[at] = (reduction){part, v == 0 && transfer->plan.squares, sum + v * stride, -1};
      int64_t *place = transfer->place[me] + at * (size_t)nodes;
      for (int i = 0; i < nodes; i++) place[i] = rows->place[i] + v * rows->vector[i];
    }
  atomic_store_explicit(&transfer->show[me]->rows_ready, transfer->reduce_posted, memory_order_release);
  (void)cohort_transfer_progress_reduce(transfer, &transfer->plan.team);
  return transfer->reduce_posted;
}

/* One part's sums, over the runs of its owners. */
typedef struct sum_job {
  cohort_transfer *transfer;
  const reduction *operation;
  uint64_t number;
  int first_run;
} sum_job;

/* Where the rows of this host lie from an element of the flat vector on. */
static void find_rows(const sum_job *job, int64_t element, const float **rows) {
  const cohort_transfer *transfer = job->transfer;
  const cohort_shards *shards = transfer->plan.shards;
  const int64_t within = element - shards->bucket[part_of(transfer, job->operation->part)->bucket].offset;
  const size_t at = job->number % (uint64_t)transfer->ring;
  for (int l = 0; l < transfer->leaves; l++) {
    const int rank = transfer->leaf_rank[l];
    const int64_t place =
        transfer->place[rank][at * (size_t)transfer->nodes_of[rank] + (size_t)transfer->leaf_index[l]];
    rows[l] = (const float *)(const void *)transfer->plan.rows->part[rank] + place + within;
  }
}

static void leave_squares(cohort_transfer *transfer, const run *own, const float *sum) {
  const cohort_space *space = transfer->plan.shards->space;
  for (int p = own->first_piece; p < own->last_piece; p++) {
    const float *values = sum + space->piece[p].offset;
    transfer->squares[p] = transfer->dot(values, values, space->piece[p].elements);
  }
}

/* Gives the others a sum, while it is in the first cache. Nobody else reads or writes these elements of any row before
 * this rank's rows_read passes. */
static void push(const cohort_transfer *transfer, const float *sum, int64_t elements) {
  char **part = transfer->plan.rows->part;
  const char *from = (const char *)sum;
  const ptrdiff_t place = from - part[transfer->plan.comm->rank];
  for (int i = 0; i < transfer->mates; i++)
    memcpy(part[transfer->mate[i]] + place, from, (size_t)elements * sizeof *sum);
}

/* All ranks share memory: owners read every row. */
static void sum_here(void *argument, int64_t index) {
  const sum_job *job = argument;
  cohort_transfer *transfer = job->transfer;
  const run *own = &transfer->run[job->first_run + index];
  if (own->owner != transfer->plan.comm->rank) return;
  const float *rows[COHORT_MAX_LANES];
  float *sum = job->operation->sum + own->offset;
  const int64_t block = transfer->leaves > 1 ? PUSH_ELEMENTS : own->elements; /* a single row is there already */
  for (int64_t first = 0; first < own->elements; first += block) {
    const int64_t left = own->elements - first, elements = left < block ? left : block;
    find_rows(job, own->offset + first, rows);
    cohort_lanes_sum_float(transfer->plan.lanes, cohort_lanes_root(transfer->plan.lanes), transfer->leaves,
                           transfer->leaf, rows, elements, sum + first);
    if (transfer->plan.everywhere) push(transfer, sum + first, elements);
  }
  if (job->operation->squares) leave_squares(transfer, own, job->operation->sum);
}

/* Elements of an owner's runs of a part, by their places. */
typedef struct extent {
  int64_t begin, end;
} extent;

static extent share_at(const cohort_transfer *transfer, int64_t span, int share) {
  return (extent){span * share / shares(transfer), span * (share + 1) / shares(transfer)};
}

/* What this rank sums of its own. */
static extent own_share(const cohort_transfer *transfer, int part) {
  const int64_t span = span_of(transfer, part, transfer->plan.comm->rank);
  return share_at(transfer, span, shares(transfer) > 1 ? transfer->plan.shards->holders->copy : 0);
}

/* What of a run lies in a share. */
static extent common(const run *own, extent share) {
  const int64_t end = own->place + own->elements;
  const int64_t begin = own->place > share.begin ? own->place : share.begin;
  return (extent){begin, end < share.end ? end : share.end};
}

/* Share by share, each as the values of this host one after another. */
static void sum_shares(const sum_job *job, const run *own, float *to) {
  const cohort_transfer *transfer = job->transfer;
  const int64_t span = span_of(transfer, job->operation->part, own->owner);
  const float *rows[COHORT_MAX_LANES];
  for (int s = 0; s < shares(transfer); s++) {
    const extent share = share_at(transfer, span, s), here = common(own, share);
    if (here.begin >= here.end) continue;
    find_rows(job, own->offset + here.begin - own->place, rows);
    float *values = to + transfer->joined * share.begin + (here.begin - share.begin);
    for (int i = 0; i < transfer->joined; i++)
      cohort_lanes_sum_float(transfer->plan.lanes, transfer->joined_node[i], transfer->leaves, transfer->leaf, rows,
                             here.end - here.begin, values + i * (share.end - share.begin));
  }
}

/* An agent sums its host's rows, for itself and for owners elsewhere. */
static void sum_host(void *argument, int64_t index) {
  const sum_job *job = argument;
  cohort_transfer *transfer = job->transfer;
  const run *own = &transfer->run[job->first_run + index];
  const int me = transfer->plan.comm->rank, slot = (int)(job->number % SLOTS);
  if (agent_of(transfer, transfer->host, own->owner) != me) return;
  if (own->owner == me ? transfer->plain : in_place(transfer, job->operation->part, own->owner)) return;
  sum_shares(job, own,
             own->owner == me ? transfer->partial[slot]
                              : transfer->outgoing[slot] + transfer->joined * transfer->base[own->owner]);
}

/* The owner sums what the hosts' agents have sent: its share. */
static void sum_hosts(void *argument, int64_t index) {
  const sum_job *job = argument;
  cohort_transfer *transfer = job->transfer;
  const run *own = &transfer->run[job->first_run + index];
  const int slot = (int)(job->number % SLOTS);
  if (own->owner != transfer->plan.comm->rank) return;
  const extent share = own_share(transfer, job->operation->part), here = common(own, share);
  if (here.begin >= here.end) return;
  const int64_t elements = share.end - share.begin;
  const float *rows[COHORT_MAX_LANES];
  for (int i = 0; i < transfer->all; i++) {
    if (transfer->plain && transfer->all_host[i] == transfer->host) {
      find_rows(job, own->offset + here.begin - own->place, &rows[i]);
      continue;
    }
    const float *from = transfer->partial[slot] + transfer->joined * share.begin;
    if (transfer->all_host[i] != transfer->host) {
      from = transfer->incoming[slot];
      for (int h = 0; h < transfer->all_host[i]; h++)
        if (h != transfer->host) from += elements * transfer->host_values[h];
    }
    rows[i] = from + elements * transfer->all_index[i] + (here.begin - share.begin);
  }
  float *sum = job->operation->sum + own->offset;
  cohort_lanes_sum_float(transfer->plan.lanes, cohort_lanes_root(transfer->plan.lanes), transfer->all,
                         transfer->all_node, rows, here.end - here.begin, sum + (here.begin - own->place));
  if (job->operation->squares && shares(transfer) == 1) leave_squares(transfer, own, job->operation->sum);
}

/* This rank's share of a sum, for the other copies. */
static void pack_share(void *argument, int64_t index) {
  const sum_job *job = argument;
  const cohort_transfer *transfer = job->transfer;
  const run *own = &transfer->run[job->first_run + index];
  if (own->owner != transfer->plan.comm->rank) return;
  const extent share = own_share(transfer, job->operation->part), here = common(own, share);
  if (here.begin < here.end)
    memcpy(transfer->packed[job->number % SLOTS] + (here.begin - share.begin),
           job->operation->sum + own->offset + (here.begin - own->place),
           (size_t)(here.end - here.begin) * sizeof(float));
}

/* Their shares, which have come where this host's values were. */
static void unpack_shares(void *argument, int64_t index) {
  const sum_job *job = argument;
  cohort_transfer *transfer = job->transfer;
  const run *own = &transfer->run[job->first_run + index];
  if (own->owner != transfer->plan.comm->rank) return;
  const int64_t span = span_of(transfer, job->operation->part, own->owner);
  for (int s = 0; s < shares(transfer); s++) {
    const extent here = common(own, share_at(transfer, span, s));
    if (s != transfer->plan.shards->holders->copy && here.begin < here.end)
      memcpy(job->operation->sum + own->offset + (here.begin - own->place),
             transfer->partial[job->number % SLOTS] + here.begin, (size_t)(here.end - here.begin) * sizeof(float));
  }
  if (job->operation->squares) leave_squares(transfer, own, job->operation->sum);
}

/* An owner's sum goes on to everyone. */
static void gather_sum(cohort_transfer *transfer, const reduction *operation) {
  const cohort_segment *rows = transfer->plan.rows;
  const float *begin = (const float *)(const void *)rows->part[transfer->plan.comm->rank];
  const cohort_vector from = {operation->sum, (cohort_segment *)rows, operation->sum - begin};
  const int64_t bucket = transfer->plan.shards->bucket[part_of(transfer, operation->part)->bucket].offset;
  cohort_transfer_gather_part(transfer, operation->part, &from, operation->sum + bucket);
}

static void run_job(const cohort_team *team, sum_job *job, cohort_tile_function function) {
  const int part = job->operation->part;
  job->first_run = job->transfer->first_run[part];
  const int64_t runs = job->transfer->first_run[part + 1] - job->first_run;
  if (job->transfer->plan.comm->size == 1)
    cohort_team_share(team, runs, function, job);
  else
    cohort_team_run(team, runs, function, job);
}

/* Rows of other ranks that this one has read, and sums that it has been given. */
static void count_read(const cohort_transfer *transfer, int part) {
  cohort_comm *comm = transfer->plan.comm;
  const int64_t rows = transfer->leaves - transfer->nodes_of[comm->rank];
  const bool given = transfer->plan.everywhere && comm->hosts == 1;
  int64_t elements = 0;
  for (int i = 0; i < owners(transfer); i++) {
    const int owner = owner_at(transfer, i);
    if (agent_of(transfer, transfer->host, owner) == comm->rank) elements += rows * span_of(transfer, part, owner);
    if (given && owner != comm->rank) elements += span_of(transfer, part, owner);
  }
  comm->bytes_shared += (uint64_t)elements * sizeof(float);
}

/* What this host's rows come to, for an owner of other pieces on another host. */
static float *values_for(const sum_job *job, int owner) {
  const cohort_transfer *transfer = job->transfer;
  const int part = job->operation->part;
  if (!in_place(transfer, part, owner))
    return transfer->outgoing[job->number % SLOTS] + transfer->joined * transfer->base[owner];
  const float *row = NULL;
  find_rows(job, begin_of(transfer, part, owner), &row);
  return (float *)row;
}

/* What this host's rows come to goes to owners on other hosts: of other pieces, or of the same in other copies. */
static int list_sends(const sum_job *job, cohort_message *send) {
  const cohort_transfer *transfer = job->transfer;
  const cohort_comm *comm = transfer->plan.comm;
  const int part = job->operation->part;
  const bool copies = transfer->plan.shards->holders->copies > 1;
  int sends = 0;
  for (int i = 0; i < owners(transfer) && !copies; i++) {
    const int owner = owner_at(transfer, i);
    if (comm->host[owner] != transfer->host && agent_of(transfer, transfer->host, owner) == comm->rank)
      send[sends++] = (cohort_message){owner, values_for(job, owner),
                                       (size_t)(transfer->joined * span_of(transfer, part, owner)) * sizeof(float)};
  }
  for (int host = 0; host < comm->hosts && copies; host++) {
    if (host == transfer->host) continue;
    const extent share = share_at(transfer, span_of(transfer, part, comm->rank), shares(transfer) > 1 ? host : 0);
    float *partial = transfer->partial[job->number % SLOTS];
    send[sends++] = (cohort_message){agent_of(transfer, host, comm->rank), partial + transfer->joined * share.begin,
                                     (size_t)(transfer->joined * (share.end - share.begin)) * sizeof(float)};
  }
  return sends;
}

static int post_messages(const sum_job *job) {
  cohort_transfer *transfer = job->transfer;
  cohort_comm *comm = transfer->plan.comm;
  cohort_message *send = transfer->message, *receive = send + comm->size;
  const extent own = own_share(transfer, job->operation->part);
  const int sends = list_sends(job, send);
  int receives = 0;
  float *in = transfer->incoming[job->number % SLOTS];
  for (int host = 0; host < comm->hosts; host++) {
    if (host == transfer->host) continue;
    const int64_t elements = (own.end - own.begin) * transfer->host_values[host];
    receive[receives++] = (cohort_message){agent_of(transfer, host, comm->rank), in, (size_t)elements * sizeof(float)};
    in += elements;
  }
  return comm->post(comm, COHORT_CHANNEL_REDUCE, sends, send, receives, receive);
}

/* Copies give one another the shares that they have summed. No gather sends messages then: its channel is free, and
 * what they send meanwhile of the next parts cannot be taken for it. */
static int post_shares(cohort_transfer *transfer, const reduction *operation, int slot) {
  cohort_comm *comm = transfer->plan.comm;
  cohort_message *send = transfer->message, *receive = send + comm->size;
  const extent own = own_share(transfer, operation->part);
  const int64_t span = span_of(transfer, operation->part, comm->rank);
  int messages = 0;
  for (int host = 0; host < comm->hosts; host++) {
    if (host == transfer->host) continue;
    const extent other = share_at(transfer, span, host);
    const int rank = agent_of(transfer, host, comm->rank);
    send[messages] = (cohort_message){rank, transfer->packed[slot], (size_t)(own.end - own.begin) * sizeof(float)};
    receive[messages++] = (cohort_message){rank, transfer->partial[slot] + other.begin,
                                           (size_t)(other.end - other.begin) * sizeof(float)};
  }
  return comm->post(comm, COHORT_CHANNEL_GATHER, messages, send, messages, receive);
}

/* Whether the next reduction can begin: all rows of the host are there, and a slot is free. */
static bool may_begin(const cohort_transfer *transfer) {
  if (transfer->reduce_begun == transfer->reduce_posted) return false;
  if (transfer->plan.comm->hosts > 1 && transfer->reduce_begun - transfer->reduce_done >= SLOTS) return false;
  return all_mates_past(transfer, offsetof(control, rows_ready), transfer->reduce_begun + 1);
}

/* What has come from all hosts is summed. */
static bool sum_arrived(cohort_transfer *transfer, const cohort_team *team) {
  cohort_comm *comm = transfer->plan.comm;
  bool moved = false;
  for (; comm->hosts > 1 && transfer->reduce_summed < transfer->reduce_begun; moved = true) {
    const uint64_t number = transfer->reduce_summed;
    reduction *operation = &transfer->reduction[number % (uint64_t)transfer->ring];
    if (!comm->test(comm, operation->ticket)) break;
    sum_job job = {transfer, operation, number, 0};
    run_job(team, &job, sum_hosts);
    transfer->reduce_summed++;
    if (shares(transfer) == 1) {
      if (transfer->plan.everywhere) gather_sum(transfer, operation);
      transfer->reduce_done++;
      continue;
    }
    run_job(team, &job, pack_share);
    operation->ticket = post_shares(transfer, operation, (int)(number % SLOTS));
  }
  return moved;
}

/* The other copies' shares are here. */
static bool finish_shares(cohort_transfer *transfer, const cohort_team *team) {
  cohort_comm *comm = transfer->plan.comm;
  bool moved = false;
  for (; comm->hosts > 1 && transfer->reduce_done < transfer->reduce_summed; moved = true) {
    const uint64_t number = transfer->reduce_done;
    const reduction *operation = &transfer->reduction[number % (uint64_t)transfer->ring];
    if (!comm->test(comm, operation->ticket)) break;
    sum_job job = {transfer, operation, number, 0};
    run_job(team, &job, unpack_shares);
    if (transfer->plan.everywhere) gather_sum(transfer, operation);
    transfer->reduce_done++;
  }
  return moved;
}

bool cohort_transfer_progress_reduce(cohort_transfer *transfer, const cohort_team *team) {
  cohort_comm *comm = transfer->plan.comm;
  bool moved = false;
  for (; may_begin(transfer); moved = true) {
    const uint64_t number = transfer->reduce_begun;
    reduction *operation = &transfer->reduction[number % (uint64_t)transfer->ring];
    sum_job job = {transfer, operation, number, 0};
    count_read(transfer, operation->part);
    if (comm->hosts == 1) {
      run_job(team, &job, sum_here);
      transfer->reduce_done++;
    } else {
      (void)cohort_transfer_relay_places(transfer, operation->part, comm->rank, transfer->base);
      run_job(team, &job, sum_host);
      operation->ticket = post_messages(&job);
    }
    transfer->reduce_begun++;
    atomic_store_explicit(&transfer->show[comm->rank]->rows_read, transfer->reduce_begun, memory_order_release);
  }
  const bool summed = sum_arrived(transfer, team), finished = finish_shares(transfer, team);
  return moved || summed || finished;
}
