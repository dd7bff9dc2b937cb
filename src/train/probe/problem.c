#include "train/probe/problem.h"

#include <math.h>

void cohort_probe_problem_create(cohort_probe_state *probe, const cohort_probe_updater *updater,
                                 cohort_probe_problem *out) {
  *out = (cohort_probe_problem){.probe = probe, .updater = updater};
  out->A = cohort_probe_input(probe, "problem/A");
  out->b = cohort_probe_input(probe, "problem/b");
  out->x = cohort_probe_input(probe, "problem/x");
  out->y = cohort_probe_input(probe, "problem/y");
  if (!out->A && !out->x) return;
  out->n = cohort_probe_size_of(probe, "n");
  out->samples = out->x ? out->x->size[0] : 0;
  const size_t bytes = (size_t)out->n * sizeof(double);
  out->point = cohort_probe_memory(probe, bytes);
  out->vector = cohort_probe_memory(probe, bytes);
  out->out = cohort_probe_memory(probe, bytes);
}

static void unpack(const cohort_probe_problem *problem, const void *flat, double *packed) {
  const cohort_probe_updater *updater = problem->updater;
  for (int t = 0; t < updater->tensors; t++)
    for (int64_t e = 0; e < updater->tensor[t].elements; e++)
      *packed++ = cohort_probe_get(problem->probe, flat, updater->tensor[t].offset + e);
}

static void pack(const cohort_probe_problem *problem, const double *packed, void *flat) {
  const cohort_probe_updater *updater = problem->updater;
  for (int t = 0; t < updater->tensors; t++)
    for (int64_t e = 0; e < updater->tensor[t].elements; e++)
      cohort_probe_set(problem->probe, flat, updater->tensor[t].offset + e, *packed++);
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
static void add_sample(const cohort_probe_problem *problem, int64_t sample, double factor) {
  for (int64_t j = 0; j < problem->n; j++)
    problem->out[j] += factor / (double)problem->samples * cohort_array_get(problem->x, sample * problem->n + j);
}

static double sigmoid(double z) { return 1 / (1 + exp(-z)); }

void cohort_probe_problem_gradient(const cohort_probe_problem *problem, const void *point, void *gradient) {
  unpack(problem, point, problem->point);
  if (problem->A) {
    multiply(problem, problem->point);
    for (int64_t i = 0; i < problem->n; i++) problem->out[i] -= cohort_array_get(problem->b, i);
  } else {
    for (int64_t j = 0; j < problem->n; j++) problem->out[j] = 0;
    for (int64_t i = 0; i < problem->samples; i++) {
      const double s = 2 * cohort_array_get(problem->y, i) - 1;
      add_sample(problem, i, -s * sigmoid(-s * row_dot(problem->x, i, problem->point)));
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
      const double share = sigmoid(row_dot(problem->x, i, problem->point));
      add_sample(problem, i, share * (1 - share) * row_dot(problem->x, i, problem->vector));
    }
  }
  pack(problem, problem->out, product);
}
