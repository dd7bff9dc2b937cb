/* How a player is made from its settings, and how it ends. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/player_state.h"

static const cohort_document *base_of(const cohort_choice *choice) {
  for (const cohort_parameter *p = choice->method->parameters; p && p->name; p++)
    if (p->type == COHORT_PARAMETER_METHOD && strcmp(p->name, "base") == 0)
      return *(const cohort_document *const *)((const char *)choice->config + p->offset);
  return NULL;
}

/* The driver, if the optimizer is one; leaves the update of the rest in *base. */
static void read_driver(cohort_player *player, const cohort_document *optimizer, const cohort_document **base,
                        cohort_document *expanded, cohort_faults *faults) {
  cohort_choice choice = {0};
  cohort_settings_choice(player->plan.variant, "optimizer", optimizer, "optimizer", &choice, expanded, faults);
  *base = optimizer;
  if (!choice.method) return;
  const cohort_optimizer *functions = choice.method->functions;
  if (functions->update) {
    cohort_choice_release(&choice);
    return;
  }
  player->driver = choice;
  *base = base_of(&choice);
  if (!*base) cohort_faults_add(faults, optimizer, "optimizer: %s needs a base", choice.method->key);
  if (functions->shadows > COHORT_MAX_SHADOWS)
    cohort_faults_add(faults, optimizer, "optimizer: %s wants more than %d vectors", choice.method->key,
                      COHORT_MAX_SHADOWS);
}

/* An update's own cost is paid once for so many elements. */
enum { UPDATE_ELEMENTS = 16384 };

static bool goes_on(const cohort_piece *last, const cohort_piece *piece) {
  return last->tensor == piece->tensor && last->offset + last->elements == piece->offset &&
         last->elements + piece->elements <= UPDATE_ELEMENTS;
}

static void own_piece(cohort_player *player, const cohort_piece *piece) {
  if (player->owned_count && goes_on(&player->owned[player->owned_count - 1], piece))
    player->owned[player->owned_count - 1].elements += piece->elements;
  else
    player->owned[player->owned_count++] = *piece;
}

/* Of `all` elements, of which `before` are shared already, to this thread what it is to have of a piece, and the rest
 * to the next ones. Cuts are where lines of the cache are. */
static void share_piece(cohort_player *player, cohort_piece piece, int64_t all, int64_t before, int *thread) {
  enum { LINE = 64 / sizeof(float) };
  const int threads = player->plan.threads;
  while (piece.elements) {
    const int64_t left = all * (*thread + 1) / threads - before, room = left - (piece.offset + left) % LINE;
    const bool last = *thread + 1 == threads || piece.elements <= room;
    const int64_t elements = last ? piece.elements : room;
    if (elements > 0) player->shared[player->share[threads]++] = (cohort_piece){piece.tensor, piece.offset, elements};
    if (last) return;
    player->share[++*thread] = player->share[threads];
    if (elements <= 0) continue;
    piece.offset += elements;
    piece.elements -= elements;
    before += elements;
  }
}

/* Equal shares for threads. Small tensors first: the first thread takes them, as it makes their gradients, and reads
 * them in the next step, alone. */
static void share_owned(cohort_player *player) {
  const cohort_space *space = player->plan.space;
  const int threads = player->plan.threads;
  player->shared = cohort_allocate((size_t)(player->owned_count + threads) * sizeof *player->shared);
  player->share = cohort_allocate((size_t)(threads + 1) * sizeof *player->share);
  int thread = 0;
  int64_t all = 0, before = 0;
  for (int i = 0; i < player->owned_count; i++) all += player->owned[i].elements;
  for (int large = 0; large < 2; large++)
    for (int i = 0; i < player->owned_count; i++) {
      const cohort_piece *piece = &player->owned[i];
      if ((space->tensor[piece->tensor].elements >= UPDATE_ELEMENTS) != large) continue;
      share_piece(player, *piece, all, before, &thread);
      before += piece->elements;
    }
  while (++thread < threads) player->share[thread] = player->share[threads];
}

static void list_work(cohort_player *player) {
  const cohort_space *space = player->plan.space;
  const int threads = player->plan.threads;
  player->owned = cohort_allocate((size_t)(space->pieces + 1) * sizeof *player->owned);
  player->whole = cohort_allocate((size_t)(space->tensors + 1) * sizeof *player->whole);
  player->whole_thread = cohort_allocate((size_t)(space->tensors + 1) * sizeof *player->whole_thread);
  double *load = cohort_allocate((size_t)threads * sizeof *load);
  for (int b = 0; b < player->shards->buckets; b++) {
    const cohort_bucket *bucket = &player->shards->bucket[b];
    player->first_owned[b] = player->owned_count;
    for (int p = bucket->first_piece; p < bucket->last_piece; p++)
      if (player->updates[p] && player->groups.cut[space->piece[p].tensor] == COHORT_CUT_ELEMENT)
        own_piece(player, &space->piece[p]);
  }
  player->first_owned[player->shards->buckets] = player->owned_count;
  share_owned(player);
  for (int t = 0; t < space->tensors; t++) {
    if (player->groups.cut[t] == COHORT_CUT_ELEMENT || !player->updates[space->tensor[t].first_piece]) continue;
    int at = player->whole_count++;
    for (; at > 0 && player->groups.cost[player->whole[at - 1]] < player->groups.cost[t]; at--)
      player->whole[at] = player->whole[at - 1];
    player->whole[at] = t;
  }
  for (int i = 0; i < player->whole_count; i++) {
    int thread = 0;
    for (int other = 1; other < threads; other++)
      if (load[other] < load[thread]) thread = other;
    player->whole_thread[i] = thread;
    load[thread] += player->groups.cost[player->whole[i]];
  }
  free(load);
}

/* Parameters and state are read and written, the gradient is read. */
static double update_bytes(const cohort_player *player, int tensor, int64_t elements) {
  const cohort_group *group = &player->groups.group[player->groups.of_tensor[tensor]];
  int passes = 3 + ((group->choice.method->needs & COHORT_NEEDS_CURVATURE) != 0);
  for (int s = 0; s < group->states; s++) passes += player->groups.state[tensor].per_element[s] ? 2 : 0;
  return (double)passes * sizeof(float) * (double)elements;
}

static void count_bytes(cohort_player *player) {
  const cohort_space *space = player->plan.space;
  for (int i = 0; i < player->owned_count; i++) {
    const cohort_piece *piece = &player->owned[i];
    player->owned_bytes += update_bytes(player, piece->tensor, piece->elements);
  }
  for (int i = 0; i < player->whole_count; i++)
    player->whole_bytes += update_bytes(player, player->whole[i], space->tensor[player->whole[i]].elements);
}

/* Only what is used of it takes memory: of most vectors this rank's shard. */
static cohort_status allocate_vector(const char *purpose, int64_t elements, bool dense, float **out,
                                     cohort_error *error) {
  void *memory = NULL;
  COHORT_TRY(cohort_memory_reserve((size_t)elements * sizeof(float), dense, purpose, &memory, error));
  *out = memory;
  return COHORT_DONE;
}

static cohort_status allocate(cohort_player *player, cohort_error *error) {
  const size_t real = player->plan.kernels->real_size;
  player->workspace_bytes = cohort_round_up((size_t)player->groups.workspace * real, 4096);
  void *memory = NULL;
  COHORT_TRY(cohort_memory_create(player->workspace_bytes * (size_t)player->plan.threads, "optimizer workspace",
                                  &memory, error));
  player->workspace = memory;
  player->piece_sums = cohort_allocate((size_t)(player->plan.space->pieces + 1) * sizeof *player->piece_sums);
  const int64_t elements = player->plan.space->elements;
  if (player->curvature) COHORT_TRY(allocate_vector("curvature draws", elements, true, &player->direction, error));
  if (!player->driver.method) return COHORT_DONE;
  return allocate_vector("gradient", elements, player->plan.holders->count == 1, &player->gradient, error);
}

static cohort_status build(cohort_player *player, cohort_faults *faults, cohort_error *error) {
  const cohort_player_plan *plan = &player->plan;
  const cohort_settings *settings = plan->settings;
  cohort_document *expanded = settings->expanded;
  const cohort_document *base = NULL;
  read_driver(player, plan->optimizer ? plan->optimizer : settings->optimizer, &base, plan->optimizer ? NULL : expanded,
              faults);
  cohort_settings_choice(plan->variant, "schedule", settings->schedule, "schedule", &player->schedule, expanded,
                         faults);
  cohort_settings_choice(plan->variant, "aggregator", settings->aggregator, "aggregator", &player->aggregator, expanded,
                         faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  COHORT_TRY(cohort_groups_create(plan, base, settings->groups, expanded, &player->groups, faults, error));
  for (int g = 0; g < player->groups.count; g++) {
    const cohort_method *method = player->groups.group[g].choice.method;
    if (!(method->needs & COHORT_NEEDS_CURVATURE)) continue;
    player->curvature = true;
    if (player->driver.method)
      cohort_faults_add(faults, settings->optimizer,
                        "optimizer: %s gives its base no curvature, which %s needs; take another",
                        player->driver.method->key, method->key);
  }
  COHORT_TRY(cohort_faults_status(faults, error));
  player->shards =
      cohort_shards_create(plan->space, plan->holders, player->groups.cut, player->groups.cost, plan->sizes);
  player->updates = cohort_allocate((size_t)plan->space->pieces + 1);
  player->arrival = cohort_allocate((size_t)(player->shards->buckets + 1) * sizeof *player->arrival);
  player->first_owned = cohort_allocate((size_t)(player->shards->buckets + 1) * sizeof *player->first_owned);
  for (int p = 0; p < plan->space->pieces; p++)
    player->updates[p] = plan->sharding == COHORT_SHARDING_NONE || cohort_shards_own(player->shards, p);
  COHORT_TRY(cohort_groups_allocate(plan, player->shards, player->updates, &player->groups, error));
  list_work(player);
  count_bytes(player);
  return allocate(player, error);
}

cohort_status cohort_player_create(const cohort_player_plan *plan, cohort_faults *faults, cohort_player **out,
                                   cohort_error *error) {
  cohort_player *player = cohort_allocate(sizeof *player);
  player->plan = *plan;
  player->team = (cohort_team){plan->threads};
  player->key = cohort_random_key_derive_name(cohort_random_key_from_seed((uint64_t)plan->settings->seed), "player");
  const cohort_status status = build(player, faults, error);
  if (status != COHORT_DONE) {
    cohort_player_destroy(player);
    return status;
  }
  *out = player;
  return COHORT_DONE;
}

void cohort_player_destroy(cohort_player *player) {
  if (!player) return;
  cohort_choice_release(&player->schedule);
  cohort_choice_release(&player->aggregator);
  cohort_choice_release(&player->driver);
  cohort_groups_release(&player->groups);
  cohort_shards_destroy(player->shards);
  cohort_memory_release(player->workspace);
  cohort_memory_release(player->direction);
  cohort_memory_release(player->gradient);
  for (int s = 0; s < COHORT_MAX_SHADOWS; s++) cohort_vector_release(&player->shadow[s]);
  free(player->updates);
  free(player->arrival);
  free(player->first_owned);
  free(player->piece_sums);
  free(player->owned);
  free(player->shared);
  free(player->share);
  free(player->whole);
  free(player->whole_thread);
  free(player);
}

char *cohort_player_describe(const cohort_player *player) {
  char *text = cohort_copy_text("");
  for (int g = 0; g < player->groups.count; g++) {
    int tensors = 0;
    int64_t parameters = 0;
    for (int t = 0; t < player->plan.space->tensors; t++)
      if (player->groups.of_tensor[t] == g) {
        tensors++;
        parameters += player->plan.space->tensor[t].elements;
      }
    char *longer = cohort_format_text("%s%soptimizer %s%s%s: %d tensors, %lld parameters", text, g ? "\n" : "",
                                      player->driver.method ? player->driver.method->key : "",
                                      player->driver.method ? " over " : "", player->groups.group[g].choice.method->key,
                                      tensors, (long long)parameters);
    free(text);
    text = longer;
  }
  return text;
}
