/* How groups are read from a config, and who serves which tensor: the first group that takes it. Its cost is that of
 * matching every tensor with every selector, once. */
#include "update/groups.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

typedef struct group_settings {
  const char *role, *name;
  const cohort_document *optimizer;
  double learning_rate;
  bool decay, frozen;
} group_settings;

const cohort_parameter cohort_group_table[] = {
    COHORT_TEXT(group_settings, role, "null",
                "roles it takes, joined by ',': matrix, kernel, vector, gain, embedding, head, scalar"),
    COHORT_TEXT(group_settings, name, "null", "pattern of tensor names it takes, with * and ?"),
    COHORT_METHOD_OF(group_settings, optimizer, "null", "optimizer", "the group's optimizer"),
    COHORT_REAL_ATLEAST(group_settings, learning_rate, "1", 0, "factor on that optimizer's learning rate"),
    COHORT_BOOLEAN(group_settings, decay, "true", "whether weight decay applies to the group's tensors"),
    COHORT_BOOLEAN(
        group_settings, frozen, "false",
        "the group's tensors stay as they begin, and their gradients are not computed; it takes no optimizer"),
    {.name = NULL},
};

bool cohort_role_decays(cohort_role role) {
  return role == COHORT_ROLE_MATRIX || role == COHORT_ROLE_KERNEL || role == COHORT_ROLE_EMBEDDING ||
         role == COHORT_ROLE_HEAD;
}

static void set_up(cohort_update_group *group, double factor, bool decay) {
  const cohort_method *method = group->choice.method;
  group->functions = method->functions;
  while (method->states && method->states[group->states].name) group->states++;
  while (group->functions->sums && group->functions->sums[group->sums].name) group->sums++;
  group->passes = group->functions->passes > 1 ? group->functions->passes : 1;
  group->learning_rate = factor * cohort_choice_real(&group->choice, "learning_rate", 0);
  group->weight_decay = cohort_choice_real(&group->choice, "weight_decay", 0);
  group->decay = decay;
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

/* That of a frozen group is plain descent by a factor of 0, which leaves every bit. */
static void read_optimizer(cohort_variant variant, const group_settings *own, const cohort_document *document,
                           cohort_choice *choice, cohort_document *expanded, cohort_faults *faults) {
  const bool given = !cohort_document_is_null(own->optimizer);
  if (own->frozen && given)
    cohort_faults_add(faults, own->optimizer, "groups: a frozen group is not trained; remove its optimizer or frozen");
  if (!own->frozen && !given)
    cohort_faults_add(faults, document, "groups: a group needs an optimizer, or frozen: true");
  if (faults->count) return;
  if (given) {
    cohort_choice_expand(variant, "optimizer", own->optimizer, "optimizer", choice, expanded, faults);
    return;
  }
  const cohort_choice_number rate = {"learning_rate", 1};
  cohort_error error;
  if (cohort_choice_make(variant, "optimizer", "sgd", 1, &rate, choice, &error) != COHORT_DONE)
    cohort_faults_add(faults, document, "groups: %s", error.text);
}

static bool read_group(const cohort_updater_options *options, const cohort_document *document,
                       cohort_update_group *group, cohort_document *expanded, cohort_faults *faults) {
  group_settings own;
  cohort_parameters_read(cohort_group_table, document, "groups", &own, expanded, faults);
  if (faults->count) return false;
  if (own.role) check_roles(own.role, cohort_document_get(document, "role"), faults);
  if (!own.role && !own.name) cohort_faults_add(faults, document, "groups: a group needs role or name");
  read_optimizer(options->variant, &own, document, &group->choice, expanded, faults);
  if (faults->count) return false;
  group->role = own.role;
  group->name = own.name;
  group->frozen = own.frozen;
  set_up(group, own.frozen ? 0 : own.learning_rate, own.decay && !own.frozen);
  if (cohort_optimizer_drives(group->functions))
    cohort_faults_add(faults, document, "groups: %s is a driver; put it at the top, around the groups",
                      group->choice.method->key);
  return true;
}

cohort_document *cohort_groups_expand(const cohort_document *groups, cohort_faults *faults) {
  cohort_document *list = cohort_document_create(COHORT_LIST, NULL, 0, 0);
  for (size_t g = 0; g < groups->count; g++) {
    group_settings own;
    cohort_choice choice = {0};
    cohort_document *expanded = cohort_document_create(COHORT_MAP, NULL, 0, 0);
    cohort_document_append(list, expanded);
    cohort_parameters_read(cohort_group_table, groups->children[g], "groups", &own, expanded, faults);
    if (faults->count) break;
    read_optimizer(COHORT_VARIANT_F64, &own, groups->children[g], &choice, expanded, faults);
    cohort_choice_release(&choice);
  }
  return list;
}

static bool role_listed(const char *list, const char *role) {
  const size_t length = strlen(role);
  for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
    while (*at == ' ') at++;
    if (strncmp(at, role, length) == 0 && (at[length] == ',' || at[length] == '\0' || at[length] == ' ')) return true;
  }
  return false;
}

static bool takes(const cohort_update_group *group, const cohort_parameter_tensor *tensor) {
  if (group->role && !role_listed(group->role, cohort_role_name(tensor->role))) return false;
  return !group->name || fnmatch(group->name, tensor->name, 0) == 0;
}

/* A pattern that no tensor's name fits is a slip of the pen; roles that a model lacks are not. */
static void check_names(const cohort_space *space, const cohort_parameter_groups *groups, const cohort_document *list,
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

static void serve(cohort_parameter_groups *groups, int tensor, const cohort_space_tensor *own,
                  const cohort_document *where, cohort_faults *faults) {
  const cohort_parameter_tensor *declared = &own->declared;
  const cohort_update_group *group = &groups->group[groups->of_tensor[tensor]];
  const cohort_optimizer *functions = group->functions;
  const void *config = group->choice.config;
  groups->cut[tensor] = functions->cut ? functions->cut(config, declared->shape) : group->choice.method->cut;
  groups->cost[tensor] = functions->cost ? functions->cost(config, declared->shape) : (double)own->elements;
  if (group->choice.method->needs & COHORT_NEEDS_MATRICES && declared->shape.axes < 2)
    cohort_faults_add(faults, where,
                      "optimizer: %s serves matrices only, but %s has %d axes; give it another by groups",
                      group->choice.method->key, declared->name, declared->shape.axes);
  const int64_t workspace = functions->workspace ? functions->workspace(config, declared->shape) : 0;
  if (workspace > groups->workspace) groups->workspace = workspace;
}

/* Gives every tensor its group: the first that takes it; the last one takes the rest. */
static void assign(cohort_space *space, cohort_parameter_groups *groups, const cohort_document *where,
                   cohort_faults *faults) {
  for (int t = 0; t < space->tensors; t++) {
    int g = 0;
    while (g < groups->count - 1 && !takes(&groups->group[g], &space->tensor[t].declared)) g++;
    groups->of_tensor[t] = g;
    space->tensor[t].frozen = groups->group[g].frozen;
    serve(groups, t, &space->tensor[t], where, faults);
  }
}

static void make_tables(const cohort_space *space, cohort_parameter_groups *groups) {
  groups->of_tensor = cohort_allocate((size_t)(space->tensors + 1) * sizeof *groups->of_tensor);
  groups->cut = cohort_allocate((size_t)(space->tensors + 1) * sizeof *groups->cut);
  groups->cost = cohort_allocate((size_t)(space->tensors + 1) * sizeof *groups->cost);
}

/* The groups that are listed, each expanded into `list`. */
static void read_listed(const cohort_updater_options *options, cohort_parameter_groups *out, cohort_document *list,
                        cohort_faults *faults) {
  for (int g = 0; g < out->count - 1; g++) {
    cohort_document *own = cohort_document_create(COHORT_MAP, NULL, 0, 0);
    cohort_document_append(list, own);
    read_group(options, options->groups->children[g], &out->group[g], own, faults);
  }
}

static void read_rest(const cohort_updater_options *options, const cohort_document *base, cohort_update_group *group,
                      cohort_faults *faults) {
  if (options->made)
    group->choice = cohort_choice_copy(options->made);
  else
    cohort_choice_read(options->variant, "optimizer", base, options->optimizer_path, &group->choice, NULL, faults);
  if (group->choice.method) set_up(group, 1, true);
}

cohort_status cohort_parameter_groups_create(const cohort_updater_options *options, const cohort_document *base,
                                             cohort_parameter_groups *out, cohort_faults *faults, cohort_error *error) {
  const bool listed = options->groups && !cohort_document_is_null(options->groups);
  if (listed && options->groups->kind != COHORT_LIST)
    cohort_faults_add(faults, options->groups, "groups: wants a list of {role or name, optimizer, ...}");
  if (listed && !base && !options->made)
    cohort_faults_add(faults, options->groups,
                      "groups: the optimizer has no base that could share the tensors with them");
  COHORT_TRY(cohort_faults_status(faults, error));
  make_tables(options->space, out);
  if (!base && !options->made) {
    for (int t = 0; t < options->space->tensors; t++) out->cost[t] = (double)options->space->tensor[t].elements;
    return COHORT_DONE;
  }
  const int count = listed ? (int)options->groups->count : 0;
  out->group = cohort_allocate((size_t)(count + 1) * sizeof *out->group);
  out->count = count + 1;
  cohort_document *list = cohort_document_create(COHORT_LIST, NULL, 0, 0);
  if (listed) read_listed(options, out, list, faults);
  if (listed && options->expanded)
    cohort_document_set(options->expanded, options->groups_path, list);
  else
    cohort_document_destroy(list);
  read_rest(options, base, &out->group[count], faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  if (listed) check_names(options->space, out, options->groups, faults);
  assign(options->space, out, base, faults);
  for (int g = 0; g < out->count; g++)
    if (out->group[g].passes > out->passes) out->passes = out->group[g].passes;
  return cohort_faults_status(faults, error);
}

void cohort_parameter_groups_release(cohort_parameter_groups *groups) {
  for (int g = 0; g < groups->count; g++) cohort_choice_release(&groups->group[g].choice);
  free(groups->of_tensor);
  free(groups->cut);
  free(groups->cost);
  free(groups->group);
  memset(groups, 0, sizeof *groups);
}
