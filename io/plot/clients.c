/* Bands and lines over rounds, as a gnuplot script. A curve of n evaluations costs n lines of each of five columns. */
#include "io/plot/clients.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/gnuplot.h"
#include "io/plot_picture.h"

static const char *const figures[] = {"accuracy", "loss", NULL};

/* Whose weights: the prefix of a figure's columns, the colour, what the legend says. */
static const struct {
  const char *prefix, *colour, *name;
} whose[] = {{"", "1f77b4", "shared weights"}, {"personal_", "d62728", "personal weights"}};
enum { WHOSE = sizeof whose / sizeof *whose };

/* Statistics of a figure, in the order in which they are read. */
enum { P10, P90, MEDIAN, MEAN, WORST, STATISTICS };
static const char *const statistic[STATISTICS] = {"p10", "p90", "p50", "mean", "worst_tenth"};

const char *cohort_plot_clients_figure(int index) {
  return index < (int)(sizeof figures / sizeof *figures) ? figures[index] : NULL;
}

bool cohort_plot_clients_has(const char *column) {
  return strncmp(column, COHORT_PLOT_CLIENTS "/", strlen(COHORT_PLOT_CLIENTS "/")) == 0;
}

static int split_of_clients(void) {
  int split = 0;
  while (strcmp(cohort_metrics_split[split], COHORT_PLOT_CLIENTS) != 0) split++;
  return split;
}

/* All statistics of one figure of one kind of weights, at the same rounds; false: it was not measured. */
static bool read_curves(const cohort_metrics_table *table, const char *prefix, const char *figure,
                        cohort_curve curve[STATISTICS]) {
  bool whole = true;
  for (int s = 0; s < STATISTICS; s++) {
    char *column = cohort_format_text(COHORT_PLOT_CLIENTS "/%s%s_%s", prefix, figure, statistic[s]);
    curve[s] = cohort_metrics_table_curve(table, cohort_metrics_table_find(table, column), split_of_clients());
    whole = whole && curve[s].count > 0 && curve[s].count == curve[0].count;
    free(column);
  }
  return whole;
}

static void declare(int w, bool one, FILE *to) {
  const char *colour = whose[w].colour, *name = whose[w].name;
  if (one) { /* a band and lines of one round would not be seen */
    (void)fprintf(to,
                  "$b%d using ($1+%d*0.02):4:2:3 with yerrorbars pt 7 lc rgb '#%s' lw 2 title '%s: median, 10-90 %%'",
                  w, w, colour, name);
    (void)fprintf(to, ", $b%d using ($1+%d*0.02):6 with points pt 9 ps 1.2 lc rgb '#%s' title 'worst tenth'", w, w,
                  colour);
    return;
  }
  (void)fprintf(to, "$b%d using 1:2:3 with filledcurves fc rgb '#d0%s' title '%s: 10-90 %% of clients'", w, colour,
                name);
  (void)fprintf(to, ", $b%d using 1:4 with lines lc rgb '#%s' lw 2 title 'median'", w, colour);
  (void)fprintf(to, ", $b%d using 1:5 with lines lc rgb '#%s' lw 1.5 dt (6,4) title 'mean'", w, colour);
  (void)fprintf(to, ", $b%d using 1:6 with lines lc rgb '#%s' lw 1.5 dt (1.5,3) title 'worst tenth'", w, colour);
}

static void write_data(int w, const cohort_curve curve[STATISTICS], FILE *to) {
  (void)fprintf(to, "$b%d << end\n", w);
  for (int64_t i = 0; i < curve[0].count; i++) {
    (void)fprintf(to, "%.12g", curve[0].x[i]);
    for (int s = 0; s < STATISTICS; s++) (void)fprintf(to, " %.9g", curve[s].y[i]);
    (void)fputc('\n', to);
  }
  (void)fputs("end\n", to);
}

static void write_head(const char *figure, const char *file, const char *title, bool png, FILE *to) {
  enum { HEIGHT = 520 };
  cohort_plot_terminal_write(png, HEIGHT, file, to);
  (void)fputs("set title ", to);
  cohort_gnuplot_quote(to, title, NULL);
  (void)fprintf(to, " noenhanced\nset ylabel '%s of clients'\nset xlabel 'round'\n", figure);
  (void)fputs("set grid lt 1 lw 0.7 lc rgb '#dddddd'\nset border lc rgb '#444444'\nset style fill noborder\n", to);
  (void)fputs("set key outside top center horizontal noenhanced samplen 3\nunset logscale\n", to);
  (void)fputs("set format x '%.10g'\nset format y '%.10g'\nset xtics nomirror autofreq\nset ytics nomirror autofreq\n",
              to);
}

bool cohort_plot_clients_write(const cohort_metrics_table *table, const char *figure, const char *file,
                               const char *title, bool png, FILE *script) {
  cohort_curve curve[WHOSE][STATISTICS];
  bool there[WHOSE], any = false, one = true;
  for (int w = 0; w < WHOSE; w++) {
    there[w] = read_curves(table, whose[w].prefix, figure, curve[w]);
    any = any || there[w];
    one = one && (!there[w] || curve[w][0].count == 1);
  }
  if (any) {
    for (int w = 0; w < WHOSE; w++)
      if (there[w]) write_data(w, curve[w], script);
    write_head(figure, file, title, png, script);
    (void)fputs(one ? "set autoscale x\nset offsets 0.5, 0.5, 0, 0\n" : "set autoscale xfix\n", script);
    const char *before = "plot ";
    for (int w = 0; w < WHOSE; w++) {
      if (!there[w]) continue;
      (void)fputs(before, script);
      declare(w, one, script);
      before = ", ";
    }
    (void)fputs("\nunset output\nunset offsets\n", script);
  }
  for (int w = 0; w < WHOSE; w++)
    for (int s = 0; s < STATISTICS; s++) cohort_curve_release(&curve[w][s]);
  return any;
}
