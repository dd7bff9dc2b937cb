/* Who owns what: every piece has one owner, the same on all ranks; whole tensors stay whole; members own equally much
 * of every part; and a sum over pieces has the same bits on any number of ranks. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "check.h"
#include "state/shards.h"

enum { TENSORS = 6, MOST_RANKS = 5 };

static const int64_t rows[TENSORS] = {90, 1, 33, 7, 200, 64}, columns[TENSORS] = {100, 10, 40, 1, 37, 64};
static const cohort_cut cuts[TENSORS] = {COHORT_CUT_ELEMENT, COHORT_CUT_ELEMENT, COHORT_CUT_TENSOR,
                                         COHORT_CUT_TENSOR,  COHORT_CUT_ROW,     COHORT_CUT_TENSOR};
static const double costs[TENSORS] = {9000, 10, 4e4, 7, 7400, 9e4};

static cohort_space *make_space(void) {
  cohort_parameter_tensor declared[TENSORS] = {0};
  for (int t = 0; t < TENSORS; t++) {
    (void)snprintf(declared[t].name, sizeof declared[t].name, "t%d", t);
    declared[t].shape = COHORT_SHAPE(rows[t], columns[t]);
    declared[t].role = COHORT_ROLE_MATRIX;
  }
  cohort_space *space = cohort_space_of("model", TENSORS, declared);
  cohort_space_cut(space, cuts);
  return space;
}

typedef struct bench {
  int size;
  int *owner[MOST_RANKS]; /* as each rank has it */
  double sum[MOST_RANKS];
  int pieces;
} bench;

static double value_of(int piece) { return 1.0 / (3 + piece) * (piece % 2 ? 1e9 : -1); }

static void hold_tensors(const cohort_space *space, const cohort_shards *shards) {
  for (int t = 0; t < TENSORS; t++)
    for (int p = space->tensor[t].first_piece; p < space->tensor[t].first_piece + space->tensor[t].pieces; p++) {
      CU_ASSERT(shards->owner[p] >= 0 && shards->owner[p] < shards->members->count);
      if (cuts[t] == COHORT_CUT_TENSOR) CU_ASSERT_EQUAL(shards->owner[p], shards->owner[space->tensor[t].first_piece]);
      if (cuts[t] == COHORT_CUT_ROW) CU_ASSERT_EQUAL(space->piece[p].elements % columns[t], 0);
    }
}

/* Ranges are the owner's pieces, ascending, none twice. */
static void hold_ranges(const cohort_space *space, const cohort_shards *shards) {
  for (int m = 0; m < shards->members->count; m++) {
    int64_t own = 0, ranged = 0, end = 0;
    for (int p = 0; p < space->pieces; p++) own += shards->owner[p] == m ? space->piece[p].elements : 0;
    for (int r = 0; r < shards->ranges[m]; r++) {
      CU_ASSERT(shards->range[m][r].offset >= end);
      end = shards->range[m][r].offset + shards->range[m][r].elements;
      ranged += shards->range[m][r].elements;
    }
    CU_ASSERT(own <= ranged); /* padding between two pieces goes with them */
    CU_ASSERT(ranged <= own + 16 * TENSORS);
  }
}

/* A bucket holds whole tensors, a part pieces of one bucket; together they are all. */
static void hold_buckets(const cohort_space *space, const cohort_shards *shards) {
  int piece = 0, part = 0, tensor = 0;
  for (int b = 0; b < shards->buckets; b++) {
    const cohort_bucket *bucket = &shards->bucket[b];
    CU_ASSERT_EQUAL(bucket->first_tensor, tensor);
    CU_ASSERT_EQUAL(bucket->first_piece, piece);
    CU_ASSERT_EQUAL(bucket->first_part, part);
    for (int k = bucket->first_part; k < bucket->last_part; k++) {
      CU_ASSERT_EQUAL(shards->part[k].first_piece, piece);
      CU_ASSERT_EQUAL(shards->part[k].bucket, b);
      piece = shards->part[k].last_piece;
    }
    for (int t = bucket->first_tensor; t < bucket->last_tensor; t++) CU_ASSERT_EQUAL(shards->bucket_of[t], b);
    tensor = bucket->last_tensor;
    part = bucket->last_part;
    CU_ASSERT_EQUAL(bucket->last_piece, piece);
  }
  CU_ASSERT(piece == space->pieces && part == shards->parts && tensor == TENSORS);
}

static cohort_status run_rank(cohort_comm *comm, void *argument) {
  bench *own = argument;
  cohort_error error;
  cohort_shard_group *members = NULL;
  COHORT_TRY(cohort_shard_group_create(comm, false, &members, &error));
  cohort_space *space = make_space();
  cohort_shards *shards = cohort_shards_create(space, members, cuts, costs, (cohort_shard_sizes){2048, 4096});
  own->pieces = space->pieces;
  own->owner[comm->rank] = cohort_allocate((size_t)space->pieces * sizeof(int));
  memcpy(own->owner[comm->rank], shards->owner, (size_t)space->pieces * sizeof(int));
  double *values = cohort_allocate((size_t)space->pieces * sizeof *values);
  for (int p = 0; p < space->pieces; p++) values[p] = cohort_shards_own(shards, p) ? value_of(p) : 0;
  own->sum[comm->rank] = cohort_space_sum(space, shards, comm, values);
  if (comm->rank == 0) {
    hold_tensors(space, shards);
    hold_ranges(space, shards);
    hold_buckets(space, shards);
  }
  free(values);
  cohort_shards_destroy(shards);
  cohort_space_destroy(space);
  cohort_shard_group_destroy(members);
  return COHORT_DONE;
}

static void test_owners(void) {
  double alone = 0;
  for (int size = 1; size <= MOST_RANKS; size++) {
    bench own = {.size = size};
    CU_ASSERT_EQUAL_FATAL(cohort_comm_run_threads(size, run_rank, &own), COHORT_DONE);
    if (size == 1) alone = own.sum[0];
    for (int r = 0; r < size; r++) {
      CU_ASSERT_EQUAL(memcmp(own.owner[0], own.owner[r], (size_t)own.pieces * sizeof(int)), 0);
      CU_ASSERT_EQUAL(own.sum[r], alone);
    }
    for (int r = 0; r < size; r++) free(own.owner[r]);
  }
}

/* What is not whole tensors is dealt so that no member has over half more than its share of all; the two dear ones are
 * apart. */
static void test_balance(void) {
  cohort_comm alone = cohort_comm_alone();
  cohort_error error;
  cohort_space *space = make_space();
  alone.size = 3; /* who owns what is asked of nobody */
  cohort_shard_group *members = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_shard_group_create(&alone, false, &members, &error), COHORT_DONE);
  cohort_shards *shards = cohort_shards_create(space, members, cuts, costs, (cohort_shard_sizes){1 << 20, 1 << 20});
  CU_ASSERT(shards->owner[space->tensor[2].first_piece] != shards->owner[space->tensor[5].first_piece]);
  for (int m = 0; m < 3; m++)
    CU_ASSERT(2 * shards->elements[m] < space->elements && 2 * shards->elements[m] * 3 > space->elements);
  cohort_shards_destroy(shards);
  cohort_shard_group_destroy(members);
  cohort_space_destroy(space);
}

static const check checks[] = {{"every piece has one owner, and sums one order", test_owners},
                               {"members own equally much", test_balance}};
int main(void) { return check_run("shards", checks, sizeof checks / sizeof *checks); }
