/* Decoding with a cache against the whole window: logits token by token for both styles of the model, uneven texts,
 * prompts in chunks, every kernel set of this machine; the same bits on any threads; greedy text, also past the
 * context. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "contract/method_fixture.h"
#include "graph/decompose.h"
#include "graph/executor.h"
#include "train/rollout/decoder.h"
#include "train/rollout/generator.h"

enum { VOCABULARY = 611, SLOTS = 3, CHUNK = 16, MOST_TENSORS = 64, MOST_CONTEXT = 200 };

static const char *const styles[] = {
    "style=gpt2 layers=2 width=48 heads=4 context=96",
    "style=gpt2 layers=1 width=128 heads=2 context=70 tied=false",
    "style=llama layers=2 width=128 heads=4 key_heads=2 context=96",
    "style=llama layers=2 width=192 heads=3 key_heads=1 context=200 tied=false",
    "style=llama layers=2 width=48 heads=4 key_heads=2 head_width=32 query_key_norm=true bias=attention context=96 "
    "rope_scaling=llama3 rope_context=32",
};

/* A model with weights of its own, of the kernels' type. */
typedef struct decoder_fixture {
  cohort_document *document;
  cohort_choice choice;
  cohort_model_data data;
  const cohort_kernel_set *kernels;
  int64_t context;
  int tensors;
  char name[MOST_TENSORS][96];
  void *weight[MOST_TENSORS];
  cohort_graph *graph; /* over the whole window */
  cohort_plan *plan;
  cohort_executor *executor;
  cohort_value tokens, positions, segments, logits;
  void **memory;
} decoder_fixture;

static void *find(void *argument, const char *name) {
  const decoder_fixture *f = argument;
  for (int t = 0; t < f->tensors; t++)
    if (strcmp(f->name[t], name) == 0) return f->weight[t];
  return NULL;
}

static void draw_weights(decoder_fixture *f) {
  const cohort_random_key key = cohort_random_key_from_seed(3);
  f->tensors = cohort_graph_parameters(f->graph);
  CU_ASSERT_FATAL(f->tensors <= MOST_TENSORS);
  for (int t = 0; t < f->tensors; t++) {
    cohort_value value;
    const cohort_parameter_tensor *tensor = cohort_graph_parameter_at(f->graph, t, &value);
    const int64_t n = cohort_shape_elements(tensor->shape);
    f->weight[t] = cohort_allocate((size_t)n * f->kernels->real_size);
    memcpy(f->name[t], tensor->name, sizeof f->name[t]);
    for (int64_t i = 0; i < n; i++) {
      const double normal = cohort_random_normal_at(key, (uint64_t)t, (uint64_t)i);
      const double x = (float)(tensor->role == COHORT_ROLE_GAIN ? 1 + 0.2 * normal : 0.15 * normal);
      if (f->kernels->real_size == sizeof(float))
        ((float *)f->weight[t])[i] = (float)x;
      else
        ((double *)f->weight[t])[i] = x;
    }
    f->memory[value] = f->weight[t];
  }
}

static void open_fixture(decoder_fixture *f, const char *style, const cohort_kernel_set *kernels) {
  cohort_error error;
  *f = (decoder_fixture){.data = {.outputs = VOCABULARY}, .kernels = kernels, .graph = cohort_graph_create()};
  f->document = fixture_choose(COHORT_VARIANT_F64, "model", "gpt", style, &f->choice);
  CU_ASSERT_PTR_NOT_NULL_FATAL(f->choice.method);
  const cohort_model *model = f->choice.method->functions;
  f->context = model->context(f->choice.config);
  f->tokens = cohort_graph_input(f->graph, "tokens", COHORT_TYPE_INTEGER, COHORT_SHAPE(f->context));
  f->positions = cohort_graph_input(f->graph, "positions", COHORT_TYPE_INTEGER, COHORT_SHAPE(f->context));
  f->segments = cohort_graph_input(f->graph, "segments", COHORT_TYPE_INTEGER, COHORT_SHAPE(f->context));
  const cohort_model_inputs inputs = {.input = COHORT_NO_VALUE,
                                      .tokens = f->tokens,
                                      .positions = f->positions,
                                      .segments = f->segments,
                                      .ids = f->positions};
  const cohort_model_outputs outputs = model->build(f->choice.config, f->graph, &f->data, &inputs);
  f->logits = cohort_graph_matmul(f->graph, outputs.hidden, outputs.head, false, true);
  const cohort_plan_output output = {f->logits, false};
  CU_ASSERT_EQUAL_FATAL(cohort_plan_create(f->graph, kernels, 1, &output, &f->plan, &error), COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(cohort_executor_create(cohort_plan_arena_bytes(f->plan), 1, 1, &f->executor, &error),
                        COHORT_DONE);
  f->memory = cohort_allocate((size_t)cohort_graph_values(f->graph) * sizeof *f->memory);
  draw_weights(f);
}

static void close_fixture(decoder_fixture *f) {
  for (int t = 0; t < f->tensors; t++) free(f->weight[t]);
  free(f->memory);
  cohort_plan_destroy(f->plan);
  cohort_executor_destroy(f->executor);
  cohort_graph_destroy(f->graph);
  cohort_choice_release(&f->choice);
  cohort_document_destroy(f->document);
}

/* Logits [context, vocabulary] of one text: row t after token t. In the executor's memory. */
static const void *whole_window(decoder_fixture *f, const int32_t *token, int64_t count) {
  int32_t rows[3][MOST_CONTEXT];
  for (int64_t t = 0; t < f->context; t++) {
    rows[0][t] = t < count ? token[t] : 0;
    rows[1][t] = (int32_t)t;
    rows[2][t] = t < count ? 0 : -1;
  }
  f->memory[f->tokens] = rows[0];
  f->memory[f->positions] = rows[1];
  f->memory[f->segments] = rows[2];
  const cohort_bindings bindings = {.memory = f->memory};
  cohort_executor_run(f->executor, f->plan, 0, 0, &bindings);
  return cohort_executor_value(f->executor, f->plan, 0, f->logits, &bindings);
}

static cohort_decoder *open_decoder(decoder_fixture *f, int threads, bool bf16) {
  cohort_error error;
  cohort_decoder *decoder = NULL;
  const cohort_decoder_options settings = {.model = &f->choice,
                                           .data = &f->data,
                                           .kernels = f->kernels,
                                           .bf16 = bf16,
                                           .slots = SLOTS,
                                           .chunk = CHUNK,
                                           .threads = threads,
                                           .parameter = find,
                                           .argument = f};
  CU_ASSERT_EQUAL_FATAL(cohort_decoder_create(&settings, &decoder, &error), COHORT_DONE);
  return decoder;
}

static double real_at(const decoder_fixture *f, const void *x, int64_t i) {
  return f->kernels->real_size == sizeof(float) ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

/* |a - b| / |b| of a row of logits. */
static double distance(const decoder_fixture *f, const void *a, int64_t row_a, const void *b, int64_t row_b) {
  double difference = 0, norm = 0;
  for (int64_t v = 0; v < VOCABULARY; v++) {
    const double x = real_at(f, a, row_a * VOCABULARY + v), y = real_at(f, b, row_b * VOCABULARY + v);
    difference += (x - y) * (x - y);
    norm += y * y;
  }
  return sqrt(difference / norm);
}

static void draw_tokens(int32_t token[SLOTS][MOST_CONTEXT]) {
  const cohort_random_key key = cohort_random_key_from_seed(11);
  for (int s = 0; s < SLOTS; s++) {
    for (int t = 0; t < MOST_CONTEXT; t++)
      token[s][t] = (int32_t)cohort_random_below(cohort_random_word(key, (uint64_t)s, (uint64_t)t), VOCABULARY);
  }
}

/* How many tokens slot `slot` takes in call `call`: prompts of unlike lengths, then one at a time with rests between,
 * and for one slot a second prompt. */
static int64_t taken(int call, int slot, int64_t left) {
  static const int64_t prompt[SLOTS] = {37, 0, 1};
  int64_t count = call == 0 ? prompt[slot] : 1;
  if (slot == 1 && call == 3) count = 16;
  if (slot == 1 && call < 3) count = 0;
  if (slot == 2 && call % 5 == 2) count = 0;
  if (slot == 2 && call == 12) count = 19;
  return count < left ? count : left;
}

static void check_decoder(const char *style, const cohort_kernel_set *kernels, bool bf16, double bound) {
  decoder_fixture f;
  int32_t token[SLOTS][MOST_CONTEXT];
  int64_t at[SLOTS] = {0};
  open_fixture(&f, style, kernels);
  draw_tokens(token);
  const size_t bytes = (size_t)(f.context * VOCABULARY) * kernels->real_size;
  void *wanted[SLOTS];
  for (int s = 0; s < SLOTS; s++) wanted[s] = memcpy(malloc(bytes), whole_window(&f, token[s], f.context), bytes);
  cohort_decoder *decoder = open_decoder(&f, 1, bf16), *other = open_decoder(&f, 2, bf16);
  int wrong = 0, checked = 0, unlike = 0;
  for (int call = 0; checked < 3 * (int)f.context && call < 400; call++) {
    cohort_decoder_tokens fresh[SLOTS];
    int open = 0;
    for (int s = 0; s < SLOTS; s++) {
      fresh[s] = (cohort_decoder_tokens){token[s] + at[s], taken(call, s, f.context - at[s])};
      open += at[s] < f.context;
    }
    if (!open) break;
    const char *got = cohort_decoder_run(decoder, fresh), *same = cohort_decoder_run(other, fresh);
    for (int s = 0; s < SLOTS; s++) {
      if (fresh[s].count == 0) continue;
      at[s] += fresh[s].count;
      CU_ASSERT_EQUAL(cohort_decoder_length(decoder, s), at[s]);
      const size_t row = VOCABULARY * kernels->real_size;
      wrong += !(distance(&f, got, s, wanted[s], at[s] - 1) <= bound);
      unlike += memcmp(got + (size_t)s * row, same + (size_t)s * row, row) != 0;
      checked++;
    }
  }
  CU_ASSERT_EQUAL(wrong, 0);
  CU_ASSERT_EQUAL(unlike, 0);
  CU_ASSERT(checked > f.context);
  for (int s = 0; s < SLOTS; s++) CU_ASSERT_EQUAL(at[s], f.context);
  /* What is forgotten leaves no trace. */
  cohort_decoder_forget(decoder, 0, 5);
  const cohort_decoder_tokens again[SLOTS] = {{token[0] + 5, 40}, {NULL, 0}, {NULL, 0}};
  CU_ASSERT(distance(&f, cohort_decoder_run(decoder, again), 0, wanted[0], 44) <= bound);
  cohort_decoder_destroy(decoder);
  cohort_decoder_destroy(other);
  for (int s = 0; s < SLOTS; s++) free(wanted[s]);
  close_fixture(&f);
}

/* Every instruction set; the processor's own alone where a step takes many times as long. */
static int first_isa(void) {
#ifdef COHORT_SANITIZED
  return (int)cohort_processor_isa();
#else
  return check_under_valgrind() ? (int)cohort_processor_isa() : 0;
#endif
}

/* Every style by the processor's own kernels and in float64, and one of each kind by the others. */
static void test_logits(void) {
  for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++) {
    for (int isa = i % 2 ? (int)cohort_processor_isa() : first_isa(); isa <= (int)cohort_processor_isa(); isa++)
      check_decoder(styles[i], cohort_kernels_float32((cohort_isa)isa), false, 1e-4);
    check_decoder(styles[i], cohort_kernels_float64(), false, 1e-10);
  }
}

/* Matrices large enough for products of few rows, read as bf16. Attention over the cache does not round, so logits are
 * those of the window but for what rounding to bf16 does. */
static void test_halves(void) {
  static const char style[] = "style=gpt2 layers=2 width=256 heads=4 context=64";
  for (int isa = first_isa(); isa <= (int)cohort_processor_isa(); isa++)
    check_decoder(style, cohort_kernels_bf16((cohort_isa)isa, cohort_processor_bf16()), true, 4e-2);
}

/* The likeliest token after the whole window over the text's end. */
static int32_t likeliest(decoder_fixture *f, const int32_t *token, int64_t count) {
  const int64_t length = count < f->context ? count : f->context;
  const float *row = (const float *)whole_window(f, token + count - length, length) + (length - 1) * VOCABULARY;
  int32_t best = 0;
  for (int32_t v = 1; v < VOCABULARY; v++)
    if (row[v] > row[best]) best = v;
  return best;
}

static void check_greedy(const char *style) {
  enum { NEW = 20 };
  static const int64_t prompt[SLOTS] = {20, 3, 66};
  decoder_fixture f;
  int32_t token[SLOTS][MOST_CONTEXT];
  cohort_error error;
  cohort_generator *generator = NULL;
  open_fixture(&f, style, cohort_kernels_float32(cohort_processor_isa()));
  draw_tokens(token);
  cohort_space *space = cohort_space_create(f.graph, 0, "model");
  CU_ASSERT_EQUAL_FATAL(cohort_space_hold(space, &error), COHORT_DONE);
  for (int t = 0; t < space->tensors; t++)
    memcpy(space->values + space->tensor[t].offset, find(&f, space->tensor[t].declared.name),
           (size_t)space->tensor[t].elements * sizeof(float));
  const cohort_generator_options settings = {.slots = SLOTS, .chunk = CHUNK, .threads = 2, .longest = prompt[2] + NEW};
  CU_ASSERT_EQUAL_FATAL(cohort_generator_create(&f.choice, &f.data, space, &settings, &generator, &error), COHORT_DONE);
  cohort_generator_draw draw = {.how = cohort_decoding_plain()};
  draw.how.temperature = 0;
  int wrong = 0;
  for (int t = 0; t < NEW; t++) {
    cohort_generator_text text[SLOTS];
    int32_t next[SLOTS];
    for (int s = 0; s < SLOTS; s++) text[s] = (cohort_generator_text){token[s], prompt[s] + t, 0};
    cohort_generator_next(generator, text, &draw, next, NULL);
    for (int s = 0; s < SLOTS; s++) {
      wrong += next[s] != likeliest(&f, token[s], prompt[s] + t);
      token[s][prompt[s] + t] = next[s];
    }
  }
  CU_ASSERT_EQUAL(wrong, 0);
  cohort_generator_destroy(generator);
  cohort_space_destroy(space);
  close_fixture(&f);
}

static void test_greedy(void) {
  check_greedy("style=gpt2 layers=2 width=48 heads=4 context=70");
  check_greedy("style=llama layers=2 width=128 heads=4 key_heads=2 context=64");
  check_greedy("style=llama layers=1 width=128 heads=4 key_heads=2 context=200"); /* room for less */
}

static const check checks[] = {
    {"logits of the whole window", test_logits},
    {"matrices as bf16", test_halves},
    {"greedy text, past the context too", test_greedy},
};

int main(void) { return check_run("decoder", checks, sizeof checks / sizeof checks[0]); }
