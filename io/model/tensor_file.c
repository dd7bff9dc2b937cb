/* Tables of tensors in files, and their values as float32. Invariant: what stands in a table lies inside its file, so
 * reading can fail by the disk alone. A read takes memory for one chunk. */
#include "io/model/tensor_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/model/numbers.h"

/* Bytes and elements of a block, and how it becomes float32. */
static const struct {
  int64_t elements, bytes;
  void (*widen)(const unsigned char *in, int64_t blocks, float *out);
} types[COHORT_TENSOR_TYPES] = {
    [COHORT_TENSOR_F32] = {1, 4, cohort_widen_f32},       [COHORT_TENSOR_F16] = {1, 2, cohort_widen_f16},
    [COHORT_TENSOR_BF16] = {1, 2, cohort_widen_bf16},     [COHORT_TENSOR_Q8_0] = {32, 34, cohort_widen_q8_0},
    [COHORT_TENSOR_Q4_0] = {32, 18, cohort_widen_q4_0},   [COHORT_TENSOR_Q4_1] = {32, 20, cohort_widen_q4_1},
    [COHORT_TENSOR_Q5_0] = {32, 22, cohort_widen_q5_0},   [COHORT_TENSOR_Q5_1] = {32, 24, cohort_widen_q5_1},
    [COHORT_TENSOR_Q4_K] = {256, 144, cohort_widen_q4_k}, [COHORT_TENSOR_Q5_K] = {256, 176, cohort_widen_q5_k},
    [COHORT_TENSOR_Q6_K] = {256, 210, cohort_widen_q6_k},
};

int64_t cohort_file_tensor_elements(const cohort_file_tensor *tensor) {
  int64_t elements = 1;
  for (int a = 0; a < tensor->axes; a++) elements *= tensor->size[a];
  return elements;
}

int64_t cohort_file_tensor_block(cohort_file_tensor_type type) { return types[type].elements; }

uint64_t cohort_file_tensor_bytes(cohort_file_tensor_type type, int64_t elements) {
  return (uint64_t)(elements / types[type].elements) * (uint64_t)types[type].bytes;
}

cohort_status cohort_file_pread(int descriptor, const char *path, void *out, uint64_t bytes, uint64_t offset,
                                cohort_error *error) {
  for (uint64_t done = 0; done < bytes;) {
    const uint64_t rest = bytes - done;
    const ssize_t got =
        pread(descriptor, (char *)out + done, rest < 1U << 30 ? rest : 1U << 30, (off_t)(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be read: %s", path,
                         got < 0 ? strerror(errno) : "it ends too early");
    done += (uint64_t)got;
  }
  return COHORT_DONE;
}

cohort_status cohort_tensor_set_open(cohort_tensor_set *set, const char *path, uint64_t *length, cohort_error *error) {
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  struct stat found;
  if (descriptor < 0) return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be read: %s", path, strerror(errno));
  if (fstat(descriptor, &found) != 0 || !S_ISREG(found.st_mode)) {
    (void)close(descriptor);
    return cohort_fail(error, COHORT_BAD_DATA, "%s: is no file", path);
  }
  const size_t count = (size_t)set->files + 1;
  set->path = cohort_reallocate(set->path, count * sizeof *set->path);
  set->descriptor = cohort_reallocate(set->descriptor, count * sizeof *set->descriptor);
  set->path[set->files] = cohort_copy_text(path);
  set->descriptor[set->files++] = descriptor;
  *length = (uint64_t)found.st_size;
  return COHORT_DONE;
}

/* Sizes above 0 whose product is at most 2^46, so that no number of bytes overflows. */
static bool sizes_hold(const cohort_file_tensor *tensor) {
  int64_t most = INT64_C(1) << 46;
  for (int a = 0; a < tensor->axes; a++) {
    if (tensor->size[a] <= 0 || tensor->size[a] > most) return false;
    most /= tensor->size[a];
  }
  return true;
}

cohort_status cohort_tensor_set_add(cohort_tensor_set *set, const cohort_file_tensor *tensor, uint64_t first,
                                    uint64_t length, cohort_error *error) {
  const char *path = set->path[tensor->file];
  if (set->tensors == COHORT_MOST_TENSORS)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: more than %d tensors", path, COHORT_MOST_TENSORS);
  if (tensor->offset < first || tensor->offset > length || tensor->bytes > length - tensor->offset)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %s lies outside the file, which is cut short or damaged",
                       path, tensor->name);
  if (tensor->type < COHORT_TENSOR_TYPES) {
    if (!sizes_hold(tensor))
      return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %s has an impossible shape", path, tensor->name);
    const int64_t last = tensor->axes ? tensor->size[tensor->axes - 1] : 1;
    if (last % types[tensor->type].elements != 0 ||
        tensor->bytes != cohort_file_tensor_bytes(tensor->type, cohort_file_tensor_elements(tensor)))
      return cohort_fail(error, COHORT_BAD_DATA, "%s: the bytes of tensor %s do not fit its shape", path, tensor->name);
  }
  if ((set->tensors & (set->tensors - 1)) == 0) {
    const size_t room = set->tensors ? 2 * (size_t)set->tensors : 1;
    set->tensor = cohort_reallocate(set->tensor, room * sizeof *set->tensor);
  }
  cohort_file_tensor *own = &set->tensor[set->tensors++];
  *own = *tensor;
  own->name = cohort_copy_text(tensor->name);
  return COHORT_DONE;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const cohort_file_tensor *)a)->name, ((const cohort_file_tensor *)b)->name);
}

cohort_status cohort_tensor_set_finish(cohort_tensor_set *set, cohort_error *error) {
  if (set->tensors) qsort(set->tensor, (size_t)set->tensors, sizeof *set->tensor, by_name);
  for (int t = 1; t < set->tensors; t++)
    if (strcmp(set->tensor[t - 1].name, set->tensor[t].name) == 0)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %s stands twice", set->path[set->tensor[t].file],
                         set->tensor[t].name);
  return COHORT_DONE;
}

cohort_file_tensor *cohort_tensor_set_find(const cohort_tensor_set *set, const char *name) {
  const cohort_file_tensor key = {.name = (char *)(uintptr_t)name};
  if (!set->tensors) return NULL;
  return bsearch(&key, set->tensor, (size_t)set->tensors, sizeof *set->tensor, by_name);
}

cohort_status cohort_file_tensor_read(const cohort_tensor_set *set, const cohort_file_tensor *tensor, int64_t first,
                                      int64_t count, float *out, cohort_error *error) {
  enum { CHUNK = 1 << 18 }; /* elements, whole blocks */
  const char *path = set->path[tensor->file];
  const int descriptor = set->descriptor[tensor->file];
  if (tensor->type >= COHORT_TENSOR_TYPES)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: tensor %s is of type %s, which is not read; convert it to F32, F16 or BF16", path,
                       tensor->name, tensor->type_name);
  const uint64_t offset = tensor->offset + cohort_file_tensor_bytes(tensor->type, first);
  if (tensor->type == COHORT_TENSOR_F32) /* as they lie: little-endian, as all machines that this is built for */
    return cohort_file_pread(descriptor, path, out, (uint64_t)count * sizeof *out, offset, error);
  unsigned char *room = cohort_allocate(cohort_file_tensor_bytes(tensor->type, count < CHUNK ? count : CHUNK) + 1);
  cohort_status status = COHORT_DONE;
  for (int64_t done = 0; done < count && status == COHORT_DONE; done += CHUNK) {
    const int64_t part = count - done < CHUNK ? count - done : CHUNK;
    status = cohort_file_pread(descriptor, path, room, cohort_file_tensor_bytes(tensor->type, part),
                               offset + cohort_file_tensor_bytes(tensor->type, done), error);
    if (status == COHORT_DONE) types[tensor->type].widen(room, part / types[tensor->type].elements, out + done);
  }
  free(room);
  return status;
}

void cohort_tensor_set_release(cohort_tensor_set *set) {
  for (int t = 0; t < set->tensors; t++) free(set->tensor[t].name);
  for (int f = 0; f < set->files; f++) {
    free(set->path[f]);
    (void)close(set->descriptor[f]);
  }
  free(set->tensor);
  free(set->path);
  free(set->descriptor);
  *set = (cohort_tensor_set){0};
}
