/* Steps and evaluations of a run: connects the player's questions with lanes, and lanes with the task.
 *
 *   step -> player -> ask_batch -> lane engine -> lane graph -> executor
 *                  -> ask_clients -> items -> clients (train/engine/clients.h)
 *
 * A step is a function of (weights, state, step): the batch is a range of the training stream, all draws are keyed by
 * it. The fixed cost of a step is a few agreements between ranks. */
#include "train/run/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/player/rules.h"
#include "train/run/state.h"

/* What lane work needs to know while it runs. */
typedef struct batch_work {
  cohort_run *run;
  const cohort_lane_graph *graph;
  cohort_prefetch *prefetch;
  cohort_split split;
  int64_t base, samples, lane_samples; /* positions; lane_samples 0: cut `samples` evenly */
  double inverse_count;
  const cohort_point *point;
  int space;   /* of which the point is; the others are at their weights */
  double clip; /* of samples' gradients */
  const float *const *direction;
  cohort_random_key key;
  float *kept; /* [lanes][row_elements] of the graph; or NULL */
  float *next; /* receives what the graph keeps; or NULL */
  int until;   /* a pass up to this phase, whose lanes give what crosses; -1: the whole plan */
} batch_work;

/* What an ask of the step's oracle shares with the step. */
typedef struct step_oracle {
  cohort_run *run;
  double sums[COHORT_MAX_SCALARS]; /* of the first ask */
  int64_t count;                   /* what they are divided by; 0: nobody was drawn */
  int asked;
  /* Of the last ask: what further players are answered with. */
  bool gradient;
  float *rows;
  double losses[COHORT_MAX_OBJECTIVES];
  int space;                       /* whose player asks */
  const struct step_oracle *first; /* of a further player: the model's */
} step_oracle;

cohort_random_key cohort_run_key(const cohort_settings *settings, const char *purpose, int64_t number) {
  const cohort_random_key seed = cohort_random_key_from_seed((uint64_t)settings->seed);
  return cohort_random_key_derive(cohort_random_key_derive_name(seed, purpose), (uint64_t)number);
}

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
  int first_lane, last_lane; /* what is kept is the same in all */
  cohort_lane_engine_own(run->engine, &first_lane, &last_lane);
  const int64_t row_elements = run->spaces.layout ? cohort_space_layout_row(run->spaces.layout) : 0;
  const cohort_lane_row spare = {run->spare ? run->spare + executor * run->spare_vectors * row_elements : NULL,
                                 run->spare_place, row_elements};
  const bool again = work->until >= 0 && work->graph->options.gradients;
  const cohort_lane_pass own = {.split = work->split,
                                .count = last - first,
                                .first = work->base,
                                .samples = work->samples,
                                .lane = lane,
                                .inverse_count = work->inverse_count,
                                .point = cohort_prefetch_buckets(work->prefetch),
                                .direction = work->direction,
                                .random_key = work->key,
                                .executor = executor,
                                .leftmost = cohort_lane_engine_sum(run->engine)->values,
                                .row = again ? &spare : row,
                                .scalars = scalars,
                                .kept = work->kept ? work->kept + lane * work->graph->row_elements : NULL,
                                .state = run->spaces.state ? run->spaces.state->values : NULL,
                                .next = lane == first_lane ? work->next : NULL};
  if (!cohort_lane_graph_run(&run->task.source, work->graph, context, phase, slot, &own)) scalars[COHORT_LANE_LEFT] = 1;
  if (!cohort_run_recomputes(run, work->graph) || !cohort_lane_graph_crosses(work->graph, phase)) return;
  if (phase == work->until)
    cohort_lane_graph_put(work->graph, context, slot, lane, phase, run->exchange);
  else
    cohort_lane_graph_take(work->graph, context, slot, lane, phase, run->exchange);
}

static void before_phase(void *argument, int phase) {
  const batch_work *work = argument;
  cohort_prefetch_before(work->prefetch, phase);
}

static void after_phase(void *argument, int phase) {
  const batch_work *work = argument;
  cohort_prefetch_after(work->prefetch, phase);
  if (cohort_run_recomputes(work->run, work->graph)) return;
  cohort_lane_graph_exchange(work->graph, work->run->engine, work->run->comm, work->run->context, phase,
                             work->run->exchange);
}

/* A step or an evaluation that was left: not an error, and said by who listens to signals. */
static cohort_status left(const cohort_run *run, cohort_error *error) {
  if (!cohort_lane_engine_left(run->engine)) return COHORT_DONE;
  return cohort_fail(error, COHORT_STOPPED, "stopped");
}

void cohort_run_stop_on(cohort_run *run, const _Atomic int *flag) {
  run->stop = flag;
  for (int e = 0; run->context && e < cohort_lane_engine_executors(run->engine); e++)
    cohort_executor_stop_on(run->context[e].executor, flag);
  if (run->federation) cohort_federation_stop_on(run->federation, flag);
}

/* What is stored of this rank's samples of a batch. */
static void fetch_scores(const batch_work *work) {
  int first_lane, last_lane;
  int64_t first, last, other;
  if (!work->run->task.scores) return;
  cohort_lane_engine_own(work->run->engine, &first_lane, &last_lane);
  lane_range(work, first_lane, &first, &other);
  lane_range(work, last_lane - 1, &other, &last);
  cohort_run_fetch_scores(work->run, work->split, work->base + first, work->base + last);
}

/* All lanes up to the end of a phase, one after another, and what crosses there: in the memory of one lane, for the
 * time of a pass more. What was exchanged before is kept and taken again. */
static void run_until(cohort_run *run, batch_work *work, const cohort_point *point, cohort_lane_work lanes, int phase) {
  work->until = phase;
  lanes.phases = phase + 1;
  lanes.vectors = lanes.scalars = 0;
  cohort_prefetch_begin(work->prefetch, cohort_lane_engine_collective(run->engine), point, run->prefetched);
  cohort_lane_engine_run(run->engine, &lanes, NULL, NULL, NULL);
  cohort_lane_graph_join(work->graph, run->comm, phase, run->exchange);
}

static void run_batch(cohort_run *run, batch_work *work, int vectors, double *sums, float **rows) {
  fetch_scores(work);
  cohort_lane_work lanes = {.argument = work,
                            .phases = cohort_plan_phases(work->graph->plan),
                            .lockstep = cohort_run_lockstep(run, work->graph),
                            .plan = work->graph->plan,
                            .vectors = vectors,
                            .scalars = work->graph->scalars,
                            .run = run_lane,
                            .before = before_phase,
                            .after = after_phase};
  cohort_point point[COHORT_MAX_SPACES];
  for (int s = 0; s < run->spaces.count; s++)
    point[s] = s < run->spaces.trained ? cohort_updater_point(cohort_run_player(run, s))
                                       : (cohort_point){&run->spaces.vector[s], NULL};
  point[work->space] = *work->point;
  if (run->spaces.bound)
    point[run->spaces.count] =
        (cohort_point){&run->spaces.vector[run->spaces.count], cohort_updater_point(run->updater).arrival};
  for (int phase = 0; cohort_run_recomputes(run, work->graph) && phase < lanes.phases; phase++)
    if (cohort_lane_graph_crosses(work->graph, phase)) run_until(run, work, point, lanes, phase);
  work->until = -1;
  cohort_prefetch_begin(work->prefetch, cohort_lane_engine_collective(run->engine), point, run->prefetched);
  cohort_lane_engine_run(run->engine, &lanes, sums, NULL, rows);
  if (!vectors) return;
  int first, last;
  cohort_lane_engine_own(run->engine, &first, &last);
  run->counters.flops += (last - first) * cohort_plan_flops(work->graph->plan);
}

/* The plan that answers a question. */
static const cohort_lane_graph *graph_for(const cohort_run *run, const cohort_ask *ask, cohort_prefetch **prefetch) {
  if (ask->labels || ask->fisher) {
    const cohort_lane_subject subject = ask->labels ? COHORT_LANE_LABELS : COHORT_LANE_FISHER;
    *prefetch = run->subject_prefetch[subject];
    return run->subject[subject];
  }
  const bool product = ask->direction && run->product;
  const bool losses = !ask->gradient && !ask->direction && run->losses;
  *prefetch = product ? run->product_prefetch : losses ? run->losses_prefetch : run->train_prefetch;
  return product ? run->product : losses ? run->losses : run->train;
}

static void run_clipped_lane(void *argument, int executor, int slot, int lane, int phase, const cohort_lane_row *row,
                             double *scalars) {
  const batch_work *work = argument;
  (void)slot, (void)phase;
  int64_t first, last;
  lane_range(work, lane, &first, &last);
  const float *point[COHORT_MAX_SPACES];
  const cohort_run *run = work->run;
  for (int s = 0; s < run->spaces.count; s++) point[s] = run->spaces.vector[s].values;
  point[0] = work->point->vector->values;
  if (!cohort_per_sample_run(work->run->per_sample, executor, &work->run->context[executor], work->base + first,
                             work->base + last, point, work->clip, work->key, row->base, scalars))
    scalars[COHORT_LANE_LEFT] = 1;
}

/* The mean of clipped gradients: lanes make them sample by sample, all weights being there. A batch that was drawn is
 * cut into lanes as it is; its sums are divided by its mean size. */
static void run_clipped(cohort_run *run, batch_work *work, double *sums, float **rows) {
  const cohort_lane_graph *graph = cohort_per_sample_graph(run->per_sample);
  const cohort_lane_work lanes = {
      .argument = work, .phases = 1, .vectors = 1, .scalars = graph->scalars, .run = run_clipped_lane};
  fetch_scores(work);
  cohort_updater_wait(run->updater);
  if (run->sampled) work->samples = cohort_run_draw(run);
  cohort_lane_engine_run(run->engine, &lanes, sums, NULL, rows);
  run->task.drawn = NULL;
  int first, last;
  cohort_lane_engine_own(run->engine, &first, &last);
  run->counters.flops += (last - first) * cohort_plan_flops(graph->plan) * (double)work->samples / run->lanes;
}

/* Of the outputs at a point from those at the weights: the mean over the batch. */
static cohort_status ask_divergence(cohort_run *run, batch_work work, int64_t count, double *divergence,
                                    cohort_error *error) {
  const cohort_lane_graph *graph = run->subject[COHORT_LANE_DIVERGENCE];
  const cohort_updater_needs needs = cohort_updater_needs_of(run->updater);
  double sums[COHORT_MAX_SCALARS];
  work.graph = graph;
  work.prefetch = run->subject_prefetch[COHORT_LANE_DIVERGENCE];
  work.next = NULL;
  if (run->sharding < COHORT_SHARDING_PARAMETERS) cohort_updater_wait(run->updater);
  run_batch(run, &work, 0, sums, NULL);
  COHORT_TRY(left(run, error));
  *divergence = 0;
  for (int i = 0; i < graph->objectives; i++) *divergence += needs.weight[i] * (sums[i] / (double)count);
  return COHORT_DONE;
}

static cohort_status ask_batch(void *argument, const cohort_ask *ask, void **rows, double *losses,
                               cohort_error *error) {
  step_oracle *oracle = argument;
  cohort_run *run = oracle->run;
  const int64_t batch = run->settings->batch;
  int64_t count = run->task.functions->count(&run->task, COHORT_SPLIT_TRAIN, batch);
  cohort_prefetch *prefetch = NULL;
  const cohort_lane_graph *graph = graph_for(run, ask, &prefetch);
  const float *direction = graph->options.hessian_product ? ask->direction : NULL;
  batch_work work = {.run = run,
                     .graph = graph,
                     .prefetch = prefetch,
                     .split = COHORT_SPLIT_TRAIN,
                     .base = run->samples,
                     .samples = batch,
                     .inverse_count = 1.0 / (double)count,
                     .point = ask->point,
                     .space = oracle->space,
                     .clip = ask->clip,
                     .direction = direction ? run->direction : NULL,
                     .key = cohort_run_key(run->settings, "batch", run->step),
                     .next = oracle->asked || oracle->first || ask->labels || ask->fisher ? NULL : run->spaces.next};
  const cohort_shards *shards = cohort_updater_shards(run->updater);
  for (int b = 0; direction && b < shards->buckets; b++) run->direction[b] = direction + shards->bucket[b].offset;
  double sums[COHORT_MAX_SCALARS];
  const int vectors = graph->options.gradients ? graph->vectors + graph->options.hessian_product : 0;
  float *sum = NULL;
  if (ask->clip > 0)
    run_clipped(run, &work, sums, &sum);
  else
    run_batch(run, &work, vectors, sums, &sum);
  COHORT_TRY(left(run, error));
  if (run->sampled) count = run->task.functions->count(&run->task, COHORT_SPLIT_TRAIN, work.samples);
  *rows = oracle->rows = sum;
  oracle->gradient = ask->gradient;
  for (int i = 0; i < graph->objectives; i++) losses[i] = oracle->losses[i] = count ? sums[i] / (double)count : 0;
  if (ask->divergence) COHORT_TRY(ask_divergence(run, work, count, ask->divergence, error));
  if (!ask->labels && !ask->fisher && oracle->asked++ == 0) {
    memcpy(oracle->sums, sums, sizeof sums);
    oracle->count = count;
  }
  return COHORT_DONE;
}

/* A further player has its gradient from the pass that gave the first one's, unless the first has asked again since. */
static cohort_status ask_along(void *argument, const cohort_ask *ask, void **rows, double *losses,
                               cohort_error *error) {
  step_oracle *oracle = argument;
  const step_oracle *first = oracle->first;
  float *all = first->rows;
  if (first->asked == 1 && first->gradient) {
    memcpy(losses, first->losses, (size_t)oracle->run->task.objectives * sizeof *losses);
  } else {
    void *own = NULL;
    COHORT_TRY(ask_batch(oracle, ask, &own, losses, error));
    all = own;
  }
  *rows = all + oracle->run->spaces.layout->first[oracle->space];
  return COHORT_DONE;
}

static cohort_status ask_clients(void *argument, const cohort_ask *ask, void **rows, double *losses,
                                 cohort_error *error) {
  const step_oracle *oracle = argument;
  cohort_run *run = oracle->run;
  cohort_updater_wait(run->updater);
  COHORT_TRY(cohort_federation_run(run->federation, ask->point->vector->values, rows, losses, error));
  run->counters.flops += (double)cohort_federation_steps(run->federation, true) *
                         cohort_plan_flops(cohort_federation_graph(run->federation)->plan);
  return COHORT_DONE;
}

/* What a driver keeps may have changed after its first answer: only a step that changes nothing before its update may
 * be left then. */
static void hold(void *argument, bool holds) {
  cohort_run *run = ((const step_oracle *)argument)->run;
  for (int e = 0; e < cohort_lane_engine_executors(run->engine); e++)
    cohort_executor_stop_on(run->context[e].executor, holds ? NULL : run->stop);
}

static const double *squares_of(void *argument) {
  const step_oracle *oracle = argument;
  return cohort_lane_engine_squares(oracle->run->engine) + oracle->run->spaces.layout->first_piece[oracle->space];
}

/* The columns of a batch or split from its sums. */
static void fill_row(const cohort_run *run, cohort_split split, int64_t count, const double *sums,
                     cohort_run_row *row) {
  const int objectives = run->task.objectives;
  row->loss = 0;
  const cohort_updater_needs needs = cohort_updater_needs_of(run->updater);
  for (int i = 0; i < objectives; i++) row->loss += needs.weight[i] * (sums[i] / (double)count);
  for (int m = 0; m < COHORT_MAX_METRICS; m++) row->columns[m] = NAN;
  cohort_task_derive(&run->task, split, count, sums + objectives, row->loss, row->columns);
}

/* The other players' turn: the step has begun, and is not left. */
static cohort_status move_others(cohort_run *run, step_oracle *first, cohort_run_row *row, cohort_error *error) {
  cohort_status status = COHORT_DONE;
  hold(first, true);
  for (int s = 1; s < run->spaces.trained && status == COHORT_DONE; s++) {
    const int64_t every = run->player[s].every;
    if ((run->step + 1) % every != 0) continue;
    step_oracle own = {.run = run, .space = s, .first = first};
    const cohort_oracle oracle = {.argument = &own,
                                  .objectives = run->task.objectives,
                                  .samples = run->settings->batch,
                                  .ask = ask_along,
                                  .squares = squares_of};
    cohort_step_report report;
    status = cohort_updater_step(run->player[s].updater, &oracle, run->step / every, run->settings->steps / every,
                                 &report, error);
    row->report.applied = row->report.applied && report.applied;
  }
  hold(first, false);
  return status;
}

static cohort_status update(cohort_run *run, cohort_run_row *row, cohort_error *error) {
  step_oracle own = {.run = run};
  if (run->federation && cohort_federation_asks(run->federation)) cohort_updater_wait(run->updater);
  if (run->federation && !cohort_federation_begin(run->federation, run->step))
    return cohort_run_pass_round(run, row, error);
  cohort_spaces_begin(&run->spaces);
  const int64_t labels =
      run->federation ? 0 : run->task.functions->count(&run->task, COHORT_SPLIT_TRAIN, run->settings->batch);
  own.count = labels;
  const cohort_oracle oracle = {.argument = &own,
                                .objectives = run->task.objectives,
                                .samples = run->settings->batch,
                                .noise = cohort_sampled_noise(run->sampled),
                                .labels = labels,
                                .ask = run->federation ? ask_clients : ask_batch,
                                .squares = run->federation ? NULL : squares_of,
                                .hold = hold};
  COHORT_TRY(cohort_updater_step(run->updater, &oracle, run->step, run->settings->steps, &row->report, error));
  if (row->report.applied && run->spaces.trained > 1) COHORT_TRY(move_others(run, &own, row, error));
  if (own.asked && row->report.applied) cohort_spaces_commit(&run->spaces);
  if (run->federation) {
    cohort_run_end_round(run, row);
  } else {
    fill_row(run, COHORT_SPLIT_TRAIN, own.count, own.sums, row);
    cohort_run_fill_account(run, row);
    run->samples += run->settings->batch;
  }
  return COHORT_DONE;
}

static cohort_status take_step(cohort_run *run, bool flag, cohort_run_row *row, cohort_error *error) {
  memset(row, 0, sizeof *row);
  COHORT_TRY(cohort_run_prepare(run, error));
  COHORT_TRY(run->task.spaces ? update(run, row, error) : cohort_run_block(run, row, error));
  if (run->task.functions->commit) run->task.functions->commit(&run->task, row->report.applied);
  if (row->report.applied && cohort_spaces_some_follow(&run->spaces)) {
    cohort_run_wait_for_weights(run);
    cohort_spaces_follow(&run->spaces, run->step + 1, run->sharding == COHORT_SHARDING_PARAMETERS,
                         cohort_lane_engine_team(run->engine));
  }
  run->step++;
  run->begun = true;
  run->ended = false;
  int first, last;
  cohort_lane_engine_own(run->engine, &first, &last);
  for (int lane = first; lane < last && !run->federation; lane++) {
    int64_t begin, end;
    cohort_lane_samples(run->settings->batch, run->lanes, lane, &begin, &end);
    run->counters.samples += end - begin;
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
  cohort_point point = cohort_updater_point(run->updater);
  const cohort_vector *evaluated = run->begun ? cohort_updater_evaluated(run->updater) : NULL;
  if (evaluated) point.vector = evaluated;
  cohort_vector of_strategy = {NULL};
  if (run->federation && run->begun) {
    const char *name;
    of_strategy.values =
        (float *)(uintptr_t)cohort_clients_evaluated(cohort_federation_clients(run->federation), &name);
    if (of_strategy.values) point.vector = &of_strategy;
  }
  for (int64_t base = 0; base < samples; base += batch) {
    batch_work work = {.run = run,
                       .graph = run->evaluate,
                       .prefetch = run->evaluate_prefetch,
                       .split = split,
                       .base = base,
                       .samples = samples - base < batch ? samples - base : batch,
                       .lane_samples = capacity,
                       .inverse_count = 1,
                       .point = &point};
    double sums[COHORT_MAX_SCALARS];
    run_batch(run, &work, 0, sums, NULL);
    COHORT_TRY(left(run, error));
    for (int i = 0; i < run->evaluate->scalars; i++) total[i] += sums[i];
  }
  fill_row(run, split, run->task.functions->count(&run->task, split, samples), total, row);
  return COHORT_DONE;
}

cohort_status cohort_run_forward(cohort_run *run, cohort_split split, int64_t base, int64_t samples,
                                 int64_t lane_samples, float *rows, cohort_error *error) {
  const cohort_point point = cohort_updater_point(run->updater);
  batch_work work = {.run = run,
                     .graph = run->evaluate,
                     .prefetch = run->evaluate_prefetch,
                     .split = split,
                     .base = base,
                     .samples = samples,
                     .lane_samples = lane_samples,
                     .inverse_count = 1,
                     .point = &point,
                     .kept = rows};
  double sums[COHORT_MAX_SCALARS];
  run_batch(run, &work, 0, sums, NULL);
  return left(run, error);
}

void cohort_run_note_evaluation(cohort_run *run, double loss, bool end) {
  run->ended = end;
  if (end) run->before_end = run->best;
  if (run->best.step < 0 || loss < run->best.loss) run->best = (cohort_run_best){run->step, loss};
}

cohort_run_best cohort_run_best_evaluation(const cohort_run *run) { return run->best; }

bool cohort_run_same_schedule(const cohort_run *run, int64_t before, int64_t steps) {
  return run->step < 1 || !run->updater || cohort_updater_same_schedule(run->updater, run->step, before, steps);
}
