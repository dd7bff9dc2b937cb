/* Reads an expression once, from left to right, and writes each piece as PCRE2 means it: classes of characters as
 * Unicode's sets, an interval with + behind it as the repeat of a repeat, ^ and $ at lines. What the dialects agree on
 * is copied. Invariant: `atom` is where the last thing that a repeat would apply to begins in what is written. */
#include "io/tokenizer/tokenizer_dialect.h"

#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 64 };

typedef struct translation {
  const char *next;
  cohort_text *out;
  size_t atom, open[DEEPEST]; /* open: where the parentheses around begin */
  int depth;
  bool extended; /* (?x): spaces and comments are no atoms */
} translation;

static void put(translation *own, const char *text) { cohort_text_put_bytes(own->out, text, strlen(text)); }

static void copy(translation *own, size_t length) {
  cohort_text_put_bytes(own->out, own->next, length);
  own->next += length;
}

/* Sets without their brackets. */
static const char space_set[] =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
/* Oniguruma has the Latin fractions and powers too. */
#define WORD_SET "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
static const char word_set[] = WORD_SET;
static const char hex_set[] = "0-9a-fA-F";

/* Long names of general categories, which PCRE2 does not know. */
static const char *category(const char *name, size_t length) {
  static const char *const names[][2] = {
      {"letter", "L"},
      {"uppercaseletter", "Lu"},
      {"lowercaseletter", "Ll"},
      {"titlecaseletter", "Lt"},
      {"modifierletter", "Lm"},
      {"otherletter", "Lo"},
      {"mark", "M"},
      {"nonspacingmark", "Mn"},
      {"spacingmark", "Mc"},
      {"enclosingmark", "Me"},
      {"number", "N"},
      {"decimalnumber", "Nd"},
      {"letternumber", "Nl"},
      {"othernumber", "No"},
      {"punctuation", "P"},
      {"symbol", "S"},
      {"mathsymbol", "Sm"},
      {"currencysymbol", "Sc"},
      {"modifiersymbol", "Sk"},
      {"othersymbol", "So"},
      {"separator", "Z"},
      {"spaceseparator", "Zs"},
      {"other", "C"},
      {"control", "Cc"},
  };
  char plain[32] = {0};
  size_t n = 0;
  for (size_t i = 0; i < length && n + 1 < sizeof plain; i++) {
    const char c = name[i];
    if (c == '_' || c == ' ' || c == '-') continue;
    plain[n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
  }
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(names[i][0], plain) == 0) return names[i][1];
  return NULL;
}

/* \p{NAME}, \P{NAME}, \p{^NAME}, \pL. */
static const char *property(translation *own) {
  const char *name = own->next + 2;
  if (*name != '{') {
    if (!*name) return "\\p without a name";
    copy(own, 3);
    return NULL;
  }
  const char *end = strchr(name, '}');
  if (!end) return "\\p{ without }";
  cohort_text_put_bytes(own->out, own->next, 3);
  name++;
  if (*name == '^') {
    put(own, "^");
    name++;
  }
  const char *known = category(name, (size_t)(end - name));
  if (known)
    put(own, known);
  else
    cohort_text_put_bytes(own->out, name, (size_t)(end - name));
  put(own, "}");
  own->next = end + 1;
  return NULL;
}

static void put_set(translation *own, bool inside, bool negated, const char *set) {
  if (!inside) put(own, negated ? "[^" : "[");
  put(own, set);
  if (!inside) put(own, "]");
  own->next += 2;
}

/* At a backslash. */
static const char *escape(translation *own, bool inside) {
  const char letter = own->next[1];
  switch (letter) {
    case '\0':
      return "a backslash at its end";
    case 'p':
    case 'P':
      return property(own);
    case 's':
    case 'S':
      if (inside && letter == 'S') {
        put(own, "\\P{White_Space}");
        own->next += 2;
      } else {
        put_set(own, inside, letter == 'S', space_set);
      }
      return NULL;
    case 'w':
      put_set(own, inside, false, word_set);
      return NULL;
    case 'W':
      if (inside) return "\\W in a set";
      put_set(own, inside, true, word_set);
      return NULL;
    case 'h':
      put_set(own, inside, false, hex_set);
      return NULL;
    case 'H':
      if (inside) return "\\H in a set";
      put_set(own, inside, true, hex_set);
      return NULL;
    case 'b':
    case 'B':
      if (inside) break;
      put(own, letter == 'b' ? "(?:(?<=[" WORD_SET "])(?![" WORD_SET "])|(?<![" WORD_SET "])(?=[" WORD_SET "]))"
                             : "(?:(?<=[" WORD_SET "])(?=[" WORD_SET "])|(?<![" WORD_SET "])(?![" WORD_SET "]))");
      own->next += 2;
      return NULL;
    case 'v':
      put(own, "\\x{b}");
      own->next += 2;
      return NULL;
    case 'u':
      for (int i = 2; i < 6; i++)
        if (!own->next[i] || !strchr("0123456789abcdefABCDEF", own->next[i])) return "\\u without four digits";
      put(own, "\\x{");
      cohort_text_put_bytes(own->out, own->next + 2, 4);
      put(own, "}");
      own->next += 6;
      return NULL;
    case 'Q':
    case 'E':
    case 'C':
    case 'O':
    case 'N':
    case 'y':
    case 'Y':
    case 'g':
      return "an escape that is not known";
    default:
      break;
  }
  copy(own, 1);
  size_t bytes = 1;
  (void)cohort_utf8_read(own->next, strlen(own->next), &bytes);
  copy(own, bytes);
  return NULL;
}

/* At [. */
static const char *set(translation *own) {
  copy(own, 1);
  if (*own->next == '^') copy(own, 1);
  if (*own->next == ']') { /* first: itself */
    put(own, "\\]");
    own->next++;
  }
  while (*own->next != ']') {
    const char *fault = NULL;
    if (!*own->next) return "[ without ]";
    if (*own->next == '[') return "a set inside a set";
    if (own->next[0] == '&' && own->next[1] == '&') return "the intersection of sets (&&)";
    if (*own->next == '\\')
      fault = escape(own, true);
    else
      copy(own, 1);
    if (fault) return fault;
  }
  copy(own, 1);
  return NULL;
}

/* At (. Options: Ruby's m lets the dot take newlines. */
static const char *parenthesis(translation *own) {
  if (own->depth == DEEPEST) return "parentheses too deep";
  own->open[own->depth++] = own->out->length;
  copy(own, 1);
  if (*own->next != '?') return NULL;
  copy(own, 1);
  if (*own->next == '#') {
    const char *end = strchr(own->next, ')');
    if (!end) return "( without )";
    copy(own, (size_t)(end - own->next));
    return NULL;
  }
  if (*own->next == '~') return "an absent operator (?~";
  bool off = false;
  for (; *own->next && strchr("imx-", *own->next); own->next++) {
    off = off || *own->next == '-';
    if (*own->next == 'x') own->extended = !off;
    cohort_text_put_bytes(own->out, *own->next == 'm' ? "s" : own->next, 1);
  }
  return NULL;
}

/* At {: an interval, or a brace. */
static const char *interval(translation *own) {
  const char *end = own->next + 1;
  end += strspn(end, "0123456789,");
  if (*end != '}' || end == own->next + 1) {
    own->atom = own->out->length;
    put(own, "\\{");
    own->next++;
    return NULL;
  }
  const bool fixed = !memchr(own->next, ',', (size_t)(end - own->next));
  if (own->next[1] == ',') {
    put(own, "{0");
    own->next++;
    copy(own, (size_t)(end + 1 - own->next));
  } else {
    copy(own, (size_t)(end + 1 - own->next));
  }
  if (*own->next != '+' && !(*own->next == '?' && fixed)) return NULL;
  /* Not possessive, and {n}? not lazy, in Ruby: a repeat of it. */
  cohort_text atom = {0};
  cohort_text_put_bytes(&atom, own->out->text + own->atom, own->out->length - own->atom);
  own->out->length = own->atom;
  put(own, "(?:");
  cohort_text_put_bytes(own->out, atom.text, atom.length);
  put(own, ")");
  cohort_text_release(&atom);
  copy(own, 1);
  return NULL;
}

static const char *step(translation *own) {
  const size_t before = own->out->length;
  const char *fault = NULL;
  switch (*own->next) {
    case '\\':
      fault = escape(own, false);
      break;
    case '[':
      fault = set(own);
      break;
    case '(':
      return parenthesis(own);
    case ')':
      if (own->depth == 0) return ") without (";
      copy(own, 1);
      own->atom = own->open[--own->depth];
      return NULL;
    case '{':
      return interval(own);
    case '^':
      put(own, "(?m:^)");
      own->next++;
      break;
    case '$':
      put(own, "(?m:$)");
      own->next++;
      break;
    case '*':
    case '+':
    case '?':
      copy(own, 1);
      return NULL;
    case '|':
      copy(own, 1);
      break;
    default: {
      size_t bytes = 1;
      (void)cohort_utf8_read(own->next, strlen(own->next), &bytes);
      copy(own, bytes);
      break;
    }
  }
  own->atom = before;
  return fault;
}

const char *cohort_dialect_translate(const char *source, cohort_text *out) {
  translation own = {.next = source, .out = out, .atom = out->length};
  cohort_text_put_bytes(out, "", 0);
  while (*own.next) {
    const char *fault = step(&own);
    if (fault) return fault;
    if (own.extended) return "the option x";
  }
  return own.depth ? "( without )" : NULL;
}
