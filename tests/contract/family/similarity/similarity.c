/* The family similarity, and its probe: pairs of rows, one by one. */
#include "method/similarity/similarity.h"

#include "method/family.h"

static const cohort_probe_array inputs[] = {
    {"first", COHORT_ARRAY_OF_REAL, {"pairs", "n"}, .meaning = "one vector of each pair"},
    {"second", COHORT_ARRAY_OF_REAL, {"pairs", "n"}, .meaning = "the other"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"value", COHORT_ARRAY_OF_REAL, {"pairs"}, .meaning = "how alike the two are"},
    {.name = NULL},
};

static const cohort_probe_setting settings[] = {
    {"first_pair", "0", "0", NULL, .meaning = "the first pair that is compared; the others are 0"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"pairs", 1, 3, NULL, .meaning = "pairs"},
    {"n", 1, 5, NULL, .meaning = "numbers of a vector"},
    {.name = NULL},
};

static cohort_status probe(const cohort_probe_call *call, cohort_error *error) {
  (void)error;
  const cohort_similarity *functions = call->method->functions;
  const int64_t pairs = call->size(call, "pairs"), n = call->size(call, "n");
  const double *first = call->input(call, "first"), *second = call->input(call, "second");
  double *value = call->output(call, "value");
  for (int64_t p = call->setting(call, "first_pair"); p < pairs; p++)
    value[p] = functions->compare(call->config, n, first + p * n, second + p * n);
  return COHORT_DONE;
}

/* The catalogue calls another family so too: both answer to the word. */
const cohort_family cohort_family_similarity = {
    .name = "similarity",
    .noun = "measure of similarity",
    .summary = "how alike two vectors are",
    .catalogue = "multiobjective",
    .inputs = inputs,
    .outputs = outputs,
    .settings = settings,
    .symbols = symbols,
    .probe = probe,
};
