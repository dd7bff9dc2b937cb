/* The family loss: how `cohort probe` meets a loss. Tables alone; costs nothing. */
#include "method/loss/loss.h"

#include "method/family.h"

static bool takes_classes(const cohort_method *method) {
  return ((const cohort_loss *)method->functions)->target == COHORT_TARGET_CLASS;
}

/* Whether the target is real, of the input's shape. */
static bool takes_reals(const cohort_method *method) {
  return ((const cohort_loss *)method->functions)->target == COHORT_TARGET_REAL;
}

static const cohort_probe_array inputs[] = {
    {"input", COHORT_ARRAY_OF_REAL, {"R", "C"}, .when = takes_classes, .meaning = "logits"},
    {"target",
     COHORT_ARRAY_OF_INTEGER,
     {"R"},
     .when = takes_classes,
     .constraint = "0 <= value < C",
     .ignores = true,
     .meaning = "class of each row; a negative one is ignored and not counted"},
    {"input", COHORT_ARRAY_OF_REAL, {"R", "C"}, .when = takes_reals, .meaning = "predictions"},
    {"target", COHORT_ARRAY_OF_REAL, {"R", "C"}, .when = takes_reals, .meaning = "values to predict"},
    {"weight",
     COHORT_ARRAY_OF_REAL,
     {"R"},
     .optional = true,
     .constraint = "0 <= value",
     .meaning = "factor on each row's loss"},
    {"direction",
     COHORT_ARRAY_OF_REAL,
     {"R", "C"},
     .optional = true,
     .meaning = "direction for the Hessian-vector product"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"loss",
     COHORT_ARRAY_OF_REAL,
     {NULL},
     .meaning = "weighted sum of the rows' losses over the number of rows that are not ignored"},
    {"per_sample", COHORT_ARRAY_OF_REAL, {"R"}, .meaning = "loss of each row, before its weight"},
    {"gradient", COHORT_ARRAY_OF_REAL, {"R", "C"}, .meaning = "of loss with respect to input"},
    {"hvp",
     COHORT_ARRAY_OF_REAL,
     {"R", "C"},
     .optional = true,
     .meaning = "Hessian of loss times direction, when one is given"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"R", 1, 6, NULL, "rows"},
    {"C", 1, 5, takes_reals, "values a row"},
    {"C", 2, 5, takes_classes, "classes"},
    {.name = NULL},
};

const cohort_family cohort_family_loss = {
    .name = "loss",
    .summary = "a loss per sample",
    .inputs = inputs,
    .outputs = outputs,
    .symbols = symbols,
};
