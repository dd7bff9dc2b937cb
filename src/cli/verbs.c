#include "cli/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/document.h"
#include "cli/session.h"
#include "kernel/kernel.h"

static const cohort_verb *const verbs[] = {
    &cohort_verb_train, &cohort_verb_eval,  &cohort_verb_generate, &cohort_verb_tokenize, &cohort_verb_methods,
    &cohort_verb_keys,  &cohort_verb_probe, &cohort_verb_check,    &cohort_verb_inspect,  &cohort_verb_plot};
enum { VERBS = sizeof verbs / sizeof *verbs };

cohort_loop_program cohort_command_program(void) {
  /* The second start finds the right core, so this only reads its name. */
  static char *nothing[] = {NULL};
  return (cohort_loop_program){cohort_command_version(), cohort_command_commit(), cohort_product_guard(nothing),
                               getenv("COHORT_BLAS_CORE_SET"), NULL};
}

static void print_help(FILE *out) {
  (void)fprintf(out, "cohort %s: trains, aligns and federates neural networks over MPI\n\n", cohort_command_version());
  for (int v = 0; v < VERBS; v++) {
    (void)fprintf(out, "  cohort %-9s %s\n", verbs[v]->name, verbs[v]->synopsis);
    (void)fprintf(out, "  %16s %s\n", "", verbs[v]->summary);
  }
  (void)fprintf(out,
                "\ncohort VERB --help tells more. Exit status: 0 done; 1 a fault of cohort; 2 command line or config;\n"
                "3 data or checkpoint; 4 disk or memory; 5 diverged; 6 a rank was lost; 75 stopped after a save.\n");
}

static void print_verb_help(const cohort_verb *verb) {
  printf("cohort %s %s\n\n%s.\n", verb->name, verb->synopsis, verb->summary);
  if (verb->help) printf("\n%s\n", verb->help);
}

static const cohort_verb *find(const char *name) {
  for (int v = 0; v < VERBS; v++)
    if (strcmp(verbs[v]->name, name) == 0) return verbs[v];
  return NULL;
}

/* Of a job's processes the first; what goes wrong before MPI has started goes wrong in all of them. */
static bool is_first_process(void) {
  static const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"};
  for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
    const char *rank = getenv(ranks[i]);
    if (rank) return strcmp(rank, "0") == 0;
  }
  return true;
}

static cohort_status unknown_verb(const char *name, cohort_error *error) {
  const char *names[VERBS];
  for (int v = 0; v < VERBS; v++) names[v] = verbs[v]->name;
  const char *nearest = cohort_nearest_name(name, names, VERBS);
  if (nearest) return cohort_fail(error, COHORT_BAD_CONFIG, "unknown verb %s; did you mean %s?", name, nearest);
  return cohort_fail(error, COHORT_BAD_CONFIG, "unknown verb %s; see cohort --help", name);
}

/* Says an error that came before MPI had started, which no message orders: the others give the first process a second
 * to speak, as mpirun ends all at the first that fails. */
static void say_error(const cohort_error *error) {
  const cohort_log log = {.speaks = is_first_process()};
  cohort_log_error(&log, error);
  if (!log.speaks && getenv("OMPI_COMM_WORLD_RANK")) (void)sleep(1);
}

int cohort_command(int count, char **argument) {
  if (count < 2) {
    if (is_first_process()) print_help(stderr);
    return COHORT_BAD_CONFIG;
  }
  if (strcmp(argument[1], "--help") == 0 || strcmp(argument[1], "help") == 0) {
    print_help(stdout);
    return COHORT_DONE;
  }
  if (strcmp(argument[1], "--version") == 0) {
    puts(cohort_command_provenance());
    return COHORT_DONE;
  }
  const cohort_verb *verb = find(argument[1]);
  for (int a = 2; verb && a < count; a++)
    if (strcmp(argument[a], "--help") == 0) {
      print_verb_help(verb);
      return COHORT_DONE;
    }
  const cohort_command_line line = {count - 2, argument + 2, argument};
  cohort_error error = {.text = ""};
  const cohort_status status = verb ? verb->run(&line, &error) : unknown_verb(argument[1], &error);
  if (error.text[0] && status != COHORT_DONE) say_error(&error);
  return (int)status;
}
