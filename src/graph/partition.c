/* Borders of phases where bound memory comes and goes. Moments (steps, and ends of phases) stay in their order; only
 * borders move, so no arithmetic changes. Every group's events nest like brackets: NEED before FREE, OPEN before
 * COMPLETE.
 *
 * Costs moments x tensors of a step, and a sort of the events, once a plan. */
#include "graph/partition.h"

#include <stdlib.h>

#include "base/memory.h"
#include "graph/planned.h"

/* A step, or all of a tiling, or the end of a phase with its lane operations and what is copied for them. */
typedef struct moment {
  int phase; /* before the cut */
  int step;  /* the first; -1: an end */
  int end;   /* behind the last */
  bool cut;  /* a phase begins with it */
} moment;

/* From the first to the last moment that touches a group; first -1: none does. */
typedef struct span {
  int group, first, last;
} span;

typedef struct ranked_event {
  cohort_plan_event event;
  int phase, moment;
} ranked_event;

typedef struct partitioning {
  cohort_plan *plan;
  const cohort_plan_bound_groups *groups;
  moment *moment;
  int moments;
  int *copy_moment; /* [copies]: after which moment each is made */
  span *write;      /* [groups] */
  span *read;       /* intervals in order of their first moments */
  int reads;
  int *latest;   /* [groups]: latest interval of `read`, or -1 */
  int last_need; /* the latest moment with a new interval */
  int *phase_of; /* [moments]: after the cut */
} partitioning;

/* Copies into the arena are for lane operations and stay before them. */
static bool is_staged(const cohort_copy *copy) { return copy->to.kind == COHORT_LOCATION_ARENA; }

static int written_group(const partitioning *own, const cohort_location *place) {
  return place->kind == COHORT_LOCATION_BOUND ? own->groups->written[place->value] : -1;
}

static int read_group(const partitioning *own, const cohort_location *place) {
  return place->kind == COHORT_LOCATION_BOUND ? own->groups->read[place->value] : -1;
}

static bool has_end(const cohort_plan *plan, const cohort_phase *phase) {
  if (phase->first_step == phase->last_step || phase->first_lane < phase->last_lane) return true;
  for (int i = phase->first_copy; i < phase->last_copy; i++)
    if (is_staged(&plan->copy[i])) return true;
  return false;
}

static void list_moments(partitioning *own) {
  for (int p = 0; p < own->plan->phases; p++) {
    const cohort_phase *phase = &own->plan->phase[p];
    const int first = own->moments;
    for (int s = phase->first_step; s < phase->last_step; s = own->plan->step[s].end_of_tiling)
      own->moment[own->moments++] = (moment){p, s, own->plan->step[s].end_of_tiling, false};
    if (has_end(own->plan, phase)) own->moment[own->moments++] = (moment){p, -1, -1, false};
    own->moment[first].cut = true;
  }
}

static void touch(span *own, int at) {
  if (own->first < 0 || at < own->first) own->first = at;
  if (at > own->last) own->last = at;
}

static void touch_external(partitioning *own, const cohort_location *place, int at) {
  const int group = written_group(own, place);
  if (group >= 0) touch(&own->write[group], at);
}

static void find_writes(partitioning *own) {
  for (int m = 0; m < own->moments; m++) {
    for (int s = own->moment[m].step; s < own->moment[m].end; s++) {
      const cohort_step *step = &own->plan->step[s];
      for (int i = 0; i < step->call.inputs; i++) touch_external(own, &step->input[i], m);
      for (int i = 0; i < step->call.outputs; i++) touch_external(own, &step->output[i], m);
    }
  }
}

static bool makes(const cohort_plan *plan, const moment *at, const cohort_location *place) {
  for (int s = at->step; s < at->end; s++) {
    const cohort_step *step = &plan->step[s];
    for (int i = 0; i < step->call.outputs; i++)
      if (step->output[i].kind == place->kind && step->output[i].value == place->value) return true;
  }
  return false;
}

static bool exchanges(const cohort_plan *plan, int phase, cohort_value value) {
  for (int i = plan->phase[phase].first_lane; i < plan->phase[phase].last_lane; i++)
    if (plan->lane[i].output == value) return true;
  return false;
}

/* The first moment after which the memory holds its value: what is bound or constant always does. */
static int ready_moment(const partitioning *own, const cohort_location *place) {
  for (int m = 0; m < own->moments; m++) {
    const moment *at = &own->moment[m];
    if (makes(own->plan, at, place)) return m;
    const bool begins = m == 0 || own->moment[m - 1].phase != at->phase;
    if (begins && at->phase > 0 && exchanges(own->plan, at->phase - 1, place->value)) return m;
  }
  return 0;
}

/* Outputs lie in the arena to the end, so a copy waits for its group's last step. One out of another group's memory
 * does not: it is made at once, while that group is open. */
static void place_copies(partitioning *own) {
  const cohort_plan *plan = own->plan;
  for (int i = 0; i < plan->copies; i++) {
    const cohort_copy *copy = &plan->copy[i];
    const int group = written_group(own, &copy->to), ready = ready_moment(own, &copy->from);
    const bool at_once = written_group(own, &copy->from) >= 0;
    own->copy_moment[i] = at_once ? ready : -1;
    if (at_once && ready + 1 < own->moments) own->moment[ready + 1].cut = true;
    if (group < 0) continue;
    if (at_once) touch(&own->write[group], ready);
    if (ready > own->write[group].last) own->write[group].last = ready;
  }
  for (int i = 0; i < plan->copies; i++) {
    if (is_staged(&plan->copy[i]) || own->copy_moment[i] >= 0) continue;
    const int group = written_group(own, &plan->copy[i].to);
    own->copy_moment[i] = group < 0 ? own->moments - 1 : own->write[group].last;
    if (group >= 0) touch(&own->write[group], own->copy_moment[i]);
  }
  for (int m = 0; m < own->moments; m++)
    for (int i = plan->phase[own->moment[m].phase].first_copy; i < plan->phase[own->moment[m].phase].last_copy; i++)
      if (own->moment[m].step < 0 && is_staged(&plan->copy[i])) own->copy_moment[i] = m;
}

/* An interval goes on unless another group was needed since it was read last. */
static void touch_parameter(partitioning *own, const cohort_location *place, int at) {
  const int group = read_group(own, place);
  if (group < 0) return;
  span *latest = own->latest[group] < 0 ? NULL : &own->read[own->latest[group]];
  if (latest && latest->last >= own->last_need) {
    latest->last = at;
    return;
  }
  own->latest[group] = own->reads;
  own->read[own->reads++] = (span){group, at, at};
}

static void find_reads(partitioning *own) {
  for (int m = 0; m < own->moments; m++) {
    const int known = own->reads;
    for (int s = own->moment[m].step; s < own->moment[m].end; s++)
      for (int i = 0; i < own->plan->step[s].call.inputs; i++) touch_parameter(own, &own->plan->step[s].input[i], m);
    for (int i = 0; i < own->plan->copies; i++)
      if (own->copy_moment[i] == m) touch_parameter(own, &own->plan->copy[i].from, m);
    if (own->reads > known) own->last_need = m;
  }
}

/* Lane operations that follow a group's last step at once end the same phase. */
static void mark_borders(partitioning *own) {
  for (int i = 0; i < own->reads; i++) own->moment[own->read[i].first].cut = true;
  for (int g = 0; g < own->groups->groups; g++) {
    const int next = own->write[g].last + 1;
    if (own->write[g].first >= 0 && next < own->moments && own->moment[next].step >= 0) own->moment[next].cut = true;
  }
}

static void copy_copies(const partitioning *own, int at, bool staged, cohort_copy *copy, int *copies) {
  for (int i = 0; i < own->plan->copies; i++)
    if (own->copy_moment[i] == at && is_staged(&own->plan->copy[i]) == staged) copy[(*copies)++] = own->plan->copy[i];
}

/* The phases between the cuts, with copies in the order in which they are made. */
static void make_phases(partitioning *own) {
  cohort_plan *plan = own->plan;
  cohort_phase *phase = cohort_allocate((size_t)own->moments * sizeof *phase), *current = NULL;
  cohort_copy *copy = cohort_allocate(((size_t)plan->copies + 1) * sizeof *copy);
  int phases = 0, copies = 0, steps = 0, lanes = 0;
  for (int m = 0; m < own->moments; m++) {
    const moment *at = &own->moment[m];
    if (at->cut || !current) {
      current = &phase[phases++];
      *current = (cohort_phase){.first_step = steps, .first_copy = copies, .first_lane = lanes};
    }
    if (at->step >= 0) steps = at->end;
    if (at->step < 0) lanes = plan->phase[at->phase].last_lane;
    copy_copies(own, m, true, copy, &copies);
    copy_copies(own, m, false, copy, &copies);
    current->last_step = steps;
    current->last_copy = copies;
    current->last_lane = lanes;
    own->phase_of[m] = phases - 1;
  }
  free(plan->phase);
  free(plan->copy);
  plan->phase = phase;
  plan->copy = copy;
  plan->phases = phases;
}

static int compare_events(const void *left, const void *right) {
  const ranked_event *a = left, *b = right;
  if (a->phase != b->phase) return a->phase < b->phase ? -1 : 1;
  if (a->event.kind != b->event.kind) return a->event.kind < b->event.kind ? -1 : 1;
  if (a->moment != b->moment) return a->moment < b->moment ? -1 : 1;
  return a->event.group < b->event.group ? -1 : 1;
}

static ranked_event *add_span(const partitioning *own, const span *of, cohort_plan_event_kind begin,
                              cohort_plan_event_kind end, ranked_event *to) {
  *to++ = (ranked_event){{begin, of->group}, own->phase_of[of->first], of->first};
  *to++ = (ranked_event){{end, of->group}, own->phase_of[of->last], of->last};
  return to;
}

static void make_events(partitioning *own) {
  cohort_plan *plan = own->plan;
  ranked_event *ranked = cohort_allocate(2 * (size_t)(own->reads + own->groups->groups + 1) * sizeof *ranked);
  ranked_event *end = ranked;
  for (int i = 0; i < own->reads; i++) end = add_span(own, &own->read[i], COHORT_PLAN_NEED, COHORT_PLAN_FREE, end);
  for (int g = 0; g < own->groups->groups; g++)
    if (own->write[g].first >= 0) end = add_span(own, &own->write[g], COHORT_PLAN_OPEN, COHORT_PLAN_COMPLETE, end);
  const size_t count = (size_t)(end - ranked);
  qsort(ranked, count, sizeof *ranked, compare_events);
  plan->event = cohort_allocate((count + 1) * sizeof *plan->event);
  int from = 0;
  for (int p = 0; p < plan->phases; p++) {
    plan->phase[p].first_event = from;
    for (; from < (int)count && ranked[from].phase == p; from++) plan->event[from] = ranked[from].event;
    plan->phase[p].last_event = from;
  }
  free(ranked);
}

static void make_room(partitioning *own) {
  const cohort_plan *plan = own->plan;
  const size_t moments = (size_t)plan->steps + (size_t)plan->phases, groups = (size_t)own->groups->groups + 1;
  const size_t most_reads = moments * COHORT_MAX_INPUTS + (size_t)plan->copies + 1;
  own->moment = cohort_allocate(moments * sizeof *own->moment);
  own->phase_of = cohort_allocate(moments * sizeof *own->phase_of);
  own->copy_moment = cohort_allocate(((size_t)plan->copies + 1) * sizeof *own->copy_moment);
  own->write = cohort_allocate(groups * sizeof *own->write);
  own->latest = cohort_allocate(groups * sizeof *own->latest);
  own->read = cohort_allocate(most_reads * sizeof *own->read);
  for (int g = 0; g < own->groups->groups; g++) {
    own->write[g] = (span){g, -1, -1};
    own->latest[g] = -1;
  }
}

static void release_room(partitioning *own) {
  free(own->moment);
  free(own->phase_of);
  free(own->copy_moment);
  free(own->write);
  free(own->latest);
  free(own->read);
}

static cohort_status check_groups(const cohort_plan *plan, const cohort_plan_bound_groups *groups,
                                  cohort_error *error) {
  if (plan->event) return cohort_fail(error, COHORT_BUG, "plan: cut already; cut it once");
  for (int32_t v = 0; v < plan->given; v++)
    if (groups->read[v] >= groups->groups || groups->written[v] >= groups->groups)
      return cohort_fail(error, COHORT_BUG, "plan: value %d is in a group that there is not; there are %d", (int)v,
                         groups->groups);
  return COHORT_DONE;
}

cohort_status cohort_plan_partition(cohort_plan *plan, const cohort_plan_bound_groups *groups, cohort_error *error) {
  COHORT_TRY(check_groups(plan, groups, error));
  partitioning own = {.plan = plan, .groups = groups, .last_need = -1};
  make_room(&own);
  list_moments(&own);
  find_writes(&own);
  place_copies(&own);
  find_reads(&own);
  mark_borders(&own);
  make_phases(&own);
  make_events(&own);
  release_room(&own);
  return COHORT_DONE;
}

int cohort_plan_events(const cohort_plan *plan, int phase, const cohort_plan_event **event) {
  const cohort_phase *own = &plan->phase[phase];
  *event = plan->event ? plan->event + own->first_event : NULL;
  return own->last_event - own->first_event;
}

bool cohort_plan_has_lane_operations(const cohort_plan *plan) { return plan->lanes > 0; }
