/* Filters of a template, as jinja2 and transformers have them. Costs the value that is filtered. */
#include <stdlib.h>
#include <string.h>

#include "io/chat/chat_own.h"

typedef cohort_chat_run run;
typedef cohort_chat_node node;

static json_t *length_of(run *own, const node *at, json_t *of) {
  if (of && !json_is_string(of) && !json_is_array(of) && !json_is_object(of))
    cohort_chat_fail(own, at, "this value has no length");
  json_t *elements = cohort_chat_elements(own, at, of);
  return cohort_chat_keep(own, json_integer((json_int_t)json_array_size(elements)));
}

static json_t *dump(run *own, const node *at, json_t *of) {
  for (int i = 0; i < at->arguments; i++)
    if (at->keyword[i] && strcmp(at->keyword[i], "indent") != 0 && strcmp(at->keyword[i], "ensure_ascii") != 0)
      cohort_chat_fail(own, at, "tojson(%s) is not taken", at->keyword[i]);
  if (cohort_chat_true(cohort_chat_argument(own, at, 0, "ensure_ascii")))
    cohort_chat_fail(own, at, "tojson(ensure_ascii=true) is not taken");
  json_t *indent = cohort_chat_argument(own, at, 1, "indent");
  if (!of) cohort_chat_fail(own, at, "an undefined value has no JSON");
  if (own->failed) return NULL;
  cohort_text out = {NULL, 0, 0};
  cohort_chat_dump(of, json_is_integer(indent) ? (int)json_integer_value(indent) : -1, 0, &out);
  json_t *made = cohort_chat_string(own, out.text ? out.text : "", out.length);
  free(out.text);
  return made;
}

/* select, reject, selectattr, rejectattr: by truth or a named test. */
static json_t *select_of(run *own, const node *at, json_t *of) {
  const bool attribute = strlen(at->text) > 6, keeps = at->text[0] == 's';
  const int first = attribute ? 1 : 0;
  const json_t *name = cohort_chat_argument(own, at, 0, ""), *test = cohort_chat_argument(own, at, first, "");
  const json_t *with = cohort_chat_argument(own, at, first + 1, "");
  if (test && (!json_is_string(test) || !cohort_chat_has_test(json_string_value(test))))
    cohort_chat_fail(own, at, "%s: this test is not taken", at->text);
  json_t *list = cohort_chat_elements(own, at, of), *out = cohort_chat_keep(own, json_array());
  for (size_t i = 0; i < json_array_size(list) && !own->failed; i++) {
    json_t *each = json_array_get(list, i);
    const json_t *asked = attribute ? json_object_get(each, json_is_string(name) ? json_string_value(name) : "") : each;
    const bool is = test ? cohort_chat_test(own, at, json_string_value(test), asked, with) : cohort_chat_true(asked);
    if (is == keeps) json_array_append(out, each);
  }
  return out;
}

static json_t *map(run *own, const node *at, json_t *of) {
  json_t *name = cohort_chat_argument(own, at, -1, "attribute"), *out = cohort_chat_keep(own, json_array());
  if (!json_is_string(name)) cohort_chat_fail(own, at, "map takes attribute=NAME alone");
  json_t *list = cohort_chat_elements(own, at, of);
  for (size_t i = 0; i < json_array_size(list) && !own->failed; i++) {
    json_t *found = json_object_get(json_array_get(list, i), json_string_value(name));
    if (!found) cohort_chat_fail(own, at, "map: element %zu has no %s", i, json_string_value(name));
    json_array_append(out, found);
  }
  return out;
}

static json_t *text_of(run *own, const node *at, json_t *of) {
  cohort_text out = {NULL, 0, 0};
  (void)cohort_chat_put(own, at, of, &out);
  json_t *made = cohort_chat_string(own, out.text ? out.text : "", out.length);
  free(out.text);
  return made;
}

static json_t *reverse(run *own, const node *at, json_t *of) {
  json_t *list = cohort_chat_elements(own, at, of), *out = cohort_chat_keep(own, json_array());
  for (size_t i = json_array_size(list); i-- > 0;) json_array_append(out, json_array_get(list, i));
  return json_is_string(of) ? cohort_chat_join(own, at, out, NULL) : out;
}

static json_t *whole(run *own, const node *at, json_t *of) {
  long long number = json_is_number(of) ? (long long)json_number_value(of) : json_is_true(of);
  if (json_is_string(of)) {
    char *end = NULL;
    number = strtoll(json_string_value(of), &end, 10);
    if (*end) cohort_chat_fail(own, at, "int takes a whole number");
  }
  return cohort_chat_keep(own, json_integer(number));
}

json_t *cohort_chat_filter(run *own, const node *at, json_t *of) {
  const char *name = at->text;
  if (name[0] == 'd') {
    json_t *other = cohort_chat_argument(own, at, 0, "default_value"),
           *falsy = cohort_chat_argument(own, at, 1, "boolean");
    const bool kept = cohort_chat_true(falsy) ? cohort_chat_true(of) : of != NULL;
    return kept ? of : other ? other : cohort_chat_string(own, "", 0);
  }
  if (strcmp(name, "tojson") == 0) return dump(own, at, of);
  if (strcmp(name, "length") == 0 || strcmp(name, "count") == 0) return length_of(own, at, of);
  if (strcmp(name, "list") == 0) return cohort_chat_elements(own, at, of);
  if (strcmp(name, "map") == 0) return map(own, at, of);
  if (strstr(name, "select") || strstr(name, "reject")) return select_of(own, at, of);
  if (strcmp(name, "reverse") == 0) return reverse(own, at, of);
  if (strcmp(name, "int") == 0) return whole(own, at, of);
  if (strcmp(name, "join") == 0) return cohort_chat_join(own, at, of, cohort_chat_argument(own, at, 0, "d"));
  if (strcmp(name, "first") == 0 || strcmp(name, "last") == 0) {
    json_t *list = cohort_chat_elements(own, at, of);
    const size_t size = json_array_size(list);
    return size ? json_array_get(list, name[0] == 'f' ? 0 : size - 1) : NULL;
  }
  if (strcmp(name, "items") == 0) {
    if (of && !json_is_object(of)) cohort_chat_fail(own, at, "items takes a dictionary");
    json_t *out = cohort_chat_keep(own, json_array()), *value;
    const char *key;
    if (of) json_object_foreach(of, key, value) json_array_append_new(out, json_pack("[sO]", key, value));
    return out;
  }
  json_t *text = text_of(own, at, of);
  if (own->failed) return NULL;
  if (strcmp(name, "trim") == 0)
    return cohort_chat_strip(own, text, cohort_chat_argument(own, at, 0, "chars"), true, true);
  if (strcmp(name, "replace") == 0)
    return cohort_chat_replace(own, text, cohort_chat_argument(own, at, 0, "old"),
                               cohort_chat_argument(own, at, 1, "new"));
  if (strcmp(name, "string") == 0 || strcmp(name, "safe") == 0) return text;
  return cohort_chat_case(own, text, name[0]);
}
