/* Shared by the descriptions: words for the descriptor's constants, and the JSON of one method. */
#ifndef COHORT_METHOD_DESCRIBE_WORDS_H
#define COHORT_METHOD_DESCRIBE_WORDS_H

#include "method/method.h"
#include "method/writer.h"

const char *cohort_word_of_type(cohort_parameter_type type);
const char *cohort_word_of_owner(cohort_owner owner);
const char *cohort_word_of_cut(cohort_cut cut);

/* Writes the object of one method, as the root or as an entry of an array. */
void cohort_describe_json(cohort_writer *out, const cohort_method *method);

#endif
