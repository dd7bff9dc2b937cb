/* Task supervised: samples with classes or real targets, and any further arrays by name. Loads the data and joins
 * losses, heads and arrays by their names; supervised_graph.c builds, supervised_feed.c fills. Memory is that of the
 * data, which every rank holds. */
#include "train/task/supervised.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/task/data_sets.h"

/* The arrays beside x and y that the config names, each once. */
typedef struct named_columns {
  int count;
  const char *name[COHORT_MAX_SAMPLE_COLUMNS + 1]; /* NULL-ended */
  int evaluated; /* the first ones, which all splits have; the rest says whose training samples are */
} named_columns;

static int add_name(named_columns *own, const char *name, cohort_faults *faults, const cohort_document *where) {
  int at = 0;
  while (at < own->count && strcmp(own->name[at], name) != 0) at++;
  if (at < own->count) return at;
  if (own->count == COHORT_MAX_SAMPLE_COLUMNS) {
    cohort_faults_add(faults, where, "data: at most %d arrays beside x and y can be read", COHORT_MAX_SAMPLE_COLUMNS);
    return 0;
  }
  own->name[own->count++] = name;
  return at;
}

static bool is_first(const char *target) { return !target || strcmp(target, "y") == 0; }

/* The place of `name` among the targets beside y. */
static int place_target(cohort_supervised *own, const char *name) {
  int at = 0;
  while (at < own->targets && strcmp(own->target[at].name, name) != 0) at++;
  if (at == own->targets && at < COHORT_MAX_FURTHER) own->target[own->targets++].name = name;
  return at;
}

/* What the losses and the model read beside x and y. */
static void list_columns(const cohort_task *task, cohort_supervised *own, named_columns *columns,
                         cohort_faults *faults) {
  const cohort_data_settings *data = &task->settings->data_settings;
  const cohort_document *list = data->inputs;
  if (list && list->kind != COHORT_LIST)
    cohort_faults_add(faults, list, "data.inputs: wants a list of names of arrays");
  for (size_t i = 0; list && list->kind == COHORT_LIST && i < list->count && i < COHORT_MAX_FURTHER; i++) {
    own->input[own->inputs++] = list->children[i]->text;
    (void)add_name(columns, list->children[i]->text, faults, list);
  }
  for (int l = 0; l < task->objectives; l++) {
    const char *target = task->names[l].target;
    own->target_of[l] = is_first(target) ? -1 : place_target(own, target);
    if (!is_first(target)) (void)add_name(columns, target, faults, task->settings->losses);
    if (task->loss[l].method->needs & COHORT_LOSS_GROUPS) own->group = data->group;
  }
  if (own->group && !is_first(own->group)) (void)add_name(columns, own->group, faults, task->settings->data);
  columns->evaluated = columns->count;
  const char *of_clients = cohort_task_partition_origin(task->settings, COHORT_PARTITION_BY_COLUMN);
  if (!is_first(of_clients)) (void)add_name(columns, of_clients, faults, task->settings->data);
  if (columns->count && data->train_images)
    cohort_faults_add(faults, cohort_settings_place(task->settings, "data"),
                      "data: IDX files hold images and classes alone, and the config names %s; store the samples in "
                      "HDF5 or .npz, or (for groups) set data.group: y",
                      columns->name[0]);
}

static cohort_status read_data(const cohort_task *task, const named_columns *columns, cohort_supervised *own,
                               cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  const cohort_layout layout = (cohort_layout)data->layout;
  const bool images = data->train_images != NULL;
  const cohort_split other = images ? COHORT_SPLIT_TEST : COHORT_SPLIT_VALIDATION;
  const char *evaluated[COHORT_MAX_SAMPLE_COLUMNS + 1] = {NULL};
  for (int c = 0; c < columns->evaluated; c++) evaluated[c] = columns->name[c];
  const cohort_data_request request[2] = {
      {images ? data->train_images : data->train, images ? data->train_labels : NULL, layout, columns->name},
      {images ? data->test_images : data->validation, images ? data->test_labels : NULL, layout, evaluated}};
  for (int i = 0; i < 2; i++)
    if (request[i].path)
      COHORT_TRY(cohort_data_sets_samples(task->settings->data_sets, &request[i],
                                          &own->split[i ? other : COHORT_SPLIT_TRAIN], error));
  return COHORT_DONE;
}

static const char *shape_of(const cohort_samples *samples, char out[COHORT_SHAPE_TEXT]) {
  cohort_shape shape = {.axes = samples->axes + 1, .size = {samples->count}};
  for (int a = 0; a < samples->axes; a++) shape.size[a + 1] = samples->size[a];
  return cohort_shape_text(shape, out);
}

/* A model for images has no use for vectors. */
static cohort_status check_model(const cohort_task *task, const cohort_samples *train, cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  const int axes = ((const cohort_model *)task->model.method->functions)->axes;
  if (!axes || train->axes == axes) return COHORT_DONE;
  char text[COHORT_SHAPE_TEXT];
  return cohort_fail(error, COHORT_BAD_DATA,
                     "model: %s wants images, [n, height, width] or [n, height, width, channels]; %s has x %s; reshape "
                     "it, or take mlp",
                     task->model.method->key, data->train_images ? data->train_images : data->train,
                     shape_of(train, text));
}

static cohort_status check_splits(const cohort_samples *train, const cohort_samples *other, const char *name,
                                  cohort_error *error) {
  char here[COHORT_SHAPE_TEXT], there[COHORT_SHAPE_TEXT];
  if (!other->count) return COHORT_DONE;
  if (train->axes != other->axes || memcmp(train->size, other->size, sizeof train->size) != 0)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "data: %s has x %s and train has x %s; all but the first size must be the same", name,
                       shape_of(other, here), shape_of(train, there));
  if (!train->labels != !other->labels)
    return cohort_fail(error, COHORT_BAD_DATA, "data: y of %s holds %s and y of train %s; store both alike", name,
                       other->labels ? "integer classes" : "real targets",
                       train->labels ? "integer classes" : "real targets");
  if (train->target_size != other->target_size)
    return cohort_fail(error, COHORT_BAD_DATA, "data: %s has %lld targets a row and train has %lld", name,
                       (long long)other->target_size, (long long)train->target_size);
  if (train->labels && other->labels && other->classes > train->classes)
    return cohort_fail(error, COHORT_BAD_DATA, "data: %s has class %lld in row %lld, which the training data lack",
                       name, (long long)other->classes - 1,
                       (long long)cohort_samples_first_row(other, (int32_t)other->classes - 1));
  return COHORT_DONE;
}

/* A column is of one kind, and no wider, in all splits. */
static cohort_status check_columns(const cohort_samples *train, const cohort_samples *other, const char *name,
                                   cohort_error *error) {
  for (int c = 0; other->count && c < train->columns; c++) {
    const cohort_column *here = &train->column[c], *there = cohort_samples_column(other, here->name);
    if (!there || strcmp(here->name, COHORT_CLIENT_COLUMN) == 0) continue; /* of training samples alone */
    if (!here->labels != !there->labels || here->width != there->width || there->classes > here->classes)
      return cohort_fail(error, COHORT_BAD_DATA,
                         "data: %s of %s holds other classes or sizes than that of train; store both alike", here->name,
                         name);
  }
  return COHORT_DONE;
}

const int32_t *cohort_supervised_groups(const cohort_supervised *own, cohort_split split) {
  const cohort_samples *samples = &own->split[split];
  return is_first(own->group) ? samples->labels : cohort_samples_column(samples, own->group)->labels;
}

static void close_task(cohort_task *task) {
  cohort_supervised *own = task->own;
  cohort_drawn_samples_close(own);
  /* Of data sets that runs share nothing is this run's. */
  for (int s = 0; s < COHORT_SPLITS && !task->settings->data_sets; s++) cohort_samples_release(&own->split[s]);
  for (int m = 0; m < task->metrics; m++) free(own->metric[m]);
  free(own->counts);
  free(own);
}

/* What each loss is about, once the data are there. */
static void fill_targets(cohort_supervised *own) {
  const cohort_samples *train = &own->split[COHORT_SPLIT_TRAIN];
  own->first = (cohort_supervised_target){"y", train->labels, train->labels ? train->classes : train->target_size};
  for (int t = 0; t < own->targets; t++) {
    const cohort_column *column = cohort_samples_column(train, own->target[t].name);
    own->target[t].labels = column->labels;
    own->target[t].width = column->labels ? column->classes : column->width;
  }
}

/* The first target of y that is no class, to be named. */
static int64_t first_odd(const cohort_samples *train, bool *is_whole) {
  const int64_t targets = train->targets ? train->count * train->target_size : 0;
  int64_t odd = 0;
  while (odd < targets && train->targets[odd] >= 0 && train->targets[odd] == floorf(train->targets[odd])) odd++;
  *is_whole = odd == targets && train->target_size == 1;
  return odd == targets ? 0 : odd;
}

static void check_loss(const cohort_task *task, const cohort_supervised *own, int i, cohort_faults *faults) {
  const cohort_samples *train = &own->split[COHORT_SPLIT_TRAIN];
  const cohort_method *method = task->loss[i].method;
  const cohort_target kind = ((const cohort_loss *)method->functions)->target;
  const cohort_supervised_target *target = cohort_supervised_target_of(own, i);
  const cohort_document *place = cohort_settings_place(task->settings, "loss");
  bool odd_is_whole = false;
  const int64_t odd = first_odd(train, &odd_is_whole);
  if (kind == COHORT_TARGET_CLASS && !target->labels && own->target_of[i] < 0)
    cohort_faults_add(faults, place,
                      "loss: %s needs integer classes, but the data hold real targets, such as %g in row %lld of y; %s",
                      method->key, (double)train->targets[odd], (long long)(odd / train->target_size),
                      odd_is_whole ? "store y as integers [n]" : "take a loss for real targets, such as mse");
  else if (kind == COHORT_TARGET_CLASS && !target->labels)
    cohort_faults_add(faults, place, "loss: %s needs integer classes, but %s holds real numbers; store integers [n]",
                      method->key, target->name);
  if (method->needs & COHORT_LOSS_BINARY && target->labels && target->width != 2)
    cohort_faults_add(faults, place, "loss: %s is for two classes, 0 and 1; %s has %lld", method->key, target->name,
                      (long long)target->width);
  if (kind == COHORT_TARGET_SAMPLE && own->views < 2)
    cohort_faults_add(faults, place,
                      "loss: %s compares views of a sample; set data.views: 2, and data.crop or data.flip",
                      method->key);
}

static cohort_status check_groups(const cohort_task *task, cohort_supervised *own, cohort_faults *faults,
                                  cohort_error *error) {
  const cohort_samples *train = &own->split[COHORT_SPLIT_TRAIN];
  if (!own->group) return COHORT_DONE;
  for (int l = 0; l < task->objectives; l++)
    if (task->loss[l].method->needs & COHORT_LOSS_GROUPS)
      own->groups = cohort_loss_groups(task->loss[l].method, task->loss[l].config);
  for (int s = 0; s < COHORT_SPLITS; s++) {
    const int32_t *group = own->split[s].count ? cohort_supervised_groups(own, (cohort_split)s) : NULL;
    if (own->split[s].count && !group)
      return cohort_fail(error, COHORT_BAD_DATA, "data: group: %s holds no integers; store the group of each sample",
                         own->group);
    for (int64_t i = 0; group && i < own->split[s].count; i++)
      if (group[i] >= own->groups)
        return cohort_fail(error, COHORT_BAD_DATA,
                           "data: %s[%lld] is group %d, and the loss has groups: %lld; set groups: %d", own->group,
                           (long long)i, (int)group[i], (long long)own->groups, (int)group[i] + 1);
  }
  own->counts = cohort_allocate((size_t)own->groups * sizeof *own->counts);
  for (int64_t i = 0; i < train->count; i++) own->counts[cohort_supervised_groups(own, COHORT_SPLIT_TRAIN)[i]]++;
  for (int64_t g = 0; g < own->groups; g++)
    if (own->counts[g] == 0) own->counts[g] = 1; /* a group of nobody is never asked */
  (void)faults;
  return COHORT_DONE;
}

/* The place of a head among those beside the first, which is made when it is not there. */
static int place_head(cohort_task *task, const char *name, int64_t width, cohort_faults *faults) {
  cohort_model_data *data = &task->model_data;
  int at = 0;
  while (at < data->heads && strcmp(data->head[at].name, name) != 0) at++;
  if (at == COHORT_MAX_FURTHER) {
    cohort_faults_add(faults, task->settings->losses, "losses: a model has at most %d heads beside the first",
                      COHORT_MAX_FURTHER);
    return -1;
  }
  if (at == data->heads) data->head[data->heads++] = (cohort_model_name){name, width};
  if (data->head[at].width != width)
    cohort_faults_add(faults, task->settings->losses, "losses: head %s is wanted with %lld outputs and with %lld", name,
                      (long long)data->head[at].width, (long long)width);
  return at;
}

/* A loss about another array than y, or with a width or name of its own, has a head of its own. */
static void join_heads(cohort_task *task, cohort_supervised *own, cohort_faults *faults) {
  for (int l = 0; l < task->objectives; l++) {
    const cohort_loss_names *names = &task->names[l];
    const cohort_supervised_target *target = cohort_supervised_target_of(own, l);
    const bool first = !names->head && !names->outputs && own->target_of[l] < 0;
    const char *name = names->head ? names->head : target->name;
    own->head_of[l] = first ? -1 : place_head(task, name, names->outputs ? names->outputs : target->width, faults);
  }
}

/* One for every head with classes. */
static void list_metrics(cohort_task *task, cohort_supervised *own) {
  for (int l = 0; l < task->objectives; l++) {
    const cohort_target kind = ((const cohort_loss *)task->loss[l].method->functions)->target;
    bool known = kind == COHORT_TARGET_SAMPLE || !cohort_supervised_target_of(own, l)->labels ||
                 task->names[l].outputs || task->metrics == COHORT_MAX_METRICS;
    for (int m = 0; m < task->metrics && !known; m++) known = own->head_of[own->accuracy_of[m]] == own->head_of[l];
    if (known) continue;
    const int head = own->head_of[l], at = task->metrics++;
    own->accuracy_of[at] = l;
    own->metric[at] = head < 0 ? cohort_copy_text("supervised/accuracy")
                               : cohort_format_text("supervised/accuracy_%s", task->model_data.head[head].name);
    task->metric[at] = own->metric[at];
  }
}

/* Which inputs the graph has, and in which place. */
static void place_inputs(const cohort_task *task, cohort_supervised *own) {
  unsigned needs = 0;
  bool samples = false;
  for (int l = 0; l < task->objectives; l++) {
    needs |= task->loss[l].method->needs;
    samples = samples || ((const cohort_loss *)task->loss[l].method->functions)->target == COHORT_TARGET_SAMPLE;
  }
  int next = 0;
  for (int i = 0; i < COHORT_SUPERVISED_INPUTS; i++) {
    bool there = i <= COHORT_SUPERVISED_IDS;
    if (i == COHORT_SUPERVISED_SAMPLE) there = samples;
    if (i == COHORT_SUPERVISED_GROUP || i == COHORT_SUPERVISED_COUNTS) there = own->group != NULL;
    if (i == COHORT_SUPERVISED_LANE) there = needs & COHORT_LOSS_COUPLED;
    if (i >= COHORT_SUPERVISED_FURTHER) there = i - COHORT_SUPERVISED_FURTHER < own->inputs;
    if (i >= COHORT_SUPERVISED_TARGETS) there = i - COHORT_SUPERVISED_TARGETS < own->targets;
    own->place[i] = there ? next++ : -1;
  }
}

static cohort_status check_images(const cohort_task *task, const cohort_samples *train, cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  if (train->axes == 3 || (!data->crop && !data->flip)) return COHORT_DONE;
  return cohort_settings_fail(task->settings, data->crop ? "data.crop" : "data.flip", error,
                              "data.%s: the samples are vectors, not images; remove it", data->crop ? "crop" : "flip");
}

/* The columns that the model reads. */
static cohort_status describe_inputs(cohort_task *task, const cohort_supervised *own, cohort_error *error) {
  for (int c = 0; c < own->inputs; c++) {
    const cohort_column *column = cohort_samples_column(&own->split[COHORT_SPLIT_TRAIN], own->input[c]);
    if (!column->values)
      return cohort_fail(error, COHORT_BAD_DATA, "data: inputs: %s holds integers; store real numbers", own->input[c]);
    task->model_data.input[task->model_data.inputs++] = (cohort_model_name){own->input[c], column->width};
  }
  return COHORT_DONE;
}

/* Which files there must be, or must not. */
static void check_files(const cohort_task *task, bool drawn, cohort_faults *faults) {
  const cohort_data_settings *data = &task->settings->data_settings;
  const cohort_document *place = cohort_settings_place(task->settings, "data");
  if (drawn && (data->train_images || data->train || data->validation || data->test_images))
    cohort_faults_add(faults, place, "data: the population draws its own samples; remove the files");
  if (!drawn && !data->train_images && !data->train)
    cohort_faults_add(faults, place, "data: give train_images and train_labels (IDX), or train (HDF5 or .npz)");
  if (data->train_images && !data->train_labels)
    cohort_faults_add(faults, place, "data: train_images needs train_labels");
  if (data->test_images && !data->test_labels) cohort_faults_add(faults, place, "data: test_images needs test_labels");
}

static cohort_status open_task(cohort_task *task, const cohort_log *log, cohort_faults *faults, cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  if (((const cohort_model *)task->model.method->functions)->kind != COHORT_MODEL_SAMPLES)
    cohort_faults_add(faults, cohort_settings_place(task->settings, "model"),
                      "model: %s reads tokens; the supervised task has samples", task->model.method->key);
  const bool drawn = cohort_task_partition_draws(task->settings);
  check_files(task, drawn, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  cohort_supervised *own = cohort_allocate(sizeof *own);
  named_columns columns = {0};
  task->own = own;
  own->views = data->views;
  list_columns(task, own, &columns, faults);
  if (drawn && (columns.count || own->group))
    cohort_faults_add(faults, cohort_settings_place(task->settings, "data"),
                      "data: the population draws x and y alone, and the config names %s; remove it",
                      columns.count ? columns.name[0] : own->group);
  COHORT_TRY(cohort_faults_status(faults, error));
  COHORT_TRY(drawn ? cohort_drawn_samples_open(task, own, error) : read_data(task, &columns, own, error));
  const cohort_samples *train = &own->split[COHORT_SPLIT_TRAIN];
  for (int s = 0; s < COHORT_SPLITS; s++) {
    COHORT_TRY(check_splits(train, &own->split[s], cohort_split_name((cohort_split)s), error));
    COHORT_TRY(check_columns(train, &own->split[s], cohort_split_name((cohort_split)s), error));
    task->samples[s] = own->split[s].count;
    task->digest = cohort_digest(&own->split[s].digest, sizeof own->split[s].digest, task->digest + 1);
  }
  char *const empty = drawn ? NULL : cohort_samples_empty_classes(train);
  if (empty) cohort_log_warning(log, "data: %s; the model has an output for each", empty);
  free(empty);
  fill_targets(own);
  for (int l = 0; l < task->objectives; l++) check_loss(task, own, l, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  COHORT_TRY(check_groups(task, own, faults, error));
  COHORT_TRY(check_images(task, train, error));
  COHORT_TRY(check_model(task, train, error));
  task->model_data.axes = train->axes;
  for (int byte = 0; byte < 256; byte++) own->number[byte] = (float)byte / 255.0f;
  own->features = 1;
  for (int a = 0; a < train->axes; a++) own->features *= task->model_data.size[a] = train->size[a];
  task->model_data.outputs = own->first.width;
  COHORT_TRY(describe_inputs(task, own, error));
  join_heads(task, own, faults);
  list_metrics(task, own);
  place_inputs(task, own);
  return cohort_faults_status(faults, error);
}

static int64_t count(const cohort_task *task, cohort_split split, int64_t samples) {
  (void)task, (void)split;
  return samples;
}

const int32_t *cohort_supervised_labels(const cohort_task *task) {
  const cohort_supervised *own = task->own;
  return own->drawn ? NULL : own->split[COHORT_SPLIT_TRAIN].labels;
}

const int64_t *cohort_supervised_drawn(const cohort_task *task, int64_t *clients) {
  const cohort_supervised *own = task->own;
  *clients = own->drawn ? own->drawn->clients : 0;
  return own->drawn ? own->drawn->first : NULL;
}

const int32_t *cohort_supervised_column(const cohort_task *task, const char *name, int64_t *classes) {
  const cohort_samples *train = &((const cohort_supervised *)task->own)->split[COHORT_SPLIT_TRAIN];
  const cohort_column *column = is_first(name) ? NULL : cohort_samples_column(train, name);
  *classes = is_first(name) ? train->classes : column ? column->classes : 0;
  return is_first(name) ? cohort_supervised_labels(task) : column ? column->labels : NULL;
}

int64_t cohort_supervised_classes(const cohort_task *task) {
  const cohort_supervised *own = task->own;
  return task->functions == &cohort_task_supervised && own->first.labels ? own->first.width : 0;
}

const cohort_task_functions cohort_task_supervised = {
    .name = "supervised",
    .noun = "samples",
    .players = (const char *const[]){"loss", NULL},
    .uses = COHORT_TASK_MODEL | COHORT_TASK_SPLITS | COHORT_TASK_LOSS | COHORT_TASK_SAMPLES,
    .open = open_task,
    .close = close_task,
    .build = cohort_supervised_graph,
    .feed = cohort_supervised_feed,
    .build_subject = cohort_supervised_subject,
    .count = count};
