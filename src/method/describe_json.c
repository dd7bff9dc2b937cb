/* The catalogue as JSON, for programs: everything that a descriptor says, in JSON's own types. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "method/arrays.h"
#include "method/describe.h"
#include "method/describe_words.h"
#include "method/optimizer/optimizer.h"
#include "method/registry.h"

const char *cohort_word_of_type(cohort_parameter_type type) {
  switch (type) {
    case COHORT_PARAMETER_REAL:
      return "real";
    case COHORT_PARAMETER_INTEGER:
      return "integer";
    case COHORT_PARAMETER_BOOLEAN:
      return "boolean";
    case COHORT_PARAMETER_TEXT:
      return "text";
    case COHORT_PARAMETER_CHOICE:
      return "choice";
    case COHORT_PARAMETER_METHOD:
      return "method";
    case COHORT_PARAMETER_TREE:
      return "tree";
    case COHORT_PARAMETER_NUMBERS:
      return "numbers";
    case COHORT_PARAMETER_SECTION:
      return "section";
  }
  return "";
}

const char *cohort_word_of_owner(cohort_owner owner) {
  switch (owner) {
    case COHORT_OWNER_ELEMENT:
      return "element";
    case COHORT_OWNER_ROW:
      return "row";
    case COHORT_OWNER_COLUMN:
      return "column";
    case COHORT_OWNER_TENSOR:
      return "tensor";
    case COHORT_OWNER_SPACE:
      return "space";
  }
  return "";
}

const char *cohort_word_of_cut(cohort_cut cut) {
  switch (cut) {
    case COHORT_CUT_ELEMENT:
      return "element";
    case COHORT_CUT_ROW:
      return "row";
    case COHORT_CUT_TENSOR:
      return "tensor";
  }
  return "";
}

/* A value that a config writes as `text`, in JSON's own type. */
static void json_value(cohort_writer *out, const char *name, cohort_parameter_type type, const char *text) {
  if (!text || strcmp(text, "null") == 0)
    cohort_writer_null(out, name);
  else if (type == COHORT_PARAMETER_REAL || type == COHORT_PARAMETER_INTEGER)
    cohort_writer_real(out, name, strtod(text, NULL));
  else if (type == COHORT_PARAMETER_BOOLEAN)
    cohort_writer_boolean(out, name, strcmp(text, "true") == 0);
  else
    cohort_writer_text(out, name, text);
}

static void json_parameter(cohort_writer *out, const cohort_parameter *p) {
  const bool number = p->type == COHORT_PARAMETER_REAL || p->type == COHORT_PARAMETER_INTEGER;
  cohort_writer_open(out, NULL, '{');
  cohort_writer_text(out, "name", p->name);
  cohort_writer_text(out, "type", cohort_word_of_type(p->type));
  cohort_writer_boolean(out, "required", !p->standard);
  json_value(out, "default", p->type, p->standard);
  cohort_writer_real(out, "minimum", number ? p->minimum : INFINITY);
  cohort_writer_boolean(out, "minimum_open", number && p->minimum_open);
  cohort_writer_real(out, "maximum", number ? p->maximum : INFINITY);
  cohort_writer_boolean(out, "maximum_open", number && p->maximum_open);
  if (p->choices) {
    cohort_writer_open(out, "choices", '[');
    for (int i = 0; p->choices[i]; i++) cohort_writer_text(out, NULL, p->choices[i]);
    cohort_writer_close(out, ']');
  } else {
    cohort_writer_null(out, "choices");
  }
  cohort_writer_text(out, "family", p->family);
  cohort_writer_text(out, "meaning", p->meaning);
  cohort_writer_text(out, "unit", p->unit);
  if (p->sweep_low < p->sweep_high) {
    cohort_writer_open(out, "sweep", '{');
    cohort_writer_real(out, "low", p->sweep_low);
    cohort_writer_real(out, "high", p->sweep_high);
    cohort_writer_boolean(out, "log", p->sweep_log);
    cohort_writer_close(out, '}');
  } else {
    cohort_writer_null(out, "sweep");
  }
  cohort_writer_boolean(out, "fixed_on_resume", !p->may_change);
  cohort_writer_close(out, '}');
}

static void json_state(cohort_writer *out, const char *driver, const char *name, const char *axis, bool sized,
                       bool scratch, const char *initial_parameter, const char *meaning) {
  char longer[128];
  (void)snprintf(longer, sizeof longer, "%s%s%s", driver ? driver : "", driver ? "." : "", name);
  cohort_writer_open(out, NULL, '{');
  cohort_writer_text(out, "name", longer);
  cohort_writer_text(out, "axis", axis);
  cohort_writer_boolean(out, "sized", sized);
  cohort_writer_boolean(out, "scratch", scratch);
  cohort_writer_text(out, "initial_parameter", initial_parameter);
  cohort_writer_text(out, "meaning", meaning);
  cohort_writer_close(out, '}');
}

/* By the names that they have in checkpoints and probes: a driver's go with its key. */
static void json_states(cohort_writer *out, const cohort_method *method) {
  const cohort_optimizer *optimizer = strcmp(method->family, "optimizer") == 0 ? method->functions : NULL;
  const char *driver = optimizer && cohort_optimizer_drives(optimizer) ? method->key : NULL;
  cohort_writer_open(out, "states", '[');
  for (const cohort_state *s = method->states; s && s->name; s++)
    json_state(out, driver, s->name, cohort_word_of_owner(s->owner), s->size != NULL, s->scratch, s->initial_parameter,
               s->meaning);
  for (const cohort_driver_vector *v = driver ? optimizer->vectors : NULL; v && v->name; v++)
    json_state(out, driver, v->name, "element", v->count != NULL, !v->kept, NULL, v->meaning);
  cohort_writer_close(out, ']');
}

static void json_needs(cohort_writer *out, const cohort_method *method) {
  static const char *const names[] = {"gradient", "curvature", "reference", "objectives", "matrices"};
  cohort_writer_open(out, "needs", '[');
  for (unsigned bit = 0; bit < sizeof names / sizeof *names; bit++)
    if (method->needs >> bit & 1) cohort_writer_text(out, NULL, names[bit]);
  cohort_writer_close(out, ']');
}

static void json_identities(cohort_writer *out, const cohort_method *method) {
  cohort_writer_open(out, "identities", '[');
  for (const cohort_identity *i = method->identities; i && i->method; i++) {
    cohort_writer_open(out, NULL, '{');
    cohort_writer_text(out, "settings", i->settings);
    cohort_writer_text(out, "method", i->method);
    cohort_writer_text(out, "method_settings", i->method_settings);
    cohort_writer_close(out, '}');
  }
  cohort_writer_close(out, ']');
}

static void json_array(cohort_writer *out, const cohort_probe_array *array) {
  cohort_writer_open(out, NULL, '{');
  cohort_writer_text(out, "name", array->name);
  cohort_writer_text(out, "type", array->kind == COHORT_ARRAY_OF_REAL ? "real" : "integer");
  cohort_writer_open(out, "shape", '[');
  for (int axis = 0; array->shape[axis]; axis++) {
    const char first = array->shape[axis][0];
    if (first >= '0' && first <= '9')
      cohort_writer_real(out, NULL, strtod(array->shape[axis], NULL));
    else
      cohort_writer_text(out, NULL, array->shape[axis]);
  }
  cohort_writer_close(out, ']');
  cohort_writer_boolean(out, "optional", array->optional);
  cohort_writer_text(out, "either", array->either);
  cohort_writer_text(out, "constraint", array->constraint);
  cohort_writer_text(out, "meaning", array->meaning);
  cohort_writer_close(out, '}');
}

static void json_arrays(cohort_writer *out, const char *name, const cohort_probe_array *arrays,
                        const cohort_method *method) {
  cohort_writer_open(out, name, '[');
  for (const cohort_probe_array *array = arrays; array->name; array++)
    if (cohort_array_applies(array->when, method)) json_array(out, array);
  cohort_writer_close(out, ']');
}

static void json_settings(cohort_writer *out, const cohort_family_table *table, const cohort_method *method) {
  cohort_writer_open(out, "settings", '[');
  for (const cohort_probe_setting *s = table->settings; s->name; s++) {
    if (!cohort_array_applies(s->when, method)) continue;
    cohort_writer_open(out, NULL, '{');
    cohort_writer_text(out, "name", s->name);
    cohort_writer_text(out, "type", cohort_word_of_type(s->type));
    cohort_writer_boolean(out, "required", !s->standard);
    json_value(out, "default", s->type, s->standard);
    json_value(out, "minimum", s->type, s->minimum);
    cohort_writer_text(out, "meaning", s->meaning);
    cohort_writer_close(out, '}');
  }
  cohort_writer_close(out, ']');
}

/* A symbol's smallest value and one that suits a first try; `axes` for the symbol that stands for all axes of a tensor.
 */
static void json_symbols(cohort_writer *out, const cohort_family_table *table, const cohort_method *method) {
  cohort_writer_open(out, "symbols", '[');
  for (const cohort_probe_symbol *s = table->symbols; s->name; s++) {
    if (!cohort_array_applies(s->when, method)) continue;
    cohort_writer_open(out, NULL, '{');
    cohort_writer_text(out, "name", s->name);
    cohort_writer_real(out, "minimum", s->minimum);
    cohort_writer_real(out, "example", s->example);
    if (strcmp(s->name, "shape") == 0) {
      cohort_writer_open(out, "axes", '{');
      cohort_writer_real(out, "minimum", method->needs & COHORT_NEEDS_MATRICES ? 2 : 1);
      cohort_writer_real(out, "maximum", 6);
      cohort_writer_close(out, '}');
    }
    cohort_writer_text(out, "meaning", s->meaning);
    cohort_writer_close(out, '}');
  }
  cohort_writer_close(out, ']');
}

static void json_probe(cohort_writer *out, const cohort_method *method) {
  const cohort_family_table *table = cohort_family_arrays(method->family);
  if (!table) {
    cohort_writer_null(out, "probe");
    return;
  }
  cohort_writer_open(out, "probe", '{');
  json_arrays(out, "inputs", table->inputs, method);
  json_arrays(out, "outputs", table->outputs, method);
  json_settings(out, table, method);
  json_symbols(out, table, method);
  cohort_writer_text(
      out, "notes",
      "real: float32 or float64, the same for all, decides the arithmetic; integer: int32 or int64. Of the "
      "inputs that have a value in `either`, give those of one value. A name with <t> is repeated for "
      "every tensor. An array that is not listed is an error.");
  cohort_writer_close(out, '}');
}

void cohort_describe_json(cohort_writer *out, const cohort_method *method) {
  cohort_writer_open(out, NULL, '{');
  cohort_writer_text(out, "family", method->family);
  cohort_writer_text(out, "key", method->key);
  cohort_writer_text(out, "summary", method->summary);
  cohort_writer_text(out, "title", method->title);
  cohort_writer_text(out, "source", method->source);
  cohort_writer_text(out, "formula", method->formula);
  cohort_writer_open(out, "catalogue", '{');
  cohort_writer_text(out, "family", cohort_catalogue_family(method->family));
  cohort_writer_text(out, "key", method->key);
  cohort_writer_text(out, "title", method->title);
  cohort_writer_close(out, '}');
  cohort_writer_open(out, "parameters", '[');
  for (const cohort_parameter *p = method->parameters; p && p->name; p++) json_parameter(out, p);
  cohort_writer_close(out, ']');
  json_states(out, method);
  json_needs(out, method);
  cohort_writer_text(out, "cut", cohort_word_of_cut(method->cut));
  json_identities(out, method);
  json_probe(out, method);
  cohort_writer_close(out, '}');
}
