/* A run's numbers on disk. Invariant: what a file holds is a beginning of the rows written so far, whole but for the
 * last, which a resume cuts; what the disk has not taken yet waits in memory and goes before the next row. A row costs
 * its length; opening a file costs reading and writing it once. */
#include "io/metrics.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "io/run_directory.h"
#include "io/tensorboard.h"

/* Rows that wait for a disk; more are lost. */
enum { MOST_WAITING = 1 << 26, SPLIT_ROOM = 16, MOST_SPLITS = 4 };

/* A file that rows are added to. */
typedef struct row_file {
  char *path;
  FILE *file;
  cohort_text waiting; /* written by us, not yet by the system */
  size_t row;          /* where the row in hand begins */
  bool lost;           /* rows */
} row_file;

struct cohort_metrics {
  row_file metrics, timing;
  cohort_tensorboard *tensorboard;
  int columns;
  char **column; /* sorted */
  int *order;    /* order[i]: the caller's number of sorted column i */
  /* Of the rows that opening has kept: */
  int64_t last_train;
  double train_loss;
  int splits; /* with a row of the last step */
  char split[MOST_SPLITS][SPLIT_ROOM];
};

static const char fixed_columns[] = "step,split,epoch,samples,tokens,loss,learning_rate,gradient_norm";
static const char timing_columns[] =
    "step,seconds,samples_per_second,tokens_per_second,gflops_per_second,exposed_communication_seconds,"
    "checkpoint_seconds,evaluation_seconds,bytes_received,peak_memory_bytes,messages,hidden_communication_seconds";

static void sort_columns(cohort_metrics *own, int columns, const char *const *column) {
  own->columns = columns;
  own->column = cohort_allocate((size_t)(columns + 1) * sizeof *own->column);
  own->order = cohort_allocate((size_t)(columns + 1) * sizeof *own->order);
  for (int i = 0; i < columns; i++) {
    int at = i;
    for (; at > 0 && strcmp(own->column[at - 1], column[i]) > 0; at--) {
      own->column[at] = own->column[at - 1];
      own->order[at] = own->order[at - 1];
    }
    own->column[at] = cohort_copy_text(column[i]);
    own->order[at] = i;
  }
}

static char *header_of(const cohort_metrics *own) {
  char *header = cohort_copy_text(fixed_columns);
  for (int i = 0; i < own->columns; i++) {
    char *longer = cohort_format_text("%s,%s", header, own->column[i]);
    free(header);
    header = longer;
  }
  return header;
}

/* The n-th field of a row, as text. */
static void field_of(const char *line, int n, char *out, size_t room) {
  for (; n > 0; n--) line += strcspn(line, ",\n") + 1;
  const size_t length = strcspn(line, ",\n");
  (void)snprintf(out, room, "%.*s", (int)(length < room ? length : room - 1), line);
}

static bool listed(const char *split, const char *const *list) {
  for (; list && *list; list++)
    if (strcmp(*list, split) == 0) return true;
  return false;
}

/* Which rows of an older file stay. */
typedef struct cut {
  int64_t step;
  const char *const *ended;
} cut;

static bool stays(const cut *how, const char *line) {
  char split[SPLIT_ROOM];
  const long long step = strtoll(line, NULL, 10);
  if (step != how->step) return step < how->step;
  field_of(line, 1, split, sizeof split);
  return !listed(split, how->ended);
}

static void note_row(cohort_metrics *own, const cut *how, const char *line) {
  char split[SPLIT_ROOM], loss[40];
  const long long step = strtoll(line, NULL, 10);
  field_of(line, 1, split, sizeof split);
  if (strcmp(split, "train") == 0) {
    field_of(line, 5, loss, sizeof loss);
    own->last_train = step;
    own->train_loss = *loss ? strtod(loss, NULL) : NAN;
  }
  if (step == how->step && own->splits < MOST_SPLITS) memcpy(own->split[own->splits++], split, sizeof split);
}

/* Keeps the rows in `text` that stay, behind one another; a cut last line goes. Returns their length. */
static size_t keep_rows(cohort_metrics *own, const cut *how, char *text, char *line, const char *text_end) {
  char *to = text;
  while (line < text_end) {
    char *end = strchr(line, '\n');
    if (!end) break;
    const size_t bytes = (size_t)(end - line) + 1;
    if (stays(how, line)) {
      if (own) note_row(own, how, line);
      memmove(to, line, bytes);
      to += bytes;
    }
    line = end + 1;
  }
  return (size_t)(to - text);
}

/* Keeps the header and the rows that stay; notes them in `own` (or NULL). */
static cohort_status cut_rows(cohort_metrics *own, const char *path, const char *header, const cut *how,
                              cohort_error *error) {
  char *text = NULL;
  size_t length = 0, rows = 0;
  const size_t head = strlen(header);
  if (how->step >= 0 && cohort_file_exists(path)) {
    COHORT_TRY(cohort_file_read(path, &text, &length, error));
    const size_t first = strcspn(text, "\n");
    if (first < length && (first != head || strncmp(text, header, first) != 0)) {
      free(text);
      return cohort_fail(error, COHORT_BAD_DATA, "%s:1: other columns than this run writes; start another run", path);
    }
    rows = keep_rows(own, how, text, text + first + 1, text + length);
  }
  char *kept = cohort_allocate(head + rows + 2);
  memcpy(kept, header, head);
  kept[head] = '\n';
  if (rows) memcpy(kept + head + 1, text, rows);
  const cohort_status status = cohort_file_write(path, kept, head + 1 + rows, error);
  free(kept);
  free(text);
  return status;
}

static cohort_status open_file(row_file *own, cohort_error *error) {
  return cohort_file_append(own->path, &own->file, error);
}

static cohort_status open_all(cohort_metrics *own, const char *run_directory, const cut *how, cohort_error *error) {
  char *header = header_of(own);
  cohort_status status = cut_rows(own, own->metrics.path, header, how, error);
  free(header);
  COHORT_TRY(status);
  COHORT_TRY(cut_rows(NULL, own->timing.path, timing_columns, &(cut){.step = how->step}, error));
  COHORT_TRY(open_file(&own->metrics, error));
  COHORT_TRY(open_file(&own->timing, error));
  return cohort_tensorboard_open(run_directory, how->step, &own->tensorboard, error);
}

static void release_file(row_file *own) {
  if (own->file) (void)fclose(own->file);
  free(own->path);
  free(own->waiting.text);
}

static void release(cohort_metrics *own) {
  release_file(&own->metrics);
  release_file(&own->timing);
  cohort_tensorboard_close(own->tensorboard);
  for (int i = 0; i < own->columns; i++) free(own->column[i]);
  free(own->column);
  free(own->order);
  free(own);
}

cohort_status cohort_metrics_open(const char *run_directory, int64_t resume_step, const char *const *ended, int columns,
                                  const char *const *column, cohort_metrics **out, cohort_error *error) {
  cohort_metrics *own = cohort_allocate(sizeof *own);
  sort_columns(own, columns, column);
  own->last_train = -1;
  own->train_loss = NAN;
  own->metrics.path = cohort_format_text("%s/metrics.csv", run_directory);
  own->timing.path = cohort_format_text("%s/timing.csv", run_directory);
  const cohort_status status = open_all(own, run_directory, &(cut){resume_step, ended}, error);
  if (status != COHORT_DONE) {
    release(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

bool cohort_metrics_kept(const cohort_metrics *metrics, const char *split) {
  for (int i = 0; i < metrics->splits; i++)
    if (strcmp(metrics->split[i], split) == 0) return true;
  return false;
}

int64_t cohort_metrics_last_train(const cohort_metrics *metrics, double *loss) {
  *loss = metrics->train_loss;
  return metrics->last_train;
}

static void put_real(row_file *own, double value) {
  if (isnan(value))
    cohort_text_put(&own->waiting, ",");
  else
    cohort_text_put(&own->waiting, ",%.9g", value);
}

static void put_count(row_file *own, int64_t value) {
  if (value < 0)
    cohort_text_put(&own->waiting, ",");
  else
    cohort_text_put(&own->waiting, ",%lld", (long long)value);
}

/* Gives the system all that waits. */
static cohort_status hand_over(row_file *own, cohort_error *error) {
  size_t done = 0;
  int fault = 0;
  while (done < own->waiting.length && !fault) {
    const ssize_t bytes = write(fileno(own->file), own->waiting.text + done, own->waiting.length - done);
    if (bytes > 0) done += (size_t)bytes;
    if (bytes < 0 && errno != EINTR) fault = errno;
    if (bytes == 0) fault = ENOSPC;
  }
  own->waiting.length -= done;
  if (own->waiting.length) memmove(own->waiting.text, own->waiting.text + done, own->waiting.length);
  own->row = own->waiting.length;
  if (!fault) return COHORT_DONE;
  return cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be written: %s", own->path, strerror(fault));
}

static cohort_status finish_row(row_file *own, cohort_error *error) {
  cohort_text_put(&own->waiting, "\n");
  if (own->waiting.length > MOST_WAITING) {
    own->waiting.length = own->row;
    own->lost = true;
  }
  return hand_over(own, error);
}

static void add_scalar(cohort_metrics *own, const cohort_metrics_row *row, const char *name, double value) {
  char tag[128];
  if (isnan(value)) return;
  (void)snprintf(tag, sizeof tag, "%s/%s", row->split, name);
  cohort_tensorboard_scalar(own->tensorboard, row->step, tag, value);
}

cohort_status cohort_metrics_write(cohort_metrics *metrics, const cohort_metrics_row *row, cohort_error *error) {
  row_file *file = &metrics->metrics;
  cohort_text_put(&file->waiting, "%lld,%s", (long long)row->step, row->split);
  put_real(file, row->epoch);
  put_count(file, row->samples);
  put_count(file, row->tokens);
  put_real(file, row->loss);
  put_real(file, row->learning_rate);
  put_real(file, row->gradient_norm);
  for (int i = 0; i < metrics->columns; i++) put_real(file, row->extra[metrics->order[i]]);
  add_scalar(metrics, row, "loss", row->loss);
  add_scalar(metrics, row, "learning_rate", row->learning_rate);
  add_scalar(metrics, row, "gradient_norm", row->gradient_norm);
  for (int i = 0; i < metrics->columns; i++)
    add_scalar(metrics, row, metrics->column[i], row->extra[metrics->order[i]]);
  return finish_row(file, error);
}

cohort_status cohort_metrics_write_timing(cohort_metrics *metrics, const cohort_timing_row *row, cohort_error *error) {
  row_file *file = &metrics->timing;
  cohort_text_put(&file->waiting, "%lld", (long long)row->step);
  put_real(file, row->seconds);
  put_real(file, row->samples_per_second);
  put_real(file, row->tokens_per_second);
  put_real(file, row->gflops_per_second);
  put_real(file, row->exposed_communication_seconds);
  put_real(file, row->checkpoint_seconds);
  put_real(file, row->evaluation_seconds);
  cohort_text_put(&file->waiting, ",%llu", (unsigned long long)row->bytes_received);
  put_real(file, row->peak_memory_bytes);
  cohort_text_put(&file->waiting, ",%llu", (unsigned long long)row->messages);
  put_real(file, row->hidden_communication_seconds);
  return finish_row(file, error);
}

static cohort_status sync_file(row_file *own, cohort_error *error) {
  COHORT_TRY(hand_over(own, error));
  if (fsync(fileno(own->file)) == 0 || errno == EINVAL) return COHORT_DONE; /* EINVAL: a pipe, which has no disk */
  return cohort_fail(error, COHORT_NO_RESOURCE, "%s: syncing failed: %s", own->path, strerror(errno));
}

cohort_status cohort_metrics_sync(cohort_metrics *metrics, cohort_error *error) {
  cohort_tensorboard_flush(metrics->tensorboard);
  const cohort_status status = sync_file(&metrics->metrics, error);
  return status == COHORT_DONE ? sync_file(&metrics->timing, error) : status;
}

cohort_status cohort_metrics_close(cohort_metrics *metrics, cohort_error *error) {
  if (!metrics) return COHORT_DONE;
  cohort_status status = cohort_metrics_sync(metrics, error);
  if (status == COHORT_DONE && metrics->metrics.lost)
    status = cohort_fail(error, COHORT_NO_RESOURCE, "%s: rows are missing: the disk was full for too long",
                         metrics->metrics.path);
  release(metrics);
  return status;
}
