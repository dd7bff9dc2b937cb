/* Weights of one space in a file, by the names of its tensors: a checkpoint, or a released model. Invariant: what the
 * file has not is told, tensor by tensor. Costs a reading of the file; a checkpoint is in memory meanwhile. */
#include "train/run/weights_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/checkpoint.h"
#include "io/model/files.h"
#include "train/run/state.h"

enum { PATH_ROOM = 128 };

static cohort_status fail_shape(const char *path, const cohort_stored_tensor *stored,
                                const cohort_parameter_tensor *declared, cohort_error *error) {
  char in_file[COHORT_SHAPE_TEXT], here[COHORT_SHAPE_TEXT];
  cohort_shape shape = {.axes = stored->axes};
  for (int a = 0; a < stored->axes && a < COHORT_MAX_AXES; a++) shape.size[a] = stored->size[a];
  return cohort_fail(error, COHORT_BAD_DATA,
                     "%s: tensor %s has shape %s in the file and %s in this model; set the model as it was trained",
                     path, declared->name, cohort_shape_text(shape, in_file), cohort_shape_text(declared->shape, here));
}

static const cohort_stored_tensor *find_stored(const cohort_flat_contents *contents, const char *name) {
  for (int i = 0; i < contents->tensors; i++)
    if (strcmp(contents->tensor[i].name, name) == 0) return &contents->tensor[i];
  return NULL;
}

static cohort_status copy_tensor(const cohort_weights_reading *own, const cohort_flat_contents *contents,
                                 const cohort_stored_tensor *stored, const cohort_space_tensor *tensor, float *values,
                                 cohort_error *error) {
  int64_t elements = 1;
  bool same = stored->axes == tensor->declared.shape.axes;
  for (int a = 0; same && a < stored->axes; a++) {
    same = stored->size[a] == tensor->declared.shape.size[a];
    elements *= stored->size[a];
  }
  if (!same) return fail_shape(own->path, stored, &tensor->declared, error);
  if (stored->offset < 0 || stored->offset + elements > contents->elements)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %s lies outside the file's weights; use another file",
                       own->path, tensor->declared.name);
  memcpy(values + tensor->offset, contents->data + stored->offset, (size_t)elements * sizeof(float));
  return COHORT_DONE;
}

/* Nothing in common is another model, whatever may be lacking. */
static cohort_status copy_by_name(const cohort_weights_reading *own, const cohort_flat_contents *contents,
                                  float *values, cohort_error *error) {
  const char *lacking = NULL;
  int found = 0;
  for (int t = 0; t < own->space->tensors; t++) {
    const cohort_space_tensor *tensor = &own->space->tensor[t];
    const bool skipped = own->no_losses && strncmp(tensor->declared.name, "loss", 4) == 0;
    const cohort_stored_tensor *stored = skipped ? NULL : find_stored(contents, tensor->declared.name);
    own->found[t] = stored != NULL;
    found += own->found[t];
    if (stored) COHORT_TRY(copy_tensor(own, contents, stored, tensor, values, error));
    if (!stored && !lacking) lacking = tensor->declared.name;
  }
  if (lacking && (own->whole || (!found && !own->no_losses)))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: has no tensor %s of this model", own->path, lacking);
  return COHORT_DONE;
}

char *cohort_run_vector_in(const char *path, const char *space) {
  cohort_error ignored; /* most files have no such text */
  char *text = NULL, *key = cohort_run_evaluated_text(space);
  const bool there = cohort_checkpoint_text(path, key, &text, &ignored) == COHORT_DONE;
  free(key);
  return there ? text : cohort_copy_text("parameters");
}

/* Tensor by tensor, where it belongs: a released model is never in memory twice. */
static cohort_status read_released(const cohort_weights_reading *own, float *values, cohort_error *error) {
  cohort_model_files *files = NULL;
  COHORT_TRY(cohort_model_files_open(own->path, &files, error));
  cohort_status status = COHORT_DONE;
  for (int t = 0; t < own->space->tensors && status == COHORT_DONE; t++) {
    const cohort_space_tensor *tensor = &own->space->tensor[t];
    const cohort_shape *shape = &tensor->declared.shape;
    status = cohort_model_files_read(files, tensor->declared.name, shape->axes, shape->size, values + tensor->offset,
                                     &own->found[t], error);
    if (status == COHORT_DONE && own->whole && !own->found[t])
      status =
          cohort_fail(error, COHORT_BAD_DATA, "%s: has no tensor %s of this model", own->path, tensor->declared.name);
  }
  if (status == COHORT_DONE) status = cohort_model_files_check_rest(files, error);
  cohort_model_files_close(files);
  return status;
}

cohort_status cohort_weights_has(const char *path, const char *space, bool *has, cohort_error *error) {
  *has = strcmp(space, "model") == 0;
  if (cohort_model_files_are(path)) return COHORT_DONE;
  char *flat = cohort_format_text("/%s/flat/parameters", space);
  const cohort_status status = cohort_checkpoint_has(path, flat, has, error);
  free(flat);
  return status;
}

cohort_status cohort_weights_digest(const char *path, uint64_t *digest, cohort_error *error) {
  if (!cohort_model_files_are(path)) return cohort_checkpoint_digest(path, "/model/flat/parameters", digest, error);
  cohort_model_files *files = NULL;
  COHORT_TRY(cohort_model_files_open(path, &files, error));
  const cohort_status status = cohort_model_files_digest(files, digest, error);
  cohort_model_files_close(files);
  return status;
}

cohort_status cohort_weights_read(const cohort_weights_reading *own, float *values, cohort_error *error) {
  if (cohort_model_files_are(own->path)) return read_released(own, values, error);
  char flat_path[PATH_ROOM], view_path[PATH_ROOM], *vector = cohort_run_vector_in(own->path, own->name);
  (void)snprintf(flat_path, PATH_ROOM, "/%s/flat/%s", own->name, vector);
  (void)snprintf(view_path, PATH_ROOM, "/%s/%s", own->name, vector);
  free(vector);
  cohort_flat_contents contents = {0};
  cohort_status status = cohort_checkpoint_read_flat(own->path, flat_path, view_path, &contents, error);
  if (status == COHORT_DONE) status = copy_by_name(own, &contents, values, error);
  cohort_flat_release(&contents);
  return status;
}
