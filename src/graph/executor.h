/* Runs a plan for lanes. An executor belongs to one thread at a time (its team may have more); it owns one arena for
 * each lane that must be alive at once (one, when the plan has one phase). Nothing is allocated after creation. */
#ifndef COHORT_GRAPH_EXECUTOR_H
#define COHORT_GRAPH_EXECUTOR_H

#include <stdbool.h>

#include "base/team.h"
#include "graph/plan.h"
#include "graph/recorder.h"

typedef struct cohort_executor cohort_executor;

/* `arena_bytes` is the largest cohort_plan_arena_bytes of the plans it will run, `lanes` how many lanes may be alive at
 * once (1 when all plans have one phase). */
cohort_status cohort_executor_create(size_t arena_bytes, int lanes, int threads, cohort_executor **out,
                                     cohort_error *error);
void cohort_executor_destroy(cohort_executor *executor);

/* Cuts its arenas into pieces of `bytes` (a multiple of 64) for other use between runs, which overwrite them; returns
 * how many there are, of which the first `most` are left in `piece`. */
int cohort_executor_borrow(const cohort_executor *executor, size_t bytes, int most, void **piece);

/* From now on runs of the recorder's plans are measured; NULL: no longer. The recorder stays the caller's. */
void cohort_executor_record(cohort_executor *executor, cohort_recorder *recorder);

/* From now on `poll` is called with `argument` on the running thread after every step of a run (for communication that
 * makes progress only when it is asked); NULL: no longer. It must not touch memory that the plan is bound to. */
void cohort_executor_poll(cohort_executor *executor, void (*poll)(void *argument), void *argument);

/* From now on steps of a run are left out as soon as *flag is not 0, which anybody may write at any moment; NULL:
 * never. The flag stays the caller's. */
void cohort_executor_stop_on(cohort_executor *executor, const _Atomic int *flag);
/* Whether it leaves out steps now. */
bool cohort_executor_stopped(const cohort_executor *executor);

/* Memory for leaves and external outputs, by value of the graph that the plan was made from: memory[value]. The array
 * has cohort_graph_values entries; only leaves that the plan needs and external outputs are read. */
typedef struct cohort_bindings {
  void *const *memory;
  cohort_random_key random_key;
  const int64_t *extent; /* [COHORT_MAX_EXTENTS]: rows in use, the same in all phases; 0, or NULL: all */
} cohort_bindings;

/* Runs one phase for lane slot `slot` (0 <= slot < lanes). False: steps were left out; what the phase would have made
 * is undefined. */
bool cohort_executor_run(cohort_executor *executor, const cohort_plan *plan, int phase, int slot,
                         const cohort_bindings *bindings);

/* Memory of a value after a run of the given slot: an output, or a lane operation's input or output. */
void *cohort_executor_value(const cohort_executor *executor, const cohort_plan *plan, int slot, cohort_value value,
                            const cohort_bindings *bindings);

/* Lane operations that end `phase`: what the caller must reduce over all lanes before the next phase. */
typedef struct cohort_lane_operation {
  cohort_op op; /* LANE_SUM, LANE_MAX, LANE_GATHER, LANE_TAKE */
  cohort_value input, output;
  int64_t input_elements, output_elements;
  cohort_type type;
} cohort_lane_operation;
int cohort_plan_lane_operations(const cohort_plan *plan, int phase, cohort_lane_operation *out, int capacity);

#endif
