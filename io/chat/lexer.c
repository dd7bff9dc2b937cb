/* A template into tokens, with the white space that jinja2 drops: around tags with -, the line of a block from its
 * beginning to the tag (lstrip_blocks), the newline after it (trim_blocks), one newline at the end. Invariant: the
 * texts of a template without tags are the template. Costs a pass over it. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/chat/chat_own.h"

typedef struct lexer {
  const char *name, *text; /* newlines are \n alone */
  size_t length, at;
  size_t counted; /* up to where lines and columns are counted, from 0 */
  int line, column;
  bool fresh; /* what was read last ended a line, or nothing was read */
  cohort_chat_tokens *out;
  cohort_error *error;
} lexer;

size_t cohort_chat_white(const char *text, size_t length) {
  const unsigned char *c = (const unsigned char *)text;
  if (length > 0 && (*c == ' ' || (*c >= 9 && *c <= 13) || (*c >= 28 && *c <= 31))) return 1;
  if (length > 1 && c[0] == 0xc2 && (c[1] == 0x85 || c[1] == 0xa0)) return 2;
  if (length < 3) return 0;
  const unsigned point = ((c[0] & 15u) << 12) | ((c[1] & 63u) << 6) | (c[2] & 63u);
  if ((c[0] & 0xf0) != 0xe0) return 0;
  const bool white = point == 0x1680 || (point >= 0x2000 && point <= 0x200a) || point == 0x2028 || point == 0x2029 ||
                     point == 0x202f || point == 0x205f || point == 0x3000;
  return white ? 3 : 0;
}

/* Places are asked for in rising order, but for faults: what was counted is kept. */
static void place_of(lexer *own, size_t at, int *line, int *column) {
  if (at < own->counted) {
    own->counted = 0;
    own->line = own->column = 0;
  }
  for (; own->counted < at; own->counted++) {
    const char c = own->text[own->counted];
    own->column = c == '\n' ? 0 : own->column + ((c & 0xc0) != 0x80);
    own->line += c == '\n';
  }
  *line = own->line + 1;
  *column = own->column + 1;
}

static cohort_status refuse(lexer *own, size_t at, const char *what) {
  int line, column;
  place_of(own, at, &line, &column);
  return cohort_fail(own->error, COHORT_BAD_DATA, "%s:%d:%d: %s", own->name, line, column, what);
}

static void add(lexer *own, cohort_chat_token_kind kind, size_t at, const char *text, size_t length) {
  cohort_chat_tokens *out = own->out;
  if ((out->count & (out->count - 1)) == 0)
    out->token = cohort_reallocate(out->token, (size_t)(out->count ? 2 * out->count : 1) * sizeof *out->token);
  cohort_chat_token *token = &out->token[out->count++];
  *token = (cohort_chat_token){.kind = kind, .text = cohort_allocate(length + 1), .length = length};
  memcpy(token->text, text, length);
  place_of(own, at, &token->line, &token->column);
}

static bool comes(const lexer *own, size_t at, const char *what) {
  return own->length - at >= strlen(what) && memcmp(own->text + at, what, strlen(what)) == 0;
}

/* The end of a tag at `at`, of `closing`, which may have a sign before it: what follows is skipped. */
static void end_tag(lexer *own, size_t at, bool strips, bool keeps, bool block) {
  size_t white;
  if (strips)
    while ((white = cohort_chat_white(own->text + at, own->length - at))) at += white;
  else if (block && !keeps && at < own->length && own->text[at] == '\n')
    at++;
  own->fresh = at > 0 && own->text[at - 1] == '\n';
  own->at = at;
}

static const char *const operators[] = {"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "(",
                                        ")",  "[",  "]",  "{",  "}",  ",",  ".", ":", "|", "=", "<", ">"};

static void put_point(unsigned point, cohort_text *out) {
  json_t *text = NULL;
  char escaped[32];
  if (point < 0x10000)
    (void)snprintf(escaped, sizeof escaped, "\"\\u%04x\"", point);
  else
    (void)snprintf(escaped, sizeof escaped, "\"\\u%04x\\u%04x\"", 0xd7c0 + (point >> 10), 0xdc00 + (point & 0x3ff));
  text = json_loads(escaped, JSON_DECODE_ANY, NULL);
  if (text) cohort_text_put(out, "%s", json_string_value(text));
  json_decref(text);
}

/* Python's escapes; what is none keeps its backslash. */
static size_t put_escape(const lexer *own, size_t at, cohort_text *out) {
  static const char from[] = "nrtbfv\\'\"a", to[] = "\n\r\t\b\f\v\\'\"\a";
  const char letter = own->text[at];
  const char *known = letter ? strchr(from, letter) : NULL;
  const int digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
  if (letter == '\n') return at + 1;
  if (known) {
    cohort_text_put(out, "%c", to[known - from]);
    return at + 1;
  }
  char number[9] = "";
  for (int i = 0; i < digits && isxdigit((unsigned char)own->text[at + 1 + (size_t)i]); i++)
    number[i] = own->text[at + 1 + (size_t)i];
  if (digits && (int)strlen(number) == digits) {
    put_point((unsigned)strtoul(number, NULL, 16), out);
    return at + 1 + (size_t)digits;
  }
  cohort_text_put(out, "\\");
  return at;
}

static cohort_status read_string(lexer *own) {
  const size_t first = own->at;
  const char quote = own->text[own->at++];
  cohort_text value = {NULL, 0, 0};
  while (own->at < own->length && own->text[own->at] != quote) {
    if (own->text[own->at] == '\\' && own->at + 1 < own->length)
      own->at = put_escape(own, own->at + 1, &value);
    else
      cohort_text_put(&value, "%c", own->text[own->at++]);
  }
  if (own->at >= own->length) {
    free(value.text);
    return refuse(own, first, "a string without an end");
  }
  own->at++;
  add(own, CHAT_STRING, first, value.text ? value.text : "", value.length);
  free(value.text);
  return COHORT_DONE;
}

static void read_number(lexer *own) {
  const size_t first = own->at;
  bool real = false;
  while (isdigit((unsigned char)own->text[own->at])) own->at++;
  if (own->text[own->at] == '.' && isdigit((unsigned char)own->text[own->at + 1])) {
    real = true;
    own->at++;
    while (isdigit((unsigned char)own->text[own->at])) own->at++;
  }
  size_t power = own->at + 1;
  if (strchr("+-", own->text[power]) && own->text[power]) power++;
  if ((own->text[own->at] | 32) == 'e' && isdigit((unsigned char)own->text[power])) {
    real = true;
    for (own->at = power; isdigit((unsigned char)own->text[own->at]);) own->at++;
  }
  add(own, real ? CHAT_FLOAT : CHAT_INTEGER, first, own->text + first, own->at - first);
}

static bool in_name(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* What stands in a tag, to its end. */
static cohort_status read_inside(lexer *own, const char *closing, bool block) {
  enum { LONGEST = 2000 }; /* which bounds how deep a tree can be */
  int depth = 0;
  for (int words = 0;; words++) {
    if (words > LONGEST) return refuse(own, own->at, "a tag of more than 2000 words");
    while (own->at < own->length && isspace((unsigned char)own->text[own->at])) own->at++;
    if (own->at >= own->length) return refuse(own, own->length, "a tag without an end");
    const char c = own->text[own->at];
    const bool sign = (c == '-' || (block && c == '+')) && comes(own, own->at + 1, closing);
    if (depth == 0 && (sign || comes(own, own->at, closing))) {
      add(own, block ? CHAT_BLOCK_END : CHAT_PRINT_END, own->at, "", 0);
      end_tag(own, own->at + 2 + sign, sign && c == '-', sign && c == '+', block);
      return COHORT_DONE;
    }
    if (c == '"' || c == '\'') {
      COHORT_TRY(read_string(own));
    } else if (isdigit((unsigned char)c)) {
      read_number(own);
    } else if (in_name(c)) {
      const size_t first = own->at;
      while (in_name(own->text[own->at])) own->at++;
      add(own, CHAT_NAME, first, own->text + first, own->at - first);
    } else {
      size_t k = 0;
      while (k < sizeof operators / sizeof *operators && !comes(own, own->at, operators[k])) k++;
      if (k == sizeof operators / sizeof *operators) return refuse(own, own->at, "a character that no tag has");
      depth += strchr("([{", operators[k][0]) != NULL;
      depth -= strchr(")]}", operators[k][0]) != NULL;
      add(own, CHAT_OPERATOR, own->at, operators[k], strlen(operators[k]));
      own->at += strlen(operators[k]);
    }
  }
}

/* Text up to the tag at `end`, without what the tag takes away. */
static void add_text(lexer *own, size_t end, bool block, char sign) {
  const size_t first = own->at;
  size_t last = end;
  if (sign == '-') {
    last = first;
    for (size_t at = first; at < end;) {
      const size_t white = cohort_chat_white(own->text + at, end - at);
      at += white ? white : 1;
      if (!white) last = at;
    }
  } else if (block && sign != '+') {
    size_t line = end;
    while (line > first && (own->text[line - 1] == ' ' || own->text[line - 1] == '\t')) line--;
    if (line > first ? own->text[line - 1] == '\n' : own->fresh) last = line;
  }
  if (last > first) add(own, CHAT_TEXT, first, own->text + first, last - first);
}

static cohort_status read_tag(lexer *own, size_t at) {
  const char kind = own->text[at + 1], sign = own->text[at + 2];
  const bool signs = sign == '-' || sign == '+';
  add_text(own, at, kind != '{', signs ? sign : ' ');
  own->at = at + 2 + signs;
  if (kind == '#') {
    size_t end = own->at;
    while (end < own->length && !comes(own, end, "#}")) end++;
    if (end >= own->length) return refuse(own, at, "a comment without an end");
    const char last = end > own->at ? own->text[end - 1] : ' ';
    end_tag(own, end + 2, last == '-', last == '+', true);
    return COHORT_DONE;
  }
  add(own, kind == '%' ? CHAT_BLOCK_BEGIN : CHAT_PRINT_BEGIN, at, "", 0);
  return read_inside(own, kind == '%' ? "%}" : "}}", kind == '%');
}

static char *unify_newlines(const char *text, size_t *length) {
  char *out = cohort_allocate(*length + 4); /* a lexer looks a few characters ahead */
  size_t made = 0;
  for (size_t i = 0; i < *length; i++) {
    if (text[i] == '\r' && i + 1 < *length && text[i + 1] == '\n') continue;
    out[made++] = text[i] == '\r' ? '\n' : text[i];
  }
  if (made > 0 && out[made - 1] == '\n') out[--made] = '\0';
  *length = made;
  return out;
}

cohort_status cohort_chat_lex(const char *name, const char *text, size_t length, cohort_chat_tokens *out,
                              cohort_error *error) {
  *out = (cohort_chat_tokens){0, NULL};
  char *plain = unify_newlines(text, &length);
  lexer own = {.name = name, .text = plain, .length = length, .fresh = true, .out = out, .error = error};
  cohort_status status = COHORT_DONE;
  while (status == COHORT_DONE) {
    size_t at = own.at;
    while (at < length && !(plain[at] == '{' && strchr("{%#", plain[at + 1]) && plain[at + 1])) at++;
    if (at >= length) break;
    status = read_tag(&own, at);
  }
  if (status == COHORT_DONE && own.at < length) add(&own, CHAT_TEXT, own.at, plain + own.at, length - own.at);
  if (status == COHORT_DONE) add(&own, CHAT_END, length, "", 0);
  if (status != COHORT_DONE) cohort_chat_tokens_release(out);
  free(plain);
  return status;
}

void cohort_chat_tokens_release(cohort_chat_tokens *tokens) {
  for (int i = 0; i < tokens->count; i++) free(tokens->token[i].text);
  free(tokens->token);
  *tokens = (cohort_chat_tokens){0, NULL};
}
