/* Files that say who holds what. Invariant: what is written reads back to the same numbers; what is read has an owner
 * for every sample, once. Linear in samples. */
#include "io/dataset/owners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/arrays.h"
#include "io/file.h"

static const char *const wanted[] = {"owner", NULL};
static const char heading[] = "sample,client";

static cohort_status refuse_count(const char *path, int64_t found, int64_t samples, cohort_error *error) {
  return cohort_fail(error, COHORT_BAD_DATA,
                     "%s: owners of %lld samples, but there are %lld training samples; write it for these data", path,
                     (long long)found, (long long)samples);
}

/* ---- HDF5 ---- */

static cohort_status take_array(const char *path, const cohort_array *array, int64_t samples, int32_t *owner,
                                int64_t *clients, cohort_error *error) {
  const bool whole = array && (array->type == COHORT_ARRAY_INT32 || array->type == COHORT_ARRAY_INT64);
  if (!whole || array->axes != 1)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: wants an array owner [samples] of integers", path);
  if (array->size[0] != samples) return refuse_count(path, array->size[0], samples, error);
  for (int64_t i = 0; i < samples; i++) {
    const double value = cohort_array_get(array, i);
    if (!(value >= 0 && value < (double)samples))
      return cohort_fail(error, COHORT_BAD_DATA,
                         "%s: owner[%lld] is %.0f; clients are numbered from 0, and are no more than the %lld samples",
                         path, (long long)i, value, (long long)samples);
    owner[i] = (int32_t)value;
    if (owner[i] >= *clients) *clients = (int64_t)owner[i] + 1;
  }
  return COHORT_DONE;
}

static cohort_status read_array(const char *path, int64_t samples, int32_t *owner, int64_t *clients,
                                cohort_error *error) {
  cohort_arrays arrays = {0};
  COHORT_TRY(cohort_arrays_read_named(path, wanted, &arrays, error));
  const cohort_status status = take_array(path, cohort_arrays_find(&arrays, "owner"), samples, owner, clients, error);
  cohort_arrays_release(&arrays);
  return status;
}

/* ---- CSV ---- */

/* A number from 0 to below `bound` at *at, which moves behind it; -1: there is none. */
static int64_t read_number(const char **at, int64_t bound) {
  char *end = NULL;
  errno = 0;
  if (**at < '0' || **at > '9') return -1;
  const long long value = strtoll(*at, &end, 10);
  if (errno || value >= bound) return -1;
  *at = end;
  return value;
}

static cohort_status read_line(const char *path, long long line, const char **at, int64_t samples, int32_t *owner,
                               cohort_error *error) {
  const int64_t sample = read_number(at, samples), comma = sample >= 0 && **at == ',' ? ++*at, 1 : 0;
  const int64_t client = comma ? read_number(at, samples) : -1;
  if (**at == '\r') ++*at;
  if (client < 0 || (**at && **at != '\n'))
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s:%lld:1: wants sample,client, both numbers from 0 to below the %lld samples", path, line,
                       (long long)samples);
  if (owner[sample] >= 0)
    return cohort_fail(error, COHORT_BAD_DATA, "%s:%lld:1: sample %lld has an owner already; remove one of the lines",
                       path, line, (long long)sample);
  owner[sample] = (int32_t)client;
  if (**at == '\n') ++*at;
  return COHORT_DONE;
}

static cohort_status take_text(const char *path, const char *text, size_t length, int64_t samples, int32_t *owner,
                               int64_t *clients, cohort_error *error) {
  const char *at = text;
  int64_t found = 0;
  if (strlen(text) != length)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: is neither HDF5 nor text; it may be damaged", path);
  if (strncmp(text, heading, strlen(heading)) != 0)
    return cohort_fail(error, COHORT_BAD_DATA, "%s:1:1: a partition as CSV begins with the line %s", path, heading);
  at += strcspn(at, "\n");
  if (*at) at++;
  for (int64_t i = 0; i < samples; i++) owner[i] = -1;
  for (long long line = 2; *at; line++, found++) COHORT_TRY(read_line(path, line, &at, samples, owner, error));
  if (found != samples) return refuse_count(path, found, samples, error);
  for (int64_t i = 0; i < samples; i++)
    if (owner[i] >= *clients) *clients = (int64_t)owner[i] + 1;
  return COHORT_DONE;
}

static bool is_hdf5(const char *text, size_t length) {
  return length >= 8 && memcmp(text, "\x89HDF\r\n\x1a\n", 8) == 0;
}

cohort_status cohort_owners_read(const char *path, int64_t samples, int32_t **out, int64_t *clients,
                                 cohort_error *error) {
  char *text = NULL;
  size_t length = 0;
  COHORT_TRY(cohort_file_read(path, &text, &length, error));
  int32_t *owner = cohort_allocate((size_t)samples * sizeof *owner + 1);
  *clients = 0;
  const cohort_status status = is_hdf5(text, length) ? read_array(path, samples, owner, clients, error)
                                                     : take_text(path, text, length, samples, owner, clients, error);
  free(text);
  if (status == COHORT_DONE)
    *out = owner;
  else
    free(owner);
  return status;
}

/* ---- writing ---- */

static bool ends_with(const char *path, const char *ending) {
  const size_t length = strlen(path), own = strlen(ending);
  return length > own && strcmp(path + length - own, ending) == 0;
}

cohort_status cohort_owners_check_name(const char *path, cohort_error *error) {
  if (ends_with(path, ".h5") || ends_with(path, ".csv")) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG, "%s: a partition is written as HDF5 or CSV; name it .h5 or .csv", path);
}

cohort_status cohort_owners_write(const char *path, int64_t samples, const int32_t *owner, cohort_error *error) {
  COHORT_TRY(cohort_owners_check_name(path, error));
  if (ends_with(path, ".h5")) {
    cohort_arrays arrays = {0};
    cohort_array *array = cohort_arrays_add(&arrays, wanted[0], COHORT_ARRAY_INT32, 1, &samples);
    memcpy(array->data, owner, (size_t)samples * sizeof *owner);
    const cohort_status status = cohort_arrays_write(path, &arrays, error);
    cohort_arrays_release(&arrays);
    return status;
  }
  enum { LINE = 40 };
  char *text = cohort_allocate(sizeof heading + (size_t)samples * LINE);
  size_t length = (size_t)snprintf(text, sizeof heading + 1, "%s\n", heading);
  for (int64_t i = 0; i < samples; i++)
    length += (size_t)snprintf(text + length, LINE, "%lld,%d\n", (long long)i, (int)owner[i]);
  const cohort_status status = cohort_file_write(path, text, length, error);
  free(text);
  return status;
}
