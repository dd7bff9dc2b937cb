#include "train/player.h"

#include <math.h>
#include <string.h>

#include "method/aggregator/aggregator.h"
#include "method/schedule/schedule.h"
#include "train/player_state.h"

/* What one step knows; drivers and tiles see it through their `implementation` and `argument`. */
typedef struct step_state {
  cohort_player *player;
  const cohort_oracle *oracle;
  cohort_step_report *report;
  int64_t step, asked;
  double factor;
  float *rows; /* of the last ask */
  double gradient_scale;
  const float *gradient, *curvature;
} step_state;

const cohort_shards *cohort_player_shards(const cohort_player *player) { return player->shards; }
const bool *cohort_player_updates(const cohort_player *player) { return player->updates; }

cohort_status cohort_player_connect(cohort_player *player, const cohort_vector *weights, cohort_transfer *transfer,
                                    cohort_error *error) {
  player->weights = weights;
  player->transfer = transfer;
  const cohort_optimizer *driver = player->driver.method ? player->driver.method->functions : NULL;
  for (int s = 0; driver && s < driver->shadows; s++)
    COHORT_TRY(
        cohort_vector_create(player->plan.comm, player->plan.space->elements, "shadow", &player->shadow[s], error));
  return COHORT_DONE;
}

cohort_point cohort_player_point(const cohort_player *player) {
  return (cohort_point){player->weights, player->arrival};
}

void cohort_player_settle(cohort_player *player) {
  for (int b = 0; b < player->shards->buckets; b++)
    if (player->arrival[b]) cohort_transfer_gather_wait(player->transfer, player->arrival[b]);
}

/* Own pieces of a vector are final: they go to all who compute with it. With sharded parameters those who do fetch them
 * when they need them; with nothing sharded everyone has made them. */
static void begin_gather(const cohort_player *player, const cohort_vector *vector, int bucket) {
  if (player->plan.sharding == COHORT_SHARDING_NONE || player->plan.sharding == COHORT_SHARDING_PARAMETERS) return;
  if (player->plan.holders->count == 1) return;
  player->arrival[bucket] =
      cohort_transfer_gather(player->transfer, vector, bucket, vector->values + player->shards->bucket[bucket].offset);
}

cohort_player_needs cohort_player_needs_of(const cohort_player *player) {
  const cohort_optimizer *driver = player->driver.method ? player->driver.method->functions : NULL;
  return (cohort_player_needs){player->curvature, driver ? driver->asks : 1, driver ? driver->shadows : 0};
}

void cohort_player_record(cohort_player *player, cohort_recorder *recorder) { player->recorder = recorder; }

cohort_player_figures cohort_player_take_figures(cohort_player *player) {
  const cohort_player_figures figures = player->figures;
  player->figures = (cohort_player_figures){0};
  return figures;
}

int cohort_player_slots(const cohort_player *player) { return player->groups.slots; }
const cohort_slot *cohort_player_slot(const cohort_player *player, int index) { return &player->groups.slot[index]; }

/* Inner products over a space: float64 per piece, in the order of elements, then the tree over pieces. */
typedef struct dot_job {
  const cohort_player *player;
  const float *a, *b;
} dot_job;

static void dot_piece(void *argument, int64_t p) {
  const dot_job *job = argument;
  const cohort_player *player = job->player;
  if (!cohort_shards_own(player->shards, (int)p)) return;
  const cohort_piece *piece = &player->plan.space->piece[p];
  player->piece_sums[p] = player->plan.kernels->dot(job->a + piece->offset, job->b + piece->offset, piece->elements);
}

static double sum_pieces(const cohort_player *player) {
  return cohort_space_sum(player->plan.space, player->shards, player->plan.comm, player->piece_sums);
}

static double dot(const cohort_player *player, const float *a, const float *b) {
  const double start = cohort_recorder_start(player->recorder);
  dot_job job = {player, a, b};
  cohort_team_run(&player->team, player->plan.space->pieces, dot_piece, &job);
  const double sum = sum_pieces(player);
  const double elements = (double)player->shards->elements[player->plan.holders->number];
  cohort_recorder_stop(player->recorder, COHORT_ACTIVITY_NORM, start, (a == b ? 4 : 8) * elements);
  return sum;
}

/* out = alpha a + beta b on the pieces that this rank updates. */
typedef struct combine_job {
  const cohort_player *player;
  float *out, alpha, beta;
  const float *a, *b;
} combine_job;

static void combine_piece(void *argument, int64_t p) {
  const combine_job *job = argument;
  const cohort_player *player = job->player;
  if (!player->updates[p]) return;
  const cohort_piece *piece = &player->plan.space->piece[p];
  const float *a = job->a + piece->offset, *b = job->b + piece->offset, alpha = job->alpha, beta = job->beta;
  float *out = job->out + piece->offset;
  for (int64_t e = 0; e < piece->elements; e++) out[e] = alpha * a[e] + beta * b[e];
}

static void combine(const cohort_player *player, float *out, double alpha, const float *a, double beta,
                    const float *b) {
  combine_job job = {player, out, (float)alpha, (float)beta, a, b};
  cohort_team_run(&player->team, player->plan.space->pieces, combine_piece, &job);
}

static double largest_loss(const cohort_step_report *report, int objectives) {
  double largest = 0;
  for (int i = 0; i < objectives; i++)
    if (!(fabs(report->losses[i]) <= largest)) largest = fabs(report->losses[i]);
  return largest;
}

/* Asks the oracle at `point`; on the first ask of a step its losses are the step's. Leaves the aggregated gradient in
 * rows. */
static cohort_status ask(step_state *state, const cohort_point *point, cohort_error *error) {
  cohort_player *player = state->player;
  const int objectives = state->oracle->objectives;
  const int64_t elements = player->plan.space->elements;
  double losses[COHORT_MAX_OBJECTIVES];
  COHORT_TRY(state->oracle->ask(state->oracle->argument, point, player->direction, &state->rows, losses, error));
  if (state->asked++ == 0) memcpy(state->report->losses, losses, (size_t)objectives * sizeof *losses);
  if (objectives == 1) return COHORT_DONE;
  const cohort_aggregator *aggregator = player->aggregator.method->functions;
  double products[COHORT_MAX_OBJECTIVES * COHORT_MAX_OBJECTIVES] = {0}, weights[COHORT_MAX_OBJECTIVES];
  for (int i = 0; aggregator->needs_products && i < objectives; i++)
    for (int j = 0; j <= i; j++)
      products[i * objectives + j] = products[j * objectives + i] =
          dot(player, state->rows + i * elements, state->rows + j * elements);
  const cohort_random_key key =
      cohort_random_key_derive(cohort_random_key_derive_name(player->key, "aggregator"), (uint64_t)state->step);
  aggregator->weigh(player->aggregator.config, objectives, products, losses, key, weights);
  combine(player, state->rows, weights[0], state->rows, weights[1], state->rows + elements);
  for (int i = 2; i < objectives; i++)
    combine(player, state->rows, 1, state->rows, weights[i], state->rows + i * elements);
  return COHORT_DONE;
}

static cohort_update update_for(const step_state *state, int tensor) {
  const cohort_player *player = state->player;
  const cohort_group *group = &player->groups.group[player->groups.of_tensor[tensor]];
  const cohort_parameter_tensor *declared = &player->plan.space->tensor[tensor].declared;
  return (cohort_update){.config = group->choice.config,
                         .step = state->step + 1,
                         .learning_rate = group->learning_rate * state->factor,
                         .weight_decay = group->decay && cohort_role_decays(declared->role) ? group->weight_decay : 0,
                         .gradient_scale = state->gradient_scale,
                         .shape = declared->shape,
                         .kernels = player->plan.kernels};
}

static void bind(const step_state *state, cohort_update *update, int tensor, int64_t offset, int64_t elements) {
  const cohort_player *player = state->player;
  const cohort_space_tensor *own = &player->plan.space->tensor[tensor];
  const cohort_group *group = &player->groups.group[player->groups.of_tensor[tensor]];
  update->first = offset - own->offset;
  update->elements = elements;
  update->parameters = player->plan.space->values + offset;
  update->gradient = state->gradient + offset;
  update->curvature = state->curvature ? state->curvature + offset : NULL;
  for (int s = 0; s < group->states; s++) {
    const cohort_tensor_state *stored = &player->groups.state[tensor];
    update->state[s] = stored->state[s] + (stored->per_element[s] ? update->first : 0);
  }
}

static void update_piece(const step_state *state, const cohort_piece *piece) {
  const cohort_player *player = state->player;
  const cohort_team alone = {1};
  cohort_update update = update_for(state, piece->tensor);
  update.team = &alone;
  bind(state, &update, piece->tensor, piece->offset, piece->elements);
  player->groups.group[player->groups.of_tensor[piece->tensor]].functions->update(&update);
}

/* A thread's share lies in its cache, where what came before has left it. Every other step goes through it backwards:
 * what the cache still holds of a share that is larger is what the last step has updated at its end. */
static void update_share(void *argument, int64_t thread) {
  const step_state *state = argument;
  const cohort_player *player = state->player;
  const int first = player->share[thread], last = player->share[thread + 1] - 1;
  for (int i = first; i <= last; i++) update_piece(state, &player->shared[state->step % 2 ? first + last - i : i]);
}

static void update_whole(void *argument, int64_t thread) {
  const step_state *state = argument;
  const cohort_player *player = state->player;
  const cohort_team alone = {1};
  for (int i = 0; i < player->whole_count; i++) {
    if (player->whole_thread[i] != thread) continue;
    const int tensor = player->whole[i];
    const cohort_space_tensor *own = &player->plan.space->tensor[tensor];
    cohort_update update = update_for(state, tensor);
    update.team = &alone;
    update.workspace = player->workspace + (size_t)thread * player->workspace_bytes;
    bind(state, &update, tensor, own->offset, own->elements);
    player->groups.group[player->groups.of_tensor[tensor]].functions->update(&update);
  }
}

typedef struct bucket_job {
  step_state *state;
  int first;
} bucket_job;

static void update_bucket_piece(void *argument, int64_t index) {
  const bucket_job *job = argument;
  update_piece(job->state, &job->state->player->owned[job->first + index]);
}

/* Bucket by bucket in the order in which the next step reads them; each leaves when it is made. */
static void update_buckets(step_state *state) {
  cohort_player *player = state->player;
  for (int b = 0; b < player->shards->buckets; b++) {
    const double start = cohort_clock_seconds();
    bucket_job job = {state, player->first_owned[b]};
    cohort_team_run(&player->team, player->first_owned[b + 1] - job.first, update_bucket_piece, &job);
    player->figures.update_seconds += cohort_clock_seconds() - start;
    begin_gather(player, player->weights, b);
  }
  player->figures.update_bytes += player->owned_bytes;
}

static void run_updates(step_state *state) {
  cohort_player *player = state->player;
  const double start = cohort_clock_seconds();
  if (player->plan.comm->size == 1) {
    cohort_team_run(&player->team, player->plan.threads, update_share, state);
    player->figures.update_seconds += cohort_clock_seconds() - start;
    player->figures.update_bytes += player->owned_bytes;
  }
  if (player->whole_count) cohort_team_run(&player->team, player->plan.threads, update_whole, state);
  if (player->plan.comm->size > 1) update_buckets(state);
  cohort_recorder_stop(player->recorder, COHORT_ACTIVITY_UPDATE, start, player->owned_bytes + player->whole_bytes);
}

/* The gradient's square, without reading it again when the oracle has left it by pieces and nothing has changed since.
 */
static double square_of(const step_state *state, const float *gradient) {
  const cohort_player *player = state->player;
  const cohort_oracle *oracle = state->oracle;
  if (!oracle->squares || oracle->objectives > 1 || gradient != state->rows) return dot(player, gradient, gradient);
  const double start = cohort_recorder_start(player->recorder);
  memcpy(player->piece_sums, oracle->squares(oracle->argument), (size_t)player->plan.space->pieces * sizeof(double));
  const double sum = sum_pieces(player);
  cohort_recorder_stop(player->recorder, COHORT_ACTIVITY_NORM, start, 0);
  return sum;
}

static uint64_t bytes_arrived(const cohort_player *player) {
  return player->plan.comm->bytes_received + player->plan.comm->bytes_shared;
}

/* Norm, clipping, finiteness, updates on the shard, gather. Nothing is stepped before all ranks know the norm. */
static void apply(step_state *state, const float *gradient) {
  cohort_player *player = state->player;
  const double norm = sqrt(square_of(state, gradient));
  const double clip = player->plan.settings->clip;
  state->report->gradient_norm = norm;
  state->report->applied = isfinite(norm) && isfinite(largest_loss(state->report, state->oracle->objectives));
  if (!state->report->applied) return;
  /* torch.nn.utils.clip_grad_norm_'s rule. */
  const double scale = clip > 0 ? clip / (norm + 1e-6) : 1;
  state->gradient_scale = scale < 1 ? scale : 1;
  state->gradient = gradient;
  run_updates(state);
  if (player->plan.overlap) return;
  const double start = cohort_recorder_start(player->recorder);
  const uint64_t before = bytes_arrived(player);
  cohort_player_settle(player);
  cohort_recorder_stop(player->recorder, COHORT_ACTIVITY_GATHER, start, (double)(bytes_arrived(player) - before));
}

static float *vector_of(const cohort_player *player, int vector) {
  if (vector == COHORT_VECTOR_WEIGHTS) return player->plan.space->values;
  if (vector == COHORT_VECTOR_GRADIENT) return player->gradient;
  return player->shadow[vector - COHORT_VECTOR_SHADOW].values;
}

static cohort_status driver_ask(cohort_driver *driver, int point, int gradient, cohort_error *error) {
  step_state *state = driver->implementation;
  cohort_player *player = state->player;
  cohort_point at = cohort_player_point(player);
  if (point >= COHORT_VECTOR_SHADOW) {
    at.vector = &player->shadow[point - COHORT_VECTOR_SHADOW];
    for (int b = 0; b < player->shards->buckets; b++) begin_gather(player, at.vector, b);
  }
  COHORT_TRY(ask(state, &at, error));
  combine(player, vector_of(player, gradient), 1, state->rows, 0, state->rows);
  return COHORT_DONE;
}

static double driver_dot(cohort_driver *driver, int a, int b) {
  const step_state *state = driver->implementation;
  return dot(state->player, vector_of(state->player, a), vector_of(state->player, b));
}

static void driver_combine(cohort_driver *driver, int out, double alpha, int a, double beta, int b) {
  const step_state *state = driver->implementation;
  combine(state->player, vector_of(state->player, out), alpha, vector_of(state->player, a), beta,
          vector_of(state->player, b));
}

static cohort_status driver_update(cohort_driver *driver, int gradient, cohort_error *error) {
  (void)error;
  step_state *state = driver->implementation;
  apply(state, vector_of(state->player, gradient));
  return COHORT_DONE;
}

static void draw_direction(cohort_player *player, int64_t step) {
  const cohort_random_key key =
      cohort_random_key_derive(cohort_random_key_derive_name(player->key, "rademacher"), (uint64_t)step);
  const int64_t elements = player->plan.space->elements;
  for (int64_t first = 0; first < elements; first += 128) {
    const philox4x32_ctr_t words = cohort_random_words(key, 0, (uint64_t)(first / 128));
    const int64_t last = first + 128 < elements ? first + 128 : elements;
    for (int64_t e = first; e < last; e++) player->direction[e] = words.v[(e >> 5) & 3] >> (e & 31) & 1 ? 1.0f : -1.0f;
  }
}

static cohort_status plain_step(step_state *state, cohort_error *error) {
  cohort_player *player = state->player;
  const cohort_point point = cohort_player_point(player);
  COHORT_TRY(ask(state, &point, error));
  if (player->curvature) {
    float *product = state->rows + state->oracle->objectives * player->plan.space->elements;
    for (int p = 0; p < player->plan.space->pieces; p++) {
      const cohort_piece *piece = &player->plan.space->piece[p];
      if (!player->updates[p]) continue;
      for (int64_t e = piece->offset; e < piece->offset + piece->elements; e++) product[e] *= player->direction[e];
    }
    state->curvature = product;
  }
  apply(state, state->rows);
  return COHORT_DONE;
}

cohort_status cohort_player_step(cohort_player *player, const cohort_oracle *oracle, int64_t step, int64_t steps,
                                 cohort_step_report *report, cohort_error *error) {
  const cohort_schedule *schedule = player->schedule.method->functions;
  memset(report, 0, sizeof *report);
  step_state state = {.player = player, .oracle = oracle, .report = report, .step = step};
  state.factor = schedule->factor(player->schedule.config, step, steps);
  report->learning_rate = player->groups.group[player->groups.count - 1].learning_rate * state.factor;
  if (player->curvature) draw_direction(player, step);
  if (!player->driver.method) return plain_step(&state, error);
  cohort_driver driver = {.config = player->driver.config,
                          .step = step + 1,
                          .implementation = &state,
                          .ask = driver_ask,
                          .dot = driver_dot,
                          .combine = driver_combine,
                          .update = driver_update};
  return ((const cohort_optimizer *)player->driver.method->functions)->drive(&driver, error);
}
