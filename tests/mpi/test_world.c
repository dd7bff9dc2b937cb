/* Run by mpirun on 2, 3, 4 and 8 ranks: what base/comm.h builds on point-to-point messages, against MPI's own
 * collectives as oracle. With the argument "abort S", rank 1 ends the job with status S. Exit status 0 when all holds.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "mpi/world.h"

static int failures;

static void expect(const cohort_comm *comm, bool holds, const char *what) {
  if (holds) return;
  failures++;
  fprintf(stderr, "rank %d of %d: failed: %s\n", comm->rank, comm->size, what);
}

static uint64_t mixed(uint64_t x) { /* splitmix64 */
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

static void fill(unsigned char *data, size_t bytes, uint64_t seed) {
  for (size_t i = 0; i < bytes; i++) data[i] = (unsigned char)mixed(seed + i);
}

static void test_rank_and_size(cohort_comm *comm) {
  int rank = -1, size = -1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  expect(comm, comm->rank == rank && comm->size == size, "rank and size are those of MPI");
}

static void test_broadcast(cohort_comm *comm) {
  const size_t lengths[] = {0, 1, 7, 4096, 1000003};
  for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
    for (int root = 0; root < comm->size; root++) {
      const size_t bytes = lengths[l];
      unsigned char *const ours = cohort_allocate(bytes + 1);
      unsigned char *const theirs = cohort_allocate(bytes + 1);
      fill(ours, bytes, (uint64_t)comm->rank * 1000003u);
      memcpy(theirs, ours, bytes);
      cohort_comm_broadcast(comm, root, ours, bytes);
      MPI_Bcast(theirs, (int)bytes, MPI_BYTE, root, MPI_COMM_WORLD);
      expect(comm, memcmp(ours, theirs, bytes) == 0, "broadcast equals MPI_Bcast");
      free(ours);
      free(theirs);
    }
  }
}

static void test_gather_all(cohort_comm *comm) {
  enum { ROUNDS = 20, MOST = 64 };
  for (uint64_t round = 0; round < ROUNDS; round++) {
    size_t offsets[MOST], bytes[MOST], total = 3; /* not at the start, so that offsets matter */
    int places[MOST], counts[MOST];
    for (int i = 0; i < comm->size; i++) {
      bytes[i] = mixed(round * 97 + (uint64_t)i) % 5 == 0 ? 0 : mixed(round * 89 + (uint64_t)i) % 3000;
      offsets[i] = total;
      places[i] = (int)offsets[i];
      counts[i] = (int)bytes[i];
      total += bytes[i] + 5; /* gaps must stay as they are */
    }
    unsigned char *const ours = cohort_allocate(total);
    unsigned char *const theirs = cohort_allocate(total);
    memset(ours, 0xee, total);
    fill(ours + offsets[comm->rank], bytes[comm->rank], round * 7919 + (uint64_t)comm->rank * 104729u);
    memcpy(theirs, ours, total);
    cohort_comm_gather_all(comm, ours, offsets, bytes);
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, theirs, counts, places, MPI_BYTE, MPI_COMM_WORLD);
    expect(comm, memcmp(ours, theirs, total) == 0, "gather_all equals MPI_Allgatherv");
    free(ours);
    free(theirs);
  }
}

static void test_agree(cohort_comm *comm) {
  for (uint64_t round = 0; round < 200; round++) {
    const int64_t value = (int64_t)mixed(round * 31 + (uint64_t)comm->rank);
    int64_t largest = 0;
    MPI_Allreduce(&value, &largest, 1, MPI_INT64_T, MPI_MAX, MPI_COMM_WORLD);
    expect(comm, cohort_comm_agree(comm, value) == largest, "agree equals MPI_Allreduce with MPI_MAX");
  }
}

static void test_agree_error(cohort_comm *comm) {
  for (int culprit = 0; culprit < comm->size; culprit++) {
    cohort_error error = {0};
    cohort_status status = COHORT_DONE;
    if (comm->rank == culprit) status = cohort_fail(&error, COHORT_NO_RESOURCE, "disk of rank %d is full", culprit);
    if (comm->rank > culprit) status = cohort_fail(&error, COHORT_BAD_CONFIG, "smaller status");
    status = cohort_comm_agree_error(comm, status, &error);
    char text[64];
    snprintf(text, sizeof text, "disk of rank %d is full", culprit);
    expect(comm, status == COHORT_NO_RESOURCE && strcmp(error.text, text) == 0, "agree_error gives the worst to all");
  }
  cohort_error error = {0};
  expect(comm, cohort_comm_agree_error(comm, COHORT_DONE, &error) == COHORT_DONE, "agree_error of no error");
}

static void test_barrier(cohort_comm *comm) {
  for (int late = 0; late < comm->size; late++) {
    double entered = 0, left = 0, last_entered = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    if (comm->rank == late) usleep(30000);
    entered = cohort_clock_seconds(); /* MPI_Wtime counts from each rank's own start */
    cohort_comm_barrier(comm);
    left = cohort_clock_seconds();
    MPI_Allreduce(&entered, &last_entered, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    expect(comm, left + 1e-3 >= last_entered, "nobody leaves a barrier before the last has come");
  }
}

/* All to all with several messages a pair, of mixed sizes: they match in the order of the lists. */
static void test_exchange_order(cohort_comm *comm) {
  enum { PER_PAIR = 3, MOST = 8 * PER_PAIR, BYTES = 70000 };
  cohort_message send[MOST], receive[MOST];
  unsigned char *const out = cohort_allocate((size_t)MOST * BYTES);
  unsigned char *const in = cohort_allocate((size_t)MOST * BYTES);
  unsigned char *const wanted = cohort_allocate(BYTES);
  const size_t sizes[PER_PAIR] = {BYTES, 0, 16};
  int count = 0;
  uint64_t bytes = 0;
  for (int other = 0; other < comm->size && other < 8; other++) {
    if (other == comm->rank) continue;
    for (int k = 0; k < PER_PAIR; k++, count++) {
      const uint64_t seed = (uint64_t)((comm->rank * 64 + other) * 8 + k) << 20;
      fill(out + (size_t)count * BYTES, sizes[k], seed);
      send[count] = (cohort_message){other, out + (size_t)count * BYTES, sizes[k]};
      receive[count] = (cohort_message){other, in + (size_t)count * BYTES, sizes[k]};
      bytes += sizes[k];
    }
  }
  const uint64_t sent = comm->bytes_sent, received = comm->bytes_received, messages = comm->messages;
  comm->exchange(comm, count, send, count, receive);
  for (int i = 0; i < count; i++) {
    fill(wanted, sizes[i % PER_PAIR], (uint64_t)((receive[i].rank * 64 + comm->rank) * 8 + i % PER_PAIR) << 20);
    expect(comm, memcmp(receive[i].data, wanted, receive[i].bytes) == 0, "messages match in the order of the lists");
  }
  expect(comm, comm->bytes_sent - sent == bytes && comm->bytes_received - received == bytes, "bytes are counted");
  expect(comm, comm->messages - messages == (uint64_t)(count - count / PER_PAIR),
         "messages are counted, empty ones not");
  free(out);
  free(in);
  free(wanted);
}

/* Pairwise exchange of one message longer than a slice of 1 GiB, when asked for (it needs 4 GiB). */
static void test_long_message(cohort_comm *comm) {
  const size_t bytes = ((size_t)1 << 30) + 12345;
  const int other = comm->rank ^ 1;
  if (other >= comm->size || comm->rank > 1) return;
  unsigned char *const out = cohort_allocate(bytes);
  unsigned char *const in = cohort_allocate(bytes);
  for (size_t i = 0; i < bytes; i += 4093) out[i] = (unsigned char)(i / 4093 + (size_t)comm->rank);
  comm->exchange(comm, 1, &(cohort_message){other, out, bytes}, 1, &(cohort_message){other, in, bytes});
  bool same = true;
  for (size_t i = 0; i < bytes; i += 4093) same = same && in[i] == (unsigned char)(i / 4093 + (size_t)other);
  expect(comm, same, "a message beyond 1 GiB arrives whole");
  free(out);
  free(in);
}

static void test_hosts(cohort_comm *comm) {
  int local_rank = -1, local_size = -1, most = 0;
  cohort_world_local(comm, &local_rank, &local_size);
  MPI_Comm shared;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &shared);
  MPI_Comm_size(shared, &most);
  int rank = -1;
  MPI_Comm_rank(shared, &rank);
  expect(comm, local_rank == rank && local_size == most, "local rank and size are those of MPI");
  MPI_Comm_free(&shared);
  char *const hosts = cohort_world_hosts(comm);
  expect(comm, (hosts != NULL) == (comm->rank == 0), "hosts are for rank 0");
  int commas = 0;
  for (const char *c = hosts; c && *c; c++) commas += *c == ',';
  expect(comm, comm->rank != 0 || commas == comm->size - 1, "one host name a rank");
  free(hosts);
}

int main(int count, char **arguments) {
  cohort_comm comm;
  cohort_error error = {0};
  if (cohort_world_open(&comm, &error) != COHORT_DONE) {
    fprintf(stderr, "%s\n", error.text);
    return 1;
  }
  if (comm.size < 2) {
    fprintf(stderr, "test_world: needs mpirun with 2 ranks or more\n");
    return 1;
  }
  if (count == 3 && strcmp(arguments[1], "abort") == 0) {
    if (comm.rank == 1) comm.abort(&comm, atoi(arguments[2]));
    cohort_comm_barrier(&comm); /* never completes: rank 1 is gone */
    sleep(60);
    return 0;
  }
  test_rank_and_size(&comm);
  test_broadcast(&comm);
  test_gather_all(&comm);
  test_agree(&comm);
  test_agree_error(&comm);
  test_barrier(&comm);
  test_exchange_order(&comm);
  test_hosts(&comm);
  if (count == 2 && strcmp(arguments[1], "long") == 0) test_long_message(&comm);
  int all = 0;
  MPI_Allreduce(&failures, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  if (comm.rank == 0) printf("test_world: %d ranks, %d failures\n", comm.size, all);
  cohort_world_close(&comm);
  return all != 0;
}
