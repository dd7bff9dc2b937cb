/* NumPy's .npz: every type, order and packing that is read, and every fault told with its member. */
#include <math.h>

#include "io/dataset/dataset.h"
#include "npz.h"
#include "scratch.h"

static const char *const names[] = {"x.npy", "y.npy"};
static const int64_t labels[] = {2, 0, 1};
static const char label_header[] = "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }    \n";
static const npz_options stored = {.method = 0}, deflated = {.method = 8};

static cohort_status read_bytes(const npz_bytes *file, cohort_samples *out, cohort_error *error) {
  char *const directory = scratch_create(), *const path = scratch_file(directory, "d.npz", file->data, file->count);
  *error = (cohort_error){0};
  const cohort_status status = cohort_samples_read(path, COHORT_LAYOUT_AUTO, out, error);
  if (status != COHORT_DONE) CU_ASSERT_EQUAL(strncmp(error->text, path, strlen(path)), 0);
  free(path);
  scratch_remove(directory);
  return status;
}

static cohort_status read_x(int version, const char *header, const void *data, size_t bytes, const npz_options *options,
                            cohort_samples *out, cohort_error *error) {
  const npz_bytes content[] = {npz_array(version, header, data, bytes),
                               npz_array(1, label_header, labels, sizeof labels)};
  const npz_bytes file = npz_archive(2, names, content, options);
  return read_bytes(&file, out, error);
}

/* x [3, 2] of this type must be the numbers 0 to 5 (of bytes: by 255). */
static void reads(int version, const char *header, const void *data, size_t bytes, const npz_options *options,
                  double each) {
  cohort_samples samples;
  cohort_error error;
  const cohort_status status = read_x(version, header, data, bytes, options, &samples, &error);
  if (status != COHORT_DONE) printf("    %s\n", error.text);
  CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
  CU_ASSERT(samples.count == 3 && samples.axes == 1 && samples.size[0] == 2 && samples.classes == 3);
  for (int i = 0; i < 6; i++) CU_ASSERT_EQUAL(samples.input[i], (float)(i * each));
  for (int i = 0; i < 3; i++) CU_ASSERT_EQUAL(samples.labels[i], labels[i]);
  cohort_samples_release(&samples);
}

static char *header_of(const char *type, const char *order, const char *shape) {
  return cohort_format_text("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }  \n", type, order, shape);
}

static void reads_type(const char *type, const void *data, size_t bytes, double each) {
  const npz_options wide = {.method = 8, .zip64 = true};
  char *const header = header_of(type, "False", "(3, 2)");
  for (int version = 1; version <= 3; version++) {
    reads(version, header, data, bytes, &stored, each);
    reads(version, header, data, bytes, &deflated, each);
    reads(version, header, data, bytes, &wide, each);
  }
  free(header);
}

static const float floats[] = {0, 1, 2, 3, 4, 5};

static void every_type(void) {
  reads_type("<f4", floats, sizeof floats, 1);
  reads_type("<f8", (const double[]){0, 1, 2, 3, 4, 5}, 48, 1);
  reads_type("<f2", (const uint16_t[]){0, 0x3C00, 0x4000, 0x4200, 0x4400, 0x4500}, 12, 1);
  reads_type("|u1", (const uint8_t[]){0, 1, 2, 3, 4, 5}, 6, 1.0 / 255);
  reads_type("|i1", (const int8_t[]){0, 1, 2, 3, 4, 5}, 6, 1.0 / 255);
  reads_type("<i2", (const int16_t[]){0, 1, 2, 3, 4, 5}, 12, 1.0 / 255);
  reads_type("<u2", (const uint16_t[]){0, 1, 2, 3, 4, 5}, 12, 1.0 / 255);
  reads_type("<i4", (const int32_t[]){0, 1, 2, 3, 4, 5}, 24, 1.0 / 255);
  reads_type("<u4", (const uint32_t[]){0, 1, 2, 3, 4, 5}, 24, 1.0 / 255);
  reads_type("<i8", (const int64_t[]){0, 1, 2, 3, 4, 5}, 48, 1.0 / 255);
}

static void halves_booleans_and_order(void) {
  const uint16_t half[] = {0x0001, 0x83FF, 0x7BFF, 0xB555, 0x0400, 0x8000}; /* smallest, subnormal, largest, ... */
  const double wanted[] = {0x1p-24, -0x1.FF8p-15, 65504, -0.333251953125, 0x1p-14, -0.0};
  cohort_samples samples;
  cohort_error error;
  char *header = header_of("<f2", "False", "(3, 2)");
  CU_ASSERT_EQUAL_FATAL(read_x(1, header, half, sizeof half, &stored, &samples, &error), COHORT_DONE);
  for (int i = 0; i < 6; i++) CU_ASSERT(samples.input[i] == (float)wanted[i]);
  cohort_samples_release(&samples);
  free(header);
  header = header_of("|b1", "False", "(3, 2)");
  CU_ASSERT_EQUAL_FATAL(read_x(1, header, "\0\1\0\1\1\1", 6, &stored, &samples, &error), COHORT_DONE);
  for (int i = 0; i < 6; i++) CU_ASSERT_EQUAL(samples.input[i], (i == 0 || i == 2 ? 0 : 1) / 255.0f);
  cohort_samples_release(&samples);
  free(header);
  header = header_of("<f4", "True", "(3, 2)");
  reads(1, header, (const float[]){0, 2, 4, 1, 3, 5}, sizeof floats, &deflated, 1);
  free(header);
  reads(1, "{\"shape\":(3,2),'fortran_order':False,'descr':'<f4'}", floats, sizeof floats, &stored,
        1); /* other hands */
}

static void refused(int version, const char *header, size_t bytes, const npz_options *options, const char *part) {
  cohort_samples samples;
  cohort_error error;
  CU_ASSERT_EQUAL(read_x(version, header, floats, bytes, options, &samples, &error), COHORT_BAD_DATA);
  if (!strstr(error.text, part)) printf("    \"%s\" lacks \"%s\"\n", error.text, part);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, part));
  CU_ASSERT_PTR_NULL(samples.input);
}

static void faults_are_named(void) {
  static const struct {
    const char *type, *order, *shape, *part;
  } bad[] = {{">f4", "False", "(3, 2)", "x.npy has type >f4"},
             {"|O", "False", "(3, 2)", "x.npy has type |O"},
             {"<U4", "False", "(3, 2)", "x.npy has type <U4"},
             {"<f4", "False", "(3, 3)", "stands for 36 bytes, but 24 follow"},
             {"<f4", "False", "(999999999999999, 999999999999999)", "but 24 follow"},
             {"<f4", "False", "(3, 0)", "x.npy is empty"},
             {"<f4", "False", "(0, 999999999999999, 999999999999999)", "x.npy is empty"},
             {"<f4", "False", "(3, -2)", "its header"},
             {"<f4", "Perhaps", "(3, 2)", "its header"},
             {"<f4", "False", "(1,1,1,1,1,1,1,1,6)", "its header"},
             {"<f4", "False", "(6,)", "x has 1 axes"},
             {"<f4", "False", "(2, 3)", "y wants [2]"},
             {"<f4", "False", "3", "its header"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char *const header = header_of(bad[i].type, bad[i].order, bad[i].shape);
    refused(1, header, sizeof floats, &stored, bad[i].part);
    free(header);
  }
  char *const good = header_of("<f4", "False", "(3, 2)");
  refused(4, good, sizeof floats, &stored, "version");
  refused(1, "{'descr': '<f4', 'shape': (3, 2)}", sizeof floats, &stored, "its header");
  refused(1, good, sizeof floats - 1, &deflated, "but 23 follow");
  refused(1, good, sizeof floats, &(npz_options){.method = 12}, "method 12");
  refused(1, good, sizeof floats, &(npz_options){.flags = 1}, "encrypted");
  cohort_samples samples;
  cohort_error error;
  const npz_bytes x = npz_array(1, good, floats, sizeof floats), alone = npz_archive(1, names, &x, &stored);
  CU_ASSERT_EQUAL(read_bytes(&alone, &samples, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "no array y"));
  const float odd[] = {0, 1, 2, NAN, 4, 5};
  CU_ASSERT_EQUAL(read_x(1, good, odd, sizeof odd, &stored, &samples, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "x[1]"));
  free(good);
}

/* Another member may be there. */
static void other_members(void) {
  char *const header = header_of("<f4", "False", "(3, 2)");
  static const char *const three[] = {"names.npy", "y.npy", "x.npy"}, *const twice[] = {"x.npy", "y.npy", "x.npy"};
  const npz_bytes content[] = {npz_array(1, "{'descr': '|O'}", "", 0),
                               npz_array(1, label_header, labels, sizeof labels),
                               npz_array(1, header, floats, sizeof floats)};
  const npz_bytes good = npz_archive(3, three, content, &deflated), bad = npz_archive(3, twice, content, &deflated);
  cohort_samples samples;
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(read_bytes(&good, &samples, &error), COHORT_DONE);
  cohort_samples_release(&samples);
  CU_ASSERT_EQUAL(read_bytes(&bad, &samples, &error), COHORT_BAD_DATA);
  free(header);
}

/* Every byte changed in turn, and every cut: read as before, or refused; never other numbers. */
static void every_damage(void) {
  char *const header = header_of("<f4", "False", "(3, 2)");
  const npz_bytes content[] = {npz_array(1, header, floats, sizeof floats),
                               npz_array(1, label_header, labels, sizeof labels)};
  int good = 0, bad = 0;
  for (int kind = 0; kind < 3; kind++) {
    const npz_options options = {.method = kind ? 8 : 0, .zip64 = kind == 2};
    const npz_bytes whole = npz_archive(2, names, content, &options);
    for (size_t at = 0; at < 2 * whole.count; at++) {
      npz_bytes file = whole;
      if (at < whole.count)
        file.data[at] ^= (unsigned char)(1u << at % 8);
      else
        file.count = at - whole.count;
      cohort_samples samples;
      cohort_error error;
      const cohort_status status = read_bytes(&file, &samples, &error);
      if (status == COHORT_DONE) {
        good++;
        for (int i = 0; i < 6; i++) CU_ASSERT(samples.input[i] == (float)i);
        for (int i = 0; i < 3; i++) CU_ASSERT(samples.labels[i] == labels[i]);
        cohort_samples_release(&samples);
      } else {
        bad++;
        CU_ASSERT(status == COHORT_BAD_DATA && samples.input == NULL);
      }
    }
  }
  CU_ASSERT(good > 50);
  CU_ASSERT(bad > 1000);
  free(header);
}

int main(void) {
  static const check checks[] = {
      {"every type", every_type},
      {"halves, booleans, Fortran's order", halves_booleans_and_order},
      {"faults are named", faults_are_named},
      {"other members", other_members},
      {"every damage", every_damage},
  };
  return check_run("npz", checks, sizeof checks / sizeof *checks);
}
