/* HDF5 files of plain arrays, read and written whole. An array is described before its memory is taken: more than its
 * stored bytes can stand for is refused as damage, so no header makes the program take memory without bound. Time and
 * memory are those of the data. */
#include "io/arrays.h"

#include <hdf5.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/array_storage.h"

enum { MOST_GROUPS = 32 };

static const size_t sizes[] = {sizeof(float), sizeof(double), sizeof(int32_t), sizeof(int64_t)};

static hid_t memory_type(cohort_array_type type) {
  switch (type) {
    case COHORT_ARRAY_FLOAT32:
      return H5T_NATIVE_FLOAT;
    case COHORT_ARRAY_FLOAT64:
      return H5T_NATIVE_DOUBLE;
    case COHORT_ARRAY_INT32:
      return H5T_NATIVE_INT32;
    case COHORT_ARRAY_INT64:
      return H5T_NATIVE_INT64;
  }
  return -1;
}

int64_t cohort_array_elements(const cohort_array *array) {
  int64_t elements = 1;
  for (int a = 0; a < array->axes; a++) elements *= array->size[a];
  return elements;
}

double cohort_array_get(const cohort_array *array, int64_t element) {
  switch (array->type) {
    case COHORT_ARRAY_FLOAT32:
      return (double)((const float *)array->data)[element];
    case COHORT_ARRAY_FLOAT64:
      return ((const double *)array->data)[element];
    case COHORT_ARRAY_INT32:
      return (double)((const int32_t *)array->data)[element];
    case COHORT_ARRAY_INT64:
      return (double)((const int64_t *)array->data)[element];
  }
  return NAN;
}

cohort_array *cohort_arrays_find(const cohort_arrays *arrays, const char *name) {
  for (int i = 0; i < arrays->count; i++)
    if (strcmp(arrays->items[i].name, name) == 0) return &arrays->items[i];
  return NULL;
}

static cohort_array *add_shape(cohort_arrays *arrays, const char *name, cohort_array_type type, int axes,
                               const int64_t *size) {
  arrays->items = cohort_reallocate(arrays->items, (size_t)(arrays->count + 1) * sizeof *arrays->items);
  cohort_array *array = &arrays->items[arrays->count++];
  *array = (cohort_array){.name = cohort_copy_text(name), .type = type, .axes = axes};
  for (int a = 0; a < axes; a++) array->size[a] = size[a];
  return array;
}

cohort_array *cohort_arrays_add(cohort_arrays *arrays, const char *name, cohort_array_type type, int axes,
                                const int64_t *size) {
  cohort_array *array = add_shape(arrays, name, type, axes, size);
  array->data = cohort_allocate((size_t)cohort_array_elements(array) * sizes[type] + 1);
  return array;
}

void cohort_arrays_release(cohort_arrays *arrays) {
  for (int i = 0; i < arrays->count; i++) {
    free(arrays->items[i].name);
    free(arrays->items[i].data);
  }
  free(arrays->items);
  memset(arrays, 0, sizeof *arrays);
}

typedef struct reading {
  const char *path;
  const char *const *names; /* wanted, NULL-ended; or NULL: all */
  bool shapes_only;
  cohort_arrays *arrays;
  cohort_error *error;
  cohort_status status;
} reading;

/* Integers are INT32 unless the file's type is wider and some value needs it. */
static void narrow(cohort_array *array) {
  int64_t *wide = array->data;
  const int64_t elements = cohort_array_elements(array);
  for (int64_t i = 0; i < elements; i++)
    if (wide[i] < INT32_MIN || wide[i] > INT32_MAX) return;
  int32_t *narrow_data = cohort_allocate((size_t)elements * sizeof *narrow_data + 1);
  for (int64_t i = 0; i < elements; i++) narrow_data[i] = (int32_t)wide[i];
  free(array->data);
  array->data = narrow_data;
  array->type = COHORT_ARRAY_INT32;
}

/* What the file says of a dataset. */
typedef struct described {
  cohort_array_type kind;
  bool unsigned_wide; /* 64 bits without a sign: INT64 may not hold it */
  bool boolean;
  int axes;
  int64_t size[8];
  double elements;
} described;

/* Data that no stored bytes can stand for are a damaged header or a trap, not an array; deflate packs 1032 to 1. */
static bool is_believable(hid_t dataset, const described *found) {
  const double bytes = found->elements * (double)sizes[found->kind];
  return bytes <= 64e6 || bytes <= 1100.0 * (double)H5Dget_storage_size(dataset);
}

/* h5py writes booleans as an enumeration of one byte. */
static bool is_boolean(H5T_class_t class, size_t bytes) { return class == H5T_ENUM && bytes == 1; }

static cohort_status describe(const reading *own, const char *name, hid_t dataset, hid_t type, hid_t space,
                              described *out) {
  const H5T_class_t class = H5Tget_class(type);
  const size_t bytes = H5Tget_size(type);
  if ((class != H5T_FLOAT && class != H5T_INTEGER && !is_boolean(class, bytes)) || bytes > 8)
    return cohort_fail(own->error, COHORT_BAD_DATA, "%s: array %s holds neither real numbers nor integers", own->path,
                       name);
  const int axes = H5Sget_simple_extent_ndims(space);
  if (axes < 0 || axes > 8 || H5Sget_simple_extent_type(space) == H5S_NULL)
    return cohort_fail(own->error, COHORT_BAD_DATA, "%s: array %s has %d axes; 0 to 8 with data are read", own->path,
                       name, axes);
  *out = (described){.kind = class != H5T_FLOAT ? COHORT_ARRAY_INT64
                             : bytes > 4        ? COHORT_ARRAY_FLOAT64
                                                : COHORT_ARRAY_FLOAT32,
                     .unsigned_wide = class == H5T_INTEGER && bytes == 8 && H5Tget_sign(type) == H5T_SGN_NONE,
                     .boolean = class == H5T_ENUM,
                     .axes = axes,
                     .elements = 1};
  hsize_t size[H5S_MAX_RANK];
  (void)H5Sget_simple_extent_dims(space, size, NULL);
  for (int a = 0; a < axes; a++) {
    out->size[a] = (int64_t)size[a];
    out->elements *= (double)size[a];
  }
  if (out->elements > 4e9 || !is_believable(dataset, out))
    return cohort_fail(own->error, COHORT_BAD_DATA, "%s: array %s is too large: %.0f elements", own->path, name,
                       out->elements);
  return COHORT_DONE;
}

static bool read_booleans(hid_t dataset, cohort_array *array) {
  const int64_t elements = cohort_array_elements(array);
  uint8_t *bytes = cohort_allocate((size_t)elements + 1);
  const hid_t type = H5Dget_type(dataset);
  const bool good = elements == 0 || H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes) >= 0;
  (void)H5Tclose(type);
  for (int64_t i = 0; good && i < elements; i++) ((int64_t *)array->data)[i] = bytes[i];
  free(bytes);
  return good;
}

static cohort_status read_values(const reading *own, hid_t dataset, const described *found, cohort_array *array) {
  if (found->elements == 0 && found->kind != COHORT_ARRAY_INT64) return COHORT_DONE;
  const hid_t memory = found->unsigned_wide ? H5T_NATIVE_UINT64 : memory_type(found->kind);
  const bool good = found->boolean ? read_booleans(dataset, array)
                                   : found->elements == 0 ||
                                         H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, array->data) >= 0;
  if (!good) return cohort_fail(own->error, COHORT_BAD_DATA, "%s: array %s cannot be read", own->path, array->name);
  const int64_t elements = cohort_array_elements(array);
  for (int64_t i = 0; found->unsigned_wide && i < elements; i++)
    if (((const uint64_t *)array->data)[i] > INT64_MAX)
      return cohort_fail(own->error, COHORT_BAD_DATA, "%s: array %s holds integers of more than 63 bits", own->path,
                         array->name);
  if (found->kind == COHORT_ARRAY_INT64) narrow(array);
  return COHORT_DONE;
}

static cohort_status read_dataset(const reading *own, const char *name, hid_t dataset) {
  const hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
  described found = {.kind = COHORT_ARRAY_FLOAT64};
  cohort_status status = describe(own, name, dataset, type, space, &found);
  if (status == COHORT_DONE) status = cohort_array_check_stored(own->path, name, dataset, own->error);
  if (status == COHORT_DONE && own->shapes_only)
    (void)add_shape(own->arrays, name, found.kind, found.axes, found.size);
  else if (status == COHORT_DONE)
    status =
        read_values(own, dataset, &found, cohort_arrays_add(own->arrays, name, found.kind, found.axes, found.size));
  (void)H5Tclose(type);
  (void)H5Sclose(space);
  return status;
}

static bool is_wanted(const reading *own, const char *name) {
  const char *const *wanted = own->names;
  while (wanted && *wanted && strcmp(*wanted, name) != 0) wanted++;
  return !wanted || *wanted;
}

/* HDF5 takes time and stack by the square of the depth, and no array that somebody means lies deep. */
static bool is_too_deep(const char *name) {
  int depth = 0;
  for (; *name; name++) depth += *name == '/';
  return depth >= MOST_GROUPS;
}

static herr_t visit(hid_t root, const char *name, const H5O_info_t *info, void *argument) {
  reading *own = argument;
  if (is_too_deep(name)) {
    own->status =
        cohort_fail(own->error, COHORT_BAD_DATA, "%s: groups are nested more than %d deep; is it a file of arrays?",
                    own->path, MOST_GROUPS);
    return 1;
  }
  if (info->type != H5O_TYPE_DATASET || !is_wanted(own, name)) return 0;
  const hid_t dataset = H5Dopen2(root, name, H5P_DEFAULT);
  if (dataset < 0) {
    own->status = cohort_fail(own->error, COHORT_BAD_DATA, "%s: array %s cannot be opened", own->path, name);
    return 1;
  }
  own->status = read_dataset(own, name, dataset);
  (void)H5Dclose(dataset);
  return own->status == COHORT_DONE ? 0 : 1;
}

static cohort_status read_file(reading *own) {
  const char *path = own->path;
  cohort_error *error = own->error;
  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* our message is enough */
  memset(own->arrays, 0, sizeof *own->arrays);
  if (access(path, R_OK) != 0) return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be read; does it exist?", path);
  const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file < 0) return cohort_fail(error, COHORT_BAD_DATA, "%s: not an HDF5 file, or damaged", path);
  if (H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, visit, own) < 0 && own->status == COHORT_DONE)
    own->status = cohort_fail(error, COHORT_BAD_DATA, "%s: damaged: its groups cannot be read", path);
  (void)H5Fclose(file);
  if (own->status != COHORT_DONE) cohort_arrays_release(own->arrays);
  return own->status;
}

cohort_status cohort_arrays_read(const char *path, cohort_arrays *out, cohort_error *error) {
  reading own = {.path = path, .arrays = out, .error = error};
  return read_file(&own);
}

cohort_status cohort_arrays_read_shapes(const char *path, const char *const *names, cohort_arrays *out,
                                        cohort_error *error) {
  reading own = {.path = path, .names = names, .shapes_only = true, .arrays = out, .error = error};
  return read_file(&own);
}

cohort_status cohort_arrays_read_named(const char *path, const char *const *names, cohort_arrays *out,
                                       cohort_error *error) {
  reading own = {.path = path, .names = names, .arrays = out, .error = error};
  return read_file(&own);
}

static bool write_array(hid_t file, const cohort_array *array) {
  hsize_t size[8];
  for (int a = 0; a < array->axes; a++) size[a] = (hsize_t)array->size[a];
  const hid_t links = H5Pcreate(H5P_LINK_CREATE);
  (void)H5Pset_create_intermediate_group(links, 1);
  const hid_t space = array->axes ? H5Screate_simple(array->axes, size, NULL) : H5Screate(H5S_SCALAR);
  const hid_t dataset = H5Dcreate2(file, array->name, memory_type(array->type), space, links, H5P_DEFAULT, H5P_DEFAULT);
  bool good = dataset >= 0;
  if (good && cohort_array_elements(array) > 0)
    good = H5Dwrite(dataset, memory_type(array->type), H5S_ALL, H5S_ALL, H5P_DEFAULT, array->data) >= 0;
  if (dataset >= 0) good = H5Dclose(dataset) >= 0 && good;
  (void)H5Sclose(space);
  (void)H5Pclose(links);
  return good;
}

cohort_status cohort_arrays_write(const char *path, const cohort_arrays *arrays, cohort_error *error) {
  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  char *hidden = cohort_format_text("%s.part", path);
  (void)unlink(hidden); /* left over, or a link to another file: a new one is made, never one opened */
  const hid_t file = H5Fcreate(hidden, H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT);
  bool good = file >= 0;
  for (int i = 0; i < arrays->count && good; i++) good = write_array(file, &arrays->items[i]);
  if (file >= 0) good = H5Fclose(file) >= 0 && good;
  good = good && rename(hidden, path) == 0;
  if (!good) (void)unlink(hidden);
  free(hidden);
  return good ? COHORT_DONE : cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be written", path);
}
