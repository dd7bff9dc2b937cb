/* Arrays of HDF5 files: types as the header promises, what is refused, damaged files. */
#include <hdf5.h>
#include <math.h>

#include "io/arrays.h"
#include "scratch.h"

/* Of the sanitizers, when the program is built with them. Damaged files make HDF5 itself ask for absurd memory, which
 * it survives, and lose some of its own blocks: leaks are not counted there, and only there. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

static void fill(cohort_array *array) {
  for (int64_t i = 0; i < cohort_array_elements(array); i++) {
    if (array->type == COHORT_ARRAY_FLOAT32) ((float *)array->data)[i] = 0.1f * (float)i;
    if (array->type == COHORT_ARRAY_FLOAT64) ((double *)array->data)[i] = -1e-300 * (double)i;
    if (array->type == COHORT_ARRAY_INT32) ((int32_t *)array->data)[i] = (int32_t)(i - 2);
    if (array->type == COHORT_ARRAY_INT64) ((int64_t *)array->data)[i] = INT64_MAX - i;
  }
}

static const size_t bytes_of[] = {4, 8, 4, 8};

static void written_is_read(void) {
  char *const directory = scratch_create();
  char *const path = cohort_format_text("%s/a.h5", directory);
  cohort_arrays arrays = {0}, again = {0};
  fill(cohort_arrays_add(&arrays, "x", COHORT_ARRAY_FLOAT32, 2, (const int64_t[]){3, 4}));
  fill(cohort_arrays_add(&arrays, "parameters/w", COHORT_ARRAY_FLOAT64, 1, (const int64_t[]){5}));
  fill(cohort_arrays_add(&arrays, "parameters/deep/i", COHORT_ARRAY_INT32, 8,
                         (const int64_t[]){1, 2, 1, 2, 1, 1, 1, 3}));
  fill(cohort_arrays_add(&arrays, "j", COHORT_ARRAY_INT64, 0, NULL));
  fill(cohort_arrays_add(&arrays, "none", COHORT_ARRAY_FLOAT32, 2, (const int64_t[]){0, 7}));
  CU_ASSERT_EQUAL_FATAL(cohort_arrays_write(path, &arrays, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(cohort_arrays_read(path, &again, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(again.count, arrays.count);
  for (int i = 0; i < arrays.count; i++) {
    const cohort_array *const wanted = &arrays.items[i], *const found = cohort_arrays_find(&again, wanted->name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT_EQUAL(found->type, wanted->type);
    CU_ASSERT_EQUAL(found->axes, wanted->axes);
    CU_ASSERT_FALSE(found->used);
    for (int a = 0; a < wanted->axes; a++) CU_ASSERT_EQUAL(found->size[a], wanted->size[a]);
    CU_ASSERT_EQUAL(memcmp(found->data, wanted->data, (size_t)cohort_array_elements(wanted) * bytes_of[wanted->type]),
                    0);
  }
  CU_ASSERT_PTR_NULL(cohort_arrays_find(&again, "parameters"));
  cohort_arrays named = {0}, shapes = {0};
  const char *const names[] = {"j", "x", "absent", NULL};
  CU_ASSERT_EQUAL_FATAL(cohort_arrays_read_named(path, names, &named, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(named.count, 2);
  CU_ASSERT_EQUAL(*(int64_t *)cohort_arrays_find(&named, "j")->data, INT64_MAX);
  CU_ASSERT_EQUAL_FATAL(cohort_arrays_read_shapes(path, names, &shapes, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(shapes.count, 2);
  CU_ASSERT_EQUAL(cohort_arrays_find(&shapes, "x")->size[1], 4);
  CU_ASSERT_PTR_NULL(cohort_arrays_find(&shapes, "x")->data);
  cohort_arrays_release(&named);
  cohort_arrays_release(&shapes);
  char *const part = cohort_format_text("%s.part", path);
  CU_ASSERT_NOT_EQUAL(access(part, F_OK), 0);
  cohort_arrays_release(&arrays);
  cohort_arrays_release(&again);
  CU_ASSERT_EQUAL(again.count, 0);
  free(part);
  free(path);
  scratch_remove(directory);
}

static void add_gives_zeros(void) {
  cohort_arrays arrays = {0};
  const cohort_array *const array = cohort_arrays_add(&arrays, "z", COHORT_ARRAY_FLOAT64, 1, (const int64_t[]){100});
  for (int i = 0; i < 100; i++) CU_ASSERT_EQUAL(((double *)array->data)[i], 0);
  cohort_arrays_release(&arrays);
}

/* A file with one dataset `d` of two values, of a type of the file's own. */
static char *typed_file(const char *directory, hid_t type, const void *data, hid_t memory) {
  char *const path = cohort_format_text("%s/t.h5", directory);
  const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(1, (const hsize_t[]){2}, NULL);
  const hid_t dataset = H5Dcreate2(file, "d", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  CU_ASSERT_TRUE_FATAL(dataset >= 0);
  if (data) CU_ASSERT_TRUE(H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
  H5Dclose(dataset);
  H5Sclose(space);
  H5Fclose(file);
  return path;
}

static void read_type(hid_t type, const void *data, hid_t memory, cohort_array_type wanted, double first,
                      double second) {
  char *const directory = scratch_create();
  char *const path = typed_file(directory, type, data, memory);
  cohort_arrays arrays;
  CU_ASSERT_EQUAL_FATAL(cohort_arrays_read(path, &arrays, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(arrays.count, 1);
  const cohort_array *const array = arrays.items;
  CU_ASSERT_EQUAL_FATAL(array->type, wanted);
  const double values[2] = {first, second};
  for (int i = 0; i < 2; i++) {
    if (wanted == COHORT_ARRAY_FLOAT32) CU_ASSERT_EQUAL(((float *)array->data)[i], (float)values[i]);
    if (wanted == COHORT_ARRAY_FLOAT64) CU_ASSERT_EQUAL(((double *)array->data)[i], values[i]);
    if (wanted == COHORT_ARRAY_INT32) CU_ASSERT_EQUAL(((int32_t *)array->data)[i], (int32_t)values[i]);
    if (wanted == COHORT_ARRAY_INT64) CU_ASSERT_EQUAL(((int64_t *)array->data)[i], (int64_t)values[i]);
  }
  cohort_arrays_release(&arrays);
  free(path);
  scratch_remove(directory);
}

static hid_t half_type(void) {
  const hid_t half = H5Tcopy(H5T_IEEE_F32LE);
  H5Tset_fields(half, 15, 10, 5, 0, 10);
  H5Tset_size(half, 2);
  H5Tset_ebias(half, 15);
  return half;
}

static void foreign_types_are_converted(void) {
  const unsigned char bytes[] = {3, 255};
  const int64_t small[] = {-7, INT32_MAX}, wide[] = {INT32_MIN - (int64_t)1, 5};
  const uint32_t unsigned_wide[] = {UINT32_MAX, 1};
  const float single[] = {0.5f, -2};
  const double real[] = {0.1, 1e300};
  read_type(H5T_STD_U8LE, bytes, H5T_NATIVE_UCHAR, COHORT_ARRAY_INT32, 3, 255);
  read_type(H5T_STD_I64BE, small, H5T_NATIVE_INT64, COHORT_ARRAY_INT32, -7, INT32_MAX);
  read_type(H5T_STD_I64LE, wide, H5T_NATIVE_INT64, COHORT_ARRAY_INT64, -2147483649.0, 5);
  read_type(H5T_STD_U32LE, unsigned_wide, H5T_NATIVE_UINT32, COHORT_ARRAY_INT64, 4294967295.0, 1);
  read_type(H5T_IEEE_F32BE, single, H5T_NATIVE_FLOAT, COHORT_ARRAY_FLOAT32, 0.5, -2);
  read_type(H5T_IEEE_F64LE, real, H5T_NATIVE_DOUBLE, COHORT_ARRAY_FLOAT64, 0.1, 1e300);
  const hid_t half = half_type();
  read_type(half, single, H5T_NATIVE_FLOAT, COHORT_ARRAY_FLOAT32, 0.5, -2);
  H5Tclose(half);
}

static void read_refused(const char *path, const char *part) {
  cohort_arrays arrays;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_arrays_read(path, &arrays, &error), COHORT_BAD_DATA);
  const bool good = strncmp(error.text, path, strlen(path)) == 0 && strstr(error.text, part);
  if (!good) printf("    \"%s\" lacks \"%s\"\n", error.text, part);
  CU_ASSERT_TRUE(good);
  CU_ASSERT_EQUAL(arrays.count, 0);
}

static void other_types_are_refused_by_name(void) {
  char *const directory = scratch_create();
  const hid_t text = H5Tcopy(H5T_C_S1), pair = H5Tcreate(H5T_COMPOUND, 8);
  H5Tset_size(text, 5);
  H5Tinsert(pair, "r", 0, H5T_NATIVE_FLOAT);
  H5Tinsert(pair, "i", 4, H5T_NATIVE_FLOAT);
  const hid_t types[] = {text, pair, H5T_NATIVE_LDOUBLE};
  for (int i = 0; i < 3; i++) {
    char *const path = typed_file(directory, types[i], NULL, 0);
    read_refused(path, "array d ");
    free(path);
  }
  const uint64_t beyond[] = {1, UINT64_MAX};
  char *const path = typed_file(directory, H5T_STD_U64LE, beyond, H5T_NATIVE_UINT64);
  read_refused(path, "array d ");
  H5Tclose(text);
  H5Tclose(pair);
  free(path);
  scratch_remove(directory);
}

/* A few hundred bytes that promise 32 GB are refused before memory is asked for. */
static void promises_are_not_believed(void) {
  char *const directory = scratch_create();
  char *const path = cohort_format_text("%s/t.h5", directory);
  const hsize_t size[] = {4000000000u}, chunk[] = {1000000};
  const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(1, size, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(list, 1, chunk);
  const hid_t dataset = H5Dcreate2(file, "huge", H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, list, H5P_DEFAULT);
  CU_ASSERT_TRUE_FATAL(dataset >= 0);
  H5Dclose(dataset);
  H5Pclose(list);
  H5Sclose(space);
  H5Fclose(file);
  read_refused(path, "array huge ");
  free(path);
  scratch_remove(directory);
}

static void other_files_are_refused(void) {
  char *const directory = scratch_create();
  char *const text = scratch_text(directory, "t", "x,y\n1,2\n"), *const empty = scratch_text(directory, "e", "");
  read_refused(text, "not an HDF5 file");
  read_refused(empty, "not an HDF5 file");
  read_refused(directory, "not an HDF5 file");
  read_refused("/nonexistent/a.h5", "cannot be read");
  cohort_arrays arrays = {0};
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_arrays_write("/nonexistent/a.h5", &arrays, &error), COHORT_NO_RESOURCE);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "/nonexistent/a.h5"));
  free(text);
  free(empty);
  scratch_remove(directory);
}

/* A write that fails leaves the old file as it was. */
static void failed_write_keeps_the_old_file(void) {
  char *const directory = scratch_create();
  char *const path = cohort_format_text("%s/a.h5", directory);
  cohort_arrays arrays = {0};
  fill(cohort_arrays_add(&arrays, "a", COHORT_ARRAY_INT32, 1, (const int64_t[]){3}));
  CU_ASSERT_EQUAL_FATAL(cohort_arrays_write(path, &arrays, NULL), COHORT_DONE);
  fill(cohort_arrays_add(&arrays, "a/b", COHORT_ARRAY_INT32, 1, (const int64_t[]){3})); /* a is no group */
  CU_ASSERT_EQUAL(cohort_arrays_write(path, &arrays, NULL), COHORT_NO_RESOURCE);
  cohort_arrays_release(&arrays);
  CU_ASSERT_EQUAL_FATAL(cohort_arrays_read(path, &arrays, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(arrays.count, 1);
  cohort_arrays_release(&arrays);
  free(path);
  scratch_remove(directory);
}

static void mutations_are_read_or_refused(void) {
  char *const directory = scratch_create();
  char *const seed = cohort_format_text("%s/seed.h5", directory);
  cohort_arrays arrays = {0};
  fill(cohort_arrays_add(&arrays, "x", COHORT_ARRAY_FLOAT32, 2, (const int64_t[]){3, 4}));
  fill(cohort_arrays_add(&arrays, "g/i", COHORT_ARRAY_INT64, 1, (const int64_t[]){5}));
  CU_ASSERT_EQUAL_FATAL(cohort_arrays_write(seed, &arrays, NULL), COHORT_DONE);
  cohort_arrays_release(&arrays);
  size_t bytes = 0;
  char *const data = scratch_read(seed, &bytes);
  uint64_t state = 5;
  (void)H5garbage_collect(); /* blocks it kept from before would count as leaks from there */
  int good = 0, bad = 0;
  for (int i = 0; i < 2000; i++) {
    size_t length = 0;
    unsigned char *const own = mutate(&state, data, bytes, "\1\2\10\100\377", &length);
    char *const path = scratch_file(directory, "m.h5", own, length);
    cohort_error error = {0};
    if (__lsan_disable) __lsan_disable();
    const cohort_status status = cohort_arrays_read(path, &arrays, &error);
    if (__lsan_enable) __lsan_enable();
    if (status == COHORT_DONE) {
      good++;
      cohort_arrays_release(&arrays);
    } else {
      bad++;
      CU_ASSERT_PTR_NOT_NULL(strstr(error.text, path));
      CU_ASSERT_EQUAL(arrays.count, 0);
    }
    free(path);
    free(own);
  }
  CU_ASSERT_TRUE(good > 50);
  CU_ASSERT_TRUE(bad > 200);
  free(data);
  free(seed);
  scratch_remove(directory);
}

int main(void) {
  static const check checks[] = {
      {"written is read", written_is_read},
      {"add gives zeros", add_gives_zeros},
      {"foreign types are converted", foreign_types_are_converted},
      {"other types are refused by name", other_types_are_refused_by_name},
      {"promises are not believed", promises_are_not_believed},
      {"other files are refused", other_files_are_refused},
      {"failed write keeps the old file", failed_write_keeps_the_old_file},
      {"mutations are read or refused", mutations_are_read_or_refused},
  };
  return check_run("arrays", checks, sizeof checks / sizeof *checks);
}
