/* The tree that configs are read into, and the nearest name for a word that is not known. A map keeps the order in
 * which its keys were written. Maps are lists that are searched from the front: meant for tens of keys. A nearest name
 * costs the product of both words' lengths, for each candidate. */
#include "base/document.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

cohort_document *cohort_document_create(cohort_document_kind kind, const char *file, int line, int column) {
  cohort_document *document = cohort_allocate(sizeof *document);
  *document = (cohort_document){.kind = kind, .file = file, .line = line, .column = column};
  if (kind == COHORT_SCALAR) document->text = cohort_copy_text("");
  return document;
}

void cohort_document_destroy(cohort_document *document) {
  if (!document) return;
  for (size_t i = 0; i < document->count; i++) {
    if (document->names) free(document->names[i]);
    cohort_document_destroy(document->children[i]);
  }
  free(document->names);
  free(document->children);
  free(document->text);
  free(document);
}

cohort_document *cohort_document_copy(const cohort_document *document) {
  if (!document) return NULL;
  cohort_document *copy = cohort_document_create(document->kind, document->file, document->line, document->column);
  if (document->kind == COHORT_SCALAR) cohort_document_set_text(copy, document->text);
  copy->quoted = document->quoted;
  copy->key_line = document->key_line;
  copy->key_column = document->key_column;
  for (size_t i = 0; i < document->count; i++) {
    cohort_document *child = cohort_document_copy(document->children[i]);
    if (document->kind == COHORT_MAP) {
      cohort_document_set(copy, document->names[i], child);
    } else {
      cohort_document_append(copy, child);
    }
  }
  return copy;
}

void cohort_document_set_text(cohort_document *scalar, const char *text) {
  char *copy = cohort_copy_text(text ? text : "");
  free(scalar->text);
  scalar->text = copy;
}

static size_t find(const cohort_document *map, const char *name) {
  size_t i = 0;
  while (i < map->count && strcmp(map->names[i], name) != 0) i++;
  return i;
}

cohort_document *cohort_document_get(const cohort_document *document, const char *name) {
  if (!document || document->kind != COHORT_MAP) return NULL;
  const size_t i = find(document, name);
  return i < document->count ? document->children[i] : NULL;
}

void cohort_document_append(cohort_document *list, cohort_document *child) {
  list->children = cohort_reallocate(list->children, (list->count + 1) * sizeof(cohort_document *));
  list->children[list->count++] = child;
}

void cohort_document_set(cohort_document *map, const char *name, cohort_document *child) {
  const size_t i = find(map, name);
  if (i < map->count) {
    if (map->children[i] != child) cohort_document_destroy(map->children[i]);
    map->children[i] = child;
    return;
  }
  map->names = cohort_reallocate(map->names, (map->count + 1) * sizeof(char *));
  map->names[map->count] = cohort_copy_text(name);
  cohort_document_append(map, child);
}

void cohort_document_remove(cohort_document *map, const char *name) {
  if (!cohort_document_get(map, name)) return;
  const size_t i = find(map, name);
  free(map->names[i]);
  cohort_document_destroy(map->children[i]);
  map->count--;
  for (size_t k = i; k < map->count; k++) {
    map->names[k] = map->names[k + 1];
    map->children[k] = map->children[k + 1];
  }
}

bool cohort_document_is_null(const cohort_document *document) {
  if (!document) return true;
  if (document->kind != COHORT_SCALAR || document->quoted) return false;
  return !document->text || !document->text[0] || !strcmp(document->text, "~") || !strcmp(document->text, "null");
}

bool cohort_document_equal(const cohort_document *a, const cohort_document *b) {
  if (cohort_document_is_null(a) || cohort_document_is_null(b)) {
    return cohort_document_is_null(a) && cohort_document_is_null(b);
  }
  if (a->kind != b->kind || a->count != b->count) return false;
  if (a->kind == COHORT_SCALAR) return !strcmp(a->text, b->text);
  for (size_t i = 0; i < a->count; i++) {
    const cohort_document *other = a->kind == COHORT_MAP ? cohort_document_get(b, a->names[i]) : b->children[i];
    if (!other || !cohort_document_equal(a->children[i], other)) return false;
  }
  return true;
}

enum { LONGEST_NAME = 64 };

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Edit distance where swapping two neighbours counts as one edit; both words have at most LONGEST_NAME letters. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
  size_t rows[3][LONGEST_NAME + 1];
  size_t *before = rows[0], *above = rows[1], *row = rows[2];
  for (size_t j = 0; j <= b_length; j++) above[j] = j;
  for (size_t i = 1; i <= a_length; i++) {
    row[0] = i;
    for (size_t j = 1; j <= b_length; j++) {
      row[j] = smaller(above[j - 1] + (a[i - 1] != b[j - 1]), 1 + smaller(above[j], row[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = smaller(row[j], before[j - 2] + 1);
    }
    size_t *spare = before;
    before = above;
    above = row;
    row = spare;
  }
  return above[b_length];
}

static bool separates(char letter) { return letter == '-' || letter == '_' || letter == ' '; }

bool cohort_same_letters(const char *a, const char *b) {
  for (;; a++, b++) {
    while (separates(*a)) a++;
    while (separates(*b)) b++;
    if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) return false;
    if (!*a) return true;
  }
}

const char *cohort_nearest_name(const char *word, const char *const *names, size_t count) {
  const size_t length = strlen(word);
  if (!length || length > LONGEST_NAME) return NULL;
  for (size_t i = 0; i < count; i++)
    if (cohort_same_letters(word, names[i])) return names[i];
  const char *nearest = NULL;
  size_t least = length < 3 ? 2 : length / 3 + 2; /* a suggestion must be nearer than this */
  for (size_t i = 0; i < count; i++) {
    const size_t name_length = strlen(names[i]);
    if (name_length > LONGEST_NAME) continue;
    const size_t distance = edit_distance(word, length, names[i], name_length);
    const bool shares_a_letter = distance < (length > name_length ? length : name_length);
    if (distance < least && shares_a_letter) {
      least = distance;
      nearest = names[i];
    }
  }
  return nearest;
}
