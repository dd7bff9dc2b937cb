/* The settings of a run: one table a section, from which come reading, checking, `cohort keys` and the expanded config.
 * Invariant: a key that the run would ignore is a fault, and the expanded config can be read again without one. Reading
 * costs the number of keys of the table times that of the config. */
#include "train/run/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/player/player.h"
#include "train/player/rules.h"
#include "train/run/model_path.h"
#include "train/run/settings_data.h"
#include "train/task/registry.h"
#include "update/groups.h"

static const char *const references[] = {"computed", "stored", NULL};
static const char *const prompts[] = {"auto", "shared", "apart", NULL};
static const char *const precisions[] = {"float32", "bf16", NULL};
static const char *const shardings[] = {"none", "optimizer", "gradients", "parameters", NULL};
static const char *const replications[] = {"none", "hosts", NULL};
static const char *const couplings[] = {"together", "recompute", NULL};
static const char *const binds[] = {"auto", "none", NULL};
static const char *const nan_policies[] = {"stop", "skip", NULL};

static const cohort_settings *of(const void *config) { return config; }
static bool uses(const void *own, unsigned what) { return (of(own)->task->uses & what) != 0; }
static bool has_model(const void *own) { return uses(own, COHORT_TASK_MODEL); }
static bool has_splits(const void *own) { return uses(own, COHORT_TASK_SPLITS); }
static bool is_central(const void *own) { return !of(own)->is_federated; }
static bool is_supervised(const void *own) { return of(own)->task == &cohort_task_supervised; }
static bool is_language(const void *own) { return of(own)->task == &cohort_task_language; }
static bool is_preference(const void *own) { return of(own)->task == &cohort_task_preference; }
static bool is_not_preference(const void *own) { return !is_preference(own); }
static bool completes(const void *own) { return is_preference(own) || of(own)->task == &cohort_task_policy; }
static bool has_loss(const void *own) { return uses(own, COHORT_TASK_LOSS); }
static bool has_teacher(const void *own) {
  return is_supervised(own) && cohort_document_get(of(own)->spaces, "teacher") != NULL;
}
static bool has_list(const void *own) { return of(own)->losses != NULL; }
static bool has_no_list(const void *own) { return !has_list(own); }
static bool has_tokens(const void *own) { return uses(own, COHORT_TASK_TOKENS); }
static bool writes(const void *own) { return has_tokens(own) && has_splits(own) && is_central(own); }

/* Who takes a key that only some runs use. */
static const cohort_scope models[] = {
    {"tasks with a model", has_model, "this task trains no model; remove it"},
    {.who = NULL},
};
static const cohort_scope splits[] = {
    {"tasks with a model", has_model, "this task trains no model; remove it"},
    {"tasks with data to evaluate on", has_splits, "this task has no data to evaluate on; remove it"},
    {.who = NULL},
};
static const cohort_scope central[] = {
    {"tasks with a model", has_model, "this task trains no model; remove it"},
    {"runs that are not federated", is_central,
     "a federated run has the clients' optimizer in federated.client and the server's in federated.strategy; set "
     "these"},
    {.who = NULL},
};
static const cohort_scope sampled[] = {
    {"tasks with a model", has_model, "this task trains no model; remove it"},
    {"runs that are not federated", is_central,
     "a federated run says so of its clients: federated.sampler, federated.privacy; set these"},
    {.who = NULL},
};
static const cohort_scope many_players[] = {
    {"tasks with a model", has_model, "this task trains no model; remove it"},
    {"runs that are not federated", is_central, "clients of a federated run train one space; remove it"},
    {.who = NULL},
};
static const cohort_scope taught[] = {
    {"task supervised, with spaces.teacher", has_teacher,
     "belongs to spaces.teacher of task supervised; give both or none"},
    {.who = NULL},
};
static const cohort_scope own_lanes[] = {
    {"runs that are not federated", is_central,
     "a federated run has a lane for each client of a round (federated.clients_per_round); remove it"},
    {.who = NULL},
};
static const cohort_scope one_loss[] = {
    {"tasks but preference", is_not_preference, "task preference has its loss in `preference`; set that"},
    {"tasks that take a loss of the catalogue", has_loss,
     "this task has no use for it: what it has instead is a key of its own"},
    {"runs without `losses`", has_no_list, "`losses` take its place; remove one of the two"},
    {.who = NULL},
};
static const cohort_scope many_losses[] = {
    {"tasks but preference", is_not_preference, "task preference has its loss in `preference`; set that"},
    {"tasks that take a loss of the catalogue", has_loss,
     "this task has no use for it: what it has instead is a key of its own"},
    {.who = NULL},
};
static const cohort_scope objectives[] = {
    {"runs with `losses`", has_list, "there is one objective only; give several as `losses` or remove it"},
    {.who = NULL},
};
static const cohort_scope preference[] = {
    {"task preference", is_preference, "is for task preference; remove it or set the task"},
    {.who = NULL},
};
static const cohort_scope completions[] = {
    {"tasks preference and policy", completes, "is for tasks with completions of prompts; remove it or set the task"},
    {.who = NULL},
};
static const cohort_scope language[] = {
    {"task language", is_language, "is for task language; remove it or set the task"},
    {.who = NULL},
};
static const cohort_scope written[] = {
    {"runs of a language model that are not federated", writes, "this run writes no text; remove it"},
    {.who = NULL},
};

static const cohort_parameter evaluate_table[] = {
    COHORT_INTEGER_RANGE(cohort_evaluate_settings, every, "0", 0, 1e12, "how often to evaluate; 0: only at the end",
                         .unit = "steps", .may_change = true),
    COHORT_INTEGER_RANGE(cohort_evaluate_settings, stride, "0", 0, 1e9,
                         "tokens scored in a window, the rest of it is context; 0: the whole window", .unit = "tokens",
                         .scopes = language, .may_change = true),
    COHORT_INTEGER_RANGE(cohort_evaluate_settings, samples, "0", 0, 64, "texts of 64 tokens to write into the log then",
                         .scopes = written, .may_change = true),
    COHORT_TEXT(cohort_evaluate_settings, prompt, "\n", "what they begin with", .scopes = written, .may_change = true),
    {.name = NULL},
};

static const cohort_parameter checkpoint_table[] = {
    COHORT_INTEGER_RANGE(cohort_checkpoint_settings, every, "0", 0, 1e12, "how often to save; 0: only when stopped",
                         .unit = "steps", .may_change = true),
    COHORT_INTEGER_RANGE(cohort_checkpoint_settings, keep, "2", 1, 1e6, "newest checkpoints to keep, besides the best",
                         .unit = "checkpoints", .may_change = true),
    {.name = NULL},
};

const cohort_parameter cohort_settings_table[] = {
    {.name = "task",
     .type = COHORT_PARAMETER_TREE,
     .offset = offsetof(cohort_settings, task_document),
     .standard = "supervised",
     .standard_document = &(cohort_document){.kind = COHORT_SCALAR, .text = (char *)"supervised", .used = true},
     .section = cohort_task_table,
     .meaning = "what the data are and what a step does with them: a name, or {NAME: {its keys}}"},
    COHORT_TEXT(cohort_settings, run, "null", "run directory; default runs/<the config's name>", .may_change = true),
    COHORT_INTEGER_RANGE(cohort_settings, seed, "1", 0, 9007199254740992.0, "seed of all random numbers"),
    COHORT_INTEGER_RANGE(cohort_settings, steps, NULL, 1, 1e12,
                         "number of optimizer steps; of a federated run, of rounds", .unit = "steps",
                         .may_change = true),
    COHORT_INTEGER_RANGE(cohort_settings, batch, "64", 1, 1e9,
                         "samples, sequences or pairs of one step, over all ranks", .unit = "samples"),
    COHORT_METHOD_OF(cohort_settings, sampler, "null", "sampler",
                     "how batches are drawn where every sample is clipped; null: epochs in a shuffled order",
                     .scopes = sampled),
    COHORT_SECTION(cohort_settings, privacy, privacy_settings, cohort_private_table, "null",
                   "account of what the weights tell of one sample; null: none", .scopes = sampled),
    COHORT_INTEGER_RANGE(
        cohort_settings, lanes, "0", 0, 4096,
        "streams of arithmetic that a batch is cut into, which is the most ranks that can share it; 0: by the batch",
        .unit = "lanes", .scopes = own_lanes),
    COHORT_INTEGER_RANGE(cohort_settings, threads, "0", 0, 4096, "threads of a rank; 0: the rank's share of the cores",
                         .unit = "threads", .may_change = true),
    COHORT_CHOICE(cohort_settings, bind, "auto", binds,
                  "auto: each thread stays on a processor of its own, where the launcher gave the rank some; none: "
                  "threads may move",
                  .may_change = true),
    COHORT_CHOICE(
        cohort_settings, coupling, "together", couplings,
        "how lanes run whose values cross (losses over the batch, batch norm): together, in the memory of all; "
        "recompute: one after another, from the start again for every exchange, in the memory of one; the same "
        "bits",
        .may_change = true, .scopes = models),
    COHORT_CHOICE(cohort_settings, precision, "float32", precisions,
                  "precision of the operands of products; weights, sums, states and all else stay float32",
                  .scopes = models),
    COHORT_CHOICE(cohort_settings, sharding, "optimizer", shardings,
                  "what each rank holds a share of only: nothing; the optimizer's state; gradients too; parameters too",
                  .may_change = true, .scopes = models),
    COHORT_CHOICE(
        cohort_settings, replicate, "none", replications,
        "copies of what is sharded: none: all ranks together hold one; hosts: the ranks of each host hold one",
        .may_change = true, .scopes = models),
    COHORT_BOOLEAN(cohort_settings, overlap, "true",
                   "exchange gradients and weights while the network computes; no bit depends on it",
                   .may_change = true, .scopes = models),
    COHORT_BOOLEAN(cohort_settings, shared_memory, "true",
                   "ranks of a host read one another's memory; false: they exchange messages", .may_change = true),
    COHORT_REAL_ATLEAST(cohort_settings, bucket, "0", 0,
                        "size of the buckets in which gradients and parameters travel; 0: by the measured link",
                        .unit = "MiB", .may_change = true, .scopes = models),
    COHORT_METHOD_OF(cohort_settings, model, "null", "model",
                     "the neural network; must be given. Or PATH, or {from: PATH, PARAMETER: VALUE}: a Hugging Face "
                     "folder, a run or a checkpoint, whose weights (init_from) and tokenizer the run begins with",
                     .scopes = models),
    COHORT_SECTION(cohort_settings, lora, lora_settings, cohort_lora_table, "null",
                   "low-rank adapters: they alone are trained, beside the model, which stays as it begins (init_from); "
                   "null: none",
                   .scopes = models),
    COHORT_TREE(
        cohort_settings, spaces,
        "further weights by name, {NAME: {average: {decay} or copy: {every}, init_from: FILE}}: `teacher` follows "
        "the model and is evaluated beside it; `reference`, of the tasks preference and policy, stays frozen "
        "without a rule",
        .section = cohort_space_rule_table, .by_name = true, .scopes = models),
    COHORT_REAL_ATLEAST(
        cohort_settings, consistency, "0", 0,
        "weight of the squared distance between the model's probabilities and those of spaces.teacher, each "
        "under dropout of its own",
        .scopes = taught),
    COHORT_METHOD_OF(cohort_settings, loss, "cross_entropy", "loss", "loss function", .scopes = one_loss),
    COHORT_TREE(cohort_settings, losses,
                "several loss functions, one objective each, instead of `loss`; {loss: ..., head: NAME, target: ARRAY, "
                "outputs: WIDTH} gives one a head of its own and another array of the data than y",
                .family = "loss", .scopes = many_losses),
    COHORT_METHOD_OF(cohort_settings, aggregator, "sum", "aggregator",
                     "how the gradients of several objectives become one", .scopes = objectives),
    COHORT_METHOD_OF(cohort_settings, preference, "dpo", "preference", "loss function of the preference task",
                     .scopes = preference),
    COHORT_CHOICE(cohort_settings, reference, "computed", references,
                  "log-probabilities of the frozen reference: computed in every step, or stored: once before the first "
                  "step, the same bits, and no second copy of the weights",
                  .scopes = preference),
    COHORT_CHOICE(cohort_settings, prompts, "auto", prompts,
                  "the prompt of a pair or a completion group is read once for all its completions (shared), or with "
                  "each (apart); auto: shared, unless the model drops out, which would then be the same for all",
                  .scopes = completions),
    COHORT_METHOD_OF(cohort_settings, optimizer, "adamw", "optimizer", "optimizer of all tensors that no group takes",
                     .scopes = central),
    COHORT_TREE(cohort_settings, groups,
                "parameter groups with an optimizer of their own; the first that fits a tensor takes it",
                .section = cohort_group_table, .scopes = models),
    COHORT_TREE(
        cohort_settings, players,
        "further players by name, {NAME: {optimizer, every}}, which move at the same time as the model and from "
        "the same pass: `loss` has the parameters of the task's losses, which else are the model's player's",
        .section = cohort_player_table, .by_name = true, .scopes = many_players),
    COHORT_METHOD_OF(cohort_settings, schedule, "constant", "schedule", "schedule of the learning rate",
                     .scopes = models),
    COHORT_REAL_ATLEAST(cohort_settings, clip, "0", 0, "largest global norm of the gradient; 0: no clipping",
                        .scopes = models),
    COHORT_CHOICE(cohort_settings, on_nan, "stop", nan_policies,
                  "what to do when a loss or gradient is not finite: stop the run, or skip the step",
                  .may_change = true, .scopes = models),
    COHORT_SECTION(cohort_settings, data, data_settings, cohort_data_table, "{}", "where the data are",
                   .scopes = models),
    COHORT_SECTION(cohort_settings, evaluate, evaluate_settings, evaluate_table, "{}", "when and how to evaluate",
                   .scopes = splits),
    COHORT_SECTION(cohort_settings, checkpoint, checkpoint_settings, checkpoint_table, "{}",
                   "when to save checkpoints"),
    COHORT_SECTION(cohort_settings, federated, federated_settings, cohort_federated_table, "null",
                   "federated training: clients, rounds and strategy; null: none", .scopes = models),
    COHORT_BOOLEAN(cohort_settings, overwrite, "false",
                   "begin anew where another run is, which is removed; an unfinished run that began so goes on",
                   .may_change = true),
    COHORT_REAL_ATLEAST(cohort_settings, max_seconds, "0", 0, "save and stop (status 75) after so long; 0: no limit",
                        .unit = "seconds", .may_change = true),
    COHORT_REAL_ATLEAST(cohort_settings, watchdog, "60", 0,
                        "how long a rank waits for one that gives no sign of life (status 6); 0: for ever",
                        .unit = "seconds", .may_change = true),
    COHORT_INTEGER_RANGE(cohort_settings, log_every, "1", 1, 1e12, "how often to write a row of metrics.csv",
                         .unit = "steps", .may_change = true),
    COHORT_BOOLEAN(cohort_settings, profile, "false",
                   "measure every operation and phase; tables and a trace go to the run's profile/", .may_change = true,
                   .scopes = models),
    COHORT_TEXT(cohort_settings, init_from, "null",
                "checkpoint, or Hugging Face folder, whose weights the run starts from", .scopes = models),
    COHORT_INTEGER_RANGE(cohort_settings, rival, "0", 0, 8,
                         "order of an interpolated Kneser-Ney n-gram model to compare with; 0: none",
                         .scopes = language, .may_change = true),
    {.name = NULL},
};

/* The first rule of a key that this run breaks, or NULL. */
static const cohort_scope *broken_scope(const cohort_parameter *key, const cohort_settings *own) {
  for (const cohort_scope *scope = key->scopes; scope && scope->who; scope++)
    if (!scope->takes(own)) return scope;
  return NULL;
}

/* What the run would ignore is a fault when given, and no key of the expanded config. */
static void check_scopes(const cohort_parameter *table, const char *section, const cohort_document *document,
                         const cohort_settings *own, cohort_document *expanded, cohort_faults *faults) {
  if (!document && !expanded) return;
  for (const cohort_parameter *key = table; key->name; key++) {
    const cohort_document *given = cohort_document_get(document, key->name);
    const cohort_scope *scope = broken_scope(key, own);
    if (!scope && key->type == COHORT_PARAMETER_SECTION) {
      char *path = cohort_format_text("%s%s%s", section, *section ? "." : "", key->name);
      check_scopes(key->section, path, given, own, cohort_document_get(expanded, key->name), faults);
      free(path);
    }
    if (!scope) continue;
    cohort_document_remove(expanded, key->name);
    if (cohort_document_is_null(given)) continue;
    cohort_document place = *given;
    if (place.key_line > 0) place.line = place.key_line, place.column = place.key_column;
    cohort_faults_add(faults, &place, "%s%s%s: %s", section, *section ? "." : "", key->name, scope->advice);
  }
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

const cohort_document *cohort_settings_loss(const cohort_document *entry) {
  const cohort_document *loss = entry->kind == COHORT_MAP ? cohort_document_get(entry, "loss") : NULL;
  return loss ? loss : entry;
}

void cohort_settings_read(const cohort_document *document, cohort_settings *out, cohort_faults *faults) {
  memset(out, 0, sizeof *out);
  const size_t before = faults->count;
  out->adopted = cohort_model_path_adopt(document, faults);
  if (out->adopted) document = out->adopted;
  const bool no_model = faults->count > before;
  out->given = document;
  out->expanded = cohort_document_create(COHORT_MAP, NULL, 0, 0);
  cohort_parameters_read(cohort_settings_table, document, "", out, out->expanded, faults);
  check_replicate(document, out, faults);
  cohort_federated_check(document, faults);
  out->is_federated = out->federated != NULL;
  if (out->is_federated && out->federated_settings.local_epochs)
    cohort_document_remove(cohort_document_get(out->expanded, "federated"), "local_steps");
  cohort_task_choose(out, faults);
  if (out->task) /* else it is wrong itself: nobody knows what the run uses */
    check_scopes(cohort_settings_table, "", document, out, out->expanded, faults);
  if (no_model) out->model = NULL;
  if (out->task && out->task->uses & COHORT_TASK_MODEL && !out->model && !no_model)
    cohort_faults_add(faults, document, "model: is missing; give it (the neural network)");
  cohort_settings_check_methods(out, faults);
}
