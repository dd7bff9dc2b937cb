/* Writers over the generator. Invariant: a writer's decoder has the same shape whatever it is asked to write, so a
 * text's bits do not depend on the others. Costs a forward pass of a row for every token of the longest completion, and
 * memory of a decoder a writer. */
#include "train/rollout/rollout.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/rollout/decoder.h"

typedef struct rollout_writer {
  cohort_generator *generator;
  cohort_generator_text *text; /* [texts] */
  int32_t *tokens;             /* [texts][prompt + completion] */
  int32_t *next;               /* [texts] */
  double *log_probability;     /* [texts] */
} rollout_writer;

struct cohort_rollout {
  cohort_rollout_options options;
  int64_t room; /* tokens of a text */
  rollout_writer *writer;
};

enum { CHUNK = 64 }; /* rows of prompts that are read at once */

double cohort_rollout_bytes(const cohort_rollout_options *options) {
  const cohort_decoder_options decoder = {.model = options->model,
                                          .data = options->data,
                                          .adapter = options->adapter,
                                          .kernels = options->kernels,
                                          .slots = options->texts,
                                          .chunk = CHUNK,
                                          .longest = options->prompt + options->completion,
                                          .threads = options->threads};
  /* The generator's weights and logits of every token, too. */
  const double drawn = (double)options->texts * (double)options->data->outputs * (sizeof(double) + sizeof(float));
  return options->writers * (cohort_decoder_bytes(&decoder) + drawn);
}

cohort_status cohort_rollout_create(const cohort_rollout_options *options, cohort_rollout **out, cohort_error *error) {
  cohort_rollout *own = cohort_allocate(sizeof *own);
  const size_t texts = (size_t)options->texts;
  cohort_status status = COHORT_DONE;
  own->options = *options;
  own->room = options->prompt + options->completion;
  own->writer = cohort_allocate((size_t)options->writers * sizeof *own->writer);
  for (int w = 0; w < options->writers && status == COHORT_DONE; w++) {
    rollout_writer *writer = &own->writer[w];
    const cohort_generator_options generator = {.slots = options->texts,
                                                .chunk = CHUNK,
                                                .longest = own->room,
                                                .threads = options->threads,
                                                .adapter = options->adapter,
                                                .adapter_space = options->adapter_space,
                                                .kernels = options->kernels};
    writer->text = cohort_allocate(texts * sizeof *writer->text);
    writer->tokens = cohort_allocate(texts * (size_t)own->room * sizeof *writer->tokens);
    writer->next = cohort_allocate(texts * sizeof *writer->next);
    writer->log_probability = cohort_allocate(texts * sizeof *writer->log_probability);
    status =
        cohort_generator_create(options->model, options->data, options->space, &generator, &writer->generator, error);
  }
  if (status != COHORT_DONE) {
    cohort_rollout_destroy(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

void cohort_rollout_destroy(cohort_rollout *rollout) {
  if (!rollout) return;
  for (int w = 0; w < rollout->options.writers; w++) {
    cohort_generator_destroy(rollout->writer[w].generator);
    free(rollout->writer[w].text);
    free(rollout->writer[w].tokens);
    free(rollout->writer[w].next);
    free(rollout->writer[w].log_probability);
  }
  free(rollout->writer);
  free(rollout);
}

/* Puts the tokens drawn behind the texts that go on; returns how many still do. */
static int64_t take_tokens(const cohort_rollout *own, const rollout_writer *writer, int64_t count,
                           cohort_rollout_text *text) {
  int64_t open = 0;
  for (int64_t i = 0; i < count; i++) {
    cohort_generator_text *at = &writer->text[i];
    if (at->count == 0) continue;
    writer->tokens[i * own->room + at->count++] = writer->next[i];
    if (text[i].log_probability) text[i].log_probability[text[i].length] = (float)writer->log_probability[i];
    text[i].completion[text[i].length++] = writer->next[i];
    text[i].finish = cohort_stops_reached(&own->options.stops, text[i].completion, text[i].length);
    if (text[i].finish == COHORT_FINISH_NOT && text[i].length == own->options.completion)
      text[i].finish = COHORT_FINISH_LENGTH;
    if (text[i].finish != COHORT_FINISH_NOT)
      at->count = 0;
    else
      open++;
  }
  return open;
}

bool cohort_rollout_write(cohort_rollout *rollout, int number, int64_t count, cohort_rollout_text *text,
                          const _Atomic int *stop) {
  const rollout_writer *writer = &rollout->writer[number];
  const cohort_generator_draw draw = {.how = rollout->options.how, .key = rollout->options.key};
  bool asked = false;
  for (int64_t i = 0; i < count; i++) asked = asked || text[i].log_probability;
  cohort_generator_restart(writer->generator);
  for (int64_t i = 0; i < rollout->options.texts; i++) {
    int32_t *tokens = writer->tokens + i * rollout->room;
    writer->text[i] = (cohort_generator_text){.tokens = tokens};
    if (i >= count) continue;
    memcpy(tokens, text[i].prompt, (size_t)text[i].prompt_tokens * sizeof *tokens);
    writer->text[i].count = text[i].prompt_tokens;
    writer->text[i].stream = text[i].stream;
    text[i].length = 0;
  }
  for (int64_t open = count; open > 0; open = take_tokens(rollout, writer, count, text)) {
    if (stop && atomic_load(stop)) return false;
    cohort_generator_next(writer->generator, writer->text, &draw, writer->next, asked ? writer->log_probability : NULL);
  }
  return true;
}
