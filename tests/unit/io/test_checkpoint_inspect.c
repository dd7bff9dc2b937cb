/* Looking into checkpoints: comparison, listing, one text, one dataset. */
#include <jansson.h>

#include "checkpoint_sample.h"

static void other_name(sample *state) { state->tensor[3].name = "classifier"; }
static void other_slot(sample *state) { state->flat[1].flat_path = "/model/flat/main/v"; }
static void one_element(sample *state) { ((float *)state->flat[1].slice)[3500] += 0.5f; }
static void one_number(sample *state) { state->number[1].value++; }
static void other_texts(sample *state) { state->text[1].text = "run: y\nranks: 4\n"; }
static void minus_zero(sample *state) { ((float *)state->flat[0].slice)[18] = 0.0f; }

/* Standard output between these two calls; the text is owned by the caller. */
static FILE *begin_capture(int *kept) {
  FILE *const file = tmpfile();
  fflush(stdout);
  *kept = dup(STDOUT_FILENO);
  dup2(fileno(file), STDOUT_FILENO);
  return file;
}

static char *end_capture(FILE *file, int kept) {
  fflush(stdout);
  dup2(kept, STDOUT_FILENO);
  close(kept);
  char *const text = cohort_allocate(65536);
  rewind(file);
  text[fread(text, 1, 65535, file)] = '\0';
  fclose(file);
  return text;
}

static char *compare_output(const char *a, const char *b, bool *equal) {
  int kept = -1;
  cohort_error error = {0};
  FILE *const file = begin_capture(&kept);
  const cohort_status status = cohort_checkpoint_compare(a, b, equal, &error);
  char *const text = end_capture(file, kept);
  CU_ASSERT_EQUAL(status, COHORT_DONE);
  return text;
}

static char *print_output(const char *path, bool json, cohort_status *status) {
  int kept = -1;
  cohort_error error = {0};
  FILE *const file = begin_capture(&kept);
  *status = cohort_checkpoint_print(path, json, &error);
  return end_capture(file, kept);
}

static void print_lists_tensors_with_digests(void) {
  char *const directory = make_directory();
  char *const path = cohort_format_text("%s/a.h5", directory);
  save(2, directory, "a.h5", 3);
  cohort_status status = COHORT_BUG;
  char *const text = print_output(path, true, &status);
  CU_ASSERT_EQUAL(status, COHORT_DONE);
  json_t *const tree = json_loads(text, 0, NULL);
  CU_ASSERT_PTR_NOT_NULL_FATAL(tree);
  CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_object_get(tree, "format"), "step")), 3);
  CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_object_get(tree, "format"), "seed")),
                         "18364758544493064720");
  CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_object_get(tree, "sampler"), "position")), -3);
  const json_t *const datasets = json_object_get(tree, "datasets");
  CU_ASSERT_EQUAL_FATAL(json_array_size(datasets), FLATS);
  const json_t *const tensors = json_object_get(json_array_get(datasets, 1), "tensors");
  CU_ASSERT_EQUAL_FATAL(json_array_size(tensors), 4);
  const json_t *const tensor = json_array_get(tensors, 1);
  CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(tensor, "name")), "layer0.weight");
  CU_ASSERT_EQUAL(json_integer_value(json_array_get(json_object_get(tensor, "shape"), 2)), 13);
  const char *const digest = json_string_value(json_object_get(tensor, "digest"));
  CU_ASSERT_EQUAL(strlen(digest), 16);
  char *const plain = print_output(path, false, &status);
  CU_ASSERT_EQUAL(status, COHORT_DONE);
  char *const line = cohort_format_text("/model/main/m/layer0.weight [7, 11, 13] %s\n", digest);
  CU_ASSERT_PTR_NOT_NULL(strstr(plain, line));
  flip_byte(path, 60000);
  char *const damaged = print_output(path, false, &status);
  CU_ASSERT_EQUAL(status, COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(damaged, "DAMAGED"));
  free(damaged);
  free(line);
  free(plain);
  json_decref(tree);
  free(text);
  free(path);
  remove_directory(directory);
}

static void compare_names_the_first_difference(void) {
  const struct {
    void (*change)(sample *);
    bool equal;
    const char *named;
  } cases[] = {{NULL, true, "same bits"},
               {other_texts, true, "same bits"},
               {one_element, false, "/model/main/m/layer0.weight: 1 of 1001 elements, max |a-b| = 0.5"},
               {minus_zero, false, "/model/parameters/embedding: 1 of 3000 elements, max |a-b| = 0"},
               {one_number, false, "/sampler position: -3 against -2"},
               {other_name, false, "/model/parameters/head is only in the first file"},
               {other_slot, false, "/model/flat/main/m is only in the first file"}};
  char *const directory = make_directory();
  char *const a = cohort_format_text("%s/a.h5", directory);
  char *const b = cohort_format_text("%s/b.h5", directory);
  save(1, directory, "a.h5", 3);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    job work = {.directory = directory, .name = "b.h5", .step = 3, .change = cases[i].change};
    CU_ASSERT_EQUAL(cohort_comm_run_threads(1, save_on_rank, &work), COHORT_DONE);
    bool equal = !cases[i].equal;
    char *const text = compare_output(a, b, &equal);
    CU_ASSERT_EQUAL(equal, cases[i].equal);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, cases[i].named));
    if (!strstr(text, cases[i].named)) printf("\n%s", text);
    free(text);
  }
  cohort_error error = {0};
  bool equal = false;
  flip_byte(b, 60000);
  CU_ASSERT_EQUAL(cohort_checkpoint_compare(a, b, &equal, &error), COHORT_BAD_DATA);
  free(a);
  free(b);
  remove_directory(directory);
}

static char long_text[200001];
static void long_config(sample *state) { state->text[1].text = long_text; }

static void texts_and_one_dataset(void) {
  char *const directory = make_directory();
  char *const path = cohort_format_text("%s/a.h5", directory);
  memset(long_text, 'c', sizeof long_text - 1); /* beyond what fits into an object's header */
  job work = {.directory = directory, .name = "a.h5", .step = 3, .change = long_config};
  CU_ASSERT_EQUAL(cohort_comm_run_threads(3, save_on_rank, &work), COHORT_DONE);
  CU_ASSERT_EQUAL(work.bytes[0] + work.bytes[1] + work.bytes[2], 10002u * 16 + 1500 * 8);
  cohort_error error = {0};
  char *text = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_checkpoint_text(path, "config", &text, &error), COHORT_DONE);
  CU_ASSERT_STRING_EQUAL(text, long_text);
  free(text);
  CU_ASSERT_EQUAL(cohort_checkpoint_text(path, "nothing", &text, &error), COHORT_BAD_DATA);
  cohort_flat_contents contents = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_checkpoint_read_flat(path, "/model/flat/main/m", "/model/main/m", &contents, &error),
                        COHORT_DONE);
  CU_ASSERT_EQUAL(contents.elements, 10002);
  CU_ASSERT_EQUAL_FATAL(contents.tensors, 4);
  for (int i = 0; i < 4; i++) {
    CU_ASSERT_STRING_EQUAL(contents.tensor[i].name, model_tensors[i].name);
    CU_ASSERT_EQUAL(contents.tensor[i].offset, model_tensors[i].offset);
    CU_ASSERT_EQUAL(contents.tensor[i].axes, model_tensors[i].axes ? model_tensors[i].axes : 1);
  }
  CU_ASSERT_EQUAL(contents.tensor[1].size[2], 13);
  const cohort_stored_flat flat = {.type = COHORT_STORED_FLOAT32};
  for (int64_t i = 0; i < contents.elements; i++) {
    double wanted = 0;
    put_element(&flat, 1, 3, i, &wanted);
    if (memcmp(&wanted, &contents.data[i], sizeof(float)) != 0) CU_FAIL_FATAL("read_flat gives other bits");
  }
  cohort_flat_release(&contents);
  CU_ASSERT_EQUAL(cohort_checkpoint_read_flat(path, "/model/flat/main/sums", "/model/main/sums", &contents, &error),
                  COHORT_BAD_DATA);
  CU_ASSERT_EQUAL(cohort_checkpoint_read_flat(path, "/x", "/y", &contents, &error), COHORT_BAD_DATA);
  free(path);
  remove_directory(directory);
}

int main(void) {
  static const check checks[] = {{"compare names the first difference", compare_names_the_first_difference},
                                 {"print lists tensors with digests", print_lists_tensors_with_digests},
                                 {"texts and one dataset", texts_and_one_dataset}};
  return check_run("checkpoint_inspect", checks, sizeof checks / sizeof *checks);
}
