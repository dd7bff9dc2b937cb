/* Run by mpirun on 1, 2, 3 and 4 ranks: transfers that are posted, flags in shared memory, segments. With the argument
 * "blind", rank 1 cannot look into /proc: the ranks are hosts of their own and all else holds; exit status 77 when that
 * cannot be arranged. With "wait" or "await", rank 1 stops itself while the others wait for it in that way: the job
 * ends with status 6. Exit status 0 when all holds. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
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

static unsigned char byte_at(int from, int to, int channel, int number, size_t i) {
  return (unsigned char)(from * 31 + to * 17 + channel * 7 + number * 3 + (int)(i % 251));
}

/* All to all, several at once in both channels, with exchanges in between; finished in another order than posted. */
static void test_many_at_once(cohort_comm *comm) {
  enum { NUMBERS = 3, MOST = 8 };
  static const size_t sizes[NUMBERS] = {1, 3000017, 0};
  unsigned char *out[COHORT_CHANNELS][NUMBERS][MOST], *in[COHORT_CHANNELS][NUMBERS][MOST];
  int ticket[COHORT_CHANNELS][NUMBERS];
  const uint64_t before = comm->bytes_received;
  for (int channel = 0; channel < COHORT_CHANNELS; channel++) {
    for (int k = 0; k < NUMBERS; k++) {
      cohort_message send[MOST], receive[MOST];
      for (int r = 0; r < comm->size; r++) {
        out[channel][k][r] = cohort_allocate(sizes[k]);
        in[channel][k][r] = cohort_allocate(sizes[k]);
        for (size_t i = 0; i < sizes[k]; i++) out[channel][k][r][i] = byte_at(comm->rank, r, channel, k, i);
        send[r] = (cohort_message){r, out[channel][k][r], sizes[k]};
        receive[r] = (cohort_message){r, in[channel][k][r], sizes[k]};
      }
      ticket[channel][k] = comm->post(comm, (cohort_channel)channel, comm->size, send, comm->size, receive);
    }
    cohort_comm_barrier(comm);
  }
  for (int k = NUMBERS - 1; k >= 0; k--) {
    for (int channel = 0; channel < COHORT_CHANNELS; channel++) {
      if (k % 2)
        while (!comm->test(comm, ticket[channel][k])) continue;
      else
        comm->wait(comm, ticket[channel][k]);
      for (int r = 0; r < comm->size; r++) {
        bool same = true;
        for (size_t i = 0; i < sizes[k]; i++) same &= in[channel][k][r][i] == byte_at(r, comm->rank, channel, k, i);
        expect(comm, same, "each message arrives in its channel and in order");
        free(out[channel][k][r]);
        free(in[channel][k][r]);
      }
    }
  }
  expect(comm, comm->flights == 0, "no ticket is left");
  if (comm->size > 1)
    expect(comm, comm->bytes_received - before >= (uint64_t)(2 * comm->size) * 3000018, "bytes are counted");
}

/* A receive that is posted early is done only after its message was sent; meanwhile time is hidden, in a wait not. */
static void test_hidden_and_exposed(cohort_comm *comm) {
  if (comm->size < 2 || comm->rank > 1) {
    cohort_comm_barrier(comm);
    return;
  }
  char byte = 0;
  const cohort_message other = {1 - comm->rank, &byte, 1};
  if (comm->rank == 1) {
    cohort_comm_barrier(comm);
    usleep(200000);
    comm->wait(comm, comm->post(comm, COHORT_CHANNEL_REDUCE, 1, &other, 0, NULL));
    return;
  }
  const int ticket = comm->post(comm, COHORT_CHANNEL_REDUCE, 0, NULL, 1, &other);
  const double hidden = comm->hidden, start = cohort_clock_seconds();
  while (cohort_clock_seconds() - start < 0.02) expect(comm, !comm->test(comm, ticket), "not done before it was sent");
  cohort_comm_barrier(comm);
  expect(comm, comm->hidden - hidden >= 0.02, "computing with a ticket outstanding is hidden time");
  const double seconds = comm->seconds;
  comm->wait(comm, ticket);
  expect(comm, comm->seconds - seconds >= 0.01, "waiting is exposed time");
}

typedef struct board {
  _Atomic uint64_t flag;
  uint64_t value;
} board;

/* Rounds of a barrier in shared memory between the ranks of a host, on parts of different sizes. */
static void test_segment(cohort_comm *comm, bool together) {
  cohort_shared_memory *region = NULL;
  cohort_error error = {0};
  const size_t bytes = sizeof(board) + (comm->rank == 1 ? (size_t)300 << 20 : (size_t)comm->rank * 5000);
  const cohort_status status = cohort_shared_memory_create(comm, bytes, "a test", &region, &error);
  expect(comm, status == COHORT_DONE, error.text);
  if (status != COHORT_DONE) return;
  expect(comm, comm->hosts == (together ? 1 : comm->size), "how many hosts");
  board *const own = (void *)region->part[comm->rank];
  char *const last = region->part[comm->rank] + bytes - 1;
  if (comm->rank) expect(comm, *last == 0, "memory is zero");
  *last = (char)comm->rank;
  for (uint64_t round = 1; round <= 200; round++) {
    own->value = round * 10 + (uint64_t)comm->rank;
    atomic_store_explicit(&own->flag, 2 * round - 1, memory_order_release);
    for (int r = 0; r < comm->size; r++) {
      const bool mate = r == comm->rank || comm->host[r] == comm->host[comm->rank];
      expect(comm, (region->part[r] != NULL) == mate, "parts of host-mates are there");
      if (!mate) continue;
      board *const other = (void *)region->part[r];
      comm->await(comm, &other->flag, 2 * round - 1);
      expect(comm, other->value == round * 10 + (uint64_t)r, "what was written before the flag is seen");
      if (r > 0) expect(comm, region->part[r][region->bytes[r] - 1] == (char)r, "the last byte is there");
    }
    atomic_store_explicit(&own->flag, 2 * round, memory_order_release);
    for (int r = 0; r < comm->size; r++)
      if (region->part[r]) comm->await(comm, &((board *)(void *)region->part[r])->flag, 2 * round);
  }
  cohort_shared_memory_destroy(region);
}

/* No descriptor stays open, however many segments come and go. */
static void test_descriptors(cohort_comm *comm) {
  const int before = dup(0);
  close(before);
  for (int i = 0; i < 20; i++) {
    cohort_shared_memory *region = NULL;
    expect(comm, cohort_shared_memory_create(comm, 100, "a test", &region, NULL) == COHORT_DONE, "a segment");
    cohort_shared_memory_destroy(region);
  }
  const int after = dup(0);
  close(after);
  expect(comm, before == after, "descriptors are closed");
}

/* A world of its own with an empty /proc for rank 1. */
static bool hide_processes(void) {
  const char *const rank = getenv("OMPI_COMM_WORLD_RANK");
  if (!rank || strcmp(rank, "1") != 0) return true;
  return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
         mount("none", "/proc", "tmpfs", 0, NULL) == 0;
}

/* The watchdog ends this: rank 1 is stopped for ever. */
static void wait_for_stopped(cohort_comm *comm, const char *how) {
  cohort_shared_memory *region = NULL;
  if (cohort_shared_memory_create(comm, sizeof(board), "a test", &region, NULL) != COHORT_DONE) exit(1);
  cohort_world_watch(comm, 2, NULL);
  cohort_comm_phase(comm, "step", 7);
  cohort_comm_barrier(comm);
  usleep(500000); /* the ranks' watchdogs hear one another */
  if (comm->rank == 1) (void)raise(SIGSTOP);
  char byte = 0;
  cohort_comm_name(comm, "gather");
  const cohort_message receive = {1, &byte, 1};
  if (strcmp(how, "wait") == 0)
    comm->wait(comm, comm->post(comm, COHORT_CHANNEL_GATHER, 0, NULL, 1, &receive));
  else
    comm->await(comm, &((board *)(void *)region->part[1])->flag, 1);
}

int main(int count, char **arguments) {
  const bool blind = count > 1 && strcmp(arguments[1], "blind") == 0;
  if (blind && !hide_processes()) return 77;
  cohort_comm comm;
  cohort_error error = {0};
  if (cohort_world_open(&comm, &error) != COHORT_DONE) {
    fprintf(stderr, "%s\n", error.text);
    return 1;
  }
  if (count > 1 && !blind) wait_for_stopped(&comm, arguments[1]);
  test_many_at_once(&comm);
  test_hidden_and_exposed(&comm);
  test_segment(&comm, !blind);
  test_descriptors(&comm);
  const int64_t failed = cohort_comm_agree(&comm, failures);
  if (comm.rank == 0) printf("test_transfers: %d ranks, %s\n", comm.size, failed ? "FAILED" : "all holds");
  cohort_world_close(&comm);
  return failed != 0;
}
