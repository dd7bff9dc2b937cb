/* Datasets: IDX, HDF5, texts and pairs as people bring them, and damaged ones. */
#include <hdf5.h>
#include <math.h>
#include <zlib.h>

#include "io/arrays.h"
#include "io/dataset/completions.h"
#include "io/dataset/dataset.h"
#include "scratch.h"

static const unsigned char images[] = {0, 0,   8,  3,   0, 0, 0, 3, 0,  0,  0,  2, 0, 0, 0, 2, /* 3 images of 2 x 2 */
                                       0, 255, 51, 102, 1, 2, 3, 4, 10, 20, 30, 40};
static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 2};

static char *compressed(const char *directory, const char *name, const void *data, size_t bytes) {
  char *const path = cohort_format_text("%s/%s", directory, name);
  gzFile file = gzopen(path, "wb");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT_EQUAL(gzwrite(file, data, (unsigned)bytes), (int)bytes);
  CU_ASSERT_EQUAL(gzclose(file), Z_OK);
  return path;
}

static void check_images(const cohort_samples *samples) {
  CU_ASSERT_EQUAL_FATAL(samples->count, 3);
  CU_ASSERT_EQUAL(samples->axes, 3);
  CU_ASSERT_EQUAL(samples->size[0], 2);
  CU_ASSERT_EQUAL(samples->size[1], 2);
  CU_ASSERT_EQUAL(samples->size[2], 1);
  for (int i = 0; i < 12; i++) CU_ASSERT_EQUAL(samples->bytes[i], images[16 + i]);
  CU_ASSERT_PTR_NULL(samples->input);
  for (int i = 0; i < 3; i++) CU_ASSERT_EQUAL(samples->labels[i], labels[8 + i]);
  CU_ASSERT_EQUAL(samples->classes, 8);
  CU_ASSERT_PTR_NULL(samples->targets);
}

static void idx_plain_and_compressed(void) {
  char *const directory = scratch_create();
  char *const paths[4] = {
      scratch_file(directory, "i", images, sizeof images), scratch_file(directory, "l", labels, sizeof labels),
      compressed(directory, "i.gz", images, sizeof images), compressed(directory, "l.gz", labels, sizeof labels)};
  uint64_t digest[2] = {0};
  for (int packed = 0; packed < 2; packed++) {
    cohort_samples samples;
    CU_ASSERT_EQUAL_FATAL(cohort_samples_read_idx(paths[2 * packed], paths[2 * packed + 1], &samples, NULL),
                          COHORT_DONE);
    check_images(&samples);
    digest[packed] = samples.digest;
    cohort_samples_release(&samples);
    CU_ASSERT_PTR_NULL(samples.bytes);
  }
  CU_ASSERT_EQUAL(digest[0], digest[1]);
  for (int i = 0; i < 4; i++) free(paths[i]);
  scratch_remove(directory);
}

static uint64_t idx_digest(const char *directory, const unsigned char *own_images, const unsigned char *own_labels) {
  char *const i = scratch_file(directory, "i", own_images, sizeof images);
  char *const l = scratch_file(directory, "l", own_labels, sizeof labels);
  cohort_samples samples;
  CU_ASSERT_EQUAL_FATAL(cohort_samples_read_idx(i, l, &samples, NULL), COHORT_DONE);
  const uint64_t digest = samples.digest;
  cohort_samples_release(&samples);
  free(i);
  free(l);
  return digest;
}

static void digest_sees_every_byte(void) {
  char *const directory = scratch_create();
  const uint64_t whole = idx_digest(directory, images, labels);
  unsigned char own[sizeof images];
  for (size_t at = 16; at < sizeof images; at++) {
    memcpy(own, images, sizeof images);
    own[at] ^= 1;
    CU_ASSERT_NOT_EQUAL(idx_digest(directory, own, labels), whole);
  }
  for (size_t at = 8; at < sizeof labels; at++) {
    memcpy(own, labels, sizeof labels);
    own[at] ^= 1;
    CU_ASSERT_NOT_EQUAL(idx_digest(directory, images, own), whole);
  }
  CU_ASSERT_EQUAL(cohort_digest("abc", 3, 1), cohort_digest("abc", 3, 1));
  CU_ASSERT_NOT_EQUAL(cohort_digest("abc", 3, 1), cohort_digest("abc", 3, 2));
  scratch_remove(directory);
}

/* One of the two files is replaced; the message names it and holds `part`. */
static void idx_refused(bool of_images, const void *data, size_t bytes, const char *part) {
  char *const directory = scratch_create();
  char *const i = scratch_file(directory, "images", of_images ? data : images, of_images ? bytes : sizeof images);
  char *const l = scratch_file(directory, "labels", of_images ? labels : data, of_images ? sizeof labels : bytes);
  cohort_samples samples;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_samples_read_idx(i, l, &samples, &error), COHORT_BAD_DATA);
  const char *const name = of_images ? i : l;
  const bool good = strncmp(error.text, name, strlen(name)) == 0 && strstr(error.text, part);
  if (!good) printf("    \"%s\" lacks \"%s\"\n", error.text, part);
  CU_ASSERT_TRUE(good);
  free(i);
  free(l);
  scratch_remove(directory);
}

static void idx_faults_are_named(void) {
  unsigned char own[sizeof images];
  memcpy(own, images, sizeof images);
  idx_refused(true, "", 0, "not an IDX file");
  idx_refused(true, "PNG\n", 4, "not an IDX file");
  idx_refused(true, images, 10, "header");
  idx_refused(true, images, sizeof images - 1, "promises 12 bytes of data, but 11 follow");
  own[2] = 0x0D;
  idx_refused(true, own, sizeof own, "type 0x0d");
  memcpy(own, images, sizeof images);
  own[3] = 4;
  idx_refused(true, own, sizeof own, "4 axes instead of 3");
  memcpy(own, images, sizeof images);
  memset(own + 4, 0xFF, 12); /* 2^96 bytes promised */
  idx_refused(true, own, sizeof own, "promises");
  memcpy(own, images, sizeof images);
  memset(own + 4, 0, 4);
  idx_refused(true, own, 16, "size 0");
  idx_refused(false, "\0\0\10\1\0\0\0\2\1\0", 10, "2 labels, but");
  idx_refused(false, images, sizeof images, "3 axes instead of 1");
}

static void idx_cut_archive(void) {
  char *const directory = scratch_create();
  char *const whole = compressed(directory, "whole.gz", images, sizeof images);
  size_t bytes = 0;
  char *const data = scratch_read(whole, &bytes);
  for (size_t length = 3; length < bytes; length++) idx_refused(true, data, length, "");
  idx_refused(true, data, bytes - 4, "damaged or cut off");
  data[bytes - 5] ^= 1; /* in the checksum */
  idx_refused(true, data, bytes, "damaged or cut off");
  free(data);
  free(whole);
  scratch_remove(directory);
}

/* Archives of archives, and what holds more than its header says. */
static void idx_members_and_bombs(void) {
  enum { ZEROS = 48 << 20 };
  char *const directory = scratch_create();
  char *const l = scratch_file(directory, "l", labels, sizeof labels);
  unsigned char all[4096];
  size_t length = 0;
  const size_t cut[] = {0, 3, 17, sizeof images};
  for (int m = 0; m < 3; m++) { /* three members; the first ends inside the header */
    char *const part = compressed(directory, "part.gz", images + cut[m], cut[m + 1] - cut[m]);
    size_t bytes = 0;
    char *const data = scratch_read(part, &bytes);
    memcpy(all + length, data, bytes);
    length += bytes;
    free(data);
    free(part);
  }
  char *const i = scratch_file(directory, "i.gz", all, length);
  cohort_samples samples;
  CU_ASSERT_EQUAL_FATAL(cohort_samples_read_idx(i, l, &samples, NULL), COHORT_DONE);
  check_images(&samples);
  cohort_samples_release(&samples);
  idx_refused(true, all, length - 9, "damaged or cut off");
  memcpy(all + length, all, length);
  idx_refused(true, all, 2 * length, "promises 12 bytes of data, but 40 follow");

  unsigned char *const bomb = cohort_allocate(ZEROS);
  for (int known = 0; known < 2; known++) {
    if (known) memcpy(bomb, images, 16);
    char *const path = compressed(directory, "bomb.gz", bomb, ZEROS);
    size_t bytes = 0;
    char *const data = scratch_read(path, &bytes);
    idx_refused(true, data, bytes, known ? "promises 28 bytes with itself, but more follow" : "IDX type 0x00");
    free(data);
    free(path);
  }
  free(bomb);
  free(i);
  free(l);
  scratch_remove(directory);
}

static void missing_files_and_directories(void) {
  char *const directory = scratch_create();
  cohort_samples samples;
  cohort_completions pairs;
  char *text = NULL;
  size_t length = 0;
  for (int there = 0; there < 2; there++) {
    const char *const path = there ? directory : "/nonexistent/file";
    cohort_error error = {0};
    CU_ASSERT_EQUAL(cohort_samples_read_idx(path, path, &samples, &error), COHORT_BAD_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, path));
    CU_ASSERT_EQUAL(cohort_samples_read_hdf5(path, COHORT_LAYOUT_AUTO, &samples, &error), COHORT_BAD_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, path));
    CU_ASSERT_EQUAL(cohort_text_read(path, &text, &length, &error), COHORT_BAD_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, path));
    CU_ASSERT_EQUAL(cohort_completions_read(path, NULL, &pairs, &error), COHORT_BAD_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, path));
  }
  scratch_remove(directory);
}

/* A file with x and y, values i * step + start. */
static char *hdf5_file(const char *directory, cohort_array_type x_type, int x_axes, const int64_t *x_size, double step,
                       cohort_array_type y_type, int y_axes, const int64_t *y_size, double start) {
  cohort_arrays arrays = {0};
  const struct {
    const char *name;
    cohort_array_type type;
    int axes;
    const int64_t *size;
    double start, step;
  } wanted[2] = {{"x", x_type, x_axes, x_size, 0, step}, {"y", y_type, y_axes, y_size, start, 1}};
  for (int a = 0; a < 2; a++) {
    if (wanted[a].axes < 0) continue;
    cohort_array *const array =
        cohort_arrays_add(&arrays, wanted[a].name, wanted[a].type, wanted[a].axes, wanted[a].size);
    for (int64_t i = 0; i < cohort_array_elements(array); i++) {
      const double value = wanted[a].start + wanted[a].step * (double)i;
      if (array->type == COHORT_ARRAY_FLOAT32) ((float *)array->data)[i] = (float)value;
      if (array->type == COHORT_ARRAY_FLOAT64) ((double *)array->data)[i] = value;
      if (array->type == COHORT_ARRAY_INT32) ((int32_t *)array->data)[i] = (int32_t)value;
      if (array->type == COHORT_ARRAY_INT64) ((int64_t *)array->data)[i] = (int64_t)value;
    }
  }
  char *const path = cohort_format_text("%s/d.h5", directory);
  CU_ASSERT_EQUAL_FATAL(cohort_arrays_write(path, &arrays, NULL), COHORT_DONE);
  cohort_arrays_release(&arrays);
  return path;
}

static void hdf5_classes(void) {
  char *const directory = scratch_create();
  char *const path = hdf5_file(directory, COHORT_ARRAY_FLOAT64, 2, (const int64_t[]){4, 3}, 0.5, COHORT_ARRAY_INT32, 1,
                               (const int64_t[]){4}, 2);
  cohort_samples samples;
  CU_ASSERT_EQUAL_FATAL(cohort_samples_read_hdf5(path, COHORT_LAYOUT_AUTO, &samples, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(samples.count, 4);
  CU_ASSERT_EQUAL(samples.axes, 1);
  CU_ASSERT_EQUAL(samples.size[0], 3);
  for (int i = 0; i < 12; i++) CU_ASSERT_EQUAL(samples.input[i], 0.5f * (float)i);
  for (int i = 0; i < 4; i++) CU_ASSERT_EQUAL(samples.labels[i], 2 + i);
  CU_ASSERT_EQUAL(samples.classes, 6);
  CU_ASSERT_PTR_NULL(samples.targets);
  cohort_samples_release(&samples);
  free(path);
  scratch_remove(directory);
}

static void hdf5_images_and_real_targets(void) {
  char *const directory = scratch_create();
  char *const path = hdf5_file(directory, COHORT_ARRAY_INT32, 4, (const int64_t[]){2, 2, 2, 3}, 11,
                               COHORT_ARRAY_FLOAT32, 2, (const int64_t[]){2, 2}, -0.25);
  cohort_samples samples;
  CU_ASSERT_EQUAL_FATAL(cohort_samples_read_hdf5(path, COHORT_LAYOUT_AUTO, &samples, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(samples.axes, 3);
  CU_ASSERT_EQUAL(samples.size[2], 3);
  for (int i = 0; i < 24; i++) CU_ASSERT_DOUBLE_EQUAL(samples.input[i], 11.0 * i / 255, 1e-7);
  CU_ASSERT_PTR_NULL(samples.labels);
  CU_ASSERT_EQUAL(samples.target_size, 2);
  for (int i = 0; i < 4; i++) CU_ASSERT_EQUAL(samples.targets[i], (float)i - 0.25f);
  cohort_samples_release(&samples);
  free(path);
  scratch_remove(directory);
}

static void hdf5_refused(cohort_array_type x_type, int x_axes, const int64_t *x_size, double step,
                         cohort_array_type y_type, int y_axes, const int64_t *y_size, double start, const char *part) {
  char *const directory = scratch_create();
  char *const path = hdf5_file(directory, x_type, x_axes, x_size, step, y_type, y_axes, y_size, start);
  cohort_samples samples;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_samples_read_hdf5(path, COHORT_LAYOUT_AUTO, &samples, &error), COHORT_BAD_DATA);
  const bool good = strncmp(error.text, path, strlen(path)) == 0 && strstr(error.text, part);
  if (!good) printf("    \"%s\" lacks \"%s\"\n", error.text, part);
  CU_ASSERT_TRUE(good);
  free(path);
  scratch_remove(directory);
}

static void hdf5_faults_are_named(void) {
  const int64_t x[] = {4, 3}, y[] = {4}, short_y[] = {3}, none[] = {0, 3}, no_targets[] = {4, 0},
                deep[] = {4, 1, 1, 1, 1};
  const cohort_array_type real = COHORT_ARRAY_FLOAT32, whole = COHORT_ARRAY_INT64;
  hdf5_refused(real, 2, x, 1, whole, -1, NULL, 0, "no array y");
  hdf5_refused(real, -1, NULL, 1, whole, 1, y, 0, "no array x");
  hdf5_refused(real, 1, y, 1, whole, 1, y, 0, "x has 1 axes");
  hdf5_refused(real, 5, deep, 1, whole, 1, y, 0, "x has 5 axes");
  hdf5_refused(real, 2, none, 1, whole, 1, none, 0, "x is empty");
  hdf5_refused(real, 2, x, 1, whole, 1, short_y, 0, "y wants [4]");
  hdf5_refused(real, 2, x, 1, real, 2, no_targets, 0, "y wants [4]");
  hdf5_refused(real, 2, x, 1, whole, 1, y, -1, "y[0] is -1");
  hdf5_refused(real, 2, x, 1, whole, 1, y, 1e9, "classes are numbered from 0");
  hdf5_refused(whole, 2, x, 100, whole, 1, y, 0, "x[1] holds 300");
  hdf5_refused(whole, 2, x, -1, whole, 1, y, 0, "x[0] holds -1");
  hdf5_refused(real, 2, x, (double)NAN, whole, 1, y, 0, "x[0] holds nan (its element 0)");
  hdf5_refused(COHORT_ARRAY_FLOAT64, 2, x, 1e38, whole, 1, y, 0, "x[1] holds 4e+38 (its element 1)");
  hdf5_refused(real, 2, x, 1, real, 1, y, HUGE_VAL, "y[0] holds inf");
}

/* A file of x [2, 3, 4, 5] and labels, values 0, 1, 2, ... */
static cohort_status read_channels(const int64_t x_size[4], cohort_layout layout, cohort_samples *out,
                                   cohort_error *error) {
  char *const directory = scratch_create();
  char *const path = hdf5_file(directory, COHORT_ARRAY_FLOAT32, 4, x_size, 1, COHORT_ARRAY_INT32, 1, x_size, 0);
  *error = (cohort_error){0};
  const cohort_status status = cohort_samples_read(path, layout, out, error);
  free(path);
  scratch_remove(directory);
  return status;
}

static void channels_first_is_refused_or_turned(void) {
  const int64_t colour[] = {2, 3, 4, 5}, grey[] = {2, 1, 8, 8}, last[] = {2, 4, 5, 3}, row[] = {2, 1, 8, 3};
  cohort_samples samples;
  cohort_error error;
  for (int c = 0; c < 2; c++) {
    CU_ASSERT_EQUAL(read_channels(c ? colour : grey, COHORT_LAYOUT_AUTO, &samples, &error), COHORT_BAD_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "data.layout: channels_first"));
  }
  CU_ASSERT_EQUAL_FATAL(read_channels(colour, COHORT_LAYOUT_CHANNELS_FIRST, &samples, &error), COHORT_DONE);
  CU_ASSERT(samples.size[0] == 4 && samples.size[1] == 5 && samples.size[2] == 3);
  for (int i = 0; i < 2; i++)
    for (int p = 0; p < 20; p++)
      for (int c = 0; c < 3; c++) CU_ASSERT_EQUAL(samples.input[i * 60 + p * 3 + c], (float)(i * 60 + c * 20 + p));
  cohort_samples_release(&samples);
  const int64_t *const fine[] = {last, row};
  for (int f = 0; f < 2; f++) {
    CU_ASSERT_EQUAL_FATAL(read_channels(fine[f], COHORT_LAYOUT_AUTO, &samples, &error), COHORT_DONE);
    CU_ASSERT_EQUAL(samples.size[2], 3);
    cohort_samples_release(&samples);
  }
  CU_ASSERT_EQUAL_FATAL(read_channels(colour, COHORT_LAYOUT_CHANNELS_LAST, &samples, &error), COHORT_DONE);
  CU_ASSERT_EQUAL(samples.size[2], 5);
  cohort_samples_release(&samples);
}

static void empty_classes_are_told(void) {
  int32_t own[] = {0, 9, 2, 9, 1};
  const cohort_samples gaps = {.count = 5, .labels = own, .classes = 10}, none = {.count = 5, .classes = 0};
  char *const text = cohort_samples_empty_classes(&gaps);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  CU_ASSERT_STRING_EQUAL(text,
                         "6 of 10 classes have no sample: 3, 4, 5, 6, 7, ...; labels go up to 9, which row 1 has");
  free(text);
  CU_ASSERT_PTR_NULL(cohort_samples_empty_classes(&none));
  own[1] = own[3] = 0;
  CU_ASSERT_PTR_NULL(cohort_samples_empty_classes(&(cohort_samples){.count = 5, .labels = own, .classes = 3}));
}

/* Shapes are compared before data are read: here those of y cannot even be unpacked. */
static void hdf5_shapes_come_first(void) {
  char *const directory = scratch_create();
  char *const path =
      hdf5_file(directory, COHORT_ARRAY_FLOAT32, 2, (const int64_t[]){4, 3}, 1, COHORT_ARRAY_INT64, -1, NULL, 0);
  const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), layout = H5Pcreate(H5P_DATASET_CREATE);
  const hid_t space = H5Screate_simple(1, (const hsize_t[]){1000}, NULL);
  (void)H5Pset_chunk(layout, 1, (const hsize_t[]){1000});
  (void)H5Pset_deflate(layout, 1);
  const hid_t y = H5Dcreate2(file, "y", H5T_NATIVE_INT64, space, H5P_DEFAULT, layout, H5P_DEFAULT);
  CU_ASSERT_TRUE_FATAL(H5Dwrite_chunk(y, H5P_DEFAULT, 0, (const hsize_t[]){0}, 5, "waste") >= 0);
  H5Dclose(y);
  H5Sclose(space);
  H5Pclose(layout);
  H5Fclose(file);
  cohort_samples samples;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_samples_read_hdf5(path, COHORT_LAYOUT_AUTO, &samples, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "y wants [4]"));
  free(path);
  scratch_remove(directory);
}

static void texts_and_commands(void) {
  char *const directory = scratch_create();
  char *const path = scratch_file(directory, "t", "a\0b\xff", 4), *const empty = scratch_text(directory, "e", "");
  char *text = NULL;
  size_t length = 0;
  cohort_error error = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_text_read(path, &text, &length, &error), COHORT_DONE);
  CU_ASSERT_EQUAL(length, 4);
  CU_ASSERT_EQUAL(memcmp(text, "a\0b\xff", 5), 0);
  free(text);
  CU_ASSERT_EQUAL_FATAL(cohort_text_read("|printf 'x y'; printf z", &text, &length, &error), COHORT_DONE);
  CU_ASSERT_EQUAL(length, 4);
  CU_ASSERT_STRING_EQUAL(text, "x yz");
  free(text);
  CU_ASSERT_EQUAL_FATAL(cohort_text_read("|head -c 3000000 /dev/zero", &text, &length, &error), COHORT_DONE);
  CU_ASSERT_EQUAL(length, 3000000);
  free(text);
  text = NULL;
  CU_ASSERT_EQUAL(cohort_text_read(empty, &text, &length, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "is empty"));
  CU_ASSERT_EQUAL(cohort_text_read("|true", &text, &length, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "|true: printed nothing"));
  CU_ASSERT_EQUAL(cohort_text_read("|echo x; exit 7", &text, &length, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "status 7"));
  CU_ASSERT_PTR_NULL(text);
  free(path);
  free(empty);
  scratch_remove(directory);
}

static const char good_pairs[] =
    "{\"prompt\": \"p\", \"chosen\": \"c\\n\", \"rejected\": \"d\"}\n"
    "{\"rejected\": \"\\u00e4\", \"chosen\": \"x\", \"prompt\": \" \", \"source\": 3}";

static void pairs_are_read(void) {
  char *const directory = scratch_create();
  char *const path = scratch_text(directory, "p.jsonl", good_pairs);
  cohort_completions pairs;
  CU_ASSERT_EQUAL_FATAL(cohort_completions_read(path, NULL, &pairs, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(pairs.count, 2);
  CU_ASSERT_STRING_EQUAL(pairs.prompt[0], "p");
  CU_ASSERT_STRING_EQUAL(pairs.completion[2 * 0].text, "c\n");
  CU_ASSERT_STRING_EQUAL(pairs.completion[2 * 0 + 1].text, "d");
  CU_ASSERT_STRING_EQUAL(pairs.completion[2 * 1 + 1].text, "\xc3\xa4");
  const uint64_t digest = pairs.digest;
  cohort_completions_release(&pairs);
  free(path);
  char *const other =
      scratch_text(directory, "p.jsonl", "{\"prompt\": \"q\", \"chosen\": \"c\", \"rejected\": \"d\"}\n");
  CU_ASSERT_EQUAL_FATAL(cohort_completions_read(other, NULL, &pairs, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(pairs.count, 1);
  CU_ASSERT_NOT_EQUAL(pairs.digest, digest);
  cohort_completions_release(&pairs);
  free(other);
  scratch_remove(directory);
}

/* TRL's other shapes: the prompt is what both begin with; completions alone have labels. */
static void pairs_of_other_shapes(void) {
  char *const directory = scratch_create();
  char *path = scratch_text(directory, "p.jsonl",
                            "{\"chosen\": \"in all days\", \"rejected\": \"in all dust\"}\n"
                            "{\"chosen\": \"ab\\u00e4\", \"rejected\": \"ab\\u00e5\"}\n");
  cohort_completions pairs;
  CU_ASSERT_EQUAL_FATAL(cohort_completions_read(path, NULL, &pairs, NULL), COHORT_DONE);
  CU_ASSERT_STRING_EQUAL(pairs.prompt[0], "in all d");
  CU_ASSERT_STRING_EQUAL(pairs.completion[2 * 0 + 1].text, "ust");
  CU_ASSERT_STRING_EQUAL(pairs.prompt[1], "ab");
  CU_ASSERT_STRING_EQUAL(pairs.completion[2 * 1].text, "\xc3\xa4");
  cohort_completions_release(&pairs);
  free(path);
  path = scratch_text(directory, "p.jsonl",
                      "{\"prompt\": \"p\", \"completion\": \"c\", \"label\": true}\n"
                      "{\"prompt\": \"q\", \"completion\": \"d\", \"label\": false}\n");
  CU_ASSERT_EQUAL_FATAL(cohort_completions_read(path, NULL, &pairs, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(pairs.count, 2);
  CU_ASSERT_EQUAL(pairs.sides, 1);
  CU_ASSERT_STRING_EQUAL(pairs.completion[1].text, "d");
  CU_ASSERT(pairs.desirable[0] && !pairs.desirable[1]);
  cohort_completions_release(&pairs);
  free(path);
  scratch_remove(directory);
}

static void pairs_refused(const char *text, const char *place, const char *part) {
  char *const directory = scratch_create();
  char *const path = scratch_text(directory, "p.jsonl", text), *const begin = cohort_format_text("%s%s", path, place);
  cohort_completions pairs;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_completions_read(path, NULL, &pairs, &error), COHORT_BAD_DATA);
  const bool good = strncmp(error.text, begin, strlen(begin)) == 0 && strstr(error.text, part);
  if (!good) printf("    \"%s\" for %s\n", error.text, text);
  CU_ASSERT_TRUE(good);
  free(path);
  free(begin);
  scratch_remove(directory);
}

static void pairs_faults_name_the_line(void) {
  const char *const good = "{\"prompt\": \"p\", \"chosen\": \"c\", \"rejected\": \"r\"}\n";
  const char *const bad[][2] = {{"{\"prompt\": \"p\", \"chosen\": \"c\"}\n", "rejected is missing"},
                                {"{\"prompt\": \"p\", \"chosen\": 1, \"rejected\": \"\"}\n", "chosen is not a string"},
                                {"{\"prompt\": \"p\", \"prompt\": \"q\"}\n", "not JSON"},
                                {"{\"prompt\": \"p\"\n", "not JSON"},
                                {"{\"prompt\": \"\\u0000\"}\n", "not JSON"},
                                {"{\"prompt\": \"\xff\"}\n", "not JSON"},
                                {"{\"prompt\": \"\", \"chosen\": \"c\", \"rejected\": \"r\"}\n", "prompt is empty"},
                                {"{\"prompt\": \"p\", \"chosen\": \"\", \"rejected\": \"r\"}\n", "chosen is empty"},
                                {"{\"prompt\": \"p\", \"chosen\": \"c\", \"rejected\": \"\"}\n", "rejected is empty"},
                                {"{\"prompt\": \"p\", \"chosen\": \"r\", \"rejected\": \"r\"}\n", "rejected are equal"},
                                {"[]\n", "prompt is missing"},
                                {" \t\n", "empty line"},
                                {"{} {}\n", "not JSON"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char *const text = cohort_format_text("%s%s%s%s", good, good, bad[i][0], good);
    pairs_refused(text, ":3:", bad[i][1]);
    free(text);
  }
  pairs_refused("", ": ", "no pairs");
  pairs_refused("{\"prompt\": \"p\", \"completion\": \"c\", \"label\": 1}", ":1:", "label is neither");
  pairs_refused("{\"prompt\": \"p\", \"completion\": \"\", \"label\": true}", ":1:", "completion is empty");
  pairs_refused("{\"chosen\": \"a\", \"rejected\": \"b\"}", ":1:", "prompt is empty");
  pairs_refused("{\"prompt\": [{}], \"chosen\": \"a\", \"rejected\": \"b\"}", ":1:", "messages");
}

static void idx_mutations(void) {
  char *const directory = scratch_create();
  char *const l = scratch_file(directory, "l", labels, sizeof labels);
  char *const archive = compressed(directory, "a.gz", images, sizeof images);
  size_t packed_bytes = 0;
  char *const packed = scratch_read(archive, &packed_bytes);
  uint64_t state = 7;
  int good = 0, bad = 0;
  for (int i = 0; i < 3000; i++) {
    size_t length = 0;
    unsigned char *const data = mutate(&state, i % 2 ? (const void *)packed : images,
                                       i % 2 ? packed_bytes : sizeof images, "\1\2\3\10\37", &length);
    char *const path = scratch_file(directory, "i", data, length);
    cohort_samples samples;
    cohort_error error = {0};
    if (cohort_samples_read_idx(path, l, &samples, &error) == COHORT_DONE) {
      good++;
      CU_ASSERT_EQUAL(samples.count, 3);
      unsigned sum = 0; /* every byte is there to be read */
      for (int64_t k = 0; k < 3 * samples.size[0] * samples.size[1]; k++) sum += samples.bytes[k];
      CU_ASSERT(sum <= 255 * 3 * (unsigned)(samples.size[0] * samples.size[1]));
      cohort_samples_release(&samples);
    } else {
      bad++;
      CU_ASSERT_PTR_NOT_NULL(strstr(error.text, directory));
      CU_ASSERT_PTR_NULL(samples.bytes);
    }
    free(path);
    free(data);
  }
  CU_ASSERT_TRUE(good > 50);
  CU_ASSERT_TRUE(bad > 1000);
  free(packed);
  free(archive);
  free(l);
  scratch_remove(directory);
}

static void pairs_mutations(void) {
  char *const directory = scratch_create();
  uint64_t state = 11;
  int good = 0, bad = 0;
  for (int i = 0; i < 3000; i++) {
    size_t length = 0;
    unsigned char *const data = mutate(&state, good_pairs, sizeof good_pairs - 1, "\n\"\\{}:,u ", &length);
    char *const path = scratch_file(directory, "p", data, length);
    cohort_completions pairs;
    cohort_error error = {0};
    if (cohort_completions_read(path, NULL, &pairs, &error) == COHORT_DONE) {
      good++;
      CU_ASSERT_TRUE(pairs.count > 0);
      for (int64_t k = 0; k < pairs.count; k++) CU_ASSERT_PTR_NOT_NULL(pairs.prompt[k]);
      for (int64_t k = 0; k < pairs.count * pairs.sides; k++) CU_ASSERT_PTR_NOT_NULL(pairs.completion[k].text);
      cohort_completions_release(&pairs);
    } else {
      bad++;
      CU_ASSERT_PTR_NOT_NULL(strstr(error.text, path));
      CU_ASSERT_EQUAL(pairs.count, 0);
    }
    free(path);
    free(data);
  }
  CU_ASSERT_TRUE(good > 50);
  CU_ASSERT_TRUE(bad > 1000);
  scratch_remove(directory);
}

int main(void) {
  static const check checks[] = {
      {"IDX plain and compressed", idx_plain_and_compressed},
      {"digest sees every byte", digest_sees_every_byte},
      {"IDX faults are named", idx_faults_are_named},
      {"IDX archive cut or damaged", idx_cut_archive},
      {"IDX archives of members, bombs", idx_members_and_bombs},
      {"missing files and directories", missing_files_and_directories},
      {"HDF5 classes", hdf5_classes},
      {"HDF5 images and real targets", hdf5_images_and_real_targets},
      {"HDF5 faults are named", hdf5_faults_are_named},
      {"channels first is refused or turned", channels_first_is_refused_or_turned},
      {"empty classes are told", empty_classes_are_told},
      {"HDF5 shapes come first", hdf5_shapes_come_first},
      {"texts and commands", texts_and_commands},
      {"pairs are read", pairs_are_read},
      {"pairs of other shapes", pairs_of_other_shapes},
      {"faults of pairs name the line", pairs_faults_name_the_line},
      {"IDX mutations", idx_mutations},
      {"pairs mutations", pairs_mutations},
  };
  return check_run("dataset", checks, sizeof checks / sizeof *checks);
}
