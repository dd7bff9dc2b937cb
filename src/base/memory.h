/* Memory of a run: big vectors are allocated once, aligned and touched; nothing is allocated inside a step. */
#ifndef COHORT_BASE_MEMORY_H
#define COHORT_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { COHORT_ALIGNMENT = 64 };

/* Zeroed memory of `bytes` (64-byte aligned, 2 MiB aligned and advised to huge pages from 4 MiB on), every page
 * touched by the caller. Owned by the caller; release with cohort_memory_release. COHORT_NO_RESOURCE with the size
 * in the message when there is none. `bytes` 0 gives a valid pointer. */
cohort_status cohort_memory_create(size_t bytes, const char *purpose, void **out, cohort_error *error);
/* The same, also zero, but from 4 MiB on untouched: pages that are never used take no memory. `dense`: nearly all will
 * be, so pages may be huge. */
cohort_status cohort_memory_reserve(size_t bytes, bool dense, const char *purpose, void **out, cohort_error *error);
/* What a block of so many bytes takes once it is touched: whole huge pages, where it is as large as one. */
size_t cohort_memory_taken(size_t bytes);
void cohort_memory_release(void *memory); /* NULL is fine */

/* A number of bytes for people: "24576.0 MiB", "4.0 KiB", "17 bytes". Returns `out`. */
const char *cohort_bytes_text(size_t bytes, char out[32]);

/* malloc, realloc and strdup for set-up code; end the program with a message and status 4 when there is no memory. */
void *cohort_allocate(size_t bytes); /* zeroed */
void *cohort_reallocate(void *memory, size_t bytes);
char *cohort_copy_text(const char *text);
char *cohort_format_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Memory that is used again and again and only grows, so that no step allocates in the long run. Zero to begin with. */
typedef struct cohort_scratch {
  void *memory;
  size_t bytes;
} cohort_scratch;
/* At least so many bytes, of any content; valid until the next call. */
void *cohort_scratch_take(cohort_scratch *scratch, size_t bytes);
void cohort_scratch_release(cohort_scratch *scratch);

/* Rounds up to a multiple of `unit`, a power of two. */
static inline size_t cohort_round_up(size_t value, size_t unit) { return (value + unit - 1) & ~(unit - 1); }

#endif
