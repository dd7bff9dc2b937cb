/* Text becomes sequences of tokens. Invariant: what a sample's sequences are does not depend on the others. A prompt is
 * encoded once a sample and stored with each completion; memory grows with the tokens. */
#include "train/task/token_pairs.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static int32_t *join(const int32_t *prompt, int64_t prompt_length, const int32_t *completion, int64_t completion_length,
                     int end, int64_t most, int32_t *length) {
  const int64_t whole = prompt_length + completion_length + (end >= 0);
  int32_t *tokens = cohort_allocate((size_t)whole * sizeof *tokens + 1);
  memcpy(tokens, prompt, (size_t)prompt_length * sizeof *tokens);
  memcpy(tokens + prompt_length, completion, (size_t)completion_length * sizeof *tokens);
  if (end >= 0) tokens[whole - 1] = end;
  *length = (int32_t)(whole < most ? whole : most);
  return tokens;
}

static bool same_tokens(const cohort_token_pairs *pairs, int64_t pair) {
  const int32_t chosen = pairs->length[2 * pair], rejected = pairs->length[2 * pair + 1];
  return chosen == rejected &&
         memcmp(pairs->sequence[2 * pair], pairs->sequence[2 * pair + 1], (size_t)chosen * sizeof(int32_t)) == 0;
}

/* What stands at a place: a prompt's tokens and how its completions are cut. */
typedef struct opening {
  const cohort_tokenizer *tokenizer;
  int64_t context, length;
  int32_t *prompt;
} opening;

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* The next sample: its completions after the prompt. */
static void add_sample(const opening *from, const char *const *completion, cohort_token_pairs *out) {
  const int64_t at = out->count++;
  const int end = cohort_tokenizer_end(from->tokenizer);
  out->prompt[at] = (int32_t)from->length;
  for (int side = 0; side < out->sides; side++) {
    int64_t length = 0;
    int32_t *tokens = cohort_tokenizer_encode(from->tokenizer, completion[side], strlen(completion[side]), &length);
    int32_t *whole = &out->length[out->sides * at + side];
    out->sequence[out->sides * at + side] =
        join(from->prompt, from->length, tokens, length, end, from->context + 1, whole);
    out->longest = larger(out->longest, *whole - 1);
    out->completions = larger(out->completions, *whole - from->length);
    free(tokens);
  }
  out->prompts = larger(out->prompts, from->length);
  if (out->sides == 2) out->alike += same_tokens(out, at);
}

void cohort_token_pairs_create(const cohort_pairs *pairs, const cohort_tokenizer *tokenizer, int64_t context,
                               bool apart, cohort_token_pairs *out) {
  memset(out, 0, sizeof *out);
  const size_t sequences = 2 * (size_t)(pairs->count + 1);
  const bool labelled = pairs->desirable != NULL;
  out->sides = apart || labelled ? 1 : 2;
  out->sequence = cohort_allocate(sequences * sizeof *out->sequence);
  out->length = cohort_allocate(sequences * sizeof *out->length);
  out->prompt = cohort_allocate(sequences * sizeof *out->prompt);
  if (out->sides == 1) out->desirable = cohort_allocate(sequences * sizeof *out->desirable);
  if (out->sides == 2 && pairs->margin) out->margin = cohort_allocate(sequences * sizeof *out->margin);
  opening from = {.tokenizer = tokenizer, .context = context};
  for (int64_t i = 0; i < pairs->count; i++) {
    const char *const completion[2] = {pairs->chosen[i], labelled ? NULL : pairs->rejected[i]};
    from.prompt = cohort_tokenizer_encode(tokenizer, pairs->prompt[i], strlen(pairs->prompt[i]), &from.length);
    const int samples = out->sides == 1 && !labelled ? 2 : 1;
    for (int k = 0; k < samples; k++) {
      if (from.length > context) {
        out->dropped++;
        continue;
      }
      if (out->desirable) out->desirable[out->count] = labelled ? pairs->desirable[i] : k == 0;
      if (out->margin) out->margin[out->count] = pairs->margin[i];
      add_sample(&from, &completion[k], out);
    }
    free(from.prompt);
  }
}

void cohort_token_pairs_release(cohort_token_pairs *pairs) {
  for (int64_t i = 0; i < pairs->sides * pairs->count; i++) free(pairs->sequence[i]);
  free(pairs->sequence);
  free(pairs->length);
  free(pairs->prompt);
  free(pairs->desirable);
  free(pairs->margin);
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
                                      cohort_pairs *out, cohort_error *error) {
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
  *out = (cohort_pairs){.count = wanted};
  out->prompt = cohort_allocate((size_t)wanted * sizeof *out->prompt);
  out->chosen = cohort_allocate((size_t)wanted * sizeof *out->chosen);
  out->rejected = cohort_allocate((size_t)wanted * sizeof *out->rejected);
  cohort_status status = COHORT_DONE;
  for (int64_t i = 0; i < wanted && status == COHORT_DONE; i++) {
    const line *own = &lines[cohort_random_permute(key, (uint64_t)count, (uint64_t)i)];
    const line *other = other_ending(lines, count, key, i);
    if (!other) {
      status = cohort_fail(error, COHORT_BAD_DATA, "data.lines: all lines end alike, so none can be rejected");
      break;
    }
    out->prompt[i] = copy_part(own->text, own->middle);
    out->chosen[i] = copy_part(own->text + own->middle, own->length - own->middle);
    out->rejected[i] = copy_part(other->text + other->middle, other->length - other->middle);
  }
  out->digest = cohort_digest(text, length, (uint64_t)wanted);
  free(lines);
  if (status != COHORT_DONE) cohort_pairs_release(out);
  return status;
}
