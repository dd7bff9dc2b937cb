/* Family attack: what malicious clients of a federation do, to see what a defence (method/robust/robust.h) is good for.
 *
 * An attack has one of three forms: `label` on the data that a client trains with, `change` on what it leaves, in its
 * own thread, and `join`, which must know what the honest clients have left: it acts where all changes are seen, after
 * whatever else is done to a change (clipping, noise), and all malicious clients then send the same. A change is what
 * the client has made of the round's weights minus what they were.
 *
 * Which clients are malicious is fixed by (seed, client), for the whole run; how many of a round are follows from who
 * takes part. Every method has the parameter `share`.
 *
 * Methods are pure. To add one: copy template.c to NAME.c, fill the descriptor, write one function. */
#ifndef COHORT_METHOD_ATTACK_ATTACK_H
#define COHORT_METHOD_ATTACK_ATTACK_H

#include "base/random.h"
#include "method/method.h"

/* What a client sends instead of its change x: scale x + deviation e, with e standard normal for each element. */
typedef struct cohort_attack_change {
  double scale, deviation;
} cohort_attack_change;

/* What every malicious client sends instead: mean m + deviation s, coordinate by coordinate, with m the mean of the
 * honest clients' changes and s their standard deviation, of one degree of freedom less than there are (of one: 0). */
typedef struct cohort_attack_join {
  double mean, deviation;
} cohort_attack_join;

typedef struct cohort_attack {
  cohort_attack_change (*change)(const void *config);
  /* `clients` take part, of whom `malicious` are. */
  cohort_attack_join (*join)(const void *config, int clients, int malicious);
  /* The class that a sample of class `label` is trained as, of `classes`. */
  int32_t (*label)(const void *config, int32_t label, int32_t classes);
} cohort_attack;

#define COHORT_ATTACK_SHARE(config) \
  COHORT_REAL_UNIT(config, share, "0.2", "share of the clients that are malicious, to the nearest whole client")

/* `key` is of the run's seed; 0 <= client < population. */
bool cohort_attack_is_malicious(cohort_random_key key, int64_t population, double share, int64_t client);

#endif
