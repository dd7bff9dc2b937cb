/* Steps that run through a few images at a time: what comes out is what single images give, added up; the same bits on
 * any number of threads and in a plan that is cut; and less memory. */
#include "graph/partition.h"
#include "graph/planned.h"
#include "rig.h"

enum { IMAGES = 32, SIDE = 32, WIDTH = 16, PARAMETERS = 8 };

typedef struct network {
  rig at;
  cohort_value loss, gradient[PARAMETERS];
} network;

/* Convolutions of every kind: by Winograd's algorithm or directly, of stride 2, and over patches. */
static network network_create(int64_t images) {
  network own = {.at = rig_create(5)};
  rig *at = &own.at;
  cohort_graph *graph = at->graph;
  const cohort_value first = rig_real(at, COHORT_SHAPE(WIDTH, 3, 3, WIDTH), -0.2, 0.2);
  const cohort_value gain = rig_real(at, COHORT_SHAPE(WIDTH), 0.5, 1.5);
  const cohort_value bias = rig_real(at, COHORT_SHAPE(WIDTH), -0.5, 0.5);
  const cohort_value second = rig_real(at, COHORT_SHAPE(2 * WIDTH, 3, 3, WIDTH), -0.2, 0.2);
  const cohort_value gain2 = rig_real(at, COHORT_SHAPE(2 * WIDTH), 0.5, 1.5);
  const cohort_value bias2 = rig_real(at, COHORT_SHAPE(2 * WIDTH), -0.5, 0.5);
  const cohort_value third = rig_real(at, COHORT_SHAPE(20, 3, 3, 2 * WIDTH), -0.2, 0.2);
  const cohort_value each = rig_real(at, COHORT_SHAPE(20), -0.5, 0.5);
  const cohort_value x = rig_given(at, COHORT_SHAPE(images, SIDE, SIDE, WIDTH), -1, 1);
  cohort_value y = cohort_graph_convolution(graph, x, first, 1, 1);
  y = cohort_graph_group_norm_relu(graph, y, gain, bias, x, 4, 1e-5);
  y = cohort_graph_convolution(graph, y, second, 2, 1);
  y = cohort_graph_relu(graph, cohort_graph_group_norm(graph, y, gain2, bias2, 8, 1e-5));
  y = cohort_graph_add(graph, cohort_graph_convolution(graph, y, third, 1, 1), each);
  own.loss = cohort_graph_sum_all(graph, cohort_graph_multiply(graph, y, y));
  cohort_graph_gradient(graph, own.loss, COHORT_NO_VALUE, at->reals, at->real, own.gradient);
  CU_ASSERT_EQUAL_FATAL(cohort_graph_status(graph, NULL), COHORT_DONE);
  return own;
}

static runner runner_of(const network *of, const cohort_kernel_set *set, int threads) {
  cohort_value wanted[PARAMETERS + 1] = {of->loss};
  for (int i = 0; i < PARAMETERS; i++) wanted[i + 1] = of->gradient[i];
  return runner_create(&of->at, of->at.graph, set, PARAMETERS + 1, wanted, threads);
}

static int count_in_tilings(const cohort_plan *plan, cohort_op op) {
  int found = 0;
  for (int i = 0; i < plan->steps; i++) found += plan->label[i].op == op && plan->step[i].parts > 1;
  return found;
}

static void test_tilings_are_found(void) {
  network many = network_create(IMAGES), one = network_create(1);
  runner all = runner_of(&many, cohort_kernels_float64(), 1), alone = runner_of(&one, cohort_kernels_float64(), 1);
  CU_ASSERT_EQUAL(count_in_tilings(all.plan, COHORT_OP_CONVOLUTION), 3);
  CU_ASSERT_EQUAL(count_in_tilings(all.plan, COHORT_OP_CONVOLUTION_WEIGHT), 3);
  CU_ASSERT_EQUAL(count_in_tilings(all.plan, COHORT_OP_CONVOLUTION_INPUT), 2);
  CU_ASSERT_EQUAL(count_in_tilings(all.plan, COHORT_OP_GROUP_NORM_BACKWARD), 2);
  CU_ASSERT_EQUAL(count_in_tilings(alone.plan, COHORT_OP_CONVOLUTION), 0);
  int rolling = 0;
  for (int i = 0; i < all.plan->steps; i++) {
    const cohort_step *step = &all.plan->step[i];
    rolling += step->parts > 1 && step->call.output[0].shape.axes == 4 && step->output_part[0] == 0 &&
               all.plan->label[i].op != COHORT_OP_CONVOLUTION_WEIGHT;
  }
  CU_ASSERT(rolling >= 4);
  CU_ASSERT_DOUBLE_EQUAL(cohort_plan_flops(all.plan), IMAGES * cohort_plan_flops(alone.plan), 1);
  runner_destroy(&all);
  runner_destroy(&alone);
  rig_destroy(&many.at);
  rig_destroy(&one.at);
}

/* The loss and all gradients, one after another. */
static size_t read_all(const network *of, const runner *from, double *out) {
  size_t count = 0;
  out[count++] = runner_read(from, of->loss, 0);
  for (int i = 0; i < PARAMETERS; i++)
    for (size_t e = 0; e < rig_elements(&of->at, of->gradient[i]); e++)
      out[count++] = runner_read(from, of->gradient[i], (int64_t)e);
  return count;
}

enum { MOST_READ = 1 << 15 };

static void test_images_add_up(void) {
  enum { ELEMENTS = SIDE * SIDE * WIDTH };
  network many = network_create(IMAGES), one = network_create(1);
  runner all = runner_of(&many, cohort_kernels_float64(), 1), alone = runner_of(&one, cohort_kernels_float64(), 1);
  double *got = cohort_allocate(MOST_READ * sizeof *got), *part = cohort_allocate(MOST_READ * sizeof *part);
  double *sum = cohort_allocate(MOST_READ * sizeof *sum);
  runner_run(&all);
  const size_t count = read_all(&many, &all, got);
  for (int image = 0; image < IMAGES; image++) {
    memcpy(one.at.input_data[0], (double *)many.at.input_data[0] + (size_t)image * ELEMENTS, ELEMENTS * sizeof *got);
    runner_run(&alone);
    read_all(&one, &alone, part);
    for (size_t i = 0; i < count; i++) sum[i] += part[i];
  }
  size_t off = 0;
  for (size_t i = 0; i < count; i++) off += !(fabs(got[i] - sum[i]) <= 1e-9 * (fabs(sum[i]) + 1));
  CU_ASSERT_EQUAL(off, 0);
  CU_ASSERT(got[0] > 1 && count > PARAMETERS);
  free(got);
  free(part);
  free(sum);
  runner_destroy(&all);
  runner_destroy(&alone);
  rig_destroy(&many.at);
  rig_destroy(&one.at);
}

/* Every parameter fetched by itself. */
static void cut(runner *own, const network *of) {
  const size_t values = (size_t)cohort_graph_values(own->graph) + 1;
  int *read = cohort_allocate(values * sizeof *read), *written = cohort_allocate(values * sizeof *written);
  for (size_t v = 0; v < values; v++) read[v] = written[v] = -1;
  for (int i = 0; i < PARAMETERS; i++) read[of->at.real[i]] = i;
  const cohort_plan_bound_groups groups = {PARAMETERS, read, written};
  CU_ASSERT_EQUAL_FATAL(cohort_plan_partition(own->plan, &groups, NULL), COHORT_DONE);
  free(read);
  free(written);
}

static void check_same_bits(const cohort_kernel_set *set) {
  network own = network_create(IMAGES);
  runner run[3] = {runner_of(&own, set, 1), runner_of(&own, set, 3), runner_of(&own, set, 1)};
  double *got[3];
  size_t count = 0;
  cut(&run[2], &own);
  CU_ASSERT(cohort_plan_phases(run[2].plan) > 1);
  for (int p = 0; p < cohort_plan_phases(run[2].plan); p++) {
    const cohort_phase *phase = &run[2].plan->phase[p];
    if (phase->first_step == phase->last_step) continue;
    CU_ASSERT_EQUAL(run[2].plan->step[phase->first_step].first_of_tiling, phase->first_step);
    CU_ASSERT_EQUAL(run[2].plan->step[phase->last_step - 1].end_of_tiling, phase->last_step);
  }
  for (int i = 0; i < 3; i++) {
    got[i] = cohort_allocate(MOST_READ * sizeof *got[i]);
    runner_run(&run[i]);
    count = read_all(&own, &run[i], got[i]);
    CU_ASSERT_EQUAL(memcmp(got[0], got[i], count * sizeof *got[i]), 0);
    runner_destroy(&run[i]);
  }
  for (int i = 0; i < 3; i++) free(got[i]);
  rig_destroy(&own.at);
}

static void test_same_bits(void) {
  check_same_bits(cohort_kernels_float64());
  check_same_bits(cohort_kernels_float32(cohort_processor_isa()));
}

static const check checks[] = {
    {"strips are found where images are many", test_tilings_are_found},
    {"images add up", test_images_add_up},
    {"the same bits on threads and in a plan that is cut", test_same_bits},
};

int main(void) { return check_run("strips", checks, sizeof checks / sizeof *checks); }
