/* Forms of numbers that models are stored in, as float32. Exact: what float16, bfloat16 and the blocks of GGUF mean has
 * a float32 (a product of a float16 and a small integer, rounded once where a minimum is added). */
#ifndef COHORT_IO_MODEL_NUMBERS_H
#define COHORT_IO_MODEL_NUMBERS_H

#include <stdint.h>

float cohort_half_to_float(uint16_t half); /* IEEE 754 binary16 */

/* `in`: so many blocks, one after another; `out`: their elements. */
void cohort_widen_f32(const unsigned char *in, int64_t blocks, float *out);
void cohort_widen_f16(const unsigned char *in, int64_t blocks, float *out);
void cohort_widen_bf16(const unsigned char *in, int64_t blocks, float *out);
void cohort_widen_q8_0(const unsigned char *in, int64_t blocks, float *out);
void cohort_widen_q4_0(const unsigned char *in, int64_t blocks, float *out);
void cohort_widen_q4_1(const unsigned char *in, int64_t blocks, float *out);
void cohort_widen_q5_0(const unsigned char *in, int64_t blocks, float *out);
void cohort_widen_q5_1(const unsigned char *in, int64_t blocks, float *out);
void cohort_widen_q4_k(const unsigned char *in, int64_t blocks, float *out);
void cohort_widen_q5_k(const unsigned char *in, int64_t blocks, float *out);
void cohort_widen_q6_k(const unsigned char *in, int64_t blocks, float *out);

/* To bfloat16, to nearest even; NaN stays NaN. */
uint16_t cohort_float_to_bf16(float x);

#endif
