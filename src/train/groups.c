#include "train/groups.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

typedef struct group_settings {
  const char *role, *name;
  const cohort_document *optimizer;
  double learning_rate;
  bool decay;
} group_settings;

const cohort_parameter cohort_group_table[] = {
    COHORT_TEXT(group_settings, role, "null",
                "roles it takes, joined by ',': matrix, kernel, vector, gain, embedding, head, scalar"),
    COHORT_TEXT(group_settings, name, "null", "pattern of tensor names it takes, with * and ?"),
    COHORT_METHOD_OF(group_settings, optimizer, NULL, "optimizer", "the group's optimizer"),
    COHORT_REAL_ATLEAST(group_settings, learning_rate, "1", 0, "factor on that optimizer's learning rate"),
    COHORT_BOOLEAN(group_settings, decay, "true", "whether weight decay applies to the group's tensors"),
    {.name = NULL},
};

bool cohort_role_decays(cohort_role role) {
  return role == COHORT_ROLE_MATRIX || role == COHORT_ROLE_KERNEL || role == COHORT_ROLE_EMBEDDING ||
         role == COHORT_ROLE_HEAD;
}

static int count_states(const cohort_method *method) {
  int count = 0;
  while (method->states && method->states[count].name) count++;
  return count;
}

static void set_up(cohort_group *group, double factor, bool decay) {
  group->functions = group->choice.method->functions;
  group->learning_rate = factor * cohort_choice_real(&group->choice, "learning_rate", 0);
  group->weight_decay = cohort_choice_real(&group->choice, "weight_decay", 0);
  group->decay = decay;
  group->states = count_states(group->choice.method);
}

/* A word that is no role would take no tensor, in silence. */
static void check_roles(const char *list, const cohort_document *where, cohort_faults *faults) {
  enum { ROLES = COHORT_ROLE_SCALAR + 1 };
  const char *names[ROLES];
  for (int r = 0; r < ROLES; r++) names[r] = cohort_role_name((cohort_role)r);
  char *own = cohort_copy_text(list), *rest = NULL;
  for (char *word = strtok_r(own, ", ", &rest); word; word = strtok_r(NULL, ", ", &rest)) {
    int r = 0;
    while (r < ROLES && strcmp(names[r], word) != 0) r++;
    if (r < ROLES) continue;
    const char *nearest = cohort_nearest_name(word, names, ROLES);
    cohort_faults_add(
        faults, where,
        "groups.role: no role \"%s\"; %s%s%swrite some of: matrix, kernel, vector, gain, embedding, head, scalar", word,
        nearest ? "did you mean \"" : "", nearest ? nearest : "", nearest ? "\"? " : "");
  }
  free(own);
}

static bool read_group(const cohort_player_plan *plan, const cohort_document *document, cohort_group *group,
                       cohort_document *expanded, cohort_faults *faults) {
  group_settings own;
  cohort_parameters_read(cohort_group_table, document, "groups", &own, expanded, faults);
  if (faults->count) return false;
  if (own.role) check_roles(own.role, cohort_document_get(document, "role"), faults);
  if (!own.role && !own.name) cohort_faults_add(faults, document, "groups: a group needs role or name");
  cohort_settings_choice(plan->variant, "optimizer", own.optimizer, "optimizer", &group->choice, expanded, faults);
  if (faults->count) return false;
  group->role = own.role;
  group->name = own.name;
  set_up(group, own.learning_rate, own.decay);
  if (!group->functions->update)
    cohort_faults_add(faults, document, "groups: %s is a driver; put it at the top, around the groups",
                      group->choice.method->key);
  return true;
}

static bool role_listed(const char *list, const char *role) {
  const size_t length = strlen(role);
  for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
    while (*at == ' ') at++;
    if (strncmp(at, role, length) == 0 && (at[length] == ',' || at[length] == '\0' || at[length] == ' ')) return true;
  }
  return false;
}

static bool takes(const cohort_group *group, const cohort_parameter_tensor *tensor) {
  if (group->role && !role_listed(group->role, cohort_role_name(tensor->role))) return false;
  return !group->name || fnmatch(group->name, tensor->name, 0) == 0;
}

/* A pattern that no tensor's name fits is a slip of the pen; roles that a model lacks are not. */
static void check_names(const cohort_space *space, const cohort_groups *groups, const cohort_document *list,
                        cohort_faults *faults) {
  for (int g = 0; g < groups->count - 1; g++) {
    const char *pattern = groups->group[g].name;
    bool found = !pattern;
    for (int t = 0; t < space->tensors && !found; t++) found = fnmatch(pattern, space->tensor[t].declared.name, 0) == 0;
    if (!found)
      cohort_faults_add(faults, cohort_document_get(list->children[g], "name"),
                        "groups.name: no tensor's name fits \"%s\"; the first is %s (cohort inspect lists a run's)",
                        pattern, space->tensor[0].declared.name);
  }
}

/* Gives every tensor its group: the first that takes it; the last one takes the rest. */
static void assign(const cohort_player_plan *plan, cohort_groups *groups, const cohort_document *where,
                   cohort_faults *faults) {
  const cohort_space *space = plan->space;
  groups->of_tensor = cohort_allocate((size_t)(space->tensors + 1) * sizeof *groups->of_tensor);
  groups->cut = cohort_allocate((size_t)(space->tensors + 1) * sizeof *groups->cut);
  groups->cost = cohort_allocate((size_t)(space->tensors + 1) * sizeof *groups->cost);
  for (int t = 0; t < space->tensors; t++) {
    const cohort_parameter_tensor *tensor = &space->tensor[t].declared;
    int g = 0;
    while (g < groups->count - 1 && !takes(&groups->group[g], tensor)) g++;
    const cohort_group *group = &groups->group[g];
    groups->of_tensor[t] = g;
    groups->cut[t] = group->choice.method->cut;
    groups->cost[t] =
        group->functions->cost ? group->functions->cost(tensor->shape) : (double)space->tensor[t].elements;
    if (group->choice.method->needs & COHORT_NEEDS_MATRICES && tensor->shape.axes < 2)
      cohort_faults_add(faults, where,
                        "optimizer: %s serves matrices only, but %s has %d axes; give it another by groups",
                        group->choice.method->key, tensor->name, tensor->shape.axes);
    const int64_t workspace = group->functions->workspace ? group->functions->workspace(tensor->shape) : 0;
    if (workspace > groups->workspace) groups->workspace = workspace;
  }
}

cohort_status cohort_groups_create(const cohort_player_plan *plan, const cohort_document *optimizer,
                                   const cohort_document *groups, cohort_document *expanded, cohort_groups *out,
                                   cohort_faults *faults, cohort_error *error) {
  const bool listed = groups && !cohort_document_is_null(groups);
  if (listed && groups->kind != COHORT_LIST)
    cohort_faults_add(faults, groups, "groups: wants a list of {role or name, optimizer, ...}");
  COHORT_TRY(cohort_faults_status(faults, error));
  const int count = listed ? (int)groups->count : 0;
  out->group = cohort_allocate((size_t)(count + 1) * sizeof *out->group);
  out->count = count + 1;
  cohort_document *list = cohort_document_create(COHORT_LIST, NULL, 0, 0);
  for (int g = 0; g < count; g++) {
    cohort_document *own = cohort_document_create(COHORT_MAP, NULL, 0, 0);
    cohort_document_append(list, own);
    read_group(plan, groups->children[g], &out->group[g], own, faults);
  }
  if (listed && expanded)
    cohort_document_set(expanded, "groups", list);
  else
    cohort_document_destroy(list);
  cohort_choice_read(plan->variant, "optimizer", optimizer, "optimizer", &out->group[count].choice, NULL, faults);
  if (faults->count) return cohort_faults_status(faults, error);
  set_up(&out->group[count], 1, true);
  if (!out->group[count].functions->update)
    cohort_faults_add(faults, optimizer, "optimizer: the base %s is a driver itself; give it an update, like adamw",
                      out->group[count].choice.method->key);
  if (faults->count) return cohort_faults_status(faults, error);
  if (listed) check_names(plan->space, out, groups, faults);
  assign(plan, out, optimizer, faults);
  return cohort_faults_status(faults, error);
}

static int64_t state_elements(cohort_axis axis, const cohort_parameter_tensor *tensor) {
  const int64_t elements = cohort_shape_elements(tensor->shape);
  const int64_t rows = tensor->shape.axes ? tensor->shape.size[0] : 1;
  switch (axis) {
    case COHORT_AXIS_ELEMENT:
      return elements;
    case COHORT_AXIS_ROW:
      return rows;
    case COHORT_AXIS_COLUMN:
      return elements / rows;
    case COHORT_AXIS_TENSOR:
      return 1;
  }
  return 0;
}

static cohort_slot *slot_named(cohort_groups *groups, const char *name, int tensors) {
  for (int s = 0; s < groups->slots; s++)
    if (strcmp(groups->slot[s].name, name) == 0) return &groups->slot[s];
  cohort_slot *slot = &groups->slot[groups->slots++];
  slot->name = name;
  slot->tensor = cohort_allocate((size_t)(tensors + 1) * sizeof *slot->tensor);
  return slot;
}

static void add_tensor(cohort_slot *slot, const cohort_parameter_tensor *tensor, cohort_axis axis) {
  cohort_stored_tensor *stored = &slot->tensor[slot->tensors++];
  stored->name = tensor->name;
  stored->offset = slot->elements;
  if (axis == COHORT_AXIS_ELEMENT) {
    stored->axes = tensor->shape.axes;
    for (int a = 0; a < stored->axes; a++) stored->size[a] = tensor->shape.size[a];
  } else {
    stored->axes = 1;
    stored->size[0] = state_elements(axis, tensor);
  }
  slot->elements += (int64_t)cohort_round_up((size_t)state_elements(axis, tensor), 16);
}

/* The slot's shards: a piece's owner holds its part of an element state; the owner of a tensor's first piece the rest.
 */
static cohort_shards *slot_shards(const cohort_space *space, const cohort_shards *shards, const cohort_slot *slot) {
  cohort_shards *own = cohort_allocate(sizeof *own);
  const size_t holders = (size_t)shards->holders->count;
  own->holders = shards->holders;
  own->ranges = cohort_allocate(holders * sizeof *own->ranges);
  own->range = cohort_allocate(holders * sizeof *own->range);
  own->elements = cohort_allocate(holders * sizeof *own->elements);
  for (size_t h = 0; h < holders; h++)
    own->range[h] = cohort_allocate((size_t)(space->pieces + 1) * sizeof(cohort_range));
  int at = 0;
  for (int t = 0; t < space->tensors && at < slot->tensors; t++) {
    const cohort_space_tensor *tensor = &space->tensor[t];
    const cohort_stored_tensor *stored = &slot->tensor[at];
    if (stored->name != tensor->declared.name) continue;
    at++;
    int64_t elements = 1;
    for (int a = 0; a < stored->axes; a++) elements *= stored->size[a];
    const bool per_element = elements == tensor->elements;
    for (int p = 0; p < (per_element ? tensor->pieces : 1); p++) {
      const cohort_piece *piece = &space->piece[tensor->first_piece + p];
      const int owner = shards->owner[tensor->first_piece + p];
      const cohort_range range = {stored->offset + (per_element ? piece->offset - tensor->offset : 0),
                                  per_element ? piece->elements : elements};
      own->range[owner][own->ranges[owner]++] = range;
      own->elements[owner] += range.elements;
    }
  }
  return own;
}

static void fill(float *values, int64_t elements, double value) {
  for (int64_t e = 0; e < elements; e++) values[e] = (float)value;
}

/* Of an element state only the pieces updated here: the rest stays untouched and takes no memory. */
static void fill_initial(const cohort_player_plan *plan, const bool *updates, const cohort_group *group,
                         const cohort_state *state, const cohort_space_tensor *tensor, float *values) {
  const double value = state->initial_parameter ? cohort_choice_real(&group->choice, state->initial_parameter, 0) : 0;
  if (value == 0) return;
  if (state->axis != COHORT_AXIS_ELEMENT) fill(values, state_elements(state->axis, &tensor->declared), value);
  for (int p = tensor->first_piece; state->axis == COHORT_AXIS_ELEMENT && p < tensor->first_piece + tensor->pieces;
       p++) {
    const cohort_piece *piece = &plan->space->piece[p];
    if (updates[p]) fill(values + (piece->offset - tensor->offset), piece->elements, value);
  }
}

cohort_status cohort_groups_allocate(const cohort_player_plan *plan, const cohort_shards *shards, const bool *updates,
                                     cohort_groups *groups, cohort_error *error) {
  const cohort_space *space = plan->space;
  int most = 0;
  for (int g = 0; g < groups->count; g++) most += groups->group[g].states;
  groups->slot = cohort_allocate((size_t)(most + 1) * sizeof *groups->slot);
  groups->state = cohort_allocate((size_t)(space->tensors + 1) * sizeof *groups->state);
  for (int t = 0; t < space->tensors; t++) {
    const cohort_group *group = &groups->group[groups->of_tensor[t]];
    for (int s = 0; s < group->states; s++) {
      const cohort_state *state = &group->choice.method->states[s];
      add_tensor(slot_named(groups, state->name, space->tensors), &space->tensor[t].declared, state->axis);
    }
  }
  for (int s = 0; s < groups->slots; s++) {
    void *values = NULL;
    const bool dense = plan->holders->count == 1 || plan->sharding == COHORT_SHARDING_NONE;
    COHORT_TRY(cohort_memory_reserve((size_t)groups->slot[s].elements * sizeof(float), dense, "optimizer state",
                                     &values, error));
    groups->slot[s].values = values;
    if (plan->sharding != COHORT_SHARDING_NONE) groups->slot[s].shards = slot_shards(space, shards, &groups->slot[s]);
  }
  for (int t = 0; t < space->tensors; t++) {
    const cohort_group *group = &groups->group[groups->of_tensor[t]];
    for (int s = 0; s < group->states; s++) {
      const cohort_state *state = &group->choice.method->states[s];
      const cohort_slot *slot = slot_named(groups, state->name, space->tensors);
      int at = 0;
      while (slot->tensor[at].name != space->tensor[t].declared.name) at++;
      groups->state[t].state[s] = slot->values + slot->tensor[at].offset;
      groups->state[t].per_element[s] = state->axis == COHORT_AXIS_ELEMENT;
      fill_initial(plan, updates, group, state, &space->tensor[t], groups->state[t].state[s]);
    }
  }
  return COHORT_DONE;
}

void cohort_groups_release(cohort_groups *groups) {
  for (int g = 0; g < groups->count; g++) cohort_choice_release(&groups->group[g].choice);
  for (int s = 0; s < groups->slots; s++) {
    cohort_memory_release(groups->slot[s].values);
    cohort_shards_destroy(groups->slot[s].shards);
    free(groups->slot[s].tensor);
  }
  free(groups->slot);
  free(groups->state);
  free(groups->of_tensor);
  free(groups->cut);
  free(groups->cost);
  free(groups->group);
  memset(groups, 0, sizeof *groups);
}
