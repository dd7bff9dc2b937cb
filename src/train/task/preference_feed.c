/* Fills the inputs of a preference lane. Invariant: what a lane gets depends on the batch and its own place in it,
 * never on a rank. Sequences are copied row by row; counts of the batch and the prompts' neighbours are read from the
 * tables that every rank has, so nothing is exchanged. */
#include <string.h>

#include "train/task/preference.h"

/* The sample at a position of the split's order. */
static int64_t sample_at(const cohort_task *task, cohort_split split, int64_t position) {
  return split == COHORT_SPLIT_TRAIN ? cohort_task_sample(task, position) : position;
}

/* The same of what is fed. */
static int64_t fed_sample(const cohort_task *task, const cohort_feed *feed, int64_t position) {
  return feed->direct ? position : sample_at(task, feed->split, position);
}

int64_t cohort_preference_row(const cohort_task *task, cohort_split split, int64_t position) {
  int64_t row = sample_at(task, split, position);
  for (int s = 0; s < (int)split; s++) row += task->samples[s];
  return row;
}

/* Of the tokens of a completion that the context leaves, how many; of their steps, how many: they come in order. */
static int64_t scored_tokens(const cohort_token_pairs *pairs, int64_t sequence) {
  return pairs->sequence[sequence] ? pairs->length[sequence] - pairs->prompt[sequence] : 0;
}

static int64_t scored_steps(const cohort_token_pairs *pairs, int64_t sequence) {
  const int64_t tokens = scored_tokens(pairs, sequence);
  int64_t steps = 0;
  for (int64_t t = 0; t < tokens; t++) {
    const int32_t *step = &pairs->step[sequence][t];
    steps += step[0] >= 0 && (t == 0 || step[0] != step[-1]);
  }
  return steps;
}

int64_t cohort_preference_chosen_tokens(const cohort_method *method, const cohort_token_pairs *pairs, int64_t sample) {
  if (pairs->desirable && !pairs->desirable[sample]) return 0;
  const bool steps = method->needs & COHORT_NEEDS_STEPS && method->needs & COHORT_NEEDS_SCORES;
  return steps ? scored_steps(pairs, pairs->sides * sample) : scored_tokens(pairs, pairs->sides * sample);
}

/* Samples over their chosen tokens: of the batch, or of the split that is evaluated. */
static float token_share(const cohort_task *task, const cohort_feed *feed) {
  const cohort_preference_data *own = task->own;
  int64_t samples = task->samples[feed->split], tokens = own->chosen_tokens[feed->split];
  if (feed->split == COHORT_SPLIT_TRAIN) {
    samples = feed->direct ? feed->count : feed->samples; /* a batch of numbers of samples is one lane's */
    tokens = 0;
    for (int64_t i = 0; i < samples; i++)
      tokens +=
          cohort_preference_chosen_tokens(task->preference.method, &own->split[COHORT_SPLIT_TRAIN],
                                          fed_sample(task, feed, feed->direct ? feed->position[i] : feed->first + i));
  }
  return tokens ? (float)((double)samples / (double)tokens) : 0;
}

/* The rows that a sequence goes on from; `input`: NULL where prompts stand apart. */
typedef struct prefix {
  int32_t *input;
  int64_t first, rows;
} prefix;

static void put_run(const prefix *from, int64_t row, int64_t segment) {
  if (!from->input) return;
  from->input[3 * row] = (int32_t)segment;
  from->input[3 * row + 1] = (int32_t)from->first;
  from->input[3 * row + 2] = (int32_t)from->rows;
}

/* A row: reads `token` at `position`, and is scored on `target` unless that is -1. */
static void put_row(void *const *input, int64_t row, int32_t token, int32_t target, int32_t position, int64_t segment,
                    int64_t id) {
  ((int32_t *)input[0])[row] = token;
  ((int32_t *)input[1])[row] = target;
  ((int32_t *)input[2])[row] = position;
  ((int32_t *)input[3])[row] = (int32_t)segment;
  ((int32_t *)input[4])[row] = (int32_t)id;
}

/* The rows that are left; but for a lane without samples they are not in use. */
static void put_rest(const cohort_task *task, cohort_feed *feed, int kind, void *const *input, int32_t *runs,
                     int64_t row) {
  const prefix none = {runs, 0, 0};
  feed->extent[kind] = row ? row : 1;
  for (const int64_t rows = cohort_preference_most_rows(task, kind, feed->capacity); row < rows; row++) {
    put_row(input, row, 0, -1, 0, -1, 0);
    put_run(&none, row, -1);
  }
}

/* Behind its prefix. With `last` a row for its last token too, which is scored on nothing. */
static int64_t put_sequence(const cohort_token_pairs *pairs, int64_t number, int64_t segment, bool last,
                            const prefix *from, void *const *input, int64_t row) {
  const int32_t *sequence = pairs->sequence[number], prompt = pairs->prompt[number];
  const int32_t end = pairs->length[number] - 1;
  if (!sequence) return row;
  for (int32_t t = (int32_t)from->rows; t < end + last; t++, row++) {
    const bool scored = t < end && t + 1 >= prompt;
    put_row(input, row, sequence[t], scored ? sequence[t + 1] : -1, t, segment, number);
    put_run(from, row, segment);
  }
  return row;
}

/* Where the scalar head is read: at a sequence's last token, or at the last of each of its steps; -1: there is none. */
static void put_last(const cohort_preference_data *own, const cohort_token_pairs *pairs, int64_t number, int64_t place,
                     int64_t first, int64_t rows, int32_t *last) {
  if (!own->steps) {
    last[place] = rows > 0 ? (int32_t)(first + rows) - 1 : -1;
    return;
  }
  int32_t *step = last + place * own->steps;
  for (int64_t s = 0; s < own->steps; s++) step[s] = -1;
  const int64_t tokens = rows > 0 ? scored_tokens(pairs, number) : 0;
  for (int64_t t = 0; t < tokens; t++)
    if (pairs->step[number][t] >= 0) step[pairs->step[number][t]] = (int32_t)(first + pairs->prompt[number] + t);
}

/* Numbers of tokens stand in the rows that are scored on them. */
static void put_tokens(const cohort_preference_data *own, const cohort_token_pairs *pairs, int64_t number,
                       int64_t segment, int64_t first, void *const *input) {
  const int64_t tokens = scored_tokens(pairs, number), row = first + pairs->prompt[number] - 1;
  const int steps = own->place[COHORT_PREFERENCE_STEPS];
  for (int64_t t = 0; steps >= 0 && t < tokens; t++)
    if (pairs->step[number][t] >= 0)
      ((int32_t *)input[steps])[row + t] = (int32_t)(segment * own->steps + pairs->step[number][t]);
  for (int f = 0; f < COHORT_MAX_FIELDS; f++) {
    const int place = own->place[COHORT_PREFERENCE_FIELD + f];
    if (place >= 0 && pairs->field[f].token)
      memcpy((float *)input[place] + row, pairs->field[f].token[number], (size_t)tokens * sizeof(float));
  }
}

/* The prompt of one sample and the completion of another, cut at as many rows as there are for it. */
static int64_t put_mismatched(const cohort_token_pairs *pairs, int64_t sample, int64_t other, int64_t most,
                              int64_t segment, void *const *input, int64_t row) {
  const int32_t prompt = pairs->prompt[sample], skipped = pairs->prompt[other];
  const int64_t whole = prompt + pairs->length[other] - skipped, length = whole <= most + 1 ? whole : most + 1;
  const int32_t *own = pairs->sequence[sample], *their = pairs->sequence[other];
  for (int32_t t = 0; t + 1 < length; t++, row++) {
    const int32_t next = t + 1 - prompt;
    put_row(input, row, t < prompt ? own[t] : their[skipped + t - prompt], next >= 0 ? their[skipped + next] : -1, t,
            segment, sample);
  }
  return row;
}

/* Numbers of a completion, which stands at place c; -1: none does. */
static void put_completion(const cohort_preference_data *own, const cohort_token_pairs *pairs, int64_t sequence,
                           int side, int64_t c, void *const *input) {
  const int *place = own->place;
  const bool there = sequence >= 0 && pairs->sequence[sequence];
  const int64_t scored = there ? scored_tokens(pairs, sequence) : 0;
  ((float *)input[place[COHORT_PREFERENCE_LENGTHS]])[c] = scored > 0 ? (float)scored : 1.0f;
  ((float *)input[place[COHORT_PREFERENCE_FILLER]])[c] = there ? 0 : (float)(-1 - side);
  if (place[COHORT_PREFERENCE_PRESENT] >= 0) ((float *)input[place[COHORT_PREFERENCE_PRESENT]])[c] = there ? 1 : 0;
  for (int f = 0; f < COHORT_MAX_FIELDS; f++) {
    const int at = place[COHORT_PREFERENCE_FIELD + f];
    if (at < 0 || pairs->field[f].token || pairs->fields[f].owner == COHORT_FIELD_SAMPLE) continue;
    const int64_t width = pairs->fields[f].owner == COHORT_FIELD_STEP ? own->steps : 1, known = pairs->field[f].width;
    for (int64_t e = 0; e < width; e++)
      ((float *)input[at])[c * width + e] = there && e < known ? pairs->field[f].value[sequence * known + e] : 0;
  }
}

/* Numbers of a sample and its completions. */
static void put_columns(const cohort_preference_data *own, const cohort_token_pairs *pairs, int64_t sample, int64_t at,
                        void *const *input) {
  const int *place = own->place;
  for (int side = 0; side < own->sides; side++) {
    const int64_t sequence = sample < 0 || side >= pairs->sides ? -1 : pairs->sides * sample + side;
    put_completion(own, pairs, sequence, side, own->sides * at + side, input);
  }
  if (place[COHORT_PREFERENCE_LABEL] >= 0)
    ((float *)input[place[COHORT_PREFERENCE_LABEL]])[at] = sample >= 0 && pairs->desirable[sample] ? 1 : 0;
  ((float *)input[place[COHORT_PREFERENCE_WEIGHT]])[at] = sample < 0 ? 0 : 1;
  for (int f = 0; f < COHORT_MAX_FIELDS; f++) {
    const int field = place[COHORT_PREFERENCE_FIELD + f];
    if (field < 0 || pairs->fields[f].owner != COHORT_FIELD_SAMPLE) continue;
    const float value = sample < 0 ? 0 : pairs->field[f].value[sample];
    if (pairs->fields[f].integer)
      ((int32_t *)input[field])[at] = (int32_t)value;
    else
      ((float *)input[field])[at] = value;
  }
}

/* The rows before any token's numbers are put. */
static void clear_tokens(const cohort_preference_data *own, const cohort_token_pairs *pairs, int64_t rows,
                         void *const *input) {
  const int steps = own->place[COHORT_PREFERENCE_STEPS];
  for (int64_t r = 0; steps >= 0 && r < rows; r++) ((int32_t *)input[steps])[r] = -1;
  for (int f = 0; f < COHORT_MAX_FIELDS; f++) {
    const int place = own->place[COHORT_PREFERENCE_FIELD + f];
    if (place >= 0 && pairs->field[f].token) memset(input[place], 0, (size_t)rows * sizeof(float));
  }
}

/* What is stored of a sample, or an empty place's: of both sides; or of its completion, then of the mismatched one. */
static void put_reference(const cohort_task *task, const cohort_feed *feed, int64_t at) {
  const cohort_preference_data *own = task->own;
  const float *stored = at < feed->count ? cohort_task_scores(task, feed->split, feed->position[at]) : NULL;
  const int mismatched = own->place[COHORT_PREFERENCE_REFERENCE_MISMATCHED];
  float *column = (float *)feed->input[own->place[COHORT_PREFERENCE_REFERENCE]] + own->sides * at;
  for (int side = 0; side < own->sides; side++) column[side] = stored ? stored[side] : (float)(-1 - side);
  if (mismatched >= 0) ((float *)feed->input[mismatched])[at] = stored ? stored[1] : -1;
}

void cohort_preference_feed(const cohort_task *task, cohort_feed *feed) {
  const cohort_preference_data *own = task->own;
  const cohort_token_pairs *pairs = &own->split[feed->split];
  const int *place = own->place;
  const bool mismatched = place[COHORT_PREFERENCE_OTHER_ROWS] >= 0;
  void *const *others = mismatched ? feed->input + place[COHORT_PREFERENCE_OTHER_ROWS] : NULL;
  const int last = place[COHORT_PREFERENCE_LAST];
  const int64_t rows = cohort_preference_most_rows(task, COHORT_PREFERENCE_OWN_ROWS, feed->capacity);
  int32_t *runs = own->shares ? feed->input[place[COHORT_PREFERENCE_RUNS]] : NULL;
  int64_t row = 0, other_row = 0;
  clear_tokens(own, pairs, rows, feed->input);
  for (int64_t i = 0; i < feed->capacity; i++) {
    const int64_t sample = i < feed->count ? fed_sample(task, feed, feed->position[i]) : -1;
    put_columns(own, pairs, sample, i, feed->input);
    if (place[COHORT_PREFERENCE_REFERENCE] >= 0) put_reference(task, feed, i);
    prefix from = {runs, row, 0};
    for (int side = 0; side < own->sides; side++) {
      const int64_t segment = own->sides * i + side;
      const bool there = sample >= 0 && side < pairs->sides;
      const int64_t number = there ? pairs->sides * sample + side : -1;
      from.rows = there ? cohort_preference_shared(own, pairs, sample, side) : 0;
      const int64_t first = row - from.rows; /* the sequence's, were all its rows its own */
      if (there) row = put_sequence(pairs, number, segment, last >= 0, &from, feed->input, row);
      if (last >= 0) put_last(own, pairs, number, segment, first, row - first, feed->input[last]);
      if (row > first) put_tokens(own, pairs, number, segment, first, feed->input);
    }
    if (sample < 0) continue;
    if (mismatched)
      other_row = put_mismatched(pairs, sample, cohort_preference_other(task, feed->split, sample), own->other_rows, i,
                                 others, other_row);
  }
  put_rest(task, feed, COHORT_PREFERENCE_OWN_ROWS, feed->input, runs, row);
  if (mismatched) put_rest(task, feed, COHORT_PREFERENCE_OTHERS, others, NULL, other_row);
  if (place[COHORT_PREFERENCE_TOKEN_SHARE] >= 0)
    *(float *)feed->input[place[COHORT_PREFERENCE_TOKEN_SHARE]] = token_share(task, feed);
}
