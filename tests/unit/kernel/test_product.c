#include "product_fixture.h"

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

/* Float64 products of more than a million multiplications are the library's. With one row, column or k, dense operands
 * have the same strides whether they are transposed or not. */
static void large_and_flat(void) {
  const cohort_kernel_set *set = cohort_kernels_float64();
  const int64_t shapes[][3] = {{1010, 1000, 1}, {1, 1010, 1000}, {1010, 1, 1000}, {1100000, 1, 1}, {1, 1100000, 1}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (int transposed = 0; transposed < 4; transposed++) {
      const product_case p = {transposed & 1, transposed >> 1, shapes[s][0], shapes[s][1], shapes[s][2], 1.5, 0.5};
      matrices x = make_with(&p, sizeof(double), (gaps){0, 0, 0});
      multiply(set, &p, &x, 2);
      const double worst = difference(&p, &x, false);
      if (!(worst <= 1e-14)) printf("shape %zu, transposed %d: %g\n", s, transposed, worst);
      CU_ASSERT(worst <= 1e-14);
      release(&x);
    }
}

int main(void) {
  static const check checks[] = {{"values", values},
                                 {"same bits for every team", same_bits_for_every_team},
                                 {"rows do not depend on each other", rows_do_not_depend_on_each_other},
                                 {"not a number", not_a_number},
                                 {"large and flat", large_and_flat}};
  return check_run("product", checks, sizeof checks / sizeof *checks);
}
