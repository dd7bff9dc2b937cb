/* Configs: what is read and where it stands, what is refused and where, overrides, texts that read back equal. */
#include <jansson.h>

#include "io/config.h"
#include "scratch.h"

static cohort_document *parse(const char *text) {
  cohort_document *out = NULL;
  cohort_error error = {0};
  const cohort_status status = cohort_config_parse(text, strlen(text), "c.yaml", &out, &error);
  if (status != COHORT_DONE) printf("    %s\n", error.text);
  CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
  return out;
}

/* Refused with this beginning of the message, and nothing given out. */
static void refused_bytes(const char *text, size_t length, const char *begin, const char *part) {
  cohort_document *out = NULL;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_config_parse(text, length, "c.yaml", &out, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NULL(out);
  const bool good = strncmp(error.text, begin, strlen(begin)) == 0 && strstr(error.text, part);
  if (!good) printf("    \"%s\" for \"%.60s\"\n", error.text, text);
  CU_ASSERT_TRUE(good);
  if (out) cohort_document_destroy(out);
}

static void refused(const char *text, const char *begin, const char *part) {
  refused_bytes(text, strlen(text), begin, part);
}

static void kinds_and_places(void) {
  cohort_document *const root = parse("a: 1\nb:\n  - x\n  - {c: \"2\"}\nd: ~\n");
  CU_ASSERT_EQUAL(root->kind, COHORT_MAP);
  CU_ASSERT_EQUAL_FATAL(root->count, 3);
  const cohort_document *const a = cohort_document_get(root, "a"), *const b = cohort_document_get(root, "b");
  CU_ASSERT_STRING_EQUAL(a->text, "1");
  CU_ASSERT_FALSE(a->quoted);
  CU_ASSERT_EQUAL(a->line, 1);
  CU_ASSERT_EQUAL(a->column, 4);
  CU_ASSERT_STRING_EQUAL(a->file, "c.yaml");
  CU_ASSERT_EQUAL(b->key_line, 2);
  CU_ASSERT_EQUAL(b->key_column, 1);
  CU_ASSERT_EQUAL(b->kind, COHORT_LIST);
  CU_ASSERT_EQUAL_FATAL(b->count, 2);
  CU_ASSERT_EQUAL(b->children[0]->line, 3);
  CU_ASSERT_EQUAL(b->children[0]->column, 5);
  const cohort_document *const c = cohort_document_get(b->children[1], "c");
  CU_ASSERT_PTR_NOT_NULL_FATAL(c);
  CU_ASSERT_TRUE(c->quoted);
  CU_ASSERT_EQUAL(c->line, 4);
  CU_ASSERT_EQUAL(c->column, 9);
  CU_ASSERT_EQUAL(c->key_column, 6);
  CU_ASSERT_TRUE(cohort_document_is_null(cohort_document_get(root, "d")));
  cohort_document_destroy(root);
}

static void empty_configs_are_empty_maps(void) {
  const char *const texts[] = {"", "# only a remark\n", "---\n", "{}"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    cohort_document *const root = parse(texts[i]);
    CU_ASSERT_EQUAL(root->kind, COHORT_MAP);
    CU_ASSERT_EQUAL(root->count, 0);
    cohort_document_destroy(root);
  }
}

static void refusals_name_the_place(void) {
  refused("a: 1\nb: 2\na: 3\n", "c.yaml:3:1: ", "a is given twice");
  refused("a: 1\nb: {c: 1, c: 2}\n", "c.yaml:2:", "c is given twice");
  refused("a: &x 1\n", "c.yaml:1:4: ", "anchors");
  refused("a: &x {b: 1}\n", "c.yaml:1:4: ", "anchors");
  refused("a: &x [1]\n", "c.yaml:1:4: ", "anchors");
  refused("&x a: 1\n", "c.yaml:1:1: ", "anchors");
  refused("&x\n", "c.yaml:1:", "anchors");
  refused("a: 1\nb: *a\n", "c.yaml:2:4: ", "aliases");
  refused("a: 1\n---\nb: 2\n", "c.yaml:2:1: ", "second YAML document");
  refused("---\n---\nb: 2\n", "c.yaml:2:1: ", "second YAML document");
  refused("a: 1\n...\n---\n", "c.yaml:3:1: ", "second YAML document");
  refused("- a\n- b\n", "c.yaml:1:1: ", "map");
  refused("word\n", "c.yaml:1:1: ", "map");
  refused("{a: b}: c\n", "c.yaml:1:1: ", "key");
  refused("[a]: c\n", "c.yaml:1:1: ", "key");
  refused("a: \"x\\0y\"\n", "c.yaml:1:4: ", "NUL");
  refused("a: b\n  c: d\n", "c.yaml:2:", "not YAML");
  refused("a: [1, 2\n", "c.yaml:2:", "not YAML");
  refused("a:\n\t- b\n", "c.yaml:2:", "not YAML");
  refused("a: \xff\n", "c.yaml:1:4: ", "not YAML");
  refused("a: 1\n\xc3\xa4: b\nc: \xc3\xa4\xc3\n", "c.yaml:3:6: ", "not YAML");
  refused("a: 1\nb: \x01\n", "c.yaml:2:4: ", "not YAML");
  refused("a: b: c\n", "c.yaml:1:5: ", "not YAML");
  refused_bytes("a: b\0c\n", 7, "c.yaml:", "not YAML");
}

static char *nested(int depth) {
  char *const text = cohort_allocate(2 * (size_t)depth + 8);
  memcpy(text, "a: ", 3);
  memset(text + 3, '[', (size_t)depth);
  memset(text + 3 + depth, ']', (size_t)depth);
  return text;
}

static void depth_and_size_are_bounded(void) {
  char *text = nested(63); /* with the root: 64 */
  cohort_document_destroy(parse(text));
  free(text);
  text = nested(64);
  refused(text, "c.yaml:1:67: ", "too deep");
  free(text);
  text = nested(200000);
  refused(text, "c.yaml:1:67: ", "too deep");
  free(text);
  const size_t most = 4 << 20;
  text = cohort_allocate(most + 2);
  memset(text, ' ', most + 1);
  text[0] = '#';
  cohort_document *out = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, most, "c.yaml", &out, NULL), COHORT_DONE);
  cohort_document_destroy(out);
  refused_bytes(text, most + 1, "c.yaml: ", "4 MiB");
  free(text);
}

static cohort_status read_with(const char *text, int overrides, const char *const *override, cohort_document **out,
                               cohort_error *error) {
  char *const directory = scratch_create();
  char *const path = scratch_text(directory, "c.yaml", text);
  char *copy[8] = {0};
  for (int i = 0; i < overrides; i++) copy[i] = cohort_copy_text(override[i]);
  const cohort_status status = cohort_config_read(path, overrides, copy, out, error);
  for (int i = 0; i < overrides; i++) free(copy[i]);
  free(path);
  scratch_remove(directory);
  return status;
}

static void overrides_as(const char *text, int overrides, const char *const *override, const char *wanted) {
  cohort_document *out = NULL;
  cohort_error error = {0};
  const cohort_status status = read_with(text, overrides, override, &out, &error);
  if (status != COHORT_DONE) printf("    %s\n", error.text);
  CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
  cohort_document *const other = parse(wanted);
  CU_ASSERT_TRUE(cohort_document_equal(out, other));
  cohort_document_destroy(other);
  cohort_document_destroy(out);
}

static void overrides_replace_and_add(void) {
  overrides_as("a: {b: 1, c: 2}", 1, (const char *[]){"a.b=3"}, "a: {b: 3, c: 2}");
  overrides_as("a: 1", 1, (const char *[]){"a=|tr a b: | cat"}, "a: \"|tr a b: | cat\"");
  overrides_as("a: 1", 2, (const char *[]){"x.y.z=2", "x.y.w=[1, {q: 2}]"}, "{a: 1, x: {y: {z: 2, w: [1, {q: 2}]}}}");
  overrides_as("l: [1, 2, {a: 3}]", 2, (const char *[]){"l.1=5", "l.2.a=6"}, "l: [1, 5, {a: 6}]");
  overrides_as("o: adamw", 1, (const char *[]){"o.beta=0.5"}, "o: {adamw: {}, beta: 0.5}");
  overrides_as("a: 1", 1, (const char *[]){"a="}, "a: null");
  overrides_as("a: 1", 2, (const char *[]){"a=2", "a=3"}, "a: 3");
  overrides_as("a: 1", 1, (const char *[]){"t=x=y"}, "{a: 1, t: x=y}");
}

static void override_refused(const char *text, const char *override) {
  cohort_document *out = NULL;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(read_with(text, 1, &override, &out, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NULL(out);
  const bool named = strncmp(error.text, "command line: ", 14) == 0 && strstr(error.text, override);
  if (!named) printf("    \"%s\" for %s\n", error.text, override);
  CU_ASSERT_TRUE(named);
  if (out) cohort_document_destroy(out);
}

static void overrides_without_effect_are_refused(void) {
  override_refused("a: 1", "a");
  override_refused("a: 1", "=3");
  override_refused("a: 1", "a=[1");
  override_refused("a: 1", "a={b: 1, b: 2}");
  override_refused("a: 1", "a=*b");
  override_refused("a: 1", "a=1\nother: 2");
  override_refused("l: [1, 2]", "l.2=5");
  override_refused("l: [1, 2]", "l.-1=5");
  override_refused("l: [1, 2]", "l.x=5");
  override_refused("l: [1, 2]", "l.=5");
  override_refused("l: [1, 2]", "l.1x=5");
  override_refused("l: [1, {b: 1}]", "l..b=5");
  override_refused("l: [1, 2]", "l.9.b=5");
  override_refused("l: [1, 2]", "l.0.b=5");
  override_refused("l: [1, 2]", "l.99999999999999999999=5");
}

/* Whether the written text reads back equal, with the same quoting of null and numbers. */
static bool reads_back(const cohort_document *document) {
  char *const text = cohort_config_write(document);
  cohort_document *again = NULL;
  cohort_error error = {0};
  const cohort_status status = cohort_config_parse(text, strlen(text), "written", &again, &error);
  const bool same = status == COHORT_DONE && cohort_document_equal(document, again);
  if (!same) printf("    %s\n    written: %.300s\n", status == COHORT_DONE ? "differs" : error.text, text);
  if (status == COHORT_DONE) cohort_document_destroy(again);
  free(text);
  return same;
}

static void overrides_that_cannot_be_read_again_are_refused(void) {
  override_refused("a: 1", "b\xff=1");
  override_refused("a: 1", "a.b\xed\xa0\x80.c=1");
  char path[2 * 65 + 8], text[200];
  for (int i = 0; i < 65; i++) memcpy(path + 2 * i, "a.", 2);
  memcpy(path + 2 * 64 - 1, "=1", 3); /* 64 names: as deep as a file may be */
  cohort_document *root = NULL;
  CU_ASSERT_EQUAL(read_with("b: 1", 1, (const char *[]){path}, &root, NULL), COHORT_DONE);
  CU_ASSERT_TRUE(reads_back(root));
  cohort_document_destroy(root);
  memcpy(path + 2 * 64 - 1, "=[]", 4);
  cohort_error error = {0};
  root = parse("b: 1");
  CU_ASSERT_EQUAL(cohort_config_override(root, path, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "too deep"));
  (void)snprintf(text, sizeof text, "a.%s", path);
  strchr(text, '=')[1] = '1';
  strchr(text, '=')[2] = '\0';
  CU_ASSERT_EQUAL(cohort_config_override(root, text, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_EQUAL(root->count, 1);
  cohort_document_destroy(root);
}

static void missing_files_are_named(void) {
  cohort_document *out = NULL;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_config_read("/nonexistent/c.yaml", 0, NULL, &out, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NULL(out);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "/nonexistent/c.yaml"));
}

static void texts_read_back_equal(void) {
  const char *const texts[] = {
      "a: 1\nb: {c: [1, 2, {d: -0.5}]}\ne: \"1\"\n",
      "a: \"null\"\nb: \"\"\nc: ~\nd: \"~\"\n",
      "a: \"- x\"\nb: \"x: y\"\nc: \"x #y\"\nd: \"[\"\ne: \" x \"\nf: \"a,b\"\ng: a,b\nh: '?'\ni: '-'\nj: '---'\n",
      "k: -1e-3\n",
      "a: \"\\n\\t\\r\\e\\x7f\\\\\\\"\"\n",
      "a: \"\\x85\\u2028\\u2029\\ufeff\\x80\\x9f\\ufffe\"\n",
      "a: |\n  two\n  lines\nb: >\n  folded\n  text\n",
      "\"a: b\": 1\n\"#c\": 2\n\"\": 3\n\"x\\ny\": 4\n\"[k]\": {\"{\": 5, \"a,b\": 6}\n",
      "a: \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n",
      "'null': 1\n'~': 2\n",
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    cohort_document *const root = parse(texts[i]);
    CU_ASSERT_TRUE(reads_back(root));
    cohort_document_destroy(root);
  }
}

static void long_keys_and_maps_read_back(void) {
  cohort_document *const root = cohort_document_create(COHORT_MAP, "c", 0, 0);
  cohort_document *inner = root;
  char name[3000];
  memset(name, 'k', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  for (int depth = 0; depth < 3; depth++) {
    for (int i = 0; i < 12; i++) {
      char key[32];
      (void)snprintf(key, sizeof key, "some_longer_key_%d", i);
      cohort_document *const value = cohort_document_create(COHORT_SCALAR, "c", 0, 0);
      cohort_document_set_text(value, key);
      cohort_document_set(inner, key, value);
    }
    cohort_document *const below = cohort_document_create(COHORT_MAP, "c", 0, 0);
    cohort_document_set(inner, name, below);
    inner = below;
  }
  CU_ASSERT_TRUE(reads_back(root));
  cohort_document_destroy(root);
}

static void small_maps_take_one_line(void) {
  cohort_document *const root = parse("model:\n  mlp:\n    sizes: [1,\n 2]\nsteps: 5\n");
  char *const text = cohort_config_write(root);
  CU_ASSERT_STRING_EQUAL(text, "model: {mlp: {sizes: [1, 2]}}\nsteps: 5\n");
  free(text);
  cohort_document_destroy(root);
}

static void json_has_types(void) {
  cohort_document *const root = parse(
      "i: 12\nr: -1.5e-3\nt: true\nq: \"12\"\nn: null\nl: [a, 0x1F, .5, 1., 007, inf, +1, 1.e5, 1e, -, 0.0]\n"
      "\"k\\n\\\"\": {}\n");
  char *const text = cohort_config_write_json(root);
  json_error_t fault = {0};
  json_t *const json = json_loads(text, 0, &fault);
  if (!json) printf("    %s: %s\n", fault.text, text);
  CU_ASSERT_PTR_NOT_NULL_FATAL(json);
  CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "i")), 12);
  CU_ASSERT_EQUAL(json_real_value(json_object_get(json, "r")), -1.5e-3);
  CU_ASSERT_TRUE(json_is_true(json_object_get(json, "t")));
  CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json, "q")), "12");
  CU_ASSERT_TRUE(json_is_null(json_object_get(json, "n")));
  const json_t *const list = json_object_get(json, "l");
  CU_ASSERT_EQUAL_FATAL(json_array_size(list), 11);
  for (size_t i = 0; i < 10; i++) CU_ASSERT_TRUE(json_is_string(json_array_get(list, i)));
  CU_ASSERT_TRUE(json_is_real(json_array_get(list, 10)));
  CU_ASSERT_TRUE(json_is_object(json_object_get(json, "k\n\"")));
  json_decref(json);
  free(text);
  cohort_document_destroy(root);
}

static void difference_lists_keys(void) {
  cohort_document *const a = parse("x: 1\ny: {p: 1, q: [1, 2]}\nz: 3\n");
  cohort_document *const b = parse("z: 3\ny: {q: [1, 3], p: 1, r: a}\nx: 2\n");
  cohort_document *const c = parse("z: '3'\ny: {q: [1, 2], p: 1}\nx: 1\n");
  char *const text = cohort_config_difference(a, b);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  CU_ASSERT_STRING_EQUAL(text, "  x: 1 -> 2\n  y.q: [1, 2] -> [1, 3]\n  y.r: (absent) -> a\n");
  CU_ASSERT_PTR_NULL(cohort_config_difference(a, c));
  char *const back = cohort_config_difference(b, a);
  CU_ASSERT_PTR_NOT_NULL_FATAL(back);
  CU_ASSERT_PTR_NOT_NULL(strstr(back, "  y.r: a -> (absent)\n"));
  free(text);
  free(back);
  cohort_document_destroy(a);
  cohort_document_destroy(b);
  cohort_document_destroy(c);
}

/* Whatever the bytes: a document whose texts read back equal, or a refusal that names the file. */
static void mutations_are_read_or_refused(void) {
  const char seed[] =
      "run: runs/a\nmodel: {mlp: {sizes: [784, 32, 10], activation: relu}}\ndata:\n  train: \"a b.h5\"\n  list:\n"
      "    - x\n    - {y: 'z', w: \"\\u00e4\\n\"}\nsteps: 1e3 # remark\nnote: |\n  text\n  lines\nnone: ~\n";
  uint64_t state = 2024;
  int good = 0, bad = 0;
  for (int i = 0; i < 20000; i++) {
    size_t length = 0;
    unsigned char *const text = mutate(&state, seed, sizeof seed - 1, "\n\t :,-?[]{}&*!|>'\"%@`#\\~0\r", &length);
    cohort_document *out = NULL;
    cohort_error error = {0};
    const cohort_status status = cohort_config_parse((const char *)text, length, "c.yaml", &out, &error);
    if (status == COHORT_DONE) {
      good++;
      const bool same = reads_back(out);
      CU_ASSERT_TRUE(same);
      char *const json = cohort_config_write_json(out);
      json_t *const tree = json_loads(json, 0, NULL);
      if (!tree) printf("    no JSON: %.300s\n", json);
      CU_ASSERT_PTR_NOT_NULL(tree);
      json_decref(tree);
      free(json);
      cohort_document_destroy(out);
    } else {
      bad++;
      CU_ASSERT_EQUAL(status, COHORT_BAD_CONFIG);
      CU_ASSERT_PTR_NULL(out);
      CU_ASSERT_EQUAL(strncmp(error.text, "c.yaml:", 7), 0);
    }
    free(text);
  }
  CU_ASSERT_TRUE(good > 1000);
  CU_ASSERT_TRUE(bad > 1000);
}

int main(void) {
  static const check checks[] = {
      {"kinds and places", kinds_and_places},
      {"empty configs are empty maps", empty_configs_are_empty_maps},
      {"refusals name the place", refusals_name_the_place},
      {"depth and size are bounded", depth_and_size_are_bounded},
      {"overrides replace and add", overrides_replace_and_add},
      {"overrides without effect are refused", overrides_without_effect_are_refused},
      {"overrides that cannot be read again are refused", overrides_that_cannot_be_read_again_are_refused},
      {"missing files are named", missing_files_are_named},
      {"texts read back equal", texts_read_back_equal},
      {"long keys and maps read back", long_keys_and_maps_read_back},
      {"small maps take one line", small_maps_take_one_line},
      {"JSON has types", json_has_types},
      {"difference lists keys", difference_lists_keys},
      {"mutations are read or refused", mutations_are_read_or_refused},
  };
  return check_run("config", checks, sizeof checks / sizeof *checks);
}
