/* Clients and server of secure aggregation, message by message: sums are exact with losses up to the threshold and are
 * refused beyond it, an upload looks uniform, a wrong key spoils the sum, false answers are found out. */
#include <stdio.h>

#include "check.h"
#include "train/secure/client.h"
#include "train/secure/fixed_point.h"
#include "train/secure/server.h"

enum { CLIENTS = 8, MOST_DEGREE = CLIENTS - 1, WORDS = 5000 };

/* A round, and what is wrong with it. */
typedef struct protocol {
  int degree, threshold, modulus;
  bool delivered[CLIENTS], answering[CLIENTS];
  int wrong_key, wrong_share; /* a client that masks with another key, or answers falsely; -1: none */
  uint64_t upload[CLIENTS][WORDS];
  uint64_t sum[WORDS], wanted[WORDS]; /* 32-bit words where modulus is 32 */
  int missing, answered;
  bool reconstructed;
} protocol;

static cohort_cipher_key root_of(int client) {
  cohort_cipher_key root = {{(unsigned char)client, 77}};
  return root;
}

static void write_plain(const protocol *own, int client, uint64_t *words) {
  const cohort_random_key key = cohort_random_key_from_seed(9);
  for (int i = 0; i < WORDS; i++) {
    const uint32_t word = cohort_random_word(key, (uint64_t)client, (uint64_t)i);
    if (own->modulus == 64)
      words[i] = (uint64_t)word * 977 - 5;
    else
      ((uint32_t *)words)[i] = word % 2001 - 1000;
  }
}

static void run_protocol(protocol *own) {
  static cohort_secure_box box[CLIENTS * MOST_DEGREE];
  static cohort_secure_share answers[CLIENTS * MOST_DEGREE];
  static cohort_cipher_key sealing[CLIENTS][MOST_DEGREE];
  cohort_secure_client client[CLIENTS];
  cohort_secure_keys keys[CLIENTS];
  cohort_secure_mask mask[MOST_DEGREE];
  cohort_secure_graph graph = {0};
  cohort_secure_graph_create(CLIENTS, own->degree, cohort_random_key_from_seed(2), &graph);
  const cohort_secure_public public = {&graph, own->threshold, own->modulus, keys};
  const size_t degree = (size_t)own->degree;
  CU_ASSERT_FATAL(cohort_cipher_open(NULL) == COHORT_DONE);
  for (int c = 0; c < CLIENTS; c++) {
    const cohort_cipher_key root = root_of(c);
    cohort_secure_client_begin(&client[c], &root, c, &keys[c]);
  }
  uint64_t *room = calloc(cohort_secure_client_room(&public) + 3 * (size_t)own->threshold, sizeof *room);
  for (int c = 0; c < CLIENTS; c++)
    CU_ASSERT(cohort_secure_client_share(&client[c], &public, room, sealing[c], box + (size_t)c * degree));
  if (own->wrong_key >= 0) client[own->wrong_key].masking.byte[3] ^= 8;
  memset(own->sum, 0, sizeof own->sum);
  memset(own->wanted, 0, sizeof own->wanted);
  for (int c = 0; c < CLIENTS; c++) {
    write_plain(own, c, own->upload[c]);
    if (own->delivered[c]) cohort_words_add(own->modulus, WORDS, own->wanted, own->upload[c]);
    CU_ASSERT(cohort_secure_client_mask(&client[c], &public, WORDS, own->upload[c]));
    if (own->delivered[c]) cohort_words_add(own->modulus, WORDS, own->sum, own->upload[c]);
  }
  memset(answers, 0, sizeof answers);
  for (int c = 0; c < CLIENTS; c++) {
    const cohort_secure_box *incoming[MOST_DEGREE];
    for (int slot = 0; slot < own->degree; slot++)
      incoming[slot] = &box[(size_t)cohort_secure_neighbour(&graph, c, slot) * degree +
                            (size_t)cohort_secure_back_slot(&graph, c, slot)];
    if (own->answering[c])
      cohort_secure_client_answer(&client[c], &public, sealing[c], own->delivered, incoming,
                                  answers + (size_t)c * degree);
  }
  if (own->wrong_share >= 0) answers[(size_t)own->wrong_share * degree].limb[1] ^= 1;
  own->missing = cohort_secure_server_check(&public, own->delivered, answers, &own->answered);
  own->reconstructed = true;
  for (int c = 0; c < CLIENTS && own->missing < 0; c++) {
    const int masks = cohort_secure_server_masks(&public, c, own->delivered, answers, room, mask);
    own->reconstructed = own->reconstructed && masks >= 0;
    if (masks > 0) cohort_secure_masks_apply(masks, mask, own->modulus, 0, WORDS, own->sum);
  }
  free(room);
  cohort_secure_graph_release(&graph);
}

static bool same_sum(const protocol *own) {
  return memcmp(own->sum, own->wanted, (size_t)WORDS * (size_t)own->modulus / 8) == 0;
}

static protocol *all_present(int degree, int threshold, int modulus) {
  static protocol own;
  own = (protocol){.degree = degree, .threshold = threshold, .modulus = modulus, .wrong_key = -1, .wrong_share = -1};
  for (int c = 0; c < CLIENTS; c++) own.delivered[c] = own.answering[c] = true;
  return &own;
}

static void nobody_is_lost(void) {
  for (int modulus = 32; modulus <= 64; modulus += 32)
    for (int degree = 2; degree <= MOST_DEGREE; degree++) {
      if (degree % 2 && degree < MOST_DEGREE) continue;
      for (int threshold = 1; threshold <= degree; threshold++) {
        protocol *own = all_present(degree, threshold, modulus);
        run_protocol(own);
        CU_ASSERT(own->missing == -1 && own->reconstructed && same_sum(own));
      }
    }
}

/* Every set of clients that delivers, with and without one of those that is then lost: exact where each client has
 * `threshold` neighbours that answer, refused otherwise. */
static void every_loss(int degree, int threshold) {
  int exact = 0, refused = 0;
  for (unsigned set = 0; set < 1u << CLIENTS; set++)
    for (int gone = -1; gone < CLIENTS; gone += 4) {
      protocol *own = all_present(degree, threshold, 32);
      if (gone >= 0 && !(set >> gone & 1)) continue;
      for (int c = 0; c < CLIENTS; c++) {
        own->delivered[c] = set >> c & 1;
        own->answering[c] = own->delivered[c] && c != gone;
      }
      run_protocol(own);
      cohort_secure_graph graph = {0};
      cohort_secure_graph_create(CLIENTS, degree, cohort_random_key_from_seed(2), &graph);
      int fewest = degree;
      for (int c = 0; c < CLIENTS; c++) {
        int answering = 0;
        for (int slot = 0; slot < degree; slot++) answering += own->answering[cohort_secure_neighbour(&graph, c, slot)];
        if (answering < fewest) fewest = answering;
      }
      cohort_secure_graph_release(&graph);
      if (fewest >= threshold) {
        CU_ASSERT(own->missing == -1 && own->reconstructed && same_sum(own));
        exact++;
      } else {
        CU_ASSERT(own->missing >= 0 && own->answered < threshold && !same_sum(own) == (set != 0));
        refused++;
      }
    }
  printf("(%d of %d, threshold %d: %d exact, %d refused) ", degree, CLIENTS, threshold, exact, refused);
  CU_ASSERT(exact > 0 && refused > 0);
}
static void losses_in_full(void) { every_loss(7, 5); }
static void losses_among_neighbours(void) { every_loss(4, 2); }

/* Six of eight answer where five of seven neighbours are needed; five do not do. */
static void up_to_the_threshold(void) {
  protocol *own = all_present(7, 5, 32);
  own->delivered[1] = own->answering[1] = own->answering[4] = false;
  run_protocol(own);
  CU_ASSERT(own->missing == -1 && same_sum(own));
  own->answering[6] = false;
  run_protocol(own);
  CU_ASSERT(own->missing == 0 && own->answered == 4 && !same_sum(own));
}

static double chi_square(const void *data, size_t bytes) {
  double count[256] = {0}, sum = 0;
  for (size_t i = 0; i < bytes; i++) count[((const unsigned char *)data)[i]]++;
  for (int i = 0; i < 256; i++) sum += (count[i] - (double)bytes / 256) * (count[i] - (double)bytes / 256);
  return sum / ((double)bytes / 256);
}

/* 255 degrees of freedom: 99.9 % lie between 190 and 331. What is uploaded is small numbers, which do not. */
static void an_upload_looks_uniform(void) {
  protocol *own = all_present(7, 5, 32);
  static uint64_t plain[WORDS];
  run_protocol(own);
  write_plain(own, 3, plain);
  const double masked = chi_square(own->upload[3], WORDS * 4), bare = chi_square(plain, WORDS * 4);
  printf("(chi-square %.0f, without masks %.0f) ", masked, bare);
  CU_ASSERT(masked > 190 && masked < 331 && bare > 10000);
  /* The sum of all but one upload is no less masked. */
  cohort_words_subtract(32, WORDS, own->sum, own->upload[3]);
  const double others = chi_square(own->sum, WORDS * 4);
  CU_ASSERT(others > 190 && others < 331);
}

static void a_wrong_key_spoils_the_sum(void) {
  protocol *own = all_present(7, 5, 32);
  own->wrong_key = 2;
  run_protocol(own);
  int same = 0;
  for (int i = 0; i < WORDS; i++) same += ((uint32_t *)own->sum)[i] == ((uint32_t *)own->wanted)[i];
  const double uniform = chi_square(own->sum, WORDS * 4);
  printf("(%d of %d words survive) ", same, WORDS);
  CU_ASSERT(own->missing == -1 && same < 3 && uniform > 190 && uniform < 331);
}

/* Of a lost client's secret the public key tells; of a seed nothing, but the sum is lost. */
static void a_false_answer(void) {
  protocol *own = all_present(7, 5, 32);
  own->delivered[0] = own->answering[0] = false;
  own->wrong_share = 1; /* about its first neighbour, which is client 0 */
  run_protocol(own);
  CU_ASSERT(own->missing == -1 && !own->reconstructed);
  own = all_present(7, 5, 32);
  own->wrong_share = 1;
  run_protocol(own);
  CU_ASSERT(own->missing == -1 && own->reconstructed && !same_sum(own));
}

static const check checks[] = {{"nobody is lost", nobody_is_lost},
                               {"every loss, all others are neighbours", losses_in_full},
                               {"every loss, four neighbours", losses_among_neighbours},
                               {"up to the threshold", up_to_the_threshold},
                               {"an upload looks uniform", an_upload_looks_uniform},
                               {"a wrong key spoils the sum", a_wrong_key_spoils_the_sum},
                               {"a false answer", a_false_answer}};
int main(void) { return check_run("secure protocol", checks, sizeof checks / sizeof *checks); }
