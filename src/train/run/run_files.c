/* Finds what a run has left, and reads its config. A few looks at the file system. */
#include "train/run/run_files.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "io/checkpoint.h"
#include "io/config.h"
#include "io/file.h"
#include "io/model/files.h"

static bool is_checkpoint(const char *path) {
  const size_t length = strlen(path);
  return length > 3 && strcmp(path + length - 3, ".h5") == 0;
}

/* A released model stands for a config of the language task; parameters that shall differ are given as model.KEY. */
static cohort_document *config_of_model(const char *path) {
  cohort_document *out = cohort_document_create(COHORT_MAP, NULL, 0, 0);
  cohort_document *model = cohort_document_create(COHORT_MAP, NULL, 0, 0);
  const struct {
    cohort_document *map;
    const char *key, *text;
  } words[] = {{out, "task", "language"}, {out, "steps", "1"}, {model, "from", path}};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    cohort_document *scalar = cohort_document_create(COHORT_SCALAR, NULL, 0, 0);
    cohort_document_set_text(scalar, words[i].text);
    cohort_document_set(words[i].map, words[i].key, scalar);
  }
  cohort_document_set(out, "model", model);
  return out;
}

static cohort_status config_of_checkpoint(const char *path, cohort_document **out, cohort_error *error) {
  char *text = NULL;
  COHORT_TRY(cohort_checkpoint_text(path, "config", &text, error));
  const cohort_status status = cohort_config_parse(text, strlen(text), path, out, error);
  free(text);
  return status;
}

/* A folder that was moved has its tokenizer beside its config, and no longer where that says. */
static void find_tokenizer(const char *config, cohort_document *document) {
  const char *slash = strrchr(config, '/');
  cohort_document *named = cohort_document_get(cohort_document_get(document, "data"), "tokenizer");
  if (!slash || !named || named->kind != COHORT_SCALAR || cohort_document_is_null(named)) return;
  if (strcmp(named->text, "bytes") == 0 || cohort_file_exists(named->text)) return;
  char *beside = cohort_format_text("%.*s/tokenizer.json", (int)(slash - config), config);
  if (cohort_file_exists(beside)) cohort_document_set_text(named, beside);
  free(beside);
}

cohort_status cohort_run_files_config(const char *config, int overrides, char *const *override, cohort_document **out,
                                      cohort_error *error) {
  const bool model = cohort_model_files_are(config);
  if (!model && !is_checkpoint(config)) {
    COHORT_TRY(cohort_config_read(config, overrides, override, out, error));
    find_tokenizer(config, *out);
    return COHORT_DONE;
  }
  cohort_document *document = model ? config_of_model(config) : NULL;
  cohort_status status = model ? COHORT_DONE : config_of_checkpoint(config, &document, error);
  for (int i = 0; i < overrides && status == COHORT_DONE; i++)
    status = cohort_config_override(document, override[i], error);
  if (status == COHORT_DONE)
    *out = document;
  else
    cohort_document_destroy(document);
  return status;
}

/* The checkpoint that RUN/checkpoints/latest names; *weights stays NULL when there is none. */
static cohort_status find_latest(const char *run, char **weights, cohort_error *error) {
  char *latest = cohort_format_text("%s/checkpoints/latest", run), *name = NULL;
  size_t length = 0;
  const cohort_status status =
      cohort_file_exists(latest) ? cohort_file_read(latest, &name, &length, error) : COHORT_DONE;
  free(latest);
  if (!name) return status;
  name[strcspn(name, "\r\n")] = '\0';
  *weights = cohort_format_text("%s/checkpoints/%s", run, name);
  free(name);
  return status;
}

static bool is_directory(const char *path) {
  struct stat found;
  return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

cohort_status cohort_run_files_weights(const char *path, char **weights, cohort_error *error) {
  *weights = NULL;
  if (!cohort_file_exists(path))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: there is no such run or checkpoint", path);
  if (!is_directory(path)) {
    *weights = cohort_copy_text(path);
    return COHORT_DONE;
  }
  *weights = cohort_format_text("%s/final.h5", path);
  if (cohort_file_exists(*weights)) return COHORT_DONE;
  free(*weights);
  *weights = NULL;
  COHORT_TRY(find_latest(path, weights, error));
  return *weights
             ? COHORT_DONE
             : cohort_fail(error, COHORT_BAD_DATA, "%s: neither final.h5 nor a checkpoint; train the run first", path);
}

/* "run/checkpoints/step.h5" -> "run/checkpoints" */
static char *folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? cohort_format_text("%.*s", (int)(slash - path), path) : cohort_copy_text(".");
}

/* The config.yaml of the run that a checkpoint belongs to, else the file, which holds it too. */
static char *config_of_file(const char *path) {
  char *folder = folder_of(path), *config = cohort_format_text("%s/config.yaml", folder);
  if (!cohort_file_exists(config)) {
    free(config);
    config = cohort_format_text("%s/../config.yaml", folder);
  }
  free(folder);
  if (cohort_file_exists(config)) return config;
  free(config);
  return cohort_copy_text(path);
}

cohort_status cohort_run_files_find(const char *path, char **config, char **weights, cohort_error *error) {
  if (cohort_model_files_are(path)) {
    *config = cohort_copy_text(path);
    *weights = cohort_copy_text(path);
    return COHORT_DONE;
  }
  COHORT_TRY(cohort_run_files_weights(path, weights, error));
  *config = is_directory(path) ? cohort_format_text("%s/config.yaml", path) : config_of_file(path);
  if (cohort_file_exists(*config)) return COHORT_DONE;
  free(*config);
  free(*weights);
  *config = *weights = NULL;
  return cohort_fail(error, COHORT_BAD_DATA, "%s: this run has no config.yaml; give its checkpoint's file", path);
}
