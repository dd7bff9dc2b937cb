/* The fixed tree over the lanes of a batch ("one order of arithmetic").
 *
 * Lanes 0..count-1 are the leaves of a binary tree, neighbours first: node (level, index) covers the lanes
 * [index << level, (index + 1) << level) that exist; a node whose right half is empty equals its left half. Every sum
 * over lanes is taken along this tree, so it does not depend on who holds which lane. A holder of the lanes [first,
 * last) can reduce them to the nodes that lie wholly inside: its "subtrees". */
#ifndef COHORT_BASE_LANES_H
#define COHORT_BASE_LANES_H

#include <stdint.h>

enum { COHORT_MAX_LANES = 4096, COHORT_MAX_SUBTREES = 26 };

typedef struct cohort_subtree {
  int level, index; /* of the node in the tree */
} cohort_subtree;

/* Lanes of holder `holder` of `holders`: [first, last), contiguous, sizes differ by at most one. */
void cohort_lanes_of(int lanes, int holders, int holder, int *first, int *last);

/* Samples of lane `lane`: [first, last) of a batch of `samples`. */
void cohort_lane_samples(int64_t samples, int lanes, int lane, int64_t *first, int64_t *last);

/* The maximal nodes inside [first, last), left to right, into out[COHORT_MAX_SUBTREES]; returns how many. */
int cohort_lanes_subtrees(int lanes, int first, int last, cohort_subtree *out);

/* Sums subtree values that together cover all lanes, left to right (as cohort_lanes_subtrees of every holder in turn
 * lists them), along the tree: rows[i] has n elements; the result is left in rows[0]. The other rows are
 * overwritten. */
void cohort_lanes_join_float(int lanes, int count, const cohort_subtree *nodes, float *const *rows, int64_t n);
void cohort_lanes_join_double(int lanes, int count, const cohort_subtree *nodes, double *const *rows, int64_t n);

/* The sum of one double per lane along the tree. */
double cohort_lanes_sum(int lanes, const double *values);

#endif
