/* What ends a completion: tokens, and texts. */
#ifndef COHORT_TRAIN_ROLLOUT_STOPS_H
#define COHORT_TRAIN_ROLLOUT_STOPS_H

#include <stdbool.h>

#include "base/parameter.h"
#include "io/tokenizer/tokenizer.h"

enum { COHORT_MAX_STOPS = 16 };

typedef struct cohort_stops {
  int ends; /* tokens, each of which closes a text and counts as one of its own */
  int32_t end[COHORT_MAX_STOPS];
  int texts; /* a completion ends with the token in which one of these is complete */
  const char *text[COHORT_MAX_STOPS];
  const cohort_tokenizer *tokenizer; /* of the texts */
} cohort_stops;

/* The tokens that end what this tokenizer's model writes. */
void cohort_stops_add_ends(cohort_stops *stops, const cohort_tokenizer *tokenizer);

/* Stop texts of a config: one, or a list; NULL: none. They stay the document's. */
void cohort_stops_read(cohort_stops *stops, const cohort_document *written, const char *path, cohort_faults *faults);

/* Why a completion ends. */
typedef enum { COHORT_FINISH_NOT, COHORT_FINISH_END, COHORT_FINISH_STOP, COHORT_FINISH_LENGTH } cohort_finish;

/* `completion` has a new token, its last. */
cohort_finish cohort_stops_reached(const cohort_stops *stops, const int32_t *completion, int64_t count);
/* Bytes of the text before the first stop text in it; `length` when there is none. */
size_t cohort_stops_before(const cohort_stops *stops, const char *text, size_t length);

#endif
