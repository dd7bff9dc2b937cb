/* The update engine on a probe's tensors: a space of them, one rank, one thread, and the arrays as its oracle. Nothing
 * is computed here that training does not compute. Cost: that of the steps asked for. */
#include "probe/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Where a probe names no roles every tensor decays, as in the libraries that it is compared with. */
static cohort_space *make_space(int tensors, const cohort_probe_tensor *tensor) {
  cohort_parameter_tensor *declared = cohort_allocate((size_t)(tensors + 1) * sizeof *declared);
  for (int t = 0; t < tensors; t++) {
    declared[t].shape = tensor[t].shape;
    declared[t].role = tensor[t].role;
    (void)snprintf(declared[t].name, sizeof declared[t].name, "%s", tensor[t].name);
  }
  cohort_space *space = cohort_space_of("probe", tensors, declared);
  free(declared);
  return space;
}

cohort_status cohort_probe_engine_create(cohort_probe_state *probe, const cohort_document *optimizer,
                                         const cohort_choice *made, const char *path, int objectives, int tensors,
                                         const cohort_probe_tensor *tensor, cohort_probe_engine *out,
                                         cohort_error *error) {
  *out = (cohort_probe_engine){.probe = probe, .alone = cohort_comm_alone()};
  out->space = make_space(tensors, tensor);
  COHORT_TRY(cohort_shard_group_create(&out->alone, false, &out->members, error));
  const cohort_updater_options plan = {.optimizer = optimizer,
                                       .made = made,
                                       .optimizer_path = path,
                                       .groups_path = "groups",
                                       .seed = (uint64_t)cohort_probe_setting_value(probe, "seed"),
                                       .space = out->space,
                                       .comm = &out->alone,
                                       .kernels = probe->kernels,
                                       .variant = probe->variant,
                                       .threads = 1,
                                       .objectives = objectives,
                                       .sharding = COHORT_SHARDING_OPTIMIZER,
                                       .members = out->members,
                                       .sizes = {out->space->elements + 1, out->space->elements + 1}};
  cohort_faults faults = {NULL, 0};
  const cohort_status status = cohort_updater_create(&plan, &faults, &out->updater, error);
  cohort_faults_release(&faults);
  COHORT_TRY(status);
  const size_t bytes = (size_t)out->space->elements * cohort_probe_real_size(probe);
  out->weights.values = cohort_probe_memory(probe, bytes);
  out->space->values = out->weights.values;
  out->rows = cohort_probe_memory(probe, 2 * bytes);
  out->signs = cohort_probe_memory(probe, bytes);
  return cohort_updater_connect(out->updater, &(cohort_updater_connection){.weights = &out->weights}, error);
}

void cohort_probe_engine_destroy(cohort_probe_engine *engine) {
  cohort_updater_destroy(engine->updater);
  cohort_shard_group_destroy(engine->members);
  cohort_space_destroy(engine->space);
}

static double number_of(const cohort_slot *slot, size_t real, int64_t element) {
  if (slot->type == COHORT_STATE_INTEGER) return (double)((const int64_t *)slot->values)[element];
  if (slot->type == COHORT_STATE_FLOAT64 || real == sizeof(double)) return ((const double *)slot->values)[element];
  return (double)((const float *)slot->values)[element];
}

void cohort_probe_engine_output_state(const cohort_probe_engine *engine) {
  cohort_probe_state *probe = engine->probe;
  for (int s = 0; s < cohort_updater_slots(engine->updater); s++) {
    const cohort_slot *slot = cohort_updater_slot(engine->updater, s);
    for (int t = 0; !slot->scratch && t < slot->tensors; t++) {
      const cohort_stored_tensor *tensor = &slot->tensor[t];
      cohort_shape shape = {.axes = tensor->axes};
      for (int a = 0; a < tensor->axes; a++) shape.size[a] = tensor->size[a];
      char *name = cohort_format_text("state/%s/%s", slot->name, tensor->name);
      void *out = cohort_probe_output(probe, name, shape);
      for (int64_t e = 0; e < cohort_shape_elements(shape); e++)
        cohort_probe_set(probe, out, e, number_of(slot, cohort_probe_real_size(probe), tensor->offset + e));
      free(name);
    }
  }
}
