/* Files of the form tokenizer.json, mutated: one that is read encodes and decodes any bytes within its vocabulary, and
 * is written as it was. */
#include "fuzz/fuzz.h"
#include "io/tokenizer/tokenizer.h"

static void check_text(const fuzz_try *at, const cohort_tokenizer *own, uint64_t *state) {
  enum { LONGEST = 200 };
  static const char letters[] = "ab c1<>s/\xc3\xa9\xe2\x96\x81\n";
  char text[LONGEST];
  const size_t length = mutate_random(state) % LONGEST;
  const bool any = mutate_random(state) % 2;
  for (size_t i = 0; i < length; i++)
    text[i] = (char)(any ? mutate_random(state) : (uint64_t)letters[mutate_random(state) % (sizeof letters - 1)]);
  int64_t count = 0;
  size_t made = 0;
  int32_t *const ids = cohort_tokenizer_encode_as(own, (unsigned)mutate_random(state) % 4, text, length, &count);
  char *const back = cohort_tokenizer_decode_all(own, ids, count, &made);
  fuzz_must(at, back[made] == '\0', "a decoded text ends with a NUL");
  free(back);
  free(cohort_tokenizer_decode(own, ids, count, &made));
  free(ids);
  for (int id = -1; id <= cohort_tokenizer_vocabulary(own); id += 1 + id / 64) {
    const char *const token = cohort_tokenizer_token(own, id, &made);
    fuzz_must(at, !token || token[made] == '\0', "a token's text ends with a NUL");
  }
}

static void check_copy(const fuzz_try *at, const cohort_tokenizer *own, const unsigned char *data, size_t length) {
  char path[] = "/tmp/fuzz_tokenizer_json_XXXXXX";
  cohort_error error;
  const int descriptor = mkstemp(path);
  fuzz_must(at, descriptor >= 0, "a temporary file");
  (void)close(descriptor);
  fuzz_must(at, cohort_tokenizer_write(own, path, &error) == COHORT_DONE, "a tokenizer is written");
  FILE *const file = fopen(path, "rb");
  fuzz_must(at, file != NULL, "what was written is there");
  for (size_t i = 0; i < length; i++) fuzz_must(at, fgetc(file) == data[i], "a tokenizer.json is written as it was");
  fuzz_must(at, fgetc(file) == EOF, "a tokenizer.json is written as it was, and no more");
  (void)fclose(file);
  (void)unlink(path);
}

static fuzz_end run(const fuzz_try *at, int seed, const unsigned char *data, size_t length, uint64_t *state) {
  (void)seed;
  const fuzz_file file = fuzz_file_create(at);
  fuzz_file_set(at, &file, data, length);
  cohort_tokenizer *own = NULL;
  cohort_error error = {0};
  const cohort_status status = cohort_tokenizer_read(file.path, &own, &error);
  (void)close(file.descriptor);
  if (status != COHORT_DONE) {
    fuzz_must(at, !own, "nothing is given out when refused");
    fuzz_refusal(at, status, COHORT_BAD_DATA, &error, file.path);
    return FUZZ_REFUSED;
  }
  const bool own_form = !memmem(data, length, "\"model\"", 7); /* then it is one of Cohort's own */
  check_text(at, own, state);
  if (!own_form && mutate_random(state) % 16 == 0) check_copy(at, own, data, length); /* a write waits for the disk */
  cohort_tokenizer_destroy(own);
  return FUZZ_READ;
}

int main(int count, char **word) {
  static const char byte_level[] =
      "{\"added_tokens\":[{\"id\":9,\"content\":\"<s>\",\"special\":true,\"lstrip\":true,\"rstrip\":true}],"
      "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Lowercase\"}]},"
      "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":true},"
      "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{L}+|\\\\s+(?!\\\\S)\"},\"behavior\":\"Isolated\",\"invert\":"
      "false},"
      "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"use_regex\":false}]},"
      "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,"
      "\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"\\u0120\":3,\"ab\":4,\"\\u0120ab\":5,\"abc\":6,\"1\":7,\"\\u00c3\":8},"
      "\"merges\":[\"a b\",[\"\\u0120\",\"ab\"],\"ab c\"]}}";
  static const char sentences[] =
      "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"special\":true,\"normalized\":true,\"single_word\":true}],"
      "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"_\"},{\"type\":"
      "\"Strip\"},"
      "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]},"
      "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":\"first\",\"split\":"
      "true},"
      "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<unk>\"}},"
      "{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{\"<unk>\":{\"ids\":[0]}}},"
      "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\\u2581\"},"
      "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" "
      "\",\"start\":1,"
      "\"stop\":0}]},\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"byte_fallback\":true,"
      "\"vocab\":{\"<unk>\":0,\"<0x0A>\":1,\"<0xC3>\":2,\"<0xA9>\":3,\"\\u2581\":4,\"a\":5,\"b\":6,\"ab\":7,"
      "\"\\u2581ab\":8,"
      "\"aa\":9,\"\\u0000\":10},\"merges\":[[\"a\",\"b\"],[\"\\u2581\",\"ab\"],[\"a\",\"a\"]]}}";
  static const char words[] =
      "{\"normalizer\":{\"type\":\"NFKD\"},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
      "\"Whitespace\"},"
      "{\"type\":\"Punctuation\",\"behavior\":\"MergedWithNext\"},{\"type\":\"FixedLength\",\"length\":3}]},"
      "\"decoder\":{\"type\":\"BPEDecoder\",\"suffix\":\"</"
      "w>\"},\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\","
      "\"vocab\":{\"a\":0,\"b\":1,\"b</w>\":2,\"ab</w>\":3,\"c</w>\":4},\"merges\":[\"a b</w>\"]}}";
  static const fuzz_seed seeds[] = {
      {byte_level, sizeof byte_level - 1}, {sentences, sizeof sentences - 1}, {words, sizeof words - 1}};
  const fuzz_reader reader = {"fuzz_tokenizer_json", "[]{},:\"0123456789\\u.+*?()", 3, seeds, run};
  return fuzz_main(count, word, &reader);
}
