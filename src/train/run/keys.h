/* What `cohort keys` prints: every key that a config takes, from the tables by which configs are read
 * (train/run/settings.h), and, below a key that holds a method, the method's parameters from its descriptor. */
#ifndef COHORT_TRAIN_RUN_KEYS_H
#define COHORT_TRAIN_RUN_KEYS_H

#include "base/parameter.h"

/* For people; tab-separated, one key a line under a heading; pages of the documentation. */
typedef enum { COHORT_KEYS_TEXT, COHORT_KEYS_TSV, COHORT_KEYS_MARKDOWN } cohort_keys_format;

/* `key` NULL: all keys. A key is dotted as on the command line ("data.text", "optimizer.adamw.beta1",
 * "groups.0.role"); the last word of one serves too ("crop"), and lists all keys that end in it. `out` is the text,
 * owned by the caller (free). COHORT_BAD_CONFIG with the nearest key when there is none. */
cohort_status cohort_keys_describe(const char *key, cohort_keys_format format, char **out, cohort_error *error);

/* The entry of a dotted key, also of the parameter of a method; NULL when a config takes no such key. */
const cohort_parameter *cohort_keys_find(const char *key);

/* Calls `visit` for every key of the tables, a section before its own keys; with `methods` also for the parameters of
 * every method that a key may hold. `path` is valid during the call. */
typedef void (*cohort_keys_visit)(void *argument, const char *path, const cohort_parameter *key);
void cohort_keys_walk(bool methods, cohort_keys_visit visit, void *argument);

#endif
