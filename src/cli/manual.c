/* Manual pages in roff's man macros, from what the verbs say of themselves. A text of a verb is prose, which is filled
 * to the reader's width; a line that begins with two spaces is a row of a table and stays as it is, and so does an
 * empty line. Time and place grow with the text. */
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "cli/pages.h"
#include "cli/verbs.h"

/* A stretch of text: roff reads a backslash, a hyphen and a line that begins with . or ' in its own way. */
static void put_text(cohort_text *out, const char *text, size_t length) {
  if (length > 0 && (text[0] == '.' || text[0] == '\'')) cohort_text_put(out, "\\&");
  for (size_t i = 0; i < length; i++) {
    if (text[i] == '\\') {
      cohort_text_put(out, "\\e");
    } else if (text[i] == '-') {
      cohort_text_put(out, "\\-");
    } else {
      cohort_text_put(out, "%c", text[i]);
    }
  }
}

static void put_line(cohort_text *out, const char *text) {
  put_text(out, text, strlen(text));
  cohort_text_put(out, "\n");
}

static void put_prose(cohort_text *out, const char *text) {
  bool table = false;
  while (*text) {
    const size_t length = strcspn(text, "\n");
    const bool row = strncmp(text, "  ", 2) == 0;
    if (row != table) cohort_text_put(out, row ? ".nf\n" : ".fi\n");
    table = row;
    if (length == 0) {
      cohort_text_put(out, ".PP\n");
    } else {
      put_text(out, text, length);
      cohort_text_put(out, "\n");
    }
    text += length + (text[length] == '\n');
  }
  if (table) cohort_text_put(out, ".fi\n");
}

/* .TH: name in capitals, section, no date (a build of the same commit gives the same bytes), version, manual. */
static void put_head(cohort_text *out, const char *dash, const char *verb, const char *summary) {
  cohort_text_put(out, ".TH COHORT%s", *dash ? "\\-" : "");
  for (const char *at = verb; *at; at++) cohort_text_put(out, "%c", toupper((unsigned char)*at));
  cohort_text_put(out, " 1 \"\" \"cohort %s\" \"User commands\"\n.SH NAME\ncohort%s%s \\- ", cohort_command_version(),
                  *dash ? "\\-" : "", verb);
  put_line(out, summary);
}

static void put_verb(cohort_text *out, const cohort_verb *verb) {
  put_head(out, "-", verb->name, verb->summary);
  cohort_text_put(out, ".SH SYNOPSIS\n.B cohort %s\n", verb->name);
  put_line(out, verb->synopsis);
  cohort_text_put(out, ".SH DESCRIPTION\n");
  char first[2] = {(char)toupper((unsigned char)verb->summary[0]), '\0'};
  put_text(out, first, 1);
  put_text(out, verb->summary + 1, strlen(verb->summary + 1));
  cohort_text_put(out, ".\n");
  if (verb->help) {
    cohort_text_put(out, ".PP\n");
    put_prose(out, verb->help);
  }
  cohort_text_put(out, ".SH EXIT STATUS\n");
  put_line(out, COHORT_EXIT_STATUS);
  cohort_text_put(out, ".SH SEE ALSO\n.BR cohort (1)\n");
}

static void put_program(cohort_text *out) {
  put_head(out, "", "", COHORT_SUMMARY);
  cohort_text_put(out, ".SH SYNOPSIS\n.B cohort\nVERB ...\n.br\n.B mpirun \\-n\nRANKS\n.B cohort\nVERB ...\n");
  cohort_text_put(out, ".SH VERBS\n");
  const cohort_verb *verb;
  for (int v = 0; (verb = cohort_command_verb(v)); v++) {
    cohort_text_put(out, ".TP\n.BR cohort\\-%s (1)\n", verb->name);
    put_line(out, verb->summary);
  }
  cohort_text_put(out, ".SH OPTIONS\n.TP\n.B \\-\\-help\nlist the verbs; after a verb, tell more of it\n");
  cohort_text_put(out, ".TP\n.B \\-\\-version\nprint the version and the commit that it was built from\n");
  cohort_text_put(out, ".SH EXIT STATUS\n");
  put_line(out, COHORT_EXIT_STATUS);
  cohort_text_put(out, ".SH SEE ALSO\n");
  for (int v = 0; (verb = cohort_command_verb(v)); v++)
    cohort_text_put(out, ".BR cohort\\-%s (1)%s\n", verb->name, cohort_command_verb(v + 1) ? "," : "");
}

void cohort_manual_page(cohort_text *out, const cohort_verb *verb) {
  if (verb) {
    put_verb(out, verb);
  } else {
    put_program(out);
  }
}
