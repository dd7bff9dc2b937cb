/* The family partition: its probe, the checks of what is dealt, and what several methods deal by. Invariant: after
 * cohort_partition_deal every sample has one client and every client a sample. Linear in clients and samples, and the
 * logarithm of the clients for each that is left without. */
#include "method/partition/partition.h"

#include <string.h>

#include "method/family.h"

void cohort_partition_equally(const cohort_partition_data *data, int64_t clients, int32_t *owner) {
  for (int64_t i = 0; i < data->samples; i++)
    owner[cohort_random_permute(data->key, (uint64_t)data->samples, (uint64_t)i)] =
        (int32_t)(i * clients / data->samples);
}

cohort_partition_members cohort_partition_by_label(const cohort_partition_data *data) {
  cohort_partition_members out;
  out.member = data->memory(data, (size_t)data->samples * sizeof *out.member);
  out.first = data->memory(data, (size_t)(data->classes + 2) * sizeof *out.first);
  int64_t *next = out.first + 1; /* while it is filled, where the next of a label goes */
  for (int64_t i = 0; i < data->samples; i++) next[data->labels[i] + 1]++;
  for (int64_t c = 0; c < data->classes; c++) next[c + 1] += next[c];
  for (int64_t i = 0; i < data->samples; i++) out.member[next[data->labels[i]]++] = (int32_t)i;
  return out;
}

/* ---- proportions ---- */

/* The words of the stream (key, high), one after another. */
typedef struct draws {
  cohort_random_key key;
  uint64_t high, word;
  philox4x32_ctr_t words;
} draws;

static uint32_t draw(draws *own) {
  if ((own->word & 3) == 0) own->words = cohort_random_words(own->key, own->high, own->word >> 2);
  return own->words.v[own->word++ & 3];
}

/* Gamma(shape, 1): Marsaglia & Tsang 2000, with their boost for shapes below 1. */
static double draw_gamma(cohort_random_key key, uint64_t high, double shape) {
  draws own = {.key = key, .high = high};
  double boost = 1;
  if (shape < 1) {
    const double uniform = cohort_random_uniform(draw(&own)) + 0x1p-25;
    boost = pow(uniform, 1 / shape);
    shape += 1;
  }
  const double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    const uint32_t first = draw(&own), second = draw(&own);
    const double x = cohort_random_normal(first, second);
    const double uniform = cohort_random_uniform(draw(&own)) + 0x1p-25;
    const double v = (1 + c * x) * (1 + c * x) * (1 + c * x);
    if (v > 0 && log(uniform) < 0.5 * x * x + d - d * v + d * log(v)) return boost * d * v;
  }
}

/* Where a draw stands: what is dealt, and room for the clients' shares. */
typedef struct dealing {
  const cohort_partition_draw *draw;
  const cohort_partition_data *data;
  cohort_partition_members members;
  int64_t classes;
  double *edge;  /* [clients + 1] */
  int64_t *size; /* [clients] */
  int32_t *owner;
} dealing;

/* The samples of one class over clients whose shares lie between edges. */
static void deal_class(const dealing *own, cohort_random_key key, const int32_t *member, int64_t count) {
  const int64_t clients = own->draw->clients;
  const double *edge = own->edge;
  int64_t client = 0;
  for (int64_t i = 0; i < count; i++) {
    while (client + 1 < clients && ((double)i + 0.5) * edge[clients] > edge[client + 1] * (double)count) client++;
    own->owner[member[cohort_random_permute(key, (uint64_t)count, (uint64_t)i)]] = (int32_t)client;
  }
}

static cohort_status deal_once(const dealing *own, cohort_random_key key, cohort_error *error) {
  const int64_t clients = own->draw->clients;
  for (int64_t category = 0; category < own->classes; category++) {
    const cohort_random_key of_class = cohort_random_key_derive(key, (uint64_t)category);
    const int64_t first = own->members.first[category], count = own->members.first[category + 1] - first;
    if (!count) continue;
    own->edge[0] = 0;
    for (int64_t c = 0; c < clients; c++)
      own->edge[c + 1] = own->edge[c] + draw_gamma(of_class, (uint64_t)c + 1, own->draw->alpha);
    if (!(own->edge[clients] > 0) || !isfinite(own->edge[clients]))
      return cohort_fail(error, COHORT_BAD_CONFIG, "alpha: %g gives shares that are no numbers; take one nearer to 1",
                         own->draw->alpha);
    deal_class(own, of_class, own->members.member + first, count);
  }
  return COHORT_DONE;
}

static int64_t smallest(const dealing *own) {
  int64_t least = own->data->samples;
  memset(own->size, 0, (size_t)own->draw->clients * sizeof *own->size);
  for (int64_t i = 0; i < own->data->samples; i++) own->size[own->owner[i]]++;
  for (int64_t c = 0; c < own->draw->clients; c++)
    if (own->size[c] < least) least = own->size[c];
  return least;
}

static cohort_status deal_all(const dealing *own, cohort_error *error) {
  const cohort_partition_draw *drawn = own->draw;
  const cohort_random_key again = cohort_random_key_derive_name(own->data->key, "again");
  if (drawn->minimum > own->data->samples / drawn->clients)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "minimum: %lld clients of at least %lld samples are more than the %lld samples",
                       (long long)drawn->clients, (long long)drawn->minimum, (long long)own->data->samples);
  for (int64_t tried = 0; tried < drawn->tries; tried++) {
    COHORT_TRY(deal_once(own, tried ? cohort_random_key_derive(again, (uint64_t)tried) : own->data->key, error));
    if (drawn->minimum <= 1 || smallest(own) >= drawn->minimum) return COHORT_DONE;
  }
  return cohort_fail(error, COHORT_BAD_CONFIG,
                     "minimum: none of %lld draws gave every client %lld samples; lower minimum, or raise alpha",
                     (long long)drawn->tries, (long long)drawn->minimum);
}

cohort_status cohort_partition_by_proportions(const cohort_partition_draw *drawn, bool by_class,
                                              const cohort_partition_data *data, int32_t *owner, cohort_error *error) {
  if (drawn->alpha <= 0) {
    cohort_partition_equally(data, drawn->clients, owner);
    return COHORT_DONE;
  }
  dealing own = {.draw = drawn, .data = data, .owner = owner};
  cohort_partition_data whole = *data;
  int32_t *none = by_class ? NULL : data->memory(data, (size_t)data->samples * sizeof *none);
  if (!by_class) {
    whole.labels = none;
    whole.classes = 1;
  }
  own.classes = whole.classes;
  own.members = cohort_partition_by_label(&whole);
  own.edge = data->memory(data, (size_t)(drawn->clients + 1) * sizeof *own.edge);
  own.size = data->memory(data, (size_t)drawn->clients * sizeof *own.size);
  return deal_all(&own, error);
}

/* ---- clients that are left without ---- */

/* A heap of clients with samples to give: the largest first, of equal ones the first. */
typedef struct givers {
  int64_t count, *client;
  const int64_t *size;
} givers;

static bool gives_first(const givers *own, int64_t a, int64_t b) {
  return own->size[a] != own->size[b] ? own->size[a] > own->size[b] : a < b;
}

static void sink(givers *own, int64_t at) {
  for (int64_t child; (child = 2 * at + 1) < own->count; at = child) {
    if (child + 1 < own->count && gives_first(own, own->client[child + 1], own->client[child])) child++;
    if (gives_first(own, own->client[at], own->client[child])) return;
    const int64_t moved = own->client[at];
    own->client[at] = own->client[child];
    own->client[child] = moved;
  }
}

/* Each client without a sample takes the first one of the client that is then the largest. */
static void help_the_empty(const cohort_partition_data *data, int64_t clients, int64_t *size, int32_t *owner) {
  int64_t *first = data->memory(data, 2 * (size_t)clients * sizeof *first);
  int32_t *next = data->memory(data, (size_t)data->samples * sizeof *next); /* of the same client, ascending */
  for (int64_t c = 0; c < clients; c++) first[c] = -1;
  for (int64_t i = data->samples - 1; i >= 0; i--) {
    next[i] = (int32_t)first[owner[i]];
    first[owner[i]] = i;
  }
  givers heap = {.client = first + clients, .size = size};
  for (int64_t c = 0; c < clients; c++)
    if (size[c]) heap.client[heap.count++] = c;
  for (int64_t at = heap.count / 2 - 1; at >= 0; at--) sink(&heap, at);
  for (int64_t c = 0; c < clients; c++) {
    if (size[c] || !heap.count) continue;
    const int64_t giver = heap.client[0], sample = first[giver];
    first[giver] = next[sample];
    owner[sample] = (int32_t)c;
    size[giver]--;
    sink(&heap, 0);
  }
}

/* ---- dealing ---- */

static cohort_status check_owners(const cohort_method *method, const cohort_partition_data *data, int64_t clients,
                                  int32_t *owner, cohort_error *error) {
  int64_t *size = data->memory(data, (size_t)clients * sizeof *size), empty = -1;
  for (int64_t i = 0; i < data->samples; i++) {
    if (owner[i] < 0 || owner[i] >= clients)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: sample %lld belongs to client %d, and there are %lld, from 0 on",
                         method->key, (long long)i, (int)owner[i], (long long)clients);
    size[owner[i]]++;
  }
  for (int64_t c = clients - 1; c >= 0; c--)
    if (!size[c]) empty = c;
  if (empty < 0) return COHORT_DONE;
  if (!((const cohort_partition *)method->functions)->helps)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: client %lld of %lld has no sample; every client needs one",
                       method->key, (long long)empty, (long long)clients);
  help_the_empty(data, clients, size, owner);
  return COHORT_DONE;
}

cohort_partition_by cohort_partition_looks_at(const cohort_method *method, const void *config) {
  const cohort_partition *functions = method->functions;
  return functions->blind && functions->blind(config) ? COHORT_PARTITION_BY_NOTHING : functions->by;
}

cohort_status cohort_partition_deal(const cohort_method *method, const void *config, const cohort_partition_data *data,
                                    int64_t *clients, int32_t *owner, cohort_error *error) {
  const cohort_partition *functions = method->functions;
  if (cohort_partition_looks_at(method, config) != COHORT_PARTITION_BY_NOTHING && !data->labels)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "%s: deals by the classes of samples, and these have none; take iid or sizes", method->key);
  *clients = functions->clients(config, data);
  if (*clients > data->samples)
    return cohort_fail(error, COHORT_BAD_CONFIG, "%lld clients, but only %lld training samples; every client needs one",
                       (long long)*clients, (long long)data->samples);
  cohort_status status = functions->deal(config, data, owner, error);
  return status == COHORT_DONE ? check_owners(method, data, *clients, owner, error) : status;
}

/* ---- the probe ---- */

static bool is_dealt(const cohort_method *method) { return !((const cohort_partition *)method->functions)->drawn; }
static bool is_drawn(const cohort_method *method) { return !is_dealt(method); }

static const cohort_probe_array inputs[] = {
    {"labels",
     COHORT_ARRAY_OF_INTEGER,
     {"samples"},
     .when = is_dealt,
     .constraint = "0 <= value",
     .meaning = "of every sample its class; or the number by which the data, a file or a text name its client"},
    {"number",
     COHORT_ARRAY_OF_INTEGER,
     {"samples"},
     .when = is_drawn,
     .constraint = "0 <= value",
     .meaning = "which samples: those of client 0 come first, then those of client 1"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"owner", COHORT_ARRAY_OF_INTEGER, {"samples"}, .meaning = "the client, from 0 on, that holds the sample"},
    {"x", COHORT_ARRAY_OF_REAL, {"samples", "features"}, .when = is_drawn, .meaning = "the sample"},
    {"y", COHORT_ARRAY_OF_INTEGER, {"samples"}, .when = is_drawn, .meaning = "its class"},
    {.name = NULL},
};

static const cohort_probe_setting settings[] = {
    {"seed", "1", "0", NULL, .meaning = "of the draws: that of a run gives its population"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"samples", 1, 600, NULL, .meaning = "training samples"},
    {"features", 60, 60, is_drawn, .meaning = "numbers of a drawn sample", .fixed = true},
    {.name = NULL},
};

cohort_random_key cohort_partition_key(uint64_t seed) {
  const cohort_random_key of_run = cohort_random_key_derive_name(cohort_random_key_from_seed(seed), "federated");
  return cohort_random_key_derive_name(of_run, "partition");
}

static void *take(const cohort_partition_data *data, size_t bytes) {
  const cohort_probe_call *call = data->implementation;
  return call->memory(call, (int64_t)(bytes / sizeof(double) + 1));
}

static cohort_status probe_dealt(const cohort_probe_call *call, cohort_partition_data *data, cohort_error *error) {
  const double *given = call->input(call, "labels");
  double *out = call->output(call, "owner");
  int32_t *labels = take(data, (size_t)data->samples * sizeof *labels);
  int32_t *owner = take(data, (size_t)data->samples * sizeof *owner);
  for (int64_t i = 0; i < data->samples; i++) {
    labels[i] = (int32_t)given[i];
    if (labels[i] >= data->classes) data->classes = (int64_t)labels[i] + 1;
  }
  data->labels = labels;
  int64_t clients = 0;
  COHORT_TRY(cohort_partition_deal(call->method, call->config, data, &clients, owner, error));
  for (int64_t i = 0; i < data->samples; i++) out[i] = owner[i];
  return COHORT_DONE;
}

/* One sample after another, each sought among the clients from the first: for a few of them. */
static cohort_status probe_drawn(const cohort_probe_call *call, const cohort_partition_data *data,
                                 cohort_error *error) {
  const cohort_partition *functions = call->method->functions;
  const cohort_partition_drawn *drawn = functions->drawn;
  const double *given = call->input(call, "number");
  double *owner = call->output(call, "owner"), *x = call->output(call, "x"), *y = call->output(call, "y");
  double *model = call->memory(call, drawn->numbers);
  float *row = take(data, (size_t)drawn->features * sizeof *row);
  const int64_t clients = functions->clients(call->config, data);
  for (int64_t i = 0; i < data->samples; i++) {
    int64_t client = 0, index = (int64_t)given[i], size;
    while (client < clients && index >= (size = drawn->size(call->config, data->key, client))) {
      index -= size;
      client++;
    }
    if (client == clients)
      return cohort_fail(error, COHORT_BAD_DATA, "number[%lld] is %.0f, and the %lld clients have fewer samples",
                         (long long)i, given[i], (long long)clients);
    drawn->begin(call->config, data->key, client, model);
    owner[i] = (double)client;
    y[i] = drawn->draw(call->config, data->key, client, index, model, row);
    for (int64_t f = 0; f < drawn->features; f++) x[i * drawn->features + f] = (double)row[f];
  }
  return COHORT_DONE;
}

static cohort_status probe(const cohort_probe_call *call, cohort_error *error) {
  cohort_partition_data data = {.samples = call->size(call, "samples"),
                                .key = cohort_partition_key((uint64_t)call->setting(call, "seed")),
                                .memory = take,
                                .implementation = (void *)(uintptr_t)call};
  return is_drawn(call->method) ? probe_drawn(call, &data, error) : probe_dealt(call, &data, error);
}

const cohort_family cohort_family_partition = {
    .name = "partition",
    .summary = "a rule for who holds which samples",
    .inputs = inputs,
    .outputs = outputs,
    .settings = settings,
    .symbols = symbols,
    .probe = probe,
};
