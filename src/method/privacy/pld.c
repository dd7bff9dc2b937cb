/* The accountant by the distribution of the privacy loss. An account costs a few transforms of at most 2^20 points. */
#include "method/privacy/privacy.h"

static double epsilon(const void *config, const cohort_privacy_use *use, cohort_privacy_room *room) {
  (void)config;
  return cohort_pld_epsilon(&cohort_law_gaussian, use, room);
}

static const cohort_privacy functions = {.epsilon = epsilon};

static const cohort_method method = {
    .family = "privacy",
    .key = COHORT_FILE_KEY,
    .summary =
        "privacy loss distribution of the Gaussian mechanism under Poisson sampling: the tightest, and never too low",
    .title = "Connect the Dots: Tighter Discrete Approximations of Privacy Loss Distributions",
    .source =
        "Doroshenko, Ghazi, Kamath, Kumar and Manurangsi, PETS 2022; composition by Fourier transform: Koskela, "
        "Jalko and Honkela, AISTATS 2020; Gopi, Lee and Wutschitz, NeurIPS 2021",
    .formula =
        "loss l = +- log(1 - rate + rate exp((2 x - 1) / (2 noise^2))); the sum L of `steps` losses; epsilon is the "
        "least "
        "e with E[max(0, 1 - exp(e - L))] <= delta, for a client that is added and for one that is removed",
    .functions = &functions,
};

COHORT_METHOD_FILE(privacy, COHORT_FILE) = {&method, NULL};
