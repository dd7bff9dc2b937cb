/* Completions as texts, and their rewards. Invariant: a reward is a function of the completion group's tokens and of
 * the answers, whoever holds it. Costs the texts of a rank's completions, and what the reward costs. */
#include "train/rollout/rewards.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/rollout/reward_questions.h"

struct cohort_rewards {
  cohort_rewards_options options;
  cohort_reward_tree *tree;
  int questions;
  cohort_reward_asked *asked; /* [questions] */
};

static bool has_column(const cohort_rewards_options *options, const char *name) {
  for (int c = 0; c < options->columns; c++)
    if (strcmp(options->column[c], name) == 0) return true;
  return false;
}

static cohort_status check_columns(const cohort_rewards *own, cohort_error *error) {
  const char *name;
  for (int i = 0; (name = cohort_reward_column_at(own->tree, i)); i++)
    if (!has_column(&own->options, name))
      return cohort_fail(error, COHORT_BAD_CONFIG, "reward: reads the column \"%s\", which the data do not have", name);
  return COHORT_DONE;
}

static cohort_status open_questions(cohort_rewards *own, cohort_error *error) {
  cohort_reward_question question;
  int count = 0;
  while (cohort_reward_question_at(own->tree, count, &question)) count++;
  own->asked = cohort_allocate((size_t)(count + 1) * sizeof *own->asked);
  while (cohort_reward_question_at(own->tree, own->questions, &question)) {
    cohort_reward_asked *asked = &own->asked[own->questions++];
    COHORT_TRY(cohort_reward_asked_open(&question, &own->options, asked, error));
  }
  return COHORT_DONE;
}

cohort_status cohort_rewards_create(const cohort_choice *reward, const cohort_rewards_options *options,
                                    cohort_rewards **out, cohort_error *error) {
  cohort_rewards *own = cohort_allocate(sizeof *own);
  own->options = *options;
  cohort_status status = cohort_reward_open(reward, &own->tree, error);
  if (status == COHORT_DONE) status = check_columns(own, error);
  if (status == COHORT_DONE) status = open_questions(own, error);
  if (status != COHORT_DONE) {
    cohort_rewards_destroy(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

void cohort_rewards_destroy(cohort_rewards *rewards) {
  if (!rewards) return;
  for (int q = 0; q < rewards->questions; q++) cohort_reward_asked_close(&rewards->asked[q]);
  cohort_reward_close(rewards->tree);
  free(rewards->asked);
  free(rewards);
}

/* Completions of one prompt share its text. */
static cohort_reward_completion read_completion(const cohort_rewards *own, const cohort_rewards_text *text,
                                                const cohort_rewards_text *before,
                                                const cohort_reward_completion *same) {
  const cohort_tokenizer *tokenizer = own->options.tokenizer;
  const int end = cohort_tokenizer_end(tokenizer);
  const bool closed = text->tokens > 0 && end >= 0 && text->completion[text->tokens - 1] == end;
  cohort_reward_completion out = {
      .token = text->completion, .tokens = text->tokens, .ended = text->ended, .column = text->column};
  out.text = cohort_tokenizer_decode(tokenizer, text->completion, text->tokens - closed, &out.bytes);
  const bool shared = before && before->prompt == text->prompt && before->prompt_tokens == text->prompt_tokens;
  if (shared) {
    out.prompt = same->prompt;
    out.prompt_bytes = same->prompt_bytes;
  } else {
    out.prompt = cohort_tokenizer_decode(tokenizer, text->prompt, text->prompt_tokens, &out.prompt_bytes);
  }
  return out;
}

static void release(int64_t count, cohort_reward_completion *completion) {
  for (int64_t i = 0; i < count; i++) {
    free((void *)(uintptr_t)completion[i].text);
    if (i == 0 || completion[i].prompt != completion[i - 1].prompt) free((void *)(uintptr_t)completion[i].prompt);
  }
  free(completion);
}

cohort_status cohort_rewards_score(cohort_rewards *rewards, int64_t count, const cohort_rewards_text *text,
                                   const _Atomic int *stop, double *reward, cohort_error *error) {
  const size_t questions = (size_t)rewards->questions, n = (size_t)count;
  cohort_reward_completion *completion = cohort_allocate((n + 1) * sizeof *completion);
  double *values = cohort_allocate((questions * n + 1) * sizeof *values);
  const double **answer = cohort_allocate((questions + 1) * sizeof *answer);
  for (int64_t i = 0; i < count; i++)
    completion[i] = read_completion(rewards, &text[i], i ? &text[i - 1] : NULL, i ? &completion[i - 1] : NULL);
  const cohort_reward_batch batch = {.completions = count,
                                     .group = rewards->options.group,
                                     .limit = rewards->options.limit,
                                     .completion = completion,
                                     .columns = rewards->options.columns,
                                     .column = rewards->options.column};
  cohort_status status = COHORT_DONE;
  for (size_t q = 0; q < questions && status == COHORT_DONE; q++) {
    answer[q] = values + q * n;
    status =
        cohort_reward_asked_answer(&rewards->asked[q], &rewards->options, &batch, text, stop, values + q * n, error);
  }
  if (status == COHORT_DONE) cohort_reward_score(rewards->tree, &batch, answer, reward);
  release(count, completion);
  free(answer);
  free(values);
  return status;
}

int64_t cohort_rewards_best(int64_t count, const double *reward) {
  int64_t best = 0;
  for (int64_t i = 1; i < count; i++)
    if (reward[i] > reward[best]) best = i;
  return best;
}
