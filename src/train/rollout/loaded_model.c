/* Loads a language model from what a run has left. Invariant: a tensor is taken by its name, and every one must be in
 * the file. Costs a reading of the file and the memory of the weights, twice while it is read. */
#include "train/rollout/loaded_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/checkpoint.h"
#include "train/rollout/generator.h"
#include "train/run/run.h"
#include "train/run/run_files.h"
#include "train/task/language.h"

static cohort_status copy_tensor(const char *file, const cohort_flat_contents *contents, cohort_space *space,
                                 const cohort_space_tensor *tensor, cohort_error *error) {
  for (int i = 0; i < contents->tensors; i++) {
    const cohort_stored_tensor *stored = &contents->tensor[i];
    if (strcmp(stored->name, tensor->declared.name) != 0) continue;
    int64_t elements = 1;
    for (int a = 0; a < stored->axes; a++) elements *= stored->size[a];
    if (elements != tensor->elements || stored->offset < 0 || stored->offset + elements > contents->elements)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %s does not fit the run's model", file, stored->name);
    memcpy(space->values + tensor->offset, contents->data + stored->offset, (size_t)elements * sizeof(float));
    return COHORT_DONE;
  }
  return cohort_fail(error, COHORT_BAD_DATA, "%s: has no tensor %s", file, tensor->declared.name);
}

static cohort_status load(const char *file, cohort_space *space, cohort_error *error) {
  cohort_flat_contents contents = {0};
  COHORT_TRY(cohort_space_hold(space, error));
  char *vector = cohort_run_vector_in(file, space->name);
  char *flat = cohort_format_text("/%s/flat/%s", space->name, vector);
  char *view = cohort_format_text("/%s/%s", space->name, vector);
  cohort_status status = cohort_checkpoint_read_flat(file, flat, view, &contents, error);
  free(view);
  free(flat);
  free(vector);
  for (int t = 0; t < space->tensors && status == COHORT_DONE; t++)
    status = copy_tensor(file, &contents, space, &space->tensor[t], error);
  cohort_flat_release(&contents);
  return status;
}

static cohort_status load_all(cohort_loaded_model *own, const char *file, const char *scalar_head,
                              cohort_error *error) {
  cohort_graph *graph = NULL;
  cohort_faults faults = {0};
  own->adapted = own->settings.lora != NULL;
  if (own->adapted) own->adapter = cohort_adapter_of(&own->settings.lora_settings, 1, &faults);
  const cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  COHORT_TRY(status);
  COHORT_TRY(
      cohort_generator_graph(&own->model, &own->data, own->adapted ? &own->adapter : NULL, scalar_head, &graph, error));
  own->space = cohort_space_create(graph, 0, "model");
  if (own->adapted) own->adapter_space = cohort_space_create(graph, 1, COHORT_ADAPTER_SPACE);
  cohort_graph_destroy(graph);
  COHORT_TRY(load(file, own->space, error));
  return own->adapted ? load(file, own->adapter_space, error) : COHORT_DONE;
}

static cohort_status read_model(cohort_loaded_model *own, const char *path, const char *scalar_head,
                                cohort_error *error) {
  cohort_faults faults = {0};
  cohort_settings_read(own->document, &own->settings, &faults);
  if (faults.count == 0)
    cohort_choice_expand(COHORT_VARIANT_F64, "model", own->settings.model, "model", &own->model, NULL, &faults);
  const cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  COHORT_TRY(status);
  const cohort_model *functions = own->model.method->functions;
  if (functions->kind != COHORT_MODEL_TOKENS)
    return cohort_fail(error, COHORT_BAD_CONFIG, "%s: %s is not a language model", path, own->model.method->key);
  if (scalar_head && !functions->scalar_head)
    return cohort_fail(error, COHORT_BAD_CONFIG, "%s: %s has no scalar head", path, own->model.method->key);
  COHORT_TRY(cohort_language_tokenizer(own->settings.data_settings.tokenizer, &own->tokenizer, error));
  own->data = (cohort_model_data){.outputs = cohort_tokenizer_vocabulary(own->tokenizer)};
  return COHORT_DONE;
}

cohort_status cohort_loaded_model_open(const char *path, const char *scalar_head, cohort_loaded_model *out,
                                       cohort_error *error) {
  char *config = NULL, *weights = NULL;
  *out = (cohort_loaded_model){.adapted = false};
  COHORT_TRY(cohort_run_files_find(path, &config, &weights, error));
  cohort_status status = cohort_run_files_config(config, 0, NULL, &out->document, error);
  if (status == COHORT_DONE) status = read_model(out, path, scalar_head, error);
  if (status == COHORT_DONE) status = load_all(out, weights, scalar_head, error);
  if (status != COHORT_DONE) cohort_loaded_model_close(out);
  free(config);
  free(weights);
  return status;
}

void cohort_loaded_model_close(cohort_loaded_model *own) {
  cohort_space_destroy(own->space);
  cohort_space_destroy(own->adapter_space);
  cohort_adapter_release(&own->adapter);
  cohort_tokenizer_destroy(own->tokenizer);
  cohort_choice_release(&own->model);
  if (own->document) cohort_settings_release(&own->settings);
  cohort_document_destroy(own->document);
  *own = (cohort_loaded_model){.adapted = false};
}

void *cohort_loaded_model_tensor(void *own, const char *name) {
  const cohort_loaded_model *model = own;
  const cohort_space *const spaces[2] = {model->space, model->adapter_space};
  for (int s = 0; s < 2 && spaces[s]; s++)
    for (int t = 0; t < spaces[s]->tensors; t++)
      if (strcmp(spaces[s]->tensor[t].declared.name, name) == 0) return spaces[s]->values + spaces[s]->tensor[t].offset;
  return NULL;
}
