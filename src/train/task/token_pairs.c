/* Text becomes sequences of tokens. Invariant: what a sample's sequences are does not depend on the others. A prompt is
 * encoded once a sample and stored with each completion; memory grows with the tokens. */
#include "train/task/token_pairs.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"

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

/* A completion's tokens. */
static tokens encode(const cohort_completions *data, const cohort_token_options *options,
                     const cohort_completion *completion) {
  tokens out = {NULL, NULL, 0};
  const bool stepwise = data->shape == COHORT_DATA_STEPWISE;
  for (int k = 0; k < completion->parts; k++) {
    const cohort_span part = completion->part[k];
    append(options->tokenizer, completion->text + part.first, part.end - part.first, k, &out);
    if (stepwise) append(options->tokenizer, "\n", 1, k, &out);
  }
  if (!completion->parts) append(options->tokenizer, completion->text, strlen(completion->text), 0, &out);
  const int end = cohort_tokenizer_end(options->tokenizer);
  if (end < 0 || stepwise) return out;
  out.token[out.count] = end;
  out.step[out.count++] = completion->parts ? completion->parts - 1 : 0;
  return out;
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

/* A field's numbers of completion `from` as those of sequence `at`. */
static cohort_status take_field(const source *own, int f, int64_t from, int64_t at, const tokens *made,
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
  memcpy(field->token[at], list, (size_t)elements * sizeof *list);
  return COHORT_DONE;
}

/* Completion number `from` of the data after its prompt, as sequence number `at`. */
static cohort_status add_sequence(const source *own, const int32_t *prompt, int64_t prompt_length, int64_t from,
                                  int64_t at, cohort_token_pairs *out, cohort_error *error) {
  const cohort_completion *completion = &own->data->completion[from];
  tokens made = {NULL, NULL, 0};
  if (completion->text) made = encode(own->data, own->options, completion);
  for (int f = 0; out->fields && out->fields[f].name; f++) {
    const cohort_status status = take_field(own, f, from, at, &made, out, error);
    if (status == COHORT_DONE) continue;
    free(made.token);
    free(made.step);
    return status;
  }
  out->prompt[at] = (int32_t)prompt_length;
  if (completion->text) {
    const int64_t whole = prompt_length + made.count, most = own->options->context + 1;
    out->sequence[at] = cohort_allocate((size_t)whole * sizeof(int32_t) + 1);
    memcpy(out->sequence[at], prompt, (size_t)prompt_length * sizeof *prompt);
    memcpy(out->sequence[at] + prompt_length, made.token, (size_t)made.count * sizeof *made.token);
    out->length[at] = (int32_t)(whole < most ? whole : most);
    out->longest = larger(out->longest, out->length[at] - 1);
    out->prompts = larger(out->prompts, prompt_length);
    out->completions = larger(out->completions, out->length[at] - prompt_length);
  }
  free(made.token);
  if (out->step)
    out->step[at] = made.step;
  else
    free(made.step);
  return COHORT_DONE;
}

/* The sample of which `first` is the first completion, as the next one. */
static cohort_status add_sample(const source *own, int64_t first, cohort_token_pairs *out, cohort_error *error) {
  const cohort_completions *data = own->data;
  const int64_t sample = first / data->sides;
  const char *text[2] = {data->prompt[sample], data->prompt_rejected ? data->prompt_rejected[sample] : NULL};
  int64_t length[2] = {0, 0};
  int32_t *prompt[2] = {NULL, NULL};
  for (int k = 0; k < 2; k++)
    if (text[k]) prompt[k] = cohort_tokenizer_encode(own->options->tokenizer, text[k], strlen(text[k]), &length[k]);
  cohort_status status = COHORT_DONE;
  if (length[0] > own->options->context || length[1] > own->options->context) {
    out->dropped++;
  } else {
    const int64_t at = out->count++;
    for (int side = 0; side < out->sides && status == COHORT_DONE; side++) {
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

static void make_room(const source *own, cohort_token_pairs *out) {
  const cohort_completions *data = own->data;
  const size_t samples = (size_t)data->count * (out->sides < data->sides ? (size_t)data->sides : 1) + 1;
  const size_t sequences = samples * (size_t)out->sides;
  out->sequence = cohort_allocate(sequences * sizeof *out->sequence);
  out->length = cohort_allocate(sequences * sizeof *out->length);
  out->prompt = cohort_allocate(sequences * sizeof *out->prompt);
  if (own->options->steps) out->step = cohort_allocate(sequences * sizeof *out->step);
  if (data->desirable || own->options->apart) out->desirable = cohort_allocate(samples * sizeof *out->desirable);
  for (int64_t c = 0; own->options->steps && c < data->count * data->sides; c++)
    out->steps = larger(out->steps, larger(data->completion[c].parts, 1));
  for (int f = 0; out->fields && out->fields[f].name; f++) {
    cohort_token_field *field = &out->field[f];
    if (!data->field[f].value && !data->field[f].list) continue;
    const cohort_field_owner owner = out->fields[f].owner;
    field->width = owner == COHORT_FIELD_STEP ? larger(out->steps, 1) : 1;
    const size_t count = owner == COHORT_FIELD_SAMPLE ? samples : sequences * (size_t)field->width;
    if (owner == COHORT_FIELD_TOKEN)
      field->token = cohort_allocate(sequences * sizeof *field->token);
    else
      field->value = cohort_allocate(count * sizeof *field->value);
  }
}

cohort_status cohort_token_pairs_create(const cohort_completions *data, const cohort_token_options *options,
                                        cohort_token_pairs *out, cohort_error *error) {
  memset(out, 0, sizeof *out);
  const source own = {data, options};
  const bool apart = options->apart && data->shape == COHORT_DATA_PREFERENCE;
  out->sides = apart ? 1 : data->sides;
  out->fields = data->fields;
  const cohort_token_options kept = {options->tokenizer, options->context, apart, options->steps};
  make_room(&(source){data, &kept}, out);
  cohort_status status = COHORT_DONE;
  for (int64_t c = 0; c < data->count * data->sides && status == COHORT_DONE; c += out->sides)
    status = add_sample(&own, c, out, error);
  if (status != COHORT_DONE) cohort_token_pairs_release(out);
  return status;
}

void cohort_token_pairs_release(cohort_token_pairs *pairs) {
  for (int64_t i = 0; i < pairs->sides * pairs->count; i++) {
    free(pairs->sequence[i]);
    if (pairs->step) free(pairs->step[i]);
  }
  for (int f = 0; f < COHORT_MAX_FIELDS; f++) {
    for (int64_t i = 0; pairs->field[f].token && i < pairs->sides * pairs->count; i++) free(pairs->field[f].token[i]);
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

typedef struct line {
  const char *text;
  size_t length, middle; /* middle: offset of the space where the second half begins */
} line;

static bool cut_line(const char *text, size_t length, line *out) {
  int words = 1;
  for (size_t i = 0; i < length; i++) words += text[i] == ' ';
  if (words < 6) return false;
  size_t middle = length / 2;
  while (middle < length && text[middle] != ' ') middle++;
  if (middle >= length) return false;
  *out = (line){text, length, middle};
  return true;
}

static char *copy_part(const char *text, size_t length) {
  char *copy = cohort_allocate(length + 1);
  memcpy(copy, text, length);
  return copy;
}

/* The next drawn line after number `i` whose second half is not that of `i`; NULL: there is none. */
static const line *other_ending(const line *lines, int64_t count, cohort_random_key key, int64_t i) {
  const line *own = &lines[cohort_random_permute(key, (uint64_t)count, (uint64_t)i)];
  const size_t length = own->length - own->middle;
  for (int64_t next = 1; next < count; next++) {
    const line *other = &lines[cohort_random_permute(key, (uint64_t)count, (uint64_t)((i + next) % count))];
    if (other->length - other->middle != length || memcmp(own->text + own->middle, other->text + other->middle, length))
      return other;
  }
  return NULL;
}

cohort_status cohort_pairs_from_lines(const char *text, size_t length, int64_t wanted, cohort_random_key key,
                                      cohort_completions *out, cohort_error *error) {
  int64_t capacity = 1;
  for (size_t i = 0; i < length; i++) capacity += text[i] == '\n';
  line *lines = cohort_allocate((size_t)capacity * sizeof *lines);
  int64_t count = 0;
  for (size_t first = 0; first < length;) {
    const char *stop = memchr(text + first, '\n', length - first);
    const size_t own = stop ? (size_t)(stop - text) - first : length - first;
    if (cut_line(text + first, own, &lines[count])) count++;
    first += own + 1;
  }
  if (count < wanted || count < 2) {
    free(lines);
    return cohort_fail(error, COHORT_BAD_DATA, "data.lines: %lld lines of six words or more, but %lld pairs are wanted",
                       (long long)count, (long long)wanted);
  }
  *out = (cohort_completions){.shape = COHORT_DATA_PREFERENCE, .count = wanted, .sides = 2};
  out->prompt = cohort_allocate((size_t)wanted * sizeof *out->prompt);
  out->completion = cohort_allocate(2 * (size_t)wanted * sizeof *out->completion);
  cohort_status status = COHORT_DONE;
  for (int64_t i = 0; i < wanted && status == COHORT_DONE; i++) {
    const line *own = &lines[cohort_random_permute(key, (uint64_t)count, (uint64_t)i)];
    const line *other = other_ending(lines, count, key, i);
    if (!other) {
      status = cohort_fail(error, COHORT_BAD_DATA, "data.lines: all lines end alike, so none can be rejected");
      break;
    }
    out->prompt[i] = copy_part(own->text, own->middle);
    out->completion[2 * i].text = copy_part(own->text + own->middle, own->length - own->middle);
    out->completion[2 * i + 1].text = copy_part(other->text + other->middle, other->length - other->middle);
  }
  out->digest = cohort_digest(text, length, (uint64_t)wanted);
  free(lines);
  if (status != COHORT_DONE) cohort_completions_release(out);
  return status;
}
