/* Arrays whose values are not, or not wholly, in their file: refused by name and reason; views of what is there are
 * read. */
#include <hdf5.h>

#include "io/arrays.h"
#include "scratch.h"

enum { VALUES = 12, CHUNK = 5 };

typedef struct made {
  char *directory, *path;
  hid_t file, space;
} made;

static made begin(const char *name) {
  made own = {.directory = scratch_create()};
  const hsize_t size[] = {VALUES};
  own.path = cohort_format_text("%s/%s", own.directory, name);
  own.file = H5Fcreate(own.path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  own.space = H5Screate_simple(1, size, NULL);
  CU_ASSERT_TRUE_FATAL(own.file >= 0 && own.space >= 0);
  return own;
}

/* Writes the first `written` values of a dataset made with this list. */
static void put(hid_t file, hid_t space, const char *name, hid_t list, hsize_t written) {
  const hid_t dataset = H5Dcreate2(file, name, H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, list, H5P_DEFAULT);
  CU_ASSERT_TRUE_FATAL(dataset >= 0);
  double values[VALUES];
  for (int i = 0; i < VALUES; i++) values[i] = 1.5 + i;
  if (written) {
    const hsize_t start[] = {0}, count[] = {written};
    const hid_t memory = H5Screate_simple(1, count, NULL), part = H5Scopy(space);
    (void)H5Sselect_hyperslab(part, H5S_SELECT_SET, start, NULL, count, NULL);
    CU_ASSERT_TRUE(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, memory, part, H5P_DEFAULT, values) >= 0);
    (void)H5Sclose(part);
    (void)H5Sclose(memory);
  }
  (void)H5Dclose(dataset);
}

static void close_file(made *own) {
  (void)H5Sclose(own->space);
  (void)H5Fclose(own->file);
}

static void finish(made *own) {
  free(own->path);
  scratch_remove(own->directory);
}

static void read_refused(const char *path, const char *array, const char *reason) {
  cohort_arrays arrays = {0};
  cohort_error error = {0};
  const char *const names[] = {array, NULL};
  CU_ASSERT_EQUAL(cohort_arrays_read(path, &arrays, &error), COHORT_BAD_DATA);
  CU_ASSERT_EQUAL(arrays.count, 0);
  char *const wanted = cohort_format_text("%s: array %s ", path, array);
  const bool good = strncmp(error.text, wanted, strlen(wanted)) == 0 && strstr(error.text, reason);
  if (!good) printf("    \"%s\" lacks \"%s%s\"\n", error.text, wanted, reason);
  CU_ASSERT_TRUE(good);
  CU_ASSERT_EQUAL(cohort_arrays_read_shapes(path, names, &arrays, &error), COHORT_BAD_DATA);
  CU_ASSERT_EQUAL(cohort_arrays_read_named(path, (const char *[]){"other", NULL}, &arrays, &error), COHORT_DONE);
  cohort_arrays_release(&arrays);
  free(wanted);
}

static void read_gives(const char *path, const char *array) {
  cohort_arrays arrays = {0};
  cohort_error error = {0};
  const cohort_status status = cohort_arrays_read_named(path, (const char *[]){array, NULL}, &arrays, &error);
  if (status != COHORT_DONE) printf("    %s\n", error.text);
  CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(arrays.count, 1);
  for (int i = 0; i < VALUES; i++) CU_ASSERT_EQUAL(((const double *)arrays.items[0].data)[i], 1.5 + i);
  cohort_arrays_release(&arrays);
}

static void external_storage_is_refused(void) {
  made own = begin("a.h5");
  char *const elsewhere = cohort_format_text("%s/elsewhere", own.directory);
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  (void)H5Pset_external(list, elsewhere, 0, VALUES * sizeof(double));
  put(own.file, own.space, "x", list, VALUES);
  (void)H5Pclose(list);
  close_file(&own);
  read_refused(own.path, "x", elsewhere);
  free(elsewhere);
  finish(&own);
}

static void what_was_never_written_is_refused(void) {
  made own = begin("a.h5");
  put(own.file, own.space, "x", H5P_DEFAULT, 0);
  close_file(&own);
  read_refused(own.path, "x", "never written");
  finish(&own);
}

static void missing_chunks_are_refused(void) {
  const hsize_t chunk[] = {CHUNK}, written[] = {0, 3, CHUNK, 2 * CHUNK};
  const char *const reasons[] = {"3 of its 3 chunks", "2 of its 3 chunks", "2 of its 3 chunks", "1 of its 3 chunks"};
  for (int compressed = 0; compressed < 2; compressed++) {
    for (int i = 0; i < 5; i++) {
      made own = begin("a.h5");
      const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
      (void)H5Pset_chunk(list, 1, chunk);
      if (compressed) (void)H5Pset_deflate(list, 6);
      put(own.file, own.space, "x", list, i < 4 ? written[i] : VALUES);
      (void)H5Pclose(list);
      close_file(&own);
      if (i < 4)
        read_refused(own.path, "x", reasons[i]);
      else
        read_gives(own.path, "x"); /* whole, though a compressed one takes less room than it promises */
      finish(&own);
    }
  }
}

static void compact_and_empty_arrays_are_read(void) {
  made own = begin("a.h5");
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  (void)H5Pset_layout(list, H5D_COMPACT);
  put(own.file, own.space, "x", list, VALUES);
  const hid_t none = H5Screate_simple(1, (const hsize_t[]){0}, NULL);
  (void)H5Dclose(H5Dcreate2(own.file, "empty", H5T_NATIVE_DOUBLE, none, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  (void)H5Sclose(none);
  (void)H5Pclose(list);
  close_file(&own);
  read_gives(own.path, "x");
  finish(&own);
}

/* A view of the first `covered` values, of the array `source` in `file`, of `size` values. */
static void put_view(const made *own, const char *file, const char *source, hsize_t size, hsize_t covered) {
  const hsize_t start[] = {0}, count[] = {covered}, shape[] = {size};
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE), from = H5Screate_simple(1, shape, NULL), to = H5Scopy(own->space);
  (void)H5Sselect_hyperslab(from, H5S_SELECT_SET, start, NULL, count, NULL);
  (void)H5Sselect_hyperslab(to, H5S_SELECT_SET, start, NULL, count, NULL);
  CU_ASSERT_TRUE(H5Pset_virtual(list, to, file, source, from) >= 0);
  put(own->file, own->space, "x", list, 0);
  (void)H5Sclose(from);
  (void)H5Sclose(to);
  (void)H5Pclose(list);
}

static void views_without_their_sources_are_refused(void) {
  const struct {
    const char *file, *source;
    hsize_t size, covered;
    const char *reason;
  } cases[] = {{"absent.h5", "s", VALUES, VALUES, "absent.h5, which is missing"},
               {".", "absent", VALUES, VALUES, "absent in ., which is missing"},
               {".", "short", VALUES, VALUES, "smaller than the view"},
               {".", "unwritten", VALUES, VALUES, "never written"},
               {".", "s", VALUES, VALUES - 1, "parts that no source fills"},
               {".", "x", VALUES, VALUES, "view of a view"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    made own = begin("a.h5");
    const hid_t small = H5Screate_simple(1, (const hsize_t[]){VALUES - 3}, NULL);
    put(own.file, own.space, "s", H5P_DEFAULT, VALUES);
    put(own.file, own.space, "unwritten", H5P_DEFAULT, 0);
    put(own.file, small, "short", H5P_DEFAULT, VALUES - 3);
    put_view(&own, cases[i].file, cases[i].source, cases[i].size, cases[i].covered);
    (void)H5Sclose(small);
    close_file(&own);
    cohort_arrays arrays = {0};
    cohort_error error = {0};
    const char *const names[] = {"x", NULL};
    CU_ASSERT_EQUAL(cohort_arrays_read_named(own.path, names, &arrays, &error), COHORT_BAD_DATA);
    char *const place = cohort_format_text("%s: array x ", own.path);
    const bool good = strstr(error.text, place) == error.text && strstr(error.text, cases[i].reason);
    if (!good) printf("    \"%s\" lacks \"%s\"\n", error.text, cases[i].reason);
    CU_ASSERT_TRUE(good);
    free(place);
    finish(&own);
  }
}

/* In the same file, and in one that lies beside it whatever the working directory. */
static void views_of_what_is_there_are_read(void) {
  made own = begin("a.h5"), beside = begin("b.h5");
  put(own.file, own.space, "s", H5P_DEFAULT, VALUES);
  put_view(&own, ".", "s", VALUES, VALUES);
  close_file(&own);
  read_gives(own.path, "x");
  close_file(&beside);
  free(beside.path);
  beside.path = cohort_format_text("%s/b.h5", own.directory);
  beside.file = H5Fcreate(beside.path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  beside.space = H5Screate_simple(1, (const hsize_t[]){VALUES}, NULL);
  put_view(&beside, "a.h5", "s", VALUES, VALUES);
  close_file(&beside);
  read_gives(beside.path, "x");
  finish(&beside);
  finish(&own);
}

/* Groups in groups: refused at once, however many follow. */
static void deep_groups_are_refused(void) {
  made own = begin("a.h5");
  hid_t at = H5Gcreate2(own.file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  for (int depth = 1; depth < 3000; depth++) {
    const hid_t next = H5Gcreate2(at, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    (void)H5Gclose(at);
    at = next;
  }
  (void)H5Gclose(at);
  close_file(&own);
  cohort_arrays arrays = {0};
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_arrays_read(own.path, &arrays, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "nested more than 32 deep"));
  CU_ASSERT_TRUE(strstr(error.text, own.path) == error.text);
  finish(&own);
}

int main(void) {
  static const check checks[] = {
      {"external storage is refused", external_storage_is_refused},
      {"what was never written is refused", what_was_never_written_is_refused},
      {"missing chunks are refused", missing_chunks_are_refused},
      {"compact and empty arrays are read", compact_and_empty_arrays_are_read},
      {"views without their sources are refused", views_without_their_sources_are_refused},
      {"views of what is there are read", views_of_what_is_there_are_read},
      {"deep groups are refused", deep_groups_are_refused},
  };
  return check_run("array_storage", checks, sizeof checks / sizeof *checks);
}
