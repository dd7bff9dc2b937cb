/* synthetic(alpha, beta) (Li et al., 2020): logistic problems that differ in their models (alpha) and their inputs
 * (beta), drawn by key when a sample is asked for. A client costs nothing until then; a model its 610 numbers, a sample
 * its 60 and a product. */
#include "method/partition/partition.h"

enum { FEATURES = 60, CLASSES = 10, MODEL = FEATURES * CLASSES + CLASSES + FEATURES };

typedef struct synthetic_config {
  int64_t clients;
  double alpha, beta;
  bool iid;
} synthetic_config;

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(synthetic_config, clients, "30", 1, 1e7, "clients in the population", .unit = "clients"),
    COHORT_REAL_ATLEAST(synthetic_config, alpha, "1", 0, "how far the clients' models lie apart", .sweep_low = 0.1,
                        .sweep_high = 10, .sweep_log = true),
    COHORT_REAL_ATLEAST(synthetic_config, beta, "1", 0, "how far the clients' inputs lie apart", .sweep_low = 0.1,
                        .sweep_high = 10, .sweep_log = true),
    COHORT_BOOLEAN(synthetic_config, iid, "false", "all clients have one model, and inputs around one number each"),
    {.name = NULL},
};

static int64_t clients(const void *config, const cohort_partition_data *data) {
  (void)data;
  return ((const synthetic_config *)config)->clients;
}

static cohort_random_key key_of(cohort_random_key key, const char *purpose, int64_t client) {
  return cohort_random_key_derive(cohort_random_key_derive_name(key, purpose), (uint64_t)client);
}

/* floor(lognormal(4, 2)) + 50 */
static int64_t size(const void *config, cohort_random_key key, int64_t client) {
  (void)config;
  const double normal = cohort_random_normal_at(key_of(key, "size", client), 0, 0);
  return (int64_t)exp(4 + 2 * normal) + 50;
}

/* The model: W [features][classes], b [classes], then the mean of inputs [features]. */
static void begin(const void *config, cohort_random_key key, int64_t client, double *model) {
  const synthetic_config *own = config;
  const cohort_random_key prior = key_of(key, "prior", client);
  const cohort_random_key of_model =
      own->iid ? cohort_random_key_derive_name(key, "model") : key_of(key, "model", client);
  const double mean = own->iid ? 0 : own->alpha * cohort_random_normal_at(prior, 0, 0);
  const double place = own->beta * cohort_random_normal_at(prior, 0, 1);
  const cohort_random_key of_inputs = key_of(key, "inputs", client);
  for (int i = 0; i < FEATURES * CLASSES + CLASSES; i++)
    model[i] = mean + cohort_random_normal_at(of_model, 0, (uint64_t)i);
  for (int f = 0; f < FEATURES; f++)
    model[FEATURES * CLASSES + CLASSES + f] =
        place + (own->iid ? 0 : cohort_random_normal_at(of_inputs, 0, (uint64_t)f));
}

static int32_t draw(const void *config, cohort_random_key key, int64_t client, int64_t index, const double *model,
                    float *x) {
  (void)config;
  const double *mean = model + FEATURES * CLASSES + CLASSES;
  const cohort_random_key own = key_of(key, "sample", client);
  double score[CLASSES];
  for (int c = 0; c < CLASSES; c++) score[c] = model[FEATURES * CLASSES + c];
  for (int f = 0; f < FEATURES; f++) {
    const double deviation = pow(f + 1, -0.6); /* the root of the variance (f + 1)^-1.2 */
    x[f] = (float)(mean[f] + deviation * cohort_random_normal_at(own, (uint64_t)index, (uint64_t)f));
    for (int c = 0; c < CLASSES; c++) score[c] += model[f * CLASSES + c] * (double)x[f];
  }
  int32_t best = 0;
  for (int32_t c = 1; c < CLASSES; c++)
    if (score[c] > score[best]) best = c;
  return best;
}

static const cohort_partition_drawn drawn = {
    .features = FEATURES, .classes = CLASSES, .numbers = MODEL, .size = size, .begin = begin, .draw = draw};
static const cohort_partition functions = {.by = COHORT_PARTITION_BY_DRAW, .clients = clients, .drawn = &drawn};

static const cohort_method synthetic = {
    .family = "partition",
    .key = "synthetic",
    .summary = "logistic problems of 60 features and 10 classes that differ by client, drawn on demand: needs no data",
    .title = "Federated Optimization in Heterogeneous Networks",
    .source =
        "Li, Sahu, Zaheer, Sanjabi, Talwalkar and Smith, MLSys 2020, section 5.1; sizes and deviations as in the "
        "authors' generate_synthetic.py",
    .formula =
        "n_k = floor(lognormal(4, 2)) + 50; u_k ~ N(0, alpha^2), B_k ~ N(0, beta^2); W_k, b_k ~ N(u_k, 1), "
        "v_k ~ N(B_k, 1); x ~ N(v_k, diag(j^-1.2)), y = argmax(W_k' x + b_k); iid: one W, b ~ N(0, 1), v_k = B_k",
    .config_size = sizeof(synthetic_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_partition_synthetic[] = {&synthetic, NULL};
