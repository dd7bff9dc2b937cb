/* How a policy lane is fed: a batch's sequences, one after another. Invariant: what is left of a lane belongs to no
 * sequence, holds finite numbers and weighs nothing. Costs a pass over the lane's rows. */
#include <string.h>

#include "train/task/policy.h"

enum { FLOATS = COHORT_POLICY_IN_SCORED + COHORT_SCORED_COLUMNS - COHORT_POLICY_IN_MASK };

/* A lane's rows, by what they hold. */
typedef struct policy_rows {
  int32_t *tokens, *targets, *positions, *segments, *ids, *runs;
  float *mask, *advantage, *target, *scored[COHORT_SCORED_COLUMNS];
} policy_rows;

static policy_rows rows_of(const cohort_policy_data *own, const cohort_feed *feed) {
  void *const *input = feed->input;
  policy_rows out = {input[COHORT_POLICY_IN_TOKENS],    input[COHORT_POLICY_IN_TARGETS],
                     input[COHORT_POLICY_IN_POSITIONS], input[COHORT_POLICY_IN_SEGMENTS],
                     input[COHORT_POLICY_IN_IDS],       NULL,
                     input[COHORT_POLICY_IN_MASK],      input[COHORT_POLICY_IN_ADVANTAGE],
                     input[COHORT_POLICY_IN_TARGET],    {NULL}};
  for (int s = 0; s < COHORT_SCORED_COLUMNS; s++) out.scored[s] = input[COHORT_POLICY_IN_SCORED + s];
  if (own->shares) out.runs = input[COHORT_POLICY_IN_RUNS];
  return out;
}

/* Token t of sequence c, as row `row`; before the completion (t < 0), and where it is the data's, nothing is scored. */
static void put_numbers(const cohort_policy_data *own, int64_t c, int64_t t, int64_t row, const policy_rows *to) {
  const int64_t at = c * own->settings->completion + t;
  const bool scored = t >= own->batch.skip[c];
  to->mask[row] = scored;
  to->advantage[row] = scored ? (float)own->experience.advantage[at] : 0;
  to->target[row] = scored ? (float)own->experience.target[at] : 0;
  for (int s = 0; s < COHORT_SCORED_COLUMNS; s++)
    to->scored[s][row] = scored && own->batch.scored[s] ? own->batch.scored[s][at] : 0;
}

/* The segment that a row belongs to, and the rows that it goes on from. */
static void put_run(int64_t row, int64_t segment, int64_t first, int64_t shared, const policy_rows *to) {
  const int64_t run[3] = {segment, first, shared};
  for (int i = 0; to->runs && i < 3; i++) to->runs[3 * row + i] = (int32_t)run[i];
}

/* Sequence c of the batch as segment `segment`, behind `shared` rows of its prompt that stand from row `begin` on;
 * returns the row behind it. Row t reads token t and is scored on the next, if that belongs to the completion. */
static int64_t put_sequence(const cohort_policy_data *own, int64_t c, int64_t segment, int64_t begin, int64_t shared,
                            int64_t row, const policy_rows *to) {
  const int64_t length = own->settings->prompt, most = own->settings->completion;
  const int32_t *prompt = own->tokens + own->batch.prompt[c] * length;
  const int64_t *written = own->batch.token + c * most;
  for (int64_t t = shared; t < length + own->batch.length[c] - 1; t++, row++) {
    const int64_t next = t + 1 - length;
    to->tokens[row] = t < length ? prompt[t] : (int32_t)written[t - length];
    to->targets[row] = next >= 0 ? (int32_t)written[next] : -1;
    to->positions[row] = (int32_t)t;
    to->segments[row] = (int32_t)segment;
    to->ids[row] = (int32_t)c;
    put_run(row, segment, begin, shared, to);
    put_numbers(own, c, next >= 0 ? next : -1, row, to);
  }
  return row;
}

static void put_rest(int64_t row, int64_t rows, const policy_rows *to) {
  for (; row < rows; row++) {
    to->tokens[row] = to->positions[row] = to->ids[row] = 0;
    to->targets[row] = to->segments[row] = -1;
    put_run(row, -1, 0, 0, to);
    to->mask[row] = to->advantage[row] = to->target[row] = 0;
    for (int s = 0; s < COHORT_SCORED_COLUMNS; s++) to->scored[s][row] = 0;
  }
}

void cohort_policy_feed(const cohort_task *task, cohort_feed *feed) {
  const cohort_policy_data *own = task->own;
  const policy_rows to = rows_of(own, feed);
  float *length = feed->input[COHORT_POLICY_IN_LENGTH], *score = feed->input[COHORT_POLICY_IN_SCORE];
  float *from_data = feed->input[COHORT_POLICY_IN_FROM_DATA];
  int32_t *groups = feed->input[COHORT_POLICY_IN_GROUPS];
  int64_t row = 0, begin = 0;
  for (int64_t i = 0; i < feed->capacity * own->kept; i++) {
    const bool first = i % own->kept == 0;
    if (first) begin = row;
    const bool real = i / own->kept < feed->count;
    const int64_t position = real ? feed->position[i / own->kept] : own->first;
    const int64_t c = (position - own->first) * own->kept + i % own->kept;
    const int64_t counted = own->batch.length[c] - own->batch.skip[c];
    length[i] = real && counted > 0 ? (float)counted : 1;
    score[i] = real ? (float)own->experience.score[c] : 0;
    groups[i] = (int32_t)(i / own->kept);
    from_data[i] = real && i % own->kept >= own->settings->group;
    if (real) row = put_sequence(own, c, i, begin, first ? 0 : cohort_policy_shared(own), row, &to);
  }
  feed->extent[0] = row ? row : 1;
  put_rest(row, cohort_policy_most_rows(own, feed->capacity), &to);
  *(float *)feed->input[COHORT_POLICY_IN_TOKEN_SHARE] = (float)own->share;
}
