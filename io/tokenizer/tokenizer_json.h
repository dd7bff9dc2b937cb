/* The parts of a tokenizer.json, from jansson's values. `name` (the file) begins every error, which is one line. */
#ifndef COHORT_IO_TOKENIZER_JSON_H
#define COHORT_IO_TOKENIZER_JSON_H

#include <jansson.h>

#include "base/status.h"
#include "io/tokenizer/tokenizer_steps.h"

/* The kind of a part, its "type"; "" when it has none. */
const char *cohort_json_type(const json_t *value);
/* A text of a file in an error: one line and short. Valid until the next call of this thread. */
const char *cohort_json_quote(const char *text);

/* Each appends its steps to `out`; null is none. */
cohort_status cohort_normalizer_read(const char *name, const json_t *value, cohort_step_list *out, cohort_error *error);
cohort_status cohort_pre_tokenizer_read(const char *name, const json_t *value, cohort_step_list *out,
                                        cohort_error *error);
cohort_status cohort_decoder_read(const char *name, const json_t *value, cohort_step_list *out, cohort_error *error);

#endif
