/* The roofline: positive, summed over ranks, and nothing that the instruction set does not have. */
#include <math.h>

#include "base/clock.h"
#include "base/memory.h"
#include "check.h"
#include "kernel/kernel.h"
#include "train/profile/roofline.h"

static void test_alone(void) {
  cohort_comm comm = cohort_comm_alone();
  cohort_roofline out = {0};
  const cohort_isa isa = cohort_processor_isa();
  const double start = cohort_clock_seconds();
  cohort_roofline_measure(&comm, 2, 1, isa, NULL, &out);
  printf(" %.3f s: %.1f GFLOP/s, read %.1f, update %.1f GB/s ", cohort_clock_seconds() - start,
         out.peak[COHORT_PEAK_FLOAT32] / 1e9, out.read / 1e9, out.update / 1e9);
  CU_ASSERT_TRUE(out.measured);
  CU_ASSERT_TRUE(out.peak[COHORT_PEAK_FLOAT32] > 1e9);
  CU_ASSERT_TRUE(out.read > 1e8 && out.update > 1e8);
  CU_ASSERT_EQUAL(out.peak[COHORT_PEAK_BF16] > 0, cohort_peak_available(COHORT_PEAK_BF16, isa));
  CU_ASSERT_EQUAL(out.peak[COHORT_PEAK_AMX] > 0, cohort_peak_available(COHORT_PEAK_AMX, isa));
}

/* Ranks have kernels of one instruction set; what is above it is no peak of theirs. */
static void test_lower(void) {
  cohort_comm comm = cohort_comm_alone();
  cohort_roofline low = {0};
  cohort_roofline_measure(&comm, 1, 1, COHORT_ISA_SSE2, NULL, &low);
  CU_ASSERT_TRUE(low.peak[COHORT_PEAK_FLOAT32] > 1e8);
  CU_ASSERT_EQUAL(low.peak[COHORT_PEAK_BF16], 0);
  CU_ASSERT_EQUAL(low.peak[COHORT_PEAK_AMX], 0);
}

/* Lent buffers are used, and nothing beside them. */
static void test_lent(void) {
  cohort_comm comm = cohort_comm_alone();
  cohort_roofline out = {0};
  const size_t bytes = cohort_roofline_bytes(1, 1), guard = 64 / sizeof(float), all = bytes / sizeof(float) + guard;
  CU_ASSERT_EQUAL(bytes % (2 << 20), 0);
  void *memory = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_memory_create(all * sizeof(float), "test", &memory, NULL), COHORT_DONE);
  float *data = memory;
  cohort_roofline_measure(&comm, 1, 1, COHORT_ISA_SSE2, &memory, &out);
  CU_ASSERT_TRUE(out.read > 1e8 && out.update > 1e8);
  CU_ASSERT_TRUE(data[0] > 0 && data[all - guard - 1] > 0);
  for (size_t i = all - guard; i < all; i++) CU_ASSERT_EQUAL(data[i], 0);
  cohort_memory_release(memory);
}

static cohort_status measure(cohort_comm *comm, void *argument) {
  cohort_roofline_measure(comm, 1, comm->size, COHORT_ISA_SSE2, NULL, (cohort_roofline *)argument + comm->rank);
  return COHORT_DONE;
}

static void test_ranks(void) {
  cohort_roofline out[2] = {{0}};
  CU_ASSERT_EQUAL(cohort_comm_run_threads(2, measure, out), COHORT_DONE);
  CU_ASSERT_TRUE(out[0].peak[COHORT_PEAK_FLOAT32] > 1e8 && isfinite(out[0].peak[COHORT_PEAK_FLOAT32]));
  for (int p = 0; p < COHORT_PEAKS; p++) CU_ASSERT_EQUAL(out[0].peak[p], out[1].peak[p]);
  CU_ASSERT_EQUAL(out[0].read, out[1].read);
  CU_ASSERT_EQUAL(out[0].update, out[1].update);
}

/* The names are those of the sets that there are. */
static void test_products(void) {
  static const cohort_peak peak[] = {[COHORT_BF16_ROUNDED] = COHORT_PEAK_FLOAT32,
                                     [COHORT_BF16_PAIRS] = COHORT_PEAK_BF16,
                                     [COHORT_BF16_TILES] = COHORT_PEAK_AMX};
  for (int way = COHORT_BF16_ROUNDED; way <= COHORT_BF16_TILES; way++) {
    const cohort_kernel_set *wide = cohort_kernels_bf16(COHORT_ISA_AVX512, (cohort_bf16)way);
    CU_ASSERT_EQUAL(cohort_roofline_products(wide->name), peak[way]);
    const cohort_kernel_set *narrow = cohort_kernels_bf16(COHORT_ISA_AVX2, (cohort_bf16)way);
    CU_ASSERT_EQUAL(cohort_roofline_products(narrow->name), COHORT_PEAK_FLOAT32);
  }
  CU_ASSERT_EQUAL(cohort_roofline_products(cohort_kernels_float32(COHORT_ISA_AVX512)->name), COHORT_PEAK_FLOAT32);
}

int main(void) {
  static const check checks[] = {{"one rank, two threads", test_alone},
                                 {"a lower instruction set", test_lower},
                                 {"lent buffers", test_lent},
                                 {"two ranks agree", test_ranks},
                                 {"what products are held against", test_products}};
  return check_run("roofline", checks, sizeof checks / sizeof *checks);
}
