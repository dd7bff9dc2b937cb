#include "product_trial.h"

typedef void (*set_check)(const cohort_kernel_set *set, bool bf16);

static void for_every_set(set_check verify) {
  for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++) {
    verify(cohort_kernels_float32((cohort_isa)isa), false);
    for (int way = 0; way <= (int)cohort_processor_bf16(); way++)
      verify(cohort_kernels_bf16((cohort_isa)isa, (cohort_bf16)way), true);
  }
  verify(cohort_kernels_float64(), false);
}

static void values(void) { for_every_set(check_values); }
static void same_bits_for_every_team(void) { for_every_set(check_teams); }
static void rows_do_not_depend_on_each_other(void) { for_every_set(check_rows); }
static void not_a_number(void) { for_every_set(check_not_a_number); }

int main(void) {
  static const check checks[] = {{"values", values},
                                 {"same bits for every team", same_bits_for_every_team},
                                 {"rows do not depend on each other", rows_do_not_depend_on_each_other},
                                 {"not a number", not_a_number}};
  return check_run("product", checks, sizeof checks / sizeof *checks);
}
