/* Writes texts of `cohort generate`, a batch of slots at a time. Invariant: a text's tokens depend on its number alone,
 * so batches change none. A forward pass a token. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/processor.h"
#include "cli/generate.h"
#include "io/config.h"
#include "kernel/peak.h"
#include "train/rollout/generator.h"
#include "train/rollout/rewards.h"

/* What was read and written, and how long it took. */
typedef struct generate_speed {
  double prompt_seconds, seconds;
  int64_t prompt_tokens, tokens, passes;
} generate_speed;

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
static int64_t chunk_rows(const cohort_generate_texts *own, const cohort_generate_options *options, int64_t slots,
                          int64_t context) {
  enum { MOST = 256, UNIT = 16 };
  int64_t rows = own->longest_prompt * slots;
  if (own->longest_prompt + options->tokens > context + 1 && rows < context) rows = context;
  if (rows > MOST) rows = MOST;
  return (rows + UNIT - 1) / UNIT * UNIT;
}

/* A token of a text; false: it was the last. A lone text is shown as it grows. */
static bool take_token(const cohort_generate_options *options, const cohort_tokenizer *tokenizer,
                       cohort_generate_text *own, int32_t token, double log_probability, FILE *shown) {
  const int64_t written = own->count - own->prompt_tokens;
  own->tokens[own->count++] = token;
  own->log_probability[written] = (float)log_probability;
  own->finish = cohort_stops_reached(&options->stops, own->tokens + own->prompt_tokens, written + 1);
  if (own->finish == COHORT_FINISH_NOT && written + 1 == options->tokens) own->finish = COHORT_FINISH_LENGTH;
  if (shown && own->finish != COHORT_FINISH_END) {
    size_t length = 0;
    char *text = cohort_tokenizer_decode_next(tokenizer, token, &length);
    if (!cohort_tokenizer_special(tokenizer, token)) (void)fwrite(text, 1, length, shown);
    (void)fflush(shown);
    free(text);
  }
  return own->finish == COHORT_FINISH_NOT;
}

/* Writes on at text[0, count), a token of each at a time. */
static void write_batch(cohort_generator *generator, const cohort_loaded_model *from,
                        const cohort_generate_options *options, cohort_generate_text *own, int64_t count, int64_t slots,
                        FILE *shown, generate_speed *speed) {
  const cohort_generator_draw draw = {options->how, cohort_random_key_from_seed((uint64_t)options->seed)};
  cohort_generator_text *state = cohort_allocate((size_t)slots * sizeof *state);
  int32_t *next = cohort_allocate((size_t)slots * sizeof *next);
  double *said = cohort_allocate((size_t)slots * sizeof *said);
  cohort_generator_restart(generator);
  for (int64_t t = 0, open = options->tokens ? count : 0; open > 0; t++) {
    for (int64_t s = 0; s < count; s++)
      state[s] =
          (cohort_generator_text){own[s].tokens, own[s].finish == COHORT_FINISH_NOT ? own[s].count : 0, own[s].stream};
    const double start = cohort_clock_seconds();
    cohort_generator_next(generator, state, &draw, next, options->json ? said : NULL);
    *(t ? &speed->seconds : &speed->prompt_seconds) += cohort_clock_seconds() - start;
    speed->passes += t > 0;
    open = 0;
    for (int64_t s = 0; s < count; s++) {
      if (own[s].finish != COHORT_FINISH_NOT) continue;
      *(t ? &speed->tokens : &speed->prompt_tokens) += t ? 1 : own[s].prompt_tokens;
      open += take_token(options, from->tokenizer, &own[s], next[s], said[s], shown);
    }
  }
  free(said);
  free(state);
  free(next);
}

/* The texts' rewards, by a reward as the command line writes it. */
static cohort_status score(const cohort_loaded_model *from, const cohort_generate_options *options,
                           cohort_generate_texts *own, const cohort_choice *choice, cohort_error *error) {
  cohort_comm comm = cohort_comm_alone();
  const cohort_rewards_options settings = {.comm = &comm,
                                           .tokenizer = from->tokenizer,
                                           .group = options->samples,
                                           .limit = options->tokens,
                                           .prompt = own->longest_prompt,
                                           .threads = cohort_processor_cores(),
                                           .columns = own->columns,
                                           .column = (const char *const *)own->column};
  cohort_rewards *rewards = NULL;
  COHORT_TRY(cohort_rewards_create(choice, &settings, &rewards, error));
  cohort_rewards_text *text = cohort_allocate((size_t)own->count * sizeof *text);
  double *reward = cohort_allocate((size_t)own->count * sizeof *reward);
  for (int64_t i = 0; i < own->count; i++) {
    const cohort_generate_text *t = &own->text[i];
    text[i] =
        (cohort_rewards_text){.prompt = t->tokens,
                              .completion = t->tokens + t->prompt_tokens,
                              .prompt_tokens = t->prompt_tokens,
                              .tokens = t->count - t->prompt_tokens,
                              .ended = t->finish == COHORT_FINISH_END || t->finish == COHORT_FINISH_STOP,
                              .column = own->columns ? (const char *const *)own->value + t->line * own->columns : NULL};
  }
  const cohort_status status = cohort_rewards_score(rewards, own->count, text, NULL, reward, error);
  for (int64_t i = 0; i < own->count; i++) own->text[i].reward = reward[i];
  free(reward);
  free(text);
  cohort_rewards_destroy(rewards);
  return status;
}

static cohort_status write_all(cohort_generator *generator, const cohort_loaded_model *from,
                               const cohort_generate_options *options, cohort_generate_texts *own, int64_t slots,
                               FILE *out, generate_speed *speed) {
  const bool alone = own->count == 1 && !options->json && !options->reward && options->stops.texts == 0;
  if (alone) (void)fprintf(out, "%s", own->text[0].prompt);
  for (int64_t first = 0; first < own->count; first += slots) {
    const int64_t count = own->count - first < slots ? own->count - first : slots;
    write_batch(generator, from, options, own->text + first, count, slots, alone ? out : NULL, speed);
    if (!alone && !options->reward) cohort_generate_put(options, from->tokenizer, own, first, first + count, out);
  }
  if (alone) (void)fprintf(out, "\n");
  return COHORT_DONE;
}

static cohort_status read_reward(const cohort_generate_options *options, cohort_document **document,
                                 cohort_choice *choice, cohort_error *error) {
  cohort_faults faults = {0};
  COHORT_TRY(cohort_config_parse(options->reward, strlen(options->reward), COHORT_COMMAND_LINE, document, error));
  cohort_choice_read(COHORT_VARIANT_F64, "reward", *document, "--reward", choice, NULL, &faults);
  const cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  return status;
}

cohort_status cohort_generate_write(const cohort_loaded_model *from, const cohort_generate_options *options,
                                    cohort_generate_texts *texts, FILE *out, cohort_error *error) {
  const int64_t slots = texts->count < options->batch ? texts->count : options->batch;
  const int64_t context = ((const cohort_model *)from->model.method->functions)->context(from->model.config);
  const bool bf16 = options->bf16 == COHORT_GENERATE_RUNS_OWN ? from->settings.precision != 0 : options->bf16 != 0;
  const cohort_generator_options settings = {.slots = slots,
                                             .chunk = chunk_rows(texts, options, slots, context),
                                             .longest = texts->longest_prompt + options->tokens,
                                             .threads = cohort_processor_cores(),
                                             .bf16 = bf16,
                                             .adapter = from->adapted ? &from->adapter : NULL,
                                             .adapter_space = from->adapter_space};
  cohort_generator *generator = NULL;
  cohort_document *document = NULL;
  cohort_choice reward = {NULL, NULL};
  generate_speed speed = {0};
  cohort_status status = options->reward ? read_reward(options, &document, &reward, error) : COHORT_DONE;
  if (status == COHORT_DONE)
    status = cohort_generator_create(&from->model, &from->data, from->space, &settings, &generator, error);
  if (status == COHORT_DONE) status = write_all(generator, from, options, texts, slots, out, &speed);
  if (status == COHORT_DONE && options->reward) {
    status = score(from, options, texts, &reward, error);
    if (status == COHORT_DONE) cohort_generate_put(options, from->tokenizer, texts, 0, texts->count, out);
  }
  (void)fflush(out);
  if (status == COHORT_DONE) report(&speed, from->space, &settings);
  cohort_generator_destroy(generator);
  cohort_choice_release(&reward);
  cohort_document_destroy(document);
  return status;
}
