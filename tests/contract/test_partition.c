/* Partitions: every sample has one client and every client a sample, the same again, whatever the method; what each
 * promises; bits of the Dirichlet draws; time by clients and samples, for which it runs alone. */
#include "base/clock.h"
#include "check.h"
#include "contract/method_fixture.h"
#include "train/engine/population.h"

static int32_t *make_labels(int64_t samples) {
  int32_t *labels = malloc((size_t)samples * sizeof *labels);
  for (int64_t i = 0; i < samples; i++) labels[i] = (int32_t)(i * 7 % 10);
  return labels;
}

/* A population of samples whose labels are 0 to 9 in turns; `error` may be NULL. */
static cohort_status make(const char *key, const char *settings, int64_t samples, const int32_t *labels,
                          cohort_population *population, cohort_error *error) {
  cohort_choice choice;
  cohort_document *document = fixture_choose(COHORT_VARIANT_F64, "partition", key, settings, &choice);
  CU_ASSERT_PTR_NOT_NULL_FATAL(choice.method);
  const cohort_partition_data data = {
      .samples = samples, .labels = labels, .classes = 10, .key = cohort_random_key_from_seed(3)};
  const cohort_status status = cohort_population_create(&choice, &data, population, error);
  cohort_choice_release(&choice);
  cohort_document_destroy(document);
  return status;
}

static bool same(const cohort_population *a, const cohort_population *b) {
  const int64_t samples = a->first[a->clients];
  return a->clients == b->clients && a->largest == b->largest &&
         memcmp(a->first, b->first, (size_t)(a->clients + 1) * sizeof *a->first) == 0 &&
         memcmp(a->sample, b->sample, (size_t)samples * sizeof *a->sample) == 0;
}

static void check_population(const cohort_population *population, int64_t samples) {
  bool *seen = calloc((size_t)samples, sizeof *seen);
  int64_t largest = 0;
  CU_ASSERT_EQUAL(population->first[population->clients], samples);
  for (int64_t c = 0; c < population->clients; c++) {
    const int64_t size = population->first[c + 1] - population->first[c];
    CU_ASSERT(size >= 1);
    if (size > largest) largest = size;
    for (int64_t i = population->first[c]; i < population->first[c + 1]; i++) {
      CU_ASSERT_FALSE(seen[population->sample[i]]);
      seen[population->sample[i]] = true;
      CU_ASSERT(i == population->first[c] || population->sample[i] > population->sample[i - 1]);
    }
  }
  CU_ASSERT_EQUAL(population->largest, largest);
  free(seen);
}

static void check_made(const char *key, const char *settings, int64_t samples) {
  int32_t *labels = make_labels(samples);
  cohort_population population, again;
  cohort_error error = {.text = ""};
  const cohort_status status = make(key, settings, samples, labels, &population, &error);
  if (status != COHORT_DONE) printf("    %s %s: %s\n", key, settings, error.text);
  CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
  check_population(&population, samples);
  CU_ASSERT_EQUAL_FATAL(make(key, settings, samples, labels, &again, &error), COHORT_DONE);
  CU_ASSERT(same(&population, &again));
  cohort_population_release(&population);
  cohort_population_release(&again);
  free(labels);
}

static bool takes(const cohort_method *method, const char *name) {
  for (const cohort_parameter *p = method->parameters; p && p->name; p++)
    if (strcmp(p->name, name) == 0) return true;
  return false;
}

static void test_contract(void) {
  const cohort_method *method;
  int seen = 0;
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++) {
    if (strcmp(method->family, "partition") != 0 || ((const cohort_partition *)method->functions)->drawn) continue;
    seen++;
    check_made(method->key, takes(method, "clients") ? "clients=20" : "", 300);
  }
  CU_ASSERT(seen > 5);
  check_made("dirichlet", "clients=1 alpha=0.5", 30);
  check_made("dirichlet", "clients=20 alpha=0.1", 300);
  check_made("dirichlet", "clients=200 alpha=0.05", 300);
  check_made("dirichlet", "clients=300 alpha=0.05", 300); /* one each */
  check_made("dirichlet", "clients=40 alpha=0", 300);
  check_made("sizes", "clients=200 alpha=0.05", 300);
  check_made("dirichlet", "clients=10 alpha=0.5 minimum=10", 1000);
}

static void test_identities(void) {
  const cohort_method *method;
  int32_t *labels = make_labels(300);
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++) {
    if (strcmp(method->family, "partition") != 0) continue;
    for (const cohort_identity *identity = method->identities; identity && identity->method; identity++) {
      cohort_population one, other;
      CU_ASSERT_EQUAL_FATAL(make(method->key, identity->settings, 300, labels, &one, NULL), COHORT_DONE);
      CU_ASSERT_EQUAL_FATAL(make(identity->method, identity->method_settings, 300, labels, &other, NULL), COHORT_DONE);
      CU_ASSERT(same(&one, &other));
      cohort_population_release(&one);
      cohort_population_release(&other);
    }
  }
  free(labels);
}

static int classes_of(const cohort_population *population, const int32_t *labels, int64_t client) {
  unsigned found = 0;
  for (int64_t i = population->first[client]; i < population->first[client + 1]; i++)
    found |= 1U << labels[population->sample[i]];
  return __builtin_popcount(found);
}

/* The number of classes a client has, sizes of shards, a minimum that is kept. */
static void test_promises(void) {
  int32_t *labels = make_labels(6000);
  cohort_population population;
  CU_ASSERT_EQUAL_FATAL(make("labels", "clients=30 labels=3", 6000, labels, &population, NULL), COHORT_DONE);
  for (int64_t c = 0; c < 30; c++) CU_ASSERT_EQUAL(classes_of(&population, labels, c), 3);
  cohort_population_release(&population);
  CU_ASSERT_EQUAL_FATAL(make("shards", "clients=30 shards=2", 6000, labels, &population, NULL), COHORT_DONE);
  for (int64_t c = 0; c < 30; c++) {
    CU_ASSERT_EQUAL(population.first[c + 1] - population.first[c], 200);
    CU_ASSERT(classes_of(&population, labels, c) <= 2);
  }
  cohort_population_release(&population);
  CU_ASSERT_EQUAL_FATAL(make("sizes", "clients=20 alpha=0.5 minimum=20", 6000, labels, &population, NULL), COHORT_DONE);
  for (int64_t c = 0; c < 20; c++) CU_ASSERT(population.first[c + 1] - population.first[c] >= 20);
  cohort_population_release(&population);
  free(labels);
}

static void refuses(const char *key, const char *settings, int64_t samples, const int32_t *labels, const char *part) {
  cohort_population population = {0};
  cohort_error error = {.text = ""};
  const cohort_status status = make(key, settings, samples, labels, &population, &error);
  if (status == COHORT_DONE || !strstr(error.text, part))
    printf("    %s %s: \"%s\" lacks \"%s\"\n", key, settings, error.text, part);
  CU_ASSERT(status == COHORT_BAD_CONFIG || status == COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, part));
  CU_ASSERT_PTR_NULL(population.first);
}

static void test_refusals(void) {
  int32_t *labels = make_labels(300);
  refuses("iid", "clients=301", 300, labels, "301 clients, but only 300 training samples");
  refuses("dirichlet", "clients=5", 300, NULL, "these have none");
  refuses("dirichlet", "clients=30 minimum=11", 300, labels, "more than the 300 samples");
  refuses("dirichlet", "clients=30 alpha=0.01 minimum=9 tries=20", 300, labels, "none of 20 draws");
  refuses("dirichlet", "clients=3 alpha=1e-9", 300, labels, "alpha: 1e-09");
  refuses("shards", "clients=200 shards=2", 300, labels, "more than the 300 samples");
  refuses("labels", "clients=20 labels=11", 300, labels, "11 of 10 classes");
  refuses("labels", "clients=3 labels=1", 300, labels, "no client has class 3");
  labels[17] = 2000;
  refuses("file", "", 300, labels, "sample 17 belongs to client 2000");
  labels[17] = 7;
  for (int64_t i = 0; i < 300; i++) labels[i] -= labels[i] == 4;
  refuses("file", "", 300, labels, "client 4 of 10 has no sample");
  free(labels);
}

/* What the draws gave when they were first written: a run's population never changes. */
static void test_bits(void) {
  static const int32_t expected[60] = {2, 6, 1, 7, 3, 5, 5, 4, 1, 2, 5, 5, 1, 7, 2, 1, 1, 2, 1, 5,
                                       5, 5, 6, 0, 6, 2, 1, 4, 4, 3, 2, 5, 2, 4, 2, 4, 3, 2, 3, 5,
                                       5, 5, 6, 7, 2, 6, 4, 2, 7, 3, 6, 1, 1, 5, 1, 6, 3, 6, 4, 3};
  int32_t *labels = make_labels(60), owner[60];
  cohort_population population;
  CU_ASSERT_EQUAL_FATAL(make("dirichlet", "clients=8 alpha=0.4", 60, labels, &population, NULL), COHORT_DONE);
  cohort_population_owners(&population, owner);
  CU_ASSERT_EQUAL(memcmp(owner, expected, sizeof expected), 0);
  cohort_population_release(&population);
  free(labels);
}

static void check_time(const char *key, const char *settings, int64_t samples, double most) {
  int32_t *labels = make_labels(samples);
  cohort_population population;
  const double start = cohort_clock_seconds();
  CU_ASSERT_EQUAL_FATAL(make(key, settings, samples, labels, &population, NULL), COHORT_DONE);
  const double seconds = cohort_clock_seconds() - start;
  printf("(%s %.2f s) ", key, seconds);
  CU_ASSERT(seconds < most);
  cohort_population_release(&population);
  free(labels);
}

/* Most clients are left without a sample at 0.01: the largest would be looked for so many times. */
static void test_many_clients(void) {
  check_time("dirichlet", "clients=100000 alpha=0.01", 150000, 5);
  check_time("iid", "clients=200000", 300000, 5);
  check_time("shards", "clients=200000 shards=1", 300000, 5);
}

static const check checks[] = {{"contract", test_contract}, {"identities", test_identities},
                               {"promises", test_promises}, {"refusals", test_refusals},
                               {"bits", test_bits},         {"many clients", test_many_clients}};
int main(void) { return check_run("contract_partition", checks, sizeof checks / sizeof *checks); }
