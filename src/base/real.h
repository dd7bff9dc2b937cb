/* Numeric code is written once, over the type `real`, and compiled once per variant: float for each instruction set,
 * double for checks. CMake defines COHORT_REAL and COHORT_VARIANT (f32_sse2, f32_avx2, f32_avx512, f64_sse2). Only
 * files of src/kernel and src/method/optimizer include this header. A compilation unit exports one table, its name
 * made with COHORT_VARIED. */
#ifndef COHORT_BASE_REAL_H
#define COHORT_BASE_REAL_H

#ifndef COHORT_REAL
#define COHORT_REAL float
#define COHORT_VARIANT f32_sse2
#endif

typedef COHORT_REAL real;

#define COHORT_PASTE_(a, b) a##_##b
#define COHORT_PASTE(a, b) COHORT_PASTE_(a, b)
#define COHORT_VARIED(name) COHORT_PASTE(name, COHORT_VARIANT)

/* A variant that brings products alone takes the rest from its base. */
#ifndef COHORT_BASE
#define COHORT_BASE COHORT_VARIANT
#endif
#define COHORT_BASED(name) COHORT_PASTE(name, COHORT_BASE)

#endif
