/* Federated rounds. A round is an oracle: its lanes are the clients that take part, its gradient is minus the mean of
 * their changes weighted by samples, so that any optimizer serves as the server's. Each client is trained by one thread
 * of one rank from the round's weights, with a fresh optimizer of its own. */
#ifndef COHORT_TRAIN_ENGINE_FEDERATED_H
#define COHORT_TRAIN_ENGINE_FEDERATED_H

#include "lane/graph.h"
#include "train/engine/population.h"
#include "train/task/task.h"

typedef struct cohort_federation cohort_federation;

/* The server's optimizer as a document {key: {settings}}, made from the strategy; owned by the caller. */
cohort_document *cohort_federation_server(const cohort_choice *strategy);

/* Samples of a client's local step: what a lane graph for the clients needs room for. */
typedef struct cohort_federation_options {
  const cohort_task *task;
  const cohort_settings *settings;
  cohort_space *space;
  const cohort_kernel_set *kernels;
  cohort_variant variant;
  int executors;  /* of this rank */
  bool plan_only; /* layout and sizes alone: no memory of clients */
} cohort_federation_options;

cohort_status cohort_federation_create(const cohort_federation_options *plan, cohort_document *expanded,
                                       cohort_faults *faults, cohort_federation **out, cohort_error *error);
void cohort_federation_destroy(cohort_federation *federation);

/* Memory of the client that an executor trains: weights, gradient and the optimizer's state. */
double cohort_federation_client_bytes(const cohort_federation *federation);

/* The graph that the clients' executors must have room for. */
cohort_lane_graph *cohort_federation_graph(const cohort_federation *federation);

/* Before the lanes of a round run: which clients take part, their weights. */
void cohort_federation_begin(cohort_federation *federation, int64_t round);

/* Trains the client of lane `lane` from `point`; row = weight * (point - its weights); scalars[0] = weight * its mean
 * loss in the round. False: left before its end (cohort_executor_stop_on). */
bool cohort_federation_client(cohort_federation *federation, int executor, int lane, cohort_lane_context *context,
                              const float *point, float *row, double *scalars);

/* Samples that the client of a lane trained on in the round; of all clients. */
int64_t cohort_federation_client_samples(const cohort_federation *federation, int lane);
int64_t cohort_federation_samples(const cohort_federation *federation);

#endif
