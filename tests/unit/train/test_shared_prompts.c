/* A pair's prompt that is read once for both completions: what the model says of a completion has the bits that it has
 * where each has its own prompt, in any order of samples, and gradients are those of the same loss. */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/config.h"
#include "lane/graph.h"
#include "tests/check.h"
#include "train/task/task.h"

enum { SAMPLES = 4, SEQUENCES = 2 * SAMPLES, MOST = 1 << 17 };

/* Prompts of one token, of more than a tile of keys, and completions that begin alike. */
static const char pairs_text[] =
    "{\"prompt\": \"a\", \"chosen\": \" lord of\", \"rejected\": \" sign\"}\n"
    "{\"prompt\": \"and the children of the land went up out of the house of their fathers unto the king and\", "
    "\"chosen\": \" said unto him, we are come\", \"rejected\": \" said no\"}\n"
    "{\"prompt\": \"in all his days\", \"chosen\": \" x\", \"rejected\": \" there was peace in the land\"}\n"
    "{\"prompt\": \"unto\", \"chosen\": \" him\", \"rejected\": \" were\"}\n";

typedef struct run {
  double scalars[COHORT_MAX_SCALARS];
  float row[SEQUENCES];
  float gradient[MOST];
  int64_t rows, elements;
} run;

typedef struct bench {
  cohort_document *document;
  cohort_settings settings;
  cohort_task task;
  cohort_comm comm;
  cohort_space *space;
} bench;

static void open_bench(const char *path, const char *prompts, bench *own) {
  char *const text = cohort_format_text(
      "task: preference\nsteps: 1\nmodel: {gpt: {style: llama, layers: 2, width: 24, heads: 3, key_heads: 1, context: "
      "128}}\n"
      "preference: dpo\nreference: stored\nprompts: %s\ndata: {train: %s, validation_share: 0}\n",
      prompts, path);
  cohort_faults faults = {0};
  cohort_error error = {0};
  const cohort_log log = {0};
  memset(own, 0, sizeof *own);
  own->comm = cohort_comm_alone();
  CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, strlen(text), "c.yaml", &own->document, &error), COHORT_DONE);
  cohort_settings_read(own->document, &own->settings, &faults);
  CU_ASSERT_EQUAL_FATAL(faults.count, 0);
  CU_ASSERT_EQUAL_FATAL(cohort_task_open(&own->settings, &own->comm, &log, &faults, &own->task, &error), COHORT_DONE);
  free(text);
  cohort_graph *graph = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_lane_source_graph(&own->task.source, &graph, &error), COHORT_DONE);
  own->space = cohort_space_create(graph, 0, "model");
  cohort_graph_destroy(graph);
  CU_ASSERT_EQUAL_FATAL(cohort_space_hold(own->space, &error), COHORT_DONE);
  cohort_space_initialise(own->space, cohort_random_key_from_seed(1), NULL);
}

static void close_bench(bench *own) {
  cohort_space_destroy(own->space);
  cohort_task_close(&own->task);
  cohort_settings_release(&own->settings);
  cohort_document_destroy(own->document);
}

static void run_lane(const bench *own, bool training, const int64_t *position, run *out) {
  const cohort_lane_graph_options options = {
      .gradients = training, .training = training, .lanes = 1, .capacity = SAMPLES};
  cohort_lane_graph *graph = NULL;
  cohort_lane_context context;
  cohort_error error = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_lane_graph_create(&own->task.source, &options, &own->space,
                                                 cohort_kernels_float32(COHORT_ISA_AVX2), &graph, &error),
                        COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(cohort_lane_context_create(1, &graph, 1, 1, &context, &error), COHORT_DONE);
  CU_ASSERT(own->space->elements <= MOST && graph->row_elements <= SEQUENCES);
  memcpy(context.position, position, SAMPLES * sizeof *position);
  const float *const weights[1] = {own->space->values};
  const int64_t place[1] = {0};
  const cohort_lane_row row = {out->gradient, place, own->space->elements};
  const cohort_lane_pass pass = {.split = COHORT_SPLIT_TRAIN,
                                 .direct = true,
                                 .count = SAMPLES,
                                 .inverse_count = 1.0 / SAMPLES,
                                 .point = weights,
                                 .row = training ? &row : NULL,
                                 .scalars = out->scalars,
                                 .kept = training ? NULL : out->row};
  CU_ASSERT(cohort_lane_graph_run(&own->task.source, graph, &context, 0, 0, &pass));
  out->rows = context.extent[0][0];
  out->elements = own->space->elements;
  CU_ASSERT(cohort_plan_extents(graph->plan) > 0);
  cohort_lane_context_release(&context);
  cohort_lane_graph_destroy(graph);
}

static const int64_t in_order[SAMPLES] = {0, 1, 2, 3}, mixed[SAMPLES] = {2, 0, 3, 1};
static const char *const prompts[2] = {"shared", "apart"};
static run result[2], other;

static void write_pairs(char *path, size_t size) {
  (void)snprintf(path, size, "/tmp/test_shared_prompts_%ld.jsonl", (long)getpid());
  FILE *file = fopen(path, "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT(fputs(pairs_text, file) >= 0);
  CU_ASSERT_EQUAL(fclose(file), 0);
}

static void completions_keep_their_bits(void) {
  char path[64];
  write_pairs(path, sizeof path);
  for (int i = 0; i < 2; i++) {
    bench own;
    open_bench(path, prompts[i], &own);
    run_lane(&own, false, in_order, &result[i]);
    run_lane(&own, false, mixed, &other);
    for (int s = 0; s < SEQUENCES; s++)
      CU_ASSERT(other.row[s] == result[i].row[2 * mixed[s / 2] + s % 2] && other.row[s] < 0);
    close_bench(&own);
  }
  CU_ASSERT(memcmp(result[0].row, result[1].row, sizeof result[0].row) == 0);
  printf("    %lld rows for %lld\n", (long long)result[0].rows, (long long)result[1].rows);
  CU_ASSERT(result[0].rows < result[1].rows * 3 / 4);
  (void)unlink(path);
}

static void gradients_are_the_same(void) {
  char path[64];
  write_pairs(path, sizeof path);
  for (int i = 0; i < 2; i++) {
    bench own;
    open_bench(path, prompts[i], &own);
    run_lane(&own, true, in_order, &result[i]);
    close_bench(&own);
  }
  double difference = 0, largest = 0;
  for (int64_t e = 0; e < result[0].elements; e++) {
    difference = fmax(difference, fabs((double)result[0].gradient[e] - (double)result[1].gradient[e]));
    largest = fmax(largest, fabs((double)result[1].gradient[e]));
  }
  printf("    gradients differ by %.2g of the largest\n", difference / largest);
  CU_ASSERT(memcmp(result[0].scalars, result[1].scalars, 5 * sizeof(double)) == 0);
  CU_ASSERT(largest > 1e-4 && difference <= 3e-6 * largest);
  (void)unlink(path);
}

static const check checks[] = {{"bits", completions_keep_their_bits}, {"gradients", gradients_are_the_same}};

int main(void) { return check_run("shared_prompts", checks, sizeof checks / sizeof *checks); }
