/* `model: PATH` in a config: a released model's folder, a run or a checkpoint gives the architecture, the weights to
 * begin with and the tokenizer, in all tasks alike. */
#ifndef COHORT_TRAIN_RUN_MODEL_PATH_H
#define COHORT_TRAIN_RUN_MODEL_PATH_H

#include "base/parameter.h"

/* The config with `model` as a method with parameters, `init_from` and, where there is one, `data.tokenizer` set,
 * unless they are given; the caller's. `model` is PATH, or {from: PATH, PARAMETER: VALUE ...} where a parameter, such
 * as context, shall differ. NULL: `model` names no path, or there was a fault. */
cohort_document *cohort_model_path_adopt(const cohort_document *config, cohort_faults *faults);

/* The parts for one path. */
typedef struct cohort_model_path {
  cohort_document *model; /* {gpt: {...}} */
  char *weights;          /* what init_from takes */
  char *tokenizer;        /* what data.tokenizer takes; NULL: it has none, and the config must name one */
} cohort_model_path;
/* Whether a text is meant as such a path, and not as the name of a method. */
bool cohort_model_path_is(const char *text);
cohort_status cohort_model_path_find(const char *path, cohort_model_path *out, cohort_error *error);
void cohort_model_path_release(cohort_model_path *own);

#endif
