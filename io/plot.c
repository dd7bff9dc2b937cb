/* Curves of metrics.csv through gnuplot, one picture a column. gnuplot reads a script and the points from a file;
 * whether it is there or fails never stops a run. A pass over the rows for each picture. */
#include "io/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/run_directory.h"

enum { FIXED_COLUMNS = 8, MOST_COLUMNS = 64, SPLITS = 3 };

static const char *const splits[SPLITS] = {"train", "validation", "test"};

/* The metrics.csv of one run, cut into fields in place. */
typedef struct table {
  const char *run;
  char *text;
  int columns;
  char *column[MOST_COLUMNS];
  int64_t rows;
  char **field; /* [rows, columns] */
} table;

/* Cuts a line at its commas; returns what follows the line. */
static char *cut_line(char *line, char **field, int most, int *fields) {
  char *const end = line + strcspn(line, "\n"), *const next = *end ? end + 1 : end;
  *end = '\0';
  *fields = 0;
  for (char *at = line; at && *fields < most;) {
    field[(*fields)++] = at;
    at = strchr(at, ',');
    if (at) *at++ = '\0';
  }
  return next;
}

/* Rows with fewer fields than the header (a run may be writing one) are left out. */
static cohort_status read_table(const char *run, table *out, cohort_error *error) {
  size_t length = 0;
  char *const path = cohort_format_text("%s/metrics.csv", run);
  *out = (table){.run = run};
  const cohort_status status = cohort_file_read(path, &out->text, &length, error);
  free(path);
  COHORT_TRY(status);
  size_t lines = 1;
  for (size_t i = 0; i < length; i++) lines += out->text[i] == '\n';
  char *at = cut_line(out->text, out->column, MOST_COLUMNS, &out->columns);
  out->field = cohort_allocate(lines * (size_t)out->columns * sizeof *out->field);
  while (at < out->text + length) {
    int fields = 0;
    at = cut_line(at, out->field + out->rows * out->columns, out->columns, &fields);
    if (fields == out->columns) out->rows++;
  }
  return COHORT_DONE;
}

static int find_column(const table *of, const char *name) {
  for (int c = 0; c < of->columns; c++)
    if (strcmp(of->column[c], name) == 0) return c;
  return -1;
}

/* The value of a row when it is of this split and was measured. */
static bool value_at(const table *of, int64_t row, int column, const char *split, double *out) {
  char *const *field = of->field + row * of->columns;
  if (strcmp(field[1], split) != 0 || !*field[column]) return false;
  *out = strtod(field[column], NULL);
  return isfinite(*out);
}

static bool has_values(const table *of, int column, const char *split) {
  double value = 0;
  for (int64_t row = 0; column > 1 && row < of->rows; row++)
    if (value_at(of, row, column, split, &value)) return true;
  return false;
}

static const char *last_part(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash && slash[1] ? slash + 1 : path;
}

/* A text in gnuplot's single quotes, where nothing is replaced. */
static void put_quoted(FILE *to, const char *text, const char *more) {
  (void)fputc('\'', to);
  for (const char *part = text; part; part = part == text ? more : NULL)
    for (const char *at = part; *at; at++) {
      if (*at == '\'') (void)fputc('\'', to);
      (void)fputc(*at == '\n' ? ' ' : *at, to);
    }
  (void)fputc('\'', to);
}

typedef struct plotting {
  FILE *script;
  int runs;
  const table *run;
  const char *out;
} plotting;

typedef enum { DECLARE, DATA } pass;

/* One curve: its line of the plot command, or the points that gnuplot then reads. The smoothed one is a moving average
 * with decay 0.9, divided by the weights so far, so that it does not start from 0. */
static void put_curve(const plotting *own, const table *of, int column, int split, bool smooth, pass now, int *curves) {
  FILE *const to = own->script;
  if (now == DECLARE) {
    const bool faint = split == 0 && !smooth && strcmp(of->column[column], "loss") == 0;
    (void)fprintf(to, "%s'-' using 1:2 with %s lc %d %s noenhanced title ", *curves ? ", " : "plot ",
                  split ? "linespoints pt 7 ps 0.5" : "lines", *curves + 1, faint ? "lw 0.5" : "lw 2");
    char *const name =
        cohort_format_text("%s%s%s", own->runs > 1 ? last_part(of->run) : "", own->runs > 1 ? " " : "", splits[split]);
    put_quoted(to, name, smooth ? ", smoothed" : NULL);
    free(name);
  }
  ++*curves;
  double sum = 0, weights = 0, value = 0;
  for (int64_t row = 0; now == DATA && row < of->rows; row++) {
    if (!value_at(of, row, column, splits[split], &value)) continue;
    sum = 0.9 * sum + value;
    weights = 0.9 * weights + 1;
    (void)fprintf(to, "%lld %.9g\n", strtoll(of->field[row * of->columns], NULL, 10), smooth ? sum / weights : value);
  }
  if (now == DATA) (void)fputs("e\n", to);
}

static int put_curves(const plotting *own, const char *name, pass now) {
  int curves = 0;
  for (int r = 0; r < own->runs; r++) {
    const int column = find_column(&own->run[r], name);
    for (int s = 0; s < SPLITS; s++) {
      if (!has_values(&own->run[r], column, splits[s])) continue;
      put_curve(own, &own->run[r], column, s, false, now, &curves);
      if (s == 0 && strcmp(name, "loss") == 0) put_curve(own, &own->run[r], column, s, true, now, &curves);
    }
  }
  return curves;
}

/* A picture of one column; none when nothing of it was measured, which gnuplot would take for a fault. */
static void draw(const plotting *own, const char *name) {
  bool any = false;
  for (int r = 0; r < own->runs && !any; r++)
    for (int s = 0; s < SPLITS && !any; s++) any = has_values(&own->run[r], find_column(&own->run[r], name), splits[s]);
  if (!any) return;
  char *const file = cohort_format_text("%s/%s", own->out, name);
  for (char *at = file + strlen(own->out) + 1; *at; at++)
    if (*at == '/') *at = '_';
  (void)fputs("set output ", own->script);
  put_quoted(own->script, file, ".svg");
  (void)fputs("\nset title ", own->script);
  put_quoted(own->script, own->runs == 1 ? last_part(own->run[0].run) : "", NULL);
  (void)fputs(" noenhanced\nset ylabel ", own->script);
  put_quoted(own->script, name, NULL);
  (void)fputs(" noenhanced\n", own->script);
  (void)put_curves(own, name, DECLARE);
  (void)fputc('\n', own->script);
  (void)put_curves(own, name, DATA);
  free(file);
}

/* Method columns of any run, each once. */
static void draw_all(const plotting *own) {
  (void)fputs(
      "set terminal svg size 800,500 font 'sans-serif,14' background '#ffffff'\nset grid lc '#dddddd'\n"
      "set key top right\nset xlabel 'step'\nset border lc '#444444'\nset lmargin 10\n",
      own->script);
  draw(own, "loss");
  draw(own, "learning_rate");
  draw(own, "gradient_norm");
  for (int r = 0; r < own->runs; r++)
    for (int c = FIXED_COLUMNS; c < own->run[r].columns; c++) {
      bool drawn = false;
      for (int before = 0; before < r; before++) drawn |= find_column(&own->run[before], own->run[r].column[c]) >= 0;
      if (!drawn) draw(own, own->run[r].column[c]);
    }
}

/* gnuplot reads a file, not a pipe: one that ends early must not end us by a signal. Returns its exit status, or -1
 * when it could not be started, with errno. A child that finds no program after posix_spawn has returned ends with 127
 * (POSIX): so where fork stands in for vfork, as under valgrind. */
static int run_gnuplot(FILE *script) {
  extern char **environ;
  char name[] = "gnuplot", *arguments[] = {name, NULL};
  posix_spawn_file_actions_t actions;
  pid_t child = 0;
  int ended = 0;
  if (fflush(script) != 0) return -1;
  rewind(script);
  (void)posix_spawn_file_actions_init(&actions);
  (void)posix_spawn_file_actions_adddup2(&actions, fileno(script), STDIN_FILENO);
  (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  (void)posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  errno = posix_spawnp(&child, name, &actions, NULL, arguments, environ);
  const int fault = errno;
  (void)posix_spawn_file_actions_destroy(&actions);
  errno = fault;
  if (fault) return -1;
  while (waitpid(child, &ended, 0) < 0)
    if (errno != EINTR) return -1;
  enum { NOT_STARTED = 127, BY_SIGNAL };
  if (!WIFEXITED(ended)) return BY_SIGNAL;
  errno = ENOENT;
  return WEXITSTATUS(ended) == NOT_STARTED ? -1 : WEXITSTATUS(ended);
}

static void plot_tables(const plotting *tables, const cohort_log *log) {
  plotting own = *tables;
  own.script = tmpfile();
  if (!own.script) {
    cohort_log_warning(log, "no plots: no temporary file: %s", strerror(errno));
    return;
  }
  draw_all(&own);
  const int ended = run_gnuplot(own.script);
  if (ended == -1 && errno == ENOENT)
    cohort_log_warning(log, "no plots: gnuplot is not installed");
  else if (ended != 0)
    cohort_log_warning(log, "plots: gnuplot failed; the numbers are in metrics.csv");
  (void)fclose(own.script);
}

cohort_status cohort_plot_runs(int runs, const char *const *run_directory, const char *out_directory,
                               const cohort_log *log, cohort_error *error) {
  char *const out = out_directory ? cohort_copy_text(out_directory) : cohort_format_text("%s/plots", run_directory[0]);
  table *const tables = cohort_allocate((size_t)runs * sizeof *tables);
  cohort_status status = COHORT_DONE;
  for (int r = 0; r < runs && status == COHORT_DONE; r++) status = read_table(run_directory[r], &tables[r], error);
  if (status == COHORT_DONE) status = cohort_directory_create(out, error);
  if (status == COHORT_DONE) plot_tables(&(plotting){.runs = runs, .run = tables, .out = out}, log);
  for (int r = 0; r < runs; r++) {
    free(tables[r].text);
    free(tables[r].field);
  }
  free(tables);
  free(out);
  return status;
}
