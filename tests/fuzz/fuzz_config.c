/* Configs: what is read is written back equal, as YAML and as JSON, before and after overrides. */
#include <jansson.h>

#include "fuzz/fuzz.h"
#include "io/config.h"

static void check_document(const fuzz_try *at, const cohort_document *root) {
  cohort_error error;
  cohort_document *again = NULL;
  char *const yaml = cohort_config_write(root);
  fuzz_must(at, cohort_config_parse(yaml, strlen(yaml), "again", &again, &error) == COHORT_DONE,
            "YAML written is read");
  fuzz_must(at, cohort_document_equal(root, again), "YAML written reads back equal");
  fuzz_must(at, !cohort_config_difference(root, again), "a config does not differ from itself");
  cohort_document_destroy(again);
  free(yaml);
  char *const text = cohort_config_write_json(root);
  json_t *const json = json_loads(text, 0, NULL);
  fuzz_must(at, json_is_object(json) && json_object_size(json) == root->count, "JSON written is read");
  json_decref(json);
  free(text);
}

static void check_places(const fuzz_try *at, const cohort_document *document) {
  fuzz_must(at, document->line > 0 && document->column > 0, "all that is read has a place");
  for (size_t i = 0; i < document->count; i++) check_places(at, document->children[i]);
}

static void check_override(const fuzz_try *at, cohort_document *root, uint64_t *state) {
  static const char *const seeds[] = {"model.mlp.sizes.1=64", "data.list.1.y={a: [1, 2]}", "steps=\"5\"", "new.a.b=",
                                      "run.deep=x",           "data.list=[a, {b: ~}]"};
  const char *const seed = seeds[mutate_random(state) % (sizeof seeds / sizeof *seeds)];
  size_t length = 0;
  char *const override = (char *)mutate(state, seed, strlen(seed), ".=[]{}:,0 \"\n", &length);
  cohort_document *const before = cohort_document_copy(root);
  cohort_error error = {0};
  const cohort_status status = cohort_config_override(root, override, &error);
  if (status == COHORT_DONE) {
    check_document(at, root);
    char *const difference = cohort_config_difference(before, root);
    fuzz_must(at, !difference == cohort_document_equal(before, root), "a difference is told when there is one");
    free(difference);
  } else {
    fuzz_must(at, status == COHORT_BAD_CONFIG && strncmp(error.text, "command line:", 13) == 0,
              "an override is refused as one of the command line");
  }
  cohort_document_destroy(before);
  free(override);
}

static fuzz_end run(const fuzz_try *at, int seed, const unsigned char *data, size_t length, uint64_t *state) {
  (void)seed;
  cohort_document *root = NULL;
  cohort_error error = {0};
  const cohort_status status = cohort_config_parse((const char *)data, length, "c.yaml", &root, &error);
  if (status != COHORT_DONE) {
    fuzz_must(at, !root, "nothing is given out when refused");
    fuzz_refusal(at, status, COHORT_BAD_CONFIG, &error, "c.yaml");
    return FUZZ_REFUSED;
  }
  check_places(at, root);
  check_document(at, root);
  check_override(at, root, state);
  cohort_document_destroy(root);
  return FUZZ_READ;
}

int main(int count, char **word) {
  static const char block[] =
      "run: runs/a\nmodel: {mlp: {sizes: [784, 32, 10], activation: relu}}\ndata:\n  train: \"a b.h5\"\n  list:\n"
      "    - x\n    - {y: 'z', w: \"\\u00e4\\n\"}\nsteps: 1e3 # remark\nnote: |\n  text\n  lines\nnone: ~\n";
  static const char flow[] = "{a: 1, \"b c\": [x, 'y''z', \"\\x41\\t\", {d: -.5}], e: {f: {g: null}}, ? h : >-\n}\n";
  static const char wide[] = "%YAML 1.1\n---\n\xc3\xa4: \xe2\x82\xac\n\"\\u2028\": \"\\U0001F600\"\n...\n";
  static const fuzz_seed seeds[] = {{block, sizeof block - 1}, {flow, sizeof flow - 1}, {wide, sizeof wide - 1}};
  const fuzz_reader reader = {"fuzz_config", "\n\t :,-?[]{}&*!|>'\"%@`#\\~0\r", 3, seeds, run};
  return fuzz_main(count, word, &reader);
}
