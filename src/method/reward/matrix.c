/* A planted preference: each completion is one of some answers, and a matrix says how often an answer wins against
 * another. The reward is the win rate against the other completions of the prompt. Preferences may go round in a
 * circle, so that no score explains them: for tests of methods that play against themselves. Costs group^2 a prompt. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "method/reward/reward.h"

enum { MOST_ANSWERS = 16 };

typedef struct matrix_config {
  const cohort_document *answers, *wins;
} matrix_config;

static const cohort_parameter parameters[] = {
    {.name = "answers",
     .type = COHORT_PARAMETER_TREE,
     .offset = offsetof(matrix_config, answers),
     .standard = "null",
     .meaning =
         "texts, of which a completion is the first that it contains: [rock, paper, scissors], which null stands "
         "for; one that contains none of them loses against all that do"},
    {.name = "wins",
     .type = COHORT_PARAMETER_TREE,
     .offset = offsetof(matrix_config, wins),
     .standard = "null",
     .meaning =
         "rows, one of each answer: with which probability it wins against each; null: every answer wins against "
         "the one before it, and the first against the last"},
    {.name = NULL},
};

static const char *const standard_answers[] = {"rock", "paper", "scissors"};

static int count_of(const matrix_config *own) { return own->answers ? (int)own->answers->count : 3; }
static const char *answer_of(const matrix_config *own, int a) {
  return own->answers ? own->answers->children[a]->text : standard_answers[a];
}

/* With which probability a wins against b. */
static double win(const matrix_config *own, int a, int b) {
  const int count = count_of(own);
  if (a == b) return 0.5;
  if (a == count || b == count) return b == count;
  if (own->wins) return strtod(own->wins->children[a]->children[b]->text, NULL);
  return (b + 1) % count == a ? 1 : (a + 1) % count == b ? 0 : 0.5;
}

static bool is_probability(const cohort_document *written) {
  char *end = NULL;
  if (written->kind != COHORT_SCALAR || !written->text) return false;
  const double value = strtod(written->text, &end);
  return end != written->text && *end == '\0' && value >= 0 && value <= 1;
}

static bool is_row(const cohort_document *row, size_t count) {
  if (row->kind != COHORT_LIST || row->count != count) return false;
  for (size_t b = 0; b < count; b++)
    if (!is_probability(row->children[b])) return false;
  return true;
}

static cohort_status check(const void *config, cohort_error *error) {
  const matrix_config *own = config;
  const int count = count_of(own);
  if (own->answers && own->answers->kind != COHORT_LIST)
    return cohort_fail(error, COHORT_BAD_CONFIG, "answers is no list of texts");
  if (count < 2 || count > MOST_ANSWERS)
    return cohort_fail(error, COHORT_BAD_CONFIG, "has %d answers; give 2 to %d", count, MOST_ANSWERS);
  for (int a = 0; own->answers && a < count; a++)
    if (own->answers->children[a]->kind != COHORT_SCALAR || !*own->answers->children[a]->text)
      return cohort_fail(error, COHORT_BAD_CONFIG, "answer %d is no text", a + 1);
  if (own->wins && (own->wins->kind != COHORT_LIST || own->wins->count != (size_t)count))
    return cohort_fail(error, COHORT_BAD_CONFIG, "wins is no list of %d rows", count);
  for (int a = 0; own->wins && a < count; a++)
    if (!is_row(own->wins->children[a], (size_t)count))
      return cohort_fail(error, COHORT_BAD_CONFIG, "row %d of wins is no list of %d numbers from 0 to 1", a + 1, count);
  for (int a = 0; own->wins && a < count; a++)
    for (int b = 0; b < a; b++)
      if (fabs(win(own, a, b) + win(own, b, a) - 1) > 1e-9)
        return cohort_fail(error, COHORT_BAD_CONFIG, "wins: answer %d against %d and %d against %d do not sum to 1",
                           a + 1, b + 1, b + 1, a + 1);
  return COHORT_DONE;
}

static int class_of(const matrix_config *own, const cohort_reward_completion *completion) {
  const int count = count_of(own);
  for (int a = 0; a < count; a++)
    if (memmem(completion->text, completion->bytes, answer_of(own, a), strlen(answer_of(own, a)))) return a;
  return count;
}

static void score(const void *config, const void *opened, const cohort_reward_batch *batch, const double *const *given,
                  double *reward) {
  const matrix_config *own = config;
  (void)opened, (void)given;
  int *class = cohort_allocate((size_t)(batch->completions + 1) * sizeof *class);
  for (int64_t i = 0; i < batch->completions; i++) class[i] = class_of(own, &batch->completion[i]);
  for (int64_t i = 0; i < batch->completions; i++) {
    const int64_t first = i / batch->group * batch->group;
    double wins = 0;
    for (int64_t j = first; j < first + batch->group; j++)
      if (j != i) wins += win(own, class[i], class[j]);
    reward[i] = batch->group > 1 ? wins / (double)(batch->group - 1) : 0.5;
  }
  free(class);
}

static const cohort_reward functions = {.score = score};

static const cohort_method method = {
    .family = "reward",
    .key = COHORT_FILE_KEY,
    .summary = "win rate against the prompt's other completions, by a planted matrix of preferences",
    .title = "Nash Learning from Human Feedback",
    .source =
        "Munos et al., Nash Learning from Human Feedback, ICML 2024, section 3: P(y > pi), of which the other "
        "completions are draws",
    .formula = "r_i = mean over the others j of the completion group of P(answer_i beats answer_j)",
    .config_size = sizeof(matrix_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

COHORT_METHOD_FILE(reward, COHORT_FILE) = {&method, NULL};
