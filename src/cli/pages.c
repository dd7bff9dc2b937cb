/* The files that the program writes of itself. Each is made in memory and written once, without waiting for the disk,
 * as a build can always make it again: some 400 pages take a tenth of a second. */
#include "cli/pages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/verbs.h"
#include "io/run_directory.h"
#include "method/describe.h"
#include "method/registry.h"
#include "train/run/keys.h"

/* A reference page beside those of the methods; `make` gives its text, owned by the caller. */
typedef struct page {
  const char *name, *title;
  cohort_status (*make)(char **text, cohort_error *error);
} page;

static cohort_status make_table(char **text, cohort_error *error) {
  return cohort_describe(NULL, NULL, COHORT_DESCRIBE_TSV, text, error);
}

static cohort_status make_keys(char **text, cohort_error *error) {
  return cohort_keys_describe(NULL, COHORT_KEYS_MARKDOWN, text, error);
}

static const page pages[] = {
    {"keys.md", "Keys of a config", make_keys},
    {"methods.tsv", "All methods as a table", make_table},
};

/* FOLDER/NAME with its folders. */
static cohort_status put(const char *folder, const char *name, const char *text, cohort_error *error) {
  char *const path = cohort_format_text("%s/%s", folder, name);
  char *const last = strrchr(path, '/');
  *last = '\0';
  cohort_status status = cohort_directory_create(path, error);
  *last = '/';
  if (status == COHORT_DONE) {
    FILE *const file = fopen(path, "w");
    const bool written = file && fputs(text, file) >= 0;
    if ((file && fclose(file) != 0) || !written)
      status = cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be written: %s", path, strerror(errno));
  }
  free(path);
  return status;
}

static cohort_status put_method(const char *folder, const cohort_method *method, cohort_text *index,
                                cohort_error *error) {
  char *text = NULL;
  COHORT_TRY(cohort_describe(method->family, method->key, COHORT_DESCRIBE_TEXT, &text, error));
  char *const name = cohort_format_text("%s/%s.txt", method->family, method->key);
  cohort_text_put(index, "- %s [%s](%s): %s\n", method->family, method->key, name, method->summary);
  const cohort_status status = put(folder, name, text, error);
  free(name);
  free(text);
  return status;
}

static cohort_status put_page(const char *folder, const page *from, cohort_text *index, cohort_error *error) {
  char *text = NULL;
  COHORT_TRY(from->make(&text, error));
  cohort_text_put(index, "- [%s](%s)\n", from->title, from->name);
  const cohort_status status = put(folder, from->name, text, error);
  free(text);
  return status;
}

static cohort_status put_reference(const char *folder, cohort_error *error) {
  cohort_text index = {0};
  cohort_text_put(&index, "# Reference\n\n");
  cohort_status status = COHORT_DONE;
  for (size_t p = 0; status == COHORT_DONE && p < sizeof pages / sizeof *pages; p++)
    status = put_page(folder, &pages[p], &index, error);
  cohort_text_put(&index, "\n# The catalogue\n\n");
  const cohort_method *method;
  for (int i = 0; status == COHORT_DONE && (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++)
    status = put_method(folder, method, &index, error);
  if (status == COHORT_DONE) status = put(folder, "README.md", index.text, error);
  free(index.text);
  return status;
}

static cohort_status put_manual(const char *folder, const cohort_verb *verb, cohort_error *error) {
  cohort_text out = {0};
  cohort_manual_page(&out, verb);
  char *const name = verb ? cohort_format_text("cohort-%s.1", verb->name) : cohort_copy_text("cohort.1");
  const cohort_status status = put(folder, name, out.text, error);
  free(name);
  free(out.text);
  return status;
}

static cohort_status put_manuals(const char *folder, cohort_error *error) {
  COHORT_TRY(put_manual(folder, NULL, error));
  const cohort_verb *verb;
  for (int v = 0; (verb = cohort_command_verb(v)); v++) COHORT_TRY(put_manual(folder, verb, error));
  return COHORT_DONE;
}

static cohort_status put_completion(const char *folder, cohort_error *error) {
  cohort_text out = {0};
  cohort_completion_script(&out);
  const cohort_status status = put(folder, "cohort", out.text, error);
  free(out.text);
  return status;
}

cohort_status cohort_pages_write(const char *folder, cohort_error *error) {
  static const struct {
    const char *name;
    cohort_status (*put)(const char *folder, cohort_error *error);
  } parts[] = {{"reference", put_reference}, {"man1", put_manuals}, {"completion", put_completion}};
  cohort_status status = COHORT_DONE;
  for (size_t p = 0; status == COHORT_DONE && p < sizeof parts / sizeof *parts; p++) {
    char *const path = cohort_format_text("%s/%s", folder, parts[p].name);
    status = parts[p].put(path, error);
    free(path);
  }
  return status;
}
