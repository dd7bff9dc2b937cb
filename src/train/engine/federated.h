/* Federated rounds of a run. A round is an oracle: its gradient is minus the joined change of the clients that take
 * part, so that any optimizer serves as the server's. Who takes part and what a client draws depends on the round and
 * the client alone; the clients themselves are train/engine/clients.h.
 *
 * A client trains what its samples are of the task: any task whose batch is a list of samples and whose loss is one.
 *
 * Intended usage, in a step of the run:
 *   if (cohort_federation_begin(federation, round))    the server's optimizer steps, asking for
 * cohort_federation_run else cohort_federation_run(...)                    a round of nobody
 *   cohort_federation_commit(federation, weights);     when the step was applied
 *   cohort_federation_values(federation, column); */
#ifndef COHORT_TRAIN_ENGINE_FEDERATED_H
#define COHORT_TRAIN_ENGINE_FEDERATED_H

#include "lane/graph.h"
#include "train/engine/client_evaluation.h"
#include "train/engine/clients.h"
#include "train/engine/population.h"
#include "train/task/task.h"

typedef struct cohort_federation cohort_federation;

/* The server's optimizer as a strategy sets it up; released by the caller. */
cohort_status cohort_federation_server(cohort_variant variant, const cohort_choice *strategy, cohort_choice *server,
                                       cohort_error *error);

typedef struct cohort_federation_options {
  cohort_comm *comm;
  const cohort_task *task;
  const cohort_settings *settings;
  const cohort_choice *strategy; /* stays the caller's; its method is NULL when an optimizer is the strategy */
  cohort_document *expanded;     /* of the section federated */
  const cohort_spaces *spaces;   /* the first is the clients'; the others they read as they are */
  const cohort_kernel_set *kernels;
  cohort_variant variant;
  int threads;    /* of this rank */
  bool plan_only; /* layout and sizes alone: no memory of clients */
} cohort_federation_options;

cohort_status cohort_federation_create(const cohort_federation_options *options, cohort_faults *faults,
                                       cohort_federation **out, cohort_error *error);
void cohort_federation_destroy(cohort_federation *federation);

cohort_clients *cohort_federation_clients(const cohort_federation *federation);
/* The graph of a client's local step, and one executor's memory for it. */
cohort_lane_graph *cohort_federation_graph(const cohort_federation *federation);
/* Memory of one thread: a client's vectors and the arena of its graph. */
double cohort_federation_thread_bytes(const cohort_federation *federation);

/* Of what is kept of who takes part, on every rank: the sampler's numbers, weights that late clients began at. */
double cohort_federation_kept_bytes(const cohort_federation *federation);

/* What follows is left as soon as *flag is not 0 (cohort_executor_stop_on); NULL: never. */
void cohort_federation_stop_on(cohort_federation *federation, const _Atomic int *flag);

/* Whether clients are asked before a round who takes part: then the weights of the first space are whole when it
 * begins.
 */
bool cohort_federation_asks(const cohort_federation *federation);
/* Who takes part in round `round`. False: it has no step, as nobody does and no module adds to the change. Collective
 * where somebody is asked. */
bool cohort_federation_begin(cohort_federation *federation, int64_t round);
/* Collective. The round that has begun, from `weights`: *gradient is what the server's optimizer gets, whole on every
 * rank; *loss the clients' mean (0 when nobody takes part). */
cohort_status cohort_federation_run(cohort_federation *federation, const float *weights, void **gradient, double *loss,
                                    cohort_error *error);

/* Collective. The last round's step was applied; `weights` are the new ones. */
void cohort_federation_commit(cohort_federation *federation, const void *weights);
/* Whether anybody took part in the last round. */
bool cohort_federation_acted(const cohort_federation *federation);

/* Modules of its rounds (train/engine/round.h), in the order in which they act; NULL past the last. Each is made in
 * cohort_federation_create, by the line that its settings have in make_modules. */
const cohort_round_module *cohort_federation_module(const cohort_federation *federation, int index);
/* Memory of the modules on a rank of so many: for a round of so many clients; kept after so many rounds at most. */
double cohort_federation_module_bytes(const cohort_federation *federation, double present, int ranks);
double cohort_federation_module_kept_bytes(const cohort_federation *federation, double rounds, double present,
                                           int ranks);
/* Row tables that are saved: what clients keep, and the modules'; NULL past the last. */
cohort_row_table *cohort_federation_table(const cohort_federation *federation, int index);
/* Columns of the rows of training that modules report; returns how many. */
int cohort_federation_columns(const cohort_federation *federation, const char **name);
/* Their values after the last round, then NAN: [COHORT_MAX_ROUND_COLUMNS]. */
void cohort_federation_values(const cohort_federation *federation, double *value);

/* Why a module has refused the last round's join; NULL: none has. */
const char *cohort_federation_refusal(const cohort_federation *federation);
/* The clients' evaluation when the settings want one, else NULL. */
cohort_client_evaluation *cohort_federation_evaluation(const cohort_federation *federation);
/* Collective. `weights`, whole on this rank, on the samples of clients; and models of their own, where the strategy has
 * them, which draw as in round `round`. COHORT_STOPPED: it was left. */
cohort_status cohort_federation_evaluate(cohort_federation *federation, int64_t round, const float *weights,
                                         cohort_client_results *out, cohort_error *error);
/* Who holds which samples to train on, and which to be evaluated on: the same ones, unless some are held out. */
const cohort_population *cohort_federation_population(const cohort_federation *federation, bool evaluated);

/* Samples that the clients of the last round trained on: of all, of this rank's. */
int64_t cohort_federation_samples(const cohort_federation *federation, bool own);
int64_t cohort_federation_steps(const cohort_federation *federation, bool own); /* that they took */
/* Of a client of mean size. */
int64_t cohort_federation_usual_steps(const cohort_federation *federation);
void cohort_federation_record(cohort_federation *federation, cohort_recorder *const *recorder);

#endif
