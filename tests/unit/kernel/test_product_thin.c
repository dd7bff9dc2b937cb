/* Products of few rows with a large matrix, against sums in double: odd shapes, both layouts of the matrix, every
 * kernel set that this machine runs. */
#include "fixture.h"

typedef struct shape {
  int64_t m, n, k;
} shape;

static const shape shapes[] = {
    {1, 8, 8192},   {1, 768, 768},   {1, 1031, 129}, {1, 333, 515},   {2, 257, 259},  {3, 97, 1001},  {4, 768, 131},
    {5, 123, 1537}, {7, 1025, 67},   {8, 331, 400},  {9, 2049, 33},   {12, 511, 257}, {15, 301, 301}, {16, 50, 3072},
    {16, 4099, 17}, {16, 640, 1030}, {6, 70001, 1},  {13, 1000, 768}, {17, 300, 300},
};

static void check_shape(const shape *s, bool transposed) {
  fixture t = fixture_of(COHORT_OP_MATMUL);
  const int64_t m = s->m, n = s->n, k = s->k;
  const double *a = fixture_real(&t, SHAPE(m, k), -1, 1);
  const double *b = fixture_real(&t, transposed ? SHAPE(n, k) : SHAPE(k, n), -1, 1);
  double *c = fixture_output(&t, SHAPE(m, n), COHORT_TYPE_REAL);
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j++) {
      for (int64_t l = 0; l < k; l++) c[i * n + j] += a[i * k + l] * (transposed ? b[j * k + l] : b[l * n + j]);
    }
  }
  t.attributes.integers[1] = transposed;
  t.terms = (double)k;
  fixture_check(&t);
}

static void test_sums(void) {
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    check_shape(&shapes[i], true);
    check_shape(&shapes[i], false);
  }
}

static void multiply(const cohort_kernel_set *set, int64_t m, int64_t n, int64_t k, float *a, float *b, float *c) {
  const cohort_team team = {1};
  const cohort_call call = {.inputs = 2,
                            .outputs = 1,
                            .input = {{a, SHAPE(m, k), COHORT_TYPE_REAL}, {b, SHAPE(n, k), COHORT_TYPE_REAL}},
                            .output = {{c, SHAPE(m, n), COHORT_TYPE_REAL}},
                            .attributes = {.integers = {0, 1}},
                            .team = &team};
  set->run[COHORT_OP_MATMUL](&call);
}

/* A batch of texts gives each the bits that it would get alone. */
static void test_rows_stand_alone(void) {
  enum { M = 16, N = 200, K = 777 };
  float *a = calloc(M * K, sizeof *a), *b = calloc(N * K, sizeof *b);
  float *whole = calloc(M * N, sizeof *whole), *part = calloc(M * N, sizeof *part);
  for (int i = 0; i < M * K; i++) a[i] = (float)fixture_bits() * 0x1p-31F - 1;
  for (int i = 0; i < N * K; i++) b[i] = (float)fixture_bits() * 0x1p-31F - 1;
  for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++) {
    const cohort_kernel_set *set = cohort_kernels_float32((cohort_isa)isa);
    multiply(set, M, N, K, a, b, whole);
    for (int first = 0, rows = 1; first < M; first += rows, rows++) {
      if (rows > M - first) rows = M - first;
      multiply(set, rows, N, K, a + first * K, b, part + first * N);
    }
    CU_ASSERT_EQUAL(memcmp(whole, part, M * N * sizeof *whole), 0);
  }
  free(a), free(b), free(whole), free(part);
}

/* The sets of bf16 read a rounded copy of the matrix: sums of products of rounded operands, in float32. */
static void check_bf16(const cohort_kernel_set *set, const shape *s, bool transposed) {
  const int64_t m = s->m, n = s->n, k = s->k;
  float *a = calloc((size_t)(m * k), sizeof *a), *b = calloc((size_t)(n * k), sizeof *b);
  float *c = calloc((size_t)(2 * m * n), sizeof *c), *alone = c + m * n;
  uint16_t *bf16 = calloc((size_t)(n * k), sizeof *bf16);
  for (int64_t i = 0; i < m * k; i++) a[i] = (float)(int)(fixture_bits() % 257) / 128 - 1; /* bf16 holds them exactly */
  for (int64_t i = 0; i < n * k; i++) b[i] = (float)fixture_bits() * 0x1p-31F - 1;
  cohort_round_to_bf16(b, n * k, bf16);
  for (int threads = 1; threads <= 2; threads++) {
    const cohort_team team = {threads};
    const cohort_shape right = transposed ? SHAPE(n, k) : SHAPE(k, n);
    const cohort_call call = {.inputs = 2,
                              .outputs = 1,
                              .input = {{a, SHAPE(m, k), COHORT_TYPE_REAL}, {b, right, COHORT_TYPE_REAL}},
                              .output = {{threads == 1 ? alone : c, SHAPE(m, n), COHORT_TYPE_REAL}},
                              .attributes = {.integers = {0, transposed}},
                              .bf16 = bf16,
                              .team = &team};
    set->run[COHORT_OP_MATMUL](&call);
  }
  CU_ASSERT_EQUAL(memcmp(c, alone, (size_t)(m * n) * sizeof *c), 0);
  double worst = 0;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;
      for (int64_t l = 0; l < k; l++) {
        const uint32_t bits = (uint32_t)bf16[transposed ? j * k + l : l * n + j] << 16;
        float value;
        memcpy(&value, &bits, sizeof value);
        sum += (double)a[i * k + l] * (double)value;
      }
      worst = fmax(worst, fabs(sum - (double)c[i * n + j]));
    }
  CU_ASSERT(worst <= 1e-6 * sqrt((double)k) + 1e-6);
  free(a), free(b), free(c), free(bf16);
}

static void test_halves(void) {
  for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++)
    for (int way = 0; way <= (int)cohort_processor_bf16(); way++)
      for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int transposed = 0; transposed < 2; transposed++)
          if (shapes[i].m <= 16)
            check_bf16(cohort_kernels_bf16((cohort_isa)isa, (cohort_bf16)way), &shapes[i], transposed);
}

/* To nearest even, against the definition; infinity, the largest values and NaN. */
static void test_rounding(void) {
  static const uint32_t from[] = {0x3f800000, 0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x80000001,
                                  0x7f800000, 0x7f7fffff, 0xff800000, 0x7f800001, 0xffffffff, 0x00008000};
  static const uint16_t to[] = {0x3f80, 0x3f80, 0x3f82, 0x3f81, 0x3f80, 0x8000,
                                0x7f80, 0x7f80, 0xff80, 0x7fc0, 0xffff, 0};
  enum { COUNT = sizeof from / sizeof from[0] };
  float x[COUNT];
  uint16_t bf16[COUNT];
  memcpy(x, from, sizeof x);
  cohort_round_to_bf16(x, COUNT, bf16);
  CU_ASSERT_EQUAL(memcmp(bf16, to, sizeof to), 0);
}

static const check checks[] = {
    {"sums, bits on any threads", test_sums},
    {"a row's bits are its own", test_rows_stand_alone},
    {"a rounded copy of the matrix", test_halves},
    {"rounding to bf16", test_rounding},
};

int main(void) { return check_run("product_thin", checks, sizeof checks / sizeof checks[0]); }
