/* `cohort partition CONFIG`: who holds which sample in a federated run of the config, as a table and as a file that the
 * run, or another program, reads back. Nothing is trained. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/command.h"
#include "io/dataset/owners.h"
#include "train/engine/population.h"
#include "train/run/source_text.h"
#include "train/task/supervised.h"

enum { MOST_CELLS = 4000 }; /* of a table that is printed unasked */

typedef struct request {
  const char *config, *output;
  bool table;
  int overrides;
  char **override;
} request;

static int compare(const void *a, const void *b) {
  const int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;
  return (first > second) - (first < second);
}

static int64_t size_of(const cohort_population *population, int64_t client) {
  return population->first[client + 1] - population->first[client];
}

/* Of values in ascending order the one at a share of them; of the smaller ones where it falls between two. */
static long long quantile(const int64_t *value, int64_t count, double share) {
  return (long long)value[(int64_t)(share * (double)(count - 1))];
}

static void print_quantiles(const char *what, int64_t count, int64_t *value) {
  double sum = 0;
  for (int64_t c = 0; c < count; c++) sum += (double)value[c];
  qsort(value, (size_t)count, sizeof *value, compare);
  printf(
      "# %s a client: smallest %lld, 10 %% %lld, 25 %% %lld, median %lld, 75 %% %lld, 90 %% %lld, largest %lld, "
      "mean %.6g\n",
      what, quantile(value, count, 0), quantile(value, count, 0.1), quantile(value, count, 0.25),
      quantile(value, count, 0.5), quantile(value, count, 0.75), quantile(value, count, 0.9), quantile(value, count, 1),
      sum / (double)count);
}

/* How many of each class a client has. */
static void count_classes(const cohort_population *population, const int32_t *labels, int64_t client, int64_t classes,
                          int64_t *count) {
  memset(count, 0, (size_t)classes * sizeof *count);
  for (int64_t i = population->first[client]; i < population->first[client + 1]; i++)
    count[labels[population->sample[i]]]++; /* with classes samples are listed */
}

static void print_summary(const cohort_population *population, const int32_t *labels, int64_t classes) {
  const int64_t clients = population->clients;
  int64_t *value = cohort_allocate((size_t)clients * sizeof *value);
  int64_t *count = cohort_allocate((size_t)(classes + 1) * sizeof *count);
  for (int64_t c = 0; c < clients; c++) value[c] = size_of(population, c);
  print_quantiles("samples", clients, value);
  for (int64_t c = 0; labels && c < clients; c++) {
    count_classes(population, labels, c, classes, count);
    value[c] = 0;
    for (int64_t k = 0; k < classes; k++) value[c] += count[k] > 0;
  }
  if (labels) print_quantiles("classes", clients, value);
  free(count);
  free(value);
}

static void print_table(const cohort_population *population, const int32_t *labels, int64_t classes) {
  int64_t *count = cohort_allocate((size_t)(classes + 1) * sizeof *count);
  printf("client\tsamples");
  for (int64_t k = 0; labels && k < classes; k++) printf("\tclass_%lld", (long long)k);
  printf("\n");
  for (int64_t c = 0; c < population->clients; c++) {
    printf("%lld\t%lld", (long long)c, (long long)size_of(population, c));
    if (labels) count_classes(population, labels, c, classes, count);
    for (int64_t k = 0; labels && k < classes; k++) printf("\t%lld", (long long)count[k]);
    printf("\n");
  }
  free(count);
}

static void print_population(const request *own, const cohort_task *task, const char *key,
                             const cohort_population *population) {
  const bool supervised = task->functions == &cohort_task_supervised;
  const int32_t *labels = supervised ? cohort_supervised_labels(task) : NULL;
  int64_t classes = 0;
  if (labels) (void)cohort_supervised_column(task, "y", &classes);
  printf("# %s: %lld clients hold %lld %s\n", key, (long long)population->clients,
         (long long)task->samples[COHORT_SPLIT_TRAIN], task->functions->noun);
  print_summary(population, labels, classes);
  if (own->table || population->clients * (classes + 2) <= MOST_CELLS)
    print_table(population, labels, classes);
  else
    printf("# a row a client: --table prints them\n");
}

static cohort_status write_population(const request *own, const cohort_population *population, cohort_error *error) {
  const int64_t samples = population->first[population->clients];
  int32_t *owner = cohort_allocate((size_t)samples * sizeof *owner + 1);
  cohort_population_owners(population, owner);
  const cohort_status status = cohort_owners_write(own->output, samples, owner, error);
  free(owner);
  return status;
}

static cohort_status partition(const request *own, cohort_command_context *command, cohort_task *task,
                               cohort_error *error) {
  cohort_settings *settings = &command->settings;
  cohort_faults faults = {NULL, 0};
  cohort_choice choice = {NULL, NULL};
  cohort_population population = {0};
  if (!settings->is_federated)
    return cohort_fail(error, COHORT_BAD_CONFIG, "%s: has no section federated; give federated.population",
                       own->config);
  COHORT_TRY(cohort_source_text_share(&command->comm, &command->log, false, settings, error));
  cohort_status status = cohort_task_open(settings, &command->comm, &command->log, &faults, task, error);
  cohort_choice_read(COHORT_VARIANT_F64, "partition", settings->federated_settings.population, "federated.population",
                     &choice, NULL, &faults);
  if (status == COHORT_DONE) status = cohort_faults_status(&faults, error);
  if (status == COHORT_DONE) status = cohort_population_open(task, &choice, &population, error);
  if (status == COHORT_DONE && command->comm.rank == 0) {
    print_population(own, task, choice.method->key, &population);
    if (own->output) status = write_population(own, &population, error);
  }
  cohort_population_release(&population);
  cohort_choice_release(&choice);
  cohort_faults_release(&faults);
  return cohort_comm_agree_error(&command->comm, status, error);
}

static cohort_status read_words(const cohort_command_line *line, request *own, cohort_error *error) {
  for (int w = 0; w < line->count; w++) {
    char *word = line->word[w];
    if (strcmp(word, "-o") == 0) {
      if (own->output || w + 1 == line->count)
        return cohort_fail(error, COHORT_BAD_CONFIG, "partition: -o wants one file; see cohort partition --help");
      own->output = line->word[++w];
    } else if (strcmp(word, "--table") == 0) {
      own->table = true;
    } else if (word[0] == '-') {
      return cohort_fail(error, COHORT_BAD_CONFIG, "partition: unexpected %s; see cohort partition --help", word);
    } else if (!own->config) {
      own->config = word;
    } else {
      own->override[own->overrides++] = word;
    }
  }
  if (!own->config)
    return cohort_fail(error, COHORT_BAD_CONFIG, "partition: give a config; see cohort partition --help");
  return own->output ? cohort_owners_check_name(own->output, error) : COHORT_DONE;
}

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  request own = {.override = cohort_allocate((size_t)(line->count + 1) * sizeof *own.override)};
  cohort_status status = read_words(line, &own, error);
  if (status == COHORT_DONE) {
    cohort_command_context command;
    cohort_task task = {0};
    status = cohort_command_open(own.config, COHORT_CONFIG_NAMED, own.overrides, own.override, &command, error);
    if (status == COHORT_DONE) status = partition(&own, &command, &task, error);
    cohort_task_close(&task);
    status = cohort_command_close(&command, status, error);
  }
  free(own.override);
  return status;
}

const cohort_verb cohort_verb_partition = {
    .name = "partition",
    .synopsis = "CONFIG [-o FILE] [--table] [key=value ...]",
    .summary = "who holds which sample in a federated run: a table of clients and classes, and a file",
    .help =
        "Prints quantiles of the clients' samples and classes, then a row a client: how many of each class it holds\n"
        "(--table: however many rows there are).\n"
        "-o FILE.h5 writes /owner, the client of every training sample; FILE.csv the columns sample, client.\n"
        "federated.population: {file: {path: FILE}} reads both, from any program.",
    .run = run,
};
