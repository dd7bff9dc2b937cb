/* The keys of `data`. */
#ifndef COHORT_TRAIN_RUN_SETTINGS_DATA_H
#define COHORT_TRAIN_RUN_SETTINGS_DATA_H

#include "train/run/settings.h"

extern const cohort_parameter cohort_data_table[];

#endif
