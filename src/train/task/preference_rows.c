/* How many rows the samples of a preference task take. Sequences are ragged and stand one after another, so a lane has
 * as many rows as its samples need: the plan has room for the most that so many samples can need, and a run uses what
 * its own do. Invariant: counts are functions of the data, so every rank has the same. Costs a sort of the samples,
 * once. */
#include <stdlib.h>

#include "base/memory.h"
#include "train/task/preference.h"

int64_t cohort_preference_other(const cohort_task *task, cohort_split split, int64_t sample) {
  const int64_t samples = task->samples[split];
  return (sample + samples / 2) % samples;
}

/* Rows that both sequences begin with, but for those that are scored: a prompt's last row is scored on two tokens. */
static int64_t common_rows(const cohort_token_pairs *pairs, int64_t one, int64_t other) {
  const int64_t number[2] = {one, other};
  int64_t most = INT64_MAX, common = 0;
  for (int i = 0; i < 2; i++) {
    if (pairs->prompt[number[i]] - 1 < most) most = pairs->prompt[number[i]] - 1;
    if (pairs->length[number[i]] - 2 < most) most = pairs->length[number[i]] - 2;
  }
  while (common < most && pairs->sequence[one][common] == pairs->sequence[other][common]) common++;
  return common;
}

/* Those that go on from the first stand right behind it: one that does not ends it. */
int64_t cohort_preference_shared(const cohort_preference_data *own, const cohort_token_pairs *pairs, int64_t sample,
                                 int side) {
  const int64_t first = pairs->sides * sample;
  if (!own->shares || !side || !pairs->sequence[first + side]) return 0;
  int64_t common = 0;
  for (int s = 1; s <= side; s++) {
    common = pairs->sequence[first + s] ? common_rows(pairs, first, first + s) : 1;
    if (common == 0) return 0;
  }
  return common;
}

static int64_t own_rows(const cohort_preference_data *own, const cohort_token_pairs *pairs, int64_t sample) {
  const bool last = own->place[COHORT_PREFERENCE_LAST] >= 0;
  int64_t rows = 0;
  for (int side = 0; side < pairs->sides; side++) {
    const int32_t length = pairs->length[pairs->sides * sample + side];
    rows += length > 0 ? length - 1 + last - cohort_preference_shared(own, pairs, sample, side) : 0;
  }
  return rows;
}

static int64_t other_rows(const cohort_task *task, cohort_split split, int64_t sample) {
  const cohort_preference_data *own = task->own;
  const cohort_token_pairs *pairs = &own->split[split];
  const int64_t other = cohort_preference_other(task, split, sample);
  const int64_t rows = pairs->prompt[sample] + pairs->length[other] - pairs->prompt[other] - 1;
  return rows < own->other_rows ? rows : own->other_rows;
}

static int most_first(const void *left, const void *right) {
  const int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;
  return (a < b) - (a > b);
}

/* Returns the mean; 0: there are no samples. */
static double count_rows(const cohort_task *task, cohort_preference_data *own, int kind, cohort_split split) {
  const int64_t samples = task->samples[split];
  int32_t *rows = own->ragged.of[kind][split] = cohort_allocate((size_t)(samples + 1) * sizeof *rows);
  double sum = 0;
  for (int64_t i = 0; i < samples; i++) {
    rows[i] =
        (int32_t)(kind == COHORT_PREFERENCE_OTHERS ? other_rows(task, split, i) : own_rows(own, &own->split[split], i));
    sum += rows[i];
  }
  qsort(rows, (size_t)samples, sizeof *rows, most_first);
  return samples ? sum / (double)samples : 0;
}

void cohort_preference_count_rows(const cohort_task *task, cohort_preference_data *own) {
  const bool mismatched = own->place[COHORT_PREFERENCE_OTHER_ROWS] >= 0;
  for (int kind = 0; kind <= (mismatched ? COHORT_PREFERENCE_OTHERS : COHORT_PREFERENCE_OWN_ROWS); kind++)
    for (int s = COHORT_SPLITS - 1; s >= 0; s--) {
      const double mean = count_rows(task, own, kind, (cohort_split)s);
      if (mean > 0) own->ragged.mean[kind] = mean;
    }
}

void cohort_preference_release_rows(cohort_preference_data *own) {
  for (int kind = 0; kind < COHORT_PREFERENCE_KINDS; kind++)
    for (int s = 0; s < COHORT_SPLITS; s++) free(own->ragged.of[kind][s]);
}

/* Where epochs meet a batch may hold a sample twice, and as often again as it is larger than the split. The samples of
 * a client are any, and any number of times. */
static int64_t most_of(const cohort_task *task, const int32_t *rows, int64_t samples, int64_t capacity) {
  const int64_t times = task->settings->is_federated ? capacity : 1 + (capacity + samples - 1) / samples;
  int64_t sum = 0;
  for (int64_t i = 0; i < capacity; i++) sum += rows[i / times];
  return sum;
}

int64_t cohort_preference_most_rows(const cohort_task *task, int kind, int64_t capacity) {
  const cohort_preference_data *own = task->own;
  int64_t most = 1;
  for (int s = 0; s < COHORT_SPLITS; s++) {
    if (!task->samples[s]) continue;
    const int64_t rows = most_of(task, own->ragged.of[kind][s], task->samples[s], capacity);
    if (rows > most) most = rows;
  }
  return most;
}
