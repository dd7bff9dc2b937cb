/* Rules of spaces from a config (`spaces`): what a space follows, how, and which file it begins with. */
#ifndef COHORT_TRAIN_PLAYER_RULES_H
#define COHORT_TRAIN_PLAYER_RULES_H

#include "base/parameter.h"
#include "train/player/spaces.h"

/* The keys of a rule. */
extern const cohort_parameter cohort_space_rule_table[];

/* Gives the declared spaces the rules of `config`, a map {NAME: {copy: {every} | average: {decay}, init_from}}; NULL:
 * it has none. A name that is not declared is a fault, and a rule for a space that an optimizer moves. */
void cohort_space_rules_read(const cohort_document *config, int count, cohort_declared_space *declared,
                             cohort_faults *faults);

/* After an applied step, of which `steps` have been done: spaces that follow others do so. Weights of replicated spaces
 * are whole on this rank; of `sharded` ones its own pieces are moved. */
void cohort_spaces_follow(const cohort_spaces *spaces, int64_t steps, bool sharded, const cohort_team *team);
/* Whether any does. */
bool cohort_spaces_some_follow(const cohort_spaces *spaces);

#endif
