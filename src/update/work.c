/* Which ranges an update goes over: neighbouring pieces joined where an element knows itself alone, pieces by
 * themselves where rows or sums matter, whole tensors dealt over threads by cost. Made once; a step walks the lists. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "update/updater_state.h"

/* An update's own cost is paid once for so many elements. */
enum { UPDATE_ELEMENTS = 16384 };

static bool goes_on(const cohort_piece *last, const cohort_piece *piece) {
  return last->tensor == piece->tensor && last->offset + last->elements == piece->offset &&
         last->elements + piece->elements <= UPDATE_ELEMENTS;
}

static void own_piece(cohort_updater *updater, const cohort_piece *piece) {
  if (updater->owned_count && goes_on(&updater->owned[updater->owned_count - 1], piece))
    updater->owned[updater->owned_count - 1].elements += piece->elements;
  else
    updater->owned[updater->owned_count++] = *piece;
}

/* Of `all` elements, of which `before` are shared already, to this thread what it is to have of a piece, and the rest
 * to the next ones. Cuts are where lines of the cache are. */
static void share_piece(cohort_updater *updater, cohort_piece piece, int64_t all, int64_t before, int *thread) {
  enum { LINE = 64 / sizeof(float) };
  const int threads = updater->options.threads;
  while (piece.elements) {
    const int64_t left = all * (*thread + 1) / threads - before, room = left - (piece.offset + left) % LINE;
    const bool last = *thread + 1 == threads || piece.elements <= room;
    const int64_t elements = last ? piece.elements : room;
    if (elements > 0) updater->shared[updater->share[threads]++] = (cohort_piece){piece.tensor, piece.offset, elements};
    if (last) return;
    updater->share[++*thread] = updater->share[threads];
    if (elements <= 0) continue;
    piece.offset += elements;
    piece.elements -= elements;
    before += elements;
  }
}

/* Equal shares for threads. Small tensors first: the first thread takes them, as it makes their gradients, and reads
 * them in the next step, alone. */
static void share_owned(cohort_updater *updater) {
  const cohort_space *space = updater->options.space;
  const int threads = updater->options.threads;
  updater->shared = cohort_allocate((size_t)(updater->owned_count + threads) * sizeof *updater->shared);
  updater->share = cohort_allocate((size_t)(threads + 1) * sizeof *updater->share);
  int thread = 0;
  int64_t all = 0, before = 0;
  for (int i = 0; i < updater->owned_count; i++) all += updater->owned[i].elements;
  for (int large = 0; large < 2; large++)
    for (int i = 0; i < updater->owned_count; i++) {
      const cohort_piece *piece = &updater->owned[i];
      if ((space->tensor[piece->tensor].elements >= UPDATE_ELEMENTS) != large) continue;
      share_piece(updater, *piece, all, before, &thread);
      before += piece->elements;
    }
  while (++thread < threads) updater->share[thread] = updater->share[threads];
}

/* Pieces that may be joined with their neighbours. */
static bool is_loose(const cohort_updater *updater, int tensor) {
  if (!updater->groups.count || updater->groups.cut[tensor] != COHORT_CUT_ELEMENT) return false;
  const cohort_update_group *group = &updater->groups.group[updater->groups.of_tensor[tensor]];
  return !group->sums && group->passes == 1;
}

static void list_owned(cohort_updater *updater) {
  const cohort_space *space = updater->options.space;
  for (int b = 0; b < updater->shards->buckets; b++) {
    const cohort_bucket *bucket = &updater->shards->bucket[b];
    updater->first_owned[b] = updater->owned_count;
    for (int p = bucket->first_piece; p < bucket->last_piece; p++) {
      if (!updater->updates[p]) continue;
      if (is_loose(updater, space->piece[p].tensor))
        own_piece(updater, &space->piece[p]);
      else if (updater->groups.count && updater->groups.cut[space->piece[p].tensor] != COHORT_CUT_TENSOR)
        updater->exact[updater->exact_count++] = p;
    }
  }
  updater->first_owned[updater->shards->buckets] = updater->owned_count;
}

/* Costliest first, each to the thread with the least so far. */
static void deal_whole(cohort_updater *updater) {
  const cohort_space *space = updater->options.space;
  const int threads = updater->options.threads;
  double *load = cohort_allocate((size_t)threads * sizeof *load);
  for (int t = 0; t < space->tensors; t++) {
    if (updater->groups.cut[t] != COHORT_CUT_TENSOR || !updater->updates[space->tensor[t].first_piece]) continue;
    int at = updater->whole_count++;
    for (; at > 0 && updater->groups.cost[updater->whole[at - 1]] < updater->groups.cost[t]; at--)
      updater->whole[at] = updater->whole[at - 1];
    updater->whole[at] = t;
  }
  for (int i = 0; i < updater->whole_count; i++) {
    int thread = 0;
    for (int other = 1; other < threads; other++)
      if (load[other] < load[thread]) thread = other;
    updater->whole_thread[i] = thread;
    load[thread] += updater->groups.cost[updater->whole[i]];
  }
  free(load);
}

/* Parameters and element states are read and written, the gradient is read; once a pass. */
static double update_bytes(const cohort_updater *updater, int tensor, int64_t elements) {
  const cohort_update_group *group = &updater->groups.group[updater->groups.of_tensor[tensor]];
  const cohort_method *method = group->choice.method;
  double bytes = (3 + ((method->needs & COHORT_NEEDS_HVP_DIAGONAL) != 0)) * (double)updater->real;
  for (int s = 0; s < group->states; s++) {
    const cohort_state_place *place = &updater->state.tensor[tensor * COHORT_MAX_STATES + s];
    if (method->states[s].owner == COHORT_OWNER_ELEMENT) bytes += 2 * (double)place->each * (double)place->number;
  }
  return group->passes * bytes * (double)elements;
}

static void count_bytes(cohort_updater *updater) {
  const cohort_space *space = updater->options.space;
  for (int i = 0; i < updater->owned_count; i++) {
    const cohort_piece *piece = &updater->owned[i];
    updater->owned_bytes += update_bytes(updater, piece->tensor, piece->elements);
  }
  for (int i = 0; i < updater->exact_count; i++) {
    const cohort_piece *piece = &space->piece[updater->exact[i]];
    updater->whole_bytes += update_bytes(updater, piece->tensor, piece->elements);
  }
  for (int i = 0; i < updater->whole_count; i++)
    updater->whole_bytes += update_bytes(updater, updater->whole[i], space->tensor[updater->whole[i]].elements);
}

void cohort_update_list_work(cohort_updater *updater) {
  const cohort_space *space = updater->options.space;
  updater->first_owned = cohort_allocate((size_t)(updater->shards->buckets + 1) * sizeof *updater->first_owned);
  updater->owned = cohort_allocate((size_t)(space->pieces + 1) * sizeof *updater->owned);
  updater->exact = cohort_allocate((size_t)(space->pieces + 1) * sizeof *updater->exact);
  updater->whole = cohort_allocate((size_t)(space->tensors + 1) * sizeof *updater->whole);
  updater->whole_thread = cohort_allocate((size_t)(space->tensors + 1) * sizeof *updater->whole_thread);
  list_owned(updater);
  share_owned(updater);
  deal_whole(updater);
  count_bytes(updater);
}

void cohort_update_release_work(cohort_updater *updater) {
  free(updater->first_owned);
  free(updater->owned);
  free(updater->exact);
  free(updater->shared);
  free(updater->share);
  free(updater->whole);
  free(updater->whole_thread);
}
