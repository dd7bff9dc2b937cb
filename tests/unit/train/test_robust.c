/* Robust joining: the same bits on any ranks, threads and hosts, for every method of the family; the plain sum where
 * nobody is left out; changes that are not finite; forged ones; what is kept over rounds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "contract/method_fixture.h"
#include "train/robust/robust.h"

enum { MOST = 12, WIDTH = 2300, ROUNDS = 2 };

typedef struct scene {
  const char *method, *settings; /* of no method: NULL */
  cohort_variant variant;
  int clients, threads, broken; /* client `broken` leaves what is not finite; -1: none */
  int forgers;                  /* the first ones */
  bool uniform;
  bool shift; /* the later round has other clients */
} scene;

typedef struct outcome {
  const scene *scene;
  _Atomic int differ;
  _Alignas(double) char joined[ROUNDS][WIDTH * sizeof(double)];
  int chosen, finite;
  double distance, share[MOST];
} outcome;

static size_t real_of(const scene *own) { return own->variant == COHORT_VARIANT_F64 ? sizeof(double) : sizeof(float); }

static double value_of(int64_t client, int round, int64_t e) {
  const cohort_random_key key = cohort_random_key_from_seed((uint64_t)(11 + round));
  return cohort_random_normal_at(key, (uint64_t)client, (uint64_t)e) * (client % 4 == 3 ? 5 : 1) + 0.3;
}

static double cost_of(int i) { return 1 + (i * 7) % 5; }

static double weight_of(const scene *own, int i) {
  double sum = 0;
  for (int j = 0; j < own->clients; j++) sum += own->uniform ? 1 : 1 + j % 3;
  return own->uniform ? 1.0 / own->clients : (1 + i % 3) / sum;
}

static int64_t client_of(const scene *own, int round, int i) { return own->shift && round ? 2 * i + 1 : i; }

static void fill(const scene *own, int round, int i, void *row) {
  for (int64_t e = 0; e < WIDTH; e++) {
    const double value = i == own->broken && e == 777 ? NAN : value_of(client_of(own, round, i), round, e);
    fixture_set(row, e, real_of(own), value);
  }
}

static void play(cohort_robust_join *robust, const scene *own, const cohort_item_order *order, int rank, int round,
                 char *joined, cohort_robust_outcome *seen) {
  int64_t client[MOST];
  double weight[MOST];
  bool forger[MOST];
  for (int i = 0; i < own->clients; i++) {
    client[i] = client_of(own, round, i);
    weight[i] = weight_of(own, i);
    forger[i] = i < own->forgers;
  }
  const cohort_robust_crowd crowd = {.clients = own->clients,
                                     .client = client,
                                     .weight = weight,
                                     .order = order,
                                     .forgery = {-2, 0.5, own->forgers ? forger : NULL}};
  cohort_robust_begin(robust, &crowd);
  for (int leaf = order->first[rank]; leaf < order->first[rank + 1]; leaf++)
    fill(own, round, order->item[leaf], cohort_robust_row(robust, order->item[leaf]));
  memset(joined, 0x55, WIDTH * real_of(own));
  cohort_robust_finish(robust, joined, seen);
  cohort_robust_keep(robust);
}

static cohort_status run_rank(cohort_comm *comm, void *argument) {
  outcome *all = argument;
  const scene *own = all->scene;
  cohort_choice choice = {NULL, NULL};
  cohort_document *document = NULL;
  if (own->method) document = fixture_choose(own->variant, "robust", own->method, own->settings, &choice);
  const cohort_robust_options options = {.comm = comm,
                                         .threads = own->threads,
                                         .variant = own->variant,
                                         .elements = WIDTH,
                                         .method = own->method ? &choice : NULL};
  cohort_robust_join *robust = NULL;
  cohort_item_order order = {0};
  double cost[MOST];
  for (int i = 0; i < own->clients; i++) cost[i] = cost_of(i);
  cohort_item_order_create(own->clients, cost, comm->size, &order);
  COHORT_TRY(cohort_robust_create(&options, &robust, NULL));
  char *joined = malloc(WIDTH * sizeof(double));
  cohort_robust_outcome seen;
  for (int round = 0; round < ROUNDS; round++) {
    play(robust, own, &order, comm->rank, round, joined, &seen);
    if (comm->rank == 0) memcpy(all->joined[round], joined, WIDTH * real_of(own));
    cohort_comm_barrier(comm);
    if (memcmp(all->joined[round], joined, WIDTH * real_of(own)) != 0) all->differ++;
    cohort_comm_barrier(comm);
  }
  if (comm->rank == 0) {
    all->chosen = seen.chosen;
    all->finite = seen.finite;
    all->distance = seen.distance;
    memcpy(all->share, seen.share, (size_t)own->clients * sizeof *all->share);
  }
  free(joined);
  cohort_robust_destroy(robust);
  cohort_item_order_release(&order);
  cohort_choice_release(&choice);
  cohort_document_destroy(document);
  return COHORT_DONE;
}

static void on_one(const scene *own, outcome *out) {
  memset(out, 0, sizeof *out);
  out->scene = own;
  CU_ASSERT_EQUAL(cohort_comm_run_threads(1, run_rank, out), COHORT_DONE);
}

static void same(const scene *own, const outcome *first, const outcome *other) {
  CU_ASSERT_EQUAL(other->differ, 0);
  for (int round = 0; round < ROUNDS; round++)
    CU_ASSERT_EQUAL(memcmp(first->joined[round], other->joined[round], WIDTH * real_of(own)), 0);
  CU_ASSERT_EQUAL(first->chosen, other->chosen);
  CU_ASSERT(first->distance == other->distance);
}

static void check_everywhere(const scene *own) {
  static outcome first, other;
  on_one(own, &first);
  scene there = *own;
  for (int ranks = 1; ranks <= 8; ranks += ranks == 3 ? 2 : ranks == 5 ? 3 : 1)
    for (there.threads = 1; there.threads <= 2; there.threads++) {
      memset(&other, 0, sizeof other);
      other.scene = &there;
      CU_ASSERT_EQUAL(cohort_comm_run_threads(ranks, run_rank, &other), COHORT_DONE);
      same(own, &first, &other);
    }
  there.threads = 1;
  memset(&other, 0, sizeof other);
  other.scene = &there;
  CU_ASSERT_EQUAL(cohort_comm_run_threads_on_hosts(5, 2, run_rank, &other), COHORT_DONE);
  same(own, &first, &other);
}

static void every_method_has_the_same_bits_everywhere(void) {
  const cohort_method *method;
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++) {
    if (strcmp(method->family, "robust") != 0) continue;
    for (int wide = 0; wide < 2; wide++) {
      const scene own = {.method = method->key,
                         .settings = "",
                         .variant = wide ? COHORT_VARIANT_F64 : COHORT_VARIANT_F32_SSE2,
                         .clients = 11,
                         .threads = 1,
                         .broken = wide ? 4 : -1,
                         .forgers = wide ? 0 : 2,
                         .shift = true};
      check_everywhere(&own);
    }
  }
}

/* The sum that a run without any of this takes, one loop along the tree. */
static void sum_plainly(const scene *own, int round, const int *item, int first, int last, double *out) {
  if (last - first == 1) {
    _Alignas(double) char row[WIDTH * sizeof(double)];
    fill(own, round, item[first], row);
    const double share = weight_of(own, item[first]);
    for (int64_t e = 0; e < WIDTH; e++) {
      const double value = fixture_get(row, e, real_of(own));
      out[e] = real_of(own) == sizeof(float) ? (double)((float)share * (float)value) : share * value;
    }
    return;
  }
  int left = 1;
  while (2 * left < last - first) left *= 2;
  double *right = malloc(WIDTH * sizeof *right);
  sum_plainly(own, round, item, first, first + left, out);
  sum_plainly(own, round, item, first + left, last, right);
  for (int64_t e = 0; e < WIDTH; e++)
    out[e] = real_of(own) == sizeof(float) ? (double)((float)out[e] + (float)right[e]) : out[e] + right[e];
  free(right);
}

static void nobody_left_out_is_the_plain_sum(void) {
  static const struct {
    const char *method, *settings;
    bool uniform;
  } cases[] = {{NULL, "", false},
               {"multikrum", "byzantine=0", false},
               {"multikrum", "keep=12", false},
               {"multikrum", "keep=12", true},
               {"trimmedmean", "byzantine=0", true},
               {"bulyan", "byzantine=0", true},
               {"geometricmedian", "iterations=0", false},
               {"centeredclipping", "radius=1e6", false},
               {"centeredclipping", "radius=1e6 iterations=3", true}};
  static outcome found;
  static double sum[WIDTH];
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
    for (int wide = 0; wide < 2; wide++) {
      const scene own = {.method = cases[c].method,
                         .settings = cases[c].settings,
                         .variant = wide ? COHORT_VARIANT_F64 : COHORT_VARIANT_F32_AVX2,
                         .clients = 11,
                         .threads = 2,
                         .broken = -1,
                         .uniform = cases[c].uniform};
      if (!fixture_runs(own.variant)) continue;
      on_one(&own, &found);
      double cost[MOST];
      for (int i = 0; i < own.clients; i++) cost[i] = cost_of(i);
      cohort_item_order order = {0};
      cohort_item_order_create(own.clients, cost, 1, &order);
      for (int round = 0; round < ROUNDS; round++) {
        sum_plainly(&own, round, order.item, 0, own.clients, sum);
        int differ = 0;
        for (int64_t e = 0; e < WIDTH; e++) differ += sum[e] != fixture_get(found.joined[round], e, real_of(&own));
        CU_ASSERT_EQUAL(differ, 0);
      }
      CU_ASSERT_EQUAL(found.chosen, own.clients);
      cohort_item_order_release(&order);
    }
}

/* A change that is not finite is as if it were not there. */
static void what_is_not_finite_is_left_out(void) {
  static outcome found;
  const cohort_method *method;
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++) {
    if (strcmp(method->family, "robust") != 0) continue;
    const scene own = {
        .method = method->key, .settings = "", .variant = COHORT_VARIANT_F64, .clients = 9, .threads = 1, .broken = 8};
    on_one(&own, &found);
    CU_ASSERT_EQUAL(found.finite, 8);
    CU_ASSERT_EQUAL(found.share[8], 0);
    int bad = 0;
    for (int64_t e = 0; e < WIDTH; e++) bad += !isfinite(fixture_get(found.joined[1], e, sizeof(double)));
    CU_ASSERT_EQUAL(bad, 0);
  }
  const scene alone = {
      .method = "krum", .settings = "", .variant = COHORT_VARIANT_F64, .clients = 1, .threads = 1, .broken = 0};
  on_one(&alone, &found);
  CU_ASSERT(found.finite == 0 && found.chosen == 0);
  for (int64_t e = 0; e < WIDTH; e++) CU_ASSERT(fixture_get(found.joined[1], e, sizeof(double)) == 0);
}

/* Five clients are too few for krum with three malicious ones: such a round changes nothing. */
static void too_few_are_joined_to_nothing(void) {
  static outcome found;
  const scene own = {.method = "krum",
                     .settings = "byzantine=3",
                     .variant = COHORT_VARIANT_F64,
                     .clients = 5,
                     .threads = 1,
                     .broken = -1};
  on_one(&own, &found);
  CU_ASSERT_EQUAL(found.chosen, 0);
  for (int64_t e = 0; e < WIDTH; e++) CU_ASSERT(fixture_get(found.joined[0], e, sizeof(double)) == 0);
}

static void forgers_send_what_the_honest_say(void) {
  static outcome found;
  const scene own = {.method = NULL,
                     .settings = "",
                     .variant = COHORT_VARIANT_F64,
                     .clients = 7,
                     .threads = 2,
                     .broken = -1,
                     .forgers = 3,
                     .uniform = true};
  on_one(&own, &found);
  for (int64_t e = 0; e < WIDTH; e += 97) {
    double mean = 0, square = 0;
    for (int i = 3; i < 7; i++) mean += value_of(i, 0, e) / 4;
    for (int i = 3; i < 7; i++) square += (value_of(i, 0, e) - mean) * (value_of(i, 0, e) - mean);
    const double forged = -2 * mean + 0.5 * sqrt(square / 3);
    CU_ASSERT_DOUBLE_EQUAL(fixture_get(found.joined[0], e, sizeof(double)), (4 * mean + 3 * forged) / 7, 1e-12);
  }
}

/* Of similar clients over two rounds: the second round's shares follow from both rounds' changes. */
static void histories_are_kept(void) {
  static outcome still, moved;
  scene own = {.method = "foolsgold",
               .settings = "",
               .variant = COHORT_VARIANT_F64,
               .clients = 6,
               .threads = 1,
               .broken = -1,
               .forgers = 2};
  on_one(&own, &still);
  CU_ASSERT(still.share[0] == 0 && still.share[1] == 0 && still.share[4] > 0); /* two who say the same */
  own.shift = true;
  on_one(&own, &moved);
  CU_ASSERT_NOT_EQUAL(memcmp(still.joined[1], moved.joined[1], sizeof still.joined[1]), 0);
}

int main(void) {
  static const check checks[] = {
      {"every method has the same bits everywhere", every_method_has_the_same_bits_everywhere},
      {"nobody left out is the plain sum", nobody_left_out_is_the_plain_sum},
      {"what is not finite is left out", what_is_not_finite_is_left_out},
      {"too few are joined to nothing", too_few_are_joined_to_nothing},
      {"forgers send what the honest say", forgers_send_what_the_honest_say},
      {"histories are kept", histories_are_kept}};
  return check_run("train_robust", checks, sizeof checks / sizeof *checks);
}
