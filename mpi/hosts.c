/* Which ranks share memory. Each shows the others a word in memory of its own; a host is a set of ranks of one name
 * that all find one another's words, so ranks in containers of one machine count apart. Two gathers, at start. */
#include "mpi/hosts.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/memory.h"

/* A word in shared memory that only this rank knows, and where to find it. */
typedef struct witness {
  int64_t process, descriptor;
  uint64_t word;
} witness;

static const size_t page = 4096;

static uint64_t *map_word(int file) {
  uint64_t *const word = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  return word == MAP_FAILED ? NULL : word;
}

static void show(witness *own, int rank) {
  own->process = getpid();
  if (getrandom(&own->word, sizeof own->word, 0) != sizeof own->word) own->word = ((uint64_t)own->process << 32) + 1;
  own->word += (uint64_t)rank;
  own->descriptor = memfd_create("cohort", MFD_CLOEXEC);
  if (own->descriptor < 0) return;
  uint64_t *const word = ftruncate((int)own->descriptor, (off_t)page) == 0 ? map_word((int)own->descriptor) : NULL;
  if (!word) return; /* others read 0 */
  *word = own->word;
  (void)munmap(word, page);
}

/* Whether this rank can map the other's memory: it finds the word there. */
static bool sees(const witness *other) {
  char path[64];
  (void)snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)other->process, (long long)other->descriptor);
  const int file = other->descriptor < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return false;
  off_t length =
      lseek(file, 0, SEEK_END); /* another process may have this number where processes have names of their own */
  uint64_t *const word = length == (off_t)page ? map_word(file) : NULL;
  const bool same = word && *word == other->word;
  if (word) (void)munmap(word, page);
  (void)close(file);
  return same;
}

static void gather(cohort_comm *comm, void *data, size_t each) {
  const size_t size = (size_t)comm->size;
  size_t *const offsets = cohort_allocate(2 * size * sizeof *offsets), *const bytes = offsets + size;
  for (size_t r = 0; r < size; r++) {
    offsets[r] = r * each;
    bytes[r] = each;
  }
  cohort_comm_gather_all(comm, data, offsets, bytes);
  free(offsets);
}

/* blind[r]: rank r cannot read the memory of all ranks with its host's name. */
static void look_around(cohort_comm *comm, const char *names, size_t stride, char *blind) {
  witness *const witnesses = cohort_allocate((size_t)comm->size * sizeof *witnesses);
  witness *const own = &witnesses[comm->rank];
  show(own, comm->rank);
  gather(comm, witnesses, sizeof *witnesses);
  for (int r = 0; r < comm->size; r++) {
    if (strcmp(names + (size_t)r * stride, names + (size_t)comm->rank * stride) == 0 && !sees(&witnesses[r]))
      blind[comm->rank] = 1;
  }
  gather(comm, blind, 1);
  if (own->descriptor >= 0) (void)close((int)own->descriptor);
  free(witnesses);
}

int cohort_hosts_number(cohort_comm *comm, const char *names, size_t stride, int *host) {
  char *const blind = cohort_allocate((size_t)comm->size);
  look_around(comm, names, stride, blind);
  int hosts = 0;
  for (int r = 0; r < comm->size; r++) {
    const char *const name = names + (size_t)r * stride;
    int first = r, ranks = 0, apart = 0;
    for (int other = comm->size - 1; other >= 0; other--) {
      if (strcmp(names + (size_t)other * stride, name) != 0) continue;
      first = other;
      ranks++;
      apart += blind[other];
    }
    host[r] = first < r && !apart ? host[first] : hosts++;
    if (first == r && ranks > 1 && apart && comm->rank == 0)
      fprintf(stderr,
              "cohort: warning: host %s: its %d ranks cannot open one another's memory (/proc/PID/fd; a container for "
              "each?) and send messages instead; start them where they see one another's processes\n",
              name, ranks);
  }
  free(blind);
  return hosts;
}
