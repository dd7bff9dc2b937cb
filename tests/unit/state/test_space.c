/* Spaces: two of one model begin alike, whoever holds which pieces, and tensors are named within their space. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "state/space.h"

static void declare(cohort_graph *graph, int space) {
  cohort_graph_enter(graph, "layer%d", 0);
  cohort_graph_parameter(graph, space, "matrix", COHORT_SHAPE(40, 90), COHORT_ROLE_MATRIX, COHORT_INITIAL_NORMAL, 0.02);
  cohort_graph_parameter(graph, space, "bias", COHORT_SHAPE(5), COHORT_ROLE_VECTOR, COHORT_INITIAL_UNIFORM, 0.5);
  cohort_graph_leave(graph);
  cohort_graph_parameter(graph, space, "gain", COHORT_SHAPE(7), COHORT_ROLE_GAIN, COHORT_INITIAL_ONE, 0);
}

/* The same model twice: trained, and as a reference in a scope of its own. */
static cohort_graph *make_graph(void) {
  cohort_graph *graph = cohort_graph_create();
  declare(graph, 0);
  cohort_graph_enter_space(graph, "reference");
  declare(graph, 1);
  cohort_graph_leave(graph);
  cohort_graph_parameter(graph, 0, "last", COHORT_SHAPE(3), COHORT_ROLE_VECTOR, COHORT_INITIAL_ZERO, 0);
  return graph;
}

static void tensors_are_named_within_their_space(void) {
  static const char *const names[] = {"layer0.matrix", "layer0.bias", "gain", "layer0.matrix",
                                      "layer0.bias",   "gain",        "last"};
  static const int spaces[] = {0, 0, 0, 1, 1, 1, 0};
  cohort_graph *graph = make_graph();
  CU_ASSERT_EQUAL_FATAL(cohort_graph_status(graph, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(cohort_graph_parameters(graph), 7);
  for (int p = 0; p < 7; p++) {
    const cohort_parameter_tensor *tensor = cohort_graph_parameter_at(graph, p, NULL);
    CU_ASSERT_STRING_EQUAL(tensor->name, names[p]);
    CU_ASSERT_EQUAL(tensor->space, spaces[p]);
  }
  cohort_graph_destroy(graph);
}

static void a_space_inside_a_space_is_refused(void) {
  cohort_graph *graph = cohort_graph_create();
  cohort_error error;
  cohort_graph_enter_space(graph, "reference");
  cohort_graph_enter_space(graph, "other");
  CU_ASSERT_EQUAL(cohort_graph_status(graph, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "reference"));
  cohort_graph_destroy(graph);
}

/* The reference's pieces are drawn by two holders. */
static void two_spaces_begin_alike(void) {
  cohort_graph *graph = make_graph();
  const cohort_random_key key = cohort_random_key_from_seed(3);
  cohort_space *model = cohort_space_create(graph, 0, "model"), *reference = cohort_space_create(graph, 1, "reference");
  cohort_graph_destroy(graph);
  CU_ASSERT_EQUAL_FATAL(cohort_space_hold(model, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(cohort_space_hold(reference, NULL), COHORT_DONE);
  cohort_space_initialise(model, key, NULL);
  CU_ASSERT(reference->pieces > 3);
  for (int member = 0; member < 2; member++) {
    bool *held = calloc((size_t)reference->pieces, sizeof *held);
    for (int p = 0; p < reference->pieces; p++) held[p] = p % 2 == member;
    cohort_space_initialise(reference, key, held);
    free(held);
  }
  CU_ASSERT_EQUAL(reference->tensors, 3);
  CU_ASSERT_EQUAL(memcmp(model->values, reference->values, (size_t)reference->elements * sizeof(float)), 0);
  CU_ASSERT(model->values[0] != 0 && model->values[0] != model->values[1]);
  cohort_space_destroy(model);
  cohort_space_destroy(reference);
}

static const check checks[] = {{"tensors are named within their space", tensors_are_named_within_their_space},
                               {"a space inside a space is refused", a_space_inside_a_space_is_refused},
                               {"two spaces begin alike", two_spaces_begin_alike}};
int main(void) { return check_run("space", checks, sizeof checks / sizeof *checks); }
