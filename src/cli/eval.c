/* `cohort eval`: the splits of a task at given weights. A run is made from the config and evaluated; it never steps and
 * writes no run directory. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/command.h"
#include "io/model/files.h"
#include "train/run/run.h"
#include "train/run/run_files.h"

static void print_split(const cohort_task *task, cohort_split split, const cohort_run_row *row) {
  const bool tokens = task->functions == &cohort_task_language;
  printf("%-12s %10lld samples  loss %.9g", cohort_split_name(split), (long long)task->samples[split], row->loss);
  if (tokens) printf("  perplexity %.9g", exp(row->loss));
  for (int m = 0; m < task->metrics; m++) printf("  %s %.9g", task->metric[m], row->columns[m]);
  if (tokens) printf("  tokens %lld", (long long)task->functions->count(task, split, task->samples[split]));
  printf("\n");
}

static cohort_status evaluate(cohort_command_context *command, const char *weights, cohort_error *error) {
  cohort_run *run = NULL;
  COHORT_TRY(cohort_run_create(&command->settings, &command->comm, &command->log, command->threads, &run, error));
  cohort_status status = cohort_run_take_weights(run, weights, !cohort_model_files_are(weights), error);
  const cohort_task *task = cohort_run_task(run);
  for (int s = COHORT_SPLIT_VALIDATION; s < COHORT_SPLITS && status == COHORT_DONE; s++) {
    if (!task->samples[s]) continue;
    cohort_run_row row;
    status = cohort_run_evaluate(run, (cohort_split)s, &row, error);
    if (status == COHORT_DONE && command->comm.rank == 0) print_split(task, (cohort_split)s, &row);
  }
  cohort_run_destroy(run);
  return status;
}

/* The words that are overrides; of a text that is given all is scored, unless a share is given too. */
static cohort_status read_words(const cohort_command_line *line, char **override, int *overrides, const char **run,
                                const char **checkpoint, cohort_error *error) {
  static char whole[] = "data.validation_share=1";
  bool text = false, share = false;
  for (int w = 0; w < line->count; w++) {
    char *word = line->word[w];
    if (strcmp(word, "--checkpoint") == 0) {
      if (w + 1 == line->count)
        return cohort_fail(error, COHORT_BAD_CONFIG, "eval: --checkpoint wants a file; see cohort eval --help");
      *checkpoint = line->word[++w];
    } else if (word[0] == '-') {
      return cohort_fail(error, COHORT_BAD_CONFIG, "eval: unexpected %s; see cohort eval --help", word);
    } else if (!*run) {
      *run = word;
    } else {
      text = text || strncmp(word, "data.text=", strlen("data.text=")) == 0;
      share = share || strncmp(word, whole, strlen("data.validation_share=")) == 0;
      override[(*overrides)++] = word;
    }
  }
  if (text && !share) override[(*overrides)++] = whole;
  if (*run) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG, "eval: give a run directory or a checkpoint; see cohort eval --help");
}

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  char **override = cohort_allocate((size_t)(line->count + 1) * sizeof *override), *config = NULL, *weights = NULL;
  int overrides = 0;
  const char *path = NULL, *given = NULL;
  cohort_status status = read_words(line, override, &overrides, &path, &given, error);
  if (status == COHORT_DONE) status = cohort_run_files_find(path, &config, &weights, error);
  if (status == COHORT_DONE) {
    cohort_command_context command;
    status = cohort_command_open(config, COHORT_CONFIG_OF_RUN, overrides, override, &command, error);
    command.settings.evaluates = true;
    if (status == COHORT_DONE) status = evaluate(&command, given ? given : weights, error);
    status = cohort_command_close(&command, status, error);
  }
  free(config);
  free(weights);
  free(override);
  return status;
}

const cohort_verb cohort_verb_eval = {
    .name = "eval",
    .synopsis = "RUN|FILE|MODEL [--checkpoint FILE] [key=value ...]",
    .summary = "evaluate a run's weights on every split but train",
    .help =
        "Takes RUN/final.h5, else the latest checkpoint, unless FILE is given; MODEL is a Hugging Face folder.\n"
        "A |command in the run's config is not run: give data.text='|command' (or a file) beside RUN to run it.\n"
        "data.text=FILE scores all of another text: its loss in nats a token, perplexity and bits a byte. A first "
        "token\n"
        "has nothing before it and is not scored. evaluate.stride=N gives every token at least (context - N) before "
        "it.",
    .run = run,
};
