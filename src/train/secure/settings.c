/* The section federated.secure of a config. Invariant: what is accepted cannot wrap. Costs nothing. */
#include <math.h>

#include "train/secure/secure.h"

static const char *const moduli[] = {"32", "64", NULL};
static const char *const roundings[] = {"nearest", "stochastic", "zero", NULL};
static const char *const refusals[] = {"stop", "skip", NULL};

const cohort_parameter cohort_secure_table[] = {
    COHORT_REAL_RANGE(cohort_secure_settings, threshold, "0.6", 0, true, 1, false,
                      "fraction of a client's neighbours whose answers are needed to remove its masks"),
    COHORT_INTEGER_RANGE(cohort_secure_settings, bits, "20", 2, 48,
                         "of a whole number that stands for one value of a change, with its sign", .unit = "bits"),
    COHORT_REAL_RANGE(cohort_secure_settings, range, "1", 0, true, INFINITY, true,
                      "largest absolute value of a change; what is beyond is clipped to it"),
    COHORT_CHOICE(cohort_secure_settings, modulus, "32", moduli,
                  "bits of the words in which whole numbers are masked and added", .unit = "bits"),
    COHORT_CHOICE(
        cohort_secure_settings, rounding, "nearest", roundings,
        "to whole numbers: to the nearest; to either neighbour, so that the mean is exact; towards zero, so that no "
        "change grows, as its privacy wants"),
    COHORT_INTEGER_RANGE(cohort_secure_settings, neighbours, "0", 0, 1e6,
                         "clients with which each one shares masks and secrets; 0: as few as are safe, all others in a "
                         "small round",
                         .unit = "clients"),
    COHORT_REAL_UNIT(cohort_secure_settings, dropout, "0",
                     "chance that a client is lost after it has shared its keys, and that one which has delivered its "
                     "change is lost before it answers"),
    COHORT_CHOICE(cohort_secure_settings, refused, "stop", refusals,
                  "when too few answer and a round's sum stays masked: the run ends, or the round changes nothing"),
    COHORT_BOOLEAN(cohort_secure_settings, masks, "true",
                   "false: the same whole numbers are added, but nothing is masked; to compare with"),
    {.name = NULL},
};

cohort_fixed_point cohort_secure_fixed_point(const cohort_secure_settings *settings) {
  return (cohort_fixed_point){settings->range, (int)settings->bits,
                              settings->modulus == COHORT_SECURE_MODULUS_64 ? 64 : 32,
                              (cohort_fixed_rounding)settings->rounding};
}

static int most_bits(const cohort_fixed_point *how, double clients, double noise) {
  cohort_fixed_point fewer = *how;
  while (fewer.bits > 2 && !cohort_fixed_point_fits(&fewer, clients, clients, noise)) fewer.bits--;
  return fewer.bits;
}

void cohort_secure_check(const cohort_secure_settings *settings, double clients, double noise,
                         const cohort_document *where, cohort_faults *faults) {
  const cohort_fixed_point how = cohort_secure_fixed_point(settings);
  if (clients < 2)
    cohort_faults_add(faults, where,
                      "federated.secure: a round of one client has nobody to hide among; set clients_per_round to 2 or "
                      "more, or remove secure");
  if (!cohort_fixed_point_fits(&how, clients, clients, noise))
    cohort_faults_add(faults, where,
                      "federated.secure: sums of %.0f clients with %d bits can wrap modulo 2^%d; set bits to %d or "
                      "less%s",
                      clients, how.bits, how.modulus, most_bits(&how, clients, noise),
                      how.modulus == 32 ? ", or modulus to 64" : "");
}
