/* `cohort generate`: text from a language model, on one rank. Prompts are written on in batches of equal size; what a
 * text draws depends on its number and length alone, so batches change no token. Cost: a forward pass a token. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/processor.h"
#include "cli/command.h"
#include "kernel/peak.h"
#include "train/rollout/generator.h"
#include "train/rollout/loaded_model.h"

typedef struct generate_options {
  const char *run, *prompt, *prompts;
  int64_t tokens, top_k, seed, samples, batch;
  double temperature;
  int bf16;        /* products; RUNS_OWN: as the run was trained */
  bool ignore_end; /* goes on where a text has ended */
} generate_options;

enum { RUNS_OWN = -1 };

static bool read_number(const char *text, double *out) {
  char *end = NULL;
  *out = strtod(text, &end);
  return end != text && *end == '\0';
}

/* --batch alone asks for so many samples of the prompt. */
static cohort_status fill_in(generate_options *out, cohort_error *error) {
  enum { BATCH = 16, MOST_SAMPLES = 1000000, MOST_BATCH = 4096 };
  if (out->samples > MOST_SAMPLES || out->batch > MOST_BATCH)
    return cohort_fail(error, COHORT_BAD_CONFIG, "generate: at most %d samples, %d at once; take fewer", MOST_SAMPLES,
                       MOST_BATCH);
  if (out->samples == 0) out->samples = out->batch && !out->prompts ? out->batch : 1;
  if (out->batch == 0) out->batch = BATCH;
  return COHORT_DONE;
}

static cohort_status read_options(const cohort_command_line *line, generate_options *out, cohort_error *error) {
  *out = (generate_options){.prompt = "\n", .tokens = 100, .temperature = 0.8, .seed = 1, .bf16 = RUNS_OWN};
  for (int w = 0; w < line->count; w++) {
    const char *word = line->word[w];
    if (word[0] != '-' && !out->run) {
      out->run = word;
      continue;
    }
    if (strcmp(word, "--greedy") == 0) {
      out->temperature = 0;
      continue;
    }
    if (strcmp(word, "--ignore-end") == 0) {
      out->ignore_end = true;
      continue;
    }
    const char *value = w + 1 < line->count ? line->word[++w] : NULL;
    double number = 0;
    if (!value) return cohort_fail(error, COHORT_BAD_CONFIG, "generate: %s needs a value", word);
    if (strcmp(word, "--prompt") == 0) {
      out->prompt = value;
      continue;
    }
    if (strcmp(word, "--prompts") == 0) {
      out->prompts = value;
      continue;
    }
    if (strcmp(word, "--precision") == 0) {
      out->bf16 = strcmp(value, "bf16") == 0;
      if (out->bf16 || strcmp(value, "float32") == 0) continue;
      return cohort_fail(error, COHORT_BAD_CONFIG, "generate: --precision %s: expected float32 or bf16", value);
    }
    if (!read_number(value, &number) || !(number >= 0 && number < 1e15))
      return cohort_fail(error, COHORT_BAD_CONFIG, "generate: %s %s: expected a number of at least 0", word, value);
    if (strcmp(word, "--tokens") == 0)
      out->tokens = (int64_t)number;
    else if (strcmp(word, "--top-k") == 0)
      out->top_k = (int64_t)number;
    else if (strcmp(word, "--seed") == 0)
      out->seed = (int64_t)number;
    else if (strcmp(word, "--samples") == 0)
      out->samples = (int64_t)number;
    else if (strcmp(word, "--batch") == 0)
      out->batch = (int64_t)number;
    else if (strcmp(word, "--temperature") == 0)
      out->temperature = number;
    else
      return cohort_fail(error, COHORT_BAD_CONFIG, "generate: unknown option %s; see cohort generate --help", word);
  }
  if (!out->run)
    return cohort_fail(error, COHORT_BAD_CONFIG, "generate: give a run directory; see cohort generate --help");
  return fill_in(out, error);
}

/* A prompt and what was written after it. */
typedef struct text {
  char *prompt;
  int32_t *tokens;
  int64_t prompt_tokens, count;
  uint64_t stream;
  bool ended;
} text;

typedef struct text_list {
  text *text;
  int64_t count, longest_prompt;
} text_list;

/* What was read and written, and how long it took. */
typedef struct generate_speed {
  double prompt_seconds, seconds;
  int64_t prompt_tokens, tokens, passes;
} generate_speed;

static void release_texts(text_list *own) {
  for (int64_t t = 0; t < own->count; t++) {
    free(own->text[t].prompt);
    free(own->text[t].tokens);
  }
  free(own->text);
}

static cohort_status add_texts(text_list *own, const cohort_tokenizer *tokenizer, const generate_options *options,
                               const char *prompt, cohort_error *error) {
  own->text = cohort_reallocate(own->text, (size_t)(own->count + options->samples) * sizeof *own->text);
  for (int64_t sample = 0; sample < options->samples; sample++) {
    text new = {.prompt = cohort_copy_text(prompt), .stream = (uint64_t)own->count};
    int32_t *tokens = cohort_tokenizer_encode(tokenizer, prompt, strlen(prompt), &new.prompt_tokens);
    new.tokens = cohort_reallocate(tokens, (size_t)(new.prompt_tokens + options->tokens + 1) * sizeof *tokens);
    new.count = new.prompt_tokens;
    if (new.count > own->longest_prompt) own->longest_prompt = new.count;
    own->text[own->count++] = new;
    if (new.count == 0) return cohort_fail(error, COHORT_BAD_CONFIG, "generate: the prompt is empty");
  }
  return COHORT_DONE;
}

/* The prompt, or each line of a file that is not empty. */
static cohort_status read_prompts(text_list *own, const cohort_tokenizer *tokenizer, const generate_options *options,
                                  cohort_error *error) {
  if (!options->prompts) return add_texts(own, tokenizer, options, options->prompt, error);
  FILE *file = fopen(options->prompts, "r");
  if (!file) return cohort_fail(error, COHORT_BAD_CONFIG, "generate: %s: cannot be read", options->prompts);
  char *line = NULL;
  size_t room = 0;
  cohort_status status = COHORT_DONE;
  for (ssize_t length; status == COHORT_DONE && (length = getline(&line, &room, file)) >= 0;) {
    if (length > 0 && line[length - 1] == '\n') line[--length] = '\0';
    if (length > 0) status = add_texts(own, tokenizer, options, line, error);
  }
  free(line);
  (void)fclose(file);
  if (status == COHORT_DONE && own->count == 0)
    return cohort_fail(error, COHORT_BAD_CONFIG, "generate: %s has no prompt; write one on each line",
                       options->prompts);
  return status;
}

static void print_tokens(const cohort_tokenizer *tokenizer, const int32_t *tokens, int64_t count) {
  size_t length = 0;
  char *written = cohort_tokenizer_decode(tokenizer, tokens, count, &length);
  (void)fwrite(written, 1, length, stdout);
  (void)fflush(stdout);
  free(written);
}

/* Writes on at texts[first, first + slots), a token of each at a time; a lone text is shown as it grows. */
static void write_batch(cohort_generator *generator, const cohort_tokenizer *tokenizer, const generate_options *options,
                        text *own, int64_t count, int64_t slots, bool alone, generate_speed *speed) {
  cohort_generator_draw draw = {cohort_decoding_plain(), cohort_random_key_from_seed((uint64_t)options->seed)};
  draw.how.temperature = options->temperature;
  draw.how.top_k = options->top_k;
  cohort_generator_text *state = cohort_allocate((size_t)slots * sizeof *state);
  int32_t *next = cohort_allocate((size_t)slots * sizeof *next);
  cohort_generator_restart(generator);
  for (int64_t t = 0, open = count; t < options->tokens && open > 0; t++) {
    open = 0;
    for (int64_t s = 0; s < count; s++)
      state[s] = (cohort_generator_text){own[s].tokens, own[s].ended ? 0 : own[s].count, own[s].stream};
    const double start = cohort_clock_seconds();
    cohort_generator_next(generator, state, &draw, next, NULL);
    *(t ? &speed->seconds : &speed->prompt_seconds) += cohort_clock_seconds() - start;
    speed->passes += t > 0;
    for (int64_t s = 0; s < count; s++) {
      if (own[s].ended) continue;
      *(t ? &speed->tokens : &speed->prompt_tokens) += t ? 1 : own[s].prompt_tokens;
      own[s].tokens[own[s].count] = next[s];
      own[s].ended = !options->ignore_end && next[s] == cohort_tokenizer_end(tokenizer);
      if (own[s].ended) continue;
      if (alone) print_tokens(tokenizer, own[s].tokens + own[s].count, 1);
      own[s].count++;
      open++;
    }
  }
  free(state);
  free(next);
}

/* Bytes of the matrices that every token is multiplied with: all tensors but the tables of which it takes a row. */
static double weight_bytes(const cohort_space *space, bool bf16) {
  int64_t elements = 0, embedding = 0;
  bool head = false;
  for (int t = 0; t < space->tensors; t++) {
    const cohort_space_tensor *tensor = &space->tensor[t];
    head = head || tensor->declared.role == COHORT_ROLE_HEAD;
    if (tensor->declared.role != COHORT_ROLE_EMBEDDING) elements += tensor->elements;
    if (strcmp(tensor->declared.name, "embedding.weight") == 0) embedding = tensor->elements;
  }
  return (double)(elements + (head ? 0 : embedding)) * (bf16 ? sizeof(uint16_t) : sizeof(float));
}

typedef struct reading {
  const float *data;
  int64_t elements; /* of a part */
} reading;

static void read_part(void *argument, int64_t part) {
  const reading *own = argument;
  (void)cohort_peak_read(cohort_processor_isa(), own->data + part * own->elements, own->elements);
}

/* Bytes a second that the threads together read of the weights: the best of some passes. */
static double read_rate(const cohort_space *space, int threads) {
  const cohort_team team = {threads};
  reading own = {space->values, space->elements / threads / 1024 * 1024};
  double best = 0;
  for (int pass = 0; pass < 5 && own.elements > 0; pass++) {
    const double start = cohort_clock_seconds();
    cohort_team_run(&team, threads, read_part, &own);
    const double rate = (double)(own.elements * threads) * sizeof(float) / (cohort_clock_seconds() - start);
    if (rate > best) best = rate;
  }
  return best;
}

static void report(const generate_speed *speed, const cohort_space *space, const cohort_generator_options *settings) {
  if (speed->prompt_seconds > 0)
    (void)fprintf(stderr, "prompt: %lld tokens in %.3f s, %.1f tokens/s\n", (long long)speed->prompt_tokens,
                  speed->prompt_seconds, (double)speed->prompt_tokens / speed->prompt_seconds);
  if (speed->passes == 0 || speed->seconds <= 0) return;
  const double rate = (double)speed->passes * weight_bytes(space, settings->bf16) / speed->seconds;
  const double peak = read_rate(space, settings->threads);
  (void)fprintf(stderr, "text: %lld tokens in %.3f s, %.1f tokens/s; weights at %.1f GB/s", (long long)speed->tokens,
                speed->seconds, (double)speed->tokens / speed->seconds, rate * 1e-9);
  if (peak > 0) (void)fprintf(stderr, ", %.0f %% of the %.1f GB/s that memory gives", 100 * rate / peak, peak * 1e-9);
  (void)fprintf(stderr, "\n");
}

/* Rows of a chunk: all prompts of a batch at once when they are short; a whole window where texts outgrow the context.
 */
static int64_t chunk_rows(const text_list *own, const generate_options *options, int64_t slots, int64_t context) {
  enum { MOST = 256, UNIT = 16 };
  int64_t rows = own->longest_prompt * slots;
  if (own->longest_prompt + options->tokens > context + 1 && rows < context) rows = context;
  if (rows > MOST) rows = MOST;
  return (rows + UNIT - 1) / UNIT * UNIT;
}

static cohort_status write_texts(const cohort_loaded_model *from, const generate_options *options, text_list *own,
                                 cohort_error *error) {
  const int64_t slots = own->count < options->batch ? own->count : options->batch;
  const int64_t context = ((const cohort_model *)from->model.method->functions)->context(from->model.config);
  const bool bf16 = options->bf16 == RUNS_OWN ? from->settings.precision != 0 : options->bf16 != 0;
  const cohort_generator_options settings = {.slots = slots,
                                             .chunk = chunk_rows(own, options, slots, context),
                                             .threads = cohort_processor_cores(),
                                             .bf16 = bf16,
                                             .adapter = from->adapted ? &from->adapter : NULL,
                                             .adapter_space = from->adapter_space};
  cohort_generator *generator = NULL;
  generate_speed speed = {0};
  const bool alone = own->count == 1;
  COHORT_TRY(cohort_generator_create(&from->model, &from->data, from->space, &settings, &generator, error));
  for (int64_t first = 0; first < own->count; first += slots) {
    const int64_t count = own->count - first < slots ? own->count - first : slots;
    if (alone) printf("%s", own->text[0].prompt);
    write_batch(generator, from->tokenizer, options, own->text + first, count, slots, alone, &speed);
    for (int64_t t = first; !alone && t < first + count; t++) {
      const text *done = &own->text[t];
      printf("== %lld\n%s", (long long)t + 1, done->prompt);
      print_tokens(from->tokenizer, done->tokens + done->prompt_tokens, done->count - done->prompt_tokens);
      printf("\n");
    }
  }
  if (alone) printf("\n");
  (void)fflush(stdout);
  report(&speed, from->space, &settings);
  cohort_generator_destroy(generator);
  return COHORT_DONE;
}

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  generate_options options;
  cohort_loaded_model from;
  text_list texts = {0};
  COHORT_TRY(read_options(line, &options, error));
  COHORT_TRY(cohort_loaded_model_open(options.run, NULL, &from, error));
  cohort_status status = read_prompts(&texts, from.tokenizer, &options, error);
  if (status == COHORT_DONE) status = write_texts(&from, &options, &texts, error);
  release_texts(&texts);
  cohort_loaded_model_close(&from);
  return status;
}

const cohort_verb cohort_verb_generate = {
    .name = "generate",
    .synopsis = "RUN|FILE [--prompt TEXT | --prompts FILE] [--tokens N] [--samples N] [--greedy | --temperature T] ...",
    .summary = "write text with a language model that was trained",
    .help =
        "--prompt TEXT, or --prompts FILE with a prompt on each line; --samples N: texts for each prompt; --batch B:\n"
        "texts at once, and, without --samples and --prompts, so many samples; --tokens N new tokens of each;\n"
        "--temperature T, 0 or --greedy takes the likeliest; --top-k K likeliest tokens to draw from; --seed S;\n"
        "--ignore-end writes on where the model has ended a text;\n"
        "--precision float32 or bf16: operands of products are rounded to bf16, and matrices are read as such.\n"
        "Defaults: 1 sample, batch 16, 100 tokens, temperature 0.8, all tokens of the vocabulary, seed 1, the run's\n"
        "precision. Tokens a second go to the standard error.",
    .run = run,
};
