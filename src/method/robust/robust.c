/* The family robust: its probe's arrays, and what its methods share: counts of malicious clients, distances from inner
 * products, Krum's scores. Invariant: ties go to the client of the lower number. Scores cost clients^2 log(clients). */
#include "method/robust/robust.h"

#include <string.h>

#include "method/family.h"

static bool shares(const cohort_method *method) { return !((const cohort_robust *)method->functions)->combine; }
static bool recalls(const cohort_method *method) { return ((const cohort_robust *)method->functions)->recalls; }
static bool remembers(const cohort_method *method) { return ((const cohort_robust *)method->functions)->history; }

static const cohort_probe_array inputs[] = {
    {"rows", COHORT_ARRAY_OF_REAL, {"clients", "n"}, .meaning = "the change of each client"},
    {"weights",
     COHORT_ARRAY_OF_REAL,
     {"clients"},
     .optional = true,
     .constraint = "0 <= value",
     .meaning = "what clients weigh, in any unit; else all alike. Methods that go by order do not read it"},
    {"last",
     COHORT_ARRAY_OF_REAL,
     {"n"},
     .optional = true,
     .when = recalls,
     .meaning = "the joined change of the round before; else zeros"},
    {"history",
     COHORT_ARRAY_OF_REAL,
     {"clients", "n"},
     .optional = true,
     .when = remembers,
     .meaning = "the sum of each client's changes in earlier rounds; else zeros"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"combined", COHORT_ARRAY_OF_REAL, {"n"}, .meaning = "the joined change"},
    {"share",
     COHORT_ARRAY_OF_REAL,
     {"clients"},
     .when = shares,
     .meaning = "by which each client's change is multiplied in it"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"clients", 1, 7, NULL, .meaning = "clients of the round"},
    {"n", 1, 6, NULL, .meaning = "elements of a change"},
    {.name = NULL},
};

const cohort_family cohort_family_robust = {
    .name = "robust",
    .noun = "robust aggregation",
    .summary = "a way to join clients' changes of which some may be malicious",
    .inputs = inputs,
    .outputs = outputs,
    .symbols = symbols,
};

/* ---- how many may be malicious ---- */

/* A share is a little rounded up before it is rounded down, so that 0.29 of 100 clients are 29. */
int cohort_robust_byzantine(double byzantine, int clients) {
  if (byzantine >= 1) return byzantine < clients ? (int)byzantine : clients;
  return (int)(byzantine * clients + 1e-9);
}

cohort_status cohort_robust_check_byzantine(double byzantine, cohort_error *error) {
  if (byzantine < 1 || floor(byzantine) >= byzantine) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG, "byzantine: %g is neither a share below 1 nor a whole number of clients",
                     byzantine);
}

int cohort_robust_minority(int clients) { return (clients - 1) / 2; }

cohort_status cohort_robust_admits(const cohort_method *method, const void *config, int clients, cohort_error *error) {
  const cohort_robust *functions = method->functions;
  if (!functions->byzantine) return COHORT_DONE;
  const int set = functions->byzantine(config, clients), most = functions->most_byzantine(clients);
  if (set <= most) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG,
                     "%s: of %d clients at most %d may be malicious, but byzantine makes it %d; lower it, or take more "
                     "clients",
                     method->key, clients, most, set);
}

/* ---- distances ---- */

double cohort_robust_distance(const cohort_robust_round *round, int i, int j) {
  const double *g = round->products;
  const int64_t rows = round->rows;
  const double square = g[i * rows + i] + g[j * rows + j] - 2 * g[i * rows + j];
  return square > 0 ? square : 0;
}

/* Whether client a stands before client b. */
static bool before(const double *distance, double a, double b) {
  const double x = distance[(int)a], y = distance[(int)b];
  return x < y || (x <= y && a < b);
}

static void sink(double *list, int count, int at, const double *distance) {
  for (int child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && before(distance, list[child], list[child + 1])) child++;
    if (!before(distance, list[at], list[child])) return;
    const double keep = list[at];
    list[at] = list[child];
    list[child] = keep;
  }
}

/* A heap sort: qsort may allocate. */
void cohort_robust_neighbours(const cohort_robust_round *round, int client, double *other) {
  double *distance = round->work + cohort_robust_work(round->clients) - round->clients;
  int count = 0;
  for (int j = 0; j < round->clients; j++) {
    if (j == client) continue;
    distance[j] = cohort_robust_distance(round, client, j);
    other[count++] = j;
  }
  for (int at = count / 2 - 1; at >= 0; at--) sink(other, count, at, distance);
  for (int last = count - 1; last > 0; last--) {
    const double keep = other[0];
    other[0] = other[last];
    other[last] = keep;
    sink(other, last, 0, distance);
  }
}

void cohort_robust_scores(const cohort_robust_round *round, int nearest, double *score) {
  for (int i = 0; i < round->clients; i++) {
    cohort_robust_neighbours(round, i, round->work);
    score[i] = 0;
    for (int k = 0; k < nearest && k < round->clients - 1; k++)
      score[i] += cohort_robust_distance(round, i, (int)round->work[k]);
  }
}

int cohort_robust_nearest(int64_t neighbours, int clients, int byzantine) {
  if (neighbours) return neighbours < clients ? (int)neighbours : clients - 1;
  return clients - byzantine - 2 > 1 ? clients - byzantine - 2 : 1;
}

void cohort_robust_share_weights(const cohort_robust_round *round, double *share) {
  double sum = 0;
  int chosen = 0, last = -1;
  for (int i = 0; i < round->clients; i++) {
    if (share[i] <= 0) continue;
    sum += round->weight[i];
    last = i;
    chosen++;
  }
  for (int i = 0; i < round->clients; i++)
    if (chosen == round->clients || share[i] > 0)
      share[i] = chosen == round->clients ? round->weight[i]
                 : chosen == 1            ? (i == last ? 1 : 0)
                 : sum > 0                ? round->weight[i] / sum
                                          : 1.0 / chosen;
}
