/* Runs inside a process: a hundred trials as items, two runs at once on halves of the ranks, runs that take turns, and
 * runs that go on from memory: each has the bits of the same run alone. A trial that fails fails alone. */
#include "base/clock.h"
#include "contract/run_fixture.h"
#include "train/engine/items.h"
#include "train/task/data_sets.h"

enum { TRIALS = 100, BROKEN = 41, WEIGHTS = 4096 };

static const char mlp[] =
    "task: supervised\nsteps: 6\nbatch: 16\nlanes: 2\nseed: %d\nmodel: {mlp: {hidden: 7, layers: 1, dropout: 0.1}}\n"
    "optimizer: {adamw: {learning_rate: %g}}\nsharding: %s\n"
    "data: {train_images: DATA/images, train_labels: DATA/labels}\n";
static const char federation[] =
    "task: supervised\nsteps: 6\nseed: %d\nmodel: {mlp: {hidden: 5, layers: 1}}\n"
    "federated: {strategy: {scaffold: {learning_rate: %g}}, population: {dirichlet: {clients: 9, alpha: 1}},\n"
    "  clients_per_round: 4, local_steps: 2, local_batch: 5, client: {sgd: {learning_rate: 0.1}}}\nsharding: %s\n"
    "data: {train_images: DATA/images, train_labels: DATA/labels}\n";

/* What a run comes to. */
typedef struct result {
  double loss[RUN_STEPS];
  float weights[WEIGHTS];
} result;

static char *write_config(const char *form, int seed, double rate, const char *sharding) {
  cohort_text text = {.text = NULL};
  cohort_text_put(&text, form, seed, rate, sharding);
  return text.text;
}

/* One run with its config, in the world `comm`. */
typedef struct nested_run {
  run_config config;
  cohort_run *run;
  cohort_log log;
} nested_run;

static cohort_data_sets *shared_sets; /* or NULL: every run reads its data */

static cohort_status open_run(nested_run *own, const char *config, cohort_comm *comm, int threads,
                              cohort_error *error) {
  memset(own, 0, sizeof *own);
  if (!run_config_read(config, &own->config, error)) return COHORT_BAD_CONFIG;
  own->config.settings.data_sets = shared_sets;
  return cohort_run_create(&own->config.settings, comm, &own->log, threads, &own->run, error);
}

static void close_run(nested_run *own) {
  cohort_run_destroy(own->run);
  run_config_release(&own->config);
}

static cohort_status step_run(nested_run *own, result *out, cohort_error *error) {
  const int64_t step = cohort_run_where(own->run).step;
  cohort_run_row row;
  COHORT_TRY(cohort_run_step(own->run, false, &row, error));
  out->loss[step] = row.loss;
  return COHORT_DONE;
}

/* Weights that the ranks hold between them are whole in no rank: those of sharding parameters are left out. */
static void take_weights(const nested_run *own, result *out) {
  const cohort_space *space = cohort_run_space(own->run, 0);
  cohort_run_wait(own->run);
  CU_ASSERT_FATAL(space->elements <= WEIGHTS);
  memcpy(out->weights, space->values, (size_t)space->elements * sizeof *out->weights);
}

static cohort_status run_alone(const char *config, cohort_comm *comm, result *out, cohort_error *error) {
  nested_run own;
  cohort_status status = open_run(&own, config, comm, 1, error);
  for (int s = 0; s < RUN_STEPS && status == COHORT_DONE; s++) status = step_run(&own, out, error);
  if (status == COHORT_DONE) take_weights(&own, out);
  close_run(&own);
  return status;
}

/* ---- trials ---- */

typedef struct trials {
  result *of; /* [TRIALS] */
  _Atomic int differ;
  int threads;
  cohort_status status[TRIALS];
  double seconds;
} trials;

static char *trial_config(int trial) {
  const bool broken = trial == BROKEN;
  return write_config(trial % 3 == 2 ? federation : mlp, broken ? -1 : trial, 1e-3 * (1 + trial), "optimizer");
}

/* A trial is an item: one thread, a world of one rank. */
static cohort_status run_trial(void *argument, int executor, int item, void *row, double *numbers,
                               cohort_error *error) {
  const trials *all = argument;
  (void)executor, (void)row;
  cohort_comm alone = cohort_comm_alone();
  char *config = trial_config(item);
  const cohort_status status = run_alone(config, &alone, &all->of[item], error);
  numbers[0] = all->of[item].loss[RUN_STEPS - 1];
  free(config);
  return status;
}

static cohort_status run_trials(cohort_comm *comm, void *argument) {
  trials *all = argument;
  double cost[TRIALS], loss[TRIALS];
  cohort_status status[TRIALS];
  for (int t = 0; t < TRIALS; t++) cost[t] = 1 + t % 3;
  cohort_item_order order = {0};
  cohort_item_order_create(TRIALS, cost, comm->size, &order);
  cohort_items *items = cohort_items_create(comm, all->threads, sizeof(float), 0);
  const cohort_item_work work = {.argument = all, .run = run_trial, .numbers = 1};
  cohort_item_results results = {.numbers = loss, .status = status};
  cohort_items_run(items, &order, &work, &results);
  for (int t = 0; t < TRIALS; t++) {
    if ((status[t] == COHORT_DONE) != (t != BROKEN)) all->differ++;
    if (t != BROKEN && memcmp(&loss[t], &all->of[t].loss[RUN_STEPS - 1], sizeof *loss) != 0) all->differ++;
  }
  if (results.failed != 1 || !strstr(results.error.text, "seed")) all->differ++;
  cohort_items_destroy(items);
  cohort_item_order_release(&order);
  return COHORT_DONE;
}

static void a_hundred_trials(void) {
  static result alone[TRIALS], dealt[TRIALS];
  for (int t = 0; t < TRIALS; t++) {
    cohort_comm one = cohort_comm_alone();
    cohort_error error;
    char *config = trial_config(t);
    CU_ASSERT_EQUAL(run_alone(config, &one, &alone[t], &error), t == BROKEN ? COHORT_BAD_CONFIG : COHORT_DONE);
    free(config);
  }
  for (int ranks = 1; ranks <= 3; ranks++) {
    memset(dealt, 0, sizeof dealt);
    shared_sets = ranks > 1 ? cohort_data_sets_create() : NULL;
    trials all = {.of = dealt, .threads = ranks == 1 ? 2 : 1};
    const double start = cohort_clock_seconds();
    CU_ASSERT_EQUAL(cohort_comm_run_threads(ranks, run_trials, &all), COHORT_DONE);
    printf("%s%.2f ms a trial on %d%s", ranks == 1 ? "(" : ", ", 1e3 * (cohort_clock_seconds() - start) / TRIALS, ranks,
           ranks == 3 ? " ranks) " : "");
    cohort_data_sets_destroy(shared_sets);
    shared_sets = NULL;
    CU_ASSERT_EQUAL(all.differ, 0);
    for (int t = 0; t < TRIALS; t++) CU_ASSERT(t == BROKEN || memcmp(&dealt[t], &alone[t], sizeof dealt[t]) == 0);
  }
}

/* ---- worlds inside a world ---- */

typedef struct halves {
  char *config[2];
  result of[4], turns[2];
} halves;

/* Both halves at once. */
static cohort_status on_halves(cohort_comm *comm, void *argument) {
  halves *all = argument;
  cohort_comm half;
  cohort_error error = {.text = ""};
  const int number = cohort_comm_split(comm, 2, &half);
  const cohort_status status = run_alone(all->config[number], &half, &all->of[comm->rank], &error);
  if (status != COHORT_DONE) fprintf(stderr, "%s\n", error.text);
  cohort_comm_part_close(&half);
  return status;
}

/* Two runs on the same ranks, step by step. */
static cohort_status in_turns(cohort_comm *comm, void *argument) {
  halves *all = argument;
  nested_run run[2];
  result own[2];
  cohort_error error = {.text = ""};
  cohort_status status = COHORT_DONE;
  memset(own, 0, sizeof own);
  for (int r = 0; r < 2 && status == COHORT_DONE; r++) status = open_run(&run[r], all->config[r], comm, 1, &error);
  for (int s = 0; s < 2 * RUN_STEPS && status == COHORT_DONE; s++) status = step_run(&run[s % 2], &own[s % 2], &error);
  for (int r = 0; r < 2 && status == COHORT_DONE; r++) {
    take_weights(&run[r], &own[r]);
    if (comm->rank == 0) all->turns[r] = own[r];
  }
  for (int r = 0; r < 2; r++) close_run(&run[r]);
  return status;
}

static void two_runs_at_once(void) {
  static halves all;
  static result alone[2];
  for (int shared = 0; shared < 2; shared++) {
    memset(&all, 0, sizeof all);
    memset(alone, 0, sizeof alone);
    all.config[0] = write_config(mlp, 3, 0.01, shared ? "gradients" : "optimizer");
    all.config[1] = write_config(federation, 5, 1, shared ? "none" : "optimizer");
    for (int r = 0; r < 2; r++) {
      cohort_comm one = cohort_comm_alone();
      cohort_error error;
      CU_ASSERT_EQUAL(run_alone(all.config[r], &one, &alone[r], &error), COHORT_DONE);
    }
    CU_ASSERT_EQUAL(cohort_comm_run_threads(4, on_halves, &all), COHORT_DONE);
    for (int rank = 0; rank < 4; rank++) CU_ASSERT(memcmp(&all.of[rank], &alone[rank / 2], sizeof *alone) == 0);
    CU_ASSERT_EQUAL(cohort_comm_run_threads(2, in_turns, &all), COHORT_DONE);
    for (int r = 0; r < 2; r++) CU_ASSERT(memcmp(&all.turns[r], &alone[r], sizeof *alone) == 0);
    for (int r = 0; r < 2; r++) free(all.config[r]);
  }
}

/* ---- memory ---- */

typedef struct memory_case {
  char *config, *other;
  result of;
  _Atomic int differ;
} memory_case;

/* Half of the steps, to memory, two more that are lost; then another run takes it up. */
static cohort_status through_memory(cohort_comm *comm, void *argument) {
  memory_case *all = argument;
  nested_run first, second, third;
  result own;
  cohort_snapshot snapshot;
  cohort_error error = {.text = ""};
  memset(&own, 0, sizeof own);
  cohort_status status = open_run(&first, all->config, comm, 1, &error);
  if (status == COHORT_DONE) status = open_run(&third, all->other, comm, 1, &error);
  for (int s = 0; s < RUN_HALF && status == COHORT_DONE; s++) status = step_run(&first, &own, &error);
  if (status != COHORT_DONE) return status;
  cohort_run_to_memory(first.run, &snapshot);
  for (int s = RUN_HALF; s < RUN_HALF + 2 && status == COHORT_DONE; s++) status = step_run(&first, &own, &error);
  close_run(&first);
  if (cohort_run_from_memory(third.run, &snapshot, &error) != COHORT_BUG) all->differ++; /* of another model */
  close_run(&third);
  if (status == COHORT_DONE) status = open_run(&second, all->config, comm, 1, &error);
  if (status == COHORT_DONE) status = cohort_run_from_memory(second.run, &snapshot, &error);
  if (status == COHORT_DONE && cohort_run_where(second.run).step != RUN_HALF) all->differ++;
  cohort_snapshot_release(&snapshot);
  for (int s = RUN_HALF; s < RUN_STEPS && status == COHORT_DONE; s++) status = step_run(&second, &own, &error);
  if (status == COHORT_DONE) take_weights(&second, &own);
  close_run(&second);
  if (comm->rank == 0) all->of = own;
  if (status != COHORT_DONE) fprintf(stderr, "%s\n", error.text);
  return status;
}

static void runs_go_on_from_memory(void) {
  static const char *const shardings[] = {"optimizer", "none", "gradients", "parameters"};
  static result alone;
  static memory_case all;
  for (int i = 0; i < 6; i++) {
    const bool federated = i >= 4;
    const char *const form = federated ? federation : mlp;
    memset(&all, 0, sizeof all);
    memset(&alone, 0, sizeof alone);
    all.config = write_config(form, 11, 0.02, shardings[i % 4]);
    all.other = write_config(federated ? mlp : federation, 11, 0.02, "optimizer");
    cohort_comm one = cohort_comm_alone();
    cohort_error error;
    CU_ASSERT_EQUAL(run_alone(all.config, &one, &alone, &error), COHORT_DONE);
    for (int ranks = 1; ranks <= 2; ranks++) {
      CU_ASSERT_EQUAL(cohort_comm_run_threads(ranks, through_memory, &all), COHORT_DONE);
      CU_ASSERT_EQUAL(all.differ, 0);
      CU_ASSERT(memcmp(all.of.loss, alone.loss, sizeof alone.loss) == 0);
      if (ranks == 1 || i % 4 < 3) CU_ASSERT(memcmp(all.of.weights, alone.weights, sizeof alone.weights) == 0);
    }
    free(all.config);
    free(all.other);
  }
}

int main(void) {
  static const check checks[] = {{"a hundred trials", a_hundred_trials},
                                 {"two runs at once", two_runs_at_once},
                                 {"runs go on from memory", runs_go_on_from_memory}};
  run_make_data();
  const int failed = check_run("contract_nested", checks, sizeof checks / sizeof *checks);
  run_remove_data();
  return failed;
}
