/* Writes .npz archives for tests: what NumPy writes, and what it never would. */
#ifndef COHORT_TESTS_UNIT_IO_NPZ_H
#define COHORT_TESTS_UNIT_IO_NPZ_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

typedef struct npz_bytes {
  unsigned char data[8192];
  size_t count;
} npz_bytes;

static inline void npz_put(npz_bytes *to, const void *data, size_t bytes) {
  if (to->count + bytes > sizeof to->data) return;
  memcpy(to->data + to->count, data, bytes);
  to->count += bytes;
}

static inline void npz_number(npz_bytes *to, uint64_t value, size_t bytes) {
  for (size_t b = 0; b < bytes; b++) npz_put(to, &(unsigned char){(unsigned char)(b < 8 ? value >> 8 * b : 0)}, 1);
}

/* An .npy content with this header line. */
static inline npz_bytes npz_array(int version, const char *header, const void *data, size_t bytes) {
  npz_bytes out = {.count = 0};
  npz_put(&out, "\x93NUMPY", 6);
  npz_number(&out, (uint64_t)version, 1);
  npz_number(&out, 0, 1);
  npz_number(&out, strlen(header), version == 1 ? 2 : 4);
  npz_put(&out, header, strlen(header));
  npz_put(&out, data, bytes);
  return out;
}

typedef struct npz_options {
  int method; /* 0 or 8 are packed so; else the content stands as it is */
  bool zip64; /* sizes in the extra field, as for members of more than 4 GiB */
  unsigned flags;
} npz_options;

static inline npz_bytes npz_pack(const npz_bytes *content, int method) {
  npz_bytes out = *content;
  if (method != 8) return out;
  z_stream stream = {.next_in = (unsigned char *)(uintptr_t)content->data,
                     .avail_in = (unsigned)content->count,
                     .next_out = out.data,
                     .avail_out = sizeof out.data};
  if (deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) return out;
  (void)deflate(&stream, Z_FINISH);
  out.count = sizeof out.data - stream.avail_out;
  (void)deflateEnd(&stream);
  return out;
}

/* What the header of a member and its entry in the directory share, from the version on. */
static inline void npz_fields(npz_bytes *to, const npz_options *options, const npz_bytes *content, size_t packed,
                              size_t name_bytes, size_t extra_bytes) {
  npz_number(to, options->zip64 ? 45 : 20, 2);
  npz_number(to, options->flags, 2);
  npz_number(to, (uint64_t)options->method, 2);
  npz_number(to, 0, 4); /* time and date */
  npz_number(to, crc32(crc32(0, NULL, 0), content->data, (unsigned)content->count), 4);
  npz_number(to, options->zip64 ? UINT32_MAX : packed, 4);
  npz_number(to, options->zip64 ? UINT32_MAX : content->count, 4);
  npz_number(to, name_bytes, 2);
  npz_number(to, extra_bytes, 2);
}

static inline npz_bytes npz_archive(int members, const char *const *name, const npz_bytes *content,
                                    const npz_options *options) {
  npz_bytes out = {.count = 0}, directory = {.count = 0};
  for (int m = 0; m < members; m++) {
    const npz_bytes packed = npz_pack(&content[m], options->method);
    npz_bytes extra = {.count = 0};
    if (options->zip64) {
      npz_number(&extra, 1, 2);
      npz_number(&extra, 16, 2);
      npz_number(&extra, content[m].count, 8);
      npz_number(&extra, packed.count, 8);
    }
    npz_put(&directory, "PK\1\2", 4);
    npz_number(&directory, 20, 2);
    npz_fields(&directory, options, &content[m], packed.count, strlen(name[m]), extra.count);
    npz_number(&directory, 0, 10); /* no comment, disk 0, attributes */
    npz_number(&directory, out.count, 4);
    npz_put(&directory, name[m], strlen(name[m]));
    npz_put(&directory, extra.data, extra.count);
    npz_put(&out, "PK\3\4", 4);
    npz_fields(&out, options, &content[m], packed.count, strlen(name[m]), extra.count);
    npz_put(&out, name[m], strlen(name[m]));
    npz_put(&out, extra.data, extra.count);
    npz_put(&out, packed.data, packed.count);
  }
  const size_t start = out.count;
  npz_put(&out, directory.data, directory.count);
  if (options->zip64) {
    const size_t end = out.count;
    npz_put(&out, "PK\6\6", 4);
    npz_number(&out, 44, 8);
    npz_number(&out, 45 | 45 << 16, 4);
    npz_number(&out, 0, 8);
    npz_number(&out, (uint64_t)members, 8);
    npz_number(&out, (uint64_t)members, 8);
    npz_number(&out, directory.count, 8);
    npz_number(&out, start, 8);
    npz_put(&out, "PK\6\7", 4);
    npz_number(&out, 0, 4);
    npz_number(&out, end, 8);
    npz_number(&out, 1, 4);
  }
  npz_put(&out, "PK\5\6", 4);
  npz_number(&out, 0, 4);
  npz_number(&out, options->zip64 ? UINT16_MAX : (uint64_t)members, 2);
  npz_number(&out, options->zip64 ? UINT16_MAX : (uint64_t)members, 2);
  npz_number(&out, directory.count, 4);
  npz_number(&out, options->zip64 ? UINT32_MAX : start, 4);
  npz_number(&out, 0, 2);
  return out;
}

#endif
