/* What one executor measures while it runs plans: seconds and calls of every step, seconds of the caller's own
 * activities, and, while `tracing`, each of them as an event with its time. An executor and the thread that drives it
 * write it alone; all memory is made before. */
#ifndef COHORT_GRAPH_RECORDER_H
#define COHORT_GRAPH_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "graph/plan.h"

enum { COHORT_MAX_RECORDED_PLANS = 4, COHORT_MAX_ACTIVITIES = 16 };

/* One step's, or one activity's. */
typedef struct cohort_recorded {
  double calls, seconds, bytes; /* bytes: of activities alone */
} cohort_recorded;

typedef struct cohort_event {
  double start, seconds;
  int32_t table; /* of the plan; -1: an activity */
  int32_t index; /* step of the plan (its number of steps: the copies at the end of a phase), or the activity */
} cohort_event;

typedef struct cohort_recorder {
  int plans;
  const cohort_plan *plan[COHORT_MAX_RECORDED_PLANS];
  cohort_recorded *table[COHORT_MAX_RECORDED_PLANS]; /* [nodes of the plan + 1] */
  cohort_recorded activity[COHORT_MAX_ACTIVITIES];
  bool active;  /* activities count; the caller switches it with its phases */
  bool tracing; /* events are kept until there is no more room */
  int events, room;
  cohort_event *event;
} cohort_recorder;

/* For up to COHORT_MAX_RECORDED_PLANS plans (NULL ones are passed over), which must outlive it. */
cohort_recorder *cohort_recorder_create(int plans, const cohort_plan *const *plan, int events);
void cohort_recorder_destroy(cohort_recorder *recorder);

static inline void cohort_recorder_note(cohort_recorder *recorder, int table, int index, double start, double end) {
  if (!recorder->tracing || recorder->events == recorder->room) return;
  recorder->event[recorder->events++] = (cohort_event){start, end - start, table, index};
}

/* Around an activity that read and wrote `bytes`: the result of cohort_recorder_start goes to cohort_recorder_stop.
 * Both do nothing for NULL or while the recorder is not active. */
static inline double cohort_recorder_start(const cohort_recorder *recorder) {
  return recorder && recorder->active ? cohort_clock_seconds() : 0;
}
static inline void cohort_recorder_stop(cohort_recorder *recorder, int activity, double start, double bytes) {
  if (!recorder || !recorder->active) return;
  const double end = cohort_clock_seconds();
  recorder->activity[activity].calls++;
  recorder->activity[activity].seconds += end - start;
  recorder->activity[activity].bytes += bytes;
  cohort_recorder_note(recorder, -1, activity, start, end);
}

#endif
