/* A further player from a config. Invariant: it asks for gradients alone, so that one answer serves all players. Costs
 * an update engine over its space. */
#include "train/player/player.h"

#include <stdlib.h>

#include "base/memory.h"

typedef struct player_settings {
  const cohort_document *optimizer;
  int64_t every;
} player_settings;

const cohort_parameter cohort_player_table[] = {
    COHORT_METHOD_OF(player_settings, optimizer, "adamw", "optimizer", "the player's optimizer"),
    COHORT_INTEGER_RANGE(player_settings, every, "1", 1, 1e12, "how often it moves", .unit = "steps"),
    {.name = NULL},
};

static void check_needs(const cohort_player *player, const cohort_document *where, const char *name,
                        cohort_faults *faults) {
  const cohort_updater_needs needs = cohort_updater_needs_of(player->updater);
  if (needs.wants != COHORT_WANTS_GRADIENT || cohort_updater_evaluated_slot(player->updater) || needs.asks > 1)
    cohort_faults_add(faults, where, "players.%s: its optimizer asks for more than one gradient a step; take an update",
                      name);
  if (!needs.summed)
    cohort_faults_add(faults, where, "players.%s: objectives have fixed weights among several players; take sum", name);
}

cohort_status cohort_player_create(const cohort_updater_options *options, cohort_space *space,
                                   const cohort_document *config, cohort_player *out, cohort_faults *faults,
                                   cohort_error *error) {
  const cohort_document *document = cohort_document_get(config, space->name);
  player_settings own;
  char *path = cohort_format_text("players.%s", space->name);
  cohort_parameters_read(cohort_player_table, document, path, &own, NULL, faults);
  free(path);
  cohort_status status = cohort_faults_status(faults, error);
  cohort_updater_options plan = *options;
  plan.optimizer = own.optimizer;
  plan.groups = plan.schedule = NULL;
  plan.expanded = NULL;
  plan.clip = 0;
  plan.space = space;
  if (status == COHORT_DONE) status = cohort_updater_create(&plan, faults, &out->updater, error);
  COHORT_TRY(status);
  out->every = own.every;
  check_needs(out, document, space->name, faults);
  return cohort_faults_status(faults, error);
}
