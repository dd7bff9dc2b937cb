/* The family privacy, and its probe: what so much noise over so many steps costs, or the noise that a budget buys.
 * Costs one account, or some forty. */
#include "method/privacy/privacy.h"

#include <math.h>
#include <string.h>

#include "method/family.h"

double cohort_privacy_epsilon(const cohort_method *method, const void *config, const cohort_privacy_use *use,
                              cohort_privacy_room *room) {
  const cohort_privacy *functions = method->functions;
  return functions->epsilon(config, use, room);
}

typedef struct account {
  const cohort_method *method;
  const void *config;
  cohort_privacy_room *room;
} account;

static double epsilon_of(void *argument, const cohort_privacy_use *use) {
  const account *own = argument;
  return cohort_privacy_epsilon(own->method, own->config, use, own->room);
}

double cohort_privacy_noise(const cohort_method *method, const void *config, double epsilon,
                            const cohort_privacy_use *use, cohort_privacy_room *room) {
  account own = {method, config, room};
  return cohort_privacy_solve(epsilon_of, &own, epsilon, use);
}

static const cohort_probe_array inputs[] = {{.name = NULL}};

static const cohort_probe_array outputs[] = {
    {"epsilon", COHORT_ARRAY_OF_REAL, {NULL}, .meaning = "what all steps cost at delta"},
    {"noise", COHORT_ARRAY_OF_REAL, {NULL}, .meaning = "the multiplier that was given, or found"},
    {.name = NULL},
};

/* A mechanism has these among its parameters. */
static const cohort_parameter *find_parameter(const cohort_method *method, const char *name) {
  for (const cohort_parameter *p = method->parameters; p && p->name; p++)
    if (strcmp(p->name, name) == 0) return p;
  return NULL;
}
static bool is_accountant(const cohort_method *method) { return !find_parameter(method, "noise"); }
static bool is_mechanism(const cohort_method *method) { return !is_accountant(method); }

static const cohort_probe_setting settings[] = {
    {"noise", "1", "0", is_accountant,
     .meaning = "multiplier: scale of the noise on the sum, in units of the clipping bound", .real = true},
    {"rate", "1", "0", .meaning = "with which each takes part in a step, independently (Poisson sampling); 1: all do",
     .real = true},
    {"steps", "1", "1", .meaning = "steps, or rounds"},
    {"delta", "1e-5", "0", is_accountant, .meaning = "with which epsilon may fail, below 1", .real = true},
    {"epsilon", "0", "0", is_accountant,
     .meaning = "above 0: instead of noise, the least noise that costs no more than this", .real = true},
    {"epsilon", "1", "0", is_mechanism, .meaning = "where the parameter noise is 0: the least noise that costs no more",
     .real = true},
    {.name = NULL},
};

static cohort_status check(const cohort_privacy_use *use, double epsilon, cohort_error *error) {
  if (!(use->rate > 0 && use->rate <= 1))
    return cohort_fail(error, COHORT_BAD_CONFIG, "command line: rate is %g; it is above 0 and at most 1", use->rate);
  if (!(use->delta > 0 && use->delta < 1))
    return cohort_fail(error, COHORT_BAD_CONFIG, "command line: delta is %g; it is above 0 and below 1", use->delta);
  if (use->noise <= 0 && epsilon <= 0)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "command line: noise is 0, so that epsilon is infinite; give noise, or epsilon to find it");
  return COHORT_DONE;
}

static double real_of(const cohort_probe_call *call, const char *name) {
  const cohort_parameter *own = find_parameter(call->method, name);
  double value = call->real(call, name);
  if (own) memcpy(&value, (const char *)call->config + own->offset, sizeof value);
  return value;
}

static cohort_status probe(const cohort_probe_call *call, cohort_error *error) {
  cohort_privacy_use use = {.noise = real_of(call, "noise"),
                            .rate = call->real(call, "rate"),
                            .steps = call->setting(call, "steps"),
                            .delta = real_of(call, "delta")};
  const double wanted = call->real(call, "epsilon");
  COHORT_TRY(check(&use, wanted, error));
  cohort_privacy_room room = {.known = false};
  if (is_accountant(call->method) ? wanted > 0 : use.noise <= 0)
    use.noise = cohort_privacy_noise(call->method, call->config, wanted, &use, &room);
  *call->output(call, "noise") = use.noise;
  *call->output(call, "epsilon") = cohort_privacy_epsilon(call->method, call->config, &use, &room);
  cohort_privacy_room_release(&room);
  return COHORT_DONE;
}

const cohort_family cohort_family_privacy = {
    .name = "privacy",
    .noun = "privacy mechanism",
    .summary = "an accountant of differential privacy, or a mechanism that hides what one client leaves",
    .inputs = inputs,
    .outputs = outputs,
    .settings = settings,
    .probe = probe,
};
