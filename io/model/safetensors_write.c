/* Writing safetensors, in one file or several. Invariant: nothing stands under a final name before all of it is written
 * and on the disk. Takes memory for one chunk. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/model/json.h"
#include "io/model/numbers.h"
#include "io/model/safetensors.h"

struct cohort_safetensors_writer {
  char *folder, *name;
  bool bf16;
  int tensors, shards;
  cohort_safetensors_declared *declared;
  int *shard;     /* [tensors] */
  int at;         /* tensor that is being written */
  int64_t done;   /* of its elements */
  int open_shard; /* -1: none */
  int descriptor;
};

static int64_t elements_of(const cohort_safetensors_declared *declared) {
  int64_t elements = 1;
  for (int a = 0; a < declared->axes; a++) elements *= declared->size[a];
  return elements;
}

static int64_t width_of(const cohort_safetensors_writer *own) { return own->bf16 ? 2 : 4; }

static char *path_of(const cohort_safetensors_writer *own, int shard, const char *end) {
  if (own->shards == 1) return cohort_format_text("%s/%s.safetensors%s", own->folder, own->name, end);
  return cohort_format_text("%s/%s-%05d-of-%05d.safetensors%s", own->folder, own->name, shard + 1, own->shards, end);
}

static cohort_status write_all(int descriptor, const char *path, const void *data, size_t bytes, cohort_error *error) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t wrote = write(descriptor, (const char *)data + done, bytes - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return cohort_file_refused(path, errno, error);
    done += (size_t)wrote;
  }
  return COHORT_DONE;
}

/* {NAME: {dtype, shape, data_offsets}} of one shard, padded with spaces to a multiple of 8. */
static char *header_of(const cohort_safetensors_writer *own, int shard, size_t *length) {
  json_t *root = json_pack("{s{ss}}", "__metadata__", "format", "pt");
  int64_t offset = 0;
  for (int t = 0; t < own->tensors; t++) {
    const cohort_safetensors_declared *declared = &own->declared[t];
    if (own->shard[t] != shard) continue;
    json_t *shape = json_array();
    for (int a = 0; a < declared->axes; a++) json_array_append_new(shape, json_integer(declared->size[a]));
    const int64_t end = offset + elements_of(declared) * width_of(own);
    json_object_set_new(root, declared->name,
                        json_pack("{sssos[II]}", "dtype", own->bf16 ? "BF16" : "F32", "shape", shape, "data_offsets",
                                  (json_int_t)offset, (json_int_t)end));
    offset = end;
  }
  char *text = json_dumps(root, JSON_COMPACT);
  json_decref(root);
  *length = strlen(text);
  const size_t padded = cohort_round_up(*length, 8);
  text = cohort_reallocate(text, padded + 1);
  memset(text + *length, ' ', padded - *length);
  *length = padded;
  return text;
}

static cohort_status open_shard(cohort_safetensors_writer *own, int shard, cohort_error *error) {
  char *path = path_of(own, shard, ".part");
  own->descriptor = cohort_file_create(path);
  cohort_status status = own->descriptor < 0 ? cohort_file_refused(path, errno, error) : COHORT_DONE;
  if (status == COHORT_DONE) {
    own->open_shard = shard;
    size_t length = 0;
    char *header = header_of(own, shard, &length);
    unsigned char count[8];
    for (int i = 0; i < 8; i++) count[i] = (unsigned char)((uint64_t)length >> 8 * i);
    status = write_all(own->descriptor, path, count, sizeof count, error);
    if (status == COHORT_DONE) status = write_all(own->descriptor, path, header, length, error);
    free(header);
  }
  free(path);
  return status;
}

static cohort_status close_shard(cohort_safetensors_writer *own, cohort_error *error) {
  char *path = path_of(own, own->open_shard, ".part");
  const bool good = fsync(own->descriptor) == 0;
  const int fault = errno;
  (void)close(own->descriptor);
  own->descriptor = -1;
  const cohort_status status = good ? COHORT_DONE : cohort_file_refused(path, fault, error);
  free(path);
  return status;
}

cohort_status cohort_safetensors_create(const char *folder, const char *name, bool bf16, int64_t shard, int tensors,
                                        const cohort_safetensors_declared *declared, cohort_safetensors_writer **out,
                                        cohort_error *error) {
  COHORT_TRY(cohort_directory_create(folder, error));
  cohort_safetensors_writer *own = cohort_allocate(sizeof *own);
  *own = (cohort_safetensors_writer){.folder = cohort_copy_text(folder),
                                     .name = cohort_copy_text(name),
                                     .bf16 = bf16,
                                     .tensors = tensors,
                                     .open_shard = -1,
                                     .descriptor = -1};
  own->declared = cohort_allocate((size_t)(tensors + 1) * sizeof *own->declared);
  own->shard = cohort_allocate((size_t)(tensors + 1) * sizeof *own->shard);
  memcpy(own->declared, declared, (size_t)tensors * sizeof *declared);
  int64_t filled = 0;
  for (int t = 0; t < tensors; t++) {
    const int64_t bytes = elements_of(&declared[t]) * width_of(own);
    if (own->shards == 0 || filled + bytes > shard) {
      own->shards++;
      filled = 0;
    }
    filled += bytes;
    own->shard[t] = own->shards - 1;
  }
  if (own->shards == 0) own->shards = 1;
  *out = own;
  return tensors ? COHORT_DONE : open_shard(own, 0, error);
}

static cohort_status put_narrow(cohort_safetensors_writer *own, const char *path, const float *values, int64_t count,
                                cohort_error *error) {
  enum { CHUNK = 1 << 16 };
  uint16_t *room = cohort_allocate(CHUNK * sizeof *room);
  cohort_status status = COHORT_DONE;
  for (int64_t done = 0; done < count && status == COHORT_DONE; done += CHUNK) {
    const int64_t part = count - done < CHUNK ? count - done : CHUNK;
    for (int64_t i = 0; i < part; i++) room[i] = cohort_float_to_bf16(values[done + i]);
    status = write_all(own->descriptor, path, room, (size_t)part * sizeof *room, error);
  }
  free(room);
  return status;
}

cohort_status cohort_safetensors_put(cohort_safetensors_writer *own, const float *values, int64_t count,
                                     cohort_error *error) {
  const int shard = own->shard[own->at];
  if (own->open_shard != shard) {
    if (own->descriptor >= 0) COHORT_TRY(close_shard(own, error));
    COHORT_TRY(open_shard(own, shard, error));
  }
  char *path = path_of(own, shard, ".part");
  const cohort_status status = own->bf16
                                   ? put_narrow(own, path, values, count, error)
                                   : write_all(own->descriptor, path, values, (size_t)count * sizeof *values, error);
  free(path);
  own->done += count;
  if (own->done >= elements_of(&own->declared[own->at])) {
    own->at++;
    own->done = 0;
  }
  return status;
}

static cohort_status write_index(const cohort_safetensors_writer *own, cohort_error *error) {
  json_t *map = json_object();
  int64_t bytes = 0;
  for (int t = 0; t < own->tensors; t++) {
    char *file = path_of(own, own->shard[t], "");
    json_object_set_new(map, own->declared[t].name, json_string(strrchr(file, '/') + 1));
    bytes += elements_of(&own->declared[t]) * width_of(own);
    free(file);
  }
  char *path = cohort_format_text("%s/%s.safetensors.index.json", own->folder, own->name);
  const cohort_status status = cohort_json_write(
      json_pack("{s{sI}so}", "metadata", "total_size", (json_int_t)bytes, "weight_map", map), path, error);
  free(path);
  return status;
}

/* Gives the files their names, or removes them. */
static cohort_status end_files(const cohort_safetensors_writer *own, cohort_status status, cohort_error *error) {
  for (int s = 0; s <= own->open_shard; s++) {
    char *part = path_of(own, s, ".part"), *path = path_of(own, s, "");
    if (status == COHORT_DONE && rename(part, path) != 0) status = cohort_file_refused(path, errno, error);
    if (status != COHORT_DONE) (void)unlink(part);
    free(part);
    free(path);
  }
  return status;
}

cohort_status cohort_safetensors_close(cohort_safetensors_writer *own, cohort_status status, cohort_error *error) {
  if (!own) return status;
  if (own->descriptor >= 0) {
    const cohort_status closed = close_shard(own, status == COHORT_DONE ? error : NULL);
    if (status == COHORT_DONE) status = closed;
  }
  if (status == COHORT_DONE && own->at != own->tensors)
    status = cohort_fail(error, COHORT_BUG, "%s: %s was not written whole; report this", own->folder, own->name);
  status = end_files(own, status, error);
  if (status == COHORT_DONE && own->shards > 1) status = write_index(own, error);
  free(own->folder);
  free(own->name);
  free(own->declared);
  free(own->shard);
  free(own);
  return status;
}
