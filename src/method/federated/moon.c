/* MOON (Li, He and Song, 2021): a client's features of a sample are drawn towards those of the round's weights and away
 * from those of the model that it left last. Its cost is two forward passes more a local step, and a vector for each
 * client that ever took part. */
#include "method/federated/federated.h"

typedef struct moon_config {
  double learning_rate, mu, temperature;
} moon_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(moon_config),
    COHORT_REAL_ATLEAST(moon_config, mu, "1", 0, "weight of the contrastive term; 0: fedavg", .sweep_low = 0.1,
                        .sweep_high = 10, .sweep_log = true),
    COHORT_REAL_ABOVE(moon_config, temperature, "0.5", 0, "divides the cosines", .sweep_low = 0.1, .sweep_high = 1,
                      .sweep_log = true),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"mu=0", "fedavg", ""},
    {.settings = NULL, .method = NULL},
};

enum { PREVIOUS = COHORT_FEDERATED_VECTORS };

static const cohort_federated_vector vectors[] = {
    {"previous", COHORT_SIDE_CLIENT, .from_weights = true, .meaning = "the client's model as it left it last"},
    {.name = NULL},
};

/* Of rows of length 1, those shorter than 1e-8 as they are but for that. */
static cohort_value unit_rows(cohort_graph *graph, cohort_value x) {
  const cohort_value square = cohort_graph_sum(graph, cohort_graph_multiply(graph, x, x), 1u << 1);
  const cohort_value bounded =
      cohort_graph_binary(graph, COHORT_OP_MAXIMUM, square, cohort_graph_constant(graph, 1e-16));
  return cohort_graph_multiply(graph, x, cohort_graph_unary(graph, COHORT_OP_RECIPROCAL_ROOT, bounded));
}

static cohort_value cosine(cohort_graph *graph, cohort_value a, cohort_value b) {
  return cohort_graph_sum(graph, cohort_graph_multiply(graph, a, unit_rows(graph, b)), 1u << 1);
}

/* -log(e^g / (e^g + e^p)) = softplus(p - g), of the cosines with the features of the round's weights and of before. */
static cohort_value term(const void *config, cohort_graph *graph, cohort_value features, const cohort_value *other) {
  const moon_config *own = config;
  const cohort_value here = unit_rows(graph, features);
  const cohort_value gap = cohort_graph_subtract(graph, cosine(graph, here, other[1]), cosine(graph, here, other[0]));
  const cohort_value rows =
      cohort_graph_unary(graph, COHORT_OP_SOFTPLUS, cohort_graph_scale(graph, gap, 1 / own->temperature));
  const int64_t count = cohort_graph_shape(graph, features).size[0];
  return cohort_graph_scale(graph, cohort_graph_reshape(graph, rows, COHORT_SHAPE(count)), own->mu);
}

static cohort_status leave(cohort_federated_client *client, cohort_error *error) {
  (void)error;
  client->call->combine(client, PREVIOUS, 1, COHORT_CLIENT_LOCAL, 0, COHORT_CLIENT_LOCAL);
  return COHORT_DONE;
}

static const cohort_federated functions = {.vectors = vectors,
                                           .feature_points = 2,
                                           .feature_point = {COHORT_CLIENT_START, PREVIOUS},
                                           .term = term,
                                           .leave = leave};

static const cohort_method moon = {
    .family = "federated",
    .key = "moon",
    .summary = "clients whose features stay near those of the round's weights",
    .title = "Model-Contrastive Federated Learning",
    .source = "Li, He and Song, CVPR 2021, Algorithm 1, equation 3",
    .formula =
        "a sample's loss gains -mu log(e^(cos(z, z_x) / t) / (e^(cos(z, z_x) / t) + e^(cos(z, z_before) / t))), z its "
        "features at the client's weights, z_x at the round's, z_before at those that the client left last; "
        "D = sum_i n_i delta_i / sum_i n_i; w += learning_rate D",
    .config_size = sizeof(moon_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_federated_moon[] = {&moon, NULL};
