/* Fills the inputs of a supervised lane. Invariant: what a lane gets depends on the batch and its own place in it,
 * never on a rank. Costs a copy of the samples; a sample lies anywhere in memory, so its features are asked for early.
 */
#include <string.h>

#include "train/task/supervised.h"

/* Copies `count` features of a split from feature `first` on. */
static inline void take(const cohort_supervised *own, const cohort_samples *samples, int64_t first, int64_t count,
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
static void call_up(const cohort_supervised *own, const cohort_samples *samples, int64_t sample) {
  const int64_t bytes = own->features * (samples->bytes ? 1 : (int64_t)sizeof *samples->input);
  const char *from = samples->bytes ? (const char *)samples->bytes : (const char *)samples->input;
  for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(from + sample * bytes + at);
}

/* Shift by up to `crop` pixels (zeros outside) and mirror, drawn by (position in the stream, view). */
static void augment(const cohort_task *task, int64_t position, int64_t view, const cohort_samples *samples,
                    int64_t first, float *to) {
  const cohort_data_settings *data = &task->settings->data_settings;
  const int64_t height = task->model_data.size[0], width = task->model_data.size[1],
                channels = task->model_data.size[2];
  const cohort_random_key key = cohort_random_key_derive_name(task->key, "augment");
  const philox4x32_ctr_t words = cohort_random_words(key, (uint64_t)view, (uint64_t)position);
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

/* The input's buffer, of rows of `width` numbers, at a row; of one that the graph has. */
static float *real_row(const feed_job *job, int input, int64_t row, int64_t width) {
  const cohort_supervised *own = job->task->own;
  return (float *)job->feed->input[own->place[input]] + row * width;
}

static int32_t *integer_row(const feed_job *job, int input, int64_t row) {
  const cohort_supervised *own = job->task->own;
  return (int32_t *)job->feed->input[own->place[input]] + row;
}

static void put_features(const feed_job *job, int64_t i, int64_t view, int64_t row) {
  const cohort_supervised *own = job->task->own;
  const cohort_samples *samples = &own->split[job->feed->split];
  float *input = real_row(job, COHORT_SUPERVISED_FEATURES, row, own->features);
  const int64_t first = job->sample[i] * own->features;
  if (i >= job->feed->count)
    memset(input, 0, (size_t)own->features * sizeof *input);
  else if (job->augmented)
    augment(job->task, job->feed->position[i], view, samples, first, input);
  else
    take(own, samples, first, own->features, input);
}

/* A target: a class, or `width` numbers; -1, or zeros, where there is no sample. */
static void put_target(const feed_job *job, int input, int64_t i, int64_t row, const int32_t *labels,
                       const float *values, int64_t width) {
  const bool real = i < job->feed->count;
  const int64_t sample = job->sample[i];
  if (labels) {
    *integer_row(job, input, row) = real ? labels[sample] : -1;
    return;
  }
  float *to = real_row(job, input, row, width);
  for (int64_t o = 0; o < width; o++) to[o] = real ? values[sample * width + o] : 0;
}

/* Features and class of a sample that is not stored. */
static void put_drawn(const feed_job *job, cohort_drawn_client *last, int64_t i, int64_t row) {
  const cohort_supervised *own = job->task->own;
  float *input = real_row(job, COHORT_SUPERVISED_FEATURES, row, own->features);
  int32_t *label = integer_row(job, COHORT_SUPERVISED_TARGET, row);
  *label = -1;
  if (i >= job->feed->count)
    memset(input, 0, (size_t)own->features * sizeof *input);
  else
    *label = cohort_drawn_samples_draw(own->drawn, last, job->feed->split, job->sample[i], input);
}

/* The class that a client which lies about its data says. */
static void relabel(const feed_job *job, int32_t *label) {
  *label = job->feed->relabel->label(job->feed->relabel->argument, *label);
}

static void put_row(const feed_job *job, cohort_drawn_client *last, int64_t i, int64_t view, int64_t row) {
  const cohort_supervised *own = job->task->own;
  const cohort_split split = job->feed->split;
  const cohort_samples *samples = &own->split[split];
  const bool real = i < job->feed->count;
  if (own->drawn) {
    put_drawn(job, last, i, row);
  } else {
    put_features(job, i, view, row);
    put_target(job, COHORT_SUPERVISED_TARGET, i, row, samples->labels, samples->targets, samples->target_size);
  }
  if (job->feed->relabel && real) relabel(job, integer_row(job, COHORT_SUPERVISED_TARGET, row));
  *real_row(job, COHORT_SUPERVISED_WEIGHT, row, 1) = real ? (float)(1.0 / (double)own->views) : 0;
  *integer_row(job, COHORT_SUPERVISED_POSITIONS, row) = (int32_t)view;
  *integer_row(job, COHORT_SUPERVISED_IDS, row) = job->sample[i];
  if (own->place[COHORT_SUPERVISED_SAMPLE] >= 0)
    *integer_row(job, COHORT_SUPERVISED_SAMPLE, row) = real ? job->sample[i] : -1;
  if (own->group)
    *integer_row(job, COHORT_SUPERVISED_GROUP, row) = real ? cohort_supervised_groups(own, split)[job->sample[i]] : 0;
  for (int c = 0; c < own->inputs; c++) {
    const cohort_column *column = cohort_samples_column(samples, own->input[c]);
    put_target(job, COHORT_SUPERVISED_FURTHER + c, i, row, NULL, column->values, column->width);
  }
  for (int c = 0; c < own->targets; c++) {
    const cohort_column *column = cohort_samples_column(samples, own->target[c].name);
    put_target(job, COHORT_SUPERVISED_TARGETS + c, i, row, column->labels, column->values, column->width);
  }
}

static void feed_tile(void *argument, int64_t tile) {
  enum { AHEAD = 4 };
  const feed_job *job = argument;
  const cohort_supervised *own = job->task->own;
  const cohort_samples *samples = &own->split[job->feed->split];
  const int64_t first = tile * job->tile, end = first + job->tile, capacity = job->feed->capacity;
  const int64_t last = end < capacity ? end : capacity;
  cohort_drawn_client drawn;
  drawn.begun = false;
  find_samples(job->task, job->feed, first, last, job->sample);
  for (int64_t i = first; i < last; i++) {
    if (!own->drawn && i + AHEAD < last) call_up(own, samples, job->sample[i + AHEAD]);
    for (int64_t view = 0; view < own->views; view++) put_row(job, &drawn, i, view, i * own->views + view);
  }
}

/* Threads share what is worth waking them. */
void cohort_supervised_feed(const cohort_task *task, cohort_feed *feed) {
  enum { LEAST_FEATURES = 1 << 13 };
  const cohort_supervised *own = task->own;
  const cohort_data_settings *data = &task->settings->data_settings;
  /* Views that were all alike would say nothing of a loss over them: they are drawn in evaluations too. */
  const bool moved = (feed->split == COHORT_SPLIT_TRAIN && !feed->plain) || own->views > 1;
  /* The samples' numbers stand at the end of the ids, which are written from the front: they are read before. */
  int32_t *ids = feed->input[own->place[COHORT_SUPERVISED_IDS]];
  feed_job job = {.task = task, .feed = feed, .sample = ids + feed->capacity * (own->views - 1)};
  job.augmented = moved && (data->crop || data->flip);
  int64_t tiles = feed->capacity * own->views * own->features / LEAST_FEATURES + 1;
  if (tiles > feed->team->threads) tiles = feed->team->threads;
  if (own->views > 1) tiles = 1; /* who writes an id might write over another's sample */
  job.tile = (feed->capacity + tiles - 1) / tiles;
  cohort_team_share(feed->team, (feed->capacity + job.tile - 1) / job.tile, feed_tile, &job);
  if (own->group)
    memcpy(feed->input[own->place[COHORT_SUPERVISED_COUNTS]], own->counts, (size_t)own->groups * sizeof *own->counts);
  if (own->place[COHORT_SUPERVISED_LANE] >= 0)
    *(float *)feed->input[own->place[COHORT_SUPERVISED_LANE]] = (float)feed->lane;
}
