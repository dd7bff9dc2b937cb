/* What the processor can do, by cpuid, and which variant of the kernels serves it. */
#ifndef COHORT_BASE_PROCESSOR_H
#define COHORT_BASE_PROCESSOR_H

#include <stdbool.h>

typedef enum { COHORT_ISA_SSE2, COHORT_ISA_AVX2, COHORT_ISA_AVX512, COHORT_ISA_COUNT } cohort_isa;

/* The best instruction set that the processor and the operating system support. The environment variable
 * COHORT_KERNELS (sse2, avx2, avx512) may ask for a lower one. */
cohort_isa cohort_processor_isa(void);
const char *cohort_isa_name(cohort_isa isa);
/* Whether it also has AMX bf16 tiles. */
bool cohort_processor_has_amx(void);
/* How it multiplies bf16 best: by rounding operands to bf16 and multiplying them in float32; by vectors of pairs
 * (AVX512-BF16), where that is faster: Intel's do so at half the rate of float32 (measured on Emerald Rapids: 85
 * against 168 GFLOP/s), AMD's at twice (Zen 5: 490 against 240); by AMX tiles, for which this call asks the operating
 * system. Each kind can also do those before it. COHORT_KERNELS rules tiles out. */
typedef enum { COHORT_BF16_ROUNDED, COHORT_BF16_PAIRS, COHORT_BF16_TILES } cohort_bf16;
cohort_bf16 cohort_processor_bf16(void);
/* From now on numbers below the least normal one count as zero, in this thread and in those that it starts: a processor
 * takes some sixty cycles for each, and the averages that optimizers keep of a gradient that has become zero, as behind
 * a unit that a relu has shut, fade through thousands of steps of them. */
void cohort_processor_flush_tiny(void);
/* The processor's name, from /proc/cpuinfo or cpuid, into out. */
void cohort_processor_name(char out[64]);
/* Cores this process may run on. */
int cohort_processor_cores(void);

#endif
