/* `cohort generate`: text from a language model, on one rank. Prompts are written on in batches of equal size; what a
 * text draws depends on its number and length alone, so batches change no token. Cost: a forward pass a token. */
#include "cli/generate.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "io/file.h"

static bool read_number(const char *text, double *out) {
  char *end = NULL;
  *out = strtod(text, &end);
  return end != text && *end == '\0' && isfinite(*out);
}

/* --batch alone asks for so many samples of the prompt. */
static cohort_status fill_in(cohort_generate_options *out, cohort_error *error) {
  enum { BATCH = 16, MOST_SAMPLES = 1000000, MOST_BATCH = 4096 };
  if (out->samples > MOST_SAMPLES || out->batch > MOST_BATCH)
    return cohort_fail(error, COHORT_BAD_CONFIG, "generate: at most %d samples, %d at once; take fewer", MOST_SAMPLES,
                       MOST_BATCH);
  if (out->best && !out->reward)
    return cohort_fail(error, COHORT_BAD_CONFIG, "generate: --best-of needs --reward, which says what is best");
  if (out->samples == 0) out->samples = out->batch && !out->prompts ? out->batch : 1;
  if (out->batch == 0) out->batch = BATCH;
  if (out->output) out->json = true;
  return COHORT_DONE;
}

/* Options that are a text. */
static const char **text_of(cohort_generate_options *own, const char *word) {
  if (strcmp(word, "--prompt") == 0) return &own->prompt;
  if (strcmp(word, "--prompts") == 0) return &own->prompts;
  if (strcmp(word, "--user") == 0) return &own->user;
  if (strcmp(word, "--chat") == 0) return &own->chat;
  if (strcmp(word, "--reward") == 0) return &own->reward;
  if (strcmp(word, "-o") == 0 || strcmp(word, "--output") == 0) return &own->output;
  return NULL;
}

/* Options that are a number. */
typedef struct number_option {
  const char *name;
  size_t real, whole; /* offset of a double, or of an int64_t; 0: the other */
  double minimum, maximum;
  const char *wants;
} number_option;

#define WHOLE(field) .whole = offsetof(cohort_generate_options, field), .minimum = 0, .maximum = 1e15
#define REAL(field, low, high) .real = offsetof(cohort_generate_options, field), .minimum = low, .maximum = high

static const number_option numbers[] = {
    {"--tokens", WHOLE(tokens), .wants = "a number of at least 0"},
    {"--seed", WHOLE(seed), .wants = "a number of at least 0"},
    {"--samples", WHOLE(samples), .wants = "a number of at least 0"},
    {"--best-of", WHOLE(samples), .wants = "a number of at least 0"},
    {"--batch", WHOLE(batch), .wants = "a number of at least 0"},
    {"--top-k", WHOLE(how.top_k), .wants = "a number of at least 0"},
    {"--temperature", REAL(how.temperature, 0, 1e15), .wants = "a number of at least 0"},
    {"--top-p", REAL(how.top_p, 1e-12, 1), .wants = "a number above 0, at most 1"},
    {"--min-p", REAL(how.min_p, 0, 1), .wants = "a number from 0 to 1"},
    {"--repetition-penalty", REAL(how.repetition_penalty, 1e-12, 1e15), .wants = "a number above 0"},
    {.name = NULL},
};

static cohort_status read_number_option(cohort_generate_options *own, const char *word, const char *value,
                                        cohort_error *error) {
  double number = 0;
  for (const number_option *option = numbers; option->name; option++) {
    if (strcmp(option->name, word) != 0) continue;
    if (!read_number(value, &number) || number < option->minimum || number > option->maximum)
      return cohort_fail(error, COHORT_BAD_CONFIG, "generate: %s %s: expected %s", word, value, option->wants);
    const int64_t whole = (int64_t)number;
    if (option->real)
      memcpy((char *)own + option->real, &number, sizeof number);
    else
      memcpy((char *)own + option->whole, &whole, sizeof whole);
    own->best = own->best || strcmp(word, "--best-of") == 0;
    return COHORT_DONE;
  }
  return cohort_fail(error, COHORT_BAD_CONFIG, "generate: unknown option %s; see cohort generate --help", word);
}

/* Stops may be given several times. */
static cohort_status add_stop(cohort_generate_options *own, const char *word, const char *value, cohort_error *error) {
  double number = 0;
  const bool text = strcmp(word, "--stop") == 0;
  if ((text ? own->stops.texts : own->stops.ends) == COHORT_MAX_STOPS - 1)
    return cohort_fail(error, COHORT_BAD_CONFIG, "generate: more than %d times %s", COHORT_MAX_STOPS - 1, word);
  if (text && !*value) return cohort_fail(error, COHORT_BAD_CONFIG, "generate: --stop: is empty; give a text");
  if (text) {
    own->stops.text[own->stops.texts++] = value;
    return COHORT_DONE;
  }
  if (!read_number(value, &number) || number < 0 || number > INT32_MAX)
    return cohort_fail(error, COHORT_BAD_CONFIG, "generate: --end %s: expected the id of a token", value);
  own->stops.end[own->stops.ends++] = (int32_t)number;
  return COHORT_DONE;
}

static cohort_status read_word(cohort_generate_options *own, const char *word, const char *value, cohort_error *error) {
  const char **text = text_of(own, word);
  if (!value) return cohort_fail(error, COHORT_BAD_CONFIG, "generate: %s needs a value", word);
  if (text) {
    *text = value;
    return COHORT_DONE;
  }
  if (strcmp(word, "--stop") == 0 || strcmp(word, "--end") == 0) return add_stop(own, word, value, error);
  if (strcmp(word, "--precision") != 0) return read_number_option(own, word, value, error);
  own->bf16 = strcmp(value, "bf16") == 0;
  if (own->bf16 || strcmp(value, "float32") == 0) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG, "generate: --precision %s: expected float32 or bf16", value);
}

static cohort_status read_options(const cohort_command_line *line, cohort_generate_options *out, cohort_error *error) {
  *out = (cohort_generate_options){.prompt = "\n", .tokens = 100, .seed = 1, .bf16 = COHORT_GENERATE_RUNS_OWN};
  out->how = cohort_decoding_plain();
  out->how.temperature = 0.8;
  for (int w = 0; w < line->count; w++) {
    const char *word = line->word[w];
    if (word[0] != '-' && !out->run)
      out->run = word;
    else if (strcmp(word, "--greedy") == 0)
      out->how.temperature = 0;
    else if (strcmp(word, "--ignore-end") == 0)
      out->ignore_end = true;
    else if (strcmp(word, "--json") == 0)
      out->json = true;
    else {
      COHORT_TRY(read_word(out, word, w + 1 < line->count ? line->word[w + 1] : NULL, error));
      w++;
    }
  }
  if (!out->run)
    return cohort_fail(error, COHORT_BAD_CONFIG, "generate: give a run directory; see cohort generate --help");
  return fill_in(out, error);
}

static cohort_status write_to(const cohort_loaded_model *from, const cohort_generate_options *options,
                              cohort_generate_texts *texts, cohort_error *error) {
  if (!options->output || strcmp(options->output, "-") == 0)
    return cohort_generate_write(from, options, texts, stdout, error);
  const int file = cohort_file_create(options->output);
  FILE *out = file < 0 ? NULL : fdopen(file, "w");
  if (!out) return cohort_fail(error, COHORT_BAD_CONFIG, "generate: %s: cannot be written", options->output);
  cohort_status status = cohort_generate_write(from, options, texts, out, error);
  if (fclose(out) != 0 && status == COHORT_DONE)
    status = cohort_fail(error, COHORT_NO_RESOURCE, "generate: %s: could not be written whole", options->output);
  return status;
}

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  cohort_generate_options options;
  cohort_loaded_model from;
  cohort_generate_texts texts;
  COHORT_TRY(read_options(line, &options, error));
  COHORT_TRY(cohort_loaded_model_open(options.run, NULL, &from, error));
  if (!options.ignore_end) cohort_stops_add_ends(&options.stops, from.tokenizer);
  options.stops.tokenizer = from.tokenizer;
  cohort_status status = cohort_generate_read(&options, &from, &texts, error);
  if (status == COHORT_DONE) status = write_to(&from, &options, &texts, error);
  cohort_generate_release(&texts);
  cohort_loaded_model_close(&from);
  return status;
}

const cohort_verb cohort_verb_generate = {
    .name = "generate",
    .synopsis =
        "RUN|FILE|MODEL [--prompt TEXT | --prompts FILE] [--tokens N] [--samples N] [--greedy | --temperature T] ...",
    .summary = "write text with a language model that was trained",
    .help =
        "--prompt TEXT, or --prompts FILE with a prompt on each line, in FILE.jsonl as {\"prompt\": TEXT, ...}, or\n"
        "{\"messages\": [...]}, or --user TEXT, by the chat template beside the model's tokenizer, or --chat PATH;\n"
        "--samples N: texts for each prompt; --batch B: texts at once, and, without --samples and --prompts, so many\n"
        "samples; --tokens N new tokens of each; --seed S;\n"
        "--temperature T, 0 or --greedy takes the likeliest; --top-k K likeliest tokens to draw from; --top-p P: the\n"
        "fewest tokens that have this probability; --min-p M: tokens with this share of the likeliest one's;\n"
        "--repetition-penalty R lowers the logits of tokens that the text has;\n"
        "--stop TEXT and --end TOKEN end a text, and may be given several times; --ignore-end writes on where the\n"
        "model has ended a text;\n"
        "--reward REWARD, as a config writes it ('{contains: LORD}'), scores the texts; --best-of N writes of N texts\n"
        "for a prompt the one of the largest reward;\n"
        "--json, or -o FILE: a line of JSON for each text: prompt, completion, tokens, logprobs (of the model, at\n"
        "temperature 1 with nothing cut), finish_reason (end, stop, length), reward, and the prompt's columns;\n"
        "--precision float32 or bf16: operands of products are rounded to bf16, and matrices are read as such.\n"
        "Defaults: 1 sample, batch 16, 100 tokens, temperature 0.8, all tokens of the vocabulary, seed 1, the run's\n"
        "precision. Tokens a second go to the standard error.",
    .run = run,
};
