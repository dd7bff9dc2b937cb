/* The inside of the update engine, shared by the files of src/update alone.
 *
 *   cohort_updater_step (step.c)
 *     node 0: a driver ── asks ──> transforms outside of it ──> the oracle ──> aggregate
 *       node 1: a driver ...
 *         the base: groups ── apply (passes.c): norm, clip, passes over ranges, sums (sums.c), gather
 */
#ifndef COHORT_UPDATE_UPDATER_STATE_H
#define COHORT_UPDATE_UPDATER_STATE_H

#include "update/algebra.h"
#include "update/state.h"
#include "update/updater.h"

enum { COHORT_MAX_NODES = 8, COHORT_DOT_ROOM = 16 };

/* A vector like the weights. */
typedef struct cohort_update_vector {
  cohort_vector vector;
  bool kept, from_weights, asked;
  bool stale; /* written since its pieces were last gathered */
  char *name; /* of a kept one: its slot's */
  cohort_slot slot;
  cohort_stored_tensor *table; /* the slot's */
  int owner;                   /* node */
} cohort_update_vector;

/* The sums that one pass makes: a record a piece, as long as its tensor's sums want. */
typedef struct cohort_pass_records {
  bool any;
  int64_t *at;    /* [pieces + 1]: where a piece's record begins */
  double *values; /* of all pieces; afterwards a tensor's first record holds the tensor's */
} cohort_pass_records;

typedef struct cohort_update_sums {
  cohort_pass_records pass[COHORT_MAX_PASSES];
  const cohort_parameter_groups *groups;
  int64_t *place; /* [tensors][COHORT_MAX_SUMS]: where a sum begins in a record */
  double *space;  /* [groups][COHORT_MAX_SUMS] */
  double *tensor; /* [tensors]: for the tree over tensors */
  double *packed; /* of the exchange */
} cohort_update_sums;

/* A driver's program: one group of all tensors. */
typedef struct cohort_update_program {
  cohort_update_group group;
  cohort_parameter_groups groups;
  cohort_update_sums sums;
} cohort_update_program;

/* A driver of the nest, outermost first. */
typedef struct cohort_update_node {
  cohort_choice choice;
  const cohort_optimizer *functions;
  int first, vectors; /* its declared vectors, as numbers */
  int states;
  double *state[COHORT_MAX_STATES]; /* kept */
  cohort_slot *state_slot[COHORT_MAX_STATES];
  double report[COHORT_MAX_REPORTS];
  int programs;
  cohort_update_program *program;
  bool answered; /* a transform: it has answered in this step */
} cohort_update_node;

struct cohort_updater {
  cohort_updater_options options;
  size_t real;
  const cohort_algebra *algebra;
  cohort_choice schedule, aggregator;
  int nodes;
  cohort_update_node node[COHORT_MAX_NODES];
  int vectors; /* the weights are number 0 and not among them */
  cohort_update_vector vector[COHORT_MAX_DRIVER_VECTORS];
  int answer; /* number of the vector for a base's gradient out of transforms; 0: none */
  cohort_parameter_groups groups;
  cohort_update_state state;
  cohort_update_sums sums;
  int aggregator_states;
  bool summed; /* the aggregator's weights are known: objectives become one before backward */
  int gradients;
  double weight[COHORT_MAX_OBJECTIVES]; /* of objectives in the loss; 1 unless summed */
  cohort_slot *aggregator_slot[COHORT_MAX_STATES];
  double *aggregator_next[COHORT_MAX_STATES]; /* as the step leaves them */
  int slots;
  const cohort_slot **slot;
  cohort_shards *shards;
  cohort_team team;
  bool *updates;      /* [pieces] */
  bool weights_stale; /* moved since their pieces were last gathered */
  const cohort_vector *weights;
  cohort_collective *collective;
  int first_bucket;
  size_t stride;     /* bytes between an answer's gradients */
  uint64_t *arrival; /* [buckets]: of what was last gathered of each */
  /* Ranges. */
  int *first_owned;    /* [buckets + 1]: where a bucket's begin in `owned` */
  cohort_piece *owned; /* element-cut pieces of this rank, small neighbours as one */
  int owned_count;
  cohort_piece *shared; /* the same in equal shares for threads, when one rank owns all */
  int *share;           /* [threads + 1]: where a thread's begin in `shared` */
  int *exact;           /* pieces that are ranges by themselves: cut by rows, or with sums */
  int exact_count;
  int *whole;        /* whole tensors of this rank, costliest first */
  int *whole_thread; /* which thread takes each */
  int whole_count;
  int *bounded; /* tensors whose elements have a least value */
  int bounded_count;
  double *piece_sums; /* [pieces][dots] */
  int dots;           /* room for so many inner products at once */
  double *packed;     /* of their exchange */
  int direction;      /* number of the vector of signs, when an update needs hvp diagonal; 0: none */
  char *workspace;    /* one per thread */
  size_t workspace_bytes;
  double (*report)[COHORT_MAX_REPORTS]; /* [groups] */
  cohort_random_key key, *tensor_key;   /* [tensors] */
  bool hvp_diagonal, hvp_diagonal_sampled;
  int64_t hvp_diagonal_every;
  cohort_recorder *recorder;       /* or NULL */
  double owned_bytes, whole_bytes; /* that one update of the owned pieces, of the others reads and writes */
  cohort_updater_counters counters;
};

/* What one step knows. */
typedef struct cohort_update_step {
  cohort_updater *updater;
  const cohort_oracle *oracle;
  cohort_step_report *report;
  int64_t step, steps, asked;
  double factor;
  void *rows; /* of the last ask */
  double losses[COHORT_MAX_OBJECTIVES];
  bool finite; /* of the first answer */
  double gradient_scale, loss;
  const char *gradient, *hvp_diagonal;
  char *target; /* what is moved: the weights, or a vector of a driver */
  bool decay;
  int pass;
} cohort_update_step;

static inline const cohort_kernel_set *cohort_update_products(const cohort_updater *updater) {
  return updater->options.products ? updater->options.products : updater->options.kernels;
}

/* sums.c: of the groups' updates, or of a driver's program. */
void cohort_update_sums_create(const cohort_updater *updater, const cohort_parameter_groups *groups,
                               cohort_update_sums *sums);
void cohort_update_sums_release(cohort_update_sums *sums);
void cohort_update_sums_clear(const cohort_updater *updater, cohort_update_sums *sums, int pass);
/* Where sum `i` of a group lies for a piece in the pass that makes it, or (a later pass) joined. */
double *cohort_update_sum_at(const cohort_updater *updater, const cohort_update_sums *sums, int group, int i, int piece,
                             int pass);
/* Exchanges the records of a pass and joins them along the tree. Collective. */
void cohort_update_sums_join(cohort_updater *updater, cohort_update_sums *sums, int pass);
/* Brings records of pieces, record p being values[at[p]] to values[at[p + 1]], from their owners to all. Collective. */
void cohort_update_share(cohort_updater *updater, const int64_t *at, int64_t each, double *values, double *packed);

/* work.c */
void cohort_update_list_work(cohort_updater *updater);
void cohort_update_release_work(cohort_updater *updater);

/* passes.c */
/* Norm, clip, finiteness, then the passes on this rank's shard of `target`; `travels`: its buckets are sent as they are
 * made. Nothing is moved before all ranks know the norm. */
void cohort_update_apply(cohort_update_step *step, int target, const void *gradient, const void *hvp_diagonal,
                         bool decay, bool travels, bool *applied);
void cohort_update_gather(const cohort_updater *updater, const cohort_vector *vector, int bucket);
void cohort_update_dots(cohort_updater *updater, int count, const void *const *a, const void *const *b, double *out);
void cohort_update_combine(const cohort_updater *updater, void *out, double alpha, const void *a, double beta,
                           const void *b);
/* Calls function(argument, updater, piece) for every piece updated here, on the team. */
typedef void cohort_piece_function(void *argument, const cohort_updater *updater, int piece);
void cohort_update_each(const cohort_updater *updater, cohort_piece_function *function, void *argument);

/* program.c */
void cohort_update_programs_create(cohort_updater *updater, cohort_update_node *node);
void cohort_update_programs_release(cohort_update_node *node);
/* Runs the passes of a driver's program number `number` over vectors. */
void cohort_update_run_program(cohort_update_step *step, cohort_update_node *node, int number, int count,
                               const int *vector, double *report);

/* driver.c */
extern const cohort_driver_functions cohort_update_driver_functions;
/* Takes the step of node `index`, or of the base past the last. */
cohort_status cohort_update_take(cohort_update_step *step, int index, bool *applied, cohort_error *error);
cohort_status cohort_update_ask(cohort_update_step *step, int index, const cohort_question *question,
                                cohort_answer *answer, cohort_error *error);
void cohort_update_commit(cohort_update_step *step);
void *cohort_update_vector_values(const cohort_updater *updater, int vector);

/* A vector's own pieces go to who computes with it. */
void cohort_update_bring(cohort_updater *updater, int vector);
/* Sends what has been moved of the weights. */
void cohort_update_bring_weights(cohort_updater *updater);

/* step.c: the oracle's answer where it lies; `gradient` NULL: not wanted. */
cohort_status cohort_update_ask_oracle(cohort_update_step *step, const cohort_question *question, cohort_answer *answer,
                                       void **gradient, void **product, cohort_error *error);

#endif
