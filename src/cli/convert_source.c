/* Where `cohort convert` reads from: a released model, or a run's or checkpoint's file. Invariant: tensors are those of
 * model gpt as the source's own config declares them. A released model is read tensor by tensor; a checkpoint is in
 * memory whole. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/command.h"
#include "cli/convert.h"
#include "io/file.h"
#include "train/player/adapter.h"
#include "train/rollout/generator.h"
#include "train/run/run.h"
#include "train/run/run_files.h"

/* The model's parameters in full. */
static cohort_status expand(const cohort_document *model, const char *path, cohort_choice *choice,
                            cohort_document **out, cohort_error *error) {
  cohort_faults faults = {0};
  *out = cohort_document_create(COHORT_MAP, NULL, 0, 0);
  cohort_choice_read(COHORT_VARIANT_F64, "model", model, "model", choice, *out, &faults);
  cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  if (status == COHORT_DONE && strcmp(choice->method->key, "gpt") != 0)
    status = cohort_fail(error, COHORT_BAD_CONFIG, "%s: its model is %s; language models (gpt) are converted", path,
                         choice->method->key);
  return status;
}

static void list_space(cohort_convert_source *own) {
  own->tensors = own->space->tensors;
  own->tensor = cohort_allocate((size_t)(own->tensors + 1) * sizeof *own->tensor);
  for (int t = 0; t < own->tensors; t++) {
    const cohort_parameter_tensor *declared = &own->space->tensor[t].declared;
    own->tensor[t] = (cohort_model_tensor){.name = declared->name, .axes = declared->shape.axes};
    memcpy(own->tensor[t].size, declared->shape.size, sizeof own->tensor[t].size);
  }
}

static cohort_status open_released(cohort_convert_source *own, const char *path, cohort_error *error) {
  COHORT_TRY(cohort_model_files_open(path, &own->files, error));
  own->card = *cohort_model_files_card(own->files);
  cohort_document *model = cohort_card_document(&own->card);
  cohort_choice choice = {0};
  cohort_status status = expand(model, own->path, &choice, &own->model, error);
  cohort_document_destroy(model);
  cohort_graph *graph = NULL;
  const cohort_model_data data = {.outputs = own->card.vocabulary};
  if (status == COHORT_DONE) status = cohort_generator_graph(&choice, &data, NULL, NULL, &graph, error);
  if (status == COHORT_DONE) own->space = cohort_space_create(graph, 0, "model");
  if (status == COHORT_DONE) list_space(own);
  cohort_graph_destroy(graph);
  cohort_choice_release(&choice);
  return status;
}

static cohort_status read_flat(const char *weights, const char *space, cohort_flat_contents *out, cohort_error *error) {
  char *vector = cohort_run_vector_in(weights, space);
  char *flat = cohort_format_text("/%s/flat/%s", space, vector), *view = cohort_format_text("/%s/%s", space, vector);
  const cohort_status status = cohort_checkpoint_read_flat(weights, flat, view, out, error);
  free(vector);
  free(flat);
  free(view);
  return status;
}

const cohort_stored_tensor *cohort_convert_find(const cohort_flat_contents *contents, const char *name) {
  for (int t = 0; t < contents->tensors; t++)
    if (strcmp(contents->tensor[t].name, name) == 0) return &contents->tensor[t];
  return NULL;
}

/* What the config leaves to the tokenizer and to the width. */
static void size_card(cohort_convert_source *own) {
  const cohort_stored_tensor *embedding = cohort_convert_find(&own->weights, "embedding.weight");
  const cohort_stored_tensor *up = cohort_convert_find(&own->weights, "layer0.feed_forward.up.weight");
  if (embedding) own->card.vocabulary = embedding->size[0];
  if (up) own->card.feed_forward = up->size[0];
}

static void list_contents(cohort_convert_source *own) {
  own->tensor = cohort_allocate((size_t)(own->weights.tensors + 1) * sizeof *own->tensor);
  for (int t = 0; t < own->weights.tensors; t++) {
    const cohort_stored_tensor *stored = &own->weights.tensor[t];
    if (stored->axes > COHORT_TENSOR_AXES) continue;
    cohort_model_tensor *out = &own->tensor[own->tensors++];
    *out = (cohort_model_tensor){.name = stored->name, .axes = stored->axes};
    memcpy(out->size, stored->size, sizeof out->size);
  }
}

static cohort_status read_run(cohort_convert_source *own, const cohort_settings *settings, const char *weights,
                              cohort_error *error) {
  cohort_choice choice = {0};
  if (!settings->model)
    return cohort_fail(error, COHORT_BAD_CONFIG, "%s: has no model; there is nothing to convert", own->path);
  cohort_status status = expand(settings->model, own->path, &choice, &own->model, error);
  cohort_choice_release(&choice);
  COHORT_TRY(status);
  COHORT_TRY(cohort_card_of_document(own->model->children[0], own->path, &own->card, error));
  COHORT_TRY(read_flat(weights, "model", &own->weights, error));
  size_card(own);
  list_contents(own);
  own->has_adapter = settings->lora != NULL;
  const cohort_lora_settings *lora = &settings->lora_settings;
  own->lora = (cohort_peft){.rank = lora->rank,
                            .alpha = lora->alpha,
                            .dropout = lora->dropout,
                            .by_root = own->has_adapter && lora->scaling != 0,
                            .magnitude = lora->dora,
                            .base = settings->init_from ? cohort_copy_text(settings->init_from) : NULL};
  if (own->has_adapter) COHORT_TRY(read_flat(weights, "adapter", &own->adapter, error));
  const char *tokenizer = settings->data_settings.tokenizer;
  const bool file = tokenizer && strcmp(tokenizer, "bytes") != 0;
  own->lacks_tokenizer = file && !cohort_file_exists(tokenizer);
  if (file && !own->lacks_tokenizer) own->tokenizer = cohort_copy_text(tokenizer);
  return cohort_card_check(&own->card, own->path, error);
}

static cohort_status open_run(cohort_convert_source *own, const char *path, cohort_error *error) {
  char *config = NULL, *weights = NULL;
  COHORT_TRY(cohort_run_files_find(path, &config, &weights, error));
  cohort_document *document = NULL;
  cohort_status status = cohort_run_files_config(config, 0, NULL, &document, error);
  if (status == COHORT_DONE) {
    cohort_settings settings;
    cohort_faults faults = {0};
    cohort_settings_read(document, &settings, &faults);
    status = cohort_faults_status(&faults, error);
    if (status == COHORT_DONE) status = read_run(own, &settings, weights, error);
    cohort_faults_release(&faults);
    cohort_settings_release(&settings);
  }
  cohort_document_destroy(document);
  free(config);
  free(weights);
  return status;
}

static cohort_status open_peft(cohort_convert_source *own, const char *base, cohort_error *error) {
  cohort_tensor_set set = {0};
  cohort_status status = cohort_peft_read(own->path, &own->lora, &set, error);
  if (status == COHORT_DONE && !base) base = own->lora.base;
  if (status == COHORT_DONE && (!base || !cohort_model_files_are(base)))
    status = cohort_fail(error, COHORT_BAD_CONFIG,
                         "%s: stands beside the model %s, which is no folder here; give it with --base", own->path,
                         base ? base : "that it does not name");
  own->base = base ? cohort_copy_text(base) : NULL;
  if (status == COHORT_DONE) status = open_released(own, base, error);
  if (status == COHORT_DONE) status = cohort_convert_read_peft(own, &set, error);
  cohort_tensor_set_release(&set);
  return status;
}

/* An HDF5 file that is no checkpoint: it holds no config. */
static bool is_plain(const char *path) {
  cohort_error ignored;
  char *config = NULL;
  const size_t length = strlen(path);
  if (length < 4 || strcmp(path + length - 3, ".h5") != 0 || !cohort_file_exists(path)) return false;
  const bool plain = cohort_checkpoint_text(path, "config", &config, &ignored) != COHORT_DONE;
  free(config);
  return plain;
}

static const cohort_array *find_array(const cohort_convert_source *own, const cohort_model_tensor *tensor) {
  char *name = cohort_format_text("parameters/%s", tensor->name);
  const cohort_array *found = cohort_arrays_find(&own->arrays, name);
  free(name);
  bool fits = found && found->axes == tensor->axes && found->type <= COHORT_ARRAY_FLOAT64;
  for (int a = 0; fits && a < tensor->axes; a++) fits = found->size[a] == tensor->size[a];
  return fits ? found : NULL;
}

/* Weights as arrays, of the model that `base` is. */
static cohort_status open_plain(cohort_convert_source *own, const char *base, cohort_error *error) {
  if (!base)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "%s: plain arrays do not say what model they are; give one of the same kind with --base",
                       own->path);
  own->base = cohort_copy_text(base);
  COHORT_TRY(cohort_model_files_are(base) ? open_released(own, base, error) : open_run(own, base, error));
  COHORT_TRY(cohort_arrays_read(own->path, &own->arrays, error));
  for (int t = 0; t < own->tensors; t++)
    if (!find_array(own, &own->tensor[t]))
      return cohort_fail(error, COHORT_BAD_DATA, "%s: has no array of reals parameters/%s of this model's shape",
                         own->path, own->tensor[t].name);
  return COHORT_DONE;
}

cohort_status cohort_convert_open(const char *path, const char *base, cohort_convert_source *out, cohort_error *error) {
  *out = (cohort_convert_source){.path = path};
  const cohort_status status = cohort_model_files_are(path) ? open_released(out, path, error)
                               : cohort_peft_is(path)       ? open_peft(out, base, error)
                               : is_plain(path)             ? open_plain(out, base, error)
                                                            : open_run(out, path, error);
  if (status != COHORT_DONE) cohort_convert_close(out);
  return status;
}

static cohort_status copy_stored(const cohort_convert_source *own, const cohort_model_tensor *tensor, float *out,
                                 cohort_error *error) {
  const cohort_stored_tensor *stored = cohort_convert_find(&own->weights, tensor->name);
  int64_t elements = 1;
  for (int a = 0; a < stored->axes; a++) elements *= stored->size[a];
  if (stored->offset < 0 || stored->offset + elements > own->weights.elements)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %s lies outside the file's weights; use another file",
                       own->path, tensor->name);
  memcpy(out, own->weights.data + stored->offset, (size_t)elements * sizeof *out);
  return COHORT_DONE;
}

cohort_status cohort_convert_read(void *source, int t, float *out, cohort_error *error) {
  cohort_convert_source *own = source;
  const cohort_model_tensor *tensor = &own->tensor[t];
  const cohort_array *array = own->arrays.count ? find_array(own, tensor) : NULL;
  for (int64_t e = 0; array && e < cohort_array_elements(array); e++) out[e] = (float)cohort_array_get(array, e);
  if (array) return COHORT_DONE;
  if (own->files)
    COHORT_TRY(cohort_model_files_read(own->files, tensor->name, tensor->axes, tensor->size, out, NULL, error));
  else
    COHORT_TRY(copy_stored(own, tensor, out, error));
  if (own->merge) cohort_convert_add_adapter(own, tensor, out);
  return COHORT_DONE;
}

void cohort_convert_close(cohort_convert_source *own) {
  cohort_document_destroy(own->model);
  cohort_model_files_close(own->files);
  cohort_space_destroy(own->space);
  cohort_flat_release(&own->weights);
  cohort_flat_release(&own->adapter);
  cohort_arrays_release(&own->arrays);
  free(own->tensor);
  free(own->tokenizer);
  free(own->base);
  cohort_peft_release(&own->lora);
  *own = (cohort_convert_source){NULL};
}
