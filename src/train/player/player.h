/* Players beside the model's: each a trained space that the task declares and the config names under `players`, with an
 * optimizer of its own. All move at once: the lanes give every player's gradient in one pass, and each optimizer takes
 * its step from that answer, every so many steps. What is to raise the loss that the others lower has its gradient
 * turned in the graph, where it is declared (cohort_graph_reverse_gradient). */
#ifndef COHORT_TRAIN_PLAYER_PLAYER_H
#define COHORT_TRAIN_PLAYER_PLAYER_H

#include "update/updater.h"

typedef struct cohort_player {
  cohort_updater *updater;
  int64_t every; /* it moves in steps every, 2 every ... */
} cohort_player;

/* The keys of a player. */
extern const cohort_parameter cohort_player_table[];

/* Of the space `name`, by players.NAME of `config`: {optimizer, every}. `options` are the model's player's, for all
 * that a config of a player does not say. */
cohort_status cohort_player_create(const cohort_updater_options *options, cohort_space *space,
                                   const cohort_document *config, cohort_player *out, cohort_faults *faults,
                                   cohort_error *error);

#endif
