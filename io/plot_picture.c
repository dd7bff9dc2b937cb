/* A picture as a gnuplot script. Layers are written from the back to the front: bands, measured points, lines. What a
 * colour or a dash stands for is told by the legend alone, so an item has no title of its own unless there is one run.
 */
#include "io/plot_picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/gnuplot.h"

/* Chosen one after another as far as possible from those before in CIE Lab, none too light for white paper. */
static const char *const palette[] = {"1f77b4", "d62728", "2ca02c", "ff7f0e", "9467bd", "111111", "0000ff",
                                      "c3b496", "ff00f0", "694b00", "c3b400", "78003c", "ff2d96", "1e694b",
                                      "001ea5", "00c3d2", "ff96b4", "876978", "964bff", "ff87ff"};
enum { COLOURS = sizeof palette / sizeof *palette };
static const char *const dash[COHORT_METRICS_SPLITS] = {"1", "(6,4)", "(1.5,3)", "(8,3,1.5,3)"};

void cohort_plot_picture_add(cohort_plot_picture *own, cohort_plot_item item) {
  own->item = cohort_reallocate(own->item, (size_t)(own->items + 1) * sizeof *own->item);
  own->item[own->items++] = item;
}

void cohort_plot_picture_release(cohort_plot_picture *own) {
  for (int i = 0; i < own->items; i++) {
    cohort_curve_release(&own->item[i].curve);
    free(own->item[i].low);
    free(own->item[i].high);
  }
  free(own->item);
  own->item = NULL;
  own->items = 0;
}

static int splits_drawn(const cohort_plot_picture *own, bool drawn[COHORT_METRICS_SPLITS]) {
  int count = 0;
  memset(drawn, 0, COHORT_METRICS_SPLITS * sizeof *drawn);
  for (int i = 0; i < own->items; i++) {
    count += !drawn[own->item[i].split];
    drawn[own->item[i].split] = true;
  }
  return count;
}

/* The legend of several runs lists them at the right, a line each, and makes the picture higher when it must. */
static int height_for(int entries) {
  enum { USUAL = 500, AROUND = 110, LINE = 17 };
  const int wanted = AROUND + LINE * entries;
  return wanted > USUAL ? wanted : USUAL;
}

static void widen(double value, double range[2]) {
  if (value < range[0]) range[0] = value;
  if (value > range[1]) range[1] = value;
}

/* A logarithmic axis over less than three powers of ten would have hardly a number; it gets these between them. */
static void write_log_ticks(char axis, const double range[2], FILE *to) {
  static const double some[] = {1, 2, 5}, many[] = {1, 1.5, 2, 3, 4, 5, 6, 8};
  const double ratio = range[1] / range[0];
  (void)fprintf(to, "set logscale %c\nset autoscale %cfix\n", axis, axis);
  if (!(ratio < 1000)) {
    (void)fprintf(to, "set %ctics autofreq\nset format %c '10^{%%L}'\n", axis, axis);
    return;
  }
  const double *const tick = ratio < 12 ? many : some;
  const size_t ticks = ratio < 12 ? sizeof many / sizeof *many : sizeof some / sizeof *some;
  (void)fprintf(to, "set %ctics (", axis);
  const char *before = "";
  for (double power = pow(10, floor(log10(range[0]))); power <= range[1]; power *= 10)
    for (size_t t = 0; t < ticks; t++, before = ", ")
      (void)fprintf(to, "%s'%.4g' %.9g", before, power * tick[t], power * tick[t]);
  (void)fputs(")\n", to);
}

static void write_axes(const cohort_plot_picture *own, FILE *to) {
  double x[2] = {INFINITY, -INFINITY}, y[2] = {INFINITY, -INFINITY};
  for (int i = 0; i < own->items; i++) {
    const cohort_plot_item *const item = &own->item[i];
    for (int64_t k = 0; k < item->curve.count; k++) {
      widen(item->curve.x[k], x);
      widen(item->low ? item->low[k] : item->curve.y[k], y);
      widen(item->high ? item->high[k] : item->curve.y[k], y);
    }
  }
  (void)fputs("set xtics nomirror\nset ytics nomirror\n", to);
  if (own->log_x)
    write_log_ticks('x', x, to);
  else /* 20000 and 2e+06 rather than powers in small type */
    (void)fputs("unset logscale x\nset format x '%.10g'\nset xtics autofreq\nset autoscale xfix\n", to);
  if (own->log_y)
    write_log_ticks('y', y, to);
  else
    (void)fputs("unset logscale y\nset format y '%.10g'\nset ytics autofreq\n", to);
}

void cohort_plot_terminal_write(bool png, int height, const char *file, FILE *to) {
  if (png)
    (void)fprintf(to,
                  "if (strstrt(GPVAL_TERMINALS, 'pngcairo')) {set terminal pngcairo size 800,%d font 'sans-serif,10' "
                  "background '#ffffff'} else {set terminal png truecolor size 800,%d background '#ffffff'}\n",
                  height, height);
  else
    (void)fprintf(to, "set terminal svg size 800,%d font 'sans-serif,13' background '#ffffff'\n", height);
  (void)fputs("set output ", to);
  cohort_gnuplot_quote(to, file, NULL);
  (void)fputc('\n', to);
}

static void write_head(const cohort_plot_picture *own, int entries, FILE *to) {
  cohort_plot_terminal_write(own->png, own->names > 1 ? height_for(entries) : height_for(0), own->file, to);
  (void)fputs("set title ", to);
  cohort_gnuplot_quote(to, own->title, NULL);
  (void)fputs(" noenhanced\nset ylabel ", to);
  cohort_gnuplot_quote(to, own->column, NULL);
  (void)fputs(" noenhanced\nset xlabel 'step'\nset grid lt 1 lw 0.7 lc rgb '#dddddd'\nset border lc rgb '#444444'\n",
              to);
  (void)fputs("set style fill noborder\n", to);
  (void)fputs(own->names > 1 ? "set key outside right top vertical Left reverse noenhanced samplen 2 spacing 1\n"
                             : "set key outside top center horizontal noenhanced samplen 3\n",
              to);
  write_axes(own, to);
}

/* Points are marked where there are so few that a line between them would be all there is to see. */
static bool is_marked(const cohort_plot_picture *own, const cohort_plot_item *item) {
  enum { MOST_MARKS = 400 };
  if (item->layer != COHORT_PLOT_LINE || item->smoothed) return false;
  return item->curve.count == 1 || (item->split > 0 && item->curve.count * own->items <= MOST_MARKS);
}

static void declare(const cohort_plot_picture *own, const cohort_plot_item *item, FILE *to) {
  enum { MANY = 8 }; /* lines that need to be thin */
  const char *const colour = palette[item->colour % COLOURS];
  if (item->layer == COHORT_PLOT_BAND) {
    (void)fprintf(to, "'-' using 1:2:3 with filledcurves fc rgb '#c0%s' notitle", colour);
    return;
  }
  const bool faint = item->layer == COHORT_PLOT_MEASURED;
  (void)fprintf(to, "'-' using 1:2 with %s lc rgb '#%s%s' lw %s dt %s ",
                is_marked(own, item) ? "linespoints pt 7 ps 0.5" : "lines", faint ? "a8" : "", colour,
                faint               ? "1"
                : own->names > MANY ? "1.4"
                                    : "2",
                dash[item->split]);
  if (own->names > 1) {
    (void)fputs("notitle", to);
    return;
  }
  (void)fputs("title ", to);
  cohort_gnuplot_quote(to, cohort_metrics_split[item->split], item->smoothed ? ", smoothed" : NULL);
}

/* Entries of the legend that stand for no line of their own. */
static void declare_legend(const cohort_plot_picture *own, const bool drawn[COHORT_METRICS_SPLITS], FILE *to) {
  for (int n = 0; n < own->names; n++) {
    (void)fprintf(to, ", keyentry with lines lc rgb '#%s' lw 2 dt 1 title ", palette[n % COLOURS]);
    cohort_gnuplot_quote(to, own->name[n], NULL);
  }
  for (int s = 0; s < COHORT_METRICS_SPLITS; s++)
    if (drawn[s])
      (void)fprintf(to, ", keyentry with lines lc rgb '#555555' lw 2 dt %s title '%s'", dash[s],
                    cohort_metrics_split[s]);
}

static void write_data(const cohort_plot_item *item, FILE *to) {
  for (int64_t i = 0; i < item->curve.count; i++)
    if (item->layer == COHORT_PLOT_BAND)
      (void)fprintf(to, "%.12g %.9g %.9g\n", item->curve.x[i], item->low[i], item->high[i]);
    else
      (void)fprintf(to, "%.12g %.9g\n", item->curve.x[i], item->curve.y[i]);
  (void)fputs("e\n", to);
}

void cohort_plot_picture_write(const cohort_plot_picture *own, FILE *script) {
  bool drawn[COHORT_METRICS_SPLITS];
  const int splits = splits_drawn(own, drawn);
  write_head(own, own->names + splits, script);
  const char *before = "plot ";
  for (cohort_plot_layer layer = COHORT_PLOT_BAND; layer <= COHORT_PLOT_LINE; layer++)
    for (int i = 0; i < own->items; i++)
      if (own->item[i].layer == layer) {
        (void)fputs(before, script);
        declare(own, &own->item[i], script);
        before = ", ";
      }
  if (own->names > 1) declare_legend(own, drawn, script);
  (void)fputc('\n', script);
  for (cohort_plot_layer layer = COHORT_PLOT_BAND; layer <= COHORT_PLOT_LINE; layer++)
    for (int i = 0; i < own->items; i++)
      if (own->item[i].layer == layer) write_data(&own->item[i], script);
  (void)fputs("unset output\n", script);
}
