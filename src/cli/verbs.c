/* The table of verbs and the program's way in and out: help, version, unknown words, exit status. An error is printed
 * once, here. */
#include "cli/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/document.h"
#include "cli/command.h"
#include "kernel/kernel.h"

static const cohort_verb *const verbs[] = {
    &cohort_verb_train,     &cohort_verb_eval,    &cohort_verb_generate, &cohort_verb_tokenize, &cohort_verb_methods,
    &cohort_verb_keys,      &cohort_verb_probe,   &cohort_verb_check,    &cohort_verb_inspect,  &cohort_verb_plot,
    &cohort_verb_partition, &cohort_verb_convert, &cohort_verb_help};
enum { VERBS = sizeof verbs / sizeof *verbs };

cohort_loop_program cohort_command_program(void) {
  /* The second start finds the right core, so this only reads its name. */
  static char *nothing[] = {NULL};
  return (cohort_loop_program){cohort_command_version(), cohort_command_commit(), cohort_product_guard(nothing),
                               getenv("COHORT_BLAS_CORE_SET"), NULL};
}

const cohort_verb *cohort_command_verb(int number) { return number < VERBS ? verbs[number] : NULL; }

/* Of a job's processes the first; what goes wrong before MPI has started goes wrong in all of them. */
static bool is_first_process(void) {
  static const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"};
  for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
    const char *rank = getenv(ranks[i]);
    if (rank) return strcmp(rank, "0") == 0;
  }
  return true;
}

cohort_status cohort_command_find(const char *name, const cohort_verb **verb, cohort_error *error) {
  const char *names[VERBS];
  for (int v = 0; v < VERBS; v++) {
    names[v] = verbs[v]->name;
    if (strcmp(names[v], name) == 0) {
      *verb = verbs[v];
      return COHORT_DONE;
    }
  }
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

static bool is_one_of(const char *word, const char *brief, const char *whole) {
  return strcmp(word, brief) == 0 || strcmp(word, whole) == 0;
}

/* -h and -V are understood by every verb, wherever they stand; of a job's processes the first one answers. */
static bool answers_for_itself(const cohort_verb *verb, int words, char *const *word) {
  for (int w = 0; w < words; w++) {
    const bool help = is_one_of(word[w], "-h", "--help");
    if (!help && !is_one_of(word[w], "-V", "--version")) continue;
    if (help && is_first_process()) cohort_command_print_verb(verb);
    if (!help && is_first_process()) puts(cohort_command_provenance());
    return true;
  }
  return false;
}

int cohort_command(int count, char **argument) {
  if (count < 2) {
    if (is_first_process()) cohort_command_print_help(stderr);
    return COHORT_BAD_CONFIG;
  }
  if (is_one_of(argument[1], "-h", "--help")) {
    cohort_command_print_help(stdout);
    return COHORT_DONE;
  }
  if (is_one_of(argument[1], "-V", "--version") || strcmp(argument[1], "version") == 0) {
    puts(cohort_command_provenance());
    return COHORT_DONE;
  }
  cohort_error error = {.text = ""};
  const cohort_verb *verb = NULL;
  cohort_status status = cohort_command_find(argument[1], &verb, &error);
  if (verb && answers_for_itself(verb, count - 2, argument + 2)) return COHORT_DONE;
  const cohort_command_line line = {count - 2, argument + 2, argument};
  if (verb) status = verb->run(&line, &error);
  if (error.text[0] && status != COHORT_DONE) say_error(&error);
  return (int)status;
}
