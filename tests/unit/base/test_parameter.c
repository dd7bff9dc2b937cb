#include <stdlib.h>
#include <string.h>

#include "base/parameter.h"
#include "check.h"

typedef struct settings {
  double rate, decay;
  int64_t steps;
  bool nesterov;
  const char *name, *title;
  int mode;
  const cohort_document *schedule, *optimizer, *tree;
  cohort_numbers weights;
} settings;

static const char *const modes[] = {"fast", "exact", NULL};

static const cohort_parameter table[] = {
    COHORT_REAL_ABOVE(settings, rate, "1e-3", 0, "step length"),
    COHORT_REAL_UNIT(settings, decay, "0.1", "decay"),
    COHORT_INTEGER_RANGE(settings, steps, NULL, 1, 1e15, "how many steps"),
    COHORT_BOOLEAN(settings, nesterov, "false", "look ahead"),
    COHORT_TEXT(settings, name, "null", "of the run"),
    COHORT_TEXT(settings, title, "plain", "of the plot"),
    COHORT_CHOICE(settings, mode, "exact", modes, "how"),
    COHORT_METHOD_OF(settings, schedule, "constant", "schedule", "of the rate"),
    COHORT_METHOD_OF(settings, optimizer, "null", "optimizer", "of the weights"),
    COHORT_TREE(settings, tree, "anything"),
    COHORT_NUMBERS(settings, weights, "of the parts"),
    {0},
};

static cohort_document *scalar(const char *text) {
  cohort_document *document = cohort_document_create(COHORT_SCALAR, "a.yaml", 3, 5);
  cohort_document_set_text(document, text);
  return document;
}

static cohort_document *quoted(const char *text) {
  cohort_document *document = scalar(text);
  document->quoted = true;
  return document;
}

static cohort_document *map(void) { return cohort_document_create(COHORT_MAP, "a.yaml", 1, 1); }

static cohort_document *with_steps(const char *steps) {
  cohort_document *document = map();
  cohort_document_set(document, "steps", scalar(steps));
  return document;
}

/* Number of faults when `key` is `value` and all else is right; `said` must stand in the text. */
static size_t faults_of(const char *key, cohort_document *value, const char *said) {
  cohort_document *document = with_steps("10");
  cohort_document_set(document, key, value);
  settings out = {0};
  cohort_faults faults = {0};
  cohort_parameters_read(table, document, "task", &out, NULL, &faults);
  const size_t count = faults.count;
  if (said) {
    CU_ASSERT(faults.text && strstr(faults.text, said));
    CU_ASSERT(faults.text && strstr(faults.text, "a.yaml:3:5: task.") == faults.text);
    if (!faults.text || !strstr(faults.text, said)) fprintf(stderr, "%s\n", faults.text ? faults.text : "no fault");
  }
  cohort_faults_release(&faults);
  cohort_document_destroy(document);
  return count;
}

static void test_defaults(void) {
  cohort_document *document = with_steps("1e6"), *expanded = map();
  cohort_document_set(document, "rate", scalar("~"));
  settings out = {0};
  cohort_faults faults = {0};
  cohort_parameters_read(table, document, "task", &out, expanded, &faults);
  CU_ASSERT_EQUAL(faults.count, 0);
  CU_ASSERT_EQUAL(cohort_faults_status(&faults, NULL), COHORT_DONE);
  CU_ASSERT(out.rate == 1e-3 && out.decay == 0.1 && out.steps == 1000000 && !out.nesterov && out.mode == 1);
  CU_ASSERT(!out.name && !strcmp(out.title, "plain"));
  CU_ASSERT(out.schedule && !strcmp(out.schedule->text, "constant"));
  CU_ASSERT(!out.optimizer && !out.tree);
  CU_ASSERT_EQUAL(expanded->count, cohort_parameters_count(table));
  CU_ASSERT_STRING_EQUAL(cohort_document_get(expanded, "steps")->text, "1000000");
  CU_ASSERT_STRING_EQUAL(cohort_document_get(expanded, "schedule")->text, "constant");
  CU_ASSERT(cohort_document_is_null(cohort_document_get(expanded, "name")));
  CU_ASSERT(cohort_document_get(document, "steps")->used);
  cohort_document_destroy(document);
  cohort_document_destroy(expanded);
}

static void test_missing(void) {
  settings out = {0};
  cohort_faults faults = {0};
  cohort_parameters_read(table, NULL, "", &out, NULL, &faults);
  CU_ASSERT_EQUAL(faults.count, 1);
  CU_ASSERT_STRING_EQUAL(faults.text, "steps: is missing; give it (how many steps)");
  cohort_faults_release(&faults);
}

static void test_numbers(void) {
  static const char *const bad_reals[] = {"abc", "1e-3x", "1,5", "nan", "inf", "-1", "0", "1e999", " 1", "1 "};
  for (size_t i = 0; i < sizeof bad_reals / sizeof *bad_reals; i++) {
    CU_ASSERT_EQUAL(faults_of("rate", scalar(bad_reals[i]), "task.rate: is "), 1);
  }
  CU_ASSERT_EQUAL(faults_of("rate", scalar("0x1p-3"), NULL), 0);
  CU_ASSERT_EQUAL(faults_of("rate", quoted("1"), "in quotes"), 1);
  CU_ASSERT_EQUAL(faults_of("rate", map(), NULL), 1);
  CU_ASSERT_EQUAL(faults_of("decay", scalar("1"), "at least 0 and below 1"), 1);
  CU_ASSERT_EQUAL(faults_of("decay", scalar("0"), NULL), 0);
  static const char *const bad_integers[] = {"1.5", "1e-1", "10_000", "0x10", "9223372036854775808",
                                             "ten", "0",    "1e16",   "-"};
  for (size_t i = 0; i < sizeof bad_integers / sizeof *bad_integers; i++) {
    CU_ASSERT_EQUAL(faults_of("steps", scalar(bad_integers[i]), "task.steps: is "), 1);
  }
  CU_ASSERT_EQUAL(faults_of("steps", scalar("2.5e3"), NULL), 0);
}

static cohort_document *list_of(int count, const char *const *texts) {
  cohort_document *list = cohort_document_create(COHORT_LIST, "a.yaml", 3, 5);
  for (int i = 0; i < count; i++) cohort_document_append(list, scalar(texts[i]));
  return list;
}

static void test_lists_of_numbers(void) {
  static const char *const good[] = {"1", "-2.5e-3", "0.1"}, *const bad[] = {"1", "x", "inf"};
  cohort_document *document = with_steps("1"), *expanded = map();
  cohort_document_set(document, "weights", list_of(3, good));
  settings first = {0}, second = {0};
  cohort_faults faults = {0};
  cohort_parameters_read(table, document, "task", &first, expanded, &faults);
  cohort_parameters_read(table, expanded, "task", &second, NULL, &faults);
  CU_ASSERT_EQUAL(faults.count, 0);
  CU_ASSERT_EQUAL(first.weights.count, 3);
  for (int i = 0; i < 3; i++) CU_ASSERT_EQUAL(first.weights.value[i], strtod(good[i], NULL));
  CU_ASSERT_EQUAL(memcmp(&first.weights, &second.weights, sizeof first.weights), 0);
  cohort_document_set(document, "weights", scalar("null"));
  cohort_parameters_read(table, document, "task", &second, NULL, &faults);
  CU_ASSERT_EQUAL(faults.count, 0);
  CU_ASSERT_EQUAL(second.weights.count, 0);
  cohort_document_destroy(document);
  cohort_document_destroy(expanded);
  CU_ASSERT_EQUAL(faults_of("weights", list_of(3, bad), "task.weights: is inf, out of range"), 2);
  CU_ASSERT_EQUAL(faults_of("weights", scalar("1"), "a list of at most 16 numbers"), 1);
  cohort_document *longer = list_of(0, NULL);
  for (int i = 0; i < 17; i++) cohort_document_append(longer, scalar("1"));
  CU_ASSERT_EQUAL(faults_of("weights", longer, "a list of at most 16 numbers"), 1);
}

static void test_other_types(void) {
  CU_ASSERT_EQUAL(faults_of("nesterov", scalar("yes"), "true or false"), 1);
  CU_ASSERT_EQUAL(faults_of("nesterov", scalar("true"), NULL), 0);
  CU_ASSERT_EQUAL(faults_of("mode", scalar("exat"), "did you mean \"exact\"? write one of: fast, exact"), 1);
  CU_ASSERT_EQUAL(faults_of("mode", scalar("zzzzzz"), "write one of: fast, exact"), 1);
  CU_ASSERT_EQUAL(faults_of("name", quoted("null"), NULL), 0);
  CU_ASSERT_EQUAL(faults_of("stps", scalar("3"), "unknown key; did you mean \"steps\"?"), 1);
  CU_ASSERT_EQUAL(faults_of("qqqqqqqq", scalar("3"), "unknown key; remove it"), 1);
  cohort_document *used = scalar("3");
  used->used = true;
  CU_ASSERT_EQUAL(faults_of("elsewhere", used, NULL), 0);
}

static void test_methods(void) {
  CU_ASSERT_EQUAL(faults_of("schedule", scalar("cosine"), NULL), 0);
  cohort_document *bare = map(), *full = map(), *two = map(), *number = map();
  cohort_document_set(bare, "cosine", scalar(""));
  cohort_document_set(full, "cosine", map());
  cohort_document_set(two, "cosine", map());
  cohort_document_set(two, "linear", map());
  cohort_document_set(number, "cosine", scalar("3"));
  CU_ASSERT_EQUAL(faults_of("schedule", bare, NULL), 0);
  CU_ASSERT_EQUAL(faults_of("schedule", full, NULL), 0);
  two->line = number->line = 3;
  two->column = number->column = 5;
  CU_ASSERT_EQUAL(faults_of("schedule", two, "one schedule method"), 1);
  CU_ASSERT_EQUAL(faults_of("schedule", number, NULL), 0); /* the method says whether it has a short form */
  cohort_document *list = cohort_document_create(COHORT_LIST, "a.yaml", 3, 5);
  CU_ASSERT_EQUAL(faults_of("schedule", list, "is a list"), 1);
}

static void test_all_faults_together(void) {
  cohort_document *document = map();
  cohort_document_set(document, "rate", scalar("x"));
  cohort_document_set(document, "decay", scalar("2"));
  cohort_document_set(document, "moode", scalar("2"));
  settings out = {0};
  cohort_faults faults = {0};
  cohort_parameters_read(table, document, "task", &out, NULL, &faults);
  CU_ASSERT_EQUAL(faults.count, 4);
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_faults_status(&faults, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_STRING_EQUAL(error.text, faults.text);
  for (int i = 0; i < 100; i++) cohort_faults_add(&faults, document, "fault number %d of many; mend it", i);
  CU_ASSERT_EQUAL(cohort_faults_status(&faults, &error), COHORT_BAD_CONFIG);
  const char *last = strrchr(error.text, '\n');
  CU_ASSERT(last && strstr(last, "more errors"));
  size_t lines = 0;
  for (const char *at = error.text; (at = strchr(at, '\n')); at++) lines++;
  CU_ASSERT_EQUAL(strtoul(last + strlen("\nand "), NULL, 10), faults.count - lines);
  cohort_faults_release(&faults);
  cohort_document_destroy(document);
}

static void test_written_back(void) {
  static const char *const texts[] = {"0.1",
                                      "1e-3",
                                      "3",
                                      "0.30000000000000004",
                                      "5e-324",
                                      "1.7976931348623157e308",
                                      "0x1.fffffffffffffp-1022",
                                      "123456789012345678"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    cohort_document *document = with_steps("1"), *expanded = map(), *again = map();
    cohort_document_set(document, "rate", scalar(texts[i]));
    cohort_document_set(document, "title", quoted(""));
    settings first = {0}, second = {0};
    cohort_faults faults = {0};
    cohort_parameters_read(table, document, "task", &first, expanded, &faults);
    cohort_parameters_read(table, expanded, "task", &second, again, &faults);
    CU_ASSERT_EQUAL(faults.count, 0);
    CU_ASSERT_EQUAL(memcmp(&first.rate, &second.rate, sizeof first.rate), 0);
    CU_ASSERT_EQUAL(first.rate, strtod(texts[i], NULL));
    CU_ASSERT_STRING_EQUAL(second.title, "");
    CU_ASSERT(cohort_document_equal(expanded, again));
    const bool shortest = i == 0 || i == 2 || i == 3;
    if (shortest) CU_ASSERT_STRING_EQUAL(cohort_document_get(expanded, "rate")->text, texts[i]);
    cohort_document_destroy(document);
    cohort_document_destroy(expanded);
    cohort_document_destroy(again);
  }
}

static const check checks[] = {
    {"defaults", test_defaults},
    {"missing", test_missing},
    {"numbers", test_numbers},
    {"lists of numbers", test_lists_of_numbers},
    {"other types", test_other_types},
    {"methods", test_methods},
    {"all faults together", test_all_faults_together},
    {"written back", test_written_back},
};

int main(void) { return check_run("parameter", checks, sizeof checks / sizeof *checks); }
