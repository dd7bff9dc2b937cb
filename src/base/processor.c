/* What this processor can do: instruction sets, tiles, bf16. Asked once and remembered; the answer never changes while
 * the program runs. */
#include "base/processor.h"

#include <cpuid.h>
#include <immintrin.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const isa_names[COHORT_ISA_COUNT] = {"sse2", "avx2", "avx512"};

static cohort_isa best_isa(void) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return COHORT_ISA_SSE2;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    return COHORT_ISA_AVX512;
  }
  return COHORT_ISA_AVX2;
}

cohort_isa cohort_processor_isa(void) {
  const cohort_isa best = best_isa();
  const char *asked = getenv("COHORT_KERNELS");
  for (int isa = 0; asked && isa < (int)best; isa++) {
    if (!strcmp(asked, isa_names[isa])) return (cohort_isa)isa;
  }
  return best;
}

const char *cohort_isa_name(cohort_isa isa) { return isa_names[isa]; }

bool cohort_processor_has_amx(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const bool bf16 = d >> 22 & 1, tiles = d >> 24 & 1;
  if (!bf16 || !tiles) return false;
  /* The kernel must know the tile registers too: ARCH_GET_XCOMP_SUPP, feature XTILEDATA. */
  uint64_t features = 0;
  return syscall(SYS_arch_prctl, 0x1021, &features) == 0 && (features >> 18 & 1);
}

/* ARCH_REQ_XCOMP_PERM, feature XTILEDATA. */
static bool tiles_granted(void) { return cohort_processor_has_amx() && syscall(SYS_arch_prctl, 0x1023, 18) == 0; }

cohort_bf16 cohort_processor_bf16(void) {
  unsigned a, b, c, d;
  __builtin_cpu_init();
  if (best_isa() < COHORT_ISA_AVX512 || !__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a >> 5 & 1))
    return COHORT_BF16_ROUNDED;
  if (!getenv("COHORT_KERNELS") && tiles_granted()) return COHORT_BF16_TILES;
  return __builtin_cpu_is("amd") ? COHORT_BF16_PAIRS : COHORT_BF16_ROUNDED;
}

void cohort_processor_flush_tiny(void) {
  enum { OPERANDS_ARE_ZERO = 0x40, RESULTS_ARE_ZERO = 0x8000 };
  _mm_setcsr(_mm_getcsr() | OPERANDS_ARE_ZERO | RESULTS_ARE_ZERO);
}

void cohort_processor_name(char out[64]) {
  snprintf(out, 64, "unknown processor");
  FILE *file = fopen("/proc/cpuinfo", "r");
  if (!file) return;
  char line[512];
  while (fgets(line, sizeof line, file)) {
    const char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || !colon) continue;
    line[strcspn(line, "\n")] = '\0';
    snprintf(out, 64, "%.63s", colon + 1 + strspn(colon + 1, " "));
    break;
  }
  fclose(file);
}

int cohort_processor_cores(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  const long cores = sysconf(_SC_NPROCESSORS_ONLN);
  return cores > 0 ? (int)cores : 1;
}
