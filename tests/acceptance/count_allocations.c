/* Counts the calls of malloc, calloc, realloc, posix_memalign, aligned_alloc and mmap from the end of step 2 to the end
 * of step 50, by who called: the first object on the stack that is neither libc nor this library. Loaded before the
 * program (LD_PRELOAD), which calls cohort_step_ended when it finds it. Writes "ours N\nmpi N\n" into COUNT_FILE.RANK,
 * and the first calls of ours by object and address. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>

enum { FIRST = 2, LAST = 50, DEPTH = 12, KEPT = 16 };

static volatile int counting;
static _Thread_local int inside;
static long ours, others;
static struct {
  const char *function, *object;
  uintptr_t offset;
} kept[KEPT];

/* Objects of Open MPI and what it stands on; what they allocate while they pass messages is not the product's. */
static int is_transport(const char *object) {
  static const char *const names[] = {"libmpi",   "libopen-pal", "libopen-rte", "mca_",   "libpmix",   "libevent",
                                      "libhwloc", "libucp",      "libuct",      "libucs", "libfabric", "libpsm"};
  const char *name = strrchr(object, '/');
  name = name ? name + 1 : object;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strncmp(name, names[i], strlen(names[i])) == 0) return 1;
  return 0;
}

static int is_passed_over(const char *object) {
  return strstr(object, "libc.so") || strstr(object, "ld-linux") || strstr(object, "count_allocations");
}

static void note(const char *function) {
  if (!counting || inside) return;
  inside = 1;
  void *frame[DEPTH];
  const int frames = backtrace(frame, DEPTH);
  Dl_info info = {0};
  int transport = 0;
  for (int f = 0; f < frames; f++) {
    if (!dladdr(frame[f], &info) || !info.dli_fname || is_passed_over(info.dli_fname)) continue;
    transport = is_transport(info.dli_fname);
    if (!transport) {
      const long at = __atomic_fetch_add(&ours, 1, __ATOMIC_RELAXED);
      if (at < KEPT) {
        kept[at].function = function;
        kept[at].object = info.dli_fname;
        kept[at].offset = (uintptr_t)frame[f] - (uintptr_t)info.dli_fbase;
      }
    }
    break;
  }
  if (transport) __atomic_fetch_add(&others, 1, __ATOMIC_RELAXED);
  inside = 0;
}

static void report(void) {
  const char *path = getenv("COUNT_FILE"), *rank = getenv("OMPI_COMM_WORLD_RANK");
  char name[4096];
  (void)snprintf(name, sizeof name, "%s.%s", path ? path : "allocations", rank ? rank : "0");
  FILE *file = fopen(name, "w");
  if (!file) return;
  (void)fprintf(file, "ours %ld\nmpi %ld\n", ours, others);
  for (long i = 0; i < ours && i < KEPT; i++)
    (void)fprintf(file, "%s from %s+0x%lx\n", kept[i].function, kept[i].object, (unsigned long)kept[i].offset);
  (void)fclose(file);
}

void cohort_step_ended(int64_t step);
void cohort_step_ended(int64_t step) {
  if (step == 1) {
    void *frame[2];
    (void)backtrace(frame, 2); /* loads what it needs, now */
  }
  if (step == FIRST) counting = 1;
  if (step == LAST) {
    counting = 0;
    report();
  }
}

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
  note("malloc");
  return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
  note("calloc");
  return __libc_calloc(count, size);
}
void *realloc(void *old, size_t size) {
  note("realloc");
  return __libc_realloc(old, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
  note("aligned_alloc");
  return __libc_memalign(alignment, size);
}
int posix_memalign(void **out, size_t alignment, size_t size) {
  note("posix_memalign");
  *out = __libc_memalign(alignment, size);
  return *out ? 0 : 12;
}
void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
  static void *(*next)(void *, size_t, int, int, int, off_t);
  note("mmap");
  if (!next) *(void **)&next = dlsym(RTLD_NEXT, "mmap");
  return next(address, length, protection, flags, file, offset);
}
