/* Names of tensors: ours, transformers' and GGUF's, one table. Invariant: a tensor of ours lies at one place of theirs,
 * and every byte of theirs is in one of ours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/model/card.h"

/* Without ".weight", ".gain" and ".bias"; of a layer without the layer's own. NULL: it has none. */
typedef struct stem {
  const char *ours, *llama, *gpt2, *gguf;
  int part; /* of GPT-2's query, key and value, which are one matrix; else -1 */
} stem;

static const stem outer[] = {
    {"embedding", "model.embed_tokens", "transformer.wte", "token_embd", -1},
    {"positions", NULL, "transformer.wpe", "position_embd", -1},
    {"norm", "model.norm", "transformer.ln_f", "output_norm", -1},
    {"head", "lm_head", "lm_head", "output", -1},
    {"score", "score", "score", "score", -1}, /* of a reward model */
};
static const stem inner[] = {
    {"attention_norm", "input_layernorm", "ln_1", "attn_norm", -1},
    {"attention.query", "self_attn.q_proj", "attn.c_attn", "attn_q", 0},
    {"attention.key", "self_attn.k_proj", "attn.c_attn", "attn_k", 1},
    {"attention.value", "self_attn.v_proj", "attn.c_attn", "attn_v", 2},
    {"attention.query_norm", "self_attn.q_norm", NULL, "attn_q_norm", -1},
    {"attention.key_norm", "self_attn.k_norm", NULL, "attn_k_norm", -1},
    {"attention.output", "self_attn.o_proj", "attn.c_proj", "attn_output", -1},
    {"feed_forward_norm", "post_attention_layernorm", "ln_2", "ffn_norm", -1},
    {"feed_forward.gate", "mlp.gate_proj", NULL, "ffn_gate", -1},
    {"feed_forward.up", "mlp.up_proj", "mlp.c_fc", "ffn_up", -1},
    {"feed_forward.down", "mlp.down_proj", "mlp.c_proj", "ffn_down", -1},
};

static const stem *find_stem(const stem *table, size_t count, const char *name, size_t length) {
  for (size_t i = 0; i < count; i++)
    if (strlen(table[i].ours) == length && strncmp(table[i].ours, name, length) == 0) return &table[i];
  return NULL;
}

#define FIND(table, name, length) find_stem(table, sizeof(table) / sizeof *(table), name, length)

/* "layer12.attention.query.weight" -> 12 and the rest; -1: none. */
static long take_layer(const char **name) {
  char *end = NULL;
  if (strncmp(*name, "layer", 5) != 0 || (*name)[5] < '0' || (*name)[5] > '9') return -1;
  const long layer = strtol(*name + 5, &end, 10);
  if (*end != '.') return -1;
  *name = end + 1;
  return layer;
}

bool cohort_card_place(const cohort_model_card *card, cohort_names names, const char *tensor,
                       cohort_tensor_place *out) {
  const bool gpt2 = card->architecture == COHORT_ARCHITECTURE_GPT2, gguf = names == COHORT_NAMES_GGUF;
  const long layer = take_layer(&tensor);
  const char *dot = strrchr(tensor, '.');
  if (!dot) return false;
  const stem *found =
      layer < 0 ? FIND(outer, tensor, (size_t)(dot - tensor)) : FIND(inner, tensor, (size_t)(dot - tensor));
  if (!found) return false;
  const char *own = gguf && gpt2 && found->part >= 0 ? "attn_qkv"
                    : gguf                           ? found->gguf
                    : gpt2                           ? found->gpt2
                                                     : found->llama;
  if (!own || (gpt2 && !found->gpt2) || (!gpt2 && !found->llama)) return false;
  const bool bias = strcmp(dot, ".bias") == 0, matrix = !bias && strcmp(dot, ".gain") != 0;
  *out = (cohort_tensor_place){.part = gpt2 && found->part >= 0 ? found->part : 0,
                               .parts = gpt2 && found->part >= 0 ? 3 : 1,
                               .transposed = gpt2 && !gguf && layer >= 0 && matrix};
  /* llama.cpp turns pairs (2j, 2j + 1) of Llama's heads, and stores the rows so. */
  if (gguf && card->architecture == COHORT_ARCHITECTURE_LLAMA && layer >= 0 && (found->part == 0 || found->part == 1))
    out->interleaved = found->part == 0 ? card->heads : card->key_heads;
  const char *end = bias ? "bias" : "weight";
  if (layer < 0)
    (void)snprintf(out->name, sizeof out->name, "%s.%s", own, end);
  else
    (void)snprintf(out->name, sizeof out->name, "%s.%ld.%s.%s",
                   gguf   ? "blk"
                   : gpt2 ? "transformer.h"
                          : "model.layers",
                   layer, own, end);
  return true;
}

static bool ends_in(const char *text, const char *end) {
  const size_t length = strlen(text), tail = strlen(end);
  return length >= tail && strcmp(text + length - tail, end) == 0;
}

bool cohort_card_ignores(const cohort_model_card *card, const char *foreign) {
  if (card->architecture == COHORT_ARCHITECTURE_GPT2 &&
      (ends_in(foreign, ".attn.bias") || ends_in(foreign, ".attn.masked_bias")))
    return true; /* the triangle of the mask */
  if (ends_in(foreign, "rotary_emb.inv_freq") || strcmp(foreign, "rope_freqs.weight") == 0) return true;
  /* Tied to the embedding; or the model is asked for scores alone, without its vocabulary head. */
  return strcmp(foreign, "lm_head.weight") == 0 || strcmp(foreign, "output.weight") == 0;
}

static const char *last_word(const char *name) { return strrchr(name, '.') ? strrchr(name, '.') + 1 : name; }

const char *cohort_card_module(cohort_architecture architecture, const char *layer) {
  for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
    if (strcmp(last_word(inner[i].ours), layer) == 0) {
      const char *own = architecture == COHORT_ARCHITECTURE_GPT2 ? inner[i].gpt2 : inner[i].llama;
      return own ? last_word(own) : NULL;
    }
  return NULL;
}

const char *cohort_card_layer(cohort_architecture architecture, const char *module) {
  for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
    const char *own = architecture == COHORT_ARCHITECTURE_GPT2 ? inner[i].gpt2 : inner[i].llama;
    if (own && strcmp(last_word(own), module) == 0) return last_word(inner[i].ours);
  }
  return NULL;
}
