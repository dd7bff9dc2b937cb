/* Text from a language model, token by token, on one rank. Each token is one forward pass over the sequence so far (at most
 * the model's context). */
#ifndef COHORT_TRAIN_GENERATOR_H
#define COHORT_TRAIN_GENERATOR_H

#include "train/space.h"
#include "train/task.h"

typedef struct cohort_generator cohort_generator;

/* `space` holds the weights; `data` says the vocabulary. */
cohort_status cohort_generator_create(const cohort_choice *model, const cohort_model_data *data, cohort_space *space,
                                      int threads, cohort_generator **out, cohort_error *error);
void cohort_generator_destroy(cohort_generator *generator);

/* The next token after tokens[0, count): temperature 0 takes the likeliest, else softmax(logits / temperature) over the
 * `top_k` likeliest (0: all), drawn by (key, count). */
int32_t cohort_generator_next(cohort_generator *generator, const int32_t *tokens, int64_t count, double temperature,
                              int64_t top_k, cohort_random_key key);

/* A graph of the model alone, to make its space from; destroyed by the caller. */
cohort_status cohort_generator_graph(const cohort_choice *model, const cohort_model_data *data, cohort_graph **out,
                                     cohort_error *error);

#endif
