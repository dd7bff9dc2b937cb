/* One rank looks into a checkpoint: texts, one flat dataset, a listing. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/memory.h"
#include "io/checkpoint_data.h"

enum { BUFFER_BYTES = 1 << 20 };

cohort_status cohort_checkpoint_text(const char *path, const char *name, char **text, cohort_error *error) {
  cohort_structure stored;
  COHORT_TRY(cohort_structure_read(path, &stored, error));
  char *found = NULL;
  for (int i = 0; i < stored.texts && !found; i++) {
    if (strcmp(stored.text[i].name, name) == 0) found = cohort_copy_text(stored.text[i].text);
  }
  cohort_structure_release(&stored);
  if (!found) return cohort_fail(error, COHORT_BAD_DATA, "%s: /format has no text `%s`", path, name);
  *text = found;
  return COHORT_DONE;
}

cohort_status cohort_checkpoint_has(const char *path, const char *flat_path, bool *has, cohort_error *error) {
  cohort_structure stored;
  COHORT_TRY(cohort_structure_read(path, &stored, error));
  *has = cohort_structure_flat(&stored, flat_path) != NULL;
  cohort_structure_release(&stored);
  return COHORT_DONE;
}

cohort_status cohort_checkpoint_digest(const char *path, const char *flat_path, uint64_t *digest, cohort_error *error) {
  cohort_structure stored;
  COHORT_TRY(cohort_structure_read(path, &stored, error));
  const cohort_flat_entry *entry = cohort_structure_flat(&stored, flat_path);
  if (entry) *digest = entry->digest;
  cohort_structure_release(&stored);
  return entry ? COHORT_DONE : cohort_fail(error, COHORT_BAD_DATA, "%s: has no %s; use another file", path, flat_path);
}

int64_t cohort_checkpoint_step(const char *path, cohort_error *error) {
  cohort_structure stored;
  if (cohort_structure_read(path, &stored, error) != COHORT_DONE) return -1;
  const int64_t step = stored.step;
  cohort_structure_release(&stored);
  return step;
}

/* ---- one flat dataset ---- */

static cohort_status read_entry(const char *path, const cohort_flat_entry *entry, float *data, cohort_error *error) {
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be opened: %s", path, strerror(errno));
  const cohort_status status =
      cohort_read_at(descriptor, path, data, (size_t)entry->region.bytes, entry->region.offset, error);
  close(descriptor);
  COHORT_TRY(status);
  cohort_comm alone = cohort_comm_alone();
  const cohort_stored_flat whole = {
      .type = entry->type, .elements = entry->elements, .count = entry->elements, .slice = data};
  if (cohort_flat_digest(&alone, &whole) == entry->digest) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_DATA,
                     "%s: %s: the data do not fit their digest: the file is damaged; use another one", path,
                     entry->path);
}

static cohort_status read_flat(const char *path, const cohort_structure *stored, const char *flat_path,
                               const char *view_path, cohort_flat_contents *out, cohort_error *error) {
  const cohort_flat_entry *const entry = cohort_structure_flat(stored, flat_path);
  if (!entry) {
    const char *const first = stored->flats ? stored->flat[0].path : "nothing";
    return cohort_fail(error, COHORT_BAD_DATA, "%s: there is no %s; it holds %s", path, flat_path, first);
  }
  if (entry->type != COHORT_STORED_FLOAT32 || strcmp(entry->view_path, view_path) != 0) {
    return cohort_fail(error, COHORT_BAD_DATA, "%s: %s holds %s shown under %s, not float32 under %s", path, flat_path,
                       cohort_stored_type_name(entry->type), entry->view_path, view_path);
  }
  void *memory = NULL;
  COHORT_TRY(cohort_memory_create((size_t)entry->region.bytes, flat_path, &memory, error));
  const cohort_status status = read_entry(path, entry, memory, error);
  if (status != COHORT_DONE) {
    cohort_memory_release(memory);
    return status;
  }
  out->tensors = entry->tensors;
  out->tensor = cohort_allocate((size_t)(entry->tensors + 1) * sizeof *out->tensor);
  for (int i = 0; i < entry->tensors; i++) {
    out->tensor[i] = entry->tensor[i];
    out->tensor[i].name = cohort_copy_text(entry->tensor[i].name);
  }
  out->elements = entry->elements;
  out->data = memory;
  return COHORT_DONE;
}

cohort_status cohort_checkpoint_read_flat(const char *path, const char *flat_path, const char *view_path,
                                          cohort_flat_contents *out, cohort_error *error) {
  cohort_structure stored;
  COHORT_TRY(cohort_structure_read(path, &stored, error));
  const cohort_status status = read_flat(path, &stored, flat_path, view_path, out, error);
  cohort_structure_release(&stored);
  return status;
}

void cohort_flat_release(cohort_flat_contents *contents) {
  for (int i = 0; i < contents->tensors; i++) free((char *)(uintptr_t)contents->tensor[i].name);
  free(contents->tensor);
  cohort_memory_release(contents->data);
  *contents = (cohort_flat_contents){0};
}

/* ---- listing ---- */

/* XXH3 over a tensor's bytes, so that equal tensors of any two files have equal digests. */
static cohort_status tensor_digest(int descriptor, const char *path, const cohort_flat_entry *flat,
                                   const cohort_stored_tensor *tensor, uint64_t *digest, cohort_error *error) {
  const int64_t element = (int64_t)cohort_stored_bytes(flat->type);
  int64_t bytes = element;
  for (int i = 0; i < tensor->axes; i++) bytes *= tensor->size[i];
  char *const buffer = cohort_allocate(BUFFER_BYTES);
  XXH3_state_t *const state = XXH3_createState();
  XXH3_64bits_reset(state);
  cohort_status status = COHORT_DONE;
  for (int64_t done = 0; done < bytes && status == COHORT_DONE; done += BUFFER_BYTES) {
    const size_t piece = bytes - done < BUFFER_BYTES ? (size_t)(bytes - done) : BUFFER_BYTES;
    const int64_t offset = flat->region.offset + tensor->offset * element + done;
    status = cohort_read_at(descriptor, path, buffer, piece, offset, error);
    if (status == COHORT_DONE) XXH3_64bits_update(state, buffer, piece);
  }
  *digest = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  free(buffer);
  return status;
}

static json_t *hexadecimal(uint64_t value) {
  char text[20];
  snprintf(text, sizeof text, "%016" PRIx64, value);
  return json_string(text);
}

static cohort_status describe_flat(int descriptor, const char *path, const cohort_flat_entry *flat, json_t *out,
                                   cohort_error *error) {
  bool fits = false;
  COHORT_TRY(cohort_flat_verify(descriptor, path, flat, &fits, error));
  json_object_set_new(out, "path", json_string(flat->path));
  json_object_set_new(out, "view", json_string(flat->view_path));
  json_object_set_new(out, "type", json_string(cohort_stored_type_name(flat->type)));
  json_object_set_new(out, "elements", json_integer(flat->elements));
  json_object_set_new(out, "digest", hexadecimal(flat->digest));
  json_object_set_new(out, "whole", json_boolean(fits));
  json_t *const tensors = json_array();
  json_object_set_new(out, "tensors", tensors);
  for (int i = 0; i < flat->tensors; i++) {
    const cohort_stored_tensor *const tensor = &flat->tensor[i];
    uint64_t digest = 0;
    COHORT_TRY(tensor_digest(descriptor, path, flat, tensor, &digest, error));
    json_t *const shape = json_array(), *const entry = json_object();
    for (int k = 0; k < tensor->axes; k++) json_array_append_new(shape, json_integer(tensor->size[k]));
    json_object_set_new(entry, "name", json_string(tensor->name));
    json_object_set_new(entry, "shape", shape);
    json_object_set_new(entry, "digest", hexadecimal(digest));
    json_array_append_new(tensors, entry);
  }
  return COHORT_DONE;
}

/* The listing as a tree; the text form prints the same tree. */
static cohort_status describe(int descriptor, const char *path, const cohort_structure *stored, json_t *out,
                              cohort_error *error) {
  json_t *const format = json_object(), *const sampler = json_object(), *const flats = json_array();
  json_object_set_new(out, "file", json_string(path));
  json_object_set_new(out, "format", format);
  json_object_set_new(out, "sampler", sampler);
  json_object_set_new(out, "datasets", flats);
  json_object_set_new(format, "version", json_integer(stored->version));
  json_object_set_new(format, "step", json_integer(stored->step));
  char seed[24]; /* as text: JSON integers end at 2^63 */
  snprintf(seed, sizeof seed, "%" PRIu64, stored->seed);
  json_object_set_new(format, "seed",
                      stored->seed <= INT64_MAX ? json_integer((json_int_t)stored->seed) : json_string(seed));
  for (int i = 0; i < stored->texts; i++) {
    json_object_set_new(format, stored->text[i].name, json_string(stored->text[i].text));
  }
  for (int i = 0; i < stored->numbers; i++) {
    json_object_set_new(sampler, stored->number[i].name, json_integer(stored->number[i].value));
  }
  for (int i = 0; i < stored->flats; i++) {
    json_t *const flat = json_object();
    json_array_append_new(flats, flat);
    COHORT_TRY(describe_flat(descriptor, path, &stored->flat[i], flat, error));
  }
  return COHORT_DONE;
}

static void print_value(const char *name, const json_t *value) {
  if (json_is_integer(value)) {
    printf("  %s: %" JSON_INTEGER_FORMAT "\n", name, json_integer_value(value));
    return;
  }
  const char *text = json_string_value(value);
  if (!strchr(text, '\n')) {
    printf("  %s: %s\n", name, text);
    return;
  }
  printf("  %s:\n", name);
  while (*text) {
    const int length = (int)strcspn(text, "\n");
    printf("    %.*s\n", length, text);
    text += length + (text[length] == '\n');
  }
}

static void print_flat(const json_t *flat) {
  const bool whole = json_is_true(json_object_get(flat, "whole"));
  printf("%s: %s, %" JSON_INTEGER_FORMAT " elements, digest %s%s\n", json_string_value(json_object_get(flat, "path")),
         json_string_value(json_object_get(flat, "type")), json_integer_value(json_object_get(flat, "elements")),
         json_string_value(json_object_get(flat, "digest")), whole ? "" : " (DAMAGED: the data do not fit it)");
  size_t index = 0;
  json_t *tensor = NULL;
  json_array_foreach(json_object_get(flat, "tensors"), index, tensor) {
    char *const shape = json_dumps(json_object_get(tensor, "shape"), 0);
    printf("  %s/%s %s %s\n", json_string_value(json_object_get(flat, "view")),
           json_string_value(json_object_get(tensor, "name")), shape,
           json_string_value(json_object_get(tensor, "digest")));
    free(shape);
  }
}

static void print_text(json_t *tree) {
  const char *name = NULL;
  json_t *value = NULL;
  printf("%s\n/format\n", json_string_value(json_object_get(tree, "file")));
  json_object_foreach(json_object_get(tree, "format"), name, value) { print_value(name, value); }
  printf("/sampler\n");
  json_object_foreach(json_object_get(tree, "sampler"), name, value) { print_value(name, value); }
  size_t index = 0;
  json_array_foreach(json_object_get(tree, "datasets"), index, value) { print_flat(value); }
}

static bool all_whole(const json_t *tree) {
  size_t index = 0;
  json_t *flat = NULL;
  json_array_foreach(json_object_get(tree, "datasets"), index, flat) {
    if (!json_is_true(json_object_get(flat, "whole"))) return false;
  }
  return true;
}

cohort_status cohort_checkpoint_print(const char *path, bool json, cohort_error *error) {
  cohort_structure stored;
  COHORT_TRY(cohort_structure_read(path, &stored, error));
  json_t *const tree = json_object();
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  cohort_status status = descriptor < 0
                             ? cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be opened: %s", path, strerror(errno))
                             : describe(descriptor, path, &stored, tree, error);
  if (descriptor >= 0) close(descriptor);
  if (status == COHORT_DONE && json) {
    json_dumpf(tree, stdout, JSON_INDENT(2));
    printf("\n");
  } else if (status == COHORT_DONE) {
    print_text(tree);
  }
  if (status == COHORT_DONE && !all_whole(tree)) {
    status = cohort_fail(error, COHORT_BAD_DATA, "%s: a dataset is damaged, see the listing; use another one", path);
  }
  json_decref(tree);
  cohort_structure_release(&stored);
  return status;
}
