/* Family loss: losses of rows, as graphs over named fields.
 *
 * A lane has R rows: what a head of the model gives for each sample, or for each view of one. A method reads the fields
 * that every method has and those that its descriptor's `needs` name; the others are COHORT_NO_VALUE. Where they come
 * from it does not know: a task, a file of `probe`.
 *
 *   rows        a loss of each row [R]; whoever fills the fields weighs, sums and divides them by an integer count
 *   a batch     COHORT_LOSS_BATCH: one number, the mean over the batch, from sums over all lanes
 *   state       the descriptor's `states` (owner space): numbers kept from step to step. fields->state[i] holds them as
 *               the step finds them, outputs->next[i] what they become: the same in every lane. They change once a
 *               step, from the first answer on the step's own batch, and only if the step is applied
 *   parameters  of its own: trained beside the model's, with their sign and bound
 *   the model   COHORT_LOSS_MODEL: cohort_loss_forward asks it again, at other features
 *
 * What couples the rows of a batch goes through operations across lanes (cohort_loss_batch_sum, cohort_graph_lane_...):
 * the batch is cut into lanes, and a lane sees its own rows alone. An empty place has weight 0 and a finite loss.
 *
 * To add a method: copy mse.c (rows), anyloss.c (a batch) or groupdro.c (state), fill the descriptor, write `build`. */
#ifndef COHORT_METHOD_LOSS_LOSS_H
#define COHORT_METHOD_LOSS_LOSS_H

#include "graph/graph.h"
#include "method/method.h"

typedef enum {
  COHORT_TARGET_CLASS,  /* integer [R], negative: ignored, its loss is 0; the outputs are logits */
  COHORT_TARGET_REAL,   /* real [R, C], as the outputs */
  COHORT_TARGET_SAMPLE, /* integer [R]: rows of one number are views of one sample; the outputs are embeddings */
} cohort_target;

/* What a loss of this family may need. */
enum {
  COHORT_LOSS_GROUPS = 1 << 0,  /* the group of every row; the method has a parameter `groups` */
  COHORT_LOSS_MODEL = 1 << 1,   /* the features, and the model again */
  COHORT_LOSS_COUPLED = 1 << 2, /* a row's loss depends on other rows of the batch */
  COHORT_LOSS_BATCH = 1 << 3,   /* gives one loss for the batch; with COUPLED */
  COHORT_LOSS_BINARY = 1 << 4,  /* two classes */
};

enum { COHORT_MAX_LOSS_PARAMETERS = 4 };

/* A parameter of the loss's own: a number. */
typedef struct cohort_loss_parameter {
  const char *name; /* NULL ends the list */
  double initial;
  bool ascends; /* it is to make the loss larger */
  bool bounded; /* it stays at least `minimum` */
  double minimum;
  const char *meaning;
} cohort_loss_parameter;

/* How the model is asked again and random numbers are drawn; `argument` is its maker's. */
typedef struct cohort_loss_model {
  void *argument;
  cohort_value (*forward)(void *argument, cohort_graph *graph, cohort_value features);
  cohort_value (*draw)(void *argument, cohort_graph *graph, const char *name, cohort_shape shape);
  /* Values of `op`, COHORT_OP_RANDOM_UNIFORM or _NORMAL; NULL: nobody asks for labels. */
  cohort_value (*random)(void *argument, cohort_graph *graph, cohort_op op, const char *name, cohort_shape shape);
} cohort_loss_model;

typedef struct cohort_loss_fields {
  int64_t rows;          /* R */
  bool training;         /* false: evaluation, in which what is kept stays as it is */
  cohort_value output;   /* real [R, C] */
  cohort_value target;   /* as the method says; negative in an empty place */
  cohort_value weight;   /* [R]: 1, or 1 / views; 0: an empty place */
  cohort_value group;    /* integer [R], GROUPS: below `groups` */
  cohort_value counts;   /* [groups], GROUPS: the training samples of each */
  cohort_value features; /* real [R, ...], MODEL: what the outputs are of */
  cohort_value state[COHORT_MAX_STATES];
  cohort_value parameter[COHORT_MAX_LOSS_PARAMETERS]; /* scalars */
  cohort_value lane; /* scalar, COUPLED: the lane's number; the batch's rows are those of lane 0, 1 ... */
  const cohort_loss_model *model;
} cohort_loss_fields;

typedef struct cohort_loss_outputs {
  cohort_value loss;                    /* [R]; BATCH: a scalar, the same in every lane */
  cohort_value next[COHORT_MAX_STATES]; /* of the shape of each state */
} cohort_loss_outputs;

typedef struct cohort_loss {
  cohort_target target;
  cohort_loss_outputs (*build)(const void *config, cohort_graph *graph, const cohort_loss_fields *fields);
  /* The losses of rows [R] over the vocabulary head's outputs, so that no logits are kept; NULL: the task makes logits
   * and calls build. */
  cohort_value (*build_head)(const void *config, cohort_graph *graph, const cohort_head_outputs *head,
                             cohort_value target);
  const cohort_loss_parameter *parameters; /* of its own; NULL: none */
  /* Of a loss that is the negative log likelihood of a distribution, up to a constant; NULL: optimizers that ask about
   * it are refused. Targets drawn from the distribution that the outputs describe, of the kind and shape of
   * fields->target, by cohort_loss_random. */
  cohort_value (*sample)(const void *config, cohort_graph *graph, const cohort_loss_fields *fields);
  /* [R]: the Kullback-Leibler divergence of the outputs' distribution from that of `before`, the mean of
   * log(p_before / p_output) under p_before. */
  cohort_value (*divergence)(const void *config, cohort_graph *graph, cohort_value output, cohort_value before);
} cohort_loss;

/* For methods. */
/* The sum of x * weight over the rows of the batch, of all lanes: x [R] -> scalar, x [R, k] -> [1, k]. */
cohort_value cohort_loss_batch_sum(cohort_graph *graph, const cohort_loss_fields *fields, cohort_value x);
/* Two classes: sigmoid(z_1 - z_0), [R]. */
cohort_value cohort_loss_positive(cohort_graph *graph, const cohort_loss_fields *fields);
/* [R]: 1 where the row is of class 1, else 0. */
cohort_value cohort_loss_is_positive(cohort_graph *graph, const cohort_loss_fields *fields);
/* The outputs at other features, of the same parameters. */
cohort_value cohort_loss_forward(cohort_graph *graph, const cohort_loss_fields *fields, cohort_value features);
/* Uniform in [-1, 1], by (name, sample, element). */
cohort_value cohort_loss_draw(cohort_graph *graph, const cohort_loss_fields *fields, const char *name,
                              cohort_shape shape);
/* COHORT_OP_RANDOM_UNIFORM or _NORMAL, by (name, sample, element). */
cohort_value cohort_loss_random(cohort_graph *graph, const cohort_loss_fields *fields, cohort_op op, const char *name,
                                cohort_shape shape);

/* For those who fill the fields: training, `probe` and tests. */
/* All fields COHORT_NO_VALUE. */
cohort_loss_fields cohort_loss_no_fields(int64_t rows);
/* The loss of a method without needs: [R]. */
cohort_value cohort_loss_rows(const cohort_method *method, const void *config, cohort_graph *graph, cohort_value output,
                              cohort_value target);
/* Declares what the method keeps, under the scope, into fields->state. */
void cohort_loss_declare_states(const cohort_method *method, const void *config, cohort_graph *graph,
                                cohort_loss_fields *fields);
/* Builds the loss, sets what its states become; the lane's part of the objective, a scalar, to be divided by the
 * batch's count. `outputs` may be NULL. */
cohort_value cohort_loss_objective(const cohort_method *method, const void *config, cohort_graph *graph,
                                   const cohort_loss_fields *fields, cohort_loss_outputs *outputs);
/* What an optimizer may ask beside the objective, each the lane's part, a scalar. Rows without a target count for
 * nothing. The loss at targets drawn from the model: */
cohort_value cohort_loss_sampled(const cohort_method *method, const void *config, cohort_graph *graph,
                                 const cohort_loss_fields *fields);
/* The divergence of the outputs from `before`; COHORT_NO_VALUE: from themselves, so that its Hessian is Fisher's
 * matrix. */
cohort_value cohort_loss_divergence(const cohort_method *method, const void *config, cohort_graph *graph,
                                    const cohort_loss_fields *fields, cohort_value before);
/* The number of groups that a method with COHORT_LOSS_GROUPS is for. */
int64_t cohort_loss_groups(const cohort_method *method, const void *config);

#endif
