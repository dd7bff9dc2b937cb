/* The digest of data, which ties a checkpoint to what it was trained on. */
#include <xxhash.h>

#include "io/dataset/dataset.h"

uint64_t cohort_digest(const void *data, size_t bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(data, bytes, seed);
}
