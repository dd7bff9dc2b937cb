/* Secure aggregation over ranks and threads: masked rounds are unmasked ones bit for bit, on any ranks; sums are those
 * of whole numbers that are added here, and within the bound of the weighted mean; losses, refusals, noise. */
#include <math.h>
#include <stdio.h>

#include "check.h"
#include "train/secure/secure.h"

enum { MOST = 40, ELEMENTS = 3000, VECTORS = 2, ROW = ELEMENTS * VECTORS };

typedef struct rounds {
  int clients, threads;
  size_t real;
  bool fixed, noisy, infinite;
  cohort_secure_settings settings;
  char joined[ROW * sizeof(double)]; /* of rank 0's last round */
  cohort_secure_report report;
  _Atomic int differ;
  cohort_status status;
} rounds;

static double value_of(int64_t client, int64_t e) {
  return 0.2 * cohort_random_normal_at(cohort_random_key_from_seed(11), (uint64_t)client, (uint64_t)e);
}
static int64_t noise_of(int64_t client, int64_t e) { return (client * 31 + e) % 7 - 3; }

static void add_noise(void *argument, int64_t round, int64_t client, int64_t first, int64_t count, int64_t *whole) {
  (void)argument, (void)round;
  for (int64_t i = 0; i < count; i++) whole[i] += noise_of(client, first + i);
}

static double share_of(const rounds *own, int item) {
  return own->fixed ? 1.0 / 16 : (1.0 + item % 5) / (own->clients / 5 * 15.0);
}

typedef struct giving {
  rounds *own;
  cohort_secure *secure;
  const int64_t *client;
} giving;

static cohort_status give(void *argument, int executor, int item, void *row, double *numbers, cohort_error *error) {
  const giving *giver = argument;
  const rounds *own = giver->own;
  static _Thread_local char change[ROW * sizeof(double)];
  (void)row, (void)error;
  for (int64_t e = 0; e < ROW; e++) {
    const double value = own->infinite && item == 3 && e == 17 ? NAN : value_of(giver->client[item], e);
    if (own->real == sizeof(double))
      ((double *)change)[e] = value;
    else
      ((float *)change)[e] = (float)value;
  }
  cohort_secure_take(giver->secure, executor, item, change);
  numbers[0] = 0;
  return COHORT_DONE;
}

static cohort_status run_ranks(cohort_comm *comm, void *argument) {
  rounds *own = argument;
  const cohort_secure_noise noise = {NULL, add_noise, 3};
  const cohort_secure_options options = {.comm = comm,
                                         .threads = own->threads,
                                         .real = own->real,
                                         .elements = ELEMENTS,
                                         .vectors = VECTORS,
                                         .seed = 5,
                                         .settings = &own->settings,
                                         .noise = own->noisy ? &noise : NULL};
  cohort_secure *secure = NULL;
  cohort_error error;
  if (cohort_secure_create(&options, &secure, &error) != COHORT_DONE) return COHORT_BUG;
  cohort_items *items = cohort_items_create(comm, own->threads, own->real, 0);
  cohort_item_order order = {0};
  double cost[MOST], share[MOST];
  int64_t client[MOST];
  for (int i = 0; i < own->clients; i++) {
    cost[i] = 1 + i % 4;
    share[i] = share_of(own, i);
    client[i] = 1000 - 7 * i;
  }
  cohort_item_order_create(own->clients, cost, comm->size, &order);
  char *joined = calloc(ROW, sizeof(double));
  cohort_secure_report report = {0};
  cohort_status status = COHORT_DONE;
  for (int64_t number = 0; number < 2 && status == COHORT_DONE; number++) {
    const cohort_secure_round round = {number, &order, client, share, own->fixed};
    status = cohort_secure_begin(secure, &round, &error);
    if (status != COHORT_DONE) break;
    giving giver = {own, secure, client};
    const cohort_item_work work = {.argument = &giver, .run = give, .numbers = 1};
    cohort_item_results results = {0};
    cohort_items_run(items, &order, &work, &results);
    status = cohort_secure_finish(secure, joined, &report, &error);
  }
  if (comm->rank == 0) {
    memcpy(own->joined, joined, ROW * own->real);
    own->report = report;
    own->status = status;
  }
  cohort_comm_barrier(comm);
  if (memcmp(own->joined, joined, ROW * own->real) != 0 || memcmp(&own->report, &report, sizeof report) != 0)
    own->differ++;
  free(joined);
  cohort_item_order_release(&order);
  cohort_items_destroy(items);
  cohort_secure_destroy(secure);
  return COHORT_DONE;
}

/* Two ranks a host where there are more. */
static void run_rounds(rounds *own, int ranks) {
  CU_ASSERT(cohort_comm_run_threads_on_hosts(ranks, 2, run_ranks, own) == COHORT_DONE);
  CU_ASSERT_EQUAL(own->differ, 0);
}

static rounds usual(size_t real) {
  return (rounds){
      .clients = 15, .threads = 1, .real = real, .settings = {.threshold = 0.6, .range = 1, .bits = 20, .masks = true}};
}

static bool same(const rounds *a, const rounds *b) {
  return memcmp(a->joined, b->joined, ROW * a->real) == 0 && memcmp(&a->report, &b->report, sizeof a->report) == 0;
}

/* Against the same whole numbers without masks, on one rank and thread. */
static void masked_is_unmasked(void) {
  for (int variant = 0; variant < 12; variant++) {
    rounds base = usual(variant & 1 ? sizeof(double) : sizeof(float));
    base.settings.dropout = variant & 2 ? 0.08 : 0;
    base.settings.modulus = variant & 4 ? COHORT_SECURE_MODULUS_64 : COHORT_SECURE_MODULUS_32;
    base.settings.rounding = variant & 4 ? COHORT_ROUND_STOCHASTIC : COHORT_ROUND_NEAREST;
    base.settings.neighbours = variant & 8 ? 6 : 0;
    base.noisy = variant & 4;
    base.settings.masks = false;
    if (variant & 8) base.settings.threshold = 0.3;
    run_rounds(&base, 1);
    CU_ASSERT(base.status == COHORT_DONE && !base.report.refused);
    CU_ASSERT((base.report.delivered < 15) == ((variant & 2) != 0));
    const int ranks[] = {1, 2, 3, 5};
    for (int r = 0; r < 4; r++) {
      rounds own = base;
      own.settings.masks = true;
      own.threads = 1 + r % 2;
      run_rounds(&own, ranks[r]);
      CU_ASSERT(own.status == COHORT_DONE && same(&own, &base));
    }
  }
}

/* Whole numbers added here, with weights of their own: what openfl's first weighted masks got wrong. */
static void sums_are_exact_and_near(void) {
  for (int noisy = 0; noisy < 2; noisy++) {
    rounds own = usual(sizeof(double));
    own.noisy = noisy;
    run_rounds(&own, 2);
    const double *joined = (const double *)own.joined, step = 1 / (ldexp(1, 19) - 1);
    double furthest = 0;
    for (int64_t e = 0; e < ROW; e++) {
      int64_t whole = 0;
      double mean = 0, total = 0;
      for (int i = 0; i < own.clients; i++) total += share_of(&own, i);
      for (int i = 0; i < own.clients; i++) {
        const double x = value_of(1000 - 7 * i, e), weight = e < ELEMENTS ? share_of(&own, i) * own.clients / total : 1;
        const double clipped = fmax(-1, fmin(1, x));
        whole += (int64_t)rint(clipped * (weight / step)) + (noisy && e < ELEMENTS ? noise_of(1000 - 7 * i, e) : 0);
        mean += clipped * (e < ELEMENTS ? share_of(&own, i) : 1.0 / own.clients);
      }
      const double wanted = (double)whole * (step * (e < ELEMENTS ? total : 1) / own.clients);
      CU_ASSERT(fabs(joined[e] - wanted) <= 1e-15);
      furthest = fmax(furthest, fabs(joined[e] - mean));
    }
    if (!noisy) {
      printf("(furthest from the mean: %.3g, bound %.3g) ", furthest, own.report.bound);
      CU_ASSERT(furthest <= own.report.bound * (1 + 1e-9) && own.report.bound <= 0.5001 * step);
    }
  }
}

/* The mean of those that have delivered; or, where shares are fixed beforehand, their part of it. */
static void losses_are_made_up_for(void) {
  for (int fixed = 0; fixed < 2; fixed++) {
    rounds own = usual(sizeof(double));
    own.settings.dropout = 0.08;
    own.fixed = fixed;
    run_rounds(&own, 1);
    CU_ASSERT(!own.report.refused && own.report.delivered < 15);
    const cohort_random_key key =
        cohort_random_key_derive(cohort_random_key_derive_name(cohort_random_key_from_seed(5), "secure"), 1);
    double mean = 0, total = 0;
    for (int i = 0; i < own.clients; i++) {
      const cohort_random_key lost =
          cohort_random_key_derive_name(cohort_random_key_derive(key, (uint64_t)(1000 - 7 * i)), "lost");
      if (cohort_random_uniform(cohort_random_word(lost, 0, 0)) < 0.08) continue;
      mean += share_of(&own, i) * value_of(1000 - 7 * i, 42);
      total += share_of(&own, i);
    }
    CU_ASSERT(fabs(((double *)own.joined)[42] - (fixed ? mean : mean / total)) <= own.report.bound);
  }
}

static void refusals(void) {
  rounds own = usual(sizeof(float));
  own.settings.dropout = 0.5;
  own.settings.threshold = 0.9;
  run_rounds(&own, 3);
  CU_ASSERT(own.status == COHORT_DONE && own.report.refused);
  CU_ASSERT(strstr(own.report.reason, "of its 14 neighbours answer, 13 are needed") != NULL);
  rounds bare = own;
  bare.settings.masks = false;
  run_rounds(&bare, 2);
  CU_ASSERT(bare.report.refused && strcmp(bare.report.reason, own.report.reason) == 0);
  rounds alone = usual(sizeof(float));
  alone.clients = 1;
  alone.fixed = true;
  run_rounds(&alone, 2);
  CU_ASSERT(alone.report.refused && strstr(alone.report.reason, "nobody to hide among") != NULL);
  rounds wraps = usual(sizeof(float));
  wraps.settings.bits = 30;
  run_rounds(&wraps, 2);
  CU_ASSERT(wraps.status == COHORT_BAD_CONFIG);
  rounds infinite = usual(sizeof(float));
  infinite.infinite = true;
  run_rounds(&infinite, 3);
  CU_ASSERT(!infinite.report.refused && isnan(((float *)infinite.joined)[0]) && !isnan(((float *)infinite.joined)[17]));
}

static void configs(void) {
  cohort_faults faults = {0};
  cohort_secure_settings settings = usual(4).settings;
  cohort_secure_check(&settings, 100, 0, NULL, &faults);
  CU_ASSERT(faults.count == 0);
  cohort_secure_check(&settings, 5000, 0, NULL, &faults);
  CU_ASSERT(faults.count == 1 && strstr(faults.text, "set bits to 19 or less, or modulus to 64") != NULL);
  settings.modulus = COHORT_SECURE_MODULUS_64;
  cohort_secure_check(&settings, 5000, 0, NULL, &faults);
  CU_ASSERT(faults.count == 1);
  cohort_secure_check(&settings, 1, 0, NULL, &faults);
  CU_ASSERT(faults.count == 2 && strstr(faults.text, "nobody to hide among") != NULL);
  cohort_faults_release(&faults);
}

static const check checks[] = {{"masked rounds are unmasked ones", masked_is_unmasked},
                               {"sums are exact, and near the mean", sums_are_exact_and_near},
                               {"losses are made up for", losses_are_made_up_for},
                               {"refusals", refusals},
                               {"configs that can wrap", configs}};
int main(void) { return check_run("secure rounds", checks, sizeof checks / sizeof *checks); }
