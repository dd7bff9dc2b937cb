/* Spaces end to end: what a run holds is one vector, of which each space is a part with its own table and shards. So
 * all of it is cut into buckets and travels as one, and a list of spaces costs those who carry it nothing.
 *
 *   elements  [ space 0 | space 1 | space 2 ... ]     buckets and pieces count on from space to space
 *   rows      [ space 0 | space 1 ]                   trained spaces come first: a row of gradients is the beginning
 */
#ifndef COHORT_STATE_SPACE_LAYOUT_H
#define COHORT_STATE_SPACE_LAYOUT_H

#include "state/shards.h"

enum { COHORT_MAX_SPACES = 8 };

typedef struct cohort_space_layout {
  int spaces, trained;
  cohort_space *space[COHORT_MAX_SPACES]; /* stay the caller's, and their shards */
  const cohort_shards *own[COHORT_MAX_SPACES];
  int64_t first[COHORT_MAX_SPACES + 1]; /* element where each begins, and the end of all */
  int first_bucket[COHORT_MAX_SPACES + 1], first_piece[COHORT_MAX_SPACES + 1];
  cohort_space *all;     /* the table of all tensors; holds no values */
  cohort_shards *shards; /* of all */
} cohort_space_layout;

/* Of `spaces` spaces, the first `trained` of which have gradients, and their shards, all among the same members. */
cohort_space_layout *cohort_space_layout_create(int spaces, int trained, cohort_space *const *space,
                                                const cohort_shards *const *shards);
void cohort_space_layout_destroy(cohort_space_layout *layout);

/* Elements and buckets of a row of gradients. */
static inline int64_t cohort_space_layout_row(const cohort_space_layout *layout) {
  return layout->first[layout->trained];
}
static inline int cohort_space_layout_row_buckets(const cohort_space_layout *layout) {
  return layout->first_bucket[layout->trained];
}

#endif
