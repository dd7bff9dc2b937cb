/* Weights from a file, space by space and tensor by tensor, by name. Invariant: what a file lacks keeps its start, and
 * is named in the log; of a file of the same run nothing may be lacking. Rank 0 reads; sharded weights go by, bucket by
 * bucket, and every rank keeps its pieces. Costs a reading of the file and a broadcast. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/run/state.h"
#include "train/run/weights_file.h"

typedef cohort_weights_reading reading;

static void keep_pieces(const cohort_run *run, const reading *own, const cohort_shards *shards, float *room) {
  for (int b = 0; b < shards->buckets; b++) {
    const cohort_bucket *bucket = &shards->bucket[b];
    float *here = room + (run->comm->rank == 0 ? bucket->offset : 0);
    cohort_comm_broadcast(run->comm, 0, here, (size_t)bucket->elements * sizeof(float));
    for (int p = bucket->first_piece; p < bucket->last_piece; p++) {
      const cohort_piece *piece = &own->space->piece[p];
      if (cohort_shards_own(shards, p) && own->found[piece->tensor])
        memcpy(own->space->values + piece->offset, here + (piece->offset - bucket->offset),
               (size_t)piece->elements * sizeof(float));
    }
  }
}

/* Rank 0 needs room for all of a sharded space, the others for a bucket. */
static cohort_status take_sharded(const cohort_run *run, const reading *own, const cohort_shards *shards,
                                  cohort_error *error) {
  int64_t elements = own->space->elements;
  if (run->comm->rank != 0) {
    elements = 0;
    for (int b = 0; b < shards->buckets; b++)
      if (shards->bucket[b].elements > elements) elements = shards->bucket[b].elements;
  }
  void *room = NULL;
  cohort_status status = cohort_memory_create((size_t)elements * sizeof(float), "weights of a file", &room, error);
  if (status == COHORT_DONE && run->comm->rank == 0) status = cohort_weights_read(own, room, error);
  status = cohort_comm_agree_error(run->comm, status, error);
  if (status == COHORT_DONE) {
    cohort_comm_broadcast(run->comm, 0, own->found, (size_t)own->space->tensors * sizeof *own->found);
    keep_pieces(run, own, shards, room);
  }
  cohort_memory_release(room);
  return status;
}

static cohort_status take_whole(const cohort_run *run, const reading *own, cohort_error *error) {
  cohort_status status = COHORT_DONE;
  if (run->comm->rank == 0) status = cohort_weights_read(own, own->space->values, error);
  COHORT_TRY(cohort_comm_agree_error(run->comm, status, error));
  cohort_comm_broadcast(run->comm, 0, own->space->values, (size_t)own->space->elements * sizeof(float));
  return COHORT_DONE;
}

/* "FILE has no head.weight, head.bias: they keep their start" */
static void name_lacking(const cohort_run *run, const reading *own) {
  enum { MOST = 6 };
  char *list = cohort_copy_text("");
  int lacking = 0;
  for (int t = 0; t < own->space->tensors; t++) {
    if (own->found[t] || lacking++ >= MOST) continue;
    char *longer = cohort_format_text("%s%s%s", list, *list ? ", " : "", own->space->tensor[t].declared.name);
    free(list);
    list = longer;
  }
  if (lacking > MOST)
    cohort_log_line(run->log, "%s has no %s and %d more tensors: they keep their start", own->path, list,
                    lacking - MOST);
  else if (lacking)
    cohort_log_line(run->log, "%s has no %s: %s", own->path, list,
                    lacking > 1 ? "they keep their start" : "it keeps its start");
  free(list);
}

/* Whether the file that a run begins with has weights for a space: it may lack all but the model's. */
static cohort_status look_for(const cohort_run *run, const reading *own, bool *there, cohort_error *error) {
  cohort_status status = COHORT_DONE;
  if (run->comm->rank == 0) {
    status = cohort_weights_has(own->path, own->name, there, error);
    if (status == COHORT_DONE && !*there)
      cohort_log_line(run->log, "%s has no %s: it keeps its start", own->path, own->name);
  }
  COHORT_TRY(cohort_comm_agree_error(run->comm, status, error));
  cohort_comm_broadcast(run->comm, 0, there, sizeof *there);
  return COHORT_DONE;
}

static cohort_status take_space(const cohort_run *run, const char *path, int number, bool every_space,
                                cohort_error *error) {
  const cohort_declared_space *declared = &run->spaces.declared[number];
  const bool elsewhere = declared->init_from && !every_space;
  if (elsewhere) path = declared->init_from;
  if (!path) return COHORT_DONE;
  const cohort_space *space = run->spaces.space[number];
  const reading own = {.path = path,
                       .space = space,
                       .name = declared->stored && !every_space
                                   ? declared->stored
                                   : run->spaces.space[every_space ? number : declared->of]->name,
                       .whole = every_space,
                       .found = cohort_allocate((size_t)space->tensors + 1)};
  const bool sharded = run->sharding == COHORT_SHARDING_PARAMETERS;
  const bool may_lack = !every_space && !elsewhere && strcmp(own.name, "model") != 0;
  bool there = true;
  cohort_status status = may_lack ? look_for(run, &own, &there, error) : COHORT_DONE;
  if (status == COHORT_DONE && there) {
    status = sharded ? take_sharded(run, &own, run->spaces.layout->own[number], error) : take_whole(run, &own, error);
    if (status == COHORT_DONE && run->comm->rank == 0) name_lacking(run, &own);
  }
  free(own.found);
  return status;
}

/* Running statistics belong to the weights; what a loss keeps belongs to the run. */
static cohort_status take_state(const cohort_run *run, const char *path, bool every_space, cohort_error *error) {
  const cohort_space *space = run->spaces.state;
  bool there = every_space;
  cohort_status status = COHORT_DONE;
  if (run->comm->rank == 0 && !every_space) status = cohort_weights_has(path, "state", &there, error);
  COHORT_TRY(cohort_comm_agree_error(run->comm, status, error));
  cohort_comm_broadcast(run->comm, 0, &there, sizeof there);
  if (!there) return COHORT_DONE;
  const reading own = {.path = path,
                       .space = space,
                       .name = space->name,
                       .whole = every_space,
                       .no_losses = !every_space,
                       .found = cohort_allocate((size_t)space->tensors + 1)};
  status = take_whole(run, &own, error);
  free(own.found);
  return status;
}

/* Rank 0: adapters of a file that this run would leave out. */
static cohort_status check_adapters(const cohort_run *run, const char *path, cohort_error *error) {
  bool has = false;
  if (cohort_spaces_find(&run->spaces, COHORT_ADAPTER_SPACE) >= 0) return COHORT_DONE;
  COHORT_TRY(cohort_weights_has(path, COHORT_ADAPTER_SPACE, &has, error));
  if (!has) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_DATA,
                     "%s: has adapters beside its weights, which this model lacks; set lora as it was trained", path);
}

bool cohort_run_begins_elsewhere(const cohort_run *run) {
  for (int s = 0; s < run->spaces.count; s++)
    if (run->spaces.declared[s].init_from) return true;
  return run->settings->init_from != NULL;
}

cohort_status cohort_run_take_weights(cohort_run *run, const char *path, bool every_space, cohort_error *error) {
  const cohort_status status = run->comm->rank == 0 && path ? check_adapters(run, path, error) : COHORT_DONE;
  COHORT_TRY(cohort_comm_agree_error(run->comm, status, error));
  for (int s = 0; s < run->spaces.count; s++) COHORT_TRY(take_space(run, path, s, every_space, error));
  if (run->spaces.state && path) COHORT_TRY(take_state(run, path, every_space, error));
  if (every_space && run->task.scores) COHORT_TRY(cohort_run_take_scores(run, path, error));
  return COHORT_DONE;
}
