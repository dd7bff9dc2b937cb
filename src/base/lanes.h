/* The fixed tree over the lanes of a batch ("one order of arithmetic").
 *
 * Lanes 0..count-1 are the leaves of a binary tree, neighbours first: node (level, index) covers the lanes
 * [index << level, (index + 1) << level) that exist; a node whose right half is empty equals its left half. Every sum
 * over lanes is taken along this tree, so it does not depend on who holds which lane. A holder of the lanes [first,
 * last) can reduce them to the nodes that lie wholly inside: its "subtrees". */
#ifndef COHORT_BASE_LANES_H
#define COHORT_BASE_LANES_H

#include <stdbool.h>
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

/* The maximal nodes that some subtrees (ascending, none inside another) join to, in out[count]; returns how many. */
int cohort_lanes_merge(int lanes, int count, const cohort_subtree *nodes, cohort_subtree *out);

/* Whether `node` lies inside `whole`. */
bool cohort_lanes_inside(cohort_subtree node, cohort_subtree whole);
cohort_subtree cohort_lanes_root(int lanes);

/* Sums the values of subtrees along the tree: rows[i], n elements, belongs to nodes[i]; the nodes inside `whole`, left
 * to right, cover it, others are passed over. `out` may be one of the rows; no other row is written. */
void cohort_lanes_sum_float(int lanes, cohort_subtree whole, int count, const cohort_subtree *nodes,
                            const float *const *rows, int64_t n, float *out);

/* The sum of one double per lane along the tree. */
double cohort_lanes_sum(int lanes, const double *values);

#endif
