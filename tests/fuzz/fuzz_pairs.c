/* Completions: as many samples as there are lines, all valid UTF-8; a refusal names a line that exists. */
#include <jansson.h>

#include "fuzz/fuzz.h"
#include "io/dataset/completions.h"

static int64_t lines_of(const unsigned char *data, size_t length) {
  int64_t lines = 0;
  for (size_t i = 0; i < length; i++) lines += data[i] == '\n' || i + 1 == length;
  return lines;
}

static void check_text(const fuzz_try *at, const char *text) {
  json_t *const again = text ? json_string(text) : NULL;
  fuzz_must(at, again != NULL, "a text is valid UTF-8");
  json_decref(again);
}

static fuzz_end run(const fuzz_try *at, int seed, const unsigned char *data, size_t length, uint64_t *state) {
  (void)seed, (void)state;
  const fuzz_file file = fuzz_file_create(at);
  fuzz_file_set(at, &file, data, length);
  const int64_t lines = lines_of(data, length);
  cohort_completions pairs;
  cohort_error error = {0};
  const cohort_status status = cohort_completions_read(file.path, NULL, &pairs, &error);
  (void)close(file.descriptor);
  if (status != COHORT_DONE) {
    fuzz_must(at, pairs.count == 0 && !pairs.prompt, "nothing is given out when refused");
    fuzz_refusal(at, status, COHORT_BAD_DATA, &error, file.path);
    const long long line = strtoll(error.text + strlen(file.path) + 1, NULL, 10);
    fuzz_must(at, lines == 0 ? line == 0 : line >= 1 && line <= lines, "a refusal names the line");
    return FUZZ_REFUSED;
  }
  fuzz_must(at, pairs.count == lines, "every line is a sample");
  for (int64_t i = 0; i < pairs.count; i++) {
    check_text(at, pairs.prompt[i]);
  }
  for (int64_t c = 0; c < pairs.count * pairs.sides; c++) {
    const cohort_completion *own = &pairs.completion[c];
    if (own->text) check_text(at, own->text);
    for (int k = 0; k < own->parts; k++)
      fuzz_must(at, own->part[k].first < own->part[k].end && own->part[k].end <= strlen(own->text), "steps are parts");
  }
  cohort_completions_release(&pairs);
  return FUZZ_READ;
}

int main(int count, char **word) {
  static const char plain[] =
      "{\"prompt\": \"And he\", \"chosen\": \" said\", \"rejected\": \" sat\"}\n"
      "{\"rejected\": \"\", \"chosen\": \"\\u00e4\\ud83d\\ude00\\n\", \"prompt\": \"\xc3\xa4\xf0\x9f\x98\x80\", "
      "\"id\": [1, {}]}\n"
      "{\"prompt\":\"q\",\"chosen\":\"\\\"\\\\\",\"rejected\":\"r\"}";
  static const char one[] = "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\",\"score\":-1.5e3,\"kept\":true}\r\n";
  static const char alone[] =
      "{\"prompt\":\"a\",\"completion\":\"b\",\"label\":true}\n{\"label\":false,\"prompt\":\"a\",\"completion\":\"c\"}";
  static const char implicit[] =
      "{\"chosen\":\"a b\",\"rejected\":\"a c\"}\n{\"chosen\":\"\u00e4 b\",\"rejected\":\"\u00e4 c\"}";
  static const char lists[] =
      "{\"prompt\":\"a\",\"completions\":[\"b\",\"c\"],\"scores\":[1,2]}\n"
      "{\"prompt\":\"a\",\"completions\":[\"b\",\"c\",\"d\"],\"scores\":[1,2,-0.5]}";
  static const char steps[] =
      "{\"prompt\":\"a\",\"completions\":[\"b\",\"c\"],\"labels\":[true,false]}\n"
      "{\"prompt\":\"a\",\"completions\":[\"b\"],\"labels\":[true]}";
  static const fuzz_seed seeds[] = {{plain, sizeof plain - 1}, {one, sizeof one - 1},
                                    {alone, sizeof alone - 1}, {implicit, sizeof implicit - 1},
                                    {lists, sizeof lists - 1}, {steps, sizeof steps - 1}};
  const fuzz_reader reader = {"fuzz_pairs", "\n\"\\{}[]:,udD0 \r\t\x80\xc3\xed\xf4", 6, seeds, run};
  return fuzz_main(count, word, &reader);
}
