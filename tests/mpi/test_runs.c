/* Runs inside an MPI job: test_mpi_runs_ranks FIRST SECOND FOLDER
 *
 * The halves of the ranks train one config each at the same time and leave FOLDER/first.h5 and second.h5; then all
 * ranks share a hundred trials of FIRST, each on one rank, of which number 17 leaves FOLDER/trial.h5. tests/mpi/runs.sh
 * holds them against `cohort train`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "io/config.h"
#include "mpi/world.h"
#include "train/engine/items.h"
#include "train/run/run.h"
#include "train/task/data_sets.h"

enum { TRIALS = 100, KEPT = 17 };

static const cohort_log silence;

/* Trains a config with some words to its end; saves it as FOLDER/name unless that is NULL. */
static cohort_status train(const char *path, int words, char *const *word, cohort_comm *comm, cohort_data_sets *sets,
                           const char *folder, const char *name, double *loss, cohort_error *error) {
  cohort_document *document = NULL;
  cohort_settings settings;
  cohort_faults faults = {NULL, 0};
  cohort_run *run = NULL;
  cohort_run_row row;
  COHORT_TRY(cohort_config_read(path, words, word, &document, error));
  cohort_settings_read(document, &settings, &faults);
  settings.data_sets = sets;
  cohort_status status = cohort_faults_status(&faults, error);
  if (status == COHORT_DONE) status = cohort_run_create(&settings, comm, &silence, 1, &run, error);
  for (int64_t s = 0; status == COHORT_DONE && s < settings.steps; s++)
    status = cohort_run_step(run, false, &row, error);
  if (status == COHORT_DONE) *loss = row.loss;
  if (status == COHORT_DONE && name) status = cohort_run_save(run, folder, name, NULL, error);
  cohort_run_destroy(run);
  cohort_settings_release(&settings);
  cohort_faults_release(&faults);
  cohort_document_destroy(document);
  return status;
}

typedef struct trials {
  const char *path, *folder;
  cohort_data_sets *sets;
} trials;

static cohort_status run_trial(void *argument, int executor, int item, void *row, double *numbers,
                               cohort_error *error) {
  const trials *all = argument;
  (void)executor, (void)row;
  char rate[64], seed[32];
  snprintf(rate, sizeof rate, "optimizer.adamw.learning_rate=%g", 1e-4 * (1 + item));
  snprintf(seed, sizeof seed, "seed=%d", item);
  cohort_comm alone = cohort_comm_alone();
  return train(all->path, 2, (char *[]){rate, seed}, &alone, all->sets, all->folder, item == KEPT ? "trial.h5" : NULL,
               numbers, error);
}

static cohort_status run_trials(cohort_comm *comm, const char *path, const char *folder, cohort_error *error) {
  double cost[TRIALS];
  trials all = {path, folder, cohort_data_sets_create()};
  for (int t = 0; t < TRIALS; t++) cost[t] = 1;
  cohort_item_order order = {0};
  cohort_item_order_create(TRIALS, cost, comm->size, &order);
  cohort_items *items = cohort_items_create(comm, 1, sizeof(float), 0);
  const cohort_item_work work = {.argument = &all, .run = run_trial, .numbers = 1};
  cohort_item_results results = {0};
  const double start = cohort_clock_seconds();
  cohort_items_run(items, &order, &work, &results);
  if (comm->rank == 0)
    printf("%d trials on %d ranks: %.2f ms each\n", TRIALS, comm->size,
           1e3 * (cohort_clock_seconds() - start) / TRIALS);
  cohort_items_destroy(items);
  cohort_data_sets_destroy(all.sets);
  cohort_item_order_release(&order);
  *error = results.error;
  return results.failed ? COHORT_BUG : COHORT_DONE;
}

int main(int count, char **word) {
  cohort_comm comm, half;
  cohort_error error = {.text = ""};
  double loss;
  if (count < 4 || cohort_world_open(&comm, &error) != COHORT_DONE) return 2;
  const int number = cohort_comm_split(&comm, comm.size > 1 ? 2 : 1, &half);
  cohort_status status =
      train(word[1 + number], 0, NULL, &half, NULL, word[3], number ? "second.h5" : "first.h5", &loss, &error);
  cohort_comm_part_close(&half);
  status = cohort_comm_agree_error(&comm, status, &error);
  if (status == COHORT_DONE) status = run_trials(&comm, word[1], word[3], &error);
  if (status != COHORT_DONE && comm.rank == 0) fprintf(stderr, "%s\n", error.text);
  cohort_world_close(&comm);
  return (int)status;
}
