/* PEFT's adapter folders. Invariant: a setting that changes what an adapter computes is understood or refused. */
#include "io/model/peft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "io/model/safetensors.h"

bool cohort_peft_is(const char *folder) {
  char *path = cohort_format_text("%s/adapter_config.json", folder);
  struct stat found;
  const bool there = stat(path, &found) == 0 && S_ISREG(found.st_mode);
  free(path);
  return there;
}

/* Absent, null, or an empty list or map. */
static bool is_nothing(const json_t *value) {
  return !value || json_is_null(value) || json_is_false(value) || (json_is_object(value) && !json_object_size(value)) ||
         (json_is_array(value) && !json_array_size(value));
}

static void read_targets(cohort_json_reader *in, cohort_peft *out) {
  const json_t *targets = json_object_get(in->object, "target_modules");
  if (!json_is_array(targets) || json_array_size(targets) > COHORT_PEFT_TARGETS) {
    cohort_json_fault(in, "target_modules: expected a list of at most %d names", COHORT_PEFT_TARGETS);
    return;
  }
  for (size_t i = 0; i < json_array_size(targets); i++) {
    const char *name = json_string_value(json_array_get(targets, i));
    if (!name || strlen(name) >= sizeof out->target[0])
      cohort_json_fault(in, "target_modules: expected names");
    else
      (void)snprintf(out->target[out->targets++], sizeof out->target[0], "%s", name);
  }
}

static void read_config(cohort_json_reader *in, cohort_peft *out) {
  static const char *const refused[] = {
      "rank_pattern",   "alpha_pattern", "modules_to_save",         "layers_to_transform",
      "fan_in_fan_out", "lora_bias",     "layer_replication",       "target_parameters",
      "use_qalora",     "use_bdlora",    "trainable_token_indices", "alora_invocation_tokens",
      "arrow_config",   "kasa_config"};
  const char *type = cohort_json_text(in, "peft_type", "");
  if (strcmp(type, "LORA") != 0) cohort_json_fault(in, "peft_type %.40s is not known; LORA is", type);
  if (strcmp(cohort_json_text(in, "bias", "none"), "none") != 0)
    cohort_json_fault(in, "bias: trained biases are not known; none is");
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    if (!is_nothing(json_object_get(in->object, refused[i])))
      cohort_json_fault(in, "%s is set, which is not known; one rank and alpha for all adapters is", refused[i]);
  /* Some ways to begin change the base, which then is not the one that the config names. */
  const char *begin = json_string_value(json_object_get(in->object, "init_lora_weights"));
  if (begin && strcmp(begin, "gaussian") != 0 && strcmp(begin, "eva") != 0 && strcmp(begin, "orthogonal") != 0)
    cohort_json_fault(in, "init_lora_weights %.40s changes the base; save the adapters as ordinary LoRA", begin);
  out->rank = cohort_json_integer(in, "r", 8);
  out->alpha = cohort_json_real(in, "lora_alpha", 8);
  out->dropout = cohort_json_real(in, "lora_dropout", 0);
  out->by_root = cohort_json_boolean(in, "use_rslora", false);
  out->magnitude = cohort_json_boolean(in, "use_dora", false);
  const char *base = cohort_json_text(in, "base_model_name_or_path", NULL);
  if (base) out->base = cohort_copy_text(base);
  if (out->rank < 1 || out->rank > 65536 || !(out->alpha > 0) || !(out->dropout >= 0 && out->dropout < 1))
    cohort_json_fault(in, "r must be in 1 to 65536, lora_alpha above 0, lora_dropout in 0 to 1");
  read_targets(in, out);
}

cohort_status cohort_peft_read(const char *folder, cohort_peft *out, cohort_tensor_set *set, cohort_error *error) {
  json_t *root = NULL;
  *out = (cohort_peft){.rank = 0};
  char *path = cohort_format_text("%s/adapter_config.json", folder);
  cohort_status status = cohort_json_read(path, &root, error);
  if (status == COHORT_DONE) {
    cohort_json_reader in = {.path = path, .object = root, .error = error};
    read_config(&in, out);
    status = in.status;
  }
  json_decref(root);
  free(path);
  if (status == COHORT_DONE) status = cohort_safetensors_add_folder(set, folder, "adapter_model", error);
  if (status != COHORT_DONE) cohort_peft_release(out);
  return status;
}

cohort_status cohort_peft_write_config(const cohort_peft *peft, const char *folder, cohort_error *error) {
  json_t *targets = json_array();
  for (int t = 0; t < peft->targets; t++) json_array_append_new(targets, json_string(peft->target[t]));
  json_t *out = json_pack("{ss ss ss ss? sI sf sf sb sb so sb}", "peft_type", "LORA", "task_type", "CAUSAL_LM", "bias",
                          "none", "base_model_name_or_path", peft->base, "r", (json_int_t)peft->rank, "lora_alpha",
                          peft->alpha, "lora_dropout", peft->dropout, "use_rslora", (int)peft->by_root, "use_dora",
                          (int)peft->magnitude, "target_modules", targets, "inference_mode", 1);
  /* lora_alpha is a whole number for some readers. */
  if (peft->alpha == (double)(int64_t)peft->alpha)
    json_object_set_new(out, "lora_alpha", json_integer((json_int_t)peft->alpha));
  char *path = cohort_format_text("%s/adapter_config.json", folder);
  const cohort_status status = cohort_json_write(out, path, error);
  free(path);
  return status;
}

void cohort_peft_release(cohort_peft *peft) {
  free(peft->base);
  *peft = (cohort_peft){.rank = 0};
}

/* Without the last word: "a.b.weight" -> 3. */
static int stem_of(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot ? (int)(dot - name) : (int)strlen(name);
}

void cohort_peft_name(const char *matrix, cohort_peft_part part, char out[128]) {
  static const char *const ends[COHORT_PEFT_PARTS] = {"lora_A.weight", "lora_B.weight", "lora_magnitude_vector"};
  (void)snprintf(out, 128, "base_model.model.%.*s.%s", stem_of(matrix), matrix, ends[part]);
}

void cohort_peft_own_name(const char *tensor, cohort_peft_part part, char out[128]) {
  static const char *const ends[COHORT_PEFT_PARTS] = {"lora_a", "lora_b", "lora_magnitude"};
  (void)snprintf(out, 128, "%.*s.%s", stem_of(tensor), tensor, ends[part]);
}
