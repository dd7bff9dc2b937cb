/* Sums of gradients along the tree of lanes, to the owners of their pieces. */
#include <stddef.h>
#include <string.h>

#include "state/collective_state.h"

/* What is summed before it is given on: it and the rows stay in the first cache. */
enum { PUSH_ELEMENTS = 1 << 11 };

uint64_t cohort_collective_reduce_scatter(cohort_collective *collective, int bucket, const cohort_bucket_rows *rows,
                                          int vectors, float *sum, int64_t stride) {
  const cohort_bucket *own = &collective->options.shards->bucket[bucket];
  const int me = collective->options.comm->rank, nodes = collective->nodes_of[me];
  for (int v = 0; v < vectors; v++)
    for (int part = own->first_part; part < own->last_part; part++) {
      const size_t at = collective->reduce_posted++ % (uint64_t)collective->ring;
      collective->reduction[at] = (reduction){part, v == 0 && collective->options.squares, sum + v * stride, -1};
      int64_t *place = collective->place[me] + at * (size_t)nodes;
      for (int i = 0; i < nodes; i++) place[i] = rows->place[i] + v * rows->vector[i];
    }
  show_past(collective, &collective->show[me]->rows_ready, collective->reduce_posted);
  (void)cohort_collective_progress_reduce_scatter(collective, &collective->options.team);
  return collective->reduce_posted;
}

/* One part's sums, over the ranges of its owners. */
typedef struct sum_job {
  cohort_collective *collective;
  const reduction *operation;
  uint64_t number;
  int first_range;
} sum_job;

/* Where the rows of this host lie from an element of the flat vector on. */
static void find_rows(const sum_job *job, int64_t element, const float **rows) {
  const cohort_collective *collective = job->collective;
  const cohort_shards *shards = collective->options.shards;
  const int64_t within = element - shards->bucket[part_of(collective, job->operation->part)->bucket].offset;
  const size_t at = job->number % (uint64_t)collective->ring;
  for (int l = 0; l < collective->leaves; l++) {
    const int rank = collective->leaf_rank[l];
    const int64_t place =
        collective->place[rank][at * (size_t)collective->nodes_of[rank] + (size_t)collective->leaf_index[l]];
    rows[l] = (const float *)(const void *)collective->options.rows->part[rank] + place + within;
  }
}

static void leave_squares(cohort_collective *collective, const owner_range *own, const float *sum) {
  const cohort_space *space = collective->options.shards->space;
  for (int p = own->first_piece; p < own->last_piece; p++) {
    const float *values = sum + space->piece[p].offset;
    collective->squares[p] = collective->dot(values, values, space->piece[p].elements);
  }
}

/* Gives the others a sum, while it is in the first cache. Nobody else reads or writes these elements of any row before
 * this rank's rows_read passes. */
static void push(const cohort_collective *collective, const float *sum, int64_t elements) {
  char **part = collective->options.rows->part;
  const char *from = (const char *)sum;
  const ptrdiff_t place = from - part[collective->options.comm->rank];
  for (int i = 0; i < collective->host_peers; i++)
    memcpy(part[collective->host_peer[i]] + place, from, (size_t)elements * sizeof *sum);
}

/* All ranks share memory: owners read every row. */
static void sum_here(void *argument, int64_t index) {
  const sum_job *job = argument;
  cohort_collective *collective = job->collective;
  const owner_range *own = &collective->owner_range[job->first_range + index];
  if (own->owner != collective->options.comm->rank) return;
  const float *rows[COHORT_MAX_LANES];
  float *sum = job->operation->sum + own->offset;
  const int64_t block = collective->leaves > 1 ? PUSH_ELEMENTS : own->elements; /* a single row is there already */
  for (int64_t first = 0; first < own->elements; first += block) {
    const int64_t left = own->elements - first, elements = left < block ? left : block;
    find_rows(job, own->offset + first, rows);
    cohort_lanes_sum_float(collective->options.lanes, cohort_lanes_root(collective->options.lanes), collective->leaves,
                           collective->leaf, rows, elements, sum + first);
    if (collective->options.allreduce) push(collective, sum + first, elements);
  }
  if (job->operation->squares) leave_squares(collective, own, job->operation->sum);
}

/* Elements of an owner's ranges of a part, by their places. */
typedef struct extent {
  int64_t begin, end;
} extent;

static extent share_at(const cohort_collective *collective, int64_t span, int share) {
  return (extent){span * share / shares(collective), span * (share + 1) / shares(collective)};
}

/* What this rank sums of its own. */
static extent own_share(const cohort_collective *collective, int part) {
  const int64_t span = span_of(collective, part, collective->options.comm->rank);
  return share_at(collective, span, shares(collective) > 1 ? collective->options.shards->members->replica : 0);
}

/* What of a range lies in a share. */
static extent common(const owner_range *own, extent share) {
  const int64_t end = own->place + own->elements;
  const int64_t begin = own->place > share.begin ? own->place : share.begin;
  return (extent){begin, end < share.end ? end : share.end};
}

/* Share by share, each as the values of this host one after another. */
static void sum_shares(const sum_job *job, const owner_range *own, float *to) {
  const cohort_collective *collective = job->collective;
  const int64_t span = span_of(collective, job->operation->part, own->owner);
  const float *rows[COHORT_MAX_LANES];
  for (int s = 0; s < shares(collective); s++) {
    const extent share = share_at(collective, span, s), here = common(own, share);
    if (here.begin >= here.end) continue;
    find_rows(job, own->offset + here.begin - own->place, rows);
    float *values = to + collective->joined * share.begin + (here.begin - share.begin);
    for (int i = 0; i < collective->joined; i++)
      cohort_lanes_sum_float(collective->options.lanes, collective->joined_node[i], collective->leaves,
                             collective->leaf, rows, here.end - here.begin, values + i * (share.end - share.begin));
  }
}

/* A relay sums its host's rows, for itself and for owners elsewhere. */
static void sum_host(void *argument, int64_t index) {
  const sum_job *job = argument;
  cohort_collective *collective = job->collective;
  const owner_range *own = &collective->owner_range[job->first_range + index];
  const int me = collective->options.comm->rank, slot = (int)(job->number % SLOTS);
  if (relay_of(collective, collective->host, own->owner) != me) return;
  if (own->owner == me ? collective->plain : in_place(collective, job->operation->part, own->owner)) return;
  sum_shares(job, own,
             own->owner == me ? collective->partial[slot]
                              : collective->outgoing[slot] + collective->joined * collective->base[own->owner]);
}

/* The owner sums what the hosts' relays have sent: its share. */
static void sum_hosts(void *argument, int64_t index) {
  const sum_job *job = argument;
  cohort_collective *collective = job->collective;
  const owner_range *own = &collective->owner_range[job->first_range + index];
  const int slot = (int)(job->number % SLOTS);
  if (own->owner != collective->options.comm->rank) return;
  const extent share = own_share(collective, job->operation->part), here = common(own, share);
  if (here.begin >= here.end) return;
  const int64_t elements = share.end - share.begin;
  const float *rows[COHORT_MAX_LANES];
  for (int i = 0; i < collective->all; i++) {
    if (collective->plain && collective->all_host[i] == collective->host) {
      find_rows(job, own->offset + here.begin - own->place, &rows[i]);
      continue;
    }
    const float *from = collective->partial[slot] + collective->joined * share.begin;
    if (collective->all_host[i] != collective->host) {
      from = collective->incoming[slot];
      for (int h = 0; h < collective->all_host[i]; h++)
        if (h != collective->host) from += elements * collective->host_values[h];
    }
    rows[i] = from + elements * collective->all_index[i] + (here.begin - share.begin);
  }
  float *sum = job->operation->sum + own->offset;
  cohort_lanes_sum_float(collective->options.lanes, cohort_lanes_root(collective->options.lanes), collective->all,
                         collective->all_node, rows, here.end - here.begin, sum + (here.begin - own->place));
  if (job->operation->squares && shares(collective) == 1) leave_squares(collective, own, job->operation->sum);
}

/* This rank's share of a sum, for the other replicas. */
static void pack_share(void *argument, int64_t index) {
  const sum_job *job = argument;
  const cohort_collective *collective = job->collective;
  const owner_range *own = &collective->owner_range[job->first_range + index];
  if (own->owner != collective->options.comm->rank) return;
  const extent share = own_share(collective, job->operation->part), here = common(own, share);
  if (here.begin < here.end)
    memcpy(collective->packed[job->number % SLOTS] + (here.begin - share.begin),
           job->operation->sum + own->offset + (here.begin - own->place),
           (size_t)(here.end - here.begin) * sizeof(float));
}

/* Their shares, which have come where this host's values were. */
static void unpack_shares(void *argument, int64_t index) {
  const sum_job *job = argument;
  cohort_collective *collective = job->collective;
  const owner_range *own = &collective->owner_range[job->first_range + index];
  if (own->owner != collective->options.comm->rank) return;
  const int64_t span = span_of(collective, job->operation->part, own->owner);
  for (int s = 0; s < shares(collective); s++) {
    const extent here = common(own, share_at(collective, span, s));
    if (s != collective->options.shards->members->replica && here.begin < here.end)
      memcpy(job->operation->sum + own->offset + (here.begin - own->place),
             collective->partial[job->number % SLOTS] + here.begin, (size_t)(here.end - here.begin) * sizeof(float));
  }
  if (job->operation->squares) leave_squares(collective, own, job->operation->sum);
}

/* An owner's sum goes on to everyone. */
static void gather_sum(cohort_collective *collective, const reduction *operation) {
  const cohort_shared_memory *rows = collective->options.rows;
  const float *begin = (const float *)(const void *)rows->part[collective->options.comm->rank];
  const cohort_vector from = {operation->sum, (cohort_shared_memory *)rows, operation->sum - begin, 0};
  const int64_t bucket = collective->options.shards->bucket[part_of(collective, operation->part)->bucket].offset;
  cohort_collective_all_gather_part(collective, operation->part, &from, operation->sum + bucket);
}

static void run_job(const cohort_team *team, sum_job *job, cohort_tile_function function) {
  const int part = job->operation->part;
  job->first_range = job->collective->first_range[part];
  const int64_t ranges = job->collective->first_range[part + 1] - job->first_range;
  if (job->collective->options.comm->size == 1)
    cohort_team_share(team, ranges, function, job);
  else
    cohort_team_run(team, ranges, function, job);
}

/* Rows of other ranks that this one has read, and sums that it has been given. */
static void count_read(const cohort_collective *collective, int part) {
  cohort_comm *comm = collective->options.comm;
  const int64_t rows = collective->leaves - collective->nodes_of[comm->rank];
  const bool given = collective->options.allreduce && comm->hosts == 1;
  int64_t elements = 0;
  for (int i = 0; i < owners(collective); i++) {
    const int owner = owner_at(collective, i);
    if (relay_of(collective, collective->host, owner) == comm->rank)
      elements += rows * span_of(collective, part, owner);
    if (given && owner != comm->rank) elements += span_of(collective, part, owner);
  }
  comm->bytes_shared += (uint64_t)elements * sizeof(float);
}

/* What this host's rows come to, for an owner of other pieces on another host. */
static float *values_for(const sum_job *job, int owner) {
  const cohort_collective *collective = job->collective;
  const int part = job->operation->part;
  if (!in_place(collective, part, owner))
    return collective->outgoing[job->number % SLOTS] + collective->joined * collective->base[owner];
  const float *row = NULL;
  find_rows(job, begin_of(collective, part, owner), &row);
  return (float *)row;
}

/* What this host's rows come to goes to owners on other hosts: of other pieces, or of the same in other replicas. */
static int list_sends(const sum_job *job, cohort_message *send) {
  const cohort_collective *collective = job->collective;
  const cohort_comm *comm = collective->options.comm;
  const int part = job->operation->part;
  const bool replicas = collective->options.shards->members->replicas > 1;
  int sends = 0;
  for (int i = 0; i < owners(collective) && !replicas; i++) {
    const int owner = owner_at(collective, i);
    if (comm->host[owner] != collective->host && relay_of(collective, collective->host, owner) == comm->rank)
      send[sends++] = (cohort_message){owner, values_for(job, owner),
                                       (size_t)(collective->joined * span_of(collective, part, owner)) * sizeof(float)};
  }
  for (int host = 0; host < comm->hosts && replicas; host++) {
    if (host == collective->host) continue;
    const extent share = share_at(collective, span_of(collective, part, comm->rank), shares(collective) > 1 ? host : 0);
    float *partial = collective->partial[job->number % SLOTS];
    send[sends++] = (cohort_message){relay_of(collective, host, comm->rank), partial + collective->joined * share.begin,
                                     (size_t)(collective->joined * (share.end - share.begin)) * sizeof(float)};
  }
  return sends;
}

static int post_messages(const sum_job *job) {
  cohort_collective *collective = job->collective;
  cohort_comm *comm = collective->options.comm;
  cohort_message *send = collective->message, *receive = send + comm->size;
  const extent own = own_share(collective, job->operation->part);
  const int sends = list_sends(job, send);
  int receives = 0;
  float *in = collective->incoming[job->number % SLOTS];
  for (int host = 0; host < comm->hosts; host++) {
    if (host == collective->host) continue;
    const int64_t elements = (own.end - own.begin) * collective->host_values[host];
    receive[receives++] =
        (cohort_message){relay_of(collective, host, comm->rank), in, (size_t)elements * sizeof(float)};
    in += elements;
  }
  return comm->post(comm, COHORT_CHANNEL_REDUCE, sends, send, receives, receive);
}

/* Replicas give one another the shares that they have summed. No gather sends messages then: its channel is free, and
 * what they send meanwhile of the next parts cannot be taken for it. */
static int post_shares(cohort_collective *collective, const reduction *operation, int slot) {
  cohort_comm *comm = collective->options.comm;
  cohort_message *send = collective->message, *receive = send + comm->size;
  const extent own = own_share(collective, operation->part);
  const int64_t span = span_of(collective, operation->part, comm->rank);
  int messages = 0;
  for (int host = 0; host < comm->hosts; host++) {
    if (host == collective->host) continue;
    const extent other = share_at(collective, span, host);
    const int rank = relay_of(collective, host, comm->rank);
    send[messages] = (cohort_message){rank, collective->packed[slot], (size_t)(own.end - own.begin) * sizeof(float)};
    receive[messages++] = (cohort_message){rank, collective->partial[slot] + other.begin,
                                           (size_t)(other.end - other.begin) * sizeof(float)};
  }
  return comm->post(comm, COHORT_CHANNEL_GATHER, messages, send, messages, receive);
}

/* Whether the next reduction can begin: all rows of the host are there, and a slot is free. */
static bool may_begin(const cohort_collective *collective) {
  if (collective->reduce_begun == collective->reduce_posted) return false;
  if (collective->options.comm->hosts > 1 && collective->reduce_begun - collective->reduce_done >= SLOTS) return false;
  return all_host_peers_past(collective, offsetof(control, rows_ready), collective->reduce_begun + 1);
}

/* What has come from all hosts is summed. */
static bool sum_arrived(cohort_collective *collective, const cohort_team *team) {
  cohort_comm *comm = collective->options.comm;
  bool moved = false;
  for (; comm->hosts > 1 && collective->reduce_summed < collective->reduce_begun; moved = true) {
    const uint64_t number = collective->reduce_summed;
    reduction *operation = &collective->reduction[number % (uint64_t)collective->ring];
    if (!comm->test(comm, operation->ticket)) break;
    sum_job job = {collective, operation, number, 0};
    run_job(team, &job, sum_hosts);
    collective->reduce_summed++;
    if (shares(collective) == 1) {
      if (collective->options.allreduce) gather_sum(collective, operation);
      collective->reduce_done++;
      continue;
    }
    run_job(team, &job, pack_share);
    operation->ticket = post_shares(collective, operation, (int)(number % SLOTS));
  }
  return moved;
}

/* The other replicas' shares are here. */
static bool finish_shares(cohort_collective *collective, const cohort_team *team) {
  cohort_comm *comm = collective->options.comm;
  bool moved = false;
  for (; comm->hosts > 1 && collective->reduce_done < collective->reduce_summed; moved = true) {
    const uint64_t number = collective->reduce_done;
    const reduction *operation = &collective->reduction[number % (uint64_t)collective->ring];
    if (!comm->test(comm, operation->ticket)) break;
    sum_job job = {collective, operation, number, 0};
    run_job(team, &job, unpack_shares);
    if (collective->options.allreduce) gather_sum(collective, operation);
    collective->reduce_done++;
  }
  return moved;
}

bool cohort_collective_progress_reduce_scatter(cohort_collective *collective, const cohort_team *team) {
  cohort_comm *comm = collective->options.comm;
  bool moved = false;
  for (; may_begin(collective); moved = true) {
    const uint64_t number = collective->reduce_begun;
    reduction *operation = &collective->reduction[number % (uint64_t)collective->ring];
    sum_job job = {collective, operation, number, 0};
    count_read(collective, operation->part);
    if (comm->hosts == 1) {
      run_job(team, &job, sum_here);
      collective->reduce_done++;
    } else {
      (void)cohort_collective_relay_places(collective, operation->part, comm->rank, collective->base);
      run_job(team, &job, sum_host);
      operation->ticket = post_messages(&job);
    }
    collective->reduce_begun++;
    show_past(collective, &collective->show[comm->rank]->rows_read, collective->reduce_begun);
  }
  const bool summed = sum_arrived(collective, team), finished = finish_shares(collective, team);
  return moved || summed || finished;
}
