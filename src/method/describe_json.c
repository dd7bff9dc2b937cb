/* The catalogue as JSON, for programs: everything that a descriptor says, in JSON's own types. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "method/describe.h"
#include "method/describe_words.h"
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
    case COHORT_OWNER_CLIENT:
      return "client";
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
  if (p->type == COHORT_PARAMETER_SECTION) {
    cohort_writer_open(out, "parameters", '[');
    for (const cohort_parameter *own = p->section; own->name; own++) json_parameter(out, own);
    cohort_writer_close(out, ']');
  }
  cohort_writer_close(out, '}');
}

bool cohort_describe_state(const cohort_method *method, int index, cohort_described_state *state) {
  const cohort_family *family = cohort_registry_family(method->family);
  if (family->state) return family->state(method, index, state);
  for (const cohort_state *s = method->states; s && s->name; s++, index--) {
    if (index > 0) continue;
    *state = (cohort_described_state){NULL,      s->name, s->owner, s->size != NULL, s->scratch, s->initial_parameter,
                                      s->meaning};
    return true;
  }
  return false;
}

static void json_states(cohort_writer *out, const cohort_method *method) {
  cohort_writer_open(out, "states", '[');
  cohort_described_state state;
  for (int i = 0; cohort_describe_state(method, i, &state); i++) {
    char name[128];
    (void)snprintf(name, sizeof name, "%s%s%s", state.prefix ? state.prefix : "", state.prefix ? "." : "", state.name);
    cohort_writer_open(out, NULL, '{');
    cohort_writer_text(out, "name", name);
    cohort_writer_text(out, "axis", cohort_word_of_owner(state.owner));
    cohort_writer_boolean(out, "sized", state.sized);
    cohort_writer_boolean(out, "scratch", state.scratch);
    cohort_writer_text(out, "initial_parameter", state.initial_parameter);
    cohort_writer_text(out, "meaning", state.meaning);
    cohort_writer_close(out, '}');
  }
  cohort_writer_close(out, ']');
}

static void json_needs(cohort_writer *out, const cohort_method *method) {
  const char *const *names = cohort_registry_family(method->family)->needs;
  cohort_writer_open(out, "needs", '[');
  for (unsigned bit = 0; names && names[bit]; bit++)
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

static void json_array(cohort_writer *out, const cohort_probe_array *array, const char *name) {
  cohort_writer_open(out, NULL, '{');
  cohort_writer_text(out, "name", name);
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

/* A name with <t> stands once for every tensor, where the method fixes them. */
static void json_arrays(cohort_writer *out, const char *name, const cohort_probe_array *arrays,
                        const cohort_family *family, const cohort_method *method) {
  const bool fixed = family->tensor && family->tensor(method, 0);
  cohort_writer_open(out, name, '[');
  for (const cohort_probe_array *array = arrays; array->name; array++) {
    if (!cohort_array_applies(array->when, method)) continue;
    const char *hole = fixed ? strstr(array->name, "<t>") : NULL;
    if (!hole) json_array(out, array, array->name);
    for (int t = 0; hole && family->tensor(method, t); t++) {
      char *own = cohort_format_text("%.*s%s", (int)(hole - array->name), array->name, family->tensor(method, t));
      json_array(out, array, own);
      free(own);
    }
  }
  cohort_writer_close(out, ']');
}

static void json_settings(cohort_writer *out, const cohort_family *family, const cohort_method *method) {
  cohort_writer_open(out, "settings", '[');
  for (const cohort_probe_setting *s = family->settings; s && s->name; s++) {
    if (!cohort_array_applies(s->when, method)) continue;
    cohort_writer_open(out, NULL, '{');
    cohort_writer_text(out, "name", s->name);
    const cohort_parameter_type type = s->real ? COHORT_PARAMETER_REAL : COHORT_PARAMETER_INTEGER;
    cohort_writer_text(out, "type", cohort_word_of_type(type));
    cohort_writer_boolean(out, "required", !s->standard);
    json_value(out, "default", type, s->standard);
    json_value(out, "minimum", type, s->minimum);
    cohort_writer_text(out, "meaning", s->meaning);
    cohort_writer_close(out, '}');
  }
  cohort_writer_close(out, ']');
}

/* A symbol's smallest value and one that suits a first try; `axes` for the symbol that stands for all axes of a tensor.
 */
static void json_symbols(cohort_writer *out, const cohort_family *family, const cohort_method *method) {
  cohort_writer_open(out, "symbols", '[');
  for (const cohort_probe_symbol *s = family->symbols; s && s->name; s++) {
    if (!cohort_array_applies(s->when, method)) continue;
    cohort_writer_open(out, NULL, '{');
    cohort_writer_text(out, "name", s->name);
    cohort_writer_real(out, "minimum", s->minimum);
    if (s->fixed) cohort_writer_real(out, "maximum", s->minimum);
    cohort_writer_real(out, "example", s->example);
    if (strcmp(s->name, "shape") == 0) {
      cohort_writer_open(out, "axes", '{');
      cohort_writer_real(out, "minimum", family->least_axes ? family->least_axes(method) : 1);
      cohort_writer_real(out, "maximum", 6);
      cohort_writer_close(out, '}');
    }
    cohort_writer_text(out, "meaning", s->meaning);
    cohort_writer_close(out, '}');
  }
  cohort_writer_close(out, ']');
}

static void json_probe(cohort_writer *out, const cohort_method *method) {
  const cohort_family *family = cohort_registry_family(method->family);
  if (!family->inputs) {
    cohort_writer_null(out, "probe");
    return;
  }
  cohort_writer_open(out, "probe", '{');
  cohort_probe_array *inputs = cohort_family_inputs(family, method);
  json_arrays(out, "inputs", inputs, family, method);
  free(inputs);
  json_arrays(out, "outputs", family->outputs, family, method);
  json_settings(out, family, method);
  json_symbols(out, family, method);
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
  cohort_writer_text(out, "family", cohort_catalogue_family(cohort_registry_family(method->family)));
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
