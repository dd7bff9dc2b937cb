/* The list of what a run keeps, and its way between who holds it and who writes it. Every vector has one slice a rank,
 * whoever holds its pieces; so what is written does not depend on sharding. A deal sends each element at most once. */
#include "train/run/stored.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static void add_flat(const cohort_run *run, cohort_stored_run *stored, const char *flat_path, const char *view_path,
                     cohort_stored_type type, int64_t elements, int tensors, const cohort_stored_tensor *tensor,
                     void *vector, const cohort_shards *shards) {
  const int at = stored->flats++;
  (void)snprintf(stored->path[at][0], COHORT_PATH_ROOM, "%s", flat_path);
  (void)snprintf(stored->path[at][1], COHORT_PATH_ROOM, "%s", view_path);
  cohort_stored_flat *flat = &stored->flat[at];
  *flat = (cohort_stored_flat){.flat_path = stored->path[at][0],
                               .view_path = stored->path[at][1],
                               .type = type,
                               .elements = elements,
                               .tensors = tensors,
                               .tensor = tensor};
  cohort_checkpoint_slice(elements, run->comm->size, run->comm->rank, &flat->first, &flat->count);
  stored->size[at] = type == COHORT_STORED_FLOAT32 ? sizeof(float) : sizeof(int64_t);
  flat->slice = (char *)vector + (size_t)flat->first * stored->size[at];
  stored->vector[at] = vector;
  stored->shards[at] = shards;
}

static cohort_stored_tensor *table_of(const cohort_space *space) {
  cohort_stored_tensor *table = cohort_allocate((size_t)(space->tensors + 1) * sizeof *table);
  for (int t = 0; t < space->tensors; t++) {
    const cohort_space_tensor *tensor = &space->tensor[t];
    table[t] = (cohort_stored_tensor){
        .name = tensor->declared.name, .axes = tensor->declared.shape.axes, .offset = tensor->offset};
    for (int a = 0; a < table[t].axes; a++) table[t].size[a] = tensor->declared.shape.size[a];
  }
  return table;
}

static cohort_stored_type stored_type(cohort_state_type type) {
  if (type == COHORT_STATE_INTEGER) return COHORT_STORED_INT64;
  return type == COHORT_STATE_FLOAT64 ? COHORT_STORED_FLOAT64 : COHORT_STORED_FLOAT32;
}

/* Numbers that every rank has, as /federation/NAME. */
static void add_numbers(const cohort_run *run, cohort_stored_run *stored, const char *name, cohort_stored_type type,
                        int64_t elements, void *values) {
  char flat_path[COHORT_PATH_ROOM];
  cohort_stored_tensor *tensor = &stored->number[stored->flats];
  char *own = stored->number_name[stored->flats];
  (void)snprintf(own, COHORT_PATH_ROOM, "%s", name);
  (void)snprintf(flat_path, COHORT_PATH_ROOM, "/federation/flat/%s", own);
  *tensor = (cohort_stored_tensor){.name = own, .axes = 1, .size = {elements}};
  add_flat(run, stored, flat_path, "/federation", type, elements, elements > 0, tensor, values, NULL);
}

/* What the server of a federated run keeps beside its optimizer: vectors that every rank has. */
static void list_server(const cohort_run *run, cohort_stored_run *stored) {
  const cohort_clients *clients = cohort_federation_clients(run->federation);
  const cohort_space *space = run->spaces.space[0];
  char flat_path[COHORT_PATH_ROOM], view_path[COHORT_PATH_ROOM];
  cohort_clients_kept kept;
  for (int i = 0; cohort_clients_keep(clients, i, &kept); i++) {
    const char *key = run->strategy.method->key;
    if (!kept.like_weights) {
      (void)snprintf(flat_path, COHORT_PATH_ROOM, "%s.%s", key, kept.name);
      add_numbers(run, stored, flat_path, COHORT_STORED_FLOAT64, kept.elements, kept.values);
      continue;
    }
    (void)snprintf(flat_path, COHORT_PATH_ROOM, "/%s/flat/main/%s.%s", space->name, key, kept.name);
    (void)snprintf(view_path, COHORT_PATH_ROOM, "/%s/main/%s.%s", space->name, key, kept.name);
    add_flat(run, stored, flat_path, view_path, COHORT_STORED_FLOAT32, space->elements, space->tensors,
             stored->tensor[0], kept.values, NULL);
  }
}

/* What modules of the rounds keep. */
static void list_modules(const cohort_run *run, cohort_stored_run *stored) {
  char name[COHORT_PATH_ROOM];
  const cohort_round_module *module;
  for (int m = 0; (module = cohort_federation_module(run->federation, m)); m++)
    for (int s = 0; s < module->states; s++) {
      (void)snprintf(name, COHORT_PATH_ROOM, "%s.%s", module->name, module->state[s].name);
      add_numbers(run, stored, name, module->state[s].type, module->state[s].elements, module->state[s].values);
    }
}

/* What a player keeps, beside its space. */
static void list_slots(const cohort_run *run, int space, cohort_stored_run *stored) {
  char flat_path[COHORT_PATH_ROOM], view_path[COHORT_PATH_ROOM];
  const cohort_updater *updater = cohort_run_player(run, space);
  for (int i = 0; i < cohort_updater_slots(updater); i++) {
    const cohort_slot *slot = cohort_updater_slot(updater, i);
    if (slot->scratch) continue;
    (void)snprintf(flat_path, COHORT_PATH_ROOM, "/%s/flat/main/%s", run->spaces.space[space]->name, slot->name);
    (void)snprintf(view_path, COHORT_PATH_ROOM, "/%s/main/%s", run->spaces.space[space]->name, slot->name);
    add_flat(run, stored, flat_path, view_path, stored_type(slot->type), slot->elements, slot->tensors, slot->tensor,
             slot->values, slot->shards);
  }
}

static void list_flats(const cohort_run *run, cohort_stored_run *stored) {
  char flat_path[COHORT_PATH_ROOM], view_path[COHORT_PATH_ROOM];
  memset(stored, 0, sizeof *stored);
  for (int s = 0; s < run->spaces.count; s++) {
    cohort_space *space = run->spaces.space[s];
    stored->tensor[s] = table_of(space);
    (void)snprintf(flat_path, COHORT_PATH_ROOM, "/%s/flat/parameters", space->name);
    (void)snprintf(view_path, COHORT_PATH_ROOM, "/%s/parameters", space->name);
    const bool sharded = run->sharding == COHORT_SHARDING_PARAMETERS;
    add_flat(run, stored, flat_path, view_path, COHORT_STORED_FLOAT32, space->elements, space->tensors,
             stored->tensor[s], space->values, sharded ? run->spaces.layout->own[s] : NULL);
  }
  const cohort_space *state = run->spaces.state;
  if (state) {
    const cohort_stored_tensor *tensor = stored->tensor[COHORT_MAX_SPACES] = table_of(state);
    add_flat(run, stored, "/state/flat/parameters", "/state/parameters", COHORT_STORED_FLOAT32, state->elements,
             state->tensors, tensor, state->values, NULL);
  }
  for (int s = 0; s < run->spaces.trained; s++) list_slots(run, s, stored);
  if (run->federation) list_server(run, stored);
  if (run->federation) list_modules(run, stored);
}

/* Row tables of the run, by index: the task's, and those of the rounds of clients; NULL past the last. */
static cohort_row_table *table_at(const cohort_run *run, int index) {
  if (index < run->task.tables) return run->task.rows[index];
  return run->federation ? cohort_federation_table(run->federation, index - run->task.tables) : NULL;
}

/* Behind the vectors: for a save what the tables hold, for a load what they expect. */
static void list_tables(const cohort_run *run, cohort_stored_run *stored, bool save) {
  stored->vectors = stored->flats;
  cohort_row_table *table;
  for (int t = 0; (table = table_at(run, t)); t++) {
    (save ? cohort_row_table_gather : cohort_row_table_expect)(table, &stored->flat[stored->flats]);
    stored->flats += 1 + cohort_row_table_columns(table);
  }
}

void cohort_stored_list(const cohort_run *run, cohort_stored_run *stored, bool save) {
  list_flats(run, stored);
  list_tables(run, stored, save);
}

cohort_status cohort_stored_take_tables(const cohort_run *run, cohort_stored_run *stored, cohort_error *error) {
  cohort_stored_flat *flat = &stored->flat[stored->vectors];
  cohort_status status = COHORT_DONE;
  cohort_row_table *table;
  for (int t = 0; (table = table_at(run, t)) && status == COHORT_DONE; t++) {
    status = cohort_row_table_scatter(table, flat, error);
    flat += 1 + cohort_row_table_columns(table);
  }
  return status;
}

void cohort_stored_release(const cohort_run *run, cohort_stored_run *stored) {
  cohort_stored_flat *flat = &stored->flat[stored->vectors];
  cohort_row_table *table;
  for (int t = 0; (table = table_at(run, t)); t++) {
    cohort_row_table_release(table, flat);
    flat += 1 + cohort_row_table_columns(table);
  }
  for (int s = 0; s <= COHORT_MAX_SPACES; s++) free(stored->tensor[s]);
}

/* The runs of elements of a sharded vector that `owner` holds of `writer`'s slice, as messages to or from `other`;
 * returns how many. Neighbours are one run. `message` NULL: only counts. */
static int list_runs(const cohort_stored_run *stored, int vector, int ranks, int owner, int writer, int other,
                     cohort_message *message) {
  const cohort_shards *shards = stored->shards[vector];
  const int member = shards->members->number_of[owner];
  int64_t first, count, end = -1;
  int runs = 0;
  cohort_checkpoint_slice(stored->flat[vector].elements, ranks, writer, &first, &count);
  for (int i = 0; i < shards->ranges[member]; i++) {
    const cohort_range range = shards->range[member][i];
    const int64_t from = range.offset > first ? range.offset : first;
    const int64_t range_end = range.offset + range.elements, to = range_end < first + count ? range_end : first + count;
    if (from >= to) continue;
    if (from != end && message)
      message[runs] = (cohort_message){other, stored->vector[vector] + (size_t)from * stored->size[vector], 0};
    runs += from != end;
    if (message) message[runs - 1].bytes += (size_t)(to - from) * stored->size[vector];
    end = to;
  }
  return runs;
}

/* All the messages of a sharded vector in one direction; returns how many. */
static int list_messages(const cohort_run *run, const cohort_stored_run *stored, int i, bool save, bool as_owner,
                         cohort_message *message) {
  const int me = run->comm->rank;
  const cohort_shard_group *members = stored->shards[i]->members;
  int messages = 0;
  for (int r = 0; r < run->comm->size; r++)
    if (r != me && (!save || members->replica_of[r] == members->replica))
      messages += list_runs(stored, i, run->comm->size, as_owner ? me : r, as_owner ? r : me, r,
                            message ? message + messages : NULL);
  return messages;
}

/* Before a save the owners of a sharded vector's elements send them to the ranks of their copy that write them; after a
 * load those that have read them send them to their owners in every copy. What a rank neither owns nor writes it never
 * holds. */
void cohort_stored_deal(const cohort_run *run, const cohort_stored_run *stored, bool save) {
  for (int i = 0; i < stored->vectors; i++) {
    if (!stored->shards[i]) continue;
    const int owned = list_messages(run, stored, i, save, true, NULL);
    const int written = list_messages(run, stored, i, save, false, NULL);
    cohort_message *own = cohort_allocate((size_t)(owned + written + 1) * sizeof *own), *other = own + owned;
    (void)list_messages(run, stored, i, save, true, own);
    (void)list_messages(run, stored, i, save, false, other);
    cohort_comm_name(run->comm, "exchange of slices");
    run->comm->exchange(run->comm, save ? owned : written, save ? own : other, save ? written : owned,
                        save ? other : own);
    free(own);
  }
}

/* After a load every rank has its slice of the vectors that all hold; the others' slices follow. */
void cohort_stored_spread(const cohort_run *run, const cohort_stored_run *stored) {
  size_t *offsets = cohort_allocate(2 * (size_t)run->comm->size * sizeof *offsets);
  size_t *bytes = offsets + run->comm->size;
  for (int i = 0; i < stored->vectors; i++) {
    if (stored->shards[i]) continue;
    for (int r = 0; r < run->comm->size; r++) {
      int64_t first, count;
      cohort_checkpoint_slice(stored->flat[i].elements, run->comm->size, r, &first, &count);
      offsets[r] = (size_t)first * stored->size[i];
      bytes[r] = (size_t)count * stored->size[i];
    }
    cohort_comm_gather_all(run->comm, stored->vector[i], offsets, bytes);
  }
  free(offsets);
  cohort_stored_deal(run, stored, false);
}
