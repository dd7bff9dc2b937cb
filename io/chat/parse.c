/* Statements of a template. Invariant: what is not taken is refused here, so that a template that is read renders.
 * Costs a node a tag. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/chat/chat_own.h"

typedef cohort_chat_parser parser;
typedef cohort_chat_node node;

static node *read_body(parser *own, const char *const *ends);

static bool begins(const parser *own, const char *word) {
  const cohort_chat_token *at = cohort_chat_peek(own);
  return at->kind == CHAT_BLOCK_BEGIN && at[1].kind == CHAT_NAME && strcmp(at[1].text, word) == 0;
}

/* {% word ... */
static bool take_begin(parser *own, const char *word) {
  const bool there = !own->failed && begins(own, word);
  own->at += there ? 2 : 0;
  return there;
}

static void expect_end(parser *own) { cohort_chat_expect(own, CHAT_BLOCK_END, NULL); }

/* {% word %} */
static void close_block(parser *own, const char *word) {
  if (!take_begin(own, word)) cohort_chat_refuse(own, "expected {%% %s %%}", word);
  expect_end(own);
}

static node *read_for(parser *own) {
  static const char *const ends[] = {"else", "endfor", NULL}, *const last[] = {"endfor", NULL};
  node *made = cohort_chat_node_new(own, CHAT_FOR, cohort_chat_peek(own)->text);
  cohort_chat_expect(own, CHAT_NAME, NULL);
  if (cohort_chat_take(own, CHAT_OPERATOR, ",")) {
    made->other = cohort_copy_text(cohort_chat_peek(own)->text);
    cohort_chat_expect(own, CHAT_NAME, NULL);
  }
  cohort_chat_expect(own, CHAT_NAME, "in");
  cohort_chat_node_add(made, cohort_chat_parse_plain(own));
  cohort_chat_node_add(made, cohort_chat_take(own, CHAT_NAME, "if") ? cohort_chat_parse_plain(own) : NULL);
  if (cohort_chat_is(own, CHAT_NAME, "recursive")) cohort_chat_refuse(own, "recursive loops are not taken");
  expect_end(own);
  cohort_chat_node_add(made, read_body(own, ends));
  const bool other = take_begin(own, "else");
  if (other) expect_end(own);
  cohort_chat_node_add(made, other ? read_body(own, last) : NULL);
  close_block(own, "endfor");
  return made;
}

static node *read_if(parser *own) {
  static const char *const ends[] = {"elif", "else", "endif", NULL}, *const last[] = {"endif", NULL};
  node *made = cohort_chat_node_new(own, CHAT_IF, NULL);
  do {
    cohort_chat_node_add(made, cohort_chat_parse_expression(own));
    expect_end(own);
    cohort_chat_node_add(made, read_body(own, ends));
  } while (take_begin(own, "elif"));
  if (take_begin(own, "else")) {
    expect_end(own);
    cohort_chat_node_add(made, read_body(own, last));
  }
  close_block(own, "endif");
  return made;
}

static node *read_set(parser *own) {
  node *made = cohort_chat_node_new(own, CHAT_SET, cohort_chat_peek(own)->text);
  cohort_chat_expect(own, CHAT_NAME, NULL);
  if (cohort_chat_take(own, CHAT_OPERATOR, ".")) {
    made->other = cohort_copy_text(cohort_chat_peek(own)->text);
    cohort_chat_expect(own, CHAT_NAME, NULL);
  }
  if (!cohort_chat_is(own, CHAT_OPERATOR, "="))
    cohort_chat_refuse(own, "set of a block or of several names is not taken");
  cohort_chat_expect(own, CHAT_OPERATOR, "=");
  cohort_chat_node_add(made, cohort_chat_parse_expression(own));
  expect_end(own);
  return made;
}

static node *read_generation(parser *own) {
  static const char *const ends[] = {"endgeneration", NULL};
  node *made = cohort_chat_node_new(own, CHAT_GENERATION, NULL);
  own->marks = true;
  expect_end(own);
  cohort_chat_node_add(made, read_body(own, ends));
  close_block(own, "endgeneration");
  return made;
}

static node *read_word(parser *own, cohort_chat_kind kind) {
  node *made = cohort_chat_node_new(own, kind, NULL);
  expect_end(own);
  return made;
}

static node *read_statement(parser *own) {
  own->at++;
  if (cohort_chat_take(own, CHAT_NAME, "for")) return read_for(own);
  if (cohort_chat_take(own, CHAT_NAME, "if")) return read_if(own);
  if (cohort_chat_take(own, CHAT_NAME, "set")) return read_set(own);
  if (cohort_chat_take(own, CHAT_NAME, "generation")) return read_generation(own);
  if (cohort_chat_take(own, CHAT_NAME, "break")) return read_word(own, CHAT_BREAK);
  if (cohort_chat_take(own, CHAT_NAME, "continue")) return read_word(own, CHAT_CONTINUE);
  const char *word = cohort_chat_peek(own)->text;
  cohort_chat_refuse(own, "the statement %s is not taken", *word ? word : "that is empty");
  return cohort_chat_node_new(own, CHAT_BODY, NULL);
}

/* Up to one of the words that end it, which stays. */
static node *read_body(parser *own, const char *const *ends) {
  enum { DEEPEST = 100 };
  node *made = cohort_chat_node_new(own, CHAT_BODY, NULL);
  if (++own->depth > DEEPEST) cohort_chat_refuse(own, "statements within more than %d others", (int)DEEPEST);
  while (!own->failed && !cohort_chat_is(own, CHAT_END, NULL)) {
    bool ended = false;
    for (int i = 0; ends && ends[i]; i++) ended = ended || begins(own, ends[i]);
    if (ended) break;
    const cohort_chat_token *at = cohort_chat_peek(own);
    if (at->kind == CHAT_TEXT) {
      cohort_chat_node_add(made, cohort_chat_node_new(own, CHAT_OUTPUT, at->text));
      own->at++;
    } else if (at->kind == CHAT_PRINT_BEGIN) {
      own->at++;
      node *print = cohort_chat_node_new(own, CHAT_PRINT, NULL);
      cohort_chat_node_add(print, cohort_chat_parse_expression(own));
      cohort_chat_node_add(made, print);
      cohort_chat_expect(own, CHAT_PRINT_END, NULL);
    } else {
      cohort_chat_node_add(made, read_statement(own));
    }
  }
  own->depth--;
  return made;
}

node *cohort_chat_parse_template(parser *own) { return read_body(own, NULL); }
