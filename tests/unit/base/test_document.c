#include <string.h>

#include "base/document.h"
#include "check.h"

static cohort_document *scalar(const char *text) {
  cohort_document *document = cohort_document_create(COHORT_SCALAR, "a.yaml", 1, 1);
  cohort_document_set_text(document, text);
  return document;
}

/* {first: TEXT, list: [1, {}]} or with the keys the other way round. */
static cohort_document *example(const char *text, bool turned) {
  cohort_document *map = cohort_document_create(COHORT_MAP, "a.yaml", 1, 1);
  cohort_document *list = cohort_document_create(COHORT_LIST, "a.yaml", 2, 1);
  cohort_document_append(list, scalar("1"));
  cohort_document_append(list, cohort_document_create(COHORT_MAP, "a.yaml", 2, 9));
  if (turned) cohort_document_set(map, "list", list);
  cohort_document_set(map, "first", scalar(text));
  if (!turned) cohort_document_set(map, "list", list);
  return map;
}

static void test_maps(void) {
  cohort_document *map = example("a", false);
  CU_ASSERT_EQUAL(map->count, 2);
  CU_ASSERT_STRING_EQUAL(cohort_document_get(map, "first")->text, "a");
  cohort_document_set(map, "first", scalar("b"));
  CU_ASSERT_EQUAL(map->count, 2);
  CU_ASSERT_STRING_EQUAL(cohort_document_get(map, "first")->text, "b");
  CU_ASSERT_PTR_NULL(cohort_document_get(map, "none"));
  CU_ASSERT_PTR_NULL(cohort_document_get(NULL, "first"));
  CU_ASSERT_PTR_NULL(cohort_document_get(cohort_document_get(map, "list"), "first"));
  cohort_document_remove(map, "none");
  CU_ASSERT_EQUAL(map->count, 2);
  cohort_document_remove(map, "first");
  CU_ASSERT_EQUAL(map->count, 1);
  CU_ASSERT_PTR_NULL(cohort_document_get(map, "first"));
  CU_ASSERT_STRING_EQUAL(map->names[0], "list");
  CU_ASSERT_EQUAL(cohort_document_get(map, "list")->count, 2);
  cohort_document_remove(NULL, "first");
  cohort_document_destroy(map);
}

static void test_equal(void) {
  cohort_document *a = example("a", false), *turned = example("a", true), *b = example("b", false);
  cohort_document *copy = cohort_document_copy(a);
  CU_ASSERT(cohort_document_equal(a, turned));
  CU_ASSERT(cohort_document_equal(a, copy));
  CU_ASSERT_FALSE(cohort_document_equal(a, b));
  cohort_document_set(copy, "more", scalar("1"));
  CU_ASSERT_FALSE(cohort_document_equal(a, copy));
  CU_ASSERT_FALSE(cohort_document_equal(a, NULL));
  cohort_document_destroy(a);
  cohort_document_destroy(turned);
  cohort_document_destroy(b);
  cohort_document_destroy(copy);
}

static void test_null(void) {
  cohort_document *document = scalar("");
  CU_ASSERT(cohort_document_is_null(document));
  cohort_document_set_text(document, "~");
  CU_ASSERT(cohort_document_is_null(document));
  cohort_document_set_text(document, "null");
  CU_ASSERT(cohort_document_is_null(document));
  document->quoted = true;
  CU_ASSERT_FALSE(cohort_document_is_null(document));
  cohort_document_destroy(document);
}

static void test_nearest(void) {
  static const char *const names[] = {"rate", "momentum", "epsilon", "beta1", "beta2"};
  CU_ASSERT_STRING_EQUAL(cohort_nearest_name("momentun", names, 5), "momentum");
  CU_ASSERT_STRING_EQUAL(cohort_nearest_name("raet", names, 5), "rate");
  CU_ASSERT_STRING_EQUAL(cohort_nearest_name("beta_2", names, 5), "beta2");
  CU_ASSERT_STRING_EQUAL(cohort_nearest_name("eps", names, 5) ? "some" : "none", "none");
  CU_ASSERT_PTR_NULL(cohort_nearest_name("weight", names, 5));
  CU_ASSERT_PTR_NULL(cohort_nearest_name("", names, 5));
}

static const check checks[] = {
    {"maps", test_maps},
    {"equal", test_equal},
    {"null", test_null},
    {"nearest name", test_nearest},
};

int main(void) { return check_run("document", checks, sizeof checks / sizeof *checks); }
