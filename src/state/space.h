/* A space: one named flat vector of parameters with a table of tensors, cut into pieces (tensor x block).
 *
 * Gradients and optimizer state have the same layout. Tensors begin at multiples of 16 elements; the padding is zero.
 * Who owns a piece is a pure function of (table, cuts, ranks), never stored. */
#ifndef COHORT_STATE_SPACE_H
#define COHORT_STATE_SPACE_H

#include "base/random.h"
#include "graph/graph.h"

typedef struct cohort_space_tensor {
  cohort_parameter_tensor declared;
  int64_t offset, elements; /* in the flat vector */
  int first_piece, pieces;
  bool frozen; /* a group of the config freezes it: its gradient is zero and is never computed */
} cohort_space_tensor;

typedef struct cohort_piece {
  int tensor;
  int64_t offset, elements; /* in the flat vector; at most a block, never across tensors */
} cohort_piece;

typedef struct cohort_space {
  char name[32];
  int tensors;
  cohort_space_tensor *tensor;
  int pieces;
  cohort_piece *piece;
  int64_t elements;   /* of the flat vector, padding included */
  int64_t parameters; /* without padding */
  float *values;      /* the flat vector, 64-byte aligned; NULL until somebody holds it */
  void *memory;       /* its own, or NULL */
} cohort_space;

/* The table, from the tensors that `graph` declares in space number `number`. */
cohort_space *cohort_space_create(const cohort_graph *graph, int number, const char *name);
/* The table of tensors that nobody has declared in a graph: a probe's, a test's. */
cohort_space *cohort_space_of(const char *name, int tensors, const cohort_parameter_tensor *tensor);
/* What `graph` keeps from batch to batch, as a space "state"; NULL: nothing. */
cohort_space *cohort_space_of_states(const cohort_graph *graph);
void cohort_space_destroy(cohort_space *space);

/* Cuts the space into pieces anew: tensors that are cut by rows into whole rows (cut[tensor]; NULL: none). Before
 * anybody looks at pieces. */
void cohort_space_cut(cohort_space *space, const cohort_cut *cut);

/* Cuts it as another is cut that is laid out alike. */
void cohort_space_cut_like(cohort_space *space, const cohort_space *other);

/* Whether pieces lie at the same places in both, so that who owns what of one can own the same of the other. */
bool cohort_space_alike(const cohort_space *a, const cohort_space *b);

/* A vector of its own, zero, which goes with the space: for one that no other rank reads. */
cohort_status cohort_space_hold(cohort_space *space, cohort_error *error);

/* Draws the initial values, each tensor as it declares, by (key, tensor's name, element); of the pieces that `held`
 * marks, or (NULL) of all. */
void cohort_space_initialise(cohort_space *space, cohort_random_key key, const bool *held);

#endif
