/* Draws tokens from a decoder. What a text draws is a function of (key, stream, length). A text longer than the context
 * is read again for every token. */
#include "train/rollout/generator.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/rollout/decoder.h"

struct cohort_generator {
  int64_t slots, context, vocabulary;
  cohort_team team;
  cohort_decoder *decoder;
  cohort_decoder_tokens *fresh; /* [slots]: what the decoder has not read */
  int64_t *same;  /* [slots]: a slot before it with the same text, which reads for it; -1: there is none */
  double *weight; /* [slots, vocabulary] */
  float *row;     /* [slots, vocabulary] */
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
  own->row = cohort_allocate((size_t)(own->slots * own->vocabulary) * sizeof *own->row);
  own->same = cohort_allocate((size_t)own->slots * sizeof *own->same);
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
                                          .longest = settings->longest,
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
  free(generator->row);
  free(generator->same);
  free(generator);
}

void cohort_generator_restart(cohort_generator *generator) {
  for (int64_t slot = 0; slot < generator->slots; slot++) cohort_decoder_forget(generator->decoder, slot, 0);
}

/* The draws of one call. */
typedef struct drawing {
  cohort_generator *own;
  const cohort_generator_text *text;
  const cohort_generator_draw *draw;
  const float *logits;
  int32_t *next;
  double *log_probability;
} drawing;

static void draw_slot(void *argument, int64_t slot) {
  const drawing *d = argument;
  cohort_generator *own = d->own;
  const int64_t vocabulary = own->vocabulary, read = own->same[slot] < 0 ? slot : own->same[slot];
  const cohort_generator_text *text = &d->text[slot];
  if (text->count == 0) return;
  const cohort_decoding_row from = {.logits = d->logits + read * vocabulary,
                                    .vocabulary = vocabulary,
                                    .text = text->tokens,
                                    .count = text->count,
                                    .row = own->row + slot * vocabulary,
                                    .weight = own->weight + slot * vocabulary};
  const uint32_t word = cohort_random_word(d->draw->key, text->stream, (uint64_t)text->count);
  d->next[slot] = cohort_decoding_draw(&d->draw->how, &from, word);
  if (d->log_probability)
    d->log_probability[slot] = cohort_decoding_log_probability(from.logits, vocabulary, d->next[slot]);
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

/* A slot before this one that reads the same text from its start; -1: there is none. Completions of one prompt stand
 * side by side, so looking stops at another prompt. */
static int64_t find_same(const cohort_generator *own, int64_t slot) {
  const cohort_decoder_tokens *fresh = &own->fresh[slot];
  if (slot == 0 || fresh->count == 0 || cohort_decoder_length(own->decoder, slot) > 0) return -1;
  const int64_t before = own->same[slot - 1] < 0 ? slot - 1 : own->same[slot - 1];
  const cohort_decoder_tokens *other = &own->fresh[before];
  const bool same = cohort_decoder_length(own->decoder, before) == 0 && other->count == fresh->count &&
                    memcmp(other->token, fresh->token, (size_t)fresh->count * sizeof *fresh->token) == 0;
  return same ? before : -1;
}

void cohort_generator_next(cohort_generator *generator, const cohort_generator_text *text,
                           const cohort_generator_draw *draw, int32_t *next, double *log_probability) {
  for (int64_t slot = 0; slot < generator->slots; slot++) {
    generator->fresh[slot] = fresh_tokens(generator, slot, &text[slot]);
    generator->same[slot] = find_same(generator, slot);
  }
  for (int64_t slot = 0; slot < generator->slots; slot++)
    if (generator->same[slot] >= 0) generator->fresh[slot].count = 0;
  const float *logits = cohort_decoder_run(generator->decoder, generator->fresh);
  for (int64_t slot = 0; slot < generator->slots; slot++)
    if (generator->same[slot] >= 0) cohort_decoder_copy(generator->decoder, generator->same[slot], slot);
  drawing d = {generator, text, draw, logits, next, log_probability};
  cohort_team_run(&generator->team, generator->slots, draw_slot, &d);
}
