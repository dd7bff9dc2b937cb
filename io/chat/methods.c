/* Methods, filters and tests of a template's values, as Python and jinja2 have them. Costs the text or list that is
 * asked. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "io/chat/chat_own.h"

typedef cohort_chat_run run;
typedef cohort_chat_node node;

static bool is_one_of(const char *name, const char *const *names) {
  for (int i = 0; names[i]; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return false;
}

bool cohort_chat_has_method(const char *name) {
  static const char *const names[] = {"strip", "lstrip", "rstrip",  "split", "startswith", "endswith",
                                      "upper", "lower",  "replace", "join",  "capitalize", "items",
                                      "keys",  "values", "get",     NULL};
  return is_one_of(name, names);
}

bool cohort_chat_has_filter(const char *name) {
  static const char *const names[] = {
      "trim", "tojson", "length",     "count",      "default",    "d",    "upper", "lower",   "first",
      "last", "join",   "capitalize", "string",     "int",        "list", "items", "reverse", "replace",
      "safe", "select", "reject",     "selectattr", "rejectattr", "map",  NULL};
  return is_one_of(name, names);
}

bool cohort_chat_has_test(const char *name) {
  static const char *const names[] = {"defined",  "undefined", "none",        "string", "mapping", "iterable",
                                      "sequence", "number",    "integer",     "float",  "boolean", "true",
                                      "false",    "equalto",   "eq",          "ne",     "sameas",  "in",
                                      "even",     "odd",       "divisibleby", NULL};
  return is_one_of(name, names);
}

/* The length of a character at the end of text[0, length) that is white, or one of `characters`; 0: it is neither. */
static size_t last_to_strip(const char *text, size_t length, const char *characters) {
  size_t own = 1;
  while (own < length && ((unsigned char)text[length - own] & 0xc0) == 0x80) own++;
  if (!characters) return cohort_chat_white(text + length - own, own) == own ? own : 0;
  char one[8] = "";
  memcpy(one, text + length - own, own < sizeof one ? own : 0);
  return one[0] && strstr(characters, one) ? own : 0;
}

static size_t first_to_strip(const char *text, size_t length, const char *characters) {
  size_t own = 1;
  while (own < length && ((unsigned char)text[own] & 0xc0) == 0x80) own++;
  return last_to_strip(text, own, characters);
}

json_t *cohort_chat_strip(run *own, const json_t *value, const json_t *set, bool left, bool right) {
  const char *text = json_string_value(value), *characters = json_is_string(set) ? json_string_value(set) : NULL;
  size_t length = strlen(text), one;
  while (left && length > 0 && (one = first_to_strip(text, length, characters))) {
    text += one;
    length -= one;
  }
  while (right && length > 0 && (one = last_to_strip(text, length, characters))) length -= one;
  return cohort_chat_string(own, text, length);
}

json_t *cohort_chat_replace(run *own, const json_t *value, const json_t *from, const json_t *to) {
  if (!json_is_string(from) || !json_is_string(to) || !json_string_length(from)) {
    cohort_chat_fail(own, NULL, "replace takes two strings, the first not empty");
    return NULL;
  }
  cohort_text out = {NULL, 0, 0};
  const char *text = json_string_value(value), *what = json_string_value(from), *next;
  for (; (next = strstr(text, what)); text = next + strlen(what))
    cohort_text_put(&out, "%.*s%s", (int)(next - text), text, json_string_value(to));
  cohort_text_put(&out, "%s", text);
  json_t *made = cohort_chat_string(own, out.text ? out.text : "", out.length);
  free(out.text);
  return made;
}

/* 'u' upper, 'l' lower, 'c' the first upper and the rest lower. */
json_t *cohort_chat_case(run *own, const json_t *value, char how) {
  const char *text = json_string_value(value);
  cohort_text out = {NULL, 0, 0};
  for (size_t i = 0; text[i]; i++) {
    if ((unsigned char)text[i] >= 128) cohort_chat_fail(own, NULL, "upper and lower take ASCII alone");
    const bool up = how == 'u' || (how == 'c' && i == 0);
    cohort_text_put(&out, "%c", up ? toupper((unsigned char)text[i]) : tolower((unsigned char)text[i]));
  }
  json_t *made = cohort_chat_string(own, out.text ? out.text : "", out.length);
  free(out.text);
  return made;
}

json_t *cohort_chat_join(run *own, const node *at, json_t *list, const json_t *between) {
  cohort_text out = {NULL, 0, 0};
  json_t *elements = cohort_chat_elements(own, at, list);
  const char *separator = json_is_string(between) ? json_string_value(between) : "";
  for (size_t i = 0; i < json_array_size(elements) && !own->failed; i++) {
    if (i) cohort_text_put(&out, "%s", separator);
    (void)cohort_chat_put(own, at, json_array_get(elements, i), &out);
  }
  json_t *made = cohort_chat_string(own, out.text ? out.text : "", out.length);
  free(out.text);
  return made;
}

static json_t *split(run *own, const node *at, const char *text, const json_t *by) {
  json_t *out = cohort_chat_keep(own, json_array());
  if (at->arguments > 1) cohort_chat_fail(own, at, "split with a limit is not taken");
  if (json_is_string(by) && json_string_length(by)) {
    const char *what = json_string_value(by), *next;
    for (; (next = strstr(text, what)); text = next + strlen(what))
      json_array_append_new(out, json_stringn(text, (size_t)(next - text)));
    json_array_append_new(out, json_string(text));
    return out;
  }
  if (by && !json_is_null(by)) cohort_chat_fail(own, at, "split takes a string that is not empty");
  for (size_t length = strlen(text), at_text = 0, white, first; at_text < length;) {
    while (at_text < length && (white = cohort_chat_white(text + at_text, length - at_text))) at_text += white;
    for (first = at_text; at_text < length && !cohort_chat_white(text + at_text, length - at_text);) at_text++;
    if (at_text > first) json_array_append_new(out, json_stringn(text + first, at_text - first));
  }
  return out;
}

static json_t *items(run *own, json_t *of) {
  json_t *out = cohort_chat_keep(own, json_array());
  const char *key;
  json_t *value;
  json_object_foreach(of, key, value) json_array_append_new(out, json_pack("[sO]", key, value));
  return out;
}

static json_t *text_method(run *own, const node *at, json_t *of, json_t *first) {
  const char *name = at->text, *text = json_string_value(of);
  if (strstr(name, "strip"))
    return cohort_chat_strip(own, of, json_is_null(first) ? NULL : first, name[0] != 'r', name[0] != 'l');
  if (strcmp(name, "split") == 0) return split(own, at, text, first);
  if (strcmp(name, "upper") == 0 || strcmp(name, "lower") == 0 || strcmp(name, "capitalize") == 0)
    return cohort_chat_case(own, of, name[0]);
  if (strcmp(name, "replace") == 0) return cohort_chat_replace(own, of, first, cohort_chat_argument(own, at, 1, "new"));
  if (strcmp(name, "join") == 0) return cohort_chat_join(own, at, first, of);
  const bool ends = strcmp(name, "endswith") == 0;
  if ((!ends && strcmp(name, "startswith") != 0) || !json_is_string(first)) {
    cohort_chat_fail(own, at, "%s is no method of a string, or takes a string", name);
    return NULL;
  }
  const size_t length = json_string_length(of), part = json_string_length(first);
  const bool is = part <= length && memcmp(text + (ends ? length - part : 0), json_string_value(first), part) == 0;
  return cohort_chat_keep(own, json_boolean(is));
}

json_t *cohort_chat_method(run *own, const node *at, json_t *of) {
  json_t *first = cohort_chat_argument(own, at, 0, "");
  if (own->failed) return NULL;
  if (json_is_string(of)) return text_method(own, at, of, first);
  if (json_is_object(of)) {
    if (strcmp(at->text, "items") == 0) return items(own, of);
    if (strcmp(at->text, "keys") == 0) return cohort_chat_elements(own, at, of);
    if (strcmp(at->text, "get") == 0 && json_is_string(first)) {
      json_t *found = json_object_get(of, json_string_value(first)),
             *other = cohort_chat_argument(own, at, 1, "default");
      return found ? found : other ? other : cohort_chat_keep(own, json_null());
    }
    if (strcmp(at->text, "values") == 0) {
      json_t *out = cohort_chat_keep(own, json_array()), *value;
      const char *key;
      json_object_foreach(of, key, value) json_array_append(out, value);
      return out;
    }
  }
  cohort_chat_fail(own, at, "%s is no method of this value", at->text);
  return NULL;
}

static bool is_whole(const json_t *value) { return json_is_integer(value) || json_is_boolean(value); }
static long long whole_of(const json_t *value) {
  return json_is_boolean(value) ? json_is_true(value) : json_integer_value(value);
}

bool cohort_chat_test(run *own, const node *at, const char *name, const json_t *of, const json_t *with) {
  const bool truth = json_is_boolean(of), text = json_is_string(of);
  if (strcmp(name, "defined") == 0) return of != NULL;
  if (strcmp(name, "undefined") == 0) return of == NULL;
  if (strcmp(name, "none") == 0) return json_is_null(of);
  if (strcmp(name, "string") == 0) return text;
  if (strcmp(name, "mapping") == 0) return json_is_object(of);
  if (strcmp(name, "iterable") == 0) return !of || text || json_is_array(of) || json_is_object(of);
  if (strcmp(name, "sequence") == 0) return !of || text || json_is_array(of) || json_is_object(of);
  if (strcmp(name, "number") == 0) return json_is_number(of) || truth;
  if (strcmp(name, "integer") == 0) return json_is_integer(of);
  if (strcmp(name, "float") == 0) return json_is_real(of);
  if (strcmp(name, "boolean") == 0) return truth;
  if (strcmp(name, "true") == 0) return json_is_true(of);
  if (strcmp(name, "false") == 0) return json_is_false(of);
  if (strcmp(name, "ne") == 0) return !cohort_chat_equal(of, with);
  if (strcmp(name, "in") == 0 && json_is_array(with)) {
    for (size_t i = 0; i < json_array_size(with); i++)
      if (cohort_chat_equal(json_array_get(with, i), of)) return true;
    return false;
  }
  if (strcmp(name, "in") == 0 && json_is_string(with) && text)
    return strstr(json_string_value(with), json_string_value(of)) != NULL;
  if (strcmp(name, "equalto") == 0 || strcmp(name, "eq") == 0) return cohort_chat_equal(of, with);
  if (strcmp(name, "sameas") == 0)
    return (of && with ? json_typeof(of) == json_typeof(with) : of == with) && cohort_chat_equal(of, with);
  const long long by = strcmp(name, "divisibleby") == 0 ? whole_of(with) : 2;
  if (!is_whole(of) || by == 0) {
    cohort_chat_fail(own, at, "the test %s takes whole numbers", name);
    return false;
  }
  return (whole_of(of) % by == 0) == (strcmp(name, "odd") != 0);
}
