/* The seal: digests of every byte of a file outside its data, kept in the user block. Each field read is bounded by the
 * file's size before it is used. Sealing and checking cost a pass over the structure, some tens of KiB; the data have
 * digests of their own. */
#include "io/checkpoint_seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/memory.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "flat datasets are written as they lie in memory");

enum { MAGIC_BYTES = 16, SEAL_VERSION = 1, SMALLEST_BLOCK = 4096, LARGEST_BLOCK = 1 << 24, BUFFER_BYTES = 1 << 20 };
static const char seal_magic[MAGIC_BYTES] = "COHORT\r\n\x1a\nckpt";
static const uint64_t digest_seed = 0x636f686f72740001u; /* not 0, so that zeros do not have the digest of zeros */

typedef struct seal_header {
  char magic[MAGIC_BYTES];
  uint64_t version, file_bytes, block_bytes, regions, structure_digest, block_digest;
} seal_header;
_Static_assert(sizeof(seal_header) == 64, "the layout in the header's comment");

cohort_status cohort_write_at(int descriptor, const char *path, const void *data, size_t bytes, int64_t offset,
                              cohort_error *error) {
  const size_t most = (size_t)1 << 30;
  for (size_t done = 0; done < bytes;) {
    const size_t piece = bytes - done < most ? bytes - done : most;
    const ssize_t written = pwrite(descriptor, (const char *)data + done, piece, (off_t)(offset + (int64_t)done));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int code = written == 0 ? ENOSPC : errno;
      return cohort_fail(error, COHORT_NO_RESOURCE, "%s: writing failed: %s; free some space or choose another disk",
                         path, strerror(code));
    }
    done += (size_t)written;
  }
  return COHORT_DONE;
}

cohort_status cohort_read_at(int descriptor, const char *path, void *data, size_t bytes, int64_t offset,
                             cohort_error *error) {
  const size_t most = (size_t)1 << 30;
  for (size_t done = 0; done < bytes;) {
    const size_t piece = bytes - done < most ? bytes - done : most;
    const ssize_t count = pread(descriptor, (char *)data + done, piece, (off_t)(offset + (int64_t)done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return cohort_fail(error, COHORT_BAD_DATA, "%s: reading failed: %s", path, strerror(errno));
    if (count == 0) return cohort_fail(error, COHORT_BAD_DATA, "%s: the file is cut off; use another one", path);
    done += (size_t)count;
  }
  return COHORT_DONE;
}

cohort_status cohort_directory_sync(const char *path, cohort_error *error) {
  const int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int code = descriptor < 0 ? errno : 0;
  /* EINVAL: file systems that know no fsync of a directory keep its order themselves */
  if (!code && fsync(descriptor) != 0 && errno != EINVAL) code = errno;
  if (descriptor >= 0) close(descriptor);
  if (!code) return COHORT_DONE;
  return cohort_fail(error, COHORT_NO_RESOURCE, "%s: the directory cannot be synced: %s", path, strerror(code));
}

int64_t cohort_seal_bytes(int regions) {
  const size_t needed = sizeof(seal_header) + (size_t)regions * sizeof(cohort_region);
  int64_t bytes = SMALLEST_BLOCK;
  while (bytes < (int64_t)needed) bytes *= 2;
  return bytes;
}

static int compare_regions(const void *a, const void *b) {
  const cohort_region *const left = a, *const right = b;
  return (left->offset > right->offset) - (left->offset < right->offset);
}

/* Digest of the bytes of [first, last), a buffer at a time, into `state`. */
static cohort_status digest_range(int descriptor, const char *path, int64_t first, int64_t last, void *buffer,
                                  XXH3_state_t *state, cohort_error *error) {
  while (first < last) {
    const size_t piece = last - first < BUFFER_BYTES ? (size_t)(last - first) : BUFFER_BYTES;
    COHORT_TRY(cohort_read_at(descriptor, path, buffer, piece, first, error));
    XXH3_64bits_update(state, buffer, piece);
    first += (int64_t)piece;
  }
  return COHORT_DONE;
}

static cohort_status digest_structure(int descriptor, const char *path, const seal_header *header,
                                      const cohort_region *region, uint64_t *digest, cohort_error *error) {
  void *const buffer = cohort_allocate(BUFFER_BYTES);
  XXH3_state_t *const state = XXH3_createState();
  XXH3_64bits_reset_withSeed(state, digest_seed);
  int64_t first = (int64_t)header->block_bytes;
  cohort_status status = COHORT_DONE;
  for (uint64_t i = 0; i <= header->regions && status == COHORT_DONE; i++) {
    const bool is_last = i == header->regions;
    const int64_t last = is_last ? (int64_t)header->file_bytes : region[i].offset;
    status = digest_range(descriptor, path, first, last, buffer, state, error);
    if (!is_last) first = region[i].offset + region[i].bytes;
  }
  *digest = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  free(buffer);
  return status;
}

/* Digest of the user block as if its own digest were 0. */
static uint64_t digest_user_block(char *block, size_t bytes) {
  seal_header *const header = (seal_header *)(void *)block;
  const uint64_t kept = header->block_digest;
  header->block_digest = 0;
  const uint64_t digest = XXH3_64bits_withSeed(block, bytes, digest_seed);
  header->block_digest = kept;
  return digest;
}

cohort_status cohort_seal_write(int descriptor, const char *path, int regions, const cohort_region *region,
                                cohort_error *error) {
  const size_t bytes = (size_t)cohort_seal_bytes(regions);
  char *const block = cohort_allocate(bytes);
  seal_header *const header = (seal_header *)(void *)block;
  cohort_region *const kept = (cohort_region *)(void *)(block + sizeof *header);
  struct stat facts;
  cohort_status status = COHORT_DONE;
  if (fstat(descriptor, &facts) != 0) {
    status = cohort_fail(error, COHORT_NO_RESOURCE, "%s: %s", path, strerror(errno));
  } else {
    memcpy(header->magic, seal_magic, MAGIC_BYTES);
    header->version = SEAL_VERSION;
    header->file_bytes = (uint64_t)facts.st_size;
    header->block_bytes = bytes;
    for (int i = 0; i < regions; i++) {
      if (region[i].bytes > 0) kept[header->regions++] = region[i];
    }
    qsort(kept, header->regions, sizeof *kept, compare_regions);
    status = digest_structure(descriptor, path, header, kept, &header->structure_digest, error);
  }
  if (status == COHORT_DONE) {
    header->block_digest = digest_user_block(block, bytes);
    status = cohort_write_at(descriptor, path, block, bytes, 0, error);
  }
  free(block);
  return status;
}

static cohort_status copy_range(int from, int to, const char *path, int64_t first, int64_t last, void *buffer,
                                cohort_error *error) {
  while (first < last) {
    const size_t piece = last - first < BUFFER_BYTES ? (size_t)(last - first) : BUFFER_BYTES;
    COHORT_TRY(cohort_read_at(from, path, buffer, piece, first, error));
    COHORT_TRY(cohort_write_at(to, path, buffer, piece, first, error));
    first += (int64_t)piece;
  }
  return COHORT_DONE;
}

static cohort_status copy_structure(int from, int to, const char *path, const char *block, void *buffer,
                                    cohort_error *error) {
  const seal_header *const header = (const seal_header *)(const void *)block;
  const cohort_region *const region = (const cohort_region *)(const void *)(block + sizeof *header);
  if (ftruncate(to, (off_t)header->file_bytes) != 0) {
    return cohort_fail(error, COHORT_NO_RESOURCE, "%s: writing failed: %s; free some space or choose another disk",
                       path, strerror(errno));
  }
  int64_t first = 0;
  for (uint64_t i = 0; i < header->regions; i++) {
    COHORT_TRY(copy_range(from, to, path, first, region[i].offset, buffer, error));
    first = region[i].offset + region[i].bytes;
  }
  return copy_range(from, to, path, first, (int64_t)header->file_bytes, buffer, error);
}

cohort_status cohort_seal_copy(int from, int to, const char *path, int regions, cohort_error *error) {
  const size_t bytes = (size_t)cohort_seal_bytes(regions);
  char *const block = cohort_allocate(bytes + BUFFER_BYTES);
  cohort_status status = cohort_read_at(from, path, block, bytes, 0, error);
  if (status == COHORT_DONE) status = copy_structure(from, to, path, block, block + bytes, error);
  free(block);
  return status;
}

static cohort_status refuse(const char *path, const char *what, cohort_error *error) {
  return cohort_fail(error, COHORT_BAD_DATA, "%s: %s; use another checkpoint", path, what);
}

/* Every field is bounded by the file's size before it is used. */
static cohort_status verify_header(const char *path, const seal_header *header, int64_t file_bytes,
                                   cohort_error *error) {
  if (memcmp(header->magic, seal_magic, MAGIC_BYTES) != 0) {
    return refuse(path, "not a Cohort checkpoint, or its first bytes are damaged", error);
  }
  if (header->version > SEAL_VERSION && header->version < 1000) {
    return refuse(path, "written by a newer version of Cohort", error);
  }
  const uint64_t bytes = header->block_bytes;
  if (bytes < SMALLEST_BLOCK || bytes > LARGEST_BLOCK || (bytes & (bytes - 1)) != 0 || bytes > (uint64_t)file_bytes ||
      header->regions > (bytes - sizeof *header) / sizeof(cohort_region)) {
    return refuse(path, "its user block is damaged or cut off", error);
  }
  return COHORT_DONE;
}

static cohort_status verify_regions(const char *path, const seal_header *header, const cohort_region *region,
                                    cohort_error *error) {
  int64_t end = (int64_t)header->block_bytes;
  for (uint64_t i = 0; i < header->regions; i++) {
    if (region[i].offset < end || region[i].bytes < 0 ||
        region[i].bytes > (int64_t)header->file_bytes - region[i].offset) {
      return refuse(path, "its user block is damaged", error);
    }
    end = region[i].offset + region[i].bytes;
  }
  return COHORT_DONE;
}

static cohort_status verify_block(int descriptor, const char *path, const seal_header *start, int64_t file_bytes,
                                  char *block, cohort_error *error) {
  const seal_header *const header = (const seal_header *)(void *)block;
  const cohort_region *const region = (const cohort_region *)(const void *)(block + sizeof *header);
  COHORT_TRY(cohort_read_at(descriptor, path, block, start->block_bytes, 0, error));
  if (header->block_digest != digest_user_block(block, start->block_bytes)) {
    return refuse(path, "its user block is damaged", error);
  }
  if (header->file_bytes != (uint64_t)file_bytes) {
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: the file has %lld bytes but was written with %llu; use another checkpoint", path,
                       (long long)file_bytes, (unsigned long long)header->file_bytes);
  }
  COHORT_TRY(verify_regions(path, header, region, error));
  uint64_t digest = 0;
  COHORT_TRY(digest_structure(descriptor, path, header, region, &digest, error));
  if (digest != header->structure_digest) {
    return refuse(path, "its HDF5 structure is damaged or was changed by another program", error);
  }
  return COHORT_DONE;
}

cohort_status cohort_seal_verify(const char *path, cohort_error *error) {
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be opened: %s", path, strerror(errno));
  }
  struct stat facts = {0};
  seal_header start = {0};
  cohort_status status = COHORT_DONE;
  if (fstat(descriptor, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    status = refuse(path, "not a regular file", error);
  } else if (facts.st_size < (off_t)sizeof start) {
    status = refuse(path, "not a Cohort checkpoint, or it is cut off", error);
  } else {
    status = cohort_read_at(descriptor, path, &start, sizeof start, 0, error);
  }
  if (status == COHORT_DONE) status = verify_header(path, &start, facts.st_size, error);
  if (status == COHORT_DONE) {
    char *const block = cohort_allocate(start.block_bytes);
    status = verify_block(descriptor, path, &start, facts.st_size, block, error);
    free(block);
  }
  close(descriptor);
  return status;
}

void cohort_digest_blocks(const void *data, size_t bytes, size_t block_bytes, int64_t first_block, uint64_t *out) {
  for (size_t first = 0, i = 0; first < bytes; first += block_bytes, i++) {
    const size_t size = bytes - first < block_bytes ? bytes - first : block_bytes;
    out[i] = XXH3_64bits_withSeed((const char *)data + first, size, digest_seed + (uint64_t)first_block + i);
  }
}

uint64_t cohort_digest_join(const uint64_t *block, int64_t blocks, int64_t bytes) {
  return XXH3_64bits_withSeed(block, (size_t)blocks * sizeof *block, digest_seed ^ (uint64_t)bytes);
}
