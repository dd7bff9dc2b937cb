/* What operations are said to compute, against counts by hand. */
#include "check.h"
#include "kernel/kernel.h"

#define SHAPE(...) ((cohort_shape){(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})

static cohort_call call_of(cohort_shape first, cohort_shape second, cohort_shape output) {
  cohort_call call = {.inputs = 2, .outputs = 1};
  call.input[0].shape = first;
  call.input[1].shape = second;
  call.output[0].shape = output;
  return call;
}

static void test_products(void) {
  cohort_call call = call_of(SHAPE(3, 5, 7), SHAPE(7, 11), SHAPE(3, 5, 11));
  CU_ASSERT_EQUAL(cohort_op_flops(COHORT_OP_MATMUL, &call), 2.0 * 3 * 5 * 7 * 11);
  call = call_of(SHAPE(7, 5), SHAPE(7, 11), SHAPE(5, 11));
  call.attributes.integers[0] = 1;
  CU_ASSERT_EQUAL(cohort_op_flops(COHORT_OP_MATMUL, &call), 2.0 * 5 * 7 * 11);
  call = call_of(SHAPE(2, 8, 8, 3), SHAPE(4, 3, 3, 3), SHAPE(2, 6, 6, 4));
  CU_ASSERT_EQUAL(cohort_op_flops(COHORT_OP_CONVOLUTION, &call), 2.0 * 2 * 6 * 6 * 4 * 3 * 3 * 3);
  call = call_of(SHAPE(9, 4), SHAPE(13, 4), SHAPE(9));
  CU_ASSERT_EQUAL(cohort_op_flops(COHORT_OP_VOCABULARY_HEAD, &call), 2.0 * 9 * 4 * 13);
  call.outputs = 2;
  CU_ASSERT_EQUAL(cohort_op_flops(COHORT_OP_VOCABULARY_HEAD_BACKWARD, &call), 3 * 2.0 * 9 * 4 * 13);
  call.outputs = 1; /* the weight is frozen */
  CU_ASSERT_EQUAL(cohort_op_flops(COHORT_OP_VOCABULARY_HEAD_BACKWARD, &call), 2 * 2.0 * 9 * 4 * 13);
  CU_ASSERT_EQUAL(cohort_op_flops(COHORT_OP_ADD, &call), 0);
}

/* Segments of 5 and 3 rows and two rows of padding, pair by pair: a score is a sum of D products, and each value has D
 * elements; backward there are five such products. */
static void test_attention(void) {
  static const int segment[] = {0, 0, 0, 0, 0, 1, 1, 1, -1, -1};
  enum { ROWS = 10, HEADS = 4, KEY_HEADS = 2, WIDTH = 6 };
  double pairs = 0;
  for (int query = 0; query < ROWS; query++)
    for (int key = 0; key <= query; key++) pairs += segment[query] >= 0 && segment[key] == segment[query];
  CU_ASSERT_EQUAL(pairs, 15 + 6);
  const cohort_shape q = SHAPE(ROWS, HEADS, WIDTH);
  cohort_call call = call_of(q, SHAPE(ROWS, KEY_HEADS, WIDTH), q);
  CU_ASSERT_EQUAL(cohort_op_flops(COHORT_OP_ATTENTION, &call), 0);
  call.attributes.reals[1] = pairs / ROWS;
  CU_ASSERT_DOUBLE_EQUAL(cohort_op_flops(COHORT_OP_ATTENTION, &call), 2 * 2.0 * HEADS * WIDTH * pairs, 1e-9);
  CU_ASSERT_DOUBLE_EQUAL(cohort_op_flops(COHORT_OP_ATTENTION_BACKWARD, &call), 5 * 2.0 * HEADS * WIDTH * pairs, 1e-9);
}

int main(void) {
  static const check checks[] = {{"products", test_products}, {"attention", test_attention}};
  return check_run("flops", checks, sizeof checks / sizeof *checks);
}
