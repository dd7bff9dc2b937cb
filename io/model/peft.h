/* Adapters of PEFT: FOLDER/adapter_config.json and adapter_model.safetensors. LoRA, with rsLoRA's scale and DoRA's
 * magnitudes; every other kind, and what differs from layer to layer, is refused by name. */
#ifndef COHORT_IO_MODEL_PEFT_H
#define COHORT_IO_MODEL_PEFT_H

#include "io/model/card.h"
#include "io/model/tensor_file.h"

enum { COHORT_PEFT_TARGETS = 16 };

typedef struct cohort_peft {
  int64_t rank;
  double alpha, dropout;
  bool by_root, magnitude; /* use_rslora, use_dora */
  char *base;              /* base_model_name_or_path; NULL: not told */
  int targets;
  char target[COHORT_PEFT_TARGETS][64]; /* modules, "q_proj" */
} cohort_peft;

bool cohort_peft_is(const char *folder); /* it has an adapter_config.json */
/* The config, and the adapters' tensors in `set`. */
cohort_status cohort_peft_read(const char *folder, cohort_peft *out, cohort_tensor_set *set, cohort_error *error);
cohort_status cohort_peft_write_config(const cohort_peft *peft, const char *folder, cohort_error *error);
void cohort_peft_release(cohort_peft *peft);

/* The name of a part ("lora_A.weight") beside a matrix of a model ("model.layers.0.self_attn.q_proj.weight"). */
typedef enum { COHORT_PEFT_A, COHORT_PEFT_B, COHORT_PEFT_MAGNITUDE, COHORT_PEFT_PARTS } cohort_peft_part;
void cohort_peft_name(const char *matrix, cohort_peft_part part, char out[128]);
/* "layer0.attention.query.weight" -> "layer0.attention.query.lora_a". */
void cohort_peft_own_name(const char *tensor, cohort_peft_part part, char out[128]);

#endif
