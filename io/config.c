/* YAML to documents, with the place of every value, and `key=value` overrides. A document that is taken has bounded
 * depth and no aliases, and can be written and read again as it is. One pass over the text. */
#include "io/config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/memory.h"
#include "io/run_directory.h"

enum { DEEPEST = 64, LONGEST = 4 << 20 };

/* Documents being built, innermost last. */
typedef struct reader {
  yaml_parser_t parser;
  const char *file, *text;
  cohort_error *error;
  cohort_document *open[DEEPEST];
  char *key[DEEPEST]; /* of a map: the key that waits for its value */
  yaml_mark_t key_mark[DEEPEST];
  int depth;
  bool began; /* the one document */
  cohort_document *root;
} reader;

static cohort_status refuse(const reader *own, const yaml_mark_t *mark, const char *what) {
  return cohort_fail(own->error, COHORT_BAD_CONFIG, "%s:%zu:%zu: %s", own->file, mark->line + 1, mark->column + 1,
                     what);
}

/* Gives a finished or opened document to its parent. */
static cohort_status place(reader *own, cohort_document *document) {
  if (own->depth == 0) {
    own->root = document;
    return COHORT_DONE;
  }
  cohort_document *parent = own->open[own->depth - 1];
  if (parent->kind == COHORT_LIST) {
    cohort_document_append(parent, document);
    return COHORT_DONE;
  }
  char **key = &own->key[own->depth - 1];
  const yaml_mark_t *mark = &own->key_mark[own->depth - 1];
  if (cohort_document_get(parent, *key)) {
    char text[160];
    (void)snprintf(text, sizeof text, "%.100s is given twice; keep one", *key);
    cohort_document_destroy(document);
    return refuse(own, mark, text);
  }
  document->key_line = (int)mark->line + 1;
  document->key_column = (int)mark->column + 1;
  cohort_document_set(parent, *key, document);
  free(*key);
  *key = NULL;
  return COHORT_DONE;
}

static cohort_status read_scalar(reader *own, const yaml_event_t *event) {
  const char *text = (const char *)event->data.scalar.value;
  const yaml_mark_t *mark = &event->start_mark;
  if (event->data.scalar.anchor) return refuse(own, mark, "YAML anchors are not supported; write the value out");
  if (strlen(text) != event->data.scalar.length) return refuse(own, mark, "a NUL byte; remove it");
  if (own->depth == 0) return *text ? refuse(own, mark, "a config is a map: key: value") : COHORT_DONE;
  if (own->open[own->depth - 1]->kind == COHORT_MAP && !own->key[own->depth - 1]) {
    own->key[own->depth - 1] = cohort_copy_text(text);
    own->key_mark[own->depth - 1] = *mark;
    return COHORT_DONE;
  }
  cohort_document *scalar =
      cohort_document_create(COHORT_SCALAR, own->file, (int)mark->line + 1, (int)mark->column + 1);
  cohort_document_set_text(scalar, text);
  scalar->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
  return place(own, scalar);
}

static cohort_status open_collection(reader *own, cohort_document_kind kind, const yaml_event_t *event, bool anchored) {
  const yaml_mark_t *mark = &event->start_mark;
  if (anchored) return refuse(own, mark, "YAML anchors are not supported; write the value out");
  if (own->depth == DEEPEST) return refuse(own, mark, "nested too deeply; at most 64 levels are supported");
  if (own->depth > 0 && own->open[own->depth - 1]->kind == COHORT_MAP && !own->key[own->depth - 1])
    return refuse(own, mark, "a key must be a plain word");
  if (own->depth == 0 && kind != COHORT_MAP) return refuse(own, mark, "a config is a map: key: value");
  cohort_document *document = cohort_document_create(kind, own->file, (int)mark->line + 1, (int)mark->column + 1);
  COHORT_TRY(place(own, document));
  own->open[own->depth++] = document;
  return COHORT_DONE;
}

static cohort_status take_event(reader *own, const yaml_event_t *event) {
  switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
      if (own->began) return refuse(own, &event->start_mark, "a second YAML document; a config is a single one");
      own->began = true;
      return COHORT_DONE;
    case YAML_ALIAS_EVENT:
      return refuse(own, &event->start_mark, "YAML aliases are not supported; write the value out");
    case YAML_SCALAR_EVENT:
      return read_scalar(own, event);
    case YAML_MAPPING_START_EVENT:
      return open_collection(own, COHORT_MAP, event, event->data.mapping_start.anchor != NULL);
    case YAML_SEQUENCE_START_EVENT:
      return open_collection(own, COHORT_LIST, event, event->data.sequence_start.anchor != NULL);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
      own->depth--;
      return COHORT_DONE;
    default:
      return COHORT_DONE;
  }
}

/* Where libyaml found its fault; bytes that are no text have an offset alone. */
static yaml_mark_t fault_mark(const reader *own) {
  if (own->parser.error != YAML_READER_ERROR) return own->parser.problem_mark;
  yaml_mark_t mark = {0};
  for (size_t i = 0; i < own->parser.problem_offset; i++) {
    const bool begins = ((unsigned char)own->text[i] & 0xC0) != 0x80;
    mark.column = own->text[i] == '\n' ? 0 : mark.column + begins;
    mark.line += own->text[i] == '\n';
  }
  return mark;
}

static cohort_status read_events(reader *own) {
  for (bool more = true; more;) {
    yaml_event_t event;
    if (!yaml_parser_parse(&own->parser, &event)) {
      const yaml_mark_t mark = fault_mark(own);
      char text[200];
      (void)snprintf(text, sizeof text, "not YAML: %.150s", own->parser.problem ? own->parser.problem : "unreadable");
      return refuse(own, &mark, text);
    }
    more = event.type != YAML_STREAM_END_EVENT;
    const cohort_status status = take_event(own, &event);
    yaml_event_delete(&event);
    COHORT_TRY(status);
  }
  return COHORT_DONE;
}

cohort_status cohort_config_parse(const char *text, size_t length, const char *file, cohort_document **out,
                                  cohort_error *error) {
  if (length > LONGEST)
    return cohort_fail(error, COHORT_BAD_CONFIG, "%s: larger than 4 MiB; a config is smaller", file);
  reader own = {.file = file, .text = text, .error = error};
  if (!yaml_parser_initialize(&own.parser))
    return cohort_fail(error, COHORT_NO_RESOURCE, "%s: no memory to read it", file);
  yaml_parser_set_input_string(&own.parser, (const unsigned char *)text, length);
  yaml_parser_set_encoding(&own.parser, YAML_UTF8_ENCODING);
  const cohort_status status = read_events(&own);
  yaml_parser_delete(&own.parser);
  for (int d = 0; d < DEEPEST; d++) free(own.key[d]);
  if (status != COHORT_DONE) {
    cohort_document_destroy(own.root);
    return status;
  }
  *out = own.root ? own.root : cohort_document_create(COHORT_MAP, file, 1, 1);
  return COHORT_DONE;
}

/* The place of the element that `name` numbers, or NULL. */
static cohort_document **element(cohort_document *list, const char *name) {
  const size_t digits = strspn(name, "0123456789");
  if (digits == 0 || digits > 9 || name[digits] != '\0') return NULL;
  const size_t index = (size_t)strtoul(name, NULL, 10);
  return index < list->count ? &list->children[index] : NULL;
}

/* The child `name` of a map or list, made as a map when absent from a map; NULL when there is no such element. */
static cohort_document *step_into(cohort_document *at, const char *name) {
  if (at->kind == COHORT_SCALAR) return NULL;
  if (at->kind == COHORT_LIST) {
    cohort_document **const place = element(at, name);
    return place ? *place : NULL;
  }
  cohort_document *child = cohort_document_get(at, name);
  if (child && child->kind != COHORT_SCALAR) return child;
  /* "adamw" written as a bare key becomes {adamw: {}} when one of its parameters is set. */
  cohort_document *map = cohort_document_create(COHORT_MAP, COHORT_COMMAND_LINE, 0, 0);
  if (child && !cohort_document_is_null(child))
    cohort_document_set(map, child->text, cohort_document_create(COHORT_MAP, COHORT_COMMAND_LINE, 0, 0));
  cohort_document_set(at, name, map);
  return map;
}

/* Takes over the value; false when there is no such place. */
static bool set_value(cohort_document *at, const char *name, cohort_document *value) {
  if (at && at->kind == COHORT_MAP) {
    cohort_document_set(at, name, value);
    return true;
  }
  cohort_document **const place = at && at->kind == COHORT_LIST ? element(at, name) : NULL;
  cohort_document_destroy(place ? *place : value);
  if (place) *place = value;
  return place != NULL;
}

/* A value is parsed inside a map, so that it may be a scalar, [list] or {map}. NULL: it is none (COHORT_BAD_CONFIG). */
static cohort_document *parse_value(const char *text, const char *whole, cohort_error *error) {
  if (text[0] == '|') { /* a command; to YAML it would begin a block */
    cohort_document *command = cohort_document_create(COHORT_SCALAR, COHORT_COMMAND_LINE, 0, 0);
    cohort_document_set_text(command, text);
    command->quoted = true;
    return command;
  }
  char *wrapped = cohort_format_text("value: %s\n", text);
  cohort_document *map = NULL;
  cohort_error own;
  const cohort_status status = cohort_config_parse(wrapped, strlen(wrapped), COHORT_COMMAND_LINE, &map, &own);
  free(wrapped);
  cohort_document *value = status == COHORT_DONE && map ? cohort_document_get(map, "value") : NULL;
  if (!value || map->count != 1) {
    cohort_document_destroy(map);
    (void)cohort_fail(error, COHORT_BAD_CONFIG, "command line: %s: the value is not YAML", whole);
    return NULL;
  }
  cohort_document *copy = cohort_document_copy(value);
  cohort_document_destroy(map);
  return copy;
}

static int levels(const cohort_document *document) {
  int deepest = 0;
  for (size_t i = 0; i < document->count; i++) {
    const int below = levels(document->children[i]);
    if (below > deepest) deepest = below;
  }
  return document->kind == COHORT_SCALAR ? 0 : 1 + deepest;
}

/* What is set will be written and must be read again: keys of valid UTF-8, not too deep. */
static cohort_status check_place(const char *path, size_t length, const cohort_document *value, cohort_error *error) {
  int depth = 1 + levels(value);
  for (size_t i = 0; i < length; i++) depth += path[i] == '.' ? 1 : 0;
  if (depth > DEEPEST)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "command line: %.60s...: nested too deeply; at most %d levels are supported", path, DEEPEST);
  json_t *const text = json_stringn(path, length);
  json_decref(text);
  return text ? COHORT_DONE
              : cohort_fail(error, COHORT_BAD_CONFIG, "command line: %s: the key is not valid UTF-8", path);
}

cohort_status cohort_config_override(cohort_document *root, const char *override, cohort_error *error) {
  const char *equals = strchr(override, '=');
  if (!equals || equals == override)
    return cohort_fail(error, COHORT_BAD_CONFIG, "command line: %s: expected key=value", override);
  cohort_document *value = parse_value(equals + 1, override, error);
  if (!value) return COHORT_BAD_CONFIG;
  cohort_status status = check_place(override, (size_t)(equals - override), value, error);
  if (status != COHORT_DONE) {
    cohort_document_destroy(value);
    return status;
  }
  char *path = cohort_format_text("%.*s", (int)(equals - override), override);
  cohort_document *at = root;
  char *name = path;
  for (char *dot = strchr(name, '.'); dot && at; dot = strchr(name, '.')) {
    *dot = '\0';
    at = step_into(at, name);
    name = dot + 1;
  }
  if (!set_value(at, name, value))
    status = cohort_fail(error, COHORT_BAD_CONFIG, "command line: %s: the config has no such place", override);
  free(path);
  return status;
}

cohort_status cohort_config_read(const char *path, int overrides, char *const *override, cohort_document **out,
                                 cohort_error *error) {
  char *text = NULL;
  size_t length = 0;
  cohort_status status = cohort_file_read(path, &text, &length, error);
  if (status != COHORT_DONE) return COHORT_BAD_CONFIG;
  cohort_document *root = NULL;
  status = cohort_config_parse(text, length, path, &root, error);
  free(text);
  COHORT_TRY(status);
  for (int i = 0; i < overrides && status == COHORT_DONE; i++)
    status = cohort_config_override(root, override[i], error);
  if (status != COHORT_DONE) {
    cohort_document_destroy(root);
    return status;
  }
  *out = root;
  return COHORT_DONE;
}
