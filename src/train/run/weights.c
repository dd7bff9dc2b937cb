/* Weights from a file, space by space and tensor by tensor, by name. Invariant: what a file lacks keeps its start, and
 * is named in the log; of a file of the same run nothing may be lacking. Rank 0 reads; sharded weights go by, bucket by
 * bucket, and every rank keeps its pieces. Costs a reading of the file and a broadcast. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/run/state.h"

enum { PATH_ROOM = 128 };

/* One space's reading. */
typedef struct reading {
  const char *path;
  const cohort_space *space;
  const char *name; /* of the space in the file */
  bool whole;       /* the file must hold all of it */
  bool no_losses;   /* what losses keep is left as it is */
  bool *found;      /* [tensors] */
} reading;

static cohort_status fail_shape(const char *path, const cohort_stored_tensor *stored,
                                const cohort_parameter_tensor *declared, cohort_error *error) {
  char in_file[COHORT_SHAPE_TEXT], here[COHORT_SHAPE_TEXT];
  cohort_shape shape = {.axes = stored->axes};
  for (int a = 0; a < stored->axes && a < COHORT_MAX_AXES; a++) shape.size[a] = stored->size[a];
  return cohort_fail(error, COHORT_BAD_DATA,
                     "%s: tensor %s has shape %s in the file and %s in this model; set the model as it was trained",
                     path, declared->name, cohort_shape_text(shape, in_file), cohort_shape_text(declared->shape, here));
}

static const cohort_stored_tensor *find_stored(const cohort_flat_contents *contents, const char *name) {
  for (int i = 0; i < contents->tensors; i++)
    if (strcmp(contents->tensor[i].name, name) == 0) return &contents->tensor[i];
  return NULL;
}

static cohort_status copy_tensor(const reading *own, const cohort_flat_contents *contents,
                                 const cohort_stored_tensor *stored, const cohort_space_tensor *tensor, float *values,
                                 cohort_error *error) {
  int64_t elements = 1;
  bool same = stored->axes == tensor->declared.shape.axes;
  for (int a = 0; same && a < stored->axes; a++) {
    same = stored->size[a] == tensor->declared.shape.size[a];
    elements *= stored->size[a];
  }
  if (!same) return fail_shape(own->path, stored, &tensor->declared, error);
  if (stored->offset < 0 || stored->offset + elements > contents->elements)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %s lies outside the file's weights; use another file",
                       own->path, tensor->declared.name);
  memcpy(values + tensor->offset, contents->data + stored->offset, (size_t)elements * sizeof(float));
  return COHORT_DONE;
}

/* Nothing in common is another model, whatever may be lacking. */
static cohort_status copy_by_name(const reading *own, const cohort_flat_contents *contents, float *values,
                                  cohort_error *error) {
  const char *lacking = NULL;
  int found = 0;
  for (int t = 0; t < own->space->tensors; t++) {
    const cohort_space_tensor *tensor = &own->space->tensor[t];
    const bool skipped = own->no_losses && strncmp(tensor->declared.name, "loss", 4) == 0;
    const cohort_stored_tensor *stored = skipped ? NULL : find_stored(contents, tensor->declared.name);
    own->found[t] = stored != NULL;
    found += own->found[t];
    if (stored) COHORT_TRY(copy_tensor(own, contents, stored, tensor, values, error));
    if (!stored && !lacking) lacking = tensor->declared.name;
  }
  if (lacking && (own->whole || (!found && !own->no_losses)))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: has no tensor %s of this model", own->path, lacking);
  return COHORT_DONE;
}

char *cohort_run_vector_in(const char *path, const char *space) {
  cohort_error ignored; /* most files have no such text */
  char *text = NULL, *key = cohort_run_evaluated_text(space);
  const bool there = cohort_checkpoint_text(path, key, &text, &ignored) == COHORT_DONE;
  free(key);
  return there ? text : cohort_copy_text("parameters");
}

static cohort_status read_space(const reading *own, float *values, cohort_error *error) {
  char flat_path[PATH_ROOM], view_path[PATH_ROOM], *vector = cohort_run_vector_in(own->path, own->name);
  (void)snprintf(flat_path, PATH_ROOM, "/%s/flat/%s", own->name, vector);
  (void)snprintf(view_path, PATH_ROOM, "/%s/%s", own->name, vector);
  free(vector);
  cohort_flat_contents contents = {0};
  cohort_status status = cohort_checkpoint_read_flat(own->path, flat_path, view_path, &contents, error);
  if (status == COHORT_DONE) status = copy_by_name(own, &contents, values, error);
  cohort_flat_release(&contents);
  return status;
}

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
  if (status == COHORT_DONE && run->comm->rank == 0) status = read_space(own, room, error);
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
  if (run->comm->rank == 0) status = read_space(own, own->space->values, error);
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
    char *flat = cohort_format_text("/%s/flat/parameters", own->name);
    status = cohort_checkpoint_has(own->path, flat, there, error);
    free(flat);
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
                       .name = run->spaces.space[every_space ? number : declared->of]->name,
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
  if (run->comm->rank == 0 && !every_space)
    status = cohort_checkpoint_has(path, "/state/flat/parameters", &there, error);
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
  COHORT_TRY(cohort_checkpoint_has(path, "/" COHORT_ADAPTER_SPACE "/flat/parameters", &has, error));
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
