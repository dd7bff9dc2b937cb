/* Which runs, columns and curves make which pictures. One gnuplot draws all of them. Cost: metrics.csv of every run is
 * read once; a curve of n rows costs n a picture, and its smoothed line 400 windows of its share of the rows. */
#include "io/plot.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/config.h"
#include "io/file.h"
#include "io/gnuplot.h"
#include "io/metrics_table.h"
#include "io/plot/clients.h"
#include "io/plot_curve.h"
#include "io/plot_picture.h"

enum {
  MOST_MEASURED = 4,   /* groups of which the measured points stand behind the smoothed line */
  SMOOTH_POINTS = 400, /* of a smoothed line */
  LEAST_SMOOTHED = 20, /* rows */
  MOST_POINTS = 10000, /* of a picture */
  PICTURE_COLUMNS = 700,
  LEAST_COLUMNS = 25
};

typedef struct plotting {
  const cohort_plot_request *request;
  cohort_metrics_table *table; /* [runs] */
  char **path;                 /* [runs] */
  int groups;
  int *group;  /* [runs] */
  char **name; /* [groups] */
  FILE *script;
  int pictures;
  char **file; /* [pictures] */
} plotting;

/* The end of a path that begins `parts` components from its end. */
static const char *tail_of(const char *path, int parts) {
  size_t at = strlen(path);
  while (at > 0 && parts-- > 0) {
    while (at > 0 && path[at - 1] == '/') at--;
    while (at > 0 && path[at - 1] != '/') at--;
  }
  return path + at;
}

/* Without the slashes at its end. */
static char *plain_path(const char *path) {
  char *const out = cohort_copy_text(path);
  for (size_t end = strlen(out); end > 1 && out[end - 1] == '/'; end--) out[end - 1] = '\0';
  return out;
}

/* The shortest end of its path that no other run has; of a long one its two ends. */
static char *name_of_run(const plotting *own, int run) {
  enum { LONGEST = 32, HEAD = 10, TAIL = 19 };
  const char *const path = own->path[run], *name = path;
  bool alone = false;
  for (int parts = 1; !alone; parts++) {
    name = tail_of(path, parts);
    alone = true;
    for (int r = 0; r < own->request->runs; r++) alone &= r == run || strcmp(tail_of(own->path[r], parts), name) != 0;
    alone |= name == path;
  }
  const size_t length = strlen(name);
  return length > LONGEST ? cohort_format_text("%.*s...%s", HEAD, name, name + length - TAIL) : cohort_copy_text(name);
}

/* The config but for what says which run it is. */
static cohort_status read_config(const char *run, cohort_document **out, cohort_error *error) {
  char *const path = cohort_format_text("%s/config.yaml", run);
  const cohort_status status = cohort_config_read(path, 0, NULL, out, error);
  free(path);
  if (status != COHORT_DONE) return status;
  cohort_document_remove(*out, "seed");
  cohort_document_remove(*out, "run");
  return COHORT_DONE;
}

/* Every run is a group, or joins the first one whose config is its own. */
static cohort_status make_groups(plotting *own, cohort_error *error) {
  const int runs = own->request->runs;
  cohort_document **config = cohort_allocate((size_t)runs * sizeof(cohort_document *));
  int *first = cohort_allocate((size_t)runs * sizeof *first), *count = cohort_allocate((size_t)runs * sizeof *count);
  cohort_status status = COHORT_DONE;
  for (int r = 0; r < runs && status == COHORT_DONE; r++) {
    if (own->request->seeds) status = read_config(own->request->run[r], &config[r], error);
    if (status != COHORT_DONE) break;
    int g = own->request->seeds ? 0 : own->groups;
    while (g < own->groups && !cohort_document_equal(config[first[g]], config[r])) g++;
    if (g == own->groups) first[own->groups++] = r;
    count[g]++;
    own->group[r] = g;
  }
  for (int g = 0; g < own->groups; g++) {
    char *const name = name_of_run(own, first[g]);
    own->name[g] = count[g] > 1 ? cohort_format_text("%s (%d seeds)", name, count[g]) : cohort_copy_text(name);
    free(name);
  }
  for (int r = 0; r < runs; r++) cohort_document_destroy(config[r]);
  free(config);
  free(first);
  free(count);
  return status;
}

/* The curves of one group. */
typedef struct members {
  int count;
  cohort_curve *curve;
} members;

static members members_of(const plotting *own, int group, const char *column, int split) {
  members out = {.curve = cohort_allocate((size_t)own->request->runs * sizeof(cohort_curve))};
  for (int r = 0; r < own->request->runs; r++) {
    if (own->group[r] != group) continue;
    const cohort_metrics_table *const table = &own->table[r];
    cohort_curve curve = cohort_metrics_table_curve(table, cohort_metrics_table_find(table, column), split);
    cohort_curve_keep_positive(&curve, own->request->log_x, own->request->log_y);
    if (curve.count)
      out.curve[out.count++] = curve;
    else
      cohort_curve_release(&curve);
  }
  return out;
}

static void members_release(members *own) {
  for (int m = 0; m < own->count; m++) cohort_curve_release(&own->curve[m]);
  free(own->curve);
}

/* Mean and extremes at the places of the first curve where all have values. */
static void add_band(cohort_plot_picture *to, const members *of, cohort_plot_item item) {
  const cohort_curve *const first = &of->curve[0];
  cohort_plot_item band = {.layer = COHORT_PLOT_BAND, .colour = item.colour, .split = item.split};
  const size_t bytes = (size_t)first->count * sizeof(double);
  double **const arrays[] = {&item.curve.x, &item.curve.y, &band.curve.x, &band.curve.y, &band.low, &band.high};
  for (size_t a = 0; a < sizeof arrays / sizeof *arrays; a++) *arrays[a] = cohort_allocate(bytes);
  for (int64_t i = 0; i < first->count; i++) {
    double sum = 0, low = INFINITY, high = -INFINITY;
    for (int m = 0; m < of->count; m++) {
      const double value = cohort_curve_at(&of->curve[m], first->x[i]);
      sum += value; /* NaN outside of a curve, and stays */
      low = fmin(low, value);
      high = fmax(high, value);
    }
    if (isnan(sum)) continue;
    const int64_t at = item.curve.count++;
    item.curve.x[at] = band.curve.x[at] = first->x[i];
    item.curve.y[at] = sum / of->count;
    band.low[at] = low;
    band.high[at] = high;
  }
  band.curve.count = item.curve.count;
  cohort_plot_picture_add(to, band);
  cohort_plot_picture_add(to, item);
}

static void replace(cohort_curve *own, cohort_curve by) {
  cohort_curve_release(own);
  *own = by;
}

/* A group's line of one split, with what stands behind it. */
static void add_curves(const plotting *own, cohort_plot_picture *to, int group, int split) {
  const cohort_plot_request *const request = own->request;
  members of = members_of(own, group, to->column, split);
  const int64_t columns = MOST_POINTS / (4 * 2 * own->groups),
                most = columns < PICTURE_COLUMNS ? columns : PICTURE_COLUMNS,
                wide = most > LEAST_COLUMNS ? most : LEAST_COLUMNS;
  cohort_plot_item item = {.layer = COHORT_PLOT_LINE, .colour = group, .split = split};
  item.smoothed = split == 0 && request->smooth > 0 && strcmp(to->column, "learning_rate") != 0;
  for (int m = 0; m < of.count; m++) item.smoothed &= of.curve[m].count >= LEAST_SMOOTHED;
  if (item.smoothed && of.count == 1 && own->groups <= MOST_MEASURED) {
    cohort_plot_item measured = {.layer = COHORT_PLOT_MEASURED, .colour = group, .split = split};
    measured.curve = cohort_curve_thin(&of.curve[0], wide, request->log_x);
    cohort_plot_picture_add(to, measured);
  }
  for (int m = 0; m < of.count; m++)
    replace(&of.curve[m], item.smoothed
                              ? cohort_curve_smooth(&of.curve[m], request->smooth, SMOOTH_POINTS, request->log_x)
                              : cohort_curve_thin(&of.curve[m], wide, request->log_x));
  if (of.count > 1) {
    add_band(to, &of, item);
  } else if (of.count == 1) {
    item.curve = of.curve[0];
    of.curve[0] = (cohort_curve){0};
    cohort_plot_picture_add(to, item);
  }
  members_release(&of);
}

static bool ends_with(const char *text, const char *end) {
  const size_t length = strlen(text), wanted = strlen(end);
  return length > wanted && strcmp(text + length - wanted, end) == 0;
}

static bool is_file(const char *out) { return ends_with(out, ".svg") || ends_with(out, ".png"); }

static char *file_of(const plotting *own, const char *out, const char *column) {
  if (is_file(out)) return cohort_copy_text(out);
  char *const file = cohort_format_text("%s/%s%s", out, column, own->request->png ? ".png" : ".svg");
  for (char *at = file + strlen(out) + 1; *at; at++)
    if (*at == '/') *at = '_';
  return file;
}

static void note_picture(plotting *own, char *file) {
  own->file = cohort_reallocate(own->file, (size_t)(own->pictures + 1) * sizeof *own->file);
  own->file[own->pictures++] = file;
}

/* A picture of one column; none when nothing of it was measured, which gnuplot would take for a fault. */
static void draw(plotting *own, const char *out, const char *column) {
  char *const file = file_of(own, out, column);
  cohort_plot_picture picture = {.file = file,
                                 .title = own->groups == 1 ? own->name[0] : "",
                                 .column = column,
                                 .png = ends_with(file, ".png"),
                                 .log_x = own->request->log_x,
                                 .log_y = own->request->log_y,
                                 .names = own->groups,
                                 .name = (const char *const *)own->name};
  for (int g = 0; g < own->groups; g++)
    for (int s = 0; s < COHORT_METRICS_SPLITS; s++)
      if (!own->request->split || strcmp(own->request->split, cohort_metrics_split[s]) == 0)
        add_curves(own, &picture, g, s);
  if (picture.items) {
    cohort_plot_picture_write(&picture, own->script);
    note_picture(own, file);
  } else {
    free(file);
  }
  cohort_plot_picture_release(&picture);
}

/* What one run's clients come to, a picture a figure. */
static void draw_clients(plotting *own, const char *out) {
  const char *figure;
  for (int f = 0; (figure = cohort_plot_clients_figure(f)); f++) {
    char *const column = cohort_format_text(COHORT_PLOT_CLIENTS "/%s", figure), *const file = file_of(own, out, column);
    free(column);
    if (cohort_plot_clients_write(&own->table[0], figure, file, own->name[0], own->request->png, own->script))
      note_picture(own, file);
    else
      free(file);
  }
}

/* Columns of the methods of any run, each once. */
static void draw_all(plotting *own, const char *out) {
  draw(own, out, "loss");
  draw(own, out, "learning_rate");
  draw(own, out, "gradient_norm");
  const bool alone = own->request->runs == 1;
  if (alone) draw_clients(own, out);
  for (int r = 0; r < own->request->runs; r++)
    for (int c = COHORT_METRICS_FIXED_COLUMNS; c < own->table[r].columns; c++) {
      const char *const column = own->table[r].column[c];
      bool drawn = alone && cohort_plot_clients_has(column);
      for (int before = 0; before < r; before++) drawn |= cohort_metrics_table_find(&own->table[before], column) >= 0;
      if (!drawn) draw(own, out, column);
    }
}

static cohort_status check_column(const plotting *own, const char *column, cohort_error *error) {
  bool found = strcmp(column, "step") == 0 || strcmp(column, "split") == 0;
  for (int r = 0; r < own->request->runs && !found; r++) found = cohort_metrics_table_find(&own->table[r], column) >= 0;
  const cohort_metrics_table *const table = &own->table[0];
  if (found) return COHORT_DONE;
  const char *const nearest = cohort_nearest_name(column, table->column, (size_t)table->columns);
  return cohort_fail(error, COHORT_BAD_CONFIG, "plot: no column %s in %s/metrics.csv; %s%s", column,
                     own->request->run[0], nearest ? "did you mean " : "its first line names what there is",
                     nearest ? nearest : "");
}

/* gnuplot may end well though the disk is full. */
static cohort_status check_files(const plotting *own, cohort_error *error) {
  for (int p = 0; p < own->pictures; p++) {
    struct stat about;
    if (stat(own->file[p], &about) != 0 || about.st_size == 0)
      return cohort_fail(error, COHORT_NO_RESOURCE,
                         "%s: cannot be written; is the disk full, or the folder closed to you?", own->file[p]);
  }
  return COHORT_DONE;
}

static cohort_status check_split(const char *split, cohort_error *error) {
  for (int s = 0; s < COHORT_METRICS_SPLITS; s++)
    if (!split || strcmp(split, cohort_metrics_split[s]) == 0) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG, "plot: no split %s; there are train, validation, test and clients",
                     split);
}

static cohort_status draw_into(plotting *own, const char *out, cohort_error *error) {
  const char *const column = own->request->column ? own->request->column : is_file(out) ? "loss" : NULL;
  COHORT_TRY(check_split(own->request->split, error));
  if (column) COHORT_TRY(check_column(own, column, error));
  if (!is_file(out)) COHORT_TRY(cohort_directory_create(out, error));
  own->script = tmpfile();
  if (!own->script) return cohort_fail(error, COHORT_NO_RESOURCE, "plots: no temporary file: %s", strerror(errno));
  if (column)
    draw(own, out, column);
  else
    draw_all(own, out);
  cohort_status status = COHORT_DONE;
  if (column && own->pictures == 0)
    status = cohort_fail(error, COHORT_BAD_CONFIG, "plot: nothing to draw of %s: no value was measured%s", column,
                         own->request->log_y || own->request->log_x ? ", or none above 0" : "");
  for (int p = 0; p < own->pictures; p++) (void)unlink(own->file[p]);
  if (status == COHORT_DONE) status = cohort_gnuplot_run(own->script, error);
  if (status == COHORT_DONE) status = check_files(own, error);
  (void)fclose(own->script);
  return status;
}

cohort_status cohort_plot_draw(const cohort_plot_request *request, cohort_error *error) {
  const size_t runs = (size_t)request->runs;
  plotting own = {.request = request,
                  .table = cohort_allocate(runs * sizeof *own.table),
                  .path = cohort_allocate(runs * sizeof *own.path),
                  .group = cohort_allocate(runs * sizeof *own.group),
                  .name = cohort_allocate(runs * sizeof *own.name)};
  char *const out = request->out ? cohort_copy_text(request->out) : cohort_format_text("%s/plots", request->run[0]);
  cohort_status status = COHORT_DONE;
  for (int r = 0; r < request->runs && status == COHORT_DONE; r++)
    status = cohort_metrics_table_read(request->run[r], &own.table[r], error);
  for (int r = 0; r < request->runs; r++) own.path[r] = plain_path(request->run[r]);
  if (status == COHORT_DONE) status = make_groups(&own, error);
  if (status == COHORT_DONE) status = draw_into(&own, out, error);
  for (int r = 0; r < request->runs; r++) {
    cohort_metrics_table_release(&own.table[r]);
    free(own.path[r]);
  }
  for (int g = 0; g < own.groups; g++) free(own.name[g]);
  for (int p = 0; p < own.pictures; p++) free(own.file[p]);
  free(own.table);
  free(own.path);
  free(own.group);
  free(own.name);
  free(own.file);
  free(out);
  return status;
}

cohort_status cohort_plot_runs(int runs, const char *const *run_directory, const char *out_directory,
                               const cohort_log *log, cohort_error *error) {
  const cohort_plot_request request = {
      .runs = runs, .run = run_directory, .out = out_directory, .smooth = COHORT_PLOT_SMOOTH};
  cohort_error fault = {0};
  const cohort_status status = cohort_plot_draw(&request, &fault);
  if (status == COHORT_NO_RESOURCE) {
    cohort_log_warning(log, "%s", fault.text);
    return COHORT_DONE;
  }
  if (status != COHORT_DONE && error) *error = fault;
  return status;
}
