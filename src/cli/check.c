/* `cohort check CONFIG`: what a run would take on 1, 2, 4 ... ranks, from its plans. Nothing is trained and no large
 * memory is taken. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "io/config.h"
#include "train/run/estimate.h"

static void print_head(const cohort_run *run, bool copies, int cores) {
  const double parameters = (double)cohort_run_space(run, 0)->parameters;
  double state = 0, all = 0;
  for (int s = 0; cohort_run_space(run, s); s++) all += (double)cohort_run_space(run, s)->parameters;
  for (int i = 0; i < cohort_updater_slots(cohort_run_updater(run)); i++)
    state += (double)cohort_updater_slot(cohort_run_updater(run), i)->elements;
  printf("# parameters %.0f, optimizer state %.0f numbers; a checkpoint takes about %.1f MB\n", parameters, state,
         (all + state) * 4 / 1e6);
  printf("# MB of one rank on a host of %d cores; received: in a step, from the other ranks%s\n", cores,
         copies ? ", of which between hosts" : "");
  printf("# %-10s %5s %7s %10s %9s %9s %11s %7s %7s %9s %9s%s\n", "sharding", "ranks", "threads", "parameters",
         "gradients", "state", "activations", "saving", "process", "memory", "received",
         copies ? " hosts  between" : "");
}

/* `hosts` hold a copy each; 0: all ranks hold one. */
static void print_estimate(const cohort_run *run, const cohort_settings *settings, int cores, cohort_sharding sharding,
                           int ranks, int hosts) {
  static const char *const names[] = {"none", "optimizer", "gradients", "parameters"};
  const int on_host = hosts ? ranks / hosts : ranks, share = cores / on_host > 1 ? cores / on_host : 1;
  const int threads = settings->threads ? (int)settings->threads : share;
  const cohort_estimate of = cohort_run_estimate(run, ranks, hosts ? hosts : 1, threads, sharding);
  printf("# %-10s %5d %7d %10.1f %9.1f %9.1f %11.1f %7.1f %7.1f %9.1f %9.2f", ranks > 1 ? names[sharding] : "any",
         ranks, threads, of.parameters / 1e6, of.gradients / 1e6, of.state / 1e6, of.activations / 1e6, of.saving / 1e6,
         of.process / 1e6, cohort_estimate_memory(&of) / 1e6, of.received / 1e6);
  if (hosts) printf(" %5d %8.2f", hosts, of.between / 1e6);
  printf("%s\n", (int)sharding == settings->sharding || ranks == 1 ? "  <" : "");
}

static void print_estimates(const cohort_run *run, const cohort_settings *settings, int cores) {
  const bool copies = settings->replicate == COHORT_REPLICATE_HOSTS;
  const int first = copies ? COHORT_SHARDING_OPTIMIZER : COHORT_SHARDING_NONE;
  const int last = settings->is_federated ? COHORT_SHARDING_OPTIMIZER : COHORT_SHARDING_PARAMETERS;
  print_head(run, copies, cores);
  for (int sharding = first; sharding <= last; sharding++)
    for (int ranks = sharding == first ? 1 : 2; ranks <= cohort_run_lanes(run) && ranks <= 8; ranks *= 2)
      for (int hosts = copies; hosts == copies || 2 * hosts <= ranks; hosts *= 2) {
        print_estimate(run, settings, cores, (cohort_sharding)sharding, ranks, hosts);
        if (!copies) break;
      }
}

/* As lines of comment; the text is freed. */
static void print_comment(char *text) {
  for (const char *at = text; *at; at++) {
    if (at == text || at[-1] == '\n') printf("# ");
    putchar(*at);
  }
  printf("\n");
  free(text);
}

static cohort_status run_check(const cohort_command_line *line, cohort_error *error) {
  if (line->count < 1) return cohort_fail(error, COHORT_BAD_CONFIG, "check: give a config; see cohort check --help");
  cohort_command_context command;
  cohort_run *run = NULL;
  cohort_status status =
      cohort_command_open(line->word[0], COHORT_CONFIG_NAMED, line->count - 1, line->word + 1, &command, error);
  if (status == COHORT_DONE)
    status = cohort_run_plan(&command.settings, &command.comm, &command.log, command.threads, &run, error);
  if (status == COHORT_DONE && command.comm.rank == 0) {
    char *config = cohort_config_write(command.settings.expanded);
    printf("%s", config);
    free(config);
    print_comment(cohort_run_describe(run));
    print_comment(cohort_run_describe_plan(run));
    if (cohort_run_space(run, 0)) print_estimates(run, &command.settings, command.threads);
  }
  cohort_run_destroy(run);
  return cohort_command_close(&command, status, error);
}

const cohort_verb cohort_verb_check = {
    .name = "check",
    .synopsis = "CONFIG [key=value ...]",
    .summary = "validate a config, print it with every default, and estimate memory and traffic; touches nothing",
    .run = run_check,
};
