/* A task: what the samples are, the graph from their inputs to the objectives, and how a lane is fed.
 *
 * The run owns spaces, plans, lanes and optimizers; a task knows data and graphs, never a rank. Positions are numbers
 * of the stream of training samples (position / samples is the epoch) or of an evaluation split; each lane has room for
 * `capacity` of them, of which the first `count` are real. */
#ifndef COHORT_TRAIN_TASK_TASK_H
#define COHORT_TRAIN_TASK_TASK_H

#include "base/log.h"
#include "base/random.h"
#include "base/team.h"
#include "graph/graph.h"
#include "lane/engine.h"
#include "lane/source.h"
#include "method/aggregator/aggregator.h"
#include "method/loss/loss.h"
#include "method/model/model.h"
#include "method/partition/partition.h"
#include "method/registry.h"
#include "state/row_table.h"
#include "train/player/spaces.h"
#include "train/run/settings.h"

const char *cohort_split_name(cohort_split split);

/* What a task makes use of; keys of a config that it has no use for are refused. */
enum {
  COHORT_TASK_MODEL = 1 << 0,   /* trains a model; else a step is a block of items (cohort_task_functions.item) */
  COHORT_TASK_LOSS = 1 << 1,    /* by `loss` or `losses` */
  COHORT_TASK_SAMPLES = 1 << 2, /* data.train and data.validation */
  COHORT_TASK_TEXT = 1 << 3,    /* data.text */
  COHORT_TASK_TOKENS = 1 << 4,  /* data.tokenizer */
  COHORT_TASK_SPLITS = 1 << 5,  /* evaluates on data that are held back */
};

enum { COHORT_MAX_TASK_TABLES = 4 };

/* What a loss reads, by name: a head of the model and an array of the data. */
typedef struct cohort_loss_names {
  const char *head, *target; /* NULL: the first head; y */
  int64_t outputs;           /* width of the head; 0: the target's */
} cohort_loss_names;

typedef struct cohort_task {
  const struct cohort_task_functions *functions;
  const cohort_settings *settings;
  cohort_model_data model_data;
  cohort_choice model, loss[COHORT_MAX_OBJECTIVES], preference;
  cohort_loss_names names[COHORT_MAX_OBJECTIVES]; /* of each loss */
  int objectives;
  int spaces;
  cohort_declared_space space[COHORT_MAX_SPACES]; /* the first is trained */
  int model_space, reference, teacher;            /* numbers; reference, teacher -1: there is none */
  cohort_adapter adapter;                         /* with `lora` */
  int64_t samples[COHORT_SPLITS];                 /* in each split; 0: there is none */
  cohort_comm *comm;                              /* of the run: for tables of the task's own */
  int64_t tokens_per_sample;                      /* 0: samples are not tokens */
  int teacher_metrics;                            /* of `metrics`, the last ones */
  int metrics;
  const char *metric[COHORT_MAX_METRICS]; /* names of the method columns */
  uint64_t digest;
  cohort_random_key key; /* of sampler and augmentation */
  const int64_t *drawn;  /* samples at the positions from drawn_first on, instead of an epoch's; NULL: an epoch's */
  int64_t drawn_first;
  int tables; /* the task's own, saved and resumed with the run */
  cohort_row_table *rows[COHORT_MAX_TASK_TABLES];
  /* Of every sample, what a scoring pass says of it before the first step: one of `rows`, with one column of
   * score_columns floats; NULL: nothing is scored. */
  cohort_row_table *scores;
  int64_t score_columns;
  /* Those of the batch that lanes run: of this rank's positions [scored_first, scored_last) of a split. */
  float *scored;
  int64_t scored_first, scored_last;
  cohort_split scored_split;
  const cohort_choice *mover; /* the strategy that moves inputs (method/federated/federated.h: move); NULL: none */
  void *own;                  /* the task's data */
  cohort_lane_source source;  /* of its graph and samples, as lanes ask for them */
} cohort_task;

/* The split that is evaluated on the way and by which the best step is judged: validation, else test. */
cohort_split cohort_task_evaluated_split(const cohort_task *task);

/* What a run lends a task between steps, for the time of one call. All functions are collective. */
typedef struct cohort_task_stage {
  cohort_comm *comm;
  const cohort_log *log;
  cohort_lane_engine *engine; /* to run lane work of the task's own on */
  int lanes;
  cohort_isa isa;                   /* of the run's kernels */
  const cohort_kernel_set *kernels; /* the run's: the same on every rank */
  int64_t first, samples;           /* positions of the batch of the step that comes */
  const _Atomic int *stop;          /* not 0: lane work shall be left; or NULL */
  void *run;
  /* A space with the weights as they are, whole on this rank; its vector stays where it is from call to call. */
  cohort_status (*weights)(void *run, int number, const cohort_space **out, cohort_error *error);
  /* A scoring pass over the coming batch by the graph that is not for training. Of every lane the row that leaves it
   * (cohort_lane_outputs.row) is left in *rows: [lanes][*elements], on all ranks; owned by the caller. */
  cohort_status (*score)(void *run, float **rows, int64_t *elements, cohort_error *error);
} cohort_task_stage;

/* NULL where a function is not said to be of every task: it has no use for it. */
typedef struct cohort_task_functions {
  const char *name;
  const char *noun;           /* what a batch is of: "samples", "pairs" */
  unsigned uses;              /* COHORT_TASK_... */
  const char *const *players; /* names of those it may have beside the model's, NULL-ended; NULL: none */
  size_t settings_size;       /* of the struct that its own keys fill (train/task/registry.h) */
  /* Of every task. Loads the data; faults of the config go to `faults`, of the data to `error`. */
  cohort_status (*open)(cohort_task *task, const cohort_log *log, cohort_faults *faults, cohort_error *error);
  void (*close)(cohort_task *task);
  /* Of tasks with a model: the graph for one lane of `capacity` samples. The inputs it declares stand in the order in
   * which feed fills. */
  cohort_lane_outputs (*build)(const cohort_task *task, cohort_graph *graph, int64_t capacity, bool training);
  void (*feed)(const cohort_task *task, cohort_feed *feed);
  /* The same of another subject (lane/source.h); `before`: the task as placed in the space that a divergence is from.
   * NULL: it answers no such questions. */
  cohort_lane_outputs (*build_subject)(const cohort_task *task, cohort_graph *graph, int64_t capacity,
                                       cohort_lane_subject subject, const cohort_task *before);
  /* Of tasks without: item number `position`, a piece of work that is a function of its number alone. Adds its
   * 1 + metrics numbers (the loss comes first) to sums. On any thread. */
  void (*item)(const cohort_task *task, int64_t position, double *sums);
  /* Before a step, on all ranks: makes what its batch needs (rollouts, labels). COHORT_STOPPED: was left, and is asked
   * again. */
  cohort_status (*prepare)(cohort_task *task, const cohort_task_stage *stage, cohort_error *error);
  /* Memory of a rank that `prepare` takes beside the run's, with `executors` of so many threads. */
  double (*bytes)(const cohort_task *task, int lanes, cohort_isa isa, int executors, int threads);
  /* After a step that was done to its end, on all ranks. */
  void (*commit)(cohort_task *task, bool applied);
  /* Of tasks with scores: the id of the sample that stands at a position. */
  int64_t (*row)(const cohort_task *task, cohort_split split, int64_t position);
  /* Of every task: the integer that divides the sums of `samples` samples of a split: samples, tokens or pairs. */
  int64_t (*count)(const cohort_task *task, cohort_split split, int64_t samples);
  /* From sums over a split (or batch) to metrics.csv's columns; NULL: sum / count. */
  void (*derive)(const cohort_task *task, cohort_split split, int64_t count, const double *sums, double loss,
                 double *columns);
} cohort_task_functions;

/* Before the first step a scoring pass makes `columns` floats of every sample: what leaves the lanes of the graph that
 * is not for training (cohort_lane_outputs.row). Before the graph is built. */
void cohort_task_add_scores(cohort_task *task, int64_t columns);
/* What is stored of the sample at a position of the batch that is fed; NULL when nothing was fetched for it. */
const float *cohort_task_scores(const cohort_task *task, cohort_split split, int64_t position);

/* Adds a column of metrics.csv in its place in the alphabet; source[metric] says where the task has it from, and moves
 * along. `name` stays the caller's. */
void cohort_task_add_metric(cohort_task *task, int *source, const char *name, int from);

/* Adds a space; returns its number, with which the task's graph declares its tensors. `of`: of which it is a copy at
 * the start, or -1. Before the graph is built. */
int cohort_task_add_space(cohort_task *task, const char *name, cohort_space_rule rule, int of);

/* The number of the space of a further player (`players`) that the config names, or -1. */
int cohort_task_player(const cohort_task *task, const char *name);
/* Where the trained model's tensors are: sets space and adapter of a model's inputs. */
void cohort_task_place_model(const cohort_task *task, cohort_model_inputs *inputs);
/* Whether a prompt is read once for its completions (`prompts`). The data are known. */
bool cohort_task_shares_prompts(const cohort_task *task);
/* What the frozen reference is: the model as it begins, of which nothing is stored twice where adapters are trained.
 * Before the graph is built. */
void cohort_task_add_reference(cohort_task *task);

/* The graph with what belongs to the teacher, if there is one (teacher.c), and its columns. */
void cohort_task_list_teacher(cohort_task *task);
cohort_lane_outputs cohort_task_build(const cohort_task *task, cohort_graph *graph, int64_t capacity, bool training);
/* The task as it would be with its trained tensors in another space. */
cohort_task cohort_task_moved(const cohort_task *task, int space);
/* Whether it can be asked about a subject; `fault`, if not NULL, receives the method that cannot. */
bool cohort_task_answers(const cohort_task *task, cohort_lane_subject subject, const char **fault);
/* One of its losses as a subject wants it, a scalar of the lane; `before` is of its outputs, or COHORT_NO_VALUE. */
cohort_value cohort_task_subject(const cohort_choice *loss, cohort_graph *graph, cohort_lane_subject subject,
                                 const cohort_loss_fields *fields, cohort_value before);
void cohort_task_derive(const cohort_task *task, cohort_split split, int64_t count, const double *sums, double loss,
                        double *columns);
/* The squared distance of class probabilities, a mean over classes, of each row; `other` is a constant. (Tarvainen and
 * Valpola, Mean teachers are better role models, NeurIPS 2017, with its code's scale.) */
cohort_value cohort_task_consistency(cohort_graph *graph, cohort_value logits, cohort_value other);

/* Classes of the training samples of a supervised task, or NULL. */
const int32_t *cohort_supervised_labels(const cohort_task *task);
/* How many classes y has; 0: none, or of another task. */
int64_t cohort_supervised_classes(const cohort_task *task);

/* What the partition of a federated run deals by, of this kind: the name of a column, a pattern (its `origin`,
 * method/partition/partition.h); NULL: it deals by something else, or the run is not federated. */
const char *cohort_task_partition_origin(const cohort_settings *settings, cohort_partition_by by);
/* Whether a federated run's population draws its samples, so that no data are read. */
bool cohort_task_partition_draws(const cohort_settings *settings);

extern const cohort_task_functions cohort_task_supervised, cohort_task_language, cohort_task_sft,
    cohort_task_preference, cohort_task_policy;

/* Reads the task's methods from the settings and loads its data. */
cohort_status cohort_task_open(const cohort_settings *settings, cohort_comm *comm, const cohort_log *log,
                               cohort_faults *faults, cohort_task *out, cohort_error *error);
void cohort_task_close(cohort_task *task);

/* The sample at a position of the stream of training samples: epoch permutations one after another, computed, never
 * stored. */
int64_t cohort_task_sample(const cohort_task *task, int64_t position);
/* Those at `count` positions, in less time. */
void cohort_task_samples(const cohort_task *task, int64_t count, const int64_t *position, int32_t *sample);

#endif
