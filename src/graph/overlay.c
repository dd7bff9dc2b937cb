/* Moves values out of the arena into memory that is written late. A moved value never shares bytes with anything that
 * is in use in the same phases, its own copies for other lanes included; what finds no room stays where it was. Only
 * offsets change, hence no bit.
 *
 * What ends last is placed first, each into the first gap: intervals x places, once a plan. */
#include "graph/overlay.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"
#include "graph/planned.h"

enum { SMALLEST_BYTES = 4096 }; /* of a value that is worth it */

typedef struct moving {
  cohort_plan *plan;
  const cohort_overlay *overlay;
  cohort_interval *span; /* [intervals]: of the plan's, in phases */
  int *order;            /* [intervals]: that may move, the last to end first */
  int orders;
  cohort_interval *placed; /* by offset: what is taken, and what has moved in */
  int places;
  int *number; /* [intervals]: which of those that moved, or -1 */
} moving;

static int phase_of_step(const cohort_plan *plan, int step) {
  int phase = 0;
  while (step >= plan->phase[phase].last_step) phase++;
  return phase;
}

/* Steps stand in the order of their times. */
static void find_spans(moving *own) {
  const cohort_plan *plan = own->plan;
  for (int i = 0; i < plan->intervals; i++) {
    const cohort_interval *interval = &plan->interval[i];
    int first = 0, last = plan->steps - 1;
    while (first < last && plan->step[first].time < interval->first) first++;
    while (last > first && plan->step[last].time > interval->last) last--;
    const bool to_the_end = interval->last > plan->step[plan->steps - 1].time;
    own->span[i] = (cohort_interval){.bytes = interval->bytes,
                                     .first = phase_of_step(plan, first),
                                     .last = to_the_end ? plan->phases - 1 : phase_of_step(plan, last)};
  }
}

static bool goes_before(const cohort_interval *a, const cohort_interval *b) {
  if (a->last != b->last) return a->last > b->last;
  return a->bytes > b->bytes;
}

/* What ends last finds the fewest places. */
static void find_order(moving *own) {
  for (int i = 0; i < own->plan->intervals; i++) {
    const cohort_interval *span = &own->span[i];
    if (span->bytes < SMALLEST_BYTES || span->first == span->last || span->last == own->plan->phases - 1) continue;
    int at = own->orders++;
    for (; at > 0 && goes_before(span, &own->span[own->order[at - 1]]); at--) own->order[at] = own->order[at - 1];
    own->order[at] = i;
  }
}

/* The first gap that holds it while it lives. */
static bool find_offset(const moving *own, cohort_interval *wanted) {
  size_t end = 0;
  for (int i = 0; i < own->places; i++) {
    const cohort_interval *other = &own->placed[i];
    if (other->last < wanted->first || wanted->last < other->first) continue;
    if (other->offset >= end && other->offset - end >= wanted->bytes) break;
    if (other->offset + other->bytes > end) end = cohort_round_up(other->offset + other->bytes, COHORT_ALIGNMENT);
  }
  wanted->offset = end;
  return end + wanted->bytes <= own->overlay->bytes;
}

static void put(moving *own, const cohort_interval *interval) {
  int at = own->places++;
  for (; at > 0 && own->placed[at - 1].offset > interval->offset; at--) own->placed[at] = own->placed[at - 1];
  own->placed[at] = *interval;
}

static void take_away(moving *own, const cohort_interval *interval) {
  int at = 0;
  while (own->placed[at].offset != interval->offset || own->placed[at].first != interval->first ||
         own->placed[at].last != interval->last || own->placed[at].bytes != interval->bytes)
    at++;
  own->places--;
  for (; at < own->places; at++) own->placed[at] = own->placed[at + 1];
}

/* A room for every lane, or none. */
static bool move_in(moving *own, int interval) {
  cohort_plan *plan = own->plan;
  const int lanes = own->overlay->lanes;
  size_t *offset = plan->overlaid_offset + (size_t)plan->overlaid * (size_t)lanes;
  cohort_interval wanted = own->span[interval];
  for (int lane = 0; lane < lanes; lane++) {
    if (!find_offset(own, &wanted)) {
      while (lane > 0) {
        wanted.offset = offset[--lane];
        take_away(own, &wanted);
      }
      return false;
    }
    offset[lane] = wanted.offset;
    put(own, &wanted);
  }
  own->number[interval] = plan->overlaid++;
  return true;
}

/* Offsets of what stays: what moved takes no room. */
static void pack_arena(moving *own) {
  cohort_plan *plan = own->plan;
  cohort_interval *staying = cohort_allocate(((size_t)plan->intervals + 1) * sizeof *staying);
  int count = 0;
  for (int i = 0; i < plan->intervals; i++)
    if (own->number[i] < 0) staying[count++] = plan->interval[i];
  plan->arena_bytes = cohort_allocate_intervals(count, staying);
  count = 0;
  for (int i = 0; i < plan->intervals; i++)
    if (own->number[i] < 0) plan->interval[i] = staying[count++];
  free(staying);
}

void cohort_plan_overlay(cohort_plan *plan, const cohort_overlay *overlay) {
  if (plan->lanes || plan->overlaid || !plan->steps) return;
  const size_t intervals = (size_t)plan->intervals + 1, lanes = (size_t)overlay->lanes;
  moving own = {.plan = plan,
                .overlay = overlay,
                .span = cohort_allocate(intervals * sizeof *own.span),
                .order = cohort_allocate(intervals * sizeof *own.order),
                .placed = cohort_allocate(((size_t)overlay->taken + intervals * lanes) * sizeof *own.placed),
                .number = cohort_allocate(intervals * sizeof *own.number)};
  plan->overlay_lanes = overlay->lanes;
  plan->overlaid_offset = cohort_allocate(intervals * lanes * sizeof *plan->overlaid_offset);
  for (int i = 0; i < overlay->taken; i++) put(&own, &overlay->interval[i]);
  for (int i = 0; i < plan->intervals; i++) own.number[i] = -1;
  find_spans(&own);
  find_order(&own);
  for (int i = 0; i < own.orders; i++) (void)move_in(&own, own.order[i]);
  pack_arena(&own);
  cohort_plan_resolve(plan, own.number);
  free(own.span);
  free(own.order);
  free(own.placed);
  free(own.number);
}

int cohort_plan_overlaid(const cohort_plan *plan) { return plan->overlaid; }

void cohort_plan_bind_overlaid(const cohort_plan *plan, int lane, void *base, void **memory) {
  for (int i = 0; i < plan->overlaid; i++)
    memory[plan->given + i] = (char *)base + plan->overlaid_offset[i * plan->overlay_lanes + lane];
}

size_t cohort_plan_whole_bytes(const cohort_plan *plan) { return plan->whole_bytes; }
