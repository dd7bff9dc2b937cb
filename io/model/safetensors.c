/* Reading safetensors. Invariant: every tensor's bytes lie inside its file and no byte belongs to two. Costs the
 * header, and sorting its tensors. */
#include "io/model/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/model/json.h"

enum { LONGEST_HEADER = 100000000 }; /* as the reference's own limit */

static const struct {
  const char *name;
  cohort_file_tensor_type type;
} type_names[] = {{"F32", COHORT_TENSOR_F32}, {"F16", COHORT_TENSOR_F16}, {"BF16", COHORT_TENSOR_BF16}};

static bool read_number(const json_t *value, int64_t *out) {
  if (!json_is_integer(value)) return false;
  *out = (int64_t)json_integer_value(value);
  return *out >= 0 && *out <= INT64_MAX / 2;
}

/* What an entry of the header says; offsets count from the end of the header. */
static bool read_entry(const json_t *entry, cohort_file_tensor *out) {
  const char *dtype = json_string_value(json_object_get(entry, "dtype"));
  const json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
  if (!dtype || !json_is_array(shape) || json_array_size(offsets) != 2) return false;
  out->type = COHORT_TENSOR_TYPES;
  for (size_t t = 0; t < sizeof type_names / sizeof *type_names; t++)
    if (strcmp(dtype, type_names[t].name) == 0) out->type = type_names[t].type;
  (void)snprintf(out->type_name, sizeof out->type_name, "%s", dtype);
  out->axes = (int)json_array_size(shape);
  if (json_array_size(shape) > COHORT_TENSOR_AXES) {
    out->axes = 0;
    out->type = COHORT_TENSOR_TYPES;
  }
  for (int a = 0; a < out->axes; a++)
    if (!read_number(json_array_get(shape, (size_t)a), &out->size[a])) return false;
  int64_t first, last;
  if (!read_number(json_array_get(offsets, 0), &first) || !read_number(json_array_get(offsets, 1), &last) ||
      last < first)
    return false;
  out->offset = (uint64_t)first;
  out->bytes = (uint64_t)(last - first);
  return true;
}

static int by_offset(const void *a, const void *b) {
  const cohort_file_tensor *left = a, *right = b;
  if (left->offset != right->offset) return left->offset < right->offset ? -1 : 1;
  return left->bytes < right->bytes ? -1 : left->bytes > right->bytes;
}

/* The file's tensors cover it from the header to the end, each byte once. */
static cohort_status check_cover(cohort_tensor_set *set, int first, uint64_t begin, uint64_t length,
                                 cohort_error *error) {
  const char *path = set->path[set->files - 1];
  if (set->tensors > first) qsort(set->tensor + first, (size_t)(set->tensors - first), sizeof *set->tensor, by_offset);
  for (int t = first; t < set->tensors; t++) {
    if (set->tensor[t].offset != begin)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %s %s", path, set->tensor[t].name,
                         set->tensor[t].offset < begin ? "overlaps another" : "begins after a gap");
    begin += set->tensor[t].bytes;
  }
  if (begin == length) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_DATA, "%s: %" PRIu64 " bytes behind the last tensor belong to none", path,
                     length - begin);
}

static cohort_status add_entries(cohort_tensor_set *set, const json_t *header, uint64_t begin, uint64_t length,
                                 cohort_error *error) {
  const int first = set->tensors;
  const char *path = set->path[set->files - 1], *name;
  const json_t *entry;
  json_object_foreach((json_t *)(uintptr_t)header, name, entry) {
    if (strcmp(name, "__metadata__") == 0) continue;
    cohort_file_tensor tensor = {.name = (char *)(uintptr_t)name, .file = set->files - 1};
    if (strlen(name) > 512 || !read_entry(entry, &tensor))
      return cohort_fail(error, COHORT_BAD_DATA, "%s: the header's entry of tensor %.80s makes no sense", path, name);
    tensor.offset += begin;
    COHORT_TRY(cohort_tensor_set_add(set, &tensor, begin, length, error));
  }
  return check_cover(set, first, begin, length, error);
}

cohort_status cohort_safetensors_add(cohort_tensor_set *set, const char *path, cohort_error *error) {
  uint64_t length = 0, header_length = 0;
  unsigned char count[8];
  COHORT_TRY(cohort_tensor_set_open(set, path, &length, error));
  const int descriptor = set->descriptor[set->files - 1];
  if (length < sizeof count)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: is no safetensors file: it has %" PRIu64 " bytes", path, length);
  COHORT_TRY(cohort_file_pread(descriptor, path, count, sizeof count, 0, error));
  for (int i = 7; i >= 0; i--) header_length = header_length << 8 | count[i];
  if (header_length > length - sizeof count || header_length > LONGEST_HEADER)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: is no safetensors file, or cut short: a header of %" PRIu64 " bytes in a file of %" PRIu64,
                       path, header_length, length);
  char *text = cohort_allocate((size_t)header_length + 1);
  json_t *header = NULL;
  cohort_status status = cohort_file_pread(descriptor, path, text, header_length, sizeof count, error);
  if (status == COHORT_DONE) status = cohort_json_parse(text, (size_t)header_length, path, &header, error);
  free(text);
  if (status == COHORT_DONE) status = add_entries(set, header, sizeof count + header_length, length, error);
  json_decref(header);
  return status;
}

/* Adds the files that an index names, each once. A name that leads out of the folder is refused. */
static cohort_status add_shards(cohort_tensor_set *set, const char *folder, const char *index, const json_t *root,
                                cohort_error *error) {
  const json_t *map = json_object_get(root, "weight_map"), *value;
  const char *name;
  if (!json_is_object(map)) return cohort_fail(error, COHORT_BAD_DATA, "%s: has no weight_map", index);
  const int before = set->files;
  json_object_foreach((json_t *)(uintptr_t)map, name, value) {
    const char *file = json_string_value(value);
    if (!file || !*file || strchr(file, '/') || strlen(file) > 255)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %.80s is in no file of the folder", index, name);
    bool known = false;
    for (int f = before; f < set->files && !known; f++) known = strcmp(strrchr(set->path[f], '/') + 1, file) == 0;
    if (known) continue;
    char *path = cohort_format_text("%s/%s", folder, file);
    const cohort_status status = cohort_safetensors_add(set, path, error);
    free(path);
    COHORT_TRY(status);
  }
  return COHORT_DONE;
}

/* Every tensor of the index is in the file where it says. */
static cohort_status check_index(const cohort_tensor_set *set, const char *index, const json_t *root,
                                 cohort_error *error) {
  const json_t *map = json_object_get(root, "weight_map"), *value;
  const char *name;
  json_object_foreach((json_t *)(uintptr_t)map, name, value) {
    const cohort_file_tensor *found = cohort_tensor_set_find(set, name);
    if (!found || strcmp(strrchr(set->path[found->file], '/') + 1, json_string_value(value)) != 0)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %.80s is not in %s", index, name,
                         json_string_value(value));
  }
  return COHORT_DONE;
}

static char *path_of(const char *folder, const char *name, const char *end) {
  return cohort_format_text("%s/%s.safetensors%s", folder, name, end);
}

bool cohort_safetensors_in(const char *folder, const char *name) {
  char *whole = path_of(folder, name, ""), *index = path_of(folder, name, ".index.json");
  const bool there = cohort_file_exists(whole) || cohort_file_exists(index);
  free(whole);
  free(index);
  return there;
}

cohort_status cohort_safetensors_add_folder(cohort_tensor_set *set, const char *folder, const char *name,
                                            cohort_error *error) {
  char *whole = path_of(folder, name, ""), *index = path_of(folder, name, ".index.json");
  json_t *root = NULL;
  cohort_status status;
  if (cohort_file_exists(whole)) {
    status = cohort_safetensors_add(set, whole, error);
    if (status == COHORT_DONE) status = cohort_tensor_set_finish(set, error);
  } else if (cohort_file_exists(index)) {
    status = cohort_json_read(index, &root, error);
    if (status == COHORT_DONE) status = add_shards(set, folder, index, root, error);
    if (status == COHORT_DONE) status = cohort_tensor_set_finish(set, error);
    if (status == COHORT_DONE) status = check_index(set, index, root, error);
  } else {
    status = cohort_fail(error, COHORT_BAD_DATA,
                         "%s: has neither %s.safetensors nor its index; PyTorch's .bin files "
                         "are not read: save the model as safetensors",
                         folder, name);
  }
  json_decref(root);
  free(whole);
  free(index);
  return status;
}
