/* A complete model to start from: copy this file to src/method/model/NAME.c, build, and NAME is a method like any
 * other: in `cohort methods model`, in `cohort probe model NAME`, in configs, and under the contract tests. As it
 * stands it has one hidden layer: logits = V tanh(U x + b) + c.
 *
 * A model is a graph, written once; its gradients, its copies in other spaces and its checkpoint follow from it.
 * Parameters are declared where they are used, under names in scopes; layer.h has the common layers. What differs in
 * training (dropout) is asked of `inputs`. */
#include "method/model/layer.h"

typedef struct own_config {
  int64_t hidden;
  double dropout;
} own_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(own_config, hidden, COHORT_PARAMETER_INTEGER), .standard = "64", .minimum = 1, .maximum = 1 << 20,
     .meaning = "units of the hidden layer"},
    COHORT_REAL_UNIT(own_config, dropout, "0", "share of hidden units dropped in training"),
    {.name = NULL},
};

static cohort_model_outputs build(const void *config, cohort_graph *graph, const cohort_model_data *data,
                                  const cohort_model_inputs *inputs) {
  const own_config *own = config;
  cohort_value x = cohort_layer_flatten(graph, inputs->input);
  x = cohort_layer_dense(graph, "hidden", inputs, x, own->hidden, COHORT_ROLE_MATRIX);
  x = cohort_graph_unary(graph, COHORT_OP_TANH, x);
  x = cohort_layer_dropout(graph, "dropout", x, inputs, own->dropout);
  const cohort_value logits = cohort_layer_dense(graph, "head", inputs, x, data->outputs, COHORT_ROLE_HEAD);
  return (cohort_model_outputs){.logits = logits,
                                .embedding = COHORT_NO_VALUE,
                                .hidden = COHORT_NO_VALUE,
                                .scalar = COHORT_NO_VALUE,
                                .head = COHORT_NO_VALUE};
}

static const cohort_model functions = {.kind = COHORT_MODEL_SAMPLES, .build = build};

static const cohort_method method = {
    .family = "model",
    .key = COHORT_FILE_KEY,
    .summary = "one hidden layer on flattened samples (a template)",
    .source = "the template of the family model",
    .formula = "logits = V dropout(tanh(U x + b)) + c",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(model, COHORT_FILE) = {&method, NULL};
