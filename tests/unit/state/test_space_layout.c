/* Spaces end to end: each keeps its owners and its buckets, whatever stands before it. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "state/space_layout.h"

enum { TENSORS = 3, MEMBERS = 3 };

static cohort_space *make_space(const char *name, int64_t rows) {
  cohort_parameter_tensor tensor[TENSORS];
  memset(tensor, 0, sizeof tensor);
  for (int t = 0; t < TENSORS; t++) {
    (void)snprintf(tensor[t].name, sizeof tensor[t].name, "layer%d", t);
    tensor[t].shape = COHORT_SHAPE(rows + t, 31);
  }
  return cohort_space_of(name, TENSORS, tensor);
}

static void spaces_keep_owners_and_buckets(void) {
  int number_of[MEMBERS] = {0, 1, 2}, replica_of[MEMBERS] = {0}, rank[MEMBERS] = {0, 1, 2};
  const cohort_shard_group members = {
      .replicas = 1, .count = MEMBERS, .number = 1, .replica_of = replica_of, .number_of = number_of, .rank = rank};
  cohort_space *space[2] = {make_space("adapter", 7), make_space("model", 220)};
  const cohort_shard_sizes sizes = {3000, 6000};
  const cohort_cut cut[TENSORS] = {COHORT_CUT_ELEMENT, COHORT_CUT_TENSOR, COHORT_CUT_ELEMENT};
  const double cost[TENSORS] = {1, 2, 3};
  const cohort_shards *shards[2];
  for (int s = 0; s < 2; s++) shards[s] = cohort_shards_create(space[s], &members, cut, cost, sizes);
  CU_ASSERT(shards[1]->buckets > 1 && space[1]->pieces > space[0]->pieces);
  cohort_space_layout *layout = cohort_space_layout_create(2, 1, space, shards);
  CU_ASSERT_EQUAL(cohort_space_layout_row(layout), space[0]->elements);
  CU_ASSERT_EQUAL(cohort_space_layout_row_buckets(layout), shards[0]->buckets);
  CU_ASSERT_EQUAL(layout->all->elements, space[0]->elements + space[1]->elements);
  CU_ASSERT_EQUAL(layout->shards->parts, shards[0]->parts + shards[1]->parts);
  int64_t owned = 0;
  for (int h = 0; h < MEMBERS; h++) {
    CU_ASSERT_EQUAL(layout->shards->elements[h], shards[0]->elements[h] + shards[1]->elements[h]);
    owned += layout->shards->elements[h];
  }
  CU_ASSERT_EQUAL(owned, space[0]->parameters + space[1]->parameters);
  for (int s = 0; s < 2; s++) {
    for (int p = 0; p < space[s]->pieces; p++) {
      const int at = layout->first_piece[s] + p;
      CU_ASSERT_EQUAL(layout->shards->owner[at], shards[s]->owner[p]);
      CU_ASSERT_EQUAL(layout->all->piece[at].offset, layout->first[s] + space[s]->piece[p].offset);
      CU_ASSERT_STRING_EQUAL(layout->all->tensor[layout->all->piece[at].tensor].declared.name,
                             space[s]->tensor[space[s]->piece[p].tensor].declared.name);
    }
    for (int b = 0; b < shards[s]->buckets; b++) {
      const cohort_bucket *own = &shards[s]->bucket[b], *in_all = &layout->shards->bucket[layout->first_bucket[s] + b];
      CU_ASSERT_EQUAL(in_all->offset, layout->first[s] + own->offset);
      CU_ASSERT_EQUAL(in_all->elements, own->elements);
      CU_ASSERT_EQUAL(layout->shards->part[in_all->first_part].bucket, layout->first_bucket[s] + b);
      CU_ASSERT_EQUAL(in_all->last_part - in_all->first_part, own->last_part - own->first_part);
    }
  }
  cohort_space_layout_destroy(layout);
  for (int s = 0; s < 2; s++) {
    cohort_shards_destroy((cohort_shards *)(uintptr_t)shards[s]);
    cohort_space_destroy(space[s]);
  }
}

static const check checks[] = {{"spaces end to end keep owners and buckets", spaces_keep_owners_and_buckets}};
int main(void) { return check_run("space layout", checks, sizeof checks / sizeof *checks); }
