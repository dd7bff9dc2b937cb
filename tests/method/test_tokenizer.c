/* Tokenizers of Hugging Face against ids and texts by the package `tokenizers` (golden/tokenizers.json, made by
 * golden_tokenizer.py), tokenizers from GGUF's arrays, exports, refusals, and damaged files. */
#include <jansson.h>
#include <omp.h>

#include "io/tokenizer/tokenizer.h"
#include "unit/io/scratch.h"

static json_t *golden_root;

/* A tokenizer from the text of its file. */
static cohort_status read_text(const char *text, size_t length, cohort_tokenizer **out, cohort_error *error) {
  char *const directory = scratch_create(), *const path = scratch_file(directory, "tokenizer.json", text, length);
  const cohort_status status = cohort_tokenizer_read(path, out, error);
  free(path);
  scratch_remove(directory);
  return status;
}

static cohort_tokenizer *tokenizer_of(const char *text) {
  cohort_tokenizer *out = NULL;
  cohort_error error = {0};
  if (read_text(text, strlen(text), &out, &error) != COHORT_DONE) printf("    %s\n", error.text);
  CU_ASSERT_PTR_NOT_NULL_FATAL(out);
  return out;
}

static const json_t *named_case(const char *name) {
  size_t i;
  const json_t *value;
  json_array_foreach(json_object_get(golden_root, "cases"), i, value) {
    if (strcmp(json_string_value(json_object_get(value, "name")), name) == 0) return value;
  }
  CU_FAIL_FATAL("no such golden");
  return NULL;
}

/* The text of a golden's tokenizer.json. */
static const char *file_of(const json_t *own) { return json_string_value(json_object_get(own, "tokenizer")); }

static bool same_ids(const int32_t *ids, int64_t count, const json_t *wanted) {
  bool same = count == (int64_t)json_array_size(wanted);
  for (int64_t i = 0; i < count && same; i++) same = ids[i] == json_integer_value(json_array_get(wanted, (size_t)i));
  return same;
}

/* A member, or what stands for it when it is absent. */
static const json_t *member(const json_t *own, const char *key, const char *absent) {
  const json_t *const value = json_object_get(own, key);
  return value ? value : json_object_get(own, absent);
}

/* The package puts U+FFFD where bytes are no UTF-8; those texts are not compared. */
static bool same_text(char *text, size_t length, const json_t *wanted) {
  const char *const theirs = json_string_value(wanted);
  const bool replaced = memmem(theirs, json_string_length(wanted), "\xEF\xBF\xBD", 3) != NULL;
  const bool same = length == json_string_length(wanted) && memcmp(text, theirs, length) == 0;
  free(text);
  return same || replaced;
}

static void check_text(const cohort_tokenizer *own, const char *name, const json_t *text) {
  static const struct {
    const char *key;
    unsigned flags;
  } kinds[] = {{"ids", 0}, {"template", COHORT_ENCODE_TEMPLATE}, {"plain", COHORT_ENCODE_PLAIN}};
  const json_t *const source = json_object_get(text, "text");
  int64_t count = 0;
  for (size_t k = 0; k < 3; k++) {
    int32_t *const ids =
        cohort_tokenizer_encode_as(own, kinds[k].flags, json_string_value(source), json_string_length(source), &count);
    const bool same = same_ids(ids, count, member(text, kinds[k].key, "ids"));
    if (!same) printf("    %s, %s: %s\n", name, kinds[k].key, json_string_value(source));
    CU_ASSERT_TRUE(same);
    free(ids);
  }
  int32_t *const ids = cohort_tokenizer_encode(own, json_string_value(source), json_string_length(source), &count);
  size_t length = 0;
  char *made = cohort_tokenizer_decode(own, ids, count, &length);
  CU_ASSERT_TRUE(same_text(made, length, member(text, "decoded", "text")));
  made = cohort_tokenizer_decode_all(own, ids, count, &length);
  CU_ASSERT_TRUE(same_text(made, length, member(text, "all", "text")));
  free(ids);
}

static void ids_are_those_of_tokenizers(void) {
  size_t i, j;
  const json_t *own, *text;
  json_array_foreach(json_object_get(golden_root, "cases"), i, own) {
    cohort_tokenizer *const tokenizer = tokenizer_of(file_of(own));
    json_array_foreach(json_object_get(own, "texts"), j, text)
        check_text(tokenizer, json_string_value(json_object_get(own, "name")), text);
    cohort_tokenizer_destroy(tokenizer);
  }
  CU_ASSERT_TRUE(json_array_size(json_object_get(golden_root, "cases")) >= 13);
}

/* The vocabulary of a file as GGUF keeps it. */
typedef struct kept_arrays {
  cohort_tokenizer_text token[2000], merge[2000];
  float score[2000];
  cohort_tokenizer_arrays arrays;
  json_t *joined;
} kept_arrays;

static void keep_arrays(const json_t *tokenizer, kept_arrays *own) {
  const json_t *const model = json_object_get(tokenizer, "model");
  const char *text;
  json_t *id;
  size_t i;
  json_object_foreach(json_object_get(model, "vocab"), text, id) {
    own->token[json_integer_value(id)] = (cohort_tokenizer_text){text, strlen(text)};
    own->arrays.count++;
  }
  own->joined = json_array();
  json_t *merge;
  json_array_foreach(json_object_get(model, "merges"), i, merge) {
    char *const joined = cohort_format_text("%s %s", json_string_value(json_array_get(merge, 0)),
                                            json_string_value(json_array_get(merge, 1)));
    (void)json_array_append_new(own->joined, json_string(joined));
    free(joined);
    const char *const kept = json_string_value(json_array_get(own->joined, i));
    own->merge[i] = (cohort_tokenizer_text){kept, strlen(kept)};
    own->arrays.merges++;
  }
  own->arrays.model = "gpt2";
  own->arrays.token = own->token;
  own->arrays.merge = own->merge;
  own->arrays.begin = own->arrays.end = own->arrays.unknown = own->arrays.pad = -1;
}

static void same_encoding(const cohort_tokenizer *a, const cohort_tokenizer *b, const json_t *texts) {
  size_t i;
  const json_t *text;
  json_array_foreach(texts, i, text) {
    const json_t *const source = json_object_get(text, "text");
    int64_t count = 0, other = 0;
    int32_t *const ids = cohort_tokenizer_encode(a, json_string_value(source), json_string_length(source), &count);
    int32_t *const same = cohort_tokenizer_encode(b, json_string_value(source), json_string_length(source), &other);
    CU_ASSERT_TRUE(count == other && memcmp(ids, same, (size_t)count * sizeof *ids) == 0);
    free(ids);
    free(same);
  }
}

/* Words by the name of GGUF are those of the family's own file, whose added tokens are left out here. */
static void arrays_are_the_familys_file(void) {
  static const char *const names[][2] = {
      {"gpt2", "gpt-2"}, {"smollm", "smollm"}, {"llama3", "llama-bpe"}, {"qwen2", "qwen2"}};
  for (size_t i = 0; i < 4; i++) {
    const json_t *const own = named_case(names[i][0]);
    json_t *const file = json_loads(file_of(own), 0, NULL);
    (void)json_object_set_new(file, "added_tokens", json_array());
    kept_arrays *const kept = cohort_allocate(sizeof *kept);
    keep_arrays(file, kept);
    kept->arrays.pre = names[i][1];
    char *const text = json_dumps(file, JSON_COMPACT);
    cohort_tokenizer *made = NULL, *const read = tokenizer_of(text);
    free(text);
    cohort_error error = {0};
    CU_ASSERT_EQUAL_FATAL(cohort_tokenizer_from_arrays("t.gguf", &kept->arrays, &made, &error), COHORT_DONE);
    same_encoding(made, read, json_object_get(own, "texts"));
    kept->arrays.pre = "other";
    cohort_tokenizer *none = NULL;
    CU_ASSERT_EQUAL(cohort_tokenizer_from_arrays("t.gguf", &kept->arrays, &none, &error), COHORT_BAD_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "t.gguf: the tokenizer's words are of the kind other"));
    cohort_tokenizer_destroy(made);
    cohort_tokenizer_destroy(read);
    json_decref(kept->joined);
    json_decref(file);
    free(kept);
  }
}

static void scores_give_merges_as_transformers_does(void) {
  const json_t *const own = json_object_get(golden_root, "scored"), *const tokens = json_object_get(own, "tokens");
  kept_arrays *const kept = cohort_allocate(sizeof *kept);
  const int32_t types[] = {2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  for (size_t i = 0; i < json_array_size(tokens); i++) {
    const json_t *const text = json_array_get(tokens, i);
    kept->token[i] = (cohort_tokenizer_text){json_string_value(text), json_string_length(text)};
    kept->score[i] = (float)json_number_value(json_array_get(json_object_get(own, "scores"), i));
  }
  CU_ASSERT_EQUAL_FATAL(json_array_size(tokens), sizeof types / sizeof *types);
  kept->arrays = (cohort_tokenizer_arrays){.model = "llama",
                                           .count = (int)json_array_size(tokens),
                                           .token = kept->token,
                                           .type = types,
                                           .score = kept->score,
                                           .begin = 1,
                                           .end = 2,
                                           .pad = -1,
                                           .add_begin = true,
                                           .add_space = true};
  cohort_tokenizer *made = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_tokenizer_from_arrays("t.gguf", &kept->arrays, &made, NULL), COHORT_DONE);
  char *const directory = scratch_create(), *const path = cohort_format_text("%s/tokenizer.json", directory);
  CU_ASSERT_EQUAL(cohort_tokenizer_write(made, path, NULL), COHORT_DONE);
  json_t *const written = json_load_file(path, 0, NULL);
  CU_ASSERT_TRUE(
      json_equal(json_object_get(json_object_get(written, "model"), "merges"), json_object_get(own, "merges")));
  int64_t count = 0;
  int32_t *const ids = cohort_tokenizer_encode_as(made, COHORT_ENCODE_TEMPLATE, "ab aab</s>", 10, &count);
  CU_ASSERT_TRUE(count > 3 && ids[0] == 1 && ids[count - 1] == 2);
  size_t length = 0;
  char *const text = cohort_tokenizer_decode(made, ids, count, &length);
  CU_ASSERT_STRING_EQUAL(text, "ab aab");
  CU_ASSERT_TRUE(cohort_tokenizer_begin(made) == 1 && cohort_tokenizer_end(made) == 2 &&
                 cohort_tokenizer_pad(made) == -1);
  free(text);
  free(ids);
  json_decref(written);
  free(path);
  scratch_remove(directory);
  cohort_tokenizer_destroy(made);
  free(kept);
}

/* Cohort's own, exported and read, are the same ids; words of more than 512 bytes and every byte among them. */
static void exports_have_the_same_ids(void) {
  static const char verse[] =
      "In the beginning God created the heaven and the earth. And the earth was without form, aaaaaaaa "
      "and void; and darkness was upon the face of the deep. aaaaaaaa \xc3\xa4\xc3\xb6 \xe2\x82\xac";
  cohort_tokenizer *own = NULL, *again = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_tokenizer_train(verse, sizeof verse - 1, 272, NULL, NULL, &own, NULL), COHORT_DONE);
  char *const directory = scratch_create(), *const path = cohort_format_text("%s/tokenizer.json", directory);
  CU_ASSERT_EQUAL_FATAL(cohort_tokenizer_export(own, path, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(cohort_tokenizer_read(directory, &again, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_tokenizer_vocabulary(again), 272);
  CU_ASSERT_EQUAL(cohort_tokenizer_id(again, "<|end|>", 7), 271);
  CU_ASSERT_TRUE(cohort_tokenizer_special(again, 271));
  char text[6000];
  uint64_t state = 3;
  for (int round = 0; round < 40; round++) {
    const char *const letters[] = {"a", "the heavn ", NULL};
    for (size_t i = 0; i < sizeof text; i++) {
      const uint64_t draw = mutate_random(&state);
      text[i] = round % 3 == 2 ? (char)draw : letters[round % 3][draw % strlen(letters[round % 3])];
    }
    int64_t count = 0, other = 0;
    size_t length = 0;
    int32_t *const ids = cohort_tokenizer_encode(own, text, sizeof text, &count);
    int32_t *const same = cohort_tokenizer_encode(again, text, sizeof text, &other);
    CU_ASSERT_TRUE(count == other && memcmp(ids, same, (size_t)count * sizeof *ids) == 0);
    char *const back = cohort_tokenizer_decode(again, same, other, &length);
    CU_ASSERT_TRUE(length == sizeof text && memcmp(back, text, length) == 0);
    free(back);
    free(ids);
    free(same);
  }
  free(path);
  scratch_remove(directory);
  cohort_tokenizer_destroy(own);
  cohort_tokenizer_destroy(again);
}

static void files_beside_name_the_ids(void) {
  char *const directory = scratch_create(), *const source = cohort_copy_text(file_of(named_case("llama3")));
  free(scratch_text(directory, "tokenizer.json", source));
  free(scratch_text(directory, "tokenizer_config.json",
                    "{\"bos_token\": \"<|begin_of_text|>\", \"eos_token\": {\"content\": \"<|eot_id|>\"}}"));
  free(scratch_text(directory, "generation_config.json", "{\"eos_token_id\": [1, 2], \"pad_token_id\": 1}"));
  cohort_tokenizer *own = NULL;
  cohort_error error = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_tokenizer_read(directory, &own, &error), COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_tokenizer_begin(own), 0);
  CU_ASSERT_EQUAL(cohort_tokenizer_end(own), 2);
  CU_ASSERT_EQUAL(cohort_tokenizer_pad(own), 1);
  int stops = 0;
  const int *const stop = cohort_tokenizer_stops(own, &stops);
  CU_ASSERT_TRUE(stops == 2 && stop[0] == 2 && stop[1] == 1);
  CU_ASSERT_STRING_EQUAL(cohort_tokenizer_token(own, 2, NULL), "<|eot_id|>");
  CU_ASSERT_PTR_NULL(cohort_tokenizer_token(own, -1, NULL));
  /* Written as it was, byte for byte. */
  char *const path = cohort_format_text("%s/copy.json", directory);
  CU_ASSERT_EQUAL(cohort_tokenizer_write(own, path, NULL), COHORT_DONE);
  size_t length = 0;
  char *const copy = scratch_read(path, &length);
  CU_ASSERT_TRUE(length == strlen(source) && memcmp(copy, source, length) == 0);
  free(copy);
  free(path);
  cohort_tokenizer_destroy(own);
  free(scratch_text(directory, "tokenizer_config.json", "{"));
  CU_ASSERT_EQUAL(cohort_tokenizer_read(directory, &own, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "tokenizer_config.json:1:"));
  free(source);
  scratch_remove(directory);
}

/* Byte-level tokenizers give any bytes back; bytes that are no UTF-8 are byte tokens of a SentencePiece vocabulary. */
static void bytes_that_are_no_utf8(void) {
  static const char bad[] = "ab\xff\xfe 12\xc3 \xe6\x96x \xed\xa0\x80!";
  const char *const names[] = {"gpt2", "llama3", "smollm", "o200k", "gemma"};
  for (size_t i = 0; i < 5; i++) {
    cohort_tokenizer *const own = tokenizer_of(file_of(named_case(names[i])));
    int64_t count = 0;
    size_t length = 0;
    int32_t *const ids = cohort_tokenizer_encode(own, bad, sizeof bad - 1, &count);
    char *const back = cohort_tokenizer_decode_all(own, ids, count, &length);
    const bool same = length == sizeof bad - 1 && memcmp(back, bad, length) == 0;
    if (!same) printf("    %s: %s\n", names[i], back);
    CU_ASSERT_TRUE(same);
    free(back);
    free(ids);
    cohort_tokenizer_destroy(own);
  }
}

/* The first token's text and what the others add are the whole text. */
static void tokens_add_up_to_the_text(void) {
  static const char said[] = " Hello caf\xc3\xa9, 12 <|user|> x\n\xe4\xbd\xa0";
  const char *const names[] = {"gpt2", "llama2", "gemma", "metaspace_unknown", "smollm"};
  for (size_t i = 0; i < 5; i++) {
    cohort_tokenizer *const own = tokenizer_of(file_of(named_case(names[i])));
    int64_t count = 0;
    size_t length = 0, at = 0, bytes = 0;
    int32_t *const ids = cohort_tokenizer_encode(own, said, sizeof said - 1, &count);
    char *const whole = cohort_tokenizer_decode_all(own, ids, count, &length);
    for (int64_t t = 0; t < count; t++, at += bytes) {
      char *const part =
          t ? cohort_tokenizer_decode_next(own, ids[t], &bytes) : cohort_tokenizer_decode_all(own, ids, 1, &bytes);
      CU_ASSERT_TRUE(at + bytes <= length && memcmp(whole + at, part, bytes) == 0);
      free(part);
    }
    CU_ASSERT_EQUAL(at, length);
    free(whole);
    free(ids);
    cohort_tokenizer_destroy(own);
  }
}

static void threads_encode_alike(void) {
  cohort_tokenizer *const own = tokenizer_of(file_of(named_case("qwen2")));
  const json_t *const texts = json_object_get(named_case("qwen2"), "texts");
  bool good = true;
#pragma omp parallel for num_threads(4) reduction(&& : good)
  for (int i = 0; i < 200; i++) {
    const json_t *const text = json_array_get(texts, (size_t)i % json_array_size(texts)), *const source =
                                                                                              json_object_get(text,
                                                                                                              "text");
    int64_t count = 0;
    int32_t *const ids = cohort_tokenizer_encode(own, json_string_value(source), json_string_length(source), &count);
    good = good && same_ids(ids, count, json_object_get(text, "ids"));
    free(ids);
  }
  CU_ASSERT_TRUE(good);
  cohort_tokenizer_destroy(own);
}

static void what_is_not_known_is_refused_by_name(void) {
#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[[\"a\",\"b\"]]}"
  static const char *const bad[][2] = {
      {"{\"model\":", "is it a tokenizer.json?"},
      {"{\"model\":5}", "there is no model"},
      {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", "the model Unigram is not read here, only BPE"},
      {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", "the model WordPiece is not read here"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", "no vocabulary"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "the id of the token a"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999},\"merges\":[]}}", "the id of the token a"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}", "merge 0 is not two tokens"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}", "merge 0 has tokens that"},
      {"{\"model\":{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{\"a\":0},\"merges\":[]}}", "drops merges at random"},
      {"{\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"vocab\":{\"a\":0},\"merges\":[]}}", "the unknown token ?"},
      {"{" MODEL ",\"normalizer\":{\"type\":\"Nmt\"}}", "the normalizer Nmt is not read here"},
      {"{" MODEL ",\"normalizer\":{\"type\":\"Precompiled\"}}", "the normalizer Precompiled is not"},
      {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}}", "the pre-tokenizer UnicodeScripts is not read"},
      {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"}}",
       "( without )"},
      {"{" MODEL
       ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a&&b]\"},\"behavior\":\"Isolated\"}}",
       "(&&)"},
      {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Other\"}}",
       "no behavior"},
      {"{" MODEL ",\"post_processor\":{\"type\":\"Other\"}}", "the post-processor Other is not read here"},
      {"{" MODEL ",\"decoder\":{\"type\":\"CTC\"}}", "the decoder CTC is not read here"},
      {"{" MODEL ",\"added_tokens\":[{\"id\":7,\"content\":\"<s>\"}]}", "the added token <s> has the id 7"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    cohort_tokenizer *out = NULL;
    cohort_error error = {0};
    CU_ASSERT_EQUAL(read_text(bad[i][0], strlen(bad[i][0]), &out, &error), COHORT_BAD_DATA);
    const bool named =
        strstr(error.text, bad[i][1]) && strstr(error.text, "tokenizer.json:") && !strchr(error.text, '\n');
    if (!named) printf("    \"%s\" for %s\n", error.text, bad[i][0]);
    CU_ASSERT_TRUE(named);
    CU_ASSERT_PTR_NULL(out);
  }
  char *const directory = scratch_create();
  cohort_tokenizer *out = NULL;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_tokenizer_read(directory, &out, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "the folder has no tokenizer.json"));
  scratch_remove(directory);
}

static void damaged_files_never_crash(void) {
  static const char *const names[] = {"words", "llama2", "falcon"};
  uint64_t state = 8;
  int read = 0, refused = 0;
  for (int i = 0; i < 240; i++) {
    const char *const text = file_of(named_case(names[i % 3]));
    size_t length = 0;
    unsigned char *const damaged = mutate(&state, text, strlen(text), "{}[],:\"0123456789\\u", &length);
    cohort_tokenizer *out = NULL;
    cohort_error error = {0};
    const cohort_status status = read_text((const char *)damaged, length, &out, &error);
    CU_ASSERT_TRUE(status == COHORT_DONE || (status == COHORT_BAD_DATA && !out && !strchr(error.text, '\n')));
    (*(status == COHORT_DONE ? &read : &refused))++;
    if (out) {
      int64_t count = 0;
      size_t made = 0;
      int32_t *const ids = cohort_tokenizer_encode(out, "Hello, caf\xc3\xa9 12 <s>\xff", 18, &count);
      for (int64_t n = 0; n < count; n++) CU_ASSERT_TRUE(ids[n] >= 0 && ids[n] < cohort_tokenizer_vocabulary(out));
      free(cohort_tokenizer_decode(out, ids, count, &made));
      free(ids);
      cohort_tokenizer_destroy(out);
    }
    free(damaged);
  }
  CU_ASSERT_TRUE(read > 5 && refused > 5);
}

int main(void) {
  static const check checks[] = {
      {"ids are those of tokenizers", ids_are_those_of_tokenizers},
      {"arrays are the family's file", arrays_are_the_familys_file},
      {"scores give merges as transformers does", scores_give_merges_as_transformers_does},
      {"exports have the same ids", exports_have_the_same_ids},
      {"files beside name the ids", files_beside_name_the_ids},
      {"bytes that are no UTF-8", bytes_that_are_no_utf8},
      {"tokens add up to the text", tokens_add_up_to_the_text},
      {"threads encode alike", threads_encode_alike},
      {"what is not known is refused by name", what_is_not_known_is_refused_by_name},
      {"damaged files never crash", damaged_files_never_crash},
  };
  golden_root = json_load_file(COHORT_GOLDEN "/tokenizers.json", JSON_ALLOW_NUL, NULL);
  if (!golden_root) return 1;
  const int failed = check_run("tokenizer", checks, sizeof checks / sizeof *checks);
  json_decref(golden_root);
  return failed;
}
