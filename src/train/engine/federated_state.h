/* The inside of a federation, for federated.c and federated_report.c. */
#ifndef COHORT_TRAIN_ENGINE_FEDERATED_STATE_H
#define COHORT_TRAIN_ENGINE_FEDERATED_STATE_H

#include "train/engine/arrivals.h"
#include "train/engine/client_graph.h"
#include "train/engine/federated.h"
#include "train/engine/participation.h"
#include "train/engine/privacy.h"
#include "train/robust/robust_rounds.h"
#include "train/secure/module.h"
#include "update/algebra.h"

struct cohort_federation {
  cohort_federation_options options;
  cohort_choice schedule; /* of clients, over rounds */
  cohort_choice partition;
  cohort_participation *participation;
  cohort_arrivals *arrivals;            /* NULL: rounds */
  cohort_population population, held;   /* held: empty where nothing is held out */
  cohort_client_evaluation *evaluation; /* or NULL */
  cohort_client_graph term;
  cohort_lane_source source; /* of the task, with the strategy's term */
  cohort_lane_graph *graph;
  cohort_lane_context *context; /* [threads] */
  void **crossing;              /* [threads]: of losses that look across the batch */
  float **room;                 /* [threads]: for gradients that are added up, or not wanted; or NULL */
  const cohort_algebra *algebra;
  int modules;
  cohort_round_module module[COHORT_MAX_ROUND_MODULES];
  cohort_robust_rounds *robust; /* or NULL */
  cohort_clients *clients;
  cohort_random_key key;
  /* Of the round. */
  cohort_round round;
  int64_t *client, *steps; /* [present] */
  double *weight, *cost;   /* [present] */
  cohort_scratch client_room, steps_room, weight_room, cost_room;
};

#endif
