/* The graph of a round. Places on a ring are a permutation by key; slots [0, degree / 2) are the next ones on the ring,
 * the others those before. Invariant: v is u's neighbour exactly when u is v's. A graph costs its clients, a look-up
 * nothing; the fewest neighbours are searched from two on, each candidate in its square at most. */
#include "train/secure/neighbours.h"

#include <math.h>
#include <string.h>

int cohort_secure_degree_of(int clients, int64_t wanted) {
  const int64_t even = wanted + (wanted & 1);
  return even < clients - 1 ? (int)even : clients - 1;
}

int cohort_secure_threshold(int degree, double share) {
  const int threshold = (int)ceil(share * degree - 1e-9);
  return threshold < 1 ? 1 : threshold;
}

/* ---- how many neighbours ---- */

static double log_choose(double n, double k) { return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1); }

/* Of `clients`, of which `marked` are marked, `drawn` are drawn: the chance that from `least` to `most` of them are. */
static double chance(int clients, int marked, int drawn, int least, int most) {
  double sum = 0;
  for (int i = least < 0 ? 0 : least; i <= most; i++) {
    if (i > marked || drawn - i > clients - marked || i > drawn) continue;
    sum += exp(log_choose(marked, i) + log_choose(clients - marked, drawn - i) - log_choose(clients, drawn));
  }
  return sum;
}

/* The ring falls apart only where degree / 2 neighbouring places are gone, twice: a union over pairs of such places. */
static double chance_of_two_gaps(int clients, int gone, int degree) {
  if (degree > gone) return 0;
  const double pairs = 0.5 * clients * (double)(clients - degree - 1);
  return pairs * exp(log_choose(clients - degree, gone - degree) - log_choose(clients, gone));
}

int cohort_secure_degree(int clients, double threshold_share, double lost) {
  const int corrupt = (int)(COHORT_SECURE_CORRUPT * clients), missing = (int)ceil(lost * clients);
  if (clients <= COHORT_SECURE_COMPLETE) return clients - 1;
  const double secret = ldexp(1, -41), works = ldexp(1, -20) / clients;
  for (int degree = 2; degree < clients - 1; degree += 2) {
    const int threshold = cohort_secure_threshold(degree, threshold_share);
    const int gone = corrupt + missing < clients ? corrupt + missing : clients;
    if (chance_of_two_gaps(clients, gone, degree) < secret &&
        chance(clients, corrupt, degree, threshold, degree) < secret / clients &&
        chance(clients, clients - missing, degree, 0, threshold - 1) < works)
      return degree;
  }
  return clients - 1;
}

/* ---- the graph ---- */

void cohort_secure_graph_create(int clients, int degree, cohort_random_key key, cohort_secure_graph *out) {
  out->clients = clients;
  out->degree = degree;
  out->complete = degree >= clients - 1;
  out->at = out->place = NULL;
  if (out->complete) return;
  out->at = cohort_scratch_take(&out->room, 2 * (size_t)clients * sizeof *out->at);
  out->place = out->at + clients;
  for (int i = 0; i < clients; i++) {
    out->at[i] = (int)cohort_random_permute(key, (uint64_t)clients, (uint64_t)i);
    out->place[out->at[i]] = i;
  }
}

void cohort_secure_graph_release(cohort_secure_graph *graph) {
  cohort_scratch_release(&graph->room);
  memset(graph, 0, sizeof *graph);
}

int cohort_secure_neighbour(const cohort_secure_graph *graph, int client, int slot) {
  if (graph->complete) return slot < client ? slot : slot + 1;
  const int half = graph->degree / 2;
  const int away = slot < half ? slot + 1 : graph->clients - (slot - half + 1);
  return graph->at[(graph->place[client] + away) % graph->clients];
}

int cohort_secure_back_slot(const cohort_secure_graph *graph, int client, int slot) {
  if (graph->complete) return cohort_secure_neighbour(graph, client, slot) > client ? client : client - 1;
  const int half = graph->degree / 2;
  return slot < half ? slot + half : slot - half;
}
