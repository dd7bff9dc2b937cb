#include "train/settings.h"

#include <string.h>

static const char *const tasks[] = {"supervised", "language", "preference", NULL};
static const char *const precisions[] = {"float32", "bf16", NULL};
static const char *const shardings[] = {"none", "optimizer", "gradients", "parameters", NULL};
static const char *const replications[] = {"none", "hosts", NULL};
static const char *const binds[] = {"auto", "none", NULL};
static const char *const nan_policies[] = {"stop", "skip", NULL};

const cohort_parameter cohort_settings_table[] = {
    COHORT_CHOICE(cohort_settings, task, "supervised", tasks, "what is trained"),
    COHORT_TEXT(cohort_settings, run, "null", "run directory; default runs/<the config's name>"),
    COHORT_INTEGER_RANGE(cohort_settings, seed, "1", 0, 9007199254740992.0, "of all random numbers"),
    COHORT_INTEGER_RANGE(cohort_settings, steps, NULL, 1, 1e12, "optimizer steps, or rounds of a federated run"),
    COHORT_INTEGER_RANGE(cohort_settings, batch, "64", 1, 1e9, "samples, sequences or pairs a step"),
    COHORT_INTEGER_RANGE(cohort_settings, lanes, "0", 0, 4096,
                         "streams of arithmetic a batch is cut into; 0: by the batch"),
    COHORT_INTEGER_RANGE(cohort_settings, threads, "0", 0, 4096, "threads of a rank; 0: the rank's share of the cores"),
    COHORT_CHOICE(cohort_settings, bind, "auto", binds,
                  "threads to processors: one to each where the launcher gave this rank its own; or not at all"),
    COHORT_CHOICE(cohort_settings, precision, "float32", precisions,
                  "of the operands of products; weights, sums, states and all else stay float32"),
    COHORT_CHOICE(cohort_settings, sharding, "optimizer", shardings,
                  "what ranks hold a share of: nothing; the optimizer's state; gradients too; parameters too"),
    COHORT_CHOICE(cohort_settings, replicate, "none", replications,
                  "of what is sharded: all ranks together hold one copy; the ranks of every host hold one"),
    COHORT_BOOLEAN(cohort_settings, overlap, "true",
                   "gradients leave and weights arrive while the network computes; no bit depends on it"),
    COHORT_BOOLEAN(cohort_settings, shared_memory, "true",
                   "ranks of a host read one another's memory; false: they exchange messages"),
    COHORT_REAL_ATLEAST(cohort_settings, bucket, "0", 0,
                        "MiB of parameters that are gathered or leave together; 0: by the measured link"),
    COHORT_METHOD_OF(cohort_settings, model, NULL, "model", "the network"),
    COHORT_METHOD_OF(cohort_settings, loss, "cross_entropy", "loss", "of supervised and language tasks"),
    COHORT_TREE(cohort_settings, losses, "a list of losses: several objectives instead of `loss`"),
    COHORT_METHOD_OF(cohort_settings, aggregator, "sum", "aggregator", "of several objectives"),
    COHORT_METHOD_OF(cohort_settings, preference, "dpo", "preference", "loss of the preference task"),
    COHORT_METHOD_OF(cohort_settings, optimizer, "adamw", "optimizer", "of all tensors that no group takes"),
    COHORT_TREE(cohort_settings, groups, "a list of {role, name, optimizer, learning_rate, decay}"),
    COHORT_METHOD_OF(cohort_settings, schedule, "constant", "schedule", "of the learning rate"),
    COHORT_REAL_ATLEAST(cohort_settings, clip, "0", 0, "largest global norm of the gradient; 0: no clipping"),
    COHORT_CHOICE(cohort_settings, on_nan, "stop", nan_policies, "a step whose loss or gradient is not finite"),
    COHORT_TREE(cohort_settings, data, "where the data are"),
    COHORT_TREE(cohort_settings, evaluate, "when and how to evaluate"),
    COHORT_TREE(cohort_settings, checkpoint, "when to save"),
    COHORT_TREE(cohort_settings, federated, "federated training: clients, cohort and strategy"),
    COHORT_REAL_ATLEAST(cohort_settings, max_seconds, "0", 0, "save and stop (status 75) after so long; 0: no limit"),
    COHORT_REAL_ATLEAST(cohort_settings, watchdog, "60", 0,
                        "seconds a rank waits for one that gives no sign of life (status 6); 0: for ever"),
    COHORT_INTEGER_RANGE(cohort_settings, log_every, "1", 1, 1e12, "steps between rows of metrics.csv"),
    COHORT_BOOLEAN(cohort_settings, profile, "false",
                   "time every operation and phase; tables and a trace in the run's profile/"),
    COHORT_TEXT(cohort_settings, init_from, "null", "checkpoint whose weights the run starts from"),
    COHORT_INTEGER_RANGE(cohort_settings, rival, "0", 0, 8,
                         "language: order of an interpolated Kneser-Ney n-gram model to compare with; 0: none"),
    {.name = NULL},
};

const cohort_parameter cohort_data_table[] = {
    COHORT_TEXT(cohort_data_settings, train_images, "null", "IDX file, .gz or plain"),
    COHORT_TEXT(cohort_data_settings, train_labels, "null", "IDX file"),
    COHORT_TEXT(cohort_data_settings, test_images, "null", "IDX file"),
    COHORT_TEXT(cohort_data_settings, test_labels, "null", "IDX file"),
    COHORT_TEXT(cohort_data_settings, train, "null", "HDF5 file with x and y, or JSONL of pairs"),
    COHORT_TEXT(cohort_data_settings, validation, "null", "the same, to evaluate on"),
    COHORT_TEXT(cohort_data_settings, text, "null", "text file, or |command whose output is the text"),
    COHORT_TEXT(cohort_data_settings, tokenizer, "bytes", "`bytes` or a file made by cohort tokenize"),
    COHORT_TEXT(cohort_data_settings, lines, "null",
                "preference: a text whose lines make pairs: chosen is a line's own second half, rejected another's"),
    COHORT_INTEGER_RANGE(cohort_data_settings, pairs, "6000", 2, 1e8, "preference: how many pairs to make from lines"),
    COHORT_REAL_RANGE(cohort_data_settings, validation_share, "0.05", 0, false, 1, true,
                      "last share of the text, of the pairs made from lines, or of a train file without validation"),
    COHORT_INTEGER_RANGE(cohort_data_settings, crop, "0", 0, 64, "images: random shift by up to so many pixels"),
    COHORT_BOOLEAN(cohort_data_settings, flip, "false", "images: random mirror image"),
    {.name = NULL},
};

const cohort_parameter cohort_evaluate_table[] = {
    COHORT_INTEGER_RANGE(cohort_evaluate_settings, every, "0", 0, 1e12, "steps; 0: only at the end"),
    COHORT_INTEGER_RANGE(cohort_evaluate_settings, stride, "0", 0, 1e9,
                         "language: tokens scored per window, the rest is context; 0: the whole window"),
    {.name = NULL},
};

const cohort_parameter cohort_checkpoint_table[] = {
    COHORT_INTEGER_RANGE(cohort_checkpoint_settings, every, "0", 0, 1e12, "steps; 0: only when stopped"),
    COHORT_INTEGER_RANGE(cohort_checkpoint_settings, keep, "2", 1, 1e6, "newest checkpoints to keep, besides the best"),
    {.name = NULL},
};

const cohort_parameter cohort_federated_table[] = {
    COHORT_METHOD_OF(cohort_federated_settings, strategy, "fedavg", "federated",
                     "the server's rule; any optimizer serves too"),
    COHORT_INTEGER_RANGE(cohort_federated_settings, clients, "100", 1, 1e7, "in the population"),
    COHORT_INTEGER_RANGE(cohort_federated_settings, cohort, "10", 1, 4096, "clients a round"),
    COHORT_INTEGER_RANGE(cohort_federated_settings, local_steps, "10", 1, 1e6, "steps of a client in a round"),
    COHORT_INTEGER_RANGE(cohort_federated_settings, local_batch, "32", 0, 1e6,
                         "samples of a client's step; 0: all it has"),
    COHORT_REAL_ATLEAST(cohort_federated_settings, alpha, "0.5", 0,
                        "Dirichlet concentration of labels; 0: equal shares"),
    COHORT_METHOD_OF(cohort_federated_settings, client, "sgd", "optimizer", "of the clients, fresh in every round"),
    {.name = NULL},
};

static bool is_central(const cohort_settings *own) { return !own->is_federated; }
static bool is_supervised(const cohort_settings *own) { return own->task == COHORT_TASK_SUPERVISED; }
static bool is_language(const cohort_settings *own) { return own->task == COHORT_TASK_LANGUAGE; }
static bool is_preference(const cohort_settings *own) { return own->task == COHORT_TASK_PREFERENCE; }
static bool has_loss(const cohort_settings *own) { return !is_preference(own); }
static bool has_list(const cohort_settings *own) { return own->losses != NULL; }
static bool has_no_list(const cohort_settings *own) { return !has_list(own); }
static bool has_tokens(const cohort_settings *own) { return !is_supervised(own); }
static bool has_images(const cohort_settings *own) {
  return is_supervised(own) && own->data_settings.train_images != NULL;
}
static bool has_test_images(const cohort_settings *own) {
  return has_images(own) && own->data_settings.test_images != NULL;
}
static bool has_samples_file(const cohort_settings *own) { return !is_language(own) && !has_images(own); }
static bool makes_pairs(const cohort_settings *own) { return is_preference(own) && own->data_settings.lines != NULL; }
static bool holds_back(const cohort_settings *own) {
  return is_language(own) || (is_preference(own) && !own->data_settings.validation);
}

/* A key that only some runs use. */
typedef struct scope {
  const char *key; /* dotted below a section */
  bool (*serves)(const cohort_settings *);
  const char *advice; /* to who gives it to another run */
} scope;

static const scope scopes[] = {
    {"optimizer", is_central,
     "a federated run has the clients' optimizer in federated.client and the server's in federated.strategy; set "
     "these"},
    {"loss", has_loss, "task preference has its loss in `preference`; set that"},
    {"loss", has_no_list, "`losses` take its place; remove one of the two"},
    {"losses", has_loss, "task preference has its loss in `preference`; set that"},
    {"aggregator", has_list, "there is one objective only; give several as `losses` or remove it"},
    {"preference", is_preference, "is for task preference; remove it or set the task"},
    {"rival", is_language, "is for task language; remove it or set the task"},
    {"evaluate.stride", is_language, "is for task language; remove it or set the task"},
    {"data.train_images", is_supervised, "is for task supervised; remove it or set the task"},
    {"data.train_labels", has_images, "belongs to data.train_images of task supervised; give both or none"},
    {"data.test_images", has_images, "belongs to data.train_images of task supervised; give both or none"},
    {"data.test_labels", has_test_images, "belongs to data.test_images of task supervised; give both or none"},
    {"data.train", has_samples_file, "data.text or data.train_images take its place; remove one of the two"},
    {"data.validation", has_samples_file, "belongs to data.train; remove it or give both"},
    {"data.text", is_language, "is for task language; remove it or set the task"},
    {"data.tokenizer", has_tokens, "is for the tasks language and preference; remove it or set the task"},
    {"data.lines", is_preference, "is for task preference; remove it or set the task"},
    {"data.pairs", makes_pairs, "belongs to data.lines of task preference; remove it or give both"},
    {"data.validation_share", holds_back,
     "cuts a text, or pairs without data.validation; this run's data stay whole, remove it"},
    {"data.crop", is_supervised, "is for the images of task supervised; remove it"},
    {"data.flip", is_supervised, "is for the images of task supervised; remove it"},
};

/* What the run would ignore is a fault when given, and no key of the expanded config. */
static void check_scopes(const cohort_document *document, const cohort_settings *own, cohort_faults *faults) {
  if (!cohort_document_get(own->expanded, "task")) return; /* it is wrong itself: nobody knows what the run uses */
  for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
    if (scopes[i].serves(own)) continue;
    const char *dot = strchr(scopes[i].key, '.'), *name = dot ? dot + 1 : scopes[i].key;
    char section[32] = "";
    if (dot) memcpy(section, scopes[i].key, (size_t)(dot - scopes[i].key));
    cohort_document_remove(dot ? cohort_document_get(own->expanded, section) : own->expanded, name);
    const cohort_document *given = cohort_document_get(dot ? cohort_document_get(document, section) : document, name);
    if (cohort_document_is_null(given)) continue;
    cohort_document key = *given;
    if (key.key_line > 0) key.line = key.key_line, key.column = key.key_column;
    cohort_faults_add(faults, &key, "%s: %s", scopes[i].key, scopes[i].advice);
  }
}

static void read_section(const char *name, const cohort_parameter *table, const cohort_document *section, void *config,
                         cohort_document *expanded, cohort_faults *faults) {
  cohort_document *own = cohort_document_create(COHORT_MAP, NULL, 0, 0);
  cohort_parameters_read(table, section, name, config, own, faults);
  cohort_document_set(expanded, name, own);
}

static void check_replicate(const cohort_document *document, const cohort_settings *settings, cohort_faults *faults) {
  if (settings->replicate == COHORT_REPLICATE_NONE) return;
  if (settings->sharding == COHORT_SHARDING_NONE)
    cohort_faults_add(faults, cohort_document_get(document, "replicate"),
                      "replicate: with sharding: none every rank holds everything; choose what the ranks of a host "
                      "share (sharding: optimizer, gradients or parameters) or set replicate: none");
  if (!settings->shared_memory)
    cohort_faults_add(faults, cohort_document_get(document, "replicate"),
                      "replicate: with shared_memory: false every rank counts as a host and would hold everything; set "
                      "shared_memory: true or replicate: none");
}

static void check_method(const char *family, const cohort_document *document, const char *path, cohort_faults *faults) {
  if (cohort_document_is_null(document)) return;
  cohort_choice choice = {0};
  cohort_choice_read(COHORT_VARIANT_F64, family, document, path, &choice, NULL, faults);
  cohort_choice_release(&choice);
}

/* A federated method, or any optimizer. */
static const char *family_of_strategy(const cohort_document *strategy) {
  const char *key = strategy->kind == COHORT_MAP ? strategy->names[0] : strategy->text;
  const bool optimizer = !cohort_registry_find(COHORT_VARIANT_F64, "federated", key) &&
                         cohort_registry_find(COHORT_VARIANT_F64, "optimizer", key);
  return optimizer ? "optimizer" : "federated";
}

/* Who builds the methods reads them, one after the other; here the faults of all are found together. */
static void check_methods(const cohort_settings *own, cohort_faults *faults) {
  check_method("model", own->model, "model", faults);
  check_method("loss", own->loss, "loss", faults);
  for (size_t i = 0; own->losses && own->losses->kind == COHORT_LIST && i < own->losses->count; i++)
    check_method("loss", own->losses->children[i], "losses", faults);
  check_method("aggregator", own->aggregator, "aggregator", faults);
  check_method("preference", own->preference, "preference", faults);
  check_method("optimizer", own->optimizer, "optimizer", faults);
  for (size_t i = 0; own->groups && own->groups->kind == COHORT_LIST && i < own->groups->count; i++)
    check_method("optimizer", cohort_document_get(own->groups->children[i], "optimizer"), "groups.optimizer", faults);
  check_method("schedule", own->schedule, "schedule", faults);
  if (!own->is_federated) return;
  const cohort_document *strategy = own->federated_settings.strategy;
  if (strategy) check_method(family_of_strategy(strategy), strategy, "federated.strategy", faults);
  check_method("optimizer", own->federated_settings.client, "federated.client", faults);
}

void cohort_settings_read(const cohort_document *document, cohort_settings *out, cohort_faults *faults) {
  memset(out, 0, sizeof *out);
  out->expanded = cohort_document_create(COHORT_MAP, NULL, 0, 0);
  cohort_parameters_read(cohort_settings_table, document, "", out, out->expanded, faults);
  read_section("data", cohort_data_table, out->data, &out->data_settings, out->expanded, faults);
  read_section("evaluate", cohort_evaluate_table, out->evaluate, &out->evaluate_settings, out->expanded, faults);
  read_section("checkpoint", cohort_checkpoint_table, out->checkpoint, &out->checkpoint_settings, out->expanded,
               faults);
  check_replicate(document, out, faults);
  out->is_federated = out->federated && !cohort_document_is_null(out->federated);
  if (out->is_federated)
    read_section("federated", cohort_federated_table, out->federated, &out->federated_settings, out->expanded, faults);
  check_scopes(document, out, faults);
  check_methods(out, faults);
}

void cohort_settings_release(cohort_settings *settings) {
  cohort_document_destroy(settings->expanded);
  settings->expanded = NULL;
}

void cohort_settings_choice(cohort_variant variant, const char *family, const cohort_document *document,
                            const char *name, cohort_choice *choice, cohort_document *expanded, cohort_faults *faults) {
  const bool kept = cohort_document_get(expanded, name) != NULL;
  cohort_document *own = kept ? cohort_document_create(COHORT_MAP, NULL, 0, 0) : NULL;
  cohort_choice_read(variant, family, document, name, choice, own, faults);
  if (kept) cohort_document_set(expanded, name, own);
}

bool cohort_settings_may_change(const char *key) {
  static const char *const free_keys[] = {"run",
                                          "sharding",
                                          "replicate",
                                          "overlap",
                                          "shared_memory",
                                          "bucket",
                                          "threads",
                                          "bind",
                                          "steps",
                                          "max_seconds",
                                          "log_every",
                                          "evaluate.every",
                                          "evaluate.stride",
                                          "checkpoint.every",
                                          "checkpoint.keep",
                                          "rival",
                                          "on_nan",
                                          "profile",
                                          "watchdog"};
  for (size_t i = 0; i < sizeof free_keys / sizeof *free_keys; i++)
    if (strcmp(key, free_keys[i]) == 0) return true;
  return false;
}

int cohort_settings_lanes(const cohort_settings *settings, int64_t tokens_per_sample) {
  if (settings->is_federated) return (int)settings->federated_settings.cohort;
  if (settings->lanes) return (int)settings->lanes;
  const int64_t rows = settings->batch * (tokens_per_sample ? tokens_per_sample : 1);
  const int64_t least = tokens_per_sample ? 512 : 32;
  int lanes = 8;
  while (lanes > 1 && (rows / lanes < least || settings->batch < lanes)) lanes /= 2;
  return lanes;
}
