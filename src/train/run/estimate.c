/* What a run would take on other numbers of ranks, from its plans: the same functions that lay out the real thing are
 * asked for other ranks. Nothing is taken; a plan is walked once for each number. */
#include "train/run/estimate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lanes.h"
#include "base/memory.h"
#include "graph/overlay.h"
#include "train/run/state.h"

/* Measured: what libraries and small blocks take in a run that they have not taken when it is planned; what Open MPI
 * and its shared memory add to a rank of several; what HDF5 holds for a tensor until a file is closed. */
static const double run_bytes = 6e6, mpi_bytes = 10.5e6, view_bytes = 20e3;

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

/* A block of floats. One rank touches all of it, in huge pages; of several each what is its own, in small ones. */
static double block_bytes(const estimate_case *own, double elements) {
  const double bytes = elements * sizeof(float);
  return own->ranks == 1 ? (double)cohort_memory_taken((size_t)bytes) : bytes;
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

/* Of rounds of clients, bytes: a row a thread, those that wait for a neighbour in the tree, their sum, and slices of
 * other ranks' on their way; and what clients keep, as it comes and goes. */
static double client_bytes(const estimate_case *own) {
  const double present = (double)own->run->settings->federated_settings.clients_per_round;
  const double clients = ceil(present / own->ranks), open = own->threads + floor(log2(clients));
  const double coming = own->ranks > 1 ? (double)subtrees_of(own, 0, own->ranks, false) / own->ranks : 0;
  const cohort_clients *all = cohort_federation_clients(own->run->federation);
  const double rows = cohort_clients_uploads(all) * ((open < clients ? open : clients) + 1 + coming);
  return rows * own->elements * sizeof(float) + cohort_clients_message_bytes(all, present, own->ranks) +
         cohort_clients_step_bytes(all) + cohort_federation_module_bytes(own->run->federation, present, own->ranks);
}

/* Elements of a lane's row in its last wave: gradients on their way, or all of them. */
static double arena_elements(const estimate_case *own) {
  const cohort_run *run = own->run;
  if (!run->train || cohort_run_has_more_rows(run)) return own->elements;
  cohort_gradient_arena arena;
  cohort_gradient_arena_plan(run->train->plan, run->spaces.layout,
                             own->replicas > 1 ? 4
                             : own->ranks > 1  ? 2
                                               : 0,
                             &arena);
  const double elements = (double)arena.elements;
  cohort_gradient_arena_release(&arena);
  return elements;
}

/* The largest arena of a lane, of all plans that executors run. */
static double largest_arena(const estimate_case *own, const cohort_lane_graph *train) {
  const cohort_run *run = own->run;
  const bool as_planned = own->ranks == run->comm->size && own->threads == run->threads;
  size_t most = 0;
  if (train) most = as_planned ? cohort_plan_arena_bytes(train->plan) : cohort_plan_whole_bytes(train->plan);
  const cohort_lane_graph *more[4 + COHORT_LANE_SUBJECTS] = {run->evaluate, run->product, run->losses};
  if (run->per_sample) more[3] = cohort_per_sample_graph(run->per_sample);
  for (int s = 0; s < COHORT_LANE_SUBJECTS; s++) more[4 + s] = run->subject[s];
  for (int i = 0; i < 4 + COHORT_LANE_SUBJECTS; i++)
    if (more[i] && cohort_plan_arena_bytes(more[i]->plan) > most) most = cohort_plan_arena_bytes(more[i]->plan);
  return (double)cohort_memory_taken(most);
}

static void estimate_rows(const estimate_case *own, cohort_estimate *out) {
  const cohort_run *run = own->run;
  const cohort_lane_graph *graph = run->train ? run->train : cohort_federation_graph(run->federation);
  const bool separate = own->sharding >= COHORT_SHARDING_GRADIENTS;
  const bool again = !separate && cohort_lane_graph_lockstep(graph) &&
                     run->settings->coupling == COHORT_COUPLING_RECOMPUTE; /* passes that are run again */
  const bool lockstep = separate || (cohort_lane_graph_lockstep(graph) && !again);
  const cohort_lane_needs needs = cohort_lane_engine_needs(run->lanes, own->ranks, 0, own->threads, lockstep, separate);
  if (run->federation) {
    out->gradients = client_bytes(own);
    out->activations =
        largest_arena(own, NULL) * needs.executors + own->threads * cohort_federation_thread_bytes(run->federation);
    const cohort_client_evaluation *evaluation = cohort_federation_evaluation(run->federation);
    if (evaluation) out->activations += cohort_client_evaluation_bytes(evaluation);
    return;
  }
  const double rows = needs.whole * own->elements + needs.arena * arena_elements(own);
  out->gradients = block_bytes(own, rows * own->vectors) + (separate ? own->vectors * own->share * sizeof(float) : 0);
  if (again) out->gradients += block_bytes(own, needs.executors * own->vectors * own->elements);
  if (run->per_sample) out->gradients += needs.executors * block_bytes(own, own->elements);
  out->activations = largest_arena(own, graph) * needs.executors * (lockstep ? needs.slots : 1);
  const cohort_task *task = &run->task;
  if (task->functions->bytes)
    out->activations += task->functions->bytes(task, run->lanes, run->isa, needs.executors,
                                               own->threads / needs.executors > 1 ? own->threads / needs.executors : 1);
  if (task->functions->bytes && own->sharding == COHORT_SHARDING_PARAMETERS) /* all weights, for what it writes */
    out->activations += own->elements * sizeof(float);
}

/* Of player `s`: its updates' state, and the vectors of drivers, of which a rank holds its share, and the whole of
 * those that are asked about. */
static double player_state(const estimate_case *own, int s) {
  const cohort_updater *updater = cohort_run_player(own->run, s);
  const cohort_updater_needs needs = cohort_updater_needs_of(updater);
  const double elements = (double)own->run->spaces.space[s]->elements;
  if (own->ranks == 1) return cohort_updater_taken_bytes(updater) + needs.vectors * block_bytes(own, elements);
  const double state = cohort_updater_state_bytes(updater), vector = elements * sizeof(float);
  if (own->sharding == COHORT_SHARDING_NONE) return state + needs.vectors * vector;
  const double whole = own->sharding == COHORT_SHARDING_PARAMETERS ? 0 : needs.whole;
  return (state + (needs.vectors - whole) * vector) / own->members + whole * vector;
}

/* While a checkpoint is written. A rank writes a slice of what it owns pieces of: what others own of it comes to it, to
 * pages that stay. */
static double saving_bytes(const estimate_case *own) {
  const cohort_run *run = own->run;
  double elements = 0, views = 0;
  for (int s = 0; s < run->spaces.count; s++) views += run->spaces.space[s]->tensors;
  for (int s = 0; s < run->spaces.trained; s++) {
    const cohort_updater *updater = cohort_run_player(run, s);
    double stored = own->sharding == COHORT_SHARDING_PARAMETERS ? (double)run->spaces.space[s]->elements : 0;
    for (int i = 0; i < cohort_updater_slots(updater); i++) {
      const cohort_slot *slot = cohort_updater_slot(updater, i);
      if (slot->scratch) continue;
      views += slot->tensors;
      if (own->sharding != COHORT_SHARDING_NONE) stored += (double)slot->elements;
    }
    if (own->members > 1) elements += stored * cohort_updater_foreign_share(updater, own->ranks, own->members);
  }
  double bytes = elements / own->ranks * sizeof(float) + views * view_bytes;
  if (run->federation)
    bytes += cohort_clients_saving_bytes(cohort_federation_clients(run->federation), (double)run->settings->steps,
                                         (double)run->settings->federated_settings.clients_per_round, own->ranks);
  return bytes;
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
  out->parameters = block_bytes(own, (sharded ? held / own->members : held) + prefetched);
  for (int s = 0; s < run->spaces.trained; s++) {
    out->activations += cohort_updater_workspace_bytes(cohort_run_player(run, s), own->threads);
    out->state += player_state(own, s);
  }
  if (run->federation) out->state += cohort_federation_kept_bytes(run->federation);
  if (run->federation) {
    const double rounds = (double)run->settings->steps,
                 present = (double)run->settings->federated_settings.clients_per_round;
    out->state += cohort_clients_kept_bytes(cohort_federation_clients(run->federation), rounds, present, own->ranks) +
                  cohort_federation_module_kept_bytes(run->federation, rounds, present, own->ranks);
  }
  out->saving = saving_bytes(own);
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
  cohort_estimate estimate = {.process =
                                  process_bytes() + run_bytes + (ranks > 1 && run->comm->size == 1 ? mpi_bytes : 0)};
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
