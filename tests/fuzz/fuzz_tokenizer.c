/* Tokenizer files, mutated and made of random merges: one that is read gives any bytes back, and is written back equal.
 */
#include "fuzz/fuzz.h"
#include "io/tokenizer/tokenizer.h"
#include "io/tokenizer/tokenizer_own.h"

enum { MUTATED, MADE = 2 };

static void check_round_trip(const fuzz_try *at, const cohort_tokenizer *own, const char *text, size_t length) {
  int64_t tokens = 0;
  size_t back_length = 0;
  int32_t *const token = cohort_tokenizer_encode(own, text, length, &tokens);
  for (int64_t i = 0; i < tokens; i++)
    fuzz_must(at, token[i] >= 0 && token[i] < cohort_tokenizer_vocabulary(own) && token[i] != cohort_tokenizer_end(own),
              "a text's tokens are of the vocabulary, without the end");
  char *const back = cohort_tokenizer_decode(own, token, tokens, &back_length);
  fuzz_must(at, back_length == length && memcmp(back, text, length) == 0 && back[length] == '\0',
            "the tokens of a text are the text");
  free(back);
  free(token);
}

static void check_tokenizer(const fuzz_try *at, const cohort_tokenizer *own, uint64_t *state) {
  enum { LONGEST = 300 };
  const int end = cohort_tokenizer_end(own);
  fuzz_must(at, cohort_tokenizer_vocabulary(own) > 256 && end == cohort_tokenizer_vocabulary(own) - 1,
            "the end is last");
  for (int32_t id = 0; id <= end; id++) {
    size_t bytes = 0;
    free(cohort_tokenizer_decode(own, &id, 1, &bytes));
    fuzz_must(at, id == end ? bytes == 0 : bytes >= 1 && bytes <= COHORT_LONGEST_WORD,
              "tokens have a text of some bytes");
  }
  char text[LONGEST];
  const size_t length = mutate_random(state) % LONGEST;
  const unsigned few = mutate_random(state) % 2 ? 4 : 256; /* letters that merges know, or any bytes */
  for (size_t i = 0; i < length; i++)
    text[i] = (char)(few == 4 ? 'a' + mutate_random(state) % few : mutate_random(state));
  check_round_trip(at, own, text, length);
}

static void check_copy(const fuzz_try *at, const cohort_tokenizer *own, uint64_t *state) {
  char path[] = "/tmp/fuzz_tokenizer_XXXXXX";
  cohort_tokenizer *again = NULL;
  cohort_error error;
  if (mutate_random(state) % 16) return; /* a write waits for the disk */
  const int descriptor = mkstemp(path);
  fuzz_must(at, descriptor >= 0, "a temporary file");
  (void)close(descriptor);
  fuzz_must(at, cohort_tokenizer_write(own, path, &error) == COHORT_DONE, "a tokenizer is written");
  fuzz_must(at, cohort_tokenizer_read(path, &again, &error) == COHORT_DONE, "a tokenizer written is read");
  fuzz_must(at, cohort_tokenizer_digest(again) == cohort_tokenizer_digest(own), "a tokenizer written reads back equal");
  cohort_tokenizer_destroy(again);
  (void)unlink(path);
}

/* A file of random merges, mostly of young tokens, so that lengths double; now and then not allowed. Its length. */
static size_t make_file(uint64_t *state, char *text, size_t room) {
  const int merges = (int)(mutate_random(state) % 40);
  size_t length = (size_t)snprintf(text, room, "{\"kind\":\"byte_bpe\",\"vocabulary\":%d,\"merges\":[", 257 + merges);
  for (int i = 0; i < merges; i++) {
    int id[2];
    for (int side = 0; side < 2; side++) {
      const int young = 256 + i - 1 - (int)(mutate_random(state) % 4);
      id[side] = i && young >= 256 && mutate_random(state) % 3 ? young : 'a' + (int)(mutate_random(state) % 4);
      if (mutate_random(state) % 400 == 0) id[side] = 256 + i - 1 + (int)(mutate_random(state) % 3);
    }
    length += (size_t)snprintf(text + length, room - length, "%s[%d,%d]", i ? "," : "", id[0], id[1]);
  }
  return length + (size_t)snprintf(text + length, room - length, "]}");
}

static fuzz_end run(const fuzz_try *at, int seed, const unsigned char *data, size_t length, uint64_t *state) {
  char made[2048];
  const size_t made_length = seed == MADE ? make_file(state, made, sizeof made) : 0;
  const fuzz_file file = fuzz_file_create(at);
  fuzz_file_set(at, &file, seed == MADE ? (const void *)made : data, seed == MADE ? made_length : length);
  cohort_tokenizer *own = NULL;
  cohort_error error = {0};
  const cohort_status status = cohort_tokenizer_read(file.path, &own, &error);
  (void)close(file.descriptor);
  if (status != COHORT_DONE) {
    fuzz_must(at, !own, "nothing is given out when refused");
    fuzz_refusal(at, status, COHORT_BAD_DATA, &error, file.path);
    return FUZZ_REFUSED;
  }
  check_tokenizer(at, own, state);
  check_copy(at, own, state);
  cohort_tokenizer_destroy(own);
  return FUZZ_READ;
}

int main(int count, char **word) {
  static const char packed[] =
      "{\"kind\":\"byte_bpe\",\"vocabulary\":263,\"merges\":[[97,98],[256,256],[257,99],[32,258],[97,97],[260,257]]}";
  static const char loose[] =
      "{\n \"vocabulary\": 259,\n \"merges\": [ [ 97, 98 ],\n  [ 256, 99 ] ],\n \"kind\": \"byte_bpe\"\n}\n";
  static const fuzz_seed seeds[] = {
      [MUTATED] = {packed, sizeof packed - 1}, {loose, sizeof loose - 1}, [MADE] = {packed, sizeof packed - 1}};
  const fuzz_reader reader = {"fuzz_tokenizer", "[]{},:\"0123456789-.e \\\n", 3, seeds, run};
  return fuzz_main(count, word, &reader);
}
