/* Reads metrics.csv. One walk over the text: time grows with its bytes, memory by 8 bytes a field. */
#include "io/metrics_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/file.h"

const char *const cohort_metrics_split[COHORT_METRICS_SPLITS] = {"train", "validation", "test", "clients"};

enum { STEP, SPLIT };

void cohort_curve_release(cohort_curve *own) {
  free(own->x);
  free(own->y);
  *own = (cohort_curve){0};
}

static int64_t count_of(const char *text, size_t length, char wanted) {
  int64_t count = 0;
  for (size_t i = 0; i < length; i++) count += text[i] == wanted;
  return count;
}

static void read_header(cohort_metrics_table *own, const char *text, size_t length) {
  own->text = cohort_format_text("%.*s", (int)length, text);
  own->columns = 1 + (int)count_of(own->text, strlen(own->text), ',');
  own->column = cohort_allocate((size_t)own->columns * sizeof *own->column);
  char *at = own->text;
  for (int c = 0; c < own->columns; c++) {
    own->column[c] = at;
    at += strcspn(at, ",");
    if (*at) *at++ = '\0';
  }
}

static signed char split_of(const char *field, size_t length) {
  for (signed char s = 0; s < COHORT_METRICS_SPLITS; s++)
    if (strlen(cohort_metrics_split[s]) == length && memcmp(field, cohort_metrics_split[s], length) == 0) return s;
  return -1;
}

/* Writes row own->rows; returns whether the line had all its fields. */
static bool read_row(cohort_metrics_table *own, int64_t most, const char *line, const char *end) {
  const char *at = line;
  for (int c = 0; c < own->columns; c++) {
    const char *const comma = memchr(at, ',', (size_t)(end - at)), *const stop = comma ? comma : end;
    if (c == SPLIT) own->split[own->rows] = split_of(at, (size_t)(stop - at));
    own->value[c * most + own->rows] = stop > at && c != SPLIT ? strtod(at, NULL) : NAN;
    if (!comma && c + 1 < own->columns) return false;
    at = stop + 1;
  }
  return true;
}

/* Columns were laid out for `most` rows. */
static void close_gaps(cohort_metrics_table *own, int64_t most) {
  for (int c = 1; c < own->columns; c++)
    memmove(own->value + c * own->rows, own->value + c * most, (size_t)own->rows * sizeof *own->value);
}

cohort_status cohort_metrics_table_read(const char *run, cohort_metrics_table *out, cohort_error *error) {
  char *text = NULL;
  size_t length = 0;
  *out = (cohort_metrics_table){0};
  char *const path = cohort_format_text("%s/metrics.csv", run);
  cohort_status status = cohort_file_read(path, &text, &length, error);
  const size_t head = status == COHORT_DONE ? strcspn(text, "\n") : 0;
  if (status == COHORT_DONE && strncmp(text, "step,split,", strlen("step,split,")) != 0)
    status =
        cohort_fail(error, COHORT_BAD_DATA, "%s:1: no metrics of a run: its columns must begin with step,split", path);
  if (status == COHORT_DONE) {
    read_header(out, text, head);
    const int64_t most = 1 + count_of(text + head, length - head, '\n');
    out->split = cohort_allocate((size_t)most * sizeof *out->split);
    out->value = cohort_allocate((size_t)(most * out->columns) * sizeof *out->value);
    for (const char *line = text + head, *const last = text + length; line < last;) {
      const char *const end = line + strcspn(line, "\n");
      if (end > line && read_row(out, most, line, end)) out->rows++;
      line = end + 1;
    }
    close_gaps(out, most);
  }
  free(path);
  free(text);
  return status;
}

void cohort_metrics_table_release(cohort_metrics_table *own) {
  free(own->text);
  free(own->column);
  free(own->split);
  free(own->value);
  *own = (cohort_metrics_table){0};
}

int cohort_metrics_table_find(const cohort_metrics_table *own, const char *name) {
  for (int c = 0; c < own->columns; c++)
    if (strcmp(own->column[c], name) == 0) return c;
  return -1;
}

cohort_curve cohort_metrics_table_curve(const cohort_metrics_table *own, int column, int split) {
  cohort_curve out = {0};
  if (column < 0) return out;
  out.x = cohort_allocate((size_t)own->rows * sizeof *out.x);
  out.y = cohort_allocate((size_t)own->rows * sizeof *out.y);
  const double *const step = own->value + STEP * own->rows, *const value = own->value + column * own->rows;
  for (int64_t row = 0; row < own->rows; row++) {
    if (own->split[row] != split || !isfinite(value[row]) || !isfinite(step[row])) continue;
    if (out.count && step[row] <= out.x[out.count - 1]) continue;
    out.x[out.count] = step[row];
    out.y[out.count++] = value[row];
  }
  return out;
}
