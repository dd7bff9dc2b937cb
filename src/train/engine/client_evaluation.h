/* The clients of a federation evaluated: weights on each client's own samples. Clients are items
 * (train/engine/items.h): who evaluates which changes no number.
 *
 * Intended usage:
 *   cohort_client_evaluation_create(&options, &evaluation, &error);
 *   cohort_lane_context_create(.., cohort_client_evaluation_graph(evaluation), ..)    one a thread, the caller's
 *   cohort_client_evaluation_run(evaluation, clients, context, crossing, round, weights, &results, &error);
 *   cohort_client_evaluation_destroy(evaluation);
 *
 * What is told of all clients counts each client once, however many samples it has: a mean over clients, the mean of
 * the worst tenth of them, and quantiles (Li et al., Fair resource allocation in federated learning, 2020, section 4,
 * report these). Quantiles lie between two clients, in proportion (numpy.quantile's default). */
#ifndef COHORT_TRAIN_ENGINE_CLIENT_EVALUATION_H
#define COHORT_TRAIN_ENGINE_CLIENT_EVALUATION_H

#include "lane/graph.h"
#include "train/engine/clients.h"
#include "train/engine/population.h"
#include "train/task/task.h"

/* What is measured of a client, of the weights that all share and of those that are its own. */
typedef enum cohort_client_figure {
  COHORT_CLIENT_LOSS,
  COHORT_CLIENT_ACCURACY,
  COHORT_CLIENT_PERSONAL_LOSS,
  COHORT_CLIENT_PERSONAL_ACCURACY,
  COHORT_CLIENT_FIGURES
} cohort_client_figure;

/* What is told of a figure over all clients. */
typedef enum cohort_client_statistic {
  COHORT_CLIENT_MEAN,
  COHORT_CLIENT_WORST_TENTH, /* the mean of the worst tenth of the clients: the lowest accuracy, the highest loss */
  COHORT_CLIENT_P10,
  COHORT_CLIENT_P50,
  COHORT_CLIENT_P90,
  COHORT_CLIENT_STATISTICS
} cohort_client_statistic;

extern const char *const cohort_client_figure_name[COHORT_CLIENT_FIGURES];       /* "personal_accuracy" */
extern const char *const cohort_client_statistic_name[COHORT_CLIENT_STATISTICS]; /* "worst_tenth" */

typedef struct cohort_client_evaluation_options {
  cohort_comm *comm;
  const cohort_task *task;             /* with one objective */
  const cohort_spaces *spaces;         /* the first is the clients'; the others are read as they are */
  const cohort_kernel_set *kernels;    /* of the run */
  const cohort_population *population; /* the samples that clients are evaluated on; stays the caller's */
  int64_t most;                        /* clients; of a larger population so many are drawn, once and for all */
  int64_t batch;                       /* samples of a client's step; 0: all it has */
  int64_t present;                     /* clients of a round */
  bool personal;                       /* clients may have weights of their own */
  cohort_random_key key;               /* of the draw */
  int threads;                         /* of this rank */
} cohort_client_evaluation_options;

/* The same on all ranks. Arrays are by the clients evaluated, in ascending order of their numbers; they stay the
 * evaluation's, until its next run. NAN: not measured, as of a client without samples to evaluate on. */
typedef struct cohort_client_results {
  int clients;
  const int64_t *client, *samples, *rounds;    /* [clients]: who, evaluated on how many, rounds it has taken part in */
  const double *figure[COHORT_CLIENT_FIGURES]; /* [clients] */
  bool measured[COHORT_CLIENT_FIGURES];        /* what this run measures */
  double statistic[COHORT_CLIENT_FIGURES][COHORT_CLIENT_STATISTICS];
  double loss, accuracy; /* over all their samples */
  int accuracy_column;   /* of the task's metrics; -1: it has none */
} cohort_client_results;

typedef struct cohort_client_evaluation cohort_client_evaluation;

cohort_status cohort_client_evaluation_create(const cohort_client_evaluation_options *options,
                                              cohort_client_evaluation **out, cohort_error *error);
void cohort_client_evaluation_destroy(cohort_client_evaluation *evaluation); /* NULL is fine */
cohort_lane_graph *cohort_client_evaluation_graph(const cohort_client_evaluation *evaluation);
int cohort_client_evaluation_clients(const cohort_client_evaluation *evaluation);
/* The figures that its runs measure. */
void cohort_client_evaluation_measures(const cohort_client_evaluation *evaluation, bool out[COHORT_CLIENT_FIGURES]);
/* Memory of a rank, beside the threads' contexts. */
double cohort_client_evaluation_bytes(const cohort_client_evaluation *evaluation);

/* Counts the rounds that each client takes part in, and keeps that. */
cohort_round_module cohort_client_evaluation_module(cohort_client_evaluation *evaluation);

/* Collective. context[threads]; crossing[threads], each with room for what crosses lanes of its graph; `weights` are
 * whole on this rank; clients' models of their own, if they have any, draw as in round `round`. COHORT_STOPPED: it was
 * left. */
cohort_status cohort_client_evaluation_run(cohort_client_evaluation *evaluation, cohort_clients *clients,
                                           cohort_lane_context *context, void *const *crossing, int64_t round,
                                           const float *weights, cohort_client_results *out, cohort_error *error);

/* One statistic of `count` values, NAN passed over; NAN when none is left. `room` [count] is written to. */
double cohort_client_statistic_of(cohort_client_figure figure, cohort_client_statistic statistic, int count,
                                  const double *value, double *room);

#endif
