/* Runs a language model token by token with cached keys and values, by two plans over the same parameters. A slot's
 * logits do not depend on the other slots. A token costs a forward pass of one row and a pass over its cache. */
#include "train/rollout/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/bf16.h"
#include "graph/decompose.h"
#include "graph/executor.h"

enum { TOKENS, SLOTS, POSITIONS, IDS, LAST, INPUTS };

/* The model over `rows` new rows of any slots. */
typedef struct pass {
  cohort_graph *graph;
  cohort_plan *rows_plan, *logits_plan; /* to the hidden rows `last`, and on to their logits */
  cohort_value input[INPUTS], hidden, logits;
  int64_t rows;
  int32_t *buffer[INPUTS];
  void **memory; /* bindings */
} pass;

struct cohort_decoder {
  int64_t slots, vocabulary, positions; /* positions: room of a slot in the cache */
  size_t real_size;
  pass step, chunk;
  cohort_executor *executor;
  int caches;
  void **cache;    /* [caches]: as the graphs declare them */
  uint16_t *bf16;  /* matrices as bf16, or NULL */
  int64_t *length; /* [slots] */
  char *logits;    /* [slots, vocabulary] */
};

static void build(const cohort_decoder_options *settings, const cohort_decoder *own, pass *out, int64_t rows) {
  static const char *const names[INPUTS] = {"tokens", "slots", "positions", "ids", "last"};
  const cohort_model *functions = settings->model->method->functions;
  out->rows = rows;
  out->graph = cohort_graph_create();
  for (int i = 0; i < INPUTS; i++) {
    const int64_t size = i == LAST ? own->slots : rows;
    out->input[i] = cohort_graph_input(out->graph, names[i], COHORT_TYPE_INTEGER, COHORT_SHAPE(size));
    out->buffer[i] = cohort_allocate((size_t)size * sizeof *out->buffer[i]);
  }
  const cohort_model_inputs inputs = {.input = COHORT_NO_VALUE,
                                      .adapter = settings->adapter,
                                      .tokens = out->input[TOKENS],
                                      .positions = out->input[POSITIONS],
                                      .segments = out->input[SLOTS],
                                      .ids = out->input[IDS],
                                      .cache_slots = own->slots,
                                      .cache_positions = own->positions};
  const cohort_model_outputs outputs = functions->build(settings->model->config, out->graph, settings->data, &inputs);
  out->hidden = cohort_graph_gather(out->graph, outputs.hidden, out->input[LAST]);
  out->logits = cohort_graph_matmul(out->graph, out->hidden, outputs.head, false, true);
}

static bool is_cache(const char *name) { return strncmp(name, "cache", 5) == 0; }

static cohort_status make_caches(cohort_decoder *own, cohort_error *error) {
  const cohort_graph *graph = own->step.graph;
  own->cache = cohort_allocate((size_t)cohort_graph_inputs(graph) * sizeof *own->cache);
  for (int i = 0; i < cohort_graph_inputs(graph); i++) {
    const char *name = NULL;
    const cohort_value value = cohort_graph_input_at(graph, i, &name);
    if (!is_cache(name)) continue;
    const size_t bytes = (size_t)cohort_shape_elements(cohort_graph_shape(graph, value)) * own->real_size;
    COHORT_TRY(cohort_memory_create(bytes, "cached keys and values", &own->cache[own->caches], error));
    own->caches++;
  }
  return COHORT_DONE;
}

/* The graphs declare their caches in one order. */
static void bind(const cohort_decoder_options *settings, const cohort_decoder *own, pass *p) {
  int caches = 0;
  p->memory = cohort_allocate((size_t)cohort_graph_values(p->graph) * sizeof *p->memory);
  for (int i = 0; i < cohort_graph_inputs(p->graph); i++) {
    const char *name = NULL;
    const cohort_value value = cohort_graph_input_at(p->graph, i, &name);
    if (is_cache(name)) p->memory[value] = own->cache[caches++];
  }
  for (int i = 0; i < INPUTS; i++) p->memory[p->input[i]] = p->buffer[i];
  for (int i = 0; i < cohort_graph_parameters(p->graph); i++) {
    cohort_value value;
    const cohort_parameter_tensor *tensor = cohort_graph_parameter_at(p->graph, i, &value);
    p->memory[value] = settings->parameter(settings->argument, tensor->name);
  }
}

static cohort_status make_plans(const cohort_decoder_options *settings, pass *p, cohort_error *error) {
  const cohort_plan_output hidden = {p->hidden, false}, logits = {p->logits, false};
  COHORT_TRY(cohort_graph_status(p->graph, error));
  COHORT_TRY(cohort_plan_create(p->graph, settings->kernels, 1, &hidden, &p->rows_plan, error));
  return cohort_plan_create(p->graph, settings->kernels, 1, &logits, &p->logits_plan, error);
}

/* Part of a tensor for a thread. */
typedef struct rounding {
  const float *from;
  uint16_t *to;
  int64_t elements;
} rounding;

enum { ROUNDED_AT_ONCE = 1 << 18 };

static void round_part(void *argument, int64_t part) {
  const rounding *own = argument;
  const int64_t first = part * ROUNDED_AT_ONCE, left = own->elements - first;
  cohort_round_to_bf16(own->from + first, left < ROUNDED_AT_ONCE ? left : ROUNDED_AT_ONCE, own->to + first);
}

/* Of parameter `i`, where products read it: elements that its copy takes, whole lines of the cache; else 0. */
static size_t bf16_elements(const cohort_decoder *own, int i) {
  cohort_value value;
  const cohort_parameter_tensor *tensor = cohort_graph_parameter_at(own->step.graph, i, &value);
  if (!cohort_plan_multiplies_with(own->step.logits_plan, value)) return 0;
  return cohort_round_up((size_t)cohort_shape_elements(tensor->shape), COHORT_ALIGNMENT / sizeof *own->bf16);
}

/* The two graphs declare their parameters in one order. All copies lie together, so that large pages hold them. */
static cohort_status make_bf16(const cohort_decoder_options *settings, cohort_decoder *own, cohort_error *error) {
  const cohort_team team = {settings->threads};
  const int parameters = cohort_graph_parameters(own->step.graph);
  size_t all = 0, taken = 0;
  void *memory = NULL;
  for (int i = 0; i < parameters; i++) all += bf16_elements(own, i);
  COHORT_TRY(cohort_memory_create(all * sizeof *own->bf16, "weights as bf16", &memory, error));
  own->bf16 = memory;
  for (int i = 0; i < parameters; i++) {
    cohort_value value, of_chunk;
    const cohort_parameter_tensor *tensor = cohort_graph_parameter_at(own->step.graph, i, &value);
    if (bf16_elements(own, i) == 0) continue;
    rounding work = {.from = settings->parameter(settings->argument, tensor->name),
                     .to = own->bf16 + taken,
                     .elements = cohort_shape_elements(tensor->shape)};
    taken += bf16_elements(own, i);
    cohort_team_run(&team, (work.elements + ROUNDED_AT_ONCE - 1) / ROUNDED_AT_ONCE, round_part, &work);
    (void)cohort_graph_parameter_at(own->chunk.graph, i, &of_chunk);
    cohort_plan_give_bf16(own->step.rows_plan, value, work.to);
    cohort_plan_give_bf16(own->step.logits_plan, value, work.to);
    cohort_plan_give_bf16(own->chunk.rows_plan, of_chunk, work.to);
    cohort_plan_give_bf16(own->chunk.logits_plan, of_chunk, work.to);
  }
  return COHORT_DONE;
}

/* Graphs and plans; *arena receives what the largest plan computes in. */
static cohort_status plan_passes(const cohort_decoder_options *settings, cohort_decoder *own, size_t *arena,
                                 cohort_error *error) {
  pass *const passes[] = {&own->step, &own->chunk};
  *arena = 0;
  build(settings, own, &own->step, own->slots);
  build(settings, own, &own->chunk, settings->chunk);
  for (int i = 0; i < 2; i++) {
    COHORT_TRY(make_plans(settings, passes[i], error));
    const size_t bytes[] = {cohort_plan_arena_bytes(passes[i]->rows_plan),
                            cohort_plan_arena_bytes(passes[i]->logits_plan)};
    for (int k = 0; k < 2; k++) *arena = bytes[k] > *arena ? bytes[k] : *arena;
  }
  return COHORT_DONE;
}

static cohort_status set_up(const cohort_decoder_options *settings, cohort_decoder *own, cohort_error *error) {
  pass *const passes[] = {&own->step, &own->chunk};
  size_t arena = 0;
  void *logits = NULL;
  COHORT_TRY(plan_passes(settings, own, &arena, error));
  COHORT_TRY(make_caches(own, error));
  for (int i = 0; i < 2; i++) bind(settings, own, passes[i]);
  if (settings->bf16) COHORT_TRY(make_bf16(settings, own, error));
  COHORT_TRY(cohort_memory_create((size_t)(own->slots * own->vocabulary) * own->real_size, "logits", &logits, error));
  own->logits = logits;
  return cohort_executor_create(arena, 1, settings->threads, &own->executor, error);
}

static cohort_decoder *make(const cohort_decoder_options *settings) {
  const cohort_model *functions = settings->model->method->functions;
  cohort_decoder *own = cohort_allocate(sizeof *own);
  own->slots = settings->slots;
  const int64_t context = functions->context(settings->model->config);
  const int64_t room = settings->longest > 0 && settings->longest < context ? settings->longest : context;
  own->positions = (room + COHORT_CACHE_BLOCK - 1) / COHORT_CACHE_BLOCK * COHORT_CACHE_BLOCK;
  own->vocabulary = settings->data->outputs;
  own->real_size = settings->kernels->real_size;
  own->length = cohort_allocate((size_t)own->slots * sizeof *own->length);
  return own;
}

double cohort_decoder_bytes(const cohort_decoder_options *settings) {
  cohort_decoder *own = make(settings);
  cohort_error ignored; /* who creates one is told */
  size_t arena = 0;
  (void)plan_passes(settings, own, &arena, &ignored);
  double bytes = (double)arena + (double)((size_t)(own->slots * own->vocabulary) * own->real_size);
  for (int i = 0; i < cohort_graph_inputs(own->step.graph); i++) {
    const char *name = NULL;
    const cohort_value value = cohort_graph_input_at(own->step.graph, i, &name);
    if (is_cache(name))
      bytes += (double)cohort_shape_elements(cohort_graph_shape(own->step.graph, value)) * (double)own->real_size;
  }
  cohort_decoder_destroy(own);
  return bytes;
}

cohort_status cohort_decoder_create(const cohort_decoder_options *settings, cohort_decoder **out, cohort_error *error) {
  cohort_decoder *own = make(settings);
  const cohort_status status = set_up(settings, own, error);
  if (status != COHORT_DONE) {
    cohort_decoder_destroy(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

static void release_pass(pass *p) {
  for (int i = 0; i < INPUTS; i++) free(p->buffer[i]);
  free(p->memory);
  cohort_plan_destroy(p->rows_plan);
  cohort_plan_destroy(p->logits_plan);
  cohort_graph_destroy(p->graph);
}

void cohort_decoder_destroy(cohort_decoder *decoder) {
  if (!decoder) return;
  release_pass(&decoder->step);
  release_pass(&decoder->chunk);
  cohort_executor_destroy(decoder->executor);
  for (int i = 0; i < decoder->caches; i++) cohort_memory_release(decoder->cache[i]);
  cohort_memory_release(decoder->bf16);
  cohort_memory_release(decoder->logits);
  free(decoder->cache);
  free(decoder->length);
  free(decoder);
}

int64_t cohort_decoder_length(const cohort_decoder *decoder, int64_t slot) { return decoder->length[slot]; }

void cohort_decoder_forget(cohort_decoder *decoder, int64_t slot, int64_t length) {
  if (length < decoder->length[slot]) decoder->length[slot] = length;
}

/* A cache is [slots, key heads, blocks, width, 64] or [slots, key heads, 64 blocks, width]: of every head what so many
 * whole blocks hold lies together. */
void cohort_decoder_copy(cohort_decoder *decoder, int64_t from, int64_t to) {
  const cohort_graph *graph = decoder->step.graph;
  const int64_t blocks = (decoder->length[from] + COHORT_CACHE_BLOCK - 1) / COHORT_CACHE_BLOCK;
  int caches = 0;
  for (int i = 0; i < cohort_graph_inputs(graph); i++) {
    const char *name = NULL;
    const cohort_shape shape = cohort_graph_shape(graph, cohort_graph_input_at(graph, i, &name));
    if (!is_cache(name)) continue;
    char *cache = decoder->cache[caches++];
    const int64_t heads = shape.size[1], each = cohort_shape_elements(shape) / decoder->slots / heads;
    const int64_t used = each / (decoder->positions / COHORT_CACHE_BLOCK) * blocks;
    for (int64_t head = 0; head < heads; head++)
      memcpy(cache + (size_t)((to * heads + head) * each) * decoder->real_size,
             cache + (size_t)((from * heads + head) * each) * decoder->real_size, (size_t)used * decoder->real_size);
  }
  decoder->length[to] = decoder->length[from];
}

static void put_row(cohort_decoder *own, pass *p, int64_t row, int64_t slot, int32_t token) {
  p->buffer[TOKENS][row] = token;
  p->buffer[SLOTS][row] = (int32_t)slot;
  p->buffer[POSITIONS][row] = slot < 0 ? 0 : (int32_t)own->length[slot]++;
}

/* Runs the rows so far; the others are left out. */
static const void *run_pass(cohort_decoder *own, pass *p, int64_t rows, bool wants_logits) {
  const cohort_bindings bindings = {.memory = p->memory};
  for (int64_t row = rows; row < p->rows; row++) put_row(own, p, row, -1, 0);
  const cohort_plan *plan = wants_logits ? p->logits_plan : p->rows_plan;
  cohort_executor_run(own->executor, plan, 0, 0, &bindings);
  return wants_logits ? cohort_executor_value(own->executor, plan, 0, p->logits, &bindings) : NULL;
}

static const void *run_step(cohort_decoder *own, const cohort_decoder_tokens *tokens) {
  pass *p = &own->step;
  for (int64_t slot = 0; slot < own->slots; slot++) {
    const bool rests = tokens[slot].count == 0;
    put_row(own, p, slot, rests ? -1 : slot, rests ? 0 : tokens[slot].token[0]);
    p->buffer[LAST][slot] = rests ? -1 : (int32_t)slot;
  }
  return run_pass(own, p, own->slots, true);
}

/* Runs what has gathered in the chunk and keeps the logits of the texts that end in it. */
static void flush(cohort_decoder *own, int64_t rows) {
  pass *p = &own->chunk;
  bool wants = false;
  for (int64_t slot = 0; slot < own->slots; slot++) wants = wants || p->buffer[LAST][slot] >= 0;
  const char *logits = run_pass(own, p, rows, wants);
  const size_t bytes = (size_t)own->vocabulary * own->real_size;
  for (int64_t slot = 0; slot < own->slots; slot++) {
    if (p->buffer[LAST][slot] < 0) continue;
    memcpy(own->logits + (size_t)slot * bytes, logits + (size_t)slot * bytes, bytes);
    p->buffer[LAST][slot] = -1;
  }
}

static const void *run_chunks(cohort_decoder *own, const cohort_decoder_tokens *tokens) {
  pass *p = &own->chunk;
  int64_t rows = 0;
  for (int64_t slot = 0; slot < own->slots; slot++) p->buffer[LAST][slot] = -1;
  for (int64_t slot = 0; slot < own->slots; slot++) {
    for (int64_t t = 0; t < tokens[slot].count; t++) {
      put_row(own, p, rows, slot, tokens[slot].token[t]);
      if (t == tokens[slot].count - 1) p->buffer[LAST][slot] = (int32_t)rows;
      if (++rows < p->rows) continue;
      flush(own, rows);
      rows = 0;
    }
  }
  if (rows) flush(own, rows);
  return own->logits;
}

const void *cohort_decoder_run(cohort_decoder *decoder, const cohort_decoder_tokens *tokens) {
  for (int64_t slot = 0; slot < decoder->slots; slot++)
    if (tokens[slot].count > 1) return run_chunks(decoder, tokens);
  return run_step(decoder, tokens);
}
