/* A model as a Hugging Face folder. Invariant: what is written reads back to the same bits (in F32). Memory: the
 * largest tensor of theirs and of ours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/model/files.h"
#include "io/model/safetensors.h"

static int64_t elements_of(const cohort_model_tensor *tensor) {
  int64_t elements = 1;
  for (int a = 0; a < tensor->axes; a++) elements *= tensor->size[a];
  return elements;
}

/* Their tensors: those of ours that are whole or the first of several. first[] is ours. */
static cohort_status declare(const cohort_model_export *source, cohort_safetensors_declared *declared, int *first,
                             int *count, cohort_error *error) {
  *count = 0;
  for (int t = 0; t < source->tensors; t++) {
    const cohort_model_tensor *own = &source->tensor[t];
    cohort_tensor_place place;
    if (!cohort_card_place(source->card, COHORT_NAMES_HUGGING_FACE, own->name, &place))
      return cohort_fail(error, COHORT_BAD_CONFIG, "tensor %s has no place in a %s model", own->name,
                         cohort_architecture_name(source->card->architecture));
    if (place.part) continue;
    cohort_safetensors_declared *out = &declared[*count];
    (void)snprintf(out->name, sizeof out->name, "%s", place.name);
    out->axes = own->axes;
    memcpy(out->size, own->size, sizeof out->size);
    out->size[0] *= place.parts;
    if (place.transposed) {
      out->size[1] = own->size[0] * place.parts;
      out->size[0] = own->size[1];
    }
    first[(*count)++] = t;
  }
  return COHORT_DONE;
}

/* The number of our tensor that is part `part` of the place `name`. */
static int find_part(const cohort_model_export *source, const char *name, int part) {
  for (int t = 0; t < source->tensors; t++) {
    cohort_tensor_place place;
    if (cohort_card_place(source->card, COHORT_NAMES_HUGGING_FACE, source->tensor[t].name, &place) &&
        place.part == part && strcmp(place.name, name) == 0)
      return t;
  }
  return -1;
}

/* One of theirs, from all parts of ours. */
static cohort_status gather(const cohort_model_export *source, int first, float *room, float *whole,
                            cohort_error *error) {
  cohort_tensor_place place;
  (void)cohort_card_place(source->card, COHORT_NAMES_HUGGING_FACE, source->tensor[first].name, &place);
  if (place.parts == 1 && !place.transposed) return source->read(source->argument, first, whole, error);
  const int64_t rows = source->tensor[first].size[0];
  const int64_t columns = source->tensor[first].axes > 1 ? source->tensor[first].size[1] : 1;
  const int64_t wide = rows * place.parts;
  for (int part = 0; part < place.parts; part++) {
    const int t = find_part(source, place.name, part);
    if (t < 0 || elements_of(&source->tensor[t]) != rows * columns)
      return cohort_fail(error, COHORT_BAD_CONFIG,
                         "tensor %s: its parts have not one size; a %s model wants them alike", place.name,
                         cohort_architecture_name(source->card->architecture));
    COHORT_TRY(source->read(source->argument, t, room, error));
    if (!place.transposed) memcpy(whole + part * rows * columns, room, (size_t)(rows * columns) * sizeof *room);
    for (int64_t r = 0; place.transposed && r < rows; r++)
      for (int64_t c = 0; c < columns; c++) whole[c * wide + part * rows + r] = room[r * columns + c];
  }
  return COHORT_DONE;
}

static cohort_status write_tensors(const cohort_model_export *source, cohort_safetensors_writer *writer, int count,
                                   const int *first, const cohort_safetensors_declared *declared, cohort_error *error) {
  int64_t largest = 1;
  for (int i = 0; i < count; i++) {
    int64_t elements = 1;
    for (int a = 0; a < declared[i].axes; a++) elements *= declared[i].size[a];
    if (elements > largest) largest = elements;
  }
  float *room = cohort_allocate((size_t)largest * sizeof *room), *whole = NULL;
  whole = cohort_allocate((size_t)largest * sizeof *whole);
  cohort_status status = COHORT_DONE;
  for (int i = 0; i < count && status == COHORT_DONE; i++) {
    int64_t elements = 1;
    for (int a = 0; a < declared[i].axes; a++) elements *= declared[i].size[a];
    status = gather(source, first[i], room, whole, error);
    if (status == COHORT_DONE) status = cohort_safetensors_put(writer, whole, elements, error);
  }
  free(room);
  free(whole);
  return status;
}

cohort_status cohort_model_files_write(const char *folder, const cohort_model_export *source, cohort_error *error) {
  cohort_safetensors_declared *declared = cohort_allocate((size_t)(source->tensors + 1) * sizeof *declared);
  int *first = cohort_allocate((size_t)(source->tensors + 1) * sizeof *first), count = 0;
  cohort_safetensors_writer *writer = NULL;
  cohort_status status = declare(source, declared, first, &count, error);
  if (status == COHORT_DONE)
    status = cohort_safetensors_create(folder, "model", source->bf16, source->shard, count, declared, &writer, error);
  if (status == COHORT_DONE) status = write_tensors(source, writer, count, first, declared, error);
  status = cohort_safetensors_close(writer, status, error);
  if (status == COHORT_DONE) {
    char *config = cohort_format_text("%s/config.json", folder);
    bool scores = false;
    for (int t = 0; t < source->tensors; t++) scores = scores || strcmp(source->tensor[t].name, "score.weight") == 0;
    status = cohort_card_write(source->card, scores, source->bf16, source->more, config, error);
    free(config);
  }
  free(declared);
  free(first);
  return status;
}
