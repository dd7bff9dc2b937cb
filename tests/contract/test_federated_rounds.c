/* Rounds of every strategy, on clients whose losses are quadratic: the same bits on any ranks and threads, nothing kept
 * of a round that was not applied, clients that fail or are left, and settings at which a strategy is another. */
#include "check.h"
#include "contract/optimizer_fixture.h"
#include "train/engine/clients.h"

enum { SIZE = 704, BODY = 400, MATRIX = 288, BIAS = 16, CLIENTS = 13, PRESENT = 7, ROUNDS = 6, MOST_VECTORS = 4 };

/* What a federation of one strategy has come to. */
typedef struct outcome {
  const char *key, *settings;
  int threads, rounds, present;
  int lost_round; /* whose step is not applied; -1: none */
  bool quiet;     /* no noise in gradients */
  _Atomic int differ;
  float weights[SIZE], vectors[MOST_VECTORS][SIZE], rows[MOST_VECTORS][CLIENTS * SIZE];
  double loss;
} outcome;

static float target_of(int64_t client, int64_t e) {
  return (float)cohort_random_normal_at(cohort_random_key_from_seed(5), (uint64_t)client, (uint64_t)e);
}

/* Loss sum of (1 + client % 3) / 2 (w - target)^2, and, unless it is quiet, a little noise by (round, client, step).
 */
static bool ask(void *argument, const cohort_client_question *question, double *loss) {
  const outcome *all = argument;
  const int64_t client = question->client, number = question->round * 64 + question->batch;
  const cohort_random_key key = cohort_random_key_derive(cohort_random_key_from_seed(9), (uint64_t)number);
  const float *w = question->point, strength = (float)(1 + client % 3);
  float *g = question->gradient;
  *loss = question->executor < all->threads ? 0 : NAN;
  for (int64_t e = 0; e < SIZE; e++) {
    const float away = w[e] - target_of(client, e);
    if (g) g[e] = strength * away;
    if (g && !all->quiet) g[e] += 0.1f * (float)cohort_random_normal_at(key, (uint64_t)client, (uint64_t)e);
    *loss += 0.5 * (double)(strength * away * away);
  }
  return true;
}

static void choose(int64_t number, int present, int64_t *client, int64_t *steps, double *samples, double *cost,
                   cohort_round *out) {
  for (int64_t i = 0; i < present; i++) {
    client[i] = (int64_t)cohort_random_permute(cohort_random_key_from_seed((uint64_t)number), CLIENTS, (uint64_t)i);
    steps[i] = 1 + client[i] % 4;
    samples[i] = present == CLIENTS ? 1 : (double)(3 + client[i]);
    cost[i] = (double)steps[i];
  }
  *out = (cohort_round){.number = number,
                        .present = (int)present,
                        .client = client,
                        .steps = steps,
                        .samples = samples,
                        .cost = cost,
                        .factor = 0.5};
}

static void keep_outcome(cohort_clients *clients, const float *weights, double loss, outcome *all) {
  memcpy(all->weights, weights, sizeof all->weights);
  all->loss = loss;
  cohort_clients_kept kept;
  for (int v = 0; cohort_clients_keep(clients, v, &kept); v++)
    memcpy(all->vectors[v], kept.values, kept.like_weights ? sizeof all->vectors[v] : (size_t)kept.elements * 8);
}

static void keep_rows(cohort_clients *clients, outcome *all, int rank) {
  cohort_row_table *table = cohort_clients_table(clients);
  if (!table) return;
  int64_t id[CLIENTS];
  void *out[COHORT_MAX_ROW_COLUMNS];
  static float elsewhere[MOST_VECTORS][CLIENTS * SIZE]; /* ranks read alike: what they write there is the same */
  for (int c = 0; c < CLIENTS; c++) id[c] = c;
  for (int c = 0; c < MOST_VECTORS; c++) out[c] = rank ? elsewhere[c] : all->rows[c];
  cohort_row_table_read(table, rank ? 0 : CLIENTS, id, out, NULL);
}

/* The federation of `all`, on this rank: weights move by minus the gradient. */
static cohort_status federate(cohort_comm *comm, void *argument) {
  outcome *all = argument;
  cohort_choice strategy, client;
  cohort_error error;
  cohort_faults faults = {NULL, 0};
  const cohort_variant variant = cohort_variant_of(cohort_processor_isa());
  cohort_document *document = fixture_choose(variant, "federated", all->key, all->settings, &strategy);
  const cohort_choice_number rate = {"learning_rate", 0.2};
  if (cohort_choice_make(variant, "optimizer", "sgd", 1, &rate, &client, &error) != COHORT_DONE) return COHORT_BUG;
  const cohort_parameter_tensor tensor[] = {
      {.name = "body", .shape = COHORT_SHAPE(BODY), .role = COHORT_ROLE_MATRIX},
      {.name = "head.weight", .shape = COHORT_SHAPE(MATRIX), .role = COHORT_ROLE_MATRIX},
      {.name = "head.bias", .shape = COHORT_SHAPE(BIAS), .role = COHORT_ROLE_MATRIX}};
  cohort_space *space = cohort_space_of("trial", 3, tensor);
  const cohort_clients_options options = {.comm = comm,
                                          .threads = all->threads,
                                          .strategy = &strategy,
                                          .made = &client,
                                          .population = CLIENTS,
                                          .space = space,
                                          .variant = variant,
                                          .source = {all, ask}};
  cohort_clients *clients = NULL;
  cohort_status status = cohort_clients_create(&options, &faults, &clients, &error);
  float *weights = calloc((size_t)space->elements, sizeof *weights);
  double loss = 0;
  for (int64_t r = 0; r < all->rounds && status == COHORT_DONE; r++) {
    int64_t who[CLIENTS], steps[CLIENTS];
    double samples[CLIENTS], cost[CLIENTS];
    cohort_round round;
    void *gradient = NULL;
    choose(r, all->present, who, steps, samples, cost, &round);
    status = cohort_clients_run(clients, &round, weights, &gradient, &loss, &error);
    if (status != COHORT_DONE || r == all->lost_round) continue;
    for (int64_t e = 0; e < SIZE; e++) weights[e] -= ((const float *)gradient)[e];
    cohort_clients_commit(clients, weights);
  }
  if (status == COHORT_DONE && comm->rank == 0) keep_outcome(clients, weights, loss, all);
  if (status == COHORT_DONE) keep_rows(clients, all, comm->rank);
  cohort_comm_barrier(comm);
  if (status == COHORT_DONE && memcmp(weights, all->weights, sizeof all->weights) != 0) all->differ++;
  free(weights);
  cohort_clients_destroy(clients);
  cohort_space_destroy(space);
  cohort_choice_release(&client);
  cohort_choice_release(&strategy);
  cohort_document_destroy(document);
  cohort_faults_release(&faults);
  return status;
}

static void run_rounds(int ranks, outcome *out) {
  CU_ASSERT_EQUAL(cohort_comm_run_threads(ranks, federate, out), COHORT_DONE);
  CU_ASSERT_EQUAL(out->differ, 0);
}

static void run(const char *key, const char *settings, int ranks, int threads, int lost_round, outcome *out) {
  memset(out, 0, sizeof *out);
  out->key = key;
  out->settings = settings;
  out->threads = threads;
  out->rounds = ROUNDS;
  out->present = PRESENT;
  out->lost_round = lost_round;
  run_rounds(ranks, out);
}

static bool same(const outcome *a, const outcome *b) {
  return memcmp(a->weights, b->weights, sizeof a->weights) == 0 &&
         memcmp(a->vectors, b->vectors, sizeof a->vectors) == 0 && memcmp(a->rows, b->rows, sizeof a->rows) == 0 &&
         memcmp(&a->loss, &b->loss, sizeof a->loss) == 0;
}

static const cohort_method *next_strategy(int *at) {
  const cohort_method *method;
  while ((method = cohort_registry_at(COHORT_VARIANT_F64, (*at)++)))
    if (strcmp(method->family, "federated") == 0) return method;
  return NULL;
}

static outcome first, other;

static void ranks_and_threads_change_no_bit(void) {
  const cohort_method *method;
  for (int at = 0; (method = next_strategy(&at));) {
    run(method->key, "", 1, 1, -1, &first);
    CU_ASSERT(isfinite(first.loss) && first.weights[0] != 0);
    for (int ranks = 1; ranks <= 4; ranks++) {
      run(method->key, "", ranks, ranks == 2 ? 1 : 2, -1, &other);
      CU_ASSERT(same(&first, &other));
    }
  }
}

static bool server_keeps(const cohort_federated *functions) {
  bool any = false;
  for (const cohort_federated_vector *v = functions->vectors; v && v->name; v++)
    any = any || v->side == COHORT_SIDE_SERVER;
  return any;
}

/* The last round's step is lost: what is kept is that of the rounds before. */
static void a_round_that_is_not_applied_leaves_nothing(void) {
  const cohort_method *method;
  for (int at = 0; (method = next_strategy(&at));) {
    run(method->key, "", 1, 1, -1, &first);
    run(method->key, "", 2, 2, ROUNDS - 1, &other);
    CU_ASSERT(memcmp(first.weights, other.weights, sizeof first.weights) != 0);
    if (server_keeps(method->functions)) CU_ASSERT(memcmp(first.vectors, other.vectors, sizeof first.vectors) != 0);
    static outcome twice;
    run(method->key, "", 3, 1, ROUNDS - 1, &twice);
    CU_ASSERT(same(&twice, &other));
  }
}

/* On the clients' side too. */
static void settings_that_are_another_strategy(void) {
  const cohort_method *method;
  int seen = 0;
  for (int at = 0; (method = next_strategy(&at));)
    for (const cohort_identity *identity = method->identities; identity && identity->method; identity++, seen++) {
      run(method->key, identity->settings, 1, 1, -1, &first);
      run(identity->method, identity->method_settings, 1, 1, -1, &other);
      CU_ASSERT(memcmp(first.weights, other.weights, sizeof first.weights) == 0);
    }
  CU_ASSERT(seen >= 2);
}

static void clients_own_terms_matter(void) {
  run("fedavg", "", 1, 1, -1, &first);
  run("fedprox", "mu=2", 1, 1, -1, &other);
  CU_ASSERT(memcmp(first.weights, other.weights, sizeof first.weights) != 0);
  run("scaffold", "", 1, 1, -1, &other);
  CU_ASSERT(memcmp(first.weights, other.weights, sizeof first.weights) != 0);
  double rows = 0, vector = 0;
  for (int e = 0; e < CLIENTS * SIZE; e++) rows += fabs((double)other.rows[0][e]);
  for (int e = 0; e < SIZE; e++) vector += fabs((double)other.vectors[0][e]);
  CU_ASSERT(rows > 0 && vector > 0);
}

/* By how much the mean loss is above its least after many rounds of all clients, which are unlike, weigh alike and take
 * unlike steps. */
static double excess(const char *key, const char *settings) {
  memset(&other, 0, sizeof other);
  other.key = key;
  other.settings = settings;
  other.threads = 2;
  other.rounds = 300;
  other.present = CLIENTS;
  other.lost_round = -1;
  other.quiet = true;
  run_rounds(1, &other);
  double square = 0, strengths = 0;
  for (int64_t client = 0; client < CLIENTS; client++) strengths += (double)(1 + client % 3);
  for (int64_t e = 0; e < SIZE; e++) {
    double sum = 0;
    for (int64_t client = 0; client < CLIENTS; client++) sum += (double)(1 + client % 3) * (double)target_of(client, e);
    square += pow((double)other.weights[e] - sum / strengths, 2);
  }
  return 0.5 * strengths / CLIENTS * square;
}

/* Control variates and moving regularisers take the drift of clients away; an average stays where it drifts to. */
static void corrected_clients_find_the_optimum(void) {
  const double scaffold = excess("scaffold", ""), feddyn = excess("feddyn", "alpha=1"), average = excess("fedavg", "");
  printf("(above the least loss: scaffold %.2g, feddyn %.2g, fedavg %.2g) ", scaffold, feddyn, average);
  CU_ASSERT(scaffold < 1e-6);
  CU_ASSERT(feddyn < 1e-6);
  CU_ASSERT(average > 5e-3);
}

static const check checks[] = {
    {"ranks and threads change no bit", ranks_and_threads_change_no_bit},
    {"a round that is not applied leaves nothing", a_round_that_is_not_applied_leaves_nothing},
    {"settings that are another strategy", settings_that_are_another_strategy},
    {"clients' own terms matter", clients_own_terms_matter},
    {"corrected clients find the optimum", corrected_clients_find_the_optimum}};
int main(void) { return check_run("contract_federated_rounds", checks, sizeof checks / sizeof *checks); }
