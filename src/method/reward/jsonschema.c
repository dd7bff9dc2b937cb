/* 1 for a completion that is one JSON value and fits a schema. What the schema says that is not known here is refused
 * when the config is read. A completion is parsed once; the schema is walked with it. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "method/reward/reward.h"

typedef struct jsonschema_config {
  const cohort_document *schema;
} jsonschema_config;

static const cohort_parameter parameters[] = {
    {.name = "schema",
     .type = COHORT_PARAMETER_TREE,
     .offset = offsetof(jsonschema_config, schema),
     .standard = "null",
     .meaning =
         "JSON Schema of type, enum, properties, required, additionalProperties (true or false), items, minimum, "
         "maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength, minItems, maxItems; null: any JSON"},
    {.name = NULL},
};

static const char *const type_names[] = {"object", "array", "string", "number", "integer", "boolean", "null", NULL};
static const char *const bound_names[] = {"minimum",          "maximum",   "exclusiveMinimum",
                                          "exclusiveMaximum", "minLength", "maxLength",
                                          "minItems",         "maxItems",  NULL};

static bool is_one_of(const char *word, const char *const *names) {
  for (; word && *names; names++)
    if (strcmp(word, *names) == 0) return true;
  return false;
}

static bool read_bound(const cohort_document *written, double *out) {
  char *end = NULL;
  if (!written || written->kind != COHORT_SCALAR || !written->text) return false;
  *out = strtod(written->text, &end);
  return end != written->text && *end == '\0' && isfinite(*out);
}

static bool is_boolean(const cohort_document *written) {
  return written->kind == COHORT_SCALAR && written->text &&
         (strcmp(written->text, "true") == 0 || strcmp(written->text, "false") == 0);
}

static bool names_types(const cohort_document *written) {
  if (written->kind == COHORT_SCALAR) return is_one_of(written->text, type_names);
  for (size_t i = 0; i < written->count; i++)
    if (written->kind != COHORT_LIST || written->children[i]->kind != COHORT_SCALAR ||
        !is_one_of(written->children[i]->text, type_names))
      return false;
  return written->count > 0;
}

static bool names_texts(const cohort_document *written) {
  for (size_t i = 0; i < written->count; i++)
    if (written->children[i]->kind != COHORT_SCALAR) return false;
  return written->kind == COHORT_LIST;
}

static cohort_status check_schema(const cohort_document *schema, cohort_error *error);

/* One key of a schema and what it says. */
static cohort_status check_key(const char *name, const cohort_document *value, cohort_error *error) {
  double bound;
  bool good = true;
  if (strcmp(name, "type") == 0) {
    good = names_types(value);
  } else if (strcmp(name, "required") == 0) {
    good = names_texts(value);
  } else if (strcmp(name, "enum") == 0) {
    good = value->kind == COHORT_LIST;
  } else if (strcmp(name, "additionalProperties") == 0) {
    good = is_boolean(value);
  } else if (is_one_of(name, bound_names)) {
    good = read_bound(value, &bound);
  } else if (strcmp(name, "items") == 0) {
    return check_schema(value, error);
  } else if (strcmp(name, "properties") == 0) {
    good = value->kind == COHORT_MAP;
    for (size_t i = 0; good && i < value->count; i++) COHORT_TRY(check_schema(value->children[i], error));
  } else {
    return cohort_fail(error, COHORT_BAD_CONFIG, "schema: \"%s\" is not known here; leave it out", name);
  }
  return good ? COHORT_DONE
              : cohort_fail(error, COHORT_BAD_CONFIG, "schema: what \"%s\" says is not of its kind", name);
}

static cohort_status check_schema(const cohort_document *schema, cohort_error *error) {
  if (schema->kind != COHORT_MAP) return cohort_fail(error, COHORT_BAD_CONFIG, "schema: is not a map of {key: value}");
  for (size_t i = 0; i < schema->count; i++) COHORT_TRY(check_key(schema->names[i], schema->children[i], error));
  return COHORT_DONE;
}

static cohort_status check(const void *config, cohort_error *error) {
  const cohort_document *schema = ((const jsonschema_config *)config)->schema;
  return schema ? check_schema(schema, error) : COHORT_DONE;
}

static bool is_whole(const json_t *value) {
  return json_is_integer(value) || (json_is_real(value) && json_real_value(value) == floor(json_real_value(value)));
}

static bool has_type(const json_t *value, const char *type) {
  if (strcmp(type, "object") == 0) return json_is_object(value);
  if (strcmp(type, "array") == 0) return json_is_array(value);
  if (strcmp(type, "string") == 0) return json_is_string(value);
  if (strcmp(type, "number") == 0) return json_is_number(value);
  if (strcmp(type, "integer") == 0) return is_whole(value);
  if (strcmp(type, "boolean") == 0) return json_is_boolean(value);
  return json_is_null(value);
}

static bool fits_type(const json_t *value, const cohort_document *type) {
  if (type->kind == COHORT_SCALAR) return has_type(value, type->text);
  for (size_t i = 0; i < type->count; i++)
    if (has_type(value, type->children[i]->text)) return true;
  return false;
}

/* Whether a scalar of the config is a number, and so no text. */
static bool is_number(const cohort_document *written, double *out) {
  return !written->quoted && read_bound(written, out);
}

/* Whether a value is what the config writes. */
static bool is_equal(const json_t *value, const cohort_document *written) {
  double number;
  if (written->kind == COHORT_MAP) {
    if (!json_is_object(value) || json_object_size(value) != written->count) return false;
    for (size_t i = 0; i < written->count; i++) {
      const json_t *own = json_object_get(value, written->names[i]);
      if (!own || !is_equal(own, written->children[i])) return false;
    }
    return true;
  }
  if (written->kind == COHORT_LIST) {
    if (!json_is_array(value) || json_array_size(value) != written->count) return false;
    for (size_t i = 0; i < written->count; i++)
      if (!is_equal(json_array_get(value, i), written->children[i])) return false;
    return true;
  }
  if (cohort_document_is_null(written)) return json_is_null(value);
  if (is_number(written, &number)) return json_is_number(value) && json_number_value(value) == number;
  if (!written->quoted && is_boolean(written))
    return json_is_boolean(value) && json_is_true(value) == (strcmp(written->text, "true") == 0);
  return json_is_string(value) && strlen(written->text) == json_string_length(value) &&
         memcmp(json_string_value(value), written->text, json_string_length(value)) == 0;
}

/* Characters of a text in UTF-8. */
static double characters(const json_t *text) {
  size_t count = 0;
  for (size_t i = 0; i < json_string_length(text); i++)
    count += ((unsigned char)json_string_value(text)[i] & 0xC0) != 0x80;
  return (double)count;
}

/* A bound says nothing of values of another kind. */
static bool fits_bound(const json_t *value, const char *name, double bound) {
  const bool number = json_is_number(value), text = json_is_string(value), list = json_is_array(value);
  const double own = number ? json_number_value(value) : 0;
  if (strcmp(name, "minimum") == 0) return !number || own >= bound;
  if (strcmp(name, "maximum") == 0) return !number || own <= bound;
  if (strcmp(name, "exclusiveMinimum") == 0) return !number || own > bound;
  if (strcmp(name, "exclusiveMaximum") == 0) return !number || own < bound;
  if (strcmp(name, "minLength") == 0) return !text || characters(value) >= bound;
  if (strcmp(name, "maxLength") == 0) return !text || characters(value) <= bound;
  if (strcmp(name, "minItems") == 0) return !list || (double)json_array_size(value) >= bound;
  return !list || (double)json_array_size(value) <= bound;
}

static bool fits(const json_t *value, const cohort_document *schema);

static bool fits_members(json_t *value, const cohort_document *schema) {
  const cohort_document *properties = cohort_document_get(schema, "properties");
  const cohort_document *required = cohort_document_get(schema, "required");
  const cohort_document *more = cohort_document_get(schema, "additionalProperties");
  const bool closed = more && strcmp(more->text, "false") == 0;
  const char *name;
  json_t *member;
  for (size_t i = 0; required && i < required->count; i++)
    if (!json_object_get(value, required->children[i]->text)) return false;
  json_object_foreach(value, name, member) {
    const cohort_document *own = cohort_document_get(properties, name);
    if (own ? !fits(member, own) : closed) return false;
  }
  return true;
}

static bool fits(const json_t *value, const cohort_document *schema) {
  const cohort_document *type = cohort_document_get(schema, "type"), *list = cohort_document_get(schema, "enum");
  const cohort_document *items = cohort_document_get(schema, "items");
  if (type && !fits_type(value, type)) return false;
  bool found = !list;
  for (size_t i = 0; list && i < list->count && !found; i++) found = is_equal(value, list->children[i]);
  if (!found) return false;
  for (size_t i = 0; i < schema->count; i++) {
    double bound = 0;
    if (!is_one_of(schema->names[i], bound_names)) continue;
    if (read_bound(schema->children[i], &bound) && !fits_bound(value, schema->names[i], bound)) return false;
  }
  if (items && json_is_array(value))
    for (size_t i = 0; i < json_array_size(value); i++)
      if (!fits(json_array_get(value, i), items)) return false;
  return !json_is_object(value) || fits_members((json_t *)(uintptr_t)value, schema);
}

static void score(const void *config, const void *opened, const cohort_reward_batch *batch, const double *const *given,
                  double *reward) {
  const cohort_document *schema = ((const jsonschema_config *)config)->schema;
  (void)opened, (void)given;
  for (int64_t i = 0; i < batch->completions; i++) {
    json_error_t said;
    json_t *value = json_loadb(batch->completion[i].text, batch->completion[i].bytes,
                               JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &said);
    reward[i] = value && (!schema || fits(value, schema));
    json_decref(value);
  }
}

static const cohort_reward functions = {.score = score};

static const cohort_method method = {
    .family = "reward",
    .key = COHORT_FILE_KEY,
    .summary = "1 for a completion that is JSON and fits a schema, else 0",
    .source =
        "JSON Schema, draft 2020-12, the vocabulary of the validation of types, numbers, texts, lists and objects "
        "as far as the parameter says",
    .formula = "r = 1 if the completion is one JSON value that is valid, else 0",
    .config_size = sizeof(jsonschema_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

COHORT_METHOD_FILE(reward, COHORT_FILE) = {&method, NULL};
