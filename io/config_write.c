/* Documents as YAML and JSON text, and what differs between two. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/config.h"

enum { ONE_LINE = 100, LONGEST_KEY = 500 /* YAML ends simple keys at 1024 characters */ };

/* Text that grows. */
typedef struct writer {
  char *text;
  size_t length, room;
} writer;

static void put(writer *out, const char *text, size_t length) {
  while (out->length + length + 1 > out->room) {
    out->room = out->room ? 2 * out->room : 1024;
    out->text = cohort_reallocate(out->text, out->room);
  }
  memcpy(out->text + out->length, text, length);
  out->length += length;
  out->text[out->length] = '\0';
}

static void put_text(writer *out, const char *text) { put(out, text, strlen(text)); }

static void put_indent(writer *out, int depth) {
  for (int d = 0; d < depth; d++) put_text(out, "  ");
}

/* A character of UTF-8 beyond ASCII that YAML or JSON would not give back as it stands: C1 controls, the line breaks of
 * YAML 1.1, the byte order mark, non-characters. Its code, or 0. */
static unsigned special_code(const unsigned char *at) {
  if (at[0] == 0xC2 && at[1] < 0xA0) return at[1];
  if ((at[0] & 0xF0) != 0xE0 || !at[1] || !at[2]) return 0;
  const unsigned code = (at[0] & 0x0Fu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
  return code == 0x2028 || code == 0x2029 || code == 0xFEFF || code == 0xFFFE || code == 0xFFFF ? code : 0;
}

/* Whether a text can stand plain in YAML, inside [] and {} too. */
static bool is_plain(const char *text) {
  if (!*text || strchr("-?:,[]{}#&*!|>'\"%@` ", *text)) {
    /* A number may begin with a minus. */
    if (*text != '-' || !(isdigit((unsigned char)text[1]) || text[1] == '.')) return false;
  }
  for (const char *at = text; *at; at++) {
    if ((unsigned char)*at < 0x20 || *at == 0x7F || strchr(",[]{}\"#", *at)) return false;
    if (*at == ':' && (at[1] == ' ' || at[1] == '\0')) return false;
    if (special_code((const unsigned char *)at)) return false;
  }
  return text[strlen(text) - 1] != ' ';
}

static void put_quoted(writer *out, const char *text) {
  put_text(out, "\"");
  for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
    char code[16];
    const unsigned special = special_code(at);
    if (special)
      (void)snprintf(code, sizeof code, "\\u%04x", special);
    else if (*at == '"' || *at == '\\')
      (void)snprintf(code, sizeof code, "\\%c", *at);
    else if (*at == '\n')
      (void)snprintf(code, sizeof code, "\\n");
    else if (*at == '\t')
      (void)snprintf(code, sizeof code, "\\t");
    else if (*at < 0x20 || *at == 0x7F)
      (void)snprintf(code, sizeof code, "\\u%04x", *at);
    else
      (void)snprintf(code, sizeof code, "%c", *at);
    put_text(out, code);
    if (special) at += special < 0x100 ? 1 : 2;
  }
  put_text(out, "\"");
}

/* A key with its colon; `indent` is of the line when the map is no flow. */
static void put_key(writer *out, const char *name, bool flow, int indent) {
  const bool longer = strlen(name) > LONGEST_KEY;
  if (longer) put_text(out, "? ");
  if (is_plain(name))
    put_text(out, name);
  else
    put_quoted(out, name);
  if (longer && flow) put_text(out, " ");
  if (longer && !flow) {
    put_text(out, "\n");
    put_indent(out, indent);
  }
  put_text(out, ":");
}

static void put_scalar(writer *out, const cohort_document *scalar) {
  if (cohort_document_is_null(scalar))
    put_text(out, "null");
  else if (scalar->quoted || !is_plain(scalar->text))
    put_quoted(out, scalar->text);
  else
    put_text(out, scalar->text);
}

static void put_flow(writer *out, const cohort_document *document) {
  if (document->kind == COHORT_SCALAR) {
    put_scalar(out, document);
    return;
  }
  const bool map = document->kind == COHORT_MAP;
  put_text(out, map ? "{" : "[");
  for (size_t i = 0; i < document->count; i++) {
    if (i) put_text(out, ", ");
    if (map) {
      put_key(out, document->names[i], true, 0);
      put_text(out, " ");
    }
    put_flow(out, document->children[i]);
  }
  put_text(out, map ? "}" : "]");
}

static void put_block(writer *out, const cohort_document *map, int depth) {
  for (size_t i = 0; i < map->count; i++) {
    const cohort_document *child = map->children[i];
    put_indent(out, depth);
    put_key(out, map->names[i], false, depth);
    const size_t before = out->length;
    put_text(out, " ");
    put_flow(out, child);
    if (child->kind == COHORT_MAP && child->count && out->length - before > ONE_LINE) {
      out->length = before;
      put_text(out, "\n");
      put_block(out, child, depth + 1);
    } else {
      put_text(out, "\n");
    }
  }
}

char *cohort_config_write(const cohort_document *document) {
  writer out = {0};
  put_text(&out, "");
  put_block(&out, document, 0);
  return out.text;
}

static bool is_json_literal(const cohort_document *scalar) {
  const char *text = scalar->text;
  if (scalar->quoted) return false;
  if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) return true;
  /* A JSON number: no leading '+' or '.', no hexadecimal, no inf or nan. */
  if (!isdigit((unsigned char)text[*text == '-'])) return false;
  const char *point = strchr(text, '.');
  if (point && !isdigit((unsigned char)point[1])) return false;
  if (strspn(text, "+-.0123456789eE") != strlen(text)) return false;
  if (text[*text == '-'] == '0' && isdigit((unsigned char)text[(*text == '-') + 1])) return false;
  char *end = NULL;
  return isfinite(strtod(text, &end)) && *end == '\0';
}

static void put_json(writer *out, const cohort_document *document, int depth) {
  if (document->kind == COHORT_SCALAR) {
    if (cohort_document_is_null(document))
      put_text(out, "null");
    else if (is_json_literal(document))
      put_text(out, document->text);
    else
      put_quoted(out, document->text);
    return;
  }
  const bool map = document->kind == COHORT_MAP;
  put_text(out, map ? "{" : "[");
  for (size_t i = 0; i < document->count; i++) {
    put_text(out, i ? ",\n" : "\n");
    put_indent(out, depth + 1);
    if (map) {
      put_quoted(out, document->names[i]);
      put_text(out, ": ");
    }
    put_json(out, document->children[i], depth + 1);
  }
  if (document->count) {
    put_text(out, "\n");
    put_indent(out, depth);
  }
  put_text(out, map ? "}" : "]");
}

char *cohort_config_write_json(const cohort_document *document) {
  writer out = {0};
  put_json(&out, document, 0);
  put_text(&out, "\n");
  return out.text;
}

static char *flow_text(const cohort_document *document) {
  if (!document) return cohort_copy_text("(absent)");
  writer out = {0};
  put_flow(&out, document);
  return out.text;
}

static void compare(writer *out, const char *path, const cohort_document *before, const cohort_document *after) {
  if (before && after && cohort_document_equal(before, after)) return;
  if (before && after && before->kind == COHORT_MAP && after->kind == COHORT_MAP) {
    for (size_t i = 0; i < before->count; i++) {
      char *own = cohort_format_text("%s%s%s", path, *path ? "." : "", before->names[i]);
      compare(out, own, before->children[i], cohort_document_get(after, before->names[i]));
      free(own);
    }
    for (size_t i = 0; i < after->count; i++) {
      if (cohort_document_get(before, after->names[i])) continue;
      char *own = cohort_format_text("%s%s%s", path, *path ? "." : "", after->names[i]);
      compare(out, own, NULL, after->children[i]);
      free(own);
    }
    return;
  }
  char *old = flow_text(before), *new = flow_text(after);
  char *line = cohort_format_text("  %s: %s -> %s\n", path, old, new);
  put_text(out, line);
  free(line);
  free(old);
  free(new);
}

char *cohort_config_difference(const cohort_document *before, const cohort_document *after) {
  writer out = {0};
  compare(&out, "", before, after);
  return out.text;
}
