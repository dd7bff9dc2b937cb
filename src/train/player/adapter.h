/* Low-rank adapters from a config (`lora`), and whether the model has the layers that they name. */
#ifndef COHORT_TRAIN_PLAYER_ADAPTER_H
#define COHORT_TRAIN_PLAYER_ADAPTER_H

#include "base/parameter.h"
#include "method/model/model.h"
#include "state/space.h"

typedef struct cohort_lora_settings {
  int64_t rank;
  double alpha, dropout;
  int scaling;
  bool dora;
  const cohort_document *targets; /* a list of names, or null */
} cohort_lora_settings;

extern const cohort_parameter cohort_lora_table[];

/* Adapters whose tensors are in space `space`. The names stay the document's. */
cohort_adapter cohort_adapter_of(const cohort_lora_settings *settings, int space, cohort_faults *faults);
void cohort_adapter_release(cohort_adapter *adapter);

/* Whether every target has met a layer: `space` is the adapters' space as the model has declared it, `model` the
 * other. `where` is for messages. */
void cohort_adapter_check(const cohort_adapter *adapter, const cohort_space *space, const cohort_space *model,
                          const cohort_document *where, cohort_faults *faults);

#endif
