/* A space: one named flat vector of parameters with a table of tensors, cut into pieces (tensor x block).
 *
 * Gradients and optimizer state have the same layout. Tensors begin at multiples of 16 elements; the padding is zero.
 * Who owns a piece is a pure function of (table, cuts, ranks), never stored. */
#ifndef COHORT_TRAIN_SPACE_H
#define COHORT_TRAIN_SPACE_H

#include "base/comm.h"
#include "base/random.h"
#include "graph/graph.h"
#include "method/method.h"

typedef struct cohort_space_tensor {
  cohort_parameter_tensor declared;
  int64_t offset, elements; /* in the flat vector */
  int first_piece, pieces;
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
  float *values;      /* the flat vector, 64-byte aligned */
} cohort_space;

/* From the tensors that `graph` declares in space number `number`. The vector is zero. */
cohort_status cohort_space_create(const cohort_graph *graph, int number, const char *name, cohort_space **out,
                                  cohort_error *error);
void cohort_space_destroy(cohort_space *space);

/* Draws the initial values, each tensor as it declares, by (key, tensor's name, element). */
void cohort_space_initialise(cohort_space *space, cohort_random_key key);

/* A run of elements that one rank owns. */
typedef struct cohort_range {
  int64_t offset, elements;
} cohort_range;

/* The shards of a space over ranks. */
typedef struct cohort_shards {
  const cohort_space *space; /* NULL for vectors of another layout */
  int ranks;
  int *owner;           /* [pieces] */
  int *ranges;          /* [ranks]: how many ranges */
  cohort_range **range; /* [ranks][ranges]: merged runs of pieces, ascending */
  int64_t *elements;    /* [ranks] */
  /* Scratch of the functions below, so that no step allocates. */
  cohort_message *message; /* [2 * ranks] */
  double *packed;          /* [pieces] */
  size_t *part;            /* [2 * ranks] */
} cohort_shards;

/* cut[tensor] and cost[tensor] (of whole tensors, any unit) come from the update that serves the tensor. Whole tensors
 * are dealt by cost, largest first, to the least loaded rank; the other pieces in equal contiguous runs. */
cohort_shards *cohort_shards_create(const cohort_space *space, int ranks, const cohort_cut *cut, const double *cost);
void cohort_shards_destroy(cohort_shards *shards);

/* Sum over the space of f(piece): this rank fills values[piece] for the pieces it owns; afterwards all ranks hold all
 * and the sum along a fixed tree over the pieces is returned. Collective. */
double cohort_space_sum(const cohort_space *space, const cohort_shards *shards, cohort_comm *comm, double *values);

/* Every rank sends its shard of `vector` to all others, window by window. Collective. `staging` has room for
 * cohort_space_gather_room floats. */
int64_t cohort_space_gather_room(const cohort_shards *shards);
void cohort_space_gather(const cohort_shards *shards, cohort_comm *comm, float *vector, float *staging);

#endif
