/* Files that may be gzip: the whole content, or its head alone. The content is put into one block whose size the last
 * member's end tells; a second thread touches that memory ahead of the decompressor. Time is that of inflating; memory
 * that of the content. */
#include "io/dataset/compressed.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#ifdef COHORT_LIBDEFLATE
#include <libdeflate.h>
#endif

#include "base/memory.h"

enum {
  SHORTEST_MEMBER = 18, /* header and trailer of gzip */
  SPARE = 64,           /* room behind what is expected, so that more of it shows */
  LARGEST_RATIO = 1032, /* of deflate */
  LONGEST_READ = 1 << 30,
  LONGEST_INFLATE = 1 << 30 /* of zlib: below 2^32 */
};

enum { GZIP_WINDOW = MAX_WBITS + 16 }; /* zlib: gzip alone */

typedef struct content {
  unsigned char *data;
  size_t bytes, room;
} content;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Fresh memory is slow to touch for the first time, so another thread goes ahead of who fills it. */
static void *touch(void *argument) {
  const content *own = argument;
#ifdef MADV_POPULATE_WRITE
  (void)madvise(own->data, own->room, MADV_POPULATE_WRITE); /* keeps what is written meanwhile */
#else
  (void)own;
#endif
  return NULL;
}

static cohort_status make_room(content *own, size_t room, cohort_error *error) {
  enum { HUGE_PAGE = 2 << 20 };
  const size_t unit = room < 2 * (size_t)HUGE_PAGE ? COHORT_ALIGNMENT : HUGE_PAGE;
  content larger = {.bytes = own->bytes, .room = cohort_round_up(room, unit)};
  larger.data = room <= PTRDIFF_MAX - HUGE_PAGE ? aligned_alloc(unit, larger.room) : NULL;
  if (!larger.data) {
    char size[32];
    return cohort_fail(error, COHORT_NO_RESOURCE, "memory: no %s for a data file; use a larger node",
                       cohort_bytes_text(room, size));
  }
  if (unit == HUGE_PAGE) (void)madvise(larger.data, larger.room, MADV_HUGEPAGE);
  if (own->bytes) memcpy(larger.data, own->data, own->bytes);
  free(own->data);
  *own = larger;
  return COHORT_DONE;
}

static cohort_status unreadable(const char *path, cohort_error *error) {
  return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be read: %s", path, strerror(errno));
}

/* A file whose size nobody knows before (a pipe) is read until it ends. */
static cohort_status read_open(const char *path, int file, size_t size, content *out, cohort_error *error) {
  COHORT_TRY(make_room(out, size + 4096, error));
  for (;;) {
    const size_t left = out->room - out->bytes;
    const ssize_t got = read(file, out->data + out->bytes, left < LONGEST_READ ? left : LONGEST_READ);
    if (got == 0) return COHORT_DONE;
    if (got < 0 && errno != EINTR) return unreadable(path, error);
    if (got > 0) out->bytes += (size_t)got;
    if (out->bytes == out->room) COHORT_TRY(make_room(out, 2 * out->room, error));
  }
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
  if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK) return MEMBER_DAMAGED;
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

/* The first bytes of the members one after another, `known` of them: fewer than fit only where the content ends. */
static bool inflate_head(const content *packed, unsigned char head[COHORT_COMPRESSED_HEAD], size_t *known) {
  z_stream stream = {.next_in = packed->data,
                     .avail_in = (unsigned)least(packed->bytes, LONGEST_INFLATE),
                     .next_out = head,
                     .avail_out = COHORT_COMPRESSED_HEAD};
  if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK) return false;
  int result = Z_OK;
  while (result == Z_OK && stream.avail_out) {
    result = inflate(&stream, Z_NO_FLUSH);
    if (result == Z_STREAM_END && is_gzip(stream.next_in, stream.avail_in)) result = inflateReset(&stream);
  }
  (void)inflateEnd(&stream);
  *known = COHORT_COMPRESSED_HEAD - stream.avail_out;
  return stream.avail_out == 0 || result == Z_STREAM_END;
}

/* A thread that touches memory; it ends before that memory is given up. */
typedef struct helper {
  pthread_t thread;
  content ahead;
  bool runs;
} helper;

static void helper_end(helper *own) {
  if (own->runs) (void)pthread_join(own->thread, NULL);
  own->runs = false;
}

/* Members one after another, `most` bytes; what follows them and is no member is ignored, as gzip does. */
static cohort_status inflate_members(const char *path, const content *packed, size_t most, content *out, helper *help,
                                     cohort_error *error) {
  size_t at = 0;
  while (at == 0 || is_gzip(packed->data + at, packed->bytes - at)) {
    size_t used = 0;
    const member result = inflate_member(packed->data + at, packed->bytes - at, out, &used);
    if (result == MEMBER_LARGER && out->room > most)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: its header promises %zu bytes with itself, but more follow", path,
                         most);
    if (result == MEMBER_LARGER && out->room / LARGEST_RATIO <= packed->bytes) {
      helper_end(help);
      COHORT_TRY(make_room(out, least(2 * out->room, most + SPARE), error));
    } else if (result != MEMBER_DONE) {
      return cohort_fail(error, COHORT_BAD_DATA, "%s: damaged or cut off", path);
    } else {
      at += used;
    }
  }
  return COHORT_DONE;
}

static cohort_status inflate_all(const char *path, const content *packed, cohort_compressed_most *most_of, content *out,
                                 cohort_error *error) {
  enum { WORTH_A_THREAD = 8 << 20 };
  unsigned char head[COHORT_COMPRESSED_HEAD] = {0};
  size_t known = 0;
  if (!inflate_head(packed, head, &known)) return cohort_fail(error, COHORT_BAD_DATA, "%s: damaged or cut off", path);
  const size_t most = least(most_of(head, known), PTRDIFF_MAX);
  if (most == 0) {
    out->data = cohort_allocate(sizeof head);
    memcpy(out->data, head, sizeof head);
    out->bytes = known;
    return COHORT_DONE;
  }
  COHORT_TRY(make_room(out, least(told_size(packed->data, packed->bytes), most) + SPARE, error));
  helper help = {.ahead = *out};
  help.runs = out->room >= WORTH_A_THREAD && pthread_create(&help.thread, NULL, touch, &help.ahead) == 0;
  const cohort_status status = inflate_members(path, packed, most, out, &help, error);
  helper_end(&help);
  return status;
}

/* Packed content is read where the system keeps the file: copying it would cost as much as decompressing. */
static cohort_status inflate_file(const char *path, int file, size_t size, cohort_compressed_most *most, content *out,
                                  cohort_error *error) {
  void *memory = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
  if (memory == MAP_FAILED) return unreadable(path, error);
  const content packed = {.data = memory, .bytes = size};
  const cohort_status status = inflate_all(path, &packed, most, out, error);
  (void)munmap(memory, size);
  return status;
}

static cohort_status read_file(const char *path, int file, cohort_compressed_most *most, content *out,
                               cohort_error *error) {
  struct stat about;
  unsigned char head[3] = {0};
  if (fstat(file, &about) != 0) return unreadable(path, error);
  const size_t size = about.st_size > 0 ? (size_t)about.st_size : 0;
  const bool regular = S_ISREG(about.st_mode) && size >= sizeof head;
  if (regular && pread(file, head, sizeof head, 0) == (ssize_t)sizeof head && is_gzip(head, sizeof head))
    return inflate_file(path, file, size, most, out, error);
  COHORT_TRY(read_open(path, file, size, out, error));
  if (!is_gzip(out->data, out->bytes)) return COHORT_DONE;
  content packed = *out;
  *out = (content){0};
  const cohort_status status = inflate_all(path, &packed, most, out, error);
  free(packed.data);
  return status;
}

cohort_status cohort_compressed_read(const char *path, cohort_compressed_most *most, unsigned char **out,
                                     size_t *length, cohort_error *error) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return unreadable(path, error);
  content whole = {0};
  const cohort_status status = read_file(path, file, most, &whole, error);
  (void)close(file);
  if (status != COHORT_DONE) {
    free(whole.data);
    return status;
  }
  *out = whole.data;
  *length = whole.bytes;
  return COHORT_DONE;
}
