/* The family attack: its probe, and who is malicious. Costs what an attack costs, in float64. */
#include "method/attack/attack.h"

#include "method/family.h"
#include "method/registry.h"

static bool on_labels(const cohort_method *method) { return ((const cohort_attack *)method->functions)->label; }
static bool on_changes(const cohort_method *method) { return !on_labels(method); }

static const cohort_probe_array inputs[] = {
    {"rows",
     COHORT_ARRAY_OF_REAL,
     {"clients", "n"},
     .when = on_changes,
     .meaning = "the change of each client, honest as all would be"},
    {"malicious",
     COHORT_ARRAY_OF_INTEGER,
     {"clients"},
     .when = on_changes,
     .constraint = "0 <= value < 2",
     .meaning = "1: the client is"},
    {"labels",
     COHORT_ARRAY_OF_INTEGER,
     {"samples"},
     .when = on_labels,
     .constraint = "0 <= value < classes",
     .meaning = "classes of samples of a malicious client"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"attacked", COHORT_ARRAY_OF_REAL, {"clients", "n"}, .when = on_changes, .meaning = "what the clients send"},
    {"flipped", COHORT_ARRAY_OF_REAL, {"samples"}, .when = on_labels, .meaning = "the classes that it trains with"},
    {.name = NULL},
};

static const cohort_probe_setting settings[] = {
    {"classes", NULL, "2", .when = on_labels, .meaning = "that there are"},
    {"seed", "0", "0", .when = on_changes, .meaning = "of what the method draws"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"clients", 1, 7, .when = on_changes, .meaning = "clients of the round"},
    {"n", 1, 6, .when = on_changes, .meaning = "elements of a change"},
    {"samples", 1, 8, .when = on_labels, .meaning = "samples"},
    {"classes", 2, 5, .when = on_labels, .meaning = "classes"},
    {.name = NULL},
};

bool cohort_attack_is_malicious(cohort_random_key key, int64_t population, double share, int64_t client) {
  const cohort_random_key own = cohort_random_key_derive_name(key, "attack");
  return (double)cohort_random_permute(own, (uint64_t)population, (uint64_t)client) <
         floor(share * (double)population + 0.5);
}

static void flip(const cohort_probe_call *call, const cohort_attack *functions) {
  const double *labels = call->input(call, "labels");
  double *flipped = call->output(call, "flipped");
  const int32_t classes = (int32_t)call->setting(call, "classes");
  for (int64_t i = 0; i < call->size(call, "samples"); i++)
    flipped[i] = functions->label(call->config, (int32_t)labels[i], classes);
}

/* The honest clients' mean and deviation of one coordinate. */
static void describe(const double *rows, const double *malicious, int64_t clients, int64_t n, int64_t e, double *mean,
                     double *deviation) {
  double honest = 0, sum = 0, square = 0;
  for (int64_t i = 0; i < clients; i++) {
    if (malicious[i] > 0) continue;
    honest++;
    sum += rows[i * n + e];
  }
  *mean = honest > 0 ? sum / honest : 0;
  for (int64_t i = 0; i < clients; i++)
    if (!(malicious[i] > 0)) square += (rows[i * n + e] - *mean) * (rows[i * n + e] - *mean);
  *deviation = honest > 1 ? sqrt(square / (honest - 1)) : 0;
}

static cohort_status probe(const cohort_probe_call *call, cohort_error *error) {
  (void)error;
  const cohort_attack *functions = call->method->functions;
  if (functions->label) {
    flip(call, functions);
    return COHORT_DONE;
  }
  const double *rows = call->input(call, "rows"), *malicious = call->input(call, "malicious");
  double *attacked = call->output(call, "attacked");
  const int64_t clients = call->size(call, "clients"), n = call->size(call, "n");
  const cohort_random_key key = cohort_random_key_from_seed((uint64_t)call->setting(call, "seed"));
  int count = 0;
  for (int64_t i = 0; i < clients; i++) count += malicious[i] > 0;
  const cohort_attack_join join =
      functions->join ? functions->join(call->config, (int)clients, count) : (cohort_attack_join){0, 0};
  const cohort_attack_change change =
      functions->change ? functions->change(call->config) : (cohort_attack_change){0, 0};
  for (int64_t e = 0; e < n; e++) {
    double mean, deviation;
    describe(rows, malicious, clients, n, e, &mean, &deviation);
    for (int64_t i = 0; i < clients; i++) {
      const double own = rows[i * n + e];
      const double drawn = cohort_random_normal_at(cohort_random_key_derive(key, (uint64_t)i), 0, (uint64_t)e);
      attacked[i * n + e] = !(malicious[i] > 0) ? own
                            : functions->join   ? join.mean * mean + join.deviation * deviation
                                                : change.scale * own + change.deviation * drawn;
    }
  }
  return COHORT_DONE;
}

const cohort_family cohort_family_attack = {
    .name = "attack",
    .summary = "what malicious clients of a federation do",
    .inputs = inputs,
    .outputs = outputs,
    .settings = settings,
    .symbols = symbols,
    .probe = probe,
};
