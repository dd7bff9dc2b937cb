/* What ranks post, await and show one another (base/comm.h), on ranks that are threads of one process. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/comm.h"
#include "check.h"

enum { MOST_RANKS = 8 };
static const size_t big = (size_t)5 << 20;

typedef struct shared {
  _Atomic int wrong, stage;
  _Atomic uint64_t flag[MOST_RANKS];
  int where;
} shared;

static void expect(shared *all, bool holds) {
  if (!holds) all->wrong++;
}

static void run_everywhere(cohort_rank_function function) {
  for (int ranks = 1; ranks <= MOST_RANKS; ranks++) {
    for (int hosts = 1; hosts <= 4 && hosts <= ranks; hosts++) {
      shared all = {0};
      const int per_host = (ranks + hosts - 1) / hosts;
      CU_ASSERT_EQUAL(cohort_comm_run_threads_on_hosts(ranks, per_host, function, &all), COHORT_DONE);
      CU_ASSERT_EQUAL(all.wrong, 0);
    }
  }
}

static cohort_status hosts(cohort_comm *comm, void *argument) {
  shared *all = argument;
  expect(all, comm->size == 1 || comm->host);
  for (int r = 0; r < comm->size && comm->host; r++) {
    const int before = r ? comm->host[r - 1] : 0;
    expect(all, comm->host[r] == before || comm->host[r] == before + 1);
  }
  expect(all, !comm->host || comm->hosts == comm->host[comm->size - 1] + 1);
  return COHORT_DONE;
}

/* Several transfers in each channel, in flight at once, finished in another order than posted and by both means. What
 * rank a sends to rank b as number k of a channel is one value, so an exchange of places anywhere is seen. */
static cohort_status many_at_once(cohort_comm *comm, void *argument) {
  enum { IN_FLIGHT = 5, PARTS = 3 };
  shared *all = argument;
  const int size = comm->size;
  static const size_t words[PARTS] = {1, 0, 700};
  int *memory = calloc(2 * COHORT_CHANNELS * IN_FLIGHT * PARTS * MOST_RANKS * 700, sizeof *memory);
  int tickets[COHORT_CHANNELS][IN_FLIGHT];
  for (int round = 0; round < 3; round++) {
    int *place = memory, *landed[COHORT_CHANNELS][IN_FLIGHT][PARTS][MOST_RANKS];
    for (int channel = 0; channel < COHORT_CHANNELS; channel++) {
      for (int k = 0; k < IN_FLIGHT; k++) {
        cohort_message send[PARTS * MOST_RANKS], receive[PARTS * MOST_RANKS];
        int count = 0;
        for (int i = 0; i < size; i++) {
          const int other = (comm->rank + i) % size; /* both sides of a pair see its messages in the order of parts */
          for (int part = 0; part < PARTS; part++, count++) {
            for (size_t w = 0; w < words[part]; w++)
              place[w] = ((((round * 2 + channel) * 8 + k) * 4 + part) * 8 + comm->rank) * 8 + other;
            send[count] = (cohort_message){other, place, words[part] * sizeof(int)};
            place += words[part];
            receive[count] = (cohort_message){other, place, words[part] * sizeof(int)};
            landed[channel][k][part][other] = place;
            place += words[part];
          }
        }
        tickets[channel][k] = comm->post(comm, (cohort_channel)channel, count, send, count, receive);
        expect(all, tickets[channel][k] >= 0 && tickets[channel][k] < COHORT_CHANNELS * IN_FLIGHT);
        memset(send, 0, sizeof send); /* the lists are not the transfer's */
        memset(receive, 0, sizeof receive);
      }
    }
    cohort_comm_barrier(comm); /* exchange goes its own way */
    for (int k = IN_FLIGHT - 1; k >= 0; k--) {
      for (int channel = 0; channel < COHORT_CHANNELS; channel++) {
        if ((k + comm->rank) % 2)
          comm->wait(comm, tickets[channel][k]);
        else
          while (!comm->test(comm, tickets[channel][k])) comm->idle(comm);
        for (int part = 0; part < PARTS; part++)
          for (int other = 0; other < size; other++)
            for (size_t w = 0; w < words[part]; w++)
              expect(all, landed[channel][k][part][other][w] ==
                              ((((round * 2 + channel) * 8 + k) * 4 + part) * 8 + other) * 8 + comm->rank);
      }
    }
    cohort_comm_barrier(comm);
  }
  expect(all, comm->flights == 0);
  free(memory);
  return COHORT_DONE;
}

/* Nothing to send is done at once. */
static cohort_status nothing(cohort_comm *comm, void *argument) {
  shared *all = argument;
  const cohort_message none = {(comm->rank + 1) % comm->size, NULL, 0};
  const int ticket = comm->post(comm, COHORT_CHANNEL_GATHER, 1, &none, 1, &none);
  expect(all, comm->test(comm, ticket));
  comm->wait(comm, comm->post(comm, COHORT_CHANNEL_REDUCE, 0, NULL, 0, NULL));
  expect(all, comm->messages == 0 && comm->bytes_sent == 0);
  return COHORT_DONE;
}

/* Messages of several MiB around the ring, in place of what another channel sends the other way. */
static cohort_status large(cohort_comm *comm, void *argument) {
  shared *all = argument;
  const int next = (comm->rank + 1) % comm->size, last = (comm->rank + comm->size - 1) % comm->size;
  unsigned char *out = malloc(big), *in = malloc(big), *back = malloc(big);
  memset(out, comm->rank + 1, big);
  const cohort_message send = {next, out, big}, receive = {last, in, big};
  const cohort_message send_back = {last, out, big}, receive_back = {next, back, big};
  const int first = comm->post(comm, COHORT_CHANNEL_REDUCE, 1, &send, 1, &receive);
  const int second = comm->post(comm, COHORT_CHANNEL_GATHER, 1, &send_back, 1, &receive_back);
  expect(all, comm->size == 1 || first != second);
  comm->wait(comm, second);
  comm->wait(comm, first);
  for (size_t i = 0; i < big; i += 997) expect(all, in[i] == last + 1 && back[i] == next + 1);
  if (comm->size > 1)
    expect(all, comm->bytes_received == 2 * big && comm->bytes_sent == 2 * big && comm->messages == 2);
  free(out);
  free(in);
  free(back);
  return COHORT_DONE;
}

/* Rank 0 posts its receives long before anyone sends: not done until all have come. */
static cohort_status test_before_arrival(cohort_comm *comm, void *argument) {
  shared *all = argument;
  int value[MOST_RANKS] = {0}, own = 10 + comm->rank;
  if (comm->rank == 0) {
    cohort_message receive[MOST_RANKS];
    for (int r = 1; r < comm->size; r++) receive[r - 1] = (cohort_message){r, &value[r], sizeof(int)};
    const int ticket = comm->post(comm, COHORT_CHANNEL_REDUCE, 0, NULL, comm->size - 1, receive);
    if (comm->size > 1) expect(all, !comm->test(comm, ticket) && comm->flights == 1);
    const double hidden = comm->hidden;
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    cohort_comm_barrier(comm);
    if (comm->size > 1) expect(all, comm->hidden >= hidden + 0.002);
    comm->wait(comm, ticket);
    for (int r = 1; r < comm->size; r++) expect(all, value[r] == 10 + r);
    return COHORT_DONE;
  }
  cohort_comm_barrier(comm);
  const cohort_message send = {0, &own, sizeof own};
  comm->wait(comm, comm->post(comm, COHORT_CHANNEL_REDUCE, 1, &send, 0, NULL));
  return COHORT_DONE;
}

/* A wait with a ticket outstanding is exposed; what of the flight is not a wait is hidden; nothing is counted twice. */
static cohort_status exposed(cohort_comm *comm, void *argument) {
  shared *all = argument;
  char in = 0, out = 1;
  const int next = (comm->rank + 1) % comm->size, last = (comm->rank + comm->size - 1) % comm->size;
  if (comm->size == 1) return COHORT_DONE;
  const cohort_message send = {next, &out, 1}, receive = {last, &in, 1};
  if (comm->rank > 0) {
    if (comm->rank == comm->size - 1) {
      comm->await(comm, &all->flag[0], 1);
      nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    const int ticket = comm->post(comm, COHORT_CHANNEL_GATHER, 1, &send, 0, NULL);
    comm->wait(comm, comm->post(comm, COHORT_CHANNEL_GATHER, 0, NULL, 1, &receive));
    comm->wait(comm, ticket);
    return COHORT_DONE;
  }
  const int ticket = comm->post(comm, COHORT_CHANNEL_GATHER, 0, NULL, 1, &receive);
  const double start = cohort_clock_seconds(), seconds = comm->seconds;
  cohort_comm_count(comm, start);
  const double hidden = comm->hidden;
  atomic_store_explicit(&all->flag[0], 1, memory_order_release);
  comm->wait(comm, ticket);
  const double whole = cohort_clock_seconds() - start;
  const double waited = comm->seconds - seconds, worked = comm->hidden - hidden;
  expect(all, waited > 0 && worked >= 0 && waited + worked >= 0.019 && waited + worked <= whole + 1e-9);
  comm->wait(comm, comm->post(comm, COHORT_CHANNEL_GATHER, 1, &send, 0, NULL));
  return COHORT_DONE;
}

/* A counter goes round: each rank raises its own flag after its predecessor's. What was written before is seen. */
static cohort_status await(cohort_comm *comm, void *argument) {
  enum { ROUNDS = 50 };
  shared *all = argument;
  const int last = (comm->rank + comm->size - 1) % comm->size;
  for (uint64_t round = 1; round <= ROUNDS; round++) {
    if (comm->rank || comm->size == 1) {
      if (comm->size > 1) comm->await(comm, &all->flag[last], round);
      all->stage++;
    } else {
      comm->await(comm, &all->flag[last], round - 1);
      expect(all, all->stage == (int)(round - 1) * comm->size);
      all->stage++;
    }
    atomic_store_explicit(&all->flag[comm->rank], round, memory_order_release);
  }
  comm->await(comm, &all->flag[last], ROUNDS);
  comm->await(comm, &all->flag[last], 3);
  return COHORT_DONE;
}

/* Each rank's part is as large as it asked for, zero, and seen by the ranks of its host alone. */
static cohort_status segments(cohort_comm *comm, void *argument) {
  shared *all = argument;
  cohort_error error = {0};
  cohort_shared_memory *region = NULL;
  const size_t bytes = comm->rank == 1 ? 0 : comm->rank == 2 ? big : 1000 + (size_t)comm->rank;
  expect(all, cohort_shared_memory_create(comm, bytes, "a test", &region, &error) == COHORT_DONE);
  char *own = region->part[comm->rank];
  expect(all, own && (uintptr_t)own % (bytes == big ? 2 << 20 : 64) == 0);
  for (size_t i = 0; i < bytes; i += 100) expect(all, own[i] == 0);
  if (bytes) own[0] = (char)(comm->rank + 1), own[bytes - 1] = (char)(comm->rank + 2);
  cohort_comm_barrier(comm);
  for (int r = 0; r < comm->size; r++) {
    const bool mate = r == comm->rank || comm->host[r] == comm->host[comm->rank];
    expect(all, region->bytes[r] == (r == 1 ? 0 : r == 2 ? big : 1000 + (size_t)r));
    expect(all, (region->part[r] != NULL) == mate);
    if (mate && region->bytes[r])
      expect(all, region->part[r][0] == r + 1 && region->part[r][region->bytes[r] - 1] == r + 2);
  }
  cohort_shared_memory_destroy(region);
  return COHORT_DONE;
}

/* A rank that wants what no machine has: all say so. */
static cohort_status too_large(cohort_comm *comm, void *argument) {
  shared *all = argument;
  cohort_error error = {0};
  cohort_shared_memory *region = NULL;
  const size_t bytes = comm->rank == comm->size - 1 ? SIZE_MAX / 2 : 100;
  expect(all, cohort_shared_memory_create(comm, bytes, "everything", &region, &error) == COHORT_NO_RESOURCE);
  expect(all, !region && strstr(error.text, "everything"));
  return COHORT_DONE;
}

/* One rank aborts while others wait for a transfer, a flag, or test for ever. */
static cohort_status aborts(cohort_comm *comm, void *argument) {
  shared *all = argument;
  char byte = 0;
  const cohort_message receive = {all->where, &byte, 1};
  cohort_comm_barrier(comm);
  if (comm->rank == all->where) {
    nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
    comm->abort(comm, COHORT_BAD_DATA);
  }
  const int way = (comm->rank + all->where) % 3;
  if (way == 1) comm->await(comm, &all->flag[0], 1);
  const int ticket = comm->post(comm, COHORT_CHANNEL_REDUCE, 0, NULL, 1, &receive);
  while (way == 2 && !comm->test(comm, ticket)) continue;
  comm->wait(comm, ticket);
  return COHORT_DONE;
}

static void test_abort(void) {
  for (int ranks = 2; ranks <= MOST_RANKS; ranks++) {
    for (int where = 0; where < ranks; where++) {
      shared all = {.where = where};
      CU_ASSERT_EQUAL(cohort_comm_run_threads_on_hosts(ranks, 2, aborts, &all), COHORT_BAD_DATA);
    }
  }
}

/* The last rank ends and leaves the others waiting. */
static cohort_status leaves(cohort_comm *comm, void *argument) {
  shared *all = argument;
  char byte = 0;
  const cohort_message receive = {comm->size - 1, &byte, 1};
  if (comm->rank == comm->size - 1) return COHORT_DONE;
  if (all->where == 1) comm->await(comm, &all->flag[0], 1);
  const int ticket = comm->post(comm, COHORT_CHANNEL_REDUCE, 0, NULL, 1, &receive);
  while (comm->rank % 2 && !comm->test(comm, ticket)) continue;
  comm->wait(comm, ticket);
  return COHORT_DONE;
}

static void test_a_lost_rank_is_noticed(void) {
  for (int ranks = 2; ranks <= MOST_RANKS; ranks++) {
    shared all = {0};
    CU_ASSERT_EQUAL(cohort_comm_run_threads(ranks, leaves, &all), COHORT_RANK_LOST);
  }
  shared all = {.where = 1};
  CU_ASSERT_EQUAL(cohort_comm_run_threads(2, leaves, &all), COHORT_RANK_LOST);
}

static void test_alone(void) {
  cohort_comm alone = cohort_comm_alone();
  shared all = {0};
  CU_ASSERT_EQUAL(alone.hosts, 1);
  hosts(&alone, &all);
  many_at_once(&alone, &all);
  nothing(&alone, &all);
  large(&alone, &all);
  await(&alone, &all);
  segments(&alone, &all);
  too_large(&alone, &all);
  CU_ASSERT_EQUAL(all.wrong, 0);
}

static void test_hosts(void) { run_everywhere(hosts); }
static void test_many_at_once(void) { run_everywhere(many_at_once); }
static void test_nothing(void) { run_everywhere(nothing); }
static void test_large(void) { run_everywhere(large); }
static void test_arrival(void) { run_everywhere(test_before_arrival); }
static void test_exposed(void) { run_everywhere(exposed); }
static void test_await(void) { run_everywhere(await); }
static void test_segments(void) { run_everywhere(segments); }
static void test_too_large(void) { run_everywhere(too_large); }

static const check checks[] = {
    {"hosts", test_hosts},
    {"many transfers at once", test_many_at_once},
    {"nothing to send", test_nothing},
    {"large messages", test_large},
    {"test before arrival", test_arrival},
    {"what is waited for is exposed", test_exposed},
    {"await", test_await},
    {"segments", test_segments},
    {"a segment too large", test_too_large},
    {"abort", test_abort},
    {"a lost rank is noticed", test_a_lost_rank_is_noticed},
    {"alone", test_alone},
};

int main(void) { return check_run("transfers", checks, sizeof checks / sizeof *checks); }
