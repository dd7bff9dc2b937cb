/* Secure aggregation among a round's modules. Invariant: a round that is refused changes nothing. Costs nothing beside
 * what it calls. */
#include "train/secure/module.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BOUND, CLIPPED, DELIVERED, COLUMNS };
static const char *const columns[COLUMNS] = {"secure/bound", "secure/clipped", "secure/delivered"};

typedef struct secure_module {
  cohort_secure_options options;
  cohort_secure *secure; /* NULL: only planned */
  bool fixed;            /* changes are hidden by noise, which is of a fixed number of clients */
  cohort_joiner joiner;
  double value[COLUMNS];
  cohort_secure_report report;
} secure_module;

/* Weights of sum 1 make a mean, of those whose change arrives; others are of a divisor that is fixed beforehand. */
static bool is_mean(const double *share, int clients) {
  double sum = 0;
  for (int i = 0; i < clients; i++) sum += share[i];
  return fabs(sum - 1) < 1e-9;
}

static cohort_status begin(void *argument, const cohort_round *round, const cohort_item_order *order,
                           const double *share, cohort_error *error) {
  secure_module *own = argument;
  const cohort_secure_round clients = {.number = round->number,
                                       .order = order,
                                       .client = round->client,
                                       .share = share,
                                       .fixed = own->fixed || (round->share && !is_mean(share, round->present))};
  own->report = (cohort_secure_report){0};
  return cohort_secure_begin(own->secure, &clients, error);
}

static void take(void *argument, int executor, int item, const void *change) {
  cohort_secure_take(((secure_module *)argument)->secure, executor, item, change);
}

static void spoil(const secure_module *own, void *sum) {
  for (int64_t e = 0; e < own->options.elements; e++)
    if (own->options.real == sizeof(double))
      ((double *)sum)[e] = NAN;
    else
      ((float *)sum)[e] = NAN;
}

static cohort_status finish(void *argument, const cohort_round *round, void *sum, cohort_error *error) {
  secure_module *own = argument;
  COHORT_TRY(cohort_secure_finish(own->secure, sum, &own->report, error));
  own->value[BOUND] = own->report.bound;
  own->value[CLIPPED] = own->report.clipped;
  own->value[DELIVERED] = own->report.delivered;
  if (!own->report.refused) return COHORT_DONE;
  if (own->options.settings->refused == COHORT_SECURE_STOP)
    return cohort_fail(
        error, COHORT_BAD_CONFIG,
        "round %lld: secure aggregation is refused: %s; set federated.secure.threshold or dropout lower, "
        "or refused: skip",
        (long long)round->number + 1, own->report.reason);
  spoil(own, sum);
  return COHORT_DONE;
}

static double bytes(void *argument, double present, int ranks) {
  return cohort_secure_bytes(&((secure_module *)argument)->options, present, ranks);
}

static void release(void *argument) {
  secure_module *own = argument;
  cohort_secure_destroy(own->secure);
  free(own);
}

static cohort_status make(const cohort_secure_options *options, bool plan_only, cohort_round_module *out,
                          cohort_error *error) {
  secure_module *own = cohort_allocate(sizeof *own);
  own->options = *options;
  own->joiner = (cohort_joiner){own, begin, take, finish};
  for (int c = 0; c < COLUMNS; c++) own->value[c] = NAN;
  *out = (cohort_round_module){.name = "secure",
                               .argument = own,
                               .release = release,
                               .joiner = &own->joiner,
                               .refusal = own->report.reason,
                               .bytes = bytes,
                               .columns = COLUMNS,
                               .column = columns,
                               .value = own->value};
  return plan_only ? COHORT_DONE : cohort_secure_create(options, &own->secure, error);
}

/* What clients of a strategy leave beside their change would be there for all to see. */
static void check_uploads(const cohort_federation_options *options, cohort_faults *faults) {
  const cohort_method *strategy = options->strategy->method;
  const cohort_federated_vector *vector = strategy ? ((const cohort_federated *)strategy->functions)->vectors : NULL;
  for (; vector && vector->name; vector++)
    if (vector->side == COHORT_SIDE_UPLOAD)
      cohort_faults_add(faults, options->settings->federated_settings.secure,
                        "federated.secure: clients of %s upload %s beside their change, which nothing would mask; take "
                        "another strategy, or remove secure",
                        strategy->key, vector->name);
}

cohort_status cohort_secure_module_open(const cohort_federation_options *options, int64_t most, int *modules,
                                        cohort_round_module *module, cohort_faults *faults, cohort_error *error) {
  const cohort_federated_settings *settings = &options->settings->federated_settings;
  if (!settings->secure) return COHORT_DONE;
  check_uploads(options, faults);
  if (!cohort_document_is_null(settings->privacy) && settings->secure_settings.rounding != COHORT_ROUND_ZERO)
    cohort_faults_add(faults, settings->secure,
                      "federated.secure: rounding can make a change longer than the bound that privacy counts on; set "
                      "federated.secure.rounding to zero");
  cohort_secure_check(&settings->secure_settings, (double)most, 0, settings->secure, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  const cohort_secure_options own = {.comm = options->comm,
                                     .threads = options->threads,
                                     .real = sizeof(float),
                                     .elements = options->spaces->space[0]->elements,
                                     .vectors = 1,
                                     .seed = (uint64_t)options->settings->seed,
                                     .settings = &settings->secure_settings};
  cohort_round_module *out = &module[(*modules)++];
  const cohort_status status = make(&own, options->plan_only, out, error);
  ((secure_module *)out->argument)->fixed = !cohort_document_is_null(settings->privacy);
  return status;
}
