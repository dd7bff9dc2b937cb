/* Shared memory without names: a rank makes a file that exists in memory alone and tells its process and descriptor;
 * its host-peers open it through /proc and map it. Once they have, the descriptors are closed, so the memory lives as
 * long as someone maps it and nothing is left when the ranks are killed. A rank that is alone on its host, and ranks of
 * one process, need no file. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/comm.h"
#include "base/memory.h"

/* What ranks tell one another. */
typedef struct notice {
  int64_t process;
  int64_t descriptor; /* -1: none */
  uint64_t bytes;     /* as asked for */
  char *address;      /* of ranks of one process */
} notice;

static const size_t huge_page = (size_t)2 << 20, huge_from = (size_t)4 << 20, page = 4096;

/* Addresses without memory behind each part. Processors fetch ahead of stores that go on by rows, hundreds of
 * kilobytes past the end; were another vector there, its lines would leave the cache of the thread that works on them.
 */
static const size_t gap = (size_t)1 << 20;

static bool same_host(const cohort_comm *comm, int a, int b) {
  return a == b || (comm->host && comm->host[a] == comm->host[b]);
}

static size_t whole_pages(size_t bytes) {
  return cohort_round_up(bytes ? bytes : 1, bytes >= huge_from ? huge_page : page);
}

/* Maps so that a large part begins on a huge page: NULL when it cannot. */
static char *map_part(int descriptor, size_t bytes) {
  const size_t length = whole_pages(bytes), slack = bytes >= huge_from ? huge_page : 0;
  if (bytes > PTRDIFF_MAX - 3 * huge_page) return NULL;
  char *const room = mmap(NULL, length + slack + gap, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return NULL;
  char *const start = room + (slack ? (huge_page - (uintptr_t)room % huge_page) % huge_page : 0);
  const int kind = descriptor < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  if (mmap(start, length, PROT_READ | PROT_WRITE, kind | MAP_FIXED | MAP_NORESERVE, descriptor, 0) == MAP_FAILED) {
    (void)munmap(room, length + slack + gap);
    return NULL;
  }
  if (start > room) (void)munmap(room, (size_t)(start - room));
  const size_t behind = slack - (size_t)(start - room);
  if (behind) (void)munmap(start + length + gap, behind);
  if (slack) (void)madvise(start, length, MADV_HUGEPAGE); /* advice only */
  return start;
}

static cohort_status no_memory(const cohort_comm *comm, size_t bytes, const char *purpose, const char *why,
                               cohort_error *error) {
  char size[32];
  return cohort_fail(error, COHORT_NO_RESOURCE,
                     "memory: rank %d: no %s of shared memory for %s: %s; use more nodes, a smaller model or "
                     "smaller batches",
                     comm->rank, cohort_bytes_text(bytes > page ? bytes : page, size), purpose, why);
}

static cohort_status create_own(cohort_shared_memory *shared, const char *purpose, notice *own, cohort_error *error) {
  cohort_comm *const comm = shared->comm;
  bool has_mates = false;
  for (int r = 0; r < comm->size; r++) has_mates = has_mates || (r != comm->rank && same_host(comm, r, comm->rank));
  own->process = getpid();
  own->descriptor = -1;
  if (has_mates && !comm->one_process) {
    const int file = memfd_create("cohort", MFD_CLOEXEC);
    own->descriptor = file;
    if (file < 0) return no_memory(comm, own->bytes, purpose, "memfd_create fails", error);
    if (own->bytes > PTRDIFF_MAX || ftruncate(file, (off_t)whole_pages(own->bytes)) != 0)
      return no_memory(comm, own->bytes, purpose, "it is too large", error);
  }
  own->address = map_part((int)own->descriptor, own->bytes);
  if (!own->address) return no_memory(comm, own->bytes, purpose, "it cannot be mapped", error);
  shared->part[comm->rank] = own->address;
  shared->mapped[comm->rank] = whole_pages(own->bytes) + gap;
  return COHORT_DONE;
}

static cohort_status open_mates(cohort_shared_memory *shared, const notice *notices, const char *purpose,
                                cohort_error *error) {
  cohort_comm *const comm = shared->comm;
  for (int r = 0; r < comm->size; r++) {
    if (r == comm->rank || !same_host(comm, r, comm->rank)) continue;
    if (comm->one_process) {
      shared->part[r] = notices[r].address;
      continue;
    }
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)notices[r].process,
                   (long long)notices[r].descriptor);
    const int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return no_memory(comm, notices[r].bytes, purpose, "another rank's cannot be opened", error);
    shared->part[r] = map_part(file, notices[r].bytes);
    (void)close(file);
    if (!shared->part[r]) return no_memory(comm, notices[r].bytes, purpose, "another rank's cannot be mapped", error);
    shared->mapped[r] = whole_pages(notices[r].bytes) + gap;
  }
  return COHORT_DONE;
}

static void release(cohort_shared_memory *shared) {
  for (int r = 0; r < shared->comm->size; r++)
    if (shared->mapped[r]) (void)munmap(shared->part[r], shared->mapped[r]);
  free(shared->part);
  free((void *)shared->bytes);
  free(shared->mapped);
  free(shared);
}

static void gather_notices(cohort_comm *comm, notice *notices) {
  const size_t size = (size_t)comm->size;
  size_t *const offsets = cohort_allocate(2 * size * sizeof *offsets), *const bytes = offsets + size;
  for (size_t r = 0; r < size; r++) {
    offsets[r] = r * sizeof *notices;
    bytes[r] = sizeof *notices;
  }
  cohort_comm_gather_all(comm, notices, offsets, bytes);
  free(offsets);
}

cohort_status cohort_shared_memory_create(cohort_comm *comm, size_t bytes, const char *purpose,
                                          cohort_shared_memory **out, cohort_error *error) {
  const size_t size = (size_t)comm->size;
  cohort_shared_memory *const shared = cohort_allocate(sizeof *shared);
  size_t *const lengths = cohort_allocate(size * sizeof *lengths);
  *shared = (cohort_shared_memory){.part = cohort_allocate(size * sizeof *shared->part),
                                   .bytes = lengths,
                                   .comm = comm,
                                   .mapped = cohort_allocate(size * sizeof *shared->mapped)};
  notice *const notices = cohort_allocate(size * sizeof *notices);
  notice *const own = &notices[comm->rank];
  own->bytes = bytes;
  cohort_status status = create_own(shared, purpose, own, error);
  status = cohort_comm_agree_error(comm, status, error);
  if (status == COHORT_DONE) {
    gather_notices(comm, notices);
    for (size_t r = 0; r < size; r++) lengths[r] = (size_t)notices[r].bytes;
    status = open_mates(shared, notices, purpose, error);
    status = cohort_comm_agree_error(comm, status, error);
  }
  if (own->descriptor >= 0) (void)close((int)own->descriptor);
  free(notices);
  if (status == COHORT_DONE)
    *out = shared;
  else
    release(shared);
  return status;
}

void cohort_shared_memory_destroy(cohort_shared_memory *shared) {
  if (!shared) return;
  /* Another process keeps what it maps; a thread does not. */
  if (shared->comm->one_process) cohort_comm_barrier(shared->comm);
  release(shared);
}
