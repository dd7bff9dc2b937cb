/* Deals samples to clients, by drawn proportions of each class or equally. A function of (seed, labels, clients) alone;
 * every sample has one client and every client a sample. Clients x classes, once a run. */
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

static void help_the_empty(int64_t clients, int64_t samples, int32_t *owner) {
  int64_t *size = cohort_allocate((size_t)clients * sizeof *size);
  for (int64_t i = 0; i < samples; i++) size[owner[i]]++;
  for (int64_t c = 0; c < clients; c++) {
    if (size[c]) continue;
    int64_t largest = 0;
    for (int64_t other = 1; other < clients; other++)
      if (size[other] > size[largest]) largest = other;
    int64_t sample = 0;
    while (owner[sample] != largest) sample++;
    owner[sample] = (int32_t)c;
    size[largest]--;
    size[c]++;
  }
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
