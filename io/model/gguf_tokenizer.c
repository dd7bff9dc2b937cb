/* A GGUF's tokenizer as tokenizer.json, with tokenizer_config.json for its chat template and the names of its special
 * tokens. Invariant: ids are the file's. Costs the vocabulary. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/model/gguf.h"
#include "io/model/gguf_metadata.h"
#include "io/model/json.h"
#include "io/tokenizer/tokenizer.h"

/* What was taken out of the file, to be freed. */
typedef struct taken {
  cohort_tokenizer_text *token, *merge;
  int32_t *type;
  float *score;
  char *model, *pre;
} taken;

static cohort_tokenizer_text *take_texts(const cohort_gguf *gguf, const char *key, int *count) {
  uint64_t found = 0;
  cohort_gguf_text *texts = cohort_gguf_texts(gguf, key, &found);
  *count = texts && found <= COHORT_LARGEST_VOCABULARY ? (int)found : 0;
  cohort_tokenizer_text *out = texts ? cohort_allocate((size_t)(*count + 1) * sizeof *out) : NULL;
  for (int i = 0; i < *count; i++) out[i] = (cohort_tokenizer_text){texts[i].text, texts[i].length};
  free(texts);
  return out;
}

static const cohort_gguf_value *find_list(const cohort_gguf *gguf, const char *key, int count) {
  const cohort_gguf_value *found = cohort_gguf_find(gguf, key);
  const bool fits = found && found->type == COHORT_GGUF_ARRAY && found->element != COHORT_GGUF_TEXT &&
                    found->count == (uint64_t)count;
  return fits ? found : NULL;
}

static char *take_text(const cohort_gguf *gguf, const char *key) {
  const cohort_gguf_text text = cohort_gguf_text_of(gguf, key);
  return text.text && text.length < 65536 ? cohort_format_text("%.*s", (int)text.length, text.text) : NULL;
}

static int id_of(const cohort_gguf *gguf, const char *key, int count) {
  const double id = cohort_gguf_number(gguf, key, -1);
  return id >= 0 && id < count ? (int)id : -1;
}

static cohort_tokenizer_arrays take(const cohort_gguf *gguf, taken *own) {
  cohort_tokenizer_arrays out = {.count = 0};
  own->model = take_text(gguf, "tokenizer.ggml.model");
  own->pre = take_text(gguf, "tokenizer.ggml.pre");
  own->token = take_texts(gguf, "tokenizer.ggml.tokens", &out.count);
  own->merge = take_texts(gguf, "tokenizer.ggml.merges", &out.merges);
  const cohort_gguf_value *types = find_list(gguf, "tokenizer.ggml.token_type", out.count);
  const cohort_gguf_value *scores = find_list(gguf, "tokenizer.ggml.scores", out.count);
  if (types) own->type = cohort_allocate((size_t)(out.count + 1) * sizeof *own->type);
  if (scores) own->score = cohort_allocate((size_t)(out.count + 1) * sizeof *own->score);
  for (int i = 0; i < out.count; i++) {
    if (types) own->type[i] = (int32_t)cohort_gguf_element(types, (uint64_t)i);
    if (scores) own->score[i] = (float)cohort_gguf_element(scores, (uint64_t)i);
  }
  out.model = own->model;
  out.pre = own->pre;
  out.token = own->token;
  out.type = own->type;
  out.score = own->score;
  out.merge = own->merge;
  out.begin = id_of(gguf, "tokenizer.ggml.bos_token_id", out.count);
  out.end = id_of(gguf, "tokenizer.ggml.eos_token_id", out.count);
  out.unknown = id_of(gguf, "tokenizer.ggml.unknown_token_id", out.count);
  out.pad = id_of(gguf, "tokenizer.ggml.padding_token_id", out.count);
  out.add_begin = cohort_gguf_number(gguf, "tokenizer.ggml.add_bos_token", out.merges == 0) != 0;
  out.add_end = cohort_gguf_number(gguf, "tokenizer.ggml.add_eos_token", 0) != 0;
  out.add_space = cohort_gguf_number(gguf, "tokenizer.ggml.add_space_prefix", 1) != 0;
  return out;
}

static void release(taken *own) {
  free(own->token);
  free(own->merge);
  free(own->type);
  free(own->score);
  free(own->model);
  free(own->pre);
}

static cohort_status write_config(const cohort_gguf *gguf, const cohort_tokenizer_arrays *arrays, const char *folder,
                                  cohort_error *error) {
  const struct {
    const char *name;
    int id;
  } special[] = {{"bos_token", arrays->begin},
                 {"eos_token", arrays->end},
                 {"unk_token", arrays->unknown},
                 {"pad_token", arrays->pad}};
  const cohort_gguf_text chat = cohort_gguf_text_of(gguf, "tokenizer.chat_template");
  json_t *out = json_pack("{sssb}", "tokenizer_class", "PreTrainedTokenizerFast", "clean_up_tokenization_spaces", 0);
  for (size_t i = 0; i < sizeof special / sizeof *special; i++)
    if (special[i].id >= 0)
      json_object_set_new(out, special[i].name,
                          json_stringn(arrays->token[special[i].id].text, arrays->token[special[i].id].length));
  if (chat.text) json_object_set_new(out, "chat_template", json_stringn(chat.text, chat.length));
  char *path = cohort_format_text("%s/tokenizer_config.json", folder);
  const cohort_status status = cohort_json_write(out, path, error);
  free(path);
  return status;
}

/* Ids, as config.json has them, for who makes one of this folder. */
static cohort_status write_ids(const cohort_tokenizer_arrays *arrays, const char *folder, cohort_error *error) {
  const struct {
    const char *name;
    int id;
  } ids[] = {{"bos_token_id", arrays->begin}, {"eos_token_id", arrays->end}, {"pad_token_id", arrays->pad}};
  json_t *out = json_object();
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
    if (ids[i].id >= 0) json_object_set_new(out, ids[i].name, json_integer(ids[i].id));
  char *path = cohort_format_text("%s/generation_config.json", folder);
  const cohort_status status = cohort_json_write(out, path, error);
  free(path);
  return status;
}

cohort_status cohort_gguf_write_tokenizer(const char *path, const char *folder, cohort_error *error) {
  cohort_gguf gguf;
  taken own = {NULL, NULL, NULL, NULL, NULL, NULL};
  cohort_tokenizer *tokenizer = NULL;
  COHORT_TRY(cohort_gguf_open(path, &gguf, error));
  const cohort_tokenizer_arrays arrays = take(&gguf, &own);
  char *file = cohort_format_text("%s/tokenizer.json", folder);
  cohort_status status = COHORT_DONE;
  if (arrays.count && arrays.model) { /* some files have weights alone */
    status = cohort_tokenizer_from_arrays(path, &arrays, &tokenizer, error);
    if (status == COHORT_DONE) status = cohort_tokenizer_write(tokenizer, file, error);
    if (status == COHORT_DONE) status = write_config(&gguf, &arrays, folder, error);
    if (status == COHORT_DONE) status = write_ids(&arrays, folder, error);
  }
  cohort_tokenizer_destroy(tokenizer);
  free(file);
  release(&own);
  cohort_gguf_close(&gguf);
  return status;
}
