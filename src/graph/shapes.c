/* Shapes of a node's outputs from those of its inputs, by a rule per kind of operation. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "graph/node.h"

const char *cohort_shape_text(cohort_shape shape, char out[COHORT_SHAPE_TEXT]) {
  int length = snprintf(out, COHORT_SHAPE_TEXT, "[");
  for (int axis = 0; axis < shape.axes; axis++)
    length += snprintf(out + length, COHORT_SHAPE_TEXT - (size_t)length, "%s%lld", axis ? ", " : "",
                       (long long)shape.size[axis]);
  (void)snprintf(out + length, COHORT_SHAPE_TEXT - (size_t)length, "]");
  return out;
}

bool cohort_shape_equal(cohort_shape a, cohort_shape b) {
  if (a.axes != b.axes) return false;
  for (int axis = 0; axis < a.axes; axis++)
    if (a.size[axis] != b.size[axis]) return false;
  return true;
}

void cohort_attributes_set_shape(cohort_attributes *attributes, int at, cohort_shape shape) {
  attributes->integers[at] = shape.axes;
  for (int axis = 0; axis < shape.axes; axis++) attributes->integers[at + 1 + axis] = shape.size[axis];
}

cohort_shape cohort_attributes_shape(const cohort_attributes *attributes, int at) {
  cohort_shape shape = {.axes = (int)attributes->integers[at]};
  for (int axis = 0; axis < shape.axes && axis < COHORT_MAX_AXES; axis++)
    shape.size[axis] = attributes->integers[at + 1 + axis];
  return shape;
}

typedef cohort_inference infer;

static bool wrong(infer *own, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool wrong(infer *own, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(own->fault, sizeof own->fault, format, arguments);
  va_end(arguments);
  return false;
}

/* The commonest fault: two shapes. */
static bool misfit(infer *own, int a, int b, const char *rule) {
  char left[COHORT_SHAPE_TEXT], right[COHORT_SHAPE_TEXT];
  return wrong(own, "shapes %s and %s do not fit; %s", cohort_shape_text(own->in[a], left),
               cohort_shape_text(own->in[b], right), rule);
}

static bool bad(infer *own, int a, const char *rule) {
  char text[COHORT_SHAPE_TEXT];
  return wrong(own, "shape %s does not fit; %s", cohort_shape_text(own->in[a], text), rule);
}

static bool give(infer *own, cohort_shape shape, cohort_type type) {
  own->out[own->outputs] = shape;
  own->out_type[own->outputs++] = type;
  return true;
}

static bool give_real(infer *own, cohort_shape shape) { return give(own, shape, COHORT_TYPE_REAL); }

/* Types of the inputs as a text: 'r' real, 'i' integer, '?' any. */
static bool takes(infer *own, const char *types) {
  const int count = (int)strlen(types);
  if (own->inputs != count) return wrong(own, "has %d inputs; it takes %d", own->inputs, count);
  for (int i = 0; i < count; i++) {
    if (types[i] == 'r' && own->in_type[i] != COHORT_TYPE_REAL)
      return wrong(own, "input %d is integer; give it reals (cast)", i);
    if (types[i] == 'i' && own->in_type[i] != COHORT_TYPE_INTEGER)
      return wrong(own, "input %d is real; give it integers", i);
  }
  return true;
}

static int64_t attribute(const infer *own, int i) { return own->attributes->integers[i]; }

static cohort_shape without_last(cohort_shape shape) {
  shape.axes--;
  return shape;
}

static bool broadcast_pair(infer *own, cohort_shape *shape, int input) {
  const cohort_shape other = own->in[input];
  cohort_shape out = {.axes = shape->axes > other.axes ? shape->axes : other.axes};
  for (int k = 1; k <= out.axes; k++) {
    const int64_t a = k <= shape->axes ? shape->size[shape->axes - k] : 1;
    const int64_t b = k <= other.axes ? other.size[other.axes - k] : 1;
    if (a != b && a != 1 && b != 1) return false;
    out.size[out.axes - k] = a == 1 ? b : a;
  }
  *shape = out;
  return true;
}

static const char broadcast_rule[] = "sizes must be equal or 1, counted from the last axis";

static bool infer_unary(infer *own) { return takes(own, "r") && give_real(own, own->in[0]); }
static bool infer_cast(infer *own) { return takes(own, "i") && give_real(own, own->in[0]); }
static bool infer_same(infer *own) { return takes(own, "?") && give(own, own->in[0], own->in_type[0]); }

static bool infer_binary(infer *own) {
  if (!takes(own, "rr")) return false;
  cohort_shape shape = own->in[0];
  return broadcast_pair(own, &shape, 1) ? give_real(own, shape) : misfit(own, 0, 1, broadcast_rule);
}

static bool infer_compare(infer *own) {
  if (!takes(own, "??")) return false;
  if (own->in_type[0] != own->in_type[1]) return wrong(own, "compares reals with integers; cast the integers");
  if (attribute(own, 0) < 0 || attribute(own, 0) > 2) return wrong(own, "relation is not 0, 1 or 2; give one of them");
  cohort_shape shape = own->in[0];
  return broadcast_pair(own, &shape, 1) ? give_real(own, shape) : misfit(own, 0, 1, broadcast_rule);
}

static bool infer_select(infer *own) {
  if (!takes(own, "???")) return false;
  if (own->in_type[1] != own->in_type[2]) return wrong(own, "selects reals or integers; cast the integers");
  cohort_shape shape = own->in[0];
  if (!broadcast_pair(own, &shape, 1)) return misfit(own, 0, 1, broadcast_rule);
  if (!broadcast_pair(own, &shape, 2)) return misfit(own, 0, 2, broadcast_rule);
  return give(own, shape, own->in_type[1]);
}

static bool infer_reshape(infer *own) {
  if (!takes(own, "?")) return false;
  const cohort_shape shape = cohort_attributes_shape(own->attributes, 0);
  char old[COHORT_SHAPE_TEXT], now[COHORT_SHAPE_TEXT];
  if (cohort_shape_elements(shape) != cohort_shape_elements(own->in[0]))
    return wrong(own, "%s cannot become %s; both must have as many elements", cohort_shape_text(own->in[0], old),
                 cohort_shape_text(shape, now));
  return give(own, shape, own->in_type[0]);
}

static bool infer_permute(infer *own) {
  if (!takes(own, "?")) return false;
  cohort_shape shape = own->in[0];
  unsigned seen = 0;
  for (int k = 0; k < shape.axes; k++) {
    const int64_t axis = attribute(own, k);
    if (axis < 0 || axis >= shape.axes || seen >> axis & 1)
      return bad(own, 0, "the axes must be a permutation of its axes");
    seen |= 1U << axis;
    shape.size[k] = own->in[0].size[axis];
  }
  return give(own, shape, own->in_type[0]);
}

static bool infer_broadcast(infer *own) {
  if (!takes(own, "?")) return false;
  const cohort_shape target = cohort_attributes_shape(own->attributes, 0);
  cohort_shape shape = target;
  char old[COHORT_SHAPE_TEXT], now[COHORT_SHAPE_TEXT];
  if (!broadcast_pair(own, &shape, 0) || !cohort_shape_equal(shape, target))
    return wrong(own, "%s cannot be broadcast to %s; %s", cohort_shape_text(own->in[0], old),
                 cohort_shape_text(target, now), broadcast_rule);
  return give(own, target, own->in_type[0]);
}

static bool has_axis(infer *own, int64_t axis) {
  if (axis >= 0 && axis < own->in[0].axes) return true;
  char text[COHORT_SHAPE_TEXT];
  return wrong(own, "shape %s has no axis %lld; take one from 0 to %d", cohort_shape_text(own->in[0], text),
               (long long)axis, own->in[0].axes - 1);
}

static bool infer_slice(infer *own) {
  const int64_t axis = attribute(own, 0), first = attribute(own, 1), count = attribute(own, 2);
  if (!takes(own, "?") || !has_axis(own, axis)) return false;
  cohort_shape shape = own->in[0];
  char text[COHORT_SHAPE_TEXT];
  const int64_t end = first + count;
  if (first < 0 || count < 0 || end > shape.size[axis])
    return wrong(own, "axis %lld of %s has no part [%lld, %lld); stay inside", (long long)axis,
                 cohort_shape_text(shape, text), (long long)first, (long long)end);
  shape.size[axis] = count;
  return give(own, shape, own->in_type[0]);
}

static bool infer_pad(infer *own) {
  const int64_t axis = attribute(own, 0);
  if (!takes(own, "?") || !has_axis(own, axis)) return false;
  if (attribute(own, 1) < 0 || attribute(own, 2) < 0) return bad(own, 0, "padding cannot be negative: slice instead");
  cohort_shape shape = own->in[0];
  shape.size[axis] += attribute(own, 1) + attribute(own, 2);
  return give(own, shape, own->in_type[0]);
}

static bool infer_concat(infer *own) {
  if (own->inputs < 1) return wrong(own, "has no inputs; give it 1 to %d", COHORT_MAX_INPUTS);
  const int64_t axis = attribute(own, 0);
  if (!has_axis(own, axis)) return false;
  cohort_shape shape = own->in[0];
  for (int i = 1; i < own->inputs; i++) {
    cohort_shape rest = own->in[i];
    if (own->in_type[i] != own->in_type[0]) return wrong(own, "joins reals and integers; cast the integers");
    if (rest.axes == shape.axes) rest.size[axis] = own->in[0].size[axis];
    if (!cohort_shape_equal(rest, own->in[0])) return misfit(own, 0, i, "all axes but the joined one must agree");
    shape.size[axis] += own->in[i].size[axis];
  }
  return give(own, shape, own->in_type[0]);
}

static bool infer_along(infer *own) { /* flip, cumsum */
  return takes(own, own->op == COHORT_OP_FLIP ? "?" : "r") && has_axis(own, attribute(own, 0)) &&
         give(own, own->in[0], own->in_type[0]);
}

static bool infer_reduce(infer *own) {
  if (!takes(own, "r")) return false;
  cohort_shape shape = own->in[0];
  if (attribute(own, 0) < 0 || attribute(own, 0) >> shape.axes)
    return bad(own, 0, "the mask names axes it does not have");
  for (int axis = 0; axis < shape.axes; axis++)
    if (attribute(own, 0) >> axis & 1) {
      if (own->op == COHORT_OP_MAX && shape.size[axis] == 0) return bad(own, 0, "nothing has no maximum");
      shape.size[axis] = 1;
    }
  return give_real(own, shape);
}

static bool infer_argmax(infer *own) {
  if (!takes(own, "r")) return false;
  if (own->in[0].axes == 0 || cohort_shape_columns(own->in[0]) == 0) return bad(own, 0, "the last axis needs elements");
  return give(own, without_last(own->in[0]), COHORT_TYPE_INTEGER);
}

static bool infer_argsort(infer *own) {
  if (!takes(own, "r")) return false;
  if (own->in[0].axes == 0) return bad(own, 0, "it needs an axis");
  return give(own, own->in[0], COHORT_TYPE_INTEGER);
}

static bool infer_logsumexp(infer *own) {
  if (!takes(own, "r")) return false;
  cohort_shape shape = own->in[0];
  if (shape.axes == 0 || cohort_shape_columns(shape) == 0) return bad(own, 0, "the last axis needs elements");
  shape.size[shape.axes - 1] = 1;
  return give_real(own, shape);
}

/* index.shape + tail of x from axis `from`. */
static bool join_shapes(infer *own, cohort_shape *out, cohort_shape head, cohort_shape x, int from) {
  *out = head;
  if (head.axes + x.axes - from > COHORT_MAX_AXES)
    return wrong(own, "gives more than %d axes; reshape to fewer", COHORT_MAX_AXES);
  for (int axis = from; axis < x.axes; axis++) out->size[out->axes++] = x.size[axis];
  return true;
}

static bool infer_gather(infer *own) {
  cohort_shape shape;
  if (!takes(own, "?i")) return false;
  if (own->in[0].axes == 0) return bad(own, 0, "a table needs an axis");
  return join_shapes(own, &shape, own->in[1], own->in[0], 1) && give(own, shape, own->in_type[0]);
}

static bool infer_scatter(infer *own) { /* scatter_add, segment_sum */
  cohort_shape shape, head = {.axes = 1, .size = {attribute(own, 0)}};
  const bool onto = own->op == COHORT_OP_SCATTER_ADD && own->inputs == 3;
  if (!takes(own, onto ? "rir" : "ri")) return false;
  const cohort_shape rows = own->in[0], index = own->in[1];
  if (head.size[0] < 0) return bad(own, 0, "the count of rows cannot be negative");
  if (rows.axes < index.axes) return misfit(own, 0, 1, "the rows' first axes must be the index's");
  for (int axis = 0; axis < index.axes; axis++)
    if (rows.size[axis] != index.size[axis]) return misfit(own, 0, 1, "the rows' first axes must be the index's");
  if (!join_shapes(own, &shape, head, rows, index.axes)) return false;
  if (onto && !cohort_shape_equal(own->in[2], shape))
    return bad(own, 2, "what the sums start from must have the result's shape");
  return give_real(own, shape);
}

static bool infer_take_along(infer *own) {
  if (!takes(own, "?i")) return false;
  if (own->in[0].axes == 0 || !cohort_shape_equal(without_last(own->in[0]), own->in[1]))
    return misfit(own, 0, 1, "there must be one index for each row");
  return give(own, own->in[1], own->in_type[0]);
}

static bool infer_put_along(infer *own) {
  if (!takes(own, "?i")) return false;
  if (!cohort_shape_equal(own->in[0], own->in[1])) return misfit(own, 0, 1, "there must be one index for each element");
  const cohort_shape columns = {.axes = 1, .size = {attribute(own, 0)}};
  cohort_shape shape;
  return join_shapes(own, &shape, own->in[0], columns, 0) && give(own, shape, own->in_type[0]);
}

static const char matmul_rule[] = "the inner sizes must agree, and the leading axes (or b has two axes)";

static bool infer_matmul(infer *own) {
  if (!takes(own, "rr")) return false;
  const cohort_shape a = own->in[0], b = own->in[1];
  const bool transpose_a = attribute(own, 0) != 0, transpose_b = attribute(own, 1) != 0;
  if (a.axes < 2 || b.axes < 2) return misfit(own, 0, 1, "a product needs two axes of each");
  const int64_t m = a.size[a.axes - (transpose_a ? 1 : 2)], k = a.size[a.axes - (transpose_a ? 2 : 1)];
  const int64_t inner = b.size[b.axes - (transpose_b ? 1 : 2)], n = b.size[b.axes - (transpose_b ? 2 : 1)];
  if (k != inner) return misfit(own, 0, 1, matmul_rule);
  cohort_shape shape = a;
  if (b.axes == 2 && a.axes > 2) {
    if (transpose_a) return misfit(own, 0, 1, "a transposed a needs a b with the same leading axes");
  } else {
    if (a.axes != b.axes) return misfit(own, 0, 1, matmul_rule);
    for (int axis = 0; axis + 2 < a.axes; axis++)
      if (a.size[axis] != b.size[axis]) return misfit(own, 0, 1, matmul_rule);
  }
  shape.size[shape.axes - 2] = m;
  shape.size[shape.axes - 1] = n;
  return give_real(own, shape);
}

static bool images(infer *own, int a, int b) {
  return (own->in[a].axes == 4 && own->in[b].axes == 4) || misfit(own, a, b, "images and weights have four axes");
}

static int64_t windows(int64_t size, int64_t window, int64_t stride, int64_t padding) {
  return size + 2 * padding < window ? 0 : (size + 2 * padding - window) / stride + 1;
}

static bool infer_convolution(infer *own) {
  if (!takes(own, "rr") || !images(own, 0, 1)) return false;
  const cohort_shape x = own->in[0], other = own->in[1];
  const int64_t stride = attribute(own, 0), padding = attribute(own, 1);
  if (stride < 1 || padding < 0)
    return wrong(own, "stride %lld, padding %lld; take at least 1 and 0", (long long)stride, (long long)padding);
  const int64_t height = own->op == COHORT_OP_CONVOLUTION_INPUT ? attribute(own, 2) : x.size[1];
  const int64_t width = own->op == COHORT_OP_CONVOLUTION_INPUT ? attribute(own, 3) : x.size[2];
  const int64_t kernel_height = own->op == COHORT_OP_CONVOLUTION_WEIGHT ? attribute(own, 4) : other.size[1];
  const int64_t kernel_width = own->op == COHORT_OP_CONVOLUTION_WEIGHT ? attribute(own, 5) : other.size[2];
  const int64_t out_height = windows(height, kernel_height, stride, padding);
  const int64_t out_width = windows(width, kernel_width, stride, padding);
  if (out_height < 1 || out_width < 1)
    return misfit(own, 0, 1, "the window must fit into the padded image: take a smaller one or more padding");
  if (own->op == COHORT_OP_CONVOLUTION) {
    if (x.size[3] != other.size[3]) return misfit(own, 0, 1, "the last axes (channels) must agree");
    return give_real(own, COHORT_SHAPE(x.size[0], out_height, out_width, other.size[0]));
  }
  const cohort_shape dy = own->op == COHORT_OP_CONVOLUTION_INPUT ? x : other;
  if (dy.size[1] != out_height || dy.size[2] != out_width)
    return misfit(own, 0, 1, "the gradient must have the size of the convolution's output");
  if (own->op == COHORT_OP_CONVOLUTION_INPUT) {
    if (dy.size[3] != other.size[0]) return misfit(own, 0, 1, "channels of the gradient must be the weight's outputs");
    return give_real(own, COHORT_SHAPE(dy.size[0], height, width, other.size[3]));
  }
  if (dy.size[0] != x.size[0]) return misfit(own, 0, 1, "the first axes (images) must agree");
  return give_real(own, COHORT_SHAPE(dy.size[3], kernel_height, kernel_width, x.size[3]));
}

static bool infer_window_max(infer *own) {
  if (!takes(own, "r")) return false;
  if (own->in[0].axes != 4) return bad(own, 0, "images have four axes");
  const int64_t window = attribute(own, 0), stride = attribute(own, 1);
  if (window < 1 || stride < 1) return bad(own, 0, "window and stride are at least 1");
  cohort_shape shape = own->in[0];
  shape.size[1] = windows(shape.size[1], window, stride, 0);
  shape.size[2] = windows(shape.size[2], window, stride, 0);
  if (shape.size[1] < 1 || shape.size[2] < 1) return bad(own, 0, "the window must fit into the image");
  return give_real(own, shape) && give(own, shape, COHORT_TYPE_INTEGER);
}

static bool infer_window_take(infer *own) {
  if (!takes(own, "ri") || !images(own, 0, 1)) return false;
  if (own->in[0].size[0] != own->in[1].size[0] || own->in[0].size[3] != own->in[1].size[3])
    return misfit(own, 0, 1, "images and channels must agree");
  return give_real(own, own->in[1]);
}

static bool infer_window_put(infer *own) {
  if (!takes(own, "ri") || !images(own, 0, 1)) return false;
  if (!cohort_shape_equal(own->in[0], own->in[1])) return misfit(own, 0, 1, "there must be one place for each value");
  return give_real(own, COHORT_SHAPE(own->in[0].size[0], attribute(own, 0), attribute(own, 1), own->in[0].size[3]));
}

static bool one_per_row(infer *own, cohort_shape rows, int index) {
  char a[COHORT_SHAPE_TEXT], b[COHORT_SHAPE_TEXT];
  if (rows.axes >= 1 && own->in[index].axes == 1 && own->in[index].size[0] == rows.size[0]) return true;
  return wrong(own, "%s needs one integer for each row, not %s; give [rows]", cohort_shape_text(rows, a),
               cohort_shape_text(own->in[index], b));
}

static bool infer_random(infer *own) {
  const cohort_shape shape = cohort_attributes_shape(own->attributes, 1);
  return takes(own, "ii") && one_per_row(own, shape, 0) && one_per_row(own, shape, 1) && give_real(own, shape);
}

static bool infer_dropout(infer *own) {
  if (!takes(own, "rii") || !one_per_row(own, own->in[0], 1) || !one_per_row(own, own->in[0], 2)) return false;
  const double p = own->attributes->reals[0];
  if (!(p >= 0 && p < 1)) return wrong(own, "p is %g; take it from [0, 1)", p);
  return give_real(own, own->in[0]);
}

static bool infer_lane(infer *own) {
  const bool moves = own->op == COHORT_OP_LANE_GATHER;
  if (!takes(own, moves ? "?" : "r")) return false;
  cohort_shape shape = own->in[0];
  if (own->op == COHORT_OP_LANE_GATHER || own->op == COHORT_OP_LANE_TAKE) {
    if (shape.axes == 0) return bad(own, 0, "it needs an axis");
    if (own->op == COHORT_OP_LANE_TAKE && shape.size[0] % own->lanes != 0)
      return bad(own, 0, "the first axis must be a multiple of the number of lanes");
    shape.size[0] = moves ? shape.size[0] * own->lanes : shape.size[0] / own->lanes;
  }
  return give(own, shape, own->in_type[0]);
}

bool cohort_infer(cohort_inference *own) {
  switch (own->op) {
    case COHORT_OP_PARAMETER:
    case COHORT_OP_INPUT:
    case COHORT_OP_CONSTANT:
    case COHORT_OP_IOTA:
      return wrong(own, "is a leaf; make it with its own builder");
    case COHORT_OP_CAST:
      return infer_cast(own);
    case COHORT_OP_STOP_GRADIENT:
      return infer_same(own);
    case COHORT_OP_COMPARE:
      return infer_compare(own);
    case COHORT_OP_SELECT:
      return infer_select(own);
    case COHORT_OP_RESHAPE:
      return infer_reshape(own);
    case COHORT_OP_PERMUTE:
      return infer_permute(own);
    case COHORT_OP_BROADCAST:
      return infer_broadcast(own);
    case COHORT_OP_SLICE:
      return infer_slice(own);
    case COHORT_OP_PAD:
      return infer_pad(own);
    case COHORT_OP_CONCAT:
      return infer_concat(own);
    case COHORT_OP_FLIP:
    case COHORT_OP_CUMSUM:
      return infer_along(own);
    case COHORT_OP_SUM:
    case COHORT_OP_MAX:
      return infer_reduce(own);
    case COHORT_OP_ARGMAX:
      return infer_argmax(own);
    case COHORT_OP_ARGSORT:
      return infer_argsort(own);
    case COHORT_OP_LOGSUMEXP:
      return infer_logsumexp(own);
    case COHORT_OP_GATHER:
      return infer_gather(own);
    case COHORT_OP_SCATTER_ADD:
    case COHORT_OP_SEGMENT_SUM:
      return infer_scatter(own);
    case COHORT_OP_TAKE_ALONG:
      return infer_take_along(own);
    case COHORT_OP_PUT_ALONG:
      return infer_put_along(own);
    case COHORT_OP_MATMUL:
      return infer_matmul(own);
    case COHORT_OP_CONVOLUTION:
    case COHORT_OP_CONVOLUTION_INPUT:
    case COHORT_OP_CONVOLUTION_WEIGHT:
      return infer_convolution(own);
    case COHORT_OP_WINDOW_MAX:
      return infer_window_max(own);
    case COHORT_OP_WINDOW_TAKE:
      return infer_window_take(own);
    case COHORT_OP_WINDOW_PUT:
      return infer_window_put(own);
    case COHORT_OP_RANDOM_UNIFORM:
    case COHORT_OP_RANDOM_NORMAL:
      return infer_random(own);
    case COHORT_OP_DROPOUT:
      return infer_dropout(own);
    case COHORT_OP_LANE_SUM:
    case COHORT_OP_LANE_MAX:
    case COHORT_OP_LANE_GATHER:
    case COHORT_OP_LANE_TAKE:
      return infer_lane(own);
    default:
      if (own->op >= COHORT_OP_NEGATE && own->op <= COHORT_OP_ROUND) return infer_unary(own);
      if (own->op >= COHORT_OP_ADD && own->op <= COHORT_OP_MAXIMUM) return infer_binary(own);
      return cohort_infer_fused(own);
  }
}
