/* Task supervised: samples with a class or a real target. Inputs: input, target, weight, positions, ids. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"
#include "method/loss/loss.h"
#include "train/task/task.h"

typedef struct supervised {
  cohort_samples split[COHORT_SPLITS];
  int64_t features;  /* of one sample */
  float number[256]; /* of a byte */
} supervised;

static cohort_status read_data(const cohort_task *task, supervised *own, cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  const cohort_layout layout = (cohort_layout)data->layout;
  if (data->train_images) {
    COHORT_TRY(cohort_samples_read_idx(data->train_images, data->train_labels, &own->split[COHORT_SPLIT_TRAIN], error));
    if (data->test_images)
      COHORT_TRY(cohort_samples_read_idx(data->test_images, data->test_labels, &own->split[COHORT_SPLIT_TEST], error));
    return COHORT_DONE;
  }
  COHORT_TRY(cohort_samples_read(data->train, layout, &own->split[COHORT_SPLIT_TRAIN], error));
  if (data->validation)
    COHORT_TRY(cohort_samples_read(data->validation, layout, &own->split[COHORT_SPLIT_VALIDATION], error));
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

static void close_task(cohort_task *task) {
  supervised *own = task->own;
  for (int s = 0; s < COHORT_SPLITS; s++) cohort_samples_release(&own->split[s]);
  free(own);
}

static cohort_status check_losses(const cohort_task *task, const cohort_samples *train, cohort_faults *faults,
                                  cohort_error *error) {
  /* the first target that is no class, to be named */
  const int64_t targets = train->targets ? train->count * train->target_size : 0;
  int64_t odd = 0;
  while (odd < targets && train->targets[odd] >= 0 && train->targets[odd] == floorf(train->targets[odd])) odd++;
  const bool odd_is_whole = odd == targets && train->target_size == 1;
  if (odd == targets) odd = 0;
  for (int i = 0; i < task->objectives; i++) {
    const cohort_loss *loss = task->loss[i].method->functions;
    if (loss->target == COHORT_TARGET_REAL && !train->targets && !train->labels)
      cohort_faults_add(faults, cohort_settings_place(task->settings, "loss"), "loss: %s needs targets",
                        task->loss[i].method->key);
    if (loss->target == COHORT_TARGET_CLASS && !train->labels)
      cohort_faults_add(
          faults, cohort_settings_place(task->settings, "loss"),
          "loss: %s needs integer classes, but the data hold real targets, such as %g in row %lld of y; %s",
          task->loss[i].method->key, (double)train->targets[odd], (long long)(odd / train->target_size),
          odd_is_whole ? "store y as integers [n]" : "take a loss for real targets, such as mse");
  }
  return cohort_faults_status(faults, error);
}

static cohort_status check_images(const cohort_task *task, const cohort_samples *train, cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  if (train->axes == 3 || (!data->crop && !data->flip)) return COHORT_DONE;
  return cohort_settings_fail(task->settings, data->crop ? "data.crop" : "data.flip", error,
                              "data.%s: the samples are vectors, not images; remove it", data->crop ? "crop" : "flip");
}

static cohort_status open_task(cohort_task *task, const cohort_log *log, cohort_faults *faults, cohort_error *error) {
  const cohort_data_settings *data = &task->settings->data_settings;
  if (((const cohort_model *)task->model.method->functions)->kind != COHORT_MODEL_SAMPLES)
    cohort_faults_add(faults, cohort_settings_place(task->settings, "model"),
                      "model: %s reads tokens; the supervised task has samples", task->model.method->key);
  if (!data->train_images && !data->train)
    cohort_faults_add(faults, cohort_settings_place(task->settings, "data"),
                      "data: give train_images and train_labels (IDX), or train (HDF5 or .npz)");
  if (data->train_images && !data->train_labels)
    cohort_faults_add(faults, cohort_settings_place(task->settings, "data"), "data: train_images needs train_labels");
  if (data->test_images && !data->test_labels)
    cohort_faults_add(faults, cohort_settings_place(task->settings, "data"), "data: test_images needs test_labels");
  COHORT_TRY(cohort_faults_status(faults, error));
  supervised *own = cohort_allocate(sizeof *own);
  task->own = own;
  COHORT_TRY(read_data(task, own, error));
  const cohort_samples *train = &own->split[COHORT_SPLIT_TRAIN];
  for (int s = 0; s < COHORT_SPLITS; s++) {
    COHORT_TRY(check_splits(train, &own->split[s], cohort_split_name((cohort_split)s), error));
    task->samples[s] = own->split[s].count;
    task->digest = cohort_digest(&own->split[s].digest, sizeof own->split[s].digest, task->digest + 1);
  }
  char *const empty = cohort_samples_empty_classes(train);
  if (empty) cohort_log_warning(log, "data: %s; the model has an output for each", empty);
  free(empty);
  COHORT_TRY(check_losses(task, train, faults, error));
  COHORT_TRY(check_images(task, train, error));
  COHORT_TRY(check_model(task, train, error));
  task->model_data.axes = train->axes;
  for (int byte = 0; byte < 256; byte++) own->number[byte] = (float)byte / 255.0f;
  own->features = 1;
  for (int a = 0; a < train->axes; a++) own->features *= task->model_data.size[a] = train->size[a];
  task->model_data.outputs = train->labels ? train->classes : train->target_size;
  if (train->labels) task->metric[task->metrics++] = "supervised/accuracy";
  return COHORT_DONE;
}

/* One-hot targets, so that a real-valued loss can be used on classes. */
static cohort_value one_hot(cohort_graph *graph, cohort_value target, int64_t capacity, int64_t classes) {
  const cohort_value column = cohort_graph_reshape(graph, target, COHORT_SHAPE(capacity, 1));
  return cohort_graph_equal(graph, column, cohort_graph_iota(graph, classes));
}

static cohort_lane_outputs build(const cohort_task *task, cohort_graph *graph, int64_t capacity, bool training) {
  const supervised *own = task->own;
  const bool classes = own->split[COHORT_SPLIT_TRAIN].labels != NULL;
  cohort_shape shape = {.axes = 1 + task->model_data.axes, .size = {capacity}};
  for (int a = 0; a < task->model_data.axes; a++) shape.size[1 + a] = task->model_data.size[a];
  cohort_model_inputs inputs = {.training = training};
  cohort_task_place_model(task, &inputs);
  inputs.input = cohort_graph_input(graph, "input", COHORT_TYPE_REAL, shape);
  const cohort_value target =
      classes ? cohort_graph_input(graph, "target", COHORT_TYPE_INTEGER, COHORT_SHAPE(capacity))
              : cohort_graph_input(graph, "target", COHORT_TYPE_REAL, COHORT_SHAPE(capacity, task->model_data.outputs));
  const cohort_value weight = cohort_graph_input(graph, "weight", COHORT_TYPE_REAL, COHORT_SHAPE(capacity));
  inputs.positions = cohort_graph_input(graph, "positions", COHORT_TYPE_INTEGER, COHORT_SHAPE(capacity));
  inputs.ids = cohort_graph_input(graph, "ids", COHORT_TYPE_INTEGER, COHORT_SHAPE(capacity));
  const cohort_model *model = task->model.method->functions;
  const cohort_value logits = model->build(task->model.config, graph, &task->model_data, &inputs).logits;
  cohort_lane_outputs out = {.objectives = task->objectives, .row = COHORT_NO_VALUE};
  for (int i = 0; i < task->objectives; i++) {
    const cohort_loss *loss = task->loss[i].method->functions;
    const bool real = loss->target == COHORT_TARGET_REAL;
    const cohort_value wanted = real && classes ? one_hot(graph, target, capacity, task->model_data.outputs) : target;
    const cohort_value rows = loss->build(task->loss[i].config, graph, logits, wanted);
    out.objective[i] = cohort_graph_sum_all(graph, cohort_graph_multiply(graph, rows, weight));
  }
  out.has_logits = classes;
  out.logits = logits;
  out.weight = weight;
  if (classes) {
    const cohort_value right = cohort_graph_equal(graph, cohort_graph_argmax(graph, logits), target);
    out.metric[out.metrics++] = cohort_graph_sum_all(graph, cohort_graph_multiply(graph, right, weight));
  }
  return out;
}

/* Copies `count` features of a split from feature `first` on. */
static inline void take(const supervised *own, const cohort_samples *samples, int64_t first, int64_t count,
                        float *restrict to) {
  if (!samples->bytes) {
    memcpy(to, samples->input + first, (size_t)count * sizeof *to);
    return;
  }
  const unsigned char *restrict from = samples->bytes + first;
  const float *restrict number = own->number;
  for (int64_t i = 0; i < count; i++) to[i] = number[from[i]];
}

/* Asks for a sample's features early: samples lie anywhere in memory. */
static void call_up(const supervised *own, const cohort_samples *samples, int64_t sample) {
  const int64_t bytes = own->features * (samples->bytes ? 1 : (int64_t)sizeof *samples->input);
  const char *from = samples->bytes ? (const char *)samples->bytes : (const char *)samples->input;
  for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(from + sample * bytes + at);
}

/* Shift by up to `crop` pixels (zeros outside) and mirror, drawn by (position in the stream). */
static void augment(const cohort_task *task, int64_t position, const cohort_samples *samples, int64_t first,
                    float *to) {
  const cohort_data_settings *data = &task->settings->data_settings;
  const int64_t height = task->model_data.size[0], width = task->model_data.size[1],
                channels = task->model_data.size[2];
  const cohort_random_key key = cohort_random_key_derive_name(task->key, "augment");
  const philox4x32_ctr_t words = cohort_random_words(key, 0, (uint64_t)position);
  const uint32_t span = 2 * (uint32_t)data->crop + 1;
  const int64_t down = (int64_t)cohort_random_below(words.v[0], span) - data->crop;
  const int64_t right = (int64_t)cohort_random_below(words.v[1], span) - data->crop;
  const bool mirror = data->flip && (words.v[2] & 1);
  for (int64_t y = 0; y < height; y++)
    for (int64_t x = 0; x < width; x++, to += channels) {
      const int64_t source_y = y + down, straight = x + right, source_x = mirror ? width - 1 - straight : straight;
      if (source_y < 0 || source_y >= height || source_x < 0 || source_x >= width)
        memset(to, 0, (size_t)channels * sizeof *to);
      else
        take(task->own, samples, first + (source_y * width + source_x) * channels, channels, to);
    }
}

/* The samples [first, last) of a batch; 0 where there is none. */
static void find_samples(const cohort_task *task, const cohort_feed *feed, int64_t first, int64_t last,
                         int32_t *sample) {
  const int64_t end = last < feed->count ? last : feed->count;
  memset(sample + first, 0, (size_t)(last - first) * sizeof *sample);
  if (feed->split == COHORT_SPLIT_TRAIN && !feed->direct)
    cohort_task_samples(task, end - first, feed->position + first, sample + first);
  else
    for (int64_t i = first; i < end; i++) sample[i] = (int32_t)feed->position[i];
}

typedef struct feed_job {
  const cohort_task *task;
  const cohort_feed *feed;
  int32_t *sample; /* [capacity] */
  bool augmented;
  int64_t tile; /* samples */
} feed_job;

static void feed_sample(const feed_job *job, int64_t i) {
  const cohort_task *task = job->task;
  const cohort_feed *feed = job->feed;
  const supervised *own = task->own;
  const cohort_samples *samples = &own->split[feed->split];
  const bool real = i < feed->count;
  const int64_t sample = job->sample[i], first = sample * own->features, outputs = task->model_data.outputs;
  float *input = (float *)feed->input[0] + i * own->features, *weight = feed->input[2];
  if (!real)
    memset(input, 0, (size_t)own->features * sizeof *input);
  else if (job->augmented)
    augment(task, feed->position[i], samples, first, input);
  else
    take(own, samples, first, own->features, input);
  if (samples->labels)
    ((int32_t *)feed->input[1])[i] = real ? samples->labels[sample] : -1;
  else
    for (int64_t o = 0; o < outputs; o++)
      ((float *)feed->input[1])[i * outputs + o] = real ? samples->targets[sample * outputs + o] : 0;
  weight[i] = real ? 1 : 0;
  ((int32_t *)feed->input[3])[i] = 0;
}

static void feed_tile(void *argument, int64_t tile) {
  enum { AHEAD = 4 };
  const feed_job *job = argument;
  const supervised *own = job->task->own;
  const cohort_samples *samples = &own->split[job->feed->split];
  const int64_t first = tile * job->tile, end = first + job->tile, capacity = job->feed->capacity;
  const int64_t last = end < capacity ? end : capacity;
  find_samples(job->task, job->feed, first, last, job->sample);
  for (int64_t i = first; i < last; i++) {
    if (i + AHEAD < last) call_up(own, samples, job->sample[i + AHEAD]);
    feed_sample(job, i);
  }
}

/* Threads share what is worth waking them. */
static void feed(const cohort_task *task, cohort_feed *feed) {
  enum { LEAST_FEATURES = 1 << 13 };
  const supervised *own = task->own;
  const cohort_data_settings *data = &task->settings->data_settings;
  const bool train = feed->split == COHORT_SPLIT_TRAIN;
  feed_job job = {.task = task, .feed = feed, .sample = feed->input[4]};
  job.augmented = train && (data->crop || data->flip);
  int64_t tiles = feed->capacity * own->features / LEAST_FEATURES + 1;
  if (tiles > feed->team->threads) tiles = feed->team->threads;
  job.tile = (feed->capacity + tiles - 1) / tiles;
  cohort_team_share(feed->team, (feed->capacity + job.tile - 1) / job.tile, feed_tile, &job);
}

static int64_t count(const cohort_task *task, cohort_split split, int64_t samples) {
  (void)task, (void)split;
  return samples;
}

/* For the partition of a population: the classes of the training samples, or NULL. */
const int32_t *cohort_supervised_labels(const cohort_task *task) {
  return ((const supervised *)task->own)->split[COHORT_SPLIT_TRAIN].labels;
}

const cohort_task_functions cohort_task_supervised = {
    .name = "supervised",
    .noun = "samples",
    .uses = COHORT_TASK_MODEL | COHORT_TASK_LOSS | COHORT_TASK_SAMPLES,
    .open = open_task,
    .close = close_task,
    .build = build,
    .feed = feed,
    .count = count};
