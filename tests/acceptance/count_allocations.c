/* Loaded before the program: counts calls of malloc, calloc, realloc, posix_memalign, aligned_alloc and mmap between the
 * end of step 2 and the end of step 50, all threads, but for logging, evaluation and saving, which the run under test does
 * not do in between. Who called is told by the return address's library, so that MPI's own calls are not ours. */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>

static atomic_bool counting;
static atomic_long counted[3]; /* the program, OpenBLAS and oneDNN, others */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static int origin_of(const void *caller) {
  static __thread bool inside;
  Dl_info info;
  if (inside) return 2;
  inside = true;
  const bool known = dladdr(caller, &info) != 0 && info.dli_fname;
  inside = false;
  if (!known) return 2;
  if (strstr(info.dli_fname, "openblas") || strstr(info.dli_fname, "dnnl") || strstr(info.dli_fname, "gomp")) return 1;
  return strstr(info.dli_fname, ".so") ? 2 : 0;
}

static void note(const void *caller) {
  if (atomic_load(&counting)) atomic_fetch_add(&counted[origin_of(caller)], 1);
}

void *malloc(size_t bytes) {
  note(__builtin_return_address(0));
  return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes) {
  note(__builtin_return_address(0));
  return __libc_calloc(count, bytes);
}
void *realloc(void *memory, size_t bytes) {
  note(__builtin_return_address(0));
  return __libc_realloc(memory, bytes);
}
int posix_memalign(void **out, size_t alignment, size_t bytes) {
  note(__builtin_return_address(0));
  *out = __libc_memalign(alignment, bytes);
  return *out ? 0 : ENOMEM;
}
void *aligned_alloc(size_t alignment, size_t bytes) {
  note(__builtin_return_address(0));
  return __libc_memalign(alignment, bytes);
}
void *mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset) {
  static void *(*next)(void *, size_t, int, int, int, off_t);
  if (!next) next = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap");
  note(__builtin_return_address(0));
  return next(address, bytes, protection, flags, file, offset);
}

/* The program calls this at the end of every step. */
void cohort_step_ended(int64_t step) {
  if (step == 2) atomic_store(&counting, true);
  if (step != 50) return;
  atomic_store(&counting, false);
  (void)fprintf(stderr, "allocations: program %ld, product libraries %ld, others %ld\n", atomic_load(&counted[0]),
                atomic_load(&counted[1]), atomic_load(&counted[2]));
}
