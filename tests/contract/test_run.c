/* Every method of every family that a config can name, by enumeration: trained on 1, 2 and 3 ranks with 1 and 2
 * threads, under one sharding after another, saved half way by two ranks and resumed by three, it gives the same bits.
 */
#include <math.h>
#include <sys/stat.h>

#include "contract/run_fixture.h"
#include "method/privacy/privacy.h"
#include "method/reward/reward.h"
#include "train/run/keys.h"

#define IMAGES "data: {train_images: DATA/images, train_labels: DATA/labels}\n"
#define SUPERVISED "task: supervised\nbatch: 10\nlanes: 5\n" IMAGES
#define SUPERVISED_BY(words) \
  "task: supervised\nbatch: 10\nlanes: 5\ndata: {train_images: DATA/images, train_labels: DATA/labels, " words "}\n"
#define MLP "model: {mlp: {hidden: 39, layers: 1, dropout: 0.1}}\n"
#define GPT "model: {gpt: {layers: 1, width: 16, heads: 2, context: 24, dropout: 0.1}}\n"
#define COMPLETIONS(words) \
  "task: preference\nbatch: 5\nlanes: 5\nclip: 0.5\ndata: {" words "}\n" GPT SGD "preference: KEY\n"
/* A federation with these words, of clients that take two steps of five samples. */
#define FEDERATED(words) \
  "federated: {" words ", local_steps: 2, local_batch: 5, client: {sgd: {learning_rate: 0.05}}}\n"
/* A policy that is rewarded so. */
#define REWARDED(reward)                                                     \
  "task: {policy: {reward: " reward                                          \
  ", group: 2, prompt: 4, completion: 5, updates: 3}}\nbatch: 5\nlanes: 5\n" \
  "data: {text: DATA/text}\n" GPT SGD
#define SGD "optimizer: {sgd: {learning_rate: 0.05, momentum: 0.9}}\n"

enum { CONFIGS = 8 };

/* How a method of a family stands in a config: in the place of KEY. The first config that takes it is trained. */
typedef struct placement {
  const char *family, *config[CONFIGS];
} placement;

static const placement placements[] = {
    {"optimizer",
     {SUPERVISED MLP "clip: 0.5\noptimizer: KEY\n", SUPERVISED MLP "optimizer: KEY\n",
      SUPERVISED MLP "clip: 0.5\noptimizer: adamw\ngroups: [{role: matrix, optimizer: KEY}]\n"}},
    {"model",
     {SUPERVISED SGD "clip: 0.5\nmodel: KEY\n",
      "task: language\nbatch: 6\nlanes: 5\nclip: 0.5\ndata: {text: DATA/text}\n" SGD "model: {KEY: {context: 24}}\n",
      NULL}},
    {"loss",
     {SUPERVISED MLP SGD "loss: KEY\n", SUPERVISED_BY("group: y") MLP SGD "loss: {KEY: {groups: 4}}\n",
      SUPERVISED_BY("views: 2, crop: 1") MLP SGD "loss: KEY\n",
      "task: supervised\nbatch: 10\nlanes: 5\ndata: {train_images: DATA/images, train_labels: DATA/halves}\n" MLP SGD
      "loss: KEY\n"}},
    {"preference",
     {COMPLETIONS("train: DATA/lists.jsonl"), COMPLETIONS("lines: DATA/text, pairs: 30"),
      COMPLETIONS("train: DATA/pairs.jsonl"), COMPLETIONS("train: DATA/unpaired.jsonl"),
      COMPLETIONS("train: DATA/stepwise.jsonl"), NULL}},
    {"aggregator", {SUPERVISED MLP SGD "losses: [cross_entropy, mse]\naggregator: KEY\n", NULL, NULL}},
    {"schedule", {SUPERVISED MLP SGD "schedule: KEY\n", NULL, NULL}},
    {"bandit", {"task: {bandit: {learner: KEY, arms: 3, features: 2, rounds: 20}}\nbatch: 8\nlanes: 4\n", NULL, NULL}},
    {"policy",
     {"task: {policy: {loss: KEY, reward: {contains: e}, group: 2, prompt: 4, completion: 5, updates: 3}}\nbatch: 5\n"
      "lanes: 5\nclip: 0.5\ndata: {text: DATA/text}\n" GPT SGD,
      NULL, NULL}},
    {"reward",
     {REWARDED("KEY"), REWARDED("{KEY: e}"), REWARDED("{KEY: 3}"), REWARDED("{KEY: [{contains: e}, {length: 3}]}")}},
    {"federated",
     {"task: supervised\n" IMAGES MLP "federated: {strategy: KEY, population: {dirichlet: {clients: 6, alpha: 0.5}}, "
      "clients_per_round: 4, local_steps: 2, local_batch: 5, client: {sgd: {learning_rate: 0.05}}}\n",
      NULL, NULL}},
    {"partition",
     {"task: supervised\n" IMAGES MLP FEDERATED("population: KEY, clients_per_round: 4"),
      "task: supervised\n" IMAGES MLP FEDERATED("population: {KEY: {clients: 6}}, clients_per_round: 4"),
      "task: supervised\n" MLP FEDERATED("population: {KEY: {clients: 6}}, clients_per_round: 4"),
      "task: supervised\n" IMAGES MLP FEDERATED("population: {KEY: {column: y}}, clients_per_round: 3"),
      "task: supervised\n" IMAGES MLP FEDERATED("population: {KEY: {path: DATA/owners.csv}}, clients_per_round: 4"),
      "task: language\ndata: {text: DATA/text}\n" GPT FEDERATED(
          "population: {KEY: {pattern: \"^line ([0-9])\"}}, clients_per_round: 4"),
      "task: language\ndata: {text: DATA/verses}\n" GPT FEDERATED("population: KEY, clients_per_round: 3"),
      "task: supervised\ndata: {train: DATA/leaf.json}\n" MLP FEDERATED("population: KEY, clients_per_round: 3")}},
    {"sampler",
     {"task: supervised\n" IMAGES MLP FEDERATED(
         "sampler: KEY, population: {dirichlet: {clients: 9}}, clients_per_round: 4, "
         "clock: {compute_spread: 1, link_spread: 1, dropout: 0.1, available: 0.9}")}},
    {"asynchronous",
     {"task: supervised\n" IMAGES MLP FEDERATED(
         "asynchronous: KEY, population: {dirichlet: {clients: 12}}, clients_per_round: 7, "
         "clock: {compute_spread: 1, link_spread: 1, dropout: 0.1}")}},
    {"robust",
     {"task: supervised\n" IMAGES MLP "federated: {robust: KEY, attack: {alie: {share: 0.3, z: 1}}, "
      "population: {dirichlet: {clients: 6, alpha: 0.5}}, clients_per_round: 5, local_steps: 2, local_batch: 5, "
      "client: {sgd: {learning_rate: 0.05}}}\n",
      NULL, NULL}},
    {"attack",
     {"task: supervised\n" IMAGES MLP "federated: {attack: {KEY: {share: 0.5}}, population: {dirichlet: {clients: 6, "
      "alpha: 0.5}}, clients_per_round: 4, local_steps: 2, local_batch: 5, client: {sgd: {learning_rate: 0.05}}}\n",
      NULL, NULL}},
    {"privacy",
     {"task: supervised\n" IMAGES MLP FEDERATED(
          "privacy: KEY, sampler: poisson, population: {dirichlet: {clients: 9}}, clients_per_round: 4"),
      "task: supervised\n" IMAGES MLP FEDERATED(
          "privacy: KEY, sampler: cyclic, population: {dirichlet: {clients: 8}}, clients_per_round: 4"),
      "task: supervised\n" IMAGES MLP FEDERATED(
          "privacy: KEY, population: {dirichlet: {clients: 4}}, clients_per_round: 4")}},
};

static const char *const shardings[] = {"none", "optimizer", "gradients", "parameters"};

static const placement *placement_of(const char *family) {
  for (size_t i = 0; i < sizeof placements / sizeof *placements; i++)
    if (strcmp(placements[i].family, family) == 0) return &placements[i];
  return NULL;
}

/* What is trained: a method as a config writes it. */
typedef struct subject {
  const placement *own;
  const cohort_method *method;
  const char *written; /* its key, or {KEY: {PARAMETER: value}} */
} subject;

static bool has_model(const char *config) { return strstr(config, "data:") != NULL; }

/* `method` is a key, or {KEY: {...}}. What has a model is spread over the ranks. */
static char *with_method(const char *config, const char *method, const char *sharding) {
  cohort_text text = {.text = NULL};
  const char *hole = strstr(config, "KEY");
  cohort_text_put(&text, "steps: %d\nseed: 3\nbind: none\n%.*s%s%s", RUN_STEPS, (int)(hole - config), config, method,
                  hole + 3);
  if (has_model(config)) cohort_text_put(&text, "bucket: 0.001\nsharding: %s\n", sharding);
  return text.text;
}

/* A new one. */
static char *folder(void) {
  static int count;
  char *path = cohort_format_text("%s/%d", run_scratch, count++);
  CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
  return path;
}

/* Runs the world under the next sharding of the round that the method's config may have; whether it came to its end. */
static bool runs(run_world *world, const char *config, const subject *of, int *turn, const char *what) {
  cohort_status status = COHORT_BAD_CONFIG;
  for (int tries = 0; tries < 4 && status == COHORT_BAD_CONFIG; tries++) {
    char *own = with_method(config, of->written, shardings[(*turn)++ % 4]);
    world->config = own;
    status = run_world_run(world);
    free(own);
    if (!strstr(world->error.text, ": sharding: ")) break;
  }
  if (status != COHORT_DONE)
    fprintf(stderr, "\n  %s %s: %s: status %d: %s\n", of->method->family, of->written, what, (int)status,
            world->error.text);
  if (world->differ) fprintf(stderr, "\n  %s %s: %s: ranks differ\n", of->method->family, of->written, what);
  CU_ASSERT_EQUAL(status, COHORT_DONE);
  CU_ASSERT_FALSE(world->differ);
  return status == COHORT_DONE && !world->differ;
}

/* Whether two checkpoints hold the same bits, without the line that says so. */
static bool same_checkpoint(const char *a, const char *b) {
  bool equal = false;
  cohort_error error = {0};
  (void)fflush(stdout);
  const int kept = dup(1);
  if (!freopen("/dev/null", "w", stdout)) exit(1);
  if (cohort_checkpoint_compare(a, b, &equal, &error) != COHORT_DONE) fprintf(stderr, "\n  %s\n", error.text);
  (void)fflush(stdout);
  (void)dup2(kept, 1);
  (void)close(kept);
  return equal;
}

static void same(const run_world *a, const char *to_a, const run_world *b, const char *to_b, int first,
                 const subject *of, const char *what) {
  const size_t rows = (size_t)(RUN_STEPS - first) * sizeof *a->row;
  char *left = cohort_format_text("%s/step_%08d.h5", to_a, RUN_STEPS);
  char *right = cohort_format_text("%s/step_%08d.h5", to_b, RUN_STEPS);
  const bool equal = same_checkpoint(left, right);
  const bool same_rows = memcmp(a->row + first, b->row + first, rows) == 0;
  if (!equal || !same_rows)
    fprintf(stderr, "\n  %s %s: %s: %s differ\n", of->method->family, of->written, what,
            equal ? "rows" : "checkpoints");
  CU_ASSERT(equal && same_rows);
  free(left);
  free(right);
}

/* Memory behind every allocation, for guards; and allocations counted while a step is under way. */
enum { TAIL = 64, GUARD = 0xA5 };
static _Atomic bool counts;
static bool grows; /* rounds differ in size: one that is larger than all before takes more memory */
static _Atomic int allocations;
#ifndef COHORT_SANITIZED
extern void *__libc_malloc(size_t bytes), *__libc_calloc(size_t count, size_t bytes),
    *__libc_realloc(void *memory, size_t bytes), *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes) {
  allocations += counts;
  return __libc_malloc(bytes + TAIL);
}

void *calloc(size_t count, size_t bytes) {
  allocations += counts;
  return bytes && count > (PTRDIFF_MAX - TAIL) / bytes ? NULL : __libc_calloc(1, count * bytes + TAIL);
}

void *realloc(void *memory, size_t bytes) {
  allocations += counts;
  return __libc_realloc(memory, bytes + TAIL);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
  allocations += counts;
  return __libc_memalign(alignment, bytes + TAIL);
}
#endif

static bool has_tails(void) {
#ifdef COHORT_SANITIZED
  return false; /* the sanitizer has its own */
#else
  return !check_under_valgrind();
#endif
}

/* Calls for every run of bytes that belongs to nobody: between what one tensor has of a slot and what the next has, and
 * behind the slot. Returns how many bytes are not `guard`; with `write` they become it. */
static int64_t visit_gap(unsigned char *at, size_t bytes, bool write, unsigned char guard) {
  int64_t wrong = 0;
  for (size_t i = 0; i < bytes; i++) {
    wrong += at[i] != guard;
    if (write) at[i] = guard;
  }
  return wrong;
}

static int64_t visit_gaps(const cohort_run *run, bool write, unsigned char guard) {
  const cohort_updater *updater = cohort_run_updater(run);
  int64_t wrong = 0;
  for (int s = 0; updater && s < cohort_updater_slots(updater); s++) {
    const cohort_slot *slot = cohort_updater_slot(updater, s);
    const size_t number = cohort_updater_type_size(updater, slot->type), all = cohort_slot_bytes(updater, slot);
    unsigned char *values = slot->values;
    for (int t = 0; t < slot->tensors; t++) {
      size_t end = number;
      for (int a = 0; a < slot->tensor[t].axes; a++) end *= (size_t)slot->tensor[t].size[a];
      end += (size_t)slot->tensor[t].offset * number;
      const size_t next = t + 1 < slot->tensors ? (size_t)slot->tensor[t + 1].offset * number : all;
      wrong += visit_gap(values + end, next - end, write, guard);
    }
    if (has_tails()) wrong += visit_gap(values + all, TAIL, write, guard);
  }
  return wrong;
}

/* The padding is zero in checkpoints, so it becomes that again. */
static void watch_alone(run_world *world, cohort_comm *comm, cohort_run *run, int64_t step, bool after) {
  int64_t *wrong = world->argument;
  (void)comm;
  if (step == 0 && !after) (void)visit_gaps(run, true, GUARD);
  /* What is made once is there by then. A repeat of a task without a model is no step, and has memory of its own; so
   * has what a task makes before a step: rollouts. */
  counts = !grows && !after && step >= 2 && cohort_run_space(run, 0) && !cohort_run_task(run)->functions->prepare;
  if (step == RUN_STEPS - 1 && after) {
    *wrong = visit_gaps(run, false, GUARD);
    (void)visit_gaps(run, true, 0);
  }
}

/* The first config of its family that takes the method, and in `alone` what one rank makes of it; NULL: none does. */
static const char *train_alone(const subject *of, run_world *alone, char *to) {
  int64_t wrong = 0;
  allocations = 0;
  for (int i = 0; i < CONFIGS && of->own->config[i]; i++) {
    char *config = with_method(of->own->config[i], of->written, "optimizer");
    *alone =
        (run_world){.config = config, .ranks = 1, .threads = 1, .to = to, .watch = watch_alone, .argument = &wrong};
    const cohort_status status = run_world_run(alone);
    free(config);
    if (wrong) fprintf(stderr, "\n  %s %s: writes behind what it owns\n", of->method->family, of->written);
    if (allocations)
      fprintf(stderr, "\n  %s %s: %d allocations in steps\n", of->method->family, of->written, allocations);
    CU_ASSERT(wrong == 0 && allocations == 0);
    if (status == COHORT_DONE) return of->own->config[i];
    if (status == COHORT_BAD_CONFIG || status == COHORT_BAD_DATA) continue; /* of another shape */
    fprintf(stderr, "\n  %s %s: %s\n", of->method->family, of->written, alone->error.text);
    CU_FAIL("it fails");
    return NULL;
  }
  return NULL;
}

/* The last rank's weights are not numbers in one step: what all the ranks kept before it they keep after it. */
typedef struct refusal {
  const cohort_method *method;
  char *kept[3];  /* of each rank: weights, then slots */
  bool applied;   /* the step that should not have been */
  int64_t differ; /* bytes */
} refusal;

enum { POISONED_STEP = 3 };

static size_t copy_kept(const cohort_run *run, char *to) {
  const cohort_updater *updater = cohort_run_updater(run);
  size_t at = 0;
  const cohort_space *space;
  for (int n = 0; (space = cohort_run_space(run, n)); n++) {
    const size_t bytes = (size_t)space->elements * sizeof(float);
    if (to) memcpy(to + at, space->values, bytes);
    at += bytes;
  }
  const cohort_space *state = cohort_run_state(run); /* of losses and models */
  if (state && to) memcpy(to + at, state->values, (size_t)state->elements * sizeof(float));
  if (state) at += (size_t)state->elements * sizeof(float);
  for (int s = 0; s < cohort_updater_slots(updater); s++) {
    const cohort_slot *slot = cohort_updater_slot(updater, s);
    if (slot->scratch) continue;
    if (to) memcpy(to + at, slot->values, cohort_slot_bytes(updater, slot));
    at += cohort_slot_bytes(updater, slot);
  }
  return at;
}

static void watch_refusal(run_world *world, cohort_comm *comm, cohort_run *run, int64_t step, bool after) {
  refusal *own = world->argument;
  const cohort_space *space = cohort_run_space(run, 0);
  const size_t bytes = copy_kept(run, NULL);
  if (step != POISONED_STEP) return;
  if (!after) {
    cohort_run_wait(run);
    cohort_comm_barrier(comm);
    own->kept[comm->rank] = cohort_allocate(bytes);
    (void)copy_kept(run, own->kept[comm->rank]);
    if (comm->rank == comm->size - 1)
      for (int64_t e = 0; e < space->elements; e++) space->values[e] = NAN;
    cohort_comm_barrier(comm);
    return;
  }
  cohort_run_wait(run);
  cohort_comm_barrier(comm);
  if (comm->rank == comm->size - 1)
    memcpy(space->values, own->kept[comm->rank], (size_t)space->elements * sizeof(float));
  char *now = cohort_allocate(bytes);
  (void)copy_kept(run, now);
  for (size_t i = 0; i < bytes; i++)
    if (now[i] != own->kept[comm->rank][i]) own->differ++;
  free(now);
  free(own->kept[comm->rank]);
}

static void check_refusal(const char *config, const cohort_method *method) {
  refusal own = {.method = method};
  char *text = with_method(config, method->key, "none");
  run_world world = {.config = text, .ranks = 2, .threads = 1, .watch = watch_refusal, .argument = &own};
  const cohort_status status = run_world_run(&world);
  const bool refused = status == COHORT_DONE && !world.row[POISONED_STEP].report.applied;
  if (!refused || world.differ || own.differ)
    fprintf(stderr, "\n  %s %s: weights that are not finite: status %d, %s, %lld bytes changed %s\n", method->family,
            method->key, (int)status, refused ? "refused" : "applied", (long long)own.differ, world.error.text);
  CU_ASSERT(refused && !world.differ && !own.differ);
  free(text);
}

/* "a=1 b=x{c=2}" as YAML: "a: 1, b: {x: {c: 2}}". */
static void put_settings(cohort_text *out, const char *settings) {
  bool inside = false;
  for (const char *c = settings; *c; c++) {
    const char *value = c > settings && c[-1] == '=' ? c : NULL;
    if (value && value[strcspn(value, "{ ")] == '{') {
      inside = true;
      cohort_text_put(out, "{");
    }
    if (*c == '=')
      cohort_text_put(out, ": ");
    else if (*c == '{')
      cohort_text_put(out, ": {");
    else if (*c == '}')
      cohort_text_put(out, inside ? "}}" : "}");
    else
      cohort_text_put(out, *c == ' ' ? ", " : "%c", *c);
  }
}

static bool train_with(const char *config, const char *key, const char *settings, run_world *world) {
  cohort_text method = {.text = NULL};
  cohort_text_put(&method, "{%s: {", key);
  put_settings(&method, settings);
  cohort_text_put(&method, "}}");
  char *text = with_method(config, method.text, "optimizer");
  *world = (run_world){.config = text, .ranks = 1, .threads = 1};
  const bool done = run_world_run(world) == COHORT_DONE;
  free(text);
  free(method.text);
  return done;
}

/* Losses and norms of every step, within what another order of additions may change. */
static void check_identity(const placement *own, const cohort_method *method, const cohort_identity *identity) {
  run_world a, b;
  bool both = false;
  for (int i = 0; i < CONFIGS && own->config[i] && !both; i++)
    both = train_with(own->config[i], method->key, identity->settings, &a) &&
           train_with(own->config[i], identity->method, identity->method_settings, &b);
  double largest = both ? 0 : INFINITY;
  for (int step = 0; both && step < RUN_STEPS; step++) {
    largest = fmax(largest, fabs(a.row[step].loss / b.row[step].loss - 1));
    largest = fmax(largest, fabs(a.row[step].report.gradient_norm / b.row[step].report.gradient_norm - 1));
  }
  if (!(largest <= 1e-4))
    fprintf(stderr, "\n  %s %s: with %s it is not %s %s: %g %s\n", method->family, method->key, identity->settings,
            identity->method, identity->method_settings, largest, both ? "" : a.error.text);
  CU_ASSERT(largest <= 1e-4);
}

/* Trains it in three worlds, which must agree; the config that took it, or NULL. */
static const char *check_bits(const subject *of, int *turn) {
  static const char by_two[] = "2 ranks of 2 threads", by_three[] = "resumed on 3 ranks";
  char *ends[3] = {folder(), folder(), folder()}, *half = folder();
  run_world alone, two = {.ranks = 2, .threads = 2, .half = half, .to = ends[1]};
  run_world three = {.ranks = 3, .threads = 1, .from = half, .to = ends[2]};
  const char *config = train_alone(of, &alone, ends[0]);
  if (!config) fprintf(stderr, "%s", of->written[0] == '{' ? "" : alone.error.text);
  if (config && runs(&two, config, of, turn, by_two)) {
    same(&alone, ends[0], &two, ends[1], 0, of, by_two);
    if (runs(&three, config, of, turn, by_three)) same(&alone, ends[0], &three, ends[2], RUN_HALF, of, by_three);
  }
  for (int i = 0; i < 3; i++) free(ends[i]);
  free(half);
  return config;
}

/* At its defaults; then with every other value of every choice and switch, one at a time, where its rules and the data
 * allow that. */
static void check_method(const placement *own, const cohort_method *method, int *turn) {
  const bool hides = strcmp(method->family, "privacy") == 0; /* among sampled clients */
  grows = hides || strcmp(method->family, "sampler") == 0 || strcmp(method->family, "asynchronous") == 0;
  char *key = hides ? cohort_format_text("{%s: {noise: 0.5}}", method->key) : cohort_copy_text(method->key);
  const char *config = check_bits(&(subject){own, method, key}, turn);
  free(key);
  if (!config) fprintf(stderr, "\n  %s %s: no config takes it\n", method->family, method->key);
  CU_ASSERT_PTR_NOT_NULL(config);
  /* Clients of a server that does not wait begin at other weights than those that are spoiled. */
  const bool looks_at_weights = strcmp(method->family, "asynchronous") != 0;
  if (config && has_model(config) && looks_at_weights) check_refusal(config, method);
  for (const cohort_identity *i = method->identities; i && i->method; i++) check_identity(own, method, i);
  for (const cohort_parameter *p = method->parameters; p && p->name; p++)
    for (int value = 0; p->type == COHORT_PARAMETER_CHOICE ? p->choices[value] != NULL
                                                           : p->type == COHORT_PARAMETER_BOOLEAN && value < 2;
         value++) {
      const char *text = p->type == COHORT_PARAMETER_CHOICE ? p->choices[value] : value ? "true" : "false";
      if (p->standard && strcmp(p->standard, text) == 0) continue;
      char *written = cohort_format_text("{%s: {%s: %s}}", method->key, p->name, text);
      (void)check_bits(&(subject){own, method, written}, turn);
      free(written);
    }
}

/* Of two objectives one alone is what a run of that loss has; a third is refused. */
static void test_one_objective(void) {
  static const char both[] = SUPERVISED MLP "losses: [cross_entropy, mse]\naggregator: pcgrad\noptimizer: KEY\n";
  static const char second[] = SUPERVISED MLP "loss: mse\noptimizer: KEY\n";
  run_world alone, of_two, third;
  CU_ASSERT_FATAL(train_with(second, "sgd", "learning_rate=0.1", &alone));
  CU_ASSERT_FATAL(train_with(both, "single", "objective=2 base=sgd{learning_rate=0.1}", &of_two));
  for (int step = 0; step < RUN_STEPS; step++) {
    const double norm = alone.row[step].report.gradient_norm;
    CU_ASSERT_DOUBLE_EQUAL(of_two.row[step].report.gradient_norm, norm, 1e-6 * norm);
    CU_ASSERT_DOUBLE_EQUAL(of_two.row[step].report.losses[1], alone.row[step].loss, 1e-6 * alone.row[step].loss);
  }
  CU_ASSERT_FALSE(train_with(both, "single", "objective=3", &third));
  CU_ASSERT_PTR_NOT_NULL(strstr(third.error.text, "objective 3, but there are 2"));
}

static void note_family(void *argument, const char *path, const cohort_parameter *key) {
  const char **family = argument; /* becomes NULL where a key holds its methods */
  (void)path;
  if (*family && key->family && strcmp(key->family, *family) == 0) *family = NULL;
}

/* A family that no key of a config holds has nothing to train; nor has an accountant, which is named inside of a
 * mechanism. */
static bool is_trained(const cohort_method *method) {
  const char *family = method->family;
  if (strcmp(family, "privacy") == 0 && !((const cohort_privacy *)method->functions)->fill) return false;
  const cohort_reward *reward = strcmp(family, "reward") == 0 ? method->functions : NULL;
  if (reward && (reward->question || reward->column))
    return false; /* tests/acceptance/rewards has a model, a command */
  cohort_keys_walk(true, note_family, &family);
  return !family;
}

static void test_every_method(void) {
  const cohort_method *method;
  int turn = 0;
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++) {
    const placement *own = is_trained(method) ? placement_of(method->family) : NULL;
    if (!own && is_trained(method))
      fprintf(stderr, "\n  %s %s: no config is known to name it\n", method->family, method->key);
    CU_ASSERT(own || !is_trained(method));
    if (own) check_method(own, method, &turn);
  }
}

int main(void) {
  static const check checks[] = {{"every method, by enumeration", test_every_method},
                                 {"one objective alone", test_one_objective}};
  run_make_data();
  const int status = check_run("contract_run", checks, sizeof checks / sizeof *checks);
  run_remove_data();
  return status;
}
