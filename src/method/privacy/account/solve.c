/* The noise that a budget buys: bisection of a function that falls with the noise. Costs some forty accounts. */
#include <math.h>

#include "method/privacy/account/account.h"

double cohort_privacy_solve(double (*epsilon)(void *argument, const cohort_privacy_use *use), void *argument,
                            double wanted, const cohort_privacy_use *use) {
  cohort_privacy_use at = *use;
  double low = 1, high = 1; /* too little, enough */
  for (at.noise = low; epsilon(argument, &at) <= wanted; at.noise = low) {
    high = low;
    low /= 2;
    if (low < 1e-3) return low;
  }
  for (at.noise = high; high <= low || epsilon(argument, &at) > wanted; at.noise = high) {
    if (high > low) low = high;
    high = 2 * low;
    if (high > 1e9) return INFINITY;
  }
  while (high / low > 1 + 1e-7) {
    at.noise = sqrt(low * high);
    if (epsilon(argument, &at) <= wanted)
      high = at.noise;
    else
      low = at.noise;
  }
  return high;
}
