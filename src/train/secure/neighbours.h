/* Who shares masks and secrets with whom in a round: all clients with all others, or each with `degree` neighbours on a
 * ring of a random order (Bell, Bonawitz, Gascon, Lepoint & Raykova, "Secure Single-Server Aggregation with
 * (Poly)Logarithmic Overhead", CCS 2020: a random Harary graph), so that the work of a client grows with the logarithm
 * of the round instead of with the round. Clients are numbers [0, clients); the order is public.
 *
 * Intended usage:
 *   degree = wanted ? wanted : cohort_secure_degree(clients, share, lost);
 *   cohort_secure_graph_create(clients, degree, key, &graph);
 *   for (int slot = 0; slot < graph.degree; slot++) v = cohort_secure_neighbour(&graph, u, slot);
 *   cohort_secure_graph_release(&graph); */
#ifndef COHORT_TRAIN_SECURE_NEIGHBOURS_H
#define COHORT_TRAIN_SECURE_NEIGHBOURS_H

#include <stdbool.h>

#include "base/memory.h"
#include "base/random.h"

typedef struct cohort_secure_graph {
  int clients, degree; /* neighbours of each */
  bool complete;       /* all others are neighbours */
  int *at, *place;     /* [clients]: who stands at a place of the ring, and where a client stands; NULL when complete */
  cohort_scratch room;
} cohort_secure_graph;

/* Of a degree wanted: what it is for so many clients: even, or all others. */
int cohort_secure_degree_of(int clients, int64_t wanted);
/* Shares that reconstruct a secret which so many hold: share of them, at least 1. */
int cohort_secure_threshold(int degree, double share);

/* The fewest neighbours that keep the paper's promises (its Section 3) when COHORT_SECURE_CORRUPT of the clients tell
 * the server all they know and the fraction `lost` disappears: but for a chance of 2^-40, those that are left and
 * honest hang together, and nobody has `threshold` corrupt neighbours; but for one of 2^-20, everybody has that many
 * left. All others, when no fewer do, and in a round of up to COHORT_SECURE_COMPLETE. Costs some milliseconds at most.
 */
#define COHORT_SECURE_CORRUPT 0.2
enum { COHORT_SECURE_COMPLETE = 50 };
int cohort_secure_degree(int clients, double threshold_share, double lost);

/* `out` is zero, or a graph that was made before, whose memory is used again. */
void cohort_secure_graph_create(int clients, int degree, cohort_random_key key, cohort_secure_graph *out);
void cohort_secure_graph_release(cohort_secure_graph *graph);
int cohort_secure_neighbour(const cohort_secure_graph *graph, int client, int slot);
/* Where `client` stands among the neighbours of the one in its own slot `slot`. */
int cohort_secure_back_slot(const cohort_secure_graph *graph, int client, int slot);

#endif
