/* How a run is made from its settings, and how it ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/run/source_text.h"
#include "train/run/state.h"

static int64_t capacity_of(int64_t samples, int lanes) { return (samples + lanes - 1) / lanes; }

/* Of sharded parameters own pieces alone. */
static cohort_status make_weights(cohort_run *run, cohort_error *error) {
  COHORT_TRY(cohort_spaces_hold(&run->spaces, run->comm, error));
  const cohort_random_key key =
      cohort_random_key_derive_name(cohort_random_key_from_seed((uint64_t)run->settings->seed), "initial");
  cohort_spaces_initialise(&run->spaces, key, run->sharding == COHORT_SHARDING_PARAMETERS);
  return COHORT_DONE;
}

/* Any optimizer's update as the server's: it steps by minus the clients' average change. */
static void take_optimizer(cohort_run *run, const cohort_document *strategy, cohort_faults *faults) {
  cohort_choice_expand(run->variant, "optimizer", strategy, "strategy", &run->server,
                       cohort_document_get(run->settings->expanded, "federated"), faults);
  if (!run->server.method) return;
  const cohort_optimizer *functions = run->server.method->functions;
  if (!functions->update || run->server.method->needs & COHORT_NEEDS_HVP_DIAGONAL)
    cohort_faults_add(faults, strategy, "federated.strategy: %s asks for more than a round gives; take an update",
                      run->server.method->key);
}

static cohort_status read_strategy(cohort_run *run, cohort_faults *faults, cohort_error *error) {
  const cohort_federated_settings *settings = &run->settings->federated_settings;
  if (strcmp(cohort_settings_strategy_family(settings->strategy), "optimizer") == 0) {
    take_optimizer(run, settings->strategy, faults);
    return cohort_faults_status(faults, error);
  }
  cohort_choice_expand(run->variant, "federated", settings->strategy, "strategy", &run->strategy,
                       cohort_document_get(run->settings->expanded, "federated"), faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  return cohort_federation_server(run->variant, &run->strategy, &run->server, error);
}

static cohort_status make_updater(cohort_run *run, cohort_faults *faults, cohort_error *error) {
  if (run->settings->is_federated) COHORT_TRY(read_strategy(run, faults, error));
  const cohort_settings *settings = run->settings;
  const cohort_shard_sizes sizes = cohort_shard_sizes_of(settings->bucket, &run->link, run->members->count);
  const cohort_updater_options plan = {.optimizer = settings->is_federated ? NULL : settings->optimizer,
                                       .made = settings->is_federated ? &run->server : NULL,
                                       .groups = settings->groups,
                                       .schedule = settings->schedule,
                                       .aggregator = settings->aggregator,
                                       .expanded = settings->expanded,
                                       .optimizer_path = "optimizer",
                                       .groups_path = "groups",
                                       .clip = settings->clip,
                                       .seed = (uint64_t)settings->seed,
                                       .activity = COHORT_ACTIVITY_UPDATE,
                                       .plan_only = run->plan_only,
                                       .space = run->spaces.space[0],
                                       .comm = run->comm,
                                       .kernels = cohort_kernels_float32(run->isa),
                                       .products = run->kernels,
                                       .variant = run->variant,
                                       .threads = run->threads,
                                       .objectives = run->task.objectives,
                                       .sharding = run->sharding,
                                       .overlap = run->settings->overlap,
                                       .members = run->members,
                                       .sizes = sizes};
  COHORT_TRY(cohort_updater_create(&plan, faults, &run->updater, error));
  if (settings->is_federated && cohort_updater_needs_of(run->updater).weight[0] != 1)
    cohort_faults_add(faults, settings->aggregator, "aggregator: the one loss of clients has no weight; remove it");
  const cohort_shards *shards[COHORT_MAX_SPACES] = {cohort_updater_shards(run->updater)};
  for (int s = 1; s < run->spaces.trained; s++) {
    cohort_space *space = run->spaces.space[s];
    if (!space->tensors)
      return cohort_settings_fail(settings, "players", error,
                                  "players.%s: nothing is there that it could move; remove it", space->name);
    COHORT_TRY(cohort_player_create(&plan, space, settings->players, &run->player[s], faults, error));
    shards[s] = cohort_updater_shards(run->player[s].updater);
  }
  if (cohort_updater_needs_of(run->updater).wants & COHORT_WANTS_DIVERGENCE)
    cohort_spaces_bind(&run->spaces, "before", 0);
  cohort_spaces_lay_out(&run->spaces, shards, run->members, sizes);
  return COHORT_DONE;
}

/* Spaces that are always there need no cuts. */
static int spaces_to_partition(const cohort_run *run) {
  return run->plan_only || run->sharding == COHORT_SHARDING_PARAMETERS ? run->spaces.count + run->spaces.bound
                                                                       : run->spaces.trained;
}

/* Other ranks may still read a row when the next step begins, and a row that holds earlier lanes is in use. */
static bool overlays(const cohort_run *run) {
  return run->comm->size == 1 && cohort_lane_engine_slots(run->engine) == 1 &&
         run->sharding < COHORT_SHARDING_GRADIENTS && !cohort_lane_graph_lockstep(run->train) &&
         !cohort_run_lockstep(run, run->train);
}

static cohort_status make_graph(cohort_run *run, const cohort_lane_graph_options *options, cohort_lane_graph **graph,
                                cohort_prefetch **prefetch, cohort_error *error) {
  const cohort_space_layout *layout = run->spaces.layout;
  COHORT_TRY(cohort_lane_graph_create(&run->task.source, options, run->spaces.space, run->kernels, graph, error));
  COHORT_TRY(cohort_lane_graph_partition(*graph, layout, spaces_to_partition(run), error));
  *prefetch = cohort_prefetch_create((*graph)->plan, layout, run->sharding == COHORT_SHARDING_PARAMETERS);
  return COHORT_DONE;
}

unsigned cohort_run_answers(const cohort_run *run) {
  if (run->settings->is_federated) return COHORT_WANTS_GRADIENT;
  unsigned wants =
      COHORT_WANTS_GRADIENT | COHORT_WANTS_LOSS | COHORT_WANTS_PRODUCT | COHORT_WANTS_CLIPPED | COHORT_WANTS_EACH;
  if (cohort_task_answers(&run->task, COHORT_LANE_LABELS, NULL)) wants |= COHORT_WANTS_LABELS;
  if (cohort_task_answers(&run->task, COHORT_LANE_FISHER, NULL)) wants |= COHORT_WANTS_FISHER | COHORT_WANTS_DIVERGENCE;
  return wants;
}

/* A run of lanes lacks what its losses or its task do not say. */
static bool check_subjects(const cohort_run *run, unsigned missing, cohort_faults *faults) {
  const char *fault = NULL;
  const bool labels = (missing & COHORT_WANTS_LABELS) != 0;
  if (run->settings->is_federated || !(missing & (COHORT_WANTS_LABELS | COHORT_WANTS_FISHER | COHORT_WANTS_DIVERGENCE)))
    return false;
  (void)cohort_task_answers(&run->task, labels ? COHORT_LANE_LABELS : COHORT_LANE_FISHER, &fault);
  cohort_faults_add(faults, run->settings->optimizer,
                    "optimizer: it asks for %s, which %s does not say; take loss cross_entropy or mse, or another "
                    "optimizer",
                    labels ? "labels drawn from the model" : "the divergence between outputs", fault);
  return true;
}

/* What the optimizer asks must be what the run can answer. */
static void check_answers(const cohort_run *run, cohort_faults *faults) {
  const cohort_updater_needs needs = cohort_updater_needs_of(run->updater);
  const unsigned alone = COHORT_WANTS_PRODUCT | COHORT_WANTS_CLIPPED | COHORT_WANTS_LABELS | COHORT_WANTS_FISHER;
  if (run->spaces.trained > 1 && (!needs.summed || needs.wants & alone))
    cohort_faults_add(faults, run->settings->players,
                      "players: several serve optimizers that ask for the gradient of one loss; take another optimizer "
                      "or aggregator, or remove players");
  const unsigned missing = cohort_updater_needs_of(run->updater).wants & ~cohort_run_answers(run);
  if (missing && !check_subjects(run, missing, faults))
    cohort_faults_add(faults, run->settings->optimizer ? run->settings->optimizer : run->settings->federated,
                      "optimizer: it asks for %s, which a round of clients does not answer; take another",
                      missing & COHORT_WANTS_LOSS      ? "losses at other points"
                      : missing & COHORT_WANTS_PRODUCT ? "Hessian-vector products"
                      : missing & COHORT_WANTS_LABELS  ? "labels drawn from the model"
                      : missing & COHORT_WANTS_EACH    ? "the gradient of one objective"
                                                       : "gradients of single samples");
  if (cohort_updater_needs_of(run->updater).wants & COHORT_WANTS_CLIPPED &&
      run->settings->sharding >= COHORT_SHARDING_GRADIENTS)
    cohort_faults_add(faults, run->settings->optimizer,
                      "sharding: a sample's gradient is made whole; take sharding: none or optimizer");
}

/* Each has a plan of its own. */
static cohort_status make_subjects(cohort_run *run, cohort_lane_graph_options options, cohort_error *error) {
  const unsigned wants = cohort_updater_needs_of(run->updater).wants;
  const bool wanted[COHORT_LANE_SUBJECTS] = {[COHORT_LANE_LABELS] = (wants & COHORT_WANTS_LABELS) != 0,
                                             [COHORT_LANE_FISHER] = (wants & COHORT_WANTS_FISHER) != 0,
                                             [COHORT_LANE_DIVERGENCE] = (wants & COHORT_WANTS_DIVERGENCE) != 0};
  for (int s = 0; s < COHORT_LANE_SUBJECTS; s++) {
    if (!wanted[s]) continue;
    options.subject = (cohort_lane_subject)s;
    options.before = run->spaces.count;
    options.gradients = s != COHORT_LANE_DIVERGENCE;
    options.hessian_product = s == COHORT_LANE_FISHER;
    options.summed = true;
    COHORT_TRY(make_graph(run, &options, &run->subject[s], &run->subject_prefetch[s], error));
  }
  return COHORT_DONE;
}

/* Products that most steps do without have a plan of their own. */
static cohort_status make_train_graphs(cohort_run *run, cohort_lane_graph_options options, cohort_error *error) {
  const cohort_space_layout *layout = run->spaces.layout;
  const cohort_updater_needs needs = cohort_updater_needs_of(run->updater);
  const bool always = needs.hvp_diagonal && needs.hvp_diagonal_every == 1;
  options.training = true;
  options.exact = (needs.wants & COHORT_WANTS_LOSS) != 0;
  options.summed = needs.summed;
  memcpy(options.weight, needs.weight, sizeof options.weight);
  if (needs.wants & COHORT_WANTS_CLIPPED)
    COHORT_TRY(cohort_per_sample_create(&run->task, &run->spaces, run->kernels, run->settings->batch,
                                        cohort_lane_engine_executors(run->engine), &run->per_sample, error));
  COHORT_TRY(make_subjects(run, options, error));
  if (needs.wants & COHORT_WANTS_LOSS)
    COHORT_TRY(make_graph(run, &options, &run->losses, &run->losses_prefetch, error));
  options.gradients = true;
  options.hessian_product = true;
  if (needs.wants & COHORT_WANTS_PRODUCT && !always)
    COHORT_TRY(make_graph(run, &options, &run->product, &run->product_prefetch, error));
  options.hessian_product = always;
  COHORT_TRY(make_graph(run, &options, &run->train, &run->train_prefetch, error));
  if (overlays(run)) cohort_lane_graph_overlay(run->train, layout, cohort_lane_engine_executors(run->engine));
  run->direction = cohort_allocate((size_t)(cohort_space_layout_row_buckets(layout) + 1) * sizeof *run->direction);
  return COHORT_DONE;
}

/* Samples a lane of a federated evaluation at least: there may be as many lanes as clients in a round. */
enum { FEDERATED_CAPACITY = 32 };

static cohort_status make_graphs(cohort_run *run, cohort_faults *faults, cohort_error *error) {
  check_answers(run, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  int64_t capacity = capacity_of(run->settings->batch, run->lanes);
  if (run->settings->is_federated && capacity < FEDERATED_CAPACITY) capacity = FEDERATED_CAPACITY;
  const cohort_lane_graph_options options = {
      .trained = run->spaces.trained, .lanes = run->lanes, .capacity = capacity, .state = run->spaces.state};
  COHORT_TRY(make_graph(run, &options, &run->evaluate, &run->evaluate_prefetch, error));
  if (!run->settings->is_federated) return make_train_graphs(run, options, error);
  if (run->sharding >= COHORT_SHARDING_GRADIENTS)
    cohort_faults_add(faults, run->settings->federated,
                      "sharding: a client is one thread's and holds the whole model with its gradient; take none or "
                      "optimizer");
  const cohort_federation_options plan = {.comm = run->comm,
                                          .task = &run->task,
                                          .settings = run->settings,
                                          .strategy = &run->strategy,
                                          .expanded = cohort_document_get(run->settings->expanded, "federated"),
                                          .spaces = &run->spaces,
                                          .kernels = run->kernels,
                                          .variant = run->variant,
                                          .threads = run->threads,
                                          .plan_only = run->plan_only};
  return cohort_federation_create(&plan, faults, &run->federation, error);
}

/* Parts on their way: what another rank may still have to read, or the network to carry. */
static int lag_of(const cohort_run *run) { return run->comm->size == 1 ? 0 : run->comm->hosts > 1 ? 4 : 2; }

/* The vectors of the widest row. */
static int row_vectors(const cohort_run *run) {
  const cohort_updater_needs needs = cohort_updater_needs_of(run->updater);
  return needs.gradients + ((needs.wants & (COHORT_WANTS_PRODUCT | COHORT_WANTS_FISHER)) != 0);
}

/* Plans that write gradients beside the step's own. */
bool cohort_run_has_more_rows(const cohort_run *run) {
  return run->product || run->per_sample || run->subject[COHORT_LANE_LABELS] || run->subject[COHORT_LANE_FISHER];
}

static cohort_status make_rows(cohort_run *run, cohort_error *error) {
  const cohort_space_layout *layout = run->spaces.layout;
  cohort_lane_rows rows = {.shards = layout->shards,
                           .buckets = cohort_space_layout_row_buckets(layout),
                           .vectors = row_vectors(run),
                           .separate = run->sharding >= COHORT_SHARDING_GRADIENTS,
                           .allreduce = run->sharding == COHORT_SHARDING_NONE,
                           .overlap = run->settings->overlap};
  if (run->federation) rows.vectors = 0; /* clients are items, which have their own */
  if (run->train) rows.lockstep = cohort_run_lockstep(run, run->train);
  /* Two plans with gradients write and send buckets at different times, and gradients of samples are summed in whole
   * rows: then a row has all its room at once. */
  if (run->train && !cohort_run_has_more_rows(run)) {
    cohort_gradient_arena_plan(run->train->plan, layout, lag_of(run), &run->arena);
    rows.place = run->arena.place;
    rows.before = run->arena.before;
    rows.elements = run->arena.elements;
  }
  COHORT_TRY(cohort_lane_engine_prepare(run->engine, &rows, error));
  for (int s = 0; s < run->spaces.trained; s++) {
    const cohort_updater_connection connection = {.weights = &run->spaces.vector[s],
                                                  .collective = cohort_lane_engine_collective(run->engine),
                                                  .first_bucket = layout->first_bucket[s],
                                                  .row = cohort_space_layout_row(layout)};
    COHORT_TRY(cohort_updater_connect(cohort_run_player(run, s), &connection, error));
  }
  return COHORT_DONE;
}

static void poll_collective(void *argument) { (void)cohort_collective_progress(argument, true); }

static cohort_status make_contexts(cohort_run *run, cohort_error *error) {
  cohort_lane_graph *graphs[5 + COHORT_LANE_SUBJECTS] = {run->evaluate};
  int count = 1;
  if (run->train) graphs[count++] = run->train;
  if (run->product) graphs[count++] = run->product;
  if (run->losses) graphs[count++] = run->losses;
  for (int s = 0; s < COHORT_LANE_SUBJECTS; s++)
    if (run->subject[s]) graphs[count++] = run->subject[s];
  if (run->per_sample) graphs[count++] = cohort_per_sample_graph(run->per_sample);
  const int executors = cohort_lane_engine_executors(run->engine);
  const bool all = cohort_run_lockstep(run, run->evaluate) || (run->train && cohort_run_lockstep(run, run->train));
  run->context = cohort_allocate((size_t)executors * sizeof *run->context);
  for (int e = 0; e < executors; e++)
    COHORT_TRY(cohort_lane_context_create(count, graphs, all ? cohort_lane_engine_slots(run->engine) : 1,
                                          cohort_lane_engine_executor_threads(run->engine), &run->context[e], error));
  if (run->comm->hosts > 1 && run->settings->overlap)
    cohort_executor_poll(run->context[0].executor, poll_collective, cohort_lane_engine_collective(run->engine));
  size_t bytes = 0;
  for (int g = 0; g < count; g++)
    if (cohort_lane_graph_exchange_bytes(graphs[g]) > bytes) bytes = cohort_lane_graph_exchange_bytes(graphs[g]);
  COHORT_TRY(cohort_memory_create(bytes, "values across lanes", &run->exchange, error));
  if (run->per_sample) COHORT_TRY(cohort_per_sample_hold(run->per_sample, error));
  COHORT_TRY(cohort_run_make_spare(run, count, graphs, executors, error));
  const cohort_prefetch *prefetches[4 + COHORT_LANE_SUBJECTS] = {run->evaluate_prefetch, run->train_prefetch,
                                                                 run->product_prefetch, run->losses_prefetch};
  for (int s = 0; s < COHORT_LANE_SUBJECTS; s++) prefetches[4 + s] = run->subject_prefetch[s];
  int64_t elements = 0;
  for (int f = 0; f < 4 + COHORT_LANE_SUBJECTS; f++)
    if (prefetches[f] && cohort_prefetch_elements(prefetches[f]) > elements)
      elements = cohort_prefetch_elements(prefetches[f]);
  void *memory = NULL;
  COHORT_TRY(cohort_memory_create((size_t)elements * sizeof(float), "parameters in use", &memory, error));
  run->prefetched = memory;
  return COHORT_DONE;
}

static void make_profile(cohort_run *run) {
  const cohort_settings *settings = run->settings;
  if (!settings->profile) return;
  const int lanes = cohort_lane_engine_executors(run->engine);
  const cohort_lane_graph *graph = run->train ? run->train : cohort_federation_graph(run->federation);
  const int executors = run->federation ? run->threads : lanes; /* clients are items: one a thread */
  /* A thread takes the next client when it is free: one may come to train most of a round's. */
  const int64_t clients = settings->federated_settings.clients_per_round;
  const cohort_profile_options plan = {
      .comm = run->comm,
      .executors = executors,
      .runs = run->train ? cohort_lane_engine_slots(run->engine) * cohort_updater_needs_of(run->updater).asks
                         : clients * cohort_federation_usual_steps(run->federation),
      .train = graph->plan,
      .evaluate = run->evaluate->plan};
  run->profile = cohort_profile_create(&plan);
  cohort_recorder *const *recorder = cohort_profile_recorders(run->profile);
  cohort_lane_engine_record(run->engine, recorder);
  cohort_updater_record(run->updater, recorder[0]);
  for (int e = 0; e < lanes; e++) cohort_lane_context_record(&run->context[e], recorder[e]);
  if (run->federation) cohort_federation_record(run->federation, recorder);
}

static cohort_status check_batch(const cohort_run *run, cohort_error *error) {
  if (!run->settings->is_federated && run->settings->batch < run->lanes)
    return cohort_settings_fail(run->settings, "batch", error,
                                "batch: %lld samples cannot fill %d lanes; raise batch or lower lanes",
                                (long long)run->settings->batch, run->lanes);
  if (run->comm->size > run->lanes)
    return cohort_settings_fail(run->settings, "lanes", error,
                                "lanes: %d lanes serve at most %d ranks, but %d were started; start fewer "
                                "or set lanes higher",
                                run->lanes, run->lanes, run->comm->size);
  return COHORT_DONE;
}

static cohort_status check_lora(const cohort_run *run, cohort_faults *faults, cohort_error *error) {
  if (!run->settings->lora) return COHORT_DONE;
  cohort_adapter_check(&run->task.adapter, run->spaces.space[run->task.adapter.space],
                       run->spaces.space[run->task.model_space], cohort_settings_place(run->settings, "lora"), faults);
  return cohort_faults_status(faults, error);
}

/* What each rank does alone. */
static cohort_status plan_run(cohort_run *run, cohort_faults *faults, cohort_error *error) {
  COHORT_TRY(cohort_task_open(run->settings, run->comm, run->log, faults, &run->task, error));
  run->lanes = cohort_settings_lanes(run->settings, run->task.tokens_per_sample);
  COHORT_TRY(check_batch(run, error));
  if (!run->task.spaces) return cohort_lane_engine_create(run->comm, run->lanes, run->threads, &run->engine, error);
  COHORT_TRY(cohort_spaces_create(&run->task.source, run->task.spaces, run->task.space, &run->spaces, error));
  COHORT_TRY(check_lora(run, faults, error));
  COHORT_TRY(cohort_run_make_sampled(run, faults, error));
  COHORT_TRY(make_updater(run, faults, error));
  COHORT_TRY(cohort_lane_engine_create(run->comm, run->lanes, run->threads, &run->engine, error));
  return make_graphs(run, faults, error);
}

static cohort_status build(cohort_run *run, cohort_faults *faults, cohort_error *error) {
  COHORT_TRY(
      cohort_shard_group_create(run->comm, run->settings->replicate == COHORT_REPLICATE_HOSTS, &run->members, error));
  /* Alone, a rank holds everything: nothing is apart or comes and goes. */
  run->sharding = run->members->count > 1 ? (cohort_sharding)run->settings->sharding : COHORT_SHARDING_OPTIMIZER;
  COHORT_TRY(cohort_source_text_share(run->comm, run->log, run->plan_only, run->settings, error));
  /* What follows shares memory: a rank that fails by itself must not leave the others waiting. */
  COHORT_TRY(cohort_comm_agree_error(run->comm, plan_run(run, faults, error), error));
  if (run->plan_only || !run->task.spaces) return COHORT_DONE;
  COHORT_TRY(make_weights(run, error));
  COHORT_TRY(make_rows(run, error));
  return make_contexts(run, error);
}

/* The best that the processors of all ranks can do. */
static void choose_kernels(cohort_run *run) {
  const cohort_bf16 way = (cohort_bf16)(-cohort_comm_agree(run->comm, -(int64_t)cohort_processor_bf16()));
  run->isa = (cohort_isa)(-cohort_comm_agree(run->comm, -(int64_t)cohort_processor_isa()));
  run->kernels = run->settings->precision ? cohort_kernels_bf16(run->isa, way) : cohort_kernels_float32(run->isa);
  run->variant = cohort_variant_of(run->isa);
}

/* Every rank is a host by itself. */
static void separate_hosts(cohort_run *run) {
  cohort_comm *whole = run->comm;
  if (whole->size == 1) return;
  int *rank = cohort_allocate((size_t)whole->size * sizeof *rank);
  for (int r = 0; r < whole->size; r++) rank[r] = r;
  cohort_comm_part_open(whole, whole->size, rank, true, &run->apart);
  run->comm = &run->apart;
  free(rank);
}

/* Nothing of the caller's changes: what the builders write goes into a copy. */
static void take_settings(cohort_run *run, const cohort_settings *settings) {
  run->own = *settings;
  run->own.expanded = cohort_document_copy(settings->expanded);
  run->own.shared_text = NULL;
  run->settings = &run->own;
}

static cohort_status create(const cohort_settings *settings, cohort_comm *comm, const cohort_log *log, int threads,
                            bool plan_only, cohort_run **out, cohort_error *error) {
  cohort_run *run = cohort_allocate(sizeof *run);
  take_settings(run, settings);
  run->comm = comm;
  run->log = log;
  run->threads = threads;
  run->best = run->before_end = (cohort_run_best){.step = -1};
  run->plan_only = plan_only;
  if (!settings->shared_memory) separate_hosts(run);
  run->link = cohort_link_measure(run->comm);
  choose_kernels(run);
  cohort_faults faults = {0};
  cohort_status status = plan_only ? COHORT_DONE : cohort_team_check(threads, error);
  status = cohort_comm_agree_error(comm, status, error);
  if (status == COHORT_DONE) status = cohort_comm_agree_error(comm, build(run, &faults, error), error);
  cohort_faults_release(&faults);
  if (status != COHORT_DONE) {
    cohort_run_destroy(run);
    return status;
  }
  *out = run;
  return COHORT_DONE;
}

cohort_status cohort_run_plan(const cohort_settings *settings, cohort_comm *comm, const cohort_log *log, int threads,
                              cohort_run **out, cohort_error *error) {
  return create(settings, comm, log, threads, true, out, error);
}

cohort_status cohort_run_create(const cohort_settings *settings, cohort_comm *comm, const cohort_log *log, int threads,
                                cohort_run **out, cohort_error *error) {
  COHORT_TRY(create(settings, comm, log, threads, false, out, error));
  make_profile(*out);
  return COHORT_DONE;
}

void cohort_run_release_lanes(cohort_run *run) {
  for (int e = 0; run->context && e < cohort_lane_engine_executors(run->engine); e++)
    cohort_lane_context_release(&run->context[e]);
  free(run->context);
  run->context = NULL;
}

void cohort_run_destroy(cohort_run *run) {
  if (!run) return;
  cohort_profile_destroy(run->profile);
  cohort_run_release_lanes(run);
  cohort_memory_release(run->exchange);
  cohort_memory_release(run->spare);
  free(run->spare_place);
  cohort_memory_release(run->prefetched);
  for (int i = 0; i < COHORT_MAX_SPACES; i++) cohort_memory_release(run->gathered[i].memory);
  free(run->direction);
  cohort_prefetch_destroy(run->train_prefetch);
  cohort_prefetch_destroy(run->product_prefetch);
  cohort_prefetch_destroy(run->losses_prefetch);
  cohort_prefetch_destroy(run->evaluate_prefetch);
  for (int s = 0; s < COHORT_LANE_SUBJECTS; s++) {
    cohort_prefetch_destroy(run->subject_prefetch[s]);
    cohort_lane_graph_destroy(run->subject[s]);
  }
  cohort_gradient_arena_release(&run->arena);
  cohort_lane_graph_destroy(run->train);
  cohort_per_sample_destroy(run->per_sample);
  cohort_lane_graph_destroy(run->product);
  cohort_lane_graph_destroy(run->losses);
  cohort_lane_graph_destroy(run->evaluate);
  cohort_federation_destroy(run->federation);
  cohort_sampled_destroy(run->sampled);
  cohort_lane_engine_destroy(run->engine);
  cohort_updater_destroy(run->updater);
  for (int s = 1; s < COHORT_MAX_SPACES; s++) cohort_updater_destroy(run->player[s].updater);
  cohort_spaces_release(&run->spaces);
  cohort_shard_group_destroy(run->members);
  cohort_choice_release(&run->server);
  cohort_choice_release(&run->strategy);
  cohort_task_close(&run->task);
  cohort_document_destroy(run->own.expanded);
  if (run->own.shared_text) free(run->own.shared_text->text);
  free(run->own.shared_text);
  cohort_comm_part_close(&run->apart);
  free(run);
}
