#include <jansson.h>
#include <stdbool.h>

#include "io/tokenizer/tokenizer.h"
#include "io/tokenizer/tokenizer_own.h"
#include "scratch.h"

static const char verse[] =
    "In the beginning God created the heaven and the earth.\n\nAnd the earth was without form, and void; and darkness "
    "was upon the face of the deep. And the Spirit of God moved upon the face of the waters. And God said, Let there "
    "be light: and there was light. It's 1611, they'll say; \xc3\xa4\xc3\xb6 \xe2\x82\xac 12  \t x\n";

static cohort_tokenizer *train(const char *text, size_t length, int vocabulary) {
  cohort_tokenizer *out = NULL;
  cohort_error error = {0};
  const cohort_status status = cohort_tokenizer_train(text, length, vocabulary, NULL, NULL, &out, &error);
  if (status != COHORT_DONE) printf("    %s\n", error.text);
  CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
  return out;
}

static bool round_trip(const cohort_tokenizer *own, const char *text, size_t length) {
  int64_t count = -1;
  size_t back_length = 0;
  int32_t *const tokens = cohort_tokenizer_encode(own, text, length, &count);
  char *const back = cohort_tokenizer_decode(own, tokens, count, &back_length);
  const bool same = back_length == length && memcmp(back, text, length) == 0 && back[length] == '\0';
  free(tokens);
  free(back);
  return same;
}

static void bytes_are_their_own_tokens(void) {
  cohort_tokenizer *const own = cohort_tokenizer_bytes();
  CU_ASSERT_EQUAL(cohort_tokenizer_vocabulary(own), 256);
  CU_ASSERT_EQUAL(cohort_tokenizer_end(own), -1);
  char text[1024];
  for (int i = 0; i < 1024; i++) text[i] = (char)(7 * i);
  int64_t count = 0;
  int32_t *const tokens = cohort_tokenizer_encode(own, text, sizeof text, &count);
  CU_ASSERT_EQUAL_FATAL(count, 1024);
  for (int i = 0; i < 1024; i++) CU_ASSERT_EQUAL(tokens[i], (7 * i) % 256);
  free(tokens);
  CU_ASSERT_TRUE(round_trip(own, text, sizeof text));
  CU_ASSERT_TRUE(round_trip(own, text, 0));
  cohort_tokenizer_destroy(own);
  cohort_tokenizer_destroy(NULL);
}

typedef struct cut {
  char text[4096];
  size_t length, words, longest;
} cut;

static void take_word(void *argument, const char *word, size_t length) {
  cut *const own = argument;
  if (own->length + length + 2 < sizeof own->text) {
    memcpy(own->text + own->length, word, length);
    own->text[own->length + length] = '|';
  }
  own->length += length + 1;
  own->words++;
  if (length > own->longest) own->longest = length;
}

/* The words of Cohort's own tokenizers. */
static void cut_words(const char *text, size_t length, cohort_piece_visitor visit, void *argument) {
  cohort_pattern_scratch *const scratch = cohort_pattern_scratch_create();
  cohort_step_list words = {.count = 0};
  cohort_tokenizer_own_words(&words);
  cohort_steps_cut(&words, scratch, true, text, length, true, visit, argument);
  cohort_steps_release(&words);
  cohort_pattern_scratch_destroy(scratch);
}

static void cut_as(const char *text, const char *wanted) {
  cut own = {0};
  cut_words(text, strlen(text), take_word, &own);
  if (strcmp(own.text, wanted) != 0) printf("    %s\n", own.text);
  CU_ASSERT_STRING_EQUAL(own.text, wanted);
}

static void words_are_those_of_gpt2(void) {
  cut_as("", "");
  cut_as("Hello world's  fine, 123\n\n x", "Hello| world|'s| | fine|,| 123|\n\n| x|");
  cut_as("they'll I'd we've you're it'S", "they|'ll| I|'d| we|'ve| you|'re| it|'|S|");
  cut_as("a1b22 .5!? --\t\tz", "a|1|b|22| .|5|!?| --|\t|\t|z|");
  cut_as("end  \n", "end|  \n|");
  cut_as("\xc3\xa4\xc3\x9f\xe6\x97\xa5 \xd9\xa3\xc2\xb2_\xe2\x82\xac",
         "\xc3\xa4\xc3\x9f\xe6\x97\xa5| \xd9\xa3\xc2\xb2|_\xe2\x82\xac|");
  cut_as(
      "ab\xff\xfe"
      "c \xc3",
      "ab|\xff\xfe|c| |\xc3|");
}

static void long_words_are_cut(void) {
  enum { LENGTH = 3 * COHORT_LONGEST_WORD + 5 };
  char text[LENGTH];
  const unsigned char letters[] = {'a', ' ', '!', 0, 0xFF, 0xC3};
  for (size_t i = 0; i < sizeof letters; i++) {
    memset(text, letters[i], sizeof text);
    cut own = {0};
    cut_words(text, sizeof text, take_word, &own);
    CU_ASSERT_EQUAL(own.length - own.words, sizeof text);
    CU_ASSERT_EQUAL(own.longest, COHORT_LONGEST_WORD);
    CU_ASSERT_EQUAL(own.words, 4);
  }
}

/* The pairs are (' ', c) 2, (a, b) 2, (c, d) 2, (' ', a) 1: the ties go by ids. */
static void ties_go_by_the_smaller_ids(void) {
  static const char text[] = "ab ab cd cd";
  cohort_tokenizer *const own = train(text, sizeof text - 1, 260);
  CU_ASSERT_EQUAL(cohort_tokenizer_vocabulary(own), 260);
  CU_ASSERT_EQUAL(cohort_tokenizer_end(own), 259);
  const char *const wanted[] = {" c", "ab", " cd", ""};
  for (int32_t id = 256; id < 260; id++) {
    size_t length = 9;
    char *const word = cohort_tokenizer_decode(own, &id, 1, &length);
    CU_ASSERT_STRING_EQUAL(word, wanted[id - 256]);
    CU_ASSERT_EQUAL(length, strlen(wanted[id - 256]));
    free(word);
  }
  int64_t count = 0;
  int32_t *const tokens = cohort_tokenizer_encode(own, text, sizeof text - 1, &count);
  const int32_t ids[] = {257, ' ', 257, 258, 258};
  CU_ASSERT_EQUAL_FATAL(count, 5);
  for (int i = 0; i < 5; i++) CU_ASSERT_EQUAL(tokens[i], ids[i]);
  free(tokens);
  cohort_tokenizer_destroy(own);
}

static void small_texts_are_refused(void) {
  static const char text[] = "ab ab cd cd";
  cohort_tokenizer *out = NULL;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_tokenizer_train(text, sizeof text - 1, 261, NULL, NULL, &out, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NULL(out);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "only 260 tokens instead of 261"));
  CU_ASSERT_EQUAL(cohort_tokenizer_train("", 0, 258, NULL, NULL, &out, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NULL(out);
  cohort_tokenizer *const none = train("", 0, 257);
  CU_ASSERT_TRUE(round_trip(none, verse, sizeof verse - 1));
  cohort_tokenizer_destroy(none);
}

/* The definition, slowly: every pair of every word counted again for every merge. */
typedef struct spelled {
  int32_t symbol[COHORT_LONGEST_WORD];
  size_t count;
} spelled;

typedef struct text_words {
  spelled word[1500];
  size_t count;
} text_words;

static void spell(void *argument, const char *word, size_t length) {
  text_words *const own = argument;
  CU_ASSERT_TRUE_FATAL(own->count < sizeof own->word / sizeof *own->word);
  spelled *const to = &own->word[own->count++];
  to->count = length;
  for (size_t i = 0; i < length; i++) to->symbol[i] = (unsigned char)word[i];
}

static text_words *spell_all(const char *text, size_t length) {
  text_words *const own = cohort_allocate(sizeof *own);
  cut_words(text, length, spell, own);
  return own;
}

static int occurrences(const text_words *own, int32_t left, int32_t right) {
  int found = 0;
  for (size_t w = 0; w < own->count; w++)
    for (size_t i = 0; i + 1 < own->word[w].count; i++)
      found += own->word[w].symbol[i] == left && own->word[w].symbol[i + 1] == right;
  return found;
}

static void most_frequent(const text_words *own, int32_t pair[2]) {
  int best = 0;
  for (size_t w = 0; w < own->count; w++)
    for (size_t i = 0; i + 1 < own->word[w].count; i++) {
      const int32_t left = own->word[w].symbol[i], right = own->word[w].symbol[i + 1];
      const int found = occurrences(own, left, right);
      const bool first = left < pair[0] || (left == pair[0] && right < pair[1]);
      if (found < best || (found == best && !first)) continue;
      best = found;
      pair[0] = left;
      pair[1] = right;
    }
}

static void join(text_words *own, const int32_t pair[2], int32_t id) {
  for (size_t w = 0; w < own->count; w++) {
    spelled *const word = &own->word[w];
    size_t kept = 0;
    for (size_t i = 0; i < word->count; kept++) {
      const bool both = i + 1 < word->count && word->symbol[i] == pair[0] && word->symbol[i + 1] == pair[1];
      word->symbol[kept] = both ? id : word->symbol[i];
      i += both ? 2 : 1;
    }
    word->count = kept;
  }
}

static void same_as_definition(const char *text, size_t length, int merges) {
  cohort_tokenizer *const own = train(text, length, 257 + merges);
  char *const directory = scratch_create();
  char *const path = cohort_format_text("%s/t.json", directory);
  CU_ASSERT_EQUAL_FATAL(cohort_tokenizer_write(own, path, NULL), COHORT_DONE);
  json_t *const root = json_load_file(path, 0, NULL), *const listed = json_object_get(root, "merges");
  CU_ASSERT_EQUAL_FATAL(json_array_size(listed), (size_t)merges);
  text_words *const words = spell_all(text, length);
  for (int i = 0; i < merges; i++) {
    int32_t pair[2] = {0, 0};
    const json_t *const merge = json_array_get(listed, (size_t)i);
    most_frequent(words, pair);
    CU_ASSERT_EQUAL_FATAL(json_integer_value(json_array_get(merge, 0)), pair[0]);
    CU_ASSERT_EQUAL_FATAL(json_integer_value(json_array_get(merge, 1)), pair[1]);
    join(words, pair, 256 + i);
  }
  /* Merges one by one over the whole text are what encoding gives. */
  int64_t count = 0, at = 0;
  int32_t *const tokens = cohort_tokenizer_encode(own, text, length, &count);
  for (size_t w = 0; w < words->count; w++)
    for (size_t i = 0; i < words->word[w].count; i++, at++)
      CU_ASSERT_TRUE(at < count && tokens[at] == words->word[w].symbol[i]);
  CU_ASSERT_EQUAL(at, count);
  CU_ASSERT_TRUE(count < (int64_t)length);
  free(tokens);
  free(words);
  json_decref(root);
  free(path);
  scratch_remove(directory);
  cohort_tokenizer_destroy(own);
}

static void training_is_the_definition(void) {
  same_as_definition(verse, sizeof verse - 1, 44);
  uint64_t state = 5;
  char text[1500];
  for (int round = 0; round < 3; round++) {
    /* Few letters: many overlapping pairs like aaa and many ties. */
    for (size_t i = 0; i < sizeof text; i++) text[i] = "aab \xff"[mutate_random(&state) % (round == 2 ? 5 : 4)];
    same_as_definition(text, sizeof text, 40);
  }
}

static char *file_of(const cohort_tokenizer *own, const char *directory, const char *name, size_t *length) {
  char *const path = cohort_format_text("%s/%s", directory, name);
  CU_ASSERT_EQUAL_FATAL(cohort_tokenizer_write(own, path, NULL), COHORT_DONE);
  char *const text = scratch_read(path, length);
  free(path);
  return text;
}

static void training_is_deterministic(void) {
  char *const directory = scratch_create();
  cohort_tokenizer *const a = train(verse, sizeof verse - 1, 280), *const b = train(verse, sizeof verse - 1, 280);
  cohort_tokenizer *const other = train(verse + 56, sizeof verse - 57, 280), *const more =
                                                                                 train(verse, sizeof verse - 1, 281);
  CU_ASSERT_EQUAL(cohort_tokenizer_digest(a), cohort_tokenizer_digest(b));
  CU_ASSERT_NOT_EQUAL(cohort_tokenizer_digest(a), cohort_tokenizer_digest(other));
  CU_ASSERT_NOT_EQUAL(cohort_tokenizer_digest(a), cohort_tokenizer_digest(more));
  size_t length_a = 0, length_b = 0;
  char *const text_a = file_of(a, directory, "a", &length_a), *const text_b = file_of(b, directory, "b", &length_b);
  CU_ASSERT_EQUAL(length_a, length_b);
  CU_ASSERT_EQUAL(memcmp(text_a, text_b, length_a), 0);
  free(text_a);
  free(text_b);
  cohort_tokenizer_destroy(a);
  cohort_tokenizer_destroy(b);
  cohort_tokenizer_destroy(other);
  cohort_tokenizer_destroy(more);
  scratch_remove(directory);
}

/* One code point in UTF-8; its length. */
static size_t put_code(char *to, uint32_t code) {
  if (code < 0x80) {
    to[0] = (char)code;
    return 1;
  }
  const size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = length - 1; i > 0; i--, code >>= 6) to[i] = (char)(0x80 | (code & 0x3F));
  to[0] = (char)((0xF00 >> length & 0xFF & ~(0xFF >> length)) | (int)code);
  return length;
}

static void any_bytes_come_back(void) {
  cohort_tokenizer *const own = train(verse, sizeof verse - 1, 300);
  uint64_t state = 11;
  char text[2000];
  for (int round = 0; round < 300; round++) {
    const size_t wanted = mutate_random(&state) % (sizeof text - 4);
    size_t length = 0;
    while (length < wanted) {
      const uint64_t draw = mutate_random(&state);
      uint32_t code = (uint32_t)(draw >> 8) % (round % 3 == 1 ? 0x300 : 0x110000);
      if (code >= 0xD800 && code < 0xE000) code = ' ';
      if (round % 3 == 0)
        text[length++] = (char)draw;
      else
        length += put_code(text + length, code);
    }
    CU_ASSERT_TRUE(round_trip(own, text, length));
    size_t mutated_length = 0;
    unsigned char *const mutated = mutate(&state, verse, sizeof verse - 1, "\xff\xc3 \n'", &mutated_length);
    CU_ASSERT_TRUE(round_trip(own, (const char *)mutated, mutated_length));
    free(mutated);
  }
  CU_ASSERT_TRUE(round_trip(own, verse, sizeof verse)); /* with its NUL */
  cohort_tokenizer_destroy(own);
}

static void any_tokens_are_a_text(void) {
  cohort_tokenizer *const own = train(verse, sizeof verse - 1, 300);
  uint64_t state = 12;
  int32_t tokens[200], with_strangers[600];
  for (int round = 0; round < 100; round++) {
    int64_t strange = 0;
    for (int i = 0; i < 200; i++) {
      tokens[i] = (int32_t)(mutate_random(&state) % 299);
      with_strangers[strange++] = tokens[i];
      if (i % 3 == 0) with_strangers[strange++] = (int32_t[]){-1, 299, 300, INT32_MAX, INT32_MIN}[i / 3 % 5];
    }
    size_t length = 0, strange_length = 0;
    char *const text = cohort_tokenizer_decode(own, tokens, 200, &length);
    char *const same = cohort_tokenizer_decode(own, with_strangers, strange, &strange_length);
    CU_ASSERT_TRUE(length >= 200);
    CU_ASSERT_TRUE(length == strange_length && memcmp(text, same, length) == 0);
    CU_ASSERT_TRUE(round_trip(own, text, length));
    free(text);
    free(same);
  }
  cohort_tokenizer_destroy(own);
}

static void long_texts_take_no_square_of_time(void) {
  const size_t length = 1 << 20;
  char *const text = cohort_allocate(length);
  memset(text, 'a', length);
  cohort_tokenizer *const own = train(text, length, 266); /* aa, aaaa, ... 512 times a */
  int64_t count = 0;
  free(cohort_tokenizer_encode(own, text, length, &count));
  CU_ASSERT_EQUAL(count, (int64_t)length / COHORT_LONGEST_WORD);
  CU_ASSERT_TRUE(round_trip(own, text, length));
  memset(text, ' ', length);
  CU_ASSERT_TRUE(round_trip(own, text, length));
  for (size_t i = 0; i < length; i++) text[i] = (char)(i % 2 ? 0xFF : 'a');
  CU_ASSERT_TRUE(round_trip(own, text, length));
  free(text);
  cohort_tokenizer_destroy(own);
}

static void files_read_back_equal(void) {
  char *const directory = scratch_create();
  const int vocabulary[] = {257, 258, 300};
  for (size_t i = 0; i < 3; i++) {
    cohort_tokenizer *const own = train(verse, sizeof verse - 1, vocabulary[i]), *again = NULL;
    char *const path = cohort_format_text("%s/%d.json", directory, vocabulary[i]);
    CU_ASSERT_EQUAL(cohort_tokenizer_write(own, path, NULL), COHORT_DONE);
    CU_ASSERT_EQUAL_FATAL(cohort_tokenizer_read(path, &again, NULL), COHORT_DONE);
    CU_ASSERT_EQUAL(cohort_tokenizer_vocabulary(again), vocabulary[i]);
    CU_ASSERT_EQUAL(cohort_tokenizer_end(again), vocabulary[i] - 1);
    CU_ASSERT_EQUAL(cohort_tokenizer_digest(again), cohort_tokenizer_digest(own));
    int64_t count = 0, again_count = 0;
    int32_t *const tokens = cohort_tokenizer_encode(own, verse, sizeof verse, &count);
    int32_t *const again_tokens = cohort_tokenizer_encode(again, verse, sizeof verse, &again_count);
    CU_ASSERT_TRUE(count == again_count && memcmp(tokens, again_tokens, (size_t)count * sizeof *tokens) == 0);
    free(tokens);
    free(again_tokens);
    free(path);
    cohort_tokenizer_destroy(own);
    cohort_tokenizer_destroy(again);
  }
  cohort_tokenizer *const own = cohort_tokenizer_bytes();
  cohort_error error = {0};
  CU_ASSERT_NOT_EQUAL(cohort_tokenizer_write(own, "/nonexistent/t.json", &error), COHORT_DONE);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "/nonexistent/t.json"));
  cohort_tokenizer_destroy(own);
  scratch_remove(directory);
}

static void files_are_refused(void) {
  const char *const bad[][2] = {
      {"", "t.json:"},
      {"{\"kind\":", "t.json:1:"},
      {"{\"vocabulary\": 258,\n \"merges\": [[1, 2]}", "t.json:2:"},
      {"[]", "not a Cohort tokenizer"},
      {"{}", "not a Cohort tokenizer"},
      {"{\"vocabulary\": 257}", "not a Cohort tokenizer"},
      {"{\"kind\": \"other\", \"vocabulary\": 258, \"merges\": [[1, 2]]}", "of kind other; only byte_bpe is known"},
      {"{\"kind\": 5, \"vocabulary\": 258, \"merges\": [[1, 2]]}", "only byte_bpe is known"},
      {"{\"vocabulary\": 256, \"merges\": []}", "not a Cohort tokenizer"},
      {"{\"vocabulary\": 258, \"merges\": []}", "not a Cohort tokenizer"},
      {"{\"vocabulary\": -1, \"merges\": []}", "not a Cohort tokenizer"},
      {"{\"vocabulary\": 99999999999, \"merges\": []}", "not a Cohort tokenizer"},
      {"{\"vocabulary\": \"257\", \"merges\": []}", "not a Cohort tokenizer"},
      {"{\"vocabulary\": 258, \"merges\": {\"a\": 1}}", "not a Cohort tokenizer"},
      {"{\"vocabulary\": 258, \"merges\": [[1, 256]]}", "merge 0 is not two earlier"},
      {"{\"vocabulary\": 258, \"merges\": [[-1, 2]]}", "merge 0 is not two earlier"},
      {"{\"vocabulary\": 258, \"merges\": [[1, 2, 3]]}", "merge 0 is not two earlier"},
      {"{\"vocabulary\": 258, \"merges\": [[1]]}", "merge 0 is not two earlier"},
      {"{\"vocabulary\": 258, \"merges\": [[1, 2.5]]}", "merge 0 is not two earlier"},
      {"{\"vocabulary\": 258, \"merges\": [5]}", "merge 0 is not two earlier"},
      {"{\"vocabulary\": 259, \"merges\": [[1, 2], [1, 4294967297]]}", "merge 1 is not two earlier"},
      {"{\"vocabulary\": 259, \"merges\": [[1, 2], [1, 2]]}", "merge 1 is given twice"},
      {"{\"vocabulary\": 267, \"merges\": [[1, 1], [256, 256], [257, 257], [258, 258], [259, 259], [260, 260], "
       "[261, 261], [262, 262], [263, 263], [264, 1]]}",
       "merge 9 makes a token of 513 bytes"},
  };
  char *const directory = scratch_create();
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char *const path = scratch_text(directory, "t.json", bad[i][0]);
    cohort_tokenizer *out = NULL;
    cohort_error error = {0};
    CU_ASSERT_EQUAL(cohort_tokenizer_read(path, &out, &error), COHORT_BAD_DATA);
    CU_ASSERT_PTR_NULL(out);
    const bool named = strncmp(error.text, path, strlen(path)) == 0 && strstr(error.text, bad[i][1]);
    if (!named) printf("    \"%s\" for %s\n", error.text, bad[i][0]);
    CU_ASSERT_TRUE(named);
    free(path);
  }
  cohort_tokenizer *out = NULL;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_tokenizer_read("/nonexistent/t.json", &out, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "/nonexistent/t.json"));
  scratch_remove(directory);
}

typedef struct told {
  int times;
  double last;
} told;

static void tell(void *argument, double share) {
  told *const own = argument;
  CU_ASSERT_TRUE(share > own->last && share <= 1);
  own->last = share;
  own->times++;
}

static void progress_grows_to_one(void) {
  cohort_tokenizer *out = NULL;
  told own = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_tokenizer_train(verse, sizeof verse - 1, 297, tell, &own, &out, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(own.times, 40);
  CU_ASSERT_EQUAL(own.last, 1);
  cohort_tokenizer_destroy(out);
}

int main(void) {
  static const check checks[] = {
      {"bytes are their own tokens", bytes_are_their_own_tokens},
      {"words are those of GPT-2", words_are_those_of_gpt2},
      {"long words are cut", long_words_are_cut},
      {"ties go by the smaller ids", ties_go_by_the_smaller_ids},
      {"small texts are refused", small_texts_are_refused},
      {"training is the definition", training_is_the_definition},
      {"training is deterministic", training_is_deterministic},
      {"any bytes come back", any_bytes_come_back},
      {"any tokens are a text", any_tokens_are_a_text},
      {"long texts take no square of time", long_texts_take_no_square_of_time},
      {"files read back equal", files_read_back_equal},
      {"files are refused", files_are_refused},
      {"progress grows to one", progress_grows_to_one},
  };
  return check_run("tokenizer", checks, sizeof checks / sizeof *checks);
}
