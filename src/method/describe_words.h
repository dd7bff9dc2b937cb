/* Shared by the descriptions: words for the descriptor's constants, and the JSON of one method. */
#ifndef COHORT_METHOD_DESCRIBE_WORDS_H
#define COHORT_METHOD_DESCRIBE_WORDS_H

#include "method/family.h"
#include "method/writer.h"

const char *cohort_word_of_type(cohort_parameter_type type);
const char *cohort_word_of_owner(cohort_owner owner);
const char *cohort_word_of_cut(cohort_cut cut);

/* The word of the catalogue for a family ("multiobjective" for aggregator); most are the same. */
const char *cohort_catalogue_family(const cohort_family *family);
/* State number `index` of a method, by the names of checkpoints and probes; false past the last. */
bool cohort_describe_state(const cohort_method *method, int index, cohort_described_state *state);

/* Writes the object of one method, as the root or as an entry of an array. */
void cohort_describe_json(cohort_writer *out, const cohort_method *method);

#endif
