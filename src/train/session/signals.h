/* What stops a run from outside: SIGTERM, SIGINT, SIGUSR1, and a time limit.
 *
 * While the run starts, a signal ends the process at once with status 75: nothing was trained yet, and what lies in the
 * run directory is whole at any moment. Once it trains, the first signal raises a flag, which whoever computes looks at
 * (train/run/run.h: cohort_run_stop_on) and whose meaning ranks agree on. A second one, later than a tenth of a second
 * (a launcher may pass on the same one twice), ends the process at once with status 128 + its number, as if it had not
 * been caught: what was saved last counts.
 *
 * Signals belong to the process: there is one set of these. */
#ifndef COHORT_TRAIN_SESSION_SIGNALS_H
#define COHORT_TRAIN_SESSION_SIGNALS_H

#include <stdatomic.h>
#include <stdbool.h>

/* From now on; the run starts. `speaks`: this rank says why it ends. */
void cohort_signals_catch(bool speaks);

/* From now on the run trains. `flag` (0 until now) may lie in memory that other ranks see; it stays the caller's until
 * cohort_signals_release. After `seconds` (0 or less: never) it is raised as by a signal. Handlers write to it. */
void cohort_signals_train(_Atomic int *flag, double seconds);

/* No longer: a second signal still ends the process, nobody's flag is raised. */
void cohort_signals_release(void);

#endif
