/* The program. */
#include <stdio.h>

#include "base/processor.h"
#include "cli/verbs.h"
#include "kernel/kernel.h"

int main(int count, char **argument) {
  (void)cohort_product_guard(argument);
  cohort_processor_flush_tiny();
  return cohort_command(count, argument);
}
