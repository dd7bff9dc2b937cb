/* `cohort probe`: any method of the catalogue evaluated on arrays from a file, so that anyone can hold it against
 * another implementation. What it takes and gives is what its family says (method/family.h) and `cohort methods FAMILY
 * NAME` prints.
 *
 * The type of the real arrays decides the arithmetic: all float32 or all float64 (float32 when there is none). Faults
 * of the command line are COHORT_BAD_CONFIG, faults of the arrays COHORT_BAD_DATA, results that are not finite
 * COHORT_DIVERGED; then nothing is written. */
#ifndef COHORT_PROBE_PROBE_H
#define COHORT_PROBE_PROBE_H

#include "graph/graph.h"
#include "io/arrays.h"
#include "kernel/kernel.h"
#include "method/registry.h"

typedef struct cohort_probe_request {
  const char *family, *name;
  const char *input, *output; /* HDF5 files; input may be NULL where the family takes no arrays */
  int words;
  char *const *word; /* "key=value": parameters of the method and settings of its family */
} cohort_probe_request;

cohort_status cohort_probe(const cohort_probe_request *request, cohort_error *error);

/* From here on: for the files of this folder. */

enum { COHORT_PROBE_SETTINGS = 16, COHORT_PROBE_SYMBOLS = 16 };

/* A symbol of the shapes and the size that it has in this probe. */
typedef struct cohort_probe_size {
  const char *name;
  int64_t size;
} cohort_probe_size;

typedef struct cohort_probe_state {
  const cohort_probe_request *request;
  const cohort_family *family;
  cohort_probe_array *inputs;                 /* owned: those of the method */
  cohort_document *parameters, *settings;     /* owned; the choice points into them */
  int64_t setting[COHORT_PROBE_SETTINGS];     /* in the order of the table */
  double real_setting[COHORT_PROBE_SETTINGS]; /* of those that are reals */
  cohort_choice choice;
  cohort_variant variant;
  const cohort_kernel_set *kernels;
  cohort_arrays in, out;
  cohort_array_type whole_type; /* of an input of whole numbers that was written as reals; INT32: there is none */
  int symbols;
  cohort_probe_size symbol[COHORT_PROBE_SYMBOLS];
  int memories;
  void **memory; /* released at the end */
} cohort_probe_state;

/* words.c: splits the words into parameters of the method and settings of the family; unknown keys are faults. */
cohort_status cohort_probe_read_words(cohort_probe_state *probe, const cohort_method *method, cohort_error *error);
int64_t cohort_probe_setting_value(const cohort_probe_state *probe, const char *name);
double cohort_probe_real_setting(const cohort_probe_state *probe, const char *name);

/* check.c: every array of the file against the table. Symbols that are already bound must agree. */
cohort_status cohort_probe_check(cohort_probe_state *probe, cohort_error *error);
/* Before the types are judged: whole numbers written as reals become integers where
 * the table lets them, integers among reals become reals. */
void cohort_probe_adapt(cohort_probe_state *probe);
/* Binds a symbol; false when it has another size. */
bool cohort_probe_bind(cohort_probe_state *probe, const char *symbol, int64_t size);
/* Size of a symbol, -1 when it has none. */
int64_t cohort_probe_size_of(const cohort_probe_state *probe, const char *symbol);
/* "[2, 3]" into out. */
enum { COHORT_PROBE_TEXT = 160 };
const char *cohort_probe_shape_text(int axes, const int64_t *size, char out[COHORT_PROBE_TEXT]);
/* The part of `name` that stands for <t> in `pattern`, or NULL when it does not match; "" for a pattern without <t>. */
const char *cohort_probe_tensor_name(const char *pattern, const char *name);
/* constraint.c: the values of an array against the table's constraint. */
cohort_status cohort_probe_check_values(const cohort_probe_state *probe, const cohort_probe_array *entry,
                                        const cohort_array *array, cohort_error *error);

/* Zeroed memory, 64-byte aligned, released with the probe. */
void *cohort_probe_memory(cohort_probe_state *probe, size_t bytes);
/* An input by name, NULL when it is not given. */
const cohort_array *cohort_probe_input(const cohort_probe_state *probe, const char *name);
/* Aligned copies of an input: real of the probe's type, or int32. */
void *cohort_probe_reals(cohort_probe_state *probe, const cohort_array *array);
int32_t *cohort_probe_integers(cohort_probe_state *probe, const cohort_array *array);
/* Adds an output of the probe's type; its data. */
void *cohort_probe_output(cohort_probe_state *probe, const char *name, cohort_shape shape);
/* Element of memory of the probe's type. */
double cohort_probe_get(const cohort_probe_state *probe, const void *values, int64_t element);
void cohort_probe_set(const cohort_probe_state *probe, void *values, int64_t element, double value);
static inline size_t cohort_probe_real_size(const cohort_probe_state *probe) { return probe->kernels->real_size; }

/* evaluate.c: a graph run once for one lane. Leaves are bound to memory; outputs are copied into arrays. */
typedef struct cohort_probe_leaf {
  cohort_value value;
  void *data;
} cohort_probe_leaf;
typedef struct cohort_probe_wanted {
  cohort_value value;
  const char *name;   /* of the output array */
  cohort_shape shape; /* of as many elements as the value has */
} cohort_probe_wanted;
cohort_status cohort_probe_evaluate(cohort_probe_state *probe, const cohort_graph *graph, int leaves,
                                    const cohort_probe_leaf *leaf, int outputs, const cohort_probe_wanted *wanted,
                                    cohort_error *error);
/* The same into memory of the caller, of wanted[i] into data[i], instead of arrays. */
cohort_status cohort_probe_evaluate_into(cohort_probe_state *probe, const cohort_graph *graph, int leaves,
                                         const cohort_probe_leaf *leaf, int outputs, const cohort_probe_wanted *wanted,
                                         void *const *data, cohort_error *error);

/* functions.c: a family that brings its own probe. */
cohort_status cohort_probe_functions(cohort_probe_state *probe, cohort_error *error);

/* Of another family: one file each, FAMILY.c, which the build finds by its name. `bind`, when there is one, binds
 * symbols that do not follow from one array, before the check. */
typedef struct cohort_probe_program {
  const char *family;
  void (*bind)(cohort_probe_state *probe);
  cohort_status (*run)(cohort_probe_state *probe, cohort_error *error);
} cohort_probe_program;

#endif
