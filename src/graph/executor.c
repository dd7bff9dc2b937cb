/* Runs a phase of a plan for one lane: fills in pointers, calls kernels, copies what lane operations read. Nothing is
 * allocated and nothing is decided here: the order is the plan's. What a node costs besides its kernel is measured by
 * tests/bench/overhead.c. */
#include "graph/executor.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/planned.h"

struct cohort_executor {
  cohort_team team;
  int lanes;
  size_t arena_bytes;
  char **arena;                 /* [lanes] */
  cohort_recorder *recorder;    /* or NULL */
  void (*poll)(void *argument); /* or NULL */
  void *poll_argument;
  const _Atomic int *stop; /* or NULL */
};

cohort_status cohort_executor_create(size_t arena_bytes, int lanes, int threads, cohort_executor **out,
                                     cohort_error *error) {
  cohort_executor *executor = cohort_allocate(sizeof *executor);
  executor->team = (cohort_team){threads};
  executor->lanes = lanes;
  executor->arena_bytes = arena_bytes;
  executor->arena = cohort_allocate((size_t)lanes * sizeof *executor->arena);
  for (int lane = 0; lane < lanes; lane++) {
    void *memory = NULL;
    const cohort_status status = cohort_memory_create(arena_bytes, "activations of a lane", &memory, error);
    if (status != COHORT_DONE) {
      cohort_executor_destroy(executor);
      return status;
    }
    executor->arena[lane] = memory;
  }
  *out = executor;
  return COHORT_DONE;
}

void cohort_executor_destroy(cohort_executor *executor) {
  if (!executor) return;
  for (int lane = 0; lane < executor->lanes; lane++) cohort_memory_release(executor->arena[lane]);
  free(executor->arena);
  free(executor);
}

/* Of a step whose rows are not all in use. */
static void shorten(const cohort_step *step, const cohort_plan *plan, int64_t rows, cohort_call *call) {
  const int64_t most = plan->most[step->extent - 1];
  call->planned = most;
  call->rows = rows;
  for (int i = 0; i < call->inputs; i++)
    if (step->ragged_inputs >> i & 1) call->input[i].shape.size[0] = call->input[i].shape.size[0] / most * rows;
  for (int i = 0; i < call->outputs; i++)
    if (step->ragged_outputs >> i & 1) call->output[i].shape.size[0] = call->output[i].shape.size[0] / most * rows;
}

/* `call` is filled by parts: most calls have few tensors. */
static void run_step(const cohort_step *step, int part, cohort_call *call, char *arena, const cohort_plan *plan,
                     const cohort_bindings *bindings) {
  const size_t at = (size_t)part;
  void *const *memory = bindings->memory;
  call->part = part;
  call->parts = step->parts;
  call->inputs = step->call.inputs;
  call->outputs = step->call.outputs;
  call->attributes = step->call.attributes;
  call->fusion = step->call.fusion;
  call->bf16 = step->call.bf16;
  for (int i = 0; i < step->call.inputs; i++) {
    call->input[i] = step->call.input[i];
    call->input[i].data =
        (char *)cohort_location_memory(&step->input[i], arena, plan, memory) + at * step->input_part[i];
  }
  for (int i = 0; i < step->call.outputs; i++) {
    call->output[i] = step->call.output[i];
    call->output[i].data =
        (char *)cohort_location_memory(&step->output[i], arena, plan, memory) + at * step->output_part[i];
  }
  call->workspace = step->has_workspace ? arena + step->workspace : NULL;
  call->planned = call->rows = 0;
  if (step->extent && bindings->extent && bindings->extent[step->extent - 1])
    shorten(step, plan, bindings->extent[step->extent - 1], call);
  step->run(call);
}

/* A step on one part. */
typedef struct turn {
  int step, part;
} turn;

/* Through the steps of a tiling on one part, then on the next. */
static turn following(const cohort_plan *plan, turn at) {
  const cohort_step *step = &plan->step[at.step];
  if (at.step + 1 < step->end_of_tiling) return (turn){at.step + 1, at.part};
  if (at.part + 1 < step->parts) return (turn){step->first_of_tiling, at.part + 1};
  return (turn){at.step + 1, 0};
}

int cohort_executor_borrow(const cohort_executor *executor, size_t bytes, int most, void **piece) {
  int pieces = 0;
  for (int lane = 0; lane < executor->lanes; lane++)
    for (size_t offset = 0; offset + bytes <= executor->arena_bytes; offset += bytes, pieces++)
      if (pieces < most) piece[pieces] = executor->arena[lane] + offset;
  return pieces;
}

void cohort_executor_record(cohort_executor *executor, cohort_recorder *recorder) { executor->recorder = recorder; }

void cohort_executor_poll(cohort_executor *executor, void (*poll)(void *argument), void *argument) {
  executor->poll = poll;
  executor->poll_argument = argument;
}

void cohort_executor_stop_on(cohort_executor *executor, const _Atomic int *flag) { executor->stop = flag; }

bool cohort_executor_stopped(const cohort_executor *executor) {
  return executor->stop && atomic_load_explicit(executor->stop, memory_order_relaxed) != 0;
}

static void run_copies(const cohort_phase *own, char *arena, const cohort_plan *plan, void *const *memory) {
  for (int i = own->first_copy; i < own->last_copy; i++) {
    const cohort_copy *copy = &plan->copy[i];
    const void *from = cohort_location_memory(&copy->from, arena, plan, memory);
    void *to = cohort_location_memory(&copy->to, arena, plan, memory);
    if (from != to) memcpy(to, from, copy->bytes);
  }
}

/* `calls`: of which this is one; a step of a tiling counts when its last part is done. */
static void record(cohort_recorder *recorder, int table, int index, bool whole, double start, double end) {
  cohort_recorded *entry = &recorder->table[table][index];
  entry->calls += whole;
  entry->seconds += end - start;
  cohort_recorder_note(recorder, table, index, start, end);
}

static int recorded_table(const cohort_recorder *recorder, const cohort_plan *plan) {
  for (int t = 0; recorder && t < recorder->plans; t++)
    if (recorder->plan[t] == plan) return t;
  return -1;
}

/* The same as a run, with the clock read between steps. */
static bool run_recorded(const cohort_executor *executor, const cohort_phase *own, cohort_call *call, char *arena,
                         const cohort_plan *plan, const cohort_bindings *bindings, int table) {
  cohort_recorder *recorder = executor->recorder;
  double start = cohort_clock_seconds();
  turn at = {own->first_step, 0};
  for (turn next; at.step < own->last_step; at = next) {
    const cohort_step *step = &plan->step[at.step];
    if (cohort_executor_stopped(executor)) return false;
    run_step(step, at.part, call, arena, plan, bindings);
    const double end = cohort_clock_seconds();
    record(recorder, table, at.step, at.part + 1 == step->parts, start, end);
    start = end;
    next = following(plan, at);
    if (executor->poll) {
      executor->poll(executor->poll_argument);
      start = cohort_clock_seconds();
    }
  }
  if (own->first_copy == own->last_copy) return true;
  run_copies(own, arena, plan, bindings->memory);
  record(recorder, table, plan->steps, true, start, cohort_clock_seconds());
  return true;
}

bool cohort_executor_run(cohort_executor *executor, const cohort_plan *plan, int phase, int slot,
                         const cohort_bindings *bindings) {
  const cohort_phase *own = &plan->phase[phase];
  char *arena = executor->arena[slot];
  cohort_call call;
  call.team = &executor->team;
  call.random_key = bindings->random_key;
  const int table = recorded_table(executor->recorder, plan);
  if (table >= 0) return run_recorded(executor, own, &call, arena, plan, bindings, table);
  for (turn at = {own->first_step, 0}; at.step < own->last_step; at = following(plan, at)) {
    if (cohort_executor_stopped(executor)) return false;
    run_step(&plan->step[at.step], at.part, &call, arena, plan, bindings);
    if (executor->poll) executor->poll(executor->poll_argument);
  }
  run_copies(own, arena, plan, bindings->memory);
  return true;
}

void *cohort_executor_value(const cohort_executor *executor, const cohort_plan *plan, int slot, cohort_value value,
                            const cohort_bindings *bindings) {
  return cohort_location_memory(&plan->place[value], executor->arena[slot], plan, bindings->memory);
}
