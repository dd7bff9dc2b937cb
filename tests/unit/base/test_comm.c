#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/comm.h"
#include "base/processor.h"
#include "check.h"

static const int sizes[] = {1, 2, 3, 4, 8};
enum { SIZES = 5, MOST_RANKS = 8 };

/* CUnit is not made for threads: ranks count what is wrong, and the test looks at the count. */
typedef struct shared {
  _Atomic int wrong, arrived;
  int where;
} shared;

static void expect(shared *all, bool holds) {
  if (!holds) all->wrong++;
}

static void run_everywhere(cohort_rank_function function) {
  for (int i = 0; i < SIZES; i++) {
    shared all = {0};
    CU_ASSERT_EQUAL(cohort_comm_run_threads(sizes[i], function, &all), COHORT_DONE);
    CU_ASSERT_EQUAL(all.wrong, 0);
  }
}

static cohort_status barrier(cohort_comm *comm, void *argument) {
  shared *all = argument;
  for (int round = 1; round <= 50; round++) {
    all->arrived++;
    cohort_comm_barrier(comm);
    expect(all, all->arrived >= round * comm->size);
    cohort_comm_barrier(comm);
    expect(all, all->arrived <= round * comm->size + comm->size);
  }
  return COHORT_DONE;
}

static cohort_status broadcast(cohort_comm *comm, void *argument) {
  shared *all = argument;
  const size_t lengths[] = {0, 1, 1000, 100000};
  unsigned char *data = malloc(100000);
  for (int root = 0; root < comm->size; root++) {
    for (size_t l = 0; l < 4; l++) {
      memset(data, comm->rank == root ? 100 + root : 1, 100000);
      cohort_comm_broadcast(comm, root, data, lengths[l]);
      for (size_t i = 0; i < lengths[l]; i++) expect(all, data[i] == 100 + root);
      if (comm->rank != root && lengths[l] < 100000) expect(all, data[lengths[l]] == 1);
    }
  }
  free(data);
  return COHORT_DONE;
}

static cohort_status gather_all(cohort_comm *comm, void *argument) {
  shared *all = argument;
  /* Parts of different lengths, some empty, not in the order of ranks. */
  size_t offsets[MOST_RANKS], bytes[MOST_RANKS], at = 0;
  unsigned char data[1000];
  for (int rank = comm->size - 1; rank >= 0; rank--) {
    bytes[rank] = rank == 1 ? 0 : (size_t)(7 * rank + 5);
    offsets[rank] = at;
    at += bytes[rank] + 1;
  }
  memset(data, 0, sizeof data);
  memset(data + offsets[comm->rank], comm->rank + 1, bytes[comm->rank]);
  cohort_comm_gather_all(comm, data, offsets, bytes);
  for (int rank = 0; rank < comm->size; rank++) {
    for (size_t i = 0; i < bytes[rank]; i++) expect(all, data[offsets[rank] + i] == rank + 1);
    expect(all, data[offsets[rank] + bytes[rank]] == 0);
  }
  return COHORT_DONE;
}

static cohort_status agree(cohort_comm *comm, void *argument) {
  shared *all = argument;
  for (int winner = 0; winner < comm->size; winner++) {
    expect(all, cohort_comm_agree(comm, comm->rank == winner ? 1000 : comm->rank) == 1000);
    expect(all, cohort_comm_agree(comm, comm->rank == winner ? -3 : INT64_MIN) == -3);
  }
  return COHORT_DONE;
}

static cohort_status agree_error(cohort_comm *comm, void *argument) {
  shared *all = argument;
  cohort_error error = {0};
  expect(all, cohort_comm_agree_error(comm, COHORT_DONE, &error) == COHORT_DONE);
  for (int failing = 0; failing < comm->size; failing++) {
    cohort_status status = COHORT_DONE;
    if (comm->rank >= failing) status = cohort_fail(&error, COHORT_BAD_DATA, "file %d; mend it", comm->rank);
    status = cohort_comm_agree_error(comm, status, comm->rank == failing || comm->rank % 2 ? &error : NULL);
    expect(all, status == COHORT_BAD_DATA);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "file %d; mend it", failing);
    if (comm->rank % 2) expect(all, error.status == COHORT_BAD_DATA && !strcmp(error.text, wanted));
  }
  const cohort_status mixed = comm->rank == comm->size - 1 ? COHORT_DIVERGED : COHORT_BAD_CONFIG;
  cohort_fail(&error, mixed, "rank %d", comm->rank);
  expect(all, cohort_comm_agree_error(comm, mixed, &error) == COHORT_DIVERGED);
  char wanted[64];
  snprintf(wanted, sizeof wanted, "rank %d", comm->size - 1);
  expect(all, !strcmp(error.text, wanted));
  return COHORT_DONE;
}

/* Two messages a pair, of different lengths, one of them empty: they match in the order of the lists, whatever order
 * the pairs stand in; the counters hold what went over. */
static cohort_status exchange(cohort_comm *comm, void *argument) {
  shared *all = argument;
  const int size = comm->size;
  int out[MOST_RANKS][3], in[MOST_RANKS][3];
  cohort_message send[3 * MOST_RANKS], receive[3 * MOST_RANKS];
  for (int i = 0; i < size; i++) {
    const int to = (comm->rank + i) % size, from = size - 1 - i;
    for (int part = 0; part < 3; part++) out[to][part] = 1000 * comm->rank + 10 * to + part;
    send[3 * i] = (cohort_message){to, &out[to][0], sizeof(int)};
    send[3 * i + 1] = (cohort_message){to, NULL, 0};
    send[3 * i + 2] = (cohort_message){to, &out[to][1], 2 * sizeof(int)};
    receive[i] = (cohort_message){from, &in[from][0], sizeof(int)};
    receive[size + i] = (cohort_message){from, NULL, 0};
    receive[2 * size + i] = (cohort_message){from, &in[from][1], 2 * sizeof(int)};
  }
  for (int round = 0; round < 20; round++) {
    memset(in, 0, sizeof in);
    comm->exchange(comm, 3 * size, send, 3 * size, receive);
    for (int from = 0; from < size; from++) {
      for (int part = 0; part < 3; part++) expect(all, in[from][part] == 1000 * from + 10 * comm->rank + part);
    }
  }
  if (size > 1) {
    expect(all, comm->bytes_sent == 20 * 3 * sizeof(int) * (size_t)size);
    expect(all, comm->bytes_received == comm->bytes_sent);
    expect(all, comm->messages == 20 * 2 * (uint64_t)size && comm->seconds >= 0);
  }
  return COHORT_DONE;
}

/* One rank aborts; the others wait for it, or would, for ever. */
static cohort_status aborts(cohort_comm *comm, void *argument) {
  shared *all = argument;
  cohort_comm_barrier(comm);
  if (comm->rank == all->where) comm->abort(comm, COHORT_BAD_DATA);
  for (int round = 0; round < 1000; round++) cohort_comm_barrier(comm);
  return COHORT_DONE;
}

static cohort_status aborts_in_a_copy(cohort_comm *comm, void *argument) {
  shared *all = argument;
  char block[4096] = {0};
  for (int round = 0; comm->rank != all->where || round < 3; round++) {
    const cohort_message send = {(comm->rank + 1) % comm->size, block, sizeof block};
    char other[sizeof block];
    const cohort_message receive = {(comm->rank + comm->size - 1) % comm->size, other, sizeof other};
    comm->exchange(comm, 1, &send, 1, &receive);
  }
  comm->abort(comm, COHORT_STOPPED);
  return COHORT_DONE;
}

static void test_abort(void) {
  for (int i = 0; i < SIZES; i++) {
    for (int where = 0; where < sizes[i]; where++) {
      shared all = {.where = where};
      CU_ASSERT_EQUAL(cohort_comm_run_threads(sizes[i], aborts, &all), COHORT_BAD_DATA);
      CU_ASSERT_EQUAL(cohort_comm_run_threads(sizes[i], aborts_in_a_copy, &all), COHORT_STOPPED);
    }
  }
}

static cohort_status leaves(cohort_comm *comm, void *argument) {
  shared *all = argument;
  if (comm->rank == all->where) return COHORT_DONE;
  cohort_comm_barrier(comm);
  return COHORT_DONE;
}

static void test_a_lost_rank_is_noticed(void) {
  for (int i = 1; i < SIZES; i++) {
    shared all = {.where = sizes[i] - 1};
    CU_ASSERT_EQUAL(cohort_comm_run_threads(sizes[i], leaves, &all), COHORT_RANK_LOST);
  }
}

static cohort_status unequal(cohort_comm *comm, void *argument) {
  (void)argument;
  return comm->rank == 1 ? COHORT_DIVERGED : COHORT_BAD_DATA;
}

static void test_the_largest_status(void) {
  CU_ASSERT_EQUAL(cohort_comm_run_threads(3, unequal, NULL), COHORT_DIVERGED);
}

static double processor_seconds(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* On a crowded host who waits sleeps: 100 ms of waiting take the processor a few; and every wait ends. */
static cohort_status crowded(cohort_comm *comm, void *argument) {
  shared *all = argument;
  static _Atomic uint64_t flag[2];
  cohort_comm_bells_open(comm);
  expect(all, comm->many == (comm->size > cohort_processor_cores()));
  comm->many = false;
  comm->crowded_until = 1e18;
  if (comm->rank == 0) flag[0] = flag[1] = 0;
  cohort_comm_barrier(comm);
  const double before = processor_seconds();
  if (comm->rank == 1) {
    (void)nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    flag[1] = 1;
    cohort_comm_ring(comm, 0);
  } else {
    comm->await(comm, &flag[1], 1);
  }
  expect(all, processor_seconds() - before < 0.05);
  for (uint64_t round = 2; round < 500; round++) {
    flag[comm->rank] = round;
    cohort_comm_ring(comm, 1 - comm->rank);
    comm->await(comm, &flag[1 - comm->rank], round);
  }
  cohort_comm_bells_close(comm);
  return COHORT_DONE;
}

static void test_crowded(void) {
  shared all = {0};
  CU_ASSERT_EQUAL(cohort_comm_run_threads(2, crowded, &all), COHORT_DONE);
  CU_ASSERT_EQUAL(all.wrong, 0);
}

static void test_alone(void) {
  cohort_comm alone = cohort_comm_alone();
  shared all = {0};
  CU_ASSERT_EQUAL(alone.size, 1);
  barrier(&alone, &all);
  all.arrived = 0;
  broadcast(&alone, &all);
  gather_all(&alone, &all);
  agree(&alone, &all);
  agree_error(&alone, &all);
  exchange(&alone, &all);
  CU_ASSERT_EQUAL(all.wrong, 0);
}

/* Parts of a world: even and odd ranks, halves, all; with the whole used in between. Each works like a world. */
typedef struct parts {
  shared whole, part[2 * MOST_RANKS];
} parts;

static void use(cohort_comm *comm, shared *all) {
  barrier(comm, all);
  broadcast(comm, all);
  gather_all(comm, all);
  agree(comm, all);
  agree_error(comm, all);
  comm->bytes_sent = comm->bytes_received = comm->messages = 0;
  exchange(comm, all);
}

/* Every rank of the part writes into memory that the others of its host read. */
static void share(cohort_comm *comm, shared *all) {
  cohort_shared_memory *memory = NULL;
  expect(all, cohort_shared_memory_create(comm, sizeof(int), "a test", &memory, NULL) == COHORT_DONE);
  *(int *)(void *)memory->part[comm->rank] = 100 + comm->rank;
  cohort_comm_barrier(comm);
  for (int r = 0; r < comm->size; r++) {
    const bool near = r == comm->rank || !comm->host || comm->host[r] == comm->host[comm->rank];
    expect(all, near ? *(const int *)(void *)memory->part[r] == 100 + r : !memory->part[r]);
  }
  cohort_comm_barrier(comm);
  cohort_shared_memory_destroy(memory);
}

static cohort_status split(cohort_comm *comm, void *argument) {
  parts *all = argument;
  int rank[MOST_RANKS], ranks = 0;
  cohort_comm part, half, apart;
  for (int r = comm->rank % 2; r < comm->size; r += 2) rank[ranks++] = r;
  cohort_comm_part_open(comm, ranks, rank, false, &part);
  shared *own = &all->part[comm->rank % 2];
  expect(own, part.size == ranks && rank[part.rank] == comm->rank);
  use(&part, own);
  use(comm, &all->whole);
  share(&part, own);
  const uint64_t sent = part.messages;
  const int number = cohort_comm_split(comm, 2, &half);
  expect(own, half.size == comm->size * (number + 1) / 2 - comm->size * number / 2);
  use(&half, &all->part[MOST_RANKS + number]);
  expect(own, part.messages == sent && (half.size == 1 || half.messages > 0) && comm->messages >= half.messages);
  for (int r = 0; r < comm->size; r++) rank[r] = r;
  cohort_comm_part_open(comm, comm->size, rank, true, &apart);
  expect(own, apart.hosts == comm->size);
  if (comm->size > 1) share(&apart, own);
  expect(own, comm->hosts <= 2);
  cohort_comm_part_close(&apart);
  cohort_comm_part_close(&half);
  cohort_comm_part_close(&part);
  return COHORT_DONE;
}

static void test_parts(void) {
  for (int i = 0; i < SIZES; i++)
    for (int hosts = 1; hosts <= 2 && hosts <= sizes[i]; hosts++) {
      static parts all;
      memset(&all, 0, sizeof all);
      const int per_host = (sizes[i] + hosts - 1) / hosts;
      CU_ASSERT_EQUAL(cohort_comm_run_threads_on_hosts(sizes[i], per_host, split, &all), COHORT_DONE);
      CU_ASSERT_EQUAL(all.whole.wrong, 0);
      for (int p = 0; p < 2 * MOST_RANKS; p++) CU_ASSERT_EQUAL(all.part[p].wrong, 0);
    }
}

static void test_barrier(void) { run_everywhere(barrier); }
static void test_broadcast(void) { run_everywhere(broadcast); }
static void test_gather_all(void) { run_everywhere(gather_all); }
static void test_agree(void) { run_everywhere(agree); }
static void test_agree_error(void) { run_everywhere(agree_error); }
static void test_exchange(void) { run_everywhere(exchange); }

static const check checks[] = {
    {"barrier", test_barrier},
    {"broadcast", test_broadcast},
    {"gather all", test_gather_all},
    {"agree", test_agree},
    {"agree on an error", test_agree_error},
    {"exchange", test_exchange},
    {"abort", test_abort},
    {"a lost rank is noticed", test_a_lost_rank_is_noticed},
    {"the largest status", test_the_largest_status},
    {"crowded", test_crowded},
    {"alone", test_alone},
    {"parts", test_parts},
};

int main(void) { return check_run("comm", checks, sizeof checks / sizeof *checks); }
