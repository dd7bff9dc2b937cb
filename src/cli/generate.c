#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/processor.h"
#include "cli/session.h"
#include "io/checkpoint.h"
#include "io/config.h"
#include "train/generator.h"
#include "train/language.h"

typedef struct generate_options {
  const char *run, *prompt;
  int64_t tokens, top_k, seed;
  double temperature;
} generate_options;

static bool read_number(const char *text, double *out) {
  char *end = NULL;
  *out = strtod(text, &end);
  return end != text && *end == '\0';
}

static cohort_status read_options(const cohort_command_line *line, generate_options *out, cohort_error *error) {
  *out = (generate_options){.prompt = "\n", .tokens = 100, .temperature = 0.8, .seed = 1};
  for (int w = 0; w < line->count; w++) {
    const char *word = line->word[w];
    if (word[0] != '-' && !out->run) {
      out->run = word;
      continue;
    }
    const char *value = w + 1 < line->count ? line->word[++w] : NULL;
    double number = 0;
    if (!value) return cohort_fail(error, COHORT_BAD_CONFIG, "generate: %s needs a value", word);
    if (strcmp(word, "--prompt") == 0) {
      out->prompt = value;
      continue;
    }
    if (!read_number(value, &number) || !(number >= 0 && number < 1e15))
      return cohort_fail(error, COHORT_BAD_CONFIG, "generate: %s %s: wants a number from 0 on", word, value);
    if (strcmp(word, "--tokens") == 0)
      out->tokens = (int64_t)number;
    else if (strcmp(word, "--top-k") == 0)
      out->top_k = (int64_t)number;
    else if (strcmp(word, "--seed") == 0)
      out->seed = (int64_t)number;
    else if (strcmp(word, "--temperature") == 0)
      out->temperature = number;
    else
      return cohort_fail(error, COHORT_BAD_CONFIG, "generate: unknown option %s; see cohort generate --help", word);
  }
  if (!out->run) return cohort_fail(error, COHORT_BAD_CONFIG, "generate: give a run directory; see cohort generate --help");
  return COHORT_DONE;
}

static cohort_status load(const char *weights, cohort_space *space, cohort_error *error) {
  cohort_flat_contents contents = {0};
  COHORT_TRY(cohort_checkpoint_read_flat(weights, "/model/flat/parameters", "/model/parameters", &contents, error));
  cohort_status status = COHORT_DONE;
  if (contents.elements != space->elements)
    status = cohort_fail(error, COHORT_BAD_DATA, "%s: the weights do not fit the run's model", weights);
  else
    memcpy(space->values, contents.data, (size_t)space->elements * sizeof(float));
  cohort_flat_release(&contents);
  return status;
}

static cohort_status write_text(cohort_generator *generator, const cohort_tokenizer *tokenizer,
                                const generate_options *options, cohort_error *error) {
  int64_t count = 0;
  int32_t *prompt = cohort_tokenizer_encode(tokenizer, options->prompt, strlen(options->prompt), &count);
  if (count == 0) {
    free(prompt);
    return cohort_fail(error, COHORT_BAD_CONFIG, "generate: the prompt is empty");
  }
  int32_t *tokens = cohort_reallocate(prompt, (size_t)(count + options->tokens) * sizeof *tokens);
  const cohort_random_key key = cohort_random_key_from_seed((uint64_t)options->seed);
  printf("%s", options->prompt);
  for (int64_t t = 0; t < options->tokens; t++, count++) {
    tokens[count] = cohort_generator_next(generator, tokens, count, options->temperature, options->top_k, key);
    if (tokens[count] == cohort_tokenizer_end(tokenizer)) break;
    size_t length = 0;
    char *text = cohort_tokenizer_decode(tokenizer, tokens + count, 1, &length);
    (void)fwrite(text, 1, length, stdout);
    (void)fflush(stdout);
    free(text);
  }
  printf("\n");
  free(tokens);
  return COHORT_DONE;
}

static cohort_status generate(const cohort_settings *settings, const char *weights, const generate_options *options,
                              cohort_error *error) {
  cohort_faults faults = {0};
  cohort_choice model = {0};
  cohort_settings_choice(COHORT_VARIANT_F64, "model", settings->model, "model", &model, NULL, &faults);
  cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  COHORT_TRY(status);
  if (((const cohort_model *)model.method->functions)->kind != COHORT_MODEL_TOKENS)
    return cohort_fail(error, COHORT_BAD_CONFIG, "generate: %s is no language model", model.method->key);
  cohort_tokenizer *tokenizer = NULL;
  COHORT_TRY(cohort_language_tokenizer(settings->data_settings.tokenizer, &tokenizer, error));
  const cohort_model_data data = {.outputs = cohort_tokenizer_vocabulary(tokenizer)};
  cohort_graph *graph = NULL;
  cohort_space *space = NULL;
  cohort_generator *generator = NULL;
  status = cohort_generator_graph(&model, &data, &graph, error);
  if (status == COHORT_DONE) status = cohort_space_create(graph, 0, "model", &space, error);
  if (status == COHORT_DONE) status = load(weights, space, error);
  if (status == COHORT_DONE)
    status = cohort_generator_create(&model, &data, space, cohort_processor_cores(), &generator, error);
  if (status == COHORT_DONE) status = write_text(generator, tokenizer, options, error);
  cohort_generator_destroy(generator);
  cohort_space_destroy(space);
  cohort_graph_destroy(graph);
  cohort_tokenizer_destroy(tokenizer);
  cohort_choice_release(&model);
  return status;
}

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  generate_options options;
  COHORT_TRY(read_options(line, &options, error));
  char *config = NULL, *weights = NULL;
  COHORT_TRY(cohort_command_run_files(options.run, &config, &weights, error));
  cohort_document *document = NULL;
  cohort_status status = cohort_config_read(config, 0, NULL, &document, error);
  if (status == COHORT_DONE) {
    cohort_settings settings;
    cohort_faults faults = {0};
    cohort_settings_read(document, &settings, &faults);
    status = cohort_faults_status(&faults, error);
    if (status == COHORT_DONE) status = generate(&settings, weights, &options, error);
    cohort_faults_release(&faults);
    cohort_settings_release(&settings);
  }
  cohort_document_destroy(document);
  free(config);
  free(weights);
  return status;
}

const cohort_verb cohort_verb_generate = {
    .name = "generate",
    .synopsis = "RUN [--prompt TEXT] [--tokens N] [--temperature T] [--top-k K] [--seed S]",
    .summary = "write text with a language model that was trained",
    .help = "Defaults: 100 tokens, temperature 0.8, all tokens of the vocabulary, seed 1. Temperature 0 takes the likeliest.",
    .run = run,
};
