/* What owners hold, to everyone of their copy. */
#include <stddef.h>
#include <string.h>

#include "train/transfer_state.h"

void cohort_transfer_gather_part(cohort_transfer *transfer, int part, const cohort_vector *from, float *to) {
  transfer->gathering[transfer->gather_posted++ % (uint64_t)transfer->ring] = (gathering){part, *from, to, -1};
}

uint64_t cohort_transfer_gather(cohort_transfer *transfer, const cohort_vector *from, int bucket, float *to) {
  const cohort_bucket *own = &transfer->plan.shards->bucket[bucket];
  for (int part = own->first_part; part < own->last_part; part++) cohort_transfer_gather_part(transfer, part, from, to);
  (void)cohort_transfer_progress_gather(transfer, &transfer->plan.team);
  return transfer->gather_posted;
}

static float *relay_slot(const cohort_transfer *transfer, int rank, uint64_t number) {
  return (float *)(void *)(transfer->slot[rank] + (number % SLOTS) * transfer->slot_bytes[rank]);
}

/* This rank's pieces of a part, as a message. */
static float *pack_own(const cohort_transfer *transfer, const gathering *operation, uint64_t number) {
  const int me = transfer->plan.comm->rank;
  const int64_t begin = begin_of(transfer, operation->part, me);
  if (begin != APART) return operation->from.values + begin;
  float *packed = transfer->packed[number % SLOTS];
  for (int i = transfer->first_run[operation->part]; i < transfer->first_run[operation->part + 1]; i++) {
    const run *own = &transfer->run[i];
    if (own->owner == me)
      memcpy(packed + own->place, operation->from.values + own->offset, (size_t)own->elements * sizeof *packed);
  }
  return packed;
}

static int64_t bucket_offset(const cohort_transfer *transfer, const gathering *operation) {
  return transfer->plan.shards->bucket[part_of(transfer, operation->part)->bucket].offset;
}

/* The agents of other hosts get this rank's pieces; this rank gets those of the owners that it stands for. */
static int post_messages(cohort_transfer *transfer, const gathering *operation, uint64_t number) {
  cohort_comm *comm = transfer->plan.comm;
  const int me = comm->rank, part = operation->part;
  float *mine = pack_own(transfer, operation, number), *relay = relay_slot(transfer, me, number);
  cohort_message *send = transfer->message, *receive = send + comm->hosts;
  int sends = 0, receives = 0;
  for (int host = 0; host < comm->hosts; host++)
    if (host != transfer->host)
      send[sends++] =
          (cohort_message){agent_of(transfer, host, me), mine, (size_t)span_of(transfer, part, me) * sizeof(float)};
  (void)cohort_transfer_relay_places(transfer, part, me, transfer->base);
  float *bucket = operation->to - bucket_offset(transfer, operation);
  for (int i = 0; i < owners(transfer); i++) {
    const int owner = owner_at(transfer, i);
    if (comm->host[owner] == transfer->host || agent_of(transfer, transfer->host, owner) != me) continue;
    float *to =
        in_place(transfer, part, owner) ? bucket + begin_of(transfer, part, owner) : relay + transfer->base[owner];
    receive[receives++] = (cohort_message){owner, to, (size_t)span_of(transfer, part, owner) * sizeof(float)};
  }
  return comm->post(comm, COHORT_CHANNEL_GATHER, sends, send, receives, receive);
}

typedef struct copy_job {
  const cohort_transfer *transfer;
  const gathering *operation;
  uint64_t number;
  const int64_t *base; /* [ranks] */
} copy_job;

static void copy_run(void *argument, int64_t index) {
  const copy_job *job = argument;
  const cohort_transfer *transfer = job->transfer;
  const cohort_comm *comm = transfer->plan.comm;
  const gathering *operation = job->operation;
  const run *own = &transfer->run[transfer->first_run[operation->part] + index];
  float *to = operation->to + (own->offset - bucket_offset(transfer, operation));
  const int agent = agent_of(transfer, transfer->host, own->owner);
  const bool elsewhere = comm->host && comm->host[own->owner] != transfer->host;
  if (elsewhere && in_place(transfer, operation->part, own->owner)) return;
  const float *from = elsewhere ? relay_slot(transfer, agent, job->number) + job->base[own->owner] + own->place
                                : (const float *)(const void *)operation->from.segment->part[own->owner] +
                                      operation->from.first + own->offset;
  if (to != from) memcpy(to, from, (size_t)own->elements * sizeof *to);
}

/* Elements that this rank has read from others' memory: their own pieces, and what they have passed on. */
static void count_read(const cohort_transfer *transfer, int part) {
  cohort_comm *comm = transfer->plan.comm;
  int64_t elements = 0;
  for (int i = 0; i < owners(transfer); i++)
    if (agent_of(transfer, transfer->host, owner_at(transfer, i)) != comm->rank)
      elements += span_of(transfer, part, owner_at(transfer, i));
  comm->bytes_shared += (uint64_t)elements * sizeof(float);
}

/* Whether the next gather can begin: its slot has been read by all. */
static bool may_begin(const cohort_transfer *transfer) {
  if (transfer->gather_begun == transfer->gather_posted) return false;
  if (!gathers_between(transfer) || transfer->gather_begun < SLOTS) return true;
  const uint64_t through = transfer->gather_begun - SLOTS + 1;
  return transfer->gather_done >= through && all_mates_past(transfer, offsetof(control, gathered), through);
}

static bool may_finish(const cohort_transfer *transfer) {
  const uint64_t next = transfer->gather_done + 1;
  return transfer->gather_arrived >= next && all_mates_past(transfer, offsetof(control, own_ready), next) &&
         all_mates_past(transfer, offsetof(control, relayed), next);
}

static void finish(cohort_transfer *transfer, const cohort_team *team) {
  const int me = transfer->plan.comm->rank;
  const gathering *operation = &transfer->gathering[transfer->gather_done % (uint64_t)transfer->ring];
  for (int i = 0; i <= transfer->mates && gathers_between(transfer); i++)
    (void)cohort_transfer_relay_places(transfer, operation->part, i < transfer->mates ? transfer->mate[i] : me,
                                       transfer->base);
  copy_job job = {transfer, operation, transfer->gather_done, transfer->base};
  const int first = transfer->first_run[operation->part], last = transfer->first_run[operation->part + 1];
  cohort_team_run(team, last - first, copy_run, &job);
  count_read(transfer, operation->part);
}

bool cohort_transfer_progress_gather(cohort_transfer *transfer, const cohort_team *team) {
  cohort_comm *comm = transfer->plan.comm;
  control *show = transfer->show[comm->rank];
  bool moved = false;
  for (; may_begin(transfer); moved = true) {
    const uint64_t number = transfer->gather_begun++;
    gathering *operation = &transfer->gathering[number % (uint64_t)transfer->ring];
    if (gathers_between(transfer)) operation->ticket = post_messages(transfer, operation, number);
    atomic_store_explicit(&show->own_ready, transfer->gather_begun, memory_order_release);
  }
  while (transfer->gather_arrived < transfer->gather_begun) {
    const gathering *operation = &transfer->gathering[transfer->gather_arrived % (uint64_t)transfer->ring];
    if (gathers_between(transfer) && !comm->test(comm, operation->ticket)) break;
    transfer->gather_arrived++;
    moved = true;
  }
  atomic_store_explicit(&show->relayed, transfer->gather_arrived, memory_order_release);
  for (; may_finish(transfer); moved = true) {
    finish(transfer, team);
    transfer->gather_done++;
    atomic_store_explicit(&show->gathered, transfer->gather_done, memory_order_release);
  }
  return moved;
}
