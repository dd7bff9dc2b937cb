/* Loads a language model from what a run has left. Invariant: a tensor is taken by its name, and every one must be in
 * the file. Costs a reading of the file and the memory of the weights, twice while a checkpoint is read. */
#include "train/rollout/loaded_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/rollout/generator.h"
#include "train/run/run_files.h"
#include "train/run/weights_file.h"
#include "train/task/language.h"

static cohort_status load(const char *file, cohort_space *space, cohort_error *error) {
  COHORT_TRY(cohort_space_hold(space, error));
  bool *found = cohort_allocate((size_t)space->tensors + 1);
  const cohort_weights_reading reading = {
      .path = file, .space = space, .name = space->name, .whole = true, .found = found};
  const cohort_status status = cohort_weights_read(&reading, space->values, error);
  free(found);
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
  return cohort_model_vocabulary(own->model.method, own->model.config, cohort_tokenizer_vocabulary(own->tokenizer),
                                 &own->data.outputs, error);
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
