/* Choices: a method taken from a config by its key, with its parameters read and checked. */
#include <stdlib.h>
#include <string.h>

#include "base/foreign.h"
#include "base/memory.h"
#include "method/registry.h"

static const cohort_parameter no_parameters[] = {{.name = NULL}};

static const cohort_parameter *table_of(const cohort_method *method) {
  return method->parameters ? method->parameters : no_parameters;
}

static void report_unknown(cohort_variant variant, const char *family, const cohort_document *where, const char *path,
                           const char *key, cohort_faults *faults) {
  const char **names = NULL;
  size_t count = 0;
  const cohort_method *method;
  for (int i = 0; (method = cohort_registry_at(variant, i)); i++) {
    if (strcmp(method->family, family) != 0) continue;
    names = cohort_reallocate(names, (count + 1) * sizeof *names);
    names[count++] = method->key;
  }
  const char *nearest = count ? cohort_nearest_name(key, names, count) : NULL;
  const bool same = nearest && cohort_same_letters(nearest, key);
  char hint[256];
  const char *noun = cohort_registry_noun(family);
  if (!same && cohort_foreign_hint(path, key, names, count, hint, sizeof hint))
    cohort_faults_add(faults, where, "%s: no %s named '%s'; write %s", path, noun, key, hint);
  else if (nearest)
    cohort_faults_add(faults, where, "%s: no %s named '%s'; did you mean '%s'?", path, noun, key, nearest);
  else
    cohort_faults_add(faults, where, "%s: no %s named '%s'; `cohort methods %s` lists them", path, noun, key, family);
  free(names);
}

/* What stands in the place of the parameters' map is the value of the first parameter, where that must be given:
 * {contains: LORD} is {contains: {text: LORD}}. The map shares the value. */
typedef struct short_form {
  cohort_document map;
  char *name;
  cohort_document *value;
} short_form;

static const cohort_document *long_form(const cohort_method *method, const cohort_document *written, short_form *room) {
  const cohort_parameter *first = table_of(method);
  if (!written || written->kind == COHORT_MAP || cohort_document_is_null(written)) return written;
  if (!first->name || first->standard) return written;
  *room = (short_form){.name = (char *)(uintptr_t)first->name, .value = (cohort_document *)(uintptr_t)written};
  room->map = (cohort_document){.kind = COHORT_MAP,
                                .names = &room->name,
                                .children = &room->value,
                                .count = 1,
                                .file = written->file,
                                .line = written->line,
                                .column = written->column};
  return &room->map;
}

/* The key and the parameters' map (or NULL) of a bare key or of {key: {parameters}}; false after a fault. */
static bool split_choice(const cohort_document *document, const char *family, const char *path, const char **key,
                         const cohort_document **parameters, cohort_faults *faults) {
  *parameters = NULL;
  if (document && document->kind == COHORT_SCALAR && !cohort_document_is_null(document)) {
    *key = document->text;
    return true;
  }
  if (document && document->kind == COHORT_MAP && document->count == 1) {
    *key = document->names[0];
    *parameters = document->children[0];
    return true;
  }
  cohort_faults_add(faults, document, "%s: expected one %s; write its key, or {key: {parameter: value}}", path, family);
  return false;
}

/* The methods of a list, into a list of their expansions (or NULL). */
static void read_list(cohort_variant variant, const char *family, const cohort_document *written, const char *path,
                      cohort_document *out, cohort_faults *faults) {
  if (written->kind != COHORT_LIST) {
    cohort_faults_add(faults, written, "%s: expected a list of methods of the family %s", path, family);
    return;
  }
  for (size_t i = 0; i < written->count; i++) {
    const cohort_document *own = written->children[i];
    char *inner_path = cohort_format_text("%s.%zu", path, i);
    cohort_document *inner = out ? cohort_document_create(COHORT_MAP, own->file, own->line, own->column) : NULL;
    cohort_choice nested = {NULL, NULL};
    cohort_choice_read(variant, family, own, inner_path, &nested, inner, faults);
    cohort_choice_release(&nested);
    if (inner) cohort_document_append(out, inner);
    free(inner_path);
  }
}

/* Methods inside this one: every nested choice is checked, and in `expanded` replaced by its expansion. */
static void read_nested(cohort_variant variant, const cohort_method *method, const char *path, const char *config,
                        cohort_document *expanded, cohort_faults *faults) {
  for (const cohort_parameter *parameter = table_of(method); parameter->name; parameter++) {
    const bool list = parameter->type == COHORT_PARAMETER_TREE && parameter->family;
    if (parameter->type != COHORT_PARAMETER_METHOD && !list) continue;
    const cohort_document *written;
    memcpy(&written, config + parameter->offset, sizeof written);
    if (cohort_document_is_null(written)) continue;
    char *inner_path = cohort_format_text("%s.%s", path, parameter->name);
    cohort_document *inner = expanded ? cohort_document_create(list ? COHORT_LIST : COHORT_MAP, written->file,
                                                               written->line, written->column)
                                      : NULL;
    cohort_choice nested = {NULL, NULL};
    if (list)
      read_list(variant, parameter->family, written, inner_path, inner, faults);
    else
      cohort_choice_read(variant, parameter->family, written, inner_path, &nested, inner, faults);
    cohort_choice_release(&nested);
    if (inner) cohort_document_set(expanded, parameter->name, inner);
    free(inner_path);
  }
}

void cohort_choice_read(cohort_variant variant, const char *family, const cohort_document *document, const char *path,
                        cohort_choice *choice, cohort_document *expanded, cohort_faults *faults) {
  *choice = (cohort_choice){NULL, NULL};
  const char *key;
  const cohort_document *written;
  if (!split_choice(document, family, path, &key, &written, faults)) return;
  const cohort_method *method = cohort_registry_find(variant, family, key);
  if (!method) {
    report_unknown(variant, family, document, path, key, faults);
    return;
  }
  const size_t before = faults->count;
  char *config = cohort_allocate(method->config_size + 1);
  cohort_document *inner =
      expanded ? cohort_document_create(COHORT_MAP, document->file, document->line, document->column) : NULL;
  char *inner_path = cohort_format_text("%s.%s", path, method->key);
  short_form room;
  cohort_parameters_read(table_of(method), long_form(method, written, &room), inner_path, config, inner, faults);
  if (faults->count == before) read_nested(variant, method, inner_path, config, inner, faults);
  cohort_error error;
  if (faults->count == before && method->check && method->check(config, &error) != COHORT_DONE)
    cohort_faults_add(faults, written ? written : document, "%s: %s", inner_path, error.text);
  free(inner_path);
  if (expanded) cohort_document_set(expanded, method->key, inner);
  if (faults->count == before)
    *choice = (cohort_choice){method, config};
  else
    free(config);
}

void cohort_choice_expand(cohort_variant variant, const char *family, const cohort_document *document, const char *name,
                          cohort_choice *choice, cohort_document *expanded, cohort_faults *faults) {
  const bool kept = cohort_document_get(expanded, name) != NULL;
  cohort_document *own = kept ? cohort_document_create(COHORT_MAP, NULL, 0, 0) : NULL;
  cohort_choice_read(variant, family, document, name, choice, own, faults);
  if (kept) cohort_document_set(expanded, name, own);
}

static bool put_number(const cohort_method *method, char *config, const cohort_choice_number *number) {
  for (const cohort_parameter *parameter = table_of(method); parameter->name; parameter++) {
    if (strcmp(parameter->name, number->parameter) != 0) continue;
    void *place = config + parameter->offset;
    const int64_t whole = (int64_t)number->value;
    const bool yes = whole != 0;
    if (parameter->type == COHORT_PARAMETER_REAL)
      memcpy(place, &number->value, sizeof number->value);
    else if (parameter->type == COHORT_PARAMETER_INTEGER)
      memcpy(place, &whole, sizeof whole);
    else if (parameter->type == COHORT_PARAMETER_BOOLEAN)
      memcpy(place, &yes, sizeof yes);
    else
      return false;
    return true;
  }
  return false;
}

cohort_status cohort_choice_make(cohort_variant variant, const char *family, const char *key, int count,
                                 const cohort_choice_number *number, cohort_choice *out, cohort_error *error) {
  const cohort_method *method = cohort_registry_find(variant, family, key);
  if (!method) return cohort_fail(error, COHORT_BUG, "%s: there is no %s; report this", key, family);
  char *config = cohort_allocate(method->config_size + 1);
  cohort_faults faults = {NULL, 0};
  cohort_parameters_read(table_of(method), NULL, key, config, NULL, &faults);
  cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  for (int i = 0; i < count && status == COHORT_DONE; i++)
    if (!put_number(method, config, &number[i]))
      status = cohort_fail(error, COHORT_BUG, "%s: has no number named %s; report this", key, number[i].parameter);
  if (status != COHORT_DONE) {
    free(config);
    return status;
  }
  *out = (cohort_choice){method, config};
  return COHORT_DONE;
}

cohort_choice cohort_choice_copy(const cohort_choice *choice) {
  char *config = cohort_allocate(choice->method->config_size + 1);
  if (choice->config) memcpy(config, choice->config, choice->method->config_size);
  return (cohort_choice){choice->method, config};
}

void cohort_choice_release(cohort_choice *choice) {
  free(choice->config);
  *choice = (cohort_choice){NULL, NULL};
}

/* Where a parameter of this type lies in the choice's config; NULL: it has none. */
static const char *find(const cohort_choice *choice, const char *name, cohort_parameter_type type) {
  if (!choice->method || !choice->config) return NULL;
  for (const cohort_parameter *parameter = table_of(choice->method); parameter->name; parameter++)
    if (parameter->type == type && strcmp(parameter->name, name) == 0)
      return (const char *)choice->config + parameter->offset;
  return NULL;
}

double cohort_choice_real(const cohort_choice *choice, const char *name, double otherwise) {
  const char *found = find(choice, name, COHORT_PARAMETER_REAL);
  if (found) memcpy(&otherwise, found, sizeof otherwise);
  return otherwise;
}

int64_t cohort_choice_integer(const cohort_choice *choice, const char *name, int64_t otherwise) {
  const char *found = find(choice, name, COHORT_PARAMETER_INTEGER);
  if (found) memcpy(&otherwise, found, sizeof otherwise);
  return otherwise;
}

int64_t cohort_choice_state(const cohort_choice *choice, const cohort_state *state, double *initial) {
  const int64_t numbers = state->size ? state->size(choice->config, COHORT_SHAPE(1)) : 1;
  *initial = state->shares              ? 1 / (double)numbers
             : state->initial_parameter ? cohort_choice_real(choice, state->initial_parameter, 0)
                                        : 0;
  return numbers;
}
