/* Argsort of rows: merges from the bottom up, between the output and a workspace of one row. Stable, and total: NaN
 * stands after all numbers. Costs n log n comparisons a row; rows are few and short, so one thread does them. */
#include <string.h>

#include "base/real.h"
#include "kernel/kernel.h"
#include "kernel/row_real.h"

void COHORT_VARIED(cohort_kernel_argsort)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_argsort)(const cohort_call *call);

static bool after(real a, real b) { return a > b || (a != a && b == b); }

/* Merges [first, middle) and [middle, last) of `from` into `to`. */
static void merge(const real *x, const int32_t *from, int64_t first, int64_t middle, int64_t last, int32_t *to) {
  int64_t left = first, right = middle;
  for (int64_t i = first; i < last; i++) {
    const bool take_right = left == middle || (right < last && after(x[from[left]], x[from[right]]));
    to[i] = take_right ? from[right++] : from[left++];
  }
}

static void sort_row(const real *x, int64_t n, int32_t *order, int32_t *other) {
  int32_t *from = order, *to = other;
  for (int64_t i = 0; i < n; i++) from[i] = (int32_t)i;
  for (int64_t length = 1; length < n; length *= 2) {
    for (int64_t first = 0; first < n; first += 2 * length)
      merge(x, from, first, cohort_least(first + length, n), cohort_least(first + 2 * length, n), to);
    int32_t *const last = from;
    from = to;
    to = last;
  }
  if (from != order) memcpy(order, from, (size_t)n * sizeof *order);
}

void COHORT_VARIED(cohort_kernel_argsort)(const cohort_call *call) {
  const int64_t rows = cohort_shape_rows(call->input[0].shape), columns = cohort_shape_columns(call->input[0].shape);
  for (int64_t r = 0; r < rows; r++)
    sort_row((const real *)call->input[0].data + r * columns, columns, (int32_t *)call->output[0].data + r * columns,
             call->workspace);
}

size_t COHORT_VARIED(cohort_workspace_argsort)(const cohort_call *call) {
  return cohort_workspace_reals(cohort_shape_columns(call->input[0].shape)); /* a real is no smaller than a place */
}
