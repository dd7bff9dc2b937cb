/* The program. */
#include <malloc.h>
#include <stdio.h>

#include "base/processor.h"
#include "cli/verbs.h"
#include "kernel/kernel.h"

/* Large blocks that are freed go back at once: else the allocator keeps up to twice the largest, for what comes later.
 */
enum { KEPT_BYTES = 4 << 20 };

int main(int count, char **argument) {
  (void)cohort_product_guard(argument);
  cohort_processor_flush_tiny();
  (void)mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
  (void)mallopt(M_TRIM_THRESHOLD, 2 * KEPT_BYTES);
  return cohort_command(count, argument);
}
