/* Secure aggregation of the clients' changes of a round (messages.h): the joiner that gives the server nothing but the
 * sum. A change becomes whole numbers (fixed_point.h), which are masked in the client's thread and added masked; the
 * masks that are left are reconstructed from shares. Joined values are a function of the seed and the clients alone:
 * sums modulo 2^32 or 2^64 know no order, so ranks and threads change no bit.
 *
 *   begin     all clients: keys -> all; boxes of shares -> all      (two all-gathers)
 *   take      a client: change -> whole numbers (+ noise) -> masked upload -> its thread's sum
 *   finish    answers -> all; which masks are left -> a rank's sum -> slices are added -> reals, whole on every rank
 *
 * What is simulated: clients are items of one program; their keys come from the run's seed, so that runs repeat, and
 * who knows the seed can remove every mask; clients are lost by chance, by key; the server knows weights and who takes
 * part; the column loss is the simulation's, which no server would see. The cryptography is real.
 *
 * Intended usage:
 *   cohort_secure_check(&settings, clients, noise, place, &faults);       a config that can wrap
 *   cohort_secure_create(&options, &secure, &error);
 *   cohort_secure_begin(secure, &round, &error);                          collective, main thread
 *   cohort_secure_take(secure, executor, item, change);                   in the client's thread, every client once
 *   cohort_secure_finish(secure, joined, &report, &error);                collective, main thread
 *   cohort_secure_destroy(secure); */
#ifndef COHORT_TRAIN_SECURE_SECURE_H
#define COHORT_TRAIN_SECURE_SECURE_H

#include "base/comm.h"
#include "base/parameter.h"
#include "train/engine/items.h"
#include "train/secure/fixed_point.h"

/* The section federated.secure. */
typedef struct cohort_secure_settings {
  double threshold, range, dropout;
  int64_t bits, neighbours;
  int modulus, rounding, refused; /* of the enums below, and cohort_fixed_rounding */
  bool masks;
} cohort_secure_settings;
enum { COHORT_SECURE_MODULUS_32, COHORT_SECURE_MODULUS_64 };
enum { COHORT_SECURE_STOP, COHORT_SECURE_SKIP };
extern const cohort_parameter cohort_secure_table[];

/* Whole numbers of a client before they are masked: noise that privacy adds, in steps of fixed point. Called in
 * the client's thread for runs of neighbouring values; `first` counts from the change's first value. */
typedef struct cohort_secure_noise {
  void *argument;
  void (*add)(void *argument, int64_t round, int64_t client, int64_t first, int64_t count, int64_t *whole);
  double largest; /* that it adds to a value, in steps, but for a chance that does not matter */
} cohort_secure_noise;

typedef struct cohort_secure_options {
  cohort_comm *comm;
  int threads;      /* of this rank */
  size_t real;      /* bytes: float or double */
  int64_t elements; /* of a vector */
  int vectors;      /* that a client leaves: the change, which has the client's weight, and others, which weigh alike */
  uint64_t seed;
  const cohort_secure_settings *settings; /* stays the caller's */
  const cohort_secure_noise *noise;       /* stays the caller's; NULL: none */
} cohort_secure_options;

/* The clients of a round are items. All arrays are by the item's number and stay as they are until finish. */
typedef struct cohort_secure_round {
  int64_t number;
  const cohort_item_order *order; /* who trains what, and in which order clients are numbered here */
  const int64_t *client;          /* [items] */
  const double *share;            /* [items]: of a client's change in the join */
  bool fixed;                     /* shares are of a number that is fixed beforehand: what is lost is not made up for */
} cohort_secure_round;

typedef struct cohort_secure_report {
  double bound;     /* no joined value is further from the join of the reals than this, where nothing was clipped */
  double clipped;   /* fraction of the values beyond the range */
  double delivered; /* clients whose change is in the sum */
  bool refused;     /* the sum stays masked; nothing was joined */
  char reason[160]; /* of a refusal */
} cohort_secure_report;

typedef struct cohort_secure cohort_secure;

/* Refusals that a config deserves: at most `clients` take part in a round. */
void cohort_secure_check(const cohort_secure_settings *settings, double clients, double noise,
                         const cohort_document *where, cohort_faults *faults);
/* Its step is what a change sees before it is weighed and joined (cohort_fixed_point_step). */
cohort_fixed_point cohort_secure_fixed_point(const cohort_secure_settings *settings);
/* Neighbours of each of so many clients, and the shares that reconstruct a secret. */
int cohort_secure_degree_for(const cohort_secure_settings *settings, int clients, int *threshold);

cohort_status cohort_secure_create(const cohort_secure_options *options, cohort_secure **out, cohort_error *error);
void cohort_secure_destroy(cohort_secure *secure); /* NULL is fine */
/* Memory on one rank, for so many clients a round. */
double cohort_secure_bytes(const cohort_secure_options *options, double clients, int ranks);

/* Collective. COHORT_BAD_CONFIG: the sum of this round's clients could wrap, or there is nobody to share with. */
cohort_status cohort_secure_begin(cohort_secure *secure, const cohort_secure_round *round, cohort_error *error);
/* Not collective. `row` is the client's vectors, one after another, not weighed; not written. */
void cohort_secure_take(cohort_secure *secure, int executor, int item, const void *row);
/* Collective. `row` receives the joined vectors: of those that have delivered, as if nobody else had taken part. A
 * change that is not finite makes the first value NAN. A refusal (report->refused) leaves it as it is. */
cohort_status cohort_secure_finish(cohort_secure *secure, void *row, cohort_secure_report *report, cohort_error *error);

#endif
