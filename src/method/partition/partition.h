/* Family partition: who holds which samples. A method gives every training sample an owner, a client from 0 on, as a
 * function of its settings, what it deals by, and a key; no sample is without an owner, no client without a sample.
 *
 * Intended usage:
 *   1. Parameters, as of every method; `clients` where the method does not find them in the data.
 *   2. What it deals by (`by`): the classes of the samples, or what the data, a file or a text say of each. It comes as
 *      data->labels, one number a sample.
 *   3. `clients`: how many there are; `deal`: fills owner. `helps`: a client that is left without takes the first
 * sample of the client that is then the largest; otherwise it is an error. Both sides, training
 * (train/engine/population.h) and `cohort probe partition`, go through cohort_partition_deal. A method takes memory
 * through data->memory alone. Costs should be linear in clients and samples. */
#ifndef COHORT_METHOD_PARTITION_PARTITION_H
#define COHORT_METHOD_PARTITION_PARTITION_H

#include "base/random.h"
#include "method/method.h"

/* What the labels are. */
typedef enum {
  COHORT_PARTITION_BY_NOTHING, /* labels are not looked at */
  COHORT_PARTITION_BY_CLASS,   /* the classes y of the samples */
  COHORT_PARTITION_BY_COLUMN,  /* an array of the data set, which `origin` names */
  COHORT_PARTITION_BY_FILE,    /* owners, of the file that `origin` names */
  COHORT_PARTITION_BY_LINES,   /* the part of a text that a sample begins in, by the pattern `origin` */
  COHORT_PARTITION_BY_CLIENT,  /* owners, as a data set has them that comes by client (LEAF, TFF) */
  COHORT_PARTITION_BY_DRAW,    /* nothing is dealt: samples are drawn by client when they are asked for (`drawn`) */
} cohort_partition_by;

/* Samples that are a function of (config, key, client, index): x of `features` numbers and a class. Nothing of them is
 * stored; a client's `model` is what its draws have in common. */
typedef struct cohort_partition_drawn {
  int64_t features, classes;
  int64_t numbers;                                                            /* of a client's model */
  int64_t (*size)(const void *config, cohort_random_key key, int64_t client); /* samples that a client has, from 1 */
  void (*begin)(const void *config, cohort_random_key key, int64_t client, double *model);
  /* The sample `index`, from 0 on without end; returns its class. */
  int32_t (*draw)(const void *config, cohort_random_key key, int64_t client, int64_t index, const double *model,
                  float *x);
} cohort_partition_drawn;

typedef struct cohort_partition_data {
  int64_t samples;
  const int32_t *labels; /* [samples], from 0 on; NULL: there are none */
  int64_t classes;       /* the largest label + 1 */
  cohort_random_key key;
  /* Zeroed memory, which is released after the call. */
  void *(*memory)(const struct cohort_partition_data *data, size_t bytes);
  void *implementation;
} cohort_partition_data;

typedef struct cohort_partition {
  cohort_partition_by by;
  const char *(*origin)(const void *config); /* NULL: nothing is named */
  int64_t (*clients)(const void *config, const cohort_partition_data *data);
  /* owner[sample] from 0 to below `clients`. COHORT_BAD_CONFIG: what cannot be dealt so, without a place. NULL: drawn.
   */
  cohort_status (*deal)(const void *config, const cohort_partition_data *data, int32_t *owner, cohort_error *error);
  bool (*blind)(const void *config); /* whether labels are not looked at with these settings; NULL: they are */
  bool helps;
  const cohort_partition_drawn *drawn; /* NULL: samples are dealt */
} cohort_partition;

/* What it deals by with these settings. */
cohort_partition_by cohort_partition_looks_at(const cohort_method *method, const void *config);

/* The key of a run's population, of the run's seed. */
cohort_random_key cohort_partition_key(uint64_t seed);

/* Deals and checks: more clients than samples, owners out of range, clients without a sample. Errors begin with the
 * method's key. */
cohort_status cohort_partition_deal(const cohort_method *method, const void *config, const cohort_partition_data *data,
                                    int64_t *clients, int32_t *owner, cohort_error *error);

/* ---- for methods ---- */

/* Equal shares of a permutation of all samples. */
void cohort_partition_equally(const cohort_partition_data *data, int64_t clients, int32_t *owner);

/* Samples by label: member[first[label]] to before member[first[label + 1]], ascending. */
typedef struct cohort_partition_members {
  int32_t *member; /* [samples] */
  int64_t *first;  /* [classes + 1] */
} cohort_partition_members;
cohort_partition_members cohort_partition_by_label(const cohort_partition_data *data);

/* Settings that draws of Dirichlet(alpha) have in common. */
typedef struct cohort_partition_draw {
  int64_t clients;
  double alpha;
  int64_t minimum; /* samples that every client gets at least; above 1 by drawing all anew */
  int64_t tries;
} cohort_partition_draw;
/* Each class (`by_class`), or all samples, in proportions over clients that are drawn from Dirichlet(alpha). */
cohort_status cohort_partition_by_proportions(const cohort_partition_draw *draw, bool by_class,
                                              const cohort_partition_data *data, int32_t *owner, cohort_error *error);

#endif
