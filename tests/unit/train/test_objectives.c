/* Objectives that are summed before backward: the gradient and the Hessian product are those of the sum, each objective
 * is still reported, and the plan costs what that of one does. */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "check.h"
#include "io/config.h"
#include "lane/graph.h"
#include "train/task/task.h"

enum { LOSSES = 4, SAMPLES = 6 };

static const char four[] = "losses: [cross_entropy, squentropy, {cross_entropy: {label_smoothing: 0.2}}, squentropy]\n";
static const double weight[LOSSES] = {1, 0.5, 0, -0.25};

typedef struct bench {
  cohort_document *document;
  cohort_settings settings;
  cohort_task task;
  cohort_space *space;
  float *direction;
  char path[64];
} bench;

static void open_bench(bench *own, const char *losses) {
  memset(own, 0, sizeof *own);
  (void)snprintf(own->path, sizeof own->path, "/tmp/test_objectives_%ld.txt", (long)getpid());
  FILE *file = fopen(own->path, "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  for (int i = 0; i < 200; i++) CU_ASSERT(fprintf(file, "%d and %d\n", i, i * i % 37) > 0);
  CU_ASSERT_EQUAL(fclose(file), 0);
  char *const text = cohort_format_text(
      "task: language\nsteps: 1\nmodel: {gpt: {layers: 1, width: 16, heads: 2, context: 8}}\n%sdata: {text: %s}\n",
      losses, own->path);
  cohort_faults faults = {0};
  cohort_error error = {0};
  const cohort_log log = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, strlen(text), "c.yaml", &own->document, &error), COHORT_DONE);
  cohort_settings_read(own->document, &own->settings, &faults);
  CU_ASSERT_EQUAL_FATAL(cohort_task_open(&own->settings, NULL, &log, &faults, &own->task, &error), COHORT_DONE);
  free(text);
  cohort_graph *graph = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_lane_source_graph(&own->task.source, &graph, &error), COHORT_DONE);
  own->space = cohort_space_create(graph, 0, "model");
  cohort_graph_destroy(graph);
  CU_ASSERT_EQUAL_FATAL(cohort_space_hold(own->space, &error), COHORT_DONE);
  cohort_space_initialise(own->space, cohort_random_key_from_seed(1), NULL);
  own->direction = cohort_allocate((size_t)own->space->elements * sizeof *own->direction);
  for (int64_t e = 0; e < own->space->elements; e++) own->direction[e] = e % 3 ? 1.0f : -1.0f;
}

static void close_bench(bench *own) {
  free(own->direction);
  cohort_space_destroy(own->space);
  cohort_task_close(&own->task);
  cohort_settings_release(&own->settings);
  cohort_document_destroy(own->document);
  (void)unlink(own->path);
}

static cohort_lane_graph *make_graph(const bench *own, bool summed, bool hvp_diagonal) {
  cohort_lane_graph_options options = {
      .gradients = true, .hessian_product = hvp_diagonal, .summed = summed, .lanes = 1};
  options.capacity = SAMPLES;
  memcpy(options.weight, weight, sizeof weight);
  if (own->task.objectives == 1) options.weight[0] = 1;
  cohort_lane_graph *graph = NULL;
  cohort_error error = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_lane_graph_create(&own->task.source, &options, &own->space,
                                                 cohort_kernels_float32(COHORT_ISA_AVX2), &graph, &error),
                        COHORT_DONE);
  return graph;
}

static void run_graph(const bench *own, cohort_lane_graph *graph, double *scalars, float *rows) {
  cohort_lane_context context;
  cohort_error error = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_lane_context_create(1, &graph, 1, 1, &context, &error), COHORT_DONE);
  for (int64_t i = 0; i < SAMPLES; i++) context.position[i] = i;
  const float *const weights[1] = {own->space->values}, *const directions[1] = {own->direction};
  const int64_t place[1] = {0};
  const cohort_lane_row row = {rows, place, own->space->elements};
  const cohort_lane_pass run = {.split = COHORT_SPLIT_TRAIN,
                                .count = SAMPLES,
                                .inverse_count = 1.0 / SAMPLES,
                                .point = weights,
                                .direction = directions,
                                .row = &row,
                                .scalars = scalars};
  cohort_lane_graph_run(&own->task.source, graph, &context, 0, 0, &run);
  cohort_lane_context_release(&context);
}

/* The gradient; with curvature the product too, whose weights are checked against differences of gradients. */
static void one_pass_gives_the_sum(bool hvp_diagonal) {
  bench own;
  open_bench(&own, four);
  const int64_t elements = own.space->elements;
  cohort_lane_graph *apart = make_graph(&own, false, false), *summed = make_graph(&own, true, hvp_diagonal);
  CU_ASSERT_EQUAL(apart->vectors, LOSSES);
  CU_ASSERT_EQUAL(summed->vectors, 1);
  CU_ASSERT_EQUAL(summed->objectives, LOSSES);
  double scalars[COHORT_MAX_SCALARS] = {0}, expected_scalars[COHORT_MAX_SCALARS] = {0};
  float *rows = cohort_allocate(2 * (size_t)elements * sizeof *rows);
  float *each = cohort_allocate(3 * LOSSES * (size_t)elements * sizeof *each), *less = each + 2 * LOSSES * elements;
  float *more = each + LOSSES * elements;
  run_graph(&own, summed, scalars, rows);
  run_graph(&own, apart, expected_scalars, each);
  for (int i = 0; i < LOSSES; i++)
    CU_ASSERT_DOUBLE_EQUAL(scalars[i], expected_scalars[i], 1e-6 * fabs(expected_scalars[i]));
  CU_ASSERT(expected_scalars[0] != expected_scalars[1] && expected_scalars[0] > 0);
  const float step = 0x1p-13f;
  for (int sign = -1; hvp_diagonal && sign <= 1; sign += 2) {
    double ignored[COHORT_MAX_SCALARS];
    for (int64_t e = 0; e < elements; e++) own.space->values[e] += (float)sign * step * own.direction[e];
    run_graph(&own, apart, ignored, sign < 0 ? less : more);
    for (int64_t e = 0; e < elements; e++) own.space->values[e] -= (float)sign * step * own.direction[e];
  }
  double difference = 0, largest = 0, product_difference = 0, largest_product = 0;
  for (int64_t e = 0; e < elements; e++) {
    double gradient = 0, product = 0;
    for (int i = 0; i < LOSSES; i++) {
      const int64_t at = i * elements + e;
      gradient += weight[i] * (double)each[at];
      product += weight[i] * ((double)more[at] - (double)less[at]) / (2 * (double)step);
    }
    difference = fmax(difference, fabs((double)rows[e] - gradient));
    largest = fmax(largest, fabs(gradient));
    product_difference = fmax(product_difference, fabs((double)rows[elements + e] - product));
    largest_product = fmax(largest_product, fabs(product));
  }
  CU_ASSERT(largest > 1e-3 && difference <= 2e-6 * largest);
  if (hvp_diagonal) CU_ASSERT(largest_product > 1e-3 && product_difference <= 1e-3 * largest_product);
  free(rows);
  free(each);
  cohort_lane_graph_destroy(apart);
  cohort_lane_graph_destroy(summed);
  close_bench(&own);
}

static void gradient_of_the_sum(void) { one_pass_gives_the_sum(false); }
static void product_of_the_sum(void) { one_pass_gives_the_sum(true); }

static void costs_as_one(void) {
  bench one, many;
  open_bench(&many, "losses: [cross_entropy, {cross_entropy: {label_smoothing: 0.2}}, cross_entropy, cross_entropy]\n");
  open_bench(&one, "");
  cohort_lane_graph *of_one = make_graph(&one, true, false), *of_many = make_graph(&many, true, false);
  cohort_lane_graph *apart = make_graph(&many, false, false);
  const double flops = cohort_plan_flops(of_one->plan), bytes = (double)cohort_plan_arena_bytes(of_one->plan);
  CU_ASSERT(cohort_plan_flops(of_many->plan) <= 1.1 * flops);
  CU_ASSERT((double)cohort_plan_arena_bytes(of_many->plan) <= 1.1 * bytes);
  CU_ASSERT(cohort_plan_flops(apart->plan) > 2 * flops);
  cohort_lane_graph_destroy(of_one);
  cohort_lane_graph_destroy(of_many);
  cohort_lane_graph_destroy(apart);
  close_bench(&one);
  close_bench(&many);
}

static const check checks[] = {{"the gradient of the sum", gradient_of_the_sum},
                               {"the product of the sum", product_of_the_sum},
                               {"several cost as one", costs_as_one}};
int main(void) { return check_run("objectives", checks, sizeof checks / sizeof *checks); }
