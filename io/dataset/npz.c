/* NumPy's .npz: a zip archive of .npy members. The directory at the file's end says where members lie; every place and
 * size is checked against the file before it is used, sizes against what deflate can do (1032 to 1), contents against
 * their CRC-32. The file is mapped, members are inflated whole, x and y alone. Format: PKWARE's APPNOTE.TXT. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/memory.h"
#include "io/dataset/npy.h"
#include "io/dataset/samples.h"

enum {
  END_BYTES = 22,     /* of the end of the directory */
  LOCATOR_BYTES = 20, /* of what says where zip64's end is, before it */
  END64_BYTES = 56,
  ENTRY_BYTES = 46,
  LOCAL_BYTES = 30,
  LARGEST_RATIO = 1032,
  MOST_COMMENT = 65535,
  MOST_MEMBERS = 1 << 20,
  LONGEST_CALL = 1 << 30 /* of zlib */
};
enum { STORED = 0, DEFLATED = 8 };

typedef struct archive {
  const char *path;
  const unsigned char *data;
  size_t bytes;
  cohort_error *error;
} archive;

typedef struct member {
  unsigned method, flags;
  uint32_t checksum;
  uint64_t packed, bytes, local; /* sizes; where its header lies */
} member;

static uint64_t little(const unsigned char *at, size_t bytes) {
  uint64_t out = 0;
  for (size_t b = 0; b < bytes; b++) out |= (uint64_t)at[b] << 8 * b;
  return out;
}

static bool lies_inside(const archive *own, uint64_t at, uint64_t bytes) {
  return at <= own->bytes && bytes <= own->bytes - at;
}

static bool is_signed(const archive *own, uint64_t at, uint64_t bytes, char a, char b) {
  return lies_inside(own, at, bytes) && own->data[at] == 'P' && own->data[at + 1] == 'K' && own->data[at + 2] == a &&
         own->data[at + 3] == b;
}

static cohort_status damaged(const archive *own, const char *what) {
  return cohort_fail(own->error, COHORT_BAD_DATA, "%s: damaged or cut off: %s", own->path, what);
}

/* Where the directory begins and how many members it has. */
static cohort_status find_directory(const archive *own, uint64_t *at, uint64_t *members) {
  uint64_t end = own->bytes >= END_BYTES ? own->bytes - END_BYTES : 0,
           least = end > MOST_COMMENT ? end - MOST_COMMENT : 0;
  while (end > least && !is_signed(own, end, END_BYTES, 5, 6)) end--;
  if (!is_signed(own, end, END_BYTES, 5, 6)) return damaged(own, "no directory at the end of the zip archive");
  *members = little(own->data + end + 10, 2);
  *at = little(own->data + end + 16, 4);
  if (*members == UINT16_MAX || *at == UINT32_MAX) {
    const uint64_t locator = end >= LOCATOR_BYTES ? end - LOCATOR_BYTES : own->bytes;
    if (!is_signed(own, locator, LOCATOR_BYTES, 6, 7)) return damaged(own, "no zip64 directory");
    const uint64_t end64 = little(own->data + locator + 8, 8);
    if (!is_signed(own, end64, END64_BYTES, 6, 6)) return damaged(own, "no zip64 directory");
    *members = little(own->data + end64 + 32, 8);
    *at = little(own->data + end64 + 48, 8);
  }
  return *members <= MOST_MEMBERS ? COHORT_DONE : damaged(own, "too many members");
}

/* Sizes of 64 bits stand in an extra field, those alone whose field of 32 bits is full. */
static bool read_extra(const unsigned char *extra, size_t bytes, member *out) {
  uint64_t *const wide[] = {&out->bytes, &out->packed, &out->local};
  bool needed = false;
  for (int w = 0; w < 3; w++) needed |= *wide[w] == UINT32_MAX;
  for (size_t at = 0; needed && at + 4 <= bytes;) {
    const size_t kind = (size_t)little(extra + at, 2), length = (size_t)little(extra + at + 2, 2);
    size_t from = at + 4;
    if (length > bytes - from) return false;
    const size_t stop = from + length;
    for (int w = 0; kind == 1 && w < 3; w++) {
      if (*wide[w] != UINT32_MAX) continue;
      if (from + 8 > stop) return false;
      *wide[w] = little(extra + from, 8);
      from += 8;
    }
    if (kind == 1) return true;
    at = stop;
  }
  return !needed;
}

/* Finds NAME.npy in the directory. */
static cohort_status find_member(const archive *own, const char *name, bool *found, member *out) {
  uint64_t at = 0, members = 0;
  const size_t length = strlen(name);
  *found = false;
  COHORT_TRY(find_directory(own, &at, &members));
  for (uint64_t m = 0; m < members; m++) {
    if (!is_signed(own, at, ENTRY_BYTES, 1, 2)) return damaged(own, "its directory");
    const unsigned char *const entry = own->data + at;
    const size_t name_bytes = (size_t)little(entry + 28, 2), extra_bytes = (size_t)little(entry + 30, 2),
                 all = ENTRY_BYTES + name_bytes + extra_bytes + (size_t)little(entry + 32, 2);
    if (!lies_inside(own, at, all)) return damaged(own, "its directory");
    const unsigned char *const text = entry + ENTRY_BYTES;
    if (name_bytes == length + 4 && memcmp(text, name, length) == 0 && memcmp(text + length, ".npy", 4) == 0) {
      if (*found) return damaged(own, "two members of one name");
      *out = (member){.flags = (unsigned)little(entry + 8, 2),
                      .method = (unsigned)little(entry + 10, 2),
                      .checksum = (uint32_t)little(entry + 16, 4),
                      .packed = little(entry + 20, 4),
                      .bytes = little(entry + 24, 4),
                      .local = little(entry + 42, 4)};
      if (!read_extra(text + name_bytes, extra_bytes, out)) return damaged(own, "its zip64 sizes");
      *found = true;
    }
    at += all;
  }
  return COHORT_DONE;
}

static bool inflate_into(const unsigned char *from, uint64_t packed, unsigned char *to, uint64_t bytes) {
  z_stream stream = {.next_in = (unsigned char *)(uintptr_t)from, .next_out = to};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
  int result = Z_OK;
  while (result == Z_OK) {
    const uint64_t in = packed - (uint64_t)(stream.next_in - from), out = bytes - (uint64_t)(stream.next_out - to);
    stream.avail_in = (unsigned)(in < LONGEST_CALL ? in : LONGEST_CALL);
    stream.avail_out = (unsigned)(out < LONGEST_CALL ? out : LONGEST_CALL);
    result = inflate(&stream, Z_NO_FLUSH);
  }
  const bool whole = result == Z_STREAM_END && (uint64_t)(stream.next_out - to) == bytes;
  (void)inflateEnd(&stream);
  return whole;
}

static uint32_t checksum_of(const unsigned char *data, uint64_t bytes) {
  return (uint32_t)crc32_z(crc32_z(0, NULL, 0), data, (size_t)bytes);
}

static cohort_status unpack(const archive *own, const char *name, const member *of, const unsigned char *from,
                            unsigned char **made) {
  const unsigned char *content = from;
  if (of->method == DEFLATED) {
    *made = malloc((size_t)of->bytes + 1);
    if (!*made)
      return cohort_fail(own->error, COHORT_NO_RESOURCE, "memory: no %.1f MiB for %s.npy of %s; use a larger node",
                         (double)of->bytes / 1048576, name, own->path);
    content = *made;
    if (!inflate_into(from, of->packed, *made, of->bytes)) return damaged(own, name);
  }
  return checksum_of(content, of->bytes) == of->checksum ? COHORT_DONE : damaged(own, name);
}

static cohort_status read_member(const archive *own, const char *name, const member *of, cohort_arrays *out) {
  if (of->flags & 1)
    return cohort_fail(own->error, COHORT_BAD_DATA, "%s: %s.npy is encrypted; save it plainly", own->path, name);
  if (of->method != STORED && of->method != DEFLATED)
    return cohort_fail(own->error, COHORT_BAD_DATA,
                       "%s: %s.npy is packed by method %u; stored (0) and deflated (8) members are read", own->path,
                       name, of->method);
  if (!is_signed(own, of->local, LOCAL_BYTES, 3, 4)) return damaged(own, name);
  const unsigned char *const local = own->data + of->local;
  const uint64_t start = of->local + LOCAL_BYTES + little(local + 26, 2) + little(local + 28, 2);
  if (!lies_inside(own, start, of->packed) || (of->method == STORED && of->packed != of->bytes) ||
      of->bytes / LARGEST_RATIO > of->packed + 1)
    return damaged(own, name);
  unsigned char *made = NULL;
  cohort_status status = unpack(own, name, of, own->data + start, &made);
  if (status == COHORT_DONE)
    status = cohort_npy_read(own->path, name, made ? made : own->data + start, (size_t)of->bytes, out, own->error);
  free(made);
  return status;
}

/* The members of these names, of those that are there. */
static cohort_status read_members(const archive *own, const char *const *names, cohort_arrays *arrays) {
  cohort_status status = COHORT_DONE;
  for (int n = 0; names[n] && status == COHORT_DONE; n++) {
    member of;
    bool found = false;
    status = find_member(own, names[n], &found, &of);
    if (status == COHORT_DONE && found) status = read_member(own, names[n], &of, arrays);
  }
  return status;
}

static cohort_status read_samples(const archive *own, cohort_layout layout, cohort_samples *out) {
  static const char *const names[] = {"x", "y", NULL};
  cohort_arrays arrays = {0};
  cohort_status status = read_members(own, names, &arrays);
  const cohort_array *x = cohort_arrays_find(&arrays, "x"), *y = cohort_arrays_find(&arrays, "y");
  if (status == COHORT_DONE) status = cohort_samples_check_shapes(own->path, x, y, layout, own->error);
  if (status == COHORT_DONE) status = cohort_samples_take(own->path, x, y, layout, out, own->error);
  cohort_arrays_release(&arrays);
  return status;
}

/* The file in memory, which the caller unmaps. */
static cohort_status map_archive(const char *path, archive *own, cohort_error *error) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  struct stat about = {0};
  if (file < 0 || fstat(file, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size == 0) {
    const int fault = errno;
    if (file >= 0) (void)close(file);
    return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be read: %s", path,
                       file < 0 ? strerror(fault) : "it is empty or not a regular file");
  }
  const size_t bytes = (size_t)about.st_size;
  void *const memory = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0);
  (void)close(file);
  if (memory == MAP_FAILED) return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be read: %s", path, strerror(errno));
  *own = (archive){.path = path, .data = memory, .bytes = bytes, .error = error};
  return COHORT_DONE;
}

static void unmap(const archive *own) { (void)munmap((void *)(uintptr_t)own->data, own->bytes); }

cohort_status cohort_samples_read_npz(const char *path, cohort_layout layout, cohort_samples *out,
                                      cohort_error *error) {
  archive own;
  memset(out, 0, sizeof *out);
  COHORT_TRY(map_archive(path, &own, error));
  const cohort_status status = read_samples(&own, layout, out);
  unmap(&own);
  return status;
}

static cohort_status read_npz_arrays(const char *path, const char *const *names, cohort_arrays *out,
                                     cohort_error *error) {
  archive own;
  COHORT_TRY(map_archive(path, &own, error));
  const cohort_status status = read_members(&own, names, out);
  unmap(&own);
  return status;
}

/* A zip archive begins with a member, or, when it is empty, with its end. */
static bool is_zip(const char *path) {
  unsigned char head[4] = {0};
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  const bool read = file >= 0 && pread(file, head, sizeof head, 0) == (ssize_t)sizeof head;
  if (file >= 0) (void)close(file);
  return read && head[0] == 'P' && head[1] == 'K' && (head[2] == 3 || head[2] == 5);
}

cohort_status cohort_samples_read(const char *path, cohort_layout layout, cohort_samples *out, cohort_error *error) {
  if (cohort_samples_are_leaf(path)) return cohort_samples_read_leaf(path, layout, out, error);
  if (cohort_samples_are_tff(path)) return cohort_samples_read_tff(path, layout, out, error);
  return (is_zip(path) ? cohort_samples_read_npz : cohort_samples_read_hdf5)(path, layout, out, error);
}

cohort_status cohort_samples_read_columns(const char *path, const char *const *names, cohort_samples *samples,
                                          cohort_error *error) {
  cohort_arrays arrays = {0};
  bool wanted = false; /* one that samples which come by client do not have already */
  for (int n = 0; names[n] && !wanted; n++) wanted = !cohort_samples_column(samples, names[n]);
  if (!wanted) return COHORT_DONE;
  if (cohort_samples_column(samples, COHORT_CLIENT_COLUMN))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: comes by client, with x and y and column client alone", path);
  cohort_status status = is_zip(path) ? read_npz_arrays(path, names, &arrays, error)
                                      : cohort_arrays_read_named(path, names, &arrays, error);
  for (int n = 0; names[n] && status == COHORT_DONE; n++)
    status = cohort_samples_add_column(path, names[n], cohort_arrays_find(&arrays, names[n]), samples, error);
  cohort_arrays_release(&arrays);
  return status;
}
