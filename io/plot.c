#include "io/plot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/run_directory.h"

enum { FIXED_COLUMNS = 8, MOST_COLUMNS = 64 };

typedef struct plotting {
  FILE *pipe;
  int runs;
  const char *const *run;
  const char *out;
} plotting;

static const char *last_part(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash && slash[1] ? slash + 1 : path;
}

/* A picture: one curve per run and split; `column` counts from 1. Points, not lines, for splits with few rows. */
static void draw(const plotting *own, const char *file, const char *title, int column, bool splits) {
  static const char *const names[] = {"train", "validation", "test"};
  FILE *to = own->pipe;
  (void)fprintf(to, "set output '%s/%s.svg'\nset title \"%s\" noenhanced\nset ylabel \"%s\" noenhanced\nplot ", own->out, file,
                own->runs == 1 ? last_part(own->run[0]) : "", title);
  int curves = 0;
  for (int r = 0; r < own->runs; r++)
    for (int s = 0; s < (splits ? 3 : 1); s++) {
      (void)fprintf(to, "%s'%s/metrics.csv' skip 1 using 1:(strcol(2) eq '%s' ? $%d : NaN) with %s lw 2 lc %d title \"%s%s%s\" noenhanced",
                    curves ? ", " : "", own->run[r], names[s], column, s ? "linespoints pt 7 ps 0.5" : "lines", curves + 1,
                    own->runs > 1 ? last_part(own->run[r]) : "", own->runs > 1 ? " " : "", names[s]);
      curves++;
    }
  (void)fprintf(to, "\n");
}

static int split_header(char *header, char **column) {
  int columns = 0;
  header[strcspn(header, "\r\n")] = '\0';
  for (char *at = header; at && columns < MOST_COLUMNS; columns++) {
    column[columns] = at;
    at = strchr(at, ',');
    if (at) *at++ = '\0';
  }
  return columns;
}

static void draw_all(const plotting *own, char *header) {
  char *column[MOST_COLUMNS];
  const int columns = split_header(header, column);
  (void)fprintf(own->pipe,
                "set terminal svg size 800,500 font 'sans-serif,14' background '#ffffff'\nset datafile separator ','\n"
                "set datafile missing ''\nset grid lc '#dddddd'\nset key top right\nset xlabel 'step'\n"
                "set border lc '#444444'\nset lmargin 10\n");
  draw(own, "loss", "loss", 6, true);
  draw(own, "learning_rate", "learning rate", 7, false);
  draw(own, "gradient_norm", "gradient norm", 8, false);
  for (int c = FIXED_COLUMNS; c < columns; c++) {
    char *file = cohort_copy_text(column[c]);
    for (char *at = file; *at; at++)
      if (*at == '/') *at = '_';
    draw(own, file, column[c], c + 1, true);
    free(file);
  }
}

cohort_status cohort_plot_runs(int runs, const char *const *run_directory, const char *out_directory, const cohort_log *log,
                               cohort_error *error) {
  char *header = NULL;
  for (int r = runs - 1; r >= 0; r--) {
    size_t length = 0;
    char *path = cohort_format_text("%s/metrics.csv", run_directory[r]);
    free(header);
    header = NULL;
    const cohort_status status = cohort_file_read(path, &header, &length, error);
    free(path);
    COHORT_TRY(status);
  }
  char *own_out = out_directory ? cohort_copy_text(out_directory) : cohort_format_text("%s/plots", run_directory[0]);
  if (system("command -v gnuplot > /dev/null 2>&1") != 0) {
    cohort_log_warning(log, "no plots: gnuplot is not installed");
  } else {
    plotting own = {.pipe = popen("gnuplot > /dev/null 2>&1", "we"), .runs = runs, .run = run_directory, .out = own_out};
    if (own.pipe) {
      (void)fprintf(own.pipe, "system \"mkdir -p '%s'\"\n", own_out);
      draw_all(&own, header);
    }
    if (!own.pipe || pclose(own.pipe) != 0) cohort_log_warning(log, "plots: gnuplot failed; the numbers are in metrics.csv");
  }
  free(own_out);
  free(header);
  return COHORT_DONE;
}
