/* A conversation through a template. Invariant: a rendering changes nothing of the template or the messages; all values
 * that it makes are kept in one list until its end. Costs an operation for each node that is passed, and a copy of each
 * text. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/chat/chat_own.h"

typedef cohort_chat_run run;
typedef cohort_chat_node node;

void cohort_chat_fail(run *own, const node *at, const char *format, ...) {
  if (own->failed) return;
  char what[256];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  cohort_chat_one_line(what);
  own->failed = true;
  if (at)
    (void)cohort_fail(own->error, COHORT_BAD_DATA, "the chat template (%s:%d:%d) refuses it: %s", own->chat->name,
                      at->line, at->column, what);
  else
    (void)cohort_fail(own->error, COHORT_BAD_DATA, "the chat template (%s) refuses it: %s", own->chat->name, what);
}

json_t *cohort_chat_keep(run *own, json_t *value) {
  json_array_append_new(own->kept, value);
  return value;
}

json_t *cohort_chat_string(run *own, const char *text, size_t length) {
  return cohort_chat_keep(own, json_stringn(text, length == (size_t)-1 ? strlen(text) : length));
}

json_t *cohort_chat_lookup(const run *own, const char *name) {
  for (size_t i = json_array_size(own->scope); i-- > 0;) {
    json_t *found = json_object_get(json_array_get(own->scope, i), name);
    if (found) return found;
  }
  return json_object_get(own->chat->names, name);
}

bool cohort_chat_put(run *own, const node *at, const json_t *value, cohort_text *out) {
  if (own->failed) return false;
  if (json_is_string(value))
    cohort_text_put(out, "%s", json_string_value(value));
  else if (json_is_boolean(value))
    cohort_text_put(out, "%s", json_is_true(value) ? "True" : "False");
  else if (json_is_null(value))
    cohort_text_put(out, "None");
  else if (json_is_integer(value))
    cohort_text_put(out, "%lld", (long long)json_integer_value(value));
  else if (json_is_real(value))
    cohort_chat_real(json_real_value(value), out);
  else if (value)
    cohort_chat_fail(own, at, "a list or dictionary would be printed; use tojson");
  return !own->failed;
}

static void assign(run *own, const char *name, json_t *value) {
  json_t *scope = json_array_get(own->scope, json_array_size(own->scope) - 1);
  if (value)
    json_object_set(scope, name, value);
  else
    json_object_del(scope, name);
}

static void enter(run *own) { json_array_append_new(own->scope, json_object()); }
static void leave(run *own) { json_array_remove(own->scope, json_array_size(own->scope) - 1); }

static void render(run *own, const node *at);

static void set(run *own, const node *at) {
  json_t *value = cohort_chat_evaluate(own, at->child[0]);
  if (own->failed) return;
  if (!at->other) {
    assign(own, at->text, value);
    return;
  }
  json_t *of = cohort_chat_lookup(own, at->text);
  if (!json_is_object(of)) {
    cohort_chat_fail(own, at, "%s is no namespace", at->text);
    return;
  }
  if (value) json_object_set(of, at->other, value);
}

static void branch(run *own, const node *at) {
  for (int i = 0; i + 1 < at->children; i += 2) {
    const bool taken = cohort_chat_true(cohort_chat_evaluate(own, at->child[i]));
    if (own->failed) return;
    if (taken) {
      render(own, at->child[i + 1]);
      return;
    }
  }
  if (at->children % 2) render(own, at->child[at->children - 1]);
}

/* The loop's names, one or two of an element. */
static void bind(run *own, const node *at, json_t *element) {
  if (!at->other) {
    assign(own, at->text, element);
    return;
  }
  if (json_array_size(element) != 2) cohort_chat_fail(own, at, "an element is not of two");
  assign(own, at->text, json_array_get(element, 0));
  assign(own, at->other, json_array_get(element, 1));
}

/* What `loop` is at element i of n. */
static json_t *state_of(run *own, json_t *list, size_t i) {
  const size_t n = json_array_size(list);
  json_t *state =
      cohort_chat_keep(own, json_pack("{sIsIsbsbsIsIsI}", "index", (json_int_t)i + 1, "index0", (json_int_t)i, "first",
                                      i == 0, "last", i + 1 == n, "length", (json_int_t)n, "revindex",
                                      (json_int_t)(n - i), "revindex0", (json_int_t)(n - i - 1)));
  if (i > 0) json_object_set(state, "previtem", json_array_get(list, i - 1));
  if (i + 1 < n) json_object_set(state, "nextitem", json_array_get(list, i + 1));
  return state;
}

/* The elements for which the loop's condition holds. */
static json_t *chosen(run *own, const node *at, json_t *list) {
  json_t *out = cohort_chat_keep(own, json_array());
  for (size_t i = 0; i < json_array_size(list) && !own->failed; i++) {
    enter(own);
    bind(own, at, json_array_get(list, i));
    if (cohort_chat_true(cohort_chat_evaluate(own, at->child[1]))) json_array_append(out, json_array_get(list, i));
    leave(own);
  }
  return out;
}

static void loop(run *own, const node *at) {
  json_t *over = cohort_chat_evaluate(own, at->child[0]);
  if (own->failed) return;
  json_t *list = cohort_chat_elements(own, at->child[0], over);
  if (at->child[1]) list = chosen(own, at, list);
  const size_t count = json_array_size(list);
  for (size_t i = 0; i < count && !own->failed; i++) {
    enter(own);
    assign(own, "loop", state_of(own, list, i));
    bind(own, at, json_array_get(list, i));
    render(own, at->child[2]);
    leave(own);
    own->continues = false;
    if (own->breaks) break;
  }
  own->breaks = false;
  if (count == 0 && at->child[3]) render(own, at->child[3]);
}

static void mark(run *own, const node *at) {
  const size_t first = own->out.length;
  enter(own);
  render(own, at->child[0]);
  leave(own);
  own->span = cohort_reallocate(own->span, (size_t)(own->spans + 1) * sizeof *own->span);
  own->span[own->spans++] = (cohort_chat_span){first, own->out.length};
}

static void render(run *own, const node *at) {
  if (own->failed || own->breaks || own->continues) return;
  switch (at->kind) {
    case CHAT_BODY:
      for (int i = 0; i < at->children; i++) render(own, at->child[i]);
      break;
    case CHAT_OUTPUT:
      cohort_text_put(&own->out, "%s", at->text);
      break;
    case CHAT_PRINT:
      (void)cohort_chat_put(own, at, cohort_chat_evaluate(own, at->child[0]), &own->out);
      break;
    case CHAT_FOR:
      loop(own, at);
      break;
    case CHAT_IF:
      branch(own, at);
      break;
    case CHAT_SET:
      set(own, at);
      break;
    case CHAT_GENERATION:
      mark(own, at);
      break;
    case CHAT_BREAK:
      own->breaks = true;
      break;
    case CHAT_CONTINUE:
      own->continues = true;
      break;
    default:
      break;
  }
}

/* As transformers does: a list of objects with a role. */
static void check_messages(run *own, const json_t *messages) {
  if (!json_is_array(messages) || !json_array_size(messages))
    cohort_chat_fail(own, NULL, "messages are a list of at least one");
  size_t i;
  json_t *message;
  json_array_foreach((json_t *)(size_t)messages, i, message) {
    if (!json_is_object(message))
      cohort_chat_fail(own, NULL, "message %zu is no object with role and content", i + 1);
    else if (!json_is_string(json_object_get(message, "role")))
      cohort_chat_fail(own, NULL, "message %zu has no role", i + 1);
  }
}

cohort_status cohort_chat_render_json(const cohort_chat *chat, const struct json_t *messages,
                                      const cohort_chat_options *options, cohort_chat_text *out, cohort_error *error) {
  run own = {.chat = chat, .options = options, .kept = json_array(), .scope = json_array(), .error = error};
  memset(out, 0, sizeof *out);
  enter(&own);
  check_messages(&own, messages);
  if (!own.failed) {
    json_t *scope = json_array_get(own.scope, 0);
    json_object_set(scope, "messages", (json_t *)(size_t)messages);
    json_object_set_new(scope, "tools", json_null());
    json_object_set_new(scope, "documents", json_null());
    json_object_set_new(scope, "add_generation_prompt", json_boolean(options->add_generation_prompt));
    /* A name that is there for `is defined`: only a call gives a date. */
    json_object_set_new(scope, "strftime_now", json_true());
    render(&own, chat->root);
  }
  json_decref(own.scope);
  json_decref(own.kept);
  if (own.failed) {
    free(own.out.text);
    free(own.span);
    return COHORT_BAD_DATA;
  }
  *out = (cohort_chat_text){own.out.text ? own.out.text : cohort_copy_text(""), own.out.length, own.spans, own.span};
  return COHORT_DONE;
}

cohort_status cohort_chat_render(const cohort_chat *chat, const char *messages, const cohort_chat_options *options,
                                 cohort_chat_text *out, cohort_error *error) {
  json_error_t fault;
  json_t *list = json_loads(messages, JSON_REJECT_DUPLICATES, &fault);
  if (!list) return cohort_fail(error, COHORT_BAD_DATA, "messages: not JSON: %s", fault.text);
  const cohort_status status = cohort_chat_render_json(chat, list, options, out, error);
  json_decref(list);
  return status;
}

void cohort_chat_text_release(cohort_chat_text *text) {
  free(text->text);
  free(text->span);
  memset(text, 0, sizeof *text);
}
