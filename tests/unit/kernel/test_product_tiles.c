/* Compiled for AVX512-BF16. The products by AMX tiles, run on a model of the tiles (tile_model.h): the layouts of
 * packed operands, edges and zeros. What the packing needs of the processor is AVX512-BF16; without it nothing can be
 * shown and the test says so.
 */
#include <immintrin.h>

#include "tile_model.h"

#define COHORT_REAL float
#define COHORT_VARIANT bf16_tiles_on_a_model
#define COHORT_BF16
#define COHORT_PAIRS
#define COHORT_TILES
#include "kernel/product/product.c"
#include "product_fixture.h"

static const cohort_kernel_set set = {
    .name = "bf16 tiles on a model", .real_size = sizeof(float), .product = cohort_product_bf16_tiles_on_a_model};

static void values(void) { check_values(&set, true); }
static void same_bits_for_every_team(void) { check_teams(&set, true); }
static void rows_do_not_depend_on_each_other(void) { check_rows(&set, true); }
static void not_a_number(void) { check_not_a_number(&set, true); }

int main(void) {
  if (!__builtin_cpu_supports("avx512bf16")) {
    puts("this processor has no AVX512-BF16: the layouts of tiles are not tested here");
    return 0;
  }
  static const check checks[] = {{"values", values},
                                 {"same bits for every team", same_bits_for_every_team},
                                 {"rows do not depend on each other", rows_do_not_depend_on_each_other},
                                 {"not a number", not_a_number}};
  return check_run("product_tiles", checks, sizeof checks / sizeof *checks);
}
