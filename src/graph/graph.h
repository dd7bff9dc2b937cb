/* A static differentiable graph over dense tensors: build it here, differentiate it (gradient.h), decompose it
 * (decompose.h), plan it (plan.h), run it (executor.h).
 *
 * Builders never fail one by one: the first fault (a shape that does not fit ...) is remembered with the node's scoped
 * name, later calls return COHORT_NO_VALUE, and cohort_graph_status tells (COHORT_BAD_CONFIG). Integer values have no
 * gradient. Names are unique: a name used again in its scope gets #2, #3 ... in order; random nodes draw by their name.
 */
#ifndef COHORT_GRAPH_GRAPH_H
#define COHORT_GRAPH_GRAPH_H

#include <stdbool.h>

#include "base/status.h"
#include "kernel/operation.h"

typedef struct cohort_graph cohort_graph;

/* One output of one node. */
typedef int32_t cohort_value;
enum { COHORT_NO_VALUE = -1 };

cohort_graph *cohort_graph_create(void);
void cohort_graph_destroy(cohort_graph *graph);
cohort_status cohort_graph_status(const cohort_graph *graph, cohort_error *error);

/* Shape notation: cohort_shape_of(2, rows, columns); cohort_shape_of(0) is a scalar. */
cohort_shape cohort_shape_of(int axes, ...); /* the sizes as int64_t or int; at most COHORT_MAX_AXES */
#define COHORT_SHAPE(...) \
  ((cohort_shape){.axes = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .size = {__VA_ARGS__}})
#define COHORT_SCALAR_SHAPE ((cohort_shape){.axes = 0})

/* Names of nodes are scoped: "layer0/attention/query". */
void cohort_graph_enter(cohort_graph *graph, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cohort_graph_leave(cohort_graph *graph);
/* Enters a scope for the model of another space: nodes are named by it, but its tensors as if it were not there, so
 * that they are named, drawn and stored like those of the same model in space 0. No such scope inside another. */
void cohort_graph_enter_space(cohort_graph *graph, const char *name);

/* What a value is. */
cohort_shape cohort_graph_shape(const cohort_graph *graph, cohort_value value);
cohort_type cohort_graph_type(const cohort_graph *graph, cohort_value value);

/* Roles decide groups, initialisation and decay. */
typedef enum cohort_role {
  COHORT_ROLE_MATRIX, /* hidden matrix [out, in] */
  COHORT_ROLE_KERNEL, /* convolution weight [O, KH, KW, I] */
  COHORT_ROLE_VECTOR, /* bias */
  COHORT_ROLE_GAIN,   /* scale of a norm */
  COHORT_ROLE_EMBEDDING,
  COHORT_ROLE_HEAD, /* output matrix */
  COHORT_ROLE_SCALAR,
} cohort_role;
const char *cohort_role_name(cohort_role role);

typedef enum {
  COHORT_INITIAL_ZERO,
  COHORT_INITIAL_ONE,
  COHORT_INITIAL_NORMAL,
  COHORT_INITIAL_UNIFORM,
  COHORT_INITIAL_NUMBER
} cohort_initial;

/* How far an update sees: its pieces are whole elements, rows or tensors. */
typedef enum { COHORT_CUT_ELEMENT, COHORT_CUT_ROW, COHORT_CUT_TENSOR } cohort_cut;

/* A parameter tensor as a graph declares it; the space's table is made from these. */
typedef struct cohort_parameter_tensor {
  char name[96]; /* within its space: the scopes with '.' between them, "layer0.attention.query" */
  int space;     /* index of the space it belongs to: 0 for the model that is trained */
  cohort_shape shape;
  cohort_role role;
  cohort_initial initial;
  double scale; /* NORMAL: standard deviation; UNIFORM: bound; NUMBER: the number */
  bool bounded; /* its elements stay at least `minimum` after every update */
  double minimum;
} cohort_parameter_tensor;

/* Leaves. Declaring the same (space, name) twice returns the same value and must agree in shape. */
cohort_value cohort_graph_parameter(cohort_graph *graph, int space, const char *name, cohort_shape shape,
                                    cohort_role role, cohort_initial initial, double scale);
/* Keeps the elements of a parameter at least `minimum`. */
void cohort_graph_bound(cohort_graph *graph, cohort_value parameter, double minimum);
cohort_value cohort_graph_input(cohort_graph *graph, const char *name, cohort_type type, cohort_shape shape);
/* Ragged inputs: their first axis has room for `most` rows, of which a run uses the first few
 * (cohort_bindings.extent); what is computed of them is then computed for those rows alone, with the bits of a run
 * whose other rows are padding. `mean`: rows in use in the mean, for the count of FLOPs alone. An extent's number is
 * that of its declaration, from 0; where a graph does more with rows than plans can shorten (a permutation that moves
 * them ...), all `most` are computed. */
enum { COHORT_MAX_EXTENTS = 4 };
int cohort_graph_add_extent(cohort_graph *graph, int64_t most, double mean);
void cohort_graph_ragged(cohort_graph *graph, cohort_value input, int extent);
/* Numbers that are kept from one batch to the next: a model's running statistics, a loss's weights. Bound like an
 * input, named by the scope like a parameter; a second declaration gives the same value. */
cohort_value cohort_graph_state(cohort_graph *graph, const char *name, cohort_shape shape, double initial);
/* What a state becomes when the step is applied: of its shape, and the same in every lane. The first call for a state
 * counts: a model that is asked again changes nothing. */
void cohort_graph_set_next(cohort_graph *graph, cohort_value state, cohort_value next);
int cohort_graph_states(const cohort_graph *graph);
/* `value` and `next` may be NULL; *next: COHORT_NO_VALUE when it stays as it is. */
const cohort_parameter_tensor *cohort_graph_state_at(const cohort_graph *graph, int index, cohort_value *value,
                                                     cohort_value *next);
cohort_value cohort_graph_constant(cohort_graph *graph, double number);
cohort_value cohort_graph_iota(cohort_graph *graph, int64_t count);

/* Parameters in order of declaration; inputs by name. */
int cohort_graph_parameters(const cohort_graph *graph);
const cohort_parameter_tensor *cohort_graph_parameter_at(const cohort_graph *graph, int index, cohort_value *value);
cohort_value cohort_graph_find_input(const cohort_graph *graph, const char *name); /* COHORT_NO_VALUE when absent */
int cohort_graph_inputs(const cohort_graph *graph);
cohort_value cohort_graph_input_at(const cohort_graph *graph, int index, const char **name);

/* Whether a node drops out. */
bool cohort_graph_drops_out(const cohort_graph *graph);

/* Lanes: LANE_GATHER and LANE_TAKE need to know how many there are; set before building (default 1). */
void cohort_graph_set_lanes(cohort_graph *graph, int lanes);

/* The general builder: adds a node, infers shapes; returns its first output, others are the next values. */
cohort_value cohort_graph_add_node(cohort_graph *graph, cohort_op op, int inputs, const cohort_value *input,
                                   const cohort_attributes *attributes);

/* Builders, each named after its operation; see kernel/operation.h for the meaning. */
cohort_value cohort_graph_unary(cohort_graph *graph, cohort_op op, cohort_value x);
cohort_value cohort_graph_binary(cohort_graph *graph, cohort_op op, cohort_value a, cohort_value b);
cohort_value cohort_graph_add(cohort_graph *graph, cohort_value a, cohort_value b);
cohort_value cohort_graph_subtract(cohort_graph *graph, cohort_value a, cohort_value b);
cohort_value cohort_graph_multiply(cohort_graph *graph, cohort_value a, cohort_value b);
cohort_value cohort_graph_divide(cohort_graph *graph, cohort_value a, cohort_value b);
cohort_value cohort_graph_scale(cohort_graph *graph, cohort_value x, double factor); /* x * constant */
cohort_value cohort_graph_shift(cohort_graph *graph, cohort_value x, double term);   /* x + constant */
cohort_value cohort_graph_less(cohort_graph *graph, cohort_value a, cohort_value b);
cohort_value cohort_graph_less_equal(cohort_graph *graph, cohort_value a, cohort_value b);
cohort_value cohort_graph_equal(cohort_graph *graph, cohort_value a, cohort_value b);
cohort_value cohort_graph_select(cohort_graph *graph, cohort_value condition, cohort_value a, cohort_value b);
cohort_value cohort_graph_cast(cohort_graph *graph, cohort_value integer);
cohort_value cohort_graph_stop_gradient(cohort_graph *graph, cohort_value x);
cohort_value cohort_graph_reverse_gradient(cohort_graph *graph, cohort_value x); /* x, with minus its derivative */
cohort_value cohort_graph_log_sigmoid(cohort_graph *graph, cohort_value x);      /* -softplus(-x) */
cohort_value cohort_graph_reshape(cohort_graph *graph, cohort_value x, cohort_shape shape);
cohort_value cohort_graph_permute(cohort_graph *graph, cohort_value x, const int *axes);
cohort_value cohort_graph_broadcast(cohort_graph *graph, cohort_value x, cohort_shape shape);
cohort_value cohort_graph_slice(cohort_graph *graph, cohort_value x, int axis, int64_t first, int64_t count);
cohort_value cohort_graph_pad(cohort_graph *graph, cohort_value x, int axis, int64_t before, int64_t after);
cohort_value cohort_graph_concat(cohort_graph *graph, int axis, int count, const cohort_value *parts);
cohort_value cohort_graph_flip(cohort_graph *graph, cohort_value x, int axis);
cohort_value cohort_graph_sum(cohort_graph *graph, cohort_value x, unsigned axes_mask); /* kept with size 1 */
cohort_value cohort_graph_sum_all(cohort_graph *graph, cohort_value x);                 /* a scalar */
/* The terms that cohort_graph_sum_all made a scalar of; of other values themselves. */
cohort_value cohort_graph_summed(const cohort_graph *graph, cohort_value scalar);
cohort_value cohort_graph_max(cohort_graph *graph, cohort_value x, unsigned axes_mask);
cohort_value cohort_graph_argmax(cohort_graph *graph, cohort_value x);
cohort_value cohort_graph_argsort(cohort_graph *graph, cohort_value x);
cohort_value cohort_graph_sort(cohort_graph *graph, cohort_value x); /* a vector, in rising order */
cohort_value cohort_graph_logsumexp(cohort_graph *graph, cohort_value x);
cohort_value cohort_graph_cumsum(cohort_graph *graph, cohort_value x, int axis, bool from_the_end);
cohort_value cohort_graph_gather(cohort_graph *graph, cohort_value table, cohort_value index);
cohort_value cohort_graph_scatter_add(cohort_graph *graph, cohort_value rows, cohort_value index, int64_t count);
cohort_value cohort_graph_take_along(cohort_graph *graph, cohort_value x, cohort_value index);
cohort_value cohort_graph_put_along(cohort_graph *graph, cohort_value v, cohort_value index, int64_t columns);
cohort_value cohort_graph_matmul(cohort_graph *graph, cohort_value a, cohort_value b, bool transpose_a,
                                 bool transpose_b);
cohort_value cohort_graph_convolution(cohort_graph *graph, cohort_value x, cohort_value weight, int stride,
                                      int padding);
cohort_value cohort_graph_window_max(cohort_graph *graph, cohort_value x, int window, int stride);
cohort_value cohort_graph_random_rows(
    cohort_graph *graph, cohort_op op, cohort_value ids, cohort_value positions,
    cohort_shape shape); /* op: COHORT_OP_RANDOM_UNIFORM or _NORMAL; keyed by the node's name */
cohort_value cohort_graph_dropout(cohort_graph *graph, cohort_value x, cohort_value ids, cohort_value positions,
                                  double p);
cohort_value cohort_graph_lane_sum(cohort_graph *graph, cohort_value x);
cohort_value cohort_graph_lane_max(cohort_graph *graph, cohort_value x);
cohort_value cohort_graph_lane_gather(cohort_graph *graph, cohort_value x);
cohort_value cohort_graph_segment_sum(cohort_graph *graph, cohort_value x, cohort_value segments, int64_t count);
cohort_value cohort_graph_gelu(cohort_graph *graph, cohort_value x, bool exact);
cohort_value cohort_graph_swiglu(cohort_graph *graph, cohort_value a, cohort_value b);
cohort_value cohort_graph_relu(cohort_graph *graph, cohort_value x);
cohort_value cohort_graph_layer_norm(cohort_graph *graph, cohort_value x, cohort_value gain, cohort_value bias,
                                     double epsilon);
cohort_value cohort_graph_rms_norm(cohort_graph *graph, cohort_value x, cohort_value gain, double epsilon);
cohort_value cohort_graph_group_norm(cohort_graph *graph, cohort_value x, cohort_value gain, cohort_value bias,
                                     int groups, double epsilon);
/* relu(group norm + added); COHORT_NO_VALUE: nothing is added. */
cohort_value cohort_graph_group_norm_relu(cohort_graph *graph, cohort_value x, cohort_value gain, cohort_value bias,
                                          cohort_value added, int groups, double epsilon);
/* Wavelengths from 2 pi to 2 pi theta tokens; with a factor above 0 they are stretched for longer texts: by `factor`
 * those above context / low, not at all those below context / high, in between by a mixture (Llama 3); context 0: all
 * of them. */
typedef struct cohort_rotary {
  double theta, factor, low, high;
  int64_t context;
} cohort_rotary;
cohort_value cohort_graph_rotary(cohort_graph *graph, cohort_value x, cohort_value positions, cohort_rotary rotary);
cohort_value cohort_graph_attention(cohort_graph *graph, cohort_value query, cohort_value key, cohort_value value,
                                    cohort_value segments, double scale, double reads);
/* keys [S, G, B, D, 64] and values [S, G, 64 B, D] are inputs that the operation writes to. */
cohort_value cohort_graph_attention_cached(cohort_graph *graph, cohort_value query, cohort_value key,
                                           cohort_value value, cohort_value slots, cohort_value positions,
                                           cohort_value keys, cohort_value values, double scale);
cohort_value cohort_graph_softmax_cross_entropy(cohort_graph *graph, cohort_value logits, cohort_value target,
                                                double label_smoothing); /* per row */
/* Outputs in this order: log p(target), logsumexp, mean log p, entropy; each [rows]. */
typedef struct cohort_head_outputs {
  cohort_value log_probability, logsumexp, mean_log_probability, entropy;
} cohort_head_outputs;
cohort_head_outputs cohort_graph_vocabulary_head(cohort_graph *graph, cohort_value x, cohort_value weight,
                                                 cohort_value target);

/* KL from the others' distribution to x's, of every row [rows]. The others are constants. */
cohort_value cohort_graph_vocabulary_divergence(cohort_graph *graph, cohort_value x, cohort_value weight,
                                                cohort_value other_x, cohort_value other_weight);

/* "[3, 4]" into out; returns out. */
enum { COHORT_SHAPE_TEXT = 160 };
const char *cohort_shape_text(cohort_shape shape, char out[COHORT_SHAPE_TEXT]);

#endif
