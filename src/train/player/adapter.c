/* Which layers have adapters: those of the names in `lora.targets`, or all matrices. Invariant: a name that no layer
 * has is a fault, so nothing is left out in silence. Costs names x tensors, once. */
#include "train/player/adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { BY_RANK, BY_ROOT };
static const char *const scalings[] = {"rank", "root", NULL};

const cohort_parameter cohort_lora_table[] = {
    COHORT_INTEGER_RANGE(cohort_lora_settings, rank, "8", 1, 65536, "rank of every adapter"),
    COHORT_REAL_ABOVE(cohort_lora_settings, alpha, "16", 0, "an adapter's output is scaled by alpha over `scaling`"),
    COHORT_CHOICE(cohort_lora_settings, scaling, "rank", scalings,
                  "what alpha is divided by: the rank, or its root (rsLoRA)"),
    COHORT_BOOLEAN(cohort_lora_settings, dora, "false",
                   "DoRA: a trained magnitude for each output of a layer, whose direction the adapter turns"),
    COHORT_REAL_UNIT(cohort_lora_settings, dropout, "0", "share of an adapter's inputs dropped in training"),
    COHORT_TREE(cohort_lora_settings, targets,
                "names of the layers that get an adapter, such as [query, value]; null: every matrix but the head"),
    {.name = NULL},
};

cohort_adapter cohort_adapter_of(const cohort_lora_settings *settings, int space, cohort_faults *faults) {
  const double rank = (double)settings->rank;
  cohort_adapter out = {.space = space,
                        .rank = settings->rank,
                        .scale = settings->alpha / (settings->scaling == BY_ROOT ? sqrt(rank) : rank),
                        .dropout = settings->dropout,
                        .magnitude = settings->dora};
  const cohort_document *list = settings->targets;
  if (!list || cohort_document_is_null(list)) return out;
  bool good = list->kind == COHORT_LIST && list->count > 0;
  for (size_t i = 0; good && i < list->count; i++) good = list->children[i]->kind == COHORT_SCALAR;
  if (!good) {
    cohort_faults_add(faults, list, "lora.targets: wants a list of names of layers, such as [query, value]");
    return out;
  }
  out.target = cohort_allocate((list->count + 1) * sizeof *out.target);
  for (size_t i = 0; i < list->count; i++) out.target[out.targets++] = list->children[i]->text;
  return out;
}

void cohort_adapter_release(cohort_adapter *adapter) {
  free(adapter->target);
  *adapter = (cohort_adapter){0};
}

/* The layer's own name of "layer0.attention.query.lora_a": at most `room` bytes of "query". */
static void layer_of(const char *tensor, char *out, size_t room) {
  const char *end = strrchr(tensor, '.'), *begin = end ? end : tensor;
  while (begin > tensor && begin[-1] != '.') begin--;
  (void)snprintf(out, room, "%.*s", end ? (int)(end - begin) : 0, begin);
}

/* Matrices that could have one, by name, each once. */
static char *list_layers(const cohort_space *model) {
  enum { ROOM = 96 };
  char *list = cohort_copy_text("");
  for (int t = 0; t < model->tensors; t++) {
    char layer[ROOM], other[ROOM];
    bool known = model->tensor[t].declared.role != COHORT_ROLE_MATRIX;
    layer_of(model->tensor[t].declared.name, layer, ROOM);
    for (int before = 0; before < t && !known; before++) {
      layer_of(model->tensor[before].declared.name, other, ROOM);
      known = model->tensor[before].declared.role == COHORT_ROLE_MATRIX && strcmp(layer, other) == 0;
    }
    if (known) continue;
    char *longer = cohort_format_text("%s%s%s", list, *list ? ", " : "", layer);
    free(list);
    list = longer;
  }
  return list;
}

void cohort_adapter_check(const cohort_adapter *adapter, const cohort_space *space, const cohort_space *model,
                          const cohort_document *where, cohort_faults *faults) {
  enum { ROOM = 96 };
  char *layers = list_layers(model);
  if (!space->tensors && !adapter->targets)
    cohort_faults_add(faults, where, "lora: the model has no matrix that an adapter could stand beside; remove lora");
  for (int i = 0; i < adapter->targets; i++) {
    bool met = false;
    for (int t = 0; t < space->tensors && !met; t++) {
      char layer[ROOM];
      layer_of(space->tensor[t].declared.name, layer, ROOM);
      met = strcmp(layer, adapter->target[i]) == 0;
    }
    if (!met)
      cohort_faults_add(faults, where, "lora.targets: no layer is named \"%s\"; the model has: %s", adapter->target[i],
                        layers);
  }
  free(layers);
}
