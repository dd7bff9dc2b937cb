/* The settings of a run: what `cohort train` accepts, as tables. */
#ifndef COHORT_TRAIN_RUN_SETTINGS_H
#define COHORT_TRAIN_RUN_SETTINGS_H

#include "base/parameter.h"
#include "io/run_directory.h"
#include "method/registry.h"
#include "state/shards.h"
#include "train/player/adapter.h"
#include "train/secure/secure.h"

/* Who holds a copy of what is spread: all ranks together hold one, or those of every host do. */
typedef enum { COHORT_REPLICATE_NONE, COHORT_REPLICATE_HOSTS } cohort_replicate;
/* How lanes run whose values cross: together, or one after another, from the start again for every exchange. */
typedef enum { COHORT_COUPLING_TOGETHER, COHORT_COUPLING_RECOMPUTE } cohort_coupling;
typedef enum { COHORT_NAN_STOP, COHORT_NAN_SKIP } cohort_nan_policy;

typedef struct cohort_data_settings {
  const char *train_images, *train_labels, *test_images, *test_labels; /* IDX */
  const char *train, *validation;                                      /* HDF5 or .npz, or JSONL pairs */
  int layout;                                                          /* cohort_layout, of images in these */
  const char *text, *tokenizer;
  const cohort_document *mix;            /* several files in the place of train, with weights */
  const char *chat, *date;               /* template of conversations, or NULL; what it gets as the date */
  int end, truncation;                   /* cohort_token_end, cohort_token_truncation */
  int scored;                            /* cohort_sft_scored */
  int64_t max_length, max_prompt_length; /* 0: any */
  const char *lines;                     /* preference: pairs are made from the lines of a text */
  int64_t pairs;
  double validation_share;
  int64_t crop, views;
  bool flip;
  const char *group;             /* supervised: the column that says whose a sample is */
  const cohort_document *inputs; /* supervised: columns that the model reads beside x */
} cohort_data_settings;

typedef struct cohort_evaluate_settings {
  int64_t every;
  int64_t stride; /* language: new tokens scored per window; 0: the whole window */
  int64_t samples;
  const char *prompt;
} cohort_evaluate_settings;

/* Of the clients of a federation (train/engine/client_evaluation.h). */
typedef struct cohort_client_evaluation_settings {
  int64_t every, clients;
} cohort_client_evaluation_settings;

typedef struct cohort_checkpoint_settings {
  int64_t every, keep;
} cohort_checkpoint_settings;

/* The simulated clock of a federation (train/engine/clock.h). */
typedef struct cohort_clock_settings {
  double compute, compute_spread, link, link_spread;
  const char *trace;
  double available, period, dropout, straggler, slowdown, deadline, pause;
} cohort_clock_settings;
extern const cohort_parameter cohort_clock_table[];

typedef struct cohort_federated_settings {
  const cohort_document *sampler, *clock, *asynchronous; /* clock, asynchronous: NULL when there is none */
  cohort_clock_settings clock_settings;
  double holdout;
  const cohort_document *evaluate_clients;
  cohort_client_evaluation_settings evaluate_clients_settings;
  const cohort_document *strategy, *population;
  int64_t clients_per_round, local_steps, local_epochs, local_batch;
  const cohort_document *client, *client_schedule, *client_groups;
  double client_clip;
  const cohort_document *privacy; /* a mechanism; null: none */
  const cohort_document *robust, *attack;
  const cohort_document *secure; /* NULL: the server sees the changes */
  cohort_secure_settings secure_settings;
} cohort_federated_settings;

/* The account of a run that is not federated (train/engine/sampled.h). */
typedef struct cohort_private_budget {
  double epsilon;
  int64_t steps;
} cohort_private_budget;
typedef struct cohort_private_settings {
  double delta;
  int accountant;                /* COHORT_ACCOUNTANT_... */
  const cohort_document *budget; /* NULL: none */
  cohort_private_budget budget_settings;
} cohort_private_settings;
enum { COHORT_ACCOUNTANT_RDP, COHORT_ACCOUNTANT_PLD };
extern const cohort_parameter cohort_private_table[];

typedef enum { COHORT_BIND_AUTO, COHORT_BIND_NONE } cohort_bind;

/* What a |command printed (train/run/source_text.h). */
typedef struct cohort_shared_text {
  bool stands_in; /* it was not run: the run is only planned */
  char *text;     /* until it is taken */
  size_t bytes;
} cohort_shared_text;

enum { COHORT_REFERENCE_COMPUTED, COHORT_REFERENCE_STORED };
enum { COHORT_PROMPTS_AUTO, COHORT_PROMPTS_SHARED, COHORT_PROMPTS_APART };

typedef struct cohort_settings {
  const cohort_document *task_document;
  const struct cohort_task_functions *task; /* NULL after a fault */
  void *task_settings;                      /* owned: what the task's own keys say */
  const char *run;
  int64_t seed, steps, batch, lanes, threads;
  int precision; /* 0: float32, 1: bf16 */
  int sharding;  /* cohort_sharding */
  int replicate; /* cohort_replicate */
  int coupling;  /* cohort_coupling */
  bool overlap, shared_memory;
  double bucket;                           /* MiB */
  int reference;                           /* COHORT_REFERENCE_... */
  int prompts;                             /* COHORT_PROMPTS_... */
  const cohort_document *spaces, *players; /* by name, or NULL */
  double consistency;
  const cohort_document *model, *loss, *losses, *aggregator, *preference, *optimizer, *groups, *schedule;
  double clip;
  int on_nan;
  const cohort_document *data, *evaluate, *checkpoint, *federated, *lora; /* lora: NULL when there is none */
  bool overwrite;
  const cohort_document *sampler; /* of samples; NULL or null: epochs */
  const cohort_document *privacy; /* NULL: nothing is accounted for */
  double max_seconds, watchdog;
  int64_t log_every;
  const char *init_from;
  int bind; /* cohort_bind */
  bool profile;
  int64_t rival; /* order of the n-gram baseline; 0: none */

  cohort_data_settings data_settings;
  cohort_evaluate_settings evaluate_settings;
  cohort_checkpoint_settings checkpoint_settings;
  cohort_federated_settings federated_settings;
  cohort_lora_settings lora_settings;
  cohort_private_settings privacy_settings;
  bool is_federated;
  bool evaluates;                     /* set by who only evaluates: nothing need be left to train on */
  cohort_document *expanded;          /* owned: every key that the run uses, with its value */
  const cohort_document *given;       /* the config itself, for places in messages */
  cohort_document *adopted;           /* owned: the config with what `model: PATH` stands for; NULL: it names no path */
  cohort_shared_text *shared_text;    /* owned; NULL: no command was shared */
  struct cohort_data_sets *data_sets; /* set by who makes several runs, which then share what they read; NULL: none */
  const char *program; /* what checkpoints say has written them: "cohort 0.1.0 (64708ca)"; NULL: "unknown" */
} cohort_settings;

/* Every key of a config, with the sections below (base/parameter.h); its scopes take a cohort_settings. */
extern const cohort_parameter cohort_settings_table[];
/* Of the section federated, and what its keys must not say together. */
extern const cohort_parameter cohort_federated_table[];
void cohort_federated_check(const cohort_document *document, cohort_faults *faults);

/* Reads the settings' own keys and sections; methods are checked here and read by who builds them. All faults are
 * collected. A given key that this kind of run would ignore is a fault (optimizer with federated, text with task
 * supervised); one that is not given is not in `expanded`, which so can be read again. */
void cohort_settings_read(const cohort_document *document, cohort_settings *out, cohort_faults *faults);
void cohort_settings_release(cohort_settings *settings);
/* Faults of all methods that the settings name. */
void cohort_settings_check_methods(const cohort_settings *settings, cohort_faults *faults);

/* Where a dotted key stands in the config: its value; where it is not given, its section or the whole config. */
const cohort_document *cohort_settings_place(const cohort_settings *settings, const char *key);
/* COHORT_BAD_CONFIG with "FILE:LINE:COLUMN: " of the key before the text. */
cohort_status cohort_settings_fail(const cohort_settings *settings, const char *key, cohort_error *error,
                                   const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The loss of an element of `losses`, which is it or holds it under `loss`. */
const cohort_document *cohort_settings_loss(const cohort_document *entry);

/* The expanded config with every method in full, as it is once the run has been built; without data. Owned by the
 * caller; NULL when a method is at fault. */
cohort_document *cohort_settings_expand(const cohort_settings *settings);
/* The family of a federated run's strategy: a federated method, or any optimizer. */
const char *cohort_settings_strategy_family(const cohort_document *strategy);

/* How a run's config may differ when it is resumed: in keys of machines, lengths and paths, and in keys that an older
 * version did not know and that stand at their defaults. */
extern const cohort_config_rules cohort_settings_rules;

/* The default number of lanes: the largest power of two <= 8 that leaves 512 tokens or 32 samples a lane; at least 1.
 */
int cohort_settings_lanes(const cohort_settings *settings, int64_t tokens_per_sample);

#endif
