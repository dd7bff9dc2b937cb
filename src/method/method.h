/* The catalogue's descriptor. A method is one file in src/method/FAMILY/ that exports descriptors; everything else
 * (config validation, `cohort methods`, reference pages, probe, checkpoint layout, contract tests) is made from them.
 *
 * Method code is pure: no allocation, file, message, global or random source of its own; what it needs comes through
 * its arguments. To add one: copy template.c of the family, or any file, to a new name, fill the descriptor, write the
 * function. A file src/method/FAMILY/KEY.c exports `const cohort_method *const cohort_FAMILY_KEY[]`, NULL-ended. */
#ifndef COHORT_METHOD_METHOD_H
#define COHORT_METHOD_METHOD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/parameter.h"
#include "base/status.h"

/* CMake defines COHORT_FILE for every file of a family: its name without ".c". A method that is named as its file may
 * say so, and a copy of the file is then another method without an edit. */
#define COHORT_QUOTE_(word) #word
#define COHORT_QUOTE(word) COHORT_QUOTE_(word)
#define COHORT_FILE_KEY COHORT_QUOTE(COHORT_FILE)

/* Which axis a state has; the first decides who owns it. */
typedef enum {
  COHORT_AXIS_ELEMENT, /* like the parameter tensor */
  COHORT_AXIS_ROW,     /* one per row (first axis) of the tensor */
  COHORT_AXIS_COLUMN,  /* one per column (all other axes) */
  COHORT_AXIS_TENSOR,  /* one per tensor */
} cohort_axis;

typedef struct cohort_state {
  const char *name; /* NULL ends the list */
  cohort_axis axis;
  const char *initial_parameter; /* filled with this parameter of the method at start; NULL: zeros */
  const char *meaning;
} cohort_state;

/* How far an update sees: its pieces are whole elements, rows or tensors. */
typedef enum { COHORT_CUT_ELEMENT, COHORT_CUT_ROW, COHORT_CUT_TENSOR } cohort_cut;

/* What a method needs of the run; impossible pairings are refused before it starts. */
enum {
  COHORT_NEEDS_GRADIENT = 1 << 0,
  COHORT_NEEDS_CURVATURE = 1 << 1,  /* z * (H z), z Rademacher: exact Hessian-vector products */
  COHORT_NEEDS_REFERENCE = 1 << 2,  /* a frozen reference model */
  COHORT_NEEDS_OBJECTIVES = 1 << 3, /* one gradient per objective */
  COHORT_NEEDS_MATRICES = 1 << 4,   /* serves tensors of two or more axes only */
};

/* At these settings the method must equal another: run by the contract test. */
typedef struct cohort_identity {
  const char *settings; /* "momentum=0 nesterov=false" */
  const char *method;   /* key of the same family; NULL ends the list */
  const char *method_settings;
} cohort_identity;

typedef struct cohort_method {
  const char *family, *key;
  const char *summary; /* one line */
  const char *title;   /* of the paper, as in the catalogue; NULL when folklore */
  const char *source;  /* paper, section or equation, year */
  const char *formula; /* the rule, in plain text */
  size_t config_size;
  const cohort_parameter *parameters; /* NULL: none */
  const cohort_state *states;         /* NULL: none */
  unsigned needs;
  cohort_cut cut;
  const cohort_identity *identities; /* NULL: none */
  /* Rules between parameters; NULL: none. */
  cohort_status (*check)(const void *config, cohort_error *error);
  const void *functions; /* the family's table: cohort_optimizer, cohort_loss ... */
} cohort_method;

#endif
