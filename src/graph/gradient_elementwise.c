/* Derivatives of the elementwise operations. */
#include "graph/gradient_rule.h"

static const double two_over_root_pi = 1.12837916709551257390;

static cohort_value unary(cohort_rule *rule, cohort_op op, cohort_value x) {
  return cohort_graph_unary(rule->graph, op, x);
}

/* 1 - x */
static cohort_value one_minus(cohort_rule *rule, cohort_value x) {
  return cohort_graph_subtract(rule->graph, cohort_graph_constant(rule->graph, 1), x);
}

/* dy/dx of the unary operations from x and y. */
static cohort_value slope(cohort_rule *rule) {
  cohort_graph *graph = rule->graph;
  const cohort_value x = rule->node.input[0], y = rule->y[0];
  switch (rule->node.op) {
    case COHORT_OP_ABSOLUTE:
      return unary(rule, COHORT_OP_SIGN, x);
    case COHORT_OP_EXPONENTIAL:
      return y;
    case COHORT_OP_EXPM1:
      return cohort_graph_shift(graph, y, 1);
    case COHORT_OP_RECIPROCAL_ROOT:
      return cohort_graph_scale(graph, cohort_graph_multiply(graph, y, cohort_graph_multiply(graph, y, y)), -0.5);
    case COHORT_OP_SINE:
      return unary(rule, COHORT_OP_COSINE, x);
    case COHORT_OP_COSINE:
      return unary(rule, COHORT_OP_NEGATE, unary(rule, COHORT_OP_SINE, x));
    case COHORT_OP_TANH:
      return one_minus(rule, cohort_graph_multiply(graph, y, y));
    case COHORT_OP_SIGMOID:
      return cohort_graph_multiply(graph, y, one_minus(rule, y));
    case COHORT_OP_SOFTPLUS:
      return unary(rule, COHORT_OP_SIGMOID, x);
    default: { /* COHORT_OP_ERROR_FUNCTION */
      const cohort_value square = cohort_graph_multiply(graph, x, x);
      return cohort_graph_scale(graph, unary(rule, COHORT_OP_EXPONENTIAL, unary(rule, COHORT_OP_NEGATE, square)),
                                two_over_root_pi);
    }
  }
}

static void by_slope(cohort_rule *rule) { rule->dx[0] = cohort_graph_multiply(rule->graph, rule->dy[0], slope(rule)); }
static void negate(cohort_rule *rule) { rule->dx[0] = unary(rule, COHORT_OP_NEGATE, rule->dy[0]); }

static void by_quotient(cohort_rule *rule) {
  cohort_graph *graph = rule->graph;
  const cohort_value x = rule->node.input[0], dy = rule->dy[0];
  if (rule->node.op == COHORT_OP_SQUARE_ROOT) {
    rule->dx[0] = cohort_graph_divide(graph, cohort_graph_scale(graph, dy, 0.5), rule->y[0]);
  } else {
    rule->dx[0] =
        cohort_graph_divide(graph, dy, rule->node.op == COHORT_OP_LOG1P ? cohort_graph_shift(graph, x, 1) : x);
  }
}

static void add(cohort_rule *rule) {
  for (int i = 0; i < 2; i++)
    if (rule->wanted[i]) cohort_rule_give(rule, i, rule->dy[0]);
}

static void subtract(cohort_rule *rule) {
  if (rule->wanted[0]) cohort_rule_give(rule, 0, rule->dy[0]);
  if (rule->wanted[1]) {
    const cohort_value down = cohort_graph_sum_to(rule->graph, rule->dy[0], cohort_rule_shape(rule, 1));
    rule->dx[1] = unary(rule, COHORT_OP_NEGATE, down);
  }
}

static void multiply(cohort_rule *rule) {
  for (int i = 0; i < 2; i++)
    if (rule->wanted[i])
      cohort_rule_give(rule, i, cohort_graph_multiply(rule->graph, rule->dy[0], rule->node.input[1 - i]));
}

static void divide(cohort_rule *rule) {
  cohort_graph *graph = rule->graph;
  const cohort_value quotient = cohort_graph_divide(graph, rule->dy[0], rule->node.input[1]);
  if (rule->wanted[0]) cohort_rule_give(rule, 0, quotient);
  if (rule->wanted[1])
    cohort_rule_give(rule, 1, unary(rule, COHORT_OP_NEGATE, cohort_graph_multiply(graph, quotient, rule->y[0])));
}

/* d a^b = b a^(b-1) da + a^b log(a) db; the second is 0 where a <= 0. */
static void power(cohort_rule *rule) {
  cohort_graph *graph = rule->graph;
  const cohort_value a = rule->node.input[0], b = rule->node.input[1], dy = rule->dy[0];
  if (rule->wanted[0]) {
    const cohort_value lower = cohort_graph_binary(graph, COHORT_OP_POWER, a, cohort_graph_shift(graph, b, -1));
    cohort_rule_give(rule, 0, cohort_graph_multiply(graph, dy, cohort_graph_multiply(graph, b, lower)));
  }
  if (rule->wanted[1]) {
    const cohort_value zero = cohort_graph_constant(graph, 0);
    const cohort_value positive = cohort_graph_less(graph, zero, a);
    const cohort_value safe = cohort_graph_select(graph, positive, a, cohort_graph_constant(graph, 1));
    const cohort_value product = cohort_graph_multiply(graph, rule->y[0], unary(rule, COHORT_OP_LOG, safe));
    cohort_rule_give(rule, 1, cohort_graph_multiply(graph, dy, cohort_graph_select(graph, positive, product, zero)));
  }
}

/* The cotangent goes to the one that is taken, to b where they are equal: so max(x, 0) has derivative 0 at 0. */
static void extremum(cohort_rule *rule) {
  cohort_graph *graph = rule->graph;
  const cohort_value a = rule->node.input[0], b = rule->node.input[1], zero = cohort_graph_constant(graph, 0);
  const bool maximum = rule->node.op == COHORT_OP_MAXIMUM;
  const cohort_value taken = maximum ? cohort_graph_less(graph, b, a) : cohort_graph_less(graph, a, b);
  if (rule->wanted[0]) cohort_rule_give(rule, 0, cohort_graph_select(graph, taken, rule->dy[0], zero));
  if (rule->wanted[1]) cohort_rule_give(rule, 1, cohort_graph_select(graph, taken, zero, rule->dy[0]));
}

static void select_one(cohort_rule *rule) {
  cohort_graph *graph = rule->graph;
  const cohort_value condition = rule->node.input[0], zero = cohort_graph_constant(graph, 0);
  if (rule->wanted[1]) cohort_rule_give(rule, 1, cohort_graph_select(graph, condition, rule->dy[0], zero));
  if (rule->wanted[2]) cohort_rule_give(rule, 2, cohort_graph_select(graph, condition, zero, rule->dy[0]));
}

cohort_rule_function cohort_rule_elementwise(cohort_op op) {
  switch (op) {
    case COHORT_OP_NEGATE:
      return negate;
    case COHORT_OP_ABSOLUTE:
    case COHORT_OP_EXPONENTIAL:
    case COHORT_OP_EXPM1:
    case COHORT_OP_RECIPROCAL_ROOT:
    case COHORT_OP_SINE:
    case COHORT_OP_COSINE:
    case COHORT_OP_TANH:
    case COHORT_OP_SIGMOID:
    case COHORT_OP_SOFTPLUS:
    case COHORT_OP_ERROR_FUNCTION:
      return by_slope;
    case COHORT_OP_LOG:
    case COHORT_OP_LOG1P:
    case COHORT_OP_SQUARE_ROOT:
      return by_quotient;
    case COHORT_OP_ADD:
      return add;
    case COHORT_OP_SUBTRACT:
      return subtract;
    case COHORT_OP_MULTIPLY:
      return multiply;
    case COHORT_OP_DIVIDE:
      return divide;
    case COHORT_OP_POWER:
      return power;
    case COHORT_OP_MINIMUM:
    case COHORT_OP_MAXIMUM:
      return extremum;
    case COHORT_OP_SELECT:
      return select_one;
    default:
      return NULL;
  }
}
