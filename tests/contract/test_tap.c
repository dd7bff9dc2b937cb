/* Training and `probe` agree bit for bit: what a run's optimizer was answered in 20 steps is written down, on one rank
 * and on three, and answered again to the engine of `probe`, which must come to the same weights and states. Every
 * optimizer of the catalogue, by enumeration; those that ask for one gradient a step also through `cohort probe` with a
 * file. The linker puts __wrap_cohort_updater_step in the place of the step that a run takes, so the oracle is heard
 * without a word in the program. */
#include <math.h>

#include "contract/run_fixture.h"
#include "io/arrays.h"
#include "method/optimizer/optimizer.h"
#include "probe/engine.h"

enum { TAPED = 20, MOST_ANSWERS = 4096, BATCH = 10, SEED = 3, RANKS = 3 };

#define MLP                                                                                \
  "task: supervised\nsteps: 20\nbatch: 10\nlanes: 5\nseed: 3\nbucket: 0.001\nbind: none\n" \
  "data: {train_images: DATA/images, train_labels: DATA/labels}\nmodel: {mlp: {hidden: 19, layers: 1}}\n"
static const char *const configs[] = {MLP "optimizer: KEY\n", MLP "groups: [{role: 'matrix, head', optimizer: KEY}]\n"};

/* What the ranks heard together: an answer is laid out like the weights, each rank having filled in its own. */
typedef struct tape {
  int64_t elements;
  int answers;
  float *gradient[MOST_ANSWERS], *product[MOST_ANSWERS], *direction[MOST_ANSWERS];
  bool has_product[MOST_ANSWERS];
  double loss[MOST_ANSWERS];
  float *start, *end;
  char *slot[64]; /* whole, after the last step */
} tape;

static tape heard;
static int probed; /* methods that went through a file */

/* One rank's turn at it. */
typedef struct listener {
  const cohort_oracle *oracle;
  const cohort_updater *updater;
  int *answers;
  bool writes; /* what all ranks hear alike */
} listener;

static void copy_own(const cohort_updater *updater, float *to, const float *from) {
  const cohort_space *space = cohort_updater_shards(updater)->space;
  const bool *own = cohort_updater_updates(updater);
  for (int p = 0; p < space->pieces; p++)
    if (own[p])
      memcpy(to + space->piece[p].offset, from + space->piece[p].offset, (size_t)space->piece[p].elements * sizeof *to);
}

static cohort_status ask_and_write(void *argument, const cohort_ask *ask, void **rows, double *losses,
                                   cohort_error *error) {
  listener *own = argument;
  COHORT_TRY(own->oracle->ask(own->oracle->argument, ask, rows, losses, error));
  const int number = (*own->answers)++;
  if (number >= MOST_ANSWERS) return cohort_fail(error, COHORT_BUG, "it asks too often");
  if (own->writes) heard.loss[number] = losses[0];
  if (ask->gradient) copy_own(own->updater, heard.gradient[number], *rows);
  if (own->writes) heard.has_product[number] = ask->direction != NULL;
  if (ask->direction) copy_own(own->updater, heard.product[number], (const float *)*rows + heard.elements);
  if (ask->direction) copy_own(own->updater, heard.direction[number], ask->direction);
  return COHORT_DONE;
}

static const double *squares_of(void *argument) {
  const listener *own = argument;
  return own->oracle->squares(own->oracle->argument);
}

static void hold_on(void *argument, bool holds) {
  const listener *own = argument;
  if (own->oracle->hold) own->oracle->hold(own->oracle->argument, holds);
}

static _Thread_local int answers_here;
static _Thread_local bool writes_here;

cohort_status __real_cohort_updater_step(cohort_updater *updater, const cohort_oracle *oracle, int64_t step,
                                         int64_t steps, cohort_step_report *report, cohort_error *error);
cohort_status __wrap_cohort_updater_step(cohort_updater *updater, const cohort_oracle *oracle, int64_t step,
                                         int64_t steps, cohort_step_report *report, cohort_error *error);

cohort_status __wrap_cohort_updater_step(cohort_updater *updater, const cohort_oracle *oracle, int64_t step,
                                         int64_t steps, cohort_step_report *report, cohort_error *error) {
  if (!oracle->squares) return __real_cohort_updater_step(updater, oracle, step, steps, report, error); /* no run's */
  listener own = {oracle, updater, &answers_here, writes_here};
  const cohort_oracle between = {.argument = &own,
                                 .objectives = oracle->objectives,
                                 .samples = oracle->samples,
                                 .ask = ask_and_write,
                                 .squares = squares_of,
                                 .hold = hold_on};
  return __real_cohort_updater_step(updater, &between, step, steps, report, error);
}

/* Room for answers, one long mapping that takes memory where it is written. */
static void open_tape(int64_t elements) {
  const size_t bytes = (size_t)elements * sizeof(float);
  heard.elements = elements;
  for (int i = 0; i < MOST_ANSWERS; i++) {
    heard.gradient[i] = heard.gradient[i] ? heard.gradient[i] : cohort_allocate(bytes);
    heard.product[i] = heard.product[i] ? heard.product[i] : cohort_allocate(bytes);
    heard.direction[i] = heard.direction[i] ? heard.direction[i] : cohort_allocate(bytes);
  }
  heard.start = heard.start ? heard.start : cohort_allocate(bytes);
  heard.end = heard.end ? heard.end : cohort_allocate(bytes);
}

static void close_tape(void) {
  for (int i = 0; i < MOST_ANSWERS; i++) {
    free(heard.gradient[i]);
    free(heard.product[i]);
    free(heard.direction[i]);
  }
  for (int s = 0; s < 64; s++) free(heard.slot[s]);
  free(heard.start);
  free(heard.end);
}

/* What this rank has of the states goes to its place in the whole. */
static void write_slots(const cohort_updater *updater, cohort_comm *comm) {
  for (int s = 0; s < cohort_updater_slots(updater); s++) {
    const cohort_slot *slot = cohort_updater_slot(updater, s);
    const size_t number = cohort_updater_type_size(updater, slot->type);
    if (comm->rank == 0) {
      free(heard.slot[s]);
      heard.slot[s] = cohort_allocate(cohort_slot_bytes(updater, slot));
    }
    cohort_comm_barrier(comm);
    const int own = slot->shards ? slot->shards->members->number : 0;
    for (int r = 0; slot->shards && r < slot->shards->ranges[own]; r++) {
      const cohort_range *range = &slot->shards->range[own][r];
      memcpy(heard.slot[s] + (size_t)range->offset * number,
             (const char *)slot->values + (size_t)range->offset * number, (size_t)range->elements * number);
    }
    if (!slot->shards && comm->rank == 0) memcpy(heard.slot[s], slot->values, cohort_slot_bytes(updater, slot));
  }
}

/* Trains, and leaves on the tape what it heard; `run` stays open in `then`, on rank 0 alone. */
typedef struct taping {
  const char *config;
  bool alike; /* with what the tape already holds */
  void (*then)(struct taping *own, const cohort_run *run);
  const cohort_method *method;
  cohort_error error;
} taping;

static cohort_status tape_rank(cohort_comm *comm, void *argument) {
  taping *own = argument;
  const cohort_log log = {0};
  run_config config;
  cohort_run *run = NULL;
  cohort_error error = {0};
  answers_here = 0;
  writes_here = comm->rank == 0;
  cohort_status status = run_config_read(own->config, &config, &error) ? COHORT_DONE : COHORT_BAD_CONFIG;
  if (status == COHORT_DONE) status = cohort_run_create(&config.settings, comm, &log, 1, &run, &error);
  if (status == COHORT_DONE) {
    const cohort_space *space = cohort_run_space(run, 0);
    if (comm->rank == 0) open_tape(space->elements);
    cohort_comm_barrier(comm);
    if (comm->rank == 0) memcpy(heard.start, space->values, (size_t)space->elements * sizeof(float));
    cohort_run_row row;
    for (int step = 0; step < TAPED && status == COHORT_DONE; step++) {
      status = cohort_run_step(run, false, &row, &error);
      if (status == COHORT_DONE && !row.report.applied) status = cohort_fail(&error, COHORT_DIVERGED, "diverged");
    }
    cohort_run_wait(run);
    cohort_comm_barrier(comm);
    if (status == COHORT_DONE) {
      write_slots(cohort_run_updater(run), comm);
      copy_own(cohort_run_updater(run), heard.end, space->values);
      if (writes_here) heard.answers = answers_here;
    }
    cohort_comm_barrier(comm);
    if (status == COHORT_DONE && comm->rank == 0) own->then(own, run);
    cohort_comm_barrier(comm);
  }
  if (comm->rank == 0) own->error = error;
  cohort_run_destroy(run);
  run_config_release(&config);
  return status;
}

/* The tape as an oracle, in the layout of a space of some of the run's tensors. */
typedef struct replay {
  const cohort_space *from;
  const int *tensor; /* number in the run's space, of each tensor of the probe's */
  cohort_probe_engine engine;
  int answers;
} replay;

static void take(const replay *own, const float *from, float *to) {
  for (int t = 0; t < own->engine.space->tensors; t++) {
    const cohort_space_tensor *there = &own->from->tensor[own->tensor[t]], *here = &own->engine.space->tensor[t];
    memcpy(to + here->offset, from + there->offset, (size_t)here->elements * sizeof *to);
  }
}

static cohort_status answer_again(void *argument, const cohort_ask *ask, void **rows, double *losses,
                                  cohort_error *error) {
  replay *own = argument;
  float *to = own->engine.rows;
  if (own->answers >= heard.answers) return cohort_fail(error, COHORT_BUG, "it asks what training did not ask");
  *rows = to;
  losses[0] = heard.loss[own->answers];
  if (ask->gradient) take(own, heard.gradient[own->answers], to);
  if (ask->direction) take(own, heard.product[own->answers], to + own->engine.space->elements);
  own->answers++;
  return COHORT_DONE;
}

/* Bits of the tensors that both have; states of the method and of its drivers, by name. */
static bool same_weights(const replay *own) {
  float *expected = cohort_allocate((size_t)own->engine.space->elements * sizeof *expected);
  take(own, heard.end, expected);
  const bool same =
      memcmp(expected, own->engine.weights.values, (size_t)own->engine.space->elements * sizeof *expected) == 0;
  free(expected);
  return same;
}

static size_t bytes_of(const cohort_stored_tensor *tensor, size_t number) {
  for (int a = 0; a < tensor->axes; a++) number *= (size_t)tensor->size[a];
  return number;
}

static const cohort_stored_tensor *entry_of(const cohort_slot *slot, const char *name) {
  for (int t = 0; t < slot->tensors; t++)
    if (strcmp(slot->tensor[t].name, name) == 0) return &slot->tensor[t];
  return NULL;
}

static int different_states(const cohort_updater *trained, const cohort_updater *again) {
  int different = 0;
  for (int s = 0; s < cohort_updater_slots(again); s++) {
    const cohort_slot *here = cohort_updater_slot(again, s);
    if (here->scratch) continue;
    int there = 0;
    while (there < cohort_updater_slots(trained) && strcmp(cohort_updater_slot(trained, there)->name, here->name) != 0)
      there++;
    if (there == cohort_updater_slots(trained)) return different + 1;
    const size_t number = cohort_updater_type_size(again, here->type);
    for (int t = 0; t < here->tensors; t++) {
      const cohort_stored_tensor *entry = entry_of(cohort_updater_slot(trained, there), here->tensor[t].name);
      different += !entry || memcmp(heard.slot[there] + (size_t)entry->offset * number,
                                    (const char *)here->values + (size_t)here->tensor[t].offset * number,
                                    bytes_of(entry, number)) != 0;
    }
  }
  return different;
}

/* The method as it is trained, without decay: a probe knows no roles. */
static cohort_document *document_of(const char *text) {
  cohort_document *document = NULL;
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, strlen(text), "c.yaml", &document, &error), COHORT_DONE);
  return document;
}

static bool has(const cohort_method *method, const char *name) {
  for (const cohort_parameter *p = method->parameters; p && p->name; p++)
    if (strcmp(p->name, name) == 0) return true;
  return false;
}

static char *without_decay(const cohort_method *method) {
  if (has(method, "weight_decay")) return cohort_format_text("{%s: {weight_decay: 0}}", method->key);
  for (const cohort_parameter *p = method->parameters; p && p->name; p++) {
    if (p->type != COHORT_PARAMETER_METHOD) continue;
    const cohort_method *base = cohort_registry_find(COHORT_VARIANT_F64, "optimizer", p->standard);
    char *inner = without_decay(base);
    char *all = cohort_format_text("{%s: {%s: %s}}", method->key, p->name, inner);
    free(inner);
    return all;
  }
  return cohort_format_text("{%s: {}}", method->key);
}

static void set_seed(cohort_probe_state *probe) {
  for (int i = 0; probe->family->settings[i].name; i++)
    if (strcmp(probe->family->settings[i].name, "seed") == 0) probe->setting[i] = SEED;
}

static void hold_probe(const cohort_method *method, const cohort_run *run, const int *number, int tensors);

static void hold_replay(taping *own, const cohort_run *run) {
  const cohort_space *space = cohort_run_space(run, 0);
  const bool matrices = (own->method->needs & COHORT_NEEDS_MATRICES) != 0;
  const cohort_variant variant = cohort_variant_of(cohort_processor_isa());
  cohort_probe_tensor tensor[16];
  int number[16], tensors = 0;
  for (int t = 0; t < space->tensors; t++) {
    const cohort_parameter_tensor *declared = &space->tensor[t].declared;
    if (matrices && declared->shape.axes < 2) continue;
    tensor[tensors] = (cohort_probe_tensor){.name = declared->name, .shape = declared->shape};
    number[tensors++] = t;
  }
  cohort_probe_state probe = {.family = cohort_registry_family("optimizer"),
                              .variant = variant,
                              .kernels = cohort_updater_kernels(variant),
                              .choice = {own->method, NULL}};
  set_seed(&probe);
  char *text = without_decay(own->method);
  cohort_document *document = document_of(text);
  replay again = {.from = space, .tensor = number};
  cohort_error error = {0};
  cohort_status status =
      cohort_probe_engine_create(&probe, document, NULL, "optimizer", 1, tensors, tensor, &again.engine, &error);
  if (status == COHORT_DONE) take(&again, heard.start, again.engine.weights.values);
  const cohort_oracle oracle = {.argument = &again, .objectives = 1, .samples = BATCH, .ask = answer_again};
  bool applied = true;
  for (int step = 0; step < TAPED && status == COHORT_DONE; step++) {
    cohort_step_report report;
    status = cohort_updater_step(again.engine.updater, &oracle, step, TAPED, &report, &error);
    applied = applied && report.applied;
  }
  const bool weights = status == COHORT_DONE && same_weights(&again);
  const int states = status == COHORT_DONE ? different_states(cohort_run_updater(run), again.engine.updater) : 0;
  own->alike = status == COHORT_DONE && applied && weights && !states && again.answers == heard.answers;
  if (!own->alike)
    fprintf(stderr, "\n  %s: probe and training differ: weights %s, %d states, %d answers of %d %s\n", own->method->key,
            weights ? "alike" : "differ", states, again.answers, heard.answers, error.text);
  CU_ASSERT(own->alike);
  hold_probe(own->method, run, number, tensors);
  cohort_probe_engine_destroy(&again.engine);
  for (int m = 0; m < probe.memories; m++) free(probe.memory[m]);
  free(probe.memory);
  cohort_document_destroy(document);
  free(text);
}

/* The same through `cohort probe`: tensors are named by their place, as a probe takes them in the order of names. */
static void add_array(cohort_arrays *arrays, const char *kind, int place, const cohort_space_tensor *tensor, int steps,
                      float *const *rows, float *const *factors) {
  int64_t size[COHORT_MAX_AXES + 1] = {steps};
  const cohort_shape shape = tensor->declared.shape;
  char name[64];
  (void)snprintf(name, sizeof name, "%s/t%02d", kind, place);
  for (int a = 0; a < shape.axes; a++) size[a + (steps > 0)] = shape.size[a];
  float *to = cohort_arrays_add(arrays, name, COHORT_ARRAY_FLOAT32, shape.axes + (steps > 0), size)->data;
  for (int step = 0; step < (steps ? steps : 1); step++)
    for (int64_t e = 0; e < tensor->elements; e++) {
      const float factor = !factors ? 1 : heard.has_product[step] ? factors[step][tensor->offset + e] : 0;
      to[step * tensor->elements + e] = factor * rows[step][tensor->offset + e];
    }
}

static const cohort_probe_array *input_of(const cohort_method *method, const char *name) {
  for (const cohort_probe_array *input = cohort_registry_family("optimizer")->inputs; input->name; input++)
    if (strcmp(input->name, name) == 0 && cohort_array_applies(input->when, method)) return input;
  return NULL;
}

/* A state as a probe gives it, in the type of the arrays. */
static bool same_state(const cohort_updater *updater, int s, const cohort_stored_tensor *entry,
                       const cohort_array *out) {
  const cohort_slot *slot = cohort_updater_slot(updater, s);
  const size_t number = cohort_updater_type_size(updater, slot->type);
  const char *values = heard.slot[s] + (size_t)entry->offset * number;
  bool same = (size_t)cohort_array_elements(out) * number == bytes_of(entry, number);
  for (int64_t e = 0; same && e < cohort_array_elements(out); e++) {
    double one = (double)((const float *)(const void *)values)[e * (number == sizeof(float))];
    if (slot->type == COHORT_STATE_INTEGER) one = (double)((const int64_t *)(const void *)values)[e];
    if (slot->type == COHORT_STATE_FLOAT64) one = ((const double *)(const void *)values)[e];
    const float wanted = (float)one;
    same = memcmp(&wanted, (const float *)out->data + e, sizeof wanted) == 0;
  }
  return same;
}

static bool same_results(const cohort_updater *updater, const cohort_space *space, const int *number, int tensors,
                         const cohort_arrays *out) {
  bool same = true;
  char name[96];
  for (int t = 0; t < tensors; t++) {
    const cohort_space_tensor *tensor = &space->tensor[number[t]];
    (void)snprintf(name, sizeof name, "parameters/t%02d", t);
    const cohort_array *weights = cohort_arrays_find(out, name);
    same = same && weights &&
           memcmp((const float *)weights->data + (TAPED - 1) * tensor->elements, heard.end + tensor->offset,
                  (size_t)tensor->elements * sizeof(float)) == 0;
  }
  for (int s = 0; s < cohort_updater_slots(updater); s++) {
    const cohort_slot *slot = cohort_updater_slot(updater, s);
    for (int i = 0; i < slot->tensors && !slot->scratch; i++) {
      (void)snprintf(name, sizeof name, "state/%s/%s", slot->name, slot->tensor[i].name);
      for (int t = 0; t < tensors; t++)
        if (strcmp(slot->tensor[i].name, space->tensor[number[t]].declared.name) == 0)
          (void)snprintf(name, sizeof name, "state/%s/t%02d", slot->name, t);
      const cohort_array *found = cohort_arrays_find(out, name);
      if (found) same = same && same_state(updater, s, &slot->tensor[i], found);
    }
  }
  return same;
}

/* Only of methods that ask for one gradient a step at the weights, which is what the file holds. */
static void hold_probe(const cohort_method *method, const cohort_run *run, const int *number, int tensors) {
  if (!input_of(method, "gradients/<t>") || heard.answers != TAPED) return;
  const cohort_space *space = cohort_run_space(run, 0);
  cohort_arrays in = {.count = 0}, out = {.count = 0};
  for (int t = 0; t < tensors; t++) {
    const cohort_space_tensor *tensor = &space->tensor[number[t]];
    add_array(&in, "parameters", t, tensor, 0, &heard.start, NULL);
    add_array(&in, "gradients", t, tensor, TAPED, heard.gradient, NULL);
    if (input_of(method, "curvature/<t>"))
      add_array(&in, "curvature", t, tensor, TAPED, heard.product, heard.direction);
  }
  float *losses = cohort_arrays_add(&in, "losses", COHORT_ARRAY_FLOAT32, 1, (int64_t[]){TAPED})->data;
  for (int step = 0; step < TAPED; step++) losses[step] = (float)heard.loss[step];
  char *from = cohort_format_text("%s/in.h5", run_scratch), *to = cohort_format_text("%s/out.h5", run_scratch);
  char *all = without_decay(method), *inner = strstr(all, ": {");
  inner[strlen(inner) - 2] = '\0'; /* "{key: {word: value}}": "word: value" */
  char *word[2] = {cohort_copy_text("seed=3"), cohort_copy_text(inner + 3)};
  char *colon = strchr(word[1], ':');
  if (colon) *colon = '=';
  const cohort_probe_request request = {
      .family = "optimizer", .name = method->key, .input = from, .output = to, .words = colon ? 2 : 1, .word = word};
  cohort_error error = {0};
  cohort_status status = cohort_arrays_write(from, &in, &error);
  if (status == COHORT_DONE) status = cohort_probe(&request, &error);
  if (status == COHORT_DONE) status = cohort_arrays_read(to, &out, &error);
  const bool same = status == COHORT_DONE && same_results(cohort_run_updater(run), space, number, tensors, &out);
  if (!same) fprintf(stderr, "\n  %s: cohort probe and training differ %s\n", method->key, error.text);
  CU_ASSERT(same);
  probed++;
  cohort_arrays_release(&in);
  cohort_arrays_release(&out);
  for (int i = 0; i < 2; i++) free(word[i]);
  free(all);
  free(from);
  free(to);
}

static bool tape_on(int ranks, const cohort_method *method, const char *text) {
  taping own = {.then = hold_replay, .method = method};
  cohort_status status = COHORT_BAD_CONFIG;
  for (int i = 0; i < 2 && status == COHORT_BAD_CONFIG; i++) {
    const char *hole = strstr(configs[i], "KEY");
    char *config = cohort_format_text("%.*s%s%s", (int)(hole - configs[i]), configs[i], text, hole + 3);
    own.config = config;
    status = cohort_comm_run_threads(ranks, tape_rank, &own);
    free(config);
  }
  if (status != COHORT_DONE) fprintf(stderr, "\n  %s on %d ranks: %s\n", method->key, ranks, own.error.text);
  CU_ASSERT_EQUAL(status, COHORT_DONE);
  return status == COHORT_DONE && own.alike;
}

static void test_every_optimizer(void) {
  const cohort_variant variant = cohort_variant_of(cohort_processor_isa());
  const cohort_method *method;
  for (int i = 0; (method = cohort_registry_at(variant, i)); i++) {
    if (strcmp(method->family, "optimizer") != 0) continue;
    char *text = without_decay(method);
    CU_ASSERT(tape_on(1, method, text));
    CU_ASSERT(tape_on(RANKS, method, text));
    free(text);
  }
  CU_ASSERT(probed > 0);
}

int main(void) {
  static const check checks[] = {{"every optimizer: probe and training agree bit for bit", test_every_optimizer}};
  run_make_data();
  const int status = check_run("contract_tap", checks, sizeof checks / sizeof *checks);
  run_remove_data();
  close_tape();
  return status;
}
