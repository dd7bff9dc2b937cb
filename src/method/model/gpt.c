/* Decoder-only transformer over ragged rows: R tokens of all sequences one after another, kept apart by segments. */
#include <math.h>
#include <stdio.h>

#include "method/model/layer.h"

enum { STYLE_GPT2, STYLE_LLAMA };

typedef struct gpt_config {
  int style;
  int64_t layers, width, heads, key_heads, context, feed_forward;
  double dropout;
  bool tied;
  double rope_theta, epsilon;
} gpt_config;

static const char *const styles[] = {"gpt2", "llama", NULL};

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
    SIZE(heads, "4", 1, 1 << 12, "attention heads; they divide the width"),
    SIZE(key_heads, "0", 0, 1 << 12,
         "heads of keys and values (grouped-query attention); they divide the heads; 0: as many"),
    SIZE(context, "256", 1, 1 << 20, "longest sequence, in tokens"),
    SIZE(feed_forward, "0", 0, 1 << 18,
         "hidden units of the feed-forward part; 0: 4 width (gpt2), 8/3 width rounded up to a multiple of 16 (llama)"),
    COHORT_REAL_UNIT(gpt_config, dropout, "0",
                     "share dropped in training after the embedding, the attention's output and the feed-forward part; "
                     "attention probabilities are never dropped"),
    {COHORT_FIELD(gpt_config, tied, COHORT_PARAMETER_BOOLEAN), .standard = "true",
     .meaning = "the output matrix is the embedding"},
    {COHORT_FIELD(gpt_config, rope_theta, COHORT_PARAMETER_REAL), .standard = "10000", .minimum = 0,
     .minimum_open = true, .maximum = INFINITY, .maximum_open = true,
     .meaning = "llama: base of the rotary wavelengths, in tokens"},
    {COHORT_FIELD(gpt_config, epsilon, COHORT_PARAMETER_REAL), .standard = "1e-5", .minimum = 0, .minimum_open = true,
     .maximum = 1, .meaning = "added to the variance in norms"},
    {.name = NULL},
};

#undef SIZE

static cohort_status check(const void *config, cohort_error *error) {
  const gpt_config *settings = config;
  if (settings->width % settings->heads != 0)
    return cohort_fail(error, COHORT_BAD_CONFIG, "width %lld cannot be cut into %lld heads; take heads that divide it",
                       (long long)settings->width, (long long)settings->heads);
  if (settings->key_heads && settings->heads % settings->key_heads != 0)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "%lld heads cannot share %lld key_heads; take key_heads that divide them",
                       (long long)settings->heads, (long long)settings->key_heads);
  if (settings->style == STYLE_LLAMA && settings->width / settings->heads % 2 != 0)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "a head of %lld is odd; rotary positions turn pairs: make width/heads even",
                       (long long)(settings->width / settings->heads));
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

/* x [R, in] -> [R, out]: weight [out, in], and a bias that starts at 0 in gpt2. */
static cohort_value project(const builder *b, const char *name, cohort_value x, int64_t out, double scale) {
  const int64_t in = cohort_shape_columns(cohort_graph_shape(b->graph, x));
  cohort_graph_enter(b->graph, "%s", name);
  const cohort_value weight = cohort_graph_parameter(b->graph, b->inputs->space, "weight", COHORT_SHAPE(out, in),
                                                     COHORT_ROLE_MATRIX, COHORT_INITIAL_NORMAL, scale);
  cohort_value y = cohort_layer_product(b->graph, b->inputs, name, x, weight);
  if (is_gpt2(b)) {
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

/* One of query, key and value: [R, heads, size], turned by its position where `turned`. */
static cohort_value heads_of(const builder *b, const char *name, cohort_value x, int64_t heads, bool turned) {
  const int64_t rows = cohort_shape_rows(cohort_graph_shape(b->graph, x));
  const int64_t size = b->settings->width / b->settings->heads;
  const cohort_value y =
      cohort_graph_reshape(b->graph, project(b, name, x, heads * size, initial_scale), COHORT_SHAPE(rows, heads, size));
  return turned ? cohort_graph_rotary(b->graph, y, b->inputs->positions, b->settings->rope_theta) : y;
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
  const int64_t head_width = settings->width / settings->heads;
  const double scale = 1 / sqrt((double)head_width);
  const bool turned = !is_gpt2(b);
  cohort_graph_enter(b->graph, "attention");
  const cohort_value query = heads_of(b, "query", x, settings->heads, turned);
  const cohort_value key = heads_of(b, "key", x, key_heads, turned);
  const cohort_value value = heads_of(b, "value", x, key_heads, false);
  const cohort_model_inputs *in = b->inputs;
  cohort_value y = in->cache_slots
                       ? cached_attention(b, layer, query, key, value, scale)
                       : cohort_graph_attention(b->graph, query, key, value, in->segments, scale, in->reads);
  y = cohort_graph_reshape(b->graph, y, COHORT_SHAPE(rows, settings->width));
  y = project(b, "output", y, settings->width, b->residual_scale);
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
    y = cohort_graph_gelu(b->graph, project(b, "up", x, hidden, initial_scale), false);
  } else {
    const cohort_value gate = project(b, "gate", x, hidden, initial_scale);
    y = cohort_graph_swiglu(b->graph, gate, project(b, "up", x, hidden, initial_scale));
  }
  y = project(b, "down", y, b->settings->width, b->residual_scale);
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

static const cohort_model functions = {
    .kind = COHORT_MODEL_TOKENS, .build = build, .context = context, .scalar_head = true};

static const cohort_method gpt = {
    .family = "model",
    .key = "gpt",
    .summary = "decoder-only transformer in the style of GPT-2 or of Llama",
    .source =
        "gpt2: Radford et al., Language Models are Unsupervised Multitask Learners, 2019; llama: Touvron et al., "
        "LLaMA: "
        "Open and Efficient Foundation Language Models, 2023, with grouped-query attention (Ainslie et al., EMNLP "
        "2023). Initial values of both as GPT-2: matrices and embeddings normal with deviation 0.02, attention.output "
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
