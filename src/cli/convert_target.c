/* What `cohort convert` writes. Invariant: values are the source's, bit for bit, but for a type that was asked for.
 * Cohort's own form and plain HDF5 are in memory whole while they are written; a Hugging Face folder is not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/convert.h"
#include "io/arrays.h"
#include "io/config.h"
#include "io/file.h"
#include "io/model/gguf.h"
#include "io/model/json.h"
#include "io/tokenizer/tokenizer.h"

/* Files that belong to a model beside its weights; what is not there is not copied. */
static const char *const companions[] = {"tokenizer.json",
                                         "tokenizer_config.json",
                                         "special_tokens_map.json",
                                         "generation_config.json",
                                         "chat_template.jinja",
                                         "added_tokens.json",
                                         "vocab.json",
                                         "merges.txt"};

static char *folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? cohort_format_text("%.*s", (int)(slash - path), path) : cohort_copy_text(".");
}

/* The folder that the companions of a source lie in; NULL: there are none. */
static char *companion_folder(const cohort_convert_source *source) {
  const char *model = source->base ? source->base : source->path;
  if (source->files) return cohort_model_is_gguf(model) ? NULL : cohort_copy_text(model);
  const size_t length = source->tokenizer ? strlen(source->tokenizer) : 0;
  const bool released = length >= 14 && strcmp(source->tokenizer + length - 14, "tokenizer.json") == 0;
  return released ? folder_of(source->tokenizer) : NULL;
}

static cohort_status copy_file(const char *from, const char *to, cohort_error *error) {
  char *text = NULL;
  size_t length = 0;
  COHORT_TRY(cohort_file_read(from, &text, &length, error));
  const cohort_status status = cohort_file_write(to, text, length, error);
  free(text);
  return status;
}

/* A run's tokenizer, in a form that others read (`released`), or in its own. */
static cohort_status write_tokenizer(const cohort_convert_source *source, const char *to, bool released,
                                     cohort_error *error) {
  cohort_tokenizer *tokenizer = NULL;
  if (source->lacks_tokenizer) return COHORT_DONE;
  if (!source->tokenizer && !released) return COHORT_DONE; /* bytes, which a config names */
  if (!source->tokenizer)
    tokenizer = cohort_tokenizer_bytes();
  else
    COHORT_TRY(cohort_tokenizer_read(source->tokenizer, &tokenizer, error));
  char *path = cohort_format_text("%s/tokenizer.json", to),
       *config = cohort_format_text("%s/tokenizer_config.json", to);
  cohort_status status =
      released ? cohort_tokenizer_export(tokenizer, path, error) : cohort_tokenizer_write(tokenizer, path, error);
  if (status == COHORT_DONE && released && !cohort_file_exists(config)) {
    const int end = cohort_tokenizer_end(tokenizer);
    size_t length = 0;
    const char *text = end < 0 ? NULL : cohort_tokenizer_token(tokenizer, end, &length);
    json_t *out = json_pack("{ss}", "tokenizer_class", "PreTrainedTokenizerFast");
    if (text) json_object_set_new(out, "eos_token", json_stringn(text, length));
    status = cohort_json_write(out, config, error);
  }
  cohort_tokenizer_destroy(tokenizer);
  free(path);
  free(config);
  return status;
}

static cohort_status copy_companions(const cohort_convert_source *source, const char *to, bool released,
                                     cohort_error *error) {
  const char *model = source->base ? source->base : source->path;
  char *folder = companion_folder(source);
  cohort_status status = COHORT_DONE;
  if (source->files && !folder) status = cohort_gguf_write_tokenizer(model, to, error);
  for (size_t i = 0; folder && i < sizeof companions / sizeof *companions && status == COHORT_DONE; i++) {
    char *from = cohort_format_text("%s/%s", folder, companions[i]),
         *name = cohort_format_text("%s/%s", to, companions[i]);
    if (cohort_file_exists(from)) status = copy_file(from, name, error);
    free(from);
    free(name);
  }
  free(folder);
  if (status == COHORT_DONE && !source->files) status = write_tokenizer(source, to, released, error);
  return status;
}

static int64_t elements_of(const cohort_model_tensor *tensor) {
  int64_t elements = 1;
  for (int a = 0; a < tensor->axes; a++) elements *= tensor->size[a];
  return elements;
}

/* "lora: {rank: 8, ...}", or nothing. */
static char *lora_text(const cohort_convert_source *source) {
  const cohort_peft *lora = &source->lora;
  char *targets = cohort_copy_text("");
  if (!source->has_adapter || source->merge) return targets;
  for (int t = 0; t < lora->targets; t++) {
    const char *layer = cohort_card_layer(source->card.architecture, lora->target[t]);
    char *longer = cohort_format_text("%s%s%s", targets, t ? ", " : "", layer ? layer : lora->target[t]);
    free(targets);
    targets = longer;
  }
  char *text = cohort_format_text(
      "lora: {rank: %lld, alpha: %.17g, dropout: %.17g, scaling: %s, dora: %s, targets: [%s]}\n", (long long)lora->rank,
      lora->alpha, lora->dropout, lora->by_root ? "root" : "rank", lora->magnitude ? "true" : "false", targets);
  free(targets);
  return text;
}

/* A language task whose model and tokenizer are these: what eval and generate read. */
static char *config_text(const cohort_convert_source *source, const char *to) {
  cohort_document *model = cohort_document_create(COHORT_MAP, NULL, 0, 0);
  cohort_document_set(model, "model", cohort_document_copy(source->model));
  char *own = cohort_config_write(model), *tokenizer = cohort_format_text("%s/tokenizer.json", to);
  /* Named even where the source has none: bytes must not be taken for its tokens. */
  const bool bytes = !source->files && !source->tokenizer && !source->lacks_tokenizer;
  char *data = cohort_format_text("data: {tokenizer: \"%s\"}\n", bytes ? "bytes" : tokenizer);
  char *lora = lora_text(source);
  char *text = cohort_format_text("task: language\nsteps: 1\n%s%s%s", own, lora, data);
  free(lora);
  cohort_document_destroy(model);
  free(own);
  free(tokenizer);
  free(data);
  return text;
}

/* All tensors in one vector, each at a multiple of 16 elements, as spaces are laid out. */
static int64_t lay_out(const cohort_convert_source *source, cohort_stored_tensor *tensor) {
  int64_t offset = 0;
  for (int t = 0; t < source->tensors; t++) {
    const cohort_model_tensor *own = &source->tensor[t];
    tensor[t] = (cohort_stored_tensor){.name = own->name, .axes = own->axes, .offset = offset};
    memcpy(tensor[t].size, own->size, sizeof own->size);
    offset += (elements_of(own) + 15) / 16 * 16;
  }
  return offset;
}

static cohort_status save(const cohort_convert_source *source, const char *to, const char *config,
                          cohort_stored_tensor *tensor, int64_t elements, float *values, cohort_error *error) {
  cohort_comm comm = cohort_comm_alone();
  cohort_stored_flat flat[2] = {{.flat_path = "/model/flat/parameters",
                                 .view_path = "/model/parameters",
                                 .type = COHORT_STORED_FLOAT32,
                                 .elements = elements,
                                 .tensors = source->tensors,
                                 .tensor = tensor,
                                 .count = elements,
                                 .slice = values},
                                {.flat_path = "/adapter/flat/parameters",
                                 .view_path = "/adapter/parameters",
                                 .type = COHORT_STORED_FLOAT32,
                                 .elements = source->adapter.elements,
                                 .tensors = source->adapter.tensors,
                                 .tensor = source->adapter.tensor,
                                 .count = source->adapter.elements,
                                 .slice = source->adapter.data}};
  const int flats = source->has_adapter && !source->merge ? 2 : 1;
  const cohort_stored_text texts[] = {{"kind", "language"}, {"config", config}};
  const cohort_checkpoint checkpoint = {.texts = 2, .text = texts, .flats = flats, .flat = flat};
  return cohort_checkpoint_save(&comm, to, "final.h5", &checkpoint, NULL, error);
}

cohort_status cohort_convert_to_cohort(cohort_convert_source *source, const cohort_convert_options *options,
                                       cohort_error *error) {
  COHORT_TRY(cohort_directory_create(options->to, error));
  COHORT_TRY(copy_companions(source, options->to, false, error));
  cohort_stored_tensor *tensor = cohort_allocate((size_t)(source->tensors + 1) * sizeof *tensor);
  const int64_t elements = lay_out(source, tensor);
  char *config = config_text(source, options->to), *path = cohort_format_text("%s/config.yaml", options->to);
  void *values = NULL;
  cohort_status status = cohort_memory_create((size_t)elements * sizeof(float), "the model's weights", &values, error);
  for (int t = 0; t < source->tensors && status == COHORT_DONE; t++)
    status = cohort_convert_read(source, t, (float *)values + tensor[t].offset, error);
  if (status == COHORT_DONE && source->files && !source->arrays.count)
    status = cohort_model_files_check_rest(source->files, error);
  if (status == COHORT_DONE) status = save(source, options->to, config, tensor, elements, values, error);
  if (status == COHORT_DONE) status = cohort_file_write(path, config, strlen(config), error);
  cohort_memory_release(values);
  free(config);
  free(path);
  free(tensor);
  return status;
}

/* Ids of tokens that the source's config.json names, or what was copied; NULL: nothing does. */
static json_t *token_ids(const cohort_convert_source *source, const char *to) {
  char *folder = companion_folder(source);
  char *paths[] = {folder ? cohort_format_text("%s/config.json", folder) : NULL,
                   cohort_format_text("%s/generation_config.json", to)};
  json_t *found = NULL;
  for (int i = 0; i < 2; i++) {
    cohort_error ignored; /* the model is whole without them */
    if (paths[i] && !found && cohort_file_exists(paths[i])) (void)cohort_json_read(paths[i], &found, &ignored);
    free(paths[i]);
  }
  free(folder);
  return found;
}

cohort_status cohort_convert_to_huggingface(cohort_convert_source *source, const cohort_convert_options *options,
                                            cohort_error *error) {
  COHORT_TRY(cohort_directory_create(options->to, error));
  COHORT_TRY(copy_companions(source, options->to, true, error));
  json_t *more = token_ids(source, options->to);
  const cohort_model_export out = {.card = &source->card,
                                   .bf16 = options->bf16,
                                   .shard = options->shard,
                                   .more = more,
                                   .tensors = source->tensors,
                                   .tensor = source->tensor,
                                   .read = cohort_convert_read,
                                   .argument = source};
  cohort_status status = cohort_model_files_write(options->to, &out, error);
  if (status == COHORT_DONE && source->files && !source->arrays.count)
    status = cohort_model_files_check_rest(source->files, error);
  json_decref(more);
  return status;
}

cohort_status cohort_convert_to_hdf5(cohort_convert_source *source, const cohort_convert_options *options,
                                     cohort_error *error) {
  cohort_arrays arrays = {0};
  cohort_status status = COHORT_DONE;
  for (int t = 0; t < source->tensors && status == COHORT_DONE; t++) {
    char *name = cohort_format_text("parameters/%s", source->tensor[t].name);
    cohort_array *array =
        cohort_arrays_add(&arrays, name, COHORT_ARRAY_FLOAT32, source->tensor[t].axes, source->tensor[t].size);
    status = cohort_convert_read(source, t, array->data, error);
    free(name);
  }
  if (status == COHORT_DONE) status = cohort_arrays_write(options->to, &arrays, error);
  cohort_arrays_release(&arrays);
  return status;
}
