/* Probe of a robust aggregation: one round's changes, joined by the code that joins them in a run
 * (train/robust/robust.h), as one rank. Costs what that does, and a copy of every array. */
#include "train/robust/robust.h"

#include <string.h>

#include "base/memory.h"
#include "probe/probe.h"

/* What earlier rounds have left. */
static void recall(cohort_probe_state *probe, cohort_robust_join *robust, int64_t clients, int64_t *number) {
  const cohort_array *last = cohort_probe_input(probe, "last"), *history = cohort_probe_input(probe, "history");
  if (last) memcpy(cohort_robust_last(robust), last->data, (size_t)last->size[0] * cohort_probe_real_size(probe));
  if (history)
    cohort_row_table_write(cohort_robust_table(robust), clients, number, number, (const void *[]){history->data},
                           COHORT_ROW_LAST);
}

static cohort_status join(cohort_probe_state *probe, cohort_robust_join *robust) {
  const cohort_array *rows = cohort_probe_input(probe, "rows"), *weights = cohort_probe_input(probe, "weights");
  const int64_t clients = rows->size[0], n = rows->size[1];
  int64_t *number = cohort_probe_memory(probe, (size_t)clients * sizeof *number);
  double *weight = cohort_probe_memory(probe, 2 * (size_t)clients * sizeof *weight), *cost = weight + clients, sum = 0;
  for (int64_t i = 0; i < clients; i++) sum += weights ? cohort_array_get(weights, i) : 1;
  for (int64_t i = 0; i < clients; i++) {
    number[i] = i;
    cost[i] = 1;
    weight[i] = weights && sum > 0 ? cohort_array_get(weights, i) / sum : 1.0 / (double)clients;
  }
  cohort_item_order order = {0};
  cohort_item_order_create((int)clients, cost, 1, &order);
  recall(probe, robust, clients, number);
  const cohort_robust_crowd crowd = {.clients = (int)clients, .client = number, .weight = weight, .order = &order};
  cohort_robust_begin(robust, &crowd);
  const size_t bytes = (size_t)n * cohort_probe_real_size(probe);
  for (int64_t i = 0; i < clients; i++)
    memcpy(cohort_robust_row(robust, (int)i), (const char *)rows->data + (size_t)i * bytes, bytes);
  cohort_robust_outcome outcome;
  cohort_robust_finish(robust, cohort_probe_output(probe, "combined", COHORT_SHAPE(n)), &outcome);
  cohort_item_order_release(&order);
  if (((const cohort_robust *)probe->choice.method->functions)->combine) return COHORT_DONE;
  void *share = cohort_probe_output(probe, "share", COHORT_SHAPE(clients));
  for (int64_t i = 0; i < clients; i++) cohort_probe_set(probe, share, i, outcome.share[i]);
  return COHORT_DONE;
}

static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  cohort_comm alone = cohort_comm_alone();
  const cohort_array *rows = cohort_probe_input(probe, "rows");
  COHORT_TRY(cohort_robust_admits(probe->choice.method, probe->choice.config, (int)rows->size[0], error));
  const cohort_robust_options options = {
      .comm = &alone, .threads = 1, .variant = probe->variant, .elements = rows->size[1], .method = &probe->choice};
  cohort_robust_join *robust = NULL;
  COHORT_TRY(cohort_robust_create(&options, &robust, error));
  const cohort_status status = join(probe, robust);
  cohort_robust_destroy(robust);
  return status;
}

const cohort_probe_program cohort_probe_robust = {.family = "robust", .run = run};
