/* Adapters in `cohort convert`. Invariant: an adapter keeps its numbers to the last bit in either form; DoRA's
 * magnitudes alone are kept here as what is added to a row's norm, and there as the whole. Merging costs the products B
 * A. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/convert.h"
#include "io/model/safetensors.h"

/* The scale of an adapter's product. */
static double scale_of(const cohort_peft *lora) {
  return lora->alpha / (lora->by_root ? sqrt((double)lora->rank) : (double)lora->rank);
}

static const cohort_stored_tensor *find_part(const cohort_convert_source *own, const char *tensor,
                                             cohort_peft_part part) {
  char name[128];
  cohort_peft_own_name(tensor, part, name);
  return cohort_convert_find(&own->adapter, name);
}

static double norm_of(const float *row, int64_t columns) {
  double squares = 0;
  for (int64_t c = 0; c < columns; c++) squares += (double)row[c] * (double)row[c];
  return sqrt(squares);
}

void cohort_convert_add_adapter(const cohort_convert_source *own, const cohort_model_tensor *tensor, float *out) {
  const cohort_stored_tensor *a = find_part(own, tensor->name, COHORT_PEFT_A);
  const cohort_stored_tensor *b = find_part(own, tensor->name, COHORT_PEFT_B);
  const cohort_stored_tensor *magnitude = find_part(own, tensor->name, COHORT_PEFT_MAGNITUDE);
  const size_t length = strlen(tensor->name);
  if (tensor->axes != 2 || length < 7 || strcmp(tensor->name + length - 7, ".weight") != 0 || !a || !b) return;
  const double scale = scale_of(&own->lora);
  const int64_t rows = tensor->size[0], columns = tensor->size[1], rank = a->size[0];
  const float *wide = own->adapter.data + a->offset, *tall = own->adapter.data + b->offset;
  double *sum = cohort_allocate((size_t)columns * sizeof *sum);
  for (int64_t r = 0; r < rows; r++) {
    float *row = out + r * columns;
    const double start = norm_of(row, columns);
    memset(sum, 0, (size_t)columns * sizeof *sum);
    for (int64_t k = 0; k < rank; k++)
      for (int64_t c = 0; c < columns; c++) sum[c] += (double)tall[r * rank + k] * (double)wide[k * columns + c];
    double squares = 0;
    for (int64_t c = 0; c < columns; c++) {
      sum[c] = (double)row[c] + scale * sum[c];
      squares += sum[c] * sum[c];
    }
    const double factor =
        magnitude && squares > 0 ? (start + (double)own->adapter.data[magnitude->offset + r]) / sqrt(squares) : 1;
    for (int64_t c = 0; c < columns; c++) row[c] = (float)(factor * sum[c]);
  }
  free(sum);
}

/* Whether a tensor of the base is a matrix beside which PEFT's config puts an adapter; its place there. */
static bool is_target(const cohort_convert_source *own, const cohort_model_tensor *tensor, cohort_tensor_place *place) {
  const size_t length = strlen(tensor->name);
  if (tensor->axes != 2 || strncmp(tensor->name, "layer", 5) != 0 || length < 7 ||
      strcmp(tensor->name + length - 7, ".weight") != 0)
    return false;
  if (!cohort_card_place(&own->card, COHORT_NAMES_HUGGING_FACE, tensor->name, place)) return false;
  for (int t = 0; t < own->lora.targets; t++) {
    char *word = cohort_format_text(".%s.weight", own->lora.target[t]);
    const size_t name = strlen(place->name), end = strlen(word);
    const bool ends = name > end && strcmp(place->name + name - end, word) == 0;
    free(word);
    if (ends) return true;
  }
  return false;
}

/* Room for one more tensor at the end of the vector. */
static float *add_stored(cohort_flat_contents *contents, const char *name, int axes, const int64_t *size) {
  const size_t count = (size_t)contents->tensors + 1;
  int64_t elements = 1;
  for (int a = 0; a < axes; a++) elements *= size[a];
  contents->tensor = cohort_reallocate(contents->tensor, count * sizeof *contents->tensor);
  cohort_stored_tensor *out = &contents->tensor[contents->tensors++];
  *out = (cohort_stored_tensor){.name = cohort_copy_text(name), .axes = axes, .offset = contents->elements};
  memcpy(out->size, size, (size_t)axes * sizeof *size);
  const int64_t room = (elements + 15) / 16 * 16;
  contents->data = cohort_reallocate(contents->data, (size_t)(contents->elements + room) * sizeof *contents->data);
  float *values = contents->data + contents->elements;
  memset(values, 0, (size_t)room * sizeof *values);
  contents->elements += room;
  return values;
}

static cohort_status read_part(cohort_convert_source *own, cohort_tensor_set *set, const cohort_model_tensor *tensor,
                               const char *matrix, cohort_peft_part part, float **out, cohort_error *error) {
  char theirs[128], ours[128];
  cohort_peft_name(matrix, part, theirs);
  cohort_peft_own_name(tensor->name, part, ours);
  const int64_t a[2] = {own->lora.rank, tensor->size[1]}, b[2] = {tensor->size[0], own->lora.rank};
  const int64_t *size = part == COHORT_PEFT_A ? a : b;
  const int axes = part == COHORT_PEFT_MAGNITUDE ? 1 : 2;
  cohort_file_tensor *found = cohort_tensor_set_find(set, theirs);
  if (!found) return cohort_fail(error, COHORT_BAD_DATA, "%s: has no tensor %s", own->path, theirs);
  if (found->axes != axes || found->size[0] != size[0] || (axes == 2 && found->size[1] != size[1]))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %s does not fit r and %s of the base", own->path, theirs,
                       tensor->name);
  found->taken = true;
  *out = add_stored(&own->adapter, ours, axes, size);
  return cohort_file_tensor_read(set, found, 0, cohort_file_tensor_elements(found), *out, error);
}

/* Theirs is the whole magnitude, ours what is added to the norms of the base's rows. */
static cohort_status subtract_norms(cohort_convert_source *own, int t, float *magnitude, cohort_error *error) {
  const cohort_model_tensor *tensor = &own->tensor[t];
  float *matrix = cohort_allocate((size_t)(tensor->size[0] * tensor->size[1]) * sizeof *matrix);
  const cohort_status status = cohort_model_files_read(own->files, tensor->name, 2, tensor->size, matrix, NULL, error);
  for (int64_t r = 0; r < tensor->size[0] && status == COHORT_DONE; r++)
    magnitude[r] = (float)((double)magnitude[r] - norm_of(matrix + r * tensor->size[1], tensor->size[1]));
  free(matrix);
  return status;
}

static cohort_status refuse_gpt2(const cohort_convert_source *own, cohort_error *error) {
  if (own->card.architecture != COHORT_ARCHITECTURE_GPT2) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG,
                     "%s: PEFT's adapters of GPT-2 stand beside query, key and value as one matrix, which is not "
                     "converted; --merge them into the weights",
                     own->path);
}

cohort_status cohort_convert_read_peft(cohort_convert_source *own, cohort_tensor_set *set, cohort_error *error) {
  COHORT_TRY(refuse_gpt2(own, error));
  own->has_adapter = true;
  for (int i = 0; i < own->lora.targets; i++)
    if (!cohort_card_layer(own->card.architecture, own->lora.target[i]))
      return cohort_fail(error, COHORT_BAD_DATA, "%s: target_modules: %s is no layer of a %s model", own->path,
                         own->lora.target[i], cohort_architecture_name(own->card.architecture));
  for (int t = 0; t < own->tensors; t++) {
    cohort_tensor_place place;
    float *values = NULL;
    if (!is_target(own, &own->tensor[t], &place)) continue;
    for (int part = 0; part < (own->lora.magnitude ? COHORT_PEFT_PARTS : COHORT_PEFT_MAGNITUDE); part++)
      COHORT_TRY(read_part(own, set, &own->tensor[t], place.name, (cohort_peft_part)part, &values, error));
    if (own->lora.magnitude) COHORT_TRY(subtract_norms(own, t, values, error));
  }
  for (int t = 0; t < set->tensors; t++)
    if (!set->tensor[t].taken)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %s belongs to no adapter that its config names", own->path,
                         set->tensor[t].name);
  return COHORT_DONE;
}

/* The module of an adapter's matrix joins the targets. */
static void note_target(cohort_peft *lora, const char *matrix) {
  char module[64];
  const char *end = strrchr(matrix, '.'), *begin = end;
  while (begin > matrix && begin[-1] != '.') begin--;
  (void)snprintf(module, sizeof module, "%.*s", (int)(end - begin), begin);
  for (int t = 0; t < lora->targets; t++)
    if (strcmp(lora->target[t], module) == 0) return;
  if (lora->targets < COHORT_PEFT_TARGETS)
    (void)snprintf(lora->target[lora->targets++], sizeof lora->target[0], "%s", module);
}

typedef struct listed {
  cohort_safetensors_declared *declared;
  const cohort_stored_tensor **stored;
  int *base; /* of a magnitude: the matrix whose norms are added; else -1 */
  int count;
} listed;

static void list_parts(cohort_convert_source *own, listed *out) {
  for (int t = 0; t < own->tensors; t++) {
    cohort_tensor_place place;
    const char *name = own->tensor[t].name;
    const size_t length = strlen(name);
    if (length < 7 || strcmp(name + length - 7, ".weight") != 0 || !find_part(own, name, COHORT_PEFT_A)) continue;
    if (!cohort_card_place(&own->card, COHORT_NAMES_HUGGING_FACE, name, &place)) continue;
    note_target(&own->lora, place.name);
    for (int part = 0; part < COHORT_PEFT_PARTS; part++) {
      const cohort_stored_tensor *stored = find_part(own, name, (cohort_peft_part)part);
      if (!stored) continue;
      cohort_safetensors_declared *declared = &out->declared[out->count];
      cohort_peft_name(place.name, (cohort_peft_part)part, declared->name);
      declared->axes = stored->axes;
      memcpy(declared->size, stored->size, sizeof declared->size);
      out->base[out->count] = part == COHORT_PEFT_MAGNITUDE ? t : -1;
      out->stored[out->count++] = stored;
    }
  }
}

static cohort_status put_part(cohort_convert_source *own, cohort_safetensors_writer *writer,
                              const cohort_stored_tensor *stored, int base, cohort_error *error) {
  int64_t elements = 1;
  for (int a = 0; a < stored->axes; a++) elements *= stored->size[a];
  const float *values = own->adapter.data + stored->offset;
  if (base < 0) return cohort_safetensors_put(writer, values, elements, error);
  const int64_t columns = own->tensor[base].size[1];
  float *matrix = cohort_allocate((size_t)(elements * columns) * sizeof *matrix);
  float *whole = cohort_allocate((size_t)elements * sizeof *whole);
  cohort_status status = cohort_convert_read(own, base, matrix, error);
  for (int64_t r = 0; r < elements && status == COHORT_DONE; r++)
    whole[r] = (float)(norm_of(matrix + r * columns, columns) + (double)values[r]);
  if (status == COHORT_DONE) status = cohort_safetensors_put(writer, whole, elements, error);
  free(matrix);
  free(whole);
  return status;
}

cohort_status cohort_convert_to_peft(cohort_convert_source *own, const cohort_convert_options *options,
                                     cohort_error *error) {
  if (!own->has_adapter || own->merge)
    return cohort_fail(error, COHORT_BAD_CONFIG, "%s: has no adapters (lora) that could be written alone", own->path);
  COHORT_TRY(refuse_gpt2(own, error));
  const size_t most = (size_t)own->adapter.tensors + 1;
  listed list = {.declared = cohort_allocate(most * sizeof *list.declared),
                 .stored = cohort_allocate(most * sizeof *list.stored),
                 .base = cohort_allocate(most * sizeof *list.base)};
  own->lora.targets = 0;
  list_parts(own, &list);
  cohort_safetensors_writer *writer = NULL;
  cohort_status status = cohort_safetensors_create(options->to, "adapter_model", options->bf16, options->shard,
                                                   list.count, list.declared, &writer, error);
  for (int i = 0; i < list.count && status == COHORT_DONE; i++)
    status = put_part(own, writer, list.stored[i], list.base[i], error);
  status = cohort_safetensors_close(writer, status, error);
  if (status == COHORT_DONE) status = cohort_peft_write_config(&own->lora, options->to, error);
  free(list.declared);
  free(list.stored);
  free(list.base);
  return status;
}
