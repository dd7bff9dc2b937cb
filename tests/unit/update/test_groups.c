/* Parameter groups: which update serves which tensor, with what rate and decay, and how the tensor is cut for it; slips
 * of the pen are refused by name. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "check.h"
#include "io/config.h"
#include "update/groups.h"

enum { TENSORS = 5 };

static cohort_space *make_space(void) {
  static const cohort_parameter_tensor declared[TENSORS] = {
      {.name = "embedding", .role = COHORT_ROLE_EMBEDDING, .shape = {.axes = 2, .size = {50, 8}}},
      {.name = "block0.weight", .role = COHORT_ROLE_MATRIX, .shape = {.axes = 2, .size = {8, 8}}},
      {.name = "block0.bias", .role = COHORT_ROLE_VECTOR, .shape = {.axes = 1, .size = {8}}},
      {.name = "block1.weight", .role = COHORT_ROLE_MATRIX, .shape = {.axes = 2, .size = {8, 8}}},
      {.name = "block1.gain", .role = COHORT_ROLE_GAIN, .shape = {.axes = 1, .size = {8}}}};
  return cohort_space_of("model", TENSORS, declared);
}

typedef struct bench {
  cohort_space *space;
  cohort_document *base, *list;
  cohort_parameter_groups groups;
  cohort_faults faults;
  cohort_status status;
} bench;

static cohort_document *parse(const char *text) {
  cohort_document *document = NULL;
  cohort_error error;
  if (text) CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, strlen(text), "c.yaml", &document, &error), COHORT_DONE);
  return document;
}

/* The optimizer's base, and the list under the key `groups`. */
static bench open_bench(const char *base, const char *list) {
  bench own = {.space = make_space(), .base = parse(base), .list = parse(list)};
  cohort_error error;
  const cohort_updater_options options = {.groups = cohort_document_get(own.list, "groups"),
                                          .optimizer_path = "optimizer",
                                          .groups_path = "groups",
                                          .space = own.space,
                                          .variant = COHORT_VARIANT_F64};
  own.status = cohort_parameter_groups_create(&options, own.base, &own.groups, &own.faults, &error);
  return own;
}

static void close_bench(bench *own) {
  cohort_parameter_groups_release(&own->groups);
  cohort_faults_release(&own->faults);
  cohort_document_destroy(own->base);
  cohort_document_destroy(own->list);
  cohort_space_destroy(own->space);
}

static const char *serves(const bench *own, int tensor) {
  return own->groups.group[own->groups.of_tensor[tensor]].choice.method->key;
}

static void test_the_first_that_takes_it(void) {
  bench own = open_bench("{adamw: {learning_rate: 0.5, weight_decay: 0.25}}",
                         "groups: [{name: 'block1.*', optimizer: sgd}, {role: 'matrix, embedding', optimizer: "
                         "{lion: {weight_decay: 0.5}}, learning_rate: 0.1, decay: false}]\n");
  CU_ASSERT_EQUAL_FATAL(own.status, COHORT_DONE);
  static const char *const expected[TENSORS] = {"lion", "lion", "adamw", "sgd", "sgd"};
  CU_ASSERT_EQUAL(own.groups.count, 3);
  for (int t = 0; t < TENSORS; t++) CU_ASSERT_STRING_EQUAL(serves(&own, t), expected[t]);
  const cohort_update_group *lion = &own.groups.group[1], *rest = &own.groups.group[2];
  CU_ASSERT_EQUAL(lion->learning_rate, 0.1 * cohort_choice_real(&lion->choice, "learning_rate", 0));
  CU_ASSERT(!lion->decay && rest->decay);
  CU_ASSERT_EQUAL(rest->learning_rate, 0.5);
  CU_ASSERT_EQUAL(rest->weight_decay, 0.25);
  close_bench(&own);
}

/* Cut and cost are the update's, by its settings and the tensor's shape. */
static void test_cuts(void) {
  bench own =
      open_bench("{adamw: {}}", "groups: [{role: matrix, optimizer: muon}, {role: embedding, optimizer: adafactor}]");
  CU_ASSERT_EQUAL_FATAL(own.status, COHORT_DONE);
  CU_ASSERT_EQUAL(own.groups.cut[1], COHORT_CUT_TENSOR);
  CU_ASSERT_EQUAL(own.groups.cut[2], COHORT_CUT_ELEMENT);
  CU_ASSERT(own.groups.cut[0] != COHORT_CUT_ELEMENT);
  CU_ASSERT_EQUAL(own.groups.cost[2], 8);
  CU_ASSERT(own.groups.cost[1] > 64);
  CU_ASSERT(own.groups.workspace >= 64);
  CU_ASSERT(own.groups.passes > 1);
  close_bench(&own);
}

static void test_without_a_base(void) {
  bench own = open_bench(NULL, NULL);
  CU_ASSERT_EQUAL(own.status, COHORT_DONE);
  CU_ASSERT_EQUAL(own.groups.count, 0);
  CU_ASSERT_EQUAL(own.groups.cost[0], 400);
  close_bench(&own);
}

static void refused(const char *base, const char *list, const char *why) {
  bench own = open_bench(base, list);
  const bool told = own.faults.text && strstr(own.faults.text, why);
  if (!told) fprintf(stderr, "\n  expected \"%s\", got: %s\n", why, own.faults.text ? own.faults.text : "no fault");
  CU_ASSERT(own.status == COHORT_BAD_CONFIG && told);
  close_bench(&own);
}

static void test_refusals(void) {
  refused("{muon: {}}", NULL, "serves matrices only, but block0.bias has 1 axes");
  refused("{adamw: {}}", "groups: [{role: matrx, optimizer: sgd}]", "did you mean \"matrix\"");
  refused("{adamw: {}}", "groups: [{name: 'blok*', optimizer: sgd}]", "no tensor's name fits \"blok*\"");
  refused("{adamw: {}}", "groups: [{optimizer: sgd}]", "needs role or name");
  refused("{adamw: {}}", "groups: [{role: matrix, optimizer: {sam: {}}}]", "sam is a driver");
  refused("{adamw: {}}", "groups: {role: matrix}", "wants a list");
  refused(NULL, "groups: [{role: matrix, optimizer: sgd}]", "no base");
}

int main(void) {
  static const check checks[] = {{"the first group that takes a tensor serves it", test_the_first_that_takes_it},
                                 {"cuts and costs", test_cuts},
                                 {"without a base there are none", test_without_a_base},
                                 {"what is refused", test_refusals}};
  return check_run("groups", checks, sizeof checks / sizeof *checks);
}
