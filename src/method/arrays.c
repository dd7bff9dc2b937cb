/* The arrays of every family, as tables: what `cohort probe` reads and writes and what pages say of it. A family's
 * table is the only place that names its arrays. */
#include "method/arrays.h"

#include <string.h>

#include "method/loss/loss.h"
#include "method/model/model.h"
#include "method/optimizer/optimizer.h"
#include "method/preference/preference.h"

#define REAL COHORT_ARRAY_OF_REAL
#define INTEGER COHORT_ARRAY_OF_INTEGER

static const cohort_probe_setting no_settings[] = {{.name = NULL}};

static const cohort_probe_array optimizer_inputs[] = {
    {"parameters/<t>", REAL, {"shape"}, .meaning = "start of the tensor <t>; one or more tensors of any names"},
    {"gradients/<t>",
     REAL,
     {"steps", "shape"},
     .when = COHORT_ARRAY_GIVEN,
     .either = "recorded",
     .meaning = "gradient of <t> at every step"},
    {"curvature/<t>",
     REAL,
     {"steps", "shape"},
     .when = COHORT_ARRAY_HVP_DIAGONAL,
     .either = "recorded",
     .meaning = "z * (H z) of <t> at every step"},
    {"losses",
     REAL,
     {"steps"},
     .optional = true,
     .when = COHORT_ARRAY_GIVEN,
     .either = "recorded",
     .meaning = "loss at every step, for methods that read it; zeros when not given"},
    {"problem/A",
     REAL,
     {"n", "n"},
     .either = "quadratic",
     .constraint = "symmetric",
     .meaning = "loss w'Aw/2 - b'w; w is the n elements of all tensors in the order of their names"},
    {"problem/b", REAL, {"n"}, .either = "quadratic", .meaning = "see problem/A"},
    {"problem/x",
     REAL,
     {"samples", "n"},
     .either = "logistic",
     .meaning = "logistic regression: loss mean over samples of log(1 + exp(-s w'x)), s = 2y - 1; w as in problem/A"},
    {"problem/y",
     INTEGER,
     {"samples"},
     .either = "logistic",
     .constraint = "0 <= value < 2",
     .meaning = "classes, see problem/x"},
    {"problem/batch",
     INTEGER,
     {"steps", "batch"},
     .optional = true,
     .either = "logistic",
     .constraint = "0 <= value < samples",
     .meaning = "rows of problem/x that are each step's batch; else all"},
    {"draws/z",
     REAL,
     {"steps", "n"},
     .optional = true,
     .when = COHORT_ARRAY_HVP_DIAGONAL,
     .constraint = "value = -1 or 1",
     .meaning = "the random signs of the curvature at every step, elements in the order of problem/A; else drawn"},
    {"draws/u",
     REAL,
     {"steps", "queries", "n"},
     .optional = true,
     .when = COHORT_ARRAY_DIRECTIONS,
     .meaning = "the random directions of every step; else drawn"},
    {"draws/noise",
     REAL,
     {"steps", "n"},
     .optional = true,
     .when = COHORT_ARRAY_NOISE,
     .meaning = "the standard normal noise of every step; else drawn"},
    {.name = NULL},
};

static const cohort_probe_array optimizer_outputs[] = {
    {"parameters/<t>", REAL, {"steps", "shape"}, .meaning = "the tensor after every step"},
    {"state/<slot>/<t>",
     REAL,
     {"shape"},
     .meaning = "every state <slot> of the method (of a driver: of its base) after the last step, with its own axes"},
    {.name = NULL},
};

static const cohort_probe_setting optimizer_settings[] = {
    {"steps", COHORT_PARAMETER_INTEGER, NULL, "1", COHORT_ARRAY_ASKS, "number of steps"},
    {"steps", COHORT_PARAMETER_INTEGER, "0", "0", COHORT_ARRAY_GIVEN,
     "number of steps on a problem; 0: that of the gradients"},
    {"seed", COHORT_PARAMETER_INTEGER, "0", "0", COHORT_ARRAY_ALWAYS, "of draws that are not given"},
    {.name = NULL},
};

static const cohort_probe_array schedule_inputs[] = {
    {"step", INTEGER, {"n"}, .whole = true, .constraint = "0 <= value", .meaning = "step numbers from 0"},
    {.name = NULL},
};

static const cohort_probe_array schedule_outputs[] = {
    {"value", REAL, {"n"}, .meaning = "factor on the learning rate at each step (float64)"},
    {.name = NULL},
};

static const cohort_probe_setting schedule_settings[] = {
    {"steps", COHORT_PARAMETER_INTEGER, "1000", "1", COHORT_ARRAY_ALWAYS, "length of the run in steps"},
    {.name = NULL},
};

static const cohort_probe_array loss_inputs[] = {
    {"input", REAL, {"R", "C"}, .when = COHORT_ARRAY_CLASS_TARGET, .meaning = "logits"},
    {"target",
     INTEGER,
     {"R"},
     .when = COHORT_ARRAY_CLASS_TARGET,
     .constraint = "0 <= value < C",
     .ignores = true,
     .meaning = "class of each row; a negative one is ignored and not counted"},
    {"input", REAL, {"R", "C"}, .when = COHORT_ARRAY_REAL_TARGET, .meaning = "predictions"},
    {"target", REAL, {"R", "C"}, .when = COHORT_ARRAY_REAL_TARGET, .meaning = "values to predict"},
    {"weight", REAL, {"R"}, .optional = true, .constraint = "0 <= value", .meaning = "factor on each row's loss"},
    {"direction", REAL, {"R", "C"}, .optional = true, .meaning = "direction for the Hessian-vector product"},
    {.name = NULL},
};

static const cohort_probe_array loss_outputs[] = {
    {"loss", REAL, {NULL}, .meaning = "weighted sum of the rows' losses over the number of rows that are not ignored"},
    {"per_sample", REAL, {"R"}, .meaning = "loss of each row, before its weight"},
    {"gradient", REAL, {"R", "C"}, .meaning = "of loss with respect to input"},
    {"hvp", REAL, {"R", "C"}, .optional = true, .meaning = "Hessian of loss times direction, when one is given"},
    {.name = NULL},
};

static const cohort_probe_array preference_inputs[] = {
    {"policy/chosen",
     REAL,
     {"pairs", "T"},
     .when = COHORT_ARRAY_PAIRS,
     .constraint = "value <= 0",
     .meaning = "log-probability of every token under the policy"},
    {"policy/rejected",
     REAL,
     {"pairs", "T"},
     .when = COHORT_ARRAY_PAIRS,
     .constraint = "value <= 0",
     .meaning = "see policy/chosen"},
    {"reference/chosen",
     REAL,
     {"pairs", "T"},
     .when = COHORT_ARRAY_PAIRS_REFERENCE,
     .constraint = "value <= 0",
     .meaning = "the same under the reference"},
    {"reference/rejected",
     REAL,
     {"pairs", "T"},
     .when = COHORT_ARRAY_PAIRS_REFERENCE,
     .constraint = "value <= 0",
     .meaning = "the same under the reference"},
    {"mask/chosen",
     REAL,
     {"pairs", "T"},
     .when = COHORT_ARRAY_PAIRS,
     .constraint = "value = 0 or 1",
     .meaning = "1: a token of the completion"},
    {"mask/rejected",
     REAL,
     {"pairs", "T"},
     .when = COHORT_ARRAY_PAIRS,
     .constraint = "value = 0 or 1",
     .meaning = "1: a token of the completion"},
    {"kl/chosen",
     REAL,
     {"pairs", "T"},
     .when = COHORT_ARRAY_PAIRS_DIVERGENCE,
     .constraint = "0 <= value",
     .meaning = "of every token: KL from the reference to the policy"},
    {"kl/rejected",
     REAL,
     {"pairs", "T"},
     .when = COHORT_ARRAY_PAIRS_DIVERGENCE,
     .constraint = "0 <= value",
     .meaning = "see kl/chosen"},
    {"policy",
     REAL,
     {"completions", "T"},
     .when = COHORT_ARRAY_COMPLETIONS,
     .constraint = "value <= 0",
     .meaning = "log-probability of every token under the policy"},
    {"reference",
     REAL,
     {"completions", "T"},
     .when = COHORT_ARRAY_COMPLETIONS,
     .constraint = "value <= 0",
     .meaning = "the same under the reference"},
    {"mask",
     REAL,
     {"completions", "T"},
     .when = COHORT_ARRAY_COMPLETIONS,
     .constraint = "value = 0 or 1",
     .meaning = "1: a token of the completion"},
    {"label",
     REAL,
     {"completions"},
     .when = COHORT_ARRAY_COMPLETIONS,
     .constraint = "value = 0 or 1",
     .meaning = "1: desirable, 0: not"},
    {"policy_mismatched",
     REAL,
     {"completions", "T"},
     .when = COHORT_ARRAY_MISMATCHED,
     .constraint = "value <= 0",
     .meaning = "the policy's for completions of other prompts"},
    {"reference_mismatched",
     REAL,
     {"completions", "T"},
     .when = COHORT_ARRAY_MISMATCHED,
     .constraint = "value <= 0",
     .meaning = "the same under the reference"},
    {"mask_mismatched",
     REAL,
     {"completions", "T"},
     .when = COHORT_ARRAY_MISMATCHED,
     .constraint = "value = 0 or 1",
     .meaning = "1: a token of such a completion"},
    {.name = NULL},
};

static const cohort_probe_array preference_outputs[] = {
    {"loss", REAL, {NULL}, .meaning = "mean over the pairs or completions"},
    {"per_pair", REAL, {"pairs"}, .when = COHORT_ARRAY_PAIRS_ALONE, .meaning = "loss of each pair"},
    {"gradient/chosen",
     REAL,
     {"pairs", "T"},
     .when = COHORT_ARRAY_PAIRS,
     .meaning = "of loss with respect to policy/chosen"},
    {"gradient/rejected",
     REAL,
     {"pairs", "T"},
     .when = COHORT_ARRAY_PAIRS,
     .meaning = "of loss with respect to policy/rejected"},
    {"gradient_kl/chosen",
     REAL,
     {"pairs", "T"},
     .when = COHORT_ARRAY_PAIRS_DIVERGENCE,
     .meaning = "of loss with respect to kl/chosen"},
    {"gradient_kl/rejected",
     REAL,
     {"pairs", "T"},
     .when = COHORT_ARRAY_PAIRS_DIVERGENCE,
     .meaning = "of loss with respect to kl/rejected"},
    {"per_completion", REAL, {"completions"}, .when = COHORT_ARRAY_COMPLETIONS, .meaning = "loss of each completion"},
    {"gradient",
     REAL,
     {"completions", "T"},
     .when = COHORT_ARRAY_COMPLETIONS,
     .meaning = "of loss with respect to policy"},
    {.name = NULL},
};

static const cohort_probe_array aggregator_inputs[] = {
    {"gradients", REAL, {"objectives", "n"}, .constraint = "objectives <= 16", .meaning = "one gradient per objective"},
    {"losses", REAL, {"objectives"}, .optional = true, .meaning = "one loss per objective; zeros when not given"},
    {.name = NULL},
};

static const cohort_probe_array aggregator_outputs[] = {
    {"direction", REAL, {"n"}, .meaning = "sum of weights times gradients"},
    {"weights", REAL, {"objectives"}, .meaning = "coefficient of each gradient"},
    {.name = NULL},
};

static const cohort_probe_setting aggregator_settings[] = {
    {"seed", COHORT_PARAMETER_INTEGER, "0", "0", COHORT_ARRAY_ALWAYS, "of what the method draws"},
    {.name = NULL},
};

static const cohort_probe_array model_inputs[] = {
    {"parameters/<t>",
     REAL,
     {"shape"},
     .optional = true,
     .meaning = "every tensor of the model, all or none; when none is given they are drawn from seed"},
    {"input", REAL, {"samples", "features"}, .when = COHORT_ARRAY_SAMPLES, .meaning = "one row a sample"},
    {"input",
     REAL,
     {"samples", "height", "width", "channels"},
     .when = COHORT_ARRAY_IMAGES,
     .meaning = "one image a sample"},
    {"input",
     INTEGER,
     {"sequences", "T"},
     .when = COHORT_ARRAY_TOKENS,
     .constraint = "0 <= value < outputs",
     .meaning = "tokens"},
    {"target",
     INTEGER,
     {"samples"},
     .when = COHORT_ARRAY_SAMPLES,
     .constraint = "0 <= value < outputs",
     .meaning = "class of each sample"},
    {"target",
     INTEGER,
     {"samples"},
     .when = COHORT_ARRAY_IMAGES,
     .constraint = "0 <= value < outputs",
     .meaning = "class of each sample"},
    {"target",
     INTEGER,
     {"sequences", "T"},
     .when = COHORT_ARRAY_TOKENS,
     .constraint = "0 <= value < outputs",
     .ignores = true,
     .meaning = "the token to predict at every position; a negative one is ignored and not counted"},
    {.name = NULL},
};

static const cohort_probe_array model_outputs[] = {
    {"output", REAL, {"samples", "outputs"}, .when = COHORT_ARRAY_SAMPLES, .meaning = "logits"},
    {"output", REAL, {"samples", "outputs"}, .when = COHORT_ARRAY_IMAGES, .meaning = "logits"},
    {"output", REAL, {"sequences", "T", "outputs"}, .when = COHORT_ARRAY_TOKENS, .meaning = "logits"},
    {"loss", REAL, {NULL}, .meaning = "mean cross-entropy"},
    {"gradients/<t>", REAL, {"shape"}, .meaning = "of loss with respect to every tensor"},
    {"parameters/<t>", REAL, {"shape"}, .meaning = "the tensors as used, given or drawn"},
    {.name = NULL},
};

static const cohort_probe_setting model_settings[] = {
    {"outputs", COHORT_PARAMETER_INTEGER, "10", "1", COHORT_ARRAY_SAMPLES, "number of classes"},
    {"outputs", COHORT_PARAMETER_INTEGER, "10", "1", COHORT_ARRAY_IMAGES, "number of classes"},
    {"outputs", COHORT_PARAMETER_INTEGER, "256", "1", COHORT_ARRAY_TOKENS, "size of the vocabulary"},
    {"seed", COHORT_PARAMETER_INTEGER, "0", "0", COHORT_ARRAY_ALWAYS, "of the parameters, when none are given"},
    {.name = NULL},
};

static const cohort_probe_array federated_inputs[] = {
    {"parameters", REAL, {"n"}, .meaning = "the server's start"},
    {"deltas", REAL, {"rounds", "clients", "n"}, .meaning = "client's result minus the server's parameters"},
    {"samples",
     INTEGER,
     {"rounds", "clients"},
     .constraint = "1 <= value",
     .whole = true,
     .meaning = "weight of each client; [clients] stands for every round"},
    {.name = NULL},
};

static const cohort_probe_array federated_outputs[] = {
    {"parameters", REAL, {"rounds", "n"}, .meaning = "the server's parameters after every round"},
    {.name = NULL},
};

static const cohort_probe_symbol optimizer_symbols[] = {
    {"steps", 1, 3, COHORT_ARRAY_ALWAYS, "number of steps"},
    {"shape", 1, 4, COHORT_ARRAY_GIVEN,
     "all axes of <t>, at most 6 of them, at least 2 for a method that needs matrices"},
    {"shape", 1, 4, COHORT_ARRAY_ASKS, "all axes of <t>, at most 6 of them"},
    {"n", 1, 4, COHORT_ARRAY_ALWAYS, "number of elements of all tensors together"},
    {"samples", 1, 8, COHORT_ARRAY_ALWAYS, "rows of the problem"},
    {"batch", 1, 4, COHORT_ARRAY_ALWAYS, "rows of a step"},
    {"queries", 1, 10, COHORT_ARRAY_DIRECTIONS, "directions of a step, as many as the parameter queries"},
    {.name = NULL},
};

static const cohort_probe_symbol schedule_symbols[] = {
    {"n", 1, 10, COHORT_ARRAY_ALWAYS, "how many steps are asked for"},
    {.name = NULL},
};

static const cohort_probe_symbol loss_symbols[] = {
    {"R", 1, 6, COHORT_ARRAY_ALWAYS, "rows"},
    {"C", 1, 5, COHORT_ARRAY_REAL_TARGET, "values a row"},
    {"C", 2, 5, COHORT_ARRAY_CLASS_TARGET, "classes"},
    {.name = NULL},
};

static const cohort_probe_symbol preference_symbols[] = {
    {"pairs", 1, 4, COHORT_ARRAY_PAIRS, "pairs of completions"},
    {"completions", 1, 4, COHORT_ARRAY_COMPLETIONS, "completions of prompts"},
    {"T", 1, 7, COHORT_ARRAY_ALWAYS, "tokens; shorter completions are filled up with mask 0"},
    {.name = NULL},
};

static const cohort_probe_symbol aggregator_symbols[] = {
    {"objectives", 1, 3, COHORT_ARRAY_ALWAYS, "at most 16"},
    {"n", 1, 8, COHORT_ARRAY_ALWAYS, "elements of a gradient"},
    {.name = NULL},
};

static const cohort_probe_symbol model_symbols[] = {
    {"samples", 1, 4, COHORT_ARRAY_SAMPLES, "samples"},
    {"features", 1, 12, COHORT_ARRAY_SAMPLES, "values a sample"},
    {"samples", 1, 2, COHORT_ARRAY_IMAGES, "samples"},
    {"height", 1, 28, COHORT_ARRAY_IMAGES, "rows of an image, large enough for the model's pooling"},
    {"width", 1, 28, COHORT_ARRAY_IMAGES, "columns of an image, large enough for the model's pooling"},
    {"channels", 1, 1, COHORT_ARRAY_IMAGES, "channels, the last axis"},
    {"sequences", 1, 2, COHORT_ARRAY_TOKENS, "sequences"},
    {"T", 1, 8, COHORT_ARRAY_TOKENS, "tokens a sequence, at most the model's context"},
    {"outputs", 1, 10, COHORT_ARRAY_ALWAYS, "the setting outputs"},
    {"shape", 1, 4, COHORT_ARRAY_ALWAYS, "all axes of <t>"},
    {.name = NULL},
};

static const cohort_probe_symbol federated_symbols[] = {
    {"rounds", 1, 3, COHORT_ARRAY_ALWAYS, "rounds"},
    {"clients", 1, 4, COHORT_ARRAY_ALWAYS, "clients a round"},
    {"n", 1, 6, COHORT_ARRAY_ALWAYS, "parameters"},
    {.name = NULL},
};

static const cohort_family_table tables[] = {
    {"aggregator", "one direction from the gradients of several objectives", aggregator_inputs, aggregator_outputs,
     aggregator_settings, aggregator_symbols},
    {"federated", "a server's rule for the clients' changes", federated_inputs, federated_outputs, no_settings,
     federated_symbols},
    {"loss", "a loss per sample", loss_inputs, loss_outputs, no_settings, loss_symbols},
    {"model", "a network from inputs to logits", model_inputs, model_outputs, model_settings, model_symbols},
    {"optimizer", "an update of the parameters, or a driver over one", optimizer_inputs, optimizer_outputs,
     optimizer_settings, optimizer_symbols},
    {"preference", "a loss on completions of prompts", preference_inputs, preference_outputs, no_settings,
     preference_symbols},
    {"schedule", "a factor on the learning rate by step", schedule_inputs, schedule_outputs, schedule_settings,
     schedule_symbols},
};

const cohort_family_table *cohort_family_arrays(const char *family) {
  for (size_t i = 0; family && i < sizeof tables / sizeof *tables; i++)
    if (strcmp(tables[i].family, family) == 0) return &tables[i];
  return NULL;
}

/* Whether recorded gradients can answer all that the method asks. */
static bool given(const cohort_method *method) {
  const cohort_optimizer *functions = method->functions;
  return !cohort_optimizer_drives(functions) ||
         !(functions->wants & (COHORT_WANTS_LOSS | COHORT_WANTS_PRODUCT | COHORT_WANTS_CLIPPED));
}

static cohort_array_when kind_of_model(const cohort_method *method) {
  const cohort_model *functions = method->functions;
  if (functions->kind == COHORT_MODEL_TOKENS) return COHORT_ARRAY_TOKENS;
  return functions->axes == 3 ? COHORT_ARRAY_IMAGES : COHORT_ARRAY_SAMPLES;
}

bool cohort_array_applies(cohort_array_when when, const cohort_method *method) {
  const bool unpaired = (method->needs & COHORT_NEEDS_UNPAIRED) != 0;
  switch (when) {
    case COHORT_ARRAY_ALWAYS:
      return true;
    case COHORT_ARRAY_GIVEN:
      return given(method);
    case COHORT_ARRAY_ASKS:
      return !given(method);
    case COHORT_ARRAY_DIRECTIONS:
      return ((const cohort_optimizer *)method->functions)->gradient &&
             ((const cohort_optimizer *)method->functions)->wants & COHORT_WANTS_LOSS;
    case COHORT_ARRAY_NOISE:
      return (((const cohort_optimizer *)method->functions)->wants & COHORT_WANTS_CLIPPED) != 0;
    case COHORT_ARRAY_HVP_DIAGONAL:
      return (method->needs & COHORT_NEEDS_HVP_DIAGONAL) != 0;
    case COHORT_ARRAY_CLASS_TARGET:
      return ((const cohort_loss *)method->functions)->target == COHORT_TARGET_CLASS;
    case COHORT_ARRAY_REAL_TARGET:
      return ((const cohort_loss *)method->functions)->target == COHORT_TARGET_REAL;
    case COHORT_ARRAY_PAIRS:
      return !unpaired;
    case COHORT_ARRAY_PAIRS_ALONE:
      return !unpaired && !(method->needs & COHORT_NEEDS_BATCH);
    case COHORT_ARRAY_PAIRS_REFERENCE:
      return !unpaired && method->needs & COHORT_NEEDS_REFERENCE;
    case COHORT_ARRAY_PAIRS_DIVERGENCE:
      return !unpaired && method->needs & COHORT_NEEDS_DIVERGENCE;
    case COHORT_ARRAY_COMPLETIONS:
      return unpaired;
    case COHORT_ARRAY_MISMATCHED:
      return unpaired && method->needs & COHORT_NEEDS_MISMATCHED;
    case COHORT_ARRAY_SAMPLES:
    case COHORT_ARRAY_IMAGES:
    case COHORT_ARRAY_TOKENS:
      return kind_of_model(method) == when;
  }
  return false;
}
