/* What secure aggregation is made of: the RFCs' vectors through the wrapper, shares of secrets, the graph of
 * neighbours, whole numbers and back. */
#include <math.h>
#include <stdio.h>

#include "check.h"
#include "train/secure/fixed_point.h"
#include "train/secure/neighbours.h"
#include "train/secure/shamir.h"

static void from_hex(const char *text, size_t bytes, unsigned char *out) {
  for (size_t i = 0; i < bytes; i++) {
    unsigned value = 0;
    CU_ASSERT_EQUAL(sscanf(text + 2 * i, "%2x", &value), 1);
    out[i] = (unsigned char)value;
  }
}

static cohort_cipher_key key_of(const char *text) {
  cohort_cipher_key key;
  from_hex(text, sizeof key.byte, key.byte);
  return key;
}

static bool is(const char *text, size_t bytes, const void *given) {
  unsigned char wanted[256];
  from_hex(text, bytes, wanted);
  return memcmp(wanted, given, bytes) == 0;
}

/* RFC 7748, 5.2 and 6.1. */
static void agreements(void) {
  cohort_cipher_key out, k = {{9}}, u = {{9}};
  CU_ASSERT(cohort_cipher_open(NULL) == COHORT_DONE);
  const cohort_cipher_key scalar[2] = {key_of("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                                       key_of("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d")};
  const cohort_cipher_key point[2] = {key_of("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
                                      key_of("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493")};
  CU_ASSERT(cohort_cipher_agree(&scalar[0], &point[0], &out));
  CU_ASSERT(is("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552", 32, &out));
  CU_ASSERT(cohort_cipher_agree(&scalar[1], &point[1], &out));
  CU_ASSERT(is("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957", 32, &out));
  for (int i = 0; i < 1000; i++) {
    CU_ASSERT(cohort_cipher_agree(&k, &u, &out));
    u = k;
    k = out;
    if (i == 0) CU_ASSERT(is("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079", 32, &k));
  }
  CU_ASSERT(is("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", 32, &k));
  const cohort_cipher_key alice = key_of("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const cohort_cipher_key bob = key_of("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  cohort_cipher_key alices, bobs, other;
  cohort_cipher_public(&alice, &alices);
  cohort_cipher_public(&bob, &bobs);
  CU_ASSERT(is("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", 32, &alices));
  CU_ASSERT(is("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", 32, &bobs));
  CU_ASSERT(cohort_cipher_agree(&alice, &bobs, &out));
  CU_ASSERT(is("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", 32, &out));
  /* A pair's key: Python's hashlib.blake2b over this agreement and both public keys. */
  CU_ASSERT(cohort_cipher_pair(&alice, &alices, &bobs, &out) && cohort_cipher_pair(&bob, &bobs, &alices, &other));
  CU_ASSERT(memcmp(&out, &other, sizeof out) == 0);
  CU_ASSERT(is("519fb3af2f3f9e310718cf1f8bdec6e26ab64affe730f0f8b43c43b0e8ee52be", 32, &out));
  const cohort_cipher_key low_order = {{0}};
  CU_ASSERT_FALSE(cohort_cipher_pair(&alice, &alices, &low_order, &out));
}

/* RFC 8439, 2.3.2 and 2.8.2; a derived key by Python's hashlib.blake2b (salt: number, person: purpose). */
static void streams_and_seals(void) {
  static const char text[] =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be "
      "it.";
  cohort_cipher_key key, out;
  unsigned char nonce[12], data[12], block[64], sealed[sizeof text - 1 + COHORT_CIPHER_TAG_BYTES];
  for (int i = 0; i < 32; i++) key.byte[i] = (unsigned char)i;
  from_hex("000000090000004a00000000", 12, nonce);
  cohort_cipher_stream_for(&key, nonce, 1, sizeof block, block);
  CU_ASSERT(
      is("10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4ed2826446079faa0914c2d705d98b02a2b5129cd1"
         "de164eb9cbd083e8a2503c4e",
         64, block));
  cohort_cipher_derive(&key, "share", 7, &out);
  CU_ASSERT(is("d5a9ae40ab33189f210aaa407efd10826273d07319708091baca86593bbb3f40", 32, &out));
  for (int i = 0; i < 32; i++) key.byte[i] = (unsigned char)(0x80 + i);
  from_hex("070000004041424344454647", 12, nonce);
  from_hex("50515253c0c1c2c3c4c5c6c7", 12, data);
  cohort_cipher_seal_for(&key, nonce, sizeof data, data, sizeof text - 1, text, sealed);
  CU_ASSERT(
      is("d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a"
         "9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9d"
         "e576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
         sizeof sealed, sealed));
}

/* A part of a stream is what the whole one has there; what is sealed opens for the same key and nonce alone. */
static void parts_and_openings(void) {
  unsigned char whole[4096], part[1024], sealed[64 + COHORT_CIPHER_TAG_BYTES], opened[64];
  cohort_cipher_key key = {{1, 2, 3}};
  cohort_cipher_stream(&key, 5, 0, sizeof whole, whole);
  cohort_cipher_stream(&key, 5, 20, sizeof part, part);
  CU_ASSERT(memcmp(whole + 20 * COHORT_CIPHER_BLOCK, part, sizeof part) == 0);
  cohort_cipher_seal(&key, 1, 64, whole, sealed);
  CU_ASSERT(cohort_cipher_unseal(&key, 1, 64, sealed, opened) && memcmp(opened, whole, 64) == 0);
  CU_ASSERT_FALSE(cohort_cipher_unseal(&key, 0, 64, sealed, opened));
  sealed[10] ^= 1;
  CU_ASSERT_FALSE(cohort_cipher_unseal(&key, 1, 64, sealed, opened));
}

/* The example of Wikipedia's article "Shamir's secret sharing", and Python's integers for the large prime. */
static void known_shares(void) {
  const uint64_t coefficient[3] = {1234, 166, 94}, wanted[6] = {1494, 329, 965, 176, 1188, 775};
  for (uint64_t at = 1; at <= 6; at++) CU_ASSERT_EQUAL(cohort_shamir_share(1613, 3, coefficient, at), wanted[at - 1]);
  const uint64_t at[3] = {2, 4, 5}, share[3] = {329, 176, 1188};
  uint64_t weight[3];
  cohort_shamir_weights(1613, 3, at, weight);
  CU_ASSERT_EQUAL(cohort_shamir_join(1613, 3, weight, share), 1234);
  const uint64_t large[5] = {UINT64_C(0x1e3779b97f4aac52), UINT64_C(0x1c6ef372fe95286c), UINT64_C(0x1aa66d2c7ddfa486),
                             UINT64_C(0x18dde6e5fd2a20a0), UINT64_C(0x1715609f7c749cba)},
                 points[5] = {1, 2, 7, 100, 1000003},
                 values[5] = {UINT64_C(0x54021de755e36a2), UINT64_C(0x19f45679248e5ff9), UINT64_C(0xfea9d570250efc4),
                              UINT64_C(0x130e95e21404bc56), UINT64_C(0x1d36bf7afc1d2898)};
  for (int i = 0; i < 5; i++) CU_ASSERT_EQUAL(cohort_shamir_share(COHORT_SHAMIR_PRIME, 5, large, points[i]), values[i]);
}

/* Every subset of `threshold` of the holders gives the key; one holder fewer gives another one. */
static void all_subsets(void) {
  enum { HOLDERS = 7, THRESHOLD = 4 };
  cohort_cipher_key key, joined;
  uint64_t limb[COHORT_SHAMIR_LIMBS], share[HOLDERS][COHORT_SHAMIR_LIMBS], coefficient[THRESHOLD];
  const cohort_random_key draw = cohort_random_key_from_seed(3);
  for (int i = 0; i < 32; i++) key.byte[i] = (unsigned char)(255 - i);
  cohort_shamir_cut(&key, limb);
  for (int l = 0; l < COHORT_SHAMIR_LIMBS; l++) {
    CU_ASSERT(limb[l] < COHORT_SHAMIR_PRIME);
    for (int i = 0; i < THRESHOLD; i++)
      coefficient[i] = ((uint64_t)cohort_random_word(draw, (uint64_t)l, (uint64_t)(2 * i)) << 29) ^
                       cohort_random_word(draw, (uint64_t)l, (uint64_t)(2 * i + 1));
    coefficient[0] = limb[l];
    for (int h = 0; h < HOLDERS; h++)
      share[h][l] = cohort_shamir_share(COHORT_SHAMIR_PRIME, THRESHOLD, coefficient, (uint64_t)h + 1);
  }
  int subsets = 0;
  for (unsigned set = 0; set < 1u << HOLDERS; set++) {
    uint64_t at[HOLDERS], weight[HOLDERS], value[HOLDERS];
    int holder[HOLDERS], count = 0;
    for (int h = 0; h < HOLDERS; h++)
      if (set >> h & 1) {
        holder[count] = h;
        at[count++] = (uint64_t)h + 1;
      }
    if (count != THRESHOLD && count != THRESHOLD - 1) continue;
    cohort_shamir_weights(COHORT_SHAMIR_PRIME, count, at, weight);
    for (int l = 0; l < COHORT_SHAMIR_LIMBS; l++) {
      for (int i = 0; i < count; i++) value[i] = share[holder[i]][l];
      limb[l] = cohort_shamir_join(COHORT_SHAMIR_PRIME, count, weight, value);
    }
    cohort_shamir_glue(limb, &joined);
    CU_ASSERT((memcmp(&joined, &key, sizeof key) == 0) == (count == THRESHOLD));
    subsets += count == THRESHOLD;
  }
  CU_ASSERT_EQUAL(subsets, 35);
}

static void check_graph(int clients, int degree) {
  cohort_secure_graph graph = {0};
  cohort_secure_graph_create(clients, degree, cohort_random_key_from_seed(5), &graph);
  bool *seen = calloc((size_t)clients, sizeof *seen);
  for (int u = 0; u < clients; u++) {
    memset(seen, 0, (size_t)clients * sizeof *seen);
    for (int slot = 0; slot < degree; slot++) {
      const int v = cohort_secure_neighbour(&graph, u, slot);
      CU_ASSERT_FATAL(v >= 0 && v < clients && v != u && !seen[v]);
      seen[v] = true;
      const int back = cohort_secure_back_slot(&graph, u, slot);
      CU_ASSERT(back >= 0 && back < degree && cohort_secure_neighbour(&graph, v, back) == u);
    }
  }
  free(seen);
  cohort_secure_graph_release(&graph);
}

static void neighbours(void) {
  const int sizes[] = {2, 3, 4, 5, 8, 9, 50, 101};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int wanted = 1; wanted <= sizes[i]; wanted++) check_graph(sizes[i], cohort_secure_degree_of(sizes[i], wanted));
  CU_ASSERT_EQUAL(cohort_secure_threshold(9, 0.6), 6);
  CU_ASSERT_EQUAL(cohort_secure_threshold(10, 0.6), 6);
  CU_ASSERT_EQUAL(cohort_secure_threshold(1, 0.01), 1);
}

/* Small rounds take all others; large ones grow with the logarithm: more for more clients and for more losses. */
static void as_few_as_are_safe(void) {
  CU_ASSERT_EQUAL(cohort_secure_degree(10, 0.6, 0.1), 9);
  CU_ASSERT_EQUAL(cohort_secure_degree(50, 0.6, 0.1), 49);
  const int thousand = cohort_secure_degree(1000, 0.6, 0.1), tens = cohort_secure_degree(10000, 0.6, 0.1);
  const int million = cohort_secure_degree(1000000, 0.6, 0.1), lossy = cohort_secure_degree(10000, 0.6, 0.2);
  printf("(neighbours of 10^3, 10^4, 10^6: %d, %d, %d; of 10^4 with twice the losses: %d) ", thousand, tens, million,
         lossy);
  CU_ASSERT(thousand < 200 && thousand <= tens && tens <= million && million < 300 && tens < lossy && lossy < 500);
  CU_ASSERT_EQUAL(cohort_secure_degree(200, 0.95, 0.3), 199); /* no number of them is safe */
}

static void whole_numbers(void) {
  enum { COUNT = 1000 };
  double value[COUNT], back[COUNT];
  int64_t whole[COUNT];
  uint64_t words[COUNT];
  const cohort_random_key key = cohort_random_key_from_seed(1);
  for (int i = 0; i < COUNT; i++) value[i] = 0.4 * cohort_random_normal_at(key, 0, (uint64_t)i);
  value[0] = NAN, value[1] = INFINITY, value[2] = 7, value[3] = -7;
  for (int modulus = 32; modulus <= 64; modulus += 32)
    for (int rounding = 0; rounding < 3; rounding++) {
      const cohort_fixed_point how = {1, 16, modulus, (cohort_fixed_rounding)rounding};
      const double step = cohort_fixed_point_step(&how), weight = 0.7;
      cohort_fixed_point_count seen = {0};
      cohort_fixed_point_write(&how, weight, sizeof(double), COUNT, value, key, 0, whole, &seen);
      cohort_fixed_point_reduce(&how, COUNT, whole, words);
      cohort_fixed_point_read(&how, step / weight, sizeof(double), COUNT, words, back);
      CU_ASSERT_EQUAL(seen.infinite, 2);
      double mean = 0;
      int64_t beyond = 0;
      for (int i = 2; i < COUNT; i++) {
        const double clipped = fmax(-1, fmin(1, value[i])), bound = (rounding ? 1 : 0.5) * step / weight;
        beyond += fabs(value[i]) > 1;
        CU_ASSERT(fabs(back[i] - clipped) <= bound * (1 + 1e-12));
        CU_ASSERT(rounding != COHORT_ROUND_ZERO || fabs(back[i]) <= fabs(clipped) * (1 + 0x1p-22));
        mean += (back[i] - clipped) / COUNT;
      }
      CU_ASSERT(seen.clipped == beyond && beyond >= 2);
      CU_ASSERT(fabs(mean) < 5 * step / weight / sqrt(12.0 * COUNT));
      /* Where a run of values begins changes nothing. */
      int64_t parts[COUNT];
      cohort_fixed_point_write(&how, weight, sizeof(double), 500, value, key, 0, parts, &seen);
      cohort_fixed_point_write(&how, weight, sizeof(double), 500, value + 500, key, 500, parts + 500, &seen);
      CU_ASSERT(memcmp(parts, whole, sizeof whole) == 0);
    }
}

/* The largest sum that fits is not one step from wrapping. */
static void sums_that_fit(void) {
  const cohort_fixed_point how = {1, 20, 32, COHORT_ROUND_NEAREST};
  CU_ASSERT(cohort_fixed_point_fits(&how, 4095, 4095, 0));
  CU_ASSERT_FALSE(cohort_fixed_point_fits(&how, 4097, 4097, 0));
  CU_ASSERT_FALSE(cohort_fixed_point_fits(&how, 4000, 4000, 1e5));
  const cohort_fixed_point wide = {1, 20, 64, COHORT_ROUND_NEAREST};
  CU_ASSERT(cohort_fixed_point_fits(&wide, 1e6, 1e6, 1e5));
  uint32_t a[2] = {UINT32_MAX, 5};
  const uint32_t b[2] = {2, 7};
  cohort_words_add(32, 2, a, b);
  CU_ASSERT(a[0] == 1 && a[1] == 12);
  cohort_words_subtract(32, 2, a, b);
  CU_ASSERT(a[0] == UINT32_MAX && a[1] == 5);
}

static const check checks[] = {{"agreements of RFC 7748", agreements},
                               {"streams and seals of RFC 8439", streams_and_seals},
                               {"parts of streams, openings", parts_and_openings},
                               {"known shares", known_shares},
                               {"all subsets of holders", all_subsets},
                               {"neighbours are mutual", neighbours},
                               {"as few neighbours as are safe", as_few_as_are_safe},
                               {"whole numbers", whole_numbers},
                               {"sums that fit", sums_that_fit}};
int main(void) { return check_run("secure primitives", checks, sizeof checks / sizeof *checks); }
