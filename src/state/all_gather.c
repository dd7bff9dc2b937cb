/* What owners hold, to everyone of their replica. */
#include <stddef.h>
#include <string.h>

#include "state/collective_state.h"

void cohort_collective_all_gather_part(cohort_collective *collective, int part, const cohort_vector *from, float *to) {
  collective->gathering[collective->gather_posted++ % (uint64_t)collective->ring] = (gathering){part, *from, to, -1};
}

uint64_t cohort_collective_all_gather(cohort_collective *collective, const cohort_vector *from, int bucket, float *to) {
  const cohort_bucket *own = &collective->options.shards->bucket[bucket];
  for (int part = own->first_part; part < own->last_part; part++)
    cohort_collective_all_gather_part(collective, part, from, to);
  (void)cohort_collective_progress_all_gather(collective, &collective->options.team);
  return collective->gather_posted;
}

static float *relay_slot(const cohort_collective *collective, int rank, uint64_t number) {
  return (float *)(void *)(collective->slot[rank] + (number % SLOTS) * collective->slot_bytes[rank]);
}

/* This rank's pieces of a part, as a message. */
static float *pack_own(const cohort_collective *collective, const gathering *operation, uint64_t number) {
  const int me = collective->options.comm->rank;
  const int64_t begin = begin_of(collective, operation->part, me);
  const float *from = operation->from.values;
  if (begin != SCATTERED) return operation->from.values + (begin - operation->from.origin);
  float *packed = collective->packed[number % SLOTS];
  for (int i = collective->first_range[operation->part]; i < collective->first_range[operation->part + 1]; i++) {
    const owner_range *own = &collective->owner_range[i];
    if (own->owner == me)
      memcpy(packed + own->place, from + (own->offset - operation->from.origin),
             (size_t)own->elements * sizeof *packed);
  }
  return packed;
}

static int64_t bucket_offset(const cohort_collective *collective, const gathering *operation) {
  return collective->options.shards->bucket[part_of(collective, operation->part)->bucket].offset;
}

/* The relays of other hosts get this rank's pieces; this rank gets those of the owners that it stands for. */
static int post_messages(cohort_collective *collective, const gathering *operation, uint64_t number) {
  cohort_comm *comm = collective->options.comm;
  const int me = comm->rank, part = operation->part;
  float *mine = pack_own(collective, operation, number), *relay = relay_slot(collective, me, number);
  cohort_message *send = collective->message, *receive = send + comm->hosts;
  int sends = 0, receives = 0;
  for (int host = 0; host < comm->hosts; host++)
    if (host != collective->host)
      send[sends++] =
          (cohort_message){relay_of(collective, host, me), mine, (size_t)span_of(collective, part, me) * sizeof(float)};
  (void)cohort_collective_relay_places(collective, part, me, collective->base);
  float *bucket = operation->to - bucket_offset(collective, operation);
  for (int i = 0; i < owners(collective); i++) {
    const int owner = owner_at(collective, i);
    if (comm->host[owner] == collective->host || relay_of(collective, collective->host, owner) != me) continue;
    float *to = in_place(collective, part, owner) ? bucket + begin_of(collective, part, owner)
                                                  : relay + collective->base[owner];
    receive[receives++] = (cohort_message){owner, to, (size_t)span_of(collective, part, owner) * sizeof(float)};
  }
  return comm->post(comm, COHORT_CHANNEL_GATHER, sends, send, receives, receive);
}

typedef struct copy_job {
  const cohort_collective *collective;
  const gathering *operation;
  uint64_t number;
  const int64_t *base; /* [ranks] */
} copy_job;

static void copy_range(void *argument, int64_t index) {
  const copy_job *job = argument;
  const cohort_collective *collective = job->collective;
  const cohort_comm *comm = collective->options.comm;
  const gathering *operation = job->operation;
  const owner_range *own = &collective->owner_range[collective->first_range[operation->part] + index];
  float *to = operation->to + (own->offset - bucket_offset(collective, operation));
  const int relay = relay_of(collective, collective->host, own->owner);
  const bool elsewhere = comm->host && comm->host[own->owner] != collective->host;
  if (elsewhere && in_place(collective, operation->part, own->owner)) return;
  const float *from = elsewhere ? relay_slot(collective, relay, job->number) + job->base[own->owner] + own->place
                                : (const float *)(const void *)operation->from.shared->part[own->owner] +
                                      operation->from.first + own->offset - operation->from.origin;
  if (to != from) memcpy(to, from, (size_t)own->elements * sizeof *to);
}

/* Elements that this rank has read from others' memory: their own pieces, and what they have passed on. */
static void count_read(const cohort_collective *collective, int part) {
  cohort_comm *comm = collective->options.comm;
  int64_t elements = 0;
  for (int i = 0; i < owners(collective); i++)
    if (relay_of(collective, collective->host, owner_at(collective, i)) != comm->rank)
      elements += span_of(collective, part, owner_at(collective, i));
  comm->bytes_shared += (uint64_t)elements * sizeof(float);
}

/* Whether the next gather can begin: its slot has been read by all. */
static bool may_begin(const cohort_collective *collective) {
  if (collective->gather_begun == collective->gather_posted) return false;
  if (!gathers_between(collective) || collective->gather_begun < SLOTS) return true;
  const uint64_t through = collective->gather_begun - SLOTS + 1;
  return collective->gather_done >= through && all_host_peers_past(collective, offsetof(control, gathered), through);
}

static bool may_finish(const cohort_collective *collective) {
  const uint64_t next = collective->gather_done + 1;
  return collective->gather_arrived >= next && all_host_peers_past(collective, offsetof(control, own_ready), next) &&
         all_host_peers_past(collective, offsetof(control, relayed), next);
}

static void finish(cohort_collective *collective, const cohort_team *team) {
  const int me = collective->options.comm->rank;
  const gathering *operation = &collective->gathering[collective->gather_done % (uint64_t)collective->ring];
  for (int i = 0; i <= collective->host_peers && gathers_between(collective); i++)
    (void)cohort_collective_relay_places(collective, operation->part,
                                         i < collective->host_peers ? collective->host_peer[i] : me, collective->base);
  copy_job job = {collective, operation, collective->gather_done, collective->base};
  const int first = collective->first_range[operation->part], last = collective->first_range[operation->part + 1];
  cohort_team_run(team, last - first, copy_range, &job);
  count_read(collective, operation->part);
}

bool cohort_collective_progress_all_gather(cohort_collective *collective, const cohort_team *team) {
  cohort_comm *comm = collective->options.comm;
  control *show = collective->show[comm->rank];
  bool moved = false;
  for (; may_begin(collective); moved = true) {
    const uint64_t number = collective->gather_begun++;
    gathering *operation = &collective->gathering[number % (uint64_t)collective->ring];
    if (gathers_between(collective)) operation->ticket = post_messages(collective, operation, number);
    show_past(collective, &show->own_ready, collective->gather_begun);
  }
  const uint64_t before = collective->gather_arrived;
  while (collective->gather_arrived < collective->gather_begun) {
    const gathering *operation = &collective->gathering[collective->gather_arrived % (uint64_t)collective->ring];
    if (gathers_between(collective) && !comm->test(comm, operation->ticket)) break;
    collective->gather_arrived++;
    moved = true;
  }
  if (collective->gather_arrived > before) show_past(collective, &show->relayed, collective->gather_arrived);
  for (; may_finish(collective); moved = true) {
    finish(collective, team);
    collective->gather_done++;
    show_past(collective, &show->gathered, collective->gather_done);
  }
  return moved;
}
