/* Attack and defence as modules of a round. Invariant: who is malicious depends on (seed, client), what it draws on the
 * round too, on nothing else. Costs an attack's pass over a change, and a join's (robust_join.c). */
#include "train/robust/robust_rounds.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "method/attack/attack.h"
#include "method/federated/federated.h"
#include "train/robust/robust.h"
#include "update/algebra.h"

enum { CHOSEN, DISTANCE, ROBUST_COLUMNS };
static const char *const attack_columns[] = {"attack/clients"};
static const char *const robust_columns[] = {"robust/chosen", "robust/distance"};

struct cohort_robust_rounds {
  cohort_robust_rounds_options options;
  cohort_choice attack, robust; /* method NULL: none */
  double share;                 /* of clients that are malicious */
  cohort_relabel relabel;
  cohort_robust_options join_options;
  cohort_robust_join *join; /* or NULL */
  cohort_joiner joiner;
  void **noise; /* [threads]: room for draws; or NULL */
  cohort_row_table *table[1];
  cohort_round_state state[1];
  double malicious, value[ROBUST_COLUMNS];
  bool *forger; /* [present] */
  cohort_scratch forger_room;
  bool joined; /* the round has been */
};

static const cohort_attack *attack_of(const cohort_robust_rounds *rounds) {
  return rounds->attack.method ? rounds->attack.method->functions : NULL;
}

static bool is_malicious(const cohort_robust_rounds *rounds, int64_t client) {
  return rounds->attack.method &&
         cohort_attack_is_malicious(rounds->options.key, rounds->options.population, rounds->share, client);
}

/* ---- attack ---- */

static void begin_attack(void *argument, const cohort_round *round) {
  cohort_robust_rounds *rounds = argument;
  rounds->malicious = 0;
  for (int i = 0; i < round->present; i++) rounds->malicious += is_malicious(rounds, round->client[i]);
}

static double attack(void *argument, int executor, int64_t version, int64_t client, void *change) {
  cohort_robust_rounds *rounds = argument;
  if (!is_malicious(rounds, client)) return 0;
  const cohort_attack_change numbers = attack_of(rounds)->change(rounds->attack.config);
  const cohort_algebra *algebra = cohort_algebra_of(rounds->options.variant);
  const int64_t elements = rounds->options.elements;
  if (!rounds->noise) {
    algebra->combine(elements, change, numbers.scale, change, 0, change);
    return 1;
  }
  const cohort_random_key purpose = cohort_random_key_derive_name(rounds->options.key, "attack noise");
  const cohort_random_key key =
      cohort_random_key_derive(cohort_random_key_derive(purpose, (uint64_t)version), (uint64_t)client);
  algebra->fill(COHORT_FILL_NORMAL, 0, elements, rounds->noise[executor], key, 0);
  algebra->combine(elements, change, numbers.scale, change, numbers.deviation, rounds->noise[executor]);
  return 1;
}

static int32_t relabel(const void *argument, int32_t label) {
  const cohort_robust_rounds *rounds = argument;
  return attack_of(rounds)->label(rounds->attack.config, label, (int32_t)rounds->options.classes);
}

const cohort_relabel *cohort_robust_rounds_relabel(const cohort_robust_rounds *rounds, int64_t client) {
  if (!rounds || !rounds->relabel.label || !is_malicious(rounds, client)) return NULL;
  return &rounds->relabel;
}

/* ---- robust join ---- */

static cohort_status begin_join(void *argument, const cohort_round *round, const cohort_item_order *order,
                                const double *share, cohort_error *error) {
  (void)error;
  cohort_robust_rounds *rounds = argument;
  const cohort_attack *functions = attack_of(rounds);
  cohort_robust_crowd crowd = {
      .clients = round->present, .client = round->client, .weight = share, .order = order, .forgery = {.forger = NULL}};
  if (functions && functions->join && rounds->malicious > 0) {
    const cohort_attack_join numbers = functions->join(rounds->attack.config, round->present, (int)rounds->malicious);
    rounds->forger = cohort_scratch_take(&rounds->forger_room, (size_t)round->present * sizeof *rounds->forger);
    for (int i = 0; i < round->present; i++) rounds->forger[i] = is_malicious(rounds, round->client[i]);
    crowd.forgery = (cohort_robust_forgery){numbers.mean, numbers.deviation, rounds->forger};
  }
  cohort_robust_begin(rounds->join, &crowd);
  return COHORT_DONE;
}

static void take(void *argument, int executor, int item, const void *change) {
  (void)executor;
  const cohort_robust_rounds *rounds = argument;
  const size_t real = rounds->options.variant == COHORT_VARIANT_F64 ? sizeof(double) : sizeof(float);
  memcpy(cohort_robust_row(rounds->join, item), change, (size_t)rounds->options.elements * real);
}

static cohort_status finish(void *argument, const cohort_round *round, void *sum, cohort_error *error) {
  (void)error;
  cohort_robust_rounds *rounds = argument;
  cohort_robust_outcome outcome;
  cohort_robust_finish(rounds->join, sum, &outcome);
  rounds->value[CHOSEN] = (double)outcome.chosen / round->present;
  rounds->value[DISTANCE] = outcome.distance;
  rounds->joined = true;
  return COHORT_DONE;
}

/* A round of nobody has no join, and its columns are empty. */
static void begin_robust(void *argument, const cohort_round *round) {
  (void)round;
  cohort_robust_rounds *rounds = argument;
  rounds->joined = false;
  rounds->value[CHOSEN] = rounds->value[DISTANCE] = NAN;
}

static void keep(void *argument, const cohort_round *round, const double *losses) {
  (void)round, (void)losses;
  const cohort_robust_rounds *rounds = argument;
  if (rounds->joined) cohort_robust_keep(rounds->join);
}

static double join_bytes(void *argument, double present, int ranks) {
  const cohort_robust_rounds *rounds = argument;
  return cohort_robust_bytes(&rounds->join_options, present, ranks);
}

static double join_kept_bytes(void *argument, double count, double present, int ranks) {
  const cohort_robust_rounds *rounds = argument;
  return cohort_robust_kept_bytes(&rounds->join_options, (double)rounds->options.population, count, present, ranks);
}

/* ---- making ---- */

static void destroy(void *argument) {
  cohort_robust_rounds *rounds = argument;
  for (int e = 0; rounds->noise && e < rounds->options.threads; e++) cohort_memory_release(rounds->noise[e]);
  free(rounds->noise);
  cohort_robust_destroy(rounds->join);
  cohort_scratch_release(&rounds->forger_room);
  cohort_choice_release(&rounds->attack);
  cohort_choice_release(&rounds->robust);
  free(rounds);
}

/* A robust join takes the place of the strategy's, so that it must be one that joins changes alone, all as they are. */
static void check_strategy(const cohort_robust_rounds *rounds, cohort_faults *faults) {
  const cohort_choice *strategy = rounds->options.strategy;
  const cohort_federated *functions = strategy && strategy->method ? strategy->method->functions : NULL;
  if (!functions) return;
  const char *why = functions->weigh ? "weighs clients' changes in a way of its own" : NULL;
  for (const cohort_federated_vector *v = functions->vectors; v && v->name; v++)
    if (v->side == COHORT_SIDE_UPLOAD) why = "has clients upload more than their change";
  if (why)
    cohort_faults_add(faults, rounds->options.robust,
                      "federated.robust: strategy %s %s, which nothing would defend; take another strategy",
                      strategy->method->key, why);
}

static void check_robust(const cohort_robust_rounds *rounds, cohort_faults *faults) {
  cohort_error error;
  check_strategy(rounds, faults);
  if (cohort_robust_admits(rounds->robust.method, rounds->robust.config, (int)rounds->options.present, &error) !=
      COHORT_DONE)
    cohort_faults_add(faults, rounds->options.robust, "federated.robust.%s", error.text);
}

static void check_attack(const cohort_robust_rounds *rounds, cohort_faults *faults) {
  if (attack_of(rounds)->label && rounds->options.classes < 2)
    cohort_faults_add(faults, rounds->options.attack,
                      "federated.attack: %s needs samples with classes, which this task has not; take another attack",
                      rounds->attack.method->key);
}

static cohort_status make_noise(cohort_robust_rounds *rounds, cohort_error *error) {
  const size_t real = rounds->options.variant == COHORT_VARIANT_F64 ? sizeof(double) : sizeof(float);
  const cohort_attack *functions = attack_of(rounds);
  if (!functions || !functions->change || !(functions->change(rounds->attack.config).deviation > 0)) return COHORT_DONE;
  rounds->noise = cohort_allocate((size_t)rounds->options.threads * sizeof *rounds->noise);
  for (int e = 0; e < rounds->options.threads && !rounds->options.plan_only; e++)
    COHORT_TRY(
        cohort_memory_create((size_t)rounds->options.elements * real, "an attack's noise", &rounds->noise[e], error));
  return COHORT_DONE;
}

static cohort_status make_join(cohort_robust_rounds *rounds, cohort_error *error) {
  const cohort_robust_rounds_options *options = &rounds->options;
  const cohort_attack *functions = attack_of(rounds);
  if (!rounds->robust.method && !(functions && functions->join)) return COHORT_DONE;
  rounds->join_options = (cohort_robust_options){.comm = options->comm,
                                                 .threads = options->threads,
                                                 .variant = options->variant,
                                                 .elements = options->elements,
                                                 .method = rounds->robust.method ? &rounds->robust : NULL,
                                                 .plan_only = options->plan_only};
  rounds->joiner = (cohort_joiner){rounds, begin_join, take, finish};
  COHORT_TRY(cohort_robust_create(&rounds->join_options, &rounds->join, error));
  rounds->table[0] = cohort_robust_table(rounds->join);
  rounds->state[0] = (cohort_round_state){
      .name = "last",
      .type = options->variant == COHORT_VARIANT_F64 ? COHORT_STORED_FLOAT64 : COHORT_STORED_FLOAT32,
      .elements = options->elements,
      .values = cohort_robust_last(rounds->join)};
  return COHORT_DONE;
}

static cohort_status build(cohort_robust_rounds *rounds, cohort_faults *faults, cohort_error *error) {
  const cohort_robust_rounds_options *options = &rounds->options;
  if (!cohort_document_is_null(options->attack))
    cohort_choice_expand(options->variant, "attack", options->attack, "attack", &rounds->attack, options->expanded,
                         faults);
  if (!cohort_document_is_null(options->robust))
    cohort_choice_expand(options->variant, "robust", options->robust, "robust", &rounds->robust, options->expanded,
                         faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  if (rounds->attack.method) check_attack(rounds, faults);
  if (rounds->robust.method) check_robust(rounds, faults);
  if (options->hidden && (rounds->robust.method || (rounds->attack.method && attack_of(rounds)->join)))
    cohort_faults_add(faults, options->place,
                      "federated.privacy: its noise is for the weighted mean of clipped changes, and %s joins others; "
                      "remove one of them",
                      rounds->robust.method ? "robust" : "attack");
  COHORT_TRY(cohort_faults_status(faults, error));
  rounds->share = rounds->attack.method ? cohort_choice_real(&rounds->attack, "share", 0) : 0;
  if (attack_of(rounds) && attack_of(rounds)->label) rounds->relabel = (cohort_relabel){rounds, relabel};
  COHORT_TRY(make_noise(rounds, error));
  return make_join(rounds, error);
}

cohort_status cohort_robust_rounds_create(const cohort_robust_rounds_options *options, cohort_faults *faults,
                                          cohort_robust_rounds **out, cohort_error *error) {
  *out = NULL;
  if (cohort_document_is_null(options->attack) && cohort_document_is_null(options->robust)) return COHORT_DONE;
  cohort_robust_rounds *rounds = cohort_allocate(sizeof *rounds);
  rounds->options = *options;
  const cohort_status status = build(rounds, faults, error);
  if (status != COHORT_DONE) {
    destroy(rounds);
    return status;
  }
  *out = rounds;
  return COHORT_DONE;
}

int cohort_robust_rounds_modules(cohort_robust_rounds *rounds, cohort_round_module *out) {
  int count = 0;
  if (!rounds) return 0;
  if (rounds->attack.method)
    out[count++] = (cohort_round_module){.name = "attack",
                                         .argument = rounds,
                                         .begin = begin_attack,
                                         .apply = attack_of(rounds)->change ? attack : NULL,
                                         .columns = 1,
                                         .column = attack_columns,
                                         .value = &rounds->malicious};
  if (rounds->join)
    out[count++] = (cohort_round_module){.name = "robust",
                                         .argument = rounds,
                                         .begin = begin_robust,
                                         .commit = keep,
                                         .joiner = &rounds->joiner,
                                         .columns = ROBUST_COLUMNS,
                                         .column = robust_columns,
                                         .value = rounds->value,
                                         .states = rounds->robust.method && cohort_robust_last(rounds->join) ? 1 : 0,
                                         .state = rounds->state,
                                         .tables = rounds->table[0] != NULL,
                                         .table = rounds->table,
                                         .bytes = join_bytes,
                                         .kept_bytes = join_kept_bytes};
  out[0].release = destroy;
  return count;
}
