/* The family reward: trees of rewards, and what `probe` takes and gives. Invariant: a completion's reward is a function
 * of its own completion group and its answers. Costs what the methods cost, and a number a completion for each of them.
 */
#include "method/reward/reward.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "method/family.h"

struct cohort_reward_tree {
  cohort_choice choice;
  bool owned; /* the choice */
  void *opened;
  int first, questions; /* its questions are [first, first + questions) of the whole tree's */
  int parts;
  cohort_reward_tree **part;
};

static const cohort_reward *functions_of(const cohort_reward_tree *tree) { return tree->choice.method->functions; }

static cohort_status grow(cohort_reward_tree *own, int *questions, cohort_error *error);

static cohort_status grow_part(cohort_reward_tree *own, const cohort_document *written, int *questions,
                               cohort_error *error) {
  cohort_faults faults = {0};
  cohort_reward_tree *part = cohort_allocate(sizeof *part);
  own->part[own->parts++] = part;
  part->owned = true;
  cohort_choice_read(COHORT_VARIANT_F64, "reward", written, own->choice.method->key, &part->choice, NULL, &faults);
  const cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  return status == COHORT_DONE ? grow(part, questions, error) : status;
}

static cohort_status grow(cohort_reward_tree *own, int *questions, cohort_error *error) {
  const cohort_reward *functions = functions_of(own);
  const cohort_document *list = functions->parts ? functions->parts(own->choice.config) : NULL;
  own->first = *questions;
  if (functions->question) ++*questions;
  if (list) own->part = cohort_allocate((list->count + 1) * sizeof(cohort_reward_tree *));
  for (size_t i = 0; list && i < list->count; i++) COHORT_TRY(grow_part(own, list->children[i], questions, error));
  own->questions = *questions - own->first;
  if (functions->open) own->opened = functions->open(own->choice.config);
  return COHORT_DONE;
}

cohort_status cohort_reward_open(const cohort_choice *choice, cohort_reward_tree **out, cohort_error *error) {
  cohort_reward_tree *own = cohort_allocate(sizeof *own);
  int questions = 0;
  own->choice = *choice;
  const cohort_status status = grow(own, &questions, error);
  if (status != COHORT_DONE) {
    cohort_reward_close(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

void cohort_reward_close(cohort_reward_tree *tree) {
  if (!tree) return;
  for (int p = 0; p < tree->parts; p++) cohort_reward_close(tree->part[p]);
  if (tree->opened) functions_of(tree)->close(tree->opened);
  if (tree->owned) cohort_choice_release(&tree->choice);
  free(tree->part);
  free(tree);
}

bool cohort_reward_question_at(const cohort_reward_tree *tree, int index, cohort_reward_question *out) {
  if (index < tree->first || index >= tree->first + tree->questions) return false;
  for (int p = 0; p < tree->parts; p++)
    if (cohort_reward_question_at(tree->part[p], index, out)) return true;
  if (tree->parts == 0) *out = functions_of(tree)->question(tree->choice.config);
  return tree->parts == 0;
}

/* Column number *index of the tree; what is left of *index when it has fewer. */
static const char *find_column(const cohort_reward_tree *tree, int *index) {
  const cohort_reward *functions = functions_of(tree);
  const char *found = NULL;
  for (int i = 0; functions->column && functions->column(tree->choice.config, i); i++)
    if ((*index)-- == 0) return functions->column(tree->choice.config, i);
  for (int p = 0; p < tree->parts && !found; p++) found = find_column(tree->part[p], index);
  return found;
}

const char *cohort_reward_column_at(const cohort_reward_tree *tree, int index) { return find_column(tree, &index); }

void cohort_reward_score(const cohort_reward_tree *tree, const cohort_reward_batch *batch, const double *const *answer,
                         double *reward) {
  const size_t n = (size_t)batch->completions, parts = (size_t)tree->parts;
  double *values = cohort_allocate((n * parts + 1) * sizeof *values);
  const double **given = cohort_allocate((parts + 1) * sizeof *given);
  for (size_t p = 0; p < parts; p++) {
    cohort_reward_score(tree->part[p], batch, answer, values + p * n);
    given[p] = values + p * n;
  }
  if (functions_of(tree)->question) given[0] = answer[tree->first];
  functions_of(tree)->score(tree->choice.config, tree->opened, batch, given, reward);
  free(given);
  free(values);
}

const char *cohort_reward_value(const cohort_reward_batch *batch, int64_t i, const char *column) {
  for (int c = 0; c < batch->columns; c++)
    if (strcmp(batch->column[c], column) == 0)
      return batch->completion[i].column ? batch->completion[i].column[c] : NULL;
  return NULL;
}

/* ---- probe: a method by itself, without its parts ---- */

static const cohort_reward *functions_of_method(const cohort_method *method) { return method->functions; }
static bool is_given(const cohort_method *method) {
  return functions_of_method(method)->question || functions_of_method(method)->parts;
}
static bool reads_column(const cohort_method *method) { return functions_of_method(method)->column != NULL; }

static const cohort_probe_array inputs[] = {
    {"completion",
     COHORT_ARRAY_OF_INTEGER,
     {"completions", "T"},
     .constraint = "0 <= value < 256",
     .ignores = true,
     .meaning = "bytes of the completions, which are their tokens too; -1 behind their end"},
    {"column",
     COHORT_ARRAY_OF_INTEGER,
     {"completions", "C"},
     .when = reads_column,
     .constraint = "0 <= value < 256",
     .ignores = true,
     .meaning = "bytes of the column of the data that the method reads; -1 behind its end"},
    {"given",
     COHORT_ARRAY_OF_REAL,
     {"parts", "completions"},
     .when = is_given,
     .meaning = "the rewards of the parts, or what the model or command says of every completion"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"reward", COHORT_ARRAY_OF_REAL, {"completions"}, .meaning = "of every completion"},
    {.name = NULL},
};

static const cohort_probe_setting settings[] = {
    {"group", "1", "1", .meaning = "completions of one prompt, which stand side by side; divides their number"},
    {"limit", "1000", "1", .meaning = "tokens that a completion may have"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"completions", 1, 4, NULL, .meaning = "completions"},
    {"T", 1, 8, NULL, .meaning = "bytes of the longest completion"},
    {"C", 1, 3, reads_column, .meaning = "bytes of the column's longest value"},
    {"parts", 1, 1, is_given, .meaning = "parts of the reward; 1 of one that asks a model or a command"},
    {.name = NULL},
};

/* Row `i` of bytes as a text; returns its length. */
static size_t read_text(const double *bytes, int64_t i, int64_t room, char *out) {
  int64_t count = 0;
  for (; count < room && bytes[i * room + count] >= 0; count++) out[count] = (char)(int)bytes[i * room + count];
  out[count] = '\0';
  return (size_t)count;
}

/* The probe's arrays as completions; their one column is what the method reads, whatever its name. */
typedef struct probe_texts {
  cohort_reward_completion *completion;
  int32_t *token;
  char *text, *value;
  const char **values;
} probe_texts;

static void make_texts(const cohort_probe_call *call, probe_texts *own) {
  const int64_t n = call->size(call, "completions"), room = call->size(call, "T");
  const double *bytes = call->input(call, "completion"), *column = call->input(call, "column");
  const int64_t wide = column ? call->size(call, "C") : 0;
  own->completion = cohort_allocate((size_t)n * sizeof *own->completion);
  own->token = cohort_allocate((size_t)(n * room) * sizeof *own->token);
  own->text = cohort_allocate((size_t)(n * (room + 1)));
  own->value = cohort_allocate((size_t)(n * (wide + 1)));
  own->values = cohort_allocate((size_t)n * sizeof *own->values);
  for (int64_t i = 0; i < n; i++) {
    char *text = own->text + i * (room + 1), *value = own->value + i * (wide + 1);
    const size_t length = read_text(bytes, i, room, text);
    if (column) (void)read_text(column, i, wide, value);
    own->values[i] = value;
    for (size_t t = 0; t < length; t++) own->token[i * room + (int64_t)t] = (unsigned char)text[t];
    own->completion[i] = (cohort_reward_completion){.prompt = "",
                                                    .text = text,
                                                    .bytes = length,
                                                    .token = own->token + i * room,
                                                    .tokens = (int64_t)length,
                                                    .ended = true,
                                                    .column = own->values + i};
  }
}

static void release_texts(probe_texts *own) {
  free(own->completion);
  free(own->token);
  free(own->text);
  free(own->value);
  free(own->values);
}

static cohort_status check_probe(const cohort_probe_call *call, cohort_error *error) {
  const cohort_reward *functions = call->method->functions;
  const int64_t n = call->size(call, "completions"), group = call->setting(call, "group");
  const int64_t given = is_given(call->method) ? call->size(call, "parts") : 0;
  const int64_t asked = functions->parts ? (int64_t)functions->parts(call->config)->count : given ? 1 : 0;
  if (n % group)
    return cohort_fail(error, COHORT_BAD_CONFIG, "command line: group is %lld, which does not divide %lld completions",
                       (long long)group, (long long)n);
  if (asked != given)
    return cohort_fail(error, COHORT_BAD_DATA, "/given has %lld rows, but the reward has %lld parts", (long long)given,
                       (long long)asked);
  return COHORT_DONE;
}

static cohort_status probe(const cohort_probe_call *call, cohort_error *error) {
  const cohort_reward *functions = call->method->functions;
  const int64_t n = call->size(call, "completions");
  COHORT_TRY(check_probe(call, error));
  const double *values = call->input(call, "given");
  const int64_t parts = values ? call->size(call, "parts") : 0;
  const double **given = cohort_allocate((size_t)(parts + 1) * sizeof *given);
  for (int64_t p = 0; p < parts; p++) given[p] = values + p * n;
  const char *name = functions->column ? functions->column(call->config, 0) : "";
  probe_texts texts;
  make_texts(call, &texts);
  const cohort_reward_batch batch = {.completions = n,
                                     .group = call->setting(call, "group"),
                                     .limit = call->setting(call, "limit"),
                                     .completion = texts.completion,
                                     .columns = functions->column && name,
                                     .column = &name};
  void *opened = functions->open ? functions->open(call->config) : NULL;
  functions->score(call->config, opened, &batch, given, call->output(call, "reward"));
  if (opened) functions->close(opened);
  release_texts(&texts);
  free(given);
  return COHORT_DONE;
}

const cohort_family cohort_family_reward = {
    .name = "reward",
    .summary = "what a completion of a prompt is worth",
    .inputs = inputs,
    .outputs = outputs,
    .settings = settings,
    .symbols = symbols,
    .probe = probe,
};
