/* A perceptron with hidden layers of one width. Its time is that of its matrix products. */
#include <stdio.h>

#include "method/model/layer.h"

enum { NORM_NONE, NORM_BATCH };
enum { ACTIVATION_RELU, ACTIVATION_GELU, ACTIVATION_TANH };

typedef struct mlp_config {
  int64_t hidden, layers;
  int activation, norm;
  double dropout;
} mlp_config;

static const char *const activations[] = {"relu", "gelu", "tanh", NULL};

static const char *const norms[] = {"none", "batch", NULL};

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(mlp_config, hidden, COHORT_PARAMETER_INTEGER), .standard = "200", .minimum = 1, .maximum = 1 << 20,
     .meaning = "units of each hidden layer"},
    {COHORT_FIELD(mlp_config, layers, COHORT_PARAMETER_INTEGER), .standard = "2", .minimum = 0, .maximum = 256,
     .meaning = "hidden layers; 0: a linear model"},
    {COHORT_FIELD(mlp_config, activation, COHORT_PARAMETER_CHOICE), .standard = "relu", .choices = activations,
     .meaning = "after each hidden layer; gelu is the exact form"},
    {COHORT_FIELD(mlp_config, norm, COHORT_PARAMETER_CHOICE), .standard = "none", .choices = norms,
     .meaning = "before each activation; batch: over the batch, evaluated with running statistics"},
    COHORT_REAL_UNIT(mlp_config, dropout, "0", "share of hidden units dropped in training, after the activation"),
    {.name = NULL},
};

static cohort_value activate(cohort_graph *graph, cohort_value x, int activation) {
  switch (activation) {
    case ACTIVATION_GELU:
      return cohort_graph_gelu(graph, x, true);
    case ACTIVATION_TANH:
      return cohort_graph_unary(graph, COHORT_OP_TANH, x);
    default:
      return cohort_graph_relu(graph, x);
  }
}

static cohort_model_outputs build(const void *config, cohort_graph *graph, const cohort_model_data *data,
                                  const cohort_model_inputs *inputs) {
  const mlp_config *settings = config;
  cohort_value x = cohort_layer_join(graph, cohort_layer_flatten(graph, inputs->input), data, inputs);
  for (int64_t layer = 0; layer < settings->layers; layer++) {
    char name[32];
    snprintf(name, sizeof name, "layer%lld", (long long)layer);
    x = cohort_layer_dense(graph, name, inputs, x, settings->hidden, COHORT_ROLE_MATRIX);
    snprintf(name, sizeof name, "norm%lld", (long long)layer);
    if (settings->norm == NORM_BATCH) x = cohort_layer_batch_norm(graph, name, x, inputs);
    x = activate(graph, x, settings->activation);
    snprintf(name, sizeof name, "dropout%lld", (long long)layer);
    x = cohort_layer_dropout(graph, name, x, inputs, settings->dropout);
  }
  return cohort_layer_heads(graph, x, data, inputs);
}

static const cohort_model functions = {.kind = COHORT_MODEL_SAMPLES, .build = build};

static const cohort_method mlp = {
    .family = "model",
    .key = "mlp",
    .summary = "fully connected network on flattened samples, any number of inputs and heads",
    .source =
        "folklore; the default is the 2NN of McMahan et al., Communication-Efficient Learning of Deep Networks from "
        "Decentralized Data, AISTATS 2017. Initial weights and biases uniform in +-1/sqrt(fan in), as "
        "torch.nn.Linear",
    .formula =
        "x = dropout(activation(norm(W x + b))), layers times; logits = W x + b, of each head; further inputs stand "
        "beside the first",
    .config_size = sizeof(mlp_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_model_mlp[] = {&mlp, NULL};
