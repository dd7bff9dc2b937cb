/* The inside of a collective, for its files. */
#ifndef COHORT_STATE_COLLECTIVE_STATE_H
#define COHORT_STATE_COLLECTIVE_STATE_H

#include "state/collective.h"

/* SLOTS: parts on their way between hosts at a time. RANGE_ELEMENTS: what a thread takes at a time. */
enum { SLOTS = 4, RANGE_ELEMENTS = 1 << 14, SCATTERED = -1 };

/* What a rank shows the others of its host. Numbers only grow and are written by their rank alone; number n means that
 * operations 0 .. n-1 are through. Behind it lie the places of rows, then the slots of relayed parts. */
typedef struct control {
  _Atomic uint64_t rows_ready; /* reductions: the rows are there */
  _Atomic uint64_t rows_read;  /* and have been read by this rank */
  char other_line[48];
  _Atomic uint64_t own_ready; /* gathers: own pieces are final */
  _Atomic uint64_t relayed;   /* pieces of other hosts that this rank is relay for lie in their slot */
  _Atomic uint64_t gathered;  /* all is here */
  char last_line[40];
} control;

/* Neighbouring pieces of one owner within a part, padding between tensors included. */
typedef struct owner_range {
  int first_piece, last_piece;
  int owner;                /* the rank of this rank's replica */
  int64_t offset, elements; /* of the flat vector */
  int64_t place;            /* in the owner's message of the part */
} owner_range;

typedef struct reduction {
  int part;
  bool squares;
  float *sum; /* of this vector */
  int ticket; /* of what other hosts send; then of what other replicas have summed */
} reduction;

typedef struct gathering {
  int part;
  cohort_vector from;
  float *to; /* the bucket's first element */
  int ticket;
} gathering;

struct cohort_collective {
  cohort_collective_options options;
  int host, host_peers;
  int *host_peer; /* [peers]: other ranks of this host */
  int *relay;     /* [hosts][ranks]: who on a host stands for an owner; of its own replica, who owns the same */
  owner_range *owner_range;
  int *first_range; /* [parts + 1] */
  int64_t *span;    /* [parts][members]: elements of an owner's ranges, in messages */
  int64_t
      *begin; /* [parts][members]: where they begin in the flat vector when nobody else's lie between, else SCATTERED */
  control **show;  /* [ranks]: NULL on other hosts */
  int64_t **place; /* [ranks]: [ring][nodes of the rank] */
  char **slot;     /* [ranks]: relayed parts */
  cohort_shared_memory *shared;
  size_t *slot_bytes; /* [ranks] */
  int ring;           /* operations that a queue can hold */
  /* The tree of lanes: values of this host's rows, of this host, of all hosts, each from left to right. */
  int leaves, joined, all;
  cohort_subtree *leaf, *joined_node, *all_node;
  int *leaf_rank, *leaf_index; /* whose, and which of its rows */
  int *all_host, *all_index;   /* of which host, and which of its values */
  int *host_values;            /* [hosts] */
  int *nodes_of;               /* [ranks]: rows of each */
  bool plain;                  /* the host's value is this rank's only row, and no other host owns the same */
  /* Between hosts. */
  float *partial[SLOTS], *outgoing[SLOTS], *incoming[SLOTS], *packed[SLOTS];
  int64_t *base; /* [ranks]: where an owner's elements begin in `outgoing` or in a relayed part */
  cohort_message *message;
  /* The queues: operation n is at n % ring. */
  reduction *reduction;
  gathering *gathering;
  uint64_t reduce_posted, reduce_begun, reduce_summed, reduce_done;
  uint64_t gather_posted, gather_begun, gather_arrived, gather_done;
  double *squares; /* [pieces] */
  double (*dot)(const void *a, const void *b, int64_t n);
};

static inline const cohort_part *part_of(const cohort_collective *collective, int part) {
  return &collective->options.shards->part[part];
}
static inline int relay_of(const cohort_collective *collective, int host, int owner) {
  return collective->relay[host * collective->options.comm->size + owner];
}
static inline int64_t span_of(const cohort_collective *collective, int part, int owner) {
  const cohort_shard_group *members = collective->options.shards->members;
  return collective->span[(size_t)part * (size_t)members->count + (size_t)members->number_of[owner]];
}
static inline int64_t begin_of(const cohort_collective *collective, int part, int owner) {
  const cohort_shard_group *members = collective->options.shards->members;
  return collective->begin[(size_t)part * (size_t)members->count + (size_t)members->number_of[owner]];
}
/* Whether messages about what an owner elsewhere holds of a part come from and go to where it lies, without a replica.
 */
static inline bool in_place(const cohort_collective *collective, int part, int owner) {
  return collective->plain && begin_of(collective, part, owner) != SCATTERED;
}
/* The ranks that own pieces of this rank's replica. */
static inline int owner_at(const cohort_collective *collective, int number) {
  const cohort_shard_group *members = collective->options.shards->members;
  return members->rank[members->replica * members->count + number];
}
static inline int owners(const cohort_collective *collective) { return collective->options.shards->members->count; }
/* Whether a replica lies on several hosts: what owners hold goes between them. */
static inline bool gathers_between(const cohort_collective *collective) {
  return collective->options.comm->hosts > 1 && collective->options.shards->members->replicas == 1;
}
static inline bool all_host_peers_past(const cohort_collective *collective, size_t counter, uint64_t number) {
  for (int i = 0; i < collective->host_peers; i++) {
    const char *show = (const char *)collective->show[collective->host_peer[i]];
    if (atomic_load_explicit((const _Atomic uint64_t *)(const void *)(show + counter), memory_order_acquire) < number)
      return false;
  }
  return true;
}

/* Shows the others of this host that operations 0 .. number-1 are through. */
static inline void show_past(cohort_collective *collective, _Atomic uint64_t *counter, uint64_t number) {
  atomic_store_explicit(counter, number, memory_order_release);
  for (int i = 0; i < collective->host_peers; i++) cohort_comm_ring(collective->options.comm, collective->host_peer[i]);
}

/* More than two replicas share the sums of their owners: each sums one share of an owner's ranges and gives it to the
 * others, which is half as many bytes or fewer. */
static inline int shares(const cohort_collective *collective) {
  const int replicas = collective->options.shards->members->replicas;
  return replicas > 2 ? replicas : 1;
}

/* Where the elements of each owner of another host that `relay` stands for begin, one owner after the other but those
 * in place; returns how many there are. */
int64_t cohort_collective_relay_places(const cohort_collective *collective, int part, int relay, int64_t *base);

/* Begins to gather a part. */
void cohort_collective_all_gather_part(cohort_collective *collective, int part, const cohort_vector *from, float *to);

bool cohort_collective_progress_reduce_scatter(cohort_collective *collective, const cohort_team *team);
bool cohort_collective_progress_all_gather(cohort_collective *collective, const cohort_team *team);

#endif
