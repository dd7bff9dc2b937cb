/* The preference task: empty places of a lane are finite for every method and weigh nothing; pairs from lines differ.
 */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "check.h"
#include "io/config.h"
#include "lane/graph.h"
#include "method/preference/preference.h"
#include "train/task/preference.h"
#include "train/task/task.h"
#include "train/task/token_pairs.h"

enum { PAIRS = 3, MOST = 7 };

/* A loss that has no value where a completion is certain, and no slope where both sides are equal: log odds, as in
 * ORPO, and the root of the distance between the two. */
static cohort_preference_outputs build_odds(const void *config, cohort_graph *graph,
                                            const cohort_preference_fields *fields) {
  (void)config;
  const cohort_value mean = cohort_graph_divide(graph, fields->policy, fields->length);
  const cohort_value other =
      cohort_graph_unary(graph, COHORT_OP_NEGATE, cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, mean));
  const cohort_value odds = cohort_graph_subtract(graph, mean, cohort_graph_unary(graph, COHORT_OP_LOG1P, other));
  const cohort_value margin =
      cohort_graph_subtract(graph, cohort_preference_side(graph, odds, 0), cohort_preference_side(graph, odds, 1));
  const cohort_value distance = cohort_graph_unary(graph, COHORT_OP_ABSOLUTE, margin);
  const cohort_value loss = cohort_graph_scale(graph, cohort_graph_log_sigmoid(graph, margin), -1);
  return (cohort_preference_outputs){
      .loss = cohort_graph_add(graph, loss, cohort_graph_unary(graph, COHORT_OP_SQUARE_ROOT, distance)),
      .token_loss = COHORT_NO_VALUE,
      .reward = odds};
}

static const cohort_preference odds_functions = {.build = build_odds};
static const cohort_method odds = {.family = "preference", .key = "odds", .functions = &odds_functions};

static const char pairs_text[] =
    "{\"prompt\": \"and the\", \"chosen\": \" lord\", \"rejected\": \" sign of\"}\n"
    "{\"prompt\": \"in\", \"chosen\": \" all days\", \"rejected\": \" x\"}\n"
    "{\"prompt\": \"a house\", \"chosen\": \" was\", \"rejected\": \" thee\"}\n"
    "{\"prompt\": \"unto\", \"chosen\": \" him\", \"rejected\": \" were\"}\n";

typedef struct bench {
  cohort_document *document;
  cohort_settings settings;
  cohort_task task;
  cohort_space *space;
  char path[64];
} bench;

static void open_bench(bench *own) {
  memset(own, 0, sizeof *own);
  (void)snprintf(own->path, sizeof own->path, "/tmp/test_preference_%ld.jsonl", (long)getpid());
  FILE *file = fopen(own->path, "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT(fputs(pairs_text, file) >= 0);
  CU_ASSERT_EQUAL(fclose(file), 0);
  char *const text = cohort_format_text(
      "task: preference\nsteps: 1\nmodel: {gpt: {layers: 1, width: 8, heads: 2, context: 24}}\npreference: simpo\n"
      "data: {train: %s, validation_share: 0.25}\n",
      own->path);
  cohort_faults faults = {0};
  cohort_error error = {0};
  const cohort_log log = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, strlen(text), "c.yaml", &own->document, &error), COHORT_DONE);
  cohort_settings_read(own->document, &own->settings, &faults);
  CU_ASSERT_EQUAL_FATAL(faults.count, 0);
  CU_ASSERT_EQUAL_FATAL(cohort_task_open(&own->settings, NULL, &log, &faults, &own->task, &error), COHORT_DONE);
  CU_ASSERT_EQUAL(own->task.samples[COHORT_SPLIT_TRAIN], PAIRS);
  free(text);
  own->task.preference.method = &odds;
  cohort_preference_data *const data = own->task.own;
  cohort_preference_place_inputs(&odds, false, data->shares, &data->split[COHORT_SPLIT_TRAIN], data->place);
  cohort_graph *graph = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_lane_source_graph(&own->task.source, &graph, &error), COHORT_DONE);
  own->space = cohort_space_create(graph, 0, "model");
  cohort_graph_destroy(graph);
  CU_ASSERT_EQUAL_FATAL(cohort_space_hold(own->space, &error), COHORT_DONE);
  cohort_space_initialise(own->space, cohort_random_key_from_seed(1), NULL);
}

static void close_bench(bench *own) {
  /* What the task has read it releases by the method it was opened with. */
  own->task.preference.method = cohort_registry_find(COHORT_VARIANT_F64, "preference", "simpo");
  cohort_space_destroy(own->space);
  cohort_task_close(&own->task);
  cohort_settings_release(&own->settings);
  cohort_document_destroy(own->document);
  (void)unlink(own->path);
}

/* Scalars and gradient of the first `count` training pairs in a lane with room for `capacity`. */
static void run_lane(const bench *own, int64_t capacity, int64_t count, double *scalars, float *gradient) {
  const cohort_lane_graph_options options = {.gradients = true, .training = true, .lanes = 1, .capacity = capacity};
  cohort_lane_graph *graph = NULL;
  cohort_lane_context context;
  cohort_error error = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_lane_graph_create(&own->task.source, &options, &own->space,
                                                 cohort_kernels_float32(COHORT_ISA_AVX2), &graph, &error),
                        COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(cohort_lane_context_create(1, &graph, 1, 1, &context, &error), COHORT_DONE);
  for (int64_t i = 0; i < count; i++) context.position[i] = i;
  const float *const weights[1] = {own->space->values};
  const int64_t place[1] = {0};
  const cohort_lane_row row = {gradient, place, own->space->elements};
  const cohort_lane_pass run = {.split = COHORT_SPLIT_TRAIN,
                                .count = count,
                                .inverse_count = 1.0 / PAIRS,
                                .point = weights,
                                .row = &row,
                                .scalars = scalars};
  cohort_lane_graph_run(&own->task.source, graph, &context, 0, 0, &run);
  cohort_lane_context_release(&context);
  cohort_lane_graph_destroy(graph);
}

static bool all_finite(const float *values, int64_t count) {
  for (int64_t e = 0; e < count; e++)
    if (!isfinite(values[e])) return false;
  return true;
}

static void empty_places_weigh_nothing(void) {
  bench own;
  open_bench(&own);
  const int64_t elements = own.space->elements;
  float *full = calloc((size_t)elements, sizeof *full), *padded = calloc((size_t)elements, sizeof *padded);
  for (int64_t count = 0; count <= PAIRS; count++) {
    double expected[COHORT_MAX_SCALARS] = {0}, found[COHORT_MAX_SCALARS] = {0};
    memset(full, 0, (size_t)elements * sizeof *full);
    if (count) run_lane(&own, count, count, expected, full);
    run_lane(&own, MOST, count, found, padded);
    CU_ASSERT(all_finite(padded, elements));
    for (int i = 0; i < 5; i++) CU_ASSERT_DOUBLE_EQUAL(found[i], expected[i], 1e-6 * fabs(expected[i]));
    double difference = 0, largest = 0;
    for (int64_t e = 0; e < elements; e++) {
      difference = fmax(difference, fabs((double)padded[e] - (double)full[e]));
      largest = fmax(largest, fabs((double)full[e]));
    }
    CU_ASSERT(count == 0 || largest > 1e-3);
    CU_ASSERT(difference <= 1e-6 * largest);
  }
  free(full);
  free(padded);
  close_bench(&own);
}

/* FLOPs of a training step of the demo's model. */
static double step_flops(const char *reference) {
  enum { LENGTH = 96 };
  char path[64];
  (void)snprintf(path, sizeof path, "/tmp/test_preference_flops_%ld.jsonl", (long)getpid());
  FILE *file = fopen(path, "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT(fprintf(file, "{\"prompt\": \"%0*d\", \"chosen\": \"%0*d\", \"rejected\": \"%0*d\"}\n", LENGTH / 2, 1,
                    LENGTH / 2, 2, LENGTH / 2, 3) > 0);
  CU_ASSERT_EQUAL(fclose(file), 0);
  char *const text = cohort_format_text(
      "task: preference\nsteps: 1\nmodel: {gpt: {layers: 4, width: 128, heads: 4, context: 128}}\npreference: dpo\n"
      "reference: %s\ndata: {train: %s, validation_share: 0}\n",
      reference, path);
  cohort_document *document = NULL;
  cohort_settings settings;
  cohort_task task;
  cohort_faults faults = {0};
  cohort_error error = {0};
  const cohort_log log = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, strlen(text), "c.yaml", &document, &error), COHORT_DONE);
  cohort_settings_read(document, &settings, &faults);
  CU_ASSERT_EQUAL_FATAL(faults.count, 0);
  cohort_comm comm = cohort_comm_alone();
  CU_ASSERT_EQUAL_FATAL(cohort_task_open(&settings, &comm, &log, &faults, &task, &error), COHORT_DONE);
  cohort_graph *graph = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_lane_source_graph(&task.source, &graph, &error), COHORT_DONE);
  cohort_space *spaces[2] = {cohort_space_create(graph, 0, "model"), NULL};
  if (task.spaces > 1) spaces[1] = cohort_space_create(graph, 1, "reference");
  cohort_graph_destroy(graph);
  const cohort_lane_graph_options options = {.gradients = true, .training = true, .lanes = 1, .capacity = 4};
  cohort_lane_graph *lane = NULL;
  CU_ASSERT_EQUAL_FATAL(
      cohort_lane_graph_create(&task.source, &options, spaces, cohort_kernels_float32(COHORT_ISA_AVX2), &lane, &error),
      COHORT_DONE);
  const double flops = cohort_plan_flops(lane->plan);
  cohort_lane_graph_destroy(lane);
  for (int s = 0; s < task.spaces; s++) cohort_space_destroy(spaces[s]);
  cohort_task_close(&task);
  cohort_settings_release(&settings);
  cohort_document_destroy(document);
  free(text);
  (void)unlink(path);
  return flops;
}

static void a_stored_reference_costs_no_pass(void) {
  const double computed = step_flops("computed"), stored = step_flops("stored");
  printf("    stored %.4f of computed\n", stored / computed);
  CU_ASSERT(stored > 0 && stored <= 0.76 * computed);
}

/* Two lines end alike: neither is rejected for the other. */
static void pairs_from_lines_differ(void) {
  static const char text[] = "one two three four five six\nsix five four three two one\nxxx yyy three four five six\n";
  for (uint64_t seed = 0; seed < 8; seed++) {
    cohort_completions pairs;
    CU_ASSERT_EQUAL_FATAL(
        cohort_pairs_from_lines(text, sizeof text - 1, 3, cohort_random_key_from_seed(seed), &pairs, NULL),
        COHORT_DONE);
    for (int64_t i = 0; i < pairs.count; i++)
      CU_ASSERT_STRING_NOT_EQUAL(pairs.completion[2 * i].text, pairs.completion[2 * i + 1].text);
    cohort_completions_release(&pairs);
  }
  static const char alike[] = "one two three four five six\nxxx yyy three four five six\n";
  cohort_completions pairs;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_pairs_from_lines(alike, sizeof alike - 1, 2, cohort_random_key_from_seed(1), &pairs, &error),
                  COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "end alike"));
}

/* Beyond the context's end they differ, and nobody sees it. */
static void pairs_that_the_context_makes_alike_are_counted(void) {
  char *prompt[2] = {"pr", "pr"};
  cohort_completion text[4] = {{.text = "abcdefgh"}, {.text = "abcdefxx"}, {.text = "x"}, {.text = "y"}};
  const cohort_completions pairs = {
      .shape = COHORT_DATA_PREFERENCE, .count = 2, .sides = 2, .prompt = prompt, .completion = text};
  cohort_tokenizer *tokenizer = cohort_tokenizer_bytes();
  for (int64_t context = 4; context <= 16; context += 12) {
    cohort_token_pairs tokens;
    const cohort_token_options options = {.tokenizer = tokenizer, .context = context};
    CU_ASSERT_EQUAL(cohort_token_pairs_create(1, &pairs, NULL, &options, &tokens, NULL), COHORT_DONE);
    CU_ASSERT_EQUAL(tokens.count, 2);
    CU_ASSERT_EQUAL(tokens.alike, context == 4);
    cohort_token_pairs_release(&tokens);
  }
  cohort_tokenizer_destroy(tokenizer);
}

/* Taken apart, every pair gives a desirable completion and one that is not, after the same prompt. */
static void pairs_are_taken_apart(void) {
  char *prompt[2] = {"pr", "qq"};
  cohort_completion text[4] = {{.text = "abc"}, {.text = "d"}, {.text = "x"}, {.text = "yy"}};
  const cohort_completions pairs = {
      .shape = COHORT_DATA_PREFERENCE, .count = 2, .sides = 2, .prompt = prompt, .completion = text};
  cohort_tokenizer *tokenizer = cohort_tokenizer_bytes();
  cohort_token_pairs both, apart;
  cohort_token_options options = {.tokenizer = tokenizer, .context = 16};
  CU_ASSERT_EQUAL(cohort_token_pairs_create(1, &pairs, NULL, &options, &both, NULL), COHORT_DONE);
  options.apart = true;
  CU_ASSERT_EQUAL(cohort_token_pairs_create(1, &pairs, NULL, &options, &apart, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(apart.count, 4);
  CU_ASSERT_EQUAL(apart.sides, 1);
  for (int i = 0; i < 4; i++) {
    CU_ASSERT_EQUAL(apart.desirable[i], i % 2 == 0);
    CU_ASSERT_EQUAL_FATAL(apart.length[i], both.length[i]);
    CU_ASSERT_EQUAL(memcmp(apart.sequence[i], both.sequence[i], (size_t)both.length[i] * sizeof(int32_t)), 0);
  }
  cohort_token_pairs_release(&both);
  cohort_token_pairs_release(&apart);
  cohort_tokenizer_destroy(tokenizer);
}

static const check checks[] = {
    {"a stored reference costs no pass", a_stored_reference_costs_no_pass},
    {"pairs are taken apart", pairs_are_taken_apart},
    {"empty places weigh nothing", empty_places_weigh_nothing},
    {"pairs from lines differ", pairs_from_lines_differ},
    {"pairs that the context makes alike are counted", pairs_that_the_context_makes_alike_are_counted}};
int main(void) { return check_run("preference", checks, sizeof checks / sizeof *checks); }
