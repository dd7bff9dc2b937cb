/* The inside of a transfer, for its three files. */
#ifndef COHORT_TRAIN_TRANSFER_STATE_H
#define COHORT_TRAIN_TRANSFER_STATE_H

#include "train/transfer.h"

/* SLOTS: parts on their way between hosts at a time. RUN_ELEMENTS: what a thread takes at a time. */
enum { SLOTS = 4, RUN_ELEMENTS = 1 << 14, APART = -1 };

/* What a rank shows the others of its host. Numbers only grow and are written by their rank alone; number n means that
 * operations 0 .. n-1 are through. Behind it lie the places of rows, then the slots of relayed parts. */
typedef struct control {
  _Atomic uint64_t rows_ready; /* reductions: the rows are there */
  _Atomic uint64_t rows_read;  /* and have been read by this rank */
  char other_line[48];
  _Atomic uint64_t own_ready; /* gathers: own pieces are final */
  _Atomic uint64_t relayed;   /* pieces of other hosts that this rank is agent for lie in their slot */
  _Atomic uint64_t gathered;  /* all is here */
  char last_line[40];
} control;

/* Neighbouring pieces of one owner within a part, padding between tensors included. */
typedef struct run {
  int first_piece, last_piece;
  int owner;                /* the rank of this rank's copy */
  int64_t offset, elements; /* of the flat vector */
  int64_t place;            /* in the owner's message of the part */
} run;

typedef struct reduction {
  int part;
  bool squares;
  float *sum; /* of this vector */
  int ticket; /* of what other hosts send; then of what other copies have summed */
} reduction;

typedef struct gathering {
  int part;
  cohort_vector from;
  float *to; /* the bucket's first element */
  int ticket;
} gathering;

struct cohort_transfer {
  cohort_transfer_plan plan;
  int host, mates;
  int *mate;  /* [mates]: other ranks of this host */
  int *agent; /* [hosts][ranks]: who on a host stands for an owner; of its own copy, who owns the same */
  run *run;
  int *first_run; /* [parts + 1] */
  int64_t *span;  /* [parts][holders]: elements of an owner's runs, in messages */
  int64_t *begin; /* [parts][holders]: where they begin in the flat vector when nobody else's lie between, else APART */
  control **show; /* [ranks]: NULL on other hosts */
  int64_t **place; /* [ranks]: [ring][nodes of the rank] */
  char **slot;     /* [ranks]: relayed parts */
  cohort_segment *shared;
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

static inline const cohort_part *part_of(const cohort_transfer *transfer, int part) {
  return &transfer->plan.shards->part[part];
}
static inline int agent_of(const cohort_transfer *transfer, int host, int owner) {
  return transfer->agent[host * transfer->plan.comm->size + owner];
}
static inline int64_t span_of(const cohort_transfer *transfer, int part, int owner) {
  const cohort_holders *holders = transfer->plan.shards->holders;
  return transfer->span[(size_t)part * (size_t)holders->count + (size_t)holders->number_of[owner]];
}
static inline int64_t begin_of(const cohort_transfer *transfer, int part, int owner) {
  const cohort_holders *holders = transfer->plan.shards->holders;
  return transfer->begin[(size_t)part * (size_t)holders->count + (size_t)holders->number_of[owner]];
}
/* Whether messages about what an owner elsewhere holds of a part come from and go to where it lies, without a copy. */
static inline bool in_place(const cohort_transfer *transfer, int part, int owner) {
  return transfer->plain && begin_of(transfer, part, owner) != APART;
}
/* The ranks that own pieces of this rank's copy. */
static inline int owner_at(const cohort_transfer *transfer, int number) {
  const cohort_holders *holders = transfer->plan.shards->holders;
  return holders->rank[holders->copy * holders->count + number];
}
static inline int owners(const cohort_transfer *transfer) { return transfer->plan.shards->holders->count; }
/* Whether a copy lies on several hosts: what owners hold goes between them. */
static inline bool gathers_between(const cohort_transfer *transfer) {
  return transfer->plan.comm->hosts > 1 && transfer->plan.shards->holders->copies == 1;
}
static inline bool all_mates_past(const cohort_transfer *transfer, size_t counter, uint64_t number) {
  for (int i = 0; i < transfer->mates; i++) {
    const char *show = (const char *)transfer->show[transfer->mate[i]];
    if (atomic_load_explicit((const _Atomic uint64_t *)(const void *)(show + counter), memory_order_acquire) < number)
      return false;
  }
  return true;
}

/* More than two copies share the sums of their owners: each sums one share of an owner's runs and gives it to the
 * others, which is half as many bytes or fewer. */
static inline int shares(const cohort_transfer *transfer) {
  const int copies = transfer->plan.shards->holders->copies;
  return copies > 2 ? copies : 1;
}

/* Where the elements of each owner of another host that `agent` stands for begin, one owner after the other but those
 * in place; returns how many there are. */
int64_t cohort_transfer_relay_places(const cohort_transfer *transfer, int part, int agent, int64_t *base);

/* Begins to gather a part. */
void cohort_transfer_gather_part(cohort_transfer *transfer, int part, const cohort_vector *from, float *to);

bool cohort_transfer_progress_reduce(cohort_transfer *transfer, const cohort_team *team);
bool cohort_transfer_progress_gather(cohort_transfer *transfer, const cohort_team *team);

#endif
