/* Loads a checkpoint into memory that is there already. Rank 0 reads the structure and says what does not fit; then
 * every rank reads its own slices and checks their digests. Nothing is believed before it is checked: a damaged file is
 * passed over on resume, never half used. A rank reads what it holds. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/checkpoint_data.h"

/* What rank 0 found in the file and all ranks need. */
typedef struct found_header {
  int64_t step;
  uint64_t seed;
} found_header;

typedef struct found_flat {
  int64_t offset, elements;
  uint64_t digest;
} found_flat;

/* ---- does the file fit? The first difference is named. ---- */

static bool same_shape(const cohort_stored_tensor *a, const cohort_stored_tensor *b) {
  const int64_t one[1] = {1}; /* a scalar is stored as [1] */
  const int axes_a = a->axes ? a->axes : 1, axes_b = b->axes ? b->axes : 1;
  if (axes_a != axes_b) return false;
  return memcmp(a->axes ? a->size : one, b->axes ? b->size : one, (size_t)axes_a * sizeof *one) == 0;
}

static const cohort_stored_tensor *find_tensor(int tensors, const cohort_stored_tensor *tensor, const char *name) {
  for (int i = 0; i < tensors; i++) {
    if (strcmp(tensor[i].name, name) == 0) return &tensor[i];
  }
  return NULL;
}

static cohort_status fit_tensor(const char *path, const cohort_stored_flat *wanted, const cohort_stored_tensor *tensor,
                                const cohort_stored_tensor *stored, cohort_error *error) {
  if (!stored) {
    return cohort_fail(error, COHORT_BAD_DATA, "%s: %s/%s is missing; the checkpoint is of another model", path,
                       wanted->view_path, tensor->name);
  }
  if (!same_shape(tensor, stored)) {
    char in_file[128], here[128];
    cohort_stored_shape_text(stored->axes, stored->size, in_file);
    cohort_stored_shape_text(tensor->axes, tensor->size, here);
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: %s/%s has shape %s, the model wants %s; the checkpoint is of another model", path,
                       wanted->view_path, tensor->name, in_file, here);
  }
  if (tensor->offset != stored->offset) {
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: %s/%s begins at element %" PRId64 ", the model wants %" PRId64
                       "; the checkpoint is of another model",
                       path, wanted->view_path, tensor->name, stored->offset, tensor->offset);
  }
  return COHORT_DONE;
}

static cohort_status fit_flat(const char *path, const cohort_stored_flat *wanted, const cohort_flat_entry *stored,
                              cohort_error *error) {
  if (!stored) {
    return cohort_fail(error, COHORT_BAD_DATA, "%s: %s is missing; the checkpoint is of another model or optimizer",
                       path, wanted->flat_path);
  }
  if (wanted->type != stored->type) {
    return cohort_fail(error, COHORT_BAD_DATA, "%s: %s holds %s, not %s", path, wanted->flat_path,
                       cohort_stored_type_name(stored->type), cohort_stored_type_name(wanted->type));
  }
  if (wanted->row > 0) {
    if (stored->elements % wanted->row == 0) return COHORT_DONE;
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: %s has %" PRId64 " elements, which are no rows of %" PRId64
                       "; the checkpoint is of another model",
                       path, wanted->flat_path, stored->elements, wanted->row);
  }
  for (int i = 0; i < wanted->tensors; i++) {
    const cohort_stored_tensor *const tensor = &wanted->tensor[i];
    const bool in_place = i < stored->tensors && strcmp(stored->tensor[i].name, tensor->name) == 0;
    const cohort_stored_tensor *const found =
        in_place ? &stored->tensor[i] : find_tensor(stored->tensors, stored->tensor, tensor->name);
    COHORT_TRY(fit_tensor(path, wanted, tensor, found, error));
  }
  for (int i = 0; i < stored->tensors && stored->tensors > wanted->tensors; i++) {
    if (find_tensor(wanted->tensors, wanted->tensor, stored->tensor[i].name)) continue;
    return cohort_fail(error, COHORT_BAD_DATA, "%s: %s/%s is not in the model; the checkpoint is of another model",
                       path, wanted->view_path, stored->tensor[i].name);
  }
  if (wanted->elements != stored->elements) {
    return cohort_fail(error, COHORT_BAD_DATA, "%s: %s has %" PRId64 " elements, not %" PRId64, path, wanted->flat_path,
                       stored->elements, wanted->elements);
  }
  return COHORT_DONE;
}

static cohort_status fit_numbers(const char *path, const cohort_checkpoint *wanted, const cohort_structure *stored,
                                 int64_t *values, cohort_error *error) {
  for (int i = 0; i < wanted->numbers; i++) {
    int found = -1;
    for (int j = 0; j < stored->numbers && found < 0; j++) {
      if (strcmp(stored->number[j].name, wanted->number[i].name) == 0) found = j;
    }
    if (found < 0) {
      return cohort_fail(error, COHORT_BAD_DATA, "%s: /sampler has no `%s`; the checkpoint is of another task", path,
                         wanted->number[i].name);
    }
    values[i] = stored->number[found].value;
  }
  return COHORT_DONE;
}

static cohort_status fit(const char *path, const cohort_checkpoint *wanted, const cohort_structure *stored,
                         found_flat *flats, int64_t *values, cohort_error *error) {
  for (int i = 0; i < wanted->flats; i++) {
    const cohort_flat_entry *const entry = cohort_structure_flat(stored, wanted->flat[i].flat_path);
    COHORT_TRY(fit_flat(path, &wanted->flat[i], entry, error));
    flats[i] = (found_flat){entry->region.offset, entry->elements, entry->digest};
  }
  for (int i = 0; i < stored->flats && !wanted->part; i++) {
    bool is_wanted = false;
    for (int j = 0; j < wanted->flats && !is_wanted; j++) {
      is_wanted = strcmp(stored->flat[i].path, wanted->flat[j].flat_path) == 0;
    }
    if (!is_wanted) {
      return cohort_fail(error, COHORT_BAD_DATA,
                         "%s: %s is not part of this run; the checkpoint is of another model or optimizer", path,
                         stored->flat[i].path);
    }
  }
  return fit_numbers(path, wanted, stored, values, error);
}

/* ---- loading ---- */

/* Rank 0; *damaged tells a file that is not whole from one that is of another run. */
static cohort_status look(const char *path, const cohort_checkpoint *wanted, found_header *header, found_flat *flats,
                          int64_t *values, bool *damaged, cohort_error *error) {
  cohort_structure stored;
  *damaged = true;
  COHORT_TRY(cohort_structure_read(path, &stored, error));
  *damaged = false;
  const cohort_status status = fit(path, wanted, &stored, flats, values, error);
  *header = (found_header){stored.step, stored.seed};
  cohort_structure_release(&stored);
  return status;
}

static cohort_status read_slices(const char *path, cohort_checkpoint *checkpoint, const found_flat *flats,
                                 cohort_error *error) {
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be opened: %s", path, strerror(errno));
  cohort_status status = COHORT_DONE;
  for (int i = 0; i < checkpoint->flats && status == COHORT_DONE; i++) {
    const cohort_stored_flat *const flat = &checkpoint->flat[i];
    const size_t element = cohort_stored_bytes(flat->type);
    status = cohort_read_at(descriptor, path, flat->slice, (size_t)flat->count * element,
                            flats[i].offset + flat->first * (int64_t)element, error);
  }
  close(descriptor);
  return status;
}

/* Room for as many rows as the file has. */
static void make_room(const cohort_comm *comm, cohort_checkpoint *checkpoint, const found_flat *flats) {
  for (int i = 0; i < checkpoint->flats; i++) {
    cohort_stored_flat *const flat = &checkpoint->flat[i];
    if (!flat->row) continue;
    flat->elements = flats[i].elements;
    cohort_checkpoint_slice(flat->elements, comm->size, comm->rank, &flat->first, &flat->count);
    free(flat->slice);
    flat->slice = cohort_allocate((size_t)(flat->count + 1) * cohort_stored_bytes(flat->type));
  }
}

static cohort_status read_and_verify(cohort_comm *comm, const char *path, cohort_checkpoint *checkpoint,
                                     const found_flat *flats, cohort_error *error) {
  COHORT_TRY(cohort_comm_agree_error(comm, read_slices(path, checkpoint, flats, error), error));
  for (int i = 0; i < checkpoint->flats; i++) {
    if (cohort_flat_digest(comm, &checkpoint->flat[i]) == flats[i].digest) continue;
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: %s: the data do not fit their digest: the file is damaged; use another one", path,
                       checkpoint->flat[i].flat_path);
  }
  return COHORT_DONE;
}

static cohort_status load(cohort_comm *comm, const char *path, cohort_checkpoint *checkpoint, bool *damaged,
                          cohort_error *error) {
  found_header header = {0};
  found_flat *const flats = cohort_allocate((size_t)(checkpoint->flats + 1) * sizeof *flats);
  int64_t *const values = cohort_allocate((size_t)(checkpoint->numbers + 1) * sizeof *values);
  *damaged = false;
  cohort_status status = COHORT_DONE;
  if (comm->rank == 0) status = look(path, checkpoint, &header, flats, values, damaged, error);
  *damaged = cohort_comm_agree(comm, *damaged) != 0;
  status = cohort_comm_agree_error(comm, status, error);
  if (status == COHORT_DONE) {
    cohort_comm_broadcast(comm, 0, &header, sizeof header);
    cohort_comm_broadcast(comm, 0, flats, (size_t)checkpoint->flats * sizeof *flats);
    cohort_comm_broadcast(comm, 0, values, (size_t)checkpoint->numbers * sizeof *values);
    make_room(comm, checkpoint, flats);
    status = read_and_verify(comm, path, checkpoint, flats, error);
    *damaged = status == COHORT_BAD_DATA;
  }
  if (status == COHORT_DONE) {
    checkpoint->step = header.step;
    checkpoint->seed = header.seed;
    /* the caller's array; const in the type because a save only reads it */
    cohort_stored_number *const number = (cohort_stored_number *)(uintptr_t)checkpoint->number;
    for (int i = 0; i < checkpoint->numbers; i++) number[i].value = values[i];
  }
  free(values);
  free(flats);
  return status;
}

cohort_status cohort_checkpoint_load(cohort_comm *comm, const char *path, cohort_checkpoint *checkpoint,
                                     cohort_error *error) {
  bool damaged = false;
  return load(comm, path, checkpoint, &damaged, error);
}

/* ---- resuming ---- */

/* Rank 0: the steps to try, in order: what `latest` names, then older ones. Without a `latest` that can be read, all,
 * newest first. A file newer than `latest` is no candidate: `latest` may have been set back on purpose. */
static cohort_status candidates(const char *directory, int64_t **tried, int64_t *count, cohort_error *error) {
  int found = 0;
  int64_t *steps = NULL;
  char *latest = NULL;
  COHORT_TRY(cohort_checkpoint_steps(directory, &steps, &found, error));
  const cohort_status status = cohort_checkpoint_latest(directory, &latest, error);
  if (status != COHORT_DONE) {
    free(steps);
    return status;
  }
  const int64_t bound = latest ? cohort_checkpoint_step_of(latest) : INT64_MAX;
  int64_t *const out = cohort_allocate((size_t)(found + 1) * sizeof *out);
  *count = 0;
  if (latest) out[(*count)++] = bound;
  for (int i = found - 1; i >= 0; i--) {
    if (steps[i] < bound) out[(*count)++] = steps[i];
  }
  free(latest);
  free(steps);
  *tried = out;
  return COHORT_DONE;
}

cohort_status cohort_checkpoint_resume(cohort_comm *comm, const cohort_log *log, const char *directory,
                                       cohort_checkpoint *checkpoint, bool *found, char **path, cohort_error *error) {
  int64_t count = 0;
  const bool first = comm->rank == 0;
  int64_t *steps = NULL;
  const cohort_status seen = first ? candidates(directory, &steps, &count, error) : COHORT_DONE;
  COHORT_TRY(cohort_comm_agree_error(comm, seen, error));
  cohort_comm_broadcast(comm, 0, &count, sizeof count);
  if (!first) steps = cohort_allocate((size_t)(count + 1) * sizeof *steps);
  cohort_comm_broadcast(comm, 0, steps, (size_t)count * sizeof *steps);
  cohort_status status = COHORT_DONE;
  bool loaded = false, damaged = true;
  for (int64_t i = 0; i < count && !loaded && damaged; i++) {
    char *const file = cohort_checkpoint_path(directory, steps[i]);
    cohort_error fault = {0};
    status = load(comm, file, checkpoint, &damaged, &fault);
    loaded = status == COHORT_DONE;
    if (loaded) {
      *path = file;
      break;
    }
    free(file);
    if (error) *error = fault;
    if (damaged && i + 1 < count) cohort_log_warning(log, "%s; trying an older one", fault.text);
  }
  free(steps);
  if (status == COHORT_DONE) *found = loaded;
  if (status != COHORT_DONE && damaged && count > 1) {
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: none of the %" PRId64
                       " checkpoints is whole; remove them to start again, or bring one back",
                       directory, count);
  }
  return status;
}
