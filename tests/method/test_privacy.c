/* Accountants against Opacus and dp-accounting (golden/privacy.txt), against closed forms, and against one another;
 * draws of the mechanisms by their moments. */
#include <math.h>
#include <stdio.h>

#include "check.h"
#include "method/privacy/account/fourier.h"
#include "method/privacy/privacy.h"
#include "method/registry.h"

static cohort_privacy_room room;

/* Renyi to 1e-8 and distributions to 1e-3, of themselves where they are above 1. */
static void test_table(void) {
  FILE *file = fopen(COHORT_GOLDEN "/privacy.txt", "r");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  char line[512];
  int settings = 0;
  while (fgets(line, sizeof line, file)) {
    double noise, rate, delta, rdp, pld;
    long long steps;
    if (line[0] == '#') continue;
    CU_ASSERT_EQUAL_FATAL(sscanf(line, "%lf %lf %lld %lf %lf %lf", &noise, &rate, &steps, &delta, &rdp, &pld), 6);
    const cohort_privacy_use use = {noise, rate, steps, delta};
    const double own_rdp = cohort_rdp_epsilon(&cohort_law_gaussian, &use, &room);
    const double own_pld = cohort_pld_epsilon(&cohort_law_gaussian, &use, &room);
    const bool good = fabs(own_rdp - rdp) <= 1e-8 * fmax(1, rdp) && fabs(own_pld - pld) <= 1e-3 * fmax(1, pld) &&
                      own_pld <= own_rdp + 1e-9;
    if (!good)
      fprintf(stderr, "\n  %g %g %lld %g: rdp %.12g, not %.12g; pld %.9g, not %.9g\n", noise, rate, steps, delta,
              own_rdp, rdp, own_pld, pld);
    CU_ASSERT(good);
    settings++;
  }
  fclose(file);
  CU_ASSERT(settings >= 20);
}

static double upper(double x) { return 0.5 * erfc(x / sqrt(2)); }

/* delta(e) of the Gaussian mechanism (Balle and Wang, 2018, Theorem 8). */
static double delta_of(double noise, double e) {
  return upper(e * noise - 0.5 / noise) - exp(e) * upper(e * noise + 0.5 / noise);
}

/* Where all take part, many releases are one of less noise; nearly all are nearly so, by another way. */
static void test_closed_form(void) {
  for (int i = 0; i < 6; i++) {
    const double noise = pow(2, i - 1);
    cohort_privacy_use use = {noise, 1, 16, 1e-6};
    const double e = cohort_pld_epsilon(&cohort_law_gaussian, &use, &room);
    CU_ASSERT_DOUBLE_EQUAL(delta_of(noise / 4, e) / 1e-6, 1, 1e-6);
    use.rate = 1 - 1e-9;
    const double composed = cohort_pld_epsilon(&cohort_law_gaussian, &use, &room);
    CU_ASSERT(composed >= e * (1 - 1e-7));
    CU_ASSERT_DOUBLE_EQUAL(composed / e, 1, 3e-5);
  }
}

/* More noise, fewer steps, a lower rate and a larger delta never cost more. */
static void test_monotonic(void) {
  const cohort_privacy_use base = {1.2, 0.03, 300, 1e-6};
  cohort_privacy_use less[4] = {base, base, base, base};
  less[0].noise *= 1.1;
  less[1].rate *= 0.8;
  less[2].steps -= 30;
  less[3].delta *= 2;
  for (int i = 0; i < 4; i++) {
    CU_ASSERT(cohort_pld_epsilon(&cohort_law_gaussian, &less[i], &room) <
              cohort_pld_epsilon(&cohort_law_gaussian, &base, &room));
    CU_ASSERT(cohort_rdp_epsilon(&cohort_law_gaussian, &less[i], &room) <
              cohort_rdp_epsilon(&cohort_law_gaussian, &base, &room));
    CU_ASSERT(cohort_rdp_epsilon_bound(&less[i], &room) < cohort_rdp_epsilon_bound(&base, &room));
    CU_ASSERT(cohort_pld_epsilon(&cohort_law_laplace, &less[i], &room) <
              cohort_pld_epsilon(&cohort_law_laplace, &base, &room));
  }
  const cohort_privacy_use none = {0, 0.5, 1, 1e-5};
  CU_ASSERT(isinf(cohort_pld_epsilon(&cohort_law_gaussian, &none, &room)));
  CU_ASSERT(isinf(cohort_rdp_epsilon(&cohort_law_gaussian, &none, &room)));
}

/* Pure privacy: Laplace noise of scale b costs at most steps / b at any delta, and log(1 + q (e^(1/b) - 1)) at a rate.
 */
static void test_laplace(void) {
  const cohort_privacy_use pure = {2, 1, 1, 1e-12};
  CU_ASSERT_DOUBLE_EQUAL(cohort_pld_epsilon(&cohort_law_laplace, &pure, &room), 0.5, 1e-9);
  const cohort_privacy_use sampled = {2, 0.25, 1, 1e-12};
  CU_ASSERT_DOUBLE_EQUAL(cohort_pld_epsilon(&cohort_law_laplace, &sampled, &room), log1p(0.25 * expm1(0.5)), 1e-9);
  const cohort_privacy_use many = {2, 1, 20, 1e-12};
  const double e = cohort_pld_epsilon(&cohort_law_laplace, &many, &room);
  CU_ASSERT(e <= 10 * (1 + 1e-12) && e > 9.9);
  CU_ASSERT(cohort_rdp_epsilon(&cohort_law_laplace, &many, &room) > e);
}

static void test_zcdp(void) {
  const cohort_privacy_use use = {4, 0.1, 100, 1e-5};
  const double rho = 100 / 32.0, simple = rho + 2 * sqrt(rho * log(1e5));
  CU_ASSERT_DOUBLE_EQUAL(cohort_zcdp_epsilon(&use, true), simple, 1e-12);
  CU_ASSERT(cohort_zcdp_epsilon(&use, false) < simple);
  /* The least over all orders is below that over some. */
  const cohort_privacy_use all = {4, 1, 100, 1e-5};
  const double some = cohort_rdp_epsilon(&cohort_law_gaussian, &all, &room);
  CU_ASSERT(cohort_zcdp_epsilon(&all, false) <= some && cohort_zcdp_epsilon(&all, false) > 0.999 * some);
  CU_ASSERT(cohort_zcdp_epsilon(&all, false) > cohort_pld_epsilon(&cohort_law_gaussian, &all, &room));
  /* What holds for any concentrated mechanism holds for the Gaussian. */
  CU_ASSERT(cohort_rdp_epsilon_bound(&use, &room) >= cohort_rdp_epsilon(&cohort_law_gaussian, &use, &room));
  CU_ASSERT(cohort_rdp_epsilon_bound(&use, &room) < cohort_zcdp_epsilon(&use, false));
}

static const cohort_method *find(const char *key) { return cohort_registry_find(COHORT_VARIANT_F64, "privacy", key); }

/* Noise for a budget: Opacus finds 1.3562 and 1.2915 (to about 1e-3 of epsilon) at epsilon 8, delta 1e-5. */
static void test_budget(void) {
  const cohort_privacy_use use = {0, 0.04, 2000, 1e-5};
  const double rdp = cohort_privacy_noise(find("rdp"), NULL, 8, &use, &room);
  CU_ASSERT_DOUBLE_EQUAL(rdp, 1.3562, 2e-3);
  const double pld = cohort_privacy_noise(find("pld"), NULL, 8, &use, &room);
  CU_ASSERT_DOUBLE_EQUAL(pld, 1.2915, 2e-3);
  cohort_privacy_use found = use;
  found.noise = pld;
  const double epsilon = cohort_privacy_epsilon(find("pld"), NULL, &found, &room);
  CU_ASSERT(epsilon <= 8 && epsilon > 7.9999);
}

static void test_fourier(void) {
  enum { N = 64 };
  double re[N], im[N], cosine[N / 2], sine[N / 2], a[N];
  for (int i = 0; i < N; i++) {
    a[i] = re[i] = i < N / 4 ? cos(i * i) : 0;
    im[i] = 0;
  }
  cohort_fourier_angles(N, cosine, sine);
  cohort_fourier_forward(N, cosine, sine, re, im);
  for (int i = 0; i < N; i++) { /* squared */
    const double x = re[i];
    re[i] = x * x - im[i] * im[i];
    im[i] = 2 * x * im[i];
  }
  cohort_fourier_backward(N, cosine, sine, re, im);
  for (int k = 0; k < N; k++) {
    double sum = 0;
    for (int i = 0; i <= k; i++) sum += a[i] * a[k - i];
    CU_ASSERT_DOUBLE_EQUAL(re[k], sum, 1e-13);
    CU_ASSERT_DOUBLE_EQUAL(im[k], 0, 1e-13);
  }
}

/* Mean, variance, fourth moment of draws, whose cut changes nothing. */
static void check_draws(const char *key, double scale, double variance, double fourth) {
  enum { N = 200000 };
  static double out[N];
  cohort_choice choice;
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(cohort_choice_make(COHORT_VARIANT_F64, "privacy", key, 0, NULL, &choice, &error), COHORT_DONE);
  const cohort_privacy *functions = choice.method->functions;
  const cohort_random_key seed = cohort_random_key_from_seed(5);
  functions->fill(choice.config, scale, seed, 3, 0, N, out);
  double one = 0, two = 0, four = 0;
  for (int i = 0; i < N; i++) {
    one += out[i] / N;
    two += out[i] * out[i] / N;
    four += pow(out[i], 4) / N;
  }
  CU_ASSERT_DOUBLE_EQUAL(one / sqrt(variance), 0, 0.01);
  CU_ASSERT_DOUBLE_EQUAL(two / variance, 1, 0.015);
  CU_ASSERT_DOUBLE_EQUAL(four / fourth, 1, 0.06);
  double some[7];
  functions->fill(choice.config, scale, seed, 3, 1001, 7, some);
  CU_ASSERT_EQUAL(memcmp(some, out + 1001, sizeof some), 0);
  cohort_choice_release(&choice);
}

static void test_draws(void) {
  check_draws("gaussian", 3, 9, 3 * 81);
  check_draws("laplace", 2, 8, 24 * 16);
  check_draws("discretegaussian", 20, 400, 3 * 160000);
  /* Narrow: P(0) = 1 / sum of exp(-k^2 / (2 s^2)), here of s = 0.7. */
  double sum = 0, square = 0;
  for (int k = -20; k <= 20; k++) {
    sum += exp(-k * k / 0.98);
    square += k * k * exp(-k * k / 0.98);
  }
  double fourth = 0;
  for (int k = -20; k <= 20; k++) fourth += pow(k, 4) * exp(-k * k / 0.98) / sum;
  check_draws("discretegaussian", 0.7, square / sum, fourth);
}

int main(void) {
  const check checks[] = {
      {"against Opacus and dp-accounting", test_table},
      {"closed form", test_closed_form},
      {"monotonic", test_monotonic},
      {"Laplace", test_laplace},
      {"concentrated", test_zcdp},
      {"budget", test_budget},
      {"Fourier", test_fourier},
      {"draws", test_draws},
  };
  const int status = check_run("privacy", checks, sizeof checks / sizeof *checks);
  cohort_privacy_room_release(&room);
  return status;
}
