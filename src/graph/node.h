/* Inside of a graph; for the files of this folder alone. */
#ifndef COHORT_GRAPH_NODE_H
#define COHORT_GRAPH_NODE_H

#include "graph/graph.h"

typedef struct cohort_node {
  cohort_op op;
  int inputs, outputs;
  cohort_value input[COHORT_MAX_INPUTS];
  cohort_value first; /* its outputs are first, first + 1, ... */
  cohort_attributes attributes;
  char *name; /* scoped, unique in the graph */
} cohort_node;

typedef struct cohort_value_entry {
  int32_t node;
  int output;
  cohort_shape shape;
  cohort_type type;
  int8_t extent; /* of an input: 1 + its extent; 0: none */
} cohort_value_entry;

typedef struct cohort_extent {
  int64_t most;
  double mean;
} cohort_extent;

typedef struct cohort_graph_parameter_entry {
  cohort_parameter_tensor tensor;
  cohort_value value;
} cohort_graph_parameter_entry;

typedef struct cohort_graph_state_entry {
  cohort_parameter_tensor tensor;
  cohort_value value, next;
} cohort_graph_state_entry;

typedef struct cohort_graph_input_entry {
  char *name;
  cohort_value value;
} cohort_graph_input_entry;

/* How often a scoped name was asked for. */
typedef struct cohort_name_count {
  char *name;
  int count;
} cohort_name_count;

enum { COHORT_MAX_SCOPE = 1024, COHORT_MAX_DEPTH = 64 };

struct cohort_graph {
  cohort_node *node;
  cohort_value_entry *value;
  int32_t nodes, values;
  int32_t node_room, value_room;
  cohort_graph_parameter_entry **parameter; /* pointers, so that an entry never moves */
  int parameters, parameter_room;
  cohort_graph_state_entry **state; /* pointers, too */
  int states, state_room;
  cohort_graph_input_entry *input;
  int inputs, input_room;
  cohort_value *constant; /* constants so far: each number is one node */
  int constants, constant_room;
  cohort_name_count *name; /* open addressing; name_slots is a power of two */
  size_t names, name_slots;
  char scope[COHORT_MAX_SCOPE];
  size_t scope_length[COHORT_MAX_DEPTH];
  int depth;
  int space_depth;     /* of the scope that cohort_graph_enter_space entered; 0: none */
  size_t space_length; /* of the text that tensors' names leave out */
  int lanes, extents;
  cohort_extent extent[COHORT_MAX_EXTENTS];
  cohort_error error; /* the first fault; status COHORT_DONE when there is none */
};

/* Shape inference: what goes in and what comes out, or what is wrong. */
typedef struct cohort_inference {
  cohort_op op;
  int inputs, lanes;
  cohort_shape in[COHORT_MAX_INPUTS];
  cohort_type in_type[COHORT_MAX_INPUTS];
  const cohort_attributes *attributes;
  int outputs;
  cohort_shape out[COHORT_MAX_OUTPUTS];
  cohort_type out_type[COHORT_MAX_OUTPUTS];
  char fault[512]; /* "what; what to do" */
} cohort_inference;

/* False, with the fault, when the inputs do not fit the operation. */
bool cohort_infer(cohort_inference *inference);
bool cohort_infer_fused(cohort_inference *inference); /* the part of it for the fused operations */

bool cohort_shape_equal(cohort_shape a, cohort_shape b);

/* Remembers the first fault: "NAME: what; what to do". */
void cohort_graph_fault(cohort_graph *graph, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool cohort_graph_failed(const cohort_graph *graph);

/* Adds a node whose outputs are known; `name` NULL: the scope and the operation's name. */
cohort_value cohort_graph_append(cohort_graph *graph, const char *name, cohort_op op, int inputs,
                                 const cohort_value *input, const cohort_attributes *attributes, int outputs,
                                 const cohort_shape *shape, const cohort_type *type);
/* A leaf under exactly this name. */
cohort_value cohort_graph_add_parameter(cohort_graph *graph, const cohort_parameter_tensor *tensor);
bool cohort_graph_name_tensor(cohort_graph *graph, const char *name, cohort_parameter_tensor *tensor);
cohort_value cohort_graph_add_state(cohort_graph *graph, const cohort_parameter_tensor *tensor);
/* An integer scalar. */
cohort_value cohort_graph_integer(cohort_graph *graph, int32_t number);

/* Replaces the scope until it is restored. */
typedef struct cohort_graph_scope {
  char text[COHORT_MAX_SCOPE];
  int depth;
} cohort_graph_scope;
void cohort_graph_set_scope(cohort_graph *graph, cohort_graph_scope *saved, const char *prefix, const char *name);
void cohort_graph_restore_scope(cohort_graph *graph, const cohort_graph_scope *saved);

/* Target shapes of RESHAPE and BROADCAST stand in i0 (axes) and i1...; those of random rows in i1 and i2.... */
void cohort_attributes_set_shape(cohort_attributes *attributes, int at, cohort_shape shape);
cohort_shape cohort_attributes_shape(const cohort_attributes *attributes, int at);

/* Sums over the axes along which `shape` would be broadcast to x's shape. */
cohort_value cohort_graph_sum_to(cohort_graph *graph, cohort_value x, cohort_shape shape);

static inline bool cohort_op_is_leaf(cohort_op op) { return op <= COHORT_OP_IOTA; }
static inline bool cohort_op_is_view(cohort_op op) { return op == COHORT_OP_RESHAPE || op == COHORT_OP_STOP_GRADIENT; }
static inline bool cohort_op_is_lane(cohort_op op) { return op >= COHORT_OP_LANE_SUM && op <= COHORT_OP_LANE_TAKE; }

#endif
