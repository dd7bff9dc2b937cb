/* .npz archives: what is read is consistent, whatever the archive and its headers promised. */
#include "fuzz/fuzz.h"
#include "io/dataset/dataset.h"
#include "unit/io/npz.h"

static void check_samples(const fuzz_try *at, const cohort_samples *own) {
  fuzz_must(at, own->count > 0 && (own->axes == 1 || own->axes == 3), "samples have a count and axes");
  fuzz_must(at, !own->labels != !own->targets && own->digest != 0, "samples have labels or targets, and a digest");
  int64_t elements = own->count;
  for (int a = 0; a < own->axes; a++) elements *= own->size[a];
  double sum = 0; /* every number is there to be read */
  for (int64_t i = 0; i < elements; i++) sum += own->input[i];
  for (int64_t i = 0; i < own->count; i++) sum += own->labels ? (double)own->labels[i] : (double)own->targets[i];
  fuzz_must(at, sum - sum == 0 || sum > 1e38 || sum < -1e38, "numbers are finite");
}

static fuzz_end run(const fuzz_try *at, int seed, const unsigned char *data, size_t length, uint64_t *state) {
  (void)state, (void)seed;
  const fuzz_file file = fuzz_file_create(at);
  fuzz_file_set(at, &file, data, length);
  cohort_samples samples;
  cohort_error error = {0};
  const cohort_status status = cohort_samples_read_npz(file.path, COHORT_LAYOUT_AUTO, &samples, &error);
  if (status == COHORT_DONE) {
    check_samples(at, &samples);
    cohort_samples_release(&samples);
  } else {
    fuzz_must(at, !samples.input && !samples.labels, "nothing is given out when refused");
    fuzz_refusal(at, status, COHORT_BAD_DATA, &error, file.path);
  }
  (void)close(file.descriptor);
  return status == COHORT_DONE ? FUZZ_READ : FUZZ_REFUSED;
}

int main(int count, char **word) {
  static const char *const names[] = {"x.npy", "y.npy"};
  static const float numbers[] = {0, 1, 2, 3, 4, 5};
  static const int32_t labels[] = {2, 0, 1};
  const npz_bytes content[] = {
      npz_array(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }\n", numbers, sizeof numbers),
      npz_array(2, "{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }\n", labels, sizeof labels)};
  const npz_bytes plain = npz_archive(2, names, content, &(npz_options){.method = 0}),
                  packed = npz_archive(2, names, content, &(npz_options){.method = 8}),
                  wide = npz_archive(2, names, content, &(npz_options){.method = 8, .zip64 = true});
  const fuzz_seed seeds[] = {{plain.data, plain.count}, {packed.data, packed.count}, {wide.data, wide.count}};
  const fuzz_reader reader = {"fuzz_npz", "PK\1\2\3\4\5\6\7\10\377(,)'<", 3, seeds, run};
  return fuzz_main(count, word, &reader);
}
