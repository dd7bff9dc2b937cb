/* Who owns which pieces of a space, and how a space is cut for its way between ranks.
 *
 * A bucket is a run of whole tensors: what is fetched before it is read and leaves once its gradients are there. A part
 * is a run of pieces of one bucket: what travels at a time. Every part is dealt over all members, so that each step of
 * a sum or of a gather is work for all. All of it is a pure function of (table, cuts, members, sizes) and changes no
 * bit.
 */
#ifndef COHORT_STATE_SHARDS_H
#define COHORT_STATE_SHARDS_H

#include "base/comm.h"
#include "base/link.h"
#include "state/space.h"

/* What is spread over the ranks: nothing, states, gradients too, parameters too (ZeRO 0 to 3). */
typedef enum {
  COHORT_SHARDING_NONE,
  COHORT_SHARDING_OPTIMIZER,
  COHORT_SHARDING_GRADIENTS,
  COHORT_SHARDING_PARAMETERS
} cohort_sharding;
/* The ranks that hold a space: all together hold it once, or (`replicate: hosts`) those of every host do. Member n of a
 * replica owns what member n of any other replica owns. */
typedef struct cohort_shard_group {
  int replicas, count;         /* replicas, members of each */
  int replica, number;         /* whose member this rank is, and which */
  int *replica_of, *number_of; /* [ranks] */
  int *rank;                   /* [replicas][count] */
} cohort_shard_group;

/* COHORT_BAD_CONFIG when hosts that are to hold a replica each have unequally many ranks. Not collective. */
cohort_status cohort_shard_group_create(const cohort_comm *comm, bool replica_a_host, cohort_shard_group **out,
                                        cohort_error *error);
void cohort_shard_group_destroy(cohort_shard_group *members);

/* A run of elements that one rank owns. */
typedef struct cohort_range {
  int64_t offset, elements;
} cohort_range;

typedef struct cohort_part {
  int bucket, first_piece, last_piece;
} cohort_part;

typedef struct cohort_bucket {
  int first_tensor, last_tensor, first_piece, last_piece, first_part, last_part;
  int64_t offset, elements; /* of the flat vector, padding included */
} cohort_bucket;

typedef struct cohort_shards {
  const cohort_space *space; /* NULL for vectors of another layout, which have ranges alone */
  const cohort_shard_group *members;
  int *owner;           /* [pieces]: the member's number */
  int *ranges;          /* [members]: how many ranges */
  cohort_range **range; /* [members][ranges]: merged runs of pieces, ascending */
  int64_t *elements;    /* [members] */
  int buckets, parts;
  cohort_bucket *bucket;
  cohort_part *part;
  int *bucket_of; /* [tensors] */
  /* Scratch of sums over pieces, so that no step allocates. */
  double *packed; /* [pieces] */
  size_t *place;  /* [2 * ranks] */
} cohort_shards;

/* How large buckets are at least and parts at most, in elements. */
typedef struct cohort_shard_sizes {
  int64_t bucket, part;
} cohort_shard_sizes;

/* For so many members. Buckets of so many MiB of parameters, parts twice as large. 0: 4 MiB inside a host, so that
 * parts stay in the caches; over a link so much that a rank's message of a part takes fifty times its latency, 2 to 32
 * MiB, on a link below 1 GB/s from 0.25 MiB. */
cohort_shard_sizes cohort_shard_sizes_of(double bucket, const cohort_link *link, int members);

/* cut[tensor] and cost[tensor] (of whole tensors, any unit) come from the update that serves the tensor. Whole tensors
 * are dealt by cost, largest first, to the least loaded member; the other pieces so that members own equally many
 * elements of each part, and of the whole. `members` stays the caller's. */
cohort_shards *cohort_shards_create(const cohort_space *space, const cohort_shard_group *members, const cohort_cut *cut,
                                    const double *cost, cohort_shard_sizes sizes);
/* Those of spaces that stand one after another in `all`, as they are. `all` stays the caller's. */
cohort_shards *cohort_shards_join(const cohort_space *all, int spaces, const cohort_shards *const *shards);
void cohort_shards_destroy(cohort_shards *shards);

/* Whether this rank owns a piece. */
static inline bool cohort_shards_own(const cohort_shards *shards, int piece) {
  return shards->owner[piece] == shards->members->number;
}

/* Sum over the space of f(piece): this rank fills values[piece] for the pieces it owns; afterwards all ranks hold all
 * and the sum along a fixed tree over the pieces is returned. Of several replicas the first one's values count, which
 * are those of any. Collective. */
double cohort_space_sum(const cohort_space *space, const cohort_shards *shards, cohort_comm *comm, double *values);

#endif
