/* A card as parameters of model gpt, and back. Invariant: there and back gives the same numbers to the last bit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/model/card.h"

static const char *const biases[] = {"none", "query_key_value", "attention", "all"};
static const char *const scalings[] = {"none", "linear", "llama3"};

static void set(cohort_document *map, const char *name, char *text) {
  cohort_document *scalar = cohort_document_create(COHORT_SCALAR, NULL, 0, 0);
  cohort_document_set_text(scalar, text);
  cohort_document_set(map, name, scalar);
  free(text);
}

static void set_text(cohort_document *map, const char *name, const char *text) {
  set(map, name, cohort_copy_text(text));
}
static void set_integer(cohort_document *map, const char *name, int64_t value) {
  set(map, name, cohort_format_text("%lld", (long long)value));
}
static void set_real(cohort_document *map, const char *name, double value) {
  set(map, name, cohort_format_text("%.17g", value));
}

cohort_document *cohort_card_document(const cohort_model_card *card) {
  const bool gpt2 = card->architecture == COHORT_ARCHITECTURE_GPT2;
  cohort_document *gpt = cohort_document_create(COHORT_MAP, NULL, 0, 0);
  set_text(gpt, "style", gpt2 ? "gpt2" : "llama");
  set_integer(gpt, "layers", card->layers);
  set_integer(gpt, "width", card->width);
  set_integer(gpt, "heads", card->heads);
  set_integer(gpt, "key_heads", card->key_heads == card->heads ? 0 : card->key_heads);
  set_integer(gpt, "head_width", card->head_width * card->heads == card->width ? 0 : card->head_width);
  set_integer(gpt, "context", card->context);
  set_integer(gpt, "vocabulary", card->vocabulary);
  set_integer(gpt, "feed_forward", card->feed_forward);
  set_text(gpt, "tied", card->tied ? "true" : "false");
  set_text(gpt, "bias",
           card->bias == (gpt2 ? COHORT_CARD_BIAS_ALL : COHORT_CARD_BIAS_NONE) ? "auto" : biases[card->bias]);
  set_text(gpt, "query_key_norm", card->architecture == COHORT_ARCHITECTURE_QWEN3 ? "true" : "false");
  set_real(gpt, "epsilon", card->epsilon);
  if (gpt2) {
    set_text(gpt, "gelu", card->exact_gelu ? "exact" : "tanh");
  } else {
    set_real(gpt, "rope_theta", card->rope_theta);
    set_text(gpt, "rope_scaling", scalings[card->rope]);
  }
  if (card->rope != COHORT_CARD_ROPE_PLAIN) set_real(gpt, "rope_factor", card->rope_factor);
  if (card->rope == COHORT_CARD_ROPE_LLAMA3) {
    set_real(gpt, "rope_low", card->rope_low);
    set_real(gpt, "rope_high", card->rope_high);
    set_integer(gpt, "rope_context", card->rope_context);
  }
  cohort_document *model = cohort_document_create(COHORT_MAP, NULL, 0, 0);
  cohort_document_set(model, "gpt", gpt);
  return model;
}

static const char *text_of(const cohort_document *gpt, const char *name, const char *otherwise) {
  const cohort_document *found = cohort_document_get(gpt, name);
  return found && found->kind == COHORT_SCALAR && found->text ? found->text : otherwise;
}
static double number_of(const cohort_document *gpt, const char *name, const char *otherwise) {
  return strtod(text_of(gpt, name, otherwise), NULL);
}
static int64_t integer_of(const cohort_document *gpt, const char *name) { return (int64_t)number_of(gpt, name, "0"); }
static bool is(const cohort_document *gpt, const char *name, const char *text) {
  return strcmp(text_of(gpt, name, ""), text) == 0;
}

static int number_in(const char *const *list, int count, const char *text, int otherwise) {
  for (int i = 0; i < count; i++)
    if (strcmp(list[i], text) == 0) return i;
  return otherwise;
}

cohort_status cohort_card_of_document(const cohort_document *gpt, const char *where, cohort_model_card *out,
                                      cohort_error *error) {
  const bool gpt2 = !is(gpt, "style", "llama"), norm = is(gpt, "query_key_norm", "true");
  *out = (cohort_model_card){.layers = integer_of(gpt, "layers"),
                             .width = integer_of(gpt, "width"),
                             .heads = integer_of(gpt, "heads"),
                             .key_heads = integer_of(gpt, "key_heads"),
                             .head_width = integer_of(gpt, "head_width"),
                             .context = integer_of(gpt, "context"),
                             .vocabulary = integer_of(gpt, "vocabulary"),
                             .feed_forward = integer_of(gpt, "feed_forward"),
                             .tied = is(gpt, "tied", "true"),
                             .exact_gelu = is(gpt, "gelu", "exact"),
                             .epsilon = number_of(gpt, "epsilon", "1e-5"),
                             .rope_theta = number_of(gpt, "rope_theta", "10000"),
                             .rope_factor = number_of(gpt, "rope_factor", "1"),
                             .rope_low = number_of(gpt, "rope_low", "1"),
                             .rope_high = number_of(gpt, "rope_high", "4"),
                             .rope_context = integer_of(gpt, "rope_context")};
  out->bias = (cohort_card_bias)number_in(biases, 4, text_of(gpt, "bias", "auto"),
                                          gpt2 ? COHORT_CARD_BIAS_ALL : COHORT_CARD_BIAS_NONE);
  out->rope = (cohort_card_rope)number_in(scalings, 3, text_of(gpt, "rope_scaling", "none"), COHORT_CARD_ROPE_PLAIN);
  if (!out->key_heads) out->key_heads = out->heads;
  if (!out->head_width && out->heads) out->head_width = out->width / out->heads;
  out->architecture = gpt2                                            ? COHORT_ARCHITECTURE_GPT2
                      : norm                                          ? COHORT_ARCHITECTURE_QWEN3
                      : out->bias == COHORT_CARD_BIAS_QUERY_KEY_VALUE ? COHORT_ARCHITECTURE_QWEN2
                                                                      : COHORT_ARCHITECTURE_LLAMA;
  if (gpt2 && (out->bias != COHORT_CARD_BIAS_ALL || norm || out->key_heads != out->heads ||
               out->head_width * out->heads != out->width))
    return cohort_fail(
        error, COHORT_BAD_CONFIG,
        "%s: GPT-2 has all biases, as many heads of keys as of queries, and no further norms; this model "
        "has no name among released ones",
        where);
  if (norm && (out->bias == COHORT_CARD_BIAS_QUERY_KEY_VALUE || out->bias == COHORT_CARD_BIAS_ALL))
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "%s: Qwen3 has no bias, or one in all of its attention; this model has no name among released "
                       "ones",
                       where);
  return COHORT_DONE;
}
