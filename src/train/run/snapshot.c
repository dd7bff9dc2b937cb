/* A run's state in memory: each rank's slices of what it keeps, as a checkpoint would have them, and where it stands.
 * It is taken up by a run of the same config on as many ranks, wherever these are: bytes that may travel. Saving costs
 * a copy of the state, and what sharded vectors cost between ranks. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/run/stored.h"

/* Before the flats' numbers of elements, and their slices one after another. */
typedef struct snapshot_head {
  uint64_t digest, scored_by;
  int64_t bytes, step, samples;
  int ranks, rank, lanes, flats;
  cohort_run_best best, before_end;
  bool ended, begun;
} snapshot_head;

static size_t slice_bytes(const cohort_stored_flat *flat) {
  const size_t element = flat->type == COHORT_STORED_FLOAT32 ? sizeof(float) : sizeof(int64_t);
  return (size_t)flat->count * element;
}

void cohort_run_to_memory(cohort_run *run, cohort_snapshot *out) {
  cohort_stored_run stored;
  cohort_run_wait(run);
  cohort_stored_list(run, &stored, true);
  cohort_stored_deal(run, &stored, true);
  size_t bytes = sizeof(snapshot_head) + (size_t)stored.flats * sizeof(int64_t);
  for (int i = 0; i < stored.flats; i++) bytes += slice_bytes(&stored.flat[i]);
  const snapshot_head head = {.digest = run->task.digest,
                              .scored_by = run->scored_by,
                              .bytes = (int64_t)bytes,
                              .step = run->step,
                              .samples = run->samples,
                              .ranks = run->comm->size,
                              .rank = run->comm->rank,
                              .lanes = run->lanes,
                              .flats = stored.flats,
                              .best = run->best,
                              .before_end = run->before_end,
                              .ended = run->ended,
                              .begun = run->begun};
  *out = (cohort_snapshot){cohort_allocate(bytes), bytes};
  char *to = out->memory;
  memcpy(to, &head, sizeof head);
  to += sizeof head;
  for (int i = 0; i < stored.flats; i++, to += sizeof(int64_t)) memcpy(to, &stored.flat[i].elements, sizeof(int64_t));
  for (int i = 0; i < stored.flats; i++) {
    memcpy(to, stored.flat[i].slice, slice_bytes(&stored.flat[i]));
    to += slice_bytes(&stored.flat[i]);
  }
  cohort_stored_release(run, &stored);
}

void cohort_snapshot_release(cohort_snapshot *snapshot) {
  free(snapshot->memory);
  *snapshot = (cohort_snapshot){NULL, 0};
}

/* Room in a table's flats for as many rows as there are, and the vectors' slices where they belong. */
static void fill_slices(const cohort_run *run, cohort_stored_run *stored, const char *elements, const char *from) {
  for (int i = 0; i < stored->flats; i++, elements += sizeof(int64_t)) {
    cohort_stored_flat *flat = &stored->flat[i];
    if (flat->row) {
      memcpy(&flat->elements, elements, sizeof flat->elements);
      cohort_checkpoint_slice(flat->elements, run->comm->size, run->comm->rank, &flat->first, &flat->count);
      flat->slice = cohort_allocate(slice_bytes(flat) + 1);
    }
    memcpy(flat->slice, from, slice_bytes(flat));
    from += slice_bytes(flat);
  }
}

/* Whether it is of a run like this one. */
static bool fits(const cohort_run *run, const cohort_stored_run *stored, const cohort_snapshot *snapshot,
                 const snapshot_head *head) {
  if (head->bytes != (int64_t)snapshot->bytes || head->digest != run->task.digest || head->lanes != run->lanes ||
      head->ranks != run->comm->size || head->rank != run->comm->rank || head->flats != stored->flats)
    return false;
  const char *elements = (const char *)snapshot->memory + sizeof *head;
  for (int i = 0; i < stored->flats; i++, elements += sizeof(int64_t))
    if (!stored->flat[i].row && memcmp(elements, &stored->flat[i].elements, sizeof(int64_t)) != 0) return false;
  return true;
}

cohort_status cohort_run_from_memory(cohort_run *run, const cohort_snapshot *snapshot, cohort_error *error) {
  cohort_stored_run stored;
  snapshot_head head = {.flats = -1};
  if (snapshot->bytes >= sizeof head) memcpy(&head, snapshot->memory, sizeof head);
  cohort_run_wait(run);
  cohort_stored_list(run, &stored, false);
  cohort_status status = COHORT_DONE;
  if (!fits(run, &stored, snapshot, &head))
    status = cohort_fail(error, COHORT_BUG, "a run in memory is not taken up by one of another config or other ranks");
  status = cohort_comm_agree_error(run->comm, status, error);
  if (status == COHORT_DONE) {
    const char *elements = (const char *)snapshot->memory + sizeof head;
    fill_slices(run, &stored, elements, elements + (size_t)stored.flats * sizeof(int64_t));
    status = cohort_stored_take_tables(run, &stored, error);
  }
  if (status == COHORT_DONE) {
    cohort_stored_spread(run, &stored);
    for (int s = 0; s < run->spaces.trained; s++) cohort_updater_loaded(cohort_run_player(run, s));
    run->step = head.step;
    run->samples = head.samples;
    run->best = head.best;
    run->before_end = head.before_end;
    run->ended = head.ended;
    run->begun = head.begun;
    run->scored_by = head.scored_by;
  }
  cohort_stored_release(run, &stored);
  return status;
}
