/* TensorFlow Federated's HDF5 files: /examples/CLIENT/FIELD, the first axis of each field being the client's samples.
 * All is read as arrays, then joined: memory is twice the data's for a moment. */
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/dataset/samples.h"

static const char *const inputs[] = {"pixels", "image", "features", "x", NULL};
static const char *const targets[] = {"label", "target", "y", NULL};
static const char root[] = "examples/";

bool cohort_samples_are_tff(const char *path) {
  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  const hid_t file = access(path, R_OK) == 0 ? H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT) : -1;
  H5O_info_t found;
  const bool good = file >= 0 && H5Lexists(file, "examples", H5P_DEFAULT) > 0 &&
                    H5Oget_info_by_name(file, "examples", &found, H5P_DEFAULT) >= 0 && found.type == H5O_TYPE_GROUP;
  if (file >= 0) (void)H5Fclose(file);
  return good;
}

/* The field behind examples/CLIENT/, and the length of the client's name; NULL: it is none. */
static const char *field_of(const char *name, size_t *client) {
  if (strncmp(name, root, strlen(root)) != 0) return NULL;
  *client = strcspn(name + strlen(root), "/");
  const char *field = name + strlen(root) + *client;
  return *field && !strchr(field + 1, '/') ? field + 1 : NULL;
}

static bool is_one_of(const char *const *names, const char *name) {
  while (*names && strcmp(*names, name) != 0) names++;
  return *names != NULL;
}

/* A client's arrays. Those of one client stand one after another, as HDF5 visits groups in the order of names. */
typedef struct client {
  const char *name;
  size_t length;
  const cohort_array *x, *y;
} client;

typedef struct clients {
  const char *path;
  int64_t count, samples;
  client *client;
} clients;

static cohort_status put_field(clients *own, const cohort_array *array, cohort_error *error) {
  size_t length = 0;
  const char *field = field_of(array->name, &length), *name = array->name + strlen(root);
  if (!field) return COHORT_DONE;
  client *last = own->count ? &own->client[own->count - 1] : NULL;
  if (!last || last->length != length || strncmp(last->name, name, length) != 0) {
    last = &own->client[own->count++];
    *last = (client){.name = name, .length = length};
  }
  const bool input = is_one_of(inputs, field), target = is_one_of(targets, field);
  if ((input && last->x) || (target && last->y))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: client %.*s has two fields for %s; keep one", own->path,
                       (int)length, name, input ? "x" : "y");
  if (input) last->x = array;
  if (target) last->y = array;
  return COHORT_DONE;
}

static cohort_status check_client(clients *own, const client *one, cohort_error *error) {
  const cohort_array *like = own->client[0].x;
  const int length = (int)one->length;
  if (!one->x || !one->y)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: client %.*s has no field %s", own->path, length, one->name,
                       one->x ? "label, target or y" : "pixels, image, features or x");
  if (one->x->axes < 1 || one->x->size[0] == 0)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: client %.*s has no sample; remove it", own->path, length,
                       one->name);
  const bool column = one->y->axes == 1 || (one->y->axes == 2 && one->y->size[1] == 1);
  if (!column || one->y->size[0] != one->x->size[0])
    return cohort_fail(error, COHORT_BAD_DATA, "%s: client %.*s: its targets are not one a sample", own->path, length,
                       one->name);
  bool same = one->x->axes == like->axes;
  for (int a = 1; same && a < like->axes; a++) same = one->x->size[a] == like->size[a];
  if (!same)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: client %.*s: its samples have another shape than the first ones",
                       own->path, length, one->name);
  own->samples += one->x->size[0];
  return COHORT_DONE;
}

static bool is_whole(const cohort_array *array) {
  return array->type == COHORT_ARRAY_INT32 || array->type == COHORT_ARRAY_INT64;
}

static void copy(const cohort_array *from, cohort_array *to, int64_t at) {
  const int64_t elements = cohort_array_elements(from);
  for (int64_t e = 0; e < elements; e++) {
    if (to->type == COHORT_ARRAY_FLOAT32)
      ((float *)to->data)[at + e] = (float)cohort_array_get(from, e);
    else
      ((int64_t *)to->data)[at + e] = (int64_t)cohort_array_get(from, e);
  }
}

static cohort_status join(const clients *own, cohort_layout layout, cohort_samples *out, cohort_error *error) {
  bool whole[2] = {true, true};
  for (int64_t c = 0; c < own->count; c++) {
    whole[0] = whole[0] && is_whole(own->client[c].x);
    whole[1] = whole[1] && is_whole(own->client[c].y);
  }
  cohort_arrays arrays = {0};
  int64_t shape[8] = {own->samples}, each = 1, at = 0;
  for (int a = 1; a < own->client[0].x->axes; a++) each *= shape[a] = own->client[0].x->size[a];
  (void)cohort_arrays_add(&arrays, "x", whole[0] ? COHORT_ARRAY_INT64 : COHORT_ARRAY_FLOAT32, own->client[0].x->axes,
                          shape);
  (void)cohort_arrays_add(&arrays, "y", whole[1] ? COHORT_ARRAY_INT64 : COHORT_ARRAY_FLOAT32, 1, shape);
  (void)cohort_arrays_add(&arrays, COHORT_CLIENT_COLUMN, COHORT_ARRAY_INT32, 1, shape);
  for (int64_t c = 0; c < own->count; c++) {
    copy(own->client[c].x, &arrays.items[0], at * each);
    copy(own->client[c].y, &arrays.items[1], at);
    for (int64_t i = 0; i < own->client[c].x->size[0]; i++) ((int32_t *)arrays.items[2].data)[at++] = (int32_t)c;
  }
  const cohort_status status = cohort_samples_take_clients(own->path, &arrays, layout, out, error);
  cohort_arrays_release(&arrays);
  return status;
}

static cohort_status take(clients *own, const cohort_arrays *arrays, cohort_layout layout, cohort_samples *out,
                          cohort_error *error) {
  for (int i = 0; i < arrays->count; i++) COHORT_TRY(put_field(own, &arrays->items[i], error));
  if (!own->count) return cohort_fail(error, COHORT_BAD_DATA, "%s: /examples has no clients", own->path);
  for (int64_t c = 0; c < own->count; c++) COHORT_TRY(check_client(own, &own->client[c], error));
  return join(own, layout, out, error);
}

cohort_status cohort_samples_read_tff(const char *path, cohort_layout layout, cohort_samples *out,
                                      cohort_error *error) {
  cohort_arrays arrays = {0};
  COHORT_TRY(cohort_arrays_read(path, &arrays, error));
  clients own = {.path = path, .client = cohort_allocate((size_t)(arrays.count + 1) * sizeof *own.client)};
  const cohort_status status = take(&own, &arrays, layout, out, error);
  free(own.client);
  cohort_arrays_release(&arrays);
  return status;
}
