/* Models by path. Invariant: what comes out is an ordinary config, so a run that began with a path is reproduced by its
 * own config. Costs a config.json, or the config of a run. */
#include "train/run/model_path.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/model/files.h"
#include "io/model/peft.h"
#include "method/registry.h"
#include "train/run/run_files.h"

static bool ends_in(const char *text, const char *end) {
  const size_t length = strlen(text), tail = strlen(end);
  return length > tail && strcmp(text + length - tail, end) == 0;
}

static bool is_directory(const char *path) {
  struct stat found;
  return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

bool cohort_model_path_is(const char *text) {
  if (cohort_registry_find(COHORT_VARIANT_F64, "model", text)) return false;
  return strchr(text, '/') || cohort_model_is_gguf(text) || ends_in(text, ".h5") || is_directory(text);
}

/* FOLDER/tokenizer.json, or NULL. */
static char *tokenizer_in(const char *folder) {
  char *path = cohort_format_text("%s/tokenizer.json", folder);
  if (cohort_file_exists(path)) return path;
  free(path);
  return NULL;
}

static cohort_status find_released(const char *path, cohort_model_path *out, cohort_error *error) {
  if (cohort_model_is_gguf(path))
    return cohort_fail(error, COHORT_BAD_CONFIG, "%s: convert it first: cohort convert %s FOLDER; then model: FOLDER",
                       path, path);
  char *config = cohort_format_text("%s/config.json", path);
  cohort_model_card card;
  const cohort_status status = cohort_card_read(config, &card, error);
  free(config);
  COHORT_TRY(status);
  out->model = cohort_card_document(&card);
  out->weights = cohort_copy_text(path);
  out->tokenizer = tokenizer_in(path);
  return COHORT_DONE;
}

static cohort_status find_run(const char *path, cohort_model_path *out, cohort_error *error) {
  cohort_document *config = NULL;
  char *text = ends_in(path, ".h5") ? cohort_copy_text(path) : cohort_format_text("%s/config.yaml", path);
  cohort_status status = cohort_run_files_config(text, 0, NULL, &config, error);
  free(text);
  COHORT_TRY(status);
  const cohort_document *model = cohort_document_get(config, "model");
  const cohort_document *tokenizer = cohort_document_get(cohort_document_get(config, "data"), "tokenizer");
  const bool whole = ends_in(path, ".h5");
  out->weights = whole ? cohort_copy_text(path) : cohort_format_text("%s/final.h5", path);
  if (!model || model->kind != COHORT_MAP)
    status = cohort_fail(error, COHORT_BAD_DATA, "%s: its config has no model", path);
  else if (!cohort_file_exists(out->weights))
    status =
        cohort_fail(error, COHORT_BAD_DATA, "%s: has no final.h5; finish the run, or give a checkpoint's file", path);
  if (status == COHORT_DONE) {
    out->model = cohort_document_copy(model);
    if (!whole) out->tokenizer = tokenizer_in(path);
    if (!out->tokenizer && tokenizer && tokenizer->kind == COHORT_SCALAR && !cohort_document_is_null(tokenizer))
      out->tokenizer = cohort_copy_text(tokenizer->text);
  }
  cohort_document_destroy(config);
  return status;
}

cohort_status cohort_model_path_find(const char *path, cohort_model_path *out, cohort_error *error) {
  *out = (cohort_model_path){NULL, NULL, NULL};
  char *json = cohort_format_text("%s/config.json", path), *yaml = cohort_format_text("%s/config.yaml", path);
  cohort_status status;
  if (!cohort_file_exists(path))
    status = cohort_fail(error, COHORT_BAD_CONFIG, "%s: there is no such model", path);
  else if (cohort_model_is_gguf(path))
    status = find_released(path, out, error);
  else if (ends_in(path, ".h5") || cohort_file_exists(yaml))
    status = find_run(path, out, error);
  else if (cohort_file_exists(json))
    status = find_released(path, out, error);
  else if (cohort_peft_is(path))
    status = cohort_fail(error, COHORT_BAD_CONFIG,
                         "%s: has adapters alone; put them beside their model: cohort convert %s FOLDER", path, path);
  else
    status = cohort_fail(error, COHORT_BAD_CONFIG, "%s: has neither config.json nor config.yaml: it is no model", path);
  free(json);
  free(yaml);
  if (status != COHORT_DONE) cohort_model_path_release(out);
  return status;
}

void cohort_model_path_release(cohort_model_path *own) {
  cohort_document_destroy(own->model);
  free(own->weights);
  free(own->tokenizer);
  *own = (cohort_model_path){NULL, NULL, NULL};
}

/* A key of a map that is not given, or null. */
static void set_unless_given(cohort_document *map, const char *name, const char *text, const cohort_document *place) {
  if (!text || !cohort_document_is_null(cohort_document_get(map, name))) return;
  cohort_document *scalar = cohort_document_create(COHORT_SCALAR, place->file, place->line, place->column);
  cohort_document_set_text(scalar, text);
  cohort_document_set(map, name, scalar);
}

static void set_all(cohort_document *config, const cohort_model_path *found, const cohort_document *given) {
  cohort_document *model = cohort_document_copy(found->model);
  for (size_t i = 0; given->kind == COHORT_MAP && i < given->count; i++)
    if (strcmp(given->names[i], "from") != 0)
      cohort_document_set(model->children[0], given->names[i], cohort_document_copy(given->children[i]));
  model->file = given->file, model->line = given->line, model->column = given->column;
  set_unless_given(config, "init_from", found->weights, given);
  if (found->tokenizer && !cohort_document_get(config, "data"))
    cohort_document_set(config, "data", cohort_document_create(COHORT_MAP, given->file, given->line, given->column));
  cohort_document *data = cohort_document_get(config, "data");
  if (data && data->kind == COHORT_MAP) set_unless_given(data, "tokenizer", found->tokenizer, given);
  cohort_document_set(config, "model", model); /* `given` is gone */
}

cohort_document *cohort_model_path_adopt(const cohort_document *config, cohort_faults *faults) {
  const cohort_document *given = cohort_document_get(config, "model");
  const cohort_document *from = cohort_document_get(given, "from");
  const cohort_document *path = from ? from : given;
  if (!path || path->kind != COHORT_SCALAR || cohort_document_is_null(path) || !path->text) return NULL;
  if (!from && !cohort_model_path_is(path->text)) return NULL;
  cohort_model_path found;
  cohort_error error;
  if (cohort_model_path_find(path->text, &found, &error) != COHORT_DONE) {
    cohort_faults_add(faults, path, "model: %s", error.text);
    return NULL;
  }
  if (!found.tokenizer &&
      cohort_document_is_null(cohort_document_get(cohort_document_get(config, "data"), "tokenizer")))
    cohort_faults_add(faults, path,
                      "model: %s has no tokenizer.json; give the tokenizer that its tokens are of (data.tokenizer; "
                      "`bytes` where they are bytes)",
                      path->text);
  cohort_document *out = cohort_document_copy(config);
  set_all(out, &found, cohort_document_get(out, "model"));
  cohort_model_path_release(&found);
  return out;
}
