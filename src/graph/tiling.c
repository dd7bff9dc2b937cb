/* Which steps run together through a few images at a time. A network of images makes more in a pass than caches hold,
 * so each step alone reads and writes main memory. Steps that follow one another and treat images one by one run as a
 * tiling instead: all of them on a part of the images, then all of them on the next part. What is made and read inside
 * one tiling takes the memory of one part, which stays in the second cache. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/planner.h"

enum {
  PART_BYTES = 256 << 10, /* of the largest tensor */
  LEAST_BYTES = 3 << 19,  /* of a step's largest tensor: below, caches hold it as it is */
};

typedef enum role { ROLE_NONE, ROLE_DIVIDED, ROLE_WHOLE, ROLE_SUMMED } role;

/* What a step reads and writes, and how. */
typedef struct tensors {
  int inputs, outputs;
  cohort_value input[COHORT_MAX_INPUTS], output[COHORT_MAX_OUTPUTS];
  role input_role[COHORT_MAX_INPUTS], output_role[COHORT_MAX_OUTPUTS];
} tensors;

/* Operations on images one by one: which inputs belong to all of them, which outputs are sums over them. */
static bool find_rule(const cohort_node *node, unsigned *whole, unsigned *summed) {
  *whole = *summed = 0;
  switch (node->op) {
    case COHORT_OP_CONVOLUTION:
    case COHORT_OP_CONVOLUTION_INPUT:
      *whole = 1U << 1;
      return true;
    case COHORT_OP_CONVOLUTION_WEIGHT:
      *summed = 1U;
      return true;
    case COHORT_OP_GROUP_NORM:
      *whole = 1U << 1 | 1U << 2;
      return true;
    case COHORT_OP_GROUP_NORM_BACKWARD:
      *whole = 1U << 1;
      *summed = 1U << 1 | 1U << 2;
      return true;
    case COHORT_OP_PAD:
    case COHORT_OP_SLICE:
      return node->attributes.integers[0] != 0;
    case COHORT_OP_WINDOW_MAX:
    case COHORT_OP_WINDOW_TAKE:
    case COHORT_OP_WINDOW_PUT:
    case COHORT_OP_RELU:
    case COHORT_OP_RELU_BACKWARD:
      return true;
    default:
      return false;
  }
}

static bool find_fused_roles(const cohort_node_set *set, tensors *out) {
  const cohort_fusion *fusion = &set->fusion;
  if (fusion->sums > 0) return false;
  out->inputs = set->inputs;
  out->outputs = set->outputs;
  for (int i = 0; i < set->inputs; i++) out->input[i] = set->input[i];
  for (int i = 0; i < set->outputs; i++) {
    out->output[i] = set->output[i];
    out->output_role[i] = ROLE_DIVIDED;
  }
  for (int s = 0; s < fusion->slots; s++) {
    const cohort_fusion_slot *slot = &fusion->slot[s];
    role as = ROLE_WHOLE;
    if (slot->kind == COHORT_SLOT_OUTPUT || slot->kind == COHORT_SLOT_BUFFER) continue;
    if (slot->kind == COHORT_SLOT_HELD || slot->kind == COHORT_SLOT_WHOLE) return false;
    if (slot->kind == COHORT_SLOT_INPUT) as = ROLE_DIVIDED;
    if (out->input_role[slot->tensor] != ROLE_NONE && out->input_role[slot->tensor] != as) return false;
    out->input_role[slot->tensor] = as;
  }
  return true;
}

static bool find_tensors(const cohort_planner *own, int32_t n, tensors *out) {
  *out = (tensors){0};
  const cohort_node_set *set = cohort_planner_fused(own, n);
  if (set) return find_fused_roles(set, out);
  const cohort_node *node = &own->graph->node[n];
  unsigned whole = 0, summed = 0;
  if (!find_rule(node, &whole, &summed)) return false;
  out->inputs = node->inputs;
  out->outputs = node->outputs;
  for (int i = 0; i < node->inputs; i++) {
    out->input[i] = node->input[i];
    out->input_role[i] = whole >> i & 1 ? ROLE_WHOLE : ROLE_DIVIDED;
  }
  for (int i = 0; i < node->outputs; i++) {
    out->output[i] = node->first + i;
    out->output_role[i] = summed >> i & 1 ? ROLE_SUMMED : ROLE_DIVIDED;
  }
  return true;
}

/* Widens what is known of a step by one divided tensor; false when it is not of that many images. */
static bool add_divided(const cohort_planner *own, cohort_value value, int64_t *images, size_t *bytes) {
  const cohort_shape shape = own->graph->value[value].shape, whole = own->graph->value[own->root[value]].shape;
  if (shape.axes < 2 || whole.axes < 2 || shape.size[0] != whole.size[0]) return false;
  if (*images > 0 && *images != shape.size[0]) return false;
  *images = shape.size[0];
  if (cohort_planner_bytes(own, value) > *bytes) *bytes = cohort_planner_bytes(own, value);
  return true;
}

/* Into how many parts a step is cut best; 1: it is not cut. Equal parts, by halves. */
static int find_parts(const cohort_planner *own, const tensors *step, int64_t *images) {
  size_t bytes = 0;
  *images = 0;
  for (int i = 0; i < step->inputs; i++)
    if (step->input_role[i] == ROLE_DIVIDED && !add_divided(own, step->input[i], images, &bytes)) return 1;
  for (int i = 0; i < step->outputs; i++)
    if (step->output_role[i] == ROLE_DIVIDED && !add_divided(own, step->output[i], images, &bytes)) return 1;
  int parts = 1;
  if (bytes < LEAST_BYTES) return 1;
  while (bytes / (size_t)parts > PART_BYTES && *images % (2 * parts) == 0) parts *= 2;
  return parts;
}

/* Whether a step may join: what the tiling makes is read by parts too, and no sum before it is complete. */
static bool may_join(const cohort_planner *own, const cohort_tiling *tiling, const tensors *step) {
  for (int at = tiling->first; at < tiling->last; at++) {
    tensors other;
    if (!find_tensors(own, own->order[at], &other)) return false;
    for (int i = 0; i < step->inputs; i++) {
      const cohort_value root = own->root[step->input[i]];
      for (int k = 0; k < other.outputs; k++)
        if (other.output[k] == root && (other.output_role[k] != ROLE_DIVIDED || step->input_role[i] != ROLE_DIVIDED))
          return false;
      for (int k = 0; k < other.inputs; k++)
        if (own->root[other.input[k]] == root && other.input_role[k] != step->input_role[i]) return false;
    }
  }
  return true;
}

static bool reads(const cohort_planner *own, const tensors *step, cohort_value root) {
  for (int i = 0; i < step->inputs; i++)
    if (own->root[step->input[i]] == root) return true;
  return false;
}

/* What is made by the tiling and read by no step after it. */
static void mark_rolling(cohort_planner *own, const cohort_tiling *tiling) {
  for (int at = tiling->first; at < tiling->last; at++) {
    tensors step;
    (void)find_tensors(own, own->order[at], &step);
    for (int k = 0; k < step.outputs; k++) {
      cohort_storage *storage = &own->storage[step.output[k]];
      bool is_read = false;
      for (int later = at + 1; later < tiling->last && !is_read; later++) {
        tensors reader;
        (void)find_tensors(own, own->order[later], &reader);
        is_read = reads(own, &reader, step.output[k]);
      }
      storage->rolling = step.output_role[k] == ROLE_DIVIDED && is_read && !storage->asked &&
                         storage->external == COHORT_NO_VALUE && storage->last <= tiling->to;
    }
  }
}

static void end_tiling(cohort_planner *own, const cohort_tiling *tiling) {
  if (tiling->parts < 2 || tiling->last - tiling->first < 2) return;
  own->tiling[own->tilings] = *tiling;
  own->tiling[own->tilings].from = own->time[own->order[tiling->first]];
  own->tiling[own->tilings].to = own->time[own->order[tiling->last - 1]];
  mark_rolling(own, &own->tiling[own->tilings++]);
}

void cohort_planner_tile(cohort_planner *own) {
  cohort_tiling tiling = {0};
  for (int at = 0; at < own->ordered; at++) {
    tensors step;
    int64_t images = 0;
    const int32_t n = own->order[at];
    const int parts = find_tensors(own, n, &step) ? find_parts(own, &step, &images) : 1;
    const bool joins = at > 0 && own->phase[n] == own->phase[own->order[at - 1]] && parts == tiling.parts &&
                       images == tiling.images && may_join(own, &tiling, &step);
    if (!joins) {
      end_tiling(own, &tiling);
      tiling = (cohort_tiling){.first = at, .parts = parts, .images = images};
    }
    tiling.last = at + 1;
  }
  end_tiling(own, &tiling);
}

const cohort_tiling *cohort_planner_tiling_at(const cohort_planner *own, int time) {
  for (int i = 0; i < own->tilings; i++)
    if (own->tiling[i].from <= time && time <= own->tiling[i].to) return &own->tiling[i];
  return NULL;
}

void cohort_planner_widen(const cohort_planner *own, int *first, int *last) {
  const cohort_tiling *begin = cohort_planner_tiling_at(own, *first), *end = cohort_planner_tiling_at(own, *last);
  if (begin) *first = begin->from;
  if (end) *last = end->to;
}

/* Cuts a tensor to one part; returns how far its memory is from that of the next. */
static size_t divide(const cohort_planner *own, const cohort_tiling *tiling, cohort_value value,
                     cohort_tensor *tensor) {
  const size_t bytes = cohort_planner_bytes(own, value) / (size_t)tiling->parts;
  tensor->shape.size[0] /= tiling->parts;
  return own->storage[own->root[value]].rolling ? 0 : bytes;
}

bool cohort_planner_divide(const cohort_planner *own, int32_t n, cohort_step *step) {
  const cohort_tiling *tiling = cohort_planner_tiling_at(own, own->time[n]);
  tensors of;
  step->parts = 1;
  step->first_of_tiling = own->plan->steps - 1;
  step->end_of_tiling = own->plan->steps;
  if (!tiling || !find_tensors(own, n, &of)) return false;
  bool sums = false;
  step->parts = tiling->parts;
  step->first_of_tiling = tiling->first;
  step->end_of_tiling = tiling->last;
  for (int i = 0; i < of.inputs; i++)
    if (of.input_role[i] == ROLE_DIVIDED) step->input_part[i] = divide(own, tiling, of.input[i], &step->call.input[i]);
  for (int i = 0; i < of.outputs; i++) {
    sums = sums || of.output_role[i] == ROLE_SUMMED;
    if (of.output_role[i] == ROLE_DIVIDED)
      step->output_part[i] = divide(own, tiling, of.output[i], &step->call.output[i]);
  }
  return sums;
}
