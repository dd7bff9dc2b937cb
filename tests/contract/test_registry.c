/* The catalogue: every descriptor complete, every key unique, choices read as they are written, descriptions well
 * formed. */
#include <jansson.h>

#include "check.h"
#include "contract/method_fixture.h"
#include "method/describe.h"
#include "method/registry.h"

static const cohort_variant plain = COHORT_VARIANT_F64;

static void expect(bool holds, const cohort_method *method, const char *what, const char *detail) {
  if (!holds) fprintf(stderr, "%s %s: %s %s\n", method->family, method->key, what, detail ? detail : "");
  CU_ASSERT(holds);
}

static bool filled(const char *text) { return text && *text && !strchr(text, '\n') && !strchr(text, '\t'); }

static void test_order_and_uniqueness(void) {
  for (int variant = 0; variant < COHORT_VARIANTS; variant++) {
    const cohort_method *last = NULL, *method;
    int count = 0;
    for (; (method = cohort_registry_at((cohort_variant)variant, count)); count++) {
      const cohort_method *same = cohort_registry_at(plain, count);
      CU_ASSERT_STRING_EQUAL(method->key, same->key);
      CU_ASSERT_PTR_NOT_NULL(cohort_registry_source(count));
      CU_ASSERT_PTR_EQUAL(cohort_registry_find((cohort_variant)variant, method->family, method->key), method);
      if (last) {
        const int families = strcmp(last->family, method->family);
        expect(families < 0 || (families == 0 && strcmp(last->key, method->key) < 0), method,
               "is out of order or twice", NULL);
      }
      last = method;
    }
    CU_ASSERT(count > 0);
    CU_ASSERT_PTR_NULL(cohort_registry_at((cohort_variant)variant, -1));
    CU_ASSERT_PTR_NULL(cohort_registry_at((cohort_variant)variant, count + 1));
  }
}

static void test_families(void) {
  CU_ASSERT_STRING_EQUAL(cohort_registry_family("multiobjective")->name, "aggregator");
  CU_ASSERT_STRING_EQUAL(cohort_registry_family("optimizer")->name, "optimizer");
  CU_ASSERT_PTR_NULL(cohort_registry_family("optimiser"));
  CU_ASSERT_PTR_NULL(cohort_registry_family(NULL));
  CU_ASSERT_PTR_NOT_NULL(cohort_registry_find(plain, "multiobjective", "pcgrad"));
  CU_ASSERT_PTR_NULL(cohort_registry_find(plain, "schedule", "adamw"));
}

/* Whatever says what a family is is there, and every bit that its methods set has a word. */
static void test_family_descriptors(void) {
  const cohort_family *family, *last = NULL;
  for (int f = 0; (family = cohort_registry_family_at(f)); f++) {
    const bool complete = filled(family->name) && filled(family->summary) && (!family->noun || filled(family->noun)) &&
                          family->inputs && (family->inputs->name || family->settings) && family->outputs &&
                          family->outputs->name;
    if (!complete) fprintf(stderr, "family %s has an incomplete descriptor\n", family->name);
    CU_ASSERT(complete);
    CU_ASSERT(!last || strcmp(last->name, family->name) < 0);
    last = family;
    unsigned words = 0;
    while (family->needs && family->needs[words]) words++;
    const cohort_method *method;
    for (int i = 0; (method = cohort_registry_at(plain, i)); i++)
      if (strcmp(method->family, family->name) == 0)
        expect(!(method->needs >> words), method, "needs what its family has no word for", NULL);
  }
  CU_ASSERT_PTR_NULL(cohort_registry_family_at(-1));
}

static void check_parameter(const cohort_method *method, const cohort_parameter *p) {
  expect(filled(p->name) && strspn(p->name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(p->name), method,
         "has an ill-formed parameter", p->name);
  expect(filled(p->meaning), method, "does not say the meaning of", p->name);
  expect(p->offset < method->config_size, method, "keeps outside of its config", p->name);
  if (p->type == COHORT_PARAMETER_REAL || p->type == COHORT_PARAMETER_INTEGER)
    expect(p->minimum < p->maximum, method, "has empty bounds of", p->name);
  if (p->type == COHORT_PARAMETER_CHOICE) expect(p->choices && p->choices[0], method, "has no choices of", p->name);
  if (p->type == COHORT_PARAMETER_METHOD)
    expect(p->family && cohort_registry_family(p->family), method, "names no family for", p->name);
  if (p->sweep_low != 0 || p->sweep_high != 0)
    expect(p->sweep_low < p->sweep_high && p->sweep_low >= p->minimum && p->sweep_high <= p->maximum &&
               (!p->sweep_log || p->sweep_low > 0),
           method, "has a wrong sweep of", p->name);
  for (const cohort_parameter *other = method->parameters; other < p; other++)
    expect(strcmp(other->name, p->name) != 0, method, "has twice", p->name);
  for (const cohort_probe_setting *s = cohort_registry_family(method->family)->settings; s && s->name; s++)
    expect(!cohort_array_applies(s->when, method) || strcmp(s->name, p->name) != 0, method,
           "has a parameter of the name of a setting of probe:", p->name);
}

static void check_states(const cohort_method *method) {
  int states = 0;
  for (const cohort_state *s = method->states; s && s->name; s++, states++) {
    expect(filled(s->name) && filled(s->meaning), method, "has an incomplete state", s->name);
    bool found = !s->initial_parameter;
    for (const cohort_parameter *p = method->parameters; p && p->name && !found; p++)
      found = p->type == COHORT_PARAMETER_REAL && strcmp(p->name, s->initial_parameter) == 0;
    expect(found, method, "fills a state by no parameter:", s->initial_parameter);
  }
  expect(states <= COHORT_MAX_STATES, method, "has too many states", NULL);
}

static void check_optimizer(const cohort_method *method) {
  const cohort_optimizer *functions = method->functions;
  const int kinds = (functions->update != NULL) + (functions->gradient != NULL) + (functions->drive != NULL);
  expect(kinds == 1, method, "must be one of update, transform and stepper", NULL);
  bool rate = false, base = false;
  for (const cohort_parameter *p = method->parameters; p && p->name; p++) {
    rate = rate || !strcmp(p->name, "learning_rate");
    base = base || !strcmp(p->name, "base");
  }
  expect(!functions->update || rate, method, "lacks the parameter learning_rate", NULL);
  expect(!functions->gradient || base, method, "lacks the parameter base", NULL);
  expect(!functions->drive || rate || base, method, "lacks learning_rate or base", NULL);
}

static void test_descriptors(void) {
  const cohort_method *method;
  for (int i = 0; (method = cohort_registry_at(plain, i)); i++) {
    expect(filled(method->family) && filled(method->key) && filled(method->summary) && filled(method->source) &&
               filled(method->formula),
           method, "has an incomplete descriptor", NULL);
    expect(strspn(method->key, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(method->key), method,
           "has an ill-formed key", NULL);
    expect(!method->title || filled(method->title), method, "has an empty title", NULL);
    expect(method->functions, method, "has no functions", NULL);
    expect(strncmp(cohort_registry_source(i), method->family, strlen(method->family)) == 0, method,
           "is in another family's folder:", cohort_registry_source(i));
    for (const cohort_parameter *p = method->parameters; p && p->name; p++) check_parameter(method, p);
    check_states(method);
    if (strcmp(method->family, "optimizer") == 0) check_optimizer(method);
    for (const cohort_identity *identity = method->identities; identity && identity->method; identity++) {
      cohort_choice a, b;
      cohort_document *first = fixture_choose(plain, method->family, method->key, identity->settings, &a);
      cohort_document *second = fixture_choose(plain, method->family, identity->method, identity->method_settings, &b);
      expect(a.method && b.method, method, "has an identity with wrong settings:", identity->settings);
      cohort_choice_release(&a);
      cohort_choice_release(&b);
      cohort_document_destroy(first);
      cohort_document_destroy(second);
    }
  }
}

/* Reads one parameter from text; true when it is accepted. */
static bool accepts(const cohort_method *method, const cohort_parameter *parameter, const char *text) {
  cohort_document *map = cohort_document_create(COHORT_MAP, "test", 1, 1);
  for (const cohort_parameter *p = method->parameters; p->name; p++) {
    if (p != parameter && p->standard) continue;
    cohort_document *value = cohort_document_create(COHORT_SCALAR, "test", 1, 1);
    cohort_document_set_text(value, p == parameter ? text : "1");
    cohort_document_set(map, p->name, value);
  }
  char *config = cohort_allocate(method->config_size);
  cohort_faults faults = {NULL, 0};
  cohort_parameters_read(method->parameters, map, "test", config, NULL, &faults);
  const bool accepted = faults.count == 0;
  cohort_faults_release(&faults);
  free(config);
  cohort_document_destroy(map);
  return accepted;
}

static void check_bound(const cohort_method *method, const cohort_parameter *p, double bound, bool open,
                        double outward) {
  char text[64];
  const bool whole = p->type == COHORT_PARAMETER_INTEGER;
  const double outside = whole ? bound + (outward < 0 ? -1 : 1) : nextafter(bound, outward);
  if (isfinite(bound)) {
    snprintf(text, sizeof text, whole ? "%.0f" : "%.17g", bound);
    expect(accepts(method, p, text) == !open, method, "treats its bound wrongly:", p->name);
    snprintf(text, sizeof text, whole ? "%.0f" : "%.17g", outside);
  } else {
    snprintf(text, sizeof text, "%s", outward < 0 ? "-inf" : "inf");
  }
  expect(!accepts(method, p, text), method, "takes a value outside of its bounds:", p->name);
}

static void test_bounds(void) {
  const cohort_method *method;
  for (int i = 0; (method = cohort_registry_at(plain, i)); i++) {
    for (const cohort_parameter *p = method->parameters; p && p->name; p++) {
      if (p->type == COHORT_PARAMETER_REAL || p->type == COHORT_PARAMETER_INTEGER) {
        check_bound(method, p, p->minimum, p->minimum_open, -INFINITY);
        check_bound(method, p, p->maximum, p->maximum_open, INFINITY);
        expect(!accepts(method, p, "nan") && !accepts(method, p, "1x"), method, "takes no number for", p->name);
      }
      if (p->type == COHORT_PARAMETER_CHOICE || p->type == COHORT_PARAMETER_BOOLEAN)
        expect(!accepts(method, p, "no_such_word"), method, "takes any word for", p->name);
      if (p->standard && strcmp(p->standard, "null") != 0)
        expect(accepts(method, p, p->standard), method, "refuses its default of", p->name);
    }
  }
}

/* Defaults make a valid choice, and the expanded document reads back to itself. */
static void test_defaults(void) {
  const cohort_method *method;
  for (int i = 0; (method = cohort_registry_at(plain, i)); i++) {
    bool required = false;
    for (const cohort_parameter *p = method->parameters; p && p->name; p++) required = required || !p->standard;
    if (required) continue;
    cohort_document *bare = cohort_document_create(COHORT_SCALAR, "test", 1, 1);
    cohort_document_set_text(bare, method->key);
    cohort_document *once = cohort_document_create(COHORT_MAP, "test", 1, 1);
    cohort_document *twice = cohort_document_create(COHORT_MAP, "test", 1, 1);
    cohort_choice choice, again;
    cohort_faults faults = {NULL, 0};
    cohort_choice_read(plain, method->family, bare, "test", &choice, once, &faults);
    cohort_choice_read(plain, method->family, once, "test", &again, twice, &faults);
    expect(faults.count == 0 && choice.method == method && again.method == method, method,
           "refuses its defaults:", faults.text);
    expect(cohort_document_equal(once, twice), method, "changes when its expansion is read", NULL);
    cohort_faults_release(&faults);
    cohort_choice_release(&choice);
    cohort_choice_release(&again);
    cohort_document_destroy(bare);
    cohort_document_destroy(once);
    cohort_document_destroy(twice);
  }
}

static void check_faults(const char *key, const char *settings, size_t count, const char *text) {
  cohort_document *document = cohort_document_create(COHORT_MAP, "test", 3, 5);
  cohort_document_set(document, key, fixture_settings(settings));
  cohort_choice choice;
  cohort_faults faults = {NULL, 0};
  cohort_choice_read(plain, "optimizer", document, "optimizer", &choice, NULL, &faults);
  CU_ASSERT_EQUAL(faults.count, count);
  CU_ASSERT(choice.method == NULL || count == 0);
  CU_ASSERT(count == 0 || (faults.text && strstr(faults.text, text)));
  if (count && faults.text && !strstr(faults.text, text)) fprintf(stderr, "%s\n", faults.text);
  cohort_choice_release(&choice);
  cohort_faults_release(&faults);
  cohort_document_destroy(document);
}

static void test_choices(void) {
  check_faults("adamw", "beta1=0.8", 0, NULL);
  check_faults("adamww", "", 1, "did you mean 'adamw'");
  check_faults("adamw", "beta1=1 beta3=0.5 epsilon=x", 3, "optimizer.adamw.beta1");
  check_faults("sgd", "nesterov=true", 1, "nesterov needs momentum");
  check_faults("sam", "base=adamw{beta1=2}", 1, "optimizer.sam.base.adamw.beta1");
  check_faults("sam", "base=adamx", 1, "did you mean 'adam");
  cohort_choice choice;
  cohort_document *document = fixture_choose(plain, "optimizer", "adamw", "learning_rate=0.25", &choice);
  CU_ASSERT_EQUAL(cohort_choice_real(&choice, "learning_rate", 7), 0.25);
  CU_ASSERT_EQUAL(cohort_choice_real(&choice, "momentum", 7), 7);
  cohort_choice_release(&choice);
  cohort_document_destroy(document);
}

/* The defaults of a nested method stand in the expanded document. */
static void test_nested_expansion(void) {
  cohort_document *document = cohort_document_create(COHORT_MAP, "test", 1, 1);
  cohort_document_set(document, "sam", fixture_settings("base=adamw{beta1=0.5}"));
  cohort_document *expanded = cohort_document_create(COHORT_MAP, "test", 1, 1);
  cohort_choice choice;
  cohort_faults faults = {NULL, 0};
  cohort_choice_read(plain, "optimizer", document, "optimizer", &choice, expanded, &faults);
  const cohort_document *adamw =
      cohort_document_get(cohort_document_get(cohort_document_get(expanded, "sam"), "base"), "adamw");
  CU_ASSERT_PTR_NOT_NULL_FATAL(cohort_document_get(adamw, "beta2"));
  CU_ASSERT_EQUAL(strtod(cohort_document_get(adamw, "beta1")->text, NULL), 0.5);
  CU_ASSERT_EQUAL(strtod(cohort_document_get(adamw, "beta2")->text, NULL), 0.999);
  cohort_choice_release(&choice);
  cohort_document_destroy(document);
  cohort_document_destroy(expanded);
}

static void check_json(const cohort_method *method) {
  char *text = NULL;
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(cohort_describe(method->family, method->key, COHORT_DESCRIBE_JSON, &text, &error), COHORT_DONE);
  json_error_t fault;
  json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &fault);
  expect(root, method, "has ill-formed JSON:", fault.text);
  size_t count = 0;
  while (method->parameters && method->parameters[count].name) count++;
  expect(json_array_size(json_object_get(root, "parameters")) == count, method, "does not list its parameters", NULL);
  const json_t *probe = json_object_get(root, "probe");
  expect(json_array_size(json_object_get(probe, "inputs")) + json_array_size(json_object_get(probe, "settings")) > 0,
         method, "has neither inputs nor settings of probe", NULL);
  expect(json_array_size(json_object_get(probe, "outputs")) > 0, method, "has no outputs of probe", NULL);
  size_t i, axis;
  json_t *input, *symbol;
  json_array_foreach(json_object_get(probe, "inputs"), i, input) {
    json_array_foreach(json_object_get(input, "shape"), axis, symbol) {
      bool known = json_is_number(symbol);
      size_t s;
      json_t *listed;
      json_array_foreach(json_object_get(probe, "symbols"), s, listed) known =
          known || json_equal(json_object_get(listed, "name"), symbol);
      expect(known, method, "does not explain the axis", json_string_value(symbol));
    }
  }
  json_decref(root);
  free(text);
}

static void test_descriptions(void) {
  const cohort_method *method;
  int methods = 0;
  for (; (method = cohort_registry_at(plain, methods)); methods++) check_json(method);
  char *text = NULL;
  cohort_error error;
  CU_ASSERT_EQUAL(cohort_describe(NULL, NULL, COHORT_DESCRIBE_JSON, &text, &error), COHORT_DONE);
  json_t *all = json_loads(text, 0, NULL);
  CU_ASSERT_EQUAL(json_array_size(all), (size_t)methods);
  json_decref(all);
  free(text);
  CU_ASSERT_EQUAL(cohort_describe(NULL, NULL, COHORT_DESCRIBE_TSV, &text, &error), COHORT_DONE);
  int lines = 0, tabs = 0;
  for (const char *c = text; *c; c++) {
    lines += *c == '\n';
    tabs += *c == '\t';
  }
  CU_ASSERT_EQUAL(lines, methods + 1);
  CU_ASSERT_EQUAL(tabs, 5 * lines);
  free(text);
  CU_ASSERT_EQUAL(cohort_describe("multiobjective", "pcgrad", COHORT_DESCRIBE_TEXT, &text, &error), COHORT_DONE);
  CU_ASSERT_PTR_NOT_NULL(strstr(text, "multiobjective"));
  free(text);
  CU_ASSERT_EQUAL(cohort_describe("optimizer", "adamww", COHORT_DESCRIBE_TEXT, &text, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "adamw"));
  CU_ASSERT_EQUAL(cohort_describe("optimiser", NULL, COHORT_DESCRIBE_TEXT, &text, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "optimizer"));
}

int main(void) {
  static const check checks[] = {
      {"order and uniqueness", test_order_and_uniqueness},
      {"families", test_families},
      {"families are described", test_family_descriptors},
      {"descriptors are complete", test_descriptors},
      {"bounds", test_bounds},
      {"defaults", test_defaults},
      {"choices", test_choices},
      {"nested choices", test_nested_expansion},
      {"descriptions", test_descriptions},
  };
  return check_run("contract_registry", checks, sizeof checks / sizeof *checks);
}
