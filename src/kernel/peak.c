/* What one core reaches at most: multiply-adds of each kind, reads and updates of memory. A measurement takes 50
 * microseconds and changes no state but the buffer it is given. */
#include "kernel/peak.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/peak_bf16.h"

#define DECLARE(variant)                                                                    \
  double cohort_peak_multiply_add_##variant(int64_t rounds, float *sink);                   \
  double cohort_peak_read_pass_##variant(const float *data, int64_t elements, float *sink); \
  double cohort_peak_update_pass_##variant(float *data, int64_t elements);
DECLARE(f32_sse2)
DECLARE(f32_avx2)
DECLARE(f32_avx512)

typedef struct peak_loops {
  double (*multiply_add)(int64_t rounds, float *sink);
  double (*read)(const float *data, int64_t elements, float *sink);
  double (*update)(float *data, int64_t elements);
} peak_loops;

#define LOOPS(variant) \
  { cohort_peak_multiply_add_##variant, cohort_peak_read_pass_##variant, cohort_peak_update_pass_##variant }
static const peak_loops loops[COHORT_ISA_COUNT] = {
    [COHORT_ISA_SSE2] = LOOPS(f32_sse2), [COHORT_ISA_AVX2] = LOOPS(f32_avx2), [COHORT_ISA_AVX512] = LOOPS(f32_avx512)};

/* About 50 microseconds each at 3 GHz. */
enum { MULTIPLY_ADD_ROUNDS = 12000, VECTOR_ROUNDS = 6000, TILE_ROUNDS = 2400 };

/* Tiles are there when the kernel gives them to this process: ARCH_REQ_XCOMP_PERM for feature 18, XTILEDATA. */
static bool tiles_granted(void) {
  enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
  return cohort_processor_has_amx() && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

bool cohort_peak_available(cohort_peak peak, cohort_isa isa) {
  if (peak == COHORT_PEAK_FLOAT32) return true;
  if (isa < COHORT_ISA_AVX512) return false;
  __builtin_cpu_init();
  return peak == COHORT_PEAK_AMX ? tiles_granted() : __builtin_cpu_supports("avx512bf16") != 0;
}

double cohort_peak_run(cohort_peak peak, cohort_isa isa) {
  volatile float kept;
  float sink = 0;
  double operations;
  switch (peak) {
    case COHORT_PEAK_BF16:
      operations = cohort_peak_bf16_vectors(VECTOR_ROUNDS, &sink);
      break;
    case COHORT_PEAK_AMX:
      operations = cohort_peak_bf16_tiles(TILE_ROUNDS, &sink);
      break;
    default:
      operations = loops[isa].multiply_add(MULTIPLY_ADD_ROUNDS, &sink);
  }
  kept = sink;
  (void)kept;
  return operations;
}

double cohort_peak_read(cohort_isa isa, const float *data, int64_t elements) {
  volatile float kept;
  float sink = 0;
  const double bytes = loops[isa].read(data, elements, &sink);
  kept = sink;
  (void)kept;
  return bytes;
}

double cohort_peak_update(cohort_isa isa, float *data, int64_t elements) { return loops[isa].update(data, elements); }
