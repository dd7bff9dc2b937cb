/* Robust aggregation and attacks: contracts of the two families, and the claims of their papers on small crowds. */
#include "check.h"
#include "contract/method_fixture.h"
#include "method/attack/attack.h"
#include "method/robust/robust.h"

enum { MOST = 13, SIZE = 5, WORK = MOST * (MOST + 4), GUARD = 8 };

typedef struct crowd {
  int clients;
  double row[MOST + 1][SIZE]; /* with the last joined change */
  double weight[MOST];
} crowd;

/* Clients about one point, of which the first `malicious` are far away; in an order of `turn`. */
static void gather(crowd *own, int clients, int malicious, double far, int turn) {
  own->clients = clients;
  for (int i = 0; i <= clients; i++) {
    const int at = i < clients ? (i + turn) % clients : i;
    for (int k = 0; k < SIZE; k++)
      own->row[at][k] = 1 + 0.1 * cohort_random_normal_at(cohort_random_key_from_seed(5), (uint64_t)i, (uint64_t)k) +
                        (i < malicious ? far : 0);
    if (i < clients) own->weight[at] = (1.0 + i % 2) / clients;
  }
}

/* The joined change by the method's functions alone, as the header says; false when they wrote where they must not. */
static bool join(const cohort_method *method, const void *config, const crowd *own, double *joined) {
  const cohort_robust *functions = method->functions;
  const int clients = own->clients, rows = clients + functions->recalls;
  double work[WORK + GUARD], share[MOST + 1 + GUARD], products[(MOST + 1) * (MOST + 1)];
  double column[MOST][SIZE];
  const double *value[MOST];
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < rows; j++) {
      products[i * rows + j] = 0;
      for (int k = 0; k < SIZE; k++) products[i * rows + j] += own->row[i][k] * own->row[j][k];
    }
  const int64_t room = cohort_robust_work(clients);
  for (int64_t w = 0; w < WORK + GUARD; w++) work[w] = 17;
  for (int i = 0; i < MOST + 1 + GUARD; i++) share[i] = 17;
  for (int i = 0; i < clients; i++) share[i] = 1.0 / clients;
  cohort_robust_round round = {.config = config,
                               .clients = clients,
                               .rows = rows,
                               .weight = own->weight,
                               .products = functions->products ? products : NULL,
                               .work = work};
  if (functions->share) functions->share(&round, share);
  for (int k = 0; k < SIZE; k++) joined[k] = 0;
  if (functions->combine && (!functions->combines || functions->combines(config, clients))) {
    int chosen = 0;
    for (int i = 0; i < clients; i++) {
      if (share[i] <= 0) continue;
      for (int k = 0; k < SIZE; k++) {
        int at = chosen;
        for (; at > 0 && column[at - 1][k] > own->row[i][k]; at--) column[at][k] = column[at - 1][k];
        column[at][k] = own->row[i][k];
      }
      value[chosen] = column[chosen];
      chosen++;
    }
    round.products = NULL;
    functions->combine(&round, chosen, SIZE, value, joined);
  } else {
    for (int i = 0; i < (functions->share ? rows : clients); i++)
      for (int k = 0; k < SIZE; k++) joined[k] += share[i] * own->row[i][k];
  }
  bool good = true;
  for (int g = 0; g < GUARD; g++) good = good && work[room + g] == 17 && share[rows + g] == 17;
  for (int k = 0; k < SIZE; k++) good = good && isfinite(joined[k]);
  return good;
}

typedef void (*with_method)(const cohort_method *method, const void *config);

static void for_all(const char *settings, with_method function) {
  const cohort_method *method;
  int seen = 0;
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++) {
    if (strcmp(method->family, "robust") != 0) continue;
    seen++;
    cohort_choice choice;
    cohort_document *document = fixture_choose(COHORT_VARIANT_F64, "robust", method->key, settings, &choice);
    CU_ASSERT_PTR_NOT_NULL_FATAL(choice.method);
    function(method, choice.config);
    cohort_choice_release(&choice);
    cohort_document_destroy(document);
  }
  CU_ASSERT(seen > 0);
}

static void expect(bool holds, const cohort_method *method, int clients, const char *what) {
  if (!holds) fprintf(stderr, "%s of %d clients: %s\n", method->key, clients, what);
  CU_ASSERT(holds);
}

static void check_contract(const cohort_method *method, const void *config) {
  const cohort_robust *functions = method->functions;
  CU_ASSERT(functions->share || functions->combine);
  CU_ASSERT(!functions->combines || functions->combine);
  CU_ASSERT((functions->byzantine != NULL) == (functions->most_byzantine != NULL));
  CU_ASSERT(functions->products || !(functions->history || functions->recalls));
  for (int clients = 1; clients <= MOST; clients++) {
    crowd own;
    double joined[SIZE], again[SIZE];
    gather(&own, clients, clients / 5, 3, 0);
    expect(cohort_robust_admits(method, config, clients, NULL) == COHORT_DONE, method, clients, "too few by default");
    expect(join(method, config, &own, joined), method, clients, "not finite, or written where nothing is");
    join(method, config, &own, again);
    expect(memcmp(joined, again, sizeof joined) == 0, method, clients, "not the same twice");
    /* Each of two is as near to the other: Krum takes the first, and Bulyan ends with few. */
    if (clients == 2 || strcmp(method->key, "bulyan") == 0) continue;
    gather(&own, clients, clients / 5, 3, clients / 2);
    join(method, config, &own, again);
    double far = 0;
    for (int k = 0; k < SIZE; k++) far = fmax(far, fabs(joined[k] - again[k]));
    expect(far < 1e-9, method, clients, "depends on the order of clients");
  }
}

/* With one in ten malicious and very far, the joined change stays with the honest; what clips moves a radius at most,
 * and FoolsGold knows only those who are like one another. */
static void check_defence(const cohort_method *method, const void *config) {
  if (strcmp(method->key, "foolsgold") == 0) return;
  crowd own;
  double joined[SIZE];
  gather(&own, 10, 1, 1e6, 4);
  join(method, config, &own, joined);
  const double most = strcmp(method->key, "centeredclipping") == 0 ? 2 : 0.3;
  for (int k = 0; k < SIZE; k++) expect(fabs(joined[k] - 1) < most, method, 10, "follows the malicious");
}

static void test_contract(void) { for_all("", check_contract); }
static void test_defence(void) { for_all("", check_defence); }

static const cohort_choice *choose(const char *family, const char *key, const char *settings) {
  static cohort_choice choice;
  static cohort_document *document;
  cohort_choice_release(&choice);
  cohort_document_destroy(document);
  document = key ? fixture_choose(COHORT_VARIANT_F64, family, key, settings, &choice) : NULL;
  return &choice;
}

static void test_counts(void) {
  CU_ASSERT_EQUAL(cohort_robust_byzantine(0.29, 100), 29);
  CU_ASSERT_EQUAL(cohort_robust_byzantine(0.2, 9), 1);
  CU_ASSERT_EQUAL(cohort_robust_byzantine(3, 2), 2);
  CU_ASSERT_EQUAL(cohort_robust_byzantine(0, 5), 0);
  CU_ASSERT_EQUAL(cohort_robust_check_byzantine(2.5, NULL), COHORT_BAD_CONFIG);
  const cohort_choice *krum = choose("robust", "krum", "byzantine=2");
  cohort_error error;
  CU_ASSERT_EQUAL(cohort_robust_admits(krum->method, krum->config, 5, &error), COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_robust_admits(krum->method, krum->config, 4, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "of 4 clients at most 1 may be malicious, but byzantine makes it 2"));
  const cohort_choice *bulyan = choose("robust", "bulyan", "byzantine=2");
  CU_ASSERT_EQUAL(cohort_robust_admits(bulyan->method, bulyan->config, 11, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_robust_admits(bulyan->method, bulyan->config, 10, NULL), COHORT_BAD_CONFIG);
  choose(NULL, NULL, NULL);
}

/* ---- attacks ---- */

static void test_attacks(void) {
  const cohort_method *method;
  int seen = 0;
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++) {
    if (strcmp(method->family, "attack") != 0) continue;
    const cohort_attack *functions = method->functions;
    const cohort_choice *choice = choose("attack", method->key, "");
    CU_ASSERT_EQUAL((functions->change != NULL) + (functions->join != NULL) + (functions->label != NULL), 1);
    CU_ASSERT_EQUAL(cohort_choice_real(choice, "share", -1), 0.2);
    for (int malicious = 0; malicious <= 9 && functions->join; malicious++) {
      const cohort_attack_join join = functions->join(choice->config, 9, malicious);
      CU_ASSERT(isfinite(join.mean) && isfinite(join.deviation));
    }
    for (int32_t label = 0; label < 10 && functions->label; label++) {
      const int32_t flipped = functions->label(choice->config, label, 10);
      CU_ASSERT(flipped >= 0 && flipped < 10);
    }
    seen++;
  }
  CU_ASSERT(seen > 0);
  choose(NULL, NULL, NULL);
}

/* As many as the share says, whoever they are; others with another seed. */
static void test_who_is_malicious(void) {
  int count = 0, both = 0;
  for (int64_t client = 0; client < 1000; client++) {
    const bool first = cohort_attack_is_malicious(cohort_random_key_from_seed(1), 1000, 0.2, client);
    count += first;
    both += first && cohort_attack_is_malicious(cohort_random_key_from_seed(2), 1000, 0.2, client);
  }
  CU_ASSERT_EQUAL(count, 200);
  CU_ASSERT(both > 15 && both < 70);
}

/* The quantiles are SciPy's. Where a majority needs no honest client beyond the mean, there is nothing to gain. */
static void test_alie_hides(void) {
  const cohort_choice *alie = choose("attack", "alie", "");
  const cohort_attack *functions = alie->method->functions;
  CU_ASSERT_DOUBLE_EQUAL(functions->join(alie->config, 50, 24).deviation, -1.4260768722, 1e-9);
  CU_ASSERT_EQUAL(functions->join(alie->config, 10, 2).deviation, 0);
  CU_ASSERT_EQUAL(functions->join(alie->config, 3, 3).deviation, 0);
  choose(NULL, NULL, NULL);
}

int main(void) {
  static const check checks[] = {{"contract", test_contract},
                                 {"defence", test_defence},
                                 {"counts", test_counts},
                                 {"attacks", test_attacks},
                                 {"who is malicious", test_who_is_malicious},
                                 {"alie hides", test_alie_hides}};
  return check_run("contract_robust", checks, sizeof checks / sizeof *checks);
}
