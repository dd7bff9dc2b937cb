/* Probe of a loss: value, values by sample, gradient and Hessian product with a direction. */
#include "method/loss/loss.h"

#include <math.h>

#include "graph/decompose.h"
#include "graph/gradient.h"
#include "probe/probe.h"

enum { LEAVES = 5 };

/* loss = sum over rows of weight * per_sample, times inverse_count. */
typedef struct loss_graph {
  cohort_graph *graph;
  cohort_value input, target, weight, inverse_count, per_sample, loss;
} loss_graph;

static loss_graph build(const cohort_probe_state *probe, int64_t rows, int64_t columns) {
  const cohort_loss *functions = probe->choice.method->functions;
  const bool class = functions->target == COHORT_TARGET_CLASS;
  const cohort_shape matrix = COHORT_SHAPE(rows, columns), vector = COHORT_SHAPE(rows);
  loss_graph own = {.graph = cohort_graph_create()};
  own.input = cohort_graph_input(own.graph, "input", COHORT_TYPE_REAL, matrix);
  own.target =
      cohort_graph_input(own.graph, "target", class ? COHORT_TYPE_INTEGER : COHORT_TYPE_REAL, class ? vector : matrix);
  own.weight = cohort_graph_input(own.graph, "weight", COHORT_TYPE_REAL, vector);
  own.inverse_count = cohort_graph_input(own.graph, "inverse_count", COHORT_TYPE_REAL, COHORT_SCALAR_SHAPE);
  own.per_sample = functions->build(probe->choice.config, own.graph, own.input, own.target);
  const cohort_value sum =
      cohort_graph_sum_all(own.graph, cohort_graph_multiply(own.graph, own.per_sample, own.weight));
  own.loss = cohort_graph_multiply(own.graph, sum, own.inverse_count);
  return own;
}

/* Rows that are not ignored. */
static int64_t count_rows(const cohort_array *target, int64_t rows) {
  if (target->type == COHORT_ARRAY_FLOAT32 || target->type == COHORT_ARRAY_FLOAT64) return rows;
  int64_t count = 0;
  for (int64_t r = 0; r < rows; r++) count += cohort_array_get(target, r) >= 0;
  return count;
}

static void bind_leaves(cohort_probe_state *probe, const loss_graph *graph, int64_t rows, cohort_probe_leaf *leaf) {
  const cohort_array *target = cohort_probe_input(probe, "target"), *weight = cohort_probe_input(probe, "weight");
  const bool class = cohort_graph_type(graph->graph, graph->target) == COHORT_TYPE_INTEGER;
  const size_t real = cohort_probe_real_size(probe);
  void *weights = weight ? cohort_probe_reals(probe, weight) : cohort_probe_memory(probe, (size_t)rows * real);
  for (int64_t r = 0; !weight && r < rows; r++) cohort_probe_set(probe, weights, r, 1);
  void *inverse = cohort_probe_memory(probe, real);
  const int64_t count = count_rows(target, rows);
  cohort_probe_set(probe, inverse, 0, count ? 1 / (double)count : 0);
  leaf[0] = (cohort_probe_leaf){graph->input, cohort_probe_reals(probe, cohort_probe_input(probe, "input"))};
  leaf[1] = (cohort_probe_leaf){graph->target, NULL};
  if (class)
    leaf[1].data = cohort_probe_integers(probe, target);
  else
    leaf[1].data = cohort_probe_reals(probe, target);
  leaf[2] = (cohort_probe_leaf){graph->weight, weights};
  leaf[3] = (cohort_probe_leaf){graph->inverse_count, inverse};
}

static cohort_status evaluate_product(cohort_probe_state *probe, const loss_graph *graph, const cohort_probe_leaf *leaf,
                                      const cohort_array *direction, cohort_error *error) {
  COHORT_TRY(cohort_graph_status(graph->graph, error));
  const cohort_shape matrix = cohort_graph_shape(graph->graph, graph->input);
  cohort_value *map = cohort_probe_memory(probe, (size_t)cohort_graph_values(graph->graph) * sizeof *map);
  cohort_graph *small = cohort_graph_decompose(graph->graph, COHORT_DECOMPOSE_ALL, map);
  cohort_probe_leaf own[LEAVES];
  for (int i = 0; i < LEAVES - 1; i++) own[i] = (cohort_probe_leaf){map[leaf[i].value], leaf[i].data};
  own[LEAVES - 1] = (cohort_probe_leaf){cohort_graph_input(small, "direction", COHORT_TYPE_REAL, matrix),
                                        cohort_probe_reals(probe, direction)};
  const cohort_value wrt = map[graph->input];
  cohort_value product = COHORT_NO_VALUE;
  cohort_value gradient;
  cohort_graph_gradient(small, map[graph->loss], COHORT_NO_VALUE, 1, &wrt, &gradient);
  cohort_graph_hessian_product(small, 1, &gradient, &wrt, &own[LEAVES - 1].value, &product);
  const cohort_probe_wanted wanted = {product, "hvp", matrix};
  const cohort_status status = cohort_probe_evaluate(probe, small, LEAVES, own, 1, &wanted, error);
  cohort_graph_destroy(small);
  return status;
}

static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  const cohort_array *input = cohort_probe_input(probe, "input"), *direction = cohort_probe_input(probe, "direction");
  const int64_t rows = input->size[0], columns = input->size[1];
  loss_graph graph = build(probe, rows, columns);
  cohort_probe_leaf leaf[LEAVES];
  bind_leaves(probe, &graph, rows, leaf);
  cohort_status status = COHORT_DONE;
  if (direction) status = evaluate_product(probe, &graph, leaf, direction, error);
  if (status == COHORT_DONE) {
    cohort_value gradient = COHORT_NO_VALUE;
    cohort_graph_gradient(graph.graph, graph.loss, COHORT_NO_VALUE, 1, &graph.input, &gradient);
    const cohort_probe_wanted wanted[] = {{graph.loss, "loss", COHORT_SCALAR_SHAPE},
                                          {graph.per_sample, "per_sample", COHORT_SHAPE(rows)},
                                          {gradient, "gradient", COHORT_SHAPE(rows, columns)}};
    status = cohort_probe_evaluate(probe, graph.graph, LEAVES - 1, leaf, 3, wanted, error);
  }
  cohort_graph_destroy(graph.graph);
  return status;
}

const cohort_probe_program cohort_probe_loss = {.family = "loss", .run = run};
