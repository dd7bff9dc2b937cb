/* IDX files (yann.lecun.com/exdb/mnist): 0 0 TYPE AXES, then the sizes as big-endian 32-bit numbers, then the data. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/compressed.h"
#include "io/dataset/dataset.h"

enum { UNSIGNED_BYTES = 0x08 };

typedef struct idx_file {
  int axes;
  int64_t size[4];
  unsigned char *file, *data; /* the data lie in the file's content */
  size_t bytes;
} idx_file;

static int64_t size_at(const unsigned char *at) {
  return (int64_t)at[0] << 24 | (int64_t)at[1] << 16 | (int64_t)at[2] << 8 | (int64_t)at[3];
}

static cohort_status parse(const char *path, idx_file *own, size_t length, int axes, cohort_error *error) {
  const unsigned char *head = own->file;
  if (length < 4 || head[0] != 0 || head[1] != 0)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: not an IDX file: it must begin with two zero bytes", path);
  if (head[2] != UNSIGNED_BYTES)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: IDX type 0x%02x; unsigned bytes (0x08) are read", path, head[2]);
  own->axes = head[3];
  if (own->axes != axes)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: %d axes instead of %d here", path, own->axes, axes);
  const size_t start = 4 + 4 * (size_t)axes;
  if (length < start) return cohort_fail(error, COHORT_BAD_DATA, "%s: cut off inside its header", path);
  double elements = 1;
  for (int a = 0; a < axes; a++) {
    own->size[a] = size_at(head + 4 + 4 * a);
    if (own->size[a] == 0) return cohort_fail(error, COHORT_BAD_DATA, "%s: axis %d has size 0", path, a);
    elements *= (double)own->size[a];
  }
  if (elements != (double)(length - start))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: its header promises %.0f bytes of data, but %zu follow", path,
                       elements, length - start);
  own->bytes = length - start;
  own->data = own->file + start;
  return COHORT_DONE;
}

/* What the header promises; 0 for a header that will be refused. */
static size_t promised(const unsigned char *head, size_t bytes) {
  const size_t start = bytes >= 4 ? 4 + 4 * (size_t)head[3] : SIZE_MAX;
  if (start > bytes || head[0] || head[1] || head[2] != UNSIGNED_BYTES) return 0;
  double elements = 1;
  for (size_t at = 4; at < start; at += 4) elements *= (double)size_at(head + at);
  return elements < (double)(PTRDIFF_MAX / 2) ? start + (size_t)elements : PTRDIFF_MAX;
}

static cohort_status read_idx(const char *path, int axes, idx_file *out, cohort_error *error) {
  size_t length = 0;
  memset(out, 0, sizeof *out);
  COHORT_TRY(cohort_compressed_read(path, promised, &out->file, &length, error));
  const cohort_status status = parse(path, out, length, axes, error);
  if (status != COHORT_DONE) {
    free(out->file);
    out->file = NULL;
  }
  return status;
}

static void fill(idx_file *images, const idx_file *labels, cohort_samples *out) {
  out->count = images->size[0];
  out->axes = 3;
  out->size[0] = images->size[1];
  out->size[1] = images->size[2];
  out->size[2] = 1;
  out->bytes = images->data;
  out->file = images->file;
  images->file = NULL;
  out->labels = cohort_allocate(labels->bytes * sizeof *out->labels);
  for (size_t i = 0; i < labels->bytes; i++) {
    out->labels[i] = labels->data[i];
    if (out->labels[i] >= out->classes) out->classes = out->labels[i] + 1;
  }
  out->digest = cohort_digest(labels->data, labels->bytes, cohort_digest(images->data, images->bytes, 1));
}

cohort_status cohort_samples_read_idx(const char *images, const char *labels, cohort_samples *out,
                                      cohort_error *error) {
  idx_file pixels, classes;
  memset(out, 0, sizeof *out);
  COHORT_TRY(read_idx(images, 3, &pixels, error));
  cohort_status status = read_idx(labels, 1, &classes, error);
  if (status == COHORT_DONE && pixels.size[0] != classes.size[0])
    status = cohort_fail(error, COHORT_BAD_DATA, "%s: %lld labels, but %s has %lld images", labels,
                         (long long)classes.size[0], images, (long long)pixels.size[0]);
  if (status == COHORT_DONE) fill(&pixels, &classes, out);
  free(pixels.file);
  free(classes.file);
  return status;
}

void cohort_samples_release(cohort_samples *samples) {
  free(samples->input);
  free(samples->file);
  free(samples->labels);
  free(samples->targets);
  for (int c = 0; c < samples->columns; c++) {
    free(samples->column[c].labels);
    free(samples->column[c].values);
  }
  memset(samples, 0, sizeof *samples);
}
