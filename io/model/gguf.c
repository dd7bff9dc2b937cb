/* A GGUF's model: its numbers and its tensors. Invariant: what the file asks for beyond model gpt is refused by name.
 * Costs the tables; tied weights that are stored twice are compared once. */
#include "io/model/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/model/gguf_metadata.h"

static const struct {
  const char *name;
  uint32_t number;
  cohort_file_tensor_type type;
} types[] = {
    {"F32", 0, COHORT_TENSOR_F32},       {"F16", 1, COHORT_TENSOR_F16},       {"Q4_0", 2, COHORT_TENSOR_Q4_0},
    {"Q4_1", 3, COHORT_TENSOR_Q4_1},     {"Q5_0", 6, COHORT_TENSOR_Q5_0},     {"Q5_1", 7, COHORT_TENSOR_Q5_1},
    {"Q8_0", 8, COHORT_TENSOR_Q8_0},     {"Q2_K", 10, COHORT_TENSOR_TYPES},   {"Q3_K", 11, COHORT_TENSOR_TYPES},
    {"Q4_K", 12, COHORT_TENSOR_Q4_K},    {"Q5_K", 13, COHORT_TENSOR_Q5_K},    {"Q6_K", 14, COHORT_TENSOR_Q6_K},
    {"IQ4_NL", 20, COHORT_TENSOR_TYPES}, {"IQ4_XS", 23, COHORT_TENSOR_TYPES}, {"BF16", 30, COHORT_TENSOR_BF16}};

/* "ARCHITECTURE.key" as a number. */
static double number_of(const cohort_gguf *gguf, const char *architecture, const char *key, double otherwise) {
  char *whole = cohort_format_text("%s.%s", architecture, key);
  const double number = cohort_gguf_number(gguf, whole, otherwise);
  free(whole);
  return number;
}

static int64_t size_of(const cohort_gguf *gguf, const char *architecture, const char *key, int64_t otherwise) {
  const double number = number_of(gguf, architecture, key, (double)otherwise);
  return number >= 0 && number < 0x1p40 ? (int64_t)number : 0;
}

/* A float32's shortest decimal, as the config had it that the file was made from. */
static double shortest(double number) {
  for (int digits = 6; digits < 9; digits++) {
    char text[32];
    (void)snprintf(text, sizeof text, "%.*g", digits, number);
    if ((double)strtof(text, NULL) == number) return strtod(text, NULL);
  }
  return number;
}

static cohort_status add_tensors(const cohort_gguf *gguf, cohort_tensor_set *set, cohort_error *error) {
  uint64_t length = 0;
  COHORT_TRY(cohort_tensor_set_open(set, gguf->path, &length, error));
  for (uint64_t t = 0; t < gguf->tensors; t++) {
    const cohort_gguf_tensor *own = &gguf->tensor[t];
    char name[260];
    (void)snprintf(name, sizeof name, "%.*s", (int)own->name.length, own->name.text);
    cohort_file_tensor tensor = {.name = name, .type = COHORT_TENSOR_TYPES, .axes = own->axes, .offset = own->offset};
    (void)snprintf(tensor.type_name, sizeof tensor.type_name, "number %u", own->type);
    uint64_t elements = 1;
    for (int a = 0; a < own->axes; a++) {
      tensor.size[own->axes - 1 - a] = own->size[a] > INT64_MAX ? -1 : (int64_t)own->size[a];
      elements = own->size[a] && elements > (UINT64_C(1) << 46) / own->size[a] ? 0 : elements * own->size[a];
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
      if (types[i].number != own->type) continue;
      tensor.type = types[i].type;
      (void)snprintf(tensor.type_name, sizeof tensor.type_name, "%s", types[i].name);
    }
    if (tensor.type < COHORT_TENSOR_TYPES) tensor.bytes = cohort_file_tensor_bytes(tensor.type, (int64_t)elements);
    COHORT_TRY(cohort_tensor_set_add(set, &tensor, gguf->begin, length, error));
  }
  return cohort_tensor_set_finish(set, error);
}

/* Factors of wavelengths that stand in a tensor of their own: those of Llama 3's rule for some context. */
static cohort_status read_rope_factors(const cohort_gguf *gguf, cohort_tensor_set *set, cohort_model_card *card,
                                       cohort_error *error) {
  const cohort_file_tensor *factors = cohort_tensor_set_find(set, "rope_freqs.weight");
  const int64_t half = card->head_width / 2;
  if (!factors) return COHORT_DONE;
  if (cohort_file_tensor_elements(factors) != half)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: rope_freqs.weight has not half a head's elements", gguf->path);
  float *factor = cohort_allocate((size_t)half * sizeof *factor);
  cohort_status status = cohort_file_tensor_read(set, factors, 0, half, factor, error);
  card->rope = COHORT_CARD_ROPE_LLAMA3;
  card->rope_factor = half ? (double)factor[half - 1] : 1;
  card->rope_low = 1;
  card->rope_high = 4;
  static const int64_t contexts[] = {8192, 4096, 2048, 16384, 32768};
  bool fits = false;
  for (size_t c = 0; c < sizeof contexts / sizeof *contexts && !fits && status == COHORT_DONE; c++) {
    card->rope_context = contexts[c];
    fits = true;
    for (int64_t j = 0; j < half && fits; j++) {
      const double turns =
          (double)contexts[c] * pow(card->rope_theta, -(double)j / (double)half) / 6.283185307179586476925;
      const double kept = (turns - 1) / 3, share = kept < 0 ? 0 : kept > 1 ? 1 : kept;
      const double wanted = 1 / ((1 - share) / card->rope_factor + share);
      fits = fabs((double)factor[j] - wanted) <= 1e-5 * wanted;
    }
  }
  free(factor);
  if (status == COHORT_DONE && !fits)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: the factors of rope_freqs.weight are not those of Llama 3's rule",
                       gguf->path);
  return status;
}

static cohort_status read_scaling(const cohort_gguf *gguf, const char *name, cohort_model_card *card,
                                  cohort_error *error) {
  char *key = cohort_format_text("%s.rope.scaling.type", name);
  const cohort_gguf_text type = cohort_gguf_text_of(gguf, key);
  free(key);
  const double factor = number_of(gguf, name, "rope.scaling.factor", number_of(gguf, name, "rope.scale_linear", 1));
  if (!type.text || cohort_gguf_text_is(type, "none")) return COHORT_DONE;
  if (!cohort_gguf_text_is(type, "linear"))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: rope scaling %.*s is not known; linear and Llama 3's are",
                       gguf->path, (int)type.length, type.text);
  card->rope = COHORT_CARD_ROPE_LINEAR;
  card->rope_factor = factor;
  return COHORT_DONE;
}

/* The head is the embedding where it is missing, or stored once more with the same bytes. */
static cohort_status find_tied(const cohort_gguf *gguf, const cohort_tensor_set *set, bool *tied) {
  const cohort_file_tensor *head = cohort_tensor_set_find(set, "output.weight");
  const cohort_file_tensor *embedding = cohort_tensor_set_find(set, "token_embd.weight");
  *tied = !head || (embedding && head->type == embedding->type && head->bytes == embedding->bytes &&
                    head->type < COHORT_TENSOR_TYPES &&
                    memcmp(gguf->file + head->offset, gguf->file + embedding->offset, head->bytes) == 0);
  return COHORT_DONE;
}

static bool has(const cohort_tensor_set *set, const char *name) { return cohort_tensor_set_find(set, name) != NULL; }

static void find_biases(const cohort_tensor_set *set, cohort_model_card *card) {
  if (card->architecture == COHORT_ARCHITECTURE_GPT2)
    card->bias = COHORT_CARD_BIAS_ALL;
  else if (has(set, "blk.0.ffn_up.bias"))
    card->bias = COHORT_CARD_BIAS_ALL;
  else if (has(set, "blk.0.attn_output.bias"))
    card->bias = COHORT_CARD_BIAS_ATTENTION;
  else if (has(set, "blk.0.attn_q.bias"))
    card->bias = COHORT_CARD_BIAS_QUERY_KEY_VALUE;
}

static cohort_status read_card(const cohort_gguf *gguf, cohort_tensor_set *set, cohort_model_card *card,
                               cohort_error *error) {
  const cohort_gguf_text architecture = cohort_gguf_text_of(gguf, "general.architecture");
  *card = (cohort_model_card){.architecture = COHORT_ARCHITECTURES, .rope_theta = 10000, .rope_factor = 1};
  for (int a = 0; a < COHORT_ARCHITECTURES; a++)
    if (cohort_gguf_text_is(architecture, cohort_architecture_name((cohort_architecture)a)))
      card->architecture = (cohort_architecture)a;
  if (card->architecture == COHORT_ARCHITECTURES)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: architecture \"%.*s\" is not known; gpt2, llama, qwen2 and qwen3 are", gguf->path,
                       architecture.text ? (int)(architecture.length < 60 ? architecture.length : 60) : 0,
                       architecture.text ? architecture.text : "");
  const char *name = cohort_architecture_name(card->architecture);
  const bool gpt2 = card->architecture == COHORT_ARCHITECTURE_GPT2;
  const cohort_file_tensor *embedding = cohort_tensor_set_find(set, "token_embd.weight");
  card->layers = size_of(gguf, name, "block_count", 0);
  card->width = size_of(gguf, name, "embedding_length", 0);
  card->heads = size_of(gguf, name, "attention.head_count", 0);
  card->key_heads = size_of(gguf, name, "attention.head_count_kv", card->heads);
  card->head_width = size_of(gguf, name, "attention.key_length", card->heads ? card->width / card->heads : 0);
  card->context = size_of(gguf, name, "context_length", 0);
  card->feed_forward = size_of(gguf, name, "feed_forward_length", 0);
  card->vocabulary = embedding && embedding->axes == 2 ? embedding->size[0] : 0;
  card->rope_theta = shortest(number_of(gguf, name, "rope.freq_base", 10000));
  card->epsilon =
      shortest(number_of(gguf, name, gpt2 ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 1e-5));
  if (size_of(gguf, name, "expert_count", 0) || size_of(gguf, name, "attention.sliding_window", 0) ||
      (!gpt2 && size_of(gguf, name, "rope.dimension_count", card->head_width) != card->head_width) ||
      size_of(gguf, name, "attention.value_length", card->head_width) != card->head_width)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: asks for experts, a sliding window, a part of a head to be turned, or values of another "
                       "size than keys, which model gpt has not",
                       gguf->path);
  find_biases(set, card);
  COHORT_TRY(find_tied(gguf, set, &card->tied));
  COHORT_TRY(cohort_card_check(card, gguf->path, error));
  COHORT_TRY(read_scaling(gguf, name, card, error));
  return read_rope_factors(gguf, set, card, error);
}

cohort_status cohort_gguf_read(const char *path, cohort_model_card *card, cohort_tensor_set *set, cohort_error *error) {
  cohort_gguf gguf;
  COHORT_TRY(cohort_gguf_open(path, &gguf, error));
  cohort_status status = add_tensors(&gguf, set, error);
  if (status == COHORT_DONE) status = read_card(&gguf, set, card, error);
  cohort_gguf_close(&gguf);
  return status;
}
