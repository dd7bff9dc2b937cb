/* Completion for bash. What a verb takes is read from what it says of itself: words that begin with a hyphen in its
 * synopsis and help are its options, capital words of its synopsis are what stands for them (CONFIG, RUN, FAMILY ...).
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/pages.h"
#include "cli/verbs.h"
#include "method/registry.h"
#include "train/run/keys.h"

static const char functions[] =
    "_cohort_files() { # PATTERN: folders, and files whose names end so\n"
    "  local name\n"
    "  compopt -o filenames 2>/dev/null\n"
    "  while IFS= read -r name; do\n"
    "    if [ -d \"$name\" ] || [[ $name == $1 ]]; then COMPREPLY+=(\"$name\"); fi\n"
    "  done < <(compgen -f -- \"$word\")\n"
    "}\n"
    "_cohort_words() { COMPREPLY+=($(compgen -W \"$*\" -- \"$word\")); }\n"
    "_cohort_method() { # the first word is a family, the second one of its methods\n"
    "  if [ \"$COMP_CWORD\" -eq 2 ]; then _cohort_words $families; fi\n"
    "  if [ \"$COMP_CWORD\" -eq 3 ]; then _cohort_words $(_cohort_methods \"${COMP_WORDS[2]}\"); fi\n"
    "}\n"
    "_cohort_config() { # the first word is a config, those behind it are keys with their values\n"
    "  if [ \"$COMP_CWORD\" -eq 2 ]; then _cohort_files '*.yaml'; return; fi\n"
    "  compopt -o nospace 2>/dev/null\n"
    "  COMPREPLY=($(compgen -S = -W \"$(_cohort_keys)\" -- \"$word\"))\n"
    "}\n"
    "_cohort() {\n"
    "  local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} families verbs\n";

/* Whether the word is in the list so far: "a b c ". */
static bool holds(const char *list, const char *word, size_t length) {
  for (const char *at = list; at && *at; at = strchr(at, ' ') + 1)
    if (strcspn(at, " ") == length && strncmp(at, word, length) == 0) return true;
  return false;
}

static void add(cohort_text *list, const char *word, size_t length) {
  if (!holds(list->text, word, length)) cohort_text_put(list, "%.*s ", (int)length, word);
}

/* "-o", "--tokens": a hyphen that begins a word, then letters and hyphens. */
static void collect_options(cohort_text *list, const char *text) {
  for (const char *at = text; (at = strchr(at, '-')); at++) {
    if (at > text && !strchr(" [|(\n", at[-1])) continue;
    size_t length = 1;
    while (isalpha((unsigned char)at[length]) || at[length] == '-') length++;
    if (isalpha((unsigned char)at[length - 1])) add(list, at, length);
    at += length - 1;
  }
}

/* Whether the capital word stands in the synopsis by itself. */
static bool names(const char *synopsis, const char *word) {
  const size_t length = strlen(word);
  for (const char *at = synopsis; (at = strstr(at, word)); at++)
    if ((at == synopsis || strchr(" [|", at[-1])) && strchr(" ]|.", at[length])) return true;
  return false;
}

/* The first that fits: a pattern of all files holds for folders and configs too. */
static void put_operands(cohort_text *out, const char *synopsis) {
  static const struct {
    const char *word[6], *action;
  } operands[] = {{{"FAMILY"}, "_cohort_method"},
                  {{"VERB"}, "_cohort_words $verbs"},
                  {{"KEY"}, "_cohort_words $(_cohort_keys)"},
                  {{"CONFIG"}, "_cohort_config"},
                  {{"FILE", "TEXT", "OTHER", "FROM"}, "_cohort_files '*'"},
                  {{"RUN", "DIR", "SWEEP", "FOLDER"}, "_cohort_files ''"}};
  for (size_t o = 0; o < sizeof operands / sizeof *operands; o++)
    for (int w = 0; operands[o].word[w]; w++)
      if (names(synopsis, operands[o].word[w])) {
        cohort_text_put(out, "      %s\n", operands[o].action);
        return;
      }
}

static void put_verb(cohort_text *out, const cohort_verb *verb) {
  cohort_text options = {0};
  collect_options(&options, verb->synopsis);
  if (verb->help) collect_options(&options, verb->help);
  add(&options, "--help", strlen("--help"));
  cohort_text_put(out, "    %s)\n      if [[ $word == -* ]]; then _cohort_words %s; return; fi\n", verb->name,
                  options.text);
  cohort_text_put(out, "      if [[ ${COMP_WORDS[COMP_CWORD - 1]} == -? ]]; then _cohort_files '*'; return; fi\n");
  put_operands(out, verb->synopsis);
  cohort_text_put(out, "      ;;\n");
  free(options.text);
}

/* _cohort_methods FAMILY prints its methods; `families` becomes the list of all families. */
static void put_methods(cohort_text *out, cohort_text *families) {
  const cohort_method *method;
  const char *last = "";
  cohort_text_put(out, "_cohort_methods() {\n  case $1 in\n");
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++) {
    if (strcmp(last, method->family) != 0) {
      cohort_text_put(out, "%s    %s) echo ", *last ? " ;;\n" : "", method->family);
      cohort_text_put(families, "%s ", method->family);
      last = method->family;
    }
    cohort_text_put(out, "%s ", method->key);
  }
  cohort_text_put(out, "%s  esac\n}\n", *last ? ";;\n" : "");
}

static void put_key(void *argument, const char *path, const cohort_parameter *key) {
  (void)key;
  cohort_text_put(argument, " %s", path);
}

void cohort_completion_script(cohort_text *out) {
  cohort_text families = {0};
  cohort_text_put(out, "# Completion of cohort %s for bash, written by the program itself.\n",
                  cohort_command_version());
  put_methods(out, &families);
  cohort_text_put(out, "_cohort_keys() { echo");
  cohort_keys_walk(true, put_key, out);
  cohort_text_put(out, "; }\n");
  cohort_text_put(out, "%s  families=\"%s\"\n  verbs=\"", functions, families.text ? families.text : "");
  const cohort_verb *verb;
  for (int v = 0; (verb = cohort_command_verb(v)); v++) cohort_text_put(out, "%s ", verb->name);
  cohort_text_put(out, "\"\n  COMPREPLY=()\n");
  cohort_text_put(out, "  if [ \"$COMP_CWORD\" -eq 1 ]; then _cohort_words $verbs --help --version; return; fi\n");
  cohort_text_put(out, "  case $verb in\n");
  for (int v = 0; (verb = cohort_command_verb(v)); v++) put_verb(out, verb);
  cohort_text_put(out, "  esac\n}\ncomplete -F _cohort cohort\n");
  free(families.text);
}
