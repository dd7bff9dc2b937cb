/* What the program writes of itself as files: the reference (a page a method, and further ones), the manual (cohort.1
 * and a page a verb) and completion for bash. All come from the descriptors and verbs that the program runs with, so
 * they cannot differ from it, and one process writes them all.
 *
 * A further reference page is a row of `pages` in pages.c and a function that makes its text. */
#ifndef COHORT_CLI_PAGES_H
#define COHORT_CLI_PAGES_H

#include "base/status.h"
#include "base/text.h"
#include "cli/verb.h"

/* Writes FOLDER/reference/README.md and its pages, FOLDER/man1/cohort.1 and cohort-VERB.1, and
 * FOLDER/completion/cohort. Folders are made; files of these names are replaced, others stay. */
cohort_status cohort_pages_write(const char *folder, cohort_error *error);

/* The manual page of a verb, and of the program for NULL, in roff. */
void cohort_manual_page(cohort_text *out, const cohort_verb *verb);
/* The completion script for bash: verbs, their options, configs, runs, families and their methods. */
void cohort_completion_script(cohort_text *out);

#endif
