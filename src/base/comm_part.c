/* Worlds made of some ranks of another: ranks are translated, everything else is the other world's. Nothing of it is
 * changed, so both may be used in turn. A call costs a translation of its lists; nothing is allocated once they have
 * been long. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/comm.h"
#include "base/memory.h"

typedef struct part_state {
  cohort_comm *whole;
  int *rank;                  /* [size]: in the whole world */
  cohort_scratch messages;    /* translated */
  cohort_shared_memory bells; /* the whole world's, by this one's ranks */
} part_state;

/* The whole world's counters before a call. */
typedef struct counters {
  uint64_t received, sent, messages;
} counters;

static counters look(const cohort_comm *whole) {
  return (counters){whole->bytes_received, whole->bytes_sent, whole->messages};
}

static void count(cohort_comm *part, const cohort_comm *whole, counters before) {
  part->bytes_received += whole->bytes_received - before.received;
  part->bytes_sent += whole->bytes_sent - before.sent;
  part->messages += whole->messages - before.messages;
}

static cohort_message *translate(part_state *own, int sends, const cohort_message *send, int receives,
                                 const cohort_message *receive) {
  cohort_message *list = cohort_scratch_take(&own->messages, (size_t)(sends + receives) * sizeof *list);
  for (int i = 0; i < sends + receives; i++) {
    list[i] = i < sends ? send[i] : receive[i - sends];
    list[i].rank = own->rank[list[i].rank];
  }
  return list;
}

static void part_exchange(cohort_comm *part, int sends, const cohort_message *send, int receives,
                          const cohort_message *receive) {
  part_state *const own = part->implementation;
  const counters before = look(own->whole);
  cohort_message *list = translate(own, sends, send, receives, receive);
  const double start = cohort_clock_seconds();
  cohort_comm_wait_begins(part, start);
  own->whole->exchange(own->whole, sends, list, receives, list + sends);
  cohort_comm_wait_ends(part);
  part->seconds += cohort_clock_seconds() - start;
  count(part, own->whole, before);
}

static int part_post(cohort_comm *part, cohort_channel channel, int sends, const cohort_message *send, int receives,
                     const cohort_message *receive) {
  part_state *const own = part->implementation;
  const counters before = look(own->whole);
  cohort_message *list = translate(own, sends, send, receives, receive);
  cohort_comm_count(part, cohort_clock_seconds());
  part->flights++;
  const int ticket = own->whole->post(own->whole, channel, sends, list, receives, list + sends);
  count(part, own->whole, before);
  return ticket;
}

static void land(cohort_comm *part) {
  cohort_comm_count(part, cohort_clock_seconds());
  part->flights--;
}

static bool part_test(cohort_comm *part, int ticket) {
  part_state *const own = part->implementation;
  const bool done = own->whole->test(own->whole, ticket);
  if (done) land(part);
  return done;
}

static void part_wait(cohort_comm *part, int ticket) {
  part_state *const own = part->implementation;
  const double start = cohort_clock_seconds();
  cohort_comm_wait_begins(part, start);
  own->whole->wait(own->whole, ticket);
  land(part);
  cohort_comm_wait_ends(part);
  part->seconds += cohort_clock_seconds() - start;
}

static void part_await(cohort_comm *part, const _Atomic uint64_t *flag, uint64_t value) {
  part_state *const own = part->implementation;
  const double start = cohort_clock_seconds();
  cohort_comm_wait_begins(part, start);
  own->whole->await(own->whole, flag, value);
  cohort_comm_wait_ends(part);
  part->seconds += cohort_clock_seconds() - start;
}

/* How a rank sleeps is the part's, as the part's wait ends it. */
static void lend(const cohort_comm *from, cohort_comm *to) {
  to->many = from->many;
  to->crowded = from->crowded;
  to->short_slices = from->short_slices;
  to->sleeps = from->sleeps;
  to->crowded_until = from->crowded_until;
  to->rung = from->rung;
}

static void part_idle(cohort_comm *part) {
  part_state *const own = part->implementation;
  lend(part, own->whole);
  own->whole->idle(own->whole);
  lend(own->whole, part);
  own->whole->sleeps = false;
}

static void part_abort(cohort_comm *part, int status) {
  part_state *const own = part->implementation;
  own->whole->abort(own->whole, status);
}

/* Hosts as the whole world numbers them, from 0 in the order of first ranks again. */
static void number_hosts(cohort_comm *part, const part_state *own, bool apart) {
  int *host = cohort_allocate((size_t)part->size * sizeof *host);
  part->hosts = 0;
  for (int r = 0; r < part->size; r++) {
    const int *of = own->whole->host;
    const bool new_host = r == 0 || apart || (of && of[own->rank[r]] != of[own->rank[r - 1]]);
    if (new_host) part->hosts++;
    host[r] = part->hosts - 1;
  }
  part->host = host;
}

static void take_bells(cohort_comm *part, part_state *own) {
  const cohort_shared_memory *bells = own->whole->bells;
  if (!bells) return;
  own->bells.part = cohort_allocate((size_t)part->size * sizeof *own->bells.part);
  for (int r = 0; r < part->size; r++) own->bells.part[r] = bells->part[own->rank[r]];
  own->bells.comm = part;
  part->bells = &own->bells;
}

void cohort_comm_part_open(cohort_comm *whole, int ranks, const int *rank, bool apart, cohort_comm *out) {
  part_state *own = cohort_allocate(sizeof *own);
  own->whole = whole;
  own->rank = cohort_allocate((size_t)ranks * sizeof *own->rank);
  memcpy(own->rank, rank, (size_t)ranks * sizeof *rank);
  *out = cohort_comm_alone();
  out->implementation = own;
  out->abort = part_abort;
  out->watched = whole->watched;
  out->one_process = whole->one_process;
  if (ranks == 1) return;
  out->size = ranks;
  while (rank[out->rank] != whole->rank) out->rank++;
  out->exchange = part_exchange;
  out->post = part_post;
  out->test = part_test;
  out->wait = part_wait;
  out->await = part_await;
  out->idle = part_idle;
  number_hosts(out, own, apart);
  take_bells(out, own);
}

void cohort_comm_part_close(cohort_comm *part) {
  part_state *own = part->implementation;
  if (!own) return;
  cohort_scratch_release(&own->messages);
  free(own->bells.part);
  free(own->rank);
  free(own);
  if (part->size > 1) free((int *)(uintptr_t)part->host);
  *part = cohort_comm_alone();
}

int cohort_comm_split(cohort_comm *whole, int parts, cohort_comm *out) {
  int number = 0;
  while (whole->rank >= (int)((int64_t)whole->size * (number + 1) / parts)) number++;
  const int first = (int)((int64_t)whole->size * number / parts);
  const int end = (int)((int64_t)whole->size * (number + 1) / parts);
  int *rank = cohort_allocate((size_t)(end - first) * sizeof *rank);
  for (int r = first; r < end; r++) rank[r - first] = r;
  cohort_comm_part_open(whole, end - first, rank, false, out);
  free(rank);
  return number;
}
