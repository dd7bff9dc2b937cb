/* State of updates by owner. Invariant: an element or row state is held where its piece is updated; a state of a
 * column, a tensor or the space is the same on all ranks unless the method is cut by tensors, when the tensor's owner
 * has it. Memory follows what is owned, times the size that the method's descriptor gives. */
#include "update/state.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static int64_t owners_of(cohort_owner owner, cohort_shape shape) {
  const int64_t elements = cohort_shape_elements(shape), rows = shape.axes ? shape.size[0] : 1;
  switch (owner) {
    case COHORT_OWNER_ELEMENT:
      return elements;
    case COHORT_OWNER_ROW:
      return rows;
    case COHORT_OWNER_COLUMN:
      return rows ? elements / rows : 0;
    case COHORT_OWNER_TENSOR:
    case COHORT_OWNER_SPACE:
      return 1;
    case COHORT_OWNER_CLIENT: /* no optimizer's */
      return 0;
  }
  return 0;
}

static int64_t each_of(const cohort_state *state, const void *config, cohort_shape shape) {
  return state->size ? state->size(config, shape) : 1;
}

int64_t cohort_state_elements(const cohort_state *state, const void *config, cohort_shape shape) {
  return owners_of(state->owner, shape) * each_of(state, config, shape);
}

static size_t number_of(cohort_state_type type, size_t real_size) {
  return type == COHORT_STATE_REAL ? real_size : sizeof(int64_t);
}

/* What tells slots of one name apart. */
typedef struct slot_kind {
  cohort_state_type type;
  bool scratch, replicated;
} slot_kind;

typedef struct layout {
  const cohort_updater_options *options;
  const cohort_parameter_groups *groups;
  cohort_update_state *out;
  slot_kind *kind;      /* [slots] */
  cohort_owner **owner; /* [slots][entries]: of each entry */
  int **of;             /* [slots][entries]: tensor, or -1 - group */
} layout;

/* Whether all ranks have what a state has of a tensor. */
static bool is_replicated(const layout *l, const cohort_state *state, int tensor) {
  if (state->owner == COHORT_OWNER_SPACE) return true;
  return l->groups->cut[tensor] != COHORT_CUT_TENSOR &&
         (state->owner == COHORT_OWNER_COLUMN || state->owner == COHORT_OWNER_TENSOR);
}

static bool same_kind(slot_kind a, slot_kind b) {
  return a.type == b.type && a.scratch == b.scratch && a.replicated == b.replicated;
}

/* The slot of this name and kind; where methods keep different things under one name the later one's says whose. */
static int slot_named(layout *l, const cohort_method *method, const cohort_state *state, slot_kind kind) {
  cohort_update_state *out = l->out;
  bool taken = false;
  char *longer = cohort_format_text("%s@%s", state->name, method->key);
  int found = -1;
  for (int s = 0; s < out->slots && found < 0; s++) {
    const bool same = strcmp(out->slot[s].name, state->name) == 0;
    if ((same || strcmp(out->slot[s].name, longer) == 0) && same_kind(l->kind[s], kind)) found = s;
    taken = taken || same;
  }
  if (found < 0) {
    const size_t room = (size_t)(l->options->space->tensors + l->groups->count + 1);
    found = out->slots++;
    out->slot[found].name = cohort_copy_text(taken ? longer : state->name);
    out->slot[found].type = kind.type;
    out->slot[found].scratch = kind.scratch;
    out->slot[found].tensor = cohort_allocate(room * sizeof(cohort_stored_tensor));
    l->kind[found] = kind;
    l->owner[found] = cohort_allocate(room * sizeof(cohort_owner));
    l->of[found] = cohort_allocate(room * sizeof(int));
  }
  free(longer);
  return found;
}

/* Adds what a state has of one tensor (or, `tensor` below 0, of a group's space) to its slot. */
static void add_entry(layout *l, const cohort_update_group *group, int g, int s, int tensor, const char *name,
                      cohort_shape shape) {
  const cohort_method *method = group->choice.method;
  const cohort_state *state = &method->states[s];
  const int64_t each = each_of(state, group->choice.config, shape), owners = owners_of(state->owner, shape);
  if (!each) return; /* these settings keep none of this shape */
  const slot_kind kind = {state->type, state->scratch, is_replicated(l, state, tensor)};
  const int slot_number = slot_named(l, method, state, kind);
  cohort_slot *slot = &l->out->slot[slot_number];
  cohort_stored_tensor *stored = &slot->tensor[slot->tensors];
  l->owner[slot_number][slot->tensors] = state->owner;
  l->of[slot_number][slot->tensors] = tensor < 0 ? -1 - g : tensor;
  stored->name = name;
  stored->offset = slot->elements;
  if (state->owner == COHORT_OWNER_ELEMENT) {
    stored->axes = shape.axes;
    for (int a = 0; a < stored->axes; a++) stored->size[a] = shape.size[a];
  } else {
    stored->axes = 1;
    stored->size[0] = owners;
  }
  if (each != 1 && stored->axes < 6) stored->size[stored->axes++] = each;
  slot->tensors++;
  slot->elements += (int64_t)cohort_round_up((size_t)(owners * each), 16);
  const size_t number = number_of(state->type, l->options->kernels->real_size);
  /* An offset, of which place_states makes an address. */
  const cohort_state_place place = {(char *)((size_t)stored->offset * number), each, number};
  if (tensor < 0)
    l->out->space[g * COHORT_MAX_STATES + s] = place;
  else
    l->out->tensor[tensor * COHORT_MAX_STATES + s] = place;
}

static cohort_status check_owner(const cohort_method *method, const cohort_state *state, cohort_cut cut,
                                 cohort_error *error) {
  if (state->owner != COHORT_OWNER_ROW || cut != COHORT_CUT_ELEMENT) return COHORT_DONE;
  return cohort_fail(error, COHORT_BUG, "optimizer %s: keeps %s by rows but is cut by elements; report this",
                     method->key, state->name);
}

static cohort_status lay_out(layout *l, cohort_error *error) {
  static const char *const all[] = {"all"};
  const cohort_space *space = l->options->space;
  for (int g = 0; g < l->groups->count; g++) {
    const cohort_update_group *group = &l->groups->group[g];
    for (int s = 0; s < group->states; s++)
      if (group->choice.method->states[s].owner == COHORT_OWNER_SPACE)
        add_entry(l, group, g, s, -1, all[0], COHORT_SHAPE(space->parameters));
  }
  for (int t = 0; t < space->tensors; t++) {
    const int g = l->groups->of_tensor[t];
    const cohort_update_group *group = &l->groups->group[g];
    const cohort_parameter_tensor *declared = &space->tensor[t].declared;
    for (int s = 0; l->groups->count && s < group->states; s++) {
      const cohort_state *state = &group->choice.method->states[s];
      if (state->owner == COHORT_OWNER_SPACE) continue;
      if (each_of(state, group->choice.config, declared->shape))
        COHORT_TRY(check_owner(group->choice.method, state, l->groups->cut[t], error));
      add_entry(l, group, g, s, t, declared->name, declared->shape);
    }
  }
  return COHORT_DONE;
}

static void add_range(cohort_shards *own, int owner, int64_t offset, int64_t elements) {
  if (!elements) return;
  own->range[owner][own->ranges[owner]++] = (cohort_range){offset, elements};
  own->elements[owner] += elements;
}

/* A piece's owner holds its part of an element or row state; the owner of a tensor's first piece what the tensor has.
 */
static cohort_shards *slot_shards(const layout *l, const cohort_shards *shards, int slot_number) {
  const cohort_space *space = l->options->space;
  const cohort_slot *slot = &l->out->slot[slot_number];
  cohort_shards *own = cohort_allocate(sizeof *own);
  const size_t members = (size_t)shards->members->count;
  own->members = shards->members;
  own->ranges = cohort_allocate(members * sizeof *own->ranges);
  own->range = cohort_allocate(members * sizeof *own->range);
  own->elements = cohort_allocate(members * sizeof *own->elements);
  for (size_t h = 0; h < members; h++)
    own->range[h] = cohort_allocate((size_t)(space->pieces + 1) * sizeof(cohort_range));
  for (int i = 0; i < slot->tensors; i++) {
    const cohort_space_tensor *tensor = &space->tensor[l->of[slot_number][i]];
    const cohort_stored_tensor *stored = &slot->tensor[i];
    int64_t elements = 1;
    for (int a = 0; a < stored->axes; a++) elements *= stored->size[a];
    const cohort_owner owner = l->owner[slot_number][i];
    const bool by_piece = owner == COHORT_OWNER_ELEMENT ||
                          (owner == COHORT_OWNER_ROW && l->groups->cut[l->of[slot_number][i]] == COHORT_CUT_ROW);
    if (!by_piece) add_range(own, shards->owner[tensor->first_piece], stored->offset, elements);
    for (int p = 0; by_piece && p < tensor->pieces; p++) {
      const cohort_piece *piece = &space->piece[tensor->first_piece + p];
      add_range(own, shards->owner[tensor->first_piece + p],
                stored->offset + (piece->offset - tensor->offset) * elements / tensor->elements,
                piece->elements * elements / tensor->elements);
    }
  }
  return own;
}

static cohort_status allocate(layout *l, const cohort_shards *shards, cohort_error *error) {
  const cohort_updater_options *options = l->options;
  for (int s = 0; s < l->out->slots; s++) {
    cohort_slot *slot = &l->out->slot[s];
    const bool replicated = l->kind[s].replicated || options->sharding == COHORT_SHARDING_NONE;
    if (!replicated) slot->shards = slot_shards(l, shards, s);
    if (options->plan_only) continue;
    const size_t bytes = (size_t)slot->elements * number_of(slot->type, options->kernels->real_size);
    COHORT_TRY(cohort_memory_reserve(bytes, replicated || options->members->count == 1, "optimizer state",
                                     &slot->values, error));
  }
  return COHORT_DONE;
}

/* Offsets become addresses. */
static void place_states(layout *l) {
  const cohort_updater_options *options = l->options;
  for (int s = 0; s < l->out->slots; s++)
    for (int i = 0; i < l->out->slot[s].tensors; i++) {
      const int of = l->of[s][i], g = of < 0 ? -1 - of : l->groups->of_tensor[of];
      cohort_state_place *place =
          of < 0 ? &l->out->space[g * COHORT_MAX_STATES] : &l->out->tensor[of * COHORT_MAX_STATES];
      const cohort_method *method = l->groups->group[g].choice.method;
      for (int k = 0; k < l->groups->group[g].states; k++) {
        if ((method->states[k].owner == COHORT_OWNER_SPACE) != (of < 0) || !place[k].each) continue;
        const slot_kind kind = {method->states[k].type, method->states[k].scratch,
                                is_replicated(l, &method->states[k], of)};
        if (slot_named(l, method, &method->states[k], kind) != s) continue;
        place[k].values = options->plan_only ? NULL : (char *)l->out->slot[s].values + (size_t)place[k].values;
      }
    }
}

cohort_status cohort_update_state_create(const cohort_updater_options *options, const cohort_parameter_groups *groups,
                                         const cohort_shards *shards, cohort_update_state *out, cohort_error *error) {
  int most = 1;
  for (int g = 0; g < groups->count; g++) most += groups->group[g].states;
  out->slot = cohort_allocate((size_t)most * sizeof *out->slot);
  out->tensor = cohort_allocate((size_t)(options->space->tensors + 1) * COHORT_MAX_STATES * sizeof *out->tensor);
  out->space = cohort_allocate((size_t)(groups->count + 1) * COHORT_MAX_STATES * sizeof *out->space);
  layout l = {.options = options, .groups = groups, .out = out};
  l.kind = cohort_allocate((size_t)most * sizeof *l.kind);
  l.owner = cohort_allocate((size_t)most * sizeof *l.owner);
  l.of = cohort_allocate((size_t)most * sizeof *l.of);
  cohort_status status = lay_out(&l, error);
  if (status == COHORT_DONE) status = allocate(&l, shards, error);
  if (status == COHORT_DONE) place_states(&l);
  for (int s = 0; s < out->slots; s++) {
    free(l.owner[s]);
    free(l.of[s]);
  }
  free(l.kind);
  free(l.owner);
  free(l.of);
  return status;
}

void cohort_update_state_release(cohort_update_state *state) {
  for (int s = 0; s < state->slots; s++) {
    cohort_memory_release(state->slot[s].values);
    cohort_shards_destroy(state->slot[s].shards);
    free(state->slot[s].tensor);
    free((char *)(uintptr_t)state->slot[s].name);
  }
  free(state->slot);
  free(state->tensor);
  free(state->space);
  memset(state, 0, sizeof *state);
}

static void fill(char *values, int64_t count, cohort_state_type type, size_t number, double value) {
  for (int64_t i = 0; i < count; i++) {
    if (type == COHORT_STATE_INTEGER)
      ((int64_t *)(void *)values)[i] = (int64_t)value;
    else if (number == sizeof(float))
      ((float *)(void *)values)[i] = (float)value;
    else
      ((double *)(void *)values)[i] = value;
  }
}

/* Of an element or row state only the pieces updated here: the rest stays untouched and takes no memory. */
static void reset_tensor(const cohort_updater_options *options, const cohort_update_group *group,
                         const cohort_state *state, const cohort_state_place *place, const cohort_space_tensor *tensor,
                         const bool *updates, bool fresh) {
  const double value = state->initial_parameter ? cohort_choice_real(&group->choice, state->initial_parameter, 0) : 0;
  const int64_t all = cohort_state_elements(state, group->choice.config, tensor->declared.shape);
  if (!tensor->elements || (fresh && value == 0)) return;
  if (state->owner != COHORT_OWNER_ELEMENT && state->owner != COHORT_OWNER_ROW) {
    fill(place->values, all, state->type, place->number, value);
    return;
  }
  for (int p = tensor->first_piece; p < tensor->first_piece + tensor->pieces; p++) {
    if (!updates[p]) continue;
    const cohort_piece *piece = &options->space->piece[p];
    const int64_t first = (piece->offset - tensor->offset) * all / tensor->elements;
    const int64_t last = (piece->offset - tensor->offset + piece->elements) * all / tensor->elements;
    fill(place->values + (size_t)first * place->number, last - first, state->type, place->number, value);
  }
}

void cohort_update_state_reset(const cohort_updater_options *options, const cohort_parameter_groups *groups,
                               const bool *updates, bool fresh, cohort_update_state *state) {
  for (int t = 0; groups->count && t < options->space->tensors; t++) {
    const cohort_update_group *group = &groups->group[groups->of_tensor[t]];
    for (int s = 0; s < group->states; s++) {
      const cohort_state *own = &group->choice.method->states[s];
      if (own->owner == COHORT_OWNER_SPACE) continue;
      reset_tensor(options, group, own, &state->tensor[t * COHORT_MAX_STATES + s], &options->space->tensor[t], updates,
                   fresh);
    }
  }
  for (int g = 0; g < groups->count; g++)
    for (int s = 0; s < groups->group[g].states; s++) {
      const cohort_update_group *group = &groups->group[g];
      const cohort_state *own = &group->choice.method->states[s];
      const cohort_state_place *place = &state->space[g * COHORT_MAX_STATES + s];
      if (own->owner != COHORT_OWNER_SPACE) continue;
      const double value = own->initial_parameter ? cohort_choice_real(&group->choice, own->initial_parameter, 0) : 0;
      fill(place->values, place->each, own->type, place->number, value);
    }
}

void cohort_update_state_take_weights(const cohort_updater_options *options, const cohort_parameter_groups *groups,
                                      const bool *updates, cohort_update_state *state) {
  const cohort_space *space = options->space;
  const size_t real = options->kernels->real_size;
  for (int p = 0; groups->count && p < space->pieces; p++) {
    const cohort_piece *piece = &space->piece[p];
    const cohort_update_group *group = &groups->group[groups->of_tensor[piece->tensor]];
    for (int s = 0; updates[p] && s < group->states; s++) {
      if (!group->choice.method->states[s].from_weights) continue;
      char *to = state->tensor[piece->tensor * COHORT_MAX_STATES + s].values;
      memcpy(to + (size_t)(piece->offset - space->tensor[piece->tensor].offset) * real,
             (const char *)space->values + (size_t)piece->offset * real, (size_t)piece->elements * real);
    }
  }
}
