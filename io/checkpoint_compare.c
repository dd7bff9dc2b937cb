/* Two checkpoints, bit by bit: step, seed, sampler numbers and every dataset. Texts (config, kernels) are not compared:
 * they name paths and machines, which do not make other bits. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/checkpoint_data.h"

enum { BUFFER_BYTES = 1 << 20 }; /* a multiple of every element's size */

typedef struct side {
  const char *path;
  int descriptor;
  cohort_structure stored;
} side;

typedef struct difference {
  int64_t elements; /* whose bits differ */
  double largest;   /* |a - b|; NaN when a difference is no number */
} difference;

static double element_at(cohort_stored_type type, const char *data, size_t i) {
  float single = 0;
  double number = 0;
  int64_t integer = 0;
  if (type == COHORT_STORED_FLOAT32) {
    memcpy(&single, data + i * sizeof single, sizeof single);
    return (double)single;
  }
  if (type == COHORT_STORED_FLOAT64) {
    memcpy(&number, data + i * sizeof number, sizeof number);
    return number;
  }
  memcpy(&integer, data + i * sizeof integer, sizeof integer);
  return (double)integer;
}

static void count_differences(cohort_stored_type type, const char *a, const char *b, size_t bytes, difference *out) {
  if (memcmp(a, b, bytes) == 0) return;
  const size_t element = cohort_stored_bytes(type);
  for (size_t i = 0; i < bytes / element; i++) {
    if (memcmp(a + i * element, b + i * element, element) == 0) continue;
    out->elements++;
    const double gap = fabs(element_at(type, a, i) - element_at(type, b, i));
    if (isnan(gap) || gap > out->largest) out->largest = isnan(out->largest) ? out->largest : gap;
  }
}

/* Elements [first, first + count) of one flat dataset in both files. */
static cohort_status compare_range(const side *a, const side *b, const cohort_flat_entry *flat_a,
                                   const cohort_flat_entry *flat_b, int64_t first, int64_t count, difference *out,
                                   cohort_error *error) {
  const int64_t element = (int64_t)cohort_stored_bytes(flat_a->type);
  char *const buffer = cohort_allocate(2 * (size_t)BUFFER_BYTES);
  cohort_status status = COHORT_DONE;
  *out = (difference){0};
  for (int64_t done = 0; done < count * element && status == COHORT_DONE; done += BUFFER_BYTES) {
    const int64_t left = count * element - done, start = first * element + done;
    const size_t bytes = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
    status = cohort_read_at(a->descriptor, a->path, buffer, bytes, flat_a->region.offset + start, error);
    if (status == COHORT_DONE) {
      status =
          cohort_read_at(b->descriptor, b->path, buffer + BUFFER_BYTES, bytes, flat_b->region.offset + start, error);
    }
    if (status == COHORT_DONE) count_differences(flat_a->type, buffer, buffer + BUFFER_BYTES, bytes, out);
  }
  free(buffer);
  return status;
}

static int64_t tensor_elements(const cohort_stored_tensor *tensor) {
  int64_t elements = 1;
  for (int i = 0; i < tensor->axes; i++) elements *= tensor->size[i];
  return elements;
}

static bool same_tensors(const cohort_flat_entry *a, const cohort_flat_entry *b) {
  const int most = a->tensors > b->tensors ? a->tensors : b->tensors;
  for (int i = 0; i < most; i++) {
    if (i >= a->tensors || i >= b->tensors || strcmp(a->tensor[i].name, b->tensor[i].name) != 0) {
      const bool of_a = i < a->tensors;
      printf("differs: %s/%s is only in the %s file\n", of_a ? a->view_path : b->view_path,
             of_a ? a->tensor[i].name : b->tensor[i].name, of_a ? "first" : "second");
      return false;
    }
    const cohort_stored_tensor *const left = &a->tensor[i], *const right = &b->tensor[i];
    if (left->axes == right->axes && left->offset == right->offset &&
        memcmp(left->size, right->size, (size_t)left->axes * sizeof *left->size) == 0) {
      continue;
    }
    char shape_a[128], shape_b[128];
    cohort_stored_shape_text(left->axes, left->size, shape_a);
    cohort_stored_shape_text(right->axes, right->size, shape_b);
    printf("differs: %s/%s: shape %s at element %" PRId64 " against %s at element %" PRId64 "\n", a->view_path,
           left->name, shape_a, left->offset, shape_b, right->offset);
    return false;
  }
  return true;
}

static void print_difference(const char *path, const char *name, const difference *found, int64_t elements) {
  printf("differs: %s%s%s: %" PRId64 " of %" PRId64 " elements, max |a-b| = %.9g\n", path, *name ? "/" : "", name,
         found->elements, elements, found->largest);
}

/* Tensors first, for their names; then the whole dataset, for what no tensor shows. */
static cohort_status compare_flat(const side *a, const side *b, const cohort_flat_entry *flat_a,
                                  const cohort_flat_entry *flat_b, bool *equal, cohort_error *error) {
  *equal = false;
  if (flat_a->type != flat_b->type || flat_a->elements != flat_b->elements) {
    if (flat_a->type == flat_b->type && !same_tensors(flat_a, flat_b)) return COHORT_DONE;
    printf("differs: %s: %" PRId64 " %s against %" PRId64 " %s\n", flat_a->path, flat_a->elements,
           cohort_stored_type_name(flat_a->type), flat_b->elements, cohort_stored_type_name(flat_b->type));
    return COHORT_DONE;
  }
  if (!same_tensors(flat_a, flat_b)) return COHORT_DONE;
  difference found = {0};
  for (int i = 0; i < flat_a->tensors; i++) {
    const cohort_stored_tensor *const tensor = &flat_a->tensor[i];
    const int64_t elements = tensor_elements(tensor);
    COHORT_TRY(compare_range(a, b, flat_a, flat_b, tensor->offset, elements, &found, error));
    if (found.elements == 0) continue;
    print_difference(flat_a->view_path, tensor->name, &found, elements);
    return COHORT_DONE;
  }
  COHORT_TRY(compare_range(a, b, flat_a, flat_b, 0, flat_a->elements, &found, error));
  if (found.elements > 0) print_difference(flat_a->path, "", &found, flat_a->elements);
  *equal = found.elements == 0;
  return COHORT_DONE;
}

static bool same_numbers(const cohort_structure *a, const cohort_structure *b) {
  if (a->step != b->step) {
    printf("differs: step: %" PRId64 " against %" PRId64 "\n", a->step, b->step);
    return false;
  }
  if (a->seed != b->seed) {
    printf("differs: seed: %" PRIu64 " against %" PRIu64 "\n", a->seed, b->seed);
    return false;
  }
  for (int i = 0; i < a->numbers || i < b->numbers; i++) {
    if (i >= a->numbers || i >= b->numbers || strcmp(a->number[i].name, b->number[i].name) != 0) {
      const bool of_a = i < a->numbers;
      printf("differs: /sampler %s is only in the %s file\n", of_a ? a->number[i].name : b->number[i].name,
             of_a ? "first" : "second");
      return false;
    }
    if (a->number[i].value == b->number[i].value) continue;
    printf("differs: /sampler %s: %" PRId64 " against %" PRId64 "\n", a->number[i].name, a->number[i].value,
           b->number[i].value);
    return false;
  }
  return true;
}

/* The datasets first: which tensor differs is what people want to know. */
static cohort_status compare_sides(const side *a, const side *b, bool *equal, cohort_error *error) {
  int tensors = 0;
  *equal = false;
  for (int i = 0; i < a->stored.flats; i++) {
    const cohort_flat_entry *const flat_a = &a->stored.flat[i];
    const cohort_flat_entry *const flat_b = cohort_structure_flat(&b->stored, flat_a->path);
    if (!flat_b) {
      printf("differs: %s is only in the first file\n", flat_a->path);
      return COHORT_DONE;
    }
    bool same = false;
    COHORT_TRY(compare_flat(a, b, flat_a, flat_b, &same, error));
    if (!same) return COHORT_DONE;
    tensors += flat_a->tensors;
  }
  for (int i = 0; i < b->stored.flats; i++) {
    if (cohort_structure_flat(&a->stored, b->stored.flat[i].path)) continue;
    printf("differs: %s is only in the second file\n", b->stored.flat[i].path);
    return COHORT_DONE;
  }
  if (!same_numbers(&a->stored, &b->stored)) return COHORT_DONE;
  printf("same bits: %d datasets with %d tensors, %d sampler numbers\n", a->stored.flats, tensors, a->stored.numbers);
  *equal = true;
  return COHORT_DONE;
}

/* Opens and verifies: what does not fit its digest is no evidence. */
static cohort_status open_side(const char *path, side *out, cohort_error *error) {
  *out = (side){.path = path, .descriptor = -1};
  COHORT_TRY(cohort_structure_read(path, &out->stored, error));
  out->descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (out->descriptor < 0) {
    return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be opened: %s", path, strerror(errno));
  }
  for (int i = 0; i < out->stored.flats; i++) {
    bool fits = false;
    COHORT_TRY(cohort_flat_verify(out->descriptor, path, &out->stored.flat[i], &fits, error));
    if (fits) continue;
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: %s: the data do not fit their digest: the file is damaged; use another one", path,
                       out->stored.flat[i].path);
  }
  return COHORT_DONE;
}

static void close_side(side *opened) {
  if (opened->descriptor >= 0) close(opened->descriptor);
  cohort_structure_release(&opened->stored);
}

cohort_status cohort_checkpoint_compare(const char *path_a, const char *path_b, bool *equal, cohort_error *error) {
  side a = {.descriptor = -1}, b = {.descriptor = -1};
  bool same = false;
  cohort_status status = open_side(path_a, &a, error);
  if (status == COHORT_DONE) status = open_side(path_b, &b, error);
  if (status == COHORT_DONE) status = compare_sides(&a, &b, &same, error);
  if (status == COHORT_DONE) *equal = same;
  close_side(&a);
  close_side(&b);
  return status;
}
