/* Completions to train on: files, their shares, their chat template, and how they become tokens. Invariant: everything
 * follows from the config and the files. Memory grows with the texts, which are released once there are tokens. */
#include "train/task/completion_data.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"
#include "train/run/source_text.h"

typedef struct mixed_file {
  const char *file;
  double weight;
} mixed_file;

const cohort_parameter cohort_mix_table[] = {
    COHORT_TEXT(mixed_file, file, NULL, "JSONL of completions"),
    COHORT_REAL_RANGE(mixed_file, weight, "1", 0, true, 1e9, false, "share of an epoch, beside the others' weights"),
    {.name = NULL},
};

/* data.train as a mixture of one, or data.mix. */
static cohort_status list_files(const cohort_settings *settings, mixed_file **out, int *files, cohort_error *error) {
  const cohort_data_settings *data = &settings->data_settings;
  const cohort_document *mix = data->mix;
  *files = mix ? (int)mix->count : data->train ? 1 : 0;
  *out = cohort_allocate((size_t)(*files + 1) * sizeof **out);
  if (!mix) {
    (*out)[0] = (mixed_file){data->train, 1};
    return COHORT_DONE;
  }
  cohort_faults faults = {NULL, 0};
  if (mix->kind != COHORT_LIST || !mix->count)
    cohort_faults_add(&faults, mix, "data.mix: expected [{file: FILE, weight: NUMBER}, ...]");
  for (size_t i = 0; mix->kind == COHORT_LIST && i < mix->count; i++) {
    cohort_document *expanded = cohort_document_create(COHORT_MAP, NULL, 0, 0);
    cohort_parameters_read(cohort_mix_table, mix->children[i], "data.mix", &(*out)[i], expanded, &faults);
    cohort_document_destroy(expanded);
  }
  const cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  return status;
}

/* That of data.chat; or the one that a tokenizer's folder has, which only conversations need. */
static cohort_status find_chat(const cohort_data_settings *data, cohort_completion_data *out, cohort_error *error) {
  if (data->chat) return cohort_chat_read(data->chat, &out->chat, error);
  const char *slash = strrchr(data->tokenizer, '/');
  const size_t length = strlen(data->tokenizer);
  const bool file = length > 5 && strcmp(data->tokenizer + length - 5, ".json") == 0;
  if (!file && strcmp(data->tokenizer, "bytes") == 0) return COHORT_DONE;
  char *folder = !file   ? cohort_copy_text(data->tokenizer)
                 : slash ? cohort_format_text("%.*s", (int)(slash - data->tokenizer), data->tokenizer)
                         : cohort_copy_text(".");
  if (cohort_chat_read(folder, &out->chat, &out->no_chat) != COHORT_DONE) out->chat = NULL;
  free(folder);
  return COHORT_DONE;
}

static cohort_status read_one(const cohort_task *task, const cohort_completion_request *request, const char *path,
                              const cohort_completion_data *data, cohort_completions *out, cohort_error *error) {
  const cohort_completions_options options = {.fields = request->fields,
                                              .chat = data->chat,
                                              .why_no_chat = data->no_chat.text[0] ? data->no_chat.text : NULL,
                                              .date = task->settings->data_settings.date,
                                              .turns = request->turns};
  COHORT_TRY(cohort_completions_read(path, &options, out, error));
  return request->check ? request->check(task, out, error) : COHORT_DONE;
}

static uint64_t join_digests(uint64_t a, uint64_t b, double weight) {
  const uint64_t both[2] = {a, b};
  const uint64_t files = cohort_digest(both, sizeof both, 3);
  return cohort_digest(&weight, sizeof weight, files | 1);
}

cohort_status cohort_completion_data_read(const cohort_task *task, const cohort_completion_request *request,
                                          cohort_completion_data *out, cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  mixed_file *file = NULL;
  int files = 0;
  memset(out, 0, sizeof *out);
  COHORT_TRY(find_chat(data, out, error));
  cohort_status status = list_files(task->settings, &file, &files, error);
  if (status == COHORT_DONE) out->file = cohort_allocate((size_t)(files + 1) * sizeof *out->file);
  if (status == COHORT_DONE && data->mix) out->weight = cohort_allocate((size_t)(files + 1) * sizeof *out->weight);
  for (int i = 0; i < files && status == COHORT_DONE; i++) {
    status = read_one(task, request, file[i].file, out, &out->file[out->files++], error);
    if (out->weight) out->weight[i] = file[i].weight;
    out->digest = i ? join_digests(out->digest, out->file[i].digest, file[i].weight) : out->file[i].digest;
  }
  if (status == COHORT_DONE && data->validation)
    status = read_one(task, request, data->validation, out, &out->validation, error);
  free(file);
  return status;
}

cohort_status cohort_completion_data_lines(const cohort_task *task, int64_t context, cohort_completion_data *out,
                                           cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  char *text = NULL;
  size_t length = 0;
  COHORT_TRY(cohort_source_text_take(task->settings, data->lines, context, &text, &length, error));
  const cohort_random_key key = cohort_random_key_derive_name(task->key, "lines");
  const bool few = cohort_source_text_stands_in(task->settings) && data->pairs > COHORT_STAND_IN_LINES;
  const int64_t wanted = few ? COHORT_STAND_IN_LINES : data->pairs;
  const cohort_status status = cohort_pairs_from_lines(text, length, wanted, key, &out->file[0], error);
  free(text);
  if (status == COHORT_DONE) out->files = 1;
  out->digest = out->file[0].digest;
  return status;
}

cohort_status cohort_completion_data_encode(const cohort_task *task, const cohort_completion_request *request,
                                            const cohort_completion_data *data, cohort_token_pairs split[COHORT_SPLITS],
                                            cohort_error *error) {
  const cohort_data_settings *settings = &task->settings->data_settings;
  const cohort_token_options options = {.tokenizer = request->tokenizer,
                                        .context = request->context,
                                        .apart = request->apart,
                                        .steps = request->steps,
                                        .end = (cohort_token_end)settings->end,
                                        .truncation = (cohort_token_truncation)settings->truncation,
                                        .max_length = settings->max_length,
                                        .max_prompt = settings->max_prompt_length};
  cohort_completions *used = cohort_allocate(2 * (size_t)(data->files + 1) * sizeof *used);
  cohort_completions *held = used + data->files + 1;
  int files = data->files;
  for (int i = 0; i < files; i++) {
    const cohort_completions *own = &data->file[i];
    const int64_t kept = settings->validation ? 0 : (int64_t)((double)own->count * settings->validation_share);
    used[i] = cohort_completions_view(own, 0, own->count - kept);
    held[i] = cohort_completions_view(own, own->count - kept, kept);
  }
  if (settings->validation) {
    held[0] = data->validation;
    files = 1;
  }
  cohort_status status = cohort_token_pairs_create(files, held, NULL, &options, &split[COHORT_SPLIT_VALIDATION], error);
  if (status == COHORT_DONE)
    status = cohort_token_pairs_create(data->files, used, data->weight, &options, &split[COHORT_SPLIT_TRAIN], error);
  free(used);
  return status;
}

void cohort_completion_data_release(cohort_completion_data *data) {
  for (int i = 0; i < data->files; i++) cohort_completions_release(&data->file[i]);
  cohort_completions_release(&data->validation);
  cohort_chat_destroy(data->chat);
  free(data->file);
  free(data->weight);
  memset(data, 0, sizeof *data);
}
