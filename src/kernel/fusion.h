/* A fusion: elementwise operations over the same elements, and sums over rows at their ends, that run as one pass. The
 * pass walks tiles that fit the first cache; values that nobody else reads live in buffers of a tile. Every operation
 * does to an element what it does alone, in the same order of sums, so a fusion changes no bit. The planner makes
 * fusions (graph/fusion.c); COHORT_OP_FUSION runs call->fusion on call->input and call->output. */
#ifndef COHORT_KERNEL_FUSION_H
#define COHORT_KERNEL_FUSION_H

#include "kernel/operation.h"

enum {
  COHORT_FUSION_OPERATIONS = 16,
  COHORT_FUSION_SLOTS = COHORT_MAX_INPUTS + COHORT_FUSION_OPERATIONS * 2,
  COHORT_FUSION_BUFFERS = 8,
  COHORT_FUSION_SUMS = 2,
  COHORT_FUSED_INPUTS = 3,
  COHORT_FUSED_OUTPUTS = 2,
};

/* How the elements of a fusion find a value. */
typedef enum cohort_slot_kind {
  COHORT_SLOT_INPUT,    /* an element for each of the fusion's: input `tensor` */
  COHORT_SLOT_OUTPUT,   /* the same: output `tensor` */
  COHORT_SLOT_BUFFER,   /* lives in buffer `buffer` of a tile alone */
  COHORT_SLOT_SCALAR,   /* one element for all */
  COHORT_SLOT_REPEATED, /* `period` elements again and again, as a bias; laid out in `buffer` where a tile needs it */
  COHORT_SLOT_HELD,     /* each element for `period` of the fusion's, as a mean of each row; laid out in `buffer` */
  COHORT_SLOT_WHOLE,    /* handed over as it is: ids and positions of dropout */
} cohort_slot_kind;

typedef struct cohort_fusion_slot {
  cohort_slot_kind kind;
  int tensor, buffer;
  int64_t period;
  cohort_type type;
} cohort_fusion_slot;

typedef struct cohort_fusion_operation {
  cohort_op op; /* an elementwise one, or SUM over all rows of [elements / columns, columns] */
  cohort_attributes attributes;
  int inputs, outputs;
  int input[COHORT_FUSED_INPUTS];   /* slots */
  int output[COHORT_FUSED_OUTPUTS]; /* slots; of SUM: the output tensor */
  int64_t columns;                  /* SUM; DROPOUT: elements of a row */
} cohort_fusion_operation;

typedef struct cohort_fusion {
  int64_t elements;
  int operations, slots, sums; /* sums come with columns > 0 and share them */
  int64_t columns;
  cohort_fusion_slot slot[COHORT_FUSION_SLOTS];
  cohort_fusion_operation operation[COHORT_FUSION_OPERATIONS];
} cohort_fusion;

/* Whether a fusion may hold the operation (SUM aside). */
static inline int cohort_op_is_elementwise(cohort_op op) {
  return (op >= COHORT_OP_NEGATE && op <= COHORT_OP_CAST) || (op >= COHORT_OP_ADD && op <= COHORT_OP_SELECT) ||
         (op >= COHORT_OP_GELU && op <= COHORT_OP_RELU_BACKWARD) || op == COHORT_OP_DROPOUT;
}

#endif
