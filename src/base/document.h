/* A parsed configuration: maps, lists and scalars as text, each with its place in the file. Who reads YAML or JSON
 * (io/) builds it, who needs a setting (base/parameter.h) reads it; src/ never sees a parser. */
#ifndef COHORT_BASE_DOCUMENT_H
#define COHORT_BASE_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#define COHORT_COMMAND_LINE "command line" /* the file of what an override has set */

typedef enum { COHORT_SCALAR, COHORT_MAP, COHORT_LIST } cohort_document_kind;

typedef struct cohort_document {
  cohort_document_kind kind;
  char *text;                        /* scalar: its text; else NULL */
  bool quoted;                       /* scalar: written in quotes, so "1" is a text and never null */
  char **names;                      /* map: the keys */
  struct cohort_document **children; /* map, list */
  size_t count;                      /* children */
  const char *file;                  /* where it stands; owned by the root's reader */
  int line, column;                  /* from 1; 0 when unknown */
  int key_line, key_column;          /* of a map's child: where its key stands; 0 when unknown */
  bool used;                         /* set by readers; what is never used is an unknown key */
} cohort_document;

cohort_document *cohort_document_create(cohort_document_kind kind, const char *file, int line, int column);
void cohort_document_destroy(cohort_document *document);
cohort_document *cohort_document_copy(const cohort_document *document);
void cohort_document_set_text(cohort_document *scalar, const char *text);
/* Child of a map by name, or NULL; `document` may be NULL or no map. */
cohort_document *cohort_document_get(const cohort_document *document, const char *name);
/* Adds or replaces; the map takes over the child. */
void cohort_document_set(cohort_document *map, const char *name, cohort_document *child);
/* The map loses the child, if it has it. */
void cohort_document_remove(cohort_document *map, const char *name);
void cohort_document_append(cohort_document *list, cohort_document *child);
/* Scalars: null is an unquoted empty text, "~" or "null". */
bool cohort_document_is_null(const cohort_document *document);
bool cohort_document_equal(const cohort_document *a, const cohort_document *b); /* places are ignored; map order too */
/* Whether two names are equal but for case, '-', '_' and spaces: "AdamW", "adam_w". */
bool cohort_same_letters(const char *a, const char *b);
/* The nearest of `names` to `word`: one of the same letters, else by edit distance; NULL when none is near enough to
 * suggest. */
const char *cohort_nearest_name(const char *word, const char *const *names, size_t count);

#endif
