/* Constraints as the tables write them: "0 <= value < C", "value <= 0", "value = 0 or 1", "symmetric",
 * "objectives <= 16". */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe/probe.h"

/* What a value must satisfy. */
typedef struct bounds {
  double low, high;
  bool high_open;
  int choices;
  double choice[2];
} bounds;

/* A number, or the size of a symbol. */
static double term(const cohort_probe_state *probe, const char *text) {
  char *end = NULL;
  const double number = strtod(text, &end);
  if (end != text) return number;
  char symbol[32];
  if (sscanf(text, "%31[A-Za-z]", symbol) != 1) return NAN;
  return (double)cohort_probe_size_of(probe, symbol);
}

static bounds read_bounds(const cohort_probe_state *probe, const char *text) {
  bounds out = {.low = -INFINITY, .high = INFINITY};
  const char *value = strstr(text, "value"), *after = value + strlen("value");
  if (value != text) out.low = term(probe, text);
  while (*after == ' ') after++;
  if (after[0] == '<') {
    out.high_open = after[1] != '=';
    after += out.high_open ? 1 : 2;
    while (*after == ' ') after++;
    out.high = term(probe, after);
  } else if (after[0] == '=') {
    out.choices = 2;
    out.choice[0] = strtod(after + 1, NULL);
    const char *other = strstr(after, " or ");
    out.choice[1] = other ? strtod(other + 4, NULL) : out.choice[0];
  }
  return out;
}

static bool satisfies(const bounds *own, double value) {
  if (own->choices) return value == own->choice[0] || value == own->choice[1];
  return value >= own->low && (own->high_open ? value < own->high : value <= own->high);
}

static cohort_status refuse(const cohort_probe_state *probe, const cohort_array *array, const char *constraint,
                            int64_t element, cohort_error *error) {
  char bound[64] = "", symbol[32];
  const char *less = strrchr(constraint, '<');
  if (less && sscanf(less + 1, " %31[A-Za-z]", symbol) == 1 && cohort_probe_size_of(probe, symbol) >= 0)
    (void)snprintf(bound, sizeof bound, " with %s = %lld", symbol, (long long)cohort_probe_size_of(probe, symbol));
  char shape[COHORT_PROBE_TEXT];
  cohort_probe_shape_text(array->axes, array->size, shape);
  return cohort_fail(error, COHORT_BAD_DATA, "%s: array %s %s: element %lld is %g, expected %s%s",
                     probe->request->input, array->name, shape, (long long)element, cohort_array_get(array, element),
                     constraint, bound);
}

static cohort_status check_symmetric(const cohort_probe_state *probe, const cohort_array *array, cohort_error *error) {
  const int64_t n = array->size[0];
  double largest = 0;
  for (int64_t e = 0; e < n * n; e++) largest = fmax(largest, fabs(cohort_array_get(array, e)));
  const double tolerance = largest * (array->type == COHORT_ARRAY_FLOAT32 ? 1e-5 : 1e-12);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < i; j++)
      if (fabs(cohort_array_get(array, i * n + j) - cohort_array_get(array, j * n + i)) > tolerance)
        return cohort_fail(error, COHORT_BAD_DATA,
                           "%s: array %s: elements [%lld, %lld] and [%lld, %lld] differ, expected "
                           "a symmetric matrix",
                           probe->request->input, array->name, (long long)i, (long long)j, (long long)j, (long long)i);
  return COHORT_DONE;
}

static cohort_status check_constraint(const cohort_probe_state *probe, const cohort_probe_array *entry,
                                      const cohort_array *array, cohort_error *error) {
  const char *constraint = entry->constraint;
  if (strcmp(constraint, "symmetric") == 0) return check_symmetric(probe, array, error);
  if (!strstr(constraint, "value")) { /* of a symbol: "objectives <= 16" */
    const char *less = strstr(constraint, "<=");
    if (!less || term(probe, constraint) <= term(probe, less + 2)) return COHORT_DONE;
    char shape[COHORT_PROBE_TEXT];
    cohort_probe_shape_text(array->axes, array->size, shape);
    return cohort_fail(error, COHORT_BAD_DATA, "%s: array %s is %s, expected %s", probe->request->input, array->name,
                       shape, constraint);
  }
  const bounds own = read_bounds(probe, constraint);
  const int64_t elements = cohort_array_elements(array);
  for (int64_t e = 0; e < elements; e++) {
    const double value = cohort_array_get(array, e);
    if (satisfies(&own, value) || (entry->ignores && value < 0)) continue;
    return refuse(probe, array, constraint, e, error);
  }
  return COHORT_DONE;
}

cohort_status cohort_probe_check_values(const cohort_probe_state *probe, const cohort_probe_array *entry,
                                        const cohort_array *array, cohort_error *error) {
  const int64_t elements = cohort_array_elements(array);
  for (int64_t e = 0; e < elements; e++)
    if (!isfinite(cohort_array_get(array, e))) return refuse(probe, array, "finite values", e, error);
  return entry->constraint ? check_constraint(probe, entry, array, error) : COHORT_DONE;
}
