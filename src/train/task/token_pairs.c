/* Text becomes sequences of tokens. Invariant: what a sample's sequences are does not depend on the others. A prompt is
 * encoded once a sample and stored with each completion; memory grows with the tokens. */
#include "train/task/token_pairs.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Tokens that grow, with the step of each. */
typedef struct tokens {
  int32_t *token, *step;
  int64_t count;
} tokens;

static void append(const cohort_tokenizer *tokenizer, const char *text, size_t length, int step, tokens *out) {
  int64_t count = 0;
  int32_t *token = cohort_tokenizer_encode(tokenizer, text, length, &count);
  const size_t whole = (size_t)(out->count + count + 1); /* room for an end token */
  out->token = cohort_reallocate(out->token, whole * sizeof *out->token);
  out->step = cohort_reallocate(out->step, whole * sizeof *out->step);
  for (int64_t i = 0; i < count; i++) {
    out->token[out->count] = token[i];
    out->step[out->count++] = step;
  }
  free(token);
}

/* Of a conversation: each token's turn is that of the bytes it stands for, -1 between turns. */
static cohort_status find_turns(const cohort_tokenizer *tokenizer, const cohort_completion *completion, tokens *out,
                                cohort_error *error) {
  size_t at = 0, length = 0;
  for (int64_t t = 0; t < out->count; t++, at += length) {
    free(t ? cohort_tokenizer_decode_next(tokenizer, out->token[t], &length)
           : cohort_tokenizer_decode_all(tokenizer, &out->token[t], 1, &length));
    out->step[t] = -1;
    for (int k = 0; k < completion->parts; k++)
      if (at < completion->part[k].end && at + length > completion->part[k].first) out->step[t] = k;
  }
  if (at == strlen(completion->text)) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_DATA,
                     "data: this tokenizer's tokens do not say which bytes they stand for, so what the assistant says "
                     "cannot be told from the rest");
}

static bool gets_end(const cohort_completions *data, const cohort_token_options *options, const tokens *own) {
  const int end = cohort_tokenizer_end(options->tokenizer);
  if (end < 0 || data->shape == COHORT_DATA_STEPWISE || options->end == COHORT_END_NEVER) return false;
  if (options->end == COHORT_END_AUTO && data->conversational) return false;
  return own->count == 0 || own->token[own->count - 1] != end;
}

/* A completion's tokens. */
static cohort_status encode(const cohort_completions *data, const cohort_token_options *options,
                            const cohort_completion *completion, tokens *out, cohort_error *error) {
  const bool stepwise = data->shape == COHORT_DATA_STEPWISE, whole = data->conversational || !completion->parts;
  for (int k = 0; !whole && k < completion->parts; k++) {
    const cohort_span part = completion->part[k];
    append(options->tokenizer, completion->text + part.first, part.end - part.first, k, out);
    if (stepwise) append(options->tokenizer, "\n", 1, k, out);
  }
  if (whole) append(options->tokenizer, completion->text, strlen(completion->text), 0, out);
  if (data->conversational && options->steps) COHORT_TRY(find_turns(options->tokenizer, completion, out, error));
  if (!gets_end(data, options, out)) return COHORT_DONE;
  out->token[out->count] = cohort_tokenizer_end(options->tokenizer);
  out->step[out->count++] = completion->parts ? completion->parts - 1 : 0;
  return COHORT_DONE;
}

static bool same_tokens(const cohort_token_pairs *own, int64_t a, int64_t b) {
  return own->length[a] == own->length[b] && own->sequence[a] && own->sequence[b] &&
         memcmp(own->sequence[a], own->sequence[b], (size_t)own->length[a] * sizeof(int32_t)) == 0;
}

/* Whether all of a sample's sequences are the same. */
static bool all_alike(const cohort_token_pairs *own, int64_t sample) {
  bool alike = own->sides > 1;
  for (int side = 1; side < own->sides; side++)
    if (own->sequence[sample * own->sides + side])
      alike = alike && same_tokens(own, sample * own->sides, sample * own->sides + side);
  return alike;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* Whose texts become sequences. */
typedef struct source {
  const cohort_completions *data;
  const cohort_token_options *options;
} source;

/* A field's numbers of completion `from` as those of sequence `at`, whose first `skipped` tokens are cut. */
static cohort_status take_field(const source *own, int f, int64_t from, int64_t at, const tokens *made, int64_t skipped,
                                cohort_token_pairs *out, cohort_error *error) {
  const cohort_field_values *values = &own->data->field[f];
  cohort_token_field *field = &out->field[f];
  const cohort_field_owner owner = own->data->fields[f].owner;
  const int64_t sample = from / own->data->sides;
  if (owner == COHORT_FIELD_SAMPLE && values->value) field->value[at / out->sides] = values->value[sample];
  if (owner == COHORT_FIELD_COMPLETION && values->value) field->value[at] = values->value[from];
  if (!values->list || !made->count) return COHORT_DONE;
  const int elements = values->elements[from];
  const float *list = values->list[from];
  if (owner == COHORT_FIELD_STEP) memcpy(&field->value[at * field->width], list, (size_t)elements * sizeof *list);
  if (owner != COHORT_FIELD_TOKEN) return COHORT_DONE;
  if (elements != made->count && elements + 1 != made->count)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s:%lld:1: %s has %d numbers for a completion of %lld tokens, the one that closes it among "
                       "them; give each a number, or all but that",
                       own->data->path ? own->data->path : "data", (long long)(own->data->first + sample) + 1,
                       own->data->fields[f].name, elements, (long long)made->count);
  field->token[at] = cohort_allocate((size_t)made->count * sizeof *list);
  if (elements > skipped) memcpy(field->token[at], list + skipped, (size_t)(elements - skipped) * sizeof *list);
  return COHORT_DONE;
}

/* The most tokens of a sequence. */
static int64_t most_tokens(const cohort_token_options *options) {
  const int64_t most = options->context + 1;
  return options->max_length && options->max_length < most ? options->max_length : most;
}

/* Prompt and completion as one sequence: of one that is too long the start, or the end; then a completion's first
 * tokens may be what is left to read before it. Returns how many of them are cut or read. */
static int64_t join(const source *own, const int32_t *prompt, int64_t prompt_length, const tokens *made, int64_t at,
                    cohort_token_pairs *out) {
  const int64_t whole = prompt_length + made->count, most = most_tokens(own->options);
  const bool ends = own->options->truncation == COHORT_KEEP_END && whole > most;
  const int64_t cut = ends ? whole - most : 0, skipped = ends && cut >= prompt_length ? cut - prompt_length + 1 : 0;
  int32_t *sequence = cohort_allocate((size_t)whole * sizeof *sequence + 1);
  memcpy(sequence, prompt, (size_t)prompt_length * sizeof *prompt);
  memcpy(sequence + prompt_length, made->token, (size_t)made->count * sizeof *made->token);
  if (cut) memmove(sequence, sequence + cut, (size_t)(whole - cut) * sizeof *sequence);
  out->sequence[at] = sequence;
  out->length[at] = (int32_t)(whole < most ? whole : most);
  out->prompt[at] = (int32_t)(skipped ? 1 : prompt_length - cut);
  out->longest = larger(out->longest, out->length[at] - 1);
  out->prompts = larger(out->prompts, out->prompt[at]);
  out->completions = larger(out->completions, out->length[at] - out->prompt[at]);
  if (skipped) memmove(made->step, made->step + skipped, (size_t)(made->count - skipped) * sizeof *made->step);
  return skipped;
}

/* Completion number `from` of the data after its prompt, as sequence number `at`. */
static cohort_status add_sequence(const source *own, const int32_t *prompt, int64_t prompt_length, int64_t from,
                                  int64_t at, cohort_token_pairs *out, cohort_error *error) {
  const cohort_completion *completion = &own->data->completion[from];
  tokens made = {NULL, NULL, 0};
  cohort_status status = completion->text ? encode(own->data, own->options, completion, &made, error) : COHORT_DONE;
  out->prompt[at] = (int32_t)prompt_length;
  int64_t skipped = 0;
  if (status == COHORT_DONE && completion->text) skipped = join(own, prompt, prompt_length, &made, at, out);
  for (int f = 0; status == COHORT_DONE && out->fields && out->fields[f].name; f++)
    status = take_field(own, f, from, at, &made, skipped, out, error);
  free(made.token);
  if (out->step)
    out->step[at] = made.step;
  else
    free(made.step);
  return status;
}

/* A prompt's tokens, of which the end is kept. */
static int32_t *encode_prompt(const cohort_token_options *options, const char *text, int64_t *length) {
  int32_t *token = cohort_tokenizer_encode(options->tokenizer, text, strlen(text), length);
  const int64_t cut = options->max_prompt && *length > options->max_prompt ? *length - options->max_prompt : 0;
  *length -= cut;
  memmove(token, token + cut, (size_t)*length * sizeof *token);
  return token;
}

/* The sample of which `first` is the first completion, as the next one. */
static cohort_status add_sample(const source *own, int64_t first, int sides, cohort_token_pairs *out,
                                cohort_error *error) {
  const cohort_completions *data = own->data;
  const int64_t sample = first / data->sides, most = most_tokens(own->options) - 1;
  const char *text[2] = {data->prompt[sample], data->prompt_rejected ? data->prompt_rejected[sample] : NULL};
  int64_t length[2] = {0, 0};
  int32_t *prompt[2] = {NULL, NULL};
  for (int k = 0; k < 2; k++)
    if (text[k]) prompt[k] = encode_prompt(own->options, text[k], &length[k]);
  cohort_status status = COHORT_DONE;
  if (own->options->truncation == COHORT_KEEP_START && (length[0] > most || length[1] > most)) {
    out->dropped++;
  } else {
    const int64_t at = out->count++;
    for (int side = 0; side < sides && status == COHORT_DONE; side++) {
      const int k = text[1] && (first + side) % data->sides == 1;
      status = add_sequence(own, prompt[k], length[k], first + side, at * out->sides + side, out, error);
    }
    if (out->desirable) out->desirable[at] = data->desirable ? data->desirable[sample] : first % data->sides == 0;
    if (status == COHORT_DONE) out->alike += all_alike(out, at);
  }
  free(prompt[0]);
  free(prompt[1]);
  return status;
}

/* Completions of a sample that come of one of the file's. */
static int sides_of(const cohort_completions *data, const cohort_token_options *options) {
  return options->apart && data->shape == COHORT_DATA_PREFERENCE ? 1 : data->sides;
}

/* How many samples an epoch has of each file, of which there are `count`. */
static void share_out(int files, const int64_t *count, const double *weight, int64_t *wanted) {
  double most = 0;
  for (int i = 0; i < files; i++)
    if (weight && weight[i] > 0 && (double)count[i] / weight[i] > most) most = (double)count[i] / weight[i];
  for (int i = 0; i < files; i++)
    wanted[i] = !weight || count[i] == 0 ? count[i] : larger(count[i], (int64_t)(weight[i] * most + 0.5));
}

static void make_room(int files, const cohort_completions *data, const cohort_token_options *options, int64_t samples,
                      cohort_token_pairs *out) {
  bool desirable = options->apart, there[COHORT_MAX_FIELDS] = {false};
  for (int i = 0; i < files; i++) {
    desirable = desirable || data[i].desirable;
    for (int64_t c = 0; options->steps && c < data[i].count * data[i].sides; c++)
      out->steps = larger(out->steps, larger(data[i].completion[c].parts, 1));
    for (int f = 0; f < COHORT_MAX_FIELDS; f++) there[f] = there[f] || data[i].field[f].value || data[i].field[f].list;
  }
  const size_t sequences = (size_t)(samples + 1) * (size_t)out->sides;
  out->sequence = cohort_allocate(sequences * sizeof *out->sequence);
  out->length = cohort_allocate(sequences * sizeof *out->length);
  out->prompt = cohort_allocate(sequences * sizeof *out->prompt);
  if (options->steps) out->step = cohort_allocate(sequences * sizeof *out->step);
  if (desirable) out->desirable = cohort_allocate((size_t)(samples + 1) * sizeof *out->desirable);
  for (int f = 0; out->fields && out->fields[f].name; f++) {
    cohort_token_field *field = &out->field[f];
    const cohort_field_owner owner = out->fields[f].owner;
    field->width = owner == COHORT_FIELD_STEP ? larger(out->steps, 1) : 1;
    const size_t count = owner == COHORT_FIELD_SAMPLE ? (size_t)(samples + 1) : sequences * (size_t)field->width;
    if (there[f] && owner == COHORT_FIELD_TOKEN) field->token = cohort_allocate(sequences * sizeof *field->token);
    if (there[f] && owner != COHORT_FIELD_TOKEN) field->value = cohort_allocate(count * sizeof *field->value);
  }
}

/* A sample once more, in the memory of the first. */
static void repeat(int64_t sample, cohort_token_pairs *out) {
  const int64_t at = out->count++;
  const size_t sides = (size_t)out->sides;
  for (size_t k = 0; k < sides; k++) {
    const size_t from = (size_t)sample * sides + k, to = (size_t)at * sides + k;
    out->sequence[to] = out->sequence[from];
    out->length[to] = out->length[from];
    out->prompt[to] = out->prompt[from];
    if (out->step) out->step[to] = out->step[from];
    for (int f = 0; f < COHORT_MAX_FIELDS; f++) {
      cohort_token_field *field = &out->field[f];
      if (field->token) field->token[to] = field->token[from];
      if (field->value && out->fields[f].owner != COHORT_FIELD_SAMPLE)
        memcpy(&field->value[to * (size_t)field->width], &field->value[from * (size_t)field->width],
               (size_t)field->width * sizeof *field->value);
    }
  }
  for (int f = 0; f < COHORT_MAX_FIELDS; f++)
    if (out->field[f].value && out->fields[f].owner == COHORT_FIELD_SAMPLE)
      out->field[f].value[at] = out->field[f].value[sample];
  if (out->desirable) out->desirable[at] = out->desirable[sample];
}

cohort_status cohort_token_pairs_create(int files, const cohort_completions *data, const double *weight,
                                        const cohort_token_options *options, cohort_token_pairs *out,
                                        cohort_error *error) {
  memset(out, 0, sizeof *out);
  int64_t *count = cohort_allocate(2 * (size_t)(files + 1) * sizeof *count), *wanted = count + files + 1, samples = 0;
  for (int i = 0; i < files; i++) {
    const int sides = sides_of(&data[i], options);
    if (sides > out->sides) out->sides = sides;
    count[i] = sides ? data[i].count * data[i].sides / sides : 0;
  }
  share_out(files, count, weight, wanted);
  for (int i = 0; i < files; i++) samples += wanted[i];
  out->fields = files ? data[0].fields : NULL;
  make_room(files, data, options, samples, out);
  cohort_status status = COHORT_DONE;
  for (int i = 0; i < files && status == COHORT_DONE; i++) {
    const source own = {&data[i], options};
    const int sides = sides_of(&data[i], options);
    const int64_t first = out->count;
    for (int64_t c = 0; c < data[i].count * data[i].sides && status == COHORT_DONE; c += sides)
      status = add_sample(&own, c, sides, out, error);
    count[i] = out->count - first;
  }
  out->owned = out->count;
  share_out(files, count, weight, wanted);
  int64_t first = 0;
  for (int i = 0; i < files && status == COHORT_DONE; first += count[i++])
    for (int64_t k = count[i]; k < wanted[i]; k++) repeat(first + k % count[i], out);
  free(count);
  if (status != COHORT_DONE) cohort_token_pairs_release(out);
  return status;
}

void cohort_token_pairs_release(cohort_token_pairs *pairs) {
  const int64_t owned = pairs->sides * (pairs->owned ? pairs->owned : pairs->count);
  for (int64_t i = 0; i < owned; i++) {
    free(pairs->sequence[i]);
    if (pairs->step) free(pairs->step[i]);
  }
  for (int f = 0; f < COHORT_MAX_FIELDS; f++) {
    for (int64_t i = 0; pairs->field[f].token && i < owned; i++) free(pairs->field[f].token[i]);
    free(pairs->field[f].value);
    free(pairs->field[f].token);
  }
  free(pairs->sequence);
  free(pairs->length);
  free(pairs->prompt);
  free(pairs->step);
  free(pairs->desirable);
  memset(pairs, 0, sizeof *pairs);
}
