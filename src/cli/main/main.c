/* The program. */
#include <stdio.h>

#include "cli/verbs.h"
#include "kernel/kernel.h"

int main(int count, char **argument) {
  (void)cohort_product_guard(argument);
  return cohort_command(count, argument);
}
