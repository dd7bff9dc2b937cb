#include "io/dataset/compressed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef COHORT_LIBDEFLATE
#include <libdeflate.h>
#else
#include <zlib.h>
#endif

#include "base/memory.h"

enum {
  SHORTEST_MEMBER = 18, /* header and trailer of gzip */
  LARGEST_RATIO = 1032, /* of deflate */
  LONGEST_READ = 1 << 30,
  LONGEST_INFLATE = 1 << 30 /* of zlib: below 2^32 */
};

typedef struct content {
  unsigned char *data;
  size_t bytes, room;
} content;

static cohort_status make_room(content *own, size_t room, cohort_error *error) {
  void *memory = NULL;
  COHORT_TRY(cohort_memory_create(room, "a data file", &memory, error));
  if (own->bytes) memcpy(memory, own->data, own->bytes);
  cohort_memory_release(own->data);
  own->data = memory;
  own->room = room;
  return COHORT_DONE;
}

static cohort_status unreadable(const char *path, cohort_error *error) {
  return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be read: %s", path, strerror(errno));
}

/* A file whose size nobody knows before (a pipe) is read until it ends. */
static cohort_status read_open(const char *path, int file, content *out, cohort_error *error) {
  struct stat about;
  if (fstat(file, &about) != 0) return unreadable(path, error);
  COHORT_TRY(make_room(out, (size_t)(about.st_size > 0 ? about.st_size : 0) + 4096, error));
  for (;;) {
    const size_t left = out->room - out->bytes;
    const ssize_t got = read(file, out->data + out->bytes, left < LONGEST_READ ? left : LONGEST_READ);
    if (got == 0) return COHORT_DONE;
    if (got < 0 && errno != EINTR) return unreadable(path, error);
    if (got > 0) out->bytes += (size_t)got;
    if (out->bytes == out->room) COHORT_TRY(make_room(out, 2 * out->room, error));
  }
}

static cohort_status read_file(const char *path, content *out, cohort_error *error) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return unreadable(path, error);
  const cohort_status status = read_open(path, file, out, error);
  (void)close(file);
  return status;
}

typedef enum { MEMBER_DONE, MEMBER_LARGER, MEMBER_DAMAGED } member;

/* Decompresses one member behind out->bytes; MEMBER_LARGER: there is too little room. */
#ifdef COHORT_LIBDEFLATE
static member inflate_member(const unsigned char *from, size_t bytes, content *out, size_t *used) {
  struct libdeflate_decompressor *engine = libdeflate_alloc_decompressor();
  size_t made = 0;
  const enum libdeflate_result result = engine
                                            ? libdeflate_gzip_decompress_ex(engine, from, bytes, out->data + out->bytes,
                                                                            out->room - out->bytes, used, &made)
                                            : LIBDEFLATE_BAD_DATA;
  libdeflate_free_decompressor(engine);
  if (result == LIBDEFLATE_INSUFFICIENT_SPACE) return MEMBER_LARGER;
  if (result != LIBDEFLATE_SUCCESS) return MEMBER_DAMAGED;
  out->bytes += made;
  return MEMBER_DONE;
}
#else
static member inflate_member(const unsigned char *from, size_t bytes, content *out, size_t *used) {
  z_stream stream = {.next_in = (unsigned char *)(uintptr_t)from};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) return MEMBER_DAMAGED;
  size_t at = out->bytes;
  int result = Z_OK;
  while (result == Z_OK) {
    const size_t taken = (size_t)(stream.next_in - from);
    stream.avail_in = (unsigned)(bytes - taken < LONGEST_INFLATE ? bytes - taken : LONGEST_INFLATE);
    stream.avail_out = (unsigned)(out->room - at < LONGEST_INFLATE ? out->room - at : LONGEST_INFLATE);
    stream.next_out = out->data + at;
    result = inflate(&stream, Z_NO_FLUSH);
    at = (size_t)(stream.next_out - out->data);
  }
  *used = (size_t)(stream.next_in - from);
  (void)inflateEnd(&stream);
  if (result == Z_BUF_ERROR && at == out->room) return MEMBER_LARGER;
  if (result != Z_STREAM_END) return MEMBER_DAMAGED;
  out->bytes = at;
  return MEMBER_DONE;
}
#endif

static bool is_gzip(const unsigned char *data, size_t bytes) { return bytes > 2 && data[0] == 0x1f && data[1] == 0x8b; }

/* The size that the last member tells at its end; of several members, or beyond 4 GiB, it is only where to begin. */
static size_t told_size(const unsigned char *data, size_t bytes) {
  if (bytes < SHORTEST_MEMBER) return 0;
  const unsigned char *at = data + bytes - 4;
  const size_t told = (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
  return told / LARGEST_RATIO <= bytes ? told : bytes;
}

/* Members one after another; what follows them and is no member is ignored, as gzip does. */
static cohort_status inflate_all(const char *path, const content *packed, content *out, cohort_error *error) {
  COHORT_TRY(make_room(out, told_size(packed->data, packed->bytes) + 64, error));
  size_t at = 0;
  while (at == 0 || is_gzip(packed->data + at, packed->bytes - at)) {
    size_t used = 0;
    const member result = inflate_member(packed->data + at, packed->bytes - at, out, &used);
    if (result == MEMBER_LARGER && out->room / LARGEST_RATIO <= packed->bytes) {
      COHORT_TRY(make_room(out, 2 * out->room, error));
    } else if (result != MEMBER_DONE) {
      return cohort_fail(error, COHORT_BAD_DATA, "%s: damaged or cut off", path);
    } else {
      at += used;
    }
  }
  return COHORT_DONE;
}

cohort_status cohort_compressed_read(const char *path, unsigned char **out, size_t *length, cohort_error *error) {
  content file = {0}, whole = {0};
  cohort_status status = read_file(path, &file, error);
  if (status == COHORT_DONE && is_gzip(file.data, file.bytes)) {
    status = inflate_all(path, &file, &whole, error);
    cohort_memory_release(file.data);
    file = whole;
  }
  if (status != COHORT_DONE) {
    cohort_memory_release(file.data);
    return status;
  }
  *out = file.data;
  *length = file.bytes;
  return COHORT_DONE;
}
