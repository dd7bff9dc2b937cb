/* Clipping, noise and accounts of rounds. Invariant: a change leaves with a norm of at most the bound as the numbers
 * that it is made of say, not only in exact arithmetic; and the noise of an element depends on key, round and element
 * alone. A change costs two passes, the joined change a draw an element. */
#include "train/engine/privacy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/team.h"
#include "method/privacy/mechanism.h"

typedef struct private_rounds {
  cohort_private_rounds_options options;
  cohort_choice mechanism;
  const cohort_privacy *functions;
  const cohort_privacy_settings *settings;
  cohort_random_key key;
  cohort_privacy_room room;
  cohort_scratch shares;
  double rate, divisor; /* that the account counts with; clients by whom the noise is divided */
  double grain;         /* of which changes are multiples, in units of the bound; 0: any number */
  double kept[2];       /* multiplier, bound: saved, so that a resumed run goes on with them */
  double next_clip;
  double value[2];
  int64_t limit; /* once it was asked for */
  cohort_round_state state[2];
} private_rounds;

enum { NOISE, CLIP };
/* By which an account may differ from itself: a budget that a round count was bought for is not overspent by it. */
static const double slack = 1e-5;

/* ---- accounts ---- */

static bool given(const cohort_document *section) { return !cohort_document_is_null(section); }

static double delta_of(const private_rounds *own) {
  const bool budget = given(own->settings->budget) && own->settings->budget_settings.delta > 0;
  return budget ? own->settings->budget_settings.delta : own->settings->delta;
}

/* What `rounds` rounds at a multiplier cost. Whoever adds noise himself must not tell any two of his changes apart,
 * which are up to twice the bound from one another, and may be asked in every round. */
static double epsilon_after(private_rounds *own, double noise, int64_t rounds) {
  const bool local = own->settings->local;
  const cohort_privacy_use use = {
      .noise = local ? noise / 2 : noise, .rate = local ? 1 : own->rate, .steps = rounds, .delta = delta_of(own)};
  if (rounds < 1) return 0;
  return cohort_privacy_epsilon(own->mechanism.method, own->mechanism.config, &use, &own->room);
}

typedef struct question {
  private_rounds *own;
} question;

static double epsilon_of(void *argument, const cohort_privacy_use *use) {
  const question *asked = argument;
  return epsilon_after(asked->own, use->noise, use->steps);
}

/* The multiplier that a budget asks for. */
static void buy_noise(private_rounds *own, cohort_faults *faults) {
  const cohort_privacy_budget *budget = &own->settings->budget_settings;
  if (!given(own->settings->budget)) return;
  question asked = {own};
  const cohort_privacy_use use = {.steps = budget->rounds ? budget->rounds : own->options.rounds};
  if (own->kept[NOISE] <= 0) own->kept[NOISE] = cohort_privacy_solve(epsilon_of, &asked, budget->epsilon, &use);
  if (!(epsilon_after(own, own->kept[NOISE], 1) <= budget->epsilon * (1 + slack)))
    cohort_faults_add(faults, own->options.place,
                      "federated.privacy.%s.budget: the first round costs more than epsilon %g; give more noise, or a "
                      "larger budget",
                      own->mechanism.method->key, budget->epsilon);
}

int64_t cohort_private_rounds_limit(const cohort_round_module *module) {
  private_rounds *own = module->argument;
  if (!given(own->settings->budget)) return INT64_MAX;
  const double most = own->settings->budget_settings.epsilon * (1 + slack);
  int64_t low = 1, high = own->options.rounds; /* affordable; perhaps not */
  if (epsilon_after(own, own->kept[NOISE], high) <= most) return INT64_MAX;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (epsilon_after(own, own->kept[NOISE], middle) <= most)
      low = middle;
    else
      high = middle;
  }
  own->limit = low;
  return low;
}

/* ---- what cannot hold ---- */

static void fault(const private_rounds *own, cohort_faults *faults, const char *text) {
  cohort_faults_add(faults, own->options.place, "federated.privacy.%s%s", own->mechanism.method->key, text);
}

/* All that leaves a client is its change, and what it weighs tells nothing. */
static void check_strategy(const private_rounds *own, cohort_faults *faults) {
  const cohort_federated *strategy = own->options.strategy;
  bool leaves = false;
  for (const cohort_federated_vector *v = strategy ? strategy->vectors : NULL; v && v->name; v++)
    leaves = leaves || v->side == COHORT_SIDE_UPLOAD;
  if (leaves || (strategy && strategy->weigh))
    fault(own, faults,
          ": clients of this strategy leave more than their change, or weigh by it, which no noise hides; "
          "take fedavg, fedprox or a server's optimizer");
}

static void check_sampling(const private_rounds *own, cohort_faults *faults) {
  const bool counts = !own->functions->samples || own->functions->samples(own->mechanism.config);
  if (counts && !own->settings->local && own->rate < 1 && !own->options.poisson)
    fault(own, faults,
          ": epsilon counts on Poisson sampling; take sampler: {poisson: {}}, or let all clients take part, "
          "or, of gaussian, accountant: zcdp, which counts on no sampling");
  if (own->rate > 1) fault(own, faults, ": noise_cohort is more than there are clients; give noise_population too");
}

static void check(const private_rounds *own, cohort_faults *faults) {
  const cohort_privacy_settings *settings = own->settings;
  const cohort_privacy_adaptive *adaptive = &settings->adaptive_settings;
  if (settings->noise_population && !settings->noise_cohort)
    fault(own, faults, ".noise_population: it belongs to noise_cohort; give that too, or take this out");
  if (settings->local && (settings->noise_cohort || own->functions->correlated))
    fault(own, faults, ".local: clients' own noise is theirs alone; take out noise_cohort, or another mechanism");
  if (given(settings->adaptive) && (settings->local || settings->per_layer))
    fault(own, faults, ".adaptive: the bound is one number that the server knows; take out local and per_layer");
  const double count_noise = adaptive->count_noise > 0 ? adaptive->count_noise : own->divisor / 20;
  if (given(settings->adaptive) && settings->noise > 0 && settings->noise >= 2 * count_noise)
    fault(own, faults, ".adaptive.count_noise: it must be more than half the noise, which both share; give more");
  const int64_t separation = cohort_choice_integer(&own->mechanism, "separation", 1);
  if (separation > 1 && separation > own->options.separation)
    fault(own, faults,
          ".separation: the sampler does not keep a client away for so many rounds; take sampler: cyclic, "
          "which does for clients / clients_per_round, or 1");
}

/* ---- clipping ---- */

/* The norm of numbers, in a fixed order of eight sums; `p` 1 or 2. */
#define COHORT_NORM_OF(name, type)                                                                    \
  static double name(int p, int64_t n, const type *x) {                                               \
    double part[8] = {0};                                                                             \
    for (int64_t i = 0; i < n; i++) {                                                                 \
      const double value = (double)x[i];                                                              \
      part[i & 7] += p == 1 ? fabs(value) : value * value;                                            \
    }                                                                                                 \
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7])); \
  }
COHORT_NORM_OF(power_of_floats, float)
COHORT_NORM_OF(power_of_doubles, double)

/* Tensors [first, last) of a change. */
static double norm_of(const private_rounds *own, int first, int last, const void *change) {
  const cohort_space *space = own->options.space;
  const int p = own->functions->norm;
  double sum = 0;
  for (int t = first; t < last; t++) {
    const int64_t at = space->tensor[t].offset, n = space->tensor[t].elements;
    sum += own->options.real == sizeof(float) ? power_of_floats(p, n, (const float *)change + at)
                                              : power_of_doubles(p, n, (const double *)change + at);
  }
  return p == 1 ? sum : sqrt(sum);
}

/* Multiplies, and rounds to whole grains where there is a grain. */
static void scale_by(const private_rounds *own, int first, int last, double scale, void *change) {
  const cohort_space *space = own->options.space;
  const bool whole = own->grain > 0;
  for (int t = first; t < last; t++) {
    const int64_t at = space->tensor[t].offset, n = space->tensor[t].elements;
    float *single = (float *)change + at;
    double *wide = (double *)change + at;
    if (own->options.real == sizeof(float))
      for (int64_t i = 0; i < n; i++) {
        const double value = scale * (double)single[i];
        single[i] = (float)(whole ? rint(value) : value);
      }
    else
      for (int64_t i = 0; i < n; i++) wide[i] = whole ? rint(scale * wide[i]) : scale * wide[i];
  }
}

/* Shortens to the bound: what rounding leaves above it goes in further, smaller steps. */
static void shorten(const private_rounds *own, int first, int last, double bound, void *change) {
  const double rounding = own->options.real == sizeof(float) ? 0x1p-24 : 0x1p-51;
  double norm = norm_of(own, first, last, change), margin = 1;
  for (int i = 0; norm > bound && i < 60; i++) {
    scale_by(own, first, last, bound / norm * margin, change);
    norm = norm_of(own, first, last, change);
    margin = own->grain > 0 ? 0.999 * margin : margin - rounding;
  }
  if (norm > bound) scale_by(own, first, last, 0, change);
}

static void add_noise(const private_rounds *own, cohort_random_key key, int64_t round, double scale, double after,
                      void *change);

static double apply(void *argument, int executor, int64_t version, int64_t client, void *change) {
  (void)executor;
  private_rounds *own = argument;
  const cohort_privacy_settings *settings = own->settings;
  const int tensors = own->options.space->tensors;
  const double clip = own->kept[CLIP];
  const double under = norm_of(own, 0, tensors, change) <= clip;
  double bound = clip;
  if (own->grain > 0) { /* from here on in whole grains */
    scale_by(own, 0, tensors, 1 / (own->grain * clip), change);
    bound = 1 / own->grain;
  }
  if (settings->per_layer) {
    const double part = own->functions->norm == 1 ? bound / tensors : bound / sqrt(tensors);
    for (int t = 0; t < tensors; t++) shorten(own, t, t + 1, part, change);
  }
  shorten(own, 0, tensors, bound, change);
  if (settings->local && own->kept[NOISE] > 0) {
    const cohort_random_key key =
        cohort_random_key_derive(cohort_random_key_derive_name(own->key, "client"), (uint64_t)client);
    add_noise(own, key, version, own->kept[NOISE] * bound, 1, change);
  }
  return under;
}

/* ---- noise ---- */

enum { TILE = 2048 };

typedef struct noise_work {
  const private_rounds *own;
  cohort_random_key key;
  int64_t round, offset, elements, drawn; /* of a tensor; where it is in what was drawn */
  double scale, after;
  void *change;
} noise_work;

/* change = (change + noise) after */
static void add_tile(void *argument, int64_t tile) {
  const noise_work *work = argument;
  const private_rounds *own = work->own;
  double noise[TILE];
  const int64_t first = tile * TILE, left = work->elements - first, n = left < TILE ? left : TILE;
  const int64_t at = work->offset + first;
  if (work->scale <= 0)
    memset(noise, 0, (size_t)n * sizeof *noise);
  else if (own->options.drawn)
    for (int64_t i = 0; i < n; i++)
      noise[i] =
          work->scale * own->options.drawn[work->round * own->options.space->parameters + work->drawn + first + i];
  else
    own->functions->fill(own->mechanism.config, work->scale, work->key, work->round, at, n, noise);
  if (own->options.real == sizeof(float)) {
    float *x = (float *)work->change + at;
    for (int64_t i = 0; i < n; i++) x[i] = (float)(((double)x[i] + noise[i]) * work->after);
  } else {
    double *x = (double *)work->change + at;
    for (int64_t i = 0; i < n; i++) x[i] = (x[i] + noise[i]) * work->after;
  }
}

static void add_noise(const private_rounds *own, cohort_random_key key, int64_t round, double scale, double after,
                      void *change) {
  const cohort_space *space = own->options.space;
  const cohort_team team = {own->settings->local ? 1 : own->options.threads};
  int64_t drawn = 0;
  for (int t = 0; t < space->tensors; t++) {
    noise_work work = {own,   key,   round, space->tensor[t].offset, space->tensor[t].elements, drawn,
                       scale, after, change};
    cohort_team_run(&team, (work.elements + TILE - 1) / TILE, add_tile, &work);
    drawn += work.elements;
  }
}

/* Of the deviation that the account counts, the part on the change: the rest is on the count (Andrew et al., 2021,
 * Theorem 1). */
static double noise_on_change(const private_rounds *own, double count_noise) {
  const double noise = own->kept[NOISE];
  if (!given(own->settings->adaptive) || noise <= 0) return noise;
  return 1 / sqrt(1 / (noise * noise) - 1 / (4 * count_noise * count_noise));
}

/* The next bound, from how many changes were under this one. */
static void adapt(private_rounds *own, const cohort_round *round, const double *applied, double count_noise) {
  const cohort_privacy_adaptive *adaptive = &own->settings->adaptive_settings;
  double count = 0; /* of the clients, each told by half: nobody moves it by more than that */
  for (int i = 0; i < round->present; i++) count += applied[i] - 0.5;
  const cohort_random_key key = cohort_random_key_derive_name(own->key, "count");
  const double noise =
      own->kept[NOISE] > 0 ? count_noise * cohort_random_normal_at(key, 0, (uint64_t)round->number) : 0;
  const double share = 0.5 + count / own->options.present + noise / own->divisor;
  own->next_clip = own->kept[CLIP] * exp(-adaptive->learning_rate * (share - adaptive->quantile));
}

static cohort_status joined(void *argument, const cohort_round *round, const double *applied, void *change,
                            cohort_error *error) {
  (void)error;
  private_rounds *own = argument;
  const cohort_privacy_settings *settings = own->settings;
  const double count_noise =
      settings->adaptive_settings.count_noise > 0 ? settings->adaptive_settings.count_noise : own->divisor / 20;
  const double noise = settings->local ? 0 : noise_on_change(own, count_noise), clip = own->kept[CLIP];
  if (own->grain > 0)
    add_noise(own, own->key, round->number, noise / own->grain, own->grain * clip / own->options.present, change);
  else if (noise > 0)
    add_noise(own, own->key, round->number, noise * clip / own->divisor, 1, change);
  own->next_clip = clip;
  if (given(settings->adaptive)) adapt(own, round, applied, count_noise);
  const int64_t done = round->number + 1;
  const bool told =
      own->options.every <= 1 || done % own->options.every == 0 || done == own->options.rounds || done == own->limit;
  own->value[0] = told && own->kept[NOISE] > 0 ? epsilon_after(own, own->kept[NOISE], done) : NAN;
  own->value[1] = clip;
  return COHORT_DONE;
}

static void commit(void *argument, const cohort_round *round, const double *losses) {
  (void)round, (void)losses;
  private_rounds *own = argument;
  own->kept[CLIP] = own->next_clip;
}

/* ---- making ---- */

static void release(void *argument) {
  private_rounds *own = argument;
  if (!own) return;
  cohort_privacy_room_release(&own->room);
  cohort_scratch_release(&own->shares);
  cohort_choice_release(&own->mechanism);
  free(own);
}

static void prepare(private_rounds *own) {
  const cohort_private_rounds_options *options = &own->options;
  const cohort_privacy_settings *settings = own->settings;
  const double cohort = settings->noise_cohort ? (double)settings->noise_cohort : options->present;
  const double population =
      settings->noise_population ? (double)settings->noise_population : (double)options->population;
  own->divisor = cohort;
  own->rate = cohort / population;
  own->grain = own->functions->grain ? own->functions->grain(own->mechanism.config) : 0;
  own->kept[NOISE] = settings->noise;
  own->kept[CLIP] = own->next_clip = settings->clip;
  own->key = cohort_random_key_derive_name(cohort_random_key_from_seed(options->seed), "privacy");
  own->value[0] = own->value[1] = NAN;
  own->state[NOISE] = (cohort_round_state){"noise", COHORT_STORED_FLOAT64, 1, &own->kept[NOISE]};
  own->state[CLIP] = (cohort_round_state){"clip", COHORT_STORED_FLOAT64, 1, &own->kept[CLIP]};
}

cohort_status cohort_private_rounds_create(const cohort_private_rounds_options *options, cohort_faults *faults,
                                           cohort_round_module *out, cohort_error *error) {
  static const char *const columns[] = {"privacy/epsilon", "privacy/clip"};
  const cohort_privacy *functions = options->mechanism->method->functions;
  if (!functions->fill) {
    cohort_faults_add(faults, options->place,
                      "federated.privacy: %s is an accountant, which adds no noise; take gaussian: {accountant: %s}",
                      options->mechanism->method->key, options->mechanism->method->key);
    return cohort_faults_status(faults, error);
  }
  private_rounds *own = cohort_allocate(sizeof *own);
  own->options = *options;
  own->mechanism = cohort_choice_copy(options->mechanism);
  own->functions = functions;
  own->settings = own->mechanism.config;
  prepare(own);
  check_strategy(own, faults);
  check_sampling(own, faults);
  check(own, faults);
  if (!faults->count) buy_noise(own, faults);
  cohort_comm_broadcast(options->comm, 0, own->kept, sizeof own->kept);
  if (faults->count) {
    release(own);
    return cohort_faults_status(faults, error);
  }
  const bool adaptive = given(own->settings->adaptive), spends = own->kept[NOISE] > 0;
  *out = (cohort_round_module){.name = "privacy",
                               .argument = own,
                               .release = release,
                               .apply = apply,
                               .joined = joined,
                               .commit = commit,
                               .columns = adaptive + spends,
                               .column = columns + !spends,
                               .value = own->value + !spends,
                               .states = adaptive || spends ? 2 : 0,
                               .state = own->state};
  return COHORT_DONE;
}

static const char *key_of(const cohort_document *choice) {
  return choice->kind == COHORT_MAP && choice->count ? choice->names[0] : choice->text ? choice->text : "";
}

cohort_status cohort_private_rounds_open(const cohort_federation_options *run, int64_t population,
                                         cohort_faults *faults, cohort_round_module *out, cohort_error *error) {
  const cohort_federated_settings *settings = &run->settings->federated_settings;
  const char *sampler = key_of(settings->sampler);
  const bool cyclic = strcmp(sampler, "cyclic") == 0;
  if (strcmp(sampler, "poisson") != 0 && strcmp(sampler, "uniform") != 0 && !cyclic)
    cohort_faults_add(faults, settings->sampler,
                      "federated.sampler: %s looks at what clients hold, which privacy must not; take poisson",
                      sampler);
  if (!cohort_document_is_null(settings->asynchronous))
    cohort_faults_add(
        faults, settings->privacy,
        "federated.privacy: a server that does not wait has no rounds to account for; remove asynchronous");
  cohort_choice mechanism = {NULL, NULL};
  cohort_choice_expand(run->variant, "privacy", settings->privacy, "privacy", &mechanism, run->expanded, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  const cohort_private_rounds_options own = {
      .comm = run->comm,
      .mechanism = &mechanism,
      .strategy = run->strategy->method ? run->strategy->method->functions : NULL,
      .place = settings->privacy,
      .space = run->spaces->space[0],
      .real = sizeof(float),
      .threads = run->threads,
      .population = population,
      .present = (double)settings->clients_per_round,
      .poisson = strcmp(sampler, "poisson") == 0,
      .rounds = run->settings->steps,
      .separation = cyclic ? population / settings->clients_per_round : 1,
      .every = run->settings->log_every,
      .seed = (uint64_t)run->settings->seed};
  const cohort_status status = cohort_private_rounds_create(&own, faults, out, error);
  cohort_choice_release(&mechanism);
  return status;
}

const cohort_round_module *cohort_private_rounds_find(const cohort_federation *federation) {
  const cohort_round_module *module;
  for (int m = 0; (module = cohort_federation_module(federation, m)); m++)
    if (strcmp(module->name, "privacy") == 0) return module;
  return NULL;
}

const double *cohort_private_rounds_shares(const cohort_round_module *module, int present) {
  private_rounds *own = module->argument;
  double *share = cohort_scratch_take(&own->shares, (size_t)(present + 1) * sizeof *share);
  for (int i = 0; i < present; i++) share[i] = cohort_private_rounds_share(module);
  return share;
}

double cohort_private_rounds_share(const cohort_round_module *module) {
  const private_rounds *own = module->argument;
  return own->grain > 0 ? 1 : 1 / own->options.present;
}

char *cohort_private_rounds_text(const cohort_round_module *module, int64_t rounds) {
  private_rounds *own = module->argument;
  const char *key = own->mechanism.method->key;
  if (own->kept[NOISE] <= 0)
    return cohort_format_text("%s clips changes to %g and adds no noise: nothing is private", key, own->kept[CLIP]);
  char cohort[160] = "";
  if (own->settings->noise_cohort)
    (void)snprintf(cohort, sizeof cohort,
                   "; noise and epsilon are those of rounds of %.0f clients, not of this run's %.0f", own->divisor,
                   own->options.present);
  return cohort_format_text(
      "%s, noise %.6g x clip %g%s, epsilon %.6g at delta %g after %lld rounds%s; who knows the "
      "seed can take the noise away",
      key, own->kept[NOISE], own->kept[CLIP], own->settings->local ? " by each client" : "",
      epsilon_after(own, own->kept[NOISE], rounds), delta_of(own), (long long)rounds, cohort);
}
