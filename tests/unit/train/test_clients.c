/* Rounds of clients with modules (a change on its way, a join of another kind, what follows it), with a strategy that
 * uses all that strategies may, with nobody, and with clients that began at older weights. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "train/engine/clients.h"

enum { BODY = 40, SIZE = 64, CLIENTS = 9, ROUNDS = 4, RANKS = 3 };

/* Loss |w - target|^2 / 2, where the target is the client's number at every element. */
static bool ask(void *argument, const cohort_client_question *question, double *loss) {
  (void)argument;
  const float *w = question->point;
  *loss = 0;
  for (int e = 0; e < SIZE; e++) {
    const float away = w[e] - (float)question->client;
    if (question->gradient) ((float *)question->gradient)[e] = away;
    *loss += 0.5 * (double)(away * away);
  }
  return true;
}

/* ---- a strategy of the test's own ---- */

enum { OWN = COHORT_FEDERATED_VECTORS, HEADS, TIMES, MARK, SEEN, PART, MIX };

static int64_t every(const void *config, int64_t clients) {
  (void)config;
  return clients;
}
static double seven(const void *config, int64_t clients) {
  (void)config, (void)clients;
  return 7;
}

static const cohort_federated_vector vectors[] = {
    {"own", COHORT_SIDE_CLIENT, .from_weights = true, .stepped = true, .evaluated = true,
     .meaning = "a model of its own"},
    {"heads", COHORT_SIDE_CLIENT, .layout = COHORT_LIKE_PERSONAL, .from_weights = true, .meaning = "its head"},
    {"times", COHORT_SIDE_CLIENT, .layout = COHORT_LIKE_NUMBERS, .initial = seven, .meaning = "7 + rounds"},
    {"mark", COHORT_SIDE_UPLOAD, .layout = COHORT_LIKE_NUMBERS, .meaning = "its number"},
    {"seen", COHORT_SIDE_SERVER, .layout = COHORT_LIKE_NUMBERS, .count = every, .meaning = "rounds of each"},
    {"part", COHORT_SIDE_UPLOAD, .weighted = true, .meaning = "the client's number everywhere"},
    {"mix", COHORT_SIDE_ROUND, .meaning = "of the two models"},
    {.name = NULL},
};

static bool is_head(const void *config, const cohort_parameter_tensor *tensor, int number, int tensors) {
  (void)config;
  return strcmp(tensor->name, "head") == 0 && number == tensors - 1;
}

static cohort_status begin(cohort_federated_client *client, cohort_error *error) {
  (void)error;
  client->call->combine(client, COHORT_CLIENT_LOCAL, 1, HEADS, 0, HEADS);
  client->call->numbers(client, TIMES)[0]++;
  client->call->numbers(client, MARK)[0] = (double)client->client;
  client->call->fill(client, COHORT_FILL_VALUE, PART, NULL, (double)client->client);
  return COHORT_DONE;
}

/* One step of the head, then the body's, then as many of the own model towards a mixture. */
static cohort_status local(cohort_federated_client *client, cohort_error *error) {
  COHORT_TRY(client->call->step(client, COHORT_CLIENT_LOCAL, COHORT_MOVES_PERSONAL, error));
  for (client->step = 0; client->step < client->steps; client->step++)
    COHORT_TRY(client->call->step(client, COHORT_CLIENT_LOCAL, COHORT_MOVES_SHARED, error));
  for (client->step = 0; client->step < client->steps; client->step++)
    COHORT_TRY(client->call->step(client, OWN, COHORT_MOVES_ALL, error));
  return COHORT_DONE;
}

static cohort_status gradient(cohort_federated_client *client, cohort_error *error) {
  if (client->stepped == OWN) {
    client->call->combine(client, MIX, 0.5, COHORT_CLIENT_POINT, 0.5, COHORT_CLIENT_LOCAL);
    return client->call->ask(client, MIX, COHORT_BATCH_ALL, COHORT_CLIENT_GRADIENT, NULL, error);
  }
  return client->call->ask(client, COHORT_CLIENT_POINT, client->step, COHORT_CLIENT_GRADIENT, NULL, error);
}

static cohort_status leave(cohort_federated_client *client, cohort_error *error) {
  (void)error;
  client->call->combine(client, HEADS, 1, COHORT_CLIENT_LOCAL, 0, COHORT_CLIENT_LOCAL);
  return COHORT_DONE;
}

static void receive(const cohort_federated_server *server) {
  for (int i = 0; i < (int)server->present; i++)
    server->call->numbers(server, SEEN, 0)[(int)server->call->numbers(server, MARK, i)[0]]++;
}

static cohort_status personal_model(cohort_federated_client *client, cohort_error *error) {
  (void)error;
  client->call->combine(client, COHORT_CLIENT_LOCAL, 1, HEADS, 0, HEADS);
  return COHORT_DONE;
}

static int settings(const void *config, cohort_choice_number *out) {
  (void)config;
  out[0] = (cohort_choice_number){"learning_rate", 1};
  return 1;
}

static const cohort_federated functions = {.server = "sgd",
                                           .settings = settings,
                                           .asks_all = true,
                                           .vectors = vectors,
                                           .personal = is_head,
                                           .begin = begin,
                                           .local = local,
                                           .gradient = gradient,
                                           .leave = leave,
                                           .receive = receive,
                                           .personal_model = personal_model};
static const cohort_method method = {.family = "federated", .key = "of_the_test", .functions = &functions};

/* ---- modules ---- */

static double halve(void *argument, int executor, int64_t version, int64_t client, void *change) {
  (void)argument, (void)executor, (void)version;
  for (int e = 0; e < SIZE; e++) ((float *)change)[e] *= 0.5f;
  return (double)client;
}

typedef struct counts {
  int begun, committed;
  double applied;
  float *rows; /* [CLIENTS][SIZE] */
  const double *share;
} counts;

static void count_begin(void *argument, const cohort_round *round) {
  (void)round;
  ((counts *)argument)->begun++;
}

static cohort_status add_one(void *argument, const cohort_round *round, const double *applied, void *change,
                             cohort_error *error) {
  (void)error;
  counts *own = argument;
  own->applied = 0;
  for (int i = 0; applied && i < round->present; i++) own->applied += applied[i];
  for (int e = 0; e < SIZE; e++) ((float *)change)[e] += 1;
  return COHORT_DONE;
}

static void count_commit(void *argument, const cohort_round *round, const double *losses) {
  counts *own = argument;
  for (int i = 0; i < round->present; i++) own->committed += losses[i] >= 0;
}

static cohort_status keep_share(void *argument, const cohort_round *round, const cohort_item_order *order,
                                const double *share, cohort_error *error) {
  (void)round, (void)order, (void)error;
  ((counts *)argument)->share = share;
  return COHORT_DONE;
}

static void take_row(void *argument, int executor, int item, const void *change) {
  (void)executor;
  memcpy(((counts *)argument)->rows + item * SIZE, change, SIZE * sizeof(float));
}

static cohort_status join_rows(void *argument, const cohort_round *round, void *sum, cohort_error *error) {
  (void)error;
  const counts *own = argument;
  float *out = sum;
  memset(out, 0, SIZE * sizeof *out);
  for (int i = 0; i < round->present; i++)
    for (int e = 0; e < SIZE; e++) out[e] += (float)own->share[i] * own->rows[i * SIZE + e];
  return COHORT_DONE;
}

/* ---- a federation ---- */

typedef struct federation {
  cohort_clients *clients;
  cohort_choice strategy, client;
  cohort_space *space;
  cohort_error error;
  int64_t who[CLIENTS], steps[CLIENTS];
  double samples[CLIENTS], cost[CLIENTS];
  float weights[SIZE];
} federation;

static void open_federation(cohort_comm *comm, const cohort_choice *strategy, int threads, int modules,
                            const cohort_round_module *module, federation *out) {
  memset(out, 0, sizeof *out);
  const cohort_variant variant = cohort_variant_of(cohort_processor_isa());
  const cohort_choice_number rate = {"learning_rate", 0.5};
  CU_ASSERT_EQUAL_FATAL(cohort_choice_make(variant, "optimizer", "sgd", 1, &rate, &out->client, &out->error),
                        COHORT_DONE);
  const cohort_parameter_tensor tensor[] = {
      {.name = "body", .shape = COHORT_SHAPE(BODY), .role = COHORT_ROLE_MATRIX},
      {.name = "head", .shape = COHORT_SHAPE(SIZE - 48), .role = COHORT_ROLE_HEAD}};
  out->space = cohort_space_of("trial", 2, tensor); /* the head begins at a multiple of 16 */
  CU_ASSERT_EQUAL_FATAL(out->space->elements, SIZE);
  out->strategy = *strategy;
  const cohort_clients_options options = {.comm = comm,
                                          .threads = threads,
                                          .strategy = &out->strategy,
                                          .made = &out->client,
                                          .population = CLIENTS,
                                          .space = out->space,
                                          .variant = variant,
                                          .source = {NULL, ask},
                                          .modules = modules,
                                          .module = module};
  cohort_faults faults = {NULL, 0};
  CU_ASSERT_EQUAL_FATAL(cohort_clients_create(&options, &faults, &out->clients, &out->error), COHORT_DONE);
  cohort_faults_release(&faults);
}

static void close_federation(federation *own) {
  cohort_clients_destroy(own->clients);
  cohort_space_destroy(own->space);
  cohort_choice_release(&own->client);
}

static cohort_round round_of(federation *own, int64_t number, int present) {
  for (int i = 0; i < present; i++) {
    own->who[i] = (number * 2 + i) % CLIENTS;
    own->steps[i] = 1 + own->who[i] % 3;
    own->samples[i] = (double)(1 + own->who[i]);
    own->cost[i] = (double)own->steps[i];
  }
  return (cohort_round){.number = number,
                        .present = present,
                        .client = own->who,
                        .steps = own->steps,
                        .samples = own->samples,
                        .cost = own->cost,
                        .factor = 1};
}

static const float *take_round(federation *own, const cohort_round *round) {
  void *step = NULL;
  double loss = 0;
  CU_ASSERT_EQUAL_FATAL(cohort_clients_run(own->clients, round, own->weights, &step, &loss, &own->error), COHORT_DONE);
  CU_ASSERT(round->present ? isfinite(loss) : isnan(loss));
  return step;
}

static void move(federation *own, const float *step) {
  for (int e = 0; e < SIZE; e++) own->weights[e] -= step[e];
  cohort_clients_commit(own->clients, own->weights);
}

static cohort_choice fedavg(void) {
  cohort_choice choice;
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(
      cohort_choice_make(cohort_variant_of(cohort_processor_isa()), "federated", "fedavg", 0, NULL, &choice, &error),
      COHORT_DONE);
  return choice;
}

/* ---- checks ---- */

static void modules_act_in_their_order(void) {
  cohort_comm alone = cohort_comm_alone();
  const cohort_choice strategy = fedavg();
  counts own = {.rows = NULL};
  const cohort_round_module module[] = {{.name = "half", .argument = &own, .apply = halve},
                                        {.name = "more",
                                         .argument = &own,
                                         .begin = count_begin,
                                         .apply = halve,
                                         .joined = add_one,
                                         .commit = count_commit}};
  federation plain, changed;
  open_federation(&alone, &strategy, 2, 0, NULL, &plain);
  open_federation(&alone, &strategy, 1, 2, module, &changed);
  const cohort_round first = round_of(&plain, 0, 5), second = round_of(&changed, 0, 5);
  const float *bare = take_round(&plain, &first), *step = take_round(&changed, &second);
  for (int e = 0; e < BODY; e++) CU_ASSERT_DOUBLE_EQUAL(step[e], 0.25f * bare[e] - 1, 1e-6);
  CU_ASSERT_EQUAL(own.applied, 0 + 1 + 2 + 3 + 4);
  move(&changed, step);
  CU_ASSERT(own.begun == 1 && own.committed == 5);
  /* A round of nobody has what modules add, and rounds are as large as they are. */
  const cohort_round nobody = round_of(&changed, 1, 0);
  step = take_round(&changed, &nobody);
  for (int e = 0; e < BODY; e++) CU_ASSERT_EQUAL(step[e], -1);
  move(&changed, step);
  const cohort_round all = round_of(&changed, 2, CLIENTS);
  step = take_round(&changed, &all);
  CU_ASSERT(isfinite(step[0]) && cohort_clients_losses(changed.clients)[CLIENTS - 1] > 0);
  close_federation(&plain);
  close_federation(&changed);
  cohort_choice release = strategy;
  cohort_choice_release(&release);
}

static void a_joiner_replaces_the_sum(void) {
  cohort_comm alone = cohort_comm_alone();
  const cohort_choice strategy = fedavg();
  static float rows[CLIENTS * SIZE];
  counts own = {.rows = rows};
  const cohort_joiner joiner = {&own, keep_share, take_row, join_rows};
  const cohort_round_module module = {.name = "rows", .argument = &own, .joiner = &joiner};
  federation plain, joined;
  open_federation(&alone, &strategy, 1, 0, NULL, &plain);
  open_federation(&alone, &strategy, 2, 1, &module, &joined);
  for (int64_t r = 0; r < ROUNDS; r++) {
    const cohort_round first = round_of(&plain, r, 6), second = round_of(&joined, r, 6);
    const float *sum = take_round(&plain, &first), *other = take_round(&joined, &second);
    for (int e = 0; e < SIZE; e++) CU_ASSERT_DOUBLE_EQUAL(sum[e], other[e], 1e-5);
    move(&plain, sum);
    move(&joined, other);
  }
  close_federation(&plain);
  close_federation(&joined);
  cohort_choice release = strategy;
  cohort_choice_release(&release);
}

static void clients_begin_at_older_weights(void) {
  cohort_comm alone = cohort_comm_alone();
  const cohort_choice strategy = fedavg();
  federation own;
  open_federation(&alone, &strategy, 1, 0, NULL, &own);
  static float older[SIZE];
  for (int e = 0; e < SIZE; e++) older[e] = 10;
  cohort_round round = round_of(&own, 3, 2);
  const void *start[2] = {own.weights, older};
  const int64_t version[2] = {3, 1};
  const double share[2] = {0, 1};
  round.start = start;
  round.version = version;
  round.share = share;
  own.steps[1] = 1;
  const float *step = take_round(&own, &round); /* one step of rate 1/2 from 10 to the client's number */
  CU_ASSERT_DOUBLE_EQUAL(step[0], -(0.5 * ((double)own.who[1] - 10)), 1e-6);
  close_federation(&own);
  cohort_choice release = strategy;
  cohort_choice_release(&release);
}

/* What a federation of the test's strategy has come to. */
typedef struct outcome {
  int threads;
  float weights[SIZE], own[CLIENTS * SIZE], heads[CLIENTS * SIZE], model[SIZE];
  double times[CLIENTS], seen[CLIENTS];
} outcome;

static cohort_status federate(cohort_comm *comm, void *argument) {
  outcome *all = argument;
  const cohort_choice strategy = {&method, NULL};
  federation own;
  open_federation(comm, &strategy, all->threads, 0, NULL, &own);
  for (int64_t r = 0; r < ROUNDS; r++) {
    const cohort_round round = round_of(&own, r, 4);
    move(&own, take_round(&own, &round));
  }
  static outcome elsewhere[RANKS];
  outcome *out = comm->rank ? &elsewhere[comm->rank] : all;
  memcpy(out->weights, own.weights, sizeof out->weights);
  cohort_clients_kept kept;
  CU_ASSERT(cohort_clients_keep(own.clients, 0, &kept) && !kept.like_weights && kept.elements == CLIENTS);
  memcpy(out->seen, kept.values, sizeof out->seen);
  const int64_t id[CLIENTS] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  cohort_row_table *table = cohort_clients_table(own.clients);
  CU_ASSERT_EQUAL(cohort_row_table_column(table, 1)->elements, SIZE - 48);
  cohort_row_table_read(table, CLIENTS, id, (void *[]){out->own, out->heads, out->times}, NULL);
  const int64_t asked[2] = {8, 3};
  cohort_clients_recall(own.clients, 2, asked, own.weights);
  const void *model;
  CU_ASSERT_EQUAL(cohort_clients_model(own.clients, 0, 1, ROUNDS, own.weights, &model, &own.error), COHORT_DONE);
  memcpy(out->model, model, sizeof out->model);
  CU_ASSERT_EQUAL(cohort_clients_model(own.clients, 0, 0, ROUNDS, own.weights, &model, &own.error), COHORT_DONE);
  close_federation(&own);
  return COHORT_DONE;
}

static void strategies_may_do_all_this(void) {
  static outcome first, other;
  first.threads = 1;
  CU_ASSERT_EQUAL(cohort_comm_run_threads(1, federate, &first), COHORT_DONE);
  /* Clients 0 to 3, 2 to 5, 4 to 7, 6 to 8 and 0 took part. */
  const double times[CLIENTS] = {2, 1, 2, 2, 2, 2, 2, 2, 1};
  for (int c = 0; c < CLIENTS; c++) {
    CU_ASSERT_EQUAL(first.seen[c], times[c]);
    CU_ASSERT_EQUAL(first.times[c], 7 + times[c]);
  }
  /* Heads stay with their clients: one step of rate 1/2 in a round from 0 to the client's number. */
  for (int e = 48; e < SIZE; e++) CU_ASSERT_EQUAL(first.weights[e], 0);
  CU_ASSERT(first.weights[0] > 0);
  CU_ASSERT_DOUBLE_EQUAL(first.heads[3 * (SIZE - 48)], 0.75 * 3, 1e-6);
  CU_ASSERT_EQUAL(first.model[50], first.heads[3 * (SIZE - 48) + 2]);
  CU_ASSERT_EQUAL(first.model[5], first.own[3 * SIZE + 5]);
  for (int ranks = 1; ranks <= RANKS; ranks++) {
    memset(&other, 0, sizeof other);
    other.threads = ranks == 1 ? 2 : 1;
    CU_ASSERT_EQUAL(cohort_comm_run_threads(ranks, federate, &other), COHORT_DONE);
    other.threads = first.threads;
    CU_ASSERT_EQUAL(memcmp(&first, &other, sizeof first), 0);
  }
}

static cohort_status does_nothing(cohort_federated_client *client, cohort_error *error) {
  (void)client, (void)error;
  return COHORT_DONE;
}

static void a_client_that_asks_for_nothing_is_a_fault(void) {
  static const cohort_federated idle = {.settings = settings, .local = does_nothing};
  static const cohort_method told = {.family = "federated", .key = "idle", .functions = &idle};
  cohort_comm alone = cohort_comm_alone();
  const cohort_choice strategy = {.method = &told};
  federation own;
  open_federation(&alone, &strategy, 1, 0, NULL, &own);
  const cohort_round round = round_of(&own, 0, 2);
  void *step = NULL;
  double loss = 0;
  CU_ASSERT_EQUAL(cohort_clients_run(own.clients, &round, own.weights, &step, &loss, &own.error), COHORT_BUG);
  CU_ASSERT_PTR_NOT_NULL(strstr(own.error.text, "federated idle: its clients ask for nothing"));
  close_federation(&own);
}

static const check checks[] = {
    {"modules act in their order", modules_act_in_their_order},
    {"a joiner replaces the sum", a_joiner_replaces_the_sum},
    {"clients begin at older weights", clients_begin_at_older_weights},
    {"strategies may do all this", strategies_may_do_all_this},
    {"a client that asks for nothing is a fault", a_client_that_asks_for_nothing_is_a_fault}};
int main(void) { return check_run("train_clients", checks, sizeof checks / sizeof *checks); }
