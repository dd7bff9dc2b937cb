/* Makes room for what a recorder measures. All of it is taken here, so that recording allocates nothing; an entry a
 * node, and the events of a trace. */
#include "graph/recorder.h"

#include <stdlib.h>

#include "base/memory.h"

cohort_recorder *cohort_recorder_create(int plans, const cohort_plan *const *plan, int events) {
  cohort_recorder *recorder = cohort_allocate(sizeof *recorder);
  for (int p = 0; p < plans; p++) {
    if (!plan[p]) continue;
    const int at = recorder->plans++;
    recorder->plan[at] = plan[p];
    recorder->table[at] = cohort_allocate(((size_t)cohort_plan_nodes(plan[p]) + 1) * sizeof **recorder->table);
  }
  recorder->room = events;
  recorder->event = cohort_allocate(((size_t)events + 1) * sizeof *recorder->event);
  return recorder;
}

void cohort_recorder_destroy(cohort_recorder *recorder) {
  if (!recorder) return;
  for (int p = 0; p < recorder->plans; p++) free(recorder->table[p]);
  free(recorder->event);
  free(recorder);
}
