/* What a run does for its task between steps: weights made whole, scoring passes, and the step of a task that has no
 * model. Invariant: what a task is given is the same on every rank. Whole weights cost an exchange of them, and their
 * memory, where parameters are sharded; else nothing. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/run/state.h"

/* The ranges of a space that a rank owns, as messages with `other`; returns how many. `values` NULL: only counts. */
static int list_ranges(const cohort_shards *shards, int owner, int other, float *values, cohort_message *message) {
  const int member = shards->members->number_of[owner];
  for (int i = 0; values && i < shards->ranges[member]; i++) {
    const cohort_range *range = &shards->range[member][i];
    message[i] = (cohort_message){other, values + range->offset, (size_t)range->elements * sizeof(float)};
  }
  return shards->ranges[member];
}

/* Every rank sends what it owns to the others of its copy. */
static void gather(cohort_comm *comm, const cohort_shards *shards, float *values) {
  const cohort_shard_group *members = shards->members;
  int sends = 0, receives = 0;
  for (int r = 0; r < comm->size; r++) {
    if (r == comm->rank || members->replica_of[r] != members->replica) continue;
    sends += list_ranges(shards, comm->rank, r, NULL, NULL);
    receives += list_ranges(shards, r, r, NULL, NULL);
  }
  cohort_message *send = cohort_allocate((size_t)(sends + receives + 1) * sizeof *send), *receive = send + sends;
  sends = receives = 0;
  for (int r = 0; r < comm->size; r++) {
    if (r == comm->rank || members->replica_of[r] != members->replica) continue;
    sends += list_ranges(shards, comm->rank, r, values, send + sends);
    receives += list_ranges(shards, r, r, values, receive + receives);
  }
  cohort_comm_name(comm, "gather of weights");
  comm->exchange(comm, sends, send, receives, receive);
  free(send);
}

static void copy_own(const cohort_shards *shards, const float *from, float *to) {
  const int member = shards->members->number;
  for (int i = 0; i < shards->ranges[member]; i++) {
    const cohort_range *range = &shards->range[member][i];
    memcpy(to + range->offset, from + range->offset, (size_t)range->elements * sizeof *to);
  }
}

cohort_status cohort_run_whole_weights(cohort_run *run, int number, const cohort_space **out, cohort_error *error) {
  const cohort_space *space = run->spaces.space[number];
  cohort_space *whole = &run->gathered[number];
  void *memory = whole->memory;
  const bool sharded = run->sharding == COHORT_SHARDING_PARAMETERS;
  cohort_run_wait_for_weights(run);
  if (sharded && !memory) {
    const size_t bytes = (size_t)space->elements * sizeof(float);
    COHORT_TRY(cohort_comm_agree_error(run->comm, cohort_memory_create(bytes, "whole weights", &memory, error), error));
  }
  *whole = *space;
  whole->memory = memory;
  if (sharded) {
    whole->values = memory;
    copy_own(run->spaces.layout->own[number], space->values, memory);
    gather(run->comm, run->spaces.layout->own[number], memory);
  }
  *out = whole;
  return COHORT_DONE;
}

static cohort_status give_weights(void *argument, int number, const cohort_space **out, cohort_error *error) {
  return cohort_run_whole_weights(argument, number, out, error);
}

static cohort_status give_scores(void *argument, float **rows, int64_t *elements, cohort_error *error) {
  cohort_run *run = argument;
  *elements = run->evaluate->row_elements;
  *rows = cohort_allocate((size_t)(run->lanes * *elements) * sizeof **rows);
  const cohort_status status =
      cohort_run_forward(run, COHORT_SPLIT_TRAIN, run->samples, run->settings->batch, 0, *rows, error);
  if (status != COHORT_DONE) free(*rows);
  return status;
}

cohort_status cohort_run_prepare(cohort_run *run, cohort_error *error) {
  if (!run->task.functions->prepare) return COHORT_DONE;
  const cohort_task_stage stage = {.comm = run->comm,
                                   .log = run->log,
                                   .engine = run->engine,
                                   .lanes = run->lanes,
                                   .isa = run->isa,
                                   .kernels = run->kernels,
                                   .first = run->samples,
                                   .samples = run->settings->batch,
                                   .stop = run->stop,
                                   .run = run,
                                   .weights = give_weights,
                                   .score = give_scores};
  return run->task.functions->prepare(&run->task, &stage, error);
}

/* Items of one lane. */
static void run_items(void *argument, int executor, int slot, int lane, int phase, const cohort_lane_row *row,
                      double *scalars) {
  const cohort_run *run = argument;
  const cohort_task *task = &run->task;
  (void)executor, (void)slot, (void)phase, (void)row;
  int64_t first, last;
  cohort_lane_samples(run->settings->batch, run->lanes, lane, &first, &last);
  memset(scalars, 0, (size_t)(1 + task->metrics) * sizeof *scalars);
  for (int64_t i = first; i < last; i++) {
    if (run->stop && atomic_load(run->stop)) {
      scalars[COHORT_LANE_LEFT] = 1;
      return;
    }
    task->functions->item(task, run->samples + i, scalars);
  }
}

cohort_status cohort_run_block(cohort_run *run, cohort_run_row *row, cohort_error *error) {
  const cohort_task *task = &run->task;
  const cohort_lane_work work = {.argument = run, .phases = 1, .scalars = 1 + task->metrics, .run = run_items};
  double sums[COHORT_MAX_SCALARS];
  cohort_lane_engine_run(run->engine, &work, sums, NULL, NULL);
  if (cohort_lane_engine_left(run->engine)) return cohort_fail(error, COHORT_STOPPED, "stopped");
  const int64_t count = task->functions->count(task, COHORT_SPLIT_TRAIN, run->settings->batch);
  row->report = (cohort_step_report){.applied = true, .learning_rate = NAN, .gradient_norm = NAN};
  row->loss = sums[0] / (double)count;
  for (int m = 0; m < COHORT_MAX_METRICS; m++) row->columns[m] = NAN;
  if (task->functions->derive)
    task->functions->derive(task, COHORT_SPLIT_TRAIN, count, sums + 1, row->loss, row->columns);
  else
    for (int m = 0; m < task->metrics; m++) row->columns[m] = sums[1 + m] / (double)count;
  run->samples += run->settings->batch;
  return COHORT_DONE;
}
