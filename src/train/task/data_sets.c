/* Shared data sets: a list under a lock. What a set has read names its columns by texts of its own, as the config that
 * asked first may be gone. Finding one costs a comparison of texts for each that there is. */
#include "train/task/data_sets.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

typedef struct data_set {
  struct data_set *next;
  char *path, *labels;
  cohort_layout layout;
  char *column[COHORT_MAX_SAMPLE_COLUMNS + 1]; /* NULL-ended */
  cohort_samples samples;
} data_set;

struct cohort_data_sets {
  pthread_mutex_t mutex;
  data_set *first;
};

cohort_data_sets *cohort_data_sets_create(void) {
  cohort_data_sets *sets = cohort_allocate(sizeof *sets);
  pthread_mutex_init(&sets->mutex, NULL);
  return sets;
}

static void destroy(data_set *set) {
  cohort_samples_release(&set->samples);
  for (int c = 0; set->column[c]; c++) free(set->column[c]);
  free(set->path);
  free(set->labels);
  free(set);
}

void cohort_data_sets_destroy(cohort_data_sets *sets) {
  if (!sets) return;
  for (data_set *set = sets->first, *next; set; set = next) {
    next = set->next;
    destroy(set);
  }
  pthread_mutex_destroy(&sets->mutex);
  free(sets);
}

static cohort_status read_samples(const cohort_data_request *request, cohort_samples *out, cohort_error *error) {
  if (request->labels) return cohort_samples_read_idx(request->path, request->labels, out, error);
  COHORT_TRY(cohort_samples_read(request->path, request->layout, out, error));
  return cohort_samples_read_columns(request->path, request->columns, out, error);
}

static bool same_text(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

static bool is_of(const data_set *set, const cohort_data_request *request) {
  if (!same_text(set->path, request->path) || !same_text(set->labels, request->labels)) return false;
  if (set->layout != request->layout) return false;
  int c = 0;
  while (request->columns[c] && set->column[c] && strcmp(request->columns[c], set->column[c]) == 0) c++;
  return !request->columns[c] && !set->column[c];
}

static cohort_status add(cohort_data_sets *sets, const cohort_data_request *request, data_set **out,
                         cohort_error *error) {
  data_set *set = cohort_allocate(sizeof *set);
  set->path = cohort_copy_text(request->path);
  set->labels = request->labels ? cohort_copy_text(request->labels) : NULL;
  set->layout = request->layout;
  for (int c = 0; c < COHORT_MAX_SAMPLE_COLUMNS && request->columns[c]; c++)
    set->column[c] = cohort_copy_text(request->columns[c]);
  const cohort_data_request own = {set->path, set->labels, set->layout, (const char *const *)set->column};
  const cohort_status status = read_samples(&own, &set->samples, error);
  if (status != COHORT_DONE) {
    destroy(set);
    return status;
  }
  set->next = sets->first;
  *out = sets->first = set;
  return COHORT_DONE;
}

cohort_status cohort_data_sets_samples(cohort_data_sets *sets, const cohort_data_request *request, cohort_samples *out,
                                       cohort_error *error) {
  if (!sets) return read_samples(request, out, error);
  pthread_mutex_lock(&sets->mutex);
  data_set *set = sets->first;
  while (set && !is_of(set, request)) set = set->next;
  const cohort_status status = set ? COHORT_DONE : add(sets, request, &set, error);
  pthread_mutex_unlock(&sets->mutex);
  if (status == COHORT_DONE) *out = set->samples;
  return status;
}
