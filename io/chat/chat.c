/* Chat templates: where they come from. Invariant: a template that is given out renders; texts of special tokens are
 * those of the file beside it. Costs a pass over the files. */
#include "io/chat/chat.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "io/chat/chat_own.h"
#include "io/dataset/dataset.h"
#include "io/run_directory.h"

cohort_status cohort_chat_parse(const char *name, const char *text, size_t length, cohort_chat **out,
                                cohort_error *error) {
  cohort_chat_tokens tokens;
  *out = NULL;
  COHORT_TRY(cohort_chat_lex(name, text, length, &tokens, error));
  cohort_chat_parser parser = {.name = name, .tokens = &tokens, .error = error};
  cohort_chat_node *root = cohort_chat_parse_template(&parser);
  cohort_chat_tokens_release(&tokens);
  if (parser.failed) {
    cohort_chat_node_destroy(root);
    return COHORT_BAD_DATA;
  }
  cohort_chat *own = cohort_allocate(sizeof *own);
  *own = (cohort_chat){.name = cohort_copy_text(name),
                       .root = root,
                       .names = json_object(),
                       .marks = parser.marks,
                       .digest = cohort_digest(text, length, 7)};
  *out = own;
  return COHORT_DONE;
}

void cohort_chat_destroy(cohort_chat *chat) {
  if (!chat) return;
  cohort_chat_node_destroy(chat->root);
  json_decref(chat->names);
  free(chat->name);
  free(chat);
}

void cohort_chat_set(cohort_chat *chat, const char *name, const char *text) {
  if (text)
    json_object_set_new(chat->names, name, json_string(text));
  else
    json_object_del(chat->names, name);
}

bool cohort_chat_marks(const cohort_chat *chat) { return chat->marks; }

unsigned long long cohort_chat_digest(const cohort_chat *chat) {
  char *names = json_dumps(chat->names, JSON_SORT_KEYS);
  const unsigned long long both = cohort_digest(names, strlen(names), chat->digest | 1);
  free(names);
  return both;
}

static bool is_there(const char *path) {
  struct stat about;
  return stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

/* The one template, or of several the one called default. */
static const json_t *template_of(const json_t *config) {
  const json_t *value = json_object_get(config, "chat_template");
  size_t i;
  json_t *each;
  if (!json_is_array(value)) return value;
  json_array_foreach((json_t *)(size_t)value, i, each) {
    const json_t *name = json_object_get(each, "name");
    if (json_is_string(name) && strcmp(json_string_value(name), "default") == 0)
      return json_object_get(each, "template");
  }
  return NULL;
}

/* Texts of special tokens: a string, or {"content": ...}. */
static void set_names(cohort_chat *chat, const json_t *config) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(size_t)config, key, value) {
    const size_t length = strlen(key);
    if (length < 6 || strcmp(key + length - 6, "_token") != 0) continue;
    const json_t *text = json_is_object(value) ? json_object_get(value, "content") : value;
    if (json_is_string(text)) cohort_chat_set(chat, key, json_string_value(text));
  }
}

static cohort_status read_config(const char *path, json_t **out, cohort_error *error) {
  json_error_t fault;
  *out = json_load_file(path, 0, &fault);
  if (*out) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_DATA, "%s:%d:%d: not JSON: %s", path, fault.line, fault.column, fault.text);
}

static cohort_status read_template(const char *path, cohort_chat **out, cohort_error *error) {
  char *text = NULL;
  size_t length = 0;
  COHORT_TRY(cohort_file_read(path, &text, &length, error));
  const cohort_status status = cohort_chat_parse(path, text, length, out, error);
  free(text);
  return status;
}

cohort_status cohort_chat_read(const char *path, cohort_chat **out, cohort_error *error) {
  const size_t length = strlen(path);
  const bool json = length > 5 && strcmp(path + length - 5, ".json") == 0, file = is_there(path);
  const char *slash = strrchr(path, '/');
  char *folder = !file   ? cohort_copy_text(path)
                 : slash ? cohort_format_text("%.*s", (int)(slash - path), path)
                         : cohort_copy_text(".");
  char *own = file && !json ? cohort_copy_text(path) : cohort_format_text("%s/chat_template.jinja", folder);
  char *config = file && json ? cohort_copy_text(path) : cohort_format_text("%s/tokenizer_config.json", folder);
  json_t *words = NULL;
  cohort_status status = is_there(config) ? read_config(config, &words, error) : COHORT_DONE;
  const json_t *inside = template_of(words);
  *out = NULL;
  if (status == COHORT_DONE && is_there(own) && !(file && json && inside))
    status = read_template(own, out, error);
  else if (status == COHORT_DONE && json_is_string(inside))
    status = cohort_chat_parse(config, json_string_value(inside), json_string_length(inside), out, error);
  else if (status == COHORT_DONE)
    status = cohort_fail(error, COHORT_BAD_DATA, "%s: has no chat template; give one (chat_template.jinja)", path);
  if (status == COHORT_DONE) set_names(*out, words);
  json_decref(words);
  free(folder);
  free(own);
  free(config);
  return status;
}
