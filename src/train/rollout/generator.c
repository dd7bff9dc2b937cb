/* Draws tokens from a decoder. What a text draws is a function of (key, stream, length). A text longer than the context
 * is read again for every token. */
#include "train/rollout/generator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/rollout/decoder.h"

struct cohort_generator {
  int64_t slots, context, vocabulary;
  cohort_team team;
  cohort_decoder *decoder;
  cohort_decoder_tokens *fresh; /* [slots]: what the decoder has not read */
  double *weight;               /* [slots, vocabulary] */
  int32_t *order;               /* [slots, vocabulary] */
};

enum { TOKENS, POSITIONS, SEGMENTS, IDS, INPUTS };

cohort_status cohort_generator_graph(const cohort_choice *model, const cohort_model_data *data,
                                     const cohort_adapter *adapter, const char *scalar_head, cohort_graph **out,
                                     cohort_error *error) {
  static const char *const names[INPUTS] = {"tokens", "positions", "segments", "ids"};
  const cohort_model *functions = model->method->functions;
  cohort_value input[INPUTS];
  cohort_graph *graph = cohort_graph_create();
  for (int i = 0; i < INPUTS; i++) input[i] = cohort_graph_input(graph, names[i], COHORT_TYPE_INTEGER, COHORT_SHAPE(1));
  const cohort_model_inputs inputs = {.input = COHORT_NO_VALUE,
                                      .adapter = adapter,
                                      .scalar_head = scalar_head,
                                      .scores_only = scalar_head != NULL,
                                      .tokens = input[TOKENS],
                                      .positions = input[POSITIONS],
                                      .segments = input[SEGMENTS],
                                      .ids = input[IDS]};
  (void)functions->build(model->config, graph, data, &inputs);
  const cohort_status status = cohort_graph_status(graph, error);
  if (status != COHORT_DONE) {
    cohort_graph_destroy(graph);
    return status;
  }
  *out = graph;
  return COHORT_DONE;
}

/* The model's space and its adapters'; no name is in both. */
static void *find_parameter(void *argument, const char *name) {
  const cohort_space *const *spaces = argument;
  for (int s = 0; s < 2 && spaces[s]; s++)
    for (int t = 0; t < spaces[s]->tensors; t++)
      if (strcmp(spaces[s]->tensor[t].declared.name, name) == 0) return spaces[s]->values + spaces[s]->tensor[t].offset;
  return NULL;
}

cohort_status cohort_generator_create(const cohort_choice *model, const cohort_model_data *data, cohort_space *space,
                                      const cohort_generator_options *settings, cohort_generator **out,
                                      cohort_error *error) {
  cohort_generator *own = cohort_allocate(sizeof *own);
  own->slots = settings->slots;
  own->context = ((const cohort_model *)model->method->functions)->context(model->config);
  own->vocabulary = data->outputs;
  own->team = (cohort_team){settings->threads};
  own->fresh = cohort_allocate((size_t)own->slots * sizeof *own->fresh);
  own->weight = cohort_allocate((size_t)(own->slots * own->vocabulary) * sizeof *own->weight);
  own->order = cohort_allocate((size_t)(own->slots * own->vocabulary) * sizeof *own->order);
  const cohort_isa isa = cohort_processor_isa();
  const cohort_kernel_set *kernels =
      settings->bf16 ? cohort_kernels_bf16(isa, cohort_processor_bf16()) : cohort_kernels_float32(isa);
  const cohort_space *spaces[2] = {space, settings->adapter_space};
  const cohort_decoder_options decoder = {.model = model,
                                          .data = data,
                                          .adapter = settings->adapter,
                                          .kernels = settings->kernels ? settings->kernels : kernels,
                                          .bf16 = settings->bf16,
                                          .slots = settings->slots,
                                          .chunk = settings->chunk,
                                          .threads = settings->threads,
                                          .parameter = find_parameter,
                                          .argument = spaces};
  const cohort_status status = cohort_decoder_create(&decoder, &own->decoder, error);
  if (status != COHORT_DONE) {
    cohort_generator_destroy(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

void cohort_generator_destroy(cohort_generator *generator) {
  if (!generator) return;
  cohort_decoder_destroy(generator->decoder);
  free(generator->fresh);
  free(generator->weight);
  free(generator->order);
  free(generator);
}

void cohort_generator_restart(cohort_generator *generator) {
  for (int64_t slot = 0; slot < generator->slots; slot++) cohort_decoder_forget(generator->decoder, slot, 0);
}

/* Token ids by falling weight; equal ones by id. */
static int by_weight(const void *a, const void *b, void *argument) {
  const double *weight = argument;
  const int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
  if (weight[left] != weight[right]) return weight[left] < weight[right] ? 1 : -1;
  return left < right ? -1 : left > right;
}

/* The draws of one call. */
typedef struct drawing {
  cohort_generator *own;
  const cohort_generator_text *text;
  const cohort_generator_draw *draw;
  const float *logits;
  int32_t *next;
} drawing;

static int32_t likeliest(const float *logits, int64_t vocabulary) {
  int32_t best = 0;
  for (int32_t v = 1; v < vocabulary; v++)
    if (logits[v] > logits[best]) best = v;
  return best;
}

/* One of the first `kept` tokens of `order`, by weight. */
static int32_t pick(const double *weight, const int32_t *order, int64_t kept, uint32_t word) {
  double total = 0;
  for (int64_t i = 0; i < kept; i++) total += weight[order[i]];
  double left = cohort_random_uniform(word) * total;
  for (int64_t i = 0; i < kept; i++) {
    left -= weight[order[i]];
    if (left < 0) return order[i];
  }
  return order[kept - 1];
}

static void draw_slot(void *argument, int64_t slot) {
  const drawing *d = argument;
  const int64_t vocabulary = d->own->vocabulary, top_k = d->draw->top_k;
  const cohort_generator_text *text = &d->text[slot];
  const float *logits = d->logits + slot * vocabulary;
  double *weight = d->own->weight + slot * vocabulary;
  int32_t *order = d->own->order + slot * vocabulary;
  if (text->count == 0) return;
  const int32_t best = likeliest(logits, vocabulary);
  d->next[slot] = best;
  if (d->draw->temperature <= 0) return;
  for (int32_t v = 0; v < vocabulary; v++) {
    weight[v] = exp(((double)logits[v] - (double)logits[best]) / d->draw->temperature);
    order[v] = v;
  }
  const bool cut = top_k > 0 && top_k < vocabulary;
  if (cut) qsort_r(order, (size_t)vocabulary, sizeof *order, by_weight, weight);
  const uint32_t word = cohort_random_word(d->draw->key, text->stream, (uint64_t)text->count);
  d->next[slot] = pick(weight, order, cut ? top_k : vocabulary, word);
}

/* What the decoder must read of a text: its new end, or, past the context, the whole window over its end. */
static cohort_decoder_tokens fresh_tokens(cohort_generator *own, int64_t slot, const cohort_generator_text *text) {
  if (text->count > own->context) {
    cohort_decoder_forget(own->decoder, slot, 0);
    return (cohort_decoder_tokens){text->tokens + text->count - own->context, own->context};
  }
  const int64_t read = cohort_decoder_length(own->decoder, slot);
  return (cohort_decoder_tokens){text->tokens + read, text->count ? text->count - read : 0};
}

void cohort_generator_next(cohort_generator *generator, const cohort_generator_text *text,
                           const cohort_generator_draw *draw, int32_t *next) {
  for (int64_t slot = 0; slot < generator->slots; slot++)
    generator->fresh[slot] = fresh_tokens(generator, slot, &text[slot]);
  const float *logits = cohort_decoder_run(generator->decoder, generator->fresh);
  drawing d = {generator, text, draw, logits, next};
  cohort_team_run(&generator->team, generator->slots, draw_slot, &d);
}
