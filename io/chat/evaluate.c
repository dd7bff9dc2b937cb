/* Expressions of a template to values, as Python and jinja2 compute them. Values are JSON; undefined is NULL. A
 * namespace is an object too, the only one that changes. Invariant: what Python would raise is a fault with line and
 * column. Costs an operation a node. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/chat/chat_own.h"

typedef cohort_chat_run run;
typedef cohort_chat_node node;

bool cohort_chat_true(const json_t *value) {
  if (json_is_string(value)) return json_string_length(value) > 0;
  if (json_is_array(value)) return json_array_size(value) > 0;
  if (json_is_object(value)) return json_object_size(value) > 0;
  if (json_is_number(value)) return json_number_value(value) != 0;
  return json_is_true(value);
}

static bool is_number(const json_t *value) { return json_is_number(value) || json_is_boolean(value); }
static double number_of(const json_t *value) {
  return json_is_boolean(value) ? (double)json_is_true(value) : json_number_value(value);
}
static long long whole_of(const json_t *value) {
  return json_is_boolean(value) ? json_is_true(value) : json_integer_value(value);
}
static bool is_whole(const json_t *value) { return json_is_integer(value) || json_is_boolean(value); }

/* True is 1. */
bool cohort_chat_equal(const json_t *a, const json_t *b) {
  if (!a || !b) return a == b;
  if (is_number(a) && is_number(b)) return number_of(a) == number_of(b);
  return json_equal((json_t *)(size_t)a, (json_t *)(size_t)b) == 1;
}

json_t *cohort_chat_argument(run *own, const node *at, int index, const char *keyword) {
  const int first = at->children - at->arguments;
  for (int i = 0; i < at->arguments; i++)
    if (at->keyword[i] ? strcmp(at->keyword[i], keyword) == 0 : i == index)
      return cohort_chat_evaluate(own, at->child[first + i]);
  return NULL;
}

/* What an expression is called in messages. */
static const char *name_of(const node *at) { return at->text ? at->text : "a value"; }

static json_t *undefined_used(run *own, const node *at) {
  cohort_chat_fail(own, at, "%s is undefined", name_of(at));
  return NULL;
}

json_t *cohort_chat_elements(run *own, const node *at, json_t *value) {
  if (json_is_array(value)) return value;
  json_t *out = cohort_chat_keep(own, json_array());
  if (json_is_object(value)) {
    const char *key;
    json_t *each;
    json_object_foreach(value, key, each) json_array_append_new(out, json_string(key));
  } else if (json_is_string(value)) {
    const char *text = json_string_value(value);
    for (size_t i = 0, length; text[i]; i += length) {
      for (length = 1; ((unsigned char)text[i + length] & 0xc0) == 0x80;) length++;
      json_array_append_new(out, json_stringn(text + i, length));
    }
  } else if (value) {
    cohort_chat_fail(own, at, "%s is nothing to go through", name_of(at));
  }
  return out;
}

static json_t *attribute(run *own, const node *at) {
  json_t *of = cohort_chat_evaluate(own, at->child[0]);
  if (own->failed) return NULL;
  if (!of) return undefined_used(own, at->child[0]);
  if (json_is_object(of) && cohort_chat_has_method(at->text) && !json_object_get(of, at->text) &&
      strchr("ikvg", at->text[0]))
    cohort_chat_fail(own, at, "%s is a method that is not called", at->text);
  return json_object_get(of, at->text);
}

/* Characters [first, end) by `step` of a string, or elements. */
static json_t *element(const json_t *list, long long index) {
  const long long size = (long long)json_array_size(list);
  if (index < 0) index += size;
  return index >= 0 && index < size ? json_array_get(list, (size_t)index) : NULL;
}

static json_t *item(run *own, const node *at) {
  json_t *of = cohort_chat_evaluate(own, at->child[0]), *index = cohort_chat_evaluate(own, at->child[1]);
  if (own->failed) return NULL;
  if (!of) return undefined_used(own, at->child[0]);
  if (json_is_object(of)) return json_is_string(index) ? json_object_get(of, json_string_value(index)) : NULL;
  if ((json_is_array(of) || json_is_string(of)) && is_whole(index))
    return element(cohort_chat_elements(own, at, of), whole_of(index));
  return NULL;
}

/* A bound of a slice as Python's slice.indices gives it. */
static long long bound(run *own, const node *at, long long size, long long otherwise, bool backwards) {
  json_t *value = at ? cohort_chat_evaluate(own, at) : NULL;
  if (!value || json_is_null(value)) return otherwise;
  if (!is_whole(value)) cohort_chat_fail(own, at, "a slice has whole numbers");
  long long index = whole_of(value);
  if (index < 0) index += size;
  const long long least = backwards ? -1 : 0, most = backwards ? size - 1 : size;
  return index < least ? least : index > most ? most : index;
}

static json_t *slice(run *own, const node *at) {
  json_t *of = cohort_chat_evaluate(own, at->child[0]);
  if (own->failed) return NULL;
  if (!json_is_array(of) && !json_is_string(of)) {
    cohort_chat_fail(own, at, "%s has no slices", name_of(at->child[0]));
    return NULL;
  }
  json_t *list = cohort_chat_elements(own, at, of),
         *step = at->child[3] ? cohort_chat_evaluate(own, at->child[3]) : NULL;
  const long long size = (long long)json_array_size(list), by = step ? whole_of(step) : 1;
  if (by == 0) cohort_chat_fail(own, at, "a slice's step is 0");
  const long long first = bound(own, at->child[1], size, by < 0 ? size - 1 : 0, by < 0);
  const long long end = bound(own, at->child[2], size, by < 0 ? -1 : size, by < 0);
  json_t *out = cohort_chat_keep(own, json_array());
  for (long long i = first; !own->failed && (by > 0 ? i < end : i > end); i += by)
    json_array_append(out, json_array_get(list, (size_t)i));
  if (json_is_array(of)) return out;
  return cohort_chat_join(own, at, out, NULL);
}

static json_t *call(run *own, const node *at) {
  if (strcmp(at->text, "raise_exception") == 0) {
    json_t *why = cohort_chat_argument(own, at, 0, "message");
    if (!own->failed) cohort_chat_fail(own, NULL, "%s", json_is_string(why) ? json_string_value(why) : "no reason");
    return NULL;
  }
  if (strcmp(at->text, "strftime_now") == 0) {
    if (!own->options->date) cohort_chat_fail(own, at, "the template asks for the date; give one (data.date)");
    return cohort_chat_string(own, own->options->date ? own->options->date : "", (size_t)-1);
  }
  if (strcmp(at->text, "namespace") == 0) {
    json_t *made = cohort_chat_keep(own, json_object());
    for (int i = 0; i < at->arguments && !own->failed; i++) {
      json_t *value = cohort_chat_evaluate(own, at->child[i]);
      if (!at->keyword[i]) cohort_chat_fail(own, at, "namespace takes names alone");
      if (value && at->keyword[i]) json_object_set(made, at->keyword[i], value);
    }
    return made;
  }
  json_t *a = cohort_chat_argument(own, at, 0, ""), *b = cohort_chat_argument(own, at, 1, "");
  json_t *c = cohort_chat_argument(own, at, 2, ""), *out = cohort_chat_keep(own, json_array());
  const long long first = b ? whole_of(a) : 0, end = whole_of(b ? b : a), by = c ? whole_of(c) : 1;
  if (!is_whole(a) || by == 0 || llabs(end - first) > 1000000) cohort_chat_fail(own, at, "range takes whole numbers");
  for (long long i = first; !own->failed && (by > 0 ? i < end : i > end); i += by)
    json_array_append_new(out, json_integer(i));
  return out;
}

static json_t *add(run *own, const node *at, json_t *a, json_t *b) {
  if (json_is_string(a) && json_is_string(b)) {
    cohort_text both = {NULL, 0, 0};
    cohort_text_put(&both, "%s%s", json_string_value(a), json_string_value(b));
    json_t *out = cohort_chat_string(own, both.text, both.length);
    free(both.text);
    return out;
  }
  if (json_is_array(a) && json_is_array(b)) {
    json_t *out = cohort_chat_keep(own, json_copy(a));
    json_array_extend(out, b);
    return out;
  }
  cohort_chat_fail(own, at, "+ joins two strings, two lists or two numbers");
  return NULL;
}

static json_t *arithmetic(run *own, const node *at, json_t *a, json_t *b) {
  const char op = at->text[0];
  const bool twice = at->text[1] == op, whole = is_whole(a) && is_whole(b);
  const double x = number_of(a), y = number_of(b);
  if ((op == '/' || op == '%') && y == 0) {
    cohort_chat_fail(own, at, "a division by 0");
    return NULL;
  }
  double value = op == '+' ? x + y : op == '-' ? x - y : op == '*' && !twice ? x * y : 0;
  if (op == '*' && twice) value = pow(x, y);
  if (op == '/') value = twice ? floor(x / y) : x / y;
  if (op == '%') value = x - y * floor(x / y);
  const bool real = !whole || (op == '/' && !twice) || fabs(value) > 9e15 || (op == '*' && twice && y < 0);
  return cohort_chat_keep(own, real ? json_real(value) : json_integer((json_int_t)value));
}

static json_t *binary(run *own, const node *at) {
  json_t *a = cohort_chat_evaluate(own, at->child[0]), *b = cohort_chat_evaluate(own, at->child[1]);
  if (own->failed) return NULL;
  if (strcmp(at->text, "~") == 0) {
    cohort_text both = {NULL, 0, 0};
    json_t *out = NULL;
    if (cohort_chat_put(own, at, a, &both) && cohort_chat_put(own, at, b, &both))
      out = cohort_chat_string(own, both.text ? both.text : "", both.length);
    free(both.text);
    return out;
  }
  if (!a) return undefined_used(own, at->child[0]);
  if (!b) return undefined_used(own, at->child[1]);
  if (is_number(a) && is_number(b)) return arithmetic(own, at, a, b);
  if (strcmp(at->text, "+") == 0) return add(own, at, a, b);
  cohort_chat_fail(own, at, "%s takes two numbers", at->text);
  return NULL;
}

static bool contains(run *own, const node *at, json_t *what, json_t *in) {
  if (json_is_object(in)) return json_is_string(what) && json_object_get(in, json_string_value(what));
  if (json_is_string(in) && json_is_string(what)) return strstr(json_string_value(in), json_string_value(what)) != NULL;
  if (json_is_array(in)) {
    size_t i;
    json_t *each;
    json_array_foreach(in, i, each) if (cohort_chat_equal(each, what)) return true;
  } else if (in) {
    cohort_chat_fail(own, at, "in: %s holds nothing of that kind", name_of(at->child[1]));
  }
  return false;
}

static json_t *truth(run *own, bool value) { return cohort_chat_keep(own, json_boolean(value)); }

static json_t *compare(run *own, const node *at) {
  json_t *a = cohort_chat_evaluate(own, at->child[0]), *b = cohort_chat_evaluate(own, at->child[1]);
  const char *op = at->text;
  if (own->failed) return NULL;
  if (op[0] == '=') return truth(own, cohort_chat_equal(a, b));
  if (op[0] == '!') return truth(own, !cohort_chat_equal(a, b));
  if (op[0] == 'i') return truth(own, contains(own, at, a, b));
  if (op[0] == 'n') return truth(own, !contains(own, at, a, b));
  double order = 0;
  if (is_number(a) && is_number(b))
    order = number_of(a) - number_of(b);
  else if (json_is_string(a) && json_is_string(b))
    order = strcmp(json_string_value(a), json_string_value(b));
  else
    cohort_chat_fail(own, at, "%s compares two numbers or two strings", op);
  return truth(own, op[0] == '<' ? (op[1] ? order <= 0 : order < 0) : (op[1] ? order >= 0 : order > 0));
}

static json_t *unary(run *own, const node *at) {
  json_t *of = cohort_chat_evaluate(own, at->child[0]);
  if (own->failed) return NULL;
  if (at->text[0] == 'n') return truth(own, !cohort_chat_true(of));
  if (!is_number(of)) cohort_chat_fail(own, at, "%s takes a number", at->text);
  const bool negative = at->text[0] == '-';
  if (is_whole(of)) return cohort_chat_keep(own, json_integer(negative ? -whole_of(of) : whole_of(of)));
  return cohort_chat_keep(own, json_real(negative ? -number_of(of) : number_of(of)));
}

static json_t *build(run *own, const node *at) {
  const bool list = at->kind == CHAT_LIST;
  json_t *out = cohort_chat_keep(own, list ? json_array() : json_object());
  for (int i = 0; i < at->children && !own->failed; i += list ? 1 : 2) {
    json_t *value = cohort_chat_evaluate(own, at->child[list ? i : i + 1]);
    json_t *key = list ? NULL : cohort_chat_evaluate(own, at->child[i]);
    if (own->failed) break;
    if (!value) return undefined_used(own, at->child[list ? i : i + 1]);
    if (list)
      json_array_append(out, value);
    else if (json_is_string(key))
      json_object_set(out, json_string_value(key), value);
    else
      cohort_chat_fail(own, at, "keys are strings");
  }
  return out;
}

static json_t *evaluate_test(run *own, const node *at) {
  json_t *of = cohort_chat_evaluate(own, at->child[0]);
  json_t *with = at->arguments ? cohort_chat_argument(own, at, 0, "") : NULL;
  return own->failed ? NULL : truth(own, cohort_chat_test(own, at, at->text, of, with));
}

json_t *cohort_chat_evaluate(run *own, const node *at) {
  if (own->failed) return NULL;
  json_t *first;
  switch (at->kind) {
    case CHAT_CONSTANT:
      return at->value;
    case CHAT_VARIABLE:
      return cohort_chat_lookup(own, at->text);
    case CHAT_LIST:
    case CHAT_DICTIONARY:
      return build(own, at);
    case CHAT_ATTRIBUTE:
      return attribute(own, at);
    case CHAT_ITEM:
      return item(own, at);
    case CHAT_SLICE:
      return slice(own, at);
    case CHAT_CALL:
      return call(own, at);
    case CHAT_METHOD:
      first = cohort_chat_evaluate(own, at->child[0]);
      return own->failed ? NULL : first ? cohort_chat_method(own, at, first) : undefined_used(own, at->child[0]);
    case CHAT_FILTER:
      first = cohort_chat_evaluate(own, at->child[0]);
      return own->failed ? NULL : cohort_chat_filter(own, at, first);
    case CHAT_TEST:
      return evaluate_test(own, at);
    case CHAT_BINARY:
      return binary(own, at);
    case CHAT_COMPARE:
      return compare(own, at);
    case CHAT_UNARY:
      return unary(own, at);
    case CHAT_AND:
      first = cohort_chat_evaluate(own, at->child[0]);
      return cohort_chat_true(first) ? cohort_chat_evaluate(own, at->child[1]) : first;
    case CHAT_OR:
      first = cohort_chat_evaluate(own, at->child[0]);
      return cohort_chat_true(first) ? first : cohort_chat_evaluate(own, at->child[1]);
    case CHAT_IF_ELSE:
      if (cohort_chat_true(cohort_chat_evaluate(own, at->child[1]))) return cohort_chat_evaluate(own, at->child[0]);
      return at->child[2] ? cohort_chat_evaluate(own, at->child[2]) : NULL;
    default:
      return NULL;
  }
}
