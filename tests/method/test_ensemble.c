/* The claim of Coste et al., Reward Model Ensembles Help Mitigate Overoptimization (ICLR 2024), on a small problem:
 * best of n by one reward model, whose labels were flipped at 25 %, gives away gold reward that the worst case and the
 * mean less variance of five keep, and its proxy promises more than it holds.
 *
 * The problem, its seeds and thresholds stood before its first run: completions are 16 normal features; the gold reward
 * is linear; a reward model is linear too, fitted to 48 pairs of its own by 300 steps of Bradley-Terry with a rate of
 * 0.5, and scaled to a mean of 0 and a deviation of 1 on 2,000 completions. 200 prompts, n = 512. lambda is the default
 * of uwo, 0.5. Asked: gold of wco and uwo above the mean of the five alone; gap of proxy and gold below theirs. */
#include <math.h>

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "io/config.h"
#include "method/reward/reward.h"
#include "train/rollout/rewards.h"

enum { FEATURES = 16, PAIRS = 48, STEPS = 300, MODELS = 5, PROMPTS = 200, N = 512, SCALE = 2000 };

static void draw(uint64_t seed, uint64_t stream, double x[FEATURES]) {
  for (uint64_t f = 0; f < FEATURES; f++) x[f] = cohort_random_normal_at(cohort_random_key_from_seed(seed), stream, f);
}

static double dot(const double *a, const double *b) {
  double sum = 0;
  for (int f = 0; f < FEATURES; f++) sum += a[f] * b[f];
  return sum;
}

/* A reward model: weights and its scale. */
typedef struct fitted {
  double w[FEATURES], mean, deviation;
} fitted;

static void fit(int number, const double *gold, fitted *out) {
  static double difference[PAIRS][FEATURES];
  const uint64_t seed = 100 + (uint64_t)number;
  *out = (fitted){.mean = 0};
  for (uint64_t p = 0; p < PAIRS; p++) {
    double a[FEATURES], b[FEATURES];
    draw(seed, 2 * p, a);
    draw(seed, 2 * p + 1, b);
    const bool flipped =
        cohort_random_uniform(cohort_random_word(cohort_random_key_from_seed(seed), 1 << 20, p)) < 0.25;
    const double sign = (dot(a, gold) > dot(b, gold)) != flipped ? 1 : -1;
    for (int f = 0; f < FEATURES; f++) difference[p][f] = sign * (a[f] - b[f]);
  }
  for (int step = 0; step < STEPS; step++) {
    double gradient[FEATURES] = {0};
    for (int p = 0; p < PAIRS; p++) {
      const double wrong = 1 / (1 + exp(dot(out->w, difference[p])));
      for (int f = 0; f < FEATURES; f++) gradient[f] += wrong * difference[p][f] / PAIRS;
    }
    for (int f = 0; f < FEATURES; f++) out->w[f] += 0.5 * gradient[f];
  }
  double sum = 0, squares = 0;
  for (uint64_t i = 0; i < SCALE; i++) {
    double x[FEATURES];
    draw(7, i, x);
    sum += dot(x, out->w);
    squares += dot(x, out->w) * dot(x, out->w);
  }
  out->mean = sum / SCALE;
  out->deviation = sqrt(squares / SCALE - out->mean * out->mean);
}

/* What best of n by a reward promises and holds, in the mean over prompts. */
typedef struct outcome {
  double proxy, gold;
} outcome;

static outcome best_of(const char *text, const fitted *model, const double *gold) {
  static cohort_reward_completion completion[N];
  static double score[MODELS][N], reward[N], value[N];
  const double *const answer[MODELS] = {score[0], score[1], score[2], score[3], score[4]};
  const cohort_reward_batch batch = {.completions = N, .group = N, .limit = 1, .completion = completion};
  cohort_document *document = NULL;
  cohort_choice choice;
  cohort_reward_tree *tree = NULL;
  cohort_faults faults = {0};
  cohort_error error;
  outcome out = {0, 0};
  CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, strlen(text), "r", &document, &error), COHORT_DONE);
  cohort_choice_read(COHORT_VARIANT_F64, "reward", document, "reward", &choice, NULL, &faults);
  CU_ASSERT_EQUAL_FATAL(faults.count, 0);
  CU_ASSERT_EQUAL_FATAL(cohort_reward_open(&choice, &tree, &error), COHORT_DONE);
  for (uint64_t prompt = 0; prompt < PROMPTS; prompt++) {
    for (uint64_t i = 0; i < N; i++) {
      double x[FEATURES];
      draw(1000, prompt * N + i, x);
      value[i] = dot(x, gold);
      for (int m = 0; m < MODELS; m++) score[m][i] = (dot(x, model[m].w) - model[m].mean) / model[m].deviation;
    }
    cohort_reward_score(tree, &batch, answer, reward);
    const int64_t best = cohort_rewards_best(N, reward);
    out.proxy += reward[best] / PROMPTS;
    out.gold += value[best] / PROMPTS;
  }
  cohort_reward_close(tree);
  cohort_choice_release(&choice);
  cohort_document_destroy(document);
  return out;
}

static void test_claim(void) {
  double gold[FEATURES];
  fitted model[MODELS];
  draw(3, 0, gold);
  const double norm = sqrt(dot(gold, gold));
  for (int f = 0; f < FEATURES; f++) gold[f] /= norm; /* its deviation is 1, as the models' */
  for (int m = 0; m < MODELS; m++) fit(m, gold, &model[m]);
  outcome alone = {0, 0};
  for (int m = 0; m < MODELS; m++) {
    const fitted own[MODELS] = {model[m], model[m], model[m], model[m], model[m]};
    const outcome one = best_of("{rm: a}", own, gold);
    alone.proxy += one.proxy / MODELS;
    alone.gold += one.gold / MODELS;
  }
  const outcome wco = best_of("{wco: [{rm: a}, {rm: b}, {rm: c}, {rm: d}, {rm: e}]}", model, gold);
  const outcome uwo = best_of("{uwo: [{rm: a}, {rm: b}, {rm: c}, {rm: d}, {rm: e}]}", model, gold);
  const bool holds = wco.gold > alone.gold && uwo.gold > alone.gold &&
                     wco.proxy - wco.gold < alone.proxy - alone.gold && uwo.proxy - uwo.gold < alone.proxy - alone.gold;
  if (!holds || getenv("COHORT_FIGURES"))
    fprintf(stderr, "\n  proxy, gold: alone %.3f, %.3f; wco %.3f, %.3f; uwo %.3f, %.3f\n", alone.proxy, alone.gold,
            wco.proxy, wco.gold, uwo.proxy, uwo.gold);
  CU_ASSERT(holds);
}

int main(void) {
  static const check checks[] = {{"conservative ensembles keep gold reward", test_claim}};
  return check_run("ensemble", checks, sizeof checks / sizeof *checks);
}
