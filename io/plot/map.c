/* A map as SVG. Cells of one shade are one path, neighbours in a row one rectangle; empty cells are not drawn, so a
 * file has a few bytes for each cell at most. Few and large cells have their share as a number too.
 *
 *     above   bars
 *     down    cells    shades
 *             across */
#include "io/plot/map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/file.h"

enum {
  LEFT = 70,
  TOP = 44,
  BARS = 70,
  GAP = 8,
  WIDTH = 700,
  RIGHT = 90,
  BOTTOM = 52,
  SHADES = 12,
  MOST_WRITTEN = 20, /* columns with numbers in their cells */
  LEAST_HEIGHT = 200,
  MOST_HEIGHT = 500
};

/* From nearly white to dark blue, equally far apart in lightness. */
static const unsigned char light[3] = {0xe6, 0xef, 0xf8}, middle[3] = {0x57, 0x96, 0xc9}, dark[3] = {0x08, 0x2a, 0x60};

/* Without what stands for something in XML. */
static void put_escaped(cohort_text *to, const char *from) {
  for (; *from; from++)
    if (*from == '<' || *from == '>' || *from == '&')
      cohort_text_put(to, "&#%d;", *from);
    else
      cohort_text_put(to, "%c", *from);
}

/* Where things are, in pixels. */
typedef struct layout {
  double cell_width, cell_height, cells; /* cells: their upper edge */
  double width, height;                  /* of all cells */
} layout;

static layout lay_out(const cohort_plot_map *map) {
  layout out = {.cells = TOP + BARS + GAP};
  out.cell_width = map->columns > WIDTH / 2 ? (double)WIDTH / map->columns : floor((double)WIDTH / map->columns);
  if (out.cell_width > 60) out.cell_width = 60;
  double height = 26.0 * map->rows;
  height = height < LEAST_HEIGHT ? LEAST_HEIGHT : height > MOST_HEIGHT ? MOST_HEIGHT : height;
  out.cell_height = map->rows > MOST_HEIGHT / 4 ? height / map->rows : floor(height / map->rows);
  out.width = out.cell_width * map->columns;
  out.height = out.cell_height * map->rows;
  return out;
}

static int shade_of(double share) {
  if (!(share > 0)) return 0;
  const int shade = (int)ceil(share * SHADES);
  return shade < SHADES ? shade : SHADES;
}

static void put_colour(cohort_text *to, int shade) {
  const double place = 2.0 * (shade - 1) / (SHADES - 1);
  const unsigned char *from = place < 1 ? light : middle, *end = place < 1 ? middle : dark;
  const double part = place < 1 ? place : place - 1;
  cohort_text_put(to, "#");
  for (int c = 0; c < 3; c++) cohort_text_put(to, "%02x", (unsigned)lround(from[c] + part * (end[c] - from[c])));
}

static double row_top(const cohort_plot_map *map, const layout *at, int row) {
  return at->cells + (map->rows - 1 - row) * at->cell_height;
}

/* All cells of a shade. */
static void put_cells(cohort_text *to, const cohort_plot_map *map, const layout *at, int shade) {
  bool any = false;
  for (int row = 0; row < map->rows; row++) {
    const double *share = map->share + (size_t)row * (size_t)map->columns;
    for (int first = 0, end; first < map->columns; first = end) {
      end = first + 1;
      if (shade_of(share[first]) != shade) continue;
      while (end < map->columns && shade_of(share[end]) == shade) end++;
      if (!any) {
        cohort_text_put(to, "<path fill=\"");
        put_colour(to, shade);
        cohort_text_put(to, "\" d=\"");
      }
      any = true;
      cohort_text_put(to, "M%.5g %.5gh%.5gv%.4gh-%.5gz", LEFT + first * at->cell_width, row_top(map, at, row),
                      (end - first) * at->cell_width, at->cell_height, (end - first) * at->cell_width);
    }
  }
  if (any) cohort_text_put(to, "\"/>\n");
}

static void put_shares(cohort_text *to, const cohort_plot_map *map, const layout *at) {
  if (map->columns > MOST_WRITTEN || at->cell_height < 14) return;
  cohort_text_put(to, "<g font-size=\"10\" text-anchor=\"middle\">\n");
  for (int row = 0; row < map->rows; row++)
    for (int column = 0; column < map->columns; column++) {
      const double share = map->share[(size_t)row * (size_t)map->columns + (size_t)column];
      if (!(share > 0)) continue;
      cohort_text_put(to, "<text x=\"%.5g\" y=\"%.5g\" fill=\"%s\">%s%.0f</text>\n",
                      LEFT + (column + 0.5) * at->cell_width, row_top(map, at, row) + at->cell_height / 2 + 3.5,
                      share > 0.55 ? "#fff" : "#222", share < 0.005 ? "&lt;" : "", share < 0.005 ? 1 : 100 * share);
    }
  cohort_text_put(to, "</g>\n");
}

static void put_bars(cohort_text *to, const cohort_plot_map *map, const layout *at) {
  double most = 0;
  for (int column = 0; column < map->columns; column++) most = fmax(most, map->bar[column]);
  cohort_text_put(to, "<path fill=\"#777\" d=\"");
  const double gap = at->cell_width >= 6 ? 1 : 0;
  for (int column = 0; column < map->columns && most > 0; column++) {
    const double height = map->bar[column] / most * BARS, width = at->cell_width - gap;
    cohort_text_put(to, "M%.5g %dh%.5gv-%.4gh-%.5gz", LEFT + column * at->cell_width, TOP + BARS, width, height, width);
  }
  cohort_text_put(
      to, "\"/>\n<g text-anchor=\"end\"><text x=\"%d\" y=\"%d\">%.6g</text><text x=\"%d\" y=\"%d\">0</text></g>\n",
      LEFT - 6, TOP + 9, most, LEFT - 6, TOP + BARS);
  cohort_text_put(to, "<text transform=\"translate(16 %d) rotate(-90)\" text-anchor=\"middle\">", TOP + BARS / 2);
  put_escaped(to, map->above);
  cohort_text_put(to, "</text>\n");
}

/* Every so many numbers of an axis of `count`, with room for `room` of them. */
static int stride(int count, int room) {
  static const int steps[] = {1, 2, 5, 10, 20, 50, 100, 200, 500};
  size_t s = 0;
  while (s + 1 < sizeof steps / sizeof *steps && (count + steps[s] - 1) / steps[s] > room) s++;
  return steps[s];
}

static void put_axes(cohort_text *to, const cohort_plot_map *map, const layout *at) {
  const double bottom = at->cells + at->height;
  cohort_text_put(to, "<rect x=\"%d\" y=\"%.5g\" width=\"%.5g\" height=\"%.5g\" fill=\"none\" stroke=\"#444\"/>\n",
                  LEFT, at->cells, at->width, at->height);
  cohort_text_put(to, "<g text-anchor=\"end\">\n");
  for (int row = 0; row < map->rows; row += stride(map->rows, (int)(at->height / 14)))
    cohort_text_put(to, "<text x=\"%d\" y=\"%.5g\">%lld</text>\n", LEFT - 6,
                    row_top(map, at, row) + at->cell_height / 2 + 4, (long long)(row * map->row_step));
  cohort_text_put(to, "</g>\n<g text-anchor=\"middle\">\n");
  for (int column = 0; map->numbered && column < map->columns; column += stride(map->columns, (int)(at->width / 26)))
    cohort_text_put(to, "<text x=\"%.5g\" y=\"%.5g\">%d</text>\n", LEFT + (column + 0.5) * at->cell_width, bottom + 15,
                    column);
  cohort_text_put(to, "<text x=\"%.5g\" y=\"%.5g\">", LEFT + at->width / 2, bottom + 36);
  put_escaped(to, map->across);
  cohort_text_put(to, "</text>\n<text transform=\"translate(16 %.5g) rotate(-90)\">", at->cells + at->height / 2);
  put_escaped(to, map->down);
  cohort_text_put(to, "</text>\n</g>\n");
}

static void put_shades(cohort_text *to, const layout *at) {
  const double x = LEFT + at->width + 16, height = floor(fmin(at->height, 240) / SHADES);
  for (int shade = 1; shade <= SHADES; shade++) {
    cohort_text_put(to, "<rect x=\"%.5g\" y=\"%.5g\" width=\"14\" height=\"%.4g\" fill=\"", x,
                    at->cells + (SHADES - shade) * height, height);
    put_colour(to, shade);
    cohort_text_put(to, "\"/>\n");
  }
  for (int percent = 0; percent <= 100; percent += 25)
    cohort_text_put(to, "<text x=\"%.5g\" y=\"%.5g\">%d %%</text>\n", x + 18,
                    at->cells + SHADES * height * (100 - percent) / 100.0 + 4, percent);
}

cohort_status cohort_plot_map_write(const cohort_plot_map *map, const char *path, cohort_error *error) {
  cohort_text to = {NULL, 0, 0};
  const layout at = lay_out(map);
  const double width = fmax(LEFT + at.width + RIGHT, 480), height = at.cells + at.height + BOTTOM;
  cohort_text_put(
      &to,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.5g\" height=\"%.5g\" font-family=\"sans-serif\" "
      "font-size=\"12\" "
      "fill=\"#222\" shape-rendering=\"crispEdges\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
      width, height);
  cohort_text_put(&to, "<text x=\"%d\" y=\"24\" font-size=\"14\">", LEFT);
  put_escaped(&to, map->title);
  cohort_text_put(&to, "</text>\n");
  put_bars(&to, map, &at);
  for (int shade = 1; shade <= SHADES; shade++) put_cells(&to, map, &at, shade);
  put_shares(&to, map, &at);
  put_axes(&to, map, &at);
  put_shades(&to, &at);
  cohort_text_put(&to, "</svg>\n");
  const cohort_status status = cohort_file_write(path, to.text, to.length, error);
  free(to.text);
  return status;
}
