/* The spaces of a run: what each is for, how it is laid out, and their weights, which lie end to end in one vector
 * (state/space_layout.h). Trained spaces come first; those that follow no rule of an optimizer are frozen, or follow
 * another.
 *
 * Intended usage:
 *   cohort_spaces_create(&source, count, declared, &spaces, &error);   tables, from the task's graph
 *   an updater for every trained space, which cuts it and deals its shards
 *   cohort_spaces_lay_out(&spaces, shards, members, sizes);
 *   cohort_spaces_hold(&spaces, comm, &error); cohort_spaces_initialise(&spaces, key, sharded);
 *   cohort_spaces_release(&spaces); */
#ifndef COHORT_TRAIN_PLAYER_SPACES_H
#define COHORT_TRAIN_PLAYER_SPACES_H

#include "lane/source.h"
#include "state/prefetch.h"
#include "state/space_layout.h"

typedef enum cohort_space_rule {
  COHORT_SPACE_TRAINED,
  COHORT_SPACE_FROZEN,
  COHORT_SPACE_COPY,    /* of another, every so many steps */
  COHORT_SPACE_AVERAGE, /* a moving average of another */
} cohort_space_rule;

/* The space of low-rank adapters (method/model/model.h). */
#define COHORT_ADAPTER_SPACE "adapter"

/* What a task says of a space. Its number is its place in the task's list, and that which its graph declares. */
typedef struct cohort_declared_space {
  const char *name; /* in checkpoints: /<name>/flat/parameters */
  cohort_space_rule rule;
  int of;        /* number of the space whose weights it begins with, and which is laid out alike; its own: none */
  int64_t every; /* COPY */
  double decay;  /* AVERAGE */
  const char *init_from; /* a file of its own; NULL: none */
  const char *stored;    /* space of that file, or of the run's, whose tensors it takes by name; NULL: its own, or the
                            one that it begins as */
} cohort_declared_space;

typedef struct cohort_spaces {
  int count, trained;
  int bound; /* 0, or 1: behind them stands one more, whose weights are those of another and take no memory */
  cohort_declared_space declared[COHORT_MAX_SPACES];
  cohort_space *space[COHORT_MAX_SPACES];
  cohort_shards *dealt[COHORT_MAX_SPACES]; /* of those that no updater deals; else NULL */
  cohort_space_layout *layout;
  cohort_vector whole;                     /* all of them */
  cohort_vector vector[COHORT_MAX_SPACES]; /* each: a part of it */
  /* What model and losses keep from step to step, the same on every rank: no space of an optimizer; NULL: nothing. */
  cohort_space *state;
  float *next; /* laid out like it: what it becomes when the step is applied */
} cohort_spaces;

/* COHORT_BUG when a space that begins as another is not laid out like it. Not collective. */
cohort_status cohort_spaces_create(const cohort_lane_source *source, int count, const cohort_declared_space *declared,
                                   cohort_spaces *out, cohort_error *error);
/* Binds one more space to space `of`, under a name of its own: its number is spaces->count. Before they are laid out.
 */
void cohort_spaces_bind(cohort_spaces *spaces, const char *name, int of);
/* `shards` are those of the trained spaces. */
void cohort_spaces_lay_out(cohort_spaces *spaces, const cohort_shards *const *shards, const cohort_shard_group *members,
                           cohort_shard_sizes sizes);
/* Memory for all weights, zero. Collective. */
cohort_status cohort_spaces_hold(cohort_spaces *spaces, cohort_comm *comm, cohort_error *error);
/* Draws initial weights; of `sharded` spaces this rank's pieces. Two spaces of one model begin alike. */
void cohort_spaces_initialise(cohort_spaces *spaces, cohort_random_key key, bool sharded);
/* Before a step, and once it is applied: what is kept becomes what its first answer has made of it. */
void cohort_spaces_begin(cohort_spaces *spaces);
void cohort_spaces_commit(cohort_spaces *spaces);
void cohort_spaces_release(cohort_spaces *spaces);

/* Parameters of all spaces, padding included, as a rank holds them: whole, or a `share` of each. */
double cohort_spaces_elements(const cohort_spaces *spaces);
/* The space of this name, or -1. */
int cohort_spaces_find(const cohort_spaces *spaces, const char *name);

#endif
