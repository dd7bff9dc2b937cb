/* The family model: how `cohort probe` meets a model, and whether a tokenizer fits one. Tables alone; costs nothing. */
#include "method/model/model.h"

#include "method/family.h"

cohort_status cohort_model_vocabulary(const cohort_method *model, const void *config, int64_t tokens, int64_t *rows,
                                      cohort_error *error) {
  const cohort_model *functions = model->functions;
  const int64_t own = functions->vocabulary ? functions->vocabulary(config) : 0;
  *rows = own ? own : tokens;
  if (*rows >= tokens) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG,
                     "model: a vocabulary of %lld cannot hold the tokenizer's %lld tokens; take the model's own "
                     "tokenizer (data.tokenizer)",
                     (long long)own, (long long)tokens);
}

static bool takes_tokens(const cohort_method *method) {
  return ((const cohort_model *)method->functions)->kind == COHORT_MODEL_TOKENS;
}

/* Samples of three axes. */
static bool takes_images(const cohort_method *method) {
  return !takes_tokens(method) && ((const cohort_model *)method->functions)->axes == 3;
}

/* Rows of features, any axes. */
static bool takes_samples(const cohort_method *method) { return !takes_tokens(method) && !takes_images(method); }

static const cohort_probe_array inputs[] = {
    {"parameters/<t>",
     COHORT_ARRAY_OF_REAL,
     {"shape"},
     .optional = true,
     .meaning = "every tensor of the model, all or none; when none is given they are drawn from seed"},
    {"input", COHORT_ARRAY_OF_REAL, {"samples", "features"}, .when = takes_samples, .meaning = "one row a sample"},
    {"input",
     COHORT_ARRAY_OF_REAL,
     {"samples", "height", "width", "channels"},
     .when = takes_images,
     .meaning = "one image a sample"},
    {"input",
     COHORT_ARRAY_OF_INTEGER,
     {"sequences", "T"},
     .when = takes_tokens,
     .constraint = "0 <= value < outputs",
     .meaning = "tokens"},
    {"target",
     COHORT_ARRAY_OF_INTEGER,
     {"samples"},
     .when = takes_samples,
     .constraint = "0 <= value < outputs",
     .meaning = "class of each sample"},
    {"target",
     COHORT_ARRAY_OF_INTEGER,
     {"samples"},
     .when = takes_images,
     .constraint = "0 <= value < outputs",
     .meaning = "class of each sample"},
    {"target",
     COHORT_ARRAY_OF_INTEGER,
     {"sequences", "T"},
     .when = takes_tokens,
     .constraint = "0 <= value < outputs",
     .ignores = true,
     .meaning = "the token to predict at every position; a negative one is ignored and not counted"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"output", COHORT_ARRAY_OF_REAL, {"samples", "outputs"}, .when = takes_samples, .meaning = "logits"},
    {"output", COHORT_ARRAY_OF_REAL, {"samples", "outputs"}, .when = takes_images, .meaning = "logits"},
    {"output", COHORT_ARRAY_OF_REAL, {"sequences", "T", "outputs"}, .when = takes_tokens, .meaning = "logits"},
    {"loss", COHORT_ARRAY_OF_REAL, {NULL}, .meaning = "mean cross-entropy"},
    {"gradients/<t>", COHORT_ARRAY_OF_REAL, {"shape"}, .meaning = "of loss with respect to every tensor"},
    {"parameters/<t>", COHORT_ARRAY_OF_REAL, {"shape"}, .meaning = "the tensors as used, given or drawn"},
    {.name = NULL},
};

static const cohort_probe_setting settings[] = {
    {"outputs", "10", "1", takes_samples, .meaning = "number of classes"},
    {"outputs", "10", "1", takes_images, .meaning = "number of classes"},
    {"outputs", "256", "1", takes_tokens, .meaning = "size of the vocabulary"},
    {"seed", "0", "0", NULL, .meaning = "of the parameters, when none are given"},
    {"lora_rank", "0", "0", NULL, .meaning = "of adapters beside every matrix but the head; 0: there are none"},
    {"lora_alpha", "16", "1", NULL, .meaning = "what adapters give is scaled by lora_alpha / lora_rank"},
    {"lora_root", "0", "0", NULL, .meaning = "1: by lora_alpha over the root of lora_rank instead (rsLoRA)"},
    {"lora_dora", "0", "0", NULL, .meaning = "1: DoRA's magnitudes too, as what they are above the weights' norms"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"samples", 1, 4, takes_samples, .meaning = "samples"},
    {"features", 1, 12, takes_samples, .meaning = "values a sample"},
    {"samples", 1, 2, takes_images, .meaning = "samples"},
    {"height", 1, 28, takes_images, .meaning = "rows of an image, large enough for the model's pooling"},
    {"width", 1, 28, takes_images, .meaning = "columns of an image, large enough for the model's pooling"},
    {"channels", 1, 1, takes_images, .meaning = "channels, the last axis"},
    {"sequences", 1, 2, takes_tokens, .meaning = "sequences"},
    {"T", 1, 8, takes_tokens, .meaning = "tokens a sequence, at most the model's context"},
    {"outputs", 1, 10, NULL, .meaning = "the setting outputs"},
    {"shape", 1, 4, NULL, .meaning = "all axes of <t>"},
    {.name = NULL},
};

/* The graph's tensors decide. */
static int least_axes(const cohort_method *method) {
  (void)method;
  return 0;
}

const cohort_family cohort_family_model = {
    .name = "model",
    .summary = "a network from inputs to logits",
    .inputs = inputs,
    .outputs = outputs,
    .settings = settings,
    .symbols = symbols,
    .least_axes = least_axes,
};
