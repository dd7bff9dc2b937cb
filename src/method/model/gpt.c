/* Decoder-only transformer over ragged rows: R tokens of all sequences one after another, kept apart by segments. The
 * options beside the style are those in which released models differ: GPT-2, Llama 2 and 3, SmolLM, Qwen2, Qwen3.
 * Invariant: at their defaults an option adds no node and no tensor. A token costs 2 operations a parameter, and 4
 * heads x head_width for each token that it attends to in each layer. */
#include <math.h>
#include <stdio.h>

#include "method/model/layer.h"

enum { STYLE_GPT2, STYLE_LLAMA };
enum { BIAS_AUTO, BIAS_NONE, BIAS_QUERY_KEY_VALUE, BIAS_ATTENTION, BIAS_ALL };
enum { GELU_TANH, GELU_EXACT };
enum { SCALING_NONE, SCALING_LINEAR, SCALING_LLAMA3 };

typedef struct gpt_config {
  int style, bias, gelu, rope_scaling;
  int64_t layers, width, heads, key_heads, head_width, context, vocabulary, feed_forward;
  double dropout;
  bool tied, query_key_norm;
  double rope_theta, rope_factor, rope_low, rope_high, epsilon;
  int64_t rope_context;
} gpt_config;

static const char *const styles[] = {"gpt2", "llama", NULL};
static const char *const biases[] = {"auto", "none", "query_key_value", "attention", "all", NULL};
static const char *const gelus[] = {"tanh", "exact", NULL};
static const char *const scalings[] = {"none", "linear", "llama3", NULL};

#define SIZE(field, default_text, low, high, text)                                                       \
  {                                                                                                      \
    COHORT_FIELD(gpt_config, field, COHORT_PARAMETER_INTEGER), .standard = default_text, .minimum = low, \
                                                               .maximum = high, .meaning = text          \
  }

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(gpt_config, style, COHORT_PARAMETER_CHOICE), .standard = "gpt2", .choices = styles,
     .meaning =
         "gpt2: learned positions, LayerNorm, GELU, biases; llama: rotary positions, RMSNorm, SwiGLU, no biases"},
    SIZE(layers, "4", 1, 1024, "transformer blocks"),
    SIZE(width, "128", 1, 1 << 16, "size of a token's vector"),
    SIZE(heads, "4", 1, 1 << 12, "attention heads; they divide the width, unless head_width is given"),
    SIZE(key_heads, "0", 0, 1 << 12,
         "heads of keys and values (grouped-query attention); they divide the heads; 0: as many"),
    SIZE(head_width, "0", 0, 1 << 14, "size of a head's vectors; 0: width/heads"),
    SIZE(context, "256", 1, 1 << 20, "longest sequence, in tokens"),
    SIZE(vocabulary, "0", 0, 1 << 24,
         "rows of the embedding and of the output matrix; 0: as many as the tokenizer has tokens"),
    SIZE(feed_forward, "0", 0, 1 << 18,
         "hidden units of the feed-forward part; 0: 4 width (gpt2), 8/3 width rounded up to a multiple of 16 (llama)"),
    COHORT_REAL_UNIT(gpt_config, dropout, "0",
                     "share dropped in training after the embedding, the attention's output and the feed-forward part; "
                     "attention probabilities are never dropped"),
    {COHORT_FIELD(gpt_config, tied, COHORT_PARAMETER_BOOLEAN), .standard = "true",
     .meaning = "the output matrix is the embedding"},
    COHORT_CHOICE(gpt_config, bias, "auto", biases,
                  "which products add a bias: auto: all of gpt2, none of llama; query_key_value: Qwen2's; attention: "
                  "these and its output"),
    COHORT_BOOLEAN(
        gpt_config, query_key_norm, "false",
        "RMSNorm of every head's query and key, with one gain for all heads, before they are turned (Qwen3)"),
    COHORT_CHOICE(gpt_config, gelu, "tanh", gelus, "gpt2: the activation's form, by tanh or by the error function"),
    {COHORT_FIELD(gpt_config, rope_theta, COHORT_PARAMETER_REAL), .standard = "10000", .minimum = 0,
     .minimum_open = true, .maximum = INFINITY, .maximum_open = true,
     .meaning = "llama: base of the rotary wavelengths, in tokens"},
    COHORT_CHOICE(gpt_config, rope_scaling, "none", scalings,
                  "llama: how rotary wavelengths are stretched for longer texts: linear: all by rope_factor; llama3: "
                  "those above rope_context/rope_low by rope_factor, those below rope_context/rope_high not at all"),
    COHORT_REAL_ABOVE(gpt_config, rope_factor, "8", 0, "rope_scaling: how much longer wavelengths become"),
    COHORT_REAL_ABOVE(gpt_config, rope_low, "1", 0,
                      "rope_scaling llama3: turns in rope_context up to which all is "
                      "stretched"),
    COHORT_REAL_ABOVE(gpt_config, rope_high, "4", 0,
                      "rope_scaling llama3: turns in rope_context from which nothing is "
                      "stretched"),
    SIZE(rope_context, "8192", 1, 1 << 24,
         "rope_scaling llama3: context that the model was trained on at first, in "
         "tokens"),
    {COHORT_FIELD(gpt_config, epsilon, COHORT_PARAMETER_REAL), .standard = "1e-5", .minimum = 0, .minimum_open = true,
     .maximum = 1, .meaning = "added to the variance in norms"},
    {.name = NULL},
};

#undef SIZE

static int64_t head_width(const gpt_config *settings) {
  return settings->head_width ? settings->head_width : settings->width / settings->heads;
}

static cohort_status check(const void *config, cohort_error *error) {
  const gpt_config *settings = config;
  if (!settings->head_width && settings->width % settings->heads != 0)
    return cohort_fail(error, COHORT_BAD_CONFIG, "width %lld cannot be cut into %lld heads; take heads that divide it",
                       (long long)settings->width, (long long)settings->heads);
  if (settings->key_heads && settings->heads % settings->key_heads != 0)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "%lld heads cannot share %lld key_heads; take key_heads that divide them",
                       (long long)settings->heads, (long long)settings->key_heads);
  if (settings->style == STYLE_LLAMA && head_width(settings) % 2 != 0)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "a head of %lld is odd; rotary positions turn pairs: make width/heads, or head_width, even",
                       (long long)head_width(settings));
  if (settings->rope_scaling == SCALING_LLAMA3 && settings->rope_high <= settings->rope_low)
    return cohort_fail(error, COHORT_BAD_CONFIG, "rope_high %g is not above rope_low %g; exchange them",
                       settings->rope_high, settings->rope_low);
  return COHORT_DONE;
}

/* What every part of the builder needs. */
typedef struct builder {
  const gpt_config *settings;
  cohort_graph *graph;
  const cohort_model_inputs *inputs;
  double residual_scale; /* initial standard deviation of the two matrices that write to the residual stream */
} builder;

static const double initial_scale = 0.02;

static bool is_gpt2(const builder *b) { return b->settings->style == STYLE_GPT2; }

/* Products that may have a bias, in the order in which the choices of `bias` grow. */
typedef enum { PART_QUERY_KEY_VALUE = BIAS_QUERY_KEY_VALUE, PART_OUTPUT, PART_FEED_FORWARD } part;

static bool has_bias(const builder *b, part of) {
  const int bias = b->settings->bias;
  return bias == BIAS_AUTO ? is_gpt2(b) : bias >= (int)of;
}

/* x [R, in] -> [R, out]: weight [out, in], and a bias that starts at 0 where the part has one. */
static cohort_value project(const builder *b, const char *name, part of, cohort_value x, int64_t out, double scale) {
  const int64_t in = cohort_shape_columns(cohort_graph_shape(b->graph, x));
  cohort_graph_enter(b->graph, "%s", name);
  const cohort_value weight = cohort_graph_parameter(b->graph, b->inputs->space, "weight", COHORT_SHAPE(out, in),
                                                     COHORT_ROLE_MATRIX, COHORT_INITIAL_NORMAL, scale);
  cohort_value y = cohort_layer_product(b->graph, b->inputs, name, x, weight);
  if (has_bias(b, of)) {
    const cohort_value bias = cohort_graph_parameter(b->graph, b->inputs->space, "bias", COHORT_SHAPE(out),
                                                     COHORT_ROLE_VECTOR, COHORT_INITIAL_ZERO, 0);
    y = cohort_graph_add(b->graph, y, bias);
  }
  cohort_graph_leave(b->graph);
  return y;
}

static cohort_value normalise(const builder *b, const char *name, cohort_value x) {
  const cohort_shape shape = COHORT_SHAPE(b->settings->width);
  const int space = b->inputs->space;
  cohort_graph_enter(b->graph, "%s", name);
  const cohort_value gain =
      cohort_graph_parameter(b->graph, space, "gain", shape, COHORT_ROLE_GAIN, COHORT_INITIAL_ONE, 0);
  cohort_value y;
  if (is_gpt2(b)) {
    const cohort_value bias =
        cohort_graph_parameter(b->graph, space, "bias", shape, COHORT_ROLE_VECTOR, COHORT_INITIAL_ZERO, 0);
    y = cohort_graph_layer_norm(b->graph, x, gain, bias, b->settings->epsilon);
  } else {
    y = cohort_graph_rms_norm(b->graph, x, gain, b->settings->epsilon);
  }
  cohort_graph_leave(b->graph);
  return y;
}

static cohort_value turn(const builder *b, cohort_value x) {
  const gpt_config *settings = b->settings;
  const bool scaled = settings->rope_scaling != SCALING_NONE, llama3 = settings->rope_scaling == SCALING_LLAMA3;
  const cohort_rotary rotary = {.theta = settings->rope_theta,
                                .factor = scaled ? settings->rope_factor : 0,
                                .low = settings->rope_low,
                                .high = settings->rope_high,
                                .context = llama3 ? settings->rope_context : 0};
  return cohort_graph_rotary(b->graph, x, b->inputs->positions, rotary);
}

/* x [R, heads, size], each head by itself, with one gain [size] for all. */
static cohort_value normalise_heads(const builder *b, const char *name, cohort_value x) {
  cohort_graph_enter(b->graph, "%s_norm", name);
  const cohort_value gain =
      cohort_graph_parameter(b->graph, b->inputs->space, "gain", COHORT_SHAPE(head_width(b->settings)),
                             COHORT_ROLE_GAIN, COHORT_INITIAL_ONE, 0);
  const cohort_value y = cohort_graph_rms_norm(b->graph, x, gain, b->settings->epsilon);
  cohort_graph_leave(b->graph);
  return y;
}

/* One of value, query and key: [R, heads, size]; of the last two, `matched` with one another, normalised and turned by
 * its position where the model does so. */
static cohort_value heads_of(const builder *b, const char *name, cohort_value x, int64_t heads, bool matched) {
  const int64_t rows = cohort_shape_rows(cohort_graph_shape(b->graph, x)), size = head_width(b->settings);
  cohort_value y = project(b, name, PART_QUERY_KEY_VALUE, x, heads * size, initial_scale);
  y = cohort_graph_reshape(b->graph, y, COHORT_SHAPE(rows, heads, size));
  if (matched && b->settings->query_key_norm) y = normalise_heads(b, name, y);
  return matched && !is_gpt2(b) ? turn(b, y) : y;
}

/* The new rows' keys and values go into the cache; the layer's scope tells the caches apart. */
static cohort_value cached_attention(const builder *b, int64_t layer, cohort_value query, cohort_value key,
                                     cohort_value value, double scale) {
  const cohort_shape shape = cohort_graph_shape(b->graph, key);
  const int64_t slots = b->inputs->cache_slots, blocks = b->inputs->cache_positions / COHORT_CACHE_BLOCK;
  char name[2][64];
  (void)snprintf(name[0], sizeof name[0], "cache%lld/keys", (long long)layer);
  (void)snprintf(name[1], sizeof name[1], "cache%lld/values", (long long)layer);
  const cohort_value keys =
      cohort_graph_input(b->graph, name[0], COHORT_TYPE_REAL,
                         COHORT_SHAPE(slots, shape.size[1], blocks, shape.size[2], COHORT_CACHE_BLOCK));
  const cohort_value values =
      cohort_graph_input(b->graph, name[1], COHORT_TYPE_REAL,
                         COHORT_SHAPE(slots, shape.size[1], blocks * COHORT_CACHE_BLOCK, shape.size[2]));
  return cohort_graph_attention_cached(b->graph, query, key, value, b->inputs->segments, b->inputs->positions, keys,
                                       values, scale);
}

static cohort_value attention(const builder *b, int64_t layer, cohort_value x) {
  const gpt_config *settings = b->settings;
  const int64_t rows = cohort_shape_rows(cohort_graph_shape(b->graph, x));
  const int64_t key_heads = settings->key_heads ? settings->key_heads : settings->heads;
  const double scale = 1 / sqrt((double)head_width(settings));
  cohort_graph_enter(b->graph, "attention");
  const cohort_value query = heads_of(b, "query", x, settings->heads, true);
  const cohort_value key = heads_of(b, "key", x, key_heads, true);
  const cohort_value value = heads_of(b, "value", x, key_heads, false);
  const cohort_model_inputs *in = b->inputs;
  cohort_value y = in->cache_slots
                       ? cached_attention(b, layer, query, key, value, scale)
                       : cohort_graph_attention(b->graph, query, key, value, in->segments, scale, in->reads);
  y = cohort_graph_reshape(b->graph, y, COHORT_SHAPE(rows, settings->heads * head_width(settings)));
  y = project(b, "output", PART_OUTPUT, y, settings->width, b->residual_scale);
  y = cohort_layer_dropout(b->graph, "dropout", y, b->inputs, settings->dropout);
  cohort_graph_leave(b->graph);
  return y;
}

static int64_t hidden_units(const gpt_config *settings) {
  if (settings->feed_forward) return settings->feed_forward;
  if (settings->style == STYLE_GPT2) return 4 * settings->width;
  return (8 * settings->width + 47) / 48 * 16; /* 8/3 width, up to a multiple of 16 */
}

static cohort_value feed_forward(const builder *b, cohort_value x) {
  const int64_t hidden = hidden_units(b->settings);
  cohort_graph_enter(b->graph, "feed_forward");
  cohort_value y;
  if (is_gpt2(b)) {
    y = project(b, "up", PART_FEED_FORWARD, x, hidden, initial_scale);
    y = cohort_graph_gelu(b->graph, y, b->settings->gelu == GELU_EXACT);
  } else {
    const cohort_value gate = project(b, "gate", PART_FEED_FORWARD, x, hidden, initial_scale);
    y = cohort_graph_swiglu(b->graph, gate, project(b, "up", PART_FEED_FORWARD, x, hidden, initial_scale));
  }
  y = project(b, "down", PART_FEED_FORWARD, y, b->settings->width, b->residual_scale);
  y = cohort_layer_dropout(b->graph, "dropout", y, b->inputs, b->settings->dropout);
  cohort_graph_leave(b->graph);
  return y;
}

static cohort_value embed(const builder *b, cohort_value embedding) {
  const gpt_config *settings = b->settings;
  cohort_value x = cohort_graph_gather(b->graph, embedding, b->inputs->tokens);
  if (is_gpt2(b)) {
    cohort_graph_enter(b->graph, "positions");
    const cohort_value positions =
        cohort_graph_parameter(b->graph, b->inputs->space, "weight", COHORT_SHAPE(settings->context, settings->width),
                               COHORT_ROLE_EMBEDDING, COHORT_INITIAL_NORMAL, initial_scale);
    x = cohort_graph_add(b->graph, x, cohort_graph_gather(b->graph, positions, b->inputs->positions));
    cohort_graph_leave(b->graph);
  }
  return cohort_layer_dropout(b->graph, "dropout", x, b->inputs, settings->dropout);
}

/* The embedding or the head: [vocabulary, width]. */
static cohort_value vocabulary_matrix(const builder *b, const char *name, int64_t vocabulary, cohort_role role) {
  cohort_graph_enter(b->graph, "%s", name);
  const cohort_value weight =
      cohort_graph_parameter(b->graph, b->inputs->space, "weight", COHORT_SHAPE(vocabulary, b->settings->width), role,
                             COHORT_INITIAL_NORMAL, initial_scale);
  cohort_graph_leave(b->graph);
  return weight;
}

/* Beside adapters it is trained with them: the frozen model has none. */
static cohort_value scalar_head(const builder *b, cohort_value hidden) {
  const cohort_model_inputs *inputs = b->inputs;
  if (!inputs->scalar_head) return COHORT_NO_VALUE;
  cohort_graph_enter(b->graph, "%s", inputs->scalar_head);
  const cohort_value weight = cohort_graph_parameter(b->graph, inputs->adapter ? inputs->adapter->space : inputs->space,
                                                     "weight", COHORT_SHAPE(1, b->settings->width), COHORT_ROLE_HEAD,
                                                     COHORT_INITIAL_NORMAL, initial_scale);
  const cohort_value y = cohort_graph_matmul(b->graph, hidden, weight, false, true);
  cohort_graph_leave(b->graph);
  return cohort_graph_reshape(b->graph, y, COHORT_SHAPE(cohort_shape_rows(cohort_graph_shape(b->graph, y))));
}

static cohort_model_outputs build(const void *config, cohort_graph *graph, const cohort_model_data *data,
                                  const cohort_model_inputs *inputs) {
  const gpt_config *settings = config;
  const builder b = {settings, graph, inputs, initial_scale / sqrt(2 * (double)settings->layers)};
  const cohort_value embedding = vocabulary_matrix(&b, "embedding", data->outputs, COHORT_ROLE_EMBEDDING);
  cohort_value x = embed(&b, embedding);
  for (int64_t layer = 0; layer < settings->layers; layer++) {
    cohort_graph_enter(graph, "layer%lld", (long long)layer);
    x = cohort_graph_add(graph, x, attention(&b, layer, normalise(&b, "attention_norm", x)));
    x = cohort_graph_add(graph, x, feed_forward(&b, normalise(&b, "feed_forward_norm", x)));
    cohort_graph_leave(graph);
  }
  const cohort_value hidden = normalise(&b, "norm", x);
  cohort_value head = embedding;
  if (!settings->tied)
    head = inputs->scores_only ? COHORT_NO_VALUE : vocabulary_matrix(&b, "head", data->outputs, COHORT_ROLE_HEAD);
  return (cohort_model_outputs){
      .logits = COHORT_NO_VALUE, .hidden = hidden, .scalar = scalar_head(&b, hidden), .head = head};
}

static int64_t context(const void *config) { return ((const gpt_config *)config)->context; }
static int64_t vocabulary(const void *config) { return ((const gpt_config *)config)->vocabulary; }

static const cohort_model functions = {
    .kind = COHORT_MODEL_TOKENS, .build = build, .context = context, .vocabulary = vocabulary, .scalar_head = true};

static const cohort_method gpt = {
    .family = "model",
    .key = "gpt",
    .summary = "decoder-only transformer in the style of GPT-2 or of Llama",
    .source =
        "gpt2: Radford et al., Language Models are Unsupervised Multitask Learners, 2019; llama: Touvron et al., "
        "LLaMA: "
        "Open and Efficient Foundation Language Models, 2023, with grouped-query attention (Ainslie et al., EMNLP "
        "2023), and the options of Llama 3 (Grattafiori et al., The Llama 3 Herd of Models, 2024), Qwen2 (Yang et al., "
        "2024) and Qwen3 (Yang et al., 2025). Initial values of both as GPT-2: matrices and embeddings normal with "
        "deviation 0.02, attention.output "
        "and feed_forward.down 0.02/sqrt(2 layers), gains 1, biases 0",
    .formula =
        "x = embedding[token] (+ positions[position]); layers times x += attention(norm(x)), x += "
        "feed_forward(norm(x)); logits = head norm(x); query, key and value are separate matrices [out, in]",
    .config_size = sizeof(gpt_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

const cohort_method *const cohort_model_gpt[] = {&gpt, NULL};
