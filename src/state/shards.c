/* Deals pieces over the members of a shard group: whole tensors by cost, the rest so that all own equally much of every
 * part. A pure function of table, cuts, members and sizes, so nothing of it is stored. Members x pieces, once a run. */
#include "state/shards.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static void list_members(const cohort_comm *comm, bool replica_a_host, cohort_shard_group *out) {
  int *filled = cohort_allocate((size_t)out->replicas * sizeof *filled);
  for (int r = 0; r < comm->size; r++) {
    const int replica = replica_a_host && comm->host ? comm->host[r] : 0, number = filled[replica]++;
    out->replica_of[r] = replica;
    out->number_of[r] = number;
    if (number < out->count) out->rank[replica * out->count + number] = r;
  }
  out->replica = out->replica_of[comm->rank];
  out->number = out->number_of[comm->rank];
  free(filled);
}

cohort_status cohort_shard_group_create(const cohort_comm *comm, bool replica_a_host, cohort_shard_group **out,
                                        cohort_error *error) {
  const int replicas = replica_a_host ? comm->hosts : 1;
  int least = comm->size, most = 0;
  for (int replica = 0; replica < replicas; replica++) {
    int ranks = 0;
    for (int r = 0; r < comm->size; r++) ranks += replicas == 1 || comm->host[r] == replica;
    if (ranks < least) least = ranks;
    if (ranks > most) most = ranks;
  }
  if (least < most)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "replicate: the hosts have from %d to %d ranks, but each is to hold as much as any other; start "
                       "equally many ranks on every host or set replicate: none",
                       least, most);
  cohort_shard_group *members = cohort_allocate(sizeof *members);
  members->replicas = replicas;
  members->count = most;
  members->replica_of = cohort_allocate(3 * (size_t)comm->size * sizeof *members->replica_of);
  members->number_of = members->replica_of + comm->size;
  members->rank = members->number_of + comm->size;
  list_members(comm, replica_a_host, members);
  *out = members;
  return COHORT_DONE;
}

void cohort_shard_group_destroy(cohort_shard_group *members) {
  if (!members) return;
  free(members->replica_of);
  free(members);
}

cohort_shard_sizes cohort_shard_sizes_of(double bucket, const cohort_link *link, int members) {
  if (bucket == 0 && link->bandwidth == 0) bucket = 4;
  if (bucket == 0) {
    const double message = 50 * link->latency * link->bandwidth, part = message * members / (1 << 20);
    /* Nothing hides the last bucket's sums and the first one's weights: on a slow link they are kept small. */
    const double least = link->bandwidth < 1e9 ? 0.25 : 2;
    bucket = part / 2 < least ? least : part / 2 > 32 ? 32 : part / 2;
  }
  const int64_t elements = (int64_t)(bucket * (1 << 20) / sizeof(float)) + 1;
  return (cohort_shard_sizes){elements, 2 * elements};
}

/* A tensor of so many buckets. */
enum { GIANT = 4 };

static void close_bucket(cohort_shards *shards, int first_tensor, int last_tensor) {
  const cohort_space *space = shards->space;
  const cohort_space_tensor *first = &space->tensor[first_tensor], *last = &space->tensor[last_tensor - 1];
  const int64_t end = last_tensor < space->tensors ? space->tensor[last_tensor].offset : space->elements;
  for (int t = first_tensor; t < last_tensor; t++) shards->bucket_of[t] = shards->buckets;
  shards->bucket[shards->buckets++] = (cohort_bucket){.first_tensor = first_tensor,
                                                      .last_tensor = last_tensor,
                                                      .first_piece = first->first_piece,
                                                      .last_piece = last->first_piece + last->pieces,
                                                      .offset = first->offset,
                                                      .elements = end - first->offset};
}

/* Tensors until there are enough. A giant is one by itself: what is read early or written late holds up no others. */
static void cut_into_buckets(cohort_shards *shards, int64_t size) {
  const cohort_space *space = shards->space;
  shards->bucket = cohort_allocate((size_t)(space->tensors + 1) * sizeof *shards->bucket);
  shards->bucket_of = cohort_allocate((size_t)(space->tensors + 1) * sizeof *shards->bucket_of);
  int first = 0;
  int64_t filled = 0;
  for (int t = 0; t < space->tensors; t++) {
    const int64_t elements = space->tensor[t].elements;
    if (t > first && (filled >= size || elements > GIANT * size)) {
      close_bucket(shards, first, t);
      first = t;
      filled = 0;
    }
    filled += elements;
  }
  if (first < space->tensors) close_bucket(shards, first, space->tensors);
}

static void cut_into_parts(cohort_shards *shards, int64_t size) {
  const cohort_space *space = shards->space;
  shards->part = cohort_allocate((size_t)(space->pieces + 1) * sizeof *shards->part);
  for (int b = 0; b < shards->buckets; b++) {
    cohort_bucket *bucket = &shards->bucket[b];
    bucket->first_part = shards->parts;
    int64_t filled = 0;
    for (int p = bucket->first_piece; p < bucket->last_piece; p++) {
      if (p == bucket->first_piece || filled + space->piece[p].elements > size) {
        shards->part[shards->parts++] = (cohort_part){b, p, p};
        filled = 0;
      }
      shards->part[shards->parts - 1].last_piece = p + 1;
      filled += space->piece[p].elements;
    }
    bucket->last_part = shards->parts;
  }
}

/* Whole tensors: the costliest first, each to the member with the least so far; equal costs in order of the table. */
static void deal_whole_tensors(const cohort_space *space, int members, const cohort_cut *cut, const double *cost,
                               int *owner, int64_t *elements) {
  double *load = cohort_allocate((size_t)members * sizeof *load);
  bool *dealt = cohort_allocate((size_t)space->tensors + 1);
  for (;;) {
    int costliest = -1;
    for (int t = 0; t < space->tensors; t++)
      if (cut[t] == COHORT_CUT_TENSOR && !dealt[t] && (costliest < 0 || cost[t] > cost[costliest])) costliest = t;
    if (costliest < 0) break;
    int member = 0;
    for (int h = 1; h < members; h++)
      if (load[h] < load[member]) member = h;
    dealt[costliest] = true;
    load[member] += cost[costliest];
    const cohort_space_tensor *tensor = &space->tensor[costliest];
    elements[member] += tensor->elements;
    for (int p = 0; p < tensor->pieces; p++) owner[tensor->first_piece + p] = member;
  }
  free(dealt);
  free(load);
}

/* Which share of the pieces cut by elements each member shall own, so that all own equally many elements in all. */
static void find_shares(int64_t parameters, int members, const int64_t *whole, double *share) {
  double all = 0;
  for (int h = 0; h < members; h++) {
    share[h] = (double)parameters / members - (double)whole[h];
    if (share[h] < 0) share[h] = 0;
    all += share[h];
  }
  for (int h = 0; h < members; h++) share[h] = all > 0 ? share[h] / all : 1.0 / members;
}

/* The pieces of a part that are cut by elements, in runs: each member gets what it lacks of its share of all so far. */
static void deal_part(cohort_shards *shards, const cohort_part *part, const cohort_cut *cut, const double *share,
                      double *dealt, double *wanted) {
  const cohort_space *space = shards->space;
  double here = 0, before = 0;
  for (int p = part->first_piece; p < part->last_piece; p++)
    if (cut[space->piece[p].tensor] != COHORT_CUT_TENSOR) here += (double)space->piece[p].elements;
  const int members = shards->members->count;
  int member = 0;
  for (int h = 0; h < members; h++) wanted[h] += here * share[h];
  double until = wanted[0] - dealt[0];
  for (int p = part->first_piece; p < part->last_piece; p++) {
    const cohort_piece *piece = &space->piece[p];
    if (cut[piece->tensor] == COHORT_CUT_TENSOR) continue;
    const double middle = before + (double)piece->elements / 2;
    while (member + 1 < members && middle >= until) {
      member++;
      if (wanted[member] > dealt[member]) until += wanted[member] - dealt[member];
    }
    shards->owner[p] = member;
    before += (double)piece->elements;
  }
  for (int p = part->first_piece; p < part->last_piece; p++)
    if (cut[space->piece[p].tensor] != COHORT_CUT_TENSOR) dealt[shards->owner[p]] += (double)space->piece[p].elements;
}

static void deal(cohort_shards *shards, const cohort_cut *cut, const double *cost) {
  const int members = shards->members->count;
  int64_t *whole = cohort_allocate((size_t)members * sizeof *whole);
  double *share = cohort_allocate(3 * (size_t)members * sizeof *share), *dealt = share + members;
  double *wanted = dealt + members;
  deal_whole_tensors(shards->space, members, cut, cost, shards->owner, whole);
  find_shares(shards->space->parameters, members, whole, share);
  for (int i = 0; i < shards->parts; i++) deal_part(shards, &shards->part[i], cut, share, dealt, wanted);
  free(share);
  free(whole);
}

static void list_ranges(cohort_shards *shards) {
  const cohort_space *space = shards->space;
  for (int h = 0; h < shards->members->count; h++) {
    cohort_range *range = cohort_allocate((size_t)(space->pieces + 1) * sizeof *range);
    int count = 0;
    for (int p = 0; p < space->pieces; p++) {
      if (shards->owner[p] != h) continue;
      const cohort_piece *piece = &space->piece[p];
      if (count && range[count - 1].offset + range[count - 1].elements == piece->offset)
        range[count - 1].elements += piece->elements;
      else
        range[count++] = (cohort_range){piece->offset, piece->elements};
      shards->elements[h] += piece->elements;
    }
    shards->range[h] = range;
    shards->ranges[h] = count;
  }
}

static cohort_shards *make_room(const cohort_space *space, const cohort_shard_group *members) {
  cohort_shards *shards = cohort_allocate(sizeof *shards);
  const size_t count = (size_t)members->count;
  shards->space = space;
  shards->members = members;
  shards->owner = cohort_allocate((size_t)(space->pieces + 1) * sizeof *shards->owner);
  shards->ranges = cohort_allocate(count * sizeof *shards->ranges);
  shards->range = cohort_allocate(count * sizeof *shards->range);
  shards->elements = cohort_allocate(count * sizeof *shards->elements);
  shards->packed = cohort_allocate((size_t)(space->pieces + 1) * sizeof *shards->packed);
  shards->place = cohort_allocate(2 * count * (size_t)members->replicas * sizeof *shards->place);
  return shards;
}

cohort_shards *cohort_shards_create(const cohort_space *space, const cohort_shard_group *members, const cohort_cut *cut,
                                    const double *cost, cohort_shard_sizes sizes) {
  cohort_shards *shards = make_room(space, members);
  cut_into_buckets(shards, sizes.bucket);
  cut_into_parts(shards, sizes.part);
  deal(shards, cut, cost);
  list_ranges(shards);
  return shards;
}

/* One space's buckets and parts, moved behind those that are there. */
static void append(cohort_shards *all, const cohort_shards *own, int first_tensor, int first_piece, int64_t first) {
  for (int b = 0; b < own->buckets; b++) {
    cohort_bucket bucket = own->bucket[b];
    bucket.first_tensor += first_tensor;
    bucket.last_tensor += first_tensor;
    bucket.first_piece += first_piece;
    bucket.last_piece += first_piece;
    bucket.first_part += all->parts;
    bucket.last_part += all->parts;
    bucket.offset += first;
    all->bucket[all->buckets + b] = bucket;
  }
  for (int i = 0; i < own->parts; i++) {
    const cohort_part *part = &own->part[i];
    all->part[all->parts + i] =
        (cohort_part){part->bucket + all->buckets, part->first_piece + first_piece, part->last_piece + first_piece};
  }
  for (int t = 0; t < own->space->tensors; t++) all->bucket_of[first_tensor + t] = own->bucket_of[t] + all->buckets;
  for (int p = 0; p < own->space->pieces; p++) all->owner[first_piece + p] = own->owner[p];
  all->buckets += own->buckets;
  all->parts += own->parts;
}

cohort_shards *cohort_shards_join(const cohort_space *all, int spaces, const cohort_shards *const *shards) {
  cohort_shards *joined = make_room(all, shards[0]->members);
  joined->bucket = cohort_allocate((size_t)(all->tensors + 1) * sizeof *joined->bucket);
  joined->bucket_of = cohort_allocate((size_t)(all->tensors + 1) * sizeof *joined->bucket_of);
  joined->part = cohort_allocate((size_t)(all->pieces + 1) * sizeof *joined->part);
  int tensor = 0, piece = 0;
  int64_t first = 0;
  for (int s = 0; s < spaces; s++) {
    append(joined, shards[s], tensor, piece, first);
    tensor += shards[s]->space->tensors;
    piece += shards[s]->space->pieces;
    first += shards[s]->space->elements;
  }
  list_ranges(joined);
  return joined;
}

void cohort_shards_destroy(cohort_shards *shards) {
  if (!shards) return;
  for (int h = 0; h < shards->members->count; h++) free(shards->range[h]);
  free(shards->range);
  free(shards->ranges);
  free(shards->elements);
  free(shards->bucket);
  free(shards->bucket_of);
  free(shards->part);
  free(shards->packed);
  free(shards->place);
  free(shards->owner);
  free(shards);
}

/* Exchanges the values of pieces: packed by owner, each owner's in order of pieces; the first replica's go to all. */
static void share_pieces(const cohort_space *space, const cohort_shards *shards, cohort_comm *comm, double *values) {
  const cohort_shard_group *members = shards->members;
  size_t *offsets = shards->place, *bytes = shards->place + comm->size;
  size_t next = 0;
  for (int r = 0; r < comm->size; r++) offsets[r] = bytes[r] = 0;
  for (int h = 0; h < members->count; h++) {
    const int rank = members->rank[h];
    offsets[rank] = next * sizeof(double);
    for (int p = 0; p < space->pieces; p++)
      if (shards->owner[p] == h) shards->packed[next++] = values[p];
    bytes[rank] = next * sizeof(double) - offsets[rank];
  }
  cohort_comm_gather_all(comm, shards->packed, offsets, bytes);
  next = 0;
  for (int h = 0; h < members->count; h++)
    for (int p = 0; p < space->pieces; p++)
      if (shards->owner[p] == h) values[p] = shards->packed[next++];
}

double cohort_space_sum(const cohort_space *space, const cohort_shards *shards, cohort_comm *comm, double *values) {
  if (comm->size > 1) share_pieces(space, shards, comm, values);
  /* The tree: neighbours first. */
  for (int width = 1; width < space->pieces; width *= 2)
    for (int p = 0; p + width < space->pieces; p += 2 * width) values[p] += values[p + width];
  return space->pieces ? values[0] : 0;
}
