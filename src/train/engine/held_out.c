/* Cuts every client's samples in two. Invariant: each sample is in one of the parts, in the order that it had. Linear
 * in samples. */
#include "train/engine/held_out.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"

static int64_t count_of(int64_t size, double share) {
  const int64_t wanted = (int64_t)(share * (double)size + 0.5);
  if (size < 2) return 0;
  return wanted < 1 ? 1 : wanted < size ? wanted : size - 1;
}

static void make(int64_t clients, int64_t samples, cohort_population *out) {
  *out = (cohort_population){.clients = clients,
                             .first = cohort_allocate((size_t)(clients + 1) * sizeof *out->first),
                             .sample = cohort_allocate((size_t)(samples + 1) * sizeof *out->sample)};
}

static void append(cohort_population *to, int64_t client, int32_t sample) {
  to->sample[to->first[client + 1]++] = sample;
}

static void open_client(cohort_population *to, int64_t client) { to->first[client + 1] = to->first[client]; }

static void close_client(cohort_population *to, int64_t client) {
  const int64_t size = to->first[client + 1] - to->first[client];
  if (size > to->largest) to->largest = size;
}

void cohort_population_hold_out(const cohort_population *all, double share, cohort_random_key key,
                                cohort_population *trained, cohort_population *held) {
  const int64_t samples = all->first[all->clients];
  make(all->clients, samples, trained);
  make(all->clients, samples, held);
  bool *drawn = cohort_allocate((size_t)(all->largest + 1) * sizeof *drawn);
  for (int64_t client = 0; client < all->clients; client++) {
    const int64_t size = all->first[client + 1] - all->first[client], count = count_of(size, share);
    const cohort_random_key own = cohort_random_key_derive(key, (uint64_t)client);
    for (int64_t i = 0; i < size; i++) drawn[i] = false;
    for (int64_t i = 0; i < count; i++) drawn[cohort_random_permute(own, (uint64_t)size, (uint64_t)i)] = true;
    open_client(trained, client);
    open_client(held, client);
    for (int64_t i = 0; i < size; i++)
      append(drawn[i] ? held : trained, client, (int32_t)cohort_population_sample(all, client, i));
    close_client(trained, client);
    close_client(held, client);
  }
  free(drawn);
}
