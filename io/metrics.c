/* metrics.csv and timing.csv: appended a row at a time, cut back on resume. After a kill at most the last line is torn,
 * and it is dropped. metrics.csv holds deterministic columns alone, so equal runs give equal bytes. A row is one write;
 * a resume reads the files once. */
#include "io/metrics.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/run_directory.h"
#include "io/tensorboard.h"

struct cohort_metrics {
  FILE *metrics, *timing;
  char *metrics_path, *timing_path;
  cohort_tensorboard *tensorboard;
  int columns;
  char **column; /* sorted */
  int *order;    /* order[i]: the caller's number of sorted column i */
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

/* Keeps the header and the rows of steps up to `resume_step`; a cut last line goes. */
static cohort_status cut_rows(const char *path, const char *header, int64_t resume_step, cohort_error *error) {
  char *text = NULL;
  size_t length = 0;
  char *kept = cohort_format_text("%s\n", header);
  if (resume_step >= 0 && cohort_file_exists(path)) {
    cohort_status status = cohort_file_read(path, &text, &length, error);
    if (status != COHORT_DONE) {
      free(kept);
      return status;
    }
    const size_t first = strcspn(text, "\n");
    if (first < length && (first != strlen(header) || strncmp(text, header, first) != 0)) {
      free(kept);
      free(text);
      return cohort_fail(error, COHORT_BAD_DATA, "%s:1: other columns than this run writes; start another run", path);
    }
    char *to = text;
    for (char *line = text + first + 1; line < text + length;) {
      char *end = strchr(line, '\n');
      if (!end) break;
      const size_t bytes = (size_t)(end - line) + 1;
      if (strtoll(line, NULL, 10) <= resume_step) {
        memmove(to, line, bytes);
        to += bytes;
      }
      line = end + 1;
    }
    char *longer = cohort_format_text("%s%.*s", kept, (int)(to - text), text);
    free(kept);
    kept = longer;
  }
  const cohort_status status = cohort_file_write(path, kept, strlen(kept), error);
  free(kept);
  free(text);
  return status;
}

static cohort_status open_all(cohort_metrics *own, const char *run_directory, int64_t resume_step,
                              cohort_error *error) {
  char *header = header_of(own);
  cohort_status status = cut_rows(own->metrics_path, header, resume_step, error);
  free(header);
  COHORT_TRY(status);
  COHORT_TRY(cut_rows(own->timing_path, timing_columns, resume_step, error));
  COHORT_TRY(cohort_file_append(own->metrics_path, &own->metrics, error));
  COHORT_TRY(cohort_file_append(own->timing_path, &own->timing, error));
  return cohort_tensorboard_open(run_directory, resume_step, &own->tensorboard, error);
}

static void release(cohort_metrics *own) {
  if (own->metrics) (void)fclose(own->metrics);
  if (own->timing) (void)fclose(own->timing);
  cohort_tensorboard_close(own->tensorboard);
  for (int i = 0; i < own->columns; i++) free(own->column[i]);
  free(own->column);
  free(own->order);
  free(own->metrics_path);
  free(own->timing_path);
  free(own);
}

cohort_status cohort_metrics_open(const char *run_directory, int64_t resume_step, int columns,
                                  const char *const *column, cohort_metrics **out, cohort_error *error) {
  cohort_metrics *own = cohort_allocate(sizeof *own);
  sort_columns(own, columns, column);
  own->metrics_path = cohort_format_text("%s/metrics.csv", run_directory);
  own->timing_path = cohort_format_text("%s/timing.csv", run_directory);
  const cohort_status status = open_all(own, run_directory, resume_step, error);
  if (status != COHORT_DONE) {
    release(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

static void put_real(FILE *file, double value) {
  if (isnan(value))
    (void)fputc(',', file);
  else
    (void)fprintf(file, ",%.9g", value);
}

static void put_count(FILE *file, int64_t value) {
  if (value < 0)
    (void)fputc(',', file);
  else
    (void)fprintf(file, ",%lld", (long long)value);
}

static cohort_status finish_row(FILE *file, const char *path, cohort_error *error) {
  (void)fputc('\n', file);
  if (fflush(file) == 0 && !ferror(file)) return COHORT_DONE;
  return cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be written: %s", path, strerror(errno));
}

static void add_scalar(cohort_metrics *own, const cohort_metrics_row *row, const char *name, double value) {
  char tag[128];
  if (isnan(value)) return;
  (void)snprintf(tag, sizeof tag, "%s/%s", row->split, name);
  cohort_tensorboard_scalar(own->tensorboard, row->step, tag, value);
}

cohort_status cohort_metrics_write(cohort_metrics *metrics, const cohort_metrics_row *row, cohort_error *error) {
  FILE *file = metrics->metrics;
  (void)fprintf(file, "%lld,%s", (long long)row->step, row->split);
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
  return finish_row(file, metrics->metrics_path, error);
}

cohort_status cohort_metrics_write_timing(cohort_metrics *metrics, const cohort_timing_row *row, cohort_error *error) {
  FILE *file = metrics->timing;
  (void)fprintf(file, "%lld", (long long)row->step);
  put_real(file, row->seconds);
  put_real(file, row->samples_per_second);
  put_real(file, row->tokens_per_second);
  put_real(file, row->gflops_per_second);
  put_real(file, row->exposed_communication_seconds);
  put_real(file, row->checkpoint_seconds);
  put_real(file, row->evaluation_seconds);
  (void)fprintf(file, ",%llu", (unsigned long long)row->bytes_received);
  put_real(file, row->peak_memory_bytes);
  (void)fprintf(file, ",%llu", (unsigned long long)row->messages);
  put_real(file, row->hidden_communication_seconds);
  return finish_row(file, metrics->timing_path, error);
}

cohort_status cohort_metrics_close(cohort_metrics *metrics, cohort_error *error) {
  if (!metrics) return COHORT_DONE;
  const bool good = fclose(metrics->metrics) == 0;
  metrics->metrics = NULL;
  char *path = cohort_copy_text(metrics->metrics_path);
  release(metrics);
  const cohort_status status =
      good ? COHORT_DONE : cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be written: %s", path, strerror(errno));
  free(path);
  return status;
}
