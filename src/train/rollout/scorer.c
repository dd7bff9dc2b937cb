/* Texts are packed into the rows of one plan, as many as fit, one segment each; a run computes the rows in use. Costs a
 * forward pass of a row for each token. */
#include "train/rollout/scorer.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/decompose.h"
#include "graph/executor.h"
#include "kernel/kernel.h"

enum { TOKENS, POSITIONS, SEGMENTS, IDS, LAST, INPUTS };
enum { LEAST_ROWS = 512 }; /* of the plan: several short texts share a run */

struct cohort_scorer {
  cohort_loaded_model from;
  int64_t rows; /* room of the plan; of texts too, as each has a row */
  cohort_graph *graph;
  cohort_plan *plan;
  cohort_executor *executor;
  cohort_value scores;
  int32_t *buffer[INPUTS];
  void **memory;
};

static void build(cohort_scorer *own) {
  static const char *const names[INPUTS] = {"tokens", "positions", "segments", "ids", "last"};
  const cohort_model *functions = own->from.model.method->functions;
  cohort_value input[INPUTS];
  own->graph = cohort_graph_create();
  const int extent = cohort_graph_add_extent(own->graph, own->rows, (double)own->rows);
  for (int i = 0; i < INPUTS; i++) {
    input[i] = cohort_graph_input(own->graph, names[i], COHORT_TYPE_INTEGER, COHORT_SHAPE(own->rows));
    if (i != LAST) cohort_graph_ragged(own->graph, input[i], extent);
    own->buffer[i] = cohort_allocate((size_t)own->rows * sizeof *own->buffer[i]);
  }
  const cohort_model_inputs inputs = {.input = COHORT_NO_VALUE,
                                      .adapter = own->from.adapted ? &own->from.adapter : NULL,
                                      .scalar_head = "score",
                                      .scores_only = true,
                                      .tokens = input[TOKENS],
                                      .positions = input[POSITIONS],
                                      .segments = input[SEGMENTS],
                                      .ids = input[IDS]};
  const cohort_model_outputs outputs = functions->build(own->from.model.config, own->graph, &own->from.data, &inputs);
  own->scores = cohort_graph_gather(own->graph, outputs.scalar, input[LAST]);
  own->memory = cohort_allocate((size_t)cohort_graph_values(own->graph) * sizeof *own->memory);
  for (int i = 0; i < INPUTS; i++) own->memory[input[i]] = own->buffer[i];
  for (int i = 0; i < cohort_graph_parameters(own->graph); i++) {
    cohort_value value;
    const cohort_parameter_tensor *tensor = cohort_graph_parameter_at(own->graph, i, &value);
    own->memory[value] = cohort_loaded_model_tensor(&own->from, tensor->name);
  }
}

static cohort_status set_up(cohort_scorer *own, const char *from, int64_t longest, int threads, cohort_error *error) {
  COHORT_TRY(cohort_loaded_model_open(from, "score", &own->from, error));
  const int64_t context = ((const cohort_model *)own->from.model.method->functions)->context(own->from.model.config);
  if (longest > context)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "%s: its context is %lld tokens, but prompt and completion take up to %lld", from,
                       (long long)context, (long long)longest);
  own->rows = longest > LEAST_ROWS ? longest : LEAST_ROWS;
  build(own);
  COHORT_TRY(cohort_graph_status(own->graph, error));
  const cohort_plan_output output = {own->scores, false};
  const cohort_isa isa = cohort_processor_isa();
  const cohort_kernel_set *kernels =
      own->from.settings.precision ? cohort_kernels_bf16(isa, cohort_processor_bf16()) : cohort_kernels_float32(isa);
  COHORT_TRY(cohort_plan_create(own->graph, kernels, 1, &output, &own->plan, error));
  return cohort_executor_create(cohort_plan_arena_bytes(own->plan), 1, threads, &own->executor, error);
}

cohort_status cohort_scorer_create(const char *from, int64_t longest, int threads, cohort_scorer **out,
                                   cohort_error *error) {
  cohort_scorer *own = cohort_allocate(sizeof *own);
  const cohort_status status = set_up(own, from, longest, threads, error);
  if (status != COHORT_DONE) {
    cohort_scorer_destroy(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

void cohort_scorer_destroy(cohort_scorer *scorer) {
  if (!scorer) return;
  if (scorer->executor) cohort_executor_destroy(scorer->executor);
  if (scorer->plan) cohort_plan_destroy(scorer->plan);
  if (scorer->graph) cohort_graph_destroy(scorer->graph);
  for (int i = 0; i < INPUTS; i++) free(scorer->buffer[i]);
  free(scorer->memory);
  cohort_loaded_model_close(&scorer->from);
  free(scorer);
}

const cohort_tokenizer *cohort_scorer_tokenizer(const cohort_scorer *scorer) { return scorer->from.tokenizer; }

static int64_t length_of(const cohort_scorer_text *text) { return text->prompt_tokens + text->tokens; }

/* Text number `segment` from row `row` on; returns the row behind it. */
static int64_t put_text(cohort_scorer *own, const cohort_scorer_text *text, int64_t segment, int64_t row) {
  for (int64_t t = 0; t < length_of(text); t++, row++) {
    own->buffer[TOKENS][row] = t < text->prompt_tokens ? text->prompt[t] : text->completion[t - text->prompt_tokens];
    own->buffer[POSITIONS][row] = (int32_t)t;
    own->buffer[SEGMENTS][row] = (int32_t)segment;
    own->buffer[IDS][row] = 0;
  }
  own->buffer[LAST][segment] = (int32_t)(row - 1);
  return row;
}

void cohort_scorer_run(cohort_scorer *scorer, int64_t count, const cohort_scorer_text *text, double *score) {
  for (int64_t first = 0, last = 0; first < count; first = last) {
    int64_t row = 0;
    for (; last < count && row + length_of(&text[last]) <= scorer->rows; last++)
      row = put_text(scorer, &text[last], last - first, row);
    for (int64_t i = last - first; i < scorer->rows; i++) scorer->buffer[LAST][i] = -1;
    for (int64_t r = row; r < scorer->rows; r++) {
      scorer->buffer[TOKENS][r] = scorer->buffer[POSITIONS][r] = scorer->buffer[IDS][r] = 0;
      scorer->buffer[SEGMENTS][r] = -1;
    }
    const int64_t extent[COHORT_MAX_EXTENTS] = {row};
    const cohort_bindings bindings = {.memory = scorer->memory, .extent = extent};
    cohort_executor_run(scorer->executor, scorer->plan, 0, 0, &bindings);
    const float *scores = cohort_executor_value(scorer->executor, scorer->plan, 0, scorer->scores, &bindings);
    for (int64_t i = first; i < last; i++) score[i] = (double)scores[i - first];
  }
}
