/* What moves the weights: norm and clip of a gradient, then the passes of the groups' updates over this rank's ranges,
 * with the sums of each pass exchanged before the next, and the gather of what was made. Invariant: nothing is written
 * before all ranks know that the gradient's norm is finite. A step costs as many passes over the owned elements as the
 * updates declare, and one exchange for each pass that leaves sums. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "update/updater_state.h"

/* Own pieces of a vector are final: they go to all who compute with it. With sharded parameters those who do fetch them
 * when they need them; with nothing sharded everyone has made them. */
void cohort_update_gather(const cohort_updater *updater, const cohort_vector *vector, int bucket) {
  if (updater->options.sharding == COHORT_SHARDING_NONE || updater->options.sharding == COHORT_SHARDING_PARAMETERS)
    return;
  if (updater->options.members->count == 1) return;
  updater->arrival[bucket] = cohort_collective_all_gather(updater->collective, vector, updater->first_bucket + bucket,
                                                          vector->values + updater->shards->bucket[bucket].offset);
}

typedef struct each_job {
  const cohort_updater *updater;
  cohort_piece_function *function;
  void *argument;
} each_job;

static void each_piece(void *argument, int64_t p) {
  const each_job *job = argument;
  if (job->updater->updates[p]) job->function(job->argument, job->updater, (int)p);
}

void cohort_update_each(const cohort_updater *updater, cohort_piece_function *function, void *argument) {
  each_job job = {updater, function, argument};
  cohort_team_run(&updater->team, updater->options.space->pieces, each_piece, &job);
}

/* Inner products over a space: float64 per piece, in the order of elements, then the tree over pieces. */
typedef struct dots_job {
  const cohort_updater *updater;
  int count;
  const void *const *a, *const *b;
} dots_job;

static void dots_piece(void *argument, int64_t p) {
  const dots_job *job = argument;
  const cohort_updater *updater = job->updater;
  if (!cohort_shards_own(updater->shards, (int)p)) return;
  const cohort_piece *piece = &updater->options.space->piece[p];
  const size_t at = (size_t)piece->offset * updater->real;
  for (int i = 0; i < job->count; i++)
    updater->piece_sums[p * job->count + i] =
        updater->options.kernels->dot((const char *)job->a[i] + at, (const char *)job->b[i] + at, piece->elements);
}

static void sum_pieces(cohort_updater *updater, int count, double *out) {
  const cohort_space *space = updater->options.space;
  double *values = updater->piece_sums;
  cohort_comm_name(updater->options.comm, "inner products");
  cohort_update_share(updater, NULL, count, values, updater->packed);
  for (int width = 1; width < space->pieces; width *= 2)
    for (int p = 0; p + width < space->pieces; p += 2 * width)
      for (int i = 0; i < count; i++) values[p * count + i] += values[(p + width) * count + i];
  for (int i = 0; i < count; i++) out[i] = space->pieces ? values[i] : 0;
}

void cohort_update_dots(cohort_updater *updater, int count, const void *const *a, const void *const *b, double *out) {
  const double elements = (double)updater->shards->elements[updater->options.members->number];
  for (int first = 0; first < count; first += updater->dots) {
    const int here = count - first < updater->dots ? count - first : updater->dots;
    const double start = cohort_recorder_start(updater->recorder);
    dots_job job = {updater, here, a + first, b + first};
    cohort_team_run(&updater->team, updater->options.space->pieces, dots_piece, &job);
    sum_pieces(updater, here, out + first);
    cohort_recorder_stop(updater->recorder, COHORT_ACTIVITY_NORM, start,
                         here * (a[first] == b[first] ? 1 : 2) * (double)updater->real * elements);
  }
}

/* out = alpha a + beta b on the pieces that this rank updates. */
typedef struct combine_job {
  char *out;
  double alpha, beta;
  const char *a, *b;
} combine_job;

static void combine_piece(void *argument, const cohort_updater *updater, int p) {
  const combine_job *job = argument;
  const cohort_piece *piece = &updater->options.space->piece[p];
  const size_t at = (size_t)piece->offset * updater->real;
  updater->algebra->combine(piece->elements, job->out + at, job->alpha, job->a + at, job->beta, job->b + at);
}

void cohort_update_combine(const cohort_updater *updater, void *out, double alpha, const void *a, double beta,
                           const void *b) {
  combine_job job = {out, alpha, beta, a, b};
  cohort_update_each(updater, combine_piece, &job);
}

/* What is the same for all ranges of a tensor. */
static cohort_update update_for(const cohort_update_step *step, int tensor) {
  const cohort_updater *updater = step->updater;
  const int g = updater->groups.of_tensor[tensor];
  const cohort_update_group *group = &updater->groups.group[g];
  const cohort_parameter_tensor *declared = &updater->options.space->tensor[tensor].declared;
  const bool decays = step->decay && group->decay && cohort_role_decays(declared->role);
  return (cohort_update){.config = group->choice.config,
                         .step = step->step + 1,
                         .learning_rate = group->learning_rate * step->factor,
                         .weight_decay = decays ? group->weight_decay : 0,
                         .gradient_scale = step->gradient_scale,
                         .loss = step->loss,
                         .key = updater->tensor_key[tensor],
                         .shape = declared->shape,
                         .pass = step->pass,
                         .report = updater->report[g],
                         .kernels = updater->options.kernels,
                         .products = cohort_update_products(updater)};
}

/* Where a state begins for a range: element and row states at the range, others at their start. */
static char *state_at(const cohort_updater *updater, const cohort_update_group *group, int g, int tensor, int s,
                      int64_t first) {
  const cohort_space_tensor *own = &updater->options.space->tensor[tensor];
  const cohort_owner owner = group->choice.method->states[s].owner;
  if (owner == COHORT_OWNER_SPACE) return updater->state.space[g * COHORT_MAX_STATES + s].values;
  const cohort_state_place *place = &updater->state.tensor[tensor * COHORT_MAX_STATES + s];
  int64_t at = 0;
  if (owner == COHORT_OWNER_ELEMENT) at = first * place->each;
  if (owner == COHORT_OWNER_ROW && own->elements)
    at = first * own->declared.shape.size[0] / own->elements * place->each;
  return place->values + (size_t)at * place->number;
}

static void bind(const cohort_update_step *step, cohort_update *update, int tensor, int64_t offset, int64_t elements) {
  const cohort_updater *updater = step->updater;
  const int g = updater->groups.of_tensor[tensor];
  const cohort_update_group *group = &updater->groups.group[g];
  const size_t at = (size_t)offset * updater->real;
  update->first = offset - updater->options.space->tensor[tensor].offset;
  update->elements = elements;
  update->parameters = step->target + at;
  update->gradient = step->gradient + at;
  update->hvp_diagonal = step->hvp_diagonal ? step->hvp_diagonal + at : NULL;
  for (int s = 0; s < group->states; s++) update->state[s] = state_at(updater, group, g, tensor, s, update->first);
}

/* Sums lie with the range's first piece. */
static void bind_sums(const cohort_update_step *step, cohort_update *update, int tensor, int piece) {
  const cohort_updater *updater = step->updater;
  const int g = updater->groups.of_tensor[tensor];
  for (int i = 0; i < updater->groups.group[g].sums; i++)
    update->sum[i] = cohort_update_sum_at(updater, &updater->sums, g, i, piece, step->pass);
}

static const cohort_optimizer *functions_of(const cohort_updater *updater, int tensor) {
  return updater->groups.group[updater->groups.of_tensor[tensor]].functions;
}

/* What an update has made of a range goes back to the least value of its tensors. */
static void keep_bounds(const cohort_update_step *step, int64_t offset, int64_t elements) {
  const cohort_updater *updater = step->updater;
  for (int i = 0; i < updater->bounded_count; i++) {
    const cohort_space_tensor *tensor = &updater->options.space->tensor[updater->bounded[i]];
    const double least = tensor->declared.minimum;
    const int64_t first = tensor->offset > offset ? tensor->offset : offset;
    const int64_t end = tensor->offset + tensor->elements, last = end < offset + elements ? end : offset + elements;
    for (int64_t e = first; e < last; e++)
      if (updater->real == sizeof(float)) {
        float *value = (float *)(void *)step->target + e;
        if ((double)*value < least) *value = (float)least;
      } else {
        double *value = (double *)(void *)step->target + e;
        if (*value < least) *value = least;
      }
  }
}

static void update_piece(const cohort_update_step *step, const cohort_piece *piece) {
  const cohort_team alone = {1};
  cohort_update update = update_for(step, piece->tensor);
  update.team = &alone;
  bind(step, &update, piece->tensor, piece->offset, piece->elements);
  functions_of(step->updater, piece->tensor)->update(&update);
  keep_bounds(step, piece->offset, piece->elements);
}

/* A thread's share lies in its cache, where what came before has left it. Every other step goes through it backwards:
 * what the cache still holds of a share that is larger is what the last step has updated at its end. */
static void update_share(void *argument, int64_t thread) {
  const cohort_update_step *step = argument;
  const cohort_updater *updater = step->updater;
  const int first = updater->share[thread], last = updater->share[thread + 1] - 1;
  for (int i = first; i <= last; i++) update_piece(step, &updater->shared[step->step % 2 ? first + last - i : i]);
}

/* Pieces that are ranges by themselves: every so many-th to each thread, which has a workspace. */
static void update_exact(void *argument, int64_t thread) {
  const cohort_update_step *step = argument;
  const cohort_updater *updater = step->updater;
  const cohort_team alone = {1};
  for (int i = (int)thread; i < updater->exact_count; i += updater->options.threads) {
    const cohort_piece *piece = &updater->options.space->piece[updater->exact[i]];
    const cohort_update_group *group = &updater->groups.group[updater->groups.of_tensor[piece->tensor]];
    if (step->pass >= group->passes) continue;
    cohort_update update = update_for(step, piece->tensor);
    update.team = &alone;
    update.workspace = updater->workspace + (size_t)thread * updater->workspace_bytes;
    bind(step, &update, piece->tensor, piece->offset, piece->elements);
    bind_sums(step, &update, piece->tensor, updater->exact[i]);
    group->functions->update(&update);
    keep_bounds(step, piece->offset, piece->elements);
  }
}

static void update_whole(void *argument, int64_t thread) {
  const cohort_update_step *step = argument;
  const cohort_updater *updater = step->updater;
  const cohort_team alone = {1};
  for (int i = 0; i < updater->whole_count; i++) {
    if (updater->whole_thread[i] != thread) continue;
    const int tensor = updater->whole[i];
    const cohort_space_tensor *own = &updater->options.space->tensor[tensor];
    const cohort_update_group *group = &updater->groups.group[updater->groups.of_tensor[tensor]];
    if (step->pass >= group->passes) continue;
    cohort_update update = update_for(step, tensor);
    update.team = &alone;
    update.workspace = updater->workspace + (size_t)thread * updater->workspace_bytes;
    bind(step, &update, tensor, own->offset, own->elements);
    bind_sums(step, &update, tensor, own->first_piece);
    group->functions->update(&update);
    keep_bounds(step, own->offset, own->elements);
  }
}

/* Whether this rank has the tensor's states of columns and tensor: all ranks do unless it is cut by tensors. */
static bool has_tensor(const cohort_updater *updater, int tensor) {
  return updater->groups.cut[tensor] != COHORT_CUT_TENSOR ||
         updater->updates[updater->options.space->tensor[tensor].first_piece];
}

static void finish_tensors(const cohort_update_step *step) {
  const cohort_updater *updater = step->updater;
  const cohort_space *space = updater->options.space;
  for (int t = 0; t < space->tensors; t++) {
    const cohort_optimizer *functions = functions_of(updater, t);
    if (!functions->finish_tensor || !has_tensor(updater, t) || !space->tensor[t].pieces) continue;
    if (step->pass + 1 >= updater->groups.group[updater->groups.of_tensor[t]].passes) continue;
    cohort_update update = update_for(step, t);
    update.team = &updater->team;
    bind(step, &update, t, space->tensor[t].offset, 0);
    cohort_update_step after = *step;
    after.pass++;
    bind_sums(&after, &update, t, space->tensor[t].first_piece);
    functions->finish_tensor(&update);
  }
}

static void finish_groups(const cohort_update_step *step) {
  const cohort_updater *updater = step->updater;
  for (int g = 0; g < updater->groups.count; g++) {
    const cohort_update_group *group = &updater->groups.group[g];
    if (!group->functions->finish || step->pass + 1 >= group->passes) continue;
    cohort_update update = {.config = group->choice.config,
                            .step = step->step + 1,
                            .learning_rate = group->learning_rate * step->factor,
                            .weight_decay = step->decay && group->decay ? group->weight_decay : 0,
                            .gradient_scale = step->gradient_scale,
                            .loss = step->loss,
                            .key = updater->key,
                            .shape = COHORT_SHAPE(updater->options.space->parameters),
                            .pass = step->pass,
                            .report = updater->report[g],
                            .kernels = updater->options.kernels,
                            .products = cohort_update_products(updater),
                            .team = &updater->team};
    for (int s = 0; s < group->states; s++)
      if (group->choice.method->states[s].owner == COHORT_OWNER_SPACE)
        update.state[s] = updater->state.space[g * COHORT_MAX_STATES + s].values;
    for (int i = 0; i < group->sums; i++)
      if (group->functions->sums[i].over == COHORT_OWNER_SPACE)
        update.sum[i] = &updater->sums.space[g * COHORT_MAX_SUMS + i];
    group->functions->finish(&update);
  }
}

typedef struct bucket_job {
  cohort_update_step *step;
  int first;
} bucket_job;

static void update_bucket_piece(void *argument, int64_t index) {
  const bucket_job *job = argument;
  update_piece(job->step, &job->step->updater->owned[job->first + index]);
}

/* Bucket by bucket in the order in which the next step reads them; each leaves when it is made. */
static void update_buckets(cohort_update_step *step, bool travels) {
  cohort_updater *updater = step->updater;
  for (int b = 0; b < updater->shards->buckets; b++) {
    const double start = cohort_clock_seconds();
    bucket_job job = {step, updater->first_owned[b]};
    cohort_team_run(&updater->team, updater->first_owned[b + 1] - job.first, update_bucket_piece, &job);
    updater->counters.update_seconds += cohort_clock_seconds() - start;
    if (travels) cohort_update_gather(updater, updater->weights, b);
  }
  updater->counters.update_bytes += updater->owned_bytes;
}

/* The passes of ranges that see more than elements. */
static void run_passes(cohort_update_step *step) {
  cohort_updater *updater = step->updater;
  for (step->pass = 0; step->pass < updater->groups.passes; step->pass++) {
    cohort_update_sums_clear(updater, &updater->sums, step->pass);
    if (updater->exact_count) cohort_team_run(&updater->team, updater->options.threads, update_exact, step);
    if (updater->whole_count) cohort_team_run(&updater->team, updater->options.threads, update_whole, step);
    cohort_update_sums_join(updater, &updater->sums, step->pass);
    finish_tensors(step);
    finish_groups(step);
  }
  step->pass = 0;
}

static void run_updates(cohort_update_step *step, bool travels) {
  cohort_updater *updater = step->updater;
  const double start = cohort_clock_seconds();
  if (updater->options.comm->size == 1) {
    cohort_team_run(&updater->team, updater->options.threads, update_share, step);
    updater->counters.update_seconds += cohort_clock_seconds() - start;
    updater->counters.update_bytes += updater->owned_bytes;
  }
  run_passes(step);
  if (updater->options.comm->size > 1) update_buckets(step, travels);
  cohort_recorder_stop(updater->recorder, updater->options.activity, start,
                       updater->owned_bytes + updater->whole_bytes);
}

/* The gradient's square, without reading it again when the oracle has left it by pieces and nothing has changed since.
 */
static double square_of(const cohort_update_step *step, const void *gradient) {
  cohort_updater *updater = step->updater;
  const cohort_oracle *oracle = step->oracle;
  double square;
  if (!oracle->squares || updater->gradients > 1 || gradient != step->rows) {
    cohort_update_dots(updater, 1, &gradient, &gradient, &square);
    return square;
  }
  const double start = cohort_recorder_start(updater->recorder);
  memcpy(updater->piece_sums, oracle->squares(oracle->argument),
         (size_t)updater->options.space->pieces * sizeof(double));
  sum_pieces(updater, 1, &square);
  cohort_recorder_stop(updater->recorder, COHORT_ACTIVITY_NORM, start, 0);
  return square;
}

static uint64_t bytes_arrived(const cohort_updater *updater) {
  return updater->options.comm->bytes_received + updater->options.comm->bytes_shared;
}

void cohort_update_apply(cohort_update_step *step, int target, const void *gradient, const void *hvp_diagonal,
                         bool decay, bool travels, bool *applied) {
  cohort_updater *updater = step->updater;
  const double norm = updater->options.unjudged ? NAN : sqrt(square_of(step, gradient)), clip = updater->options.clip;
  step->report->gradient_norm = norm;
  *applied = updater->options.unjudged || (isfinite(norm) && step->finite);
  if (!*applied) return;
  /* torch.nn.utils.clip_grad_norm_'s rule. */
  const double scale = clip > 0 ? clip / (norm + 1e-6) : 1;
  step->gradient_scale = scale < 1 ? scale : 1;
  step->gradient = gradient;
  step->hvp_diagonal = hvp_diagonal;
  step->decay = decay;
  step->target = cohort_update_vector_values(updater, target);
  run_updates(step, travels);
  if (!travels || updater->options.overlap) return;
  const double start = cohort_recorder_start(updater->recorder);
  const uint64_t before = bytes_arrived(updater);
  cohort_updater_wait(updater);
  cohort_recorder_stop(updater->recorder, COHORT_ACTIVITY_GATHER, start, (double)(bytes_arrived(updater) - before));
}
