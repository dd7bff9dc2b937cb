/* Whether a run has come to its end already. */
#ifndef COHORT_TRAIN_SESSION_FINISHED_H
#define COHORT_TRAIN_SESSION_FINISHED_H

#include "base/comm.h"
#include "train/run/settings.h"

/* Collective, without data or model, so in milliseconds: whether the directory holds a run of this config that has done
 * its `steps` and told its results; nothing of it needs to be touched. Never with `overwrite: true`. */
bool cohort_finished(const cohort_settings *settings, const char *run_path, cohort_comm *comm);

#endif
