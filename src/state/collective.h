/* What travels between ranks: sums of gradients to the owners of their pieces, and what owners hold to everyone.
 *
 * Both go part by part (state/shards.h) through one queue each, in the same order on all ranks, without blocking: they
 * move when cohort_collective_progress is called and when somebody waits. Ranks of a host read one another's memory in
 * place; between hosts each host has a relay for every owner: the owner itself at home, elsewhere the rank with the
 * same number on its host. A sum is taken along the tree of lanes by the relays over their host's rows, then by the
 * owner over the hosts'; so its bits do not depend on who holds which lane, and a rank receives (ranks - 1) / ranks of
 * the vector each way. Where all ranks need all sums (`allreduce`) an owner writes its sums into its host-peers'
 * memory as it makes them, when all are of one host; else a part's gather begins by itself when its sum is there. Bytes
 * that come from or go to other ranks' memory are counted by who gets them, like messages (comm->bytes_shared).
 *
 * Where every host holds a replica (`replicate: hosts`) the owners of a piece are one rank a host: each sums its host's
 * rows, they send one another what they have, and each takes the same sum of all; gathers stay inside the host. With
 * more than two hosts each takes the sum of a share, which it sends to the others. */
#ifndef COHORT_STATE_COLLECTIVE_H
#define COHORT_STATE_COLLECTIVE_H

#include "base/comm.h"
#include "base/lanes.h"
#include "base/team.h"
#include "state/shards.h"
#include "state/vector.h"

typedef struct cohort_collective cohort_collective;

typedef struct cohort_collective_options {
  cohort_comm *comm;
  const cohort_shards *shards;
  int lanes;
  /* The values that this rank's rows hold: its maximal subtrees; with one rank any that cover all lanes. */
  int nodes;
  const cohort_subtree *node;
  const cohort_shared_memory *rows; /* where all ranks' rows lie; NULL: nothing is ever reduced */
  int vectors;                      /* the most that are reduced at once */
  bool squares;                     /* of vector 0's sums are wanted */
  bool allreduce;                   /* all ranks get all sums, which lie in `rows`; it gathers nothing else */
  cohort_team team;
} cohort_collective_options;

/* Collective. Nothing is allocated later. */
cohort_status cohort_collective_create(const cohort_collective_options *options, cohort_collective **out,
                                       cohort_error *error);
void cohort_collective_destroy(cohort_collective *collective);

/* Where a rank's rows of a bucket lie: node i, vector v, element e of the bucket at
 * rows->part[rank] + sizeof(float) * (place[i] + v * vector[i] + e). */
typedef struct cohort_bucket_rows {
  const int64_t *place, *vector; /* [nodes] */
} cohort_bucket_rows;

/* Begins the sums of a bucket: vector v of this rank's own pieces (`allreduce`: of all, and `sum` is at the same place
 * of every rank's part of `rows`) will be left at sum + v * stride + piece.offset. The rows are not touched until all
 * ranks of the host have read them, for which the caller waits: cohort_collective_rows_wait with the returned number;
 * what lies at `sum` until the sums are complete: cohort_collective_sum_wait. All ranks begin the same buckets in the
 * same order. */
uint64_t cohort_collective_reduce_scatter(cohort_collective *collective, int bucket, const cohort_bucket_rows *rows,
                                          int vectors, float *sum, int64_t stride);
void cohort_collective_rows_wait(cohort_collective *collective, uint64_t number);
void cohort_collective_sum_wait(cohort_collective *collective, uint64_t number);

/* Of vector 0 of the last sums: of each own piece the sum of squares, by the kernels' dot; others are undefined. */
const double *cohort_collective_squares(const cohort_collective *collective);

/* Begins to bring a bucket of a vector here from those of this replica who own its pieces: to[e] is element e of the
 * bucket; `to` may be the vector's own place, then own pieces stay. Own pieces must be final, and stay so until all
 * ranks have what they want. All ranks begin the same gathers in the same order. */
uint64_t cohort_collective_all_gather(cohort_collective *collective, const cohort_vector *from, int bucket, float *to);
void cohort_collective_all_gather_wait(cohort_collective *collective, uint64_t number);

/* Moves what can be moved, with the team or (`alone`) in the calling thread, the main one. */
bool cohort_collective_progress(cohort_collective *collective, bool alone);

#endif
