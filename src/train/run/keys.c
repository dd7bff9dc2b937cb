/* The keys of a config, walked and described. Invariant: nothing is written here that a table does not say, so a key
 * that is read is a key that is listed. A listing costs the number of keys; with methods, that of all their parameters.
 */
#include "train/run/keys.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/foreign.h"
#include "base/memory.h"
#include "base/text.h"
#include "method/describe.h"
#include "method/describe_words.h"
#include "train/run/settings.h"

static const cohort_variant variant = COHORT_VARIANT_F64; /* descriptors are the same in all */

/* The families whose methods a key may hold; any optimizer serves as a federated server. */
static bool holds_family(const cohort_parameter *key, const char *family) {
  if (!key->family) return false;
  return strcmp(family, key->family) == 0 ||
         (strcmp(key->family, "federated") == 0 && strcmp(family, "optimizer") == 0);
}

/* A walk under way: parameters of a family's methods are visited below the first key that holds the family alone. */
typedef struct walk {
  bool methods;
  cohort_keys_visit visit;
  void *argument;
  const char *family[64]; /* visited */
  int families;
} walk;

static bool is_new_family(walk *own, const char *family) {
  for (int f = 0; f < own->families; f++)
    if (strcmp(own->family[f], family) == 0) return false;
  if (own->families < (int)(sizeof own->family / sizeof *own->family)) own->family[own->families++] = family;
  return true;
}

/* Where the keys of a key's section stand; owned by the caller. */
static char *path_below(const char *path, const cohort_parameter *key) {
  return cohort_format_text("%s%s", path, key->by_name ? ".NAME" : "");
}

static void walk_table(walk *own, const cohort_parameter *table, const char *path) {
  for (const cohort_parameter *key = table; key->name; key++) {
    char *name = cohort_format_text("%s%s%s", path, *path ? "." : "", key->name);
    own->visit(own->argument, name, key);
    char *section = path_below(name, key);
    if (key->section) walk_table(own, key->section, section);
    free(section);
    const bool methods = own->methods && key->family && is_new_family(own, key->family);
    const cohort_method *method;
    for (int i = 0; methods && (method = cohort_registry_at(variant, i)); i++) {
      if (strcmp(method->family, key->family) != 0 || !method->parameters) continue;
      char *below = cohort_format_text("%s.%s", name, method->key);
      walk_table(own, method->parameters, below);
      free(below);
    }
    free(name);
  }
}

void cohort_keys_walk(bool methods, cohort_keys_visit visit, void *argument) {
  walk own = {.methods = methods, .visit = visit, .argument = argument};
  walk_table(&own, cohort_settings_table, "");
}

/* Past a word and its dot: "a.b" -> "b", "a" -> "". */
static const char *after_word(const char *path) {
  const size_t length = strcspn(path, ".");
  return path[length] ? path + length + 1 : path + length;
}

static bool begins_with_number(const char *path) {
  const size_t digits = strspn(path, "0123456789");
  return digits > 0 && (path[digits] == '.' || path[digits] == '\0');
}

static const cohort_parameter *find_in(const cohort_parameter *table, const char *path);

/* Below a key that holds a method: "adamw" is the key itself, "adamw.beta1" the method's parameter. */
static const cohort_parameter *find_in_method(const cohort_parameter *key, const char *path) {
  const size_t length = strcspn(path, ".");
  const cohort_method *method;
  for (int i = 0; (method = cohort_registry_at(variant, i)); i++) {
    if (!holds_family(key, method->family) || strlen(method->key) != length) continue;
    if (strncmp(method->key, path, length) != 0) continue;
    const char *rest = after_word(path);
    if (!*rest) return key;
    return method->parameters ? find_in(method->parameters, rest) : NULL;
  }
  return NULL;
}

static const cohort_parameter *find_in(const cohort_parameter *table, const char *path) {
  const size_t length = strcspn(path, ".");
  for (const cohort_parameter *key = table; key->name; key++) {
    if (strlen(key->name) != length || strncmp(key->name, path, length) != 0) continue;
    const char *rest = after_word(path);
    if (key->by_name || (key->type == COHORT_PARAMETER_TREE && begins_with_number(rest))) rest = after_word(rest);
    if (!*rest) return key;
    if (key->section) return find_in(key->section, rest);
    return key->family ? find_in_method(key, rest) : NULL;
  }
  return NULL;
}

const cohort_parameter *cohort_keys_find(const char *key) { return find_in(cohort_settings_table, key); }

static const char *type_of(const cohort_parameter *key) {
  if (key->type != COHORT_PARAMETER_TREE) return cohort_word_of_type(key->type);
  if (key->by_name) return "map";
  return key->family || key->section ? "list" : "tree";
}

static const char *standard_of(const cohort_parameter *key) {
  if (!key->standard) return "(must be given)";
  return key->type == COHORT_PARAMETER_SECTION && strcmp(key->standard, "{}") == 0 ? "(its defaults)" : key->standard;
}

static void put_methods(cohort_text *out, const char *family) {
  const cohort_method *method;
  int count = 0;
  for (int i = 0; (method = cohort_registry_at(variant, i)); i++)
    if (strcmp(method->family, family) == 0) cohort_text_put(out, "%s%s", count++ ? ", " : "", method->key);
}

static void put_numbers(cohort_text *out, const cohort_parameter *key) {
  const bool low = isfinite(key->minimum), high = isfinite(key->maximum);
  const char *from = key->minimum_open ? "above " : "", *to = key->maximum_open ? "below " : "";
  if (low && high && (*from || *to))
    cohort_text_put(out, "%s%.16g, %s%.16g", *from ? from : "from ", key->minimum, *to ? to : "to ", key->maximum);
  else if (low && high)
    cohort_text_put(out, "%.16g to %.16g", key->minimum, key->maximum);
  else if (low)
    cohort_text_put(out, "%s%.16g", *from ? from : "at least ", key->minimum);
  else if (high)
    cohort_text_put(out, "%s%.16g", *to ? to : "at most ", key->maximum);
  else
    cohort_text_put(out, "any number");
}

/* What may be given: bounds, choices, names of methods. */
static void put_range(cohort_text *out, const cohort_parameter *key) {
  if (key->type == COHORT_PARAMETER_REAL || key->type == COHORT_PARAMETER_INTEGER) {
    put_numbers(out, key);
  } else if (key->type == COHORT_PARAMETER_CHOICE) {
    for (int i = 0; key->choices[i]; i++) cohort_text_put(out, "%s%s", i ? ", " : "", key->choices[i]);
  } else if (key->type == COHORT_PARAMETER_NUMBERS) {
    cohort_text_put(out, "a list of at most %d numbers", COHORT_MAX_NUMBERS);
  } else if (key->type == COHORT_PARAMETER_BOOLEAN) {
    cohort_text_put(out, "true, false");
  } else if (key->family) {
    put_methods(out, key->family);
  }
}

/* A key of a section that is absent unless given is taken where the section is. */
static void put_takers(cohort_text *out, const char *path, const cohort_parameter *key) {
  for (const cohort_scope *scope = key->scopes; scope && scope->who; scope++)
    cohort_text_put(out, "%s%s", scope == key->scopes ? "" : "; ", scope->who);
  if (key->scopes) return;
  const char *dot = strrchr(path, '.');
  char *section = dot ? cohort_format_text("%.*s", (int)(dot - path), path) : NULL;
  const cohort_parameter *parent = section ? cohort_keys_find(section) : NULL;
  char *family = cohort_format_text("%.*s", (int)strcspn(path, "."), path);
  const bool probed = !parent && section && cohort_registry_family(family);
  free(family);
  if (probed)
    cohort_text_put(out, "cohort probe, as KEY=VALUE");
  else if (!parent || (parent->family && !strchr(section, '.')))
    cohort_text_put(out, "every run");
  else if (!parent->family && parent->standard && strcmp(parent->standard, "null") == 0)
    cohort_text_put(out, "runs with %s", section);
  else
    put_takers(out, section, parent);
  free(section);
}

static void put_meaning(cohort_text *out, const cohort_parameter *key) {
  cohort_text_put(out, "%s", key->meaning ? key->meaning : "");
  if (key->unit) cohort_text_put(out, " (%s)", key->unit);
}

static void put_line(cohort_text *out, const char *path, const cohort_parameter *key) {
  cohort_text_put(out, "  %-27s %-8s %-15s ", path, type_of(key), standard_of(key));
  put_meaning(out, key);
  cohort_text_put(out, "\n");
}

static void put_row(cohort_text *out, const char *path, const cohort_parameter *key) {
  cohort_text_put(out, "| `%s` | %s | %s | ", path, type_of(key), standard_of(key));
  put_range(out, key);
  cohort_text_put(out, " | %s | ", key->unit ? key->unit : "");
  put_takers(out, path, key);
  cohort_text_put(out, " | %s | %s |\n", key->may_change ? "may change" : "stays", key->meaning);
}

static void put_heading(cohort_text *out, const char *path, const cohort_parameter *section, bool markdown) {
  if (!markdown) {
    cohort_text_put(out, section ? "\n%s: " : "%sKeys of a config", path);
    if (section) cohort_text_put(out, "%s", section->meaning);
    cohort_text_put(out, "\n");
    return;
  }
  cohort_text_put(out, "\n## %s\n\n", section ? path : "The whole run");
  if (section) {
    cohort_text_put(out, "A %s: %s. Taken by ", type_of(section), section->meaning);
    put_takers(out, path, section);
    cohort_text_put(out, ".\n\n");
  }
  cohort_text_put(out, "| key | type | default | values | unit | taken by | on resume | meaning |\n");
  cohort_text_put(out, "|---|---|---|---|---|---|---|---|\n");
}

/* A table's own keys, then its sections one after the other. */
static void list_section(cohort_text *out, const cohort_parameter *table, const char *path, bool markdown) {
  for (int sections = 0; sections < 2; sections++)
    for (const cohort_parameter *key = table; key->name; key++) {
      if ((key->section != NULL) != (sections == 1)) continue;
      char *own = cohort_format_text("%s%s%s", path, *path ? "." : "", key->name);
      if (sections) {
        put_heading(out, own, key, markdown);
        char *below = path_below(own, key);
        list_section(out, key->section, below, markdown);
        free(below);
      } else {
        (markdown ? put_row : put_line)(out, own, key);
      }
      free(own);
    }
}

static void put_tsv(void *argument, const char *path, const cohort_parameter *key) {
  cohort_text *out = argument;
  cohort_text_put(out, "%s\t%s\t%s\t", path, type_of(key), key->standard ? key->standard : "");
  put_range(out, key);
  cohort_text_put(out, "\t%s\t", key->unit ? key->unit : "");
  put_takers(out, path, key);
  cohort_text_put(out, "\t%s\t%s\n", key->may_change ? "true" : "false", key->meaning);
}

static void list_all(cohort_text *out, cohort_keys_format format) {
  switch (format) {
    case COHORT_KEYS_TEXT:
      put_heading(out, "", NULL, false);
      list_section(out, cohort_settings_table, "", false);
      cohort_text_put(
          out, "\ncohort keys KEY tells all about one; cohort methods lists the methods and their parameters.\n");
      break;
    case COHORT_KEYS_TSV:
      cohort_text_put(out, "key\ttype\tdefault\tvalues\tunit\ttaken_by\tmay_change\tmeaning\n");
      cohort_keys_walk(false, put_tsv, out);
      break;
    case COHORT_KEYS_MARKDOWN:
      cohort_text_put(out,
                      "# Keys of a config\n\nMade by `cohort keys`. On the command line a key is dotted, as it stands "
                      "here: `data.text=own.txt`. The parameters of methods are on the methods' pages.\n");
      put_heading(out, "", NULL, true);
      list_section(out, cohort_settings_table, "", true);
      break;
  }
}

/* All about one key. */
static void put_page(cohort_text *out, const char *path, const cohort_parameter *key) {
  cohort_text_put(out, "%s: %s\n\n", path, key->meaning ? key->meaning : "");
  cohort_text_put(out, "Type      %s\nDefault   %s\n", type_of(key), standard_of(key));
  cohort_text range = {.text = NULL};
  put_range(&range, key);
  if (range.text) cohort_text_put(out, "Values    %s\n", range.text);
  free(range.text);
  if (key->unit) cohort_text_put(out, "Unit      %s\n", key->unit);
  cohort_text_put(out, "Taken by  ");
  put_takers(out, path, key);
  cohort_text_put(out, "\nResume    %s\n",
                  key->may_change ? "may change when a run is resumed" : "stays as the run began");
  if (key->sweep_low < key->sweep_high)
    cohort_text_put(out, "Sweep     %g to %g%s\n", key->sweep_low, key->sweep_high,
                    key->sweep_log ? ", logarithmic" : "");
  if (key->family)
    cohort_text_put(out, "Write     %s={METHOD: {its parameters}}; cohort methods %s METHOD lists them\n", path,
                    key->family);
  if (key->section) cohort_text_put(out, "\n");
  char *below = path_below(path, key);
  if (key->section) list_section(out, key->section, below, false);
  free(below);
}

/* What is asked for by its last word. */
typedef struct search {
  const char *word;
  int found;
  char *path; /* of the last one found; owned */
  cohort_text list;
  const char **names; /* of all keys and last words, to suggest from; owned */
  size_t count, room;
} search;

static const char *last_word(const char *path) {
  const char *dot = strrchr(path, '.');
  return dot ? dot + 1 : path;
}

static void match_last_word(void *argument, const char *path, const cohort_parameter *key) {
  search *own = argument;
  if (strcmp(last_word(path), own->word) != 0) return;
  own->found++;
  free(own->path);
  own->path = cohort_copy_text(path);
  put_line(&own->list, path, key);
}

static void add_name(void *argument, const char *path, const cohort_parameter *key) {
  search *own = argument;
  (void)path;
  if (own->count == own->room)
    own->names = cohort_reallocate(own->names, (own->room = 2 * own->room + 64) * sizeof *own->names);
  own->names[own->count++] = key->name;
}

static cohort_status fail_unknown(const char *word, cohort_error *error) {
  search own = {.word = last_word(word)};
  char hint[256];
  char *section = cohort_format_text("%.*s", own.word > word ? (int)(own.word - word - 1) : 0, word);
  const bool foreign = cohort_foreign_hint(section, own.word, NULL, 0, hint, sizeof hint);
  free(section);
  if (foreign) return cohort_fail(error, COHORT_BAD_CONFIG, "command line: no key \"%s\"; see %s", word, hint);
  cohort_keys_walk(true, add_name, &own);
  const char *nearest = cohort_nearest_name(own.word, own.names, own.count);
  free(own.names);
  if (nearest)
    return cohort_fail(error, COHORT_BAD_CONFIG, "command line: no key \"%s\"; did you mean \"%s\"?", word, nearest);
  return cohort_fail(error, COHORT_BAD_CONFIG, "command line: no key \"%s\"; `cohort keys` lists them", word);
}

static cohort_status describe_word(const char *word, cohort_text *out, cohort_error *error) {
  search own = {.word = word};
  cohort_keys_walk(true, match_last_word, &own);
  if (own.found == 1)
    put_page(out, own.path, cohort_keys_find(own.path));
  else if (own.found > 1)
    cohort_text_put(out, "%s", own.list.text);
  free(own.path);
  free(own.list.text);
  return own.found ? COHORT_DONE : fail_unknown(word, error);
}

/* A family that no key of a config holds, one of its methods (FAMILY.METHOD) or of their parameters; false: none. */
static bool describe_family(const char *key, cohort_text *out) {
  char *family = cohort_format_text("%.*s", (int)strcspn(key, "."), key);
  const char *rest = after_word(key);
  char *name = cohort_format_text("%.*s", (int)strcspn(rest, "."), rest);
  const cohort_method *method = *name ? cohort_registry_find(variant, family, name) : NULL;
  const cohort_parameter *found =
      method && method->parameters && *after_word(rest) ? find_in(method->parameters, after_word(rest)) : NULL;
  cohort_error error;
  const bool whole = cohort_registry_family(family) && (!*name || (method && !*after_word(rest)));
  if (found) put_page(out, key, found);
  if (whole) (void)cohort_describe(family, *name ? name : NULL, COHORT_DESCRIBE_TEXT, &out->text, &error);
  free(family);
  free(name);
  return found || whole;
}

cohort_status cohort_keys_describe(const char *key, cohort_keys_format format, char **out, cohort_error *error) {
  cohort_text whole = {.text = NULL};
  const cohort_parameter *found = key ? cohort_keys_find(key) : NULL;
  cohort_status status = COHORT_DONE;
  if (!key)
    list_all(&whole, format);
  else if (found && found->family && cohort_registry_find(variant, found->family, last_word(key)))
    return cohort_describe(found->family, last_word(key), COHORT_DESCRIBE_TEXT, out, error);
  else if (found)
    put_page(&whole, key, found);
  else if (!describe_family(key, &whole))
    status = describe_word(key, &whole, error);
  *out = whole.text;
  return status;
}
