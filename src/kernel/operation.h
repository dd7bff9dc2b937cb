/* The operations of the graph: their names, and what a kernel is given when it runs one.
 *
 * Tensors are dense, row-major, of type real (float or double: the variant's) or integer (int32). An operation never
 * sees a rank, a lane's number or a file. `i` below are attributes.integers, `r` attributes.reals. Rows are all leading
 * axes, columns the last axis. An index below 0 means "none": gather gives zeros there, sums drop it. */
#ifndef COHORT_KERNEL_OPERATION_H
#define COHORT_KERNEL_OPERATION_H

#include <stdint.h>

#include "base/random.h"
#include "base/team.h"

enum {
  COHORT_MAX_AXES = 6,
  COHORT_MAX_INPUTS = 9,
  COHORT_MAX_OUTPUTS = 4,
  COHORT_MAX_INTEGERS = 14,
  COHORT_MAX_REALS = 4
};

typedef struct cohort_shape {
  int axes; /* 0: a scalar */
  int64_t size[COHORT_MAX_AXES];
} cohort_shape;

static inline int64_t cohort_shape_elements(cohort_shape shape) {
  int64_t elements = 1;
  for (int axis = 0; axis < shape.axes; axis++) elements *= shape.size[axis];
  return elements;
}
static inline int64_t cohort_shape_columns(cohort_shape shape) { return shape.axes ? shape.size[shape.axes - 1] : 1; }
static inline int64_t cohort_shape_rows(cohort_shape shape) {
  int64_t rows = 1;
  for (int axis = 0; axis + 1 < shape.axes; axis++) rows *= shape.size[axis];
  return rows;
}

/* Positions in a block of cached keys (COHORT_OP_ATTENTION_CACHED). */
enum { COHORT_CACHE_BLOCK = 64 };

typedef enum { COHORT_TYPE_REAL, COHORT_TYPE_INTEGER } cohort_type;

typedef struct cohort_attributes {
  int64_t integers[COHORT_MAX_INTEGERS];
  double reals[COHORT_MAX_REALS];
} cohort_attributes;

/* Several short ones a line. */
/* clang-format off */
typedef enum cohort_op {
  /* leaves: bound or constant, never run */
  COHORT_OP_PARAMETER, /* a tensor of a space */
  COHORT_OP_INPUT,     /* named input */
  COHORT_OP_CONSTANT,  /* scalar r0, type real or integer: filled once when a plan is made */
  COHORT_OP_IOTA,      /* integer [i0]: 0, 1, ... i0-1: filled once when a plan is made */
  /* elementwise, one real input */
  COHORT_OP_NEGATE, COHORT_OP_ABSOLUTE, COHORT_OP_SIGN, COHORT_OP_EXPONENTIAL, COHORT_OP_LOG, COHORT_OP_LOG1P,
  COHORT_OP_EXPM1, COHORT_OP_SQUARE_ROOT, COHORT_OP_RECIPROCAL_ROOT, COHORT_OP_SINE, COHORT_OP_COSINE, COHORT_OP_TANH,
  COHORT_OP_SIGMOID, COHORT_OP_SOFTPLUS, COHORT_OP_ERROR_FUNCTION, COHORT_OP_ROUND,
  COHORT_OP_CAST,          /* integer -> real */
  COHORT_OP_STOP_GRADIENT, /* identity without a derivative; a view */
  /* elementwise, two inputs of one type (real, or integer for COMPARE), shapes broadcast as in numpy */
  COHORT_OP_ADD, COHORT_OP_SUBTRACT, COHORT_OP_MULTIPLY, COHORT_OP_DIVIDE, COHORT_OP_POWER, COHORT_OP_MINIMUM,
  COHORT_OP_MAXIMUM,
  COHORT_OP_COMPARE, /* i0: 0 a<b, 1 a<=b, 2 a==b; real 1 or 0 (also for integer inputs) */
  COHORT_OP_SELECT,  /* (condition, a, b): condition != 0 ? a : b; broadcast */
  /* movement */
  COHORT_OP_RESHAPE,   /* same elements; a view */
  COHORT_OP_PERMUTE,   /* i[k]: which input axis becomes output axis k */
  COHORT_OP_BROADCAST, /* to the output's shape, as in numpy */
  COHORT_OP_SLICE,     /* i0 axis, i1 first, i2 count */
  COHORT_OP_PAD,       /* i0 axis, i1 before, i2 after; zeros */
  COHORT_OP_CONCAT,    /* i0 axis; 1 to 8 inputs */
  COHORT_OP_FLIP,      /* i0 axis */
  /* reductions */
  COHORT_OP_SUM,       /* i0: bit mask of axes; those axes are kept with size 1 */
  COHORT_OP_MAX,       /* the same */
  COHORT_OP_ARGMAX,    /* over the last axis, which goes; integer; the first of equals */
  COHORT_OP_ARGSORT,   /* along the last axis: integer, the places of its elements in rising order; equals keep theirs */
  COHORT_OP_LOGSUMEXP, /* over the last axis, which is kept with size 1 */
  COHORT_OP_CUMSUM,    /* along axis i0; i1 = 1: from the end */
  /* indexing */
  COHORT_OP_GATHER,      /* (table [V, ...], index integer [any]) -> index.shape + table.shape[1:] */
  COHORT_OP_SCATTER_ADD, /* (rows index.shape + tail, index) -> [i0, tail]; sums in order of rows; with a third input of
                            the output's shape they start from it, and the output may lie where it lies */
  COHORT_OP_TAKE_ALONG,  /* (x [..., C], index [...]) -> [...]: one element of each row */
  COHORT_OP_PUT_ALONG,   /* (v [...], index [...]) -> [..., i0]: v at index, zeros elsewhere */
  /* products */
  COHORT_OP_MATMUL, /* (a, b): [batch..., M, K] x [batch..., K, N]; i0: a is given as [K, M]; i1: b as [N, K]; equal
                       batch axes, or b of two axes with any a: then rows of a are flattened into M (i0 = 0) */
  /* images: x [N, H, W, C], weight [O, KH, KW, C], no groups; i: 0 stride, 1 padding (same on both axes), and for the
   * gradients 2 H, 3 W (of x), 4 KH, 5 KW */
  COHORT_OP_CONVOLUTION,        /* (x, weight) -> [N, OH, OW, O] */
  COHORT_OP_CONVOLUTION_INPUT,  /* (dy, weight) -> dx [N, H, W, C] */
  COHORT_OP_CONVOLUTION_WEIGHT, /* (x, dy) -> dweight */
  COHORT_OP_WINDOW_MAX,         /* (x) i: 0 window, 1 stride, no padding -> (y [N, OH, OW, C], where integer: flat h*W+w) */
  COHORT_OP_WINDOW_TAKE,        /* (x [N, H, W, C], where [N, OH, OW, C]) -> [N, OH, OW, C] */
  COHORT_OP_WINDOW_PUT,         /* (y, where) i0 H, i1 W -> [N, H, W, C]; sums; transpose of take */
  /* randomness: (ids integer [R], positions integer [R]) -> the output's shape [R, ...]; element e of a row is element
   * position * row_size + e of the stream (key of node and batch, id). i0: hash of the node's name (its key); a draw
   * is a function of these alone */
  COHORT_OP_RANDOM_UNIFORM, COHORT_OP_RANDOM_NORMAL,
  COHORT_OP_DROPOUT, /* (x [R, ...], ids [R], positions [R]) r0 = p; x / (1-p) or 0, kept where uniform >= p; linear in x */
  /* across lanes; these end a phase and are carried out by the executor, not by a kernel */
  COHORT_OP_LANE_SUM, COHORT_OP_LANE_MAX,
  COHORT_OP_LANE_GATHER, /* [A, ...] -> [lanes*A, ...] */
  COHORT_OP_LANE_TAKE,   /* transpose of gather: [lanes*A, ...], summed over lanes, own part -> [A, ...] */
  /* ragged rows: segment ids are integer, one per row, non-decreasing, -1: no segment */
  COHORT_OP_SEGMENT_SUM, /* (x [R, ...], segments [R]) -> [i0, ...]; its transpose is gather */
  /* fused; each has a decomposition into the above */
  COHORT_OP_GELU,          /* (x) i0: 0 tanh form (GPT-2), 1 erf form */
  COHORT_OP_GELU_BACKWARD, /* (x, dy) */
  COHORT_OP_SWIGLU,          /* (a, b) -> a * sigmoid(a) * b */
  COHORT_OP_SWIGLU_BACKWARD, /* (a, b, dy) -> (da, db) */
  COHORT_OP_RELU,          /* (x) */
  COHORT_OP_RELU_BACKWARD, /* (x, dy): dy where x > 0 */
  COHORT_OP_LAYER_NORM,          /* (x [..., C], gain [C], bias [C]) r0 = epsilon -> (y, mean [rows], rstd [rows]) */
  COHORT_OP_LAYER_NORM_BACKWARD, /* (x, gain, mean, rstd, dy) -> (dx, dgain, dbias) */
  COHORT_OP_RMS_NORM,            /* (x, gain) r0 = epsilon -> (y, rstd) */
  COHORT_OP_RMS_NORM_BACKWARD,   /* (x, gain, rstd, dy) -> (dx, dgain) */
  COHORT_OP_GROUP_NORM,          /* (x [N, H, W, C], gain [C], bias [C]) i0 groups, r0 epsilon -> (y, mean [N, G], rstd [N, G]);
                                    i1: y = relu(norm), or of norm + the fourth input, which is like x */
  COHORT_OP_GROUP_NORM_BACKWARD, /* (x, gain, mean, rstd, dy) i0 -> (dx, dgain, dbias) */
  COHORT_OP_ROTARY,  /* (x [R, heads, D], positions [R]) r0 theta; i0 = 1: turns back; pairs (j, j + D/2), as Llama;
                        r1 factor of wavelengths (0: none), r2 low, r3 high, i1 context: graph.h, cohort_rotary */
  COHORT_OP_ATTENTION, /* causal inside segments: (q [R, H, D], k [R, G, D], v [R, G, D], segments [R]) r0 scale, r1
                          rows that a row reads in the mean (of the count of FLOPs alone; 0: not known); query
                          head h reads key head h*G/H -> (y [R, H, D], logsumexp [R, H]); rows of segment -1 give zeros.
                          Segments [R, 3]: with each id the first row and the number of the rows that the segment goes
                          on from, its prefix: the beginning of a segment without one (0 rows), behind which all that go
                          on from it stand. A prefix is read as if it stood before each */
  COHORT_OP_ATTENTION_BACKWARD, /* (q, k, v, segments, y, logsumexp, dy) r0 -> (dq, dk, dv) */
  COHORT_OP_ATTENTION_SECOND, /* the derivative back through ATTENTION_BACKWARD: (q, k, v, segments, logsumexp, dy, aq, ak,
                                 av) r0 -> by (q, k, v, dy), of <aq, dq> + <ak, dk> + <av, dv>, through y and logsumexp too */
  COHORT_OP_SOFTMAX_CROSS_ENTROPY, /* (logits [R, C], target integer [R]) r0 = label smoothing -> (loss [R], logsumexp
                                      [R]): -(1-s) log p(target) - s mean_c log p(c); a target below 0 gives 0 */
  COHORT_OP_SOFTMAX_CROSS_ENTROPY_BACKWARD, /* (logits, target, logsumexp, dloss [R]) r0 -> dlogits */
  COHORT_OP_VOCABULARY_HEAD, /* (x [R, D], weight [V, D], target integer [R]), logits by chunks of rows, never all at once
                                -> (log p(target) [R], logsumexp [R], mean_v log p(v) [R], entropy [R]); target < 0: zeros */
  COHORT_OP_VOCABULARY_HEAD_BACKWARD, /* (x, weight, target, logsumexp, entropy, d_logp [R], d_mean [R], d_entropy [R],
                                         ) -> (dx, dweight), i0 = 1: dx alone; the logsumexp output's cotangent is not
                                         supported */
  COHORT_OP_VOCABULARY_DIVERGENCE, /* (x [R, D], weight [V, D], other x [R, E], other weight [V, E]), logits by chunks as
                                      the head -> (KL from the others' distribution to x's [R], logsumexp [R], the
                                      others' [R]); the others are constants: they have no derivative */
  COHORT_OP_VOCABULARY_DIVERGENCE_BACKWARD, /* (the four, logsumexp, the others', dkl [R]) i0 = 1: dx alone -> (dx, dweight) */
  COHORT_OP_ATTENTION_CACHED, /* new rows of several texts against their caches: (q [R, H, D], k [R, G, D], v [R, G, D],
                                 slots integer [R] (-1: zeros), positions integer [R], keys [S, G, B, D, 64], values
                                 [S, G, 64 B, D]) r0 scale -> y [R, H, D]. Puts each row's k and v at its slot and
                                 position into the cache, THEN lets it see positions 0 ... its own: the one operation
                                 that writes to inputs; it has no derivative. A text's rows stand in rising order */
  COHORT_OP_FUSION, /* elementwise operations as one pass: made by the planner alone, never a node (kernel/fusion.h) */
  COHORT_OP_COUNT
} cohort_op;
/* clang-format on */

/* The operation's name as in messages: "layer_norm". */
const char *cohort_op_name(cohort_op op);

typedef struct cohort_tensor {
  void *data; /* real * or int32_t * */
  cohort_shape shape;
  cohort_type type;
} cohort_tensor;

/* What a kernel is given. Inputs and outputs never overlap, but for views, and for elementwise operations, whose output
 * may lie exactly over an input of the same size and type. */
typedef struct cohort_call {
  int inputs, outputs;
  cohort_tensor input[COHORT_MAX_INPUTS];
  cohort_tensor output[COHORT_MAX_OUTPUTS];
  cohort_attributes attributes;
  void *workspace; /* as large as cohort_kernel_set.workspace asked for; contents undefined */
  const cohort_team *team;
  const uint16_t *bf16; /* of a product: the right side rounded to bf16, or NULL */
  int part, parts; /* of the images, one call each, in order; 0 and 0: all at once. Sums over images (the gradients of
                      weights, gains and biases) are there after the last part; outputs and workspace last as long */
  int64_t planned, rows; /* where ragged rows are not all in use: how many the step was planned for, and how many there
                            are; shapes say it too, but not the fusion's. Sums over rows are cut as planned. Else 0 */
  const struct cohort_fusion *fusion; /* of CHAIN alone */
  cohort_random_key random_key;       /* of this run and batch; a node derives its own with i0 */
} cohort_call;

/* What rows were when the step was planned. */
static inline int64_t cohort_call_planned(const cohort_call *call, int64_t rows) {
  return call->planned ? rows / call->rows * call->planned : rows;
}

static inline int cohort_call_begins(const cohort_call *call) { return call->part == 0; }
static inline int cohort_call_ends(const cohort_call *call) { return call->part + 1 >= call->parts; }

typedef void (*cohort_kernel)(const cohort_call *call);

#endif
