/* Answers to the questions of a reward.
 *
 *   a model:   every rank scores its own completions with its own copy
 *   a command: all ranks' completions as lines of JSON -> rank 0 -> the process -> a number each -> all ranks
 *
 * Invariant: completions stand in the order of ranks, which is that of the batch, so that a command reads the same
 * lines on any number of ranks. A command costs the texts of the batch on every rank. */
#include "train/rollout/reward_questions.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

static cohort_status check_tokenizer(const cohort_reward_question *question, const cohort_rewards_options *options,
                                     const cohort_scorer *scorer, cohort_error *error) {
  if (cohort_tokenizer_digest(cohort_scorer_tokenizer(scorer)) == cohort_tokenizer_digest(options->tokenizer))
    return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG,
                     "reward: %s has another tokenizer than this model; train one with the same", question->what);
}

cohort_status cohort_reward_asked_open(const cohort_reward_question *question, const cohort_rewards_options *options,
                                       cohort_reward_asked *out, cohort_error *error) {
  *out = (cohort_reward_asked){.question = *question};
  if (question->asks != COHORT_REWARD_ASKS_MODEL) return COHORT_DONE;
  cohort_status status =
      cohort_scorer_create(question->what, options->prompt + options->limit, options->threads, &out->scorer, error);
  if (status == COHORT_DONE) status = check_tokenizer(question, options, out->scorer, error);
  return cohort_comm_agree_error(options->comm, status, error);
}

void cohort_reward_asked_close(cohort_reward_asked *asked) {
  cohort_scorer_destroy(asked->scorer);
  cohort_process_end(asked->process);
  asked->scorer = NULL;
  asked->process = NULL;
}

static void ask_model(cohort_reward_asked *asked, int64_t count, const cohort_rewards_text *text, double *answer) {
  cohort_scorer_text *texts = cohort_allocate((size_t)(count + 1) * sizeof *texts);
  for (int64_t i = 0; i < count; i++)
    texts[i] = (cohort_scorer_text){text[i].prompt, text[i].completion, text[i].prompt_tokens, text[i].tokens};
  cohort_scorer_run(asked->scorer, count, texts, answer);
  free(texts);
}

/* {"prompt": ..., "completion": ..., "tokens": ..., "ended": ..., COLUMN: ...} a line. */
static void write_lines(const cohort_reward_batch *batch, cohort_text *out) {
  for (int64_t i = 0; i < batch->completions; i++) {
    const cohort_reward_completion *own = &batch->completion[i];
    cohort_text_put(out, "{\"prompt\": ");
    cohort_text_put_json(out, own->prompt, own->prompt_bytes);
    cohort_text_put(out, ", \"completion\": ");
    cohort_text_put_json(out, own->text, own->bytes);
    cohort_text_put(out, ", \"tokens\": %lld, \"ended\": %s", (long long)own->tokens, own->ended ? "true" : "false");
    for (int c = 0; c < batch->columns; c++) {
      const char *value = own->column ? own->column[c] : NULL;
      cohort_text_put(out, ", ");
      cohort_text_put_json(out, batch->column[c], strlen(batch->column[c]));
      cohort_text_put(out, ": ");
      if (value)
        cohort_text_put_json(out, value, strlen(value));
      else
        cohort_text_put(out, "null");
    }
    cohort_text_put(out, "}\n");
  }
}

/* A number, or the reward of an object. */
static bool read_reward(const char *line, double *out) {
  json_error_t said;
  json_t *value = json_loads(line, JSON_DECODE_ANY, &said);
  const json_t *number = json_is_object(value) ? json_object_get(value, "reward") : value;
  const bool good = json_is_number(number) && isfinite(json_number_value(number));
  if (good) *out = json_number_value(number);
  json_decref(value);
  return good;
}

static cohort_status read_rewards(const char *command, const char *lines, int64_t count, double *reward,
                                  cohort_error *error) {
  for (int64_t i = 0; i < count; i++) {
    if (!read_reward(lines, &reward[i]))
      return cohort_fail(error, COHORT_BAD_DATA,
                         "reward: %s: line %lld of its answer is \"%.60s\"; it must be a number, or an object with "
                         "the number \"reward\"",
                         command, (long long)i + 1, lines);
    lines += strlen(lines) + 1;
  }
  return COHORT_DONE;
}

/* On rank 0. A process that has failed is ended; the next batch begins with a new one. */
static cohort_status talk(cohort_reward_asked *asked, const char *text, size_t bytes, int64_t count,
                          const _Atomic int *stop, double *reward, cohort_error *error) {
  const cohort_reward_question *question = &asked->question;
  char *lines = NULL;
  cohort_error inner;
  cohort_status status = COHORT_DONE;
  if (!asked->process) status = cohort_process_start(question->what, &asked->process, &inner);
  if (status == COHORT_DONE)
    status = cohort_process_ask(asked->process, text, bytes, count, question->timeout, stop, &lines, &inner);
  if (status != COHORT_DONE) (void)cohort_fail(error, status, "reward: %s", inner.text);
  if (status == COHORT_DONE) status = read_rewards(question->what, lines, count, reward, error);
  free(lines);
  if (status != COHORT_DONE) {
    cohort_process_end(asked->process);
    asked->process = NULL;
  }
  return status;
}

/* What each rank has, in bytes and completions. */
typedef struct rank_share {
  int64_t bytes, completions;
} rank_share;

static cohort_status ask_command(cohort_reward_asked *asked, cohort_comm *comm, const cohort_reward_batch *batch,
                                 const _Atomic int *stop, double *answer, cohort_error *error) {
  const size_t ranks = (size_t)comm->size;
  cohort_text own = {.text = NULL};
  write_lines(batch, &own);
  rank_share *share = cohort_allocate(ranks * sizeof *share);
  size_t *offset = cohort_allocate(2 * ranks * sizeof *offset), *bytes = offset + ranks;
  share[comm->rank] = (rank_share){(int64_t)own.length, batch->completions};
  for (size_t r = 0; r < ranks; r++) {
    offset[r] = r * sizeof *share;
    bytes[r] = sizeof *share;
  }
  cohort_comm_gather_all(comm, share, offset, bytes);
  size_t all = 0;
  int64_t count = 0, first = 0;
  for (size_t r = 0; r < ranks; r++) {
    offset[r] = all;
    all += bytes[r] = (size_t)share[r].bytes;
    if ((int)r == comm->rank) first = count;
    count += share[r].completions;
  }
  char *text = cohort_allocate(all + 1);
  if (own.length) memcpy(text + offset[comm->rank], own.text, own.length);
  cohort_comm_gather_all(comm, text, offset, bytes);
  double *rewards = cohort_allocate((size_t)(count + 1) * sizeof *rewards);
  cohort_status status = COHORT_DONE;
  if (comm->rank == 0) status = talk(asked, text, all, count, stop, rewards, error);
  status = cohort_comm_agree_error(comm, status, error);
  if (status == COHORT_DONE) cohort_comm_broadcast(comm, 0, rewards, (size_t)count * sizeof *rewards);
  if (status == COHORT_DONE) memcpy(answer, rewards + first, (size_t)batch->completions * sizeof *answer);
  free(rewards);
  free(text);
  free(offset);
  free(share);
  free(own.text);
  return status;
}

cohort_status cohort_reward_asked_answer(cohort_reward_asked *asked, const cohort_rewards_options *options,
                                         const cohort_reward_batch *batch, const cohort_rewards_text *text,
                                         const _Atomic int *stop, double *answer, cohort_error *error) {
  if (asked->question.asks == COHORT_REWARD_ASKS_COMMAND)
    return ask_command(asked, options->comm, batch, stop, answer, error);
  ask_model(asked, batch->completions, text, answer);
  return COHORT_DONE;
}
