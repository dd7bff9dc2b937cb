/* IDX files, plain and compressed: what is read is consistent, whatever its header promised. */
#include <zlib.h>

#include "fuzz/fuzz.h"
#include "io/dataset/dataset.h"

static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0,
                                       0, 2, 0, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 255};
static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 2, 0, 7};
enum { IMAGES, IMAGES_PACKED, LABELS, LABELS_PACKED, SEEDS };

static size_t pack(const void *data, size_t bytes, unsigned char *out, size_t room) {
  z_stream stream = {
      .next_in = (z_const Bytef *)data, .avail_in = (uInt)bytes, .next_out = out, .avail_out = (uInt)room};
  const int gzip = 16;
  if (deflateInit2(&stream, 9, Z_DEFLATED, MAX_WBITS + gzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) return 0;
  const bool whole = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  const size_t length = room - stream.avail_out;
  (void)deflateEnd(&stream);
  return whole ? length : 0;
}

static void check_samples(const fuzz_try *at, const cohort_samples *own) {
  fuzz_must(at, own->count > 0 && own->axes == 3 && own->size[2] == 1, "images have a count and three axes");
  fuzz_must(at, own->labels && !own->targets && own->digest != 0, "images have labels and a digest");
  const int64_t pixels = own->count * own->size[0] * own->size[1];
  int64_t sum = 0; /* every byte is there to be read */
  for (int64_t i = 0; i < pixels; i++) sum += own->bytes[i];
  fuzz_must(at, !own->input && sum <= 255 * pixels, "pixels are bytes");
  int64_t most = 0;
  for (int64_t i = 0; i < own->count; i++) {
    fuzz_must(at, own->labels[i] >= 0, "labels are bytes");
    if (own->labels[i] > most) most = own->labels[i];
  }
  fuzz_must(at, own->classes == most + 1, "classes are the largest label + 1");
}

static fuzz_end run(const fuzz_try *at, int seed, const unsigned char *data, size_t length, uint64_t *state) {
  (void)state;
  const bool of_images = seed == IMAGES || seed == IMAGES_PACKED;
  const fuzz_file first = fuzz_file_create(at), second = fuzz_file_create(at);
  fuzz_file_set(at, &first, of_images ? data : images, of_images ? length : sizeof images);
  fuzz_file_set(at, &second, of_images ? labels : data, of_images ? sizeof labels : length);
  cohort_samples samples;
  cohort_error error = {0};
  const cohort_status status = cohort_samples_read_idx(first.path, second.path, &samples, &error);
  if (status == COHORT_DONE) {
    check_samples(at, &samples);
    cohort_samples_release(&samples);
  } else {
    fuzz_must(at, !samples.input && !samples.labels, "nothing is given out when refused");
    /* Counts that differ are told of the labels. */
    const char *const named = strncmp(error.text, first.path, strlen(first.path)) == 0 ? first.path : second.path;
    fuzz_refusal(at, status, COHORT_BAD_DATA, &error, named);
  }
  (void)close(first.descriptor);
  (void)close(second.descriptor);
  return status == COHORT_DONE ? FUZZ_READ : FUZZ_REFUSED;
}

int main(int count, char **word) {
  unsigned char packed[2][128];
  const fuzz_seed seeds[SEEDS] = {{images, sizeof images},
                                  {packed[0], pack(images, sizeof images, packed[0], sizeof packed[0])},
                                  {labels, sizeof labels},
                                  {packed[1], pack(labels, sizeof labels, packed[1], sizeof packed[1])}};
  if (!seeds[IMAGES_PACKED].bytes || !seeds[LABELS_PACKED].bytes) return 1;
  const fuzz_reader reader = {"fuzz_idx", "\1\2\3\10\37\213\377", SEEDS, seeds, run};
  return fuzz_main(count, word, &reader);
}
