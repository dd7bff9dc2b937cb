/* What the weights at the start say of every sample, in a row table: made once, by a scoring pass before the first
 * step, and read for every batch. Invariant: a table belongs to the data and to the weights that made it; with others
 * it is refused. A scoring pass costs a forward pass over the data; a batch costs an exchange of its rows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/run_directory.h"
#include "train/run/state.h"
#include "train/run/weights_file.h"

/* The ids of positions [first, last) of a split, and the places in the batch: the positions. */
static int64_t *list_ids(const cohort_run *run, cohort_split split, int64_t first, int64_t last, int64_t **position) {
  const int64_t count = last > first ? last - first : 0;
  int64_t *id = cohort_allocate(2 * (size_t)(count + 1) * sizeof *id);
  *position = id + count;
  for (int64_t i = 0; i < count; i++) {
    id[i] = run->task.functions->row(&run->task, split, first + i);
    (*position)[i] = first + i;
  }
  return id;
}

void cohort_run_fetch_scores(cohort_run *run, cohort_split split, int64_t first, int64_t last) {
  cohort_task *task = &run->task;
  const bool there =
      task->scored && task->scored_split == split && task->scored_first == first && task->scored_last == last;
  if (cohort_comm_agree(run->comm, !there) == 0) return; /* another question about the batch */
  int64_t *position = NULL, *id = list_ids(run, split, first, last, &position);
  const int64_t count = last > first ? last - first : 0;
  task->scored = cohort_reallocate(task->scored, (size_t)(count * task->score_columns + 1) * sizeof *task->scored);
  cohort_row_table_read(task->scores, count, id, (void *[]){task->scored}, NULL);
  task->scored_split = split;
  task->scored_first = first;
  task->scored_last = last;
  free(id);
}

/* What was fetched is no longer what the table holds. */
static void forget(cohort_task *task) { task->scored_first = task->scored_last = -1; }

/* This rank's lanes' rows of a batch go into the table. */
static void keep(cohort_run *run, cohort_split split, int64_t base, int64_t samples, const float *rows) {
  const int64_t capacity = run->evaluate->options.capacity, columns = run->task.score_columns;
  int first_lane, last_lane;
  cohort_lane_engine_own(run->engine, &first_lane, &last_lane);
  int64_t first = first_lane * capacity, last = last_lane * capacity;
  if (first > samples) first = samples;
  if (last > samples) last = samples;
  float *dense = cohort_allocate((size_t)((last - first) * columns + 1) * sizeof *dense);
  for (int64_t i = first; i < last; i++)
    memcpy(dense + (i - first) * columns, rows + i / capacity * run->evaluate->row_elements + i % capacity * columns,
           (size_t)columns * sizeof *dense);
  int64_t *position = NULL, *id = list_ids(run, split, base + first, base + last, &position);
  cohort_row_table_write(run->task.scores, last - first, id, position, (const void *[]){dense}, COHORT_ROW_LAST);
  free(id);
  free(dense);
}

/* Of the weights of the file that the model begins with; 0: they are drawn, or it cannot be read. */
static uint64_t start_digest(const cohort_run *run) {
  const char *own = run->spaces.declared[run->task.model_space].init_from, *path = own ? own : run->settings->init_from;
  uint64_t digest = 0;
  cohort_error ignored; /* a file that is gone says nothing against what was made from it */
  if (run->comm->rank == 0 && path && cohort_file_exists(path)) (void)cohort_weights_digest(path, &digest, &ignored);
  cohort_comm_broadcast(run->comm, 0, &digest, sizeof digest);
  return digest;
}

cohort_status cohort_run_score(cohort_run *run, cohort_error *error) {
  if (!run->task.scores) return COHORT_DONE;
  const int64_t capacity = run->evaluate->options.capacity, batch = capacity * run->lanes;
  float *rows = cohort_allocate((size_t)(run->lanes * run->evaluate->row_elements) * sizeof *rows);
  cohort_status status = COHORT_DONE;
  for (int split = 0; split < COHORT_SPLITS; split++)
    for (int64_t base = 0; base < run->task.samples[split] && status == COHORT_DONE; base += batch) {
      const int64_t rest = run->task.samples[split] - base, samples = rest < batch ? rest : batch;
      status = cohort_run_forward(run, (cohort_split)split, base, samples, capacity, rows, error);
      if (status == COHORT_DONE) keep(run, (cohort_split)split, base, samples, rows);
    }
  free(rows);
  forget(&run->task);
  run->scored_by = start_digest(run);
  return status;
}

char *cohort_run_scores_text(const cohort_run *run) {
  if (!run->task.scores) return NULL;
  return cohort_format_text("%016" PRIx64 " %016" PRIx64, run->task.digest, run->scored_by);
}

static cohort_status check(const cohort_run *run, const char *path, uint64_t start, uint64_t found[2],
                           cohort_error *error) {
  char *text = NULL;
  COHORT_TRY(cohort_checkpoint_text(path, "scores", &text, error));
  char *rest = NULL;
  found[0] = strtoull(text, &rest, 16);
  found[1] = strtoull(rest, NULL, 16);
  free(text);
  if (found[0] != run->task.digest)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: its stored reference is about other data; take the run's data, or reference: computed",
                       path);
  if (start != 0 && found[1] != start)
    return cohort_fail(
        error, COHORT_BAD_DATA,
        "%s: its stored reference was made by other weights than init_from holds now; put that file back, "
        "or start another run",
        path);
  return COHORT_DONE;
}

cohort_status cohort_run_check_scores(cohort_run *run, const char *path, cohort_error *error) {
  if (!run->task.scores) return COHORT_DONE;
  const uint64_t start = start_digest(run);
  uint64_t found[2] = {0};
  const cohort_status status = run->comm->rank == 0 ? check(run, path, start, found, error) : COHORT_DONE;
  COHORT_TRY(cohort_comm_agree_error(run->comm, status, error));
  cohort_comm_broadcast(run->comm, 0, found, sizeof found);
  run->scored_by = found[1];
  forget(&run->task);
  return COHORT_DONE;
}

cohort_status cohort_run_take_scores(cohort_run *run, const char *path, cohort_error *error) {
  cohort_stored_flat flat[2];
  cohort_row_table_expect(run->task.scores, flat);
  cohort_checkpoint part = {.flats = 2, .flat = flat, .part = true};
  cohort_status status = cohort_checkpoint_load(run->comm, path, &part, error);
  if (status == COHORT_DONE) status = cohort_row_table_scatter(run->task.scores, flat, error);
  cohort_row_table_release(run->task.scores, flat);
  COHORT_TRY(status);
  return cohort_run_check_scores(run, path, error);
}
