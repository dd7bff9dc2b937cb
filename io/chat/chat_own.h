/* What the files of chat templates share: tokens, the tree, values. */
#ifndef COHORT_IO_CHAT_CHAT_OWN_H
#define COHORT_IO_CHAT_CHAT_OWN_H

#include <jansson.h>

#include "base/text.h"
#include "io/chat/chat.h"

typedef enum {
  CHAT_TEXT,
  CHAT_PRINT_BEGIN,
  CHAT_PRINT_END,
  CHAT_BLOCK_BEGIN,
  CHAT_BLOCK_END,
  CHAT_NAME,
  CHAT_STRING,
  CHAT_INTEGER,
  CHAT_FLOAT,
  CHAT_OPERATOR,
  CHAT_END,
} cohort_chat_token_kind;

typedef struct cohort_chat_token {
  cohort_chat_token_kind kind;
  char *text; /* owned; of a string its value */
  size_t length;
  int line, column;
} cohort_chat_token;

typedef struct cohort_chat_tokens {
  int count;
  cohort_chat_token *token; /* the last is CHAT_END */
} cohort_chat_tokens;

/* lexer.c */
cohort_status cohort_chat_lex(const char *name, const char *text, size_t length, cohort_chat_tokens *out,
                              cohort_error *error);
void cohort_chat_tokens_release(cohort_chat_tokens *tokens);

typedef enum {
  CHAT_CONSTANT,   /* value */
  CHAT_VARIABLE,   /* text */
  CHAT_LIST,       /* child */
  CHAT_DICTIONARY, /* child: keys and values in turn */
  CHAT_ATTRIBUTE,  /* child[0].text */
  CHAT_ITEM,       /* child[0][child[1]] */
  CHAT_SLICE,      /* child[0][child[1]:child[2]:child[3]], each may be NULL */
  CHAT_CALL,       /* text(arguments): of a name */
  CHAT_METHOD,     /* child[0].text(arguments) */
  CHAT_FILTER,     /* child[0] | text(arguments) */
  CHAT_TEST,       /* child[0] is text(arguments) */
  CHAT_BINARY,     /* text: the operator */
  CHAT_COMPARE,    /* text: the operator */
  CHAT_UNARY,      /* text: - + not */
  CHAT_AND,
  CHAT_OR,
  CHAT_IF_ELSE,    /* child[0] if child[1] else child[2], which may be NULL */
  CHAT_OUTPUT,     /* text as it stands */
  CHAT_PRINT,      /* child[0] */
  CHAT_FOR,        /* child[0] iterable, [1] condition or NULL, [2] body, [3] else or NULL; text, other: names */
  CHAT_IF,         /* child: condition and body in turn, at last a body alone */
  CHAT_SET,        /* text, other: the attribute or NULL; child[0] */
  CHAT_BODY,       /* child */
  CHAT_GENERATION, /* child[0] */
  CHAT_BREAK,
  CHAT_CONTINUE,
} cohort_chat_kind;

typedef struct cohort_chat_node {
  cohort_chat_kind kind;
  int line, column;
  char *text, *other;
  json_t *value;
  int children, arguments; /* the last of the children are arguments */
  struct cohort_chat_node **child;
  char **keyword; /* [arguments], each NULL or its name */
} cohort_chat_node;

/* parse.c, parse_expression.c */
typedef struct cohort_chat_parser {
  const char *name;
  const cohort_chat_tokens *tokens;
  int at, depth;
  bool marks;
  cohort_error *error;
  bool failed;
} cohort_chat_parser;
cohort_chat_node *cohort_chat_node_new(cohort_chat_parser *own, cohort_chat_kind kind, const char *text);
void cohort_chat_node_add(cohort_chat_node *node, cohort_chat_node *child);
void cohort_chat_node_destroy(cohort_chat_node *node);
/* At the token that comes; the first fault counts. */
void cohort_chat_refuse(cohort_chat_parser *own, const char *format, ...) __attribute__((format(printf, 2, 3)));
const cohort_chat_token *cohort_chat_peek(const cohort_chat_parser *own);
bool cohort_chat_is(const cohort_chat_parser *own, cohort_chat_token_kind kind, const char *text);
bool cohort_chat_take(cohort_chat_parser *own, cohort_chat_token_kind kind, const char *text);
void cohort_chat_expect(cohort_chat_parser *own, cohort_chat_token_kind kind, const char *text);
cohort_chat_node *cohort_chat_parse_expression(cohort_chat_parser *own);
/* The same without an inline if, which ends what a loop is over. */
cohort_chat_node *cohort_chat_parse_plain(cohort_chat_parser *own);
cohort_chat_node *cohort_chat_parse_template(cohort_chat_parser *own);

struct cohort_chat {
  char *name;
  cohort_chat_node *root;
  json_t *names; /* special tokens */
  bool marks;
  unsigned long long digest;
};

/* A rendering. Values are borrowed from `kept` until it ends; NULL is undefined. */
typedef struct cohort_chat_run {
  const cohort_chat *chat;
  const cohort_chat_options *options;
  json_t *kept;  /* an array of all that was made */
  json_t *scope; /* an array of objects, the innermost last */
  cohort_text out;
  int spans;
  cohort_chat_span *span;
  bool breaks, continues;
  bool failed;
  cohort_error *error;
} cohort_chat_run;

void cohort_chat_fail(cohort_chat_run *own, const cohort_chat_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes a new value into keeping. */
json_t *cohort_chat_keep(cohort_chat_run *own, json_t *value);
json_t *cohort_chat_string(cohort_chat_run *own, const char *text, size_t length);
json_t *cohort_chat_lookup(const cohort_chat_run *own, const char *name);
/* evaluate.c */
json_t *cohort_chat_evaluate(cohort_chat_run *own, const cohort_chat_node *node);
bool cohort_chat_true(const json_t *value);
bool cohort_chat_equal(const json_t *a, const json_t *b);
json_t *cohort_chat_argument(cohort_chat_run *own, const cohort_chat_node *node, int index, const char *keyword);
/* Its elements, of a dictionary its keys, of a string its characters; nothing of what is undefined. */
json_t *cohort_chat_elements(cohort_chat_run *own, const cohort_chat_node *node, json_t *value);
/* What Python's str gives. */
bool cohort_chat_put(cohort_chat_run *own, const cohort_chat_node *node, const json_t *value, cohort_text *out);
/* methods.c, filters.c */
json_t *cohort_chat_method(cohort_chat_run *own, const cohort_chat_node *node, json_t *of);
json_t *cohort_chat_filter(cohort_chat_run *own, const cohort_chat_node *node, json_t *of);
bool cohort_chat_test(cohort_chat_run *own, const cohort_chat_node *node, const char *name, const json_t *of,
                      const json_t *with);
json_t *cohort_chat_strip(cohort_chat_run *own, const json_t *text, const json_t *characters, bool left, bool right);
json_t *cohort_chat_replace(cohort_chat_run *own, const json_t *text, const json_t *from, const json_t *to);
json_t *cohort_chat_join(cohort_chat_run *own, const cohort_chat_node *node, json_t *list, const json_t *between);
json_t *cohort_chat_case(cohort_chat_run *own, const json_t *text, char how);
bool cohort_chat_has_method(const char *name);
bool cohort_chat_has_filter(const char *name);
bool cohort_chat_has_test(const char *name);
/* Of a message: one line. */
void cohort_chat_one_line(char *text);
/* json.c: json.dumps(value, ensure_ascii=False, indent), indent -1: none. */
void cohort_chat_dump(const json_t *value, int indent, int depth, cohort_text *out);
void cohort_chat_real(double value, cohort_text *out);
/* The length of a white character of Python's str.strip at `text`, 0: another. */
size_t cohort_chat_white(const char *text, size_t length);

#endif
