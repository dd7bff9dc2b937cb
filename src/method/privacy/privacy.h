/* Family privacy: accountants, which say what (epsilon, delta) a run of noisy sums costs (rdp, pld, zcdp), and
 * mechanisms, which make them: clip what a client leaves to a bound and add noise (gaussian, laplace,
 * discretegaussian). A mechanism accounts for itself by the accountant that its parameter says. Unit: one client (or,
 * per sample, one sample), present or not.
 *
 * Intended usage: a config of a mechanism begins with cohort_privacy_settings, whose rows COHORT_PRIVACY_PARAMETERS
 * has; `epsilon` calls one of account/account.h; `fill` draws noise of scale 1 as a function of key and element. */
#ifndef COHORT_METHOD_PRIVACY_PRIVACY_H
#define COHORT_METHOD_PRIVACY_PRIVACY_H

#include "base/random.h"
#include "method/method.h"
#include "method/privacy/account/account.h"

typedef struct cohort_privacy {
  /* What `use` costs; INFINITY: nothing is hidden. */
  double (*epsilon)(const void *config, const cohort_privacy_use *use, cohort_privacy_room *room);
  /* Whether that counts on Poisson sampling when use->rate is below 1; NULL: it does. */
  bool (*samples)(const void *config);
  /* Of mechanisms alone. */
  int norm; /* in which contributions are bounded: 1 or 2; 0: an accountant */
  double (*grain)(
      const void *config); /* of which contributions are multiples, in units of the bound; NULL: any number */
  /* Noise of round `round` for elements [first, first + n), a function of key, round and element; of the scale given,
   * in whole grains where there is a grain. */
  void (*fill)(const void *config, double scale, cohort_random_key key, int64_t round, int64_t first, int64_t n,
               double *out);
  /* Noises of rounds hang together: there is no amplification by sampling, and none but central noise. */
  bool correlated;
} cohort_privacy;

/* Epsilon of a method of the family, and the noise for an epsilon (cohort_privacy_solve). */
double cohort_privacy_epsilon(const cohort_method *method, const void *config, const cohort_privacy_use *use,
                              cohort_privacy_room *room);
double cohort_privacy_noise(const cohort_method *method, const void *config, double epsilon,
                            const cohort_privacy_use *use, cohort_privacy_room *room);

#endif
