/* State commits once a step: whatever keeps state beside the optimizer (aggregators, losses, preference losses, by
 * enumeration) holds the same bits under adamw and under sam at strength 0, which asks twice a step; after the first
 * step it does so at any strength, as sam's second question is about another point; and a step that is refused changes
 * none of it. */
#include <math.h>

#include "contract/run_fixture.h"

#define SUPERVISED                                                         \
  "steps: 6\nseed: 3\nbind: none\ntask: supervised\nbatch: 10\nlanes: 5\n" \
  "data: {train_images: DATA/images, train_labels: DATA/labels}\nmodel: {mlp: {hidden: 19, layers: 1}}\n"
#define GROUPED                                                              \
  "steps: 6\nseed: 3\nbind: none\ntask: supervised\nbatch: 10\nlanes: 5\n"   \
  "data: {train_images: DATA/images, train_labels: DATA/labels, group: y}\n" \
  "model: {mlp: {hidden: 19, layers: 1, norm: batch}}\n"
#define PREFERENCE                                                                                         \
  "steps: 6\nseed: 3\nbind: none\ntask: preference\nbatch: 5\nlanes: 5\ndata: {train: DATA/pairs.jsonl}\n" \
  "model: {gpt: {layers: 1, width: 16, heads: 2, context: 24}}\n"

static const struct {
  const char *family, *config;
} placements[] = {
    {"aggregator", SUPERVISED "losses: [cross_entropy, mse]\naggregator: KEY\n"},
    {"loss", GROUPED "loss: {KEY: {groups: 4}}\n"},
    {"preference", PREFERENCE "preference: KEY\n"},
};
static const char *const once = "optimizer: adamw\n", *const twice = "optimizer: {sam: {rho: 0, base: adamw}}\n",
                         *const elsewhere = "optimizer: {sam: {rho: 0.5, base: adamw}}\n";

enum { MOST_SLOTS = 64, REFUSED_STEP = 3 };

/* What a run keeps. */
typedef struct kept {
  int slots;
  char name[MOST_SLOTS][96];
  size_t bytes[MOST_SLOTS];
  char *values[MOST_SLOTS], *before[MOST_SLOTS], *first[MOST_SLOTS]; /* at the end, before, after the first step */
  float *weights;                                                    /* as they were before they were spoilt */
  bool refuses, moved, applied;
} kept;

/* Of the updater, and behind them what losses and models keep. */
static const void *values_of(const cohort_run *run, int slot) {
  const cohort_updater *updater = cohort_run_updater(run);
  const int slots = cohort_updater_slots(updater);
  return slot < slots ? cohort_updater_slot(updater, slot)->values : cohort_run_state(run)->values;
}

static void keep(kept *own, const cohort_run *run, char **to) {
  const cohort_updater *updater = cohort_run_updater(run);
  const int slots = cohort_updater_slots(updater);
  own->slots = slots + (cohort_run_state(run) != NULL);
  for (int s = 0; s < own->slots; s++) {
    const cohort_slot *slot = s < slots ? cohort_updater_slot(updater, s) : NULL;
    (void)snprintf(own->name[s], sizeof own->name[s], "%s", slot ? slot->name : "state");
    own->bytes[s] = !slot           ? (size_t)cohort_run_state(run)->elements * sizeof(float)
                    : slot->scratch ? 0
                                    : cohort_slot_bytes(updater, slot);
    to[s] = cohort_allocate(own->bytes[s]);
    memcpy(to[s], values_of(run, s), own->bytes[s]);
  }
}

static void watch(run_world *world, cohort_comm *comm, cohort_run *run, int64_t step, bool after) {
  kept *own = world->argument;
  const cohort_space *space = cohort_run_space(run, 0);
  const size_t bytes = (size_t)space->elements * sizeof(float);
  (void)comm;
  if (own->refuses && step == REFUSED_STEP && !after) {
    keep(own, run, own->before);
    own->weights = cohort_allocate(bytes);
    memcpy(own->weights, space->values, bytes);
    for (int64_t e = 0; e < space->elements; e++) space->values[e] = NAN;
  }
  if (own->refuses && step == REFUSED_STEP && after) {
    memcpy(space->values, own->weights, bytes);
    for (int s = 0; s < own->slots; s++)
      own->moved = own->moved || memcmp(own->before[s], values_of(run, s), own->bytes[s]) != 0;
  }
  if (step == 0 && after) keep(own, run, own->first);
  if (step == RUN_STEPS - 1 && after) keep(own, run, own->values);
}

static bool train(const char *config, const char *key, const char *optimizer, bool refuses, kept *out) {
  const char *hole = strstr(config, "KEY");
  char *text = cohort_format_text("%.*s%s%son_nan: skip\n%s", (int)(hole - config), config, key, hole + 3, optimizer);
  *out = (kept){.refuses = refuses};
  run_world world = {.config = text, .ranks = 1, .threads = 1, .watch = watch, .argument = out};
  const cohort_status status = run_world_run(&world);
  if (status != COHORT_DONE) fprintf(stderr, "\n  %s: %s\n", key, world.error.text);
  out->applied = world.row[REFUSED_STEP].report.applied;
  free(text);
  return status == COHORT_DONE;
}

static void release(kept *own) {
  for (int s = 0; s < MOST_SLOTS; s++) {
    free(own->values[s]);
    free(own->before[s]);
    free(own->first[s]);
  }
  free(own->weights);
}

static bool is_optimizers(const char *name) {
  for (const cohort_state *s = cohort_registry_find(COHORT_VARIANT_F64, "optimizer", "adamw")->states; s->name; s++)
    if (strcmp(s->name, name) == 0) return true;
  return false;
}

/* Every state of the first is in the second, with the same bits; `first`: after the first step, the optimizer's apart.
 */
static bool same(const kept *a, const kept *b, bool first) {
  for (int s = 0; s < a->slots; s++) {
    if (first && is_optimizers(a->name[s])) continue;
    int other = 0;
    while (other < b->slots && strcmp(a->name[s], b->name[other]) != 0) other++;
    const char *left = first ? a->first[s] : a->values[s];
    const char *right = other == b->slots ? NULL : first ? b->first[other] : b->values[other];
    if (!right || a->bytes[s] != b->bytes[other] || memcmp(left, right, a->bytes[s]) != 0) {
      fprintf(stderr, "\n  %s differs\n", a->name[s]);
      return false;
    }
  }
  return true;
}

static void check_method(const char *config, const cohort_method *method, bool refuses) {
  kept one, two, other;
  bool ran = train(config, method->key, once, refuses, &one);
  ran = train(config, method->key, twice, refuses, &two) && ran;
  ran = train(config, method->key, elsewhere, refuses, &other) && ran;
  const bool alike = ran && same(&one, &two, false) && same(&one, &other, true);
  const bool refused = ran && (!refuses || (!one.applied && !two.applied && !one.moved && !two.moved));
  if (!alike || !refused)
    fprintf(stderr, "\n  %s %s: %s\n", method->family, method->key,
            alike ? "a refused step changes its state" : "its state is not that of the first answers");
  CU_ASSERT(alike && refused);
  release(&one);
  release(&two);
  release(&other);
}

static void test_state_commits_once(void) {
  const cohort_method *method;
  int seen = 0;
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++)
    for (size_t p = 0; p < sizeof placements / sizeof *placements; p++) {
      if (strcmp(placements[p].family, method->family) != 0 || !method->states) continue;
      check_method(placements[p].config, method, false);
      check_method(placements[p].config, method, true);
      seen++;
    }
  CU_ASSERT(seen > 0);
}

int main(void) {
  static const check checks[] = {{"state commits once a step", test_state_commits_once}};
  run_make_data();
  const int status = check_run("contract_commit", checks, sizeof checks / sizeof *checks);
  run_remove_data();
  return status;
}
