#include "train/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/run_state.h"

/* What lane work needs to know while it runs. */
typedef struct batch_work {
  cohort_run *run;
  const cohort_lane_graph *graph;
  cohort_fetch *fetch;
  cohort_split split;
  int64_t base, samples, lane_samples; /* positions; lane_samples 0: cut `samples` evenly */
  double inverse_count;
  const cohort_point *point;
  const float *const *direction;
  cohort_random_key key;
} batch_work;

/* What an ask of the step's oracle shares with the step. */
typedef struct step_oracle {
  cohort_run *run;
  double sums[COHORT_MAX_SCALARS]; /* of the first ask */
  int asked;
} step_oracle;

cohort_random_key cohort_run_key(const cohort_settings *settings, const char *purpose, int64_t number) {
  const cohort_random_key seed = cohort_random_key_from_seed((uint64_t)settings->seed);
  return cohort_random_key_derive(cohort_random_key_derive_name(seed, purpose), (uint64_t)number);
}

static int64_t capacity_of(int64_t samples, int lanes) { return (samples + lanes - 1) / lanes; }

static void lane_range(const batch_work *work, int lane, int64_t *first, int64_t *last) {
  if (!work->lane_samples) {
    cohort_lane_samples(work->samples, work->run->lanes, lane, first, last);
    return;
  }
  *first = lane * work->lane_samples;
  *last = *first + work->lane_samples < work->samples ? *first + work->lane_samples : work->samples;
  if (*first > *last) *first = *last;
}

static void run_lane(void *argument, int executor, int slot, int lane, int phase, const cohort_lane_row *row,
                     double *scalars) {
  const batch_work *work = argument;
  cohort_run *run = work->run;
  cohort_lane_context *context = &run->context[executor];
  int64_t first, last;
  lane_range(work, lane, &first, &last);
  for (int64_t i = first; phase == 0 && i < last; i++) context->position[i - first] = work->base + i;
  const cohort_lane_run own = {.split = work->split,
                               .count = last - first,
                               .inverse_count = work->inverse_count,
                               .point = cohort_fetch_buckets(work->fetch),
                               .direction = work->direction,
                               .random_key = work->key,
                               .executor = executor,
                               .leftmost = cohort_lane_engine_sum(run->engine)->values,
                               .row = row,
                               .scalars = scalars};
  cohort_lane_graph_run(&run->task, work->graph, context, phase, slot, &own);
}

static void before_phase(void *argument, int phase) {
  const batch_work *work = argument;
  cohort_fetch_before(work->fetch, phase);
}

static void after_phase(void *argument, int phase) {
  const batch_work *work = argument;
  cohort_fetch_after(work->fetch, phase);
  cohort_lane_graph_exchange(work->graph, work->run->engine, work->run->comm, work->run->context, phase,
                             work->run->exchange);
}

static void run_client(void *argument, int executor, int slot, int lane, int phase, const cohort_lane_row *row,
                       double *scalars) {
  const batch_work *work = argument;
  (void)slot, (void)phase;
  cohort_federation_client(work->run->federation, executor, lane, &work->run->context[executor],
                           work->point->vector->values, row->base, scalars);
}

/* Whether lanes of work on a graph run phase by phase together: values cross lanes, or its parameters come and go, or
 * its gradients leave before another lane's. */
static bool together(const cohort_run *run, const cohort_lane_graph *graph) {
  const bool sharded = graph->options.gradients ? run->sharding >= COHORT_SHARDING_GRADIENTS
                                                : run->sharding >= COHORT_SHARDING_PARAMETERS;
  return sharded || cohort_lane_graph_together(graph);
}

static void run_batch(cohort_run *run, batch_work *work, int vectors, double *sums, float **rows) {
  const cohort_lane_work lanes = {.argument = work,
                                  .phases = cohort_plan_phases(work->graph->plan),
                                  .together = together(run, work->graph),
                                  .plan = work->graph->plan,
                                  .vectors = vectors,
                                  .scalars = work->graph->scalars,
                                  .run = run_lane,
                                  .before = before_phase,
                                  .after = after_phase};
  cohort_fetch_begin(work->fetch, cohort_lane_engine_transfer(run->engine), work->point, &run->reference, run->fetched);
  cohort_lane_engine_run(run->engine, &lanes, sums, NULL, rows);
  if (!vectors) return;
  int first, last;
  cohort_lane_engine_own(run->engine, &first, &last);
  run->figures.flops += (last - first) * cohort_plan_flops(work->graph->plan);
}

static cohort_status ask_batch(void *argument, const cohort_point *point, const float *direction, float **rows,
                               double *losses, cohort_error *error) {
  (void)error;
  step_oracle *oracle = argument;
  cohort_run *run = oracle->run;
  const int64_t batch = run->settings->batch;
  const int64_t count = run->task.functions->count(&run->task, COHORT_SPLIT_TRAIN, batch);
  batch_work work = {.run = run,
                     .graph = run->train,
                     .fetch = run->train_fetch,
                     .split = COHORT_SPLIT_TRAIN,
                     .base = run->samples,
                     .samples = batch,
                     .inverse_count = 1.0 / (double)count,
                     .point = point,
                     .direction = direction ? run->direction : NULL,
                     .key = cohort_run_key(run->settings, "batch", run->step)};
  const cohort_shards *shards = cohort_player_shards(run->player);
  for (int b = 0; direction && b < shards->buckets; b++) run->direction[b] = direction + shards->bucket[b].offset;
  double sums[COHORT_MAX_SCALARS];
  run_batch(run, &work, run->train->objectives + run->train->options.curvature, sums, rows);
  for (int i = 0; i < run->train->objectives; i++) losses[i] = sums[i] / (double)count;
  if (oracle->asked++ == 0) memcpy(oracle->sums, sums, sizeof sums);
  return COHORT_DONE;
}

static cohort_status ask_clients(void *argument, const cohort_point *point, const float *direction, float **rows,
                                 double *losses, cohort_error *error) {
  (void)error, (void)direction;
  step_oracle *oracle = argument;
  cohort_run *run = oracle->run;
  cohort_player_settle(run->player);
  cohort_federation_begin(run->federation, run->step);
  batch_work work = {.run = run, .point = point};
  const cohort_lane_work lanes = {.argument = &work, .phases = 1, .vectors = 1, .scalars = 1, .run = run_client};
  cohort_lane_engine_run(run->engine, &lanes, losses, NULL, rows);
  int first, last;
  cohort_lane_engine_own(run->engine, &first, &last);
  run->figures.flops += (double)(last - first) * (double)run->settings->federated_settings.local_steps *
                        cohort_plan_flops(cohort_federation_graph(run->federation)->plan);
  return COHORT_DONE;
}

static const double *squares_of(void *argument) {
  const step_oracle *oracle = argument;
  return cohort_lane_engine_squares(oracle->run->engine);
}

/* The columns of a batch or split from its sums. */
static void fill_row(const cohort_run *run, cohort_split split, int64_t count, const double *sums,
                     cohort_run_row *row) {
  const int objectives = run->task.objectives;
  row->loss = 0;
  for (int i = 0; i < objectives; i++) row->loss += sums[i] / (double)count;
  for (int m = 0; m < COHORT_MAX_METRICS; m++) row->columns[m] = NAN;
  if (run->task.functions->derive)
    run->task.functions->derive(&run->task, split, count, sums + objectives, row->loss, row->columns);
  else
    for (int m = 0; m < run->task.metrics; m++) row->columns[m] = sums[objectives + m] / (double)count;
}

static cohort_status take_step(cohort_run *run, bool flag, cohort_run_row *row, cohort_error *error) {
  memset(row, 0, sizeof *row);
  step_oracle own = {.run = run};
  const cohort_oracle oracle = {&own, run->task.objectives, run->federation ? ask_clients : ask_batch, squares_of};
  COHORT_TRY(cohort_player_step(run->player, &oracle, run->step, run->settings->steps, &row->report, error));
  if (run->federation) {
    row->loss = row->report.losses[0];
    for (int m = 0; m < COHORT_MAX_METRICS; m++) row->columns[m] = NAN;
    run->samples += cohort_federation_samples(run->federation);
  } else {
    const int64_t count = run->task.functions->count(&run->task, COHORT_SPLIT_TRAIN, run->settings->batch);
    fill_row(run, COHORT_SPLIT_TRAIN, count, own.sums, row);
    run->samples += run->settings->batch;
  }
  run->step++;
  int first, last;
  cohort_lane_engine_own(run->engine, &first, &last);
  for (int lane = first; lane < last; lane++) {
    int64_t begin = 0, end = 0;
    if (run->federation)
      end = cohort_federation_client_samples(run->federation, lane);
    else
      cohort_lane_samples(run->settings->batch, run->lanes, lane, &begin, &end);
    run->figures.samples += end - begin;
  }
  row->flagged = cohort_comm_agree(run->comm, flag) != 0;
  return COHORT_DONE;
}

cohort_status cohort_run_step(cohort_run *run, bool flag, cohort_run_row *row, cohort_error *error) {
  if (!run->profile) return take_step(run, flag, row, error);
  cohort_profile_step_begins(run->profile);
  const cohort_status status = take_step(run, flag, row, error);
  cohort_profile_step_ends(run->profile);
  return status;
}

cohort_status cohort_run_evaluate(cohort_run *run, cohort_split split, cohort_run_row *row, cohort_error *error) {
  const int64_t samples = run->task.samples[split];
  if (!samples) return cohort_fail(error, COHORT_BAD_CONFIG, "data: there is no %s split", cohort_split_name(split));
  const int64_t capacity = run->evaluate->options.capacity, batch = capacity * run->lanes;
  double total[COHORT_MAX_SCALARS] = {0};
  memset(row, 0, sizeof *row);
  const cohort_point point = cohort_player_point(run->player);
  for (int64_t base = 0; base < samples; base += batch) {
    batch_work work = {.run = run,
                       .graph = run->evaluate,
                       .fetch = run->evaluate_fetch,
                       .split = split,
                       .base = base,
                       .samples = samples - base < batch ? samples - base : batch,
                       .lane_samples = capacity,
                       .inverse_count = 1,
                       .point = &point};
    double sums[COHORT_MAX_SCALARS];
    run_batch(run, &work, 0, sums, NULL);
    for (int i = 0; i < run->evaluate->scalars; i++) total[i] += sums[i];
  }
  fill_row(run, split, run->task.functions->count(&run->task, split, samples), total, row);
  return COHORT_DONE;
}

void cohort_run_note_evaluation(cohort_run *run, double loss) {
  if (run->best_step >= 0 && !(loss < run->best_loss)) return;
  run->best_step = run->step;
  run->best_loss = loss;
}

int64_t cohort_run_best_step(const cohort_run *run) { return run->best_step; }

static cohort_status make_spaces(cohort_run *run, cohort_error *error) {
  static const char *const names[] = {"model", "reference"};
  const int named = sizeof names / sizeof *names;
  cohort_graph *graph = NULL;
  COHORT_TRY(cohort_task_graph_create(&run->task, &graph, error));
  run->spaces = run->task.spaces;
  for (int s = 0; s < run->spaces && s < named; s++) run->space[s] = cohort_space_create(graph, s, names[s]);
  cohort_graph_destroy(graph);
  /* They share buckets and shards. */
  if (run->spaces > 1 && !cohort_space_alike(run->space[0], run->space[1]))
    return cohort_fail(error, COHORT_BUG, "spaces: the reference is not laid out like the model; report this");
  return COHORT_DONE;
}

/* Of sharded parameters own pieces alone. The reference begins as the same weights. */
static cohort_status make_weights(cohort_run *run, cohort_error *error) {
  COHORT_TRY(cohort_vector_create(run->comm, run->space[0]->elements, "parameters", &run->weights, error));
  run->space[0]->values = run->weights.values;
  if (run->spaces > 1) {
    COHORT_TRY(cohort_vector_create(run->comm, run->space[1]->elements, "reference", &run->reference, error));
    run->space[1]->values = run->reference.values;
  }
  const cohort_random_key key =
      cohort_random_key_derive_name(cohort_random_key_from_seed((uint64_t)run->settings->seed), "initial");
  const bool sharded = run->sharding == COHORT_SHARDING_PARAMETERS;
  for (int s = 0; s < run->spaces; s++)
    cohort_space_initialise(run->space[s], key, sharded ? cohort_player_updates(run->player) : NULL);
  return COHORT_DONE;
}

/* The strategy's key names an optimizer, not one of the federated methods. */
static bool names_optimizer(cohort_variant variant, const cohort_document *strategy) {
  const char *key = strategy->kind == COHORT_MAP ? strategy->names[0] : strategy->text;
  return !cohort_registry_find(variant, "federated", key) && cohort_registry_find(variant, "optimizer", key);
}

/* Any optimizer's update as the server's: it steps by minus the clients' average change. */
static void take_optimizer(cohort_run *run, const cohort_document *strategy, cohort_faults *faults) {
  cohort_choice server = {0};
  cohort_settings_choice(run->variant, "optimizer", strategy, "strategy", &server,
                         cohort_document_get(run->settings->expanded, "federated"), faults);
  if (!server.method) return;
  const cohort_optimizer *functions = server.method->functions;
  if (!functions->update || server.method->needs & COHORT_NEEDS_CURVATURE)
    cohort_faults_add(faults, strategy, "federated.strategy: %s asks for more than a round gives; take an update",
                      server.method->key);
  run->server = cohort_document_copy(strategy);
  cohort_choice_release(&server);
}

static cohort_status read_strategy(cohort_run *run, cohort_faults *faults, cohort_error *error) {
  const cohort_federated_settings *settings = &run->settings->federated_settings;
  if (names_optimizer(run->variant, settings->strategy)) {
    take_optimizer(run, settings->strategy, faults);
    return cohort_faults_status(faults, error);
  }
  cohort_choice strategy = {0};
  cohort_settings_choice(run->variant, "federated", settings->strategy, "strategy", &strategy,
                         cohort_document_get(run->settings->expanded, "federated"), faults);
  if (strategy.method) run->server = cohort_federation_server(&strategy);
  cohort_choice_release(&strategy);
  return cohort_faults_status(faults, error);
}

static cohort_status make_player(cohort_run *run, cohort_faults *faults, cohort_error *error) {
  if (run->settings->is_federated) COHORT_TRY(read_strategy(run, faults, error));
  const cohort_player_plan plan = {
      .settings = run->settings,
      .optimizer = run->server,
      .space = run->space[0],
      .comm = run->comm,
      .kernels = cohort_kernels_float32(run->isa),
      .variant = run->variant,
      .threads = run->threads,
      .objectives = run->task.objectives,
      .sharding = run->sharding,
      .overlap = run->settings->overlap,
      .holders = run->holders,
      .sizes = cohort_shard_sizes_of(run->settings->bucket, &run->link, run->holders->count)};
  return cohort_player_create(&plan, faults, &run->player, error);
}

/* A reference that is always there needs no cuts. */
static int spaces_to_cut(const cohort_run *run) {
  return run->plan_only || run->sharding == COHORT_SHARDING_PARAMETERS ? run->spaces : 1;
}

/* Other ranks may still read a row when the next step begins, and a row that holds earlier lanes is in use. */
static bool lodges(const cohort_run *run) {
  return run->comm->size == 1 && cohort_lane_engine_slots(run->engine) == 1 &&
         run->sharding < COHORT_SHARDING_GRADIENTS && !together(run, run->train);
}

static cohort_status make_train_graph(cohort_run *run, cohort_lane_graph_options options, cohort_error *error) {
  const cohort_shards *shards = cohort_player_shards(run->player);
  options.gradients = options.training = true;
  options.curvature = cohort_player_needs_of(run->player).curvature;
  COHORT_TRY(cohort_lane_graph_create(&run->task, &options, run->space, run->kernels, &run->train, error));
  COHORT_TRY(cohort_lane_graph_cut(run->train, shards, spaces_to_cut(run), error));
  if (lodges(run)) cohort_lane_graph_lodge(run->train, shards, cohort_lane_engine_executors(run->engine));
  run->train_fetch =
      cohort_fetch_create(run->train->plan, shards, run->spaces, run->sharding == COHORT_SHARDING_PARAMETERS);
  run->direction = cohort_allocate((size_t)(shards->buckets + 1) * sizeof *run->direction);
  return COHORT_DONE;
}

static cohort_status make_graphs(cohort_run *run, cohort_faults *faults, cohort_error *error) {
  const cohort_shards *shards = cohort_player_shards(run->player);
  const int64_t capacity = capacity_of(run->settings->batch, run->lanes);
  const cohort_lane_graph_options options = {.lanes = run->lanes, .capacity = capacity};
  COHORT_TRY(cohort_lane_graph_create(&run->task, &options, run->space, run->kernels, &run->evaluate, error));
  COHORT_TRY(cohort_lane_graph_cut(run->evaluate, shards, spaces_to_cut(run), error));
  run->evaluate_fetch =
      cohort_fetch_create(run->evaluate->plan, shards, run->spaces, run->sharding == COHORT_SHARDING_PARAMETERS);
  if (!run->settings->is_federated) return make_train_graph(run, options, error);
  if (run->sharding >= COHORT_SHARDING_GRADIENTS)
    cohort_faults_add(faults, run->settings->federated,
                      "sharding: a client holds the whole model and its gradient; take none or optimizer");
  const cohort_federation_plan plan = {.task = &run->task,
                                       .settings = run->settings,
                                       .space = run->space[0],
                                       .kernels = run->kernels,
                                       .variant = run->variant,
                                       .executors = cohort_lane_engine_executors(run->engine)};
  return cohort_federation_create(&plan, run->settings->expanded, faults, &run->federation, error);
}

/* Parts on their way: what another rank may still have to read, or the network to carry. */
static int lag_of(const cohort_run *run) { return run->comm->size == 1 ? 0 : run->comm->hosts > 1 ? 4 : 2; }

static cohort_status make_rows(cohort_run *run, cohort_error *error) {
  cohort_lane_rows rows = {.shards = cohort_player_shards(run->player),
                           .vectors = run->task.objectives + cohort_player_needs_of(run->player).curvature,
                           .apart = run->sharding >= COHORT_SHARDING_GRADIENTS,
                           .everywhere = run->sharding == COHORT_SHARDING_NONE,
                           .overlap = run->settings->overlap};
  if (run->train) {
    cohort_scratch_plan(run->train->plan, rows.shards, lag_of(run), &run->scratch);
    rows.together = together(run, run->train);
    rows.place = run->scratch.place;
    rows.before = run->scratch.before;
    rows.elements = run->scratch.elements;
  }
  COHORT_TRY(cohort_lane_engine_prepare(run->engine, &rows, error));
  return cohort_player_connect(run->player, &run->weights, cohort_lane_engine_transfer(run->engine), error);
}

static void poll_transfer(void *argument) { (void)cohort_transfer_progress(argument, true); }

static cohort_status make_contexts(cohort_run *run, cohort_error *error) {
  cohort_lane_graph *const graphs[2] = {run->evaluate,
                                        run->train ? run->train : cohort_federation_graph(run->federation)};
  const int executors = cohort_lane_engine_executors(run->engine);
  const bool all = together(run, run->evaluate) || (run->train && together(run, run->train));
  run->context = cohort_allocate((size_t)executors * sizeof *run->context);
  for (int e = 0; e < executors; e++)
    COHORT_TRY(cohort_lane_context_create(2, graphs, all ? cohort_lane_engine_slots(run->engine) : 1,
                                          cohort_lane_engine_executor_threads(run->engine), &run->context[e], error));
  if (run->comm->hosts > 1 && run->settings->overlap)
    cohort_executor_poll(run->context[0].executor, poll_transfer, cohort_lane_engine_transfer(run->engine));
  size_t bytes = 0;
  for (int g = 0; g < 2; g++)
    if (cohort_lane_graph_exchange_bytes(graphs[g]) > bytes) bytes = cohort_lane_graph_exchange_bytes(graphs[g]);
  COHORT_TRY(cohort_memory_create(bytes, "values across lanes", &run->exchange, error));
  int64_t elements = cohort_fetch_elements(run->evaluate_fetch);
  if (run->train && cohort_fetch_elements(run->train_fetch) > elements)
    elements = cohort_fetch_elements(run->train_fetch);
  void *memory = NULL;
  COHORT_TRY(cohort_memory_create((size_t)elements * sizeof(float), "parameters in use", &memory, error));
  run->fetched = memory;
  return COHORT_DONE;
}

static void make_profile(cohort_run *run) {
  const cohort_settings *settings = run->settings;
  if (!settings->profile) return;
  const int executors = cohort_lane_engine_executors(run->engine);
  const cohort_lane_graph *graph = run->train ? run->train : cohort_federation_graph(run->federation);
  const cohort_profile_plan plan = {
      .comm = run->comm,
      .executors = executors,
      .runs = cohort_lane_engine_slots(run->engine) * (run->train ? 1 : settings->federated_settings.local_steps),
      .train = graph->plan,
      .evaluate = run->evaluate->plan};
  run->profile = cohort_profile_create(&plan);
  cohort_recorder *const *recorder = cohort_profile_recorders(run->profile);
  cohort_lane_engine_record(run->engine, recorder);
  cohort_player_record(run->player, recorder[0]);
  for (int e = 0; e < executors; e++) cohort_lane_context_record(&run->context[e], recorder[e]);
}

static cohort_status check_batch(const cohort_run *run, cohort_error *error) {
  if (!run->settings->is_federated && run->settings->batch < run->lanes)
    return cohort_fail(error, COHORT_BAD_CONFIG, "batch: %lld samples cannot fill %d lanes; raise batch or lower lanes",
                       (long long)run->settings->batch, run->lanes);
  if (run->comm->size > run->lanes)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "lanes: %d lanes serve at most %d ranks, but %d were started; start fewer "
                       "or set lanes higher",
                       run->lanes, run->lanes, run->comm->size);
  return COHORT_DONE;
}

/* What each rank does alone. */
static cohort_status plan_run(cohort_run *run, cohort_faults *faults, cohort_error *error) {
  COHORT_TRY(cohort_task_open(run->settings, run->log, faults, &run->task, error));
  run->lanes = cohort_settings_lanes(run->settings, run->task.tokens_per_sample);
  COHORT_TRY(check_batch(run, error));
  COHORT_TRY(make_spaces(run, error));
  COHORT_TRY(make_player(run, faults, error));
  COHORT_TRY(cohort_lane_engine_create(run->comm, run->lanes, run->threads, &run->engine, error));
  return make_graphs(run, faults, error);
}

static cohort_status build(cohort_run *run, cohort_faults *faults, cohort_error *error) {
  COHORT_TRY(
      cohort_holders_create(run->comm, run->settings->replicate == COHORT_REPLICATE_HOSTS, &run->holders, error));
  /* Alone, a rank holds everything: nothing is apart or comes and goes. */
  run->sharding = run->holders->count > 1 ? (cohort_sharding)run->settings->sharding : COHORT_SHARDING_OPTIMIZER;
  /* What follows shares memory: a rank that fails by itself must not leave the others waiting. */
  COHORT_TRY(cohort_comm_agree_error(run->comm, plan_run(run, faults, error), error));
  if (run->plan_only) return COHORT_DONE;
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
  cohort_comm *comm = run->comm;
  run->own_host = cohort_allocate((size_t)comm->size * sizeof *run->own_host);
  for (int r = 0; r < comm->size; r++) run->own_host[r] = r;
  run->hosts = comm->hosts;
  run->host = comm->host;
  comm->hosts = comm->size;
  comm->host = run->own_host;
}

static void join_hosts(cohort_run *run) {
  if (!run->own_host) return;
  run->comm->hosts = run->hosts;
  run->comm->host = run->host;
  free(run->own_host);
}

static cohort_status create(cohort_settings *settings, cohort_comm *comm, const cohort_log *log, int threads,
                            bool plan_only, cohort_run **out, cohort_error *error) {
  cohort_run *run = cohort_allocate(sizeof *run);
  run->settings = settings;
  run->comm = comm;
  run->log = log;
  run->threads = threads;
  run->best_step = -1;
  run->plan_only = plan_only;
  if (!settings->shared_memory) separate_hosts(run);
  run->link = cohort_link_measure(comm);
  choose_kernels(run);
  cohort_faults faults = {0};
  cohort_status status = cohort_comm_agree_error(comm, build(run, &faults, error), error);
  cohort_faults_release(&faults);
  if (status != COHORT_DONE) {
    cohort_run_destroy(run);
    return status;
  }
  *out = run;
  return COHORT_DONE;
}

cohort_status cohort_run_plan(cohort_settings *settings, cohort_comm *comm, const cohort_log *log, int threads,
                              cohort_run **out, cohort_error *error) {
  return create(settings, comm, log, threads, true, out, error);
}

cohort_status cohort_run_create(cohort_settings *settings, cohort_comm *comm, const cohort_log *log, int threads,
                                cohort_run **out, cohort_error *error) {
  COHORT_TRY(create(settings, comm, log, threads, false, out, error));
  make_profile(*out);
  return COHORT_DONE;
}

bool cohort_run_lend(const cohort_run *run, size_t bytes, int count, void **piece) {
  int found = cohort_lane_engine_lend(run->engine, bytes, count, piece);
  for (int e = 0; e < cohort_lane_engine_executors(run->engine) && found < count; e++)
    found += cohort_executor_lend(run->context[e].executor, bytes, count - found, piece + found);
  return found >= count;
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
  cohort_memory_release(run->fetched);
  free(run->direction);
  cohort_fetch_destroy(run->train_fetch);
  cohort_fetch_destroy(run->evaluate_fetch);
  cohort_scratch_release(&run->scratch);
  cohort_lane_graph_destroy(run->train);
  cohort_lane_graph_destroy(run->evaluate);
  cohort_federation_destroy(run->federation);
  cohort_lane_engine_destroy(run->engine);
  cohort_player_destroy(run->player);
  cohort_holders_destroy(run->holders);
  for (int s = 0; s < 2; s++) cohort_space_destroy(run->space[s]);
  cohort_vector_release(&run->weights);
  cohort_vector_release(&run->reference);
  cohort_document_destroy(run->server);
  cohort_task_close(&run->task);
  join_hosts(run);
  free(run);
}

const cohort_task *cohort_run_task(const cohort_run *run) { return &run->task; }
const cohort_space *cohort_run_space(const cohort_run *run, int number) {
  return number < run->spaces ? run->space[number] : NULL;
}
const cohort_player *cohort_run_player(const cohort_run *run) { return run->player; }
int cohort_run_lanes(const cohort_run *run) { return run->lanes; }
const char *cohort_run_kernels(const cohort_run *run) { return run->kernels->name; }
cohort_isa cohort_run_isa(const cohort_run *run) { return run->isa; }

cohort_run_position cohort_run_where(const cohort_run *run) {
  const cohort_run_position where = {.step = run->step,
                                     .samples = run->samples,
                                     .tokens = run->samples * run->task.tokens_per_sample,
                                     .epoch = (double)run->samples / (double)run->task.samples[COHORT_SPLIT_TRAIN]};
  return where;
}

cohort_run_figures cohort_run_take_figures(cohort_run *run) {
  cohort_run_figures figures = run->figures;
  figures.busy_seconds = cohort_lane_engine_busy_seconds(run->engine);
  memset(&run->figures, 0, sizeof run->figures);
  return figures;
}

double cohort_run_flops(const cohort_run *run) {
  int first, last;
  cohort_lane_engine_own(run->engine, &first, &last);
  return run->figures.flops * run->lanes / (last - first);
}

cohort_profile *cohort_run_profile(const cohort_run *run) { return run->profile; }

void cohort_run_settle(cohort_run *run) { cohort_player_settle(run->player); }

cohort_player_figures cohort_run_take_player_figures(cohort_run *run) {
  return cohort_player_take_figures(run->player);
}

char *cohort_run_describe(const cohort_run *run) {
  int first, last;
  cohort_lane_engine_own(run->engine, &first, &last);
  char *player = cohort_player_describe(run->player);
  const cohort_lane_graph *graph = run->train ? run->train : cohort_federation_graph(run->federation);
  static const char *const shared[] = {"nothing", "states", "states and gradients", "states, gradients and parameters"};
  char link[128] = "one host", copies[64] = "";
  if (run->comm->hosts > 1)
    (void)snprintf(link, sizeof link, "%d hosts, %.0f microseconds and %.2f GB/s between two", run->comm->hosts,
                   run->link.latency * 1e6, run->link.bandwidth / 1e9);
  if (run->holders->copies > 1)
    (void)snprintf(copies, sizeof copies, ", a copy on each of %d hosts", run->holders->copies);
  char *text = cohort_format_text(
      "%s: %lld parameters in %d tensors, %d pieces, %d buckets\n%s\nlanes: %d over %d ranks x %d threads (at most %d "
      "ranks); this rank runs lanes %d to %d on %d executors\nsharded: %s%s; %s\nplan: %d nodes in %d phases, %.1f MiB "
      "an "
      "executor, %.3f GFLOP a lane",
      run->space[0]->name, (long long)run->space[0]->parameters, run->space[0]->tensors, run->space[0]->pieces,
      cohort_player_shards(run->player)->buckets, player, run->lanes, run->comm->size, run->threads, run->lanes, first,
      last - 1, cohort_lane_engine_executors(run->engine),
      shared[run->holders->count > 1 ? run->sharding : COHORT_SHARDING_NONE], copies, link,
      cohort_plan_nodes(graph->plan), cohort_plan_phases(graph->plan),
      (double)cohort_plan_arena_bytes(graph->plan) / 1048576, cohort_plan_flops(graph->plan) / 1e9);
  free(player);
  return text;
}
