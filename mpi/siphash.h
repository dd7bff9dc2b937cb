/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of short messages. Who does not hold the key can neither
 * make the hash of a message nor learn the key from messages and their hashes. */
#ifndef COHORT_MPI_SIPHASH_H
#define COHORT_MPI_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* The hash of `bytes` bytes under a key of 128 bits, its words as little-endian machines hold them. */
uint64_t cohort_siphash(const uint64_t key[2], const void *data, size_t bytes);

#endif
