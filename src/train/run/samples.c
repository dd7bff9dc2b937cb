/* Samples of text from the model as it is, for the log. Invariant: a text is a function of (weights, seed, its number),
 * whatever the ranks: rank 0 writes them with whole weights. Costs a gathering of the weights where they are sharded, a
 * decoder, and a forward pass of a row for each token; other ranks wait. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "method/preference/preference.h"
#include "train/rollout/rollout.h"
#include "train/run/state.h"
#include "train/task/language.h"

enum { TOKENS = 64 };

static void say(const cohort_run *run, const cohort_tokenizer *tokenizer, int64_t number,
                const cohort_rollout_text *written) {
  size_t length = 0;
  cohort_text line = {.text = NULL};
  const int64_t count = written->length - (written->finish == COHORT_FINISH_END);
  char *text = cohort_tokenizer_decode(tokenizer, written->completion, count, &length);
  cohort_text_put_json(&line, text, length);
  cohort_log_line(run->log, "step %lld  sample %lld: %s", (long long)run->step, (long long)number + 1, line.text);
  free(line.text);
  free(text);
}

static cohort_status write_texts(const cohort_run *run, const cohort_space *model, const cohort_space *adapter,
                                 const cohort_tokenizer *tokenizer, cohort_error *error) {
  const cohort_evaluate_settings *settings = &run->settings->evaluate_settings;
  const int64_t texts = settings->samples;
  int64_t count = 0;
  int32_t *prompt = cohort_tokenizer_encode(tokenizer, settings->prompt, strlen(settings->prompt), &count);
  cohort_rollout_options options = {
      .model = &run->task.model,
      .data = &run->task.model_data,
      .space = (cohort_space *)(uintptr_t)model,
      .adapter = adapter ? &run->task.adapter : NULL,
      .adapter_space = adapter,
      .kernels = run->kernels,
      .writers = 1,
      .threads = run->threads,
      .texts = texts,
      .prompt = count,
      .completion = TOKENS,
      .how = cohort_decoding_plain(),
      .key = cohort_random_key_derive_name(cohort_random_key_from_seed((uint64_t)run->settings->seed), "samples")};
  cohort_stops_add_ends(&options.stops, tokenizer);
  cohort_rollout_text *text = cohort_allocate((size_t)texts * sizeof *text);
  int32_t *written = cohort_allocate((size_t)(texts * TOKENS) * sizeof *written);
  cohort_rollout *rollout = NULL;
  for (int64_t i = 0; i < texts; i++)
    text[i] = (cohort_rollout_text){
        .prompt = prompt, .prompt_tokens = count, .stream = (uint64_t)i, .completion = written + i * TOKENS};
  cohort_status status =
      count > 0 ? COHORT_DONE : cohort_fail(error, COHORT_BAD_CONFIG, "evaluate.prompt: is empty; give a text");
  if (status == COHORT_DONE) status = cohort_rollout_create(&options, &rollout, error);
  if (status == COHORT_DONE && cohort_rollout_write(rollout, 0, texts, text, run->stop))
    for (int64_t i = 0; i < texts; i++) say(run, tokenizer, i, &text[i]);
  cohort_rollout_destroy(rollout);
  free(written);
  free(text);
  free(prompt);
  return status;
}

/* What the model is that is evaluated: a reward model writes nothing, and what an optimizer evaluates may be another
 * vector than the weights. */
static bool writes(const cohort_run *run) {
  const cohort_method *loss = run->task.preference.method;
  const bool scores = loss && loss->needs & COHORT_NEEDS_SCORES;
  return !scores && !(run->begun && cohort_updater_evaluated(run->updater));
}

cohort_status cohort_run_write_samples(cohort_run *run, cohort_error *error) {
  const cohort_space *model = NULL, *adapter = NULL;
  cohort_tokenizer *tokenizer = NULL;
  if (run->settings->evaluate_settings.samples == 0) return COHORT_DONE;
  if (!writes(run)) {
    cohort_log_line(run->log, "step %lld  no samples: what is evaluated is no model that writes", (long long)run->step);
    return COHORT_DONE;
  }
  COHORT_TRY(cohort_run_whole_weights(run, run->task.model_space, &model, error));
  if (run->settings->lora) COHORT_TRY(cohort_run_whole_weights(run, run->task.adapter.space, &adapter, error));
  cohort_status status = COHORT_DONE;
  if (run->comm->rank == 0) {
    status = cohort_language_tokenizer(run->settings->data_settings.tokenizer, &tokenizer, error);
    if (status == COHORT_DONE) status = write_texts(run, model, adapter, tokenizer, error);
    cohort_tokenizer_destroy(tokenizer);
  }
  return cohort_comm_agree_error(run->comm, status, error);
}
