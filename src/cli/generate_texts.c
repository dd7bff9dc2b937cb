/* Prompts and texts of `cohort generate`: read from a line or a file, written as text or as lines of JSON. Linear in
 * the texts. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/generate.h"
#include "io/chat/chat.h"
#include "train/rollout/rewards.h"

void cohort_generate_release(cohort_generate_texts *texts) {
  for (int64_t t = 0; t < texts->count; t++) {
    free(texts->text[t].prompt);
    free(texts->text[t].tokens);
    free(texts->text[t].log_probability);
  }
  for (int64_t i = 0; i < texts->lines * texts->columns; i++) {
    free(texts->value[i]);
    free(texts->json[i]);
  }
  for (int c = 0; c < texts->columns; c++) free(texts->column[c]);
  free(texts->text);
  free(texts->value);
  free(texts->json);
  free(texts->column);
  *texts = (cohort_generate_texts){.text = NULL};
}

static cohort_status add_prompt(cohort_generate_texts *own, const cohort_tokenizer *tokenizer,
                                const cohort_generate_options *options, const char *prompt, cohort_error *error) {
  own->text = cohort_reallocate(own->text, (size_t)(own->count + options->samples) * sizeof *own->text);
  for (int64_t sample = 0; sample < options->samples; sample++) {
    cohort_generate_text new = {.prompt = cohort_copy_text(prompt), .stream = (uint64_t)own->count, .line = own->lines};
    int32_t *tokens = cohort_tokenizer_encode(tokenizer, prompt, strlen(prompt), &new.prompt_tokens);
    new.tokens = cohort_reallocate(tokens, (size_t)(new.prompt_tokens + options->tokens + 1) * sizeof *tokens);
    new.log_probability = cohort_allocate((size_t)(options->tokens + 1) * sizeof *new.log_probability);
    new.count = new.prompt_tokens;
    new.finish = options->tokens ? COHORT_FINISH_NOT : COHORT_FINISH_LENGTH;
    if (new.count > own->longest_prompt) own->longest_prompt = new.count;
    own->text[own->count++] = new;
    if (new.count == 0) return cohort_fail(error, COHORT_BAD_CONFIG, "generate: the prompt is empty");
  }
  own->lines++;
  return COHORT_DONE;
}

/* A table [lines][columns] with a column more, which is empty. */
static char **widen(char **table, int64_t lines, int columns) {
  char **wide = cohort_allocate((size_t)(lines * (columns + 1) + 1) * sizeof *wide);
  for (int64_t line = 0; line < lines; line++)
    for (int c = 0; c < columns; c++) wide[line * (columns + 1) + c] = table[line * columns + c];
  free(table);
  return wide;
}

/* The number of a column, which is new perhaps; the lines before have no value in it. */
static int find_column(cohort_generate_texts *own, const char *name) {
  for (int c = 0; c < own->columns; c++)
    if (strcmp(own->column[c], name) == 0) return c;
  own->value = widen(own->value, own->lines, own->columns);
  own->json = widen(own->json, own->lines, own->columns);
  own->column = cohort_reallocate(own->column, (size_t)(own->columns + 1) * sizeof *own->column);
  own->column[own->columns] = cohort_copy_text(name);
  return own->columns++;
}

/* Columns of the line that was added last. */
static void add_columns(cohort_generate_texts *own, json_t *line) {
  const size_t room = (size_t)(own->lines * own->columns + 1) * sizeof *own->value;
  const char *name;
  json_t *value;
  own->value = cohort_reallocate(own->value, room);
  own->json = cohort_reallocate(own->json, room);
  for (int64_t i = (own->lines - 1) * own->columns; i < own->lines * own->columns; i++)
    own->value[i] = own->json[i] = NULL;
  json_object_foreach(line, name, value) {
    if (strcmp(name, "prompt") == 0 || json_is_null(value)) continue;
    const int64_t at = find_column(own, name) + (own->lines - 1) * own->columns;
    own->json[at] = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    own->value[at] = cohort_copy_text(json_is_string(value) ? json_string_value(value) : own->json[at]);
  }
}

/* What reads prompts. */
typedef struct prompt_reader {
  const cohort_generate_options *options;
  const cohort_loaded_model *from;
  cohort_generate_texts *texts;
  cohort_chat *chat; /* NULL until the first conversation */
} prompt_reader;

/* The template that is given, or that lies beside the tokenizer's file. */
static cohort_status open_chat(prompt_reader *own, cohort_error *error) {
  const char *path = own->options->chat ? own->options->chat : own->from->settings.data_settings.tokenizer;
  const size_t length = strlen(path);
  const bool file = !own->options->chat && length > 5 && strcmp(path + length - 5, ".json") == 0;
  const char *slash = file ? strrchr(path, '/') : NULL;
  char *folder = slash  ? cohort_format_text("%.*s", (int)(slash - path), path)
                 : file ? cohort_copy_text(".")
                        : cohort_copy_text(path);
  const cohort_status status = own->chat ? COHORT_DONE : cohort_chat_read(folder, &own->chat, error);
  free(folder);
  return status;
}

static cohort_status add_conversation(prompt_reader *own, const json_t *messages, cohort_error *error) {
  const cohort_chat_options options = {.add_generation_prompt = true};
  cohort_chat_text text = {.text = NULL};
  COHORT_TRY(open_chat(own, error));
  COHORT_TRY(cohort_chat_render_json(own->chat, messages, &options, &text, error));
  const cohort_status status = add_prompt(own->texts, own->from->tokenizer, own->options, text.text, error);
  cohort_chat_text_release(&text);
  return status;
}

/* What a user says, alone. */
static cohort_status add_user(prompt_reader *own, const char *said, cohort_error *error) {
  json_t *messages = json_pack("[{s:s,s:s}]", "role", "user", "content", said);
  if (!messages) return cohort_fail(error, COHORT_BAD_CONFIG, "generate: --user: is no UTF-8");
  const cohort_status status = add_conversation(own, messages, error);
  json_decref(messages);
  return status;
}

static cohort_status add_json(prompt_reader *own, const char *text, int64_t number, cohort_error *error) {
  const char *file = own->options->prompts;
  json_error_t said;
  cohort_error inner = {.text = ""};
  json_t *line = json_loads(text, 0, &said);
  const json_t *prompt = json_object_get(line, "prompt"), *messages = json_object_get(line, "messages");
  cohort_status status = COHORT_DONE;
  if (!messages && json_is_array(prompt)) messages = prompt;
  if (!line)
    status = cohort_fail(error, COHORT_BAD_DATA, "%s:%lld:%d: is no JSON: %s", file, (long long)number, said.column,
                         said.text);
  else if (json_is_array(messages))
    status = add_conversation(own, messages, &inner);
  else if (json_is_string(prompt))
    status = add_prompt(own->texts, own->from->tokenizer, own->options, json_string_value(prompt), error);
  else
    status = cohort_fail(error, COHORT_BAD_DATA, "%s:%lld: has no text \"prompt\", and no \"messages\"", file,
                         (long long)number);
  if (inner.text[0]) (void)cohort_fail(error, status, "%s:%lld: %s", file, (long long)number, inner.text);
  if (status == COHORT_DONE) add_columns(own->texts, line);
  json_decref(line);
  return status;
}

static bool is_json(const char *path) {
  const size_t length = strlen(path);
  return length > 6 && strcmp(path + length - 6, ".jsonl") == 0;
}

static cohort_status read_file(prompt_reader *own, cohort_error *error) {
  const char *path = own->options->prompts;
  FILE *file = fopen(path, "r");
  if (!file) return cohort_fail(error, COHORT_BAD_CONFIG, "generate: %s: cannot be read", path);
  char *line = NULL;
  size_t room = 0;
  int64_t number = 0;
  cohort_status status = COHORT_DONE;
  for (ssize_t length; status == COHORT_DONE && (length = getline(&line, &room, file)) >= 0;) {
    number++;
    if (length > 0 && line[length - 1] == '\n') line[--length] = '\0';
    if (length == 0) continue;
    status = is_json(path) ? add_json(own, line, number, error)
                           : add_prompt(own->texts, own->from->tokenizer, own->options, line, error);
  }
  free(line);
  (void)fclose(file);
  if (status == COHORT_DONE && own->texts->count == 0)
    return cohort_fail(error, COHORT_BAD_CONFIG, "generate: %s has no prompt; write one on each line", path);
  return status;
}

cohort_status cohort_generate_read(const cohort_generate_options *options, const cohort_loaded_model *from,
                                   cohort_generate_texts *out, cohort_error *error) {
  prompt_reader own = {.options = options, .from = from, .texts = out};
  *out = (cohort_generate_texts){.text = NULL};
  const cohort_status status = options->user      ? add_user(&own, options->user, error)
                               : options->prompts ? read_file(&own, error)
                                                  : add_prompt(out, from->tokenizer, options, options->prompt, error);
  cohort_chat_destroy(own.chat);
  return status;
}

char *cohort_generate_completion(const cohort_generate_options *options, const cohort_tokenizer *tokenizer,
                                 const cohort_generate_text *text, size_t *length) {
  const int64_t count = text->count - text->prompt_tokens - (text->finish == COHORT_FINISH_END);
  char *written = cohort_tokenizer_decode(tokenizer, text->tokens + text->prompt_tokens, count, length);
  if (text->finish == COHORT_FINISH_STOP) *length = cohort_stops_before(&options->stops, written, *length);
  return written;
}

static void put_json(const cohort_generate_options *options, const cohort_tokenizer *tokenizer,
                     const cohort_generate_texts *texts, const cohort_generate_text *own, FILE *out) {
  static const char *const reasons[] = {"", "end", "stop", "length"};
  size_t length = 0;
  char *completion = cohort_generate_completion(options, tokenizer, own, &length);
  const int64_t count = own->count - own->prompt_tokens;
  cohort_text line = {.text = NULL};
  cohort_text_put(&line, "{\"prompt\": ");
  cohort_text_put_json(&line, own->prompt, strlen(own->prompt));
  cohort_text_put(&line, ", \"completion\": ");
  cohort_text_put_json(&line, completion, length);
  cohort_text_put(&line, ", \"tokens\": [");
  for (int64_t t = 0; t < count; t++)
    cohort_text_put(&line, "%s%d", t ? ", " : "", (int)own->tokens[own->prompt_tokens + t]);
  cohort_text_put(&line, "], \"logprobs\": [");
  for (int64_t t = 0; t < count; t++) cohort_text_put(&line, "%s%.9g", t ? ", " : "", (double)own->log_probability[t]);
  cohort_text_put(&line, "], \"finish_reason\": \"%s\"", reasons[own->finish]);
  if (options->reward) cohort_text_put(&line, ", \"reward\": %.17g", own->reward);
  for (int c = 0; c < texts->columns; c++) {
    const char *value = texts->json[own->line * texts->columns + c];
    if (!value) continue;
    cohort_text_put(&line, ", ");
    cohort_text_put_json(&line, texts->column[c], strlen(texts->column[c]));
    cohort_text_put(&line, ": %s", value);
  }
  (void)fprintf(out, "%s}\n", line.text);
  free(line.text);
  free(completion);
}

static void put_plain(const cohort_generate_options *options, const cohort_tokenizer *tokenizer,
                      const cohort_generate_text *own, int64_t number, FILE *out) {
  size_t length = 0;
  char *completion = cohort_generate_completion(options, tokenizer, own, &length);
  (void)fprintf(out, "== %lld", (long long)number);
  if (options->reward) (void)fprintf(out, " reward %.6g", own->reward);
  (void)fprintf(out, "\n%s", own->prompt);
  (void)fwrite(completion, 1, length, out);
  (void)fprintf(out, "\n");
  free(completion);
}

/* The one of a prompt's samples that has the largest reward, or all of them. */
void cohort_generate_put(const cohort_generate_options *options, const cohort_tokenizer *tokenizer,
                         const cohort_generate_texts *texts, int64_t first, int64_t last, FILE *out) {
  for (int64_t i = first; i < last; i++) {
    int64_t given = i;
    if (options->best) {
      double *reward = cohort_allocate((size_t)options->samples * sizeof *reward);
      for (int64_t k = 0; k < options->samples; k++) reward[k] = texts->text[i + k].reward;
      given = i + cohort_rewards_best(options->samples, reward);
      free(reward);
      i += options->samples - 1;
    }
    if (options->json)
      put_json(options, tokenizer, texts, &texts->text[given], out);
    else
      put_plain(options, tokenizer, &texts->text[given], options->best ? i / options->samples + 1 : i + 1, out);
  }
}
