/* `cohort probe`: reads the words and the arrays, checks them against the family's table, runs the family, writes what
 * it gives. Nothing is written unless every result is finite. */
#include "probe/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "probe_table.h"

/* The program of a family, or NULL: made of the files of this folder. */
static const cohort_probe_program *find_program(const cohort_family *family) {
  for (size_t p = 0; p < sizeof probe_programs / sizeof *probe_programs; p++)
    if (strcmp(probe_programs[p]->family, family->name) == 0) return probe_programs[p];
  return NULL;
}

static cohort_status refuse_family(const char *given, cohort_error *error) {
  const char *names[64];
  size_t count = 0;
  const cohort_family *family;
  for (int f = 0; count < sizeof names / sizeof *names && (family = cohort_registry_family_at(f)); f++)
    names[count++] = family->name;
  const char *nearest = cohort_nearest_name(given, names, count);
  if (nearest) return cohort_fail(error, COHORT_BAD_CONFIG, "probe: no family %s; did you mean %s?", given, nearest);
  return cohort_fail(error, COHORT_BAD_CONFIG, "probe: no family %s; cohort methods lists them", given);
}

void *cohort_probe_memory(cohort_probe_state *probe, size_t bytes) {
  const size_t room = cohort_round_up(bytes + 1, COHORT_ALIGNMENT);
  void *memory = aligned_alloc(COHORT_ALIGNMENT, room);
  if (!memory) memory = cohort_allocate(SIZE_MAX / 2); /* ends the program with the message of all allocations */
  memset(memory, 0, room);
  probe->memory = cohort_reallocate(probe->memory, (size_t)(probe->memories + 1) * sizeof *probe->memory);
  probe->memory[probe->memories++] = memory;
  return memory;
}

const cohort_array *cohort_probe_input(const cohort_probe_state *probe, const char *name) {
  return cohort_arrays_find(&probe->in, name);
}

double cohort_probe_get(const cohort_probe_state *probe, const void *values, int64_t element) {
  if (cohort_probe_real_size(probe) == sizeof(float)) return (double)((const float *)values)[element];
  return ((const double *)values)[element];
}

void cohort_probe_set(const cohort_probe_state *probe, void *values, int64_t element, double value) {
  if (cohort_probe_real_size(probe) == sizeof(float))
    ((float *)values)[element] = (float)value;
  else
    ((double *)values)[element] = value;
}

void *cohort_probe_reals(cohort_probe_state *probe, const cohort_array *array) {
  const size_t bytes = (size_t)cohort_array_elements(array) * cohort_probe_real_size(probe);
  void *copy = cohort_probe_memory(probe, bytes);
  memcpy(copy, array->data, bytes);
  return copy;
}

int32_t *cohort_probe_integers(cohort_probe_state *probe, const cohort_array *array) {
  const int64_t elements = cohort_array_elements(array);
  int32_t *copy = cohort_probe_memory(probe, (size_t)elements * sizeof *copy);
  for (int64_t e = 0; e < elements; e++) {
    const double value = cohort_array_get(array, e);
    copy[e] = value < 0 ? -1 : (int32_t)fmin(value, INT32_MAX);
  }
  return copy;
}

void *cohort_probe_output(cohort_probe_state *probe, const char *name, cohort_shape shape) {
  const bool single = cohort_probe_real_size(probe) == sizeof(float);
  return cohort_arrays_add(&probe->out, name, single ? COHORT_ARRAY_FLOAT32 : COHORT_ARRAY_FLOAT64, shape.axes,
                           shape.size)
      ->data;
}

/* All real arrays alike; the type of the first decides. */
static cohort_status choose_type(cohort_probe_state *probe, cohort_error *error) {
  const cohort_array *first = NULL;
  for (int i = 0; i < probe->in.count; i++) {
    const cohort_array *array = &probe->in.items[i];
    if (array->type != COHORT_ARRAY_FLOAT32 && array->type != COHORT_ARRAY_FLOAT64) continue;
    if (!first) first = array;
    if (array->type != first->type)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: array %s is %s, but %s is %s; give all real arrays one type",
                         probe->request->input, array->name,
                         array->type == COHORT_ARRAY_FLOAT32 ? "float32" : "float64", first->name,
                         first->type == COHORT_ARRAY_FLOAT32 ? "float32" : "float64");
  }
  const cohort_isa isa = cohort_processor_isa();
  const bool is_double = (first ? first->type : probe->whole_type) == COHORT_ARRAY_FLOAT64;
  probe->variant = is_double ? COHORT_VARIANT_F64 : cohort_variant_of(isa);
  probe->kernels = is_double ? cohort_kernels_float64() : cohort_kernels_float32(isa);
  return COHORT_DONE;
}

static cohort_status choose(cohort_probe_state *probe, cohort_variant variant, cohort_error *error) {
  cohort_choice_release(&probe->choice);
  cohort_faults faults = {NULL, 0};
  cohort_choice_read(variant, probe->family->name, probe->parameters, probe->family->name, &probe->choice, NULL,
                     &faults);
  const cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  return status;
}

static cohort_status check_finite(const cohort_probe_state *probe, cohort_error *error) {
  for (int i = 0; i < probe->out.count; i++) {
    const cohort_array *array = &probe->out.items[i];
    const int64_t elements = cohort_array_elements(array);
    for (int64_t e = 0; e < elements; e++)
      if (!isfinite(cohort_array_get(array, e)))
        return cohort_fail(error, COHORT_DIVERGED, "%s %s: the result %s is not finite (element %lld is %g)",
                           probe->family->name, probe->choice.method->key, array->name, (long long)e,
                           cohort_array_get(array, e));
  }
  return COHORT_DONE;
}

static cohort_status work(cohort_probe_state *probe, cohort_error *error) {
  const cohort_probe_request *request = probe->request;
  const cohort_probe_program *program = find_program(probe->family);
  if (!program && !probe->family->probe)
    return cohort_fail(error, COHORT_BAD_CONFIG, "probe: methods of family %s cannot be probed", probe->family->name);
  const cohort_variant standard = cohort_variant_of(cohort_processor_isa());
  const cohort_method *method = cohort_registry_find(standard, probe->family->name, request->name);
  if (method && probe->family->inputs) probe->inputs = cohort_family_inputs(probe->family, method);
  COHORT_TRY(cohort_probe_read_words(probe, method, error));
  COHORT_TRY(choose(probe, standard, error));
  if (request->input)
    COHORT_TRY(cohort_arrays_read(request->input, &probe->in, error));
  else if (!probe->family->inputs || probe->family->inputs->name)
    return cohort_fail(error, COHORT_BAD_CONFIG, "probe: give FAMILY NAME -i FILE -o FILE; see cohort probe --help");
  cohort_probe_adapt(probe);
  COHORT_TRY(choose_type(probe, error));
  if (probe->variant != standard) COHORT_TRY(choose(probe, probe->variant, error));
  if (program && program->bind) program->bind(probe);
  COHORT_TRY(cohort_probe_check(probe, error));
  COHORT_TRY(program ? program->run(probe, error) : cohort_probe_functions(probe, error));
  COHORT_TRY(check_finite(probe, error));
  return cohort_arrays_write(request->output, &probe->out, error);
}

cohort_status cohort_probe(const cohort_probe_request *request, cohort_error *error) {
  const cohort_method *method = cohort_registry_find(COHORT_VARIANT_F64, request->family, request->name);
  const cohort_family *family = cohort_registry_family(method ? method->family : request->family);
  if (!family) return refuse_family(request->family, error);
  cohort_probe_state probe = {.request = request, .family = family, .whole_type = COHORT_ARRAY_INT32};
  const cohort_status status = work(&probe, error);
  cohort_choice_release(&probe.choice);
  cohort_document_destroy(probe.parameters);
  cohort_document_destroy(probe.settings);
  cohort_arrays_release(&probe.in);
  cohort_arrays_release(&probe.out);
  for (int m = 0; m < probe.memories; m++) free(probe.memory[m]);
  free(probe.memory);
  free(probe.inputs);
  return status;
}
