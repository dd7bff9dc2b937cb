/* The probe of a family of functions: its arrays as float64, its results in the type of the inputs. Invariant: what is
 * written is what the family's table says, in shape and name. Costs a copy of every array. */
#include <stdlib.h>
#include <string.h>

#include "probe/probe.h"

enum { MOST_ARRAYS = 32 };

/* A result under way: rounded to its type when the family is done. */
typedef struct result {
  const cohort_probe_array *entry;
  double *values;
} result;

typedef struct bench {
  cohort_probe_state *probe;
  int results;
  result result[MOST_ARRAYS];
} bench;

static const double *input(const cohort_probe_call *call, const char *name) {
  const bench *own = call->implementation;
  const cohort_array *array = cohort_probe_input(own->probe, name);
  if (!array) return NULL;
  const int64_t elements = cohort_array_elements(array);
  double *values = cohort_probe_memory(own->probe, (size_t)elements * sizeof *values);
  for (int64_t e = 0; e < elements; e++) values[e] = cohort_array_get(array, e);
  return values;
}

static int64_t size(const cohort_probe_call *call, const char *symbol) {
  const bench *own = call->implementation;
  return cohort_probe_size_of(own->probe, symbol);
}

static int64_t setting(const cohort_probe_call *call, const char *name) {
  const bench *own = call->implementation;
  return cohort_probe_setting_value(own->probe, name);
}

static double real(const cohort_probe_call *call, const char *name) {
  const bench *own = call->implementation;
  return cohort_probe_real_setting(own->probe, name);
}

static double *memory(const cohort_probe_call *call, int64_t count) {
  const bench *own = call->implementation;
  return cohort_probe_memory(own->probe, (size_t)count * sizeof(double));
}

static cohort_shape shape_of(const bench *own, const cohort_probe_array *entry) {
  cohort_shape shape = {.axes = 0};
  for (; entry->shape[shape.axes]; shape.axes++) {
    const int64_t known = cohort_probe_size_of(own->probe, entry->shape[shape.axes]);
    shape.size[shape.axes] = known >= 0 ? known : strtoll(entry->shape[shape.axes], NULL, 10);
  }
  return shape;
}

static double *output(const cohort_probe_call *call, const char *name) {
  bench *own = call->implementation;
  const cohort_probe_array *entry = own->probe->family->outputs;
  while (entry->name && strcmp(entry->name, name) != 0) entry++;
  if (!entry->name || own->results == MOST_ARRAYS) return NULL; /* a fault of the family: its test ends here */
  double *values = memory(call, cohort_shape_elements(shape_of(own, entry)));
  own->result[own->results++] = (result){entry, values};
  return values;
}

/* Whether results are float32: inputs are, be they whole numbers. */
static bool is_single(const cohort_probe_state *probe) {
  for (int i = 0; i < probe->in.count; i++)
    if (probe->in.items[i].type == COHORT_ARRAY_FLOAT32) return true;
  return probe->whole_type == COHORT_ARRAY_FLOAT32;
}

cohort_status cohort_probe_functions(cohort_probe_state *probe, cohort_error *error) {
  bench own = {.probe = probe};
  const cohort_probe_call call = {.method = probe->choice.method,
                                  .config = probe->choice.config,
                                  .input = input,
                                  .size = size,
                                  .setting = setting,
                                  .real = real,
                                  .output = output,
                                  .memory = memory,
                                  .implementation = &own};
  COHORT_TRY(probe->family->probe(&call, error));
  const bool single = is_single(probe);
  for (int r = 0; r < own.results; r++) {
    const cohort_shape shape = shape_of(&own, own.result[r].entry);
    const bool whole = own.result[r].entry->kind == COHORT_ARRAY_OF_INTEGER;
    const cohort_array_type type = whole ? COHORT_ARRAY_INT32 : single ? COHORT_ARRAY_FLOAT32 : COHORT_ARRAY_FLOAT64;
    void *out = cohort_arrays_add(&probe->out, own.result[r].entry->name, type, shape.axes, shape.size)->data;
    for (int64_t e = 0; e < cohort_shape_elements(shape); e++) {
      if (whole)
        ((int32_t *)out)[e] = (int32_t)own.result[r].values[e];
      else if (single)
        ((float *)out)[e] = (float)own.result[r].values[e];
      else
        ((double *)out)[e] = own.result[r].values[e];
    }
  }
  return COHORT_DONE;
}
