/* Secure aggregation as a joiner: set-up, keys and shares of a round, and a client's upload. What is done when all
 * uploads are there is secure_finish.c. Invariant: what a client uploads is a function of (seed, round, client, change,
 * who takes part). A round costs a client degree agreements twice, and a stream as long as its upload for each
 * neighbour; a rank holds boxes and answers of all clients, 144 bytes for each pair of neighbours. */
#include "train/secure/secure.h"

#include <stdlib.h>
#include <string.h>

#include "train/secure/secure_state.h"

/* ---- set-up ---- */

int cohort_secure_degree_for(const cohort_secure_settings *settings, int clients, int *threshold) {
  const double stays = 1 - settings->dropout;
  const int degree = settings->neighbours ? cohort_secure_degree_of(clients, settings->neighbours)
                                          : cohort_secure_degree(clients, settings->threshold, 1 - stays * stays);
  *threshold = cohort_secure_threshold(degree, settings->threshold);
  return degree;
}

static cohort_status make_executors(cohort_secure *secure, cohort_error *error) {
  const size_t bytes = (size_t)secure->words * cohort_fixed_point_bytes(&secure->how);
  for (int e = 0; e < secure->options.threads; e++) {
    secure_executor *own = &secure->executor[e];
    COHORT_TRY(cohort_memory_create(bytes, "a masked upload", &own->upload, error));
    COHORT_TRY(cohort_memory_create(bytes, "a sum of masked uploads", &own->sum, error));
    own->whole = cohort_allocate(COHORT_SECURE_STRETCH * sizeof *own->whole);
  }
  return COHORT_DONE;
}

cohort_status cohort_secure_create(const cohort_secure_options *options, cohort_secure **out, cohort_error *error) {
  COHORT_TRY(cohort_cipher_open(error));
  cohort_secure *secure = cohort_allocate(sizeof *secure);
  secure->options = *options;
  secure->how = cohort_secure_fixed_point(options->settings);
  secure->key = cohort_random_key_derive_name(cohort_random_key_from_seed(options->seed), "secure");
  secure->team = (cohort_team){options->threads};
  secure->words = options->elements * options->vectors;
  secure->executor = cohort_allocate((size_t)options->threads * sizeof *secure->executor);
  const cohort_status status = make_executors(secure, error);
  if (status != COHORT_DONE) {
    cohort_secure_destroy(secure);
    return status;
  }
  *out = secure;
  return COHORT_DONE;
}

void cohort_secure_destroy(cohort_secure *secure) {
  if (!secure) return;
  for (int e = 0; e < secure->options.threads; e++) {
    cohort_memory_release(secure->executor[e].upload);
    cohort_memory_release(secure->executor[e].sum);
    free(secure->executor[e].whole);
  }
  free(secure->executor);
  cohort_secure_graph_release(&secure->graph);
  cohort_scratch *const scratch[] = {
      &secure->leaf_room,    &secure->flag_room,    &secure->client_room, &secure->keys_room,  &secure->sealing_room,
      &secure->boxes_room,   &secure->answers_room, &secure->mask_room,   &secure->first_room, &secure->place_room,
      &secure->message_room, &secure->coming_room,  &secure->share_room};
  for (size_t i = 0; i < sizeof scratch / sizeof *scratch; i++) cohort_scratch_release(scratch[i]);
  free(secure);
}

double cohort_secure_bytes(const cohort_secure_options *options, double clients, int ranks) {
  const cohort_fixed_point how = cohort_secure_fixed_point(options->settings);
  const double words = (double)options->elements * options->vectors, word = (double)cohort_fixed_point_bytes(&how);
  int threshold;
  const double degree = cohort_secure_degree_for(options->settings, (int)clients, &threshold);
  const double pairs = options->settings->masks ? clients * degree : 0;
  return 2 * options->threads * words * word + (1 - 1.0 / ranks) * words * word +
         pairs * (double)(sizeof(cohort_secure_box) + sizeof(cohort_secure_share)) +
         pairs / ranks * (double)(sizeof(cohort_cipher_key) + 2 * COHORT_SHAMIR_LIMBS * sizeof(uint64_t));
}

/* ---- keys and shares of a round ---- */

static cohort_random_key key_of(const cohort_secure *secure, int leaf) {
  const cohort_random_key round = cohort_random_key_derive(secure->key, (uint64_t)secure->round.number);
  return cohort_random_key_derive(round, (uint64_t)secure->round.client[secure->round.order->item[leaf]]);
}

static cohort_cipher_key root_of(const cohort_secure *secure, int leaf) {
  const cohort_random_key key = cohort_random_key_derive_name(key_of(secure, leaf), "root");
  cohort_cipher_key root;
  for (uint64_t i = 0; i < COHORT_CIPHER_KEY_BYTES / sizeof(uint32_t); i++) {
    const uint32_t word = cohort_random_word(key, 0, i);
    for (int b = 0; b < 4; b++) root.byte[4 * i + (uint64_t)b] = (unsigned char)(word >> (8 * b));
  }
  return root;
}

/* Who is lost on the way: after the shares, and after the upload. */
static void lose(cohort_secure *secure) {
  const double dropout = secure->options.settings->dropout;
  secure->delivered_clients = 0;
  secure->whole_share = secure->delivered_share = 0;
  for (int leaf = 0; leaf < secure->clients; leaf++) {
    const cohort_random_key key = cohort_random_key_derive_name(key_of(secure, leaf), "lost");
    secure->delivered[leaf] = cohort_random_uniform(cohort_random_word(key, 0, 0)) >= dropout;
    secure->answering[leaf] =
        secure->delivered[leaf] && cohort_random_uniform(cohort_random_word(key, 0, 1)) >= dropout;
    secure->delivered_clients += secure->delivered[leaf];
  }
  for (int item = 0; item < secure->clients; item++) {
    const double share = secure->round.share[item];
    secure->whole_share += share;
    if (secure->delivered[secure->leaf[item]]) secure->delivered_share += share;
  }
}

uint64_t *cohort_secure_room_of(cohort_secure *secure, int64_t own) {
  const size_t most = 3 * (size_t)secure->public.threshold + cohort_secure_client_room(&secure->public);
  return (uint64_t *)secure->share_room.memory + (size_t)own * most;
}

void cohort_secure_gather(cohort_secure *secure, void *data, size_t bytes) {
  const int ranks = secure->options.comm->size;
  const int *first = secure->round.order->first;
  size_t *offsets = cohort_scratch_take(&secure->place_room, 2 * (size_t)ranks * sizeof *offsets);
  for (int r = 0; r < ranks; r++) {
    offsets[r] = (size_t)first[r] * bytes;
    offsets[ranks + r] = (size_t)(first[r + 1] - first[r]) * bytes;
  }
  cohort_comm_name(secure->options.comm, "secure aggregation");
  cohort_comm_gather_all(secure->options.comm, data, offsets, offsets + ranks);
}

static void make_keys(void *argument, int64_t own) {
  cohort_secure *secure = argument;
  const int leaf = secure->first + (int)own;
  const cohort_cipher_key root = root_of(secure, leaf);
  cohort_secure_client_begin(&secure->client[own], &root, leaf, &secure->keys[leaf]);
}

static void make_shares(void *argument, int64_t own) {
  cohort_secure *secure = argument;
  const size_t degree = (size_t)secure->graph.degree, leaf = (size_t)(secure->first + own);
  if (!cohort_secure_client_share(&secure->client[own], &secure->public, cohort_secure_room_of(secure, own),
                                  secure->sealing + (size_t)own * degree, secure->boxes + leaf * degree))
    atomic_store(&secure->spoilt, true);
}

static void set_up_graph(cohort_secure *secure) {
  const cohort_secure_settings *settings = secure->options.settings;
  if (secure->degree_clients != secure->clients) {
    int threshold;
    secure->degree = cohort_secure_degree_for(settings, secure->clients, &threshold);
    secure->degree_clients = secure->clients;
  }
  const cohort_random_key key =
      cohort_random_key_derive_name(cohort_random_key_derive(secure->key, (uint64_t)secure->round.number), "ring");
  cohort_secure_graph_create(secure->clients, secure->degree, key, &secure->graph);
  secure->public = (cohort_secure_public){.graph = &secure->graph,
                                          .threshold = cohort_secure_threshold(secure->degree, settings->threshold),
                                          .modulus = secure->how.modulus};
}

static void take_memory(cohort_secure *secure) {
  const size_t clients = (size_t)secure->clients, own = (size_t)secure->own;
  const size_t pairs = clients * (size_t)secure->graph.degree, own_pairs = own * (size_t)secure->graph.degree;
  secure->answers = cohort_scratch_take(&secure->answers_room, pairs * sizeof *secure->answers);
  if (!secure->options.settings->masks) return;
  secure->client = cohort_scratch_take(&secure->client_room, own * sizeof *secure->client);
  secure->keys = cohort_scratch_take(&secure->keys_room, clients * sizeof *secure->keys);
  secure->sealing = cohort_scratch_take(&secure->sealing_room, own_pairs * sizeof *secure->sealing);
  secure->boxes = cohort_scratch_take(&secure->boxes_room, pairs * sizeof *secure->boxes);
  secure->public.keys = secure->keys;
  const size_t room = 3 * (size_t)secure->public.threshold + cohort_secure_client_room(&secure->public);
  (void)cohort_scratch_take(&secure->share_room, own * room * sizeof(uint64_t));
}

cohort_status cohort_secure_begin(cohort_secure *secure, const cohort_secure_round *round, cohort_error *error) {
  const cohort_item_order *order = round->order;
  const int rank = secure->options.comm->rank;
  const double clients = order->items, noise = secure->options.noise ? secure->options.noise->largest : 0;
  if (!cohort_fixed_point_fits(&secure->how, clients, clients, noise))
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "federated.secure: round %lld has %d clients, whose sum with %d bits can wrap modulo 2^%d; set "
                       "bits lower or modulus to 64",
                       (long long)round->number, order->items, secure->how.bits, secure->how.modulus);
  secure->round = *round;
  secure->clients = order->items;
  secure->first = order->first[rank];
  secure->own = order->first[rank + 1] - secure->first;
  atomic_store(&secure->spoilt, false);
  secure->leaf = cohort_scratch_take(&secure->leaf_room, (size_t)secure->clients * sizeof *secure->leaf);
  secure->delivered = cohort_scratch_take(&secure->flag_room, 2 * (size_t)secure->clients * sizeof(bool));
  secure->answering = secure->delivered + secure->clients;
  for (int leaf = 0; leaf < secure->clients; leaf++) secure->leaf[order->item[leaf]] = leaf;
  for (int e = 0; e < secure->options.threads; e++) {
    secure->executor[e].used = false;
    secure->executor[e].seen = (cohort_fixed_point_count){0};
  }
  lose(secure);
  if (secure->clients < 2) return COHORT_DONE; /* finish refuses it */
  set_up_graph(secure);
  take_memory(secure);
  if (!secure->options.settings->masks) return COHORT_DONE;
  cohort_team_run(&secure->team, secure->own, make_keys, secure);
  cohort_secure_gather(secure, secure->keys, sizeof *secure->keys);
  cohort_team_run(&secure->team, secure->own, make_shares, secure);
  cohort_secure_gather(secure, secure->boxes, (size_t)secure->graph.degree * sizeof *secure->boxes);
  return COHORT_DONE;
}

/* ---- an upload ---- */

/* The client's vectors as words of its upload. */
static void write_upload(cohort_secure *secure, secure_executor *own, int leaf, int item, const char *row) {
  const cohort_secure_options *options = &secure->options;
  const double weight = secure->round.share[item] * secure->clients / secure->whole_share;
  const cohort_random_key key = cohort_random_key_derive_name(key_of(secure, leaf), "rounding");
  const size_t word = cohort_fixed_point_bytes(&secure->how);
  for (int v = 0; v < options->vectors; v++) {
    for (int64_t first = 0; first < options->elements; first += COHORT_SECURE_STRETCH) {
      const int64_t left = options->elements - first, at = v * options->elements + first;
      const int64_t count = left < COHORT_SECURE_STRETCH ? left : COHORT_SECURE_STRETCH;
      cohort_fixed_point_write(&secure->how, v ? 1 : weight, options->real, count, row + (size_t)at * options->real,
                               key, at, own->whole, &own->seen);
      if (options->noise && v == 0)
        options->noise->add(options->noise->argument, secure->round.number, secure->round.client[item], first, count,
                            own->whole);
      cohort_fixed_point_reduce(&secure->how, count, own->whole, (char *)own->upload + (size_t)at * word);
    }
  }
}

void cohort_secure_take(cohort_secure *secure, int executor, int item, const void *row) {
  const int leaf = secure->leaf[item];
  if (!secure->delivered[leaf] || secure->clients < 2) return;
  secure_executor *own = &secure->executor[executor];
  write_upload(secure, own, leaf, item, row);
  if (secure->options.settings->masks &&
      !cohort_secure_client_mask(&secure->client[leaf - secure->first], &secure->public, secure->words, own->upload))
    atomic_store(&secure->spoilt, true);
  if (own->used)
    cohort_words_add(secure->how.modulus, secure->words, own->sum, own->upload);
  else
    memcpy(own->sum, own->upload, (size_t)secure->words * cohort_fixed_point_bytes(&secure->how));
  own->used = true;
}
