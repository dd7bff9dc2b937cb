/* Reads a config's section by a table: types, bounds, choices, nested methods. All faults are collected with their
 * file, line and column; a value is either within its table's bounds or a fault. Every value is also written to the
 * expanded document, as text that reads back to the same bits.
 *
 * A section costs keys x rows of its table comparisons of names. */
#include "base/parameter.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/foreign.h"
#include "base/memory.h"

void cohort_faults_add(cohort_faults *faults, const cohort_document *where, const char *format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  char place[256] = "";
  const bool in_file = where && where->file && strcmp(where->file, COHORT_COMMAND_LINE) != 0;
  if (in_file && where->line > 0) {
    snprintf(place, sizeof place, "%s:%d:%d: ", where->file, where->line, where->column);
  } else if (where && where->file) {
    snprintf(place, sizeof place, "%s: ", where->file);
  }
  char *whole = cohort_format_text("%s%s%s%s", faults->text ? faults->text : "", faults->text ? "\n" : "", place, text);
  free(faults->text);
  faults->text = whole;
  faults->count++;
}

void cohort_faults_release(cohort_faults *faults) {
  free(faults->text);
  *faults = (cohort_faults){0};
}

cohort_status cohort_faults_status(const cohort_faults *faults, cohort_error *error) {
  if (!faults->count) return COHORT_DONE;
  const size_t room = sizeof error->text - 64; /* the last line says how many do not fit */
  size_t length = 0, lines = 0;
  while (lines < faults->count) {
    const size_t end = length + strcspn(faults->text + length + (lines > 0), "\n") + (lines > 0);
    if (end > room && lines > 0) break;
    length = end;
    lines++;
  }
  if (lines == faults->count) return cohort_fail(error, COHORT_BAD_CONFIG, "%.*s", (int)length, faults->text);
  return cohort_fail(error, COHORT_BAD_CONFIG, "%.*s\nand %zu more errors; correct these first", (int)length,
                     faults->text, faults->count - lines);
}

size_t cohort_parameters_count(const cohort_parameter *table) {
  size_t count = 0;
  while (table && table[count].name) count++;
  return count;
}

const cohort_parameter *cohort_parameters_find(const cohort_parameter *table, const char *key) {
  const size_t length = strcspn(key, ".");
  for (const cohort_parameter *p = table; p && p->name; p++) {
    if (strlen(p->name) != length || strncmp(p->name, key, length) != 0) continue;
    if (!key[length]) return p;
    return p->type == COHORT_PARAMETER_SECTION ? cohort_parameters_find(p->section, key + length + 1) : NULL;
  }
  return NULL;
}

/* Between a path and a key; the path of the whole config is empty. */
static const char *dot(const char *path) { return path[0] ? "." : ""; }

/* One key being read. */
typedef struct reading {
  const cohort_parameter *parameter;
  const cohort_document *given; /* NULL: the default is read */
  const cohort_document *where; /* for messages */
  const char *path;
  void *field;
  void *config; /* the struct of the table */
  cohort_document *expanded;
  cohort_faults *faults;
} reading;

static void store(const reading *in, cohort_document *value) {
  if (in->expanded) {
    cohort_document_set(in->expanded, in->parameter->name, value);
  } else {
    cohort_document_destroy(value);
  }
}

static void store_text(const reading *in, const char *text, bool quoted) {
  cohort_document *scalar = cohort_document_create(COHORT_SCALAR, in->where ? in->where->file : NULL,
                                                   in->where ? in->where->line : 0, in->where ? in->where->column : 0);
  cohort_document_set_text(scalar, text);
  scalar->quoted = quoted;
  store(in, scalar);
}

static void fault_type(const reading *in, const char *wanted) {
  const char *kind = !in->given || in->given->kind == COHORT_SCALAR ? NULL
                     : in->given->kind == COHORT_MAP                ? "a map"
                                                                    : "a list";
  const char *text = in->given ? in->given->text : in->parameter->standard;
  if (kind) {
    cohort_faults_add(in->faults, in->where, "%s%s%s: is %s; write %s", in->path, dot(in->path), in->parameter->name,
                      kind, wanted);
  } else {
    const char *quotes = in->given && in->given->quoted ? " in quotes" : "";
    cohort_faults_add(in->faults, in->where, "%s%s%s: is \"%s\"%s; write %s", in->path, dot(in->path),
                      in->parameter->name, text, quotes, wanted);
  }
}

/* The unquoted text of a scalar, or NULL after a fault. */
static const char *plain_text(const reading *in, const char *wanted) {
  if (!in->given) return in->parameter->standard;
  if (in->given->kind == COHORT_SCALAR && !in->given->quoted) return in->given->text;
  fault_type(in, wanted);
  return NULL;
}

static bool in_range(const cohort_parameter *parameter, double value) {
  const bool above = parameter->minimum_open ? value > parameter->minimum : value >= parameter->minimum;
  const bool below = parameter->maximum_open ? value < parameter->maximum : value <= parameter->maximum;
  return above && below;
}

/* The shortest text that strtod reads back to the same bits. */
static void format_real(double value, char out[32]) {
  char text[32];
  out[0] = '\0';
  for (int digits = 1; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    const double back = strtod(text, NULL);
    if (memcmp(&back, &value, sizeof value) != 0) continue; /* NOLINT(bugprone-suspicious-memory-comparison): bits */
    if (!out[0] || strlen(text) <= strlen(out)) memcpy(out, text, sizeof text);
    if (!strchr(text, 'e')) return; /* 60, not 6e+01 */
  }
}

static void fault_range(const reading *in, const char *text) {
  const cohort_parameter *parameter = in->parameter;
  char low[32], high[32], range[96];
  const bool has_low = isfinite(parameter->minimum), has_high = isfinite(parameter->maximum);
  format_real(parameter->minimum, low);
  format_real(parameter->maximum, high);
  const char *from = parameter->minimum_open ? "above" : "at least";
  const char *to = parameter->maximum_open ? "below" : "at most";
  if (has_low && has_high) {
    snprintf(range, sizeof range, "a number %s %s and %s %s", from, low, to, high);
  } else if (has_low) {
    snprintf(range, sizeof range, "a finite number %s %s", from, low);
  } else if (has_high) {
    snprintf(range, sizeof range, "a finite number %s %s", to, high);
  } else {
    snprintf(range, sizeof range, "a finite number");
  }
  cohort_faults_add(in->faults, in->where, "%s%s%s: is %s, out of range; write %s", in->path, dot(in->path),
                    parameter->name, text, range);
}

/* Into *value and, written shortest, `out`; false after a fault. */
static bool parse_real(const reading *in, double *value, char out[32]) {
  const char *text = plain_text(in, "a number");
  if (!text) return false;
  char *end = NULL;
  *value = strtod(text, &end);
  if (end == text || *end || isspace((unsigned char)text[0])) {
    fault_type(in, "a number");
    return false;
  }
  if (!in_range(in->parameter, *value)) {
    fault_range(in, text);
    return false;
  }
  format_real(*value, out);
  return true;
}

static void read_real(const reading *in) {
  char out[32];
  if (parse_real(in, in->field, out)) store_text(in, out, false);
}

/* Each number is read as if it were given alone. */
static void read_numbers(const reading *in) {
  cohort_numbers *numbers = in->field;
  if (!in->given || in->given->kind != COHORT_LIST || in->given->count > COHORT_MAX_NUMBERS) {
    cohort_faults_add(in->faults, in->where, "%s%s%s: wants a list of at most %d numbers", in->path, dot(in->path),
                      in->parameter->name, COHORT_MAX_NUMBERS);
    return;
  }
  cohort_document *list = cohort_document_create(COHORT_LIST, NULL, 0, 0);
  for (size_t i = 0; i < in->given->count; i++) {
    char out[32] = "";
    reading one = *in;
    one.given = one.where = in->given->children[i];
    (void)parse_real(&one, &numbers->value[numbers->count++], out);
    cohort_document *number = cohort_document_create(COHORT_SCALAR, NULL, 0, 0);
    cohort_document_set_text(number, out);
    cohort_document_append(list, number);
  }
  store(in, list);
}

/* "1000", or exact with an exponent: "1e6", "2.5e3". */
static bool parse_integer(const char *text, int64_t *out) {
  if (!text[0] || text[strspn(text, "+-.0123456789eE")]) return false;
  char *end = NULL;
  errno = 0;
  const long long plain = strtoll(text, &end, 10);
  if (end != text && !*end && !errno) {
    *out = plain;
    return true;
  }
  if (!strpbrk(text, "eE")) return false;
  const double value = strtod(text, &end);
  if (end == text || *end || !(fabs(value) <= 0x1p53) || value != trunc(value)) return false;
  *out = (int64_t)value;
  return true;
}

static void read_integer(const reading *in) {
  const char *text = plain_text(in, "a whole number");
  int64_t value = 0;
  if (!text) return;
  if (!parse_integer(text, &value)) {
    fault_type(in, "a whole number");
  } else if (!in_range(in->parameter, (double)value)) {
    fault_range(in, text);
  } else {
    char out[32];
    snprintf(out, sizeof out, "%" PRId64, value);
    *(int64_t *)in->field = value;
    store_text(in, out, false);
  }
}

static void read_boolean(const reading *in) {
  const char *text = plain_text(in, "true or false");
  if (!text) return;
  const bool value = !strcmp(text, "true");
  if (!value && strcmp(text, "false") != 0) {
    fault_type(in, "true or false");
    return;
  }
  *(bool *)in->field = value;
  store_text(in, text, false);
}

static void read_text(const reading *in) {
  if (in->given && in->given->kind != COHORT_SCALAR) {
    fault_type(in, "a text");
    return;
  }
  const char *text = in->given ? in->given->text : in->parameter->standard;
  *(const char **)in->field = text;
  /* A default "" is the empty text, which is null unless quoted. */
  store_text(in, text, in->given ? in->given->quoted : !text[0]);
}

static void read_choice(const reading *in) {
  if (in->given && in->given->kind != COHORT_SCALAR) {
    fault_type(in, "one of its choices");
    return;
  }
  const char *text = in->given ? in->given->text : in->parameter->standard;
  const char *const *choices = in->parameter->choices;
  char list[512] = "";
  size_t count = 0, length = 0;
  for (; choices[count]; count++) {
    if (!strcmp(choices[count], text)) {
      *(int *)in->field = (int)count;
      store_text(in, text, false);
      return;
    }
    const int added = snprintf(list + length, sizeof list - length, "%s%s", count ? ", " : "", choices[count]);
    length += added > 0 ? (size_t)added : 0;
    if (length >= sizeof list) length = sizeof list - 1;
  }
  const char *nearest = cohort_nearest_name(text, choices, count);
  cohort_faults_add(in->faults, in->where, "%s%s%s: no choice \"%s\"; %s%s%swrite one of: %s", in->path, dot(in->path),
                    in->parameter->name, text, nearest ? "did you mean \"" : "", nearest ? nearest : "",
                    nearest ? "\"? " : "", list);
}

/* A bare key, or a map of one key to its parameters, to nothing, or to the one that must be given. */
static bool has_method_form(const cohort_document *given) {
  if (given->kind == COHORT_SCALAR) return given->text && given->text[0];
  return given->kind == COHORT_MAP && given->count == 1;
}

/* The parameters of a method, as they are written in braces; what is nested is left out. */
static char *flow_text(const cohort_document *map) {
  char *text = cohort_copy_text("");
  for (size_t i = 0; i < map->count; i++) {
    const cohort_document *child = map->children[i];
    char *longer = cohort_format_text("%s%s%s: %s", text, i ? ", " : "", map->names[i],
                                      child->kind == COHORT_SCALAR ? child->text : "...");
    free(text);
    text = longer;
  }
  return text;
}

/* Two methods where one is wanted: mostly "optimizer.sgd.learning_rate=1" over a config with another optimizer. */
static void fault_two_methods(const reading *in, const cohort_document *value) {
  const cohort_document *last = value->children[value->count - 1];
  const char *name = in->parameter->name, *before = value->names[0], *after = value->names[value->count - 1];
  if (last->file && strcmp(last->file, COHORT_COMMAND_LINE) == 0 && last->kind == COHORT_MAP) {
    char *parameters = flow_text(last);
    cohort_faults_add(in->faults, in->where,
                      "%s%s%s: the config has %s, the command line sets %s; to change the method, write "
                      "'%s%s%s={%s: {%s}}'",
                      in->path, dot(in->path), name, before, after, in->path, dot(in->path), name, after, parameters);
    free(parameters);
    return;
  }
  cohort_faults_add(in->faults, in->where, "%s%s%s: holds %s and %s; give one %s method, as %s: {METHOD: {parameters}}",
                    in->path, dot(in->path), name, before, after, in->parameter->family ? in->parameter->family : "",
                    name);
}

static void read_document(const reading *in) {
  const bool method = in->parameter->type == COHORT_PARAMETER_METHOD;
  const cohort_document *value = in->given ? in->given : in->parameter->standard_document;
  if (method && value && value->kind == COHORT_MAP && value->count > 1) {
    fault_two_methods(in, value);
    return;
  }
  if (!value || (method && !has_method_form(value))) {
    char wanted[128];
    snprintf(wanted, sizeof wanted, "the key of one %s method, or {key: {its parameters}}",
             in->parameter->family ? in->parameter->family : "");
    fault_type(in, method ? wanted : "a document");
    return;
  }
  *(const cohort_document **)in->field = value;
  store(in, cohort_document_copy(value));
}

static bool is_null_text(const char *text) { return !strcmp(text, "null") || !strcmp(text, "~"); }

static void read_null(const reading *in) {
  if (in->parameter->type == COHORT_PARAMETER_TEXT) {
    *(const char **)in->field = NULL;
  } else if (in->parameter->type == COHORT_PARAMETER_NUMBERS) {
    *(cohort_numbers *)in->field = (cohort_numbers){0};
  } else {
    *(const cohort_document **)in->field = NULL;
  }
  store_text(in, "null", false);
}

/* The keys below; what is not a map is a fault of theirs. */
static void read_section(const reading *in) {
  const cohort_parameter *own = in->parameter;
  *(const cohort_document **)in->field = in->given;
  char *path = cohort_format_text("%s%s%s", in->path, dot(in->path), own->name);
  cohort_document *map = cohort_document_create(COHORT_MAP, NULL, 0, 0);
  cohort_parameters_read(own->section, in->given, path, (char *)in->config + own->section_offset, map, in->faults);
  store(in, map);
  free(path);
}

static void read_key(const reading *in) {
  if (!in->given && !in->parameter->standard) {
    cohort_faults_add(in->faults, in->where, "%s%s%s: is missing; give it (%s)", in->path, dot(in->path),
                      in->parameter->name, in->parameter->meaning ? in->parameter->meaning : "it has no default");
    return;
  }
  const bool default_null = !in->given && is_null_text(in->parameter->standard);
  switch (in->parameter->type) {
    case COHORT_PARAMETER_REAL:
      read_real(in);
      break;
    case COHORT_PARAMETER_INTEGER:
      read_integer(in);
      break;
    case COHORT_PARAMETER_BOOLEAN:
      read_boolean(in);
      break;
    case COHORT_PARAMETER_CHOICE:
      read_choice(in);
      break;
    case COHORT_PARAMETER_TEXT:
      if (default_null)
        read_null(in);
      else
        read_text(in);
      break;
    case COHORT_PARAMETER_METHOD:
    case COHORT_PARAMETER_TREE:
      if (default_null)
        read_null(in);
      else
        read_document(in);
      break;
    case COHORT_PARAMETER_NUMBERS:
      if (default_null)
        read_null(in);
      else
        read_numbers(in);
      break;
    case COHORT_PARAMETER_SECTION:
      if (default_null)
        read_null(in);
      else
        read_section(in);
      break;
  }
}

/* The dotted path of a key of that name in a section below, owned by the caller; NULL when no section has it. */
static char *find_below(const cohort_parameter *table, const char *path, const char *name) {
  char *found = NULL;
  for (const cohort_parameter *p = table; p->name && !found; p++) {
    if (p->type != COHORT_PARAMETER_SECTION) continue;
    char *section = cohort_format_text("%s%s%s", path, dot(path), p->name);
    const bool has = cohort_parameters_find(p->section, name) != NULL;
    found = has ? cohort_format_text("%s.%s", section, name) : find_below(p->section, section, name);
    free(section);
  }
  return found;
}

/* Says what to write instead: the key in other letters, a name that others use, a key of a section below, the nearest.
 */
static void fault_unknown(const cohort_parameter *table, const char *path, const char *name, const char *const *names,
                          const cohort_document *where, cohort_faults *faults) {
  char hint[256];
  const size_t count = cohort_parameters_count(table);
  const char *nearest = cohort_nearest_name(name, names, count);
  char *below = find_below(table, path, name);
  if (nearest && cohort_same_letters(nearest, name))
    cohort_faults_add(faults, where, "%s%s%s: unknown key; write %s", path, dot(path), name, nearest);
  else if (cohort_foreign_hint(path, name, names, count, hint, sizeof hint))
    cohort_faults_add(faults, where, "%s%s%s: unknown key; write %s", path, dot(path), name, hint);
  else if (below)
    cohort_faults_add(faults, where, "%s%s%s: unknown key; write %s", path, dot(path), name, below);
  else if (nearest)
    cohort_faults_add(faults, where, "%s%s%s: unknown key; did you mean \"%s\"?", path, dot(path), name, nearest);
  else
    cohort_faults_add(faults, where, "%s%s%s: unknown key; remove it (`cohort keys` lists all)", path, dot(path), name);
  free(below);
}

static void report_unknown(const cohort_parameter *table, const cohort_document *document, const char *path,
                           cohort_faults *faults) {
  const size_t count = cohort_parameters_count(table);
  const char **names = cohort_allocate(count * sizeof *names);
  for (size_t i = 0; i < count; i++) names[i] = table[i].name;
  for (size_t i = 0; i < document->count; i++) {
    const char *name = document->names[i];
    size_t known = 0;
    while (known < count && strcmp(names[known], name) != 0) known++;
    if (known < count || document->children[i]->used) continue;
    cohort_document key = *document->children[i];
    if (key.key_line > 0) key.line = key.key_line, key.column = key.key_column;
    fault_unknown(table, path, name, names, &key, faults);
  }
  free(names);
}

void cohort_parameters_read(const cohort_parameter *table, const cohort_document *document, const char *path,
                            void *config, cohort_document *expanded, cohort_faults *faults) {
  if (!path) path = "";
  const cohort_document *map = cohort_document_is_null(document) ? NULL : document;
  if (map && map->kind != COHORT_MAP) {
    cohort_faults_add(faults, map, "%s%sis not a map; write {key: value, ...}", path, path[0] ? ": " : "");
    map = NULL;
  }
  for (const cohort_parameter *parameter = table; parameter && parameter->name; parameter++) {
    cohort_document *child = cohort_document_get(map, parameter->name);
    if (child) child->used = true;
    const reading in = {.parameter = parameter,
                        .given = cohort_document_is_null(child) ? NULL : child,
                        .where = child ? child : document,
                        .path = path,
                        .field = (char *)config + parameter->offset,
                        .config = config,
                        .expanded = expanded,
                        .faults = faults};
    read_key(&in);
  }
  if (map) report_unknown(table, map, path, faults);
}
