/* Tables of spaces, joined: offsets, tensors, pieces and buckets of each are moved behind those before it. Invariant: a
 * space's elements have the same owners and the same buckets in its own shards and in those of all. Tensors + pieces,
 * once a run. */
#include "state/space_layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static cohort_space *join_tables(const cohort_space_layout *layout) {
  cohort_space *all = cohort_allocate(sizeof *all);
  (void)strncpy(all->name, "all", sizeof all->name - 1);
  for (int s = 0; s < layout->spaces; s++) {
    all->tensors += layout->space[s]->tensors;
    all->pieces += layout->space[s]->pieces;
    all->elements += layout->space[s]->elements;
    all->parameters += layout->space[s]->parameters;
  }
  all->tensor = cohort_allocate((size_t)(all->tensors + 1) * sizeof *all->tensor);
  all->piece = cohort_allocate((size_t)(all->pieces + 1) * sizeof *all->piece);
  int tensor = 0, piece = 0;
  for (int s = 0; s < layout->spaces; s++) {
    const cohort_space *space = layout->space[s];
    const int first_tensor = tensor, first_piece = piece;
    for (int t = 0; t < space->tensors; t++) {
      cohort_space_tensor *own = &all->tensor[tensor++];
      *own = space->tensor[t];
      own->offset += layout->first[s];
      own->first_piece += first_piece;
    }
    for (int p = 0; p < space->pieces; p++) {
      const cohort_piece *own = &space->piece[p];
      all->piece[piece++] = (cohort_piece){own->tensor + first_tensor, own->offset + layout->first[s], own->elements};
    }
  }
  return all;
}

cohort_space_layout *cohort_space_layout_create(int spaces, int trained, cohort_space *const *space,
                                                const cohort_shards *const *shards) {
  cohort_space_layout *layout = cohort_allocate(sizeof *layout);
  layout->spaces = spaces;
  layout->trained = trained;
  for (int s = 0; s < spaces; s++) {
    layout->space[s] = space[s];
    layout->own[s] = shards[s];
    layout->first[s + 1] = layout->first[s] + space[s]->elements;
    layout->first_bucket[s + 1] = layout->first_bucket[s] + shards[s]->buckets;
    layout->first_piece[s + 1] = layout->first_piece[s] + space[s]->pieces;
  }
  layout->all = join_tables(layout);
  layout->shards = cohort_shards_join(layout->all, spaces, shards);
  return layout;
}

void cohort_space_layout_destroy(cohort_space_layout *layout) {
  if (!layout) return;
  cohort_shards_destroy(layout->shards);
  cohort_space_destroy(layout->all);
  free(layout);
}
