/* Reads a task's methods and opens it; the stream of training samples. The stream is computed, not stored: epoch
 * permutations one after another, by position. */
#include "train/task/task.h"

#include <stdlib.h>
#include <string.h>

#include "train/player/rules.h"

const char *cohort_split_name(cohort_split split) {
  static const char *const names[] = {"train", "validation", "test"};
  return names[split];
}

/* Its faults are found before, by who read the settings. Released by the caller; no method: there is none. */
static cohort_choice read_partition(const cohort_settings *settings) {
  const cohort_document *population = settings->is_federated ? settings->federated_settings.population : NULL;
  cohort_choice choice = {NULL, NULL};
  cohort_faults faults = {NULL, 0};
  if (population) cohort_choice_read(COHORT_VARIANT_F64, "partition", population, "population", &choice, NULL, &faults);
  cohort_faults_release(&faults);
  return choice;
}

const char *cohort_task_partition_origin(const cohort_settings *settings, cohort_partition_by by) {
  cohort_choice choice = read_partition(settings);
  const cohort_partition *functions = choice.method ? choice.method->functions : NULL;
  const char *origin = functions && functions->by == by && functions->origin ? functions->origin(choice.config) : NULL;
  cohort_choice_release(&choice);
  return origin;
}

bool cohort_task_partition_draws(const cohort_settings *settings) {
  cohort_choice choice = read_partition(settings);
  const bool draws = choice.method && ((const cohort_partition *)choice.method->functions)->drawn;
  cohort_choice_release(&choice);
  return draws;
}

cohort_split cohort_task_evaluated_split(const cohort_task *task) {
  return task->samples[COHORT_SPLIT_VALIDATION] ? COHORT_SPLIT_VALIDATION : COHORT_SPLIT_TEST;
}

/* {loss, head, target, outputs}: what the loss reads is written into `own` as well. */
static void read_names(const cohort_document *entry, cohort_loss_names *names, cohort_document *own,
                       cohort_faults *faults) {
  static const char *const keys[] = {"loss", "head", "target", "outputs"};
  for (size_t i = 0; i < entry->count; i++) {
    const cohort_document *value = entry->children[i];
    const char *key = entry->names[i];
    int known = 0;
    while (known < 4 && strcmp(keys[known], key) != 0) known++;
    char *end = NULL;
    if (known == 4 || (known && (value->kind != COHORT_SCALAR || cohort_document_is_null(value))))
      cohort_faults_add(faults, value,
                        "losses: '%s' is not expected here; write {loss: METHOD, head: NAME, target: ARRAY}", key);
    else if (known == 1)
      names->head = value->text;
    else if (known == 2)
      names->target = value->text;
    else if (known == 3 && ((names->outputs = strtoll(value->text, &end, 10)) < 1 || *end))
      cohort_faults_add(faults, value, "losses: outputs wants a whole number from 1, not %s", value->text);
    if (known > 0 && known < 4) cohort_document_set(own, key, cohort_document_copy(value));
  }
}

static void read_losses(cohort_task *task, cohort_faults *faults) {
  const cohort_settings *settings = task->settings;
  const cohort_document *list = settings->losses;
  if (!list || cohort_document_is_null(list)) {
    task->objectives = 1;
    cohort_choice_expand(COHORT_VARIANT_F64, "loss", settings->loss, "loss", &task->loss[0], settings->expanded,
                         faults);
    return;
  }
  if (list->kind != COHORT_LIST || list->count == 0 || list->count > COHORT_MAX_OBJECTIVES) {
    cohort_faults_add(faults, list, "losses: wants a list of 1 to %d losses", COHORT_MAX_OBJECTIVES);
    return;
  }
  task->objectives = (int)list->count;
  cohort_document *expanded = cohort_document_create(COHORT_LIST, NULL, 0, 0);
  for (int i = 0; i < task->objectives; i++) {
    cohort_document *own = cohort_document_create(COHORT_MAP, NULL, 0, 0);
    const cohort_document *entry = list->children[i], *loss = cohort_settings_loss(entry);
    cohort_document *inner = loss == entry ? own : cohort_document_create(COHORT_MAP, NULL, 0, 0);
    cohort_choice_read(COHORT_VARIANT_F64, "loss", loss, "losses", &task->loss[i], inner, faults);
    if (loss != entry) {
      cohort_document_set(own, "loss", inner);
      read_names(entry, &task->names[i], own, faults);
    }
    cohort_document_append(expanded, own);
  }
  cohort_document_set(settings->expanded, "losses", expanded);
}

static cohort_lane_outputs build_lane(const void *argument, cohort_graph *graph, int64_t capacity, bool training) {
  const cohort_task *task = argument;
  return cohort_task_build(task, graph, capacity, training);
}

cohort_task cohort_task_moved(const cohort_task *task, int space) {
  cohort_task other = *task;
  if (task->settings->lora)
    other.adapter.space = space;
  else
    other.model_space = space;
  return other;
}

static cohort_lane_outputs build_subject(const void *argument, cohort_graph *graph, int64_t capacity,
                                         cohort_lane_subject subject, int before) {
  const cohort_task *task = argument;
  const cohort_task other = cohort_task_moved(task, before);
  /* cppcheck-suppress returnDanglingLifetime ; it keeps nothing of `other` */
  return task->functions->build_subject(task, graph, capacity, subject, &other);
}

bool cohort_task_answers(const cohort_task *task, cohort_lane_subject subject, const char **fault) {
  bool all = task->functions->build_subject != NULL;
  if (fault) *fault = all ? NULL : task->functions->name;
  for (int i = 0; i < task->objectives && all; i++) {
    const cohort_loss *loss = task->loss[i].method->functions;
    all = subject == COHORT_LANE_LABELS ? loss->sample != NULL : loss->divergence != NULL;
    if (fault && !all) *fault = task->loss[i].method->key;
  }
  return all;
}

cohort_value cohort_task_subject(const cohort_choice *loss, cohort_graph *graph, cohort_lane_subject subject,
                                 const cohort_loss_fields *fields, cohort_value before) {
  if (subject == COHORT_LANE_LABELS) return cohort_loss_sampled(loss->method, loss->config, graph, fields);
  return cohort_loss_divergence(loss->method, loss->config, graph, fields, before);
}

static void feed_lane(const void *argument, cohort_feed *feed) {
  const cohort_task *task = argument;
  task->functions->feed(task, feed);
}

void cohort_task_add_scores(cohort_task *task, int64_t columns) {
  const cohort_row_column column = {"log_probability", COHORT_STORED_FLOAT32, columns};
  task->score_columns = columns;
  task->scores = task->rows[task->tables++] = cohort_row_table_create(task->comm, "scores", 1, &column);
}

const float *cohort_task_scores(const cohort_task *task, cohort_split split, int64_t position) {
  if (split != task->scored_split || position < task->scored_first || position >= task->scored_last) return NULL;
  return task->scored + (position - task->scored_first) * task->score_columns;
}

void cohort_task_add_metric(cohort_task *task, int *source, const char *name, int from) {
  int at = task->metrics++;
  for (; at > 0 && strcmp(task->metric[at - 1], name) > 0; at--) {
    task->metric[at] = task->metric[at - 1];
    source[at] = source[at - 1];
  }
  task->metric[at] = name;
  source[at] = from;
}

int cohort_task_add_space(cohort_task *task, const char *name, cohort_space_rule rule, int of) {
  const int number = task->spaces++;
  task->space[number] = (cohort_declared_space){.name = name, .rule = rule, .of = of < 0 ? number : of};
  return number;
}

/* A teacher that never moves must at least be another. */
static void read_rules(cohort_task *task, cohort_faults *faults) {
  const cohort_document *given = task->settings->spaces;
  cohort_space_rules_read(given, task->spaces, task->space, faults);
  if (task->teacher < 0 || faults->count) return;
  const cohort_declared_space *teacher = &task->space[task->teacher];
  if (teacher->rule == COHORT_SPACE_FROZEN && !teacher->init_from)
    cohort_faults_add(faults, cohort_document_get(given, "teacher"),
                      "spaces.teacher: it would stay as the model begins; give average, copy or init_from");
  if (task->settings->consistency > 0 && !cohort_supervised_labels(task))
    cohort_faults_add(faults, cohort_settings_place(task->settings, "consistency"),
                      "consistency: it compares probabilities of classes, but y holds real targets; remove it");
}

/* Players stand right after the model's, as trained spaces come first. */
static void add_players(cohort_task *task, cohort_faults *faults) {
  const cohort_document *given = task->settings->players;
  if (cohort_document_is_null(given)) return;
  if (given->kind != COHORT_MAP) cohort_faults_add(faults, given, "players: wants a map {NAME: {optimizer, every}}");
  for (size_t i = 0; given->kind == COHORT_MAP && i < given->count; i++) {
    const char *const *known = task->functions->players;
    while (known && *known && strcmp(*known, given->names[i]) != 0) known++;
    if (known && *known)
      (void)cohort_task_add_space(task, *known, COHORT_SPACE_TRAINED, -1);
    else
      cohort_faults_add(faults, given->children[i], "players: task %s has no player \"%s\"; remove it",
                        task->functions->name, given->names[i]);
  }
}

int cohort_task_player(const cohort_task *task, const char *name) {
  for (int s = 1; s < task->spaces; s++)
    if (task->space[s].rule == COHORT_SPACE_TRAINED && strcmp(task->space[s].name, name) == 0) return s;
  return -1;
}

void cohort_task_place_model(const cohort_task *task, cohort_model_inputs *inputs) {
  inputs->space = task->model_space;
  inputs->adapter = task->settings->lora ? &task->adapter : NULL;
}

static bool model_drops_out(const cohort_task *task) {
  cohort_graph *graph = cohort_graph_create();
  const cohort_value row = cohort_graph_input(graph, "row", COHORT_TYPE_INTEGER, COHORT_SHAPE(1));
  cohort_model_inputs inputs = {.training = true, .tokens = row, .positions = row, .segments = row, .ids = row};
  cohort_task_place_model(task, &inputs);
  (void)((const cohort_model *)task->model.method->functions)
      ->build(task->model.config, graph, &task->model_data, &inputs);
  const bool drops_out = cohort_graph_drops_out(graph);
  cohort_graph_destroy(graph);
  return drops_out;
}

bool cohort_task_shares_prompts(const cohort_task *task) {
  const int prompts = task->settings->prompts;
  return prompts == COHORT_PROMPTS_AUTO ? !model_drops_out(task) : prompts == COHORT_PROMPTS_SHARED;
}

void cohort_task_add_reference(cohort_task *task) {
  const bool frozen = task->space[task->model_space].rule == COHORT_SPACE_FROZEN;
  task->reference =
      frozen ? task->model_space : cohort_task_add_space(task, "reference", COHORT_SPACE_FROZEN, task->model_space);
}

cohort_status cohort_task_open(const cohort_settings *settings, cohort_comm *comm, const cohort_log *log,
                               cohort_faults *faults, cohort_task *out, cohort_error *error) {
  memset(out, 0, sizeof *out);
  out->settings = settings;
  out->comm = comm;
  out->functions = settings->task;
  out->source = (cohort_lane_source){out, build_lane, feed_lane, build_subject};
  out->reference = out->teacher = -1;
  const bool has_model = (settings->task->uses & COHORT_TASK_MODEL) != 0;
  if (settings->lora && has_model) {
    const int space = cohort_task_add_space(out, COHORT_ADAPTER_SPACE, COHORT_SPACE_TRAINED, -1);
    out->adapter = cohort_adapter_of(&settings->lora_settings, space, faults);
  }
  const bool frozen = settings->lora != NULL;
  if (has_model && !frozen) out->model_space = cohort_task_add_space(out, "model", COHORT_SPACE_TRAINED, -1);
  add_players(out, faults);
  if (has_model && frozen) out->model_space = cohort_task_add_space(out, "model", COHORT_SPACE_FROZEN, -1);
  if (cohort_document_get(settings->spaces, "teacher") && settings->task->uses & COHORT_TASK_LOSS)
    out->teacher = cohort_task_add_space(out, "teacher", COHORT_SPACE_FROZEN,
                                         settings->lora ? out->adapter.space : out->model_space);
  out->key = cohort_random_key_derive_name(cohort_random_key_from_seed((uint64_t)settings->seed), "sampler");
  out->objectives = 1;
  if (settings->task->uses & COHORT_TASK_MODEL)
    cohort_choice_expand(COHORT_VARIANT_F64, "model", settings->model, "model", &out->model, settings->expanded,
                         faults);
  if (settings->task->uses & COHORT_TASK_LOSS) read_losses(out, faults);
  if (settings->task == &cohort_task_preference)
    cohort_choice_expand(COHORT_VARIANT_F64, "preference", settings->preference, "preference", &out->preference,
                         settings->expanded, faults);
  if (faults->count) return cohort_faults_status(faults, error);
  COHORT_TRY(out->functions->open(out, log, faults, error));
  read_rules(out, faults);
  cohort_task_list_teacher(out);
  return cohort_faults_status(faults, error);
}

void cohort_task_close(cohort_task *task) {
  if (task->functions && task->own) task->functions->close(task);
  cohort_row_table_destroy(task->scores);
  free(task->scored);
  cohort_choice_release(&task->model);
  cohort_choice_release(&task->preference);
  cohort_adapter_release(&task->adapter);
  for (int i = 0; i < COHORT_MAX_OBJECTIVES; i++) cohort_choice_release(&task->loss[i]);
  memset(task, 0, sizeof *task);
}

int64_t cohort_task_sample(const cohort_task *task, int64_t position) {
  const int64_t samples = task->samples[COHORT_SPLIT_TRAIN];
  if (task->drawn) return task->drawn[position - task->drawn_first];
  const cohort_random_key epoch = cohort_random_key_derive(task->key, (uint64_t)(position / samples));
  return (int64_t)cohort_random_permute(epoch, (uint64_t)samples, (uint64_t)(position % samples));
}

void cohort_task_samples(const cohort_task *task, int64_t count, const int64_t *position, int32_t *sample) {
  enum { MOST = 64 };
  const int64_t samples = task->samples[COHORT_SPLIT_TRAIN];
  uint64_t place[MOST], element[MOST];
  for (int64_t i = 0; task->drawn && i < count; i++) sample[i] = (int32_t)task->drawn[position[i] - task->drawn_first];
  if (task->drawn) return;
  for (int64_t first = 0; first < count;) {
    const int64_t epoch = position[first] / samples;
    size_t n = 0;
    for (; n < MOST && first + (int64_t)n < count; n++) {
      const int64_t at = position[first + (int64_t)n];
      if (at / samples != epoch) break;
      place[n] = (uint64_t)(at % samples);
    }
    const cohort_random_key key = cohort_random_key_derive(task->key, (uint64_t)epoch);
    cohort_random_permute_all(key, (uint64_t)samples, n, place, element);
    for (size_t i = 0; i < n; i++) sample[first + (int64_t)i] = (int32_t)element[i];
    first += (int64_t)n;
  }
}
