/* Released models by Cohort's names. Invariant: a tensor is taken from exactly one place, and what no place names is
 * told. Memory: one tensor, where it is stored in another order. */
#include "io/model/files.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/model/gguf.h"
#include "io/model/safetensors.h"

struct cohort_model_files {
  char *path;
  cohort_names names;
  cohort_model_card card;
  cohort_tensor_set set;
};

bool cohort_model_is_gguf(const char *path) {
  const size_t length = strlen(path);
  return length > 5 && strcmp(path + length - 5, ".gguf") == 0;
}

static bool is_file(const char *path) {
  struct stat found;
  return stat(path, &found) == 0 && S_ISREG(found.st_mode);
}

bool cohort_model_files_are(const char *path) {
  if (cohort_model_is_gguf(path)) return is_file(path);
  char *config = cohort_format_text("%s/config.json", path);
  const bool there = is_file(config) && cohort_safetensors_in(path, "model");
  free(config);
  return there;
}

cohort_status cohort_model_files_open(const char *path, cohort_model_files **out, cohort_error *error) {
  cohort_model_files *own = cohort_allocate(sizeof *own);
  own->path = cohort_copy_text(path);
  cohort_status status;
  if (cohort_model_is_gguf(path)) {
    own->names = COHORT_NAMES_GGUF;
    status = cohort_gguf_read(path, &own->card, &own->set, error);
  } else {
    char *config = cohort_format_text("%s/config.json", path);
    status = cohort_card_read(config, &own->card, error);
    free(config);
    if (status == COHORT_DONE) status = cohort_safetensors_add_folder(&own->set, path, "model", error);
  }
  if (status == COHORT_DONE)
    *out = own;
  else
    cohort_model_files_close(own);
  return status;
}

void cohort_model_files_close(cohort_model_files *files) {
  if (!files) return;
  cohort_tensor_set_release(&files->set);
  free(files->path);
  free(files);
}

const cohort_model_card *cohort_model_files_card(const cohort_model_files *files) { return &files->card; }

/* Some files were saved without the model's own prefix: "transformer.h.0..." or "h.0...". */
static cohort_file_tensor *find(const cohort_model_files *own, const char *name) {
  cohort_file_tensor *found = cohort_tensor_set_find(&own->set, name);
  const char *dot = strchr(name, '.');
  const bool prefixed = strncmp(name, "transformer.", 12) == 0 || strncmp(name, "model.", 6) == 0;
  return found || !prefixed ? found : cohort_tensor_set_find(&own->set, dot + 1);
}

/* The shape that a tensor of ours must have where it lies: [out, in] as they are, exchanged, or `parts` times as many.
 */
static bool shape_fits(const cohort_file_tensor *stored, const cohort_tensor_place *place, int axes,
                       const int64_t *size, bool first_rows) {
  if (stored->axes != axes) return false;
  if (axes == 1) return stored->size[0] == size[0] * place->parts;
  const int out = place->transposed ? 1 : 0;
  const bool rows = first_rows ? stored->size[out] >= size[0] : stored->size[out] == size[0] * place->parts;
  return rows && stored->size[1 - out] == size[1];
}

static void put_shape(const int64_t *size, int axes, char out[64]) {
  size_t at = (size_t)snprintf(out, 64, "[");
  for (int a = 0; a < axes && at < 48; a++)
    at += (size_t)snprintf(out + at, 64 - at, "%s%lld", a ? ", " : "", (long long)size[a]);
  (void)snprintf(out + at, 64 - at, "]");
}

/* Of [in, parts x out] one part, as [out, in]. */
static cohort_status read_transposed(const cohort_model_files *own, const cohort_file_tensor *stored,
                                     const cohort_tensor_place *place, const int64_t *size, float *out,
                                     cohort_error *error) {
  const int64_t rows = size[0], columns = size[1], wide = rows * place->parts;
  float *room = cohort_allocate((size_t)(wide * columns) * sizeof *room);
  const cohort_status status = cohort_file_tensor_read(&own->set, stored, 0, wide * columns, room, error);
  for (int64_t r = 0; r < rows && status == COHORT_DONE; r++)
    for (int64_t c = 0; c < columns; c++) out[r * columns + c] = room[c * wide + place->part * rows + r];
  free(room);
  return status;
}

/* A head's rows (or elements) 2j + s become j + s half. */
static void part_halves(float *values, int64_t heads, int64_t rows, int64_t columns) {
  const int64_t size = rows / heads, half = size / 2;
  float *room = cohort_allocate((size_t)(size * columns) * sizeof *room);
  for (int64_t h = 0; h < heads; h++) {
    float *own = values + h * size * columns;
    memcpy(room, own, (size_t)(size * columns) * sizeof *room);
    for (int64_t r = 0; r < size; r++)
      memcpy(own + (r / 2 + r % 2 * half) * columns, room + r * columns, (size_t)columns * sizeof *room);
  }
  free(room);
}

cohort_status cohort_model_files_read(cohort_model_files *files, const char *tensor, int axes, const int64_t *size,
                                      float *out, bool *found, cohort_error *error) {
  cohort_tensor_place place;
  const bool known = cohort_card_place(&files->card, files->names, tensor, &place);
  cohort_file_tensor *stored = known ? find(files, place.name) : NULL;
  const bool may_lack = !known || strcmp(tensor, "score.weight") == 0;
  if (found) *found = stored || !may_lack;
  if (!stored && may_lack && found) return COHORT_DONE;
  if (!stored)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: has no tensor %s, which %s needs for %s", files->path,
                       known ? place.name : tensor, cohort_architecture_name(files->card.architecture), tensor);
  const bool first_rows = strcmp(tensor, "positions.weight") == 0;
  if (!shape_fits(stored, &place, axes, size, first_rows)) {
    char in_file[64], here[64];
    put_shape(stored->size, stored->axes, in_file);
    put_shape(size, axes, here);
    return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %s has shape %s, which does not fit %s of %s%s",
                       files->set.path[stored->file], stored->name, in_file, tensor, here,
                       place.parts > 1 ? ", one of three side by side" : "");
  }
  stored->taken = true;
  int64_t count = 1;
  for (int a = 0; a < axes; a++) count *= size[a];
  if (place.transposed) return read_transposed(files, stored, &place, size, out, error);
  COHORT_TRY(cohort_file_tensor_read(&files->set, stored, place.part * count, count, out, error));
  if (place.interleaved) part_halves(out, place.interleaved, size[0], axes > 1 ? size[1] : 1);
  return COHORT_DONE;
}

cohort_status cohort_model_files_check_rest(const cohort_model_files *files, cohort_error *error) {
  for (int t = 0; t < files->set.tensors; t++) {
    const cohort_file_tensor *tensor = &files->set.tensor[t];
    if (!tensor->taken && !cohort_card_ignores(&files->card, tensor->name))
      return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %s is none of a %s model's", files->set.path[tensor->file],
                         tensor->name, cohort_architecture_name(files->card.architecture));
  }
  return COHORT_DONE;
}

cohort_status cohort_model_files_digest(const cohort_model_files *files, uint64_t *digest, cohort_error *error) {
  enum { CHUNK = 1 << 22 };
  XXH3_state_t *state = XXH3_createState();
  unsigned char *room = cohort_allocate(CHUNK);
  cohort_status status = COHORT_DONE;
  (void)XXH3_64bits_reset(state);
  for (int t = 0; t < files->set.tensors && status == COHORT_DONE; t++) {
    const cohort_file_tensor *tensor = &files->set.tensor[t];
    (void)XXH3_64bits_update(state, tensor->name, strlen(tensor->name));
    for (uint64_t done = 0; done < tensor->bytes && status == COHORT_DONE; done += CHUNK) {
      const uint64_t part = tensor->bytes - done < CHUNK ? tensor->bytes - done : CHUNK;
      status = cohort_file_pread(files->set.descriptor[tensor->file], files->set.path[tensor->file], room, part,
                                 tensor->offset + done, error);
      if (status == COHORT_DONE) (void)XXH3_64bits_update(state, room, part);
    }
  }
  *digest = XXH3_64bits_digest(state);
  free(room);
  (void)XXH3_freeState(state);
  return status;
}
