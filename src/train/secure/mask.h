/* Masks: streams of words that are added to an upload or taken from a sum, both by client and server. */
#ifndef COHORT_TRAIN_SECURE_MASK_H
#define COHORT_TRAIN_SECURE_MASK_H

#include "train/secure/cipher.h"

typedef struct cohort_secure_mask {
  cohort_cipher_key key;
  bool add; /* else it is subtracted */
} cohort_secure_mask;

/* Words [first, first + count) of the masks' streams onto `words`, which begin at word `first`. `first` is a multiple
 * of COHORT_SECURE_STRETCH. Cost: a stream's bytes for each mask. */
enum { COHORT_SECURE_STRETCH = 2048 };
void cohort_secure_masks_apply(int masks, const cohort_secure_mask *mask, int modulus, int64_t first, int64_t count,
                               void *words);

#endif
