/* What a run would take on other numbers of ranks, from its plans: the same functions that lay out the real thing are
 * asked for other ranks. Nothing is taken; a plan is walked once for each number. */
#include "train/run/estimate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lanes.h"
#include "graph/overlay.h"
#include "train/run/state.h"

/* What Open MPI and its shared memory add to a rank. */
static const double mpi_bytes = 24e6;

/* Resident now; 0 where it cannot be known. */
static double process_bytes(void) {
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file) return 0;
  char text[128] = "";
  const char *resident = fgets(text, sizeof text, file) ? strchr(text, ' ') : NULL;
  (void)fclose(file);
  return resident ? (double)strtol(resident, NULL, 10) * (double)sysconf(_SC_PAGESIZE) : 0;
}

/* A case: so many ranks, what they share, and what a step does. */
typedef struct estimate_case {
  const cohort_run *run;
  int ranks, replicas, members, threads, vectors, asks;
  cohort_sharding sharding;
  double elements, share; /* of a row of gradients, of a rank's shard of it */
} estimate_case;

static double larger(double a, double b) { return a > b ? a : b; }

static void estimate_rows(const estimate_case *own, cohort_estimate *out) {
  const cohort_run *run = own->run;
  const cohort_lane_graph *graph = run->train ? run->train : cohort_federation_graph(run->federation);
  const bool separate = own->sharding >= COHORT_SHARDING_GRADIENTS;
  const bool again = !separate && cohort_lane_graph_lockstep(graph) &&
                     run->settings->coupling == COHORT_COUPLING_RECOMPUTE; /* passes that are run again */
  const bool lockstep = separate || (cohort_lane_graph_lockstep(graph) && !again);
  const cohort_lane_needs needs = cohort_lane_engine_needs(run->lanes, own->ranks, 0, own->threads, lockstep, separate);
  double arena_elements = own->elements;
  if (run->train) {
    cohort_gradient_arena arena;
    cohort_gradient_arena_plan(graph->plan, run->spaces.layout, own->replicas > 1 ? 4 : own->ranks > 1 ? 2 : 0, &arena);
    arena_elements = (double)arena.elements;
    cohort_gradient_arena_release(&arena);
  }
  double rows = (needs.whole + (again ? needs.executors : 0)) * own->elements + needs.arena * arena_elements +
                (separate ? own->share : 0);
  if (run->federation) {
    /* A row a thread, those that wait for a neighbour in the tree, their sum, and slices of other ranks' on their way.
     */
    const double clients = larger(1, (double)run->lanes / own->ranks);
    const double open = own->threads < clients ? own->threads + log2(clients) : clients;
    rows = cohort_clients_uploads(cohort_federation_clients(run->federation)) * (open + 2) * own->elements;
  }
  out->gradients = rows * own->vectors * sizeof(float);
  const bool as_planned = own->ranks == run->comm->size && own->threads == run->threads;
  const size_t arena = as_planned ? cohort_plan_arena_bytes(graph->plan) : cohort_plan_whole_bytes(graph->plan);
  size_t other = cohort_plan_arena_bytes(run->evaluate->plan);
  const cohort_lane_graph *more[2 + COHORT_LANE_SUBJECTS] = {run->product, run->losses};
  for (int s = 0; s < COHORT_LANE_SUBJECTS; s++) more[2 + s] = run->subject[s];
  for (int i = 0; i < 2 + COHORT_LANE_SUBJECTS; i++)
    if (more[i] && cohort_plan_arena_bytes(more[i]->plan) > other) other = cohort_plan_arena_bytes(more[i]->plan);
  const int alive = needs.executors * (lockstep ? needs.slots : 1);
  out->activations = larger((double)arena, (double)other) * alive;
  const cohort_task *task = &run->task;
  if (task->functions->bytes)
    out->activations += task->functions->bytes(task, run->lanes, run->isa, needs.executors,
                                               own->threads / needs.executors > 1 ? own->threads / needs.executors : 1);
  if (task->functions->bytes && own->sharding == COHORT_SHARDING_PARAMETERS) /* all weights, for what it writes */
    out->activations += own->elements * sizeof(float);
  if (run->federation)
    out->activations = (double)other * needs.executors + own->threads * cohort_federation_thread_bytes(run->federation);
}

static void estimate_vectors(const estimate_case *own, cohort_estimate *out) {
  const cohort_run *run = own->run;
  const bool sharded = own->sharding == COHORT_SHARDING_PARAMETERS;
  double prefetched = 0;
  if (sharded && run->train) {
    cohort_prefetch *prefetch = cohort_prefetch_create(run->train->plan, run->spaces.layout, true);
    prefetched = (double)cohort_prefetch_elements(prefetch);
    cohort_prefetch_destroy(prefetch);
  }
  const double held = cohort_spaces_elements(&run->spaces);
  out->parameters = ((sharded ? held / own->members : held) + prefetched) * sizeof(float);
  double state = 0;
  for (int s = 0; s < run->spaces.trained; s++)
    out->activations += cohort_updater_workspace_bytes(cohort_run_player(run, s), own->threads);
  for (int s = 0; s < run->spaces.trained; s++)
    state += cohort_updater_state_bytes(cohort_run_player(run, s)) / sizeof(float);
  if (own->sharding != COHORT_SHARDING_NONE) state /= own->members;
  for (int s = 0; s < run->spaces.trained; s++) {
    const double elements = (double)run->spaces.space[s]->elements;
    state +=
        cohort_updater_needs_of(cohort_run_player(run, s)).vectors * (sharded ? elements / own->members : elements);
  }
  out->state = state * sizeof(float);
  if (run->federation)
    out->state += cohort_clients_kept_bytes(cohort_federation_clients(run->federation), (double)run->settings->steps,
                                            (double)run->settings->federated_settings.clients_per_round, own->ranks);
  /* A rank writes a slice of what it owns pieces of: of its slice it owns a share, the rest comes for the save. */
  double sharded_elements = sharded ? held : 0;
  for (int s = 0; own->sharding != COHORT_SHARDING_NONE && s < run->spaces.trained; s++)
    for (int i = 0; i < cohort_updater_slots(cohort_run_player(run, s)); i++)
      sharded_elements += (double)cohort_updater_slot(cohort_run_player(run, s), i)->elements;
  out->saving = sharded_elements / own->ranks * (1 - 1.0 / own->members) * sizeof(float);
}

/* Subtrees that the ranks of [first_rank, last_rank) hold, each by itself or joined. */
static int subtrees_of(const estimate_case *own, int first_rank, int last_rank, bool joined) {
  cohort_subtree nodes[COHORT_MAX_LANES], joint[COHORT_MAX_LANES];
  int count = 0;
  for (int r = first_rank; r < last_rank; r++) {
    int first, last;
    cohort_lanes_of(own->run->lanes, own->ranks, r, &first, &last);
    count += cohort_lanes_subtrees(own->run->lanes, first, last, nodes + count);
  }
  return joined ? cohort_lanes_merge(own->run->lanes, count, nodes, joint) : count;
}

/* Rank 0's: its shard of the sums of the other hosts, where each holds a copy; of more than two a share, and the whole
 * sum of the rest. */
static double between_bytes(const estimate_case *own) {
  int sums = 0;
  for (int replica = 1; replica < own->replicas; replica++)
    sums += subtrees_of(own, replica * own->members, (replica + 1) * own->members, true);
  const int replicas = own->replicas;
  const double shards = replicas > 2 ? (double)(sums + replicas - 1) / replicas : sums;
  return own->asks * own->vectors * own->share * shards * sizeof(float);
}

/* Rank 0's: the shard of every subtree that others of its copy hold; of weights (or sums) all that is not its own;
 * scalars of lanes and pieces. */
static double received_bytes(const estimate_case *own) {
  const cohort_run *run = own->run;
  const int others = subtrees_of(own, 1, own->members, false);
  const double rest = 1 - 1.0 / own->members;
  double elements = own->asks * own->vectors * own->share * others;
  if (own->sharding == COHORT_SHARDING_NONE) {
    elements += own->asks * own->vectors * rest * own->elements;
  } else if (own->sharding < COHORT_SHARDING_PARAMETERS) {
    elements += own->asks * rest * own->elements;
  } else {
    cohort_prefetch *prefetch = cohort_prefetch_create(run->train->plan, run->spaces.layout, true);
    elements += own->asks * rest * (double)cohort_prefetch_gathered(prefetch);
    cohort_prefetch_destroy(prefetch);
  }
  const double scalars = (1 - 1.0 / own->ranks) * run->lanes * COHORT_LANE_SCALARS +
                         rest * run->spaces.layout->first_piece[run->spaces.trained];
  return elements * sizeof(float) + scalars * sizeof(double);
}

cohort_estimate cohort_run_estimate(const cohort_run *run, int ranks, int replicas, int threads,
                                    cohort_sharding sharding) {
  const cohort_updater_needs needs = cohort_updater_needs_of(run->updater);
  const double elements = (double)cohort_space_layout_row(run->spaces.layout);
  const estimate_case own = {
      .run = run,
      .ranks = ranks,
      .replicas = replicas,
      .members = ranks / replicas,
      .threads = threads,
      .vectors = needs.gradients + ((needs.wants & (COHORT_WANTS_PRODUCT | COHORT_WANTS_FISHER)) != 0),
      .asks = needs.asks,
      .sharding = ranks > replicas ? sharding : COHORT_SHARDING_OPTIMIZER,
      .elements = elements,
      .share = elements * replicas / ranks};
  cohort_estimate estimate = {.process = process_bytes() + (ranks > 1 ? mpi_bytes : 0)};
  estimate_rows(&own, &estimate);
  estimate_vectors(&own, &estimate);
  estimate.between = between_bytes(&own);
  estimate.received = ranks > 1 ? received_bytes(&own) + estimate.between : 0;
  return estimate;
}

double cohort_estimate_memory(const cohort_estimate *estimate) {
  return estimate->parameters + estimate->gradients + estimate->state + estimate->activations + estimate->saving +
         estimate->process;
}
