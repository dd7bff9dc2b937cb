/* The cosine of the angle, to a power. */
#include <math.h>

#include "method/similarity/similarity.h"

typedef struct own_config {
  double power;
} own_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ABOVE(own_config, power, "1", 0, "power that the cosine is raised to, its sign kept"),
    {.name = NULL},
};

static double compare(const void *config, int64_t n, const double *a, const double *b) {
  double product = 0, first = 0, second = 0;
  for (int64_t i = 0; i < n; i++) {
    product += a[i] * b[i];
    first += a[i] * a[i];
    second += b[i] * b[i];
  }
  const double length = sqrt(first * second);
  return length > 0 ? copysign(pow(fabs(product / length), ((const own_config *)config)->power), product) : 0;
}

static const cohort_similarity functions = {.compare = compare};

static const cohort_method method = {
    .family = "similarity",
    .key = "cosine",
    .summary = "the cosine of the angle between two vectors",
    .source = "folklore",
    .formula = "sign(c) |c|^power, c = <a, b> / (|a| |b|)",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(similarity, COHORT_FILE) = {&method, NULL};
