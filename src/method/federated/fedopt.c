/* The three adaptive strategies of one paper: the server optimizers adagrad, adam and yogi without bias correction, tau
 * as their epsilon, second moment from tau^2. */
#include "method/federated/federated.h"

typedef struct fedopt_config {
  double learning_rate, beta1, beta2, tau;
} fedopt_config;

static const char title[] = "Adaptive Federated Optimization";
static const char source[] =
    "Reddi, Charles, Zaheer, Garrett, Rush, Konecny, Kumar and McMahan, ICLR 2021, Algorithm 2";

#define LEARNING_RATE                                                                               \
  {                                                                                                 \
    COHORT_FIELD(fedopt_config, learning_rate, COHORT_PARAMETER_REAL),                              \
        .standard = "0.1", .minimum = 0, .maximum = INFINITY, .maximum_open = true,                 \
        .meaning = "the server's step size", .sweep_low = 1e-3, .sweep_high = 10, .sweep_log = true \
  }
#define TAU                                                                                                \
  {                                                                                                        \
    COHORT_FIELD(fedopt_config, tau, COHORT_PARAMETER_REAL),                                               \
        .standard = "1e-3", .minimum = 0, .minimum_open = true, .maximum = INFINITY, .maximum_open = true, \
        .meaning = "degree of adaptivity: added to the root; v starts at tau^2", .sweep_low = 1e-5,        \
        .sweep_high = 1e-1, .sweep_log = true                                                              \
  }

static const cohort_parameter adagrad_parameters[] = {LEARNING_RATE, TAU, {.name = NULL}};

static const cohort_parameter moment_parameters[] = {
    LEARNING_RATE,
    COHORT_REAL_UNIT(fedopt_config, beta1, "0.9", "decay of the average change"),
    COHORT_REAL_UNIT(fedopt_config, beta2, "0.99", "decay of the second moment"),
    TAU,
    {.name = NULL},
};

static int adagrad_settings(const void *config, cohort_choice_number *out) {
  const fedopt_config *own = config;
  out[0] = (cohort_choice_number){"learning_rate", own->learning_rate};
  out[1] = (cohort_choice_number){"epsilon", own->tau};
  out[2] = (cohort_choice_number){"initial_accumulator", own->tau * own->tau};
  return 3;
}

/* `second` is what the optimizer calls the start of its second moment. */
static int moment_settings(const fedopt_config *own, const char *second, cohort_choice_number *out) {
  out[0] = (cohort_choice_number){"learning_rate", own->learning_rate};
  out[1] = (cohort_choice_number){"beta1", own->beta1};
  out[2] = (cohort_choice_number){"beta2", own->beta2};
  out[3] = (cohort_choice_number){"epsilon", own->tau};
  out[4] = (cohort_choice_number){second, own->tau * own->tau};
  out[5] = (cohort_choice_number){"bias_correction", 0};
  return 6;
}

static int adam_settings(const void *config, cohort_choice_number *out) {
  return moment_settings(config, "initial_second", out);
}

static int yogi_settings(const void *config, cohort_choice_number *out) {
  return moment_settings(config, "initial_accumulator", out);
}

static const cohort_federated adagrad_functions = {.server = "adagrad", .settings = adagrad_settings};
static const cohort_federated adam_functions = {.server = "adam", .settings = adam_settings};
static const cohort_federated yogi_functions = {.server = "yogi", .settings = yogi_settings};

static const cohort_method fedadagrad = {
    .family = "federated",
    .key = "fedadagrad",
    .summary = "Adagrad at the server on the clients' average change",
    .title = title,
    .source = source,
    .formula =
        "D = sum_i n_i delta_i / sum_i n_i; v += D^2; w += learning_rate D / (sqrt(v) + tau); v starts at tau^2 "
        "(beta1 = 0, as in the paper's experiments)",
    .config_size = sizeof(fedopt_config),
    .parameters = adagrad_parameters,
    .functions = &adagrad_functions,
};

static const cohort_method fedadam = {
    .family = "federated",
    .key = "fedadam",
    .summary = "Adam at the server on the clients' average change",
    .title = title,
    .source = source,
    .formula =
        "D = sum_i n_i delta_i / sum_i n_i; m = beta1 m + (1 - beta1) D; v = beta2 v + (1 - beta2) D^2; "
        "w += learning_rate m / (sqrt(v) + tau); v starts at tau^2",
    .config_size = sizeof(fedopt_config),
    .parameters = moment_parameters,
    .functions = &adam_functions,
};

static const cohort_method fedyogi = {
    .family = "federated",
    .key = "fedyogi",
    .summary = "Yogi at the server on the clients' average change",
    .title = title,
    .source = source,
    .formula =
        "D = sum_i n_i delta_i / sum_i n_i; m = beta1 m + (1 - beta1) D; "
        "v -= (1 - beta2) D^2 sign(v - D^2); w += learning_rate m / (sqrt(v) + tau); v starts at tau^2",
    .config_size = sizeof(fedopt_config),
    .parameters = moment_parameters,
    .functions = &yogi_functions,
};

const cohort_method *const cohort_federated_fedopt[] = {&fedadagrad, &fedadam, &fedyogi, NULL};
