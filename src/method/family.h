/* A family: a folder of src/method, and what its methods have in common. FAMILY/FAMILY.c exports its descriptor,
 * `const cohort_family cohort_family_FAMILY`; FAMILY/FAMILY.h is the contract of its methods; every other file but
 * template*.c is a method. The build finds all of them by their place.
 *
 * The descriptor says how the family is called and what `cohort probe` takes and gives: one table for the probe itself
 * and for what `cohort methods` tells about it, so that the two cannot differ. Array names stand as in the HDF5 file
 * without the leading '/'. A symbol that is called as an integer parameter of the method is as large as that says. A
 * name or axis in angle brackets is filled in by who asks: "<t>" is any tensor's name and
 * the array is repeated for every tensor. An axis is a number or a symbol; equal symbols are equal sizes; "shape"
 * stands for all axes of the tensor <t>.
 *
 * A family of functions (numbers in, numbers out) brings its probe as `probe`. One whose probe is a piece of training
 * (the update engine, a graph) has it in src/probe/FAMILY.c. */
#ifndef COHORT_METHOD_FAMILY_H
#define COHORT_METHOD_FAMILY_H

#include <stdbool.h>

#include "method/method.h"

enum { COHORT_ARRAY_AXES = 4 };

typedef enum { COHORT_ARRAY_OF_REAL, COHORT_ARRAY_OF_INTEGER } cohort_array_kind;

/* Which methods of the family have an array, setting or symbol; NULL: all. */
typedef bool (*cohort_array_when)(const cohort_method *method);
static inline bool cohort_array_applies(cohort_array_when when, const cohort_method *method) {
  return !when || when(method);
}

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
  const char *name;     /* NULL ends the list */
  const char *standard; /* NULL: must be given */
  const char *minimum;
  cohort_array_when when;
  const char *meaning;
  bool real; /* else an integer, which is the size of the symbol of its name */
} cohort_probe_setting;

/* A symbol in shapes. */
typedef struct cohort_probe_symbol {
  const char *name;     /* NULL ends the list */
  int minimum, example; /* the smallest size, and one that suits a first try */
  cohort_array_when when;
  const char *meaning;
  bool fixed;     /* the smallest size is the only one */
  bool parameter; /* the method's parameter of this name says how many there are */
} cohort_probe_symbol;

/* What a family of functions is probed with, as float64 whatever the type in the file; real results have the type of
 * the inputs, float64 where those are integers, and integers are int32. Memory lives as long as the call. */
typedef struct cohort_probe_call {
  const cohort_method *method;
  const void *config;
  const double *(*input)(const struct cohort_probe_call *call, const char *name); /* NULL: not given */
  int64_t (*size)(const struct cohort_probe_call *call, const char *symbol);
  int64_t (*setting)(const struct cohort_probe_call *call, const char *name);
  double (*real)(const struct cohort_probe_call *call, const char *name);    /* a setting that is a real */
  double *(*output)(const struct cohort_probe_call *call, const char *name); /* zeros, of the table's shape */
  double *(*memory)(const struct cohort_probe_call *call, int64_t count);    /* zeros */
  void *implementation;
} cohort_probe_call;

/* A state as checkpoints and probes call it: PREFIX.NAME, or NAME alone. */
typedef struct cohort_described_state {
  const char *prefix, *name;
  cohort_owner owner;
  bool sized, scratch;
  const char *initial_parameter, *meaning;
} cohort_described_state;

typedef struct cohort_family {
  const char *name;         /* of its folder */
  const char *noun;         /* one of them in a sentence, "preference loss"; NULL: the name */
  const char *summary;      /* what one of them is, in a line */
  const char *catalogue;    /* the catalogue's word for it, which serves as a name too; NULL: the same */
  const char *const *needs; /* words for the bits of its descriptors' `needs`, the lowest first; NULL-ended */
  /* The tables of `probe`, each ended by a name of NULL; settings and symbols may be NULL. */
  const cohort_probe_array *inputs, *outputs;
  const cohort_probe_setting *settings;
  const cohort_probe_symbol *symbols;
  /* Input number `index` of those that a method has beside the table's, false past the last; NULL: none has. */
  bool (*further)(const cohort_method *method, int index, cohort_probe_array *out);
  /* Names of the tensors <t> of a method that fixes them, NULL past the last, and NULL at once where any will do; NULL:
   * any. */
  const char *(*tensor)(const cohort_method *method, int index);
  /* How many axes a tensor <t> of a probe has at least; NULL: 1. */
  int (*least_axes)(const cohort_method *method);
  /* State number `index` of a method, false past the last; NULL: those of the descriptor's table. */
  bool (*state)(const cohort_method *method, int index, cohort_described_state *state);
  /* A family of functions: the probe itself; NULL: src/probe/FAMILY.c has it. */
  cohort_status (*probe)(const cohort_probe_call *call, cohort_error *error);
} cohort_family;

/* The inputs of a method's probe: those of the table that apply, then its further ones, ended by a name of NULL; owned
 * by the caller. */
cohort_probe_array *cohort_family_inputs(const cohort_family *family, const cohort_method *method);

#endif
