/* Before a step of the policy task: completions are written, or those of the step before are fetched; experience makes
 * advantages of their rewards.
 *
 *   lanes write (policy_write.c) -> row table "rollouts" -> every rank reads the batch
 *     groups whose rewards are all equal may be dropped: further prompts, until the batch is full or the rounds are
 * over where losses want it a scoring pass keeps log-probabilities and values of tokens in the table every step: every
 * rank reads all rows -> experience, the same on every rank (policy_experience.c)
 *
 * Invariant: what a step reads is what the table holds, so a run that was stopped between two updates goes on with the
 * same completions and numbers. What goes from rollout to rollout changes with the last update on one, if that is
 * applied. Costs, beside the writing, an exchange of the batch's rows with every rank, and a forward pass where it is
 * scored. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/task/policy.h"

bool cohort_policy_scores(const cohort_policy_data *own, cohort_policy_scored column) {
  static const unsigned bit[] = {0, COHORT_POLICY_REFERENCE, COHORT_POLICY_VALUE, COHORT_POLICY_GUIDE};
  return own->scores && (column == COHORT_SCORED_OLD || cohort_policy_has(own, bit[column]));
}

void cohort_policy_make_batch(const cohort_policy_data *own, cohort_policy_batch *batch) {
  const size_t all = (size_t)own->sequences, tokens = all * (size_t)own->settings->completion;
  batch->token = cohort_allocate(tokens * sizeof *batch->token);
  batch->prompt = cohort_allocate(4 * all * sizeof *batch->prompt);
  batch->length = batch->prompt + all;
  batch->ended = batch->length + all;
  batch->skip = batch->ended + all;
  batch->reward = cohort_allocate(all * (size_t)(own->rewards + 1) * sizeof *batch->reward);
  batch->greedy = batch->reward + all * (size_t)own->rewards;
  for (int s = 0; s < COHORT_SCORED_COLUMNS; s++)
    batch->scored[s] =
        cohort_policy_scores(own, (cohort_policy_scored)s) ? cohort_allocate(tokens * sizeof(float)) : NULL;
}

void cohort_policy_release_batch(cohort_policy_batch *batch) {
  free(batch->token);
  free(batch->prompt);
  free(batch->reward);
  for (int s = 0; s < COHORT_SCORED_COLUMNS; s++) free(batch->scored[s]);
}

static int64_t rollout_number(const cohort_task *task) {
  const cohort_policy_data *own = task->own;
  return own->first / task->settings->batch / own->settings->updates;
}

/* The columns of the table; those that are scored, or the others. */
static void point_at(const cohort_policy_data *own, const cohort_policy_batch *batch, int64_t first, bool scored,
                     bool others, const void **column) {
  const int64_t most = own->settings->completion;
  memset(column, 0, COHORT_ROLLOUT_COLUMNS * sizeof *column);
  for (int s = 0; s < COHORT_SCORED_COLUMNS && scored; s++)
    if (own->place[s] >= 0) column[own->place[s]] = batch->scored[s] + first * most;
  if (!others) return;
  column[COHORT_ROLLOUT_TOKENS] = batch->token + first * most;
  column[COHORT_ROLLOUT_PROMPT] = batch->prompt + first;
  column[COHORT_ROLLOUT_LENGTH] = batch->length + first;
  column[COHORT_ROLLOUT_ENDED] = batch->ended + first;
  column[COHORT_ROLLOUT_SKIP] = batch->skip + first;
  column[COHORT_ROLLOUT_REWARD] = batch->reward + first * own->rewards;
  column[COHORT_ROLLOUT_GREEDY] = batch->greedy + first;
}

static int64_t *list_ids(int64_t first, int64_t last) {
  int64_t *id = cohort_allocate((size_t)(last - first + 1) * sizeof *id);
  for (int64_t c = first; c < last; c++) id[c - first] = c;
  return id;
}

/* This rank's sequences go into the table. */
static void put_rows(const cohort_policy_data *own, const cohort_task_stage *stage, const cohort_policy_batch *batch,
                     bool scored, bool others) {
  int64_t first, last;
  cohort_policy_own_range(own, stage, &first, &last);
  int64_t *id = list_ids(first, last);
  const void *column[COHORT_ROLLOUT_COLUMNS];
  point_at(own, batch, first, scored, others, column);
  cohort_row_table_write(own->table, last - first, id, id, column, COHORT_ROW_LAST);
  free(id);
}

/* All sequences come to every rank. */
static void fetch_rows(const cohort_policy_data *own, cohort_policy_batch *batch, bool scored) {
  int64_t *id = list_ids(0, own->sequences);
  const void *column[COHORT_ROLLOUT_COLUMNS];
  void *out[COHORT_ROLLOUT_COLUMNS];
  point_at(own, batch, 0, scored, true, column);
  for (int i = 0; i < COHORT_ROLLOUT_COLUMNS; i++) out[i] = (void *)(uintptr_t)column[i];
  cohort_row_table_read(own->table, own->sequences, id, out, NULL);
  free(id);
}

/* A lane's row holds of each of its rows of tokens the columns, as feed has laid the rows out: of every sequence its
 * prompt, unless that is shared, then its completion. */
static void take_scores(const cohort_task *task, const cohort_task_stage *stage, const float *rows, int64_t elements) {
  const cohort_policy_data *own = task->own;
  const int64_t most = own->settings->completion, shared = cohort_policy_shared(own);
  int first_lane, last_lane, columns = 0, at[COHORT_SCORED_COLUMNS] = {0};
  for (int s = 0; s < COHORT_SCORED_COLUMNS; s++)
    if (own->place[s] >= 0) at[columns++] = s;
  cohort_lane_engine_own(stage->engine, &first_lane, &last_lane);
  for (int lane = first_lane; lane < last_lane; lane++) {
    int64_t first, last;
    cohort_lane_samples(stage->samples, stage->lanes, lane, &first, &last);
    const float *row = rows + lane * elements;
    for (int64_t c = first * own->kept; c < last * own->kept; c++) {
      row += (own->settings->prompt - 1 - (c % own->kept ? shared : 0)) * columns;
      for (int64_t t = 0; t < most; t++)
        for (int i = 0; i < columns; i++)
          own->batch.scored[at[i]][c * most + t] = t < own->batch.length[c] ? row[t * columns + i] : 0;
      row += own->batch.length[c] * columns;
    }
  }
}

/* What goes from rollout to rollout. */
static void read_memory(const cohort_task *task) {
  cohort_policy_data *own = task->own;
  const cohort_policy *functions = own->loss.method->functions;
  bool found = false;
  own->drawn = own->next_drawn = 0;
  if (own->memory)
    cohort_row_table_read(own->memory, 1, &(int64_t){0}, (void *[]){own->state, &own->drawn, &own->next_drawn}, &found);
  if (!found && functions->begin) functions->begin(own->loss.config, own->state);
  if (!found) own->drawn = own->next_drawn = 0;
}

static void write_memory(const cohort_task *task, const double *state) {
  const cohort_policy_data *own = task->own;
  const int64_t zero = 0;
  if (own->memory)
    cohort_row_table_write(own->memory, task->comm->rank == 0, &zero, &zero,
                           (const void *[]){state, &own->drawn, &own->next_drawn}, COHORT_ROW_LAST);
}

/* The prompts of positions [first, first + batch) of the stream of prompts. */
static void list_prompts(const cohort_task *task, cohort_policy_batch *batch, int64_t first) {
  const cohort_policy_data *own = task->own;
  for (int64_t g = 0; g < task->settings->batch; g++) {
    const int64_t prompt = cohort_task_sample(task, first + g);
    for (int64_t i = 0; i < own->kept; i++) batch->prompt[g * own->kept + i] = prompt;
  }
}

/* Whether the completions of a group have unequal rewards. */
static bool differs(const cohort_policy_data *own, const cohort_policy_batch *batch, int64_t group) {
  double first = 0;
  for (int64_t i = 0; i < own->settings->group; i++) {
    double sum = 0;
    for (int k = 0; k < own->rewards; k++)
      sum += own->weight[k] * batch->reward[(group * own->kept + i) * own->rewards + k];
    if (i == 0) first = sum;
    if (sum != first) return true;
  }
  return false;
}

static void copy_group(const cohort_policy_data *own, const cohort_policy_batch *from, int64_t group,
                       cohort_policy_batch *to, int64_t place) {
  const int64_t kept = own->kept, most = own->settings->completion, a = place * kept, b = group * kept;
  memcpy(to->token + a * most, from->token + b * most, (size_t)(kept * most) * sizeof *to->token);
  memcpy(to->prompt + a, from->prompt + b, (size_t)kept * sizeof *to->prompt);
  memcpy(to->length + a, from->length + b, (size_t)kept * sizeof *to->length);
  memcpy(to->skip + a, from->skip + b, (size_t)kept * sizeof *to->skip);
  memcpy(to->ended + a, from->ended + b, (size_t)kept * sizeof *to->ended);
  memcpy(to->reward + a * own->rewards, from->reward + b * own->rewards,
         (size_t)(kept * own->rewards) * sizeof *to->reward);
  memcpy(to->greedy + a, from->greedy + b, (size_t)kept * sizeof *to->greedy);
}

/* One round of candidates through the table, so that every rank has them. */
static cohort_status draw_candidates(cohort_task *task, const cohort_task_stage *stage, cohort_error *error) {
  cohort_policy_data *own = task->own;
  list_prompts(task, &own->candidate, own->next_drawn);
  COHORT_TRY(cohort_policy_write(task, stage, &own->candidate, error));
  cohort_row_table_clear(own->table);
  put_rows(own, stage, &own->candidate, false, true);
  fetch_rows(own, &own->candidate, false);
  own->next_drawn += task->settings->batch;
  return COHORT_DONE;
}

/* Dynamic sampling: groups of unequal rewards, in the order of the stream; when the rounds are over the last round's
 * others fill what is left. */
static cohort_status draw_batch(cohort_task *task, const cohort_task_stage *stage, cohort_error *error) {
  cohort_policy_data *own = task->own;
  const int64_t batch = task->settings->batch;
  int64_t filled = 0;
  own->next_drawn = own->drawn;
  for (int64_t round = 0; round <= own->settings->resample && filled < batch; round++) {
    COHORT_TRY(draw_candidates(task, stage, error));
    for (int64_t g = 0; g < batch && filled < batch; g++)
      if (differs(own, &own->candidate, g)) copy_group(own, &own->candidate, g, &own->batch, filled++);
  }
  for (int64_t g = 0; g < batch && filled < batch; g++)
    if (!differs(own, &own->candidate, g)) copy_group(own, &own->candidate, g, &own->batch, filled++);
  cohort_row_table_clear(own->table);
  put_rows(own, stage, &own->batch, false, true);
  write_memory(task, own->state);
  return COHORT_DONE;
}

static cohort_status score_batch(cohort_task *task, const cohort_task_stage *stage, cohort_error *error) {
  cohort_policy_data *own = task->own;
  float *rows = NULL;
  int64_t elements = 0;
  fetch_rows(own, &own->batch, false);
  COHORT_TRY(stage->score(stage->run, &rows, &elements, error));
  take_scores(task, stage, rows, elements);
  free(rows);
  put_rows(own, stage, &own->batch, true, false);
  return COHORT_DONE;
}

static cohort_status roll_out(cohort_task *task, const cohort_task_stage *stage, cohort_error *error) {
  cohort_policy_data *own = task->own;
  if (own->settings->resample > 0) {
    COHORT_TRY(draw_batch(task, stage, error));
  } else {
    list_prompts(task, &own->batch, rollout_number(task) * task->settings->batch);
    COHORT_TRY(cohort_policy_write(task, stage, &own->batch, error));
    cohort_row_table_clear(own->table);
    put_rows(own, stage, &own->batch, false, true);
  }
  return own->scores ? score_batch(task, stage, error) : COHORT_DONE;
}

static bool begins(const cohort_task *task, int64_t position) {
  const cohort_policy_data *own = task->own;
  return position / task->settings->batch % own->settings->updates == 0;
}

cohort_status cohort_policy_prepare(cohort_task *task, const cohort_task_stage *stage, cohort_error *error) {
  cohort_policy_data *own = task->own;
  own->first = stage->first;
  read_memory(task);
  if (begins(task, stage->first)) COHORT_TRY(roll_out(task, stage, error));
  fetch_rows(own, &own->batch, own->scores);
  cohort_policy_run_experience(own, rollout_number(task));
  return COHORT_DONE;
}

/* After the last update on them nobody needs the completions: no checkpoint holds them. */
void cohort_policy_commit(cohort_task *task, bool applied) {
  cohort_policy_data *own = task->own;
  if (!begins(task, own->first + task->settings->batch)) return;
  cohort_row_table_clear(own->table);
  own->drawn = own->next_drawn;
  write_memory(task, applied ? own->experience.next : own->state);
}
