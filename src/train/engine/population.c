/* Deals samples to clients, by drawn proportions of each class or equally. A function of (seed, labels, clients) alone;
 * every sample has one client and every client a sample. Clients x classes, and the
 * logarithm of the clients for each that is left without, once a run. */
#include "train/engine/population.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Gamma(shape, 1): Marsaglia & Tsang 2000, with their boost for shapes below 1. Draws are words of the stream (key,
 * high). */
static double draw_gamma(cohort_random_key key, uint64_t high, double shape) {
  uint64_t word = 0;
  double boost = 1;
  if (shape < 1) {
    const double uniform = cohort_random_uniform(cohort_random_word(key, high, word++)) + 0x1p-25;
    boost = pow(uniform, 1 / shape);
    shape += 1;
  }
  const double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    const uint32_t first = cohort_random_word(key, high, word++), second = cohort_random_word(key, high, word++);
    const double x = cohort_random_normal(first, second);
    const double uniform = cohort_random_uniform(cohort_random_word(key, high, word++)) + 0x1p-25;
    const double v = (1 + c * x) * (1 + c * x) * (1 + c * x);
    if (v > 0 && log(uniform) < 0.5 * x * x + d - d * v + d * log(v)) return boost * d * v;
  }
}

/* owner[sample] = client, class by class. */
static void deal_by_class(int64_t clients, int64_t samples, const int32_t *labels, double alpha, cohort_random_key key,
                          int32_t *owner) {
  int32_t classes = 0;
  for (int64_t i = 0; i < samples; i++)
    if (labels[i] >= classes) classes = labels[i] + 1;
  double *edge = cohort_allocate((size_t)(clients + 1) * sizeof *edge);
  int64_t *members = cohort_allocate((size_t)samples * sizeof *members);
  for (int32_t category = 0; category < classes; category++) {
    const cohort_random_key own = cohort_random_key_derive(key, (uint64_t)category);
    int64_t count = 0;
    for (int64_t i = 0; i < samples; i++)
      if (labels[i] == category) members[count++] = i;
    if (!count) continue;
    edge[0] = 0;
    for (int64_t c = 0; c < clients; c++) edge[c + 1] = edge[c] + draw_gamma(own, (uint64_t)c + 1, alpha);
    int64_t client = 0;
    for (int64_t i = 0; i < count; i++) {
      while (client + 1 < clients && ((double)i + 0.5) * edge[clients] > edge[client + 1] * (double)count) client++;
      owner[members[cohort_random_permute(own, (uint64_t)count, (uint64_t)i)]] = (int32_t)client;
    }
  }
  free(members);
  free(edge);
}

static void deal_equally(int64_t clients, int64_t samples, cohort_random_key key, int32_t *owner) {
  for (int64_t i = 0; i < samples; i++)
    owner[cohort_random_permute(key, (uint64_t)samples, (uint64_t)i)] = (int32_t)(i * clients / samples);
}

/* A heap of clients with samples to give: the largest first, of equal ones the first. */
typedef struct givers {
  int64_t count, *client;
  const int64_t *size;
} givers;

static bool gives_first(const givers *own, int64_t a, int64_t b) {
  return own->size[a] != own->size[b] ? own->size[a] > own->size[b] : a < b;
}

static void sink(givers *own, int64_t at) {
  for (int64_t child; (child = 2 * at + 1) < own->count; at = child) {
    if (child + 1 < own->count && gives_first(own, own->client[child + 1], own->client[child])) child++;
    if (gives_first(own, own->client[at], own->client[child])) return;
    const int64_t moved = own->client[at];
    own->client[at] = own->client[child];
    own->client[child] = moved;
  }
}

/* Each client without a sample takes the first one of the client that is then the largest. */
static void help_the_empty(int64_t clients, int64_t samples, int32_t *owner) {
  int64_t *size = cohort_allocate(3 * (size_t)clients * sizeof *size), *first = size + clients;
  int32_t *next = cohort_allocate((size_t)(samples + 1) * sizeof *next); /* of the same client, ascending */
  for (int64_t c = 0; c < clients; c++) first[c] = -1;
  for (int64_t i = samples - 1; i >= 0; i--) {
    next[i] = (int32_t)first[owner[i]];
    first[owner[i]] = i;
    size[owner[i]]++;
  }
  givers heap = {.client = first + clients, .size = size};
  for (int64_t c = 0; c < clients; c++)
    if (size[c]) heap.client[heap.count++] = c;
  for (int64_t at = heap.count / 2 - 1; at >= 0; at--) sink(&heap, at);
  for (int64_t c = 0; c < clients; c++) {
    if (size[c] || !heap.count) continue;
    const int64_t giver = heap.client[0], sample = first[giver];
    first[giver] = next[sample];
    owner[sample] = (int32_t)c;
    size[giver]--;
    sink(&heap, 0);
  }
  free(next);
  free(size);
}

void cohort_population_create(int64_t clients, int64_t samples, const int32_t *labels, double alpha,
                              cohort_random_key key, cohort_population *out) {
  int32_t *owner = cohort_allocate((size_t)samples * sizeof *owner);
  if (labels && alpha > 0)
    deal_by_class(clients, samples, labels, alpha, key, owner);
  else
    deal_equally(clients, samples, key, owner);
  help_the_empty(clients, samples, owner);
  *out = (cohort_population){.clients = clients};
  out->first = cohort_allocate((size_t)(clients + 1) * sizeof *out->first);
  out->sample = cohort_allocate((size_t)samples * sizeof *out->sample);
  for (int64_t i = 0; i < samples; i++) out->first[owner[i] + 1]++;
  for (int64_t c = 0; c < clients; c++) {
    if (out->first[c + 1] > out->largest) out->largest = out->first[c + 1];
    out->first[c + 1] += out->first[c];
  }
  int64_t *next = cohort_allocate((size_t)clients * sizeof *next);
  memcpy(next, out->first, (size_t)clients * sizeof *next);
  for (int64_t i = 0; i < samples; i++) out->sample[next[owner[i]]++] = (int32_t)i;
  free(next);
  free(owner);
}

void cohort_population_release(cohort_population *population) {
  free(population->first);
  free(population->sample);
  memset(population, 0, sizeof *population);
}
