/* Quadratic and logistic problems, in float64. A question costs a product with the matrix of the problem. */
#include "probe/problem.h"

#include <math.h>

void cohort_probe_problem_create(cohort_probe_state *probe, const cohort_space *space, cohort_probe_problem *out) {
  *out = (cohort_probe_problem){.probe = probe, .space = space};
  out->A = cohort_probe_input(probe, "problem/A");
  out->b = cohort_probe_input(probe, "problem/b");
  out->x = cohort_probe_input(probe, "problem/x");
  out->y = cohort_probe_input(probe, "problem/y");
  out->batch = cohort_probe_input(probe, "problem/batch");
  out->labels = cohort_probe_input(probe, "draws/labels");
  const cohort_random_key seed = cohort_random_key_from_seed((uint64_t)cohort_probe_setting_value(probe, "seed"));
  out->key = cohort_random_key_derive_name(seed, "labels");
  if (!out->A && !out->x) return;
  out->n = cohort_probe_size_of(probe, "n");
  out->samples = out->batch ? out->batch->size[1] : out->x ? out->x->size[0] : 0;
  const size_t bytes = (size_t)out->n * sizeof(double);
  out->point = cohort_probe_memory(probe, bytes);
  out->vector = cohort_probe_memory(probe, bytes);
  out->out = cohort_probe_memory(probe, bytes);
}

static void unpack(const cohort_probe_problem *problem, const void *flat, double *packed) {
  const cohort_space *space = problem->space;
  for (int t = 0; t < space->tensors; t++)
    for (int64_t e = 0; e < space->tensor[t].elements; e++)
      *packed++ = cohort_probe_get(problem->probe, flat, space->tensor[t].offset + e);
}

static void pack(const cohort_probe_problem *problem, const double *packed, void *flat) {
  const cohort_space *space = problem->space;
  for (int t = 0; t < space->tensors; t++)
    for (int64_t e = 0; e < space->tensor[t].elements; e++)
      cohort_probe_set(problem->probe, flat, space->tensor[t].offset + e, *packed++);
}

/* Row of x that is sample `i` of the step. */
static int64_t row_of(const cohort_probe_problem *problem, int64_t i) {
  if (!problem->batch) return i;
  return (int64_t)cohort_array_get(problem->batch, problem->step * problem->samples + i);
}

static double sign_of(const cohort_probe_problem *problem, int64_t row) {
  return 2 * cohort_array_get(problem->y, row) - 1;
}

/* The same of sample `i` of the step, drawn from the model where nothing is given: 1 with probability `share`. */
static double drawn_sign(const cohort_probe_problem *problem, int64_t i, double share) {
  if (problem->labels) return 2 * cohort_array_get(problem->labels, problem->step * problem->labels->size[1] + i) - 1;
  const cohort_random_key key = cohort_random_key_derive(problem->key, (uint64_t)problem->step);
  return cohort_random_uniform(cohort_random_word(key, 0, (uint64_t)row_of(problem, i))) < share ? 1 : -1;
}

static double row_dot(const cohort_array *matrix, int64_t row, const double *vector) {
  const int64_t n = matrix->size[1];
  double sum = 0;
  for (int64_t j = 0; j < n; j++) sum += cohort_array_get(matrix, row * n + j) * vector[j];
  return sum;
}

static void multiply(const cohort_probe_problem *problem, const double *vector) {
  for (int64_t i = 0; i < problem->n; i++) problem->out[i] = row_dot(problem->A, i, vector);
}

/* out = mean over samples of factor * x. */
static void add_sample(const cohort_probe_problem *problem, int64_t row, double factor) {
  for (int64_t j = 0; j < problem->n; j++)
    problem->out[j] += factor / (double)problem->samples * cohort_array_get(problem->x, row * problem->n + j);
}

static double sigmoid(double z) { return 1 / (1 + exp(-z)); }

/* log(1 + exp(-z)) without overflow. */
static double softplus(double z) { return z > 0 ? log1p(exp(-z)) : -z + log1p(exp(z)); }

double cohort_probe_problem_loss(const cohort_probe_problem *problem, const void *point) {
  double loss = 0;
  unpack(problem, point, problem->point);
  if (problem->A) {
    multiply(problem, problem->point);
    for (int64_t i = 0; i < problem->n; i++)
      loss += problem->point[i] * (problem->out[i] / 2 - cohort_array_get(problem->b, i));
    return loss;
  }
  for (int64_t i = 0; i < problem->samples; i++) {
    const int64_t row = row_of(problem, i);
    loss += softplus(sign_of(problem, row) * row_dot(problem->x, row, problem->point));
  }
  return loss / (double)problem->samples;
}

/* The factor that scales a sample's gradient, of size |factor| |x|, to a norm of at most `clip`; 0: 1. */
static double clip_of(const cohort_probe_problem *problem, int64_t row, double factor, double clip) {
  if (clip <= 0) return 1;
  double square = 0;
  for (int64_t j = 0; j < problem->n; j++) {
    const double x = cohort_array_get(problem->x, row * problem->n + j);
    square += x * x;
  }
  const double norm = fabs(factor) * sqrt(square);
  return norm > clip ? clip / norm : 1;
}

/* A quadratic is one sample. */
static void clip_whole(const cohort_probe_problem *problem, double clip) {
  double square = 0;
  for (int64_t i = 0; i < problem->n; i++) square += problem->out[i] * problem->out[i];
  const double scale = clip > 0 && sqrt(square) > clip ? clip / sqrt(square) : 1;
  for (int64_t i = 0; i < problem->n; i++) problem->out[i] *= scale;
}

void cohort_probe_problem_gradient(const cohort_probe_problem *problem, const void *point, double clip, bool labels,
                                   void *gradient) {
  unpack(problem, point, problem->point);
  if (problem->A) {
    multiply(problem, problem->point);
    for (int64_t i = 0; i < problem->n; i++) problem->out[i] -= cohort_array_get(problem->b, i);
    clip_whole(problem, clip);
  } else {
    for (int64_t j = 0; j < problem->n; j++) problem->out[j] = 0;
    for (int64_t i = 0; i < problem->samples; i++) {
      const int64_t row = row_of(problem, i);
      const double z = row_dot(problem->x, row, problem->point);
      const double s = labels ? drawn_sign(problem, i, sigmoid(z)) : sign_of(problem, row);
      const double factor = -s * sigmoid(-s * z);
      add_sample(problem, row, factor * clip_of(problem, row, factor, clip));
    }
  }
  pack(problem, problem->out, gradient);
}

void cohort_probe_problem_product(const cohort_probe_problem *problem, const void *point, const void *vector,
                                  void *product) {
  unpack(problem, vector, problem->vector);
  if (problem->A) {
    multiply(problem, problem->vector);
  } else {
    unpack(problem, point, problem->point);
    for (int64_t j = 0; j < problem->n; j++) problem->out[j] = 0;
    for (int64_t i = 0; i < problem->samples; i++) {
      const int64_t row = row_of(problem, i);
      const double share = sigmoid(row_dot(problem->x, row, problem->point));
      add_sample(problem, row, share * (1 - share) * row_dot(problem->x, row, problem->vector));
    }
  }
  pack(problem, problem->out, product);
}

double cohort_probe_problem_divergence(const cohort_probe_problem *problem, const void *point, const void *before) {
  double sum = 0;
  unpack(problem, point, problem->point);
  unpack(problem, before, problem->vector);
  if (problem->A) {
    for (int64_t i = 0; i < problem->n; i++) problem->vector[i] = problem->point[i] - problem->vector[i];
    multiply(problem, problem->vector);
    for (int64_t i = 0; i < problem->n; i++) sum += problem->vector[i] * problem->out[i] / 2;
    return sum;
  }
  for (int64_t i = 0; i < problem->samples; i++) {
    const int64_t row = row_of(problem, i);
    const double to = row_dot(problem->x, row, problem->point), from = row_dot(problem->x, row, problem->vector);
    const double share = sigmoid(from);
    sum += share * (softplus(to) - softplus(from)) + (1 - share) * (softplus(-to) - softplus(-from));
  }
  return sum / (double)problem->samples;
}
