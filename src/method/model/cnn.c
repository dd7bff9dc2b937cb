/* Convolutional networks on images [N, H, W, C]: a LeNet-like one and a ResNet with group normalisation (which, unlike
 * batch normalisation, makes no sample depend on another, so lanes and clients may cut a batch anywhere). */
#include <stdio.h>

#include "method/model/layer.h"

enum { KIND_LENET, KIND_RESNET };
enum { SHORTCUT_PROJECTION, SHORTCUT_PADDED };
enum { NORM_GROUP, NORM_BATCH };

static const double epsilon = 1e-5; /* of norms */

typedef struct cnn_config {
  int kind;
  int64_t channels, channels2, padding, dense, dense2;
  int64_t depth, width, groups;
  int shortcut, norm;
  double dropout;
} cnn_config;

static const char *const kinds[] = {"lenet", "resnet", NULL};
static const char *const shortcuts[] = {"projection", "padded", NULL};
static const char *const norm_kinds[] = {"group", "batch", NULL};

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(cnn_config, kind, COHORT_PARAMETER_CHOICE), .standard = "lenet", .choices = kinds,
     .meaning = "lenet: two 5x5 convolutions and one or two dense layers; resnet: 3x3 residual blocks with group norm"},
    {COHORT_FIELD(cnn_config, channels, COHORT_PARAMETER_INTEGER), .standard = "32", .minimum = 1, .maximum = 1 << 16,
     .meaning = "lenet: channels of the first convolution"},
    {COHORT_FIELD(cnn_config, channels2, COHORT_PARAMETER_INTEGER), .standard = "64", .minimum = 1, .maximum = 1 << 16,
     .meaning = "lenet: channels of the second convolution"},
    {COHORT_FIELD(cnn_config, dense, COHORT_PARAMETER_INTEGER), .standard = "512", .minimum = 1, .maximum = 1 << 20,
     .meaning = "lenet: units of the dense layer"},
    COHORT_INTEGER_RANGE(cnn_config, dense2, "0", 0, 1 << 20, "lenet: units of a second dense layer; 0: there is none"),
    COHORT_INTEGER_RANGE(cnn_config, padding, "2", 0, 2,
                         "lenet: zeros around what a convolution reads; 2: its output is as large, 0: LeCun's",
                         .unit = "pixels"),
    {COHORT_FIELD(cnn_config, depth, COHORT_PARAMETER_INTEGER), .standard = "20", .minimum = 8, .maximum = 1202,
     .meaning = "resnet: layers, 6n + 2: n blocks of two convolutions in each of three stages"},
    {COHORT_FIELD(cnn_config, width, COHORT_PARAMETER_INTEGER), .standard = "16", .minimum = 1, .maximum = 1 << 14,
     .meaning = "resnet: channels of the first stage; the others have twice and four times as many"},
    {COHORT_FIELD(cnn_config, groups, COHORT_PARAMETER_INTEGER), .standard = "8", .minimum = 1, .maximum = 1 << 14,
     .meaning = "resnet: groups of channels that are normalised together"},
    {COHORT_FIELD(cnn_config, shortcut, COHORT_PARAMETER_CHOICE), .standard = "projection", .choices = shortcuts,
     .meaning = "resnet, where a stage begins: projection: 1x1 convolution and group norm; padded: every second pixel, "
                "zeros in the new channels"},
    {COHORT_FIELD(cnn_config, norm, COHORT_PARAMETER_CHOICE), .standard = "group", .choices = norm_kinds,
     .meaning = "resnet: over groups of a sample's channels, or over the batch, evaluated with running statistics"},
    COHORT_REAL_UNIT(cnn_config, dropout, "0", "share of units dropped in training before the last layer"),
    {.name = NULL},
};

static cohort_status check(const void *config, cohort_error *error) {
  const cnn_config *settings = config;
  if (settings->kind != KIND_RESNET) return COHORT_DONE;
  if ((settings->depth - 2) % 6 != 0)
    return cohort_fail(error, COHORT_BAD_CONFIG, "depth %lld is not 6n + 2; take 8, 14, 20, 32, 44 or 56",
                       (long long)settings->depth);
  if (settings->width % settings->groups != 0)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "width %lld cannot be cut into %lld groups; take groups that divide it",
                       (long long)settings->width, (long long)settings->groups);
  return COHORT_DONE;
}

static cohort_value lenet(const cnn_config *settings, cohort_graph *graph, const cohort_model_inputs *inputs) {
  const int64_t channels[2] = {settings->channels, settings->channels2};
  cohort_value x = inputs->input;
  for (int i = 0; i < 2; i++) {
    char name[32];
    snprintf(name, sizeof name, "convolution%d", i);
    x = cohort_layer_convolution(graph, name, inputs->space, x, channels[i], 5, 1, (int)settings->padding, true);
    x = cohort_graph_window_max(graph, cohort_graph_relu(graph, x), 2, 2);
  }
  x = cohort_layer_flatten(graph, x);
  x = cohort_graph_relu(graph, cohort_layer_dense(graph, "dense", inputs, x, settings->dense, COHORT_ROLE_MATRIX));
  if (!settings->dense2) return x;
  return cohort_graph_relu(graph, cohort_layer_dense(graph, "dense2", inputs, x, settings->dense2, COHORT_ROLE_MATRIX));
}

typedef struct norm {
  cohort_value gain, bias;
} norm;

static norm norm_parameters(cohort_graph *graph, const char *name, int space, cohort_value x) {
  const cohort_shape channels = COHORT_SHAPE(cohort_shape_columns(cohort_graph_shape(graph, x)));
  cohort_graph_enter(graph, "%s", name);
  norm own;
  own.gain = cohort_graph_parameter(graph, space, "gain", channels, COHORT_ROLE_GAIN, COHORT_INITIAL_ONE, 0);
  own.bias = cohort_graph_parameter(graph, space, "bias", channels, COHORT_ROLE_VECTOR, COHORT_INITIAL_ZERO, 0);
  cohort_graph_leave(graph);
  return own;
}

/* relu(norm(x)). */
static cohort_value norm_relu(const cnn_config *settings, cohort_graph *graph, const cohort_model_inputs *inputs,
                              const char *name, cohort_value x) {
  if (settings->norm == NORM_BATCH) return cohort_graph_relu(graph, cohort_layer_batch_norm(graph, name, x, inputs));
  const norm own = norm_parameters(graph, name, inputs->space, x);
  return cohort_graph_group_norm_relu(graph, x, own.gain, own.bias, COHORT_NO_VALUE, (int)settings->groups, epsilon);
}

/* The identity, or what fits it to a stage's first block. */
static cohort_value shortcut(const cnn_config *settings, cohort_graph *graph, const cohort_model_inputs *inputs,
                             cohort_value x, int64_t channels, int stride) {
  const int64_t in = cohort_shape_columns(cohort_graph_shape(graph, x));
  if (stride == 1 && in == channels) return x;
  if (settings->shortcut == SHORTCUT_PROJECTION) {
    x = cohort_layer_convolution(graph, "shortcut", inputs->space, x, channels, 1, stride, 0, false);
    if (settings->norm == NORM_BATCH) return cohort_layer_batch_norm(graph, "shortcut_norm", x, inputs);
    const norm own = norm_parameters(graph, "shortcut_norm", inputs->space, x);
    return cohort_graph_group_norm(graph, x, own.gain, own.bias, (int)settings->groups, epsilon);
  }
  const cohort_value every_second = cohort_graph_window_max(graph, x, 1, stride);
  const int64_t before = (channels - in) / 2;
  return cohort_graph_pad(graph, every_second, 3, before, channels - in - before);
}

static cohort_value block(const cnn_config *settings, cohort_graph *graph, const cohort_model_inputs *inputs,
                          cohort_value x, int64_t channels, int stride) {
  const int space = inputs->space;
  cohort_value y = cohort_layer_convolution(graph, "convolution0", space, x, channels, 3, stride, 1, false);
  y = norm_relu(settings, graph, inputs, "norm0", y);
  y = cohort_layer_convolution(graph, "convolution1", space, y, channels, 3, 1, 1, false);
  if (settings->norm == NORM_BATCH) {
    y = cohort_layer_batch_norm(graph, "norm1", y, inputs);
    return cohort_graph_relu(graph, cohort_graph_add(graph, y, shortcut(settings, graph, inputs, x, channels, stride)));
  }
  const norm last = norm_parameters(graph, "norm1", space, y);
  const cohort_value added = shortcut(settings, graph, inputs, x, channels, stride);
  return cohort_graph_group_norm_relu(graph, y, last.gain, last.bias, added, (int)settings->groups, epsilon);
}

static cohort_value mean_over_pixels(cohort_graph *graph, cohort_value x) {
  const cohort_shape shape = cohort_graph_shape(graph, x);
  const double pixels = (double)(shape.size[1] * shape.size[2]);
  const cohort_value sum = cohort_graph_sum(graph, x, 1u << 1 | 1u << 2);
  return cohort_graph_scale(graph, cohort_graph_reshape(graph, sum, COHORT_SHAPE(shape.size[0], shape.size[3])),
                            1 / pixels);
}

static cohort_value resnet(const cnn_config *settings, cohort_graph *graph, const cohort_model_inputs *inputs) {
  const int64_t blocks = (settings->depth - 2) / 6;
  cohort_value x =
      cohort_layer_convolution(graph, "stem", inputs->space, inputs->input, settings->width, 3, 1, 1, false);
  x = norm_relu(settings, graph, inputs, "stem_norm", x);
  for (int stage = 0; stage < 3; stage++) {
    for (int64_t i = 0; i < blocks; i++) {
      cohort_graph_enter(graph, "stage%d_block%lld", stage, (long long)i);
      x = block(settings, graph, inputs, x, settings->width << stage, stage && i == 0 ? 2 : 1);
      cohort_graph_leave(graph);
    }
  }
  return mean_over_pixels(graph, x);
}

static cohort_model_outputs build(const void *config, cohort_graph *graph, const cohort_model_data *data,
                                  const cohort_model_inputs *inputs) {
  const cnn_config *settings = config;
  cohort_value x = settings->kind == KIND_LENET ? lenet(settings, graph, inputs) : resnet(settings, graph, inputs);
  x = cohort_layer_dropout(graph, "dropout", x, inputs, settings->dropout);
  return cohort_layer_heads(graph, cohort_layer_join(graph, x, data, inputs), data, inputs);
}

static const cohort_model functions = {.kind = COHORT_MODEL_SAMPLES, .build = build, .axes = 3};

static const cohort_method cnn = {
    .family = "model",
    .key = "cnn",
    .summary = "convolutional network on images: LeNet-like, or a ResNet with group normalisation",
    .source =
        "lenet: LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998, in the form of McMahan et "
        "al., AISTATS 2017; resnet: He et al., Deep Residual Learning for Image Recognition, CVPR 2016, section 4.2, "
        "with Wu and He, Group Normalization, ECCV 2018. Initial weights and biases uniform in +-1/sqrt(fan in), as "
        "torch.nn.Conv2d and torch.nn.Linear; gains 1, biases of norms 0",
    .formula =
        "lenet: twice pool2(relu(conv5x5 + b)), relu(dense), relu(dense2) where it has one, dropout, dense; resnet: "
        "conv3x3, norm, relu, 3 stages "
        "of n blocks relu(x + norm(conv3x3(relu(norm(conv3x3(x)))))), stride 2 where a stage begins, mean over "
        "pixels, dropout, dense",
    .config_size = sizeof(cnn_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

const cohort_method *const cohort_model_cnn[] = {&cnn, NULL};
