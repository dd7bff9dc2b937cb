/* Spaces that follow others: copies every so many steps, and moving averages. Invariant: what follows is a function of
 * the element alone, so every rank gives an element the same bits, whoever owns it. A step costs a pass over what
 * follows; where weights are replicated every rank makes it, and waits for the step's new weights first. */
#include "train/player/rules.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

typedef struct copy_settings {
  int64_t every;
} copy_settings;

typedef struct average_settings {
  double decay;
} average_settings;

typedef struct rule_settings {
  const cohort_document *copy, *average;
  copy_settings copy_settings;
  average_settings average_settings;
  const char *init_from;
} rule_settings;

static const cohort_parameter copy_table[] = {
    COHORT_INTEGER_RANGE(copy_settings, every, "100", 1, 1e12, "how often it becomes the weights that are trained",
                         .unit = "steps"),
    {.name = NULL},
};
static const cohort_parameter average_table[] = {
    COHORT_REAL_RANGE(average_settings, decay, "0.99", 0, false, 1, false,
                      "share that stays in a step; the rest is of the weights that are trained"),
    {.name = NULL},
};
const cohort_parameter cohort_space_rule_table[] = {
    COHORT_SECTION(rule_settings, copy, copy_settings, copy_table, "null",
                   "a copy of the trained weights, now and then"),
    COHORT_SECTION(rule_settings, average, average_settings, average_table, "null",
                   "a moving average of the trained weights"),
    COHORT_TEXT(rule_settings, init_from, "null", "checkpoint whose weights it begins with"),
    {.name = NULL},
};

static cohort_declared_space *find(int count, cohort_declared_space *declared, const char *name) {
  for (int s = 0; s < count; s++)
    if (strcmp(declared[s].name, name) == 0) return &declared[s];
  return NULL;
}

static void fault_name(const cohort_document *where, int count, const cohort_declared_space *declared, const char *name,
                       cohort_faults *faults) {
  char *list = cohort_copy_text("");
  for (int s = 0; s < count; s++) {
    char *longer = cohort_format_text("%s%s%s", list, s ? ", " : "", declared[s].name);
    free(list);
    list = longer;
  }
  cohort_faults_add(faults, where, "spaces: this run has no space \"%s\"; it has: %s", name, list);
  free(list);
}

static void read_rule(const cohort_document *document, int number, cohort_declared_space *declared,
                      cohort_faults *faults) {
  rule_settings own;
  char *path = cohort_format_text("spaces.%s", declared->name);
  const size_t before = faults->count;
  cohort_parameters_read(cohort_space_rule_table, document, path, &own, NULL, faults);
  free(path);
  if (faults->count > before) return;
  declared->init_from = own.init_from;
  if (!own.copy && !own.average) return;
  if (own.copy && own.average)
    cohort_faults_add(faults, document, "spaces.%s: copy and average are two rules; take one", declared->name);
  if (declared->of == number)
    cohort_faults_add(faults, document, "spaces.%s: it follows no other space; leave copy and average out",
                      declared->name);
  declared->rule = own.copy ? COHORT_SPACE_COPY : COHORT_SPACE_AVERAGE;
  declared->every = own.copy_settings.every;
  declared->decay = own.average_settings.decay;
}

void cohort_space_rules_read(const cohort_document *config, int count, cohort_declared_space *declared,
                             cohort_faults *faults) {
  if (cohort_document_is_null(config)) return;
  if (config->kind != COHORT_MAP) {
    cohort_faults_add(faults, config, "spaces: wants a map {NAME: {copy or average, init_from}}");
    return;
  }
  for (size_t i = 0; i < config->count; i++) {
    cohort_declared_space *own = find(count, declared, config->names[i]);
    if (own)
      read_rule(config->children[i], (int)(own - declared), own, faults);
    else
      fault_name(config->children[i], count, declared, config->names[i], faults);
  }
}

/* One space's move. */
typedef struct follow_job {
  const cohort_space *space;
  const cohort_shards *shards; /* own pieces alone; NULL: all */
  const float *from;
  float kept, taken;
} follow_job;

static void follow_elements(const follow_job *job, int64_t first, int64_t count) {
  float *restrict to = job->space->values + first;
  const float *restrict from = job->from + first;
  if (job->kept == 0)
    memcpy(to, from, (size_t)count * sizeof *to);
  else
    for (int64_t e = 0; e < count; e++) to[e] = job->kept * to[e] + job->taken * from[e];
}

static void follow_piece(void *argument, int64_t p) {
  const follow_job *job = argument;
  const cohort_piece *piece = &job->space->piece[p];
  if (!job->shards || cohort_shards_own(job->shards, (int)p)) follow_elements(job, piece->offset, piece->elements);
}

void cohort_spaces_follow(const cohort_spaces *spaces, int64_t steps, bool sharded, const cohort_team *team) {
  for (int s = 0; s < spaces->count; s++) {
    const cohort_declared_space *declared = &spaces->declared[s];
    if (declared->rule < COHORT_SPACE_COPY) continue;
    if (declared->rule == COHORT_SPACE_COPY && steps % declared->every != 0) continue;
    const double kept = declared->rule == COHORT_SPACE_AVERAGE ? declared->decay : 0;
    follow_job job = {.space = spaces->space[s],
                      .shards = sharded ? spaces->layout->own[s] : NULL,
                      .from = spaces->space[declared->of]->values,
                      .kept = (float)kept,
                      .taken = (float)(1 - kept)};
    cohort_team_run(team, job.space->pieces, follow_piece, &job);
  }
}

bool cohort_spaces_some_follow(const cohort_spaces *spaces) {
  for (int s = 0; s < spaces->count; s++)
    if (spaces->declared[s].rule >= COHORT_SPACE_COPY) return true;
  return false;
}
