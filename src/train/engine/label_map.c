/* Counts labels by client, of neighbours together. Costs two walks over the samples, sorting the clients, and 24 bytes
 * a client. */
#include "train/engine/label_map.h"

#include <stdlib.h>

#include "base/memory.h"

enum { MOST_NUMBERED = 50, MOST_COLUMNS = 350, MOST_ROWS = 100, MOST_CELLS = 12000 };

/* A client by what it has most of. */
typedef struct leaning {
  int64_t client;
  int32_t label;
  float share;
} leaning;

static int by_label(const void *a, const void *b) {
  const leaning *x = a, *y = b;
  if (x->label != y->label) return x->label < y->label ? -1 : 1;
  if (x->share > y->share || x->share < y->share) return x->share > y->share ? -1 : 1;
  return (x->client > y->client) - (x->client < y->client);
}

/* Of the sample at a place of all clients' samples, one client's after another's. */
static int32_t label_at(const cohort_population *population, const int32_t *labels, int64_t at) {
  return labels[population->sample ? population->sample[at] : at];
}

static int32_t labels_of(const cohort_population *population, const int32_t *labels) {
  int32_t most = 0;
  for (int64_t i = 0; i < population->first[population->clients]; i++)
    if (label_at(population, labels, i) > most) most = label_at(population, labels, i);
  return most + 1;
}

/* `count` [labels] is zero, and is left so. */
static leaning lean(const cohort_population *population, const int32_t *labels, int64_t client, int64_t *count) {
  const int64_t first = population->first[client], end = population->first[client + 1];
  leaning own = {.client = client};
  for (int64_t i = first; i < end; i++) {
    const int32_t label = label_at(population, labels, i);
    count[label]++;
    const int64_t more = count[label] - count[own.label];
    if (more > 0 || (more == 0 && label < own.label)) own.label = label;
  }
  if (end > first) own.share = (float)((double)count[own.label] / (double)(end - first));
  for (int64_t i = first; i < end; i++) count[label_at(population, labels, i)] = 0;
  return own;
}

static int64_t ceiling(int64_t a, int64_t b) { return (a + b - 1) / b; }

static void lay_out(cohort_label_map *out) {
  out->labels_a_row = ceiling(out->labels, MOST_ROWS);
  out->rows = (int)ceiling(out->labels, out->labels_a_row);
  const int64_t cells = MOST_CELLS / out->rows, most = cells < MOST_COLUMNS ? cells : MOST_COLUMNS;
  out->clients_a_column = ceiling(out->clients, most);
  out->columns = (int)ceiling(out->clients, out->clients_a_column);
  out->ordered = out->clients > MOST_NUMBERED;
}

static void fill(const cohort_population *population, const int32_t *labels, const leaning *order,
                 cohort_label_map *out) {
  for (int64_t at = 0; at < out->clients; at++) {
    const int64_t column = at / out->clients_a_column, client = order[at].client;
    for (int64_t i = population->first[client]; i < population->first[client + 1]; i++) {
      out->share[label_at(population, labels, i) / out->labels_a_row * out->columns + column]++;
      out->samples[column]++;
    }
  }
  for (int64_t column = 0; column < out->columns; column++) {
    const int64_t first = column * out->clients_a_column, end = first + out->clients_a_column;
    for (int row = 0; row < out->rows; row++)
      if (out->samples[column] > 0) out->share[row * out->columns + column] /= out->samples[column];
    out->samples[column] /= (double)((end < out->clients ? end : out->clients) - first);
  }
}

void cohort_label_map_create(const cohort_population *population, const int32_t *labels, cohort_label_map *out) {
  *out = (cohort_label_map){.clients = population->clients, .labels = labels_of(population, labels)};
  lay_out(out);
  out->share = cohort_allocate((size_t)(out->rows * out->columns) * sizeof *out->share);
  out->samples = cohort_allocate((size_t)out->columns * sizeof *out->samples);
  leaning *order = cohort_allocate((size_t)out->clients * sizeof *order);
  int64_t *count = cohort_allocate((size_t)out->labels * sizeof *count);
  for (int64_t c = 0; c < out->clients; c++) order[c] = lean(population, labels, c, count);
  if (out->ordered) qsort(order, (size_t)out->clients, sizeof *order, by_label);
  fill(population, labels, order, out);
  free(count);
  free(order);
}

void cohort_label_map_release(cohort_label_map *map) {
  free(map->share);
  free(map->samples);
  *map = (cohort_label_map){.rows = 0};
}
