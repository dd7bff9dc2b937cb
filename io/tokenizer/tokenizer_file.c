/* Where tokenizers come from and go to: files and folders, told apart by what they hold, and the ids that the files
 * beside a tokenizer.json name. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/tokenizer/tokenizer_json.h"
#include "io/tokenizer/tokenizer_own.h"

static bool is_folder(const char *path) {
  struct stat seen;
  return stat(path, &seen) == 0 && S_ISDIR(seen.st_mode);
}

/* A tokenizer.json has a model, Cohort's own file has none. */
static bool has_model(const char *text, size_t length) { return memmem(text, length, "\"model\"", 7) != NULL; }

static char *folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  char *folder = cohort_copy_text(slash ? path : ".");
  if (slash) folder[slash == path ? 1 : slash - path] = '\0';
  return folder;
}

static cohort_status read_file(const char *path, const char *folder, cohort_tokenizer **out, cohort_error *error) {
  char *text = NULL;
  size_t length = 0;
  COHORT_TRY(cohort_file_read(path, &text, &length, error));
  if (!has_model(text, length)) {
    const cohort_status status = cohort_tokenizer_read_own(path, text, length, out, error);
    free(text);
    return status;
  }
  cohort_tokenizer *own = NULL;
  COHORT_TRY(cohort_tokenizer_parse(path, text, length, &own, error));
  const cohort_status status = cohort_tokenizer_read_ids(folder, own, error);
  if (status != COHORT_DONE) {
    cohort_tokenizer_destroy(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

cohort_status cohort_tokenizer_read(const char *path, cohort_tokenizer **out, cohort_error *error) {
  if (!cohort_file_exists(path))
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: there is no such tokenizer; make it with: cohort tokenize TEXT -o %s --vocabulary 1024",
                       path, path);
  char *file = is_folder(path) ? cohort_format_text("%s/tokenizer.json", path) : cohort_copy_text(path);
  char *folder = is_folder(path) ? cohort_copy_text(path) : folder_of(path);
  cohort_status status;
  if (cohort_file_exists(file))
    status = read_file(file, folder, out, error);
  else
    status = cohort_fail(error, COHORT_BAD_DATA, "%s: the folder has no tokenizer.json; only that form is read", path);
  free(file);
  free(folder);
  return status;
}

/* A file beside the tokenizer; NULL when it is not there. */
static cohort_status read_beside(const char *folder, const char *name, json_t **out, cohort_error *error) {
  char *path = cohort_format_text("%s/%s", folder, name), *text = NULL;
  size_t length = 0;
  json_error_t fault;
  cohort_status status = COHORT_DONE;
  *out = NULL;
  if (cohort_file_exists(path)) status = cohort_file_read(path, &text, &length, error);
  if (text) {
    *out = json_loadb(text, length, JSON_ALLOW_NUL, &fault);
    if (!*out)
      status = cohort_fail(error, COHORT_BAD_DATA, "%s:%d:%d: %s", path, fault.line, fault.column,
                           cohort_json_quote(fault.text));
  }
  free(text);
  free(path);
  return status;
}

typedef struct beside {
  json_t *config, *map, *generation, *model;
} beside;

static int id_of_number(const cohort_tokenizer *own, const json_t *value) {
  const json_t *id = json_is_array(value) ? json_array_get(value, 0) : value;
  const json_int_t number = json_is_integer(id) ? json_integer_value(id) : -1;
  return number >= 0 && number < own->vocabulary ? (int)number : -1;
}

/* "</s>" or {"content": "</s>", ...} */
static int id_of_text(const cohort_tokenizer *own, const json_t *value) {
  const json_t *text = json_is_object(value) ? json_object_get(value, "content") : value;
  return json_is_string(text) ? cohort_tokenizer_id(own, json_string_value(text), json_string_length(text)) : -1;
}

/* The first file that names one. */
static int find_id(const cohort_tokenizer *own, const beside *files, const char *token, const char *number) {
  int id = id_of_text(own, json_object_get(files->config, token));
  if (id < 0) id = id_of_text(own, json_object_get(files->map, token));
  if (id < 0) id = id_of_number(own, json_object_get(files->generation, number));
  if (id < 0) id = id_of_number(own, json_object_get(files->model, number));
  return id;
}

static void add_stop(cohort_tokenizer *own, int id) {
  for (int i = 0; i < own->stop_count; i++)
    if (own->stops[i] == id) return;
  if (id < 0) return;
  own->stops = cohort_reallocate(own->stops, (size_t)(own->stop_count + 1) * sizeof *own->stops);
  own->stops[own->stop_count++] = id;
}

static void find_stops(cohort_tokenizer *own, const beside *files) {
  const json_t *named = json_object_get(files->generation, "eos_token_id");
  if (!named) named = json_object_get(files->model, "eos_token_id");
  add_stop(own, own->end);
  if (!json_is_array(named)) add_stop(own, id_of_number(own, named));
  for (size_t i = 0; i < json_array_size(named); i++) add_stop(own, id_of_number(own, json_array_get(named, i)));
}

cohort_status cohort_tokenizer_read_ids(const char *folder, cohort_tokenizer *tokenizer, cohort_error *error) {
  beside files = {0};
  cohort_status status = read_beside(folder, "tokenizer_config.json", &files.config, error);
  if (status == COHORT_DONE) status = read_beside(folder, "special_tokens_map.json", &files.map, error);
  if (status == COHORT_DONE) status = read_beside(folder, "generation_config.json", &files.generation, error);
  if (status == COHORT_DONE) status = read_beside(folder, "config.json", &files.model, error);
  if (status == COHORT_DONE) {
    tokenizer->begin = find_id(tokenizer, &files, "bos_token", "bos_token_id");
    tokenizer->end = find_id(tokenizer, &files, "eos_token", "eos_token_id");
    tokenizer->pad = find_id(tokenizer, &files, "pad_token", "pad_token_id");
    find_stops(tokenizer, &files);
    if (tokenizer->end >= 0) tokenizer->special[tokenizer->end] = true;
    tokenizer->digest = XXH3_64bits_withSeed(tokenizer->source, tokenizer->source_length, (uint64_t)tokenizer->end + 1);
  }
  json_decref(files.config);
  json_decref(files.map);
  json_decref(files.generation);
  json_decref(files.model);
  return status;
}

static cohort_status write_text(const char *path, char *text, cohort_error *error) {
  const cohort_status status = cohort_file_write(path, text, strlen(text), error);
  free(text);
  return status;
}

cohort_status cohort_tokenizer_write(const cohort_tokenizer *tokenizer, const char *path, cohort_error *error) {
  if (tokenizer->source) return cohort_file_write(path, tokenizer->source, tokenizer->source_length, error);
  json_t *merges = json_array();
  for (int i = 0; i < tokenizer->merges; i++)
    (void)json_array_append_new(merges, json_pack("[i,i]", tokenizer->merge[2 * i], tokenizer->merge[2 * i + 1]));
  json_t *root = json_pack("{s:s,s:i,s:o}", "kind", "byte_bpe", "vocabulary", tokenizer->vocabulary, "merges", merges);
  char *text = json_dumps(root, JSON_COMPACT);
  json_decref(root);
  return write_text(path, text, error);
}

cohort_status cohort_tokenizer_export(const cohort_tokenizer *tokenizer, const char *path, cohort_error *error) {
  if (tokenizer->source) return cohort_file_write(path, tokenizer->source, tokenizer->source_length, error);
  char *text = cohort_tokenizer_json(tokenizer);
  if (!text)
    return cohort_fail(
        error, COHORT_BAD_DATA,
        "%s: two tokens of this tokenizer have one text, which a tokenizer.json cannot say; train it again", path);
  return write_text(path, text, error);
}
