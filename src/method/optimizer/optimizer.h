/* Family optimizer: updates and drivers. The update engine (src/update) alone calls them, for training, for clients and
 * servers of a federated run, for `probe` and for the contract tests.
 *
 * An update moves parameters by a gradient, range by range. A driver asks questions and leaves the moving to its base:
 * a transform answers for the gradient (sam, mars), a stepper takes the whole step (lookahead, a line search). Drivers
 * nest: `lookahead: {base: {sam: {base: {adamw: {}}}}}`.
 *
 * Intended usage, of an update:
 *   1. A table of parameters (learning_rate is one of every update; weight_decay of those that decay), one of states,
 *      and, where a step needs sums over tensors or the space, one of sums.
 *   2. `update`, a loop over the range. Learning rate and decay are taken from cohort_update: schedule, groups and the
 *      tensors that are not decayed are applied there. The true gradient is gradient_scale times what is given.
 *   3. With sums: `passes`. The engine goes over all ranges once a pass; what a pass has added to u->sum[i] stands
 *      there joined in the passes that follow, in `finish_tensor` and in `finish`.
 * The file is numeric: it includes "method/optimizer/optimizer_real.h" and is compiled per type and instruction set.
 *
 * Intended usage, of a driver: a table of vectors, what it asks (`wants`, `asks`), and `gradient` or `drive` in terms
 * of the functions of cohort_driver. Every rank calls them in the same order. Whether answers are finite is judged by
 * the engine; a step with one that is not changes neither weights nor kept vectors. */
#ifndef COHORT_METHOD_OPTIMIZER_OPTIMIZER_H
#define COHORT_METHOD_OPTIMIZER_OPTIMIZER_H

#include "base/random.h"
#include "base/team.h"
#include "kernel/kernel.h"
#include "method/method.h"

/* What an optimizer may need of the run. */
enum {
  COHORT_NEEDS_HVP_DIAGONAL = 1 << 0, /* z * (H z), z Rademacher: exact products; or squares at drawn labels */
  COHORT_NEEDS_MATRICES = 1 << 1,     /* serves tensors of two or more axes only */
};

/* Rows that tables of parameters share. `config` is the method's struct, whose fields have the rows' names; a table of
 * Adam's kin begins with two of them: {COHORT_LEARNING_RATE(...), COHORT_MOMENTS(...), its own rows, {.name = NULL}}.
 */
/* clang-format off */
#define COHORT_LEARNING_RATE(config, default_text, low, high, text)                                                    \
  COHORT_REAL_ATLEAST(config, learning_rate, default_text, 0, text, .sweep_low = low, .sweep_high = high,              \
                      .sweep_log = true)
#define COHORT_DECOUPLED_DECAY(config, default_text, ...)                                                              \
  COHORT_REAL_ATLEAST(config, weight_decay, default_text, 0, "decoupled decay, multiplied by the learning rate",       \
                      __VA_ARGS__)
#define COHORT_MOMENTS(config, beta1_text, beta2_text, epsilon_text)                                                   \
  COHORT_REAL_UNIT(config, beta1, beta1_text, "decay of the gradient's average"),                                      \
  COHORT_REAL_UNIT(config, beta2, beta2_text, "decay of the squared gradient's average"),                              \
  COHORT_REAL_ABOVE(config, epsilon, epsilon_text, 0, "added to the root in the denominator")
/* clang-format on */

enum { COHORT_MAX_SUMS = 8, COHORT_MAX_REPORTS = 4, COHORT_MAX_PASSES = 4 };

/* A float64 that a pass leaves of every range, joined along the tree of pieces, so that no bit depends on ranks. The
 * table ends with a name of NULL. */
typedef struct cohort_pass_sum {
  const char *name;
  int pass;          /* the pass that makes it, from 0; never the last */
  cohort_owner over; /* COHORT_OWNER_TENSOR, _SPACE (all tensors of the group), or _COLUMN: one of each column */
  bool largest;      /* the maximum instead of the sum */
} cohort_pass_sum;

/* One range of one tensor: elements of a piece (cut element; any number of neighbours where there are no sums), whole
 * rows, or the whole tensor. All pointers are real * of the variant unless the state's type says otherwise. */
typedef struct cohort_update {
  const void *config;
  int64_t step; /* this step's number, from 1 */
  double learning_rate, weight_decay;
  double gradient_scale;   /* from clipping: the true gradient is gradient_scale * gradient */
  double loss;             /* of the step's first answer, all objectives together; NAN where nobody knows it */
  cohort_random_key key;   /* of draws for this tensor; element e draws with (key, step, e) */
  cohort_shape shape;      /* of the tensor */
  int64_t first, elements; /* the range inside the tensor */
  int pass;                /* from 0 */
  void *parameters;
  const void *gradient;
  /* COHORT_NEEDS_HVP_DIAGONAL: z * (H z), or that of drawn labels; NULL in steps that did not ask for it. */
  const void *hvp_diagonal;
  /* In the order of the descriptor. Element and row states at the range; others at their start, and only read by an
   * update that is not cut by tensors: finish_tensor and finish write them. */
  void *state[COHORT_MAX_STATES];
  double *sum[COHORT_MAX_SUMS];      /* in the order of the table: [1], or [columns] */
  double *report;                    /* [COHORT_MAX_REPORTS]: written in finish; columns of metrics.csv */
  void *workspace;                   /* workspace(config, shape) elements of real */
  const cohort_kernel_set *kernels;  /* of the type */
  const cohort_kernel_set *products; /* the run's: a run in bf16 multiplies in bf16 here too */
  const cohort_team *team;
} cohort_update;

/* Vectors are numbers: the weights, those that a driver has declared (driver->first, + 1, ... in the order of its
 * table), and those that it is handed. */
enum { COHORT_VECTOR_WEIGHTS = 0, COHORT_VECTOR_NONE = -1, COHORT_MAX_DRIVER_VECTORS = 64 };

/* A driver's vector, laid out like the weights and sharded like state; kept ones are saved. The table ends with a name
 * of NULL. */
typedef struct cohort_driver_vector {
  const char *name;
  bool kept;                            /* saved and resumed; else of one step alone */
  bool from_weights;                    /* begins as the weights; else zero */
  bool asked;                           /* questions are asked at it or along it: then every rank holds it whole */
  int64_t (*count)(const void *config); /* so many of them, one after another; NULL: one */
  const char *meaning;
} cohort_driver_vector;

/* What may be asked; descriptors declare it, so that plans and memory are made for that alone. */
enum {
  COHORT_WANTS_GRADIENT = 1 << 0,
  /* Losses without a gradient: a forward pass. They are compared, so all losses of a run that wants them are sums in
   * float64 over the rows of a lane, as they are over lanes: what is left is the rounding of a row's own loss. */
  COHORT_WANTS_LOSS = 1 << 1,
  COHORT_WANTS_PRODUCT = 1 << 2, /* the Hessian of the sum of the objectives times a direction */
  COHORT_WANTS_CLIPPED = 1 << 3, /* the mean of the samples' gradients, each scaled to a norm of at most `clip` */
  COHORT_WANTS_EACH = 1 << 4,    /* the gradient of an objective alone: each has a backward pass of its own then */
  /* Of losses that are negative log likelihoods (method/loss/loss.h), all objectives together: */
  COHORT_WANTS_LABELS = 1 << 5,     /* the gradient at labels drawn from the model's own distribution */
  COHORT_WANTS_FISHER = 1 << 6,     /* Fisher's matrix of the outputs' distribution times a direction */
  COHORT_WANTS_DIVERGENCE = 1 << 7, /* of that distribution at a point from that at the weights */
};

/* About the step's own batch, with its draws (dropout, augmentation). */
typedef struct cohort_question {
  int point;     /* where: COHORT_VECTOR_WEIGHTS or another vector */
  int objective; /* 0: all, aggregated; i: the i-th alone, from 1 (COHORT_WANTS_EACH) */
  int gradient;  /* vector that receives the gradient, or COHORT_VECTOR_NONE */
  int direction; /* with `product`, which receives the Hessian times it, or COHORT_VECTOR_NONE */
  int product;
  double clip;     /* above 0: COHORT_WANTS_CLIPPED */
  bool labels;     /* the gradient is at drawn labels: COHORT_WANTS_LABELS; the losses are too, and nothing is kept */
  bool fisher;     /* the product is with Fisher's matrix: COHORT_WANTS_FISHER; the losses are without a meaning */
  bool divergence; /* the answer has it: COHORT_WANTS_DIVERGENCE */
} cohort_question;
static inline cohort_question cohort_ask_loss(int point) {
  return (cohort_question){
      .point = point, .gradient = COHORT_VECTOR_NONE, .direction = COHORT_VECTOR_NONE, .product = COHORT_VECTOR_NONE};
}
static inline cohort_question cohort_ask_gradient(int point, int gradient) {
  return (cohort_question){
      .point = point, .gradient = gradient, .direction = COHORT_VECTOR_NONE, .product = COHORT_VECTOR_NONE};
}

typedef struct cohort_answer {
  double loss;       /* mean over the batch, all objectives together */
  int64_t samples;   /* of the batch; where a sampler draws it, on average */
  double noise;      /* multiplier of the noise that a budget of privacy asks for; 0: there is none */
  double divergence; /* the mean over the batch of KL(outputs at the weights, outputs at the point), as evaluated */
  bool finite;       /* the losses are, and the divergence; of gradients the norm tells */
} cohort_answer;

typedef enum {
  COHORT_MAP_PRODUCT,  /* a * b */
  COHORT_MAP_QUOTIENT, /* a / (b + number) */
  COHORT_MAP_ROOT,     /* sqrt(a) */
  COHORT_MAP_SIGN,     /* sign of a: -1, 0, 1 */
  COHORT_MAP_SELECT,   /* b > 0 ? a : 0 */
  COHORT_MAP_CLAMP,    /* a between -number and number */
  COHORT_MAP_ABSOLUTE, /* |a| */
} cohort_map;
typedef enum {
  COHORT_FILL_NORMAL,
  COHORT_FILL_RADEMACHER,
  COHORT_FILL_VALUE, /* `number` everywhere */
  COHORT_FILL_UNIT,  /* 1 at parameter number `number`, counted over the tensors; 0 elsewhere */
} cohort_fill;

struct cohort_driver;
typedef struct cohort_optimizer cohort_optimizer;

/* What a driver may do; collective. A function that cannot go on returns a status, which the driver passes up. */
typedef struct cohort_driver_functions {
  /* Answers at a point. With a gradient, the transforms around this driver answer. */
  cohort_status (*ask)(struct cohort_driver *driver, const cohort_question *question, cohort_answer *answer,
                       cohort_error *error);
  /* The base takes its step at the weights, with the gradient that it asks for. *applied false: something was not
   * finite and nothing has changed; the driver returns at once. */
  cohort_status (*step)(struct cohort_driver *driver, bool *applied, cohort_error *error);
  /* The base's update moves `target` by `gradient`, with decay (groups' roles hold) or without. */
  cohort_status (*update)(struct cohort_driver *driver, int target, int gradient, bool decay, bool *applied,
                          cohort_error *error);
  /* target -= learning rate * decay * source, tensor by tensor as the base's groups decay. */
  void (*decay)(struct cohort_driver *driver, int target, int source);
  /* The weights become `vector`, unless that is not finite: *applied. The only other way to move them. */
  void (*move)(struct cohort_driver *driver, int vector, bool *applied);
  /* out[i] = <a[i], b[i]>, in float64, all in one exchange. */
  void (*dots)(struct cohort_driver *driver, int count, const int *a, const int *b, double *out);
  void (*copy)(struct cohort_driver *driver, int out, int from);
  /* out = alpha a + beta b */
  void (*combine)(struct cohort_driver *driver, int out, double alpha, int a, double beta, int b);
  void (*map)(struct cohort_driver *driver, cohort_map map, int out, int a, int b, double number);
  /* Draws keyed by (the driver's key, `name`, the step, number, element), or as they were given to a probe under that
   * name; or values (name NULL). */
  void (*fill)(struct cohort_driver *driver, cohort_fill fill, int out, const char *name, double number);
  /* Parameter of the base by name; of the last group. */
  double (*base_real)(const struct cohort_driver *driver, const char *name, double otherwise);
  int64_t (*parameters)(const struct cohort_driver *driver); /* how many are trained */
  /* Runs the passes of one of the driver's programs over ranges of vectors: u->state[i] is vector[i], u->config the
   * driver's. `report` receives what finish writes. */
  void (*run)(struct cohort_driver *driver, int program, int count, const int *vector, double *report);
} cohort_driver_functions;

typedef struct cohort_driver {
  const void *config;
  int64_t step;
  double learning_rate; /* the driver's own parameter, else the base's of the last group; scheduled */
  int first;            /* of its declared vectors */
  /* Its states, of owner space: float64 [size], kept. A transform writes them in commit alone. */
  double *state[COHORT_MAX_STATES];
  double *report; /* [COHORT_MAX_REPORTS] */
  const cohort_driver_functions *call;
  void *implementation;
} cohort_driver;

struct cohort_optimizer {
  /* An update. */
  void (*update)(const cohort_update *update);
  int passes;                  /* 0: one */
  const cohort_pass_sum *sums; /* NULL: none */
  /* After the sums of a pass, once for each tensor, on every rank that has its states of owner column or tensor: writes
   * those. u->elements is 0. */
  void (*finish_tensor)(const cohort_update *update);
  /* After that, once for the group on every rank: writes states of owner space, and reports. */
  void (*finish)(const cohort_update *update);
  /* Where the cut follows settings or shape; NULL: the descriptor's. Drivers have none. */
  cohort_cut (*cut)(const void *config, cohort_shape shape);
  int64_t (*workspace)(const void *config, cohort_shape shape); /* elements of real; NULL: none */
  double (*cost)(const void *config, cohort_shape shape);       /* FLOPs, to deal whole tensors; NULL: elements */
  int64_t (*hvp_diagonal_every)(const void *config); /* COHORT_NEEDS_HVP_DIAGONAL: in steps 1, 1 + k, ...; NULL: all */
  /* Whether it is, instead of z * (H z), the number of labels times the square of the gradient of the mean loss at
   * labels drawn from the model's own distribution; NULL: it never is. */
  bool (*hvp_diagonal_sampled)(const void *config);
  /* A driver has one of these two. `base` is a METHOD parameter of family optimizer; a stepper may have none. */
  /* Transform: the gradient at a point, into question->gradient. Vectors that are kept, and states, change in `commit`
   * alone, which is called once a step, when it was applied. Its first answer of a step is on the step's own batch. */
  cohort_status (*gradient)(cohort_driver *driver, const cohort_question *question, cohort_answer *answer,
                            cohort_error *error);
  void (*commit)(cohort_driver *driver);
  /* Stepper: the whole step. */
  cohort_status (*drive)(cohort_driver *driver, bool *applied, cohort_error *error);
  const cohort_driver_vector *vectors;
  /* Passes of its own over vectors: update, passes, sums and finish of each; cut by elements. NULL-ended; NULL: none.
   */
  const cohort_optimizer *const *programs;
  /* Vector of the table, from 1, that evaluation, generation and init_from take instead of the weights; 0: none. */
  int evaluated;
  unsigned wants;                      /* COHORT_WANTS_... */
  int64_t (*asks)(const void *config); /* gradients a step at most, for the estimate; NULL: one */
  /* Both. */
  const char *const *reports; /* names of columns "optimizer/NAME", NULL-ended; NULL: none */
};
static inline bool cohort_optimizer_drives(const cohort_optimizer *optimizer) { return !optimizer->update; }

#endif
