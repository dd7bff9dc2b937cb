/* The arrays that `cohort probe` takes and gives, per family: one table for the probe itself and for what `cohort
 * methods` tells about it, so that the two cannot differ.
 *
 * Names stand as in the HDF5 file without the leading '/'. A name or axis in angle brackets is filled in by who asks:
 * "<t>" is any tensor's name and the array is repeated for every tensor. An axis is a number or a symbol; equal symbols
 * are equal sizes; "shape" stands for all axes of the tensor <t>. */
#ifndef COHORT_METHOD_ARRAYS_H
#define COHORT_METHOD_ARRAYS_H

#include <stdbool.h>

#include "method/method.h"

enum { COHORT_ARRAY_AXES = 4 };

typedef enum { COHORT_ARRAY_OF_REAL, COHORT_ARRAY_OF_INTEGER } cohort_array_kind;

/* Which methods of the family have the array or setting. */
typedef enum {
  COHORT_ARRAY_ALWAYS,
  COHORT_ARRAY_GIVEN,            /* optimizer: can do with recorded gradients: asks for nothing else */
  COHORT_ARRAY_ASKS,             /* optimizer: needs a problem that answers */
  COHORT_ARRAY_HVP_DIAGONAL,     /* optimizer: needs hvp diagonal */
  COHORT_ARRAY_DIRECTIONS,       /* optimizer: makes a gradient of losses along random directions */
  COHORT_ARRAY_NOISE,            /* optimizer: adds noise to clipped gradients */
  COHORT_ARRAY_CLASS_TARGET,     /* loss: integer classes */
  COHORT_ARRAY_REAL_TARGET,      /* loss: real target of the input's shape */
  COHORT_ARRAY_PAIRS,            /* preference: pairs of completions */
  COHORT_ARRAY_PAIRS_ALONE,      /* preference: pairs, each with a loss of its own */
  COHORT_ARRAY_PAIRS_REFERENCE,  /* preference: pairs, with a reference */
  COHORT_ARRAY_PAIRS_DIVERGENCE, /* preference: pairs, with the divergence from the reference */
  COHORT_ARRAY_COMPLETIONS,      /* preference: completions alone */
  COHORT_ARRAY_MISMATCHED,       /* preference: completions alone, and of other prompts */
  COHORT_ARRAY_SAMPLES,          /* model: rows of features, any axes */
  COHORT_ARRAY_IMAGES,           /* model: samples of three axes */
  COHORT_ARRAY_TOKENS,           /* model: sequences of tokens */
} cohort_array_when;

typedef struct cohort_probe_array {
  const char *name; /* NULL ends the list */
  cohort_array_kind kind;
  const char *shape[COHORT_ARRAY_AXES + 1]; /* NULL-ended; none: a scalar */
  bool optional;
  cohort_array_when when;
  const char *either;     /* of the arrays with different values here, those of one value are given; NULL: no choice */
  const char *constraint; /* "0 <= value < C"; NULL: any finite values */
  bool ignores;           /* a negative value is no fault: what it belongs to is ignored */
  bool whole;             /* INTEGER: whole numbers written as reals serve too, their type then being the results' */
  const char *meaning;
} cohort_probe_array;

/* A key=value of the command line beside the method's own parameters. */
typedef struct cohort_probe_setting {
  const char *name; /* NULL ends the list */
  cohort_parameter_type type;
  const char *standard; /* NULL: must be given */
  const char *minimum;
  cohort_array_when when;
  const char *meaning;
} cohort_probe_setting;

/* A symbol in shapes. */
typedef struct cohort_probe_symbol {
  const char *name; /* NULL ends the list */
  int minimum, example;
  cohort_array_when when;
  const char *meaning;
} cohort_probe_symbol;

typedef struct cohort_family_table {
  const char *family, *summary;
  const cohort_probe_array *inputs, *outputs;
  const cohort_probe_setting *settings;
  const cohort_probe_symbol *symbols;
} cohort_family_table;

/* The table of a family, or NULL when it cannot be probed. */
const cohort_family_table *cohort_family_arrays(const char *family);
/* Whether `method` has the arrays and settings marked `when`. */
bool cohort_array_applies(cohort_array_when when, const cohort_method *method);

#endif
