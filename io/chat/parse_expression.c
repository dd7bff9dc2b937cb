/* Expressions of a template, by recursive descent in jinja2's order of precedence. Invariant: a node holds what it was
 * made from, and a fault ends the descent with nodes that are whole. Costs a node a token; the depth is bounded. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/chat/chat_own.h"

typedef cohort_chat_parser parser;
typedef cohort_chat_node node;

node *cohort_chat_node_new(parser *own, cohort_chat_kind kind, const char *text) {
  const cohort_chat_token *at = cohort_chat_peek(own);
  node *made = cohort_allocate(sizeof *made);
  made->kind = kind;
  made->line = at->line;
  made->column = at->column;
  if (text) made->text = cohort_copy_text(text);
  return made;
}

void cohort_chat_node_add(node *of, node *child) {
  of->child = cohort_reallocate(of->child, (size_t)(of->children + 1) * sizeof(node *));
  of->child[of->children++] = child;
}

void cohort_chat_node_destroy(node *own) {
  if (!own) return;
  for (int i = 0; i < own->children; i++) cohort_chat_node_destroy(own->child[i]);
  for (int i = 0; own->keyword && i < own->arguments; i++) free(own->keyword[i]);
  free(own->keyword);
  free(own->child);
  free(own->text);
  free(own->other);
  json_decref(own->value);
  free(own);
}

void cohort_chat_one_line(char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < ' ') *text = ' ';
}

void cohort_chat_refuse(parser *own, const char *format, ...) {
  if (own->failed) return;
  const cohort_chat_token *at = cohort_chat_peek(own);
  char what[256];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  cohort_chat_one_line(what);
  (void)cohort_fail(own->error, COHORT_BAD_DATA, "%s:%d:%d: %s", own->name, at->line, at->column, what);
  own->failed = true;
}

const cohort_chat_token *cohort_chat_peek(const parser *own) { return &own->tokens->token[own->at]; }

bool cohort_chat_is(const parser *own, cohort_chat_token_kind kind, const char *text) {
  const cohort_chat_token *at = cohort_chat_peek(own);
  return !own->failed && at->kind == kind && (!text || strcmp(at->text, text) == 0);
}

bool cohort_chat_take(parser *own, cohort_chat_token_kind kind, const char *text) {
  const bool there = cohort_chat_is(own, kind, text);
  own->at += there && kind != CHAT_END;
  return there;
}

void cohort_chat_expect(parser *own, cohort_chat_token_kind kind, const char *text) {
  if (cohort_chat_take(own, kind, text) || own->failed) return;
  const char *found = cohort_chat_peek(own)->text;
  cohort_chat_refuse(own, "expected %s, found %s",
                     text                     ? text
                     : kind == CHAT_NAME      ? "a name"
                     : kind == CHAT_BLOCK_END ? "%}"
                                              : "}}",
                     *found ? found : "the end of the tag");
}

static bool is_operator(const parser *own, const char *text) { return cohort_chat_is(own, CHAT_OPERATOR, text); }
static bool take_operator(parser *own, const char *text) { return cohort_chat_take(own, CHAT_OPERATOR, text); }
static bool take_word(parser *own, const char *text) { return cohort_chat_take(own, CHAT_NAME, text); }

static node *binary(parser *own, cohort_chat_kind kind, const char *operator, node * left, node *right) {
  node *made = cohort_chat_node_new(own, kind, operator);
  cohort_chat_node_add(made, left);
  cohort_chat_node_add(made, right);
  return made;
}

/* Arguments after an opening bracket. */
static void read_arguments(parser *own, node *call) {
  while (!own->failed && !take_operator(own, ")")) {
    char *keyword = NULL;
    const cohort_chat_token *at = cohort_chat_peek(own);
    if (at->kind == CHAT_NAME && own->tokens->token[own->at + 1].kind == CHAT_OPERATOR &&
        strcmp(own->tokens->token[own->at + 1].text, "=") == 0) {
      keyword = cohort_copy_text(at->text);
      own->at += 2;
    } else if (is_operator(own, "*") || is_operator(own, "**")) {
      cohort_chat_refuse(own, "arguments with * are not taken");
      return;
    }
    cohort_chat_node_add(call, cohort_chat_parse_expression(own));
    call->keyword = cohort_reallocate(call->keyword, (size_t)(call->arguments + 1) * sizeof *call->keyword);
    call->keyword[call->arguments++] = keyword;
    if (!is_operator(own, ")")) cohort_chat_expect(own, CHAT_OPERATOR, ",");
  }
}

static node *constant(parser *own, json_t *value) {
  node *made = cohort_chat_node_new(own, CHAT_CONSTANT, NULL);
  made->value = value;
  return made;
}

static node *read_list(parser *own, const char *closing) {
  node *made = cohort_chat_node_new(own, CHAT_LIST, NULL);
  while (!own->failed && !take_operator(own, closing)) {
    cohort_chat_node_add(made, cohort_chat_parse_expression(own));
    if (!is_operator(own, closing)) cohort_chat_expect(own, CHAT_OPERATOR, ",");
  }
  return made;
}

static node *read_dictionary(parser *own) {
  node *made = cohort_chat_node_new(own, CHAT_DICTIONARY, NULL);
  while (!own->failed && !take_operator(own, "}")) {
    cohort_chat_node_add(made, cohort_chat_parse_expression(own));
    cohort_chat_expect(own, CHAT_OPERATOR, ":");
    cohort_chat_node_add(made, cohort_chat_parse_expression(own));
    if (!is_operator(own, "}")) cohort_chat_expect(own, CHAT_OPERATOR, ",");
  }
  return made;
}

static node *read_name(parser *own) {
  const char *text = cohort_chat_peek(own)->text;
  static const char *const words[] = {"true", "True", "false", "False", "none", "None"};
  for (int i = 0; i < 6; i++)
    if (take_word(own, words[i])) return constant(own, i < 2 ? json_true() : i < 4 ? json_false() : json_null());
  node *made = cohort_chat_node_new(own, CHAT_VARIABLE, text);
  own->at++;
  return made;
}

static node *read_string(parser *own) {
  cohort_text all = {NULL, 0, 0};
  while (cohort_chat_is(own, CHAT_STRING, NULL)) cohort_text_put(&all, "%s", own->tokens->token[own->at++].text);
  node *made = constant(own, json_string(all.text ? all.text : ""));
  free(all.text);
  return made;
}

static node *read_primary(parser *own) {
  const cohort_chat_token *at = cohort_chat_peek(own);
  if (at->kind == CHAT_NAME) return read_name(own);
  if (at->kind == CHAT_STRING) return read_string(own);
  if (at->kind == CHAT_INTEGER || at->kind == CHAT_FLOAT) {
    own->at++;
    return constant(
        own, at->kind == CHAT_FLOAT ? json_real(strtod(at->text, NULL)) : json_integer(strtoll(at->text, NULL, 10)));
  }
  if (take_operator(own, "[")) return read_list(own, "]");
  if (take_operator(own, "{")) return read_dictionary(own);
  if (take_operator(own, "(")) {
    node *inside = cohort_chat_parse_expression(own);
    if (is_operator(own, ",")) cohort_chat_refuse(own, "tuples are not taken; write a list");
    cohort_chat_expect(own, CHAT_OPERATOR, ")");
    return inside;
  }
  cohort_chat_refuse(own, "expected a value, found %s", *at->text ? at->text : "the end of the tag");
  return constant(own, json_null());
}

static node *read_subscript(parser *own, node *of) {
  node *part[3] = {NULL, NULL, NULL};
  int parts = 0;
  bool slice = false;
  while (!own->failed && !is_operator(own, "]") && parts < 3) {
    if (take_operator(own, ":")) {
      slice = true;
      parts++;
      continue;
    }
    if (part[parts]) break;
    part[parts] = cohort_chat_parse_expression(own);
  }
  cohort_chat_expect(own, CHAT_OPERATOR, "]");
  node *made = cohort_chat_node_new(own, slice ? CHAT_SLICE : CHAT_ITEM, NULL);
  cohort_chat_node_add(made, of);
  if (!slice && !part[0]) cohort_chat_refuse(own, "an index is missing");
  for (int i = 0; i < (slice ? 3 : 1); i++) cohort_chat_node_add(made, part[i]);
  return made;
}

/* A method, or a function. */
static node *read_call(parser *own, node *of) {
  static const char *const functions[] = {"namespace", "range", "raise_exception", "strftime_now"};
  node *made = NULL;
  if (of->kind == CHAT_ATTRIBUTE) {
    if (!cohort_chat_has_method(of->text)) cohort_chat_refuse(own, "the method %s is not taken", of->text);
    made = cohort_chat_node_new(own, CHAT_METHOD, of->text);
    cohort_chat_node_add(made, of->child[0]);
    of->children = 0;
  } else {
    bool known = false;
    for (int i = 0; of->kind == CHAT_VARIABLE && i < 4; i++) known = known || strcmp(of->text, functions[i]) == 0;
    if (!known) cohort_chat_refuse(own, "the function %s is not taken", of->text ? of->text : "that is called here");
    made = cohort_chat_node_new(own, CHAT_CALL, of->text);
  }
  cohort_chat_node_destroy(of);
  read_arguments(own, made);
  return made;
}

static node *read_postfix(parser *own, node *of) {
  while (!own->failed) {
    if (take_operator(own, "[")) {
      of = read_subscript(own, of);
    } else if (take_operator(own, "(")) {
      of = read_call(own, of);
    } else if (take_operator(own, ".")) {
      node *made = cohort_chat_node_new(own, CHAT_ATTRIBUTE, cohort_chat_peek(own)->text);
      cohort_chat_node_add(made, of);
      of = made;
      cohort_chat_expect(own, CHAT_NAME, NULL);
    } else {
      break;
    }
  }
  return of;
}

static node *read_test(parser *own, node *of) {
  const bool negated = take_word(own, "not");
  const char *name = cohort_chat_peek(own)->text;
  if (!cohort_chat_has_test(name)) cohort_chat_refuse(own, "the test %s is not taken", name);
  node *made = cohort_chat_node_new(own, CHAT_TEST, name);
  cohort_chat_node_add(made, of);
  cohort_chat_expect(own, CHAT_NAME, NULL);
  const cohort_chat_token *at = cohort_chat_peek(own);
  const bool word = at->kind == CHAT_NAME && strcmp(at->text, "else") != 0 && strcmp(at->text, "or") != 0 &&
                    strcmp(at->text, "and") != 0 && strcmp(at->text, "is") != 0 && strcmp(at->text, "if") != 0;
  if (take_operator(own, "(")) {
    read_arguments(own, made);
  } else if (word || at->kind == CHAT_STRING || at->kind == CHAT_INTEGER || at->kind == CHAT_FLOAT ||
             is_operator(own, "[") || is_operator(own, "{")) {
    cohort_chat_node_add(made, read_postfix(own, read_primary(own)));
    made->keyword = cohort_allocate(sizeof *made->keyword);
    made->arguments = 1;
  }
  if (!negated) return made;
  node *other = cohort_chat_node_new(own, CHAT_UNARY, "not");
  cohort_chat_node_add(other, made);
  return other;
}

static node *read_filters(parser *own, node *of) {
  while (!own->failed) {
    if (take_operator(own, "|")) {
      const char *name = cohort_chat_peek(own)->text;
      if (!cohort_chat_has_filter(name)) cohort_chat_refuse(own, "the filter %s is not taken", name);
      node *made = cohort_chat_node_new(own, CHAT_FILTER, name);
      cohort_chat_node_add(made, of);
      of = made;
      cohort_chat_expect(own, CHAT_NAME, NULL);
      if (take_operator(own, "(")) read_arguments(own, made);
    } else if (take_word(own, "is")) {
      of = read_test(own, of);
    } else {
      break;
    }
  }
  return of;
}

static node *read_unary(parser *own, bool filters) {
  for (int i = 0; i < 2; i++) {
    const char *sign = i ? "+" : "-";
    if (!take_operator(own, sign)) continue;
    node *made = cohort_chat_node_new(own, CHAT_UNARY, sign);
    if (is_operator(own, "-") || is_operator(own, "+")) cohort_chat_refuse(own, "two signs are not taken");
    cohort_chat_node_add(made, own->failed ? constant(own, json_null()) : read_unary(own, false));
    return filters ? read_filters(own, made) : made;
  }
  node *made = read_postfix(own, read_primary(own));
  return filters ? read_filters(own, made) : made;
}

static node *read_power(parser *own) {
  node *left = read_unary(own, true);
  while (take_operator(own, "**")) left = binary(own, CHAT_BINARY, "**", left, read_unary(own, true));
  return left;
}

/* Left to right, of one rank: *, then ~, then +. */
static node *read_rank(parser *own, int rank) {
  static const char *const operators[3][5] = {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}};
  if (rank == 3) return read_power(own);
  node *left = read_rank(own, rank + 1);
  for (int i = 0; !own->failed && i < 4 && operators[rank][i]; i++)
    if (take_operator(own, operators[rank][i])) {
      left = binary(own, CHAT_BINARY, operators[rank][i], left, read_rank(own, rank + 1));
      i = -1;
    }
  return left;
}

static const char *take_comparison(parser *own) {
  static const char *const operators[] = {"==", "!=", "<=", ">=", "<", ">"};
  for (int i = 0; i < 6; i++)
    if (take_operator(own, operators[i])) return operators[i];
  if (take_word(own, "in")) return "in";
  if (!cohort_chat_is(own, CHAT_NAME, "not") || own->tokens->token[own->at + 1].kind != CHAT_NAME ||
      strcmp(own->tokens->token[own->at + 1].text, "in") != 0)
    return NULL;
  own->at += 2;
  return "not in";
}

static node *read_comparison(parser *own) {
  node *left = read_rank(own, 0);
  const char *operator= take_comparison(own);
  if (!operator) return left;
  left = binary(own, CHAT_COMPARE, operator, left, read_rank(own, 0));
  if (take_comparison(own)) cohort_chat_refuse(own, "comparisons in a chain are not taken; join them with and");
  return left;
}

static node *read_not(parser *own) {
  bool negated = false, any = false;
  for (; take_word(own, "not"); any = true) negated = !negated;
  node *value = read_comparison(own);
  for (int times = negated ? 1 : any ? 2 : 0; times > 0; times--) {
    node *made = cohort_chat_node_new(own, CHAT_UNARY, "not");
    cohort_chat_node_add(made, value);
    value = made;
  }
  return value;
}

static node *read_and(parser *own) {
  node *left = read_not(own);
  while (take_word(own, "and")) left = binary(own, CHAT_AND, NULL, left, read_not(own));
  return left;
}

node *cohort_chat_parse_plain(parser *own) {
  node *left = read_and(own);
  while (take_word(own, "or")) left = binary(own, CHAT_OR, NULL, left, read_and(own));
  return left;
}

node *cohort_chat_parse_expression(parser *own) {
  enum { DEEPEST = 100 };
  if (++own->depth > DEEPEST) cohort_chat_refuse(own, "expressions within more than %d others", (int)DEEPEST);
  node *value = own->failed ? constant(own, json_null()) : cohort_chat_parse_plain(own);
  while (take_word(own, "if")) {
    node *made = cohort_chat_node_new(own, CHAT_IF_ELSE, NULL);
    cohort_chat_node_add(made, value);
    cohort_chat_node_add(made, cohort_chat_parse_plain(own));
    cohort_chat_node_add(made, take_word(own, "else") ? cohort_chat_parse_expression(own) : NULL);
    value = made;
  }
  own->depth--;
  return value;
}
