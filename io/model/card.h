/* What a released model is: the numbers of a config.json or of a GGUF's metadata, as parameters of model gpt
 * (src/method/model/gpt.c), and its tensors' names there. Known are GPT-2, Llama (2 and 3, SmolLM), Qwen2 and Qwen3;
 * whatever else a file asks for is refused by name. */
#ifndef COHORT_IO_MODEL_CARD_H
#define COHORT_IO_MODEL_CARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/document.h"
#include "io/model/json.h"

typedef enum {
  COHORT_ARCHITECTURE_GPT2,
  COHORT_ARCHITECTURE_LLAMA,
  COHORT_ARCHITECTURE_QWEN2,
  COHORT_ARCHITECTURE_QWEN3,
  COHORT_ARCHITECTURES
} cohort_architecture;
const char *cohort_architecture_name(cohort_architecture architecture); /* "gpt2": model_type, and GGUF's */

typedef enum {
  COHORT_CARD_BIAS_NONE,
  COHORT_CARD_BIAS_QUERY_KEY_VALUE,
  COHORT_CARD_BIAS_ATTENTION,
  COHORT_CARD_BIAS_ALL
} cohort_card_bias;
typedef enum { COHORT_CARD_ROPE_PLAIN, COHORT_CARD_ROPE_LINEAR, COHORT_CARD_ROPE_LLAMA3 } cohort_card_rope;

typedef struct cohort_model_card {
  cohort_architecture architecture;
  int64_t layers, width, heads, key_heads, head_width, context, vocabulary, feed_forward; /* all above 0 */
  cohort_card_bias bias;
  bool tied, exact_gelu;
  double epsilon, rope_theta;
  cohort_card_rope rope;
  double rope_factor, rope_low, rope_high;
  int64_t rope_context;
} cohort_model_card;

/* FOLDER/config.json. COHORT_BAD_DATA: it is another model, lacks a number, or asks for what gpt has not. */
cohort_status cohort_card_read(const char *path, cohort_model_card *out, cohort_error *error);
/* As config.json of transformers; `scores`: of a reward model (ForSequenceClassification with one label); `bf16`: the
 * weights' type. `more` (may be NULL; stays the caller's): an object whose ids of tokens (bos_token_id, eos_token_id,
 * pad_token_id) are kept. */
cohort_status cohort_card_write(const cohort_model_card *card, bool scores, bool bf16, const json_t *more,
                                const char *path, cohort_error *error);
/* Whether all numbers are there and fit one another; `where` begins the error. */
cohort_status cohort_card_check(const cohort_model_card *card, const char *where, cohort_error *error);

/* {gpt: {...}}, the caller's. */
cohort_document *cohort_card_document(const cohort_model_card *card);
/* From the expanded parameters of model gpt, without vocabulary and feed_forward where these are 0. COHORT_BAD_CONFIG
 * when no released architecture is this model. */
cohort_status cohort_card_of_document(const cohort_document *gpt, const char *where, cohort_model_card *out,
                                      cohort_error *error);

/* Where a tensor of model gpt lies among another program's: its name, and what of it. */
typedef enum { COHORT_NAMES_HUGGING_FACE, COHORT_NAMES_GGUF } cohort_names;
typedef struct cohort_tensor_place {
  char name[128];
  bool transposed;     /* stored [in, out] */
  int part, parts;     /* one of several that lie one behind the other along `out` */
  int64_t interleaved; /* heads, of which each has its two halves' rows in turns; 0: no */
} cohort_tensor_place;
/* False: the architecture has no such tensor. */
bool cohort_card_place(const cohort_model_card *card, cohort_names names, const char *tensor, cohort_tensor_place *out);
/* Whether a tensor that no place names may be left out: buffers that are not weights, and a head that is tied. */
bool cohort_card_ignores(const cohort_model_card *card, const char *foreign);
/* Our layer of transformers' module, as "query" of "q_proj"; NULL: there is none such. */
const char *cohort_card_layer(cohort_architecture architecture, const char *module);
const char *cohort_card_module(cohort_architecture architecture, const char *layer);

#endif
