/* Slices and digests of flat datasets. A slice is whole blocks, so a block has one writer and one digest on any number
 * of ranks; the digest of the whole joins those of the blocks. A pass over the data at memory's speed. */
#include "io/checkpoint_data.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { STREAM_BLOCKS = 256 };

static int64_t blocks_of(int64_t elements) { return (elements + COHORT_SLICE_BLOCK - 1) / COHORT_SLICE_BLOCK; }

void cohort_checkpoint_slice(int64_t elements, int ranks, int rank, int64_t *first, int64_t *count) {
  const int64_t blocks = blocks_of(elements), each = blocks / ranks, rest = blocks % ranks;
  const int64_t block = rank * each + (rank < rest ? rank : rest);
  const int64_t last = (block + each + (rank < rest)) * COHORT_SLICE_BLOCK;
  *first = block * COHORT_SLICE_BLOCK < elements ? block * COHORT_SLICE_BLOCK : elements;
  *count = (last < elements ? last : elements) - *first;
}

uint64_t cohort_flat_digest(cohort_comm *comm, const cohort_stored_flat *flat) {
  const size_t element = cohort_stored_bytes(flat->type);
  const int64_t blocks = blocks_of(flat->elements);
  uint64_t *const digest = cohort_allocate((size_t)(blocks + 1) * sizeof *digest);
  size_t *const offset = cohort_allocate(2 * (size_t)comm->size * sizeof *offset);
  size_t *const bytes = offset + comm->size;
  for (int rank = 0; rank < comm->size; rank++) {
    int64_t first = 0, count = 0;
    cohort_checkpoint_slice(flat->elements, comm->size, rank, &first, &count);
    offset[rank] = (size_t)blocks_of(first) * sizeof *digest;
    bytes[rank] = (size_t)blocks_of(count) * sizeof *digest;
  }
  cohort_digest_blocks(flat->slice, (size_t)flat->count * element, COHORT_SLICE_BLOCK * element,
                       flat->first / COHORT_SLICE_BLOCK, digest + offset[comm->rank] / sizeof *digest);
  cohort_comm_gather_all(comm, digest, offset, bytes);
  const uint64_t joined = cohort_digest_join(digest, blocks, flat->elements * (int64_t)element);
  free(offset);
  free(digest);
  return joined;
}

cohort_status cohort_flat_verify(int descriptor, const char *path, const cohort_flat_entry *flat, bool *fits,
                                 cohort_error *error) {
  const size_t block = COHORT_SLICE_BLOCK * cohort_stored_bytes(flat->type);
  const int64_t blocks = blocks_of(flat->elements);
  uint64_t *const digest = cohort_allocate((size_t)(blocks + 1) * sizeof *digest);
  char *const buffer = cohort_allocate(block * STREAM_BLOCKS);
  cohort_status status = COHORT_DONE;
  for (int64_t first = 0; first < blocks && status == COHORT_DONE; first += STREAM_BLOCKS) {
    const int64_t start = first * (int64_t)block, left = flat->region.bytes - start;
    const size_t bytes = left < (int64_t)block * STREAM_BLOCKS ? (size_t)left : block * STREAM_BLOCKS;
    status = cohort_read_at(descriptor, path, buffer, bytes, flat->region.offset + start, error);
    if (status == COHORT_DONE) cohort_digest_blocks(buffer, bytes, block, first, digest + first);
  }
  *fits = status == COHORT_DONE && cohort_digest_join(digest, blocks, flat->region.bytes) == flat->digest;
  free(buffer);
  free(digest);
  return status;
}
