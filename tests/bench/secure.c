/* What secure aggregation costs: a round of clients that train for no time, by part, for each client and each byte of
 * its upload; and against the same whole numbers without masks. One rank, one thread.
 *
 *   bench_secure [ELEMENTS [DROPOUT]] */
#include "train/secure/secure.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

enum { CLIENTS = 200 }; /* that a measurement has at least, in one round or more */

typedef struct times {
  double begin, take, finish;
} times;

static times measure(int clients, int64_t elements, const cohort_secure_settings *settings) {
  cohort_comm comm = cohort_comm_alone();
  const cohort_secure_options options = {.comm = &comm,
                                         .threads = 1,
                                         .real = sizeof(float),
                                         .elements = elements,
                                         .vectors = 1,
                                         .seed = 1,
                                         .settings = settings};
  cohort_secure *secure = NULL;
  cohort_error error;
  if (cohort_secure_create(&options, &secure, &error) != COHORT_DONE) exit(4);
  cohort_item_order order = {0};
  double *cost = cohort_allocate((size_t)clients * sizeof *cost),
         *share = cohort_allocate((size_t)clients * sizeof *share);
  int64_t *client = cohort_allocate((size_t)clients * sizeof *client);
  float *change = cohort_allocate((size_t)elements * sizeof *change);
  for (int64_t e = 0; e < elements; e++) change[e] = (float)(e % 100) * 1e-3f;
  for (int i = 0; i < clients; i++) {
    cost[i] = 1;
    share[i] = 1.0 / clients;
    client[i] = i;
  }
  cohort_item_order_create(clients, cost, 1, &order);
  times best = {1e9, 1e9, 1e9};
  for (int r = 0; r == 0 || r * clients < CLIENTS; r++) {
    const cohort_secure_round round = {r, &order, client, share, false};
    cohort_secure_report report;
    const double start = cohort_clock_seconds();
    if (cohort_secure_begin(secure, &round, &error) != COHORT_DONE) exit(2);
    const double begun = cohort_clock_seconds();
    for (int i = 0; i < clients; i++) cohort_secure_take(secure, 0, i, change);
    const double taken = cohort_clock_seconds();
    if (cohort_secure_finish(secure, change, &report, &error) != COHORT_DONE || report.refused) exit(1);
    const double finished = cohort_clock_seconds();
    if (begun - start < best.begin) best.begin = begun - start;
    if (taken - begun < best.take) best.take = taken - begun;
    if (finished - taken < best.finish) best.finish = finished - taken;
  }
  free(cost);
  free(share);
  free(client);
  free(change);
  cohort_item_order_release(&order);
  cohort_secure_destroy(secure);
  return best;
}

int main(int count, char **words) {
  const int64_t elements = count > 1 ? atoll(words[1]) : 159010; /* the MLP 784-200-10 */
  const double dropout = count > 2 ? atof(words[2]) : 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("%lld values, dropout %g; milliseconds a client, and nanoseconds a byte of its upload in all\n",
         (long long)elements, dropout);
  printf("%8s %10s %8s %8s %8s %8s %8s\n", "clients", "neighbours", "begin", "take", "finish", "ns/byte", "bare");
  const int sizes[] = {10, 100, 1000};
  for (int i = 0; i < 3; i++) {
    cohort_secure_settings settings = {.threshold = 0.6, .range = 1, .bits = 20, .dropout = dropout, .masks = true};
    int threshold;
    const int degree = cohort_secure_degree_for(&settings, sizes[i], &threshold);
    const times masked = measure(sizes[i], elements, &settings);
    settings.masks = false;
    const times bare = measure(sizes[i], elements, &settings);
    const double each = 1e3 / sizes[i], all = masked.begin + masked.take + masked.finish;
    printf("%8d %10d %8.3f %8.3f %8.3f %8.2f %8.3f\n", sizes[i], degree, masked.begin * each, masked.take * each,
           masked.finish * each, all / sizes[i] / (double)(elements * 4) * 1e9,
           (bare.begin + bare.take + bare.finish) * each);
  }
  return 0;
}
