/* Below HDF5: whole reads and writes at offsets, digests, and the seal in the file's user block.
 *
 * HDF5 reads a flipped data bit without an error and may loop or crash on flipped structure, so nothing is opened by it
 * before the seal fits. The seal fills the user block (bytes that HDF5 leaves to applications, before the superblock):
 *   0 magic[16], then little-endian 64-bit: 16 version, 24 bytes of the file, 32 bytes of the user block, 40 number of
 *   data regions, 48 digest of the structure (all bytes that are neither user block nor data), 56 digest of the user
 *   block with this field 0, 64 regions as (offset, bytes) in ascending order, the rest 0.
 * Data regions have digests of their own, so that a fault is reported with the dataset's name. */
#ifndef COHORT_IO_CHECKPOINT_SEAL_H
#define COHORT_IO_CHECKPOINT_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct cohort_region {
  int64_t offset, bytes; /* from the file's first byte */
} cohort_region;

/* In pieces of at most 1 GiB; `path` names the file in messages. Write: COHORT_NO_RESOURCE; read: COHORT_BAD_DATA, also
 * when the file ends too early. */
cohort_status cohort_write_at(int descriptor, const char *path, const void *data, size_t bytes, int64_t offset,
                              cohort_error *error);
cohort_status cohort_read_at(int descriptor, const char *path, void *data, size_t bytes, int64_t offset,
                             cohort_error *error);
/* Opens, fsyncs and closes a directory. */
cohort_status cohort_directory_sync(const char *path, cohort_error *error);

/* Bytes of a user block for so many regions: a power of two. */
int64_t cohort_seal_bytes(int regions);
/* Seals a closed HDF5 file whose user block has cohort_seal_bytes(regions) bytes. Regions without bytes are left out.
 */
cohort_status cohort_seal_write(int descriptor, const char *path, int regions, const cohort_region *region,
                                cohort_error *error);
/* Copies all but the data regions of a sealed file, and its size. */
cohort_status cohort_seal_copy(int from, int to, const char *path, int regions, cohort_error *error);
/* COHORT_BAD_DATA when the file is no checkpoint, cut off, longer than written, or damaged outside the data regions. */
cohort_status cohort_seal_verify(const char *path, cohort_error *error);

/* Digests of `blocks` blocks of block_bytes (the last one may be shorter); first_block numbers them in the dataset, so
 * that exchanged or zeroed blocks do not fit. */
void cohort_digest_blocks(const void *data, size_t bytes, size_t block_bytes, int64_t first_block, uint64_t *out);
/* The digest of a dataset from those of all its blocks. */
uint64_t cohort_digest_join(const uint64_t *block, int64_t blocks, int64_t bytes);

#endif
