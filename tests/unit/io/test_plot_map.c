/* The map of labels by client as a picture: well-formed, small, with a number for every column while there is room. */
#include <math.h>

#include "io/plot/map.h"
#include "scratch.h"

static int count_of(const char *text, const char *part) {
  int count = 0;
  for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) count++;
  return count;
}

static char *draw(int rows, int columns, bool numbered, size_t *length) {
  double *share = cohort_allocate((size_t)(rows * columns) * sizeof *share);
  double *bar = cohort_allocate((size_t)columns * sizeof *bar);
  for (int i = 0; i < rows * columns; i++) share[i] = i % 3 ? fabs(sin(i)) : 0;
  for (int c = 0; c < columns; c++) bar[c] = c;
  const cohort_plot_map map = {.title = "labels < & >",
                               .across = "client",
                               .down = "label",
                               .above = "samples",
                               .rows = rows,
                               .columns = columns,
                               .row_step = 1,
                               .numbered = numbered,
                               .share = share,
                               .bar = bar};
  char *scratch = scratch_create(), *path = cohort_format_text("%s/labels.svg", scratch);
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(cohort_plot_map_write(&map, path, &error), COHORT_DONE);
  char *text = scratch_read(path, length);
  free(path);
  scratch_remove(scratch);
  free(share);
  free(bar);
  return text;
}

static void pictures(void) {
  static const int rows[] = {10, 10, 1, 100}, columns[] = {10, 350, 1, 120};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t length = 0;
    char *text = draw(rows[i], columns[i], i == 0, &length);
    CU_ASSERT(length < 300000);
    CU_ASSERT_EQUAL(strncmp(text, "<svg ", 5), 0);
    CU_ASSERT_EQUAL(strcmp(text + length - strlen("</svg>\n"), "</svg>\n"), 0);
    CU_ASSERT_EQUAL(count_of(text, "<text"), count_of(text, "</text>"));
    CU_ASSERT_EQUAL(count_of(text, "<g"), count_of(text, "</g>"));
    CU_ASSERT_PTR_NULL(strstr(text, "nan"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "labels &#60; &#38; &#62;"));
    if (i == 0) CU_ASSERT_PTR_NOT_NULL(strstr(text, ">9</text>"));
    free(text);
  }
}

int main(void) {
  static const check checks[] = {{"pictures", pictures}};
  return check_run("plot map", checks, sizeof checks / sizeof *checks);
}
