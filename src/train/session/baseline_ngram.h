/* Interpolated Kneser-Ney n-gram model over tokens (Kneser & Ney 1995; Chen & Goodman 1999, section 2.7), the baseline
 * that a neural language model must beat. One absolute discount per order, n1 / (n1 + 2 n2); lower orders use
 * continuation counts; the lowest is interpolated with the uniform distribution. */
#ifndef COHORT_TRAIN_SESSION_BASELINE_NGRAM_H
#define COHORT_TRAIN_SESSION_BASELINE_NGRAM_H

#include <stdint.h>

#include "base/status.h"

/* Trains on tokens[0, train) and scores every token of [train, all), each with the tokens before it as context (the
 * boundary is crossed). *nats is the mean of -log p per scored token. Memory is about 24 bytes per distinct n-gram. */
cohort_status cohort_ngram_score(const int32_t *tokens, int64_t train, int64_t all, int vocabulary, int order,
                                 double *nats, cohort_error *error);

#endif
