/* A run's spaces, made in three steps as more becomes known: tables, shards, memory. Invariant: a space that begins as
 * another is cut and dealt like it, so whoever owns a piece of one owns that of the other. Costs the number of tensors
 * and pieces; initial values a pass over what this rank holds. */
#include "train/player/spaces.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "lane/graph.h"

cohort_status cohort_spaces_create(const cohort_lane_source *source, int count, const cohort_declared_space *declared,
                                   cohort_spaces *out, cohort_error *error) {
  memset(out, 0, sizeof *out);
  cohort_graph *graph = NULL;
  COHORT_TRY(cohort_lane_source_graph(source, &graph, error));
  out->count = count;
  for (int s = 0; s < count; s++) {
    out->declared[s] = declared[s];
    out->space[s] = cohort_space_create(graph, s, declared[s].name);
    if (declared[s].rule == COHORT_SPACE_TRAINED) out->trained = s + 1;
  }
  out->state = cohort_space_of_states(graph);
  cohort_graph_destroy(graph);
  for (int s = 0; s < count; s++)
    if (!cohort_space_alike(out->space[s], out->space[declared[s].of]))
      return cohort_fail(error, COHORT_BUG, "spaces: %s is not laid out like %s; report this", declared[s].name,
                         declared[declared[s].of].name);
  return COHORT_DONE;
}

void cohort_spaces_bind(cohort_spaces *spaces, const char *name, int of) {
  const cohort_space *space = spaces->space[of];
  cohort_parameter_tensor *declared = cohort_allocate((size_t)(space->tensors + 1) * sizeof *declared);
  for (int t = 0; t < space->tensors; t++) declared[t] = space->tensor[t].declared;
  const int number = spaces->count;
  spaces->bound = 1;
  spaces->declared[number] = (cohort_declared_space){.name = name, .rule = COHORT_SPACE_FROZEN, .of = of};
  spaces->space[number] = cohort_space_of(name, space->tensors, declared);
  free(declared);
}

/* Frozen ones are cut by elements. */
static cohort_shards *deal(const cohort_space *space, const cohort_shard_group *members, cohort_shard_sizes sizes) {
  cohort_cut *cut = cohort_allocate((size_t)(space->tensors + 1) * sizeof *cut);
  double *cost = cohort_allocate((size_t)(space->tensors + 1) * sizeof *cost);
  for (int t = 0; t < space->tensors; t++) cost[t] = (double)space->tensor[t].elements;
  cohort_shards *shards = cohort_shards_create(space, members, cut, cost, sizes);
  free(cost);
  free(cut);
  return shards;
}

void cohort_spaces_lay_out(cohort_spaces *spaces, const cohort_shards *const *shards, const cohort_shard_group *members,
                           cohort_shard_sizes sizes) {
  const cohort_shards *own[COHORT_MAX_SPACES];
  const int all = spaces->count + spaces->bound;
  for (int s = 0; s < all; s++) {
    const int of = spaces->declared[s].of;
    if (s < spaces->trained) {
      own[s] = shards[s];
    } else if (of != s) {
      own[s] = own[of];
      cohort_space_cut_like(spaces->space[s], spaces->space[of]);
    } else {
      own[s] = spaces->dealt[s] = deal(spaces->space[s], members, sizes);
    }
  }
  spaces->layout = cohort_space_layout_create(all, spaces->trained, spaces->space, own);
}

cohort_status cohort_spaces_hold(cohort_spaces *spaces, cohort_comm *comm, cohort_error *error) {
  const cohort_space_layout *layout = spaces->layout;
  COHORT_TRY(cohort_vector_create(comm, layout->first[spaces->count], "parameters", &spaces->whole, error));
  for (int s = 0; s < spaces->count; s++) {
    spaces->vector[s] = (cohort_vector){spaces->whole.values + layout->first[s], spaces->whole.shared, layout->first[s],
                                        layout->first[s]};
    spaces->space[s]->values = spaces->vector[s].values;
  }
  if (spaces->bound) {
    const int of = spaces->declared[spaces->count].of;
    spaces->vector[spaces->count] = spaces->vector[of];
    spaces->vector[spaces->count].origin = layout->first[spaces->count];
  }
  if (!spaces->state) return COHORT_DONE;
  spaces->next = cohort_allocate((size_t)spaces->state->elements * sizeof *spaces->next);
  return cohort_space_hold(spaces->state, error);
}

void cohort_spaces_initialise(cohort_spaces *spaces, cohort_random_key key, bool sharded) {
  for (int s = 0; s < spaces->count; s++) {
    const cohort_space *space = spaces->space[s];
    bool *held = cohort_allocate((size_t)space->pieces + 1);
    for (int p = 0; p < space->pieces; p++) held[p] = !sharded || cohort_shards_own(spaces->layout->own[s], p);
    cohort_space_initialise(spaces->space[s], key, held);
    free(held);
  }
  if (spaces->state) cohort_space_initialise(spaces->state, key, NULL);
}

void cohort_spaces_begin(cohort_spaces *spaces) {
  if (spaces->state)
    memcpy(spaces->next, spaces->state->values, (size_t)spaces->state->elements * sizeof *spaces->next);
}

void cohort_spaces_commit(cohort_spaces *spaces) {
  if (spaces->state)
    memcpy(spaces->state->values, spaces->next, (size_t)spaces->state->elements * sizeof *spaces->next);
}

void cohort_spaces_release(cohort_spaces *spaces) {
  cohort_space_layout_destroy(spaces->layout);
  for (int s = 0; s < spaces->count + spaces->bound; s++) {
    cohort_shards_destroy(spaces->dealt[s]);
    cohort_space_destroy(spaces->space[s]);
  }
  cohort_space_destroy(spaces->state);
  free(spaces->next);
  cohort_vector_release(&spaces->whole);
  memset(spaces, 0, sizeof *spaces);
}

double cohort_spaces_elements(const cohort_spaces *spaces) {
  double elements = 0;
  for (int s = 0; s < spaces->count; s++) elements += (double)spaces->space[s]->elements;
  return elements;
}

int cohort_spaces_find(const cohort_spaces *spaces, const char *name) {
  for (int s = 0; s < spaces->count; s++)
    if (strcmp(spaces->space[s]->name, name) == 0) return s;
  return -1;
}
