/* Memory: large blocks that may fail with a status, small ones that may not. A large block is aligned to cache lines,
 * or to huge pages from 4 MiB on, and touched by whoever created it, so that no step meets a page fault.
 *
 * What cannot be had in the small ends the program: there is nothing sensible left to do. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const size_t huge_page = (size_t)2 << 20;
static const size_t huge_from = (size_t)4 << 20;

const char *cohort_bytes_text(size_t bytes, char out[32]) {
  if (bytes >= (size_t)1 << 20)
    (void)snprintf(out, 32, "%.1f MiB", (double)bytes / 1048576.0);
  else if (bytes >= 1024)
    (void)snprintf(out, 32, "%.1f KiB", (double)bytes / 1024.0);
  else
    (void)snprintf(out, 32, "%zu bytes", bytes);
  return out;
}

static cohort_status take(size_t bytes, const char *purpose, bool touch, bool dense, void **out, cohort_error *error) {
  const size_t alignment = bytes >= huge_from ? huge_page : COHORT_ALIGNMENT;
  void *memory = NULL;
  if (bytes <= PTRDIFF_MAX - huge_page) {
    memory = aligned_alloc(alignment, cohort_round_up(bytes ? bytes : 1, alignment));
  }
  if (!memory) {
    char size[32];
    return cohort_fail(error, COHORT_NO_RESOURCE,
                       "memory: no %s for %s; use more nodes, a smaller model or smaller batches",
                       cohort_bytes_text(bytes, size), purpose);
  }
  const size_t whole = cohort_round_up(bytes ? bytes : 1, alignment);
  if (alignment == huge_page && dense)
    madvise(memory, whole, MADV_HUGEPAGE); /* advice only: without it all works, slower */
  /* Pages that are given back read as zero when they are used again. */
  if (touch || alignment != huge_page || madvise(memory, whole, MADV_DONTNEED) != 0) memset(memory, 0, whole);
  *out = memory;
  return COHORT_DONE;
}

cohort_status cohort_memory_create(size_t bytes, const char *purpose, void **out, cohort_error *error) {
  return take(bytes, purpose, true, true, out, error);
}

cohort_status cohort_memory_reserve(size_t bytes, bool dense, const char *purpose, void **out, cohort_error *error) {
  return take(bytes, purpose, false, dense, out, error);
}

size_t cohort_memory_taken(size_t bytes) { return bytes >= huge_from ? cohort_round_up(bytes, huge_page) : bytes; }

void cohort_memory_release(void *memory) { free(memory); }

static void *need(void *memory, size_t bytes) {
  if (!memory) {
    fprintf(stderr, "cohort: error: memory: no %zu bytes; free memory on this machine\n", bytes);
    exit(COHORT_NO_RESOURCE);
  }
  return memory;
}

void *cohort_allocate(size_t bytes) { return need(calloc(1, bytes ? bytes : 1), bytes); }

void *cohort_reallocate(void *memory, size_t bytes) { return need(realloc(memory, bytes ? bytes : 1), bytes); }

char *cohort_copy_text(const char *text) {
  const size_t bytes = strlen(text) + 1;
  return memcpy(cohort_allocate(bytes), text, bytes);
}

char *cohort_format_text(const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  const int length = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  char *text = cohort_allocate(length > 0 ? (size_t)length + 1 : 1);
  if (length > 0) vsnprintf(text, (size_t)length + 1, format, again);
  va_end(again);
  return text;
}

void *cohort_scratch_take(cohort_scratch *scratch, size_t bytes) {
  if (bytes < scratch->bytes) return scratch->memory;
  const bool first = !scratch->memory;
  free(scratch->memory);
  /* What is small does not grow by a few bytes again and again. */
  scratch->bytes = bytes + (first ? 0 : bytes / 4) + 512;
  scratch->memory = cohort_allocate(scratch->bytes);
  return scratch->memory;
}

void cohort_scratch_release(cohort_scratch *scratch) {
  free(scratch->memory);
  *scratch = (cohort_scratch){NULL, 0};
}
