/* SipHash-2-4. Two rounds a word of eight bytes and four at the end; the last word carries the length, so that no
 * message is another's beginning. Some 1 ns a word. */
#include "mpi/siphash.h"

#include <string.h>

typedef struct state {
  uint64_t v0, v1, v2, v3;
} state;

static uint64_t rotate(uint64_t word, int bits) { return word << bits | word >> (64 - bits); }

static void round_once(state *s) {
  s->v0 += s->v1;
  s->v1 = rotate(s->v1, 13) ^ s->v0;
  s->v0 = rotate(s->v0, 32);
  s->v2 += s->v3;
  s->v3 = rotate(s->v3, 16) ^ s->v2;
  s->v0 += s->v3;
  s->v3 = rotate(s->v3, 21) ^ s->v0;
  s->v2 += s->v1;
  s->v1 = rotate(s->v1, 17) ^ s->v2;
  s->v2 = rotate(s->v2, 32);
}

static void take(state *s, uint64_t word) {
  s->v3 ^= word;
  round_once(s);
  round_once(s);
  s->v0 ^= word;
}

uint64_t cohort_siphash(const uint64_t key[2], const void *data, size_t bytes) {
  state s = {key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
             key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
  const unsigned char *at = data;
  size_t left = bytes;
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    take(&s, word);
  }
  uint64_t last = (uint64_t)bytes << 56;
  for (size_t i = 0; i < left; i++) last |= (uint64_t)at[i] << (8 * i);
  take(&s, last);
  s.v2 ^= 0xff;
  for (int i = 0; i < 4; i++) round_once(&s);
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
