/* LEAF's JSON (Caldas et al., 2018): users, how many samples each has, and their samples. Files of a folder are read
 * one after another, so memory is that of the samples and of one file as a tree. */
#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "io/dataset/samples.h"

/* What has been read so far. */
typedef struct leaf {
  const char *path; /* of the file at hand */
  int64_t samples, room, features, clients;
  bool whole; /* targets are classes */
  float *x;
  double *y;
  int32_t *client;
} leaf;

static bool is_folder(const char *path) {
  struct stat found;
  return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

bool cohort_samples_are_leaf(const char *path) {
  if (is_folder(path)) return true;
  FILE *file = fopen(path, "rb");
  int first = file ? fgetc(file) : EOF;
  while (first == ' ' || first == '\n' || first == '\r' || first == '\t') first = fgetc(file);
  if (file) (void)fclose(file);
  return first == '{';
}

static cohort_status refuse(const leaf *own, const char *user, const char *what, cohort_error *error) {
  return cohort_fail(error, COHORT_BAD_DATA, "%s: user %.64s: %s", own->path, user, what);
}

static void grow(leaf *own, int64_t more) {
  if (own->samples + more <= own->room) return;
  own->room = 2 * own->room + more;
  own->x = cohort_reallocate(own->x, (size_t)(own->room * own->features) * sizeof *own->x);
  own->y = cohort_reallocate(own->y, (size_t)own->room * sizeof *own->y);
  own->client = cohort_reallocate(own->client, (size_t)own->room * sizeof *own->client);
}

/* A sample: a list of numbers, or one number. */
static bool take_input(const leaf *own, const json_t *x, float *to) {
  if (json_is_number(x) && own->features == 1) {
    to[0] = (float)json_number_value(x);
    return true;
  }
  if (!json_is_array(x) || (int64_t)json_array_size(x) != own->features) return false;
  for (int64_t f = 0; f < own->features; f++) {
    const json_t *value = json_array_get(x, (size_t)f);
    if (!json_is_number(value)) return false;
    to[f] = (float)json_number_value(value);
  }
  return true;
}

static cohort_status take_user(leaf *own, const char *user, const json_t *data, int64_t count, cohort_error *error) {
  const json_t *x = json_object_get(data, "x"), *y = json_object_get(data, "y");
  if (!json_is_array(x) || !json_is_array(y)) return refuse(own, user, "has no lists x and y in user_data", error);
  if (!json_array_size(x)) return refuse(own, user, "has no sample; remove it", error);
  if ((int64_t)json_array_size(x) != count || (int64_t)json_array_size(y) != count)
    return refuse(own, user, "x, y and num_samples do not agree; the file may be damaged", error);
  const json_t *first = json_array_get(x, 0);
  if (json_is_string(first))
    return refuse(own, user, "its samples are texts or names of files; samples of numbers can be read", error);
  if (!own->samples) {
    own->features = json_is_array(first) ? (int64_t)json_array_size(first) : 1;
    own->whole = json_is_integer(json_array_get(y, 0));
    if (!own->features) return refuse(own, user, "its first sample has no numbers", error);
  }
  grow(own, count);
  for (int64_t i = 0; i < count; i++) {
    const json_t *target = json_array_get(y, (size_t)i);
    const int64_t at = own->samples + i;
    if (!take_input(own, json_array_get(x, (size_t)i), own->x + at * own->features))
      return refuse(own, user, "a sample of x is no list of as many numbers as the first sample has", error);
    if (!json_is_number(target) || (own->whole && !json_is_integer(target)))
      return refuse(own, user, "a target of y is no number, or not of the first one's kind", error);
    own->y[at] = json_number_value(target);
    own->client[at] = (int32_t)own->clients;
  }
  own->samples += count;
  own->clients++;
  return COHORT_DONE;
}

static cohort_status take_tree(leaf *own, const json_t *root, cohort_error *error) {
  const json_t *users = json_object_get(root, "users"), *counts = json_object_get(root, "num_samples");
  const json_t *data = json_object_get(root, "user_data");
  if (!json_is_array(users) || !json_is_array(counts) || !json_is_object(data))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: not LEAF's format: wants users, num_samples and user_data",
                       own->path);
  if (json_array_size(users) != json_array_size(counts))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: %zu users, but %zu num_samples; the file may be damaged", own->path,
                       json_array_size(users), json_array_size(counts));
  for (size_t u = 0; u < json_array_size(users); u++) {
    const char *user = json_string_value(json_array_get(users, u));
    if (!user) return cohort_fail(error, COHORT_BAD_DATA, "%s: users[%zu] is not a string", own->path, u);
    COHORT_TRY(take_user(own, user, json_object_get(data, user), json_integer_value(json_array_get(counts, u)), error));
  }
  return COHORT_DONE;
}

static cohort_status take_file(leaf *own, const char *path, cohort_error *error) {
  json_error_t fault;
  own->path = path;
  json_t *root = json_load_file(path, 0, &fault);
  if (!root)
    return cohort_fail(error, COHORT_BAD_DATA, "%s:%d:%d: not JSON, or damaged: %s", path, fault.line, fault.column,
                       fault.text);
  const cohort_status status = take_tree(own, root, error);
  json_decref(root);
  return status;
}

static int is_json(const struct dirent *entry) {
  const size_t length = strlen(entry->d_name);
  return length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static cohort_status take_folder(leaf *own, const char *path, cohort_error *error) {
  struct dirent **entry = NULL;
  const int files = scandir(path, &entry, is_json, by_name);
  cohort_status status =
      files > 0 ? COHORT_DONE : cohort_fail(error, COHORT_BAD_DATA, "%s: a folder without .json files", path);
  for (int f = 0; f < files; f++) {
    char *name = cohort_format_text("%s/%s", path, entry[f]->d_name);
    if (status == COHORT_DONE) status = take_file(own, name, error);
    free(name);
    free(entry[f]);
  }
  free(entry);
  return status;
}

static cohort_status make_samples(const leaf *own, const char *path, cohort_layout layout, cohort_samples *out,
                                  cohort_error *error) {
  cohort_arrays arrays = {0};
  const int64_t shape[2] = {own->samples, own->features};
  if (!own->samples) return cohort_fail(error, COHORT_BAD_DATA, "%s: has no users", path);
  memcpy(cohort_arrays_add(&arrays, "x", COHORT_ARRAY_FLOAT32, 2, shape)->data, own->x,
         (size_t)(own->samples * own->features) * sizeof *own->x);
  void *y = cohort_arrays_add(&arrays, "y", own->whole ? COHORT_ARRAY_INT64 : COHORT_ARRAY_FLOAT64, 1, shape)->data;
  for (int64_t i = 0; i < own->samples; i++) {
    if (own->whole)
      ((int64_t *)y)[i] = (int64_t)own->y[i];
    else
      ((double *)y)[i] = own->y[i];
  }
  memcpy(cohort_arrays_add(&arrays, COHORT_CLIENT_COLUMN, COHORT_ARRAY_INT32, 1, shape)->data, own->client,
         (size_t)own->samples * sizeof *own->client);
  const cohort_status status = cohort_samples_take_clients(path, &arrays, layout, out, error);
  cohort_arrays_release(&arrays);
  return status;
}

cohort_status cohort_samples_read_leaf(const char *path, cohort_layout layout, cohort_samples *out,
                                       cohort_error *error) {
  leaf own = {.path = path};
  cohort_status status = is_folder(path) ? take_folder(&own, path, error) : take_file(&own, path, error);
  if (status == COHORT_DONE) status = make_samples(&own, path, layout, out, error);
  free(own.x);
  free(own.y);
  free(own.client);
  return status;
}
