/* The catalogue as text and as a table, made from descriptors. A word that is not known gets the nearest one. A pass
 * over all methods. */
#include "method/describe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "method/describe_words.h"
#include "method/registry.h"
#include "method/writer.h"

static const cohort_variant variant = COHORT_VARIANT_F64; /* descriptions are the same in all */

const char *cohort_catalogue_family(const cohort_family *family) {
  return family->catalogue ? family->catalogue : family->name;
}

/* Whether a method is of a family that is called so; of any when `family` is NULL. */
static bool belongs(const cohort_method *method, const char *family) {
  return !family || cohort_family_answers(cohort_registry_family(method->family), family);
}

static void text_list(cohort_writer *out, const char *family) {
  const cohort_method *method;
  const char *last = "";
  for (int i = 0; (method = cohort_registry_at(variant, i)); i++) {
    if (!belongs(method, family)) continue;
    if (strcmp(last, method->family) != 0) {
      const cohort_family *own = cohort_registry_family(method->family);
      cohort_writer_put(out, "%s%s", *last ? "\n" : "", own->name);
      if (own->catalogue) cohort_writer_put(out, " (catalogue: %s)", own->catalogue);
      cohort_writer_put(out, ": %s\n", own->summary);
      last = method->family;
    }
    cohort_writer_put(out, "  %-14s %s\n", method->key, method->summary);
  }
}

static void text_bounds(cohort_writer *out, const cohort_parameter *p) {
  if (p->type == COHORT_PARAMETER_CHOICE) {
    for (int i = 0; p->choices[i]; i++) cohort_writer_put(out, "%s%s", i ? " | " : "", p->choices[i]);
  } else if (p->type == COHORT_PARAMETER_METHOD) {
    cohort_writer_put(out, "a method of family %s", p->family);
  } else if (p->type == COHORT_PARAMETER_NUMBERS) {
    cohort_writer_put(out, "a list of at most %d numbers", COHORT_MAX_NUMBERS);
  } else if (p->type == COHORT_PARAMETER_REAL || p->type == COHORT_PARAMETER_INTEGER) {
    cohort_writer_put(out, "%c%g, %g%c", p->minimum_open || isinf(p->minimum) ? '(' : '[', p->minimum, p->maximum,
                      p->maximum_open || isinf(p->maximum) ? ')' : ']');
  }
}

/* The rows of a table; those of a section stand after it, as "section.name". */
static void text_rows(cohort_writer *out, const char *section, const cohort_parameter *table) {
  for (const cohort_parameter *p = table; p->name; p++) {
    char *name = cohort_format_text("%s%s", section, p->name);
    cohort_writer_put(out, "  %-20s %-8s default %-8s ", name, cohort_word_of_type(p->type),
                      p->standard ? p->standard : "(none)");
    free(name);
    text_bounds(out, p);
    cohort_writer_put(out, "\n      %s", p->meaning ? p->meaning : "");
    if (p->unit) cohort_writer_put(out, " (%s)", p->unit);
    if (p->sweep_low < p->sweep_high)
      cohort_writer_put(out, "; sweep %g to %g%s", p->sweep_low, p->sweep_high, p->sweep_log ? ", logarithmic" : "");
    cohort_writer_put(out, "\n");
    if (p->type != COHORT_PARAMETER_SECTION) continue;
    char *below = cohort_format_text("%s%s.", section, p->name);
    text_rows(out, below, p->section);
    free(below);
  }
}

static void text_parameters(cohort_writer *out, const cohort_method *method) {
  if (!method->parameters || !method->parameters->name) return;
  cohort_writer_put(out, "\nParameters\n");
  text_rows(out, "", method->parameters);
}

static void text_arrays(cohort_writer *out, const char *heading, const cohort_probe_array *arrays,
                        const cohort_method *method) {
  cohort_writer_put(out, "  %s\n", heading);
  for (const cohort_probe_array *array = arrays; array->name; array++) {
    if (!cohort_array_applies(array->when, method)) continue;
    cohort_writer_put(out, "    /%s %s [", array->name, array->kind == COHORT_ARRAY_OF_REAL ? "real" : "integer");
    for (int axis = 0; array->shape[axis]; axis++) cohort_writer_put(out, "%s%s", axis ? ", " : "", array->shape[axis]);
    cohort_writer_put(out, "]");
    if (array->either) cohort_writer_put(out, " (%s)", array->either);
    if (array->optional) cohort_writer_put(out, " optional");
    if (array->constraint) cohort_writer_put(out, ", %s", array->constraint);
    cohort_writer_put(out, ": %s\n", array->meaning);
  }
}

static void text_probe(cohort_writer *out, const cohort_method *method) {
  const cohort_family *family = cohort_registry_family(method->family);
  if (!family->inputs) return;
  cohort_writer_put(out, "\nProbe: cohort probe %s %s -i in.h5 -o out.h5 [key=value ...]\n", method->family,
                    method->key);
  cohort_probe_array *inputs = cohort_family_inputs(family, method);
  text_arrays(out, "in", inputs, method);
  free(inputs);
  text_arrays(out, "out", family->outputs, method);
  for (const cohort_probe_setting *s = family->settings; s && s->name; s++)
    if (cohort_array_applies(s->when, method))
      cohort_writer_put(out, "    %s=%s: %s\n", s->name, s->standard ? s->standard : "(must be given)", s->meaning);
}

static void text_method(cohort_writer *out, const cohort_method *method) {
  cohort_writer_put(out, "%s %s: %s\n\n", method->family, method->key, method->summary);
  if (method->title) cohort_writer_put(out, "Paper    %s\n", method->title);
  cohort_writer_put(out, "Source   %s\nRule     %s\n", method->source, method->formula);
  const cohort_family *family = cohort_registry_family(method->family);
  if (family->catalogue) cohort_writer_put(out, "Row      %s %s\n", family->catalogue, method->key);
  text_parameters(out, method);
  cohort_described_state state;
  for (int i = 0; cohort_describe_state(method, i, &state); i++)
    cohort_writer_put(out, "%s  %s%s%-20s per %s: %s\n", i ? "" : "\nState\n", state.prefix ? state.prefix : "",
                      state.prefix ? "." : "", state.name, cohort_word_of_owner(state.owner), state.meaning);
  if (method->identities && method->identities->method) {
    cohort_writer_put(out, "\nIdentities\n");
    for (const cohort_identity *i = method->identities; i->method; i++)
      cohort_writer_put(out, "  %s  ==  %s %s\n", i->settings, i->method, i->method_settings);
  }
  text_probe(out, method);
}

static void tsv_list(cohort_writer *out, const char *family, const char *key) {
  cohort_writer_put(out, "family\tkey\tsummary\ttitle\tsource\tfile\n");
  const cohort_method *method;
  for (int i = 0; (method = cohort_registry_at(variant, i)); i++) {
    if (!belongs(method, family)) continue;
    if (key && strcmp(method->key, key) != 0) continue;
    cohort_writer_put(out, "%s\t%s\t%s\t%s\t%s\t%s\n", method->family, method->key, method->summary,
                      method->title ? method->title : "", method->source, cohort_registry_source(i));
  }
}

/* Of the methods of a family, or of all families. */
static const char *nearest(const char *word, const char *family) {
  const char **names = NULL;
  size_t count = 0;
  const cohort_method *method;
  for (int i = 0; (method = cohort_registry_at(variant, i)); i++) {
    if (!belongs(method, family)) continue;
    names = cohort_reallocate(names, (count + 1) * sizeof *names);
    names[count++] = family ? method->key : method->family;
  }
  const char *found = count ? cohort_nearest_name(word, names, count) : NULL;
  free(names);
  return found;
}

static cohort_status fail_unknown(const char *kind, const char *word, const char *near, const char *list,
                                  cohort_error *error) {
  if (near)
    return cohort_fail(error, COHORT_BAD_CONFIG, "command line: no %s named '%s'; did you mean '%s'?", kind, word,
                       near);
  return cohort_fail(error, COHORT_BAD_CONFIG, "command line: no %s named '%s'; `cohort methods%s%s` lists them", kind,
                     word, *list ? " " : "", list);
}

cohort_status cohort_describe(const char *family, const char *key, cohort_describe_format format, char **out,
                              cohort_error *error) {
  if (family && !cohort_registry_family(family))
    return fail_unknown("family", family, nearest(family, NULL), "", error);
  const cohort_method *method = key ? cohort_registry_find(variant, family, key) : NULL;
  if (key && !method)
    return fail_unknown(family ? cohort_registry_noun(family) : "method", key, family ? nearest(key, family) : NULL,
                        family ? family : "", error);
  cohort_writer writer = {.out = {NULL, 0, 0}};
  if (format == COHORT_DESCRIBE_TSV) {
    tsv_list(&writer, family, key);
  } else if (format == COHORT_DESCRIBE_TEXT) {
    if (method)
      text_method(&writer, method);
    else
      text_list(&writer, family);
  } else if (method) {
    cohort_describe_json(&writer, method);
  } else {
    cohort_writer_open(&writer, NULL, '[');
    for (int i = 0; (method = cohort_registry_at(variant, i)); i++)
      if (belongs(method, family)) cohort_describe_json(&writer, method);
    cohort_writer_close(&writer, ']');
  }
  *out = writer.out.text;
  return COHORT_DONE;
}
