/* An optimizer at work, through the update engine, as training, clients and probe use it: some tensors in a space, on
 * one rank in either type or on several ranks that are threads, with given gradients or a diagonal quadratic as its
 * oracle. */
#ifndef COHORT_TESTS_CONTRACT_OPTIMIZER_FIXTURE_H
#define COHORT_TESTS_CONTRACT_OPTIMIZER_FIXTURE_H

#include "contract/method_fixture.h"
#include "update/updater.h"

typedef struct fixture {
  cohort_comm alone, *comm;
  cohort_document *document;
  cohort_space *space;
  cohort_shard_group *members;
  cohort_updater *updater;
  cohort_vector weights;
  void *rows, *signs; /* gradient and product; given signs */
  size_t real_size;
  int64_t elements, step, steps;
  double factor, rest; /* on the learning rate; what the loss is */
  bool asks;           /* the oracle is the quadratic w'Dw/2 - t'w, else what stands in `rows` */
  const double *diagonal, *target;
} fixture;

typedef struct fixture_plan {
  cohort_variant variant;
  const char *key, *settings;
  const cohort_choice *made; /* set up already, instead of them; or NULL */
  int tensors;
  const cohort_shape *shape;
  const cohort_role *role; /* NULL: matrices, which decay */
  int threads;
  double clip;
} fixture_plan;

static inline const cohort_method *fixture_method(cohort_variant variant, const char *key) {
  return cohort_registry_find(variant, "optimizer", key);
}

/* Of a nest: what its base needs. */
static inline bool fixture_matrices_only(const cohort_method *method) {
  return (method->needs & COHORT_NEEDS_MATRICES) != 0;
}

static inline cohort_space *fixture_space(const fixture_plan *plan) {
  cohort_parameter_tensor declared[FIXTURE_TENSORS] = {0};
  int count = 0;
  const bool matrices = fixture_matrices_only(fixture_method(plan->variant, plan->key));
  for (int t = 0; t < plan->tensors; t++) {
    if (matrices && plan->shape[t].axes < 2) continue;
    declared[count].shape = plan->shape[t];
    declared[count].role = plan->role ? plan->role[t] : COHORT_ROLE_MATRIX;
    (void)snprintf(declared[count].name, sizeof declared[count].name, "tensor%d", t);
    count++;
  }
  return cohort_space_of("trial", count, declared);
}

static inline void fixture_begin(fixture *t, const fixture_plan *plan) {
  memset(t, 0, sizeof *t);
  cohort_error error;
  t->alone = cohort_comm_alone();
  t->comm = &t->alone;
  t->document = cohort_document_create(COHORT_MAP, "test", 1, 1);
  cohort_document_set(t->document, plan->key, fixture_settings(plan->settings));
  t->space = fixture_space(plan);
  if (cohort_shard_group_create(t->comm, false, &t->members, &error) != COHORT_DONE) exit(1);
  const cohort_updater_options own = {.optimizer = plan->made ? NULL : t->document,
                                      .made = plan->made,
                                      .optimizer_path = "optimizer",
                                      .groups_path = "groups",
                                      .activity = COHORT_ACTIVITY_UPDATE,
                                      .clip = plan->clip,
                                      .space = t->space,
                                      .comm = t->comm,
                                      .kernels = cohort_updater_kernels(plan->variant),
                                      .variant = plan->variant,
                                      .threads = plan->threads ? plan->threads : 1,
                                      .objectives = 1,
                                      .sharding = COHORT_SHARDING_OPTIMIZER,
                                      .members = t->members,
                                      .sizes = {1 << 20, 1 << 21}};
  cohort_faults faults = {NULL, 0};
  if (cohort_updater_create(&own, &faults, &t->updater, &error) != COHORT_DONE) {
    fprintf(stderr, "%s\n", error.text);
    exit(1);
  }
  cohort_faults_release(&faults);
  t->real_size = own.kernels->real_size;
  t->elements = t->space->elements;
  t->weights.values = calloc((size_t)t->elements, t->real_size);
  t->space->values = t->weights.values;
  t->rows = calloc(2 * (size_t)t->elements, t->real_size);
  t->factor = 1;
  t->steps = 1000;
  if (cohort_updater_connect(t->updater, &(cohort_updater_connection){.weights = &t->weights}, &error) != COHORT_DONE)
    exit(1);
}

static inline void fixture_end(fixture *t) {
  cohort_updater_destroy(t->updater);
  cohort_shard_group_destroy(t->members);
  cohort_space_destroy(t->space);
  cohort_document_destroy(t->document);
  free(t->weights.values);
  free(t->rows);
}

static inline void *fixture_product_of(const fixture *t) {
  return (char *)t->rows + (size_t)t->elements * t->real_size;
}

static inline cohort_status fixture_answer(void *argument, const cohort_ask *ask, void **rows, double *losses,
                                           cohort_error *error) {
  (void)error;
  fixture *t = argument;
  const void *at = ask->point->vector->values;
  *rows = t->rows;
  losses[0] = t->rest;
  for (int64_t i = 0; ask->divergence && i < t->elements; i++) {
    const double way = fixture_get(at, i, t->real_size) - fixture_get(t->weights.values, i, t->real_size);
    *ask->divergence += (t->asks ? t->diagonal[i] : 1) * way * way / 2;
  }
  for (int64_t i = 0; t->asks && i < t->elements; i++) {
    const double w = fixture_get(at, i, t->real_size);
    losses[0] += w * (t->diagonal[i] * w / 2 - t->target[i]);
    fixture_set(t->rows, i, t->real_size, t->diagonal[i] * w - t->target[i]);
    if (ask->direction)
      fixture_set(fixture_product_of(t), i, t->real_size,
                  t->diagonal[i] * fixture_get(ask->direction, i, t->real_size));
  }
  /* What was given as z * (H z) is handed over as H z. */
  for (int64_t i = 0; !t->asks && ask->direction && i < t->elements; i++)
    fixture_set(fixture_product_of(t), i, t->real_size,
                fixture_get(fixture_product_of(t), i, t->real_size) * fixture_get(ask->direction, i, t->real_size));
  return COHORT_DONE;
}

static inline cohort_status fixture_step(fixture *t, cohort_step_report *report, cohort_error *error) {
  const cohort_oracle oracle = {.argument = t, .objectives = 1, .samples = 8, .labels = 8, .ask = fixture_answer};
  const cohort_status status = cohort_updater_step_by(t->updater, &oracle, t->step, t->steps, t->factor, report, error);
  t->step++;
  return status;
}

static inline const cohort_slot *fixture_slot(const fixture *t, const char *name) {
  for (int s = 0; s < cohort_updater_slots(t->updater); s++)
    if (strcmp(cohort_updater_slot(t->updater, s)->name, name) == 0) return cohort_updater_slot(t->updater, s);
  return NULL;
}

static inline bool fixture_same_bits(const fixture *a, const fixture *b) {
  bool same = memcmp(a->weights.values, b->weights.values, (size_t)a->elements * a->real_size) == 0;
  for (int s = 0; s < cohort_updater_slots(a->updater); s++) {
    const cohort_slot *x = cohort_updater_slot(a->updater, s), *y = cohort_updater_slot(b->updater, s);
    same = same && (x->scratch || memcmp(x->values, y->values, cohort_slot_bytes(a->updater, x)) == 0);
  }
  return same;
}

/* As a checkpoint would: weights and all slots from one to the other. */
static inline void fixture_copy_state(const fixture *from, fixture *to) {
  memcpy(to->weights.values, from->weights.values, (size_t)from->elements * from->real_size);
  for (int s = 0; s < cohort_updater_slots(from->updater); s++) {
    const cohort_slot *x = cohort_updater_slot(from->updater, s), *y = cohort_updater_slot(to->updater, s);
    if (!x->scratch) memcpy(y->values, x->values, cohort_slot_bytes(from->updater, x));
  }
  to->step = from->step;
  cohort_updater_loaded(to->updater);
}

static inline bool fixture_finite(const fixture *t) {
  for (int64_t i = 0; i < t->elements; i++)
    if (!isfinite(fixture_get(t->weights.values, i, t->real_size))) return false;
  return true;
}

#endif
