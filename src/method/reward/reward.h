/* Family reward: what a completion of a prompt is worth. Rewards nest: a sum or an ensemble has parts, which are
 * rewards too, so a config's reward is a tree.
 *
 * A method is a function of completions, their prompts and further columns of the data, and of numbers that it is given
 * for each completion: its parts' rewards, or the answer to a question that somebody else can answer alone (a reward
 * model's score, what an external command says). Who runs the tree (a task, `generate`, `probe`) looks at its
 * questions, answers each for a whole batch in its own way, and then has the tree scored. So no method knows ranks,
 * models or processes, and one that asks nothing costs nothing of that.
 *
 * Intended usage: cohort_reward_open once; per batch the answers to cohort_reward_question(tree, 0 ...), then
 * cohort_reward_score, from any thread, for completions of any whole completion groups.
 *
 * To add a method: copy template.c, fill the descriptor, write `score`. */
#ifndef COHORT_METHOD_REWARD_REWARD_H
#define COHORT_METHOD_REWARD_REWARD_H

#include "method/method.h"
#include "method/registry.h"

/* Texts are NUL-terminated too, but may hold zeros. */
typedef struct cohort_reward_completion {
  const char *prompt, *text;
  size_t prompt_bytes, bytes;
  const int32_t *token; /* of the completion; an end token is one of them */
  int64_t tokens;
  bool ended;                /* by an end token or a stop sequence, not by the limit */
  const char *const *column; /* [columns] of the batch: values as text, JSON where they are no texts; NULL: has none */
} cohort_reward_completion;

/* Completions of one prompt stand side by side, `group` at a time. */
typedef struct cohort_reward_batch {
  int64_t completions, group;
  int64_t limit; /* tokens that a completion may have */
  const cohort_reward_completion *completion;
  int columns; /* of the data, beside the prompt */
  const char *const *column;
} cohort_reward_batch;

typedef enum {
  COHORT_REWARD_ASKS_MODEL,   /* the score of a reward model: `what` is a run directory or a checkpoint */
  COHORT_REWARD_ASKS_COMMAND, /* a number for each completion from a process: `what` is its command line, after '|' */
} cohort_reward_asks;

typedef struct cohort_reward_question {
  cohort_reward_asks asks;
  const char *what;
  double timeout; /* seconds for a batch; of commands */
} cohort_reward_question;

typedef struct cohort_reward {
  /* The list of its parts, in the config; NULL: has none. */
  const cohort_document *(*parts)(const void *config);
  /* What it asks; NULL: nothing. A method with a question has no parts. */
  cohort_reward_question (*question)(const void *config);
  /* Name number `index` of the columns that it reads, NULL past the last; NULL: none. */
  const char *(*column)(const void *config, int index);
  /* What is made once from the settings, which were checked (compiled patterns); allocates. NULL: nothing. */
  void *(*open)(const void *config);
  void (*close)(void *opened);
  /* reward[completions], finite. given[k][completions]: of part k, or the answer (k = 0). Several threads at once. */
  void (*score)(const void *config, const void *opened, const cohort_reward_batch *batch, const double *const *given,
                double *reward);
} cohort_reward;

typedef struct cohort_reward_tree cohort_reward_tree;

/* `choice` (of this family) stays the caller's and outlives the tree. */
cohort_status cohort_reward_open(const cohort_choice *choice, cohort_reward_tree **out, cohort_error *error);
void cohort_reward_close(cohort_reward_tree *tree); /* NULL is fine */
/* Its questions, from 0; false past the last. */
bool cohort_reward_question_at(const cohort_reward_tree *tree, int index, cohort_reward_question *out);
/* Columns that it reads, from 0, some perhaps twice; NULL past the last. */
const char *cohort_reward_column_at(const cohort_reward_tree *tree, int index);
/* reward[completions]; answer[question][completions]. */
void cohort_reward_score(const cohort_reward_tree *tree, const cohort_reward_batch *batch, const double *const *answer,
                         double *reward);

/* For methods: the value of a column of completion `i`; NULL: it has none. */
const char *cohort_reward_value(const cohort_reward_batch *batch, int64_t i, const char *column);

#endif
