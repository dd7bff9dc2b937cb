/* Streams onto words, stretch by stretch, so that a stretch stays in the cache while all masks pass over it. Invariant:
 * word i of a mask is the same, wherever a range begins. */
#include "train/secure/mask.h"

#include "train/secure/fixed_point.h"

void cohort_secure_masks_apply(int masks, const cohort_secure_mask *mask, int modulus, int64_t first, int64_t count,
                               void *words) {
  _Alignas(64) unsigned char stream[COHORT_SECURE_STRETCH * sizeof(uint64_t)];
  const int64_t word = modulus / 8;
  for (int64_t done = 0; done < count; done += COHORT_SECURE_STRETCH) {
    const int64_t length = count - done < COHORT_SECURE_STRETCH ? count - done : COHORT_SECURE_STRETCH;
    const uint32_t block = (uint32_t)((first + done) * word / COHORT_CIPHER_BLOCK);
    void *at = (char *)words + done * word;
    for (int m = 0; m < masks; m++) {
      cohort_cipher_stream(&mask[m].key, 0, block, (size_t)(length * word), stream);
      if (mask[m].add)
        cohort_words_add(modulus, length, at, stream);
      else
        cohort_words_subtract(modulus, length, at, stream);
    }
  }
}
