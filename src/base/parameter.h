/* Parameter tables: a plain C struct and one table over it. From the table come reading and checking of a config,
 * defaults, `cohort keys` and `cohort methods`, the expanded config and the sweep range. A table ends with an entry
 * whose name is NULL; a SECTION holds a table of its own. */
#ifndef COHORT_BASE_PARAMETER_H
#define COHORT_BASE_PARAMETER_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/document.h"
#include "base/status.h"

typedef enum {
  COHORT_PARAMETER_REAL,    /* double */
  COHORT_PARAMETER_INTEGER, /* int64_t */
  COHORT_PARAMETER_BOOLEAN, /* bool */
  COHORT_PARAMETER_TEXT,    /* const char *, owned by the document; NULL when null */
  COHORT_PARAMETER_CHOICE,  /* int: index into choices */
  COHORT_PARAMETER_METHOD,  /* const cohort_document *: {key: {parameters}} or a bare key; checked by the reader */
  COHORT_PARAMETER_TREE,    /* const cohort_document *: any structure; checked by who owns it */
  COHORT_PARAMETER_NUMBERS, /* cohort_numbers: a list; none when null */
  COHORT_PARAMETER_SECTION, /* const cohort_document *, and a struct of its own read by a table of its own */
} cohort_parameter_type;

/* A rule about which configs take a key. Who gives the key to another is told `advice`. */
typedef struct cohort_scope {
  const char *who;                   /* "task language"; NULL ends the list */
  bool (*takes)(const void *config); /* of the struct of the whole config */
  const char *advice;
} cohort_scope;

/* A short list of reals. */
enum { COHORT_MAX_NUMBERS = 16 };
typedef struct cohort_numbers {
  int count;
  double value[COHORT_MAX_NUMBERS];
} cohort_numbers;

typedef struct cohort_parameter {
  const char *name;
  cohort_parameter_type type;
  size_t offset;           /* of the field in the struct */
  const char *standard;    /* the default as config text: "1e-3", "true", "null"; NULL: must be given */
  double minimum, maximum; /* REAL, INTEGER; -INFINITY and INFINITY when unbounded */
  bool minimum_open, maximum_open;
  const char *const *choices;         /* CHOICE: NULL-ended */
  const char *family;                 /* METHOD: family of the method; TREE: a list of such methods */
  cohort_document *standard_document; /* METHOD: the default as a document, which the field points to when not given */
  const struct cohort_parameter *section; /* SECTION: its keys; TREE: the keys of each element of a list */
  size_t section_offset;                  /* SECTION: of its struct in the struct */
  const char *meaning;                    /* one line */
  const char *unit;                       /* "seconds", "tokens"; NULL: a plain number, or no number */
  const cohort_scope *scopes;             /* NULL: every config takes it */
  double sweep_low, sweep_high;           /* suggested sweep range, both 0 when none */
  bool sweep_log;
  bool may_change; /* when a run is resumed */
  bool by_name;    /* TREE: a map; `section` has the keys of each of its values */
} cohort_parameter;

/* Entries. `config` is the struct's type, `field` the field of the same name as the key; further members may follow:
 * `.unit = "seconds"`. */
/* clang-format off */
#define COHORT_FIELD(config, field, kind) .name = #field, .type = (kind), .offset = offsetof(config, field)
#define COHORT_REAL_RANGE(config, field, default_text, low, low_open, high, high_open, text, ...)                      \
  {COHORT_FIELD(config, field, COHORT_PARAMETER_REAL), .standard = default_text, .minimum = low,                       \
   .minimum_open = low_open, .maximum = high, .maximum_open = high_open, .meaning = text, __VA_ARGS__}
#define COHORT_REAL_ANY(config, field, default_text, text, ...)                                                        \
  COHORT_REAL_RANGE(config, field, default_text, -INFINITY, true, INFINITY, true, text, __VA_ARGS__)
#define COHORT_REAL_ABOVE(config, field, default_text, low, text, ...)                                                 \
  COHORT_REAL_RANGE(config, field, default_text, low, true, INFINITY, true, text, __VA_ARGS__)
#define COHORT_REAL_ATLEAST(config, field, default_text, low, text, ...)                                               \
  COHORT_REAL_RANGE(config, field, default_text, low, false, INFINITY, true, text, __VA_ARGS__)
#define COHORT_REAL_UNIT(config, field, default_text, text, ...) /* [0, 1) */                                          \
  COHORT_REAL_RANGE(config, field, default_text, 0, false, 1, true, text, __VA_ARGS__)
#define COHORT_INTEGER_RANGE(config, field, default_text, low, high, text, ...)                                        \
  {COHORT_FIELD(config, field, COHORT_PARAMETER_INTEGER), .standard = default_text, .minimum = low, .maximum = high,   \
   .meaning = text, __VA_ARGS__}
#define COHORT_NUMBERS(config, field, text, ...)                                                                       \
  {COHORT_FIELD(config, field, COHORT_PARAMETER_NUMBERS), .standard = "null", .minimum = -INFINITY,                    \
   .minimum_open = true, .maximum = INFINITY, .maximum_open = true, .meaning = text, __VA_ARGS__}
#define COHORT_BOOLEAN(config, field, default_text, text, ...)                                                         \
  {COHORT_FIELD(config, field, COHORT_PARAMETER_BOOLEAN), .standard = default_text, .meaning = text, __VA_ARGS__}
#define COHORT_TEXT(config, field, default_text, text, ...)                                                            \
  {COHORT_FIELD(config, field, COHORT_PARAMETER_TEXT), .standard = default_text, .meaning = text, __VA_ARGS__}
#define COHORT_CHOICE(config, field, default_text, list, text, ...)                                                    \
  {COHORT_FIELD(config, field, COHORT_PARAMETER_CHOICE), .standard = default_text, .choices = list, .meaning = text,   \
   __VA_ARGS__}
#define COHORT_METHOD_OF(config, field, default_text, family_name, meaning_text, ...)                                  \
  {COHORT_FIELD(config, field, COHORT_PARAMETER_METHOD), .standard = default_text, .family = family_name,              \
   .standard_document = &(cohort_document){.kind = COHORT_SCALAR, .text = (char *)default_text, .used = true},         \
   .meaning = meaning_text, __VA_ARGS__}
#define COHORT_TREE(config, field, text, ...)                                                                          \
  {COHORT_FIELD(config, field, COHORT_PARAMETER_TREE), .standard = "null", .meaning = text, __VA_ARGS__}
/* `own` is the field of the section's struct. Default "{}": all its defaults; "null": absent unless given. */
#define COHORT_SECTION(config, field, own, table, default_text, text, ...)                                             \
  {COHORT_FIELD(config, field, COHORT_PARAMETER_SECTION), .section = table, .section_offset = offsetof(config, own),   \
   .standard = default_text, .meaning = text, __VA_ARGS__}
/* clang-format on */

/* All faults of a config are collected and reported together. */
typedef struct cohort_faults {
  char *text; /* one fault a line: "FILE:LINE:COLUMN: what; what to do"; owned, NULL when none */
  size_t count;
} cohort_faults;
void cohort_faults_add(cohort_faults *faults, const cohort_document *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void cohort_faults_release(cohort_faults *faults);
/* COHORT_DONE when there are none, else COHORT_BAD_CONFIG with all of them as text. */
cohort_status cohort_faults_status(const cohort_faults *faults, cohort_error *error);

/* Fills `config` from the map `document` (NULL or null: all defaults) by the table; `path` names the place in messages
 * ("optimizer.adamw"; "" for the whole config). Unknown keys, wrong types, bad ranges and missing keys become faults;
 * numbers are read by strtod and strtoll with nothing left over; NaN fails every range. Integers are plain ("1000") or
 * exact with an exponent ("1e6"). A key that is null is as if it were not given. Keys that the table lacks but another
 * reader has marked as used are no fault. Every key of the table is written back into `expanded` (a map, may be NULL)
 * as text that reads back to the same bits; methods and trees as a copy; sections as maps of all their keys. Texts and
 * documents in `config` point into `document` or the table. Scopes are the caller's to check. */
void cohort_parameters_read(const cohort_parameter *table, const cohort_document *document, const char *path,
                            void *config, cohort_document *expanded, cohort_faults *faults);

/* Number of entries. */
size_t cohort_parameters_count(const cohort_parameter *table);
/* The entry of a dotted key ("data.text"), through sections; NULL: the table has none. */
const cohort_parameter *cohort_parameters_find(const cohort_parameter *table, const char *key);

#endif
