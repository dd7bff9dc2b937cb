/* config.json of transformers, read and written. Invariant: a key that would change what the model computes is either
 * understood or refused. Costs the keys. */
#include "io/model/card.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[COHORT_ARCHITECTURES] = {"gpt2", "llama", "qwen2", "qwen3"};
/* For text, and for scores. */
static const char *const classes[COHORT_ARCHITECTURES][2] = {
    {"GPT2LMHeadModel", "GPT2ForSequenceClassification"},
    {"LlamaForCausalLM", "LlamaForSequenceClassification"},
    {"Qwen2ForCausalLM", "Qwen2ForSequenceClassification"},
    {"Qwen3ForCausalLM", "Qwen3ForSequenceClassification"},
};

const char *cohort_architecture_name(cohort_architecture architecture) { return names[architecture]; }

cohort_status cohort_card_check(const cohort_model_card *card, const char *where, cohort_error *error) {
  const struct {
    const char *name;
    int64_t value, most;
  } sizes[] = {{"layers", card->layers, 1024},
               {"width", card->width, 1 << 16},
               {"attention heads", card->heads, 1 << 12},
               {"key and value heads", card->key_heads, 1 << 12},
               {"size of a head", card->head_width, 1 << 14},
               {"context", card->context, 1 << 20},
               {"vocabulary", card->vocabulary, 1 << 24},
               {"feed-forward size", card->feed_forward, 1 << 18}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (sizes[i].value < 1 || sizes[i].value > sizes[i].most)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: its number for %s, %lld, is not in 1 to %lld", where,
                         sizes[i].name, (long long)sizes[i].value, (long long)sizes[i].most);
  if (card->heads % card->key_heads != 0)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: %lld heads cannot share %lld heads of keys and values", where,
                       (long long)card->heads, (long long)card->key_heads);
  if (!(card->epsilon > 0 && card->epsilon <= 1) || !(card->rope_theta > 0) || !(card->rope_factor > 0))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: epsilon, rope_theta and the rope's factor must be above 0", where);
  return COHORT_DONE;
}

static void read_gpt2(cohort_json_reader *in, cohort_model_card *out) {
  out->width = cohort_json_integer(in, "n_embd", 0);
  out->layers = cohort_json_integer(in, "n_layer", 0);
  out->heads = out->key_heads = cohort_json_integer(in, "n_head", 0);
  out->context = cohort_json_integer(in, "n_positions", cohort_json_integer(in, "n_ctx", 1024));
  out->feed_forward = cohort_json_integer(in, "n_inner", 4 * out->width);
  out->epsilon = cohort_json_real(in, "layer_norm_epsilon", 1e-5);
  out->tied = cohort_json_boolean(in, "tie_word_embeddings", true);
  out->bias = COHORT_CARD_BIAS_ALL;
  out->head_width = out->heads > 0 ? out->width / out->heads : 0;
  const char *gelu = cohort_json_text(in, "activation_function", "gelu_new");
  out->exact_gelu = strcmp(gelu, "gelu") == 0;
  if (!out->exact_gelu && strcmp(gelu, "gelu_new") != 0 && strcmp(gelu, "gelu_pytorch_tanh") != 0)
    cohort_json_fault(in, "activation_function %s is not known; gelu_new, gelu_pytorch_tanh and gelu are", gelu);
  if (out->heads > 0 && out->width % out->heads != 0)
    cohort_json_fault(in, "n_embd %lld cannot be cut into %lld heads", (long long)out->width, (long long)out->heads);
  if (!cohort_json_boolean(in, "scale_attn_weights", true) ||
      cohort_json_boolean(in, "scale_attn_by_inverse_layer_idx", false) ||
      cohort_json_boolean(in, "add_cross_attention", false))
    cohort_json_fault(in,
                      "asks for scale_attn_weights: false, scale_attn_by_inverse_layer_idx or "
                      "add_cross_attention, which model gpt has not");
}

/* `rope_parameters` of transformers 5, `rope_scaling` before it; NULL: plain. */
static void read_rope(cohort_json_reader *in, const char *key, cohort_model_card *out) {
  const json_t *own = json_object_get(in->object, key);
  if (!own || json_is_null(own)) return;
  cohort_json_reader rope = {.path = in->path, .object = own, .error = in->error};
  if (!json_is_object(own)) {
    cohort_json_fault(in, "%s: expected {...}", key);
    return;
  }
  const char *type = cohort_json_text(&rope, "rope_type", cohort_json_text(&rope, "type", "default"));
  out->rope_theta = cohort_json_real(&rope, "rope_theta", out->rope_theta);
  out->rope_factor = cohort_json_real(&rope, "factor", 1);
  out->rope_low = cohort_json_real(&rope, "low_freq_factor", 1);
  out->rope_high = cohort_json_real(&rope, "high_freq_factor", 4);
  out->rope_context = cohort_json_integer(&rope, "original_max_position_embeddings", 8192);
  if (strcmp(type, "default") == 0)
    out->rope = COHORT_CARD_ROPE_PLAIN, out->rope_factor = 1;
  else if (strcmp(type, "linear") == 0)
    out->rope = COHORT_CARD_ROPE_LINEAR;
  else if (strcmp(type, "llama3") == 0)
    out->rope = COHORT_CARD_ROPE_LLAMA3;
  else
    cohort_json_fault(in, "%s: rope type %s is not known; default, linear and llama3 are", key, type);
  if (out->rope == COHORT_CARD_ROPE_LLAMA3 && (out->rope_high <= out->rope_low || out->rope_context == 0))
    cohort_json_fault(in, "%s: high_freq_factor must be above low_freq_factor", key);
  if (cohort_json_real(&rope, "partial_rotary_factor", 1) != 1)
    cohort_json_fault(in, "%s: partial_rotary_factor is not known but for 1", key);
  if (in->status == COHORT_DONE) in->status = rope.status;
}

/* Attention to everything before, in every layer. */
static void check_window(cohort_json_reader *in) {
  const json_t *types = json_object_get(in->object, "layer_types");
  bool window = cohort_json_boolean(in, "use_sliding_window", false);
  for (size_t i = 0; i < json_array_size(types); i++) {
    const char *type = json_string_value(json_array_get(types, i));
    window = window || !type || strcmp(type, "full_attention") != 0;
  }
  if (window) cohort_json_fault(in, "asks for attention in a sliding window, which model gpt has not");
}

static void read_llama(cohort_json_reader *in, cohort_model_card *out) {
  const bool llama = out->architecture == COHORT_ARCHITECTURE_LLAMA;
  out->width = cohort_json_integer(in, "hidden_size", 0);
  out->layers = cohort_json_integer(in, "num_hidden_layers", 0);
  out->heads = cohort_json_integer(in, "num_attention_heads", 0);
  out->key_heads = cohort_json_integer(in, "num_key_value_heads", out->heads);
  out->context = cohort_json_integer(in, "max_position_embeddings", llama ? 2048 : 32768);
  out->feed_forward = cohort_json_integer(in, "intermediate_size", 0);
  out->epsilon = cohort_json_real(in, "rms_norm_eps", 1e-6);
  out->tied = cohort_json_boolean(in, "tie_word_embeddings", false);
  out->rope_theta = cohort_json_real(in, "rope_theta", 10000);
  const int64_t share = out->heads > 0 ? out->width / out->heads : 0;
  out->head_width = cohort_json_integer(in, "head_dim", out->architecture == COHORT_ARCHITECTURE_QWEN3 ? 128 : share);
  if (out->architecture == COHORT_ARCHITECTURE_QWEN2)
    out->bias = COHORT_CARD_BIAS_QUERY_KEY_VALUE;
  else if (cohort_json_boolean(in, "attention_bias", false))
    out->bias = cohort_json_boolean(in, "mlp_bias", false) ? COHORT_CARD_BIAS_ALL : COHORT_CARD_BIAS_ATTENTION;
  else if (cohort_json_boolean(in, "mlp_bias", false))
    cohort_json_fault(in, "mlp_bias without attention_bias is not known");
  const char *activation = cohort_json_text(in, "hidden_act", "silu");
  if (strcmp(activation, "silu") != 0 && strcmp(activation, "swish") != 0)
    cohort_json_fault(in, "hidden_act %s is not known; silu is", activation);
  if (cohort_json_real(in, "partial_rotary_factor", 1) != 1)
    cohort_json_fault(in, "partial_rotary_factor is not known but for 1");
  if (cohort_json_boolean(in, "rope_interleaved", false)) cohort_json_fault(in, "rope_interleaved is not known");
  read_rope(in, "rope_scaling", out);
  read_rope(in, "rope_parameters", out);
  check_window(in);
}

cohort_status cohort_card_read(const char *path, cohort_model_card *out, cohort_error *error) {
  json_t *root = NULL;
  COHORT_TRY(cohort_json_read(path, &root, error));
  cohort_json_reader in = {.path = path, .object = root, .error = error};
  *out = (cohort_model_card){.architecture = COHORT_ARCHITECTURES, .rope_theta = 10000, .rope_factor = 1};
  const char *type = cohort_json_text(&in, "model_type", "");
  for (int a = 0; a < COHORT_ARCHITECTURES; a++)
    if (strcmp(type, names[a]) == 0) out->architecture = (cohort_architecture)a;
  if (out->architecture == COHORT_ARCHITECTURES)
    cohort_json_fault(&in, "model_type \"%.60s\" is not known; gpt2, llama, qwen2 and qwen3 are", type);
  else if (json_is_object(json_object_get(root, "quantization_config")))
    cohort_json_fault(&in, "its weights are quantized, which is not read; take the model in F32, F16 or BF16");
  else if (out->architecture == COHORT_ARCHITECTURE_GPT2)
    read_gpt2(&in, out);
  else
    read_llama(&in, out);
  out->vocabulary = cohort_json_integer(&in, "vocab_size", 0);
  json_decref(root);
  return in.status == COHORT_DONE ? cohort_card_check(out, path, error) : in.status;
}

static void write_gpt2(const cohort_model_card *card, json_t *out) {
  json_t *own = json_pack("{sI sI sI sI sI ss sf sf sf sf}", "n_embd", (json_int_t)card->width, "n_layer",
                          (json_int_t)card->layers, "n_head", (json_int_t)card->heads, "n_positions",
                          (json_int_t)card->context, "n_inner", (json_int_t)card->feed_forward, "activation_function",
                          card->exact_gelu ? "gelu" : "gelu_new", "layer_norm_epsilon", card->epsilon, "attn_pdrop",
                          0.0, "embd_pdrop", 0.0, "resid_pdrop", 0.0);
  json_object_update(out, own);
  json_decref(own);
}

static json_t *rope_scaling(const cohort_model_card *card) {
  if (card->rope == COHORT_CARD_ROPE_PLAIN) return json_null();
  if (card->rope == COHORT_CARD_ROPE_LINEAR)
    return json_pack("{ss sf}", "rope_type", "linear", "factor", card->rope_factor);
  return json_pack("{ss sf sf sf sI}", "rope_type", "llama3", "factor", card->rope_factor, "low_freq_factor",
                   card->rope_low, "high_freq_factor", card->rope_high, "original_max_position_embeddings",
                   (json_int_t)card->rope_context);
}

static void write_llama(const cohort_model_card *card, json_t *out) {
  json_t *own =
      json_pack("{sI sI sI sI sI sI sI ss sf sf so}", "hidden_size", (json_int_t)card->width, "num_hidden_layers",
                (json_int_t)card->layers, "num_attention_heads", (json_int_t)card->heads, "num_key_value_heads",
                (json_int_t)card->key_heads, "head_dim", (json_int_t)card->head_width, "max_position_embeddings",
                (json_int_t)card->context, "intermediate_size", (json_int_t)card->feed_forward, "hidden_act", "silu",
                "rms_norm_eps", card->epsilon, "rope_theta", card->rope_theta, "rope_scaling", rope_scaling(card));
  json_object_update(out, own);
  json_decref(own);
  if (card->architecture != COHORT_ARCHITECTURE_QWEN2)
    json_object_set_new(out, "attention_bias", json_boolean(card->bias >= COHORT_CARD_BIAS_ATTENTION));
  if (card->architecture == COHORT_ARCHITECTURE_LLAMA)
    json_object_set_new(out, "mlp_bias", json_boolean(card->bias == COHORT_CARD_BIAS_ALL));
  else
    json_object_set_new(out, "use_sliding_window", json_false());
}

cohort_status cohort_card_write(const cohort_model_card *card, bool scores, bool bf16, const json_t *more,
                                const char *path, cohort_error *error) {
  static const char *const kept[] = {"bos_token_id", "eos_token_id", "pad_token_id"};
  const char *name = names[card->architecture];
  json_t *out = json_pack("{s[s] ss sI sb ss}", "architectures", classes[card->architecture][scores], "model_type",
                          name, "vocab_size", (json_int_t)card->vocabulary, "tie_word_embeddings", (int)card->tied,
                          "torch_dtype", bf16 ? "bfloat16" : "float32");
  if (card->architecture == COHORT_ARCHITECTURE_GPT2)
    write_gpt2(card, out);
  else
    write_llama(card, out);
  if (scores) json_object_set_new(out, "id2label", json_pack("{ss}", "0", "score"));
  if (scores) json_object_set_new(out, "label2id", json_pack("{si}", "score", 0));
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    json_t *value = json_object_get(more, kept[i]);
    json_object_set_new(out, kept[i], value ? json_deep_copy(value) : json_null());
  }
  return cohort_json_write(out, path, error);
}
