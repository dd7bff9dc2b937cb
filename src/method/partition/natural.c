/* Clients that the data name: by a column, by lines of a text, by a file that says who holds what, or as the data set
 * comes. Numbers in use become clients in ascending order, so gaps in a column are no clients; those of a file are
 * taken as they are, and a gap is an error. Linear in samples, and in the largest number where that is not far above
 * their count; else a sort. */
#include <stdlib.h>
#include <string.h>

#include "method/partition/partition.h"

typedef struct named_config {
  const char *name;
} named_config;

#define NAME(key_name, text)                                                                                     \
  {                                                                                                              \
    .name = key_name, .type = COHORT_PARAMETER_TEXT, .offset = offsetof(named_config, name), .standard = "null", \
    .meaning = text                                                                                              \
  }

static const cohort_parameter column_parameters[] = {
    NAME("column", "array of the data set, [samples] integers from 0 on; y: the classes"), {.name = NULL}};
static const cohort_parameter file_parameters[] = {
    NAME("path", "HDF5 file with /owner [samples], or CSV of the columns sample, client; cohort partition writes both"),
    {.name = NULL}};
static const cohort_parameter line_parameters[] = {
    NAME("pattern",
         "regular expression; a line that it matches names its client, by its first group, or all that is matched; "
         "lines that it does not match belong to the client before"),
    {.name = NULL}};

static const char *origin(const void *config) { return ((const named_config *)config)->name; }

/* The text of the King James Bible as `bible -f` prints it: "1Sa17:4 And there went out ..." */
static const char *books_origin(const void *config) {
  (void)config;
  return "^([0-9]?[A-Za-z]+)[0-9]+:[0-9]+ ";
}

static int compare(const void *a, const void *b) {
  const int32_t first = *(const int32_t *)a, second = *(const int32_t *)b;
  return (first > second) - (first < second);
}

/* Whether numbers may stand for places in a table. */
static bool is_dense(const cohort_partition_data *data) { return data->classes <= 8 * data->samples + 65536; }

/* The numbers in use, ascending: numbers[0, count); or, where they are dense, each number's rank at its place. */
static int32_t *rank_numbers(const cohort_partition_data *data, int64_t *count) {
  *count = 0;
  if (is_dense(data)) {
    int32_t *rank = data->memory(data, (size_t)(data->classes + 1) * sizeof *rank);
    for (int64_t i = 0; i < data->samples; i++) rank[data->labels[i]] = 1;
    for (int64_t k = 0; k < data->classes; k++)
      if (rank[k]) rank[k] = (int32_t)(*count)++;
    return rank;
  }
  int32_t *number = data->memory(data, (size_t)data->samples * sizeof *number);
  memcpy(number, data->labels, (size_t)data->samples * sizeof *number);
  qsort(number, (size_t)data->samples, sizeof *number, compare);
  for (int64_t i = 0; i < data->samples; i++)
    if (!*count || number[i] != number[*count - 1]) number[(*count)++] = number[i];
  return number;
}

static int64_t count_numbers(const void *config, const cohort_partition_data *data) {
  (void)config;
  int64_t count = 0;
  (void)rank_numbers(data, &count);
  return count;
}

static cohort_status deal(const void *config, const cohort_partition_data *data, int32_t *owner, cohort_error *error) {
  (void)config, (void)error;
  int64_t count = 0;
  const int32_t *number = rank_numbers(data, &count);
  for (int64_t i = 0; i < data->samples; i++) {
    if (is_dense(data)) {
      owner[i] = number[data->labels[i]];
      continue;
    }
    const int32_t *found = bsearch(&data->labels[i], number, (size_t)count, sizeof *number, compare);
    owner[i] = (int32_t)(found - number);
  }
  return COHORT_DONE;
}

static int64_t largest(const void *config, const cohort_partition_data *data) {
  (void)config;
  return data->classes;
}

static cohort_status copy(const void *config, const cohort_partition_data *data, int32_t *owner, cohort_error *error) {
  (void)config, (void)error;
  memcpy(owner, data->labels, (size_t)data->samples * sizeof *owner);
  return COHORT_DONE;
}

static const cohort_partition column_functions = {
    .by = COHORT_PARTITION_BY_COLUMN, .origin = origin, .clients = count_numbers, .deal = deal};
static const cohort_partition file_functions = {
    .by = COHORT_PARTITION_BY_FILE, .origin = origin, .clients = largest, .deal = copy};
static const cohort_partition line_functions = {
    .by = COHORT_PARTITION_BY_LINES, .origin = origin, .clients = count_numbers, .deal = deal};
static const cohort_partition book_functions = {
    .by = COHORT_PARTITION_BY_LINES, .origin = books_origin, .clients = count_numbers, .deal = deal};
static const cohort_partition client_functions = {
    .by = COHORT_PARTITION_BY_CLIENT, .clients = count_numbers, .deal = deal};

static const cohort_method attribute = {
    .family = "partition",
    .key = "attribute",
    .summary = "a client for each number that a column of the data holds",
    .source = "folklore; flwr-datasets' NaturalIdPartitioner",
    .formula = "numbers of the column that occur, in ascending order, are clients 0, 1, ...",
    .config_size = sizeof(named_config),
    .parameters = column_parameters,
    .functions = &column_functions,
};

static const cohort_method file = {
    .family = "partition",
    .key = "file",
    .summary = "who holds what, as a file says that cohort partition or another program has written",
    .source = "folklore",
    .formula = "owner as given; numbers from 0 on without a gap",
    .config_size = sizeof(named_config),
    .parameters = file_parameters,
    .functions = &file_functions,
};

static const cohort_method lines = {
    .family = "partition",
    .key = "lines",
    .summary = "a text cut where its lines name another client: speakers, chapters, authors",
    .source = "folklore; as Shakespeare's roles in McMahan et al., AISTATS 2017, section 3",
    .formula = "a sequence belongs to the client whose lines it begins in; clients in the order of their first lines",
    .config_size = sizeof(named_config),
    .parameters = line_parameters,
    .functions = &line_functions,
};

static const cohort_method books = {
    .family = "partition",
    .key = "books",
    .summary = "the books of the Bible as natural clients: of the King James text 66",
    .source = "folklore; lines with the pattern of chapter and verse",
    .formula = "a sequence belongs to the book that it begins in; books in the order of the text",
    .config_size = 0,
    .functions = &book_functions,
};

static const cohort_method leaf = {
    .family = "partition",
    .key = "leaf",
    .summary = "the users of a data set in LEAF's JSON format",
    .title = "LEAF: A Benchmark for Federated Settings",
    .source = "Caldas, Duddu, Wu, Li, Konecny, McMahan, Smith and Talwalkar, 2018, the format of its data",
    .formula = "client u is the u-th of `users`",
    .config_size = 0,
    .functions = &client_functions,
};

static const cohort_method tff = {
    .family = "partition",
    .key = "tff",
    .summary = "the clients of a data set in TensorFlow Federated's HDF5 format",
    .source = "TensorFlow Federated, tff.simulation.datasets.FilePerUserClientData and load_data's HDF5 files",
    .formula = "client u is the u-th group of /examples in the order of their names",
    .config_size = 0,
    .functions = &client_functions,
};

const cohort_method *const cohort_partition_natural[] = {&attribute, &file, &lines, &books, &leaf, &tff, NULL};
