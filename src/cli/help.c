/* What the program tells of itself: the list of verbs, a verb, or everything as files (cli/pages.h). */
#include <stdio.h>
#include <string.h>

#include "cli/pages.h"
#include "cli/verbs.h"

void cohort_command_print_help(FILE *out) {
  (void)fprintf(out, "cohort %s: %s\n\n", cohort_command_version(), COHORT_SUMMARY);
  const cohort_verb *verb;
  for (int v = 0; (verb = cohort_command_verb(v)); v++) {
    (void)fprintf(out, "  cohort %-9s %s\n", verb->name, verb->synopsis);
    (void)fprintf(out, "  %16s %s\n", "", verb->summary);
  }
  (void)fprintf(out, "\ncohort VERB -h tells more, cohort -V the version. Exit status: %s\n", COHORT_EXIT_STATUS);
}

void cohort_command_print_verb(const cohort_verb *verb) {
  printf("cohort %s %s\n\n%s.\n", verb->name, verb->synopsis, verb->summary);
  if (verb->help) printf("\n%s\n", verb->help);
}

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  if (line->count == 2 && strcmp(line->word[0], "--pages") == 0) return cohort_pages_write(line->word[1], error);
  if (line->count > 1 || (line->count == 1 && line->word[0][0] == '-'))
    return cohort_fail(error, COHORT_BAD_CONFIG, "help: one verb is wanted, or --pages FOLDER; see cohort help help");
  if (line->count == 0) {
    cohort_command_print_help(stdout);
    return COHORT_DONE;
  }
  const cohort_verb *verb = NULL;
  COHORT_TRY(cohort_command_find(line->word[0], &verb, error));
  cohort_command_print_verb(verb);
  return COHORT_DONE;
}

const cohort_verb cohort_verb_help = {
    .name = "help",
    .synopsis = "[VERB] | --pages FOLDER",
    .summary = "list the verbs, tell about one, or write the reference, the manual and completion as files",
    .help =
        "--pages FOLDER: writes FOLDER/reference (a page a method), FOLDER/man1 (manual pages) and\n"
        "FOLDER/completion/cohort (for bash).",
    .run = run,
};
